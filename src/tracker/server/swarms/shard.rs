//! Some of the torrents, with their peers.

use super::entry::Name;
use super::swarm::Swarm;
use super::table::Table;
use super::{Announcement, Counts, Drawn, Lack, Room, SAMPLE, Tally};
use crate::machine::Rng;
use crate::proto::announce::Event;
use crate::proto::compact::Family;
use crate::proto::id::InfoHash;

/// The torrents of one part.
///
/// What it tracks beside: how many peers there are, up to where those that are over have been looked for, and the latest time it was told of: to it a
/// clock that goes back stands still.
#[derive(Debug)]
pub(super) struct Shard {
    swarms: Table,
    tally: Tally,
    latest: u32,
    /// The torrent, the family and the peer at which the search for those who are over goes on.
    cursor: (usize, (Family, usize)),
}

/// So many peers that are given back at once take as long as one that is looked at.
const MANY: usize = 64;
/// The first peer of a torrent.
const FIRST: (Family, usize) = (Family::V4, 0);

impl Default for Shard {
    fn default() -> Self {
        Self { swarms: Table::default(), tally: Tally::default(), latest: 0, cursor: (0, FIRST) }
    }
}

impl Shard {
    /// Takes an announce down and draws peers for its answer.
    pub(super) fn announce(
        &mut self,
        tick: u32,
        hash: u64,
        asked: &Announcement,
        room: &Room,
        rng: &mut Rng,
        drawn: &mut Drawn,
    ) -> Result<Counts, Lack> {
        self.latest = self.latest.max(tick);
        let (tick, sip) = (self.latest, room.by_peer);
        let leaves = asked.event == Event::Stopped;
        let unheard = asked.peer.port() == 0 || room.per_torrent == 0 || room.peers.limit == 0;
        let slot = match self.swarms.find(hash, &asked.info_hash) {
            Some(slot) => slot,
            None if leaves || unheard => return Ok(Counts::default()),
            None => self.add(hash, asked.info_hash, room, rng)?,
        };
        let Some(swarm) = self.swarms.get_mut(slot) else { return Err(Lack::Torrent) };
        if tick - swarm.touched > room.timeout {
            // Nobody is left of those who were there, though they have not been taken out yet.
            swarm.empty(&mut self.tally, room);
        }
        let name = Name::of(asked.peer);
        if unheard && !leaves {
            swarm.draw(asked, None, rng, drawn);
            return Ok(swarm.counts());
        }
        let known = swarm.find(name, sip);
        if leaves {
            if let Some(place) = known {
                swarm.take_out((name.family(), place), &mut self.tally, room);
            }
            return Ok(swarm.counts());
        }
        if known.is_none() {
            self.make_room(slot, name, room, rng)?;
        }
        let Some(swarm) = self.swarms.get_mut(slot) else { return Err(Lack::Torrent) };
        let asker = swarm.take_down(tick, asked, (name, known), room, &mut self.tally);
        swarm.draw(asked, Some(asker), rng, drawn);
        Ok(swarm.counts())
    }

    /// Makes room for somebody new in a torrent: where its network has as many peers as one may have, the oldest of these goes; where the torrent has, an old
    /// one of the torrent; where all have, an old one of any.
    fn make_room(&mut self, slot: usize, name: Name, room: &Room, rng: &mut Rng) -> Result<(), Lack> {
        let now = self.latest as u16;
        let Some(swarm) = self.swarms.get_mut(slot) else { return Ok(()) };
        if let Some(seat) = swarm.surplus(name, now, room) {
            swarm.take_out(seat, &mut self.tally, room);
        } else if swarm.len() >= room.per_torrent {
            let seats = (0..SAMPLE).filter_map(|_| swarm.anybody(rng));
            let Some(seat) = seats.max_by_key(|seat| swarm.age(*seat, now)) else { return Err(Lack::Peer) };
            swarm.take_out(seat, &mut self.tally, room);
        } else if !room.peers.is_free() && !self.forget_peer(self.latest, room, rng) {
            return Err(Lack::Peer);
        }
        Ok(())
    }

    /// Gives the figures of a torrent.
    pub(super) fn scrape(&self, hash: u64, info_hash: &InfoHash) -> Counts {
        let swarm = self.swarms.find(hash, info_hash).and_then(|slot| self.swarms.get(slot));
        swarm.map_or(Counts::default(), Swarm::counts)
    }

