//! The tracker's server: each datagram and request made by hand, each answer looked at.

mod datagrams;
#[cfg(feature = "reactor")]
mod handle;
mod hostile;
mod model;
mod requests;
mod room;
mod rules;
mod slow;
mod smuggling;
mod time;

use bip::machine::{CloseReason, ConnId, Input, Instant, Machine, Output, Part, Rng, Secret, SocketId};
use bip::proto::announce::{Event, Progress};
use bip::proto::compact::Family;
use bip::proto::id::{InfoHash, PeerId};
use bip::proto::udp_tracker::{self, AnnounceHead, ConnectionId, Request, Response, Stats, TransactionId};
use bip::tracker::server::{Config, Everybody, Policy, Server, Start, SwarmLimits, Swarms};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const TRANSACTION: TransactionId = TransactionId(0x7a7a_0001);

/// A server and its host.
struct Host {
    server: Server,
    swarms: Arc<Swarms>,
    now: Instant,
    conns: BTreeMap<ConnId, Client>,
    next: u32,
}

/// What a connection's client has got.
#[derive(Debug, Default)]
struct Client {
    read: Vec<u8>,
    /// Closed by the server, having flushed or not.
    closed: Option<bool>,
    stopped: bool,
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("it is an address")
}

fn v4(n: u32) -> SocketAddr {
    SocketAddr::from(([23, (n >> 16) as u8, (n >> 8) as u8, n as u8], 50_000))
}

/// Each in a network of its own.
fn v6(n: u32) -> SocketAddr {
    SocketAddr::from(([0x2a00, 0, (n >> 16) as u16, n as u16, 0, 0, 0, 1], 50_000))
}

fn hash(n: u8) -> InfoHash {
    InfoHash([n; 20])
}

/// An announce of somebody who lacks something, at port 6881.
fn announce(info_hash: InfoHash) -> udp_tracker::Announce<'static> {
    udp_tracker::Announce {
        progress: Progress { left: 1, ..Progress::default() },
        port: 6_881,
        ..udp_tracker::Announce::new(info_hash, PeerId([b'p'; 20]))
    }
}

fn seeding(info_hash: InfoHash) -> udp_tracker::Announce<'static> {
    udp_tracker::Announce { progress: Progress::default(), ..announce(info_hash) }
}

fn stopping(info_hash: InfoHash) -> udp_tracker::Announce<'static> {
    udp_tracker::Announce { event: Event::Stopped, ..announce(info_hash) }
}

fn encode(request: Request<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    bytes
}

fn encode_announce(connection: ConnectionId, announce: udp_tracker::Announce<'_>) -> Vec<u8> {
    encode(Request::Announce { connection, transaction: TRANSACTION, announce })
}

fn encode_scrape(connection: ConnectionId, hashes: &[InfoHash]) -> Vec<u8> {
    let mut bytes = encode(Request::Scrape {
        connection,
        transaction: TRANSACTION,
        info_hashes: udp_tracker::InfoHashes::new(&[]),
    });
    hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.0));
    bytes
}

fn connect() -> Vec<u8> {
    encode(Request::Connect { transaction: TRANSACTION })
}

fn reason(answer: &[u8]) -> String {
    match Response::decode(answer, Family::V4) {
        Ok(Response::Error { reason, transaction: TRANSACTION }) => reason.to_string(),
        other => panic!("no refusal: {other:?}"),
    }
}

impl Host {
    fn new(config: Config) -> Self {
        Self::with(config, SwarmLimits::default(), Start::default(), Box::new(Everybody))
    }

    fn with(config: Config, limits: SwarmLimits, start: Start, policy: Box<dyn Policy>) -> Self {
        let secret = Secret::new([5; 32]);
        let swarms = Arc::new(Swarms::new(limits, &secret));
        let server = Server::new(config, start, Arc::clone(&swarms), policy, Rng::new(1), &secret);
        let now = Instant::from_micros(1_000_000_000);
        Self { server, swarms, now, conns: BTreeMap::new(), next: 0 }
    }

    /// Takes what the server asks for; gives the datagrams.
    fn drain(&mut self) -> Vec<(SocketId, SocketAddr, Vec<u8>)> {
        let (mut buf, mut sent) = (Vec::new(), Vec::new());
        while let Some(output) = self.server.poll_output(&mut buf) {
            match output {
                Output::Datagram { socket, to, bytes } => sent.push((socket, to, buf[bytes].to_vec())),
                Output::Write { conn, part: Part::Bytes(range) } => {
                    let client = self.conns.get_mut(&conn).expect("it is there");
                    assert_eq!(client.closed, None, "written to after its close");
                    client.read.extend_from_slice(&buf[range]);
                }
                Output::Close { conn, flush } => {
                    let client = self.conns.get_mut(&conn).expect("it is there");
                    assert_eq!(client.closed.replace(flush), None, "closed twice");
                }
                Output::StopReading { conn } => self.conns.get_mut(&conn).expect("it is there").stopped = true,
                Output::ResumeReading { conn } => self.conns.get_mut(&conn).expect("it is there").stopped = false,
                other => panic!("a server asks for {other:?}"),
            }
        }
        sent
    }

