//! The peers of one torrent and family.

use super::super::sip::Sip;
use super::entry::Entry;
use super::index::Index;
use crate::machine::Rng;
use std::ops::Range;

/// From so many peers on they are found by an index; fewer are looked through, which takes less time than an index takes memory.
const INDEXED: usize = 128;

/// Peers, packed.
///
/// What it tracks: seeds in front, the others behind them, each in no order, and room for more behind these. With many there is an index from who they are to
/// where they are; its owner keeps it and gives it to each call. Somebody changes sides by changing places with the one at the border.
#[derive(Debug)]
pub(super) struct Members<E> {
    /// Longer than there are peers: a vector would take eight bytes more, and the torrent that has them then two lines of the cache.
    slots: Box<[E]>,
    len: u32,
    seeds: u32,
}

impl<E> Default for Members<E> {
    fn default() -> Self {
        Self { slots: Box::default(), len: 0, seeds: 0 }
    }
}

/// What an announce has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// There is no room for another.
    Full,
    /// It is new.
    New,
    /// It was there: whether as a seed.
    Was { seed: bool },
}

impl<E: Entry> Members<E> {
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Says whether one more is one too many to be looked through.
    pub(super) fn wants_index(&self) -> bool {
        self.len() >= INDEXED
    }

    fn entries(&self) -> &[E] {
        self.slots.get(..self.len()).unwrap_or_default()
    }

    pub(super) fn seeds(&self) -> usize {
        self.seeds as usize
    }

    pub(super) fn leeches(&self) -> usize {
        self.len() - self.seeds()
    }

    /// Finds somebody.
    #[inline]
    pub(super) fn find(&self, key: E::Key, index: &Option<Index>, sip: Sip) -> Option<usize> {
        match index {
            None => self.entries().iter().position(|entry| entry.key() == key),
            Some(index) => index.find(E::hash(key, sip), |place| self.slots[place].key() == key),
        }
    }

    /// Takes down that somebody is there, if there is room; gives also its place. An index is made where one is [wanted](Self::wants_index).
    pub(super) fn put(
        &mut self,
        (key, seed): (E::Key, bool),
        tick: u16,
        room: bool,
        index: &mut Option<Index>,
        sip: Sip,
    ) -> (Change, Option<usize>) {
        let Some(place) = self.find(key, index, sip) else {
            if !room {
                return (Change::Full, None);
            }
            let last = self.push(E::new(key, tick), index, sip);
            return (Change::New, Some(if seed { self.promote(last, index, sip) } else { last }));
        };
        self.slots[place] = E::new(key, tick);
        let was = place < self.seeds();
        let place = match (was, seed) {
            (false, true) => self.promote(place, index, sip),
            (true, false) => self.demote(place, index, sip),
            _ => place,
        };
        (Change::Was { seed: was }, Some(place))
    }

    /// Takes somebody out; says whether it was a seed.
    pub(super) fn remove(&mut self, key: E::Key, index: &mut Option<Index>, sip: Sip) -> Option<bool> {
        let place = self.find(key, index, sip)?;
        Some(self.remove_at(place, index, sip))
    }

    /// Takes out those who were last heard of before the time is over, among as many as `most` peers from a place on. Gives how many were looked at, the place to
    /// go on from (`None`: all were seen), and how many seeds and others were taken out.
    pub(super) fn expire(
        &mut self,
        from: usize,
        most: usize,
        index: &mut Option<Index>,
        sip: Sip,
        is_over: impl Fn(u16) -> bool,
    ) -> (usize, Option<usize>, [usize; 2]) {
        let (mut place, mut seen, mut gone) = (from, 0, [0, 0]);
        while seen < most && place < self.len() {
            seen += 1;
            if is_over(self.slots[place].tick()) {
                // Another is in its place now, which came from behind it.
                gone[usize::from(!self.remove_at(place, index, sip))] += 1;
            } else {
                place += 1;
            }
        }
        self.shrink();
        (seen, (place < self.len()).then_some(place), gone)
    }

