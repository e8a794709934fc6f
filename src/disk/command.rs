//! What is asked of the disk, and what it tells.

use super::Error;
use super::resume::ResumeFile;
use crate::machine::{Block, TorrentId};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::Span;
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::metainfo::Layout;
use std::path::PathBuf;
use std::sync::Arc;

/// What others ask of the disk.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Opens a torrent's store and verifies what is there already. Nothing that exists is truncated or deleted. Ends in
    /// [`Event::Added`] or [`Event::AddFailed`].
    Add {
        /// The session's name for it.
        torrent: TorrentId,
        /// Its files, pieces and hashes.
        layout: Arc<Layout>,
        /// The folder that holds the torrent's name.
        root: PathBuf,
        /// Whether files may be created and written; otherwise they are only read.
        writable: bool,
        /// Files that are skipped: what of a wanted piece lies in one is kept beside the files. One entry for each file, or none
        /// at all where all are wanted.
        skipped: Vec<bool>,
        /// Where its resume data is kept; `None` keeps none, and what is there is verified in full.
        resume: Option<ResumeFile>,
    },
    /// Changes which files are skipped. What is kept beside a file that is wanted from now on is moved into it. Ends in
    /// [`Event::Selected`].
    Select {
        /// The torrent.
        torrent: TorrentId,
        /// As in [`Add`](Self::Add).
        skipped: Vec<bool>,
    },
    /// Writes what is held back of a torrent, and holds nothing back any more: it is about to be removed, and who waits for the answers is
    /// not to wait for a timer. Ends in [`Event::Released`].
    Release {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Closes a torrent's files, after writing them out or to delete them. Ends in [`Event::Removed`] or [`Event::Deleted`], after
    /// the last answer about it. Of several, one that deletes prevails, also when it comes later.
    Remove {
        /// The torrent.
        torrent: TorrentId,
        /// What becomes of its files.
        files: Files,
    },
    /// Deletes what a torrent that is not open left, as a [`Remove`](Self::Remove) with [`Files::Delete`] of an open one would: for
    /// instance after its [`Add`](Self::Add) failed, or its last deletion. Nothing is checked first. Ends in [`Event::Deleted`].
    Delete {
        /// The session's name for it: no torrent of that name is open.
        torrent: TorrentId,
        /// Its files.
        layout: Arc<Layout>,
        /// As in [`Add`](Self::Add).
        root: PathBuf,
        /// As in [`Add`](Self::Add).
        writable: bool,
        /// As in [`Add`](Self::Add).
        resume: Option<ResumeFile>,
    },
    /// Keeps a block. Ends in [`Event::Written`].
    Write {
        /// The torrent.
        torrent: TorrentId,
        /// The block's place.
        span: Span,
        /// Its bytes, as many as the span says.
        block: Block,
    },
    /// Reads bytes. Ends in [`Event::Read`].
    Read {
        /// The torrent.
        torrent: TorrentId,
        /// The bytes' place.
        span: Span,
        /// The asker's name for it.
        ticket: u64,
    },
    /// Brings what was written to the medium. Ends in [`Event::Synced`].
    Sync {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Lets a torrent that was stopped by an error be written again. Ends in [`Event::Retried`].
    Retry {
        /// The torrent.
        torrent: TorrentId,
    },
}

/// What becomes of a torrent's files when it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Files {
    /// They stay, with the resume data.
    #[default]
    Keep,
    /// Its files go, whoever made them and whether they are skipped or not, with its parts file and its resume data; then those of
    /// its folders that are empty, up to its own top folder, and never the root. Whatever else lies there stays, and so does what
    /// is no regular file: a symbolic link in the place of a file or folder is an error, and is not followed.
    ///
    /// A file that is not there is none that failed. Where the root itself is not there, as when a disk is not mounted, that is
    /// [`Error::NoRoot`]: only the resume data goes, and the rest can be deleted later ([`Command::Delete`]).
    ///
    /// A sync that was asked for and has not ended is withdrawn: its [`Event::Synced`] says [`Error::Removing`].
    ///
    /// Of a torrent that was opened for reading only, only the resume data goes, for others may read the same files: that is
    /// [`Error::ReadOnly`].
    Delete,
}

/// What was deleted of a torrent ([`Files::Delete`]).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Deletion {
    /// Files that were there and are deleted: the torrent's own, its parts file and its resume data.
    pub files: u32,
    /// Folders that were empty then and are deleted.
    pub folders: u32,
    /// Files and folders that should be gone and may be there still: what went wrong with one kept none of the others.
    pub failed: u32,
    /// The first thing that went wrong, with the file's name and the reason.
    pub error: Option<Error>,
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is written; its piece is not complete.
    Kept,
    /// Its piece was verified before; nothing was written.
    Known,
    /// It completed its piece, and the piece is verified.
    PieceGood,
    /// It completed its piece, and the piece's hash is wrong: the whole piece is forgotten.
    PieceBad,
}

