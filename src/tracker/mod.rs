//! Peers of torrents from trackers: the server.
//!
//! [`server`] answers over UDP and HTTP and keeps the swarms.

pub mod server;