    /// Appends `want` different ones, none of them the one at `without`, to a buffer in compact form; with `seeds` any, else those who are no seeds.
    /// Nothing is allocated but what the buffer needs.
    ///
    /// Those that can be chosen are divided into as many runs of equal length as are wanted, beginning anywhere, and of each run one is taken: every
    /// one is as likely as any other, none comes twice, and nothing need be remembered.
    pub(super) fn draw(&self, want: usize, seeds: bool, without: Option<usize>, rng: &mut Rng, out: &mut Vec<u8>) {
        let range = if seeds { 0..self.len() } else { self.seeds()..self.len() };
        let Some(all) = self.slots.get(range.clone()) else { return };
        let without = without.filter(|place| range.contains(place)).map(|place| place - range.start);
        let count = all.len() - usize::from(without.is_some());
        let mut give = |n: usize| {
            // The one left out closes a gap.
            let place = n + usize::from(without.is_some_and(|without| n >= without));
            if let Some(entry) = all.get(place) {
                entry.write(out);
            }
        };
        if want >= count {
            return (0..count).for_each(give);
        }
        let start = below(rng, count);
        for run in 0..want {
            let Range { start: first, end } = run * count / want..(run + 1) * count / want;
            let place = start + first + below(rng, end - first);
            give(if place >= count { place - count } else { place });
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<E>()
    }

    fn resize(&mut self, slots: usize) {
        let mut all = std::mem::take(&mut self.slots).into_vec();
        all.truncate(slots);
        all.reserve_exact(slots - all.len());
        all.resize(slots, E::NOBODY);
        self.slots = all.into_boxed_slice();
    }

    fn push(&mut self, entry: E, index: &mut Option<Index>, sip: Sip) -> usize {
        let last = self.len();
        if last == self.slots.len() {
            // A quarter at a time, where a vector would double: memory counts more here. An allocator gives no less than 24 bytes.
            self.resize(last + (last / 4).max(24 / size_of::<E>()));
        }
        self.slots[last] = entry;
        self.len += 1;
        let slots = &self.slots;
        let hash_of = |place: usize| E::hash(slots[place].key(), sip);
        match index {
            Some(index) => index.insert(hash_of(last), last, hash_of),
            None if last >= INDEXED => {
                let new = index.insert(Index::default());
                (0..=last).for_each(|place| new.insert(hash_of(place), place, hash_of));
            }
            None => {}
        }
        last
    }

    fn swap(&mut self, first: usize, second: usize, index: &mut Option<Index>, sip: Sip) {
        if first == second {
            return;
        }
        if let Some(index) = index {
            let hash_of = |place: usize| E::hash(self.slots[place].key(), sip);
            index.swap((hash_of(first), first), (hash_of(second), second));
        }
        self.slots.swap(first, second);
    }

    /// Makes one of the others a seed; gives its new place.
    fn promote(&mut self, place: usize, index: &mut Option<Index>, sip: Sip) -> usize {
        let border = self.seeds();
        self.swap(place, border, index, sip);
        self.seeds += 1;
        border
    }

    /// Makes a seed one of the others; gives its new place.
    fn demote(&mut self, place: usize, index: &mut Option<Index>, sip: Sip) -> usize {
        self.seeds -= 1;
        let border = self.seeds();
        self.swap(place, border, index, sip);
        border
    }

    /// Takes out who is at a place; says whether it was a seed.
    fn remove_at(&mut self, place: usize, index: &mut Option<Index>, sip: Sip) -> bool {
        let seed = place < self.seeds();
        let place = if seed { self.demote(place, index, sip) } else { place };
        let last = self.len() - 1;
        self.swap(place, last, index, sip);
        let slots = &self.slots;
        if let Some(index) = index {
            let hash_of = |place: usize| E::hash(slots[place].key(), sip);
            index.remove(hash_of(last), last, hash_of);
        }
        self.len -= 1;
        if self.len() < INDEXED / 2 {
            *index = None;
        }
        seed
    }

    fn shrink(&mut self) {
        let most = self.len() + self.len() / 2 + 24 / size_of::<E>();
        if self.slots.len() > most {
            self.resize(self.len() + self.len() / 4);
        }
    }
}

/// A number below a bound; no swarm has more than 2^32 peers.
fn below(rng: &mut Rng, bound: usize) -> usize {
    rng.below(u32::try_from(bound).unwrap_or(u32::MAX)) as usize
}

#[cfg(test)]
mod tests {
    use super::super::entry::V4;
    use super::*;
    use crate::machine::Secret;
    use std::collections::BTreeSet;

