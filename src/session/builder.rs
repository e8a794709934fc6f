//! How a session is made: where it listens, what it keeps, and on which threads it lives.

use super::command::Command;
use super::config::Config;
use super::error::Error;
use super::handle::{DROP_DEADLINE, Session};
use super::tracker::{self, TrackerExecutor, bind_for};
use super::wiring::{Outside, Placement, TrackerSide, Wired, wire};
use crate::disk::{Executor, FileSystem, Native};
use crate::reactor::{self, Clock, Reactor, Stopper};
use crate::tracker::client;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

/// How many jobs a session's own thread does in a turn where it has no job threads.
const INLINE_JOBS: usize = 16;

/// Which threads a session with threads of its own has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Hosting {
    /// A thread for each subsystem, and [job threads](Builder::job_threads) that read, write and hash: whatever one subsystem does,
    /// the others go on.
    #[default]
    Apart,
    /// One thread for all subsystems, beside the job threads: less is handed from thread to thread. What the system has in memory
    /// is read on that thread, where the [`FileSystem`] can tell ([`File::read_now`](crate::disk::File::read_now)). Costs the
    /// least processor time, and does the most on a single processor.
    Together,
}

/// Makes a [`Session`].
pub struct Builder {
    config: Config,
    reactor: reactor::Config,
    listen: Vec<Listen>,
    file_system: Box<dyn FileSystem>,
    job_threads: Option<usize>,
    hosting: Hosting,
    open_files: usize,
    state: Option<PathBuf>,
}

