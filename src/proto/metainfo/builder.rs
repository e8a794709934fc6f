//! Making a torrent file.

use super::entry::Entry;
use super::error::BuildError;
use super::layout::{Layout, Version, geometry, refuse_clashes};
use super::limits::Limits;
use super::path::{Names, PathError};
use super::piece_length::PieceLength;
use super::safe_path::SafePath;
use super::torrent::Metainfo;
use super::warning::Warning;
use crate::proto::bencode::{self, DictEncoder};
use crate::proto::geometry::Geometry;
use crate::proto::id::InfoHash;

/// Describes a torrent and writes its file: the same description always gives the same bytes.
///
/// What [`Metainfo::parse`](super::Metainfo::parse) would refuse or repair under the default [`Limits`] of this host is refused,
/// so what was described is what will be read.
///
/// ```
/// use bip::proto::metainfo::{Builder, Limits, Metainfo};
/// let bytes = Builder::multi_file("album")
///     .file(["one", "a.flac"], 3)
///     .file(["cover.jpg"], 0)
///     .piece_length(2)
///     .piece_hashes([[1; 20], [2; 20]])
///     .private(true)
///     .build()?;
/// let torrent = Metainfo::parse(&bytes, &Limits::default())?;
/// assert!(torrent.is_private());
/// assert_eq!(torrent.files()[0].path.to_string(), "album/one/a.flac");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Version 2 and hybrids
///
/// Asked for by [`version`](Self::version), with the feature `v2`. The files are then in the order of the file tree, and each that
/// has bytes starts with a piece; a hybrid lists the padding that version 1 needs. [`layout`](Self::layout) shows all that before there are any
/// hashes. For each piece it wants the root of a hash tree ([`piece_roots`](Self::piece_roots)), and a hybrid the SHA-1 of the
/// piece with its padding as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    pub(super) name: Vec<u8>,
    pub(super) files: Vec<Entry>,
    pub(super) multi_file: bool,
    pub(super) version: Version,
    piece_length: PieceLength,
    piece_hashes: Vec<u8>,
    piece_roots: Vec<[u8; 32]>,
    private: bool,
    source: Option<String>,
    similar: Vec<InfoHash>,
    collections: Vec<String>,
    tiers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    nodes: Vec<(String, u16)>,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
}

impl Builder {
    fn new(name: Vec<u8>, multi_file: bool) -> Self {
        Self {
            name,
            files: Vec::new(),
            multi_file,
            version: Version::V1,
            piece_length: PieceLength::default(),
            piece_hashes: Vec::new(),
            piece_roots: Vec::new(),
            private: false,
            source: None,
            similar: Vec::new(),
            collections: Vec::new(),
            tiers: Vec::new(),
            web_seeds: Vec::new(),
            nodes: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
        }
    }

    /// Describes a torrent of one file that has the torrent's name.
    pub fn single_file(name: impl AsRef<[u8]>, length: u64) -> Self {
        Self::single(name, Entry::new(Vec::<Vec<u8>>::new(), length))
    }

    /// Describes a torrent of one file that has the torrent's name; the parts of the entry's path say nothing.
    pub fn single(name: impl AsRef<[u8]>, mut entry: Entry) -> Self {
        let mut builder = Self::new(name.as_ref().to_vec(), false);
        entry.parts.clear();
        builder.files.push(entry);
        builder
    }

    /// Describes a torrent of files in a folder that has the torrent's name.
    ///
    /// Version 2 alone cannot tell a folder with nothing in it but a file of the folder's name from that file: it is read as the
    /// file.
    pub fn multi_file(name: impl AsRef<[u8]>) -> Self {
        Self::new(name.as_ref().to_vec(), true)
    }

    /// Adds a file by the parts of its path below the torrent's folder, which is not among them. The files' bytes follow each
    /// other in the order in which they are added; with version 2 in that of the file tree. On a torrent of one file this does
    /// nothing.
    pub fn file<P: AsRef<[u8]>>(self, parts: impl IntoIterator<Item = P>, length: u64) -> Self {
        self.entry(Entry::new(parts, length))
    }

    /// Adds a file with its attributes, or a symbolic link, as [`file`](Self::file) does.
    pub fn entry(mut self, entry: Entry) -> Self {
        if self.multi_file {
            self.files.push(entry);
        }
        self
    }

    /// Sets the kind of torrent; otherwise it is [`Version::V1`].
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Sets the piece length in bytes; otherwise it is that of [`PieceLength::Balanced`].
    pub fn piece_length(self, bytes: u32) -> Self {
        self.piece_length_by(PieceLength::Exact(bytes))
    }

