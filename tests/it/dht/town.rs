//! A network that grows, changes and is asked.

use super::net::Net;
use super::seat::Link;
use bip::dht::{Command, Config, Event, LookupStats, RequestId, Router};
use bip::machine::{Instant, Rng};
use bip::proto::id::{InfoHash, NodeId};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// The name that routers are found by.
pub(super) const ROUTER: &str = "router.example";
const PORT: u16 = 6881;

/// An IPv4 address of the Internet.
pub(super) fn v4(rng: &mut Rng) -> SocketAddr {
    let octet = |rng: &mut Rng, least: u32, count: u32| u8::try_from(least + rng.below(count)).unwrap();
    let ip = Ipv4Addr::new(octet(rng, 20, 70), octet(rng, 0, 256), octet(rng, 0, 256), octet(rng, 1, 254));
    SocketAddr::new(IpAddr::V4(ip), PORT)
}

/// An IPv6 address of the Internet.
pub(super) fn v6(rng: &mut Rng) -> SocketAddr {
    let bits = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    let ip = Ipv6Addr::from_bits(0x2a01 << 112 | bits >> 16 | 1);
    SocketAddr::new(IpAddr::V6(ip), PORT)
}

pub(super) fn id(rng: &mut Rng) -> NodeId {
    let mut id = [0; 20];
    id.chunks_mut(4).for_each(|part| part.copy_from_slice(&(rng.next_u64() as u32).to_be_bytes()));
    NodeId(id)
}

pub(super) fn hash(rng: &mut Rng) -> InfoHash {
    InfoHash::from(id(rng).0)
}

/// How a node of a town is, where nothing else is said.
pub(super) fn config() -> Config {
    Config { routers: vec![Router::Name(ROUTER.into(), PORT)], ..Config::default() }
}

pub(super) struct Town {
    pub(super) net: Net,
    pub(super) config: Config,
    /// Who comes and goes; routers are not among them.
    pub(super) people: Vec<usize>,
    pub(super) routers: Vec<usize>,
    /// One is replaced each so often.
    churn: Option<Duration>,
    next_churn: Instant,
    /// Whether those who come have both families.
    pub(super) dual: bool,
}

impl Town {
    /// Makes a network of two routers.
    pub(super) fn new(seed: u64, link: Link) -> Self {
        Self::with(seed, link, config())
    }

    pub(super) fn with(seed: u64, link: Link, config: Config) -> Self {
        let net = Net::new(seed, link);
        let mut town = Self {
            net,
            config,
            people: Vec::new(),
            routers: Vec::new(),
            churn: None,
            next_churn: Instant::NEVER,
            dual: false,
        };
        for n in 0..2 {
            let address = v4(&mut town.net.rng);
            let first = town.net.names.get(ROUTER).map(|first| Router::Address(first[0]));
            let external_addresses = vec![address.ip()];
            let config = Config { routers: first.into_iter().collect(), external_addresses, ..town.config.clone() };
            let place = town.net.add(config, &[address]);
            town.routers.push(place);
            town.net.names.entry(ROUTER.into()).or_default().push(address);
            assert_eq!(town.routers.len(), n + 1);
        }
        town
    }

    /// Takes a network that was made by hand.
    pub(super) fn of(net: Net, people: Vec<usize>) -> Self {
        let (routers, churn) = (Vec::new(), None);
        Self { net, config: config(), people, routers, churn, next_churn: Instant::NEVER, dual: false }
    }

    pub(super) fn addresses(&mut self) -> Vec<SocketAddr> {
        let rng = &mut self.net.rng;
        let mut addresses = vec![v4(rng)];
        addresses.extend(self.dual.then(|| v6(rng)));
        addresses
    }

    /// Lets one come.
    pub(super) fn come(&mut self) -> usize {
        let addresses = self.addresses();
        let mut config = self.config.clone();
        if config.enforce_ids {
            // In a network in which everybody enforces ids from its beginning, nobody could tell another its address.
            config.external_addresses = addresses.iter().map(SocketAddr::ip).collect();
        }
        let place = self.net.add(config, &addresses);
        self.people.push(place);
        place
    }

    /// Lets many come, evenly over a time.
    pub(super) fn grow(&mut self, count: usize, over: Duration) -> &mut Self {
        for _ in 0..count {
            self.come();
            self.run(over / u32::try_from(count).unwrap());
        }
        self
    }

