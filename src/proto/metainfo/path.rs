//! Paths that are safe to store below a folder, and the repair of names that are not.

use std::fmt;
use std::path::PathBuf;

/// The longest name that a host of the Unix family stores, in bytes.
const HOST_LENGTH: usize = 255;
/// The longest name that is stored everywhere, in bytes.
const PORTABLE_LENGTH: usize = 240;
/// The longest extension, with its dot, that survives when a name is cut.
const EXTENSION_LENGTH: usize = 17;

/// How much of a torrent's names is repaired.
///
/// In any case: `.`, `..`, empty names, `/`, NUL, and names longer than 255 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Names {
    /// Every name that this host can store is kept byte for byte, also one that is not UTF-8 or has control characters. The
    /// default but on Windows and macOS. On hosts other than Unix it is the same as [`Names::Portable`].
    Host,
    /// Names are made such that any common system can store them. Also repaired: bytes that are not UTF-8, control characters,
    /// `\ : * ? " < > |` (so drive letters too), reserved names such as `AUX` and `com1.txt`, dots and spaces at the end, names
    /// over 240 bytes, and paths that differ by case alone. The default on Windows and macOS.
    Portable,
}

impl Default for Names {
    fn default() -> Self {
        if cfg!(any(windows, target_os = "macos")) { Names::Portable } else { Names::Host }
    }
}

impl Names {
    pub(super) fn is_portable(self) -> bool {
        self == Names::Portable || !cfg!(unix)
    }

    fn length_limit(self) -> usize {
        if self.is_portable() { PORTABLE_LENGTH } else { HOST_LENGTH }
    }

    /// Says whether a name can stay as it is.
    pub(super) fn keeps(self, name: &[u8]) -> bool {
        let plain = !name.is_empty()
            && name.len() <= self.length_limit()
            && !name.iter().any(|&b| b == b'/' || b == 0)
            && name != b"."
            && name != b"..";
        plain
            && (!self.is_portable()
                || std::str::from_utf8(name).is_ok_and(|text| {
                    !text.chars().any(is_unportable) && !text.ends_with(['.', ' ']) && !is_reserved(text)
                }))
    }

    /// Makes a name that can be stored out of one that cannot.
    pub(super) fn repair(self, name: &[u8]) -> Vec<u8> {
        let mut out = if self.is_portable() {
            let text: String =
                String::from_utf8_lossy(name).chars().map(|c| if is_unportable(c) { '_' } else { c }).collect();
            let text = if is_reserved(&text) { format!("_{text}") } else { text };
            let mut out = cut(text.as_bytes(), self.length_limit(), b"");
            for byte in out.iter_mut().rev().take_while(|b| matches!(b, b'.' | b' ')) {
                *byte = b'_';
            }
            out
        } else {
            let plain: Vec<u8> = name.iter().map(|&b| if b == b'/' || b == 0 { b'_' } else { b }).collect();
            cut(&plain, self.length_limit(), b"")
        };
        match &out[..] {
            b"" | b"." => out = b"_".to_vec(),
            b".." => out = b"__".to_vec(),
            _ => {}
        }
        out
    }

    /// Makes the name that a file gets when its own is taken: `name.1.ext`.
    pub(super) fn numbered(self, name: &[u8], number: usize) -> Vec<u8> {
        cut(name, self.length_limit(), format!(".{number}").as_bytes())
    }

    /// Gives what two paths have in common when this host may take them for the same.
    pub(super) fn fold(self, path: &[u8]) -> Option<Vec<u8>> {
        self.is_portable().then(|| {
            let text = String::from_utf8_lossy(path);
            text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect::<String>().into_bytes()
        })
    }
}

fn is_unportable(c: char) -> bool {
    c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

/// Says whether Windows takes a name for a device, whatever comes after the first dot.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ');
    let is = |device: &str| stem.eq_ignore_ascii_case(device);
    if ["con", "prn", "aux", "nul", "conin$", "conout$"].into_iter().any(is) {
        return true;
    }
    let mut chars = stem.chars();
    let number = chars.next_back();
    let port = chars.as_str();
    (port.eq_ignore_ascii_case("com") || port.eq_ignore_ascii_case("lpt"))
        && matches!(number, Some('0'..='9' | '¹' | '²' | '³'))
}

