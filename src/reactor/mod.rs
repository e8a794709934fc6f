//! Hosts machines on real sockets, threads and the clock.
//!
//! A [`Reactor`] owns one poll and everything that machines do not: TCP and UDP sockets, job threads, the time. It drives any
//! number of [machines](crate::machine) and keeps the promises that the contract makes on the host's side.
//!
//! # Three ways to run one
//!
//! - **A thread of its own**: [`Reactor::spawn`] gives a [`Running`]; dropping it stops the reactor and joins the thread.
//! - **The caller's loop**: [`Reactor::turn`] once a frame with [`Duration::ZERO`](std::time::Duration::ZERO). It never waits, does
//!   a bounded amount of work and needs no thread (with [`Config::job_threads`] at 0).
//! - **Another event loop**: wait until the descriptor ([`AsFd`](std::os::fd::AsFd), on Unix) is readable or
//!   [`next_deadline`](Reactor::next_deadline) has passed, then call `turn` with zero. The deadline is zero while work is left over,
//!   because readiness alone does not say so. Between turns, mail from other threads makes the descriptor readable.
//!
//! ```
//! use bip::machine::{Host, Input, Instant, Machine, NoJobs, Output, Part, events, mailbox};
//! use bip::reactor::{Config, Reactor};
//! use std::collections::VecDeque;
//! use std::io::{Read, Write};
//! use std::time::Duration;
//!
//! /// Sends everything back, and says how much it was.
//! #[derive(Default)]
//! struct Echo {
//!     back: VecDeque<Output<NoJobs>>,
//!     bytes: Vec<u8>,
//!     sizes: VecDeque<usize>,
//! }
//!
//! impl Machine for Echo {
//!     type Command = ();
//!     type Event = usize;
//!     type Job = NoJobs;
//!     type Done = NoJobs;
//!
//!     fn handle_command(&mut self, _now: Instant, _command: ()) {}
//!
//!     fn handle_input(&mut self, _now: Instant, input: Input<'_, NoJobs>) {
//!         match input {
//!             Input::Stream { conn, bytes } => {
//!                 self.bytes.extend_from_slice(bytes);
//!                 self.sizes.push_back(bytes.len());
//!                 self.back.push_back(Output::Write { conn, part: Part::Bytes(0..bytes.len()) });
//!             }
//!             Input::End { conn } => self.back.push_back(Output::Close { conn, flush: true }),
//!             _ => {}
//!         }
//!     }
//!
//!     fn handle_timeout(&mut self, _now: Instant) {}
//!
//!     fn poll_event(&mut self) -> Option<usize> {
//!         self.sizes.pop_front()
//!     }
//!
//!     fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output<NoJobs>> {
//!         let mut output = self.back.pop_front()?;
//!         if let Output::Write { part: Part::Bytes(range), .. } = &mut output {
//!             // The buffer may hold the bytes of others: ours begin at its end.
//!             let start = buf.len();
//!             buf.extend(self.bytes.drain(range.clone()));
//!             *range = start..buf.len();
//!         }
//!         Some(output)
//!     }
//!
//!     fn poll_timeout(&self) -> Option<Instant> {
//!         None
//!     }
//! }
//!
//! # #[allow(clippy::disallowed_types)]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut reactor = Reactor::new(Config::default())?;
//! let (commands, inbox) = mailbox(16, reactor.doorbell());
//! let (sink, sizes) = events(&commands, 1024);
//! let echo = reactor.host(Echo::default(), inbox, Box::new(move |size| sink.notice(size)), None);
//! let address = reactor.listen(echo, "127.0.0.1:0".parse()?)?;
//!
//! let running = reactor.spawn("echo")?;
//! let mut stream = std::net::TcpStream::connect(address)?;
//! stream.write_all(b"hello")?;
//! let mut answer = [0; 5];
//! stream.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"hello");
//! assert!(sizes.next_timeout(Duration::from_secs(10)).is_ok());
//! drop(stream);
//! running.stop(Duration::from_secs(2))?;
//! # Ok(())
//! # }
//! ```
//!
//! # A turn
//!
//! ```text
//! poll ─► notices ─► accept ─► datagrams ─► streams ─► timers ─► inline jobs ─► ┌ mail and results ┐ ─► free slots
//!        (connected,                                                            │ notices          │
//!         failed, closed)                                                       └ flush, Writable ◄┘ up to 8 times
//! ```
//!
//! Every step has a budget, a field of [`Config`]; what is over waits for the next turn, behind the others. A connection's writes are
//! gathered over the whole turn and leave in few system calls. Blocks do not gather: after each stream that was read, mail is passed on,
//! and blocks that this brought are written (from 128 KiB on) before the next stream is read, so that what was read from a file for one
//! peer is still in the processor's cache when it is sent. The time is read once, after the poll.
//!
//! # Connections
//!
//! - Streams are read into one buffer that all share, and lent to the machine. A connection that is not to be read is left to
//!   the system, whose window then stops the sender.
//! - A close that flushes writes what is queued, ends our half, and discards what comes until the other half ends or
//!   [`Config::flush_timeout`] is over: unread bytes would turn the close into a reset, and that may take what was just written with it.
//!   Then comes [`Input::Closed`](crate::machine::Input::Closed): `Ours`; `Theirs` if their end had been seen before our close;
//!   `Failed` if not everything could be written.
//! - A dial that is abandoned ends in `ConnectFailed` with [`ConnectionAborted`](std::io::ErrorKind::ConnectionAborted). One too many
//!   ends in [`ResourceBusy`](std::io::ErrorKind::ResourceBusy). A dial has no time-out but the system's: a machine abandons it.
//! - An error of a listener (too many open files, say) is logged and rests it for [`Config::accept_pause`]; it never ends it.
//! - IPv4 addresses in IPv6 dress are shown as what they are. `TCP_NODELAY` is on.
//!
//! # Datagrams
//!
//! - A datagram is lent to the machine whole, from the buffer it was read into. At most [`Config::datagrams_per_turn`] of one socket are
//!   read before everybody else has had a turn.
//! - A datagram leaves when the machine asks for it. On Linux with the feature `batched-io`, what machines send meanwhile is kept until
//!   the socket's share of reading (or the timers' or the mail's part of the turn) is over, at most 64 datagrams or 64 KiB,
//!   and leaves with few system calls: those that follow one another to one place and have one length (the last may be shorter) go through
//!   the system as one, which it cuts into them again (`UDP_SEGMENT`, from Linux 4.18 on), and the others many with one call. The order on a socket stays.
//! - What the system has no room for, or will not send there, is dropped, as the network may; [`Reactor::dropped_datagrams`] counts it.
//! - [`Reactor::bind`] and [`Reactor::listen`] on `[::]` take both families; [`BindOptions`] has sockets of IPv6 alone and shared ports.
//!
//! # Names
//!
//! A machine never waits, so it has a name looked up by a job: its executor calls [`resolve::resolve`], which asks the system and blocks.
//!
//! # Ends
//!
//! A panic in a machine ends its reactor: in a thread, all machines are dropped, so that their owners see the ends of their
//! channels, and [`Running::stop`] tells; in `turn`, it goes through to the caller. A panic in a job is that job's result.
//!
//! Sharing several machines on one reactor, or giving each its own, is only a question of how many reactors are made; those
//! that exchange instants share a [`Clock`].

mod clock;
mod config;
mod connection;
mod datagram;
pub mod entropy;
mod error;
mod hosted;
mod jobs;
mod listener;
mod net;
pub mod resolve;
mod thread;
mod token;
mod turn;
mod write_queue;

pub use clock::Clock;
pub use config::Config;
pub use datagram::{BindOptions, DatagramSocket};
pub use error::StopError;
pub use thread::{Running, Stopper};
pub use turn::Reactor;
