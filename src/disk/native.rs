//! The host's own files.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // this is the one room for the host's files

use super::file_system::{Entry, File, FileSystem, Kind, Stat};
use crate::proto::metainfo::SafePath;
use std::fs::{self, Metadata};
use std::io::{self, IoSlice};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(all(target_os = "linux", feature = "vectored-io"))]
mod beneath;
#[cfg(all(target_os = "linux", feature = "vectored-io"))]
mod linux;
#[cfg(not(all(target_os = "linux", feature = "vectored-io")))]
mod looking;

#[cfg(all(target_os = "linux", feature = "vectored-io"))]
use beneath as below_root;
#[cfg(not(all(target_os = "linux", feature = "vectored-io")))]
use looking as below_root;

/// The host's own files, by reading and writing at offsets (no memory maps: a slow or failing disk is an error, not a signal).
///
/// Below the root that a torrent is given, nothing is created, written or removed through a symbolic link, and no link is removed.
/// On Linux with the feature `vectored-io` each folder of a path is held open while the next part is named in it (`openat` and
/// its like), so that whoever swaps a folder for a link meanwhile gains nothing. Elsewhere every part of the path is looked at
/// before it is used, and the opened file is compared with what was looked at: between the look and the use somebody who
/// may write to these folders could still swap a *folder* for a link; std offers no call that would close that gap. In
/// the last moment before a file is removed it can be swapped for a link anywhere: then the link goes, and never what it leads
/// to. Reading follows links.
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

/// Refuses what is no regular file, and a link whatever it leads to.
fn refuse_irregular(meta: &Metadata) -> io::Result<()> {
    match meta {
        meta if meta.is_symlink() => Err(is_link()),
        meta if !meta.is_file() => Err(irregular()),
        _ => Ok(()),
    }
}

fn is_link() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a symbolic link is in the way")
}

fn is_file() -> io::Error {
    io::Error::new(io::ErrorKind::NotADirectory, "a file stands where its folder must be")
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
        let (file, is_new) = below_root::create(root, below)?;
        // Another job may have found it and written to it by now: only ever longer.
        if is_new && file.metadata()?.len() < length {
            file.set_len(length)?;
        }
        Ok(NativeFile::boxed(file, is_new))
    }

    fn remove(&self, root: &Path, below: &SafePath) -> io::Result<()> {
        below_root::remove(root, below)
    }

    fn remove_folder(&self, root: &Path, below: &SafePath) -> io::Result<()> {
        below_root::remove_folder(root, below)
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

    fn discard(&self, path: &Path) -> io::Result<()> {
        refuse_irregular(&fs::symlink_metadata(path)?)?;
        fs::remove_file(path)
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
