//! The side that asks trackers: announces and scrapes over UDP and HTTP, and a torrent's whole life at its trackers.
//!
//! [`Client`] is a machine: datagrams and jobs in and out, on the host's time. It speaks the UDP tracker protocol (BEP 15, over IPv6 as BEP 15
//! and BEP 7 have it, with the path of BEP 41) and builds and reads the queries and answers of HTTP trackers (BEP 3, 7, 23, 24, 31, 48), which the
//! host fetches in a job ([`http`], with the feature `http`). It asks for single announces and scrapes ([`Command::Announce`],
//! [`Command::Scrape`]), and announces torrents by itself for as long as it is told to ([`Command::Follow`]): tiers (BEP 12), intervals, back-off,
//! one tracker at a time where a torrent is private (BEP 27).
//!
//! Out of scope: the formats of messages ([`proto::udp_tracker`](crate::proto::udp_tracker), [`proto::http_tracker`](crate::proto::http_tracker)),
//! sockets, threads and names (a session hosts one), what is done with peers.
//!
//! ```text
//!                      ┌───────────────────────── Client ─────────────────────────┐
//!  Announce, Scrape ──▶│ Request: name ─▶ address ─┬▶ connection id ─▶ datagrams   │──▶ Output::Datagram
//!                      │    ▲                      └▶ a place among HTTP jobs      │──▶ Job: Resolve, Fetch
//!  Follow ────────────▶│ Torrent: tiers, rounds, intervals, back-off               │──▶ Event
//!                      └───────────────────────────────────────────────────────────┘
//! ```
//!
//! # A request over UDP
//!
//! ```text
//!            name resolved          connection id            sent               answered
//!  Resolving ─────────────▶ Waiting ────────────────▶ Ready ──────▶ Asked ──────────────────▶ (ended)
//!                              ▲                                      │ 15 s, 30 s, 60 s …: again, with a new id
//!                              └──────────────────────────────────────┘ where the old one is over a minute old
//! ```
//!
//! All requests to one address share one connection id, and one exchange that asks for it. Whatever way a request ends (answer, refusal, time-out,
//! cancellation), its places are free again: [`Client::usage`] counts them.
//!
//! # Who is believed
//!
//! - A datagram counts only from the address and port that was asked, at the socket that asked, with the 32 unpredictable bits that were sent,
//!   and if it answers what was asked. Any other changes nothing.
//! - A host with an address that is not of the Internet (loopback, link-local, private) is asked at all only if the URL is from the user or a
//!   file of his ([`Trust`]), and over HTTP only if the path is `/announce` or `/scrape`, with or without more after a `/` or `.`
//!   (`/announce.php`, `/announce/passkey`), and has no dot segments, no `%`, no `\` and no `;`. This host and its link (loopback, link-local) are
//!   asked only by an address or by a name of private networks: one without dots, or that ends in `.localhost`, `.local`, `.lan`, `.home`, `.home.arpa`,
//!   `.internal`, `.intranet` or `.localdomain`; whatever else is said to be there is refused. No redirect leads from an address of the Internet
//!   to one that is not.
//! - An answer is at most [`Config::max_reply`] bytes long, has at most [`Config::max_peers`] peers, and is nested 8 deep at most.
//! - What trackers say is shown without anything that a terminal would obey, and no URL is shown or logged with its query, password or the unusual parts of
//!   its path, where passkeys are.
//!
//! # A torrent's life
//!
//! ```text
//!   Follow ──▶ a round: the first tracker that may be asked, over IPv4 and IPv6 ──▶ answered: first in its tier, again after the interval
//!                 ▲                                              │ neither
//!                 └── the next tracker at once; after the last, when the first may be asked again
//!   Leave, ShutDown ──▶ `stopped` to those that answered last, within Config::stop_timeout ──▶ Left
//! ```
//!
//! The first announce that a tracker answers is `started`; `completed` is told once, to those that were told of a start, and never of a torrent
//! that was complete from the start. A tracker that is silent may have been told: when it answers the next `started`, `completed` follows. A
//! family that answers ends the round 5 s later; what the other says then comes in by itself. One that is silent while the other answers is left out
//! of 1 round, then 3, then 7 at a time.
//!
//! Over HTTP each server has a few of the places, those that did not answer last have half of all together, and farewells have places of their own. A
//! request's time begins when it is fetched; who had no turn in [`Config::timeout`] is [`Busy`](Error::Busy), which is no failure of its tracker.
//!
//! # Deviations
//!
//! - BEP 15: a request that is not answered ends after [`Config::timeout`], which by default is earlier than the eighth retransmission.
//! - BEP 15: a connection id that was there before the request, and with which it is not answered within 15 s, is asked for anew: the
//!   tracker may have been started again, and most say nothing then.
//! - BEP 12: a tracker that failed is passed over while it is in back-off. Of a private torrent (BEP 27) a tracker is kept for as long as it answers, so
//!   that it is not left for another one that is back.
//! - BEP 31: whoever says `never` is not asked again for that torrent.
//!
//! # Limits
//!
//! [`Config`]. One call of the machine sends at most 256 requests and sees to as many timers.
//!
//! # Example
//!
//! An announce, by hand: the tracker is at the other end of the two datagrams.
//!
//! ```
//! use bip::machine::{Input, Instant, Machine, Output, Rng, Secret, SocketId};
//! use bip::proto::compact::Family;
//! use bip::proto::id::{InfoHash, PeerId};
//! use bip::proto::udp_tracker::{self as wire, AnnounceHead, ConnectionId, Request};
//! use bip::tracker::client::{Announce, Client, Command, Config, Event, RequestId, Start, Trust};
//!
//! let start = Start { sockets: vec!["0.0.0.0:6881".parse()?] };
//! let mut client = Client::new(Config::default(), start, Rng::new(1), &Secret::new([1; 32]));
//! let now = Instant::from_micros(1);
//! client.handle_command(now, Command::Announce {
//!     request: RequestId(1),
//!     url: "udp://127.0.0.1:6969/announce".parse()?,
//!     trust: Trust::Local,
//!     family: None,
//!     announce: Announce::new(InfoHash([1; 20]), PeerId([2; 20]), 6881),
//! });
//! let reply = loop {
//!     let mut sent = Vec::new();
//!     if let Some(Output::Datagram { to, bytes, .. }) = client.poll_output(&mut sent) {
//!         let mut answer = Vec::new();
//!         match Request::decode(&sent[bytes])? {
//!             Request::Connect { transaction } => {
//!                 wire::encode_connect_response(transaction, ConnectionId(7), &mut answer);
//!             }
//!             Request::Announce { connection: ConnectionId(7), transaction, .. } => {
//!                 let head = AnnounceHead { interval: 1800, leechers: 1, seeders: 2 };
//!                 let peers = ["192.0.2.1:6881".parse()?];
//!                 wire::encode_announce_response(transaction, head, Family::V4, peers, &mut answer);
//!             }
//!             other => panic!("{other:?}"),
//!         }
//!         client.handle_input(now, Input::Datagram { socket: SocketId(0), from: to, bytes: &answer });
//!     }
//!     if let Some(Event::Announced { reply, .. }) = client.poll_event() {
//!         break reply;
//!     }
//! };
//! assert_eq!((reply.seeders, reply.peers.len()), (Some(2), 1));
//! assert_eq!(client.usage().requests, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod announcer;
mod command;
mod config;
mod error;
mod fetches;
#[cfg(feature = "http")]
pub mod http;
mod job;
mod machine;
mod names;
mod request;
#[cfg(feature = "https")]
mod roots;
mod round;
mod tiers;
mod udp;
mod web;

pub use command::{Announce, AnnounceReply, Command, Event, Following, RequestId, TrackerState, TrackerStatus, Trust};
pub use config::Config;
pub use error::Error;
pub use job::{Done, Fetch, Fetched, Job};
pub use machine::{Client, Start, Usage};
#[cfg(feature = "https")]
pub use roots::{Roots, RootsError};
