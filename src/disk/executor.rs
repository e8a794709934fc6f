//! Does the disk's jobs on a file system.

use super::config::JOB_BYTES;
use super::error::{Error, Operation, shown};
use super::file_system::{File, FileSystem, Kind};
use super::hash_state::HashState;
use super::job::{Done, Job, Outcome, Part, Work};
use super::parts::Parts;
use super::resume;
use super::store::{Source, Store, StoreId};
use crate::machine::{self, Block, BlockBuf, BlockPool, Scratch};
use crate::proto::geometry::BLOCK_LENGTH;
use crate::proto::id::FileIndex;
use crate::proto::resume::FileStamp;
use crate::proto::sha1::Sha1;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many bytes are read and hashed at a time: what stays in a core's own cache meanwhile.
const CHUNK: usize = 256 * 1024;
/// How many unused buffers are kept for reading and hashing.
const BUFFERS: usize = 16;
/// How many unused blocks are kept. What a few hundred peers are being sent fits; with fewer, blocks are allocated and cleared anew.
const POOLED_BLOCKS: usize = 1024;
/// How many slices are written with one call.
const SLICES: usize = 256;

/// Does the jobs of a [`Disk`](super::Disk), [`Check`](super::Check) or [`Create`](super::Create) on a [`FileSystem`]; shared by
/// the job threads of a host.
///
/// It keeps files open, the most recently used ones, up to a limit. One executor serves one machine, for files are kept under
/// the machine's own numbers.
pub struct Executor {
    pub(super) files: Box<dyn FileSystem>,
    open: Mutex<OpenFiles>,
    /// What lies beside files that are skipped, for each store that has some.
    pub(super) parts: Mutex<BTreeMap<StoreId, Arc<Mutex<Parts>>>>,
    limit: usize,
    blocks: BlockPool,
    buffers: Mutex<Vec<Scratch>>,
}

#[derive(Default)]
struct OpenFiles {
    files: BTreeMap<(StoreId, FileIndex), OpenFile>,
    /// The same files by when they were last used.
    by_use: BTreeMap<u64, (StoreId, FileIndex)>,
    uses: u64,
    /// Files that were made and whose names are not on the medium yet.
    made: BTreeSet<(StoreId, FileIndex)>,
    /// Stores of which the folders above the root were brought to the medium, as far as they could be.
    rooted: BTreeSet<StoreId>,
}

struct OpenFile {
    file: Arc<dyn File>,
    writable: bool,
    used: u64,
}

impl OpenFiles {
    fn find(&mut self, key: (StoreId, FileIndex), write: bool) -> Option<Arc<dyn File>> {
        self.uses += 1;
        let entry = self.files.get_mut(&key).filter(|e| e.writable || !write)?;
        self.by_use.remove(&entry.used);
        entry.used = self.uses;
        self.by_use.insert(entry.used, key);
        Some(Arc::clone(&entry.file))
    }

    /// Keeps a file; gives back what is to be closed, which the caller does without the lock.
    fn keep(
        &mut self,
        key: (StoreId, FileIndex),
        file: Arc<dyn File>,
        writable: bool,
        limit: usize,
    ) -> Vec<Arc<dyn File>> {
        self.uses += 1;
        let used = self.uses;
        if file.is_new() {
            self.made.insert(key);
        }
        let mut closed = Vec::new();
        if let Some(old) = self.files.insert(key, OpenFile { file, writable, used }) {
            self.by_use.remove(&old.used);
            closed.push(old.file);
        }
        self.by_use.insert(used, key);
        while self.files.len() > limit {
            let oldest = self.by_use.pop_first().and_then(|(_, key)| self.files.remove(&key));
            closed.extend(oldest.map(|e| e.file));
        }
        closed
    }

    fn forget(&mut self, key: (StoreId, FileIndex)) -> Option<Arc<dyn File>> {
        let entry = self.files.remove(&key)?;
        self.by_use.remove(&entry.used);
        Some(entry.file)
    }