/// Puts a mark before a name's extension and cuts what is before the mark so that the whole fits: never within a UTF-8
/// sequence, and an extension that is not too long stays.
fn cut(name: &[u8], limit: usize, mark: &[u8]) -> Vec<u8> {
    let dot = name.iter().rposition(|&b| b == b'.').filter(|&at| at > 0 && name.len() - at <= EXTENSION_LENGTH);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let room = limit - mark.len() - extension.len();
    let mut end = stem.len().min(room);
    // A continuation byte at the cut belongs to a sequence that begins before it; three steps back at most.
    let boundary = (end.saturating_sub(3)..=end).rev().find(|&at| stem.get(at).is_none_or(|b| b & 0xc0 != 0x80));
    end = boundary.filter(|&at| at > 0).unwrap_or(end);
    [&stem[..end], mark, extension].concat()
}

/// What a path cannot be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// There are no parts.
    NoParts,
    /// A part cannot be stored as it is: it is empty, `.` or `..`, has a `/` or a NUL, or is too long for this host.
    Part(Vec<u8>),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::NoParts => f.write_str("a path of no parts"),
            PathError::Part(part) => write!(f, "\"{}\" cannot be the name of a file", part.escape_ascii()),
        }
    }
}

impl std::error::Error for PathError {}

/// A relative path whose every part is a plain name that this host can store: it cannot lead out of the folder it is joined to
/// (but through a symbolic link that stands there already).
///
/// The parts are bytes. On Unix that is what names are; elsewhere they are UTF-8. Shown with `/` between the parts, and with
/// U+FFFD for what is not UTF-8. Control characters are shown as they are: whoever prints to a terminal must escape them.
///
/// ```
/// use bip::proto::metainfo::SafePath;
/// let path = SafePath::from_parts(["album", "song.flac"])?;
/// assert_eq!(path.to_string(), "album/song.flac");
/// assert!(SafePath::from_parts(["..", "song.flac"]).is_err());
/// assert!(SafePath::from_parts(["/etc/passwd"]).is_err());
/// # Ok::<(), bip::proto::metainfo::PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePath(Box<[u8]>);

impl SafePath {
    /// Makes a path of its parts, or says which of them cannot be stored.
    pub fn from_parts<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Result<Self, PathError> {
        let mut joined = Vec::new();
        for part in parts {
            let part = part.as_ref();
            if !Names::Host.keeps(part) {
                return Err(PathError::Part(part.to_vec()));
            }
            if !joined.is_empty() {
                joined.push(b'/');
            }
            joined.extend_from_slice(part);
        }
        if joined.is_empty() { Err(PathError::NoParts) } else { Ok(Self(joined.into())) }
    }

    /// Takes parts that are known to be safe, joined by `/`.
    pub(super) fn from_joined(joined: &[u8]) -> Self {
        debug_assert!(joined.split(|&b| b == b'/').all(|part| Names::Host.keeps(part)));
        Self(joined.into())
    }

    /// Goes over the parts, of which there is at least one.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/')
    }

    /// Gives the parts joined by `/`, which no part has in it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gives the last part: the file's own name.
    pub fn file_name(&self) -> &[u8] {
        self.parts().next_back().unwrap_or_default()
    }

    /// Gives the path of the folder that this path is in; `None` for a path of one part.
    pub fn parent(&self) -> Option<SafePath> {
        let slash = self.0.iter().rposition(|&b| b == b'/')?;
        Some(Self(self.0[..slash].into()))
    }

    /// Gives the path in the form of this host: relative, to be joined to a folder.
    pub fn to_path_buf(&self) -> PathBuf {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            PathBuf::from(std::ffi::OsStr::from_bytes(&self.0))
        }
        #[cfg(not(unix))]
        {
            self.parts().map(String::from_utf8_lossy).map(std::borrow::Cow::into_owned).collect()
        }
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafePath(\"{}\")", self.0.escape_ascii())
    }
}
