//! The machines that are held to the laws.

use super::{Ask, Call, End, Subject, hold};
use bip::disk;
use bip::machine::{Block, ConnId, Executor, Rng, Secret, TorrentId};
use bip::peer::{self, Selection, Source, Stored, Swarm, TorrentLimits};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::{Geometry, Span};
use bip::proto::handshake::{Extensions, Handshake};
use bip::proto::id::{InfoHash, PeerId, PieceIndex};
use bip::proto::message::Message;
use bip::proto::metainfo::{Layout, SafePath};
use bip::proto::sha1::Sha1;
use bip::select::Priority;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const PIECE: u32 = 40_000;
const TOTAL: u64 = 150_000;
/// Torrents that the scripts know of.
const TORRENTS: u32 = 4;

// Limits so low that the scripts reach them.
const UPLOAD_QUEUE: usize = 20;
const HELD_INPUT: usize = 4 * 1024;
const DIALS: usize = 8;
const DISK_COMMANDS: usize = 60;
const DISK_JOBS: usize = 12;
const CHECK_JOBS: usize = 4;
pub(super) const SESSION_TORRENTS: usize = 3;

fn content() -> Vec<u8> {
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
fn span(rng: &mut Rng) -> Span {
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
    NonZeroU64::new(*rng.choose(&[0, 0, 1, 1_000, 20_000, 1_000_000, u64::MAX]).unwrap())
}

pub(super) fn limits(rng: &mut Rng) -> peer::Limits {
    peer::Limits {
        upload_rate: rate(rng),
        download_rate: rate(rng),
        max_connections: rng.below(30) as usize,
        max_connections_per_torrent: rng.below(20) as usize,
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

fn block(rng: &mut Rng, span: Span) -> Block {
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
}

/// A torrent that was given to the swarm.
struct Torrent {
    have: Bitfield,
    /// Blocks that are stored of incomplete pieces.
    kept: BTreeSet<(PieceIndex, u32)>,
}

impl Torrent {
    /// Stores a block; says what becomes of it.
    fn store(&mut self, span: Span, rng: &mut Rng) -> Stored {
        if self.have.contains(span.piece) {
            return Stored::Known;
        }
        if rng.below(15) == 0 {
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
    fn message(&self, torrent: TorrentId, rng: &mut Rng, bytes: &mut Vec<u8>) {
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
            limits: peer::Limits { max_dials: DIALS, ..peer::Limits::default() },
            ..peer::Config::default()
        };
        Swarm::new(config, Rng::new(seed), &Secret::new([seed as u8; 32]))
    }

    fn command(&mut self, rng: &mut Rng) -> peer::Command {
        let torrent = torrent(rng);
        match rng.below(14) {
            0..=3 => {
                let have = bitfield(rng);
                if have.pieces() == geometry().piece_count() {
                    let new = Torrent { have: have.clone(), kept: BTreeSet::new() };
                    self.torrents.entry(torrent).or_insert(new);
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
            12 if rng.below(3) == 0 => peer::Command::SetLimits { limits: limits(rng) },
            13 => peer::Command::SetTorrentLimits { torrent, limits: torrent_limits(rng) },
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

    fn answer(&mut self, rng: &mut Rng) -> Option<peer::Command> {
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
        let outcome = self.torrents.get_mut(&torrent).map_or(Stored::Failed, |t| t.store(span, rng));
        Some(peer::Command::Stored { torrent, span, outcome })
    }

    fn stream(&mut self, conn: ConnId, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        if rng.below(30) == 0 {
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
            torrent
        });
        for _ in 0..rng.below(20) {
            self.message(torrent, rng, &mut bytes);
        }
        match rng.below(30) {
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

#[test]
fn the_swarm_keeps_the_laws() {
    if let Some(tally) = hold("the_swarm_keeps_the_laws", Swarms::default, 100, 800) {
        assert!(tally.blocks > 100, "the scripts hardly upload: {tally:?}");
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

/// Makes a list of skipped files, now and then of another torrent's.
fn skipped(rng: &mut Rng) -> Vec<bool> {
    (0..2 + rng.below(8) / 7).map(|_| rng.below(2) == 0).collect()
}

/// Files in memory with the torrents' content, some of it, or none.
fn memory() -> disk::Memory {
    let memory = disk::Memory::new();
    let bytes = content();
    memory.put(&PathBuf::from("/store/t0/a"), &bytes[..50_000]);
    memory.put(&PathBuf::from("/store/t0/b"), &bytes[50_000..]);
    memory.put(&PathBuf::from("/store/t1/a"), &bytes[..60_000]);
    memory
}

fn disk_config() -> disk::Config {
    let mut config = disk::Config::default();
    (config.commands, config.jobs, config.check_jobs, config.write_bytes) =
        (DISK_COMMANDS, DISK_JOBS, CHECK_JOBS, 200_000);
    (config.torrent_jobs, config.save_interval) = (DISK_JOBS / 2, Duration::from_secs(1));
    config
}

struct Disks;

impl Subject for Disks {
    type Machine = disk::Disk;

    fn machine(&mut self, seed: u64) -> disk::Disk {
        disk::Disk::new(disk_config(), &mut Rng::new(seed))
    }

    fn command(&mut self, rng: &mut Rng) -> disk::Command {
        let torrent = torrent(rng);
        match rng.below(16) {
            0..=2 => disk::Command::Add {
                torrent,
                layout: layout(torrent.0),
                root: PathBuf::from("/store"),
                writable: rng.below(8) != 0,
                skipped: if rng.below(2) == 0 { skipped(rng) } else { Vec::new() },
                resume: (rng.below(2) == 0).then(|| {
                    let path = PathBuf::from(format!("/state/{torrent}"));
                    disk::ResumeFile { path, info_hash: info_hash(torrent) }
                }),
            },
            8 | 9 => disk::Command::Select { torrent, skipped: skipped(rng) },
            3 if rng.below(4) == 0 => disk::Command::Remove { torrent, files: files(rng) },
            4 => disk::Command::Sync { torrent },
            5 => disk::Command::Retry { torrent },
            6 | 7 => disk::Command::Read { torrent, span: span(rng), ticket: rng.next_u64() },
            _ => {
                let span = span(rng);
                disk::Command::Write { torrent, span, block: block(rng, span) }
            }
        }
    }

    fn ask(&self, command: &disk::Command) -> Option<Ask> {
        use disk::Command;
        let (torrent, kind) = match command {
            Command::Add { torrent, .. } => (torrent, "add".into()),
            Command::Remove { torrent, files } => (torrent, format!("remove and {files:?}")),
            Command::Write { torrent, span, .. } => (torrent, format!("write {span}")),
            Command::Read { torrent, span, ticket } => (torrent, format!("read {span} for {ticket}")),
            Command::Sync { torrent } => (torrent, "sync".into()),
            Command::Select { torrent, .. } => (torrent, "select".into()),
            Command::Retry { torrent } => (torrent, "retry".into()),
            other => panic!("what does {other:?} ask?"),
        };
        Some(Ask { about: torrent.to_string(), kind })
    }

    fn end(&self, event: &disk::Event) -> Option<End> {
        use disk::Event;
        let (torrent, kind) = match event {
            Event::Added { torrent, .. } | Event::AddFailed { torrent, .. } => (torrent, "add".into()),
            Event::Removed { torrent, .. } => (torrent, "remove and Keep".into()),
            Event::Deleted { torrent, .. } => (torrent, "remove and Delete".into()),
            Event::Written { torrent, span, .. } => (torrent, format!("write {span}")),
            Event::Read { torrent, span, ticket, .. } => (torrent, format!("read {span} for {ticket}")),
            Event::Synced { torrent, .. } => (torrent, "sync".into()),
            Event::Selected { torrent, .. } => (torrent, "select".into()),
            Event::Retried { torrent, .. } => (torrent, "retry".into()),
            _ => return None,
        };
        Some(End { about: torrent.to_string(), kind: Some(kind) })
    }

    fn most(&self, _: Call) -> usize {
        // As many jobs as may be under way, and a notice each of a check's progress, of a failure, and of a piece that is lost.
        DISK_JOBS + 3
    }

    fn executor(&self) -> Option<Box<dyn Executor<disk::Job, disk::Done>>> {
        Some(Box::new(disk::Executor::new(memory())))
    }
}

#[test]
fn the_disk_keeps_the_laws() {
    hold("the_disk_keeps_the_laws", || Disks, 30, 600);
}

struct Checks;

impl Subject for Checks {
    type Machine = disk::check::Check;

    fn machine(&mut self, seed: u64) -> disk::check::Check {
        disk::check::Check::new(disk_config(), &mut Rng::new(seed))
    }

    fn command(&mut self, rng: &mut Rng) -> disk::check::Command {
        match rng.below(4) {
            0 => disk::check::Command::Cancel,
            _ => disk::check::Command::Start { layout: layout(rng.below(3)), root: PathBuf::from("/store") },
        }
    }

    fn ask(&self, command: &disk::check::Command) -> Option<Ask> {
        let kind = match command {
            disk::check::Command::Start { .. } => "start",
            disk::check::Command::Cancel => "cancel",
            other => panic!("what does {other:?} ask?"),
        };
        Some(Ask { about: String::new(), kind: kind.into() })
    }

    fn end(&self, event: &disk::check::Event) -> Option<End> {
        let kind = match event {
            disk::check::Event::Checked { .. } | disk::check::Event::Failed { .. } => "start",
            disk::check::Event::Cancelled => "cancel",
            _ => return None,
        };
        Some(End { about: String::new(), kind: Some(kind.into()) })
    }

    fn most(&self, _: Call) -> usize {
        // As many jobs as may be under way, the closing of the files, and a notice of progress.
        CHECK_JOBS + 2
    }

    fn executor(&self) -> Option<Box<dyn Executor<disk::Job, disk::Done>>> {
        Some(Box::new(disk::Executor::new(memory())))
    }
}

#[test]
fn a_check_keeps_the_laws() {
    hold("a_check_keeps_the_laws", || Checks, 20, 300);
}

struct Creates;

impl Subject for Creates {
    type Machine = disk::create::Create;

    fn machine(&mut self, seed: u64) -> disk::create::Create {
        disk::create::Create::new(disk_config(), &mut Rng::new(seed))
    }

    fn command(&mut self, rng: &mut Rng) -> disk::create::Command {
        let mut options = disk::create::Options::default();
        options.piece_length = (rng.below(2) == 0).then(|| (16 * 1024) << rng.below(3));
        match rng.below(4) {
            0 => disk::create::Command::Cancel,
            n => disk::create::Command::Start {
                path: PathBuf::from(["", "/store/t0", "/store/t1/a", "/nowhere"][n as usize]),
                options: Box::new(options),
            },
        }
    }

    fn ask(&self, command: &disk::create::Command) -> Option<Ask> {
        let kind = match command {
            disk::create::Command::Start { .. } => "start",
            disk::create::Command::Cancel => "cancel",
            other => panic!("what does {other:?} ask?"),
        };
        Some(Ask { about: String::new(), kind: kind.into() })
    }

    fn end(&self, event: &disk::create::Event) -> Option<End> {
        let kind = match event {
            disk::create::Event::Created { .. } | disk::create::Event::Failed { .. } => "start",
            disk::create::Event::Cancelled => "cancel",
            _ => return None,
        };
        Some(End { about: String::new(), kind: Some(kind.into()) })
    }

    fn most(&self, _: Call) -> usize {
        // As many jobs as may be under way, the closing of the files, and a notice of progress.
        CHECK_JOBS + 2
    }

    fn executor(&self) -> Option<Box<dyn Executor<disk::Job, disk::Done>>> {
        Some(Box::new(disk::Executor::new(memory())))
    }
}

#[test]
fn a_creation_keeps_the_laws() {
    hold("a_creation_keeps_the_laws", || Creates, 20, 300);
}
