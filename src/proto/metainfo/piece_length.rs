//! How long pieces are made.

const MIN: u32 = 16 << 10;
const MAX: u32 = 16 << 20;

/// How the length of a torrent's pieces is chosen.
///
/// All but [`Exact`](Self::Exact) take the smallest power of two from 16 KiB to 16 MiB with which there are at most so many
/// pieces; where a bound is reached there are fewer or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PieceLength {
    /// At most 2,000 pieces, so that between the two bounds there are 1,001 to 2,000.
    #[default]
    Balanced,
    /// At most 1,000 pieces: a small torrent file.
    FileSize,
    /// At most 3,000 pieces: what is there is shared sooner, and less is lost to a wrong hash.
    Transfer,
    /// This many bytes. Other clients expect a power of two from 16 KiB up, and version 2 wants it.
    Exact(u32),
}

impl PieceLength {
    /// Gives the piece length for a total length, in bytes.
    ///
    /// ```
    /// use bip::proto::metainfo::PieceLength;
    /// assert_eq!(PieceLength::Balanced.of(1 << 30), 1 << 20);
    /// assert_eq!(PieceLength::FileSize.of(1 << 30), 2 << 20);
    /// assert_eq!(PieceLength::Transfer.of(1 << 30), 512 << 10);
    /// assert_eq!(PieceLength::Exact(100).of(1 << 30), 100);
    /// ```
    pub fn of(self, total_length: u64) -> u32 {
        let most = match self {
            PieceLength::Balanced => 2_000,
            PieceLength::FileSize => 1_000,
            PieceLength::Transfer => 3_000,
            PieceLength::Exact(bytes) => return bytes,
        };
        let mut length = MIN;
        while length < MAX && total_length.div_ceil(length.into()) > most {
            length *= 2;
        }
        length
    }
}

/// Gives the piece length that suits a total length: that of [`PieceLength::Balanced`].
///
/// ```
/// use bip::proto::metainfo::piece_length_for;
/// assert_eq!(piece_length_for(1), 16 * 1024);
/// assert_eq!(piece_length_for(1 << 30), 1 << 20);
/// assert_eq!(piece_length_for(u64::MAX), 16 << 20);
/// ```
pub fn piece_length_for(total_length: u64) -> u32 {
    PieceLength::Balanced.of(total_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_automatic_piece_length_gives_a_thousand_to_two_thousand_pieces() {
        for bits in 25..=34 {
            for total in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                let length = piece_length_for(total);
                let pieces = total.div_ceil(length.into());
                assert!(length.is_power_of_two() && (1_001..=2_000).contains(&pieces), "{total}: {pieces}");
            }
        }
        assert_eq!(piece_length_for(0), 16 << 10);
    }

    #[test]
    fn a_strategy_keeps_to_its_number_of_pieces() {
        for bits in 26..=33 {
            let pieces = |strategy: PieceLength| (1_u64 << bits).div_ceil(strategy.of(1 << bits).into());
            assert!((501..=1_000).contains(&pieces(PieceLength::FileSize)));
            assert!((1_501..=3_000).contains(&pieces(PieceLength::Transfer)));
        }
    }
}
