//! The swarm, held to the laws, and what the scripts of other machines have in common with its own.

use super::{Ask, Call, End, Subject, hold, variants};
use bip::disk;
use bip::machine::{Block, ConnId, Rng, Secret, TorrentId};
use bip::peer::{self, Selection, Source, Stored, Swarm, TorrentLimits};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::{Geometry, Span};
use bip::proto::handshake::{Extensions, Handshake, LEN};
use bip::proto::id::{InfoHash, PeerId, PieceIndex};
use bip::proto::message::{self, Frames, Item, Message};
use bip::proto::metainfo::{Layout, SafePath};
use bip::proto::sha1::Sha1;
use bip::select::Priority;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock};

const PIECE: u32 = 40_000;
const TOTAL: u64 = 150_000;
/// Torrents that the scripts know of.
const TORRENTS: u32 = 4;

// Limits so low that the scripts reach them.
const UPLOAD_QUEUE: usize = 20;
const HELD_INPUT: usize = 4 * 1024;
const DIALS: usize = 8;
const BANS: usize = 4;
pub(super) const SESSION_TORRENTS: usize = 3;

pub(super) fn content() -> Vec<u8> {
    (0..TOTAL).map(|i| (i * 31 % 251) as u8).collect()
}

pub(super) fn layout(n: u32) -> Arc<Layout> {
    static HASHES: LazyLock<Vec<[u8; 20]>> =
        LazyLock::new(|| content().chunks(PIECE as usize).map(Sha1::digest).collect());
    let path = |name: &str| SafePath::from_parts([format!("t{n}"), name.into()]).unwrap();
    let files = vec![(path("a"), 50_000), (path("empty"), 0), (path("b"), TOTAL - 50_000)];
    Arc::new(Layout::new(files, PIECE, &HASHES).unwrap())
}

pub(super) fn torrent(rng: &mut Rng) -> TorrentId {
    TorrentId(rng.below(TORRENTS))
}

pub(super) fn info_hash(torrent: TorrentId) -> InfoHash {
    InfoHash([torrent.0 as u8; 20])
}

pub(super) fn geometry() -> Geometry {
    Geometry::new(TOTAL, PIECE).unwrap()
}

/// A span that is usually in the torrent, and sometimes anything.
pub(super) fn span(rng: &mut Rng) -> Span {
    if rng.below(8) == 0 {
        return Span {
            piece: PieceIndex(rng.next_u64() as u32),
            begin: rng.next_u64() as u32,
            length: rng.next_u64() as u32 >> rng.below(32),
        };
    }
    let piece = PieceIndex(rng.below(geometry().piece_count()));
    geometry().block(piece, rng.below(geometry().blocks_in(piece))).unwrap()
}

pub(super) fn bitfield(rng: &mut Rng) -> Bitfield {
    let pieces = geometry().piece_count() + u32::from(rng.below(10) == 0);
    let mut have = Bitfield::new(pieces);
    (0..pieces).filter(|_| rng.below(2) == 0).for_each(|p| {
        have.insert(PieceIndex(p));
    });
    have
}

pub(super) fn address(rng: &mut Rng) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, rng.below(20) as u8], 6881))
}

fn rate(rng: &mut Rng) -> Option<NonZeroU64> {
    NonZeroU64::new(*rng.choose(&[0, 0, 0, 1, 1_000, 20_000, 1_000_000, 100_000_000, u64::MAX]).unwrap())
}

pub(super) fn limits(rng: &mut Rng) -> peer::Limits {
    peer::Limits {
        upload_rate: rate(rng),
        download_rate: rate(rng),
        max_connections: rng.below(30) as usize,
        max_connections_per_torrent: rng.below(20) as usize,
        max_connections_per_network: rng.below(4) as usize,
        max_dials: rng.below(DIALS as u32 + 1) as usize,
        dials_per_second: *rng.choose(&[0, 1, 30, u32::MAX]).unwrap(),
        upload_slots: rng.below(6) as usize,
        optimistic_slots: rng.below(3) as usize,
    }
}

pub(super) fn torrent_limits(rng: &mut Rng) -> TorrentLimits {
    TorrentLimits {
        upload_rate: rate(rng),
        download_rate: rate(rng),
        max_connections: (rng.below(2) == 0).then(|| rng.below(20) as usize),
        upload_slots: (rng.below(2) == 0).then(|| rng.below(6) as usize),
    }
}

