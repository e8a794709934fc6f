//! Mail between machines, and between a machine and the program that owns it.
//!
//! Three kinds of message, so that queues are bounded and nothing that matters is lost:
//!
//! - **Commands** go to an [`Inbox`] through an [`Outbox`]. A sender holds a credit per unanswered command; without one the
//!   command comes back at once as [`SendError::Busy`].
//! - **Terminal events** answer a command. Their place is the credit: never refused, never lost. Reading one from [`Events`]
//!   frees its credit.
//! - **Notices** are news. When the reader is slow they are counted instead of queued, and the reader learns how many it missed.
//!   The few of them that a program must not miss are **milestones**: never dropped, bounded by their sender.

use crossbeam_channel::{Receiver, Sender, unbounded};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Wakes a host that sleeps. A host that is awake looks at its mail anyway, so nothing is done for it.
#[derive(Clone)]
pub struct Doorbell {
    inner: Arc<Bell>,
}

struct Bell {
    asleep: AtomicBool,
    ring: Box<dyn Fn() + Send + Sync>,
}

impl Doorbell {
    /// Makes a bell that calls `ring` to wake its host.
    pub fn new(ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self { inner: Arc::new(Bell { asleep: AtomicBool::new(false), ring: Box::new(ring) }) }
    }

    /// Makes a bell for a host that never sleeps.
    pub fn silent() -> Self {
        Self::new(|| {})
    }

    /// Wakes the host if it sleeps. To be called after the mail is in the box.
    pub fn ring(&self) {
        // Pairs with `doze`: either the sender sees the sleeper, or the sleeper sees the mail.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.inner.asleep.load(Ordering::Relaxed) && self.inner.asleep.swap(false, Ordering::SeqCst) {
            (self.inner.ring)();
        }
    }

    /// Says that the host is about to sleep. It must look at its mail once more after this and before it sleeps.
    pub fn doze(&self) {
        self.inner.asleep.store(true, Ordering::SeqCst);
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Says that the host is awake.
    pub fn rise(&self) {
        self.inner.asleep.store(false, Ordering::SeqCst);
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doorbell(asleep: {})", self.inner.asleep.load(Ordering::Relaxed))
    }
}

/// Why a command was not taken. The command is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError<C> {
    /// As many commands as allowed are unanswered: read events, then try again.
    Busy(C),
    /// The machine is gone: stopped, or its thread panicked.
    Closed(C),
}

impl<C> fmt::Display for SendError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Busy(_) => "too many unanswered commands",
            SendError::Closed(_) => "the machine has stopped",
        })
    }
}

impl<C: fmt::Debug> std::error::Error for SendError<C> {}

#[derive(Debug)]
struct Credits {
    limit: usize,
    taken: AtomicUsize,
}

/// The sending side of a mailbox.
#[derive(Debug)]
pub struct Outbox<C> {
    mail: Sender<C>,
    bell: Doorbell,
    credits: Arc<Credits>,
}

impl<C> Clone for Outbox<C> {
    fn clone(&self) -> Self {
        Self { mail: self.mail.clone(), bell: self.bell.clone(), credits: Arc::clone(&self.credits) }
    }
}

impl<C> Outbox<C> {
    /// Sends a command that will be answered by a terminal event: takes a credit.
    pub fn send(&self, command: C) -> Result<(), SendError<C>> {
        let limit = self.credits.limit;
        let taken =
            self.credits.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < limit).then(|| n + 1));
        if taken.is_err() {
            return Err(SendError::Busy(command));
        }
        self.post(command).inspect_err(|_| {
            self.credits.taken.fetch_sub(1, Ordering::AcqRel);
        })
    }

    /// Sends mail that the *sender* has bounded: the answer to an ask, or an ask whose credit the asking machine keeps itself
    /// (bytes in flight, say). Takes no credit here.
    pub fn post(&self, command: C) -> Result<(), SendError<C>> {
        self.mail.send(command).map_err(|e| SendError::Closed(e.0))?;
        self.bell.ring();
        Ok(())
    }

    /// Sends mail that can do without being read: where so much waits to be read already, it is left out. Takes no credit.
    pub fn hint(&self, command: C, most: usize) {
        if self.mail.len() < most {
            // Whoever is gone has no use for it.
            let _ = self.post(command);
        }
    }
}

