//! A network of nodes on virtual time, as light as it can be: ten thousand of them fit.
//!
//! The nodes are the real ones. Their host here has no mailboxes, and what travels is datagrams alone, so that the simulator
//! beside this one (`tests/it/sim`), which has streams, links with rates and whole hosts, would cost more than the nodes do.
//!
//! - A **seat** is a place with addresses. There sits a node, a script that plays somebody else, or for the time being nobody.
//! - A **datagram** takes the delays of both seats and some jitter, so that it may be overtaken; it may be lost. Whoever sends may
//!   write any sender on it.
//! - A seat may be behind a **translator**: it is reached only from where it sent to in the last minute.
//! - **Halves** of the network can be parted; a node's clock can be put forward.

use super::seat::{Guest, Link, Parcel, Script, Seat};
use super::watch::Watch;
use bip::dht::{Command, Config, Done, Event, Job, Node, RequestId, Start};
use bip::machine::{Input, Instant, JobId, Machine, Map, Output, Rng, Secret, SocketId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many calls of a node at one instant are spinning.
const SPIN: u32 = 100_000;
/// How long a translator lets answers in.
const TRANSLATED: Duration = Duration::from_secs(60);
/// How long a name takes to be resolved.
const RESOLVED: Duration = Duration::from_millis(30);

enum Task {
    Time(u32),
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Done { seat: u32, job: JobId, done: Done },
}

pub(super) struct Net {
    now: Instant,
    pub(super) rng: Rng,
    pub(super) link: Link,
    pub(super) seats: Vec<Seat>,
    places: Map<SocketAddr, (u32, u32)>,
    order: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    tasks: Vec<Task>,
    free: Vec<u32>,
    added: u64,
    pub(super) parted: bool,
    pub(super) names: BTreeMap<String, Vec<SocketAddr>>,
    pub(super) watch: Watch,
    buf: Vec<u8>,
    parcels: Vec<Parcel>,
    /// Datagrams that arrived somewhere.
    pub(super) delivered: u64,
}

impl Net {
    pub(super) fn new(seed: u64, link: Link) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            // Far from zero, so that "a day ago" exists.
            now: Instant::from_micros(1 << 40),
            places: Map::new(&mut rng),
            rng,
            link,
            seats: Vec::new(),
            order: BinaryHeap::new(),
            tasks: Vec::new(),
            free: Vec::new(),
            added: 0,
            parted: false,
            names: BTreeMap::new(),
            watch: Watch::default(),
            buf: Vec::new(),
            parcels: Vec::new(),
            delivered: 0,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    fn seat(&mut self, config: Config, addresses: &[SocketAddr]) -> usize {
        let place = self.seats.len();
        let (least, most) = self.link.delay;
        let more = self.rng.below(u32::try_from((most - least).as_micros()).unwrap() + 1);
        self.watch.on_seat(&config);
        let delay = least + Duration::from_micros(more.into());
        self.seats.push(Seat::new(config, delay));
        self.move_to(place, addresses);
        place
    }

    /// Adds a node, which starts now.
    pub(super) fn add(&mut self, config: Config, addresses: &[SocketAddr]) -> usize {
        let place = self.seat(config, addresses);
        self.start(place);
        place
    }

    /// Adds somebody else.
    pub(super) fn add_script(&mut self, script: impl Script + 'static, addresses: &[SocketAddr]) -> usize {
        let place = self.seat(Config::default(), addresses);
        self.seats[place].guest = Guest::Script(Box::new(script));
        place
    }

    /// Puts a seat behind a translator.
    pub(super) fn translate(&mut self, place: usize) {
        self.seats[place].translator = Some(BTreeMap::new());
    }

    /// Has a seat's host keep states.
    pub(super) fn keep_states(&mut self, place: usize) {
        self.seats[place].saves = true;
    }

    /// Gives a seat other addresses; whoever sits there is not told.
    pub(super) fn move_to(&mut self, place: usize, addresses: &[SocketAddr]) {
        for address in std::mem::take(&mut self.seats[place].addresses) {
            self.places.remove(&address);
        }
        for (socket, address) in addresses.iter().enumerate() {
            let taken = self.places.insert(*address, (u32::try_from(place).unwrap(), u32::try_from(socket).unwrap()));
            assert!(taken.is_none(), "{address} is taken");
        }
        self.seats[place].addresses = addresses.to_vec();
    }

    /// Starts a node at a seat, with what its host kept.
    pub(super) fn start(&mut self, place: usize) {
        let mut secret = [0; 32];
        secret.chunks_mut(8).for_each(|part| part.copy_from_slice(&self.rng.next_u64().to_be_bytes()));
        let rng = self.rng.fork();
        let seat = &mut self.seats[place];
        // A host knows the port that it is bound to, but its own address only at loopback.
        let bound = |address: &SocketAddr| match address {
            address if address.ip().is_loopback() => *address,
            SocketAddr::V4(_) => SocketAddr::new(IpAddr::from([0_u8; 4]), address.port()),
            SocketAddr::V6(_) => SocketAddr::new(IpAddr::from([0_u16; 8]), address.port()),
        };
        let sockets = seat.addresses.iter().map(bound).collect();
        let start = Start { sockets, state: seat.state.clone(), saves: seat.saves };
        seat.guest = Guest::Node(Box::new(Node::new(seat.config.clone(), start, rng, &Secret::new(secret))));
        seat.scheduled = Instant::NEVER;
        self.watch.on_start(place);
        self.after(place);
    }

    /// Whoever sits there is no more, without a word.
    pub(super) fn kill(&mut self, place: usize) {
        self.seats[place].guest = Guest::Nobody;
        self.watch.on_start(place);
    }

    /// The same, and nobody will sit there again.
    pub(super) fn remove(&mut self, place: usize) {
        self.kill(place);
        self.move_to(place, &[]);
    }

    pub(super) fn node(&self, place: usize) -> Option<&Node> {
        match &self.seats[place].guest {
            Guest::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The places at which nodes sit.
    pub(super) fn alive(&self) -> Vec<usize> {
        (0..self.seats.len()).filter(|place| self.node(*place).is_some()).collect()
    }

    fn add_task(&mut self, at: Instant, task: Task) {
        self.added += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.tasks[slot as usize] = task;
                slot
            }
            None => {
                self.tasks.push(task);
                u32::try_from(self.tasks.len() - 1).unwrap()
            }
        };
        self.order.push(Reverse((at, self.added, slot)));
    }

    /// Has a datagram arrive after a while, from anybody it says.
    pub(super) fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>, after: Duration) {
        self.add_task(self.now + after, Task::Datagram { from, to, bytes });
    }

    /// Puts a node's clock forward.
    pub(super) fn put_forward(&mut self, place: usize, by: Duration) {
        self.seats[place].ahead += by;
        self.seats[place].scheduled = Instant::NEVER;
        self.watch.on_start(place);
        self.after(place);
    }

    /// Asks a node for something; the answer comes with the number.
    pub(super) fn ask(&mut self, place: usize, command: impl FnOnce(RequestId) -> Command) -> RequestId {
        let seat = &mut self.seats[place];
        seat.next_request += 1;
        let request = RequestId(seat.next_request);
        self.command(place, command(request));
        request
    }

    pub(super) fn command(&mut self, place: usize, command: Command) {
        let seat = &mut self.seats[place];
        let now = self.now + seat.ahead;
        if let Guest::Node(node) = &mut seat.guest {
            node.handle_command(now, command);
        }
        self.after(place);
    }

    /// Takes what a node asks for and tells, and notes when it is to be called next.
    fn after(&mut self, place: usize) {
        let seat = &mut self.seats[place];
        let Guest::Node(node) = &mut seat.guest else { return };
        let mut buf = std::mem::take(&mut self.buf);
        let mut sent = Vec::new();
        let mut jobs = Vec::new();
        while let Some(output) = node.poll_output(&mut buf) {
            match output {
                Output::Datagram { socket, to, bytes } => sent.push((socket, to, bytes)),
                Output::Job { id, job } => jobs.push((id, job)),
                other => panic!("a node has no use for {other:?}"),
            }
        }
        while let Some(event) = node.poll_event() {
            if !matches!(event, Event::Status(_)) {
                seat.events.push((self.now, event));
            }
        }
        let next = node
            .poll_timeout()
            .map(|at| Instant::from_micros(at.as_micros().saturating_sub(seat.ahead.as_micros() as u64)));
        let next = next.map(|at| at.max(self.now)).filter(|at| *at < seat.scheduled);
        if let Some(at) = next {
            seat.scheduled = at;
            self.add_task(at, Task::Time(u32::try_from(place).unwrap()));
        }
        for (socket, to, range) in sent {
            self.send(place, socket, to, &buf[range]);
        }
        buf.clear();
        self.buf = buf;
        for (job, what) in jobs {
            let (after, done) = match what {
                Job::Resolve { name, port } => {
                    let known = self.names.get(&name).cloned().unwrap_or_default();
                    let known = known.into_iter().map(|address| SocketAddr::new(address.ip(), port)).collect();
                    (RESOLVED, Done::Resolved(known))
                }
                Job::Save { state } => {
                    self.seats[place].state = Some(state);
                    (Duration::ZERO, Done::Saved(true))
                }
                other => panic!("nobody here does {other:?}"),
            };
            self.add_task(self.now + after, Task::Done { seat: u32::try_from(place).unwrap(), job, done });
        }
    }

    fn send(&mut self, place: usize, socket: SocketId, to: SocketAddr, bytes: &[u8]) {
        let seat = &mut self.seats[place];
        let Some(from) = seat.addresses.get(socket.0 as usize).copied() else { return };
        if let Some(translator) = &mut seat.translator {
            translator.insert(to, self.now);
        }
        self.watch.on_sent(self.now + seat.ahead, place, from, to, bytes);
        let delay = seat.delay;
        self.carry(delay, from, to, bytes.to_vec());
    }

    /// Puts a datagram under way, if there is anybody it can come to.
    fn carry(&mut self, delay: Duration, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let Some(&(there, _)) = self.places.get(&to) else { return };
        if self.link.loss > 0 && self.rng.below(1000) < self.link.loss {
            return;
        }
        let jitter = self.rng.below(u32::try_from(self.link.jitter.as_micros()).unwrap() + 1);
        let at = self.now + delay + self.seats[there as usize].delay + Duration::from_micros(jitter.into());
        self.add_task(at, Task::Datagram { from, to, bytes });
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Some(&(there, socket)) = self.places.get(&to) else { return };
        let place = there as usize;
        let sender = self.places.get(&from).map(|(sender, _)| *sender as usize);
        let seat = &self.seats[place];
        if self.parted && sender.is_some_and(|sender| self.seats[sender].half != seat.half) {
            return;
        }
        if let Some(translator) = &seat.translator {
            if translator.get(&from).is_none_or(|at| self.now.since(*at) > TRANSLATED) {
                return;
            }
        }
        self.delivered += 1;
        let seat = &mut self.seats[place];
        match &mut seat.guest {
            Guest::Nobody => {}
            Guest::Node(node) => {
                self.watch.on_received(place, from, bytes);
                seat.calls += 1;
                node.handle_input(self.now + seat.ahead, Input::Datagram { socket: SocketId(socket), from, bytes });
                self.after(place);
            }
            Guest::Script(script) => {
                let mut parcels = std::mem::take(&mut self.parcels);
                script.on_datagram(self.now, from, to, bytes, &mut parcels);
                let delay = seat.delay;
                for Parcel { from, to, bytes } in parcels.drain(..) {
                    self.carry(delay, from, to, bytes);
                }
                self.parcels = parcels;
            }
        }
    }

    fn on_time(&mut self, place: usize, at: Instant) {
        let seat = &mut self.seats[place];
        // Another entry has come before this one.
        if seat.scheduled != at {
            return;
        }
        seat.scheduled = Instant::NEVER;
        let now = self.now + seat.ahead;
        if let Guest::Node(node) = &mut seat.guest {
            if node.poll_timeout().is_some_and(|at| at <= now) {
                seat.spins = if seat.spins.0 == now { (now, seat.spins.1 + 1) } else { (now, 0) };
                assert!(seat.spins.1 < SPIN, "node {place} spins at {now}");
                seat.calls += 1;
                seat.wakes += 1;
                node.handle_timeout(now);
            }
        }
        self.after(place);
    }

    /// Runs for a time.
    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs until something holds, which is looked at after each thing that happens, or the time is over. Says whether it held.
    pub(super) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            let Some(&Reverse((at, _, slot))) = self.order.peek().filter(|next| next.0.0 <= end) else {
                self.now = end;
                return done(self);
            };
            self.order.pop();
            self.free.push(slot);
            self.now = self.now.max(at);
            match std::mem::replace(&mut self.tasks[slot as usize], Task::Time(u32::MAX)) {
                Task::Time(place) => self.on_time(place as usize, at),
                Task::Datagram { from, to, bytes } => self.deliver(from, to, &bytes),
                Task::Done { seat, job, done } => {
                    let seat = seat as usize;
                    let now = self.now + self.seats[seat].ahead;
                    if let Guest::Node(node) = &mut self.seats[seat].guest {
                        node.handle_input(now, Input::Done { job, done: Ok(done) });
                    }
                    self.after(seat);
                }
            }
        }
    }

    /// The answer to a request, if it has come.
    pub(super) fn answer(&self, place: usize, request: RequestId) -> Option<&(Instant, Event)> {
        self.seats[place].events.iter().find(|(_, event)| event.is_terminal() && event.request() == Some(request))
    }

    /// Runs until a request is answered.
    pub(super) fn wait(&mut self, place: usize, request: RequestId, limit: Duration) -> Option<Event> {
        let mut looked = 0;
        self.run_until(limit, |net| {
            let new = net.seats[place].events.get(looked..).unwrap_or_default();
            looked += new.len();
            new.iter().any(|(_, event)| event.is_terminal() && event.request() == Some(request))
        });
        self.answer(place, request).map(|(_, event)| event.clone())
    }
}
