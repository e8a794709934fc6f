//! One torrent, with its peers.

use super::super::sip::Sip;
use super::entry::{Name, V4, V6};
use super::members::{Members, below};
use super::{Announcement, Counts, Drawn, Room, Tally};
use crate::machine::Rng;
use crate::proto::announce::Event;
use crate::proto::compact::Family;
use crate::proto::id::InfoHash;

/// The peers of one torrent.
#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) info_hash: InfoHash,
    /// The part of its hash that the index needs.
    pub(super) hash: u32,
    /// When the last peer was taken down: peers have only the low bits of their times.
    pub(super) touched: u32,
    completed: u32,
    pub(super) v4: Members<V4>,
    /// Most torrents have none.
    pub(super) v6: Option<Box<Members<V6>>>,
}

impl Swarm {
    /// Makes one without peers.
    pub(super) fn new(info_hash: InfoHash, hash: u32, tick: u32) -> Self {
        Self { info_hash, hash, touched: tick, completed: 0, v4: Members::default(), v6: None }
    }

    pub(super) fn counts(&self) -> Counts {
        let v6 = self.v6.as_ref().map_or((0, 0), |v6| (v6.seeds(), v6.leeches()));
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Counts {
            seeders: count(self.v4.seeds() + v6.0),
            leechers: count(self.v4.leeches() + v6.1),
            completed: self.completed,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.as_ref().map_or(0, |v6| v6.len())
    }

    /// Takes all peers out.
    pub(super) fn empty(&mut self, tally: &mut Tally, room: &Room) {
        room.peers.give(self.len());
        tally.seeds_v4 -= self.v4.seeds();
        tally.leeches_v4 -= self.v4.leeches();
        if let Some(v6) = self.v6.take() {
            tally.seeds_v6 -= v6.seeds();
            tally.leeches_v6 -= v6.leeches();
        }
        self.v4 = Members::default();
    }

    /// Finds somebody among the peers of its family.
    pub(super) fn find(&self, name: Name, sip: Sip) -> Option<usize> {
        match name {
            Name::V4(key) => self.v4.find(key, sip),
            Name::V6(key) => self.v6.as_ref().and_then(|v6| v6.find(key, sip)),
        }
    }

    /// Takes the announcer down, who was at a place if it was known; gives its place.
    pub(super) fn take_down(
        &mut self,
        tick: u32,
        asked: &Announcement,
        (name, known): (Name, Option<usize>),
        room: &Room,
        tally: &mut Tally,
        sip: Sip,
    ) -> usize {
        let (low, seed) = (tick as u16, asked.seed);
        let (was, place) = match name {
            Name::V4(key) => self.v4.put(known, key, seed, low, sip),
            Name::V6(key) => self.v6.get_or_insert_default().put(known, key, seed, low, sip),
        };
        self.touched = tick;
        *tally.of(name.family(), seed) += 1;
        match was {
            None => room.peers.add(),
            Some(was) => *tally.of(name.family(), was) -= 1,
        }
        // Once for each: who is known as a seed says it a second time.
        if asked.event == Event::Completed && seed && was != Some(true) {
            self.completed = self.completed.saturating_add(1);
        }
        place
    }

    /// Counts the peers of the network that somebody is in, and finds the one of them that was not heard of for longest.
    pub(super) fn neighbours(&self, name: Name, now: u16, sip: Sip) -> (usize, Option<(Family, usize)>) {
        let (count, oldest) = match name {
            Name::V4(key) => self.v4.neighbours(key, now, sip),
            Name::V6(key) => self.v6.as_ref().map_or((0, None), |v6| v6.neighbours(key, now, sip)),
        };
        (count, oldest.map(|place| (name.family(), place)))
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
        match (family, &self.v6) {
            (Family::V4, _) => self.v4.age(place, now),
            (Family::V6, v6) => v6.as_ref().map_or(0, |v6| v6.age(place, now)),
        }
    }

    /// Takes out the peer at a place.
    pub(super) fn take_out(&mut self, (family, place): (Family, usize), tally: &mut Tally, room: &Room, sip: Sip) {
        let seed = match (family, &mut self.v6) {
            (Family::V4, _) => self.v4.remove_at(place, sip),
            (Family::V6, Some(v6)) => v6.remove_at(place, sip),
            (Family::V6, None) => return,
        };
        *tally.of(family, seed) -= 1;
        room.peers.give(1);
    }

    /// Draws peers for an announcer: a seed has no use for seeds.
    pub(super) fn draw(&self, asked: &Announcement, asker: Option<usize>, rng: &mut Rng, drawn: &mut Drawn) {
        let any = !asked.seed;
        let usable = |seeds: usize, leeches: usize| if any { seeds + leeches } else { leeches };
        let own = Family::of(asked.peer.ip());
        // The asker is not among those that it can be given, and a seed was not counted.
        let itself = |family| usize::from(any && asker.is_some() && own == family);
        let in_v4 = usable(self.v4.seeds(), self.v4.leeches()) - itself(Family::V4);
        let in_v6 = self.v6.as_ref().map_or(0, |v6| usable(v6.seeds(), v6.leeches())) - itself(Family::V6);
        let (want_v4, want_v6) = match (asked.both, own) {
            (false, Family::V4) => (asked.want, 0),
            (false, Family::V6) => (0, asked.want),
            // In proportion, so that neither family is all that anybody knows of.
            (true, _) if in_v4 + in_v6 > asked.want => {
                let v6 = (asked.want * in_v6).div_ceil(in_v4 + in_v6);
                (asked.want - v6, v6)
            }
            (true, _) => (asked.want, asked.want),
        };
        let asker_in = |family| asker.filter(|_| own == family);
        if want_v4 > 0 {
            self.v4.draw(want_v4, any, asker_in(Family::V4), rng, &mut drawn.v4);
        }
        if let (Some(v6), 1..) = (&self.v6, want_v6) {
            v6.draw(want_v6, any, asker_in(Family::V6), rng, &mut drawn.v6);
        }
    }
}
