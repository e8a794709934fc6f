//! Files of torrents.

pub mod check;
mod checker;
mod command;
mod config;
pub mod create;
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
mod walk;

#[cfg(test)]
mod tests;

pub use check::Check;
pub use command::{Command, Event, Oddity, Written};
pub use config::Config;
pub use create::Create;
pub use error::{Error, Operation};
pub use executor::Executor;
pub use file_system::{Entry, File, FileSystem, Kind, Stat};
pub use job::{Done, Job};
pub use machine::Disk;
pub use memory::{Call, Fault, Memory};
pub use native::Native;
