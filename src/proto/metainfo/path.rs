//! Paths that are safe to store below a folder, and the repair of names that are not.

use std::borrow::Cow;
use std::fmt;

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
        let plain =
            !name.is_empty() && name.len() <= self.length_limit() && is_one_part(name) && name != b"." && name != b"..";
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

    /// Gives what is the same for two paths that a system may take for one.
    pub(super) fn fold(self, path: &[u8]) -> Cow<'_, [u8]> {
        if !self.is_portable() || path.iter().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
            return Cow::Borrowed(path);
        }
        let text = String::from_utf8_lossy(path);
        // Lower case first: `ẞ` is upper case already, and only as `ß` becomes the `SS` that `ß` becomes.
        let lower = text.chars().flat_map(char::to_lowercase);
        let folded: String = lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
        Cow::Owned(folded.into_bytes())
    }
}

/// Says whether a name has neither a `/` nor a NUL, eight bytes at a time.
fn is_one_part(name: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Has a high bit where a byte of the word is zero, or above one that is.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let bad = |word: u64| zeros(word) | zeros(word ^ (ONES * 0x2f));
    let words = name.chunks_exact(8);
    let mut last = [b' '; 8];
    last.iter_mut().zip(words.remainder()).for_each(|(to, from)| *to = *from);
    let whole = words.filter_map(|word| word.first_chunk()).fold(0, |all, word| all | bad(u64::from_le_bytes(*word)));
    whole | bad(u64::from_le_bytes(last)) == 0
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::metainfo::SafePath;
    use proptest::prelude::*;
    use std::path::PathBuf;

    fn portable(name: impl AsRef<[u8]>) -> String {
        let name = name.as_ref();
        if Names::Portable.keeps(name) {
            return String::from_utf8(name.to_vec()).unwrap();
        }
        String::from_utf8(Names::Portable.repair(name)).unwrap()
    }

    #[cfg(unix)]
    fn host(name: impl AsRef<[u8]>) -> Vec<u8> {
        let name = name.as_ref();
        if Names::Host.keeps(name) { name.to_vec() } else { Names::Host.repair(name) }
    }

    #[test]
    #[cfg(unix)]
    fn what_could_leave_the_folder_is_repaired_on_every_host() {
        assert_eq!(host(""), b"_");
        assert_eq!(host("."), b"_");
        assert_eq!(host(".."), b"__");
        assert_eq!(host("/"), b"_");
        assert_eq!(host("/etc/passwd"), b"_etc_passwd");
        assert_eq!(host("../../x"), b".._.._x");
        assert_eq!(host("a\0b"), b"a_b");
        assert_eq!(host("\0"), b"_");
    }

    #[test]
    fn a_slash_or_a_nul_is_found_wherever_it_stands() {
        for length in 1..40 {
            for at in 0..length {
                for byte in 0..=255 {
                    // Those that differ from the two by one, and by the high bit, stand beside them.
                    for other in [1, b'.', b'0', 0x80, 0xaf, b'x'] {
                        let mut name = vec![other; length];
                        name[at] = byte;
                        assert_eq!(is_one_part(&name), !matches!(byte, 0 | b'/'), "{name:?}");
                    }
                }
            }
        }
    }

    #[test]
    #[cfg(unix)]
    fn what_unix_can_store_is_kept_byte_for_byte() {
        let all: Vec<u8> = (1..=255).filter(|&b| b != b'/').collect();
        assert_eq!(host(&all), all);
        for name in ["...", " ", "C:", "a\\b", "AUX", "con.txt", "a.", "a ", "Icon\r", "-rf", "~", "\u{202e}x"] {
            assert_eq!(host(name), name.as_bytes());
        }
        assert_eq!(host([b'x'; 255]), [b'x'; 255]);
    }

    #[test]
    #[cfg(unix)]
    fn a_name_too_long_is_cut_between_characters_and_keeps_its_extension() {
        let long = format!("{}.tar", "ü".repeat(200));
        let cut = String::from_utf8(host(&long)).unwrap();
        assert_eq!(cut, format!("{}.tar", "ü".repeat(125)));
        assert_eq!(host("x".repeat(300)).len(), 255);
        // An extension that is no extension does not stay.
        assert_eq!(host(format!("a.{}", "y".repeat(400))), format!("a.{}", "y".repeat(253)).into_bytes());
        // What is not UTF-8 is cut anywhere.
        assert_eq!(host([0x80; 300]), [0x80; 255]);
    }

    #[test]
    fn portable_names_are_what_every_system_can_store() {
        for (raw, stored) in [
            ("plain name.txt", "plain name.txt"),
            ("ünï©ødé 日本.mkv", "ünï©ødé 日本.mkv"),
            ("C:", "C_"),
            ("C:\\Windows", "C__Windows"),
            ("a<b>c|d?e*f\"g", "a_b_c_d_e_f_g"),
            ("Icon\r", "Icon_"),
            ("bell\u{7}\u{7f}\u{85}", "bell___"),
            ("dots...", "dots___"),
            ("space ", "space_"),
            ("...", "___"),
            ("CON", "_CON"),
            ("aux.c", "_aux.c"),
            ("Lpt1.tar.gz", "_Lpt1.tar.gz"),
            ("com¹", "_com¹"),
            ("nul .txt", "_nul .txt"),
            ("console", "console"),
            ("com10", "com10"),
            ("", "_"),
            ("..", "__"),
            ("a/b", "a_b"),
        ] {
            assert_eq!(portable(raw), stored, "{raw:?}");
        }
        assert_eq!(portable(b"a\xff\xfeb"), "a\u{fffd}\u{fffd}b");
        assert_eq!(portable(format!("{}.flac", "x".repeat(300))), format!("{}.flac", "x".repeat(235)));
        assert_eq!(portable("é".repeat(121)), "é".repeat(120));
    }

    #[test]
    fn a_safe_path_is_made_of_plain_names_only() {
        for bad in [&["a", ""][..], &["."], &["a", "..", "b"], &["a/b"], &["/a"], &["a\0"], &[""]] {
            assert!(matches!(SafePath::from_parts(bad), Err(PathError::Part(_))), "{bad:?}");
        }
        assert!(SafePath::from_parts([[b'x'; 256]]).is_err());
        assert_eq!(SafePath::from_parts::<&str>([]), Err(PathError::NoParts));
        let path = SafePath::from_parts(["a", "b", "c.d"]).unwrap();
        assert_eq!(path.parts().collect::<Vec<_>>(), [&b"a"[..], b"b", b"c.d"]);
        assert_eq!(path.file_name(), b"c.d");
        assert_eq!(path.parent().unwrap().to_string(), "a/b");
        assert_eq!(path.parent().unwrap().parent().unwrap().parent(), None);
        assert_eq!(path.to_path_buf(), ["a", "b", "c.d"].iter().collect::<PathBuf>());
    }

    #[test]
    #[cfg(unix)]
    fn a_safe_path_has_the_very_bytes_of_the_name() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = SafePath::from_parts([&b"dir\xff"[..], b"\x01\x80"]).unwrap();
        assert_eq!(path.to_path_buf().as_os_str().as_bytes(), b"dir\xff/\x01\x80");
        assert_eq!(path.to_string(), "dir\u{fffd}/\u{1}\u{fffd}");
    }

    proptest! {
        #[test]
        fn a_repaired_name_needs_no_further_repair(
            name in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                prop::collection::vec(prop::sample::select(b"./\\ \0aCONux:1\xc3\xa4\xff".to_vec()), 0..300),
            ],
            number in 0..100_000_usize,
        ) {
            for names in [Names::Host, Names::Portable] {
                let stored = if names.keeps(&name) { name.clone() } else { names.repair(&name) };
                prop_assert!(names.keeps(&stored), "{:?}", stored.escape_ascii().to_string());
                prop_assert!(SafePath::from_parts([&stored]).is_ok());
                prop_assert_eq!(SafePath::from_parts([&stored]).unwrap().to_path_buf().components().count(), 1);
                prop_assert!(names.keeps(&names.numbered(&stored, number)));
            }
        }
    }

    #[test]
    fn paths_that_differ_by_the_case_of_a_sharp_s_are_one() {
        let fold = |text: &'static str| Names::Portable.fold(text.as_bytes());
        assert_eq!(fold("STRA\u{1e9e}E"), fold("stra\u{df}e"));
        assert_eq!(fold("STRASSE"), fold("stra\u{df}e"));
        assert_ne!(fold("a"), fold("b"));
    }
}
