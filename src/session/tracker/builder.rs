//! How a client is made: where it is bound, what it may use, and on which thread it lives.

use super::Trackers;
use super::error::Error;
use super::executor::TrackerExecutor;
use super::routes::Routes;
use crate::machine::{Executor, Host, Rng, mailbox};
use crate::reactor::{self, BindOptions, DatagramSocket, Reactor, entropy};
use crate::tracker::client::{Client, Config, Done, Event, Job, Start};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// How large a datagram the client reads at most, in bytes.
pub(in crate::session) const DATAGRAM: usize = 64 << 10;

/// Makes [`Trackers`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    config: Config,
    bind: Vec<SocketAddr>,
    job_threads: Option<usize>,
}

impl Builder {
    /// Binds to an address, from which UDP trackers are asked; port 0 takes any. Each call adds one; of each family the first is used. Without any it is
    /// all addresses of both families, as far as the host has them. HTTP trackers are asked over the same families, from whichever address the
    /// system takes.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind.push(address);
        self
    }

    /// Sets the limits and habits.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets how many threads look up names and ask HTTP trackers. With 0 neither is done, and such trackers are refused as
    /// [`NoJobs`](crate::tracker::client::Error::NoJobs).
    ///
    /// Default: for [`spawn`](Self::spawn) as many as there may be such jobs at a time, for [`in_caller`](Self::in_caller) none.
    pub fn job_threads(mut self, threads: usize) -> Self {
        self.job_threads = Some(threads);
        self
    }

    /// Starts the client on a thread of its own.
    pub fn spawn(mut self) -> Result<Trackers, Error> {
        self.job_threads.get_or_insert(self.config.jobs());
        let (mut trackers, reactor) = self.build()?;
        trackers.thread = Some(reactor.spawn("bip-trackers").map_err(Error::System)?);
        Ok(trackers)
    }

    /// Makes the client and the reactor that drives it, for a loop of the caller's own: nothing happens but in [`Reactor::turn`], and there
    /// is no thread unless [`job_threads`](Self::job_threads) asks for some.
    pub fn in_caller(self) -> Result<(Trackers, Reactor), Error> {
        let (mut trackers, reactor) = self.build()?;
        trackers.caller_driven = true;
        Ok((trackers, reactor))
    }

    fn build(self) -> Result<(Trackers, Reactor), Error> {
        let job_threads = self.job_threads.unwrap_or(0);
        let config = reactor::Config { job_threads, receive_buffer: DATAGRAM, ..reactor::Config::default() };
        let sockets = if self.bind.is_empty() {
            bind_for(&[], &config)?
        } else {
            self.bind.iter().map(|address| bind(*address, &config)).collect::<Result<Vec<_>, _>>()?
        };
        let addresses: Vec<SocketAddr> = sockets.iter().map(DatagramSocket::local).collect();
        let rng = Rng::new(entropy::seed().map_err(Error::System)?);
        let secret = entropy::secret().map_err(Error::System)?;
        let routes = Arc::new(Routes::new(self.config.max_requests.max(1)));
        let client = Client::new(self.config, Start { sockets: addresses.clone() }, rng, &secret);

        let mut reactor = Reactor::new(config).map_err(Error::System)?;
        let (mail, inbox) = mailbox(0, reactor.doorbell());
        let outlet = Outlet { routes: Arc::clone(&routes) };
        let executor = (job_threads > 0).then(|| Box::new(TrackerExecutor) as Box<dyn Executor<Job, Done>>);
        let hosted = reactor.host(client, inbox, Box::new(move |event| outlet.take(event)), executor);
        for (socket, address) in sockets.into_iter().zip(&addresses) {
            reactor.attach(hosted, socket).map_err(|error| Error::Bind { address: *address, error })?;
        }
        let (next_request, next_torrent) = (AtomicU64::new(0), AtomicU32::new(0));
        let trackers =
            Trackers { mail, routes, addresses, next_request, next_torrent, thread: None, caller_driven: false };
        Ok((trackers, reactor))
    }
}

/// Binds a socket of one family.
fn bind(address: SocketAddr, config: &reactor::Config) -> Result<DatagramSocket, Error> {
    let options = BindOptions { only_v6: true, ..BindOptions::default() };
    DatagramSocket::bind(address, options, config).map_err(|error| Error::Bind { address, error })
}

/// Binds a socket for each family in which peers reach us at these addresses, so that trackers see the right one of ours; without any, one for
/// each family that the host has.
pub(in crate::session) fn bind_for(
    listening: &[SocketAddr],
    config: &reactor::Config,
) -> Result<Vec<DatagramSocket>, Error> {
    let (any_v4, any_v6) = (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    let at = |is_v4: bool| {
        let own = listening.iter().find(|address| address.is_ipv4() == is_v4 && !address.ip().is_unspecified());
        own.map(|address| SocketAddr::new(address.ip(), 0))
    };
    // `[::]` may take IPv4 too.
    let anywhere = listening.is_empty() || listening.iter().any(|address| address.ip().is_unspecified());
    let v4 = at(true).or(Some(any_v4).filter(|_| anywhere));
    let v6 = at(false).or(Some(any_v6).filter(|_| anywhere));
    let bound: Vec<_> = [v4, v6].into_iter().flatten().map(|address| bind(address, config)).collect();
    let (sockets, mut errors): (Vec<_>, Vec<_>) = bound.into_iter().partition(Result::is_ok);
    match errors.pop() {
        Some(Err(error)) if sockets.is_empty() => Err(error),
        _ => Ok(sockets.into_iter().flatten().collect()),
    }
}

/// Brings what the client tells to where it belongs, on the client's own thread.
struct Outlet {
    routes: Arc<Routes>,
}

impl Outlet {
    fn take(&self, event: Event) {
        self.routes.deliver(event);
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // However the client ended, nobody is to wait for it.
        self.routes.close();
    }
}
