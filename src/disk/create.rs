//! Makes a torrent of a file or of a tree of files, as `bip create` does: lists, hashes, and gives the metainfo's bytes.
//!
//! [`Create`] is a machine; its jobs are done by an [`Executor`](super::Executor) of its own. It makes one torrent at a time, with
//! as many jobs at once as [`Config::check_jobs`] says: all job threads of the host hash. Pieces are read in order, one at
//! a time where the disk has to seek ([`FileSystem::seeks`](super::FileSystem::seeks)).
//!
//! - The files are in the order of the bytes of their paths, of version 2 and hybrids in that of the file tree, so the same tree always
//!   gives the same torrent.
//! - Names are kept byte for byte.
//! - Links to files and folders are followed. What is neither file nor folder, a link that leads nowhere, and a link to a folder
//!   that it is in are skipped, each of which is told in [`Event::Created`].
//! - Folders without files leave no trace: a torrent has no place for them (BEP 3).
//! - What a pattern of [`Options::exclude`] is for is left out, a folder with all that is in it: it is not even listed.
//! - A file that cannot be read, or whose length changes meanwhile, ends it all.
//!
//! Torrents of version 2 and hybrids (BEP 52) want the library's feature `v2`. Each file that has bytes begins with a piece; the padding that a
//! hybrid has between files is hashed and never read. A piece is read once, also where it has two hashes.
//!
//! Patterns are plain data ([`Glob`]) rather than a closure, as all that a machine is asked: a command can be compared, logged and played again.
//! They are matched by the bytes of a path, for names are bytes here.

use super::checker::STATS;
use super::config::Config;
use super::error::Error;
use super::glob::Glob;
use super::hash_state::HashState;
use super::job::{Done, Job, Outcome, Work};
use super::store::{Leaf, Source, Store, StoreId};
use super::walk::{Found, Walk, WalkTask, path_text};
use crate::machine::{Input, Instant, JobError, JobId, Machine, Map, Output, Rng};
use crate::proto::geometry::Geometry;
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::metainfo::{BuildError, Builder, Layout, Version};
use crate::proto::resume::FileStamp;
use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a torrent is to say besides its files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// Its kind; version 2 and hybrids want the feature `v2`.
    pub version: Version,
    /// The torrent's name; otherwise the last part of the path.
    pub name: Option<Vec<u8>>,
    /// What is left out of a folder.
    pub exclude: Vec<Glob>,
    /// The piece length in bytes; otherwise that of [`piece_length_for`](crate::proto::metainfo::piece_length_for).
    pub piece_length: Option<u32>,
    /// Tiers of trackers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// Nodes of the DHT to begin with, by host and port (BEP 5).
    pub nodes: Vec<(String, u16)>,
    /// Whether peers may come from the trackers only (BEP 27).
    pub private: bool,
    /// A tracker's own mark.
    pub source: Option<String>,
    /// The author's remark.
    pub comment: Option<String>,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// When it is made, in seconds from 1970.
    pub creation_date: Option<i64>,
}

/// What is asked of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Makes a torrent. Ends in [`Event::Created`] or [`Event::Failed`].
    Start {
        /// The file or folder.
        path: PathBuf,
        /// What else the torrent says.
        options: Box<Options>,
    },
    /// Gives it up, if it is under way. Ends in [`Event::Cancelled`], after the torrent's own end.
    Cancel,
}

/// Why something in the tree is not in the torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It is neither a file nor a folder, or a link that leads nowhere.
    NotAFile,
    /// It is a link to a folder that it is in.
    Loop,
}

/// Something in the tree that is not in the torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is; control characters are replaced.
    pub path: String,
    /// Why it is not in the torrent.
    pub reason: Reason,
}

/// What it tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Notice: how far the hashing has come; after each piece, when somebody looks that often.
    Progress {
        /// Bytes of files hashed.
        done: u64,
        /// Bytes of all files.
        total: u64,
    },
    /// Terminal: the torrent is made.
    Created {
        /// The torrent file's bytes.
        metainfo: Vec<u8>,
        /// What is not in it.
        skipped: Vec<Skipped>,
        /// How many files and folders [`Options::exclude`] left out, without those in such folders.
        excluded: u64,
    },
    /// Terminal: it could not be made, was cancelled ([`Error::Cancelled`]), or another is under way ([`Error::Busy`]).
    Failed {
        /// Why.
        error: Error,
    },
    /// Terminal: nothing is under way any more.
    Cancelled,
}

