use super::*;
use crate::disk::{Error, Fault, Operation};
use std::io::ErrorKind;

fn names_a_file(error: &Error) -> bool {
    matches!(error, Error::Io { file, .. } if file.starts_with("t/"))
}

/// Sends everything that is not known to be good, until all is; gives how often it had to begin again.
fn complete(disk: &mut Driver<Disk>, sample: &Sample, seed: u64) -> usize {
    let pieces = sample.layout.geometry().piece_count();
    let mut spans: Vec<_> = (0..pieces).flat_map(|p| sample.spans(p, 100)).collect();
    let mut rng = Rng::new(seed);
    let mut rounds = 0;
    while !spans.is_empty() {
        assert!(rounds < 5, "seed {seed}: never complete");
        rounds += 1;
        rng.shuffle(&mut spans);
        for span in &spans {
            disk.send(sample.write(*span));
            disk.steps(rng.below(2));
        }
        let events = disk.run();
        assert_eq!(outcomes(&events).len(), spans.len(), "one answer each");
        assert!(!outcomes(&events).contains(&Ok(Written::PieceBad)));
        let failed: Vec<_> = events
            .iter()
            .filter_map(|e| match e {
                Event::Written { span, outcome: Err(error), .. } => {
                    assert!(names_a_file(error), "{error:?}");
                    Some(*span)
                }
                _ => None,
            })
            .collect();
        let stops = events.iter().filter(|e| matches!(e, Event::Stopped { .. })).count();
        assert_eq!(stops, usize::from(!failed.is_empty()), "{events:?}");
        spans = failed;
        assert_eq!(disk.ask(Command::Retry { torrent: T }), [Event::Retried { torrent: T, found: true }]);
    }
    rounds
}

#[test]
fn a_fault_at_any_call_stops_the_torrent_by_name_and_a_retry_completes_it() {
    let sample = Sample::new(&[700, 0, 1500, 96], 512);
    for fault in [
        Fault::Error(ErrorKind::StorageFull),
        Fault::Error(ErrorKind::PermissionDenied),
        Fault::Error(ErrorKind::Interrupted),
        Fault::Short,
    ] {
        let mut repeated = 0;
        for n in 0.. {
            let memory = Memory::new();
            let mut disk = disk_on(&memory, n);
            memory.set_faults(move |call| (call.number == n).then_some(fault));
            let events = disk.ask(sample.add());
            if let [Event::AddFailed { error, .. }] = &events[..] {
                assert!(names_a_file(error), "{error:?}");
                disk.ask(sample.add());
            }
            repeated += complete(&mut disk, &sample, n) - 1;
            sample.check_files(&memory);
            for span in (0..5).flat_map(|p| sample.spans(p, 512)) {
                let read = disk.ask(Command::Read { torrent: T, span, ticket: 0 });
                let ok = matches!(read.last(), Some(Event::Read { block: Ok(b), .. }) if *b == sample.block(span));
                let failed = matches!(&read[..], [Event::Read { block: Err(e), .. }, Event::ReadFailed { .. }] if names_a_file(e));
                assert!(ok || failed, "{read:?}");
            }
            let removed = disk.ask(Command::Remove { torrent: T, files: Files::Keep });
            let [.., Event::Removed { error, .. }] = &removed[..] else { panic!("{removed:?}") };
            assert!(error.as_ref().is_none_or(names_a_file));
            if memory.calls() < n {
                assert!(n > 30);
                break;
            }
        }
        // What a signal interrupted is tried again before anybody hears of it.
        assert_eq!(repeated == 0, fault == Fault::Error(ErrorKind::Interrupted));
    }
}

#[test]
fn a_full_disk_stops_its_torrent_only_and_it_goes_on_seeding() {
    let sample = Sample::new(&[100, 100], 64);
    let memory = Memory::new();
    let mut disk = disk_on(&memory, 1);
    disk.ask(sample.add());
    let other = TorrentId(8);
    let layout = Arc::clone(&sample.layout);
    disk.ask(Command::Add {
        torrent: other,
        layout,
        root: "/elsewhere".into(),
        writable: true,
        skipped: Vec::new(),
        resume: None,
    });
    disk.ask(sample.write(sample.span(0, 0, 64)));
    memory.set_faults(|call| {
        (call.operation == Operation::Writing && call.path.starts_with("/downloads"))
            .then_some(Fault::Error(ErrorKind::StorageFull))
    });
    let events = disk.ask(sample.write(sample.span(1, 0, 64)));
    let Some(Err(error)) = outcomes(&events).pop() else { panic!("{events:?}") };
    assert!(error.to_string().starts_with("writing t/0: "), "{error}");
    assert_eq!(
        events.iter().filter(|e| **e == Event::Stopped { torrent: T, error: error.clone(), unreadable: false }).count(),
        1
    );
    // Refused with the same words, without a word more, and without trying.
    let calls = memory.calls();
    let again = disk.ask(sample.write(sample.span(2, 0, 64)));
    assert!(matches!(&again[..], [Event::Written { outcome: Err(e), .. }] if *e == error));
    assert_eq!(memory.calls(), calls);
    let read = disk.ask(Command::Read { torrent: T, span: sample.span(0, 0, 64), ticket: 1 });
    assert!(matches!(&read[..], [Event::Read { block: Ok(_), .. }]));
    for span in sample.all_spans() {
        disk.send(Command::Write { torrent: other, span, block: sample.block(span) });
    }
    assert_eq!(good(&disk.run()), 4);
}

