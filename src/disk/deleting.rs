//! What a torrent wrote on its way out: deleted once its files are closed.

use super::checker::STATS;
use super::command::{Deletion, Event, Files};
use super::config::Config;
use super::error::Error;
use super::job::{Outcome, Work};
use super::resume::ResumeFile;
use super::store::Store;
use super::torrent::{Answers, Task, Torrent, failure};
use crate::machine::{JobError, Rng, TorrentId};
use crate::proto::id::FileIndex;
use crate::proto::metainfo::Layout;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// How many bytes of files one job deletes, where that is more than one file.
const DELETED: u64 = 1 << 30;

/// Something that a torrent leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remains {
    /// Its resume data. It goes first: what is added again while files are missing is verified in full.
    Resume(PathBuf),
    /// The parts file.
    Parts,
    /// Some of its files, and the folders that they leave empty.
    Files(Range<u32>),
}

/// How far the deletion has come. One job at a time, and it has begun when the files are closed.
#[derive(Debug, Default)]
pub(super) struct Deleting {
    /// Commands that asked for it.
    asked: usize,
    resume: Option<PathBuf>,
    parts_gone: bool,
    next_file: u32,
    deletion: Deletion,
}

impl Deletion {
    /// Makes what is told where nothing could be done.
    pub(crate) fn refused(error: Error) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Takes note of something that is still there.
    pub(super) fn fail(&mut self, error: Error) {
        self.failed = self.failed.saturating_add(1);
        self.error.get_or_insert(error);
    }

    fn add(&mut self, other: Deletion) {
        self.files = self.files.saturating_add(other.files);
        self.folders = self.folders.saturating_add(other.folders);
        self.failed = self.failed.saturating_add(other.failed);
        self.error = self.error.take().or(other.error);
    }
}

impl Torrent {
    /// Makes a torrent that is there to be deleted and for nothing else.
    pub(super) fn on_its_way_out(
        id: TorrentId,
        store: Arc<Store>,
        layout: Arc<Layout>,
        resume: Option<ResumeFile>,
        config: &Config,
        rng: &mut Rng,
        out: &mut Answers,
    ) -> Self {
        let mut torrent = Self::new(id, store, layout, Arc::default(), resume, config, rng);
        torrent.checker = None;
        torrent.on_remove(Files::Delete, out);
        torrent
    }

    /// Takes note that what was written is to be deleted: nothing of it need be saved.
    pub(super) fn on_delete(&mut self, out: &mut Answers) {
        self.deleting.asked += 1;
        self.withdraw_syncs(out);
        if let Some(file) = self.saver.abandon() {
            self.deleting.resume = Some(file.path);
        }
        self.synced_last = true;
        if !self.store.writable {
            self.deleting.deletion.error.get_or_insert(Error::ReadOnly);
        }
    }

    /// Gives the next job of the deletion.
    pub(super) fn next_deletion(&mut self) -> Option<(Work, Task)> {
        let deleting = &mut self.deleting;
        let remains = if let Some(path) = deleting.resume.take() {
            Remains::Resume(path)
        } else if deleting.asked == 0 || !self.store.writable {
            return None;
        } else if !std::mem::replace(&mut deleting.parts_gone, true) {
            Remains::Parts
        } else {
            let begin = deleting.next_file;
            let most = self.store.file_count().min(begin.saturating_add(STATS));
            // Letting go of a file takes as long as it is long; one at least goes with each job.
            let mut bytes = 0_u64;
            let fits = |file: &u32| {
                bytes = bytes.saturating_add(self.store.length(FileIndex(*file)));
                *file == begin || bytes <= DELETED
            };
            let end = begin + u32::try_from((begin..most).take_while(fits).count()).unwrap_or(0);
            deleting.next_file = end;
            (begin < end).then_some(Remains::Files(begin..end))?
        };
        Some((Work::Delete { store: Arc::clone(&self.store), remains: remains.clone() }, Task::Delete(remains)))
    }

    pub(super) fn on_deleted(&mut self, remains: &Remains, outcome: Result<Outcome, JobError>) {
        match outcome {
            Ok(Outcome::Deleted(deletion)) => self.deleting.deletion.add(deletion),
            outcome => {
                // How many of them are gone is not known.
                let failed = if let Remains::Files(files) = remains { files.end - files.start } else { 1 };
                let error = Some(failure(outcome));
                self.deleting.deletion.add(Deletion { failed, error, ..Deletion::default() });
            }
        }
    }

    /// Says whether nothing is left to delete, or nothing is to be.
    pub(super) fn is_deleted(&self) -> bool {
        let deleting = &self.deleting;
        let files_gone = deleting.parts_gone && deleting.next_file >= self.store.file_count();
        deleting.asked == 0 || (deleting.resume.is_none() && (files_gone || !self.store.writable))
    }

    /// Answers who asked for the removal: all is closed, and gone where it was to go.
    pub(super) fn answer_removals(&mut self, out: &mut Answers) {
        let torrent = self.id;
        for _ in 0..self.removals - self.deleting.asked {
            out.answer(Event::Removed { torrent, error: self.removal_error.clone() });
        }
        for _ in 0..self.deleting.asked {
            out.answer(Event::Deleted { torrent, deletion: self.deleting.deletion.clone() });
        }
    }
}
