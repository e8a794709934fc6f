//! Reads, writes and moves what lies beside skipped files.

use super::error::{Error, Operation};
use super::executor::{Executor, lock, retried};
use super::file_system::File;
use super::parts::{Entry, Fragment, HEADER, Parts};
use super::store::{Source, Store};
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::metainfo::FileSpan;
use log::warn;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

/// How many bytes one job moves.
const MOVED: u32 = 1 << 20;
/// How many entries are read at a time.
const ENTRIES: usize = 4096;

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
        let overlaps = |fragment: &Fragment| {
            let end = fragment.begin + u64::from(fragment.length);
            fragment.begin < span.offset + span.length && span.offset < end
        };
        parts.held == 0 || !parts.held_of(span.file).any(overlaps)
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
        if !(parts.holds(number) || parts.skips(span.file) && self.is_absent(store, span.file)?) {
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
        if keep {
            // Until it is on the medium in its file, it stays beside it. What a sync has failed for is copied again.
            if let Err(error) = self.sync_file(store, fragment.file) {
                parts.entries[number].moved = 0;
                return Err(error);
            }
        }
        self.let_go(store, &mut parts, number)?;
        Ok(false)
    }

    /// Takes note that a fragment is held no more, and removes the parts file with the last.
    fn let_go(&self, store: &Store, parts: &mut Parts, number: usize) -> Result<(), Error> {
        if parts.held == 1 {
            match retried(|| self.files.remove(&store.root, &parts.name)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(parts.failed(Operation::Deleting, &e)),
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
