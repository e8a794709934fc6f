//! How a torrent's bytes lie in its files.

use super::detail::Detail;
use super::error::{BuildError, LayerError};
use super::flags::Flags;
use super::path::Names;
use super::piece_hash::{PieceHash, PieceRoot};
use super::places::clash;
use super::safe_path::{NONE, SafePath, Store};
use crate::proto::geometry::{BLOCK_LENGTH, Geometry};
use crate::proto::id::{FileIndex, PieceIndex};
use std::fmt;
use std::sync::Arc;

/// A file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// Where it is stored, below the folder the user chose: with the torrent's name in front where there are several files.
    pub path: SafePath,
    /// Its length in bytes; may be 0.
    pub length: u64,
    /// Where its first byte is in the torrent.
    pub offset: u64,
    /// Whether it is padding (BEP 47): zeros that only make the next file start with a piece.
    pub is_padding: bool,
    flags: Flags,
    /// Where the root of its hash tree stands.
    root: u32,
}

impl File {
    pub(super) fn new(path: SafePath, length: u64, offset: u64, flags: Flags, root: u32) -> Self {
        Self { path, length, offset, is_padding: flags.is_padding(), flags, root }
    }

    /// Says whether it is a program (BEP 47).
    pub fn is_executable(&self) -> bool {
        self.flags.has(Flags::EXECUTABLE)
    }

    /// Says whether it is hidden (BEP 47).
    pub fn is_hidden(&self) -> bool {
        self.flags.has(Flags::HIDDEN)
    }

    /// Says whether it is a symbolic link (BEP 47), which has no bytes: [`Layout::link_target`] says where to.
    pub fn is_symlink(&self) -> bool {
        self.flags.is_symlink()
    }

    /// Says whether it is padding that the torrent does not list: version 2 has each file start with a piece, which is the same.
    pub fn is_implied(&self) -> bool {
        self.flags.is_implied()
    }
}

/// A run of bytes within one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileSpan {
    /// The file.
    pub file: FileIndex,
    /// The offset of the first byte within the file.
    pub offset: u64,
    /// How many bytes; at least 1.
    pub length: u64,
}

/// Of which kind a torrent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// Pieces have a SHA-1 (BEP 3).
    #[default]
    V1,
    /// Pieces have the root of a hash tree, and files start with a piece (BEP 52).
    V2,
    /// Both of the same files.
    Hybrid,
}

impl Version {
    /// Says whether pieces have a SHA-1.
    pub fn has_v1(self) -> bool {
        self != Version::V2
    }

    /// Says whether pieces have the root of a hash tree.
    pub fn has_v2(self) -> bool {
        self != Version::V1
    }
}

/// The piece layers of those files that have more than one piece.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Layers {
    pub(super) bytes: Arc<[u8]>,
    /// The file, and the number of its first hash; by file.
    pub(super) starts: Vec<(u32, u32)>,
}

/// What has to be known of a torrent to read, write and verify it: files, pieces and hashes.
///
/// The files' paths are all different, none is the folder of another, and all begin with the torrent's name.
///
/// A torrent of version 2 has padding here between its files ([`File::is_implied`]), as if it were a hybrid: so all pieces but the
/// last have the same length.
#[derive(Clone, PartialEq, Eq)]
pub struct Layout {
    files: Vec<File>,
    geometry: Geometry,
    version: Version,
    /// The piece hashes are somewhere in these bytes: those of the whole `info` where there are any.
    bytes: Arc<[u8]>,
    hashes_at: usize,
    /// What few files have, by file.
    details: Vec<Detail>,
    layers: Layers,
}