pub(super) fn block(rng: &mut Rng, span: Span) -> Block {
    let start = geometry().offset_of(span).min(TOTAL) as usize;
    let mut bytes = content();
    bytes.drain(..start);
    bytes.truncate(span.length as usize);
    if rng.below(10) == 0 {
        if let Some(byte) = bytes.first_mut() {
            *byte ^= 1;
        }
    }
    Block::from(bytes)
}

/// The swarm, with peers that mostly keep the protocol and a store that mostly keeps what it is given.
#[derive(Default)]
struct Swarms {
    torrents: BTreeMap<TorrentId, Torrent>,
    /// What the swarm asked for and has not been answered.
    loads: Vec<(TorrentId, Span, u64)>,
    stores: Vec<(TorrentId, Span)>,
    /// Asks that have been answered.
    stale: Vec<(TorrentId, Span, u64)>,
    /// The torrents that connections have named.
    named: BTreeMap<ConnId, TorrentId>,
    /// What connections were written.
    written: BTreeMap<ConnId, Written>,
    /// What the store has to say besides.
    due: VecDeque<peer::Command>,
}

/// What the swarm wrote to a connection.
struct Written {
    /// Bytes of the handshake that are still to come.
    hello: usize,
    frames: Frames,
    /// What it asks for.
    asked: Vec<Span>,
}

impl Default for Written {
    fn default() -> Self {
        let limits =
            message::Limits { block: u32::MAX, bitfield: u32::MAX, other: u32::MAX, ..message::Limits::default() };
        Self { hello: LEN, frames: Frames::new(limits), asked: Vec::new() }
    }
}

/// A torrent that was given to the swarm.
struct Torrent {
    have: Bitfield,
    /// Blocks that are stored of incomplete pieces.
    kept: BTreeSet<(PieceIndex, u32)>,
    /// Pieces that had the wrong hash.
    bad: BTreeSet<PieceIndex>,
}

impl Torrent {
    fn new(have: Bitfield) -> Self {
        Self { have, kept: BTreeSet::new(), bad: BTreeSet::new() }
    }

    /// Stores a block; says what becomes of it.
    fn store(&mut self, span: Span, rng: &mut Rng) -> Stored {
        if self.have.contains(span.piece) {
            return Stored::Known;
        }
        if rng.below(60) == 0 {
            return Stored::Failed;
        }
        self.kept.insert((span.piece, span.begin));
        if self.kept.iter().filter(|(piece, _)| *piece == span.piece).count()
            < geometry().blocks_in(span.piece) as usize
        {
            return Stored::Kept;
        }
        self.kept.retain(|(piece, _)| *piece != span.piece);
        if rng.below(4) == 0 {
            return Stored::PieceBad;
        }
        self.have.insert(span.piece);
        Stored::PieceGood
    }
}

/// Makes the hashes of a piece's blocks, the right ones or with some that differ.
fn block_hashes(piece: PieceIndex, good: bool, rng: &mut Rng) -> Arc<[[u8; 20]]> {
    let blocks = if piece.0 < geometry().piece_count() { geometry().blocks_in(piece) } else { 3 };
    (0..blocks).map(|block| [if good || rng.below(2) == 0 { block as u8 } else { 0xff }; 20]).collect()
}

/// Makes hashes that fit nothing: of any piece, as many as they may be.
fn any_hashes(rng: &mut Rng) -> peer::Command {
    let piece = PieceIndex(rng.below(geometry().piece_count() + 1));
    let (good, fit) = (rng.below(2) == 0, rng.below(2) == 0);
    let hashes = if fit {
        block_hashes(piece, good, rng)
    } else {
        (0..rng.below(6)).map(|_| [rng.below(3) as u8; 20]).collect()
    };
    peer::Command::BlockHashes { torrent: torrent(rng), piece, good, hashes }
}

impl Swarms {
    /// Makes an answer to nothing, or to what was answered before.
    fn wrong_answer(&mut self, rng: &mut Rng) -> peer::Command {
        let span = span(rng);
        match rng.below(3) {
            0 => {
                let outcomes = [Stored::Kept, Stored::Known, Stored::PieceGood, Stored::PieceBad, Stored::Failed];
                let outcome = *rng.choose(&outcomes).unwrap();
                peer::Command::Stored { torrent: torrent(rng), span, outcome }
            }
            1 => peer::Command::Loaded {
                torrent: torrent(rng),
                ticket: u64::from(rng.below(20)),
                block: Some(block(rng, span)),
            },
            _ => {
                let stale = rng.choose(&self.stale).copied();
                let (torrent, span, ticket) = stale.unwrap_or((torrent(rng), span, rng.next_u64()));
                peer::Command::Loaded { torrent, ticket, block: Some(block(rng, span)) }
            }
        }
    }

