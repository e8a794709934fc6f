//! Reading a torrent file.

use super::error::{Error, LayerError};
use super::files::{Files, lossy};
use super::layout::{File, Layout, Version};
use super::limits::Limits;
use super::outer::{Outer, Relatives, optional, optional_text};
use super::plain::{self, Plain};
use super::warning::{Warning, Warnings};
use crate::proto::bencode::{self, Dict, Document, Value};
use crate::proto::geometry::Geometry;
use crate::proto::id::{InfoHash, InfoHashV2};
use crate::proto::sha1::Sha1;
use std::sync::Arc;

/// A torrent file that has been read: what is shared, under which hash, and who may know of peers.
///
/// Unknown keys are harmless, and part of the info hash. Text that is not UTF-8 is read with U+FFFD in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    info_hash: InfoHash,
    info_hash_v2: Option<InfoHashV2>,
    info: Arc<[u8]>,
    layout: Arc<Layout>,
    raw_name: Vec<u8>,
    private: bool,
    source: Option<String>,
    relatives: Relatives,
    outer: Outer,
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
    /// less; piece hashes that do not fit the lengths; more than 500 duplicate paths; a version that is not known.
    ///
    /// With the feature `v2` also: a piece length that version 2 does not have; a file tree with a file that is a folder too, or
    /// without its root; a hybrid whose two descriptions are not of the same files; piece layers that are missing or are not
    /// those of the files. Without it, a torrent of version 2 alone.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let (document, plain) = decode_plain(bytes, limits, 1)?;
        let root = document.root().dict()?;
        let mut warnings = Warnings::default();
        document.unsorted_key().into_iter().for_each(|at| warnings.push(Warning::UnsortedKeys { at }));
        let info = root.dict("info")?;
        let mut out = Self::from_info(bytes, info, plain, limits, &mut warnings)?;
        out.outer = Outer::read(root, &mut warnings);
        out.relatives.read(root, &mut warnings);
        out.relatives = out.relatives.finish();
        out.read_layers(root, &mut warnings)?;
        out.warnings = warnings.finish();
        Ok(out)
    }

    /// Reads a bare `info` dictionary, as it is fetched from peers (BEP 9). Whoever fetched it compares the info hash.
    ///
    /// One of version 2 has no piece layers: [`with_piece_layers`](Self::with_piece_layers) adds them.
    ///
    /// # Errors
    ///
    /// As [`Metainfo::parse`]; paths in messages begin below `info`.
    pub fn parse_info(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let (document, plain) = decode_plain(bytes, limits, 0)?;
        let mut warnings = Warnings::default();
        document.unsorted_key().into_iter().for_each(|at| warnings.push(Warning::UnsortedKeys { at }));
        let mut out = Self::from_info(bytes, document.root().dict()?, plain, limits, &mut warnings)?;
        out.relatives = out.relatives.finish();
        out.warnings = warnings.finish();
        Ok(out)
    }

    fn from_info(
        bytes: &[u8],
        info: Dict<'_, '_>,
        plain: Option<Plain>,
        limits: &Limits,
        warnings: &mut Warnings,
    ) -> Result<Self, Error> {
        let span = info.value().span();
        let at = info.value().position();
        let version = version(info, warnings)?;

        let name_value = match info.get("name.utf-8").filter(|v| v.as_str().is_some_and(|name| !name.is_empty())) {
            Some(value) => value,
            None => info.required("name")?,
        };
        let raw_name = name_value.bytes()?;
        let name = stored_name(name_value, raw_name, limits, warnings)?;
        let piece_length = piece_length(info, limits)?;
        if version.has_v2() && (!piece_length.is_power_of_two() || piece_length < 16 * 1024) {
            let at = info.required("piece length")?.position();
            return Err(Error::PieceLengthV2 { at, value: piece_length });
        }

        let info_hash = InfoHash(Sha1::digest(span));
        let listed = || info.get("files").and_then(Value::as_list).map_or(1, |files| files.iter().count());
        let expected = plain.as_ref().map_or_else(listed, Plain::len);
        let mut files = Files::new(info.value(), &name, info_hash.as_bytes(), limits, warnings, expected);
        let listed_at = match plain {
            Some(plain) if info.get("length").is_none() => {
                files.plain(&plain, bytes)?;
                info.required("files")?.position()
            }
            _ => read_files(&mut files, info, version, raw_name, piece_length)?,
        };
        let total = files.total();
        if total == 0 {
            return Err(Error::Empty { at });
        }
        let pieces = Pieces::read(info, version, total, piece_length, limits)?;

        let shared: Arc<[u8]> = span.into();
        let (files, details) = files.finish(listed_at, Arc::clone(&shared))?;
        let mut relatives = Relatives::default();
        relatives.read(info, warnings);
        let info_hash_v2 = info_hash_v2(span, version);
        Ok(Self {
            info_hash: if version.has_v1() { info_hash } else { info_hash_v2.map_or(info_hash, |v2| v2.truncated()) },
            info_hash_v2,
            info: Arc::clone(&shared),
            layout: Arc::new(Layout::from_checked(
                files,
                details,
                pieces.geometry,
                version,
                shared,
                pieces.hashes_at.saturating_sub(at),
            )),
            raw_name: raw_name.to_vec(),
            private: optional(info, "private", Value::as_int, warnings) == Some(1),
            source: optional_text(info, "source", warnings),
            relatives,
            outer: Outer::default(),
            warnings: Vec::new(),
        })
    }

    #[cfg(not(feature = "v2"))]
    fn read_layers(&mut self, _: Dict<'_, '_>, _: &mut Warnings) -> Result<(), Error> {
        Ok(())
    }

    #[cfg(feature = "v2")]
    fn read_layers(&mut self, root: Dict<'_, '_>, warnings: &mut Warnings) -> Result<(), Error> {
        if !self.version().has_v2() {
            return Ok(());
        }
        let key = "piece layers";
        let value = root.get(key);
        let at = value.map_or(root.value().range().end, Value::position);
        let mut given = std::collections::BTreeMap::new();
        for (root, layer) in value.map(Value::dict).transpose()?.into_iter().flatten() {
            given.insert(root, layer.bytes()?);
        }
        let layout = Arc::make_mut(&mut self.layout);
        let (layers, used) = super::layers::check(layout, &given, true).map_err(|error| Error::Layers { at, error })?;
        if used < given.len() {
            warnings.ignored(key, at);
        }
        layout.set_layers(layers);
        Ok(())
    }

    /// Adds piece layers that were fetched from peers or elsewhere, each with the root of the hash tree that it belongs to (BEP
    /// 52). Those that are known already stay. Without the feature `v2` nothing is added.
    ///
    /// # Errors
    ///
    /// A layer does not fit the file of that root. Layers of no file are passed over.
    pub fn with_piece_layers<'b>(
        &self,
        layers: impl IntoIterator<Item = (&'b [u8; 32], &'b [u8])>,
    ) -> Result<Self, LayerError> {
        let mut out = self.clone();
        out.layout = Arc::new(self.layout.with_piece_layers(layers)?);
        Ok(out)
    }

    /// Says of which kind the torrent is. Without the feature `v2` a hybrid is of version 1.
    pub fn version(&self) -> Version {
        self.layout.version()
    }

    /// Gives the torrent's name among peers: the SHA-1 of the `info` dictionary as it stands in the file, or for a torrent of
    /// version 2 alone the first 20 bytes of its SHA-256.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// Gives the SHA-256 of the `info` dictionary, if the torrent is of version 2 or hybrid (BEP 52).
    pub fn info_hash_v2(&self) -> Option<InfoHashV2> {
        self.info_hash_v2
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

    /// Gives the length of all files together, padding too, in bytes. [`Layout::content_length`] is without.
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
        self.outer.announce.as_deref()
    }

    /// Gives the tiers of `announce-list` (BEP 12); empty where there is none.
    pub fn announce_list(&self) -> &[Vec<String>] {
        &self.outer.announce_list
    }

    /// Gives the tiers of trackers to use: `announce-list` where there is one, otherwise `announce` alone (BEP 12).
    pub fn trackers(&self) -> Vec<Vec<String>> {
        if self.outer.announce_list.is_empty() {
            self.outer.announce.iter().map(|url| vec![url.clone()]).collect()
        } else {
            self.outer.announce_list.clone()
        }
    }

    /// Gives the web seeds of `url-list` (BEP 19).
    pub fn web_seeds(&self) -> &[String] {
        &self.outer.url_list
    }

    /// Gives the nodes of the DHT to begin with, as hosts and ports (BEP 5).
    pub fn nodes(&self) -> &[(String, u16)] {
        &self.outer.nodes
    }

    /// Gives the torrents that are said to have files in common with this one (BEP 38).
    pub fn similar(&self) -> &[InfoHash] {
        &self.relatives.similar
    }

    /// Gives the collections that the torrent is said to be of: torrents of one collection may have files in common (BEP 38).
    pub fn collections(&self) -> &[String] {
        &self.relatives.collections
    }

    /// Gives the author's remark.
    pub fn comment(&self) -> Option<&str> {
        self.outer.comment.as_deref()
    }

    /// Gives the program that made the torrent.
    pub fn created_by(&self) -> Option<&str> {
        self.outer.created_by.as_deref()
    }

    /// Gives when the torrent was made, in seconds from 1970.
    pub fn creation_date(&self) -> Option<i64> {
        self.outer.creation_date
    }

    /// Gives the encoding of names that the torrent claims.
    pub fn encoding(&self) -> Option<&str> {
        self.outer.encoding.as_deref()
    }

    /// Gives what was odd, in the order in which it was found.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

