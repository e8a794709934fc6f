//! How many nodes there are, judged from how near to a target the nearest are.

use super::memory::Heap as _;
use crate::proto::id::NodeId;
use std::collections::VecDeque;

/// How many lookups are remembered. Half of them may be lied to.
const LOOKUPS: usize = 32;

/// An estimate of the number of nodes in the network, from finished lookups.
///
/// Ids are spread evenly, so where the `k`th nearest node is `d` away (of a space of 1) there are about `k / d` nodes. A single
/// lookup is right to within a factor of two; liars near a target make it too high, a lookup that missed nodes too low. So the
/// estimate is the median of the last 32 lookups, of which none counts twice that went for the same target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Size {
    lookups: VecDeque<(NodeId, u64)>,
}

impl Size {
    /// Makes one that knows nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(super) fn heap(&self) -> usize {
        self.lookups.heap()
    }

    /// Takes the ids that a finished lookup ended with, in any order, and how many it had wanted. With fewer than that it found all
    /// there are, and with none it says nothing.
    pub(crate) fn on_lookup(&mut self, target: NodeId, want: usize, closest: impl Iterator<Item = NodeId>) {
        let (mut count, mut farthest) = (0_u64, [0; 20]);
        for id in closest.take(want) {
            count += 1;
            farthest = farthest.max(target.distance(&id));
        }
        let Some(size) = estimate(count, want, farthest) else { return };
        self.lookups.retain(|(of, _)| *of != target);
        if self.lookups.len() >= LOOKUPS {
            self.lookups.pop_front();
        }
        self.lookups.push_back((target, size));
    }

    /// Gives the number of nodes, ourselves left out; `None` before any lookup found something.
    pub(crate) fn estimate(&self) -> Option<u64> {
        let mut sizes: Vec<u64> = self.lookups.iter().map(|(_, size)| *size).collect();
        sizes.sort_unstable();
        let (low, high) = (sizes.len().checked_sub(1)? / 2, sizes.len() / 2);
        Some(u64::midpoint(*sizes.get(low)?, *sizes.get(high)?))
    }
}

/// Estimates from one lookup. The distance of the `k`th nearest of many is distributed so that half of the lookups see more than
/// `(k - 1/3) / size`; with this and not `k` their median is the size.
fn estimate(count: u64, want: usize, farthest: [u8; 20]) -> Option<u64> {
    if count == 0 {
        return None;
    }
    if usize::try_from(count).is_ok_and(|count| count < want) {
        return Some(count);
    }
    let [a, b, c, d, e, f, g, h, ..] = farthest;
    let distance = u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h])) + 1;
    // Below 2^98: no overflow, whatever was wanted.
    let size = (u128::from(count.min(1 << 32)) * 3 - 1) << 64;
    Some(u64::try_from(size / (3 * distance)).unwrap_or(u64::MAX).max(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Rng;

    fn id(rng: &mut Rng) -> NodeId {
        let mut id = [0; 20];
        id.chunks_mut(4).for_each(|part| part.copy_from_slice(&(rng.next_u64() as u32).to_be_bytes()));
        NodeId(id)
    }

    /// The `k` nearest of a network.
    fn nearest(ids: &[NodeId], target: NodeId, k: usize) -> Vec<NodeId> {
        let mut ids = ids.to_vec();
        ids.sort_by_cached_key(|id| id.distance(&target));
        ids.truncate(k);
        ids
    }

    #[test]
    fn the_size_of_a_network_is_estimated_within_a_fifth_from_thirty_lookups() {
        for (seed, size) in [(1, 300_u64), (2, 3_000), (3, 20_000)] {
            let mut rng = Rng::new(seed);
            let ids: Vec<NodeId> = (0..size).map(|_| id(&mut rng)).collect();
            let mut estimate = Size::new();
            for _ in 0..40 {
                let target = id(&mut rng);
                estimate.on_lookup(target, 8, nearest(&ids, target, 8).into_iter());
            }
            let found = estimate.estimate().unwrap();
            assert!((size * 8 / 10..size * 12 / 10).contains(&found), "{found} of {size}");
        }
    }

    #[test]
    fn liars_around_a_third_of_the_targets_change_little() {
        let mut rng = Rng::new(4);
        let ids: Vec<NodeId> = (0..2_000).map(|_| id(&mut rng)).collect();
        let mut estimate = Size::new();
        for n in 0..32 {
            let target = id(&mut rng);
            let mut found = nearest(&ids, target, 8);
            if n % 3 == 0 {
                found.iter_mut().enumerate().for_each(|(i, id)| {
                    *id = target;
                    id.0[19] ^= i as u8;
                });
            }
            estimate.on_lookup(target, 8, found.into_iter());
        }
        let found = estimate.estimate().unwrap();
        assert!((1_600..3_200).contains(&found), "{found}");
    }

    #[test]
    fn a_target_that_is_looked_up_again_and_again_counts_once_and_the_history_ends() {
        let mut rng = Rng::new(5);
        let ids: Vec<NodeId> = (0..2_000).map(|_| id(&mut rng)).collect();
        let mut estimate = Size::new();
        let poisoned = NodeId([7; 20]);
        for _ in 0..200 {
            let target = id(&mut rng);
            estimate.on_lookup(target, 8, nearest(&ids, target, 8).into_iter());
            estimate.on_lookup(poisoned, 8, (0..8).map(|_| poisoned));
        }
        assert_eq!(estimate.lookups.len(), LOOKUPS);
        assert!((1_400..2_800).contains(&estimate.estimate().unwrap()), "{estimate:?}");
    }

    #[test]
    fn a_lookup_that_found_fewer_than_it_wanted_found_all() {
        let mut size = Size::new();
        assert_eq!(size.estimate(), None);
        size.on_lookup(NodeId([0; 20]), 8, std::iter::empty());
        assert_eq!(size.estimate(), None);
        size.on_lookup(NodeId([0; 20]), 8, [NodeId([9; 20]), NodeId([99; 20])].into_iter());
        assert_eq!(size.estimate(), Some(2));
        // As near as can be, and as far: neither overflows, and a list that does not end is cut.
        size.on_lookup(NodeId([0; 20]), 1, std::iter::repeat(NodeId([0; 20])));
        size.on_lookup(NodeId([1; 20]), 8, std::iter::repeat(NodeId([0xfe; 20])));
        assert_eq!(size.lookups.len(), 2);
        assert_eq!(size.lookups.back().map(|(_, size)| *size), Some(8));
    }
}
