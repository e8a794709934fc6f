//! The contract between machines, which decide, and hosts, which act.
//!
//! A [`Machine`] is one subsystem as a pure state machine: no socket, no thread, no clock, no file. A host (the reactor, or a
//! simulator) owns those and drives machines by three calls in and three calls out:
//!
//! ```text
//!               in                              out
//! application   handle_command(now, command)    poll_event()          -> Option<Event>
//! network       handle_input(now, input)        poll_output(&mut buf) -> Option<Output>
//! time          handle_timeout(now)             poll_timeout()        -> Option<Instant>
//! ```
//!
//! # What the host does
//!
//! - After each `handle_input` and `handle_timeout`, and after each batch of `handle_command`, it polls outputs until `None`,
//!   then events until `None`.
//! - It calls `handle_timeout` when `poll_timeout` is due, never relying on it being exact.
//! - It gives every connection exactly one [`Input::Closed`], also after the machine's own [`Output::Close`], and nothing for that
//!   connection afterwards. It gives every dial exactly one [`Input::Connected`] or [`Input::ConnectFailed`], and every job
//!   exactly one [`Input::Done`].
//! - It ignores outputs for connections and dials that are gone.
//!
//! # Laws
//!
//! The same test harness holds every machine of this library to them.
//!
//! 1. Handlers return nothing. A peer's faults become events or a close, never a `Result` that a driver must interpret.
//! 2. `handle_timeout` early, late or twice is harmless. A call is bounded work, so timers may still be due after it, but it made
//!    progress: called again, it reaches the future in a bounded number of calls.
//! 3. The same seed and the same calls give the same outputs, byte for byte. There are two sources of randomness, both given
//!    at construction: [`Rng`] for choices and [`Secret`] for what others must not guess. Maps are [`Map`] and are never
//!    iterated for effect.
//! 4. Every call is a bounded amount of work; every collection has a limit, a documented field of the subsystem's `Config`.
//! 5. No input makes a machine panic.
//! 6. Commands and events are plain data: ids, not channels or closures. Every accepted command that asks for something ends in
//!    exactly one terminal event. A command that *answers* an event of the machine (the bytes it asked its store for, say)
//!    has none: the machine reserved its place when it asked.

mod block;
mod bucket;
mod host;
mod instant;
mod mailbox;
mod map;
mod rate;
mod rng;
mod scratch;
mod secret;
mod timers;

pub use block::{Block, BlockBuf, BlockPool};
pub use bucket::TokenBucket;
pub use host::{Executor, Host, Hosted, NoJobs, Outlet};
pub use instant::Instant;
pub use mailbox::{Doorbell, EventSink, Events, Inbox, Outbox, RecvError, SendError, events, mailbox};
pub use map::{Map, Set};
pub use rate::RateMeter;
pub use rng::Rng;
pub use scratch::Scratch;
pub use secret::Secret;
pub use timers::Timers;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;

/// A session's own number for a torrent: what subsystems call it among themselves. Never reused within a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TorrentId(pub u32);

impl fmt::Display for TorrentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "torrent {}", self.0)
    }
}

/// A stream connection, named by its host: a place in the host's table and the generation that tells a new tenant from an old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// The place in the host's table.
    pub slot: u32,
    /// How often the place has been given away before.
    pub generation: u32,
}

/// A bound datagram socket of the machine's, in the order in which they were bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// An attempt to connect, named by the machine. Never reused by that machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// A piece of work that blocks, named by the machine. Never reused by that machine, so that a late result is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Why a job has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobError {
    /// The executor panicked; the panic's message is in the log.
    Panicked,
    /// This host runs no jobs of this kind.
    Refused,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobError::Panicked => "the job panicked",
            JobError::Refused => "this host runs no such jobs",
        })
    }
}

/// Why a connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The machine closed it.
    Ours,
    /// The other side closed it: its [`Input::End`] came first, and our flushing close answered it.
    Theirs,
    /// The connection failed, or what a flushing close had to write could not all be written.
    Failed(io::ErrorKind),
}

