//! The laws of `bip::machine`, held against every machine by random scripts.
//!
//! A script is a list of calls that a seed determines. The harness plays it to two machines made alike and compares all that comes
//! out; it keeps the host's side of the contract (one `Closed` per connection, one end per dial, one `Done` per job) and checks the
//! machine's:
//!
//! - ids are never used twice, and nothing is said of a connection or dial that never was;
//! - nothing is written to a connection after its close, and it is closed once;
//! - timers do not spin;
//! - what one call gives is bounded by what is open and by the bytes of the call;
//! - every command that asks for something has exactly one terminal event, once everything under way has been let finish.
//!
//! The scripts send each kind of command that the machine has ([`Subject::source`]): a new one that they lack fails the test.

mod answers;
mod coordinators;
mod dht;
mod disks;
mod subjects;
mod the_harness_notices;
mod tracker_server;
mod trackers;
mod variants;

pub(crate) use answers::{Ask, End};

use answers::Unanswered;
use bip::machine::{
    CloseReason, ConnId, DialId, Executor, Input, Instant, JobError, JobId, Machine, Output, Part, Rng, SocketId,
};
use bip::proto::sha1::Sha1;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

/// More timeouts than this at one instant is spinning.
const MAX_TIMEOUTS_AT_ONE_INSTANT: u32 = 10_000;
/// Everything under way ends within so many rounds, a minute apart.
const MAX_ROUNDS_TO_FINISH: u32 = 100;
/// Within a round, so many answers and ends are enough.
const MAX_ENDS_PER_ROUND: u32 = 100_000;
/// More connections than this are not opened.
const MAX_CONNS: usize = 64;

/// How to make a machine and what to throw at it.
pub(crate) trait Subject {
    type Machine: Machine;

    /// Makes the machine; the same seed makes the same one.
    fn machine(&mut self, seed: u64) -> Self::Machine;
    /// Makes a command, sensible or not. It may be a wrong answer to something that was never asked.
    fn command(&mut self, rng: &mut Rng) -> CommandOf<Self>;
    /// Says what a command waits for; `None` for one that answers.
    fn ask(&self, command: &CommandOf<Self>) -> Option<Ask>;
    /// Says what an event ends; `None` for one that is not terminal.
    fn end(&self, event: &EventOf<Self>) -> Option<End>;
    /// Says how many outputs and events, terminal ones apart, one call may give at most.
    fn most(&self, call: Call) -> usize;

    /// Says in what ways a script goes on, each as likely as it is often there: those that mean something to the machine.
    fn ways(&self) -> &'static [Way] {
        WITH_CONNECTIONS
    }
    /// Gives the source text that declares the machine's `Command`.
    fn source(&self) -> Option<&'static str> {
        None
    }
    /// Takes note of an event.
    fn on_event(&mut self, _event: &EventOf<Self>) {}
    /// Takes note of what is written to a connection.
    fn on_write(&mut self, _conn: ConnId, _bytes: &[u8]) {}
    /// Answers something that the machine asked of its partners; `None` when nothing is left to be answered.
    fn answer(&mut self, _rng: &mut Rng) -> Option<CommandOf<Self>> {
        None
    }
    /// Makes bytes for a stream, sensible or not.
    fn stream(&mut self, _conn: ConnId, _rng: &mut Rng) -> Vec<u8> {
        Vec::new()
    }
    /// Takes note of a datagram that is sent.
    fn on_datagram(&mut self, _socket: SocketId, _to: SocketAddr, _bytes: &[u8]) {}
    /// Makes a datagram, sensible or not, that comes from an address.
    fn datagram(&mut self, _rng: &mut Rng) -> Option<(SocketId, SocketAddr, Vec<u8>)> {
        None
    }
    /// Makes what does the jobs.
    fn executor(&self) -> Option<ExecutorOf<Self::Machine>> {
        None
    }
}

type CommandOf<S> = <<S as Subject>::Machine as Machine>::Command;
type EventOf<S> = <<S as Subject>::Machine as Machine>::Event;
/// What does the jobs of a machine.
type ExecutorOf<M> = Box<dyn Executor<<M as Machine>::Job, <M as Machine>::Done>>;

