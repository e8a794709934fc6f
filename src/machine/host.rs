//! What a wiring needs of a host, whichever it is: the reactor, or a simulator.

use super::{Doorbell, Inbox, Machine};

/// Takes a machine's events where they belong, on the machine's own thread. Must not block.
pub type Outlet<E> = Box<dyn FnMut(E) + Send>;

/// Does a machine's jobs. Shared by the job threads of a host.
pub trait Executor<J, D>: Send + Sync + 'static {
    /// Does one job. May block; a panic becomes [`JobError::Panicked`](super::JobError).
    fn run(&self, job: J) -> D;

    /// Does a job if it is short and takes no waiting, so that a host may have it done on its own thread; gives it back
    /// otherwise. A panic is as with [`run`](Self::run).
    fn run_now(&self, job: J) -> Result<D, J> {
        Err(job)
    }
}

impl<J, D, F: Fn(J) -> D + Send + Sync + 'static> Executor<J, D> for F {
    fn run(&self, job: J) -> D {
        self(job)
    }
}

/// The job type of a machine that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoJobs {}

/// A machine's place in its host, in the order in which machines were hosted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hosted(pub usize);

/// Something that drives machines.
pub trait Host {
    /// Gives the bell that wakes this host: mailboxes of machines hosted here ring it.
    fn doorbell(&self) -> Doorbell;

    /// Takes a machine in. Its commands come from `inbox`, its events go to `outlet`, its jobs to `executor` (`None`: every
    /// job is refused).
    fn host<M: Machine + Send + 'static>(
        &mut self,
        machine: M,
        inbox: Inbox<M::Command>,
        outlet: Outlet<M::Event>,
        executor: Option<Box<dyn Executor<M::Job, M::Done>>>,
    ) -> Hosted;
}
