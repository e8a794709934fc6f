//! Drives machines with their jobs done inline, in an order drawn from a seed.

mod adding;
mod crashing;
mod deleting;
mod faults;
mod holding;
mod losing;
mod making;
mod native;
#[cfg(unix)]
mod planted;
mod random;
mod resuming;
mod skipping;
mod suspects;
mod verifying;
#[cfg(feature = "v2")]
mod version_2;
mod writing;

use super::job::Work;
use super::{Checked, Command, Config, Deletion, Disk, Done, Event, Executor, Files, Job, Memory, ResumeFile, Written};
use crate::machine::{Block, Executor as _, Input, Instant, JobError, JobId, Machine, Output, Rng, TorrentId};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::{BLOCK_LENGTH, Span};
use crate::proto::id::{InfoHash, PieceIndex};
use crate::proto::metainfo::{Layout, SafePath};
use crate::proto::sha1::Sha1;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(super) const T: TorrentId = TorrentId(7);

/// A machine, its executor, and the jobs it has asked for.
pub(super) struct Driver<M: Machine> {
    pub(super) machine: M,
    pub(super) executor: Arc<Executor>,
    pub(super) jobs: Vec<(JobId, Job)>,
    pub(super) jobs_done: usize,
    pub(super) events: Vec<M::Event>,
    pub(super) now: Instant,
    rng: Rng,
}

impl<M: Machine<Job = Job, Done = Done>> Driver<M> {
    pub(super) fn new(machine: M, executor: Executor, seed: u64) -> Self {
        let executor = Arc::new(executor);
        let (jobs, events, now) = (Vec::new(), Vec::new(), Instant::ZERO);
        Self { machine, executor, jobs, jobs_done: 0, events, now, rng: Rng::new(seed) }
    }

    pub(super) fn send(&mut self, command: M::Command) {
        self.machine.handle_command(self.now, command);
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.machine.handle_timeout(self.now);
    }

    pub(super) fn collect(&mut self) {
        while let Some(output) = self.machine.poll_output(&mut Vec::new()) {
            match output {
                Output::Job { id, job } => self.jobs.push((id, job)),
                other => panic!("a disk asks for jobs only, not {other:?}"),
            }
        }
        while let Some(event) = self.machine.poll_event() {
            self.events.push(event);
        }
    }

    /// Does all jobs; gives the most pieces that were being hashed at a time.
    pub(super) fn most_hashed_at_a_time(&mut self) -> usize {
        let mut most = 0;
        loop {
            self.collect();
            let hashing = self.jobs.iter().filter(|(_, job)| matches!(job.work, Work::Hash { .. })).count();
            most = most.max(hashing);
            if !self.step() {
                return most;
            }
        }
    }

    /// Does one job of those asked for; says whether there was one.
    pub(super) fn step(&mut self) -> bool {
        self.collect();
        if self.jobs.is_empty() {
            return false;
        }
        let at = self.rng.below(self.jobs.len() as u32) as usize;
        let (job, work) = self.jobs.swap_remove(at);
        // As a host does: what panics is a job that failed.
        let run = std::panic::AssertUnwindSafe(|| self.executor.run(work));
        let done = std::panic::catch_unwind(run).map_err(|_| JobError::Panicked);
        self.jobs_done += 1;
        self.machine.handle_input(self.now, Input::Done { job, done });
        self.collect();
        true
    }

    /// Does that many jobs, or as many as there are.
    pub(super) fn steps(&mut self, count: u32) {
        for _ in 0..count {
            if !self.step() {
                break;
            }
        }
    }

    pub(super) fn run(&mut self) -> Vec<M::Event> {
        while self.step() {}
        std::mem::take(&mut self.events)
    }

    pub(super) fn ask(&mut self, command: M::Command) -> Vec<M::Event> {
        self.send(command);
        self.run()
    }
}

/// A torrent with its bytes.
pub(super) struct Sample {
    pub(super) layout: Arc<Layout>,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn root() -> PathBuf {
    PathBuf::from("/downloads")
}

impl Sample {
    /// Makes files `t/0`, `t/1`... of these lengths, with bytes drawn from a seed.
    pub(super) fn new(lengths: &[u64], piece_length: u32) -> Self {
        let mut rng = Rng::new(lengths.iter().sum());
        let total: u64 = lengths.iter().sum();
        let bytes: Vec<u8> = (0..total).map(|_| rng.next_u64() as u8).collect();
        let hashes: Vec<_> = bytes.chunks(piece_length as usize).map(Sha1::digest).collect();
        let path = |i: usize| SafePath::from_parts(["t".to_owned(), i.to_string()]).unwrap();
        let files = lengths.iter().enumerate().map(|(i, l)| (path(i), *l)).collect();
        Self { layout: Arc::new(Layout::new(files, piece_length, &hashes).unwrap()), bytes }
    }