pub(super) fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Document<'a>, Error> {
    not_too_long(bytes, limits)?;
    Ok(Document::decode(bytes, &bencode_limits(limits))?)
}

/// The same, but that a plain list of files is read by itself.
fn decode_plain<'a>(bytes: &'a [u8], limits: &Limits, outside: usize) -> Result<(Document<'a>, Option<Plain>), Error> {
    not_too_long(bytes, limits)?;
    plain::decode(bytes, limits, &bencode_limits(limits), outside)
}

fn not_too_long(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    let (length, limit) = (bytes.len(), limits.torrent_bytes);
    if length > limit { Err(Error::TooLong { length, limit }) } else { Ok(()) }
}

pub(super) fn bencode_limits(limits: &Limits) -> bencode::Limits {
    bencode::Limits {
        depth: limits.bencode_depth,
        tokens: limits.bencode_tokens,
        string_length: usize::MAX,
        input_length: usize::MAX,
    }
}

/// Finds out the version. Unknown ones are found before anything else can be wrong.
fn version(info: Dict<'_, '_>, warnings: &mut Warnings) -> Result<Version, Error> {
    let at = info.value().position();
    let has_pieces = info.get("pieces").is_some();
    let meta = match info.get("meta version") {
        Some(value) => match value.int()? {
            2 => true,
            1 => {
                warnings.ignored("meta version", value.position());
                false
            }
            other => return Err(Error::MetaVersion { at: value.position(), value: other }),
        },
        None => false,
    };
    match (has_pieces, meta) {
        (true, true) if cfg!(feature = "v2") => Ok(Version::Hybrid),
        (false, true) if cfg!(feature = "v2") => Ok(Version::V2),
        (false, true) => Err(Error::OnlyVersion2 { at }),
        (false, false) if info.get("file tree").is_some() => Err(Error::NoMetaVersion { at }),
        _ => Ok(Version::V1),
    }
}

