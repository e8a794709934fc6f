//! The swarm, by its public calls alone.

mod connections;
mod download;
mod hostile;
mod limits;
mod stopping;
mod store;
mod storing;
mod transfer;
mod upload;
mod world;
