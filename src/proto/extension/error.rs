use crate::proto::bencode;
use std::fmt;

/// Why bytes are not a message of an extension. The fault is the peer's, and need not end the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The message does not begin with a dictionary in bencode.
    Bencode(bencode::Error),
    /// A key that must be there is not, or has no integer.
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A number makes no sense, or is over a limit.
    OutOfRange {
        /// The key, or the field of a message without keys.
        key: &'static str,
        /// The number.
        value: i64,
    },
    /// The message, or the data in it, has not the length that it must have.
    WrongLength {
        /// How many bytes there are.
        length: usize,
        /// How many there must be; at least, in a message that may go on.
        expected: usize,
    },
}

impl From<bencode::Error> for Error {
    fn from(error: bencode::Error) -> Self {
        Self::Bencode(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bencode(error) => error.fmt(f),
            Self::Missing { key } => write!(f, "{key}: missing, or not an integer"),
            Self::OutOfRange { key, value } => write!(f, "{key}: {value} is out of range"),
            Self::WrongLength { length, expected } => write!(f, "{length} bytes; there must be {expected}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bencode(error) => Some(error),
            _ => None,
        }
    }
}