#[derive(Debug)]
enum Task {
    Walk(WalkTask),
    Hash(PieceIndex),
    Stat(Range<u32>),
    Close,
}

/// Makes a torrent of a file or of a tree of files. The [module's page](self) has what it promises.
#[derive(Debug)]
pub struct Create {
    config: Config,
    run: Option<Run>,
    jobs: Map<JobId, Task>,
    next_job: u64,
    next_store: u64,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Run {
    path: PathBuf,
    options: Box<Options>,
    phase: Phase,
    failure: Option<Error>,
    cancels: usize,
    told: u64,
    /// Whether reads far apart cost a seek: then one job at a time.
    seeks: bool,
}

#[derive(Debug)]
enum Phase {
    Walking(Walk),
    Hashing(Box<Hashing>),
}

#[derive(Debug)]
struct Hashing {
    store: Arc<Store>,
    builder: Builder,
    geometry: Geometry,
    /// Where the files lie, with version 2.
    layout: Option<Layout>,
    skipped: Vec<Skipped>,
    excluded: u64,
    /// The SHA-1 of each piece; none for version 2 alone.
    hashes: Vec<[u8; 20]>,
    /// The root of the hash tree of each piece; none for version 1.
    roots: Vec<[u8; 32]>,
    next_piece: u32,
    continuing: VecDeque<(PieceIndex, HashState)>,
    /// Pieces that are hashed.
    hashed: u32,
    /// Bytes of files in them.
    bytes: u64,
    total: u64,
    /// After the last piece, all files are looked at once more.
    next_file: u32,
    closing: bool,
}

impl Hashing {
    fn new(path: &Path, options: &Options, id: StoreId, found: Found) -> Result<Self, Error> {
        let Found { mut leaves, skipped, excluded, is_file } = found;
        let version = options.version;
        let builder = describe(path, options, &leaves, is_file)?;
        let geometry = builder.geometry().map_err(metainfo_error)?;
        builder.paths().map_err(metainfo_error)?;
        let total = leaves.iter().map(|leaf| leaf.length).sum();
        let layout = if version.has_v2() { Some(builder.layout().map_err(metainfo_error)?) } else { None };
        if let Some(layout) = &layout {
            if layout.is_multi_file() == is_file {
                let reason = "a folder with nothing in it but a file of the folder's name cannot be told from that file \
                    with version 2 alone";
                return Err(metainfo_error(reason));
            }
            leaves = padded(layout, leaves);
        }
        let store = Store { id, root: path.to_path_buf(), source: Source::Tree(leaves), writable: false };
        let pieces = geometry.piece_count() as usize;
        Ok(Self {
            store: Arc::new(store),
            builder,
            geometry,
            layout,
            skipped,
            excluded,
            hashes: vec![[0; 20]; if version.has_v1() { pieces } else { 0 }],
            roots: vec![[0; 32]; if version.has_v2() { pieces } else { 0 }],
            next_piece: 0,
            continuing: VecDeque::new(),
            hashed: 0,
            bytes: 0,
            total,
            next_file: 0,
            closing: false,
        })
    }

    fn next(&mut self) -> Option<(Work, Task)> {
        let store = Arc::clone(&self.store);
        let files = store.file_count();
        let piece = self.continuing.pop_front().or_else(|| {
            let piece = PieceIndex(self.next_piece);
            (piece.0 < self.geometry.piece_count()).then(|| {
                self.next_piece += 1;
                let hash = match &self.layout {
                    Some(layout) => HashState::of(layout, piece),
                    None => HashState::version_1(self.geometry.length_of(piece)),
                };
                (piece, hash)
            })
        });
        if let Some((piece, hash)) = piece {
            let (offset, until) = (self.geometry.piece_offset(piece), self.geometry.length_of(piece));
            return Some((Work::Hash { store, offset, hash, until }, Task::Hash(piece)));
        }
        if self.hashed == self.geometry.piece_count() && self.next_file < files {
            let range = self.next_file..files.min(self.next_file.saturating_add(STATS));
            self.next_file = range.end;
            return Some((Work::Stat { store, files: range.clone() }, Task::Stat(range)));
        }
        None
    }

