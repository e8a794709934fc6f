use super::hashes::{HASH_SPAN_LEN, HashSpan, Hashes};
use super::{Error, id};
use crate::proto::geometry::Span;
use crate::proto::id::PieceIndex;
use byteorder::{BigEndian, ByteOrder};

/// The length in bytes of what comes before a block in a `piece` message: the length, the id, the piece and the offset.
pub const PIECE_HEADER_LEN: usize = 13;

/// One message, borrowed from the bytes it came in.
///
/// Its values are what the peer wrote: no piece or span in it is known to be in the torrent.
///
/// ```
/// use bip::proto::{id::PieceIndex, message::Message};
/// let mut bytes = Vec::new();
/// Message::Have(PieceIndex(7)).encode(&mut bytes);
/// assert_eq!(bytes, [0, 0, 0, 5, 4, 0, 0, 0, 7]);
/// assert_eq!(Message::decode(&bytes[4..]), Ok(Message::Have(PieceIndex(7))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// Nothing, to show that the connection lives: a length of 0.
    KeepAlive,
    /// The sender will not answer requests.
    Choke,
    /// The sender will answer requests.
    Unchoke,
    /// The sender wants pieces that the receiver has.
    Interested,
    /// The sender wants nothing that the receiver has.
    NotInterested,
    /// The sender now has a piece.
    Have(PieceIndex),
    /// All pieces that the sender has: the bytes of a [`Bitfield`](crate::proto::bitfield::Bitfield), of any length.
    Bitfield(&'a [u8]),
    /// The sender wants a block.
    Request(Span),
    /// A block.
    Piece {
        /// The piece that it is from.
        piece: PieceIndex,
        /// The offset of its first byte within the piece.
        begin: u32,
        /// Its bytes.
        data: &'a [u8],
    },
    /// The sender no longer wants a block.
    Cancel(Span),
    /// The UDP port of the sender's DHT node (BEP 5).
    Port(u16),
    /// The sender would like the receiver to ask for a piece: advice (BEP 6).
    Suggest(PieceIndex),
    /// The sender has all pieces: in place of a bitfield (BEP 6).
    HaveAll,
    /// The sender has no piece: in place of a bitfield (BEP 6).
    HaveNone,
    /// The sender will not send a block that the receiver asked for (BEP 6).
    Reject(Span),
    /// The sender will send blocks of a piece even while it chokes; it need not have the piece (BEP 6).
    AllowedFast(PieceIndex),
    /// A message of an extension (BEP 10).
    Extended {
        /// What it is by the receiver's own numbering; 0 for the [extension handshake](crate::proto::extension::Handshake).
        id: u8,
        /// What follows the id.
        payload: &'a [u8],
    },
    /// The sender wants hashes of a file's tree (BEP 52).
    HashRequest(HashSpan<'a>),
    /// Hashes of a file's tree (BEP 52).
    Hashes(Hashes<'a>),
    /// The sender will not send hashes that the receiver asked for (BEP 52).
    HashReject(HashSpan<'a>),
    /// A message of an id that is not one of the above: one of an extension, or nonsense.
    Unknown {
        /// The id.
        id: u8,
        /// What follows the id.
        payload: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Reads a message from the bytes that follow its length: all of them, and no more. None at all is a keep-alive.
    ///
    /// # Errors
    ///
    /// Fails with [`Error::WrongLength`] where the fields of the id need another length.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let Some((&id, body)) = bytes.split_first() else {
            return Ok(Self::KeepAlive);
        };
        Ok(match id {
            id::CHOKE => fixed(id, body).map(|[]| Self::Choke)?,
            id::UNCHOKE => fixed(id, body).map(|[]| Self::Unchoke)?,
            id::INTERESTED => fixed(id, body).map(|[]| Self::Interested)?,
            id::NOT_INTERESTED => fixed(id, body).map(|[]| Self::NotInterested)?,
            id::HAVE => Self::Have(PieceIndex(BigEndian::read_u32(fixed::<4>(id, body)?))),
            id::BITFIELD => Self::Bitfield(body),
            id::REQUEST => Self::Request(decode_span(fixed(id, body)?)),
            id::PIECE => {
                let Some((place, data)) = body.split_first_chunk::<8>() else {
                    return Err(wrong_length(id, body, 9));
                };
                let [piece, begin] = decode_words(place);
                Self::Piece { piece: PieceIndex(piece), begin, data }
            }
            id::CANCEL => Self::Cancel(decode_span(fixed(id, body)?)),
            id::PORT => Self::Port(BigEndian::read_u16(fixed::<2>(id, body)?)),
            id::SUGGEST => Self::Suggest(PieceIndex(BigEndian::read_u32(fixed::<4>(id, body)?))),
            id::HAVE_ALL => fixed(id, body).map(|[]| Self::HaveAll)?,
            id::HAVE_NONE => fixed(id, body).map(|[]| Self::HaveNone)?,
            id::REJECT => Self::Reject(decode_span(fixed(id, body)?)),
            id::ALLOWED_FAST => Self::AllowedFast(PieceIndex(BigEndian::read_u32(fixed::<4>(id, body)?))),
            id::EXTENDED => match body.split_first() {
                Some((&id, payload)) => Self::Extended { id, payload },
                None => return Err(wrong_length(id, body, 2)),
            },
            id::HASH_REQUEST => Self::HashRequest(HashSpan::from_bytes(fixed(id, body)?)),
            id::HASHES => match body.split_first_chunk().and_then(|(span, hashes)| Hashes::new(span, hashes)) {
                Some(hashes) => Self::Hashes(hashes),
                None => return Err(wrong_length(id, body, HASH_SPAN_LEN as u32 + 1)),
            },
            id::HASH_REJECT => Self::HashReject(HashSpan::from_bytes(fixed(id, body)?)),
            _ => Self::Unknown { id, payload: body },
        })
    }

    /// Appends the message, its length first.
    ///
    /// A [`Message::Unknown`] with an id of [`id`](super::id) is written as it stands and is read back as what that id means.
    ///
    /// # Panics
    ///
    /// Panics where the message would be 4 GiB or longer.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::KeepAlive => out.extend_from_slice(&[0; 4]),
            Self::Choke => encode_head(id::CHOKE, 0, out),
            Self::Unchoke => encode_head(id::UNCHOKE, 0, out),
            Self::Interested => encode_head(id::INTERESTED, 0, out),
            Self::NotInterested => encode_head(id::NOT_INTERESTED, 0, out),
            Self::Have(piece) => encode_index(id::HAVE, piece, out),
            Self::Bitfield(bits) => {
                encode_head(id::BITFIELD, bits.len(), out);
                out.extend_from_slice(bits);
            }
            Self::Request(span) => encode_span(id::REQUEST, span, out),
            Self::Piece { piece, begin, data } => {
                encode_head(id::PIECE, data.len().saturating_add(8), out);
                encode_words([piece.0, begin], out);
                out.extend_from_slice(data);
            }
            Self::Cancel(span) => encode_span(id::CANCEL, span, out),
            Self::Port(port) => {
                encode_head(id::PORT, 2, out);
                out.extend_from_slice(&port.to_be_bytes());
            }
            Self::Suggest(piece) => encode_index(id::SUGGEST, piece, out),
            Self::HaveAll => encode_head(id::HAVE_ALL, 0, out),
            Self::HaveNone => encode_head(id::HAVE_NONE, 0, out),
            Self::Reject(span) => encode_span(id::REJECT, span, out),
            Self::AllowedFast(piece) => encode_index(id::ALLOWED_FAST, piece, out),
            Self::Extended { id, payload } => {
                encode_head(id::EXTENDED, payload.len().saturating_add(1), out);
                out.push(id);
                out.extend_from_slice(payload);
            }
            Self::HashRequest(span) => encode_hash_span(id::HASH_REQUEST, span, out),
            Self::Hashes(hashes) => {
                encode_head(id::HASHES, hashes.as_bytes().len().saturating_add(HASH_SPAN_LEN), out);
                out.extend_from_slice(hashes.span_bytes());
                out.extend_from_slice(hashes.as_bytes());
            }
            Self::HashReject(span) => encode_hash_span(id::HASH_REJECT, span, out),
            Self::Unknown { id, payload } => {
                encode_head(id, payload.len(), out);
                out.extend_from_slice(payload);
            }
        }
    }
}

