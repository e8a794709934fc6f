//! Where a torrent file is written.

use crate::output::{Failure, reason};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Where a torrent file goes.
#[derive(Debug)]
pub(crate) enum Destination {
    Stdout,
    File { path: PathBuf, force: bool },
}

impl Destination {
    /// Decides before any work is done. With `force`, a file that is there is written over.
    pub(crate) fn choose(path: PathBuf, force: bool) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Destination::Stdout);
        }
        let fail = |why: &dyn std::fmt::Display| Failure::new(path.display(), why);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => return Err(fail(&"is a folder")),
            Ok(_) if !force => return Err(fail(&"exists already: --force overwrites it")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.file_name().is_none() {
                    return Err(fail(&"is no name of a file"));
                }
                if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                    return Err(fail(&"is no file but a folder, which is not there"));
                }
                let folder = folder(&path);
                match fs::metadata(folder) {
                    Ok(found) if found.is_dir() => {}
                    Ok(_) => return Err(Failure::new(folder.display(), "is not a folder")),
                    Err(error) => return Err(Failure::new(folder.display(), reason(&error))),
                }
            }
            Err(error) => return Err(fail(&reason(&error))),
        }
        Ok(Destination::File { path, force })
    }

    /// Refuses a file that is another one or lies below it.
    pub(crate) fn outside(self, other: &Path) -> Result<Self, Failure> {
        match &self {
            Destination::File { path, .. } if lies_inside(path, other) => Err(Failure::new(
                path.display(),
                format_args!(
                    "lies inside {}: it would be part of its own torrent; choose another place with -o",
                    other.display()
                ),
            )),
            _ => Ok(self),
        }
    }
}

/// Says whether a file, there or yet to be written, is the other path itself or below it.
fn lies_inside(out: &Path, path: &Path) -> bool {
    let place = fs::canonicalize(out).or_else(|_| {
        let folder = fs::canonicalize(folder(out))?;
        Ok::<_, io::Error>(folder.join(out.file_name().unwrap_or_default()))
    });
    match (place, fs::canonicalize(path)) {
        (Ok(place), Ok(path)) => place.starts_with(path),
        // That one of them is not there is told elsewhere.
        _ => false,
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Writes a file such that its name never stands for half of it.
pub(crate) fn write(path: &Path, contents: &[u8], force: bool) -> Result<(), Failure> {
    let fail = |error: io::Error| Failure::new(path.display(), reason(&error));
    // A link is followed, and what is no file (a device, a pipe) is written to rather than replaced.
    let target = if force { fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() };
    let found = fs::metadata(&target);
    if found.as_ref().is_ok_and(|found| !found.is_file()) {
        let opened = File::options().write(true).open(&target);
        return opened.and_then(|mut file| file.write_all(contents)).map_err(fail);
    }
    let temporary = folder(&target).join(format!(".bip-{}.torrent.tmp", std::process::id()));
    let mut file = File::create_new(&temporary).map_err(|error| Failure::new(temporary.display(), reason(&error)))?;
    let written = file.write_all(contents).and_then(|()| {
        // Who may read the file that is written over may read the new one, and nobody else.
        found.map_or(Ok(()), |found| file.set_permissions(found.permissions()))?;
        file.sync_all()
    });
    let placed = written.and_then(|()| place(&temporary, &target, force));
    if placed.is_err() {
        // What went wrong first is what is told.
        let _ = fs::remove_file(&temporary);
    }
    placed.map_err(fail)
}

fn place(temporary: &Path, target: &Path, force: bool) -> io::Result<()> {
    if force {
        return fs::rename(temporary, target);
    }
    // A link fails where the name was taken meanwhile; renaming would overwrite.
    match fs::hard_link(temporary, target) {
        Ok(()) => fs::remove_file(temporary),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links.
        Err(_) => fs::rename(temporary, target),
    }
}
