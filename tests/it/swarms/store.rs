//! A store that keeps no bytes: it compares what it is given with the truth, and gives the truth, or a lie.

use super::content::Content;
use bip::machine::{Block, Rng, TorrentId};
use bip::peer::{Command, Event, Stored};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::Span;
use bip::proto::id::PieceIndex;
use bip::proto::sha1::Sha1;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct Store {
    content: Arc<Content>,
    /// Pieces of which every byte was compared with the truth and is right.
    pub(super) good: Bitfield,
    /// The blocks there are of other pieces, by number: the hash of each that is wrong.
    blocks: BTreeMap<PieceIndex, BTreeMap<u32, Option<[u8; 20]>>>,
    /// How many pieces had a wrong hash, and those of which the right hashes are to be told.
    pub(super) bad_pieces: u32,
    accused: Vec<PieceIndex>,
    /// Of a piece that is not there, how many of its first blocks came before all others: what a store hashes as it comes.
    hashed: BTreeMap<PieceIndex, u32>,
    /// Bytes of blocks that came before one that is before them in their piece: a store reads them back for the piece's hash.
    pub(super) reread: u64,
    /// How many in a hundred blocks are given with a wrong byte.
    lies: u32,
    rng: Rng,
}

impl Store {
    pub(super) fn new(content: &Arc<Content>, full: bool, lies: u32, rng: Rng) -> Self {
        let pieces = content.geometry.piece_count();
        Self {
            content: Arc::clone(content),
            good: if full { Bitfield::full(pieces) } else { Bitfield::new(pieces) },
            blocks: BTreeMap::new(),
            bad_pieces: 0,
            accused: Vec::new(),
            hashed: BTreeMap::new(),
            reread: 0,
            lies,
            rng,
        }
    }

    /// Forgets what a crash loses: pieces that are not complete.
    pub(super) fn on_crash(&mut self) {
        self.blocks.clear();
        self.accused.clear();
        self.hashed.clear();
    }

    pub(super) fn has(&self, span: Span) -> bool {
        let there = |number| self.blocks.get(&span.piece).is_some_and(|blocks| blocks.contains_key(&number));
        self.good.contains(span.piece) || self.content.number(span).is_some_and(there)
    }

    /// Gives what the swarm is to be told, in order, where the event is for the store.
    pub(super) fn on_event(&mut self, event: &Event) -> Vec<Command> {
        match event {
            Event::Store { torrent, span, block } => self.on_store(*torrent, *span, block),
            Event::Load { torrent, span, ticket } => {
                assert!(self.good.contains(span.piece), "{span} is asked of the store, which has no such piece");
                let block = Some(self.load(*span));
                vec![Command::Loaded { torrent: *torrent, ticket: *ticket, block }]
            }
            _ => Vec::new(),
        }
    }

    fn load(&mut self, span: Span) -> Block {
        let truth = self.content.block(span);
        if self.rng.below(100) >= self.lies {
            return truth.clone();
        }
        let mut bytes = truth.to_vec();
        bytes[self.rng.below(span.length) as usize] ^= 0x10;
        Block::from(bytes)
    }

    fn on_store(&mut self, torrent: TorrentId, span: Span, block: &Block) -> Vec<Command> {
        let stored = |outcome| Command::Stored { torrent, span, outcome };
        let number = self.content.number(span).expect("what is stored is a block of the torrent");
        if self.good.contains(span.piece) {
            return vec![stored(Stored::Known)];
        }
        let wrong = (block != self.content.block(span)).then(|| Sha1::digest(block));
        let blocks = self.blocks.entry(span.piece).or_default();
        assert!(blocks.insert(number, wrong).is_none(), "block {span} is stored twice");
        let hashed = self.hashed.entry(span.piece).or_default();
        if number == *hashed {
            while blocks.contains_key(hashed) {
                *hashed += 1;
            }
        } else {
            self.reread += u64::from(span.length);
        }
        if blocks.len() < self.content.geometry.blocks_in(span.piece) as usize {
            return vec![stored(Stored::Kept)];
        }
        self.hashed.remove(&span.piece);
        let blocks = self.blocks.remove(&span.piece).expect("it was just seen");
        let spans = self.content.spans(span.piece);
        let hashes = spans.map(|s| blocks[&self.content.number(s).unwrap()].unwrap_or(self.content.hash(s))).collect();
        let good = blocks.values().all(Option::is_none);
        let told = Command::BlockHashes { torrent, piece: span.piece, good, hashes };
        if !good {
            self.bad_pieces += 1;
            self.accused.push(span.piece);
            return vec![told, stored(Stored::PieceBad)];
        }
        self.good.insert(span.piece);
        if !self.accused.contains(&span.piece) {
            return vec![stored(Stored::PieceGood)];
        }
        self.accused.retain(|piece| *piece != span.piece);
        vec![stored(Stored::PieceGood), told]
    }
}
