//! The peers that others announced to us, to be told to who looks for them (BEP 5, 33, 51).

mod crowd;
mod limits;
mod samples;
mod scrapes;
#[cfg(test)]
mod tests;

pub use limits::StoreLimits;
pub(crate) use samples::Sample;
pub(crate) use scrapes::Scrape;

use crate::dht::draw::Draw;
use crate::dht::memory::Heap as _;
use crate::dht::party::Party;
use crate::machine::{Instant, Map, Rng, Timers};
use crate::proto::compact::Family;
use crate::proto::id::InfoHash;
use crowd::{Crowd, Place};
use samples::Samples;
use scrapes::Scrapes;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many torrents are drawn, of which the one with the fewest peers goes.
const DRAWN: u32 = 16;

/// From how many peers on a torrent is a large one: these are kept in order.
const LARGE: usize = 16;

/// How long what has expired may stay in memory, so that its going needs no wake-up of its own. Nobody is told of it meanwhile.
const SLACK: Duration = Duration::from_secs(60);

/// The last second that a peer's time can be. When it comes, all is forgotten, and time begins anew.
const LAST_SECOND: u64 = (1 << 31) - 1;

/// The address that announces a peer has as many as it may ([`StoreLimits::per_ip`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

struct Torrent {
    hash: InfoHash,
    v4: Crowd<6>,
    v6: Crowd<18>,
}

impl Torrent {
    fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    fn oldest(&self) -> u32 {
        self.v4.oldest().min(self.v6.oldest())
    }
}

/// The peers that others announced.
///
/// What it tracks: the torrents in a row, each with its peers by family, and where in the row each is; how many peers each party has in
/// all; the larger torrents in the order of how many peers they have; and a time for each torrent before which none of its peers expires. A
/// torrent without peers is none.
///
/// Finding a torrent is one look-up, finding a peer halves; announcing moves at most the peers of one torrent (20 KB, or 44 of IPv6),
/// picking costs as many draws as peers are wanted. Neither allocates, but where something new is kept. Peers that expired are taken out
/// when their torrent is next asked for, or by [`expire`](Self::expire).
pub(crate) struct Peers {
    limits: StoreLimits,
    rng: Rng,
    draw: Draw,
    /// The second 0.
    base: Instant,
    torrents: Vec<Torrent>,
    places: Map<InfoHash, u32>,
    parties: Map<Party, u32>,
    total: usize,
    large: BTreeSet<(usize, InfoHash)>,
    timers: Timers<InfoHash>,
    samples: Samples,
    scrapes: Scrapes,
}

impl Peers {
    pub(crate) fn new(limits: StoreLimits, rng: &mut Rng) -> Self {
        Self {
            limits,
            draw: Draw::default(),
            base: Instant::ZERO,
            torrents: Vec::new(),
            places: Map::new(rng),
            parties: Map::new(rng),
            total: 0,
            large: BTreeSet::new(),
            timers: Timers::new(),
            samples: Samples::default(),
            scrapes: Scrapes::default(),
            rng: rng.fork(),
        }
    }

    pub(super) fn heap(&self) -> usize {
        let crowds = self.torrents.iter().map(|torrent| torrent.v4.heap() + torrent.v6.heap()).sum::<usize>();
        let lists =
            self.torrents.heap() + self.places.heap() + self.parties.heap() + self.large.heap() + self.timers.heap();
        crowds + lists + self.draw.heap() + self.samples.heap() + self.scrapes.heap()
    }

    /// Gives the number of torrents; those whose peers expired in the last minute may be among them.
    pub(crate) fn torrents(&self) -> usize {
        self.torrents.len()
    }

    /// Gives the number of peers, likewise.
    pub(crate) fn len(&self) -> usize {
        self.total
    }

