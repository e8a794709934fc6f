//! Resume data: what a torrent has on disk, kept in a file of its own from one run to the next. The format is ours.
//!
//! It is a bencoded dictionary:
//!
//! | key | value |
//! |---|---|
//! | `bip resume` | the version, 1 |
//! | `check` | SHA-1 of the bytes of `state`'s value: a file that is torn is none |
//! | `state` | a dictionary: |
//! | - `files` | a list with a list for each file, in the torrent's order: its length and the time of its last change in nanoseconds since 1970; without the time where it is not known; empty where the file is not there |
//! | - `info hash` | 20 bytes |
//! | - `partial` | a list with a list for each incomplete piece, in order: its number, then begin and end of each range of bytes that is written |
//! | - `piece length`, `total length` | the torrent's, in bytes |
//! | - `pieces` | the pieces that are verified, as in a `bitfield` message (BEP 3) |
//!
//! Keys that are not known are passed over, so that a later version can add to them.

use super::bencode::{self, Document, List, Value};
use super::bitfield::Bitfield;
use super::geometry::Geometry;
use super::id::{InfoHash, PieceIndex};
use super::sha1::Sha1;
use std::fmt;
use std::ops::Range;

/// The version that is written, and the only one that is read.
const VERSION: i64 = 1;

/// What is read at most.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in all. Default 64 MiB.
    pub length: usize,
    /// Files. Default 1,000,000.
    pub files: usize,
    /// Ranges of bytes, over all incomplete pieces. Default 1,000,000.
    pub ranges: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { length: 64 << 20, files: 1_000_000, ranges: 1_000_000 }
    }
}

/// What tells whether a file is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Its length in bytes.
    pub length: u64,
    /// The time of its last change, in nanoseconds since 1970, where it is known.
    pub modified: Option<i64>,
}

/// An incomplete piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialPiece {
    /// The piece.
    pub piece: PieceIndex,
    /// Its bytes that are written: not empty, in order, and apart from each other.
    pub ranges: Vec<Range<u32>>,
}

/// What a torrent has on disk.
///
/// ```
/// use bip::proto::bitfield::Bitfield;
/// use bip::proto::geometry::Geometry;
/// use bip::proto::id::InfoHash;
/// use bip::proto::resume::{FileStamp, Limits, Resume};
///
/// let resume = Resume {
///     info_hash: InfoHash([7; 20]),
///     geometry: Geometry::new(100_000, 16 * 1024).expect("neither is 0"),
///     have: Bitfield::full(7),
///     partials: Vec::new(),
///     files: vec![Some(FileStamp { length: 100_000, modified: Some(1_000_000_000) })],
/// };
/// let bytes = resume.encode();
/// assert_eq!(Resume::decode(&bytes, &Limits::default())?, resume);
/// assert!(Resume::decode(&bytes[..bytes.len() - 1], &Limits::default()).is_err());
/// # Ok::<(), bip::proto::resume::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The torrent's name on the wire.
    pub info_hash: InfoHash,
    /// Its pieces.
    pub geometry: Geometry,
    /// The pieces that are verified.
    pub have: Bitfield,
    /// The pieces of which some bytes are written, in order; none of them is in `have`.
    pub partials: Vec<PartialPiece>,
    /// Every file, in the torrent's order; `None` for one that is not there.
    pub files: Vec<Option<FileStamp>>,
}

/// Why bytes are no resume data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// They are not bencoded, too many, or lack a key (malformed).
    Bencode(bencode::Error),
    /// They are of another version (unsupported).
    Version {
        /// The version.
        found: i64,
    },
    /// They are not what was written: torn, or changed since (malformed).
    Torn,
    /// A value cannot be (malformed).
    Wrong {
        /// The key.
        key: &'static str,
    },
    /// There is more than the limits allow (refused).
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bencode(error) => error.fmt(f),
            Error::Version { found } => write!(f, "resume data of version {found}"),
            Error::Torn => f.write_str("the resume data is torn"),
            Error::Wrong { key } => write!(f, "{key}: a value that cannot be"),
            Error::TooLarge { what, limit } => write!(f, "more than {limit} {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Error::Bencode(error) = self { Some(error) } else { None }
    }
}

impl From<bencode::Error> for Error {
    fn from(error: bencode::Error) -> Self {
        Error::Bencode(error)
    }
}

