//! Paths that cannot lead out of the folder they are joined to.

use super::path::{Names, PathError};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

/// The number of no folder, and of no name.
pub(super) const NONE: u32 = u32::MAX;

/// A folder: its name and the folder it is in. Both the name as it is stored and the raw one are places of bencoded strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder {
    pub(super) parent: u32,
    pub(super) name: u32,
    pub(super) raw: u32,
    /// The first folder of the same path, as this host compares paths.
    pub(super) same_as: u32,
    /// How many parts its path has.
    pub(super) depth: u16,
    /// Whether its path, without the torrent's name, is not as it was given.
    pub(super) is_repaired: bool,
    /// Whether its path, without the torrent's name, is not UTF-8.
    pub(super) is_odd: bool,
}

/// The names that the paths of a torrent are made of.
///
/// Most of them stand in the torrent's `info`, which is kept anyway, so that a path costs no memory of its own. They are places of
/// bencoded strings: in `info`, and beyond its end in `more`.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub(super) info: Arc<[u8]>,
    pub(super) more: Vec<u8>,
    pub(super) folders: Vec<Folder>,
}

/// Gives the string that stands at a place.
pub(super) fn text_at<'a>(info: &'a [u8], more: &'a [u8], at: u32) -> &'a [u8] {
    let at = at as usize;
    let bytes = if at < info.len() { info.get(at..) } else { more.get(at - info.len()..) };
    let mut rest = bytes.unwrap_or_default();
    let mut length = 0_usize;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if !byte.is_ascii_digit() {
            break;
        }
        // Checked when it was put there; nothing else overflows without being cut below.
        length = length.wrapping_mul(10).wrapping_add(usize::from(byte - b'0'));
    }
    rest.get(..length).unwrap_or_default()
}

/// Writes a string so that [`text_at`] finds it.
pub(super) fn write_text(more: &mut Vec<u8>, text: &[u8]) {
    more.extend_from_slice(text.len().to_string().as_bytes());
    more.push(b':');
    more.extend_from_slice(text);
}

impl Store {
    pub(super) fn text(&self, at: u32) -> &[u8] {
        text_at(&self.info, &self.more, at)
    }

    fn folder(&self, folder: u32) -> Option<&Folder> {
        self.folders.get(folder as usize)
    }

    /// Goes over the folders from one up to the torrent's.
    fn up(&self, folder: u32) -> impl Iterator<Item = &Folder> {
        std::iter::successors(self.folder(folder), |folder| self.folder(folder.parent))
    }

    /// Gives the parts of a path as the torrent gives them, without the torrent's name.
    pub(super) fn raw(&self, folder: u32, raw_name: u32) -> Vec<&[u8]> {
        let folders = self.up(folder).filter(|folder| folder.parent != NONE).map(|folder| self.text(folder.raw));
        let name = (raw_name != NONE).then(|| self.text(raw_name));
        let mut parts: Vec<&[u8]> = name.into_iter().chain(folders).collect();
        parts.reverse();
        parts
    }
}

/// A relative path whose every part is a plain name that this host can store: it cannot lead out of the folder it is joined to
/// (but through a symbolic link that stands there already).
///
/// The parts are bytes. On Unix that is what names are; elsewhere they are UTF-8. Shown with `/` between the parts, and with
/// U+FFFD for what is not UTF-8. Control characters are shown as they are: whoever prints to a terminal must escape them.
///
/// The paths of a torrent share the torrent's bytes: a clone is cheap and keeps them.
///
/// ```
/// use bip::proto::metainfo::SafePath;
/// let path = SafePath::from_parts(["album", "song.flac"])?;
/// assert_eq!(path.to_string(), "album/song.flac");
/// assert!(SafePath::from_parts(["..", "song.flac"]).is_err());
/// assert!(SafePath::from_parts(["/etc/passwd"]).is_err());
/// # Ok::<(), bip::proto::metainfo::PathError>(())
/// ```
#[derive(Clone)]
pub struct SafePath {
    store: Arc<Store>,
    folder: u32,
    name: u32,
}

