//! The tracker's server, held to the laws: among clients over UDP and HTTP that mostly keep the protocols.
//!
//! Besides the laws of all machines: a datagram is answered once at most, to where it came from, and at no greater length than it has unless it shows an id
//! that was given to its address; what is written to a connection is whole answers.

use super::{Ask, Call, End, Subject, Way, hold, variants};
use bip::machine::{ConnId, Rng, Secret, SocketId};
use bip::proto::announce;
use bip::proto::announce::Progress;
use bip::proto::compact::Family;
use bip::proto::id::{InfoHash, PeerId};
use bip::proto::udp_tracker::{
    Announce, ConnectionId, Options, Request, Response, TransactionId, encode_scrape_request,
};
use bip::tracker::server::{Access, Command, Config, Event, Everybody, RequestId, Server, Start, SwarmLimits, Swarms};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The source of what a server is told.
const SOURCE: &str = include_str!("../../../src/tracker/server/command.rs");
/// Addresses of each family.
const ADDRESSES: u32 = 40;
const MAX_LISTED: usize = 4;
const MAX_UNREAD: usize = 3_000;
const MAX_HEAD: usize = 1_000;
/// What may come besides before a host does as it is asked and reads no more.
const PIECE: usize = 4 << 10;

const WAYS: &[Way] = {
    use Way::*;
    &[
        Commands, Time, Time, Timeouts, Open, Open, Stale, Datagrams, Datagrams, Datagrams, Datagrams, Stream, Stream,
        Stream, Stream, Stream, Writable, Writable, End, Close,
    ]
};

#[derive(Default)]
struct Clients {
    /// Commands made so far.
    commands: u64,
    /// The ids that were given.
    ids: BTreeMap<IpAddr, ConnectionId>,
    /// How long the datagram was that came last, and from where.
    asked: Option<(SocketId, SocketAddr, usize)>,
    /// What each connection has been written that is no whole answer yet.
    answers: BTreeMap<ConnId, Vec<u8>>,
    /// What each client has begun to send.
    begun: BTreeMap<ConnId, Vec<u8>>,
}

fn anybody(rng: &mut Rng) -> SocketAddr {
    let n = rng.below(ADDRESSES) as u16;
    match rng.below(5) {
        0 | 1 => SocketAddr::from(([0x2a00, 0, 0, 0, 0, 0, 0, n], 7_000)),
        2 => SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0x1700, n], 7_000)),
        _ => SocketAddr::from(([23, 0, (n >> 8) as u8, n as u8], 7_000)),
    }
}

fn info_hash(rng: &mut Rng) -> InfoHash {
    InfoHash([rng.below(9) as u8; 20])
}

fn event(rng: &mut Rng) -> announce::Event {
    use announce::Event;
    *rng.choose(&[Event::None, Event::None, Event::Started, Event::Completed, Event::Stopped, Event::Paused])
        .expect("there are some")
}

fn asked(rng: &mut Rng) -> Announce<'static> {
    let options: [&[u8]; 4] = [b"", b"\x02\x04/key", b"\x02\xff", b"\x01\x00"];
    Announce {
        progress: Progress { left: u64::from(rng.below(3)), ..Progress::default() },
        event: event(rng),
        num_want: (rng.below(2) == 0).then(|| rng.below(1_000)),
        port: rng.below(4) as u16,
        options: Options::new(rng.choose(&options).expect("there are four")),
        ..Announce::new(info_hash(rng), PeerId([rng.below(256) as u8; 20]))
    }
}

fn target(rng: &mut Rng) -> String {
    let hash = format!("%{:02x}", rng.below(9)).repeat(20);
    match rng.below(8) {
        0 => "/".into(),
        1 => format!("/scrape?info_hash={hash}"),
        2 => "/announce?info_hash=%0".into(),
        _ => format!(
            "/announce?info_hash={hash}&peer_id={}&port={}&left={}&compact={}&event={}&numwant={}",
            "p".repeat(20),
            rng.below(4),
            rng.below(2),
            rng.below(2),
            event(rng).name(),
            rng.below(500),
        ),
    }
}

fn request(rng: &mut Rng) -> String {
    let target = target(rng);
    match rng.below(20) {
        0 => format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"),
        1 => format!("GET {target} HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody"),
        2 => format!("GET {target} HTTP/1.0\r\n\r\n"),
        3 => "x".repeat(rng.below(1_500) as usize),
        4 => format!("GET {target} HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 9.9.9.{}\r\n\r\n", rng.below(9)),
        _ => format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n"),
    }
}

impl Subject for Clients {
    type Machine = Server;

    fn machine(&mut self, seed: u64) -> Server {
        let secret = Secret::new([seed as u8; 32]);
        let limits = SwarmLimits {
            torrents: 6,
            peers: 60,
            peers_per_torrent: 25,
            peer_timeout: Duration::from_secs(if seed % 2 == 0 { 60 } else { 3_000 }),
        };
        let config = Config {
            max_listed: MAX_LISTED,
            max_connections: 5,
            max_connections_per_address: 2,
            max_unread: MAX_UNREAD,
            max_head: MAX_HEAD,
            proxies: if seed % 3 == 0 { vec![[10, 0, 0, 1].into()] } else { Vec::new() },
            ..Config::default()
        };
        let swarms = Arc::new(Swarms::new(limits, &secret));
        Server::new(config, Start::default(), swarms, Box::new(Everybody), Rng::new(seed), &secret)
    }

