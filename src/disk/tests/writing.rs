use super::*;
use crate::disk::{Error, Operation};
use crate::machine::Instant;

const KIB: u64 = 1024;

#[test]
fn a_torrent_that_is_written_block_by_block_is_on_disk() {
    let sample = Sample::new(&[0, 50 * KIB, 70_001, 0, 3, 40 * KIB, 0], 64 * 1024);
    let (mut disk, memory) = added(&sample);
    let spans = sample.all_spans();
    spans.iter().for_each(|s| disk.send(sample.write(*s)));
    let events = disk.run();
    assert_eq!(outcomes(&events).len(), spans.len());
    assert_eq!(good(&events), 3);
    sample.check_files(&memory);
    let ask = Command::Read { torrent: T, span: sample.span(0, 100, 65_000), ticket: 5 };
    let expected = sample.block(sample.span(0, 100, 65_000));
    assert!(matches!(&disk.ask(ask)[..], [Event::Read { block: Ok(b), ticket: 5, .. }] if *b == expected));
}

#[test]
fn blocks_in_every_order_complete_their_piece_with_the_last() {
    let sample = Sample::new(&[10, 7, 3], 20);
    let spans = sample.spans(0, 5);
    // All orders of four blocks, with every pattern of which come together in one batch.
    for order in 0..256usize {
        let order: Vec<usize> = (0..4).map(|i| order >> (2 * i) & 3).collect();
        if (0..4).any(|i| !order.contains(&i)) {
            continue;
        }
        for together in 0..8 {
            let (mut disk, memory) = added(&sample);
            let mut all = Vec::new();
            for (i, k) in order.iter().enumerate() {
                disk.send(sample.write(spans[*k]));
                if together >> i & 1 == 0 {
                    all.extend(disk.run());
                }
            }
            all.extend(disk.run());
            let mut expected = vec![Ok(Written::Kept); 3];
            expected.push(Ok(Written::PieceGood));
            assert_eq!(outcomes(&all), expected, "{order:?} {together:b}");
            sample.check_files(&memory);
        }
    }
}

#[test]
fn overlapping_blocks_of_any_size_complete_the_piece() {
    let sample = Sample::new(&[14], 14);
    let (mut disk, memory) = added(&sample);
    for (from, to) in [(0, 10), (2, 5), (9, 14)] {
        disk.send(sample.write(sample.span(0, from, to - from)));
    }
    assert_eq!(outcomes(&disk.run()).last(), Some(&Ok(Written::PieceGood)));
    sample.check_files(&memory);

    for seed in 0..200 {
        let sample = Sample::new(&[30, 31, 0, 39], 60);
        let memory = Memory::new();
        let mut disk = disk_on(&memory, seed);
        disk.ask(sample.add());
        let mut rng = Rng::new(seed);
        let (mut sent, mut answers) = (0, Vec::new());
        while answers.iter().filter(|o| **o == Ok(Written::PieceGood)).count() < 2 {
            assert!(sent < 2000, "seed {seed}: never complete");
            let piece = rng.below(2);
            let length = sample.layout.geometry().length_of(PieceIndex(piece));
            let begin = rng.below(length);
            let span = sample.span(piece, begin, 1 + rng.below(length - begin));
            disk.send(sample.write(span));
            sent += 1;
            disk.steps(rng.below(3));
            answers.extend(outcomes(&disk.events.split_off(0)));
        }
        answers.extend(outcomes(&disk.run()));
        assert_eq!(answers.len(), sent, "seed {seed}: one answer each");
        assert!(answers.iter().all(Result::is_ok) && !answers.contains(&Ok(Written::PieceBad)), "seed {seed}");
        sample.check_files(&memory);
    }
}

#[test]
fn a_bad_piece_is_forgotten_whole_and_can_become_good() {
    let sample = Sample::new(&[1023, 2000], 1024);
    let (mut disk, memory) = added(&sample);
    let spans = sample.spans(0, 500);
    disk.ask(sample.write(spans[0]));
    let bad = Block::from(vec![0xee; 500]);
    disk.ask(Command::Write { torrent: T, span: spans[1], block: bad });
    assert_eq!(outcomes(&disk.ask(sample.write(spans[2]))), [Ok(Written::PieceBad)]);
    let resent: Vec<_> = spans.iter().flat_map(|s| outcomes(&disk.ask(sample.write(*s)))).collect();
    assert_eq!(resent, [Ok(Written::Kept), Ok(Written::Kept), Ok(Written::PieceGood)]);
    for span in [1, 2].into_iter().flat_map(|p| sample.spans(p, 500)) {
        disk.send(sample.write(span));
    }
    assert_eq!(good(&disk.run()), 2);
    sample.check_files(&memory);
}

