//! Reading a torrent file.

use super::duplicate::Paths;
use super::error::Error;
use super::layout::{File, Layout};
use super::path::{Names, SafePath};
use super::warning::Warning;
use crate::proto::bencode::{self, Dict, Document, List, Value};
use crate::proto::geometry::Geometry;
use crate::proto::id::{FileIndex, InfoHash};
use crate::proto::sha1::Sha1;
use std::sync::Arc;

/// How many files may have to be renamed because their path is taken; padding is not counted.
const MAX_DUPLICATES: usize = 500;

/// How much of a torrent is accepted, and how its names are made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long the torrent file may be, in bytes. Default 32 MiB.
    pub torrent_bytes: usize,
    /// How many pieces there may be. Default 2^21.
    pub pieces: u32,
    /// How long a piece may be, in bytes. Default 512 MiB.
    pub piece_length: u32,
    /// How many files there may be. Default 250,000.
    pub files: usize,
    /// How many parts a path may have, with the torrent's name. Default 100.
    pub path_depth: usize,
    /// How deep lists and dictionaries may nest. Default 64.
    pub bencode_depth: usize,
    /// How many bencoded elements there may be, at 8 bytes of memory each. Default 3,000,000.
    pub bencode_tokens: usize,
    /// How much of the names is repaired.
    pub names: Names,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            torrent_bytes: 32 << 20,
            pieces: 1 << 21,
            piece_length: 512 << 20,
            files: 250_000,
            path_depth: 100,
            bencode_depth: 64,
            bencode_tokens: 3_000_000,
            names: Names::default(),
        }
    }
}

/// A torrent file that has been read: what is shared, under which hash, and who may know of peers.
///
/// Unknown keys are harmless, and part of the info hash. Text that is not UTF-8 is read with U+FFFD in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    info_hash: InfoHash,
    info: Arc<[u8]>,
    layout: Arc<Layout>,
    raw_name: Vec<u8>,
    private: bool,
    source: Option<String>,
    announce: Option<String>,
    announce_list: Vec<Vec<String>>,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
    encoding: Option<String>,
    warnings: Vec<Warning>,
}

