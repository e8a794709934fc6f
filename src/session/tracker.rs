//! A client of trackers by the hand of a program: on a thread of its own, or in a loop of the program's.
//!
//! [`Trackers`] hosts a [`Client`](crate::tracker::client::Client), and needs no session. What is asked of it goes on in the background; each call gives
//! something to wait on, or to look at now and then:
//!
//! - [`Answer`]: one answer;
//! - [`Followed`]: what the trackers of a torrent tell for as long as it is announced.
//!
//! Dropping either ends what was asked for. Dropping the [`Trackers`] ends all, within two seconds.
//!
//! ```
//! use bip::proto::id::InfoHash;
//! use bip::session::tracker::{Error, Trackers};
//! use bip::tracker::client;
//! use std::time::Duration;
//!
//! let trackers = Trackers::builder().bind("127.0.0.1:0".parse()?).spawn()?;
//! // Nobody listens there.
//! let url = "udp://127.0.0.1:9/announce".parse()?;
//! let scraped = trackers.scrape(&url, vec![InfoHash([1; 20])]).wait(Duration::from_millis(10));
//! assert!(matches!(scraped, Err(Error::TimedOut)));
//! let none = trackers.scrape(&url, Vec::new()).wait(Duration::from_secs(10));
//! assert!(matches!(none, Err(Error::Tracker(client::Error::WrongCount { hashes: 0 }))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For a torrent's whole life, see [`Trackers::follow`].

mod answer;
mod builder;
mod error;
mod executor;
mod followed;
mod news;
mod routes;

pub use answer::Answer;
pub use builder::Builder;
pub(super) use builder::{DATAGRAM, bind_for};
pub use error::Error;
pub(super) use executor::TrackerExecutor;
pub use followed::Followed;
pub use news::News;

use super::waiting::{End, stop};
use crate::machine::{Outbox, TorrentId};
use crate::proto::compact::Family;
use crate::proto::http_tracker::ScrapeFile;
use crate::proto::id::InfoHash;
use crate::proto::tracker_url::TrackerUrl;
use crate::reactor::Running;
use crate::tracker::client::{Announce, AnnounceReply, Command, Event, Following, RequestId, Trust};
use answer::Read;
use routes::Routes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// How long dropping a client may take.
const DROP_DEADLINE: Duration = Duration::from_secs(2);

/// A client of trackers. The [module's page](self) has an example.
///
/// It may be asked from several threads at a time. Of requests that are not answered there are at most
/// [`Config::max_requests`](crate::tracker::client::Config::max_requests); another is refused at once, as
/// [`Busy`](crate::tracker::client::Error::Busy).
#[derive(Debug)]
pub struct Trackers {
    mail: Outbox<Command>,
    routes: Arc<Routes>,
    addresses: Vec<SocketAddr>,
    next_request: AtomicU64,
    next_torrent: AtomicU32,
    thread: Option<Running>,
    caller_driven: bool,
}

impl Trackers {
    /// Starts making a client.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Gives the addresses from which UDP trackers are asked.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Announces once, to a tracker that the user named.
    pub fn announce(&self, url: &TrackerUrl, announce: Announce) -> Answer<AnnounceReply> {
        self.announce_by(url, Trust::Local, None, announce)
    }

    /// Announces once, over one family if so wished, to a tracker that was named by somebody.
    pub fn announce_by(
        &self,
        url: &TrackerUrl,
        trust: Trust,
        family: Option<Family>,
        announce: Announce,
    ) -> Answer<AnnounceReply> {
        let url = url.clone();
        self.ask(|request| Command::Announce { request, url, trust, family, announce }, answer::announced)
    }

    /// Asks a tracker that the user named for the figures of torrents: one for each, in that order.
    pub fn scrape(&self, url: &TrackerUrl, info_hashes: Vec<InfoHash>) -> Answer<Vec<ScrapeFile>> {
        let (url, trust) = (url.clone(), Trust::Local);
        self.ask(|request| Command::Scrape { request, url, trust, info_hashes }, answer::scraped)
    }

    /// Announces a torrent at its trackers until what this gives is dropped.
    ///
    /// ```
    /// use bip::proto::id::{InfoHash, PeerId};
    /// use bip::session::tracker::{News, Trackers};
    /// use bip::tracker::client::Following;
    /// use std::time::Duration;
    ///
    /// let trackers = Trackers::builder().bind("127.0.0.1:0".parse()?).spawn()?;
    /// // A stranger is not asked where he listens in our own network: see `Trust`.
    /// let tiers = vec![vec!["http://127.0.0.1/admin".parse()?]];
    /// let followed = trackers.follow(Following::new(InfoHash([1; 20]), PeerId([2; 20]), 6881, tiers));
    /// match followed.next(Duration::from_secs(10))? {
    ///     Some(News::Tracker(status)) => println!("{}: {:?}", status.url, status.error),
    ///     other => println!("{other:?}"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn follow(&self, following: Following) -> Followed {
        let torrent = TorrentId(self.next_torrent.fetch_add(1, Ordering::Relaxed));
        let news = self.routes.follow(torrent);
        // If the client is gone, its routes are closed, and so is this one.
        let _ = self.mail.post(Command::Follow { torrent, following: Box::new(following) });
        Followed::new(torrent, news, self.mail.clone(), self.caller_driven)
    }

    /// Says whether the client runs.
    pub fn is_alive(&self) -> bool {
        !self.routes.waiting.is_closed()
    }

    /// Asks the client to tell trackers `stopped` and end. For a client in a loop of the caller's: to be waited for by turning on.
    pub fn try_shut_down(&self) {
        let _ = self.mail.post(Command::ShutDown);
    }

    /// Tells trackers `stopped` and stops the client. Trackers that do not take it have three quarters of the deadline at most.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: it took longer and was cut short. [`Error::Closed`]: the client had panicked. [`Error::WouldDeadlock`]: the
    /// caller's loop drives the client; call [`try_shut_down`](Self::try_shut_down), turn on until [`is_alive`](Self::is_alive) says no, and drop both.
    pub fn shut_down(mut self, deadline: Duration) -> Result<(), Error> {
        if self.caller_driven {
            return Err(Error::WouldDeadlock);
        }
        self.end(deadline)
    }

    fn end(&mut self, deadline: Duration) -> Result<(), Error> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // Trackers that take no `stopped` are no reason to be late: a quarter of the time is for all else.
        let _ = self.mail.post(Command::StopWithin { time: deadline - deadline / 4 });
        self.try_shut_down();
        let ended = self.routes.waiting.wait_for_end(deadline - deadline / 8);
        match stop(thread, deadline / 8, ended, "a client of trackers") {
            End::Done => Ok(()),
            End::Broken => Err(Error::Closed),
            End::Late => Err(Error::TimedOut),
        }
    }

    fn ask<T>(&self, command: impl FnOnce(RequestId) -> Command, read: fn(Event) -> Read<T>) -> Answer<T> {
        let request = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        let event = self.routes.waiting.open(request);
        if event.is_some() {
            // If the client is gone, its routes are closed, and so is this one.
            let _ = self.mail.post(command(request));
        }
        Answer::new(request, event, self.mail.clone(), Arc::clone(&self.routes), self.caller_driven, read)
    }
}

impl Drop for Trackers {
    fn drop(&mut self) {
        if let Err(error) = self.end(DROP_DEADLINE) {
            log::warn!(target: "bip::tracker", "dropped: {error}");
        }
    }
}
