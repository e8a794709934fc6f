//! A simulated world: hosts on virtual time, joined by virtual streams that split and merge at random.
//!
//! The machines and the wiring are the real ones; only the host is another. A [`World`] has a seed, and the same seed gives the
//! same run. Time moves only when nothing is left to do at the present instant.

mod host;
mod network;

pub(crate) use host::SimHost;
pub(crate) use network::Link;

use bip::machine::{Instant, Rng};
use network::Network;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How many rounds of work may pass without time moving before the run counts as spinning.
const MAX_ROUNDS_AT_ONE_INSTANT: u32 = 1_000_000;

pub(crate) struct World {
    now: Instant,
    pub(crate) hosts: Vec<SimHost>,
    network: Network,
    rng: Rng,
    rounds: u32,
}

impl World {
    pub(crate) fn new(seed: u64, link: Link) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            // Far from zero, so that "an hour ago" exists.
            now: Instant::from_micros(1 << 40),
            hosts: Vec::new(),
            network: Network::new(rng.fork(), link),
            rng,
            rounds: 0,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Adds hosts of one node: they share an address. Gives the place of the first.
    pub(crate) fn add_hosts(&mut self, count: usize) -> usize {
        let first = self.hosts.len();
        let n = u32::try_from(first + 1).unwrap();
        let ip = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n));
        for _ in 0..count {
            let rng = self.rng.fork();
            self.hosts.push(SimHost::new(ip, rng));
        }
        first
    }

    /// Lets a machine accept connections.
    pub(crate) fn listen(&mut self, host: usize, machine: usize, port: u16) -> SocketAddr {
        let address = SocketAddr::new(self.hosts[host].ip(), port);
        self.network.listen(address, (host, machine));
        address
    }

    /// Cuts every connection of a host, as its crash would.
    pub(crate) fn cut(&mut self, host: usize) {
        self.network.cut(host, self.now);
    }

    /// Runs until nothing is left to do, now or ever, or the predicate holds, or the time is over. Says whether the predicate
    /// held.
    pub(crate) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            if self.step() {
                continue;
            }
            let Some(next) = self.next_time().filter(|t| *t <= end) else {
                self.now = end;
                return done(self);
            };
            if next > self.now {
                self.rounds = 0;
                self.now = next;
            }
        }
    }

    /// Does what is to be done at this instant, once round. Says whether there was anything.
    fn step(&mut self) -> bool {
        self.rounds += 1;
        assert!(self.rounds < MAX_ROUNDS_AT_ONE_INSTANT, "the world spins at {}", self.now);
        let mut worked = false;
        for place in 0..self.hosts.len() {
            worked |= self.hosts[place].work(place, self.now, &mut self.network);
        }
        worked | self.network.work(self.now, &mut self.hosts)
    }

    fn next_time(&self) -> Option<Instant> {
        self.hosts.iter().filter_map(SimHost::next_time).chain(self.network.next_time()).min()
    }
}
