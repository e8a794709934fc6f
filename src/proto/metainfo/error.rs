//! Why a torrent is refused, or cannot be made.

use super::path::PathError;
use super::safe_path::SafePath;
use crate::proto::bencode;
use crate::proto::id::FileIndex;
use std::fmt;

/// A torrent file that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is not bencode, is over a limit of decoding, or lacks a field or has another kind of value there.
    Bencode(bencode::Error),
    /// It is longer than [`Limits::torrent_bytes`](super::Limits::torrent_bytes).
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// It is of version 2 alone (BEP 52), and the library was built without the feature `v2`.
    OnlyVersion2 {
        /// Where `info` starts.
        at: usize,
    },
    /// It is of a version that is not known.
    MetaVersion {
        /// Where `meta version` stands.
        at: usize,
        /// The version.
        value: i64,
    },
    /// It has a file tree of version 2, and neither a `meta version` nor what version 1 has.
    NoMetaVersion {
        /// Where `info` starts.
        at: usize,
    },
    /// The name is nothing but NUL bytes.
    NulName {
        /// Where the name starts.
        at: usize,
    },
    /// `info` has both `length` and `files`, or neither.
    LengthOrFiles {
        /// Where `info` starts.
        at: usize,
        /// Whether both are there.
        both: bool,
    },
    /// No files are listed.
    NoFiles {
        /// Where they are listed.
        at: usize,
    },
    /// There are more files than [`Limits::files`](super::Limits::files).
    TooManyFiles {
        /// Where the first one too many starts.
        at: usize,
        /// The limit.
        limit: usize,
    },
    /// A length is negative.
    NegativeLength {
        /// The way from the root to the length.
        path: String,
        /// Where it stands.
        at: usize,
        /// The length.
        value: i64,
    },
    /// The lengths of the files add up to more than 2^63 - 1.
    TotalOverflow {
        /// Where the length stands that is too much.
        at: usize,
    },
    /// All files are empty.
    Empty {
        /// Where `info` starts.
        at: usize,
    },
    /// A path has more parts, with the torrent's name, than [`Limits::path_depth`](super::Limits::path_depth).
    PathTooDeep {
        /// Where the path starts.
        at: usize,
        /// The limit.
        limit: usize,
    },
    /// More than 500 files have the path of another, or of a folder.
    TooManyDuplicates {
        /// Where the files are listed.
        at: usize,
    },
    /// The piece length is not from 1 to [`Limits::piece_length`](super::Limits::piece_length).
    PieceLength {
        /// Where it stands.
        at: usize,
        /// The piece length.
        value: i64,
        /// The limit.
        limit: u32,
    },
    /// The piece length of a torrent of version 2 is not a power of two, or less than 16 KiB.
    PieceLengthV2 {
        /// Where it stands.
        at: usize,
        /// The piece length.
        value: u32,
    },
    /// The root of the file tree is a file.
    TreeIsFile {
        /// Where what describes the file stands.
        at: usize,
    },
    /// A path of the file tree is a file and a folder.
    FileAndFolder {
        /// Where both stand.
        at: usize,
    },
    /// The root of a file's hash tree is not 32 bytes.
    PiecesRoot {
        /// Where it stands.
        at: usize,
    },
    /// The two descriptions in a hybrid are not of the same files.
    Disagree {
        /// Where the file's entry in the file tree starts, or the tree.
        at: usize,
        /// The file's path in the file tree; empty where it is not about a file of the tree.
        path: String,
        /// What is not the same.
        what: Disagreement,
    },
    /// The piece layers are not those of the files.
    Layers {
        /// Where `piece layers` starts; where the torrent ends if there are none.
        at: usize,
        /// What is the matter.
        error: LayerError,
    },
    /// The repaired names are too many to be counted in 32 bits.
    NamesTooLong {
        /// Where the files are listed.
        at: usize,
    },
    /// `pieces` is not a multiple of 20 bytes.
    PiecesLength {
        /// Where `pieces` starts.
        at: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// There are more pieces than [`Limits::pieces`](super::Limits::pieces).
    TooManyPieces {
        /// Where `pieces` starts.
        at: usize,
        /// How many there are.
        count: usize,
        /// The limit.
        limit: u32,
    },
    /// There are not as many piece hashes as the lengths of torrent and pieces call for.
    PieceCount {
        /// Where `pieces` starts.
        at: usize,
        /// How many are called for.
        expected: u64,
        /// How many there are.
        found: usize,
    },
}

