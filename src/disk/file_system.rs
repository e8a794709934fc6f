//! What the disk needs of a place to store files.

use crate::proto::metainfo::SafePath;
use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Anything else: a device, a pipe, a symbolic link that leads nowhere.
    Other,
}

/// What is known of a path without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is, symbolic links followed.
    pub kind: Kind,
    /// Its length in bytes, for a file.
    pub length: u64,
    /// The time of its last change, in nanoseconds since 1970, where the system has one. It is only ever compared with what it was before.
    pub modified: Option<i64>,
    /// What tells it from all other files and folders of this host, where the host has such a number. Used to recognise a
    /// folder that contains itself by way of a link.
    pub identity: Option<(u64, u64)>,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, as the system has it.
    pub name: OsString,
    /// What it leads to.
    pub stat: Stat,
}

/// A place to store files: the host's own ([`Native`](super::Native)), memory ([`Memory`](super::Memory)), or the caller's.
///
/// It is shared by the job threads. Calls may block. [`io::ErrorKind::Interrupted`] is tried again by the caller.
///
/// Reading takes any path and follows symbolic links. Writing takes a root and a [`SafePath`] below it, and must not leave the
/// root by a symbolic link that stands below it.
pub trait FileSystem: Send + Sync + 'static {
    /// Says what is at a path, following links. [`io::ErrorKind::NotFound`] says that nothing is there.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens an existing file so that it can be brought to the medium ([`File::sync`]), and makes nothing, neither file nor folder:
    /// what is not there is [`io::ErrorKind::NotFound`]. A system that syncs only what is open for writing needs another way
    /// here than [`open`](Self::open).
    fn open_for_sync(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.open(path)
    }

    /// Brings a folder's list of names to the medium, where the system has a way to. Called for the folders above a file that was
    /// made ([`File::is_new`]), after the file itself.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let _ = folder;
        Ok(())
    }

    /// Opens a file for reading and writing. Where it is missing, it is made, with the folders above it and the root, and set to
    /// `length` bytes of zeros (which need take no space). A file that exists is left as it is.
    fn create(&self, root: &Path, below: &SafePath, length: u64) -> io::Result<Box<dyn File>>;

    /// Removes a file. [`io::ErrorKind::NotFound`] and [`io::ErrorKind::NotADirectory`] say that there is none. What is no regular file
    /// is left where it is, and is another error: a symbolic link too, whatever it leads to.
    fn remove(&self, root: &Path, below: &SafePath) -> io::Result<()>;

    /// Removes a folder below the root that has nothing in it; one that has is [`io::ErrorKind::DirectoryNotEmpty`], and what is no
    /// folder is left where it is. On a system without this, folders stay.
    fn remove_folder(&self, root: &Path, below: &SafePath) -> io::Result<()> {
        let _ = (root, below);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives all bytes of a file, unless they are more than `limit`: that is [`io::ErrorKind::FileTooLarge`]. This and the three that
    /// follow are for resume data, at the path that the torrent's owner gave; a system without them keeps none.
    fn load(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let _ = (path, limit);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes an empty file for writing, with the folders above it, in place of one that has the name. Of a symbolic link with the
    /// name, the link goes.
    fn create_empty(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a file another name in the same folder, in place of what has it: whoever looks finds the one or the other, whole.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a file, as [`remove`](Self::remove) does, at a path.
    fn discard(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Says whether reads far apart cost a seek at what is at a path: a rotating disk. Of the files there, one after the other is
    /// then checked or hashed, and not several at a time. Asked where a check and the making of a torrent begin; false where it
    /// is not known.
    fn seeks(&self, path: &Path) -> bool {
        let _ = path;
        false
    }

    /// Lists a folder, in any order, without `.` and `..`.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;
}

/// An open file, shared by the job threads: every call says where.
pub trait File: Send + Sync {
    /// Reads into `buf` from an offset and says how many bytes; fewer than asked for need not mean the end of the file, but 0
    /// does.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Reads into several buffers, one after the other, as [`read_at`](Self::read_at) does into one.
    fn read_vectored_at(&self, offset: u64, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        bufs.iter_mut().find(|buf| !buf.is_empty()).map_or(Ok(0), |buf| self.read_at(offset, buf))
    }

    /// Reads as [`read_vectored_at`](Self::read_vectored_at) does where the bytes are in memory, so that nothing is waited for;
    /// `None` where they may not be, and where it cannot be known. Fewer bytes than asked for may be all that are in memory.
    fn read_now(&self, offset: u64, bufs: &mut [IoSliceMut<'_>]) -> io::Result<Option<usize>> {
        let _ = (offset, bufs);
        Ok(None)
    }

    /// Writes the slices one after the other from an offset, all of them or an error. A file that is too short is extended.
    fn write_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()>;

    /// Sets the file's length; what is added is zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Gives the file's length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Says whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Says whether the file was made when it was opened.
    fn is_new(&self) -> bool {
        false
    }

    /// Brings what was written to the medium. This may block for as long as the medium needs for all that was written since the
    /// last time.
    fn sync(&self) -> io::Result<()>;
}
