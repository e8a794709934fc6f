use super::{Error, id};
use crate::proto::geometry::BLOCK_LENGTH;
use byteorder::{BigEndian, ByteOrder};

/// The most pieces a torrent may have for its bitfield to be taken by default: 2^21, a bitfield of 256 KiB.
pub const MAX_PIECES: u32 = 1 << 21;

/// How long a message may be. Messages whose length is fixed by their fields need no limit.
///
/// A message over its limit is refused when its length (or, at the latest, its id) has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of data in a `piece` message; 16 KiB by default.
    pub block: u32,
    /// The most bytes of a bitfield; 256 KiB ([`MAX_PIECES`]) by default.
    ///
    /// Once the torrent is known, [`Limits::of_torrent`] makes this as small as it can be; 0 once no bitfield is expected.
    pub bitfield: u32,
    /// The most bytes of a message with an id that is not one of BEP 3 or 5, its id not counted; 1 MiB by default.
    pub other: u32,
}

impl Limits {
    /// Gives the default limits, but for a bitfield that of a torrent with that many pieces.
    pub fn of_torrent(pieces: u32) -> Self {
        Self { bitfield: pieces.div_ceil(8), ..Self::default() }
    }

    /// Gives the longest message that may come, in bytes after its length, whatever its id.
    pub fn longest(&self) -> u32 {
        let block = self.block.saturating_add(9);
        // 13: requests and cancels are always taken.
        block.max(self.bitfield.saturating_add(1)).max(self.other.saturating_add(1)).max(13)
    }

    /// Says whether a message of that id may have that length, its id included.
    pub(super) fn check(&self, id: u8, length: u32) -> Result<(), Error> {
        let expected = match id {
            id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED => 1,
            id::PORT => 3,
            id::HAVE => 5,
            id::REQUEST | id::CANCEL => 13,
            id::PIECE if length < 9 => 9,
            _ => {
                let limit = match id {
                    id::PIECE => self.block.saturating_add(9),
                    id::BITFIELD => self.bitfield.saturating_add(1),
                    _ => self.other.saturating_add(1),
                };
                return if length <= limit { Ok(()) } else { Err(Error::TooLong { id, length, limit }) };
            }
        };
        if length == expected { Ok(()) } else { Err(Error::WrongLength { id, length, expected }) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { block: BLOCK_LENGTH, bitfield: MAX_PIECES / 8, other: 1024 * 1024 }
    }
}

/// Reads the length before a message: how many bytes follow these four.
///
/// # Errors
///
/// Fails with [`Error::LengthOverLimit`] where no message may be that long.
pub fn decode_length(bytes: &[u8; 4], limits: &Limits) -> Result<u32, Error> {
    let (length, limit) = (BigEndian::read_u32(bytes), limits.longest());
    if length <= limit { Ok(length) } else { Err(Error::LengthOverLimit { length, limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_message_is_what_any_id_may_have() {
        assert_eq!(Limits::default().longest(), 1024 * 1024 + 1);
        assert_eq!(Limits { other: 0, ..Limits::default() }.longest(), 262_145);
        assert_eq!(Limits { other: 0, ..Limits::of_torrent(9) }.longest(), 16 * 1024 + 9);
        assert_eq!(Limits { other: 0, bitfield: 0, block: 0 }.longest(), 13);
    }

    #[test]
    fn the_longest_message_is_taken_and_one_byte_more_is_not() {
        let limits = Limits::default();
        let longest = limits.longest();
        assert_eq!(decode_length(&longest.to_be_bytes(), &limits), Ok(longest));
        for length in [longest + 1, u32::MAX] {
            let error = Error::LengthOverLimit { length, limit: longest };
            assert_eq!(decode_length(&length.to_be_bytes(), &limits), Err(error));
        }
    }

    #[test]
    fn limits_at_the_end_of_the_range_do_not_wrap() {
        let limits = Limits { block: u32::MAX, bitfield: u32::MAX, other: u32::MAX };
        assert_eq!(decode_length(&[0xff; 4], &limits), Ok(u32::MAX));
        assert_eq!(limits.check(id::PIECE, u32::MAX), Ok(()));
    }
}
