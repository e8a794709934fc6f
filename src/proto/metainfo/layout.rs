//! How a torrent's bytes lie in its files.

use super::duplicate::Paths;
use super::error::BuildError;
use super::path::{Names, SafePath};
use crate::proto::geometry::Geometry;
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
    /// The parts of its path (without the torrent's name) as the metainfo gives them, where `path` had to differ.
    pub raw: Option<Vec<Vec<u8>>>,
    /// Whether it is padding (BEP 47): zeros that only make the next file start with a piece.
    pub is_padding: bool,
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

/// What has to be known of a torrent to read, write and verify it: files, pieces and hashes.
///
/// The files' paths are all different, none is the folder of another, and all begin with the torrent's name.
#[derive(Clone, PartialEq, Eq)]
pub struct Layout {
    files: Vec<File>,
    geometry: Geometry,
    /// The piece hashes are somewhere in these bytes: those of the whole `info` where there are any.
    bytes: Arc<[u8]>,
    hashes_at: usize,
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
            out.push(File { path, length, offset, raw: None, is_padding: false });
            offset = offset.checked_add(length).filter(|&o| o <= i64::MAX as u64).ok_or(BuildError::TooLong)?;
        }
        let geometry = geometry(offset, piece_length)?;
        if piece_hashes.len() as u64 != u64::from(geometry.piece_count()) {
            return Err(BuildError::PieceCount { expected: geometry.piece_count().into(), found: piece_hashes.len() });
        }
        Ok(Self::from_checked(out, geometry, piece_hashes.concat().into(), 0))
    }

    pub(super) fn from_checked(files: Vec<File>, geometry: Geometry, bytes: Arc<[u8]>, hashes_at: usize) -> Self {
        Self { files, geometry, bytes, hashes_at }
    }

    /// Gives the torrent's name: the name of its one file, or of the folder that its files are in. Shown with U+FFFD for what
    /// is not UTF-8.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(self.name_bytes()).into_owned()
    }

    /// Gives the torrent's name as bytes.
    pub fn name_bytes(&self) -> &[u8] {
        self.files.first().and_then(|file| file.path.parts().next()).unwrap_or_default()
    }

    /// Says whether the files are in a folder of the torrent's name, rather than one file of that name.
    pub fn is_multi_file(&self) -> bool {
        self.files.first().is_some_and(|file| file.path.parts().nth(1).is_some())
    }

    /// Gives the files, in the order in which their bytes follow each other. There is at least one.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Gives a file by its number.
    pub fn file(&self, file: FileIndex) -> Option<&File> {
        self.files.get(file.as_usize())
    }

    /// Gives the lengths of torrent and pieces.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Gives the SHA-1 of a piece.
    pub fn piece_hash(&self, piece: PieceIndex) -> Option<&[u8; 20]> {
        let start = piece.as_usize().checked_mul(20)?;
        self.hashes().get(start..)?.first_chunk()
    }

    /// Goes over the SHA-1 of every piece, in order.
    pub fn piece_hashes(&self) -> impl ExactSizeIterator<Item = &[u8; 20]> {
        self.hashes().chunks_exact(20).map(|hash| hash.try_into().expect("a chunk of 20 bytes is an array of 20 bytes"))
    }

    fn hashes(&self) -> &[u8] {
        let length = self.geometry.piece_count() as usize * 20;
        self.bytes.get(self.hashes_at..).and_then(|b| b.get(..length)).unwrap_or_default()
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
    let sorted = Paths::new(paths.clone().map(SafePath::as_bytes), names);
    match sorted.clashes().first().and_then(|&clash| paths.clone().nth(clash)) {
        Some(path) => Err(BuildError::Clash { path: path.clone() }),
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
