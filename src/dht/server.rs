//! What comes from other nodes, and what they are answered.

use super::command::{Asked, Event, Queried};
use super::config::Config;
use super::machine::{Node, Timer};
use crate::machine::Instant;
use crate::proto::compact::{Family, Node as Contact};
use crate::proto::id::{InfoHash, NodeId};
use crate::proto::krpc::node_id;
use crate::proto::krpc::{AnnouncePeer, Body, Lists, Message, Method, Put, Query, Reply, Want, code, item};
use std::net::SocketAddr;
use std::time::Duration;

/// How many peers an answer has at most, as far as they fit.
const VALUES: usize = 200;
/// How often what is stored is looked through for what is too old.
pub(super) const EXPIRE: Duration = Duration::from_secs(60);

/// Who asked, and how to answer.
#[derive(Clone, Copy)]
struct Caller<'a> {
    side: usize,
    from: SocketAddr,
    transaction: &'a [u8],
}

impl Node {
    pub(super) fn on_datagram(&mut self, now: Instant, side: usize, from: SocketAddr, bytes: &[u8]) {
        if self.ending {
            return;
        }
        self.traffic.received += 1;
        self.traffic.received_bytes += bytes.len() as u64;
        self.on_change(now);
        if !self.sides[side].may_talk_to(from, &self.config) {
            self.traffic.dropped += 1;
            return;
        }
        match Message::decode(bytes) {
            Ok(Message { body: Body::Query(query), transaction, read_only, .. }) => {
                self.traffic.queries_in += 1;
                if self.may_answer(now, from) {
                    self.on_query(now, Caller { side, from, transaction }, read_only, &query);
                }
            }
            Ok(message) => match self.transactions.take(message.transaction, side, from) {
                Some(pending) => self.on_answer(now, &pending, &message),
                None => {
                    self.traffic.unsolicited += 1;
                    // It may be an answer that is late, so it counts as little as a query.
                    if !self.config.local_network {
                        self.guard.on_query(now, from.ip());
                    }
                }
            },
            Err(error) => {
                self.traffic.malformed += 1;
                match error.answer() {
                    Some(Message { transaction, body: Body::Error { code, text }, .. }) => {
                        if self.may_answer(now, from) {
                            self.error(Caller { side, from, transaction }, code, text);
                        }
                    }
                    _ => self.blame(now, from),
                }
            }
        }
    }

    fn blame(&mut self, now: Instant, from: SocketAddr) {
        if !self.config.local_network {
            self.guard.on_garbage(now, from.ip());
        }
    }

    /// Says whether a query is answered at all, and counts it.
    fn may_answer(&mut self, now: Instant, from: SocketAddr) -> bool {
        let may = !self.config.read_only
            && (self.config.local_network || self.guard.on_query(now, from.ip()))
            && self.replies.as_mut().is_none_or(|bucket| bucket.level(now) > 0);
        if !may {
            self.traffic.dropped += 1;
        }
        may
    }

    fn on_query(&mut self, now: Instant, caller: Caller<'_>, read_only: bool, query: &Query<'_>) {
        let side = &mut self.sides[caller.side];
        let node = Contact { id: query.id, address: caller.from };
        // Somebody with our own id is ourselves, or lies.
        if node.id != side.id() && !read_only && !side.table.on_query(now, &node) && side.table.wants(now, &node) {
            self.verify(now, caller.side, caller.from, Some(node.id));
        }
        let own = self.sides[caller.side].id();
        match query.method {
            Method::Ping => self.reply(caller, Reply::new(own)),
            Method::FindNode { target } | Method::Unknown { target: Some(target), .. } => {
                self.reply_near(caller, query.want, &target, Reply::new(own));
            }
            Method::Unknown { target: None, .. } => self.error(caller, code::METHOD_UNKNOWN, b"method unknown"),
            Method::GetPeers { info_hash, no_seed, scrape } => {
                self.on_get_peers(now, caller, query.want, info_hash, no_seed, scrape);
                self.report(node, || Asked::GetPeers(info_hash));
            }
            Method::AnnouncePeer(announce) => self.on_announce(now, caller, node, &announce),
            Method::Get { target, seq } => self.on_get(now, caller, query.want, &target, seq),
            Method::Put(put) => self.on_put(now, caller, &put),
            Method::SampleInfohashes { target } => {
                let sample = self.peers.sample(now);
                let (interval, total) = (Some(sample.interval), Some(sample.num as u64));
                let hashes = sample.hashes.to_vec();
                self.find_near(caller, query.want, &target);
                let (near, near6) = (std::mem::take(&mut self.near), std::mem::take(&mut self.near6));
                let lists = Lists { samples: Some(&hashes), ..lists(self, caller.side, query.want, &near, &near6) };
                self.send(caller, Reply { interval, total, ..Reply::new(own) }, lists);
                (self.near, self.near6) = (near, near6);
            }
        }
    }

