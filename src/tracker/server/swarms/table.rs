//! Torrents, found by a hash of their info hash.

use super::super::sip::Sip;
use super::members::below;
use super::swarm::Swarm;
use crate::machine::Rng;
use crate::proto::id::InfoHash;

/// How many slots there are at least where there is a torrent.
const LEAST: usize = 8;
/// With no more slots than this it is not made smaller.
const KEPT: usize = 64;
/// How often one is drawn before the next best is taken.
const TRIES: usize = 6;

/// A hash table that has the torrents in itself: an index of them would be one more thing that is not in the processor's cache.
///
/// What it tracks: a power of two of slots, at least a quarter of them free, and with more than 64 at least a sixth of them taken. A torrent is in the first
/// slot that was free from that of its hash on, so no free slot lies between.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Swarm>>,
    used: usize,
}

impl Table {
    fn home(&self, hash: u64) -> usize {
        // There is a power of two of slots: the mask keeps within them.
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    fn after(&self, slot: usize) -> usize {
        (slot + 1) & self.slots.len().wrapping_sub(1)
    }

    /// Gives the number of slots.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Swarm> {
        self.slots.iter().flatten()
    }

    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&Swarm> {
        self.slots.get(slot).and_then(Option::as_ref)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Swarm> {
        self.slots.get_mut(slot).and_then(Option::as_mut)
    }

    /// Finds the slot of a torrent.
    #[inline]
    pub(super) fn find(&self, hash: u64, info_hash: &InfoHash) -> Option<usize> {
        let mut slot = self.home(hash);
        while let Some(swarm) = self.slots.get(slot)? {
            if swarm.info_hash == *info_hash {
                return Some(slot);
            }
            slot = self.after(slot);
        }
        None
    }

    /// Takes in a torrent that is not in it; gives its slot. `sip` makes the hashes.
    pub(super) fn insert(&mut self, hash: u64, swarm: Swarm, sip: Sip) -> usize {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.resize((self.slots.len() * 2).max(LEAST), sip);
        }
        self.used += 1;
        self.put(hash, swarm)
    }

    fn put(&mut self, hash: u64, swarm: Swarm) -> usize {
        let mut slot = self.home(hash);
        while self.slots[slot].is_some() {
            slot = self.after(slot);
        }
        self.slots[slot] = Some(swarm);
        slot
    }

    #[cold]
    fn resize(&mut self, slots: usize, sip: Sip) {
        let mut table = Vec::with_capacity(slots);
        table.resize_with(slots, || None);
        for swarm in std::mem::replace(&mut self.slots, table).into_iter().flatten() {
            self.put(sip.of_hash(&swarm.info_hash.0), swarm);
        }
    }

    /// Takes out the torrent in a slot, if there is one. Another may be in its slot then. There may be half as many slots: what was in one is then in one
    /// of about the same number, or of half of all slots less.
    pub(super) fn remove(&mut self, slot: usize, sip: Sip) -> Option<Swarm> {
        let gone = self.slots.get_mut(slot)?.take()?;
        self.used -= 1;
        // Those behind it that may not stay behind a free slot move up.
        let (mut hole, mut next, mask) = (slot, self.after(slot), self.slots.len() - 1);
        while let Some(swarm) = &self.slots[next] {
            let home = self.home(sip.of_hash(&swarm.info_hash.0));
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.slots.swap(hole, next);
                hole = next;
            }
            next = self.after(next);
        }
        if self.used == 0 {
            self.slots = Vec::new();
        } else if self.slots.len() > KEPT && self.used * 6 < self.slots.len() {
            // Less than half of what it was made for: so that growing and shrinking do not take turns.
            self.resize(self.slots.len() / 2, sip);
        }
        Some(gone)
    }

    /// Gives the slot of a torrent for which something holds, drawn at random, each about as likely as the others. Where few of many are such it may find none;
    /// where there are few it finds one.
    pub(super) fn any(&self, rng: &mut Rng, is_such: impl Fn(&Swarm) -> bool) -> Option<usize> {
        let is_such = |slot: &usize| self.get(*slot).is_some_and(&is_such);
        let slots = self.slots.len();
        let drawn = (0..TRIES).map(|_| below(rng, slots)).find(is_such);
        // Otherwise the next one, of as many as there are in a small table.
        drawn.or_else(|| {
            let from = below(rng, slots);
            (from..from + slots.min(KEPT)).map(|slot| slot % slots).find(is_such)
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Swarm>>() + self.iter().map(Swarm::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Secret;

    fn numbered(n: u32) -> InfoHash {
        let mut hash = InfoHash([3; 20]);
        hash.0[..4].copy_from_slice(&n.to_be_bytes());
        hash
    }

    /// Plays against a plain vector, first with more and more torrents, then with fewer and fewer.
    #[test]
    fn what_is_in_it_is_found_and_nothing_else() {
        let sip = Sip::new(&Secret::new([3; 32]), "test");
        for seed in 0..20 {
            let (rng, mut table, mut known) = (&mut Rng::new(seed), Table::default(), Vec::new());
            for step in 0..3_000 {
                let hash = numbered(rng.below(600));
                let keyed = sip.of_hash(&hash.0);
                let (found, place) = (table.find(keyed, &hash), known.iter().position(|other| *other == hash));
                assert_eq!(found.is_some(), place.is_some(), "seed {seed}, step {step}");
                match (found, place) {
                    (Some(slot), Some(place)) if rng.below(3_000) < step => {
                        assert_eq!(table.remove(slot, sip).map(|swarm| swarm.info_hash), Some(hash));
                        known.swap_remove(place);
                    }
                    (None, _) if rng.below(3_000) >= step => {
                        let slot = table.insert(keyed, Swarm::new(hash, 0), sip);
                        assert_eq!(table.get(slot).map(|swarm| swarm.info_hash), Some(hash));
                        known.push(hash);
                    }
                    _ => {}
                }
                assert_eq!((table.used, table.iter().count()), (known.len(), known.len()));
                let (slots, used) = (table.slots(), table.used);
                assert!(used * 4 <= slots * 3 && (slots <= KEPT || used * 6 >= slots), "{used} of {slots}");
                assert_eq!(table.any(rng, |_| true).is_some(), used > 0);
            }
        }
    }

    #[test]
    fn an_empty_one_takes_no_memory_even_if_there_was_something_in_it() {
        let sip = Sip::new(&Secret::new([3; 32]), "test");
        let (mut table, hash) = (Table::default(), numbered(1));
        assert_eq!((table.find(7, &hash), table.remove(0, sip).is_none(), table.bytes()), (None, true, 0));
        let slot = table.insert(7, Swarm::new(hash, 0), sip);
        assert_eq!(table.bytes(), LEAST * size_of::<Swarm>());
        assert!(table.remove(slot, sip).is_some());
        assert_eq!((table.find(7, &hash), table.bytes()), (None, 0));
    }

    #[test]
    fn each_torrent_is_about_as_likely_to_be_drawn() {
        let sip = Sip::new(&Secret::new([3; 32]), "test");
        let (mut table, rng) = (Table::default(), &mut Rng::new(5));
        for n in 0..100 {
            let hash = numbered(n);
            table.insert(sip.of_hash(&hash.0), Swarm::new(hash, 0), sip);
        }
        let mut counts = vec![0; table.slots()];
        (0..100_000).filter_map(|_| table.any(rng, |_| true)).for_each(|slot| counts[slot] += 1);
        let drawn: Vec<u32> = counts.into_iter().filter(|count| *count > 0).collect();
        assert!(drawn.len() == 100 && drawn.iter().all(|count| (700..1_400).contains(count)), "{drawn:?}");
    }
}
