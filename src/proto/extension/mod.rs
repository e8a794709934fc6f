//! The extension protocol and the extensions that are spoken here (BEP 9, 10, 11, 21, 54, 55).
//!
//! Peers that both set [`Extension::PROTOCOL`](super::handshake::Extension::PROTOCOL) send each other an extension
//! [`Handshake`]: a dictionary that says, among other things, by which numbers the sender wants the extensions' messages. The
//! numbers are the receiver's own: what we receive is numbered by us ([`Names`]), what we send by the peer ([`Theirs`]).
//!
//! | extension | message | from |
//! |---|---|---|
//! | `ut_metadata` | [`metadata::Message`]; [`metadata::Assembly`] gathers, [`metadata::Source`] serves | BEP 9 |
//! | `ut_pex` | [`pex::Pex`] | BEP 11 |
//! | `lt_donthave` | [`DontHave`] | BEP 54 |
//! | `ut_holepunch` | [`holepunch::Message`] | BEP 55 |
//! | `upload_only` | [`UploadOnly`] | libtorrent, beside the handshake's key of BEP 21 |
//!
//! Others are [registered](Names::register) by name, and their payloads are given as they came. `lt_tex`, which passes trackers on,
//! is left out on purpose: it has leaked passkeys of private trackers.
//!
//! Bytes from a peer are never a reason to fail as a whole where a part makes sense: a key of the wrong kind is passed over (and
//! reported by [`Handshake::decode_noting`]), an unknown number or message type is carried. What a message holds is bounded by
//! [`Limits`], whatever it claims.
//!
//! Not here: which messages are due, how often a peer may ask, whether what was gathered has the right hash.
//!
//! ```
//! use bip::proto::extension::{Handshake, Incoming, Kind, Limits, Names, Theirs, UploadOnly};
//! use bip::proto::message::Message;
//!
//! let limits = Limits::default();
//! let mut names = Names::standard();
//! let ours = names.register("xy_chat", &limits)?;
//!
//! // What the peer may send, and by which numbers.
//! let mut out = Vec::new();
//! let mut handshake = names.handshake();
//! handshake.client = Some(b"example 1.0");
//! handshake.encode(&mut out);
//!
//! // What it says in turn.
//! let mut theirs = Theirs::default();
//! theirs.merge(&names, &Handshake::decode(b"d1:md11:upload_onlyi3e6:ut_pexi1eee", &limits)?);
//! if let Some(id) = theirs.id(&names, Kind::UploadOnly.name()) {
//!     out.clear();
//!     UploadOnly(true).encode(id, &mut out);
//!     assert_eq!(out, [0, 0, 0, 3, 20, 3, 1]);
//! }
//!
//! // What it sends later.
//! let bytes = [20, ours.get(), b'h', b'i'];
//! let Message::Extended { id, payload } = Message::decode(&bytes)? else { panic!("it is an extended message") };
//! assert_eq!(names.decode(id, payload, &limits), Ok(Incoming::Custom { name: b"xy_chat", payload: b"hi" }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dict;
mod error;
mod handshake;
pub mod holepunch;
mod id;
mod limits;
pub mod metadata;
mod names;
pub mod pex;
mod small;
mod theirs;

pub use error::Error;
pub use handshake::{Handshake, Oddity, Place, Reason};
pub use id::Id;
pub use limits::Limits;
pub use names::{Incoming, Kind, Names, RegisterError};
pub use small::{DontHave, UploadOnly};
pub use theirs::Theirs;
