//! What a client may use, and how it behaves.

#[cfg(feature = "https")]
use super::roots::Roots;
use std::time::Duration;

/// The limits and habits of a [`Client`](super::Client). Every collection that it keeps is bounded by one of these.
/// A time that is longer than a day counts as a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Requests of the program under way at a time; another is refused as [`Error::Busy`](super::Error::Busy). Default 4,096.
    pub max_requests: usize,
    /// Info hashes of one scrape; over UDP 74 are asked for at a time, over HTTP 40. Default 4,096.
    pub max_scrape: usize,
    /// How long a request may wait for its name and, over HTTP, for its turn: one that was not even asked by then is refused as
    /// [`Error::Busy`](super::Error::Busy), which is held against no tracker. And how long it may then be asked in all. Default 60 s: over UDP it
    /// is sent three times. All nine times of BEP 15 take 7,665 s.
    pub timeout: Duration,
    /// How long an answer over UDP is waited for before the request is sent again; twice as long after each time (BEP 15). Default 15 s.
    pub retransmit: Duration,
    /// How often a request, or a connect, is sent again over UDP; at most 8 (BEP 15), the default.
    pub max_retransmits: u32,
    /// How long a connection id is used (BEP 15). Default 60 s.
    pub connection_life: Duration,
    /// Connection ids that are kept while nobody waits for them. Default 1,024.
    pub max_connections: usize,

    /// Names that are looked up at a time; others wait. Each takes a thread of the host's. Names that were not found last have half of the places
    /// together, and a quarter is kept for those that were found last. Default 8.
    pub max_lookups: usize,
    /// Names whose addresses are kept. Default 1,024.
    pub max_names: usize,
    /// How long addresses of a name are believed. Default 30 min.
    pub name_life: Duration,
    /// How long it is believed that a name has none; twice as long each time it has none again, up to [`name_life`](Self::name_life). Default 1 min.
    pub name_failure_life: Duration,

    /// HTTP requests under way at a time; others wait. Each takes a thread of the host's. Those to servers that did not answer last have half of
    /// the places together. Default 8.
    pub max_fetches: usize,
    /// Of these to one server. Default 2.
    pub max_fetches_per_tracker: usize,
    /// HTTP requests that say `stopped`, which there may be at a time besides the others, for they cannot wait; and in all to one server. Each
    /// takes a thread. Default 4.
    pub max_farewells: usize,
    /// How long one HTTP request may take, from the connection to the end of the answer. Default 30 s.
    pub fetch_timeout: Duration,
    /// How long of this a connection may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the body of an HTTP answer is at most, uncompressed, in bytes. Default 1 MiB.
    pub max_reply: usize,
    /// Redirects that an HTTP request follows. Default 3.
    pub max_redirects: u32,
    /// What HTTP trackers are told that asks them. Default `bip/` and the version.
    pub user_agent: String,
    /// Whom to believe who an HTTPS tracker is; for instance for a private tracker that no public authority vouches for. Default `None`: the
    /// authorities that Mozilla trusted when this was built (`webpki-roots`). Only with the feature `https`.
    #[cfg(feature = "https")]
    pub roots: Option<Roots>,
    /// Peers that are taken from one answer. Default 1,000.
    pub max_peers: usize,

    /// Torrents that are followed at a time. Default 10,000.
    pub max_torrents: usize,
    /// Trackers of one torrent; further ones are left out. Default 64.
    pub max_trackers: usize,
    /// Announces of followed torrents under way at a time; others wait. `stopped` never waits. Default 256.
    pub max_announces: usize,
    /// The shortest time between two announces without an event, whatever the tracker says. Default 60 s.
    pub least_interval: Duration,
    /// The longest. Default 3 h.
    pub most_interval: Duration,
    /// After how long [`Command::MorePeers`](super::Command::MorePeers) may announce again where the tracker names no `min interval`. Default 5 min, or
    /// the interval where that is shorter.
    pub min_interval: Duration,
    /// How long a tracker that failed is not asked; twice as long after each failure, up to [`retry_most`](Self::retry_most), and a quarter more or
    /// less at random. Default 30 s.
    pub retry_after: Duration,
    /// The longest of these waits. Default 30 min.
    pub retry_most: Duration,
    /// How long [`Command::Leave`](super::Command::Leave) and [`Command::ShutDown`](super::Command::ShutDown) wait for trackers to take `stopped`.
    /// Default 1 s.
    pub stop_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_requests: 4096,
            max_scrape: 4096,
            timeout: Duration::from_secs(60),
            retransmit: Duration::from_secs(15),
            max_retransmits: 8,
            connection_life: Duration::from_secs(60),
            max_connections: 1024,
            max_lookups: 8,
            max_names: 1024,
            name_life: Duration::from_secs(30 * 60),
            name_failure_life: Duration::from_secs(60),
            max_fetches: 8,
            max_fetches_per_tracker: 2,
            max_farewells: 4,
            fetch_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            max_reply: 1 << 20,
            max_redirects: 3,
            user_agent: concat!("bip/", env!("CARGO_PKG_VERSION")).to_owned(),
            #[cfg(feature = "https")]
            roots: None,
            max_peers: 1000,
            max_torrents: 10_000,
            max_trackers: 64,
            max_announces: 256,
            least_interval: Duration::from_secs(60),
            most_interval: Duration::from_secs(3 * 3600),
            min_interval: Duration::from_secs(300),
            retry_after: Duration::from_secs(30),
            retry_most: Duration::from_secs(1800),
            stop_timeout: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// Gives how many jobs there may be at a time: as many threads delay none.
    ///
    /// ```
    /// use bip::tracker::client::Config;
    ///
    /// let config = Config { max_lookups: 1, max_fetches: 2, max_farewells: 3, ..Config::default() };
    /// assert_eq!(config.jobs(), 6);
    /// ```
    pub fn jobs(&self) -> usize {
        self.max_lookups.saturating_add(self.max_fetches).saturating_add(self.max_farewells)
    }

    /// Mends what would make the machine spin or stand still.
    pub(super) fn checked(mut self) -> Self {
        const TICK: Duration = Duration::from_millis(1);
        const DAY: Duration = Duration::from_secs(24 * 3600);
        for time in [
            &mut self.timeout,
            &mut self.retransmit,
            &mut self.connection_life,
            &mut self.name_life,
            &mut self.name_failure_life,
            &mut self.fetch_timeout,
            &mut self.connect_timeout,
            &mut self.least_interval,
            &mut self.most_interval,
            &mut self.min_interval,
            &mut self.retry_after,
            &mut self.retry_most,
            &mut self.stop_timeout,
        ] {
            *time = (*time).min(DAY);
        }
        self.max_retransmits = self.max_retransmits.min(8);
        self.retransmit = self.retransmit.max(TICK);
        self.connection_life = self.connection_life.max(TICK);
        self.max_lookups = self.max_lookups.max(1);
        self.max_fetches = self.max_fetches.max(1);
        self.max_fetches_per_tracker = self.max_fetches_per_tracker.max(1);
        self.max_farewells = self.max_farewells.max(1);
        self.max_announces = self.max_announces.max(1);
        self.least_interval = self.least_interval.max(TICK);
        self.most_interval = self.most_interval.max(self.least_interval);
        self.min_interval = self.min_interval.max(TICK);
        self.retry_after = self.retry_after.max(TICK);
        self.retry_most = self.retry_most.max(self.retry_after);
        self
    }
}