/// The receiving side of a mailbox, kept by the machine's host.
#[derive(Debug)]
pub struct Inbox<C> {
    mail: Receiver<C>,
}

impl<C> Inbox<C> {
    /// Takes the next command, if there is one.
    pub fn take(&self) -> Option<C> {
        self.mail.try_recv().ok()
    }

    /// Says whether there is no mail now.
    pub fn is_empty(&self) -> bool {
        self.mail.is_empty()
    }
}

/// Makes a mailbox whose reader the bell wakes, with that many credits.
pub fn mailbox<C>(credits: usize, bell: Doorbell) -> (Outbox<C>, Inbox<C>) {
    let (send, receive) = unbounded();
    let credits = Arc::new(Credits { limit: credits, taken: AtomicUsize::new(0) });
    (Outbox { mail: send, bell, credits }, Inbox { mail: receive })
}

enum Letter<E> {
    Terminal(E),
    Milestone(E),
    Notice(E),
}

#[derive(Debug)]
struct Notices {
    limit: usize,
    queued: AtomicUsize,
    missed: AtomicUsize,
}

/// The writing side of an event channel, kept by the machine's outlet.
pub struct EventSink<E> {
    mail: Sender<Letter<E>>,
    notices: Arc<Notices>,
}

impl<E> EventSink<E> {
    /// Puts in the answer to a command. Never refused: the command's credit is its place.
    pub fn terminal(&self, event: E) {
        // A reader that is gone wants no answers.
        let _ = self.mail.send(Letter::Terminal(event));
    }

    /// Puts in news that must not be missed, such as the end of something long. Never dropped, so the sender bounds how many
    /// there are.
    pub fn milestone(&self, event: E) {
        let _ = self.mail.send(Letter::Milestone(event));
    }

    /// Puts in a notice, or counts it as missed when the reader is too far behind.
    pub fn notice(&self, event: E) {
        if self.notices.queued.fetch_add(1, Ordering::AcqRel) >= self.notices.limit {
            self.notices.queued.fetch_sub(1, Ordering::AcqRel);
            self.notices.missed.fetch_add(1, Ordering::AcqRel);
        } else {
            let _ = self.mail.send(Letter::Notice(event));
        }
    }
}

impl<E> Clone for EventSink<E> {
    fn clone(&self) -> Self {
        Self { mail: self.mail.clone(), notices: Arc::clone(&self.notices) }
    }
}

impl<E> fmt::Debug for EventSink<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventSink({:?})", self.notices)
    }
}

/// Why there is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvError {
    /// None now, or none within the time given.
    Empty,
    /// None ever again: the machine has stopped, or its thread panicked.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecvError::Empty => "no event",
            RecvError::Closed => "the machine has stopped",
        })
    }
}

impl std::error::Error for RecvError {}

/// The reading side of an event channel.
pub struct Events<E> {
    mail: Receiver<Letter<E>>,
    notices: Arc<Notices>,
    credits: Arc<Credits>,
}

impl<E> Events<E> {
    fn open(&self, letter: Letter<E>) -> E {
        match letter {
            Letter::Terminal(event) => {
                // Saturating: a wiring that answers twice must not wrap the count.
                let free = |n: usize| Some(n.saturating_sub(1));
                let _ = self.credits.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, free);
                event
            }
            Letter::Milestone(event) => event,
            Letter::Notice(event) => {
                self.notices.queued.fetch_sub(1, Ordering::AcqRel);
                event
            }
        }
    }

    /// Takes the next event without waiting.
    pub fn try_next(&self) -> Result<E, RecvError> {
        self.mail.try_recv().map(|l| self.open(l)).map_err(|e| match e {
            crossbeam_channel::TryRecvError::Empty => RecvError::Empty,
            crossbeam_channel::TryRecvError::Disconnected => RecvError::Closed,
        })
    }

    /// Takes the next event, waiting for at most that long.
    pub fn next_timeout(&self, timeout: Duration) -> Result<E, RecvError> {
        self.mail.recv_timeout(timeout).map(|l| self.open(l)).map_err(|e| match e {
            crossbeam_channel::RecvTimeoutError::Timeout => RecvError::Empty,
            crossbeam_channel::RecvTimeoutError::Disconnected => RecvError::Closed,
        })
    }

    /// Gives how many notices were missed since the last call because this side read too slowly.
    pub fn missed(&self) -> usize {
        self.notices.missed.swap(0, Ordering::AcqRel)
    }
}

