//! What a node may use, and how it behaves.

use super::guard::GuardLimits;
use super::items::ItemLimits;
use super::peers::StoreLimits;
use crate::proto::id::NodeId;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// A node that everybody knows, through which others are found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Router {
    /// A name to be resolved, and a port.
    Name(String, u16),
    /// An address.
    Address(SocketAddr),
}

impl fmt::Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl From<SocketAddr> for Router {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

/// Why a text names no [`Router`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseRouterError {
    text: String,
}

impl fmt::Display for ParseRouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not HOST:PORT", self.text.escape_debug())
    }
}

impl std::error::Error for ParseRouterError {}

impl FromStr for Router {
    type Err = ParseRouterError;

    /// Reads `HOST:PORT`; an IPv6 address stands in brackets.
    ///
    /// ```
    /// use bip::dht::Router;
    /// assert_eq!("router.example:6881".parse(), Ok(Router::Name("router.example".into(), 6881)));
    /// assert_eq!("[::1]:6881".parse(), Ok(Router::Address("[::1]:6881".parse().unwrap())));
    /// assert!("router.example".parse::<Router>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseRouterError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Address(address));
        }
        let error = || ParseRouterError { text: text.chars().take(300).collect() };
        let (name, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port: u16 = port.parse().map_err(|_| error())?;
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        // A name of the DNS is at most 253 characters long.
        if port == 0 || !(1..=253).contains(&name.len()) || !name.chars().all(known) {
            return Err(error());
        }
        Ok(Self::Name(name.into(), port))
    }
}

