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
//! | 20 | the torrent's ID, of which the first 8 bytes are in the file's name in hexadecimal: SHA-1 of its length and piece length (8 and 4 bytes), its number of files (4 bytes), the hashes of its first 1,000 pieces, and, where the torrent has a file of that name, as many further bytes 0 as it takes to have another |
//! | 28 | zeros |
//! | 8 each | for each fragment where in this file its bytes are, or 0 where they never were; the highest bit says that they are held |
//!
//! The bytes of fragments follow, in any order; nothing overlaps. A file that is shorter has zeros in the place of what is missing.
//!
//! There is no checksum: what is read from here is hashed with the rest of its piece before it is believed. An entry that
//! is lost, or whose bytes are, costs its piece.

use super::error::{Error, Operation};
use super::executor::{Executor, lock, retried};
use super::file_system::File;
use super::interval::IntervalSet;
use super::store::{Source, Store};
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::metainfo::{FileSpan, Layout, SafePath};
use crate::proto::sha1::Sha1;
use log::warn;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Arc, Mutex};

const MAGIC: &[u8; 8] = b"bipparts";
const VERSION: u32 = 1;
const HEADER: u64 = 64;
const HELD: u64 = 1 << 63;
/// Piece hashes that go into a torrent's ID.
const HASHES: usize = 1000;
/// How many bytes one job moves.
const MOVED: u32 = 1 << 20;
/// How many entries are read at a time.
const ENTRIES: usize = 4096;

/// A part of a file in a piece that it shares with another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) file: FileIndex,
    pub(crate) piece: PieceIndex,
    /// Where in its file.
    begin: u64,
    length: u32,
}

/// Where a fragment is in the parts file.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    offset: u64,
    held: bool,
    /// How much of it has been copied to its file.
    moved: u32,
}

/// The parts file of one store, and which files are skipped. It is open, or not, in the executor, and goes with the store.
pub(super) struct Parts {
    id: [u8; 20],
    name: SafePath,
    fragments: Vec<Fragment>,
    entries: Vec<Entry>,
    skipped: Vec<bool>,
    file: Option<Arc<dyn File>>,
    /// Where the next fragment goes.
    end: u64,
    held: usize,
    dirty: bool,
    /// Whether the file may be there although nothing is held.
    made: bool,
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

impl Parts {
    fn new(layout: &Layout) -> Self {
        let ((id, name), fragments) = (identity(layout), fragments(layout));
        let entries = vec![Entry::default(); fragments.len()];
        let end = HEADER + 8 * fragments.len() as u64;
        Self { id, name, fragments, entries, skipped: Vec::new(), file: None, end, held: 0, dirty: false, made: false }
    }

    fn skips(&self, file: FileIndex) -> bool {
        self.skipped.get(file.as_usize()).copied().unwrap_or(false)
    }

    /// Gives a fragment's number.
    fn find(&self, file: FileIndex, piece: PieceIndex) -> Option<usize> {
        self.fragments.binary_search_by_key(&(file, piece), |f| (f.file, f.piece)).ok()
    }

    /// Goes over what is held of a file.
    fn held_of(&self, file: FileIndex) -> impl Iterator<Item = &Fragment> {
        let start = self.fragments.partition_point(|fragment| fragment.file < file);
        let all = self.fragments.iter().zip(&self.entries).skip(start);
        all.take_while(move |(fragment, _)| fragment.file == file).filter(|(_, entry)| entry.held).map(|(f, _)| f)
    }

    fn holds(&self, number: usize) -> bool {
        self.entries.get(number).is_some_and(|entry| entry.held)
    }

