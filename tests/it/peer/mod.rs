//! The swarm, by its public calls alone.

mod book;
mod choking;
mod connections;
mod download;
mod hostile;
mod liars;
mod limits;
mod reassigning;
mod selecting;
mod store;
mod storing;
mod transfer;
mod upload;
mod wire;
mod world;
