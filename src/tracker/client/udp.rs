//! UDP: connection ids, requests, retransmissions (BEP 15, BEP 41, BEP 7).

use super::address::may_be_peer;
use super::command::AnnounceReply;
use super::error::Error;
use super::machine::{Client, Timer};
use super::request::{Ask, Exchange, Slot, Stage, Step};
use crate::machine::{Instant, Map, Output, Rng, Secret, SocketId};
use crate::proto::announce::Event as Reason;
use crate::proto::compact::Family;
use crate::proto::http_tracker::ScrapeFile;
use crate::proto::tracker_url::TrackerUrl;
use crate::proto::udp_tracker::{
    self as wire, ConnectionId, MAX_SCRAPE, Options, Response, TransactionId, encode_scrape_request, encode_url_data,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// How many requests one call sends.
const SENDS_PER_CALL: usize = 256;

/// What an answer is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// A connect to this address.
    Connect(SocketAddr),
    /// A request.
    Request(Slot),
}

/// What is known of an address: a connection id, or that it was asked for.
#[derive(Debug)]
enum Connection {
    Asked { socket: SocketId, transaction: u32, sent: u32, waiting: BTreeSet<Slot> },
    Open { id: ConnectionId, since: Instant },
}

/// A datagram to be written when the host asks for it.
#[derive(Debug, Clone, Copy)]
enum Sending {
    Connect(SocketAddr),
    Request(Slot, ConnectionId),
}

/// The UDP side of a client.
pub(super) struct Udp {
    /// The sockets of IPv4 and IPv6.
    pub(super) sockets: [Option<SocketId>; 2],
    awaited: Map<u32, Awaited>,
    connections: BTreeMap<SocketAddr, Connection>,
    ready: VecDeque<Slot>,
    sending: VecDeque<Sending>,
    secret: Secret,
    count: u64,
}

impl Udp {
    pub(super) fn new(sockets: &[SocketAddr], secret: Secret, rng: &mut Rng) -> Self {
        let of = |family| {
            let at = sockets.iter().position(|address| Family::of(address.ip()) == family);
            at.and_then(|at| u32::try_from(at).ok()).map(SocketId)
        };
        Self {
            sockets: [of(Family::V4), of(Family::V6)],
            awaited: Map::new(rng),
            connections: BTreeMap::new(),
            ready: VecDeque::new(),
            sending: VecDeque::new(),
            secret,
            count: 0,
        }
    }

    pub(super) fn socket(&self, family: Family) -> Option<SocketId> {
        match family {
            Family::V4 => self.sockets[0],
            Family::V6 => self.sockets[1],
        }
    }

    fn family(&self, socket: SocketId) -> Option<Family> {
        match () {
            () if self.sockets[0] == Some(socket) => Some(Family::V4),
            () if self.sockets[1] == Some(socket) => Some(Family::V6),
            () => None,
        }
    }

    /// Takes a transaction id that nobody else can foretell.
    fn open(&mut self, awaited: Awaited) -> u32 {
        loop {
            let bytes = self.secret.expand("transaction", &self.count.to_be_bytes());
            self.count += 1;
            let id = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            if !self.awaited.contains_key(&id) {
                self.awaited.insert(id, awaited);
                return id;
            }
        }
    }

    /// Gives how many answers are awaited, and how many connects are under way.
    pub(super) fn usage(&self) -> (usize, usize) {
        let connects = self.connections.values().filter(|c| matches!(c, Connection::Asked { .. })).count();
        (self.awaited.len(), connects)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty()
    }
}

/// Says whether two addresses are the same to the protocol: flow and zone of IPv6 are the system's.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}

/// Gives how long the answer to something that was sent so often is waited for.
fn patience(first: Duration, sent: u32) -> Duration {
    first.saturating_mul(1 << sent.saturating_sub(1).min(8))
}

impl Client {
    /// Begins to ask an address.
    pub(super) fn begin_exchange(&mut self, now: Instant, slot: Slot, socket: SocketId, to: SocketAddr) {
        let exchange = Exchange {
            socket,
            to,
            stage: Stage::Waiting,
            transaction: None,
            sent: 0,
            since: now,
            asked: now,
            refused: false,
        };
        if let Some(request) = self.requests.get_mut(&slot) {
            request.step = Step::Udp(exchange);
        }
        self.connect(now, slot);
    }