#[test]
fn a_late_block_never_overwrites_a_good_piece() {
    let sample = Sample::new(&[100], 64);
    let (mut disk, memory) = added(&sample);
    disk.ask(sample.write(sample.span(0, 0, 64)));
    let calls = memory.calls();
    let evil = Command::Write { torrent: T, span: sample.span(0, 3, 5), block: Block::from(vec![0; 5]) };
    assert_eq!(outcomes(&disk.ask(evil)), [Ok(Written::Known)]);
    assert_eq!(memory.calls(), calls);
    assert_eq!(&memory.contents(&sample.path(0)).unwrap()[..64], &sample.bytes[..64]);
}

#[test]
fn a_block_that_waits_for_the_verdict_is_known_when_it_is_good() {
    let sample = Sample::new(&[64], 64);
    let (mut disk, _) = added(&sample);
    disk.send(sample.write(sample.span(0, 0, 64)));
    disk.collect();
    disk.send(sample.write(sample.span(0, 0, 32)));
    assert_eq!(outcomes(&disk.run()), [Ok(Written::PieceGood), Ok(Written::Known)]);
}

#[test]
fn a_block_that_waits_for_the_verdict_starts_anew_when_it_is_bad() {
    let sample = Sample::new(&[64], 64);
    let (mut disk, memory) = added(&sample);
    disk.send(Command::Write { torrent: T, span: sample.span(0, 0, 64), block: Block::from(vec![0; 64]) });
    disk.collect();
    disk.send(sample.write(sample.span(0, 0, 32)));
    assert_eq!(outcomes(&disk.run()), [Ok(Written::PieceBad), Ok(Written::Kept)]);
    assert_eq!(outcomes(&disk.ask(sample.write(sample.span(0, 32, 32)))), [Ok(Written::PieceGood)]);
    sample.check_files(&memory);
}

#[test]
fn bytes_that_are_hashed_already_are_not_changed_by_a_different_block() {
    let sample = Sample::new(&[64], 64);
    let (mut disk, memory) = added(&sample);
    disk.ask(sample.write(sample.span(0, 0, 32)));
    let evil = Command::Write { torrent: T, span: sample.span(0, 16, 32), block: Block::from(vec![0; 32]) };
    disk.ask(evil);
    assert_eq!(&memory.contents(&sample.path(0)).unwrap()[..32], &sample.bytes[..32]);
    // The other half of the evil block was new, so the piece is bad, and then as good as its second sending.
    assert_eq!(outcomes(&disk.ask(sample.write(sample.span(0, 32, 32)))), [Ok(Written::PieceBad)]);
    disk.ask(sample.write(sample.span(0, 0, 32)));
    assert_eq!(outcomes(&disk.ask(sample.write(sample.span(0, 32, 32)))), [Ok(Written::PieceGood)]);
    sample.check_files(&memory);
}

#[test]
fn pieces_over_a_mebibyte_are_written_and_hashed_in_several_jobs() {
    let sample = Sample::new(&[3 << 20, (2 << 20) + 5], 4 << 20);
    let (mut disk, memory) = added(&sample);
    let mut spans = sample.all_spans();
    // Backwards: nothing can be hashed before the last block is there.
    spans.reverse();
    for span in spans {
        disk.send(sample.write(span));
        disk.step();
    }
    assert_eq!(good(&disk.run()), 2);
    sample.check_files(&memory);
}

#[test]
fn blocks_that_come_in_order_are_never_read_back() {
    let sample = Sample::new(&[300_000, 300_000], 1 << 20);
    let (mut disk, memory) = added(&sample);
    memory.set_faults(|call| {
        assert_ne!(call.operation, Operation::Reading);
        None
    });
    for span in sample.all_spans() {
        disk.ask(sample.write(span));
    }
    assert_eq!(
        have(&{
            disk.ask(Command::Remove { torrent: T, files: Files::Keep });
            memory.clear_faults();
            disk.ask(sample.add())
        })
        .count(),
        1
    );
}

