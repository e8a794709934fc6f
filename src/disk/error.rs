//! What goes wrong on a disk.

use crate::machine::JobError;
use crate::proto::geometry::Span;
use crate::proto::id::PieceIndex;
use std::fmt;
use std::io;

/// What was being done to a file when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Looking at a file's or folder's kind and length.
    Examining,
    /// Listing a folder.
    Listing,
    /// Opening a file.
    Opening,
    /// Creating a file or the folders above it.
    Creating,
    /// Reading a file.
    Reading,
    /// Writing a file.
    Writing,
    /// Bringing a file to the medium.
    Syncing,
    /// Giving a file its name.
    Renaming,
    /// Deleting a file or an empty folder.
    Deleting,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Examining => "examining",
            Operation::Listing => "listing",
            Operation::Opening => "opening",
            Operation::Creating => "creating",
            Operation::Reading => "reading",
            Operation::Writing => "writing",
            Operation::Syncing => "syncing",
            Operation::Renaming => "renaming",
            Operation::Deleting => "deleting",
        })
    }
}

/// Why the disk did not do what it was asked. Its text says what was done to which file, and what the system said.
///
/// ```
/// use bip::disk::{Error, Operation};
/// let full = std::io::Error::new(std::io::ErrorKind::StorageFull, "No space left on device");
/// let error = Error::io(Operation::Writing, "album/01.flac", &full);
/// assert_eq!(error.to_string(), "writing album/01.flac: No space left on device");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The system refused (I/O).
    Io {
        /// What was being done.
        operation: Operation,
        /// The file, as its torrent names it, or the path that was given; control characters are replaced.
        file: String,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The system's number for it, where it came from the system.
        code: Option<i32>,
        /// The system's words for it.
        text: String,
    },
    /// No such torrent is open (refused).
    UnknownTorrent,
    /// A torrent of this id is open or being closed (refused).
    TorrentExists,
    /// The torrent is still being checked (refused).
    StillChecking,
    /// The torrent is being removed (refused).
    Removing,
    /// The torrent was opened for reading only (refused).
    ReadOnly,
    /// The limits of [`Config`](super::Config) are reached: answers must be taken before more is asked (refused).
    Busy,
    /// The root folder that was given is not there, or is no folder: its disk may not be mounted (refused).
    NoRoot {
        /// The folder.
        root: String,
    },
    /// The span is empty, lies outside its piece, or is longer than a block may be (the asker's fault).
    OutOfRange {
        /// The span.
        span: Span,
    },
    /// The block is not as long as its span says (the asker's fault).
    WrongLength {
        /// The span.
        span: Span,
        /// The block's length in bytes.
        found: usize,
    },
    /// The list of skipped files has another number of entries than the torrent has files (the asker's fault).
    WrongSelection,
    /// The piece is not verified, so nothing is read from it (refused).
    NotVerified {
        /// The piece.
        piece: PieceIndex,
    },
    /// The file's length changed while it was hashed.
    Changed {
        /// The file.
        file: String,
        /// Its length in bytes at first.
        before: u64,
        /// Its length in bytes now, if it is there.
        now: Option<u64>,
    },
    /// There is not one byte to share.
    NothingToShare {
        /// The path that was given.
        path: String,
    },
    /// The path has no last part that could name the torrent, such as `.` or `/`: a name must be given.
    NoName {
        /// The path that was given.
        path: String,
    },
    /// The tree is larger than the limits of [`Config`](super::Config).
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A pattern that says what is left out of a torrent is none (the asker's fault).
    Glob {
        /// The pattern, as it was given.
        glob: String,
        /// Where in it, in bytes from 0.
        at: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The torrent is of version 2, and the piece layer of a file is not known: there is nothing to verify its pieces with.
    NoPieceLayers,
    /// The bytes of a hybrid's piece have one of the two hashes that the torrent gives for them, and not the other: it contradicts itself.
    Contradiction {
        /// The piece.
        piece: PieceIndex,
    },
    /// The metainfo could not be built.
    Metainfo {
        /// Why not.
        reason: String,
    },
    /// The host could not do the work.
    Job(JobError),
    /// It was cancelled by its owner.
    Cancelled,
}

impl Error {
    /// Makes the error of a system call on a file.
    pub fn io(operation: Operation, file: impl Into<String>, error: &io::Error) -> Self {
        let code = error.raw_os_error();
        let mut text = error.to_string();
        if let Some(cut) = code.and_then(|code| text.find(&format!(" (os error {code})"))) {
            text.truncate(cut);
        }
        Error::Io { operation, file: file.into(), kind: error.kind(), code, text }
    }

    /// Says whether a file ended before the bytes that were asked for.
    pub(crate) fn is_short(&self) -> bool {
        matches!(self, Error::Io { operation: Operation::Reading, kind: io::ErrorKind::UnexpectedEof, .. })
    }

    /// Says whether a file that was there when it was looked at is there no more, or not as long.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_short()
            || matches!(self, Error::Io { operation: Operation::Opening, kind: io::ErrorKind::NotFound, .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { operation, file, text, .. } => write!(f, "{operation} {file}: {text}"),
            Error::UnknownTorrent => f.write_str("the torrent is not open"),
            Error::TorrentExists => f.write_str("a torrent of this id is open"),
            Error::StillChecking => f.write_str("the torrent is still being checked"),
            Error::Removing => f.write_str("the torrent is being removed"),
            Error::ReadOnly => f.write_str("the torrent was opened for reading only"),
            Error::Busy => f.write_str("too much is unanswered"),
            Error::NoRoot { root } => write!(f, "the folder {root} is not there"),
            Error::OutOfRange { span } => write!(f, "no such place in the torrent: {span}"),
            Error::WrongLength { span, found } => write!(f, "a block of {found} bytes for {span}"),
            Error::WrongSelection => f.write_str("the skipped files are those of another torrent"),
            Error::NotVerified { piece } => write!(f, "piece {piece} is not verified"),
            Error::Changed { file, before, now: Some(now) } => {
                write!(f, "{file} changed from {before} to {now} bytes while it was hashed")
            }
            Error::Changed { file, now: None, .. } => write!(f, "{file} went away while it was hashed"),
            Error::NothingToShare { path } => write!(f, "{path} holds no bytes to share"),
            Error::NoName { path } => write!(f, "{path} does not end in a name"),
            Error::TooLarge { what, limit } => write!(f, "more than {limit} {what}"),
            Error::Glob { glob, at, problem } => write!(f, "pattern {glob}: {problem} at byte {at}"),
            Error::NoPieceLayers => {
                f.write_str("a piece layer is not known: there is nothing to verify the pieces with")
            }
            Error::Contradiction { piece } => {
                write!(f, "the torrent's two hashes of piece {piece} are of different bytes")
            }
            Error::Metainfo { reason } => write!(f, "building the metainfo: {reason}"),
            Error::Job(error) => error.fmt(f),
            Error::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Error {}

/// Makes bytes of a path fit to be shown: what is not UTF-8 and control characters become U+FFFD.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_file_and_the_systems_words_without_the_number() {
        let error = Error::io(Operation::Writing, "a/b", &io::Error::from_raw_os_error(28));
        let text = error.to_string();
        assert!(text.starts_with("writing a/b: ") && !text.contains("os error"), "{text}");
        assert!(matches!(error, Error::Io { code: Some(28), .. }));
    }

    #[test]
    fn a_name_cannot_move_the_terminals_cursor() {
        assert_eq!(shown(b"a\x1b[2J\xffb"), "a\u{fffd}[2J\u{fffd}b");
    }
}
