//! Files in memory, which fail when they are told to.

use super::error::Operation;
use super::file_system::{Entry, File, FileSystem, Kind, Stat};
use crate::proto::metainfo::SafePath;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
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
}

#[derive(Default)]
struct Tree {
    files: BTreeMap<PathBuf, Arc<Mutex<Bytes>>>,
    folders: BTreeSet<PathBuf>,
}

#[derive(Default)]
struct Bytes {
    length: u64,
    chunks: BTreeMap<u64, Vec<u8>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

    fn write(&mut self, offset: u64, bytes: &[u8]) {
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

    fn set_len(&mut self, length: u64) {
        if length < self.length {
            self.chunks.split_off(&length.div_ceil(CHUNK as u64));
            if let Some(chunk) = self.chunks.get_mut(&(length / CHUNK as u64)) {
                chunk[(length % CHUNK as u64) as usize..].fill(0);
            }
        }
        self.length = length;
    }
}

impl Memory {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
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

    /// Puts a file in place, with the folders above it; one that is there is replaced.
    pub fn put(&self, path: &Path, contents: &[u8]) {
        let mut bytes = Bytes::default();
        bytes.write(0, contents);
        let mut tree = lock(&self.shared.tree);
        tree.folders.extend(path.ancestors().skip(1).map(Path::to_path_buf));
        tree.files.insert(path.to_path_buf(), Arc::new(Mutex::new(bytes)));
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

    fn file(&self, path: &Path, bytes: &Arc<Mutex<Bytes>>, is_new: bool) -> Box<dyn File> {
        Box::new(MemoryFile { store: self.clone(), path: path.to_path_buf(), bytes: Arc::clone(bytes), is_new })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} files)", lock(&self.shared.tree).files.len())
    }
}

struct MemoryFile {
    store: Memory,
    path: PathBuf,
    bytes: Arc<Mutex<Bytes>>,
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
            offset += part.len() as u64;
            left -= part.len();
        }
        if short { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.store.call(Operation::Writing, &self.path)?;
        lock(&self.bytes).set_len(length);
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
        Ok(())
    }
}

impl FileSystem for Memory {
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.call(Operation::Examining, path)?;
        let tree = lock(&self.shared.tree);
        match tree.files.get(path) {
            Some(file) => Ok(Stat { kind: Kind::File, length: lock(file).length, identity: None }),
            None if tree.folders.contains(path) => Ok(Stat { kind: Kind::Folder, length: 0, identity: None }),
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
        Ok(())
    }

    fn create(&self, root: &Path, below: &SafePath, length: u64) -> io::Result<Box<dyn File>> {
        let path = root.join(below.to_path_buf());
        self.call(Operation::Creating, &path)?;
        let mut tree = lock(&self.shared.tree);
        if tree.folders.contains(&path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if path.ancestors().skip(1).any(|folder| tree.files.contains_key(folder)) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        tree.folders.extend(path.ancestors().skip(1).map(Path::to_path_buf));
        let is_new = !tree.files.contains_key(&path);
        let bytes = tree
            .files
            .entry(path.clone())
            .or_insert_with(|| Arc::new(Mutex::new(Bytes { length, chunks: BTreeMap::new() })));
        Ok(self.file(&path, bytes, is_new))
    }

    fn remove(&self, root: &Path, below: &SafePath) -> io::Result<()> {
        let path = root.join(below.to_path_buf());
        self.call(Operation::Writing, &path)?;
        lock(&self.shared.tree).files.remove(&path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
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
        let entry = |path: &PathBuf, kind, length| {
            let name = path.file_name().filter(|_| path.parent() == Some(folder))?;
            Some(Entry { name: name.to_os_string(), stat: Stat { kind, length, identity: None } })
        };
        let files = tree.files.iter().filter_map(|(path, bytes)| entry(path, Kind::File, lock(bytes).length));
        let folders = tree.folders.iter().filter_map(|path| entry(path, Kind::Folder, 0));
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
