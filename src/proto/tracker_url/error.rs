use super::MAX_LEN;
use std::fmt;

/// Why a text is not a URL that we use. None of the errors holds a part of the URL that may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is longer than [`MAX_LEN`], as given or with its bytes escaped.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A control character or a space.
    BadCharacter {
        /// Its offset in bytes.
        at: usize,
    },
    /// It has no `://`, or something else than a scheme before that.
    NoScheme,
    /// The scheme is not one of [`Scheme`](super::Scheme); `wss` is one that is met.
    UnsupportedScheme,
    /// There is no host, or none that is a name or an address without a doubt.
    BadHost {
        /// Its offset in bytes.
        at: usize,
    },
    /// What stands before the host holds an `@` itself.
    BadUserInfo {
        /// Its offset in bytes.
        at: usize,
    },
    /// The port is not a number from 1 to 65535.
    BadPort {
        /// Its offset in bytes.
        at: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => {
                write!(f, "a URL of {length} bytes; the limit is {MAX_LEN}")
            }
            Self::BadCharacter { at } => {
                write!(f, "a control character or a space at byte {at} of a URL")
            }
            Self::NoScheme => write!(f, "a URL without a scheme such as http://"),
            Self::UnsupportedScheme => {
                write!(f, "a URL of a scheme that is not http, https or udp")
            }
            Self::BadHost { at } => write!(f, "expected the name or address of a host at byte {at} of a URL"),
            Self::BadUserInfo { at } => {
                write!(f, "more than one @ before the host at byte {at} of a URL")
            }
            Self::BadPort { at } => {
                write!(f, "expected a port from 1 to 65535 at byte {at} of a URL")
            }
        }
    }
}

impl std::error::Error for Error {}