    fn failed(&self, operation: Operation, error: &io::Error) -> Error {
        Error::io(operation, self.name.to_string(), error)
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER as usize);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_be_bytes());
        header.extend_from_slice(&(self.fragments.len() as u32).to_be_bytes());
        header.extend_from_slice(&self.id);
        header.resize(HEADER as usize, 0);
        header
    }

    /// Takes the entries of a file as it was found; those that cannot be are left out.
    fn adopt(&mut self, found: &[u64], length: u64) {
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
    fn forget(&mut self) {
        self.entries.fill(Entry::default());
        self.end = HEADER + 8 * self.fragments.len() as u64;
        self.held = 0;
    }

    fn write(&self, offset: u64, slices: &[IoSlice<'_>]) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        retried(|| file.write_at(offset, slices)).map_err(|e| self.failed(Operation::Writing, &e))
    }

    fn write_entry(&self, number: usize, entry: Entry) -> Result<(), Error> {
        let raw = entry.offset | if entry.held { HELD } else { 0 };
        self.write(HEADER + 8 * number as u64, &[IoSlice::new(&raw.to_be_bytes())])
    }
}

/// Reads until the buffer is full or the file ends; gives how many bytes.
fn read_full(file: &dyn File, mut at: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match retried(|| file.read_at(at, rest))? {
            0 => break,
            read => {
                done += read;
                at += read as u64;
            }
        }
    }
    Ok(done)
}

fn piece_of(store: &Store, span: &FileSpan) -> Option<PieceIndex> {
    let Source::Torrent(layout) = &store.source else { return None };
    let offset = layout.file(span.file)?.offset + span.offset;
    Some(PieceIndex((offset / u64::from(layout.geometry().piece_length())) as u32))
}

impl Executor {
    fn parts(&self, store: &Store) -> Option<Arc<Mutex<Parts>>> {
        lock(&self.parts).get(&store.id).map(Arc::clone)
    }

    /// Takes note of which files are skipped (none where the list is empty), and looks for a parts file the first time. Gives the
    /// fragments that are held.
    pub(super) fn select(&self, store: &Store, skipped: &[bool]) -> Vec<Fragment> {
        let parts = match (self.parts(store), &store.source) {
            (Some(parts), _) => parts,
            // The parts of one file lie in it.
            (None, Source::Torrent(layout)) if layout.files().len() > 1 => {
                let mut parts = Parts::new(layout);
                self.load(store, &mut parts);
                if parts.held == 0 && skipped.is_empty() {
                    return Vec::new();
                }
                let parts = Arc::new(Mutex::new(parts));
                lock(&self.parts).insert(store.id, Arc::clone(&parts));
                parts
            }
            _ => return Vec::new(),
        };
        let mut parts = lock(&parts);
        if parts.skipped != skipped {
            parts.skipped = skipped.to_vec();
        }
        if parts.held == 0 && parts.made && skipped.is_empty() {
            self.remove_parts(store, &mut parts);
        }
        let held = parts.fragments.iter().zip(&parts.entries).filter(|(_, entry)| entry.held);
        held.map(|(fragment, _)| *fragment).collect()
    }

