//! Files in memory, which fail when they are told to.

use super::error::Operation;
use super::file_system::{Entry, File, FileSystem, Kind, Stat};
use super::medium::{Change, Medium, NameChange, Unsynced};
use crate::machine::Rng;
use crate::proto::metainfo::SafePath;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many bytes are kept together; what was never written takes no memory.
const CHUNK: usize = 64 * 1024;

/// A call on a [`Memory`], about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// Its number, from 0.
    pub number: u64,
    /// What is to be done.
    pub operation: Operation,
    /// The file or folder.
    pub path: &'a Path,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails and does nothing.
    Error(io::ErrorKind),
    /// A read gives half of the bytes (at least one) and is no error; a write writes half and fails; anything else fails.
    Short,
}

type Plan = Arc<dyn Fn(Call<'_>) -> Option<Fault> + Send + Sync>;

/// Files in memory. Clones share them. Bytes that were never written take no memory.
///
/// ```
/// use bip::disk::{FileSystem, Memory};
/// use bip::proto::metainfo::SafePath;
/// use std::io::IoSlice;
/// use std::path::Path;
///
/// let memory = Memory::new();
/// let file = memory.create(Path::new("/root"), &SafePath::from_parts(["a", "b"])?, 100)?;
/// file.write_at(98, &[IoSlice::new(b"xyz")])?;
/// assert_eq!(memory.stat(Path::new("/root/a/b"))?.length, 101);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    tree: Mutex<Tree>,
    plan: Mutex<Option<Plan>>,
    calls: Mutex<u64>,
    seeks: AtomicBool,
    /// The time that the files know: it passes with every change.
    clock: AtomicI64,
}

impl Shared {
    fn tick(&self) -> i64 {
        self.clock.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[derive(Default)]
struct Tree {
    files: BTreeMap<PathBuf, FileRef>,
    folders: BTreeSet<PathBuf>,
    /// What is on the medium, where a power loss may come.
    medium: Option<Medium>,
}

impl Tree {
    fn make_folders(&mut self, above: &Path) {
        for folder in above.ancestors().skip(1) {
            if self.folders.insert(folder.to_path_buf()) {
                self.note(|| NameChange::Folder(folder.to_path_buf()));
            }
        }
    }

    fn note(&mut self, change: impl FnOnce() -> NameChange) {
        if let Some(medium) = &mut self.medium {
            medium.note(change());
        }
    }

    /// Refuses a path where a folder is, or that goes through a file.
    fn refuse_place(&self, path: &Path) -> io::Result<()> {
        if self.folders.contains(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if path.ancestors().skip(1).any(|folder| self.files.contains_key(folder)) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(())
    }

    /// Makes a file of zeros.
    fn make(&mut self, path: &Path, length: u64, modified: i64) -> FileRef {
        let unsynced = self.medium.is_some().then(|| Unsynced::new(modified, length));
        let bytes = Bytes { length, chunks: BTreeMap::new(), modified, unsynced };
        let file = Arc::new(Mutex::new(bytes));
        self.files.insert(path.to_path_buf(), Arc::clone(&file));
        self.note(|| NameChange::Made(path.to_path_buf(), Arc::clone(&file)));
        file
    }
}

/// A file, whatever its name.
pub(super) type FileRef = Arc<Mutex<Bytes>>;

#[derive(Default, Clone)]
pub(super) struct Bytes {
    length: u64,
    chunks: BTreeMap<u64, Vec<u8>>,
    pub(super) modified: i64,
    /// What is not on the medium yet, where a power loss may come.
    pub(super) unsynced: Option<Unsynced>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bytes {
    fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let length = self.length.saturating_sub(offset).min(buf.len() as u64) as usize;
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let within = (at % CHUNK as u64) as usize;
            let part = (CHUNK - within).min(length - done);
            match self.chunks.get(&(at / CHUNK as u64)) {
                Some(chunk) => buf[done..done + part].copy_from_slice(&chunk[within..within + part]),
                None => buf[done..done + part].fill(0),
            }
            done += part;
        }
        length
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let within = (at % CHUNK as u64) as usize;
            let part = (CHUNK - within).min(bytes.len() - done);
            let chunk = self.chunks.entry(at / CHUNK as u64).or_insert_with(|| vec![0; CHUNK]);
            chunk[within..within + part].copy_from_slice(&bytes[done..done + part]);
            done += part;
        }
        self.length = self.length.max(offset + bytes.len() as u64);
    }

    pub(super) fn set_len(&mut self, length: u64) {
        if length < self.length {
            self.chunks.split_off(&length.div_ceil(CHUNK as u64));
            if let Some(chunk) = self.chunks.get_mut(&(length / CHUNK as u64)) {
                chunk[(length % CHUNK as u64) as usize..].fill(0);
            }
        }
        self.length = length;
    }

    fn stat(&self) -> Stat {
        Stat { kind: Kind::File, length: self.length, modified: Some(self.modified), identity: None }
    }

    /// Makes an empty file.
    pub(super) fn empty(modified: i64) -> Self {
        Self { modified, ..Self::default() }
    }

    /// Takes note of a change, for a power loss may undo it.
    fn note(&mut self, modified: i64, change: impl FnOnce() -> Change) {
        self.modified = modified;
        if let Some(unsynced) = &mut self.unsynced {
            unsynced.changes.push((modified, change()));
        }
    }

    /// Brings it to the medium.
    fn sync(&mut self) {
        if self.unsynced.take().is_some() {
            self.unsynced = Some(Unsynced::after(self.clone()));
        }
    }
}

impl Memory {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty store whose power can be lost ([`lose_power`](Self::lose_power)). It remembers what has not been synced, and takes
    /// several times the memory.
    pub fn losing_power() -> Self {
        let memory = Self::default();
        lock(&memory.shared.tree).medium = Some(Medium::default());
        memory
    }

