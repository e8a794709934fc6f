//! Magnet links: a torrent by its info hash, with what helps to find its peers (BEP 9, BEP 53).
//!
//! ```text
//! magnet:?xt=urn:btih:631a31dd0a46257d5078c0dee4e66e26f73e42ac&dn=A+name&tr=http%3A%2F%2Ftracker.example%2Fannounce&x.pe=192.0.2.7:6881
//! ```
//!
//! [`Magnet::parse`] reads what is found in the wild, and a [`Magnet`] shows itself in one canonical form, which parses to the same value.
//!
//! | key | is | read |
//! |---|---|---|
//! | `xt` | the info hash: `urn:btih:` and 40 hexadecimal or 32 base32 digits, or `urn:btmh:1220` and 64 hexadecimal ones | one of v1, of v2, or both |
//! | `dn` | the name to show until the torrent's own is known | the first |
//! | `xl` | the length in bytes | the first |
//! | `tr` | a tracker's URL | in their order, each once |
//! | `ws` | a web seed's URL (BEP 19) | in their order, each once |
//! | `x.pe` | a peer's address | in their order, each once |
//! | `so` | the files that are wanted (BEP 53) | all of them together, as ranges |
//! | `as`, `xs` | where the torrent can be fetched | in their order, each once |
//! | `kt`, `mt` | words to search for, and a list of links | the first |
//!
//! All other keys are ignored, and so is an `xt` of other networks.
//!
//! # What is accepted
//!
//! - `magnet:?`, keys, `urn:btih:` and digits in any case; white space around the link; a number after a key (`tr.1`), whatever it
//!   is; keys in any order; `&amp;` for `&`, as in a link that was copied out of a page's source.
//! - Percent-encoding in values. A `+` is a space in `dn` and `kt`, which are text, and stays what it is in addresses.
//! - In text, what is not UTF-8 is read as U+FFFD, and a bad escape as it stands.
//!
//! An info hash must be right: one of another length, with other digits or with a bad escape is an error. Where there are two
//! different ones of a kind, the first counts and the second is a [`Warning`]. Everything else that cannot be read is left out
//! and is a warning: a URL with a bad escape, a space, a control character or what is not UTF-8; a peer without a port; a range that
//! ends before it starts.
//!
//! # Limits
//!
//! [`Limits`] has the length of a link and the number of each of its lists. What is over the limit of a list is left out unread and is one
//! warning. Ranges of files stay ranges: `so=0-18446744073709551615` costs nothing ([`FileRanges`]).
//!
//! ```
//! use bip::proto::magnet::Magnet;
//! let link = "magnet:?dn=A+name&xt=urn:btih:MFRGCYTBMJQWEYLCMFRGCYTBMJQWEYLC&so=0,2-4,3-5";
//! let magnet: Magnet = link.parse()?;
//! assert_eq!(magnet.topic.v1().unwrap().as_bytes(), b"abababababababababab");
//! assert_eq!(magnet.name.as_deref(), Some("A name"));
//! let files: Vec<u32> = magnet.select_only.as_ref().unwrap().within(5).map(|file| file.0).collect();
//! assert_eq!(files, [0, 2, 3, 4]);
//! assert_eq!(magnet.to_string(), "magnet:?xt=urn:btih:6162616261626162616261626162616261626162&dn=A%20name&so=0,2-5");
//! # Ok::<(), bip::proto::magnet::Error>(())
//! ```

mod error;
mod link;
mod parse;
mod peer;
mod percent;
mod ranges;

pub use error::{Error, Warning};
pub use link::{Magnet, Topic};
pub use parse::Limits;
pub use peer::{Host, PeerAddress};
pub use ranges::FileRanges;
