//! Threads, jobs, wakes and ends.

use super::probe::{Command, Drive, HANG, Habit, Probe, Seen, host, listening, reactor};
use bip::machine::{Host, Hosted, JobError, JobId, RecvError, SendError, mailbox};
use bip::reactor::{Config, Reactor, StopError};
use crossbeam_channel::{bounded, unbounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant as Wall};

fn with_job_threads(job_threads: usize) -> Reactor {
    Reactor::new(Config { job_threads, ..Config::default() }).unwrap()
}

#[test]
fn jobs_end_once_on_threads_and_inline_and_a_panic_is_a_result() {
    for job_threads in [0, 2] {
        for hosting in Drive::both() {
            let mut reactor = with_job_threads(job_threads);
            let executor = |job: u32| if job == 13 { panic!("an unlucky job") } else { job * 2 };
            let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), Some(Box::new(executor)));
            let mut drive = hosting(reactor);
            (10..20).for_each(|n| probe.tell(Command::Job(JobId(u64::from(n)), n)));
            let mut done: Vec<_> = (10..20)
                .map(|_| {
                    drive.see(&probe, |s| match s {
                        Seen::Done(job, result) => Some((*job, *result)),
                        _ => None,
                    })
                })
                .collect();
            done.sort_by_key(|d| d.0);
            let expected: Vec<_> = (10..20)
                .map(|n| (JobId(u64::from(n)), if n == 13 { Err(JobError::Panicked) } else { Ok(n * 2) }))
                .collect();
            assert_eq!(done, expected);
            assert_eq!(drive.settle(&probe), []);
        }
    }
}

#[test]
fn inline_jobs_take_one_turn_each_and_keep_the_deadline_at_now() {
    let mut reactor = with_job_threads(0);
    let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), Some(Box::new(|job: u32| job)));
    (0..3).for_each(|n| probe.tell(Command::Job(JobId(u64::from(n)), n)));
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(probe.seen.try_next(), Err(RecvError::Empty));
    for n in 0..3 {
        assert_eq!(reactor.next_deadline(), Some(Duration::ZERO));
        reactor.turn(None).unwrap();
        assert_eq!(probe.seen.try_next(), Ok(Seen::Done(JobId(u64::from(n)), Ok(n))));
        assert_eq!(probe.seen.try_next(), Err(RecvError::Empty));
    }
    assert_eq!(reactor.next_deadline(), None);
}

#[test]
fn jobs_without_an_executor_are_refused() {
    let mut reactor = with_job_threads(2);
    let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), None);
    let mut drive = Drive::Turned(Box::new(reactor));
    probe.tell(Command::Job(JobId(1), 1));
    assert_eq!(drive.settle(&probe), [Seen::Done(JobId(1), Err(JobError::Refused))]);
}

#[test]
fn a_panic_in_a_machine_ends_its_owners_channels_and_stop_tells() {
    let mut reactor = reactor();
    let alive = Arc::new(());
    let probe = host(&mut reactor, Habit::Tell, &alive, None);
    let neighbour = host(&mut reactor, Habit::Tell, &alive, None);
    let running = reactor.spawn("doomed").unwrap();
    assert!(running.is_alive());
    probe.tell(Command::Panic);
    assert_eq!(probe.seen.next_timeout(HANG), Err(RecvError::Closed));
    assert_eq!(neighbour.seen.next_timeout(HANG), Err(RecvError::Closed));
    assert_eq!(probe.commands.send(Command::Panic), Err(SendError::Closed(Command::Panic)));
    assert_eq!(running.stop(HANG), Err(StopError::Panicked("the probe was told to panic".to_owned())));
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_panic_in_a_machine_goes_through_to_a_caller_who_turns() {
    let mut reactor = reactor();
    let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), None);
    probe.tell(Command::Panic);
    assert!(catch_unwind(AssertUnwindSafe(|| reactor.turn(None))).is_err());
    assert!(reactor.turn(Some(Duration::ZERO)).is_err());
    drop(reactor);
    assert_eq!(probe.seen.try_next(), Err(RecvError::Closed));
}