    /// Has a request sent with a connection id, which is asked for where there is none.
    fn connect(&mut self, now: Instant, slot: Slot) {
        let Some(exchange) = self.requests.get_mut(&slot).and_then(|request| request.exchange()) else { return };
        let (to, socket) = (exchange.to, exchange.socket);
        match self.udp.connections.get_mut(&to) {
            Some(Connection::Open { since, .. }) if now.since(*since) < self.config.connection_life => {
                exchange.stage = Stage::Ready;
                self.udp.ready.push_back(slot);
            }
            Some(Connection::Asked { waiting, .. }) => {
                exchange.stage = Stage::Waiting;
                waiting.insert(slot);
            }
            _ => {
                exchange.stage = Stage::Waiting;
                let transaction = self.udp.open(Awaited::Connect(to));
                let asked = Connection::Asked { socket, transaction, sent: 0, waiting: BTreeSet::from([slot]) };
                self.udp.connections.insert(to, asked);
                self.send_connect(now, to);
            }
        }
    }

    fn send_connect(&mut self, now: Instant, to: SocketAddr) {
        let Some(Connection::Asked { sent, .. }) = self.udp.connections.get_mut(&to) else { return };
        *sent += 1;
        self.timers.set(Timer::Connection(to), now + patience(self.config.retransmit, *sent));
        self.udp.sending.push_back(Sending::Connect(to));
    }

    /// Sends what may be sent.
    pub(super) fn pump_datagrams(&mut self, now: Instant) {
        for _ in 0..SENDS_PER_CALL {
            let Some(slot) = self.udp.ready.pop_front() else { return };
            let Some(exchange) = self.requests.get_mut(&slot).and_then(|request| request.exchange()) else { continue };
            if exchange.stage != Stage::Ready {
                continue;
            }
            let id = match self.udp.connections.get(&exchange.to) {
                Some(Connection::Open { id, since }) if now.since(*since) < self.config.connection_life => *id,
                _ => {
                    self.connect(now, slot);
                    continue;
                }
            };
            if exchange.transaction.is_none() {
                exchange.transaction = Some(self.udp.open(Awaited::Request(slot)));
            }
            exchange.stage = Stage::Asked;
            exchange.sent += 1;
            exchange.asked = now;
            self.timers.set(Timer::Again(slot), now + patience(self.config.retransmit, exchange.sent));
            self.udp.sending.push_back(Sending::Request(slot, id));
        }
        if !self.udp.is_idle() {
            self.timers.set_by(Timer::Pump, now);
        }
    }

    /// Sends a connect again, or forgets a connection id that is too old.
    pub(super) fn on_connection_timer(&mut self, now: Instant, to: SocketAddr) {
        match self.udp.connections.get(&to) {
            Some(Connection::Asked { sent, .. }) if *sent <= self.config.max_retransmits => self.send_connect(now, to),
            Some(Connection::Asked { .. }) => {
                let Some(Connection::Asked { transaction, waiting, .. }) = self.udp.connections.remove(&to) else {
                    return;
                };
                self.udp.awaited.remove(&transaction);
                for slot in waiting {
                    self.fail(now, slot, Error::TimedOut);
                }
            }
            Some(Connection::Open { .. }) => {
                self.udp.connections.remove(&to);
            }
            None => {}
        }
    }

    /// Sends a request again that was not answered.
    pub(super) fn on_again(&mut self, now: Instant, slot: Slot) {
        let most = self.config.max_retransmits;
        let Some(exchange) = self.requests.get_mut(&slot).and_then(|request| request.exchange()) else { return };
        if exchange.sent > most {
            return self.fail(now, slot, Error::TimedOut);
        }
        let (to, begun) = (exchange.to, exchange.since);
        if let Some(Connection::Open { since, .. }) = self.udp.connections.get(&to) {
            if *since < begun {
                // The tracker may have forgotten it, and say nothing.
                self.udp.connections.remove(&to);
                self.timers.cancel(Timer::Connection(to));
            }
        }
        self.connect(now, slot);
    }