#[derive(Debug)]
struct Listen {
    address: SocketAddr,
    /// How many further ports to try when one is taken.
    spare_ports: u16,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("listen", &self.listen)
            .field("job_threads", &self.job_threads)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            config: Config::default(),
            reactor: reactor::Config::default(),
            listen: Vec::new(),
            file_system: Box::new(Native),
            job_threads: None,
            hosting: Hosting::default(),
            open_files: 128,
            state: None,
        }
    }

    /// Accepts peers at this address; port 0 takes any. May be called several times. Without it the session only dials.
    ///
    /// `[::]` takes IPv4 too where the system allows it.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen.push(Listen { address, spare_ports: 0 });
        self
    }

    /// Accepts peers at this address or, when its port is taken, at one of the next `spare_ports`.
    pub fn listen_or_next(mut self, address: SocketAddr, spare_ports: u16) -> Self {
        self.listen.push(Listen { address, spare_ports });
        self
    }

    /// Sets the limits of the session and its subsystems.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the limits of the reactors.
    pub fn reactor_config(mut self, config: reactor::Config) -> Self {
        self.reactor = config;
        self
    }

    /// Keeps torrents in a store other than the system's files.
    pub fn file_system(mut self, file_system: Box<dyn FileSystem>) -> Self {
        self.file_system = file_system;
        self
    }

    /// Sets how many files are kept open at a time, over all torrents; at least 1. Default 128.
    pub fn open_files(mut self, files: usize) -> Self {
        self.open_files = files;
        self
    }

    /// Sets how many threads read, write and hash; a check of what is on disk uses them all. With 0 the disk's reactor does it in between, a job a turn.
    ///
    /// Default: one per processor for [`spawn`](Self::spawn), none for [`in_caller`](Self::in_caller).
    pub fn job_threads(mut self, threads: usize) -> Self {
        self.job_threads = Some(threads);
        self
    }

    /// Keeps every torrent's resume data in this folder, in a file by its info hash, unless its [`Spec`](super::Spec) names another place. The
    /// folder is made when it is needed.
    pub fn state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = Some(folder.into());
        self
    }

    /// Sets whether the trackers of torrents are told of them and asked for peers; by default they are. [`Config::trackers`](super::Config::trackers) has the
    /// settings.
    ///
    /// With threads of its own, the session has one for trackers then, and as many as there is to do, at most [`client::Config::jobs`], that look up names and ask HTTP
    /// trackers. In a loop of the caller's both are done only by [job threads](Self::job_threads); without any, only
    /// UDP trackers with an address in place of a name are asked.
    pub fn trackers(mut self, trackers: bool) -> Self {
        if trackers {
            self.config.trackers.get_or_insert_with(|| super::Config::default().trackers.unwrap_or_default());
        } else {
            self.config.trackers = None;
        }
        self
    }

    /// Sets which threads [`spawn`](Self::spawn) starts.
    pub fn hosting(mut self, hosting: Hosting) -> Self {
        self.hosting = hosting;
        self
    }

    /// Starts the session with threads of its own.
    pub fn spawn(self) -> Result<Session, Error> {
        self.spawn_with(|_| {})
    }

    pub(super) fn spawn_with(mut self, prepare: impl FnOnce(&mut [Reactor])) -> Result<Session, Error> {
        let together = self.hosting == Hosting::Together;
        let jobs = self.job_threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
        self.config.disk = self.config.disk.for_job_threads(jobs);
        let (mut placement, mut threads, mut names) = if together {
            (Placement::TOGETHER, vec![jobs], vec!["bip-session"])
        } else {
            (Placement::APART, vec![0, 0, jobs], vec!["bip-session", "bip-swarm", "bip-disk"])
        };
        if let Some(trackers) = &self.config.trackers {
            placement.trackers = threads.len();
            threads.push(trackers.jobs());
            names.push("bip-trackers");
        }
        let clock = Clock::new();
        let mut reactors = Vec::new();
        for (place, threads) in threads.into_iter().enumerate() {
            let mut config = reactor::Config { job_threads: threads, ..self.reactor.clone() };
            if self.config.trackers.is_some() && place == placement.trackers {
                config.receive_buffer = tracker::DATAGRAM;
            } else if place != placement.swarm {
                // No other reactor has sockets to read.
                config.receive_buffer = 0;
            }
            if threads == 0 {
                config.inline_jobs_per_turn = config.inline_jobs_per_turn.max(INLINE_JOBS);
            }
            reactors.push(Reactor::with_clock(config, clock).map_err(Error::System)?);
        }
        let stoppers = StopAll { reactors: reactors.iter().map(Reactor::stopper).collect(), armed: false };
        let (mut session, mut reactors) = self.build(reactors, placement, true, &stoppers)?;
        prepare(&mut reactors);
        for (reactor, name) in reactors.drain(..).zip(names) {
            session.threads.push((reactor.spawn(name).map_err(Error::System)?, name == "bip-trackers"));
        }
        Ok(session)
    }

    /// Makes the session and the reactor that drives all of it, for a loop of the caller's own: nothing happens but in
    /// [`Reactor::turn`], and there is no thread unless [`job_threads`](Self::job_threads) asks for some.
    pub fn in_caller(mut self) -> Result<(Session, Reactor), Error> {
        self.config.disk = self.config.disk.for_job_threads(self.job_threads.unwrap_or(0));
        let config = reactor::Config { job_threads: self.job_threads.unwrap_or(0), ..self.reactor.clone() };
        let has_threads = config.job_threads > 0;
        let reactor = Reactor::new(config).map_err(Error::System)?;
        let (mut session, mut reactors) = self.build(vec![reactor], Placement::TOGETHER, has_threads, &())?;
        session.caller_driven = true;
        let reactor = reactors.pop().expect("one reactor went in");
        Ok((session, reactor))
    }

    fn build<G: Clone + Send + 'static>(
        self,
        mut reactors: Vec<Reactor>,
        placement: Placement,
        name_jobs: bool,
        guard: &G,
    ) -> Result<(Session, Vec<Reactor>), Error> {
        let seed = reactor::entropy::seed().map_err(Error::System)?;
        let secret = reactor::entropy::secret().map_err(Error::System)?;
        let disk = Box::new(Executor::with_open_files(self.file_system, self.open_files));
        let addresses: Vec<SocketAddr> = self.listen.iter().map(|listen| listen.address).collect();
        let sockets = match &self.config.trackers {
            Some(_) => bind_for(&addresses, &self.reactor).map_err(|error| match error {
                tracker::Error::Bind { address, error } => Error::Listen { address, error },
                other => Error::System(std::io::Error::other(other)),
            })?,
            None => Vec::new(),
        };
        let trackers = self.config.trackers.as_ref().map(|_| TrackerSide {
            start: client::Start { sockets: sockets.iter().map(|socket| socket.local()).collect() },
            executor: name_jobs.then(|| Box::new(TrackerExecutor) as _),
        });
        let outside = Outside { disk, trackers };
        let Wired { commands, events, board, swarm, peer_id, trackers } =
            wire(&mut reactors, placement, &self.config, seed, &secret, outside, guard);
        if let Some(trackers) = trackers {
            for socket in sockets {
                reactors[placement.trackers].attach(trackers, socket).map_err(Error::System)?;
            }
        }
        let mut addresses = Vec::new();
        for Listen { address, spare_ports } in self.listen {
            let reactor = &mut reactors[placement.swarm];
            let mut result = reactor.listen(swarm, address);
            for step in 1..=spare_ports {
                let taken = result.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::AddrInUse);
                let Some(port) = address.port().checked_add(step).filter(|_| taken) else { break };
                result = reactor.listen(swarm, SocketAddr::new(address.ip(), port));
            }
            addresses.push(result.map_err(|error| Error::Listen { address, error })?);
        }
        let port =
            |is_it: fn(&SocketAddr) -> bool| addresses.iter().find(|address| is_it(address)).map(SocketAddr::port);
        let (port_v4, port_v6) = (port(SocketAddr::is_ipv4), port(SocketAddr::is_ipv6));
        // The mailbox is open: the reactors are here.
        let _ = commands.post(Command::Listening { peer_id, port_v4, port_v6 });
        let session = Session {
            commands,
            events,
            board,
            addresses,
            state: self.state,
            next_torrent: AtomicU32::new(0),
            threads: Vec::new(),
            caller_driven: false,
        };
        Ok((session, reactors))
    }
}

/// Stops every reactor of a session when one of them ends, however it ends.
#[derive(Debug)]
struct StopAll {
    reactors: Vec<Stopper>,
    /// Whether this one lives in a machine's outlet. The one that the others are cloned from does not, and ends while the
    /// session begins.
    armed: bool,
}

impl Clone for StopAll {
    fn clone(&self) -> Self {
        Self { reactors: self.reactors.clone(), armed: true }
    }
}

impl Drop for StopAll {
    fn drop(&mut self) {
        if self.armed {
            self.reactors.iter().for_each(|stopper| stopper.stop(DROP_DEADLINE));
        }
    }
}
