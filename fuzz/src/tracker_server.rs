//! A tracker's server with the host's side of the contract, and what is held against it after every call.

use crate::script::{Reader, name};
use bip::machine::{CloseReason, ConnId, Input, Instant, Machine, Output, Part, Rng, Secret, SocketId};
use bip::proto::announce::{self, Progress};
use bip::proto::compact::Family;
use bip::proto::http_tracker::{self, Reply};
use bip::proto::id::{InfoHash, PeerId};
use bip::proto::udp_tracker::{
    Announce, ConnectionId, InfoHashes, Options, Request, Response, TransactionId,
};
use bip::tracker::server::{
    Access, Command, Config, Event, Everybody, RequestId, Server, Start, SwarmLimits, Swarms,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Steps that one script makes at most: what follows is left.
const MOST_STEPS: usize = 2_000;
/// Addresses of each family.
const ADDRESSES: u8 = 12;
const TORRENTS: usize = 4;
const PEERS: usize = 20;
const PEERS_PER_TORRENT: usize = 9;
const MAX_PEERS: usize = 6;
const MAX_REPLY: usize = 128;
const MAX_SCRAPE: usize = 5;
const MAX_LISTED: usize = 3;
const MAX_CONNECTIONS: usize = 4;
const MAX_HEAD: usize = 600;
const MAX_UNREAD: usize = 2_000;
/// The longest answer over HTTP: a head, the figures, and the peers or the torrents of a scrape.
const LONGEST_ANSWER: usize = 8_000;

/// Everything that can happen to a tracker: datagrams, connections, requests whole and in parts, lists, and time.
///
/// The first byte says what kind of server it is; then each step is a byte that chooses it, and what it needs.
pub fn tracker_server(data: &[u8]) {
    play(data);
}

/// Gives the kinds of commands and events that a script of [`tracker_server`] reaches.
pub fn tracker_server_reaches(data: &[u8]) -> BTreeSet<String> {
    play(data)
}

fn play(data: &[u8]) -> BTreeSet<String> {
    let reader = &mut Reader(data);
    let mut stage = Stage::new(reader.byte());
    for _ in 0..MOST_STEPS {
        if reader.0.is_empty() {
            break;
        }
        stage.step(reader);
        stage.check();
    }
    stage.finish();
    stage.reached
}

/// A connection, as its client sees it.
#[derive(Default)]
struct Client {
    unread: usize,
    closed: bool,
    stopped: bool,
}

/// A server at play.
struct Stage {
    server: Server,
    swarms: Arc<Swarms>,
    now: Instant,
    metrics: bool,
    /// The ids that were given, and when.
    ids: BTreeMap<IpAddr, (ConnectionId, Instant)>,
    /// Whoever has announced: only these are told of.
    announced: BTreeSet<SocketAddr>,
    /// The datagram that came last and its answers.
    answers: usize,
    conns: BTreeMap<ConnId, Client>,
    next: u32,
    unanswered: usize,
    reached: BTreeSet<String>,
}

fn address(n: u8) -> SocketAddr {
    match n % (2 * ADDRESSES) {
        0 => SocketAddr::from(([127, 0, 0, 1], 9)),
        1 => SocketAddr::from(([10, 0, 0, 1], 9)),
        // In the dress of the other family.
        2 => SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0x0501, 1], 9)),
        n if n < ADDRESSES => SocketAddr::from(([5, 1, 0, n], 9)),
        n => SocketAddr::from(([0x2a00, 0, 0, 0, 0, 0, 0, n.into()], 9)),
    }
}

fn hash(n: u8) -> InfoHash {
    InfoHash([n % 6; 20])
}

fn event(n: u8) -> announce::Event {
    announce::Event::from_number(u32::from(n % 5)).expect("there are five")
}

