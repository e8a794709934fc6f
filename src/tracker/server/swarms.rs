//! The swarms: who has announced which torrent, in memory.

mod entry;
mod index;
mod members;
mod shard;
mod swarm;
mod table;

use super::config::SwarmLimits;
use super::figures::{Counters, Figures};
use super::sip::Sip;
use crate::machine::{Instant, Rng, Secret};
use crate::proto::announce::Event;
use crate::proto::compact::Family;
use crate::proto::id::InfoHash;
use shard::Shard;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many parts the torrents are divided into: workers wait for each other only where they are at the same one.
const SHARDS: usize = 64;
/// The unit of time in which peers are remembered, in microseconds: 8 s, of which 16 bits hold six days.
const TICK: u64 = 8_000_000;
/// All peers and torrents are looked at in as many portions of the search for those who are over.
const ROUND: usize = 40;
/// So many are looked at in a portion, however few there are.
const LEAST: usize = 64;
/// Of how many that are looked at the oldest goes where there is no room.
const SAMPLE: usize = 8;

/// The swarms of all torrents, shared by the machines that answer for them.
///
/// Torrents are divided by a keyed hash of their info hash into 64 parts, each with its lock, which is held for no longer than one answer takes. A peer is
/// known by its IP address and port, and by nothing else: the address is the one that it announced from, so nobody can speak for another address (those who share one can for each other), and
/// all peers of one address are found together, so that they can be counted. A peer
/// takes 8 bytes with IPv4 and 20 with IPv6, and a quarter of that for room to grow; a torrent about 200, in which its first 8 peers with IPv4 are.
///
/// Nothing is allocated to answer an announce of somebody who is known.
///
/// ```
/// use bip::machine::{Instant, Rng, Secret};
/// use bip::proto::id::InfoHash;
/// use bip::tracker::server::{Announcement, Drawn, SwarmLimits, Swarms};
///
/// let swarms = Swarms::new(SwarmLimits::default(), &Secret::new([1; 32]));
/// let (mut rng, mut drawn) = (Rng::new(1), Drawn::default());
/// for port in 1..=3 {
///     let announcement = Announcement::new(InfoHash([7; 20]), ([192, 0, 2, 1], port).into());
///     let counts = swarms.announce(Instant::ZERO, &announcement, &mut rng, &mut drawn)?;
///     assert_eq!((counts.leechers, drawn.v4.len()), (u32::from(port), 6 * usize::from(port - 1)));
/// }
/// assert_eq!(swarms.scrape(&InfoHash([7; 20])).leechers, 3);
/// # Ok::<(), bip::tracker::server::Full>(())
/// ```
pub struct Swarms {
    shards: Box<[Mutex<Shard>]>,
    room: Room,
    /// The part that is swept next.
    next: AtomicUsize,
    /// How much there was when it was the first: as much is to be looked at until it is the first again, however much is taken out meanwhile.
    round: AtomicUsize,
    /// How many machines sweep.
    sweepers: AtomicUsize,
    workers: Mutex<Vec<Arc<Counters>>>,
}

/// One announce, as far as swarms are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Where the announcer can be reached: the address that it sent from, and the port that it named. With port 0 it is not taken down.
    pub peer: SocketAddr,
    /// Whether it has all of the torrent. It is then given no seeds, for which it has no use.
    pub seed: bool,
    /// Why it announces.
    pub event: Event,
    /// How many peers it is to be given.
    pub want: usize,
    /// Whether it is given peers of both families, rather than of its own.
    pub both: bool,
}

impl Announcement {
    /// Makes one of somebody who lacks something of the torrent, and is to be given 50 peers of its own family.
    pub fn new(info_hash: InfoHash, peer: SocketAddr) -> Self {
        Self { info_hash, peer, seed: false, event: Event::None, want: 50, both: false }
    }
}

/// The figures of a torrent, of both families together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// How many peers have all of it.
    pub seeders: u32,
    /// How many do not.
    pub leechers: u32,
    /// How many have said that they have completed it, since it is known.
    pub completed: u32,
}

/// Peers for an answer, in compact form. To be used again, so that its memory is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drawn {
    /// Those with IPv4, 6 bytes each.
    pub v4: Vec<u8>,
    /// Those with IPv6, 18 bytes each.
    pub v6: Vec<u8>,
}

/// No torrent is known, and there may be none: [`SwarmLimits::torrents`] is 0. Or so many ask for a new one at the same moment that none could be forgotten
/// for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no room for another torrent")
    }
}

