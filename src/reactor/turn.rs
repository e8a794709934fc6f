//! The reactor itself: one turn after another.

use super::clock::Clock;
use super::connection::Taken;
use super::datagram::{BindOptions, DatagramSocket, Received};
use super::hosted::{Guest, Tenant};
use super::jobs::Jobs;
use super::net::Net;
use super::thread::{Running, Stopper};
use super::token::Source;
use super::{Config, StopError};
use crate::machine::{
    Doorbell, Executor, Host, Hosted, Inbox, Input, Instant, Machine, NoJobs, Outlet, Scratch, SocketId,
};
use mio::{Events, Poll, Waker};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

/// How many events one poll takes; what is more waits for the next turn.
const EVENTS: usize = 1024;
/// How often in one turn mail between machines and room for writing are passed on; what is more waits for the next turn.
const ROUNDS: usize = 8;
/// How often mail is passed on for what one connection caused: from one machine to another, the result of its job, and back.
const STEPS: usize = 4;
/// How many bytes of blocks are queued before they are written: what a core's own cache still has by then.
const GATHERED: usize = 128 << 10;
/// After how many datagrams in one turn a socket is no longer told of until it has no more.
const BURST: usize = 8;
/// How long a reactor takes to shut down when it is dropped.
const DROPPED: Duration = Duration::from_secs(2);

/// The host of machines on real sockets, threads and the clock. The [module's page](super) says how to use it.
pub struct Reactor {
    // First, because the owners of machines shall learn first that they are gone.
    guests: Vec<Box<dyn Tenant>>,
    net: Net,
    poll: Poll,
    events: Events,
    /// What all sockets are read into.
    buffer: Scratch,
    bell: Doorbell,
    stopper: Stopper,
    clock: Clock,
    /// How much mail each machine may still be given in this turn.
    mail: Vec<usize>,
    /// The machine whose inline job is next.
    next_job: usize,
    /// In a turn; stays so if a machine panics.
    turning: bool,
    stopped: bool,
}

impl Reactor {
    /// Makes a reactor with a clock of its own. Fails if the system gives no poll.
    pub fn new(config: Config) -> io::Result<Self> {
        Self::with_clock(config, Clock::new())
    }