impl Resume {
    /// Writes it as the bytes of a file.
    pub fn encode(&self) -> Vec<u8> {
        // Lengths and offsets in a torrent are below 2^63.
        let int = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let state = bencode::encode_dict(|dict| {
            dict.list("files", |files| {
                for file in &self.files {
                    files.list(|list| {
                        if let Some(stamp) = file {
                            list.int(int(stamp.length));
                            stamp.modified.into_iter().for_each(|at| list.int(at));
                        }
                    });
                }
            });
            dict.bytes("info hash", self.info_hash.0);
            dict.list("partial", |partials| {
                for partial in &self.partials {
                    partials.list(|list| {
                        list.int(partial.piece.0.into());
                        for range in &partial.ranges {
                            list.int(range.start.into());
                            list.int(range.end.into());
                        }
                    });
                }
            });
            dict.int("piece length", self.geometry.piece_length().into());
            dict.bytes("pieces", self.have.as_bytes());
            dict.int("total length", int(self.geometry.total_length()));
        });
        let mut bytes = bencode::encode_dict(|dict| {
            dict.int("bip resume", VERSION);
            dict.bytes("check", Sha1::digest(&state));
        });
        // "state" is the last key: its value and the dictionary's end take the place of the end.
        bytes.pop();
        bytes.extend_from_slice(b"5:state");
        bytes.extend_from_slice(&state);
        bytes.push(b'e');
        bytes
    }

    /// Reads the bytes of a file. What it gives is whole and agrees with itself: pieces are in the torrent, ranges in their pieces.
    ///
    /// # Errors
    ///
    /// Anything that [`encode`](Self::encode) would not have written (but unknown keys), or that is beyond the limits.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let tokens =
            limits.files.saturating_mul(4).saturating_add(limits.ranges.saturating_mul(4)).saturating_add(1_000);
        let allowed = bencode::Limits { depth: 8, tokens, string_length: limits.length, input_length: limits.length };
        let document = Document::decode(bytes, &allowed)?;
        let dict = document.root().dict()?;
        let found = dict.int("bip resume")?;
        if found != VERSION {
            return Err(Error::Version { found });
        }
        let state = dict.required("state")?;
        if dict.bytes("check")? != Sha1::digest(state.span()) {
            return Err(Error::Torn);
        }
        let state = state.dict()?;
        let info_hash = state.bytes("info hash")?.try_into().map_err(|_| Error::Wrong { key: "info hash" })?;
        let total = u64::try_from(state.int("total length")?).map_err(|_| Error::Wrong { key: "total length" })?;
        let piece = u32::try_from(state.int("piece length")?).map_err(|_| Error::Wrong { key: "piece length" })?;
        let geometry = Geometry::new(total, piece).ok_or(Error::Wrong { key: "piece length" })?;
        let have = Bitfield::from_bytes(state.bytes("pieces")?, geometry.piece_count());
        let have = have.ok_or(Error::Wrong { key: "pieces" })?;
        let partials = partials(state.list("partial")?, geometry, &have, limits)?;
        let files = files(state.list("files")?, limits)?;
        Ok(Self { info_hash: InfoHash(info_hash), geometry, have, partials, files })
    }
}

fn files(list: List<'_, '_>, limits: &Limits) -> Result<Vec<Option<FileStamp>>, Error> {
    let wrong = Error::Wrong { key: "files" };
    let mut files = Vec::new();
    for file in list.iter() {
        if files.len() >= limits.files {
            return Err(Error::TooLarge { what: "files", limit: limits.files });
        }
        let mut values = file.list()?.iter();
        let length = values.next().map(Value::int).transpose()?;
        let modified = values.next().map(Value::int).transpose()?;
        if values.next().is_some() {
            return Err(wrong);
        }
        files.push(match length {
            None => None,
            Some(length) => Some(FileStamp { length: u64::try_from(length).map_err(|_| wrong.clone())?, modified }),
        });
    }
    Ok(files)
}

