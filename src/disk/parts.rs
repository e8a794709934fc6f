//! What of wanted pieces lies in files that are skipped: kept beside the torrent's files, so that a skipped file is not made.
//!
//! The *fragments* of a torrent are the parts of files that share a piece with another file: of each file at most what lies in its
//! first and in its last piece. They are known from the torrent alone, and numbered in the order of files and pieces. A fragment
//! that is written while its file is skipped and not there is *held* in the parts file `.bip-ID.parts` in the torrent's own folder,
//! where no other torrent writes, until its file is wanted and it is moved into it. When none is held, the parts file goes.
//!
//! # Format
//!
//! Numbers are big-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `bipparts` |
//! | 4 | version: 1 |
//! | 4 | number of fragments |
//! | 20 | the torrent's ID, of which the first 8 bytes are in the file's name in hexadecimal: SHA-1 of its length and piece length (8 and 4 bytes), its number of files (4 bytes), the hashes of its first 1,000 pieces (of version 2 alone: the roots of its first 1,000 files that have bytes), and, where the torrent has a file of that name, as many further bytes 0 as it takes to have another |
//! | 28 | zeros |
//! | 8 each | for each fragment where in this file its bytes are, or 0 where they never were; the highest bit says that they are held |
//!
//! The bytes of fragments follow, in any order; nothing overlaps. A file that is shorter has zeros in the place of what is missing.
//!
//! There is no checksum: what is read from here is hashed with the rest of its piece before it is believed. An entry that
//! is lost, or whose bytes are, costs its piece.

use super::error::{Error, Operation};
use super::executor::retried;
use super::file_system::File;
use super::interval::IntervalSet;
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::metainfo::{Layout, SafePath};
use crate::proto::sha1::Sha1;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"bipparts";
const VERSION: u32 = 1;
pub(super) const HEADER: u64 = 64;
const HELD: u64 = 1 << 63;
/// Hashes that go into a torrent's ID.
const HASHES: usize = 1000;

/// A part of a file in a piece that it shares with another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) file: FileIndex,
    pub(crate) piece: PieceIndex,
    /// Where in its file.
    pub(super) begin: u64,
    pub(super) length: u32,
}

/// Where a fragment is in the parts file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) held: bool,
    /// How much of it has been copied to its file.
    pub(super) moved: u32,
}

/// The parts file of one store, and which files are skipped. It is open, or not, in the executor, and goes with the store.
pub(super) struct Parts {
    id: [u8; 20],
    pub(super) name: SafePath,
    pub(super) fragments: Vec<Fragment>,
    pub(super) entries: Vec<Entry>,
    pub(super) skipped: Vec<bool>,
    pub(super) file: Option<Arc<dyn File>>,
    /// Where the next fragment goes.
    pub(super) end: u64,
    pub(super) held: usize,
    pub(super) dirty: bool,
    /// Whether the file may be there although nothing is held.
    pub(super) made: bool,
}

/// Gives all fragments of a torrent.
fn fragments(layout: &Layout) -> Vec<Fragment> {
    let length = u64::from(layout.geometry().piece_length());
    let files = layout.files().iter().enumerate().filter(|(_, file)| !file.is_padding && file.length > 0);
    // Pieces are counted in 32 bits, files too.
    let ends = |offset: u64, bytes: u64| ((offset / length) as u32, ((offset + bytes - 1) / length) as u32);
    let files: Vec<_> =
        files.map(|(i, f)| (FileIndex(i as u32), f.offset, f.length, ends(f.offset, f.length))).collect();
    let mut fragments = Vec::new();
    for (at, (file, offset, bytes, (first, last))) in files.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| files.get(at)).is_some_and(|f| f.3.1 == *first);
        let after = files.get(at + 1).is_some_and(|f| f.3.0 == *last);
        let mut add = |piece: u32| {
            let start = (u64::from(piece) * length).max(*offset);
            let end = (u64::from(piece) * length + length).min(offset + bytes);
            let (begin, length) = (start - offset, (end - start) as u32);
            fragments.push(Fragment { file: *file, piece: PieceIndex(piece), begin, length });
        };
        if before || (first == last && after) {
            add(*first);
        }
        if first != last && after {
            add(*last);
        }
    }
    fragments
}

