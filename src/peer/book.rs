use super::bans::Party;
use super::crowd::{Crowd, Room};
use super::{Config, Source};
use crate::machine::{DialId, Instant, Map, Rng};
use crate::proto::id::PeerId;
use slab::Slab;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

mod entry;

use entry::{Entry, Rank, State, Uselessness, distrust};

/// The addresses of one torrent's peers and when each may be dialled.
///
/// Only addresses that somebody named are here: a peer that came in is not dialled, since its port is not where it listens.
///
/// What it tracks: each address is idle, or being connected, or connected. Idle ones wait for their time in `later`; from then on they are
/// in `due`, best first. Those whose host or network has as many connections as it may have are in `crowded` and cost nothing, until
/// such a place may be free: then its network is in `freed`, and the first that there is room for is due. All idle ones are in `idle` as well, the least useful last. So every call takes a few steps in an ordered
/// set, however many addresses there are.
#[derive(Debug)]
pub(super) struct Book {
    entries: Slab<Entry>,
    by_address: Map<SocketAddr, usize>,
    later: BTreeSet<(Instant, usize)>,
    due: BTreeSet<(Rank, usize)>,
    /// By network and host.
    crowded: BTreeSet<(Party, IpAddr, usize)>,
    freed: BTreeSet<Party>,
    idle: BTreeSet<(Uselessness, usize)>,
    /// The entries whose peers' ids are known.
    by_peer_id: BTreeSet<(PeerId, usize)>,
    connecting: usize,
    /// Whom those are to that are shaking hands.
    crowd: Crowd,
    /// How often an address was named.
    named: u64,
}

