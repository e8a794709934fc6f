//! The peers of all torrents: connections in and out, downloading and uploading (BEP 3).
//!
//! A [`Swarm`] is one machine for many torrents on one port. It is told of torrents, named peers and connections; it asks its
//! store to keep and to give bytes, by events, and is answered by commands. It knows no file, no socket and no clock.
//!
//! - **In scope**: handshakes, which torrent a connection is for, who is connected twice, whom to dial and when; messages;
//!   what to ask of whom (by [`select`](crate::select)); serving requests; back-pressure from the store and from slow readers;
//!   keep-alives and time-outs; a torrent's figures.
//! - **Not here**: what is on disk and whether a piece's hash is right (the store says so), where peers come from (trackers, the
//!   DHT), extensions of the protocol: no bit of the handshake's reserved bytes is set, and messages with other ids are ignored.
//!
//! # A connection's states
//!
//! ```text
//!  Accepted ──► handshaking ──48 bytes──► torrent known, we answer ──68 bytes──┐
//!                   │ unknown info hash, a wrong byte, 10 s                    ▼
//!  Connected ─► we speak first ─────────────────────────────68 bytes─────►  open ──► closing ──► Closed
//!                                                                              ▲        ▲
//!         ours: choked/unchoked, interested or not    theirs: the same  ───────┘        │
//!         left · failed · violation · silent · stopped · duplicate · redundant · full ──┘
//! ```
//!
//! # Who stays
//!
//! Two connections to the same peer id in a torrent are one too many, whatever their addresses. Of a pair that crossed, both sides keep
//! the one that the larger peer id dialled. That is so only while the older is new and no block has moved on it
//! ([`Config::pair_window`]): a peer id is no secret, and whoever repeats one takes no connection over. A connection to ourselves is closed, and an address that led to it is never dialled
//! again. Addresses that were named are dialled until the torrent goes, with pauses that double; a peer that came in is not
//! dialled, for its port is not where it listens. Where both sides have everything, the connection is closed
//! ([`Config::close_redundant`]).
//!
//! Connections that came in fill a part of the limits only ([`Config::inbound_percent`]), so that strangers keep no named peer
//! out. Where that part is full, a newcomer takes the place of the peer that came in and has been of no use to either side for
//! longest ([`Config::idle_inbound`]), and is closed if there is none.
//!
//! # A block's way in
//!
//! The bytes are copied once, from the host's buffer to a pooled [`Block`](crate::machine::Block), and go to the store as
//! [`Event::Store`]. While [`Config::store_credit`] bytes are with the store, no more is asked for in that torrent; at twice as many its
//! connections are not read, and their time-outs stand still. Every [`Command::Stored`] gives its bytes' credit back, so a slow
//! store slows its torrent and never stops it for good. A block that nobody asked for is read past, and counted.
//!
//! A torrent can be told to download nothing ([`Command::SetDownload`]), as one whose disk is full: its requests are taken back, peers are told
//! that we are not interested, and it is uploaded as before. What the store has from an earlier run is told by [`Command::Kept`], and what it
//! has no more by [`Command::PieceLost`].
//!
//! # A block's way out
//!
//! Requests of a peer that we do not choke are queued, and none is dropped: with [`Config::upload_queue`] of them waiting, the connection is
//! not read until a quarter are served. The store is asked ([`Event::Load`]) only while less than [`Config::send_watermark`] waits to
//! be sent to the peer. A peer that is choked loses its queue, as BEP 3 has it; requests of a choked peer are ignored.
//!
//! # Rates
//!
//! [`Limits`] bounds how much moves per second, in all and for each torrent ([`TorrentLimits`]). Whoever would go beyond it waits in
//! line, torrent by torrent and within a torrent peer by peer, and whose turn it is gets one block.
//!
//! ```text
//!  they ask ──► queue ──► turn at the upload rate ──► Load ──► sent
//!  we would ask ──► turn at the download rate, less all that is asked for ──► Request ──► block, counted as it comes
//!                                                          more than the rate allows ──► not read ──► turn ──► read again
//! ```
//!
//! # Deviations
//!
//! - BEP 3 has a bitfield as the first message only. Some clients send others before it, and some send it again, so it is taken at any
//!   time, instead of all that the peer said to have before. A fifth on one connection is a violation.
//! - Requests of more than 16 KiB, which old clients made, close the connection.
//!
//! # Limits
//!
//! All are fields of [`Config`]. A connection holds a bit per piece, a block under way, at most 500 requests of ours
//! ([`Config::pipeline`]), at most 1,000 that were given to others and may still be answered, its queue, and what was read while the queue was full.
//!
//! # Example
//!
//! ```
//! use bip::machine::{Instant, Machine, Output, Rng, Secret, TorrentId};
//! use bip::peer::{Command, Config, Event, Selection, Source, Swarm, TorrentLimits};
//! use bip::proto::{bitfield::Bitfield, geometry::Geometry, id::InfoHash};
//!
//! let mut swarm = Swarm::new(Config::default(), Rng::new(1), &Secret::new([2; 32]));
//! let (now, torrent) = (Instant::ZERO, TorrentId(0));
//! let geometry = Geometry::new(1_000_000, 65_536).unwrap();
//! let have = Bitfield::new(geometry.piece_count());
//! swarm.handle_command(now, Command::AddTorrent {
//!     torrent,
//!     info_hash: InfoHash([3; 20]),
//!     geometry,
//!     have,
//!     download: true,
//!     selection: Selection::default(),
//!     limits: TorrentLimits::default(),
//! });
//! let address = "192.0.2.1:6881".parse().unwrap();
//! swarm.handle_command(now, Command::AddPeer { torrent, address, source: Source::Program });
//!
//! assert!(matches!(swarm.poll_output(&mut Vec::new()), Some(Output::Connect { to, .. }) if to == address));
//! assert_eq!(swarm.poll_event(), Some(Event::TorrentAdded { torrent }));
//! assert_eq!(swarm.poll_event(), Some(Event::PeerAdded { torrent, address }));
//! ```

mod book;
mod choking;
mod command;
mod config;
mod connection;
mod download;
mod hub;
mod limits;
mod machine;
mod messages;
mod outbox;
mod reassigning;
mod shaking;
mod store;
mod throttle;
mod torrent;
mod torrents;
mod upload;

pub use command::{Command, Event, Gone, Refusal, Selection, Source, Status, Stored, Violation};
pub use config::Config;
pub use limits::{Limits, TorrentLimits};
pub use machine::Swarm;