fn partials(
    list: List<'_, '_>,
    geometry: Geometry,
    have: &Bitfield,
    limits: &Limits,
) -> Result<Vec<PartialPiece>, Error> {
    let wrong = || Error::Wrong { key: "partial" };
    let number = |value: Value<'_, '_>| u32::try_from(value.int()?).map_err(|_| wrong());
    let mut partials: Vec<PartialPiece> = Vec::new();
    let mut count = 0;
    for entry in list.iter() {
        let mut values = entry.list()?.iter();
        let piece = PieceIndex(number(values.next().ok_or_else(wrong)?)?);
        let in_order = partials.last().is_none_or(|before| before.piece < piece);
        if !in_order || have.contains(piece) || piece.0 >= geometry.piece_count() {
            return Err(wrong());
        }
        let mut ranges: Vec<Range<u32>> = Vec::new();
        while let Some(begin) = values.next() {
            count += 1;
            if count > limits.ranges {
                return Err(Error::TooLarge { what: "ranges", limit: limits.ranges });
            }
            let (begin, end) = (number(begin)?, number(values.next().ok_or_else(wrong)?)?);
            let apart = ranges.last().is_none_or(|before| before.end < begin);
            if !apart || begin >= end || end > geometry.length_of(piece) {
                return Err(wrong());
            }
            ranges.push(begin..end);
        }
        if ranges.is_empty() {
            return Err(wrong());
        }
        partials.push(PartialPiece { piece, ranges });
    }
    Ok(partials)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one range is meant
mod tests {
    use super::*;

    fn sample() -> Resume {
        let geometry = Geometry::new(100_000, 16 * 1024).unwrap();
        let mut have = Bitfield::new(7);
        have.insert(PieceIndex(3));
        Resume {
            info_hash: InfoHash([9; 20]),
            geometry,
            have,
            partials: vec![
                PartialPiece { piece: PieceIndex(0), ranges: vec![0..5, 6..16_384] },
                PartialPiece { piece: PieceIndex(6), ranges: vec![1..1_696] },
            ],
            files: vec![
                Some(FileStamp { length: 60_000, modified: Some(-5) }),
                None,
                Some(FileStamp { length: 40_000, modified: None }),
            ],
        }
    }

    fn decode(bytes: &[u8]) -> Result<Resume, Error> {
        Resume::decode(bytes, &Limits::default())
    }

    /// Puts a state into the form of a file, with the right check.
    fn wrapped(state: &[u8]) -> Vec<u8> {
        let mut bytes = b"d10:bip resumei1e5:check20:".to_vec();
        bytes.extend(Sha1::digest(state));
        bytes.extend(b"5:state");
        bytes.extend(state);
        bytes.push(b'e');
        bytes
    }

    #[test]
    fn what_was_written_is_read_again_and_is_canonical() {
        let bytes = sample().encode();
        assert_eq!(decode(&bytes).unwrap(), sample());
        let document = Document::decode(&bytes, &bencode::Limits::default()).unwrap();
        assert!(document.is_canonical());
    }

    #[test]
    fn a_torn_file_is_refused_whichever_byte_is_gone_or_changed() {
        let bytes = sample().encode();
        for at in 0..bytes.len() {
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                assert!(decode(&changed).is_err(), "changed at {at}");
            }
            let mut zeros = bytes.clone();
            zeros[at..].fill(0);
            assert!(decode(&zeros).is_err(), "zeros from {at}");
        }
    }

    #[test]
    fn another_version_is_refused_and_keys_of_a_later_one_are_passed_over() {
        let text = |bytes: &[u8], from: &[u8], to: &[u8]| {
            let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
            [&bytes[..at], to, &bytes[at + from.len()..]].concat()
        };
        let other = text(&sample().encode(), b"resumei1e", b"resumei2e");
        assert_eq!(decode(&other), Err(Error::Version { found: 2 }));
        let bytes = sample().encode();
        let document = Document::decode(&bytes, &bencode::Limits::default()).unwrap();
        let state = document.root().dict().unwrap().required("state").unwrap().span();
        let state = text(state, b"12:piece length", b"5:peersl6:abcdefe12:piece length");
        assert_eq!(decode(&wrapped(&state)).unwrap(), sample());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let geometry = sample().geometry;
        let partial = |piece, ranges: &[Range<u32>]| PartialPiece { piece: PieceIndex(piece), ranges: ranges.to_vec() };
        let wrong: [&[PartialPiece]; 8] = [
            &[partial(3, &[0..1])],
            &[partial(7, &[0..1])],
            &[partial(0, &[])],
            &[partial(0, &[5..5])],
            &[partial(0, &[0..5, 5..9])],
            &[partial(6, &[0..1_697])],
            &[partial(1, &[0..1]), partial(1, &[2..3])],
            &[partial(2, &[0..1]), partial(1, &[2..3])],
        ];
        for partials in wrong {
            let resume = Resume { partials: partials.to_vec(), ..sample() };
            assert_eq!(decode(&resume.encode()), Err(Error::Wrong { key: "partial" }), "{partials:?}");
        }
        let spare = Resume { geometry: Geometry::new(5 << 14, 1 << 14).unwrap(), ..sample() };
        assert!(decode(&Resume { have: Bitfield::full(7), ..spare }.encode()).is_err());
        assert!(decode(&Resume { have: Bitfield::full(9), geometry, ..sample() }.encode()).is_err());
        let nested = [&b"d5:files"[..], &vec![b'l'; 20_000], &vec![b'e'; 20_001]].concat();
        for state in [&b"de"[..], b"le", b"i5e", b"d5:filesli1eee", &nested] {
            assert!(decode(&wrapped(state)).is_err());
        }
    }

    #[test]
    fn more_than_the_limits_is_refused() {
        let bytes = sample().encode();
        let limits = |limits: Limits| Resume::decode(&bytes, &limits);
        assert_eq!(limits(Limits { files: 2, ..Limits::default() }), Err(Error::TooLarge { what: "files", limit: 2 }));
        assert_eq!(
            limits(Limits { ranges: 2, ..Limits::default() }),
            Err(Error::TooLarge { what: "ranges", limit: 2 })
        );
        assert!(limits(Limits { length: bytes.len() - 1, ..Limits::default() }).is_err());
        assert!(limits(Limits { length: bytes.len(), ranges: 3, files: 3 }).is_ok());
    }
}
