//! The tool as its users meet it: real processes, real files, real sockets on loopback.
#![allow(clippy::unwrap_used)] // a test that meets the unexpected ends there

mod dht;
mod disk;
mod edit;
mod magnet;
mod options;
mod several;
mod tool;
mod torrents;
mod tracker;
mod trackers;
mod transfer;
mod usage;
mod version_2;