    /// Sets how the piece length is chosen.
    pub fn piece_length_by(mut self, strategy: PieceLength) -> Self {
        self.piece_length = strategy;
        self
    }

    /// Sets the SHA-1 of every piece, in order; for version 1 and hybrids.
    pub fn piece_hashes(mut self, hashes: impl IntoIterator<Item = [u8; 20]>) -> Self {
        self.piece_hashes = hashes.into_iter().flatten().collect();
        self
    }

    /// Sets the root of the hash tree of every piece, in order; for version 2 and hybrids. It is of those bytes of the piece that
    /// belong to a file, and of a tree as wide as [`Layout::piece_tree`] says.
    pub fn piece_roots(mut self, roots: impl IntoIterator<Item = [u8; 32]>) -> Self {
        self.piece_roots = roots.into_iter().collect();
        self
    }

    /// Says whether peers may come from the torrent's own trackers only (BEP 27).
    pub fn private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Sets a tracker's own mark, which becomes part of the info hash.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a torrent that has files in common with this one (BEP 38); it becomes part of the info hash.
    pub fn similar(mut self, torrent: InfoHash) -> Self {
        self.similar.push(torrent);
        self
    }

    /// Adds a collection that the torrent belongs to (BEP 38); it becomes part of the info hash.
    pub fn collection(mut self, name: impl Into<String>) -> Self {
        self.collections.push(name.into());
        self
    }

