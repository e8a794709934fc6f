//! Who enters a table.

use super::bucket::Bucket;
use super::contact::{Address, Contact, State};
use super::{Table, prefix};
use crate::machine::Instant;
use crate::proto::compact::Node;
use crate::proto::id::NodeId;
use crate::proto::krpc::node_id;

/// Whom a table takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Nodes of a bucket: 1 to 32, 8 in BEP 5.
    pub(crate) bucket: usize,
    /// Spares of a bucket: up to 32.
    pub(crate) spares: usize,
    /// Whether an IP address may have one node at most, on whatever port.
    pub(crate) one_per_ip: bool,
    /// Nodes and spares of a bucket that may be of one /24 (IPv4) or /64 (IPv6); `usize::MAX` for no rule.
    pub(crate) per_subnet_bucket: usize,
    /// Nodes and spares of all buckets that may be of one /24 or /64; `usize::MAX` for no rule.
    pub(crate) per_subnet_table: usize,
    /// Whether ids have to go with their addresses (BEP 42).
    pub(crate) enforce_id: bool,
}

/// What became of a node that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It was in the table, as a node or a spare.
    Known,
    /// It is a node of the table now.
    Added,
    /// It waits for a place.
    Spare,
    /// It may not enter, or all places are taken.
    Refused,
}

impl Table {
    /// Says whether a node is worth a ping: whether it would enter if it answered, or is there and bad. A full bucket with as many good spares as there may be wants
    /// nobody, though who answers all the same takes the place of the spare that was heard of longest ago.
    pub(crate) fn wants(&self, now: Instant, node: &Node) -> bool {
        let address = Address::of(node.address);
        if address.family != self.family || node.id == self.own {
            return false;
        }
        let at = self.depth_of(&node.id);
        let bucket = &self.buckets[at];
        if let Some(known) = bucket.contacts().find(|contact| contact.is(&node.id, &address)) {
            return known.is_bad();
        }
        let Some(waits) = waits(bucket, now, &node.id, &address) else { return false };
        self.has_place(now, at, &node.id, &address, waits)
            && (!self.rules.enforce_id || node_id::is_valid_for(&node.id, node.address.ip()))
            && (self.fits(at, &address) || self.would_fit(at, &address))
    }

    fn can_split(&self, at: usize) -> bool {
        at + 1 == self.buckets.len() && self.buckets.len() < prefix::BITS
    }

    /// Takes a newcomer, whose address nobody here has, or one that comes again after our id has changed.
    pub(super) fn admit(&mut self, now: Instant, contact: Contact) -> Admission {
        let Contact { id, address, .. } = contact;
        let at = self.depth_of(&id);
        let Some(waits) = waits(&self.buckets[at], now, &id, &address) else { return Admission::Refused };
        if id == self.own || !self.make_fit(at, &address) {
            return Admission::Refused;
        }
        // What has its id and may be displaced: a bad node, or a spare that is not good.
        let bucket = &self.buckets[at];
        let node = bucket.node_named(&id).filter(|_| !waits);
        let displaced = [node, bucket.spare_named(&id)].map(|other| other.map(|other| other.address));
        for other in displaced.iter().flatten() {
            self.take(other);
        }
        if !waits {
            if self.enter(now, contact) {
                return Admission::Added;
            }
            if contact.is_bad() {
                return Admission::Refused;
            }
        }
        self.wait(contact)
    }

    /// Gives a newcomer the place of a node: a free one, a bad one's, or one that splitting the last bucket makes.
    fn enter(&mut self, now: Instant, contact: Contact) -> bool {
        loop {
            let at = self.depth_of(&contact.id);
            let bucket = &mut self.buckets[at];
            if bucket.nodes.len() < self.rules.bucket {
                bucket.nodes.push(contact);
            } else if contact.is_bad() {
                return false;
            } else if let Some(bad) = bucket.nodes.iter_mut().find(|node| node.is_bad()) {
                let gone = std::mem::replace(bad, contact);
                self.diversity.remove(gone.address);
            } else if self.can_split(at) {
                self.split();
                continue;
            } else {
                return false;
            }
            let bucket = &mut self.buckets[at];
            bucket.changed = bucket.changed.max(now);
            if self.is_empty() {
                self.refresh_at =
                    self.buckets.iter().map(|bucket| bucket.changed + super::REFRESH).min().unwrap_or(now);
            }
            self.diversity.insert(contact.address);
            self.note_check(at);
            return true;
        }
    }

    /// Gives a newcomer the place of a spare: a free one, or that of the one heard of longest ago.
    fn wait(&mut self, contact: Contact) -> Admission {
        let at = self.depth_of(&contact.id);
        let bucket = &mut self.buckets[at];
        if bucket.spares.len() < self.rules.spares {
            bucket.spares.push(contact);
        } else {
            let stalest = bucket.stalest_spare().map(|at| &mut bucket.spares[at]);
            let Some(stalest) = stalest.filter(|stalest| stalest.seen < contact.seen) else {
                return Admission::Refused;
            };
            let gone = std::mem::replace(stalest, contact);
            self.diversity.remove(gone.address);
        }
        self.diversity.insert(contact.address);
        self.note_check(at);
        Admission::Spare
    }

