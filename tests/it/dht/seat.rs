//! Who is where in a network.

use bip::dht::{Config, Event, Node};
use bip::machine::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How datagrams travel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// Each seat adds from the first to the second, one way.
    pub(super) delay: (Duration, Duration),
    /// Each datagram adds up to this.
    pub(super) jitter: Duration,
    /// How many of a thousand are lost.
    pub(super) loss: u32,
}

impl Default for Link {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self { delay: (millis(5), millis(60)), jitter: millis(10), loss: 0 }
    }
}

/// A datagram that a script sends.
pub(super) struct Parcel {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// Plays somebody who is no node of ours.
pub(super) trait Script {
    fn on_datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8], out: &mut Vec<Parcel>);
}

pub(super) enum Guest {
    Nobody,
    Node(Box<Node>),
    Script(Box<dyn Script>),
}

pub(super) struct Seat {
    pub(super) guest: Guest,
    pub(super) config: Config,
    /// Where others see it.
    pub(super) addresses: Vec<SocketAddr>,
    /// What its line adds to what comes and goes.
    pub(super) delay: Duration,
    /// Addresses that it sent to, where it is behind a translator.
    pub(super) translator: Option<BTreeMap<SocketAddr, Instant>>,
    /// Which half of a parted network it is in.
    pub(super) half: bool,
    /// How much its clock is ahead.
    pub(super) ahead: Duration,
    /// For when it is on the agenda.
    pub(super) scheduled: Instant,
    pub(super) spins: (Instant, u32),
    /// What it told, but for its status, and when.
    pub(super) events: Vec<(Instant, Event)>,
    /// Whether its host keeps states.
    pub(super) saves: bool,
    pub(super) state: Option<Vec<u8>>,
    pub(super) next_request: u64,
    /// How often it was called, and how often of these because of the time.
    pub(super) calls: u64,
    pub(super) wakes: u64,
}

impl Seat {
    /// Makes one at which nobody sits, without an address.
    pub(super) fn new(config: Config, delay: Duration) -> Self {
        Self {
            guest: Guest::Nobody,
            config,
            addresses: Vec::new(),
            delay,
            translator: None,
            half: false,
            ahead: Duration::ZERO,
            scheduled: Instant::NEVER,
            spins: (Instant::ZERO, 0),
            events: Vec::new(),
            saves: false,
            state: None,
            next_request: 0,
            calls: 0,
            wakes: 0,
        }
    }
}
