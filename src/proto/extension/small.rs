//! The extensions whose messages are a few bytes.

use super::{Error, Id};
use crate::proto::id::PieceIndex;
use crate::proto::message::encode_extended;

fn fixed<const N: usize>(payload: &[u8]) -> Result<[u8; N], Error> {
    payload.try_into().map_err(|_| Error::WrongLength { length: payload.len(), expected: N })
}

/// The sender no longer has a piece: the message of `lt_donthave` (BEP 54).
///
/// The piece is what the peer wrote; it need not be in the torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DontHave(pub PieceIndex);

impl DontHave {
    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Fails where it is not four bytes.
    pub fn decode(payload: &[u8]) -> Result<Self, Error> {
        fixed(payload).map(|bytes| Self(PieceIndex(u32::from_be_bytes(bytes))))
    }

    /// Appends the whole message, numbered as its receiver wants it.
    pub fn encode(&self, id: Id, out: &mut Vec<u8>) {
        encode_extended(id.get(), out, |out| out.extend_from_slice(&self.0.0.to_be_bytes()));
    }
}

/// Whether the sender only uploads: the message of `upload_only`, which libtorrent sends when the handshake's key changes (BEP 21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadOnly(pub bool);

impl UploadOnly {
    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Fails where it is not one byte.
    pub fn decode(payload: &[u8]) -> Result<Self, Error> {
        fixed(payload).map(|[byte]| Self(byte != 0))
    }

    /// Appends the whole message, numbered as its receiver wants it.
    pub fn encode(&self, id: Id, out: &mut Vec<u8>) {
        encode_extended(id.get(), out, |out| out.push(self.0.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_bep_54_and_of_libtorrent() {
        let (id, mut out) = (Id::new(7).unwrap(), Vec::new());
        DontHave(PieceIndex(0x01020304)).encode(id, &mut out);
        assert_eq!(out, [0, 0, 0, 6, 20, 7, 1, 2, 3, 4]);
        assert_eq!(DontHave::decode(&out[6..]), Ok(DontHave(PieceIndex(0x01020304))));
        out.clear();
        UploadOnly(true).encode(id, &mut out);
        assert_eq!(out, [0, 0, 0, 3, 20, 7, 1]);
        for (byte, only) in [(0, false), (1, true), (255, true)] {
            assert_eq!(UploadOnly::decode(&[byte]), Ok(UploadOnly(only)));
        }
    }

    #[test]
    fn no_other_length_is_taken() {
        for length in (0..9).filter(|length| *length != 4) {
            assert_eq!(DontHave::decode(&vec![0; length]), Err(Error::WrongLength { length, expected: 4 }));
        }
        for length in [0, 2, 3] {
            assert_eq!(UploadOnly::decode(&vec![0; length]), Err(Error::WrongLength { length, expected: 1 }));
        }
    }
}