impl Metainfo {
    /// Reads a torrent file.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, and where. Refused are: what is not bencode (see [`bencode`]) or over the limits; a
    /// name that is missing, not a string, or all NUL; a part of a path that is not a string; no files, or no bytes in them;
    /// both or neither of `length` and `files`; lengths that are negative or add up to 2^63 or more; a piece length of 0 or
    /// less; piece hashes that do not fit the lengths; more than 500 duplicate paths; torrents of version 2 alone.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let document = decode(bytes, limits)?;
        let root = document.root().dict()?;
        let mut warnings: Vec<Warning> =
            document.unsorted_key().map(|at| Warning::UnsortedKeys { at }).into_iter().collect();
        let info = root.dict("info")?;
        let mut out = Self::from_info(info, limits, &mut warnings)?;
        out.announce = optional_text(root, "announce", &mut warnings).filter(|url| !url.is_empty());
        out.announce_list = announce_list(root, &mut warnings);
        out.comment = optional_text(root, "comment", &mut warnings);
        out.created_by = optional_text(root, "created by", &mut warnings);
        out.creation_date = optional(root, "creation date", Value::as_int, &mut warnings);
        out.encoding = optional_text(root, "encoding", &mut warnings);
        out.warnings = warnings;
        Ok(out)
    }

    /// Reads a bare `info` dictionary, as it is fetched from peers (BEP 9). Whoever fetched it compares the info hash.
    ///
    /// # Errors
    ///
    /// As [`Metainfo::parse`]; paths in messages begin below `info`.
    pub fn parse_info(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let document = decode(bytes, limits)?;
        let mut warnings: Vec<Warning> =
            document.unsorted_key().map(|at| Warning::UnsortedKeys { at }).into_iter().collect();
        let mut out = Self::from_info(document.root().dict()?, limits, &mut warnings)?;
        out.warnings = warnings;
        Ok(out)
    }

    fn from_info(info: Dict<'_, '_>, limits: &Limits, warnings: &mut Vec<Warning>) -> Result<Self, Error> {
        let span = info.value().span();
        let at = info.value().position();
        if info.get("pieces").is_none() && info.get("file tree").is_some() {
            return Err(Error::OnlyVersion2 { at });
        }

        let name_value = match info.get("name.utf-8").filter(|v| v.as_str().is_some_and(|name| !name.is_empty())) {
            Some(value) => value,
            None => info.required("name")?,
        };
        let raw_name = name_value.bytes()?;
        if !raw_name.is_empty() && raw_name.iter().all(|&b| b == 0) {
            return Err(Error::NulName { at: name_value.position() });
        }
        let name = if limits.names.keeps(raw_name) {
            if std::str::from_utf8(raw_name).is_err() {
                warnings.push(Warning::NotUtf8 { file: None });
            }
            raw_name.to_vec()
        } else {
            let name = limits.names.repair(raw_name);
            warnings.push(Warning::NameRepaired { raw: lossy(raw_name), stored: lossy(&name) });
            name
        };

        let piece_length = piece_length(info, limits)?;
        let files = match (info.get("length"), info.get("files")) {
            (Some(length), None) => {
                let length = file_length(length)?;
                vec![File { path: SafePath::from_joined(&name), length, offset: 0, raw: None, is_padding: false }]
            }
            (None, Some(files)) => Files { name: &name, limits, warnings }.parse(files.list()?)?,
            (length, _) => return Err(Error::LengthOrFiles { at, both: length.is_some() }),
        };
        let total = files.last().map_or(0, |file| file.offset + file.length);
        if total == 0 {
            return Err(Error::Empty { at });
        }

        let pieces_value = info.required("pieces")?;
        let pieces = pieces_value.bytes()?;
        let pieces_at = pieces_value.position();
        let count = pieces.len() / 20;
        if pieces.len() % 20 != 0 {
            return Err(Error::PiecesLength { at: pieces_at, length: pieces.len() });
        }
        if count > limits.pieces as usize {
            return Err(Error::TooManyPieces { at: pieces_at, count, limit: limits.pieces });
        }
        let mismatch = Error::PieceCount { at: pieces_at, expected: total.div_ceil(piece_length.into()), found: count };
        let geometry = match Geometry::new(total, piece_length) {
            Some(geometry) if geometry.piece_count() as usize == count => geometry,
            _ => return Err(mismatch),
        };

        let shared: Arc<[u8]> = span.into();
        let hashes_at = pieces_value.range().end - pieces.len() - at;
        Ok(Self {
            info_hash: InfoHash(Sha1::digest(span)),
            info: shared.clone(),
            layout: Arc::new(Layout::from_checked(files, geometry, shared, hashes_at)),
            raw_name: raw_name.to_vec(),
            private: optional(info, "private", Value::as_int, warnings) == Some(1),
            source: optional_text(info, "source", warnings),
            announce: None,
            announce_list: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
            encoding: None,
            warnings: Vec::new(),
        })
    }

    /// Gives the SHA-1 of the `info` dictionary as it stands in the file: the torrent's name among peers.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// Gives the `info` dictionary as it stands in the file, unknown keys and all.
    pub fn info_bytes(&self) -> &[u8] {
        &self.info
    }

    /// Gives the `info` dictionary's bytes to be shared.
    pub fn shared_info_bytes(&self) -> Arc<[u8]> {
        self.info.clone()
    }

    /// Gives the files, pieces and hashes, to be shared by all who read, write or verify.
    pub fn layout(&self) -> Arc<Layout> {
        self.layout.clone()
    }

    /// Gives the lengths of torrent and pieces.
    pub fn geometry(&self) -> Geometry {
        self.layout.geometry()
    }

    /// Gives the name that the torrent is stored under, with U+FFFD for what is not UTF-8.
    pub fn name(&self) -> String {
        self.layout.name()
    }

    /// Gives the name as the metainfo gives it.
    pub fn raw_name(&self) -> &[u8] {
        &self.raw_name
    }

    /// Gives the files, in the order in which their bytes follow each other. There is at least one.
    pub fn files(&self) -> &[File] {
        self.layout.files()
    }

    /// Gives the length of all files together, in bytes.
    pub fn total_length(&self) -> u64 {
        self.geometry().total_length()
    }

    /// Says whether peers may come from the torrent's own trackers only (BEP 27).
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Gives the tracker's own mark in `info`, which keeps apart the same files on two private trackers.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Gives the one tracker of `announce`.
    pub fn announce(&self) -> Option<&str> {
        self.announce.as_deref()
    }

    /// Gives the tiers of `announce-list` (BEP 12); empty where there is none.
    pub fn announce_list(&self) -> &[Vec<String>] {
        &self.announce_list
    }

    /// Gives the tiers of trackers to use: `announce-list` where there is one, otherwise `announce` alone (BEP 12).
    pub fn trackers(&self) -> Vec<Vec<String>> {
        if self.announce_list.is_empty() {
            self.announce.iter().map(|url| vec![url.clone()]).collect()
        } else {
            self.announce_list.clone()
        }
    }

    /// Gives the author's remark.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// Gives the program that made the torrent.
    pub fn created_by(&self) -> Option<&str> {
        self.created_by.as_deref()
    }

    /// Gives when the torrent was made, in seconds from 1970.
    pub fn creation_date(&self) -> Option<i64> {
        self.creation_date
    }

    /// Gives the encoding of names that the torrent claims.
    pub fn encoding(&self) -> Option<&str> {
        self.encoding.as_deref()
    }

    /// Gives what was odd, in the order in which it was found.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Document<'a>, Error> {
    if bytes.len() > limits.torrent_bytes {
        return Err(Error::TooLong { length: bytes.len(), limit: limits.torrent_bytes });
    }
    let bencode_limits = bencode::Limits {
        depth: limits.bencode_depth,
        tokens: limits.bencode_tokens,
        string_length: usize::MAX,
        input_length: usize::MAX,
    };
    Ok(Document::decode(bytes, &bencode_limits)?)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn optional<'a, 'd, T>(
    dict: Dict<'a, 'd>,
    key: &'static str,
    read: impl FnOnce(Value<'a, 'd>) -> Option<T>,
    warnings: &mut Vec<Warning>,
) -> Option<T> {
    let value = dict.get(key)?;
    let out = read(value);
    if out.is_none() {
        warnings.push(Warning::Ignored { key, at: value.position() });
    }
    out
}

