//! BitTorrent infrastructure for programs without an async runtime.
//!
//! Every subsystem is a pure state machine ([`machine::Machine`]); one reactor (feature `reactor`) hosts machines and owns every
//! socket, thread and clock; one wiring file joins them. A program's handle on all of it is [`session`].

pub mod dht;
pub mod disk;
pub mod machine;
pub mod peer;
pub mod proto;
#[cfg(feature = "reactor")]
pub mod reactor;
pub mod select;
pub mod session;
pub mod tracker;

/// Runs the README's examples with the tests.
#[cfg(all(doctest, feature = "reactor"))]
#[doc = include_str!("../README.md")]
struct Readme;
