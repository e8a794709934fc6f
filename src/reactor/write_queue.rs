//! What waits to be written to one connection.

use crate::machine::Block;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

/// How many slices one system call takes: 16 pairs of header and block, and room for more.
const SLICES: usize = 64;
/// An empty queue keeps at most this much memory for bytes of its own.
const KEPT: usize = 64 << 10;

enum Piece {
    /// So many of the queue's own bytes.
    Own(usize),
    /// A block, from this byte on.
    Block(Block, usize),
}

/// Own bytes (copied in, one after another, into one buffer) and shared blocks, in the order in which they were queued.
#[derive(Default)]
pub(super) struct WriteQueue {
    pieces: VecDeque<Piece>,
    /// The own bytes that wait begin at `head`.
    own: Vec<u8>,
    head: usize,
    queued: usize,
}

impl WriteQueue {
    /// Gives how many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.queued
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.head >= KEPT && self.head * 2 >= self.own.len() {
            self.own.drain(..self.head);
            self.head = 0;
        }
        self.own.extend_from_slice(bytes);
        self.queued += bytes.len();
        match self.pieces.back_mut() {
            Some(Piece::Own(len)) => *len += bytes.len(),
            _ => self.pieces.push_back(Piece::Own(bytes.len())),
        }
    }

    pub(super) fn push_block(&mut self, block: Block) {
        if !block.is_empty() {
            self.queued += block.len();
            self.pieces.push_back(Piece::Block(block, 0));
        }
    }

    /// Writes at most `limit` bytes by one call; gives how many were written.
    pub(super) fn write_to(&mut self, to: &mut impl Write, limit: usize) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (mut used, mut total, mut own) = (0, 0, self.head);
        for piece in &self.pieces {
            if used == SLICES || total >= limit {
                break;
            }
            let bytes = match piece {
                Piece::Own(len) => {
                    let bytes = &self.own[own..own + len];
                    own += len;
                    bytes
                }
                Piece::Block(block, from) => &block[*from..],
            };
            let bytes = &bytes[..bytes.len().min(limit - total)];
            slices[used] = IoSlice::new(bytes);
            used += 1;
            total += bytes.len();
        }
        if total == 0 {
            return Ok(0);
        }
        let written = to.write_vectored(&slices[..used])?.min(total);
        self.advance(written);
        Ok(written)
    }

    fn advance(&mut self, written: usize) {
        let mut left = written;
        self.queued -= written;
        while left > 0 {
            let Some(piece) = self.pieces.front_mut() else { break };
            let waiting = match piece {
                Piece::Own(len) => *len,
                Piece::Block(block, from) => block.len() - *from,
            };
            let done = waiting.min(left);
            left -= done;
            match piece {
                Piece::Own(len) => {
                    *len -= done;
                    self.head += done;
                }
                Piece::Block(_, from) => *from += done,
            }
            if done == waiting {
                self.pieces.pop_front();
            }
        }
        if self.head == self.own.len() {
            self.head = 0;
            self.own.clear();
            if self.own.capacity() > KEPT {
                self.own = Vec::new();
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most so many bytes a call, and remembers how many slices each call brought.
    struct Narrow {
        taken: Vec<u8>,
        width: usize,
        slices: Vec<usize>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.slices.push(slices.len());
            let all: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
            let taken = all.len().min(self.width);
            self.taken.extend_from_slice(&all[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_and_blocks_come_out_in_order_however_the_socket_cuts_them() {
        for width in [1, 3, 7, 100, 1 << 20] {
            for limit in [1, 5, 64, 1 << 20] {
                let mut to = Narrow { taken: Vec::new(), width, slices: Vec::new() };
                let (mut queue, mut expected) = (WriteQueue::default(), Vec::new());
                for i in 0..40u8 {
                    let head = vec![i; 1 + usize::from(i) % 13];
                    queue.push_bytes(&head);
                    queue.push_bytes(&[]);
                    expected.extend_from_slice(&head);
                    if i % 3 != 0 {
                        let block = vec![100 + i; 50];
                        queue.push_block(Block::from(block.clone()));
                        queue.push_block(Block::from(Vec::new()));
                        expected.extend_from_slice(&block);
                    }
                    // Interleave: some goes out while more comes in.
                    assert!(queue.write_to(&mut to, limit).unwrap() <= limit);
                    assert_eq!(queue.len() + to.taken.len(), expected.len());
                }
                while !queue.is_empty() {
                    assert!(queue.write_to(&mut to, limit).unwrap() > 0);
                }
                assert_eq!(to.taken, expected);
                assert_eq!(queue.write_to(&mut to, limit).unwrap(), 0);
            }
        }
    }

    #[test]
    fn sixteen_headers_and_blocks_leave_in_one_call() {
        let mut to = Narrow { taken: Vec::new(), width: usize::MAX, slices: Vec::new() };
        let mut queue = WriteQueue::default();
        for _ in 0..16 {
            queue.push_bytes(&[0; 13]);
            queue.push_block(Block::from(vec![1; 16_000]));
        }
        queue.write_to(&mut to, 256 << 10).unwrap();
        assert_eq!((to.slices, queue.len()), (vec![32], 0));
    }

    #[test]
    fn a_queue_that_never_empties_does_not_keep_what_it_wrote() {
        let mut to = Narrow { taken: Vec::new(), width: 1000, slices: Vec::new() };
        let mut queue = WriteQueue::default();
        queue.push_bytes(&[7; 500]);
        for _ in 0..2000 {
            queue.push_bytes(&[7; 1000]);
            queue.write_to(&mut to, 1000).unwrap();
        }
        assert_eq!(queue.len(), 500);
        assert!(queue.own.len() < 4 * KEPT, "{}", queue.own.len());
    }
}
