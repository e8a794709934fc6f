//! A node's own affairs: finding the first nodes, keeping the tables fresh, its id, its state, its end.

use super::command::Event;
use super::identity::random_id;
use super::job::{Done, Job};
use super::machine::{Node, Recipient, Timer};
use super::request::Owner;
use super::server::EXPIRE;
use super::side::Boot;
use super::table::State;
use super::transactions::{LookupId, Pending, Purpose};
use crate::machine::{Instant, JobId};
use crate::proto::compact::{Family, Node as Contact};
use crate::proto::dht_state::{self, DhtState};
use crate::proto::id::NodeId;
use crate::proto::krpc::{Method, Reply, Want, node_id};
use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a side waits before it looks for nodes again, the first time and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// How many far regions a side looks into after it has found its neighbourhood.
const FAR: u8 = 5;
/// The least time between two looks at a table.
const UPKEEP: Duration = Duration::from_secs(1);
/// How long after another of few nodes has come a side looks for its neighbourhood again.
const FEW: Duration = Duration::from_secs(10);
/// How many nodes of a table are asked at one look.
const CHECKS: usize = 8;
/// How much is forgotten of what is stored in one call.
const EXPIRE_BUDGET: usize = 1024;

impl Node {
    pub(super) fn on_done(&mut self, now: Instant, job: JobId, done: Option<Done>) {
        if self.saving == Some(job) {
            self.saving = None;
            if self.ending {
                self.end();
            }
            return;
        }
        let addresses = match done {
            Some(Done::Resolved(addresses)) => addresses,
            _ => Vec::new(),
        };
        self.on_resolved(now, job, addresses);
    }

    /// Has a side look for its own neighbourhood.
    pub(super) fn boot(&mut self, now: Instant, side: usize) {
        if self.ending || matches!(self.sides[side].boot, Boot::Running(_)) {
            return;
        }
        self.resolve(now);
        let own = &self.sides[side];
        let (family, id) = (own.family, own.id());
        let mut known = Vec::new();
        own.table.closest(&id, self.config.candidates / 2, &mut known);
        if known.is_empty() {
            // All of them were silent; they may be back.
            known.extend(own.table.iter(now).map(|entry| entry.node).take(self.config.candidates / 2));
        }
        let spare_room = self.config.candidates / 2;
        let saved = self.saved.iter().filter(|node| own.may_talk_to(node.address, &self.config)).take(spare_room);
        known.extend(saved);
        // Those whom we know already come first: the routers have enough to do.
        let alone = known.is_empty() || own.attempts > 0;
        let routers: Vec<_> = self.names.addresses(family).filter(|_| alone).take(spare_room).collect();
        let routers: Vec<_> = routers.into_iter().filter(|router| own.may_talk_to(*router, &self.config)).collect();
        if known.is_empty() && routers.is_empty() {
            if self.names.is_busy() {
                self.sides[side].boot = Boot::Resolving;
            } else if self.config.routers.is_empty() {
                self.settle(now, side);
            } else {
                self.retry_boot(now, side);
            }
            return;
        }
        let lookup = self.new_lookup(side, id, Owner::Boot);
        if let Some(running) = self.lookups.get_mut(&lookup) {
            known.into_iter().for_each(|node| running.lookup.add(node));
            routers.into_iter().for_each(|address| running.lookup.add_router(address));
        }
        self.sides[side].boot = Boot::Running(lookup);
        self.activate(lookup);
        self.on_change(now);
    }

    /// Ends the search of a side for its neighbourhood.
    pub(super) fn on_booted(&mut self, now: Instant, side: usize, answered: usize) {
        if answered > 0 && !self.sides[side].table.is_empty() {
            self.sides[side].attempts = 0;
            self.sides[side].far = FAR;
            self.settle(now, side);
            if self.saves {
                self.timers.set_by(Timer::Save, now + self.config.save_interval);
            }
        } else if answered == 0 && self.config.routers.is_empty() && self.sides[side].table.is_empty() {
            self.settle(now, side);
            self.plan_retry(now, side);
        } else {
            self.retry_boot(now, side);
        }
    }

