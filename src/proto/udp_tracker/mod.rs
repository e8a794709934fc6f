//! The UDP tracker protocol: connect, announce, scrape and error, both sides of each (BEP 15, BEP 41, BEP 7).
//!
//! ```text
//! request    | connection id 8 | action 4 | transaction id 4 |  and by action
//!   connect      0x41727101980   0                             nothing
//!   announce                     1                             info hash 20, peer id 20, downloaded 8, left 8, uploaded 8,
//!                                                              event 4, address 4, key 4, num want 4, port 2, options
//!   scrape                       2                             info hashes, 20 each
//! response   | action 4 | transaction id 4 |  and by action
//!   connect    0                               connection id 8
//!   announce   1                               interval 4, leechers 4, seeders 4, peers of 6 or 18 each
//!   scrape     2                               seeders 4, completed 4, leechers 4, again and again
//!   error      3                               text
//! ```
//!
//! One datagram is one message. Nothing is allocated: what is decoded borrows from the datagram, what is encoded goes to the
//! caller's buffer.
//!
//! ```
//! use bip::proto::announce::{Event, Progress};
//! use bip::proto::compact::Family;
//! use bip::proto::id::{InfoHash, PeerId};
//! use bip::proto::udp_tracker::{Announce, AnnounceHead, ConnectionId, Options, Request, Response, TransactionId};
//! use bip::proto::udp_tracker::{encode_announce_response, encode_url_data};
//!
//! // The client asks, with the path of `udp://tracker.example:80/announce` (BEP 41).
//! let (connection, transaction) = (ConnectionId(7), TransactionId(42));
//! let mut options = Vec::new();
//! encode_url_data(b"/announce", &mut options);
//! let announce = Announce {
//!     progress: Progress { left: 1000, ..Progress::default() },
//!     event: Event::Started,
//!     port: 6881,
//!     options: Options::new(&options),
//!     ..Announce::new(InfoHash([1; 20]), PeerId([2; 20]))
//! };
//! let mut sent = Vec::new();
//! Request::Announce { connection, transaction, announce }.encode(&mut sent);
//!
//! // The tracker reads it and answers.
//! assert_eq!(Request::decode(&sent)?, Request::Announce { connection, transaction, announce });
//! assert_eq!(announce.options.url_data()?.as_deref(), Some(&b"/announce"[..]));
//! let mut answer = Vec::new();
//! let head = AnnounceHead { interval: 1800, leechers: 1, seeders: 3 };
//! encode_announce_response(transaction, head, Family::V4, ["192.0.2.1:6881".parse()?], &mut answer);
//!
//! // The client reads that.
//! let Response::Announce { head, peers, .. } = Response::decode(&answer, Family::V4)? else { panic!("another answer") };
//! assert_eq!((head.seeders, peers.len()), (3, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is accepted
//!
//! - A message that is longer than its fields: BEP 15 leaves room for more. A peer, an info hash or a torrent's figures that are
//!   cut at the end of a message are left out, and the rest of it stands.
//! - Which length peers have is not in the bytes: the caller gives the family of the socket's addresses. IPv6 has the same action
//!   1 as IPv4 (BEP 15; the action 4 of an old draft is refused).
//! - Numbers are signed on the wire. A negative interval or count is read as 0, a negative amount left as
//!   [`Progress::UNKNOWN`](super::announce::Progress::UNKNOWN), a negative amount up- or downloaded as 0, a negative `num_want` as
//!   the tracker's default.
//! - An unknown event is refused, so that a tracker counts nobody wrongly. 4 is [`Event::Paused`](super::announce::Event::Paused):
//!   libtorrent's partial seeds send it.
//! - Options that are broken do not spoil their announce: they are read apart ([`Options`]), and who needs none of them need not.
//!
//! Not here: whether a transaction id, a connection id or a sender is the right one, time-outs, and how many peers to give.

mod error;
mod options;
mod request;
mod response;

pub use error::{Error, OptionError};
pub use options::{Options, OptionsIter, encode_url_data, option};
pub use request::{Announce, InfoHashes, MAX_SCRAPE, PROTOCOL, Request, encode_scrape_request};
pub use response::{
    AnnounceHead, Response, Stats, StatsList, encode_announce_response, encode_connect_response, encode_error_response,
    encode_scrape_response,
};

/// The actions: what a message is.
pub mod action {
    /// The client asks for a connection id, the tracker gives it.
    pub const CONNECT: u32 = 0;
    /// The client tells of itself, the tracker of its peers.
    pub const ANNOUNCE: u32 = 1;
    /// The client asks for figures of torrents, the tracker gives them.
    pub const SCRAPE: u32 = 2;
    /// The tracker refuses.
    pub const ERROR: u32 = 3;
}

/// What a tracker gave a client to show with its next requests, so that a sender's address is known to be its own.
///
/// A client may use it for one minute after it came, a tracker should take it for two minutes after it was sent (BEP 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What a client chose at random to know the answer to a request by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u32);