    /// Gives what is on the medium after a loss of power: of what was not synced, neither bytes ([`File::sync`]) nor names
    /// ([`FileSystem::sync_folder`]), each change is there, is not, or is there in part, in any combination. This store stays as it is, for
    /// those who still use it.
    ///
    /// Of a store that was not made by [`losing_power`](Self::losing_power) all is there.
    pub fn lose_power(&self, rng: &mut Rng) -> Self {
        let tree = lock(&self.shared.tree);
        let clock = self.shared.clock.load(Ordering::Relaxed);
        let after = match &tree.medium {
            None => {
                let files = tree.files.iter().map(|(path, file)| (path.clone(), lock(file).clone()));
                let files = files.map(|(path, bytes)| (path, Arc::new(Mutex::new(bytes)))).collect();
                Tree { files, folders: tree.folders.clone(), medium: None }
            }
            Some(medium) => {
                let (files, folders) = medium.lose_power(rng);
                let medium = Some(Medium { files: files.clone(), folders: folders.clone(), changes: Vec::new() });
                Tree { files, folders, medium }
            }
        };
        let shared = Shared { tree: Mutex::new(after), clock: AtomicI64::new(clock), ..Shared::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Lets a plan decide, before each call, whether and how it goes wrong. The plan may also block, to be a slow disk.
    pub fn set_faults(&self, plan: impl Fn(Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        *lock(&self.shared.plan) = Some(Arc::new(plan));
    }

    /// Lets every call go well again.
    pub fn clear_faults(&self) {
        *lock(&self.shared.plan) = None;
    }

    /// Says of itself from now on whether reads far apart cost a seek, as a rotating disk would ([`FileSystem::seeks`]).
    pub fn set_seeks(&self, seeks: bool) {
        self.shared.seeks.store(seeks, Ordering::Relaxed);
    }

    /// Gives how many calls were made so far.
    pub fn calls(&self) -> u64 {
        *lock(&self.shared.calls)
    }

    /// Gives a file's bytes, if it is there.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let file = Arc::clone(lock(&self.shared.tree).files.get(path)?);
        let bytes = lock(&file);
        let mut out = vec![0; usize::try_from(bytes.length).ok()?];
        bytes.read(0, &mut out);
        Some(out)
    }

    /// Puts a file in place, with the folders above it, on the medium; one that is there is replaced.
    pub fn put(&self, path: &Path, contents: &[u8]) {
        let mut tree = lock(&self.shared.tree);
        tree.make_folders(path);
        let file = tree.make(path, 0, self.shared.tick());
        lock(&file).write(0, contents);
        lock(&file).sync();
        if let Some(medium) = &mut tree.medium {
            path.ancestors().skip(1).for_each(|folder| medium.sync_folder(folder));
        }
    }

    /// Replaces what is at a path from an offset on, in place, and leaves its time of change as it was: as a failing disk would.
    pub fn damage(&self, path: &Path, offset: u64, contents: &[u8]) {
        if let Some(file) = lock(&self.shared.tree).files.get(path) {
            lock(file).write(offset, contents);
        }
    }

    fn call(&self, operation: Operation, path: &Path) -> io::Result<Option<Fault>> {
        let number = {
            let mut calls = lock(&self.shared.calls);
            *calls += 1;
            *calls - 1
        };
        let plan = lock(&self.shared.plan).clone();
        match plan.and_then(|plan| plan(Call { number, operation, path })) {
            Some(Fault::Error(kind)) => Err(kind.into()),
            Some(Fault::Short) if !matches!(operation, Operation::Reading | Operation::Writing) => {
                Err(io::ErrorKind::Other.into())
            }
            other => Ok(other),
        }
    }

    fn file(&self, path: &Path, bytes: &FileRef, is_new: bool) -> Box<dyn File> {
        Box::new(MemoryFile { store: self.clone(), path: path.to_path_buf(), bytes: Arc::clone(bytes), is_new })
    }
}

const FOLDER: Stat = Stat { kind: Kind::Folder, length: 0, modified: None, identity: None };

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} files)", lock(&self.shared.tree).files.len())
    }
}

