//! The client: what comes in goes to the part that it concerns.

use super::address::may_ask;
use super::announcer::Announcer;
use super::command::{AnnounceReply, Command, Event, RequestId, Trust};
use super::config::Config;
use super::error::Error;
use super::fetches::{Fetches, Most};
use super::job::{Done, Job};
use super::names::{Addresses, Names};
use super::request::{Ask, Origin, Request, Slot, Step};
use super::udp::Udp;
use crate::machine::{Input, Instant, JobError, JobId, Machine, Output, Rng, Secret, Timers, TorrentId};
use crate::proto::announce::Event as Reason;
use crate::proto::compact::Family;
use crate::proto::http_tracker::ScrapeFile;
use crate::proto::tracker_url::{Scheme, TrackerUrl};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many timers one call sees to.
const TIMERS_PER_CALL: usize = 256;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// More may be sent.
    Pump,
    /// A connect is sent again, or a connection id is too old.
    Connection(SocketAddr),
    /// A request over UDP is sent again.
    Again(Slot),
    /// A request has taken too long.
    Deadline(Slot),
    /// A torrent has something to do.
    Torrent(TorrentId),
}

/// What a client is made with besides its [`Config`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// The addresses that its datagram sockets are bound to, in their order; the first of each family is used. Over which families HTTP trackers
    /// are asked is said by them too: without any there is nothing to ask by.
    pub sockets: Vec<SocketAddr>,
}

/// How much of what is bounded a client uses now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Requests under way, those of followed torrents included.
    pub requests: usize,
    /// Answers over UDP that are awaited.
    pub awaited: usize,
    /// Connects under way.
    pub connects: usize,
    /// Requests that wait for a name.
    pub named: usize,
    /// Names being looked up.
    pub lookups: usize,
    /// HTTP requests being fetched, those that nobody waits for any more included.
    pub fetches: usize,
    /// Torrents that are followed, those that are being left included.
    pub torrents: usize,
    /// Torrents that wait for others' announces to end.
    pub due: usize,
}

/// A client of trackers. The [module's page](super) has the rest.
pub struct Client {
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) secret: Secret,
    pub(super) requests: BTreeMap<Slot, Request>,
    by_id: BTreeMap<RequestId, Slot>,
    next_slot: u64,
    pub(super) udp: Udp,
    names: Names,
    pub(super) fetches: Fetches,
    pub(super) torrents: BTreeMap<TorrentId, Announcer>,
    /// Torrents that wait for others' announces to end, by their turn; each once.
    pub(super) due: BTreeMap<u64, TorrentId>,
    pub(super) next_turn: u64,
    /// Announces of followed torrents under way.
    pub(super) announces: usize,
    pub(super) timers: Timers<Timer>,
    events: VecDeque<Event>,
    jobs: VecDeque<(JobId, Job)>,
    next_job: u64,
    /// How often the end was asked for and not answered.
    ending_asked: u32,
    pub(super) ending: bool,
}

impl Client {
    /// Makes a client.
    pub fn new(config: Config, start: Start, mut rng: Rng, secret: &Secret) -> Self {
        Self {
            config: config.checked(),
            udp: Udp::new(&start.sockets, secret.fork("tracker transactions"), &mut rng),
            rng,
            secret: secret.fork("tracker keys"),
            requests: BTreeMap::new(),
            by_id: BTreeMap::new(),
            next_slot: 0,
            names: Names::default(),
            fetches: Fetches::default(),
            torrents: BTreeMap::new(),
            due: BTreeMap::new(),
            next_turn: 0,
            announces: 0,
            timers: Timers::new(),
            events: VecDeque::new(),
            jobs: VecDeque::new(),
            next_job: 0,
            ending_asked: 0,
            ending: false,
        }
    }

    /// Gives how much of what is bounded is in use.
    pub fn usage(&self) -> Usage {
        let ((awaited, connects), (named, lookups)) = (self.udp.usage(), self.names.usage());
        let (requests, fetches, torrents) = (self.requests.len(), self.fetches.under_way(), self.torrents.len());
        Usage { requests, awaited, connects, named, lookups, fetches, torrents, due: self.due.len() }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn job(&mut self, job: Job) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.push_back((id, job));
        id
    }

