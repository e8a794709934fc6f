//! Whom a node knows: the routing table of one side.
//!
//! # What it tracks
//!
//! The bucket at depth `i` has nodes whose ids share exactly `i` first bits with ours, the last one all that share more. A full last bucket
//! is split, so that there is one bucket for each depth that is needed, up to 160, and we know our surroundings best (BEP 5).
//! No other bucket is ever split: it is full with 8 nodes.
//!
//! - **Who enters.** Only who answered a query of ours, from the address that was asked. Never our own id. Where ids have to go with
//!   addresses (BEP 42), only those that do.
//! - **Who stays.** A node is good, questionable or bad ([`State`]). A good one is never displaced. Whoever comes when a bucket is full waits
//!   beside it as a *spare*. Where spares wait, questionable nodes are checked, the one heard of longest ago first
//!   ([`Table::next_check`]). A node that leaves two queries in a row unanswered is bad: the spare that was heard of last takes its place at
//!   once. Where nobody waits, it keeps its place until somebody comes, and is told to nobody.
//! - **Who is who.** A node is an id at an address. An address has one id: who answers with another is not who was there before, which
//!   is dropped. An id has one address: as long as the node there is good, an answer with its id from elsewhere is refused; when it is
//!   questionable, the other waits as a spare; when it is bad, the other takes its place.
//! - **How many of whom.** One per IP address, and few per network (a /24 or a /64) in a bucket and in all, spares included. A bad node does not
//!   stand in the way of another of its network.
//!
//! A read-only node (BEP 43) does not answer, so it does not enter; its queries should not be shown to [`Table::wants`].
//!
//! # Limits
//!
//! 160 buckets, of [`Rules::bucket`] nodes and [`Rules::spares`] spares. In a network of a million nodes some 20 buckets are in use. A contact
//! takes 56 bytes, and 24 in the list of addresses.

mod admission;
mod bucket;
mod contact;
mod diversity;
mod order;
mod prefix;
#[cfg(test)]
mod tests;

use crate::dht::memory::Heap as _;
use crate::machine::{Instant, Rng};
use crate::proto::compact::{Family, Node};
use crate::proto::id::NodeId;
use crate::proto::krpc::node_id;
pub(crate) use admission::{Admission, Rules};
use bucket::{Bucket, Slot};
pub(crate) use contact::State;
use contact::{Address, Contact, is_due};
use diversity::Diversity;
use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a bucket may go unchanged before it is refreshed (BEP 5).
const REFRESH: Duration = Duration::from_secs(15 * 60);
/// How long after a check, or after an unanswered query, another node of the bucket is checked, or the same one again: longer than an
/// answer is waited for, so that two checks are not lost in the same short trouble.
const CHECK_AGAIN: Duration = Duration::from_secs(15);
/// The most nodes, and the most spares, of a bucket.
const MOST: usize = 32;

/// A contact, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its id and address.
    pub(crate) node: Node,
    /// What it is worth.
    pub(crate) state: State,
    /// How long its last answer took: in tenths of a millisecond, at most 6.5 s.
    pub(crate) rtt: Duration,
    /// When it last answered or asked.
    pub(crate) last_seen: Instant,
    /// Whether it only waits for a place.
    pub(crate) spare: bool,
}

/// How full a bucket is.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    /// How many first bits its ids share with ours: exactly so many, in the last bucket at least.
    pub(crate) depth: usize,
    /// Its nodes.
    pub(crate) nodes: usize,
    /// Those of them that are good.
    pub(crate) good: usize,
    /// Its spares.
    pub(crate) spares: usize,
    /// When it last changed, or was last given out to be refreshed.
    pub(crate) changed: Instant,
}

/// The routing table of one side of a node. The [module's page](self) has the rules.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    own: NodeId,
    family: Family,
    rules: Rules,
    /// By depth; at least one.
    buckets: Vec<Bucket>,
    diversity: Diversity,
    /// No check is due before this, nor a refresh before that: early at times, never late.
    check_at: Instant,
    refresh_at: Instant,
}

