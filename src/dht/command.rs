//! What a node is asked, and what it tells.

use crate::proto::compact::{Family, Node};
use crate::proto::id::{InfoHash, NodeId};
use crate::proto::krpc::MAX_VALUE;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The program's own name for something that it asks for. Not used again while it is unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a node is asked. Each with a `request` is answered by exactly one terminal event with the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Finds the nodes nearest to an id (BEP 5). Answered by [`Event::Found`].
    FindNode {
        /// The program's name for it.
        request: RequestId,
        /// The id.
        target: NodeId,
    },
    /// Finds peers of a torrent (BEP 5). They come as [`Event::Peers`] while it goes on; answered by [`Event::PeersDone`].
    GetPeers {
        /// The program's name for it.
        request: RequestId,
        /// The torrent.
        info_hash: InfoHash,
        /// Whether seeds are of no use: asks for others only (BEP 33).
        no_seeds: bool,
        /// Whether seeds and other peers are to be counted (BEP 33).
        scrape: bool,
    },
    /// Finds peers of a torrent, then tells the nearest nodes that we are one (BEP 5). Peers come as [`Event::Peers`]; answered by
    /// [`Event::Announced`].
    Announce {
        /// The program's name for it.
        request: RequestId,
        /// The torrent.
        info_hash: InfoHash,
        /// Where peers reach us; `None`: at the port from which the node sends (`implied_port`).
        port: Option<u16>,
        /// Whether we have all of it (BEP 33).
        seed: bool,
    },
    /// Finds a value by its hash (BEP 44). Answered by [`Event::Got`], as soon as it is found.
    GetImmutable {
        /// The program's name for it.
        request: RequestId,
        /// The SHA-1 of the value in bencode.
        target: NodeId,
    },
    /// Finds the newest value that its owner has signed (BEP 44). Answered by [`Event::Got`]; each that is newer than what came before is
    /// told of at once as [`Event::Item`].
    GetMutable {
        /// The program's name for it.
        request: RequestId,
        /// The owner's public key.
        key: [u8; 32],
        /// What tells several values of an owner apart, at most 64 bytes; may be empty.
        salt: Vec<u8>,
        /// Only values with a higher sequence number are of use.
        newer_than: Option<i64>,
    },
    /// Stores a value at the nodes nearest to its hash (BEP 44). Answered by [`Event::Stored`].
    PutImmutable {
        /// The program's name for it.
        request: RequestId,
        /// The value: canonical bencode of at most 1,000 bytes.
        value: Vec<u8>,
    },
    /// Stores a value that its owner has signed (BEP 44). Answered by [`Event::Stored`].
    PutMutable {
        /// The program's name for it.
        request: RequestId,
        /// The value, signed.
        item: Signed,
        /// The sequence number of the value that is to be replaced: a node that has another refuses.
        cas: Option<i64>,
    },
    /// Asks the nodes nearest to an id, and those on the way to them, which torrents they know peers of (BEP 51). Answers come as
    /// [`Event::Samples`]; answered by [`Event::Sampled`].
    Sample {
        /// The program's name for it.
        request: RequestId,
        /// The id.
        target: NodeId,
    },
    /// Asks a node whether it is there. Answered by [`Event::Pong`].
    Ping {
        /// The program's name for it.
        request: RequestId,
        /// The node.
        address: SocketAddr,
    },
    /// Waits until the node has found others, or knows that there are none to be found: where it has routers and none answers, for as long as
    /// it takes, or until it is [cancelled](Self::Cancel). Answered by [`Event::Bootstrapped`].
    Bootstrapped {
        /// The program's name for it.
        request: RequestId,
    },
    /// Lists the routing tables. Answered by [`Event::Table`].
    Table {
        /// The program's name for it.
        request: RequestId,
    },
    /// Gives the state, to be given to another node at its start. Answered by [`Event::State`].
    Save {
        /// The program's name for it.
        request: RequestId,
    },
    /// Ends a request now: it is answered with what it has found. No answer of its own.
    Cancel {
        /// The request.
        request: RequestId,
    },
    /// Names a node that may be there: from a torrent's `nodes` or a peer's PORT message. It is asked, and taken in if it answers. No answer.
    AddNode {
        /// Where it is.
        address: SocketAddr,
    },
    /// Says that the network is another, or back: the node looks for others again. No answer.
    NetworkChanged,
    /// Ends everything: requests are answered with what they have found, and the state is saved. Answered by [`Event::ShutDown`], after
    /// which nothing happens any more.
    ShutDown,
}

