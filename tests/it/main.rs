//! The integration tests: machines held to their laws, joined in a simulated world, and hosted on real sockets.
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests own sockets, files and clocks

mod hosting;
mod laws;
mod sim;
mod swarm;
#[cfg(feature = "reactor")]
mod reactor;
mod peer;
