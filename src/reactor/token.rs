//! What a readiness event is about, packed into mio's token.

use mio::Token;

/// How many bits of a token name the slot.
pub(super) const SLOT_BITS: u32 = 24;
const KIND_BITS: u32 = 2;

/// What became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Somebody rang.
    Waker,
    /// A listener, by its place.
    Listener(usize),
    /// A datagram socket, by its place.
    Datagram(usize),
    /// A connection, by its slot and as much of its generation as a token holds.
    Connection { slot: usize, generation: usize },
}

fn generation_mask() -> usize {
    usize::MAX >> (SLOT_BITS + KIND_BITS)
}

impl Source {
    /// Names a connection.
    pub(super) fn connection(slot: usize, generation: u32) -> Self {
        Source::Connection { slot, generation: generation as usize & generation_mask() }
    }

    pub(super) fn encode(self) -> Token {
        let (kind, slot, generation) = match self {
            Source::Waker => (0, 0, 0),
            Source::Listener(slot) => (1, slot, 0),
            Source::Datagram(slot) => (2, slot, 0),
            Source::Connection { slot, generation } => (3, slot, generation),
        };
        Token(kind | slot << KIND_BITS | generation << (SLOT_BITS + KIND_BITS))
    }

    pub(super) fn decode(Token(token): Token) -> Self {
        let slot = token >> KIND_BITS & ((1 << SLOT_BITS) - 1);
        match token & ((1 << KIND_BITS) - 1) {
            0 => Source::Waker,
            1 => Source::Listener(slot),
            2 => Source::Datagram(slot),
            _ => Source::Connection { slot, generation: token >> (SLOT_BITS + KIND_BITS) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_survives_its_token() {
        let last = (1 << SLOT_BITS) - 1;
        for source in [
            Source::Waker,
            Source::Listener(3),
            Source::Datagram(last),
            Source::connection(last, u32::MAX),
            Source::connection(0, 1),
        ] {
            assert_eq!(Source::decode(source.encode()), source);
        }
        assert_ne!(Source::connection(7, 0).encode(), Source::connection(7, 1).encode());
    }
}
