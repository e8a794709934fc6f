//! The order of nodes by their distance.

use super::MOST;
use super::contact::Contact;
use crate::proto::id::NodeId;

/// Sorts the nodes of a bucket that are not bad by their distance to an id: places in the bucket, after the first bits of the distance.
pub(super) fn sort<'a>(nodes: &[Contact], target: &NodeId, order: &'a mut [(u64, u8); MOST]) -> &'a [(u64, u8)] {
    let first = |id: &NodeId| id.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let target_first = first(target);
    let mut count = 0;
    for (at, node) in nodes.iter().enumerate().take(MOST).filter(|(_, node)| !node.is_bad()) {
        let key = first(&node.id) ^ target_first;
        let is_farther = |(other, place): (u64, u8)| {
            other > key || other == key && nodes[usize::from(place)].id.distance(target) > node.id.distance(target)
        };
        let mut to = count;
        while to > 0 && is_farther(order[to - 1]) {
            order[to] = order[to - 1];
            to -= 1;
        }
        order[to] = (key, at as u8);
        count += 1;
    }
    &order[..count]
}