/// A way in which a script goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Some commands.
    Commands,
    /// Time passes.
    Time,
    /// Timeouts that are early.
    Timeouts,
    /// A connection is accepted, or a dial succeeds.
    Open,
    /// A dial fails.
    NoDial,
    /// Bytes come.
    Stream,
    /// Datagrams come.
    Datagrams,
    /// What was written goes out.
    Writable,
    /// The other side has nothing more to say, or [`Close`](Self::Close).
    End,
    /// A connection is closed.
    Close,
    /// What never was is told.
    Stale,
    /// Partners answer.
    Answers,
    /// Jobs are done.
    Jobs,
}

/// How a script goes on for a machine with connections and partners.
const WITH_CONNECTIONS: &[Way] = {
    use Way::*;
    &[
        Commands, Commands, Time, Time, Timeouts, Open, Open, NoDial, Stream, Stream, Stream, Stream, Stream, Stream,
        Stream, Stream, Writable, End, Close, Stale, Answers, Answers, Answers, Answers,
    ]
};

/// What bounds the work of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Bytes that the call gave.
    pub(crate) bytes: usize,
    /// Connections that are open.
    pub(crate) conns: usize,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Commands that have ended in their terminal event.
    pub(crate) answered: usize,
    /// Blocks written to connections.
    pub(crate) blocks: usize,
    /// How many commands of each kind were sent.
    pub(crate) sent: BTreeMap<String, usize>,
    /// How many events of each kind were told.
    pub(crate) told: BTreeMap<String, usize>,
}

impl Tally {
    /// Gives how many events of a kind were told.
    pub(crate) fn told(&self, kind: &str) -> usize {
        self.told.get(kind).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Tally) {
        self.answered += other.answered;
        self.blocks += other.blocks;
        other.sent.into_iter().for_each(|(kind, count)| *self.sent.entry(kind).or_default() += count);
        other.told.into_iter().for_each(|(kind, count)| *self.told.entry(kind).or_default() += count);
    }
}

/// A machine with the host's side of the contract, and a record of all that came out of it.
struct Stage<S: Subject> {
    subject: S,
    machine: S::Machine,
    executor: Option<ExecutorOf<S::Machine>>,
    now: Instant,
    conns: BTreeSet<ConnId>,
    /// Every connection that ever was.
    used_conns: BTreeSet<ConnId>,
    /// Closed by the machine, not yet told to be closed.
    closing: BTreeSet<ConnId>,
    /// Not to be read, as the machine says.
    stopped: BTreeSet<ConnId>,
    next_slot: u32,
    dials: BTreeSet<DialId>,
    used_dials: BTreeSet<DialId>,
    jobs: BTreeMap<JobId, <S::Machine as Machine>::Job>,
    used_jobs: BTreeSet<JobId>,
    unanswered: Unanswered,
    tally: Tally,
    trace: String,
}

impl<S: Subject> Stage<S> {
    /// Takes all that a call gave, of which `bytes` went in.
    fn drain(&mut self, bytes: usize) {
        let most = self.subject.most(Call { bytes, conns: self.conns.len() });
        let mut buf = Vec::new();
        let mut count = 0;
        while let Some(output) = self.machine.poll_output(&mut buf) {
            count += 1;
            assert!(count <= most, "unbounded outputs: more than {most} from one call");
            let _ = writeln!(self.trace, "{output:?}");
            self.on_output(output, &buf);
        }
        while let Some(event) = self.machine.poll_event() {
            let _ = writeln!(self.trace, "{event:?}");
            *self.tally.told.entry(variants::name(&event)).or_default() += 1;
            match self.subject.end(&event) {
                // As many as were asked for, and no more: that is bound enough.
                Some(end) => self.unanswered.on_end(&end),
                None => count += 1,
            }
            assert!(count <= most, "unbounded events: more than {most} from one call");
            self.subject.on_event(&event);
        }
    }

