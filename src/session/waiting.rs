//! Who waits for which answer of a machine on another thread, and for its end.

use crate::reactor::{Running, StopError};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The waiting, by their requests. The machine bounds what it tells of each, and there are only so many: with them the mail to the machine
/// is bounded.
#[derive(Debug)]
pub(super) struct Waiting<R, E> {
    limit: usize,
    state: Mutex<State<R, E>>,
    ended: Condvar,
}

#[derive(Debug)]
struct State<R, E> {
    /// Requests that the machine has not answered; `None`: nobody waits for the answer any more.
    requests: BTreeMap<R, Option<Sender<E>>>,
    /// How many of them somebody waits for.
    live: usize,
    /// The machine is gone.
    closed: bool,
}

impl<R: Copy + Ord, E> Waiting<R, E> {
    /// Has room for so many requests at a time.
    pub(super) fn new(limit: usize) -> Self {
        let state = Mutex::new(State { requests: BTreeMap::new(), live: 0, closed: false });
        Self { limit, state, ended: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<R, E>> {
        // Whatever panicked, what is in the map is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a way for a request's events; it is closed from the start when the machine is gone. `None`: there are as many as there may be.
    pub(super) fn open(&self, request: R) -> Option<Receiver<E>> {
        let (sender, receiver) = unbounded();
        let mut state = self.state();
        // Those that were dropped take no place at the machine any more when it comes to this one; but its mail has an end too.
        if state.live >= self.limit || state.requests.len() >= self.limit.saturating_mul(2) {
            return None;
        }
        if !state.closed {
            state.requests.insert(request, Some(sender));
            state.live += 1;
        }
        Some(receiver)
    }

    /// Nobody waits any more.
    pub(super) fn forget(&self, request: R) {
        let mut state = self.state();
        if state.requests.get_mut(&request).is_some_and(|sender| sender.take().is_some()) {
            state.live -= 1;
        }
    }

    /// Brings an event to who waits for it.
    pub(super) fn deliver(&self, request: R, event: E, is_last: bool) {
        let mut state = self.state();
        let sender = match is_last {
            true => state.requests.remove(&request).flatten().inspect(|_| state.live -= 1),
            false => state.requests.get(&request).cloned().flatten(),
        };
        if let Some(sender) = sender {
            // Who dropped its end does not want it.
            let _ = sender.send(event);
        }
    }

    /// Ends all waiting: the machine is gone.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.requests.clear();
        state.live = 0;
        self.ended.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until the machine is gone; says whether it is.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(self.state(), timeout, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }
}

/// How a thread ended that was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All is done.
    Done,
    /// It had panicked before, or its reactor had failed.
    Broken,
    /// It took longer than it might.
    Late,
}

/// Stops a thread within a time. Jobs that are still under way then are no reason to be late where the machine itself has `ended`: names and
/// requests of others, which nobody can hurry, are of no use to anybody.
pub(super) fn stop(thread: Running, within: Duration, ended: bool, who: &str) -> End {
    match thread.stop(within) {
        Ok(()) if ended => End::Done,
        Err(StopError::JobsLeft { .. }) if ended => End::Done,
        Err(error @ (StopError::Panicked(_) | StopError::Poll(_))) => {
            log::warn!(target: "bip::session", "the thread of {who} ended badly: {error}");
            End::Broken
        }
        Ok(()) | Err(_) => End::Late,
    }
}
