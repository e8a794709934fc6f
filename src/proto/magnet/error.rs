//! What keeps a link from being read, and what does not.

use std::fmt;

/// Why a text is no magnet link of a torrent. Offsets are in bytes from the start of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is longer than allowed.
    TooLong {
        /// How many bytes it has.
        length: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// It does not begin with `magnet:?`.
    NotMagnet,
    /// It has no info hash.
    NoInfoHash,
    /// An info hash has the wrong number of digits.
    HashLength {
        /// Where its value starts.
        at: usize,
        /// How many characters it has.
        length: usize,
        /// What it should have.
        expected: &'static str,
    },
    /// An info hash has a character that is no digit of its kind.
    HashDigit {
        /// Where its value starts.
        at: usize,
        /// Which of the hash's characters it is, from 0.
        digit: usize,
    },
    /// A v2 info hash is not a SHA-256 multihash: it does not begin with `1220`.
    Multihash {
        /// Where its value starts.
        at: usize,
    },
    /// An `xt` has a `%` without two hexadecimal digits.
    Escape {
        /// Where its value starts.
        at: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::TooLong { length, limit } => write!(f, "a link of {length} bytes, more than {limit}"),
            Error::NotMagnet => f.write_str("does not begin with magnet:?"),
            Error::NoInfoHash => f.write_str("no info hash (xt=urn:btih: or xt=urn:btmh:) in the link"),
            Error::HashLength { at, length, expected } => {
                write!(f, "an info hash of {length} characters instead of {expected} at byte {at}")
            }
            Error::HashDigit { at, digit } => {
                write!(f, "character {} of the info hash at byte {at} is no digit", digit + 1)
            }
            Error::Multihash { at } => write!(f, "the info hash at byte {at} is not a SHA-256 multihash (1220...)"),
            Error::Escape { at } => write!(f, "a % without two hexadecimal digits in the xt at byte {at}"),
        }
    }
}

impl std::error::Error for Error {}

/// Something odd about a link that did not keep it from being read. Offsets are in bytes from the start of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A second info hash of the same kind differs from the first, which counts.
    SecondHash {
        /// Where its value starts.
        at: usize,
    },
    /// A value, or of files a part of it, cannot be read and was left out.
    Ignored {
        /// The key.
        key: &'static str,
        /// Where the value starts.
        at: usize,
    },
    /// There are more values of a key than allowed; the rest was left out.
    TooMany {
        /// The key.
        key: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::SecondHash { at } => write!(f, "another info hash at byte {at} was left out"),
            Warning::Ignored { key, at } => write!(f, "{key} at byte {at} cannot be read and was left out"),
            Warning::TooMany { key, limit } => write!(f, "more than {limit} of {key}; the rest was left out"),
        }
    }
}
