//! The peers of all torrents.

mod book;
mod command;
mod config;
mod connection;
mod download;
mod hub;
mod machine;
mod messages;
mod outbox;
mod shaking;
mod torrent;
mod torrents;
mod upload;

pub use command::{Command, Event, Gone, Refusal, Status, Stored, Violation};
pub use config::Config;
pub use machine::Swarm;