impl Command {
    /// The name of what is asked for, where there is one to be answered.
    pub fn request(&self) -> Option<RequestId> {
        match *self {
            Self::FindNode { request, .. }
            | Self::GetPeers { request, .. }
            | Self::Announce { request, .. }
            | Self::GetImmutable { request, .. }
            | Self::GetMutable { request, .. }
            | Self::PutImmutable { request, .. }
            | Self::PutMutable { request, .. }
            | Self::Sample { request, .. }
            | Self::Ping { request, .. }
            | Self::Bootstrapped { request }
            | Self::Table { request }
            | Self::Save { request } => Some(request),
            Self::Cancel { .. } | Self::AddNode { .. } | Self::NetworkChanged | Self::ShutDown => None,
        }
    }
}

/// A value that its owner has signed (BEP 44).
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// The owner's public key.
    pub key: [u8; 32],
    /// What tells several values of an owner apart, at most 64 bytes; may be empty.
    pub salt: Vec<u8>,
    /// The sequence number: a higher one is newer.
    pub seq: i64,
    /// The value: canonical bencode of at most 1,000 bytes.
    pub value: Vec<u8>,
    /// The signature of salt, sequence number and value.
    pub signature: [u8; 64],
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("key", &Hex(&self.key))
            .field("salt", &format_args!("{}", self.salt.escape_ascii()))
            .field("seq", &self.seq)
            .field("value", &format_args!("{}", self.value.escape_ascii()))
            .finish_non_exhaustive()
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A value that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// One whose hash is its name: bencode.
    Immutable(Vec<u8>),
    /// One that its owner has signed; the signature was verified.
    Mutable(Signed),
}

impl Item {
    /// Gives the value in bencode.
    pub fn value(&self) -> &[u8] {
        match self {
            Self::Immutable(value) => value,
            Self::Mutable(signed) => &signed.value,
        }
    }
}

/// How a lookup went, over all sides that took part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LookupStats {
    /// Queries sent.
    pub asked: usize,
    /// Nodes that answered.
    pub answered: usize,
    /// The longest chain of nodes that led from those we knew to one of the nearest.
    pub hops: usize,
    /// How long it took until the nearest nodes were known.
    pub took: Duration,
}

/// How many peers a torrent has, as far as the filters of the nodes that answered tell (BEP 33).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scrape {
    /// Those that have all of it, about.
    pub seeds: u64,
    /// The others, about.
    pub peers: u64,
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// As many as allowed are under way ([`Config::max_requests`](super::Config::max_requests)), or the name is taken.
    Busy,
    /// The node has been shut down.
    ShutDown,
    /// The port to announce is 0.
    Port,
    /// The value is longer than 1,000 bytes, or not canonical bencode.
    Value,
    /// The salt is longer than 64 bytes.
    Salt,
    /// The signature is wrong.
    Signature,
    /// The feature `mutable-items` is off.
    NoSignatures,
    /// The node has no socket of that address family.
    NoSocket(Family),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many requests are under way"),
            Self::ShutDown => f.write_str("the node has been shut down"),
            Self::Port => f.write_str("port 0 cannot be announced"),
            Self::Value => write!(f, "a value must be canonical bencode of at most {MAX_VALUE} bytes"),
            Self::Salt => f.write_str("a salt has at most 64 bytes"),
            Self::Signature => {
                f.write_str("the signature does not go with the key, the salt, the sequence number and the value")
            }
            Self::NoSignatures => f.write_str("signed items need the feature `mutable-items`"),
            Self::NoSocket(Family::V4) => f.write_str("the node has no IPv4 socket"),
            Self::NoSocket(Family::V6) => f.write_str("the node has no IPv6 socket"),
        }
    }
}

impl std::error::Error for Refusal {}

