//! A list of files as most torrents have it: of each file its length and its path, and nothing else.
//!
//! It is read in one go, without a token for each of its elements. What is not quite as it should be is left to the general way, which alone
//! says what is wrong.

use super::error::Error;
use super::files::Files;
use super::flags::Flags;
use super::limits::Limits;
use crate::proto::bencode::{self, Document};

/// A file: its length, and where the list of the parts of its path and the last of these stand.
#[derive(Debug, Clone, Copy)]
struct PlainFile {
    length: u64,
    path: u32,
    name: u32,
}

/// The files of a list, which starts at `at`.
#[derive(Debug)]
pub(super) struct Plain {
    at: usize,
    files: Vec<PlainFile>,
}

/// Decodes a torrent, or a bare `info` with `outside` of 0, and reads the list of files if it is plain: then it is empty in the document.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    bencode_limits: &bencode::Limits,
    outside: usize,
) -> Result<(Document<'a>, Option<Plain>), Error> {
    let mut plain: Option<Plain> = None;
    let document = Document::decode_around(bytes, bencode_limits, |source, at, open| {
        let is_files = open == outside + 1 && plain.is_none() && source.get(..at)?.ends_with(b"5:files");
        // The list, a file and a path.
        if !is_files || open.checked_add(3)? > bencode_limits.depth {
            return None;
        }
        let (files, end, tokens) = read(source, at, limits)?;
        plain = Some(Plain { at, files });
        Some((end, tokens))
    })?;
    let Some(found) = &plain else { return Ok((document, None)) };
    // The list may have been another one, and what version 2 describes too is compared element by element.
    let root = document.root().as_dict();
    let info = if outside == 0 { root } else { root.and_then(|root| root.get("info")?.as_dict()) };
    let is_it = info.is_some_and(|info| {
        let is_version_1 = info.get("file tree").is_none() && info.get("meta version").is_none();
        is_version_1 && info.get("files").is_some_and(|files| files.position() == found.at)
    });
    if is_it { Ok((document, plain)) } else { Ok((Document::decode(bytes, bencode_limits)?, None)) }
}

/// Reads the list that starts at `at`, if it is plain: gives its files, where it ends and how many tokens there are after its first.
fn read(source: &[u8], at: usize, limits: &Limits) -> Option<(Vec<PlainFile>, usize, usize)> {
    let mut files = Vec::new();
    let mut tokens = 1;
    let mut rest = source.get(at + 1..)?;
    while let Some(file) = rest.strip_prefix(b"d6:lengthi") {
        let (length, path) = number(file, b'e')?;
        let mut part = path.strip_prefix(b"4:pathl")?;
        let path = source.len() - part.len() - 1;
        let mut name = part;
        let mut parts = 0;
        while let Some(&first) = part.first() {
            if first == b'e' {
                break;
            }
            let (length, text) = number(part, b':')?;
            name = part;
            part = text.get(usize::try_from(length).ok()?..)?;
            parts += 1;
        }
        rest = part.strip_prefix(b"ee")?;
        // With the torrent's name.
        if parts == 0 || parts >= limits.path_depth || files.len() >= limits.files {
            return None;
        }
        // The dictionary, two keys, the length, the list, and two ends.
        tokens += 7 + parts;
        // Torrents are shorter than 4 GiB.
        files.push(PlainFile { length, path: path as u32, name: (source.len() - name.len()) as u32 });
    }
    let end = source.len() - rest.strip_prefix(b"e")?.len();
    if files.is_empty() { None } else { Some((files, end, tokens)) }
}

/// Takes a number of up to 18 digits, without a zero in front, off what begins with it and an end.
#[inline(always)]
fn number(bytes: &[u8], end: u8) -> Option<(u64, &[u8])> {
    let mut value: u64 = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte == end {
            let is_plain = at == 1 || (2..=18).contains(&at) && bytes.first() != Some(&b'0');
            return Some((value, bytes.get(at + 1..)?)).filter(|_| is_plain);
        }
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    None
}

impl Plain {
    /// Gives how many files there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }
}