/// Reads the first [`PIECE_HEADER_LEN`] bytes of a piece message, its length included: where its block belongs.
///
/// # Errors
///
/// Fails with [`Error::NotAPiece`] for another message, and with [`Error::WrongLength`] where the message ends before its
/// block begins. No limit is checked.
pub fn decode_piece_header(bytes: &[u8; PIECE_HEADER_LEN]) -> Result<Span, Error> {
    let [l0, l1, l2, l3, id, place @ ..] = bytes;
    let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]);
    if length == 0 || *id != id::PIECE {
        return Err(Error::NotAPiece { id: (length > 0).then_some(*id) });
    }
    let [piece, begin] = decode_words(place);
    match length.checked_sub(9) {
        Some(length) => Ok(Span { piece: PieceIndex(piece), begin, length }),
        None => Err(Error::WrongLength { id: *id, length, expected: 9 }),
    }
}

/// Appends what comes before a block's bytes in a piece message: [`PIECE_HEADER_LEN`] bytes, the message's length first.
///
/// The block's own `span.length` bytes are for the caller to send after it.
///
/// ```
/// use bip::proto::{geometry::Span, id::PieceIndex, message};
/// let mut bytes = Vec::new();
/// message::encode_piece_header(Span { piece: PieceIndex(1), begin: 16384, length: 16384 }, &mut bytes);
/// assert_eq!(bytes, [0, 0, 0x40, 9, 7, 0, 0, 0, 1, 0, 0, 0x40, 0]);
/// ```
///
/// # Panics
///
/// Panics where the span is within 9 bytes of 4 GiB long: no block is.
pub fn encode_piece_header(span: Span, out: &mut Vec<u8>) {
    encode_head(id::PIECE, (span.length as usize).saturating_add(8), out);
    encode_words([span.piece.0, span.begin], out);
}

