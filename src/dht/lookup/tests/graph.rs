//! A network for the tests of lookups: who knows whom, who answers when, and who lies.

use crate::dht::lookup::{Ask, Lookup, Rules};
use crate::dht::rtt::Rtt;
use crate::machine::{Map, Rng};
use crate::proto::compact::Node;
use crate::proto::id::NodeId;
use crate::proto::krpc::node_id;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What a node does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Honest,
    Dead,
    /// Answers after 1.5 s.
    Slow,
    /// Names nodes that are nearer to the target than it is itself, at addresses where nobody answers.
    Inventor,
    /// The same, but each of them answers and does the same: nearer and nearer.
    Ladder,
    /// Names the Sybils of the graph.
    Accomplice,
    /// Answers under another id than it was named by.
    Renamed,
}

#[derive(Debug, Clone)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) kinds: Vec<Kind>,
    tables: Vec<Vec<usize>>,
    by_address: Map<SocketAddr, usize>,
    /// What accomplices name. All of them answer, and name each other.
    pub(super) sybils: Vec<Node>,
    /// Round-trip times of those that are not slow, in microseconds.
    pub(super) rtt: std::ops::Range<u32>,
    /// Of a hundred dead nodes in a table, how many its owner has noticed, and names no more.
    pub(super) noticed: u32,
    rng: Rng,
}

/// What came of a lookup.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) lookup: Lookup,
    pub(super) took: Duration,
    /// When the nearest of all answered.
    pub(super) nearest_after: Duration,
    /// When only slow ones were waited for, and what was found then.
    pub(super) settled: (Duration, Vec<NodeId>),
    /// The most queries that were under way at a time and not slow.
    pub(super) most_waiting: usize,
}

pub(super) fn random_id(rng: &mut Rng) -> NodeId {
    let mut id = [0; 20];
    id.chunks_mut(4).for_each(|part| part.copy_from_slice(&(rng.next_u64() as u32).to_be_bytes()));
    NodeId(id)
}

/// An address that no rule exempts.
pub(super) fn random_address(rng: &mut Rng) -> SocketAddr {
    let ip = Ipv4Addr::from_bits((11 + rng.below(100)) << 24 | rng.below(1 << 24));
    SocketAddr::new(ip.into(), 1024 + rng.below(60_000) as u16)
}

/// An id that shares its first bits with a target, and that an address may have or not.
pub(super) fn id_near(target: NodeId, bits: usize, rng: &mut Rng) -> NodeId {
    let mut id = random_id(rng);
    for bit in 0..160 {
        let mask = 0x80 >> (bit % 8);
        let of_target = target.0[bit / 8] & mask;
        match bit.cmp(&bits.min(159)) {
            std::cmp::Ordering::Less => id.0[bit / 8] = id.0[bit / 8] & !mask | of_target,
            std::cmp::Ordering::Equal => id.0[bit / 8] = id.0[bit / 8] & !mask | of_target ^ mask,
            std::cmp::Ordering::Greater => {}
        }
    }
    id
}

pub(super) fn shared_bits(a: NodeId, b: NodeId) -> usize {
    let distance = a.distance(&b);
    let zeros = distance.iter().take_while(|byte| **byte == 0).count();
    zeros * 8 + distance.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize)
}

impl Graph {
    /// Makes a network in which each node knows up to 8 others of each bucket, and all ids go with their addresses.
    pub(super) fn new(seed: u64, size: usize) -> Self {
        let mut rng = Rng::new(seed);
        let mut by_address = Map::new(&mut rng);
        let mut nodes: Vec<Node> = (0..size)
            .map(|_| {
                let address = random_address(&mut rng);
                Node { id: node_id::for_address(address.ip(), rng.below(256) as u8, random_id(&mut rng).0), address }
            })
            .collect();
        nodes.sort_unstable();
        for (n, node) in nodes.iter().enumerate() {
            by_address.insert(node.address, n);
        }
        let tables = (0..size).map(|n| table(&nodes, nodes[n].id, &mut rng)).collect();
        let kinds = vec![Kind::Honest; size];
        Self { nodes, kinds, tables, by_address, sybils: Vec::new(), rtt: 20_000..200_000, noticed: 0, rng }
    }

