use super::{Message, code};
use crate::proto::bencode;
use std::fmt;

/// Why a packet is not a message. The fault is the sender's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error<'a> {
    /// The transaction id, where the packet is bencode and has one within the limits.
    pub transaction: Option<&'a [u8]>,
    /// What is wrong.
    pub reason: Reason,
}

impl<'a> Error<'a> {
    /// Gives the error message to answer with, where the packet is a query that is understood so far. Anything else is best met
    /// with silence: who sent it may be somebody else than it seems.
    ///
    /// ```
    /// use bip::proto::krpc::{Body, Message};
    /// let error = Message::decode(b"d1:ade1:q4:ping1:t2:aa1:y1:qe").unwrap_err();
    /// let answer = error.answer().unwrap();
    /// assert_eq!(answer.body, Body::Error { code: 203, text: b"missing id" });
    /// ```
    pub fn answer(&self) -> Option<Message<'a>> {
        let (code, text) = self.reason.fault()?;
        Some(Message::error(self.transaction?, code, text))
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Error<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.reason.source()
    }
}

/// What is wrong with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It is not one bencoded dictionary, or beyond the limits ([`MAX_PACKET`](super::MAX_PACKET) and so on).
    Bencode(bencode::Error),
    /// It has no transaction id, or one of a length that is not 1 to [`MAX_TRANSACTION`](super::MAX_TRANSACTION).
    Transaction {
        /// How long it is, where there is one.
        length: Option<usize>,
    },
    /// It is none of query, reply and error.
    UnknownKind,
    /// A reply without its dictionary of values.
    NoValues,
    /// A query without the name of a method.
    NoMethod,
    /// A query without its dictionary of arguments.
    NoArguments,
    /// A query without an argument that its method must have.
    Missing(Argument),
    /// An argument of a query is of the wrong kind or length, or no number that it can be.
    Malformed(Argument),
    /// An argument of a query is longer than it may be.
    TooLong(Argument),
}

impl Reason {
    /// What to tell the sender of a query.
    fn fault(&self) -> Option<(i64, &'static str)> {
        match self {
            Self::Bencode(_) | Self::Transaction { .. } | Self::UnknownKind | Self::NoValues => None,
            Self::NoMethod => Some((code::PROTOCOL, "missing method")),
            Self::NoArguments => Some((code::PROTOCOL, "missing arguments")),
            Self::Missing(argument) => Some((code::PROTOCOL, argument.missing())),
            Self::Malformed(argument) => Some((code::PROTOCOL, argument.malformed())),
            Self::TooLong(argument) => {
                let code = match argument {
                    Argument::Value => code::VALUE_TOO_BIG,
                    Argument::Salt => code::SALT_TOO_BIG,
                    _ => code::PROTOCOL,
                };
                Some((code, argument.too_long()))
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bencode(error) => write!(f, "a packet that is not a message: {error}"),
            Self::Transaction { length: None } => f.write_str("a message without a transaction id"),
            Self::Transaction { length: Some(length) } => {
                write!(f, "a message with a transaction id of {length} bytes")
            }
            Self::UnknownKind => f.write_str("a message that is none of query, reply and error"),
            Self::NoValues => f.write_str("a reply without values"),
            Self::NoMethod | Self::NoArguments | Self::Missing(_) | Self::Malformed(_) | Self::TooLong(_) => {
                write!(f, "a query: {}", self.fault().map_or("", |(_, text)| text))
            }
        }
    }
}

impl std::error::Error for Reason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bencode(error) => Some(error),
            _ => None,
        }
    }
}

macro_rules! arguments {
    ($($(#[$doc:meta])* $name:ident = $key:literal,)*) => {
        /// An argument of a query that can be missing or wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Argument {
            $($(#[$doc])* $name,)*
        }

        impl Argument {
            /// Gives its key.
            pub fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            fn missing(self) -> &'static str {
                match self { $(Self::$name => concat!("missing ", $key),)* }
            }

            fn malformed(self) -> &'static str {
                match self { $(Self::$name => concat!("malformed ", $key),)* }
            }

            fn too_long(self) -> &'static str {
                match self { $(Self::$name => concat!($key, " is too long"),)* }
            }
        }
    };
}

arguments! {
    /// `id`: the sender's node id.
    Id = "id",
    /// `target`: the id that is looked for.
    Target = "target",
    /// `info_hash`: the torrent.
    InfoHash = "info_hash",
    /// `port`: where the sender takes connections.
    Port = "port",
    /// `token`: what shows that the sender's address is its own.
    Token = "token",
    /// `v`: the value to be stored.
    Value = "v",
    /// `k`: the public key.
    PublicKey = "k",
    /// `sig`: the signature.
    Signature = "sig",
    /// `seq`: the sequence number.
    Sequence = "seq",
    /// `salt`: what tells the items of one key apart.
    Salt = "salt",
    /// `cas`: the sequence number that is to be replaced.
    Cas = "cas",
}