struct MemoryFile {
    store: Memory,
    path: PathBuf,
    bytes: FileRef,
    is_new: bool,
}

impl File for MemoryFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let fault = self.store.call(Operation::Reading, &self.path)?;
        let length = if fault == Some(Fault::Short) { buf.len().div_ceil(2) } else { buf.len() };
        Ok(lock(&self.bytes).read(offset, &mut buf[..length]))
    }

    fn write_at(&self, mut offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let short = self.store.call(Operation::Writing, &self.path)? == Some(Fault::Short);
        let mut left = slices.iter().map(|s| s.len()).sum::<usize>() / if short { 2 } else { 1 };
        let mut bytes = lock(&self.bytes);
        for slice in slices {
            let part = &slice[..slice.len().min(left)];
            bytes.write(offset, part);
            bytes.note(self.store.shared.tick(), || Change::Write(offset, part.to_vec()));
            offset += part.len() as u64;
            left -= part.len();
        }
        if short { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.store.call(Operation::Writing, &self.path)?;
        let mut bytes = lock(&self.bytes);
        bytes.set_len(length);
        bytes.note(self.store.shared.tick(), || Change::SetLength(length));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.store.call(Operation::Examining, &self.path)?;
        Ok(lock(&self.bytes).length)
    }

    fn is_new(&self) -> bool {
        self.is_new
    }

    fn sync(&self) -> io::Result<()> {
        self.store.call(Operation::Syncing, &self.path)?;
        lock(&self.bytes).sync();
        Ok(())
    }
}

impl FileSystem for Memory {
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.call(Operation::Examining, path)?;
        let tree = lock(&self.shared.tree);
        match tree.files.get(path) {
            Some(file) => Ok(lock(file).stat()),
            None if tree.folders.contains(path) => Ok(FOLDER),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.call(Operation::Opening, path)?;
        let tree = lock(&self.shared.tree);
        tree.files.get(path).map(|bytes| self.file(path, bytes, false)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.call(Operation::Syncing, folder)?;
        if let Some(medium) = &mut lock(&self.shared.tree).medium {
            medium.sync_folder(folder);
        }
        Ok(())
    }

    fn load(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let short = self.call(Operation::Reading, path)? == Some(Fault::Short);
        let mut bytes = self.contents(path).ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        bytes.truncate(bytes.len() / if short { 2 } else { 1 });
        Ok(bytes)
    }

    fn create_empty(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.call(Operation::Creating, path)?;
        let mut tree = lock(&self.shared.tree);
        tree.refuse_place(path)?;
        tree.make_folders(path);
        let bytes = tree.make(path, 0, self.shared.tick());
        Ok(self.file(path, &bytes, true))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Operation::Renaming, from)?;
        let mut tree = lock(&self.shared.tree);
        let file = tree.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        tree.files.insert(to.to_path_buf(), Arc::clone(&file));
        tree.note(|| NameChange::Renamed(from.to_path_buf(), to.to_path_buf(), file));
        Ok(())
    }

