//! Datagrams on their way out.

use super::memory::Heap as _;
use crate::machine::{Output, SocketId};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;

/// Encoded datagrams that the host has not taken yet. It takes them after each call, so there are never more than one call makes.
#[derive(Debug, Default)]
pub(super) struct Wire {
    bytes: Vec<u8>,
    queue: VecDeque<(SocketId, SocketAddr, Range<usize>)>,
}

impl Wire {
    /// Encodes a datagram; gives its length in bytes.
    pub(super) fn push(&mut self, socket: SocketId, to: SocketAddr, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        let end = self.bytes.len();
        self.queue.push_back((socket, to, start..end));
        end - start
    }

    /// Only the queue: the memory of the bytes goes to and fro between the host and here, and says nothing of the node.
    pub(super) fn heap(&self) -> usize {
        self.queue.heap()
    }

    /// Gives the next datagram, its bytes appended to the buffer.
    pub(super) fn poll<J>(&mut self, buf: &mut Vec<u8>) -> Option<Output<J>> {
        let Some((socket, to, range)) = self.queue.pop_front() else {
            self.bytes.clear();
            return None;
        };
        if buf.is_empty() && range == (0..self.bytes.len()) {
            // There is nothing else, as for an answer: the bytes go as they are, and the other memory comes back for the next.
            std::mem::swap(buf, &mut self.bytes);
            return Some(Output::Datagram { socket, to, bytes: range });
        }
        let start = buf.len();
        buf.extend_from_slice(self.bytes.get(range).unwrap_or_default());
        Some(Output::Datagram { socket, to, bytes: start..buf.len() })
    }
}