    /// Splits the last bucket in those that differ from us in the next bit, and those that do not.
    pub(super) fn split(&mut self) {
        let at = self.buckets.len() - 1;
        let near = |contact: &Contact| prefix::shared(&self.own, &contact.id) > at;
        let bucket = &mut self.buckets[at];
        let mut deeper = Bucket::new(bucket.changed);
        deeper.check_after = bucket.check_after;
        for (from, to) in [(&mut bucket.nodes, &mut deeper.nodes), (&mut bucket.spares, &mut deeper.spares)] {
            to.extend(from.iter().copied().filter(near));
            from.retain(|contact| !near(contact));
        }
        self.buckets.push(deeper);
        self.settle(at);
        self.settle(at + 1);
    }

    /// Whether a newcomer to a bucket that may enter it would get a place there.
    fn has_place(&self, now: Instant, at: usize, id: &NodeId, address: &Address, waits: bool) -> bool {
        let bucket = &self.buckets[at];
        // Whoever is at its address would make place for it.
        if self.diversity.contains(*address) && bucket.at(address).is_some() {
            return !waits || self.rules.spares > 0;
        }
        // Once the last bucket is split, it would share one only with those that differ from us where it does.
        let (splits, depth) = (self.can_split(at) && !waits, prefix::shared(&self.own, id));
        let same = |contact: &&Contact| !splits || prefix::shared(&self.own, &contact.id) == depth;
        let among = |list: &[Contact], most| list.iter().filter(same).count() < most;
        !waits && (among(&bucket.nodes, self.rules.bucket) || bucket.nodes.iter().any(Contact::is_bad))
            || among(&bucket.spares, self.rules.spares)
            || bucket.spares.iter().filter(same).any(|spare| !spare.is_good(now))
    }

    /// Whether there is room for one more of its IP address and network.
    fn fits(&self, at: usize, address: &Address) -> bool {
        let rules = &self.rules;
        !(rules.one_per_ip && self.diversity.has_ip(*address))
            && (rules.per_subnet_table == usize::MAX || self.diversity.of_network(*address) < rules.per_subnet_table)
            && (rules.per_subnet_bucket == usize::MAX || self.of_network(at, address) < rules.per_subnet_bucket)
    }

    fn of_network(&self, at: usize, address: &Address) -> usize {
        let (network, _) = address.network_and_host();
        let contacts = self.buckets[at].contacts();
        contacts.filter(|contact| contact.address.network_and_host().0 == network).count()
    }

    /// Whether there would be room if bad nodes, and whoever is at the address itself, were gone.
    fn would_fit(&self, at: usize, address: &Address) -> bool {
        let (network, host) = address.network_and_host();
        let (mut of_ip, mut of_table, mut of_bucket) = (0, 0, 0);
        for (depth, bucket) in self.buckets.iter().enumerate() {
            for contact in bucket.contacts().filter(|contact| !contact.is_bad() && contact.address != *address) {
                let other = contact.address.network_and_host();
                if other.0 == network {
                    of_ip += usize::from(other.1 == host);
                    of_table += 1;
                    of_bucket += usize::from(depth == at);
                }
            }
        }
        let rules = &self.rules;
        !(rules.one_per_ip && of_ip > 0) && of_table < rules.per_subnet_table && of_bucket < rules.per_subnet_bucket
    }

    /// Makes room for one more of its IP address and network, where bad nodes take it. Says whether there is room now.
    fn make_fit(&mut self, at: usize, address: &Address) -> bool {
        if self.fits(at, address) {
            return true;
        }
        if !self.would_fit(at, address) {
            return false;
        }
        let (network, host) = address.network_and_host();
        while !self.fits(at, address) {
            let all = self
                .buckets
                .iter()
                .enumerate()
                .flat_map(|(at, bucket)| bucket.nodes.iter().map(move |node| (at, node)));
            let bad = all.filter(|(_, node)| node.is_bad() && node.address.network_and_host().0 == network);
            // What stands in the way of the narrowest rule first.
            let first = bad.min_by_key(|(depth, node)| (node.address.network_and_host().1 != host, *depth != at));
            let Some(gone) = first.map(|(_, node)| node.address) else { return false };
            self.take(&gone);
        }
        true
    }
}

/// Says whether a newcomer has to wait, because a questionable node has its id; `None` where a good one has it, or a good spare.
fn waits(bucket: &Bucket, now: Instant, id: &NodeId, address: &Address) -> Option<bool> {
    let elsewhere = |contact: Option<&Contact>| contact.filter(|c| c.address != *address).map(|c| c.state(now));
    let (node, spare) = (elsewhere(bucket.node_named(id)), elsewhere(bucket.spare_named(id)));
    let good = Some(State::Good);
    (node != good && spare != good).then_some(node == Some(State::Questionable))
}