impl Stage {
    fn new(kind: u8) -> Self {
        let secret = Secret::new([kind; 32]);
        let limits = SwarmLimits {
            torrents: TORRENTS,
            peers: PEERS,
            peers_per_torrent: PEERS_PER_TORRENT,
            peer_timeout: Duration::from_secs(if kind & 1 == 0 { 60 } else { 3_600 }),
        };
        let config = Config {
            default_peers: 4,
            max_peers: MAX_PEERS,
            max_reply: MAX_REPLY,
            max_scrape: MAX_SCRAPE,
            max_listed: MAX_LISTED,
            max_connections: MAX_CONNECTIONS,
            max_connections_per_address: 2,
            max_head: MAX_HEAD,
            max_unread: MAX_UNREAD,
            proxies: if kind & 2 == 0 { Vec::new() } else { vec![address(1).ip()] },
            named_addresses: kind & 4 != 0,
            ..Config::default()
        };
        let swarms = Arc::new(Swarms::new(limits, &secret));
        let metrics = kind & 56 == 56;
        let start = Start { metrics, ..Start::default() };
        let rng = Rng::new(kind.into());
        Self {
            server: Server::new(config, start, Arc::clone(&swarms), Box::new(Everybody), rng, &secret),
            swarms,
            now: Instant::from_micros(1_000_000_000),
            metrics,
            ids: BTreeMap::new(),
            announced: BTreeSet::new(),
            answers: 0,
            conns: BTreeMap::new(),
            next: 0,
            unanswered: 0,
            reached: BTreeSet::new(),
        }
    }

    fn step(&mut self, reader: &mut Reader<'_>) {
        match reader.below(16) {
            0 => {
                self.now += Duration::from_micros(1 << (reader.byte() % 46));
                self.settle();
            }
            1 => {
                // The clock goes back.
                self.now = self.now - Duration::from_micros(1 << (reader.byte() % 36));
                self.server.handle_timeout(self.now);
                self.drain(None);
            }
            2 => {
                // Early, and twice.
                self.server.handle_timeout(self.now);
                self.drain(None);
                self.settle();
            }
            3..=7 => self.datagram(reader),
            8 => {
                let (from, length) = (address(reader.byte()), reader.byte());
                let bytes = reader.take(length.into()).to_vec();
                self.give(from, &bytes);
            }
            9 => {
                let conn = ConnId { slot: self.next, generation: reader.byte().into() };
                self.next += 1;
                self.conns.insert(conn, Client::default());
                let from = address(reader.byte());
                self.input(Input::Accepted { conn, from, local: address(20) });
            }
            10 | 11 => self.request(reader),
            12 => {
                let Some(conn) = self.pick(reader) else { return };
                let length = reader.byte();
                let bytes = reader.take(length.into()).to_vec();
                self.stream(conn, &bytes);
            }
            13 => {
                // Some or all of what was written is read.
                let (Some(conn), kept) = (self.pick(reader), reader.byte()) else { return };
                let client = self.conns.get_mut(&conn).expect("it was picked");
                client.unread = client.unread * usize::from(kept) / 400;
                let queued = client.unread;
                self.input(Input::Writable { conn, queued });
            }
            14 => {
                let (Some(conn), how) = (self.pick(reader), reader.byte()) else { return };
                if how % 2 == 0 {
                    self.input(Input::End { conn });
                } else {
                    self.conns.remove(&conn);
                    let reason = if how % 4 == 1 { CloseReason::Ours } else { CloseReason::Theirs };
                    self.input(Input::Closed { conn, reason });
                }
            }
            _ => {
                let (kind, request) = (reader.byte(), RequestId(reader.byte().into()));
                let list = (0..reader.below(6)).map(|_| hash(reader.byte())).collect();
                let set = |access| Command::SetAccess { request, access };
                let command = match kind % 5 {
                    0 => set(Access::Allow(list)),
                    1 => set(Access::Deny(list)),
                    2 => Command::Sweep { request },
                    _ => set(Access::All),
                };
                self.reached.insert(name(&command));
                self.unanswered += 1;
                self.server.handle_command(self.now, command);
                self.drain(None);
                assert_eq!(self.unanswered, 0, "a command without its answer");
            }
        }
    }

