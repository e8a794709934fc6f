//! The items that others put here (BEP 44).

mod owners;
mod put;
#[cfg(test)]
mod tests;

pub(crate) use put::PutError;

use crate::dht::memory::Heap as _;
use crate::dht::party::Party;
use crate::machine::{Instant, Map, Rng, Timers};
use crate::proto::id::NodeId;
use crate::proto::krpc::item;
use crate::proto::krpc::{MAX_SALT, MAX_VALUE, Mutable};
use owners::Owners;
use std::net::IpAddr;
use std::time::Duration;

/// How long what has expired may stay in memory, so that its going needs no wake-up of its own. Nobody is told of it meanwhile.
const SLACK: Duration = Duration::from_secs(60);

/// What a node of the DHT keeps of the items that others put there.
///
/// No host can fill it: what one address, or one /64 of IPv6 addresses, has put is bounded (`per_ip`). What many put together displaces,
/// beyond `items`, the item that expires first of the host with the most, so that who puts little keeps it.
///
/// With the default limits it takes less than 2 MiB when it is full; what it has is allocated as it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemLimits {
    /// Items. Default 1,000; at least 1.
    pub items: usize,
    /// Items that were first put by one address, or by one /64 of IPv6 addresses. What it puts beyond is refused. Default 50.
    pub per_ip: usize,
    /// For how long an item is kept that is not put again. Default 2 hours, as BEP 44 has it.
    pub expiry: Duration,
    /// Bytes of a bencoded value. Default 1,000, which is the most.
    pub value: usize,
}

impl Default for ItemLimits {
    fn default() -> Self {
        Self { items: 1_000, per_ip: 50, expiry: Duration::from_secs(2 * 3_600), value: MAX_VALUE }
    }
}

impl ItemLimits {
    /// Gives the same limits without that per host: in a network on one host all nodes have one address.
    #[must_use]
    pub(crate) fn of_local_network(self) -> Self {
        Self { per_ip: usize::MAX, ..self }
    }
}

/// An item that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// The bencoded value.
    pub(crate) value: Box<[u8]>,
    /// What shows that the value is the owner's, if it can be changed.
    pub(crate) signed: Option<Box<Signed>>,
}

/// The owner's key, and its word for a value. The salt is not kept: who asks has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) key: [u8; 32],
    pub(crate) seq: i64,
    pub(crate) signature: [u8; 64],
}

#[derive(Debug)]
struct Stored {
    item: Item,
    /// Who put it first: who has to answer for its place.
    owner: Party,
    expires: Instant,
}

/// The items that others put here.
///
/// What it tracks: the items by their targets, with the time at which each expires; and who put which. A call costs a logarithm of the
/// number of items, and for a mutable item the verification of its signature, which comes last.
#[derive(Debug)]
pub(crate) struct Items {
    limits: ItemLimits,
    items: Map<NodeId, Stored>,
    owners: Owners,
    timers: Timers<NodeId>,
}

impl Items {
    pub(crate) fn new(limits: ItemLimits, rng: &mut Rng) -> Self {
        Self { limits, items: Map::new(rng), owners: Owners::new(rng), timers: Timers::new() }
    }

    pub(super) fn heap(&self) -> usize {
        let item = |item: &Item| item.value.len() + item.signed.as_deref().map_or(0, size_of_val);
        let values = self.items.iter_unordered().map(|(_, stored)| item(&stored.item)).sum::<usize>();
        self.items.heap() + values + self.owners.heap() + self.timers.heap()
    }

    /// Gives the number of items; those that expired in the last minute may be among them.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Stores an item that never changes under its hash, or keeps it for longer. The value must be one ([`item::is_value`]), and the
    /// target its own.
    pub(crate) fn put_immutable(
        &mut self,
        now: Instant,
        from: IpAddr,
        target: NodeId,
        value: &[u8],
    ) -> Result<(), PutError> {
        debug_assert_eq!(target, item::immutable_target(value));
        if value.len() > self.limits.value {
            return Err(PutError::ValueTooBig);
        }
        match self.live(now, &target) {
            // The same: the target is its hash.
            Some(Stored { item: Item { signed: None, .. }, .. }) => {
                self.renew(now, target);
                Ok(())
            }
            Some(_) => Err(PutError::OtherKind),
            None => {
                let from = self.admit(now, from)?;
                self.insert(now, from, target, Item { value: value.into(), signed: None });
                Ok(())
            }
        }
    }

    /// Stores an item of a key's owner, in the place of an older one, or keeps it for longer if it is the same. The value must be one
    /// ([`item::is_value`]).
    pub(crate) fn put_mutable(
        &mut self,
        now: Instant,
        from: IpAddr,
        put: &Mutable<'_>,
        value: &[u8],
    ) -> Result<(), PutError> {
        self.put_signed(now, from, put, value, verify)
    }

