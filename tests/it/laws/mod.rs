//! The laws of `bip::machine`, held against every machine by random scripts.
//!
//! A script is a list of calls that a seed determines. The harness plays it to two machines made alike and compares all that comes
//! out; it keeps the host's side of the contract (one `Closed` per connection, one end per dial, one `Done` per job) and checks the
//! machine's (ids never used twice, nothing written to a connection that it closed, no spinning timers).

mod subjects;

use bip::machine::{
    CloseReason, ConnId, DialId, Executor, Input, Instant, JobError, JobId, Machine, NoJobs, Output, Part, Rng,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

/// More timeouts than this at one instant is spinning.
const MAX_TIMEOUTS_AT_ONE_INSTANT: u32 = 10_000;
/// More outputs or events than this from one call is unbounded work.
const MAX_OUT_PER_CALL: usize = 200_000;

/// How to make a machine and what to throw at it.
pub(crate) trait Subject {
    type Machine: Machine;

    /// Makes the machine; the same seed makes the same one.
    fn machine(&self, seed: u64) -> Self::Machine;
    /// Makes a command, sensible or not.
    fn command(&self, rng: &mut Rng) -> <Self::Machine as Machine>::Command;
    /// Makes bytes for a stream, sensible or not.
    fn stream(&self, rng: &mut Rng) -> Vec<u8>;
    /// Makes what does the jobs.
    fn executor(&self) -> Option<ExecutorOf<Self::Machine>>;
}

/// What does the jobs of a machine.
type ExecutorOf<M> = Box<dyn Executor<<M as Machine>::Job, <M as Machine>::Done>>;

/// A machine with the host's side of the contract, and a record of all that came out of it.
struct Stage<M: Machine> {
    machine: M,
    executor: Option<ExecutorOf<M>>,
    now: Instant,
    conns: BTreeSet<ConnId>,
    /// Closed by the machine, not yet told to be closed.
    closing: BTreeSet<ConnId>,
    next_slot: u32,
    dials: BTreeSet<DialId>,
    used_dials: BTreeSet<DialId>,
    jobs: BTreeMap<JobId, M::Job>,
    used_jobs: BTreeSet<JobId>,
    trace: String,
}

impl<M: Machine> Stage<M> {
    fn drain(&mut self) {
        let mut buf = Vec::new();
        let mut count = 0;
        while let Some(output) = self.machine.poll_output(&mut buf) {
            count += 1;
            assert!(count < MAX_OUT_PER_CALL, "unbounded outputs from one call");
            let _ = writeln!(self.trace, "{output:?}");
            match output {
                Output::Connect { dial, .. } => {
                    assert!(self.used_dials.insert(dial), "{dial:?} is used twice");
                    self.dials.insert(dial);
                }
                Output::Close { conn, .. } => {
                    let twice = self.conns.contains(&conn) && !self.closing.insert(conn);
                    assert!(!twice, "{conn:?} is closed twice");
                }
                Output::Write { conn, part } => {
                    assert!(!self.closing.contains(&conn), "written to {conn:?} after closing it");
                    match part {
                        Part::Bytes(range) => {
                            let bytes = buf.get(range).expect("a write names bytes of the buffer");
                            let _ = writeln!(self.trace, "{bytes:02x?}");
                        }
                        Part::Block(block) => {
                            let _ = writeln!(self.trace, "{:02x?}", &block[..]);
                        }
                        _ => {}
                    }
                }
                Output::Datagram { bytes, .. } => {
                    let bytes = buf.get(bytes).expect("a datagram names bytes of the buffer");
                    let _ = writeln!(self.trace, "{bytes:02x?}");
                }
                Output::Job { id, job } => {
                    assert!(self.used_jobs.insert(id), "{id:?} is used twice");
                    self.jobs.insert(id, job);
                }
                _ => {}
            }
        }
        while let Some(event) = self.machine.poll_event() {
            count += 1;
            assert!(count < MAX_OUT_PER_CALL, "unbounded events from one call");
            let _ = writeln!(self.trace, "{event:?}");
        }
    }

    fn input(&mut self, input: Input<'_, M::Done>) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn end_conn(&mut self, conn: ConnId, reason: CloseReason) {
        self.conns.remove(&conn);
        self.closing.remove(&conn);
        self.input(Input::Closed { conn, reason });
    }

    /// Law 2: the machine reaches the future in a bounded number of calls.
    fn settle(&mut self) {
        for _ in 0..MAX_TIMEOUTS_AT_ONE_INSTANT {
            if self.machine.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.machine.handle_timeout(self.now);
            self.drain();
        }
        panic!("timers spin at {}", self.now);
    }

    fn pick<T: Copy + Ord>(rng: &mut Rng, set: &BTreeSet<T>) -> Option<T> {
        let n = rng.below(u32::try_from(set.len()).unwrap());
        set.iter().nth(n as usize).copied()
    }

    fn step<S: Subject<Machine = M>>(&mut self, subject: &S, rng: &mut Rng) {
        let address = |n: u32| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 6881));
        match rng.below(16) {
            0 | 1 => {
                self.machine.handle_command(self.now, subject.command(rng));
                self.drain();
            }
            2 => {
                // Time passes: a little, or a lot.
                let micros = 1u64 << rng.below(40);
                self.now += Duration::from_micros(micros);
                self.settle();
            }
            3 => {
                // Early, and twice.
                for _ in 0..=rng.below(2) {
                    self.machine.handle_timeout(self.now);
                    self.drain();
                }
                self.settle();
            }
            4 | 5 => {
                if self.conns.len() < 64 {
                    let conn = ConnId { slot: self.next_slot, generation: rng.below(3) };
                    self.next_slot += 1;
                    self.conns.insert(conn);
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
            6 => {
                if let Some(dial) = Self::pick(rng, &self.dials) {
                    self.dials.remove(&dial);
                    self.input(Input::ConnectFailed { dial, error: ErrorKind::ConnectionRefused });
                }
            }
            7..=10 => {
                if let Some(conn) = Self::pick(rng, &self.conns).filter(|c| !self.closing.contains(c)) {
                    let bytes = subject.stream(rng);
                    if !bytes.is_empty() {
                        self.input(Input::Stream { conn, bytes: &bytes });
                    }
                }
            }
            11 => {
                if let Some(conn) = Self::pick(rng, &self.conns) {
                    let queued = rng.below(200_000) as usize;
                    self.input(Input::Writable { conn, queued });
                }
            }
            12 => {
                if let Some(conn) = Self::pick(rng, &self.conns).filter(|c| !self.closing.contains(c)) {
                    self.input(Input::End { conn });
                }
            }
            13 => {
                if let Some(conn) = Self::pick(rng, &self.closing) {
                    self.end_conn(conn, CloseReason::Ours);
                } else if let Some(conn) = Self::pick(rng, &self.conns) {
                    self.end_conn(conn, CloseReason::Failed(ErrorKind::ConnectionReset));
                }
            }
            14 => {
                // Whatever ended is told again, and whatever never was: the machine must not mind.
                let conn = ConnId { slot: 1_000_000 + rng.below(10), generation: 0 };
                self.input(Input::Stream { conn, bytes: b"stale" });
                self.input(Input::Writable { conn, queued: 0 });
                self.input(Input::ConnectFailed { dial: DialId(u64::MAX), error: ErrorKind::TimedOut });
                self.input(Input::Done { job: JobId(u64::MAX), done: Err(JobError::Panicked) });
            }
            _ => {
                for _ in 0..=rng.below(8) {
                    let keys: BTreeSet<JobId> = self.jobs.keys().copied().collect();
                    let Some(id) = Self::pick(rng, &keys) else { break };
                    let job = self.jobs.remove(&id).expect("its key was just seen");
                    let done = match &self.executor {
                        Some(executor) if rng.below(20) != 0 => Ok(executor.run(job)),
                        Some(_) => Err(JobError::Panicked),
                        None => Err(JobError::Refused),
                    };
                    self.input(Input::Done { job: id, done });
                }
            }
        }
    }
}

fn play<S: Subject>(subject: &S, seed: u64, steps: u32) -> String {
    let mut rng = Rng::new(seed);
    let mut stage = Stage {
        machine: subject.machine(seed),
        executor: subject.executor(),
        now: Instant::from_micros(rng.next_u64() >> 20),
        conns: BTreeSet::new(),
        closing: BTreeSet::new(),
        next_slot: 0,
        dials: BTreeSet::new(),
        used_dials: BTreeSet::new(),
        jobs: BTreeMap::new(),
        used_jobs: BTreeSet::new(),
        trace: String::new(),
    };
    for _ in 0..steps {
        stage.step(subject, &mut rng);
    }
    // Time may stand at its very end without a machine spinning there.
    stage.now = Instant::from_micros(u64::MAX - 1);
    stage.settle();
    stage.trace
}

/// Holds a machine to the laws. A failure names the seed; `BIP_SEED` plays that one alone.
pub(crate) fn hold<S: Subject>(name: &str, subject: &S, seeds: u64, steps: u32) {
    let only = std::env::var("BIP_SEED").ok().and_then(|s| s.parse().ok());
    let range = only.map_or(0..seeds, |seed| seed..seed + 1);
    for seed in range {
        let run = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(subject, seed, steps)));
        let replay = format!("BIP_SEED={seed} cargo test -p bip-torrent --test it {name}");
        let first = run().unwrap_or_else(|_| panic!("a law is broken; replay with: {replay}"));
        let second = run().unwrap_or_else(|_| panic!("a law is broken; replay with: {replay}"));
        if first != second {
            let line = first.lines().zip(second.lines()).position(|(a, b)| a != b);
            panic!("the same seed gave two runs, apart from line {line:?}; replay with: {replay}");
        }
        assert!(seed > 0 || !first.is_empty(), "the script made the machine do nothing");
    }
}

