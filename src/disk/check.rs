//! Verifies a torrent where it lies, as `bip verify` does: nothing is created or changed.
//!
//! [`Check`] is a machine; its jobs are done by an [`Executor`](super::Executor) of its own. It checks one torrent at a time, with
//! as many jobs at once as [`Config::check_jobs`] says: all job threads of the host hash. Pieces are read in order, one at
//! a time where the disk has to seek ([`FileSystem::seeks`](super::FileSystem::seeks)).
//!
//! Torrents of any version are verified: a piece is right when all hashes that the torrent has of it are, so a piece of a hybrid has
//! the SHA-1 and the root of its hash tree.

use super::checker::{CheckTask, Checker};
use super::config::Config;
use super::error::Error;
use super::job::{Done, Job, Work};
use super::store::{Source, Store, StoreId};
use crate::machine::{Input, Instant, JobId, Machine, Map, Output, Rng};
use crate::proto::bitfield::Bitfield;
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::metainfo::Layout;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// What is asked of a check.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Verifies a torrent. Ends in [`Event::Checked`] or [`Event::Failed`].
    Start {
        /// Its files, pieces and hashes.
        layout: Arc<Layout>,
        /// The folder that holds the torrent's name.
        root: PathBuf,
    },
    /// Gives the check up, if one is under way. Ends in [`Event::Cancelled`], after the check's own end.
    Cancel,
}

/// What a check tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Notice: how far the check has come, about a hundred times in all.
    Progress {
        /// Pieces looked at.
        checked: u32,
        /// Of these, complete and right.
        good: u32,
        /// Pieces in all.
        pieces: u32,
    },
    /// Terminal: the check is through.
    Checked {
        /// What was found.
        report: Report,
    },
    /// Terminal: the check was cancelled ([`Error::Cancelled`]), another is under way ([`Error::Busy`]), or there is nothing to verify
    /// some pieces with ([`Error::NoPieceLayers`]).
    Failed {
        /// Why.
        error: Error,
    },
    /// Terminal: no check is under way any more.
    Cancelled,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The pieces that are complete and right.
    pub have: Bitfield,
    /// Every file, in the torrent's order. Padding, which is never stored, is complete.
    pub files: Vec<FileReport>,
    /// The first file that could not be read, and why. The pieces it holds are taken for bad.
    pub error: Option<Error>,
}

impl Report {
    /// Says whether every piece is right and every file is there, those without bytes too. A file may be longer than the torrent
    /// says.
    pub fn is_complete(&self) -> bool {
        self.have.is_full() && self.files.iter().all(FileReport::is_complete)
    }
}

/// What a check found of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileReport {
    /// The file's length in bytes on disk, if it is there and could be looked at.
    pub found: Option<u64>,
    /// Its length in bytes in the torrent.
    pub expected: u64,
    /// Pieces that have bytes in the file.
    pub pieces: u32,
    /// Of these, pieces that are not right. Such a piece may be wrong only in a neighbouring file: which of them it is, the
    /// hashes do not say. With version 2 a piece has bytes of one file alone.
    pub bad: u32,
    /// Why the file could not be looked at.
    pub error: Option<Error>,
}

/// What is the matter with a file, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It is there and right.
    Complete,
    /// It is right as far as the torrent goes, and longer.
    TooLong,
    /// It is not there.
    Missing,
    /// It ends too early.
    TooShort,
    /// Pieces of it are not right.
    Bad,
    /// It could not be looked at.
    Unreadable,
}

impl FileReport {
    /// Gives the worst that is the matter with the file.
    pub fn state(&self) -> FileState {
        match self.found {
            _ if self.error.is_some() => FileState::Unreadable,
            None => FileState::Missing,
            Some(found) if found < self.expected => FileState::TooShort,
            _ if self.bad > 0 => FileState::Bad,
            Some(found) if found > self.expected => FileState::TooLong,
            _ => FileState::Complete,
        }
    }

    /// Says whether the file is there and all its pieces are right.
    pub fn is_complete(&self) -> bool {
        matches!(self.state(), FileState::Complete | FileState::TooLong)
    }
}