#[test]
fn a_block_that_does_not_fit_is_an_error_and_no_more() {
    let sample = Sample::new(&[100], 64);
    let (mut disk, memory) = added(&sample);
    let calls = memory.calls();
    let span = |piece, begin, length| Span { piece: PieceIndex(piece), begin, length };
    for bad in [
        span(2, 0, 1),
        span(u32::MAX, 0, 1),
        span(0, 60, 5),
        span(1, 0, 64),
        span(0, 0, 0),
        span(0, u32::MAX, u32::MAX),
    ] {
        let write = Command::Write { torrent: T, span: bad, block: Block::from(vec![0; 5]) };
        assert_eq!(outcomes(&disk.ask(write)), [Err(Error::OutOfRange { span: bad })]);
        let read = Command::Read { torrent: T, span: bad, ticket: 1 };
        assert!(matches!(&disk.ask(read)[..], [Event::Read { block: Err(Error::OutOfRange { .. }), .. }]));
    }
    let short = Command::Write { torrent: T, span: span(0, 0, 8), block: Block::from(vec![0; 7]) };
    assert_eq!(outcomes(&disk.ask(short)), [Err(Error::WrongLength { span: span(0, 0, 8), found: 7 })]);
    let read = Command::Read { torrent: T, span: span(0, 0, 8), ticket: 1 };
    assert!(matches!(&disk.ask(read)[..], [Event::Read { block: Err(Error::NotVerified { .. }), .. }]));
    assert_eq!(memory.calls(), calls);
}

#[test]
fn many_files_in_one_piece_are_all_written() {
    let sample = Sample::new(&[1; 500], 1000);
    let (mut disk, memory) = added(&sample);
    assert_eq!(outcomes(&disk.ask(sample.write(sample.span(0, 0, 500)))), [Ok(Written::PieceGood)]);
    sample.check_files(&memory);
}

#[test]
fn a_thousand_errors_stall_nothing() {
    let sample = Sample::new(&[100], 64);
    let (mut disk, memory) = added(&sample);
    for _ in 0..1000 {
        let write = Command::Write { torrent: TorrentId(99), span: sample.span(0, 0, 1), block: Block::from(vec![0]) };
        assert_eq!(outcomes(&disk.ask(write)), [Err(Error::UnknownTorrent)]);
    }
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()), 2);
    sample.check_files(&memory);
}

#[test]
fn what_is_more_than_the_limits_is_refused_at_once_and_the_rest_goes_on() {
    let sample = Sample::new(&[1000], 1000);
    let memory = Memory::new();
    let config = Config { write_bytes: 20, ranges: 3, commands: 100, jobs: 1, ..at_once() };
    let mut disk = Driver::new(Disk::new(config, &mut Rng::new(1)), Executor::new(memory.clone()), 1);
    disk.ask(sample.add());
    let bytes = [(0, 10), (10, 10), (20, 10)].map(|(b, l)| disk.send(sample.write(sample.span(0, b, l))));
    assert_eq!(bytes.len(), 3);
    assert_eq!(outcomes(&disk.run()), [Err(Error::Busy), Ok(Written::Kept), Ok(Written::Kept)]);
    for begin in [100, 200, 300, 15] {
        disk.send(sample.write(sample.span(0, begin, 1)));
    }
    assert_eq!(outcomes(&disk.run()).iter().filter(|o| **o == Err(Error::Busy)).count(), 1);
    for ticket in 0..150 {
        disk.send(Command::Read { torrent: T, span: sample.span(0, 0, 1), ticket });
    }
    assert_eq!(disk.run().len(), 150);
    (0..101).for_each(|_| disk.machine.handle_command(Instant::ZERO, Command::Sync { torrent: T }));
    let synced = disk.run();
    assert_eq!(synced.iter().filter(|e| matches!(e, Event::Synced { error: Some(Error::Busy), .. })).count(), 1);
    assert_eq!(synced.len(), 101);
}

#[test]
fn a_sync_brings_the_written_files_to_the_medium_and_no_others() {
    let sample = Sample::new(&[64, 64, 64], 64);
    let (mut disk, memory) = added(&sample);
    disk.ask(sample.write(sample.span(1, 0, 64)));
    let synced = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&synced);
    memory.set_faults(move |call| {
        if call.operation == Operation::Syncing {
            log.lock().unwrap().push(call.path.to_path_buf());
        }
        None
    });
    assert_eq!(disk.ask(Command::Sync { torrent: T }), [Event::Synced { torrent: T, error: None }]);
    // With the names of the file and of its folder, for both are new; and once those above the root, which may be new too.
    let folders = [root().join("t"), root()];
    let mut expected = [&[sample.path(1)], &folders[..], &["/".into()]].concat();
    assert_eq!(*synced.lock().unwrap(), expected);
    // Written while a sync is under way: synced by the next one at the latest.
    disk.send(sample.write(sample.span(0, 0, 64)));
    disk.collect();
    disk.ask(Command::Sync { torrent: T });
    assert_eq!(
        disk.ask(Command::Remove { torrent: T, files: Files::Keep }),
        [Event::Removed { torrent: T, error: None }]
    );
    expected.extend([&[sample.path(0)], &folders[..]].concat());
    assert_eq!(*synced.lock().unwrap(), expected);
}

