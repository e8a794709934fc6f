//! Some of the torrents, with their peers.

use super::super::sip::Sip;
use super::entry::{Name, V4, V6};
use super::index::Index;
use super::members::{Change, Members};
use super::{Announcement, Counts, Drawn, Full, Room, Tally};
use crate::machine::Rng;
use crate::proto::announce::Event;
use crate::proto::compact::Family;
use crate::proto::id::InfoHash;

/// The peers of one torrent.
#[derive(Debug)]
struct Swarm {
    info_hash: InfoHash,
    /// The part of its hash that the index needs.
    hash: u32,
    /// When the last peer was taken down: peers have only the low bits of their times.
    touched: u32,
    completed: u32,
    v4: Members<V4>,
    /// Most torrents have none.
    v6: Option<Box<Members<V6>>>,
}

impl Swarm {
    fn counts(&self) -> Counts {
        let v6 = self.v6.as_ref().map_or((0, 0), |v6| (v6.seeds(), v6.leeches()));
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Counts {
            seeders: count(self.v4.seeds() + v6.0),
            leechers: count(self.v4.leeches() + v6.1),
            completed: self.completed,
        }
    }

    fn len(&self) -> usize {
        self.v4.len() + self.v6.as_ref().map_or(0, |v6| v6.len())
    }

    /// Takes all peers out.
    fn empty(&mut self, tally: &mut Tally, room: &Room) {
        room.peers.give(self.len());
        tally.seeds_v4 -= self.v4.seeds();
        tally.leeches_v4 -= self.v4.leeches();
        if let Some(v6) = self.v6.take() {
            tally.seeds_v6 -= v6.seeds();
            tally.leeches_v6 -= v6.leeches();
        }
        self.v4 = Members::default();
    }
}

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
    pub(super) fn announce(
        &mut self,
        tick: u32,
        hash: u64,
        asked: &Announcement,
        room: &Room,
        sip: Sip,
        rng: &mut Rng,
        drawn: &mut Drawn,
    ) -> Result<Counts, Full> {
        self.latest = self.latest.max(tick);
        let leaves = asked.event == Event::Stopped;
        let place = match self.find(hash, &asked.info_hash) {
            Some(place) => place,
            None if leaves || asked.peer.port() == 0 => return Ok(Counts::default()),
            None => self.add(hash, asked.info_hash, room)?,
        };
        let (tick, tally) = (self.latest, &mut self.tally);
        let swarm = &mut self.swarms[place];
        if tick - swarm.touched > room.timeout {
            // Nobody is left of those who were there, though they have not been taken out yet.
            swarm.empty(tally, room);
        }
        if leaves {
            swarm.leave(asked, room, tally, sip);
            return Ok(swarm.counts());
        }
        let asker = if asked.peer.port() == 0 { None } else { swarm.take_down(tick, asked, room, tally, sip) };
        swarm.draw(asked, asker, rng, drawn);
        Ok(swarm.counts())
    }

    /// Gives the figures of a torrent.
    pub(super) fn scrape(&self, hash: u64, info_hash: &InfoHash) -> Counts {
        self.find(hash, info_hash).map_or(Counts::default(), |place| self.swarms[place].counts())
    }

    fn add(&mut self, hash: u64, info_hash: InfoHash, room: &Room) -> Result<usize, Full> {
        if !room.torrents.is_free() {
            return Err(Full);
        }
        room.torrents.add();
        let place = self.swarms.len();
        self.swarms.push(Swarm {
            info_hash,
            hash: hash as u32,
            touched: self.latest,
            completed: 0,
            v4: Members::default(),
            v6: None,
        });
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
            seen += 1;
            if now - swarm.touched > timeout {
                self.remove(place, room);
                self.cursor = (place, false, 0);
                continue;
            }
            // One at least, however little is asked for: it goes on.
            let left = (most - seen).max(1);
            let (looked, next, gone) = match (second, &mut swarm.v6) {
                (false, _) => swarm.v4.expire(from, left, sip, is_over),
                (true, Some(v6)) => v6.expire(from, left, sip, is_over),
                (true, None) => (0, None, [0, 0]),
            };
            seen += looked;
            room.peers.give(gone[0] + gone[1]);
            let (seeds, leeches) = match second {
                false => (&mut self.tally.seeds_v4, &mut self.tally.leeches_v4),
                true => (&mut self.tally.seeds_v6, &mut self.tally.leeches_v6),
            };
            *seeds -= gone[0];
            *leeches -= gone[1];
            self.cursor = match (next, second) {
                (Some(from), _) => (place, second, from),
                (None, false) => (place, true, 0),
                (None, true) => (place + 1, false, 0),
            };
            if second && next.is_none() && swarm.v6.as_ref().is_some_and(|v6| v6.len() == 0) {
                swarm.v6 = None;
            }
        }
        (seen, false)
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