    /// Gives back what a request has of UDP.
    pub(super) fn end_exchange(&mut self, slot: Slot, exchange: Exchange) {
        self.timers.cancel(Timer::Again(slot));
        if let Some(transaction) = exchange.transaction {
            self.udp.awaited.remove(&transaction);
        }
        if let Some(Connection::Asked { transaction, waiting, .. }) = self.udp.connections.get_mut(&exchange.to) {
            let transaction = *transaction;
            waiting.remove(&slot);
            if waiting.is_empty() {
                // Nobody waits for it any more.
                self.udp.awaited.remove(&transaction);
                self.udp.connections.remove(&exchange.to);
                self.timers.cancel(Timer::Connection(exchange.to));
            }
        }
    }

    pub(super) fn on_datagram(&mut self, now: Instant, socket: SocketId, from: SocketAddr, bytes: &[u8]) {
        let Some(family) = self.udp.family(socket) else { return };
        let Ok(response) = Response::decode(bytes, family) else { return };
        match self.udp.awaited.get(&response.transaction().0).copied() {
            Some(Awaited::Connect(to)) => self.on_connect_answer(now, socket, to, from, response),
            Some(Awaited::Request(slot)) => self.on_answer(now, slot, socket, from, response),
            None => {}
        }
    }

    fn on_connect_answer(
        &mut self,
        now: Instant,
        at: SocketId,
        to: SocketAddr,
        from: SocketAddr,
        response: Response<'_>,
    ) {
        let Some(Connection::Asked { socket, .. }) = self.udp.connections.get(&to) else { return };
        if *socket != at || !is_same(to, from) {
            return;
        }
        let (open, refusal) = match response {
            Response::Connect { connection, .. } => (Some(Connection::Open { id: connection, since: now }), None),
            Response::Error { reason, .. } => (None, Some(reason.to_string())),
            _ => return,
        };
        let Some(Connection::Asked { transaction, waiting, .. }) = self.udp.connections.remove(&to) else { return };
        self.udp.awaited.remove(&transaction);
        self.timers.cancel(Timer::Connection(to));
        if let Some(open) = open {
            self.make_room();
            self.udp.connections.insert(to, open);
            self.timers.set(Timer::Connection(to), now + self.config.connection_life);
        }
        for slot in waiting {
            if let Some(reason) = &refusal {
                self.fail(now, slot, Error::Refused { reason: reason.clone(), retry: None });
            } else if let Some(exchange) = self.requests.get_mut(&slot).and_then(|request| request.exchange()) {
                exchange.stage = Stage::Ready;
                self.udp.ready.push_back(slot);
            }
        }
    }

    /// Forgets a connection id where there are as many as there may be: the one that comes first.
    fn make_room(&mut self) {
        let open = |c: &Connection| matches!(c, Connection::Open { .. });
        if self.udp.connections.len() >= self.config.max_connections.max(1) {
            let first = self.udp.connections.iter().find(|(_, c)| open(c)).map(|(to, _)| *to);
            if let Some(to) = first {
                self.udp.connections.remove(&to);
                self.timers.cancel(Timer::Connection(to));
            }
        }
    }

