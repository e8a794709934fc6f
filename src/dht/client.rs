//! Requests of the program: lookups, what they find, and what is stored at their end.

use super::command::{Command, Event, Item, Refusal, Rejection, RequestId, Signed};
use super::machine::{Node, Recipient};
use super::martian::may_name;
use super::request::{Owner, Request, Running, Store, Wanted};
use super::side::{Boot, lookup_rules};
use super::transactions::{LookupId, Pending, Purpose, Ticket};
use crate::machine::Instant;
use crate::proto::compact::{Family, Node as Contact};
use crate::proto::id::NodeId;
use crate::proto::krpc::{self, AnnouncePeer, Method, Mutable, Put, Reply, Want, item};
use std::net::SocketAddr;
use std::time::Duration;

/// How much of a node's error text is kept, in characters.
const TEXT: usize = 200;

impl Node {
    pub(super) fn on_command(&mut self, now: Instant, command: Command) {
        if let Some(request) = command.request() {
            if self.ending {
                return self.refuse(request, Refusal::ShutDown);
            }
            let known = self.requests.contains_key(&request);
            if known || self.requests.len() >= self.config.max_requests {
                return self.refuse(request, Refusal::Busy);
            }
        } else if self.ending && command != Command::ShutDown {
            return;
        }
        match command {
            Command::FindNode { request, target } => self.look(now, request, target, Wanted::FindNode),
            Command::GetPeers { request, info_hash, no_seeds, scrape } => {
                self.look(now, request, info_hash.into(), Wanted::GetPeers { info_hash, no_seeds, scrape });
            }
            Command::Announce { request, port: Some(0), .. } => self.refuse(request, Refusal::Port),
            Command::Announce { request, info_hash, port, seed } => {
                self.look(now, request, info_hash.into(), Wanted::Announce { info_hash, port, seed });
            }
            Command::GetImmutable { request, target } => self.look(now, request, target, Wanted::GetImmutable),
            Command::GetMutable { request, salt, .. } if salt.len() > krpc::MAX_SALT => {
                self.refuse(request, Refusal::Salt);
            }
            Command::GetMutable { request, .. } if !cfg!(feature = "mutable-items") => {
                self.refuse(request, Refusal::NoSignatures);
            }
            Command::GetMutable { request, key, salt, newer_than } => {
                let target = item::mutable_target(&key, &salt);
                self.look(now, request, target, Wanted::GetMutable { key, salt, newer_than });
            }
            Command::PutImmutable { request, value } => {
                if !item::is_value(&value) {
                    return self.refuse(request, Refusal::Value);
                }
                let target = item::immutable_target(&value);
                self.look(now, request, target, Wanted::PutImmutable { value });
            }
            Command::PutMutable { request, item: signed, cas } => match check(&signed) {
                Some(refusal) => self.refuse(request, refusal),
                None => {
                    let target = item::mutable_target(&signed.key, &signed.salt);
                    self.look(now, request, target, Wanted::PutMutable { signed: Box::new(signed), cas });
                }
            },
            Command::Sample { request, target } => self.look(now, request, target, Wanted::Sample),
            Command::Ping { request, address } => self.ping(now, request, address),
            Command::Bootstrapped { request } => {
                self.open(now, request, Wanted::Bootstrapped, NodeId([0; 20]));
                self.waiting.push(request);
                self.answer_waiting();
            }
            Command::Table { request } => {
                let tables = self.sides.iter().map(|side| side.view(now)).collect();
                self.tell(Event::Table { request, tables });
            }
            Command::Save { request } => {
                let state = self.state(now);
                self.tell(Event::State { request, state });
            }
            Command::Cancel { request } => self.end_request(now, request),
            Command::AddNode { address } => self.on_named(now, address),
            Command::NetworkChanged => self.on_network_changed(now),
            Command::ShutDown => self.shut_down(now),
        }
    }

    fn refuse(&mut self, request: RequestId, refusal: Refusal) {
        self.tell(Event::Refused { request, refusal });
    }

    fn ping(&mut self, now: Instant, request: RequestId, address: SocketAddr) {
        let family = Family::of(address.ip());
        let Some(side) = self.sides.iter().position(|side| side.family == family) else {
            return self.refuse(request, Refusal::NoSocket(family));
        };
        let ticket = self.open(now, request, Wanted::Ping, NodeId([0; 20]));
        let sent = self.sides[side].may_talk_to(address, &self.config)
            && self.query(
                now,
                Recipient { side, to: address, id: None },
                Purpose::Ping(ticket),
                Want::default(),
                Method::Ping,
            );
        if !sent {
            self.on_pong(ticket, None);
        }
    }