fn optional_text(dict: Dict<'_, '_>, key: &'static str, warnings: &mut Vec<Warning>) -> Option<String> {
    optional(dict, key, |v| v.as_bytes().map(lossy), warnings)
}

/// Reads the tiers, leaving out what is not a tier or not a URL, and taking a bare URL for a tier of its own.
fn announce_list(root: Dict<'_, '_>, warnings: &mut Vec<Warning>) -> Vec<Vec<String>> {
    let key = "announce-list";
    let Some(tiers) = optional(root, key, Value::as_list, warnings) else {
        return Vec::new();
    };
    let mut ignored = None;
    let mut out = Vec::new();
    for tier in tiers {
        let mut urls = Vec::new();
        let mut add = |url: Value<'_, '_>| match url.as_bytes() {
            Some(b"") => {}
            Some(text) => urls.push(lossy(text)),
            None => ignored = ignored.or(Some(url.position())),
        };
        match tier.as_list() {
            Some(list) => list.iter().for_each(&mut add),
            None => add(tier),
        }
        if !urls.is_empty() {
            out.push(urls);
        }
    }
    warnings.extend(ignored.map(|at| Warning::Ignored { key, at }));
    out
}

fn piece_length(info: Dict<'_, '_>, limits: &Limits) -> Result<u32, Error> {
    let value = info.required("piece length")?;
    let length = value.int()?;
    match u32::try_from(length) {
        Ok(ok) if ok > 0 && ok <= limits.piece_length => Ok(ok),
        _ => Err(Error::PieceLength { at: value.position(), value: length, limit: limits.piece_length }),
    }
}

fn file_length(value: Value<'_, '_>) -> Result<u64, Error> {
    let length = value.int()?;
    u64::try_from(length).map_err(|_| Error::NegativeLength { path: value.path(), at: value.position(), value: length })
}

/// Gives the parts of a `path.utf-8` that is as it should be.
fn utf8_path<'a, 'd>(value: Value<'a, 'd>) -> Option<List<'a, 'd>> {
    let list = value.as_list()?;
    (!list.is_empty() && list.iter().all(|part| part.as_str().is_some())).then_some(list)
}

/// Reads `files`.
struct Files<'n, 'w> {
    name: &'n [u8],
    limits: &'n Limits,
    warnings: &'w mut Vec<Warning>,
}

impl Files<'_, '_> {
    fn parse(mut self, list: List<'_, '_>) -> Result<Vec<File>, Error> {
        let at = list.value().position();
        let mut files = Vec::new();
        let mut total: u64 = 0;
        let mut joined = Vec::new();
        for entry in list {
            if files.len() >= self.limits.files {
                return Err(Error::TooManyFiles { at: entry.position(), limit: self.limits.files });
            }
            let dict = entry.dict()?;
            let (mut length, mut path, mut utf8, mut attributes) = (None, None, None, None);
            // One pass over the keys, as there may be very many files.
            for (key, value) in dict {
                match key {
                    b"length" => length = Some(value),
                    b"path" => path = Some(value),
                    b"path.utf-8" => utf8 = utf8_path(value),
                    b"attr" => attributes = value.as_bytes(),
                    _ => {}
                }
            }
            let Some(length_value) = length else {
                return Err(dict.int("length").map_or_else(Error::from, |_| Error::NoFiles { at }));
            };
            let length = file_length(length_value)?;
            let parts = match utf8 {
                Some(parts) => parts,
                None => match path {
                    Some(path) => path.list()?,
                    None => dict.list("path")?,
                },
            };
            let offset = total;
            total = total
                .checked_add(length)
                .filter(|&t| t <= i64::MAX as u64)
                .ok_or(Error::TotalOverflow { at: length_value.position() })?;
            let file = FileIndex(files.len() as u32);
            let raw = self.path(file, parts, &mut joined)?;
            let is_padding = attributes.is_some_and(|a| a.contains(&b'p'));
            files.push(File { path: SafePath::from_joined(&joined), length, offset, raw, is_padding });
        }
        if files.is_empty() {
            return Err(Error::NoFiles { at });
        }
        self.resolve_duplicates(&mut files, at)?;
        Ok(files)
    }

