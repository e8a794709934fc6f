//! Verifies what is on disk: the part that `Disk` and `Check` share.

use super::error::Error;
use super::interval::IntervalSet;
use super::job::{HashState, Outcome, Work};
use super::parts::{self, Fragment};
use super::store::Store;
use crate::machine::JobError;
use crate::proto::bitfield::Bitfield;
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::metainfo::Layout;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// How many files one job looks at.
pub(crate) const STATS: u32 = 256;

/// What a job of a checker is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CheckTask {
    Select,
    Stat(Range<u32>),
    Hash(PieceIndex),
}

/// First looks at all files, then hashes the pieces that can be complete, in order. A piece of which a byte is missing costs
/// nothing, so a torrent of which nothing is there is checked at once.
#[derive(Debug)]
pub(crate) struct Checker {
    store: Arc<Store>,
    layout: Arc<Layout>,
    /// The files' lengths on disk, as far as they are known.
    found: Vec<Option<u64>>,
    /// The files that are skipped, until the executor knows.
    skipped: Option<Arc<[bool]>>,
    /// What lies beside files that are skipped, in the order of files.
    held: Vec<Fragment>,
    /// Files that could not be looked at.
    unreadable: BTreeMap<FileIndex, Error>,
    /// The first thing that went wrong.
    failure: Option<Error>,
    next_file: u32,
    /// Pieces of which bytes are missing.
    absent: IntervalSet,
    next_piece: u32,
    /// Pieces longer than one job, between two jobs.
    continuing: VecDeque<(PieceIndex, HashState)>,
    in_flight: usize,
    /// Whether reads far apart cost a seek, as far as it is known: then one job at a time.
    seeks: bool,
    have: Bitfield,
    checked: u32,
    reported: u32,
    stopped: bool,
}

impl Checker {
    pub(crate) fn new(store: Arc<Store>, layout: Arc<Layout>) -> Self {
        let pieces = layout.geometry().piece_count();
        Self {
            found: vec![None; layout.files().len()],
            // What lies in one file lies beside no other.
            skipped: (layout.files().len() > 1).then(Arc::default),
            held: Vec::new(),
            store,
            layout,
            unreadable: BTreeMap::new(),
            failure: None,
            next_file: 0,
            absent: IntervalSet::default(),
            next_piece: 0,
            continuing: VecDeque::new(),
            in_flight: 0,
            seeks: false,
            have: Bitfield::new(pieces),
            checked: 0,
            reported: 0,
            stopped: false,
        }
    }

    /// The same, where files are skipped: one entry for each file.
    pub(crate) fn skipping(mut self, skipped: Arc<[bool]>) -> Self {
        self.skipped = self.skipped.map(|_| skipped);
        self
    }

    /// Gives what lies beside files.
    pub(crate) fn held(&self) -> &[Fragment] {
        &self.held
    }

    pub(crate) fn pieces(&self) -> u32 {
        self.have.pieces()
    }

    pub(crate) fn have(&self) -> &Bitfield {
        &self.have
    }

    pub(crate) fn found(&self) -> &[Option<u64>] {
        &self.found
    }

    pub(crate) fn unreadable(&self) -> &BTreeMap<FileIndex, Error> {
        &self.unreadable
    }

    /// Gives the first thing that went wrong.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Issues no more jobs.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Says whether no job is under way and none will follow.
    pub(crate) fn is_over(&self) -> bool {
        self.in_flight == 0 && (self.stopped || self.is_through())
    }

    fn is_through(&self) -> bool {
        self.next_file == self.store.file_count() && self.continuing.is_empty() && self.next_piece == self.pieces()
    }

    /// Gives the pieces looked at, where it is time to tell: about a hundred times in all.
    pub(crate) fn news(&mut self) -> Option<(u32, u32)> {
        let step = (self.pieces() / 100).max(1);
        if self.checked - self.reported < step {
            return None;
        }
        self.reported = self.checked;
        Some((self.checked, self.have.count()))
    }

