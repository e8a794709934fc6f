//! A node of the DHT with the host's side of the contract, and what is held against it after every call.

use crate::script::{Reader, name};
use bip::dht::{Command, Config, Done, Event, Job, Node, RequestId, Router, Signed, Start};
use bip::machine::{Input, Instant, JobError, JobId, Machine, Output, Rng, Secret, SocketId};
use bip::proto::compact::{self, Family};
use bip::proto::id::{InfoHash, NodeId};
use bip::proto::krpc::item::{self, SigningKey};
use bip::proto::krpc::{AnnouncePeer, Body, Lists, Message, Method, Mutable, Put, Query, Reply, Want};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Steps that one script makes at most: what follows is left.
const MOST_STEPS: usize = 2_000;
/// Names of requests.
const REQUESTS: u8 = 8;
/// The program's own name for a look at the tables.
const LOOK: RequestId = RequestId(u64::MAX);
/// Addresses of each family.
const ADDRESSES: u8 = 24;

const MOST_REQUESTS: usize = 5;
const MOST_QUERIES: usize = 16;
const MOST_PEERS: usize = 20;
const MAX_REPLY: usize = 600;
const MAX_REPLY_V6: usize = 520;
/// What an item, or the filters of a count, make a reply longer by, whatever the limit.
const BEYOND: usize = 1_000;

/// Everything that can happen to a node: commands, datagrams that answer what it asked and those that do not, queries of others, names
/// that are found or not, and time.
///
/// The first byte says what kind of node it is; then each step is a byte that chooses it, and what it needs.
pub fn dht_node(data: &[u8]) {
    play(data, false);
}

/// Gives the kinds of commands and events that a script of [`dht_node`] reaches.
pub fn dht_node_reaches(data: &[u8]) -> BTreeSet<String> {
    play(data, true)
}

fn play(data: &[u8], look_on: bool) -> BTreeSet<String> {
    let reader = &mut Reader(data);
    let mut stage = Stage::new(reader.byte());
    stage.reached = look_on.then(BTreeSet::new);
    for step in 0..MOST_STEPS {
        if reader.0.is_empty() {
            break;
        }
        stage.step(reader);
        if step % 16 == 15 {
            stage.look();
        }
    }
    stage.finish();
    stage.reached.unwrap_or_default()
}

