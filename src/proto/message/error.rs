use super::id;
use std::fmt;

/// Why bytes are not a message that we take. The fault is the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The length before a message is over every limit; its id was not waited for.
    LengthOverLimit {
        /// The length that the four bytes say.
        length: u32,
        /// The longest message that may come.
        limit: u32,
    },
    /// A message's length is over the limit for its id.
    TooLong {
        /// The message's id.
        id: u8,
        /// The message's length in bytes, its id included.
        length: u32,
        /// The longest that a message with this id may be.
        limit: u32,
    },
    /// A message's length is not the one that its fields have.
    WrongLength {
        /// The message's id.
        id: u8,
        /// The message's length in bytes, its id included.
        length: u32,
        /// The length that it must have; for a piece or an extended message, the least; for hashes, that of a message with none.
        expected: u32,
    },
    /// The bytes do not begin a piece message.
    NotAPiece {
        /// The id found; `None` for a keep-alive.
        id: Option<u8>,
    },
}

struct Name(u8);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            id::CHOKE => "choke",
            id::UNCHOKE => "unchoke",
            id::INTERESTED => "interested",
            id::NOT_INTERESTED => "not interested",
            id::HAVE => "have",
            id::BITFIELD => "bitfield",
            id::REQUEST => "request",
            id::PIECE => "piece",
            id::CANCEL => "cancel",
            id::PORT => "port",
            id::SUGGEST => "suggest",
            id::HAVE_ALL => "have all",
            id::HAVE_NONE => "have none",
            id::REJECT => "reject",
            id::ALLOWED_FAST => "allowed fast",
            id::EXTENDED => "extended",
            id::HASH_REQUEST => "hash request",
            id::HASHES => "hashes",
            id::HASH_REJECT => "hash reject",
            other => return write!(f, "message of id {other}"),
        };
        write!(f, "{name} message")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LengthOverLimit { length, limit } => {
                write!(f, "a message says that it is {length} bytes long; the limit is {limit}")
            }
            Self::TooLong { id, length, limit } => {
                write!(f, "a {} is {length} bytes long; the limit is {limit}", Name(id))
            }
            Self::WrongLength { id, length, expected } => {
                let least = if matches!(id, id::PIECE | id::EXTENDED) { "at least " } else { "" };
                let more = if id == id::HASHES { " and 32 for each hash" } else { "" };
                write!(f, "a {} is {length} bytes long; it must be {least}{expected}{more}", Name(id))
            }
            Self::NotAPiece { id: Some(id) } => write!(f, "expected a piece message, found a {}", Name(id)),
            Self::NotAPiece { id: None } => write!(f, "expected a piece message, found a keep-alive"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_message_and_which_lengths() {
        let text = Error::WrongLength { id: 6, length: 12, expected: 13 }.to_string();
        assert_eq!(text, "a request message is 12 bytes long; it must be 13");
        let text = Error::WrongLength { id: 22, length: 50, expected: 49 }.to_string();
        assert_eq!(text, "a hashes message is 50 bytes long; it must be 49 and 32 for each hash");
        let text = Error::TooLong { id: 77, length: 12, limit: 11 }.to_string();
        assert_eq!(text, "a message of id 77 is 12 bytes long; the limit is 11");
    }
}
