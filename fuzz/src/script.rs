//! A swarm with the host's side of the contract and a store, and what is held against it after every call.
//!
//! What a byte chooses is in [`Stage::step`] and below; a test of the corpus says what of it is not reached any more.

use bip::machine::{
    Block, CloseReason, ConnId, DialId, Input, Instant, Machine, NoJobs, Output, Part, Rng, Secret, TorrentId,
};
use bip::peer::{Command, Config, Event, Limits, Selection, Source, Stored, Swarm, TorrentLimits};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::{Geometry, Span};
use bip::proto::handshake::{Extensions, Handshake};
use bip::proto::id::{InfoHash, PeerId, PieceIndex};
use bip::proto::message::{self, Frames, Item, Message, Spoken};
use bip::select::Priority;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Write as _};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// Torrents that a script knows of.
const TORRENTS: u8 = 3;
/// More connections than this are not opened.
const MOST_CONNS: usize = 12;
/// Commands, inputs and advances that one script makes at most: what follows is left.
const MOST_STEPS: usize = 2_000;
const UPLOAD_QUEUE: usize = 12;
const HELD_INPUT: usize = 4_096;
/// Bans that are kept.
const MOST_BANS: usize = 3;
/// A handshake's length.
const HELLO: usize = 68;

/// The bytes of a script, read from the front; zeros where they have ended.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound.max(1)
    }

    pub(crate) fn word(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    pub(crate) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// What may happen in a script.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One torrent and one connection at a time.
    Connection,
    /// Everything.
    Swarm,
}

/// One connection, as the host and the peer see it.
struct Conn {
    /// The peer's address.
    ip: IpAddr,
    closing: bool,
    /// Whether the peer has said its hello, as it should, and the torrent that it named.
    named: Option<u8>,
    /// How many bytes the peer has sent.
    came: usize,
    theirs: Frames,
    their_error: bool,
    /// What it has asked for and has not been sent.
    asked: BTreeMap<Span, u32>,
    /// The pieces of which it gave a block, since this was last looked at.
    gave: Vec<PieceIndex>,
    hello: Vec<u8>,
    ours: Frames,
    choked: bool,
    spoken: bool,
}

/// A message that the swarm has not negotiated, and passes over.
fn extension(at: Span, payload: &[u8]) -> Message<'_> {
    match payload.first() {
        Some(0) => Message::HaveAll,
        Some(1) => Message::HaveNone,
        Some(2) => Message::Suggest(at.piece),
        Some(3) => Message::AllowedFast(at.piece),
        Some(4) => Message::Reject(at),
        Some(id) => Message::Extended { id: *id, payload },
        None => Message::Unknown { id: 24, payload },
    }
}

impl Conn {
    fn new(ip: IpAddr) -> Self {
        let most = u32::MAX;
        let frames = || {
            Frames::new(message::Limits {
                block: most,
                bitfield: most,
                other: most,
                spoken: Spoken::NONE,
                ..message::Limits::default()
            })
        };
        Self {
            ip,
            closing: false,
            named: None,
            came: 0,
            theirs: frames(),
            their_error: false,
            asked: BTreeMap::new(),
            gave: Vec::new(),
            hello: Vec::new(),
            ours: frames(),
            choked: true,
            spoken: false,
        }
    }

    /// Takes note of what the peer asks for and gives.
    fn on_theirs(&mut self, bytes: &[u8]) {
        let hello = HELLO.saturating_sub(self.came).min(bytes.len());
        self.came += bytes.len();
        let mut rest = &bytes[hello..];
        while !self.their_error {
            match self.theirs.next(&mut rest) {
                Ok(Some(Item::Message(Message::Request(span)))) => *self.asked.entry(span).or_default() += 1,
                Ok(Some(Item::Piece(span))) => self.gave.push(span.piece),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => self.their_error = true,
            }
        }
    }
}

/// The state of a torrent as its commands and events tell it.
struct Torrent {
    done: Bitfield,
    open: usize,
}

