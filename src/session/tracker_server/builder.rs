//! How a server is made: where it listens, how many workers it has, by which rules it goes.

use super::error::Error;
use super::{COMMANDS, TrackerServer, Unanswered, Worker};
use crate::machine::{Host, Hosted, Rng, events, mailbox};
use crate::reactor::{self, BindOptions, Clock, DatagramSocket, Reactor, entropy};
use crate::tracker::server::{Access, Config, Event, Everybody, Policy, Refusal, Server, Start, SwarmLimits, Swarms};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What datagrams are read into, in bytes: as long as one can be.
const BUFFER: usize = 64 << 10;
/// Connections of those who read the figures: of their own, so that they are read also when the tracker has as many as it may.
const READERS: usize = 64;
/// The longest interval between announces: half as long again, peers are remembered for a day.
const MOST_INTERVAL: Duration = Duration::from_secs(16 * 3600);
/// More workers than this are of no use.
const MOST_WORKERS: usize = 256;

type MakePolicy = Box<dyn FnMut(usize) -> Box<dyn Policy> + Send>;

/// Makes a [`TrackerServer`].
pub struct Builder {
    config: Config,
    limits: SwarmLimits,
    udp: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    metrics: Vec<SocketAddr>,
    workers: usize,
    access: Access,
    policy: MakePolicy,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("udp", &self.udp)
            .field("http", &self.http)
            .field("metrics", &self.metrics)
            .field("workers", &self.workers)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            config: Config::default(),
            limits: SwarmLimits::default(),
            udp: Vec::new(),
            http: Vec::new(),
            metrics: Vec::new(),
            workers: 1,
            access: Access::default(),
            policy: Box::new(|_| Box::new(Everybody)),
        }
    }

    /// Answers over UDP at an address; port 0 takes any. May be called several times. `[::]` alone takes both families; beside IPv4 addresses it takes IPv6.
    ///
    /// On a host with several addresses name them rather than all (`0.0.0.0`, `[::]`): the system may send answers from another than the one that was asked.
    pub fn udp(mut self, address: SocketAddr) -> Self {
        self.udp.push(address);
        self
    }

    /// Answers over HTTP at an address; port 0 takes any. May be called several times. `[::]` alone takes both families; beside IPv4 addresses it takes IPv6.
    pub fn http(mut self, address: SocketAddr) -> Self {
        self.http.push(address);
        self
    }

    /// Shows the figures, as text that Prometheus reads, under `/metrics` at an address, to anybody who can connect to it. May be called several times, as
    /// [`http`](Self::http).
    pub fn metrics(mut self, address: SocketAddr) -> Self {
        self.metrics.push(address);
        self
    }

    /// Has so many workers, each in a thread of its own, 1 to 256; all share each UDP port and the swarms. Default 1, which is enough for hundreds of
    /// thousands of requests in a second.
    ///
    /// The system divides clients among them by their addresses and ports (`SO_REUSEPORT`): with few clients some workers may have nothing to do.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.clamp(1, MOST_WORKERS);
        self
    }

    /// Sets the limits and habits. An [`interval`](Config::interval) of more than 16 h is 16 h.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets how much the swarms may hold. A [`peer_timeout`](SwarmLimits::peer_timeout) that is not longer than the interval is half as long again as that:
    /// else peers that do as they are asked would be forgotten.
    pub fn swarms(mut self, limits: SwarmLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Serves these torrents alone, or all but these, until [`TrackerServer::set_access`].
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Goes by rules of one's own: `make` gives those of each worker, by its number from 0 on.
    pub fn policy(mut self, make: impl FnMut(usize) -> Box<dyn Policy> + Send + 'static) -> Self {
        self.policy = Box::new(make);
        self
    }

    /// Starts the server, each worker on a thread of its own.
    pub fn spawn(self) -> Result<TrackerServer, Error> {
        let (mut server, reactors) = self.build()?;
        for (n, reactor) in reactors.into_iter().enumerate() {
            let name = if n == 0 { "bip-tracker".to_owned() } else { format!("bip-tracker-{}", n + 1) };
            // Those that have been started end with the server if another cannot be.
            server.workers[n].thread = Some(reactor.spawn(&name).map_err(Error::System)?);
        }
        Ok(server)
    }

    /// Makes the server, of one worker, and the reactor that drives it, for a loop of the caller's own: nothing happens but in [`Reactor::turn`], and there is no
    /// thread.
    pub fn in_caller(mut self) -> Result<(TrackerServer, Reactor), Error> {
        self.workers = 1;
        let (mut server, reactors) = self.build()?;
        server.caller_driven = true;
        let reactor = reactors.into_iter().next().ok_or(Error::Closed)?;
        Ok((server, reactor))
    }

    fn build(mut self) -> Result<(TrackerServer, Vec<Reactor>), Error> {
        if self.udp.is_empty() && self.http.is_empty() {
            return Err(Error::NoAddress);
        }
        let refused = self.access.listed() > self.config.max_listed;
        if refused {
            let limit = self.config.max_listed;
            return Err(Error::Refused(Refusal::TooMany { limit }));
        }
        self.config.interval = self.config.interval.min(MOST_INTERVAL);
        let interval = self.config.interval;
        if self.limits.peer_timeout <= interval {
            self.limits.peer_timeout = interval + interval / 2;
        }
        let config = reactor::Config {
            job_threads: 0,
            receive_buffer: BUFFER,
            bytes_per_connection_per_turn: self.config.piece(),
            low_watermark: self.config.max_unread / 2,
            // A few more: those beyond their limits the machines close themselves, and count.
            max_connections: self.config.max_connections.saturating_add(READERS + 256),
            ..reactor::Config::default()
        };
        let secret = entropy::secret().map_err(Error::System)?;
        let mut rng = entropy::rng().map_err(Error::System)?;
        let swarms = Arc::new(Swarms::new(self.limits.clone(), &secret));
        // Connection ids have times in them: all workers have the same.
        let clock = Clock::new();
        let mut reactors = Vec::new();
        for _ in 0..self.workers {
            reactors.push(Reactor::with_clock(config.clone(), clock).map_err(Error::System)?);
        }
        let bind_error = |address: SocketAddr| move |error| Error::Bind { address, error };
        let (mut sockets, mut udp) = (Vec::new(), Vec::new());
        let options = BindOptions { reuse_port: self.workers > 1, ..beside(&self.udp) };
        if options.reuse_port {
            // A port that is to be shared can be taken by another server as well, which then has some of the clients and knows half of each swarm. Who
            // asks for it alone is told.
            let alone = BindOptions { reuse_port: false, ..options };
            let probe = |address| DatagramSocket::bind(address, alone, &config).map_err(bind_error(address));
            self.udp
                .iter()
                .filter(|address| address.port() != 0)
                .map(|address| probe(*address))
                .collect::<Result<Vec<_>, _>>()?;
        }
        for worker in 0..self.workers {
            let mut own = Vec::new();
            for (n, asked) in self.udp.iter().enumerate() {
                let address = if worker == 0 { *asked } else { udp[n] };
                let socket = DatagramSocket::bind(address, options, &config).map_err(bind_error(*asked))?;
                if worker == 0 {
                    udp.push(socket.local());
                }
                own.push(socket);
            }
            sockets.push(own);
        }
        let (mut workers, mut shows) = (Vec::new(), None);
        let (mut http, mut metrics) = (Vec::new(), Vec::new());
        for (n, (reactor, sockets)) in reactors.iter_mut().zip(sockets).enumerate() {
            let machine = |start: Start, policy: Box<dyn Policy>, rng: Rng| {
                Server::new(self.config.clone(), start, Arc::clone(&swarms), policy, rng, &secret)
            };
            let start = Start { access: self.access.clone(), ..Start::default() };
            let (worker, hosted) = host(reactor, machine(start, (self.policy)(n), rng.fork()));
            workers.push(worker);
            for (socket, address) in sockets.into_iter().zip(&udp) {
                reactor.attach(hosted, socket).map_err(bind_error(*address))?;
            }
            if n > 0 {
                continue;
            }
            for address in &self.http {
                http.push(reactor.listen_with(hosted, *address, beside(&self.http)).map_err(bind_error(*address))?);
            }
            if !self.metrics.is_empty() {
                let start = Start { metrics: true, ..Start::default() };
                let config = Config { max_connections: READERS, ..self.config.clone() };
                let server = Server::new(config, start, Arc::clone(&swarms), Box::new(Everybody), rng.fork(), &secret);
                let (worker, hosted) = host(reactor, server);
                for address in &self.metrics {
                    metrics.push(
                        reactor.listen_with(hosted, *address, beside(&self.metrics)).map_err(bind_error(*address))?,
                    );
                }
                shows = Some(worker);
            }
        }
        let unanswered = Unanswered { lists: vec![0; workers.len()], sweep: false, rng: rng.fork() };
        let server = TrackerServer {
            workers,
            shows,
            swarms,
            clock,
            udp,
            http,
            metrics,
            max_listed: self.config.max_listed,
            next_request: AtomicU64::new(0),
            unanswered: Mutex::new(unanswered),
            caller_driven: false,
        };
        Ok((server, reactors))
    }
}

/// Says how sockets are bound that are beside each other: IPv6 alone where IPv4 has sockets of its own, which may have the same port.
fn beside(addresses: &[SocketAddr]) -> BindOptions {
    BindOptions { only_v6: addresses.iter().any(SocketAddr::is_ipv4), ..BindOptions::default() }
}

/// Says that the machine is gone, however it went.
struct Alive(Arc<AtomicBool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Takes a machine into a reactor.
fn host(reactor: &mut Reactor, server: Server) -> (Worker, Hosted) {
    let (mail, inbox) = mailbox(COMMANDS + 1, reactor.doorbell());
    let (sink, events) = events(&mail, 0);
    let alive = Arc::new(AtomicBool::new(true));
    let life = Alive(Arc::clone(&alive));
    let outlet = move |event: Event| {
        // With the outlet goes what says that the machine is there.
        let _ = &life;
        sink.terminal(event);
    };
    let hosted = reactor.host(server, inbox, Box::new(outlet), None);
    (Worker { mail, events, alive, thread: None }, hosted)
}