    fn on_get_peers(
        &mut self,
        now: Instant,
        caller: Caller<'_>,
        want: Want,
        info_hash: InfoHash,
        no_seed: bool,
        scrape: bool,
    ) {
        let side = &self.sides[caller.side];
        let (own, family) = (side.id(), side.family);
        self.find_near(caller, want, &info_hash.into());
        self.peers.pick(now, &info_hash, family, VALUES, no_seed, &mut self.found_peers);
        let token = self.tokens.give(now, caller.from.ip());
        let mut reply = Reply { token: Some(&token), ..Reply::new(own) };
        // Copied, for it is lent by the node itself. Such queries are rare beside the others.
        let filters = if scrape { self.peers.scrape(now, &info_hash, family).copied() } else { None };
        if let Some(filters) = &filters {
            (reply.seeds, reply.peers) = (Some(&filters.seeds.0), Some(&filters.peers.0));
        }
        // Taken out while they are lent.
        let (near, near6) = (std::mem::take(&mut self.near), std::mem::take(&mut self.near6));
        let mut peers = std::mem::take(&mut self.found_peers);
        let near_lists = lists(self, caller.side, want, &near, &near6);
        let lists = Lists {
            nodes: near_lists.nodes,
            nodes6: near_lists.nodes6,
            samples: None,
            values: Some(peers.iter().copied()),
        };
        self.send(caller, reply, lists);
        peers.clear();
        (self.near, self.near6, self.found_peers) = (near, near6, peers);
    }

    fn on_announce(&mut self, now: Instant, caller: Caller<'_>, node: Contact, announce: &AnnouncePeer<'_>) {
        let own = self.sides[caller.side].id();
        if !self.tokens.accepts(now, caller.from.ip(), announce.token) {
            return self.error(caller, code::PROTOCOL, b"invalid token");
        }
        let port = if announce.implied_port { caller.from.port() } else { announce.port };
        if port == 0 {
            return self.error(caller, code::PROTOCOL, b"invalid port");
        }
        let peer = SocketAddr::new(caller.from.ip(), port);
        if self.peers.announce(now, announce.info_hash, peer, announce.seed).is_err() {
            return self.error(caller, code::SERVER, b"no room");
        }
        self.timers.set_by(Timer::Expire, now + EXPIRE);
        self.reply(caller, Reply::new(own));
        let (info_hash, seed) = (announce.info_hash, announce.seed);
        self.report(node, || Asked::Announce { info_hash, peer, seed });
    }

    fn on_get(&mut self, now: Instant, caller: Caller<'_>, want: Want, target: &NodeId, newer_than: Option<i64>) {
        let own = self.sides[caller.side].id();
        let token = self.tokens.give(now, caller.from.ip());
        // Copied, for what is stored is lent by the node itself. Such queries are rare beside the others.
        let stored = self.items.get(now, target).cloned();
        let mut reply = Reply { token: Some(&token), ..Reply::new(own) };
        if let Some(item) = &stored {
            match &item.signed {
                None => reply.value = Some(&item.value),
                Some(signed) => {
                    reply.seq = Some(signed.seq);
                    if newer_than.is_none_or(|known| signed.seq > known) {
                        reply.value = Some(&item.value);
                        (reply.key, reply.signature) = (Some(&signed.key), Some(&signed.signature));
                    }
                }
            }
        }
        self.reply_near(caller, want, target, reply);
    }

    fn on_put(&mut self, now: Instant, caller: Caller<'_>, put: &Put<'_>) {
        let own = self.sides[caller.side].id();
        let ip = caller.from.ip();
        if !self.tokens.accepts(now, ip, put.token) {
            return self.error(caller, code::PROTOCOL, b"invalid token");
        }
        let stored = match &put.mutable {
            None => self.items.put_immutable(now, ip, item::immutable_target(put.value), put.value),
            Some(mutable) => self.items.put_mutable(now, ip, mutable, put.value),
        };
        match stored {
            Ok(()) => {
                self.timers.set_by(Timer::Expire, now + EXPIRE);
                self.reply(caller, Reply::new(own));
            }
            Err(error) => self.error(caller, error.code(), error.text().as_bytes()),
        }
    }

