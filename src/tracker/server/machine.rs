//! The server itself.

use super::access::Access;
use super::command::{Command, Event, Refusal};
use super::config::Config;
use super::connection_id::ConnectionIds;
use super::figures::Counters;
use super::http::Http;
use super::outgoing::Outgoing;
use super::policy::Policy;
use super::swarms::{Announcement, Counts, Drawn, Full, Swarms};
use crate::machine::{Input, Instant, Machine, NoJobs, Output, Rng, Secret};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Why a torrent is refused that is not to be served.
pub(super) const NOT_SERVED: &str = "this tracker does not serve this torrent";
/// Why a torrent is refused that would be one too many.
pub(super) const NO_ROOM: &str = "this tracker has no room for another torrent";

/// How often those who are over begin to be looked for, while there is anybody.
const SWEEP: Duration = Duration::from_secs(1);
/// All peers and torrents are looked at in as many of these times.
const ROUND: usize = 60;
/// So many are looked at each time, however few there are.
const LEAST: usize = 64;
/// How many are looked at in one call: for well under a millisecond.
const SLICE: usize = 2_048;
/// How long others are served before the next call.
const PAUSE: Duration = Duration::from_millis(2);

/// A tracker: datagrams and HTTP connections in, answers out. The [module's page](super) has an example.
pub struct Server {
    pub(super) config: Config,
    pub(super) swarms: Arc<Swarms>,
    pub(super) counters: Arc<Counters>,
    pub(super) ids: ConnectionIds,
    pub(super) access: Access,
    pub(super) policy: Box<dyn Policy>,
    pub(super) rng: Rng,
    /// The peers of the answer that is being made.
    pub(super) drawn: Drawn,
    pub(super) outgoing: Outgoing,
    pub(super) http: Http,
    /// When the next look for those who are over is, and how many are to be looked at until the next begins.
    sweep: Option<Instant>,
    unswept: usize,
    events: VecDeque<Event>,
}

/// What a server is made with besides its [`Config`].
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Whether it answers `/metrics` over HTTP, and nothing else: what Prometheus reads, of all servers that share the swarms. Default no.
    pub metrics: bool,
    /// The torrents that are served.
    pub access: Access,
}

impl Server {
    /// Makes a server that keeps its swarms in `swarms`, which several may share. Connection ids of all servers with the same secret are good with each.
    pub fn new(
        config: Config,
        start: Start,
        swarms: Arc<Swarms>,
        policy: Box<dyn Policy>,
        mut rng: Rng,
        secret: &Secret,
    ) -> Self {
        let config = config.checked();
        Self {
            // What is done for who reads the figures is none of the tracker's work.
            counters: if start.metrics { Arc::default() } else { swarms.register() },
            ids: ConnectionIds::new(secret),
            access: start.access,
            policy,
            drawn: Drawn::default(),
            outgoing: Outgoing::default(),
            http: Http::new(start.metrics, &mut rng),
            sweep: None,
            unswept: 0,
            events: VecDeque::new(),
            rng,
            swarms,
            config,
        }
    }

    /// Gives how many peers an answer has at most.
    pub(super) fn wanted(&self, num_want: Option<u32>) -> usize {
        num_want.map_or(self.config.default_peers, |wanted| wanted as usize).min(self.config.max_peers)
    }

    /// Gives the seconds to wait between announces.
    pub(super) fn interval(&self) -> u32 {
        u32::try_from(self.config.interval.as_secs()).unwrap_or(u32::MAX)
    }

    /// Takes an announce down and draws peers for it.
    pub(super) fn announce(&mut self, now: Instant, asked: &Announcement) -> Result<Counts, Full> {
        let counts = self.swarms.announce(now, asked, &mut self.rng, &mut self.drawn)?;
        self.counters.peers_given.add((self.drawn.v4.len() / 6 + self.drawn.v6.len() / 18) as u64);
        if self.sweep.is_none() {
            self.sweep = Some(now + SWEEP);
        }
        Ok(counts)
    }

    /// Looks for those who are over, for a little while.
    fn on_sweep(&mut self, now: Instant) {
        if self.unswept == 0 {
            if self.swarms.is_empty() {
                self.sweep = None;
                return;
            }
            self.unswept = self.swarms.size() / ROUND + LEAST;
        }
        let seen = self.swarms.sweep(now, self.unswept.min(SLICE));
        // When all have been seen there is no need to go on.
        self.unswept = if seen == 0 { 0 } else { self.unswept.saturating_sub(seen) };
        self.sweep = Some(now + if self.unswept > 0 { PAUSE } else { SWEEP });
    }
}

impl Machine for Server {
    type Command = Command;
    type Event = Event;
    type Job = NoJobs;
    type Done = NoJobs;

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Sweep { request } => {
                self.sweep = self.sweep.or(Some(now + SWEEP));
                self.events.push_back(Event::Sweeping { request });
            }
            Command::SetAccess { request, access } => {
                let (listed, limit) = (access.listed(), self.config.max_listed);
                self.events.push_back(if listed > limit {
                    Event::Refused { request, refusal: Refusal::TooMany { limit } }
                } else {
                    self.access = access;
                    Event::AccessSet { request, listed }
                });
            }
        }
    }

    fn handle_input(&mut self, now: Instant, input: Input<'_, NoJobs>) {
        match input {
            Input::Datagram { socket, from, bytes } if !self.http.metrics => {
                self.on_datagram(now, socket, from, bytes);
            }
            Input::Accepted { conn, from, .. } => self.on_accepted(now, conn, from),
            Input::Stream { conn, bytes } => self.on_stream(now, conn, bytes),
            Input::Writable { conn, queued } => self.on_writable(now, conn, queued),
            Input::End { conn } => self.on_end(conn),
            Input::Closed { conn, .. } => self.on_closed(conn),
            // A server dials nobody, and one that shows figures hears no datagrams.
            Input::Datagram { .. } | Input::Connected { .. } | Input::ConnectFailed { .. } | Input::Done { .. } => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.on_late(now);
        if self.sweep.is_some_and(|at| at <= now) {
            self.on_sweep(now);
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output<NoJobs>> {
        self.outgoing.poll(buf)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.http.next_deadline().into_iter().chain(self.sweep).min()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("swarms", &self.swarms).field("http", &self.http).finish_non_exhaustive()
    }
}
