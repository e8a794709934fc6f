//! The node of the DHT, held to the laws: in a town of a few dozen nodes that mostly keep the protocol.
//!
//! Besides the laws of all machines: nobody is answered who did not ask, or twice, or elsewhere; no answer is longer than it may be; a
//! node that only asks answers nothing.

use super::{Ask, Call, End, Subject, Way, hold, variants};
use bip::dht::{Command, Config, Done, Event, Job, Node, RequestId, Router, Signed, Start};
use bip::machine::{Executor, Rng, Secret, SocketId};
use bip::proto::compact::{self, Family};
use bip::proto::id::{InfoHash, NodeId};
use bip::proto::krpc::item;
use bip::proto::krpc::{AnnouncePeer, Body, Lists, Message, Method, Mutable, Put, Query, Reply, Want};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Nodes of each family.
const NODES: u32 = 24;
/// Names that the program has for its requests: some are used again.
const REQUESTS: u32 = 14;
/// Where the node's sockets are bound: two of IPv4 (BEP 45), one of IPv6.
const SOCKETS: [&str; 3] = ["0.0.0.0:6881", "[::]:6881", "10.9.9.9:6881"];

// Limits so low that the scripts reach them.
const QUERIES: usize = 20;
const MAX_REPLY: usize = 700;
const MAX_REPLY_V6: usize = 600;
/// What an item or a count for others makes a reply longer by, whatever the limit.
const BEYOND: usize = 1_000;

/// How a script goes on for a node.
const WITH_DATAGRAMS: &[Way] = {
    use Way::*;
    &[Commands, Commands, Time, Time, Timeouts, Stale, Jobs, Datagrams, Datagrams, Datagrams, Datagrams, Datagrams]
};