    fn on_output(&mut self, output: Output<<S::Machine as Machine>::Job>, buf: &[u8]) {
        match output {
            Output::Connect { dial, .. } => {
                assert!(self.used_dials.insert(dial), "{dial:?} is used twice");
                self.dials.insert(dial);
            }
            Output::Abandon { dial } => {
                assert!(self.used_dials.contains(&dial), "{dial:?} is abandoned and never was");
            }
            Output::Close { conn, .. } => {
                self.check_was(conn);
                let twice = self.conns.contains(&conn) && !self.closing.insert(conn);
                assert!(!twice, "{conn:?} is closed twice");
            }
            Output::Write { conn, part } => {
                self.check_was(conn);
                assert!(!self.closing.contains(&conn), "written to {conn:?} after closing it");
                match part {
                    Part::Bytes(range) => {
                        let bytes = buf.get(range).expect("a write names bytes of the buffer");
                        self.record(bytes);
                        self.subject.on_write(conn, bytes);
                    }
                    Part::Block(block) => {
                        self.tally.blocks += 1;
                        self.record(&block);
                        self.subject.on_write(conn, &block);
                    }
                    _ => {}
                }
            }
            Output::StopReading { conn } => {
                self.check_was(conn);
                self.stopped.insert(conn);
            }
            Output::ResumeReading { conn } => {
                self.check_was(conn);
                self.stopped.remove(&conn);
            }
            Output::Datagram { socket, to, bytes } => {
                let bytes = buf.get(bytes).expect("a datagram names bytes of the buffer");
                self.record(bytes);
                self.subject.on_datagram(socket, to, bytes);
            }
            Output::Job { id, job } => {
                assert!(self.used_jobs.insert(id), "{id:?} is used twice");
                self.jobs.insert(id, job);
            }
            _ => {}
        }
    }

    fn check_was(&self, conn: ConnId) {
        assert!(self.used_conns.contains(&conn), "{conn:?} never was");
    }

    fn record(&mut self, bytes: &[u8]) {
        let _ = match bytes.len() {
            0..=100 => writeln!(self.trace, "{bytes:02x?}"),
            _ => writeln!(self.trace, "{:02x?}", Sha1::digest(bytes)),
        };
    }

    fn input(&mut self, input: Input<'_, <S::Machine as Machine>::Done>) {
        let bytes =
            if let Input::Stream { bytes, .. } | Input::Datagram { bytes, .. } = &input { bytes.len() } else { 0 };
        self.machine.handle_input(self.now, input);
        self.drain(bytes);
    }

    fn command(&mut self, command: CommandOf<S>) {
        *self.tally.sent.entry(variants::name(&command)).or_default() += 1;
        if let Some(ask) = self.subject.ask(&command) {
            self.unanswered.on_ask(ask);
        }
        self.machine.handle_command(self.now, command);
        self.drain(0);
    }

    fn end_conn(&mut self, conn: ConnId, reason: CloseReason) {
        self.conns.remove(&conn);
        self.closing.remove(&conn);
        self.stopped.remove(&conn);
        self.input(Input::Closed { conn, reason });
    }

    fn end_dial(&mut self, dial: DialId) {
        self.dials.remove(&dial);
        self.input(Input::ConnectFailed { dial, error: ErrorKind::ConnectionRefused });
    }

    fn end_job(&mut self, id: JobId, panics: bool) {
        let job = self.jobs.remove(&id).expect("its key was just seen");
        let done = match &self.executor {
            Some(executor) if !panics => Ok(executor.run(job)),
            Some(_) => Err(JobError::Panicked),
            None => Err(JobError::Refused),
        };
        self.input(Input::Done { job: id, done });
    }

    /// Law 2: the machine reaches the future in a bounded number of calls.
    fn settle(&mut self) {
        for _ in 0..MAX_TIMEOUTS_AT_ONE_INSTANT {
            if self.machine.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.machine.handle_timeout(self.now);
            self.drain(0);
        }
        panic!("timers spin at {}", self.now);
    }

    /// Law 6: everything under way is let finish, in random order; then every ask has ended.
    fn finish(&mut self, rng: &mut Rng) {
        for _ in 0..MAX_ROUNDS_TO_FINISH {
            for n in 0.. {
                assert!(n < MAX_ENDS_PER_ROUND, "what is under way does not end");
                if !self.finish_one(rng) {
                    break;
                }
            }
            if self.unanswered.is_empty() {
                return;
            }
            // The machine may be waiting for the time.
            self.now += Duration::from_secs(60);
            self.settle();
        }
        panic!("without a terminal event: {:?}", self.unanswered.about);
    }

