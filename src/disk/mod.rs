//! Files of torrents.

mod checker;
mod command;
mod config;
mod error;
mod executor;
mod file_system;
mod interval;
mod job;
mod machine;
mod memory;
mod native;
mod piece;
mod store;
mod torrent;

#[cfg(test)]
mod tests;

pub use command::{Command, Event, Oddity, Written};
pub use config::Config;
pub use error::{Error, Operation};
pub use executor::Executor;
pub use file_system::{Entry, File, FileSystem, Kind, Stat};
pub use job::{Done, Job};
pub use machine::Disk;
pub use memory::{Call, Fault, Memory};
pub use native::Native;
