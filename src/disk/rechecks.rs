//! Pieces that were verified and may be so no more: they are verified again before they count.

use super::checker::CheckTask;
use super::command::Event;
use super::error::Error;
use super::hash_state::{HashState, Verdict};
use super::job::{Outcome, Work};
use super::reads::Ask;
use super::torrent::{Answers, Task, Torrent};
use crate::machine::JobError;
use crate::proto::geometry::Span;
use crate::proto::id::{FileIndex, PieceIndex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Pieces that are verified again. None of them is in the torrent's `have`.
#[derive(Debug, Default)]
pub(super) struct Rechecks {
    /// Each with its hash, once it is begun.
    waiting: VecDeque<(PieceIndex, Option<HashState>)>,
    /// Those that wait and those of which a job is under way.
    pieces: BTreeSet<PieceIndex>,
    /// Those that cannot be read: they are tried again at a retry.
    unread: BTreeMap<PieceIndex, Error>,
}

impl Rechecks {
    pub(super) fn contains(&self, piece: PieceIndex) -> bool {
        self.pieces.contains(&piece) || self.unread.contains_key(&piece)
    }

    /// Says whether no piece is in doubt.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.unread.is_empty()
    }

    /// Says whether none is being looked at or will be before a retry.
    pub(super) fn is_idle(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Gives why a piece is in doubt and cannot be verified.
    pub(super) fn error(&self) -> Option<&Error> {
        self.unread.values().next()
    }

    fn add(&mut self, piece: PieceIndex) {
        if self.pieces.insert(piece) {
            self.waiting.push_back((piece, None));
        }
    }

    /// Tries again what could not be read.
    pub(super) fn retry(&mut self) {
        for piece in std::mem::take(&mut self.unread).into_keys() {
            self.add(piece);
        }
    }

    /// Begins no more of them.
    pub(super) fn stop(&mut self) {
        for (piece, _) in self.waiting.drain(..) {
            self.pieces.remove(&piece);
            self.unread.insert(piece, Error::Removing);
        }
    }
}

impl Torrent {
    /// Has pieces verified again that lie in these files, if they are verified; and those that are not, in full when they
    /// are complete.
    pub(super) fn suspect(&mut self, pieces: impl IntoIterator<Item = PieceIndex>) {
        for piece in pieces {
            if self.have.remove(piece) {
                self.rechecks.add(piece);
            } else if let Some(partial) = self.partials.get_mut(&piece) {
                partial.distrust();
            }
        }
    }

    /// Answers for reads of pieces that came to be in doubt.
    pub(super) fn refuse_reads(&self, asks: Vec<Ask>, out: &mut Answers) {
        for Ask { span, ticket, .. } in asks {
            let block = Err(Error::NotVerified { piece: span.piece });
            out.answer(Event::Read { torrent: self.id, span, ticket, block });
        }
    }

    /// Gives the pieces that have bytes in a file.
    pub(super) fn pieces_of(&self, file: FileIndex) -> std::ops::Range<u32> {
        let piece_length = u64::from(self.layout.geometry().piece_length());
        match self.layout.file(file) {
            // Pieces are counted in 32 bits.
            Some(f) if f.length > 0 => {
                (f.offset / piece_length) as u32..((f.offset + f.length - 1) / piece_length) as u32 + 1
            }
            _ => 0..0,
        }
    }

    /// Takes note that bytes of a piece are gone although its file was there: all that lies in the file is in doubt.
    fn on_gone(&mut self, piece: PieceIndex, error: &Error) {
        let Error::Io { file: name, .. } = error else { return };
        let geometry = self.layout.geometry();
        let spans = self.layout.spans(geometry.piece_offset(piece), geometry.length_of(piece).into());
        let files: Vec<FileIndex> =
            spans.map(|span| span.file).filter(|file| self.store.name(*file) == *name).collect();
        for file in files {
            let pieces = self.pieces_of(file);
            self.suspect(pieces.map(PieceIndex));
        }
    }

    pub(super) fn on_read_failed(&mut self, span: Span, error: Error, most: u32, out: &mut Answers) {
        out.notice(Event::ReadFailed { torrent: self.id, error: error.clone() });
        if error.is_gone() {
            return self.on_gone(span.piece, &error);
        }
        self.failed_reads = self.failed_reads.saturating_add(1);
        if self.failed_reads == most.max(1) {
            out.notice(Event::Stopped { torrent: self.id, error: error.clone(), unreadable: true });
            self.stop_writing(error, out);
        }
    }

    /// Gives up what is written of a piece where it turned out to be gone.
    pub(super) fn on_partial_gone(&mut self, piece: PieceIndex, error: &Error, out: &mut Answers) {
        if let Some(mut partial) = self.partials.remove(&piece) {
            self.ranges -= partial.ranges();
            let (mut spans, bytes) = partial.drop_pending();
            self.waiting -= bytes;
            spans.extend(partial.on_failed());
            self.answer_writes(spans, &Err(error.clone()), out);
            self.lose(piece, out);
        }
        self.on_gone(piece, error);
    }

    fn lose(&mut self, piece: PieceIndex, out: &mut Answers) {
        self.saver.change();
        self.on_save_timer();
        out.notice(Event::PieceLost { torrent: self.id, piece });
    }

    pub(super) fn next_recheck(&mut self) -> Option<(Work, Task)> {
        let (piece, hash) = self.rechecks.waiting.pop_front()?;
        let hash = hash.unwrap_or_else(|| HashState::of(&self.layout, piece));
        let geometry = self.layout.geometry();
        let (offset, until) = (geometry.piece_offset(piece), geometry.length_of(piece));
        let work = Work::Hash { store: Arc::clone(&self.store), offset, hash, until };
        Some((work, Task::Check(CheckTask::Hash(piece))))
    }

    pub(super) fn on_rechecked(&mut self, piece: PieceIndex, outcome: Result<Outcome, JobError>, out: &mut Answers) {
        let error = match outcome {
            Ok(Outcome::Hash(Ok(hash))) if !hash.is_through() => {
                self.rechecks.waiting.push_front((piece, Some(hash)));
                if self.removals > 0 {
                    self.rechecks.stop();
                }
                return;
            }
            Ok(Outcome::Hash(Ok(hash))) => {
                if hash.verdict(&self.layout, piece) == Verdict::Good {
                    self.have.insert(piece);
                    // Where a sync had failed, the next one may, and then it is in doubt again.
                    self.fresh.insert(piece);
                    self.saver.change();
                } else {
                    self.lose(piece, out);
                }
                None
            }
            Ok(Outcome::Hash(Err(error))) if error.is_gone() => {
                self.lose(piece, out);
                None
            }
            outcome => Some(super::torrent::failure(outcome)),
        };
        self.rechecks.pieces.remove(&piece);
        if let Some(error) = error {
            self.rechecks.unread.insert(piece, error);
        }
    }
}
