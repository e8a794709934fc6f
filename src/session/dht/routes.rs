//! Which answer goes to which of those who wait.

use crate::dht::{Event, RequestId};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The waiting, by their requests. The node bounds what it tells of each, and there are only so many: with them the mail to the node is
/// bounded.
#[derive(Debug)]
pub(super) struct Routes {
    limit: usize,
    open: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Requests that the node has not answered; `None`: nobody waits for the answer any more.
    waiting: BTreeMap<RequestId, Option<Sender<Event>>>,
    /// How many of them somebody waits for.
    live: usize,
    /// The node is gone.
    closed: bool,
}

impl Routes {
    /// Makes the ways for so many requests at a time.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, open: Mutex::default(), ended: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever panicked, what is in the map is whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a way for a request's events; it is closed from the start when the node is gone. `None`: there are as many as there may be.
    pub(super) fn open(&self, request: RequestId) -> Option<Receiver<Event>> {
        let (sender, receiver) = unbounded();
        let mut state = self.state();
        // Those that were dropped take no place at the node any more when it comes to this one; but its mail has an end too.
        if state.live >= self.limit || state.waiting.len() >= 2 * self.limit {
            return None;
        }
        if !state.closed {
            state.waiting.insert(request, Some(sender));
            state.live += 1;
        }
        Some(receiver)
    }

    /// Nobody waits any more.
    pub(super) fn forget(&self, request: RequestId) {
        let mut state = self.state();
        if state.waiting.get_mut(&request).is_some_and(|sender| sender.take().is_some()) {
            state.live -= 1;
        }
    }

    /// Brings an event to who waits for it.
    pub(super) fn deliver(&self, request: RequestId, event: Event) {
        let mut state = self.state();
        let sender = match event.is_terminal() {
            true => state.waiting.remove(&request).flatten().inspect(|_| state.live -= 1),
            false => state.waiting.get(&request).cloned().flatten(),
        };
        if let Some(sender) = sender {
            // Who dropped its end does not want it.
            let _ = sender.send(event);
        }
    }

    /// Ends all waiting: the node is gone.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        state.live = 0;
        self.ended.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until the node is gone; says whether it is.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(self.state(), timeout, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }
}