#[test]
fn a_sync_never_makes_a_file_that_was_moved_away_again() {
    use crate::disk::FileSystem as _;
    let sample = Sample::new(&[64, 64, 64, 64], 64);
    let (mut disk, memory) = added(&sample);
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()), 4);
    // Two files are kept open, so of the others two have to be opened again.
    for file in sample.layout.files() {
        memory.remove(&root(), &file.path).unwrap();
    }
    let events = disk.ask(Command::Sync { torrent: T });
    let stopped = events.iter().find_map(|e| if let Event::Stopped { error, .. } = e { Some(error) } else { None });
    let told = events.iter().find_map(|e| if let Event::Synced { error, .. } = e { error.as_ref() } else { None });
    let (Some(error), true) = (stopped, stopped == told) else { panic!("{events:?}") };
    let Error::Io { operation: Operation::Syncing, file, kind: std::io::ErrorKind::NotFound, .. } = error else {
        panic!("{error:?}")
    };
    assert!(file.starts_with("t/"), "{file}");
    assert!((0..4).all(|file| !exists(&memory, &sample.path(file))));
}

#[test]
fn a_write_that_a_signal_interrupted_is_tried_again() {
    let sample = Sample::new(&[64], 64);
    let (mut disk, memory) = added(&sample);
    let left = std::sync::atomic::AtomicU32::new(3);
    memory.set_faults(move |call| {
        let order = std::sync::atomic::Ordering::SeqCst;
        let again =
            call.operation == Operation::Writing && left.fetch_update(order, order, |n| n.checked_sub(1)).is_ok();
        again.then_some(crate::disk::Fault::Error(std::io::ErrorKind::Interrupted))
    });
    let span = sample.span(0, 0, 64);
    let answered = Event::Written { torrent: T, span, outcome: Ok(Written::PieceGood) };
    assert_eq!(disk.ask(sample.write(span)), [answered]);
    sample.check_files(&memory);
}

#[test]
fn each_file_is_synced_by_a_job_of_its_own_one_after_the_other() {
    let sample = Sample::new(&[64; 20], 64);
    let (mut disk, _) = added(&sample);
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()), 20);
    let before = disk.jobs_done;
    disk.send(Command::Sync { torrent: T });
    disk.collect();
    assert_eq!(disk.jobs.len(), 1);
    assert_eq!(disk.run(), [Event::Synced { torrent: T, error: None }]);
    assert_eq!(disk.jobs_done - before, 20);
}

#[test]
fn the_name_of_a_file_is_synced_once_after_it_was_made_and_again_after_a_failure() {
    let sample = Sample::new(&[128], 64);
    let (mut disk, memory) = added(&sample);
    let folder = root().join("t");
    let tries = Arc::new(std::sync::Mutex::new(0));
    let count = Arc::clone(&tries);
    memory.set_faults(move |call| {
        let here = call.operation == Operation::Syncing && call.path == folder;
        *count.lock().unwrap() += u32::from(here);
        (here && *count.lock().unwrap() == 1).then_some(crate::disk::Fault::Error(std::io::ErrorKind::Other))
    });
    disk.ask(sample.write(sample.span(0, 0, 64)));
    let failed = disk.ask(Command::Sync { torrent: T });
    assert!(matches!(failed.last(), Some(Event::Synced { error: Some(Error::Io { file, .. }), .. }) if file == "t/0"));
    disk.ask(Command::Retry { torrent: T });
    for _ in 0..2 {
        assert_eq!(disk.ask(Command::Sync { torrent: T }), [Event::Synced { torrent: T, error: None }]);
        disk.ask(sample.write(sample.span(1, 0, 64)));
    }
    assert_eq!(disk.ask(Command::Sync { torrent: T }), [Event::Synced { torrent: T, error: None }]);
    assert_eq!(*tries.lock().unwrap(), 2);
}
