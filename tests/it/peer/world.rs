//! Swarms joined by virtual streams and a virtual clock, each with a store in memory, and peers that a test plays itself.

use super::store::Store;
use bip::machine::{CloseReason, ConnId, DialId, Input, Instant, Machine, Output, Part, Rng, Secret, TorrentId};
use bip::peer::{Command, Config, Event, Gone, Selection, Source, Status, Swarm, TorrentLimits};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::{Geometry, Span};
use bip::proto::handshake::{Extensions, Handshake};
use bip::proto::id::{InfoHash, PeerId, PieceIndex};
use bip::proto::message::Message;
use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) const TORRENT: TorrentId = TorrentId(7);
pub(super) const HASH: InfoHash = InfoHash([0x5a; 20]);
/// What a stream holds that was sent and not read.
const WINDOW: usize = 128 * 1024;
/// What a node with a limited uplink sends at once.
const PACKET: usize = 4096;
/// A host tells its machine that it has written when no more than this is queued.
const LOW_MARK: usize = 32 * 1024;

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) struct Node {
    pub(super) swarm: Swarm,
    pub(super) address: SocketAddr,
    pub(super) store: Store,
    pub(super) events: Vec<Event>,
    /// Each output as text, to compare runs.
    pub(super) outputs: Vec<String>,
    pub(super) keep_outputs: bool,
    conns: BTreeMap<ConnId, (usize, usize)>,
    next_slot: u32,
    /// Whether others can connect to it.
    pub(super) listens: bool,
    pub(super) dials: Vec<SocketAddr>,
    /// Bytes per second that it can send, over all its streams.
    pub(super) up: Option<u64>,
    /// How much longer than others' its bytes take.
    pub(super) delay: Duration,
    /// When its uplink is free again.
    free: Instant,
}

impl Node {
    pub(super) fn gone(&self) -> Vec<Gone> {
        let gone = |e: &Event| if let Event::PeerGone { reason, .. } = e { Some(*reason) } else { None };
        self.events.iter().filter_map(gone).collect()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.events.iter().any(|e| matches!(e, Event::Completed { .. }))
    }

    /// Gives the last figures published.
    pub(super) fn status(&self) -> Status {
        let status = |e: &Event| if let Event::Status { status, .. } = e { Some(status.clone()) } else { None };
        self.events.iter().rev().find_map(status).expect("figures were published")
    }

    pub(super) fn connections(&self) -> usize {
        self.conns.len()
    }

    pub(super) fn connected(&self) -> usize {
        self.events.iter().filter(|e| matches!(e, Event::PeerConnected { .. })).count()
    }
}

/// One side of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Node(usize, ConnId),
    /// Played by the test.
    Raw,
}

struct Half {
    end: End,
    /// What this side's host has not written.
    queue: VecDeque<u8>,
    /// What is on its way to this side.
    coming: VecDeque<(Instant, Vec<u8>)>,
    coming_bytes: usize,
    reading: bool,
    /// Whether this side has closed.
    closed: bool,
    /// Whether this side closes when its queue is written.
    closing: bool,
    notified: bool,
}

impl Half {
    fn new(end: End) -> Self {
        Self {
            end,
            queue: VecDeque::new(),
            coming: VecDeque::new(),
            coming_bytes: 0,
            reading: true,
            closed: false,
            closing: false,
            notified: true,
        }
    }
}

struct Stream {
    halves: [Half; 2],
}

/// A peer that the test plays: what it got, and whether the other side closed.
#[derive(Default)]
pub(super) struct Raw {
    pub(super) got: Vec<u8>,
    pub(super) closed: bool,
}

/// What answers at an address that is not a node's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listener {
    /// Dials to it never end.
    Silent,
    /// The test plays it.
    Raw,
}

/// What a node is to be told in the next step.
enum Told {
    Connected(DialId, ConnId),
    Failed(DialId),
    Accepted(ConnId, SocketAddr),
}

