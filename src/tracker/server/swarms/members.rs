//! The peers of one torrent and family.

use super::super::sip::Sip;
use super::entry::Entry;
use super::index::Index;
use crate::machine::Rng;
use std::ops::Range;

/// With more peers than this they are found by an index; fewer are looked through, which takes less time than an index takes memory.
const INDEXED: usize = 128;
/// How many bytes it grows by at least: to 56, 120, 184 and so on, of which an allocator that counts in steps of 16 and takes 8 for itself wastes none.
const STEP: usize = 64;
/// How many of these bytes the allocator takes.
const OVERHEAD: usize = 8;

/// Peers, packed.
///
/// What it tracks: seeds in front, the others behind them, each in no order, and room for more behind these. Somebody changes sides by changing places with
/// the one at the border. With many there is an index from who they are to where they are, which the owner keeps and gives to each call: few torrents have one.
///
/// As many as `N` are kept here and not in an array of their own, which would be one more thing that is not in the processor's cache.
#[derive(Debug)]
pub(super) struct Members<E, const N: usize> {
    few: [E; N],
    /// Longer than there are peers, or empty while they are few.
    many: Box<[E]>,
    len: u32,
    seeds: u32,
}

impl<E: Entry, const N: usize> Default for Members<E, N> {
    fn default() -> Self {
        Self { few: [E::NOBODY; N], many: Box::default(), len: 0, seeds: 0 }
    }
}

