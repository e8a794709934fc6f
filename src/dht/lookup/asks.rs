//! Whom a lookup has asked, and what became of it.

use crate::dht::memory::Heap as _;
use crate::proto::id::NodeId;
use std::net::SocketAddr;

/// Says whether two addresses are of the same socket. What else an IPv6 address carries (flow, scope) is not the node's.
pub(super) fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip() == b.ip()
}

/// A query's place in the list of all that a lookup sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It holds a slot.
    Waiting,
    /// It gave its slot to another; its answer still counts.
    Slow,
    Answered,
    Failed,
    /// Another id answered than was asked for: this one.
    Changed(NodeId),
}

/// A query that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) to: SocketAddr,
    /// None of a router.
    pub(super) id: Option<NodeId>,
    pub(super) hops: u16,
    stage: Stage,
}

/// What an answer was to.
#[derive(Debug)]
pub(super) enum Heard {
    /// To nothing we sent, or to what had ended.
    Nothing,
    /// A router answered, or the node that was asked.
    Answer(Sent),
    /// Another node is at the address now.
    Changed(Sent),
}

/// All queries of a lookup, each address once: also those that have ended, so that nobody is asked twice who is named again.
#[derive(Debug, Default)]
pub(super) struct Asks {
    sent: Vec<Sent>,
    /// Nodes that hold a slot.
    pub(super) waiting: usize,
    /// Routers that hold a slot of theirs.
    pub(super) waiting_routers: usize,
    slow: usize,
    pub(super) answered: usize,
    pub(super) failed: usize,
}

impl Asks {
    pub(super) fn heap(&self) -> usize {
        self.sent.heap()
    }

    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Gives how many answers may still come, those of slow ones with them or not.
    pub(super) fn in_flight(&self, with_slow: bool) -> usize {
        self.waiting + self.waiting_routers + if with_slow { self.slow } else { 0 }
    }

    pub(super) fn is_slow(&self, slot: Slot) -> bool {
        self.sent.get(slot.0).is_some_and(|sent| sent.stage == Stage::Slow)
    }

    /// Says whether a node need not be tried: its address was. Where another id answered there, a node of that id may be: who is
    /// named under a false id does not get lost by it.
    pub(super) fn have_tried(&self, id: NodeId, address: SocketAddr) -> bool {
        self.find(address).is_some_and(|at| self.sent[at].stage != Stage::Changed(id))
    }

    pub(super) fn send(&mut self, to: SocketAddr, id: Option<NodeId>, hops: u16) -> Slot {
        self.sent.push(Sent { to, id, hops, stage: Stage::Waiting });
        *self.holders(id) += 1;
        Slot(self.sent.len() - 1)
    }

    pub(super) fn on_slow(&mut self, to: SocketAddr) {
        let Some(at) = self.find(to).filter(|at| self.sent[*at].stage == Stage::Waiting) else { return };
        self.end(at, Stage::Slow);
        self.slow += 1;
    }

    /// Gives what has failed by it, if anything.
    pub(super) fn on_failure(&mut self, to: SocketAddr) -> Option<Sent> {
        let at = self.find_in_flight(to)?;
        self.failed += 1;
        Some(self.end(at, Stage::Failed))
    }

    pub(super) fn on_reply(&mut self, id: NodeId, from: SocketAddr) -> Heard {
        let Some(at) = self.find_in_flight(from) else { return Heard::Nothing };
        if self.sent[at].id.is_some_and(|asked| asked != id) {
            self.failed += 1;
            return Heard::Changed(self.end(at, Stage::Changed(id)));
        }
        self.answered += 1;
        Heard::Answer(self.end(at, Stage::Answered))
    }

    /// The last query to an address: almost always one of the last that were sent.
    fn find(&self, to: SocketAddr) -> Option<usize> {
        self.sent.iter().rposition(|sent| same(sent.to, to))
    }

    fn find_in_flight(&self, to: SocketAddr) -> Option<usize> {
        self.find(to).filter(|at| matches!(self.sent[*at].stage, Stage::Waiting | Stage::Slow))
    }

    /// Leaves a stage in flight.
    fn end(&mut self, at: usize, stage: Stage) -> Sent {
        let Sent { id, stage: old, .. } = self.sent[at];
        match old {
            Stage::Waiting => *self.holders(id) -= 1,
            _ => self.slow -= 1,
        }
        self.sent[at].stage = stage;
        self.sent[at]
    }

    fn holders(&mut self, id: Option<NodeId>) -> &mut usize {
        match id {
            Some(_) => &mut self.waiting,
            None => &mut self.waiting_routers,
        }
    }
}
