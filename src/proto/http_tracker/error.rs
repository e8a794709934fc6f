use crate::proto::bencode;
use std::fmt;

/// Why an answer cannot be read. The fault is the tracker's, or what answered is none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// It is not a bencoded dictionary, or over a limit.
    Bencode(bencode::Error),
    /// It is a dictionary without anything that an answer has.
    NotAReply {
        /// The keys of which at least one must be there.
        expected: &'static str,
    },
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bencode(error) => write!(f, "a tracker's answer: {error}"),
            Self::NotAReply { expected } => write!(f, "a tracker's answer: expected {expected}, found none of them"),
        }
    }
}

impl std::error::Error for ReplyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bencode(error) => Some(error),
            Self::NotAReply { .. } => None,
        }
    }
}

impl From<bencode::Error> for ReplyError {
    fn from(error: bencode::Error) -> Self {
        Self::Bencode(error)
    }
}

/// Why a request cannot be served. The fault is the client's; the text may be told to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The query is longer than [`MAX_QUERY`](super::MAX_QUERY).
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A percent sign is not followed by two hexadecimal digits.
    BadEscape {
        /// The key.
        key: &'static str,
        /// The offset of the percent sign in the query.
        at: usize,
    },
    /// A key that must be there is not.
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key that may be there once is there again.
    Repeated {
        /// The key.
        key: &'static str,
        /// The offset of the second one's value in the query.
        at: usize,
    },
    /// An info hash or peer id is not 20 bytes long.
    WrongLength {
        /// The key.
        key: &'static str,
        /// The offset of the value in the query.
        at: usize,
        /// Its length in bytes, without escapes.
        length: usize,
    },
    /// A value that must be a number is none, or a port is over 65535.
    BadNumber {
        /// The key.
        key: &'static str,
        /// The offset of the value in the query.
        at: usize,
    },
    /// An event that nobody defined.
    UnknownEvent {
        /// The offset of the value in the query.
        at: usize,
    },
    /// A scrape for more torrents than [`MAX_SCRAPE`](super::MAX_SCRAPE).
    TooManyHashes,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => write!(f, "a query of {length} bytes; the limit is {}", super::MAX_QUERY),
            Self::BadEscape { key, at } => {
                write!(f, "{key}: a percent sign without two digits at byte {at}")
            }
            Self::Missing { key } => write!(f, "{key}: missing"),
            Self::Repeated { key, at } => write!(f, "{key}: given again at byte {at}"),
            Self::WrongLength { key, at, length } => {
                write!(f, "{key}: expected 20 bytes at byte {at}, found {length}")
            }
            Self::BadNumber { key, at } => write!(f, "{key}: expected a number at byte {at}"),
            Self::UnknownEvent { at } => write!(f, "event: unknown at byte {at}"),
            Self::TooManyHashes => write!(f, "info_hash: more than {}", super::MAX_SCRAPE),
        }
    }
}

impl std::error::Error for RequestError {}

/// Why a tracker's URL cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// The scheme is not `http` or `https`.
    NotHttp,
    /// The URL's own query has a key that an announce has: whoever wrote it wants to speak for us, or to have us speak to something
    /// that is no tracker.
    ReservedKey {
        /// The key.
        key: &'static str,
    },
    /// The path does not say where to scrape (BEP 48).
    NoScrape,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => write!(f, "the URL is not one of HTTP"),
            Self::ReservedKey { key } => {
                write!(f, "the URL's query has {key}, which is a key of announces")
            }
            Self::NoScrape => write!(f, "the URL's path has no part that begins with announce"),
        }
    }
}

impl std::error::Error for UrlError {}
