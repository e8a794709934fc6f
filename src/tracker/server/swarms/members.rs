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
/// What it tracks: seeds in front, the others behind them, each in no order; with many, an index from who they are to where they are. Somebody changes
/// sides by changing places with the one at the border.
#[derive(Debug)]
pub(super) struct Members<E> {
    entries: Vec<E>,
    seeds: u32,
    index: Option<Box<Index>>,
}

impl<E> Default for Members<E> {
    fn default() -> Self {
        Self { entries: Vec::new(), seeds: 0, index: None }
    }
}

impl<E: Entry> Members<E> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn seeds(&self) -> usize {
        self.seeds as usize
    }

    pub(super) fn leeches(&self) -> usize {
        self.entries.len() - self.seeds()
    }

    /// Finds somebody.
    #[inline]
    pub(super) fn find(&self, key: E::Key, sip: Sip) -> Option<usize> {
        match &self.index {
            None => self.entries.iter().position(|entry| entry.key() == key),
            Some(index) => index.find(E::hash(key, sip), |place| self.entries[place].key() == key),
        }
    }

    /// Counts those of the network that somebody is in, and finds the one of them that was not heard of for longest.
    pub(super) fn neighbours(&self, key: E::Key, now: u16, sip: Sip) -> (usize, Option<usize>) {
        let (mut count, mut oldest) = (0, None);
        let mut see = |place: usize| {
            if E::network(self.entries[place].key()) == E::network(key) {
                count += 1;
                oldest = oldest.max(Some((self.age(place, now), place)));
            }
        };
        match &self.index {
            None => (0..self.entries.len()).for_each(see),
            Some(index) => index.visit(E::hash(key, sip), &mut see),
        }
        (count, oldest.map(|(_, place)| place))
    }

    /// Gives how long the one at a place was not heard of.
    pub(super) fn age(&self, place: usize, now: u16) -> u16 {
        now.wrapping_sub(self.entries[place].tick())
    }

    /// Takes down that somebody is there, who was at the given place if it was; gives whether it was a seed then, and its place.
    pub(super) fn put(
        &mut self,
        known: Option<usize>,
        key: E::Key,
        seed: bool,
        tick: u16,
        sip: Sip,
    ) -> (Option<bool>, usize) {
        let Some(place) = known else {
            self.push(E::new(key, tick), sip);
            let last = self.entries.len() - 1;
            return (None, if seed { self.promote(last, sip) } else { last });
        };
        self.entries[place] = E::new(key, tick);
        let was = place < self.seeds();
        let place = match (was, seed) {
            (false, true) => self.promote(place, sip),
            (true, false) => self.demote(place, sip),
            _ => place,
        };
        (Some(was), place)
    }

    /// Takes out those who were last heard of before the time is over, among as many as `most` from a place on. Gives how many were looked at, the place to
    /// go on from (`None`: all were seen), and how many seeds and others were taken out.
    pub(super) fn expire(
        &mut self,
        from: usize,
        most: usize,
        sip: Sip,
        is_over: impl Fn(u16) -> bool,
    ) -> (usize, Option<usize>, [usize; 2]) {
        let (mut place, mut seen, mut gone) = (from, 0, [0, 0]);
        while seen < most && place < self.entries.len() {
            seen += 1;
            if is_over(self.entries[place].tick()) {
                // Another is in its place now. One that came from before it, over the border, is seen in the next round.
                gone[usize::from(!self.remove_at(place, sip))] += 1;
            } else {
                place += 1;
            }
        }
        self.shrink();
        (seen, (place < self.entries.len()).then_some(place), gone)
    }

    /// Appends `want` different ones, none of them the one at `without`, to a buffer in compact form; with `seeds` any, else those who are no seeds.
    /// Nothing is allocated but what the buffer needs.
    ///
    /// Those that can be chosen are divided into as many runs of equal length as are wanted, beginning anywhere, and of each run one is taken: every
    /// one is as likely as any other, none comes twice, and nothing need be remembered.
    pub(super) fn draw(&self, want: usize, seeds: bool, without: Option<usize>, rng: &mut Rng, out: &mut Vec<u8>) {
        let range = if seeds { 0..self.entries.len() } else { self.seeds()..self.entries.len() };
        let Some(all) = self.entries.get(range.clone()) else { return };
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
        let index = self.index.as_ref().map_or(0, |index| size_of::<Index>() + index.bytes());
        self.entries.capacity() * size_of::<E>() + index
    }

    fn push(&mut self, entry: E, sip: Sip) {
        if self.entries.len() == self.entries.capacity() {
            // A quarter at a time, where a vector would double: memory counts more here. An allocator gives no less than 24 bytes.
            let more = (self.entries.len() / 4).max(24 / size_of::<E>());
            self.entries.reserve_exact(more);
        }
        self.entries.push(entry);
        let last = self.entries.len() - 1;
        let entries = &self.entries;
        let hash_of = |place: usize| E::hash(entries[place].key(), sip);
        match &mut self.index {
            Some(index) => index.insert(hash_of(last), last, hash_of),
            None if entries.len() > INDEXED => {
                let mut index = Box::new(Index::default());
                (0..entries.len()).for_each(|place| index.insert(hash_of(place), place, hash_of));
                self.index = Some(index);
            }
            None => {}
        }
    }

    fn swap(&mut self, first: usize, second: usize, sip: Sip) {
        if first == second {
            return;
        }
        if let Some(index) = &mut self.index {
            let hash_of = |place: usize| E::hash(self.entries[place].key(), sip);
            index.swap((hash_of(first), first), (hash_of(second), second));
        }
        self.entries.swap(first, second);
    }

    /// Makes one of the others a seed; gives its new place.
    fn promote(&mut self, place: usize, sip: Sip) -> usize {
        let border = self.seeds();
        self.swap(place, border, sip);
        self.seeds += 1;
        border
    }

    /// Makes a seed one of the others; gives its new place.
    fn demote(&mut self, place: usize, sip: Sip) -> usize {
        self.seeds -= 1;
        let border = self.seeds();
        self.swap(place, border, sip);
        border
    }

    /// Takes out who is at a place; says whether it was a seed.
    pub(super) fn remove_at(&mut self, place: usize, sip: Sip) -> bool {
        let seed = place < self.seeds();
        let place = if seed { self.demote(place, sip) } else { place };
        let last = self.entries.len() - 1;
        self.swap(place, last, sip);
        let entries = &self.entries;
        if let Some(index) = &mut self.index {
            let hash_of = |place: usize| E::hash(entries[place].key(), sip);
            index.remove(hash_of(last), last, hash_of);
        }
        self.entries.pop();
        if self.entries.len() < INDEXED / 2 {
            self.index = None;
        }
        seed
    }

    fn shrink(&mut self) {
        let most = self.entries.len() + self.entries.len() / 2 + 24 / size_of::<E>();
        if self.entries.capacity() > most {
            self.entries.shrink_to(self.entries.len() + self.entries.len() / 4);
        }
    }
}

