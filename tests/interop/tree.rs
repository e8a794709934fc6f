//! What is transferred: a file or a folder with contents of its own, and the proof that two of them are equal.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::process::Failure;

/// The period of the contents: a prime, so that no two pieces of a file are equal.
const PERIOD: usize = 1_048_583;

/// A file, or a folder with files, of given lengths.
pub(crate) struct Tree {
    /// The torrent's name.
    pub(crate) name: &'static str,
    /// The files in the folder `name`; a single one with an empty path is a file called `name`.
    files: &'static [(&'static str, u64)],
    /// The piece length that suits it.
    pub(crate) piece_length: u64,
}

/// One file, whose last piece has an odd size.
pub(crate) const FILE: Tree = Tree { name: "one file.bin", files: &[("", 1_000_003)], piece_length: 32 << 10 };

/// Everything that is awkward about folders at once.
pub(crate) const FOLDER: Tree = Tree {
    name: "Grüße 漢字",
    files: &[
        ("a few pieces.bin", 300_001),
        ("deep/deeper/deepest/日本語 файл.txt", 5),
        ("deep/smaller than a block", 16_383),
        ("deep/smaller than a piece", 65_535),
        ("deep/exactly a piece", 65_536),
        ("empty", 0),
        ("zz/also empty", 0),
        ("zz/crème brûlée 🍮", 1),
        ("zz/most of it.bin", 3_000_000),
        ("zz/odd end", 70_001),
    ],
    piece_length: 64 << 10,
};

/// Many small files in the smallest pieces: several files in one piece, and several pieces in one file.
pub(crate) const CRUMBS: Tree = Tree {
    name: "crumbs",
    files: &[("0", 1), ("1", 3), ("2", 0), ("3", 40_000), ("4", 7), ("5", 16_384), ("6", 11), ("7", 99_999), ("8", 2)],
    piece_length: 16 << 10,
};

/// One large file.
pub(crate) const LARGE: Tree = Tree { name: "large.bin", files: &[("", 256 << 20)], piece_length: 256 << 10 };

/// A file that takes a rate-limited seeder some seconds, so that something can happen in the middle.
pub(crate) const MEDIUM: Tree = Tree { name: "medium.bin", files: &[("", (24 << 20) + 1)], piece_length: 128 << 10 };

/// Enough pieces for many a random point, many of them in several files.
pub(crate) const BRANCHES: Tree = Tree {
    name: "branches",
    files: &[
        ("a/1", 700_001),
        ("a/2", 0),
        ("a/3", 30_000),
        ("b/c/1", 9),
        ("b/c/2", 3_000_000),
        ("b/c/3", 65_536),
        ("d", 1_000_000),
        ("e", 500_000),
        ("f/empty", 0),
        ("f/g", 3_200_000),
    ],
    piece_length: 64 << 10,
};

impl Tree {
    /// How many bytes there are.
    pub(crate) fn length(&self) -> u64 {
        self.files.iter().map(|(_, length)| length).sum()
    }

    /// How many pieces there are.
    pub(crate) fn pieces(&self) -> u64 {
        self.length().div_ceil(self.piece_length)
    }

    /// How many bytes a piece has.
    pub(crate) fn length_of(&self, piece: u64) -> u64 {
        self.piece_length.min(self.length() - piece * self.piece_length)
    }

    /// Where the tree is in the folder that holds it.
    pub(crate) fn root(&self, folder: &Path) -> PathBuf {
        folder.join(self.name)
    }

    fn paths(&self, folder: &Path) -> impl Iterator<Item = (PathBuf, u64)> {
        let root = self.root(folder);
        self.files
            .iter()
            .map(move |(path, length)| (if path.is_empty() { root.clone() } else { root.join(path) }, *length))
    }

    /// The files in the order in which a torrent of bip's has them.
    fn in_order(&self, folder: &Path) -> Vec<(PathBuf, u64)> {
        let mut files: Vec<_> = self.paths(folder).collect();
        files.sort();
        files
    }

