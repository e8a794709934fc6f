//! The begun pieces that can be gone on with.

use super::OPEN_SCAN;
use crate::proto::bitfield::Bitfield;
use crate::proto::id::PieceIndex;
use crate::select::availability::common;
use std::collections::BTreeMap;

/// The begun pieces that have missing blocks: as a list to look through, and as a set to intersect with a peer's pieces.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) list: Vec<PieceIndex>,
    places: BTreeMap<PieceIndex, usize>,
    pub(super) set: Bitfield,
}

impl Open {
    pub(super) fn new(pieces: u32) -> Self {
        Self { list: Vec::new(), places: BTreeMap::new(), set: Bitfield::new(pieces) }
    }

    pub(super) fn set(&mut self, piece: PieceIndex, open: bool) {
        if open && self.set.insert(piece) {
            self.places.insert(piece, self.list.len());
            self.list.push(piece);
        } else if !open && self.set.remove(piece) {
            let place = self.places.remove(&piece).expect("every open piece has a place");
            self.list.swap_remove(place);
            if let Some(moved) = self.list.get(place) {
                self.places.insert(*moved, place);
            }
        }
    }

    /// Gives the first piece, in order, that a peer has.
    pub(super) fn first(&self, has: &Bitfield) -> Option<PieceIndex> {
        let first = self.places.keys().take(OPEN_SCAN).find(|piece| has.contains(**piece)).copied();
        if first.is_none() && self.list.len() > OPEN_SCAN { self.search(has) } else { first }
    }

    /// Gives the first piece, in order, that a peer has, 64 pieces of the torrent at a step.
    pub(super) fn search(&self, has: &Bitfield) -> Option<PieceIndex> {
        let words = has.as_bytes().len().div_ceil(8);
        (0..words).find_map(|word| common(&self.set, has, word).next())
    }
}
