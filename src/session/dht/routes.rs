//! Which answer goes to which of those who wait.

use crate::dht::{Event, RequestId};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The waiting, by their requests. The node bounds what it tells of each.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// `None` once the node is gone.
    open: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<RequestId, Sender<Event>>,
    closed: bool,
}

impl Routes {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever panicked, what is in the map is whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a way for a request's events; it is closed from the start when the node is gone.
    pub(super) fn open(&self, request: RequestId) -> Receiver<Event> {
        let (sender, receiver) = unbounded();
        let mut state = self.state();
        if !state.closed {
            state.waiting.insert(request, sender);
        }
        receiver
    }

    /// Nobody waits any more.
    pub(super) fn forget(&self, request: RequestId) {
        self.state().waiting.remove(&request);
    }

    /// Brings an event to who waits for it.
    pub(super) fn deliver(&self, request: RequestId, event: Event) {
        let mut state = self.state();
        let sender = match event.is_terminal() {
            true => state.waiting.remove(&request),
            false => state.waiting.get(&request).cloned(),
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
