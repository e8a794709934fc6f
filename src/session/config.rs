//! A session's limits.

use crate::tracker::client;
use crate::{disk, peer};
use std::time::Duration;

/// The settings of a session and of its subsystems.
#[derive(Debug, Clone)]
pub struct Config {
    /// Torrents at a time. Default 1,000, as [`peer::Config::max_torrents`].
    pub max_torrents: usize,
    /// Peers named per torrent before its check is over. Default 1,000.
    pub max_early_peers: usize,
    /// Commands of the program that may be unanswered at a time. Default 4,096.
    pub max_commands: usize,
    /// Notices kept for a program that does not read them; further ones are counted as missed. Default 4,096.
    pub max_notices: usize,
    /// How long a torrent whose files could not be written waits before it tries again; twice as long after each failure, up to
    /// [`retry_most`](Self::retry_most), until a piece is verified. Default 10 s.
    pub retry_after: Duration,
    /// The longest of these waits. Default 10 min.
    pub retry_most: Duration,
    /// The settings of the client of trackers; `None`: no tracker is told of anything.
    pub trackers: Option<client::Config>,
    /// The swarm's settings.
    pub peer: peer::Config,
    /// The disk's settings. Of [`hold_bytes`](disk::Config::hold_bytes) at most half the swarm's
    /// [`store_credit`](peer::Config::store_credit) is used.
    pub disk: disk::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_torrents: 1_000,
            max_early_peers: 1_000,
            max_commands: 4_096,
            max_notices: 4_096,
            retry_after: Duration::from_secs(10),
            retry_most: Duration::from_secs(600),
            // Each takes a thread.
            trackers: Some(client::Config { max_lookups: 4, max_fetches: 4, ..client::Config::default() }),
            peer: peer::Config::default(),
            disk: disk::Config::default(),
        }
    }
}
