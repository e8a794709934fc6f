//! Reads that wait for their turn.

use crate::proto::geometry::{Geometry, Span};
use std::collections::VecDeque;

/// How many bytes are read with one job at most.
const BATCH_BYTES: u32 = 256 << 10;
/// How many blocks are read with one job at most.
const BATCH: usize = 64;

/// Bytes that somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) span: Span,
    pub(crate) ticket: u64,
    /// Whether it is read with no other, because a read of several failed.
    alone: bool,
}

/// The asks of one torrent, in order. What follows each other, as what a peer asks for mostly does, is read with one job.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    waiting: VecDeque<Ask>,
}

impl Reads {
    pub(crate) fn push(&mut self, span: Span, ticket: u64) {
        self.waiting.push_back(Ask { span, ticket, alone: false });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Gives the asks that the next job reads; they follow each other without a gap.
    pub(crate) fn next(&mut self, geometry: Geometry) -> Option<Vec<Ask>> {
        let first = self.waiting.pop_front()?;
        let mut end = geometry.offset_of(first.span) + u64::from(first.span.length);
        let mut bytes = first.span.length;
        let mut asks = vec![first];
        while !first.alone && asks.len() < BATCH {
            let follows = |ask: &&Ask| {
                let length = ask.span.length;
                !ask.alone && geometry.offset_of(ask.span) == end && length <= BATCH_BYTES.saturating_sub(bytes)
            };
            let Some(ask) = self.waiting.front().filter(follows).copied() else { break };
            self.waiting.pop_front();
            end += u64::from(ask.span.length);
            bytes += ask.span.length;
            asks.push(ask);
        }
        Some(asks)
    }

    /// Takes asks back, to be read one by one before all others.
    pub(crate) fn split(&mut self, asks: Vec<Ask>) {
        for ask in asks.into_iter().rev() {
            self.waiting.push_front(Ask { alone: true, ..ask });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::id::PieceIndex;

    fn next(reads: &mut Reads) -> Vec<u64> {
        let geometry = Geometry::new(4 << 20, 1 << 20).unwrap();
        reads.next(geometry).unwrap_or_default().iter().map(|ask| ask.ticket).collect()
    }

    #[test]
    fn blocks_that_follow_each_other_are_read_together_also_over_the_end_of_a_piece() {
        let mut reads = Reads::default();
        let last = 63 * 16384;
        for (ticket, (piece, begin)) in (0..).zip([(0, 0), (0, 16384), (0, 49152), (0, last), (1, 0), (1, 0)]) {
            reads.push(Span { piece: PieceIndex(piece), begin, length: 16384 }, ticket);
        }
        let groups: Vec<Vec<u64>> = (0..5).map(|_| next(&mut reads)).collect();
        assert_eq!(groups, [vec![0, 1], vec![2], vec![3, 4], vec![5], vec![]]);
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_and_asks_that_failed_together_are_read_alone() {
        let mut reads = Reads::default();
        for n in 0..20 {
            reads.push(Span { piece: PieceIndex(0), begin: n * 16384, length: 16384 }, u64::from(n));
        }
        let geometry = Geometry::new(4 << 20, 1 << 20).unwrap();
        let asks = reads.next(geometry).unwrap();
        assert_eq!(asks.len(), 16);
        reads.split(asks);
        assert_eq!((0..16).map(|_| next(&mut reads)).collect::<Vec<_>>(), (0..16).map(|n| vec![n]).collect::<Vec<_>>());
        assert_eq!(next(&mut reads), [16, 17, 18, 19]);
    }
}
