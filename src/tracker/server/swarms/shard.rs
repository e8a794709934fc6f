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

/// The peers of one torrent: in one line of the processor's cache, for to get one is most of what an answer takes.
#[derive(Debug)]
#[repr(align(64))]
struct Swarm {
    info_hash: InfoHash,
    /// When the last peer was taken down: peers have only the low bits of their times.
    touched: u32,
    completed: u32,
    v4: Members<V4>,
    /// Most torrents have none.
    more: Option<Box<More>>,
}

/// What few torrents have.
#[derive(Debug, Default)]
struct More {
    index: Option<Index>,
    v6: Members<V6>,
    index_v6: Option<Index>,
}

impl Swarm {
    fn v6(&self) -> Option<&Members<V6>> {
        self.more.as_ref().map(|more| &more.v6)
    }

    fn counts(&self) -> Counts {
        let v6 = self.v6().map_or((0, 0), |v6| (v6.seeds(), v6.leeches()));
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Counts {
            seeders: count(self.v4.seeds() + v6.0),
            leechers: count(self.v4.leeches() + v6.1),
            completed: self.completed,
        }
    }

    fn len(&self) -> usize {
        self.v4.len() + self.v6().map_or(0, Members::len)
    }

    /// Takes all peers out.
    fn empty(&mut self, tally: &mut Tally, room: &Room) {
        room.peers.give(self.len());
        tally.seeds_v4 -= self.v4.seeds();
        tally.leeches_v4 -= self.v4.leeches();
        if let Some(more) = self.more.take() {
            tally.seeds_v6 -= more.v6.seeds();
            tally.leeches_v6 -= more.v6.leeches();
        }
        self.v4 = Members::default();
    }

    fn bytes(&self) -> usize {
        let index = |index: &Option<Index>| index.as_ref().map_or(0, Index::bytes);
        let more = |more: &More| size_of::<More>() + more.v6.bytes() + index(&more.index) + index(&more.index_v6);
        self.v4.bytes() + self.more.as_deref().map_or(0, more)
    }
}

/// Torrents in a hash table that has them in itself.
///
/// What it tracks: a power of two of slots, at least a quarter of them free. A torrent is in the first slot that was free from that of its hash on, so no
/// free slot lies between. Beside: how many peers there are, up to where those that are over have been looked for, and the latest time it was told of, since to
/// it a clock that goes back stands still.
#[derive(Debug, Default)]
pub(super) struct Shard {
    table: Vec<Option<Swarm>>,
    tally: Tally,
    latest: u32,
    /// The torrent, the family and the peer at which the search for those who are over goes on.
    cursor: (usize, bool, usize),
}

impl Shard {
    fn home(&self, hash: u64) -> usize {
        // There is a power of two of slots: the mask keeps within them.
        hash as usize & self.table.len().wrapping_sub(1)
    }

    fn after(&self, slot: usize) -> usize {
        (slot + 1) & self.table.len().wrapping_sub(1)
    }

    fn find(&self, hash: u64, info_hash: &InfoHash) -> Option<usize> {
        let mut slot = self.home(hash);
        while let Some(swarm) = self.table.get(slot)? {
            if swarm.info_hash == *info_hash {
                return Some(slot);
            }
            slot = self.after(slot);
        }
        None
    }

    /// Takes an announce down and draws peers for its answer.
    pub(super) fn announce(
        &mut self,
        tick: u32,
        hash: u64,
        asked: &Announcement,
        room: &Room,
        rng: &mut Rng,
        drawn: &mut Drawn,
    ) -> Result<Counts, Full> {
        self.latest = self.latest.max(tick);
        let leaves = asked.event == Event::Stopped;
        let slot = match self.find(hash, &asked.info_hash) {
            Some(slot) => slot,
            None if leaves || asked.peer.port() == 0 => return Ok(Counts::default()),
            None => self.add(hash, asked.info_hash, room)?,
        };
        let (tick, tally) = (self.latest, &mut self.tally);
        let Some(swarm) = &mut self.table[slot] else { return Err(Full) };
        if tick - swarm.touched > room.timeout {
            // Nobody is left of those who were there, though they have not been taken out yet.
            swarm.empty(tally, room);
        }
        if leaves {
            swarm.leave(asked, room, tally);
            return Ok(swarm.counts());
        }
        let asker = if asked.peer.port() == 0 { None } else { swarm.take_down(tick, asked, room, tally) };
        swarm.draw(asked, asker, rng, drawn);
        Ok(swarm.counts())
    }

    /// Gives the figures of a torrent.
    pub(super) fn scrape(&self, hash: u64, info_hash: &InfoHash) -> Counts {
        let swarm = self.find(hash, info_hash).and_then(|slot| self.table[slot].as_ref());
        swarm.map_or(Counts::default(), Swarm::counts)
    }

    fn add(&mut self, hash: u64, info_hash: InfoHash, room: &Room) -> Result<usize, Full> {
        if !room.torrents.is_free() {
            return Err(Full);
        }
        if (self.tally.torrents + 1) * 4 > self.table.len() * 3 {
            self.resize((self.table.len() * 2).max(8), room.by_hash);
        }
        room.torrents.add();
        self.tally.torrents += 1;
        let touched = self.latest;
        Ok(self.put(hash, Swarm { info_hash, touched, completed: 0, v4: Members::default(), more: None }))
    }

    /// Puts a torrent where it belongs; gives its slot.
    fn put(&mut self, hash: u64, swarm: Swarm) -> usize {
        let mut slot = self.home(hash);
        while self.table[slot].is_some() {
            slot = self.after(slot);
        }
        self.table[slot] = Some(swarm);
        slot
    }