impl std::error::Error for Full {}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Torrents.
    pub torrents: usize,
    /// Peers with IPv4 that have all of their torrent.
    pub seeds_v4: usize,
    /// Other peers with IPv4.
    pub leeches_v4: usize,
    /// Peers with IPv6 that have all of their torrent.
    pub seeds_v6: usize,
    /// Other peers with IPv6.
    pub leeches_v6: usize,
}

impl Tally {
    /// Gives the number of peers.
    pub fn peers(&self) -> usize {
        self.seeds_v4 + self.leeches_v4 + self.seeds_v6 + self.leeches_v6
    }

    fn of(&mut self, family: Family, seed: bool) -> &mut usize {
        match (family, seed) {
            (Family::V4, true) => &mut self.seeds_v4,
            (Family::V4, false) => &mut self.leeches_v4,
            (Family::V6, true) => &mut self.seeds_v6,
            (Family::V6, false) => &mut self.leeches_v6,
        }
    }
}

/// A number of things with a limit, counted by all workers.
#[derive(Debug)]
struct Places {
    taken: AtomicUsize,
    limit: usize,
}

impl Places {
    fn new(limit: usize) -> Self {
        Self { taken: AtomicUsize::new(0), limit }
    }

    /// Says whether there is a place. Reading alone leaves the number in every processor's cache. Workers that look at the same time may each find the
    /// last place: there are at most as many too many as there are workers.
    fn is_free(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < self.limit
    }

    /// Takes a place.
    fn add(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    fn give(&self, places: usize) {
        if places > 0 {
            self.taken.fetch_sub(places, Ordering::Relaxed);
        }
    }
}

/// What there is no room for, with nothing in this part that could be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    Torrent,
    Peer,
}

/// What is common to all parts: the limits, what is left of them, and the keys of their hashes.
#[derive(Debug)]
struct Room {
    by_hash: Sip,
    by_peer: Sip,
    torrents: Places,
    peers: Places,
    per_torrent: usize,
    per_network: usize,
    /// How long a peer is remembered, in ticks.
    timeout: u32,
}

fn tick(now: Instant) -> u32 {
    u32::try_from(now.as_micros() / TICK).unwrap_or(u32::MAX)
}

