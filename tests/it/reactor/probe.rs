//! A machine that does what it is told and tells what it sees, and the ways to host it.

use bip::machine::{
    Block, BlockPool, CloseReason, ConnId, DialId, Events, Executor, Host, Hosted, Input, Instant, JobError, JobId,
    Machine, Outbox, Output, Part, RecvError, SocketId, events, mailbox,
};
use bip::reactor::{Config, Reactor, Running};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as Wall};

/// No test takes nearly this long; one that does hangs.
pub(crate) const HANG: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Connect(DialId, SocketAddr),
    Abandon(DialId),
    Write(ConnId, Vec<u8>),
    WriteBlock(ConnId, Block),
    Close(ConnId, bool),
    StopReading(ConnId),
    ResumeReading(ConnId),
    Job(JobId, u32),
    Send(SocketId, SocketAddr, Vec<u8>),
    WakeIn(Duration),
    Panic,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Accepted {
        conn: ConnId,
        from: SocketAddr,
        local: SocketAddr,
    },
    Connected {
        dial: DialId,
        conn: ConnId,
        local: SocketAddr,
    },
    ConnectFailed {
        dial: DialId,
        error: io::ErrorKind,
    },
    Stream(ConnId, Vec<u8>),
    Writable(ConnId, usize),
    End(ConnId),
    Closed(ConnId, CloseReason),
    Done(JobId, Result<u32, JobError>),
    Datagram(SocketId, SocketAddr, Vec<u8>),
    /// A pump's connection ended: so many bytes came, and whether all were as they should be.
    Pumped {
        conn: ConnId,
        bytes: u64,
        good: bool,
    },
    Woken,
}

/// What a probe does with a new connection by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Nothing.
    Tell,
    /// Nothing, and it does not read until told to.
    Wait,
    /// Sends back what comes, datagrams too, and closes when the other side ends.
    Echo,
    /// Sends so many bytes of the pattern, as headers and blocks, checks what comes against the pattern, and closes when
    /// it has sent and received all.
    Pump(u64),
}

/// A prime, so that no buffer's size divides it.
const PERIOD: usize = 65_521;
const HIGH: usize = 512 << 10;

#[derive(Debug, Default)]
struct Flow {
    sent: u64,
    received: u64,
    queued: usize,
    good: bool,
}

pub(crate) struct Probe {
    habit: Habit,
    out: VecDeque<Output<u32>>,
    /// Bytes of the writes in `out`, in their order.
    bytes: VecDeque<Vec<u8>>,
    seen: VecDeque<Seen>,
    flows: BTreeMap<ConnId, Flow>,
    pattern: Vec<u8>,
    pool: BlockPool,
    wake_in: Option<Duration>,
    timer: Option<Instant>,
    _alive: Arc<()>,
}

impl Probe {
    pub(crate) fn new(habit: Habit, alive: Arc<()>) -> Self {
        let pattern = (0..2 * PERIOD).map(|i| (i % PERIOD).wrapping_mul(2_654_435_761) as u64 >> 13).map(|x| x as u8);
        Self {
            habit,
            out: VecDeque::new(),
            bytes: VecDeque::new(),
            seen: VecDeque::new(),
            flows: BTreeMap::new(),
            pattern: pattern.collect(),
            pool: BlockPool::new(512),
            wake_in: None,
            timer: None,
            _alive: alive,
        }
    }

    fn write(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.out.push_back(Output::Write { conn, part: Part::Bytes(0..0) });
        self.bytes.push_back(bytes);
    }

    fn on_open(&mut self, conn: ConnId) {
        match self.habit {
            Habit::Pump(_) => {
                self.flows.insert(conn, Flow { good: true, ..Flow::default() });
                self.pump(conn, 0);
            }
            Habit::Wait => self.out.push_back(Output::StopReading { conn }),
            Habit::Tell | Habit::Echo => {}
        }
    }

    fn pump(&mut self, conn: ConnId, queued: usize) {
        let Habit::Pump(total) = self.habit else { return };
        let Some(flow) = self.flows.get_mut(&conn) else { return };
        flow.queued = queued;
        let mut parts = Vec::new();
        while flow.queued < HIGH && flow.sent < total {
            // A header of 13 bytes, then a block, as of a piece message.
            for want in [13, 16 << 10] {
                let len = want.min(total - flow.sent) as usize;
                let at = (flow.sent % PERIOD as u64) as usize;
                parts.push((want == 13, self.pattern[at..at + len].to_vec()));
                flow.sent += len as u64;
                flow.queued += len;
            }
        }
        for (header, bytes) in parts {
            if header {
                self.write(conn, bytes);
            } else {
                let mut block = self.pool.take(bytes.len());
                block.bytes_mut().extend_from_slice(&bytes);
                self.out.push_back(Output::Write { conn, part: Part::Block(block.freeze()) });
            }
        }
        self.close_pumped(conn, total);
    }

