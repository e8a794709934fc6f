//! A node's link to the network.

use bip::machine::Instant;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// How a node is connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// One way between two nodes that have the same: each contributes half.
    pub(crate) latency: Duration,
    /// Bytes per second up, shared by all streams of the node.
    pub(crate) rate: u64,
    /// Bytes per second down, shared by all streams of the node; `None` where it is as fast as up.
    pub(crate) down: Option<u64>,
    /// Bytes that may be under way or unread, each way of a stream.
    pub(crate) window: usize,
    /// No read gives more than this at once.
    pub(crate) max_read: u32,
    /// Whether packets and reads are of random lengths; otherwise they are as long as they can be.
    pub(crate) split: bool,
    /// Whether others cannot connect to the node.
    pub(crate) firewalled: bool,
    /// How many of a thousand datagrams are lost on their way here.
    pub(crate) loss: u32,
    /// How much longer than others a datagram may take at most.
    pub(crate) jitter: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            rate: 10_000_000,
            down: None,
            window: 256 * 1024,
            max_read: 40_000,
            split: true,
            firewalled: false,
            loss: 0,
            jitter: Duration::ZERO,
        }
    }
}

impl Link {
    /// The most bytes sent before it is another stream's turn: 40 ms of the uplink, within bounds.
    pub(super) fn packet(&self) -> usize {
        usize::try_from(self.rate / 25).unwrap_or(usize::MAX).clamp(8 * 1024, 64 * 1024)
    }
}

/// How long bytes take at a rate.
pub(super) fn time_of(bytes: usize, rate: u64) -> Duration {
    Duration::from_micros((bytes as u64 * 1_000_000).div_ceil(rate.max(1)))
}

/// A node: its address and the state of its link.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) ip: IpAddr,
    pub(super) link: Link,
    /// Whether a packet is being sent.
    pub(super) busy: bool,
    /// Ends that have something to send and had nothing before: they come first, with one packet.
    pub(super) fresh: VecDeque<usize>,
    /// Ends that go on sending.
    pub(super) going_on: VecDeque<usize>,
    /// When the downlink has received what is on its way down.
    pub(super) down_free: Instant,
}

impl Node {
    pub(super) fn new(ip: IpAddr, link: Link) -> Self {
        Self { ip, link, busy: false, fresh: VecDeque::new(), going_on: VecDeque::new(), down_free: Instant::ZERO }
    }

    /// Takes a packet into the downlink; gives when it is through.
    pub(super) fn receive(&mut self, now: Instant, bytes: usize) -> Instant {
        let rate = self.link.down.unwrap_or(self.link.rate);
        self.down_free = self.down_free.max(now) + time_of(bytes, rate);
        self.down_free
    }
}
