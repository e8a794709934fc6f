use super::{Piece, Size};
use std::collections::BTreeMap;
use std::fmt;

/// Gathers the pieces of an `info` dictionary, in any order.
///
/// It takes memory for what has come, never for what a size promises: less than twice the bytes received, and a little for each
/// piece. Tracks the bytes from the start as far as they are whole, and the pieces beyond the first gap.
///
/// Nothing can tell a right piece from a wrong one before all are there. So the caller that finds another hash starts anew, asks other
/// peers, and remembers who sent what.
#[derive(Debug, Clone)]
pub struct Assembly {
    size: Size,
    /// All pieces before `next`.
    start: Vec<u8>,
    next: u32,
    /// Pieces after `next`.
    beyond: BTreeMap<u32, Box<[u8]>>,
    received: u32,
}

/// Why data were not taken. The fault is the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The peer says that the whole has another size.
    OtherSize(Size),
    /// There is no such piece.
    OutOfRange(Piece),
    /// The data have not the length of their piece.
    WrongLength {
        /// The piece.
        piece: Piece,
        /// How many bytes came.
        length: usize,
        /// How many the piece has.
        expected: u32,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSize(size) => write!(f, "metadata of another size: {size} bytes"),
            Self::OutOfRange(piece) => write!(f, "there is no piece {piece} of the metadata"),
            Self::WrongLength { piece, length, expected } => {
                write!(f, "piece {piece} of the metadata with {length} bytes instead of {expected}")
            }
        }
    }
}

impl std::error::Error for Refused {}

impl Assembly {
    /// Starts with nothing, of a dictionary that is said to have a size.
    pub fn new(size: Size) -> Self {
        Self { size, start: Vec::new(), next: 0, beyond: BTreeMap::new(), received: 0 }
    }

    /// Gives the size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Gives how many bytes have come.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Takes a piece and says whether it is new; one that is there already is not replaced.
    ///
    /// # Errors
    ///
    /// Refuses what cannot be a piece of a dictionary of this size. Nothing has changed then.
    pub fn insert(&mut self, piece: Piece, total_size: Option<Size>, data: &[u8]) -> Result<bool, Refused> {
        if let Some(size) = total_size.filter(|size| *size != self.size) {
            return Err(Refused::OtherSize(size));
        }
        let expected = self.size.length_of(piece).ok_or(Refused::OutOfRange(piece))?;
        if data.len() != expected as usize {
            return Err(Refused::WrongLength { piece, length: data.len(), expected });
        }
        if self.contains(piece) {
            return Ok(false);
        }
        // No overflow: each piece counts once, and together they are the size.
        self.received += expected;
        if piece.0 > self.next {
            self.beyond.insert(piece.0, data.into());
            return Ok(true);
        }
        self.start.extend_from_slice(data);
        self.next += 1;
        while let Some(data) = self.beyond.remove(&self.next) {
            self.start.extend_from_slice(&data);
            self.next += 1;
        }
        Ok(true)
    }

    /// Says whether a piece is there.
    pub fn contains(&self, piece: Piece) -> bool {
        piece.0 < self.next || self.beyond.contains_key(&piece.0)
    }

