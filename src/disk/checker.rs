//! Verifies what is on disk: the part that `Disk` and `Check` share.

use super::config::Config;
use super::error::Error;
use super::hash_state::{HashState, Verdict};
use super::interval::IntervalSet;
use super::job::{Outcome, Work};
use super::parts::{self, Fragment};
use super::resume::ResumeFile;
use super::sampling;
use super::store::Store;
use crate::machine::{JobError, Rng};
use crate::proto::bitfield::Bitfield;
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::metainfo::Layout;
use crate::proto::resume::{FileStamp, Resume};
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
    Load,
    Hash(PieceIndex),
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Files are looked at.
    Files,
    /// The resume data is read.
    Loading,
    /// Pieces of the sample are hashed.
    Sampling,
    /// All pieces that can be complete are hashed.
    Pieces,
    /// The resume data is believed.
    Believed,
}

/// What is needed to believe resume data.
#[derive(Debug)]
struct Belief {
    file: ResumeFile,
    config: Config,
    rng: Rng,
    claims: Option<Box<Resume>>,
    /// Pieces that are still to be hashed.
    sample: VecDeque<PieceIndex>,
}

/// First looks at all files, then hashes the pieces that can be complete, in order. A piece of which a byte is missing costs
/// nothing, so a torrent of which nothing is there is checked at once. With resume data that agrees with all files, a sample of the
/// pieces is hashed instead; if one of them is wrong, all are.
#[derive(Debug)]
pub(crate) struct Checker {
    store: Arc<Store>,
    layout: Arc<Layout>,
    /// The files on disk, as far as they are known.
    found: Vec<Option<FileStamp>>,
    /// The files that are skipped, until the executor knows.
    skipped: Option<Arc<[bool]>>,
    /// What lies beside files that are skipped, in the order of files.
    held: Vec<Fragment>,
    /// Files that were made: without bytes.
    made: Vec<FileIndex>,
    stage: Stage,
    belief: Option<Belief>,
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
            made: Vec::new(),
            stage: Stage::Files,
            belief: None,
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

    /// The same, but for resume data that may make it short.
    pub(crate) fn with_resume(mut self, file: ResumeFile, config: &Config, rng: Rng) -> Self {
        let config = config.clone();
        self.belief = Some(Belief { file, config, rng, claims: None, sample: VecDeque::new() });
        self
    }

    /// Gives the resume data, if it was believed.
    pub(crate) fn believed(&self) -> Option<&Resume> {
        self.belief.as_ref().filter(|_| self.stage == Stage::Believed)?.claims.as_deref()
    }

    /// Gives the files that were made.
    pub(crate) fn made(&self) -> &[FileIndex] {
        &self.made
    }

    pub(crate) fn pieces(&self) -> u32 {
        self.have.pieces()
    }

    pub(crate) fn have(&self) -> &Bitfield {
        &self.have
    }