    /// Looks for a parts file. One that cannot be read is as good as none: what it held is fetched again.
    fn load(&self, store: &Store, parts: &mut Parts) {
        let path = store.root.join(parts.name.to_path_buf());
        let file = match retried(|| self.files.open(&path)) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return,
            opened => opened,
        };
        let count = parts.fragments.len();
        let read = file.and_then(|file| {
            let mut header = [0; HEADER as usize];
            read_full(&*file, 0, &mut header)?;
            if header[..] != parts.header() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let length = retried(|| file.len())?;
            let mut found = Vec::with_capacity(count);
            while found.len() < count {
                let mut entries = vec![0; 8 * ENTRIES.min(count - found.len())];
                read_full(&*file, HEADER + 8 * found.len() as u64, &mut entries)?;
                found.extend(entries.chunks_exact(8).filter_map(|raw| Some(u64::from_be_bytes(raw.try_into().ok()?))));
            }
            Ok((file, found, length))
        });
        match read {
            Ok((file, found, length)) => {
                parts.adopt(&found, length);
                // It is opened for writing when it is written.
                parts.file = (parts.held > 0).then(|| Arc::from(file));
                if parts.held == 0 {
                    self.remove_parts(store, parts);
                }
            }
            // It was not finished.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => self.remove_parts(store, parts),
            Err(e) => warn!(target: "bip::disk", "{}", parts.failed(Operation::Reading, &e)),
        }
    }

    /// Removes a parts file of which nothing is held; where that fails it is of no harm.
    fn remove_parts(&self, store: &Store, parts: &mut Parts) {
        parts.forget();
        if store.writable && retried(|| self.files.remove(&store.root, &parts.name)).is_ok() {
            parts.made = false;
        }
    }

    /// Says whether a file is skipped.
    pub(super) fn skips(&self, store: &Store, file: FileIndex) -> bool {
        self.parts(store).is_some_and(|parts| lock(&parts).skips(file))
    }

    /// Says, without waiting, whether bytes are surely in their file and not beside it.
    pub(super) fn is_in_file(&self, store: &Store, span: &FileSpan) -> bool {
        let Some(parts) = self.parts(store) else { return true };
        let Ok(parts) = parts.try_lock() else { return false };
        let mut fragments = parts.fragments.iter().zip(&parts.entries);
        parts.held == 0
            || !fragments.any(|(fragment, entry)| {
                let end = fragment.begin + u64::from(fragment.length);
                entry.held
                    && fragment.file == span.file
                    && fragment.begin < span.offset + span.length
                    && span.offset < end
            })
    }

    /// Reads bytes that are held in the parts file; says whether they are.
    pub(super) fn read_part(&self, store: &Store, span: &FileSpan, buf: &mut [u8]) -> Result<bool, Error> {
        let Some(parts) = self.parts(store) else { return Ok(false) };
        let parts = lock(&parts);
        let number = piece_of(store, span).and_then(|piece| parts.find(span.file, piece));
        let Some(number) = number.filter(|number| parts.holds(*number)) else { return Ok(false) };
        let (Some(fragment), Some(entry), Some(file)) =
            (parts.fragments.get(number), parts.entries.get(number), parts.file.clone())
        else {
            return Ok(false);
        };
        let offset = entry.offset + (span.offset - fragment.begin);
        let name = parts.name.to_string();
        drop(parts);
        let read = read_full(&*file, offset, buf).map_err(|e| Error::io(Operation::Reading, name.clone(), &e))?;
        if read < buf.len() {
            let short = io::Error::new(io::ErrorKind::UnexpectedEof, "the file is too short");
            return Err(Error::io(Operation::Reading, name, &short));
        }
        Ok(true)
    }

    /// Writes bytes to the parts file if their place is there; says whether it is.
    pub(super) fn write_part(&self, store: &Store, span: &FileSpan, slices: &[IoSlice<'_>]) -> Result<bool, Error> {
        let Some(parts) = self.parts(store) else { return Ok(false) };
        // Held until it is written: what moves fragments must not pass a write by.
        let mut parts = lock(&parts);
        let number = piece_of(store, span).and_then(|piece| parts.find(span.file, piece));
        let Some(number) = number else { return Ok(false) };
        if !parts.holds(number) && !(parts.skips(span.file) && self.is_absent(store, span.file)?) {
            return Ok(false);
        }
        self.hold(store, &mut parts, number)?;
        let (Some(fragment), Some(entry)) = (parts.fragments.get(number), parts.entries.get(number)) else {
            return Ok(false);
        };
        let within = span.offset - fragment.begin;
        parts.write(entry.offset + within, slices)?;
        if within < u64::from(entry.moved) {
            // This place has been copied before: once more, the same.
            let file = self.file(store, span.file, true)?;
            retried(|| file.write_at(span.offset, slices))
                .map_err(|e| Error::io(Operation::Writing, store.name(span.file), &e))?;
        }
        parts.dirty = true;
        Ok(true)
    }

    fn is_absent(&self, store: &Store, file: FileIndex) -> Result<bool, Error> {
        match retried(|| self.files.stat(&store.path(file))) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(true),
            Err(e) => Err(Error::io(Operation::Examining, store.name(file), &e)),
            Ok(_) => Ok(false),
        }
    }

    /// Makes room for a fragment, and opens the parts file for writing.
    fn hold(&self, store: &Store, parts: &mut Parts, number: usize) -> Result<(), Error> {
        let found = parts.file.is_some();
        if !found || !parts.dirty {
            let creating = |e: &io::Error| Error::io(Operation::Creating, parts.name.to_string(), e);
            let file = retried(|| self.files.create(&store.root, &parts.name, 0)).map_err(|e| creating(&e))?;
            if !found && !file.is_new() {
                // One that could not be read, or of which nothing is held.
                retried(|| file.set_len(0)).map_err(|e| creating(&e))?;
            }
            let fresh = !found || file.is_new();
            parts.file = Some(Arc::from(file));
            (parts.dirty, parts.made) = (true, true);
            if fresh {
                // Whoever removed it has removed what it held.
                parts.forget();
                let written = parts.write(0, &[IoSlice::new(&parts.header())]);
                if written.is_err() {
                    parts.file = None;
                }
                written?;
            }
        }
        let Some(entry) = parts.entries.get(number).copied().filter(|entry| !entry.held) else { return Ok(()) };
        let length = parts.fragments.get(number).map_or(0, |fragment| u64::from(fragment.length));
        let offset = if entry.offset == 0 { parts.end } else { entry.offset };
        let entry = Entry { offset, held: true, moved: 0 };
        parts.write_entry(number, entry)?;
        parts.entries[number] = entry;
        parts.end = parts.end.max(offset + length);
        parts.held += 1;
        Ok(())
    }

    /// Copies some of a fragment to its file, which is wanted now; or gives it up, where `keep` is false. Says whether there is more
    /// to do.
    pub(super) fn move_part(&self, store: &Store, fragment: &Fragment, keep: bool) -> Result<bool, Error> {
        let Some(parts) = self.parts(store) else { return Ok(false) };
        let mut parts = lock(&parts);
        let Some(number) = parts.find(fragment.file, fragment.piece).filter(|number| parts.holds(*number)) else {
            return Ok(false);
        };
        let Entry { offset, moved, .. } = parts.entries[number];
        let length = MOVED.min(fragment.length.saturating_sub(moved));
        if keep && length > 0 {
            let mut bytes = vec![0; length as usize];
            let Some(source) = parts.file.clone() else { return Ok(false) };
            let read = read_full(&*source, offset + u64::from(moved), &mut bytes)
                .map_err(|e| parts.failed(Operation::Reading, &e))?;
            // What is not there was never written: nothing was verified that has it.
            bytes.truncate(read);
            let target = self.file(store, fragment.file, true)?;
            retried(|| target.write_at(fragment.begin + u64::from(moved), &[IoSlice::new(&bytes)]))
                .map_err(|e| Error::io(Operation::Writing, store.name(fragment.file), &e))?;
            parts.entries[number].moved = moved + length;
            if moved + length < fragment.length {
                return Ok(true);
            }
        }
        self.let_go(store, &mut parts, number)?;
        Ok(false)
    }

    /// Takes note that a fragment is held no more, and removes the parts file with the last.
    fn let_go(&self, store: &Store, parts: &mut Parts, number: usize) -> Result<(), Error> {
        if parts.held == 1 {
            match retried(|| self.files.remove(&store.root, &parts.name)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(parts.failed(Operation::Writing, &e)),
                _ => {}
            }
            (parts.file, parts.dirty, parts.made) = (None, false, false);
            parts.forget();
            return Ok(());
        }
        if !parts.dirty {
            self.hold(store, parts, number)?;
        }
        let entry = Entry { held: false, moved: 0, ..parts.entries[number] };
        parts.write_entry(number, entry)?;
        parts.entries[number] = entry;
        parts.held -= 1;
        Ok(())
    }

    /// Makes a file without bytes that is wanted from now on, if it is not there.
    pub(super) fn make_empty(&self, store: &Store, file: FileIndex) -> Result<(), Error> {
        if self.is_absent(store, file)? { self.file(store, file, true).map(|_| ()) } else { Ok(()) }
    }

    /// Brings the parts file to the medium if it has what is to be in this file. Says whether the file itself may be missing.
    pub(super) fn sync_parts(&self, store: &Store, file: FileIndex) -> Result<bool, Error> {
        let Some(parts) = self.parts(store) else { return Ok(false) };
        let mut parts = lock(&parts);
        if !parts.skips(file) && parts.held_of(file).next().is_none() {
            return Ok(false);
        }
        if parts.dirty {
            if let Some(file) = parts.file.clone() {
                let path = store.root.join(parts.name.to_path_buf());
                let mut folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&store.root));
                retried(|| file.sync())
                    .and_then(|()| folders.try_for_each(|folder| retried(|| self.files.sync_folder(folder))))
                    .map_err(|e| parts.failed(Operation::Syncing, &e))?;
            }
            parts.dirty = false;
        }
        self.is_absent(store, file)
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