/// A swarm at play.
pub(crate) struct Stage {
    scope: Scope,
    swarm: Swarm,
    now: Instant,
    conns: BTreeMap<ConnId, Conn>,
    generation: u32,
    dials: BTreeMap<DialId, SocketAddr>,
    used_dials: BTreeSet<DialId>,
    loads: Vec<(TorrentId, Span, u64)>,
    stores: Vec<(TorrentId, Span)>,
    /// Whether blocks were answered for that were not asked to be stored: the swarm counts answers, so a real one is then missed.
    lied: bool,
    torrents: BTreeMap<u8, Torrent>,
    limits: Limits,
    own: BTreeMap<u8, TorrentLimits>,
    /// Commands without their terminal event, by kind; the torrent's number is among it.
    unanswered: BTreeMap<String, usize>,
    /// What the program banned.
    banned: BTreeSet<IpAddr>,
    /// Whether the ban that is being asked for is set or lifted.
    banning: bool,
    /// Who ever gave a block of which piece.
    givers: BTreeSet<(IpAddr, u8, PieceIndex)>,
    /// The kinds of commands and events that there were, where that is of interest.
    reached: Option<BTreeSet<String>>,
    /// Refusals, which do not say what they refuse, by torrent.
    refused: BTreeMap<u32, usize>,
}

fn geometry(torrent: u8) -> Geometry {
    let (total, piece) = [(150_000, 40_000), (16_385, 16_384), (16_384 * 20, 16_384)][usize::from(torrent % TORRENTS)];
    Geometry::new(total, piece).expect("neither is zero")
}

fn info_hash(torrent: u8) -> InfoHash {
    InfoHash([torrent + 1; 20])
}

fn id(torrent: u8) -> TorrentId {
    TorrentId(u32::from(torrent))
}

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n % 16], 6881))
}

/// A block's place; now and then any place at all.
fn span(reader: &mut Reader<'_>, torrent: u8) -> Span {
    let shape = geometry(torrent);
    let choice = reader.byte();
    if choice == 255 {
        return Span { piece: PieceIndex(reader.word()), begin: reader.word(), length: reader.word() };
    }
    let piece = PieceIndex(u32::from(choice) % shape.piece_count());
    let block = u32::from(reader.byte()) % shape.blocks_in(piece);
    shape.block(piece, block).expect("it is one of the piece's")
}

fn bitfield(reader: &mut Reader<'_>, pieces: u32) -> Bitfield {
    let pattern = reader.word();
    let mut bits = Bitfield::new(pieces);
    (0..pieces).filter(|piece| pattern >> (piece % 32) & 1 == 1).for_each(|piece| {
        bits.insert(PieceIndex(piece));
    });
    bits
}

impl Stage {
    pub(crate) fn new(scope: Scope, reader: &mut Reader<'_>) -> Self {
        let seed = reader.byte();
        let limits = Limits { max_dials: 3, max_connections: 8, max_connections_per_torrent: 6, ..Limits::default() };
        let config = Config {
            upload_queue: UPLOAD_QUEUE,
            held_input: HELD_INPUT,
            send_limit: 1 << 20,
            store_credit: 65_536,
            max_known_peers: 10,
            max_bans: MOST_BANS,
            max_incoming_handshakes: 4,
            longest_message: 4_096,
            limits: limits.clone(),
            ..Config::default()
        };
        Self {
            scope,
            swarm: Swarm::new(config, Rng::new(u64::from(seed)), &Secret::new([seed; 32])),
            now: Instant::from_micros(1_000_000),
            conns: BTreeMap::new(),
            generation: 0,
            dials: BTreeMap::new(),
            used_dials: BTreeSet::new(),
            loads: Vec::new(),
            stores: Vec::new(),
            lied: false,
            torrents: BTreeMap::new(),
            limits,
            own: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            banned: BTreeSet::new(),
            banning: false,
            givers: BTreeSet::new(),
            reached: None,
            refused: BTreeMap::new(),
        }
    }

    /// Takes note of what the script reaches.
    pub(crate) fn look_on(&mut self) {
        self.reached = Some(BTreeSet::new());
    }

    /// Plays a script to its end, then lets all that is under way finish. Gives the kinds of commands and events that there were, where
    /// they were looked on.
    pub(crate) fn play(mut self, reader: &mut Reader<'_>) -> BTreeSet<String> {
        for _ in 0..MOST_STEPS {
            if reader.0.is_empty() {
                break;
            }
            self.step(reader);
        }
        self.finish();
        self.reached.unwrap_or_default()
    }