    /// Adds a tier of trackers, tried after the tiers before it (BEP 12). A tier without trackers is left out.
    pub fn tracker_tier<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        let tier: Vec<String> = urls.into_iter().map(Into::into).filter(|url| !url.is_empty()).collect();
        if !tier.is_empty() {
            self.tiers.push(tier);
        }
        self
    }

    /// Adds a web seed (BEP 19).
    pub fn web_seed(mut self, url: impl Into<String>) -> Self {
        let url = url.into();
        if !url.is_empty() {
            self.web_seeds.push(url);
        }
        self
    }

    /// Adds a node of the DHT to begin with, by host and port (BEP 5).
    pub fn node(mut self, host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        if !host.is_empty() && port > 0 {
            self.nodes.push((host, port));
        }
        self
    }

    /// Sets the author's remark.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Sets the program that made the torrent.
    pub fn created_by(mut self, program: impl Into<String>) -> Self {
        self.created_by = Some(program.into());
        self
    }

    /// Sets when the torrent was made, in seconds from 1970.
    pub fn creation_date(mut self, seconds: i64) -> Self {
        self.creation_date = Some(seconds);
        self
    }

    /// The files in the order in which their bytes follow each other.
    pub(super) fn ordered(&self) -> Vec<&Entry> {
        let mut files: Vec<&Entry> = self.files.iter().collect();
        if self.version.has_v2() {
            // As the keys of nested dictionaries are sorted.
            files.sort_by(|a, b| a.parts.cmp(&b.parts));
        }
        files
    }

    /// Gives the lengths of torrent and pieces that the hashes must fit, padding included; usable before there are any.
    ///
    /// # Errors
    ///
    /// There are no bytes, or the piece length or the count of pieces is outside the limits.
    pub fn geometry(&self) -> Result<Geometry, BuildError> {
        let limits = Limits::default();
        if self.files.is_empty() {
            return Err(BuildError::NoFiles);
        }
        let fits = |&total: &u64| total <= i64::MAX as u64;
        let total = self.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.length));
        let total = total.filter(fits).ok_or(BuildError::TooLong)?;
        let piece_length = self.piece_length.of(total);
        if piece_length > limits.piece_length {
            return Err(BuildError::PieceLength { value: piece_length, limit: limits.piece_length });
        }
        let mut with_padding = total;
        if self.version.has_v2() {
            if !piece_length.is_power_of_two() || piece_length < 16 * 1024 {
                return Err(BuildError::PieceLengthV2 { value: piece_length });
            }
            let end = |end: u64, length: u64| end.checked_next_multiple_of(piece_length.into())?.checked_add(length);
            let files = self.ordered().into_iter().filter(|file| file.length > 0);
            let padded = files.into_iter().try_fold(0_u64, |sum, file| end(sum, file.length));
            with_padding = padded.filter(fits).ok_or(BuildError::TooLong)?;
        }
        let geometry = geometry(with_padding, piece_length)?;
        if geometry.piece_count() > limits.pieces {
            return Err(BuildError::TooManyPieces { count: geometry.piece_count().into(), limit: limits.pieces });
        }
        Ok(geometry)
    }

    /// Gives the files' paths, with the torrent's name in front, as they will be read, without padding.
    ///
    /// # Errors
    ///
    /// A name cannot be stored on this host, two files clash, or there are too many files or parts.
    pub fn paths(&self) -> Result<Vec<SafePath>, BuildError> {
        let limits = Limits::default();
        if self.files.len() > limits.files {
            return Err(BuildError::TooManyFiles { limit: limits.files });
        }
        // A file tree nests in three dictionaries, and what it says of a file is in two more and perhaps a list.
        let depth = if self.version.has_v2() { limits.bencode_depth - 5 } else { limits.path_depth };
        let mut paths = Vec::with_capacity(self.files.len());
        for file in self.ordered() {
            if self.multi_file && file.parts.is_empty() {
                return Err(BuildError::Path(PathError::NoParts));
            }
            let parts_and_name = || [&self.name].into_iter().chain(&file.parts);
            if let Some(part) = parts_and_name().find(|part| !Names::default().keeps(part)) {
                return Err(BuildError::Path(PathError::Part(part.clone())));
            }
            let path = SafePath::from_parts(parts_and_name())?;
            if file.parts.len() + 1 > depth {
                return Err(BuildError::PathTooDeep { path, limit: depth });
            }
            paths.push(path);
        }
        refuse_clashes(paths.iter(), Names::default())?;
        Ok(paths)
    }

    /// Gives the files and pieces as they will be read, padding included: what has to be hashed. There are no hashes in it, and
    /// no roots.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), but for the hashes.
    pub fn layout(&self) -> Result<Layout, BuildError> {
        let geometry = self.check()?;
        let pieces = geometry.piece_count() as usize;
        let hashes = if self.version.has_v1() { vec![0; 20 * pieces] } else { Vec::new() };
        let roots = vec![[0; 32]; if self.version.has_v2() { self.files.len() } else { 0 }];
        let info = bencode::encode_dict(|info| self.write_info(info, geometry, &hashes, &roots));
        let read = Metainfo::parse_info(&info, &Limits::default()).map_err(|error| self.unreadable(&error))?;
        self.refuse_dropped_links(&read)?;
        Ok(Layout::without_hashes(&read.layout()))
    }

    /// Writes the torrent file.
    ///
    /// # Errors
    ///
    /// What was described cannot be, or there are not as many hashes as pieces; for version 2 and hybrids, the library was built
    /// without the feature `v2`.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        let geometry = self.check()?;
        if self.files.iter().any(|file| file.link.is_some()) {
            self.layout()?;
        }
        let expected = u64::from(geometry.piece_count());
        let found = self.piece_hashes.len() / 20;
        if self.version.has_v1() && found as u64 != expected {
            return Err(BuildError::PieceCount { expected, found });
        }
        let found = self.piece_roots.len();
        if self.version.has_v2() && found as u64 != expected {
            return Err(BuildError::PieceCount { expected, found });
        }
        let Trees { roots, layers } = self.trees(geometry);
        let bytes = bencode::encode_dict(|root| {
            if let Some(url) = self.tiers.first().and_then(|tier| tier.first()) {
                root.bytes("announce", url);
            }
            // One tracker needs no list.
            if self.tiers.iter().map(Vec::len).sum::<usize>() > 1 {
                root.list("announce-list", |list| {
                    for tier in &self.tiers {
                        list.list(|urls| tier.iter().for_each(|url| urls.bytes(url)));
                    }
                });
            }
            if let Some(comment) = &self.comment {
                root.bytes("comment", comment);
            }
            if let Some(program) = &self.created_by {
                root.bytes("created by", program);
            }
            if let Some(seconds) = self.creation_date {
                root.int("creation date", seconds);
            }
            root.dict("info", |info| self.write_info(info, geometry, &self.piece_hashes, &roots));
            if !self.nodes.is_empty() {
                root.list("nodes", |nodes| {
                    for (host, port) in &self.nodes {
                        nodes.list(|node| {
                            node.bytes(host);
                            node.int((*port).into());
                        });
                    }
                });
            }
            if self.version.has_v2() {
                root.dict("piece layers", |dict| layers.iter().for_each(|(root, layer)| dict.bytes(root, layer)));
            }
            if !self.web_seeds.is_empty() {
                root.list("url-list", |urls| self.web_seeds.iter().for_each(|url| urls.bytes(url)));
            }
        });
        let limit = Limits::default().torrent_bytes;
        if bytes.len() > limit {
            return Err(BuildError::TorrentTooLong { length: bytes.len(), limit });
        }
        Ok(bytes)
    }

    /// Refuses what can be refused without hashes.
    fn check(&self) -> Result<Geometry, BuildError> {
        if self.version.has_v2() && cfg!(not(feature = "v2")) {
            return Err(BuildError::NeedsV2);
        }
        let geometry = self.geometry()?;
        self.paths()?;
        if self.files.iter().any(|file| file.link.is_some() && file.length > 0) {
            return Err(BuildError::Link { target: String::new() });
        }
        Ok(geometry)
    }

    fn refuse_dropped_links(&self, read: &Metainfo) -> Result<(), BuildError> {
        let dropped = read.warnings().iter().find_map(|warning| match warning {
            Warning::LinkDropped { target, .. } => Some(target.clone()),
            _ => None,
        });
        dropped.map_or(Ok(()), |target| Err(BuildError::Link { target }))
    }

    /// What was checked and cannot be read again: too many files with the padding between them.
    fn unreadable(&self, error: &super::error::Error) -> BuildError {
        match error {
            super::error::Error::TooManyFiles { limit, .. } => BuildError::TooManyFiles { limit: *limit },
            error => BuildError::Unreadable { reason: error.to_string() },
        }
    }

    #[cfg(not(feature = "v2"))]
    fn trees(&self, _: Geometry) -> Trees {
        Trees::default()
    }

    #[cfg(feature = "v2")]
    fn trees(&self, geometry: Geometry) -> Trees {
        let mut trees = Trees::default();
        let piece_length = geometry.piece_length();
        let mut rest = &self.piece_roots[..];
        if !self.version.has_v2() {
            return trees;
        }
        for file in self.ordered() {
            // There are as many roots as pieces, and each piece is of one file.
            let pieces = file.length.div_ceil(piece_length.into()) as usize;
            let (own, after) = rest.split_at(pieces.min(rest.len()));
            rest = after;
            if pieces <= 1 {
                trees.roots.push(own.first().copied().unwrap_or_default());
                continue;
            }
            let layer = own.concat();
            let root = crate::proto::merkle::root_of_layer(&layer, file.length, piece_length).unwrap_or_default();
            trees.roots.push(root);
            trees.layers.push((root, layer));
        }
        trees
    }

    fn write_info(&self, info: &mut DictEncoder<'_>, geometry: Geometry, hashes: &[u8], roots: &[[u8; 32]]) {
        let files = self.ordered();
        if !self.collections.is_empty() {
            info.list("collections", |list| self.collections.iter().for_each(|name| list.bytes(name)));
        }
        if self.version.has_v2() {
            info.dict("file tree", |tree| self.write_tree(tree, &files, roots));
        }
        if self.version.has_v1() && self.multi_file {
            let piece_length = u64::from(geometry.piece_length());
            info.list("files", |list| {
                let mut end = 0;
                for file in &files {
                    let gap = if self.version.has_v2() && file.length > 0 { end % piece_length } else { 0 };
                    if gap > 0 {
                        list.dict(|pad| Entry::write_padding(pad, piece_length - gap));
                        end += piece_length - gap;
                    }
                    list.dict(|dict| {
                        file.write(dict);
                        dict.list("path", |path| file.parts.iter().for_each(|part| path.bytes(part)));
                    });
                    end += file.length;
                }
            });
        } else if let (true, Some(file)) = (self.version.has_v1(), files.first()) {
            file.write(info);
        }
        if self.version.has_v2() {
            info.int("meta version", 2);
        }
        info.bytes("name", &self.name);
        info.int("piece length", geometry.piece_length().into());
        if self.version.has_v1() {
            info.bytes("pieces", hashes);
        }
        if self.private {
            info.int("private", 1);
        }
        if !self.similar.is_empty() {
            info.list("similar", |list| self.similar.iter().for_each(|hash| list.bytes(hash.as_bytes())));
        }
        if let Some(source) = &self.source {
            info.bytes("source", source);
        }
    }

    fn write_tree(&self, tree: &mut DictEncoder<'_>, files: &[&Entry], roots: &[[u8; 32]]) {
        let leaves: Vec<(&Entry, [u8; 32])> = files.iter().zip(roots).map(|(file, root)| (*file, *root)).collect();
        match &leaves[..] {
            [(file, root)] if !self.multi_file => tree.dict(&self.name, |leaf| file.write_leaf(leaf, root)),
            leaves => Entry::write_folder(tree, leaves, 0),
        }
    }
}

/// What version 2 says of the files.
#[derive(Default)]
struct Trees {
    /// The root of each file in order.
    roots: Vec<[u8; 32]>,
    /// The roots and piece layers of those that have a layer.
    layers: Vec<([u8; 32], Vec<u8>)>,
}