/// A query of the node's.
struct Asked {
    socket: SocketId,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// A node at play.
struct Stage {
    node: Node,
    now: Instant,
    local: bool,
    read_only: bool,
    sockets: Vec<SocketAddr>,
    /// The latest of its queries that have not been answered by the script.
    asked: Vec<Asked>,
    /// Who answered, and with which id: only these may be in a table.
    answered: BTreeSet<(SocketAddr, NodeId)>,
    /// What was asked of the node and not answered: by whom, with which transaction.
    asking: BTreeMap<(SocketAddr, Vec<u8>), usize>,
    tokens: BTreeMap<SocketAddr, Vec<u8>>,
    jobs: Vec<(JobId, Job)>,
    next_job: u64,
    /// Commands without their terminal event, by name and kind; and refusals, which do not say what they refuse.
    unanswered: BTreeMap<(RequestId, &'static str), usize>,
    refused: BTreeMap<RequestId, usize>,
    ends: usize,
    reached: Option<BTreeSet<String>>,
}

fn address(n: u8) -> SocketAddr {
    match n % (2 * ADDRESSES) {
        // Some are nobody's, or only in a local network somebody's.
        0 => SocketAddr::from(([127, 0, 0, 1], 7_000)),
        1 => SocketAddr::from(([224, 0, 0, 1], 7_000)),
        2 => SocketAddr::from(([5, 2, 0, 1], 0)),
        // A network with many nodes, and an address with several.
        n @ 3..=6 => SocketAddr::from(([6, 6, 6, n], 6_881)),
        n @ 7..=8 => SocketAddr::from(([7, 7, 7, 7], u16::from(n))),
        n if n < ADDRESSES => SocketAddr::from(([5, n, 0, 1], 6_881)),
        n => SocketAddr::from(([0x2a00, n.into(), 0, 0, 0, 0, 0, 1], 6_881)),
    }
}

fn id_at(address: SocketAddr) -> NodeId {
    let mut bytes = Vec::new();
    compact::encode(address, &mut bytes);
    item::immutable_target(&bytes)
}

fn id(reader: &mut Reader<'_>) -> NodeId {
    NodeId([reader.byte(); 20])
}

fn hash(reader: &mut Reader<'_>) -> InfoHash {
    InfoHash([reader.byte(); 20])
}

/// A value; its hash is where it is stored.
fn value(n: u8) -> Vec<u8> {
    let length = usize::from(n % 8) * 142;
    format!("{length}:{}", "v".repeat(length)).into_bytes()
}

fn signed(reader: &mut Reader<'_>) -> Signed {
    let key = SigningKey::from_seed(&[7; 32]);
    let choice = reader.byte();
    let salt = b"salt"[..usize::from(choice % 2) * 4].to_vec();
    let (seq, value) = (i64::from(choice >> 1 & 7) - 1, value(choice >> 4));
    let mut signature = key.sign(&salt, seq, &value);
    signature[0] ^= u8::from(choice >= 240);
    Signed { key: key.public(), salt, seq, value, signature }
}

impl Stage {
    fn new(kind: u8) -> Self {
        let local = kind & 1 == 1;
        let read_only = kind & 2 != 0;
        let mut sockets = vec!["0.0.0.0:6881"];
        if kind & 4 != 0 {
            sockets.push("[::]:6881");
        }
        if kind & 8 != 0 {
            sockets.push("10.9.9.9:6881");
        }
        let sockets: Vec<SocketAddr> = sockets.iter().map(|text| text.parse().expect("an address")).collect();
        let routers = match kind & 16 {
            0 => vec![Router::Name("a.example".into(), 1), Router::Name("b.example".into(), 2), address(9).into()],
            _ => Vec::new(),
        };
        let mut config = Config {
            routers,
            read_only,
            local_network: local,
            enforce_ids: kind & 32 != 0,
            bucket: 4,
            spares: 2,
            alpha: 2,
            candidates: 12,
            max_requests: MOST_REQUESTS,
            max_queries: MOST_QUERIES,
            max_peers_per_request: MOST_PEERS,
            query_rate: 20,
            query_burst: 10,
            reply_rate: 20_000,
            reply_burst: 40_000,
            max_reply: MAX_REPLY,
            max_reply_v6: MAX_REPLY_V6,
            report_queries: true,
            ..Config::default()
        };
        (config.peers.hashes, config.peers.total, config.peers.per_hash, config.peers.samples) = (6, 16, 4, 3);
        (config.peers.scrapes, config.items.items, config.items.per_ip) = (2, 5, 3);
        (config.guard.queries, config.guard.tracked) = (30, 8);
        let start = Start { sockets: sockets.clone(), saves: kind & 64 != 0, ..Start::default() };
        Self {
            node: Node::new(config, start, Rng::new(kind.into()), &Secret::new([kind; 32])),
            now: Instant::from_micros(1_000_000),
            local,
            read_only,
            sockets,
            asked: Vec::new(),
            answered: BTreeSet::new(),
            asking: BTreeMap::new(),
            tokens: BTreeMap::new(),
            jobs: Vec::new(),
            next_job: 0,
            unanswered: BTreeMap::new(),
            refused: BTreeMap::new(),
            ends: 0,
            reached: None,
        }
    }

    fn step(&mut self, reader: &mut Reader<'_>) {
        match reader.below(16) {
            0 => self.advance(Duration::from_micros(1 << (reader.byte() % 46))),
            1 => {
                // Early, and twice.
                self.node.handle_timeout(self.now);
                self.drain();
                self.settle();
            }
            2..=6 => self.reply(reader),
            7..=9 => self.query(reader),
            10 => {
                let (socket, from, length) = (self.socket(reader), address(reader.byte()), reader.byte());
                let bytes = reader.take(length.into()).to_vec();
                self.give(socket, from, &bytes);
            }
            11 => self.raw_reply(reader),
            12 => self.done(reader),
            _ => self.command(reader),
        }
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    /// The future is reached in a bounded number of calls.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.node.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.node.handle_timeout(self.now);
            self.drain();
        }
        panic!("timers spin");
    }

