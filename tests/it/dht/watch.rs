//! Who watches what nodes do, and what must hold whatever happens.
//!
//! - No node sends more queries than its budget, nor more bytes of answers; no reply is longer than it may be.
//! - Whoever is in a table has answered the node that has it, from that address and with that id (where that is watched).

use super::net::Net;
use bip::dht::{Command, Config, Event, Status, TableView};
use bip::machine::Instant;
use bip::proto::id::NodeId;
use bip::proto::krpc::{Body, Message};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// What may go over a budget: what is owed to the table and to what was found already is sent all the same.
const QUERIES_OVER: f64 = 150.0;
/// The last reply.
const BYTES_OVER: f64 = 1400.0;

/// A bucket that fills with what is sent and leaks at a rate.
#[derive(Debug, Clone, Copy, Default)]
struct Meter {
    level: f64,
    at: Instant,
}

impl Meter {
    fn add(&mut self, now: Instant, rate: u64, amount: f64) -> f64 {
        let leaked = now.since(self.at).as_secs_f64() * rate as f64;
        self.level = (self.level - leaked).max(0.0) + amount;
        self.at = now;
        self.level
    }
}

struct Watched {
    local: bool,
    queries: (Meter, u64, u64),
    replies: (Meter, u64, u64),
    longest: (usize, usize),
    /// Who answered it.
    answered: BTreeSet<(SocketAddr, NodeId)>,
}

#[derive(Default)]
pub(super) struct Watch {
    seats: Vec<Watched>,
    /// Whether it is remembered who answered whom, which costs the most.
    pub(super) answers: bool,
    pub(super) queries: u64,
    pub(super) replies: u64,
    pub(super) errors: u64,
}

impl Watch {
    pub(super) fn on_seat(&mut self, config: &Config) {
        self.seats.push(Watched {
            local: config.local_network,
            queries: (Meter::default(), config.query_rate, config.query_burst),
            replies: (Meter::default(), config.reply_rate, config.reply_burst),
            longest: (config.max_reply, config.max_reply_v6),
            answered: BTreeSet::new(),
        });
    }

    /// Whoever sits there now starts with full buckets.
    pub(super) fn on_start(&mut self, place: usize) {
        let seat = &mut self.seats[place];
        (seat.queries.0, seat.replies.0) = (Meter::default(), Meter::default());
    }

    pub(super) fn on_sent(&mut self, now: Instant, place: usize, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let seat = &mut self.seats[place];
        // The last key of a message is `y`, and it says what it is.
        let kind = bytes.len().checked_sub(2).map_or(0, |at| bytes[at]);
        match kind {
            b'q' => {
                self.queries += 1;
                let (meter, rate, burst) = &mut seat.queries;
                let level = meter.add(now, *rate, 1.0);
                let fits = seat.local || *rate == 0 || level <= *burst as f64 + QUERIES_OVER;
                assert!(fits, "node {place} has sent {level} queries more than {rate} a second");
            }
            b'r' | b'e' => {
                if kind == b'r' {
                    self.replies += 1;
                } else {
                    self.errors += 1;
                }
                let (meter, rate, burst) = &mut seat.replies;
                let level = meter.add(now, *rate, bytes.len() as f64);
                let fits = seat.local || *rate == 0 || level <= *burst as f64 + BYTES_OVER;
                assert!(fits, "node {place} has answered {level} bytes more than {rate} a second");
                let longest = if from.is_ipv4() { seat.longest.0 } else { seat.longest.1 };
                assert!(bytes.len() <= longest, "{} bytes to {to}", bytes.len());
            }
            _ => panic!("node {place} sent {:?}", bytes.escape_ascii().to_string()),
        }
    }

    pub(super) fn on_received(&mut self, place: usize, from: SocketAddr, bytes: &[u8]) {
        if !self.answers {
            return;
        }
        if let Ok(Message { body: Body::Reply(reply), .. }) = Message::decode(bytes) {
            if let Some(id) = reply.id {
                self.seats[place].answered.insert((from, id));
            }
        }
    }
}

impl Net {
    /// How a node is.
    pub(super) fn status(&self, place: usize) -> Status {
        self.node(place).unwrap().status(self.now() + self.seats[place].ahead)
    }

    /// A node's tables.
    pub(super) fn tables(&mut self, place: usize) -> Vec<TableView> {
        let request = self.ask(place, |request| Command::Table { request });
        let mine = |(_, event): &(Instant, Event)| event.request() == Some(request);
        let Some(at) = self.seats[place].events.iter().rposition(mine) else { return Vec::new() };
        match self.seats[place].events.remove(at) {
            (_, Event::Table { tables, .. }) => tables,
            other => panic!("{other:?}"),
        }
    }

    /// Checks what must hold of all nodes at any time.
    pub(super) fn check(&mut self) {
        for place in self.alive() {
            self.check_node(place);
        }
    }

    pub(super) fn check_node(&mut self, place: usize) {
        let own = self.seats[place].addresses.clone();
        for (own, table) in own.iter().zip(self.tables(place)) {
            for entry in &table.nodes {
                assert_ne!(entry.node.id, table.id, "node {place} has its own id in its table");
                assert_ne!(*own, entry.node.address, "node {place} has itself in its table");
                let known = self.watch.seats[place].answered.contains(&(entry.node.address, entry.node.id));
                assert!(!self.watch.answers || known, "node {place} has {:?}, who never answered it", entry.node);
            }
        }
        let status = self.status(place);
        let config = &self.seats[place].config;
        assert!(status.queries <= config.max_queries, "{status:?}");
        assert!(status.requests <= 2 * config.max_requests, "{status:?}");
    }
}
