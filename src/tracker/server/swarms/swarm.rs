//! One torrent, with its peers.

use super::super::sip::Sip;
use super::entry::{Name, V4, V6};
use super::index::Index;
use super::members::{Members, below};
use super::{Announcement, Counts, Drawn, Room, Tally};
use crate::machine::Rng;
use crate::proto::announce::Event;
use crate::proto::compact::Family;
use crate::proto::id::InfoHash;

/// So many peers of IPv4 are kept in the torrent itself.
const FEW: usize = 8;

/// The peers of one torrent: with few peers in two lines of the processor's cache, which are fetched together. To get them is a good part of what an answer takes.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Swarm {
    pub(super) info_hash: InfoHash,
    /// When the last peer was taken down: peers have only the low bits of their times.
    pub(super) touched: u32,
    completed: u32,
    v4: Members<V4, FEW>,
    more: Option<Box<More>>,
}

/// What few torrents have: peers of IPv6, or so many that there is an index.
#[derive(Debug, Default)]
struct More {
    v4_index: Option<Index>,
    v6: Members<V6, 0>,
    v6_index: Option<Index>,
}

impl Swarm {
    /// Makes one without peers.
    pub(super) fn new(info_hash: InfoHash, tick: u32) -> Self {
        Self { info_hash, touched: tick, completed: 0, v4: Members::default(), more: None }
    }