    /// A client over UDP that mostly keeps the protocol.
    fn datagram(&mut self, reader: &mut Reader<'_>) {
        let (from, how) = (address(reader.byte()), reader.byte());
        let transaction = TransactionId(how.into());
        let id = self.ids.get(&from.ip().to_canonical()).map(|(id, _)| *id).filter(|_| how < 250);
        let connection = id.unwrap_or(ConnectionId(u64::from(how) << 48));
        let mut bytes = Vec::new();
        match how % 8 {
            0 => Request::Connect { transaction }.encode(&mut bytes),
            1 => {
                let hashes = [0, 1, 2, 3, 4, 5, 6, 7].map(|n| hash(n ^ how).0).concat();
                let count = usize::from(reader.below(9));
                let info_hashes = InfoHashes::new(&hashes[..20 * count]);
                Request::Scrape { connection, transaction, info_hashes }.encode(&mut bytes);
            }
            _ => {
                let (torrent, what, want) = (reader.byte(), reader.byte(), reader.byte());
                let announce = Announce {
                    progress: Progress { left: u64::from(what & 1), ..Progress::default() },
                    event: event(what >> 1),
                    num_want: (want < 200).then_some(want.into()),
                    port: u16::from(what >> 5),
                    options: Options::new(if what >> 4 & 1 == 0 { b"" } else { b"\x02\x01/\x00" }),
                    ..Announce::new(hash(torrent), PeerId([how; 20]))
                };
                Request::Announce { connection, transaction, announce }.encode(&mut bytes);
            }
        }
        if id.is_none() && how % 8 != 0 && how < 250 {
            // It asks for an id first.
            let mut connect = Vec::new();
            Request::Connect { transaction }.encode(&mut connect);
            self.give(from, &connect);
            if let Some((id, _)) = self.ids.get(&from.ip().to_canonical()) {
                bytes[..8].copy_from_slice(&id.0.to_be_bytes());
            }
        }
        self.give(from, &bytes);
    }

    fn give(&mut self, from: SocketAddr, bytes: &[u8]) {
        if let Ok(Request::Announce { announce, .. }) = Request::decode(bytes) {
            self.announced.insert(SocketAddr::new(from.ip().to_canonical(), announce.port));
        }
        let input = Input::Datagram { socket: SocketId(7), from, bytes };
        self.answers = 0;
        self.server.handle_input(self.now, input);
        self.drain(Some((from, bytes)));
    }

    /// A client over HTTP that keeps the protocol.
    fn request(&mut self, reader: &mut Reader<'_>) {
        let Some(conn) = self.pick(reader) else { return };
        let (how, torrent, what) = (reader.byte(), reader.byte(), reader.byte());
        let torrent = format!("%{:02x}", hash(torrent).0[0]).repeat(20);
        let target = match how % 8 {
            0 => format!("/scrape?info_hash={torrent}&info_hash={torrent}"),
            1 => "/metrics".to_owned(),
            2 => "/announce?".to_owned(),
            _ => format!(
                "/announce?info_hash={torrent}&peer_id={}&port={}&left={}&event={}&compact={}&ip=5.1.0.9",
                "p".repeat(20),
                what >> 5,
                what & 1,
                event(what >> 1).name(),
                what >> 4 & 1,
            ),
        };
        let proxied = if how & 8 == 0 { "" } else { "X-Forwarded-For: 5.1.0.8\r\n" };
        let close = if how & 112 == 112 { "Connection: close\r\n" } else { "" };
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\n{proxied}{close}\r\n");
        // Whoever it is that announces, it is one of these.
        for n in 0..2 * ADDRESSES {
            self.announced.insert(SocketAddr::new(address(n).ip().to_canonical(), (what >> 5).into()));
        }
        // Now and then a part is missing, which the next one brings, or does not.
        let length = if how == 255 { request.len() / 2 } else { request.len() };
        self.stream(conn, &request.as_bytes()[..length]);
    }