/// A query of ours that nobody has answered.
struct Asked {
    socket: SocketId,
    to: SocketAddr,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Town {
    seed: u64,
    read_only: bool,
    /// Commands made so far.
    commands: u32,
    asked: Vec<Asked>,
    /// What others asked us and have not been answered: who, and the transaction.
    asking: BTreeMap<(SocketAddr, Vec<u8>), usize>,
    /// The tokens that we gave.
    tokens: BTreeMap<SocketAddr, Vec<u8>>,
    /// Requests that only end when there are others.
    waiting: BTreeSet<RequestId>,
}

fn at(n: u32, family: Family) -> SocketAddr {
    let n = n as u8;
    match family {
        // One in eight is somewhere that there is nobody, unless the network is local.
        Family::V4 if n % 8 == 7 => SocketAddr::from(([127, 0, 0, n], 6881)),
        Family::V4 => SocketAddr::from(([5, n, 0, 1], 6881)),
        Family::V6 => SocketAddr::from(([0x2a00, n.into(), 0, 0, 0, 0, 0, 1], 6881)),
    }
}

fn anybody(rng: &mut Rng) -> SocketAddr {
    at(rng.below(NODES), if rng.below(3) == 0 { Family::V6 } else { Family::V4 })
}

fn id_at(address: SocketAddr) -> NodeId {
    let mut bytes = Vec::new();
    compact::encode(address, &mut bytes);
    item::immutable_target(&bytes)
}

fn node_at(address: SocketAddr) -> compact::Node {
    compact::Node { id: id_at(address), address }
}

fn id(rng: &mut Rng) -> NodeId {
    NodeId([rng.below(6) as u8 * 50; 20])
}

fn info_hash(rng: &mut Rng) -> InfoHash {
    InfoHash([rng.below(12) as u8 * 20; 20])
}

fn value(rng: &mut Rng) -> Vec<u8> {
    let length = rng.below(5) as usize * 249;
    format!("{length}:{}", "v".repeat(length)).into_bytes()
}

#[cfg(feature = "mutable-items")]
fn signed(salt: Vec<u8>, seq: i64, value: Vec<u8>) -> Signed {
    let key = item::SigningKey::from_seed(&[7; 32]);
    Signed { key: key.public(), signature: key.sign(&salt, seq, &value), salt, seq, value }
}

#[cfg(not(feature = "mutable-items"))]
fn signed(salt: Vec<u8>, seq: i64, value: Vec<u8>) -> Signed {
    Signed { key: [7; 32], signature: [7; 64], salt, seq, value }
}

/// A value that its owner signed, or now and then somebody else.
fn any_signed(rng: &mut Rng) -> Signed {
    let salt = b"salt"[..rng.below(2) as usize * 4].to_vec();
    let mut signed = signed(salt, i64::from(rng.below(5)), value(rng));
    if rng.below(5) == 0 {
        signed.signature[3] ^= 1;
    }
    signed
}

impl Town {
    /// Makes a query of somebody's.
    fn query(&mut self, rng: &mut Rng) -> (SocketAddr, Vec<u8>) {
        // One of them asks much more than the others.
        let from = if rng.below(4) == 0 { at(1, Family::V4) } else { anybody(rng) };
        let stale = [rng.below(2) as u8; 8];
        let given = self.tokens.get(&from).cloned();
        let token = given.filter(|_| rng.below(6) > 0).unwrap_or_else(|| stale[..rng.below(9) as usize].to_vec());
        let (target, info_hash, value, item) = (id(rng), info_hash(rng), value(rng), any_signed(rng));
        let method = match rng.below(10) {
            0 => Method::Ping,
            1 => Method::FindNode { target },
            2 | 3 => Method::GetPeers { info_hash, no_seed: rng.below(2) == 0, scrape: rng.below(2) == 0 },
            4 | 5 => Method::AnnouncePeer(AnnouncePeer {
                info_hash,
                port: rng.below(4) as u16,
                implied_port: rng.below(2) == 0,
                seed: rng.below(2) == 0,
                token: &token,
            }),
            6 => {
                let targets = [target, item::immutable_target(&value), item::mutable_target(&item.key, &item.salt)];
                let target = *rng.choose(&targets).unwrap();
                Method::Get { target, seq: (rng.below(2) == 0).then_some(i64::from(rng.below(5))) }
            }
            7 => Method::Put(Put { token: &token, value: &value, mutable: None }),
            8 => Method::Put(Put {
                token: &token,
                value: &item.value,
                mutable: Some(Mutable {
                    key: &item.key,
                    signature: &item.signature,
                    seq: item.seq,
                    salt: &item.salt,
                    cas: (rng.below(3) == 0).then_some(i64::from(rng.below(5))),
                }),
            }),
            9 if rng.below(2) == 0 => Method::SampleInfohashes { target },
            _ => Method::Unknown { method: b"vote", target: (rng.below(2) == 0).then_some(target) },
        };
        let transaction = rng.next_u64().to_be_bytes();
        let transaction = &transaction[..1 + rng.below(8) as usize];
        let want = Want { v4: rng.below(2) == 0, v6: rng.below(2) == 0 };
        let id = if rng.below(12) == 0 { id(rng) } else { id_at(from) };
        let mut message = Message::query(transaction, Query { id, want, method });
        message.read_only = rng.below(8) == 0;
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        *self.asking.entry((from, transaction.to_vec())).or_default() += 1;
        (from, bytes)
    }

