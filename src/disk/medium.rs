//! What of a memory's files is on the medium: what a loss of power leaves.

use super::memory::{Bytes, FileRef, lock};
use crate::machine::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A change of a file's bytes.
#[derive(Clone)]
pub(super) enum Change {
    Write(u64, Vec<u8>),
    SetLength(u64),
}

/// What is not on the medium of a file's bytes.
#[derive(Clone)]
pub(super) struct Unsynced {
    /// The file as it is on the medium.
    synced: Box<Bytes>,
    /// What was done to it since, with the file's times of change.
    pub(super) changes: Vec<(i64, Change)>,
}

impl Unsynced {
    /// Begins with a file that was just made.
    pub(super) fn new(modified: i64, length: u64) -> Self {
        let synced = Bytes::empty(modified);
        let changes = if length > 0 { vec![(modified, Change::SetLength(length))] } else { Vec::new() };
        Self { synced: Box::new(synced), changes }
    }

    /// Begins with a file that is on the medium.
    pub(super) fn after(synced: Bytes) -> Self {
        Self { synced: Box::new(synced), changes: Vec::new() }
    }

    /// Gives the file after a loss of power: each change is there, is not, or is there in part; and the time of change is that
    /// of any of them, or the one that was synced.
    fn lose_power(&self, rng: &mut Rng) -> Bytes {
        let mut bytes = (*self.synced).clone();
        for (modified, change) in &self.changes {
            let part = rng.below(3);
            match change {
                _ if part == 0 => {}
                Change::Write(offset, written) => {
                    let length = if part == 1 { written.len() } else { rng.below(written.len() as u32 + 1) as usize };
                    bytes.write(*offset, &written[..length]);
                }
                Change::SetLength(length) => bytes.set_len(*length),
            }
            if rng.below(2) == 0 {
                bytes.modified = *modified;
            }
        }
        bytes.unsynced = Some(Self::after(bytes.clone()));
        bytes
    }
}

/// A change of a name.
pub(super) enum NameChange {
    Made(PathBuf, FileRef),
    Folder(PathBuf),
    Removed(PathBuf),
    Renamed(PathBuf, PathBuf, FileRef),
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            NameChange::Made(path, _) | NameChange::Folder(path) | NameChange::Removed(path) => path,
            NameChange::Renamed(_, to, _) => to,
        }
    }

    fn apply(&self, files: &mut BTreeMap<PathBuf, FileRef>, folders: &mut BTreeSet<PathBuf>) {
        match self {
            NameChange::Made(path, file) => drop(files.insert(path.clone(), Arc::clone(file))),
            NameChange::Folder(path) => drop(folders.insert(path.clone())),
            NameChange::Removed(path) => {
                files.remove(path);
                folders.remove(path);
            }
            NameChange::Renamed(from, to, file) => {
                files.remove(from);
                files.insert(to.clone(), Arc::clone(file));
            }
        }
    }
}

/// The names that are on the medium, and what was done to names since.
#[derive(Default)]
pub(super) struct Medium {
    pub(super) files: BTreeMap<PathBuf, FileRef>,
    pub(super) folders: BTreeSet<PathBuf>,
    pub(super) changes: Vec<NameChange>,
}

impl Medium {
    pub(super) fn note(&mut self, change: NameChange) {
        // What has no folder above it is always there.
        if change.path().parent().is_none() {
            change.apply(&mut self.files, &mut self.folders);
        } else {
            self.changes.push(change);
        }
    }

    /// Brings a folder's names to the medium.
    pub(super) fn sync_folder(&mut self, folder: &Path) {
        let (now, later) =
            std::mem::take(&mut self.changes).into_iter().partition(|change| change.path().parent() == Some(folder));
        self.changes = later;
        let now: Vec<NameChange> = now;
        now.iter().for_each(|change| change.apply(&mut self.files, &mut self.folders));
    }

    /// Gives the files and folders after a loss of power.
    pub(super) fn lose_power(&self, rng: &mut Rng) -> (BTreeMap<PathBuf, FileRef>, BTreeSet<PathBuf>) {
        let (mut files, mut folders) = (self.files.clone(), self.folders.clone());
        self.changes.iter().filter(|_| rng.below(2) == 0).for_each(|change| change.apply(&mut files, &mut folders));
        let reached = |path: &Path, folders: &BTreeSet<PathBuf>| path.ancestors().skip(1).all(|f| folders.contains(f));
        let there: BTreeSet<PathBuf> = folders.iter().filter(|path| reached(path, &folders)).cloned().collect();
        files.retain(|path, _| reached(path, &there));
        for file in files.values_mut() {
            let bytes = lock(file);
            let after = bytes.unsynced.as_ref().map_or_else(|| bytes.clone(), |unsynced| unsynced.lose_power(rng));
            drop(bytes);
            *file = Arc::new(Mutex::new(after));
        }
        (files, there)
    }
}
