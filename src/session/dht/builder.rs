//! How a node is made: where it is bound, whom it asks first, what it keeps, and on which thread it lives.

use super::Dht;
use super::Waiters;
use super::error::Error;
use super::executor::DhtExecutor;
use crate::dht::{self, Config, Event, Router};
use crate::disk::{FileSystem as _, Native};
use crate::machine::{EventSink, Host, Instant, events, mailbox};
use crate::proto::dht_state::{self, DhtState};
use crate::reactor::{self, BindOptions, DatagramSocket, Reactor, entropy};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

/// Queries of others that may wait to be read.
const QUERIES: usize = 4096;
/// How many names of routers are looked up at a time at most.
const NAMES_AT_A_TIME: usize = 8;
/// How large a datagram the node reads at most, in bytes: what is longer is dropped, as no message of the DHT is.
const DATAGRAM: usize = 64 << 10;

/// Makes a [`Dht`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    config: Config,
    bind: Vec<SocketAddr>,
    state: Option<Vec<u8>>,
    state_file: Option<PathBuf>,
    routers: Option<Vec<Router>>,
    local: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Binds the node to an address; port 0 takes any. Each call adds one: an IPv4 and an IPv6 address make the node part of both networks
    /// (BEP 32), several of a family make it several nodes (BEP 45). Without any it is bound to all addresses of both families, at a port that
    /// is free, as far as the host has them.
    ///
    /// Nodes should be bound to an address that others can reach, rather than to all (BEP 32). Bound to loopback addresses only, it is in a
    /// [local network](Self::local_network).
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind.push(address);
        self
    }

    /// Makes the node part of a test network: [`Config::local_network`]. There are no public routers then.
    pub fn local_network(mut self) -> Self {
        self.local = true;
        self
    }

    /// Asks this router or node first, in place of the public ones. May be called several times.
    pub fn router(mut self, router: impl Into<Router>) -> Self {
        self.routers.get_or_insert_default().push(router.into());
        self
    }

    /// Asks nobody first, but who is named later, and who is in the state: the node is the first of its network, or waits for others.
    pub fn no_routers(mut self) -> Self {
        self.routers = Some(Vec::new());
        self
    }

    /// Sets the limits and habits, all of them: to be called before what changes one. Routers that are given to the builder stand in place of
    /// those of the config.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Answers nobody (BEP 43): [`Config::read_only`].
    pub fn read_only(mut self) -> Self {
        self.config.read_only = true;
        self
    }

    /// Tells of what others ask ([`Dht::next_query`]): [`Config::report_queries`].
    pub fn report_queries(mut self) -> Self {
        self.config.report_queries = true;
        self
    }

    /// Begins with what another node saved ([`Dht::save`]).
    pub fn state(mut self, state: Vec<u8>) -> Self {
        self.state = Some(state);
        self
    }

    /// Keeps the state in a file, whose folders are made when they are needed: it is read at the start, where it is there, and written now and
    /// then and at the end. A file that is no state, or one of a later version, is an error ([`Error::State`]) and stays as it is; an empty one
    /// is none.
    pub fn state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_file = Some(path.into());
        self
    }

    /// Starts the node on a thread of its own, beside one for its file and one for each router that has a name, up to eight.
    pub fn spawn(self) -> Result<Dht, Error> {
        let (mut dht, reactor) = self.build(true)?;
        dht.thread = Some(reactor.spawn("bip-dht").map_err(Error::System)?);
        Ok(dht)
    }

    /// Makes the node and the reactor that drives it, for a loop of the caller's own: nothing happens but in [`Reactor::turn`], and there
    /// is no thread. Names of routers are resolved in between, which may take a while: give addresses where that matters.
    pub fn in_caller(self) -> Result<(Dht, Reactor), Error> {
        let (mut dht, reactor) = self.build(false)?;
        dht.caller_driven = true;
        Ok((dht, reactor))
    }

    fn build(mut self, with_threads: bool) -> Result<(Dht, Reactor), Error> {
        let mut config = reactor::Config { job_threads: 0, receive_buffer: DATAGRAM, ..reactor::Config::default() };
        let sockets = if self.bind.is_empty() {
            bind_anywhere(&config)?
        } else {
            self.bind.iter().map(|address| bind(*address, &config)).collect::<Result<Vec<_>, _>>()?
        };
        let addresses: Vec<SocketAddr> = sockets.iter().map(|socket| socket.local()).collect();
        self.config.local_network |= self.local || addresses.iter().all(|address| address.ip().is_loopback());
        if let Some(routers) = self.routers {
            self.config.routers = routers;
        } else if self.config.local_network && self.config.routers == Config::default().routers {
            self.config.routers.clear();
        }
        if with_threads {
            // A name may take its time: neither the others nor the state wait for it.
            let names = self.config.routers.iter().filter(|router| matches!(router, Router::Name(..))).count();
            config.job_threads = 1 + names.min(NAMES_AT_A_TIME);
        }
        if let (Some(path), None) = (&self.state_file, &self.state) {
            match Native.load(path, dht_state::Limits::default().length) {
                // A file that was made for it, and is empty, has nothing to lose.
                Ok(state) if state.is_empty() => {}
                Ok(state) => match DhtState::decode(&state, &dht_state::Limits::default()) {
                    Ok(_) => self.state = Some(state),
                    Err(error) => {
                        let error = io::Error::new(io::ErrorKind::InvalidData, error);
                        return Err(Error::State { path: path.clone(), error });
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::State { path: path.clone(), error }),
            }
        }
        let max_requests = self.config.max_requests.max(1);
        let seed = entropy::seed().map_err(Error::System)?;
        let secret = entropy::secret().map_err(Error::System)?;
        let start = dht::Start { sockets: addresses.clone(), state: self.state, saves: self.state_file.is_some() };
        let node = dht::Node::new(self.config, start, crate::machine::Rng::new(seed), &secret);

        let mut reactor = Reactor::new(config).map_err(Error::System)?;
        let (mail, inbox) = mailbox(0, reactor.doorbell());
        let (sink, queries) = events(&mail, QUERIES);
        let waiting = Arc::new(Waiters::new(max_requests));
        let board = Arc::new(RwLock::new(Arc::new(node.status(Instant::ZERO))));
        let outlet = Outlet { waiting: Arc::clone(&waiting), board: Arc::clone(&board), queries: sink };
        let executor = DhtExecutor { state: self.state_file };
        let hosted = reactor.host(node, inbox, Box::new(move |event| outlet.take(event)), Some(Box::new(executor)));
        for (socket, address) in sockets.into_iter().zip(&addresses) {
            reactor.attach(hosted, socket).map_err(|error| Error::Bind { address: *address, error })?;
        }
        let next_request = AtomicU64::new(0);
        let dht = Dht { mail, waiting, board, queries, addresses, next_request, thread: None, caller_driven: false };
        Ok((dht, reactor))
    }
}

