//! A host on virtual time.

use super::Ready;
use super::agenda::Task;
use super::network::Network;
use bip::machine::{
    Block, ConnId, DialId, Doorbell, Executor, Host, Hosted, Inbox, Input, Instant, JobError, JobId, Machine, NoJobs,
    Outlet, Output, Part, Rng, SocketId,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a machine asks of the network, with its bytes taken out of the shared buffer.
pub(super) enum Ask {
    Connect { dial: DialId, to: SocketAddr },
    Abandon { dial: DialId },
    Write { conn: ConnId, bytes: Block },
    Close { conn: ConnId, flush: bool },
    Reading { conn: ConnId, on: bool },
    Datagram { socket: SocketId, to: SocketAddr, bytes: Vec<u8> },
}

pub(crate) struct SimHost {
    node: usize,
    place: usize,
    rng: Rng,
    machines: Vec<Box<dyn Guest>>,
    /// No job takes longer.
    slowest_job: Duration,
    bell: Doorbell,
    ready: Ready,
    /// The earliest time for which this host is on the agenda.
    scheduled: Option<Instant>,
    asks: Vec<Ask>,
}

impl SimHost {
    pub(super) fn new(node: usize, place: usize, rng: Rng, ready: &Ready) -> Self {
        let list = Arc::clone(ready);
        let bell = Doorbell::new(move || list.lock().unwrap().push_back(place));
        bell.doze();
        Self {
            node,
            place,
            rng,
            machines: Vec::new(),
            slowest_job: Duration::from_millis(2),
            bell,
            ready: Arc::clone(ready),
            scheduled: None,
            asks: Vec::new(),
        }
    }

    /// Lets jobs take up to that long.
    pub(crate) fn slow_down(&mut self, slowest_job: Duration) {
        self.slowest_job = slowest_job;
    }

    pub(super) fn node(&self) -> usize {
        self.node
    }

    /// Lets every machine of this host go, as a crash would.
    pub(crate) fn crash(&mut self) {
        self.machines.clear();
    }

    /// Gives every machine a part of its mail.
    pub(super) fn read_mail(&mut self, now: Instant, network: &mut Network) {
        for index in 0..self.machines.len() {
            if self.machines[index].mail(now) {
                self.drain(index, now, network);
            }
        }
        // Nobody rings for a host that is awake.
        if self.machines.iter().any(|m| m.has_mail()) {
            self.ready.lock().unwrap().push_back(self.place);
        } else {
            self.bell.doze();
        }
        self.schedule(now, network);
    }

    /// Ends a job or a timer that is due, of every machine.
    pub(super) fn on_time(&mut self, now: Instant, network: &mut Network) {
        if self.scheduled.is_some_and(|at| at <= now) {
            self.scheduled = None;
        }
        for index in 0..self.machines.len() {
            if self.machines[index].time(now) {
                self.drain(index, now, network);
            }
        }
        self.schedule(now, network);
    }

    /// Hands a machine what came from the network, and takes what it asks in return.
    pub(super) fn input(&mut self, index: usize, now: Instant, input: Input<'_, NoJobs>, network: &mut Network) {
        if let Some(machine) = self.machines.get_mut(index) {
            machine.input(now, input);
            self.drain(index, now, network);
            self.schedule(now, network);
        }
    }

    fn drain(&mut self, index: usize, now: Instant, network: &mut Network) {
        let mut asks = std::mem::take(&mut self.asks);
        self.machines[index].drain(now, &mut self.rng, self.slowest_job, &mut asks);
        for ask in asks.drain(..) {
            network.ask(self.node, (self.place, index), now, ask);
        }
        self.asks = asks;
        network.on_drained(now, (self.place, index));
    }

    /// Puts this host on the agenda for the next time that it has something to do.
    fn schedule(&mut self, now: Instant, network: &mut Network) {
        let Some(next) = self.machines.iter().filter_map(|m| m.next_time()).min() else { return };
        let next = next.max(now);
        if self.scheduled.is_none_or(|at| next < at) {
            self.scheduled = Some(next);
            network.agenda.add(next, Task::Host(self.place));
        }
    }
}

impl Host for SimHost {
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
        self.machines.push(Box::new(Seat { machine, inbox, outlet, executor, jobs: BTreeMap::new() }));
        Hosted(self.machines.len() - 1)
    }
}