    fn command(&mut self, rng: &mut Rng) -> Command {
        self.commands += 1;
        let list = (0..rng.below(8)).map(|_| info_hash(rng)).collect();
        let access = match rng.below(6) {
            0 => Access::Allow(list),
            1 | 2 => Access::Deny(list),
            _ => Access::All,
        };
        // Names are used again, as programs may.
        let request = RequestId(self.commands % 10);
        if rng.below(5) == 0 { Command::Sweep { request } } else { Command::SetAccess { request, access } }
    }

    fn ask(&self, command: &Command) -> Option<Ask> {
        match command {
            Command::SetAccess { request, .. } => {
                Some(Ask { about: format!("{request:?}"), kind: "access".to_owned() })
            }
            Command::Sweep { request } => Some(Ask { about: format!("{request:?}"), kind: "sweep".to_owned() }),
            other => panic!("what does {other:?} ask?"),
        }
    }

    fn end(&self, event: &Event) -> Option<End> {
        match event {
            Event::AccessSet { request, listed } => {
                assert!(*listed <= MAX_LISTED);
                Some(End { about: format!("{request:?}"), kind: Some("access".to_owned()) })
            }
            Event::Sweeping { request } => Some(End { about: format!("{request:?}"), kind: Some("sweep".to_owned()) }),
            Event::Refused { request, .. } => Some(End { about: format!("{request:?}"), kind: None }),
            other => panic!("what does {other:?} end?"),
        }
    }

    fn most(&self, call: Call) -> usize {
        // An answer for each head, of which none is shorter than 16 bytes, among those that came before too; a few closes, or all that are late.
        4 + call.conns + (call.bytes + MAX_HEAD + PIECE + 1_500) / 16
    }

    fn ways(&self) -> &'static [Way] {
        WAYS
    }

    fn source(&self) -> Option<&'static str> {
        Some(SOURCE)
    }

    fn on_write(&mut self, conn: ConnId, bytes: &[u8]) {
        let answers = self.answers.entry(conn).or_default();
        answers.extend_from_slice(bytes);
        while let Some(end) = answers.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = std::str::from_utf8(&answers[..end]).expect("a head is text");
            assert!(head.starts_with("HTTP/1.1 "), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("it has a length");
            let whole = end + 4 + length.parse::<usize>().expect("it is a number");
            assert!(answers.len() >= whole, "an answer is written whole");
            answers.drain(..whole);
        }
        assert!(answers.is_empty(), "a part of an answer: {answers:?}");
    }

    fn stream(&mut self, conn: ConnId, rng: &mut Rng) -> Vec<u8> {
        let begun = self.begun.entry(conn).or_default();
        while begun.len() < 200 && rng.below(3) > 0 {
            begun.extend_from_slice(request(rng).as_bytes());
        }
        let length = if rng.below(2) == 0 { begun.len() } else { rng.below(begun.len() as u32 + 1) as usize };
        let mut bytes: Vec<u8> = begun.drain(..length).collect();
        if rng.below(20) == 0 && !bytes.is_empty() {
            let place = rng.below(bytes.len() as u32) as usize;
            bytes[place] ^= 1 << rng.below(8);
        }
        bytes
    }

    fn on_datagram(&mut self, socket: SocketId, to: SocketAddr, bytes: &[u8]) {
        let (by, from, length) = self.asked.take().expect("an answer to nobody");
        assert_eq!((by, from), (socket, to), "answered elsewhere");
        assert!(bytes.len() <= 1_400);
        match Response::decode(bytes, Family::of(to.ip())).expect("what is sent is an answer") {
            Response::Connect { connection, .. } => {
                assert!(bytes.len() <= length);
                self.ids.insert(to.ip().to_canonical(), connection);
            }
            _ => assert!(self.ids.contains_key(&to.ip().to_canonical()), "it has no id"),
        }
    }

    fn datagram(&mut self, rng: &mut Rng) -> Option<(SocketId, SocketAddr, Vec<u8>)> {
        let (socket, from, transaction) = (SocketId(rng.below(3)), anybody(rng), TransactionId(rng.below(9)));
        let ip = from.ip().to_canonical();
        let known = self.ids.get(&ip).copied().filter(|_| rng.below(10) > 0);
        let mut bytes = Vec::new();
        match (rng.below(8), known) {
            (0, _) | (1..=5, None) => Request::Connect { transaction }.encode(&mut bytes),
            (1..=5, Some(connection)) => {
                Request::Announce { connection, transaction, announce: asked(rng) }.encode(&mut bytes);
            }
            (6, known) => {
                let hashes: Vec<InfoHash> = (0..rng.below(80)).map(|_| info_hash(rng)).collect();
                let connection = known.unwrap_or(ConnectionId(rng.next_u64()));
                encode_scrape_request(connection, transaction, hashes, &mut bytes);
            }
            _ => bytes = (0..rng.below(120)).map(|_| rng.next_u64() as u8).collect(),
        }
        if rng.below(12) == 0 && !bytes.is_empty() {
            let place = rng.below(bytes.len() as u32) as usize;
            bytes[place] ^= 1 << rng.below(8);
        }
        if rng.below(20) == 0 {
            bytes.truncate(rng.below(100) as usize);
        }
        self.asked = Some((socket, from, bytes.len()));
        Some((socket, from, bytes))
    }
}

#[test]
fn the_trackers_server_keeps_the_laws() {
    if let Some(tally) = hold("the_trackers_server_keeps_the_laws", Clients::default, 30, 1_500) {
        let told: BTreeSet<&str> = tally.told.keys().map(String::as_str).collect();
        assert_eq!(variants::declared(SOURCE, "Event"), told, "the scripts do not bring it to tell all that it can");
    }
}