/// Binds a socket of one family.
pub(super) fn bind(address: SocketAddr, config: &reactor::Config) -> Result<DatagramSocket, Error> {
    let options = BindOptions { only_v6: true, ..BindOptions::default() };
    DatagramSocket::bind(address, options, config).map_err(|error| Error::Bind { address, error })
}

/// Binds to all addresses of both families at one port, or of the family that the host has.
fn bind_anywhere(config: &reactor::Config) -> Result<Vec<DatagramSocket>, Error> {
    let v4 = bind((Ipv4Addr::UNSPECIFIED, 0).into(), config);
    let port = v4.as_ref().map_or(0, |socket| socket.local().port());
    let any_v6 = |port| bind((Ipv6Addr::UNSPECIFIED, port).into(), config);
    let v6 = any_v6(port).or_else(|_| any_v6(0));
    match (v4, v6) {
        (Ok(v4), Ok(v6)) => Ok(vec![v4, v6]),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(vec![one]),
        (Err(error), Err(_)) => Err(error),
    }
}

/// Brings what the node tells to where it belongs, on the node's own thread.
struct Outlet {
    waiting: Arc<Waiters>,
    board: super::Board,
    queries: EventSink<dht::Queried>,
}

impl Outlet {
    fn take(&self, event: Event) {
        match event {
            Event::Status(status) => {
                *self.board.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(*status);
            }
            Event::Queried(queried) => self.queries.notice(queried),
            Event::ShutDown => self.waiting.close(),
            event => {
                if let Some(request) = event.request() {
                    let is_last = event.is_terminal();
                    self.waiting.deliver(request, event, is_last);
                }
            }
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // However the node ended, nobody is to wait for it.
        self.waiting.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Input, Machine, NoJobs, Output};
    use crate::session::dht::Error;
    use std::time::Duration;

    /// A machine that panics when it is told to.
    struct Bomb;

    impl Machine for Bomb {
        type Command = ();
        type Event = ();
        type Job = NoJobs;
        type Done = NoJobs;

        fn handle_command(&mut self, _: Instant, (): ()) {
            panic!("it was told to");
        }

        fn handle_input(&mut self, _: Instant, _: Input<'_, NoJobs>) {}

        fn handle_timeout(&mut self, _: Instant) {}

        fn poll_event(&mut self) -> Option<()> {
            None
        }

        fn poll_output(&mut self, _: &mut Vec<u8>) -> Option<Output<NoJobs>> {
            None
        }

        fn poll_timeout(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn a_panic_on_the_nodes_thread_ends_all_waiting() {
        // Nobody answers there: the socket is bound, and nobody reads.
        let dead = bind((Ipv4Addr::LOCALHOST, 0).into(), &reactor::Config::default()).unwrap();
        let builder = Dht::builder().bind((Ipv4Addr::LOCALHOST, 0).into()).router(dead.local());
        let (mut dht, mut reactor) = builder.build(true).unwrap();
        let (fuse, inbox) = mailbox(0, reactor.doorbell());
        reactor.host(Bomb, inbox, Box::new(|()| {}), None);
        dht.thread = Some(reactor.spawn("bip-dht").unwrap());

        let hang = Duration::from_secs(60);
        let (mut found, answer) = (dht.get_peers(crate::proto::id::InfoHash([1; 20])), dht.bootstrapped());
        fuse.post(()).unwrap();
        assert!(matches!(answer.wait(hang), Err(Error::Closed)));
        assert_eq!(found.next(), None);
        assert!(matches!(found.try_end(), Some(Err(Error::Closed))));
        assert!(matches!(dht.next_query(hang), Err(Error::Closed)));
        assert!(!dht.is_alive());
        assert!(matches!(dht.shut_down(hang), Err(Error::Closed)), "it did not end in order");
    }
}
