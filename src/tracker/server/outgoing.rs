//! What the host is asked for.

use crate::machine::{ConnId, Output, Part, SocketId};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;

#[derive(Debug)]
enum Item {
    Datagram(SocketId, SocketAddr, Range<usize>),
    Write(ConnId, Range<usize>),
    Close(ConnId, bool),
    Read(ConnId, bool),
}

/// Outputs that the host has not taken yet. It takes them after each call, so there are never more than one call makes, and their memory is used again and
/// again.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    items: VecDeque<Item>,
}

/// What is kept of the memory for bytes once they are taken.
const KEPT: usize = 256 << 10;

impl Outgoing {
    /// Encodes a datagram.
    #[inline]
    pub(super) fn datagram(&mut self, socket: SocketId, to: SocketAddr, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        self.items.push_back(Item::Datagram(socket, to, start..self.bytes.len()));
    }

    /// Encodes what is written to a connection; gives how many bytes these are.
    pub(super) fn write(&mut self, conn: ConnId, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        self.items.push_back(Item::Write(conn, start..self.bytes.len()));
        self.bytes.len() - start
    }

    pub(super) fn close(&mut self, conn: ConnId, flush: bool) {
        self.items.push_back(Item::Close(conn, flush));
    }

    pub(super) fn set_reading(&mut self, conn: ConnId, reading: bool) {
        self.items.push_back(Item::Read(conn, reading));
    }

    /// Gives the next output, its bytes appended to the buffer.
    #[inline]
    pub(super) fn poll<J>(&mut self, buf: &mut Vec<u8>) -> Option<Output<J>> {
        let Some(item) = self.items.pop_front() else {
            self.bytes.clear();
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
            }
            return None;
        };
        let mut append = |range| {
            let start = buf.len();
            buf.extend_from_slice(self.bytes.get(range).unwrap_or_default());
            start..buf.len()
        };
        Some(match item {
            Item::Datagram(socket, to, range) => Output::Datagram { socket, to, bytes: append(range) },
            Item::Write(conn, range) => Output::Write { conn, part: Part::Bytes(append(range)) },
            Item::Close(conn, flush) => Output::Close { conn, flush },
            Item::Read(conn, true) => Output::ResumeReading { conn },
            Item::Read(conn, false) => Output::StopReading { conn },
        })
    }
}
