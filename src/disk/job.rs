//! The disk's work, as it travels to the job threads and back.

use super::command::Deletion;
use super::deleting::Remains;
use super::error::Error;
use super::file_system::{Entry, Stat};
use super::hash_state::HashState;
use super::parts::Fragment;
use super::store::Store;
use crate::machine::Block;
use crate::proto::id::FileIndex;
use crate::proto::resume::{FileStamp, Resume};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of a block that are to be written.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Where in the piece.
    pub(crate) begin: u32,
    pub(crate) block: Block,
    /// Which of the block's bytes.
    pub(crate) range: Range<usize>,
}

/// A piece of work for [`Executor`](super::Executor): reads, writes or hashes at most 1 MiB, looks at or deletes no more than 256 files
/// (deletes no more than 1 GiB, or one file), lists one folder, or syncs one file.
///
/// The sync, and the deletion of one large file, are the jobs that no number of bytes bounds. The system may have kept all that was written to the file so far, and
/// takes as long as the medium needs for it. A host that does jobs on its own loop stands still meanwhile.
#[derive(Debug)]
pub struct Job {
    pub(crate) work: Work,
}

/// What a [`Job`] gave.
#[derive(Debug)]
pub struct Done {
    pub(crate) result: Outcome,
}

#[derive(Debug)]
pub(crate) enum Work {
    /// Looks at a store's files; makes those missing that have no bytes, if the store is writable.
    Stat { store: Arc<Store>, files: Range<u32> },
    /// Writes, then hashes on as far as `until`: what was just written from memory, the rest from the files.
    Write { store: Arc<Store>, offset: u64, parts: Vec<Part>, hash: HashState, until: u32 },
    /// Hashes on as far as `until`.
    Hash { store: Arc<Store>, offset: u64, hash: HashState, until: u32 },
    /// Hashes each block of 16 KiB of a run of at most 1 MiB by itself.
    HashBlocks { store: Arc<Store>, offset: u64, length: u32 },
    /// Reads blocks of these lengths that follow each other.
    Read { store: Arc<Store>, offset: u64, lengths: Vec<u32> },
    /// Takes note of which files are skipped.
    Select { store: Arc<Store>, skipped: Arc<[bool]> },
    /// Moves what is kept beside a file into it, some at a time; or gives it up.
    Move { store: Arc<Store>, fragment: Fragment, keep: bool },
    /// Makes a file without bytes.
    MakeEmpty { store: Arc<Store>, file: FileIndex },
    /// Reads resume data.
    Load { path: PathBuf },
    /// Writes resume data, so that what is there is always whole.
    Save { path: PathBuf, resume: Box<Resume> },
    /// Brings a file to the medium, and if the executor made it also its name; then looks at it.
    Sync { store: Arc<Store>, file: FileIndex },
    /// Closes a store's files.
    Close { store: Arc<Store> },
    /// Deletes something of a store that is closed.
    Delete { store: Arc<Store>, remains: Remains },
    /// Looks at a path.
    Examine { path: PathBuf },
    /// Lists a folder.
    List { path: PathBuf },
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// The files that are there, in order, and those of them that were made.
    Stat {
        found: Vec<Result<Option<FileStamp>, Error>>,
        made: Vec<FileIndex>,
        seeks: bool,
    },
    /// None where there is none, or none that can be used.
    Loaded(Option<Box<Resume>>),
    Synced(Result<Option<FileStamp>, Error>),
    Hash(Result<HashState, Error>),
    BlockHashes(Result<Vec<[u8; 20]>, Error>),
    Read(Result<Vec<Block>, Error>),
    /// What is kept beside skipped files.
    Selected(Vec<Fragment>),
    /// Whether there is more to move.
    Moved(Result<bool, Error>),
    Deleted(Deletion),
    /// A save or close ended.
    Nothing(Result<(), Error>),
    /// Also whether reads far apart cost a seek there.
    Examined(Result<(Stat, bool), Error>),
    Listed(Result<Vec<Entry>, Error>),
}
