//! A network of nodes on this host, for development and tests.

use super::builder::bind;
use super::error::Error;
use crate::dht::{self, Command, Config, Event, RequestId};
use crate::machine::{Host as _, Outbox, Rng, mailbox};
use crate::proto::id::NodeId;
use crate::reactor::{self, Reactor, Running, entropy};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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
    joining: Arc<Joining>,
    thread: Running,
}

/// Nodes that become a network: each looks for others, and asks those whom it is to know whether they are there.
#[derive(Debug)]
struct Joining {
    progress: Mutex<Progress>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// What the nodes have been asked and have not answered.
    open: usize,
    /// How to ask each node, and whom it is to know.
    nodes: Vec<(Outbox<Command>, Vec<SocketAddr>)>,
}

impl Progress {
    /// Has a node look for others.
    fn begin(&mut self, node: usize) {
        let Some((mail, known)) = self.nodes.get(node) else { return };
        self.open += 1 + known.len();
        // Nobody else asks these nodes anything but other nodes do. The inbox is there: it is taken.
        let _ = mail.post(Command::Bootstrapped { request: RequestId(0) });
        (0..known.len()).for_each(|which| self.ping(node, which));
    }

    fn ping(&self, node: usize, which: usize) {
        let Some((mail, known)) = self.nodes.get(node) else { return };
        if let Some(address) = known.get(which) {
            let _ = mail.post(Command::Ping { request: RequestId(1 + which as u64), address: *address });
        }
    }
}

impl Joining {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_event(&self, node: usize, event: &Event) {
        let mut progress = self.progress();
        match event {
            Event::Bootstrapped { .. } | Event::Pong { answer: Some(_), .. } => {
                progress.open = progress.open.saturating_sub(1);
                self.done.notify_all();
            }
            // All begin at once: something may have been lost.
            Event::Pong { request, answer: None } => progress.ping(node, (request.0 as usize).saturating_sub(1)),
            _ => {}
        }
    }

    fn wait(&self, timeout: Duration) -> bool {
        let waited = self.done.wait_timeout_while(self.progress(), timeout, |progress| progress.open > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.open == 0
    }
}

/// Says which of the others each node is to know: in each distance as many as a bucket holds, from the next one on. Nodes that begin all at once find
/// those only whom the first knew at the time, and it would take them some seconds to find the others.
fn acquaintances(ids: &[NodeId], bucket: usize) -> Vec<Vec<usize>> {
    let shared = |a: &NodeId, b: &NodeId| {
        a.0.iter()
            .zip(b.0)
            .position(|(a, b)| *a != b)
            .map_or(160, |n| 8 * n + (a.0[n] ^ b.0[n]).leading_zeros() as usize)
    };
    let of = |n: usize| {
        let mut room = [bucket; 161];
        let others = (n + 1..ids.len()).chain(0..n);
        others
            .filter(|other| {
                let room = &mut room[shared(&ids[n], &ids[*other])];
                let has_room = *room > 0;
                *room = room.saturating_sub(1);
                has_room
            })
            .collect()
    };
    (0..ids.len()).map(of).collect()
}

impl Testnet {
    /// Starts that many nodes, at least one. Each takes a socket, of which a process may often have no more than 1,024.
    pub fn spawn(nodes: usize) -> Result<Self, Error> {
        Self::spawn_at((Ipv4Addr::LOCALHOST, 0).into(), nodes)
    }

    /// Does what [`spawn`](Self::spawn) does, with the first node at an address, which must be on loopback.
    pub fn spawn_at(first: SocketAddr, nodes: usize) -> Result<Self, Error> {
        let config = reactor::Config { job_threads: 0, receive_buffer: 64 << 10, ..reactor::Config::default() };
        let mut reactor = Reactor::new(config.clone()).map_err(Error::System)?;
        let secret = entropy::secret().map_err(Error::System)?;
        let mut rng = Rng::new(entropy::seed().map_err(Error::System)?);
        let mut sockets = Vec::new();
        for n in 0..nodes.max(1) {
            sockets.push(bind(if n == 0 { first } else { SocketAddr::new(first.ip(), 0) }, &config)?);
        }
        let addresses: Vec<SocketAddr> = sockets.iter().map(|socket| socket.local()).collect();
        let ids: Vec<_> = sockets.iter().map(|_| dht::random_id(&mut rng)).collect();
        let dht_config = Config { local_network: true, ..Config::default() };
        let known = acquaintances(&ids, dht_config.bucket);
        let joining = Arc::new(Joining { progress: Mutex::default(), done: Condvar::new() });
        for (n, ((socket, id), known)) in sockets.into_iter().zip(ids).zip(known).enumerate() {
            let local = socket.local();
            let routers = addresses.first().filter(|_| n > 0).map(|first| (*first).into()).into_iter().collect();
            let node = dht::Node::new(
                Config { routers, node_id: Some(id), ..dht_config.clone() },
                dht::Start { sockets: vec![local], ..dht::Start::default() },
                rng.fork(),
                &secret.fork(&format!("node {n}")),
            );
            let (mail, inbox) = mailbox(0, reactor.doorbell());
            let told = Arc::clone(&joining);
            let hosted = reactor.host(node, inbox, Box::new(move |event| told.on_event(n, &event)), None);
            reactor.attach(hosted, socket).map_err(|error| Error::Bind { address: local, error })?;
            let known = known.into_iter().filter_map(|other| addresses.get(other).copied()).collect();
            joining.progress().nodes.push((mail, known));
        }
        (0..addresses.len()).for_each(|n| joining.progress().begin(n));
        let thread = reactor.spawn("bip-testnet").map_err(Error::System)?;
        Ok(Self { addresses, joining, thread })
    }

    /// Gives the address of the first node, which the others asked first.
    pub fn bootstrap(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Gives the addresses of all nodes.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits until every node has found its neighbours, for at most that long; says whether they have. From then on what is stored is
    /// found.
    pub fn bootstrapped(&self, timeout: Duration) -> bool {
        self.joining.wait(timeout)
    }

    /// Says whether the nodes run.
    pub fn is_alive(&self) -> bool {
        self.thread.is_alive()
    }
}
