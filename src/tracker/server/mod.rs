//! A tracker: tells peers of a torrent of one another, over UDP (BEP 15, 7, 41) and HTTP (BEP 3, 7, 21, 23, 24, 31, 48).
//!
//! [`Server`] is a machine: datagrams and streams in, answers out. [`Swarms`] is what it knows, in memory, and may be shared by several servers, each in a
//! thread of its own: a swarm is never divided. [`Policy`] is for rules of one's own, [`Access`] for lists of torrents.
//!
//! In scope: everything between a datagram or a request and its answer, and what peers are remembered for. Out of scope: the formats
//! ([`udp_tracker`](crate::proto::udp_tracker), [`http_tracker`](crate::proto::http_tracker)), sockets and threads
//! ([`session::tracker_server`](crate::session) hosts servers), TLS (a proxy in front, see [`Config::proxies`]), accounts, and keeping anything across
//! a restart: clients come back within an interval.
//!
//! ```text
//!              ┌───────────────────── Server ──────────────────────┐       ┌────────── Swarms ─────────┐
//!  datagrams ─▶│ ConnectionIds ─▶ ┐                                │       │ 64 shards, each locked:   │
//!              │                  ├ Access ─▶ Policy ─▶ announce ──│──────▶│ torrents ─▶ seeds, others │
//!  streams ───▶│ Http: heads ───▶ ┘                     scrape     │◀──────│   drawn at random         │
//!  Command ───▶│                                                   │─▶Event└───────────────────────────┘
//!  time ──────▶│ slow connections; a slice of those who are over   │       Figures, read at any time
//!              └───────────────────────────────────────────────────┘
//! ```
//!
//! # Who is believed
//!
//! - Over UDP, who shows a connection id that was given to its IP address in the last two minutes. It is a keyed hash of address and time, so that nothing
//!   is remembered for it. Who has none gets no answer but such an id, which is as long as the question: nobody is flooded in somebody else's name.
//! - A peer is known by its IP address and port. The address is the one that it sends from: whoever stops, stops itself alone. The `address` of a UDP
//!   announce, and `ip`, `ipv4` and `ipv6` of one over HTTP are ignored, for they cannot be checked ([`Config::named_addresses`] says for whom they
//!   may count). The peer id and the key are not kept.
//! - `X-Forwarded-For` counts from the addresses in [`Config::proxies`] alone: the last address in it that is none of these, which one of them has written.
//! - IPv4 addresses in IPv6 dress are IPv4 addresses.
//!
//! # What is answered
//!
//! Peers drawn at random, each as likely as the others; to a seed those that are no seeds; never the asker. As many as it wants, as
//! [`Config::max_peers`] permits and as a datagram has room for ([`Config::max_reply`]); over HTTP of both families in proportion, over UDP of the asker's.
//! Who stops gets none. The figures are those of both families together. Who names port 0 cannot be reached: it is answered and not taken down. A torrent that
//! is not known has zeros.
//!
//! # HTTP
//!
//! GET of a path with a part `announce` or `scrape`, in HTTP/1.1 or 1.0, with requests one behind another on a connection. A head that two readers could
//! understand differently (a body, two lengths, a bare CR or LF, folded lines, blanks before a colon) ends the connection. So does one that is too long or comes too slowly,
//! and a client that does not read what it asked for.
//!
//! # Deviations
//!
//! - BEP 3: dictionaries of peers have no `peer id`.
//! - BEP 48: a scrape of all torrents is refused.
//! - BEP 15: an error is told only to who has a valid connection id.
//!
//! # Limits
//!
//! [`Config`], [`SwarmLimits`]. Answering an announce over UDP allocates nothing once the memory of earlier ones is there, but for a peer that is new.
//! Peers that are over are looked for all the time, 2,048 at a time at most, between answers.
//!
//! # Example
//!
//! A client by hand.
//!
//! ```
//! use bip::machine::{Input, Instant, Machine, Output, Rng, Secret, SocketId};
//! use bip::proto::compact::Family;
//! use bip::proto::id::{InfoHash, PeerId};
//! use bip::proto::udp_tracker::{Announce, Request, Response, TransactionId};
//! use bip::tracker::server::{Config, Everybody, Server, Start, SwarmLimits, Swarms};
//! use std::sync::Arc;
//!
//! let secret = Secret::new([7; 32]);
//! let swarms = Arc::new(Swarms::new(SwarmLimits::default(), &secret));
//! let mut server =
//!     Server::new(Config::default(), Start::default(), swarms, Box::new(Everybody), Rng::new(1), &secret);
//! let mut ask = |request: Request<'_>| {
//!     let (mut bytes, mut answer) = (Vec::new(), Vec::new());
//!     request.encode(&mut bytes);
//!     let from = "192.0.2.1:50000".parse().unwrap();
//!     server.handle_input(Instant::ZERO, Input::Datagram { socket: SocketId(0), from, bytes: &bytes });
//!     let Some(Output::Datagram { bytes, .. }) = server.poll_output(&mut answer) else { panic!("no answer") };
//!     answer[bytes].to_vec()
//! };
//!
//! let transaction = TransactionId(42);
//! let answer = ask(Request::Connect { transaction });
//! let Response::Connect { connection, .. } = Response::decode(&answer, Family::V4)? else { panic!("no id") };
//! let announce = Announce { port: 6881, ..Announce::new(InfoHash([1; 20]), PeerId([2; 20])) };
//! let answer = ask(Request::Announce { connection, transaction, announce });
//! let Response::Announce { head, peers, .. } = Response::decode(&answer, Family::V4)? else { panic!("refused") };
//! assert_eq!((head.interval, head.seeders, peers.len()), (1800, 1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod command;
mod config;
mod connection_id;
mod figures;
mod http;
mod machine;
mod outgoing;
mod policy;
mod sip;
mod swarms;
mod udp;

pub use access::{Access, HashList, ParseListError};
pub use command::{Command, Event, Refusal, RequestId};
pub use config::{Config, SwarmLimits};
pub use figures::Figures;
pub use machine::{Server, Start};
pub use policy::{AnnounceRequest, Everybody, Policy, Verdict};
pub use swarms::{Announcement, Counts, Drawn, Full, Swarms, Tally};