impl Table {
    /// Makes an empty table for a node with an id, of nodes of one family of addresses.
    pub(crate) fn new(own: NodeId, family: Family, rules: Rules) -> Self {
        let rules = Rules { bucket: rules.bucket.clamp(1, MOST), spares: rules.spares.min(MOST), ..rules };
        let buckets = vec![Bucket::new(Instant::ZERO)];
        let diversity = Diversity::default();
        Self { own, family, rules, buckets, diversity, check_at: Instant::NEVER, refresh_at: Instant::NEVER }
    }

    /// Gives our id.
    pub(crate) fn own(&self) -> NodeId {
        self.own
    }

    /// Takes another id for ours, and sorts all contacts anew: good ones first, then questionable ones, bad ones where there is room.
    /// All buckets count as changed now, since whoever has a new id looks it up.
    pub(crate) fn set_own(&mut self, now: Instant, own: NodeId) {
        if own == self.own {
            return;
        }
        let mut all: Vec<(bool, Contact)> = Vec::with_capacity(self.diversity.len());
        for bucket in &self.buckets {
            all.extend(bucket.nodes.iter().map(|node| (false, *node)));
            all.extend(bucket.spares.iter().map(|spare| (true, *spare)));
        }
        all.sort_by_key(|(spare, contact)| (Reverse(contact.state(now)), *spare, Reverse(contact.seen)));
        *self = Self::new(own, self.family, self.rules);
        for (_, contact) in all {
            self.admit(now, contact);
        }
        self.buckets.iter_mut().for_each(|bucket| bucket.changed = now);
        self.refresh_at = now + REFRESH;
    }

    /// Takes note that a node answered a query that was sent to its address. It enters if it may.
    pub(crate) fn on_reply(&mut self, now: Instant, node: &Node, rtt: Duration) -> Admission {
        let address = Address::of(node.address);
        if address.family != self.family {
            return Admission::Refused;
        }
        let at = self.depth_of(&node.id);
        let bucket = &mut self.buckets[at];
        if let Some(slot) = bucket.find(&node.id, &address) {
            let contact = bucket.get_mut(slot);
            if contact.failures > 0 || !contact.is_good(now) {
                // If it was being checked, the next one may be.
                bucket.check_after = Instant::ZERO;
            }
            bucket.get_mut(slot).on_reply(now, rtt);
            bucket.changed = bucket.changed.max(now);
            if let (Slot::Node(_), Some(other)) = (slot, bucket.spare_named(&node.id).map(|spare| spare.address)) {
                // It is still where it was, and nobody else has its id.
                self.take(&other);
            }
            self.note_check(at);
            return Admission::Known;
        }
        // Whoever had this address has it no more, or has another id now.
        if self.take(&address).is_some() {
            log::trace!("{} answers with another id: {}", node.address, node.id);
        }
        if node.id == self.own || self.rules.enforce_id && !node_id::is_valid_for(&node.id, node.address.ip()) {
            return Admission::Refused;
        }
        self.admit(now, Contact::new(now, node.id, address, rtt))
    }

    /// Takes note of a query. Says whether the node is in the table, at that address, and not bad: then it counts as seen. A bad one that asks
    /// is back, perhaps: it is worth a ping as somebody new is.
    pub(crate) fn on_query(&mut self, now: Instant, node: &Node) -> bool {
        let at = self.depth_of(&node.id);
        let bucket = &mut self.buckets[at];
        let Some(slot) = bucket.find(&node.id, &Address::of(node.address)) else { return false };
        let contact = bucket.get_mut(slot);
        contact.on_query(now);
        !contact.is_bad()
    }

