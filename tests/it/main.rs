//! The integration tests: machines held to their laws, joined in a simulated world, and hosted on real sockets.
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests own sockets, files and clocks

mod dht;
#[cfg(feature = "reactor")]
mod dht_handle;
mod dht_hostile;
mod disks;
mod golden;
#[cfg(feature = "reactor")]
mod hosting;
mod laws;
mod peer;
#[cfg(feature = "reactor")]
mod reactor;
mod sim;
mod swarm;
mod swarms;
mod tracker_client;
#[cfg(feature = "reactor")]
mod tracker_handle;
mod tracker_server;
