//! What a server may use, and how it behaves.

use std::net::IpAddr;
use std::time::Duration;

/// How much the swarms may hold.
///
/// What is over these is not taken down: an announcer is still answered with the peers that are there, but a torrent that is not known is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmLimits {
    /// Torrents. Default 1,000,000, at about 100 bytes each.
    pub torrents: usize,
    /// Peers of all torrents. Default 20,000,000, at 10 bytes each with IPv4 and 26 with IPv6, half as much again in torrents of more than 128 peers.
    pub peers: usize,
    /// Peers of one torrent; at most 2^31. Default 100,000.
    pub peers_per_torrent: usize,
    /// How long a peer is known after its last announce, 8 s to 24 h: longer than [`Config::interval`] by what a client may be late. It is gone within
    /// a minute after that, while the server is no busier than it can be. Default 45 min.
    pub peer_timeout: Duration,
}

impl Default for SwarmLimits {
    fn default() -> Self {
        Self {
            torrents: 1_000_000,
            peers: 20_000_000,
            peers_per_torrent: 100_000,
            peer_timeout: Duration::from_secs(45 * 60),
        }
    }
}

impl SwarmLimits {
    /// Brings every field into its range.
    pub(super) fn checked(mut self) -> Self {
        self.peers_per_torrent = self.peers_per_torrent.min(1 << 31);
        self.peer_timeout = self.peer_timeout.clamp(Duration::from_secs(8), Duration::from_secs(24 * 3600));
        self
    }
}

/// The limits and habits of a [`Server`](super::Server). Every collection that it keeps is bounded by one of these.
///
/// ```
/// use bip::tracker::server::Config;
/// use std::time::Duration;
/// let config = Config { interval: Duration::from_secs(900), ..Config::default() };
/// assert_eq!(config.max_reply, 1_400);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long clients are asked to wait between announces, in whole seconds, at least one. Default 30 min.
    pub interval: Duration,
    /// How long clients of HTTP are asked to wait at least, whatever happens. Default 1 min.
    pub min_interval: Duration,
    /// How many peers an announcer gets that does not say how many it wants. Default 50.
    pub default_peers: usize,
    /// How many it gets at most. Default 200.
    pub max_peers: usize,
    /// How long a datagram is at most, in bytes, 120 to 65,507: it has room for 6 bytes of each IPv4 peer, or 18 of each IPv6 peer. Default 1,400.
    pub max_reply: usize,
    /// How many torrents one scrape may ask for, at most 74; those beyond that are not answered. Default 74.
    pub max_scrape: usize,
    /// How many info hashes a list may have. Default 10,000,000, at 20 bytes each.
    pub max_listed: usize,

    /// HTTP connections open at a time; one more is closed at once. One takes about 300 bytes, as much as there is of a head that is not whole, and what
    /// waits for its client to read it: [`max_unread`](Self::max_unread), an answer, and up to twice [`max_head`](Self::max_head) that is to be
    /// answered then. That is about 100 KiB at worst, and well under 1 KiB between requests. Default 4,000.
    pub max_connections: usize,
    /// HTTP connections of one IPv4 address, or of one IPv6 network of 64 bits, open at a time; those of [`proxies`](Self::proxies) are not counted. Default 100.
    pub max_connections_per_address: usize,
    /// How long the head of an HTTP request is at most, in bytes, 256 to 65,536. Default 8 KiB.
    pub max_head: usize,
    /// How long a client may take to send the whole head of a request, from its first byte on, or from the beginning of the connection. Default 10 s.
    pub head_timeout: Duration,
    /// How long a connection stays open between requests. Default 30 s.
    pub idle_timeout: Duration,
    /// How long a client may take to read what it asked for. Default 30 s.
    pub write_timeout: Duration,
    /// How many bytes of answers may wait for a client to read them: it is not read from or served beyond that until it reads. Default 64 KiB.
    pub max_unread: usize,
    /// The addresses of proxies through which clients come over HTTP: of who connects from one of them, the last address in `X-Forwarded-For` that is none of
    /// these is the client's, so that a chain of proxies may be named. An address may have a port (`192.0.2.1:80`, `[2001:db8::1]:80`), which counts for
    /// nothing. From anybody else that header means nothing. At most 1,000. Default none.
    pub proxies: Vec<IpAddr>,
    /// Whether a client over HTTP may name its address (`ip=`) if it connects from a loopback, private or link-local address: a seeder beside the tracker, whose address
    /// the tracker sees is no use to others. Whoever else connects from such an address can name anybody's, also through a proxy that is not among
    /// [`proxies`](Self::proxies). Default no: it is ignored. Over UDP it always is.
    pub named_addresses: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30 * 60),
            min_interval: Duration::from_secs(60),
            default_peers: 50,
            max_peers: 200,
            max_reply: 1_400,
            max_scrape: crate::proto::udp_tracker::MAX_SCRAPE,
            max_listed: 10_000_000,
            max_connections: 4_000,
            max_connections_per_address: 100,
            max_head: 8 << 10,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            max_unread: 64 << 10,
            proxies: Vec::new(),
            named_addresses: false,
        }
    }
}

impl Config {
    /// Gives how many bytes of a connection the host should read at a time: what comes when answers wait already is kept, as far as it is no more than
    /// a head and this.
    pub(crate) fn piece(&self) -> usize {
        self.max_head.clamp(4 << 10, 64 << 10)
    }

    /// Brings every field into its range.
    pub(super) fn checked(mut self) -> Self {
        self.interval = self.interval.clamp(Duration::from_secs(1), Duration::from_secs(i32::MAX as u64));
        self.min_interval = self.min_interval.min(self.interval);
        self.max_reply = self.max_reply.clamp(120, 65_507);
        self.max_peers = self.max_peers.min(1 << 16);
        self.default_peers = self.default_peers.min(self.max_peers);
        self.max_scrape = self.max_scrape.min(crate::proto::udp_tracker::MAX_SCRAPE);
        self.max_head = self.max_head.clamp(256, 64 << 10);
        self.max_unread = self.max_unread.max(1);
        self.proxies.truncate(1_000);
        self.proxies.iter_mut().for_each(|proxy| *proxy = proxy.to_canonical());
        self
    }
}