    fn create(&self, root: &Path, below: &SafePath, length: u64) -> io::Result<Box<dyn File>> {
        let path = root.join(below.to_path_buf());
        self.call(Operation::Creating, &path)?;
        let mut tree = lock(&self.shared.tree);
        tree.refuse_place(&path)?;
        if let Some(bytes) = tree.files.get(&path) {
            return Ok(self.file(&path, bytes, false));
        }
        tree.make_folders(&path);
        let bytes = tree.make(&path, length, self.shared.tick());
        Ok(self.file(&path, &bytes, true))
    }

    fn remove(&self, root: &Path, below: &SafePath) -> io::Result<()> {
        self.discard(&root.join(below.to_path_buf()))
    }

    fn discard(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::Deleting, path)?;
        let mut tree = lock(&self.shared.tree);
        if tree.folders.contains(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        tree.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
        tree.note(|| NameChange::Removed(path.to_path_buf()));
        Ok(())
    }

    fn remove_folder(&self, root: &Path, below: &SafePath) -> io::Result<()> {
        let path = root.join(below.to_path_buf());
        self.call(Operation::Deleting, &path)?;
        let mut tree = lock(&self.shared.tree);
        if tree.files.contains_key(&path) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !tree.folders.contains(&path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // What is in a folder comes right after it.
        let after = (Bound::Excluded(path.as_path()), Bound::Unbounded);
        let file = tree.files.range::<Path, _>(after).next().map(|(path, _)| path);
        let folder = tree.folders.range::<Path, _>(after).next();
        if file.into_iter().chain(folder).any(|next| next.starts_with(&path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        tree.folders.remove(&path);
        tree.note(|| NameChange::Removed(path));
        Ok(())
    }

    fn seeks(&self, _: &Path) -> bool {
        self.shared.seeks.load(Ordering::Relaxed)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.call(Operation::Listing, folder)?;
        let tree = lock(&self.shared.tree);
        if !tree.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let entry = |path: &PathBuf, stat| {
            let name = path.file_name().filter(|_| path.parent() == Some(folder))?;
            Some(Entry { name: name.to_os_string(), stat })
        };
        let files = tree.files.iter().filter_map(|(path, bytes)| entry(path, lock(bytes).stat()));
        let folders = tree.folders.iter().filter_map(|path| entry(path, FOLDER));
        Ok(files.chain(folders).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_written_is_zeros_and_a_file_that_exists_is_kept() {
        let memory = Memory::new();
        let (root, below) = (Path::new("/r"), SafePath::from_parts(["f"]).unwrap());
        memory.create(root, &below, 1 << 40).unwrap().write_at((1 << 40) - 1, &[IoSlice::new(b"ab")]).unwrap();
        let again = memory.create(root, &below, 5).unwrap();
        assert_eq!(again.len().unwrap(), (1 << 40) + 1);
        let mut buf = [9; 4];
        assert_eq!(again.read_at((1 << 40) - 3, &mut buf).unwrap(), 4);
        assert_eq!(&buf, b"\0\0ab");
        again.set_len(1).unwrap();
        again.set_len(CHUNK as u64 * 2).unwrap();
        assert!(memory.contents(Path::new("/r/f")).unwrap().iter().all(|b| *b == 0));
    }

    #[test]
    fn a_short_write_leaves_half_and_says_so() {
        let memory = Memory::new();
        let file = memory.create(Path::new("/r"), &SafePath::from_parts(["f"]).unwrap(), 0).unwrap();
        memory.set_faults(|call| (call.operation == Operation::Writing).then_some(Fault::Short));
        let slices = [IoSlice::new(b"abc"), IoSlice::new(b"def")];
        assert_eq!(file.write_at(0, &slices).unwrap_err().kind(), io::ErrorKind::WriteZero);
        assert_eq!(memory.contents(Path::new("/r/f")).unwrap(), b"abc");
    }
}