    /// Makes a message that a good peer may send.
    fn message(&mut self, conn: ConnId, torrent: TorrentId, rng: &mut Rng, bytes: &mut Vec<u8>) {
        let asked = self.written.get_mut(&conn).map(|written| &mut written.asked).filter(|asked| !asked.is_empty());
        if let (Some(asked), true) = (asked, rng.below(4) > 0) {
            let Span { piece, begin, length } = asked.swap_remove(rng.below(asked.len() as u32) as usize);
            return Message::Piece { piece, begin, data: &vec![7; length as usize] }.encode(bytes);
        }
        let piece = PieceIndex(rng.below(geometry().piece_count()));
        let span = geometry().block(piece, rng.below(geometry().blocks_in(piece))).unwrap();
        let data = vec![7; span.length as usize];
        let ours = self.torrents.get(&torrent).is_some_and(|t| t.have.contains(piece));
        let message = match rng.below(10) {
            0 => Message::Choke,
            1 | 2 => Message::Unchoke,
            3 | 4 => Message::Interested,
            5 if rng.below(3) == 0 => Message::NotInterested,
            5 => Message::Have(piece),
            6 => Message::Cancel(span),
            7 | 8 if ours => Message::Request(span),
            _ => Message::Piece { piece, begin: span.begin, data: &data },
        };
        message.encode(bytes);
    }
}

impl Subject for Swarms {
    type Machine = Swarm;

    fn machine(&mut self, seed: u64) -> Swarm {
        let config = peer::Config {
            upload_queue: UPLOAD_QUEUE,
            held_input: HELD_INPUT,
            max_bans: BANS,
            limits: peer::Limits { max_dials: DIALS, ..peer::Limits::default() },
            ..peer::Config::default()
        };
        Swarm::new(config, Rng::new(seed), &Secret::new([seed as u8; 32]))
    }

    fn command(&mut self, rng: &mut Rng) -> peer::Command {
        let torrent = torrent(rng);
        match rng.below(15) {
            0..=3 => {
                let have = bitfield(rng);
                if have.pieces() == geometry().piece_count() {
                    self.torrents.entry(torrent).or_insert_with(|| Torrent::new(have.clone()));
                }
                peer::Command::AddTorrent {
                    torrent,
                    info_hash: info_hash(torrent),
                    geometry: geometry(),
                    have,
                    download: rng.below(8) != 0,
                    selection: if rng.below(4) == 0 { selection(rng) } else { Selection::default() },
                    limits: if rng.below(2) == 0 { TorrentLimits::default() } else { torrent_limits(rng) },
                }
            }
            4 if rng.below(4) == 0 => peer::Command::RemoveTorrent { torrent },
            5 if rng.below(4) == 0 => peer::Command::Pause { torrent },
            6 => peer::Command::Resume { torrent },
            7 => self.wrong_answer(rng),
            8 if rng.below(2) == 0 => peer::Command::Select { torrent, selection: selection(rng) },
            8 => peer::Command::SetDownload { torrent, download: rng.below(2) == 0 },
            9 if rng.below(4) == 0 => {
                let piece = PieceIndex(rng.below(geometry().piece_count() + 1));
                if let Some(lost) = self.torrents.get_mut(&torrent) {
                    lost.have.remove(piece);
                    lost.kept.retain(|(kept, _)| *kept != piece);
                }
                peer::Command::PieceLost { torrent, piece }
            }
            10 if rng.below(4) == 0 => {
                let spans: Vec<Span> = (0..rng.below(4)).map(|_| span(rng)).collect();
                peer::Command::Kept { torrent, spans }
            }
            12 if rng.below(6) == 0 => peer::Command::SetLimits { limits: limits(rng) },
            11 if rng.below(3) == 0 => any_hashes(rng),
            14 if rng.below(2) == 0 => peer::Command::Ban { ip: address(rng).ip(), banned: rng.below(2) == 0 },
            14 if rng.below(2) == 0 => {
                let peers = (0..rng.below(6)).map(|_| address(rng)).collect();
                peer::Command::FoundPeers { torrent, peers, source: Source::Tracker }
            }
            14 if rng.below(2) == 0 => peer::Command::DropPeers { torrent },
            13 if rng.below(4) == 0 => peer::Command::SetTorrentLimits { torrent, limits: torrent_limits(rng) },
            _ => peer::Command::AddPeer { torrent, address: address(rng), source: Source::Program },
        }
    }