    fn step(&mut self, reader: &mut Reader<'_>) {
        match reader.below(16) {
            0 => self.advance(Duration::from_micros(1 << (reader.byte() % 40))),
            1 => {
                // Early, and twice.
                self.swarm.handle_timeout(self.now);
                self.drain(0);
                self.settle();
            }
            2..=4 => self.raw(reader),
            5..=9 => self.messages(reader),
            10 => {
                if let Some(conn) = self.conn(reader) {
                    let queued = reader.word() as usize >> (reader.byte() % 32);
                    self.input(Input::Writable { conn, queued });
                }
            }
            11 => self.host(reader),
            12 | 13 => self.answer(reader),
            14 => self.command(reader),
            _ => match self.scope {
                Scope::Connection => self.answer(reader),
                Scope::Swarm => self.wrong_answer(reader),
            },
        }
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    /// The future is reached in a bounded number of calls.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.swarm.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.swarm.handle_timeout(self.now);
            self.drain(0);
        }
        panic!("timers spin");
    }

    fn input(&mut self, input: Input<'_, ()>) {
        let bytes = if let Input::Stream { bytes, .. } = &input { bytes.len() } else { 0 };
        self.swarm.handle_input(self.now, input);
        self.drain(bytes);
    }

    /// Gives one of the connections that are open.
    fn conn(&self, reader: &mut Reader<'_>) -> Option<ConnId> {
        let n = usize::from(reader.byte()) % self.conns.len().max(1);
        self.conns.keys().nth(n).copied()
    }

    /// Gives bytes to a connection. What is closing is not read.
    fn stream(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.closing && !bytes.is_empty()) {
            conn.on_theirs(bytes);
            // Which torrent they are of is known when they are of any.
            let (ip, gave) = (conn.ip, std::mem::take(&mut conn.gave));
            self.givers.extend(gave.iter().flat_map(|piece| (0..TORRENTS).map(|torrent| (ip, torrent, *piece))));
            self.input(Input::Stream { conn: id, bytes });
        }
    }

    fn raw(&mut self, reader: &mut Reader<'_>) {
        let Some(conn) = self.conn(reader) else { return };
        let length = usize::from(reader.byte());
        let bytes = reader.take(length);
        self.stream(conn, bytes);
    }

    /// Makes messages that a peer may send, after its handshake, in one input.
    fn messages(&mut self, reader: &mut Reader<'_>) {
        let Some(conn) = self.conn(reader) else { return };
        let mut bytes = Vec::new();
        let named = self.conns.get(&conn).and_then(|conn| conn.named);
        let torrent = named.unwrap_or_else(|| {
            let choice = reader.byte();
            let torrent = if self.scope == Scope::Connection { 0 } else { choice % TORRENTS };
            let peer_id = PeerId([choice / 16; 20]);
            let whole = Handshake { extensions: Extensions::default(), info_hash: info_hash(torrent), peer_id };
            bytes.extend_from_slice(&whole.encode());
            torrent
        });
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.named = Some(torrent);
        }
        let pieces = geometry(torrent).piece_count();
        for _ in 0..=reader.below(12) {
            let kind = reader.below(16);
            let at = span(reader, torrent);
            let zeros = vec![0; if at.length <= 16_384 { at.length as usize } else { 3 }];
            let bits;
            let message = match kind {
                0 => Message::Choke,
                1 => Message::Unchoke,
                2 => Message::Interested,
                3 => Message::NotInterested,
                4 => Message::Have(at.piece),
                5 => {
                    bits = bitfield(reader, pieces);
                    Message::Bitfield(bits.as_bytes())
                }
                6 => {
                    bits = Bitfield::full(pieces);
                    Message::Bitfield(bits.as_bytes())
                }
                7..=9 => Message::Request(at),
                10 => Message::Cancel(at),
                11 => Message::KeepAlive,
                12 => extension(at, reader.take(9)),
                _ => Message::Piece { piece: at.piece, begin: at.begin, data: &zeros },
            };
            // Now and then as often as a queue has no room for.
            let times = if kind == 9 { 1 + usize::from(reader.byte() % 40) } else { 1 };
            (0..times).for_each(|_| message.encode(&mut bytes));
        }
        if reader.below(16) == 0 {
            bytes.truncate(usize::from(reader.byte()));
        }
        self.stream(conn, &bytes);
    }

    /// What the host tells of connections and dials.
    fn host(&mut self, reader: &mut Reader<'_>) {
        match reader.below(8) {
            0..=2 => self.accept(reader.byte()),
            3 => {
                if self.conns.len() < MOST_CONNS {
                    let Some((dial, to)) = self.dials.pop_first() else { return };
                    let conn = self.open(to.ip());
                    self.input(Input::Connected { dial, conn, local: address(0) });
                }
            }
            4 => {
                if let Some((dial, _)) = self.dials.pop_last() {
                    self.input(Input::ConnectFailed { dial, error: ErrorKind::ConnectionRefused });
                }
            }
            5 => {
                if let Some(conn) = self.conn(reader).filter(|conn| !self.conns[conn].closing) {
                    self.input(Input::End { conn });
                }
            }
            6 => {
                let closing = self.conns.iter().find(|(_, conn)| conn.closing).map(|(id, _)| *id);
                if let Some(conn) = closing.or_else(|| self.conn(reader)) {
                    self.end(conn);
                }
            }
            _ => {
                // What never was is told, and the swarm must not mind.
                let conn = ConnId { slot: 1_000_000, generation: 0 };
                self.input(Input::Stream { conn, bytes: b"stale" });
                self.input(Input::Writable { conn, queued: 0 });
                self.input(Input::End { conn });
                self.input(Input::Closed { conn, reason: CloseReason::Theirs });
                self.input(Input::ConnectFailed { dial: DialId(u64::MAX), error: ErrorKind::TimedOut });
            }
        }
    }

    pub(crate) fn accept(&mut self, from: u8) {
        let most = if self.scope == Scope::Connection { 1 } else { MOST_CONNS };
        if self.conns.len() < most {
            let conn = self.open(address(from).ip());
            self.input(Input::Accepted { conn, from: address(from), local: address(0) });
        }
    }

    /// Takes the lowest free place among the connections.
    fn open(&mut self, ip: IpAddr) -> ConnId {
        let slot = (0..).find(|slot| self.conns.keys().all(|conn| conn.slot != *slot)).expect("few are in use");
        self.generation += 1;
        let conn = ConnId { slot, generation: self.generation };
        self.conns.insert(conn, Conn::new(ip));
        conn
    }

    fn end(&mut self, conn: ConnId) {
        let ours = self.conns.remove(&conn).is_some_and(|conn| conn.closing);
        let reason = if ours { CloseReason::Ours } else { CloseReason::Failed(ErrorKind::ConnectionReset) };
        self.input(Input::Closed { conn, reason });
    }

    /// Answers something that was asked of the store, in any order and in any way.
    fn answer(&mut self, reader: &mut Reader<'_>) {
        let (n, how) = (usize::from(reader.byte()), reader.byte());
        if how % 2 == 0 && !self.loads.is_empty() {
            let (torrent, span, ticket) = self.loads.swap_remove(n % self.loads.len());
            let short = u32::from(how == 254);
            let block = (how < 250).then(|| Block::from(vec![0; span.length.saturating_sub(short) as usize]));
            self.tell(Command::Loaded { torrent, ticket, block });
        } else if !self.stores.is_empty() {
            let (torrent, span) = self.stores.swap_remove(n % self.stores.len());
            let outcome = outcome(how / 2);
            self.tell(Command::Stored { torrent, span, outcome });
        }
    }

    /// Answers something that was never asked.
    fn wrong_answer(&mut self, reader: &mut Reader<'_>) {
        let (torrent, how) = (reader.below(TORRENTS + 1), reader.byte());
        let span = span(reader, torrent);
        if how % 2 == 0 {
            let ticket = u64::from(reader.word()) << (how % 33);
            self.tell(Command::Loaded { torrent: id(torrent), ticket, block: Some(Block::from(vec![0; 16])) });
        } else {
            self.lied = true;
            self.tell(Command::Stored { torrent: id(torrent), span, outcome: outcome(how / 2) });
        }
    }

    fn reach(&mut self, what: &impl Debug) {
        if let Some(reached) = &mut self.reached {
            reached.insert(name(what));
        }
    }

    fn tell(&mut self, command: Command) {
        self.reach(&command);
        self.swarm.handle_command(self.now, command);
        self.drain(0);
    }

    fn ask(&mut self, what: String, command: Command) {
        *self.unanswered.entry(what).or_default() += 1;
        self.tell(command);
    }

    pub(crate) fn add(&mut self, torrent: u8, have: Bitfield, download: bool) {
        let fits = have.pieces() == geometry(torrent).piece_count();
        let new = !self.torrents.contains_key(&torrent);
        if new && fits {
            self.torrents.insert(torrent, Torrent { done: have.clone(), open: 0 });
            self.own.remove(&torrent);
        }
        let command = Command::AddTorrent {
            torrent: id(torrent),
            info_hash: info_hash(torrent),
            geometry: geometry(torrent),
            have,
            download,
            selection: Selection::default(),
            limits: TorrentLimits::default(),
        };
        self.ask(format!("{torrent} add"), command);
    }

    fn command(&mut self, reader: &mut Reader<'_>) {
        let choice = reader.byte();
        let torrent = match self.scope {
            Scope::Connection => 0,
            Scope::Swarm => reader.below(TORRENTS),
        };
        // The last two came later: what others choose stays what it was.
        match if choice >= 0xfe { choice } else { choice % 18 } {
            0xfe => {
                let peers = (0..reader.below(5)).map(|_| address(reader.byte())).collect();
                self.tell(Command::FoundPeers { torrent: id(torrent), peers, source: Source::Tracker });
            }
            0xff => self.tell(Command::DropPeers { torrent: id(torrent) }),
            0 => {
                let pieces = geometry(torrent).piece_count() + u32::from(reader.below(16) == 15);
                let have = bitfield(reader, pieces);
                self.add(torrent, have, reader.byte() % 4 != 0);
            }
            1 if self.scope == Scope::Swarm => {
                self.ask(format!("{torrent} remove"), Command::RemoveTorrent { torrent: id(torrent) });
            }
            2 => self.ask(format!("{torrent} pause"), Command::Pause { torrent: id(torrent) }),
            1 | 3 => self.ask(format!("{torrent} resume"), Command::Resume { torrent: id(torrent) }),
            4 => {
                let limits = limits(reader);
                self.limits = limits.clone();
                self.ask("limits".into(), Command::SetLimits { limits });
            }
            5 => {
                let limits = torrent_limits(reader);
                if self.torrents.contains_key(&torrent) {
                    self.own.insert(torrent, limits.clone());
                }
                self.ask(format!("{torrent} limits"), Command::SetTorrentLimits { torrent: id(torrent), limits });
            }
            6 => {
                let selection = selection(reader, torrent);
                self.ask(format!("{torrent} select"), Command::Select { torrent: id(torrent), selection });
            }
            7 => {
                let download = reader.byte() % 2 == 0;
                self.ask(format!("{torrent} download"), Command::SetDownload { torrent: id(torrent), download });
            }
            8 => {
                let (ip, banned) = (address(reader.byte()).ip(), reader.byte() % 2 == 0);
                self.banning = banned;
                self.ask(format!("ban {ip}"), Command::Ban { ip, banned });
                let left = |conn: &Conn| conn.ip == ip && !conn.closing;
                let kept = self.banned.contains(&ip);
                assert!(!kept || !self.conns.values().any(left), "who is banned stays");
            }
            9 => {
                let at = span(reader, torrent);
                let hashes: Vec<[u8; 20]> = (0..reader.below(5)).map(|_| [reader.byte(); 20]).collect();
                let good = reader.byte() % 2 == 0;
                let hashes = Arc::from(hashes);
                self.tell(Command::BlockHashes { torrent: id(torrent), piece: at.piece, good, hashes });
            }
            10 | 11 => {
                let (address, source) = (address(reader.byte()), Source::Tracker);
                self.ask(
                    format!("{torrent} peer {address}"),
                    Command::AddPeer { torrent: id(torrent), address, source },
                );
            }
            12 => {
                let spans = (0..reader.below(5)).map(|_| span(reader, torrent)).collect();
                self.tell(Command::Kept { torrent: id(torrent), spans });
            }
            13 => self.lose(torrent, span(reader, torrent).piece),
            14..=16 => self.complete(reader, torrent),
            _ => {
                let address = SocketAddr::from(([10, 0, 1, reader.byte()], 6881));
                let sources = [Source::Program, Source::PeerExchange, Source::Dht, Source::Resume];
                let source = sources[usize::from(reader.below(4))];
                let what = format!("{torrent} peer {address}");
                self.ask(what, Command::AddPeer { torrent: id(torrent), address, source });
            }
        }
    }

    /// A piece is in the store no more.
    fn lose(&mut self, torrent: u8, piece: PieceIndex) {
        if let Some(torrent) = self.torrents.get_mut(&torrent) {
            torrent.done.remove(piece);
        }
        self.tell(Command::PieceLost { torrent: id(torrent), piece });
    }

    /// Answers all blocks of a piece that the store has been given, as a store does: the last one tells that the piece is bad, after the
    /// hashes of its blocks, or good, before them.
    fn complete(&mut self, reader: &mut Reader<'_>, torrent: u8) {
        let (choice, pattern) = (reader.byte(), reader.byte());
        let Some(piece) = self.stores.iter().find(|(of, _)| *of == id(torrent)).map(|(_, span)| span.piece) else {
            return;
        };
        let here = |(of, span): &(TorrentId, Span)| *of == id(torrent) && span.piece == piece;
        let mut spans: Vec<Span> = self.stores.iter().filter(|store| here(store)).map(|(_, span)| *span).collect();
        self.stores.retain(|store| !here(store));
        let last = spans.pop().expect("one was found");
        let torrent_id = id(torrent);
        for span in spans {
            self.tell(Command::Stored { torrent: torrent_id, span, outcome: Stored::Kept });
        }
        let good = choice % 2 == 0;
        let count = geometry(torrent).blocks_in(piece);
        let hashes: Arc<[_]> = (0..count).map(|block| [pattern >> (block % 4 * 2) & 3; 20]).collect();
        let hashes = Command::BlockHashes { torrent: torrent_id, piece, good, hashes };
        let outcome = if good { Stored::PieceGood } else { Stored::PieceBad };
        let stored = Command::Stored { torrent: torrent_id, span: last, outcome };
        let (first, second) = if good { (stored, hashes) } else { (hashes, stored) };
        self.tell(first);
        self.tell(second);
    }

    fn drain(&mut self, bytes: usize) {
        // The smallest message that calls for anything of its own is an ask for a block, of 17 bytes. Any connection may be
        // served what it asked for, told of pieces, stopped, closed.
        let most = 200 + bytes / 8 + 100 * (self.conns.len() + 1);
        let (mut buf, mut count) = (Vec::new(), 0);
        while let Some(output) = self.swarm.poll_output(&mut buf) {
            count += 1;
            assert!(count <= most, "more than {most} outputs of one call");
            self.on_output(output, &buf);
        }
        let mut events = 0;
        while let Some(event) = self.swarm.poll_event() {
            events += 1;
            assert!(events <= most, "more than {most} events of one call");
            self.on_event(event);
        }
        let open: usize = self.torrents.values().map(|torrent| torrent.open).sum();
        assert!(open <= self.limits.max_connections, "{open} connections are open");
        for (torrent, state) in &self.torrents {
            let own = self.own.get(torrent).and_then(|own| own.max_connections);
            assert!(state.open <= own.unwrap_or(self.limits.max_connections_per_torrent), "of torrent {torrent}");
        }
    }

    fn on_output(&mut self, output: Output<NoJobs>, buf: &[u8]) {
        match output {
            Output::Connect { dial, to } => {
                assert!(self.used_dials.insert(dial), "a dial's name is used twice");
                assert!(!self.banned.contains(&to.ip()), "who is banned is dialled");
                self.dials.insert(dial, to);
                assert!(self.dials.len() <= self.limits.max_dials, "too many dials");
            }
            Output::Abandon { dial } => assert!(self.used_dials.contains(&dial), "an abandoned dial never was"),
            Output::Write { conn, part } => {
                let bytes = match &part {
                    Part::Bytes(range) => &buf[range.clone()],
                    Part::Block(block) => &block[..],
                    _ => panic!("a part that no swarm writes"),
                };
                self.on_written(conn, bytes);
            }
            Output::Close { conn, .. } => {
                let conn = self.conns.get_mut(&conn).expect("what is closed is open");
                assert!(!std::mem::replace(&mut conn.closing, true), "closed twice");
            }
            Output::StopReading { conn } | Output::ResumeReading { conn } => {
                assert!(self.conns.contains_key(&conn), "a connection that is gone is read or not");
            }
            other => panic!("a swarm puts out {other:?}"),
        }
    }

    /// Reads along what we write: whole messages, blocks for those only who asked and may have them.
    fn on_written(&mut self, conn: ConnId, mut bytes: &[u8]) {
        let conn = self.conns.get_mut(&conn).expect("what is written to is open");
        assert!(!conn.closing, "written after the close");
        let hello = HELLO.saturating_sub(conn.hello.len()).min(bytes.len());
        conn.hello.extend_from_slice(&bytes[..hello]);
        bytes = &bytes[hello..];
        while let Some(item) = conn.ours.next(&mut bytes).expect("we write messages") {
            let torrent = conn.hello[28] - 1;
            match item {
                Item::Message(Message::Choke) => assert!(!std::mem::replace(&mut conn.choked, true), "choked twice"),
                Item::Message(Message::Unchoke) => {
                    assert!(std::mem::replace(&mut conn.choked, false), "unchoked twice")
                }
                Item::Message(Message::Bitfield(_)) => assert!(!conn.spoken, "a bitfield in the middle"),
                Item::Message(Message::Request(span)) => {
                    assert!(geometry(torrent).contains(span), "asks for {span}");
                    let done = self.torrents.get(&torrent).map(|torrent| &torrent.done);
                    assert!(done.is_none_or(|done| !done.contains(span.piece)), "asks for {span}, which is there");
                }
                Item::Piece(span) => {
                    assert!(!conn.choked, "a block for a choked peer");
                    let left = conn.asked.get_mut(&span).filter(|left| **left > 0);
                    *left.expect("a block that was asked for") -= 1;
                }
                _ => {}
            }
            conn.spoken = true;
        }
    }

    fn answered(&mut self, what: &str) {
        let left = self.unanswered.get_mut(what).filter(|left| **left > 0);
        *left.unwrap_or_else(|| panic!("nobody waits for: {what}")) -= 1;
    }

    fn torrent(&mut self, torrent: TorrentId) -> &mut Torrent {
        self.torrents.get_mut(&(torrent.0 as u8)).expect("the torrent is there")
    }

    fn on_event(&mut self, event: Event) {
        self.reach(&event);
        match event {
            Event::TorrentAdded { torrent } => self.answered(&format!("{} add", torrent.0)),
            Event::TorrentRemoved { torrent } => {
                self.answered(&format!("{} remove", torrent.0));
                let gone = self.torrents.remove(&(torrent.0 as u8)).expect("it was there");
                assert_eq!(gone.open, 0, "it has connections");
                self.own.remove(&(torrent.0 as u8));
                self.loads.iter().for_each(|(of, ..)| assert_ne!(*of, torrent, "an ask is open"));
                let open = self.stores.iter().filter(|(of, _)| *of == torrent).count();
                assert!(open == 0 || self.lied, "a block is open");
            }
            Event::Paused { torrent } => self.answered(&format!("{} pause", torrent.0)),
            Event::Resumed { torrent } => self.answered(&format!("{} resume", torrent.0)),
            Event::PeerAdded { torrent, address } => self.answered(&format!("{} peer {address}", torrent.0)),
            Event::LimitsSet => self.answered("limits"),
            Event::TorrentLimitsSet { torrent } => self.answered(&format!("{} limits", torrent.0)),
            Event::Selected { torrent } => self.answered(&format!("{} select", torrent.0)),
            Event::DownloadSet { torrent } => self.answered(&format!("{} download", torrent.0)),
            Event::BanSet { ip } => {
                self.answered(&format!("ban {ip}"));
                if self.banning {
                    self.banned.insert(ip)
                } else {
                    self.banned.remove(&ip)
                };
                assert!(self.banned.len() <= MOST_BANS, "too many bans");
            }
            Event::BanRefused { ip } => {
                self.answered(&format!("ban {ip}"));
                assert!(self.banning && self.banned.len() == MOST_BANS, "refused although there is room");
            }
            Event::PeerBanned { torrent, ip, piece } => {
                assert!(self.givers.contains(&(ip, torrent.0 as u8, piece)), "{ip} gave nothing of {piece}");
            }
            Event::Refused { torrent, .. } => *self.refused.entry(torrent.0).or_default() += 1,
            Event::Store { torrent, span, block } => {
                assert_eq!(block.len(), span.length as usize);
                assert!(geometry(torrent.0 as u8).contains(span));
                assert!(!self.torrent(torrent).done.contains(span.piece), "a block of what is there");
                self.stores.push((torrent, span));
            }
            Event::Load { torrent, span, ticket } => {
                assert!(self.torrent(torrent).done.contains(span.piece), "{span} is not there");
                assert!(self.loads.iter().all(|(.., other)| *other != ticket), "a ticket is used twice");
                self.loads.push((torrent, span, ticket));
            }
            Event::PeerConnected { torrent, address, .. } => {
                assert!(!self.banned.contains(&address.ip()), "who is banned is let in");
                self.torrent(torrent).open += 1;
            }
            Event::PeerGone { torrent, .. } => {
                let open = &mut self.torrent(torrent).open;
                *open = open.checked_sub(1).expect("it was connected");
            }
            Event::PieceDone { torrent, piece } => {
                assert!(self.torrent(torrent).done.insert(piece), "{piece} is verified twice");
            }
            Event::Status { torrent, status } => {
                let state = self.torrent(torrent);
                assert_eq!(status.pieces_done, state.done.count());
                let shape = geometry(torrent.0 as u8);
                let done = (0..shape.piece_count()).map(PieceIndex).filter(|piece| state.done.contains(*piece));
                assert_eq!(status.bytes_done, done.map(|piece| u64::from(shape.length_of(piece))).sum::<u64>());
                assert!(status.bytes_wanted_done <= status.bytes_wanted.min(status.bytes_done), "{status:?}");
                assert!(status.pieces_wanted_done <= status.pieces_wanted.min(status.pieces_done), "{status:?}");
                assert_eq!(status.peers as usize, state.open);
            }
            _ => {}
        }
    }

    /// Lets all that is under way finish; then every command has had its one answer.
    fn finish(&mut self) {
        for torrent in 0..TORRENTS {
            if self.torrents.contains_key(&torrent) {
                self.ask(format!("{torrent} remove"), Command::RemoveTorrent { torrent: id(torrent) });
            }
        }
        for _ in 0..4 {
            while let Some((torrent, _, ticket)) = self.loads.pop() {
                self.tell(Command::Loaded { torrent, ticket, block: None });
            }
            while let Some((torrent, span)) = self.stores.pop() {
                self.tell(Command::Stored { torrent, span, outcome: Stored::Kept });
            }
            while let Some((dial, _)) = self.dials.pop_first() {
                self.input(Input::ConnectFailed { dial, error: ErrorKind::Interrupted });
            }
            while let Some(conn) = self.conns.keys().next().copied() {
                self.end(conn);
            }
            self.advance(Duration::from_secs(400));
        }
        assert!(self.torrents.is_empty(), "a torrent stays");
        for (torrent, refused) in &self.refused {
            let of = format!("{torrent} ");
            let left: usize = self.unanswered.iter().filter(|(what, _)| what.starts_with(&of)).map(|(_, n)| n).sum();
            assert_eq!(left, *refused, "answers of torrent {torrent}: {:?}", self.unanswered);
        }
        for (what, left) in &self.unanswered {
            let torrent = what.split(' ').next().and_then(|word| word.parse().ok());
            let refused = torrent.is_some_and(|torrent: u32| self.refused.contains_key(&torrent));
            assert!(*left == 0 || refused, "without an answer: {what}");
        }
        self.now = Instant::from_micros(u64::MAX - 1);
        self.settle();
    }
}

