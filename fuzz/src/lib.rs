//! What each fuzz target does with its bytes: plain functions, shared by the libFuzzer targets and by the test that replays the
//! corpus. A function returns where all is well and panics where a promise of the library is broken.

mod bencode;
mod connection;
mod extension;
mod handshake;
mod http_tracker_reply;
mod http_tracker_request;
mod krpc;
mod lsd;
mod magnet;
mod merkle;
mod message;
mod metainfo;
mod mse;
mod peer_id;
mod resume;
mod script;
mod swarm;
mod tracker_url;
mod udp_tracker;
mod ut_metadata;
mod ut_pex;
mod utp;

pub use bencode::bencode;
pub use connection::{connection, connection_reaches};
pub use extension::extension;
pub use handshake::handshake;
pub use http_tracker_reply::http_tracker_reply;
pub use http_tracker_request::http_tracker_request;
pub use krpc::krpc;
pub use lsd::lsd;
pub use magnet::magnet;
pub use merkle::merkle;
pub use message::message;
pub use metainfo::metainfo;
pub use mse::mse;
pub use peer_id::peer_id;
pub use resume::resume;
pub use swarm::{swarm, swarm_reaches};
pub use tracker_url::tracker_url;
pub use udp_tracker::udp_tracker;
pub use ut_metadata::ut_metadata;
pub use ut_pex::ut_pex;
pub use utp::utp;

/// A target's name, which is also its folder in `corpus/`, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("bencode", bencode),
    ("connection", connection),
    ("extension", extension),
    ("handshake", handshake),
    ("http_tracker_reply", http_tracker_reply),
    ("http_tracker_request", http_tracker_request),
    ("krpc", krpc),
    ("lsd", lsd),
    ("magnet", magnet),
    ("merkle", merkle),
    ("message", message),
    ("metainfo", metainfo),
    ("mse", mse),
    ("peer_id", peer_id),
    ("resume", resume),
    ("swarm", swarm),
    ("tracker_url", tracker_url),
    ("udp_tracker", udp_tracker),
    ("ut_metadata", ut_metadata),
    ("ut_pex", ut_pex),
    ("utp", utp),
];

/// Divides bytes into parts whose lengths come from `sizes`, used again and again; no part is empty.
fn parts<'a>(mut bytes: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        // A few large parts among small ones: an odd size counts in single bytes, an even one in hundreds.
        let size = match sizes.next().copied().unwrap_or(1) {
            odd if odd % 2 == 1 => usize::from(odd / 2) + 1,
            even => usize::from(even) * 50 + 1,
        };
        let (part, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        (!part.is_empty()).then_some(part)
    })
}

/// Nothing that is shown can confuse a terminal.
fn check_text(text: &str) {
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
}