impl<'a> Files<'a, '_, '_> {
    /// Takes the files of a plain list; `source` is what it stands in.
    pub(super) fn plain(&mut self, plain: &Plain, source: &'a [u8]) -> Result<(), Error> {
        for (number, file) in (0..).zip(&plain.files) {
            let (path, name) = (file.path as usize, file.name as usize);
            let folder = self.plain_folder(source.get(path + 1..name).unwrap_or_default(), path + 1);
            let text = string(source.get(name..).unwrap_or_default()).map_or(&b""[..], |(text, _)| text);
            let place = self.put(number, folder, text, self.offset_in_info(name), Flags::default());
            // The number stands before `e4:pathl`.
            let digits = file.length.checked_ilog10().unwrap_or(0) as usize + 1;
            self.add(file.length, Flags::default(), place, path - b"ie4:path".len() - digits)?;
        }
        Ok(())
    }

    /// Gives the folder of the parts that stand in these bytes, which start at `at`.
    #[inline(always)]
    fn plain_folder(&mut self, parts: &'a [u8], at: usize) -> u32 {
        // Paths of one folder often follow each other.
        if let Some(folder) = self.recent_folder(parts) {
            return folder;
        }
        let mut folder = 0;
        let mut rest = parts;
        while let Some((text, after)) = string(rest) {
            let place = self.offset_in_info(at + parts.len() - rest.len());
            folder = self.enter(folder, text, place);
            rest = after;
        }
        self.set_recent_folder(parts, folder);
        folder
    }
}