    /// Writes a file's safe path to `joined`, and gives the raw parts where they are not the same.
    fn path(
        &mut self,
        file: FileIndex,
        parts: List<'_, '_>,
        joined: &mut Vec<u8>,
    ) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let limit = self.limits.path_depth;
        let names = self.limits.names;
        joined.clear();
        joined.extend_from_slice(self.name);
        let mut repaired = parts.is_empty();
        for (depth, part) in parts.iter().enumerate() {
            if depth + 2 > limit {
                return Err(Error::PathTooDeep { at: parts.value().position(), limit });
            }
            let part = part.bytes()?;
            joined.push(b'/');
            if names.keeps(part) {
                joined.extend_from_slice(part);
            } else {
                repaired = true;
                joined.extend_from_slice(&names.repair(part));
            }
        }
        if parts.is_empty() {
            joined.extend_from_slice(b"/_");
        }
        let below = joined.get(self.name.len() + 1..).unwrap_or_default();
        if !names.is_portable() && std::str::from_utf8(below).is_err() {
            self.warnings.push(Warning::NotUtf8 { file: Some(file) });
        }
        if !repaired {
            return Ok(None);
        }
        let raw = raw_parts(parts);
        self.warnings.push(Warning::PathRepaired { file, raw: lossy(&raw.join(&b'/')), stored: lossy(below) });
        Ok(Some(raw))
    }

    fn resolve_duplicates(&mut self, files: &mut [File], at: usize) -> Result<(), Error> {
        // The torrent's name is the same in front of all paths: it need not be compared.
        let start = self.name.len() + 1;
        let renamed = {
            let files = &*files;
            let paths = Paths::new(files.iter().map(|file| after(file, start)), self.limits.names);
            let clashes = paths.clashes();
            paths
                .rename(&clashes, |file| after(&files[file], start), |file| !files[file].is_padding, MAX_DUPLICATES)
                .map_err(|_| Error::TooManyDuplicates { at })?
        };
        for (index, path) in renamed {
            let file = &mut files[index];
            let taken = after(file, start).to_vec();
            self.warnings.push(Warning::PathRenamed {
                file: FileIndex(index as u32),
                taken: lossy(&taken),
                stored: lossy(&path),
            });
            file.raw.get_or_insert_with(|| taken.split(|&b| b == b'/').map(<[u8]>::to_vec).collect());
            file.path = SafePath::from_joined(&[self.name, b"/", &path].concat());
        }
        Ok(())
    }
}

/// A file's path from some byte on.
fn after(file: &File, start: usize) -> &[u8] {
    file.path.as_bytes().get(start..).unwrap_or_default()
}

