//! One torrent's store: what is known of it, what waits, and whose turn it is.

use super::checker::{CheckTask, Checker};
use super::command::{Checked, Event, Files, Oddity};
use super::config::{Config, JOB_BYTES};
use super::deleting::{Deleting, Remains};
use super::error::Error;
use super::job::{Outcome, Work};
use super::piece::Partial;
use super::reads::{Ask, Reads};
use super::rechecks::Rechecks;
use super::resume::ResumeFile;
use super::saving::Saver;
use super::selecting::{Move, Selecting};
use super::store::Store;
use super::suspects::Suspects;
use super::syncing::{Syncing, is_uncreated};
use crate::machine::{JobError, Rng, TorrentId};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::Span;
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::metainfo::Layout;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What a job of a torrent is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    Check(CheckTask),
    /// Also the files that it writes.
    Write(PieceIndex, Vec<FileIndex>),
    HashBlocks(PieceIndex),
    Read(Vec<Ask>),
    Sync(FileIndex),
    Select,
    Move(Move),
    Save,
    Close,
    Delete(Remains),
}

/// The kinds of work, which take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Reads, selections, syncs, saves, closes and deletions.
    Read,
    Write,
    /// Checks of what was there, and of what may be there no more.
    Check,
}

/// Events on their way out, and the count of commands without an answer.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) events: VecDeque<Event>,
    pub(crate) unanswered: usize,
}

