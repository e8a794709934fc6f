//! The node: what comes in goes to the part that it concerns.

use super::command::{Command, Event, RequestId, Status, Traffic};
use super::config::Config;
use super::guard::Guard;
use super::items::Items;
use super::job::{Done, Job};
use super::names::Names;
use super::peers::Peers;
use super::request::{Request, Running};
use super::side::Side;
use super::size::Size;
use super::token::Tokens;
use super::transactions::{Late, LookupId, Pending, Purpose, Ticket, Transactions};
use super::wire::Wire;
use crate::machine::{Input, Instant, JobId, Machine, Output, Rng, Secret, SocketId, Timers, TokenBucket};
use crate::proto::compact::Node as Contact;
use crate::proto::id::NodeId;
use crate::proto::krpc::{Message, Method, Query, Want};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

/// How many late queries and timers one call sees to.
const TIMERS_PER_CALL: usize = 256;
/// How many queries of lookups one call sends.
const QUERIES_PER_CALL: usize = 256;
/// How long a lookup waits at least for those nodes among the nearest that are slow to answer, when all others have: as long again as makes a
/// node slow. Most of them never answer.
const GRACE: Duration = Duration::from_millis(300);
/// How many events wait for the host, beyond which news of others' queries are left out.
const NEWS: usize = 1024;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A side looks for nodes.
    Boot(usize),
    /// A side looks after its table.
    Upkeep(usize),
    /// Lookups may send again.
    Pump,
    /// The status may be told of again.
    Status,
    /// What is stored for others may be too old.
    Expire,
    /// The state is to be saved.
    Save,
    /// A lookup that only slow nodes keep from its end has waited for them long enough.
    Settle(LookupId),
}

/// A node of the Mainline DHT, with a side for each of its sockets. The [module's page](super) has the rest.
pub struct Node {
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) sides: Vec<Side>,
    pub(super) transactions: Transactions,
    pub(super) requests: BTreeMap<RequestId, Request>,
    pub(super) next_request: u64,
    pub(super) lookups: BTreeMap<LookupId, Running>,
    pub(super) next_lookup: u64,
    /// Lookups that may have somebody to ask.
    pub(super) active: VecDeque<LookupId>,
    /// Lookups that wait until their side has found its first nodes.
    pub(super) held: Vec<LookupId>,
    /// Requests that have something to be stored.
    pub(super) stores: VecDeque<Ticket>,
    /// Requests that wait until the node has found others.
    pub(super) waiting: Vec<RequestId>,
    pub(super) tokens: Tokens,
    pub(super) peers: Peers,
    pub(super) items: Items,
    pub(super) guard: Guard,
    pub(super) queries: Option<TokenBucket>,
    pub(super) replies: Option<TokenBucket>,
    pub(super) names: Names,
    pub(super) saved: Vec<Contact>,
    pub(super) size: Size,
    pub(super) timers: Timers<Timer>,
    pub(super) wire: Wire,
    pub(super) jobs: VecDeque<(JobId, Job)>,
    pub(super) next_job: u64,
    pub(super) saving: Option<JobId>,
    pub(super) saves: bool,
    events: VecDeque<Event>,
    pub(super) traffic: Traffic,
    /// Something has changed since the status was last told of.
    changed: bool,
    pub(super) ending: bool,
    pub(super) ended: bool,
    /// How often the end was asked for and not answered.
    pub(super) ending_asked: u32,
    /// Room for the nodes and peers of one answer.
    pub(super) near: Vec<Contact>,
    pub(super) near6: Vec<Contact>,
    pub(super) found_peers: Vec<SocketAddr>,
}

/// Who is asked something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipient {
    /// The side that asks.
    pub(super) side: usize,
    /// Where it is.
    pub(super) to: SocketAddr,
    /// Who should answer, where that is known.
    pub(super) id: Option<NodeId>,
}

