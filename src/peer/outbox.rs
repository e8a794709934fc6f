use crate::machine::{Block, Part};
use crate::proto::geometry::Span;
use crate::proto::message::{self, Message};
use std::collections::VecDeque;

/// How much room for bytes stays with an empty outbox.
const KEPT_CAPACITY: usize = 4096;

/// What is to be written to one connection, in order, and an estimate of what the host has still to write.
///
/// Messages gather in `bytes`; a block is kept beside them, with the place where it belongs. So all that is written between two
/// drains is one part per run of messages, and a block is never copied.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// How many of `bytes` the host has been given.
    given: usize,
    blocks: VecDeque<(usize, Block)>,
    /// The bytes of `blocks`.
    block_bytes: usize,
    /// What the host has been given and not, as far as we know, written.
    in_host: usize,
}

impl Outbox {
    pub(super) fn message(&mut self, message: &Message<'_>) {
        message.encode(&mut self.bytes);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn block(&mut self, span: Span, block: Block) {
        message::encode_piece_header(span, &mut self.bytes);
        self.block_bytes += block.len();
        self.blocks.push_back((self.bytes.len(), block));
    }

    /// Gives the next part for the host; its bytes are appended to `buf`.
    pub(super) fn next(&mut self, buf: &mut Vec<u8>) -> Option<Part> {
        let until = self.blocks.front().map_or(self.bytes.len(), |(place, _)| *place);
        if self.given < until {
            let start = buf.len();
            buf.extend_from_slice(&self.bytes[self.given..until]);
            self.in_host += until - self.given;
            self.given = until;
            return Some(Part::Bytes(start..buf.len()));
        }
        if let Some((_, block)) = self.blocks.pop_front() {
            self.block_bytes -= block.len();
            self.in_host += block.len();
            return Some(Part::Block(block));
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY);
        self.given = 0;
        None
    }

    /// Takes the host's word for what it has still to write.
    pub(super) fn on_writable(&mut self, queued: usize) {
        self.in_host = queued;
    }

    /// Gives how many bytes wait to be written, here and in the host.
    pub(super) fn queued(&self) -> usize {
        (self.bytes.len() - self.given).saturating_add(self.block_bytes).saturating_add(self.in_host)
    }

    /// Forgets what the host has not been given.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.given = 0;
        self.blocks.clear();
        self.block_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::id::PieceIndex;

    #[test]
    fn messages_are_one_part_and_blocks_keep_their_place_among_them() {
        let mut outbox = Outbox::default();
        outbox.message(&Message::Choke);
        outbox.message(&Message::Unchoke);
        let span = Span { piece: PieceIndex(0), begin: 0, length: 3 };
        outbox.block(span, Block::from(vec![1, 2, 3]));
        outbox.message(&Message::Interested);
        let all = 5 + 5 + 13 + 3 + 5;
        assert_eq!(outbox.queued(), all);
        let mut buf = vec![9; 4];
        assert_eq!(outbox.next(&mut buf), Some(Part::Bytes(4..27)));
        assert_eq!(outbox.next(&mut buf), Some(Part::Block(Block::from(vec![1, 2, 3]))));
        assert_eq!(outbox.next(&mut buf), Some(Part::Bytes(27..32)));
        assert_eq!(outbox.next(&mut buf), None);
        assert_eq!(outbox.queued(), all);
        outbox.on_writable(2);
        assert_eq!(outbox.queued(), 2);
    }
}
