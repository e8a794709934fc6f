//! What goes to which of those who wait.

use super::news::Feed;
use crate::machine::TorrentId;
use crate::session::waiting::Waiting;
use crate::tracker::client::{Event, RequestId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Those who wait for an answer, and those who follow a torrent.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) waiting: Waiting<RequestId, Event>,
    torrents: Mutex<BTreeMap<TorrentId, Arc<Feed>>>,
}

impl Routes {
    /// Makes the ways for so many requests at a time.
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: Waiting::new(limit), torrents: Mutex::default() }
    }

    fn torrents(&self) -> MutexGuard<'_, BTreeMap<TorrentId, Arc<Feed>>> {
        // Whatever panicked, what is in the map is whole.
        self.torrents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a way for the news of a torrent.
    pub(super) fn follow(&self, torrent: TorrentId) -> Arc<Feed> {
        let feed = Arc::<Feed>::default();
        let mut torrents = self.torrents();
        if self.waiting.is_closed() {
            feed.close();
        } else {
            torrents.insert(torrent, Arc::clone(&feed));
        }
        feed
    }

    /// Brings an event to who waits for it.
    pub(super) fn deliver(&self, event: Event) {
        if let Some(request) = event.request() {
            return self.waiting.deliver(request, event, true);
        }
        let (torrent, is_last) = match &event {
            Event::Peers { torrent, .. } | Event::Switched { torrent } | Event::Tracker { torrent, .. } => {
                (*torrent, false)
            }
            Event::FollowRefused { torrent, .. } | Event::Left { torrent } => (*torrent, true),
            Event::ShutDown => return self.close(),
            _ => return,
        };
        let mut torrents = self.torrents();
        let Some(feed) = torrents.get(&torrent) else { return };
        feed.put(event);
        if is_last {
            feed.close();
            torrents.remove(&torrent);
        }
    }

    /// Ends all waiting: the client is gone.
    pub(super) fn close(&self) {
        // Whoever begins to follow now waits for this and finds it closed.
        let mut torrents = self.torrents();
        self.waiting.close();
        std::mem::take(&mut *torrents).values().for_each(|feed| feed.close());
    }
}