    /// Makes about that part of the honest nodes another kind.
    pub(super) fn turn(&mut self, percent: u32, kind: Kind) {
        for k in &mut self.kinds {
            if *k == Kind::Honest && self.rng.below(100) < percent {
                *k = kind;
            }
        }
    }

    /// Adds Sybils around a target.
    pub(super) fn surround(&mut self, target: NodeId, count: usize) {
        let sybil = |rng: &mut Rng| Node { id: id_near(target, 60, rng), address: random_address(rng) };
        self.sybils = (0..count).map(|_| sybil(&mut self.rng)).collect();
    }

    pub(super) fn random_id(&mut self) -> NodeId {
        random_id(&mut self.rng)
    }

    /// The nodes nearest to a target that answer, without one of them.
    pub(super) fn truth(&self, target: NodeId, count: usize, but: NodeId) -> Vec<NodeId> {
        let answers = |n: &usize| !matches!(self.kinds[*n], Kind::Dead | Kind::Renamed) && self.nodes[*n].id != but;
        let mut ids: Vec<NodeId> = (0..self.nodes.len()).filter(answers).map(|n| self.nodes[n].id).collect();
        ids.sort_by_cached_key(|id| id.distance(&target));
        ids.truncate(count);
        ids
    }

    /// One of the honest nodes, as whom to look something up.
    pub(super) fn somebody(&mut self) -> usize {
        loop {
            let n = self.rng.below(self.nodes.len() as u32) as usize;
            if self.kinds[n] == Kind::Honest {
                return n;
            }
        }
    }

    /// The nodes that a node knows nearest to a target.
    pub(super) fn known_to(&self, n: usize, target: NodeId) -> Vec<Node> {
        // Always the same ones of the same table.
        let is_noticed =
            |of: usize| self.kinds[of] == Kind::Dead && ((n * 7919 + of * 104_729) % 100) < self.noticed as usize;
        let mut known: Vec<Node> =
            self.tables[n].iter().filter(|of| !is_noticed(**of)).map(|of| self.nodes[*of]).collect();
        known.sort_by_cached_key(|node| node.id.distance(&target));
        known.truncate(8);
        known
    }

    /// What somebody named as `ask` says answers, with which nodes and after how long; `None` if nobody does.
    fn answer(&mut self, ask: Ask, target: NodeId) -> Option<(Node, Vec<Node>, Duration)> {
        let id = ask.id?;
        let it = self.by_address.get(&ask.to).copied();
        let is_sybil = self.sybils.iter().any(|sybil| sybil.address == ask.to);
        // Nobody is at an invented address, but where ladders are.
        let kind = match it {
            Some(n) => self.kinds[n],
            None if is_sybil => Kind::Accomplice,
            None if self.kinds.contains(&Kind::Ladder) => Kind::Ladder,
            None => Kind::Dead,
        };
        let rtt = self.rtt.start + self.rng.below(self.rtt.end - self.rtt.start);
        let mut rtt = Duration::from_micros(u64::from(rtt));
        let mut from = Node { id: it.map_or(id, |n| self.nodes[n].id), address: ask.to };
        let nodes = match (kind, it) {
            (Kind::Dead, _) => return None,
            (Kind::Inventor | Kind::Ladder, _) => {
                let bits = shared_bits(id, target);
                let nearer = |n| Node {
                    id: id_near(target, bits + 1 + n, &mut self.rng),
                    address: random_address(&mut self.rng),
                };
                (0..16).map(nearer).collect()
            }
            (Kind::Accomplice, _) => self.sybils.iter().copied().take(16).collect(),
            (_, Some(n)) => {
                if kind == Kind::Slow {
                    rtt = Duration::from_millis(1500);
                }
                if kind == Kind::Renamed {
                    from.id = random_id(&mut self.rng);
                }
                self.known_to(n, target)
            }
            (_, None) => return None,
        };
        Some((from, nodes, rtt))
    }

