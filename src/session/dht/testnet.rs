//! A network of nodes on this host, for development and tests.

use super::builder::bind;
use super::error::Error;
use crate::dht::{self, Command, Config, Event, RequestId};
use crate::machine::{Host as _, Rng, mailbox};
use crate::proto::id::NodeId;
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
    open: Arc<Open>,
    thread: Running,
}

/// How many questions to its nodes a network waits for.
#[derive(Debug)]
struct Open {
    questions: Mutex<usize>,
    none: Condvar,
}

impl Open {
    fn on_event(&self, event: &Event) {
        if let Event::Bootstrapped { .. } | Event::Pong { .. } = event {
            *self.questions.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
            self.none.notify_all();
        }
    }

    fn wait(&self, timeout: Duration) -> bool {
        let open = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.none.wait_timeout_while(open, timeout, |open| *open > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
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
        let ids: Vec<_> = (0..nodes.max(1)).map(|_| dht::random_id(&mut rng)).collect();
        let dht_config = Config { local_network: true, ..Config::default() };
        let known = acquaintances(&ids, dht_config.bucket);
        let questions = Mutex::new(ids.len() + known.iter().map(Vec::len).sum::<usize>());
        let open = Arc::new(Open { questions, none: Condvar::new() });
        let (mut addresses, mut mails) = (Vec::new(), Vec::new());
        for (n, id) in ids.into_iter().enumerate() {
            let address = if n == 0 { first } else { SocketAddr::new(first.ip(), 0) };
            let socket = bind(address, &config)?;
            let local = socket.local();
            let routers = addresses.first().map(|first: &SocketAddr| (*first).into()).into_iter().collect();
            let node = dht::Node::new(
                Config { routers, node_id: Some(id), ..dht_config.clone() },
                dht::Start { sockets: vec![local], ..dht::Start::default() },
                rng.fork(),
                &secret.fork(&format!("node {n}")),
            );
            let (mail, inbox) = mailbox(0, reactor.doorbell());
            let asked = Arc::clone(&open);
            let hosted = reactor.host(node, inbox, Box::new(move |event| asked.on_event(&event)), None);
            reactor.attach(hosted, socket).map_err(|error| Error::Bind { address: local, error })?;
            addresses.push(local);
            mails.push(mail);
        }
        for (mail, known) in mails.iter().zip(known) {
            // Besides this, nobody asks these nodes anything but other nodes. The inbox is there: it is taken.
            let _ = mail.post(Command::Bootstrapped { request: RequestId(0) });
            for (n, other) in (1..).zip(known) {
                let _ = mail.post(Command::Ping { request: RequestId(n), address: addresses[other] });
            }
        }
        let thread = reactor.spawn("bip-testnet").map_err(Error::System)?;
        Ok(Self { addresses, open, thread })
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
        self.open.wait(timeout)
    }

    /// Says whether the nodes run.
    pub fn is_alive(&self) -> bool {
        self.thread.is_alive()
    }
}
