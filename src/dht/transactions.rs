//! Our queries under way: which answer belongs to which.

use super::command::RequestId;
use crate::dht::memory::Heap as _;
use crate::machine::{Instant, Map, Rng, Secret};
use crate::proto::id::NodeId;
use crate::proto::krpc::TRANSACTION;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// A lookup under way. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LookupId(pub(super) u64);

/// A request under way: its name, and a number that is never used again, as names may be once a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) request: RequestId,
    pub(super) serial: u64,
}

/// Why something was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To get nearer to a target.
    Lookup(LookupId),
    /// To store something for a request.
    Store(Ticket),
    /// Because the program wants to know whether the node is there.
    Ping(Ticket),
    /// To see whether the node is there, for the routing table's sake.
    Upkeep,
}

/// A query that has not been answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    /// The side that sent it, by its place.
    pub(super) side: usize,
    /// Who was asked.
    pub(super) to: SocketAddr,
    /// The id of who was asked, where it was known.
    pub(super) id: Option<NodeId>,
    /// When.
    pub(super) sent: Instant,
    /// Why.
    pub(super) purpose: Purpose,
}

struct Entry {
    pending: Pending,
    /// When the next of its two times comes, and the one after that.
    due: Instant,
    then: Option<Instant>,
}

/// What has become of a query that was not answered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// It may still be answered.
    Slow,
    /// It will not be.
    Lost,
}

/// The queries under way. Their transaction ids are four bytes that nobody else can foretell.
pub(super) struct Transactions {
    pending: Map<u32, Entry>,
    due: BTreeSet<(Instant, u32)>,
    limit: usize,
    secret: Secret,
    count: u64,
    /// Ids that are made and not used yet.
    ready: Vec<u32>,
}

impl Transactions {
    pub(super) fn new(limit: usize, secret: Secret, rng: &mut Rng) -> Self {
        Self { pending: Map::new(rng), due: BTreeSet::new(), limit, secret, count: 0, ready: Vec::new() }
    }

    pub(super) fn heap(&self) -> usize {
        self.pending.heap() + self.due.heap() + self.ready.heap()
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= self.limit
    }

    /// Takes a query in; gives its transaction id. `None` when there are as many as there may be.
    pub(super) fn open(
        &mut self,
        pending: Pending,
        slow_after: Duration,
        lost_after: Duration,
    ) -> Option<[u8; TRANSACTION]> {
        if self.is_full() {
            return None;
        }
        let id = loop {
            let id = self.next_id();
            if !self.pending.contains_key(&id) {
                break id;
            }
        };
        let (slow, lost) = (pending.sent + slow_after.min(lost_after), pending.sent + lost_after);
        self.pending.insert(id, Entry { pending, due: slow, then: Some(lost) });
        self.due.insert((slow, id));
        Some(id.to_be_bytes())
    }

    fn next_id(&mut self) -> u32 {
        loop {
            if let Some(id) = self.ready.pop() {
                return id;
            }
            let bytes = self.secret.expand("transaction", &self.count.to_be_bytes());
            self.count += 1;
            self.ready.extend(bytes.chunks_exact(4).map(|id| u32::from_be_bytes([id[0], id[1], id[2], id[3]])));
        }
    }

    /// Takes out the query that an answer belongs to: it must have come to the side that asked, from the address that was asked.
    pub(super) fn take(&mut self, transaction: &[u8], side: usize, from: SocketAddr) -> Option<Pending> {
        let id = u32::from_be_bytes(transaction.try_into().ok()?);
        let pending = self.pending.get(&id).map(|entry| entry.pending)?;
        if pending.side != side || pending.to != from {
            return None;
        }
        let entry = self.pending.remove(&id)?;
        self.due.remove(&(entry.due, id));
        Some(pending)
    }

    /// Gives a query that has become late. One that is lost is gone with that.
    pub(super) fn next_late(&mut self, now: Instant) -> Option<(Pending, Late)> {
        let (at, id) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.remove(&(at, id));
        let entry = self.pending.get_mut(&id)?;
        let pending = entry.pending;
        match entry.then.take() {
            Some(then) => {
                entry.due = then;
                self.due.insert((then, id));
                Some((pending, Late::Slow))
            }
            None => {
                self.pending.remove(&id);
                Some((pending, Late::Lost))
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn clear(&mut self) {
        self.pending.clear();
        self.due.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 6881))
    }

    fn pending(n: u8) -> Pending {
        Pending { side: 0, to: address(n), id: None, sent: Instant::from_micros(1_000_000), purpose: Purpose::Upkeep }
    }

    fn transactions(limit: usize) -> Transactions {
        Transactions::new(limit, Secret::new([7; 32]), &mut Rng::new(1))
    }

    const SLOW: Duration = Duration::from_secs(1);
    const LOST: Duration = Duration::from_secs(5);

    #[test]
    fn an_answer_counts_only_from_the_address_that_was_asked_at_the_side_that_asked_and_once() {
        let mut all = transactions(10);
        let id = all.open(pending(1), SLOW, LOST).unwrap();
        assert!(all.take(&id, 0, address(2)).is_none(), "another address");
        assert!(all.take(&id, 0, SocketAddr::new(address(1).ip(), 6882)).is_none(), "another port");
        assert!(all.take(&id, 1, address(1)).is_none(), "another side");
        assert!(all.take(&id[..3], 0, address(1)).is_none() && all.take(&[], 0, address(1)).is_none());
        assert!(all.take(&id, 0, address(1)).is_some());
        assert!(all.take(&id, 0, address(1)).is_none(), "twice");
        assert_eq!((all.len(), all.next_due()), (0, None));
    }

    #[test]
    fn a_query_is_slow_first_then_lost_and_an_answer_between_counts() {
        let mut all = transactions(10);
        let (one, two) = (all.open(pending(1), SLOW, LOST).unwrap(), all.open(pending(2), SLOW, LOST).unwrap());
        let at = |seconds| Instant::from_micros(1_000_000) + Duration::from_secs(seconds);
        assert!(all.next_late(at(0)).is_none());
        let late: Vec<_> = std::iter::from_fn(|| all.next_late(at(1))).map(|(p, late)| (p.to, late)).collect();
        assert_eq!(late.len(), 2);
        assert!(late.iter().all(|(_, late)| *late == Late::Slow));
        assert!(all.take(&one, 0, address(1)).is_some());
        assert!(all.next_late(at(4)).is_none());
        assert_eq!(all.next_late(at(5)).map(|(p, late)| (p.to, late)), Some((address(2), Late::Lost)));
        assert!(all.take(&two, 0, address(2)).is_none());
        assert_eq!(all.len(), 0);
    }

    #[test]
    fn there_are_never_more_than_the_limit_and_no_id_comes_twice() {
        let mut all = transactions(1000);
        let ids: BTreeSet<_> = (0..1000).map(|_| all.open(pending(1), SLOW, LOST).unwrap()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(all.open(pending(1), SLOW, LOST).is_none() && all.is_full());
        let other: BTreeSet<_> = {
            let mut other = Transactions::new(1000, Secret::new([8; 32]), &mut Rng::new(1));
            (0..1000).map(|_| other.open(pending(1), SLOW, LOST).unwrap()).collect()
        };
        assert_eq!(ids.intersection(&other).count(), 0, "another secret gives other ids");
    }
}