    fn settle(&mut self, now: Instant, side: usize) {
        self.sides[side].boot = Boot::Settled;
        self.release(now, side);
        if !self.sides[side].table.is_empty() {
            // Others that wait for names do so for longer than a request should.
            for other in (0..self.sides.len()).filter(|other| *other != side) {
                if self.sides[other].boot == Boot::Resolving {
                    self.release(now, other);
                }
            }
        }
        self.plan_upkeep(now, side);
        self.answer_waiting();
    }

    fn retry_boot(&mut self, now: Instant, side: usize) {
        self.ask_other_family(now, side);
        let own = &mut self.sides[side];
        own.boot = if own.table.is_empty() { Boot::Waiting } else { Boot::Settled };
        self.plan_retry(now, side);
        // What was held back finds nobody; but it ends.
        self.release(now, side);
        self.answer_waiting();
    }

    /// Has a side of the other family, if it knows somebody, ask around: those who are in both networks tell (BEP 32). It asks somewhere else each
    /// time, for in one place there may be nobody who is.
    fn ask_other_family(&mut self, now: Instant, side: usize) {
        let own = &self.sides[side];
        let family = own.family;
        let knows = |other: &super::side::Side| other.family != family && !other.table.is_empty();
        let Some(other) = self.sides.iter().position(knows).filter(|_| own.table.is_empty()) else { return };
        if self.sides[other].refreshing.is_none() {
            let target = random_id(&mut self.rng);
            let lookup = self.new_lookup(other, target, Owner::Upkeep);
            self.sides[other].refreshing = Some(lookup);
            self.begin(now, lookup);
        }
    }

    fn plan_retry(&mut self, now: Instant, side: usize) {
        let own = &mut self.sides[side];
        own.attempts = own.attempts.saturating_add(1);
        let wait = RETRY.0.saturating_mul(1 << (own.attempts - 1).min(10)).min(RETRY.1);
        // Not all at the same time, after a power cut.
        let jitter = wait.mul_f64(f64::from(self.rng.below(1000)) / 4000.0);
        self.timers.set(Timer::Boot(side), now + wait + jitter);
    }

    /// Lets lookups go that waited until a side has found its first nodes.
    fn release(&mut self, now: Instant, side: usize) {
        for lookup in std::mem::take(&mut self.held) {
            if self.lookups.get(&lookup).is_some_and(|running| running.side == side) {
                self.begin(now, lookup);
            } else {
                self.held.push(lookup);
            }
        }
    }

    /// Answers those who wait for the node to have found others, if it has, or if there is nobody to be found.
    pub(super) fn answer_waiting(&mut self) {
        let settled = |side: &super::side::Side| side.boot == Boot::Settled;
        let found = self.sides.iter().any(|side| settled(side) && !side.table.is_empty());
        if found || self.sides.iter().all(settled) {
            for request in std::mem::take(&mut self.waiting) {
                self.requests.remove(&request);
                let nodes = self.known();
                self.tell(Event::Bootstrapped { request, nodes });
            }
        }
    }

    /// Looks for the neighbourhood again: the network is another, or back.
    pub(super) fn rebuild(&mut self, now: Instant, side: usize) {
        self.sides[side].attempts = 0;
        self.timers.set_by(Timer::Boot(side), now);
    }

    pub(super) fn on_network_changed(&mut self, now: Instant) {
        self.names.asked = None;
        for side in 0..self.sides.len() {
            self.sides[side].table.forgive();
            self.rebuild(now, side);
        }
    }

    /// Offers nodes of the other family, which came with a reply, to the sides of that family (BEP 32).
    pub(super) fn on_other_family(&mut self, now: Instant, pending: &Pending, reply: &Reply<'_>) {
        let (nodes, family) = match self.sides[pending.side].family {
            Family::V4 => (reply.nodes6, Family::V6),
            Family::V6 => (reply.nodes, Family::V4),
        };
        let Some(nodes) = nodes else { return };
        let Some(other) = self.sides.iter().position(|side| side.family == family) else { return };
        let (own, by) = (&self.sides[other], pending.to.ip());
        let good = |node: &Contact| own.may_be_told_of(node.address, by, &self.config);
        let named: Vec<_> = nodes.iter().take(self.config.bucket).filter(good).collect();
        match own.boot {
            Boot::Running(lookup) => {
                if let Some(running) = self.lookups.get_mut(&lookup) {
                    named.into_iter().for_each(|node| running.lookup.add(node));
                }
                self.activate(lookup);
            }
            _ if own.table.is_empty() => {
                named.into_iter().for_each(|node| self.verify(now, other, node.address, Some(node.id)));
            }
            _ => {}
        }
    }