    pub(super) fn on_pong(&mut self, ticket: Ticket, answer: Option<(NodeId, Duration)>) {
        if self.of(ticket).is_some() {
            self.requests.remove(&ticket.request);
            self.tell(Event::Pong { request: ticket.request, answer });
        }
    }

    /// Takes a request in.
    fn open(&mut self, now: Instant, request: RequestId, wanted: Wanted, target: NodeId) -> Ticket {
        let serial = self.next_request;
        self.next_request += 1;
        self.requests.insert(request, Request::new(serial, wanted, target, now));
        Ticket { request, serial }
    }

    /// Gives a request, unless it has ended: then another may have its name.
    fn of(&mut self, ticket: Ticket) -> Option<&mut Request> {
        self.requests.get_mut(&ticket.request).filter(|request| request.serial == ticket.serial)
    }

    /// Begins a request's lookups: one for each family, and the others of a family later where something is to be stored from each.
    fn look(&mut self, now: Instant, id: RequestId, target: NodeId, wanted: Wanted) {
        let every = matches!(wanted, Wanted::Announce { .. });
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for family in [Family::V4, Family::V6] {
            // A side that has nodes is of more use than one that has none.
            let mut sides: Vec<_> = (0..self.sides.len()).filter(|side| self.sides[*side].family == family).collect();
            sides.sort_by_key(|side| self.sides[*side].table.is_empty());
            let mut sides = sides.into_iter();
            first.extend(sides.next());
            if every {
                later.extend(sides);
            }
        }
        let ticket = self.open(now, id, wanted, target);
        if let Some(request) = self.of(ticket) {
            request.later = later;
        }
        for side in first {
            self.look_from(now, id, side);
        }
        self.end_if_done(now, id);
    }

