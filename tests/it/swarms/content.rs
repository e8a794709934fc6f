//! The torrent that all have or want: its true bytes are made once and shared.

use bip::machine::{Block, Rng};
use bip::proto::geometry::{BLOCK_LENGTH, Geometry, Span};
use bip::proto::id::{InfoHash, PieceIndex};
use bip::proto::sha1::Sha1;
use std::sync::Arc;

pub(super) struct Content {
    pub(super) geometry: Geometry,
    pub(super) info_hash: InfoHash,
    blocks: Vec<Block>,
    /// SHA-1 of each block, for the store to tell.
    hashes: Vec<[u8; 20]>,
}

impl Content {
    /// Gives the length of a torrent in bytes. The last piece is short, and so is its last block.
    pub(super) fn length(pieces: u32, piece_length: u32) -> u64 {
        u64::from(pieces) * u64::from(piece_length) - u64::from(piece_length / 3)
    }

    pub(super) fn new(pieces: u32, piece_length: u32) -> Arc<Self> {
        let length = Self::length(pieces, piece_length);
        let geometry = Geometry::new(length, piece_length).unwrap();
        let mut rng = Rng::new(length);
        let block = |n: u64| {
            let size = (length - n * u64::from(BLOCK_LENGTH)).min(u64::from(BLOCK_LENGTH)) as usize;
            let mut bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
            bytes.truncate(size);
            Block::from(bytes)
        };
        let blocks: Vec<Block> = (0..length.div_ceil(u64::from(BLOCK_LENGTH))).map(block).collect();
        let hashes = blocks.iter().map(|block| Sha1::digest(block)).collect();
        Arc::new(Self { geometry, info_hash: InfoHash([0x5a; 20]), blocks, hashes })
    }

    fn place(&self, span: Span) -> usize {
        (self.geometry.offset_of(span) / u64::from(BLOCK_LENGTH)) as usize
    }

    /// Gives the true bytes of a block, which must be a whole one.
    pub(super) fn block(&self, span: Span) -> &Block {
        &self.blocks[self.place(span)]
    }

    pub(super) fn hash(&self, span: Span) -> [u8; 20] {
        self.hashes[self.place(span)]
    }

    /// Gives a block's number within its piece, where the span is one of the torrent's blocks.
    pub(super) fn number(&self, span: Span) -> Option<u32> {
        let number = span.begin / BLOCK_LENGTH;
        (self.geometry.block(span.piece, number) == Some(span)).then_some(number)
    }

    pub(super) fn spans(&self, piece: PieceIndex) -> impl Iterator<Item = Span> + '_ {
        (0..self.geometry.blocks_in(piece)).map(move |n| self.geometry.block(piece, n).expect("it is one of them"))
    }
}
