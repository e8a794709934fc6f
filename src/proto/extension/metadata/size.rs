use std::fmt;
use std::num::NonZeroU32;

/// The length in bytes of every piece but perhaps the last.
pub const PIECE_LENGTH: u32 = 16 * 1024;

/// A piece of an `info` dictionary, by number. What a peer wrote need not be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Piece(pub u32);

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The length of an `info` dictionary in bytes: 1 to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(NonZeroU32);

impl Size {
    /// Makes a size; `None` where it is none, or over the limit.
    ///
    /// ```
    /// use bip::proto::extension::metadata::Size;
    /// for size in [-1, 0, 1 << 31, 1 << 32, (1 << 32) + 1, i64::MAX] {
    ///     assert_eq!(Size::new(size, 32 << 20), None);
    /// }
    /// assert_eq!(Size::new(16_385, 32 << 20).map(|size| size.piece_count()), Some(2));
    /// ```
    pub fn new(size: i64, limit: u32) -> Option<Self> {
        u32::try_from(size).ok().filter(|size| *size <= limit).and_then(NonZeroU32::new).map(Self)
    }

    /// Gives the size in bytes.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// Gives how many pieces there are.
    pub fn piece_count(self) -> u32 {
        self.get().div_ceil(PIECE_LENGTH)
    }

    /// Gives the length of a piece; `None` where there is no such piece.
    pub fn length_of(self, piece: Piece) -> Option<u32> {
        let begin = piece.0.checked_mul(PIECE_LENGTH)?;
        let left = self.get().checked_sub(begin)?;
        (left > 0).then_some(left.min(PIECE_LENGTH))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_their_lengths() {
        for (size, lengths) in [
            (1, vec![1]),
            (16_383, vec![16_383]),
            (16_384, vec![16_384]),
            (16_385, vec![16_384, 1]),
            (34_256, vec![16_384, 16_384, 1_488]),
        ] {
            let size = Size::new(size, u32::MAX).unwrap();
            assert_eq!(size.piece_count() as usize, lengths.len());
            assert_eq!((0..9).map_while(|piece| size.length_of(Piece(piece))).collect::<Vec<_>>(), lengths);
        }
    }

    #[test]
    fn the_biggest_size_and_the_last_number_do_not_wrap() {
        let size = Size::new(u32::MAX.into(), u32::MAX).unwrap();
        assert_eq!((size.piece_count(), size.length_of(Piece(262_143))), (262_144, Some(16_383)));
        for piece in [262_144, 262_145, u32::MAX] {
            assert_eq!(size.length_of(Piece(piece)), None);
        }
    }
}
