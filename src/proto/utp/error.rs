//! What is no packet.

use super::packet::MAX_EXTENSIONS;
use crate::proto::reader::Truncated;
use std::fmt;

/// Why a datagram is no packet of uTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It ends in its header or its extensions.
    Truncated(Truncated),
    /// Its version is not 1.
    Version {
        /// The version it has.
        found: u8,
    },
    /// Its type is none that there is.
    Kind {
        /// The type it has.
        found: u8,
    },
    /// A selective acknowledgement has not 4 to 252 bytes in a multiple of 4.
    SelectiveAck {
        /// Where the extension starts, in bytes.
        at: usize,
        /// How many it has.
        length: u8,
    },
    /// It has more than [`MAX_EXTENSIONS`] extensions.
    TooManyExtensions {
        /// Where the first that is too many starts, in bytes.
        at: usize,
    },
}

impl From<Truncated> for Error {
    fn from(error: Truncated) -> Self {
        Error::Truncated(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated(error) => error.fmt(f),
            Error::Version { found } => write!(f, "version {found} of uTP at byte 0"),
            Error::Kind { found } => write!(f, "a packet of type {found} at byte 0"),
            Error::SelectiveAck { at, length } => {
                write!(f, "a selective acknowledgement of {length} bytes at byte {at}")
            }
            Error::TooManyExtensions { at } => write!(f, "more than {MAX_EXTENSIONS} extensions at byte {at}"),
        }
    }
}

impl std::error::Error for Error {}