    fn ask(&self, command: &peer::Command) -> Option<Ask> {
        use peer::Command;
        let (torrent, kind) = match command {
            Command::AddTorrent { torrent, .. } => (torrent, "add".into()),
            Command::RemoveTorrent { torrent } => (torrent, "remove".into()),
            Command::Pause { torrent } => (torrent, "pause".into()),
            Command::Resume { torrent } => (torrent, "resume".into()),
            Command::SetDownload { torrent, .. } => (torrent, "download".into()),
            Command::AddPeer { torrent, address, .. } => (torrent, format!("peer {address}")),
            Command::Select { torrent, .. } => (torrent, "select".into()),
            Command::SetTorrentLimits { torrent, .. } => (torrent, "limits".into()),
            Command::SetLimits { .. } => return Some(Ask { about: "limits".into(), kind: String::new() }),
            Command::Ban { ip, .. } => return Some(Ask { about: format!("ban {ip}"), kind: String::new() }),
            _ => return None,
        };
        Some(Ask { about: torrent.to_string(), kind })
    }

    fn end(&self, event: &peer::Event) -> Option<End> {
        use peer::Event;
        let (torrent, kind) = match event {
            Event::TorrentAdded { torrent } => (torrent, Some("add".into())),
            Event::TorrentRemoved { torrent } => (torrent, Some("remove".into())),
            Event::Paused { torrent } => (torrent, Some("pause".into())),
            Event::Resumed { torrent } => (torrent, Some("resume".into())),
            Event::DownloadSet { torrent } => (torrent, Some("download".into())),
            Event::PeerAdded { torrent, address } => (torrent, Some(format!("peer {address}"))),
            Event::Selected { torrent } => (torrent, Some("select".into())),
            Event::TorrentLimitsSet { torrent } => (torrent, Some("limits".into())),
            Event::LimitsSet => return Some(End { about: "limits".into(), kind: Some(String::new()) }),
            Event::BanSet { ip } | Event::BanRefused { ip } => {
                return Some(End { about: format!("ban {ip}"), kind: Some(String::new()) });
            }
            Event::Refused { torrent, .. } => (torrent, None),
            _ => return None,
        };
        Some(End { about: torrent.to_string(), kind })
    }

    fn most(&self, call: Call) -> usize {
        // The smallest message that calls for anything of its own is an ask for a block, of 17 bytes.
        let messages = call.bytes / 17;
        // What one peer asked for may be served at once when there is room: what is queued, and what was read and held.
        let served = UPLOAD_QUEUE + HELD_INPUT / 17;
        // For each connection a write, a stop or a start of reading, a close and its notice; each dial, begun or abandoned; each
        // torrent's figures and its last piece; and a block with its header.
        // Where a rate held it back, each connection is served all there is room to load: 32 blocks, and asked for a block in a write.
        messages + served + 36 * (call.conns + 1) + 2 * DIALS + 2 * TORRENTS as usize + 2
    }

    fn on_event(&mut self, event: &peer::Event) {
        match event {
            peer::Event::Load { torrent, span, ticket } => self.loads.push((*torrent, *span, *ticket)),
            peer::Event::Store { torrent, span, .. } => self.stores.push((*torrent, *span)),
            peer::Event::TorrentRemoved { torrent } => drop(self.torrents.remove(torrent)),
            _ => {}
        }
    }

    fn on_write(&mut self, conn: ConnId, bytes: &[u8]) {
        let written = self.written.entry(conn).or_default();
        let hello = written.hello.min(bytes.len());
        written.hello -= hello;
        let mut rest = &bytes[hello..];
        while let Some(item) = written.frames.next(&mut rest).expect("the swarm writes messages") {
            match item {
                Item::Message(Message::Request(span)) => written.asked.push(span),
                Item::Message(Message::Cancel(span)) => written.asked.retain(|asked| *asked != span),
                _ => {}
            }
        }
    }

