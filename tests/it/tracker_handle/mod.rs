//! The client of trackers by the hand of a program, and sessions that use it: real sockets on loopback, and trackers in this process.

mod coordinator;
mod handle;
#[cfg(feature = "http")]
mod http;
mod sessions;
mod udp;

use bip::proto::id::{InfoHash, PeerId};
use bip::proto::tracker_url::TrackerUrl;
use bip::session::tracker::Trackers;
use bip::tracker::client::Announce;
use std::net::SocketAddr;
use std::time::Duration;

/// A guard against hanging, never a measure.
const HANG: Duration = Duration::from_secs(60);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn trackers() -> Trackers {
    Trackers::builder().bind(loopback()).spawn().unwrap()
}

fn url(text: impl AsRef<str>) -> TrackerUrl {
    text.as_ref().parse().unwrap()
}

fn hash(byte: u8) -> InfoHash {
    InfoHash([byte; 20])
}

fn announce(port: u16) -> Announce {
    Announce::new(hash(1), PeerId([port as u8; 20]), port)
}
