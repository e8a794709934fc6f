//! Whom a lookup knows of, nearest first.

use super::Rules;
use super::asks::{Slot, same};
use crate::dht::memory::Heap as _;
use crate::proto::compact::Node;
use crate::proto::id::NodeId;
use crate::proto::krpc::node_id;
use std::net::{IpAddr, SocketAddr};

/// How many addresses of one id are tried: a liar that names a false one does not hide the true one.
const ADDRESSES_OF_AN_ID: usize = 2;

/// How far a node is from the target.
pub(super) type Distance = [u8; 20];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Asked(Slot),
    Answered,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) distance: Distance,
    pub(super) node: Node,
    /// How many answers led to it.
    pub(super) hops: u16,
    pub(super) state: State,
}

/// A bounded list in the order of distance. Who fails leaves it; the farthest go when it is full, also those that were asked.
#[derive(Debug)]
pub(super) struct Candidates {
    target: NodeId,
    list: Vec<Candidate>,
    bound: usize,
}

impl Candidates {
    pub(super) fn new(target: NodeId, bound: usize) -> Self {
        Self { target, list: Vec::new(), bound }
    }

    pub(super) fn heap(&self) -> usize {
        self.list.heap()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.list.iter()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Candidate> {
        self.list.get(at)
    }

    /// Says whether a node would stay in the list if it came in: almost all that are named late in a lookup would not.
    pub(super) fn have_room(&self, id: NodeId) -> bool {
        let distance = self.target.distance(&id);
        self.list.len() < self.bound || self.list.last().is_some_and(|last| distance < last.distance)
    }

    /// Takes a node in, where it is new and its host and network have not their share yet.
    pub(super) fn add(&mut self, node: Node, hops: u16, rules: &Rules) {
        let distance = self.target.distance(&node.id);
        let at = self.list.partition_point(|c| c.distance < distance);
        let same_id = self.list[at..].iter().take_while(|c| c.distance == distance);
        // Who answered is who it says it is. Before that there is no telling who lies.
        let (known, answered) = same_id.fold((0, false), |(n, yes), c| (n + 1, yes || c.state == State::Answered));
        if answered || known >= ADDRESSES_OF_AN_ID || !self.have_room(node.id) || self.crowds(node.address, rules) {
            return;
        }
        self.list.insert(at + known, Candidate { distance, node, hops, state: State::Idle });
        self.list.truncate(self.bound);
    }

    /// Says whether an address, or too many like it, is in the list. Local addresses may be alike.
    fn crowds(&self, address: SocketAddr, rules: &Rules) -> bool {
        let exempt = node_id::is_exempt(address.ip());
        let one_per_ip = rules.one_per_ip && !exempt;
        let mut room = if exempt { usize::MAX } else { rules.per_subnet };
        let net = subnet(address.ip());
        self.list.iter().any(|c| {
            let other = c.node.address;
            if subnet(other.ip()) != net {
                return false;
            }
            room = room.saturating_sub(1);
            room == 0 || same(other, address) || (one_per_ip && other.ip() == address.ip())
        })
    }

    /// Notes that the candidate at a place was asked.
    pub(super) fn on_asked(&mut self, at: usize, slot: Slot) {
        if let Some(candidate) = self.list.get_mut(at) {
            candidate.state = State::Asked(slot);
        }
    }

    /// Notes that a node answered. Other addresses of its id are false and go.
    pub(super) fn on_answer(&mut self, node: &Node) {
        let distance = self.target.distance(&node.id);
        self.list.retain_mut(|c| {
            let it = c.distance == distance && same(c.node.address, node.address);
            if it {
                c.state = State::Answered;
            }
            it || c.distance != distance
        });
    }

    pub(super) fn remove(&mut self, id: NodeId, address: SocketAddr) {
        self.list.retain(|c| c.node.id != id || !same(c.node.address, address));
    }
}

/// The network that an address is of: a /24, or a /64 of IPv6.
fn subnet(ip: IpAddr) -> (bool, u64) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (false, u64::from(ip.to_bits() >> 8)),
        IpAddr::V6(ip) => (true, (ip.to_bits() >> 64) as u64),
    }
}