    fn on_request(&mut self, now: Instant, id: RequestId, url: TrackerUrl, trust: Trust, by: Option<Family>, ask: Ask) {
        let hashes = if let Ask::Scrape { info_hashes, .. } = &ask { info_hashes.len() } else { 1 };
        let error = if self.ending {
            Error::ShutDown
        } else if self.by_id.contains_key(&id) {
            Error::Duplicate
        } else if self.by_id.len() >= self.config.max_requests {
            Error::Busy
        } else if hashes == 0 || hashes > self.config.max_scrape {
            Error::WrongCount { hashes }
        } else {
            let slot = self.begin(now, Origin::Program(id), url, trust, by, ask, self.config.timeout);
            self.by_id.insert(id, slot);
            return self.go(now, slot);
        };
        self.tell(Event::Failed { request: id, error });
    }

    /// Makes a place for a request; [`go`](Self::go) sets it going.
    #[allow(clippy::too_many_arguments)] // They are all that a request is made of.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        origin: Origin,
        url: TrackerUrl,
        trust: Trust,
        family: Option<Family>,
        ask: Ask,
        timeout: Duration,
    ) -> Slot {
        let slot = Slot(self.next_slot);
        self.next_slot += 1;
        let deadline = now + timeout;
        let (step, addresses) = (Step::Resolving, Vec::new());
        let farewell = matches!(&ask, Ask::Announce(announce) if announce.event == Reason::Stopped);
        let budget = self.config.timeout;
        let request = Request { origin, url, trust, family, ask, deadline, farewell, budget, step, addresses };
        self.requests.insert(slot, request);
        self.timers.set(Timer::Deadline(slot), deadline);
        slot
    }

    /// Sets a request going that has a place. It may be over when this returns.
    pub(super) fn go(&mut self, now: Instant, slot: Slot) {
        let Some(request) = self.requests.get(&slot) else { return };
        let has_feature = match request.url.scheme() {
            Scheme::Udp => true,
            Scheme::Http => cfg!(feature = "http"),
            Scheme::Https => cfg!(feature = "https"),
        };
        if !has_feature {
            let scheme = request.url.scheme();
            return self.fail(now, slot, Error::NoFeature { scheme });
        }
        let addresses = match request.url.ip() {
            Some(ip) => Some(Ok(vec![ip])),
            None => self.names.look_up(now, request.url.host(), slot, request.farewell),
        };
        match addresses {
            Some(addresses) => self.on_addresses(now, slot, &addresses),
            None => self.look_names_up(),
        }
    }

    fn look_names_up(&mut self) {
        while let Some(name) = self.names.start(JobId(self.next_job), self.config.max_lookups) {
            self.job(Job::Resolve { name });
        }
    }

    fn on_resolved(&mut self, now: Instant, job: JobId, resolved: Result<Vec<SocketAddr>, Error>) {
        let addresses: Addresses = resolved.map(|all| all.iter().map(|address| address.ip().to_canonical()).collect());
        for slot in self.names.on_resolved(now, job, &addresses, &self.config) {
            self.on_addresses(now, slot, &addresses);
        }
        self.look_names_up();
    }

    /// Goes on with a request whose host's addresses are known.
    fn on_addresses(&mut self, now: Instant, slot: Slot, addresses: &Addresses) {
        let Some(request) = self.requests.get_mut(&slot) else { return };
        let addresses = match addresses {
            Ok(addresses) => addresses,
            Err(error) => {
                let error = error.clone();
                return self.fail(now, slot, error);
            }
        };
        let family = request.family;
        let reachable = |ip: &&IpAddr| {
            let of = Family::of(**ip);
            family.is_none_or(|family| family == of) && self.udp.socket(of).is_some()
        };
        let port = request.url.port();
        let reachable: Vec<IpAddr> = addresses.iter().filter(reachable).copied().collect();
        let permitted = reachable.iter().filter(|ip| may_ask(&request.url, request.trust, **ip));
        let permitted: Vec<SocketAddr> = permitted.map(|ip| SocketAddr::new(*ip, port)).collect();
        let Some(first) = permitted.first().copied() else {
            let error = if reachable.is_empty() { Error::NoAddress { family } } else { Error::Forbidden };
            return self.fail(now, slot, error);
        };
        if request.url.scheme() != Scheme::Udp {
            request.addresses = permitted;
            self.queue_fetch(now, slot);
            return self.pump_fetches(now);
        }
        self.renew_deadline(slot, now + self.config.timeout);
        if let Some(socket) = self.udp.socket(Family::of(first.ip())) {
            self.begin_exchange(now, slot, socket, first);
        }
    }

    /// Takes a request out, with all that it had of names, UDP and HTTP.
    fn take_out(&mut self, slot: Slot) -> Option<Request> {
        let request = self.requests.remove(&slot)?;
        self.timers.cancel(Timer::Deadline(slot));
        match request.step {
            Step::Resolving => self.names.forget(request.url.host(), slot),
            Step::Udp(exchange) => self.end_exchange(slot, exchange),
            Step::Queued => self.fetches.forget(slot, self.most()),
            // The job ends by itself.
            Step::Fetching(job) => self.fetches.abandon(job),
        }
        if let Origin::Program(id) = request.origin {
            self.by_id.remove(&id);
        }
        Some(request)
    }

    /// Makes a request a farewell, that ends by a time.
    pub(super) fn hurry(&mut self, slot: Slot, until: Instant) {
        let most = self.most();
        let Some(request) = self.requests.get_mut(&slot) else { return };
        request.farewell = true;
        request.deadline = request.deadline.min(until);
        self.timers.set(Timer::Deadline(slot), request.deadline);
        if request.step == Step::Queued {
            self.fetches.forget(slot, most);
            self.fetches.push(slot, request.server(), true, most);
        }
    }

    /// Gives a request that is no farewell until a time, for what it has not waited so far.
    pub(super) fn renew_deadline(&mut self, slot: Slot, deadline: Instant) {
        if let Some(request) = self.requests.get_mut(&slot).filter(|request| !request.farewell) {
            request.deadline = deadline;
            self.timers.set(Timer::Deadline(slot), deadline);
        }
    }

    pub(super) fn most(&self) -> Most {
        Most {
            fetches: self.config.max_fetches,
            per_server: self.config.max_fetches_per_tracker,
            farewells: self.config.max_farewells,
            silent: self.config.max_names,
        }
    }

    /// Ends a request that nobody wants any more, without a word.
    pub(super) fn drop_request(&mut self, slot: Slot) {
        self.take_out(slot);
    }

    /// Ends a request without an answer.
    pub(super) fn fail(&mut self, now: Instant, slot: Slot, error: Error) {
        if let (Error::TimedOut, Some(Request { step: Step::Udp(exchange), url, .. })) =
            (&error, self.requests.get(&slot))
        {
            self.names.on_silence(url.host(), exchange.to.ip());
        }
        let Some(request) = self.take_out(slot) else { return };
        log::debug!(target: "bip::tracker", "{}: {error}", request.url);
        match request.origin {
            Origin::Program(request) => self.tell(Event::Failed { request, error }),
            Origin::Torrent { torrent, tracker, family } => {
                self.on_torrent_answer(now, torrent, tracker, family, slot, Err(error));
            }
            Origin::Nobody => {}
        }
    }

    /// Ends an announce with its answer.
    pub(super) fn announced(&mut self, now: Instant, slot: Slot, reply: AnnounceReply) {
        let Some(request) = self.take_out(slot) else { return };
        match request.origin {
            Origin::Program(request) => self.tell(Event::Announced { request, reply }),
            Origin::Torrent { torrent, tracker, family } => {
                self.on_torrent_answer(now, torrent, tracker, family, slot, Ok(reply));
            }
            Origin::Nobody => {}
        }
    }

    /// Takes a part of a scrape's answer; ends it, or asks for the next part.
    pub(super) fn scraped(&mut self, now: Instant, slot: Slot, part: Vec<ScrapeFile>) {
        let Some(request) = self.requests.get_mut(&slot) else { return };
        let Ask::Scrape { info_hashes, files } = &mut request.ask else { return };
        files.extend(part);
        if files.len() < info_hashes.len() {
            return match request.step {
                Step::Udp(_) => self.ask_next_part(now, slot),
                _ => self.queue_fetch(now, slot),
            };
        }
        let files = std::mem::take(files);
        let Some(request) = self.take_out(slot) else { return };
        if let Origin::Program(request) = request.origin {
            self.tell(Event::Scraped { request, files });
        }
    }

    fn on_timer(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Pump => {}
            Timer::Connection(to) => self.on_connection_timer(now, to),
            Timer::Again(slot) => self.on_again(now, slot),
            Timer::Deadline(slot) => {
                // Whoever was not even asked has not failed.
                let waits = self.requests.get(&slot).is_some_and(|request| match request.step {
                    Step::Queued => true,
                    Step::Resolving => self.names.is_queued(request.url.host()),
                    _ => false,
                });
                self.fail(now, slot, if waits { Error::Busy } else { Error::TimedOut });
            }
            Timer::Torrent(torrent) => self.on_torrent_timer(now, torrent),
        }
    }

    /// Sends and fetches what may be.
    fn pump(&mut self, now: Instant) {
        // Each may have the next begin something.
        self.pump_fetches(now);
        self.pump_rounds(now);
        self.pump_datagrams(now);
        self.answer_end();
    }

    fn on_shut_down(&mut self, now: Instant) {
        self.ending_asked += 1;
        if !std::mem::replace(&mut self.ending, true) {
            let all: Vec<Slot> = self.by_id.values().copied().collect();
            all.into_iter().for_each(|slot| self.fail(now, slot, Error::ShutDown));
            let torrents: Vec<TorrentId> = self.torrents.keys().copied().collect();
            torrents.into_iter().for_each(|torrent| self.leave(now, torrent));
        }
    }

    fn answer_end(&mut self) {
        if self.ending && self.torrents.is_empty() {
            // Farewells that nobody waits for.
            let rest: Vec<Slot> = self.requests.keys().copied().collect();
            rest.into_iter().for_each(|slot| self.drop_request(slot));
            for _ in 0..std::mem::take(&mut self.ending_asked) {
                self.tell(Event::ShutDown);
            }
        }
    }
}

