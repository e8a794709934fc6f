//! Lookups: from the nodes we know, by way of those they know, to the nodes nearest to a target (BEP 5, Kademlia).
//!
//! ```text
//!   add, add_router ──► candidates ──next──► asked ──on_reply──► answered ──► the closest
//!                           ▲                  │  └─on_slow: another is asked as well, the answer still counts
//!                           └── nodes named ───┤
//!                                              └─on_failure: out
//! ```
//!
//! Who is asked: the nearest `want` candidates that are not slow matter. Of those, `alpha` at a time are asked while the lookup still
//! comes nearer. Once the nearest of all has answered, and so named nobody nearer, the rest is asked at once.
//!
//! When it ends: when the nearest `want` that have not failed have answered. Nothing else is waited for. Where there are fewer, all
//! are waited for. It always ends if each query is answered or fails, since their number is bounded.
//!
//! Nodes whose ids do not go with their addresses (BEP 42), where that is enforced, are apart from the others: a few are asked when
//! there is nobody else to ask, since they may know of peers and nodes; they push nobody out, the end does not wait for them, and
//! nothing is stored with them.
//!
//! Out of scope: messages, time and what was looked for (peers, items). Addresses that nobody should be asked at are for the caller to
//! leave out, and our own.

mod asks;
mod candidates;
mod closest;
#[cfg(test)]
mod tests;

pub(crate) use closest::{Answered, Token};

use crate::dht::memory::Heap as _;
use crate::proto::compact::Node;
use crate::proto::id::NodeId;
use crate::proto::krpc::node_id;
use asks::{Asks, Heard, Sent, same};
use candidates::{Candidate, Candidates, Distance, State};
use closest::Closest;
use std::net::SocketAddr;

/// How many nodes of one answer are looked at. The BEP says 8; some send more.
const NODES_OF_A_REPLY: usize = 16;
/// How many routers a lookup takes.
const ROUTERS: usize = 16;

/// What a lookup keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How many nodes nearest to the target are wanted; at least 1. Default: 8, the `k` of BEP 5.
    pub(crate) want: usize,
    /// How many nodes are asked at a time, slow ones not counted, while the lookup comes nearer; at least 1. Default: 4. Routers are
    /// asked beside them, as many at a time.
    pub(crate) alpha: usize,
    /// How many nodes are remembered that may yet be asked, or were; at least `want`. Default: 128.
    pub(crate) candidates: usize,
    /// How many queries are sent in all; at least 1. Default: 256.
    pub(crate) asks: usize,
    /// Whether only one node of an IP address is asked; local ones are exempt. Default: yes.
    pub(crate) one_per_ip: bool,
    /// How many nodes of a /24, or a /64 of IPv6, may be candidates at a time, at least 1; local ones are exempt. `usize::MAX` for no
    /// such rule. Default: 2.
    pub(crate) per_subnet: usize,
    /// Whether nodes whose ids do not go with their addresses count for nothing (BEP 42). Default: yes.
    pub(crate) enforce_id: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { want: 8, alpha: 4, candidates: 128, asks: 256, one_per_ip: true, per_subnet: 2, enforce_id: true }
    }
}

/// Somebody to send a query to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Where it is.
    pub(crate) to: SocketAddr,
    /// Who should answer; `None` of a router.
    pub(crate) id: Option<NodeId>,
}

/// What a lookup has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stats {
    /// How many queries were sent.
    pub(crate) asked: usize,
    /// How many of them were answered.
    pub(crate) answered: usize,
    /// How many failed, also because another node answered.
    pub(crate) failed: usize,
    /// The most answers that led to one of the closest, one by way of the other.
    pub(crate) hops: u16,
}

/// One lookup, in one address family. The [module's page](self) says how it goes.
///
/// What calls cost: at most 16 nodes of an answer are looked at, each in a few steps in the order of distance and at most one pass over
/// `candidates` and `asks`.
#[derive(Debug)]
pub(crate) struct Lookup {
    target: NodeId,
    own: NodeId,
    rules: Rules,
    /// Those that may be among the closest.
    inside: Candidates,
    /// Those whose ids do not go with their addresses, where that is enforced.
    outside: Candidates,
    outside_asked: usize,
    /// Not asked yet, the next one last.
    routers: Vec<SocketAddr>,
    asks: Asks,
    closest: Closest,
}

