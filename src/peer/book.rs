use super::Config;
use crate::machine::{DialId, Instant, Map, Rng};
use crate::proto::id::PeerId;
use slab::Slab;
use std::net::SocketAddr;
use std::time::Duration;

/// The addresses of one torrent's peers and when each may be dialled.
///
/// Only addresses that somebody named are here: a peer that came in is not dialled, since its port is not where it listens.
#[derive(Debug)]
pub(super) struct Book {
    entries: Slab<Entry>,
    by_address: Map<SocketAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    address: SocketAddr,
    state: State,
    /// How often in a row it failed.
    failures: u32,
    /// Who answered there last.
    peer_id: Option<PeerId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be dialled at that time.
    Due(Instant),
    /// Being dialled.
    Dialling(DialId),
    /// Connected and shaking hands.
    Shaking,
    /// Connected, hands shaken.
    Connected,
    /// Ourselves: never to be dialled again.
    Ourselves,
}

impl Book {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { entries: Slab::new(), by_address: Map::new(rng) }
    }

    /// Adds an address, to be dialled now, also if it is known and was to be dialled later. Says false where there is no room.
    pub(super) fn add(&mut self, now: Instant, address: SocketAddr, most: usize) -> bool {
        if let Some(entry) = self.entry(address) {
            if let State::Due(at) = &mut entry.state {
                *at = (*at).min(now);
            }
            return true;
        }
        if self.entries.len() >= most {
            return false;
        }
        let entry = Entry { address, state: State::Due(now), failures: 0, peer_id: None };
        let key = self.entries.insert(entry);
        self.by_address.insert(address, key);
        true
    }

    /// Gives how many addresses are not connected and could be.
    pub(super) fn idle(&self) -> usize {
        self.entries.iter().filter(|(_, e)| matches!(e.state, State::Due(_))).count()
    }

    /// Gives how many are being dialled or shaking hands.
    pub(super) fn connecting(&self) -> usize {
        self.entries.iter().filter(|(_, e)| matches!(e.state, State::Dialling(_) | State::Shaking)).count()
    }

    /// Gives the time at which the next address may be dialled.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = |e: &Entry| if let State::Due(at) = e.state { Some(at) } else { None };
        self.entries.iter().filter_map(|(_, e)| due(e)).min()
    }

    /// Gives the address that has been due for longest, which is being dialled from now on.
    pub(super) fn dial(&mut self, now: Instant, dial: DialId) -> Option<SocketAddr> {
        let due = |e: &Entry| if let State::Due(at) = e.state { Some(at) } else { None };
        let first = self.entries.iter_mut().filter_map(|(_, e)| due(e).filter(|at| *at <= now).map(|at| (at, e)));
        let (_, entry) = first.min_by_key(|(at, _)| *at)?;
        entry.state = State::Dialling(dial);
        Some(entry.address)
    }

    /// Takes back all dials, and gives them.
    pub(super) fn abandon(&mut self, now: Instant) -> Vec<DialId> {
        let mut dials = Vec::new();
        for (_, entry) in &mut self.entries {
            if let State::Dialling(dial) = entry.state {
                entry.state = State::Due(now);
                dials.push(dial);
            }
        }
        dials
    }

    fn entry(&mut self, address: SocketAddr) -> Option<&mut Entry> {
        let key = *self.by_address.get(&address)?;
        self.entries.get_mut(key)
    }

    /// Takes note that a dial succeeded. Says whether it is the one that counts.
    pub(super) fn on_connected(&mut self, address: SocketAddr, dial: DialId) -> bool {
        let entry = self.entry(address).filter(|e| e.state == State::Dialling(dial));
        entry.map(|entry| entry.state = State::Shaking).is_some()
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
        if self.entry(address).is_some_and(|e| e.state == State::Dialling(dial)) {
            self.on_ended(now, address, Outcome::Useless, config, rng);
        }
    }

    pub(super) fn on_shaken(&mut self, address: SocketAddr, peer_id: PeerId) {
        if let Some(entry) = self.entry(address).filter(|e| e.state == State::Shaking) {
            entry.peer_id = Some(peer_id);
            entry.state = State::Connected;
        }
    }

    /// Takes note that the peer there is ourselves.
    pub(super) fn on_ourselves(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entry(address) {
            entry.state = State::Ourselves;
        }
    }

    /// Takes note that a connection that we dialled ended.
    pub(super) fn on_ended(
        &mut self,
        now: Instant,
        address: SocketAddr,
        outcome: Outcome,
        config: &Config,
        rng: &mut Rng,
    ) {
        let Some(entry) = self.entry(address).filter(|e| e.state != State::Ourselves) else { return };
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
        entry.state = State::Due(now + pause);
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
        for (_, entry) in &mut self.entries {
            if entry.peer_id == Some(peer_id) && entry.address != address {
                if let State::Due(at) = &mut entry.state {
                    *at = (*at).min(now + pause(entry.failures, config, rng));
                }
            }
        }
    }
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

    #[test]
    fn pauses_double_with_jitter_up_to_the_longest() {
        let (config, mut rng) = (Config::default(), Rng::new(1));
        let mut book = Book::new(&mut rng);
        let mut now = Instant::ZERO;
        assert!(book.add(now, address(1), 10));
        let mut pauses = Vec::new();
        for n in 0..12 {
            assert_eq!(book.dial(now, DialId(n)), Some(address(1)));
            assert_eq!(book.dial(now, DialId(n)), None);
            book.on_ended(now, address(1), Outcome::Useless, &config, &mut rng);
            let due = book.next_due().unwrap();
            pauses.push(due.since(now));
            assert_eq!(book.dial(due - Duration::from_micros(1), DialId(99)), None);
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
        assert!(book.add(Instant::ZERO, address(1), 1));
        assert!(!book.add(Instant::ZERO, address(2), 1));
        assert!(book.dial(Instant::ZERO, DialId(1)).is_some());
        assert!(!book.on_connected(address(1), DialId(9)));
        assert!(book.on_connected(address(1), DialId(1)));
        book.on_ourselves(address(1));
        book.on_ended(Instant::ZERO, address(1), Outcome::Useless, &config, &mut rng);
        assert!(book.add(Instant::ZERO, address(1), 1));
        assert_eq!((book.next_due(), book.idle()), (None, 0));
    }
}
