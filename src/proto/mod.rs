//! Wire formats: bytes to values and back.
//!
//! Pure functions and values: no clock, no I/O, and no allocation beyond the result. Everything that reads bytes from outside
//! lives here.

pub mod announce;
pub mod bencode;
pub mod bitfield;
pub mod compact;
pub(crate) mod crc32c;
pub mod dht_state;
pub mod extension;
pub mod geometry;
pub mod handshake;
pub mod http_tracker;
pub mod id;
pub mod krpc;
pub mod lsd;
pub mod magnet;
#[cfg(feature = "v2")]
pub mod merkle;
pub mod message;
pub mod metainfo;
#[cfg(feature = "encryption")]
pub mod mse;
pub mod peer_id;
pub mod priority;
pub mod reader;
pub mod resume;
pub mod sha1;
#[cfg(feature = "v2")]
pub mod sha256;
pub mod tracker_url;
pub mod udp_tracker;
pub mod utp;