/// What a node is made with besides its [`Config`].
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// The addresses that its datagram sockets are bound to, in their order: each is a side. IPv4 and IPv6 are networks apart (BEP 32), and
    /// several addresses of a family are nodes apart (BEP 45).
    pub sockets: Vec<SocketAddr>,
    /// What an earlier node saved ([`dht_state`](crate::proto::dht_state)); `None` or something malformed: nothing.
    pub state: Option<Vec<u8>>,
    /// Whether the host keeps what [`Job::Save`] brings.
    pub saves: bool,
}

impl Node {
    /// Makes a node.
    pub fn new(config: Config, start: Start, mut rng: Rng, secret: &Secret) -> Self {
        let config = config.checked();
        let now = Instant::ZERO;
        let mut state = super::upkeep::read_state(start.state.as_deref());
        let mut sides = Vec::new();
        for (n, local) in start.sockets.into_iter().enumerate() {
            let socket = SocketId(u32::try_from(n).unwrap_or(u32::MAX));
            // An id is for one side only (BEP 45).
            let saved = if local.is_ipv4() { state.id.take() } else { state.id6.take() };
            let wished = config.node_id.filter(|_| n == 0).or(saved);
            sides.push(Side::new(now, socket, local, wished, &config, &mut rng));
        }
        let bucket = |rate: u64, burst| {
            let rate = NonZeroU64::new(rate).filter(|_| !config.local_network)?;
            Some(TokenBucket::full(now, rate, burst))
        };
        let (mut peers, mut items, mut guard) = (config.peers.clone(), config.items.clone(), config.guard.clone());
        if config.local_network {
            peers = peers.of_local_network();
            items = items.of_local_network();
            guard = guard.of_local_network();
        }
        let mut timers = Timers::new();
        (0..sides.len()).for_each(|side| timers.set(Timer::Boot(side), now));
        Self {
            queries: bucket(config.query_rate, config.query_burst),
            replies: bucket(config.reply_rate, config.reply_burst),
            transactions: Transactions::new(config.max_queries, secret.fork("dht transactions"), &mut rng),
            tokens: Tokens::new(&secret.fork("dht tokens"), now),
            peers: Peers::new(peers, &mut rng),
            items: Items::new(items, &mut rng),
            guard: Guard::new(guard, &mut rng),
            names: Names::default(),
            sides,
            requests: BTreeMap::new(),
            next_request: 0,
            lookups: BTreeMap::new(),
            next_lookup: 0,
            active: VecDeque::new(),
            held: Vec::new(),
            stores: VecDeque::new(),
            waiting: Vec::new(),
            saved: state.nodes.into_iter().chain(state.nodes6).collect(),
            size: Size::new(),
            timers,
            wire: Wire::default(),
            jobs: VecDeque::new(),
            next_job: 0,
            saving: None,
            saves: start.saves,
            events: VecDeque::new(),
            traffic: Traffic::default(),
            changed: false,
            ending: false,
            ended: false,
            ending_asked: 0,
            near: Vec::new(),
            near6: Vec::new(),
            found_peers: Vec::new(),
            rng,
            config,
        }
    }