    fn look_from(&mut self, now: Instant, id: RequestId, side: usize) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.lookups += 1;
        let target = request.target;
        // Later attempts are minutes apart, and may be all in vain: a network of one family alone is nothing unusual.
        let own = &self.sides[side];
        let mut hold = own.table.is_empty() && own.boot != Boot::Settled && own.attempts == 0;
        // A name may take a minute to be found unknown. Where the other family has nodes, they are what there is.
        hold &= own.boot != Boot::Resolving || self.sides.iter().all(|other| other.table.is_empty());
        let lookup = self.new_lookup(side, target, Owner::Request(id));
        if hold {
            self.held.push(lookup);
        } else {
            self.begin(now, lookup);
        }
    }

    pub(super) fn new_lookup(&mut self, side: usize, target: NodeId, owner: Owner) -> LookupId {
        let id = LookupId(self.next_lookup);
        self.next_lookup += 1;
        let lookup = super::lookup::Lookup::new(target, self.sides[side].id(), lookup_rules(&self.config));
        self.lookups.insert(id, Running { lookup, side, owner, active: false, settled: None });
        id
    }

    /// Gives a lookup whom to ask first: the nearest nodes that are known, and the routers where these are few.
    pub(super) fn begin(&mut self, now: Instant, id: LookupId) {
        let Some(running) = self.lookups.get_mut(&id) else { return };
        let side = &self.sides[running.side];
        self.near.clear();
        side.table.closest(&running.lookup.target(), self.config.bucket, &mut self.near);
        if self.near.is_empty() {
            // Nobody answered of late; they may be back.
            self.near.extend(side.table.iter(now).map(|entry| entry.node).take(self.config.bucket));
        }
        self.near.iter().for_each(|node| running.lookup.add(*node));
        if self.near.len() < self.config.bucket {
            for address in self.names.addresses(side.family) {
                if side.may_talk_to(address, &self.config) && !self.near.iter().any(|node| node.address == address) {
                    running.lookup.add_router(address);
                }
            }
        }
        self.activate(id);
        self.on_change(now);
    }

    /// Sends the query that a lookup is made of.
    pub(super) fn ask_for(&mut self, now: Instant, id: LookupId, to: SocketAddr, node: Option<NodeId>) {
        let Some(running) = self.lookups.get(&id) else { return };
        let (side, owner, target) = (running.side, running.owner, running.lookup.target());
        let method = match owner {
            Owner::Boot | Owner::Upkeep => Method::FindNode { target },
            Owner::Request(request) => match self.requests.get(&request).map(|request| &request.wanted) {
                Some(&Wanted::GetPeers { info_hash, no_seeds, scrape }) => {
                    Method::GetPeers { info_hash, no_seed: no_seeds, scrape }
                }
                Some(&Wanted::Announce { info_hash, .. }) => {
                    Method::GetPeers { info_hash, no_seed: false, scrape: false }
                }
                Some(&Wanted::GetMutable { newer_than, .. }) => Method::Get { target, seq: newer_than },
                Some(Wanted::GetImmutable) => Method::Get { target, seq: None },
                // What is stored there is of no interest but for whether there is something.
                Some(Wanted::PutMutable { .. } | Wanted::PutImmutable { .. }) => {
                    Method::Get { target, seq: Some(i64::MAX) }
                }
                Some(Wanted::Sample) => Method::SampleInfohashes { target },
                Some(Wanted::FindNode | Wanted::Ping | Wanted::Bootstrapped) | None => Method::FindNode { target },
            },
        };
        // BEP 32: who has sockets of both families asks for nodes of both while it looks for its first ones, of either family.
        let family = self.sides[side].family;
        let mut others = self.sides.iter().filter(|other| other.family != family);
        let both = match owner {
            Owner::Boot => others.next().is_some(),
            Owner::Upkeep => others.any(|other| other.table.is_empty()),
            Owner::Request(_) => false,
        };
        let want = Want { v4: both, v6: both };
        if !self.query(now, Recipient { side, to, id: node }, Purpose::Lookup(id), want, method) {
            if let Some(running) = self.lookups.get_mut(&id) {
                running.lookup.on_failure(to);
            }
            self.activate(id);
        }
    }

    /// Takes a reply to a query of a lookup's.
    pub(super) fn on_lookup_reply(
        &mut self,
        now: Instant,
        id: LookupId,
        pending: &Pending,
        from: &Contact,
        reply: &Reply<'_>,
    ) {
        let Some(running) = self.lookups.get_mut(&id) else { return };
        let side = &self.sides[running.side];
        let own = match side.family {
            Family::V4 => reply.nodes,
            Family::V6 => reply.nodes6,
        };
        let (config, by) = (&self.config, pending.to.ip());
        let named = own.into_iter().flat_map(|nodes| nodes.iter());
        let nodes = named.filter(|node| side.may_be_told_of(node.address, by, config));
        running.lookup.on_reply(from, reply.token, nodes);
        let owner = running.owner;
        self.activate(id);
        match owner {
            Owner::Boot | Owner::Upkeep => self.on_other_family(now, pending, reply),
            Owner::Request(request) => self.on_found(now, request, pending, from, reply),
        }
    }

    /// Takes what a node knows besides other nodes.
    fn on_found(&mut self, now: Instant, id: RequestId, pending: &Pending, from: &Contact, reply: &Reply<'_>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if request.wanted.info_hash().is_some() {
            self.found_peers.clear();
            if let Some(values) = reply.values {
                let room = self.config.max_peers_per_request.saturating_sub(request.seen.len());
                let (by, local) = (pending.to.ip(), self.config.local_network);
                let good = |peer: &SocketAddr| may_name(by, *peer, local);
                let fresh = values.iter().filter(good).filter(|peer| request.seen.insert(*peer)).take(room);
                self.found_peers.extend(fresh);
            }
            if let (Some(seeds), Some(peers)) = (reply.seeds, reply.peers) {
                let blooms = request.blooms.get_or_insert_with(Box::default);
                blooms.0.join(&krpc::Bloom(*seeds));
                blooms.1.join(&krpc::Bloom(*peers));
            }
            if !self.found_peers.is_empty() {
                let peers = self.found_peers.clone();
                self.tell(Event::Peers { request: id, peers });
            }
            return;
        }
        match &request.wanted {
            Wanted::GetImmutable => {
                if let Some(value) = reply.value.filter(|value| item::immutable_target(value) == request.target) {
                    request.item = Some(Item::Immutable(value.to_vec()));
                    self.end_request(now, id);
                }
            }
            Wanted::GetMutable { key, salt, newer_than } => {
                let newest = match &request.item {
                    Some(Item::Mutable(signed)) => Some(signed.seq),
                    _ => *newer_than,
                };
                if let Some(signed) = signed(reply, key, salt, newest) {
                    let item = Item::Mutable(signed);
                    request.item = Some(item.clone());
                    self.tell(Event::Item { request: id, item });
                }
            }
            Wanted::PutMutable { .. } if reply.seq.is_some() => {
                request.holders.insert(pending.to);
            }
            Wanted::Sample => {
                if let Some(samples) = reply.samples {
                    let event = Event::Samples {
                        request: id,
                        from: *from,
                        info_hashes: samples.iter().collect(),
                        total: reply.total.unwrap_or(samples.len() as u64),
                        interval: Duration::from_secs(reply.interval.unwrap_or(0).into()),
                    };
                    self.tell(event);
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_lookup_done(&mut self, now: Instant, id: LookupId) {
        let Some(running) = self.lookups.remove(&id) else { return };
        self.on_change(now);
        let nearest = running.lookup.closest().map(|answered| answered.node.id);
        self.size.on_lookup(running.lookup.target(), self.config.bucket, nearest);
        match running.owner {
            Owner::Boot => self.on_booted(now, running.side, running.lookup.stats().answered),
            Owner::Upkeep => self.on_refreshed(now, running.side, id),
            Owner::Request(request) => self.on_nearest(now, request, &running),
        }
    }

    /// Goes on with a request whose lookup is done: stores, has the next side look, or ends it.
    fn on_nearest(&mut self, now: Instant, id: RequestId, running: &Running) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let stats = running.lookup.stats();
        request.stats.asked += stats.asked;
        request.stats.answered += stats.answered;
        request.stats.hops = request.stats.hops.max(stats.hops.into());
        request.stats.took = now.since(request.began);
        request.lookups -= 1;
        request.found.extend(running.lookup.closest().map(|answered| answered.node));
        if request.wanted.stores() {
            self.plan_stores(id, running);
        }
        let family = self.sides[running.side].family;
        let Some(request) = self.requests.get_mut(&id) else { return };
        if let Some(next) = request.later.iter().position(|side| self.sides[*side].family == family) {
            let side = request.later.remove(next);
            self.look_from(now, id, side);
        }
        self.end_if_done(now, id);
    }

    /// Notes whom a request is to give something to store. It is sent as soon as queries may be.
    fn plan_stores(&mut self, id: RequestId, running: &Running) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let stores = running.lookup.closest().filter_map(|answered| {
            let token = answered.token.clone()?;
            Some(Store { side: running.side, node: answered.node, token })
        });
        request.to_store.extend(stores);
        self.stores.push_back(Ticket { request: id, serial: request.serial });
    }

    /// Gives the next node something to store for a request; says whether there was one.
    pub(super) fn store_next(&mut self, now: Instant, ticket: Ticket) -> bool {
        let Some(store) = self.of(ticket).and_then(|request| request.to_store.pop_front()) else { return false };
        // It is taken out while a query is made of it.
        let Some(mut request) = self.requests.remove(&ticket.request) else { return false };
        let (side, to, token) = (store.side, store.node.address, store.token.as_bytes());
        let method = match &request.wanted {
            Wanted::Announce { info_hash, port, seed } => Some(Method::AnnouncePeer(AnnouncePeer {
                info_hash: *info_hash,
                port: port.unwrap_or(self.sides[side].local.port()),
                implied_port: port.is_none(),
                seed: *seed,
                token,
            })),
            Wanted::PutImmutable { value } => Some(Method::Put(Put { token, value, mutable: None })),
            Wanted::PutMutable { signed, cas } => Some(Method::Put(Put {
                token,
                value: &signed.value,
                mutable: Some(Mutable {
                    key: &signed.key,
                    signature: &signed.signature,
                    seq: signed.seq,
                    salt: &signed.salt,
                    cas: cas.filter(|_| request.holders.contains(&to)),
                }),
            })),
            _ => None,
        };
        let recipient = Recipient { side, to, id: Some(store.node.id) };
        let sent =
            method.is_some_and(|method| self.query(now, recipient, Purpose::Store(ticket), Want::default(), method));
        request.storing += usize::from(sent);
        self.requests.insert(ticket.request, request);
        self.end_if_done(now, ticket.request);
        true
    }

    /// Takes what became of something that was to be stored; `None`: there was no answer.
    pub(super) fn on_stored(&mut self, now: Instant, ticket: Ticket, answer: Option<Result<(), Rejection>>) {
        let Some(request) = self.of(ticket) else { return };
        request.storing = request.storing.saturating_sub(1);
        match answer {
            Some(Ok(())) => request.stored += 1,
            Some(Err(rejection)) => request.rejection = Some(rejection),
            None => {}
        }
        self.end_if_done(now, ticket.request);
    }

    fn end_if_done(&mut self, now: Instant, id: RequestId) {
        if self.requests.get(&id).is_some_and(Request::is_done) {
            self.end_request(now, id);
        }
    }

    /// Ends a request with what it has found.
    pub(super) fn end_request(&mut self, now: Instant, id: RequestId) {
        let Some(mut request) = self.requests.remove(&id) else { return };
        if request.lookups > 0 {
            let owned = |running: &Running| running.owner == Owner::Request(id);
            for running in self.lookups.values().filter(|running| owned(running)) {
                let stats = running.lookup.stats();
                request.stats.asked += stats.asked;
                request.stats.answered += stats.answered;
                request.stats.hops = request.stats.hops.max(stats.hops.into());
                request.found.extend(running.lookup.closest().map(|answered| answered.node));
            }
            request.stats.took = now.since(request.began);
            self.lookups.retain(|_, running| !owned(running));
            self.held.retain(|lookup| self.lookups.contains_key(lookup));
        }
        self.waiting.retain(|waiting| *waiting != id);
        self.on_change(now);
        let stats = request.stats;
        let (nodes, rejection, target) = (request.stored, request.rejection.take(), request.target);
        let event = match request.wanted {
            Wanted::FindNode => Event::Found { request: id, nodes: request.found, stats },
            Wanted::GetPeers { .. } => Event::PeersDone { request: id, scrape: request.scrape(), stats },
            Wanted::Announce { .. } => Event::Announced { request: id, nodes, rejection, stats },
            Wanted::GetImmutable | Wanted::GetMutable { .. } => Event::Got { request: id, item: request.item, stats },
            Wanted::PutImmutable { .. } | Wanted::PutMutable { .. } => {
                Event::Stored { request: id, target, nodes, rejection, stats }
            }
            Wanted::Sample => Event::Sampled { request: id, stats },
            Wanted::Ping => Event::Pong { request: id, answer: None },
            Wanted::Bootstrapped => Event::Bootstrapped { request: id, nodes: self.known() },
        };
        self.tell(event);
    }

    /// Gives how many nodes the routing tables have.
    pub(super) fn known(&self) -> usize {
        self.sides.iter().map(|side| side.table.len()).sum()
    }
}