impl<E> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} queued)", self.mail.len())
    }
}

/// Makes an event channel that answers the commands of one mailbox: terminal events free its credits when they are read.
pub fn events<C, E>(commands: &Outbox<C>, notices: usize) -> (EventSink<E>, Events<E>) {
    let (send, receive) = unbounded();
    let notices = Arc::new(Notices { limit: notices, queued: AtomicUsize::new(0), missed: AtomicUsize::new(0) });
    let sink = EventSink { mail: send, notices: Arc::clone(&notices) };
    (sink, Events { mail: receive, notices, credits: Arc::clone(&commands.credits) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_without_credit_gets_its_command_back_until_it_reads_an_answer() {
        let (out, inbox) = mailbox::<u32>(2, Doorbell::silent());
        let (sink, events) = events::<_, u32>(&out, 10);
        assert!(out.send(1).is_ok() && out.send(2).is_ok());
        assert_eq!(out.send(3), Err(SendError::Busy(3)));
        // Taking the command is not answering it.
        assert_eq!(inbox.take(), Some(1));
        assert_eq!(out.send(3), Err(SendError::Busy(3)));
        sink.terminal(10);
        assert_eq!(out.send(3), Err(SendError::Busy(3)));
        assert_eq!(events.try_next(), Ok(10));
        assert!(out.send(3).is_ok());
    }

    #[test]
    fn a_hint_is_left_out_where_much_waits_to_be_read() {
        let (out, inbox) = mailbox::<u32>(0, Doorbell::silent());
        (0..5).for_each(|n| out.hint(n, 3));
        assert!(out.post(9).is_ok());
        let read: Vec<u32> = std::iter::from_fn(|| inbox.take()).collect();
        assert_eq!(read, [0, 1, 2, 9]);
        drop(inbox);
        out.hint(1, 3);
    }

    #[test]
    fn notices_are_counted_when_the_reader_is_slow_and_answers_never_lost() {
        let (out, _inbox) = mailbox::<u32>(8, Doorbell::silent());
        let (sink, events) = events::<_, u32>(&out, 2);
        (0..5).for_each(|n| sink.notice(n));
        sink.milestone(50);
        sink.terminal(99);
        let read: Vec<u32> = std::iter::from_fn(|| events.try_next().ok()).collect();
        assert_eq!(read, [0, 1, 50, 99]);
        assert_eq!(events.try_next(), Err(RecvError::Empty));
        assert_eq!((events.missed(), events.missed()), (3, 0));
        sink.notice(7);
        assert_eq!(events.try_next(), Ok(7));
    }

    #[test]
    fn a_machine_that_is_gone_ends_both_channels() {
        let (out, inbox) = mailbox::<u32>(8, Doorbell::silent());
        let (sink, events) = events::<_, u32>(&out, 2);
        sink.terminal(1);
        drop((inbox, sink));
        assert_eq!(out.send(5), Err(SendError::Closed(5)));
        assert_eq!(events.try_next(), Ok(1));
        assert_eq!(events.next_timeout(Duration::from_secs(9)), Err(RecvError::Closed));
    }

    #[test]
    fn only_a_sleeping_host_is_rung_and_only_once() {
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&rings);
        let bell = Doorbell::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let (out, inbox) = mailbox::<u32>(8, bell.clone());
        out.post(1).unwrap();
        assert_eq!(rings.load(Ordering::SeqCst), 0);
        bell.doze();
        assert!(!inbox.is_empty());
        out.post(2).unwrap();
        out.post(3).unwrap();
        assert_eq!(rings.load(Ordering::SeqCst), 1);
        bell.rise();
        out.post(4).unwrap();
        assert_eq!(rings.load(Ordering::SeqCst), 1);
    }
}