impl Swarm {
    /// Takes the announcer down; gives its place, where there was room.
    fn take_down(
        &mut self,
        tick: u32,
        asked: &Announcement,
        room: &Room,
        tally: &mut Tally,
        sip: Sip,
    ) -> Option<usize> {
        // Workers that look at the same time may each find the last place: there are at most as many too many as there are workers.
        let may_be_new = self.len() < room.per_torrent && room.peers.is_free();
        let low = tick as u16;
        let (change, place) = match Name::of(asked.peer) {
            Name::V4(key) => self.v4.put(key, asked.seed, low, may_be_new, sip),
            Name::V6(key) => match &mut self.v6 {
                None if !may_be_new => (Change::Full, None),
                v6 => v6.get_or_insert_default().put(key, asked.seed, low, may_be_new, sip),
            },
        };
        if change == Change::New {
            room.peers.add();
        }
        if change != Change::Full {
            self.touched = tick;
        }
        let (seeds, leeches) = match Family::of(asked.peer.ip()) {
            Family::V4 => (&mut tally.seeds_v4, &mut tally.leeches_v4),
            Family::V6 => (&mut tally.seeds_v6, &mut tally.leeches_v6),
        };
        match change {
            Change::Full => {}
            Change::New if asked.seed => *seeds += 1,
            Change::New => *leeches += 1,
            Change::Was { seed } if seed == asked.seed => {}
            Change::Was { seed: true } => (*seeds, *leeches) = (*seeds - 1, *leeches + 1),
            Change::Was { seed: false } => (*seeds, *leeches) = (*seeds + 1, *leeches - 1),
        }
        // Once for each: who is known as a seed says it a second time.
        if asked.event == Event::Completed && asked.seed && change != (Change::Was { seed: true }) {
            self.completed = self.completed.saturating_add(1);
        }
        place
    }

    /// Takes the announcer out, and nobody else.
    fn leave(&mut self, asked: &Announcement, room: &Room, tally: &mut Tally, sip: Sip) {
        let (gone, seeds, leeches) = match Name::of(asked.peer) {
            Name::V4(key) => (self.v4.remove(key, sip), &mut tally.seeds_v4, &mut tally.leeches_v4),
            Name::V6(key) => {
                let gone = self.v6.as_mut().and_then(|v6| v6.remove(key, sip));
                (gone, &mut tally.seeds_v6, &mut tally.leeches_v6)
            }
        };
        match gone {
            Some(true) => *seeds -= 1,
            Some(false) => *leeches -= 1,
            None => return,
        }
        room.peers.give(1);
    }

    /// Draws peers for an announcer: a seed has no use for seeds.
    fn draw(&self, asked: &Announcement, asker: Option<usize>, rng: &mut Rng, drawn: &mut Drawn) {
        let any = !asked.seed;
        let usable = |seeds: usize, leeches: usize| if any { seeds + leeches } else { leeches };
        let own = Family::of(asked.peer.ip());
        let in_v4 = usable(self.v4.seeds(), self.v4.leeches());
        let in_v6 = self.v6.as_ref().map_or(0, |v6| usable(v6.seeds(), v6.leeches()));
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