/// What a host tells a machine. Bytes are borrowed for the call.
#[derive(Debug)]
pub enum Input<'a, D> {
    /// A datagram came.
    Datagram {
        /// The socket it came to.
        socket: SocketId,
        /// Who sent it, as the packet says.
        from: SocketAddr,
        /// The whole datagram.
        bytes: &'a [u8],
    },
    /// Somebody connected to a listener of this machine.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// The other side's address.
        from: SocketAddr,
        /// Our address on this connection.
        local: SocketAddr,
    },
    /// A dial of ours succeeded.
    Connected {
        /// The dial that this ends.
        dial: DialId,
        /// The new connection.
        conn: ConnId,
        /// Our address on this connection.
        local: SocketAddr,
    },
    /// A dial of ours failed, or was abandoned.
    ConnectFailed {
        /// The dial that this ends.
        dial: DialId,
        /// What went wrong.
        error: io::ErrorKind,
    },
    /// Bytes of a stream, in order, cut anywhere.
    Stream {
        /// The connection.
        conn: ConnId,
        /// At least one byte.
        bytes: &'a [u8],
    },
    /// The host wrote some of what it had queued for this connection, and the rest is below its low watermark.
    ///
    /// Comes after any write that leaves the queue at or below the mark, at least once for everything queued.
    Writable {
        /// The connection.
        conn: ConnId,
        /// How many bytes are still queued in the host.
        queued: usize,
    },
    /// The other side will send no more; it may still read.
    End {
        /// The connection.
        conn: ConnId,
    },
    /// The connection is gone. Exactly one per connection; nothing follows it.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// A job ended. Exactly one per job.
    Done {
        /// The job.
        job: JobId,
        /// Its result, or why there is none.
        done: Result<D, JobError>,
    },
}

impl<'a> Input<'a, NoJobs> {
    /// Makes an input that is no job's result one for a machine with jobs: what a host does with all that the network tells.
    pub fn widen<D>(self) -> Input<'a, D> {
        match self {
            Input::Datagram { socket, from, bytes } => Input::Datagram { socket, from, bytes },
            Input::Accepted { conn, from, local } => Input::Accepted { conn, from, local },
            Input::Connected { dial, conn, local } => Input::Connected { dial, conn, local },
            Input::ConnectFailed { dial, error } => Input::ConnectFailed { dial, error },
            Input::Stream { conn, bytes } => Input::Stream { conn, bytes },
            Input::Writable { conn, queued } => Input::Writable { conn, queued },
            Input::End { conn } => Input::End { conn },
            Input::Closed { conn, reason } => Input::Closed { conn, reason },
            Input::Done { job, done } => Input::Done { job, done: done.map(|never| match never {}) },
        }
    }
}

/// A part of what a machine writes to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Bytes that the machine appended to the buffer it was given, by their place there.
    Bytes(Range<usize>),
    /// A shared block: queued and written without a copy.
    Block(Block),
}

/// What a machine asks of its host.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Output<J> {
    /// Send a datagram. A host that cannot send it now drops it, as the network may.
    Datagram {
        /// The socket to send from.
        socket: SocketId,
        /// Where to.
        to: SocketAddr,
        /// The bytes' place in the buffer that `poll_output` was given.
        bytes: Range<usize>,
    },
    /// Open a stream connection.
    Connect {
        /// The machine's name for the attempt.
        dial: DialId,
        /// Where to.
        to: SocketAddr,
    },
    /// Give up a dial: it ends in [`Input::ConnectFailed`] unless it has ended already.
    Abandon {
        /// The dial.
        dial: DialId,
    },
    /// Queue a part for writing. The host gathers many before a system call.
    Write {
        /// The connection.
        conn: ConnId,
        /// What to write.
        part: Part,
    },
    /// Close a connection. No [`Input::Stream`] for it follows; [`Input::Closed`] does.
    Close {
        /// The connection.
        conn: ConnId,
        /// Write what is queued first (within a few seconds); otherwise drop it.
        flush: bool,
    },
    /// Read no more from a connection until told to.
    StopReading {
        /// The connection.
        conn: ConnId,
    },
    /// Read from a connection again.
    ResumeReading {
        /// The connection.
        conn: ConnId,
    },
    /// Run a job: work that blocks, on one of the host's job threads or, where it has none, in between.
    Job {
        /// The machine's name for it.
        id: JobId,
        /// The work.
        job: J,
    },
}

/// One subsystem as a pure state machine. The [module's page](self) has the contract and its laws.
pub trait Machine {
    /// What others ask of it, and what they answer it.
    type Command: fmt::Debug + Clone + PartialEq + Send + 'static;
    /// What it tells others.
    type Event: fmt::Debug + Clone + PartialEq + Send + 'static;
    /// Work that blocks, done elsewhere.
    type Job: fmt::Debug + Send + 'static;
    /// What such work gives.
    type Done: Send + 'static;

    /// Takes a command.
    fn handle_command(&mut self, now: Instant, command: Self::Command);
    /// Takes what came from outside.
    fn handle_input(&mut self, now: Instant, input: Input<'_, Self::Done>);
    /// Takes the time.
    fn handle_timeout(&mut self, now: Instant);
    /// Gives the next event, if there is one.
    fn poll_event(&mut self) -> Option<Self::Event>;
    /// Gives the next output, if there is one; bytes that it names are appended to `buf`, which may hold others' bytes.
    fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output<Self::Job>>;
    /// Gives the time at which `handle_timeout` should be called, if any.
    fn poll_timeout(&self) -> Option<Instant>;
}
