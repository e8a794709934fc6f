//! Packets of uTP, the transport over UDP that yields to other traffic (BEP 29).
//!
//! ```text
//! 0                 1         2               4                           8                                  12
//! | type 4, version 4 | extension | connection id | time of sending, µs      | difference of the last received, µs |
//! | window in bytes                               | sequence number | acknowledged   |  then extensions, then payload
//! 12                                              16                18               20
//! ```
//!
//! An extension is the type of the next one (0: there is none), a length, and so many bytes. Read are selective acknowledgements (1)
//! and libtorrent's reason for closing (3); all others are skipped.
//!
//! A packet borrows its payload, and decoding allocates nothing. Not here: connections, windows, and what may be believed of an
//! address that anybody can claim.
//!
//! # Limits
//!
//! There may be at most [`MAX_EXTENSIONS`] extensions. A selective acknowledgement is read with 4 to 252 bytes, in multiples of 4; we send up
//! to 64 ([`AckMask`]), which is 512 packets.
//!
//! ```
//! use bip::proto::utp::{AckMask, ConnectionId, Header, Kind, Packet, SeqNr, Timestamp};
//! let header = Header {
//!     kind: Kind::State,
//!     connection: ConnectionId(7),
//!     sent: Timestamp(1_000_000),
//!     difference: 0,
//!     window: 1 << 20,
//!     seq_nr: SeqNr(1),
//!     ack_nr: SeqNr(65_534),
//! };
//! // 65535 is missing, 0 came.
//! let mut mask = AckMask::new(header.ack_nr);
//! assert!(mask.insert(SeqNr(0)));
//! let mut bytes = Vec::new();
//! Packet { selective_ack: mask.as_selective_ack(), ..Packet::new(header) }.encode(&mut bytes);
//! assert_eq!(bytes.len(), 20 + 2 + 4);
//! let packet = Packet::decode(&bytes)?;
//! assert_eq!(packet.header, header);
//! let acks = packet.selective_ack.expect("it was sent");
//! assert_eq!(acks.received(packet.header.ack_nr).collect::<Vec<_>>(), [SeqNr(0)]);
//! # Ok::<(), bip::proto::utp::Error>(())
//! ```

use super::reader::{Reader, Truncated};
use std::fmt;

/// The length of a header in bytes.
pub const HEADER_LEN: usize = 20;

/// The most extensions that a packet may have.
pub const MAX_EXTENSIONS: usize = 16;

const VERSION: u8 = 1;
const SELECTIVE_ACK: u8 = 1;
const CLOSE_REASON: u8 = 3;

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Brings data: `ST_DATA`.
    Data,
    /// Is the last: `ST_FIN`.
    Fin,
    /// Acknowledges, and brings nothing: `ST_STATE`.
    State,
    /// Ends the connection at once: `ST_RESET`.
    Reset,
    /// Opens a connection: `ST_SYN`.
    Syn,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Data => 0,
            Kind::Fin => 1,
            Kind::State => 2,
            Kind::Reset => 3,
            Kind::Syn => 4,
        }
    }

    fn of(number: u8) -> Option<Self> {
        [Kind::Data, Kind::Fin, Kind::State, Kind::Reset, Kind::Syn].into_iter().find(|kind| kind.number() == number)
    }
}

/// The number of a packet of one direction of a connection, which begins again after 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNr(pub u16);

impl SeqNr {
    /// Gives the number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// Gives the number so many after this one.
    #[must_use]
    pub fn plus(self, count: u16) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// Gives how many numbers this one is after another, going up from there: 0 to 65535.
    pub fn since(self, other: Self) -> u16 {
        self.0.wrapping_sub(other.0)
    }

    /// Says whether this number comes after another: by less than half of all numbers. Of two that are just half of them apart, neither
    /// comes after the other.
    ///
    /// ```
    /// use bip::proto::utp::SeqNr;
    /// assert!(SeqNr(0).is_after(SeqNr(65_535)));
    /// assert!(!SeqNr(65_535).is_after(SeqNr(0)) && !SeqNr(7).is_after(SeqNr(7)));
    /// ```
    pub fn is_after(self, other: Self) -> bool {
        (1..0x8000).contains(&self.since(other))
    }

    /// Gives how far this number is from another: positive where it comes after it. Half of all numbers is -32768.
    pub fn distance(self, other: Self) -> i16 {
        self.since(other).cast_signed()
    }
}

impl fmt::Display for SeqNr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time in microseconds of the sender's own clock, which begins again after 71 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Timestamp(pub u32);