/// Appends an extended message (BEP 10) whose payload is written where it will stand; its length is what was written.
///
/// The id is the receiver's for the extension, or 0 for the handshake. `fill` must only append.
///
/// ```
/// use bip::proto::message;
/// let mut bytes = Vec::new();
/// message::encode_extended(3, &mut bytes, |out| out.extend_from_slice(b"de"));
/// assert_eq!(bytes, [0, 0, 0, 4, 20, 3, b'd', b'e']);
/// ```
///
/// # Panics
///
/// Panics where the message would be 4 GiB or longer, or where `fill` took away what was there before.
pub fn encode_extended(id: u8, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    encode_head(id::EXTENDED, 1, out);
    out.push(id);
    fill(out);
    let length = out.len().checked_sub(at + 4).and_then(|length| u32::try_from(length).ok());
    let length = length.expect("we send no message of 4 GiB or more, and a payload is appended");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn fixed<const N: usize>(id: u8, body: &[u8]) -> Result<&[u8; N], Error> {
    body.try_into().map_err(|_| wrong_length(id, body, N as u32 + 1))
}

fn wrong_length(id: u8, body: &[u8], expected: u32) -> Error {
    let length = u32::try_from(body.len()).map_or(u32::MAX, |length| length.saturating_add(1));
    Error::WrongLength { id, length, expected }
}

fn decode_words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    const { assert!(BYTES == 4 * WORDS, "a word is four bytes") };
    let mut words = [0; WORDS];
    BigEndian::read_u32_into(bytes, &mut words);
    words
}

fn decode_span(bytes: &[u8; 12]) -> Span {
    let [piece, begin, length] = decode_words(bytes);
    Span { piece: PieceIndex(piece), begin, length }
}

fn encode_head(id: u8, body_length: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(body_length).ok().and_then(|length| length.checked_add(1));
    encode_words([length.expect("we send no message of 4 GiB or more")], out);
    out.push(id);
}

fn encode_words<const WORDS: usize>(words: [u32; WORDS], out: &mut Vec<u8>) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}

fn encode_span(id: u8, span: Span, out: &mut Vec<u8>) {
    encode_head(id, 12, out);
    encode_words([span.piece.0, span.begin, span.length], out);
}

fn encode_index(id: u8, piece: PieceIndex, out: &mut Vec<u8>) {
    encode_head(id, 4, out);
    encode_words([piece.0], out);
}

