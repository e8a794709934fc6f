//! What is waited for.

use super::error::Error;
use super::routes::Routes;
use crate::machine::Outbox;
use crate::proto::http_tracker::ScrapeFile;
use crate::tracker::client::{self, AnnounceReply, Command, Event, RequestId};
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, never};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What an event means to who waits.
pub(super) type Read<T> = Result<T, Error>;

/// One answer, to be waited for or looked for. Dropping it cancels what was asked for.
pub struct Answer<T> {
    request: RequestId,
    event: Receiver<Event>,
    mail: Outbox<Command>,
    routes: Arc<Routes>,
    caller_driven: bool,
    read: fn(Event) -> Read<T>,
    refused: bool,
    ended: bool,
}

impl<T> Answer<T> {
    pub(super) fn new(
        request: RequestId,
        event: Option<Receiver<Event>>,
        mail: Outbox<Command>,
        routes: Arc<Routes>,
        caller_driven: bool,
        read: fn(Event) -> Read<T>,
    ) -> Self {
        let refused = event.is_none();
        let event = event.unwrap_or_else(never);
        Self { request, event, mail, routes, caller_driven, read, refused, ended: refused }
    }

    /// Gives the answer if it is there; only once.
    pub fn try_take(&mut self) -> Option<Result<T, Error>> {
        if std::mem::take(&mut self.refused) {
            return Some(Err(Error::Tracker(client::Error::Busy)));
        }
        if self.ended {
            return None;
        }
        let answer = match self.event.try_recv() {
            Ok(event) => (self.read)(event),
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(Error::Closed),
        };
        self.ended = true;
        Some(answer)
    }

    /// Waits for the answer, for at most that long; only once.
    pub fn wait_for(&mut self, timeout: Duration) -> Option<Result<T, Error>> {
        if self.ended {
            return self.try_take();
        }
        if self.caller_driven {
            return Some(Err(Error::WouldDeadlock));
        }
        let answer = match self.event.recv_timeout(timeout) {
            Ok(event) => (self.read)(event),
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => Err(Error::Closed),
        };
        self.ended = true;
        Some(answer)
    }

    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: it had not come by then, and is cancelled. [`Error::Tracker`], [`Error::Closed`], and in a loop of the caller's
    /// [`Error::WouldDeadlock`].
    pub fn wait(mut self, timeout: Duration) -> Result<T, Error> {
        self.wait_for(timeout).unwrap_or(Err(Error::TimedOut))
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if !self.ended {
            self.routes.waiting.forget(self.request);
            // A client that has stopped has nothing to cancel.
            let _ = self.mail.post(Command::Cancel { request: self.request });
        }
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("request", &self.request).field("ended", &self.ended).finish_non_exhaustive()
    }
}

pub(super) fn announced(event: Event) -> Read<AnnounceReply> {
    match event {
        Event::Announced { reply, .. } => Ok(reply),
        event => other(event),
    }
}

pub(super) fn scraped(event: Event) -> Read<Vec<ScrapeFile>> {
    match event {
        Event::Scraped { files, .. } => Ok(files),
        event => other(event),
    }
}

fn other<T>(event: Event) -> Read<T> {
    match event {
        Event::Failed { error, .. } => Err(Error::Tracker(error)),
        // Each kind of request has its own answer, and there is no other.
        _ => Err(Error::Closed),
    }
}