    /// Asks somebody who may be a node whether it is there; it is taken in when it answers.
    pub(super) fn verify(&mut self, now: Instant, side: usize, address: SocketAddr, id: Option<NodeId>) {
        let own = &mut self.sides[side];
        if !own.may_talk_to(address, &self.config) || !self.may_query(now) {
            return;
        }
        if self.sides[side].may_verify(now) {
            self.query(now, Recipient { side, to: address, id }, Purpose::Upkeep, Want::default(), Method::Ping);
        }
    }

    /// Asks somebody whom the program named: from every side that can, as far as queries may be sent.
    pub(super) fn on_named(&mut self, now: Instant, address: SocketAddr) {
        for side in 0..self.sides.len() {
            if self.sides[side].may_talk_to(address, &self.config) && self.may_query(now) {
                let to = Recipient { side, to: address, id: None };
                self.query(now, to, Purpose::Upkeep, Want::default(), Method::Ping);
            }
        }
    }

    /// Takes note of who is there, if that one answered; looks around when it is the first one, one of few, or the last one is gone.
    pub(super) fn on_present(&mut self, now: Instant, side: usize, node: &Contact, took: Duration) {
        let own = &mut self.sides[side];
        let (was_empty, before) = (own.table.is_empty(), own.table.len());
        own.table.on_reply(now, node, took);
        let is_looking = matches!(own.boot, Boot::Running(_));
        let is_one_of_few = (before + 1..self.config.bucket).contains(&own.table.len());
        match (was_empty, own.table.is_empty()) {
            (true, false) if !is_looking => self.rebuild(now, side),
            (false, true) => self.timers.set_by(Timer::Boot(side), now + UPKEEP),
            // A young network: those whom it knows by now may be known to nobody else here.
            (false, false) if is_one_of_few && !is_looking => self.timers.set_by(Timer::Boot(side), now + FEW),
            _ => {}
        }
        self.plan_upkeep(now, side);
    }

    /// Looks after a side's table.
    pub(super) fn upkeep(&mut self, now: Instant, side: usize) {
        for _ in 0..CHECKS {
            if !self.may_query(now) {
                break;
            }
            let Some(node) = self.sides[side].table.next_check(now) else { break };
            let recipient = Recipient { side, to: node.address, id: Some(node.id) };
            self.query(now, recipient, Purpose::Upkeep, Want::default(), Method::Ping);
        }
        if self.sides[side].refreshing.is_none() && self.sides[side].boot == Boot::Settled {
            if let Some(target) = self.next_refresh(now, side) {
                let lookup = self.new_lookup(side, target, Owner::Upkeep);
                self.sides[side].refreshing = Some(lookup);
                self.begin(now, lookup);
            }
        }
        self.plan_upkeep(now, side);
    }

    fn next_refresh(&mut self, now: Instant, side: usize) -> Option<NodeId> {
        let own = &mut self.sides[side];
        if own.far > 0 {
            own.far -= 1;
            // As our own id up to a bit, which is another; what follows is anything.
            let (id, bit) = (own.id(), usize::from(own.far));
            let mut target = random_id(&mut self.rng);
            for n in 0..=bit {
                let mask = 0x80 >> (n % 8);
                let own_bit = id.0[n / 8] & mask;
                target.0[n / 8] = target.0[n / 8] & !mask | if n == bit { own_bit ^ mask } else { own_bit };
            }
            return Some(target);
        }
        own.table.next_refresh(now, &mut self.rng)
    }

    pub(super) fn on_refreshed(&mut self, now: Instant, side: usize, lookup: LookupId) {
        if self.sides[side].refreshing == Some(lookup) {
            self.sides[side].refreshing = None;
        }
        self.plan_upkeep(now, side);
    }

    /// Sets the timer for the next look at a table.
    pub(super) fn plan_upkeep(&mut self, now: Instant, side: usize) {
        let own = &self.sides[side];
        let far = (own.far > 0 && own.boot == Boot::Settled).then_some(now);
        if let Some(due) = own.table.next_due().into_iter().chain(far).min() {
            self.timers.set_by(Timer::Upkeep(side), due.max(now + UPKEEP));
        }
    }

