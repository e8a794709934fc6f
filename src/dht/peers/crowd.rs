//! The peers of one torrent and one family.

use super::StoreLimits;
use crate::dht::draw::Draw;
use crate::dht::memory::Heap as _;
use crate::dht::party::Party;
use crate::machine::Rng;
use crate::proto::compact;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// A peer: its address in the compact form of its family (`N` is 6 or 18), and 4 bytes in which the time and the seed's mark are.
#[derive(Clone, Copy)]
struct Entry<const N: usize> {
    address: [u8; N],
    stamp: [u8; 4],
}

impl<const N: usize> Entry<N> {
    fn new(address: [u8; N], at: u32, seed: bool) -> Self {
        Self { address, stamp: (at << 1 | u32::from(seed)).to_le_bytes() }
    }

    /// When it was last announced, in seconds of the store.
    fn at(&self) -> u32 {
        u32::from_le_bytes(self.stamp) >> 1
    }

    fn is_seed(&self) -> bool {
        self.stamp[0] & 1 == 1
    }

    fn socket(&self) -> Option<SocketAddr> {
        // It has one of the two lengths.
        compact::decode(&self.address)
    }
}

/// Where a peer goes.
pub(super) enum Place {
    /// It is there.
    Known(usize),
    /// It takes the place of another peer of the same party, which has as many here as it may.
    Instead(usize),
    /// It is one more.
    New,
    /// It would be one more than there may be.
    Full,
}

/// The peers of one torrent and one family.
///
/// What it tracks: the peers in the order of their addresses, so that one is found by halving and those of one address or /64 lie side
/// by side; how many are seeds; and a time before which none was announced. A peer takes 10 bytes, or 22 of IPv6.
pub(super) struct Crowd<const N: usize> {
    entries: Vec<Entry<N>>,
    seeds: u32,
    oldest: u32,
}

impl<const N: usize> Crowd<N> {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), seeds: 0, oldest: u32::MAX }
    }

    pub(super) fn heap(&self) -> usize {
        self.entries.heap()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Gives a time before which none was announced; the end of time where there is none.
    pub(super) fn oldest(&self) -> u32 {
        self.oldest
    }

    /// Gives the peers, and whether they are seeds.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketAddr, bool)> {
        self.entries.iter().filter_map(|entry| Some((entry.socket()?, entry.is_seed())))
    }

    pub(super) fn parties(&self) -> impl Iterator<Item = Party> {
        self.iter().map(|(address, _)| Party::of(address.ip()))
    }

    /// Says where a peer goes.
    pub(super) fn place(&self, address: &[u8; N], limits: &StoreLimits) -> Place {
        if let Ok(at) = self.find(address) {
            return Place::Known(at);
        }
        let of_ip = self.beginning_as(address, N - 2);
        if of_ip.len() >= limits.ports.max(1) {
            return Place::Instead(self.oldest_of(of_ip));
        }
        if N == 18 {
            let of_network = self.beginning_as(address, 8);
            if of_network.len() >= limits.per_network.max(1) {
                return Place::Instead(self.oldest_of(of_network));
            }
        }
        if self.entries.len() >= limits.per_hash.max(1) { Place::Full } else { Place::New }
    }

    fn find(&self, address: &[u8; N]) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.address.cmp(address))
    }

    /// Gives where the peers are whose addresses begin as one does.
    fn beginning_as(&self, address: &[u8; N], length: usize) -> Range<usize> {
        let wanted = &address[..length];
        let begin = self.entries.partition_point(|entry| &entry.address[..length] < wanted);
        let same = self.entries[begin..].partition_point(|entry| &entry.address[..length] == wanted);
        begin..begin + same
    }

    /// Gives the one of some that was not announced for longest.
    fn oldest_of(&self, range: Range<usize>) -> usize {
        // There is one: no limit is 0.
        range.min_by_key(|at| self.entries[*at].at()).unwrap_or_default()
    }

    /// Notes that a peer is announced again.
    pub(super) fn renew(&mut self, place: usize, at: u32, seed: bool) {
        let entry = &mut self.entries[place];
        self.seeds -= u32::from(entry.is_seed());
        self.seeds += u32::from(seed);
        *entry = Entry::new(entry.address, at, seed);
        self.oldest = self.oldest.min(at);
    }

    /// Puts in a peer that is not there.
    pub(super) fn insert(&mut self, address: [u8; N], at: u32, seed: bool) {
        let Err(place) = self.find(&address) else { return };
        self.entries.insert(place, Entry::new(address, at, seed));
        self.seeds += u32::from(seed);
        self.oldest = self.oldest.min(at);
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<IpAddr> {
        let entry = self.entries.remove(place);
        self.seeds -= u32::from(entry.is_seed());
        entry.socket().map(|address| address.ip())
    }

    /// Takes out those that were last announced at a time or before; names their parties.
    pub(super) fn sweep(&mut self, until: u32, mut gone: impl FnMut(Party)) {
        let (mut seeds, mut oldest) = (0, u32::MAX);
        self.entries.retain(|entry| {
            let keep = entry.at() > until;
            if keep {
                seeds += u32::from(entry.is_seed());
                oldest = oldest.min(entry.at());
            } else if let Some(address) = entry.socket() {
                gone(Party::of(address.ip()));
            }
            keep
        });
        (self.seeds, self.oldest) = (seeds, oldest);
        if self.entries.capacity() > 4 * self.entries.len() {
            // Once large is not large for ever.
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    /// Appends so many of them, or all, in a random order: every set of so many is as likely as any other.
    pub(super) fn pick(&self, rng: &mut Rng, draw: &mut Draw, count: usize, no_seed: bool, into: &mut Vec<SocketAddr>) {
        let start = into.len();
        if no_seed && self.seeds > 0 {
            // Each with the chance that fills what is wanted from what is left (Knuth, algorithm 3.4.2 S).
            let mut left = self.entries.len() as u32 - self.seeds;
            let mut wanted = u32::try_from(count).unwrap_or(u32::MAX).min(left);
            for entry in self.entries.iter().filter(|entry| !entry.is_seed()) {
                if wanted == 0 {
                    break;
                }
                if rng.below(left) < wanted {
                    into.extend(entry.socket());
                    wanted -= 1;
                }
                left -= 1;
            }
        } else {
            draw.distinct(rng, self.entries.len(), count, |at| into.extend(self.entries[at].socket()));
        }
        // A reply may have room for the first of them alone.
        rng.shuffle(&mut into[start..]);
    }

    #[cfg(test)]
    pub(super) fn capacity_in_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<N>>()
    }

    #[cfg(test)]
    pub(super) fn check(&self, limits: &StoreLimits) {
        assert!(self.entries.windows(2).all(|pair| pair[0].address < pair[1].address));
        assert_eq!(self.seeds as usize, self.entries.iter().filter(|entry| entry.is_seed()).count());
        assert!(self.entries.iter().all(|entry| entry.at() >= self.oldest));
        assert!(self.entries.len() <= limits.per_hash);
        for entry in &self.entries {
            assert!(self.beginning_as(&entry.address, N - 2).len() <= limits.ports);
            assert!(N == 6 || self.beginning_as(&entry.address, 8).len() <= limits.per_network);
        }
    }
}