fn raw_parts(parts: List<'_, '_>) -> Vec<Vec<u8>> {
    parts.iter().filter_map(|part| part.as_bytes()).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bencode::{DictEncoder, encode_dict};
    use crate::proto::id::PieceIndex;

    const HOST: Limits = Limits {
        torrent_bytes: 32 << 20,
        pieces: 1 << 21,
        piece_length: 512 << 20,
        files: 250_000,
        path_depth: 100,
        bencode_depth: 64,
        bencode_tokens: 3_000_000,
        names: Names::Host,
    };
    const PORTABLE: Limits = Limits { names: Names::Portable, ..HOST };

    fn parse(bytes: &[u8]) -> Result<Metainfo, Error> {
        Metainfo::parse(bytes, &HOST)
    }

    fn torrent(fill: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
        encode_dict(|root| root.dict("info", fill))
    }

    /// A single file of 5 bytes, of which `change` may write fields over.
    fn single(change: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
        torrent(|info| {
            info.int("length", 5);
            info.bytes("name", "n");
            info.int("piece length", 3);
            info.bytes("pieces", [7; 40]);
            change(info);
        })
    }

    /// Files of one byte each, all in one piece, in the folder `t`.
    fn multi<P: AsRef<[u8]>>(paths: &[&[P]]) -> Vec<u8> {
        torrent(|info| {
            info.bytes("name", "t");
            info.int("piece length", 1 << 20);
            info.bytes("pieces", [7; 20]);
            info.list("files", |files| {
                for path in paths {
                    files.dict(|file| {
                        file.int("length", 1);
                        file.list("path", |parts| path.iter().for_each(|p| parts.bytes(p)));
                    });
                }
            });
        })
    }

    fn paths(metainfo: &Metainfo) -> Vec<String> {
        metainfo.files().iter().map(|f| f.path.to_string()).collect()
    }

    fn message(result: Result<Metainfo, Error>) -> String {
        result.expect_err("this should be refused").to_string()
    }

    #[test]
    fn a_single_file_is_read() {
        let metainfo = parse(&single(|_| {})).unwrap();
        assert_eq!(metainfo.name(), "n");
        assert_eq!(metainfo.raw_name(), b"n");
        assert_eq!(paths(&metainfo), ["n"]);
        assert_eq!((metainfo.total_length(), metainfo.geometry().piece_length()), (5, 3));
        assert_eq!(metainfo.layout().piece_hash(PieceIndex(1)), Some(&[7; 20]));
        assert_eq!(metainfo.layout().piece_hash(PieceIndex(2)), None);
        assert!(!metainfo.layout().is_multi_file());
        assert!(!metainfo.is_private());
        assert_eq!(metainfo.warnings(), []);
        assert!(metainfo.trackers().is_empty());
    }

    #[test]
    fn files_in_folders_are_read_with_the_name_in_front() {
        let metainfo = parse(&multi(&[&["a"][..], &["dir", "sub", "b"]])).unwrap();
        assert_eq!(paths(&metainfo), ["t/a", "t/dir/sub/b"]);
        assert_eq!(metainfo.files().iter().map(|f| f.offset).collect::<Vec<_>>(), [0, 1]);
        assert!(metainfo.files().iter().all(|f| f.raw.is_none()));
        // One file in a folder is not a single file.
        let metainfo = parse(&multi(&[&["a"]])).unwrap();
        assert_eq!(paths(&metainfo), ["t/a"]);
        assert!(metainfo.layout().is_multi_file());
    }

    #[test]
    fn the_outer_fields_are_read() {
        let info = single(|i| i.bytes("source", "S"));
        let info = &info[7..];
        let bytes = [
            &b"d8:announce3:u:113:announce-listll3:u:13:u:2el3:u:3e0:lee7:comment2:hi10:created by3:bip"[..],
            b"13:creation datei-7e8:encoding5:UTF-84:info",
            info,
        ]
        .concat();
        let metainfo = parse(&bytes).unwrap();
        assert_eq!(metainfo.announce(), Some("u:1"));
        assert_eq!(metainfo.announce_list(), [vec!["u:1", "u:2"], vec!["u:3"]]);
        assert_eq!(metainfo.trackers(), metainfo.announce_list());
        assert_eq!(metainfo.comment(), Some("hi"));
        assert_eq!(metainfo.created_by(), Some("bip"));
        assert_eq!(metainfo.creation_date(), Some(-7));
        assert_eq!(metainfo.encoding(), Some("UTF-8"));
        assert_eq!(metainfo.source(), Some("S"));
        assert_eq!(metainfo.warnings(), []);
    }

    #[test]
    fn announce_alone_is_the_only_tier() {
        let info = single(|_| {});
        let bytes = [&b"d8:announce3:u:113:announce-listle4:info"[..], &info[7..]].concat();
        assert_eq!(parse(&bytes).unwrap().trackers(), [vec!["u:1"]]);
    }

    #[test]
    fn private_is_one_and_nothing_else() {
        for (value, private) in [(1, true), (0, false), (-1, false), (2, false)] {
            assert_eq!(parse(&single(|i| i.int("private", value))).unwrap().is_private(), private);
        }
        let odd = parse(&single(|i| i.bytes("private", "1"))).unwrap();
        assert!(!odd.is_private());
        assert!(matches!(odd.warnings(), [Warning::Ignored { key: "private", .. }]));
    }

    #[test]
    fn a_field_of_the_wrong_kind_that_may_be_missing_is_left_out_with_a_warning() {
        let info = single(|_| {});
        let bytes =
            [&b"d8:announcei1e13:announce-listi2e7:commentle10:created byde13:creation date1:x"[..], &info[1..]]
                .concat();
        let metainfo = parse(&bytes).unwrap();
        assert_eq!((metainfo.announce(), metainfo.comment(), metainfo.creation_date()), (None, None, None));
        assert_eq!(metainfo.warnings().len(), 5);
        assert_eq!(metainfo.warnings()[0].to_string(), "announce: ignored, as it is not of the right form at byte 11");
        let bytes = [&b"d13:announce-listl3:u:1li5e3:u:2ei6ee"[..], &info[1..]].concat();
        let metainfo = parse(&bytes).unwrap();
        assert_eq!(metainfo.announce_list(), [vec!["u:1"], vec!["u:2"]]);
        assert_eq!(metainfo.warnings(), [Warning::Ignored { key: "announce-list", at: 24 }]);
    }

    #[test]
    fn the_info_hash_is_of_the_source_bytes_unknown_keys_and_order_and_all() {
        let info = b"d4:name1:n6:lengthi5e1:Xd1:z0:1:ali1eee12:piece lengthi3e6:pieces40:0123456789012345678901234567890123456789e";
        let bytes = [&b"d1:Ali1ee4:info"[..], info, b"1:Zi0ee"].concat();
        let metainfo = parse(&bytes).unwrap();
        assert_eq!(metainfo.info_hash(), InfoHash(Sha1::digest(info)));
        assert_eq!(metainfo.info_bytes(), info);
        assert_eq!(metainfo.warnings(), [Warning::UnsortedKeys { at: 25 }]);
        assert_eq!(metainfo.layout().piece_hash(PieceIndex(1)), Some(b"01234567890123456789"));
        let bare = Metainfo::parse_info(info, &HOST).unwrap();
        assert_eq!(bare.info_hash(), metainfo.info_hash());
        assert_eq!(bare.layout(), metainfo.layout());
    }

    #[test]
    fn a_torrent_cut_anywhere_is_one_error_with_its_byte() {
        let whole = [&b"d8:announce3:u:17:commenti5e"[..], &multi(&[&["a"][..], &["b", "c"]])[1..]].concat();
        assert!(parse(&whole).is_ok());
        for cut in 0..whole.len() {
            let Err(Error::Bencode(error)) = parse(&whole[..cut]) else { panic!("cut at {cut}") };
            assert!(error.position() <= cut);
            assert!(error.to_string().ends_with(&format!("at byte {}", error.position())), "{error}");
        }
        assert_eq!(message(parse(b"")), "expected a value, found the end at byte 0");
        assert_eq!(message(parse(b"le")), "expected a dictionary, found a list at byte 0");
        assert_eq!(message(parse(b"de")), "info: missing from the dictionary at byte 0");
        assert_eq!(message(parse(b"d4:info0:e")), "info: expected a dictionary, found a string at byte 7");
    }

    #[test]
    fn hostile_bencode_is_one_error_with_its_byte() {
        let nested = [&b"d1:x"[..], &vec![b'l'; 20_000], &vec![b'e'; 20_001]].concat();
        assert_eq!(message(parse(&nested)), "nested deeper than the limit of 64 at byte 67");
        assert_eq!(
            message(parse(b"d4:info18446744073709551615:x")),
            "a string of 18446744073709551615 bytes with 1 left at byte 7"
        );
        let limits = Limits { torrent_bytes: 10, ..HOST };
        assert_eq!(message(Metainfo::parse(&[b'd'; 11], &limits)), "a torrent of 11 bytes, over the limit of 10");
    }

    #[test]
    fn a_piece_length_that_cannot_be_is_refused() {
        for bad in [0, -1, i64::MIN, (512 << 20) + 1, 1 << 32, i64::MAX] {
            assert_eq!(
                message(parse(&single(|i| i.int("piece length", bad)))),
                format!("info.piece length: {bad}, not from 1 to 536870912, at byte 43")
            );
        }
        assert_eq!(
            message(parse(&single(|i| i.bytes("piece length", "3")))),
            "info.piece length: expected an integer, found a string at byte 43"
        );
    }

    #[test]
    fn pieces_that_do_not_fit_the_lengths_are_refused() {
        let refused = |pieces: &[u8]| message(parse(&single(|i| i.bytes("pieces", pieces))));
        assert_eq!(refused(&[0; 39]), "info.pieces: 39 bytes, not a multiple of 20, at byte 54");
        assert_eq!(refused(&[0; 20]), "info.pieces: 1 pieces where the lengths call for 2 at byte 54");
        assert_eq!(refused(&[0; 60]), "info.pieces: 3 pieces where the lengths call for 2 at byte 54");
        assert_eq!(refused(&[]), "info.pieces: 0 pieces where the lengths call for 2 at byte 54");
        let huge = parse(&single(|i| i.int("length", i64::MAX)));
        assert!(matches!(huge, Err(Error::PieceCount { expected: 3_074_457_345_618_258_603, found: 2, .. })));
        let limits = Limits { pieces: 1, ..HOST };
        let error = Metainfo::parse(&single(|_| {}), &limits).unwrap_err();
        assert_eq!(error, Error::TooManyPieces { at: 54, count: 2, limit: 1 });
    }

    #[test]
    fn missing_fields_are_named() {
        let without = |key: &str| {
            torrent(|info| {
                for (k, v) in [("length", 5), ("piece length", 3)] {
                    if k != key {
                        info.int(k, v);
                    }
                }
                for (k, v) in [("name", &b"n"[..]), ("pieces", &[0; 40])] {
                    if k != key {
                        info.bytes(k, v);
                    }
                }
            })
        };
        assert!(parse(&without("")).is_ok());
        assert_eq!(message(parse(&without("name"))), "info.name: missing from the dictionary at byte 7");
        assert_eq!(message(parse(&without("pieces"))), "info.pieces: missing from the dictionary at byte 7");
        assert_eq!(
            message(parse(&without("piece length"))),
            "info.piece length: missing from the dictionary at byte 7"
        );
        assert_eq!(message(parse(&without("length"))), "info: neither length nor files at byte 7");
        assert_eq!(message(parse(&single(|i| i.list("files", |_| {})))), "info: both length and files at byte 7");
        let v2 = torrent(|i| i.dict("file tree", |_| {}));
        assert!(matches!(parse(&v2), Err(Error::OnlyVersion2 { at: 7 })));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        assert_eq!(message(parse(&single(|i| i.int("length", -1)))), "info.length: the negative length -1 at byte 16");
        assert_eq!(message(parse(&single(|i| i.int("length", 0)))), "info: a total length of 0 at byte 7");
        let files = |lengths: &[i64]| {
            single(|i| {
                i.list("files", |l| {
                    for (n, length) in lengths.iter().enumerate() {
                        l.dict(|d| {
                            d.int("length", *length);
                            d.list("path", |p| p.bytes(n.to_string()));
                        });
                    }
                });
            })
        };
        let files =
            |lengths: &[i64]| String::from_utf8_lossy(&files(lengths)).replacen("6:lengthi5e", "", 1).into_bytes();
        assert_eq!(message(parse(&files(&[]))), "info.files: no files at byte 15");
        assert_eq!(message(parse(&files(&[0, 0]))), "info: a total length of 0 at byte 7");
        assert_eq!(message(parse(&files(&[1, -2]))), "info.files[1].length: the negative length -2 at byte 49");
        assert_eq!(message(parse(&files(&[i64::MAX, 1]))), "info: a total length of 2^63 bytes or more at byte 67");
        assert!(parse(&files(&[0, 4, 1, 0])).is_ok());
    }

    #[test]
    fn names_that_lead_out_of_the_folder_are_repaired_visibly() {
        let metainfo =
            parse(&multi(&[&["..", "..", "x"][..], &["/etc/passwd"], &["", "a"], &[], &["a\0b"], &["."]])).unwrap();
        assert_eq!(paths(&metainfo), ["t/__/__/x", "t/_etc_passwd", "t/_/a", "t/_.1", "t/a_b", "t/_.2"]);
        assert_eq!(metainfo.files()[0].raw.as_ref().unwrap(), &[b"..".to_vec(), b"..".to_vec(), b"x".to_vec()]);
        assert_eq!(metainfo.warnings()[0].to_string(), r#"file 0: "../../x" is stored as "__/__/x""#);
        assert_eq!(metainfo.warnings().len(), 8);
        let named = |name: &[u8]| parse(&single(|i| i.bytes("name", name)));
        for (raw, stored) in [("..", "__"), ("/abs", "_abs"), ("", "_"), ("a/../b", "a_.._b")] {
            let metainfo = named(raw.as_bytes()).unwrap();
            assert_eq!((metainfo.name(), metainfo.raw_name()), (stored.to_string(), raw.as_bytes()));
            assert_eq!(paths(&metainfo), [stored]);
            assert!(matches!(metainfo.warnings(), [Warning::NameRepaired { .. }]));
        }
        assert_eq!(message(named(&[0, 0])), "info.name: nothing but NUL bytes at byte 25");
        assert_eq!(
            message(parse(&single(|i| i.int("name", 5)))),
            "info.name: expected a string, found an integer at byte 25"
        );
    }

    #[test]
    fn a_part_of_a_path_that_is_not_a_string_is_refused() {
        let bytes = String::from_utf8_lossy(&multi(&[&["a", "bc"]])).replacen("2:bc", "i7e", 1).into_bytes();
        assert_eq!(message(parse(&bytes)), "info.files[0].path[1]: expected a string, found an integer at byte 38");
        let bytes = String::from_utf8_lossy(&multi(&[&["a", "bc"]])).replacen("l1:a2:bce", "1:a", 1).into_bytes();
        assert_eq!(message(parse(&bytes)), "info.files[0].path: expected a list, found a string at byte 34");
    }

    #[test]
    #[cfg(unix)]
    fn a_name_that_is_not_utf8_is_kept_here_and_repaired_to_be_portable() {
        let bytes = multi(&[&[&b"\xff\x01"[..]][..], &[&b"\xc3\xa4"[..]]]);
        let metainfo = parse(&bytes).unwrap();
        assert_eq!(metainfo.files()[0].path.file_name(), b"\xff\x01");
        assert_eq!(metainfo.files()[0].raw, None);
        assert_eq!(metainfo.warnings(), [Warning::NotUtf8 { file: Some(FileIndex(0)) }]);
        let metainfo = Metainfo::parse(&bytes, &PORTABLE).unwrap();
        assert_eq!(paths(&metainfo), ["t/\u{fffd}_", "t/ä"]);
        assert_eq!(metainfo.files()[0].raw.as_deref(), Some(&[b"\xff\x01".to_vec()][..]));
        assert!(matches!(metainfo.warnings(), [Warning::PathRepaired { .. }]));
        let metainfo = parse(&single(|i| i.bytes("name", b"\xff"))).unwrap();
        assert_eq!((metainfo.name().as_str(), metainfo.layout().name_bytes()), ("\u{fffd}", &b"\xff"[..]));
        assert_eq!(metainfo.warnings(), [Warning::NotUtf8 { file: None }]);
    }

    #[test]
    fn the_utf8_forms_of_names_are_preferred_where_they_are_sound() {
        let bytes = |utf8: &dyn Fn(&mut DictEncoder<'_>)| {
            torrent(|info| {
                info.bytes("name", b"old");
                info.bytes("name.utf-8", "neu");
                info.int("piece length", 1);
                info.bytes("pieces", [0; 20]);
                info.list("files", |files| {
                    files.dict(|file| {
                        file.int("length", 1);
                        file.list("path", |p| p.bytes("alt"));
                        utf8(file);
                    });
                });
            })
        };
        let stored = |utf8: &dyn Fn(&mut DictEncoder<'_>)| paths(&parse(&bytes(utf8)).unwrap());
        assert_eq!(stored(&|f| f.list("path.utf-8", |p| p.bytes("ü"))), ["neu/ü"]);
        assert_eq!(stored(&|f| f.list("path.utf-8", |p| p.bytes("../x"))), ["neu/.._x"]);
        assert_eq!(stored(&|f| f.list("path.utf-8", |_| {})), ["neu/alt"]);
        assert_eq!(stored(&|f| f.list("path.utf-8", |p| p.int(5))), ["neu/alt"]);
        assert_eq!(stored(&|f| f.list("path.utf-8", |p| p.bytes([0xff]))), ["neu/alt"]);
        assert_eq!(stored(&|f| f.bytes("path.utf-8", "x")), ["neu/alt"]);
        let metainfo = parse(&single(|i| i.bytes("name.utf-8", [0xff]))).unwrap();
        assert_eq!(metainfo.name(), "n");
    }

    #[test]
    fn files_never_share_a_path_nor_stand_where_a_folder_is() {
        let metainfo = parse(&multi(&[&["a.x"][..], &["a.x"], &["d"], &["d", "e"], &["p/q"], &["p_q"]])).unwrap();
        assert_eq!(paths(&metainfo), ["t/a.x", "t/a.1.x", "t/d.1", "t/d/e", "t/p_q", "t/p_q.1"]);
        assert_eq!(metainfo.files()[1].raw.as_deref(), Some(&[b"a.x".to_vec()][..]));
        assert_eq!(metainfo.files()[4].raw.as_deref(), Some(&[b"p/q".to_vec()][..]));
        assert!(
            metainfo.warnings().iter().any(|w| w.to_string() == r#"file 2: "d" is taken, so it is stored as "d.1""#)
        );
        let many = |n| multi(&vec![&["same"][..]; n]);
        assert!(parse(&many(501)).is_ok());
        assert_eq!(message(parse(&many(502))), "info.files: too many files of the same path at byte 15");
    }

    #[test]
    fn padding_does_not_count_as_duplicate() {
        let bytes =
            String::from_utf8_lossy(&multi(&vec![&[".pad", "7"][..]; 600])).replace("6:length", "4:attr1:p6:length");
        let metainfo = parse(bytes.as_bytes()).unwrap();
        assert!(metainfo.files().iter().all(|f| f.is_padding));
        assert_eq!(metainfo.files()[599].path.to_string(), "t/.pad/7.599");
    }

    #[test]
    fn files_and_parts_of_paths_are_limited() {
        let limits = Limits { files: 2, ..HOST };
        assert!(Metainfo::parse(&multi(&[&["a"], &["b"]]), &limits).is_ok());
        let error = Metainfo::parse(&multi(&[&["a"], &["b"], &["c"]]), &limits).unwrap_err();
        assert_eq!(error, Error::TooManyFiles { at: 64, limit: 2 });
        let deep = |parts: usize| parse(&multi(&[&vec!["d"; parts]]));
        assert_eq!(deep(99).unwrap().files()[0].path.parts().count(), 100);
        assert_eq!(message(deep(100)), "info.files: a path of more than 100 parts at byte 34");
    }
}
