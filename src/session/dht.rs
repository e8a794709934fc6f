//! A DHT node by the hand of a program: on a thread of its own, or in a loop of the program's.
//!
//! [`Dht`] hosts a [`Node`](crate::dht::Node). What is asked of it goes on in the background; each call gives something to wait on, or to
//! look at now and then:
//!
//! - [`Findings`]: what is found while it goes on, an iterator that ends;
//! - [`Answer`]: one answer.
//!
//! Dropping either cancels what was asked for. Dropping the [`Dht`] stops the node, within two seconds.
//!
//! ```
//! use bip::session::dht::Dht;
//! use std::time::Duration;
//!
//! // A network of two nodes on this host.
//! let first = Dht::builder().local_network().bind("127.0.0.1:0".parse()?).spawn()?;
//! let second = Dht::builder().bind("127.0.0.1:0".parse()?).router(first.addresses()[0]).spawn()?;
//! assert_eq!(second.bootstrapped().wait(Duration::from_secs(10))?, 1);
//!
//! let info_hash = "0123456789abcdef0123456789abcdef01234567".parse()?;
//! let announced = second.announce(info_hash, Some(6881), false).wait(Duration::from_secs(10))?;
//! assert_eq!(announced.nodes, 1);
//! let peers: Vec<_> = second.get_peers(info_hash).collect();
//! assert_eq!(peers, ["127.0.0.1:6881".parse()?]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod builder;
mod error;
mod executor;
mod testnet;

pub use answer::{Announced, Answer, Findings, Got, Next, PeersFound, Sample, Stored};
pub use builder::Builder;
pub use error::Error;
pub use testnet::Testnet;

use super::waiting::{End, Waiting, stop};
use crate::dht::{self, Command, Item, LookupStats, Queried, RequestId, Signed, Status, TableView};
use crate::machine::{Events, Outbox, RecvError};
use crate::proto::compact::Node;
use crate::proto::id::{InfoHash, NodeId};
use crate::reactor::Running;
use answer::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How many commands may wait to be read where a named node is still added to them.
const MAX_UNREAD: usize = 1024;

/// Those who wait for what a node finds.
type Waiters = Waiting<RequestId, dht::Event>;

/// How long dropping a node may take.
const DROP_DEADLINE: Duration = Duration::from_secs(2);

/// The status that a node last published.
type Board = Arc<RwLock<Arc<Status>>>;

/// A DHT node. The [module's page](self) has an example.
///
/// It may be asked from several threads at a time. Of requests that are not answered there are at most
/// [`Config::max_requests`](crate::dht::Config::max_requests); another is refused at once, as [`Refusal::Busy`](crate::dht::Refusal::Busy).
#[derive(Debug)]
pub struct Dht {
    mail: Outbox<Command>,
    waiting: Arc<Waiters>,
    board: Board,
    queries: Events<Queried>,
    addresses: Vec<SocketAddr>,
    next_request: AtomicU64,
    thread: Option<Running>,
    caller_driven: bool,
}

impl Dht {
    /// Starts making a node.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Gives the addresses that the node is bound to, with the ports that were taken.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Finds peers of a torrent.
    pub fn get_peers(&self, info_hash: InfoHash) -> Findings<SocketAddr, PeersFound> {
        self.find_peers(info_hash, false, false)
    }

    /// Finds peers of a torrent, those only that are no seeds if so wished, and counts its seeds and other peers if so wished (BEP 33).
    pub fn find_peers(&self, info_hash: InfoHash, no_seeds: bool, scrape: bool) -> Findings<SocketAddr, PeersFound> {
        self.find(|request| Command::GetPeers { request, info_hash, no_seeds, scrape }, answer::peers)
    }

    /// Tells the nodes nearest to a torrent that we are a peer of it, at a port, or at the one that the node is bound to (`None`), and
    /// whether we have all of it. To be done again every 15 to 30 minutes, for nodes forget.
    pub fn announce(&self, info_hash: InfoHash, port: Option<u16>, seed: bool) -> Answer<Announced> {
        self.ask(|request| Command::Announce { request, info_hash, port, seed }, answer::announced)
    }

    /// Does what [`announce`](Self::announce) does, and gives the peers that are found on the way.
    pub fn announce_and_find(
        &self,
        info_hash: InfoHash,
        port: Option<u16>,
        seed: bool,
    ) -> Findings<SocketAddr, Announced> {
        self.find(|request| Command::Announce { request, info_hash, port, seed }, answer::peers_and_announced)
    }

    /// Finds the nodes nearest to an id.
    pub fn find_node(&self, target: NodeId) -> Answer<Vec<Node>> {
        self.ask(|request| Command::FindNode { request, target }, answer::nodes)
    }

    /// Finds a value by the SHA-1 of its bencode (BEP 44).
    pub fn get_immutable(&self, target: NodeId) -> Answer<Got> {
        self.ask(|request| Command::GetImmutable { request, target }, answer::got)
    }

    /// Finds what the owner of a public key has signed (BEP 44): each that is newer than what came before, and the newest at the end.
    /// Only values with a sequence number above `newer_than` count, where it is given.
    pub fn get_mutable(&self, key: [u8; 32], salt: &[u8], newer_than: Option<i64>) -> Findings<Item, Got> {
        let salt = salt.to_vec();
        self.find(|request| Command::GetMutable { request, key, salt, newer_than }, answer::items)
    }

    /// Stores a value, canonical bencode of at most 1,000 bytes, under its SHA-1 (BEP 44). To be done again every hour, for nodes forget.
    pub fn put_immutable(&self, value: &[u8]) -> Answer<Stored> {
        let value = value.to_vec();
        self.ask(|request| Command::PutImmutable { request, value }, answer::stored)
    }