/// A number below a bound; no swarm has more than 2^32 peers.
pub(super) fn below(rng: &mut Rng, bound: usize) -> usize {
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

    fn swarm(seeds: u64, leeches: u64) -> Members<V4> {
        let mut members = Members::default();
        for key in 0..seeds + leeches {
            members.put(None, key, key < seeds, 0, sip());
        }
        members
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
            let members = swarm(count / 3, count - count / 3);
            for want in [0, 1, 2, 50, 99, 100, 101, 1000] {
                for asker in 0..count {
                    let place = members.find(asker, sip());
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
        let (members, rng, rounds) = (swarm(30, 70), &mut Rng::new(2), 40_000);
        let mut counts = [0_u32; 100];
        for _ in 0..rounds {
            draw(&members, 7, true, members.find(40, sip()), rng).iter().for_each(|key| counts[*key as usize] += 1);
        }
        assert_eq!(counts[40], 0);
        // 7 of 99, 40,000 times: 2,828, with a standard deviation of about 51.
        let off = counts.iter().enumerate().filter(|(n, count)| *n != 40 && count.abs_diff(2_828) > 260);
        assert_eq!(off.count(), 0, "{counts:?}");
    }

    #[test]
    fn who_has_not_been_heard_of_goes_a_slice_at_a_time() {
        let mut members = Members::<V4>::default();
        for key in 0..1_000 {
            members.put(None, key, key % 3 == 0, (key % 2) as u16, sip());
        }
        let (mut from, mut gone, mut rounds) = (0, [0, 0], 0);
        while members.len() > 500 {
            let (seen, next, out) = members.expire(from, 64, sip(), |tick| tick == 1);
            assert!(seen <= 64);
            from = next.unwrap_or(0);
            gone = [gone[0] + out[0], gone[1] + out[1]];
            rounds += 1;
            assert!(rounds < 40);
        }
        assert_eq!((gone, members.seeds(), members.leeches()), ([167, 333], 167, 333));
        assert!((0..1_000).all(|key| members.find(key, sip()).is_some() == (key % 2 == 0)));
        assert!(members.entries.capacity() <= 800, "{}", members.entries.capacity());
    }
}