    /// Gives the id of each side.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.sides.iter().map(Side::id)
    }

    /// Gives how the node is.
    pub fn status(&self, now: Instant) -> Status {
        Status {
            sides: self.sides.iter().map(|side| side.status(now)).collect(),
            stored_peers: self.peers.len(),
            stored_torrents: self.peers.torrents(),
            stored_items: self.items.len(),
            requests: self.requests.len(),
            queries: self.transactions.len(),
            banned: self.guard.bans(now),
            traffic: self.traffic,
            network_size: self.size.estimate(),
            memory: self.memory(),
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Tells of something that may be left out when the host does not take events.
    pub(super) fn tell_news(&mut self, event: Event) {
        if self.events.len() < NEWS {
            self.events.push_back(event);
        }
    }

    /// Notes that the status is another, which is told of when it is time.
    pub(super) fn on_change(&mut self, now: Instant) {
        if !self.changed {
            self.changed = true;
            self.timers.set_by(Timer::Status, now + Duration::from_secs(1));
        }
    }

    pub(super) fn job(&mut self, job: Job) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.push_back((id, job));
        id
    }

    /// Says whether another query may be sent now; sets a timer for when it may, otherwise.
    pub(super) fn may_query(&mut self, now: Instant) -> bool {
        if self.transactions.is_full() {
            return false;
        }
        let Some(bucket) = &mut self.queries else { return true };
        if bucket.level(now) >= 1 {
            return true;
        }
        let at = bucket.reaches(now, 1);
        self.timers.set_by(Timer::Pump, at);
        false
    }

    /// Sends a query, if there is a place for another.
    pub(super) fn query(
        &mut self,
        now: Instant,
        recipient: Recipient,
        purpose: Purpose,
        want: Want,
        method: Method<'_>,
    ) -> bool {
        let Recipient { side, to, id } = recipient;
        let own = &self.sides[side];
        let pending = Pending { side, to, id, sent: now, purpose };
        let (slow, lost) = (own.rtt.slow_after(), own.rtt.give_up_after());
        let Some(transaction) = self.transactions.open(pending, slow, lost) else { return false };
        if let Some(bucket) = &mut self.queries {
            bucket.take(1);
        }
        let mut message = Message::query(&transaction, Query { id: own.id(), want, method });
        message.read_only = self.config.read_only;
        message.version = Some(&self.config.version).filter(|version| !version.is_empty()).map(Vec::as_slice);
        let bytes = self.wire.push(own.socket, to, |out| message.encode(out));
        self.traffic.sent += 1;
        self.traffic.sent_bytes += bytes as u64;
        self.traffic.queries_out += 1;
        true
    }

    /// Sends what is to be stored and lets lookups ask whom they want to, as far as queries may be sent, and ends those that are done.
    pub(super) fn pump(&mut self, now: Instant) {
        for _ in 0..QUERIES_PER_CALL {
            if let Some(&ticket) = self.stores.front() {
                if !self.may_query(now) {
                    return;
                }
                if !self.store_next(now, ticket) {
                    self.stores.pop_front();
                }
                continue;
            }
            let Some(&id) = self.active.front() else { return };
            let Some(running) = self.lookups.get_mut(&id) else {
                self.active.pop_front();
                continue;
            };
            if running.lookup.is_done() {
                self.active.pop_front();
                self.on_lookup_done(now, id);
                continue;
            }
            if !self.may_query(now) {
                return;
            }
            self.active.pop_front();
            let Some(running) = self.lookups.get_mut(&id) else { continue };
            running.active = false;
            let Some(ask) = running.lookup.next() else {
                if running.lookup.is_done() {
                    self.on_lookup_done(now, id);
                } else if running.is_settled(self.config.bucket) {
                    let grace = self.sides[running.side].rtt.slow_after().max(GRACE);
                    let end = *running.settled.get_or_insert(now + grace);
                    self.timers.set(Timer::Settle(id), end);
                } else {
                    running.settled = None;
                }
                continue;
            };
            running.settled = None;
            self.activate(id);
            self.ask_for(now, id, ask.to, ask.id);
        }
        self.timers.set_by(Timer::Pump, now);
    }

    /// Notes that a lookup may have somebody to ask, or be done.
    pub(super) fn activate(&mut self, id: LookupId) {
        if let Some(running) = self.lookups.get_mut(&id) {
            if !running.active {
                running.active = true;
                self.active.push_back(id);
            }
        }
    }

    fn on_late(&mut self, now: Instant, pending: Pending, late: Late) {
        match (late, pending.purpose) {
            (Late::Slow, Purpose::Lookup(id)) => {
                if let Some(running) = self.lookups.get_mut(&id) {
                    running.lookup.on_slow(pending.to);
                }
                self.activate(id);
            }
            (Late::Slow, _) => {}
            (Late::Lost, purpose) => {
                self.traffic.timeouts += 1;
                self.on_change(now);
                self.on_silence(now, &pending);
                match purpose {
                    Purpose::Lookup(id) => {
                        if let Some(running) = self.lookups.get_mut(&id) {
                            running.lookup.on_failure(pending.to);
                        }
                        self.activate(id);
                    }
                    Purpose::Store(request) => self.on_stored(now, request, None),
                    Purpose::Ping(request) => self.on_pong(request, None),
                    Purpose::Upkeep => {}
                }
            }
        }
    }

    /// Takes note that somebody did not answer: that one is at fault, or the network is.
    fn on_silence(&mut self, now: Instant, pending: &Pending) {
        let side = &mut self.sides[pending.side];
        let node = pending.id.map(|id| Contact { id, address: pending.to });
        match node {
            // Whoever never answered says nothing about the network: others may name as many as they like who are not there.
            Some(node) if !side.table.knows(&node) => return,
            None if !matches!(pending.purpose, Purpose::Lookup(_)) => return,
            _ => {}
        }
        let mut look_again = side.on_lost();
        if let (Some(node), false) = (node, side.is_cut_off()) {
            let was_deserted = side.table.is_deserted();
            side.table.on_failure(now, &node);
            // In a small network there are not as many who can be silent.
            look_again |= !was_deserted && side.table.is_deserted();
        }
        if look_again {
            self.timers.set_by(Timer::Boot(pending.side), now);
        }
        self.plan_upkeep(now, pending.side);
    }

    fn on_timer(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Boot(side) => self.boot(now, side),
            Timer::Upkeep(side) => self.upkeep(now, side),
            Timer::Pump => {}
            Timer::Status => {
                self.changed = false;
                let status = self.status(now);
                self.tell_news(Event::Status(Box::new(status)));
            }
            Timer::Expire => self.expire(now),
            Timer::Save => self.save(now),
            Timer::Settle(lookup) => {
                let want = self.config.bucket;
                let due = |running: &Running| running.is_settled(want) && running.settled.is_some_and(|end| end <= now);
                if self.lookups.get(&lookup).is_some_and(due) {
                    self.on_lookup_done(now, lookup);
                }
            }
        }
    }
}

