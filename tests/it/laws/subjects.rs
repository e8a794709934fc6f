//! The machines that are held to the laws.

use super::{Never, Subject, hold};
use bip::disk;
use bip::machine::{Block, Executor, Rng, Secret, TorrentId};
use bip::peer::{self, Refusal, Stored, Swarm};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::{Geometry, Span};
use bip::proto::handshake::{Extensions, Handshake};
use bip::proto::id::{InfoHash, PeerId, PieceIndex};
use bip::proto::message::Message;
use bip::proto::metainfo::{Layout, SafePath};
use bip::proto::sha1::Sha1;
use bip::session::{Command, Coordinator, Spec};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

const PIECE: u32 = 40_000;
const TOTAL: u64 = 150_000;

fn content() -> Vec<u8> {
    (0..TOTAL).map(|i| (i * 31 % 251) as u8).collect()
}

fn layout(n: u32) -> Arc<Layout> {
    let hashes: Vec<[u8; 20]> = content().chunks(PIECE as usize).map(Sha1::digest).collect();
    let path = |name: &str| SafePath::from_parts([format!("t{n}"), name.into()]).unwrap();
    let files = vec![(path("a"), 50_000), (path("empty"), 0), (path("b"), TOTAL - 50_000)];
    Arc::new(Layout::new(files, PIECE, &hashes).unwrap())
}

fn torrent(rng: &mut Rng) -> TorrentId {
    TorrentId(rng.below(4))
}

fn info_hash(torrent: TorrentId) -> InfoHash {
    InfoHash([torrent.0 as u8; 20])
}

fn geometry() -> Geometry {
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

fn bitfield(rng: &mut Rng) -> Bitfield {
    let pieces = geometry().piece_count() + u32::from(rng.below(10) == 0);
    let mut have = Bitfield::new(pieces);
    (0..pieces).filter(|_| rng.below(2) == 0).for_each(|p| {
        have.insert(PieceIndex(p));
    });
    have
}

fn address(rng: &mut Rng) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, rng.below(20) as u8], 6881))
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

struct Coordinators;

impl Subject for Coordinators {
    type Machine = Coordinator;

    fn machine(&self, _: u64) -> Coordinator {
        Coordinator::new(bip::session::Config { max_torrents: 3, ..Default::default() })
    }

    fn command(&self, rng: &mut Rng) -> Command {
        let torrent = torrent(rng);
        match rng.below(20) {
            0..=3 => Command::Add {
                torrent,
                spec: Spec {
                    info_hash: info_hash(torrent),
                    layout: layout(torrent.0),
                    root: PathBuf::from("/nowhere"),
                    writable: rng.below(2) == 0,
                },
            },
            4 => Command::Remove { torrent },
            5 => Command::Pause { torrent },
            6 => Command::Resume { torrent },
            7 => Command::AddPeer { torrent, address: address(rng) },
            8 if rng.below(10) == 0 => Command::ShutDown,
            9 | 10 => Command::FromDisk(disk::Event::Added { torrent, have: bitfield(rng), oddities: Vec::new() }),
            11 => Command::FromDisk(disk::Event::Removed { torrent, error: None }),
            12 => Command::FromDisk(disk::Event::Synced { torrent, error: None }),
            13 => Command::FromDisk(disk::Event::Checking { torrent, checked: rng.below(5), good: 0, pieces: 4 }),
            14 | 15 => Command::FromPeer(peer::Event::TorrentAdded { torrent }),
            16 => Command::FromPeer(peer::Event::TorrentRemoved { torrent }),
            17 => Command::FromPeer(peer::Event::Paused { torrent }),
            18 => Command::FromPeer(peer::Event::Completed { torrent }),
            _ => Command::FromPeer(peer::Event::Refused { torrent, refusal: Refusal::Full }),
        }
    }

    fn stream(&self, _: &mut Rng) -> Vec<u8> {
        Vec::new()
    }

    fn executor(&self) -> Option<Box<dyn Executor<Never, Never>>> {
        None
    }
}

#[test]
fn the_coordinator_keeps_the_laws() {
    hold("the_coordinator_keeps_the_laws", &Coordinators, 30, 400);
}

struct Swarms;

impl Subject for Swarms {
    type Machine = Swarm;

    fn machine(&self, seed: u64) -> Swarm {
        Swarm::new(peer::Config::default(), Rng::new(seed), &Secret::new([seed as u8; 32]))
    }

    fn command(&self, rng: &mut Rng) -> peer::Command {
        let torrent = torrent(rng);
        match rng.below(12) {
            0..=3 => peer::Command::AddTorrent {
                torrent,
                info_hash: info_hash(torrent),
                geometry: geometry(),
                have: bitfield(rng),
                download: rng.below(8) != 0,
            },
            4 if rng.below(4) == 0 => peer::Command::RemoveTorrent { torrent },
            5 if rng.below(4) == 0 => peer::Command::Pause { torrent },
            6 => peer::Command::Resume { torrent },
            7 => peer::Command::AddPeer { torrent, address: address(rng) },
            8 | 9 => {
                let span = span(rng);
                peer::Command::Loaded { torrent, ticket: u64::from(rng.below(20)), block: Some(block(rng, span)) }
            }
            _ => {
                let outcomes =
                    [Stored::Kept, Stored::Known, Stored::PieceGood, Stored::PieceBad, Stored::Failed, Stored::Kept];
                let outcome = *rng.choose(&outcomes).unwrap();
                peer::Command::Stored { torrent, span: span(rng), outcome }
            }
        }
    }

