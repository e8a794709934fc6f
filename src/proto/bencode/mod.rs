//! Bencode, the encoding of torrent files, of the DHT and of extension messages (BEP 3).
//!
//! [`Document::decode`] checks the whole input once, without recursion, into a flat list of small tokens (8 bytes each; no
//! allocation per element); [`Value`] is a cheap handle on one element that knows its exact source bytes.
//! [`encode_dict`] and [`encode_list`] write the canonical form.
//!
//! ```
//! use bip::proto::bencode::{self, Document, Limits};
//!
//! let bytes = bencode::encode_dict(|d| {
//!     d.bytes("name", b"spam");
//!     d.list("sizes", |l| {
//!         l.int(3);
//!         l.int(-5);
//!     });
//! });
//! assert_eq!(bytes, b"d4:name4:spam5:sizesli3ei-5eee");
//!
//! let document = Document::decode(&bytes, &Limits::default())?;
//! let dict = document.root().dict()?;
//! assert_eq!(dict.bytes("name")?, b"spam");
//! assert_eq!(dict.list("sizes")?.iter().filter_map(|v| v.as_int()).sum::<i64>(), -2);
//! assert_eq!(dict.int("name").unwrap_err().to_string(), "name: expected an integer, found a string at byte 7");
//! # Ok::<(), bencode::Error>(())
//! ```
//!
//! # What is accepted
//!
//! | input | here |
//! |---|---|
//! | `i-0e`, `i03e`, `i+5e`, `ie`, `06:foobar`, `-4:test` | refused |
//! | an integer outside `i64` | refused |
//! | a key without a value, a key that is not a string | refused |
//! | the same key twice in one dictionary | refused |
//! | keys out of order | accepted; [`Document::unsorted_key`] says where |
//! | bytes after the value | refused by [`Document::decode`], left alone by [`Document::decode_prefix`] |
//!
//! The cost of decoding is proportional to the input (times a logarithm for dictionaries that are out of order), whatever the
//! input.

mod cursor;
mod encoder;
mod error;
mod rules;
mod scan;
mod token;
mod tree;
mod value;
mod walk;
mod writer;

#[cfg(test)]
mod cases;

pub use cursor::{Cursor, Entries, Item, Items, read, read_prefix};
pub use encoder::{DictEncoder, ListEncoder, encode_dict, encode_dict_into, encode_list, encode_list_into};
pub use error::{Error, Kind};
pub use rules::{Rules, Warning, Warnings};
pub use token::{Document, Limits, Tokens};
pub use tree::Tree;
pub use value::{Dict, DictIter, List, ListIter, Value};
pub use writer::{DictWriter, Io, ListWriter, Sink, WriteError, write_dict, write_list};
