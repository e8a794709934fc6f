//! The messages of the Mainline DHT: every query, reply and error (BEP 5, 32, 33, 42, 43, 44, 46, 51).
//!
//! ```text
//! query    {"t": transaction, "y": "q", "q": method, "a": {"id": node id, …}}
//! reply    {"t": transaction, "y": "r", "r": {"id": node id, …}}
//! error    {"t": transaction, "y": "e", "e": [code, text]}
//! each     "v": version, "ip": the receiver's address (BEP 42); queries "ro": 1 (BEP 43)
//!
//! method               arguments besides "id"                                   values in the reply besides "id"
//!   ping
//!   find_node          target, want                                             nodes, nodes6
//!   get_peers          info_hash, want, noseed, scrape                          token, values, nodes, nodes6, BFsd, BFpe
//!   announce_peer      info_hash, port, implied_port, token, seed
//!   get                target, want, seq                                        token, nodes, nodes6, v, k, sig, seq
//!   put                token, v, and of mutable items k, sig, seq, salt, cas
//!   sample_infohashes  target, want                                             interval, num, samples, nodes, nodes6
//! ```
//!
//! One datagram is one message. Nothing is allocated: what is decoded borrows from the datagram, what is encoded goes to the caller's
//! buffer, its keys in order.
//!
//! ```
//! use bip::proto::id::{InfoHash, NodeId};
//! use bip::proto::krpc::{Body, Lists, MAX_REPLY, Message, Method, Query, Reply, Want, code};
//! use std::net::SocketAddr;
//!
//! // A node asks.
//! let (asks, answers) = (NodeId(*b"abcdefghij0123456789"), NodeId(*b"mnopqrstuvwxyz123456"));
//! let method = Method::GetPeers { info_hash: InfoHash(*b"mnopqrstuvwxyz123456"), no_seed: false, scrape: false };
//! let mut packet = Vec::new();
//! Message::query(b"aa", Query { id: asks, want: Want::default(), method }).encode(&mut packet);
//! assert_eq!(packet, b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe");
//!
//! // Another answers.
//! let query = Message::decode(&packet).map_err(|error| error.reason)?;
//! let mut packet = Vec::new();
//! match query.body {
//!     Body::Query(Query { method: Method::GetPeers { .. }, .. }) => {
//!         let peers: [SocketAddr; 2] = ["97.120.106.101:11893".parse()?, "105.100.104.116:28269".parse()?];
//!         let lists = Lists { nodes: None, nodes6: None, samples: None, values: Some(peers.into_iter()) };
//!         let reply = Reply { token: Some(b"aoeusnth"), ..Reply::new(answers) };
//!         Message::reply(query.transaction, reply).encode_with(lists, MAX_REPLY, &mut packet);
//!     }
//!     _ => Message::error(query.transaction, code::METHOD_UNKNOWN, "Method Unknown").encode(&mut packet),
//! }
//! assert_eq!(packet, b"d1:rd2:id20:mnopqrstuvwxyz1234565:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re");
//!
//! // The first reads that.
//! let Body::Reply(reply) = Message::decode(&packet).map_err(|error| error.reason)?.body else { panic!("no reply") };
//! assert_eq!((reply.id, reply.token), (Some(answers), Some(&b"aoeusnth"[..])));
//! assert_eq!(reply.values.map(|values| values.iter().count()), Some(2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is accepted
//!
//! - A packet is one bencoded dictionary of at most [`MAX_PACKET`] bytes, [`MAX_DEPTH`] levels and [`MAX_TOKENS`] elements. Keys may be out
//!   of order, as some nodes send them; of a key that comes twice the first that can be used counts. Unknown keys are passed over.
//! - A query must have the arguments of its method, each as it should be, else it is an [`Error`] that says which, with
//!   [what to answer](Error::answer). Arguments of other methods are not looked at. What a value other than 1 means for `implied_port` and
//!   `ro` is yes if it is not 0, for `seed`, `noseed` and `scrape` no.
//! - A query of an unknown method is kept apart ([`Method::Unknown`]).
//! - In a reply, what is malformed is left out and counted ([`Reply::dropped`]), and the rest stands: an entry of `values` that is no
//!   address, nodes that are cut, a value beyond its limit.
//! - An error need not have a code or a text.
//! - Addresses and ports may be any: which of them may be talked to is for the caller to say.
//!
//! Not here: whether a transaction id, a token or a sender is the right one, whether a stored value goes with its target and signature (see
//! [`item`]), and how many nodes to give.

mod bloom;
mod error;
mod field;
pub mod item;
mod message;
pub mod node_id;
mod query;
mod reply;
mod writer;

#[cfg(test)]
mod cases;

pub use bloom::Bloom;
pub use error::{Argument, Error, Reason};
pub use message::{Body, Message};
pub use query::{AnnouncePeer, Method, Mutable, Put, Query, Want};
pub use reply::{Lists, Reply, Samples, Values, Written};

use crate::proto::bencode;

/// How long a packet may be, in bytes: as long as a datagram over IPv4 can be.
pub const MAX_PACKET: usize = 65_507;

/// How deep lists and dictionaries of a packet may nest.
pub const MAX_DEPTH: usize = 10;

/// How many elements a packet may have: integers, strings (keys too), and the beginnings and ends of lists and dictionaries.
pub const MAX_TOKENS: usize = 500;

/// How long a transaction id may be, in bytes. It is at least one byte long.
pub const MAX_TRANSACTION: usize = 32;

/// How long our transaction ids are, in bytes.
pub const TRANSACTION: usize = 4;

/// How long the name of a program and its version may be, in bytes.
pub const MAX_VERSION: usize = 32;

/// How long a token may be, in bytes.
pub const MAX_TOKEN: usize = 128;

/// How long a value that is stored may be in bencode, in bytes (BEP 44).
pub const MAX_VALUE: usize = 1000;

/// How long the salt of an item may be, in bytes (BEP 44).
pub const MAX_SALT: usize = 64;

/// After how many seconds at most samples are others (BEP 51): 6 hours.
pub const MAX_INTERVAL: u32 = 21_600;

/// How long a reply should be at most, in bytes, so that it is not cut to pieces on its way. Over IPv6 it should be 1024 (BEP 32).
pub const MAX_REPLY: usize = 1400;

/// The codes of errors.
pub mod code {
    /// Something is wrong.
    pub const GENERIC: i64 = 201;
    /// The server failed, or is full.
    pub const SERVER: i64 = 202;
    /// The packet is malformed, an argument is invalid, or the token is a wrong one.
    pub const PROTOCOL: i64 = 203;
    /// The method is unknown.
    pub const METHOD_UNKNOWN: i64 = 204;
    /// The value is too big (BEP 44).
    pub const VALUE_TOO_BIG: i64 = 205;
    /// The signature is invalid (BEP 44).
    pub const INVALID_SIGNATURE: i64 = 206;
    /// The salt is too big (BEP 44).
    pub const SALT_TOO_BIG: i64 = 207;
    /// What is stored is not what is to be replaced (BEP 44).
    pub const CAS_MISMATCH: i64 = 301;
    /// What is stored is newer (BEP 44).
    pub const SEQUENCE_TOO_LOW: i64 = 302;
}

fn limits() -> bencode::Limits {
    bencode::Limits { depth: MAX_DEPTH, tokens: MAX_TOKENS, string_length: MAX_PACKET, input_length: MAX_PACKET }
}