impl<E: Entry, const N: usize> Members<E, N> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn seeds(&self) -> usize {
        self.seeds as usize
    }

    #[inline]
    pub(super) fn leeches(&self) -> usize {
        self.len() - self.seeds()
    }

    #[inline]
    fn slots(&self) -> &[E] {
        if self.many.is_empty() { &self.few } else { &self.many }
    }

    #[inline]
    fn slots_mut(&mut self) -> &mut [E] {
        if self.many.is_empty() { &mut self.few } else { &mut self.many }
    }

    #[inline]
    fn entries(&self) -> &[E] {
        self.slots().get(..self.len()).unwrap_or_default()
    }

    /// Says whether there are so many that there has to be an index from now on.
    #[inline]
    pub(super) fn wants_index(&self) -> bool {
        self.len() > INDEXED
    }

    /// Says whether there are so few that an index is of no use any more.
    #[inline]
    pub(super) fn is_done_with_index(&self) -> bool {
        self.len() < INDEXED / 2
    }

    /// Makes the index.
    pub(super) fn index(&self, sip: Sip) -> Index {
        let mut index = Index::default();
        let hash_of = |place: usize| E::hash(self.slots()[place].key(), sip);
        (0..self.len()).for_each(|place| index.insert(hash_of(place), place, hash_of));
        index
    }

    /// Finds somebody.
    #[inline]
    pub(super) fn find(&self, key: E::Key, index: Option<&Index>, sip: Sip) -> Option<usize> {
        match index {
            None => self.entries().iter().position(|entry| entry.key() == key),
            Some(index) => index.find(E::hash(key, sip), |place| self.slots()[place].key() == key),
        }
    }

    /// Counts those of the network that somebody is in, and finds the one of them that was not heard of for longest.
    pub(super) fn neighbours(&self, key: E::Key, now: u16, index: Option<&Index>, sip: Sip) -> (usize, Option<usize>) {
        let (mut count, mut oldest) = (0, None);
        let mut see = |place: usize| {
            if E::network(self.slots()[place].key()) == E::network(key) {
                count += 1;
                oldest = oldest.max(Some((self.age(place, now), place)));
            }
        };
        match index {
            None => (0..self.len()).for_each(see),
            Some(index) => index.visit(E::hash(key, sip), &mut see),
        }
        (count, oldest.map(|(_, place)| place))
    }

    /// Gives how long the one at a place was not heard of.
    pub(super) fn age(&self, place: usize, now: u16) -> u16 {
        now.wrapping_sub(self.slots()[place].tick())
    }

    /// Takes down that somebody is there, who was at the given place if it was; gives whether it was a seed then, and its place.
    #[inline]
    pub(super) fn put(
        &mut self,
        known: Option<usize>,
        (key, seed): (E::Key, bool),
        tick: u16,
        mut index: Option<&mut Index>,
        sip: Sip,
    ) -> (Option<bool>, usize) {
        let Some(place) = known else {
            let last = self.push(E::new(key, tick), index.as_deref_mut(), sip);
            return (None, if seed { self.promote(last, index, sip) } else { last });
        };
        self.slots_mut()[place] = E::new(key, tick);
        let was = place < self.seeds();
        let place = match (was, seed) {
            (false, true) => self.promote(place, index, sip),
            (true, false) => self.demote(place, index, sip),
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
        mut index: Option<&mut Index>,
        sip: Sip,
        is_over: impl Fn(u16) -> bool,
    ) -> (usize, Option<usize>, [usize; 2]) {
        let (mut place, mut seen, mut gone) = (from, 0, [0, 0]);
        while seen < most && place < self.len() {
            seen += 1;
            if is_over(self.slots()[place].tick()) {
                // Another is in its place now. One that came from before it, over the border, is seen in the next round.
                gone[usize::from(!self.remove_at(place, index.as_deref_mut(), sip))] += 1;
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
        let from = if seeds { 0 } else { self.seeds() };
        let Some(all) = self.slots().get(from..self.len()) else { return };
        let without = without.and_then(|place| place.checked_sub(from)).filter(|place| *place < all.len());
        let count = all.len() - usize::from(without.is_some());
        if want >= count {
            // All but the one left out.
            let (before, after) = without.map_or((all, &[][..]), |without| (&all[..without], &all[without + 1..]));
            return before.iter().chain(after).for_each(|entry| entry.write(out));
        }
        let start = below(rng, count);
        for run in 0..want {
            let Range { start: first, end } = run * count / want..(run + 1) * count / want;
            let place = start + first + below(rng, end - first);
            let place = if place >= count { place - count } else { place };
            // The one left out closes a gap.
            let place = place + usize::from(without.is_some_and(|without| place >= without));
            if let Some(entry) = all.get(place) {
                entry.write(out);
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.many.len() * size_of::<E>()
    }

    #[cold]
    fn resize(&mut self, slots: usize) {
        let many = if slots > N { vec![E::NOBODY; slots].into_boxed_slice() } else { Box::default() };
        let (len, few) = (self.len(), self.few);
        let old = std::mem::replace(&mut self.many, many);
        let old = if old.is_empty() { &few[..] } else { &old };
        if let (Some(to), Some(from)) = (self.slots_mut().get_mut(..len), old.get(..len)) {
            to.copy_from_slice(from);
        }
    }

    /// Gives how many slots there should be for a number of peers: a quarter more, where a vector would double, since memory counts more here.
    fn room(peers: usize) -> usize {
        if peers <= N {
            return N;
        }
        let bytes = (peers + peers / 4) * size_of::<E>();
        ((bytes + OVERHEAD).next_multiple_of(STEP) - OVERHEAD) / size_of::<E>()
    }

    fn push(&mut self, entry: E, index: Option<&mut Index>, sip: Sip) -> usize {
        let last = self.len();
        if last == self.slots().len() {
            self.resize(Self::room(last + 1));
        }
        self.slots_mut()[last] = entry;
        self.len += 1;
        if let Some(index) = index {
            let slots = self.slots();
            let hash_of = |place: usize| E::hash(slots[place].key(), sip);
            index.insert(hash_of(last), last, hash_of);
        }
        last
    }

    #[inline]
    fn swap(&mut self, first: usize, second: usize, index: Option<&mut Index>, sip: Sip) {
        if first == second {
            return;
        }
        if let Some(index) = index {
            let hash_of = |place: usize| E::hash(self.slots()[place].key(), sip);
            index.swap((hash_of(first), first), (hash_of(second), second));
        }
        self.slots_mut().swap(first, second);
    }

    /// Makes one of the others a seed; gives its new place.
    fn promote(&mut self, place: usize, index: Option<&mut Index>, sip: Sip) -> usize {
        let border = self.seeds();
        self.swap(place, border, index, sip);
        self.seeds += 1;
        border
    }

    /// Makes a seed one of the others; gives its new place.
    fn demote(&mut self, place: usize, index: Option<&mut Index>, sip: Sip) -> usize {
        self.seeds -= 1;
        let border = self.seeds();
        self.swap(place, border, index, sip);
        border
    }

    /// Takes out who is at a place; says whether it was a seed.
    pub(super) fn remove_at(&mut self, place: usize, mut index: Option<&mut Index>, sip: Sip) -> bool {
        let seed = place < self.seeds();
        let place = if seed { self.demote(place, index.as_deref_mut(), sip) } else { place };
        let last = self.len() - 1;
        self.swap(place, last, index.as_deref_mut(), sip);
        if let Some(index) = index {
            let hash_of = |place: usize| E::hash(self.slots()[place].key(), sip);
            index.remove(hash_of(last), last, hash_of);
        }
        self.len -= 1;
        seed
    }

    fn shrink(&mut self) {
        if self.many.len() > Self::room(self.len() + self.len() / 4) {
            self.resize(Self::room(self.len()));
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

    fn swarm(seeds: u64, leeches: u64) -> Members<V4, 8> {
        let mut members = Members::default();
        for key in 0..seeds + leeches {
            members.put(None, (key, key < seeds), 0, None, sip());
        }
        assert_eq!(members.wants_index(), seeds + leeches > INDEXED as u64);
        members
    }

    fn draw(members: &Members<V4, 8>, want: usize, seeds: bool, without: Option<usize>, rng: &mut Rng) -> Vec<u64> {
        let mut out = Vec::new();
        members.draw(want, seeds, without, rng, &mut out);
        out.chunks(6).map(|peer| peer.iter().fold(0, |key, byte| key << 8 | u64::from(*byte))).collect()
    }

    #[test]
    fn as_many_different_ones_as_wanted_are_drawn_and_never_the_asker() {
        let rng = &mut Rng::new(1);
        for count in [1, 2, 3, 7, 100, 500] {
            let members = swarm(count / 3, count - count / 3);
            let index = members.wants_index().then(|| members.index(sip()));
            for want in [0, 1, 2, 50, 99, 100, 101, 1000] {
                for asker in 0..count {
                    let place = members.find(asker, index.as_ref(), sip());
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
            draw(&members, 7, true, members.find(40, None, sip()), rng)
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
        let mut members = Members::<V4, 8>::default();
        let mut index = members.index(sip());
        for key in 0..1_000 {
            members.put(None, (key, key % 3 == 0), (key % 2) as u16, Some(&mut index), sip());
        }
        let (mut from, mut gone, mut rounds) = (0, [0, 0], 0);
        while members.len() > 500 {
            let (seen, next, out) = members.expire(from, 64, Some(&mut index), sip(), |tick| tick == 1);
            assert!(seen <= 64);
            from = next.unwrap_or(0);
            gone = [gone[0] + out[0], gone[1] + out[1]];
            rounds += 1;
            assert!(rounds < 40);
        }
        assert_eq!((gone, members.seeds(), members.leeches()), ([167, 333], 167, 333));
        assert!((0..1_000).all(|key| members.find(key, Some(&index), sip()).is_some() == (key % 2 == 0)));
        assert!(members.slots().len() <= 800, "{}", members.slots().len());
    }

    #[test]
    fn arrays_grow_in_few_steps_and_waste_little() {
        let room = |peers| Members::<V4, 8>::room(peers);
        assert_eq!([1, 8, 9, 16, 24, 100, 1_000].map(room), [8, 8, 15, 23, 31, 127, 1_255]);
        for peers in 20..2_000 {
            assert!(room(peers) >= peers + peers / 4 && room(peers) < peers + peers / 4 + 8, "{peers}");
        }
    }
}
