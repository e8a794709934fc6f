//! The disk's machine: takes commands and job results to their torrents, and lets the torrents take turns.

use super::command::{Command, Deletion, Event, Files};
use super::config::Config;
use super::error::Error;
use super::job::{Done, Job};
use super::resume::ResumeFile;
use super::selecting::fits;
use super::store::{Source, Store, StoreId};
use super::torrent::{Answers, Class, Task, Torrent};
use crate::machine::{Input, Instant, JobId, Machine, Map, Output, Rng, Timers, TorrentId};
use crate::proto::metainfo::Layout;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// The files of any number of torrents. The [module's page](super) has what it promises.
#[derive(Debug)]
pub struct Disk {
    config: Config,
    torrents: Map<TorrentId, Torrent>,
    jobs: Map<JobId, (TorrentId, Task)>,
    next_job: u64,
    next_store: u64,
    rng: Rng,
    /// When resume data is to be saved.
    saves: Timers<TorrentId>,
    /// When what is held back is to be written.
    holds: Timers<TorrentId>,
    /// Jobs under way that check.
    checks: usize,
    out: Answers,
    /// Torrents with work, per class, each at most once.
    ready: [VecDeque<TorrentId>; 3],
    /// The class whose turn it is.
    turn: usize,
}

/// The most timers that one call looks after.
const TIMERS_PER_CALL: usize = 64;

const CLASSES: [Class; 3] = [Class::Read, Class::Write, Class::Check];

impl Disk {
    /// Makes a disk without torrents.
    pub fn new(config: Config, rng: &mut Rng) -> Self {
        Self {
            config,
            torrents: Map::new(rng),
            jobs: Map::new(rng),
            next_job: 0,
            next_store: 0,
            rng: rng.fork(),
            saves: Timers::new(),
            holds: Timers::new(),
            checks: 0,
            out: Answers::default(),
            ready: Default::default(),
            turn: 0,
        }
    }

    #[allow(clippy::too_many_arguments)] // one for each field of the command
    fn on_add(
        &mut self,
        torrent: TorrentId,
        layout: Arc<Layout>,
        root: PathBuf,
        writable: bool,
        skipped: Vec<bool>,
        resume: Option<ResumeFile>,
    ) {
        let fits = || fits(&layout, &skipped).then_some(()).ok_or(Error::WrongSelection);
        let verifiable = || layout.is_verifiable().then_some(()).ok_or(Error::NoPieceLayers);
        match self.may_open(torrent).and_then(|()| fits()).and_then(|()| verifiable()) {
            Ok(()) => {
                let store = self.open(&layout, root, writable);
                let (config, rng) = (&self.config, &mut self.rng);
                let entry = Torrent::new(torrent, store, layout, skipped.into(), resume, config, rng);
                self.torrents.insert(torrent, entry);
                self.wake(torrent, Class::Check);
            }
            Err(error) => self.out.answer(Event::AddFailed { torrent, error }),
        }
    }

    fn on_delete(
        &mut self,
        torrent: TorrentId,
        layout: Arc<Layout>,
        root: PathBuf,
        writable: bool,
        resume: Option<ResumeFile>,
    ) {
        match self.may_open(torrent) {
            Ok(()) => {
                let store = self.open(&layout, root, writable);
                let (config, rng, out) = (&self.config, &mut self.rng, &mut self.out);
                let entry = Torrent::on_its_way_out(torrent, store, layout, resume, config, rng, out);
                self.torrents.insert(torrent, entry);
                self.wake(torrent, Class::Read);
            }
            Err(error) => self.out.answer(Event::Deleted { torrent, deletion: Deletion::refused(error) }),
        }
    }

    fn may_open(&self, torrent: TorrentId) -> Result<(), Error> {
        if self.torrents.contains_key(&torrent) {
            Err(Error::TorrentExists)
        } else if self.torrents.len() >= self.config.torrents {
            Err(Error::Busy)
        } else {
            Ok(())
        }
    }

