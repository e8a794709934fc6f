//! What is wrong with a bencoded input, and where.

use std::fmt;

/// The four kinds of bencoded element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `i…e`
    Integer,
    /// `n:…`, a string of bytes
    Bytes,
    /// `l…e`
    List,
    /// `d…e`
    Dict,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Integer => "an integer",
            Kind::Bytes => "a string",
            Kind::List => "a list",
            Kind::Dict => "a dictionary",
        })
    }
}

/// An input that is not bencode, is beyond the limits, or is not of the form that was asked for.
///
/// Every variant but [`Error::InputTooLong`] has the offset in the input, in bytes, of what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The input ends within an element.
    UnexpectedEnd {
        /// The length of the input.
        at: usize,
        /// What should have come.
        expected: &'static str,
    },
    /// A byte that cannot stand where it stands.
    UnexpectedByte {
        /// Where it stands.
        at: usize,
        /// The byte.
        byte: u8,
        /// What should have come.
        expected: &'static str,
    },
    /// An integer or a string length with a zero too many in front.
    LeadingZero {
        /// Where the zero stands.
        at: usize,
    },
    /// The integer `-0`.
    NegativeZero {
        /// Where the minus stands.
        at: usize,
    },
    /// An integer outside the range of an `i64`.
    IntegerOverflow {
        /// Where the integer starts.
        at: usize,
    },
    /// A string length that does not fit 64 bits.
    LengthOverflow {
        /// Where the string starts.
        at: usize,
    },
    /// A string longer than what is left of the input.
    StringPastEnd {
        /// Where the string starts.
        at: usize,
        /// The length that it claims.
        length: u64,
        /// How many bytes are left for it.
        left: usize,
    },
    /// A string longer than [`Limits::string_length`](super::Limits::string_length).
    StringTooLong {
        /// Where the string starts.
        at: usize,
        /// The length that it claims.
        length: u64,
        /// The limit.
        limit: usize,
    },
    /// A dictionary key that is not a string.
    KeyNotString {
        /// Where the key stands.
        at: usize,
    },
    /// A dictionary that ends after a key.
    MissingValue {
        /// Where the dictionary ends.
        at: usize,
    },
    /// A key that is smaller than the one before it, where [`Rules`](super::Rules) do not permit that.
    UnsortedKey {
        /// Where the key stands.
        at: usize,
    },
    /// A key that its dictionary has already had.
    DuplicateKey {
        /// Where the key stands for the second time.
        at: usize,
    },
    /// Lists and dictionaries nested deeper than [`Limits::depth`](super::Limits::depth).
    TooDeep {
        /// Where the first one too many starts.
        at: usize,
        /// The limit.
        limit: usize,
    },
    /// More elements than [`Limits::tokens`](super::Limits::tokens).
    TooManyTokens {
        /// Where the first one too many starts.
        at: usize,
        /// The limit.
        limit: usize,
    },
    /// An input longer than [`Limits::input_length`](super::Limits::input_length).
    InputTooLong {
        /// The length of the input.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Bytes after the value.
    TrailingBytes {
        /// Where the first of them stands.
        at: usize,
    },
    /// An element of another kind than was asked for.
    WrongKind {
        /// The way from the root to the element, such as `info.files[3].length`; empty for the root itself.
        path: String,
        /// Where the element starts.
        at: usize,
        /// The kind asked for.
        expected: Kind,
        /// The kind found.
        found: Kind,
    },
    /// A string that should have a certain length and has another.
    WrongLength {
        /// The way from the root to the string.
        path: String,
        /// Where the string starts.
        at: usize,
        /// The length asked for, in bytes.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A string that should be text and is not UTF-8.
    NotUtf8 {
        /// The way from the root to the string.
        path: String,
        /// Where the string starts.
        at: usize,
    },
    /// A dictionary without a key that it must have.
    MissingKey {
        /// The way from the root to the missing element.
        path: String,
        /// Where the dictionary starts.
        at: usize,
    },
}

impl Error {
    /// Gives the offset in the input, in bytes, of what is wrong.
    pub fn position(&self) -> usize {
        match *self {
            Error::InputTooLong { limit, .. } => limit,
            Error::UnexpectedEnd { at, .. }
            | Error::UnexpectedByte { at, .. }
            | Error::LeadingZero { at }
            | Error::NegativeZero { at }
            | Error::IntegerOverflow { at }
            | Error::LengthOverflow { at }
            | Error::StringPastEnd { at, .. }
            | Error::StringTooLong { at, .. }
            | Error::KeyNotString { at }
            | Error::MissingValue { at }
            | Error::UnsortedKey { at }
            | Error::DuplicateKey { at }
            | Error::TooDeep { at, .. }
            | Error::TooManyTokens { at, .. }
            | Error::TrailingBytes { at }
            | Error::WrongKind { at, .. }
            | Error::WrongLength { at, .. }
            | Error::NotUtf8 { at, .. }
            | Error::MissingKey { at, .. } => at,
        }
    }
}

/// Adds a key to a path, so that it is readable whatever it is.
pub(super) fn push_key(path: &mut String, key: &[u8]) {
    if !path.is_empty() {
        path.push('.');
    }
    let (shown, cut) = key.split_at_checked(40).map_or((key, false), |(front, _)| (front, true));
    path.extend(String::from_utf8_lossy(shown).chars().flat_map(char::escape_debug));
    if cut {
        path.push('…');
    }
}

/// A path and its colon; nothing for the root.
struct Prefix<'a>(&'a str);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::UnexpectedEnd { at, expected } => write!(f, "expected {expected}, found the end at byte {at}"),
            Error::UnexpectedByte { at, byte, expected } => {
                write!(f, "expected {expected}, found '{}' at byte {at}", byte.escape_ascii())
            }
            Error::LeadingZero { at } => write!(f, "a number with a leading zero at byte {at}"),
            Error::NegativeZero { at } => write!(f, "the integer -0 at byte {at}"),
            Error::IntegerOverflow { at } => write!(f, "an integer beyond 64 bits at byte {at}"),
            Error::LengthOverflow { at } => write!(f, "a string length beyond 64 bits at byte {at}"),
            Error::StringPastEnd { at, length, left } => {
                write!(f, "a string of {length} bytes with {left} left at byte {at}")
            }
            Error::StringTooLong { at, length, limit } => {
                write!(f, "a string of {length} bytes, over the limit of {limit}, at byte {at}")
            }
            Error::KeyNotString { at } => write!(f, "a dictionary key that is not a string at byte {at}"),
            Error::MissingValue { at } => write!(f, "a dictionary ends after a key at byte {at}"),
            Error::UnsortedKey { at } => write!(f, "a dictionary key that is out of order at byte {at}"),
            Error::DuplicateKey { at } => write!(f, "a dictionary key for the second time at byte {at}"),
            Error::TooDeep { at, limit } => write!(f, "nested deeper than the limit of {limit} at byte {at}"),
            Error::TooManyTokens { at, limit } => write!(f, "more elements than the limit of {limit} at byte {at}"),
            Error::InputTooLong { length, limit } => {
                write!(f, "{length} bytes of input, over the limit of {limit}")
            }
            Error::TrailingBytes { at } => write!(f, "bytes after the end of the value at byte {at}"),
            Error::WrongKind { path, at, expected, found } => {
                write!(f, "{}expected {expected}, found {found} at byte {at}", Prefix(path))
            }
            Error::WrongLength { path, at, expected, found } => {
                write!(f, "{}expected a string of {expected} bytes, found {found} at byte {at}", Prefix(path))
            }
            Error::NotUtf8 { path, at } => {
                write!(f, "{}expected UTF-8 text, found other bytes at byte {at}", Prefix(path))
            }
            Error::MissingKey { path, at } => write!(f, "{path}: missing from the dictionary at byte {at}"),
        }
    }
}

impl std::error::Error for Error {}
