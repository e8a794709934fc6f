//! The swarm, by its public calls alone.

mod connections;
mod hostile;
mod store;
mod storing;
mod transfer;
mod upload;
mod world;
