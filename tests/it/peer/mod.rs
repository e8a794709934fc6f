//! The swarm, by its public calls alone.

mod transfer;
mod world;
