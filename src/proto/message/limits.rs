use super::{Error, HASH_SPAN_LEN, id};
use crate::proto::geometry::BLOCK_LENGTH;
use byteorder::{BigEndian, ByteOrder};

/// The most pieces a torrent may have for its bitfield to be taken by default: 2^21, a bitfield of 256 KiB.
pub const MAX_PIECES: u32 = 1 << 21;

/// The length of a message of hashes that has none.
const NO_HASHES: u32 = HASH_SPAN_LEN as u32 + 1;

/// Which messages beyond those of BEP 3 and 5 two peers have agreed on in their handshakes.
///
/// The ids of the others mean nothing on that connection: their messages are [`Message::Unknown`](super::Message::Unknown), whatever
/// their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spoken {
    /// The fast extension (BEP 6): suggest, have all, have none, reject, allowed fast.
    pub fast: bool,
    /// The extension protocol (BEP 10): extended.
    pub extended: bool,
    /// Hashes and requests for them, and rejects (BEP 52).
    pub hashes: bool,
}

impl Spoken {
    /// All of them.
    pub const ALL: Self = Self { fast: true, extended: true, hashes: true };
    /// None of them.
    pub const NONE: Self = Self { fast: false, extended: false, hashes: false };

    /// Says whether an id means something.
    pub(super) fn knows(self, id: u8) -> bool {
        match id {
            id::SUGGEST..=id::ALLOWED_FAST => self.fast,
            id::EXTENDED => self.extended,
            id::HASH_REQUEST..=id::HASH_REJECT => self.hashes,
            _ => true,
        }
    }
}

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
    /// The most bytes of an extended message (BEP 10), its own id counted and that of the message not; 1 MiB by default.
    pub extended: u32,
    /// The most hashes in a message of them (BEP 52), proofs counted; 1024 by default: 512 may be asked for, and a tree is 64 high at
    /// most.
    pub hashes: u32,
    /// The most bytes of a message with an id that has no meaning here, its id not counted; 1 MiB by default.
    pub other: u32,
    /// Which messages there are at all, beyond those of BEP 3 and 5; by default all.
    pub spoken: Spoken,
}

impl Limits {
    /// Gives the default limits, but for a bitfield that of a torrent with that many pieces.
    pub fn of_torrent(pieces: u32) -> Self {
        Self { bitfield: pieces.div_ceil(8), ..Self::default() }
    }

    /// Gives the longest message that may come, in bytes after its length, whatever its id.
    pub fn longest(&self) -> u32 {
        let block = self.block.saturating_add(9);
        let extended = if self.spoken.extended { self.longest_extended() } else { 0 };
        let hashes = if self.spoken.hashes { self.longest_hashes() } else { 0 };
        // 13: requests and cancels are always taken; as requests for hashes are, where there are hashes.
        let fixed = extended.max(hashes).max(13);
        block.max(self.bitfield.saturating_add(1)).max(self.other.saturating_add(1)).max(fixed)
    }

    fn longest_extended(&self) -> u32 {
        self.extended.saturating_add(1).max(2)
    }

    fn longest_hashes(&self) -> u32 {
        self.hashes.saturating_mul(32).saturating_add(NO_HASHES)
    }

    /// Says whether a message of that id may have that length, its id included.
    pub(super) fn check(&self, id: u8, length: u32) -> Result<(), Error> {
        if !self.spoken.knows(id) {
            let limit = self.other.saturating_add(1);
            return if length <= limit { Ok(()) } else { Err(Error::TooLong { id, length, limit }) };
        }
        let expected = match id {
            id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED | id::HAVE_ALL | id::HAVE_NONE => 1,
            id::PORT => 3,
            id::HAVE | id::SUGGEST | id::ALLOWED_FAST => 5,
            id::REQUEST | id::CANCEL | id::REJECT => 13,
            id::HASH_REQUEST | id::HASH_REJECT => NO_HASHES,
            id::PIECE if length < 9 => 9,
            id::EXTENDED if length < 2 => 2,
            id::HASHES if length < NO_HASHES || (length - NO_HASHES) % 32 != 0 => NO_HASHES,
            _ => {
                let limit = match id {
                    id::PIECE => self.block.saturating_add(9),
                    id::BITFIELD => self.bitfield.saturating_add(1),
                    id::EXTENDED => self.longest_extended(),
                    id::HASHES => self.longest_hashes(),
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
        let most = 1024 * 1024;
        Self {
            block: BLOCK_LENGTH,
            bitfield: MAX_PIECES / 8,
            extended: most,
            hashes: 1024,
            other: most,
            spoken: Spoken::ALL,
        }
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
        assert_eq!(Limits { other: 0, ..Limits::default() }.longest(), 1024 * 1024 + 1);
        let limits = Limits { other: 0, extended: 0, ..Limits::default() };
        assert_eq!(limits.longest(), 262_145);
        assert_eq!(Limits { bitfield: 2, ..limits }.longest(), 49 + 1024 * 32);
        assert_eq!(Limits { bitfield: 2, hashes: 0, ..limits }.longest(), 16 * 1024 + 9);
        let nothing = Limits { hashes: 0, bitfield: 0, block: 0, ..limits };
        assert_eq!(nothing.longest(), 49);
        assert_eq!(Limits { spoken: Spoken::NONE, ..nothing }.longest(), 13);
        assert_eq!(Limits { spoken: Spoken::NONE, bitfield: 2, ..limits }.longest(), 16 * 1024 + 9);
    }

    #[test]
    fn hashes_are_whole_and_bounded() {
        let limits = Limits { hashes: 3, ..Limits::default() };
        for length in 1..300 {
            let expected = match length {
                49 | 81 | 113 | 145 => Ok(()),
                177 | 209 | 241 | 273 => Err(Error::TooLong { id: id::HASHES, length, limit: 145 }),
                _ => Err(Error::WrongLength { id: id::HASHES, length, expected: 49 }),
            };
            assert_eq!(limits.check(id::HASHES, length), expected);
        }
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
        let most = u32::MAX;
        let limits =
            Limits { block: most, bitfield: most, extended: most, hashes: most, other: most, spoken: Spoken::ALL };
        assert_eq!(decode_length(&[0xff; 4], &limits), Ok(u32::MAX));
        assert_eq!(limits.check(id::PIECE, u32::MAX), Ok(()));
        assert_eq!(limits.check(id::EXTENDED, u32::MAX), Ok(()));
        assert_eq!(limits.check(id::HASHES, u32::MAX - 14), Ok(()));
    }
}
