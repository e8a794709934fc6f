//! The jobs of one machine: on threads of their own, or in between.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // job threads are started here

use super::thread::Stopper;
use crate::machine::{Doorbell, Executor, JobError, JobId};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use std::any::Any;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

type Shared<J, D> = Arc<dyn Executor<J, D>>;
/// A job's end.
pub(super) type Outcome<D> = (JobId, Result<D, JobError>);

/// Gives the words of a panic.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

fn run<J: 'static, D: 'static>(executor: &dyn Executor<J, D>, job: J) -> Result<D, JobError> {
    // The executor is shared by reference and locks what it changes: a panic poisons what it must.
    catch_unwind(AssertUnwindSafe(|| executor.run(job))).map_err(|panic| {
        log::error!("a job panicked: {}", panic_text(&*panic));
        JobError::Panicked
    })
}

/// Does a job if it takes no waiting.
fn run_now<J: 'static, D: 'static>(executor: &dyn Executor<J, D>, job: J) -> Result<Result<D, JobError>, J> {
    // As above.
    match catch_unwind(AssertUnwindSafe(|| executor.run_now(job))) {
        Ok(Ok(done)) => Ok(Ok(done)),
        Ok(Err(job)) => Err(job),
        Err(panic) => {
            log::error!("a job panicked: {}", panic_text(&*panic));
            Ok(Err(JobError::Panicked))
        }
    }
}

/// What the threads of one machine share.
struct Desk {
    /// Take no more jobs.
    quit: AtomicBool,
    /// Jobs being done.
    busy: AtomicUsize,
}

/// The threads of one machine.
pub(super) struct Crew {
    threads: Vec<JoinHandle<()>>,
    /// Every thread holds the other end, so it is disconnected when the last one has left.
    left: Receiver<Infallible>,
    desk: Arc<Desk>,
}

impl Crew {
    /// Waits until the threads have left, at most that long; gives how many are still in a job and were left behind.
    pub(super) fn join(mut self, timeout: Duration) -> usize {
        self.desk.quit.store(true, Ordering::SeqCst);
        // A thread without a job leaves at once, as soon as it gets to run.
        let timeout =
            if self.desk.busy.load(Ordering::SeqCst) == 0 { timeout.max(Duration::from_secs(1)) } else { timeout };
        let all = matches!(self.left.recv_timeout(timeout), Err(RecvTimeoutError::Disconnected));
        let mut behind = 0;
        for thread in self.threads.drain(..) {
            if all || thread.is_finished() {
                // The thread catches what executors do; joining only waits for its last instructions.
                let _ = thread.join();
            } else {
                behind += 1;
            }
        }
        if behind > 0 {
            log::info!("{behind} job threads are still in a system call at the deadline and are left behind");
        }
        behind
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.desk.quit.store(true, Ordering::SeqCst);
    }
}

enum Place<J, D> {
    /// Nobody does jobs.
    Nowhere,
    /// The reactor's own thread, in between.
    Inline(Shared<J, D>),
    /// Threads.
    Threads { executor: Shared<J, D>, queue: Sender<(JobId, J)>, results: Receiver<Outcome<D>>, crew: Crew, hire: Hire },
}

/// Starts threads as there are jobs for them: most of the time few have anything to do, and each takes memory.
struct Hire {
    start: Box<dyn Fn() -> io::Result<JoinHandle<()>> + Send>,
    /// How many there may be.
    most: usize,
    /// One could not be started, and that was told.
    short: bool,
}

impl Hire {
    /// Has one more thread unless there are enough for so many jobs.
    fn for_jobs(&mut self, jobs: usize, crew: &mut Crew) {
        if crew.threads.len() >= jobs.min(self.most) {
            return;
        }
        match (self.start)() {
            Ok(thread) => crew.threads.push(thread),
            // It is tried again with the next job.
            Err(e) if !self.short => {
                log::warn!("a job thread could not be started beside {}: {e}", crew.threads.len());
                self.short = true;
            }
            Err(_) => {}
        }
    }
}

pub(super) struct Jobs<J, D> {
    place: Place<J, D>,
    /// Jobs that wait for their turn, or for room in the queue.
    waiting: VecDeque<(JobId, J)>,
    /// Jobs that the queue or a thread has.
    away: usize,
    /// Jobs that were refused and whose machine has not been told.
    refused: VecDeque<JobId>,
    /// Jobs that were done at once and whose machine has not been told.
    done: VecDeque<Outcome<D>>,
}

