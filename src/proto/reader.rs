//! A checked cursor over bytes from outside: there is no index expression to get wrong.

use byteorder::{BigEndian, ByteOrder};
use std::fmt;

/// The bytes ended before what was to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated {
    /// The offset at which the read began.
    pub at: usize,
    /// How many bytes were wanted from there.
    pub wanted: usize,
    /// How many bytes there were.
    pub left: usize,
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} bytes at byte {}, found {}", self.wanted, self.at, self.left)
    }
}

impl std::error::Error for Truncated {}

/// Reads integers (big endian, the order of every binary BitTorrent format) and runs of bytes from a slice.
///
/// A read either succeeds and moves the cursor, or gives [`Truncated`] and leaves it where it was. A copy of a reader is a
/// place to come back to.
///
/// ```
/// use bip::proto::reader::Reader;
/// let mut reader = Reader::new(&[0, 0, 0, 5, 4, 9, 9]);
/// assert_eq!(reader.u32(), Ok(5));
/// assert_eq!(reader.u8(), Ok(4));
/// assert_eq!(reader.position(), 5);
/// assert_eq!(reader.u32().unwrap_err().to_string(), "expected 4 bytes at byte 5, found 2");
/// assert_eq!(reader.rest(), &[9, 9]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    left: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes, position: 0 }
    }

    /// Gives the offset of the next byte to be read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Gives how many bytes are left.
    pub fn remaining(&self) -> usize {
        self.left.len()
    }

    /// Says whether every byte has been read.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Gives the next byte without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.left.first().copied()
    }

    /// Reads a run of bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Truncated> {
        let Some((taken, left)) = self.left.split_at_checked(length) else {
            return Err(Truncated { at: self.position, wanted: length, left: self.left.len() });
        };
        self.left = left;
        self.position += length;
        Ok(taken)
    }

    /// Reads an array, such as an id.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads two bytes.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.take(2).map(BigEndian::read_u16)
    }

    /// Reads four bytes.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.take(4).map(BigEndian::read_u32)
    }

    /// Reads eight bytes.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        self.take(8).map(BigEndian::read_u64)
    }

    /// Reads all that is left, which may be nothing.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = std::mem::take(&mut self.left);
        self.position += rest.len();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_big_endian() {
        let bytes = [1, 1, 2, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8];
        let mut r = Reader::new(&bytes);
        assert_eq!(r.u8(), Ok(1));
        assert_eq!(r.u16(), Ok(0x0102));
        assert_eq!(r.u32(), Ok(0x0102_0304));
        assert_eq!(r.u64(), Ok(0x0102_0304_0506_0708));
        assert!(r.is_empty());
        assert_eq!(r.position(), bytes.len());
    }

    #[test]
    fn a_read_past_the_end_fails_and_moves_nothing() {
        let mut r = Reader::new(b"abc");
        assert_eq!(r.u8(), Ok(b'a'));
        assert_eq!(r.u32(), Err(Truncated { at: 1, wanted: 4, left: 2 }));
        assert_eq!(r.take(usize::MAX), Err(Truncated { at: 1, wanted: usize::MAX, left: 2 }));
        assert_eq!(r.array::<2>(), Ok(*b"bc"));
        assert_eq!(r.rest(), b"");
        assert_eq!(r.peek(), None);
        assert!(r.u8().is_err());
    }
}