fn encode_hash_span(id: u8, span: HashSpan<'_>, out: &mut Vec<u8>) {
    encode_head(id, HASH_SPAN_LEN, out);
    out.extend_from_slice(&span.to_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::geometry::Geometry;
    use proptest::prelude::*;

    fn span(piece: u32, begin: u32, length: u32) -> Span {
        Span { piece: PieceIndex(piece), begin, length }
    }

    #[test]
    fn the_bytes_are_those_of_the_beps() {
        let cases: &[(Message<'_>, &[u8])] = &[
            (Message::KeepAlive, &[0, 0, 0, 0]),
            (Message::Choke, &[0, 0, 0, 1, 0]),
            (Message::Unchoke, &[0, 0, 0, 1, 1]),
            (Message::Interested, &[0, 0, 0, 1, 2]),
            (Message::NotInterested, &[0, 0, 0, 1, 3]),
            (Message::Have(PieceIndex(0x01020304)), &[0, 0, 0, 5, 4, 1, 2, 3, 4]),
            (Message::Bitfield(&[0xff, 0x80]), &[0, 0, 0, 3, 5, 0xff, 0x80]),
            (Message::Bitfield(&[]), &[0, 0, 0, 1, 5]),
            (Message::Request(span(1, 0x4000, 0x4001)), &[0, 0, 0, 13, 6, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 0x40, 1]),
            (
                Message::Piece { piece: PieceIndex(2), begin: 3, data: b"xyz" },
                &[0, 0, 0, 12, 7, 0, 0, 0, 2, 0, 0, 0, 3, b'x', b'y', b'z'],
            ),
            (Message::Cancel(span(1, 2, 3)), &[0, 0, 0, 13, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
            (Message::Port(0x1ae1), &[0, 0, 0, 3, 9, 0x1a, 0xe1]),
            (Message::Suggest(PieceIndex(0x01020304)), &[0, 0, 0, 5, 13, 1, 2, 3, 4]),
            (Message::HaveAll, &[0, 0, 0, 1, 14]),
            (Message::HaveNone, &[0, 0, 0, 1, 15]),
            (Message::Reject(span(1, 2, 3)), &[0, 0, 0, 13, 16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
            (Message::AllowedFast(PieceIndex(0x01020304)), &[0, 0, 0, 5, 17, 1, 2, 3, 4]),
            (Message::Extended { id: 0, payload: b"de" }, &[0, 0, 0, 4, 20, 0, b'd', b'e']),
            (Message::Extended { id: 3, payload: b"" }, &[0, 0, 0, 2, 20, 3]),
            (Message::Unknown { id: 10, payload: b"\0de" }, &[0, 0, 0, 4, 10, 0, b'd', b'e']),
            (Message::Unknown { id: 255, payload: b"" }, &[0, 0, 0, 1, 255]),
        ];
        for (message, bytes) in cases {
            let mut out = b"before".to_vec();
            message.encode(&mut out);
            assert_eq!(&out[6..], *bytes, "{message:?}");
            assert_eq!(Message::decode(&bytes[4..]), Ok(*message));
        }
    }

    #[test]
    fn a_wrong_length_is_refused_for_every_id_with_fields() {
        let fixed = [(0, 1), (1, 1), (2, 1), (3, 1), (4, 5), (6, 13), (8, 13), (9, 3)];
        let fast_and_hashes = [(13, 5), (14, 1), (15, 1), (16, 13), (17, 5), (21, 49), (23, 49)];
        for (id, right) in fixed.into_iter().chain(fast_and_hashes) {
            for length in 1..60u32 {
                let mut bytes = vec![0xa5; length as usize];
                bytes[0] = id;
                let error = Error::WrongLength { id, length, expected: right };
                assert_eq!(Message::decode(&bytes).err(), (length != right).then_some(error));
            }
        }
        for length in 1..9 {
            let error = Error::WrongLength { id: 7, length, expected: 9 };
            assert_eq!(Message::decode(&vec![7; length as usize]), Err(error));
        }
        assert!(Message::decode(&[7; 9]).is_ok());
        assert_eq!(Message::decode(&[20]), Err(Error::WrongLength { id: 20, length: 1, expected: 2 }));
        for length in (1..200).filter(|length| ![49, 81, 113, 145, 177].contains(length)) {
            let error = Error::WrongLength { id: 22, length, expected: 49 };
            assert_eq!(Message::decode(&vec![22; length as usize]), Err(error));
        }
    }

    #[test]
    fn hashes_and_requests_for_them_are_read_and_written() {
        let root = [0xab; 32];
        let span = HashSpan { root: &root, base_layer: 1, index: 512, length: 2, proof_layers: 9 };
        let mut fields = vec![0xab; 32];
        fields.extend([0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 9]);
        let (span_bytes, hashes) = (span.to_bytes(), [[1; 32], [2; 32], [3; 32]].concat());
        let carried = Hashes::new(&span_bytes, &hashes).unwrap();
        for (id, message, body) in [
            (21, Message::HashRequest(span), fields.clone()),
            (22, Message::Hashes(carried), [&fields[..], &hashes].concat()),
            (23, Message::HashReject(span), fields.clone()),
        ] {
            let mut bytes = (body.len() as u32 + 1).to_be_bytes().to_vec();
            bytes.push(id);
            bytes.extend(body);
            let mut out = Vec::new();
            message.encode(&mut out);
            assert_eq!(out, bytes);
            assert_eq!(Message::decode(&bytes[4..]), Ok(message));
        }
        assert_eq!(carried.span(), span);
        assert_eq!(carried.iter().map(|hash| hash[0]).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn an_extended_message_is_as_long_as_what_was_written() {
        // Sizes computed apart from what is written have been two bytes short elsewhere.
        for length in [0, 1, 255, 256, 16 * 1024 + 47] {
            let (mut out, mut whole) = (b"before".to_vec(), b"before".to_vec());
            encode_extended(9, &mut out, |out| out.extend(std::iter::repeat_n(7, length)));
            Message::Extended { id: 9, payload: &vec![7; length] }.encode(&mut whole);
            assert_eq!(out, whole);
        }
    }

    #[test]
    fn a_message_stays_small() {
        // It is moved for every block that is asked for.
        assert!(size_of::<Message<'_>>() <= 32);
    }

    #[test]
    fn a_request_outside_any_torrent_is_read_and_the_geometry_refuses_it() {
        let geometry = Geometry::new(1 << 30, 1 << 20).unwrap();
        for (span, inside) in [
            (span(0, 0, 0), false),
            (span(0, u32::MAX, 2), false),
            (span(0, u32::MAX, u32::MAX), false),
            (span(u32::MAX, 0, 1), false),
            (span(1024, 0, 1), false),
            (span(1023, (1 << 20) - 1, 1), true),
        ] {
            let mut bytes = Vec::new();
            Message::Request(span).encode(&mut bytes);
            let Ok(Message::Request(read)) = Message::decode(&bytes[4..]) else {
                panic!("{span} was not read as a request");
            };
            assert_eq!((read, geometry.contains(read)), (span, inside));
        }
    }

    #[test]
    fn a_piece_header_is_the_start_of_a_piece_message() {
        let data = [9; 300];
        let mut whole = Vec::new();
        Message::Piece { piece: PieceIndex(5), begin: 6, data: &data }.encode(&mut whole);
        let mut header = Vec::new();
        encode_piece_header(span(5, 6, 300), &mut header);
        assert_eq!(header, whole[..PIECE_HEADER_LEN]);
        assert_eq!(decode_piece_header(whole.first_chunk().unwrap()), Ok(span(5, 6, 300)));
    }

    #[test]
    fn what_is_not_a_piece_header_is_refused() {
        let mut bytes = [0, 0, 0, 9, 7, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decode_piece_header(&bytes), Ok(span(0, 0, 0)));
        bytes[3] = 8;
        assert_eq!(decode_piece_header(&bytes), Err(Error::WrongLength { id: 7, length: 8, expected: 9 }));
        bytes[4] = 6;
        assert_eq!(decode_piece_header(&bytes), Err(Error::NotAPiece { id: Some(6) }));
        assert_eq!(decode_piece_header(&[0; 13]), Err(Error::NotAPiece { id: None }));
    }

    proptest! {
        #[test]
        fn any_bytes_that_are_a_message_encode_to_themselves(
            id in prop_oneof![0..24u8, any::<u8>()],
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                prop::sample::select(vec![0usize, 1, 2, 4, 8, 12, 48, 80]).prop_flat_map(|n| prop::collection::vec(any::<u8>(), n)),
            ],
        ) {
            let mut bytes = (body.len() as u32 + 1).to_be_bytes().to_vec();
            bytes.push(id);
            bytes.extend(body);
            if let Ok(message) = Message::decode(&bytes[4..]) {
                let mut out = Vec::new();
                message.encode(&mut out);
                prop_assert_eq!(out, bytes);
            }
        }
    }
}
