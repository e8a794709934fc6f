//! Packets of uTP, the transport over UDP that yields to other traffic (BEP 29).
//!
//! ```text
//! 0                 1         2               4                           8                                  12
//! | type 4, version 4 | extension | connection id | time of sending, µs      | difference of the last received, µs |
//! | window in bytes                               | sequence number | acknowledged   |  then extensions, then payload
//! 12                                              16                18               20
//! ```
//!
//! An extension is the type of the next one (0: there is none), a length, and so many bytes. Read are selective acknowledgements (1)
//! and libtorrent's reason for closing (3); all others are skipped.
//!
//! A packet borrows its payload, and decoding allocates nothing. Not here: connections, windows, and what may be believed of an
//! address that anybody can claim.
//!
//! # Limits
//!
//! There may be at most [`MAX_EXTENSIONS`] extensions. A selective acknowledgement is read with 4 to 252 bytes, in multiples of 4;
//! we send up to 64 ([`AckMask`]), which is 512 packets.
//!
//! ```
//! use bip::proto::utp::{AckMask, ConnectionId, Header, Kind, Packet, SeqNr, Timestamp};
//! let header = Header {
//!     kind: Kind::State,
//!     connection: ConnectionId(7),
//!     sent: Timestamp(1_000_000),
//!     difference: 0,
//!     window: 1 << 20,
//!     seq_nr: SeqNr(1),
//!     ack_nr: SeqNr(65_534),
//! };
//! // 65535 is missing, 0 came.
//! let mut mask = AckMask::new(header.ack_nr);
//! assert!(mask.insert(SeqNr(0)));
//! let mut bytes = Vec::new();
//! Packet { selective_ack: mask.as_selective_ack(), ..Packet::new(header) }.encode(&mut bytes);
//! assert_eq!(bytes.len(), 20 + 2 + 4);
//! let packet = Packet::decode(&bytes)?;
//! assert_eq!(packet.header, header);
//! let acks = packet.selective_ack.expect("it was sent");
//! assert_eq!(acks.received(packet.header.ack_nr).collect::<Vec<_>>(), [SeqNr(0)]);
//! # Ok::<(), bip::proto::utp::Error>(())
//! ```

mod ack;
mod error;
mod number;
mod packet;

pub use ack::{AckMask, SelectiveAck};
pub use error::Error;
pub use number::{ConnectionId, SeqNr, Timestamp};
pub use packet::{HEADER_LEN, Header, Kind, MAX_EXTENSIONS, Packet};