    fn sip() -> Sip {
        Sip::new(&Secret::new([3; 32]), "test")
    }

    fn swarm(seeds: u64, leeches: u64) -> (Members<V4>, Option<Index>) {
        let (mut members, mut index) = (Members::default(), None);
        for key in 0..seeds + leeches {
            members.put((key, key < seeds), 0, true, &mut index, sip());
        }
        assert_eq!(index.is_some(), seeds + leeches > INDEXED as u64);
        (members, index)
    }

    fn draw(members: &Members<V4>, want: usize, seeds: bool, without: Option<usize>, rng: &mut Rng) -> Vec<u64> {
        let mut out = Vec::new();
        members.draw(want, seeds, without, rng, &mut out);
        out.chunks(6).map(|peer| peer.iter().fold(0, |key, byte| key << 8 | u64::from(*byte))).collect()
    }

    #[test]
    fn as_many_different_ones_as_wanted_are_drawn_and_never_the_asker() {
        let rng = &mut Rng::new(1);
        for count in [1, 2, 3, 7, 100, 500] {
            let (members, index) = swarm(count / 3, count - count / 3);
            for want in [0, 1, 2, 50, 99, 100, 101, 1000] {
                for asker in 0..count {
                    let place = members.find(asker, &index, sip());
                    let drawn = draw(&members, want, true, place, rng);
                    let different: BTreeSet<u64> = drawn.iter().copied().collect();
                    assert_eq!(drawn.len(), want.min(count as usize - 1));
                    assert!(different.len() == drawn.len() && !different.contains(&asker));
                    let leeches = draw(&members, want, false, place, rng);
                    assert!(leeches.iter().all(|key| *key >= count / 3 && *key != asker));
                }
            }
        }
    }

    #[test]
    fn everybody_is_as_likely_as_anybody_else() {
        let ((members, index), rng, rounds) = (swarm(30, 70), &mut Rng::new(2), 40_000);
        let mut counts = [0_u32; 100];
        for _ in 0..rounds {
            draw(&members, 7, true, members.find(40, &index, sip()), rng)
                .iter()
                .for_each(|key| counts[*key as usize] += 1);
        }
        assert_eq!(counts[40], 0);
        // 7 of 99, 40,000 times: 2,828, with a standard deviation of about 51.
        let off = counts.iter().enumerate().filter(|(n, count)| *n != 40 && count.abs_diff(2_828) > 260);
        assert_eq!(off.count(), 0, "{counts:?}");
    }

    #[test]
    fn who_has_not_been_heard_of_goes_a_slice_at_a_time() {
        let (mut members, mut index) = (Members::<V4>::default(), None);
        for key in 0..1_000 {
            members.put((key, key % 3 == 0), (key % 2) as u16, true, &mut index, sip());
        }
        let (mut from, mut gone, mut rounds) = (0, [0, 0], 0);
        while members.len() > 500 {
            let (seen, next, out) = members.expire(from, 64, &mut index, sip(), |tick| tick == 1);
            assert!(seen <= 64);
            from = next.unwrap_or(0);
            gone = [gone[0] + out[0], gone[1] + out[1]];
            rounds += 1;
            assert!(rounds < 40);
        }
        assert_eq!((gone, members.seeds(), members.leeches()), ([167, 333], 167, 333));
        assert!((0..1_000).all(|key| members.find(key, &index, sip()).is_some() == (key % 2 == 0)));
        assert!(members.slots.len() <= 800, "{}", members.slots.len());
    }
}