    fn on_hash(&mut self, piece: PieceIndex, state: HashState) {
        if !state.is_through() {
            self.continuing.push_back((piece, state));
            return;
        }
        let found = state.finish();
        if let (Some(hash), Some(sha1)) = (self.hashes.get_mut(piece.as_usize()), found.sha1) {
            *hash = sha1;
        }
        if let (Some(hash), Some(root)) = (self.roots.get_mut(piece.as_usize()), found.root) {
            *hash = root;
        }
        self.hashed += 1;
        let of_file = self.layout.as_ref().and_then(|layout| layout.piece_tree(piece)).map(|(length, _)| length);
        self.bytes += u64::from(of_file.unwrap_or(self.geometry.length_of(piece)));
    }

    fn on_stat(&self, files: Range<u32>, found: Vec<Result<Option<FileStamp>, Error>>) -> Result<(), Error> {
        for (file, now) in files.map(FileIndex).zip(found) {
            let (before, now) = (self.store.length(file), now?.map(|stamp| stamp.length));
            if now != Some(before) {
                return Err(Error::Changed { file: self.store.name(file), before, now });
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Option<(Work, Task)> {
        let close = (Work::Close { store: Arc::clone(&self.store) }, Task::Close);
        (!std::mem::replace(&mut self.closing, true)).then_some(close)
    }
}

impl Create {
    /// Makes a machine that waits for its start.
    pub fn new(config: Config, rng: &mut Rng) -> Self {
        Self { config, run: None, jobs: Map::new(rng), next_job: 0, next_store: 0, events: VecDeque::new() }
    }

    fn next(&mut self) -> Option<(Work, Task)> {
        let run = self.run.as_mut()?;
        let idle = self.jobs.is_empty();
        if run.failure.is_some() {
            return match &mut run.phase {
                Phase::Hashing(hashing) if idle => hashing.close(),
                _ => None,
            };
        }
        let limit = if run.seeks { 1 } else { self.config.check_jobs.min(self.config.jobs).max(1) };
        if self.jobs.len() >= limit {
            return None;
        }
        match &mut run.phase {
            Phase::Walking(walk) => walk.next().map(|(work, task)| (work, Task::Walk(task))),
            Phase::Hashing(hashing) => hashing.next().or_else(|| if idle { hashing.close() } else { None }),
        }
    }

    fn on_done(&mut self, task: Task, outcome: Result<Outcome, JobError>) {
        let Some(run) = &mut self.run else { return };
        let store = StoreId(self.next_store);
        if let Err(error) = run.on_done(&self.config, store, task, outcome) {
            run.failure.get_or_insert(error);
        }
        self.next_store += u64::from(matches!(&run.phase, Phase::Hashing(h) if h.store.id == store));
        let over = match &run.phase {
            Phase::Walking(_) => run.failure.is_some(),
            Phase::Hashing(hashing) => hashing.closing,
        };
        if over && self.jobs.is_empty() {
            self.end();
        }
    }

    fn end(&mut self) {
        let Some(run) = self.run.take() else { return };
        let made = match (run.failure, run.phase) {
            (Some(error), _) => Err(error),
            (None, Phase::Hashing(hashing)) => {
                let Hashing { builder, hashes, roots, skipped, excluded, .. } = *hashing;
                let built = builder.piece_hashes(hashes).piece_roots(roots).build();
                built.map_err(metainfo_error).map(|metainfo| (metainfo, skipped, excluded))
            }
            // A walk ends in hashing or in failure.
            (None, Phase::Walking(_)) => Err(Error::Cancelled),
        };
        self.events.push_back(match made {
            Ok((metainfo, skipped, excluded)) => Event::Created { metainfo, skipped, excluded },
            Err(error) => Event::Failed { error },
        });
        self.events.extend((0..run.cancels).map(|_| Event::Cancelled));
    }
}

impl Run {
    fn on_done(
        &mut self,
        config: &Config,
        store: StoreId,
        task: Task,
        outcome: Result<Outcome, JobError>,
    ) -> Result<(), Error> {
        let outcome = outcome.map_err(Error::Job)?;
        match (&mut self.phase, task, outcome) {
            (Phase::Walking(walk), Task::Walk(task), outcome) => {
                walk.on_done(config, task, outcome)?;
                self.seeks = walk.seeks();
                if self.failure.is_none() && walk.is_over() {
                    let walk = std::mem::replace(walk, Walk::new(PathBuf::new(), Vec::new()));
                    let found = walk.finish(self.options.version.has_v2())?;
                    let hashing = Hashing::new(&self.path, &self.options, store, found)?;
                    self.phase = Phase::Hashing(Box::new(hashing));
                }
                Ok(())
            }
            (Phase::Hashing(hashing), Task::Hash(piece), Outcome::Hash(state)) => {
                hashing.on_hash(piece, state?);
                Ok(())
            }
            (Phase::Hashing(hashing), Task::Stat(files), Outcome::Stat { found, .. }) => hashing.on_stat(files, found),
            (_, Task::Close, _) => Ok(()),
            // The executor answers every job in kind.
            _ => Err(Error::Job(JobError::Refused)),
        }
    }
}

fn metainfo_error(error: impl std::fmt::Display) -> Error {
    Error::Metainfo { reason: error.to_string() }
}

/// Puts the files where a layout has them, and its padding between them. Both have them in the same order.
fn padded(layout: &Layout, leaves: Vec<Leaf>) -> Vec<Leaf> {
    let mut leaves = leaves.into_iter();
    let place = |file: &crate::proto::metainfo::File| {
        if file.is_padding {
            return Some(Leaf::padding(file.length, file.offset));
        }
        leaves.next().map(|leaf| Leaf { offset: file.offset, ..leaf })
    };
    layout.files().iter().filter_map(place).collect()
}

fn describe(path: &Path, options: &Options, leaves: &[Leaf], is_file: bool) -> Result<Builder, Error> {
    let name = match (&options.name, path.file_name()) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) => name.as_encoded_bytes().to_vec(),
        (None, None) => return Err(Error::NoName { path: path_text(path) }),
    };
    let mut builder = if is_file {
        Builder::single_file(name, leaves.iter().map(|l| l.length).sum())
    } else {
        leaves.iter().fold(Builder::multi_file(name), |builder, leaf| builder.file(&leaf.parts, leaf.length))
    };
    if let Some(bytes) = options.piece_length {
        builder = builder.piece_length(bytes);
    }
    builder = builder.version(options.version);
    builder = options.trackers.iter().fold(builder, |builder, tier| builder.tracker_tier(tier));
    builder = options.web_seeds.iter().fold(builder, |builder, url| builder.web_seed(url));
    builder = options.nodes.iter().fold(builder, |builder, (host, port)| builder.node(host, *port));
    builder = builder.private(options.private);
    if let Some(source) = &options.source {
        builder = builder.source(source);
    }
    if let Some(comment) = &options.comment {
        builder = builder.comment(comment);
    }
    if let Some(program) = &options.created_by {
        builder = builder.created_by(program);
    }
    if let Some(seconds) = options.creation_date {
        builder = builder.creation_date(seconds);
    }
    Ok(builder)
}

impl Machine for Create {
    type Command = Command;
    type Event = Event;
    type Job = Job;
    type Done = Done;