    fn open(&mut self, layout: &Arc<Layout>, root: PathBuf, writable: bool) -> Arc<Store> {
        let id = StoreId(self.next_store);
        self.next_store += 1;
        Arc::new(Store { id, root, source: Source::Torrent(Arc::clone(layout)), writable })
    }

    fn wake(&mut self, torrent: TorrentId, class: Class) {
        if let Some(entry) = self.torrents.get_mut(&torrent) {
            if !std::mem::replace(&mut entry.queued[class as usize], true) {
                self.ready[class as usize].push_back(torrent);
            }
        }
    }

    /// Has what a torrent holds back written in time.
    fn hold(&mut self, now: Instant, torrent: TorrentId) {
        let Some(entry) = self.torrents.get_mut(&torrent) else { return };
        if entry.is_holding() {
            self.holds.set_by(torrent, now + self.config.hold_time);
        }
        // Each that holds something has a timer, so that their number is known.
        let share = self.config.hold_bytes / self.holds.len().max(1);
        entry.may_hold(share.min(self.config.write_bytes / 2));
    }

    fn next_of(&mut self, class: Class) -> Option<Output<Job>> {
        if class == Class::Check && self.checks >= self.config.check_jobs.max(1) {
            return None;
        }
        let most = if self.torrents.len() > 1 { self.config.torrent_jobs.max(1) } else { usize::MAX };
        while let Some(torrent) = self.ready[class as usize].pop_front() {
            let Some(entry) = self.torrents.get_mut(&torrent) else { continue };
            entry.queued[class as usize] = false;
            if entry.in_flight() >= most {
                // The end of one of its jobs wakes it.
                continue;
            }
            let Some((work, task)) = entry.next(class, &mut self.out) else {
                if class == Class::Write && entry.is_ending() {
                    // The last block may have been answered without a job: now the files can be closed.
                    self.wake(torrent, Class::Read);
                }
                continue;
            };
            self.wake(torrent, class);
            self.checks += usize::from(class == Class::Check);
            let id = JobId(self.next_job);
            self.next_job += 1;
            self.jobs.insert(id, (torrent, task));
            return Some(Output::Job { id, job: Job { work } });
        }
        None
    }
}

impl Machine for Disk {
    type Command = Command;
    type Event = Event;
    type Job = Job;
    type Done = Done;

