//! Resume data on its way to its file and back.

use super::error::{Error, Operation, shown};
use super::executor::retried;
use super::file_system::FileSystem;
use crate::proto::id::InfoHash;
use crate::proto::resume::{Limits, Resume};
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

/// Where a torrent's resume data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeFile {
    /// The file. Beside it, one with `.new` at the end of its name is there while it is written.
    pub path: PathBuf,
    /// The torrent's name on the wire: what is kept under another is not used.
    pub info_hash: InfoHash,
}

/// Reads resume data; none where there is none, or none that can be used: then what is on disk is verified in full.
pub(super) fn load(files: &dyn FileSystem, path: &Path) -> Option<Resume> {
    let limits = Limits::default();
    let loaded = match retried(|| files.load(path, limits.length)) {
        Ok(bytes) => Resume::decode(&bytes, &limits).map_err(|e| e.to_string()),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported) => return None,
        Err(e) => Err(e.to_string()),
    };
    let name = || shown(path.as_os_str().as_encoded_bytes());
    loaded.map_err(|e| log::info!(target: "bip::disk", "{}: not used: {e}", name())).ok()
}

/// Gives where resume data is while it is written.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(OsString::from(".new"));
    PathBuf::from(name)
}

/// Writes resume data.
pub(super) fn save(files: &dyn FileSystem, path: &Path, resume: &Resume) -> Result<(), Error> {
    keep(files, path, &resume.encode())
}

/// Writes a small file: all of it beside its place and to the medium, then the name, then the name to the medium. Whatever happens
/// meanwhile, there is what was there before, or all that is new.
pub(crate) fn keep(files: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = unfinished(path);
    let shown = || shown(path.as_os_str().as_encoded_bytes());
    let failed = |operation| move |e: io::Error| Error::io(operation, shown(), &e);
    let folder = path.parent().unwrap_or(Path::new(""));
    // Folders that will be made: their names are to be brought to the medium as well.
    let missing = |folder: &&Path| files.stat(folder).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let made: Vec<&Path> = folder.ancestors().filter(|f| !f.as_os_str().is_empty()).take_while(missing).collect();

    let file = retried(|| files.create_empty(&new)).map_err(failed(Operation::Creating))?;
    retried(|| file.write_at(0, &[IoSlice::new(bytes)])).map_err(failed(Operation::Writing))?;
    retried(|| file.sync()).map_err(failed(Operation::Syncing))?;
    drop(file);
    retried(|| files.rename(&new, path)).map_err(failed(Operation::Renaming))?;
    let above = made.iter().filter_map(|folder| folder.parent());
    for folder in std::iter::once(folder).chain(above) {
        retried(|| files.sync_folder(folder)).map_err(failed(Operation::Syncing))?;
    }
    Ok(())
}