    fn resize(&mut self, slots: usize, sip: Sip) {
        let mut table = Vec::new();
        table.resize_with(slots, || None);
        for swarm in std::mem::replace(&mut self.table, table).into_iter().flatten() {
            self.put(sip.of_hash(&swarm.info_hash.0), swarm);
        }
    }

    fn remove(&mut self, slot: usize, room: &Room) {
        let Some(mut swarm) = self.table[slot].take() else { return };
        swarm.empty(&mut self.tally, room);
        self.tally.torrents -= 1;
        room.torrents.give(1);
        // Those behind it that may not stay behind a free slot move up.
        let (mut hole, mut next, mask) = (slot, self.after(slot), self.table.len() - 1);
        while let Some(swarm) = &self.table[next] {
            let home = self.home(room.by_hash.of_hash(&swarm.info_hash.0));
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.table.swap(hole, next);
                hole = next;
            }
            next = self.after(next);
        }
        // Half of what it was made for and less: so that growing and shrinking do not take turns.
        if self.table.len() > 64 && self.tally.torrents * 6 < self.table.len() {
            self.resize(self.table.len() / 2, room.by_hash);
        }
    }

    /// Takes out who has not been heard of for too long, among as many as `most` peers and torrents, going on from where it was. Gives how many were
    /// looked at, and whether the end was reached.
    pub(super) fn sweep(&mut self, tick: u32, most: usize, room: &Room) -> (usize, bool) {
        self.latest = self.latest.max(tick);
        let (now, timeout, mut seen) = (self.latest, room.timeout, 0);
        // Less than a whole turn of the low bits has passed, or all of the torrent would be over.
        let is_over = |tick: u16| u32::from((now as u16).wrapping_sub(tick)) > timeout;
        while seen < most {
            let (slot, second, from) = self.cursor;
            let swarm = match self.table.get_mut(slot) {
                None => {
                    self.cursor = (0, false, 0);
                    return (seen, true);
                }
                Some(None) => {
                    self.cursor = (slot + 1, false, 0);
                    continue;
                }
                Some(Some(swarm)) => swarm,
            };
            seen += 1;
            if now - swarm.touched > timeout {
                // Giving back the memory of many peers takes its time too, though not one by one.
                seen += swarm.len() / 64;
                self.remove(slot, room);
                // Another may have moved up.
                self.cursor = (slot, false, 0);
                continue;
            }
            // One at least, however little is asked for: it goes on.
            let left = (most - seen).max(1);
            let (looked, next, gone) = match (second, &mut swarm.more) {
                (false, more) => {
                    let mut none = None;
                    let index = more.as_mut().map_or(&mut none, |more| &mut more.index);
                    swarm.v4.expire(from, left, index, room.by_peer, is_over)
                }
                (true, Some(more)) => more.v6.expire(from, left, &mut more.index_v6, room.by_peer, is_over),
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
                (Some(from), _) => (slot, second, from),
                (None, false) => (slot, true, 0),
                (None, true) => (slot + 1, false, 0),
            };
            if second && swarm.more.as_ref().is_some_and(|more| more.v6.len() == 0 && more.index.is_none()) {
                swarm.more = None;
            }
        }
        (seen, false)
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn bytes(&self) -> usize {
        let peers: usize = self.table.iter().flatten().map(Swarm::bytes).sum();
        self.table.capacity() * size_of::<Option<Swarm>>() + peers
    }
}

impl Swarm {
    /// Takes the announcer down; gives its place, where there was room.
    fn take_down(&mut self, tick: u32, asked: &Announcement, room: &Room, tally: &mut Tally) -> Option<usize> {
        // Workers that look at the same time may each find the last place: there are at most as many too many as there are workers.
        let may_be_new = self.len() < room.per_torrent && room.peers.is_free();
        let (low, sip) = (tick as u16, room.by_peer);
        let (change, place) = match Name::of(asked.peer) {
            Name::V4(key) => {
                if self.v4.wants_index() {
                    self.more.get_or_insert_default();
                }
                let mut none = None;
                let index = self.more.as_mut().map_or(&mut none, |more| &mut more.index);
                self.v4.put((key, asked.seed), low, may_be_new, index, sip)
            }
            Name::V6(key) => match &mut self.more {
                None if !may_be_new => (Change::Full, None),
                more => {
                    let More { v6, index_v6, .. } = &mut **more.get_or_insert_default();
                    v6.put((key, asked.seed), low, may_be_new, index_v6, sip)
                }
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
    fn leave(&mut self, asked: &Announcement, room: &Room, tally: &mut Tally) {
        let sip = room.by_peer;
        let (gone, seeds, leeches) = match Name::of(asked.peer) {
            Name::V4(key) => {
                let mut none = None;
                let index = self.more.as_mut().map_or(&mut none, |more| &mut more.index);
                (self.v4.remove(key, index, sip), &mut tally.seeds_v4, &mut tally.leeches_v4)
            }
            Name::V6(key) => {
                let gone = self.more.as_mut().and_then(|more| more.v6.remove(key, &mut more.index_v6, sip));
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
        let in_v6 = self.v6().map_or(0, |v6| usable(v6.seeds(), v6.leeches()));
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
        if let (Some(v6), 1..) = (self.v6(), want_v6) {
            v6.draw(want_v6, any, asker_in(Family::V6), rng, &mut drawn.v6);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_takes_one_line_of_the_cache() {
        assert_eq!((size_of::<Option<Swarm>>(), align_of::<Option<Swarm>>()), (64, 64));
    }
}