    /// Goes over the pieces that are not there, in order. A piece costs as much as looking up a few.
    pub fn missing(&self) -> impl Iterator<Item = Piece> + '_ {
        (self.next..self.size.piece_count()).map(Piece).filter(|piece| !self.contains(*piece))
    }

    /// Says whether all pieces are there.
    pub fn is_complete(&self) -> bool {
        self.next == self.size.piece_count()
    }

    /// Gives the bytes where all are there. Their hash is still to be checked.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.is_complete().then_some(&self.start)
    }

    /// Gives the bytes where all are there, and is used up.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        self.is_complete().then_some(self.start)
    }

    /// Forgets all pieces: for when they have another hash.
    pub fn clear(&mut self) {
        *self = Self::new(self.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::extension::metadata::{Message, Source};
    use proptest::prelude::*;

    fn size(bytes: u32) -> Size {
        Size::new(bytes.into(), u32::MAX).unwrap()
    }

    fn held(assembly: &Assembly) -> usize {
        assembly.start.capacity() + assembly.beyond.values().map(|data| data.len()).sum::<usize>()
    }

    #[test]
    fn a_size_alone_takes_no_memory() {
        let mut assembly = Assembly::new(size(u32::MAX));
        assert_eq!((held(&assembly), assembly.missing().next()), (0, Some(Piece(0))));
        assembly.insert(Piece(200_000), None, &[1; 16_384]).unwrap();
        assembly.insert(Piece(0), None, &[1; 16_384]).unwrap();
        assert!(held(&assembly) <= 3 * 16_384);
        assert_eq!(assembly.missing().count(), 262_142);
    }

    #[test]
    fn what_cannot_be_a_piece_is_refused_and_changes_nothing() {
        let mut assembly = Assembly::new(size(16_385));
        for (piece, length, expected) in
            [(0, 0, 16_384), (0, 16_383, 16_384), (0, 16_385, 16_384), (1, 0, 1), (1, 2, 1)]
        {
            let refused = assembly.insert(Piece(piece), None, &vec![1; length]);
            assert_eq!(refused, Err(Refused::WrongLength { piece: Piece(piece), length, expected }));
        }
        for piece in [2, u32::MAX] {
            assert_eq!(assembly.insert(Piece(piece), None, &[1]), Err(Refused::OutOfRange(Piece(piece))));
        }
        let other = size(16_386);
        assert_eq!(assembly.insert(Piece(1), Some(other), &[1]), Err(Refused::OtherSize(other)));
        assert_eq!((assembly.received(), assembly.missing().count(), assembly.bytes()), (0, 2, None));
    }

    #[test]
    fn a_piece_that_is_there_is_not_replaced() {
        let mut assembly = Assembly::new(size(16_386));
        assert_eq!(assembly.insert(Piece(1), None, b"ab"), Ok(true));
        assert_eq!(assembly.insert(Piece(1), None, b"cd"), Ok(false));
        assert_eq!(assembly.insert(Piece(0), Some(size(16_386)), &[7; 16_384]), Ok(true));
        assert_eq!(assembly.insert(Piece(0), None, &[8; 16_384]), Ok(false));
        assert_eq!(assembly.insert(Piece(1), None, b"cd"), Ok(false));
        assert_eq!(assembly.received(), 16_386);
        assert_eq!(assembly.bytes(), Some(&[&[7; 16_384][..], b"ab"].concat()[..]));
        assembly.clear();
        assert_eq!((assembly.received(), assembly.missing().count(), assembly.into_bytes()), (0, 2, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pieces_in_any_order_make_the_whole(
            length in prop_oneof![1..3u32, 16_380..16_390u32, 1..200_000u32],
            order in prop::collection::vec(0..14u32, 0..40),
        ) {
            let info: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let source = Source::new(&info).unwrap();
            let mut assembly = Assembly::new(source.size());
            let all = 0..source.size().piece_count();
            let mut there: Vec<u32> = Vec::new();
            for piece in order.into_iter().chain(all.clone().rev()) {
                let Message::Data { piece, total_size, data } = source.answer(Piece(piece)) else { continue };
                prop_assert_eq!(assembly.insert(piece, total_size, data), Ok(!there.contains(&piece.0)));
                there.push(piece.0);
                let missing: Vec<_> = all.clone().filter(|piece| !there.contains(piece)).map(Piece).collect();
                prop_assert_eq!(assembly.is_complete(), missing.is_empty());
                prop_assert_eq!(assembly.missing().collect::<Vec<_>>(), missing);
                prop_assert!(held(&assembly) <= 2 * assembly.received() as usize + 8);
            }
            prop_assert_eq!(assembly.into_bytes(), Some(info));
        }
    }
}