    /// Ends one thing that is under way; says whether there was one.
    fn finish_one(&mut self, rng: &mut Rng) -> bool {
        let first = rng.below(4);
        for way in (0..4).map(|way| (first + way) % 4) {
            match way {
                0 => {
                    let keys: BTreeSet<JobId> = self.jobs.keys().copied().collect();
                    let Some(id) = Self::pick(rng, &keys) else { continue };
                    self.end_job(id, false);
                }
                1 => {
                    let Some(command) = self.subject.answer(rng) else { continue };
                    self.command(command);
                }
                2 => {
                    let Some(dial) = Self::pick(rng, &self.dials) else { continue };
                    self.end_dial(dial);
                }
                _ => {
                    let Some(conn) = Self::pick(rng, &self.conns) else { continue };
                    self.end_conn(conn, CloseReason::Failed(ErrorKind::ConnectionReset));
                }
            }
            return true;
        }
        false
    }

    fn pick<T: Copy + Ord>(rng: &mut Rng, set: &BTreeSet<T>) -> Option<T> {
        let n = rng.below(u32::try_from(set.len()).unwrap());
        set.iter().nth(n as usize).copied()
    }

    /// Picks a connection that is read: one that the machine wants read, or now and then what had been read already.
    fn pick_read(&self, rng: &mut Rng) -> Option<ConnId> {
        let conn = Self::pick(rng, &self.conns).filter(|c| !self.closing.contains(c))?;
        (!self.stopped.contains(&conn) || rng.below(8) == 0).then_some(conn)
    }

    fn step(&mut self, rng: &mut Rng) {
        let address = |n: u32| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 6881));
        match *rng.choose(self.subject.ways()).expect("there are ways") {
            Way::Commands => {
                for _ in 0..=rng.below(6) {
                    let command = self.subject.command(rng);
                    self.command(command);
                }
            }
            Way::Time => {
                // A little, or now and then a lot, after which no connection is left.
                let most = if rng.below(6) == 0 { 40 } else { 24 };
                let micros = 1u64 << rng.below(most);
                self.now += Duration::from_micros(micros);
                self.settle();
            }
            Way::Timeouts => {
                // Early, and twice.
                for _ in 0..=rng.below(2) {
                    self.machine.handle_timeout(self.now);
                    self.drain(0);
                }
                self.settle();
            }
            Way::Open => {
                if self.conns.len() < MAX_CONNS {
                    let conn = ConnId { slot: self.next_slot, generation: rng.below(3) };
                    self.next_slot += 1;
                    self.conns.insert(conn);
                    self.used_conns.insert(conn);
                    let dial = if rng.below(2) == 0 { Self::pick(rng, &self.dials) } else { None };
                    match dial {
                        Some(dial) => {
                            self.dials.remove(&dial);
                            self.input(Input::Connected { dial, conn, local: address(1) });
                        }
                        None => {
                            let from = address(rng.below(500));
                            self.input(Input::Accepted { conn, from, local: address(1) });
                        }
                    }
                }
            }
            Way::NoDial => {
                if let Some(dial) = Self::pick(rng, &self.dials) {
                    self.end_dial(dial);
                }
            }
            Way::Stream => {
                if let Some(conn) = self.pick_read(rng) {
                    let bytes = self.subject.stream(conn, rng);
                    if !bytes.is_empty() {
                        self.input(Input::Stream { conn, bytes: &bytes });
                    }
                }
            }
            Way::Datagrams => {
                for _ in 0..=rng.below(4) {
                    let Some((socket, from, bytes)) = self.subject.datagram(rng) else { break };
                    self.input(Input::Datagram { socket, from, bytes: &bytes });
                }
            }
            Way::Writable => {
                if let Some(conn) = Self::pick(rng, &self.conns) {
                    let queued = rng.below(200_000) as usize;
                    self.input(Input::Writable { conn, queued });
                }
            }
            Way::End if rng.below(3) == 0 => {
                if let Some(conn) = self.pick_read(rng) {
                    self.input(Input::End { conn });
                }
            }
            Way::End | Way::Close => {
                if let Some(conn) = Self::pick(rng, &self.closing) {
                    self.end_conn(conn, CloseReason::Ours);
                } else if let Some(conn) = Self::pick(rng, &self.conns).filter(|_| rng.below(3) == 0) {
                    self.end_conn(conn, CloseReason::Failed(ErrorKind::ConnectionReset));
                }
            }
            Way::Stale => {
                // What never was is told, and the machine must not mind.
                let conn = ConnId { slot: 1_000_000 + rng.below(10), generation: 0 };
                self.input(Input::Stream { conn, bytes: b"stale" });
                self.input(Input::Writable { conn, queued: 0 });
                self.input(Input::ConnectFailed { dial: DialId(u64::MAX), error: ErrorKind::TimedOut });
                self.input(Input::Done { job: JobId(u64::MAX), done: Err(JobError::Panicked) });
            }
            Way::Answers => {
                for _ in 0..=rng.below(4) {
                    let Some(command) = self.subject.answer(rng) else { break };
                    self.command(command);
                }
            }
            Way::Jobs => {
                for _ in 0..=rng.below(8) {
                    let keys: BTreeSet<JobId> = self.jobs.keys().copied().collect();
                    let Some(id) = Self::pick(rng, &keys) else { break };
                    self.end_job(id, rng.below(20) == 0);
                }
            }
        }
    }
}