    /// Answers a query of ours, mostly as it should be.
    fn answer_to(&self, asked: &Asked, rng: &mut Rng) -> (SocketId, SocketAddr, Vec<u8>) {
        let Ok(Message { transaction, body: Body::Query(query), .. }) = Message::decode(&asked.bytes) else {
            panic!("what we ask is a query");
        };
        let mut transaction = transaction.to_vec();
        let (mut socket, mut from) = (asked.socket, asked.to);
        let (value, item, token) = (value(rng), any_signed(rng), [rng.below(4) as u8; 4]);
        let mut reply = Reply::new(id_at(from));
        let mut nodes: Vec<_> = (0..rng.below(10)).map(|_| node_at(anybody(rng))).collect();
        let peers: Vec<_> = (0..rng.below(20)).map(|_| anybody(rng)).collect();
        let hashes: Vec<_> = (0..rng.below(20)).map(|_| info_hash(rng)).collect();
        let (filter, mut out) = ([rng.below(256) as u8; 256], Vec::new());
        match rng.below(40) {
            0 => transaction[0] ^= 1,
            1 => transaction.truncate(3),
            2 => from = anybody(rng),
            3 => from.set_port(1),
            4 => socket = SocketId(rng.below(4)),
            5 => reply.id = Some(id(rng)),
            6 => reply.id = Some(query.id),
            7 => reply.id = None,
            8 => nodes.iter_mut().for_each(|node| node.id = query.id),
            9 => nodes.iter_mut().for_each(|node| node.address.set_port(0)),
            10 | 11 => {
                Message::error(&transaction, i64::from(200 + rng.below(10)), "no").encode(&mut out);
                return (socket, from, out);
            }
            _ => {}
        }
        let mut lists = Lists { nodes: Some(&nodes[..]), nodes6: Some(&nodes[..]), samples: None, values: None };
        match query.method {
            Method::GetPeers { scrape, .. } => {
                reply.token = Some(&token);
                lists.values = Some(peers.iter().copied());
                (reply.seeds, reply.peers) = (Some(&filter).filter(|_| scrape), Some(&filter).filter(|_| scrape));
            }
            Method::Get { .. } => {
                reply.token = Some(&token);
                if rng.below(2) == 0 {
                    (reply.value, reply.seq) = (Some(item.value.as_slice()), Some(item.seq));
                    (reply.key, reply.signature) = (Some(&item.key), Some(&item.signature));
                } else if rng.below(2) == 0 {
                    reply.value = Some(&value);
                }
            }
            Method::SampleInfohashes { .. } => {
                lists.samples = Some(&hashes);
                (reply.interval, reply.total) = (Some(rng.below(30_000)), Some(u64::from(rng.below(100))));
            }
            _ => {}
        }
        let mut message = Message::reply(&transaction, reply);
        // They see us at an address, which is another for each seed, and now and then at another.
        let seen = [9, 8, self.seed as u8, u8::from(rng.below(8) == 0)];
        message.ip = from.is_ipv4().then(|| SocketAddr::from((seen, 6881)));
        message.encode_with(lists, 1_400, &mut out);
        (socket, from, out)
    }
}

impl Subject for Town {
    type Machine = Node;

    fn machine(&mut self, seed: u64) -> Node {
        let local = seed % 3 == 0;
        self.seed = seed;
        self.read_only = seed % 7 == 6;
        let name = |name: &str| Router::Name(name.into(), 6881);
        let mut config = Config {
            read_only: self.read_only,
            local_network: local,
            enforce_ids: seed % 5 == 4,
            node_id: (seed % 4 == 1).then_some(NodeId([1; 20])),
            routers: vec![name("one.example"), name("two.example"), Router::Address(at(0, Family::V4))],
            bucket: 4,
            spares: 2,
            alpha: 3,
            candidates: 16,
            max_requests: 8,
            max_queries: QUERIES,
            max_peers_per_request: 30,
            query_rate: 50,
            query_burst: 10,
            max_reply: MAX_REPLY,
            max_reply_v6: MAX_REPLY_V6,
            report_queries: true,
            ..Config::default()
        };
        if seed % 11 == 10 {
            // The first node of its network.
            config.routers.clear();
        }
        (config.peers.hashes, config.peers.total, config.peers.per_hash, config.peers.samples) = (8, 20, 5, 3);
        config.items.items = 6;
        (config.guard.queries, config.guard.tracked) = (20, 8);
        let sockets = SOCKETS[..1 + (seed % 3) as usize].iter().map(|text| text.parse().unwrap()).collect();
        let start = Start { sockets, saves: seed % 2 == 0, ..Start::default() };
        Node::new(config, start, Rng::new(seed), &Secret::new([seed as u8; 32]))
    }

