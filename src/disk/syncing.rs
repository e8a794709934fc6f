//! What was written on its way to the medium.

use super::command::Event;
use super::error::{Error, Operation};
use super::job::{Outcome, Work};
use super::store::Store;
use super::torrent::{Answers, Task, Torrent, failure};
use crate::machine::JobError;
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::resume::Resume;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A sync under way: file by file, one per job, for each may block for long.
#[derive(Debug)]
pub(super) struct Syncing {
    left: Vec<FileIndex>,
    /// Pieces that were written since the last sync.
    pieces: BTreeSet<PieceIndex>,
    /// What is to be saved once it has ended.
    snapshot: Option<Box<Resume>>,
    /// Commands that it answers; none for the sync before closing.
    asked: usize,
    error: Option<Error>,
    in_flight: bool,
}

impl Torrent {
    /// Gives the next job of a sync, or of the save that follows it.
    pub(super) fn next_sync(&mut self, out: &mut Answers) -> Option<(Work, Task)> {
        // Twice: the end of a sync may let the last one begin.
        let store = Arc::clone(&self.store);
        for _ in 0..2 {
            let ending = self.is_ending() && self.is_idle();
            // A sync says that all is on the medium: what is in doubt comes first.
            // What is to be moved comes first, too; where nothing may be written it never is.
            let moved = self.selecting.is_idle() || self.stopped.is_some() || !self.store.writable;
            let asked = self.syncs > 0 && self.rechecks.is_idle() && moved;
            if self.syncing.is_none() && (asked || (ending && !self.synced_last) || self.is_save_due()) {
                let snapshot = self.snapshot();
                let pieces = std::mem::take(&mut self.fresh);
                let asked = std::mem::take(&mut self.syncs);
                self.synced_last |= ending;
                let left: Vec<_> = std::mem::take(&mut self.dirty).into_iter().rev().collect();
                self.syncing = Some(Syncing { left, pieces, snapshot, asked, error: None, in_flight: false });
            }
            if let Some(syncing) = self.syncing.as_mut().filter(|s| !s.in_flight) {
                if let Some(file) = syncing.left.pop() {
                    syncing.in_flight = true;
                    return Some((Work::Sync { store, file }, Task::Sync(file)));
                }
                self.end_sync(out);
                if let Some(next) = self.next_save() {
                    return Some(next);
                }
            }
        }
        None
    }

    /// Gives up what is not on the medium yet: it is to be deleted. A job that is under way ends for nobody.
    pub(super) fn withdraw_syncs(&mut self, out: &mut Answers) {
        let mut asked = std::mem::take(&mut self.syncs);
        if let Some(syncing) = &mut self.syncing {
            asked += std::mem::take(&mut syncing.asked);
            syncing.left.clear();
        }
        for _ in 0..asked {
            out.answer(Event::Synced { torrent: self.id, error: Some(Error::Removing) });
        }
    }

    fn end_sync(&mut self, out: &mut Answers) {
        let Some(Syncing { asked, snapshot, mut error, .. }) = self.syncing.take() else { return };
        self.after_sync(snapshot, error.as_ref());
        if asked == 0 && self.is_ending() && self.removal_error.is_none() {
            self.removal_error.clone_from(&error);
        }
        if error.is_none() {
            error = self.rechecks.error().cloned();
        }
        for _ in 0..asked {
            out.answer(Event::Synced { torrent: self.id, error: error.clone() });
        }
    }

    pub(super) fn on_file_synced(&mut self, file: FileIndex, outcome: Result<Outcome, JobError>, out: &mut Answers) {
        let error = match outcome {
            Ok(Outcome::Synced(Ok(stamp))) => {
                self.saver.set_stamp(file, stamp);
                None
            }
            outcome => Some(failure(outcome)),
        };
        if let Some(syncing) = &mut self.syncing {
            syncing.in_flight = false;
            if syncing.error.is_none() {
                syncing.error.clone_from(&error);
            }
        }
        if let Some(error) = error {
            self.dirty.insert(file);
            self.on_sync_failed(file);
            self.stop(error, out);
        }
    }

    /// Takes note that what was written to a file may not be on the medium, whatever a later sync says.
    pub(super) fn on_sync_failed(&mut self, file: FileIndex) {
        self.saver.distrust();
        let pieces = self.pieces_of(file);
        let range = PieceIndex(pieces.start)..PieceIndex(pieces.end);
        let synced = self.syncing.iter().flat_map(|syncing| syncing.pieces.range(range.clone()));
        let doubtful: Vec<PieceIndex> = synced.chain(self.fresh.range(range.clone())).copied().collect();
        self.suspect(doubtful);
    }
}

/// Says whether a file that was to be written could not be made: there is nothing to sync.
pub(super) fn is_uncreated(store: &Store, file: FileIndex, outcome: &Result<Outcome, JobError>) -> bool {
    let Ok(Outcome::Hash(Err(Error::Io { operation: Operation::Creating, file: name, .. }))) = outcome else {
        return false;
    };
    store.name(file) == *name
}