    fn add(&mut self, hash: u64, info_hash: InfoHash, room: &Room, rng: &mut Rng) -> Result<usize, Lack> {
        if !room.torrents.is_free() && !self.forget_torrent(self.latest, room, rng) {
            return Err(Lack::Torrent);
        }
        room.torrents.add();
        self.tally.torrents += 1;
        Ok(self.swarms.insert(hash, Swarm::new(info_hash, self.latest), room.by_hash))
    }

    /// Takes out a torrent; gives how many peers it had.
    fn remove(&mut self, slot: usize, room: &Room) -> usize {
        let before = self.swarms.slots();
        let Some(mut swarm) = self.swarms.remove(slot, room.by_hash) else { return 0 };
        let (peers, slots) = (swarm.len(), self.swarms.slots());
        swarm.empty(&mut self.tally, room);
        self.tally.torrents -= 1;
        room.torrents.give(1);
        if slots < before {
            // What has been looked at is the first half and some of the second, which is now among the first: or else all is looked at again.
            self.cursor = (self.cursor.0.saturating_sub(slots), FIRST);
        }
        peers
    }

    /// Takes out who has not been heard of for too long, among as many as `most` peers and torrents, going on from where it was. Gives how many were
    /// looked at, and whether the end was reached.
    pub(super) fn sweep(&mut self, tick: u32, most: usize, room: &Room) -> (usize, bool) {
        self.latest = self.latest.max(tick);
        let (now, timeout, mut seen) = (self.latest, room.timeout, 0);
        // Less than a whole turn of the low bits has passed, or all of the torrent would be over.
        let is_over = |tick: u16| u32::from((now as u16).wrapping_sub(tick)) > timeout;
        while seen < most {
            let (slot, from) = self.cursor;
            if slot >= self.swarms.slots() {
                self.cursor = (0, FIRST);
                return (seen, true);
            }
            let Some(swarm) = self.swarms.get_mut(slot) else {
                self.cursor = (slot + 1, FIRST);
                continue;
            };
            // It is looked at once, whatever it has and however often it is come back to.
            seen += usize::from(from == FIRST);
            if now - swarm.touched > timeout {
                self.cursor = (slot, FIRST);
                // Giving back the memory of many peers takes its time too, though not one by one.
                seen += self.remove(slot, room) / MANY;
                continue;
            }
            // One at least, however little is asked for: it goes on.
            let left = most.saturating_sub(seen).max(1);
            let (looked, next) = swarm.expire(from, left, room, &mut self.tally, is_over);
            seen += looked;
            self.cursor = next.map_or((slot + 1, FIRST), |next| (slot, next));
        }
        (seen, false)
    }

    /// Forgets a torrent to make room for another: of a few, one with a single peer rather than one with more, and the one that nobody has announced
    /// for longest. So what nobody shares goes before what is shared, however fast the former comes. Says whether there was any.
    pub(super) fn forget_torrent(&mut self, tick: u32, room: &Room, rng: &mut Rng) -> bool {
        self.latest = self.latest.max(tick);
        let slots = (0..SAMPLE).filter_map(|_| self.swarms.any(rng, |_| true));
        let worth = |slot: &usize| self.swarms.get(*slot).map(|swarm| (swarm.len() > 1, swarm.touched));
        let Some(slot) = slots.min_by_key(worth) else { return false };
        self.remove(slot, room);
        true
    }

    /// Forgets a peer to make room for another: of a few in different torrents, the one that was not heard of for longest. Says whether there was any.
    pub(super) fn forget_peer(&mut self, tick: u32, room: &Room, rng: &mut Rng) -> bool {
        self.latest = self.latest.max(tick);
        let now = self.latest as u16;
        let seats = (0..SAMPLE).filter_map(|_| {
            // Some torrents have no peers.
            let slot = self.swarms.any(rng, |swarm| swarm.len() > 0)?;
            let swarm = self.swarms.get(slot)?;
            let seat = swarm.anybody(rng)?;
            Some((swarm.age(seat, now), slot, seat))
        });
        let Some((_, slot, seat)) = seats.max_by_key(|(age, ..)| *age) else { return false };
        if let Some(swarm) = self.swarms.get_mut(slot) {
            swarm.take_out(seat, &mut self.tally, room);
        }
        true
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn bytes(&self) -> usize {
        self.swarms.bytes()
    }
}
