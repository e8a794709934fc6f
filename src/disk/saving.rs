//! When a torrent's resume data is saved, and what it says.

use super::command::{Checked, Event};
use super::error::Error;
use super::hash_state::HashState;
use super::job::Work;
use super::piece::Partial;
use super::resume::ResumeFile;
use super::torrent::{Answers, Task, Torrent};
use crate::proto::geometry::{BLOCK_LENGTH, Span};
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::resume::{FileStamp, PartialPiece, Resume};

/// A torrent's resume data on its way to its file.
///
/// What it will say is taken down when a sync begins, so that all of it is on the medium when the sync has ended, whatever is written
/// meanwhile. Only then it is written. The files' times are those that were seen after each was synced: a file that was written to
/// afterwards has another, and resume data that does not know of it is not believed.
#[derive(Debug, Default)]
pub(super) struct Saver {
    file: Option<ResumeFile>,
    /// The files as they were when they were last brought to the medium.
    stamps: Vec<Option<FileStamp>>,
    /// Whether there is something to say that was not saved.
    changed: bool,
    /// Whether it is time.
    due: bool,
    /// Whether a sync failed. A system may forget what it could not write, and have the next sync succeed all the same: then nothing
    /// that is read tells what is on the medium, until it is read in another run.
    distrusted: bool,
    /// What waits to be written.
    ready: Option<Box<Resume>>,
    /// Whether a job is writing it.
    in_flight: bool,
}

impl Saver {
    pub(super) fn new(file: Option<ResumeFile>) -> Self {
        Self { file, ..Self::default() }
    }

    pub(super) fn change(&mut self) {
        self.changed = true;
    }

    pub(super) fn distrust(&mut self) {
        self.distrusted = true;
        self.ready = None;
    }

    /// Saves nothing any more; gives where it was saved.
    pub(super) fn abandon(&mut self) -> Option<ResumeFile> {
        self.distrust();
        self.file.take()
    }

    pub(super) fn set_stamp(&mut self, file: FileIndex, stamp: Option<FileStamp>) {
        if let Some(known) = self.stamps.get_mut(file.as_usize()) {
            *known = stamp;
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_none()
    }

    fn wants(&self) -> bool {
        self.changed && self.file.is_some() && !self.distrusted
    }
}

impl Torrent {
    /// Says whether there is something to save, and no time set for it.
    pub(super) fn wants_save_timer(&self) -> bool {
        self.saver.wants() && !self.saver.due && self.checker.is_none() && !self.is_ending()
    }

    /// Takes note that it is time to save.
    pub(super) fn on_save_timer(&mut self) {
        self.saver.due = self.saver.changed;
    }

    pub(super) fn is_save_due(&self) -> bool {
        self.saver.due && self.may_save()
    }

    fn may_save(&self) -> bool {
        // What is being verified again is neither there nor lost.
        self.saver.wants() && self.checker.is_none() && self.rechecks.is_empty()
    }

    /// Takes what was found when the torrent was added.
    pub(super) fn begin_saving(&mut self, stamps: Vec<Option<FileStamp>>, checked: Checked) {
        self.saver.stamps = stamps;
        self.saver.changed = checked == Checked::Full && !self.have.is_empty();
    }

    /// Takes over the incomplete pieces of resume data; gives their whole blocks.
    pub(super) fn adopt(&mut self, partials: &[PartialPiece], most: usize) -> Vec<Span> {
        let geometry = self.layout.geometry();
        let mut stored = Vec::new();
        for PartialPiece { piece, ranges } in partials {
            let hash = HashState::of(&self.layout, *piece);
            let mut partial = Partial::written(geometry.length_of(*piece), hash, ranges);
            if partial.is_complete() {
                // Its hash was not known to be right: the block that is asked for once more brings it about.
                partial.forget_end(BLOCK_LENGTH);
            }
            if partial.is_blank() || self.ranges + partial.ranges() > most {
                continue;
            }
            let blocks = (0..geometry.blocks_in(*piece)).filter_map(|block| geometry.block(*piece, block));
            stored.extend(blocks.filter(|span| partial.holds(*span)));
            self.ranges += partial.ranges();
            self.partials.insert(*piece, partial);
        }
        stored
    }

    /// Takes down what is there when a sync begins, if it is to be saved after it.
    pub(super) fn snapshot(&mut self) -> Option<Box<Resume>> {
        if !self.may_save() {
            return None;
        }
        let info_hash = self.saver.file.as_ref()?.info_hash;
        (self.saver.changed, self.saver.due) = (false, false);
        let partial = |(piece, partial): (&PieceIndex, &Partial)| {
            let ranges = partial.settled();
            (!ranges.is_empty()).then_some(PartialPiece { piece: *piece, ranges })
        };
        let partials = self.partials.iter().filter_map(partial).collect();
        let (geometry, have) = (self.layout.geometry(), self.have.clone());
        Some(Box::new(Resume { info_hash, geometry, have, partials, files: Vec::new() }))
    }

    /// Takes the end of a sync for which a snapshot was taken.
    pub(super) fn after_sync(&mut self, snapshot: Option<Box<Resume>>, error: Option<&Error>) {
        let Some(mut resume) = snapshot else { return };
        if error.is_some() || self.saver.distrusted {
            self.saver.changed = true;
        } else {
            resume.files.clone_from(&self.saver.stamps);
            self.saver.ready = Some(resume);
        }
    }

    pub(super) fn next_save(&mut self) -> Option<(Work, Task)> {
        let path = self.saver.file.as_ref()?.path.clone();
        // One at a time: they write the same file.
        let resume = self.saver.ready.take_if(|_| !self.saver.in_flight)?;
        self.saver.in_flight = true;
        Some((Work::Save { path, resume }, Task::Save))
    }

    pub(super) fn on_saved(&mut self, error: Option<Error>, out: &mut Answers) {
        self.saver.in_flight = false;
        if let Some(error) = error {
            self.saver.changed = true;
            out.notice(Event::SaveFailed { torrent: self.id, error });
        }
    }
}