/// Reads an error that a node answered with.
pub(super) fn rejection(code: i64, text: &[u8]) -> Rejection {
    Rejection { code, text: String::from_utf8_lossy(text).chars().take(TEXT).collect() }
}

/// Says why a signed value cannot be stored.
fn check(signed: &Signed) -> Option<Refusal> {
    if !item::is_value(&signed.value) {
        return Some(Refusal::Value);
    }
    if signed.salt.len() > krpc::MAX_SALT {
        return Some(Refusal::Salt);
    }
    #[cfg(feature = "mutable-items")]
    return (!item::verify(&signed.key, &signed.salt, signed.seq, &signed.value, &signed.signature))
        .then_some(Refusal::Signature);
    #[cfg(not(feature = "mutable-items"))]
    Some(Refusal::NoSignatures)
}

/// Reads a signed value that is newer than what is known, and verifies it.
#[cfg(feature = "mutable-items")]
fn signed(reply: &Reply<'_>, key: &[u8; 32], salt: &[u8], newest: Option<i64>) -> Option<Signed> {
    let (value, seq, signature) = (reply.value?, reply.seq?, reply.signature?);
    let newer = newest.is_none_or(|newest| seq > newest) && reply.key.is_none_or(|theirs| theirs == key);
    // Verifying costs the most, so it comes last.
    (newer && item::verify(key, salt, seq, value, signature)).then(|| Signed {
        key: *key,
        salt: salt.to_vec(),
        seq,
        value: value.to_vec(),
        signature: *signature,
    })
}

/// Without signatures nothing is known to be signed.
#[cfg(not(feature = "mutable-items"))]
fn signed(_: &Reply<'_>, _: &[u8; 32], _: &[u8], _: Option<i64>) -> Option<Signed> {
    None
}
