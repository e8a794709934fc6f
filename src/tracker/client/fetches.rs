//! The HTTP requests: which are under way, and which of those that wait is next.
//!
//! No server takes all places, however long it keeps one waiting: each has a few, and those that did not answer last have half of all together. A
//! farewell, which has little time, waits for none of the others: there are places for farewells alone.

use super::request::Slot;
use crate::machine::JobId;
use std::collections::{BTreeMap, BTreeSet};

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Of all that are no farewells.
    pub(super) fetches: usize,
    /// Of these to one server.
    pub(super) per_server: usize,
    /// Of farewells to one server; and in all besides `fetches`.
    pub(super) farewells: usize,
    /// Servers that are remembered not to have answered.
    pub(super) silent: usize,
}

/// What the first of a line waits as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Farewell,
    Fresh,
    /// To a server that did not answer last.
    Doubtful,
}

/// Farewells to a server, or the other requests to it.
type LineKey = (bool, String);

/// Requests that wait for one another.
#[derive(Debug, Default)]
struct Line {
    /// By when they came.
    waiting: BTreeMap<u64, Slot>,
    under_way: usize,
    turn: Option<(Kind, u64)>,
}

#[derive(Debug)]
struct UnderWay {
    /// `None`: nobody waits for it any more.
    slot: Option<Slot>,
    kind: Kind,
    line: LineKey,
}

/// The HTTP requests of a client.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    next: u64,
    lines: BTreeMap<LineKey, Line>,
    /// The first of each line that may have another under way.
    turns: BTreeMap<(Kind, u64), LineKey>,
    /// Where each waits.
    places: BTreeMap<Slot, (LineKey, u64)>,
    under_way: BTreeMap<JobId, UnderWay>,
    /// Servers that did not answer last, by when that was.
    silent: BTreeMap<String, u64>,
    silent_since: BTreeSet<(u64, String)>,
}

impl Fetches {
    /// Has a request wait for its turn.
    pub(super) fn push(&mut self, slot: Slot, server: String, farewell: bool, most: Most) {
        self.next += 1;
        let key = (farewell, server);
        self.lines.entry(key.clone()).or_default().waiting.insert(self.next, slot);
        self.places.insert(slot, (key.clone(), self.next));
        self.set_turn(key, most);
    }

    /// A request does not wait any more.
    pub(super) fn forget(&mut self, slot: Slot, most: Most) {
        let Some((key, at)) = self.places.remove(&slot) else { return };
        if let Some(line) = self.lines.get_mut(&key) {
            line.waiting.remove(&at);
        }
        self.set_turn(key, most);
    }

    /// Nobody waits any more for what is being fetched; its place is free when it ends.
    pub(super) fn abandon(&mut self, job: JobId) {
        if let Some(under_way) = self.under_way.get_mut(&job) {
            under_way.slot = None;
        }
    }

    /// Notes the turn of the first in a line, if that may be fetched as far as its server is concerned; forgets a line that nobody is in.
    fn set_turn(&mut self, key: LineKey, most: Most) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        if let Some(turn) = line.turn.take() {
            self.turns.remove(&turn);
        }
        let (kind, each) = match &key {
            (true, _) => (Kind::Farewell, most.farewells),
            (false, server) if self.silent.contains_key(server) => (Kind::Doubtful, most.per_server),
            (false, _) => (Kind::Fresh, most.per_server),
        };
        match line.waiting.keys().next() {
            Some(at) if line.under_way < each => {
                line.turn = Some((kind, *at));
                self.turns.insert((kind, *at), key);
            }
            None if line.under_way == 0 => _ = self.lines.remove(&key),
            _ => {}
        }
    }

    /// Gives the request whose turn it is, if there may be another under way, and whether it is a farewell. It waits until it is
    /// [forgotten](Self::forget) or [started](Self::on_started).
    pub(super) fn next(&self, most: Most) -> Option<Slot> {
        if self.under_way.len() >= most.fetches.saturating_add(most.farewells) {
            return None;
        }
        let count = |is_it: fn(Kind) -> bool| self.under_way.values().filter(|under_way| is_it(under_way.kind)).count();
        let first = |kind| self.turns.range((kind, 0)..=(kind, u64::MAX)).next().map(|((_, at), key)| (*at, key));
        let others = if count(|kind| kind != Kind::Farewell) < most.fetches { first(Kind::Fresh) } else { None };
        // One is let through even where that is all that there is.
        let may_doubt = count(|kind| kind == Kind::Doubtful) < (most.fetches / 2).max(1);
        let doubtful =
            first(Kind::Doubtful).filter(|_| may_doubt && count(|kind| kind != Kind::Farewell) < most.fetches);
        let (at, key) =
            first(Kind::Farewell).or_else(|| others.into_iter().chain(doubtful).min_by_key(|(at, _)| *at))?;
        self.lines.get(key)?.waiting.get(&at).copied()
    }

    /// A request that waited is under way.
    pub(super) fn on_started(&mut self, job: JobId, slot: Slot, most: Most) {
        let Some((key, at)) = self.places.remove(&slot) else { return };
        let Some(line) = self.lines.get_mut(&key) else { return };
        line.waiting.remove(&at);
        line.under_way += 1;
        let kind = match &key {
            (true, _) => Kind::Farewell,
            (false, server) if self.silent.contains_key(server) => Kind::Doubtful,
            (false, _) => Kind::Fresh,
        };
        self.under_way.insert(job, UnderWay { slot: Some(slot), kind, line: key.clone() });
        self.set_turn(key, most);
    }

    /// What was under way has ended; gives who waits for it.
    pub(super) fn on_ended(&mut self, job: JobId, answered: bool, most: Most) -> Option<Slot> {
        let UnderWay { slot, line: key, .. } = self.under_way.remove(&job)?;
        if let Some(line) = self.lines.get_mut(&key) {
            line.under_way -= 1;
        }
        let server = &key.1;
        if let Some(since) = self.silent.remove(server) {
            self.silent_since.remove(&(since, server.clone()));
        }
        if !answered {
            self.next += 1;
            self.silent.insert(server.clone(), self.next);
            self.silent_since.insert((self.next, server.clone()));
        }
        while self.silent.len() > most.silent {
            let Some((_, oldest)) = self.silent_since.pop_first() else { break };
            self.silent.remove(&oldest);
            self.set_turn((false, oldest), most);
        }
        self.set_turn((false, key.1.clone()), most);
        self.set_turn(key, most);
        slot
    }

    /// Gives how many are under way, those that nobody waits for any more included.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }
}
