//! The host's own files.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // this is the one room for the host's files

use super::file_system::{Entry, File, FileSystem, Kind, Stat};
use crate::proto::metainfo::SafePath;
use std::fs::{self, Metadata};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(all(target_os = "linux", feature = "vectored-io"))]
mod linux;

/// The host's own files, by reading and writing at offsets (no memory maps: a slow or failing disk is an error, not a signal).
///
/// Below the root that a torrent is given, nothing is created, written or removed through a symbolic link: every part of the
/// path is looked at before it is used, and the opened file is compared with what was looked at. Between the look and the use
/// somebody who may write to these folders could still swap a *folder* for a link; std offers no call that would close
/// that gap. Reading follows links.
///
/// What is not a regular file (a pipe, a device) is never opened.
///
/// Linux says which disks rotate. Where it does not (a file system over several devices, one from the network), and on other
/// systems, no disk does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Native;

struct NativeFile {
    file: fs::File,
    /// Held while writing, and elsewhere than on Unix while reading. A system lets one writer at a time into a file in any
    /// case, and Linux has the others spin meanwhile: waiting here costs no processor time.
    turn: std::sync::Mutex<()>,
    is_new: bool,
    #[cfg(all(target_os = "linux", feature = "vectored-io"))]
    waits: linux::Waits,
}

impl NativeFile {
    fn boxed(file: fs::File, is_new: bool) -> Box<dyn File> {
        Box::new(NativeFile {
            #[cfg(all(target_os = "linux", feature = "vectored-io"))]
            waits: linux::Waits::of(&file),
            file,
            turn: std::sync::Mutex::new(()),
            is_new,
        })
    }
}

impl File for NativeFile {
    #[cfg(unix)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buf, offset)
    }

    #[cfg(all(target_os = "linux", feature = "vectored-io"))]
    fn read_vectored_at(&self, offset: u64, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        linux::read(&self.file, offset, bufs)
    }

    #[cfg(all(target_os = "linux", feature = "vectored-io"))]
    fn read_now(&self, offset: u64, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<Option<usize>> {
        self.waits.read_now(&self.file, offset, bufs)
    }

    #[cfg(all(target_os = "linux", feature = "vectored-io"))]
    fn write_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let _held = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        linux::write(&self.file, offset, slices)
    }

    #[cfg(all(unix, not(all(target_os = "linux", feature = "vectored-io"))))]
    fn write_at(&self, mut offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let _held = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One call per slice: std has no positioned vectored write, and copying the blocks together costs more than the calls.
        for slice in slices {
            std::os::unix::fs::FileExt::write_all_at(&self.file, slice, offset)?;
            offset += slice.len() as u64;
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        use std::io::{Read as _, Seek as _};
        let _held = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (&self.file).seek(io::SeekFrom::Start(offset))?;
        (&self.file).read(buf)
    }

    #[cfg(not(unix))]
    fn write_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        use std::io::{Seek as _, Write as _};
        let _held = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (&self.file).seek(io::SeekFrom::Start(offset))?;
        slices.iter().try_for_each(|slice| (&self.file).write_all(slice))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn is_new(&self) -> bool {
        self.is_new
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn describe(meta: &Metadata) -> Stat {
    let kind = if meta.is_file() {
        Kind::File
    } else if meta.is_dir() {
        Kind::Folder
    } else {
        Kind::Other
    };
    let length = if kind == Kind::File { meta.len() } else { 0 };
    Stat { kind, length, modified: meta.modified().ok().and_then(since_1970), identity: identity(meta) }
}

/// Gives a time in nanoseconds since 1970; negative before.
fn since_1970(time: SystemTime) -> Option<i64> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(|nanos| -nanos),
    }
}

#[cfg(unix)]
fn identity(meta: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

fn irregular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

fn is_link() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a symbolic link is in the way")
}

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
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "a file stands where its folder must be"));
        }
    }
    Ok(path)
}

/// Says whether the system calls a device a rotating one. `devices` has an entry for each, by its two numbers.
#[cfg(target_os = "linux")]
fn rotates(devices: &Path, device: u64) -> bool {
    // How Linux puts the two numbers into one: makedev(3).
    let major = (device >> 8 & 0xfff) | (device >> 32 & 0xffff_f000);
    let minor = (device & 0xff) | (device >> 12 & 0xffff_ff00);
    let device = devices.join(format!("{major}:{minor}"));
    // A partition has no queue of its own; the folder that it leads to is in that of its disk.
    let found = ["queue/rotational", "../queue/rotational"].into_iter().find_map(|at| fs::read(device.join(at)).ok());
    found.is_some_and(|text| text.starts_with(b"1"))
}

