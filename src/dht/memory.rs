//! How much memory a node takes.

use super::machine::Node;
use crate::machine::{Map, Timers};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many bytes a value has on the heap by itself; what its elements have there comes on top. Room that is kept counts as if it were used; what
/// an allocator adds does not count.
pub(super) trait Heap {
    fn heap(&self) -> usize;
}

impl<T> Heap for Vec<T> {
    fn heap(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

impl<T> Heap for VecDeque<T> {
    fn heap(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

impl<K, V> Heap for BTreeMap<K, V> {
    fn heap(&self) -> usize {
        // Nodes are two thirds full, give or take, and know of each other.
        self.len() * (size_of::<(K, V)>() + 2) * 3 / 2
    }
}

impl<K> Heap for BTreeSet<K> {
    fn heap(&self) -> usize {
        self.len() * (size_of::<K>() + 2) * 3 / 2
    }
}

impl<K: std::hash::Hash + Eq, V> Heap for Map<K, V> {
    fn heap(&self) -> usize {
        // At most seven of eight places are taken, and each has a byte beside it.
        (self.capacity() * 8).div_ceil(7) * (size_of::<(K, V)>() + 1)
    }
}

impl<K: Ord + Copy> Heap for Timers<K> {
    fn heap(&self) -> usize {
        self.len() * (2 * size_of::<(crate::machine::Instant, K)>() + 4) * 3 / 2
    }
}

impl Node {
    /// Gives the bytes of memory that the node takes.
    pub(super) fn memory(&self) -> usize {
        let tables = self.sides.iter().map(|side| side.table.heap()).sum::<usize>();
        let requests = self.requests.values().map(|request| {
            let seen = request.seen.heap() + request.holders.heap() + request.found.heap();
            let item = request.item.as_ref().map_or(0, |item| item.value().len());
            seen + item + request.to_store.heap() + request.blooms.as_deref().map_or(0, size_of_val)
        });
        let lookups = self.lookups.values().map(|running| running.lookup.heap()).sum::<usize>();
        let busy =
            self.requests.heap() + requests.sum::<usize>() + self.lookups.heap() + lookups + self.transactions.heap();
        let rooms =
            self.near.heap() + self.near6.heap() + self.found_peers.heap() + self.saved.heap() + self.wire.heap();
        let stored = self.peers.heap() + self.items.heap() + self.guard.heap();
        size_of::<Self>() + self.sides.heap() + tables + busy + rooms + stored + self.timers.heap() + self.size.heap()
    }
}