    fn close(&mut self, store: StoreId) -> Vec<Arc<dyn File>> {
        let keys: Vec<_> =
            self.files.range((store, FileIndex(0))..=(store, FileIndex(u32::MAX))).map(|(k, _)| *k).collect();
        self.made.retain(|(of, _)| *of != store);
        self.rooted.remove(&store);
        let mut closed = Vec::with_capacity(keys.len());
        for entry in keys.iter().filter_map(|key| self.files.remove(key)) {
            self.by_use.remove(&entry.used);
            closed.push(entry.file);
        }
        closed
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves these tables whole: nothing between two of their changes can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tries again what a signal interrupted.
pub(super) fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Executor {
    /// Makes an executor that keeps at most 128 files open.
    pub fn new(files: impl FileSystem) -> Self {
        Self::with_open_files(Box::new(files), 128)
    }

    /// Makes an executor that keeps at most `open_files` files open (at least 1); each job thread may have one more in use.
    pub fn with_open_files(files: Box<dyn FileSystem>, open_files: usize) -> Self {
        Self {
            files,
            open: Mutex::default(),
            parts: Mutex::default(),
            limit: open_files.max(1),
            blocks: BlockPool::new(POOLED_BLOCKS),
            buffers: Mutex::default(),
        }
    }

    pub(super) fn file(&self, store: &Store, index: FileIndex, write: bool) -> Result<Arc<dyn File>, Error> {
        let key = (store.id, index);
        if let Some(file) = lock(&self.open).find(key, write) {
            return Ok(file);
        }
        // Opened without the lock: a slow open delays nobody else. Two jobs may open the same file; the last stays.
        let (operation, opened) = match (&store.source, write) {
            (Source::Torrent(layout), true) => {
                let Some(file) = layout.file(index) else { return Err(Error::ReadOnly) };
                (Operation::Creating, retried(|| self.files.create(&store.root, &file.path, file.length)))
            }
            (Source::Tree(_), true) => return Err(Error::ReadOnly),
            (_, false) => (Operation::Opening, retried(|| self.files.open(&store.path(index)))),
        };
        let file: Arc<dyn File> = Arc::from(opened.map_err(|e| Error::io(operation, store.name(index), &e))?);
        let closed = lock(&self.open).keep(key, Arc::clone(&file), write, self.limit);
        drop(closed);
        Ok(file)
    }

    fn read_into(&self, store: &Store, offset: u64, mut buf: &mut [u8]) -> Result<(), Error> {
        for span in store.spans(offset, buf.len() as u64) {
            let (mut part, rest) = buf.split_at_mut((span.length as usize).min(buf.len()));
            buf = rest;
            if store.is_padding(span.file) {
                part.fill(0);
                continue;
            }
            if self.read_part(store, &span, part)? {
                continue;
            }
            let file = self.file(store, span.file, false)?;
            let failed = |e: &io::Error| Error::io(Operation::Reading, store.name(span.file), e);
            let mut at = span.offset;
            while !part.is_empty() {
                let read = retried(|| file.read_at(at, part)).map_err(|e| failed(&e))?;
                if read == 0 {
                    // It was cut, or another is in its place by now: that is seen when it is opened again.
                    let closed = lock(&self.open).forget((store.id, span.file));
                    drop(closed);
                    let short = io::Error::new(io::ErrorKind::UnexpectedEof, "the file is too short");
                    return Err(failed(&short));
                }
                at += read as u64;
                part = part.get_mut(read..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Writes parts that follow each other without a gap.
    fn write_run(&self, store: &Store, offset: u64, parts: &[Part]) -> Result<(), Error> {
        let total = parts.iter().map(|p| p.range.len() as u64).sum();
        let mut slices = parts.iter().filter_map(|p| p.block.get(p.range.clone()));
        let mut slice: &[u8] = &[];
        for span in store.spans(offset, total) {
            let mut left = span.length as usize;
            let mut gathered = Vec::new();
            while left > 0 {
                if slice.is_empty() {
                    let Some(next) = slices.next() else { break };
                    slice = next;
                }
                let (now, later) = slice.split_at(slice.len().min(left));
                gathered.push(IoSlice::new(now));
                left -= now.len();
                slice = later;
            }
            if store.is_padding(span.file) || self.write_part(store, &span, &gathered)? {
                continue;
            }
            let file = self.file(store, span.file, true)?;
            let mut at = span.offset;
            for batch in gathered.chunks(SLICES) {
                retried(|| file.write_at(at, batch))
                    .map_err(|e| Error::io(Operation::Writing, store.name(span.file), &e))?;
                at += batch.iter().map(|s| s.len() as u64).sum::<u64>();
            }
        }
        Ok(())
    }

    fn write(&self, store: &Store, offset: u64, parts: &[Part]) -> Result<(), Error> {
        let mut rest = parts;
        while let Some(first) = rest.first() {
            let mut end = first.begin;
            let run =
                rest.iter().take_while(|p| p.begin == std::mem::replace(&mut end, p.begin + p.range.len() as u32));
            let (run, later) = rest.split_at(run.count());
            self.write_run(store, offset + u64::from(first.begin), run)?;
            rest = later;
        }
        Ok(())
    }

    /// Hashes on to `until`, at most [`JOB_BYTES`]; takes from `parts` (in order) what is there.
    fn hash(
        &self,
        store: &Store,
        offset: u64,
        parts: &[Part],
        mut hash: HashState,
        until: u32,
    ) -> Result<HashState, Error> {
        let until = until.min(hash.end()).min(hash.at().saturating_add(JOB_BYTES));
        let mut parts = parts.iter().peekable();
        let mut buffer = None;
        let mut result = Ok(());
        while hash.at() < until {
            let at = hash.at();
            while parts.peek().is_some_and(|p| p.begin + p.range.len() as u32 <= at) {
                parts.next();
            }
            if let Some(part) = parts.peek().filter(|p| p.begin <= at) {
                let skipped = (at - part.begin) as usize;
                let end = part.range.len().min((until - part.begin) as usize);
                // A block has all bytes of its range.
                let Some(bytes) = part.block.get(part.range.start + skipped..part.range.start + end) else { break };
                hash.update(bytes);
                continue;
            }
            let end = parts.peek().map_or(until, |p| p.begin.min(until));
            let length = ((end - at) as usize).min(CHUNK);
            let buffer = buffer.get_or_insert_with(|| self.take_buffer());
            let bytes = &mut buffer[..length];
            result = self.read_into(store, offset + u64::from(at), bytes);
            if result.is_err() {
                break;
            }
            hash.update(bytes);
        }
        if let Some(buffer) = buffer {
            self.give_back(buffer);
        }
        result.map(|()| hash)
    }

    /// Gives a buffer of [`CHUNK`] bytes.
    fn take_buffer(&self) -> Scratch {
        lock(&self.buffers).pop().unwrap_or_else(|| Scratch::new(CHUNK))
    }

    fn give_back(&self, buffer: Scratch) {
        let mut kept = lock(&self.buffers);
        if kept.len() < BUFFERS {
            kept.push(buffer);
        }
    }

    fn hash_blocks(&self, store: &Store, offset: u64, length: u32) -> Result<Vec<[u8; 20]>, Error> {
        let mut hashes = Vec::with_capacity(length.div_ceil(BLOCK_LENGTH) as usize);
        let mut buffer = self.take_buffer();
        for at in (0..length).step_by(CHUNK) {
            let bytes = &mut buffer[..(length - at).min(CHUNK as u32) as usize];
            self.read_into(store, offset + u64::from(at), bytes)?;
            hashes.extend(bytes.chunks(BLOCK_LENGTH as usize).map(Sha1::digest));
        }
        self.give_back(buffer);
        Ok(hashes)
    }

    fn buffers_for(&self, lengths: &[u32]) -> Vec<BlockBuf> {
        lengths.iter().map(|length| self.blocks.take_full(*length as usize)).collect()
    }

    fn read(&self, store: &Store, mut offset: u64, lengths: &[u32]) -> Result<Vec<Block>, Error> {
        let mut bufs = self.buffers_for(lengths);
        let total = lengths.iter().map(|l| u64::from(*l)).sum::<u64>();
        if let [span] = store.spans(offset, total)[..] {
            if !store.is_padding(span.file) && bufs.len() > 1 && self.is_in_file(store, &span) {
                let file = self.file(store, span.file, false)?;
                let mut slices: Vec<IoSliceMut<'_>> = bufs.iter_mut().map(|b| IoSliceMut::new(b.bytes_mut())).collect();
                let read = retried(|| file.read_vectored_at(span.offset, &mut slices));
                if read.is_ok_and(|read| read as u64 == total) {
                    return Ok(bufs.into_iter().map(BlockBuf::freeze).collect());
                }
                // Less than all, or an error, which the next read shows if it lasts.
            }
        }
        for buf in &mut bufs {
            self.read_into(store, offset, buf.bytes_mut())?;
            offset += buf.bytes().len() as u64;
        }
        Ok(bufs.into_iter().map(BlockBuf::freeze).collect())
    }

    /// Reads from one file that is open, if nothing has to be waited for.
    fn read_now(&self, store: &Store, offset: u64, lengths: &[u32]) -> Option<Vec<Block>> {
        let total = lengths.iter().map(|l| u64::from(*l)).sum::<u64>();
        let [span] = store.spans(offset, total)[..] else { return None };
        if store.is_padding(span.file) || !self.is_in_file(store, &span) {
            return None;
        }
        let file = lock(&self.open).find((store.id, span.file), false)?;
        let mut bufs = self.buffers_for(lengths);
        let mut slices: Vec<IoSliceMut<'_>> = bufs.iter_mut().map(|b| IoSliceMut::new(b.bytes_mut())).collect();
        // An error is found again, and told, by the read that waits.
        let read = file.read_now(span.offset, &mut slices).ok()??;
        (read as u64 == total).then(|| bufs.into_iter().map(BlockBuf::freeze).collect())
    }

    fn stat(
        &self,
        store: &Store,
        index: FileIndex,
        made: Option<&mut Vec<FileIndex>>,
    ) -> Result<Option<FileStamp>, Error> {
        if store.is_padding(index) {
            return Ok(Some(FileStamp { length: store.length(index), modified: None }));
        }
        match self.examine(&store.path(index), || store.name(index)) {
            Ok(stat) if stat.kind == Kind::File => Ok(Some(FileStamp { length: stat.length, modified: stat.modified })),
            Ok(_) => {
                let odd = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
                Err(Error::io(Operation::Examining, store.name(index), &odd))
            }
            Err(Error::Io { kind: io::ErrorKind::NotFound, .. }) => match made {
                Some(made) if store.writable && store.length(index) == 0 && !self.skips(store, index) => {
                    self.file(store, index, true)?;
                    made.push(index);
                    self.stat(store, index, None)
                }
                _ => Ok(None),
            },
            Err(e) => Err(e),
        }
    }

    fn examine(&self, path: &Path, name: impl FnOnce() -> String) -> Result<super::file_system::Stat, Error> {
        retried(|| self.files.stat(path)).map_err(|e| Error::io(Operation::Examining, name(), &e))
    }

    fn sync(&self, store: &Store, index: FileIndex) -> Result<Option<FileStamp>, Error> {
        if store.is_padding(index) || self.sync_parts(store, index)? {
            return self.stat(store, index, None);
        }
        self.sync_file(store, index)?;
        self.stat(store, index, None)
    }

    /// Brings a file to the medium, and its name.
    pub(super) fn sync_file(&self, store: &Store, index: FileIndex) -> Result<(), Error> {
        let open = lock(&self.open).find((store.id, index), true);
        // A file that was closed meanwhile is opened again: the system syncs the file, not the handle. It is never made again: zeros
        // in the place of a file that was moved away would be no sync.
        let synced = match open {
            Some(file) => retried(|| file.sync()),
            None => retried(|| self.files.open_for_sync(&store.path(index))).and_then(|file| retried(|| file.sync())),
        };
        synced
            .and_then(|()| self.sync_name(store, index))
            .map_err(|e| Error::io(Operation::Syncing, store.name(index), &e))
    }

    /// Brings the name of a file that was made to the medium, with those of the folders above it up to the root.
    fn sync_name(&self, store: &Store, index: FileIndex) -> io::Result<()> {
        let key = (store.id, index);
        if !lock(&self.open).made.contains(&key) {
            return Ok(());
        }
        let path = store.path(index);
        let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&store.root));
        for folder in folders {
            retried(|| self.files.sync_folder(folder))?;
        }
        // The root may have been made too, and folders above it. They are not ours: what is said of them is not asked.
        let above = lock(&self.open).rooted.insert(store.id);
        for folder in store.root.ancestors().skip(1).filter(|_| above) {
            let _ = retried(|| self.files.sync_folder(folder));
        }
        lock(&self.open).made.remove(&key);
        Ok(())
    }

    fn stat_all(&self, store: &Store, files: Range<u32>) -> Outcome {
        let mut made = Vec::new();
        let found: Vec<_> = files.clone().map(|index| self.stat(store, FileIndex(index), Some(&mut made))).collect();
        // Asked of one file for all: those of a torrent lie together, and one that is missing or empty is not read.
        let there = files.map(FileIndex).zip(&found).find(|(index, found)| {
            !store.is_padding(*index) && found.as_ref().is_ok_and(|found| found.is_some_and(|found| found.length > 0))
        });
        let seeks = there.is_some_and(|(index, _)| self.files.seeks(&store.path(index)));
        Outcome::Stat { found, made, seeks }
    }
}

impl machine::Executor<Job, Done> for Executor {
    fn run(&self, job: Job) -> Done {
        let result = match job.work {
            Work::Stat { store, files } => self.stat_all(&store, files),
            Work::Write { store, offset, mut parts, hash, until } => {
                parts.sort_unstable_by_key(|p| p.begin);
                let written = self.write(&store, offset, &parts);
                Outcome::Hash(written.and_then(|()| self.hash(&store, offset, &parts, hash, until)))
            }
            Work::Hash { store, offset, hash, until } => Outcome::Hash(self.hash(&store, offset, &[], hash, until)),
            Work::HashBlocks { store, offset, length } => {
                Outcome::BlockHashes(self.hash_blocks(&store, offset, length))
            }
            Work::Read { store, offset, lengths } => Outcome::Read(self.read(&store, offset, &lengths)),
            Work::Select { store, skipped } => Outcome::Selected(self.select(&store, &skipped)),
            Work::Move { store, fragment, keep } => Outcome::Moved(self.move_part(&store, &fragment, keep)),
            Work::MakeEmpty { store, file } => Outcome::Moved(self.make_empty(&store, file).map(|()| false)),
            Work::Load { path } => Outcome::Loaded(resume::load(&*self.files, &path).map(Box::new)),
            Work::Save { path, resume } => Outcome::Nothing(resume::save(&*self.files, &path, &resume)),
            Work::Sync { store, file } => Outcome::Synced(self.sync(&store, file)),
            Work::Close { store } => {
                let closed = lock(&self.open).close(store.id);
                drop(closed);
                let parts = lock(&self.parts).remove(&store.id);
                drop(parts);
                Outcome::Nothing(Ok(()))
            }
            Work::Delete { store, remains } => Outcome::Deleted(self.delete(&store, &remains)),
            Work::Examine { path } => {
                let found = self.examine(&path, || shown(path.as_os_str().as_encoded_bytes()));
                Outcome::Examined(found.map(|stat| (stat, self.files.seeks(&path))))
            }
            Work::List { path } => Outcome::Listed(
                retried(|| self.files.list(&path))
                    .map_err(|e| Error::io(Operation::Listing, shown(path.as_os_str().as_encoded_bytes()), &e)),
            ),
        };
        Done { result }
    }

    /// Reads what the system has in memory, where the [`FileSystem`] can tell.
    fn run_now(&self, job: Job) -> Result<Done, Job> {
        let blocks = match &job.work {
            Work::Read { store, offset, lengths } => self.read_now(store, *offset, lengths),
            _ => None,
        };
        blocks.map(|blocks| Done { result: Outcome::Read(Ok(blocks)) }).ok_or(job)
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Executor({} of {} files open)", lock(&self.open).files.len(), self.limit)
    }
}
