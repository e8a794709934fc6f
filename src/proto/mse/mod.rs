//! Message stream encryption: what peers exchange before the handshake so that their connection looks like noise.
//!
//! It has no BEP. It keeps networks from telling BitTorrent by its first bytes; it does not hide who talks to whom, and does not
//! keep out one who knows the torrent. Nothing here is fit to protect anything else: 768 bits and RC4 are what the protocol has.
//!
//! ```text
//!  initiator                                                                      responder
//!  1   public key 96, pad A 0..=512                                     ─────▶
//!                              ◀─────                     public key 96, pad B 0..=512   2
//!  3   HASH(req1, S), HASH(req2, torrent) ^ HASH(req3, S),
//!      encrypted: 8 zeros, methods 4, length 2, pad C 0..=512,
//!                 length 2, initial payload                             ─────▶
//!                              ◀─────   encrypted: 8 zeros, method 4, length 2, pad D    4
//!      the stream, under the method                                     ◀────▶
//! ```
//!
//! S is the secret of a Diffie-Hellman exchange. Each direction has an RC4 key of its own ([`stream_keys`]), made of S and the info
//! hash, and its first 1024 bytes are left out.
//!
//! [`Initiator`] and [`Responder`] are the two sides as bytes in, bytes out. They hold no randomness and no torrents: keys and pads
//! are values, and the torrent is found by a closure. An [`Established`] is what is left at the end: who, what came with
//! it, and the two streams.
//!
//! # Limits
//!
//! A pad is at most [`MAX_PAD`] bytes, and a mark that has not come after so many never comes; the initial payload is at most
//! [`Policy::initial_payload`]. That, or a pad, and some 600 bytes for the two streams are all that is held. Public keys outside of
//! 2 to p - 2 are refused: they would make the secret known to everybody. A side that has failed stays failed.
//!
//! The responder computes one power (some 0.2 ms) for each connection that brings 96 bytes, and one more for its own key pair unless
//! that is used for several: whoever accepts connections limits how many.
//!
//! ```
//! use bip::proto::id::InfoHash;
//! use bip::proto::mse::{Initiator, KeyPair, Method, Policy, PrivateKey, Progress, Responder, obfuscate};
//!
//! let torrent = InfoHash([7; 20]);
//! // In earnest, keys and pads are random.
//! let (mut to_responder, mut to_initiator) = (Vec::new(), Vec::new());
//! let keys = KeyPair::new(PrivateKey([1; 20]));
//! let mut initiator = Initiator::new(&keys, torrent, Policy::default(), b"pad", b"hello", &mut to_responder)?;
//! let mut responder = Responder::new(KeyPair::new(PrivateKey([2; 20])), Policy::default(), b"another pad")?;
//!
//! let known = |wanted: &_| (obfuscate(torrent) == *wanted).then_some(torrent);
//! let progress = responder.receive(&mut &to_responder[..], known, &mut to_initiator)?;
//! assert_eq!(progress.needed(), Some(20)); // the mark
//! to_responder.clear();
//! initiator.receive(&mut &to_initiator[..], &mut to_responder)?;
//! to_initiator.clear();
//! let Progress::Done(theirs) = responder.receive(&mut &to_responder[..], known, &mut to_initiator)? else { panic!() };
//! let Progress::Done(mut ours) = initiator.receive(&mut &to_initiator[..], &mut Vec::new())? else { panic!() };
//!
//! assert_eq!((theirs.info_hash, &theirs.initial_payload[..]), (torrent, &b"hello"[..]));
//! assert_eq!((ours.method, theirs.method), (Method::Rc4, Method::Rc4));
//! let mut bytes = *b"over the wire";
//! ours.outgoing.apply(&mut bytes);
//! assert_ne!(&bytes, b"over the wire");
//! # let mut theirs = theirs;
//! theirs.incoming.apply(&mut bytes);
//! assert_eq!(&bytes, b"over the wire");
//! # Ok::<(), bip::proto::mse::Error>(())
//! ```

mod dh;
mod error;
mod initiator;
mod intake;
mod keys;
mod method;
mod rc4;
mod responder;
#[cfg(test)]
mod talk;

pub use dh::{KeyPair, PrivateKey, PublicKey, Secret};
pub use error::Error;
pub use initiator::Initiator;
pub use keys::{Obfuscated, StreamKeys, obfuscate, req1, stream_keys, topic_mask};
pub use method::{Established, Method, Methods, Policy, Progress, Stream};
pub use rc4::Rc4;
pub use responder::Responder;

/// The most bytes a pad has.
pub const MAX_PAD: usize = 512;

/// The verification constant: the zeros that an encrypted part begins with.
const VC: [u8; 8] = [0; 8];
