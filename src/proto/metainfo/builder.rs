//! Making a torrent file.

use super::error::BuildError;
use super::layout::{geometry, refuse_clashes};
use super::limits::Limits;
use super::path::{Names, PathError};
use super::safe_path::SafePath;
use crate::proto::bencode::{self, DictEncoder};
use crate::proto::geometry::Geometry;

/// Gives the piece length that suits a total length: the smallest power of two from 16 KiB to 16 MiB with which there are at
/// most 2,000 pieces, so that between the two bounds there are 1,001 to 2,000.
///
/// ```
/// use bip::proto::metainfo::piece_length_for;
/// assert_eq!(piece_length_for(1), 16 * 1024);
/// assert_eq!(piece_length_for(1 << 30), 1 << 20);
/// assert_eq!(piece_length_for(u64::MAX), 16 << 20);
/// ```
pub fn piece_length_for(total_length: u64) -> u32 {
    let mut length: u32 = 16 << 10;
    while length < 16 << 20 && total_length.div_ceil(length.into()) > 2_000 {
        length *= 2;
    }
    length
}

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    name: Vec<u8>,
    files: Vec<(Vec<Vec<u8>>, u64)>,
    multi_file: bool,
    piece_length: Option<u32>,
    piece_hashes: Vec<u8>,
    private: bool,
    source: Option<String>,
    tiers: Vec<Vec<String>>,
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
            piece_length: None,
            piece_hashes: Vec::new(),
            private: false,
            source: None,
            tiers: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
        }
    }

    /// Describes a torrent of one file that has the torrent's name.
    pub fn single_file(name: impl AsRef<[u8]>, length: u64) -> Self {
        let mut builder = Self::new(name.as_ref().to_vec(), false);
        builder.files.push((Vec::new(), length));
        builder
    }

    /// Describes a torrent of files in a folder that has the torrent's name.
    pub fn multi_file(name: impl AsRef<[u8]>) -> Self {
        Self::new(name.as_ref().to_vec(), true)
    }

    /// Adds a file by the parts of its path below the torrent's folder, which is not among them. The files' bytes follow each
    /// other in the order in which they are added. On a torrent of one file this does nothing.
    pub fn file<P: AsRef<[u8]>>(mut self, parts: impl IntoIterator<Item = P>, length: u64) -> Self {
        if self.multi_file {
            self.files.push((parts.into_iter().map(|part| part.as_ref().to_vec()).collect(), length));
        }
        self
    }

    /// Sets the piece length in bytes; otherwise it is that of [`piece_length_for`]. Other clients expect a power of two from
    /// 16 KiB up.
    pub fn piece_length(mut self, bytes: u32) -> Self {
        self.piece_length = Some(bytes);
        self
    }

    /// Sets the SHA-1 of every piece, in order.
    pub fn piece_hashes(mut self, hashes: impl IntoIterator<Item = [u8; 20]>) -> Self {
        self.piece_hashes = hashes.into_iter().flatten().collect();
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

    /// Adds a tier of trackers, tried after the tiers before it (BEP 12). A tier without trackers is left out.
    pub fn tracker_tier<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        let tier: Vec<String> = urls.into_iter().map(Into::into).filter(|url| !url.is_empty()).collect();
        if !tier.is_empty() {
            self.tiers.push(tier);
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

    /// Gives the lengths of torrent and pieces that the hashes must fit; usable before there are any.
    ///
    /// # Errors
    ///
    /// There are no bytes, or the piece length or the count of pieces is outside the limits.
    pub fn geometry(&self) -> Result<Geometry, BuildError> {
        let limits = Limits::default();
        if self.files.is_empty() {
            return Err(BuildError::NoFiles);
        }
        let total = self.files.iter().try_fold(0_u64, |sum, (_, length)| sum.checked_add(*length));
        let total = total.filter(|&t| t <= i64::MAX as u64).ok_or(BuildError::TooLong)?;
        let piece_length = self.piece_length.unwrap_or_else(|| piece_length_for(total));
        if piece_length > limits.piece_length {
            return Err(BuildError::PieceLength { value: piece_length, limit: limits.piece_length });
        }
        let geometry = geometry(total, piece_length)?;
        if geometry.piece_count() > limits.pieces {
            return Err(BuildError::TooManyPieces { count: geometry.piece_count().into(), limit: limits.pieces });
        }
        Ok(geometry)
    }

    /// Gives the files' paths, with the torrent's name in front, as they will be read.
    ///
    /// # Errors
    ///
    /// A name cannot be stored on this host, two files clash, or there are too many files or parts.
    pub fn paths(&self) -> Result<Vec<SafePath>, BuildError> {
        let limits = Limits::default();
        if self.files.len() > limits.files {
            return Err(BuildError::TooManyFiles { limit: limits.files });
        }
        let mut paths = Vec::with_capacity(self.files.len());
        for (parts, _) in &self.files {
            if self.multi_file && parts.is_empty() {
                return Err(BuildError::Path(PathError::NoParts));
            }
            let parts_and_name = || [&self.name].into_iter().chain(parts);
            if let Some(part) = parts_and_name().find(|part| !Names::default().keeps(part)) {
                return Err(BuildError::Path(PathError::Part(part.clone())));
            }
            let path = SafePath::from_parts(parts_and_name())?;
            if parts.len() + 1 > limits.path_depth {
                return Err(BuildError::PathTooDeep { path, limit: limits.path_depth });
            }
            paths.push(path);
        }
        refuse_clashes(paths.iter(), Names::default())?;
        Ok(paths)
    }

    /// Writes the torrent file.
    ///
    /// # Errors
    ///
    /// What was described cannot be, or there are not as many hashes as pieces.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        let geometry = self.geometry()?;
        self.paths()?;
        let found = self.piece_hashes.len() / 20;
        if found as u64 != u64::from(geometry.piece_count()) {
            return Err(BuildError::PieceCount { expected: geometry.piece_count().into(), found });
        }
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
            root.dict("info", |info| self.write_info(info, geometry));
        });
        let limit = Limits::default().torrent_bytes;
        if bytes.len() > limit {
            return Err(BuildError::TorrentTooLong { length: bytes.len(), limit });
        }
        Ok(bytes)
    }

    fn write_info(&self, info: &mut DictEncoder<'_>, geometry: Geometry) {
        // Lengths are below 2^63: `geometry` sees to it.
        if self.multi_file {
            info.list("files", |files| {
                for (parts, length) in &self.files {
                    files.dict(|file| {
                        file.int("length", *length as i64);
                        file.list("path", |path| parts.iter().for_each(|part| path.bytes(part)));
                    });
                }
            });
        } else {
            info.int("length", geometry.total_length() as i64);
        }
        info.bytes("name", &self.name);
        info.int("piece length", geometry.piece_length().into());
        info.bytes("pieces", &self.piece_hashes);
        if self.private {
            info.int("private", 1);
        }
        if let Some(source) = &self.source {
            info.bytes("source", source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::id::FileIndex;
    use crate::proto::metainfo::Metainfo;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Metainfo {
        Metainfo::parse(bytes, &Limits::default()).unwrap()
    }

    #[test]
    fn every_field_survives() {
        let builder = Builder::single_file("n", 5)
            .piece_length(3)
            .piece_hashes([[1; 20], [2; 20]])
            .private(true)
            .source("S")
            .tracker_tier(["u:1", "u:2"])
            .tracker_tier(Vec::<String>::new())
            .tracker_tier(["u:3"])
            .comment("ü")
            .created_by("bip")
            .creation_date(1_700_000_000);
        let bytes = builder.build().unwrap();
        assert_eq!(bytes, builder.clone().build().unwrap());
        let metainfo = parse(&bytes);
        assert!(metainfo.is_private());
        assert_eq!(metainfo.source(), Some("S"));
        assert_eq!(metainfo.announce(), Some("u:1"));
        assert_eq!(metainfo.trackers(), [vec!["u:1", "u:2"], vec!["u:3"]]);
        assert_eq!(metainfo.comment(), Some("ü"));
        assert_eq!(metainfo.created_by(), Some("bip"));
        assert_eq!(metainfo.creation_date(), Some(1_700_000_000));
        assert_eq!(metainfo.layout().piece_hashes().collect::<Vec<_>>(), [&[1; 20], &[2; 20]]);
        assert_eq!(metainfo.warnings(), []);
    }

    #[test]
    fn the_bytes_are_as_other_programs_write_them() {
        let bytes = Builder::multi_file("t")
            .file(["d", "a"], 1)
            .file(["b"], 0)
            .piece_hashes([*b"01234567890123456789"])
            .tracker_tier(["u:1"])
            .private(false)
            .build()
            .unwrap();
        let wanted = "d8:announce3:u:14:infod5:filesld6:lengthi1e4:pathl1:d1:aeed6:lengthi0e4:pathl1:beee\
                      4:name1:t12:piece lengthi16384e6:pieces20:01234567890123456789ee";
        assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let one = |builder: Builder| builder.piece_length(1).piece_hashes([[0; 20]]).build().unwrap_err();
        let file = |parts: &[&str]| one(Builder::multi_file("t").file(["a"], 1).file(parts, 0));
        assert_eq!(one(Builder::multi_file("t")), BuildError::NoFiles);
        assert_eq!(one(Builder::single_file("n", 0)), BuildError::Empty);
        assert_eq!(one(Builder::single_file("n", u64::MAX)), BuildError::TooLong);
        assert_eq!(one(Builder::multi_file("n").file(["a"], u64::MAX).file(["b"], 1)), BuildError::TooLong);
        assert!(matches!(one(Builder::single_file("n", 2)), BuildError::PieceCount { expected: 2, found: 1 }));
        assert!(matches!(one(Builder::single_file("n", 1 << 22)), BuildError::TooManyPieces { .. }));
        for bad in ["", "..", "a/b", "\0"] {
            assert!(matches!(one(Builder::single_file(bad, 1)), BuildError::Path(_)), "{bad:?}");
            assert!(matches!(file(&["x", bad]), BuildError::Path(_)), "{bad:?}");
        }
        assert!(matches!(file(&[]), BuildError::Path(_)));
        assert!(matches!(file(&["a"]), BuildError::Clash { .. }));
        assert!(matches!(file(&["a", "b"]), BuildError::Clash { .. }));
        assert!(matches!(file(&vec!["d"; 100]), BuildError::PathTooDeep { limit: 100, .. }));
        let long = Builder::single_file("n", 1).piece_length(u32::MAX).piece_hashes([[0; 20]]).build();
        assert!(matches!(long, Err(BuildError::PieceLength { .. })));
        let long = Builder::single_file("n", 1).piece_hashes([[0; 20]]).comment("x".repeat(32 << 20)).build();
        assert!(matches!(long, Err(BuildError::TorrentTooLong { .. })));
    }

    #[test]
    fn the_automatic_piece_length_gives_a_thousand_to_two_thousand_pieces() {
        for bits in 25..=34 {
            for total in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                let length = piece_length_for(total);
                let pieces = total.div_ceil(length.into());
                assert!(length.is_power_of_two() && (1_001..=2_000).contains(&pieces), "{total}: {pieces}");
            }
        }
        assert_eq!(piece_length_for(0), 16 << 10);
    }

    /// A tree such as this host may hold: no two siblings of one name, and names of any bytes that it permits.
    fn tree() -> impl Strategy<Value = Vec<(Vec<Vec<u8>>, u64)>> {
        let part = if cfg!(unix) && !Names::default().is_portable() {
            prop::collection::vec((1..=255_u8).prop_filter("a separator", |b| *b != b'/'), 1..=255).boxed()
        } else {
            "[a-z]{1,20}".prop_map(String::into_bytes).boxed()
        };
        let part = part.prop_filter("not a name", |p| p != b"." && p != b"..");
        let path = prop::collection::vec(part, 1..5);
        prop::collection::btree_map(path, 0..100_000_u64, 1..8).prop_map(|files| {
            let mut files: Vec<_> = files.into_iter().collect();
            let folders: Vec<Vec<Vec<u8>>> = files.iter().map(|(path, _)| path.clone()).collect();
            files.retain(|(path, _)| !folders.iter().any(|f| f.len() > path.len() && f.starts_with(path)));
            files
        })
    }

    proptest! {
        #[test]
        fn every_tree_this_host_can_hold_is_read_as_it_was_described(files in tree(), piece_length in 1..50_000_u32) {
            let mut builder = files.iter().fold(Builder::multi_file("t"), |b, (path, length)| b.file(path, *length));
            let total: u64 = files.iter().map(|(_, length)| length).sum();
            if total == 0 {
                prop_assert_eq!(builder.build(), Err(BuildError::Empty));
                return Ok(());
            }
            builder = builder.piece_length(piece_length);
            let hashes: Vec<[u8; 20]> = (0..builder.geometry().unwrap().piece_count()).map(|i| [i as u8; 20]).collect();
            let bytes = builder.piece_hashes(hashes.clone()).build().unwrap();
            let metainfo = parse(&bytes);
            prop_assert!(metainfo.layout().piece_hashes().eq(&hashes));
            prop_assert_eq!(metainfo.total_length(), total);
            let read: Vec<(Vec<Vec<u8>>, u64)> = metainfo
                .files()
                .iter()
                .map(|f| (f.path.parts().skip(1).map(<[u8]>::to_vec).collect(), f.length))
                .collect();
            prop_assert_eq!(read, files);
            let raw = (0..metainfo.files().len() as u32).filter_map(|f| metainfo.layout().raw_path(FileIndex(f)).map(|_| f));
            prop_assert_eq!(raw.count(), 0);
        }
    }
}