    fn put_signed(
        &mut self,
        now: Instant,
        from: IpAddr,
        put: &Mutable<'_>,
        value: &[u8],
        verify: impl FnOnce(&Mutable<'_>, &[u8]) -> Result<(), PutError>,
    ) -> Result<(), PutError> {
        if value.len() > self.limits.value {
            return Err(PutError::ValueTooBig);
        }
        if put.salt.len() > MAX_SALT {
            return Err(PutError::SaltTooBig);
        }
        if put.seq < 0 {
            return Err(PutError::NegativeSequence);
        }
        let target = item::mutable_target(put.key, put.salt);
        let item = |value: &[u8]| Item {
            value: value.into(),
            signed: Some(Box::new(Signed { key: *put.key, seq: put.seq, signature: *put.signature })),
        };
        let Some(stored) = self.live(now, &target) else {
            let from = self.admit(now, from)?;
            verify(put, value)?;
            self.insert(now, from, target, item(value));
            return Ok(());
        };
        let Some(signed) = &stored.item.signed else { return Err(PutError::OtherKind) };
        if put.cas.is_some_and(|cas| cas != signed.seq) {
            return Err(PutError::CasMismatch);
        }
        let same = *stored.item.value == *value;
        if put.seq < signed.seq || put.seq == signed.seq && !same {
            return Err(PutError::SequenceTooLow);
        }
        // What has been verified once need not be again.
        if !(same && put.seq == signed.seq && *put.signature == signed.signature) {
            verify(put, value)?;
            if let Some(stored) = self.items.get_mut(&target) {
                stored.item = item(value);
            }
        }
        self.renew(now, target);
        Ok(())
    }

    /// Gives the item that is stored under a target.
    pub(crate) fn get(&self, now: Instant, target: &NodeId) -> Option<&Item> {
        self.items.get(target).filter(|stored| stored.expires > now).map(|stored| &stored.item)
    }

    /// Takes out at most so many items that have expired. Says how many.
    pub(crate) fn expire(&mut self, now: Instant, budget: usize) -> usize {
        for gone in 0..budget {
            let Some(target) = self.timers.pop(now) else { return gone };
            self.remove(target);
        }
        budget
    }

    /// Gives when [`expire`](Self::expire) should be called next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.timers.next().map(|at| at + SLACK)
    }

    /// Gives what is stored under a target, unless it has expired: then it is taken out.
    fn live(&mut self, now: Instant, target: &NodeId) -> Option<&Stored> {
        if self.items.get(target)?.expires <= now {
            self.remove(*target);
        }
        self.items.get(target)
    }

    /// Says whether a host may put one more, when its own that have expired are taken out.
    fn admit(&mut self, now: Instant, from: IpAddr) -> Result<Party, PutError> {
        let party = Party::of(from);
        while let Some((_, target)) = self.owners.first(party).filter(|(expires, _)| *expires <= now) {
            self.remove(target);
        }
        if self.owners.count(party) < self.limits.per_ip { Ok(party) } else { Err(PutError::Full) }
    }

    fn insert(&mut self, now: Instant, owner: Party, target: NodeId, item: Item) {
        if self.items.len() >= self.limits.items.max(1) {
            if let Some(out) = self.timers.pop(now).or_else(|| self.owners.first_of_the_most()) {
                self.remove(out);
            }
        }
        let expires = now + self.limits.expiry;
        self.items.insert(target, Stored { item, owner, expires });
        self.owners.add(owner, expires, target);
        self.timers.set(target, expires);
    }

    fn renew(&mut self, now: Instant, target: NodeId) {
        let Some(stored) = self.items.get_mut(&target) else { return };
        self.owners.remove(stored.owner, stored.expires, target);
        stored.expires = now + self.limits.expiry;
        self.owners.add(stored.owner, stored.expires, target);
        self.timers.set(target, stored.expires);
    }

    fn remove(&mut self, target: NodeId) {
        if let Some(stored) = self.items.remove(&target) {
            self.owners.remove(stored.owner, stored.expires, target);
            self.timers.cancel(target);
        }
    }
}

/// Says whether an item is its owner's.
#[cfg(feature = "mutable-items")]
fn verify(put: &Mutable<'_>, value: &[u8]) -> Result<(), PutError> {
    let good = item::verify(put.key, put.salt, put.seq, value, put.signature);
    if good { Ok(()) } else { Err(PutError::InvalidSignature) }
}

/// What cannot be verified is not stored.
#[cfg(not(feature = "mutable-items"))]
fn verify(_: &Mutable<'_>, _: &[u8]) -> Result<(), PutError> {
    Err(PutError::Unsupported)
}