/// An error that a node answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The code ([`code`](crate::proto::krpc::code)).
    pub code: i64,
    /// The text, as far as it is text, cut after 200 characters.
    pub text: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}: {}", self.code, self.text.escape_debug())
    }
}

/// What a node tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Answers [`Command::FindNode`].
    Found {
        /// The request.
        request: RequestId,
        /// The nearest nodes that answered, the nearest first, each family for itself.
        nodes: Vec<Node>,
        /// How it went.
        stats: LookupStats,
    },
    /// Peers that were not told of before in this request. Not the last word.
    Peers {
        /// The request.
        request: RequestId,
        /// The peers: at least one.
        peers: Vec<SocketAddr>,
    },
    /// Answers [`Command::GetPeers`].
    PeersDone {
        /// The request.
        request: RequestId,
        /// How many peers there are, where it was asked and a node told.
        scrape: Option<Scrape>,
        /// How it went.
        stats: LookupStats,
    },
    /// Answers [`Command::Announce`].
    Announced {
        /// The request.
        request: RequestId,
        /// How many nodes have taken it down.
        nodes: usize,
        /// The last error that a node answered with.
        rejection: Option<Rejection>,
        /// How it went.
        stats: LookupStats,
    },
    /// A value that is newer than what came before in this request. Not the last word.
    Item {
        /// The request.
        request: RequestId,
        /// The value.
        item: Item,
    },
    /// Answers [`Command::GetImmutable`] and [`Command::GetMutable`].
    Got {
        /// The request.
        request: RequestId,
        /// The value: the newest that was found.
        item: Option<Item>,
        /// How it went.
        stats: LookupStats,
    },
    /// Answers [`Command::PutImmutable`] and [`Command::PutMutable`].
    Stored {
        /// The request.
        request: RequestId,
        /// Where it is found.
        target: NodeId,
        /// How many nodes have taken it.
        nodes: usize,
        /// The last error that a node answered with.
        rejection: Option<Rejection>,
        /// How it went.
        stats: LookupStats,
    },
    /// What a node says it knows peers of. Not the last word.
    Samples {
        /// The request.
        request: RequestId,
        /// The node.
        from: Node,
        /// Torrents.
        info_hashes: Vec<InfoHash>,
        /// How many it knows peers of.
        total: u64,
        /// After how long it will tell of others.
        interval: Duration,
    },
    /// Answers [`Command::Sample`].
    Sampled {
        /// The request.
        request: RequestId,
        /// How it went.
        stats: LookupStats,
    },
    /// Answers [`Command::Ping`].
    Pong {
        /// The request.
        request: RequestId,
        /// The node's id, and how long it took; `None`: there was no answer.
        answer: Option<(NodeId, Duration)>,
    },
    /// Answers [`Command::Bootstrapped`].
    Bootstrapped {
        /// The request.
        request: RequestId,
        /// How many nodes the routing tables have. 0: there is nobody to be found, for the node is the first of its network.
        nodes: usize,
    },
    /// Answers [`Command::Table`].
    Table {
        /// The request.
        request: RequestId,
        /// Each side's.
        tables: Vec<TableView>,
    },
    /// Answers [`Command::Save`].
    State {
        /// The request.
        request: RequestId,
        /// The state ([`dht_state`](crate::proto::dht_state)).
        state: Vec<u8>,
    },
    /// Answers a request that is not taken.
    Refused {
        /// The request.
        request: RequestId,
        /// Why.
        refusal: Refusal,
    },
    /// Somebody asked us something ([`Config::report_queries`](super::Config::report_queries)).
    Queried(Queried),
    /// How the node is: at most once a second, when something has changed.
    Status(Box<Status>),
    /// Answers [`Command::ShutDown`].
    ShutDown,
}

impl Event {
    /// The request that it is about, where there is one.
    pub fn request(&self) -> Option<RequestId> {
        match *self {
            Self::Found { request, .. }
            | Self::Peers { request, .. }
            | Self::PeersDone { request, .. }
            | Self::Announced { request, .. }
            | Self::Item { request, .. }
            | Self::Got { request, .. }
            | Self::Stored { request, .. }
            | Self::Samples { request, .. }
            | Self::Sampled { request, .. }
            | Self::Pong { request, .. }
            | Self::Bootstrapped { request, .. }
            | Self::Table { request, .. }
            | Self::State { request, .. }
            | Self::Refused { request, .. } => Some(request),
            Self::Queried(_) | Self::Status(_) | Self::ShutDown => None,
        }
    }

