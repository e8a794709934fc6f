use super::{PIECE_LENGTH, Piece, Size};
use crate::proto::bencode::encode_dict;
use crate::proto::extension::dict::{self, Field};
use crate::proto::extension::{Error, Id, Limits};
use crate::proto::message::encode_extended;

const REQUEST: i64 = 0;
const DATA: i64 = 1;
const REJECT: i64 = 2;

/// A message of `ut_metadata`: a dictionary and, after it, a piece's bytes.
///
/// ```
/// use bip::proto::extension::{Limits, metadata::{Message, Piece}};
/// let request = Message::decode(b"d8:msg_typei0e5:piecei0ee", &Limits::default())?;
/// assert_eq!(request, Message::Request(Piece(0)));
/// # Ok::<(), bip::proto::extension::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// The sender wants a piece.
    Request(Piece),
    /// A piece.
    Data {
        /// Its number.
        piece: Piece,
        /// How long the sender says that the whole is. BEP 9 demands it, and not all write it.
        total_size: Option<Size>,
        /// Its bytes: at least one, at most [`PIECE_LENGTH`], and with `total_size` the number that the piece then has.
        data: &'a [u8],
    },
    /// The sender will not send a piece.
    Reject(Piece),
    /// A message of another type, to be ignored.
    Unknown {
        /// The type.
        kind: i64,
        /// The whole payload.
        payload: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Reads the payload.
    ///
    /// The example of a reject in BEP 9 has the type of data. A message of that type with neither a size nor data is taken for what
    /// it was meant to be. Bytes after a request or a reject are passed over.
    ///
    /// # Errors
    ///
    /// Fails where the bytes do not begin with a dictionary, the type or piece is missing or not a number that it can be, the
    /// whole would be longer than [`Limits::metadata`], or the data have not the length of their piece.
    pub fn decode(payload: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        let (mut kind, mut piece, mut total_size) = (None, None, None);
        let data = dict::read(payload, |entry| match (entry.key, entry.value) {
            (b"msg_type", Field::Int(int)) => kind = Some(int),
            (b"piece", Field::Int(int)) => piece = Some(int),
            (b"total_size", Field::Int(int)) => total_size = Some(int),
            _ => {}
        })?;
        let kind = kind.ok_or(Error::Missing { key: "msg_type" })?;
        if !(REQUEST..=REJECT).contains(&kind) {
            return Ok(Self::Unknown { kind, payload });
        }
        let value = piece.ok_or(Error::Missing { key: "piece" })?;
        let out_of_range = Error::OutOfRange { key: "piece", value };
        let piece = Piece(u32::try_from(value).map_err(|_| out_of_range.clone())?);
        match kind {
            REQUEST => return Ok(Self::Request(piece)),
            DATA if !data.is_empty() || total_size.is_some() => {}
            _ => return Ok(Self::Reject(piece)),
        }
        let total_size = match total_size {
            Some(value) => {
                Some(Size::new(value, limits.metadata).ok_or(Error::OutOfRange { key: "total_size", value })?)
            }
            None => None,
        };
        match total_size {
            Some(size) => {
                let expected = size.length_of(piece).ok_or(out_of_range)? as usize;
                if data.len() != expected {
                    return Err(Error::WrongLength { length: data.len(), expected });
                }
            }
            None if data.len() > PIECE_LENGTH as usize => {
                return Err(Error::WrongLength { length: data.len(), expected: PIECE_LENGTH as usize });
            }
            None => {}
        }
        Ok(Self::Data { piece, total_size, data })
    }

    /// Appends the whole message, numbered as its receiver wants it.
    pub fn encode(&self, id: Id, out: &mut Vec<u8>) {
        let (kind, piece, total_size, data) = match *self {
            Self::Request(piece) => (REQUEST, piece, None, &[][..]),
            Self::Data { piece, total_size, data } => (DATA, piece, total_size, data),
            Self::Reject(piece) => (REJECT, piece, None, &[][..]),
            Self::Unknown { payload, .. } => {
                return encode_extended(id.get(), out, |out| out.extend_from_slice(payload));
            }
        };
        let head = encode_dict(|d| {
            d.int("msg_type", kind);
            d.int("piece", piece.0.into());
            if let Some(size) = total_size {
                d.int("total_size", size.get().into());
            }
        });
        encode_extended(id.get(), out, |out| {
            out.extend_from_slice(&head);
            out.extend_from_slice(data);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bencode;
    use proptest::prelude::*;

    fn read(payload: &[u8]) -> Result<Message<'_>, Error> {
        Message::decode(payload, &Limits::default())
    }

    fn payload(message: Message<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        message.encode(Id::new(3).unwrap(), &mut out);
        assert_eq!(out[..4], (out.len() as u32 - 4).to_be_bytes());
        assert_eq!(out[4..6], [20, 3]);
        out[6..].to_vec()
    }

    #[test]
    fn the_examples_of_bep_9_are_read_and_written() {
        let data = [b'x'; 16_384];
        let bytes = [b"d8:msg_typei1e5:piecei0e10:total_sizei34256ee", &data[..]].concat();
        let size = Size::new(34_256, u32::MAX);
        for (bytes, message) in [
            (&b"d8:msg_typei0e5:piecei0ee"[..], Message::Request(Piece(0))),
            (&bytes, Message::Data { piece: Piece(0), total_size: size, data: &data }),
            (b"d8:msg_typei2e5:piecei0ee", Message::Reject(Piece(0))),
        ] {
            assert_eq!(read(bytes), Ok(message));
            assert_eq!(payload(message), bytes);
        }
        // As the text has it: a reject with the type of data.
        assert_eq!(read(b"d8:msg_typei1e5:piecei0ee"), Ok(Message::Reject(Piece(0))));
    }

    #[test]
    fn data_have_the_length_of_their_piece() {
        let data = |piece: u32, length: usize| {
            [format!("d8:msg_typei1e5:piecei{piece}e10:total_sizei16385ee").into_bytes(), vec![1; length]].concat()
        };
        for (piece, length, right) in [
            (0, 16_384, true),
            (0, 16_383, false),
            (0, 16_385, false),
            (0, 0, false),
            (1, 1, true),
            (1, 0, false),
            (1, 2, false),
            (2, 0, false),
            (2, 1, false),
            (u32::MAX, 1, false),
        ] {
            assert_eq!(read(&data(piece, length)).is_ok(), right, "{piece}, {length}");
        }
    }

    #[test]
    fn data_without_a_size_are_at_most_a_piece() {
        for (length, right) in [(1, true), (16_384, true), (16_385, false), (1 << 20, false)] {
            let bytes = [b"d8:msg_typei1e5:piecei7ee".to_vec(), vec![1; length]].concat();
            assert_eq!(read(&bytes).is_ok(), right, "{length}");
        }
    }

    #[test]
    fn no_size_or_piece_is_cut_to_fit() {
        for size in [-1, 0, (32 << 20) + 1, 1 << 31, 1 << 32, (1 << 32) + 1, i64::MAX, i64::MIN] {
            let bytes = format!("d8:msg_typei1e5:piecei0e10:total_sizei{size}eex").into_bytes();
            assert_eq!(read(&bytes), Err(Error::OutOfRange { key: "total_size", value: size }));
        }
        for piece in [-1, 1 << 32, i64::MAX, i64::MIN] {
            for kind in 0..3 {
                let bytes = format!("d8:msg_typei{kind}e5:piecei{piece}ee").into_bytes();
                assert_eq!(read(&bytes), Err(Error::OutOfRange { key: "piece", value: piece }));
            }
        }
    }

    #[test]
    fn nesting_in_a_message_costs_no_stack() {
        for start in ["", "d1:x", "d8:msg_typei0e5:piece", "d8:msg_typei1e5:piecei0e10:total_size", "d8:msg_typei9e1:x"]
        {
            for open in ["l", "d1:a"] {
                let deep = [start.as_bytes(), &open.as_bytes().repeat(20_000)].concat();
                let closed = [&deep[..], &vec![b'e'; 20_001]].concat();
                for payload in [deep, closed] {
                    let Err(Error::Bencode(error)) = read(&payload) else { panic!("{start} {open}") };
                    assert!(matches!(error, bencode::Error::TooDeep { limit: 8, .. }), "{start} {open}: {error}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_type_is_carried() {
        for kind in [3, -1, i64::MAX] {
            let bytes = format!("d8:msg_typei{kind}ee and more").into_bytes();
            assert_eq!(read(&bytes), Ok(Message::Unknown { kind, payload: &bytes }));
            assert_eq!(payload(read(&bytes).unwrap()), bytes);
        }
    }

    #[test]
    fn what_is_missing_or_cut_is_refused() {
        assert_eq!(read(b"de"), Err(Error::Missing { key: "msg_type" }));
        assert_eq!(read(b"d8:msg_type1:0e"), Err(Error::Missing { key: "msg_type" }));
        assert_eq!(read(b"d8:msg_typei0ee"), Err(Error::Missing { key: "piece" }));
        assert_eq!(read(b"d8:msg_typei0e5:piece1:0e"), Err(Error::Missing { key: "piece" }));
        let whole = b"d8:msg_typei1e5:piecei0e10:total_sizei4eexxxx";
        assert!(read(whole).is_ok());
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        assert_eq!(read(b"d3:new2:ok8:msg_typei0e5:piecei9eemore"), Ok(Message::Request(Piece(9))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(piece in 0..4u32, size in 1..50_000i64, number in any::<u32>(), byte in any::<u8>()) {
            let total_size = Size::new(size, u32::MAX);
            let length = total_size.and_then(|size| size.length_of(Piece(piece)));
            let data = vec![byte; length.unwrap_or(1) as usize];
            for message in [
                Message::Request(Piece(number)),
                Message::Reject(Piece(number)),
                Message::Data { piece: Piece(piece), total_size: total_size.filter(|_| length.is_some()), data: &data },
            ] {
                let bytes = payload(message);
                prop_assert_eq!(read(&bytes), Ok(message));
            }
        }
    }
}