/// What there is to do with the nearest candidates.
struct Front {
    /// The nearest that nobody has asked.
    ask: Option<usize>,
    /// The nearest of all has answered.
    converged: bool,
    /// How far the last is that matters, if there are as many as wanted.
    reach: Option<Distance>,
}

impl Lookup {
    /// Begins a lookup of a target. `own` is the id of this node, which is not asked.
    pub(crate) fn new(target: NodeId, own: NodeId, rules: Rules) -> Self {
        let want = rules.want.max(1);
        let rules = Rules { want, alpha: rules.alpha.max(1), candidates: rules.candidates.max(want), ..rules };
        Self {
            target,
            own,
            inside: Candidates::new(target, rules.candidates),
            outside: Candidates::new(target, 2 * want),
            outside_asked: 0,
            routers: Vec::new(),
            asks: Asks::default(),
            closest: Closest::new(target, want),
            rules,
        }
    }

    /// Gives what is looked for.
    pub(crate) fn target(&self) -> NodeId {
        self.target
    }

    /// Adds a node that we know.
    pub(crate) fn add(&mut self, node: Node) {
        self.admit(node, 0);
    }

    pub(super) fn heap(&self) -> usize {
        self.inside.heap() + self.outside.heap() + self.routers.heap() + self.asks.heap() + self.closest.heap()
    }

    /// Adds a router: a node whose id is not known. Routers are asked before all others and are never among the closest; no more of
    /// them are asked when as many nodes as wanted have answered. At most 16; more are ignored.
    pub(crate) fn add_router(&mut self, address: SocketAddr) {
        if self.routers.len() < ROUTERS && !self.routers.iter().any(|router| same(*router, address)) {
            self.routers.insert(0, address);
        }
    }

    fn admit(&mut self, node: Node, hops: u16) {
        if node.id == self.own || node.address.port() == 0 {
            return;
        }
        let counts = !self.rules.enforce_id || node_id::is_valid_for(&node.id, node.address.ip());
        let list = if counts { &mut self.inside } else { &mut self.outside };
        if list.have_room(node.id)
            && !self.asks.have_tried(node.id, node.address)
            && !self.routers.iter().any(|router| same(*router, node.address))
        {
            list.add(node, hops, &self.rules);
        }
    }

    /// Gives the next to ask, who counts as asked by it; `None` if nobody is to be asked for now.
    pub(crate) fn next(&mut self) -> Option<Ask> {
        if self.are_asks_spent() || self.is_done() {
            return None;
        }
        if self.asks.waiting_routers < self.rules.alpha && !self.closest.is_full() {
            if let Some(to) = self.next_router() {
                self.asks.send(to, None, 0);
                return Some(Ask { to, id: None });
            }
        }
        while let Some((is_inside, at)) = self.nearest_to_ask() {
            let list = if is_inside { &mut self.inside } else { &mut self.outside };
            let Candidate { node: Node { id, address: to }, hops, .. } = *list.get(at)?;
            if self.asks.have_tried(id, to) {
                // It is a router too, or was named with another id that belongs in the other list.
                list.remove(id, to);
                continue;
            }
            list.on_asked(at, self.asks.send(to, Some(id), hops));
            self.outside_asked += usize::from(!is_inside);
            return Some(Ask { to, id: Some(id) });
        }
        None
    }

    /// The next router that was not asked as a node before it became one.
    fn next_router(&mut self) -> Option<SocketAddr> {
        while let Some(router) = self.routers.pop() {
            if !self.asks.have_tried(self.own, router) {
                return Some(router);
            }
        }
        None
    }

    /// The place of the nearest candidate that may be asked now, and whether it is one of those inside.
    fn nearest_to_ask(&self) -> Option<(bool, usize)> {
        let front = self.front();
        let Rules { alpha, want, .. } = self.rules;
        if self.asks.waiting >= if front.converged { alpha.max(want) } else { alpha } {
            return None;
        }
        if let Some(at) = front.ask {
            return Some((true, at));
        }
        if self.asks.waiting >= alpha || !self.may_ask_outside() {
            return None;
        }
        let matters = |c: &Candidate| c.state == State::Idle && front.reach.is_none_or(|reach| c.distance < reach);
        self.outside.iter().position(matters).map(|at| (false, at))
    }

