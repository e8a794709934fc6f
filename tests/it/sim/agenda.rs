//! What is to be done when.

use super::network::Seat;
use super::stream::Packet;
use bip::machine::{DialId, Instant, SocketId};
use slab::Slab;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

/// A thing to be done at its time.
pub(super) enum Task {
    /// A timer or a job of a host is due.
    Host(usize),
    /// A node's uplink has sent its packet.
    Uplink(usize),
    /// A packet is at the downlink of an end's node.
    Arrive { end: usize, packet: Packet },
    /// A packet has come down the link.
    Deliver { end: usize, packet: Packet },
    /// An end is told that its connection is no more.
    Reset { end: usize },
    /// A dial ends.
    Dial { seat: Seat, node: usize, dial: DialId, to: SocketAddr },
    /// A datagram is there.
    Datagram { seat: Seat, socket: SocketId, from: SocketAddr, bytes: Vec<u8> },
}

/// Tasks by time; of those for the same time the first that was put in comes first.
#[derive(Default)]
pub(super) struct Agenda {
    /// When, a number that grows with each task, and the task's place.
    order: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    tasks: Slab<Task>,
    added: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Instant, task: Task) {
        self.added += 1;
        self.order.push(Reverse((at, self.added, self.tasks.insert(task))));
    }

    pub(super) fn next_time(&self) -> Option<Instant> {
        self.order.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next task that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Task> {
        if self.next_time()? > now {
            return None;
        }
        let Reverse((.., place)) = self.order.pop()?;
        Some(self.tasks.remove(place))
    }
}