#[cfg(feature = "v2")]
fn info_hash_v2(span: &[u8], version: Version) -> Option<InfoHashV2> {
    version.has_v2().then(|| InfoHashV2(crate::proto::sha256::Sha256::digest(span)))
}

#[cfg(not(feature = "v2"))]
fn info_hash_v2(_: &[u8], _: Version) -> Option<InfoHashV2> {
    None
}

fn stored_name(value: Value<'_, '_>, raw: &[u8], limits: &Limits, warnings: &mut Warnings) -> Result<Vec<u8>, Error> {
    if !raw.is_empty() && raw.iter().all(|&b| b == 0) {
        return Err(Error::NulName { at: value.position() });
    }
    if limits.names.keeps(raw) {
        if std::str::from_utf8(raw).is_err() {
            warnings.push(Warning::NotUtf8 { file: None });
        }
        return Ok(raw.to_vec());
    }
    let name = limits.names.repair(raw);
    warnings.push(Warning::NameRepaired { raw: lossy(raw), stored: lossy(&name) });
    Ok(name)
}

fn piece_length(info: Dict<'_, '_>, limits: &Limits) -> Result<u32, Error> {
    let value = info.required("piece length")?;
    let length = value.int()?;
    match u32::try_from(length) {
        Ok(ok) if ok > 0 && ok <= limits.piece_length => Ok(ok),
        _ => Err(Error::PieceLength { at: value.position(), value: length, limit: limits.piece_length }),
    }
}