impl FileSystem for Native {
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        Ok(describe(&fs::metadata(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        // Opening a pipe would wait for its other end.
        if !fs::metadata(path)?.is_file() {
            return Err(irregular());
        }
        Ok(NativeFile::boxed(fs::File::open(path)?, false))
    }

    // Windows flushes only what is open for writing.
    #[cfg(not(unix))]
    fn open_for_sync(&self, path: &Path) -> io::Result<Box<dyn File>> {
        if !fs::metadata(path)?.is_file() {
            return Err(irregular());
        }
        Ok(NativeFile::boxed(fs::OpenOptions::new().read(true).write(true).open(path)?, false))
    }

    #[cfg(unix)]
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        // The folder above a plain name is the one that the process is in.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match fs::File::open(folder).and_then(|folder| folder.sync_all()) {
            // Not every file system syncs folders, and one that may be written need not be readable: there the name is as safe
            // as it can be.
            Err(e) if matches!(e.kind(), InvalidInput | PermissionDenied | Unsupported) => Ok(()),
            result => result,
        }
    }

    fn create(&self, root: &Path, below: &SafePath, length: u64) -> io::Result<Box<dyn File>> {
        let path = walk(root, below, true)?;
        // Twice: another job may make the file between the look and the making.
        for _ in 0..2 {
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_symlink() => return Err(is_link()),
                Ok(meta) if !meta.is_file() => return Err(irregular()),
                Ok(meta) => {
                    let file = fs::OpenOptions::new().read(true).write(true).open(&path)?;
                    if identity(&file.metadata()?) != identity(&meta) {
                        return Err(is_link());
                    }
                    return Ok(NativeFile::boxed(file, false));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    // `create_new` follows no link and truncates nothing.
                    match fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                        Err(e) => return Err(e),
                        Ok(file) => {
                            // Another job may have found it and written to it by now: only ever longer.
                            if file.metadata()?.len() < length {
                                file.set_len(length)?;
                            }
                            return Ok(NativeFile::boxed(file, true));
                        }
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Err(is_link())
    }

    fn remove(&self, root: &Path, below: &SafePath) -> io::Result<()> {
        // Removing a link removes the link, not what it leads to.
        fs::remove_file(walk(root, below, false)?)
    }

    fn load(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        use std::io::Read as _;
        if !fs::metadata(path)?.is_file() {
            return Err(irregular());
        }
        let mut bytes = Vec::new();
        // One more than may be there, to see that there is more.
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
        if bytes.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    fn create_empty(&self, path: &Path) -> io::Result<Box<dyn File>> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        // `create_new` follows no link that came meanwhile.
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(NativeFile::boxed(file, true))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[cfg(target_os = "linux")]
    fn seeks(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(path).is_ok_and(|meta| rotates(Path::new("/sys/dev/block"), meta.dev()))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let stat = match fs::metadata(entry.path()) {
                Ok(meta) => describe(&meta),
                // A link that leads nowhere, or round in a circle.
                Err(_) if entry.file_type().is_ok_and(|t| t.is_symlink()) => {
                    Stat { kind: Kind::Other, length: 0, modified: None, identity: None }
                }
                // Gone since it was listed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            entries.push(Entry { name: entry.file_name(), stat });
        }
        Ok(entries)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_partition_rotates_where_its_disk_does_and_what_is_unknown_does_not() {
        let folder = std::env::temp_dir().join(format!("bip-devices-{}", std::process::id()));
        for (disk, partition, rotational) in [("sda", "8:1", "1\n"), ("sdb", "259:70000", "0\n")] {
            fs::create_dir_all(folder.join(disk).join("queue")).unwrap();
            fs::create_dir_all(folder.join(disk).join("part")).unwrap();
            fs::write(folder.join(disk).join("queue/rotational"), rotational).unwrap();
            std::os::unix::fs::symlink(folder.join(disk).join("part"), folder.join(partition)).unwrap();
        }
        std::os::unix::fs::symlink(folder.join("sda"), folder.join("4096:300")).unwrap();
        let device = |major: u64, minor: u64| {
            (major & 0xfff) << 8 | (major & !0xfff) << 32 | (minor & 0xff) | (minor & !0xff) << 12
        };
        assert_eq!(device(8, 1), 0x801);
        let found = [(8, 1), (259, 70_000), (4096, 300), (8, 2), (0, 40)].map(|(a, b)| rotates(&folder, device(a, b)));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [true, false, true, false, false]);
    }
}
