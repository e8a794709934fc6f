//! Blocks on their way into the files, and the verdict on their pieces.

use super::command::{Event, Written};
use super::config::{Config, JOB_BYTES};
use super::error::Error;
use super::hash_state::{HashState, Verdict};
use super::job::Work;
use super::piece::{Next, Partial};
use super::torrent::{Answers, Task, Torrent};
use crate::machine::Block;
use crate::proto::geometry::Span;
use crate::proto::id::PieceIndex;
use std::sync::Arc;

impl Torrent {
    pub(crate) fn on_write(&mut self, config: &Config, span: Span, block: Block, out: &mut Answers) {
        let torrent = self.id;
        let outcome = match self.refuse_write(config, span, &block) {
            None => {
                self.writes += 1;
                self.accept(span, block);
                return;
            }
            Some(outcome) => outcome,
        };
        out.answer(Event::Written { torrent, span, outcome });
    }

    fn refuse_write(&self, config: &Config, span: Span, block: &Block) -> Option<Result<Written, Error>> {
        let error = if self.is_ending() {
            Error::Removing
        } else if self.checker.is_some() {
            Error::StillChecking
        } else if !self.store.writable {
            Error::ReadOnly
        } else if !self.layout.geometry().contains(span) || span.length > JOB_BYTES {
            Error::OutOfRange { span }
        } else if block.len() != span.length as usize {
            Error::WrongLength { span, found: block.len() }
        } else if self.have.contains(span.piece) || self.rechecks.contains(span.piece) {
            return Some(Ok(Written::Known));
        } else if let Some(error) = &self.stopped {
            error.clone()
        } else if self.is_full(config, span) {
            Error::Busy
        } else {
            return None;
        };
        Some(Err(error))
    }

    /// Says whether a block is more than the limits allow.
    fn is_full(&self, config: &Config, span: Span) -> bool {
        let adds_range = || !self.partials.get(&span.piece).is_some_and(|p| p.holds(span));
        self.waiting + span.length as usize > config.write_bytes || (self.ranges >= config.ranges && adds_range())
    }

    fn accept(&mut self, span: Span, block: Block) {
        let layout = &self.layout;
        let new = || Partial::new(layout.geometry().length_of(span.piece), HashState::of(layout, span.piece));
        let partial = self.partials.entry(span.piece).or_insert_with(new);
        let before = partial.ranges();
        self.waiting += partial.accept(span, block);
        self.ranges = self.ranges - before + partial.ranges();
        self.enqueue(span.piece);
    }

    fn enqueue(&mut self, piece: PieceIndex) {
        if let Some(partial) = self.partials.get_mut(&piece) {
            if !partial.is_ready() || partial.queued {
                return;
            }
            if partial.is_due() {
                partial.queued = true;
                self.ready.push_back(piece);
            } else if !std::mem::replace(&mut partial.held, true) {
                self.held.push_back(piece);
            }
        }
    }

    /// Says whether something waits for more to come.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes note of how many bytes may be held.
    pub(crate) fn may_hold(&mut self, bytes: usize) {
        self.hold_bytes = self.hold_bytes.map(|_| bytes);
    }

    /// Has what is held written, and holds nothing from now on.
    pub(crate) fn on_release(&mut self) {
        self.hold_bytes = None;
    }

    /// Has everything written that was held already when this was called the last time.
    pub(crate) fn on_hold_timer(&mut self) {
        for _ in 0..std::mem::take(&mut self.held_long) {
            let Some(piece) = self.held.pop_front() else { break };
            self.release(piece);
        }
        self.held_long = self.held.len();
    }

    /// Has a piece written whatever it holds.
    fn release(&mut self, piece: PieceIndex) {
        // Of what was held meanwhile it may have been written, dropped, or begun anew.
        if let Some(partial) = self.partials.get_mut(&piece).filter(|partial| partial.held) {
            partial.flush();
            self.enqueue(piece);
        }
    }

    /// Gives the piece whose turn it is.
    fn next_ready(&mut self) -> Option<PieceIndex> {
        while self.ready.is_empty() && (self.is_ending() || self.hold_bytes.is_none_or(|most| self.waiting >= most)) {
            let piece = self.held.pop_front()?;
            self.held_long = self.held_long.saturating_sub(1);
            self.release(piece);
        }
        self.ready.pop_front()
    }

    pub(super) fn next_write(&mut self, out: &mut Answers) -> Option<(Work, Task)> {
        while let Some(piece) = self.next_ready() {
            if self.suspects.is_hashing(piece) {
                return self.next_block_hashes(piece);
            }
            let Some(partial) = self.partials.get_mut(&piece) else { continue };
            partial.queued = false;
            match partial.next() {
                None => {}
                Some((Next::Kept(spans), _)) => {
                    self.answer_writes(spans, &Ok(Written::Kept), out);
                    self.enqueue(piece);
                }
                Some((Next::Job { parts, hash, until }, bytes)) => {
                    self.waiting -= bytes;
                    let store = Arc::clone(&self.store);
                    let offset = self.layout.geometry().piece_offset(piece);
                    let mut files = Vec::new();
                    for part in &parts {
                        let length = part.range.len() as u64;
                        files.extend(self.layout.spans(offset + u64::from(part.begin), length).map(|span| span.file));
                    }
                    files.dedup();
                    let work = if parts.is_empty() {
                        Work::Hash { store, offset, hash, until }
                    } else {
                        Work::Write { store, offset, parts, hash, until }
                    };
                    return Some((work, Task::Write(piece, files)));
                }
            }
        }
        None
    }