    /// Looks up a target as one of the nodes, until the lookup says that it has ended. Tokens are the first bytes of the ids.
    pub(super) fn look_up(&mut self, me: usize, target: NodeId, rules: Rules) -> Run {
        let mut lookup = Lookup::new(target, self.nodes[me].id, rules);
        self.known_to(me, target).into_iter().for_each(|node| lookup.add(node));
        self.drive(lookup)
    }

    pub(super) fn drive(&mut self, mut lookup: Lookup) -> Run {
        enum What {
            Reply(Node, Vec<Node>, Duration),
            Slow(SocketAddr),
            Failure(SocketAddr),
        }
        let target = lookup.target();
        let (mut now, mut rtt) = (Duration::ZERO, Rtt::new());
        // Whoever looks for something has found its neighbourhood before.
        (0..8).for_each(|_| rtt.on_sample(Duration::from_millis(110)));
        let (mut events, mut whats) = (BinaryHeap::new(), Vec::new());
        let (mut nearest_after, mut nearest, mut most_waiting, mut settled) = (Duration::ZERO, None, 0, None);
        while !lookup.is_done() {
            while let Some(ask) = lookup.next() {
                let mut plan = |after, what| {
                    events.push(Reverse((now + after, whats.len())));
                    whats.push(what);
                };
                plan(rtt.slow_after(), What::Slow(ask.to));
                match self.answer(ask, target) {
                    Some((from, nodes, after)) => plan(after, What::Reply(from, nodes, after)),
                    None => plan(rtt.give_up_after(), What::Failure(ask.to)),
                }
            }
            most_waiting = most_waiting.max(lookup.asks.waiting);
            let Some(Reverse((at, what))) = events.pop() else {
                assert!(lookup.is_done(), "neither done nor anything in flight: {lookup:?}");
                break;
            };
            now = at;
            match &whats[what] {
                What::Reply(from, nodes, after) => {
                    rtt.on_sample(*after);
                    lookup.on_reply(from, Some(&from.id.0[..4]), nodes.iter().copied());
                }
                What::Slow(to) => lookup.on_slow(*to),
                What::Failure(to) => lookup.on_failure(*to),
            }
            if settled.is_none() && lookup.is_settled() {
                settled = Some((now, lookup.closest().map(|answered| answered.node.id).collect()));
            }
            let first = lookup.closest().next().map(|answered| answered.node);
            if first != nearest {
                (nearest, nearest_after) = (first, now);
            }
        }
        Run { lookup, took: now, nearest_after, settled: settled.unwrap_or_default(), most_waiting }
    }
}

impl Run {
    pub(super) fn found(&self) -> Vec<NodeId> {
        self.lookup.closest().map(|answered| answered.node.id).collect()
    }
}

/// Up to 8 nodes of each bucket of an id; `nodes` are in the order of their ids.
fn table(nodes: &[Node], own: NodeId, rng: &mut Rng) -> Vec<usize> {
    let (mut low, mut high, mut table) = (0, nodes.len(), Vec::new());
    for bit in 0..160 {
        if high - low <= 1 {
            break;
        }
        let is_set = |id: &NodeId| id.0[bit / 8] & 0x80 >> (bit % 8) != 0;
        let middle = low + nodes[low..high].partition_point(|node| !is_set(&node.id));
        let (ours, theirs) = if is_set(&own) { (middle..high, low..middle) } else { (low..middle, middle..high) };
        let mut bucket: Vec<usize> = theirs.collect();
        rng.shuffle(&mut bucket);
        table.extend(bucket.into_iter().take(8));
        (low, high) = (ours.start, ours.end);
    }
    table
}

/// An address by its number, one of a network each.
pub(super) fn address(n: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x2000_0001 + (n << 8))), 6881)
}