    /// Takes note that a node did not answer a query. Of the second in a row it is bad, and a spare takes its place.
    pub(crate) fn on_failure(&mut self, now: Instant, node: &Node) {
        let at = self.depth_of(&node.id);
        let bucket = &mut self.buckets[at];
        let address = Address::of(node.address);
        let Some(slot) = bucket.find(&node.id, &address) else { return };
        let contact = bucket.get_mut(slot);
        contact.failures = contact.failures.saturating_add(1);
        match slot {
            Slot::Node(_) if !contact.is_bad() => bucket.check_after = now + CHECK_AGAIN,
            Slot::Node(_) => {
                bucket.check_after = Instant::ZERO;
                if self.settle(at) {
                    let bucket = &mut self.buckets[at];
                    bucket.changed = bucket.changed.max(now);
                }
            }
            Slot::Spare(_) if contact.is_bad() => _ = self.take(&address),
            Slot::Spare(_) => {}
        }
        self.note_check(at);
    }

    /// Says whether a node is here, as a spare perhaps: it answered us before.
    pub(crate) fn knows(&self, node: &Node) -> bool {
        self.buckets[self.depth_of(&node.id)].find(&node.id, &Address::of(node.address)).is_some()
    }

    /// Says whether there is somebody, but nobody who is not bad.
    pub(crate) fn is_deserted(&self) -> bool {
        !self.is_empty() && self.buckets.iter().flat_map(Bucket::contacts).all(Contact::is_bad)
    }

    /// Forgets all unanswered queries: for when it was the network that did not answer.
    pub(crate) fn forgive(&mut self) {
        for at in 0..self.buckets.len() {
            let bucket = &mut self.buckets[at];
            bucket.nodes.iter_mut().chain(&mut bucket.spares).for_each(|contact| contact.failures = 0);
            self.note_check(at);
        }
    }

    /// Drops whoever is at an address.
    pub(crate) fn remove(&mut self, address: SocketAddr) {
        self.take(&Address::of(address));
    }

    /// Appends the nodes that are nearest to an id, nearest first: at most `count`, no bad ones and no spares.
    pub(crate) fn closest(&self, target: &NodeId, count: usize, into: &mut Vec<Node>) {
        let distance = self.own.distance(target);
        let last = self.buckets.len() - 1;
        let full = into.len().saturating_add(count);
        // Where the target's bit differs from ours, the bucket of that depth, whose ids have the target's, is nearer than all deeper
        // ones; where it does not, it is farther than those.
        let nearer = (0..last).filter(|at| prefix::bit(&distance, *at));
        let farther = (0..last).rev().filter(|at| !prefix::bit(&distance, *at));
        let mut places = [(0, 0); MOST];
        for at in nearer.chain([last]).chain(farther) {
            if into.len() >= full {
                return;
            }
            let nodes = &self.buckets[at].nodes;
            let sorted = order::sort(nodes, target, &mut places);
            into.extend(sorted.iter().take(full - into.len()).map(|(_, at)| nodes[usize::from(*at)].node()));
        }
    }

    /// Gives a node to ping now, and counts it as pinged: where spares wait, one that left a query unanswered, or else the questionable one
    /// that was heard of longest ago. One at a time in a bucket. To be called until it gives none.
    pub(crate) fn next_check(&mut self, now: Instant) -> Option<Node> {
        if !is_due(self.check_at, now) {
            return None;
        }
        for bucket in &mut self.buckets {
            if let Some(node) = bucket.to_check(now).map(Contact::node) {
                bucket.check_after = now + CHECK_AGAIN;
                return Some(node);
            }
        }
        self.check_at = self.buckets.iter().map(Bucket::check_at).min().unwrap_or(Instant::NEVER);
        None
    }

