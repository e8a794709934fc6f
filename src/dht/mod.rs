//! A whole node of the Mainline DHT: peers of torrents without a tracker, and small values that anybody may store and find.
//!
//! [`Node`] is a machine: datagrams in, datagrams out, on the host's time. It asks and answers (BEP 5), over IPv4 and IPv6 at once (BEP 32), from
//! several addresses (BEP 45), counts swarms (BEP 33), chooses ids that go with its address (BEP 42), may be read-only (BEP 43), stores and
//! finds immutable and signed items (BEP 44; signatures with the feature `mutable-items`; what points to torrents, BEP 46, is written and
//! read by [`item`](crate::proto::krpc::item)), and shows what it stores (BEP 51).
//!
//! In scope: everything between a datagram and an answer. Out of scope: the format of messages ([`proto::krpc`](crate::proto::krpc)), sockets,
//! threads and names ([`session::Dht`](crate::session) hosts a node on a thread of its own, or in a caller's loop), what is done with peers.
//!
//! ```text
//!            ┌──────────────────────────── Node ───────────────────────────┐
//!  socket ──▶│ Side: id, Table, votes on our address, round-trip times      │
//!  socket ──▶│ Side: …                                                      │
//!            │ Transactions: which answer belongs to which query            │
//!  Command ─▶│ Requests ─▶ Lookups ─▶ queries; Store at the end             │─▶ Event
//!            │ Peers, Items: stored for others; Tokens; Guard               │─▶ Job: names, saved state
//!            └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! # A side's life
//!
//! ```text
//!            timer           names resolved            somebody answered
//!  Waiting ────────▶ Resolving ───────────▶ Running ─────────────────────▶ Settled
//!     ▲                 │ no address            │ nobody did                 │ 16 queries lost in a row, or
//!     └─────────────────┴───────────────────────┘                            │ the network is another, or our id
//!        5 s, 10 s … 5 min later                     Running ◀───────────────┘
//! ```
//!
//! It looks for its own neighbourhood: those it knew when its state was saved are asked first, routers when there are none or they do
//! not answer. Then it looks into five far regions, and later into every bucket in which nothing has changed for 15 minutes. Without
//! routers and without a saved state it is the first of its network and waits for others. Requests that come before the first nodes are
//! found wait for them.
//!
//! # What a lookup does
//!
//! It asks the nearest nodes it knows for nearer ones, [`Config::alpha`] at a time, until the nearest [`Config::bucket`] have answered. One that is slow,
//! by what others took, frees its place but may still answer. It always ends: whom it remembers and asks is bounded. Peers are told of as they
//! come, each once.
//!
//! # Who is believed
//!
//! - An answer counts only from the address and port that was asked, with the four unpredictable bytes that were sent. Only who answered
//!   so enters a routing table; who asks us something is asked in turn first.
//! - One node for each IP address and few of each network ([`Config::per_subnet_bucket`]) in the table and in a lookup. A good node is never
//!   pushed out. Addresses that cannot be on the Internet, and our own, are neither asked nor told of; private ones are if a node at a private
//!   address names them, or the program.
//! - What is to be stored must come with a token that we gave to that IP address in the last ten minutes. Signatures and hashes are verified at
//!   both ends.
//! - Who asks more than [`GuardLimits`] permits is not answered for a while. No reply is longer than [`Config::max_reply`].
//! - [`Config::local_network`] lifts these rules for test networks, but not tokens, signatures and transactions.
//!
//! # Deviations
//!
//! - BEP 5: a query of an unknown method that has a target is answered as `find_node`, as its readers expect; others with error 204.
//! - BEP 32: ids of both families differ, for they go with addresses (BEP 42); a reply with an item may be longer than 1,024 bytes over IPv6.
//! - BEP 5: nodes of a bucket for which nobody waits are not pinged when they turn questionable; a refresh of the bucket asks them.
//! - BEP 42: ids are not enforced unless [`Config::enforce_ids`] says so.
//!
//! # Limits
//!
//! [`Config`], [`GuardLimits`], [`StoreLimits`], [`ItemLimits`]. One call of the machine sends at most 256 queries and sees to as many timers.
//!
//! # Example
//!
//! Two nodes, by hand: the second finds the first.
//!
//! ```
//! use bip::dht::{Command, Config, Event, Node, RequestId, Start};
//! use bip::machine::{Input, Instant, Machine, Output, Rng, Secret, SocketId};
//! use std::net::SocketAddr;
//!
//! let addresses: [SocketAddr; 2] = ["127.0.0.1:6881".parse()?, "127.0.0.1:6882".parse()?];
//! let mut nodes: Vec<Node> = (0..2)
//!     .map(|n| {
//!         let routers = addresses[..n].iter().map(|first| (*first).into()).collect();
//!         let config = Config { local_network: true, routers, ..Config::default() };
//!         let start = Start { sockets: vec![addresses[n]], ..Start::default() };
//!         Node::new(config, start, Rng::new(n as u64), &Secret::new([n as u8; 32]))
//!     })
//!     .collect();
//!
//! let now = Instant::from_micros(1);
//! nodes.iter_mut().for_each(|node| node.handle_timeout(now));
//! nodes[1].handle_command(now, Command::Bootstrapped { request: RequestId(1) });
//! let found = loop {
//!     // The host carries datagrams from one to the other.
//!     for n in 0..2 {
//!         let mut buf = Vec::new();
//!         while let Some(Output::Datagram { to, bytes, .. }) = nodes[n].poll_output(&mut buf) {
//!             let other = addresses.iter().position(|address| *address == to).unwrap();
//!             let datagram = Input::Datagram { socket: SocketId(0), from: addresses[n], bytes: &buf[bytes] };
//!             nodes[other].handle_input(now, datagram);
//!         }
//!     }
//!     if let Some(Event::Bootstrapped { nodes, .. }) = nodes[1].poll_event() {
//!         break nodes;
//!     }
//! };
//! assert_eq!(found, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod client;
mod command;
mod config;
mod draw;
mod guard;
mod identity;
mod items;
mod job;
mod lookup;
mod machine;
mod martian;
mod memory;
mod names;
mod party;
mod peers;
mod request;
mod rtt;
mod server;
mod side;
mod size;
mod table;
mod token;
mod transactions;
mod upkeep;
mod wire;

pub use command::{
    Asked, Command, Event, Item, LookupStats, NodeState, Queried, Refusal, Rejection, RequestId, Scrape, SideStatus,
    Signed, Status, TableNode, TableView, Traffic,
};
pub use config::{Config, ParseRouterError, Router};
pub use guard::GuardLimits;
#[cfg(feature = "reactor")]
pub(crate) use identity::random_id;
pub use items::ItemLimits;
pub use job::{Done, Job};
pub use machine::{Node, Start};
pub use peers::StoreLimits;