impl Answers {
    /// Gives the answer to a command.
    pub(crate) fn answer(&mut self, event: Event) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.events.push_back(event);
    }

    pub(crate) fn notice(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

/// One torrent's store.
#[derive(Debug)]
pub(crate) struct Torrent {
    pub(super) id: TorrentId,
    pub(super) store: Arc<Store>,
    pub(super) layout: Arc<Layout>,
    /// The check of what was there; while it runs, `Add` is unanswered.
    pub(super) checker: Option<Checker>,
    pub(super) have: Bitfield,
    pub(super) selecting: Selecting,
    pub(super) rechecks: Rechecks,
    pub(super) saver: Saver,
    /// Reads that have failed one after the other.
    pub(super) failed_reads: u32,
    /// Why writes are refused until a retry.
    pub(super) stopped: Option<Error>,
    pub(super) partials: BTreeMap<PieceIndex, Partial>,
    pub(super) suspects: Suspects,
    /// How many of these are remembered.
    pub(super) bad_pieces: usize,
    /// Pieces with something to do, once each.
    pub(super) ready: VecDeque<PieceIndex>,
    /// Pieces that are held for more to come, in the order in which they began to be. Some may have been written since.
    pub(super) held: VecDeque<PieceIndex>,
    /// How many of these were there when the timer went off the last time.
    pub(super) held_long: usize,
    /// How many bytes may be held; none any more of a torrent that is about to be removed.
    pub(super) hold_bytes: Option<usize>,
    pub(super) reads: Reads,
    pub(super) syncs: usize,
    pub(super) syncing: Option<Syncing>,
    /// Files written since they were last brought to the medium.
    pub(super) dirty: BTreeSet<FileIndex>,
    /// Pieces written since the last sync began.
    pub(super) fresh: BTreeSet<PieceIndex>,
    pub(super) in_flight: usize,
    /// Blocks without an answer.
    pub(super) writes: usize,
    /// Bytes of blocks that wait to be written.
    pub(super) waiting: usize,
    /// Ranges remembered over all incomplete pieces.
    pub(super) ranges: usize,
    /// Commands to remove it.
    pub(super) removals: usize,
    pub(super) removal_error: Option<Error>,
    pub(super) synced_last: bool,
    closing: bool,
    pub(super) deleting: Deleting,
    /// Whether the torrent's place in the queue of a class is taken.
    pub(crate) queued: [bool; 3],
}

impl Torrent {
    pub(crate) fn new(
        id: TorrentId,
        store: Arc<Store>,
        layout: Arc<Layout>,
        skipped: Arc<[bool]>,
        resume: Option<ResumeFile>,
        config: &Config,
        rng: &mut Rng,
    ) -> Self {
        let mut checker = Checker::new(Arc::clone(&store), Arc::clone(&layout)).skipping(Arc::clone(&skipped));
        if let Some(file) = &resume {
            checker = checker.with_resume(file.clone(), config, rng.fork());
        }
        Self {
            id,
            checker: Some(checker),
            selecting: Selecting::new(skipped),
            rechecks: Rechecks::default(),
            saver: Saver::new(resume),
            failed_reads: 0,
            have: Bitfield::new(layout.geometry().piece_count()),
            store,
            layout,
            stopped: None,
            partials: BTreeMap::new(),
            suspects: Suspects::default(),
            bad_pieces: config.bad_pieces,
            ready: VecDeque::new(),
            held: VecDeque::new(),
            held_long: 0,
            hold_bytes: Some(config.hold_bytes),
            reads: Reads::default(),
            syncs: 0,
            syncing: None,
            dirty: BTreeSet::new(),
            fresh: BTreeSet::new(),
            in_flight: 0,
            writes: 0,
            waiting: 0,
            ranges: 0,
            removals: 0,
            removal_error: None,
            synced_last: false,
            closing: false,
            deleting: Deleting::default(),
            queued: [false; 3],
        }
    }

    pub(crate) fn on_read(&mut self, span: Span, ticket: u64, out: &mut Answers) {
        let error = if self.is_ending() {
            Error::Removing
        } else if self.checker.is_some() {
            Error::StillChecking
        } else if !self.layout.geometry().contains(span) || span.length > JOB_BYTES {
            Error::OutOfRange { span }
        } else if !self.have.contains(span.piece) {
            Error::NotVerified { piece: span.piece }
        } else {
            self.reads.push(span, ticket);
            return;
        };
        out.answer(Event::Read { torrent: self.id, span, ticket, block: Err(error) });
    }

    pub(crate) fn on_sync(&mut self, out: &mut Answers) {
        if self.is_ending() {
            out.answer(Event::Synced { torrent: self.id, error: Some(Error::Removing) });
        } else {
            self.syncs += 1;
        }
    }

    pub(crate) fn on_retry(&mut self) {
        self.stopped = None;
        self.failed_reads = 0;
        if self.removals == 0 {
            self.rechecks.retry();
        }
    }

    pub(crate) fn on_remove(&mut self, files: Files, out: &mut Answers) {
        self.removals += 1;
        if files == Files::Delete {
            self.on_delete(out);
        }
        self.rechecks.stop();
        if let Some(checker) = &mut self.checker {
            checker.stop();
        }
    }

    /// Says whether the torrent is on its way out: nothing new is taken.
    pub(crate) fn is_ending(&self) -> bool {
        self.removals > 0 || self.checker.as_ref().is_some_and(|c| c.failure().is_some())
    }

    /// Gives how many of its jobs are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn is_idle(&self) -> bool {
        self.saver.is_idle()
            && self.in_flight == 0
            && self.suspects.is_idle()
            && self.writes == 0
            && self.reads.is_empty()
            && self.syncs == 0
            && self.syncing.is_none()
    }

    /// Gives the next job of a class, if there is one.
    pub(crate) fn next(&mut self, class: Class, out: &mut Answers) -> Option<(Work, Task)> {
        let next = match class {
            Class::Read => self.next_read(out),
            Class::Write => self.next_write(out),
            Class::Check => match &mut self.checker {
                Some(checker) => checker.next().map(|(work, task)| (work, Task::Check(task))),
                None => self.next_recheck(),
            },
        };
        self.in_flight += usize::from(next.is_some());
        next
    }

    fn next_read(&mut self, out: &mut Answers) -> Option<(Work, Task)> {
        let store = Arc::clone(&self.store);
        while let Some(asks) = self.reads.next(self.layout.geometry()) {
            if asks.iter().any(|ask| !self.have.contains(ask.span.piece)) {
                // What came to be in doubt while it waited is not read.
                let (read, doubtful) = asks.into_iter().partition(|ask| self.have.contains(ask.span.piece));
                self.reads.split(read);
                self.refuse_reads(doubtful, out);
                continue;
            }
            let offset = asks.first().map_or(0, |ask| self.layout.geometry().offset_of(ask.span));
            let lengths = asks.iter().map(|ask| ask.span.length).collect();
            return Some((Work::Read { store, offset, lengths }, Task::Read(asks)));
        }
        if !self.is_ending() {
            if let Some(piece) = self.suspects.next_mended() {
                return self.next_block_hashes(piece);
            }
        }
        if let Some(next) = self.next_select(out) {
            return Some(next);
        }
        if let Some(next) = self.next_save() {
            return Some(next);
        }
        if let Some(next) = self.next_sync(out) {
            return Some(next);
        }
        if self.is_ending() && self.is_idle() && self.synced_last {
            if std::mem::replace(&mut self.closing, true) {
                return self.next_deletion();
            }
            return Some((Work::Close { store }, Task::Close));
        }
        None
    }

    /// Takes a job's end. Says whether the torrent is closed and gone.
    pub(crate) fn on_done(
        &mut self,
        config: &Config,
        task: Task,
        outcome: Result<Outcome, JobError>,
        out: &mut Answers,
    ) -> bool {
        self.in_flight -= 1;
        match (task, outcome) {
            (Task::Check(CheckTask::Hash(piece)), outcome) if self.checker.is_none() => {
                self.on_rechecked(piece, outcome, out);
            }
            (Task::Check(task), outcome) => {
                if let Some(checker) = &mut self.checker {
                    checker.on_done(task, outcome);
                }
                self.check_on(config, out);
            }
            (Task::Write(piece, files), outcome) => {
                // Only now, or a sync meanwhile would take them off the list; and a failed write may have written some.
                self.dirty.extend(files.into_iter().filter(|file| !is_uncreated(&self.store, *file, &outcome)));
                self.fresh.insert(piece);
                match outcome {
                    Ok(Outcome::Hash(Ok(hash))) => self.on_written(piece, hash, out),
                    outcome => self.on_write_failed(piece, failure(outcome), out),
                }
            }
            (Task::HashBlocks(piece), Ok(Outcome::BlockHashes(Ok(hashes)))) => {
                self.on_blocks_hashed(piece, Some(hashes), out);
            }
            (Task::HashBlocks(piece), _) => self.on_blocks_hashed(piece, None, out),
            (Task::Read(asks), Ok(Outcome::Read(Ok(blocks)))) if asks.len() == blocks.len() => {
                self.failed_reads = 0;
                for (Ask { span, ticket, .. }, block) in asks.into_iter().zip(blocks) {
                    out.answer(Event::Read { torrent: self.id, span, ticket, block: Ok(block) });
                }
            }
            // One of them could not be read: each is tried by itself, so that the others are answered with their bytes.
            (Task::Read(asks), _) if asks.len() > 1 => self.reads.split(asks),
            (Task::Read(asks), outcome) => {
                let error = failure(outcome);
                for Ask { span, ticket, .. } in asks {
                    out.answer(Event::Read { torrent: self.id, span, ticket, block: Err(error.clone()) });
                    self.on_read_failed(span, error.clone(), config.read_failures, out);
                }
            }
            (Task::Sync(file), outcome) => self.on_file_synced(file, outcome, out),
            (Task::Save, outcome) => {
                let saved = matches!(outcome, Ok(Outcome::Nothing(Ok(()))));
                self.on_saved((!saved).then(|| failure(outcome)), out);
            }
            (Task::Select, outcome) => self.on_selected(outcome, out),
            (Task::Move(next), outcome) => self.on_moved(next, outcome, out),
            (Task::Close, _) => return self.is_gone(out),
            (Task::Delete(remains), outcome) => {
                self.on_deleted(&remains, outcome);
                return self.is_gone(out);
            }
        }
        false
    }

    /// Looks at the check after each of its steps.
    pub(crate) fn check_on(&mut self, config: &Config, out: &mut Answers) {
        let Some(checker) = &mut self.checker else { return };
        if checker.failure().is_some() {
            checker.stop();
            return;
        }
        let (torrent, pieces) = (self.id, checker.pieces());
        if let Some((checked, good)) = checker.news() {
            out.notice(Event::Checking { torrent, checked, good, pieces });
        }
        if self.removals == 0 && checker.is_over() {
            self.have = checker.have().clone();
            let files = self.layout.files().iter().zip(checker.found()).enumerate();
            let oddities = files.filter_map(|(index, (file, found))| {
                let found = found.filter(|found| found.length > file.length)?.length;
                Some(Oddity::TooLong { file: FileIndex(index as u32), found, expected: file.length })
            });
            let oddities = oddities.collect();
            self.selecting.on_held(checker.held());
            let stamps = checker.found().to_vec();
            self.dirty.extend(checker.made());
            let believed = checker.believed().map(|resume| resume.partials.clone());
            let checked = if believed.is_some() { Checked::Sampled } else { Checked::Full };
            self.checker = None;
            self.begin_saving(stamps, checked);
            let writable = self.store.writable;
            let stored = believed.filter(|_| writable).map(|partials| self.adopt(&partials, config.ranges));
            let (have, stored) = (self.have.clone(), stored.unwrap_or_default());
            out.answer(Event::Added { torrent, have, stored, checked, oddities });
        }
    }

    /// Says whether all is closed, and deleted if it was to be; then everything is answered.
    fn is_gone(&mut self, out: &mut Answers) -> bool {
        if !self.is_deleted() {
            return false;
        }
        let torrent = self.id;
        if let Some(checker) = self.checker.take() {
            let error = checker.failure().cloned().unwrap_or(Error::Removing);
            out.answer(Event::AddFailed { torrent, error });
        }
        self.answer_removals(out);
        true
    }
}

pub(super) fn failure(outcome: Result<Outcome, JobError>) -> Error {
    match outcome {
        Err(error) => Error::Job(error),
        Ok(
            Outcome::Hash(Err(error))
            | Outcome::Read(Err(error))
            | Outcome::Nothing(Err(error))
            | Outcome::Moved(Err(error))
            | Outcome::Synced(Err(error)),
        ) => error,
        // The executor answers every job in kind.
        Ok(_) => Error::Job(JobError::Refused),
    }
}