impl Book {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            entries: Slab::new(),
            by_address: Map::new(rng),
            later: BTreeSet::new(),
            due: BTreeSet::new(),
            crowded: BTreeSet::new(),
            freed: BTreeSet::new(),
            idle: BTreeSet::new(),
            by_peer_id: BTreeSet::new(),
            connecting: 0,
            crowd: Crowd::default(),
            named: 0,
        }
    }

    /// Adds an address, to be dialled now; one that is known and was to be dialled later only if the program names it. Says false
    /// where there is no room, and nothing less useful is there whose place it could take.
    pub(super) fn add(
        &mut self,
        now: Instant,
        address: SocketAddr,
        source: Source,
        priority: u32,
        config: &Config,
    ) -> bool {
        self.named += 1;
        let named = self.named;
        if let Some(key) = self.by_address.get(&address).copied() {
            self.change(key, |entry| {
                entry.named = named;
                if distrust(source) < distrust(entry.source) {
                    entry.source = source;
                }
                if let State::Later(at) = entry.state {
                    entry.state = State::Later(if source == Source::Program { at.min(now) } else { at });
                }
            });
            return true;
        }
        if self.entries.len() >= config.max_known_peers && !self.make_room(source) {
            return false;
        }
        let state = State::Later(now);
        let key = self.entries.insert(Entry { address, source, named, priority, state, failures: 0, peer_id: None });
        self.by_address.insert(address, key);
        self.list(key);
        true
    }

    /// Forgets the least useful address that is not connected, if a new one from that source is worth more.
    fn make_room(&mut self, source: Source) -> bool {
        let Some(((_, key), worst)) = self.idle.last().and_then(|last| Some((*last, self.entries.get(last.1)?))) else {
            return false;
        };
        let program = source == Source::Program;
        let goes = match worst.source {
            // What the program named stays, but where it names another and this one failed.
            Source::Program => program && worst.failures > 0,
            _ => worst.failures > 0 || distrust(worst.source) >= distrust(source),
        };
        if goes {
            self.remove(key);
        }
        goes
    }

    fn remove(&mut self, key: usize) {
        self.unlist(key);
        if let Some(entry) = self.entries.try_remove(key) {
            self.by_address.remove(&entry.address);
        }
    }

    /// Forgets an address.
    pub(super) fn forget(&mut self, address: SocketAddr) {
        if let Some(key) = self.by_address.get(&address).copied() {
            self.remove(key);
        }
    }

    /// Forgets the addresses that came from one source alone.
    pub(super) fn forget_all(&mut self, source: Source) {
        let keys: Vec<usize> = self.entries.iter().filter(|(_, e)| e.source == source).map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }

    /// Changes an entry and what is found by it.
    fn change(&mut self, key: usize, change: impl FnOnce(&mut Entry)) {
        self.unlist(key);
        if let Some(entry) = self.entries.get_mut(key) {
            change(entry);
        }
        self.list(key);
    }

    fn list(&mut self, key: usize) {
        let Some(entry) = self.entries.get(key) else { return };
        match entry.state {
            State::Later(at) => drop(self.later.insert((at, key))),
            State::Due(_) => drop(self.due.insert((entry.rank(), key))),
            State::Crowded => drop(self.crowded.insert(crowded(entry.address, key))),
            State::Dialling(_) => self.connecting += 1,
            State::Shaking => {
                self.connecting += 1;
                self.crowd.enter(entry.address);
            }
            State::Connected | State::Ourselves => {}
        }
        if let State::Later(_) | State::Due(_) | State::Crowded = entry.state {
            self.idle.insert((entry.uselessness(), key));
        }
        if let Some(peer_id) = entry.peer_id {
            self.by_peer_id.insert((peer_id, key));
        }
    }

    fn unlist(&mut self, key: usize) {
        let Some(entry) = self.entries.get(key) else { return };
        // Where one that was to be dialled is, or comes to nothing, there may be room for another.
        let mut frees = false;
        match entry.state {
            State::Later(at) => drop(self.later.remove(&(at, key))),
            State::Due(_) => frees = self.due.remove(&(entry.rank(), key)),
            State::Crowded => drop(self.crowded.remove(&crowded(entry.address, key))),
            State::Dialling(_) => self.connecting -= 1,
            State::Shaking => {
                self.connecting -= 1;
                self.crowd.leave(entry.address);
                frees = true;
            }
            State::Connected | State::Ourselves => {}
        }
        self.idle.remove(&(entry.uselessness(), key));
        if let Some(peer_id) = entry.peer_id {
            self.by_peer_id.remove(&(peer_id, key));
        }
        if frees {
            let address = entry.address;
            self.on_place_free(address);
        }
    }

    /// Takes note that the host at an address, and its network, may have a connection less.
    pub(super) fn on_place_free(&mut self, address: SocketAddr) {
        let party = Party::of(address);
        if self.crowded.range((party, LEAST, 0)..).next().is_some_and(|(first, ..)| *first == party) {
            self.freed.insert(party);
        }
    }

    /// Takes note that an address was dialled in vain, because others had taken the room meanwhile.
    pub(super) fn on_crowded(&mut self, address: SocketAddr) {
        if let Some(key) = self.find(address, |state| matches!(state, State::Later(_) | State::Due(_))) {
            self.change(key, |entry| entry.state = State::Crowded);
        }
    }

    /// Takes note that hosts and networks may have more connections than before.
    pub(super) fn on_room(&mut self) {
        self.freed.extend(self.crowded.iter().map(|(party, ..)| *party));
    }

    /// Has addresses be due that there is room for again: of each network one, which brings the next when it is dialled. At most as
    /// many hosts are passed over as the network has connections.
    fn use_room(&mut self, now: Instant, room: &impl Fn(SocketAddr, &Crowd) -> Room) {
        while let Some(party) = self.freed.pop_first() {
            let mut from = (party, LEAST, 0);
            while let Some((_, ip, key)) = self.crowded.range(from..).next().copied().filter(|(of, ..)| *of == party) {
                match self.entries.get(key).map(|entry| room(entry.address, &self.crowd)) {
                    Some(Room::Free) => {
                        self.change(key, |entry| entry.state = State::Due(now));
                        break;
                    }
                    Some(Room::HostFull) => from = (party, ip, usize::MAX),
                    Some(Room::NetworkFull) | None => break,
                }
            }
        }
    }

    /// Gives how many addresses are not connected and could be.
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Gives how many are being dialled or shaking hands.
    pub(super) fn connecting(&self) -> usize {
        self.connecting
    }

    /// Gives the time at which the next address may be dialled.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if !self.freed.is_empty() {
            return Some(Instant::ZERO);
        }
        let due = self.due.first().and_then(|(_, key)| match self.entries.get(*key)?.state {
            State::Due(since) => Some(since),
            _ => None,
        });
        due.or_else(|| self.later.first().map(|(at, _)| *at))
    }

    /// Gives the best address that is due, which is being dialled from now on. Those that there is no room for, beside the crowd of
    /// those that are shaking hands, are passed over until there is. Of those that are being dialled most will not answer.
    pub(super) fn dial(
        &mut self,
        now: Instant,
        dial: DialId,
        room: impl Fn(SocketAddr, &Crowd) -> Room,
    ) -> Option<SocketAddr> {
        while let Some((at, key)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.change(key, |entry| entry.state = State::Due(at));
        }
        loop {
            self.use_room(now, &room);
            let (_, key) = self.due.first().copied()?;
            let address = self.entries.get(key)?.address;
            if room(address, &self.crowd) == Room::Free {
                self.change(key, |entry| entry.state = State::Dialling(dial));
                return Some(address);
            }
            self.change(key, |entry| entry.state = State::Crowded);
        }
    }

    /// Takes back all dials, and gives them.
    pub(super) fn abandon(&mut self, now: Instant) -> Vec<DialId> {
        let dialling = |e: &Entry| if let State::Dialling(dial) = e.state { Some(dial) } else { None };
        let dials: Vec<_> = self.entries.iter().filter_map(|(key, e)| Some((key, dialling(e)?))).collect();
        dials.iter().for_each(|(key, _)| self.change(*key, |entry| entry.state = State::Later(now)));
        dials.into_iter().map(|(_, dial)| dial).collect()
    }

    fn find(&self, address: SocketAddr, test: impl FnOnce(State) -> bool) -> Option<usize> {
        let key = *self.by_address.get(&address)?;
        self.entries.get(key).is_some_and(|e| test(e.state)).then_some(key)
    }

    /// Takes note that a dial succeeded. Says whether it is the one that counts.
    pub(super) fn on_connected(&mut self, address: SocketAddr, dial: DialId) -> bool {
        let key = self.find(address, |state| state == State::Dialling(dial));
        key.map(|key| self.change(key, |entry| entry.state = State::Shaking)).is_some()
    }

    /// Takes note that a dial failed.
    pub(super) fn on_failed(
        &mut self,
        now: Instant,
        address: SocketAddr,
        dial: DialId,
        config: &Config,
        rng: &mut Rng,
    ) {
        if self.find(address, |state| state == State::Dialling(dial)).is_some() {
            self.on_ended(now, address, Outcome::Useless, config, rng);
        }
    }

    pub(super) fn on_shaken(&mut self, address: SocketAddr, peer_id: PeerId) {
        if let Some(key) = self.find(address, |state| state == State::Shaking) {
            self.change(key, |entry| {
                entry.peer_id = Some(peer_id);
                entry.state = State::Connected;
            });
        }
    }

    /// Takes note that the peer there is ourselves.
    pub(super) fn on_ourselves(&mut self, address: SocketAddr) {
        if let Some(key) = self.find(address, |_| true) {
            self.change(key, |entry| entry.state = State::Ourselves);
        }
    }

    /// Takes note that a connection that we dialled ended. An address that failed too often is forgotten, unless the program named
    /// it.
    pub(super) fn on_ended(
        &mut self,
        now: Instant,
        address: SocketAddr,
        outcome: Outcome,
        config: &Config,
        rng: &mut Rng,
    ) {
        let Some(key) = self.find(address, |state| state != State::Ourselves) else { return };
        self.change(key, |entry| {
            let pause = match outcome {
                Outcome::Stopped => Duration::ZERO,
                Outcome::Useful => {
                    entry.failures = 0;
                    pause(entry.failures, config, rng)
                }
                Outcome::Useless => {
                    let pause = pause(entry.failures, config, rng);
                    entry.failures = entry.failures.saturating_add(1);
                    pause
                }
                Outcome::Needless => pause(u32::MAX, config, rng),
            };
            entry.state = State::Later(now + pause);
        });
        if self.entries.get(key).is_some_and(|e| e.is_of_others() && e.failures >= config.max_failures.max(1)) {
            self.remove(key);
        }
    }

    /// Takes note that a peer is gone: an address that was left alone because the same peer was connected may be dialled soon.
    pub(super) fn on_peer_gone(
        &mut self,
        now: Instant,
        address: SocketAddr,
        peer_id: PeerId,
        config: &Config,
        rng: &mut Rng,
    ) {
        let same: Vec<usize> =
            self.by_peer_id.range((peer_id, 0)..=(peer_id, usize::MAX)).map(|(_, key)| *key).collect();
        for key in same {
            let others = |entry: &&Entry| entry.address != address;
            if let Some(State::Later(at)) = self.entries.get(key).filter(others).map(|entry| entry.state) {
                self.change(key, |entry| {
                    entry.state = State::Later(at.min(now + pause(entry.failures, config, rng)));
                });
            }
        }
    }
}