    pub(super) fn path(&self, file: usize) -> PathBuf {
        root().join(self.layout.files()[file].path.to_path_buf())
    }

    pub(super) fn contents(&self, file: usize) -> &[u8] {
        let file = &self.layout.files()[file];
        &self.bytes[file.offset as usize..][..file.length as usize]
    }

    pub(super) fn span(&self, piece: u32, begin: u32, length: u32) -> Span {
        Span { piece: PieceIndex(piece), begin, length }
    }

    pub(super) fn block(&self, span: Span) -> Block {
        let offset = self.layout.geometry().offset_of(span) as usize;
        Block::from(self.bytes[offset..][..span.length as usize].to_vec())
    }

    pub(super) fn write(&self, span: Span) -> Command {
        Command::Write { torrent: T, span, block: self.block(span) }
    }

    /// All blocks of a piece, at most `length` bytes each.
    pub(super) fn spans(&self, piece: u32, length: u32) -> Vec<Span> {
        let end = self.layout.geometry().length_of(PieceIndex(piece));
        (0..end).step_by(length as usize).map(|b| self.span(piece, b, length.min(end - b))).collect()
    }

    pub(super) fn all_spans(&self) -> Vec<Span> {
        let pieces = self.layout.geometry().piece_count();
        (0..pieces).flat_map(|p| self.spans(p, BLOCK_LENGTH)).collect()
    }

    pub(super) fn add(&self) -> Command {
        Command::Add {
            torrent: T,
            layout: Arc::clone(&self.layout),
            root: root(),
            writable: true,
            skipped: Vec::new(),
            resume: None,
        }
    }

    /// The same with resume data.
    pub(super) fn add_resuming(&self) -> Command {
        Command::Add {
            torrent: T,
            layout: Arc::clone(&self.layout),
            root: root(),
            writable: true,
            skipped: Vec::new(),
            resume: Some(ResumeFile { path: state(), info_hash: InfoHash([7; 20]) }),
        }
    }

    pub(super) fn check_files(&self, memory: &Memory) {
        for i in 0..self.layout.files().len() {
            assert_eq!(memory.contents(&self.path(i)).as_deref(), Some(self.contents(i)), "file {i}");
        }
    }

    pub(super) fn put_files(&self, memory: &Memory) {
        (0..self.layout.files().len()).for_each(|i| memory.put(&self.path(i), self.contents(i)));
    }
}

/// Where the resume data is kept.
pub(super) fn state() -> PathBuf {
    PathBuf::from("/state/t.resume")
}

pub(super) fn checked(events: &[Event]) -> Checked {
    let found = events.iter().find_map(|e| if let Event::Added { checked, .. } = e { Some(*checked) } else { None });
    found.unwrap_or_else(|| panic!("added, instead of {events:?}"))
}

pub(super) fn stored(events: &[Event]) -> Vec<Span> {
    let found =
        events.iter().find_map(|e| if let Event::Added { stored, .. } = e { Some(stored.clone()) } else { None });
    found.unwrap_or_else(|| panic!("added, instead of {events:?}"))
}

/// Limits under which each block is written as it comes, so that a test sees what becomes of it.
pub(super) fn at_once() -> Config {
    Config { hold_bytes: 0, ..Config::default() }
}

pub(super) fn disk_on(memory: &Memory, seed: u64) -> Driver<Disk> {
    let disk = Disk::new(at_once(), &mut Rng::new(seed));
    Driver::new(disk, Executor::with_open_files(Box::new(memory.clone()), 2), seed)
}

/// Makes a disk on an empty memory with the sample added.
pub(super) fn added(sample: &Sample) -> (Driver<Disk>, Memory) {
    let memory = Memory::new();
    let mut disk = disk_on(&memory, 1);
    assert_eq!(have(&disk.ask(sample.add())).count(), 0);
    (disk, memory)
}

pub(super) fn have(events: &[Event]) -> Bitfield {
    let found = events.iter().find_map(|e| match e {
        Event::Added { have, .. } => Some(have.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("added, instead of {events:?}"))
}

pub(super) fn outcomes(events: &[Event]) -> Vec<Result<Written, super::Error>> {
    events
        .iter()
        .filter_map(|e| match e {
            Event::Written { outcome, .. } => Some(outcome.clone()),
            _ => None,
        })
        .collect()
}

pub(super) fn good(events: &[Event]) -> usize {
    outcomes(events).iter().filter(|o| **o == Ok(Written::PieceGood)).count()
}

pub(super) fn exists(memory: &Memory, path: &Path) -> bool {
    memory.contents(path).is_some()
}
