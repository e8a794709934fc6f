//! A network of nodes on this host, for development and tests.

use super::builder::bind;
use super::error::Error;
use crate::dht::{self, Command, Config, Event, RequestId};
use crate::machine::{Host as _, Rng, mailbox};
use crate::reactor::{self, Reactor, Running, entropy};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A network of DHT nodes on loopback, all on one thread; it ends when this is dropped.
///
/// ```
/// use bip::session::dht::{Dht, Testnet};
/// use std::time::Duration;
///
/// let network = Testnet::spawn(10)?;
/// assert!(network.bootstrapped(Duration::from_secs(10)));
/// let dht = Dht::builder().bind("127.0.0.1:0".parse()?).router(network.bootstrap()).spawn()?;
/// assert!(dht.bootstrapped().wait(Duration::from_secs(10))? > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Testnet {
    addresses: Vec<SocketAddr>,
    found: Arc<Found>,
    thread: Running,
}

/// How many nodes have found others.
#[derive(Debug, Default)]
struct Found {
    nodes: Mutex<usize>,
    more: Condvar,
}

impl Found {
    fn add(&self) {
        *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.more.notify_all();
    }

    fn wait_for(&self, nodes: usize, timeout: Duration) -> bool {
        let found = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.more.wait_timeout_while(found, timeout, |found| *found < nodes);
        *waited.unwrap_or_else(PoisonError::into_inner).0 >= nodes
    }
}

impl Testnet {
    /// Starts that many nodes, at least one; the others know the first. Each takes a socket, of which a process may often have no more
    /// than 1,024.
    pub fn spawn(nodes: usize) -> Result<Self, Error> {
        Self::spawn_at((Ipv4Addr::LOCALHOST, 0).into(), nodes)
    }

    /// Does what [`spawn`](Self::spawn) does, with the first node at an address, which must be on loopback.
    pub fn spawn_at(first: SocketAddr, nodes: usize) -> Result<Self, Error> {
        let config = reactor::Config { job_threads: 0, receive_buffer: 64 << 10, ..reactor::Config::default() };
        let mut reactor = Reactor::new(config.clone()).map_err(Error::System)?;
        let secret = entropy::secret().map_err(Error::System)?;
        let mut rng = Rng::new(entropy::seed().map_err(Error::System)?);
        let (mut addresses, found) = (Vec::new(), Arc::new(Found::default()));
        for n in 0..nodes.max(1) {
            let address = if n == 0 { first } else { SocketAddr::new(first.ip(), 0) };
            let socket = bind(address, &config)?;
            let local = socket.local();
            let routers = addresses.first().map(|first: &SocketAddr| (*first).into()).into_iter().collect();
            let node = dht::Node::new(
                Config { local_network: true, routers, ..Config::default() },
                dht::Start { sockets: vec![local], ..dht::Start::default() },
                rng.fork(),
                &secret.fork(&format!("node {n}")),
            );
            let (mail, inbox) = mailbox(0, reactor.doorbell());
            let found = Arc::clone(&found);
            let outlet = move |event| {
                if let Event::Bootstrapped { .. } = event {
                    found.add();
                }
            };
            let hosted = reactor.host(node, inbox, Box::new(outlet), None);
            // Besides this, nobody asks these nodes anything but other nodes. The inbox is there: it is taken.
            let _ = mail.post(Command::Bootstrapped { request: RequestId(0) });
            reactor.attach(hosted, socket).map_err(|error| Error::Bind { address: local, error })?;
            addresses.push(local);
        }
        let thread = reactor.spawn("bip-testnet").map_err(Error::System)?;
        Ok(Self { addresses, found, thread })
    }

    /// Gives the address of the first node, which the others asked first.
    pub fn bootstrap(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Gives the addresses of all nodes.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits until every node has found others, for at most that long; says whether they have.
    pub fn bootstrapped(&self, timeout: Duration) -> bool {
        self.found.wait_for(self.addresses.len(), timeout)
    }

    /// Says whether the nodes run.
    pub fn is_alive(&self) -> bool {
        self.thread.is_alive()
    }
}
