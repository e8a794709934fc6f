//! A session's limits.

use crate::{disk, peer};

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
    /// The swarm's settings.
    pub peer: peer::Config,
    /// The disk's settings.
    pub disk: disk::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_torrents: 1_000,
            max_early_peers: 1_000,
            max_commands: 4_096,
            max_notices: 4_096,
            peer: peer::Config::default(),
            disk: disk::Config::default(),
        }
    }
}