    /// Writes the tree into `folder`, which is made if it is not there.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let pattern = pattern();
        for (number, (path, length)) in self.paths(folder).enumerate() {
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
            write(&path, length, number, &pattern).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Writes the tree into `folder` with zeros instead of the pieces that `has` does not want.
    pub(crate) fn write_some(&self, folder: &Path, has: impl Fn(u64) -> bool) -> Result<(), Failure> {
        self.write(folder)?;
        let mut start = 0;
        for (path, length) in self.in_order(folder) {
            let problem = |error| format!("{}: {error}", path.display());
            let mut bytes = fs::read(&path).map_err(problem)?;
            for (offset, byte) in (start..).zip(&mut bytes) {
                if !has(offset / self.piece_length) {
                    *byte = 0;
                }
            }
            fs::write(&path, bytes).map_err(problem)?;
            start += length;
        }
        Ok(())
    }

    /// Fails unless the tree in `copy` has the files of the one in `original`, byte for byte, and no others.
    pub(crate) fn expect_equal(&self, original: &Path, copy: &Path) -> Result<(), Failure> {
        self.compare(original, copy, true)
    }

    /// As [`expect_equal`](Tree::expect_equal), for clients that leave out files without a byte.
    pub(crate) fn expect_equal_but_for_empty_files(&self, original: &Path, copy: &Path) -> Result<(), Failure> {
        self.compare(original, copy, false)
    }

    fn compare(&self, original: &Path, copy: &Path, empty_files: bool) -> Result<(), Failure> {
        for (path, length) in self.paths(original).filter(|(_, length)| empty_files || *length > 0) {
            let relative = path.strip_prefix(original).unwrap_or(&path);
            expect_equal_files(&path, &copy.join(relative), length)?;
        }
        let expected: BTreeSet<PathBuf> = self.paths(copy).map(|(path, _)| path).collect();
        match walk(&self.root(copy))?.difference(&expected).next() {
            Some(extra) => Err(format!("{} is not part of the torrent", extra.display())),
            None => Ok(()),
        }
    }
}

/// The right contents of a tree's pieces.
pub(crate) struct Pieces {
    bytes: Vec<u8>,
}

impl Pieces {
    /// Reads a tree that is complete in `folder`.
    pub(crate) fn of(tree: &Tree, folder: &Path) -> Result<Pieces, Failure> {
        let mut bytes = Vec::new();
        for (path, _) in tree.in_order(folder) {
            bytes.extend(fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
        }
        Ok(Pieces { bytes })
    }

    /// A run of bytes, from `start` on in the torrent.
    pub(crate) fn bytes(&self, start: u64, length: u64) -> Option<&[u8]> {
        slice(&self.bytes, start, start.checked_add(length)?)
    }

    /// Which pieces of the tree in `folder` have the right bytes. What is not there has none.
    pub(crate) fn right_in(&self, tree: &Tree, folder: &Path) -> Result<BTreeSet<u64>, Failure> {
        let mut right: BTreeSet<u64> = (0..tree.pieces()).collect();
        let mut start = 0;
        for (path, length) in tree.in_order(folder) {
            let found = match fs::read(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                read => read.map_err(|error| format!("{}: {error}", path.display()))?,
            };
            let mut offset = 0;
            while offset < length {
                let piece = (start + offset) / tree.piece_length;
                let end = length.min((piece + 1) * tree.piece_length - start);
                let expected = slice(&self.bytes, start + offset, start + end);
                if expected.is_none() || slice(&found, offset, end) != expected {
                    right.remove(&piece);
                }
                offset = end;
            }
            start += length;
        }
        Ok(right)
    }
}

/// The bytes from `start` to `end`, if there are so many.
fn slice(bytes: &[u8], start: u64, end: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// The bytes that contents are cut from (xorshift64*).
fn pattern() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(PERIOD + 8);
    while bytes.len() < PERIOD {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(PERIOD);
    bytes
}

/// Writes one file, whose contents begin elsewhere in the pattern than those of its siblings.
fn write(path: &Path, length: u64, number: usize, pattern: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let mut start = number * 7919;
    let mut left = usize::try_from(length).unwrap_or(usize::MAX);
    while left > 0 {
        let part = &pattern[start..];
        let part = &part[..part.len().min(left)];
        file.write_all(part)?;
        left -= part.len();
        start = 0;
    }
    Ok(())
}

/// Fails unless both files have the same `length` bytes.
fn expect_equal_files(original: &Path, copy: &Path, length: u64) -> Result<(), Failure> {
    let open = |path: &Path| {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let found = file.metadata().map_err(|error| format!("{}: {error}", path.display()))?.len();
        if found != length {
            return Err(format!("{}: {found} bytes instead of {length}", path.display()));
        }
        Ok(BufReader::with_capacity(1 << 20, file))
    };
    let (mut left, mut right) = (open(original)?, open(copy)?);
    let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut offset = 0;
    while offset < length {
        let want = usize::try_from(length - offset).unwrap_or(usize::MAX).min(ours.len());
        left.read_exact(&mut ours[..want]).map_err(|error| format!("{}: {error}", original.display()))?;
        right.read_exact(&mut theirs[..want]).map_err(|error| format!("{}: {error}", copy.display()))?;
        if ours[..want] != theirs[..want] {
            let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            return Err(format!("{} is wrong from byte {}", copy.display(), offset + same as u64));
        }
        offset += want as u64;
    }
    Ok(())
}

/// The files at and below `root`.
fn walk(root: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut files = BTreeSet::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let problem = |error| format!("{}: {error}", path.display());
        if fs::symlink_metadata(&path).map_err(problem)?.is_dir() {
            for entry in fs::read_dir(&path).map_err(problem)? {
                pending.push(entry.map_err(problem)?.path());
            }
        } else {
            files.insert(path);
        }
    }
    Ok(files)
}
