//! Pieces with a wrong hash: the hashes of their blocks, for whoever looks for the one that sent the wrong ones.

use super::command::Event;
use super::config::JOB_BYTES;
use super::job::Work;
use super::store::Store;
use crate::machine::TorrentId;
use crate::proto::geometry::{Geometry, Span};
use crate::proto::id::PieceIndex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What one torrent knows of its pieces with a wrong hash.
///
/// A bad piece is hashed block by block while its answer waits: after that its bytes may be written over. It is remembered, and hashed
/// again once it is good.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    /// Pieces that were bad and are not good yet, oldest first.
    order: VecDeque<PieceIndex>,
    bad: BTreeSet<PieceIndex>,
    /// Pieces that were bad, are good now, and have not been hashed again.
    mended: VecDeque<PieceIndex>,
    /// Pieces whose blocks are being hashed.
    hashing: BTreeMap<PieceIndex, Hashing>,
}

#[derive(Debug, Default)]
struct Hashing {
    /// The block that waits for the verdict; none of a piece that is good.
    last: Option<Span>,
    at: u32,
    hashes: Vec<[u8; 20]>,
}

/// A piece whose blocks are hashed.
#[derive(Debug)]
pub(crate) struct Hashed {
    /// The block that waits for the verdict; none of a piece that is good.
    pub(crate) last: Option<Span>,
    pub(crate) hashes: Arc<[[u8; 20]]>,
}

impl Suspects {
    /// Begins with a bad piece, whose last block waits. At most `most` pieces are remembered.
    pub(crate) fn on_bad(&mut self, piece: PieceIndex, last: Span, most: usize) {
        self.hashing.insert(piece, Hashing { last: Some(last), ..Hashing::default() });
        if self.bad.insert(piece) {
            self.order.push_back(piece);
        }
        while self.order.len() > most {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.bad.remove(&oldest);
        }
    }

    /// Takes note that a piece is good.
    pub(crate) fn on_good(&mut self, piece: PieceIndex) {
        if self.bad.remove(&piece) {
            self.order.retain(|p| *p != piece);
            self.mended.push_back(piece);
        }
    }

    /// Says whether no piece is half hashed.
    pub(crate) fn is_idle(&self) -> bool {
        self.hashing.is_empty()
    }

    /// Says whether a piece's blocks are to be hashed.
    pub(crate) fn is_hashing(&self, piece: PieceIndex) -> bool {
        self.hashing.contains_key(&piece)
    }

    /// Gives a good piece that is to be hashed again.
    pub(crate) fn next_mended(&mut self) -> Option<PieceIndex> {
        let piece = self.mended.pop_front()?;
        self.hashing.insert(piece, Hashing::default());
        Some(piece)
    }

    /// Gives the next job for a piece: a megabyte, or what is left.
    pub(crate) fn job(&self, store: &Arc<Store>, geometry: Geometry, piece: PieceIndex) -> Option<Work> {
        let at = self.hashing.get(&piece)?.at;
        let length = (geometry.length_of(piece) - at).min(JOB_BYTES);
        Some(Work::HashBlocks {
            store: Arc::clone(store),
            offset: geometry.piece_offset(piece) + u64::from(at),
            length,
        })
    }

    /// Takes what a job gave, none where the bytes could not be read; gives the whole once it is done.
    pub(crate) fn on_done(&mut self, piece: PieceIndex, length: u32, some: Option<Vec<[u8; 20]>>) -> Option<Hashed> {
        let hashing = self.hashing.get_mut(&piece)?;
        let read = some.is_some();
        hashing.hashes.extend(some.into_iter().flatten());
        hashing.at += JOB_BYTES.min(length - hashing.at);
        if read && hashing.at < length {
            return None;
        }
        let Hashing { last, hashes, .. } = self.hashing.remove(&piece)?;
        Some(Hashed { last, hashes: if read { hashes.into() } else { Arc::default() } })
    }
}

impl Hashed {
    pub(crate) fn event(&self, torrent: TorrentId, piece: PieceIndex) -> Event {
        Event::BlockHashes { torrent, piece, good: self.last.is_none(), hashes: Arc::clone(&self.hashes) }
    }
}