impl From<bencode::Error> for Error {
    fn from(error: bencode::Error) -> Self {
        Error::Bencode(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bencode(error) => error.fmt(f),
            Error::TooLong { length, limit } => write!(f, "a torrent of {length} bytes, over the limit of {limit}"),
            Error::OnlyVersion2 { at } => {
                write!(f, "info: a torrent of version 2 alone (BEP 52), which needs the feature `v2`, at byte {at}")
            }
            Error::MetaVersion { at, value } => {
                write!(f, "info.meta version: {value}, which is not supported, at byte {at}")
            }
            Error::NoMetaVersion { at } => write!(f, "info: a file tree without a meta version at byte {at}"),
            Error::NulName { at } => write!(f, "info.name: nothing but NUL bytes at byte {at}"),
            Error::LengthOrFiles { at, both: true } => write!(f, "info: both length and files at byte {at}"),
            Error::LengthOrFiles { at, both: false } => write!(f, "info: neither length nor files at byte {at}"),
            Error::NoFiles { at } => write!(f, "info: no files at byte {at}"),
            Error::TooManyFiles { at, limit } => write!(f, "info: over the limit of {limit} files at byte {at}"),
            Error::NegativeLength { path, at, value } => write!(f, "{path}: the negative length {value} at byte {at}"),
            Error::TotalOverflow { at } => write!(f, "info: a total length of 2^63 bytes or more at byte {at}"),
            Error::Empty { at } => write!(f, "info: a total length of 0 at byte {at}"),
            Error::PathTooDeep { at, limit } => {
                write!(f, "info: a path of more than {limit} parts at byte {at}")
            }
            Error::TooManyDuplicates { at } => write!(f, "info: too many files of the same path at byte {at}"),
            Error::PieceLength { at, value, limit } => {
                write!(f, "info.piece length: {value}, not from 1 to {limit}, at byte {at}")
            }
            Error::PieceLengthV2 { at, value } => {
                write!(f, "info.piece length: {value}, not a power of two from 16384 up, at byte {at}")
            }
            Error::TreeIsFile { at } => write!(f, "info.file tree: a file without a name at byte {at}"),
            Error::FileAndFolder { at } => write!(f, "info.file tree: both a file and a folder at byte {at}"),
            Error::PiecesRoot { at } => write!(f, "info.file tree: a pieces root that is not 32 bytes at byte {at}"),
            Error::Disagree { at, path, what } if path.is_empty() => {
                write!(f, "info: versions 1 and 2 disagree: {what} at byte {at}")
            }
            Error::Disagree { at, path, what } => {
                write!(f, "info: versions 1 and 2 disagree about {path:?}: {what} at byte {at}")
            }
            Error::Layers { at, error } => write!(f, "piece layers: {error} at byte {at}"),
            Error::NamesTooLong { at } => write!(f, "info: too many bytes of names at byte {at}"),
            Error::PiecesLength { at, length } => {
                write!(f, "info.pieces: {length} bytes, not a multiple of 20, at byte {at}")
            }
            Error::TooManyPieces { at, count, limit } => {
                write!(f, "info.pieces: {count} pieces, over the limit of {limit}, at byte {at}")
            }
            Error::PieceCount { at, expected, found } => {
                write!(f, "info.pieces: {found} pieces where the lengths call for {expected} at byte {at}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Bencode(error) => Some(error),
            Error::Layers { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// In what the two descriptions of a hybrid differ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disagreement {
    /// The file tree has a file more.
    OnlyInTree,
    /// The list has a file more.
    OnlyInList {
        /// The file.
        file: FileIndex,
    },
    /// The file that the list has in this place has another path.
    Path {
        /// The file in the list.
        file: FileIndex,
    },
    /// The lengths differ.
    Length {
        /// What the list says.
        list: u64,
        /// What the file tree says.
        tree: u64,
    },
    /// The file's bytes start somewhere else: the padding is not what it has to be.
    Offset {
        /// Where they start by the list.
        list: u64,
        /// Where they start by the file tree: with a piece.
        tree: u64,
    },
    /// There are more or fewer pieces.
    Pieces {
        /// By the list.
        list: u64,
        /// By the file tree.
        tree: u64,
    },
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disagreement::OnlyInTree => f.write_str("it is in the file tree alone"),
            Disagreement::OnlyInList { file } => write!(f, "file {file} is in the list alone"),
            Disagreement::Path { file } => write!(f, "file {file} of the list has another path"),
            Disagreement::Length { list, tree } => write!(f, "a length of {list} in the list and {tree} in the tree"),
            Disagreement::Offset { list, tree } => write!(f, "it starts at {list} in the list and {tree} in the tree"),
            Disagreement::Pieces { list, tree } => write!(f, "{list} pieces in the list and {tree} in the tree"),
        }
    }
}

/// What is the matter with piece layers (BEP 52).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerError {
    /// The layer of a file is not there.
    Missing {
        /// The file.
        file: FileIndex,
    },
    /// A layer has not one hash for each piece of the file.
    Length {
        /// The file.
        file: FileIndex,
        /// How many bytes there should be.
        expected: u64,
        /// How many there are.
        found: usize,
    },
    /// A layer does not lead to the root of the file's hash tree.
    Hash {
        /// The file.
        file: FileIndex,
    },
    /// The layers are not strings in a dictionary.
    Form,
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerError::Missing { file } => write!(f, "none for file {file}"),
            LayerError::Length { file, expected, found } => {
                write!(f, "{found} bytes for file {file}, which has {expected}")
            }
            LayerError::Hash { file } => write!(f, "those of file {file} have not the root that it has"),
            LayerError::Form => f.write_str("not a dictionary of strings"),
        }
    }
}

