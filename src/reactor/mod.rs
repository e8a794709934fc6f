//! Hosts machines on real sockets, threads and the clock.

mod clock;
mod config;
mod connection;
mod datagram;
pub mod entropy;
mod error;
mod hosted;
mod jobs;
mod listener;
mod net;
mod thread;
mod token;
mod turn;
mod write_queue;

pub use clock::Clock;
pub use config::Config;
pub use error::StopError;
pub use thread::{Running, Stopper};
pub use turn::Reactor;
