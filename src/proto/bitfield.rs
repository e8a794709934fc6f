//! A set of pieces, kept as the `bitfield` message has it: the first piece is the highest bit of the first byte (BEP 3).

use super::id::PieceIndex;
use std::fmt;

/// A set of pieces of one torrent, with the count of its members at hand.
///
/// ```
/// use bip::proto::{bitfield::Bitfield, id::PieceIndex};
/// let mut have = Bitfield::new(10);
/// have.insert(PieceIndex(9));
/// assert_eq!(have.as_bytes(), [0, 0b0100_0000]);
/// assert_eq!(have.count(), 1);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Bitfield {
    bytes: Vec<u8>,
    pieces: u32,
    count: u32,
}

impl Bitfield {
    /// Makes an empty set for a torrent of that many pieces.
    pub fn new(pieces: u32) -> Self {
        Self { bytes: vec![0; pieces.div_ceil(8) as usize], pieces, count: 0 }
    }

    /// Makes the set of all pieces.
    pub fn full(pieces: u32) -> Self {
        let mut bytes = vec![0xff; pieces.div_ceil(8) as usize];
        if let (Some(last), spare @ 1..) = (bytes.last_mut(), (8 - pieces % 8) % 8) {
            *last <<= spare;
        }
        Self { bytes, pieces, count: pieces }
    }

    /// Takes the bytes of a `bitfield` message; `None` where the length is wrong or a spare bit is set.
    pub fn from_bytes(bytes: &[u8], pieces: u32) -> Option<Self> {
        if bytes.len() != pieces.div_ceil(8) as usize {
            return None;
        }
        let spare = (8 - pieces % 8) % 8;
        if bytes.last().is_some_and(|last| last & ((1u16 << spare) - 1) as u8 != 0) {
            return None;
        }
        Some(Self { bytes: bytes.to_vec(), pieces, count: bytes.iter().map(|b| b.count_ones()).sum() })
    }

    /// Gives the bytes as a `bitfield` message carries them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives how many pieces the torrent has.
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Gives how many pieces are in the set.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Says whether no piece is in the set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Says whether all pieces are in the set.
    pub fn is_full(&self) -> bool {
        self.count == self.pieces
    }

    /// Says whether the piece is in the set; no piece outside the torrent is.
    pub fn contains(&self, piece: PieceIndex) -> bool {
        self.bytes.get(piece.as_usize() / 8).is_some_and(|b| b & mask(piece) != 0)
    }

    /// Adds a piece; says whether it is new. A piece outside the torrent is not added.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        if piece.0 >= self.pieces || self.contains(piece) {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut(piece.as_usize() / 8) {
            *byte |= mask(piece);
        }
        self.count += 1;
        true
    }

    /// Takes a piece out; says whether it was there.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        if !self.contains(piece) {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut(piece.as_usize() / 8) {
            *byte &= !mask(piece);
        }
        self.count -= 1;
        true
    }

    /// Gives the members in order.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.bytes.iter().enumerate().filter(|(_, b)| **b != 0).flat_map(|(i, b)| {
            (0..8u32).filter(move |bit| b & (0x80 >> bit) != 0).map(move |bit| PieceIndex(i as u32 * 8 + bit))
        })
    }

    /// Gives the pieces of the torrent that are not members, in order.
    pub fn iter_missing(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        let pieces = self.pieces;
        self.bytes.iter().enumerate().filter(|(_, b)| **b != 0xff).flat_map(move |(i, b)| {
            (0..8u32)
                .filter(move |bit| b & (0x80 >> bit) == 0)
                .map(move |bit| PieceIndex(i as u32 * 8 + bit))
                .filter(move |p| p.0 < pieces)
        })
    }

    /// Says whether `other` has a piece that this set lacks. Both must be of the same torrent.
    pub fn lacks_any_of(&self, other: &Bitfield) -> bool {
        self.bytes.iter().zip(&other.bytes).any(|(ours, theirs)| theirs & !ours != 0)
    }
}

fn mask(piece: PieceIndex) -> u8 {
    0x80 >> (piece.0 % 8)
}

impl fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitfield({} of {})", self.count, self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_highest_bit_first() {
        let mut set = Bitfield::new(16);
        for piece in [0, 8, 15] {
            assert!(set.insert(PieceIndex(piece)));
        }
        assert_eq!(set.as_bytes(), [0x80, 0x81]);
        assert_eq!(set.iter().map(|p| p.0).collect::<Vec<_>>(), [0, 8, 15]);
        assert_eq!(set.iter_missing().count(), 13);
        assert!(!set.insert(PieceIndex(16)));
        assert!(set.remove(PieceIndex(8)) && !set.remove(PieceIndex(8)));
        assert_eq!(set.count(), 2);
    }

    #[test]
    fn members_are_walked_in_order_wherever_they_are() {
        for pieces in [&[][..], &[0], &[15], &[23], &[0, 2, 4, 5, 6, 7, 16, 17, 23]] {
            let mut set = Bitfield::new(24);
            pieces.iter().for_each(|piece| assert!(set.insert(PieceIndex(*piece))));
            let again = Bitfield::from_bytes(set.as_bytes(), 24).unwrap();
            assert_eq!(again.iter().map(|piece| piece.0).collect::<Vec<_>>(), pieces);
            let missing: Vec<u32> = again.iter_missing().map(|piece| piece.0).collect();
            assert_eq!(missing, (0..24).filter(|piece| !pieces.contains(piece)).collect::<Vec<_>>());
            assert_eq!(
                (again.count() as usize, pieces.iter().all(|p| again.contains(PieceIndex(*p)))),
                (pieces.len(), true)
            );
        }
        let none = Bitfield::from_bytes(&[], 0).unwrap();
        assert_eq!((none.iter().count(), none.iter_missing().count(), none.count()), (0, 0, 0));
    }

    #[test]
    fn a_wrong_length_or_a_spare_bit_is_refused() {
        assert!(Bitfield::from_bytes(&[0xff, 0xc0], 10).is_some_and(|b| b.is_full()));
        assert!(Bitfield::from_bytes(&[0xff, 0xe0], 10).is_none());
        assert!(Bitfield::from_bytes(&[0xff], 10).is_none());
        assert!(Bitfield::from_bytes(&[0xff; 3], 10).is_none());
        assert_eq!(Bitfield::full(10).as_bytes(), [0xff, 0xc0]);
        assert_eq!(Bitfield::full(8).as_bytes(), [0xff]);
        assert_eq!(Bitfield::full(10).iter_missing().count(), 0);
    }

    #[test]
    fn a_million_empty_pieces_are_walked_quickly() {
        let set = Bitfield::new(8 << 20);
        assert_eq!(set.iter().count(), 0);
        assert_eq!(set.iter_missing().count(), 8 << 20);
    }
}
