//! What is odd about a torrent that is nevertheless accepted.

use crate::proto::id::FileIndex;
use std::fmt;

/// How many bytes of names are shown in warnings about paths; what is more is only counted.
const MAX_SHOWN: usize = 1 << 20;

/// Something odd about a torrent that did not keep it from being read.
///
/// Shown with everything escaped that could confuse a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The torrent's name could not be stored as given.
    NameRepaired {
        /// The name as given, with U+FFFD for what is not UTF-8.
        raw: String,
        /// The name that it is stored under.
        stored: String,
    },
    /// A file's path could not be stored as given.
    PathRepaired {
        /// The file.
        file: FileIndex,
        /// The path as given, without the torrent's name, with `/` between its parts.
        raw: String,
        /// The path that it is stored under, without the torrent's name.
        stored: String,
    },
    /// A file was renamed because its path was taken by another file or folder.
    PathRenamed {
        /// The file.
        file: FileIndex,
        /// The path that was taken, without the torrent's name.
        taken: String,
        /// The path that it is stored under, without the torrent's name.
        stored: String,
    },
    /// The torrent's name, or with a number the path of a file, is not UTF-8, as BEP 3 wants, and is stored as it is.
    NotUtf8 {
        /// The file; `None` for the torrent's name.
        file: Option<FileIndex>,
    },
    /// There are more warnings about paths than are kept.
    MorePaths {
        /// How many.
        count: usize,
    },
    /// A symbolic link is an empty file here: it does not lead to another file or folder of the torrent.
    LinkDropped {
        /// The file that would be the link.
        file: FileIndex,
        /// Where it would lead, with `/` between the parts.
        target: String,
    },
    /// The keys of a dictionary are not sorted, as BEP 3 wants.
    UnsortedKeys {
        /// Where the first such key stands, in bytes.
        at: usize,
    },
    /// A field that may be missing is not of the form it should have and was left out. Told once for each key.
    Ignored {
        /// The field's key.
        key: &'static str,
        /// Where its value starts, in bytes.
        at: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::NameRepaired { raw, stored } => write!(f, "the name {raw:?} is stored as {stored:?}"),
            Warning::PathRepaired { file, raw, stored } => write!(f, "file {file}: {raw:?} is stored as {stored:?}"),
            Warning::PathRenamed { file, taken, stored } => {
                write!(f, "file {file}: {taken:?} is taken, so it is stored as {stored:?}")
            }
            Warning::NotUtf8 { file: None } => f.write_str("the name is not UTF-8"),
            Warning::NotUtf8 { file: Some(file) } => write!(f, "file {file}: the path is not UTF-8"),
            Warning::MorePaths { count } => write!(f, "{count} more paths are not stored as they are given"),
            Warning::LinkDropped { file, target } => {
                write!(
                    f,
                    "file {file}: a link to {target:?}, which is not another file of the torrent, is an empty file"
                )
            }
            Warning::UnsortedKeys { at } => write!(f, "the keys of a dictionary are not sorted at byte {at}"),
            Warning::Ignored { key, at } => write!(f, "{key}: ignored, as it is not of the right form at byte {at}"),
        }
    }
}

/// Collects warnings, and no more of them than a hostile torrent may cost.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    list: Vec<Warning>,
    shown: usize,
    more: usize,
    ignored: Vec<&'static str>,
}

impl Warnings {
    pub(super) fn push(&mut self, warning: Warning) {
        self.list.push(warning);
    }

    /// Takes a warning about a path, if there is room for so many bytes more.
    pub(super) fn push_path(&mut self, bytes: usize, warning: impl FnOnce() -> Warning) {
        self.shown = self.shown.saturating_add(bytes + 64);
        if self.shown <= MAX_SHOWN {
            self.list.push(warning());
        } else {
            self.more += 1;
        }
    }

    pub(super) fn ignored(&mut self, key: &'static str, at: usize) {
        if !self.ignored.contains(&key) {
            self.ignored.push(key);
            self.list.push(Warning::Ignored { key, at });
        }
    }

    pub(super) fn finish(mut self) -> Vec<Warning> {
        if self.more > 0 {
            self.list.push(Warning::MorePaths { count: self.more });
        }
        self.list
    }
}