    fn stream(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        match rng.below(10) {
            0 => (0..rng.below(200)).for_each(|_| bytes.push(rng.next_u64() as u8)),
            1..=4 => {
                let handshake = Handshake {
                    extensions: Extensions::default(),
                    info_hash: info_hash(torrent(rng)),
                    peer_id: PeerId([rng.below(30) as u8; 20]),
                };
                bytes.extend_from_slice(&handshake.encode());
            }
            _ => {
                for _ in 0..=rng.below(20) {
                    let data = vec![7; 16 * 1024];
                    let have = bitfield(rng);
                    let span = span(rng);
                    let message = match rng.below(9) {
                        0 => Message::Choke,
                        1 | 2 => Message::Unchoke,
                        3 => Message::Interested,
                        4 => Message::NotInterested,
                        5 => Message::Have(span.piece),
                        6 => Message::Bitfield(have.as_bytes()),
                        7 => Message::Request(span),
                        _ => Message::Piece {
                            piece: span.piece,
                            begin: span.begin,
                            data: &data[..span.length.min(16 * 1024) as usize],
                        },
                    };
                    message.encode(&mut bytes);
                }
                // Streams are cut anywhere.
                if rng.below(3) == 0 {
                    bytes.truncate(rng.below(bytes.len() as u32 + 1) as usize);
                }
            }
        }
        bytes
    }

    fn executor(&self) -> Option<Box<dyn Executor<Never, ()>>> {
        None
    }
}

#[test]
fn the_swarm_keeps_the_laws() {
    hold("the_swarm_keeps_the_laws", &Swarms, 40, 600);
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

struct Disks;

impl Subject for Disks {
    type Machine = disk::Disk;

    fn machine(&self, seed: u64) -> disk::Disk {
        disk::Disk::new(disk::Config::default(), &mut Rng::new(seed))
    }

    fn command(&self, rng: &mut Rng) -> disk::Command {
        let torrent = torrent(rng);
        match rng.below(16) {
            0..=2 => disk::Command::Add {
                torrent,
                layout: layout(torrent.0),
                root: PathBuf::from("/store"),
                writable: rng.below(8) != 0,
            },
            3 if rng.below(4) == 0 => disk::Command::Remove { torrent },
            4 => disk::Command::Sync { torrent },
            5 => disk::Command::Retry { torrent },
            6 | 7 => disk::Command::Read { torrent, span: span(rng), ticket: rng.next_u64() },
            _ => {
                let span = span(rng);
                disk::Command::Write { torrent, span, block: block(rng, span) }
            }
        }
    }

    fn stream(&self, _: &mut Rng) -> Vec<u8> {
        Vec::new()
    }

    fn executor(&self) -> Option<Box<dyn Executor<disk::Job, disk::Done>>> {
        Some(Box::new(disk::Executor::new(memory())))
    }
}

#[test]
fn the_disk_keeps_the_laws() {
    hold("the_disk_keeps_the_laws", &Disks, 30, 600);
}

struct Checks;

impl Subject for Checks {
    type Machine = disk::check::Check;

    fn machine(&self, seed: u64) -> disk::check::Check {
        disk::check::Check::new(disk::Config::default(), &mut Rng::new(seed))
    }

    fn command(&self, rng: &mut Rng) -> disk::check::Command {
        match rng.below(4) {
            0 => disk::check::Command::Cancel,
            _ => disk::check::Command::Start { layout: layout(rng.below(3)), root: PathBuf::from("/store") },
        }
    }

    fn stream(&self, _: &mut Rng) -> Vec<u8> {
        Vec::new()
    }

    fn executor(&self) -> Option<Box<dyn Executor<disk::Job, disk::Done>>> {
        Some(Box::new(disk::Executor::new(memory())))
    }
}

#[test]
fn a_check_keeps_the_laws() {
    hold("a_check_keeps_the_laws", &Checks, 20, 300);
}

struct Creates;

impl Subject for Creates {
    type Machine = disk::create::Create;

    fn machine(&self, seed: u64) -> disk::create::Create {
        disk::create::Create::new(disk::Config::default(), &mut Rng::new(seed))
    }

    fn command(&self, rng: &mut Rng) -> disk::create::Command {
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

    fn stream(&self, _: &mut Rng) -> Vec<u8> {
        Vec::new()
    }

    fn executor(&self) -> Option<Box<dyn Executor<disk::Job, disk::Done>>> {
        Some(Box::new(disk::Executor::new(memory())))
    }
}

#[test]
fn a_creation_keeps_the_laws() {
    hold("a_creation_keeps_the_laws", &Creates, 20, 300);
}
