//! What the trackers of a torrent tell, until somebody reads it.

use super::error::Error;
use crate::proto::tracker_url::TrackerUrl;
use crate::tracker::client::{self, Event, TrackerStatus};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Peers of a torrent that may wait to be read; of more, those that wait longest are left out.
const PEERS: usize = 8192;

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
    /// So many peers were left out, because more than 8,192 waited to be read; those that remain come after this.
    Lagged(usize),
    /// A private torrent is at another tracker now: peers from before are to be dropped (BEP 27). Those that follow are the new one's.
    Switched,
    /// A tracker is not as it was. What was not read of the same tracker before is left out.
    Tracker(Box<TrackerStatus>),
    /// The torrent is not announced: there are too many, or the client ends. The last news.
    Refused(client::Error),
}

/// News on their way from the client to a reader, who may be slow: what is outdated by what comes later is left out, and there are never more than
/// 8,192 peers, and one status for each tracker.
#[derive(Debug, Default)]
pub(super) struct Feed {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    switched: bool,
    lagged: usize,
    /// Who told of which peers, the oldest first; none is there twice, and no list is empty.
    peers: VecDeque<(TrackerUrl, VecDeque<SocketAddr>)>,
    known: BTreeSet<SocketAddr>,
    /// In the order in which they began to wait.
    trackers: VecDeque<Box<TrackerStatus>>,
    refused: Option<client::Error>,
    closed: bool,
}

impl State {
    fn is_empty(&self) -> bool {
        !self.switched && self.peers.is_empty() && self.trackers.is_empty() && self.refused.is_none()
    }

    /// What a switch outdates comes after it or not at all, and the end after all else.
    fn take(&mut self) -> Option<News> {
        if std::mem::take(&mut self.switched) {
            return Some(News::Switched);
        }
        if self.lagged > 0 {
            return Some(News::Lagged(std::mem::take(&mut self.lagged)));
        }
        if let Some((url, peers)) = self.peers.pop_front() {
            for peer in &peers {
                self.known.remove(peer);
            }
            return Some(News::Peers { url, peers: peers.into() });
        }
        if let Some(status) = self.trackers.pop_front() {
            return Some(News::Tracker(status));
        }
        self.refused.take().map(News::Refused)
    }

    fn add_peers(&mut self, url: TrackerUrl, peers: Vec<SocketAddr>) {
        let new: VecDeque<_> = peers.into_iter().filter(|peer| self.known.insert(*peer)).collect();
        if !new.is_empty() {
            self.peers.push_back((url, new));
        }
        while self.known.len() > PEERS {
            let Some((_, oldest)) = self.peers.front_mut() else { return };
            if let Some(peer) = oldest.pop_front() {
                self.known.remove(&peer);
                self.lagged += 1;
            }
            if oldest.is_empty() {
                self.peers.pop_front();
            }
        }
    }
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the client tells of the torrent.
    pub(super) fn put(&self, event: Event) {
        let mut state = self.state();
        match event {
            Event::Peers { url, peers, .. } => state.add_peers(url, peers),
            Event::Switched { .. } => {
                // What the tracker before told is not to be used any more.
                state.peers.clear();
                state.known.clear();
                (state.switched, state.lagged) = (true, 0);
            }
            Event::Tracker { status, .. } => {
                match state.trackers.iter_mut().find(|waiting| waiting.url == status.url) {
                    Some(waiting) => *waiting = status,
                    None => state.trackers.push_back(status),
                }
            }
            Event::FollowRefused { error, .. } => state.refused = Some(error),
            _ => return,
        }
        self.more.notify_all();
    }

    /// There will be nothing more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.more.notify_all();
    }

    /// Gives the next news, if there are any.
    pub(super) fn try_take(&self) -> Result<Option<News>, Error> {
        let mut state = self.state();
        let news = state.take();
        if news.is_none() && state.closed { Err(Error::Closed) } else { Ok(news) }
    }

    /// Gives the next news, waiting for them for at most that long.
    pub(super) fn take(&self, timeout: Duration) -> Result<Option<News>, Error> {
        let is_to_wait = |state: &mut State| state.is_empty() && !state.closed;
        drop(self.more.wait_timeout_while(self.state(), timeout, is_to_wait));
        self.try_take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::TorrentId;

    const TORRENT: TorrentId = TorrentId(0);

    fn url(n: u32) -> TrackerUrl {
        format!("udp://192.0.2.{n}:1").parse().unwrap()
    }

    fn peer(n: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 1))
    }

    fn peers(n: u32, peers: impl Iterator<Item = usize>) -> Event {
        Event::Peers { torrent: TORRENT, url: url(n), peers: peers.map(peer).collect() }
    }

    fn all(feed: &Feed) -> Vec<News> {
        std::iter::from_fn(|| feed.try_take().ok().flatten()).collect()
    }

    fn news(n: u32, peers: impl Iterator<Item = usize>) -> News {
        News::Peers { url: url(n), peers: peers.map(peer).collect() }
    }

    #[test]
    fn a_switch_and_the_end_are_never_lost_and_no_peers_of_before_come_after_a_switch() {
        let feed = Feed::default();
        for n in 0..10_000 {
            feed.put(peers(1, n..n + 2));
        }
        feed.put(Event::Switched { torrent: TORRENT });
        feed.put(peers(2, 7..9));
        feed.put(Event::FollowRefused { torrent: TORRENT, error: client::Error::Busy });
        feed.close();
        let told = [News::Switched, news(2, 7..9), News::Refused(client::Error::Busy)];
        assert_eq!(all(&feed), told);
        assert!(matches!(feed.try_take(), Err(Error::Closed)));
        assert!(matches!(feed.take(Duration::MAX), Err(Error::Closed)));
    }

    #[test]
    fn of_too_many_peers_the_oldest_are_left_out_and_counted() {
        let feed = Feed::default();
        feed.put(peers(1, 0..PEERS));
        feed.put(peers(2, 5..15));
        feed.put(peers(2, PEERS..PEERS + 10));
        assert_eq!(all(&feed), [News::Lagged(10), news(1, 10..PEERS), news(2, PEERS..PEERS + 10)]);
        feed.put(peers(1, 0..1));
        assert_eq!(all(&feed), [news(1, 0..1)], "what was read may come again");
        assert!(matches!(feed.take(Duration::ZERO), Ok(None)));
        assert!(feed.state().known.is_empty());
    }
}
