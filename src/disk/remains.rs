//! Deletes what a torrent leaves behind: its files and no others, and the folders that this leaves empty.

use super::command::Deletion;
use super::deleting::Remains;
use super::error::{Error, Operation, shown};
use super::executor::{Executor, retried};
use super::file_system::Kind;
use super::parts;
use super::resume;
use super::store::{Source, Store};
use crate::proto::id::FileIndex;
use crate::proto::metainfo::{Layout, SafePath};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::Path;

impl Executor {
    pub(super) fn delete(&self, store: &Store, remains: &Remains) -> Deletion {
        let mut deletion = Deletion::default();
        match (remains, &store.source) {
            (Remains::Resume(path), _) => self.delete_resume(path, &mut deletion),
            (Remains::Parts | Remains::Files(_), Source::Torrent(layout)) if self.is_rootless(store) => {
                // What is on a disk that is not there is not gone.
                let named = |files: &Range<u32>| files.clone().filter_map(|file| layout.file(FileIndex(file)));
                if let Remains::Files(files) = remains {
                    let own = named(files).filter(|file| !file.is_padding).count();
                    deletion.failed = u32::try_from(own).unwrap_or(u32::MAX);
                }
                let root = shown(store.root.as_os_str().as_encoded_bytes());
                deletion.error = Some(Error::NoRoot { root });
            }
            (Remains::Parts, Source::Torrent(layout)) => {
                if let Some(path) = parts::name(layout) {
                    if self.delete_file(store, &path, &mut deletion) {
                        self.delete_folders(store, path.parent(), &mut deletion);
                    }
                }
            }
            (Remains::Files(files), Source::Torrent(layout)) => {
                self.delete_files(store, layout, files.clone(), &mut deletion);
            }
            // What is made into a torrent is somebody else's.
            (_, Source::Tree(_)) => {}
        }
        deletion
    }

    /// Says whether the torrent's root is not there. An empty one in its place, such as a mount leaves, is a root like any other.
    fn is_rootless(&self, store: &Store) -> bool {
        match retried(|| self.files.stat(&store.root)) {
            Ok(stat) => stat.kind != Kind::Folder,
            Err(e) => matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }

    fn delete_resume(&self, path: &Path, deletion: &mut Deletion) {
        for path in [path, &resume::unfinished(path)] {
            let removed = match retried(|| self.files.discard(path)) {
                // A system that keeps no resume data has none to delete.
                Err(e) if e.kind() == ErrorKind::Unsupported => continue,
                removed => removed,
            };
            count(removed, || shown(path.as_os_str().as_encoded_bytes()), deletion);
        }
    }

    fn delete_files(&self, store: &Store, layout: &Layout, files: Range<u32>, deletion: &mut Deletion) {
        // Files that follow each other are mostly in one folder: it is tried after the last of them.
        let mut folder = None;
        // Padding was never made.
        for file in files.filter_map(|file| layout.file(FileIndex(file))).filter(|file| !file.is_padding) {
            let parent = file.path.parent();
            if parent != folder {
                self.delete_folders(store, folder.take(), deletion);
            }
            if self.delete_file(store, &file.path, deletion) {
                folder = parent;
            }
        }
        self.delete_folders(store, folder, deletion);
    }

    /// Deletes a file; says whether it is there no more.
    fn delete_file(&self, store: &Store, path: &SafePath, deletion: &mut Deletion) -> bool {
        let removed = retried(|| self.files.remove(&store.root, path));
        count(removed, || shown(&path.to_bytes()), deletion)
    }

    /// Deletes a folder and those that it is in, up to the first that has something in it. The root is none of them.
    fn delete_folders(&self, store: &Store, mut next: Option<SafePath>, deletion: &mut Deletion) {
        while let Some(folder) = next {
            match retried(|| self.files.remove_folder(&store.root, &folder)) {
                Ok(()) => deletion.folders += 1,
                // Another file may have gone before, or something else is in its place.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                // Some systems call a folder that has something in it one that exists. What is busy is mounted there.
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::DirectoryNotEmpty
                            | ErrorKind::AlreadyExists
                            | ErrorKind::ResourceBusy
                            | ErrorKind::Unsupported
                    ) =>
                {
                    return;
                }
                // Some ask whether we may before they look whether it is empty.
                Err(e) if e.kind() == ErrorKind::PermissionDenied && self.holds_something(store, &folder) => return,
                Err(e) => return deletion.fail(Error::io(Operation::Deleting, shown(&folder.to_bytes()), &e)),
            }
            next = folder.parent();
        }
    }
}

impl Executor {
    fn holds_something(&self, store: &Store, folder: &SafePath) -> bool {
        let found = retried(|| self.files.list(&store.root.join(folder.to_path_buf())));
        found.is_ok_and(|entries| !entries.is_empty())
    }
}

/// Takes note of what became of a file; says whether it is there no more. One that was never made is none that failed.
fn count(removed: io::Result<()>, name: impl FnOnce() -> String, deletion: &mut Deletion) -> bool {
    match removed {
        Ok(()) => deletion.files += 1,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
        Err(e) => {
            deletion.fail(Error::io(Operation::Deleting, name(), &e));
            return false;
        }
    }
    true
}
