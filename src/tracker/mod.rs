//! Peers of torrents from trackers: both ends, over UDP and HTTP.
//!
//! [`client`] asks trackers and tells them of torrents; [`server`] is one, and keeps the swarms. Neither needs the other, or a session:
//! [`session::tracker`](crate::session::tracker) and [`session::tracker_server`](crate::session::tracker_server) are their handles.

pub mod client;
pub mod server;