impl Timestamp {
    /// Gives the microseconds from another time to this one, going up from there.
    ///
    /// Between two clocks it means nothing by itself; how it changes is the change of the delay.
    pub fn since(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0)
    }

    /// Says whether this time comes after another: by less than half of all times.
    pub fn is_after(self, other: Self) -> bool {
        (1..0x8000_0000).contains(&self.since(other))
    }
}

/// Names a connection between two addresses, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u16);

impl ConnectionId {
    /// Gives the id of the other direction, of the id that the first packet came with: one more, and 0 after 65535.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What every packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// What it is for.
    pub kind: Kind,
    /// The connection.
    pub connection: ConnectionId,
    /// When it was sent.
    pub sent: Timestamp,
    /// What the sender measured last: its time less that of the packet that it had received, in microseconds; 0 before it has one.
    pub difference: u32,
    /// How many bytes the sender has room for.
    pub window: u32,
    /// The number of this packet.
    pub seq_nr: SeqNr,
    /// The last number up to which the sender has everything.
    pub ack_nr: SeqNr,
}

/// Says which packets after a gap have been received: a bit for each, from the second after the acknowledged one on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SelectiveAck<'a>(&'a [u8]);

impl<'a> SelectiveAck<'a> {
    /// Takes the bytes of the mask: the lowest bit of the first byte is the acknowledged packet's second successor.
    ///
    /// Gives `None` unless there are 4 to 252 of them, in a multiple of 4.
    pub fn new(mask: &'a [u8]) -> Option<Self> {
        let length = mask.len();
        ((4..=252).contains(&length) && length % 4 == 0).then_some(Self(mask))
    }

    /// Gives the bytes of the mask.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Says whether a packet has been received, of a header's `ack_nr`: false for those that the mask says nothing of.
    pub fn contains(self, ack_nr: SeqNr, packet: SeqNr) -> bool {
        let bit = usize::from(packet.since(ack_nr.plus(2)));
        self.0.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }

    /// Goes over the packets that have been received, of a header's `ack_nr`.
    pub fn received(self, ack_nr: SeqNr) -> impl Iterator<Item = SeqNr> + use<'a> {
        let first = ack_nr.plus(2);
        // There are at most 2016 bits.
        let bits = self.0.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
        (0..).zip(bits).filter(|(_, is_set)| *is_set).map(move |(bit, _)| first.plus(bit))
    }
}

impl fmt::Debug for SelectiveAck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SelectiveAck({} bytes:", self.0.len())?;
        self.received(SeqNr(0)).try_for_each(|packet| write!(f, " +{packet}"))?;
        f.write_str(")")
    }
}

/// A selective acknowledgement that is being made: up to 64 bytes, as long as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckMask {
    first: SeqNr,
    bytes: [u8; 64],
    /// How many of the bytes are in use.
    length: usize,
}

impl AckMask {
    /// Starts the mask of packets after a gap, of the header's `ack_nr`.
    pub fn new(ack_nr: SeqNr) -> Self {
        Self { first: ack_nr.plus(2), bytes: [0; 64], length: 0 }
    }

    /// Adds a packet that has been received. Gives false, and does nothing, if the mask cannot say so: it is not from the second to the
    /// 513th after `ack_nr`.
    pub fn insert(&mut self, packet: SeqNr) -> bool {
        let bit = usize::from(packet.since(self.first));
        let Some(byte) = self.bytes.get_mut(bit / 8) else { return false };
        *byte |= 1 << (bit % 8);
        self.length = self.length.max((bit / 8 + 1).next_multiple_of(4));
        true
    }