    fn front(&self) -> Front {
        let mut front = Front { ask: None, converged: false, reach: None };
        // Who is slow may never answer: the one behind it is asked meanwhile.
        let quick = |state| !matches!(state, State::Asked(slot) if self.asks.is_slow(slot));
        let window = self.inside.iter().enumerate().filter(|(_, c)| quick(c.state)).take(self.rules.want);
        for (n, (at, candidate)) in window.enumerate() {
            match candidate.state {
                State::Answered if n == 0 => front.converged = true,
                State::Idle if front.ask.is_none() => front.ask = Some(at),
                _ => {}
            }
            if n + 1 == self.rules.want {
                front.reach = Some(candidate.distance);
            }
        }
        front
    }

    fn are_asks_spent(&self) -> bool {
        self.asks.len() >= self.rules.asks.max(1)
    }

    fn may_ask_outside(&self) -> bool {
        self.outside_asked < 2 * self.rules.want
    }

    /// Takes note that a query has been under way for long: another may be sent in its place.
    pub(crate) fn on_slow(&mut self, to: SocketAddr) {
        self.asks.on_slow(to);
    }

    /// Takes an answer: who sent it, its token, and the nodes it names, of which the first 16 count. An answer that nobody was asked
    /// for, or that comes a second time or after its query failed, is ignored; so are the contents of one that comes from another id
    /// than was asked, and that query has failed.
    pub(crate) fn on_reply(&mut self, from: &Node, token: Option<&[u8]>, nodes: impl Iterator<Item = Node>) {
        let sent = match self.asks.on_reply(from.id, from.address) {
            Heard::Nothing => return,
            Heard::Changed(sent) => return self.forget(sent),
            Heard::Answer(sent) => sent,
        };
        if sent.id.is_some() {
            self.inside.on_answer(from);
            self.outside.on_answer(from);
            if !self.rules.enforce_id || node_id::is_valid_for(&from.id, from.address.ip()) {
                self.closest.add(*from, token, sent.hops);
            }
        }
        nodes.take(NODES_OF_A_REPLY).for_each(|node| self.admit(node, sent.hops.saturating_add(1)));
    }

    /// Takes note that a query was not answered, or with an error.
    pub(crate) fn on_failure(&mut self, to: SocketAddr) {
        if let Some(sent) = self.asks.on_failure(to) {
            self.forget(sent);
        }
    }

    fn forget(&mut self, sent: Sent) {
        if let Some(id) = sent.id {
            self.inside.remove(id, sent.to);
            self.outside.remove(id, sent.to);
        }
    }

    /// Says whether the lookup has ended: the closest are known, or all there are. Whatever is in flight then does not matter; who
    /// gives it an answer all the same may see it go on.
    pub(crate) fn is_done(&self) -> bool {
        self.has_ended(true)
    }

    /// Says whether the lookup would have ended if the slow did not matter. Most that are slow never answer, so who is in a hurry
    /// need not wait for them: those behind them have answered in their place.
    pub(crate) fn is_settled(&self) -> bool {
        self.has_ended(false)
    }

    fn has_ended(&self, wait_for_slow: bool) -> bool {
        let spent = self.are_asks_spent();
        let mut answered = 0;
        for candidate in self.inside.iter() {
            match candidate.state {
                State::Answered => answered += 1,
                State::Idle if spent => {}
                State::Asked(slot) if !wait_for_slow && self.asks.is_slow(slot) => {}
                State::Idle | State::Asked(_) => return false,
            }
            if answered == self.rules.want {
                return true;
            }
        }
        let is_outside_left = self.may_ask_outside() && self.outside.iter().any(|c| c.state == State::Idle);
        let is_router_left = !self.routers.is_empty() && !self.closest.is_full();
        self.asks.in_flight(wait_for_slow) == 0 && (spent || !(is_router_left || is_outside_left))
    }

    /// Gives the nodes nearest to the target that have answered so far, nearest first, at most as many as wanted.
    pub(crate) fn closest(&self) -> impl Iterator<Item = &Answered> {
        self.closest.iter()
    }

    /// Gives what it has done so far.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            asked: self.asks.len(),
            answered: self.asks.answered,
            failed: self.asks.failed,
            hops: self.closest.iter().map(|answered| answered.hops).max().unwrap_or(0),
        }
    }
}