    pub(crate) fn next(&mut self) -> Option<(Work, CheckTask)> {
        if self.stopped || (self.seeks && self.in_flight > 0) {
            return None;
        }
        let files = self.store.file_count();
        let (work, task) = if let Some(skipped) = self.skipped.take() {
            (Work::Select { store: Arc::clone(&self.store), skipped }, CheckTask::Select)
        } else if self.next_file == 0 && self.in_flight > 0 {
            // What lies beside the files is looked at first.
            return None;
        } else if self.next_file < files {
            let range = self.next_file..files.min(self.next_file.saturating_add(STATS));
            self.next_file = range.end;
            (Work::Stat { store: Arc::clone(&self.store), files: range.clone() }, CheckTask::Stat(range))
        } else if let Some((piece, hash)) = self.continuing.pop_front() {
            (self.hash(piece, hash), CheckTask::Hash(piece))
        } else if self.stats_done() && self.next_piece < self.pieces() {
            let piece = PieceIndex(self.next_piece);
            self.next_piece += 1;
            let work = self.hash(piece, HashState::default());
            self.skip_absent();
            (work, CheckTask::Hash(piece))
        } else {
            return None;
        };
        self.in_flight += 1;
        Some((work, task))
    }

    fn hash(&self, piece: PieceIndex, hash: HashState) -> Work {
        let geometry = self.layout.geometry();
        let (offset, until) = (geometry.piece_offset(piece), geometry.length_of(piece));
        Work::Hash { store: Arc::clone(&self.store), offset, hash, until }
    }

    /// Says whether all files were looked at: until then no piece is hashed, so all jobs under way look at files.
    fn stats_done(&self) -> bool {
        self.next_file == self.store.file_count() && (self.next_piece > 0 || self.in_flight == 0)
    }

    fn skip_absent(&mut self) {
        let end = self.absent.end_from(self.next_piece).min(self.pieces());
        self.checked += end - self.next_piece;
        self.next_piece = end;
    }

    pub(crate) fn on_done(&mut self, task: CheckTask, outcome: Result<Outcome, JobError>) {
        self.in_flight -= 1;
        match (task, outcome) {
            (CheckTask::Select, Ok(Outcome::Selected(held))) => self.held = held,
            (CheckTask::Stat(files), Ok(Outcome::Stat { lengths, seeks })) => {
                self.seeks |= seeks;
                for (file, length) in files.zip(lengths) {
                    self.on_stat(FileIndex(file), length);
                }
                if self.stats_done() {
                    self.skip_absent();
                }
            }
            (CheckTask::Hash(piece), Ok(Outcome::Hash(result))) => self.on_hash(piece, result),
            (_, Err(error)) => self.fail(Error::Job(error)),
            // The executor answers every job in kind.
            (_, Ok(_)) => self.fail(Error::Job(JobError::Refused)),
        }
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    fn on_stat(&mut self, file: FileIndex, length: Result<Option<u64>, Error>) {
        let Some(expected) = self.layout.file(file) else { return };
        let (offset, wanted) = (expected.offset, expected.length);
        let length = length.unwrap_or_else(|error| {
            self.fail(error.clone());
            self.unreadable.insert(file, error);
            None
        });
        if let Some(found) = self.found.get_mut(file.as_usize()) {
            *found = length;
        }
        let there = length.unwrap_or(0);
        if there < wanted {
            // Both fit: the geometry made sure that pieces are counted in 32 bits.
            let piece = |at: u64| (at / u64::from(self.layout.geometry().piece_length())) as u32;
            let pieces = piece(offset + there)..piece(offset + wanted - 1) + 1;
            parts::without_held(pieces, file, &self.held).into_iter().for_each(|range| self.absent.insert(range));
        }
    }

    fn on_hash(&mut self, piece: PieceIndex, result: Result<HashState, Error>) {
        match result {
            Ok(state) if state.at < self.layout.geometry().length_of(piece) => {
                self.continuing.push_back((piece, state));
                return;
            }
            Ok(state) => {
                if self.layout.piece_hash(piece) == Some(&state.sha.finish()) {
                    self.have.insert(piece);
                }
            }
            // The file became shorter since it was looked at: the piece is not there.
            Err(error) if error.is_short() => {}
            Err(error) => self.fail(error),
        }
        self.checked += 1;
    }
}
