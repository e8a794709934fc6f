//! `ut_holepunch`: two peers that cannot be dialled meet through a third (BEP 55).
//!
//! ```text
//! | type 1 | family 1 | address 4 or 16 | port 2 | error 4 |
//! ```
//!
//! Libtorrent leaves the error out of messages that are none, against the BEP's table; it is not needed there. Bytes after the fields
//! are passed over.

use super::{Error, Id};
use crate::proto::compact;
use crate::proto::message::encode_extended;
use crate::proto::reader::Reader;
use std::fmt;
use std::net::SocketAddr;

/// A message of `ut_holepunch`.
///
/// ```
/// use bip::proto::extension::{Id, holepunch::{ErrorCode, Message}};
/// let message = Message::Error { address: "192.0.2.1:6881".parse()?, code: ErrorCode::NOT_CONNECTED };
/// let mut bytes = Vec::new();
/// message.encode(Id::new(4).unwrap(), &mut bytes);
/// assert_eq!(bytes, [0, 0, 0, 14, 20, 4, 2, 0, 192, 0, 2, 1, 0x1a, 0xe1, 0, 0, 0, 2]);
/// assert_eq!(Message::decode(&bytes[6..])?, message);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// The sender wants to meet who is at the address, which the receiver is connected to.
    Rendezvous(SocketAddr),
    /// The receiver should dial the address over uTP now: the other side does the same.
    Connect(SocketAddr),
    /// The receiver's rendezvous cannot be.
    Error {
        /// The address that the rendezvous was for.
        address: SocketAddr,
        /// Why not.
        code: ErrorCode,
    },
    /// A message of another type.
    Unknown {
        /// The type.
        kind: u8,
        /// What follows it.
        rest: &'a [u8],
    },
}

/// Why a rendezvous cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// The address makes no sense.
    pub const NO_SUCH_PEER: Self = Self(1);
    /// The relay is not connected to it.
    pub const NOT_CONNECTED: Self = Self(2);
    /// Who is there does not speak `ut_holepunch`.
    pub const NO_SUPPORT: Self = Self(3);
    /// It is the relay's own.
    pub const NO_SELF: Self = Self(4);
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::NO_SUCH_PEER => "no such peer",
            Self::NOT_CONNECTED => "not connected",
            Self::NO_SUPPORT => "no support",
            Self::NO_SELF => "no self",
            Self(other) => return write!(f, "error {other}"),
        })
    }
}

const RENDEZVOUS: u8 = 0;
const CONNECT: u8 = 1;
const ERROR: u8 = 2;

impl<'a> Message<'a> {
    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Fails where it ends before its fields do, or with a family of addresses that is none.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(payload);
        let mut read = |length| {
            let expected = reader.position() + length;
            reader.take(length).map_err(|_| Error::WrongLength { length: payload.len(), expected })
        };
        let &[kind] = read(1)? else { return Err(Error::WrongLength { length: 0, expected: 1 }) };
        if kind > ERROR {
            return Ok(Self::Unknown { kind, rest: payload.get(1..).unwrap_or_default() });
        }
        let address = match read(1)? {
            [0] => read(6)?,
            [1] => read(18)?,
            other => {
                let value = other.first().copied().unwrap_or_default().into();
                return Err(Error::OutOfRange { key: "addr_type", value });
            }
        };
        let address = compact::decode(address).ok_or(Error::WrongLength { length: address.len(), expected: 6 })?;
        Ok(match kind {
            RENDEZVOUS => Self::Rendezvous(address),
            CONNECT => Self::Connect(address),
            _ => {
                let code = read(4)?.iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
                Self::Error { address, code: ErrorCode(code) }
            }
        })
    }

    /// Appends the whole message, numbered as its receiver wants it. An IPv4 address in an IPv6 form is written as IPv4.
    pub fn encode(&self, id: Id, out: &mut Vec<u8>) {
        let (kind, address, code) = match *self {
            Self::Rendezvous(address) => (RENDEZVOUS, address, 0),
            Self::Connect(address) => (CONNECT, address, 0),
            Self::Error { address, code } => (ERROR, address, code.0),
            Self::Unknown { kind, rest } => {
                return encode_extended(id.get(), out, |out| {
                    out.push(kind);
                    out.extend_from_slice(rest);
                });
            }
        };
        encode_extended(id.get(), out, |out| {
            out.extend([kind, u8::from(compact::Family::of(address.ip()) == compact::Family::V6)]);
            compact::encode(address, out);
            out.extend_from_slice(&code.to_be_bytes());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(message: Message<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        message.encode(Id::new(1).unwrap(), &mut out);
        out[6..].to_vec()
    }

    #[test]
    fn both_families_are_read_and_written() {
        for (address, length) in [("192.0.2.1:6881", 12), ("[2001:db8::1]:6881", 24), ("[::ffff:192.0.2.1]:1", 12)] {
            let address: SocketAddr = address.parse().unwrap();
            let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
            for (message, read) in [
                (Message::Rendezvous(address), Message::Rendezvous(canonical)),
                (Message::Connect(address), Message::Connect(canonical)),
            ] {
                let bytes = encoded(message);
                assert_eq!((bytes.len(), Message::decode(&bytes)), (length, Ok(read)));
            }
        }
    }

    #[test]
    fn the_error_may_be_missing_where_there_is_none() {
        let bytes = encoded(Message::Connect("192.0.2.1:6881".parse().unwrap()));
        assert_eq!(Message::decode(&bytes[..8]), Message::decode(&bytes));
        let more = [&bytes[..], b"more"].concat();
        assert_eq!(Message::decode(&more), Message::decode(&bytes));
    }

    #[test]
    fn what_is_cut_is_refused_at_every_length() {
        let address = "[2001:db8::1]:6881".parse().unwrap();
        let bytes = encoded(Message::Error { address, code: ErrorCode::NO_SELF });
        for length in 0..bytes.len() {
            assert!(matches!(Message::decode(&bytes[..length]), Err(Error::WrongLength { .. })), "{length}");
        }
        assert_eq!(Message::decode(&[0, 2, 1, 2, 3, 4, 5, 6]), Err(Error::OutOfRange { key: "addr_type", value: 2 }));
    }

    #[test]
    fn an_unknown_type_and_an_unknown_code_are_carried() {
        assert_eq!(Message::decode(b"\x03abc"), Ok(Message::Unknown { kind: 3, rest: b"abc" }));
        let bytes = [2, 0, 1, 2, 3, 4, 0, 5, 0, 0, 1, 0];
        let message = Message::Error { address: "1.2.3.4:5".parse().unwrap(), code: ErrorCode(256) };
        assert_eq!(Message::decode(&bytes), Ok(message));
        assert_eq!(encoded(message), bytes);
        assert_eq!(
            (ErrorCode(256).to_string(), ErrorCode(2).to_string()),
            ("error 256".into(), "not connected".into())
        );
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_so_that_it_is_read_again(
            kind in 0..4u8,
            family in 0..3u8,
            rest in prop::collection::vec(any::<u8>(), 0..26),
        ) {
            let bytes = [&[kind, family][..], &rest].concat();
            if let Ok(message) = Message::decode(&bytes) {
                let again = encoded(message);
                prop_assert_eq!(Message::decode(&again), Ok(message));
            }
        }
    }
}
