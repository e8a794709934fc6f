//! A node of the DHT among strangers that do not mean it well: each datagram made by hand, each answer looked at.

mod answers;
mod askers;
mod items;
mod limits;
mod time;

use bip::dht::{Command, Config, Event, Job, Node, RequestId, Start, Status, TableNode};
use bip::machine::{Input, Instant, JobId, Machine, Output, Rng, Secret, SocketId};
use bip::proto::id::NodeId;
use bip::proto::krpc::{Body, Message, Reply};
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Something that the node sent.
#[derive(Debug, Clone)]
struct Sent {
    socket: SocketId,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Sent {
    fn message(&self) -> Message<'_> {
        Message::decode(&self.bytes).expect("it sends messages")
    }
}

/// A node and its host.
struct Host {
    node: Node,
    now: Instant,
    /// Queries of ours, the oldest first.
    queries: Vec<Sent>,
    /// Replies and errors of ours.
    answers: Vec<Sent>,
    events: Vec<Event>,
    jobs: Vec<(JobId, Job)>,
    /// Whom it was made to know.
    friends: Vec<(SocketAddr, NodeId)>,
}

/// Nobody to be asked at the start, no limit on answers in all.
fn config() -> Config {
    Config { routers: Vec::new(), reply_rate: 0, query_rate: 0, ..Config::default() }
}

fn local() -> Config {
    Config { local_network: true, ..config() }
}

/// Somebody in a network of its own.
fn v4(n: u32) -> SocketAddr {
    SocketAddr::from(([23, (n >> 8) as u8, n as u8, 9], 6881))
}

fn v6(n: u32) -> SocketAddr {
    SocketAddr::from(([0x2a00, (n >> 16) as u16, n as u16, 0, 0, 0, 0, 1], 6881))
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("it is an address")
}

/// An id whose first byte is given.
fn id(first: u8, n: u32) -> NodeId {
    let mut id = [7; 20];
    id[0] = first;
    id[16..].copy_from_slice(&n.to_be_bytes());
    NodeId(id)
}

/// Joins parts of a packet.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A string in bencode.
fn string(bytes: &[u8]) -> Vec<u8> {
    join(&[bytes.len().to_string().as_bytes(), b":", bytes])
}

/// A query with arguments, in bencode, besides the id.
fn query(from: NodeId, method: &str, arguments: &[&[u8]]) -> Vec<u8> {
    let method = string(method.as_bytes());
    join(&[b"d1:ad2:id20:", &from.0, &join(arguments), b"e1:q", &method, b"1:t2:aa1:y1:qe"])
}

/// A reply with values, in bencode, besides the id.
fn reply(transaction: &[u8], from: NodeId, values: &[&[u8]]) -> Vec<u8> {
    join(&[b"d1:rd2:id20:", &from.0, &join(values), b"e1:t", &string(transaction), b"1:y1:re"])
}

fn get_peers(from: NodeId, hash: [u8; 20]) -> Vec<u8> {
    query(from, "get_peers", &[b"9:info_hash20:", &hash])
}

fn announce(from: NodeId, hash: [u8; 20], port: &str, token: &[u8]) -> Vec<u8> {
    let token = string(token);
    query(from, "announce_peer", &[b"9:info_hash20:", &hash, port.as_bytes(), b"5:token", &token])
}

/// The code of an error.
fn code(answer: &Sent) -> i64 {
    let Body::Error { code, .. } = answer.message().body else { panic!("no error: {:?}", answer.message()) };
    code
}

fn reply_of(answer: &Sent) -> Reply<'_> {
    let Body::Reply(reply) = answer.message().body else { panic!("no reply: {:?}", answer.message()) };
    reply
}

impl Host {
    fn new(config: Config) -> Self {
        Self::with(config, &["0.0.0.0:6881"])
    }

    fn dual(config: Config) -> Self {
        Self::with(config, &["0.0.0.0:6881", "[::]:6881"])
    }

    fn with(config: Config, sockets: &[&str]) -> Self {
        let start = Start { sockets: sockets.iter().map(|text| at(text)).collect(), ..Start::default() };
        Self::start(config, start)
    }

    fn start(config: Config, start: Start) -> Self {
        let mut host = Self {
            node: Node::new(config, start, Rng::new(1), &Secret::new([1; 32])),
            now: Instant::from_micros(1_000_000),
            queries: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
            jobs: Vec::new(),
            friends: Vec::new(),
        };
        host.settle();
        host
    }