    /// Picks a connection.
    fn pick(&self, reader: &mut Reader<'_>) -> Option<ConnId> {
        let n = usize::from(reader.byte());
        self.conns.keys().nth(n % self.conns.len().max(1)).copied()
    }

    fn stream(&mut self, conn: ConnId, bytes: &[u8]) {
        // The host gives nothing of what is closed; a little may come of what is not to be read.
        if !bytes.is_empty() && !self.conns[&conn].closed {
            self.input(Input::Stream { conn, bytes });
        }
    }

    fn input(&mut self, input: Input<'_, bip::machine::NoJobs>) {
        self.server.handle_input(self.now, input);
        self.drain(None);
    }

    /// The future is reached in a bounded number of calls.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.server.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.server.handle_timeout(self.now);
            self.drain(None);
        }
        panic!("timers spin");
    }

    /// Takes what a call gave; `asked` is the datagram that it was given.
    fn drain(&mut self, asked: Option<(SocketAddr, &[u8])>) {
        let (mut buf, mut count) = (vec![0], 0);
        while let Some(output) = self.server.poll_output(&mut buf) {
            count += 1;
            assert!(count <= 100, "outputs without end");
            match output {
                Output::Datagram { socket, to, bytes } => {
                    let (from, request) = asked.expect("nobody asked");
                    self.answers += 1;
                    assert!(!self.metrics && self.answers == 1, "an answer too many");
                    assert_eq!((socket, to), (SocketId(7), from), "answered elsewhere");
                    self.on_answer(to, request, &buf[bytes]);
                }
                Output::Write { conn, part: Part::Bytes(range) } => {
                    let client = self.conns.get_mut(&conn).expect("it is there");
                    assert!(!client.closed, "written to after its close");
                    client.unread += range.len();
                    assert!(client.unread <= MAX_UNREAD + LONGEST_ANSWER, "{} bytes wait", client.unread);
                    let answer = buf[range].to_vec();
                    self.on_http_answer(&answer);
                }
                Output::Close { conn, .. } => {
                    let client = self.conns.get_mut(&conn).expect("it is there");
                    assert!(!std::mem::replace(&mut client.closed, true), "closed twice");
                }
                Output::StopReading { conn } | Output::ResumeReading { conn } => {
                    let stop = matches!(output, Output::StopReading { .. });
                    let client = self.conns.get_mut(&conn).expect("it is there");
                    assert_ne!(std::mem::replace(&mut client.stopped, stop), stop, "told twice");
                }
                other => panic!("a server asks for {other:?}"),
            }
        }
        while let Some(event) = self.server.poll_event() {
            self.reached.insert(name(&event));
            assert!(matches!(event, Event::AccessSet { .. } | Event::Sweeping { .. } | Event::Refused { .. }));
            assert!(self.unanswered > 0, "nobody asked");
            self.unanswered -= 1;
            if let Event::AccessSet { listed, .. } = event {
                assert!(listed <= MAX_LISTED);
            }
        }
    }

    fn on_answer(&mut self, to: SocketAddr, request: &[u8], bytes: &[u8]) {
        let (ip, family) = (to.ip().to_canonical(), Family::of(to.ip()));
        let answer = Response::decode(bytes, family).expect("what is sent is an answer");
        let transaction = request[12..16].try_into().map(u32::from_be_bytes).expect("4 bytes");
        assert_eq!(answer.transaction().0, transaction, "the answer to something else");
        if let Response::Connect { connection, .. } = answer {
            assert!(bytes.len() <= request.len(), "longer than the question");
            self.ids.insert(ip, (connection, self.now));
            return;
        }
        // Whatever else is answered, an id was shown that was given to this address.
        let shown = ConnectionId(request[..8].try_into().map(u64::from_be_bytes).expect("8 bytes"));
        assert!(self.ids.contains_key(&ip), "nothing was ever given to {ip}");
        if let Some((id, given)) = self.ids.get(&ip).filter(|(id, _)| *id == shown) {
            assert!(self.now.since(*given) < Duration::from_secs(122), "{id:?} is old");
        }
        assert!(bytes.len() <= MAX_REPLY, "{} bytes", bytes.len());
        match (answer, Request::decode(request)) {
            (Response::Announce { head, peers, ignored, .. }, Ok(Request::Announce { announce, .. })) => {
                let asker = SocketAddr::new(ip, announce.port);
                let peers: Vec<SocketAddr> = peers.iter().collect();
                let different: BTreeSet<&SocketAddr> = peers.iter().collect();
                assert!(different.len() == peers.len() && !different.contains(&asker) && ignored == 0);
                assert!(peers.iter().all(|peer| peer.port() != 0 && self.announced.contains(peer)));
                let wanted = announce.num_want.map_or(4, |want| want as usize).min(MAX_PEERS);
                assert!(peers.len() <= wanted, "more than are wanted");
                assert!((head.seeders + head.leechers) as usize <= PEERS_PER_TORRENT);
                assert!(announce.event != announce::Event::Stopped || peers.is_empty());
            }
            (Response::Scrape { stats, .. }, Ok(Request::Scrape { info_hashes, .. })) => {
                assert_eq!(stats.len(), info_hashes.len().min(MAX_SCRAPE));
            }
            (Response::Error { reason, .. }, _) => assert!(!reason.as_bytes().is_empty()),
            (answer, request) => panic!("{answer:?} to {request:?}"),
        }
    }

    fn on_http_answer(&self, answer: &[u8]) {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let (head, body) = answer.split_at(end);
        let head = std::str::from_utf8(head).expect("a head is text");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        assert_eq!(length.parse(), Ok(body.len()));
        if self.metrics || !head.starts_with("HTTP/1.1 200 ") {
            return;
        }
        let limits = http_tracker::Limits::default();
        match (http_tracker::decode_announce(body, &limits), http_tracker::decode_scrape(body, &limits)) {
            (Ok(Reply::Success(reply)), _) => {
                let peers: Vec<SocketAddr> = reply.addresses().collect();
                assert!(peers.len() <= MAX_PEERS && reply.dropped == 0);
                assert!(peers.iter().all(|peer| peer.port() != 0));
            }
            (Ok(Reply::Failure(_)), _) | (_, Ok(_)) => {}
            (announce, scrape) => panic!("no answer: {announce:?}, {scrape:?}"),
        }
    }

    fn check(&self) {
        let (tally, figures) = (self.swarms.tally(), self.swarms.figures());
        assert!(tally.torrents <= TORRENTS && tally.peers() <= PEERS, "{tally:?}");
        assert_eq!(self.swarms.size(), tally.torrents + tally.peers(), "what is counted twice is the same");
        assert!(figures.open() as usize <= MAX_CONNECTIONS, "{figures:?}");
        let open = self.conns.values().filter(|client| !client.closed).count();
        // Those who read figures are not among them.
        assert_eq!(figures.open() as usize, if self.metrics { 0 } else { open });
        assert!(open <= MAX_CONNECTIONS);
    }

    /// Everybody goes: nothing is left.
    fn finish(&mut self) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.conns.remove(&conn);
            self.input(Input::Closed { conn, reason: CloseReason::Ours });
        }
        self.check();
        // Longer than any clock went back.
        for _ in 0..200 {
            self.now += Duration::from_secs(20 * 3_600);
            self.settle();
            if self.server.poll_timeout().is_none() {
                break;
            }
        }
        assert_eq!((self.server.poll_timeout(), self.swarms.size()), (None, 0), "something is left for ever");
    }
}