impl Layout {
    /// Makes a layout of files with their paths and lengths, in the order in which their bytes follow each other.
    ///
    /// One file of one part is a single-file torrent; otherwise all paths have at least two parts, of which the first is the
    /// torrent's name.
    ///
    /// ```
    /// use bip::proto::id::FileIndex;
    /// use bip::proto::metainfo::{FileSpan, Layout, SafePath};
    /// let files = vec![(SafePath::from_parts(["t", "a"])?, 10), (SafePath::from_parts(["t", "b"])?, 20)];
    /// let layout = Layout::new(files, 16, &[[1; 20], [2; 20]])?;
    /// let spans: Vec<FileSpan> = layout.spans(8, 100).collect();
    /// assert_eq!(spans[0], FileSpan { file: FileIndex(0), offset: 8, length: 2 });
    /// assert_eq!(spans[1], FileSpan { file: FileIndex(1), offset: 0, length: 20 });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(files: Vec<(SafePath, u64)>, piece_length: u32, piece_hashes: &[[u8; 20]]) -> Result<Self, BuildError> {
        let root = files.first().and_then(|(path, _)| path.parts().next()).ok_or(BuildError::NoFiles)?.to_vec();
        let single = files.len() == 1;
        for (path, _) in &files {
            let mut parts = path.parts();
            if parts.next() != Some(&root[..]) || (!single && parts.next().is_none()) {
                return Err(BuildError::OutsideRoot { path: path.clone() });
            }
        }
        refuse_clashes(files.iter().map(|(path, _)| path), Names::Host)?;
        let mut offset: u64 = 0;
        let mut out = Vec::with_capacity(files.len());
        for (path, length) in files {
            out.push(File::new(path, length, offset, Flags::default(), NONE));
            offset = offset.checked_add(length).filter(|&o| o <= i64::MAX as u64).ok_or(BuildError::TooLong)?;
        }
        let geometry = geometry(offset, piece_length)?;
        if piece_hashes.len() as u64 != u64::from(geometry.piece_count()) {
            return Err(BuildError::PieceCount { expected: geometry.piece_count().into(), found: piece_hashes.len() });
        }
        Ok(Self::from_checked(out, Vec::new(), geometry, Version::V1, piece_hashes.concat().into(), 0))
    }

    pub(super) fn from_checked(
        files: Vec<File>,
        details: Vec<Detail>,
        geometry: Geometry,
        version: Version,
        bytes: Arc<[u8]>,
        hashes_at: usize,
    ) -> Self {
        Self { files, details, geometry, version, bytes, hashes_at, layers: Layers::default() }
    }

    /// Gives the same files and pieces without anything to verify them with.
    pub(super) fn without_hashes(layout: &Self) -> Self {
        let mut out = layout.clone();
        (out.bytes, out.hashes_at, out.layers) = (Arc::default(), 0, Layers::default());
        out.files.iter_mut().for_each(|file| file.root = NONE);
        out
    }

    #[cfg(feature = "v2")]
    pub(super) fn set_layers(&mut self, layers: Layers) {
        self.layers = layers;
    }

    /// Gives the torrent's name: the name of its one file, or of the folder that its files are in. Shown with U+FFFD for what
    /// is not UTF-8.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(self.name_bytes()).into_owned()
    }

    /// Gives the torrent's name as bytes.
    pub fn name_bytes(&self) -> &[u8] {
        self.files.first().map(|file| file.path.first()).unwrap_or_default()
    }

    /// Says whether the files are in a folder of the torrent's name, rather than one file of that name.
    pub fn is_multi_file(&self) -> bool {
        self.files.first().is_some_and(|file| file.path.parent().is_some())
    }

    /// Says of which kind the torrent is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Gives the files, in the order in which their bytes follow each other. There is at least one.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Gives a file by its number.
    pub fn file(&self, file: FileIndex) -> Option<&File> {
        self.files.get(file.as_usize())
    }

    /// Gives the length of all files without padding, in bytes.
    pub fn content_length(&self) -> u64 {
        self.files.iter().filter(|file| !file.is_padding).map(|file| file.length).sum()
    }

    fn detail(&self, file: FileIndex) -> Option<&Detail> {
        let at = self.details.binary_search_by_key(&file.0, |detail| detail.file).ok()?;
        self.details.get(at)
    }

    fn store(&self, file: FileIndex) -> Option<&Arc<Store>> {
        self.file(file).map(|file| file.path.store())
    }

    /// Gives the parts of a file's path (without the torrent's name) as the metainfo gives them, where they are stored under
    /// others.
    pub fn raw_path(&self, file: FileIndex) -> Option<Vec<&[u8]>> {
        Detail::raw_path(self.detail(file), &self.file(file)?.path, self.store(file)?)
    }

    /// Gives the MD5 of a file, where the metainfo says it. It says nothing about the torrent's bytes.
    pub fn md5(&self, file: FileIndex) -> Option<[u8; 16]> {
        self.detail(file)?.md5(self.store(file)?)
    }

    /// Gives the SHA-1 of a file, where the metainfo says it (BEP 47): a hint for finding the file elsewhere, and no proof.
    pub fn sha1(&self, file: FileIndex) -> Option<[u8; 20]> {
        self.detail(file)?.sha1(self.store(file)?)
    }

    /// Gives the file or folder of this torrent that a symbolic link leads to (BEP 47), with the torrent's name in front.
    pub fn link_target(&self, file: FileIndex) -> Option<SafePath> {
        self.detail(file)?.link(self.store(file)?)
    }

    /// Gives the root of a file's hash tree (BEP 52); none for an empty file.
    pub fn pieces_root(&self, file: FileIndex) -> Option<&[u8; 32]> {
        self.root(self.file(file)?)
    }

    fn root<'s>(&'s self, file: &'s File) -> Option<&'s [u8; 32]> {
        (file.root != NONE).then(|| file.path.store().text(file.root).first_chunk()).flatten()
    }

    /// Gives the lengths of torrent and pieces.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Gives the SHA-1 of a piece; none in a torrent of version 2 alone. [`piece_check`](Self::piece_check) is for all kinds.
    pub fn piece_hash(&self, piece: PieceIndex) -> Option<&[u8; 20]> {
        let start = piece.as_usize().checked_mul(20)?;
        self.hashes().get(start..)?.first_chunk()
    }

    /// Goes over the SHA-1 of every piece, in order; there are none in a torrent of version 2 alone.
    pub fn piece_hashes(&self) -> impl ExactSizeIterator<Item = &[u8; 20]> {
        self.hashes().chunks_exact(20).map(|hash| hash.try_into().expect("a chunk of 20 bytes is an array of 20 bytes"))
    }

    fn hashes(&self) -> &[u8] {
        if !self.version.has_v1() {
            return &[];
        }
        let length = self.geometry.piece_count() as usize * 20;
        self.bytes.get(self.hashes_at..).and_then(|b| b.get(..length)).unwrap_or_default()
    }

    /// Gives what a piece is verified with; `None` where there is no such piece.
    ///
    /// The cost is a search among the files for version 2, and constant for version 1.
    pub fn piece_check(&self, piece: PieceIndex) -> Option<PieceHash<'_>> {
        let v1 = self.piece_hash(piece);
        if !self.version.has_v2() {
            return v1.map(PieceHash::V1);
        }
        self.tree(piece)?;
        Some(match (v1, self.piece_root(piece)) {
            (Some(hash), Some(root)) => PieceHash::Both(hash, root),
            (Some(hash), None) => PieceHash::V1(hash),
            (None, Some(root)) => PieceHash::V2(root),
            (None, None) => PieceHash::Unknown,
        })
    }

    /// Gives how many bytes of a piece belong to its file, and how many leaves the hash tree of these has (BEP 52), as in
    /// [`PieceRoot`]; also where the root is not known. `None` for version 1 and where there is no such piece.
    pub fn piece_tree(&self, piece: PieceIndex) -> Option<(u32, u64)> {
        self.tree(piece).map(|(_, length, leaves)| (length, leaves))
    }

    /// Gives a piece's file, how many bytes of it the piece has, and how many leaves the tree of these.
    fn tree(&self, piece: PieceIndex) -> Option<(usize, u32, u64)> {
        if !self.version.has_v2() || piece.0 >= self.geometry.piece_count() {
            return None;
        }
        let start = self.geometry.piece_offset(piece);
        // Every file that has bytes starts with a piece, so a piece has one file, and then padding.
        let index = self.files.partition_point(|file| file.offset + file.length <= start);
        let file = self.files.get(index)?;
        let before = start.checked_sub(file.offset)?;
        let piece_length = self.geometry.piece_length();
        let length = (file.length - before).min(piece_length.into()) as u32;
        let is_one_piece = file.length <= piece_length.into();
        let blocks = if is_one_piece { length } else { piece_length }.div_ceil(BLOCK_LENGTH);
        Some((index, length, u64::from(blocks).next_power_of_two()))
    }

    fn piece_root(&self, piece: PieceIndex) -> Option<PieceRoot<'_>> {
        let (index, length, leaves) = self.tree(piece)?;
        let file = self.files.get(index)?;
        let piece_length = u64::from(self.geometry.piece_length());
        if file.length <= piece_length {
            return self.root(file).map(|root| PieceRoot { root, length, leaves });
        }
        let at = self.layers.starts.binary_search_by_key(&(index as u32), |(file, _)| *file).ok()?;
        let (_, first) = self.layers.starts.get(at)?;
        let before = self.geometry.piece_offset(piece) - file.offset;
        let hash = usize::try_from(u64::from(*first) + before / piece_length).ok()?;
        let root = self.layers.bytes.get(hash.checked_mul(32)?..)?.first_chunk()?;
        Some(PieceRoot { root, length, leaves })
    }

    /// Gives the piece layer of a file, as `piece layers` has it (BEP 52); `None` where the file is not longer than a piece, or
    /// where the layer is not known.
    pub fn piece_layer(&self, file: FileIndex) -> Option<&[u8]> {
        let at = self.layers.starts.binary_search_by_key(&file.0, |(file, _)| *file).ok()?;
        let (_, first) = self.layers.starts.get(at)?;
        let count = self.file(file)?.length.div_ceil(self.geometry.piece_length().into());
        let start = (*first as usize).checked_mul(32)?;
        self.layers.bytes.get(start..)?.get(..usize::try_from(count).ok()?.checked_mul(32)?)
    }

    /// Gives the layout with piece layers that were fetched from peers or elsewhere, each with the root of the hash tree that it
    /// belongs to (BEP 52). Those that are known already stay. Without the feature `v2` nothing is added.
    ///
    /// # Errors
    ///
    /// A layer does not fit the file of that root. Layers of no file are passed over.
    pub fn with_piece_layers<'b>(
        &self,
        layers: impl IntoIterator<Item = (&'b [u8; 32], &'b [u8])>,
    ) -> Result<Self, LayerError> {
        let known = self.piece_layers().map(|(root, layer)| (&root[..], layer));
        let given = layers.into_iter().map(|(root, layer)| (&root[..], layer)).chain(known).collect();
        let mut out = self.clone();
        #[cfg(feature = "v2")]
        out.set_layers(super::layers::check(self, &given, false)?.0);
        #[cfg(not(feature = "v2"))]
        let _: (std::collections::BTreeMap<&[u8], &[u8]>, _) = (given, &mut out);
        Ok(out)
    }

    /// Goes over the piece layers that are known, each with the root of the hash tree that it belongs to (BEP 52). Files of the
    /// same bytes have the same.
    pub fn piece_layers(&self) -> impl Iterator<Item = (&[u8; 32], &[u8])> {
        self.files_with_layers()
            .filter_map(|(file, _)| Some((self.pieces_root(FileIndex(file))?, self.piece_layer(FileIndex(file))?)))
    }

    /// Says whether there is something to verify every piece with: all piece layers that are needed are known.
    pub fn is_verifiable(&self) -> bool {
        self.version.has_v1() || self.layers.starts.len() == self.files_with_layers().count()
    }

    /// Goes over the files that need a piece layer.
    pub(super) fn files_with_layers(&self) -> impl Iterator<Item = (u32, &File)> {
        let piece_length = u64::from(self.geometry.piece_length());
        (0..).zip(&self.files).filter(move |(_, file)| file.root != NONE && file.length > piece_length)
    }

    /// Goes over the parts of files that a run of the torrent's bytes lies in, in order. Files without bytes are left out, and
    /// what is past the torrent's end is not there.
    pub fn spans(&self, offset: u64, length: u64) -> impl Iterator<Item = FileSpan> {
        let end = offset.saturating_add(length).min(self.geometry.total_length());
        let first = self.files.partition_point(|file| file.offset + file.length <= offset);
        let files = self.files.iter().enumerate().skip(first).take_while(move |(_, file)| file.offset < end);
        files.filter_map(move |(index, file)| {
            let from = offset.max(file.offset);
            let to = end.min(file.offset + file.length);
            // Parsing and building see to it that there are fewer files than 2^32.
            let file_index = FileIndex(index as u32);
            (from < to).then(|| FileSpan { file: file_index, offset: from - file.offset, length: to - from })
        })
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout").field("files", &self.files).field("geometry", &self.geometry).finish_non_exhaustive()
    }
}

