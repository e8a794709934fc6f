//! Which of a torrent's files are skipped, and what is to be moved when that changes.

use super::command::Event;
use super::error::{Error, Operation};
use super::job::{Outcome, Work};
use super::parts::Fragment;
use super::torrent::{Answers, Task, Torrent, failure};
use crate::machine::JobError;
use crate::proto::id::FileIndex;
use crate::proto::metainfo::Layout;
use std::collections::VecDeque;
use std::sync::Arc;

/// Something to do for a file that is wanted from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// What lies beside it goes into it.
    Fragment(Fragment),
    /// It has no bytes, and is made.
    Empty(FileIndex),
}

impl Move {
    fn file(self) -> FileIndex {
        match self {
            Move::Fragment(fragment) => fragment.file,
            Move::Empty(file) => file,
        }
    }
}

/// Which files are skipped, and what is to be done for that. Bounded by the number of files, and of unanswered commands.
#[derive(Debug, Default)]
pub(crate) struct Selecting {
    /// None at all, or an entry for each file.
    skipped: Arc<[bool]>,
    /// Selections that wait for their turn.
    asked: VecDeque<Arc<[bool]>>,
    /// What is to be moved, in the order of files.
    moves: VecDeque<Move>,
    /// Commands that are answered when all is moved.
    unanswered: usize,
    in_flight: bool,
}

impl Selecting {
    pub(crate) fn new(skipped: Arc<[bool]>) -> Self {
        Self { skipped, ..Self::default() }
    }

    /// Says whether everything is where it belongs.
    pub(crate) fn is_idle(&self) -> bool {
        !self.in_flight && self.asked.is_empty() && self.moves.is_empty()
    }

    fn skips(&self, file: FileIndex) -> bool {
        self.skipped.get(file.as_usize()).copied().unwrap_or(false)
    }

    /// Takes note of what lies beside the files.
    pub(crate) fn on_held(&mut self, held: &[Fragment]) {
        let wanted = held.iter().filter(|fragment| !self.skips(fragment.file));
        self.moves = wanted.map(|fragment| Move::Fragment(*fragment)).collect();
    }

    fn switch(&mut self, layout: &Layout, skipped: Arc<[bool]>) -> Vec<FileIndex> {
        let before = std::mem::replace(&mut self.skipped, skipped);
        let empty = layout.files().iter().enumerate().filter(|(_, file)| file.length == 0 && !file.is_padding);
        // Parsing and building see to it that there are fewer files than 2^32.
        let empty = empty.map(|(index, _)| FileIndex(index as u32));
        empty.filter(|file| before.get(file.as_usize()) == Some(&true) && !self.skips(*file)).collect()
    }
}

/// Says whether a list of skipped files is of a torrent.
pub(crate) fn fits(layout: &Layout, skipped: &[bool]) -> bool {
    skipped.is_empty() || skipped.len() == layout.files().len()
}

impl Torrent {
    pub(crate) fn on_select(&mut self, skipped: Vec<bool>, out: &mut Answers) {
        let error = if self.is_ending() {
            Error::Removing
        } else if self.checker.is_some() {
            Error::StillChecking
        } else if !fits(&self.layout, &skipped) {
            Error::WrongSelection
        } else {
            self.selecting.asked.push_back(skipped.into());
            return;
        };
        out.answer(Event::Selected { torrent: self.id, error: Some(error) });
    }

    /// Gives the next job for a selection. One at a time, so that what is asked later comes later.
    pub(super) fn next_select(&mut self, out: &mut Answers) -> Option<(Work, Task)> {
        if self.selecting.in_flight || self.checker.is_some() {
            return None;
        }
        if self.is_ending() {
            self.selecting.moves.clear();
            let waiting = std::mem::take(&mut self.selecting.asked).len();
            self.selecting.unanswered += waiting;
            self.answer_selects(Some(&Error::Removing), out);
            return None;
        }
        let store = Arc::clone(&self.store);
        let next = if let Some(skipped) = self.selecting.asked.front().map(Arc::clone) {
            (Work::Select { store, skipped }, Task::Select)
        } else {
            let next =
                self.selecting.moves.front().copied().filter(|_| self.stopped.is_none() && self.store.writable)?;
            let work = match next {
                Move::Fragment(fragment) => {
                    // What is neither verified nor on its way to be is of no use.
                    let keep = self.have.contains(fragment.piece)
                        || self.partials.contains_key(&fragment.piece)
                        || self.rechecks.contains(fragment.piece);
                    Work::Move { store, fragment, keep }
                }
                Move::Empty(file) => Work::MakeEmpty { store, file },
            };
            (work, Task::Move(next))
        };
        self.selecting.in_flight = true;
        Some(next)
    }

    /// Takes the end of the job that told the executor of a selection.
    pub(super) fn on_selected(&mut self, outcome: Result<Outcome, JobError>, out: &mut Answers) {
        self.selecting.in_flight = false;
        let Some(skipped) = self.selecting.asked.pop_front() else { return };
        self.selecting.unanswered += 1;
        let held = match outcome {
            Ok(Outcome::Selected(held)) => held,
            outcome => return self.answer_selects(Some(&failure(outcome)), out),
        };
        let waiting: Vec<Move> = self.selecting.moves.iter().filter(|m| matches!(m, Move::Empty(_))).copied().collect();
        let made = self.selecting.switch(&self.layout, skipped);
        self.selecting.on_held(&held);
        let made = made.into_iter().map(Move::Empty).chain(waiting).filter(|m| !self.selecting.skips(m.file()));
        let made: Vec<Move> = made.collect();
        self.selecting.moves.extend(made);
        match &self.stopped {
            Some(error) if !self.selecting.moves.is_empty() => {
                let error = error.clone();
                self.answer_selects(Some(&error), out);
            }
            _ => self.answer_if_moved(out),
        }
    }

    /// Takes the end of a job that moved something.
    pub(super) fn on_moved(&mut self, next: Move, outcome: Result<Outcome, JobError>, out: &mut Answers) {
        self.selecting.in_flight = false;
        self.dirty.insert(next.file());
        match outcome {
            Ok(Outcome::Moved(Ok(more))) => {
                if !more && self.selecting.moves.front() == Some(&next) {
                    self.selecting.moves.pop_front();
                }
                self.answer_if_moved(out);
            }
            outcome => {
                let error = failure(outcome);
                if matches!(error, Error::Io { operation: Operation::Syncing, .. }) {
                    self.on_sync_failed(next.file());
                }
                self.answer_selects(Some(&error), out);
                self.stop(error, out);
            }
        }
    }

    fn answer_if_moved(&mut self, out: &mut Answers) {
        if self.selecting.moves.is_empty() || !self.store.writable {
            self.answer_selects(None, out);
        }
    }

    /// Answers the selections that wait for what is being moved.
    pub(super) fn answer_selects(&mut self, error: Option<&Error>, out: &mut Answers) {
        for _ in 0..std::mem::take(&mut self.selecting.unanswered) {
            out.answer(Event::Selected { torrent: self.id, error: error.cloned() });
        }
    }
}
