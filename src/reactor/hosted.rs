//! One machine in its place: its mail, its jobs, and what it asks for carried out.

use super::jobs::{Crew, Jobs};
use super::net::Net;
use crate::machine::{Hosted, Inbox, Input, Instant, Machine, NoJobs, Outlet, Output, Part};

/// The machine's buffer is emptied during a drain when it holds more than this.
const BUFFERED: usize = 64 << 10;
/// A buffer that grew beyond this is given back after the drain.
const KEPT: usize = 1 << 20;

/// A hosted machine of any type.
pub(super) trait Tenant: Send {
    /// Gives the machine what came from outside.
    fn on_input(&mut self, net: &mut Net, input: Input<'_, NoJobs>);
    /// Gives it mail and results of jobs, at most so many together; says how many there were.
    fn on_mail(&mut self, net: &mut Net, budget: usize) -> usize;
    /// Gives it the time if its timer is due.
    fn on_time(&mut self, net: &mut Net);
    /// Does one of its jobs here, if that is where they are done; says whether there was one.
    fn run_job(&mut self, net: &mut Net) -> bool;
    fn poll_timeout(&self) -> Option<Instant>;
    /// Says whether mail, a result or a job waits for this thread.
    fn has_work(&self) -> bool;
    /// Gives how many jobs have not ended.
    fn jobs(&self) -> usize;
    /// Ends its jobs and gives the threads, to be waited for.
    fn dismiss(&mut self) -> Option<Crew>;
}

/// A machine with what belongs to it. The fields' order is that in which they are dropped: the owner learns first.
pub(super) struct Guest<M: Machine> {
    id: Hosted,
    inbox: Inbox<M::Command>,
    outlet: Outlet<M::Event>,
    machine: M,
    jobs: Jobs<M::Job, M::Done>,
    buffer: Vec<u8>,
}

impl<M: Machine> Guest<M> {
    pub(super) fn new(
        id: Hosted,
        machine: M,
        inbox: Inbox<M::Command>,
        outlet: Outlet<M::Event>,
        jobs: Jobs<M::Job, M::Done>,
    ) -> Self {
        Self { id, inbox, outlet, machine, jobs, buffer: Vec::new() }
    }

    /// Carries out what the machine asks for, then passes on what it tells.
    fn drain(&mut self, net: &mut Net) {
        while let Some(output) = self.machine.poll_output(&mut self.buffer) {
            match output {
                Output::Datagram { socket, to, bytes } => match self.buffer.get(bytes) {
                    Some(bytes) => net.send(self.id, socket, to, bytes),
                    None => log::error!("a machine sent bytes that it had not put into its buffer"),
                },
                Output::Write { conn, part: Part::Bytes(range) } => match self.buffer.get(range) {
                    Some(bytes) => net.write_bytes(self.id, conn, bytes),
                    None => log::error!("a machine wrote bytes that it had not put into its buffer"),
                },
                Output::Write { conn, part: Part::Block(block) } => net.write_block(self.id, conn, block),
                Output::Connect { dial, to } => net.connect(self.id, dial, to),
                Output::Abandon { dial } => net.abandon(self.id, dial),
                Output::Close { conn, flush } => net.close(self.id, conn, flush),
                Output::StopReading { conn } => net.set_reading(self.id, conn, false),
                Output::ResumeReading { conn } => net.set_reading(self.id, conn, true),
                Output::Job { id, job } => self.jobs.push(id, job),
            }
            if self.buffer.len() > BUFFERED {
                self.buffer.clear();
            }
        }
        self.buffer.clear();
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
        while let Some(event) = self.machine.poll_event() {
            (self.outlet)(event);
        }
    }
}

impl<M: Machine + Send> Tenant for Guest<M> {
    fn on_input(&mut self, net: &mut Net, input: Input<'_, NoJobs>) {
        self.machine.handle_input(net.now, input.widen());
        self.drain(net);
    }

    fn on_mail(&mut self, net: &mut Net, budget: usize) -> usize {
        let mut taken = 0;
        while taken < budget {
            let Some((job, done)) = self.jobs.result() else { break };
            self.machine.handle_input(net.now, Input::Done { job, done });
            self.drain(net);
            taken += 1;
        }
        let before = taken;
        while taken < budget {
            let Some(command) = self.inbox.take() else { break };
            self.machine.handle_command(net.now, command);
            taken += 1;
        }
        if taken > before {
            self.drain(net);
        }
        taken
    }

    fn on_time(&mut self, net: &mut Net) {
        if self.machine.poll_timeout().is_some_and(|at| at <= net.now) {
            self.machine.handle_timeout(net.now);
            self.drain(net);
        }
    }

    fn run_job(&mut self, net: &mut Net) -> bool {
        let Some((job, done)) = self.jobs.run_inline() else { return false };
        self.machine.handle_input(net.now, Input::Done { job, done });
        self.drain(net);
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    fn has_work(&self) -> bool {
        !self.inbox.is_empty() || self.jobs.has_results() || self.jobs.waits_inline()
    }

    fn jobs(&self) -> usize {
        self.jobs.outstanding()
    }

    fn dismiss(&mut self) -> Option<Crew> {
        self.jobs.dismiss()
    }
}