/// Refuses paths of which two cannot stand side by side on this host.
pub(super) fn refuse_clashes<'a>(
    paths: impl Iterator<Item = &'a SafePath> + Clone,
    names: Names,
) -> Result<(), BuildError> {
    match clash(paths, names) {
        Some(path) => Err(BuildError::Clash { path }),
        None => Ok(()),
    }
}

pub(super) fn geometry(total_length: u64, piece_length: u32) -> Result<Geometry, BuildError> {
    if total_length == 0 {
        return Err(BuildError::Empty);
    }
    if piece_length == 0 {
        return Err(BuildError::PieceLength { value: 0, limit: u32::MAX });
    }
    Geometry::new(total_length, piece_length)
        .ok_or(BuildError::TooManyPieces { count: total_length.div_ceil(piece_length.into()), limit: u32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(parts: &[&str]) -> SafePath {
        SafePath::from_parts(parts).unwrap()
    }

    fn layout(lengths: &[u64]) -> Layout {
        let files = lengths.iter().enumerate().map(|(i, &l)| (path(&["t", &i.to_string()]), l)).collect();
        let total: u64 = lengths.iter().sum();
        let hashes: Vec<[u8; 20]> = (0..total.div_ceil(4)).map(|i| [i as u8; 20]).collect();
        Layout::new(files, 4, &hashes).unwrap()
    }

    #[test]
    fn spans_are_what_walking_byte_by_byte_finds() {
        let lengths = [0, 3, 0, 0, 5, 1, 0, 7, 0];
        let layout = layout(&lengths);
        let bytes: Vec<(u32, u64)> =
            lengths.iter().enumerate().flat_map(|(i, &l)| (0..l).map(move |o| (i as u32, o))).collect();
        for offset in 0..20 {
            for length in 0..20 {
                let found: Vec<(u32, u64)> = layout
                    .spans(offset, length)
                    .inspect(|s| assert!(s.length > 0))
                    .flat_map(|s| (s.offset..s.offset + s.length).map(move |o| (s.file.0, o)))
                    .collect();
                let wanted: Vec<_> = bytes.iter().skip(offset as usize).take(length as usize).copied().collect();
                assert_eq!(found, wanted, "{offset}+{length}");
            }
        }
        assert_eq!(layout.spans(u64::MAX, u64::MAX).count(), 0);
        assert_eq!(layout.spans(15, u64::MAX).map(|s| s.length).sum::<u64>(), 1);
    }

    #[test]
    fn every_piece_has_its_hash_and_no_other_has_one() {
        let layout = layout(&[5, 4]);
        assert_eq!(layout.piece_hash(PieceIndex(2)), Some(&[2; 20]));
        assert_eq!(layout.piece_hash(PieceIndex(3)), None);
        assert_eq!(layout.piece_hash(PieceIndex(u32::MAX)), None);
        assert_eq!(layout.piece_hashes().len(), 3);
        assert_eq!(layout.name(), "t");
        assert!(layout.is_multi_file());
    }

    #[test]
    fn a_layout_that_cannot_be_is_refused() {
        let h = [[0; 20]];
        let new = |files: &[(&[&str], u64)], piece, hashes: &[[u8; 20]]| {
            Layout::new(files.iter().map(|(p, l)| (path(p), *l)).collect(), piece, hashes).map(|_| ())
        };
        assert_eq!(new(&[(&["a"], 1)], 1, &h), Ok(()));
        assert_eq!(new(&[], 1, &h), Err(BuildError::NoFiles));
        assert_eq!(new(&[(&["a"], 0)], 1, &h), Err(BuildError::Empty));
        assert!(matches!(new(&[(&["a"], 1)], 0, &h), Err(BuildError::PieceLength { .. })));
        assert!(matches!(new(&[(&["a"], 2)], 1, &h), Err(BuildError::PieceCount { expected: 2, found: 1 })));
        assert!(matches!(new(&[(&["a"], u64::MAX)], 1, &h), Err(BuildError::TooLong)));
        assert!(matches!(new(&[(&["a"], 1 << 62)], 1, &h), Err(BuildError::TooManyPieces { .. })));
        assert!(matches!(new(&[(&["a", "x"], 1), (&["b", "x"], 0)], 1, &h), Err(BuildError::OutsideRoot { .. })));
        assert!(matches!(new(&[(&["a", "x"], 1), (&["a"], 0)], 1, &h), Err(BuildError::OutsideRoot { .. })));
        assert!(matches!(new(&[(&["a", "x"], 1), (&["a", "x"], 0)], 1, &h), Err(BuildError::Clash { .. })));
        assert!(matches!(new(&[(&["a", "x", "y"], 1), (&["a", "x"], 0)], 1, &h), Err(BuildError::Clash { .. })));
    }
}