/// The first of all addresses in their order.
const LEAST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn crowded(address: SocketAddr, key: usize) -> (Party, IpAddr, usize) {
    (Party::of(address), Party::whole(address.ip()).ip, key)
}

/// How a dial or connection ended, for the pause before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// We stopped it: no fault of the peer's.
    Stopped,
    /// Blocks came or went.
    Useful,
    /// Nothing came of it.
    Useless,
    /// The peer has nothing for us now, or is connected otherwise.
    Needless,
}

fn pause(failures: u32, config: &Config, rng: &mut Rng) -> Duration {
    let doubled = config.redial_first.saturating_mul(1 << failures.min(20));
    let pause = doubled.min(config.redial_longest);
    pause + (pause / 4).saturating_mul(rng.below(1001)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    /// Dials whatever the host has.
    fn dial(book: &mut Book, now: Instant, dial: DialId) -> Option<SocketAddr> {
        book.dial(now, dial, |_, _| Room::Free)
    }

    /// Dials an address of which the host, and the network, have no other.
    fn dial_alone(book: &mut Book, now: Instant, connected: &Crowd, dial: u64) -> Option<SocketAddr> {
        let config = Config::default();
        let room = |address, shaking: &Crowd| Crowd::room(&[connected, shaking], address, &config);
        let address = book.dial(now, DialId(dial), room)?;
        assert!(book.on_connected(address, DialId(dial)));
        Some(address)
    }

    #[test]
    fn an_address_of_a_host_that_is_full_is_passed_over_and_dialled_as_soon_as_there_is_room() {
        let (config, mut rng) = (Config::default(), Rng::new(1));
        let mut book = Book::new(&mut rng);
        let now = Instant::ZERO;
        let other = SocketAddr::from(([10, 0, 0, 2], 1));
        assert!([4, 3, 2, 1].iter().all(|port| add(&mut book, now, *port, Source::Tracker, 9)));
        assert!(book.add(now, other, Source::Tracker, 0, &config));
        let mut crowd = Crowd::default();
        assert_eq!(dial_alone(&mut book, now, &crowd, 1), Some(address(4)));
        assert_eq!((dial_alone(&mut book, now, &crowd, 2), dial_alone(&mut book, now, &crowd, 3)), (Some(other), None));
        // They wait without a time, and without a failure.
        assert_eq!((book.next_due(), book.idle()), (None, 3));
        book.on_ended(now, address(4), Outcome::Useless, &config, &mut rng);
        assert!(book.next_due().is_some_and(|at| at <= now));
        let next = dial_alone(&mut book, now, &crowd, 4).unwrap();
        assert!(next != address(4) && next != other);
        // The place is taken by one who comes in, and the dial fails: no other is tried.
        crowd.enter(address(99));
        book.on_ended(now, next, Outcome::Useless, &config, &mut rng);
        assert_eq!(dial_alone(&mut book, now, &crowd, 5), None);
        crowd.leave(address(99));
        book.on_place_free(address(99));
        let third = dial_alone(&mut book, now, &crowd, 6).unwrap();
        // It is forgotten: that leaves a place, too.
        book.forget(third);
        assert!(dial_alone(&mut book, now, &crowd, 7).is_some());
        assert!(book.entries.iter().all(|(_, entry)| entry.failures <= 1));
    }

    #[test]
    fn of_a_network_with_few_places_left_hosts_that_are_full_are_passed_over() {
        let (config, mut rng) = (Config::default(), Rng::new(1));
        let mut book = Book::new(&mut rng);
        let now = Instant::ZERO;
        let at = |host: u16, port| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, host], port));
        for (host, port) in (1..=12).flat_map(|host| [(host, 1), (host, 2)]) {
            assert!(book.add(now, at(host, port), Source::Tracker, 0, &config));
        }
        let crowd = Crowd::default();
        let dialled: Vec<_> = (0..).map_while(|n| dial_alone(&mut book, now, &crowd, n)).collect();
        let hosts: BTreeSet<_> = dialled.iter().map(|address| address.ip()).collect();
        assert_eq!((dialled.len(), hosts.len(), book.next_due()), (8, 8, None));
        book.on_ended(now, dialled[3], Outcome::Useless, &config, &mut rng);
        let next = dial_alone(&mut book, now, &crowd, 50).unwrap();
        assert!(!hosts.contains(&next.ip()) || next.ip() == dialled[3].ip());
        assert_eq!(dial_alone(&mut book, now, &crowd, 51), None);
        // A higher limit lets more be dialled.
        book.on_room();
        let all = (60..).map_while(|n| dial(&mut book, now, DialId(n))).count();
        // All but those that were dialled; the one that failed waits for its time.
        assert_eq!((all, book.idle()), (15, 1));
    }

    #[test]
    fn pauses_double_with_jitter_up_to_the_longest() {
        let (config, mut rng) = (Config::default(), Rng::new(1));
        let mut book = Book::new(&mut rng);
        let mut now = Instant::ZERO;
        assert!(add(&mut book, now, 1, Source::Program, 10));
        let mut pauses = Vec::new();
        for n in 0..12 {
            assert_eq!(dial(&mut book, now, DialId(n)), Some(address(1)));
            assert_eq!(dial(&mut book, now, DialId(n)), None);
            book.on_ended(now, address(1), Outcome::Useless, &config, &mut rng);
            let due = book.next_due().unwrap();
            pauses.push(due.since(now));
            assert_eq!(dial(&mut book, due - Duration::from_micros(1), DialId(99)), None);
            now = due;
        }
        for (n, pause) in pauses.iter().enumerate() {
            let least = Duration::from_secs((1 << n).min(300));
            assert!(*pause >= least && *pause <= least + least / 4, "{n}: {pause:?}");
        }
        assert!(pauses.iter().any(|p| p.subsec_micros() != 0), "{pauses:?}");
    }

    #[test]
    fn our_own_address_is_never_dialled_again() {
        let (config, mut rng) = (Config::default(), Rng::new(1));
        let mut book = Book::new(&mut rng);
        assert!(add(&mut book, Instant::ZERO, 1, Source::Program, 1));
        assert!(!add(&mut book, Instant::ZERO, 2, Source::Program, 1));
        assert!(dial(&mut book, Instant::ZERO, DialId(1)).is_some());
        assert!(!book.on_connected(address(1), DialId(9)));
        assert!(book.on_connected(address(1), DialId(1)));
        book.on_ourselves(address(1));
        book.on_ended(Instant::ZERO, address(1), Outcome::Useless, &config, &mut rng);
        assert!(add(&mut book, Instant::ZERO, 1, Source::Program, 1));
        assert_eq!((book.next_due(), book.idle()), (None, 0));
    }

    fn add(book: &mut Book, now: Instant, port: u16, source: Source, most: usize) -> bool {
        let config = Config { max_known_peers: most, ..Config::default() };
        book.add(now, address(port), source, u32::from(port), &config)
    }

    fn fail(book: &mut Book, now: Instant, n: u64) -> Option<SocketAddr> {
        let address = dial(book, now, DialId(n))?;
        book.on_failed(now, address, DialId(n), &Config::default(), &mut Rng::new(n));
        Some(address)
    }

    #[test]
    fn the_program_comes_first_then_who_failed_less_then_the_higher_priority() {
        let mut book = Book::new(&mut Rng::new(1));
        let mut now = Instant::ZERO;
        let sources = [(3, Source::Tracker), (5, Source::PeerExchange), (1, Source::Program), (4, Source::Dht)];
        sources.into_iter().for_each(|(port, source)| assert!(add(&mut book, now, port, source, 9)));
        assert_eq!((fail(&mut book, now, 0), fail(&mut book, now, 1)), (Some(address(1)), Some(address(5))));
        now += Duration::from_secs(10);
        let order: Vec<_> = (9..14).map_while(|n| dial(&mut book, now, DialId(n))).map(|a| a.port()).collect();
        assert_eq!(order, [1, 4, 3, 5]);
        assert_eq!((book.connecting(), book.idle()), (4, 0));
    }

    #[test]
    fn a_full_book_forgets_the_least_useful_and_never_the_connected_or_what_the_program_named() {
        let mut book = Book::new(&mut Rng::new(1));
        let now = Instant::ZERO;
        assert!(add(&mut book, now, 9, Source::PeerExchange, 4) && dial(&mut book, now, DialId(0)).is_some());
        let named = [(1, Source::PeerExchange), (2, Source::Program), (3, Source::Tracker)];
        named.into_iter().for_each(|(port, source)| assert!(add(&mut book, now, port, source, 4)));
        let knows = |book: &Book| (1..=9).filter(|n| book.by_address.contains_key(&address(*n))).collect::<Vec<_>>();
        // Of the same source the older goes; a worse source takes nobody's place.
        assert!(add(&mut book, now, 4, Source::PeerExchange, 4));
        assert_eq!(knows(&book), [2, 3, 4, 9]);
        assert!(add(&mut book, now, 5, Source::Tracker, 4) && !add(&mut book, now, 6, Source::PeerExchange, 4));
        assert_eq!(knows(&book), [2, 3, 5, 9]);
        // Who failed goes before any other, but for what the program named.
        assert_eq!((fail(&mut book, now, 1), fail(&mut book, now, 2)), (Some(address(2)), Some(address(5))));
        assert!(add(&mut book, now, 7, Source::PeerExchange, 4));
        assert_eq!(knows(&book), [2, 3, 7, 9]);
        assert!(add(&mut book, now, 1, Source::Program, 4) && add(&mut book, now, 4, Source::Program, 4));
        assert_eq!(knows(&book), [1, 2, 4, 9]);
        assert!(!add(&mut book, now, 8, Source::Tracker, 4) && add(&mut book, now, 8, Source::Program, 4));
        assert_eq!(knows(&book), [1, 4, 8, 9]);
        assert!(!add(&mut book, now, 2, Source::Program, 4));
    }

    #[test]
    fn an_address_that_failed_too_often_is_forgotten_unless_the_program_named_it() {
        let mut book = Book::new(&mut Rng::new(1));
        let mut now = Instant::ZERO;
        assert!(add(&mut book, now, 1, Source::Program, 9) && add(&mut book, now, 2, Source::Tracker, 9));
        let mut tries = [0, 0];
        for n in 0..40 {
            while let Some(address) = fail(&mut book, now, n) {
                tries[usize::from(address.port() - 1)] += 1;
            }
            now += Duration::from_secs(400);
        }
        assert_eq!((tries, book.idle()), ([40, Config::default().max_failures], 1));
    }

    #[test]
    fn naming_an_address_again_hurries_it_only_when_the_program_does() {
        let mut book = Book::new(&mut Rng::new(1));
        let now = Instant::ZERO;
        assert!(add(&mut book, now, 1, Source::Tracker, 9) && fail(&mut book, now, 1).is_some());
        assert!(add(&mut book, now, 1, Source::PeerExchange, 9));
        assert_eq!(dial(&mut book, now, DialId(2)), None);
        assert!(add(&mut book, now, 1, Source::Program, 9));
        assert_eq!(dial(&mut book, now, DialId(3)), Some(address(1)));
    }

    #[test]
    fn its_orders_agree_with_its_entries_whatever_happens() {
        for seed in 0..100 {
            let mut rng = Rng::new(seed);
            let mut book = Book::new(&mut rng);
            let mut now = Instant::ZERO;
            let config = Config { max_known_peers: 6, max_failures: 3, ..Config::default() };
            let connected = Crowd::default();
            for n in 0..300 {
                let at = SocketAddr::from(([10, 0, 0, rng.below(4) as u8], rng.below(3) as u16));
                let sources = [Source::Program, Source::Tracker, Source::Dht, Source::PeerExchange];
                match rng.below(10) {
                    0..=2 => {
                        let source = *rng.choose(&sources).unwrap();
                        book.add(now, at, source, rng.below(4), &config);
                    }
                    3 => {
                        dial_alone(&mut book, now, &connected, n);
                    }
                    4 => drop(book.dial(now, DialId(n), |at, shaking| Crowd::room(&[shaking], at, &Config::default()))),
                    5 => book.on_shaken(at, PeerId([rng.below(3) as u8; 20])),
                    6 => {
                        let all = [Outcome::Stopped, Outcome::Useful, Outcome::Useless, Outcome::Needless];
                        book.on_ended(now, at, *rng.choose(&all).unwrap(), &config, &mut rng);
                    }
                    7 => book.on_peer_gone(now, at, PeerId([rng.below(3) as u8; 20]), &config, &mut rng),
                    8 if rng.below(9) == 0 => drop(book.abandon(now)),
                    8 => book.forget(at),
                    _ => now += Duration::from_secs(u64::from(rng.below(40))),
                }
                let count = |test: fn(&State) -> bool| book.entries.iter().filter(|(_, e)| test(&e.state)).count();
                let idle = count(|s| matches!(s, State::Later(_) | State::Due(_) | State::Crowded));
                let connecting = count(|s| matches!(s, State::Dialling(_) | State::Shaking));
                assert_eq!((book.idle(), book.connecting()), (idle, connecting), "seed {seed}");
                // Whoever waits for room waits for somebody.
                let waits = |(_, e): (usize, &Entry)| {
                    let full = Crowd::room(&[&book.crowd], e.address, &config) != Room::Free;
                    let soon =
                        book.due.iter().any(|(_, key)| Party::of(book.entries[*key].address) == Party::of(e.address));
                    e.state != State::Crowded || full || soon || book.freed.contains(&Party::of(e.address))
                };
                assert!(book.entries.iter().all(waits), "seed {seed}");
                assert_eq!(book.later.len() + book.due.len() + book.crowded.len(), idle, "seed {seed}");
                assert!(book.entries.len() <= 6 && book.by_address.len() == book.entries.len(), "seed {seed}");
                let ids = book.entries.iter().filter(|(_, e)| e.peer_id.is_some()).count();
                assert_eq!(book.by_peer_id.len(), ids, "seed {seed}");
            }
        }
    }
}
