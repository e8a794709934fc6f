//! Work that blocks: names and files.

use std::net::SocketAddr;

/// Work of a node's that blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Job {
    /// Resolve a name, with the port that goes with it.
    Resolve {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// Keep the state, so that all of it is there after a crash or none of it.
    Save {
        /// The state ([`dht_state`](crate::proto::dht_state)).
        state: Vec<u8>,
    },
}

/// What became of a [`Job`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Done {
    /// The addresses of a name; empty where there are none. Why is in the log.
    Resolved(Vec<SocketAddr>),
    /// Whether the state was kept. Why not is in the log.
    Saved(bool),
}