/// Reads the files of whichever version there is, and compares the two of a hybrid. Gives where they are listed.
fn read_files<'a, 'd>(
    files: &mut Files<'a, 'd, '_>,
    info: Dict<'a, 'd>,
    version: Version,
    raw_name: &[u8],
    piece_length: u32,
) -> Result<usize, Error> {
    let at = info.value().position();
    #[cfg(feature = "v2")]
    if version == Version::V2 {
        let tree = info.dict("file tree")?;
        files.tree(tree, raw_name, piece_length)?;
        return Ok(tree.value().position());
    }
    #[cfg(feature = "v2")]
    if version == Version::Hybrid {
        files.listed = Some(Vec::new());
    }
    let listed_at = match (info.get("length"), info.get("files")) {
        (Some(length), None) => {
            files.single(info, length)?;
            length.position()
        }
        (None, Some(list)) => {
            files.list(list.list()?)?;
            list.position()
        }
        (length, _) => return Err(Error::LengthOrFiles { at, both: length.is_some() }),
    };
    #[cfg(feature = "v2")]
    if let Some(listed) = files.listed.take() {
        files.compare(&listed, info.dict("file tree")?, raw_name, piece_length)?;
    }
    #[cfg(not(feature = "v2"))]
    let _ = (version, raw_name, piece_length);
    Ok(listed_at)
}

/// The pieces and where the hashes of version 1 stand.
struct Pieces {
    geometry: Geometry,
    hashes_at: usize,
}

impl Pieces {
    fn read(
        info: Dict<'_, '_>,
        version: Version,
        total: u64,
        piece_length: u32,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let at = info.value().position();
        let geometry = Geometry::new(total, piece_length);
        let expected = total.div_ceil(piece_length.into());
        if !version.has_v1() {
            let found = geometry.filter(|geometry| geometry.piece_count() <= limits.pieces);
            let count = usize::try_from(expected).unwrap_or(usize::MAX);
            let geometry = found.ok_or(Error::TooManyPieces { at, count, limit: limits.pieces })?;
            return Ok(Self { geometry, hashes_at: at });
        }
        let value = info.required("pieces")?;
        let pieces = value.bytes()?;
        let at = value.position();
        let count = pieces.len() / 20;
        if pieces.len() % 20 != 0 {
            return Err(Error::PiecesLength { at, length: pieces.len() });
        }
        if count > limits.pieces as usize {
            return Err(Error::TooManyPieces { at, count, limit: limits.pieces });
        }
        match geometry {
            Some(geometry) if geometry.piece_count() as usize == count => {
                Ok(Self { geometry, hashes_at: value.range().end - pieces.len() })
            }
            _ => Err(Error::PieceCount { at, expected, found: count }),
        }
    }
}