    /// The timers that are due run, and what comes of it is taken.
    fn settle(&mut self) {
        self.drain();
        for _ in 0..10_000 {
            if self.node.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.node.handle_timeout(self.now);
            self.drain();
        }
        panic!("timers spin");
    }

    fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(output) = self.node.poll_output(&mut buf) {
            match output {
                Output::Datagram { socket, to, bytes } => {
                    let sent = Sent { socket, to, bytes: buf[bytes].to_vec() };
                    let query = matches!(sent.message().body, Body::Query(_));
                    if query { &mut self.queries } else { &mut self.answers }.push(sent);
                }
                Output::Job { id, job } => self.jobs.push((id, job)),
                other => panic!("a node puts out {other:?}"),
            }
        }
        self.events.extend(std::iter::from_fn(|| self.node.poll_event()));
    }

    /// Time passes, timer by timer.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.node.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn tell(&mut self, command: Command) {
        self.node.handle_command(self.now, command);
        self.settle();
    }

    /// A datagram comes to a socket.
    fn give(&mut self, socket: u32, from: SocketAddr, bytes: &[u8]) {
        self.node.handle_input(self.now, Input::Datagram { socket: SocketId(socket), from, bytes });
        self.settle();
    }

    /// A datagram comes to the socket of its family; gives what is answered.
    fn ask(&mut self, from: SocketAddr, bytes: &[u8]) -> Option<Sent> {
        let socket = u32::from(from.is_ipv6() && self.status().sides.len() > 1);
        self.give(socket, from, bytes);
        let answer = self.answers.pop();
        assert!(self.answers.is_empty(), "two answers");
        assert!(answer.as_ref().is_none_or(|answer| answer.to == from), "somebody else is answered");
        answer
    }

    /// Gives the token that an address gets.
    fn token(&mut self, from: SocketAddr) -> Vec<u8> {
        let answer = self.ask(from, &get_peers(id(1, 1), [9; 20])).expect("it is answered");
        reply_of(&answer).token.expect("it comes with a token").to_vec()
    }

    /// Takes out the query that was sent to an address; gives its socket and transaction.
    fn asked(&mut self, to: SocketAddr) -> Option<(u32, Vec<u8>)> {
        let place = self.queries.iter().position(|query| query.to == to)?;
        let query = self.queries.remove(place);
        Some((query.socket.0, query.message().transaction.to_vec()))
    }

    /// Answers what an address was asked, with values besides the id. Says whether it was asked.
    fn answer(&mut self, from: SocketAddr, by: NodeId, values: &[&[u8]]) -> bool {
        let Some((socket, transaction)) = self.asked(from) else { return false };
        self.give(socket, from, &reply(&transaction, by, values));
        true
    }

    /// Seconds pass, in which all whom the node was made to know answer whatever they are asked.
    fn pass(&mut self, seconds: u32) {
        let friends = self.friends.clone();
        for _ in 0..seconds {
            while friends.iter().any(|&(address, by)| self.answer(address, by, &[])) {}
            self.wait(SECOND);
        }
    }

    /// Has the node know another, which answers whatever it is asked for a while; says whether it was asked.
    fn befriend(&mut self, address: SocketAddr, by: NodeId) -> bool {
        // So many are asked in a second.
        self.wait(SECOND);
        self.tell(Command::AddNode { address });
        let asked = self.answer(address, by, &[]);
        // Who knows its first node looks around: near, and then in some far regions; and again while it knows few.
        self.friends.push((address, by));
        self.pass(8);
        asked
    }

    fn table(&mut self) -> Vec<TableNode> {
        let request = RequestId(u64::MAX);
        self.tell(Command::Table { request });
        let found = self.events.iter().rposition(|event| event.request() == Some(request)).expect("it is answered");
        let Event::Table { tables, .. } = self.events.remove(found) else { panic!("no table") };
        tables.into_iter().flat_map(|table| table.nodes).collect()
    }

    fn knows(&mut self, address: SocketAddr) -> bool {
        self.table().iter().any(|entry| entry.node.address == address)
    }

    fn status(&self) -> Status {
        self.node.status(self.now)
    }

    /// Takes the terminal event of a request.
    fn end(&mut self, request: u64) -> Option<Event> {
        let ends = |event: &Event| event.is_terminal() && event.request() == Some(RequestId(request));
        let place = self.events.iter().position(ends)?;
        Some(self.events.remove(place))
    }
}
