//! Selective acknowledgements.

use super::number::SeqNr;
use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

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
        for (offset, length) in
            [(2, Some(4)), (33, Some(4)), (34, Some(8)), (513, Some(64)), (514, None), (1, None), (0, None)]
        {
            let mut mask = AckMask::new(ack_nr);
            assert_eq!(mask.insert(ack_nr.plus(offset)), length.is_some(), "{offset}");
            assert_eq!(mask.as_selective_ack().map(|acks| acks.as_bytes().len()), length, "{offset}");
        }
    }
}
