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

use super::waiting::{End, stop};
use crate::machine::{Events, Outbox, RecvError, Rng, SendError};
use crate::reactor::{Clock, Running};
use crate::tracker::server::{
    Access, Announcement, Command, Counts, Drawn, Event, Figures, Full, Refusal, RequestId, Swarms,
};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lists that a worker may not be done with.
const COMMANDS: usize = 16;
/// How long dropping a server may take.
const DROP_DEADLINE: Duration = Duration::from_secs(2);
/// How much of its time a thread is given to end once its reactor has stopped.
const GRACE: Duration = Duration::from_millis(200);

/// One of the machines, as the program sees it.
#[derive(Debug)]
struct Worker {
    mail: Outbox<Command>,
    events: Events<Event>,
    alive: Arc<AtomicBool>,
    thread: Option<Running>,
}

/// What the workers were asked and have not answered, as far as their answers were read.
#[derive(Debug)]
struct Unanswered {
    /// How many lists each worker has got.
    lists: Vec<usize>,
    /// Whether the first was asked to look for peers that are over.
    sweep: bool,
    /// What peers are drawn with for the program.
    rng: Rng,
}

/// A tracker. The [module's page](self) has an example.
#[derive(Debug)]
pub struct TrackerServer {
    workers: Vec<Worker>,
    /// The machine that shows the figures, if any does: in the first worker's thread.
    shows: Option<Worker>,
    swarms: Arc<Swarms>,
    /// The time of all workers.
    clock: Clock,
    udp: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    metrics: Vec<SocketAddr>,
    max_listed: usize,
    next_request: AtomicU64,
    /// Held while a list is sent, so that all workers get the same last.
    unanswered: Mutex<Unanswered>,
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

    /// Gives the swarms, to be looked at. To announce a peer is for [`announce`](Self::announce), which knows the time.
    pub fn swarms(&self) -> &Arc<Swarms> {
        &self.swarms
    }

    /// Announces a peer of the program's own, as if it had sent an announce to the tracker; gives the figures of its torrent, and peers as they are
    /// wanted. Neither lists nor rules are asked. It is known for [`SwarmLimits::peer_timeout`](crate::tracker::server::SwarmLimits::peer_timeout),
    /// unless it is announced again.
    ///
    /// # Errors
    ///
    /// [`Error::NoRoom`]: there are as many torrents as there may be. [`Error::Closed`]: the server has stopped.
    ///
    /// ```
    /// use bip::proto::id::InfoHash;
    /// use bip::session::tracker_server::TrackerServer;
    /// use bip::tracker::server::Announcement;
    ///
    /// let tracker = TrackerServer::builder().udp("127.0.0.1:0".parse()?).spawn()?;
    /// let ours = Announcement { seed: true, ..Announcement::new(InfoHash([7; 20]), "192.0.2.1:6881".parse()?) };
    /// let (counts, peers) = tracker.announce(&ours)?;
    /// assert_eq!((counts.seeders, peers.v4.len()), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn announce(&self, announcement: &Announcement) -> Result<(Counts, Drawn), Error> {
        let first = self.workers.first().ok_or(Error::Closed)?;
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        self.hear(&mut unanswered)?;
        let mut drawn = Drawn::default();
        let peer = SocketAddr::new(announcement.peer.ip().to_canonical(), announcement.peer.port());
        let asked = Announcement { peer, ..*announcement };
        let announced = self.swarms.announce(self.clock.now(), &asked, &mut unanswered.rng, &mut drawn);
        let counts = announced.map_err(|Full| Error::NoRoom)?;
        // After the announce: a worker that has answered before it may have found nobody, and ceased.
        self.hear(&mut unanswered)?;
        if !unanswered.sweep {
            self.tell(first, |request| Command::Sweep { request })?;
            unanswered.sweep = true;
        }
        Ok((counts, drawn))
    }

    /// Serves other torrents from now on; gives how many info hashes are listed. Does not wait: requests that have come are answered by the old list.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`]: the list is too long, and the old one stays. [`Error::Busy`]: 16 lists were sent that a worker is not done with; none of them has
    /// got this one. [`Error::Closed`]: the server, or one of its workers, has stopped.
    pub fn set_access(&self, access: Access) -> Result<usize, Error> {
        let listed = access.listed();
        if listed > self.max_listed {
            return Err(Error::Refused(Refusal::TooMany { limit: self.max_listed }));
        }
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        self.hear(&mut unanswered)?;
        // All or none: workers with different lists would answer the same client in different ways.
        if unanswered.lists.iter().any(|lists| *lists >= COMMANDS) {
            return Err(Error::Busy);
        }
        for (worker, lists) in self.workers.iter().zip(&mut unanswered.lists) {
            self.tell(worker, |request| Command::SetAccess { request, access: access.clone() })?;
            *lists += 1;
        }
        Ok(listed)
    }

    /// Reads the workers' answers, which makes room for more.
    fn hear(&self, unanswered: &mut Unanswered) -> Result<(), Error> {
        let Unanswered { lists, sweep, .. } = unanswered;
        for (worker, lists) in self.workers.iter().zip(lists) {
            loop {
                match worker.events.try_next() {
                    Ok(Event::Sweeping { .. }) => *sweep = false,
                    Ok(_) => *lists = lists.saturating_sub(1),
                    Err(RecvError::Empty) => break,
                    Err(RecvError::Closed) => return Err(Error::Closed),
                }
            }
        }
        Ok(())
    }

    fn tell(&self, worker: &Worker, command: impl FnOnce(RequestId) -> Command) -> Result<(), Error> {
        let request = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        worker.mail.send(command(request)).map_err(|error| match error {
            SendError::Busy(_) => Error::Busy,
            SendError::Closed(_) => Error::Closed,
        })
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
        let end = self.clock.now() + deadline;
        // All at once; then each is waited for, as long as time is left of that of all.
        threads.iter().for_each(|thread| thread.stopper().stop(deadline - GRACE.min(deadline / 4)));
        // Each is waited for, whatever became of those before.
        let mut result = Ok(());
        for thread in threads {
            let end = match stop(thread, self.clock.until(end), true, "a tracker") {
                End::Done => Ok(()),
                End::Broken => Err(Error::Closed),
                End::Late => Err(Error::TimedOut),
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
