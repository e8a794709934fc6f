//! Bencode, the encoding of torrent files, of the DHT and of extension messages (BEP 3).
//!
//! Two ways to read, which accept and refuse the same:
//!
//! - [`Document::decode`] checks the whole input once, without recursion, into a flat list of small tokens (8 bytes each; no
//!   allocation per element); [`Value`] is a cheap handle on one element that knows its exact source bytes. For torrents, and whatever is
//!   looked at more than once.
//! - [`read`] and [`Cursor`] go once forward and keep nothing: no allocation at all. For messages, and for torrents of which the large parts
//!   are wanted in order.
//!
//! Three ways to write:
//!
//! - [`encode_dict`] and [`encode_list`] write the canonical form, sorting if they must; [`encode_dict_into`] does so to the end of a buffer.
//! - [`write_dict`] and [`write_list`] write to any [`Sink`] (a stream, a hash) and keep nothing, so keys must come in order.
//! - [`Tree`] is a value to be built and edited piece by piece.
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
//! By [`Rules::DEFAULT`] (messages), [`Rules::LENIENT`] (torrent files) and [`Rules::CANONICAL`]. What is accepted with a warning is in
//! [`Document::warnings`] or [`Cursor::warnings`], with its place.
//!
//! | input | canonical | default | lenient |
//! |---|---|---|---|
//! | keys out of order: `d2:abi1e2:aai2ee`, `d2:bai1e2:aai2ee`, `d2:aai1e1:ai2ee` | refused | warning | warning |
//! | the same key twice in one dictionary: `d2:aai1e2:aai2ee` | refused | refused | warning; the first counts |
//! | zeros in front of an integer: `i01e`, `i03e`, `i00e`, `i-03e` | refused | refused | warning |
//! | zeros in front of a string length: `06:foobar`, `00:` | refused | refused | warning |
//! | `i-0e` | refused | refused | warning; 0 |
//! | `ie`, `i-e`, `i--5e`, `i+5e`, `i35412-5633e`, `i92337203t854775807e`, `i`, `i10`, `i-` | refused | refused | refused |
//! | an integer outside `i64`: `i9223372036854775808e`, `i184467440737095516154e` | refused | refused | refused |
//! | a number of more than 20 digits, whatever they are | refused | refused | refused |
//! | `-4:test`, `-10:foobar`, `df00:` | refused | refused | refused |
//! | a string longer than what is left: `18446744073709551615:foobar`, `99999999:foobar`, `l2:..`, `d1000:..e`, `d20:` | refused | refused | refused |
//! | a string, input, depth or number of tokens over a limit | refused | refused | refused |
//! | a key without a value: `d1:ai1e1:be` | refused | refused | refused |
//! | a key that is not a string: `di5e1:ae`, `di2ei0ee` | refused | refused | refused |
//! | no value (an empty input, ` `, `e`), a value that does not end: `l1:a1:b1:c`, `d1000` | refused | refused | refused |
//! | bytes after the value | refused | refused | refused |
//! | a key that is empty, has a zero byte or is not UTF-8: `d3:a\0bi1ee` | accepted | accepted | accepted |
//!
//! Bytes after the value are left alone, and given, by [`Document::decode_prefix`], [`read_prefix`] and [`Cursor::rest`]. A cursor sees a
//! key that comes again only if it comes right after itself: see [`Cursor`].
//!
//! libtorrent takes the first five rows as soft errors, in messages too; in the wild only the first is seen there.
//!
//! # Cost
//!
//! The cost of decoding is proportional to the input (times a logarithm for the keys of dictionaries that are out of order, in a
//! document), whatever the input.

mod cursor;
mod encoder;
mod error;
mod item;
mod rules;
mod scan;
mod token;
mod tree;
mod value;
mod walk;
mod writer;

#[cfg(test)]
mod cases;

pub use cursor::{Cursor, read, read_prefix};
pub use encoder::{DictEncoder, ListEncoder, encode_dict, encode_dict_into, encode_list, encode_list_into};
pub use error::{Error, Kind};
pub use item::{Entries, Item, Items};
pub use rules::{Rules, Warning, Warnings};
pub use token::{Document, Limits, Tokens};
pub use tree::Tree;
pub use value::{Dict, DictIter, List, ListIter, Value};
pub(crate) use writer::Number;
pub use writer::{DictWriter, Io, ListWriter, Sink, WriteError, write_dict, write_list};
