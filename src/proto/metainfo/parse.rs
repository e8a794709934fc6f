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
        let renamed = {
            let path_of = |file: usize| files[file].path.as_bytes();
            let paths = Paths::new(files.iter().map(|f| f.path.as_bytes()), self.limits.names);
            let clashes = paths.clashes();
            paths
                .rename(&clashes, path_of, |file| !files[file].is_padding, MAX_DUPLICATES)
                .map_err(|_| Error::TooManyDuplicates { at })?
        };
        for (index, path) in renamed {
            let below = |path: &[u8]| path.get(self.name.len() + 1..).unwrap_or_default().to_vec();
            let file = &mut files[index];
            let taken = below(file.path.as_bytes());
            self.warnings.push(Warning::PathRenamed {
                file: FileIndex(index as u32),
                taken: lossy(&taken),
                stored: lossy(&below(&path)),
            });
            file.raw.get_or_insert_with(|| taken.split(|&b| b == b'/').map(<[u8]>::to_vec).collect());
            file.path = SafePath::from_joined(&path);
        }
        Ok(())
    }
}

fn raw_parts(parts: List<'_, '_>) -> Vec<Vec<u8>> {
    parts.iter().filter_map(|part| part.as_bytes()).map(<[u8]>::to_vec).collect()
}