    fn on_answer(&mut self, now: Instant, slot: Slot, socket: SocketId, from: SocketAddr, response: Response<'_>) {
        let max_peers = self.config.max_peers;
        let Some(request) = self.requests.get_mut(&slot) else { return };
        let Step::Udp(exchange) = request.step else { return };
        if exchange.socket != socket || !is_same(exchange.to, from) {
            return;
        }
        match (response, &mut request.ask) {
            (Response::Announce { head, peers, .. }, Ask::Announce(_)) => {
                let reply = AnnounceReply {
                    interval: Duration::from_secs(head.interval.into()),
                    seeders: Some(head.seeders),
                    leechers: Some(head.leechers),
                    peers: peers.iter().filter(|peer| may_be_peer(*peer)).take(max_peers).collect(),
                    ..AnnounceReply::default()
                };
                self.announced(now, slot, reply);
            }
            (Response::Scrape { stats, .. }, Ask::Scrape { .. }) => {
                let mut stats = stats.iter();
                let part = request.part(MAX_SCRAPE).iter().map(|hash| match stats.next() {
                    Some(stats) => ScrapeFile {
                        complete: Some(stats.seeders),
                        downloaded: Some(stats.completed),
                        incomplete: Some(stats.leechers),
                        ..ScrapeFile::new(*hash)
                    },
                    None => ScrapeFile::new(*hash),
                });
                let part = part.collect();
                self.scraped(now, slot, part);
            }
            (Response::Error { reason, .. }, _) => {
                let reason = reason.to_string();
                if !exchange.refused && reason.to_ascii_lowercase().contains("connection") {
                    // What the trackers say that are asked with an id which they do not know, or know no more.
                    return self.on_id_refused(now, slot);
                }
                self.fail(now, slot, Error::Refused { reason, retry: None });
            }
            _ => {}
        }
    }

    fn on_id_refused(&mut self, now: Instant, slot: Slot) {
        let Some(exchange) = self.requests.get_mut(&slot).and_then(|request| request.exchange()) else { return };
        exchange.refused = true;
        let (to, asked) = (exchange.to, exchange.asked);
        if let Some(Connection::Open { since, .. }) = self.udp.connections.get(&to) {
            // One that came since is another.
            if *since <= asked {
                self.udp.connections.remove(&to);
                self.timers.cancel(Timer::Connection(to));
            }
        }
        self.timers.cancel(Timer::Again(slot));
        self.connect(now, slot);
    }

    /// Sends the next part of a scrape to the same address.
    pub(super) fn ask_next_part(&mut self, now: Instant, slot: Slot) {
        let Some(request) = self.requests.get_mut(&slot) else { return };
        let Step::Udp(exchange) = request.step else { return };
        self.end_exchange(slot, exchange);
        self.begin_exchange(now, slot, exchange.socket, exchange.to);
    }

    /// Writes the next datagram.
    pub(super) fn poll_datagram<J>(&mut self, buf: &mut Vec<u8>) -> Option<Output<J>> {
        loop {
            let start = buf.len();
            let (socket, to) = match self.udp.sending.pop_front()? {
                Sending::Connect(to) => {
                    // Whoever has ended meanwhile sends nothing.
                    let Some(Connection::Asked { socket, transaction, .. }) = self.udp.connections.get(&to) else {
                        continue;
                    };
                    wire::Request::Connect { transaction: TransactionId(*transaction) }.encode(buf);
                    (*socket, to)
                }
                Sending::Request(slot, id) => {
                    let Some(request) = self.requests.get(&slot) else { continue };
                    let Step::Udp(Exchange { socket, to, transaction: Some(transaction), .. }) = request.step else {
                        continue;
                    };
                    let transaction = TransactionId(transaction);
                    match &request.ask {
                        Ask::Announce(announce) => {
                            let mut options = Vec::new();
                            url_data(&request.url, &mut options);
                            let announce = wire::Announce {
                                progress: announce.progress,
                                event: announce.event,
                                key: announce.key,
                                num_want: announce.num_want.or((announce.event == Reason::Stopped).then_some(0)),
                                port: announce.port,
                                options: Options::new(&options),
                                ..wire::Announce::new(announce.info_hash, announce.peer_id)
                            };
                            wire::Request::Announce { connection: id, transaction, announce }.encode(buf);
                        }
                        Ask::Scrape { .. } => {
                            let part = request.part(MAX_SCRAPE).iter().copied();
                            encode_scrape_request(id, transaction, part, buf);
                        }
                    }
                    (socket, to)
                }
            };
            return Some(Output::Datagram { socket, to, bytes: start..buf.len() });
        }
    }
}

/// Writes path and query of a URL that has them (BEP 41).
fn url_data(url: &TrackerUrl, out: &mut Vec<u8>) {
    if !url.path_and_query().is_empty() {
        encode_url_data(url.path_and_query().as_bytes(), out);
    }
}
