//! Torrents in their swarms: the subsystems joined, with one handle for the program.
//!
//! In scope: taking torrents in and out, pausing them, naming peers, events, status, an orderly end. Out of scope: what the
//! subsystems do ([`crate::peer`], [`crate::disk`], [`crate::select`]).
//!
//! ```text
//!             Add           Added (disk)        TorrentAdded (swarm)
//!   (none) ────────▶ Checking ────────▶ Joining ────────▶ Joined ◀──▶ paused, failed
//!                       │                  │                 │
//!                       │ AddFailed        │ Refused         │ Remove
//!                       ▼                  ▼                 ▼
//!                     (none)            Closing ◀───────── Leaving
//! ```
//!
//! Files can be selected when a torrent is added and at any time while it is in its swarm ([`Selection`]): the disk is told first, then
//! the swarm. A torrent is complete, and counts as seeding, when all that is wanted is there.
//! A torrent whose files cannot be written downloads nothing, uploads what it has, and is tried again by itself, after
//! [`Config::retry_after`] and longer and longer pauses, or when the program says so ([`Command::Resume`]). One that cannot even be read
//! leaves its swarm meanwhile.
//!
//! A torrent that is removed leaves its files where they are, or takes them with it ([`Command::Remove`]).
//!
//! A session can have a thread for each subsystem ([`Builder::spawn`]) or live in a loop of the program's own
//! ([`Builder::in_caller`]); the machines and the wiring are the same.
//!
//! Making a torrent and verifying one in place need no session: `create` and `verify` are calls that end when the work does.
//!
//! Limits: [`Config`].

mod announcing;
mod arrival;
mod board;
#[cfg(feature = "reactor")]
mod builder;
mod command;
mod config;
mod departure;
#[cfg(feature = "reactor")]
pub mod dht;
mod error;
#[cfg(feature = "reactor")]
mod handle;
mod machine;
mod retrying;
mod selection;
#[cfg(feature = "reactor")]
mod tasks;
mod torrent;
#[cfg(feature = "reactor")]
pub mod tracker;
#[cfg(feature = "reactor")]
pub mod tracker_server;
#[cfg(feature = "reactor")]
mod waiting;
mod wiring;

#[cfg(feature = "reactor")]
pub use crate::disk::create::Options as CreateOptions;
pub use board::Board;
#[cfg(feature = "reactor")]
pub use builder::{Builder, Hosting};
pub use command::{AddError, Command, Directive, Event, Selection, Spec, State, Status};
pub use config::Config;
pub use error::Error;
#[cfg(feature = "reactor")]
pub use handle::Session;
pub use machine::Coordinator;
#[cfg(feature = "reactor")]
pub use tasks::{Created, TaskError, TaskProgress, create, verify};
pub use wiring::{Outside, Placement, TrackerSide, Wired, wire};