    /// Says whether it answers a command, so that nothing more comes of that.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Peers { .. } | Self::Item { .. } | Self::Samples { .. } => false,
            Self::ShutDown => true,
            event => event.request().is_some(),
        }
    }
}

/// A query of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queried {
    /// Who asked, as it says.
    pub from: Node,
    /// What.
    pub ask: Asked,
}

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asked {
    /// Peers of a torrent.
    GetPeers(InfoHash),
    /// To be taken down as a peer of a torrent; the token was good.
    Announce {
        /// The torrent.
        info_hash: InfoHash,
        /// The peer.
        peer: SocketAddr,
        /// Whether it says to have all of it (BEP 33).
        seed: bool,
    },
}

/// A routing table to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableView {
    /// The address that the side is bound to.
    pub local: SocketAddr,
    /// The side's own id.
    pub id: NodeId,
    /// Its nodes, in the order of their buckets, the far ones first.
    pub nodes: Vec<TableNode>,
}

/// A node in a routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableNode {
    /// Its id and address.
    pub node: Node,
    /// How it is (BEP 5).
    pub state: NodeState,
    /// How many of its first bits are as those of our own id.
    pub bucket: u8,
    /// Whether it only waits for a place.
    pub spare: bool,
    /// How long it took to answer, last time.
    pub rtt: Duration,
}

/// How a node is (BEP 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// It answered within the last 15 minutes, or asked us something then and has answered before.
    Good,
    /// It has been silent for longer.
    Questionable,
    /// It did not answer twice.
    Bad,
}

/// How a node is, with counts since its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// Each side.
    pub sides: Vec<SideStatus>,
    /// Peers stored for others.
    pub stored_peers: usize,
    /// Torrents that peers are stored of.
    pub stored_torrents: usize,
    /// Items stored for others.
    pub stored_items: usize,
    /// Requests of the program under way.
    pub requests: usize,
    /// Queries under way.
    pub queries: usize,
    /// Hosts that are not answered for a while, for they asked too much.
    pub banned: usize,
    /// What was sent and received.
    pub traffic: Traffic,
    /// How many nodes the network has, about; `None` while too little is known.
    pub network_size: Option<u64>,
    /// Bytes of memory that the node takes, about: its tables, what it stores for others, and what is under way. What waits for the program to read
    /// it, what the allocator adds, and the program around it come on top.
    pub memory: usize,
}

/// How a side is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideStatus {
    /// The address that it is bound to.
    pub local: SocketAddr,
    /// Its own id.
    pub id: NodeId,
    /// The address at which others see it, as they say (BEP 42).
    pub external: Option<IpAddr>,
    /// Nodes in its routing table.
    pub nodes: usize,
    /// Those of them that answered or asked within the last 15 minutes.
    pub good: usize,
    /// Whether it is looking for its first nodes.
    pub bootstrapping: bool,
}

/// Counts since the start, of datagrams unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Received, of all kinds.
    pub received: u64,
    /// Bytes of them.
    pub received_bytes: u64,
    /// Sent, of all kinds.
    pub sent: u64,
    /// Bytes of them.
    pub sent_bytes: u64,
    /// Queries of others.
    pub queries_in: u64,
    /// Of them, those answered with a reply.
    pub replies_out: u64,
    /// Of them, those answered with an error.
    pub errors_out: u64,
    /// Our queries.
    pub queries_out: u64,
    /// Replies to them.
    pub replies_in: u64,
    /// Errors in answer to them.
    pub errors_in: u64,
    /// Our queries that nobody answered.
    pub timeouts: u64,
    /// Replies and errors that answer no query of ours, or come from somebody else than was asked.
    pub unsolicited: u64,
    /// What is no message.
    pub malformed: u64,
    /// Queries not answered: from who asks too much, from addresses that cannot be, or beyond the rate of answers.
    pub dropped: u64,
}