    /// Gives the acknowledgement; `None` if it says nothing.
    pub fn as_selective_ack(&self) -> Option<SelectiveAck<'_>> {
        self.bytes.get(..self.length).and_then(SelectiveAck::new)
    }
}

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What every packet says.
    pub header: Header,
    /// Which packets after a gap have been received.
    pub selective_ack: Option<SelectiveAck<'a>>,
    /// Why the connection is closed, in libtorrent's numbers.
    pub close_reason: Option<u16>,
    /// What the packet brings.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Makes a packet that brings nothing.
    pub fn new(header: Header) -> Self {
        Self { header, selective_ack: None, close_reason: None, payload: &[] }
    }

    /// Reads a datagram.
    ///
    /// Of extensions of one type the first counts. A reason for closing that has not 4 bytes is skipped.
    ///
    /// # Errors
    ///
    /// It is no packet of uTP: other things come to the same port.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(datagram);
        let first = reader.u8()?;
        if first & 0x0f != VERSION {
            return Err(Error::Version { found: first & 0x0f });
        }
        let kind = Kind::of(first >> 4).ok_or(Error::Kind { found: first >> 4 })?;
        let mut extension = reader.u8()?;
        let mut packet = Self::new(Header {
            kind,
            connection: ConnectionId(reader.u16()?),
            sent: Timestamp(reader.u32()?),
            difference: reader.u32()?,
            window: reader.u32()?,
            seq_nr: SeqNr(reader.u16()?),
            ack_nr: SeqNr(reader.u16()?),
        });
        let mut count = 0;
        while extension != 0 {
            let at = reader.position();
            if count == MAX_EXTENSIONS {
                return Err(Error::TooManyExtensions { at });
            }
            count += 1;
            let next = reader.u8()?;
            let length = reader.u8()?;
            let bytes = reader.take(usize::from(length))?;
            match extension {
                SELECTIVE_ACK => {
                    let ack = SelectiveAck::new(bytes).ok_or(Error::SelectiveAck { at, length })?;
                    packet.selective_ack = packet.selective_ack.or(Some(ack));
                }
                CLOSE_REASON => {
                    // Two bytes that are not used, then the reason.
                    if let [_, _, high, low] = bytes {
                        packet.close_reason = packet.close_reason.or(Some(u16::from_be_bytes([*high, *low])));
                    }
                }
                _ => {}
            }
            extension = next;
        }
        packet.payload = reader.rest();
        Ok(packet)
    }

    /// Gives how many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self) -> usize {
        let ack = self.selective_ack.map_or(0, |ack| 2 + ack.0.len());
        HEADER_LEN + ack + self.close_reason.map_or(0, |_| 2 + 4) + self.payload.len()
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let ack = self.selective_ack.map(|ack| (SELECTIVE_ACK, ack.0));
        let reason = self.close_reason.map(u16::to_be_bytes).map(|[high, low]| [0, 0, high, low]);
        let reason = reason.as_ref().map(|bytes| (CLOSE_REASON, &bytes[..]));
        let header = &self.header;
        out.reserve(self.encoded_len());
        out.push(header.kind.number() << 4 | VERSION);
        out.push(ack.or(reason).map_or(0, |(extension, _)| extension));
        out.extend_from_slice(&header.connection.0.to_be_bytes());
        out.extend_from_slice(&header.sent.0.to_be_bytes());
        out.extend_from_slice(&header.difference.to_be_bytes());
        out.extend_from_slice(&header.window.to_be_bytes());
        out.extend_from_slice(&header.seq_nr.0.to_be_bytes());
        out.extend_from_slice(&header.ack_nr.0.to_be_bytes());
        let after_ack = reason.map_or(0, |(extension, _)| extension);
        for ((_, bytes), next) in ack.into_iter().map(|ack| (ack, after_ack)).chain(reason.map(|reason| (reason, 0))) {
            out.push(next);
            // A selective acknowledgement has at most 252.
            out.push(bytes.len() as u8);
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(self.payload);
    }
}

/// Why a datagram is no packet of uTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It ends in its header or its extensions.
    Truncated(Truncated),
    /// Its version is not 1.
    Version {
        /// The version it has.
        found: u8,
    },
    /// Its type is none that there is.
    Kind {
        /// The type it has.
        found: u8,
    },
    /// A selective acknowledgement has not 4 to 252 bytes in a multiple of 4.
    SelectiveAck {
        /// Where the extension starts, in bytes.
        at: usize,
        /// How many it has.
        length: u8,
    },
    /// It has more than [`MAX_EXTENSIONS`] extensions.
    TooManyExtensions {
        /// Where the first that is too many starts, in bytes.
        at: usize,
    },
}