    pub(crate) fn found(&self) -> &[Option<FileStamp>] {
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
        let all = self.continuing.is_empty() && self.next_piece == self.pieces();
        self.stage == Stage::Believed || (self.stage == Stage::Pieces && all)
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
        } else if self.stage == Stage::Loading {
            let path = self.belief.as_ref().filter(|_| self.in_flight == 0)?.file.path.clone();
            (Work::Load { path }, CheckTask::Load)
        } else if self.stage == Stage::Sampling {
            let piece = self.belief.as_mut()?.sample.pop_front()?;
            (self.hash(piece, HashState::of(&self.layout, piece)), CheckTask::Hash(piece))
        } else if self.stage == Stage::Pieces && self.next_piece < self.pieces() {
            let piece = PieceIndex(self.next_piece);
            self.next_piece += 1;
            let work = self.hash(piece, HashState::of(&self.layout, piece));
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

    /// Goes on to the next stage when all of this one is done.
    fn advance(&mut self) {
        if self.in_flight > 0 || !self.continuing.is_empty() {
            return;
        }
        match self.stage {
            Stage::Files if self.next_file == self.store.file_count() => match &self.belief {
                Some(_) if self.failure.is_none() => self.stage = Stage::Loading,
                _ => self.check_all(),
            },
            Stage::Loading => self.begin_sample(),
            Stage::Sampling => self.believe(),
            _ => {}
        }
    }

    fn check_all(&mut self) {
        self.stage = Stage::Pieces;
        self.have = Bitfield::new(self.pieces());
        (self.checked, self.reported) = (0, 0);
        self.skip_absent();
    }

    fn begin_sample(&mut self) {
        let agrees = self.belief.as_ref().is_some_and(|belief| self.agrees(belief));
        let (Some(belief), true) = (&mut self.belief, agrees) else { return self.check_all() };
        let Some(claims) = &belief.claims else { return self.check_all() };
        let mut sample = sampling::draw(&self.layout, &claims.have, &belief.config, &mut belief.rng);
        // No stamp tells whether what lies beside files is still the same: all of it is looked at.
        sample.extend(self.held.iter().map(|fragment| fragment.piece).filter(|piece| claims.have.contains(*piece)));
        sample.make_contiguous().sort_unstable();
        let mut before = None;
        sample.retain(|piece| before.replace(*piece) != Some(*piece));
        belief.sample = sample;
        self.stage = Stage::Sampling;
        self.believe();
    }

    /// Says whether resume data is of this torrent, and all files are as it says.
    fn agrees(&self, belief: &Belief) -> bool {
        belief.claims.as_ref().is_some_and(|claims| {
            claims.info_hash == belief.file.info_hash
                && claims.geometry == self.layout.geometry()
                && claims.files == self.found
                && claims.have.iter().all(|piece| self.absent.end_from(piece.0) == piece.0)
        })
    }

    /// Ends the check if all of the sample was right; checks everything if not.
    fn believe(&mut self) {
        let Some(belief) = &self.belief else { return };
        let Some(claims) = &belief.claims else { return };
        if !belief.sample.is_empty() || self.in_flight > 0 {
            return;
        }
        if self.checked == self.have.count() && self.failure.is_none() {
            self.have = claims.have.clone();
            self.checked = self.pieces();
            self.stage = Stage::Believed;
        } else {
            self.check_all();
        }
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
            (CheckTask::Stat(files), Ok(Outcome::Stat { found, made, seeks })) => {
                self.seeks |= seeks;
                self.made.extend(made);
                for (file, found) in files.zip(found) {
                    self.on_stat(FileIndex(file), found);
                }
            }
            (CheckTask::Load, Ok(Outcome::Loaded(claims))) => {
                if let Some(belief) = &mut self.belief {
                    belief.claims = claims;
                }
            }
            // A resume file that makes a job panic is none.
            (CheckTask::Load, Err(_)) => {}
            (CheckTask::Hash(piece), Ok(Outcome::Hash(result))) => self.on_hash(piece, result),
            (_, Err(error)) => self.fail(Error::Job(error)),
            // The executor answers every job in kind.
            (_, Ok(_)) => self.fail(Error::Job(JobError::Refused)),
        }
        self.advance();
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    fn on_stat(&mut self, file: FileIndex, stamp: Result<Option<FileStamp>, Error>) {
        let Some(expected) = self.layout.file(file) else { return };
        let (offset, wanted) = (expected.offset, expected.length);
        let stamp = stamp.unwrap_or_else(|error| {
            self.fail(error.clone());
            self.unreadable.insert(file, error);
            None
        });
        if let Some(found) = self.found.get_mut(file.as_usize()) {
            *found = stamp;
        }
        let there = stamp.map_or(0, |stamp| stamp.length);
        if there < wanted {
            // Both fit: the geometry made sure that pieces are counted in 32 bits.
            let piece = |at: u64| (at / u64::from(self.layout.geometry().piece_length())) as u32;
            let pieces = piece(offset + there)..piece(offset + wanted - 1) + 1;
            parts::without_held(pieces, file, &self.held).into_iter().for_each(|range| self.absent.insert(range));
        }
    }

    fn on_hash(&mut self, piece: PieceIndex, result: Result<HashState, Error>) {
        match result {
            Ok(state) if !state.is_through() => {
                self.continuing.push_back((piece, state));
                return;
            }
            Ok(state) => {
                if state.verdict(&self.layout, piece) == Verdict::Good {
                    self.have.insert(piece);
                }
            }
            // The file became shorter since it was looked at, or went: the piece is not there.
            Err(error) if error.is_gone() => {}
            Err(error) => self.fail(error),
        }
        self.checked += 1;
    }
}
