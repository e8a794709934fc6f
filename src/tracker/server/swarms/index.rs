//! Places of items, found by a hash of the items.

/// No place.
const FREE: u32 = u32::MAX;

/// A hash table of numbers: which place among its owner's an item has. It holds 4 bytes for each slot and nothing of the items: the owner
/// gives their hashes and compares them.
///
/// What it tracks: a power of two of slots, at least a quarter of them free. A place is in the first slot that was free from that of its hash on, so no
/// free slot lies between.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: Vec<u32>,
    used: usize,
}

impl Index {
    fn home(&self, hash: u64) -> usize {
        // There is a power of two of slots: the mask keeps within them.
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    fn after(&self, slot: usize) -> usize {
        (slot + 1) & self.slots.len().wrapping_sub(1)
    }

    /// Finds the slot of a place.
    fn slot(&self, hash: u64, mut is_it: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut slot = self.home(hash);
        loop {
            match *self.slots.get(slot)? {
                FREE => return None,
                place if is_it(place as usize) => return Some(slot),
                _ => slot = self.after(slot),
            }
        }
    }

    /// Finds the place of an item by its hash and what says whether the one at a place is it.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(usize) -> bool) -> Option<usize> {
        self.slot(hash, is_it).map(|slot| self.slots[slot] as usize)
    }

    /// Takes in the place of an item that is not in it. `hash_of` gives the hash of the item at any place that is in it.
    pub(super) fn insert(&mut self, hash: u64, place: usize, hash_of: impl Fn(usize) -> u64) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.resize((self.slots.len() * 2).max(8), &hash_of);
        }
        self.put(hash, u32::try_from(place).unwrap_or(FREE));
        self.used += 1;
    }

    fn put(&mut self, hash: u64, place: u32) {
        let mut slot = self.home(hash);
        while self.slots[slot] != FREE {
            slot = self.after(slot);
        }
        self.slots[slot] = place;
    }

    fn resize(&mut self, slots: usize, hash_of: &impl Fn(usize) -> u64) {
        let old = std::mem::replace(&mut self.slots, vec![FREE; slots]);
        for place in old.into_iter().filter(|place| *place != FREE) {
            self.put(hash_of(place as usize), place);
        }
    }

    /// Takes out a place that is in it, while its item and all others are still where they are.
    pub(super) fn remove(&mut self, hash: u64, place: usize, hash_of: impl Fn(usize) -> u64) {
        let Some(mut hole) = self.slot(hash, |other| other == place) else { return };
        // Those behind it that may not stay behind a free slot move up.
        let mut next = self.after(hole);
        while self.slots[next] != FREE {
            let home = self.home(hash_of(self.slots[next] as usize));
            let mask = self.slots.len() - 1;
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[next];
                hole = next;
            }
            next = self.after(next);
        }
        self.slots[hole] = FREE;
        self.used -= 1;
        // Half of what it was made for and less: so that growing and shrinking do not take turns.
        if self.slots.len() > 64 && self.used * 6 < self.slots.len() {
            let slots = self.slots.len() / 2;
            // The item that was taken out is not among the places any more.
            self.resize(slots, &hash_of);
        }
    }

    /// Notes that two items, both in it, have changed places.
    pub(super) fn swap(&mut self, first: (u64, usize), second: (u64, usize)) {
        let a = self.slot(first.0, |place| place == first.1);
        let b = self.slot(second.0, |place| place == second.1);
        if let (Some(a), Some(b)) = (a, b) {
            self.slots.swap(a, b);
        }
    }

    /// Gives the bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Rng;

    /// Plays against a plain vector, with hashes that collide often.
    #[test]
    fn what_is_in_it_is_found_and_nothing_else() {
        for seed in 0..50 {
            let rng = &mut Rng::new(seed);
            let spread = 1 + rng.below(64);
            let hash = |item: u32| u64::from(item % spread) * 3;
            let (mut index, mut items) = (Index::default(), Vec::<u32>::new());
            for step in 0..600 {
                let item = rng.below(200);
                let found = index.find(hash(item), |place| items[place] == item);
                assert_eq!(found, items.iter().position(|other| *other == item), "seed {seed}, step {step}");
                match found {
                    None => {
                        items.push(item);
                        index.insert(hash(item), items.len() - 1, |place| hash(items[place]));
                    }
                    Some(place) if rng.below(2) == 0 => {
                        let last = items.len() - 1;
                        if place != last {
                            index.swap((hash(items[place]), place), (hash(items[last]), last));
                            items.swap(place, last);
                        }
                        index.remove(hash(item), last, |place| hash(items[place]));
                        items.pop();
                    }
                    Some(_) => {}
                }
            }
            assert_eq!(index.used, items.len());
            assert!(index.slots.len() <= 512 && index.bytes() <= 4096, "{}", index.slots.len());
        }
    }

    #[test]
    fn an_empty_one_takes_no_memory() {
        let index = Index::default();
        assert_eq!((index.find(7, |_| true), index.bytes()), (None, 0));
    }
}