    /// One of the sockets, or now and then one that is not there.
    fn socket(&self, reader: &mut Reader<'_>) -> SocketId {
        SocketId(u32::from(reader.byte() % 4))
    }

    fn give(&mut self, socket: SocketId, from: SocketAddr, bytes: &[u8]) {
        match Message::decode(bytes) {
            Ok(Message { transaction, body: Body::Reply(Reply { id: Some(id), .. }), .. }) => {
                let is_to = |asked: &Asked| {
                    let query = Message::decode(&asked.bytes).expect("it asked it");
                    (asked.socket, asked.to, query.transaction) == (socket, from, transaction)
                };
                if let Some(place) = self.asked.iter().position(is_to) {
                    self.asked.remove(place);
                    self.answered.insert((from, id));
                }
            }
            Ok(Message { transaction, body: Body::Query(_), .. }) => self.expect(from, transaction),
            Ok(_) => {}
            Err(error) => {
                if let Some(answer) = error.answer() {
                    self.expect(from, answer.transaction);
                }
            }
        }
        self.node.handle_input(self.now, Input::Datagram { socket, from, bytes });
        self.drain();
    }

    fn expect(&mut self, from: SocketAddr, transaction: &[u8]) {
        *self.asking.entry((from, transaction.to_vec())).or_default() += 1;
    }

    /// Picks a query of the node's: its place.
    fn pick(&self, reader: &mut Reader<'_>) -> Option<usize> {
        let n = usize::from(reader.byte());
        (!self.asked.is_empty()).then(|| n % self.asked.len())
    }

    /// Answers the node, as it should be or not quite.
    fn reply(&mut self, reader: &mut Reader<'_>) {
        let Some(place) = self.pick(reader) else { return };
        let how = reader.byte();
        let Asked { mut socket, to: mut from, ref bytes } = self.asked[place];
        let bytes = bytes.clone();
        let Ok(Message { transaction, body: Body::Query(query), .. }) = Message::decode(&bytes) else {
            panic!("it asks queries");
        };
        let mut transaction = transaction.to_vec();
        let mut reply = Reply::new(id_at(from));
        let named: Vec<_> = (0..reader.below(6)).map(|_| address(reader.byte())).collect();
        let mut nodes: Vec<_> =
            named.iter().map(|address| compact::Node { id: id_at(*address), address: *address }).collect();
        let mut out = Vec::new();
        match how % 32 {
            0 => transaction[3] ^= 1,
            1 => from = address(reader.byte()),
            2 => socket = self.socket(reader),
            3 => reply.id = Some(id(reader)),
            4 => reply.id = Some(query.id),
            5 => reply.id = None,
            6 => nodes.iter_mut().for_each(|node| node.id = query.id),
            7 | 8 => {
                Message::error(&transaction, i64::from(reader.byte()), "no").encode(&mut out);
                self.asked.remove(place);
                return self.give(socket, from, &out);
            }
            _ => {}
        }
        let (token, item, own) = ([how; 4], signed(reader), value(how));
        let filter = [how; 256];
        let mut lists = Lists { nodes: Some(&nodes[..]), nodes6: Some(&nodes[..]), samples: None, values: None };
        let hashes = [InfoHash([how; 20]), InfoHash([1; 20])];
        match query.method {
            Method::GetPeers { scrape, .. } => {
                reply.token = Some(&token);
                lists.values = Some(named.iter().copied());
                (reply.seeds, reply.peers) = (Some(&filter).filter(|_| scrape), Some(&filter).filter(|_| scrape));
            }
            Method::Get { .. } => {
                reply.token = Some(&token);
                if how & 64 == 0 {
                    reply.value = Some(&own);
                } else {
                    (reply.value, reply.seq) = (Some(item.value.as_slice()), Some(item.seq));
                    (reply.key, reply.signature) = (Some(&item.key), Some(&item.signature));
                }
            }
            Method::SampleInfohashes { .. } => {
                lists.samples = Some(&hashes);
                (reply.interval, reply.total) = (Some(how.into()), Some(how.into()));
            }
            _ => {}
        }
        let mut message = Message::reply(&transaction, reply);
        message.ip = Some(SocketAddr::from(([9, 8, 7, how / 128], 6_881)));
        message.encode_with(lists, 1_400, &mut out);
        self.give(socket, from, &out);
    }

