//! The messages of a connection after its handshake (BEP 3, BEP 5's `port`, BEP 6, BEP 10's `extended`, the hashes of BEP 52).
//!
//! Each message is a length in four bytes and that many bytes: an id and its fields. A length of 0 is a keep-alive.
//!
//! - [`Message`] is one message's value, borrowed from its bytes; [`Message::decode`] and [`Message::encode`].
//! - [`Frames`] divides a stream into messages. It refuses a message by its length and id alone, before it keeps any of it
//!   ([`Limits`]); it copies nothing where a message lies whole in the input; and it gives a block's bytes as they come
//!   ([`Item::Data`]), so that they are copied once, by the connection, to where they are kept.
//! - [`encode_piece_header`] makes the 13 bytes that go before a block's own bytes, which need not be copied to be sent.
//! - [`encode_extended`] writes an extended message around a payload that is written in place; what the payloads say is
//!   [`extension`](super::extension)'s.
//! - [`allowed_fast`] gives the pieces that a choked peer may ask for (BEP 6).
//!
//! An unknown id is not an error: [`Message::Unknown`] carries it, for extensions that are negotiated elsewhere. The ids of BEP 6, 10
//! and 52 are unknown where the handshakes have not agreed on them ([`Limits::spoken`]).
//!
//! Not here: whether a message is allowed in the connection's state, whether a span lies in the torrent ([`Geometry::contains`](super::geometry::Geometry::contains)), whether a bitfield has the
//! right length and spare bits ([`Bitfield::from_bytes`](super::bitfield::Bitfield::from_bytes)), whether hashes lie in a file's
//! tree ([`HashSpan::check_in`]).
//!
//! ```
//! use bip::proto::id::PieceIndex;
//! use bip::proto::message::{Frames, Item, Limits, Message};
//!
//! let mut stream = Vec::new();
//! Message::Unchoke.encode(&mut stream);
//! Message::Piece { piece: PieceIndex(3), begin: 16384, data: b"block" }.encode(&mut stream);
//!
//! let mut frames = Frames::new(Limits::default());
//! let mut block = Vec::new();
//! for mut input in stream.chunks(20) {
//!     while let Some(item) = frames.next(&mut input)? {
//!         match item {
//!             Item::Message(message) => assert_eq!(message, Message::Unchoke),
//!             Item::Piece(span) => assert_eq!((span.begin, span.length), (16384, 5)),
//!             Item::Data(data) => block.extend_from_slice(data),
//!             Item::PieceEnd => assert_eq!(block, b"block"),
//!         }
//!     }
//! }
//! assert_eq!(block.len(), 5);
//! # Ok::<(), bip::proto::message::Error>(())
//! ```

mod core;
mod error;
mod fast;
mod frames;
mod hashes;
mod limits;

pub use self::core::{Message, PIECE_HEADER_LEN, decode_piece_header, encode_extended, encode_piece_header};
pub use error::Error;
pub use fast::{ALLOWED_FAST, MOST_ALLOWED_FAST, allowed_fast};
pub use frames::{Frames, Item};
pub use hashes::{HASH_SPAN_LEN, HashSpan, HashSpanError, Hashes};
pub use limits::{Limits, MAX_PIECES, Spoken, decode_length};

/// The ids that have a meaning here: a message's first byte after its length.
pub mod id {
    /// The sender will not answer requests.
    pub const CHOKE: u8 = 0;
    /// The sender will answer requests.
    pub const UNCHOKE: u8 = 1;
    /// The sender wants pieces that the receiver has.
    pub const INTERESTED: u8 = 2;
    /// The sender wants nothing that the receiver has.
    pub const NOT_INTERESTED: u8 = 3;
    /// The sender now has a piece.
    pub const HAVE: u8 = 4;
    /// All pieces that the sender has.
    pub const BITFIELD: u8 = 5;
    /// The sender wants a block.
    pub const REQUEST: u8 = 6;
    /// A block.
    pub const PIECE: u8 = 7;
    /// The sender no longer wants a block.
    pub const CANCEL: u8 = 8;
    /// The UDP port of the sender's DHT node (BEP 5).
    pub const PORT: u8 = 9;
    /// The sender would like the receiver to ask for a piece (BEP 6).
    pub const SUGGEST: u8 = 13;
    /// The sender has all pieces (BEP 6).
    pub const HAVE_ALL: u8 = 14;
    /// The sender has no piece (BEP 6).
    pub const HAVE_NONE: u8 = 15;
    /// The sender will not answer a request (BEP 6).
    pub const REJECT: u8 = 16;
    /// The sender will send blocks of a piece even while it chokes (BEP 6).
    pub const ALLOWED_FAST: u8 = 17;
    /// A message of an extension (BEP 10).
    pub const EXTENDED: u8 = 20;
    /// The sender wants hashes (BEP 52).
    pub const HASH_REQUEST: u8 = 21;
    /// Hashes (BEP 52).
    pub const HASHES: u8 = 22;
    /// The sender will not answer a request for hashes (BEP 52).
    pub const HASH_REJECT: u8 = 23;
}
