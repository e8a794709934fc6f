//! Some of the torrents, with their peers.

use super::super::sip::Sip;
use super::entry::{Name, V6};
use super::index::Index;
use super::members::{Members, below};
use super::swarm::Swarm;
use super::{Announcement, Counts, Drawn, Lack, Room, SAMPLE, Tally};
use crate::machine::Rng;
use crate::proto::announce::Event;
use crate::proto::compact::Family;
use crate::proto::id::InfoHash;

/// Torrents in no order, and an index of them.
///
/// What it tracks beside: how many peers there are, up to where those that are over have been looked for, and the latest time it was told of: to it a
/// clock that goes back stands still.
#[derive(Debug, Default)]
pub(super) struct Shard {
    swarms: Vec<Swarm>,
    index: Index,
    tally: Tally,
    latest: u32,
    /// The torrent, the family and the peer at which the search for those who are over goes on.
    cursor: (usize, bool, usize),
}

impl Shard {
    fn find(&self, hash: u64, info_hash: &InfoHash) -> Option<usize> {
        self.index.find(hash, |place| self.swarms[place].info_hash == *info_hash)
    }

    /// Takes an announce down and draws peers for its answer.
    #[allow(clippy::too_many_arguments)] // They are all that an answer is made of.
    pub(super) fn announce(
        &mut self,
        tick: u32,
        hash: u64,
        asked: &Announcement,
        room: &Room,
        sip: Sip,
        rng: &mut Rng,
        drawn: &mut Drawn,
    ) -> Result<Counts, Lack> {
        self.latest = self.latest.max(tick);
        let leaves = asked.event == Event::Stopped;
        let unheard = asked.peer.port() == 0 || room.per_torrent == 0 || room.peers.limit == 0;
        let place = match self.find(hash, &asked.info_hash) {
            Some(place) => place,
            None if leaves || unheard => return Ok(Counts::default()),
            None => self.add(hash, asked.info_hash, room, rng)?,
        };
        let tick = self.latest;
        let swarm = &mut self.swarms[place];
        if tick - swarm.touched > room.timeout {
            // Nobody is left of those who were there, though they have not been taken out yet.
            swarm.empty(&mut self.tally, room);
        }
        let name = Name::of(asked.peer);
        let known = swarm.find(name, sip);
        if leaves {
            if let Some(place) = known {
                swarm.take_out((name.family(), place), &mut self.tally, room, sip);
            }
            return Ok(swarm.counts());
        }
        if unheard {
            swarm.draw(asked, None, rng, drawn);
            return Ok(swarm.counts());
        }
        if known.is_none() {
            self.make_room(place, name, room, sip, rng)?;
        }
        let swarm = &mut self.swarms[place];
        let asker = swarm.take_down(tick, asked, (name, known), room, &mut self.tally, sip);
        swarm.draw(asked, Some(asker), rng, drawn);
        Ok(swarm.counts())
    }

    /// Makes room for somebody new in a torrent: where its network has as many peers as one may have, the oldest of these goes; where the torrent has, an old
    /// one of the torrent; where all have, an old one of any.
    fn make_room(&mut self, place: usize, name: Name, room: &Room, sip: Sip, rng: &mut Rng) -> Result<(), Lack> {
        let now = self.latest as u16;
        let swarm = &mut self.swarms[place];
        let (neighbours, oldest) = swarm.neighbours(name, now, sip);
        if neighbours >= room.per_network {
            let Some(seat) = oldest else { return Err(Lack::Peer) };
            swarm.take_out(seat, &mut self.tally, room, sip);
        } else if swarm.len() >= room.per_torrent {
            let seats = (0..SAMPLE).filter_map(|_| swarm.anybody(rng));
            let Some(seat) = seats.max_by_key(|seat| swarm.age(*seat, now)) else { return Err(Lack::Peer) };
            swarm.take_out(seat, &mut self.tally, room, sip);
        } else if !room.peers.is_free() && !self.forget_peer(self.latest, room, sip, rng) {
            return Err(Lack::Peer);
        }
        Ok(())
    }

    /// Gives the figures of a torrent.
    pub(super) fn scrape(&self, hash: u64, info_hash: &InfoHash) -> Counts {
        self.find(hash, info_hash).map_or(Counts::default(), |place| self.swarms[place].counts())
    }

    fn add(&mut self, hash: u64, info_hash: InfoHash, room: &Room, rng: &mut Rng) -> Result<usize, Lack> {
        if !room.torrents.is_free() && !self.forget_torrent(self.latest, room, rng) {
            return Err(Lack::Torrent);
        }
        room.torrents.add();
        let place = self.swarms.len();
        self.swarms.push(Swarm::new(info_hash, hash as u32, self.latest));
        let swarms = &self.swarms;
        self.index.insert(hash, place, |place| u64::from(swarms[place].hash));
        self.tally.torrents += 1;
        Ok(place)
    }