impl Machine for Node {
    type Command = Command;
    type Event = Event;
    type Job = Job;
    type Done = Done;

    fn handle_command(&mut self, now: Instant, command: Command) {
        self.on_command(now, command);
        self.pump(now);
    }

    fn handle_input(&mut self, now: Instant, input: Input<'_, Done>) {
        match input {
            Input::Datagram { socket, from, bytes } => {
                if let Some(side) = self.sides.iter().position(|side| side.socket == socket) {
                    self.on_datagram(now, side, from, bytes);
                }
            }
            Input::Done { job, done } => self.on_done(now, job, done.ok()),
            // A node has no connections.
            Input::Accepted { .. }
            | Input::Connected { .. }
            | Input::ConnectFailed { .. }
            | Input::Stream { .. }
            | Input::Writable { .. }
            | Input::End { .. }
            | Input::Closed { .. } => {}
        }
        if !self.active.is_empty() || !self.stores.is_empty() {
            self.pump(now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMERS_PER_CALL {
            if let Some((pending, late)) = self.transactions.next_late(now) {
                self.on_late(now, pending, late);
            } else if let Some(timer) = self.timers.pop(now) {
                self.on_timer(now, timer);
            } else {
                break;
            }
        }
        self.pump(now);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output<Job>> {
        if let Some((id, job)) = self.jobs.pop_front() {
            return Some(Output::Job { id, job });
        }
        self.wire.poll(buf)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.transactions.next_due()).min()
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("sides", &self.sides.len()).field("traffic", &self.traffic).finish_non_exhaustive()
    }
}
