//! The nodes of a part of the space, and those that wait to take their place.

use super::contact::{Address, Contact, FRESH, is_due};
use crate::machine::Instant;
use crate::proto::id::NodeId;
use std::cmp::Reverse;

/// Where in a bucket a contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Node(usize),
    Spare(usize),
}

/// No two nodes have one id, nor have two spares; a spare may have a node's, at another address, and waits to see whether that one
/// still answers. A spare is never bad, and no bad node is kept while a spare can have its place.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) nodes: Vec<Contact>,
    pub(super) spares: Vec<Contact>,
    /// When a node of it answered, came or was replaced, or the bucket was last given out to be refreshed.
    pub(super) changed: Instant,
    /// No node is to be checked before: one check at a time, and some time between the two that a node has.
    pub(super) check_after: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant) -> Self {
        Self { nodes: Vec::new(), spares: Vec::new(), changed: now, check_after: Instant::ZERO }
    }

    pub(super) fn find(&self, id: &NodeId, address: &Address) -> Option<Slot> {
        let at = |list: &[Contact]| list.iter().position(|contact| contact.is(id, address));
        at(&self.nodes).map(Slot::Node).or_else(|| at(&self.spares).map(Slot::Spare))
    }

    pub(super) fn at(&self, address: &Address) -> Option<Slot> {
        let at = |list: &[Contact]| list.iter().position(|contact| contact.address == *address);
        at(&self.nodes).map(Slot::Node).or_else(|| at(&self.spares).map(Slot::Spare))
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut Contact {
        match slot {
            Slot::Node(at) => &mut self.nodes[at],
            Slot::Spare(at) => &mut self.spares[at],
        }
    }

    pub(super) fn take(&mut self, slot: Slot) -> Contact {
        match slot {
            Slot::Node(at) => self.nodes.remove(at),
            Slot::Spare(at) => self.spares.remove(at),
        }
    }

    pub(super) fn node_named(&self, id: &NodeId) -> Option<&Contact> {
        self.nodes.iter().find(|contact| contact.id == *id)
    }

    pub(super) fn spare_named(&self, id: &NodeId) -> Option<&Contact> {
        self.spares.iter().find(|contact| contact.id == *id)
    }

    pub(super) fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.nodes.iter().chain(&self.spares)
    }

    /// The spare that was heard of last, of those that left no query unanswered if there are any, and may be a node beside those
    /// that are not bad.
    fn freshest_spare(&self, instead_of: Option<usize>) -> Option<usize> {
        let fits = |spare: &Contact| {
            !self.nodes.iter().enumerate().any(|(at, node)| node.id == spare.id && instead_of != Some(at))
        };
        let spares = self.spares.iter().enumerate().filter(|(_, spare)| fits(spare));
        spares.max_by_key(|(at, spare)| (spare.failures == 0, spare.seen, Reverse(*at))).map(|(at, _)| at)
    }

    /// Lets spares into free places, of which there are `size` in all, and into those of bad nodes. Gives the node that a spare replaced,
    /// to be called again until it gives none.
    pub(super) fn promote(&mut self, size: usize) -> Option<Contact> {
        while self.nodes.len() < size {
            let Some(spare) = self.freshest_spare(None) else { break };
            let spare = self.spares.remove(spare);
            self.nodes.push(spare);
        }
        let (bad, spare) = (0..self.nodes.len())
            .filter(|at| self.nodes[*at].is_bad())
            .find_map(|at| self.freshest_spare(Some(at)).map(|spare| (at, spare)))?;
        let spare = self.spares.remove(spare);
        Some(std::mem::replace(&mut self.nodes[bad], spare))
    }

    /// The spare that was heard of longest ago.
    pub(super) fn stalest_spare(&self) -> Option<usize> {
        (0..self.spares.len()).min_by_key(|at| self.spares[*at].seen)
    }

    /// When a node of it is to be checked next: where spares wait, those that left a query unanswered, and questionable ones.
    pub(super) fn check_at(&self) -> Instant {
        if self.spares.is_empty() {
            return Instant::NEVER;
        }
        let nodes = self.nodes.iter().filter(|node| !node.is_bad());
        let first = nodes.map(doubtful_at).min();
        first.map_or(Instant::NEVER, |first| first.max(self.check_after))
    }

    /// The node to check now: one that left a query unanswered, else the one that was heard of longest ago.
    pub(super) fn to_check(&self, now: Instant) -> Option<&Contact> {
        let nodes = self.nodes.iter().filter(|node| !node.is_bad() && is_due(doubtful_at(node), now));
        nodes.min_by_key(|node| (node.failures == 0, node.seen)).filter(|_| is_due(self.check_at(), now))
    }
}

/// When there is reason to doubt that a node still answers.
fn doubtful_at(node: &Contact) -> Instant {
    if node.failures > 0 { Instant::ZERO } else { node.seen + FRESH }
}
