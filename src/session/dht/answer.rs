//! What is waited for.

use super::Waiters;
use super::error::Error;
use crate::dht::{Command, Event, Item, LookupStats, Refusal, Rejection, RequestId, Scrape, TableView};
use crate::machine::Outbox;
use crate::proto::compact::Node;
use crate::proto::id::{InfoHash, NodeId};
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, never};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a search for peers ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeersFound {
    /// How many seeds and other peers there are, where it was asked and a node told (BEP 33).
    pub scrape: Option<Scrape>,
    /// How the lookup went.
    pub stats: LookupStats,
}

/// How an announce ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// How many nodes have taken it down.
    pub nodes: usize,
    /// The last error that a node answered with.
    pub rejection: Option<Rejection>,
    /// How the lookup went.
    pub stats: LookupStats,
}

/// How a search for a value ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    /// The value: the newest that was found.
    pub item: Option<Item>,
    /// How the lookup went.
    pub stats: LookupStats,
}

/// How storing a value ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is found.
    pub target: NodeId,
    /// How many nodes have taken it.
    pub nodes: usize,
    /// The last error that a node answered with.
    pub rejection: Option<Rejection>,
    /// How the lookup went.
    pub stats: LookupStats,
}

/// What a node says it knows peers of (BEP 51).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The node.
    pub from: Node,
    /// Torrents.
    pub info_hashes: Vec<InfoHash>,
    /// How many it knows peers of.
    pub total: u64,
    /// After how long it will tell of others.
    pub interval: Duration,
}

/// What an event means to who waits.
pub(super) enum Read<T, E> {
    Some(Vec<T>),
    End(E),
    Failed(Error),
}

/// What is there now of what is being found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<T> {
    /// Something new.
    Found(T),
    /// Nothing yet.
    Waiting,
    /// Nothing more will come.
    Ended,
}

/// What is found while a lookup goes on: an iterator that ends with the lookup, which ends by itself.
///
/// Dropping it cancels the lookup. In a loop of the caller's, where waiting would be for ever, the iterator ends when there is nothing
/// *now*; use [`try_next`](Self::try_next) there.
pub struct Findings<T, E> {
    request: RequestId,
    events: Receiver<Event>,
    mail: Outbox<Command>,
    waiting: Arc<Waiters>,
    caller_driven: bool,
    read: fn(Event) -> Read<T, E>,
    found: VecDeque<T>,
    end: Option<Result<E, Error>>,
    ended: bool,
}

impl<T, E> Findings<T, E> {
    pub(super) fn new(
        request: RequestId,
        events: Option<Receiver<Event>>,
        mail: Outbox<Command>,
        waiting: Arc<Waiters>,
        caller_driven: bool,
        read: fn(Event) -> Read<T, E>,
    ) -> Self {
        let refused = events.is_none().then_some(Err(Error::Refused(Refusal::Busy)));
        Self {
            request,
            ended: refused.is_some(),
            end: refused,
            events: events.unwrap_or_else(never),
            mail,
            waiting,
            caller_driven,
            read,
            found: VecDeque::new(),
        }
    }

    /// Ends the lookup now: what it has found and how it went come as if it had ended by itself.
    pub fn cancel(&self) {
        if !self.ended {
            // A node that has stopped has nothing to cancel.
            let _ = self.mail.post(Command::Cancel { request: self.request });
        }
    }

    /// Gives the next that is there, without waiting.
    pub fn try_next(&mut self) -> Next<T> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Next::Found(found);
            }
            if self.ended {
                return Next::Ended;
            }
            match self.events.try_recv() {
                Ok(event) => self.take(event),
                Err(TryRecvError::Empty) => return Next::Waiting,
                Err(TryRecvError::Disconnected) => self.finish(Err(Error::Closed)),
            }
        }
    }

    /// Waits for the next, for at most that long.
    ///
    /// # Errors
    ///
    /// [`Error::WouldDeadlock`] in a loop of the caller's.
    #[allow(clippy::disallowed_methods)] // A blocking call measures how long it has blocked.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Next<T>, Error> {
        if self.caller_driven {
            return Err(Error::WouldDeadlock);
        }
        let begin = Instant::now();
        loop {
            let next = self.try_next();
            if next.is_waiting() {
                match self.events.recv_timeout(timeout.saturating_sub(begin.elapsed())) {
                    Ok(event) => self.take(event),
                    Err(RecvTimeoutError::Timeout) => return Ok(Next::Waiting),
                    Err(RecvTimeoutError::Disconnected) => self.finish(Err(Error::Closed)),
                }
            } else {
                return Ok(next);
            }
        }
    }

    /// Waits for the end, and says how it went; what was found and not taken is lost.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: it had not ended by then, and is cancelled. [`Error::Refused`], [`Error::Closed`], and in a loop of the caller's
    /// [`Error::WouldDeadlock`].
    #[allow(clippy::disallowed_methods)] // A blocking call measures how long it has blocked.
    pub fn end(mut self, timeout: Duration) -> Result<E, Error> {
        let begin = Instant::now();
        loop {
            if let Some(end) = self.end.take() {
                return end;
            }
            if let Next::Waiting = self.next_timeout(timeout.saturating_sub(begin.elapsed()))? {
                return Err(Error::TimedOut);
            }
        }
    }

    /// Says how it went, once it has ended and all that was found is taken; only once.
    pub fn try_end(&mut self) -> Option<Result<E, Error>> {
        if let Next::Found(found) = self.try_next() {
            self.found.push_front(found);
            return None;
        }
        self.end.take()
    }

    fn take(&mut self, event: Event) {
        match (self.read)(event) {
            Read::Some(found) => self.found.extend(found),
            Read::End(end) => self.finish(Ok(end)),
            Read::Failed(error) => self.finish(Err(error)),
        }
    }

    fn finish(&mut self, end: Result<E, Error>) {
        self.ended = true;
        self.end = Some(end);
    }
}