impl std::error::Error for LayerError {}

/// A torrent that cannot be made as it was described.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A name or path cannot be stored on this host.
    Path(PathError),
    /// A path is not below the torrent's name, or is that name where there are several files.
    OutsideRoot {
        /// The path.
        path: SafePath,
    },
    /// Two files have the same path, or a file has the path of a folder.
    Clash {
        /// The path.
        path: SafePath,
    },
    /// A path has too many parts.
    PathTooDeep {
        /// The path.
        path: SafePath,
        /// The limit, with the torrent's name.
        limit: usize,
    },
    /// There are no files.
    NoFiles,
    /// There are too many files.
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// All files are empty.
    Empty,
    /// The lengths of the files add up to more than 2^63 - 1.
    TooLong,
    /// The piece length is 0 or too large.
    PieceLength {
        /// The piece length.
        value: u32,
        /// The limit.
        limit: u32,
    },
    /// The piece length is not a power of two from 16 KiB up, as version 2 wants it.
    PieceLengthV2 {
        /// The piece length.
        value: u32,
    },
    /// Version 2 was asked for, and the library was built without the feature `v2`.
    NeedsV2,
    /// A symbolic link does not lead to another file or folder of the torrent, or has bytes of its own.
    Link {
        /// Where it leads, with `/` between the parts; empty for a link that has bytes.
        target: String,
    },
    /// The torrent could not be read again.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// There would be too many pieces.
    TooManyPieces {
        /// How many.
        count: u64,
        /// The limit.
        limit: u32,
    },
    /// There are not as many piece hashes as pieces.
    PieceCount {
        /// How many pieces there are.
        expected: u64,
        /// How many hashes there are.
        found: usize,
    },
    /// The torrent file would be too long to be read again.
    TorrentTooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

impl From<PathError> for BuildError {
    fn from(error: PathError) -> Self {
        BuildError::Path(error)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Path(error) => error.fmt(f),
            BuildError::OutsideRoot { path } => write!(f, "{path}: not in the torrent's folder"),
            BuildError::Clash { path } => write!(f, "{path}: the path of another file or of a folder"),
            BuildError::PathTooDeep { path, limit } => write!(f, "{path}: a path of more than {limit} parts"),
            BuildError::NoFiles => f.write_str("no files"),
            BuildError::TooManyFiles { limit } => write!(f, "more than {limit} files"),
            BuildError::Empty => f.write_str("a total length of 0"),
            BuildError::TooLong => f.write_str("a total length of 2^63 bytes or more"),
            BuildError::PieceLength { value, limit } => write!(f, "a piece length of {value}, not from 1 to {limit}"),
            BuildError::PieceLengthV2 { value } => {
                write!(f, "a piece length of {value}, not a power of two from 16384 up, as version 2 wants it")
            }
            BuildError::NeedsV2 => f.write_str("version 2 needs the feature `v2`"),
            BuildError::Link { target } => {
                write!(f, "a link to {target:?}, which is not another file or folder of the torrent")
            }
            BuildError::Unreadable { reason } => f.write_str(reason),
            BuildError::TooManyPieces { count, limit } => write!(f, "{count} pieces, over the limit of {limit}"),
            BuildError::PieceCount { expected, found } => write!(f, "{found} piece hashes for {expected} pieces"),
            BuildError::TorrentTooLong { length, limit } => {
                write!(f, "a torrent file of {length} bytes, over the limit of {limit}")
            }
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Path(error) => Some(error),
            _ => None,
        }
    }
}