#[test]
fn dropping_the_handle_ends_the_thread_and_the_machines() {
    for job_threads in [0, 2] {
        let mut reactor = with_job_threads(job_threads);
        let (machine, executor) = (Arc::new(()), Arc::new(()));
        let held = Arc::clone(&executor);
        let jobs = move |job: u32| job + Arc::strong_count(&held) as u32;
        let probe = host(&mut reactor, Habit::Tell, &machine, Some(Box::new(jobs)));
        let running = reactor.spawn("dropped").unwrap();
        probe.tell(Command::Job(JobId(1), 0));
        assert!(matches!(probe.seen.next_timeout(HANG), Ok(Seen::Done(..))));
        drop(running);
        assert_eq!((Arc::strong_count(&machine), Arc::strong_count(&executor)), (1, 1));
        assert_eq!(probe.seen.try_next(), Err(RecvError::Closed));
    }
}

#[test]
fn a_handle_dropped_on_the_reactors_own_thread_stops_it_without_waiting_for_itself() {
    for job_threads in [0, 1] {
        let mut reactor = with_job_threads(job_threads);
        let alive = Arc::new(());
        let slot = Arc::new(Mutex::new(None));
        let inside = Arc::clone(&slot);
        let jobs = move |job: u32| {
            drop(inside.lock().unwrap().take());
            job
        };
        let probe = host(&mut reactor, Habit::Tell, &alive, Some(Box::new(jobs)));
        *slot.lock().unwrap() = Some(reactor.spawn("own").unwrap());
        probe.tell(Command::Job(JobId(1), 5));
        assert_eq!(probe.seen.next_timeout(HANG), Ok(Seen::Done(JobId(1), Ok(5))));
        assert_eq!(probe.seen.next_timeout(HANG), Err(RecvError::Closed));
    }
}

#[test]
fn a_stopper_stops_a_spawned_reactor_and_asks_the_owner_of_another() {
    let mut ours = reactor();
    let probe = host(&mut ours, Habit::Tell, &Arc::new(()), None);
    let running = ours.spawn("stopped").unwrap();
    running.stopper().stop(HANG);
    assert_eq!(probe.seen.next_timeout(HANG), Err(RecvError::Closed));
    assert_eq!(running.stop(HANG), Ok(()));

    let mut turned = reactor();
    let stopper = turned.stopper();
    assert_eq!(turned.stop_asked(), None);
    let other = thread::spawn(move || stopper.stop(Duration::from_secs(5)));
    // Sleeps for as long as it takes, and is woken.
    while turned.stop_asked().is_none() {
        turned.turn(None).unwrap();
    }
    other.join().unwrap();
    assert_eq!(turned.stop_asked(), Some(Duration::from_secs(5)));
    assert_eq!(turned.shutdown(HANG), Ok(()));
}

#[test]
fn shutdown_writes_what_is_queued_and_gives_the_results_of_jobs_under_way() {
    for job_threads in [0, 1] {
        let mut reactor = with_job_threads(job_threads);
        let (release, gate) = unbounded::<()>();
        let jobs = move |job: u32| {
            gate.recv_timeout(HANG).unwrap();
            job
        };
        let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), Some(Box::new(jobs)));
        let address = reactor.listen(probe.hosted, "127.0.0.1:0".parse().unwrap()).unwrap();
        let client = thread::spawn(move || {
            let mut all = Vec::new();
            std::io::Read::read_to_end(&mut std::net::TcpStream::connect(address).unwrap(), &mut all).unwrap();
            all.len()
        });
        let mut drive = Drive::Turned(Box::new(reactor));
        let conn = drive.accepted(&probe);
        (0..2).for_each(|n| probe.tell(Command::Job(JobId(u64::from(n)), n)));
        probe.tell(Command::Write(conn, vec![1; 8 << 20]));
        (0..2).for_each(|_| release.send(()).unwrap());
        let Drive::Turned(reactor) = drive else { unreachable!() };
        assert_eq!(reactor.shutdown(HANG), Ok(()));
        assert_eq!(client.join().unwrap(), 8 << 20);
        let mut seen = Vec::new();
        while let Ok(one) = probe.seen.try_next() {
            seen.push(one);
        }
        for n in 0..2 {
            assert_eq!(seen.iter().filter(|s| **s == Seen::Done(JobId(u64::from(n)), Ok(n))).count(), 1, "{seen:?}");
        }
        assert_eq!(seen.iter().filter(|s| matches!(s, Seen::Closed(c, _) if *c == conn)).count(), 1, "{seen:?}");
    }
}