    /// Takes note of the address at which others see a side, and an id that goes with it (BEP 42).
    pub(super) fn on_external(&mut self, now: Instant, side: usize, ip: IpAddr) {
        let own = &mut self.sides[side];
        own.external = Some(ip);
        self.on_change(now);
        let own = &self.sides[side];
        if node_id::is_valid_for(&own.id(), ip) || (side == 0 && self.config.node_id.is_some()) {
            return;
        }
        let id = own.identity.id();
        log::info!(target: "bip::dht", "others see us at {ip}; our id is {id} from now on");
        let own = &mut self.sides[side];
        own.table.set_own(now, id);
        if let Boot::Running(lookup) = own.boot {
            // It looked for the neighbourhood of the id that we had.
            self.lookups.remove(&lookup);
            self.sides[side].boot = Boot::Waiting;
        }
        self.timers.set_by(Timer::Boot(side), now);
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.peers.expire(now, EXPIRE_BUDGET);
        self.items.expire(now, EXPIRE_BUDGET);
        self.on_change(now);
        let next = self.peers.next_expiry().into_iter().chain(self.items.next_expiry()).min();
        if let Some(next) = next {
            // What is too old is not shown meanwhile. Where the budget was not enough, it goes on at once.
            let pause = if next <= now { UPKEEP } else { EXPIRE };
            self.timers.set(Timer::Expire, next.max(now + pause));
        }
    }

    pub(super) fn save(&mut self, now: Instant) {
        if self.saves && self.saving.is_none() && self.known() > 0 {
            let state = self.state(now);
            self.saving = Some(self.job(Job::Save { state }));
        }
        self.timers.set(Timer::Save, now + self.config.save_interval);
    }

    pub(super) fn shut_down(&mut self, now: Instant) {
        self.ending_asked += 1;
        if self.ended {
            return self.end();
        }
        if self.ending {
            return;
        }
        let requests: Vec<_> = self.requests.keys().copied().collect();
        requests.into_iter().for_each(|request| self.end_request(now, request));
        self.ending = true;
        self.lookups.clear();
        self.active.clear();
        self.held.clear();
        self.stores.clear();
        self.transactions.clear();
        self.timers = crate::machine::Timers::new();
        // A save that is under way is of an older state, but another may not overtake it.
        if self.saves && self.known() > 0 && self.saving.is_none() {
            let state = self.state(now);
            self.saving = Some(self.job(Job::Save { state }));
        }
        if self.saving.is_none() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.ended = true;
        for _ in 0..std::mem::take(&mut self.ending_asked) {
            self.tell(Event::ShutDown);
        }
    }

    /// Gives the state: the ids of the first side of each family, and the nodes that are worth asking next time.
    pub(super) fn state(&self, now: Instant) -> Vec<u8> {
        let id = |family| self.sides.iter().find(|side| side.family == family).map(|side| side.id());
        let nodes = |family| {
            let sides = self.sides.iter().filter(|side| side.family == family);
            let entries = sides.flat_map(|side| side.table.iter(now)).filter(|entry| !entry.spare);
            let mut entries: Vec<_> = entries.collect();
            // Those that answered last are the most likely to be there. Of those that did not, some may be back: after a time without a
            // network nobody else is known.
            entries.sort_by_key(|entry| (entry.state == State::Bad, Reverse(entry.last_seen), entry.node));
            let limit = dht_state::Limits::default().nodes;
            entries.into_iter().map(|entry| entry.node).take(limit).collect()
        };
        let state = DhtState {
            id: id(Family::V4),
            id6: id(Family::V6),
            nodes: nodes(Family::V4),
            nodes6: nodes(Family::V6),
            ..DhtState::default()
        };
        state.encode()
    }
}

/// Reads what an earlier node saved; what cannot be understood is nothing.
pub(super) fn read_state(bytes: Option<&[u8]>) -> DhtState {
    let read = bytes.map(|bytes| DhtState::decode(bytes, &dht_state::Limits::default()));
    match read {
        Some(Ok(state)) => state,
        Some(Err(error)) => {
            log::warn!(target: "bip::dht", "the saved state is not used: {error}");
            DhtState::default()
        }
        None => DhtState::default(),
    }
}
