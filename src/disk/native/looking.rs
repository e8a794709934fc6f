//! Files and folders below a root, by looking at each part of a path before it is used: what any system can do.

use super::{identity, is_file, is_link, refuse_irregular};
use crate::proto::metainfo::SafePath;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Makes sure that the folders between root and file are folders and no links; makes those that are missing if told to.
fn walk(root: &Path, below: &SafePath, make: bool) -> io::Result<PathBuf> {
    let path = root.join(below.to_path_buf());
    if make {
        fs::create_dir_all(root)?;
    }
    let mut folder = root.to_path_buf();
    let parts: Vec<_> = below.to_path_buf().iter().map(ToOwned::to_owned).collect();
    for part in parts.iter().take(parts.len().saturating_sub(1)) {
        folder.push(part);
        let found = match fs::symlink_metadata(&folder) {
            Err(e) if make && e.kind() == io::ErrorKind::NotFound => match fs::create_dir(&folder) {
                // Another job may have made it meanwhile.
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => fs::symlink_metadata(&folder)?,
            },
            found => found?,
        };
        if found.is_symlink() {
            return Err(is_link());
        }
        if !found.is_dir() {
            return Err(is_file());
        }
    }
    Ok(path)
}

/// Opens a file for reading and writing; makes it, with the folders above it, where it is missing. Says whether it did.
pub(super) fn create(root: &Path, below: &SafePath) -> io::Result<(fs::File, bool)> {
    let path = walk(root, below, true)?;
    // Twice: another job may make the file between the look and the making.
    for _ in 0..2 {
        match fs::symlink_metadata(&path) {
            Ok(meta) => {
                refuse_irregular(&meta)?;
                let file = fs::OpenOptions::new().read(true).write(true).open(&path)?;
                let same = identity(&file.metadata()?) == identity(&meta);
                return if same { Ok((file, false)) } else { Err(is_link()) };
            }
            // `create_new` follows no link and truncates nothing.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                match fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                    made => return made.map(|file| (file, true)),
                }
            }
            Err(e) => return Err(e),
        }
    }
    Err(is_link())
}

pub(super) fn remove(root: &Path, below: &SafePath) -> io::Result<()> {
    let path = walk(root, below, false)?;
    refuse_irregular(&fs::symlink_metadata(&path)?)?;
    fs::remove_file(path)
}

pub(super) fn remove_folder(root: &Path, below: &SafePath) -> io::Result<()> {
    let path = walk(root, below, false)?;
    // Some systems remove a link to a folder as they do a folder.
    match fs::symlink_metadata(&path)? {
        meta if meta.is_symlink() => Err(is_link()),
        meta if !meta.is_dir() => Err(is_file()),
        _ => fs::remove_dir(path),
    }
}