    fn handle_command(&mut self, now: Instant, command: Command) {
        self.out.unanswered += 1;
        let busy = self.out.unanswered > self.config.commands;
        let out = &mut self.out;
        match command {
            Command::Add { torrent, .. } if busy => out.answer(Event::AddFailed { torrent, error: Error::Busy }),
            Command::Add { torrent, layout, root, writable, skipped, resume } => {
                self.on_add(torrent, layout, root, writable, skipped, resume);
            }
            Command::Select { torrent, skipped } => {
                let error = match self.torrents.get_mut(&torrent) {
                    None => Error::UnknownTorrent,
                    Some(_) if busy => Error::Busy,
                    Some(entry) => {
                        entry.on_select(skipped, out);
                        return self.wake(torrent, Class::Read);
                    }
                };
                out.answer(Event::Selected { torrent, error: Some(error) });
            }
            Command::Release { torrent } => {
                if let Some(entry) = self.torrents.get_mut(&torrent) {
                    entry.on_release();
                }
                out.answer(Event::Released { torrent });
                self.wake(torrent, Class::Write);
            }
            Command::Remove { torrent, files } => match (self.torrents.get_mut(&torrent), files) {
                (None, Files::Keep) => out.answer(Event::Removed { torrent, error: Some(Error::UnknownTorrent) }),
                (None, Files::Delete) => {
                    out.answer(Event::Deleted { torrent, deletion: Deletion::refused(Error::UnknownTorrent) });
                }
                (Some(entry), files) => {
                    entry.on_remove(files, out);
                    self.wake(torrent, Class::Read);
                    // What is held back is written now.
                    self.wake(torrent, Class::Write);
                }
            },
            Command::Delete { torrent, .. } if busy => {
                out.answer(Event::Deleted { torrent, deletion: Deletion::refused(Error::Busy) });
            }
            Command::Delete { torrent, layout, root, writable, resume } => {
                self.on_delete(torrent, layout, root, writable, resume);
            }
            Command::Write { torrent, span, block } => {
                let error = match self.torrents.get_mut(&torrent) {
                    None => Error::UnknownTorrent,
                    Some(_) if busy => Error::Busy,
                    Some(entry) => {
                        entry.on_write(&self.config, span, block, out);
                        self.hold(now, torrent);
                        return self.wake(torrent, Class::Write);
                    }
                };
                out.answer(Event::Written { torrent, span, outcome: Err(error) });
            }
            Command::Read { torrent, span, ticket } => {
                let error = match self.torrents.get_mut(&torrent) {
                    None => Error::UnknownTorrent,
                    Some(_) if busy => Error::Busy,
                    Some(entry) => {
                        entry.on_read(span, ticket, out);
                        return self.wake(torrent, Class::Read);
                    }
                };
                out.answer(Event::Read { torrent, span, ticket, block: Err(error) });
            }
            Command::Sync { torrent } => {
                let error = match self.torrents.get_mut(&torrent) {
                    None => Error::UnknownTorrent,
                    Some(_) if busy => Error::Busy,
                    Some(entry) => {
                        entry.on_sync(out);
                        return self.wake(torrent, Class::Read);
                    }
                };
                out.answer(Event::Synced { torrent, error: Some(error) });
            }
            Command::Retry { torrent } => {
                let found = self.torrents.get_mut(&torrent).map(Torrent::on_retry).is_some();
                out.answer(Event::Retried { torrent, found });
                self.wake(torrent, Class::Read);
                self.wake(torrent, Class::Check);
            }
        }
    }

    fn handle_input(&mut self, now: Instant, input: Input<'_, Done>) {
        let Input::Done { job, done } = input else { return };
        let Some((torrent, task)) = self.jobs.remove(&job) else { return };
        self.checks -= usize::from(matches!(task, Task::Check(_)));
        let Some(entry) = self.torrents.get_mut(&torrent) else { return };
        if entry.on_done(&self.config, task, done.map(|d| d.result), &mut self.out) {
            self.torrents.remove(&torrent);
            self.saves.cancel(torrent);
            self.holds.cancel(torrent);
            return;
        }
        if entry.wants_save_timer() {
            self.saves.set_by(torrent, now + self.config.save_interval);
        }
        self.hold(now, torrent);
        // A job's end may free another of any class: the next part of a sync, a piece's next batch, the close.
        CLASSES.into_iter().for_each(|class| self.wake(torrent, class));
    }

    fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMERS_PER_CALL {
            let Some(torrent) = self.saves.pop(now) else { break };
            if let Some(entry) = self.torrents.get_mut(&torrent) {
                entry.on_save_timer();
                self.wake(torrent, Class::Read);
            }
        }
        for _ in 0..TIMERS_PER_CALL {
            let Some(torrent) = self.holds.pop(now) else { break };
            if let Some(entry) = self.torrents.get_mut(&torrent) {
                entry.on_hold_timer();
                self.hold(now, torrent);
                self.wake(torrent, Class::Write);
            }
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    fn poll_output(&mut self, _: &mut Vec<u8>) -> Option<Output<Job>> {
        if self.jobs.len() >= self.config.jobs.max(1) {
            return None;
        }
        loop {
            for _ in CLASSES {
                let class = CLASSES[self.turn];
                self.turn = (self.turn + 1) % CLASSES.len();
                let output = self.next_of(class);
                if output.is_some() {
                    return output;
                }
            }
            // Writes may have woken reads; the other way round never, so this ends.
            if self.ready[Class::Read as usize].is_empty() {
                return None;
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.saves.next().into_iter().chain(self.holds.next()).min()
    }
}
