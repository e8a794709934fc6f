use super::*;
use crate::disk::check::{Check, Command, Event, FileState, Report};
use crate::disk::{Error, Fault, Operation};

fn check_on(memory: &Memory) -> Driver<Check> {
    Driver::new(Check::new(Config::default(), &mut Rng::new(1)), Executor::new(memory.clone()), 1)
}

fn start(sample: &Sample) -> Command {
    Command::Start { layout: Arc::clone(&sample.layout), root: root() }
}

fn report(events: Vec<Event>) -> Report {
    match events.last() {
        Some(Event::Checked { report }) => report.clone(),
        other => panic!("a report, instead of {other:?}"),
    }
}

#[test]
fn every_state_of_a_file_is_told() {
    let sample = Sample::new(&[128, 0, 100, 28, 128, 64, 0, 10, 54, 64], 64);
    let memory = Memory::new();
    sample.put_files(&memory);
    let mut check = check_on(&memory);
    let found = report(check.ask(start(&sample)));
    assert!(found.is_complete());
    assert!(found.files.iter().all(|f| f.state() == FileState::Complete && f.is_complete()));

    memory.put(&sample.path(0), &[sample.contents(0), b"more"].concat());
    memory.put(&sample.path(2), &sample.contents(2)[..70]);
    let mut wrong = sample.contents(4).to_vec();
    wrong[100] ^= 1;
    memory.put(&sample.path(4), &wrong);
    let parts = |file: usize| sample.layout.files()[file].path.clone();
    for file in [5, 6] {
        use crate::disk::FileSystem as _;
        memory.remove(&root(), &parts(file)).unwrap();
    }
    let unreadable = sample.path(9);
    memory.set_faults(move |call| {
        let here = call.operation == Operation::Examining && call.path == unreadable;
        here.then_some(Fault::Error(std::io::ErrorKind::PermissionDenied))
    });
    let found = report(check.ask(start(&sample)));
    assert!(!found.is_complete());
    let states: Vec<_> = found.files.iter().map(|f| (f.state(), f.bad, f.pieces)).collect();
    use FileState::*;
    let expected = [
        (TooLong, 0, 2),
        (Complete, 0, 0),
        (TooShort, 1, 2),
        (Bad, 1, 1),
        (Bad, 1, 2),
        (Missing, 1, 1),
        (Missing, 0, 0),
        (Complete, 0, 1),
        (Complete, 0, 1),
        (Unreadable, 1, 1),
    ];
    assert_eq!(states, expected);
    assert_eq!(found.have.iter().map(|p| p.0).collect::<Vec<_>>(), [0, 1, 2, 4, 7]);
    assert!(found.error.is_some_and(|e| e.to_string().starts_with("examining t/9: ")));
}

#[test]
fn a_missing_empty_file_is_not_complete() {
    let sample = Sample::new(&[5, 0], 64);
    let memory = Memory::new();
    memory.put(&sample.path(0), sample.contents(0));
    let found = report(check_on(&memory).ask(start(&sample)));
    assert!(found.have.is_full() && !found.is_complete());
    assert!(!exists(&memory, &sample.path(1)));
}

#[test]
fn a_file_that_fails_in_the_middle_costs_only_its_own_pieces() {
    let sample = Sample::new(&[128, 128], 64);
    let memory = Memory::new();
    sample.put_files(&memory);
    let broken = sample.path(0);
    memory.set_faults(move |call| {
        let here = call.operation == Operation::Reading && call.path == broken;
        here.then_some(Fault::Error(std::io::ErrorKind::Other))
    });
    let found = report(check_on(&memory).ask(start(&sample)));
    assert_eq!(found.have.iter().map(|p| p.0).collect::<Vec<_>>(), [2, 3]);
    assert!(found.error.is_some_and(|e| e.to_string().starts_with("reading t/0: ")));
}

#[test]
fn a_cancelled_check_ends_once_after_its_last_job_and_can_be_started_again() {
    let sample = Sample::new(&[10_000], 100);
    let memory = Memory::new();
    sample.put_files(&memory);
    let mut check = check_on(&memory);
    for steps in 0..10 {
        check.send(start(&sample));
        (0..steps).for_each(|_| assert!(check.step()));
        assert_eq!(check.jobs.is_empty(), steps == 0);
        check.events.clear();
        check.send(Command::Cancel);
        let events = check.run();
        assert!(events.ends_with(&[Event::Failed { error: Error::Cancelled }, Event::Cancelled]), "{events:?}");
    }
    assert_eq!(check.ask(Command::Cancel), [Event::Cancelled]);
    check.send(start(&sample));
    assert_eq!(check.machine.poll_event(), None);
    check.send(start(&sample));
    assert_eq!(check.machine.poll_event(), Some(Event::Failed { error: Error::Busy }));
    assert!(report(check.run()).is_complete());
}

#[test]
fn pieces_of_several_mebibytes_are_checked_job_by_job() {
    let sample = Sample::new(&[3 << 20, 5 << 19, 0], 4 << 20);
    let memory = Memory::new();
    sample.put_files(&memory);
    let mut check = check_on(&memory);
    assert!(report(check.ask(start(&sample))).is_complete());
    // What lies beside the files, files, four and two mebibytes (the last partly), close.
    assert_eq!(check.jobs_done, 1 + 1 + 4 + 2 + 1);
}

#[test]
fn a_disk_that_seeks_is_verified_piece_by_piece_and_another_with_as_many_jobs_as_allowed() {
    let sample = Sample::new(&[0, 10_000], 100);
    for (seeks, most) in [(true, 1), (false, Config::default().check_jobs)] {
        let memory = Memory::new();
        sample.put_files(&memory);
        memory.set_seeks(seeks);
        let mut check = check_on(&memory);
        check.send(start(&sample));
        assert_eq!(check.most_hashed_at_a_time(), most);
        assert!(report(check.run()).is_complete());
    }
}