    fn handle_command(&mut self, _: Instant, command: Command) {
        match command {
            Command::Start { .. } if self.run.is_some() => {
                self.events.push_back(Event::Failed { error: Error::Busy });
            }
            Command::Start { options, .. } if options.version.has_v2() && cfg!(not(feature = "v2")) => {
                self.events.push_back(Event::Failed { error: metainfo_error(BuildError::NeedsV2) });
            }
            Command::Start { path, mut options } => {
                let exclude = std::mem::take(&mut options.exclude);
                let phase = Phase::Walking(Walk::new(path.clone(), exclude));
                self.run = Some(Run { path, options, phase, failure: None, cancels: 0, told: 0, seeks: false });
            }
            Command::Cancel => match &mut self.run {
                None => self.events.push_back(Event::Cancelled),
                Some(run) => {
                    run.cancels += 1;
                    run.failure.get_or_insert(Error::Cancelled);
                    if self.jobs.is_empty() && matches!(run.phase, Phase::Walking(_)) {
                        self.end();
                    }
                }
            },
        }
    }

    fn handle_input(&mut self, _: Instant, input: Input<'_, Done>) {
        let Input::Done { job, done } = input else { return };
        if let Some(task) = self.jobs.remove(&job) {
            self.on_done(task, done.map(|d| d.result));
        }
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_event(&mut self) -> Option<Event> {
        // Progress is told when somebody looks, and as it is then.
        if let Some(Run { phase: Phase::Hashing(hashing), told, failure: None, .. }) = &mut self.run {
            if self.events.is_empty() && *told < hashing.bytes {
                *told = hashing.bytes;
                return Some(Event::Progress { done: hashing.bytes, total: hashing.total });
            }
        }
        self.events.pop_front()
    }

    fn poll_output(&mut self, _: &mut Vec<u8>) -> Option<Output<Job>> {
        let (work, task) = self.next()?;
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.insert(id, task);
        Some(Output::Job { id, job: Job { work } })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