impl<J: Send + 'static, D: Send + 'static> Jobs<J, D> {
    pub(super) fn new(
        executor: Option<Box<dyn Executor<J, D>>>,
        threads: usize,
        queue: usize,
        bell: &Doorbell,
        stopper: &Stopper,
    ) -> Self {
        let place = match executor {
            None => Place::Nowhere,
            Some(executor) => Self::place(executor.into(), threads, queue, bell, stopper),
        };
        Self { place, waiting: VecDeque::new(), away: 0, refused: VecDeque::new(), done: VecDeque::new() }
    }

    fn place(executor: Shared<J, D>, threads: usize, queue: usize, bell: &Doorbell, stopper: &Stopper) -> Place<J, D> {
        let (queue, jobs) = bounded::<(JobId, J)>(queue);
        let (done, results) = unbounded::<Outcome<D>>();
        let (here, left) = bounded::<Infallible>(0);
        let desk = Arc::new(Desk { quit: AtomicBool::new(false), busy: AtomicUsize::new(0) });
        let mut crew = Crew { threads: Vec::new(), left, desk: Arc::clone(&desk) };
        let (shared, bell, stopper) = (Arc::clone(&executor), bell.clone(), stopper.clone());
        let start = move || {
            let (executor, jobs, done, here) = (Arc::clone(&shared), jobs.clone(), done.clone(), here.clone());
            let (desk, bell, stopper) = (Arc::clone(&desk), bell.clone(), stopper.clone());
            let body = move || {
                stopper.enter();
                while let Ok((id, job)) = jobs.recv() {
                    desk.busy.fetch_add(1, Ordering::SeqCst);
                    if desk.quit.load(Ordering::SeqCst) {
                        desk.busy.fetch_sub(1, Ordering::SeqCst);
                        break;
                    }
                    let result = run(&*executor, job);
                    desk.busy.fetch_sub(1, Ordering::SeqCst);
                    if done.send((id, result)).is_err() {
                        break;
                    }
                    bell.ring();
                }
                stopper.leave();
                drop(here);
            };
            Builder::new().name("bip-job".to_owned()).spawn(body)
        };
        let mut hire = Hire { start: Box::new(start), most: threads, short: false };
        // The first at once: where none can be had, jobs are done in between.
        hire.for_jobs(1, &mut crew);
        if crew.threads.is_empty() {
            Place::Inline(executor)
        } else {
            Place::Threads { executor, queue, results, crew, hire }
        }
    }

    /// Takes a job in; does it here if it takes no waiting.
    pub(super) fn push(&mut self, id: JobId, job: J) {
        let executor = match &self.place {
            Place::Nowhere => return self.refused.push_back(id),
            Place::Inline(executor) | Place::Threads { executor, .. } => executor,
        };
        match run_now(&**executor, job) {
            Ok(result) => self.done.push_back((id, result)),
            Err(job) => {
                self.waiting.push_back((id, job));
                self.dispatch();
            }
        }
    }

    fn dispatch(&mut self) {
        let Place::Threads { queue, crew, hire, .. } = &mut self.place else { return };
        while let Some(next) = self.waiting.pop_front() {
            match queue.try_send(next) {
                Ok(()) => {
                    self.away += 1;
                    hire.for_jobs(self.away, crew);
                }
                Err(TrySendError::Full(next) | TrySendError::Disconnected(next)) => {
                    self.waiting.push_front(next);
                    break;
                }
            }
        }
    }

    /// Gives the next result from a thread, or the next refusal.
    pub(super) fn result(&mut self) -> Option<Outcome<D>> {
        if let Some(id) = self.refused.pop_front() {
            return Some((id, Err(JobError::Refused)));
        }
        if let Some(outcome) = self.done.pop_front() {
            return Some(outcome);
        }
        let Place::Threads { results, .. } = &self.place else { return None };
        let result = results.try_recv().ok()?;
        self.away -= 1;
        self.dispatch();
        Some(result)
    }

    /// Does the next job here, if this is the place for it.
    pub(super) fn run_inline(&mut self) -> Option<Outcome<D>> {
        let Place::Inline(executor) = &self.place else { return None };
        let (id, job) = self.waiting.pop_front()?;
        Some((id, run(&**executor, job)))
    }

    /// Says whether a job waits for the reactor's own thread.
    pub(super) fn waits_inline(&self) -> bool {
        matches!(self.place, Place::Inline(_)) && !self.waiting.is_empty()
    }

    /// Says whether a result waits to be given to the machine.
    pub(super) fn has_results(&self) -> bool {
        !self.refused.is_empty()
            || !self.done.is_empty()
            || matches!(&self.place, Place::Threads { results, .. } if !results.is_empty())
    }

    /// Gives how many jobs have not ended.
    pub(super) fn outstanding(&self) -> usize {
        self.waiting.len() + self.away + self.refused.len() + self.done.len()
    }