    /// Tells the program of a query, where it wants to know.
    fn report(&mut self, from: Contact, ask: impl FnOnce() -> Asked) {
        if self.config.report_queries {
            self.tell_news(Event::Queried(Queried { from, ask: ask() }));
        }
    }

    /// Finds the nodes nearest to a target, of the families that are wanted. Those of our own network are nobody's business on the Internet, where
    /// they cannot be reached.
    fn find_near(&mut self, caller: Caller<'_>, want: Want, target: &NodeId) {
        let side = caller.side;
        let own = self.sides[side].family;
        let from_outside = !self.config.local_network && !node_id::is_exempt(caller.from.ip());
        self.near.clear();
        self.near6.clear();
        for family in [Family::V4, Family::V6] {
            if wants(want, own, family) {
                // Of the own family it is the own table; of the other, that of any side.
                let one = |n: &usize| self.sides[*n].family == family;
                let from = if family == own { Some(side) } else { (0..self.sides.len()).find(one) };
                let into = if family == Family::V4 { &mut self.near } else { &mut self.near6 };
                if let Some(from) = from {
                    self.sides[from].table.closest(target, self.config.bucket, into);
                    if from_outside {
                        into.retain(|node| !node_id::is_exempt(node.address.ip()));
                    }
                }
            }
        }
    }

    fn reply_near(&mut self, caller: Caller<'_>, want: Want, target: &NodeId, reply: Reply<'_>) {
        self.find_near(caller, want, target);
        let (near, near6) = (std::mem::take(&mut self.near), std::mem::take(&mut self.near6));
        let lists = lists(self, caller.side, want, &near, &near6);
        self.send(caller, reply, lists);
        (self.near, self.near6) = (near, near6);
    }

    fn reply(&mut self, caller: Caller<'_>, reply: Reply<'_>) {
        self.send(caller, reply, Lists::NONE);
    }

    fn send<V: Iterator<Item = SocketAddr>>(&mut self, caller: Caller<'_>, reply: Reply<'_>, lists: Lists<'_, V>) {
        // An item of 1,000 bytes and what must be beside it do not fit into what BEP 32 permits over IPv6.
        let v4 = self.sides[caller.side].family == Family::V4 || reply.value.is_some();
        let limit = if v4 { self.config.max_reply } else { self.config.max_reply_v6 };
        let message = Message {
            version: version(&self.config),
            ip: Some(caller.from),
            ..Message::reply(caller.transaction, reply)
        };
        let socket = self.sides[caller.side].socket;
        let bytes = self.wire.push(socket, caller.from, |out| {
            message.encode_with(lists, limit, out);
        });
        self.traffic.replies_out += 1;
        self.on_sent(bytes);
    }

    fn error(&mut self, caller: Caller<'_>, code: i64, text: &[u8]) {
        let message = Message {
            version: version(&self.config),
            ip: Some(caller.from),
            body: Body::Error { code, text },
            ..Message::error(caller.transaction, code, "")
        };
        let bytes = self.wire.push(self.sides[caller.side].socket, caller.from, |out| message.encode(out));
        self.traffic.errors_out += 1;
        self.on_sent(bytes);
    }

    fn on_sent(&mut self, bytes: usize) {
        self.traffic.sent += 1;
        self.traffic.sent_bytes += bytes as u64;
        if let Some(bucket) = &mut self.replies {
            bucket.take(bytes as u64);
        }
    }
}

fn version(config: &Config) -> Option<&[u8]> {
    Some(config.version.as_slice()).filter(|version| !version.is_empty())
}

/// Says whether a query that came by a family wants nodes of another, or the same (BEP 32).
fn wants(want: Want, came_by: Family, family: Family) -> bool {
    match (want.v4, want.v6, family) {
        (false, false, _) => came_by == family,
        (v4, _, Family::V4) => v4,
        (_, v6, Family::V6) => v6,
    }
}

/// The lists of an answer: there is one for each family that is wanted, also where it is empty.
fn lists<'a>(
    node: &Node,
    side: usize,
    want: Want,
    near: &'a [Contact],
    near6: &'a [Contact],
) -> Lists<'a, std::iter::Empty<SocketAddr>> {
    let own = node.sides[side].family;
    Lists {
        nodes: wants(want, own, Family::V4).then_some(near),
        nodes6: wants(want, own, Family::V6).then_some(near6),
        ..Lists::NONE
    }
}
