//! A store in memory.

use bip::machine::{Block, Instant, Rng, TorrentId};
use bip::peer::{Command, Event, Stored};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::{BLOCK_LENGTH, Geometry, Span};
use bip::proto::id::PieceIndex;
use bip::proto::sha1::Sha1;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The true bytes of the torrent.
pub(super) fn content(geometry: &Geometry) -> Vec<u8> {
    let mut rng = Rng::new(geometry.total_length());
    (0..geometry.total_length()).map(|_| rng.next_u64() as u8).collect()
}

pub(super) fn geometry(pieces: u32) -> Geometry {
    // The last piece is short, and so is its last block.
    Geometry::new(u64::from(pieces) * 65536 - 20_000, 65536).expect("a length that is not zero")
}

/// What becomes of what a swarm asks of its store.
pub(super) struct Store {
    geometry: Geometry,
    truth: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    /// Bytes that came of pieces that are not whole. Torrents share the bytes.
    arrived: BTreeMap<(TorrentId, PieceIndex), u32>,
    pub(super) delay: Duration,
    /// Answers nothing while set.
    pub(super) frozen: bool,
    /// How many blocks to fail.
    pub(super) failing: usize,
    pub(super) unreadable: bool,
    pub(super) pending: VecDeque<(Instant, Command)>,
    pub(super) stores: usize,
    pub(super) loads: usize,
    pub(super) bad_pieces: usize,
    /// Pieces that were bad and are not good yet.
    bad: BTreeSet<PieceIndex>,
    /// Of a thousand blocks that it gives, how many have a wrong byte.
    pub(super) lies: u32,
    rng: Rng,
}

impl Store {
    pub(super) fn new(geometry: Geometry, have: &Bitfield) -> Self {
        let truth = content(&geometry);
        let mut bytes = vec![0; truth.len()];
        for piece in have.iter() {
            let start = geometry.piece_offset(piece) as usize;
            let range = start..start + geometry.length_of(piece) as usize;
            bytes[range.clone()].copy_from_slice(&truth[range]);
        }
        Self {
            geometry,
            truth,
            bytes,
            arrived: BTreeMap::new(),
            delay: Duration::ZERO,
            frozen: false,
            failing: 0,
            unreadable: false,
            pending: VecDeque::new(),
            stores: 0,
            loads: 0,
            bad_pieces: 0,
            bad: BTreeSet::new(),
            lies: 0,
            rng: Rng::new(u64::from(have.count())),
        }
    }

    pub(super) fn is_true(&self) -> bool {
        self.bytes == self.truth
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn range(&self, span: Span) -> std::ops::Range<usize> {
        let start = self.geometry.offset_of(span) as usize;
        start..start + span.length as usize
    }

    fn hashes(&self, piece: PieceIndex) -> Vec<[u8; 20]> {
        let length = self.geometry.length_of(piece);
        let whole = self.range(Span { piece, begin: 0, length });
        self.bytes[whole].chunks(BLOCK_LENGTH as usize).map(Sha1::digest).collect()
    }

    /// Has one block of each piece be wrong for good, a different one of each.
    pub(super) fn spoil_a_block_of_each_piece(&mut self) {
        for piece in (0..self.geometry.piece_count()).map(PieceIndex) {
            let blocks = self.geometry.blocks_in(piece);
            let span = self.geometry.block(piece, self.rng.below(blocks)).expect("one of the piece's blocks");
            let range = self.range(span);
            self.bytes[range].fill(0xbd);
        }
    }

    /// Has a block be wrong.
    pub(super) fn spoil(&mut self, span: Span) {
        let range = self.range(span);
        self.bytes[range].fill(0xbd);
    }

    pub(super) fn on_event(&mut self, now: Instant, event: &Event) {
        let due = now + self.delay;
        match event {
            Event::Store { torrent, span, block } => {
                self.stores += 1;
                let range = self.range(*span);
                self.bytes[range].copy_from_slice(block);
                let arrived = self.arrived.entry((*torrent, span.piece)).or_default();
                let length = self.geometry.length_of(span.piece);
                let (torrent, piece) = (*torrent, span.piece);
                let outcome = if self.failing > 0 {
                    self.failing -= 1;
                    Stored::Failed
                } else {
                    *arrived += span.length;
                    if *arrived < length {
                        Stored::Kept
                    } else {
                        self.arrived.remove(&(torrent, piece));
                        let whole = self.range(Span { piece: span.piece, begin: 0, length });
                        if self.bytes[whole.clone()] == self.truth[whole] {
                            Stored::PieceGood
                        } else {
                            self.bad_pieces += 1;
                            self.bad.insert(piece);
                            Stored::PieceBad
                        }
                    }
                };
                let good = outcome == Stored::PieceGood;
                let tell = outcome == Stored::PieceBad || good && self.bad.remove(&piece);
                let hashes = Command::BlockHashes { torrent, piece, good, hashes: self.hashes(piece).into() };
                let answer = Command::Stored { torrent, span: *span, outcome };
                let answers =
                    if good { [Some(answer), tell.then_some(hashes)] } else { [tell.then_some(hashes), Some(answer)] };
                self.pending.extend(answers.into_iter().flatten().map(|answer| (due, answer)));
            }
            Event::Load { torrent, span, ticket } => {
                self.loads += 1;
                let mut bytes = self.bytes[self.range(*span)].to_vec();
                if self.rng.below(1000) < self.lies {
                    let at = self.rng.below(span.length) as usize;
                    bytes[at] ^= 1 + self.rng.below(255) as u8;
                }
                let block = (!self.unreadable).then(|| Block::from(bytes));
                self.pending.push_back((due, Command::Loaded { torrent: *torrent, ticket: *ticket, block }));
            }
            _ => {}
        }
    }
}
