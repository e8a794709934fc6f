//! The swarm, by its public calls alone.

mod choking;
mod connections;
mod download;
mod hostile;
mod limits;
mod reassigning;
mod store;
mod storing;
mod transfer;
mod upload;
mod world;
