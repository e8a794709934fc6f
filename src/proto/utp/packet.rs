//! A packet: bytes to values and back.

use super::ack::SelectiveAck;
use super::error::Error;
use super::number::{ConnectionId, SeqNr, Timestamp};
use crate::proto::reader::Reader;

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
        let ack = self.selective_ack.map_or(0, |ack| 2 + ack.as_bytes().len());
        HEADER_LEN + ack + self.close_reason.map_or(0, |_| 2 + 4) + self.payload.len()
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let ack = self.selective_ack.map(|ack| (SELECTIVE_ACK, ack.as_bytes()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::utp::AckMask;
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

    proptest! {
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
