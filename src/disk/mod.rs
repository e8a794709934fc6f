//! Files of torrents: written, read, verified and made into torrents.
//!
//! Torrents of version 2 and hybrids (BEP 52) are kept, verified and made as those of version 1, with the feature `v2`: a piece is good
//! when all hashes that its torrent has of it are right, so one of a hybrid has its SHA-1 and the root of its hash tree.
//!
//! [`Disk`] is a machine that keeps the files of any number of torrents: blocks in, verified pieces out. [`Check`] verifies a torrent
//! where it lies and [`Create`] makes one. All three decide only; what blocks is done by an [`Executor`] on the host's job
//! threads, over any [`FileSystem`]: the host's own ([`Native`]), memory ([`Memory`]) or the caller's.
//!
//! In scope: files on disk, their verification, resume data, and making torrents. Out of scope: which piece is wanted (`select`), who
//! asks for it (`peer`), a cache of reads (the system has one).
//!
//! # A block's way
//!
//! ```text
//! Write -> held -> job: write, hash on -> Written::Kept
//!             ^         |    in order: from memory; out of order: read back, once, when the gap before it closes
//!             |         v
//!             |    all bytes written and hashed -> Written::PieceGood: never written again
//!             +------------------------------------ Written::PieceBad: the whole piece is forgotten
//! ```
//!
//! - Each piece has at most one job under way, for jobs have no order. Blocks that come meanwhile go together with the next job,
//!   up to 1 MiB.
//! - Blocks are held until their piece is there, or a run of 256 KiB of it: a piece that many peers send is then written with few calls and
//!   not read back. More than [`Config::hold_bytes`] are not held, nor for longer than twice [`Config::hold_time`].
//! - A piece is good when every byte of it has been written *and then* the hash is right; the answer to the block that completes it
//!   says so. Of overlapping blocks the first to bring a byte wins, so that what is hashed does not change on disk.
//! - Blocks need not be aligned, and may overlap; a span may be up to 1 MiB long.
//! - A bad piece is hashed once more, block by block, before its answer is given, and again once it is good
//!   ([`Event::BlockHashes`]): whoever gave the blocks finds by it who spoiled the piece.
//!
//! # Files
//!
//! - Nothing that exists is truncated, deleted or replaced, but by a removal that asks for it ([below](#removing)). A file that is longer than the torrent says stays so
//!   ([`Oddity::TooLong`]); one that is shorter grows as it is written.
//! - A missing file is made when the first of its bytes is written, and set to its full length at once: it takes no space yet, and the
//!   file has its right length whatever is written last, or first. Files without bytes are made when the torrent is added.
//! - Below the folder that the user chose nothing is written or removed through a symbolic link ([`Native`] has the fine print);
//!   reading follows links.
//! - Padding (BEP 47), and what version 2 leaves between files, is never stored: it reads as zeros.
//!
//! # Skipped files
//!
//! A file that is skipped ([`Command::Add`], [`Command::Select`]) is not made, also not for a piece that it shares with one that is
//! wanted: what of such a piece lies in it is held in one *parts file*, `.bip-ID.parts` in the torrent's folder, is
//! read and verified from there, also at the next start, and is moved into the file when that is wanted. The parts file is made
//! when it is needed and removed when nothing is left in it; it has holes where nothing was written, and takes little more room than
//! the bytes that it holds. A skipped file that is there already is written as any other. What is in a parts file is believed only
//! when it has been hashed: a torn one costs pieces, which are fetched again.
//!
//! [`Event::Selected`] comes when all is moved, and a sync waits for it. Where moving fails, the torrent is stopped by the error, and
//! [`Command::Retry`] goes on with it.
//!
//! # Adding
//!
//! All files (and what lies beside them) are looked at, then the pieces that can be complete are hashed: a piece with a byte in a missing file, or past a file's
//! end, costs nothing. A fresh torrent is added at once. Several pieces are hashed at a time, but one where the disk has to seek for it
//! ([`FileSystem::seeks`]). Torrents that are checked at the same time take turns, and so do
//! reads, writes and checks.
//!
//! # Resume data
//!
//! A torrent that is given a [`ResumeFile`] is not hashed in full each time. The file ([`proto::resume`](crate::proto::resume)) says which pieces
//! are verified, which bytes of others are written, and each file's length and time of change. It is saved before a torrent is gone, after a
//! [`Command::Sync`], and every [`Config::save_interval`] while something changes, in this order, so that what it says is on the medium
//! and there is always a whole one, the old or the new:
//!
//! ```text
//! what is there is taken down -> written files are synced, and looked at -> "name.new" is written, synced, renamed -> its folder is synced
//! ```
//!
//! When the torrent is added again, the resume data is believed ([`Checked::Sampled`]) if it is whole, of this torrent, every file is as it says,
//! and a sample of the pieces is right ([`Config::sample_files`], [`Config::sample_pieces`]). If anything is not so, all is verified
//! ([`Checked::Full`]). Of incomplete pieces what is written is kept, and the whole piece is read back when it is complete.
//! A file that was written to after the last save, as in a crash, has another time: all is verified.
//!
//! What it cannot see: a file that somebody changed and gave its old length and time. The sample may find it; if not, whoever is sent a
//! wrong piece does. Where a sync fails, nothing is saved any more until the torrent is added anew: a system may forget what it could not write
//! and call the next sync good. What was to be synced is verified again before it counts, as far as reading tells: the system may still
//! show what never reached the medium, which the full check of the next start then finds.
//!
//! # Removing
//!
//! [`Command::Remove`] closes a torrent's files, and with [`Files::Delete`] deletes them then, in jobs of at most 256 files, and of 1 GiB where that is more than one file:
//!
//! ```text
//! last answer of a job -> files are closed -> resume data -> parts file -> files, and each folder that is empty then -> Deleted
//! ```
//!
//! The torrent's files are known by their names alone: one that was there before is deleted as one that was downloaded. Everything else in its
//! folders stays, with the folders that it is in, and so does what stands in a file's place and is no regular file. A file that is not
//! there is no error; one that cannot be deleted is, and the others go nonetheless ([`Deletion`]). A root that is not there is one, too
//! ([`Error::NoRoot`]): its disk may not be mounted. What is to be deleted is not brought to the medium before: a sync that was asked for is
//! withdrawn. [`Command::Delete`] does the same for a torrent that is not open, as one is not that could not be added. After a kill in the middle there is no resume data, and a check finds what is left.
//!
//! # Reading
//!
//! Only verified pieces are read. Asks for blocks that follow each other, as those of one peer mostly do, are one job of up to 256 KiB; when
//! it fails each is tried by itself.
//!
//! # Errors
//!
//! An error of the system stops the writing of the torrent that it happened to and no other: [`Event::Stopped`], once, names the file;
//! blocks are refused with the same error until [`Command::Retry`]. Nothing that was written before is lost; a block that was answered
//! with an error is to be sent again. What is verified is still read. A read that fails is [`Event::ReadFailed`] and no more, until
//! [`Config::read_failures`] have, one after the other.
//!
//! A file that is cut or taken away under us is seen when it is read: every piece in it is verified again before anything more of it is
//! read, and those that are not there are [`Event::PieceLost`]. A file that is replaced is seen when it is opened again, at the latest when the
//! torrent is added the next time; until then its old bytes are read.
//!
//! # Limits
//!
//! [`Config`] has them. Beyond them, commands are answered with [`Error::Busy`].
//!
//! The jobs of all torrents share the host's job threads. A device that hangs (a network share that is gone, a disk that fails)
//! holds each thread that waits for it until it answers. While several torrents are open, each has at most
//! [`Config::torrent_jobs`] jobs under way, one less than there are threads, so that one that hangs leaves a thread to the others. What remains: with
//! several torrents on the device, with one job thread, or where the other torrent came when all threads hung already, all wait.
//!
//! # Example
//!
//! ```
//! use bip::disk::{Command, Config, Disk, Event, Executor, Memory, Written};
//! use bip::machine::{Block, Executor as _, Input, Instant, Machine, Output, Rng, TorrentId};
//! use bip::proto::geometry::Span;
//! use bip::proto::id::PieceIndex;
//! use bip::proto::metainfo::{Layout, SafePath};
//! use bip::proto::sha1::Sha1;
//! use std::sync::Arc;
//!
//! // A host does this: here one without threads.
//! fn run(disk: &mut Disk, executor: &Executor, command: Command) -> Vec<Event> {
//!     disk.handle_command(Instant::ZERO, command);
//!     let mut events = Vec::new();
//!     loop {
//!         let output = disk.poll_output(&mut Vec::new());
//!         events.extend(std::iter::from_fn(|| disk.poll_event()));
//!         let Some(Output::Job { id, job }) = output else { return events };
//!         let done = Ok(executor.run(job));
//!         disk.handle_input(Instant::ZERO, Input::Done { job: id, done });
//!     }
//! }
//!
//! let path = SafePath::from_parts(["hello.txt"])?;
//! let layout = Arc::new(Layout::new(vec![(path, 5)], 16 * 1024, &[Sha1::digest(b"hello")])?);
//! let memory = Memory::new();
//! let executor = Executor::new(memory.clone());
//! let mut disk = Disk::new(Config::default(), &mut Rng::new(1));
//!
//! let torrent = TorrentId(1);
//! let added = run(&mut disk, &executor, Command::Add { torrent, layout, root: "/downloads".into(), writable: true, skipped: Vec::new(), resume: None });
//! assert!(matches!(added.last(), Some(Event::Added { have, .. }) if have.is_empty()));
//!
//! let span = Span { piece: PieceIndex(0), begin: 0, length: 5 };
//! let block = Block::from(b"hello".to_vec());
//! let written = run(&mut disk, &executor, Command::Write { torrent, span, block });
//! assert!(matches!(written.last(), Some(Event::Written { outcome: Ok(Written::PieceGood), .. })));
//! assert_eq!(memory.contents("/downloads/hello.txt".as_ref()), Some(b"hello".to_vec()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beside;
pub mod check;
mod checker;
mod command;
mod config;
pub mod create;
mod deleting;
mod error;
mod executor;
mod file_system;
mod glob;
mod hash_state;
mod interval;
mod job;
mod machine;
mod medium;
mod memory;
mod native;
mod parts;
mod piece;
mod reads;
mod rechecks;
mod remains;
mod resume;
mod sampling;
mod saving;
mod selecting;
mod store;
mod suspects;
mod syncing;
mod torrent;
mod walk;
mod writing;

#[cfg(test)]
mod tests;

pub use check::Check;
pub use command::{Checked, Command, Deletion, Event, Files, Oddity, Written};
pub use config::Config;
pub use create::Create;
pub use error::{Error, Operation};
pub use executor::Executor;
pub use file_system::{Entry, File, FileSystem, Kind, Stat};
pub use glob::Glob;
pub use job::{Done, Job};
pub use machine::Disk;
pub use memory::{Call, Fault, Memory};
pub use native::Native;
pub use resume::ResumeFile;
#[cfg(feature = "reactor")]
pub(crate) use resume::keep;
