//! The reactor, on real sockets.

mod hosting;
mod probe;
mod streams;