    /// Makes a reactor that shares a clock with others. Fails if the system gives no poll.
    pub fn with_clock(config: Config, clock: Clock) -> io::Result<Self> {
        let config = config.checked();
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Source::Waker.encode())?;
        let bell = Doorbell::new(move || {
            if let Err(e) = waker.wake() {
                log::error!("a reactor could not be woken: {e}");
            }
        });
        // Asleep whenever it is not in a turn: whoever waits on the descriptor is woken by mail.
        bell.doze();
        Ok(Self {
            guests: Vec::new(),
            buffer: Scratch::new(config.receive_buffer),
            net: Net::new(poll.registry().try_clone()?, config, clock.now()),
            poll,
            events: Events::with_capacity(EVENTS),
            stopper: Stopper::new(bell.clone()),
            bell,
            clock,
            mail: Vec::new(),
            next_job: 0,
            turning: false,
            stopped: false,
        })
    }

    /// Takes a machine in, as [`Host::host`] does, with that many job threads of its own; with 0 its jobs run in between.
    pub fn host_with<M: Machine + Send + 'static>(
        &mut self,
        machine: M,
        inbox: Inbox<M::Command>,
        outlet: Outlet<M::Event>,
        executor: Option<Box<dyn Executor<M::Job, M::Done>>>,
        job_threads: usize,
    ) -> Hosted {
        let id = Hosted(self.guests.len());
        let jobs = Jobs::new(executor, job_threads, self.net.config.job_queue, &self.bell, &self.stopper);
        self.guests.push(Box::new(Guest::new(id, machine, inbox, outlet, jobs)));
        id
    }

    /// Accepts connections for a machine at that address; gives the address with the port that the system chose for port 0.
    ///
    /// `[::]` takes IPv4 connections too, and their addresses are shown as IPv4 addresses.
    pub fn listen(&mut self, hosted: Hosted, address: SocketAddr) -> io::Result<SocketAddr> {
        self.listen_with(hosted, address, BindOptions::default())
    }

    /// Accepts connections for a machine as [`listen`](Self::listen) does, with options: IPv6 alone, a port that is shared.
    ///
    /// ```
    /// # use bip::machine::{Host, Machine, mailbox};
    /// # use bip::reactor::{BindOptions, Reactor};
    /// # fn both<M: Machine + Send + 'static>(reactor: &mut Reactor, server: M) -> std::io::Result<()> {
    /// # let (_commands, inbox) = mailbox(16, reactor.doorbell());
    /// let server = reactor.host(server, inbox, Box::new(|_| {}), None);
    /// // A listener for each family, on one port.
    /// let address = reactor.listen(server, "0.0.0.0:0".parse().unwrap())?;
    /// let v6 = BindOptions { only_v6: true, ..BindOptions::default() };
    /// reactor.listen_with(server, (std::net::Ipv6Addr::UNSPECIFIED, address.port()).into(), v6)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen_with(&mut self, hosted: Hosted, address: SocketAddr, options: BindOptions) -> io::Result<SocketAddr> {
        self.known(hosted)?;
        self.net.listen(hosted, address, options)
    }

    /// Binds a datagram socket for a machine; gives the machine's name for it, counted from 0, and its address.
    ///
    /// `[::]` takes IPv4 datagrams too, and their addresses are shown as IPv4 addresses.
    pub fn bind(&mut self, hosted: Hosted, address: SocketAddr) -> io::Result<(SocketId, SocketAddr)> {
        self.bind_with(hosted, address, BindOptions::default())
    }

    /// Binds a datagram socket as [`bind`](Self::bind) does, with options: IPv6 alone, a port that is shared.
    ///
    /// ```
    /// # use bip::machine::{Host, Machine, mailbox};
    /// # use bip::reactor::{BindOptions, Reactor};
    /// # fn both<M: Machine + Send + 'static>(reactor: &mut Reactor, node: M) -> std::io::Result<()> {
    /// # let (_commands, inbox) = mailbox(16, reactor.doorbell());
    /// let node = reactor.host(node, inbox, Box::new(|_| {}), None);
    /// // A node of both families has a socket for each, on one port.
    /// let (_, address) = reactor.bind(node, "0.0.0.0:0".parse().unwrap())?;
    /// let v6 = BindOptions { only_v6: true, ..BindOptions::default() };
    /// reactor.bind_with(node, (std::net::Ipv6Addr::UNSPECIFIED, address.port()).into(), v6)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind_with(
        &mut self,
        hosted: Hosted,
        address: SocketAddr,
        options: BindOptions,
    ) -> io::Result<(SocketId, SocketAddr)> {
        let socket = DatagramSocket::bind(address, options, self.net.config())?;
        let local = socket.local();
        Ok((self.attach(hosted, socket)?, local))
    }

    /// Takes in a datagram socket that was bound before, for a machine; gives the machine's name for it, counted from 0.
    pub fn attach(&mut self, hosted: Hosted, socket: DatagramSocket) -> io::Result<SocketId> {
        self.known(hosted)?;
        self.net.attach(hosted, socket)
    }

    fn known(&self, hosted: Hosted) -> io::Result<()> {
        let missing = || io::Error::new(ErrorKind::InvalidInput, "this reactor hosts no such machine");
        self.guests.get(hosted.0).map(|_| ()).ok_or_else(missing)
    }

    /// Gives the clock, to be shared with other reactors.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Gives a handle that asks this reactor to stop, from any thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Gives the time within which a [`Stopper`] asked this reactor to stop, if one did: the owner then calls
    /// [`shutdown`](Self::shutdown). A spawned reactor does that by itself.
    pub fn stop_asked(&self) -> Option<Duration> {
        self.stopper.asked()
    }

    /// Gives the number of connections, dials under way included.
    pub fn connections(&self) -> usize {
        self.net.connections()
    }

    /// Gives how many datagrams of its machines this reactor could not send and dropped, as the network may: the system had no
    /// room, or would not send them there.
    pub fn dropped_datagrams(&self) -> u64 {
        self.net.dropped_datagrams()
    }

    /// Gives how long to wait before the next [`turn`](Self::turn) if the descriptor does not become readable before: zero
    /// while work is left over, `None` if there is nothing to wait for but readiness.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let timers = self.guests.iter().filter_map(|g| g.poll_timeout()).chain(self.net.next_alarm());
        timers.min().filter(|at| *at < Instant::NEVER).map(|at| self.clock.until(at))
    }

    fn has_work(&self) -> bool {
        self.net.has_work()
            || self.guests.iter().any(|g| g.has_work())
            || (!self.stopped && self.stop_asked().is_some())
    }

    /// Waits until something is ready, the next deadline, or at most that long (`None`: as long as it takes), and does what
    /// there is to do, within the budgets of the [`Config`]. With [`Duration::ZERO`] it never waits.
    ///
    /// Fails only if the system's poll fails, or after a machine has panicked. A panic of a machine goes through to the caller.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if self.turning {
            return Err(io::Error::other("a machine of this reactor has panicked"));
        }
        // The bell has been in its sleeping position since the last turn, so mail that this look misses wakes the poll.
        let timeout = match (timeout, self.next_deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == ErrorKind::Interrupted => self.events.clear(),
            other => other?,
        }
        self.bell.rise();
        self.turning = true;
        self.net.begin_turn(self.clock.now());
        for event in &self.events {
            self.net.on_event(event);
        }
        self.mail.clear();
        self.mail.resize(self.guests.len(), self.net.config.commands_per_turn);
        self.pass_notices();
        self.accept();
        self.receive();
        self.read();
        for guest in &mut self.guests {
            guest.on_time(&mut self.net);
        }
        self.net.send_kept();
        self.run_jobs();
        for _ in 0..ROUNDS {
            let any = self.pass_mail() | self.pass_notices() | self.flush();
            self.net.send_kept();
            if !any {
                break;
            }
        }
        self.net.end_turn();
        self.turning = false;
        self.bell.doze();
        Ok(())
    }

    fn tell(&mut self, hosted: Hosted, input: Input<'_, NoJobs>) {
        if let Some(guest) = self.guests.get_mut(hosted.0) {
            guest.on_input(&mut self.net, input);
        }
    }

    /// Tells machines what the network found out. What they cause by it waits for the next call.
    fn pass_notices(&mut self) -> bool {
        let waiting = self.net.notices.len();
        for _ in 0..waiting {
            if let Some((hosted, input)) = self.net.notices.pop_front() {
                self.tell(hosted, input);
            }
        }
        waiting > 0
    }

    fn pass_mail(&mut self) -> bool {
        let mut any = false;
        for (guest, left) in self.guests.iter_mut().zip(&mut self.mail) {
            let taken = guest.on_mail(&mut self.net, *left);
            *left -= taken;
            any |= taken > 0;
        }
        any
    }

    /// Passes mail on until what it causes among the machines here has come to its end.
    fn follow_mail(&mut self) {
        for _ in 0..STEPS {
            if !self.pass_mail() {
                break;
            }
        }
    }

    fn accept(&mut self) {
        for place in 0..self.net.listeners.len() {
            for _ in 0..self.net.config.accepts_per_turn {
                let (accepted, more) = self.net.accept(place);
                if let Some((hosted, input)) = accepted {
                    self.tell(hosted, input);
                }
                if !more {
                    break;
                }
            }
        }
    }

    fn receive(&mut self) {
        for place in 0..self.net.datagrams.len() {
            let socket = &self.net.datagrams[place];
            let (hosted, id) = (socket.owner, socket.id);
            let Some(guest) = self.guests.get_mut(hosted.0) else { continue };
            for count in 0..self.net.config.datagrams_per_turn {
                if count == BURST {
                    self.net.on_burst(place);
                }
                match self.net.datagrams[place].receive(&mut self.buffer) {
                    Received::Datagram(len, from) => {
                        let input = Input::Datagram { socket: id, from, bytes: &self.buffer[..len] };
                        guest.on_input(&mut self.net, input);
                    }
                    Received::Skipped => {}
                    Received::Nothing => break,
                }
            }
            self.net.send_kept();
        }
    }

    fn read(&mut self) {
        let mut budget = self.net.config.bytes_per_turn;
        // Each connection at most once in a turn: those that are put back wait behind all others.
        for _ in 0..self.net.ready() {
            // Where no more mail may pass, what is read would only pile up.
            if budget == 0 || self.mail.contains(&0) {
                break;
            }
            let Some(conn) = self.net.next_ready() else { break };
            let mut share = self.net.config.bytes_per_connection_per_turn.min(budget);
            while share > 0 {
                let room = share.min(self.buffer.len());
                let (hosted, taken) = self.net.read(conn, &mut self.buffer[..room]);
                let (len, input) = match taken {
                    Taken::Bytes(len) => (len, Some(Input::Stream { conn, bytes: &self.buffer[..len] })),
                    Taken::Discarded(len) => (len, None),
                    Taken::End => (0, Some(Input::End { conn })),
                    Taken::Nothing | Taken::Failed(_) => break,
                };
                share -= len;
                budget -= len;
                if let (Some(input), Some(guest)) = (input, self.guests.get_mut(hosted.0)) {
                    guest.on_input(&mut self.net, input);
                }
            }
            self.net.read_later(conn);
            // What it asked for is fetched and written before the next is read: after all of them it would be out of the cache,
            // and the more memory has been used. Small messages go on gathering.
            self.follow_mail();
            if self.net.unwritten() >= GATHERED {
                self.flush();
            }
        }
    }

    fn run_jobs(&mut self) {
        let mut left = self.net.config.inline_jobs_per_turn;
        for _ in 0..self.guests.len() {
            let place = self.next_job % self.guests.len();
            self.next_job = place + 1;
            while left > 0 && self.guests[place].run_job(&mut self.net) {
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
    }

    /// Writes what machines have queued, and tells those that may queue more.
    fn flush(&mut self) -> bool {
        // What machines queue meanwhile comes behind these and waits for the next call.
        let dirty = self.net.dirty();
        for place in 0..dirty {
            let Some(conn) = self.net.dirty_at(place) else { break };
            // One after another, so that what fills the room is written while it is in the cache.
            for _ in 0..ROUNDS {
                let Some((hosted, queued)) = self.net.flush(conn) else { break };
                self.tell(hosted, Input::Writable { conn, queued });
                self.follow_mail();
                if !self.net.may_flush(conn) {
                    break;
                }
            }
            self.net.put_down(conn);
        }
        self.net.flushed(dirty);
        dirty > 0
    }

    /// Moves the reactor into a thread of its own, which turns it until it is stopped.
    pub fn spawn(self, name: &str) -> io::Result<Running> {
        Running::start(self, name)
    }

    /// Stops within that time: takes no more connections, writes what is queued, ends connections in order, waits for jobs
    /// under way, and drops the machines. What takes longer is dropped; job threads still in a job are left behind.
    ///
    /// Machines are driven as usual meanwhile, so that results reach their owners.
    pub fn shutdown(mut self, deadline: Duration) -> Result<(), StopError> {
        self.shut_down(deadline)
    }

    fn shut_down(&mut self, deadline: Duration) -> Result<(), StopError> {
        self.stopped = true;
        let until = self.clock.now() + deadline;
        let mut result = Ok(());
        if !self.turning {
            // Mail that is in the box was sent before the order to stop.
            result = self.wind_down(until).map_err(|e| StopError::Poll(e.kind()));
        }
        let crews: Vec<_> = self.guests.iter_mut().filter_map(|g| g.dismiss()).collect();
        self.guests.clear();
        let threads: usize = crews.into_iter().map(|crew| crew.join(self.clock.until(until))).sum();
        if threads > 0 {
            result = result.and(Err(StopError::JobsLeft { threads }));
        }
        result
    }

    fn wind_down(&mut self, until: Instant) -> io::Result<()> {
        self.turn(Some(Duration::ZERO))?;
        self.net.close_all();
        loop {
            let left = self.clock.until(until);
            let waits = self.net.connections() > 0
                || self.guests.iter().any(|g| g.jobs() > 0 || g.has_work())
                || !self.net.notices.is_empty();
            if !waits || left.is_zero() {
                return Ok(());
            }
            self.turn(Some(left))?;
        }
    }
}

impl Host for Reactor {
    fn doorbell(&self) -> Doorbell {
        self.bell.clone()
    }

    fn host<M: Machine + Send + 'static>(
        &mut self,
        machine: M,
        inbox: Inbox<M::Command>,
        outlet: Outlet<M::Event>,
        executor: Option<Box<dyn Executor<M::Job, M::Done>>>,
    ) -> Hosted {
        let job_threads = self.net.config.job_threads;
        self.host_with(machine, inbox, outlet, executor, job_threads)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Reactor {
    /// Gives the poll's descriptor: readable when something is ready.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for Reactor {
    /// Gives the poll's descriptor: readable when something is ready.
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.poll.as_raw_fd()
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reactor({} machines, {} connections)", self.guests.len(), self.net.connections())
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if self.stopped {
            return;
        }
        // A reactor whose machine panicked is not turned any more, only taken down.
        let deadline = if std::thread::panicking() || self.turning { Duration::ZERO } else { DROPPED };
        if let Err(e) = self.shut_down(deadline) {
            log::warn!("dropping a reactor: {e}");
        }
    }
}
