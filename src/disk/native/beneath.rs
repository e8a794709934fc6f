//! Files and folders below a root, named in folders that are held open: nobody can put a link in the way meanwhile.

use super::{irregular, is_file, is_link};
use crate::proto::metainfo::SafePath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A name in a folder that is held open.
#[derive(Debug)]
struct Place<'a> {
    folder: OwnedFd,
    name: &'a [u8],
}

/// A folder by name only: it need not be readable.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

impl<'a> Place<'a> {
    /// Goes from the root (which may be a link: the user chose it) down to a path's last part; makes the folders that are missing if
    /// told to.
    fn reach(root: &Path, below: &'a SafePath, make: bool) -> io::Result<Self> {
        if make {
            fs::create_dir_all(root)?;
        }
        // The root without a name is the folder that the process is in.
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let folder = rustix::fs::open(root, FOLDER, Mode::empty())?;
        let mut parts = below.parts();
        let name = parts.next_back().unwrap_or_default();
        let folder = parts.try_fold(folder, |folder, name| Place { folder, name }.enter(make))?;
        Ok(Place { folder, name })
    }

    /// Opens the folder of this name.
    fn enter(self, make: bool) -> io::Result<OwnedFd> {
        let open = || rustix::fs::openat(&self.folder, self.name, FOLDER | OFlags::NOFOLLOW, Mode::empty());
        let opened = match open() {
            Err(Errno::NOENT) if make => {
                match rustix::fs::mkdirat(&self.folder, self.name, Mode::from_raw_mode(0o777)) {
                    // Another job may have made it meanwhile.
                    Ok(()) | Err(Errno::EXIST) => open(),
                    Err(error) => return Err(error.into()),
                }
            }
            opened => opened,
        };
        match opened {
            Err(Errno::NOTDIR | Errno::LOOP) if self.is_link() => Err(is_link()),
            Err(Errno::NOTDIR) => Err(is_file()),
            opened => Ok(opened?),
        }
    }

    fn look(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn is_link(&self) -> bool {
        self.look().is_ok_and(|stat| kind(&stat) == FileType::Symlink)
    }

    /// Looks at what must be a regular file, if it is anything.
    fn look_at_file(&self) -> io::Result<Stat> {
        let stat = self.look()?;
        match kind(&stat) {
            FileType::RegularFile => Ok(stat),
            FileType::Symlink => Err(is_link()),
            _ => Err(irregular()),
        }
    }

    fn create(&self) -> io::Result<(File, bool)> {
        // Twice: another job may make the file between the look and the making.
        for _ in 0..2 {
            match self.look_at_file() {
                Ok(_) => {
                    let file = match rustix::fs::openat(&self.folder, self.name, FILE, Mode::empty()) {
                        Err(Errno::LOOP) => return Err(is_link()),
                        opened => File::from(opened?),
                    };
                    // A pipe may have come in its place since it was looked at.
                    return if file.metadata()?.is_file() { Ok((file, false)) } else { Err(irregular()) };
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let (flags, mode) = (FILE | OFlags::CREATE | OFlags::EXCL, Mode::from_raw_mode(0o666));
                    match rustix::fs::openat(&self.folder, self.name, flags, mode) {
                        Err(Errno::EXIST) => {}
                        made => return Ok((File::from(made?), true)),
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Err(is_link())
    }

    fn remove(&self) -> io::Result<()> {
        self.look_at_file()?;
        Ok(rustix::fs::unlinkat(&self.folder, self.name, AtFlags::empty())?)
    }

    fn remove_folder(&self) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.folder, self.name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTDIR) if self.is_link() => Err(is_link()),
            Err(Errno::NOTDIR) => Err(is_file()),
            removed => Ok(removed?),
        }
    }
}

/// Opens a file for reading and writing; makes it, with the folders above it, where it is missing. Says whether it did.
pub(super) fn create(root: &Path, below: &SafePath) -> io::Result<(File, bool)> {
    Place::reach(root, below, true)?.create()
}

pub(super) fn remove(root: &Path, below: &SafePath) -> io::Result<()> {
    Place::reach(root, below, false)?.remove()
}

pub(super) fn remove_folder(root: &Path, below: &SafePath) -> io::Result<()> {
    Place::reach(root, below, false)?.remove_folder()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Reaches `root/t/sub/file`, then moves the folder `at` away and puts a link to a folder elsewhere in its place.
    fn swapped(at: &str, act: impl Fn(Place<'_>) -> bool) {
        let home = std::env::temp_dir().join(format!("bip-beneath-{}-{}", std::process::id(), at.replace('/', "-")));
        let (root, outside) = (home.join("root"), home.join("outside"));
        for folder in [root.join("t/sub"), outside.join("t/sub"), outside.join("sub")] {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("file"), b"precious").unwrap();
        }
        let path = SafePath::from_parts(["t", "sub", "file"]).unwrap();
        let place = Place::reach(&root, &path, false).unwrap();
        fs::rename(root.join(at), home.join("away")).unwrap();
        symlink(outside.join(at.trim_start_matches("t/")), root.join(at)).unwrap();
        assert!(act(place));
        for precious in ["t/sub/file", "sub/file"] {
            assert_eq!(fs::read(outside.join(precious)).unwrap(), b"precious", "{at}");
        }
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_folder_that_was_swapped_for_a_link_after_it_was_entered_is_still_the_old_one() {
        for at in ["t", "t/sub"] {
            swapped(at, |place| place.remove().is_ok());
            swapped(at, |place| {
                let (file, is_new) = place.create().unwrap();
                std::os::unix::fs::FileExt::write_all_at(&file, b"ours now", 0).is_ok() && !is_new
            });
            swapped(at, |place| place.remove().is_ok() && place.create().unwrap().1 && place.remove_folder().is_err());
        }
    }
}
