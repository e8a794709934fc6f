//! A torrent that is announced.

use super::error::Error;
use super::news::{Feed, News};
use crate::machine::{Outbox, TorrentId};
use crate::proto::announce::Progress;
use crate::tracker::client::Command;
use std::sync::Arc;
use std::time::Duration;

/// A torrent that is announced until this is dropped; then its trackers are told `stopped`, in the background.
#[derive(Debug)]
pub struct Followed {
    torrent: TorrentId,
    news: Arc<Feed>,
    mail: Outbox<Command>,
    caller_driven: bool,
}

impl Followed {
    pub(super) fn new(torrent: TorrentId, news: Arc<Feed>, mail: Outbox<Command>, caller_driven: bool) -> Self {
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

    /// Gives the next news if there are any; does not wait. While nobody reads, of each tracker the last status is kept, and of peers the
    /// last 8,192 ([`News::Lagged`]); nothing else is lost.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]: there will be no more.
    pub fn try_next(&self) -> Result<Option<News>, Error> {
        self.news.try_take()
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
        self.news.take(timeout)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.post(Command::Leave { torrent: self.torrent });
    }
}
