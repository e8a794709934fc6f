//! A file as it is described to the builder.

use crate::proto::bencode::DictEncoder;

/// A file, or a symbolic link, of a torrent that is to be made.
///
/// ```
/// use bip::proto::metainfo::{Builder, Entry};
/// let bytes = Builder::multi_file("t")
///     .entry(Entry::new(["bin", "tool"], 5).executable())
///     .entry(Entry::link(["tool"], ["bin", "tool"]))
///     .piece_hashes([[7; 20]])
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) length: u64,
    pub(super) link: Option<Vec<Vec<u8>>>,
    is_executable: bool,
    is_hidden: bool,
}

impl Entry {
    /// Describes a file by the parts of its path below the torrent's folder, and its length in bytes.
    pub fn new<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>, length: u64) -> Self {
        let parts = parts.into_iter().map(|part| part.as_ref().to_vec()).collect();
        Self { parts, length, link: None, is_executable: false, is_hidden: false }
    }

    /// Describes a symbolic link (BEP 47) to another file or folder of the torrent: both by the parts of their paths below the
    /// torrent's folder.
    pub fn link<P: AsRef<[u8]>, T: AsRef<[u8]>>(
        parts: impl IntoIterator<Item = P>,
        target: impl IntoIterator<Item = T>,
    ) -> Self {
        let link = Some(target.into_iter().map(|part| part.as_ref().to_vec()).collect());
        Self { link, ..Self::new(parts, 0) }
    }

    /// Marks the file as a program (BEP 47).
    pub fn executable(mut self) -> Self {
        self.is_executable = true;
        self
    }

    /// Marks the file as hidden (BEP 47).
    pub fn hidden(mut self) -> Self {
        self.is_hidden = true;
        self
    }

    /// Writes the length and what else is said of the file, but for its path.
    pub(super) fn write(&self, dict: &mut DictEncoder<'_>) {
        let marks = [(self.is_executable, "x"), (self.is_hidden, "h"), (self.link.is_some(), "l")];
        let marks: String = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect();
        if !marks.is_empty() {
            dict.bytes("attr", marks);
        }
        // Below 2^63: the geometry sees to it.
        dict.int("length", self.length as i64);
        if let Some(target) = &self.link {
            dict.list("symlink path", |path| target.iter().for_each(|part| path.bytes(part)));
        }
    }

    /// Writes padding as BEP 47 recommends.
    pub(super) fn write_padding(dict: &mut DictEncoder<'_>, length: u64) {
        dict.bytes("attr", "p");
        // Shorter than a piece.
        dict.int("length", length as i64);
        dict.list("path", |path| {
            path.bytes(".pad");
            path.bytes(length.to_string());
        });
    }

    /// Writes what stands at a file's place in a file tree.
    pub(super) fn write_leaf(&self, dict: &mut DictEncoder<'_>, root: &[u8; 32]) {
        dict.dict("", |file| {
            self.write(file);
            if self.length > 0 {
                file.bytes("pieces root", root);
            }
        });
    }

    /// Writes the folder that the first `depth` parts of all these sorted files lead to.
    pub(super) fn write_folder(dict: &mut DictEncoder<'_>, files: &[(&Self, [u8; 32])], depth: usize) {
        // Paths are no deeper than what can be read: the builder sees to it.
        for group in files.chunk_by(|a, b| a.0.parts.get(depth) == b.0.parts.get(depth)) {
            let Some(((first, root), name)) = group.first().and_then(|f| Some((f, f.0.parts.get(depth)?))) else {
                continue;
            };
            if first.parts.len() == depth + 1 {
                dict.dict(name, |leaf| first.write_leaf(leaf, root));
            } else {
                dict.dict(name, |folder| Self::write_folder(folder, group, depth + 1));
            }
        }
    }
}
