//! The reactor, on real sockets.

mod datagrams;
mod hosting;
mod probe;
mod streams;