    /// Gives an id to look up now, in a bucket that did not change for 15 minutes, and counts that one as changed. To be called until it
    /// gives none; a table with no nodes at all has none.
    pub(crate) fn next_refresh(&mut self, now: Instant, rng: &mut Rng) -> Option<NodeId> {
        if self.is_empty() || !is_due(self.refresh_at, now) {
            return None;
        }
        let last = self.buckets.len() - 1;
        let stale = (0..=last).min_by_key(|at| self.buckets[*at].changed)?;
        let bucket = &mut self.buckets[stale];
        let due = bucket.changed + REFRESH;
        if !is_due(due, now) {
            self.refresh_at = due;
            return None;
        }
        bucket.changed = now;
        Some(prefix::random(&self.own, stale, stale < last, rng))
    }

    /// Gives when [`next_check`](Self::next_check) or [`next_refresh`](Self::next_refresh) may next have something: early at times, never late.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = self.check_at.min(self.refresh_at);
        (!self.is_empty() && due != Instant::NEVER).then_some(due)
    }

    pub(super) fn heap(&self) -> usize {
        let buckets = self.buckets.iter().map(|bucket| bucket.nodes.heap() + bucket.spares.heap()).sum::<usize>();
        self.buckets.heap() + buckets + self.diversity.heap()
    }

    /// Gives how many nodes there are, good or not; without spares.
    pub(crate) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.nodes.len()).sum()
    }

    /// Says whether there is nobody, not even a spare.
    pub(crate) fn is_empty(&self) -> bool {
        self.diversity.len() == 0
    }

    /// Gives how many nodes are good; without spares.
    pub(crate) fn good(&self, now: Instant) -> usize {
        self.buckets.iter().flat_map(|bucket| &bucket.nodes).filter(|node| node.is_good(now)).count()
    }

    /// Goes over all nodes and spares, the farthest buckets first.
    pub(crate) fn iter(&self, now: Instant) -> impl Iterator<Item = Entry> {
        let entry = move |contact: &Contact, spare| Entry {
            node: contact.node(),
            state: contact.state(now),
            rtt: contact.rtt(),
            last_seen: contact.seen,
            spare,
        };
        self.buckets.iter().flat_map(move |bucket| {
            let nodes = bucket.nodes.iter().map(move |node| entry(node, false));
            nodes.chain(bucket.spares.iter().map(move |spare| entry(spare, true)))
        })
    }

    /// Goes over the buckets, the farthest first.
    #[cfg(test)]
    pub(crate) fn buckets(&self, now: Instant) -> impl Iterator<Item = Fill> {
        self.buckets.iter().enumerate().map(move |(depth, bucket)| Fill {
            depth,
            nodes: bucket.nodes.len(),
            good: bucket.nodes.iter().filter(|node| node.is_good(now)).count(),
            spares: bucket.spares.len(),
            changed: bucket.changed,
        })
    }

    /// The bucket that an id belongs to.
    fn depth_of(&self, id: &NodeId) -> usize {
        prefix::shared(&self.own, id).min(self.buckets.len() - 1)
    }

    /// Lets spares into places that have become free or are bad nodes'. Says whether somebody was replaced.
    fn settle(&mut self, at: usize) -> bool {
        let mut replaced = false;
        while let Some(gone) = self.buckets[at].promote(self.rules.bucket) {
            self.diversity.remove(gone.address);
            replaced = true;
        }
        self.note_check(at);
        replaced
    }

    /// Takes out whoever is at an address; if it was a node, a spare takes its place.
    fn take(&mut self, address: &Address) -> Option<Contact> {
        if !self.diversity.contains(*address) {
            return None;
        }
        let (at, slot) = (0..).zip(&self.buckets).find_map(|(at, bucket)| bucket.at(address).map(|slot| (at, slot)))?;
        let contact = self.buckets[at].take(slot);
        self.diversity.remove(*address);
        self.settle(at);
        Some(contact)
    }

    /// Takes note that the next check of a bucket may be earlier than any other.
    fn note_check(&mut self, at: usize) {
        self.check_at = self.check_at.min(self.buckets[at].check_at());
    }
}
