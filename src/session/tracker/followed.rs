//! A torrent that is announced.

use super::error::Error;
use crate::machine::{Outbox, TorrentId};
use crate::proto::announce::Progress;
use crate::proto::tracker_url::TrackerUrl;
use crate::tracker::client::{self, Command, TrackerStatus};
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use std::net::SocketAddr;
use std::time::Duration;

/// What the trackers of a torrent tell.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum News {
    /// Peers.
    Peers {
        /// Who told of them.
        url: TrackerUrl,
        /// The peers, at least one.
        peers: Vec<SocketAddr>,
    },
    /// A private torrent is at another tracker now: peers from before are to be dropped (BEP 27).
    Switched,
    /// A tracker is not as it was.
    Tracker(Box<TrackerStatus>),
    /// The torrent is not announced: there are too many, or the client ends.
    Refused(client::Error),
}

/// A torrent that is announced until this is dropped; then its trackers are told `stopped`, in the background.
#[derive(Debug)]
pub struct Followed {
    torrent: TorrentId,
    news: Receiver<News>,
    mail: Outbox<Command>,
    caller_driven: bool,
}

impl Followed {
    pub(super) fn new(torrent: TorrentId, news: Receiver<News>, mail: Outbox<Command>, caller_driven: bool) -> Self {
        Self { torrent, news, mail, caller_driven }
    }

    fn post(&self, command: Command) {
        // A client that has stopped has no use for it.
        let _ = self.mail.post(command);
    }

    /// Says how far the torrent is: what the next announces tell.
    pub fn progress(&self, progress: Progress) {
        self.post(Command::Progress { torrent: self.torrent, progress });
    }

    /// Says that the torrent is complete now, which its trackers are told once.
    pub fn completed(&self) {
        self.post(Command::Completed { torrent: self.torrent });
    }

    /// Asks for more peers: the torrent is announced again as soon as its tracker permits.
    pub fn more_peers(&self) {
        self.post(Command::MorePeers { torrent: self.torrent });
    }

    /// Gives the next news if there are any; does not wait. Of more than 1,024 that are not read the last are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]: there will be no more.
    pub fn try_next(&self) -> Result<Option<News>, Error> {
        match self.news.try_recv() {
            Ok(news) => Ok(Some(news)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Error::Closed),
        }
    }

    /// Waits for the next news, for at most that long.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]: there will be no more. [`Error::WouldDeadlock`] in a loop of the caller's.
    pub fn next(&self, timeout: Duration) -> Result<Option<News>, Error> {
        if self.caller_driven {
            return Err(Error::WouldDeadlock);
        }
        match self.news.recv_timeout(timeout) {
            Ok(news) => Ok(Some(news)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Closed),
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.post(Command::Leave { torrent: self.torrent });
    }
}