    #[inline]
    pub(super) fn counts(&self) -> Counts {
        let v6 = self.more.as_ref().map_or((0, 0), |more| (more.v6.seeds(), more.v6.leeches()));
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Counts {
            seeders: count(self.v4.seeds() + v6.0),
            leechers: count(self.v4.leeches() + v6.1),
            completed: self.completed,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.more.as_ref().map_or(0, |more| more.v6.len())
    }

    pub(super) fn bytes(&self) -> usize {
        let index = |index: &Option<Index>| index.as_ref().map_or(0, Index::bytes);
        let more = |more: &More| size_of::<More>() + more.v6.bytes() + index(&more.v4_index) + index(&more.v6_index);
        self.v4.bytes() + self.more.as_deref().map_or(0, more)
    }

    /// Takes all peers out.
    pub(super) fn empty(&mut self, tally: &mut Tally, room: &Room) {
        room.peers.give(self.len());
        tally.seeds_v4 -= self.v4.seeds();
        tally.leeches_v4 -= self.v4.leeches();
        if let Some(more) = self.more.take() {
            tally.seeds_v6 -= more.v6.seeds();
            tally.leeches_v6 -= more.v6.leeches();
        }
        self.v4 = Members::default();
    }

    /// Finds somebody among the peers of its family.
    #[inline]
    pub(super) fn find(&self, name: Name, sip: Sip) -> Option<usize> {
        let more = self.more.as_deref();
        match name {
            Name::V4(key) => self.v4.find(key, more.and_then(|more| more.v4_index.as_ref()), sip),
            Name::V6(key) => more.and_then(|more| more.v6.find(key, more.v6_index.as_ref(), sip)),
        }
    }

    /// Takes the announcer down, who was at a place if it was known; gives its place.
    #[inline]
    pub(super) fn take_down(
        &mut self,
        tick: u32,
        asked: &Announcement,
        (name, known): (Name, Option<usize>),
        room: &Room,
        tally: &mut Tally,
    ) -> usize {
        let (low, seed, sip) = (tick as u16, asked.seed, room.by_peer);
        let (was, place) = match name {
            Name::V4(key) => {
                let index = self.more.as_deref_mut().and_then(|more| more.v4_index.as_mut());
                let put = self.v4.put(known, (key, seed), low, index, sip);
                if self.v4.wants_index() {
                    let Self { v4, more, .. } = self;
                    more.get_or_insert_default().v4_index.get_or_insert_with(|| v4.index(sip));
                }
                put
            }
            Name::V6(key) => {
                let More { v6, v6_index, .. } = &mut **self.more.get_or_insert_default();
                let put = v6.put(known, (key, seed), low, v6_index.as_mut(), sip);
                if v6.wants_index() {
                    v6_index.get_or_insert_with(|| v6.index(sip));
                }
                put
            }
        };
        self.touched = tick;
        match was {
            Some(was) if was == seed => {}
            Some(was) => {
                *tally.of(name.family(), was) -= 1;
                *tally.of(name.family(), seed) += 1;
            }
            None => {
                *tally.of(name.family(), seed) += 1;
                room.peers.add();
            }
        }
        // Once for each: who is known as a seed says it a second time.
        if asked.event == Event::Completed && seed && was != Some(true) {
            self.completed = self.completed.saturating_add(1);
        }
        place
    }

    /// Counts the peers of the network that somebody is in, and finds the one of them that was not heard of for longest.
    fn neighbours(&self, name: Name, now: u16, sip: Sip) -> (usize, Option<usize>) {
        let more = self.more.as_deref();
        match name {
            Name::V4(key) => self.v4.neighbours(key, now, more.and_then(|more| more.v4_index.as_ref()), sip),
            Name::V6(key) => more.map_or((0, None), |more| more.v6.neighbours(key, now, more.v6_index.as_ref(), sip)),
        }
    }

    /// Finds the peer of the network that somebody is in that was not heard of for longest, where there are as many as one may have.
    #[inline]
    pub(super) fn surplus(&self, name: Name, now: u16, room: &Room) -> Option<(Family, usize)> {
        // Where they are fewer in all there is no need to look at any.
        if self.len() < room.per_network {
            return None;
        }
        let (count, oldest) = self.neighbours(name, now, room.by_peer);
        oldest.filter(|_| count >= room.per_network).map(|place| (name.family(), place))
    }

    /// Takes out those of a family who were last heard of before the time is over, among as many as `most` from a place on. Gives how many were looked at, and
    /// the family and the place to go on from: `None` if all of the torrent were seen.
    pub(super) fn expire(
        &mut self,
        (family, from): (Family, usize),
        most: usize,
        room: &Room,
        tally: &mut Tally,
        is_over: impl Fn(u16) -> bool,
    ) -> (usize, Option<(Family, usize)>) {
        let (more, sip) = (self.more.as_deref_mut(), room.by_peer);
        let (looked, next, gone) = match (family, more) {
            (Family::V4, more) => {
                self.v4.expire(from, most, more.and_then(|more| more.v4_index.as_mut()), sip, is_over)
            }
            (Family::V6, Some(More { v6, v6_index, .. })) => v6.expire(from, most, v6_index.as_mut(), sip, is_over),
            (Family::V6, None) => (0, None, [0, 0]),
        };
        room.peers.give(gone[0] + gone[1]);
        *tally.of(family, true) -= gone[0];
        *tally.of(family, false) -= gone[1];
        self.give_up_indexes();
        match (next, family) {
            (Some(from), _) => (looked, Some((family, from))),
            (None, Family::V4) if self.more.as_ref().is_some_and(|more| more.v6.len() > 0) => {
                (looked, Some((Family::V6, 0)))
            }
            (None, _) => {
                self.more.take_if(|more| more.v4_index.is_none() && more.v6.len() == 0);
                (looked, None)
            }
        }
    }

    /// Forgets the indexes that are of no use any more.
    fn give_up_indexes(&mut self) {
        if let Some(more) = &mut self.more {
            more.v4_index.take_if(|_| self.v4.is_done_with_index());
            more.v6_index.take_if(|_| more.v6.is_done_with_index());
        }
    }

    /// Gives the family and the place of one of the peers, each as likely as the others.
    pub(super) fn anybody(&self, rng: &mut Rng) -> Option<(Family, usize)> {
        let place = below(rng, self.len());
        match place.checked_sub(self.v4.len()) {
            None => Some((Family::V4, place)),
            Some(place) => (place < self.len() - self.v4.len()).then_some((Family::V6, place)),
        }
    }

    /// Gives how long a peer was not heard of, in the low bits of time.
    pub(super) fn age(&self, (family, place): (Family, usize), now: u16) -> u16 {
        match family {
            Family::V4 => self.v4.age(place, now),
            Family::V6 => self.more.as_ref().map_or(0, |more| more.v6.age(place, now)),
        }
    }

    /// Takes out the peer at a place.
    pub(super) fn take_out(&mut self, (family, place): (Family, usize), tally: &mut Tally, room: &Room) {
        let sip = room.by_peer;
        let seed = match (family, self.more.as_deref_mut()) {
            (Family::V4, more) => self.v4.remove_at(place, more.and_then(|more| more.v4_index.as_mut()), sip),
            (Family::V6, Some(More { v6, v6_index, .. })) => v6.remove_at(place, v6_index.as_mut(), sip),
            (Family::V6, None) => return,
        };
        self.give_up_indexes();
        *tally.of(family, seed) -= 1;
        room.peers.give(1);
    }

    /// Draws peers for an announcer: a seed has no use for seeds.
    pub(super) fn draw(&self, asked: &Announcement, asker: Option<usize>, rng: &mut Rng, drawn: &mut Drawn) {
        let (any, own, v6) = (!asked.seed, Family::of(asked.peer.ip()), self.more.as_deref().map(|more| &more.v6));
        let asker_in = |family| asker.filter(|_| own == family);
        let (want_v4, want_v6) = match (asked.both, own) {
            (false, Family::V4) => (asked.want, 0),
            (false, Family::V6) => (0, asked.want),
            (true, _) => {
                let usable = |seeds: usize, leeches: usize| if any { seeds + leeches } else { leeches };
                // The asker is not among those that it can be given, and a seed was not counted.
                let itself = |family| usize::from(any && asker_in(family).is_some());
                let in_v4 = usable(self.v4.seeds(), self.v4.leeches()) - itself(Family::V4);
                let in_v6 = v6.map_or(0, |v6| usable(v6.seeds(), v6.leeches())) - itself(Family::V6);
                if in_v4 + in_v6 > asked.want {
                    // In proportion, so that neither family is all that anybody knows of.
                    let v6 = (asked.want * in_v6).div_ceil(in_v4 + in_v6);
                    (asked.want - v6, v6)
                } else {
                    (asked.want, asked.want)
                }
            }
        };
        if want_v4 > 0 {
            self.v4.draw(want_v4, any, asker_in(Family::V4), rng, &mut drawn.v4);
        }
        if let (Some(v6), 1..) = (v6, want_v6) {
            v6.draw(want_v6, any, asker_in(Family::V6), rng, &mut drawn.v6);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_takes_two_lines_of_the_cache() {
        assert_eq!((size_of::<Option<Swarm>>(), align_of::<Option<Swarm>>()), (128, 128));
    }
}