#[test]
fn shutdown_does_not_wait_for_a_job_beyond_its_deadline() {
    for inline in [false, true] {
        let mut reactor = with_job_threads(usize::from(!inline));
        let (release, gate) = bounded::<()>(0);
        let (started, running_job) = bounded(1);
        let jobs = move |job: u32| {
            started.send(()).unwrap();
            let _ = gate.recv_timeout(HANG);
            job
        };
        let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), Some(Box::new(jobs)));
        let running = reactor.spawn("late").unwrap();
        probe.tell(Command::Job(JobId(1), 1));
        running_job.recv_timeout(HANG).unwrap();
        let before = Wall::now();
        let expected = if inline { StopError::TimedOut } else { StopError::JobsLeft { threads: 1 } };
        assert_eq!(running.stop(Duration::from_millis(50)), Err(expected));
        assert!(before.elapsed() < HANG / 2, "it waited for the job");
        drop(release);
    }
}

#[test]
fn mail_between_machines_of_one_reactor_arrives_within_the_turn() {
    let mut reactor = reactor();
    let second = host(&mut reactor, Habit::Tell, &Arc::new(()), None);
    let (commands, inbox) = mailbox(10, reactor.doorbell());
    let next = second.commands.clone();
    // What the first is refused, it asks of the second; its own mail is looked at after the second's.
    let outlet = move |seen| {
        if let Seen::Done(job, _) = seen {
            next.post(Command::Job(job, 0)).unwrap();
        }
    };
    reactor.host(Probe::new(Habit::Tell, Arc::new(())), inbox, Box::new(outlet), None);
    commands.post(Command::Job(JobId(7), 0)).unwrap();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(second.seen.try_next(), Ok(Seen::Done(JobId(7), Err(JobError::Refused))));
}

#[test]
fn sockets_for_a_machine_that_is_not_there_are_refused() {
    let mut reactor = reactor();
    let address = "127.0.0.1:0".parse().unwrap();
    assert!(reactor.listen(Hosted(0), address).is_err() && reactor.bind(Hosted(0), address).is_err());
    host(&mut reactor, Habit::Tell, &Arc::new(()), None);
    assert!(reactor.listen(Hosted(0), address).is_ok() && reactor.bind(Hosted(0), address).is_ok());
}

#[test]
fn timers_fire_in_a_sleeping_reactor() {
    let mut reactor = reactor();
    let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), None);
    let _running = reactor.spawn("timer").unwrap();
    probe.tell(Command::WakeIn(Duration::from_millis(20)));
    assert_eq!(probe.seen.next_timeout(HANG), Ok(Seen::Woken));
}

#[cfg(unix)]
#[test]
fn a_foreign_loop_is_woken_by_mail_from_another_thread() {
    use std::os::fd::{AsFd, AsRawFd};
    let mut reactor = reactor();
    let (probe, _) = listening(&mut reactor, Habit::Tell);
    assert_eq!(reactor.as_fd().as_raw_fd(), reactor.as_raw_fd());
    let mut foreign = mio::Poll::new().unwrap();
    let fd = reactor.as_raw_fd();
    let mut source = mio::unix::SourceFd(&fd);
    foreign.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE).unwrap();
    let mut events = mio::Events::with_capacity(4);
    for round in 0..3 {
        // Drain whatever readiness is left from before.
        while foreign.poll(&mut events, Some(Duration::ZERO)).is_ok() && !events.is_empty() {
            reactor.turn(Some(Duration::ZERO)).unwrap();
        }
        while reactor.next_deadline().is_some() {
            reactor.turn(Some(Duration::ZERO)).unwrap();
        }
        let commands = probe.commands.clone();
        let sender = thread::spawn(move || commands.post(Command::Job(JobId(round), 0)).unwrap());
        foreign.poll(&mut events, Some(HANG)).unwrap();
        assert!(!events.is_empty(), "mail did not make the descriptor readable");
        sender.join().unwrap();
        reactor.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(probe.seen.try_next(), Ok(Seen::Done(JobId(round), Err(JobError::Refused))));
    }
}
