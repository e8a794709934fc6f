//! The files that jobs work on, as plain data.

use super::error::shown;
use crate::proto::id::FileIndex;
use crate::proto::metainfo::{FileSpan, Layout};
use std::path::PathBuf;
use std::sync::Arc;

/// A machine's name for a set of files. Never reused by that machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StoreId(pub(crate) u64);

/// A file of a tree that is being made into a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The parts of its path below the tree's root; none for the root itself.
    pub(crate) parts: Vec<Vec<u8>>,
    pub(crate) path: PathBuf,
    pub(crate) length: u64,
    pub(crate) offset: u64,
    /// Whether it is no file but zeros between two.
    pub(crate) is_padding: bool,
}

impl Leaf {
    /// Makes a file of a tree, without a place yet.
    pub(crate) fn new(parts: Vec<Vec<u8>>, path: PathBuf, length: u64) -> Self {
        Self { parts, path, length, offset: 0, is_padding: false }
    }

    /// Makes zeros between two files.
    pub(crate) fn padding(length: u64, offset: u64) -> Self {
        Self { parts: Vec::new(), path: PathBuf::new(), length, offset, is_padding: true }
    }
}

/// Where a store's list of files comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Torrent(Arc<Layout>),
    /// Leaves in the order of their offsets, with nothing between them.
    Tree(Vec<Leaf>),
}

/// Files as one run of bytes. Jobs share it; what is open is kept by the executor under its id.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) id: StoreId,
    pub(crate) root: PathBuf,
    pub(crate) source: Source,
    pub(crate) writable: bool,
}

impl Store {
    pub(crate) fn file_count(&self) -> u32 {
        match &self.source {
            Source::Torrent(layout) => layout.files().len() as u32,
            Source::Tree(leaves) => leaves.len() as u32,
        }
    }

    /// Gives the length that a file is meant to have.
    pub(crate) fn length(&self, file: FileIndex) -> u64 {
        match &self.source {
            Source::Torrent(layout) => layout.file(file).map_or(0, |f| f.length),
            Source::Tree(leaves) => leaves.get(file.as_usize()).map_or(0, |l| l.length),
        }
    }

    /// Gives where a file is, for reading.
    pub(crate) fn path(&self, file: FileIndex) -> PathBuf {
        match &self.source {
            Source::Torrent(layout) => {
                layout.file(file).map_or_else(PathBuf::new, |f| self.root.join(f.path.to_path_buf()))
            }
            Source::Tree(leaves) => leaves.get(file.as_usize()).map_or_else(PathBuf::new, |l| l.path.clone()),
        }
    }

    /// Gives a file's name for people.
    pub(crate) fn name(&self, file: FileIndex) -> String {
        match &self.source {
            Source::Torrent(layout) => layout.file(file).map_or_else(String::new, |f| shown(&f.path.to_bytes())),
            Source::Tree(leaves) => {
                leaves.get(file.as_usize()).map_or_else(String::new, |l| shown(l.path.as_os_str().as_encoded_bytes()))
            }
        }
    }

    /// Says whether a file is padding: zeros that are never stored (BEP 47).
    pub(crate) fn is_padding(&self, file: FileIndex) -> bool {
        match &self.source {
            Source::Torrent(layout) => layout.file(file).is_some_and(|f| f.is_padding),
            Source::Tree(leaves) => leaves.get(file.as_usize()).is_some_and(|l| l.is_padding),
        }
    }

    /// Gives the runs of files that a run of bytes lies in.
    pub(crate) fn spans(&self, offset: u64, length: u64) -> Vec<FileSpan> {
        match &self.source {
            Source::Torrent(layout) => layout.spans(offset, length).collect(),
            Source::Tree(leaves) => {
                let end = offset.saturating_add(length);
                let first = leaves.partition_point(|l| l.offset + l.length <= offset);
                let leaves = leaves.iter().enumerate().skip(first).take_while(|(_, l)| l.offset < end);
                let spans = leaves.map(|(index, l)| {
                    let (from, to) = (offset.max(l.offset), end.min(l.offset + l.length));
                    // `Config::files` keeps the number far below 2^32.
                    FileSpan { file: FileIndex(index as u32), offset: from - l.offset, length: to.saturating_sub(from) }
                });
                spans.filter(|span| span.length > 0).collect()
            }
        }
    }
}