/// Takes a string off what begins with one.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(bytes, b':')?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::super::torrent::bencode_limits;
    use super::*;
    use crate::proto::metainfo::{Metainfo, Names, Warning};
    use proptest::prelude::*;

    fn torrent(before: &str, files: &str, after: &str) -> Vec<u8> {
        let pieces = "12:piece lengthi16384e6:pieces20:abcdefghijklmnopqrst";
        format!("d{before}4:infod5:filesl{files}e4:name1:t{pieces}e{after}e").into_bytes()
    }

    fn decoded(bytes: &[u8], limits: &Limits) -> Result<(usize, Option<Plain>), Error> {
        let (document, plain) = decode(bytes, limits, &bencode_limits(limits), 1)?;
        let info = document.root().dict()?.dict("info")?;
        Ok((info.list("files")?.iter().count(), plain))
    }

    /// Reads a torrent as it is, and with a key in `info` that makes the general way read it, and gives what both agree on.
    fn read_both_ways(files: &str, limits: &Limits) -> Result<Metainfo, Error> {
        let found = Metainfo::parse(&torrent("", files, ""), limits);
        // The first of two lists by that name is taken for the list of files, and is not.
        let other = Metainfo::parse(&torrent(&format!("1:ad5:filesl{TWO}ee"), files, ""), limits);
        let shown = |torrent: &Result<Metainfo, Error>| match torrent {
            Ok(torrent) => Ok((format!("{:?}", torrent.files()), format!("{:?}", torrent.warnings()))),
            Err(error) => Err(std::mem::discriminant(error)),
        };
        assert_eq!(shown(&found), shown(&other), "{files}");
        if let (Ok(found), Ok(other)) = (&found, &other) {
            assert_eq!(found.layout(), other.layout());
        }
        found
    }

    const TWO: &str = "d6:lengthi1e4:pathl1:d1:aeed6:lengthi20e4:pathl1:d2:bbee";

    #[test]
    fn a_list_of_lengths_and_paths_is_read_in_one_go() {
        let (in_document, plain) = decoded(&torrent("", TWO, ""), &Limits::default()).unwrap();
        assert_eq!((in_document, plain.map(|plain| plain.len())), (0, Some(2)));
        let torrent = read_both_ways(TWO, &Limits::default()).unwrap();
        let files: Vec<_> = torrent.files().iter().map(|f| (f.path.to_string(), f.length, f.offset)).collect();
        assert_eq!(files, [("t/d/a".into(), 1, 0), ("t/d/bb".into(), 20, 1)]);
    }

    #[test]
    fn what_calls_itself_version_2_is_read_element_by_element() {
        for version in [1, 2, 3] {
            let bytes = torrent("", &format!("{TWO}e12:meta versioni{version}"), "");
            let (_, plain) = decoded(&bytes, &Limits::default()).unwrap();
            assert!(plain.is_none(), "{version}");
            // Version 2 has a file tree.
            if cfg!(feature = "v2") {
                assert_eq!(Metainfo::parse(&bytes, &Limits::default()).is_ok(), version == 1);
            }
        }
    }

    #[test]
    fn what_says_more_of_a_file_is_read_element_by_element() {
        for files in [
            "",
            "d4:attr1:x6:lengthi1e4:pathl1:aee",
            "d6:lengthi1e4:pathl1:ae1:xi0ee",
            "d6:lengthi1e4:pathleed6:lengthi1e4:pathl1:aee",
            "d4:pathl1:ae6:lengthi1ee",
            "d6:lengthi-1e4:pathl1:aee",
            "d6:lengthi1e4:pathl1:ai1eee",
            "d6:lengthi1234567890123456789e4:pathl1:aee",
        ] {
            let (in_document, plain) = decoded(&torrent("", files, ""), &Limits::default()).unwrap();
            assert!(plain.is_none() && in_document == files.matches("6:length").count(), "{files}");
        }
        // What is no bencode is refused, as anywhere.
        for files in ["d6:lengthi01e4:pathl1:aee", "d6:lengthi1e4:pathl01:aee", "d6:lengthie4:pathl1:aee"] {
            assert!(matches!(decoded(&torrent("", files, ""), &Limits::default()), Err(Error::Bencode(_))), "{files}");
        }
    }

    #[test]
    fn another_list_of_files_is_not_taken_for_the_one_of_the_torrent() {
        for before in [format!("1:ad5:filesl{TWO}ee"), String::new()] {
            let bytes = torrent(&before, TWO.split_at(27).0, "1:zd5:fileslee");
            assert_eq!(Metainfo::parse(&bytes, &Limits::default()).unwrap().files().len(), 1);
        }
        // Nor is one in a bare `info`, a level further up.
        let info = format!("d5:filesl{TWO}e4:name1:t12:piece lengthi16384e6:pieces20:abcdefghijklmnopqrste");
        let found = Metainfo::parse_info(info.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(found.files()[1].path.to_string(), "t/d/bb");
    }

    #[test]
    fn the_same_limits_hold_as_for_any_list() {
        let wide = Limits::default();
        for tokens in 0..40 {
            let limits = Limits { bencode_tokens: tokens, ..wide.clone() };
            let at_once = Metainfo::parse(&torrent("", TWO, ""), &limits).map(drop);
            let general = bencode::Document::decode(&torrent("", TWO, ""), &bencode_limits(&limits)).map(drop);
            assert_eq!(at_once, general.map_err(Error::from), "{tokens}");
        }
        for depth in 0..8 {
            let limits = Limits { bencode_depth: depth, ..wide.clone() };
            assert_eq!(Metainfo::parse(&torrent("", TWO, ""), &limits).is_ok(), depth >= 5, "{depth}");
        }
        let few = Limits { files: 1, ..wide.clone() };
        assert!(matches!(read_both_ways(TWO, &few), Err(Error::TooManyFiles { limit: 1, .. })));
        let shallow = Limits { path_depth: 2, ..wide.clone() };
        assert!(matches!(read_both_ways(TWO, &shallow), Err(Error::PathTooDeep { limit: 2, .. })));
        let huge = "d6:lengthi999999999999999999e4:pathl1:aee".repeat(10);
        let error = Metainfo::parse(&torrent("", &huge, ""), &wide).unwrap_err();
        assert_eq!(error, Error::TotalOverflow { at: 16 + 9 * 41 + 9 });
    }

    #[test]
    fn names_are_made_safe_and_told_apart_as_anywhere() {
        let files = "d6:lengthi1e4:pathl2:..1:aeed6:lengthi1e4:pathl0:eed6:lengthi1e4:pathl1:b1:aee\
                     d6:lengthi1e4:pathl1:b1:aeed6:lengthi1e4:pathl1:beed6:lengthi1e4:pathl2:a/eed6:lengthi0e4:pathl1:Aee";
        for names in [Names::Host, Names::Portable] {
            let torrent = read_both_ways(files, &Limits { names, ..Limits::default() }).unwrap();
            assert_eq!(torrent.files().len(), 7);
            assert!(torrent.warnings().iter().any(|w| matches!(w, Warning::PathRenamed { .. })));
            assert!(torrent.warnings().iter().any(|w| matches!(w, Warning::PathRepaired { .. })));
        }
    }

    proptest! {
        #[test]
        fn both_ways_read_the_same(
            parts in prop::collection::vec((0..1000_u64, prop::collection::vec("[abA./]{0,2}", 0..4)), 0..12).boxed(),
            portable in any::<bool>(),
        ) {
            let file = |(length, parts): &(u64, Vec<String>)| {
                let parts: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
                format!("d6:lengthi{length}e4:pathl{parts}ee")
            };
            let files: String = parts.iter().map(file).collect();
            let names = if portable { Names::Portable } else { Names::Host };
            let _ = read_both_ways(&files, &Limits { names, ..Limits::default() });
        }
    }
}
