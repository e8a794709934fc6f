//! What the program has asked for and is not answered.

use super::command::{Item, LookupStats, Rejection, Scrape, Signed};
use super::lookup::{Lookup, Token};
use crate::machine::Instant;
use crate::proto::compact::Node;
use crate::proto::id::{InfoHash, NodeId};
use crate::proto::krpc::Bloom;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

/// What a request is for.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    FindNode,
    GetPeers { info_hash: InfoHash, no_seeds: bool, scrape: bool },
    Announce { info_hash: InfoHash, port: Option<u16>, seed: bool },
    GetImmutable,
    GetMutable { key: [u8; 32], salt: Vec<u8>, newer_than: Option<i64> },
    PutImmutable { value: Vec<u8> },
    PutMutable { signed: Box<Signed>, cas: Option<i64> },
    Sample,
    Ping,
    Bootstrapped,
}

impl Wanted {
    /// Says whether the nearest nodes are given something to store.
    pub(super) fn stores(&self) -> bool {
        matches!(self, Self::Announce { .. } | Self::PutImmutable { .. } | Self::PutMutable { .. })
    }

    /// The torrent, where it is about one.
    pub(super) fn info_hash(&self) -> Option<InfoHash> {
        match *self {
            Self::GetPeers { info_hash, .. } | Self::Announce { info_hash, .. } => Some(info_hash),
            _ => None,
        }
    }
}

/// A request under way.
pub(super) struct Request {
    /// What tells it from earlier ones with its name.
    pub(super) serial: u64,
    pub(super) wanted: Wanted,
    pub(super) target: NodeId,
    pub(super) began: Instant,
    pub(super) stats: LookupStats,
    /// Lookups under way for it.
    pub(super) lookups: usize,
    /// Sides that will look when another of their family is done (BEP 45: the same nodes are not asked from many addresses at a time).
    pub(super) later: Vec<usize>,
    /// Nodes that are to be given something to store.
    pub(super) to_store: VecDeque<Store>,
    /// Nodes that have been given something to store and have not answered.
    pub(super) storing: usize,
    pub(super) stored: usize,
    pub(super) rejection: Option<Rejection>,
    /// The nearest nodes that were found.
    pub(super) found: Vec<Node>,
    /// Peers that were told of.
    pub(super) seen: BTreeSet<SocketAddr>,
    /// The filters of all nodes together: of seeds, and of others.
    pub(super) blooms: Option<Box<(Bloom, Bloom)>>,
    pub(super) item: Option<Item>,
    /// Nodes that have a value already: only they are to compare sequence numbers (BEP 44).
    pub(super) holders: BTreeSet<SocketAddr>,
}

impl Request {
    pub(super) fn new(serial: u64, wanted: Wanted, target: NodeId, now: Instant) -> Self {
        Self {
            serial,
            wanted,
            target,
            began: now,
            stats: LookupStats::default(),
            lookups: 0,
            later: Vec::new(),
            to_store: VecDeque::new(),
            storing: 0,
            stored: 0,
            rejection: None,
            found: Vec::new(),
            seen: BTreeSet::new(),
            blooms: None,
            item: None,
            holders: BTreeSet::new(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.lookups == 0 && self.later.is_empty() && self.to_store.is_empty() && self.storing == 0
    }

    pub(super) fn scrape(&self) -> Option<Scrape> {
        let (seeds, peers) = &**self.blooms.as_ref()?;
        Some(Scrape { seeds: seeds.estimate().round() as u64, peers: peers.estimate().round() as u64 })
    }
}

/// Somebody who is to be given something to store.
pub(super) struct Store {
    /// The side that found it, whose token it is.
    pub(super) side: usize,
    pub(super) node: Node,
    pub(super) token: Token,
}

/// Why a lookup is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// For a request of the program's.
    Request(super::command::RequestId),
    /// To find the side's own neighbourhood.
    Boot,
    /// To have nodes in far buckets, or fresh ones.
    Upkeep,
}

/// A lookup under way.
pub(super) struct Running {
    pub(super) lookup: Lookup,
    pub(super) side: usize,
    pub(super) owner: Owner,
    /// It stands in the queue of those that may have somebody to ask.
    pub(super) active: bool,
    /// When it ends at last, where only slow nodes keep it from its end.
    pub(super) settled: Option<Instant>,
}

impl Running {
    /// Says whether only slow nodes keep it from its end, and as many as are wanted have answered in their place. With fewer all are waited
    /// for: where everybody is slow, nobody is.
    pub(super) fn is_settled(&self, want: usize) -> bool {
        self.lookup.is_settled() && self.lookup.closest().count() >= want
    }
}