    /// Notes that a peer has a torrent. One that is there already is kept for longer, and is a seed or not as it says now.
    ///
    /// What expired counts for the limit of its host until it is taken out, a minute or so after.
    pub(crate) fn announce(
        &mut self,
        now: Instant,
        hash: InfoHash,
        address: SocketAddr,
        seed: bool,
    ) -> Result<(), Full> {
        let port = address.port().to_be_bytes();
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                self.announce_in(now, hash, [a, b, c, d, port[0], port[1]], ip.into(), seed, |torrent| &mut torrent.v4)
            }
            IpAddr::V6(ip) => {
                let mut bytes = [0; 18];
                bytes[..16].copy_from_slice(&ip.octets());
                bytes[16..].copy_from_slice(&port);
                self.announce_in(now, hash, bytes, ip.into(), seed, |torrent| &mut torrent.v6)
            }
        }
    }

    fn announce_in<const N: usize>(
        &mut self,
        now: Instant,
        hash: InfoHash,
        address: [u8; N],
        ip: IpAddr,
        seed: bool,
        crowd: fn(&mut Torrent) -> &mut Crowd<N>,
    ) -> Result<(), Full> {
        let at = self.second(now);
        let party = Party::of(ip);
        if let Some(place) = self.live(at, &hash) {
            let crowd = crowd(&mut self.torrents[place]);
            match crowd.place(&address, &self.limits) {
                Place::Known(place) => {
                    crowd.renew(place, at, seed);
                    return Ok(());
                }
                Place::Instead(place) => {
                    crowd.remove(place);
                    crowd.insert(address, at, seed);
                    return Ok(());
                }
                Place::Full => {
                    admit(&self.parties, self.limits.per_ip, party)?;
                    let out = self.rng.below(crowd.len() as u32) as usize;
                    let gone = crowd.remove(out);
                    self.on_gone(place, gone);
                }
                Place::New => admit(&self.parties, self.limits.per_ip, party)?,
            }
        } else {
            admit(&self.parties, self.limits.per_ip, party)?;
        }
        // One more. Room may be made in the same torrent, which may so become none.
        if self.total >= self.limits.total.max(1) && self.expire(now, LARGE) == 0 {
            self.drop_peer();
        }
        let place = match self.places.get(&hash) {
            Some(place) => *place as usize,
            None => {
                if self.torrents.len() >= self.limits.hashes.max(1) {
                    self.expire(now, LARGE);
                }
                if self.torrents.len() >= self.limits.hashes.max(1) {
                    self.drop_torrent();
                }
                self.torrents.push(Torrent { hash, v4: Crowd::new(), v6: Crowd::new() });
                self.places.insert(hash, self.torrents.len() as u32 - 1);
                self.timers.set(hash, self.expires(at));
                self.torrents.len() - 1
            }
        };
        let torrent = &mut self.torrents[place];
        crowd(torrent).insert(address, at, seed);
        let size = torrent.len();
        resize(&mut self.large, hash, size - 1, size);
        *self.parties.entry(party).or_insert(0) += 1;
        self.total += 1;
        Ok(())
    }

    /// Appends at most `count` peers of a torrent that are of a family, drawn at random, none of them twice; none that is a seed where
    /// none is wanted.
    pub(crate) fn pick(
        &mut self,
        now: Instant,
        hash: &InfoHash,
        family: Family,
        count: usize,
        no_seed: bool,
        into: &mut Vec<SocketAddr>,
    ) {
        let at = self.second(now);
        let Some(place) = self.live(at, hash) else { return };
        let (rng, draw, torrent) = (&mut self.rng, &mut self.draw, &self.torrents[place]);
        match family {
            Family::V4 => torrent.v4.pick(rng, draw, count, no_seed, into),
            Family::V6 => torrent.v6.pick(rng, draw, count, no_seed, into),
        }
    }

    /// Gives the filters of which the peers of a torrent that are of a family can be counted, as they were at most a minute ago; `None`
    /// where there are no such peers.
    pub(crate) fn scrape(&mut self, now: Instant, hash: &InfoHash, family: Family) -> Option<&Scrape> {
        let at = self.second(now);
        let place = self.live(at, hash)?;
        let torrent = &self.torrents[place];
        let count = match family {
            Family::V4 => torrent.v4.len(),
            Family::V6 => torrent.v6.len(),
        };
        let make = || match family {
            Family::V4 => Scrape::of(&torrent.v4),
            Family::V6 => Scrape::of(&torrent.v6),
        };
        (count > 0).then(|| self.scrapes.get(now, (hash, family), self.limits.scrapes, make))
    }

    /// Gives some of the torrents: the same ones until the interval is over, or all where they fit.
    pub(crate) fn sample(&mut self, now: Instant) -> Sample<'_> {
        let wanted = (self.limits.sample_interval, self.limits.samples);
        let hash = |at: usize| self.torrents[at].hash;
        self.samples.get(now, wanted, self.torrents.len(), hash, (&mut self.rng, &mut self.draw))
    }

    /// Takes out what has expired, looking at no more than so many peers and torrents, or at one torrent. Says how many peers went.
    pub(crate) fn expire(&mut self, now: Instant, budget: usize) -> usize {
        let at = self.second(now);
        let before = self.total;
        let mut looked = 0;
        while looked < budget {
            let Some(hash) = self.timers.pop(now) else { break };
            let Some(place) = self.places.get(&hash).map(|place| *place as usize) else { continue };
            looked += 1 + self.torrents[place].len();
            if self.sweep(place, at) {
                let next = self.expires(self.torrents[place].oldest());
                self.timers.set(hash, next);
            }
        }
        before - self.total
    }

    /// Gives when [`expire`](Self::expire) should be called next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.timers.next().map(|at| at + SLACK)
    }

    /// Gives the second that it is.
    fn second(&mut self, now: Instant) -> u32 {
        if self.total == 0 {
            self.base = now;
        }
        let second = now.since(self.base).as_secs();
        if second > LAST_SECOND {
            // After 68 years, or when a clock has jumped by as many, everything but what came last has expired anyway.
            while let Some(last) = self.torrents.len().checked_sub(1) {
                self.remove(last);
            }
            self.base = now;
            return 0;
        }
        second as u32
    }

    /// Gives when a peer expires that was announced in a second.
    fn expires(&self, second: u32) -> Instant {
        self.base + Duration::from_secs(u64::from(second) + u64::from(self.limits.expiry_seconds()))
    }

    /// Gives where a torrent is that has peers which have not expired, and takes out those that have.
    fn live(&mut self, at: u32, hash: &InfoHash) -> Option<usize> {
        let place = *self.places.get(hash)? as usize;
        self.sweep(place, at).then_some(place)
    }

    /// Takes out the peers of a torrent that have expired. Says whether any is left: if not, the torrent is gone.
    fn sweep(&mut self, place: usize, at: u32) -> bool {
        let torrent = &mut self.torrents[place];
        let Some(until) = at.checked_sub(self.limits.expiry_seconds()) else { return true };
        if torrent.oldest() > until {
            return true;
        }
        let (parties, total, before) = (&mut self.parties, &mut self.total, torrent.len());
        let mut gone = |party| {
            leave(parties, party);
            *total -= 1;
        };
        torrent.v4.sweep(until, &mut gone);
        torrent.v6.sweep(until, &mut gone);
        resize(&mut self.large, torrent.hash, before, torrent.len());
        if torrent.len() == 0 {
            self.remove(place);
            return false;
        }
        true
    }

    /// Makes room for a torrent: of a few that are drawn the one with the fewest peers goes.
    fn drop_torrent(&mut self) {
        let count = self.torrents.len() as u32;
        let drawn = (0..DRAWN).map(|_| self.rng.below(count) as usize);
        if let Some(place) = drawn.min_by_key(|place| self.torrents[*place].len()) {
            self.remove(place);
        }
    }

    /// Makes room for a peer: the largest torrent loses one that is drawn; where none is large, one that is drawn too.
    fn drop_peer(&mut self) {
        let largest = self.large.last().and_then(|(_, hash)| self.places.get(hash)).map(|place| *place as usize);
        let place = largest.unwrap_or_else(|| self.rng.below(self.torrents.len() as u32) as usize);
        let torrent = &mut self.torrents[place];
        let out = self.rng.below(torrent.len() as u32) as usize;
        let gone = match out.checked_sub(torrent.v4.len()) {
            None => torrent.v4.remove(out),
            Some(out) => torrent.v6.remove(out),
        };
        self.on_gone(place, gone);
        if self.torrents[place].len() == 0 {
            self.remove(place);
        }
    }

    /// Counts a peer out that a torrent has lost.
    fn on_gone(&mut self, place: usize, gone: Option<IpAddr>) {
        let Some(ip) = gone else { return };
        let torrent = &self.torrents[place];
        resize(&mut self.large, torrent.hash, torrent.len() + 1, torrent.len());
        leave(&mut self.parties, Party::of(ip));
        self.total -= 1;
    }

    fn remove(&mut self, place: usize) {
        let torrent = self.torrents.swap_remove(place);
        self.places.remove(&torrent.hash);
        self.timers.cancel(torrent.hash);
        if let Some(moved) = self.torrents.get(place) {
            self.places.insert(moved.hash, place as u32);
        }
        self.total -= torrent.len();
        resize(&mut self.large, torrent.hash, torrent.len(), 0);
        torrent.v4.parties().chain(torrent.v6.parties()).for_each(|party| leave(&mut self.parties, party));
    }
}

/// Says whether a party may have one more.
fn admit(parties: &Map<Party, u32>, most: usize, party: Party) -> Result<(), Full> {
    let has = parties.get(&party).map_or(0, |count| *count as usize);
    if has < most { Ok(()) } else { Err(Full) }
}

/// Puts a torrent in its place by its size.
fn resize(large: &mut BTreeSet<(usize, InfoHash)>, hash: InfoHash, before: usize, after: usize) {
    if before >= LARGE {
        large.remove(&(before, hash));
    }
    if after >= LARGE {
        large.insert((after, hash));
    }
}

fn leave(parties: &mut Map<Party, u32>, party: Party) {
    match parties.get_mut(&party) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            parties.remove(&party);
        }
    }
}
