//! Which answer goes to which of those who wait.

use super::news::Feed;
use crate::machine::TorrentId;
use crate::tracker::client::{Event, RequestId};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The waiting, by what they wait for.
#[derive(Debug)]
pub(super) struct Routes {
    limit: usize,
    open: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Requests that the client has not answered; `None`: nobody waits for the answer any more.
    waiting: BTreeMap<RequestId, Option<Sender<Event>>>,
    /// How many of them somebody waits for.
    live: usize,
    torrents: BTreeMap<TorrentId, Arc<Feed>>,
    /// The client is gone.
    closed: bool,
}

impl Routes {
    /// Makes the ways for so many requests at a time.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, open: Mutex::default(), ended: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever panicked, what is in the maps is whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a way for a request's answer; it is closed from the start when the client is gone. `None`: there are as many as there may be.
    pub(super) fn open(&self, request: RequestId) -> Option<Receiver<Event>> {
        let (sender, receiver) = bounded(1);
        let mut state = self.state();
        // Those that were dropped take no place at the client any more when it comes to this one; but its mail has an end too.
        if state.live >= self.limit || state.waiting.len() >= self.limit.saturating_mul(2) {
            return None;
        }
        if !state.closed {
            state.waiting.insert(request, Some(sender));
            state.live += 1;
        }
        Some(receiver)
    }

    /// Opens a way for the news of a torrent.
    pub(super) fn follow(&self, torrent: TorrentId) -> Arc<Feed> {
        let feed = Arc::<Feed>::default();
        let mut state = self.state();
        if state.closed {
            feed.close();
        } else {
            state.torrents.insert(torrent, Arc::clone(&feed));
        }
        feed
    }

    /// Nobody waits any more.
    pub(super) fn forget(&self, request: RequestId) {
        let mut state = self.state();
        if state.waiting.get_mut(&request).is_some_and(|sender| sender.take().is_some()) {
            state.live -= 1;
        }
    }

    /// Brings an event to who waits for it.
    pub(super) fn deliver(&self, event: Event) {
        let mut state = self.state();
        if let Some(request) = event.request() {
            let sender = state.waiting.remove(&request).flatten();
            if let Some(sender) = sender {
                state.live -= 1;
                // Who dropped its end does not want it; there is room for the one that comes.
                let _ = sender.try_send(event);
            }
            return;
        }
        let (torrent, is_last) = match &event {
            Event::Peers { torrent, .. } | Event::Switched { torrent } | Event::Tracker { torrent, .. } => {
                (*torrent, false)
            }
            Event::FollowRefused { torrent, .. } | Event::Left { torrent } => (*torrent, true),
            Event::ShutDown => return self.shut(&mut state),
            _ => return,
        };
        let Some(feed) = state.torrents.get(&torrent) else { return };
        feed.put(event);
        if is_last {
            feed.close();
            state.torrents.remove(&torrent);
        }
    }

    fn shut(&self, state: &mut State) {
        state.closed = true;
        state.waiting.clear();
        std::mem::take(&mut state.torrents).values().for_each(|feed| feed.close());
        state.live = 0;
        self.ended.notify_all();
    }

    /// Ends all waiting: the client is gone.
    pub(super) fn close(&self) {
        self.shut(&mut self.state());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until the client is gone; says whether it is.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(self.state(), timeout, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }
}