    fn answer(&mut self, rng: &mut Rng) -> Option<peer::Command> {
        if let Some(due) = self.due.pop_front() {
            return Some(due);
        }
        let at = rng.below((self.loads.len() + self.stores.len()) as u32) as usize;
        if at < self.loads.len() {
            let (torrent, mut span, ticket) = self.loads.swap_remove(at);
            self.stale.push((torrent, span, ticket));
            if rng.below(20) == 0 {
                span.length -= 1;
            }
            let block = (rng.below(20) != 0).then(|| block(rng, span));
            return Some(peer::Command::Loaded { torrent, ticket, block });
        }
        let at = at - self.loads.len();
        if at >= self.stores.len() {
            return None;
        }
        let (torrent, span) = self.stores.swap_remove(at);
        let Some(state) = self.torrents.get_mut(&torrent) else {
            return Some(peer::Command::Stored { torrent, span, outcome: Stored::Failed });
        };
        let (outcome, piece) = (state.store(span, rng), span.piece);
        let answer = peer::Command::Stored { torrent, span, outcome };
        // A bad piece's hashes come first; those of a good one later, and only where it has been bad.
        let mut hashes =
            |good| peer::Command::BlockHashes { torrent, piece, good, hashes: block_hashes(piece, good, rng) };
        match outcome {
            Stored::PieceBad => {
                state.bad.insert(piece);
                let first = hashes(false);
                self.due.push_back(answer);
                Some(first)
            }
            Stored::PieceGood if state.bad.remove(&piece) => {
                self.due.push_back(hashes(true));
                Some(answer)
            }
            _ => Some(answer),
        }
    }

    fn source(&self) -> Option<&'static str> {
        Some(SOURCE)
    }

    fn stream(&mut self, conn: ConnId, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        if rng.below(60) == 0 {
            // Garbage.
            (0..rng.below(200)).for_each(|_| bytes.push(rng.next_u64() as u8));
            return bytes;
        }
        let named = self.named.get(&conn).copied();
        let torrent = named.unwrap_or_else(|| {
            let torrent = torrent(rng);
            self.named.insert(conn, torrent);
            let handshake = Handshake {
                extensions: Extensions::default(),
                info_hash: info_hash(torrent),
                peer_id: PeerId([rng.below(60) as u8; 20]),
            };
            bytes.extend_from_slice(&handshake.encode());
            if rng.below(2) == 0 {
                Message::Bitfield(bitfield(rng).as_bytes()).encode(&mut bytes);
            }
            if rng.below(2) == 0 {
                Message::Unchoke.encode(&mut bytes);
            }
            torrent
        });
        for _ in 0..rng.below(20) {
            self.message(conn, torrent, rng, &mut bytes);
        }
        match rng.below(60) {
            // A violation, most likely.
            0 => Message::Have(PieceIndex(rng.next_u64() as u32)).encode(&mut bytes),
            1 => Message::Request(span(rng)).encode(&mut bytes),
            2 => Message::Bitfield(bitfield(rng).as_bytes()).encode(&mut bytes),
            // Many small requests: more than the queue holds.
            3 | 4 => (0..rng.below(200)).for_each(|begin| {
                let piece = PieceIndex(rng.below(geometry().piece_count()));
                Message::Request(Span { piece, begin, length: 1 + rng.below(3) }).encode(&mut bytes);
            }),
            // Streams are cut anywhere; what follows is then out of step.
            5 => bytes.truncate(rng.below(bytes.len() as u32 + 1) as usize),
            _ => {}
        }
        bytes
    }
}

const SOURCE: &str = include_str!("../../../src/peer/command.rs");

#[test]
fn the_swarm_keeps_the_laws() {
    if let Some(tally) = hold("the_swarm_keeps_the_laws", Swarms::default, 100, 800) {
        let told = tally.told.keys().map(String::as_str).collect();
        assert_eq!(
            variants::declared(SOURCE, "Event"),
            told,
            "the scripts do not bring the swarm to tell all that it can"
        );
        assert!(tally.blocks > 100, "the scripts hardly upload: {tally:?}");
        assert!(tally.told("PieceDone") > 100 && tally.told("PeerBanned") > 5, "they hardly download: {tally:?}");
    }
}

/// Makes a selection of pieces, now and then of another torrent's.
fn selection(rng: &mut Rng) -> Selection {
    let count = geometry().piece_count() + rng.below(8) / 7;
    let all = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];
    let pieces = (0..count).map(|_| *rng.choose(&all).expect("there are four")).collect();
    Selection { pieces: (rng.below(4) != 0).then_some(pieces), sequential: rng.below(2) == 0 }
}

/// Says whether a torrent's files go with it.
pub(super) fn files(rng: &mut Rng) -> disk::Files {
    if rng.below(3) == 0 { disk::Files::Delete } else { disk::Files::Keep }
}
