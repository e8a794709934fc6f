//! Anything may happen to a table: what it promises holds.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

struct Player {
    world: World,
    family: Family,
    /// Whom it may be told of.
    ids: Vec<NodeId>,
    networks: u32,
    hosts: u32,
    ports: u32,
    /// Who answered, and at which address.
    answered: BTreeSet<Node>,
    /// When those that are there were heard of last, and how many queries they left unanswered since they answered last.
    heard: BTreeMap<Node, (Instant, u32)>,
}

impl Player {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let limits = [1, 2, 4, usize::MAX];
        let rules = Rules {
            bucket: 1 + rng.below(9) as usize,
            spares: rng.below(5) as usize,
            one_per_ip: rng.below(2) == 0,
            per_subnet_bucket: *rng.choose(&limits).unwrap(),
            per_subnet_table: *rng.choose(&limits).unwrap(),
            enforce_id: false,
        };
        let family = if rng.below(3) == 0 { Family::V6 } else { Family::V4 };
        let depths = 1 + rng.below(12);
        let ids = (0..20 + rng.below(100)).map(|_| {
            let depth = rng.below(depths) as usize;
            prefix::random(&OWN, depth, rng.below(2) == 0, &mut rng)
        });
        let ids = ids.collect();
        let (networks, hosts, ports) = (1 + rng.below(60), 1 + rng.below(4), 1 + rng.below(20));
        let mut world = World::new(rules);
        world.table = Table::new(OWN, family, rules);
        world.rng = rng;
        Self { world, family, ids, networks, hosts, ports, answered: BTreeSet::new(), heard: BTreeMap::new() }
    }

    fn anybody(&mut self) -> Node {
        let rng = &mut self.world.rng;
        let (network, host) = (rng.below(self.networks), rng.below(self.hosts));
        let ip: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::from_bits(0x0100_0001 + network * 256 + host).into(),
            Family::V6 => format!("2001:db8:0:{network:x}:{host:x}::1").parse().unwrap(),
        };
        let address = SocketAddr::new(ip, 1 + rng.below(self.ports) as u16);
        Node { id: *rng.choose(&self.ids).unwrap(), address }
    }

    fn somebody(&mut self) -> Node {
        let entries: Vec<Entry> = self.world.table.iter(self.world.now).collect();
        match self.world.rng.choose(&entries) {
            Some(entry) if self.world.rng.below(10) > 0 => entry.node,
            _ => self.anybody(),
        }
    }

    fn good(&self) -> Vec<Node> {
        let entries = self.world.table.iter(self.world.now);
        entries.filter(|entry| !entry.spare && entry.state == State::Good).map(|entry| entry.node).collect()
    }

    /// An answer: whoever it is from, no good node is displaced, and what was wanted enters.
    fn reply(&mut self, node: &Node) {
        let good = self.good();
        let before = self.world.entry(node);
        let wanted = self.world.table.wants(self.world.now, node);
        let admission = self.world.answer(node);
        self.answered.insert(*node);
        self.heard.insert(*node, (self.world.now, 0));
        match admission {
            Admission::Known => assert!(before.is_some_and(|before| wanted == (before.state == State::Bad))),
            Admission::Added => assert!(before.is_none() && wanted && self.world.has(node)),
            Admission::Spare => assert!(before.is_none() && self.world.waits(node)),
            Admission::Refused => assert!(!wanted && self.world.entry(node).is_none()),
        }
        for other in good.iter().filter(|other| other.address != node.address) {
            assert!(self.world.has(other), "{other:?} was displaced by {node:?}");
        }
    }

    fn step(&mut self) {
        match self.world.rng.below(100) {
            0..40 => {
                let node = if self.world.rng.below(3) == 0 { self.somebody() } else { self.anybody() };
                self.reply(&node);
            }
            40..55 => {
                let (node, now) = (self.somebody(), self.world.now);
                let there = self.world.entry(&node).is_some_and(|entry| entry.state != State::Bad);
                assert_eq!(self.world.table.on_query(now, &node), there);
                self.heard.entry(node).and_modify(|(seen, _)| *seen = now);
            }
            55..75 => {
                let (node, before) = (self.somebody(), self.world.table.iter(self.world.now).collect::<Vec<_>>());
                self.world.fail(&node);
                self.heard.entry(node).and_modify(|(_, failures)| *failures += 1);
                for other in before.iter().map(|entry| entry.node).filter(|other| self.world.entry(other).is_none()) {
                    assert!(other == node && self.heard[&node].1 >= 2, "{other:?} is gone though {node:?} failed");
                }
            }
            75..78 => {
                let address = self.somebody().address;
                self.world.table.remove(address);
                assert!(self.world.table.iter(self.world.now).all(|entry| entry.node.address != address));
            }
            78..80 => {
                self.world.table.forgive();
                self.heard.values_mut().for_each(|(_, failures)| *failures = 0);
            }
            80 => {
                let near = *self.world.rng.choose(&self.ids).unwrap();
                let own = if self.world.rng.below(2) == 0 { near } else { OWN };
                self.world.table.set_own(self.world.now, own);
            }
            81..88 => self.run(),
            _ => {
                let micros = self.world.rng.next_u64() % *self.world.rng.choose(&[1, 1_000_000, 600_000_000]).unwrap();
                self.world.wait(Duration::from_micros(micros));
            }
        }
    }

    /// Does what is due, and sees that it ends.
    fn run(&mut self) {
        let mut checked = Vec::new();
        while let Some(node) = self.world.check() {
            assert!(self.world.has(&node) && !checked.contains(&node), "{node:?}");
            let again = self.world.entry(&node).unwrap();
            assert_ne!(again.state, State::Bad);
            checked.push(node);
        }
        let mut rng = self.world.rng.fork();
        let mut refreshed = 0;
        while self.world.table.next_refresh(self.world.now, &mut rng).is_some() {
            refreshed += 1;
            assert!(refreshed <= self.world.table.buckets.len());
        }
        assert!(self.world.table.next_due().is_none_or(|due| due > self.world.now));
    }

    fn verify(&mut self) {
        let (table, now) = (&self.world.table, self.world.now);
        let there: BTreeMap<Node, Entry> = table.iter(now).map(|entry| (entry.node, entry)).collect();
        self.heard.retain(|node, _| there.contains_key(node));
        assert_eq!(self.heard.len(), there.len());
        for (node, (seen, failures)) in &self.heard {
            let state = match failures {
                2.. => State::Bad,
                _ if now.since(*seen) < minutes(15) => State::Good,
                _ => State::Questionable,
            };
            assert_eq!((there[node].state, there[node].last_seen), (state, *seen));
        }
        let (rules, last) = (table.rules, table.buckets.len() - 1);
        let network = |contact: &Contact| match contact.node().address.ip() {
            IpAddr::V4(ip) => u128::from(ip.to_bits() >> 8),
            IpAddr::V6(ip) => ip.to_bits() >> 64,
        };
        let mut diversity = Diversity::default();
        let (mut ips, mut networks, mut addresses) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (depth, bucket) in table.buckets.iter().enumerate() {
            assert!(bucket.nodes.len() <= rules.bucket && bucket.spares.len() <= rules.spares);
            let mut here = BTreeMap::new();
            for contact in bucket.contacts() {
                assert_ne!(contact.id, table.own);
                assert_eq!(prefix::shared(&table.own, &contact.id).min(last), depth);
                assert!(self.answered.contains(&contact.node()), "it never answered");
                diversity.insert(contact.address);
                *ips.entry(contact.node().address.ip()).or_insert(0) += 1;
                *networks.entry(network(contact)).or_insert(0) += 1;
                *here.entry(network(contact)).or_insert(0) += 1;
                *addresses.entry(contact.node().address).or_insert(0) += 1;
            }
            assert!(here.values().all(|count| *count <= rules.per_subnet_bucket));
            for list in [&bucket.nodes, &bucket.spares] {
                let mut ids: Vec<NodeId> = list.iter().map(|contact| contact.id).collect();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), list.len());
            }
            let stuck = |node: &Contact| {
                // Whoever waits has the id of another node.
                bucket
                    .spares
                    .iter()
                    .all(|spare| bucket.nodes.iter().any(|other| other.id == spare.id && other.id != node.id))
            };
            assert!(bucket.nodes.iter().filter(|node| node.is_bad()).all(stuck));
            assert!(!bucket.spares.iter().any(Contact::is_bad));
        }
        assert!(networks.values().all(|count| *count <= rules.per_subnet_table));
        assert!(!rules.one_per_ip || ips.values().all(|count| *count == 1));
        assert!(addresses.values().all(|count| *count == 1));
        assert_eq!(table.diversity, diversity);
        assert_eq!(table.len(), table.iter(now).filter(|entry| !entry.spare).count());

        // Nothing becomes due before it is said to.
        let mut forgetful = table.clone();
        (forgetful.check_at, forgetful.refresh_at) = (Instant::ZERO, Instant::ZERO);
        let before = table.next_due().map_or(now + minutes(1_000_000), |due| due - Duration::from_micros(1));
        if before >= now {
            assert_eq!(forgetful.next_check(before), None);
            assert_eq!(forgetful.next_refresh(before, &mut Rng::new(1)), None);
        }

        let target = *self.world.rng.choose(&self.ids).unwrap();
        assert_eq!(self.world.closest(&target, 8), self.world.naive(&target, 8));
    }
}

#[test]
fn whatever_happens_a_table_keeps_its_promises() {
    for seed in 0..200 {
        let played = std::panic::catch_unwind(|| {
            let mut player = Player::new(seed);
            for _ in 0..400 {
                player.step();
                player.verify();
            }
        });
        assert!(played.is_ok(), "seed {seed}");
    }
}