    /// Answers the node with any values.
    fn raw_reply(&mut self, reader: &mut Reader<'_>) {
        let Some(place) = self.pick(reader) else { return };
        let length = usize::from(reader.byte());
        let raw = reader.take(length);
        let Asked { socket, to, ref bytes } = self.asked[place];
        let transaction = Message::decode(bytes).expect("it asked it").transaction;
        let bytes = [b"d1:rd2:id20:", &id_at(to).0[..], raw, b"e1:t4:", transaction, b"1:y1:re"].concat();
        self.give(socket, to, &bytes);
    }

    /// Somebody asks the node something.
    fn query(&mut self, reader: &mut Reader<'_>) {
        let (from, kind, how) = (address(reader.byte()), reader.below(10), reader.byte());
        let (target, item, own) = (id(reader), signed(reader), value(how));
        let given = self.tokens.get(&from).cloned();
        let token = given.filter(|_| how < 240).unwrap_or_else(|| vec![how; usize::from(how % 9)]);
        let info_hash = InfoHash(target.0);
        let targets = [target, item::immutable_target(&own), item::mutable_target(&item.key, &item.salt), target];
        let stored = targets[usize::from(how >> 2 & 3)];
        let seq = (how & 1 == 1).then_some(i64::from(how >> 4));
        let method = match kind {
            0 => Method::Ping,
            1 => Method::FindNode { target },
            2 | 3 => Method::GetPeers { info_hash, no_seed: how & 1 == 1, scrape: how & 2 == 2 },
            4 => Method::AnnouncePeer(AnnouncePeer {
                info_hash,
                port: u16::from(how % 4),
                implied_port: how & 8 == 8,
                seed: how & 16 == 16,
                token: &token,
            }),
            5 => Method::Get { target: stored, seq },
            6 => Method::Put(Put { token: &token, value: &own, mutable: None }),
            7 => {
                let Signed { key, salt, seq: number, value, signature } = &item;
                let mutable = Mutable { key, signature, seq: *number, salt, cas: seq };
                Method::Put(Put { token: &token, value, mutable: Some(mutable) })
            }
            8 => Method::SampleInfohashes { target },
            _ => Method::Unknown { method: b"vote", target: (how & 1 == 1).then_some(target) },
        };
        let transaction = [how; 32];
        let id = if how == 255 { target } else { id_at(from) };
        let want = Want { v4: how & 32 == 32, v6: how & 64 == 64 };
        let mut message =
            Message::query(&transaction[..1 + usize::from(how % 32)], Query { id, want, method });
        message.read_only = how == 128;
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let socket = match self.sockets.iter().position(|local| local.is_ipv4() == from.is_ipv4()) {
            Some(socket) if how != 129 => SocketId(socket as u32),
            _ => self.socket(reader),
        };
        self.give(socket, from, &bytes);
    }

    /// A job is done, or never was.
    fn done(&mut self, reader: &mut Reader<'_>) {
        let (n, how) = (usize::from(reader.byte()), reader.byte());
        if self.jobs.is_empty() || n == 255 {
            let job = JobId(self.next_job + n as u64);
            return self.input_done(job, Ok(Done::Saved(true)));
        }
        let (id, job) = self.jobs.swap_remove(n % self.jobs.len());
        let done = match job {
            _ if how % 8 == 0 => Err(JobError::Refused),
            _ if how % 8 == 1 => Ok(Done::Resolved(Vec::new())),
            Job::Save { .. } => Ok(Done::Saved(how % 2 == 0)),
            _ => Ok(Done::Resolved((0..how % 8).map(|n| address(how.wrapping_add(n))).collect())),
        };
        self.input_done(id, done);
    }