    fn on_pumped(&mut self, conn: ConnId, bytes: &[u8]) {
        let Habit::Pump(total) = self.habit else { return };
        let Some(flow) = self.flows.get_mut(&conn) else { return };
        for bytes in bytes.chunks(PERIOD) {
            let at = (flow.received % PERIOD as u64) as usize;
            flow.good &= &self.pattern[at..at + bytes.len()] == bytes;
            flow.received += bytes.len() as u64;
        }
        self.close_pumped(conn, total);
    }

    /// Closes a connection that has sent and received all, whichever it did last.
    fn close_pumped(&mut self, conn: ConnId, total: u64) {
        if self.flows.get(&conn).is_some_and(|flow| flow.received == total && flow.sent == total) {
            self.out.push_back(Output::Close { conn, flush: true });
        }
    }
}

impl Machine for Probe {
    type Command = Command;
    type Event = Seen;
    type Job = u32;
    type Done = u32;

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Connect(dial, to) => self.out.push_back(Output::Connect { dial, to }),
            Command::Abandon(dial) => self.out.push_back(Output::Abandon { dial }),
            Command::Write(conn, bytes) => self.write(conn, bytes),
            Command::WriteBlock(conn, block) => self.out.push_back(Output::Write { conn, part: Part::Block(block) }),
            Command::Close(conn, flush) => self.out.push_back(Output::Close { conn, flush }),
            Command::StopReading(conn) => self.out.push_back(Output::StopReading { conn }),
            Command::ResumeReading(conn) => self.out.push_back(Output::ResumeReading { conn }),
            Command::Job(id, job) => self.out.push_back(Output::Job { id, job }),
            Command::Send(socket, to, bytes) => {
                self.out.push_back(Output::Datagram { socket, to, bytes: 0..0 });
                self.bytes.push_back(bytes);
            }
            Command::WakeIn(delay) => {
                self.wake_in = Some(delay);
                self.timer = Some(now + delay);
            }
            Command::Panic => panic!("the probe was told to panic"),
        }
    }

    fn handle_input(&mut self, _now: Instant, input: Input<'_, u32>) {
        let seen = match input {
            Input::Accepted { conn, from, local } => {
                self.on_open(conn);
                Seen::Accepted { conn, from, local }
            }
            Input::Connected { dial, conn, local } => {
                self.on_open(conn);
                Seen::Connected { dial, conn, local }
            }
            Input::ConnectFailed { dial, error } => Seen::ConnectFailed { dial, error },
            Input::Stream { conn, bytes } => match self.habit {
                Habit::Pump(_) => return self.on_pumped(conn, bytes),
                Habit::Echo => return self.write(conn, bytes.to_vec()),
                _ => Seen::Stream(conn, bytes.to_vec()),
            },
            Input::Writable { conn, queued } => match self.habit {
                Habit::Pump(_) => return self.pump(conn, queued),
                _ => Seen::Writable(conn, queued),
            },
            Input::End { conn } => {
                if self.habit == Habit::Echo {
                    self.out.push_back(Output::Close { conn, flush: true });
                }
                Seen::End(conn)
            }
            Input::Closed { conn, reason } => {
                if let Some(flow) = self.flows.remove(&conn) {
                    self.seen.push_back(Seen::Pumped { conn, bytes: flow.received, good: flow.good });
                }
                Seen::Closed(conn, reason)
            }
            Input::Done { job, done } => Seen::Done(job, done),
            Input::Datagram { socket, from, bytes } => {
                if self.habit == Habit::Echo {
                    self.out.push_back(Output::Datagram { socket, to: from, bytes: 0..0 });
                    self.bytes.push_back(bytes.to_vec());
                }
                Seen::Datagram(socket, from, bytes.to_vec())
            }
        };
        self.seen.push_back(seen);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_some_and(|at| at <= now) {
            self.timer = None;
            self.seen.push_back(Seen::Woken);
        }
    }

    fn poll_event(&mut self) -> Option<Seen> {
        self.seen.pop_front()
    }

    fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output<u32>> {
        let mut output = self.out.pop_front()?;
        if let Output::Write { part: Part::Bytes(range), .. } | Output::Datagram { bytes: range, .. } = &mut output {
            let from = buf.len();
            buf.extend_from_slice(&self.bytes.pop_front().expect("every such output has its bytes"));
            *range = from..buf.len();
        }
        Some(output)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }
}