/// A harness that cannot fail shows nothing: these machines break one law each.
mod the_harness_notices {
    use super::*;

    struct Broken {
        how: How,
        sent: u64,
        pending: bool,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum How {
        Spins,
        ReusesJobs,
        DependsOnMemory,
        Panics,
    }

    impl Machine for Broken {
        type Command = ();
        type Event = u64;
        type Job = ();
        type Done = ();

        fn handle_command(&mut self, _: Instant, (): ()) {
            self.pending = true;
            assert!(self.how != How::Panics, "as it was made to");
        }

        fn handle_input(&mut self, _: Instant, _: Input<'_, ()>) {}

        fn handle_timeout(&mut self, _: Instant) {}

        fn poll_event(&mut self) -> Option<u64> {
            if self.how != How::DependsOnMemory || !std::mem::take(&mut self.pending) {
                return None;
            }
            Some(std::collections::hash_map::RandomState::new().hash_one(1))
        }

        fn poll_output(&mut self, _: &mut Vec<u8>) -> Option<Output<()>> {
            if self.how != How::ReusesJobs || !std::mem::take(&mut self.pending) {
                return None;
            }
            self.sent += 1;
            Some(Output::Job { id: JobId(0), job: () })
        }

        fn poll_timeout(&self) -> Option<Instant> {
            (self.how == How::Spins).then_some(Instant::ZERO)
        }
    }