/// A hosted machine, whatever its types.
trait Guest {
    fn mail(&mut self, now: Instant) -> bool;
    fn has_mail(&self) -> bool;
    fn time(&mut self, now: Instant) -> bool;
    fn input(&mut self, now: Instant, input: Input<'_, NoJobs>);
    fn drain(&mut self, now: Instant, rng: &mut Rng, slowest_job: Duration, asks: &mut Vec<Ask>);
    fn next_time(&self) -> Option<Instant>;
}

struct Seat<M: Machine> {
    machine: M,
    inbox: Inbox<M::Command>,
    outlet: Outlet<M::Event>,
    executor: Option<Box<dyn Executor<M::Job, M::Done>>>,
    /// Jobs in flight, by the time at which they end.
    jobs: BTreeMap<(Instant, JobId), M::Job>,
}

impl<M: Machine> Guest for Seat<M> {
    fn mail(&mut self, now: Instant) -> bool {
        let mut any = false;
        // A batch at most, as a host with a budget would.
        for _ in 0..64 {
            let Some(command) = self.inbox.take() else { break };
            self.machine.handle_command(now, command);
            any = true;
        }
        any
    }

    fn has_mail(&self) -> bool {
        !self.inbox.is_empty()
    }

    fn time(&mut self, now: Instant) -> bool {
        if let Some((at, id)) = self.jobs.first_key_value().map(|(k, _)| *k).filter(|(at, _)| *at <= now) {
            let job = self.jobs.remove(&(at, id)).expect("it was just seen");
            let done = match &self.executor {
                Some(executor) => Ok(executor.run(job)),
                None => Err(JobError::Refused),
            };
            self.machine.handle_input(now, Input::Done { job: id, done });
            return true;
        }
        if self.machine.poll_timeout().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
            return true;
        }
        false
    }

    fn input(&mut self, now: Instant, input: Input<'_, NoJobs>) {
        self.machine.handle_input(now, input.widen());
    }

    fn drain(&mut self, now: Instant, rng: &mut Rng, slowest_job: Duration, asks: &mut Vec<Ask>) {
        let mut buf = Vec::new();
        while let Some(output) = self.machine.poll_output(&mut buf) {
            match output {
                Output::Connect { dial, to } => asks.push(Ask::Connect { dial, to }),
                Output::Abandon { dial } => asks.push(Ask::Abandon { dial }),
                Output::Write { conn, part: Part::Bytes(range) } => {
                    asks.push(Ask::Write { conn, bytes: Block::from(buf[range].to_vec()) });
                }
                Output::Write { conn, part: Part::Block(block) } => asks.push(Ask::Write { conn, bytes: block }),
                Output::Close { conn, flush } => asks.push(Ask::Close { conn, flush }),
                Output::StopReading { conn } => asks.push(Ask::Reading { conn, on: false }),
                Output::ResumeReading { conn } => asks.push(Ask::Reading { conn, on: true }),
                Output::Datagram { socket, to, bytes } => {
                    asks.push(Ask::Datagram { socket, to, bytes: buf[bytes].to_vec() });
                }
                Output::Job { id, job } => {
                    // Jobs end in any order, as those of several threads do.
                    let most = u32::try_from(slowest_job.as_micros()).unwrap();
                    let at = now + Duration::from_micros(u64::from(rng.below(most)));
                    self.jobs.insert((at, id), job);
                }
                other => panic!("the simulator knows no {other:?}"),
            }
        }
        while let Some(event) = self.machine.poll_event() {
            (self.outlet)(event);
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let job = self.jobs.first_key_value().map(|((at, _), _)| *at);
        self.machine.poll_timeout().into_iter().chain(job).min()
    }
}