    fn command(&mut self, rng: &mut Rng) -> Command {
        self.commands += 1;
        if self.commands > 400 && rng.below(10) == 0 {
            return Command::ShutDown;
        }
        let request = RequestId(rng.below(REQUESTS).into());
        match rng.below(18) {
            0 => Command::FindNode { request, target: id(rng) },
            1 | 2 => Command::GetPeers {
                request,
                info_hash: info_hash(rng),
                no_seeds: rng.below(2) == 0,
                scrape: rng.below(2) == 0,
            },
            3 | 4 => {
                let port = [None, Some(0), Some(6881)][rng.below(3) as usize];
                Command::Announce { request, info_hash: info_hash(rng), port, seed: rng.below(2) == 0 }
            }
            5 => Command::GetImmutable { request, target: item::immutable_target(&value(rng)) },
            6 | 7 => {
                let Signed { key, mut salt, .. } = any_signed(rng);
                if rng.below(10) == 0 {
                    salt = vec![b's'; 65];
                }
                Command::GetMutable { request, key, salt, newer_than: (rng.below(2) == 0).then_some(1) }
            }
            8 => {
                let value = if rng.below(5) == 0 { b"i01e".to_vec() } else { value(rng) };
                Command::PutImmutable { request, value }
            }
            9 => Command::PutMutable { request, item: any_signed(rng), cas: (rng.below(2) == 0).then_some(1) },
            10 => Command::Sample { request, target: id(rng) },
            11 => Command::Ping { request, address: anybody(rng) },
            12 => {
                self.waiting.insert(request);
                Command::Bootstrapped { request }
            }
            13 => Command::Table { request },
            14 => Command::Save { request },
            15 => Command::AddNode { address: anybody(rng) },
            16 if rng.below(6) == 0 => Command::NetworkChanged,
            _ => Command::Cancel { request },
        }
    }

    fn ask(&self, command: &Command) -> Option<Ask> {
        let kind = match command {
            Command::FindNode { .. } => "find",
            Command::GetPeers { .. } => "peers",
            Command::Announce { .. } => "announce",
            Command::GetImmutable { .. } | Command::GetMutable { .. } => "get",
            Command::PutImmutable { .. } | Command::PutMutable { .. } => "put",
            Command::Sample { .. } => "sample",
            Command::Ping { .. } => "ping",
            Command::Bootstrapped { .. } => "bootstrapped",
            Command::Table { .. } => "table",
            Command::Save { .. } => "save",
            Command::ShutDown => return Some(Ask { about: "all".into(), kind: "end".into() }),
            Command::Cancel { .. } | Command::AddNode { .. } | Command::NetworkChanged => return None,
            other => panic!("what does {other:?} ask?"),
        };
        let request = command.request().expect("it has a name");
        Some(Ask { about: format!("{request:?}"), kind: kind.into() })
    }

    fn end(&self, event: &Event) -> Option<End> {
        let kind = match event {
            Event::Found { .. } => "find",
            Event::PeersDone { .. } => "peers",
            Event::Announced { .. } => "announce",
            Event::Got { .. } => "get",
            Event::Stored { .. } => "put",
            Event::Sampled { .. } => "sample",
            Event::Pong { .. } => "ping",
            Event::Bootstrapped { .. } => "bootstrapped",
            Event::Table { .. } => "table",
            Event::State { .. } => "save",
            Event::ShutDown => return Some(End { about: "all".into(), kind: Some("end".into()) }),
            Event::Refused { request, .. } => return Some(End { about: format!("{request:?}"), kind: None }),
            _ => {
                assert!(!event.is_terminal(), "what does {event:?} end?");
                return None;
            }
        };
        assert!(event.is_terminal(), "{event:?} ends something");
        let request = event.request().expect("it has a name");
        Some(End { about: format!("{request:?}"), kind: Some(kind.into()) })
    }

    fn most(&self, _: Call) -> usize {
        // As many queries as there may be, an answer, a save or the names of the routers; and of events: what one datagram brought, a
        // query that is told of, the status.
        QUERIES + 1 + 3 + 3
    }

    fn ways(&self) -> &'static [Way] {
        WITH_DATAGRAMS
    }