/// Gives a torrent's ID, and where its parts file is: nowhere that the torrent has a file of its own.
fn identity(layout: &Layout) -> ([u8; 20], SafePath) {
    let geometry = layout.geometry();
    let mut sha = Sha1::default();
    sha.update(&geometry.total_length().to_be_bytes());
    sha.update(&geometry.piece_length().to_be_bytes());
    sha.update(&(layout.files().len() as u32).to_be_bytes());
    layout.piece_hashes().take(HASHES).for_each(|hash| sha.update(hash));
    if !layout.version().has_v1() {
        // Known also where piece layers are not.
        let roots = (0..layout.files().len() as u32).filter_map(|file| layout.pieces_root(FileIndex(file)));
        roots.take(HASHES).for_each(|root| sha.update(root));
    }
    loop {
        let id = sha.clone().finish();
        let hex: String = id.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!(".bip-{hex}.parts");
        let taken =
            |path: &SafePath| path.parts().nth(1).is_some_and(|part| part.eq_ignore_ascii_case(name.as_bytes()));
        if !layout.files().iter().any(|file| taken(&file.path)) {
            let path = SafePath::from_parts([layout.name_bytes(), name.as_bytes()]);
            return (id, path.expect("a torrent's name is safe, and so are a dot, letters and digits"));
        }
        sha.update(&[0]);
    }
}

/// Gives where a torrent's parts file is, if it can have one: the parts of one file lie in it.
pub(super) fn name(layout: &Layout) -> Option<SafePath> {
    (layout.files().len() > 1).then(|| identity(layout).1)
}

impl Parts {
    pub(super) fn new(layout: &Layout) -> Self {
        let ((id, name), fragments) = (identity(layout), fragments(layout));
        let entries = vec![Entry::default(); fragments.len()];
        let end = HEADER + 8 * fragments.len() as u64;
        Self { id, name, fragments, entries, skipped: Vec::new(), file: None, end, held: 0, dirty: false, made: false }
    }

    pub(super) fn skips(&self, file: FileIndex) -> bool {
        self.skipped.get(file.as_usize()).copied().unwrap_or(false)
    }

    /// Gives a fragment's number.
    pub(super) fn find(&self, file: FileIndex, piece: PieceIndex) -> Option<usize> {
        self.fragments.binary_search_by_key(&(file, piece), |f| (f.file, f.piece)).ok()
    }

    /// Goes over what is held of a file.
    pub(super) fn held_of(&self, file: FileIndex) -> impl Iterator<Item = &Fragment> {
        let start = self.fragments.partition_point(|fragment| fragment.file < file);
        let all = self.fragments.iter().zip(&self.entries).skip(start);
        all.take_while(move |(fragment, _)| fragment.file == file).filter(|(_, entry)| entry.held).map(|(f, _)| f)
    }

    pub(super) fn holds(&self, number: usize) -> bool {
        self.entries.get(number).is_some_and(|entry| entry.held)
    }

    pub(super) fn failed(&self, operation: Operation, error: &io::Error) -> Error {
        Error::io(operation, self.name.to_string(), error)
    }

    pub(super) fn header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER as usize);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_be_bytes());
        header.extend_from_slice(&(self.fragments.len() as u32).to_be_bytes());
        header.extend_from_slice(&self.id);
        header.resize(HEADER as usize, 0);
        header
    }

    /// Takes the entries of a file as it was found; those that cannot be are left out.
    pub(super) fn adopt(&mut self, found: &[u64], length: u64) {
        let start = self.end;
        let mut taken: Vec<(u64, usize)> = Vec::new();
        for (number, (raw, fragment)) in found.iter().zip(&self.fragments).enumerate() {
            let offset = raw & !HELD;
            let end = offset.checked_add(fragment.length.into());
            if offset >= start && end.is_some_and(|end| end <= length) {
                taken.push((offset, number));
            }
        }
        taken.sort_unstable();
        for (at, (offset, number)) in taken.iter().enumerate() {
            let end = |(offset, number): &(u64, usize)| offset + u64::from(self.fragments[*number].length);
            let clear = at.checked_sub(1).and_then(|at| taken.get(at)).is_none_or(|before| end(before) <= *offset)
                && taken.get(at + 1).is_none_or(|after| end(&(*offset, *number)) <= after.0);
            let held = found.get(*number).is_some_and(|raw| raw & HELD != 0);
            if let Some(entry) = self.entries.get_mut(*number).filter(|_| clear) {
                *entry = Entry { offset: *offset, held, moved: 0 };
                self.held += usize::from(held);
            }
        }
        self.end = length.max(start);
    }

    /// Takes nothing as held.
    pub(super) fn forget(&mut self) {
        self.entries.fill(Entry::default());
        self.end = HEADER + 8 * self.fragments.len() as u64;
        self.held = 0;
    }

    pub(super) fn write(&self, offset: u64, slices: &[IoSlice<'_>]) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        retried(|| file.write_at(offset, slices)).map_err(|e| self.failed(Operation::Writing, &e))
    }

    pub(super) fn write_entry(&self, number: usize, entry: Entry) -> Result<(), Error> {
        let raw = entry.offset | if entry.held { HELD } else { 0 };
        self.write(HEADER + 8 * number as u64, &[IoSlice::new(&raw.to_be_bytes())])
    }
}