    fn input_done(&mut self, job: JobId, done: Result<Done, JobError>) {
        self.node.handle_input(self.now, Input::Done { job, done });
        self.drain();
    }

    fn command(&mut self, reader: &mut Reader<'_>) {
        let (kind, request) = (reader.below(24), RequestId(reader.below(REQUESTS).into()));
        let command = match kind {
            0 | 1 => Command::FindNode { request, target: id(reader) },
            2..=4 => {
                let (info_hash, how) = (hash(reader), reader.byte());
                Command::GetPeers { request, info_hash, no_seeds: how & 1 == 1, scrape: how & 2 == 2 }
            }
            5..=7 => {
                let (info_hash, how) = (hash(reader), reader.byte());
                let port = (how & 2 == 2).then_some((how / 4).into());
                Command::Announce { request, info_hash, port, seed: how & 1 == 1 }
            }
            8 => Command::GetImmutable { request, target: item::immutable_target(&value(reader.byte())) },
            9 | 10 => {
                let Signed { key, salt, seq, .. } = signed(reader);
                let salt = if seq == 6 { vec![b's'; 65] } else { salt };
                Command::GetMutable { request, key, salt, newer_than: (seq < 3).then_some(seq) }
            }
            11 => Command::PutImmutable { request, value: value(reader.byte()) },
            12 => Command::PutImmutable { request, value: reader.take(4).to_vec() },
            13 | 14 => Command::PutMutable { request, item: signed(reader), cas: (kind == 13).then_some(1) },
            15 => Command::Sample { request, target: id(reader) },
            16 | 17 => Command::Ping { request, address: address(reader.byte()) },
            18 => Command::Bootstrapped { request },
            19 => Command::Save { request },
            20 => Command::AddNode { address: address(reader.byte()) },
            21 => Command::NetworkChanged,
            22 if reader.byte() == 255 => Command::ShutDown,
            _ => Command::Cancel { request },
        };
        self.tell(command);
    }

    fn tell(&mut self, command: Command) {
        if let Some(reached) = &mut self.reached {
            reached.insert(name(&command));
        }
        let kind = match &command {
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
            Command::ShutDown => {
                self.ends += 1;
                ""
            }
            _ => "",
        };
        if let Some(request) = command.request() {
            *self.unanswered.entry((request, kind)).or_default() += 1;
        }
        self.node.handle_command(self.now, command);
        self.drain();
    }

    fn look(&mut self) {
        self.tell(Command::Table { request: LOOK });
    }

    fn drain(&mut self) {
        let (mut buf, mut count) = (Vec::new(), 0);
        while let Some(output) = self.node.poll_output(&mut buf) {
            count += 1;
            // As many queries as there may be, an answer, the names of the routers or a save.
            assert!(count <= MOST_QUERIES + 4, "{count} outputs of one call");
            match output {
                Output::Datagram { socket, to, bytes } => self.on_datagram(socket, to, &buf[bytes]),
                Output::Job { id, job } => {
                    assert_eq!(id.0, self.next_job, "a job's name is used twice");
                    self.next_job += 1;
                    self.jobs.push((id, job));
                }
                other => panic!("a node puts out {other:?}"),
            }
        }
        let mut news = 0;
        while let Some(event) = self.node.poll_event() {
            news += usize::from(!event.is_terminal());
            assert!(news <= 3, "{news} news of one call");
            self.on_event(event);
        }
        let status = self.node.status(self.now);
        assert!(status.queries <= MOST_QUERIES && status.requests <= MOST_REQUESTS, "{status:?}");
        assert!(status.stored_peers <= 16 && status.stored_torrents <= 6 && status.stored_items <= 5, "{status:?}");
    }