    use std::hash::BuildHasher as _;

    struct Make(How);

    impl Subject for Make {
        type Machine = Broken;

        fn machine(&self, _: u64) -> Broken {
            Broken { how: self.0, sent: 0, pending: false }
        }

        fn command(&self, _: &mut Rng) {}

        fn stream(&self, _: &mut Rng) -> Vec<u8> {
            Vec::new()
        }

        fn executor(&self) -> Option<Box<dyn Executor<(), ()>>> {
            None
        }
    }

    #[test]
    #[should_panic(expected = "a law is broken")]
    fn a_machine_that_spins() {
        hold("spins", &Make(How::Spins), 3, 50);
    }

    #[test]
    #[should_panic(expected = "a law is broken")]
    fn a_machine_that_names_two_jobs_alike() {
        hold("reuses", &Make(How::ReusesJobs), 3, 100);
    }

    #[test]
    #[should_panic(expected = "the same seed gave two runs")]
    fn a_machine_that_does_not_repeat_itself() {
        hold("memory", &Make(How::DependsOnMemory), 3, 100);
    }

    #[test]
    #[should_panic(expected = "a law is broken")]
    fn a_machine_that_panics() {
        hold("panics", &Make(How::Panics), 3, 100);
    }
}

/// The result type of machines without jobs.
pub(crate) type Never = NoJobs;