impl<T> Next<T> {
    fn is_waiting(&self) -> bool {
        matches!(self, Next::Waiting)
    }
}

impl<T, E> Iterator for Findings<T, E> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            match self.try_next() {
                Next::Found(found) => return Some(found),
                Next::Ended => return None,
                Next::Waiting if self.caller_driven => return None,
                Next::Waiting => match self.events.recv() {
                    Ok(event) => self.take(event),
                    Err(_) => self.finish(Err(Error::Closed)),
                },
            }
        }
    }
}

impl<T, E> Drop for Findings<T, E> {
    fn drop(&mut self) {
        if !self.ended {
            self.waiting.forget(self.request);
            self.cancel();
        }
    }
}

impl<T, E> fmt::Debug for Findings<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings").field("request", &self.request).field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// One answer that is waited for. Dropping it cancels what was asked for.
#[derive(Debug)]
pub struct Answer<T> {
    findings: Findings<(), T>,
}

impl<T> Answer<T> {
    pub(super) fn new(findings: Findings<(), T>) -> Self {
        Self { findings }
    }

    /// Waits for the answer, for at most that long.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: there was none by then, and what was asked for is cancelled. [`Error::Refused`], [`Error::Closed`], and in a loop
    /// of the caller's [`Error::WouldDeadlock`].
    pub fn wait(self, timeout: Duration) -> Result<T, Error> {
        self.findings.end(timeout)
    }

    /// Waits for the answer, for at most that long, and goes on waiting for it afterwards: `None` if it was not there. It comes only once.
    pub fn wait_for(&mut self, timeout: Duration) -> Option<Result<T, Error>> {
        match self.findings.next_timeout(timeout) {
            Ok(_) => self.try_take(),
            Err(error) => Some(Err(error)),
        }
    }

    /// Gives the answer if it is there; only once.
    pub fn try_take(&mut self) -> Option<Result<T, Error>> {
        self.findings.try_end()
    }
}

/// Reads what concerns every request.
fn other<T, E>(event: Event) -> Read<T, E> {
    match event {
        Event::Refused { refusal, .. } => Read::Failed(Error::Refused(refusal)),
        // News that are not waited for.
        _ => Read::Some(Vec::new()),
    }
}

pub(super) fn peers(event: Event) -> Read<SocketAddr, PeersFound> {
    match event {
        Event::Peers { peers, .. } => Read::Some(peers),
        Event::PeersDone { scrape, stats, .. } => Read::End(PeersFound { scrape, stats }),
        event => other(event),
    }
}

pub(super) fn announced(event: Event) -> Read<(), Announced> {
    match event {
        Event::Announced { nodes, rejection, stats, .. } => Read::End(Announced { nodes, rejection, stats }),
        event => other(event),
    }
}

pub(super) fn peers_and_announced(event: Event) -> Read<SocketAddr, Announced> {
    match event {
        Event::Peers { peers, .. } => Read::Some(peers),
        Event::Announced { nodes, rejection, stats, .. } => Read::End(Announced { nodes, rejection, stats }),
        event => other(event),
    }
}

pub(super) fn nodes(event: Event) -> Read<(), Vec<Node>> {
    match event {
        Event::Found { nodes, .. } => Read::End(nodes),
        event => other(event),
    }
}

pub(super) fn got(event: Event) -> Read<(), Got> {
    match event {
        Event::Got { item, stats, .. } => Read::End(Got { item, stats }),
        event => other(event),
    }
}

pub(super) fn items(event: Event) -> Read<Item, Got> {
    match event {
        Event::Item { item, .. } => Read::Some(vec![item]),
        Event::Got { item, stats, .. } => Read::End(Got { item, stats }),
        event => other(event),
    }
}

pub(super) fn stored(event: Event) -> Read<(), Stored> {
    match event {
        Event::Stored { target, nodes, rejection, stats, .. } => Read::End(Stored { target, nodes, rejection, stats }),
        event => other(event),
    }
}

pub(super) fn samples(event: Event) -> Read<Sample, LookupStats> {
    match event {
        Event::Samples { from, info_hashes, total, interval, .. } => {
            Read::Some(vec![Sample { from, info_hashes, total, interval }])
        }
        Event::Sampled { stats, .. } => Read::End(stats),
        event => other(event),
    }
}

pub(super) fn pong(event: Event) -> Read<(), Option<(NodeId, Duration)>> {
    match event {
        Event::Pong { answer, .. } => Read::End(answer),
        event => other(event),
    }
}

pub(super) fn bootstrapped(event: Event) -> Read<(), usize> {
    match event {
        Event::Bootstrapped { nodes, .. } => Read::End(nodes),
        event => other(event),
    }
}

pub(super) fn table(event: Event) -> Read<(), Vec<TableView>> {
    match event {
        Event::Table { tables, .. } => Read::End(tables),
        event => other(event),
    }
}

pub(super) fn state(event: Event) -> Read<(), Vec<u8>> {
    match event {
        Event::State { state, .. } => Read::End(state),
        event => other(event),
    }
}
