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
//! Two connections to the same peer id on the same IP address in a torrent are one too many; so are two by addresses of the two
//! families, for a peer may have both. The same id on another address of the family is another peer: ids are no secret, and whoever
//! repeats one is to keep nobody out. An IP address has one connection in a torrent, whatever the ids
//! ([`Config::max_connections_per_ip`]), and a /64 of global IPv6 addresses has a few ([`Limits::max_connections_per_network`]). Of a pair that crossed, both sides keep
//! the one that the larger peer id dialled. That is so only while the older is new and no block has moved on it
//! ([`Config::pair_window`]): a peer id is no secret, and whoever repeats one takes no connection over. A connection to ourselves is closed, and an address that led to it is never dialled
//! again. Addresses that were named are dialled with pauses that double, those that the program named until the torrent goes, others
//! until they failed [`Config::max_failures`] times; a peer that came in is not dialled, for its port is not where it listens.
//! When more are due than there is room for, the order is: what the program named, who failed less often, and then the priority of
//! BEP 40, on which both sides agree if we know [our address](Config::external_v4). Where both sides have everything, the connection is closed
//! ([`Config::close_redundant`]).
//!
//! Connections that came in fill a part of the limits only ([`Config::inbound_percent`]), so that strangers keep no named peer
//! out. Where that part is full, a newcomer takes the place of the peer that came in and has been of no use to either side for
//! longest ([`Config::idle_inbound`]); else, if its priority (BEP 40) is higher, of the one with the lowest among those that have given us
//! nothing for so long; and is closed if there is none.
//!
//! # Liars
//!
//! A piece with a wrong hash is fetched again, from one peer at a time. The store tells the hashes of the blocks of the bad copy and, later,
//! of the good one ([`Command::BlockHashes`]): whoever sent a block that differs is banned, and nobody else. A peer that alone gave all
//! of two bad copies is banned at once; alone behind one, it is asked for nothing for a while ([`Config::parole`]), as is
//! everybody with a part in a bad copy whose hashes the store does not tell.
//!
//! All this goes by IP address, and by /64 of global IPv6 addresses (2000::/3 without Teredo), which one line has to itself: a new
//! connection, port, peer id or address in it changes nothing. Peers behind one address translator or on one line stand and fall
//! together; what the program bans is a single address. Only loopback addresses, which all peers on this host share, are told apart by port as well. A ban counts in all torrents,
//! until the program lifts it ([`Command::Ban`]) or newer ones take its place ([`Config::max_bans`]); it is not kept beyond the swarm's life.
//!
//! # What is wanted
//!
//! A [`Selection`] has a priority for each piece, and may be changed at any time ([`Command::Select`]). Of what is skipped nothing is asked
//! for; requests under way are cancelled, and what comes all the same is dropped. We are interested in who has what is wanted and missing.
//! [`Event::Completed`] is told when all that is wanted is there, and again when more was wanted and has come.
//!
//! # A block's way in
//!
//! The bytes are copied once, from the host's buffer to a pooled [`Block`](crate::machine::Block), and go to the store as
//! [`Event::Store`]. While [`Config::store_credit`] bytes are with the store, no more is asked for in that torrent; at twice as many its
//! connections are not read, and their time-outs stand still. Every [`Command::Stored`] gives its bytes' credit back, so a slow
//! store slows its torrent and never stops it for good. A block that nobody asked for is read past, and counted.
//!
//! # Requests that move
//!
//! A block is asked of one peer. Four times a second it is looked whether one that was asked will need much longer than another that
//! has nothing else to do, or holds up a piece that is otherwise complete; if so the request moves
//! ([`Reassignment`](crate::select::Reassignment)): a cancel to the one, a request to the other. What the first sends all the same is
//! taken if it comes sooner, and otherwise counted as redundant. A suspect piece goes with all its requests, and its old owner is asked
//! for it again only where there is nobody else.
//!
//! # Whom we serve
//!
//! [`Limits::upload_slots`] peers that give us most over 20 s, judged every [`Config::choke_interval`], and
//! [`Limits::optimistic_slots`] others, drawn anew every [`Config::optimistic_interval`]. A peer that we ask and that has sent no block for
//! [`Config::snub_after`] is served last. A torrent that is not downloaded serves all in turns. A free slot is given at once. The
//! [`Choker`](crate::select::Choker) has the rules.
//! A torrent can be told to download nothing ([`Command::SetDownload`]), as one whose disk is full: its requests are taken back, peers are told
//! that we are not interested, and it is uploaded as before. What the store has from an earlier run is told by [`Command::Kept`], and what it
//! has no more by [`Command::PieceLost`].
//!
//! # A block's way out
//!
//! Requests of a peer that we do not choke are queued, and none is dropped: with [`Config::upload_queue`] of them waiting, the connection is
//! not read until a quarter are served. It is asked for nothing meanwhile, and what it was asked for before moves or is found to stall
//! as ever: that we do not read it is its own doing. The store is asked ([`Event::Load`]) only while less than [`Config::send_watermark`] waits to
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
//!   time, instead of all that the peer said to have before. A fifth on one connection that tells of no more pieces than before is a
//!   violation.
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

mod bans;
mod book;
mod choking;
mod closing;
mod command;
mod config;
mod connection;
mod crowd;
mod download;
mod hub;
mod liars;
mod limits;
mod machine;
mod messages;
mod ourselves;
mod outbox;
mod places;
mod reassigning;
mod selecting;
mod sentence;
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
