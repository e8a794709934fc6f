//! The order in which a torrent's trackers are asked (BEP 12).

use crate::machine::Rng;

/// Trackers by their places in the torrent's list, in tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tiers(Vec<Vec<usize>>);

impl Tiers {
    /// Puts the trackers of each tier, numbered through, in random order.
    pub(super) fn new(sizes: impl IntoIterator<Item = usize>, rng: &mut Rng) -> Self {
        let mut first = 0;
        let tiers = sizes.into_iter().map(|size| {
            let mut tier: Vec<usize> = (first..first + size).collect();
            first += size;
            rng.shuffle(&mut tier);
            tier
        });
        Self(tiers.collect())
    }

    /// Goes over the trackers in the order in which they are asked.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().flatten().copied()
    }

    /// Puts a tracker that has answered first in its tier.
    pub(super) fn promote(&mut self, tracker: usize) {
        for tier in &mut self.0 {
            if let Some(at) = tier.iter().position(|other| *other == tracker) {
                let up_to_it = tier.iter_mut().take(at + 1);
                // Those before it move one down.
                let mut before = tracker;
                up_to_it.for_each(|place| std::mem::swap(place, &mut before));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackers_are_shuffled_within_their_tiers_and_nowhere_else() {
        let mut orders = Vec::new();
        for seed in 0..100 {
            let tiers = Tiers::new([3, 0, 2], &mut Rng::new(seed));
            let order: Vec<usize> = tiers.iter().collect();
            let (mut first, mut second) = (order[..3].to_vec(), order[3..].to_vec());
            first.sort_unstable();
            second.sort_unstable();
            assert_eq!((first, second), (vec![0, 1, 2], vec![3, 4]));
            orders.push(order);
        }
        orders.sort();
        orders.dedup();
        assert_eq!(orders.len(), 12, "each order comes");
    }

    #[test]
    fn one_that_has_answered_comes_first_in_its_tier_and_the_others_keep_their_order() {
        let mut tiers = Tiers(vec![vec![2, 0, 1], vec![4, 3]]);
        tiers.promote(1);
        assert_eq!(tiers.iter().collect::<Vec<_>>(), [1, 2, 0, 4, 3]);
        tiers.promote(3);
        tiers.promote(1);
        assert_eq!(tiers.iter().collect::<Vec<_>>(), [1, 2, 0, 3, 4]);
    }
}