fn play<S: Subject>(mut subject: S, seed: u64, steps: u32) -> (String, Tally) {
    let mut rng = Rng::new(seed);
    let mut stage = Stage {
        machine: subject.machine(seed),
        executor: subject.executor(),
        subject,
        now: Instant::from_micros(rng.next_u64() >> 20),
        conns: BTreeSet::new(),
        used_conns: BTreeSet::new(),
        closing: BTreeSet::new(),
        stopped: BTreeSet::new(),
        next_slot: 0,
        dials: BTreeSet::new(),
        used_dials: BTreeSet::new(),
        jobs: BTreeMap::new(),
        used_jobs: BTreeSet::new(),
        unanswered: Unanswered::default(),
        tally: Tally::default(),
        trace: String::new(),
    };
    for _ in 0..steps {
        stage.step(&mut rng);
    }
    stage.finish(&mut rng);
    // Time may stand at its very end without a machine spinning there.
    stage.now = Instant::from_micros(u64::MAX - 1);
    stage.settle();
    let tally = Tally { answered: stage.unanswered.answered, ..stage.tally };
    (stage.trace, tally)
}

/// Gives what a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

/// Holds a machine to the laws. A failure names the seed; `BIP_SEED` plays that one alone. Gives what all seeds came to, unless
/// only one was played.
pub(crate) fn hold<S: Subject>(name: &str, subject: impl Fn() -> S, seeds: u64, steps: u32) -> Option<Tally> {
    let only: Option<u64> = std::env::var("BIP_SEED").ok().and_then(|s| s.parse().ok());
    let range = only.map_or(0..seeds, |seed| seed..seed + 1);
    let mut all = Tally::default();
    for seed in range {
        let replay = format!("BIP_SEED={seed} cargo test -p bip-torrent --test it {name}");
        let run = || {
            let play = std::panic::AssertUnwindSafe(|| play(subject(), seed, steps));
            std::panic::catch_unwind(play)
                .unwrap_or_else(|panic| panic!("a law is broken: {}; replay with: {replay}", message(&*panic)))
        };
        let (first, tally) = run();
        let (second, _) = run();
        if first != second {
            let line = first.lines().zip(second.lines()).position(|(a, b)| a != b);
            panic!("the same seed gave two runs, apart from line {line:?}; replay with: {replay}");
        }
        assert!(seed > 0 || !first.is_empty(), "the script made the machine do nothing");
        all.add(tally);
    }
    if only.is_some() {
        return None;
    }
    assert!(all.answered as u64 >= 10 * seeds, "the scripts hardly ask for anything: {all:?}");
    if let Some(source) = subject().source() {
        let declared = variants::declared(source, "Command");
        let sent: BTreeSet<&str> = all.sent.keys().map(String::as_str).collect();
        assert_eq!(sent, declared, "the scripts do not send what the machine takes");
        let seldom: Vec<_> = all.sent.iter().filter(|(_, count)| (**count as u64) < seeds).collect();
        assert!(seldom.is_empty(), "the scripts hardly send {seldom:?}");
    }
    Some(all)
}