    /// Stores a signed value (BEP 44), in place of the one with the sequence number `cas`, where that is given. To be done again every
    /// hour, for nodes forget.
    pub fn put_mutable(&self, item: Signed, cas: Option<i64>) -> Answer<Stored> {
        self.ask(|request| Command::PutMutable { request, item, cas }, answer::stored)
    }

    /// Asks the nodes near an id which torrents they know peers of (BEP 51).
    pub fn sample(&self, target: NodeId) -> Findings<Sample, LookupStats> {
        self.find(|request| Command::Sample { request, target }, answer::samples)
    }

    /// Asks a node whether it is there: its id, and how long it took.
    pub fn ping(&self, address: SocketAddr) -> Answer<Option<(NodeId, Duration)>> {
        self.ask(|request| Command::Ping { request, address }, answer::pong)
    }

    /// Waits until the node has found others; gives how many are in its tables. 0: it is the first of its network.
    pub fn bootstrapped(&self) -> Answer<usize> {
        self.ask(|request| Command::Bootstrapped { request }, answer::bootstrapped)
    }

    /// Lists the routing tables.
    pub fn table(&self) -> Answer<Vec<TableView>> {
        self.ask(|request| Command::Table { request }, answer::table)
    }

    /// Gives the state, for [`Builder::state`] of another node.
    pub fn save(&self) -> Answer<Vec<u8>> {
        self.ask(|request| Command::Save { request }, answer::state)
    }

    /// Names a node that may be there: from a torrent's `nodes`, or a peer's PORT message. It is asked, as far as queries may be sent
    /// ([`Config::query_rate`](crate::dht::Config::query_rate)), and taken in if it answers. Where the node has 1,024 commands still to read, it is
    /// passed over.
    pub fn add_node(&self, address: SocketAddr) {
        self.mail.hint(Command::AddNode { address }, MAX_UNREAD);
    }

    /// Says that the network is another, or back: the node looks for others at once.
    pub fn network_changed(&self) {
        let _ = self.mail.post(Command::NetworkChanged);
    }

    /// Gives how the node is, as last published: at most once a second, when something has changed.
    pub fn status(&self) -> Arc<Status> {
        // A pointer is put in whole: a panic in between leaves nothing half done.
        Arc::clone(&self.board.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives the next query of somebody else's that is waiting, where
    /// [`Config::report_queries`](crate::dht::Config::report_queries) is on; does not wait for one.
    pub fn try_query(&self) -> Result<Option<Queried>, Error> {
        read(self.queries.try_next())
    }

    /// Waits for the next query of somebody else's, for at most that long. See [`try_query`](Self::try_query).
    pub fn next_query(&self, timeout: Duration) -> Result<Option<Queried>, Error> {
        if self.caller_driven {
            return Err(Error::WouldDeadlock);
        }
        read(self.queries.next_timeout(timeout))
    }

    /// Gives how many queries of others were not told of since the last call because they were not read in time.
    pub fn missed_queries(&self) -> usize {
        self.queries.missed()
    }

    /// Says whether the node runs.
    pub fn is_alive(&self) -> bool {
        !self.waiting.is_closed()
    }

    /// Asks the node to save its state and end. For a node in a loop of the caller's: to be waited for by turning on.
    pub fn try_shut_down(&self) {
        let _ = self.mail.post(Command::ShutDown);
    }

    /// Saves the state and stops the node.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: it took longer and was cut short. [`Error::Closed`]: the node had panicked. [`Error::WouldDeadlock`]: the caller's
    /// loop drives the node; call [`try_shut_down`](Self::try_shut_down), turn on until [`is_alive`](Self::is_alive) says no, and drop both.
    pub fn shut_down(mut self, deadline: Duration) -> Result<(), Error> {
        if self.caller_driven {
            return Err(Error::WouldDeadlock);
        }
        self.end(deadline)
    }

    fn end(&mut self, deadline: Duration) -> Result<(), Error> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.try_shut_down();
        let ended = self.waiting.wait_for_end(deadline / 2);
        match stop(thread, deadline / 2, ended, "a DHT node") {
            End::Done => Ok(()),
            End::Broken => Err(Error::Closed),
            End::Late => Err(Error::TimedOut),
        }
    }

    fn ask<T>(&self, command: impl FnOnce(RequestId) -> Command, read: fn(dht::Event) -> Read<(), T>) -> Answer<T> {
        Answer::new(self.find(command, read))
    }

    fn find<T, E>(
        &self,
        command: impl FnOnce(RequestId) -> Command,
        read: fn(dht::Event) -> Read<T, E>,
    ) -> Findings<T, E> {
        let request = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        let events = self.waiting.open(request);
        if events.is_some() {
            // If the node is gone, its ways are closed, and so is this one.
            let _ = self.mail.post(command(request));
        }
        Findings::new(request, events, self.mail.clone(), Arc::clone(&self.waiting), self.caller_driven, read)
    }
}

fn read<T>(received: Result<T, RecvError>) -> Result<Option<T>, Error> {
    match received {
        Ok(event) => Ok(Some(event)),
        Err(RecvError::Empty) => Ok(None),
        Err(RecvError::Closed) => Err(Error::Closed),
    }
}

impl Drop for Dht {
    fn drop(&mut self) {
        if let Err(error) = self.end(DROP_DEADLINE) {
            log::warn!(target: "bip::dht", "dropped: {error}");
        }
    }
}