    fn remove(&mut self, place: usize, room: &Room) {
        let last = self.swarms.len() - 1;
        let hash_of = |swarms: &[Swarm], place: usize| u64::from(swarms[place].hash);
        if place != last {
            self.index.swap((hash_of(&self.swarms, place), place), (hash_of(&self.swarms, last), last));
            self.swarms.swap(place, last);
        }
        let swarms = &self.swarms;
        self.index.remove(hash_of(swarms, last), last, |place| hash_of(swarms, place));
        if let Some(mut swarm) = self.swarms.pop() {
            swarm.empty(&mut self.tally, room);
        }
        self.tally.torrents -= 1;
        room.torrents.give(1);
        if self.swarms.capacity() > 64 && self.swarms.len() * 4 < self.swarms.capacity() {
            self.swarms.shrink_to(self.swarms.len() * 2);
        }
    }

    /// Takes out who has not been heard of for too long, among as many as `most` peers and torrents, going on from where it was. Gives how many were
    /// looked at, and whether the end was reached.
    pub(super) fn sweep(&mut self, tick: u32, most: usize, room: &Room, sip: Sip) -> (usize, bool) {
        self.latest = self.latest.max(tick);
        let (now, timeout, mut seen) = (self.latest, room.timeout, 0);
        // Less than a whole turn of the low bits has passed, or all of the torrent would be over.
        let is_over = |tick: u16| u32::from((now as u16).wrapping_sub(tick)) > timeout;
        while seen < most {
            let (place, second, from) = self.cursor;
            let Some(swarm) = self.swarms.get_mut(place) else {
                self.cursor = (0, false, 0);
                return (seen, true);
            };
            // It is looked at once, whatever it has and however often it is come back to.
            seen += usize::from(!second && from == 0);
            if now - swarm.touched > timeout {
                self.remove(place, room);
                self.cursor = (place, false, 0);
                continue;
            }
            // One at least, however little is asked for: it goes on.
            let left = most.saturating_sub(seen).max(1);
            let (looked, next, gone) = match (second, &mut swarm.v6) {
                (false, _) => swarm.v4.expire(from, left, sip, is_over),
                (true, Some(v6)) => v6.expire(from, left, sip, is_over),
                (true, None) => (0, None, [0, 0]),
            };
            seen += looked;
            room.peers.give(gone[0] + gone[1]);
            let family = if second { Family::V6 } else { Family::V4 };
            *self.tally.of(family, true) -= gone[0];
            *self.tally.of(family, false) -= gone[1];
            self.cursor = match (next, second) {
                (Some(from), _) => (place, second, from),
                (None, false) if swarm.v6.is_some() => (place, true, 0),
                (None, _) => (place + 1, false, 0),
            };
            if second && next.is_none() && swarm.v6.as_ref().is_some_and(|v6| v6.len() == 0) {
                swarm.v6 = None;
            }
        }
        (seen, false)
    }

    /// Forgets a torrent to make room for another: of a few, one with a single peer rather than one with more, and the one that nobody has announced
    /// for longest. So what nobody shares goes before what is shared, however fast the former comes. Says whether there was any.
    pub(super) fn forget_torrent(&mut self, tick: u32, room: &Room, rng: &mut Rng) -> bool {
        self.latest = self.latest.max(tick);
        let places = (0..SAMPLE).map(|_| below(rng, self.swarms.len()));
        let worth = |place: &usize| self.swarms.get(*place).map(|swarm| (swarm.len() > 1, swarm.touched));
        let Some(place) = places.min_by_key(worth).filter(|place| *place < self.swarms.len()) else { return false };
        self.remove(place, room);
        true
    }

    /// Forgets a peer to make room for another: of a few in different torrents, the one that was not heard of for longest. Says whether there was any.
    pub(super) fn forget_peer(&mut self, tick: u32, room: &Room, sip: Sip, rng: &mut Rng) -> bool {
        self.latest = self.latest.max(tick);
        let now = self.latest as u16;
        // Some torrents have no peers.
        let seats = (0..4 * SAMPLE).filter_map(|_| {
            let place = below(rng, self.swarms.len());
            let swarm = self.swarms.get(place)?;
            let seat = swarm.anybody(rng)?;
            Some((swarm.age(seat, now), place, seat))
        });
        let Some((_, place, seat)) = seats.take(SAMPLE).max_by_key(|(age, ..)| *age) else { return false };
        self.swarms[place].take_out(seat, &mut self.tally, room, sip);
        true
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn bytes(&self) -> usize {
        let peers =
            |swarm: &Swarm| swarm.v4.bytes() + swarm.v6.as_ref().map_or(0, |v6| size_of::<Members<V6>>() + v6.bytes());
        let swarms = self.swarms.capacity() * size_of::<Swarm>();
        swarms + self.index.bytes() + self.swarms.iter().map(peers).sum::<usize>()
    }
}
