//! A simulated world: hosts on virtual time, joined by virtual streams and datagrams.
//!
//! The machines and the wiring are the real ones; only the host is another. A [`World`] has a seed, and the same seed gives the
//! same run. Time moves only when nothing is left to do at the present instant.
//!
//! - A **node** is a place in the network: an address, an access link with a rate up and a rate down, and a delay of its own. What two
//!   nodes say to each other takes both their delays. It has one host or several, which share its link.
//! - A **stream** is in order and complete. What its two machines write queues at their node's uplink, which serves its streams in
//!   turn, a packet at a time, those first that had nothing to send before; then it takes its delay and queues at the other node's downlink.
//!   Parts are cut at random where the [`Link`] says so.
//! - A **datagram** may be lost and overtaken.
//! - A node may be behind a firewall (nobody connects to it), may be cut off with a reset on all its streams, or may vanish without a
//!   word.
//!
//! Work is done where there is some: an agenda holds what the network and the timers of hosts are to do, and a host is driven when
//! it has mail, input or a timer that is due.

mod access;
mod agenda;
mod datagrams;
mod host;
mod network;
mod stream;
mod tap;

pub(crate) use access::Link;
pub(crate) use host::SimHost;
pub(crate) use network::Seat;
pub(crate) use tap::{EndId, Tap};

use agenda::Task;
use bip::machine::{Instant, Rng};
use network::Network;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many steps of work may be done without time moving before the run counts as spinning.
const MAX_STEPS_AT_ONE_INSTANT: u32 = 1_000_000;

/// Hosts that have mail.
type Ready = Arc<Mutex<VecDeque<usize>>>;

pub(crate) struct World {
    now: Instant,
    pub(crate) hosts: Vec<SimHost>,
    ready: Ready,
    network: Network,
    rng: Rng,
    steps: u32,
}

impl World {
    pub(crate) fn new(seed: u64, link: Link) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            // Far from zero, so that "an hour ago" exists.
            now: Instant::from_micros(1 << 40),
            hosts: Vec::new(),
            ready: Ready::default(),
            network: Network::new(rng.fork(), link),
            rng,
            steps: 0,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Adds a node with that many hosts, behind the world's usual access link. Gives the place of the first host.
    pub(crate) fn add_hosts(&mut self, count: usize) -> usize {
        let link = self.network.link();
        let node = self.add_node(link);
        self.add_hosts_to(node, count)
    }

    /// Adds a node without hosts behind an access link of its own, and gives its number.
    pub(crate) fn add_node(&mut self, link: Link) -> usize {
        let n = u32::try_from(self.network.nodes() + 1).unwrap();
        self.network.add_node(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)), link)
    }

    /// Adds hosts to a node: they share its address and its link. Gives the place of the first.
    pub(crate) fn add_hosts_to(&mut self, node: usize, count: usize) -> usize {
        let first = self.hosts.len();
        for place in first..first + count {
            let rng = self.rng.fork();
            self.hosts.push(SimHost::new(node, place, rng, &self.ready));
        }
        first
    }

    /// Gives a node's address.
    pub(crate) fn ip(&self, node: usize) -> IpAddr {
        self.network.ip(node)
    }

    /// Lets a machine accept connections.
    pub(crate) fn listen(&mut self, host: usize, machine: usize, port: u16) -> SocketAddr {
        let address = SocketAddr::new(self.network.ip(self.hosts[host].node()), port);
        self.network.listen(address, (host, machine));
        address
    }

    /// Gives a machine a datagram socket: the machine's first, second and so on.
    pub(crate) fn bind(&mut self, host: usize, machine: usize, port: u16) -> SocketAddr {
        let address = SocketAddr::new(self.network.ip(self.hosts[host].node()), port);
        self.network.bind(address, (host, machine));
        address
    }

    /// Has somebody watch all streams.
    pub(crate) fn set_tap(&mut self, tap: impl Tap + 'static) {
        self.network.set_tap(Box::new(tap));
    }

    /// Cuts every connection of a host, as its crash would: the other sides get a reset.
    pub(crate) fn cut(&mut self, host: usize) {
        self.network.cut(host, self.now, false);
    }

    /// The same, but nobody is told: what is sent to the host goes nowhere.
    pub(crate) fn vanish(&mut self, host: usize) {
        self.network.cut(host, self.now, true);
    }

    /// Compares what was written to streams with what was read, what is under way and what was lost with its stream.
    pub(crate) fn check_bytes(&self) {
        self.network.check_bytes();
    }

    /// Runs until nothing is left to do, now or ever, or the predicate holds, or the time is over. Says whether the predicate
    /// held. It is asked before time moves.
    pub(crate) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            while self.step() {}
            if done(self) {
                return true;
            }
            // What the predicate did may have made mail.
            if self.step() {
                continue;
            }
            let Some(next) = self.network.agenda.next_time().filter(|t| *t <= end) else {
                self.now = end;
                return done(self);
            };
            self.steps = 0;
            self.now = self.now.max(next);
        }
    }

    /// Does one thing that is to be done at this instant. Says whether there was anything.
    fn step(&mut self) -> bool {
        self.steps += 1;
        assert!(self.steps < MAX_STEPS_AT_ONE_INSTANT, "the world spins at {}", self.now);
        if self.network.tell_next(self.now, &mut self.hosts) {
            return true;
        }
        let ready = self.ready.lock().unwrap().pop_front();
        if let Some(place) = ready {
            self.hosts[place].read_mail(self.now, &mut self.network);
            return true;
        }
        match self.network.agenda.pop(self.now) {
            Some(Task::Host(place)) => self.hosts[place].on_time(self.now, &mut self.network),
            Some(task) => self.network.work(self.now, task),
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests;