/// Gives those of the pieces that a missing file lies in of which it has nothing in the parts file.
pub(super) fn without_held(pieces: Range<u32>, file: FileIndex, held: &[Fragment]) -> Vec<Range<u32>> {
    let mut there = IntervalSet::default();
    let held = held.iter().skip(held.partition_point(|f| f.file < file)).take_while(|f| f.file == file);
    held.for_each(|fragment| there.insert(fragment.piece.0..fragment.piece.0 + 1));
    there.gaps(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(files: &[(&str, u64)]) -> Layout {
        let total: u64 = files.iter().map(|(_, length)| length).sum();
        let files = files.iter().map(|(name, length)| (SafePath::from_parts(["t", name]).unwrap(), *length)).collect();
        Layout::new(files, 100, &vec![[7; 20]; total.div_ceil(100) as usize]).unwrap()
    }

    #[test]
    fn fragments_are_what_files_have_in_pieces_of_others() {
        let found = |files: &[(&str, u64)]| {
            let of = |f: &Fragment| (f.file.0, f.piece.0, f.begin, f.length);
            fragments(&layout(files)).iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(found(&[("a", 100), ("b", 200)]), []);
        assert_eq!(
            found(&[("a", 250), ("e", 0), ("b", 30), ("c", 320)]),
            [(0, 2, 200, 50), (2, 2, 0, 30), (3, 2, 0, 20),]
        );
        assert_eq!(found(&[("a", 10), ("b", 390), ("c", 1)]), [(0, 0, 0, 10), (1, 0, 0, 90)]);
        assert_eq!(
            found(&[("a", 150), ("b", 100), ("c", 50)]),
            [(0, 1, 100, 50), (1, 1, 0, 50), (1, 2, 50, 50), (2, 2, 0, 50),]
        );
    }

    #[cfg(feature = "v2")]
    #[test]
    fn torrents_of_version_2_with_other_bytes_have_other_parts_files_and_no_fragments() {
        use crate::proto::metainfo::{Builder, Limits, Metainfo, Version};
        let of = |root: u8| {
            let builder = Builder::multi_file("t").file(["a"], 5).file(["b"], 40_000).version(Version::V2);
            let bytes = builder.piece_length(16 * 1024).piece_roots([[root; 32]; 4]).build().unwrap();
            Metainfo::parse(&bytes, &Limits::default()).unwrap()
        };
        let (one, other) = (of(1), of(2));
        assert_ne!(identity(&one.layout()), identity(&other.layout()));
        let bare = Metainfo::parse_info(one.info_bytes(), &Limits::default()).unwrap();
        assert_eq!(identity(&one.layout()), identity(&bare.layout()));
        assert_eq!(fragments(&one.layout()), []);
    }

    #[test]
    fn a_torrent_that_has_a_file_of_the_name_gets_another() {
        let plain = layout(&[("a", 10), ("b", 5)]);
        let (id, name) = identity(&plain);
        let name = name.to_string();
        let hostile = layout(&[("a", 10), (&name.to_uppercase()["t/".len()..], 5)]);
        let (other, elsewhere) = identity(&hostile);
        assert!(name.starts_with("t/.bip-") && name.len() == "t/.bip-.parts".len() + 16);
        assert!(other != id && elsewhere.to_string() != name);
    }
}