/// The limits and habits of a [`Node`](super::Node). Every collection that it keeps is bounded by one of these.
///
/// ```
/// use bip::dht::Config;
/// // A network of one's own, in which everybody is on the same host.
/// let config = Config { local_network: true, routers: vec!["127.0.0.1:6881".parse()?], ..Config::default() };
/// assert_eq!(config.bucket, 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whom to ask first when nobody is known, or nobody that is known answers: by default five public routers. Without any the node waits for
    /// others to come, as the first node of a network does.
    pub routers: Vec<Router>,
    /// The id of the node's first side; the others', and this one's too by default, are made at random, and of the external address once
    /// that is known (BEP 42).
    pub node_id: Option<NodeId>,
    /// Whether the node only asks (BEP 43): it answers no query, stores nothing, and says so. Default no.
    pub read_only: bool,
    /// Whether the network is a test network: many nodes may share an address, loopback and private addresses are as good as others, ids need
    /// not go with addresses (BEP 42), and nobody is limited or banned for how much it asks. Never on the Internet. Default no.
    pub local_network: bool,
    /// Whether nodes whose ids do not go with their addresses (BEP 42) are kept out of the routing table and are given nothing to store.
    /// Default no: too many nodes still have others.
    pub enforce_ids: bool,
    /// Addresses at which others see us, where they are known; otherwise the nodes that answer us say (BEP 42). At most one for each family is of use.
    pub external_addresses: Vec<IpAddr>,
    /// The name and version that every message has: `v`, of at most 32 bytes. Default `BP` and two bytes of the version.
    pub version: Vec<u8>,

    /// How many nodes a bucket of the routing table has, 1 to 32: `k` of BEP 5. Lookups end when as many of the nearest have answered, and
    /// so many are given something to store. Default 8.
    pub bucket: usize,
    /// How many more nodes are kept for each bucket, to take the place of those that do not answer any more; at most 32. Default 8.
    pub spares: usize,
    /// How many nodes of one /24 of IPv4 or one /64 of IPv6 a bucket may have. Default 2.
    pub per_subnet_bucket: usize,
    /// How many nodes of one such network the whole table may have. Default 10.
    pub per_subnet_table: usize,

    /// How many nodes of a lookup are asked at a time, not counting those that are slow to answer. Default 4.
    pub alpha: usize,
    /// How many nodes a lookup remembers. Default 128.
    pub candidates: usize,
    /// Requests of the program under way at a time; another is refused as [`Refusal::Busy`](super::Refusal::Busy). Default 256.
    pub max_requests: usize,
    /// Queries under way at a time; lookups and what is to be stored wait when there are more. Default 4,096.
    pub max_queries: usize,
    /// Peers that one request gives at most. Default 10,000.
    pub max_peers_per_request: usize,
    /// Queries that are sent in a second at most; lookups and what is to be stored wait beyond that, and the care for the tables is put off. Only
    /// [`Command::Ping`](super::Command::Ping) goes out at once, and is made up for. Default 250; 0 is no limit.
    pub query_rate: u64,
    /// How many of them may come at once after a pause. Default 500.
    pub query_burst: u64,
    /// Bytes of answers that are sent in a second at most; queries beyond that are not answered. Default 64 KiB; 0 is no limit.
    pub reply_rate: u64,
    /// How many of them may come at once after a pause. Default 192 KiB.
    pub reply_burst: u64,
    /// How long a reply is at most over IPv4, in bytes: 512 to 65,507; the filters of BEP 33 and items of BEP 44 make longer ones than 512. Default 1,400.
    pub max_reply: usize,
    /// The same over IPv6. Default 1,024 (BEP 32).
    pub max_reply_v6: usize,

    /// Who asks too much.
    pub guard: GuardLimits,
    /// The peers that are stored for others.
    pub peers: StoreLimits,
    /// The items that are stored for others (BEP 44).
    pub items: ItemLimits,

    /// Whether queries of others are told of as [`Event::Queried`](super::Event::Queried): what a crawler wants. Default no.
    pub report_queries: bool,
    /// How often the state is saved, where the node has somewhere to save it to; it is saved besides when the node is shut down. Default 10 min.
    pub save_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let name = |name: &str, port| Router::Name(name.into(), port);
        Self {
            routers: vec![
                name("router.bittorrent.com", 6881),
                name("router.utorrent.com", 6881),
                name("dht.transmissionbt.com", 6881),
                name("dht.libtorrent.org", 25_401),
                name("dht.aelitis.com", 6881),
            ],
            node_id: None,
            read_only: false,
            local_network: false,
            enforce_ids: false,
            external_addresses: Vec::new(),
            version: vec![b'B', b'P', 0, 1],
            bucket: 8,
            spares: 8,
            per_subnet_bucket: 2,
            per_subnet_table: 10,
            alpha: 4,
            candidates: 128,
            max_requests: 256,
            max_queries: 4096,
            max_peers_per_request: 10_000,
            query_rate: 250,
            query_burst: 500,
            reply_rate: 64 << 10,
            reply_burst: 192 << 10,
            max_reply: 1400,
            max_reply_v6: 1024,
            guard: GuardLimits::default(),
            peers: StoreLimits::default(),
            items: ItemLimits::default(),
            report_queries: false,
            save_interval: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// Brings every field into its range.
    pub(super) fn checked(mut self) -> Self {
        self.version.truncate(crate::proto::krpc::MAX_VERSION);
        self.bucket = self.bucket.clamp(1, 32);
        self.spares = self.spares.min(32);
        self.per_subnet_bucket = self.per_subnet_bucket.max(1);
        self.per_subnet_table = self.per_subnet_table.max(1);
        self.alpha = self.alpha.clamp(1, 64);
        self.candidates = self.candidates.clamp(self.bucket, 4096);
        self.max_requests = self.max_requests.max(1);
        self.max_queries = self.max_queries.clamp(16, 1 << 20);
        self.query_burst = self.query_burst.max(1);
        self.reply_burst = self.reply_burst.max(1 << 10);
        self.max_reply = self.max_reply.clamp(512, crate::proto::krpc::MAX_PACKET);
        self.max_reply_v6 = self.max_reply_v6.clamp(512, crate::proto::krpc::MAX_PACKET);
        self.save_interval = self.save_interval.max(Duration::from_secs(1));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_of_zeros_still_makes_progress() {
        let zero = Config {
            bucket: 0,
            alpha: 0,
            candidates: 0,
            max_requests: 0,
            max_queries: 0,
            max_reply: 0,
            ..Config::default()
        };
        let checked = zero.checked();
        assert!(
            checked.bucket > 0 && checked.alpha > 0 && checked.candidates >= checked.bucket && checked.max_requests > 0
        );
        assert!(checked.max_queries > 0 && checked.max_reply >= 512);
        assert_eq!(Config::default().checked(), Config::default());
    }

    #[test]
    fn a_router_is_a_name_or_an_address_with_a_port() {
        for text in ["127.0.0.1:1", "[2001:db8::1]:6881", "a.example:65535"] {
            assert_eq!(text.parse::<Router>().unwrap().to_string(), text);
        }
        for text in ["", ":1", "a:", "a:0", "a:65536", "a b:1", "http://a:1", "::1", &format!("{}:1", "a".repeat(254))]
        {
            let error = text.parse::<Router>().unwrap_err();
            assert!(error.to_string().contains("HOST:PORT"), "{error}");
        }
    }
}