    /// Takes no more jobs and gives the threads, to be waited for.
    pub(super) fn dismiss(&mut self) -> Option<Crew> {
        self.waiting.clear();
        match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Threads { crew, .. } => Some(crew),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executor() -> Option<Box<dyn Executor<u32, u32>>> {
        Some(Box::new(|job: u32| {
            assert_ne!(job, 13, "an unlucky job");
            job * 2
        }))
    }

    fn all(jobs: &mut Jobs<u32, u32>) -> Vec<Outcome<u32>> {
        let mut outcomes = Vec::new();
        while jobs.outstanding() > 0 {
            match jobs.run_inline().or_else(|| jobs.result()) {
                Some(outcome) => outcomes.push(outcome),
                None => std::thread::yield_now(),
            }
        }
        outcomes.sort_by_key(|o| o.0);
        outcomes
    }

    #[test]
    fn every_job_ends_once_wherever_it_is_done_and_a_panic_is_a_result() {
        for threads in [0, 1, 3] {
            let mut jobs = Jobs::new(executor(), threads, 2, &Doorbell::silent(), &Stopper::new(Doorbell::silent()));
            (0..20).for_each(|n| jobs.push(JobId(u64::from(n)), n));
            assert_eq!(jobs.waits_inline(), threads == 0);
            let expected: Vec<_> = (0..20u32)
                .map(|n| (JobId(u64::from(n)), if n == 13 { Err(JobError::Panicked) } else { Ok(n * 2) }))
                .collect();
            assert_eq!(all(&mut jobs), expected);
            assert_eq!(jobs.dismiss().map_or(0, |crew| crew.join(Duration::from_secs(9))), 0);
        }
    }

    /// Does even jobs at once.
    struct Prompt;

    impl Executor<u32, u32> for Prompt {
        fn run(&self, job: u32) -> u32 {
            job * 2
        }

        fn run_now(&self, job: u32) -> Result<u32, u32> {
            assert_ne!(job, 13, "an unlucky job");
            if job % 2 == 0 { Ok(job * 2 + 1) } else { Err(job) }
        }
    }

    #[test]
    fn a_job_that_need_not_wait_is_done_at_once_and_any_other_as_usual() {
        for threads in [0, 2] {
            let (bell, executor) = (Doorbell::silent(), Box::new(Prompt));
            let mut jobs = Jobs::new(Some(executor), threads, 2, &bell, &Stopper::new(bell.clone()));
            [10, 11, 13].into_iter().for_each(|n| jobs.push(JobId(u64::from(n)), n));
            assert!(jobs.has_results());
            assert_eq!(jobs.outstanding(), 3);
            let expected = [(JobId(10), Ok(21)), (JobId(11), Ok(22)), (JobId(13), Err(JobError::Panicked))];
            assert_eq!(all(&mut jobs), expected);
            assert_eq!(jobs.dismiss().map_or(0, |crew| crew.join(Duration::from_secs(9))), 0);
        }
    }

    #[test]
    fn there_are_as_many_threads_as_there_were_jobs_at_a_time_and_no_more_than_may_be() {
        let (release, gate) = bounded::<()>(0);
        let held: Box<dyn Executor<u32, u32>> = Box::new(move |job: u32| {
            let _ = gate.recv();
            job
        });
        let mut jobs = Jobs::new(Some(held), 3, 8, &Doorbell::silent(), &Stopper::new(Doorbell::silent()));
        let threads = |jobs: &Jobs<u32, u32>| match &jobs.place {
            Place::Threads { crew, .. } => crew.threads.len(),
            _ => 0,
        };
        let mut counts = vec![threads(&jobs)];
        for job in 0..5 {
            jobs.push(JobId(u64::from(job)), job);
            counts.push(threads(&jobs));
        }
        assert_eq!(counts, [1, 1, 2, 3, 3, 3]);
        (0..5).for_each(|_| release.send(()).unwrap());
        assert_eq!(all(&mut jobs).len(), 5);
        for job in 5..50 {
            jobs.push(JobId(u64::from(job)), job);
            release.send(()).unwrap();
            assert_eq!(all(&mut jobs).len(), 1);
        }
        assert_eq!(threads(&jobs), 3);
        assert_eq!(jobs.dismiss().unwrap().join(Duration::from_secs(10)), 0);
    }

    #[test]
    fn without_an_executor_every_job_is_refused() {
        let mut jobs: Jobs<u32, u32> = Jobs::new(None, 2, 2, &Doorbell::silent(), &Stopper::new(Doorbell::silent()));
        jobs.push(JobId(1), 1);
        assert!(jobs.has_results());
        assert_eq!(jobs.result(), Some((JobId(1), Err(JobError::Refused))));
        assert_eq!((jobs.outstanding(), jobs.result()), (0, None));
    }
}