/// Verifies a torrent where it lies. The [module's page](self) has what it promises.
#[derive(Debug)]
pub struct Check {
    config: Config,
    run: Option<Run>,
    /// Jobs under way; `None` is the closing of the files.
    jobs: Map<JobId, Option<CheckTask>>,
    next_job: u64,
    next_store: u64,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Run {
    checker: Checker,
    layout: Arc<Layout>,
    store: Arc<Store>,
    cancels: usize,
    closing: bool,
}

impl Check {
    /// Makes a check that waits for its start.
    pub fn new(config: Config, rng: &mut Rng) -> Self {
        Self { config, run: None, jobs: Map::new(rng), next_job: 0, next_store: 0, events: VecDeque::new() }
    }

    fn end(&mut self) {
        let Some(run) = self.run.take() else { return };
        self.events.push_back(if run.cancels > 0 {
            Event::Failed { error: Error::Cancelled }
        } else {
            Event::Checked { report: report(&run) }
        });
        self.events.extend((0..run.cancels).map(|_| Event::Cancelled));
    }
}

fn report(run: &Run) -> Report {
    let (layout, checker) = (&run.layout, &run.checker);
    let piece_length = u64::from(layout.geometry().piece_length());
    let file = |(index, file): (usize, &crate::proto::metainfo::File)| {
        let first = file.offset / piece_length;
        let counts = file.length > 0 && !file.is_padding;
        let end = if counts { (file.offset + file.length).div_ceil(piece_length) } else { first };
        // Pieces are counted in 32 bits.
        let (first, end) = (first as u32, end as u32);
        let bad = (first..end).filter(|&piece| !checker.have().contains(PieceIndex(piece))).count() as u32;
        FileReport {
            found: checker.found().get(index).copied().flatten().map(|stamp| stamp.length),
            expected: file.length,
            pieces: end - first,
            bad,
            error: checker.unreadable().get(&FileIndex(index as u32)).cloned(),
        }
    };
    Report {
        have: checker.have().clone(),
        files: layout.files().iter().enumerate().map(file).collect(),
        error: checker.failure().cloned(),
    }
}

impl Machine for Check {
    type Command = Command;
    type Event = Event;
    type Job = Job;
    type Done = Done;

    fn handle_command(&mut self, _: Instant, command: Command) {
        match command {
            Command::Start { .. } if self.run.is_some() => {
                self.events.push_back(Event::Failed { error: Error::Busy });
            }
            Command::Start { layout, .. } if !layout.is_verifiable() => {
                self.events.push_back(Event::Failed { error: Error::NoPieceLayers });
            }
            Command::Start { layout, root } => {
                let id = StoreId(self.next_store);
                self.next_store += 1;
                let source = Source::Torrent(Arc::clone(&layout));
                let store = Arc::new(Store { id, root, source, writable: false });
                let checker = Checker::new(Arc::clone(&store), Arc::clone(&layout));
                self.run = Some(Run { checker, layout, store, cancels: 0, closing: false });
            }
            Command::Cancel => match &mut self.run {
                None => self.events.push_back(Event::Cancelled),
                Some(run) => {
                    run.checker.stop();
                    run.cancels += 1;
                }
            },
        }
    }

    fn handle_input(&mut self, _: Instant, input: Input<'_, Done>) {
        let Input::Done { job, done } = input else { return };
        let Some(task) = self.jobs.remove(&job) else { return };
        let Some(task) = task else { return self.end() };
        let Some(run) = &mut self.run else { return };
        run.checker.on_done(task, done.map(|d| d.result));
        if let Some((checked, good)) = run.checker.news() {
            self.events.push_back(Event::Progress { checked, good, pieces: run.checker.pieces() });
        }
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_output(&mut self, _: &mut Vec<u8>) -> Option<Output<Job>> {
        let run = self.run.as_mut()?;
        let (work, task) = if run.checker.is_over() && !run.closing {
            run.closing = true;
            (Work::Close { store: Arc::clone(&run.store) }, None)
        } else if self.jobs.len() < self.config.check_jobs.min(self.config.jobs).max(1) {
            let (work, task) = run.checker.next()?;
            (work, Some(task))
        } else {
            return None;
        };
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.insert(id, task);
        Some(Output::Job { id, job: Job { work } })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
