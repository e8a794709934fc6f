//! Tests of the table as its owner uses it.

mod buckets;
mod checks;
mod identities;
mod networks;
mod order;
mod random;
mod refreshing;

use super::*;
use std::net::Ipv4Addr;

const OWN: NodeId = NodeId([0x5a; 20]);
const RTT: Duration = Duration::from_millis(40);

fn strict() -> Rules {
    Rules { bucket: 8, spares: 8, one_per_ip: true, per_subnet_bucket: 1, per_subnet_table: 3, enforce_id: false }
}

fn local() -> Rules {
    Rules { one_per_ip: false, per_subnet_bucket: usize::MAX, per_subnet_table: usize::MAX, ..strict() }
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

fn node(id: NodeId, address: &str) -> Node {
    Node { id, address: address.parse().unwrap() }
}

/// An id that shares exactly so many bits with ours: one, or another.
fn id_at(depth: usize, another: bool) -> NodeId {
    let mut rng = Rng::new(u64::from(another));
    prefix::random(&OWN, depth, true, &mut rng)
}

/// A table of ours, and a supply of nodes that all are in networks of their own.
struct World {
    table: Table,
    now: Instant,
    rng: Rng,
    nodes: u32,
}

impl World {
    fn new(rules: Rules) -> Self {
        let table = Table::new(OWN, Family::V4, rules);
        Self { table, now: Instant::ZERO + minutes(100), rng: Rng::new(5), nodes: 0 }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn address(&mut self) -> SocketAddr {
        self.nodes += 1;
        SocketAddr::new(Ipv4Addr::from_bits(0x0100_0001 + self.nodes * 256).into(), 6881)
    }

    /// A node that shares exactly so many bits with us.
    fn stranger(&mut self, depth: usize) -> Node {
        Node { id: prefix::random(&OWN, depth, true, &mut self.rng), address: self.address() }
    }

    fn answer(&mut self, node: &Node) -> Admission {
        self.table.on_reply(self.now, node, RTT)
    }

    fn fail(&mut self, node: &Node) {
        self.table.on_failure(self.now, node);
    }

    /// A new node that answers.
    fn join(&mut self, depth: usize) -> (Node, Admission) {
        let node = self.stranger(depth);
        let admission = self.answer(&node);
        (node, admission)
    }

    /// Eight nodes that answered a second after each other.
    fn fill(&mut self, depth: usize) -> Vec<Node> {
        let join = |_| {
            self.wait(Duration::from_secs(1));
            let (node, admission) = self.join(depth);
            assert_eq!(admission, Admission::Added);
            node
        };
        (0..8).map(join).collect()
    }

    /// A table that is split, and has the bucket of depth 0 full: of these.
    fn full(&mut self) -> Vec<Node> {
        self.fill(1);
        self.fill(0)
    }

    fn spare(&mut self, depth: usize) -> Node {
        self.wait(Duration::from_secs(1));
        let (node, admission) = self.join(depth);
        assert_eq!(admission, Admission::Spare);
        node
    }

    fn entry(&self, node: &Node) -> Option<Entry> {
        self.table.iter(self.now).find(|entry| entry.node == *node)
    }

    fn state(&self, node: &Node) -> State {
        self.entry(node).unwrap().state
    }

    /// Whether it is in the table and no spare.
    fn has(&self, node: &Node) -> bool {
        self.entry(node).is_some_and(|entry| !entry.spare)
    }

    fn waits(&self, node: &Node) -> bool {
        self.entry(node).is_some_and(|entry| entry.spare)
    }

    fn nodes(&self) -> Vec<Node> {
        self.table.iter(self.now).filter(|entry| !entry.spare).map(|entry| entry.node).collect()
    }

    fn closest(&self, target: &NodeId, count: usize) -> Vec<Node> {
        let mut nodes = Vec::new();
        self.table.closest(target, count, &mut nodes);
        nodes
    }

    /// What `closest` should give.
    fn naive(&self, target: &NodeId, count: usize) -> Vec<Node> {
        let entries = self.table.iter(self.now).filter(|entry| !entry.spare && entry.state != State::Bad);
        let mut nodes: Vec<Node> = entries.map(|entry| entry.node).collect();
        nodes.sort_by_key(|node| node.id.distance(target));
        nodes.truncate(count);
        nodes
    }

    fn check(&mut self) -> Option<Node> {
        self.table.next_check(self.now)
    }
}
