//! A set of bytes of one piece, kept as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Disjoint ranges that never touch: start to end. Every operation costs the logarithm of their number, and the ranges it
/// removes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IntervalSet {
    ranges: BTreeMap<u32, u32>,
}

impl IntervalSet {
    /// Gives the number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Gives the ranges in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }

    /// Adds a range; what it touches or overlaps becomes one with it.
    pub(crate) fn insert(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        while let Some((&s, &e)) = self.ranges.range(..=end).next_back() {
            if e < start {
                break;
            }
            self.ranges.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.ranges.insert(start, end);
    }

    /// Takes a range out, splitting what lies across its ends.
    pub(crate) fn remove(&mut self, range: Range<u32>) {
        while let Some((&s, &e)) = self.ranges.range(..range.end).next_back() {
            if range.is_empty() || e <= range.start {
                break;
            }
            self.ranges.remove(&s);
            if range.end < e {
                self.ranges.insert(range.end, e);
            }
            if s < range.start {
                self.ranges.insert(s, range.start);
            }
        }
    }

    /// Gives the end of the range that holds `at`, or `at` itself where none does.
    pub(crate) fn end_from(&self, at: u32) -> u32 {
        self.ranges.range(..=at).next_back().map_or(at, |(_, &e)| e.max(at))
    }

    /// Says whether every byte of the range is in the set.
    pub(crate) fn covers(&self, range: Range<u32>) -> bool {
        range.is_empty() || self.end_from(range.start) >= range.end
    }

    /// Gives the parts of a range that are not in the set, in order.
    pub(crate) fn gaps(&self, range: Range<u32>) -> Vec<Range<u32>> {
        let mut gaps = Vec::new();
        let mut at = self.end_from(range.start);
        while at < range.end {
            let next = self.ranges.range(at..).next();
            let (start, end) = next.map_or((range.end, range.end), |(&s, &e)| (s.min(range.end), e));
            gaps.push(at..start);
            at = end;
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(ranges: &[Range<u32>]) -> IntervalSet {
        let mut set = IntervalSet::default();
        ranges.iter().for_each(|r| set.insert(r.clone()));
        set
    }

    #[test]
    fn a_short_range_inside_a_long_one_does_not_hide_the_overlap_that_follows() {
        assert!(set(&[0..10, 2..5, 9..14]).covers(0..14));
        assert!(set(&[5..10, 8..13]).covers(5..13));
        assert!(!set(&[0..5, 6..10]).covers(0..10));
        assert_eq!(set(&[0..5, 5..10]).len(), 1);
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_bytes(script in prop::collection::vec((any::<bool>(), 0u32..60, 0u32..20), 0..40), from in 0u32..60, len in 0u32..30) {
            let mut ranges = IntervalSet::default();
            let mut bytes = [false; 100];
            for (add, start, length) in script {
                let range = start..start + length;
                if add { ranges.insert(range.clone()) } else { ranges.remove(range.clone()) }
                range.for_each(|i| bytes[i as usize] = add);
            }
            let asked = from..from + len;
            prop_assert_eq!(ranges.covers(asked.clone()), asked.clone().all(|i| bytes[i as usize]));
            let gaps: Vec<u32> = ranges.gaps(asked.clone()).into_iter().flatten().collect();
            prop_assert_eq!(gaps, asked.filter(|i| !bytes[*i as usize]).collect::<Vec<_>>());
            let runs = (0..100).filter(|i| bytes[*i] && (*i == 0 || !bytes[*i - 1])).count();
            prop_assert_eq!(ranges.len(), runs);
        }
    }
}