pub(crate) type Jobs = Option<Box<dyn Executor<u32, u32>>>;

/// The outside of a hosted probe.
pub(crate) struct Handle {
    pub(crate) hosted: Hosted,
    pub(crate) commands: Outbox<Command>,
    pub(crate) seen: Events<Seen>,
}

impl Handle {
    pub(crate) fn tell(&self, command: Command) {
        self.commands.post(command).expect("the probe lives");
    }
}

/// Puts a probe into a reactor.
pub(crate) fn host(reactor: &mut Reactor, habit: Habit, alive: &Arc<()>, jobs: Jobs) -> Handle {
    let (commands, inbox) = mailbox(100, reactor.doorbell());
    let (sink, seen) = events(&commands, usize::MAX);
    let outlet = Box::new(move |event| sink.notice(event));
    let hosted = reactor.host(Probe::new(habit, Arc::clone(alive)), inbox, outlet, jobs);
    Handle { hosted, commands, seen }
}

/// A probe that nobody needs to hear the end of, in a reactor with one listener on loopback.
pub(crate) fn listening(reactor: &mut Reactor, habit: Habit) -> (Handle, SocketAddr) {
    let handle = host(reactor, habit, &Arc::new(()), None);
    let address = reactor.listen(handle.hosted, "127.0.0.1:0".parse().unwrap()).unwrap();
    (handle, address)
}

pub(crate) fn reactor() -> Reactor {
    Reactor::new(Config { job_threads: 0, ..Config::default() }).unwrap()
}

/// A reactor in one of the two hostings.
pub(crate) enum Drive {
    /// The test turns it.
    Turned(Box<Reactor>),
    /// It has a thread of its own.
    Spawned { running: Running },
}

impl Drive {
    /// Gives the two hostings.
    pub(crate) fn both() -> [fn(Reactor) -> Drive; 2] {
        [|r| Drive::Turned(Box::new(r)), |r| Drive::spawned(r)]
    }

    pub(crate) fn spawned(reactor: Reactor) -> Drive {
        Drive::Spawned { running: reactor.spawn("probe").unwrap() }
    }

    /// Lets it go on for a moment.
    pub(crate) fn step(&mut self) {
        match self {
            Drive::Turned(reactor) => reactor.turn(Some(Duration::ZERO)).unwrap(),
            Drive::Spawned { running } => {
                assert!(running.is_alive());
                std::thread::yield_now();
            }
        }
    }

    /// Waits for what the test gives, letting the reactor go on.
    pub(crate) fn until<T>(&mut self, mut test: impl FnMut() -> Option<T>) -> T {
        let start = Wall::now();
        loop {
            if let Some(found) = test() {
                return found;
            }
            assert!(start.elapsed() < HANG, "it hangs");
            self.step();
        }
    }

    /// Waits for the next thing that a probe sees and the test accepts; what comes before is passed over.
    pub(crate) fn see<T>(&mut self, handle: &Handle, mut wanted: impl FnMut(&Seen) -> Option<T>) -> T {
        self.until(|| {
            loop {
                match handle.seen.try_next() {
                    Ok(seen) => {
                        if let Some(found) = wanted(&seen) {
                            return Some(found);
                        }
                    }
                    Err(RecvError::Empty) => return None,
                    Err(RecvError::Closed) => panic!("the probe is gone"),
                }
            }
        })
    }

    pub(crate) fn accepted(&mut self, handle: &Handle) -> ConnId {
        self.see(handle, |s| match s {
            Seen::Accepted { conn, .. } => Some(*conn),
            _ => None,
        })
    }

    pub(crate) fn closed(&mut self, handle: &Handle) -> (ConnId, CloseReason) {
        self.see(handle, |s| match s {
            Seen::Closed(conn, reason) => Some((*conn, *reason)),
            _ => None,
        })
    }

    /// Lets things settle, and gives all that the probe sees meanwhile.
    pub(crate) fn settle(&mut self, handle: &Handle) -> Vec<Seen> {
        let mut all = Vec::new();
        for _ in 0..5 {
            handle.tell(Command::WakeIn(Duration::from_millis(10)));
            self.see(handle, |s| match s {
                Seen::Woken => Some(()),
                other => {
                    all.push(other.clone());
                    None
                }
            });
        }
        all
    }
}
