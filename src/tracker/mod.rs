//! Trackers: those that tell peers of each other, over UDP and HTTP.
//!
//! [`client`] asks them.

pub mod client;
