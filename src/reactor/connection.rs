//! One stream connection, from dial or accept to its end.

use super::write_queue::WriteQueue;
use crate::machine::{CloseReason, DialId, Hosted};
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;

/// Where a connection is in its life.
///
/// ```text
/// Dialling ──► Open ──► Closing (writes what is queued, ends our half, discards what comes until theirs ends) ──► Gone
///     └──────────┴──────────────────────────────────────────────────────────────────────────────────────────────►
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The system is connecting; the machine knows only the dial.
    Dialling(DialId),
    /// The machine has it.
    Open,
    /// The machine has closed it; what was queued is on its way.
    Closing,
    /// The machine has been told, or is about to be; the entry goes after the turn.
    Gone,
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// So many bytes, for the machine.
    Bytes(usize),
    /// So many bytes, for nobody.
    Discarded(usize),
    /// The other side's end.
    End,
    /// Nothing now.
    Nothing,
    /// The connection failed.
    Failed(ErrorKind),
}

/// How a flush ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// The queue is empty.
    All,
    /// The system takes no more now.
    Blocked,
    /// This turn's share is used up.
    Spent,
    /// The connection failed.
    Failed(ErrorKind),
}

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) owner: Hosted,
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) queue: WriteQueue,
    /// Readiness came, and no read has met `WouldBlock` since.
    pub(super) unread: bool,
    /// The machine wants to read.
    pub(super) reading: bool,
    /// On the list of connections to read.
    pub(super) listed: bool,
    /// On the list of connections to flush.
    pub(super) dirty: bool,
    /// No write has met `WouldBlock` since readiness came.
    pub(super) writable: bool,
    /// Their half has ended.
    pub(super) ended: bool,
    /// Our half has ended.
    pub(super) shut: bool,
    /// What the machine will be told when closing succeeds.
    pub(super) reason: CloseReason,
    /// Bytes written in the turn of that number.
    written: (u64, usize),
}

impl Connection {
    pub(super) fn new(stream: TcpStream, owner: Hosted, generation: u32, phase: Phase) -> Self {
        Self {
            stream,
            owner,
            generation,
            phase,
            queue: WriteQueue::default(),
            unread: false,
            reading: true,
            listed: false,
            dirty: false,
            writable: phase == Phase::Open,
            ended: false,
            shut: false,
            reason: CloseReason::Ours,
            written: (0, 0),
        }
    }

    /// Says whether a read now could give something that is wanted.
    pub(super) fn wants_read(&self) -> bool {
        self.unread && self.reading && !self.ended && matches!(self.phase, Phase::Open | Phase::Closing)
    }

    /// Reads once.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Taken {
        if !self.wants_read() {
            return Taken::Nothing;
        }
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => {
                    self.ended = true;
                    Taken::End
                }
                Ok(n) if self.phase == Phase::Closing => Taken::Discarded(n),
                Ok(n) => Taken::Bytes(n),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.unread = false;
                    Taken::Nothing
                }
                Err(e) => Taken::Failed(e.kind()),
            };
        }
    }

    /// Writes what is queued, at most `share` bytes in this turn; gives how many bytes went and why no more did.
    pub(super) fn flush(&mut self, turn: u64, share: usize, batch: usize) -> (usize, Flushed) {
        if self.written.0 != turn {
            self.written = (turn, 0);
        }
        let before = self.written.1;
        let end = loop {
            if self.queue.is_empty() {
                break Flushed::All;
            }
            if !self.writable {
                break Flushed::Blocked;
            }
            if self.written.1 >= share {
                break Flushed::Spent;
            }
            match self.queue.write_to(&mut self.stream, batch) {
                Ok(0) => break Flushed::Failed(ErrorKind::WriteZero),
                Ok(n) => self.written.1 += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(e) => break Flushed::Failed(e.kind()),
            }
        };
        (self.written.1 - before, end)
    }

    /// Says whether more of what is queued can be written in this turn.
    pub(super) fn may_flush(&self, turn: u64, share: usize) -> bool {
        self.writable && !self.queue.is_empty() && (self.written.0 != turn || self.written.1 < share)
    }

    /// Ends our half, once.
    pub(super) fn shut(&mut self) -> io::Result<()> {
        if !self.shut {
            self.shut = true;
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Gives what is wrong with a connection whose readiness says that something is.
    pub(super) fn fault(&self) -> ErrorKind {
        match self.stream.take_error() {
            Ok(Some(e)) | Err(e) => e.kind(),
            Ok(None) => ErrorKind::ConnectionReset,
        }
    }
}
