//! How a torrent's bytes divide into pieces and blocks (BEP 3).

use super::bitfield::Bitfield;
use super::id::PieceIndex;
use std::fmt;

/// The usual length of a block in bytes: what one request asks for.
pub const BLOCK_LENGTH: u32 = 16 * 1024;

/// A run of bytes within one piece: what a request, a cancel and a block name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The piece.
    pub piece: PieceIndex,
    /// The offset of the first byte within the piece.
    pub begin: u32,
    /// How many bytes.
    pub length: u32,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}..{}", self.piece, self.begin, u64::from(self.begin) + u64::from(self.length))
    }
}

/// A torrent's total length and piece length, which give every piece's and block's place.
///
/// The total is at least 1 byte, the piece length at least 1, and there are at most `u32::MAX` pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    total: u64,
    piece: u32,
}

impl Geometry {
    /// Makes the geometry, or `None` where a length is 0 or there would be more than `u32::MAX` pieces.
    pub fn new(total_length: u64, piece_length: u32) -> Option<Self> {
        let ok = total_length > 0
            && piece_length > 0
            && total_length.div_ceil(u64::from(piece_length)) <= u64::from(u32::MAX);
        ok.then_some(Self { total: total_length, piece: piece_length })
    }

    /// Gives the torrent's length in bytes.
    pub fn total_length(&self) -> u64 {
        self.total
    }

    /// Gives the length in bytes of every piece but perhaps the last.
    pub fn piece_length(&self) -> u32 {
        self.piece
    }

    /// Gives the number of pieces.
    pub fn piece_count(&self) -> u32 {
        // `new` made sure that the count fits.
        self.total.div_ceil(u64::from(self.piece)) as u32
    }

    /// Gives a piece's offset in the torrent; beyond the end for a piece that is not there.
    pub fn piece_offset(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece)
    }

    /// Gives a piece's length in bytes: 0 for a piece that is not there.
    pub fn length_of(&self, piece: PieceIndex) -> u32 {
        self.total.saturating_sub(self.piece_offset(piece)).min(u64::from(self.piece)) as u32
    }

    /// Says whether the span is not empty and lies within its piece.
    pub fn contains(&self, span: Span) -> bool {
        span.length > 0 && u64::from(span.begin) + u64::from(span.length) <= u64::from(self.length_of(span.piece))
    }

    /// Gives the offset of a span in the torrent.
    pub fn offset_of(&self, span: Span) -> u64 {
        self.piece_offset(span.piece) + u64::from(span.begin)
    }

    /// Gives how many bytes the pieces of a set have together. The set must be of this torrent.
    pub fn bytes_in(&self, pieces: &Bitfield) -> u64 {
        let all = u64::from(pieces.count()) * u64::from(self.piece);
        let last = PieceIndex(self.piece_count() - 1);
        if pieces.contains(last) { all - u64::from(self.piece - self.length_of(last)) } else { all }
    }

    /// Gives how many blocks of [`BLOCK_LENGTH`] a piece has; the last may be shorter.
    pub fn blocks_in(&self, piece: PieceIndex) -> u32 {
        self.length_of(piece).div_ceil(BLOCK_LENGTH)
    }

    /// Gives the span of a piece's block by number; `None` where there is no such block.
    pub fn block(&self, piece: PieceIndex, block: u32) -> Option<Span> {
        let begin = block.checked_mul(BLOCK_LENGTH)?;
        let length = self.length_of(piece).checked_sub(begin)?.min(BLOCK_LENGTH);
        (length > 0).then_some(Span { piece, begin, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_piece_and_block_are_as_long_as_what_is_left() {
        let g = Geometry::new(100_000, 32 * 1024).unwrap();
        assert_eq!(g.piece_count(), 4);
        assert_eq!(g.length_of(PieceIndex(3)), 100_000 - 3 * 32 * 1024);
        assert_eq!(g.length_of(PieceIndex(4)), 0);
        assert_eq!(g.length_of(PieceIndex(u32::MAX)), 0);
        assert_eq!(g.blocks_in(PieceIndex(0)), 2);
        assert_eq!(g.block(PieceIndex(3), 0).map(|s| s.length), Some(1696));
        assert_eq!(g.block(PieceIndex(3), 1), None);
        assert_eq!(g.block(PieceIndex(0), u32::MAX), None);
    }

    #[test]
    fn a_short_last_piece_counts_for_what_it_is() {
        let g = Geometry::new(100_000, 32 * 1024).unwrap();
        let mut some = Bitfield::new(4);
        assert_eq!(g.bytes_in(&some), 0);
        some.insert(PieceIndex(3));
        assert_eq!(g.bytes_in(&some), 1_696);
        assert_eq!(g.bytes_in(&Bitfield::full(4)), 100_000);
    }

    #[test]
    fn a_span_that_wraps_is_not_contained() {
        let g = Geometry::new(1 << 30, 1 << 20).unwrap();
        let span = |piece, begin, length| Span { piece: PieceIndex(piece), begin, length };
        assert!(g.contains(span(0, 0, 1 << 20)));
        assert!(!g.contains(span(0, 1, 1 << 20)));
        assert!(!g.contains(span(0, u32::MAX, u32::MAX)));
        assert!(!g.contains(span(u32::MAX, 0, 1)));
        assert!(!g.contains(span(0, 0, 0)));
    }
}