impl From<Truncated> for Error {
    fn from(error: Truncated) -> Self {
        Error::Truncated(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated(error) => error.fmt(f),
            Error::Version { found } => write!(f, "version {found} of uTP at byte 0"),
            Error::Kind { found } => write!(f, "a packet of type {found} at byte 0"),
            Error::SelectiveAck { at, length } => write!(f, "a selective acknowledgement of {length} bytes at byte {at}"),
            Error::TooManyExtensions { at } => write!(f, "more than {MAX_EXTENSIONS} extensions at byte {at}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            kind: Kind::Data,
            connection: ConnectionId(0x0102),
            sent: Timestamp(0x0304_0506),
            difference: 0x0708_090a,
            window: 0x0b0c_0d0e,
            seq_nr: SeqNr(0x0f10),
            ack_nr: SeqNr(0x1112),
        }
    }

    /// A packet's bytes with this chain of extensions (and payload) after the header, of which the first has this type.
    fn with(first: u8, chain: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Packet::new(header()).encode(&mut bytes);
        bytes[1] = first;
        bytes.extend_from_slice(chain);
        bytes
    }

    #[test]
    fn the_fields_are_where_bep_29_puts_them() {
        let mut bytes = b"before".to_vec();
        let packet = Packet { payload: b"data", ..Packet::new(header()) };
        packet.encode(&mut bytes);
        let expected = [&[0x01, 0][..], &(1..=0x12).collect::<Vec<u8>>(), b"data"].concat();
        assert_eq!(bytes[6..], expected);
        assert_eq!(Packet::decode(&expected), Ok(packet));
        for (kind, number) in [(Kind::Fin, 1), (Kind::State, 2), (Kind::Reset, 3), (Kind::Syn, 4)] {
            let mut bytes = Vec::new();
            Packet::new(Header { kind, ..header() }).encode(&mut bytes);
            assert_eq!(bytes[0], number << 4 | 1);
            assert_eq!(Packet::decode(&bytes).unwrap().header.kind, kind);
        }
    }

    #[test]
    fn other_versions_and_types_are_refused() {
        for first in 0..=255_u8 {
            let mut bytes = with(0, &[]);
            bytes[0] = first;
            let expected = match (first & 0xf, first >> 4) {
                (1, 0..=4) => Ok(()),
                (1, found) => Err(Error::Kind { found }),
                (found, _) => Err(Error::Version { found }),
            };
            assert_eq!(Packet::decode(&bytes).map(|_| ()), expected);
        }
        // What the DHT speaks on the same port.
        assert!(Packet::decode(b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe").is_err());
    }

    #[test]
    fn a_packet_that_ends_in_its_header_or_extensions_is_refused() {
        let whole = with(1, &[3, 4, 1, 0, 0, 0x80, 99, 4, 0, 0, 2, 1, 0, 3, 7, 8, 9, b'x']);
        let packet = Packet::decode(&whole).unwrap();
        assert_eq!((packet.close_reason, packet.payload), (Some(0x0201), &b"x"[..]));
        assert_eq!(packet.selective_ack.unwrap().as_bytes(), [1, 0, 0, 0x80]);
        for end in 0..whole.len() - 1 {
            assert!(matches!(Packet::decode(&whole[..end]), Err(Error::Truncated(_))), "{end}");
        }
    }

    #[test]
    fn selective_acknowledgements_have_a_multiple_of_four_bytes() {
        for length in 0..=255_u8 {
            let bytes = with(1, &[&[0, length][..], &vec![0xff; length.into()], b"payload"].concat());
            let packet = Packet::decode(&bytes);
            if length % 4 == 0 && length > 0 {
                assert_eq!(packet.map(|packet| packet.payload), Ok(&b"payload"[..]));
            } else {
                assert_eq!(packet, Err(Error::SelectiveAck { at: 20, length }));
            }
        }
    }

    #[test]
    fn unknown_extensions_are_skipped_and_a_chain_has_an_end() {
        // libutp's extension bits, then one of no bytes, then the acknowledgement.
        let bytes = with(2, &[&[200, 8][..], &[0; 8], &[1, 0], &[0, 4, 1, 0, 0, 0], b"data"].concat());
        let packet = Packet::decode(&bytes).unwrap();
        assert_eq!((packet.payload, packet.selective_ack.unwrap().as_bytes()), (&b"data"[..], &[1, 0, 0, 0][..]));
        // The first of a type counts, a reason of another length does not.
        let bytes = with(1, &[1, 4, 1, 0, 0, 0, 3, 4, 2, 0, 0, 0, 3, 2, 0, 9, 3, 4, 0, 0, 0, 5, 0, 4, 0, 0, 0, 6]);
        let packet = Packet::decode(&bytes).unwrap();
        assert_eq!((packet.selective_ack.unwrap().as_bytes()[0], packet.close_reason), (1, Some(5)));

        let chain = |count: usize| [[7, 0].repeat(count - 1), vec![0, 0]].concat();
        assert!(Packet::decode(&with(7, &chain(MAX_EXTENSIONS))).is_ok());
        let at = HEADER_LEN + 2 * MAX_EXTENSIONS;
        assert_eq!(Packet::decode(&with(7, &chain(MAX_EXTENSIONS + 1))), Err(Error::TooManyExtensions { at }));
        assert_eq!(Packet::decode(&with(7, &[7, 0].repeat(30_000))), Err(Error::TooManyExtensions { at }));
    }

    #[test]
    fn the_bits_of_a_selective_acknowledgement_are_in_the_order_of_bep_29() {
        let acks = SelectiveAck::new(&[0b1000_0001, 0b10, 0, 0x80]).unwrap();
        let ack_nr = SeqNr(65_533);
        let offsets: Vec<u16> = acks.received(ack_nr).map(|packet| packet.since(ack_nr)).collect();
        assert_eq!(offsets, [2, 9, 11, 33]);
        for offset in 0..=u16::MAX {
            assert_eq!(acks.contains(ack_nr, ack_nr.plus(offset)), offsets.contains(&offset), "{offset}");
        }
        assert_eq!(format!("{acks:?}"), "SelectiveAck(4 bytes: +2 +9 +11 +33)");
    }

    #[test]
    fn a_mask_is_as_long_as_it_must_be_and_never_longer_than_64_bytes() {
        let ack_nr = SeqNr(65_000);
        assert_eq!(AckMask::new(ack_nr).as_selective_ack(), None);
        for (offset, length) in [(2, Some(4)), (33, Some(4)), (34, Some(8)), (513, Some(64)), (514, None), (1, None), (0, None)] {
            let mut mask = AckMask::new(ack_nr);
            assert_eq!(mask.insert(ack_nr.plus(offset)), length.is_some(), "{offset}");
            assert_eq!(mask.as_selective_ack().map(|acks| acks.as_bytes().len()), length, "{offset}");
        }
    }

    #[test]
    fn numbers_are_compared_across_their_end() {
        for (a, b, after, distance) in [
            (1, 0, true, 1),
            (0, 65_535, true, 1),
            (65_535, 0, false, -1),
            (5, 5, false, 0),
            (0x7fff, 0, true, 0x7fff),
            (0x8000, 0, false, i16::MIN),
            (0, 0x8000, false, i16::MIN),
            (0x8001, 0, false, -0x7fff),
        ] {
            assert_eq!((SeqNr(a).is_after(SeqNr(b)), SeqNr(a).distance(SeqNr(b))), (after, distance), "{a} {b}");
        }
        assert_eq!((SeqNr(65_535).next(), ConnectionId(65_535).next()), (SeqNr(0), ConnectionId(0)));
        for (a, b, after) in [(1, 0, true), (0, u32::MAX, true), (u32::MAX, 0, false), (0x8000_0000, 0, false), (3, 3, false)] {
            assert_eq!(Timestamp(a).is_after(Timestamp(b)), after, "{a} {b}");
        }
        assert_eq!(Timestamp(5).since(Timestamp(u32::MAX)), 6);
    }

    proptest! {
        #[test]
        fn one_of_two_numbers_comes_after_the_other(a in any::<u16>(), b in any::<u16>()) {
            let (a, b) = (SeqNr(a), SeqNr(b));
            prop_assert_eq!(a.is_after(b), a.distance(b) > 0);
            prop_assert!(a == b || a.since(b) == 0x8000 || a.is_after(b) != b.is_after(a));
            prop_assert_eq!(b.plus(a.since(b)), a);
        }

        #[test]
        fn a_packet_survives_its_own_bytes(
            (kind, connection, sent, difference) in (0..5_u8, any::<u16>(), any::<u32>(), any::<u32>()),
            (window, seq_nr, ack_nr) in (any::<u32>(), any::<u16>(), any::<u16>()),
            offsets in prop::collection::vec(2..600_u16, 0..9),
            close_reason in any::<Option<u16>>(),
            payload in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let header = Header {
                kind: Kind::of(kind).unwrap(),
                connection: ConnectionId(connection),
                sent: Timestamp(sent),
                difference,
                window,
                seq_nr: SeqNr(seq_nr),
                ack_nr: SeqNr(ack_nr),
            };
            let mut mask = AckMask::new(header.ack_nr);
            let mut inserted: Vec<u16> = offsets.into_iter().filter(|o| mask.insert(header.ack_nr.plus(*o))).collect();
            let packet = Packet { header, selective_ack: mask.as_selective_ack(), close_reason, payload: &payload };
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            prop_assert_eq!(bytes.len(), packet.encoded_len());
            prop_assert_eq!(Packet::decode(&bytes), Ok(packet));
            inserted.sort();
            inserted.dedup();
            let received = packet.selective_ack.into_iter().flat_map(|acks| acks.received(header.ack_nr));
            prop_assert_eq!(received.map(|n| n.since(header.ack_nr)).collect::<Vec<_>>(), inserted);
        }
    }
}