    pub(super) fn next_block_hashes(&mut self, piece: PieceIndex) -> Option<(Work, Task)> {
        let work = self.suspects.job(&self.store, self.layout.geometry(), piece)?;
        Some((work, Task::HashBlocks(piece)))
    }

    pub(super) fn answer_writes(&mut self, spans: Vec<Span>, outcome: &Result<Written, Error>, out: &mut Answers) {
        self.writes -= spans.len();
        for span in spans {
            out.answer(Event::Written { torrent: self.id, span, outcome: outcome.clone() });
        }
    }

    pub(super) fn on_written(&mut self, piece: PieceIndex, hash: HashState, out: &mut Answers) {
        let Some(partial) = self.partials.get_mut(&piece) else { return };
        let progress = partial.on_done(hash);
        self.saver.change();
        self.answer_writes(progress.kept, &Ok(Written::Kept), out);
        if let Some((last, hash)) = progress.complete {
            match hash.verdict(&self.layout, piece) {
                Verdict::Good => {
                    self.have.insert(piece);
                    self.suspects.on_good(piece);
                    self.end_piece(piece, last, Written::PieceGood, out);
                }
                Verdict::Bad => {
                    if let Some(partial) = self.partials.get_mut(&piece) {
                        partial.hold();
                    }
                    self.suspects.on_bad(piece, last, self.bad_pieces);
                    self.ready.push_back(piece);
                }
                // Nobody sent anything wrong, and nobody can send anything right.
                Verdict::Contradiction => return self.on_write_failed(piece, Error::Contradiction { piece }, out),
            }
        }
        self.enqueue(piece);
    }

    /// Takes hashes of some of a piece's blocks. Only when those of a bad piece are told may it be written again.
    pub(super) fn on_blocks_hashed(&mut self, piece: PieceIndex, hashes: Option<Vec<[u8; 20]>>, out: &mut Answers) {
        let length = self.layout.geometry().length_of(piece);
        if let Some(hashed) = self.suspects.on_done(piece, length, hashes) {
            out.notice(hashed.event(self.id, piece));
            if let Some(last) = hashed.last {
                self.end_piece(piece, last, Written::PieceBad, out);
                self.enqueue(piece);
            }
        } else {
            self.ready.push_back(piece);
        }
    }

    /// Gives a piece's verdict, and forgets what was known of its blocks.
    fn end_piece(&mut self, piece: PieceIndex, last: Span, verdict: Written, out: &mut Answers) {
        let good = verdict == Written::PieceGood;
        self.answer_writes(vec![last], &Ok(verdict), out);
        let Some(partial) = self.partials.remove(&piece) else { return };
        self.ranges -= partial.ranges();
        for (span, block) in partial.into_waiting() {
            // They brought nothing that the piece did not have; of a bad piece they are the first new blocks.
            match (good, self.stopped.clone()) {
                (true, _) => self.answer_writes(vec![span], &Ok(Written::Known), out),
                (false, Some(error)) => self.answer_writes(vec![span], &Err(error), out),
                (false, None) => self.accept(span, block),
            }
        }
    }

    pub(super) fn on_write_failed(&mut self, piece: PieceIndex, error: Error, out: &mut Answers) {
        if error.is_gone() {
            self.on_partial_gone(piece, &error, out);
        } else if let Some(partial) = self.partials.get_mut(&piece) {
            let before = partial.ranges();
            let failed = partial.on_failed();
            self.ranges = self.ranges - before + partial.ranges();
            if partial.is_blank() {
                self.partials.remove(&piece);
            }
            self.answer_writes(failed, &Err(error.clone()), out);
        }
        self.stop(error, out);
    }

    /// Refuses to write until a retry. What is under way ends as it ends.
    pub(super) fn stop(&mut self, error: Error, out: &mut Answers) {
        if self.removals > 0 {
            self.removal_error.get_or_insert(error.clone());
        }
        if self.stopped.is_some() {
            return;
        }
        out.notice(Event::Stopped { torrent: self.id, error: error.clone(), unreadable: false });
        self.stop_writing(error, out);
    }

    pub(super) fn stop_writing(&mut self, error: Error, out: &mut Answers) {
        self.stopped = Some(error.clone());
        self.answer_selects(Some(&error), out);
        let mut failed = Vec::new();
        let mut ranges = 0;
        for partial in self.partials.values_mut() {
            let (spans, bytes) = partial.drop_pending();
            failed.extend(spans);
            self.waiting -= bytes;
            ranges += partial.ranges();
        }
        self.ranges = ranges;
        self.partials.retain(|_, partial| !partial.is_blank());
        self.answer_writes(failed, &Err(error), out);
    }
}