impl SafePath {
    /// Makes a path of its parts, or says which of them cannot be stored.
    pub fn from_parts<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Result<Self, PathError> {
        let mut store = Store::default();
        let (mut folder, mut name) = (NONE, NONE);
        for (depth, part) in parts.into_iter().enumerate() {
            let part = part.as_ref();
            if !Names::Host.keeps(part) {
                return Err(PathError::Part(part.to_vec()));
            }
            if name != NONE {
                let next = store.folders.len() as u32;
                let is = Folder {
                    parent: folder,
                    name,
                    raw: name,
                    same_as: next,
                    depth: 0,
                    is_repaired: false,
                    is_odd: false,
                };
                store.folders.push(Folder { depth: u16::try_from(depth).unwrap_or(u16::MAX), ..is });
                folder = next;
            }
            // A path of 4 GiB is not of this world; such a one would be cut where it is read.
            name = u32::try_from(store.more.len()).unwrap_or(NONE - 1);
            write_text(&mut store.more, part);
        }
        if name == NONE { Err(PathError::NoParts) } else { Ok(Self { store: Arc::new(store), folder, name }) }
    }

    /// Takes a place among names that are known to be safe.
    pub(super) fn of(store: Arc<Store>, folder: u32, name: u32) -> Self {
        Self { store, folder, name }
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(super) fn folder(&self) -> u32 {
        self.folder
    }

    pub(super) fn name_place(&self) -> u32 {
        self.name
    }

    /// Says whether what comes before the last part is not as the torrent has it.
    pub(super) fn is_folder_repaired(&self) -> bool {
        self.store.folder(self.folder).is_some_and(|folder| folder.is_repaired)
    }

    /// Goes over the parts, of which there is at least one.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let folders = self.store.up(self.folder).map(|folder| self.store.text(folder.name));
        let parts: Vec<&[u8]> = std::iter::once(self.file_name()).chain(folders).collect();
        parts.into_iter().rev()
    }

    /// Gives the parts joined by `/`, which no part has in it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut joined = Vec::with_capacity(64);
        for part in self.parts() {
            if !joined.is_empty() {
                joined.push(b'/');
            }
            joined.extend_from_slice(part);
        }
        joined
    }

    /// Gives the last part: the file's own name.
    pub fn file_name(&self) -> &[u8] {
        self.store.text(self.name)
    }

    /// Gives the first part: the torrent's name, in paths of a torrent's files.
    pub fn first(&self) -> &[u8] {
        self.store.up(self.folder).last().map_or(self.file_name(), |folder| self.store.text(folder.name))
    }

    /// Gives the path of the folder that this path is in; `None` for a path of one part.
    pub fn parent(&self) -> Option<SafePath> {
        let folder = self.store.folder(self.folder)?;
        Some(Self { store: Arc::clone(&self.store), folder: folder.parent, name: folder.name })
    }

    /// Gives the path in the form of this host: relative, to be joined to a folder.
    pub fn to_path_buf(&self) -> PathBuf {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt as _;
            PathBuf::from(std::ffi::OsString::from_vec(self.to_bytes()))
        }
        #[cfg(not(unix))]
        {
            self.parts().map(String::from_utf8_lossy).map(std::borrow::Cow::into_owned).collect()
        }
    }
}

impl PartialEq for SafePath {
    fn eq(&self, other: &Self) -> bool {
        let same_folder = Arc::ptr_eq(&self.store, &other.store) && self.folder == other.folder;
        self.file_name() == other.file_name() && (same_folder || self.parts().eq(other.parts()))
    }
}

impl Eq for SafePath {}

impl Ord for SafePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_bytes().cmp(&other.to_bytes())
    }
}

impl PartialOrd for SafePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for SafePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bytes().hash(state);
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl fmt::Debug for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafePath(\"{}\")", self.to_bytes().escape_ascii())
    }
}