#[test]
fn a_job_that_panics_fails_its_torrent_and_nothing_else() {
    let sample = Sample::new(&[100], 64);
    let (mut disk, memory) = added(&sample);
    disk.send(sample.write(sample.span(0, 0, 64)));
    disk.collect();
    let (job, _) = disk.jobs.pop().unwrap();
    let panicked = || Input::Done { job, done: Err(crate::machine::JobError::Panicked) };
    disk.machine.handle_input(Instant::ZERO, panicked());
    // A second end of the same job is nobody's.
    disk.machine.handle_input(Instant::ZERO, panicked());
    let error = Error::Job(crate::machine::JobError::Panicked);
    assert_eq!(outcomes(&disk.run()), [Err(error)]);
    disk.ask(Command::Retry { torrent: T });
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()), 2);
    sample.check_files(&memory);
}

#[test]
fn a_block_sent_again_in_place_of_one_that_was_hashed_is_hashed_anew() {
    let sample = Sample::new(&[3 << 20], 3 << 20);
    let (mut disk, memory) = added(&sample);
    let spans = sample.spans(0, 1 << 18);
    spans[1..].iter().for_each(|s| disk.send(sample.write(*s)));
    disk.run();
    // The first block completes the piece; what follows it is read back, and the second mebibyte cannot be.
    let reads = std::sync::atomic::AtomicU32::new(0);
    memory.set_faults(move |call| {
        let number =
            reads.fetch_add(u32::from(call.operation == Operation::Reading), std::sync::atomic::Ordering::SeqCst);
        (call.operation == Operation::Reading && number == 5).then_some(Fault::Error(ErrorKind::Other))
    });
    let events = disk.ask(sample.write(spans[0]));
    assert!(matches!(outcomes(&events)[..], [Err(_)]), "{events:?}");
    disk.ask(Command::Retry { torrent: T });
    let evil = Command::Write { torrent: T, span: spans[0], block: Block::from(vec![0; 1 << 18]) };
    assert_eq!(outcomes(&disk.ask(evil)), [Ok(Written::PieceBad)]);
    spans.iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()), 1);
    sample.check_files(&memory);
}

#[test]
fn what_could_not_be_synced_is_synced_the_next_time() {
    let sample = Sample::new(&[64, 64], 64);
    let (mut disk, memory) = added(&sample);
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    disk.run();
    let synced = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&synced);
    memory.set_faults(move |call| {
        let mut log = log.lock().unwrap();
        // The folders' names are synced too.
        if call.operation == Operation::Syncing && call.path.parent() == Some(&root().join("t")) {
            log.push(call.path.to_path_buf());
        }
        (call.operation == Operation::Syncing && log.len() == 1).then_some(Fault::Error(ErrorKind::Other))
    });
    let events = disk.ask(Command::Sync { torrent: T });
    let [Event::Stopped { error, .. }, Event::Synced { error: Some(told), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(error == told && names_a_file(error));
    assert_eq!(disk.ask(Command::Sync { torrent: T }), [Event::Synced { torrent: T, error: None }]);
    let mut synced = std::mem::take(&mut *synced.lock().unwrap());
    synced.sort();
    let (a, b) = (sample.path(0), sample.path(1));
    // The other file was brought to the medium all the same, and not again.
    assert_eq!(synced, [a.clone(), a, b]);
}

#[test]
fn what_a_sync_put_in_doubt_is_in_doubt_again_when_the_next_one_fails_too() {
    let sample = Sample::new(&[64, 64], 64);
    let (mut disk, memory) = added(&sample);
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()), 2);
    memory.set_faults(|call| (call.operation == Operation::Syncing).then_some(Fault::Error(ErrorKind::Other)));
    let lost = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::PieceLost { .. })).count();
    // The bytes can still be read, and so they count again.
    assert_eq!(lost(&disk.ask(Command::Sync { torrent: T })), 0);
    assert!(matches!(disk.ask(Command::Retry { torrent: T })[..], [Event::Retried { .. }]));
    memory.damage(&sample.path(1), 10, b"what the medium had");
    let events = disk.ask(Command::Sync { torrent: T });
    let span = sample.span(1, 0, 64);
    assert!(events.contains(&Event::PieceLost { torrent: T, piece: span.piece }) && lost(&events) == 1, "{events:?}");
    let read = disk.ask(Command::Read { torrent: T, span, ticket: 0 });
    assert!(matches!(read[..], [Event::Read { block: Err(Error::NotVerified { .. }), .. }]), "{read:?}");
}