    fn source(&self) -> Option<&'static str> {
        Some(SOURCE)
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Bootstrapped { request, .. } | Event::Refused { request, .. } => _ = self.waiting.remove(request),
            Event::Peers { peers, .. } => assert!(!peers.is_empty() && peers.len() <= 30),
            Event::Table { tables, .. } => {
                for table in tables {
                    assert!(table.nodes.iter().all(|node| node.node.id != table.id), "it knows itself");
                }
            }
            Event::Status(status) => assert!(status.queries <= QUERIES && status.requests <= 8, "{status:?}"),
            _ => {}
        }
    }

    fn on_datagram(&mut self, socket: SocketId, to: SocketAddr, bytes: &[u8]) {
        let message = Message::decode(bytes).expect("what is sent is a message");
        let local: SocketAddr = SOCKETS[socket.0 as usize].parse().unwrap();
        assert_eq!(local.is_ipv4(), to.is_ipv4(), "sent to the other family");
        assert!(to.port() != 0 && message.version == Some(b"BP\0\x01"));
        if let Body::Query(_) = message.body {
            assert_eq!(message.read_only, self.read_only);
            self.asked.push(Asked { socket, to, bytes: bytes.to_vec() });
            return;
        }
        assert!(!self.read_only, "a node that only asks answers");
        let asking = self.asking.get_mut(&(to, message.transaction.to_vec())).filter(|asking| **asking > 0);
        *asking.expect("an answer to nobody's question") -= 1;
        assert_eq!(message.ip, Some(to));
        if let Body::Reply(reply) = message.body {
            let limit = if to.is_ipv4() { MAX_REPLY } else { MAX_REPLY_V6 };
            let beyond = if reply.value.is_some() || reply.seeds.is_some() { BEYOND } else { 0 };
            assert!(bytes.len() <= limit + beyond, "a reply of {} bytes", bytes.len());
            if let Some(token) = reply.token {
                self.tokens.insert(to, token.to_vec());
            }
        }
    }

    fn datagram(&mut self, rng: &mut Rng) -> Option<(SocketId, SocketAddr, Vec<u8>)> {
        let (mut socket, from, mut bytes) = match rng.below(10) {
            0..=5 if !self.asked.is_empty() => {
                let asked = rng.below(self.asked.len() as u32) as usize;
                let asked = if rng.below(20) == 0 {
                    // It comes twice.
                    &self.asked[asked]
                } else {
                    &self.asked.swap_remove(asked)
                };
                self.answer_to(asked, rng)
            }
            9 if rng.below(4) == 0 => {
                let garbage = (0..rng.below(60)).map(|_| *rng.choose(b"dlei1:q2aty").unwrap()).collect();
                (SocketId(0), anybody(rng), garbage)
            }
            _ => {
                let (from, bytes) = self.query(rng);
                (SocketId(u32::from(from.is_ipv6())), from, bytes)
            }
        };
        if rng.below(30) == 0 {
            // A socket that is not there, or of the other family.
            socket = SocketId(rng.below(4));
        }
        if rng.below(30) == 0 && !bytes.is_empty() {
            let byte = rng.below(bytes.len() as u32) as usize;
            bytes[byte] ^= 1 << rng.below(8);
            // Whose answer it gets is not known any more.
            if let Ok(message) = Message::decode(&bytes) {
                *self.asking.entry((from, message.transaction.to_vec())).or_default() += 1;
            } else if let Some(transaction) = Message::decode(&bytes).err().and_then(|error| error.transaction) {
                *self.asking.entry((from, transaction.to_vec())).or_default() += 1;
            }
        }
        Some((socket, from, bytes))
    }

    /// Who waits for others in vain gives it up.
    fn answer(&mut self, _: &mut Rng) -> Option<Command> {
        self.waiting.pop_first().map(|request| Command::Cancel { request })
    }

    fn executor(&self) -> Option<Box<dyn Executor<Job, Done>>> {
        let seed = self.seed;
        Some(Box::new(move |job: Job| match job {
            Job::Resolve { name, .. } if name.starts_with("one") && seed % 4 != 3 => {
                Done::Resolved(vec![at(2, Family::V4), at(2, Family::V6)])
            }
            Job::Resolve { .. } => Done::Resolved(Vec::new()),
            _ => Done::Saved(seed % 4 != 2),
        }))
    }
}

const SOURCE: &str = include_str!("../../../src/dht/command.rs");

#[test]
fn the_node_keeps_the_laws() {
    if let Some(tally) = hold("the_node_keeps_the_laws", Town::default, 20, 800) {
        let told: BTreeSet<&str> = tally.told.keys().map(String::as_str).collect();
        let mut declared = variants::declared(SOURCE, "Event");
        if !cfg!(feature = "mutable-items") {
            declared.remove("Item");
        }
        assert_eq!(declared, told, "the scripts do not bring the node to tell all that it can");
        assert!(tally.told("Peers") > 100 && tally.told("Announced") > 100, "they hardly find peers: {tally:?}");
    }
}
