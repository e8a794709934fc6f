//! Who put which items.

use crate::dht::memory::Heap as _;
use crate::dht::party::Party;
use crate::machine::{Instant, Map, Rng};
use crate::proto::id::NodeId;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// How many items a party has, and when the first of them expires.
type Rank = (usize, Reverse<Instant>, Party);

/// Who put which items.
///
/// What it tracks: the items of each party in the order in which they expire, and the parties in the order of how many they have; of those
/// with as many, the one comes last whose next item expires first.
#[derive(Debug)]
pub(super) struct Owners {
    items: Map<Party, BTreeSet<(Instant, NodeId)>>,
    ranks: BTreeSet<Rank>,
}

impl Owners {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { items: Map::new(rng), ranks: BTreeSet::new() }
    }

    pub(super) fn heap(&self) -> usize {
        let items = self.items.iter_unordered().map(|(_, items)| items.heap()).sum::<usize>();
        self.items.heap() + items + self.ranks.heap()
    }

    /// Gives how many items a party has.
    pub(super) fn count(&self, party: Party) -> usize {
        self.items.get(&party).map_or(0, BTreeSet::len)
    }

    /// Gives the item of a party that expires first, and when.
    pub(super) fn first(&self, party: Party) -> Option<(Instant, NodeId)> {
        self.items.get(&party)?.first().copied()
    }

    /// Gives the item that expires first of the party that has the most.
    pub(super) fn first_of_the_most(&self) -> Option<NodeId> {
        let (_, _, party) = self.ranks.last()?;
        self.first(*party).map(|(_, target)| target)
    }

    pub(super) fn add(&mut self, party: Party, expires: Instant, target: NodeId) {
        self.change(party, |items| items.insert((expires, target)));
    }

    pub(super) fn remove(&mut self, party: Party, expires: Instant, target: NodeId) {
        self.change(party, |items| items.remove(&(expires, target)));
    }

    fn change(&mut self, party: Party, change: impl FnOnce(&mut BTreeSet<(Instant, NodeId)>) -> bool) {
        let rank = |items: &BTreeSet<(Instant, NodeId)>| Some((items.len(), Reverse(items.first()?.0), party));
        let items = self.items.entry(party).or_default();
        if let Some(before) = rank(items) {
            self.ranks.remove(&before);
        }
        change(items);
        match rank(items) {
            Some(after) => {
                self.ranks.insert(after);
            }
            None => {
                self.items.remove(&party);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> Vec<(Party, usize)> {
        assert_eq!(self.items.len(), self.ranks.len());
        let mut counts: Vec<_> = self.items.iter_unordered().map(|(party, items)| (*party, items.len())).collect();
        counts.sort_unstable();
        counts
    }
}