/// How it was found out what a torrent has on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// Everything that is there was verified.
    Full,
    /// The resume data was believed, after all files were as it says and some pieces were verified
    /// ([`Config::sample_files`](super::Config::sample_files)).
    Sampled,
}

/// A file that was found other than expected when its torrent was added. Nothing was done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Oddity {
    /// The file is longer than the torrent says; the rest is left as it is.
    TooLong {
        /// The file.
        file: FileIndex,
        /// Its length in bytes on disk.
        found: u64,
        /// Its length in bytes in the torrent.
        expected: u64,
    },
}

/// What the disk tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Terminal: the store is open and what was there is verified.
    Added {
        /// The torrent.
        torrent: TorrentId,
        /// The pieces that are complete and right.
        have: Bitfield,
        /// Blocks of other pieces that are written, as the resume data says.
        stored: Vec<Span>,
        /// How it was found out.
        checked: Checked,
        /// Files that are other than expected.
        oddities: Vec<Oddity>,
    },
    /// Terminal: the store could not be opened.
    AddFailed {
        /// The torrent.
        torrent: TorrentId,
        /// Why.
        error: Error,
    },
    /// Terminal: the torrent's files are closed, and stay; nothing more about it follows. `error` tells of a last write that failed, or of
    /// a torrent that is not there.
    Removed {
        /// The torrent.
        torrent: TorrentId,
        /// What went wrong, if anything.
        error: Option<Error>,
    },
    /// Terminal: the torrent's files are closed, and deleted as far as that went; nothing more about it follows.
    Deleted {
        /// The torrent.
        torrent: TorrentId,
        /// What was deleted. The error also tells of a torrent that is not there.
        deletion: Deletion,
    },
    /// Terminal: what became of a block.
    Written {
        /// The torrent.
        torrent: TorrentId,
        /// The block's place.
        span: Span,
        /// What became of it.
        outcome: Result<Written, Error>,
    },
    /// Terminal: the bytes that were asked for.
    Read {
        /// The torrent.
        torrent: TorrentId,
        /// The bytes' place.
        span: Span,
        /// The asker's name for it.
        ticket: u64,
        /// The bytes, all of them.
        block: Result<Block, Error>,
    },
    /// Terminal: everything written before the command is on the medium, or why not.
    Synced {
        /// The torrent.
        torrent: TorrentId,
        /// Why not.
        error: Option<Error>,
    },
    /// Terminal: the torrent may be written again, or is not there.
    Retried {
        /// The torrent.
        torrent: TorrentId,
        /// Whether the torrent is there.
        found: bool,
    },
    /// Terminal: the selection is in force, or why not.
    Selected {
        /// The torrent.
        torrent: TorrentId,
        /// Why not.
        error: Option<Error>,
    },
    /// Notice: the hashes of a piece's blocks as they are in the files: of a piece that had the wrong hash, before
    /// [`Written::PieceBad`] is told, and of the same piece once it is right, after [`Written::PieceGood`].
    BlockHashes {
        /// The torrent.
        torrent: TorrentId,
        /// The piece.
        piece: PieceIndex,
        /// Whether the piece is right.
        good: bool,
        /// SHA-1 of each block of 16 KiB, in order; none where they could not be read.
        hashes: Arc<[[u8; 20]]>,
    },
    /// Notice: how far the check of what is there has come.
    Checking {
        /// The torrent.
        torrent: TorrentId,
        /// Pieces looked at.
        checked: u32,
        /// Of these, complete and right.
        good: u32,
        /// Pieces in all.
        pieces: u32,
    },
    /// Nothing is held back of the torrent, if it is here.
    Released {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Notice: the torrent's files cannot be written; writes fail until [`Command::Retry`]. Other torrents go on.
    Stopped {
        /// The torrent.
        torrent: TorrentId,
        /// Which file and why.
        error: Error,
        /// Whether they cannot be read either: [`Config::read_failures`](super::Config::read_failures) reads have failed, one after the
        /// other.
        unreadable: bool,
    },
    /// Notice: bytes of a verified piece could not be read. Where a file was cut or is gone, its pieces are verified again, and none is
    /// read until it is right.
    ReadFailed {
        /// The torrent.
        torrent: TorrentId,
        /// Which file and why.
        error: Error,
    },
    /// Notice: a piece that was verified, or of which blocks were kept, is there no more: it must be fetched again.
    PieceLost {
        /// The torrent.
        torrent: TorrentId,
        /// The piece.
        piece: PieceIndex,
    },
    /// Notice: the resume data could not be written; it is tried again. What was written before stays.
    SaveFailed {
        /// The torrent.
        torrent: TorrentId,
        /// Why.
        error: Error,
    },
}