    /// Time passes, timer by timer.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut calls = 0;
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end) {
            calls += 1;
            assert!(calls < 10_000_000, "timers spin");
            self.now = at.max(self.now);
            self.server.handle_timeout(self.now);
            assert_eq!(self.drain(), [], "nobody asked");
        }
        self.now = end;
    }

    /// A datagram comes; gives the answer, which goes back to where it came from.
    fn ask(&mut self, from: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let socket = SocketId(3);
        self.server.handle_input(self.now, Input::Datagram { socket, from, bytes });
        let mut sent = self.drain();
        assert!(sent.len() <= 1, "several answers");
        let (by, to, bytes) = sent.pop()?;
        assert_eq!((by, to), (socket, from), "answered elsewhere");
        Some(bytes)
    }

    fn connect(&mut self, from: SocketAddr) -> ConnectionId {
        let answer = self.ask(from, &connect()).expect("a connect is answered");
        match Response::decode(&answer, Family::V4) {
            Ok(Response::Connect { transaction: TRANSACTION, connection }) => connection,
            other => panic!("no connection id: {other:?}"),
        }
    }

    /// Connects and announces; gives the figures and the peers.
    fn announce(&mut self, from: SocketAddr, announce: udp_tracker::Announce<'_>) -> (AnnounceHead, Vec<SocketAddr>) {
        let id = self.connect(from);
        let answer = self.ask(from, &encode_announce(id, announce)).expect("an announce is answered");
        let family = Family::of(from.ip());
        match Response::decode(&answer, family) {
            Ok(Response::Announce { transaction: TRANSACTION, head, peers, ignored: 0 }) => {
                (head, peers.iter().collect())
            }
            other => panic!("not answered: {other:?}"),
        }
    }

    fn scrape(&mut self, from: SocketAddr, hashes: &[InfoHash]) -> Vec<Stats> {
        let id = self.connect(from);
        let answer = self.ask(from, &encode_scrape(id, hashes)).expect("a scrape is answered");
        match Response::decode(&answer, Family::V4) {
            Ok(Response::Scrape { transaction: TRANSACTION, stats }) => stats.iter().collect(),
            other => panic!("not answered: {other:?}"),
        }
    }

    /// Somebody connects.
    fn accept(&mut self, from: SocketAddr) -> ConnId {
        let conn = ConnId { slot: self.next, generation: 0 };
        self.next += 1;
        self.conns.insert(conn, Client::default());
        self.server.handle_input(self.now, Input::Accepted { conn, from, local: at("192.0.2.1:80") });
        self.drain();
        conn
    }

    /// A client sends something, in pieces of so many bytes at most.
    fn send(&mut self, conn: ConnId, bytes: &[u8], piece: usize) {
        for bytes in bytes.chunks(piece.max(1)) {
            self.server.handle_input(self.now, Input::Stream { conn, bytes });
            self.drain();
        }
    }

    /// A client reads all but so many bytes of what is there for it; gives what it has read in all since the last call.
    fn read(&mut self, conn: ConnId, queued: usize) -> Vec<u8> {
        if self.client(conn).closed.is_none() {
            self.server.handle_input(self.now, Input::Writable { conn, queued });
            self.drain();
        }
        std::mem::take(&mut self.conns.get_mut(&conn).expect("it is there").read)
    }

    fn client(&self, conn: ConnId) -> &Client {
        &self.conns[&conn]
    }

    /// The host has closed a connection.
    fn gone(&mut self, conn: ConnId) {
        self.server.handle_input(self.now, Input::Closed { conn, reason: CloseReason::Ours });
        self.drain();
        self.conns.remove(&conn);
    }

    /// Sends one request on a connection of its own; gives the whole answer, as text as far as it is.
    fn get(&mut self, from: SocketAddr, request: &str) -> String {
        let conn = self.accept(from);
        self.send(conn, request.as_bytes(), usize::MAX);
        let answer = self.read(conn, 0);
        self.gone(conn);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A request for a target.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: tracker.example\r\n\r\n")
}

/// Escapes all bytes.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// The target of an announce of somebody who lacks something, at port 6881.
fn target(info_hash: InfoHash, more: &str) -> String {
    format!(
        "/announce?info_hash={}&peer_id=-XX0000-abcdefghijkl&port=6881&uploaded=0&downloaded=0&left=1{more}",
        escaped(&info_hash.0)
    )
}

/// Divides an answer into its head and its body, which is as long as the head says.
fn parts(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(answer[..end].to_vec()).expect("a head is text");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("it has a length");
    let body = answer[end..].to_vec();
    assert_eq!(length.parse(), Ok(body.len()), "{head}");
    (head, body)
}