/// Gives the name of a value's variant.
pub(crate) fn name(value: &impl Debug) -> String {
    /// Takes letters until something else comes.
    struct Word(String);
    impl fmt::Write for Word {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let letters = text.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
            self.0.push_str(&letters);
            if letters.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut word = Word(String::new());
    // It ends in an error where the value has more to say.
    let _ = write!(word, "{value:?}");
    word.0
}

fn outcome(how: u8) -> Stored {
    match how % 8 {
        0 => Stored::Known,
        1 => Stored::PieceBad,
        2 => Stored::Failed,
        3 | 4 => Stored::PieceGood,
        _ => Stored::Kept,
    }
}

fn rate(reader: &mut Reader<'_>) -> Option<NonZeroU64> {
    NonZeroU64::new([0, 0, 1, 1_000, 50_000, 10_000_000, u64::MAX - 1, u64::MAX][usize::from(reader.below(8))])
}

fn limits(reader: &mut Reader<'_>) -> Limits {
    Limits {
        upload_rate: rate(reader),
        download_rate: rate(reader),
        max_connections: usize::from(reader.below(10)),
        max_connections_per_torrent: usize::from(reader.below(8)),
        max_connections_per_network: 2,
        // At least as many as may be under way, so that none is too many at once.
        max_dials: 3 + usize::from(reader.below(4)),
        dials_per_second: [0, 1, 30, u32::MAX][usize::from(reader.below(4))],
        upload_slots: usize::from(reader.below(4)),
        optimistic_slots: usize::from(reader.below(3)),
    }
}

fn torrent_limits(reader: &mut Reader<'_>) -> TorrentLimits {
    let some = |n: u8| (n % 8 > 3).then_some(usize::from(n % 8) - usize::from(n % 8 > 3) * 4);
    TorrentLimits {
        upload_rate: rate(reader),
        download_rate: rate(reader),
        max_connections: some(reader.byte()),
        upload_slots: some(reader.byte()),
    }
}

fn selection(reader: &mut Reader<'_>, torrent: u8) -> Selection {
    let pieces = geometry(torrent).piece_count() + u32::from(reader.below(16) == 15);
    let pattern = reader.word();
    let priority = |piece: u32| match pattern >> (piece % 16 * 2) & 3 {
        0 => Priority::Skip,
        1 => Priority::Low,
        2 => Priority::Normal,
        _ => Priority::High,
    };
    let pieces = (reader.below(4) > 0).then(|| (0..pieces).map(priority).collect());
    Selection { pieces, sequential: reader.byte() % 2 == 0 }
}