    fn on_datagram(&mut self, socket: SocketId, to: SocketAddr, bytes: &[u8]) {
        let message = Message::decode(bytes).expect("what is sent is a message");
        assert_eq!(self.sockets[socket.0 as usize].is_ipv4(), to.is_ipv4(), "sent to the other family");
        let ip = to.ip();
        assert!(to.port() != 0 && !ip.is_multicast() && (self.local || !ip.is_loopback()), "{to} is talked to");
        if let Body::Query(_) = message.body {
            assert!(bytes.len() <= 1_400 && message.read_only == self.read_only);
            if self.asked.len() >= 4 * MOST_QUERIES {
                // Nobody waits for the oldest any more.
                self.asked.remove(0);
            }
            return self.asked.push(Asked { socket, to, bytes: bytes.to_vec() });
        }
        assert!(!self.read_only, "who only asks answers");
        let asking = self.asking.get_mut(&(to, message.transaction.to_vec())).filter(|asking| **asking > 0);
        *asking.expect("an answer to nobody's question") -= 1;
        assert_eq!(message.ip, Some(to));
        if let Body::Reply(reply) = message.body {
            let limit = if Family::of(ip) == Family::V4 { MAX_REPLY } else { MAX_REPLY_V6 };
            let beyond = if reply.value.is_some() || reply.seeds.is_some() { BEYOND } else { 0 };
            assert!(bytes.len() <= limit + beyond, "a reply of {} bytes", bytes.len());
            if let Some(token) = reply.token {
                self.tokens.insert(to, token.to_vec());
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        if let Some(reached) = &mut self.reached {
            reached.insert(name(&event));
        }
        let kind = match &event {
            Event::Found { .. } => "find",
            Event::PeersDone { .. } => "peers",
            Event::Announced { .. } => "announce",
            Event::Got { .. } => "get",
            Event::Stored { .. } => "put",
            Event::Sampled { .. } => "sample",
            Event::Pong { .. } => "ping",
            Event::Bootstrapped { .. } => "bootstrapped",
            Event::Table { tables, .. } => {
                for table in tables {
                    for entry in &table.nodes {
                        assert_ne!(entry.node.id, table.id, "it knows itself");
                        let node = (entry.node.address, entry.node.id);
                        assert!(self.answered.contains(&node), "{node:?} has not answered");
                    }
                }
                "table"
            }
            Event::State { .. } => "save",
            Event::Refused { request, .. } => return *self.refused.entry(*request).or_default() += 1,
            Event::ShutDown => {
                self.ends = self.ends.checked_sub(1).expect("an end that nobody asked for");
                return;
            }
            Event::Peers { peers, .. } => return assert!(!peers.is_empty() && peers.len() <= MOST_PEERS),
            _ => return assert!(!event.is_terminal()),
        };
        let request = event.request().expect("it is about one");
        let left = self.unanswered.get_mut(&(request, kind)).filter(|left| **left > 0);
        *left.unwrap_or_else(|| panic!("nobody waits for {event:?}")) -= 1;
    }

    /// Lets all that is under way finish; then every command has had its one answer, and nothing happens any more.
    fn finish(&mut self) {
        self.look();
        self.tell(Command::ShutDown);
        while let Some((job, _)) = self.jobs.pop() {
            self.input_done(job, Err(JobError::Panicked));
        }
        assert_eq!(self.ends, 0, "it does not end");
        for request in (0..REQUESTS).map(|n| RequestId(n.into())).chain([LOOK]) {
            let of = |((of, _), _): &(&(RequestId, &str), &usize)| *of == request;
            let left: usize = self.unanswered.iter().filter(of).map(|(_, left)| left).sum();
            let refused = self.refused.get(&request).copied().unwrap_or_default();
            assert_eq!(left, refused, "answers to {request:?}: {:?}", self.unanswered);
        }
        assert_eq!(self.node.poll_timeout(), None, "it wants to be called after its end");
        assert!(self.jobs.is_empty());
        self.asked.clear();
        self.tell(Command::AddNode { address: address(20) });
        self.give(SocketId(0), address(20), b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qe");
        self.advance(Duration::from_secs(1 << 30));
        assert!(self.asked.is_empty(), "it asks after its end");
    }
}