pub(super) struct World {
    pub(super) now: Instant,
    rng: Rng,
    pub(super) nodes: Vec<Node>,
    streams: Vec<Stream>,
    /// By stream: what the test's side of it got.
    pub(super) raws: BTreeMap<usize, Raw>,
    pub(super) listeners: BTreeMap<SocketAddr, Listener>,
    hanging: Vec<(usize, DialId)>,
    told: VecDeque<(usize, Told)>,
    pub(super) latency: Duration,
    /// What a stream holds that was sent and not read.
    pub(super) window: usize,
    next_port: u16,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: Instant::from_micros(1_000_000_000),
            rng: Rng::new(seed),
            nodes: Vec::new(),
            streams: Vec::new(),
            raws: BTreeMap::new(),
            listeners: BTreeMap::new(),
            hanging: Vec::new(),
            told: VecDeque::new(),
            latency: Duration::from_millis(1),
            window: WINDOW,
            next_port: 40_000,
        }
    }

    /// Adds a node without torrents.
    pub(super) fn node(&mut self, config: Config, geometry: Geometry, have: &Bitfield) -> usize {
        let n = self.nodes.len();
        let mut secret = [n as u8; 32];
        secret[1] = self.rng.next_u64() as u8;
        self.nodes.push(Node {
            swarm: Swarm::new(config, self.rng.fork(), &Secret::new(secret)),
            address: SocketAddr::from(([10, 0, 0, n as u8 + 1], 6881)),
            store: Store::new(geometry, have),
            events: Vec::new(),
            outputs: Vec::new(),
            keep_outputs: false,
            conns: BTreeMap::new(),
            next_slot: 0,
            listens: true,
            dials: Vec::new(),
            up: None,
            delay: Duration::ZERO,
            free: Instant::ZERO,
        });
        n
    }

    /// Adds a node with the torrent.
    pub(super) fn member(&mut self, config: Config, geometry: Geometry, have: Bitfield) -> usize {
        let n = self.node(config, geometry, &have);
        self.command(
            n,
            Command::AddTorrent {
                torrent: TORRENT,
                info_hash: HASH,
                geometry,
                have,
                download: true,
                selection: Selection::default(),
                limits: TorrentLimits::default(),
            },
        );
        n
    }

    pub(super) fn seed(&mut self, config: Config, geometry: Geometry) -> usize {
        self.member(config, geometry, Bitfield::full(geometry.piece_count()))
    }

    pub(super) fn leech(&mut self, config: Config, geometry: Geometry) -> usize {
        self.member(config, geometry, Bitfield::new(geometry.piece_count()))
    }

    pub(super) fn command(&mut self, n: usize, command: Command) {
        self.nodes[n].swarm.handle_command(self.now, command);
        self.drain(n);
    }

    pub(super) fn add_peer(&mut self, n: usize, address: SocketAddr) {
        self.command(n, Command::AddPeer { torrent: TORRENT, address, source: Source::Program });
    }

    pub(super) fn introduce(&mut self, n: usize, other: usize) {
        let address = self.nodes[other].address;
        self.add_peer(n, address);
    }

    pub(super) fn input(&mut self, n: usize, input: Input<'_, ()>) {
        self.nodes[n].swarm.handle_input(self.now, input);
        self.drain(n);
    }

    fn drain(&mut self, n: usize) {
        let mut buf = vec![0xee; 3];
        while let Some(output) = self.nodes[n].swarm.poll_output(&mut buf) {
            if self.nodes[n].keep_outputs {
                let text = match &output {
                    Output::Write { conn, part: Part::Bytes(range) } => format!("{conn:?} {:?}", &buf[range.clone()]),
                    Output::Write { conn, part: Part::Block(block) } => format!("{conn:?} {:?}", &block[..]),
                    other => format!("{other:?}"),
                };
                self.nodes[n].outputs.push(text);
            }
            self.on_output(n, output, &buf);
        }
        while let Some(event) = self.nodes[n].swarm.poll_event() {
            let now = self.now;
            let node = &mut self.nodes[n];
            node.store.on_event(now, &event);
            if !matches!(event, Event::Store { .. } | Event::Load { .. }) {
                node.events.push(event);
            }
        }
    }

    fn on_output(&mut self, n: usize, output: Output<bip::machine::NoJobs>, buf: &[u8]) {
        match output {
            Output::Connect { dial, to } => self.on_connect(n, dial, to),
            Output::Abandon { dial } => {
                if let Some(at) = self.hanging.iter().position(|(m, d)| (*m, *d) == (n, dial)) {
                    self.hanging.remove(at);
                    self.nodes[n]
                        .swarm
                        .handle_input(self.now, Input::ConnectFailed { dial, error: ErrorKind::Interrupted });
                }
            }
            Output::Write { conn, part } => {
                if let Some(half) = self.half(n, conn) {
                    match part {
                        Part::Bytes(range) => half.queue.extend(&buf[range]),
                        Part::Block(block) => half.queue.extend(&block[..]),
                        _ => unreachable!("a part that no swarm writes"),
                    }
                    half.notified = false;
                }
            }
            Output::Close { conn, flush } => {
                if let Some(half) = self.half(n, conn) {
                    half.closing = true;
                    half.reading = false;
                    if !flush {
                        half.queue.clear();
                    }
                }
            }
            Output::StopReading { conn } => {
                if let Some(half) = self.half(n, conn) {
                    half.reading = false;
                }
            }
            Output::ResumeReading { conn } => {
                if let Some(half) = self.half(n, conn) {
                    half.reading = !half.closing;
                }
            }
            other => panic!("a swarm put out {other:?}"),
        }
    }

    fn half(&mut self, n: usize, conn: ConnId) -> Option<&mut Half> {
        let (stream, side) = *self.nodes[n].conns.get(&conn)?;
        Some(&mut self.streams[stream].halves[side])
    }

    pub(super) fn is_reading(&self, n: usize) -> Vec<bool> {
        self.nodes[n].conns.values().map(|(stream, side)| self.streams[*stream].halves[*side].reading).collect()
    }

    fn on_connect(&mut self, n: usize, dial: DialId, to: SocketAddr) {
        self.nodes[n].dials.push(to);
        if let Some(m) = self.nodes.iter().position(|node| node.address == to && node.listens) {
            let (from, stream) = (self.port(n), self.streams.len());
            let ours = self.new_conn(n, stream, 0);
            let theirs = self.new_conn(m, stream, 1);
            self.streams.push(Stream { halves: [Half::new(End::Node(n, ours)), Half::new(End::Node(m, theirs))] });
            // Both sides are told in the next step: the caller drains one of them now.
            self.told.push_back((n, Told::Connected(dial, ours)));
            self.told.push_back((m, Told::Accepted(theirs, from)));
        } else {
            match self.listeners.get(&to) {
                Some(Listener::Silent) => self.hanging.push((n, dial)),
                Some(Listener::Raw) => {
                    let stream = self.streams.len();
                    let ours = self.new_conn(n, stream, 0);
                    self.streams.push(Stream { halves: [Half::new(End::Node(n, ours)), Half::new(End::Raw)] });
                    self.raws.insert(stream, Raw::default());
                    self.told.push_back((n, Told::Connected(dial, ours)));
                }
                None => self.told.push_back((n, Told::Failed(dial))),
            }
        }
    }

    fn new_conn(&mut self, n: usize, stream: usize, side: usize) -> ConnId {
        let node = &mut self.nodes[n];
        let conn = ConnId { slot: node.next_slot % 64, generation: node.next_slot / 64 };
        node.next_slot += 1;
        node.conns.insert(conn, (stream, side));
        conn
    }

    fn port(&mut self, n: usize) -> SocketAddr {
        self.next_port = self.next_port.wrapping_add(1).max(1024);
        SocketAddr::new(self.nodes[n].address.ip(), self.next_port)
    }

    /// Connects to a node as a peer that the test plays.
    pub(super) fn connect(&mut self, n: usize) -> usize {
        let stream = self.streams.len();
        self.connect_from(n, SocketAddr::from(([10, 9, (stream >> 8) as u8, stream as u8], 5000)))
    }

    /// Connects to a node from that address.
    pub(super) fn connect_from(&mut self, n: usize, from: SocketAddr) -> usize {
        let stream = self.streams.len();
        let theirs = self.new_conn(n, stream, 0);
        self.streams.push(Stream { halves: [Half::new(End::Node(n, theirs)), Half::new(End::Raw)] });
        self.raws.insert(stream, Raw::default());
        let local = self.nodes[n].address;
        self.input(n, Input::Accepted { conn: theirs, from, local });
        stream
    }

    /// Connects and shakes hands; the id's bytes are all `id`.
    pub(super) fn shaken(&mut self, n: usize, id: u8) -> usize {
        let raw = self.connect(n);
        self.write(raw, &handshake(id));
        raw
    }

    /// Connects from that address and shakes hands.
    pub(super) fn shaken_from(&mut self, n: usize, id: u8, from: SocketAddr) -> usize {
        let raw = self.connect_from(n, from);
        self.write(raw, &handshake(id));
        raw
    }

    pub(super) fn write(&mut self, raw: usize, bytes: &[u8]) {
        self.streams[raw].halves[1].queue.extend(bytes);
    }

    pub(super) fn send(&mut self, raw: usize, messages: &[Message<'_>]) {
        let mut bytes = Vec::new();
        messages.iter().for_each(|m| m.encode(&mut bytes));
        self.write(raw, &bytes);
    }

    /// Has the test's side of a stream read or not.
    pub(super) fn read(&mut self, raw: usize, reading: bool) {
        self.streams[raw].halves[1].reading = reading;
    }

    pub(super) fn hang_up(&mut self, raw: usize) {
        self.streams[raw].halves[1].closing = true;
    }

    /// Gives the messages that the test's side got after the handshake.
    pub(super) fn messages(&self, raw: usize) -> Vec<Vec<u8>> {
        let mut rest = self.raws[&raw].got.get(68..).unwrap_or_default();
        let mut messages = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(message) = after.get(..length) else { break };
            messages.push(message.to_vec());
            rest = &after[length..];
        }
        messages
    }

    /// Gives how many messages of that id the test's side got.
    pub(super) fn count(&self, raw: usize, id: u8) -> usize {
        self.messages(raw).iter().filter(|m| m.first() == Some(&id)).count()
    }

    pub(super) fn is_closed(&self, raw: usize) -> bool {
        self.raws[&raw].closed
    }

    /// Does one thing that can be done now; says whether there was one.
    fn step(&mut self) -> bool {
        let mut did = false;
        while let Some((n, told)) = self.told.pop_front() {
            did = true;
            let local = self.nodes[n].address;
            match told {
                Told::Connected(dial, conn) => self.input(n, Input::Connected { dial, conn, local }),
                Told::Failed(dial) => self.input(n, Input::ConnectFailed { dial, error: ErrorKind::ConnectionRefused }),
                Told::Accepted(conn, from) => self.input(n, Input::Accepted { conn, from, local }),
            }
        }
        for n in 0..self.nodes.len() {
            while let Some((due, _)) = self.nodes[n].store.pending.front() {
                if *due > self.now || self.nodes[n].store.frozen {
                    break;
                }
                let (_, answer) = self.nodes[n].store.pending.pop_front().expect("just seen");
                self.command(n, answer);
                did = true;
            }
            if self.nodes[n].swarm.poll_timeout().is_some_and(|at| at <= self.now) {
                self.nodes[n].swarm.handle_timeout(self.now);
                self.drain(n);
                did = true;
            }
        }
        let count = self.streams.len();
        let start = self.rng.below(count as u32) as usize;
        for k in 0..count {
            let at = (start + k) % count;
            for side in 0..2 {
                did |= self.write_out(at, side);
                did |= self.deliver(at, side);
                did |= self.finish_closing(at, side);
            }
        }
        did
    }

    /// Moves what a side's host has queued onto the stream.
    fn write_out(&mut self, at: usize, side: usize) -> bool {
        let (now, mut latency) = (self.now, self.latency);
        let halves = &mut self.streams[at].halves;
        if halves[side].closed {
            return false;
        }
        let room = self.window.saturating_sub(halves[1 - side].coming_bytes);
        let mut length = room.min(halves[side].queue.len());
        if length < halves[side].queue.len() && length < WINDOW / 4 {
            // Not every byte of room is worth a packet.
            length = 0;
        }
        if let End::Node(n, _) = halves[side].end {
            let node = &mut self.nodes[n];
            latency += node.delay;
            if let Some(up) = node.up.filter(|_| length > 0) {
                if node.free > now {
                    return false;
                }
                length = length.min(PACKET);
                let time = Duration::from_micros(length as u64 * 1_000_000 / up);
                node.free = now + time;
                latency += time;
            }
        }
        if length > 0 {
            let bytes: Vec<u8> = halves[side].queue.drain(..length).collect();
            if !halves[1 - side].closed {
                halves[1 - side].coming_bytes += length;
                halves[1 - side].coming.push_back((now + latency, bytes));
            }
        }
        let queued = halves[side].queue.len();
        if length > 0 && queued <= LOW_MARK && !halves[side].closing {
            halves[side].notified = true;
            if let End::Node(n, conn) = halves[side].end {
                self.input(n, Input::Writable { conn, queued });
            }
        }
        length > 0
    }

    /// Gives a side some of what has come to it, cut at random.
    fn deliver(&mut self, at: usize, side: usize) -> bool {
        let now = self.now;
        let half = &mut self.streams[at].halves[side];
        if !half.reading || half.closed || half.closing {
            return false;
        }
        let Some((due, mut bytes)) = half.coming.pop_front() else { return false };
        if due > now {
            half.coming.push_front((due, bytes));
            return false;
        }
        while half.coming.front().is_some_and(|(due, _)| *due <= now) {
            bytes.extend(half.coming.pop_front().into_iter().flat_map(|(_, more)| more));
        }
        let whole = bytes.len();
        let length = match self.rng.below(4) {
            0 => 1 + self.rng.below(whole.min(20) as u32) as usize,
            1 => 1 + self.rng.below(whole as u32) as usize,
            _ => whole,
        };
        let rest = bytes.split_off(length);
        if !rest.is_empty() {
            half.coming.push_front((due, rest));
        }
        let given = bytes;
        half.coming_bytes -= length;
        match half.end {
            End::Node(n, conn) => self.input(n, Input::Stream { conn, bytes: &given }),
            End::Raw => self.raws.get_mut(&at).expect("a raw side has a record").got.extend(given),
        }
        true
    }

    /// Closes a side that is to close once its queue is written, and tells the other when it has read everything.
    fn finish_closing(&mut self, at: usize, side: usize) -> bool {
        let halves = &mut self.streams[at].halves;
        if halves[side].closing && !halves[side].closed && (halves[side].queue.is_empty() || halves[1 - side].closed) {
            halves[side].closed = true;
            if let End::Node(n, conn) = halves[side].end {
                self.nodes[n].conns.remove(&conn);
                self.input(n, Input::Closed { conn, reason: CloseReason::Ours });
            }
            return true;
        }
        let over = halves[1 - side].closed && halves[side].coming.is_empty();
        if over && !halves[side].closed && !halves[side].closing {
            match halves[side].end {
                End::Node(n, conn) if self.rng.below(2) == 0 => self.input(n, Input::End { conn }),
                End::Node(n, conn) => {
                    halves[side].closed = true;
                    self.nodes[n].conns.remove(&conn);
                    self.input(n, Input::Closed { conn, reason: CloseReason::Theirs });
                }
                End::Raw => {
                    halves[side].closed = true;
                    self.raws.get_mut(&at).expect("a raw side has a record").closed = true;
                }
            }
            return true;
        }
        false
    }

    /// Runs for that long.
    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs until the test says so; says whether it did within that time.
    pub(super) fn run_until(&mut self, time: Duration, mut done: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + time;
        loop {
            let mut steps = 0;
            while self.step() {
                steps += 1;
                assert!(steps < 100_000, "something goes on for ever at {}", self.now);
                if done(self) {
                    return true;
                }
            }
            if done(self) {
                return true;
            }
            let timeouts = self.nodes.iter().filter_map(|n| n.swarm.poll_timeout());
            let answers =
                self.nodes.iter().filter(|n| !n.store.frozen).filter_map(|n| Some(n.store.pending.front()?.0));
            let halves = self.streams.iter().flat_map(|s| &s.halves).filter(|h| h.reading && !h.closed && !h.closing);
            let coming = halves.filter_map(|h| Some(h.coming.front()?.0));
            let uplinks = self.nodes.iter().map(|n| n.free).filter(|free| *free > self.now);
            let next = timeouts.chain(answers).chain(coming).chain(uplinks).min().unwrap_or(Instant::NEVER);
            if next > end {
                self.now = end;
                return false;
            }
            self.now = self.now.max(next);
        }
    }
}

/// A handshake for the torrent.
pub(super) fn handshake(id: u8) -> Vec<u8> {
    let whole = Handshake { extensions: Extensions::default(), info_hash: HASH, peer_id: PeerId([id; 20]) };
    whole.encode().to_vec()
}

pub(super) fn span(piece: u32, begin: u32, length: u32) -> Span {
    Span { piece: PieceIndex(piece), begin, length }
}
