//! Drawing numbers at random, none of them twice.

use super::memory::Heap as _;
use crate::machine::Rng;

/// Draws numbers below a bound so that every set of them is as likely as any other. What it needs to remember is kept from one time to
/// the next, a bit for each number, so that in the long run nothing is allocated.
#[derive(Debug, Default)]
pub(crate) struct Draw {
    /// Which numbers are drawn: all clear between calls.
    drawn: Vec<u64>,
}

impl Draw {
    pub(super) fn heap(&self) -> usize {
        self.drawn.heap()
    }

    /// Gives `count` numbers below `bound` to a function, or all there are, in an order that is not random. The cost is in the count.
    pub(crate) fn distinct(&mut self, rng: &mut Rng, bound: usize, count: usize, mut each: impl FnMut(usize)) {
        if count >= bound {
            return (0..bound).for_each(each);
        }
        // Floyd's method (Bentley and Floyd, "A Sample of Brilliance", 1987): as many draws as numbers, none of them in vain.
        if self.drawn.len() < bound.div_ceil(64) {
            self.drawn.resize(bound.div_ceil(64), 0);
        }
        let mut took = [0u32; BATCH];
        let mut more = Vec::new();
        for (nth, last) in (bound - count..bound).enumerate() {
            let drawn = rng.below(u32::try_from(last + 1).unwrap_or(u32::MAX)) as usize;
            let number = if self.is_drawn(drawn) { last } else { drawn };
            self.drawn[number / 64] |= 1 << (number % 64);
            match took.get_mut(nth) {
                Some(place) => *place = number as u32,
                None => more.push(number as u32),
            }
            each(number);
        }
        let took = took.iter().take(count).chain(&more);
        took.for_each(|number| self.drawn[*number as usize / 64] = 0);
    }

    fn is_drawn(&self, number: usize) -> bool {
        self.drawn[number / 64] >> (number % 64) & 1 == 1
    }
}

/// How many numbers are usually drawn at most: what is beyond needs an allocation.
const BATCH: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn drawn(draw: &mut Draw, rng: &mut Rng, bound: usize, count: usize) -> Vec<usize> {
        let mut numbers = Vec::new();
        draw.distinct(rng, bound, count, |number| numbers.push(number));
        assert!(draw.drawn.iter().all(|bits| *bits == 0));
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn no_number_is_drawn_twice_and_none_is_missed_where_all_are_wanted() {
        let (mut draw, mut rng) = (Draw::default(), Rng::new(1));
        for bound in [0, 1, 2, 63, 64, 65, 700] {
            for count in [0, 1, 2, 63, 64, 65, 300, 699, 700, usize::MAX] {
                let mut numbers = drawn(&mut draw, &mut rng, bound, count);
                assert!(numbers.iter().all(|number| *number < bound));
                assert_eq!(numbers.len(), count.min(bound));
                numbers.dedup();
                assert_eq!(numbers.len(), count.min(bound));
            }
        }
    }

    #[test]
    fn every_set_is_as_likely_as_any_other() {
        let (mut draw, mut rng) = (Draw::default(), Rng::new(2));
        let mut seen = BTreeMap::new();
        for _ in 0..20_000 {
            *seen.entry(drawn(&mut draw, &mut rng, 6, 3)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 20);
        // Each 1,000 times, with a standard deviation of 31.
        assert!(seen.values().all(|times| (870..1130).contains(times)), "{seen:?}");
    }
}
