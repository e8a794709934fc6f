//! One end of a virtual stream.

use super::network::Seat;
use bip::machine::{Block, ConnId};
use std::collections::VecDeque;

/// What is sent at a time.
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    /// Whether it is the last: its sender writes no more.
    pub(super) fin: bool,
}

pub(super) struct End {
    pub(super) seat: Seat,
    /// The node whose links it uses.
    pub(super) node: usize,
    pub(super) conn: ConnId,
    /// The other end's place in the table of ends.
    pub(super) other: usize,
    pub(super) reading: bool,
    /// Written by the machine, not yet under way: blocks, of the first of them what is behind the mark.
    queue: VecDeque<Block>,
    mark: usize,
    pub(super) queued: usize,
    /// Written since the last `Writable`.
    pub(super) wrote: bool,
    /// Sent by this end and not read by the other.
    pub(super) under_way: usize,
    /// Whether it waits for its turn at the uplink.
    pub(super) in_turn: bool,
    /// Came and not yet read: parts, of the first of them what is behind the mark.
    unread: VecDeque<Vec<u8>>,
    unread_mark: usize,
    pub(super) unread_bytes: usize,
    /// Whether a read is on the list of news.
    pub(super) told_to_read: bool,
    /// Our side will write no more once the queue is empty.
    pub(super) finishing: bool,
    /// The other side's last packet is here.
    pub(super) fin: bool,
    pub(super) fin_told: bool,
    pub(super) reset_on_its_way: bool,
    pub(super) closed: bool,
    /// Nobody is told what becomes of what is sent here.
    pub(super) vanished: bool,
    /// Bytes that the machine wrote.
    pub(super) written: u64,
    /// Bytes that the machine was given.
    pub(super) read: u64,
    /// Bytes from here that will not be read.
    pub(super) lost: u64,
    /// Bytes from here that are on the agenda.
    pub(super) on_agenda: u64,
}

impl End {
    pub(super) fn new(seat: Seat, node: usize, conn: ConnId) -> Self {
        Self {
            seat,
            node,
            conn,
            other: usize::MAX,
            reading: true,
            queue: VecDeque::new(),
            mark: 0,
            queued: 0,
            wrote: false,
            under_way: 0,
            in_turn: false,
            unread: VecDeque::new(),
            unread_mark: 0,
            unread_bytes: 0,
            told_to_read: false,
            finishing: false,
            fin: false,
            fin_told: false,
            reset_on_its_way: false,
            closed: false,
            vanished: false,
            written: 0,
            read: 0,
            lost: 0,
            on_agenda: 0,
        }
    }

    pub(super) fn write(&mut self, bytes: Block) {
        self.written += bytes.len() as u64;
        self.queued += bytes.len();
        self.wrote = true;
        self.queue.push_back(bytes);
    }

    /// Says whether the uplink has something to do for it.
    pub(super) fn can_send(&self, window: usize) -> bool {
        !self.closed && (self.queued > 0 && self.under_way < window || self.queued == 0 && self.finishing)
    }

    /// Takes bytes from the front of the queue.
    pub(super) fn take(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            let first = self.queue.front().expect("as much is queued");
            let part = (first.len() - self.mark).min(size - bytes.len());
            bytes.extend_from_slice(&first[self.mark..self.mark + part]);
            self.mark += part;
            if self.mark == first.len() {
                self.queue.pop_front();
                self.mark = 0;
            }
        }
        self.queued -= size;
        self.under_way += size;
        bytes
    }

    pub(super) fn put_unread(&mut self, bytes: Vec<u8>) {
        self.unread_bytes += bytes.len();
        if !bytes.is_empty() {
            self.unread.push_back(bytes);
        }
    }

    /// Takes what came: a whole packet, or, where a size is given, so many bytes.
    pub(super) fn take_unread(&mut self, size: Option<usize>) -> Vec<u8> {
        let mut bytes = Vec::new();
        match size {
            None => {
                bytes = self.unread.pop_front().unwrap_or_default();
                bytes.drain(..std::mem::take(&mut self.unread_mark));
            }
            Some(size) => {
                while bytes.len() < size {
                    let first = self.unread.front().expect("as much came");
                    let part = (first.len() - self.unread_mark).min(size - bytes.len());
                    bytes.extend_from_slice(&first[self.unread_mark..self.unread_mark + part]);
                    self.unread_mark += part;
                    if self.unread_mark == first.len() {
                        self.unread.pop_front();
                        self.unread_mark = 0;
                    }
                }
            }
        }
        self.unread_bytes -= bytes.len();
        self.read += bytes.len() as u64;
        bytes
    }

    /// Drops what came and was not read; gives how much.
    pub(super) fn drop_unread(&mut self) -> usize {
        self.unread = VecDeque::new();
        self.unread_mark = 0;
        std::mem::take(&mut self.unread_bytes)
    }

    /// Drops what was written and not sent.
    pub(super) fn drop_queue(&mut self) {
        self.lost += std::mem::take(&mut self.queued) as u64;
        self.queue = VecDeque::new();
        self.mark = 0;
    }
}
