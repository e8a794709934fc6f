//! What goes wrong while a connection is being encrypted.

use super::MAX_PAD;
use super::method::Methods;
use std::fmt;

/// Why an encrypted connection did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The other side's public key is 0, 1, p - 1 or more. Its fault, or it speaks another protocol.
    PublicKey,
    /// The other side's mark did not come within [`MAX_PAD`] bytes of its public key: it speaks another protocol, or it wants another
    /// torrent than the initiator.
    NoMark,
    /// The torrent that the initiator names is none of ours.
    UnknownTorrent,
    /// What the initiator encrypted does not begin with eight zeros. Its fault.
    Verification,
    /// The other side's pad is too long. Its fault.
    PadTooLong {
        /// How many bytes it would have.
        length: u16,
    },
    /// The initiator's initial payload is longer than we take.
    PayloadTooLong {
        /// How many bytes it would have.
        length: u16,
        /// How many we take.
        limit: usize,
    },
    /// The initiator offers no method that we allow.
    NoCommonMethod {
        /// What it offers.
        offered: Methods,
    },
    /// The responder chose no method, several, or one that was not offered. Its fault.
    Selection {
        /// What it chose.
        selected: Methods,
    },
    /// A pad of ours is longer than [`MAX_PAD`] bytes, or our initial payload than 65535. The caller's fault.
    Ours {
        /// How many bytes it has.
        length: usize,
    },
    /// No method is allowed. The caller's fault.
    NoMethod,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::PublicKey => f.write_str("the public key is not from 2 to p - 2"),
            Error::NoMark => write!(f, "no mark within {MAX_PAD} bytes of the public key"),
            Error::UnknownTorrent => f.write_str("the torrent is unknown"),
            Error::Verification => f.write_str("what is encrypted does not begin with eight zeros"),
            Error::PadTooLong { length } => write!(f, "a pad of {length} bytes, more than {MAX_PAD}"),
            Error::PayloadTooLong { length, limit } => {
                write!(f, "an initial payload of {length} bytes, more than {limit}")
            }
            Error::NoCommonMethod { offered } => write!(f, "no method in common: {offered} offered"),
            Error::Selection { selected } => write!(f, "not one of the offered methods was chosen: {selected}"),
            Error::Ours { length } => write!(f, "a pad or initial payload of our own of {length} bytes"),
            Error::NoMethod => f.write_str("no method is allowed"),
        }
    }
}

impl std::error::Error for Error {}
