//! BitTorrent infrastructure for programs without an async runtime.
//!
//! Every subsystem is a pure state machine ([`machine::Machine`]); one reactor (feature `reactor`) hosts machines and owns every
//! socket, thread and clock; one wiring file joins them.

pub mod disk;
pub mod machine;
pub mod peer;
pub mod proto;
#[cfg(feature = "reactor")]
pub mod reactor;
pub mod select;
pub mod session;