impl Swarms {
    /// Makes an empty one. The secret keys its hashes, so that nobody can choose torrents or addresses that are hard to find.
    pub fn new(limits: SwarmLimits, secret: &Secret) -> Self {
        let limits = limits.checked();
        let timeout = u64::try_from(limits.peer_timeout.as_micros()).unwrap_or(u64::MAX).div_ceil(TICK);
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            room: Room {
                by_hash: Sip::new(secret, "tracker torrents"),
                by_peer: Sip::new(secret, "tracker peers"),
                torrents: Places::new(limits.torrents),
                peers: Places::new(limits.peers),
                per_torrent: limits.peers_per_torrent,
                per_network: limits.peers_per_network,
                timeout: u32::try_from(timeout).unwrap_or(u32::MAX),
            },
            next: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            sweepers: AtomicUsize::new(0),
            workers: Mutex::default(),
        }
    }

    fn shard(&self, place: usize) -> MutexGuard<'_, Shard> {
        // Counts may be off after a panic, which there is none of; nothing else can be.
        self.shards[place % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the part that a torrent is in, and its hash there: of different bits.
    fn place(&self, info_hash: &InfoHash) -> (usize, u64) {
        let hash = self.room.by_hash.of_hash(&info_hash.0);
        ((hash >> 58) as usize, hash & u64::from(u32::MAX))
    }

    /// Takes an announce down, and puts peers for its answer in `drawn`, in place of what is there. Who stops is taken out and given none.
    ///
    /// Nobody new is turned away for want of room: [`SwarmLimits`] says who goes. Only where there may be no peers at all is the announcer answered and not taken down.
    ///
    /// # Errors
    ///
    /// There may be no torrents at all.
    pub fn announce(
        &self,
        now: Instant,
        asked: &Announcement,
        rng: &mut Rng,
        drawn: &mut Drawn,
    ) -> Result<Counts, Full> {
        drawn.v4.clear();
        drawn.v6.clear();
        let (place, hash) = self.place(&asked.info_hash);
        let tick = tick(now);
        let mut announce =
            |asked: &Announcement, rng: &mut Rng| self.shard(place).announce(tick, hash, asked, &self.room, rng, drawn);
        for _ in 0..2 {
            match announce(asked, rng) {
                Ok(counts) => return Ok(counts),
                // The part has nothing to forget: so it is where limits are low.
                Err(lack) => self.forget(place, lack, tick, rng),
            }
        }
        match announce(asked, rng) {
            Ok(counts) => Ok(counts),
            Err(Lack::Torrent) => Err(Full),
            Err(Lack::Peer) => {
                let peer = SocketAddr::new(asked.peer.ip(), 0);
                announce(&Announcement { peer, ..*asked }, rng).map_err(|_| Full)
            }
        }
    }

    /// Forgets a torrent or a peer in the first of the other parts that has any. Nobody holds two parts at a time.
    fn forget(&self, place: usize, lack: Lack, tick: u32, rng: &mut Rng) {
        for other in place + 1..place + SHARDS {
            let mut shard = self.shard(other);
            let done = match lack {
                Lack::Torrent => shard.forget_torrent(tick, &self.room, rng),
                Lack::Peer => shard.forget_peer(tick, &self.room, rng),
            };
            if done {
                return;
            }
        }
    }

    /// Gives the figures of a torrent; zeros for one that is not known.
    pub fn scrape(&self, info_hash: &InfoHash) -> Counts {
        let (place, hash) = self.place(info_hash);
        self.shard(place).scrape(hash, info_hash)
    }

    /// Takes out peers that were not heard of for [`SwarmLimits::peer_timeout`], and torrents without any, among as many as given (one more at most). To be called again and again:
    /// it goes on from where it was. Gives how many were looked at.
    pub fn sweep(&self, now: Instant, most: usize) -> usize {
        let mut seen = 0;
        for _ in 0..SHARDS {
            let next = self.next.load(Ordering::Relaxed);
            let (looked, ended) = self.shard(next).sweep(tick(now), most.saturating_sub(seen), &self.room);
            seen += looked;
            if ended {
                let after = (next + 1) % SHARDS;
                // Another worker may have gone on meanwhile.
                let moved = self.next.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed);
                if moved.is_ok() && after == 0 {
                    self.round.store(self.size(), Ordering::Relaxed);
                }
            }
            if seen >= most {
                break;
            }
        }
        seen
    }

    /// Gives how many each of the machines that sweep has to look at in a portion of its time.
    pub(super) fn portion(&self) -> usize {
        let all = self.size().max(self.round.load(Ordering::Relaxed));
        all.div_ceil(ROUND * self.sweepers.load(Ordering::Relaxed).max(1)) + LEAST
    }

    /// Notes that one more machine sweeps.
    pub(super) fn join_sweep(&self) {
        self.sweepers.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that one machine less sweeps.
    pub(super) fn leave_sweep(&self) {
        self.sweepers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Says whether there is no torrent.
    pub fn is_empty(&self) -> bool {
        self.room.torrents.taken.load(Ordering::Relaxed) == 0
    }

    /// Gives how many torrents and peers there are, nearly: as much as [`sweep`](Self::sweep) has to look at for a whole round.
    pub fn size(&self) -> usize {
        let taken = |places: &Places| places.taken.load(Ordering::Relaxed);
        taken(&self.room.torrents) + taken(&self.room.peers)
    }

    /// Gives how much there is.
    pub fn tally(&self) -> Tally {
        (0..SHARDS).fold(Tally::default(), |sum, place| {
            let tally = self.shard(place).tally();
            Tally {
                torrents: sum.torrents + tally.torrents,
                seeds_v4: sum.seeds_v4 + tally.seeds_v4,
                leeches_v4: sum.leeches_v4 + tally.leeches_v4,
                seeds_v6: sum.seeds_v6 + tally.seeds_v6,
                leeches_v6: sum.leeches_v6 + tally.leeches_v6,
            }
        })
    }

    /// Gives the bytes of memory that torrents and peers take, without what the allocator adds. Looks at every torrent: for benchmarks and tests.
    pub fn bytes(&self) -> usize {
        (0..SHARDS).map(|place| size_of::<Mutex<Shard>>() + self.shard(place).bytes()).sum()
    }

    /// Gives what the machines that share these swarms have done, and how much there is. Asks no machine: it can be called from any thread, at any time.
    pub fn figures(&self) -> Figures {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut figures = workers.iter().fold(Figures::default(), |sum, counters| sum.and(counters));
        drop(workers);
        figures.swarms = self.tally();
        figures
    }

    /// Makes the counters of one more machine. They stay counted when it is gone.
    pub(super) fn register(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counters));
        counters
    }
}

impl fmt::Debug for Swarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Swarms({:?})", self.tally())
    }
}
