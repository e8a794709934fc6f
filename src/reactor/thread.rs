//! A reactor in a thread of its own, and how any reactor is told to stop.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the reactor's thread is started here

use super::jobs::panic_text;
use super::{Reactor, StopError};
use crate::machine::Doorbell;
use crossbeam_channel::{Receiver, bounded};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle, ThreadId, current};
use std::time::Duration;

/// How long [`Running`] gives its reactor when it is dropped.
const DROPPED: Duration = Duration::from_secs(2);
/// How much of its time a thread is given to end once its reactor has stopped.
const GRACE: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Orders {
    /// The reactor is to stop, within this time.
    stop: Option<Duration>,
    /// The threads that are the reactor's own.
    threads: Vec<ThreadId>,
}

/// Tells a reactor to stop, from any thread. Copies tell the same reactor.
#[derive(Clone)]
pub struct Stopper {
    orders: Arc<Mutex<Orders>>,
    bell: Doorbell,
}

impl Stopper {
    pub(super) fn new(bell: Doorbell) -> Self {
        Self { orders: Arc::default(), bell }
    }

    fn orders<R>(&self, f: impl FnOnce(&mut Orders) -> R) -> R {
        // No code of others runs while it is locked: a poisoned lock has nothing half-done in it.
        f(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the reactor to stop within that time, and wakes it. Does not wait. The first to ask says how long.
    ///
    /// A spawned reactor stops by itself. A reactor that its owner turns answers [`Reactor::stop_asked`], and its owner calls
    /// [`Reactor::shutdown`]; until then [`Reactor::next_deadline`] is zero.
    pub fn stop(&self, deadline: Duration) {
        self.orders(|o| o.stop = o.stop.or(Some(deadline)));
        self.bell.ring();
    }

    /// Gives the time within which the reactor was asked to stop, if it was.
    pub(super) fn asked(&self) -> Option<Duration> {
        self.orders(|o| o.stop)
    }

    /// Counts the calling thread as the reactor's own.
    pub(super) fn enter(&self) {
        self.orders(|o| o.threads.push(current().id()));
    }

    pub(super) fn leave(&self) {
        self.orders(|o| o.threads.retain(|t| *t != current().id()));
    }

    fn is_own_thread(&self) -> bool {
        self.orders(|o| o.threads.contains(&current().id()))
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stopper(asked: {:?})", self.asked())
    }
}

/// A reactor in a thread of its own. Dropping it stops the reactor within 2 s and joins the thread; dropped on one of the
/// reactor's own threads, it only asks it to stop.
#[derive(Debug)]
pub struct Running {
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
    ended: Receiver<Result<(), StopError>>,
}

impl Running {
    pub(super) fn start(reactor: Reactor, name: &str) -> io::Result<Running> {
        let stopper = reactor.stopper();
        let (end, ended) = bounded(1);
        let inside = stopper.clone();
        let called = name.to_owned();
        let body = move || {
            inside.enter();
            // The reactor goes into the closure: after a panic it and all that it holds are gone, and nobody sees the rest.
            let result = catch_unwind(AssertUnwindSafe(move || run(reactor))).unwrap_or_else(|panic| {
                let text = panic_text(&*panic);
                log::error!("a machine of reactor {called} panicked, and the reactor is gone: {text}");
                Err(StopError::Panicked(text))
            });
            inside.leave();
            let _ = end.send(result);
        };
        let thread = Some(Builder::new().name(name.to_owned()).spawn(body)?);
        Ok(Running { stopper, thread, ended })
    }

    /// Gives a handle that stops this reactor from any thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Says whether the thread runs: neither stopped nor panicked.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|t| !t.is_finished())
    }

    /// Stops the reactor and joins its thread, within that time: what is queued is written, and jobs under way end, unless
    /// they take longer. Says how it went, also if the reactor had ended before.
    ///
    /// On one of the reactor's own threads it only asks it to stop, and gives [`StopError::TimedOut`].
    pub fn stop(mut self, deadline: Duration) -> Result<(), StopError> {
        self.end(deadline)
    }

    fn end(&mut self, deadline: Duration) -> Result<(), StopError> {
        self.stopper.stop(deadline - GRACE.min(deadline / 4));
        let Some(thread) = self.thread.take() else { return Ok(()) };
        if self.stopper.is_own_thread() {
            return Err(StopError::TimedOut);
        }
        match self.ended.recv_timeout(deadline) {
            Ok(result) => {
                // It sent its result with its last breath.
                let _ = thread.join();
                result
            }
            Err(_) => {
                log::warn!("a reactor had not stopped after {deadline:?} and is left behind");
                Err(StopError::TimedOut)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            if let Err(e) = self.end(DROPPED) {
                log::warn!("stopping a reactor: {e}");
            }
        }
    }
}

fn run(mut reactor: Reactor) -> Result<(), StopError> {
    loop {
        if let Some(deadline) = reactor.stop_asked() {
            return reactor.shutdown(deadline);
        }
        if let Err(e) = reactor.turn(None) {
            log::error!("polling for readiness failed, and the reactor is gone: {e}");
            return Err(StopError::Poll(e.kind()));
        }
    }
}