    /// Has that many of a hundred replaced in a quarter of an hour from now on.
    pub(super) fn churn(&mut self, percent: u32) -> &mut Self {
        let count = u32::try_from(self.people.len()).unwrap() * percent;
        self.churn = (count > 0).then(|| 15 * MINUTE * 100 / count);
        self.next_churn = self.churn.map_or(Instant::NEVER, |each| self.net.now() + each);
        self
    }

    pub(super) fn run(&mut self, time: Duration) -> &mut Self {
        let end = self.net.now() + time;
        while self.next_churn <= end {
            self.net.run(self.next_churn.since(self.net.now()));
            let leaves = self.net.rng.below(u32::try_from(self.people.len()).unwrap());
            let place = self.people.swap_remove(leaves as usize);
            self.net.remove(place);
            self.come();
            self.next_churn += self.churn.expect("there is churn");
        }
        self.net.run(end.since(self.net.now()));
        self
    }

    /// One of the people, of those who came not just now.
    pub(super) fn anybody(&mut self) -> usize {
        let old = self.people.len() - self.people.len() / 10;
        self.people[self.net.rng.below(u32::try_from(old).unwrap()) as usize]
    }

    pub(super) fn ip(&self, place: usize) -> IpAddr {
        self.net.seats[place].addresses[0].ip()
    }

    /// Has somebody announce that it is at a port; gives how many nodes took that down.
    pub(super) fn announce(&mut self, place: usize, info_hash: InfoHash, port: u16) -> usize {
        let command = |request| Command::Announce { request, info_hash, port: Some(port), seed: false };
        let request = self.net.ask(place, command);
        match self.net.wait(place, request, MINUTE) {
            Some(Event::Announced { nodes, .. }) => nodes,
            other => panic!("node {place} announced: {other:?}"),
        }
    }

    /// Has somebody look for peers.
    pub(super) fn peers(&mut self, place: usize, info_hash: InfoHash) -> Search {
        let search = self.search(place, info_hash);
        self.net.wait(place, search, MINUTE);
        self.result(place, search).unwrap_or_else(|| panic!("node {place}: the search does not end"))
    }

    pub(super) fn search(&mut self, place: usize, info_hash: InfoHash) -> RequestId {
        let command = |request| Command::GetPeers { request, info_hash, no_seeds: false, scrape: false };
        self.net.ask(place, command)
    }

    /// What a search has found, if it has ended.
    pub(super) fn result(&self, place: usize, search: RequestId) -> Option<Search> {
        let mut result = Search::default();
        for (at, event) in &self.net.seats[place].events {
            match event {
                Event::Peers { request, peers } if *request == search => {
                    result.first.get_or_insert(*at);
                    result.peers.extend(peers);
                }
                Event::PeersDone { request, stats, .. } if *request == search => {
                    (result.stats, result.ended) = (*stats, *at);
                    return Some(result);
                }
                _ => {}
            }
        }
        None
    }

    /// Has somebody look for the nodes nearest to an id.
    pub(super) fn find(&mut self, place: usize, target: NodeId) -> (Vec<bip::proto::compact::Node>, LookupStats) {
        let request = self.net.ask(place, |request| Command::FindNode { request, target });
        match self.net.wait(place, request, MINUTE) {
            Some(Event::Found { nodes, stats, .. }) => (nodes, stats),
            other => panic!("node {place} looked for {target}: {other:?}"),
        }
    }

    /// The ids of the nodes that are nearest to a target, of all there are.
    pub(super) fn nearest(&self, target: NodeId, count: usize) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> =
            self.net.alive().iter().flat_map(|place| self.net.node(*place).unwrap().ids()).collect();
        ids.sort_by_cached_key(|id| target.distance(id));
        ids.truncate(count);
        ids
    }

    pub(super) fn known(&self, place: usize) -> usize {
        self.net.status(place).sides.iter().map(|side| side.nodes).sum()
    }
}

/// What a search for peers found.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    pub(super) peers: BTreeSet<SocketAddr>,
    /// When the first came.
    pub(super) first: Option<Instant>,
    pub(super) ended: Instant,
    pub(super) stats: LookupStats,
}

impl Search {
    pub(super) fn has(&self, ip: IpAddr, port: u16) -> bool {
        self.peers.contains(&SocketAddr::new(ip, port))
    }
}