impl Machine for Client {
    type Command = Command;
    type Event = Event;
    type Job = Job;
    type Done = Done;

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Announce { request, url, trust, family, announce } => {
                self.on_request(now, request, url, trust, family, Ask::Announce(announce));
            }
            Command::Scrape { request, url, trust, info_hashes } => {
                let ask = Ask::Scrape { info_hashes, files: Vec::new() };
                self.on_request(now, request, url, trust, None, ask);
            }
            Command::Cancel { request } => {
                if let Some(slot) = self.by_id.get(&request).copied() {
                    self.fail(now, slot, Error::Cancelled);
                }
            }
            Command::Follow { torrent, following } => self.on_follow(now, torrent, *following),
            Command::Progress { torrent, progress } => self.on_progress(torrent, progress),
            Command::Completed { torrent } => self.on_completed(now, torrent),
            Command::MorePeers { torrent } => self.on_more_peers(now, torrent),
            Command::Leave { torrent } => self.on_leave(now, torrent),
            Command::StopWithin { time } => self.stop_within(now, time),
            Command::ShutDown => self.on_shut_down(now),
        }
        self.pump(now);
    }

    fn handle_input(&mut self, now: Instant, input: Input<'_, Done>) {
        match input {
            Input::Datagram { socket, from, bytes } => self.on_datagram(now, socket, from, bytes),
            Input::Done { job, done: Ok(Done::Resolved(resolved)) } => {
                self.on_resolved(now, job, resolved.map_err(|reason| Error::Name { reason }));
            }
            Input::Done { job, done: Ok(Done::Fetched(fetched)) } => self.on_fetched(now, job, fetched),
            Input::Done { job, done: Err(error) } => {
                // Only the one of the two that the job is knows it.
                let error = match error {
                    JobError::Refused => Error::NoJobs,
                    _ => Error::Connection { reason: error.to_string() },
                };
                self.on_fetched(now, job, Err(error.clone()));
                self.on_resolved(now, job, Err(error));
            }
            // It has no connections.
            _ => {}
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMERS_PER_CALL {
            let Some(timer) = self.timers.pop(now) else { break };
            self.on_timer(now, timer);
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
        self.poll_datagram(buf)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("usage", &self.usage()).finish_non_exhaustive()
    }
}
