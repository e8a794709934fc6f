//! A tracker by the hand of a program: on threads of its own, or in a loop of the program's.
//!
//! [`TrackerServer`] hosts [`Server`](crate::tracker::server::Server)s: several workers share each UDP port, the swarms and the connection ids, so that it does not matter
//! which of them a client comes to. HTTP is the first worker's. Dropping the [`TrackerServer`] stops it, within two seconds.
//!
//! ```
//! use bip::session::tracker_server::TrackerServer;
//!
//! let tracker = TrackerServer::builder().udp("127.0.0.1:0".parse()?).http("127.0.0.1:0".parse()?).spawn()?;
//! println!("udp://{}", tracker.udp()[0]);
//! println!("http://{}/announce", tracker.http()[0]);
//! assert_eq!(tracker.figures().announces(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod error;

pub use builder::Builder;
pub use error::Error;

use crate::machine::{Events, Outbox, RecvError, SendError};
use crate::reactor::{Running, StopError};
use crate::tracker::server::{Access, Command, Event, Figures, Refusal, RequestId, Swarms};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long dropping a server may take.
const DROP_DEADLINE: Duration = Duration::from_secs(2);

/// One of the machines, as the program sees it.
#[derive(Debug)]
struct Worker {
    mail: Outbox<Command>,
    events: Events<Event>,
    alive: Arc<AtomicBool>,
    thread: Option<Running>,
}

/// A tracker. The [module's page](self) has an example.
#[derive(Debug)]
pub struct TrackerServer {
    workers: Vec<Worker>,
    /// The machine that shows the figures, if any does: in the first worker's thread.
    shows: Option<Worker>,
    swarms: Arc<Swarms>,
    udp: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    metrics: Vec<SocketAddr>,
    max_listed: usize,
    next_request: AtomicU64,
    /// Held while a list is sent, so that all workers get the same last.
    listing: Mutex<()>,
    caller_driven: bool,
}

impl TrackerServer {
    /// Starts making a server.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Gives the addresses at which it answers over UDP, with the ports that were taken.
    pub fn udp(&self) -> &[SocketAddr] {
        &self.udp
    }

    /// Gives the addresses at which it answers over HTTP, with the ports that were taken.
    pub fn http(&self) -> &[SocketAddr] {
        &self.http
    }

    /// Gives the addresses at which `/metrics` is, with the ports that were taken.
    pub fn metrics(&self) -> &[SocketAddr] {
        &self.metrics
    }

    /// Gives what it has done and how much it knows, as of now: no worker is asked.
    pub fn figures(&self) -> Figures {
        self.swarms.figures()
    }

    /// Gives the swarms: for a program that wants to look at them, or to announce a peer of its own.
    pub fn swarms(&self) -> &Arc<Swarms> {
        &self.swarms
    }

    /// Serves other torrents from now on; gives how many info hashes are listed. Does not wait: requests that have come are answered by the old list.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`]: the list is too long, and the old one stays. [`Error::Busy`]: many lists were sent, and the workers are not done with them.
    /// [`Error::Closed`]: the server has stopped.
    pub fn set_access(&self, access: Access) -> Result<usize, Error> {
        let listed = access.listed();
        if listed > self.max_listed {
            return Err(Error::Refused(Refusal::TooMany { limit: self.max_listed }));
        }
        let _listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        for worker in &self.workers {
            // Reading the answers to earlier ones makes room.
            loop {
                match worker.events.try_next() {
                    Ok(_) => {}
                    Err(RecvError::Empty) => break,
                    Err(RecvError::Closed) => return Err(Error::Closed),
                }
            }
        }
        for worker in &self.workers {
            let request = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
            worker.mail.send(Command::SetAccess { request, access: access.clone() }).map_err(|error| match error {
                SendError::Busy(_) => Error::Busy,
                SendError::Closed(_) => Error::Closed,
            })?;
        }
        Ok(listed)
    }

    /// Says whether all of its workers run.
    pub fn is_alive(&self) -> bool {
        self.workers.iter().chain(&self.shows).all(|worker| worker.alive.load(Ordering::Relaxed))
    }

    /// Stops the server: answers that are on their way are sent.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: it took longer and was cut short. [`Error::Closed`]: a worker had panicked. [`Error::WouldDeadlock`]: the caller's loop drives it; drop
    /// the reactor instead.
    pub fn shut_down(mut self, deadline: Duration) -> Result<(), Error> {
        if self.caller_driven {
            return Err(Error::WouldDeadlock);
        }
        self.end(deadline)
    }

    fn end(&mut self, deadline: Duration) -> Result<(), Error> {
        let threads: Vec<Running> = self.workers.iter_mut().filter_map(|worker| worker.thread.take()).collect();
        // All at once, then each is waited for.
        threads.iter().for_each(|thread| thread.stopper().stop(deadline));
        let mut result = Ok(());
        for thread in threads {
            let end = match thread.stop(deadline) {
                Ok(()) => Ok(()),
                Err(error @ (StopError::Panicked(_) | StopError::Poll(_))) => {
                    log::warn!(target: "bip::tracker", "a worker ended badly: {error}");
                    Err(Error::Closed)
                }
                Err(_) => Err(Error::TimedOut),
            };
            result = result.and(end);
        }
        result
    }
}

impl Drop for TrackerServer {
    fn drop(&mut self) {
        if let Err(error) = self.end(DROP_DEADLINE) {
            log::warn!(target: "bip::tracker", "dropped: {error}");
        }
    }
}
