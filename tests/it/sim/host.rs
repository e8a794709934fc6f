//! A host on virtual time.

use super::network::Network;
use bip::machine::{
    Doorbell, Executor, Host, Hosted, Inbox, Input, Instant, JobError, JobId, Machine, NoJobs, Outlet, Output, Part,
    Rng,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What a machine asks of the network, with its bytes taken out of the shared buffer.
pub(super) enum Ask {
    Connect { dial: bip::machine::DialId, to: std::net::SocketAddr },
    Abandon { dial: bip::machine::DialId },
    Write { conn: bip::machine::ConnId, bytes: Vec<u8> },
    Close { conn: bip::machine::ConnId, flush: bool },
    Reading { conn: bip::machine::ConnId, on: bool },
}

pub(crate) struct SimHost {
    ip: IpAddr,
    rng: Rng,
    machines: Vec<Box<dyn Guest>>,
    /// No job takes longer.
    slowest_job: Duration,
}

impl SimHost {
    pub(super) fn new(ip: IpAddr, rng: Rng) -> Self {
        Self { ip, rng, machines: Vec::new(), slowest_job: Duration::from_millis(2) }
    }

    /// Lets jobs take up to that long.
    pub(crate) fn slow_down(&mut self, slowest_job: Duration) {
        self.slowest_job = slowest_job;
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Lets every machine of this host go, as a crash would.
    pub(crate) fn crash(&mut self) {
        self.machines.clear();
    }

    pub(super) fn next_time(&self) -> Option<Instant> {
        self.machines.iter().filter_map(|m| m.next_time()).min()
    }

    pub(super) fn work(&mut self, place: usize, now: Instant, network: &mut Network) -> bool {
        let mut worked = false;
        for index in 0..self.machines.len() {
            worked |= self.machines[index].mail(now);
            worked |= self.machines[index].time(now);
            self.drain(place, index, now, network);
        }
        worked
    }

    /// Hands a machine what came from the network, and takes what it asks in return.
    pub(super) fn input(
        &mut self,
        place: usize,
        index: usize,
        now: Instant,
        input: Input<'_, NoJobs>,
        net: &mut Network,
    ) {
        if let Some(machine) = self.machines.get_mut(index) {
            machine.input(now, input);
            self.drain(place, index, now, net);
        }
    }

    fn drain(&mut self, place: usize, index: usize, now: Instant, network: &mut Network) {
        let mut asks = Vec::new();
        self.machines[index].drain(now, &mut self.rng, self.slowest_job, &mut asks);
        for ask in asks {
            network.ask(self.ip, (place, index), now, ask);
        }
    }
}

impl Host for SimHost {
    fn doorbell(&self) -> Doorbell {
        // The world looks at all mail before it moves time.
        Doorbell::silent()
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
                    asks.push(Ask::Write { conn, bytes: buf[range].to_vec() });
                }
                Output::Write { conn, part: Part::Block(block) } => {
                    asks.push(Ask::Write { conn, bytes: block.to_vec() });
                }
                Output::Close { conn, flush } => asks.push(Ask::Close { conn, flush }),
                Output::StopReading { conn } => asks.push(Ask::Reading { conn, on: false }),
                Output::ResumeReading { conn } => asks.push(Ask::Reading { conn, on: true }),
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
