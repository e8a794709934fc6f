use super::*;
use crate::disk::{Error, Fault, FileSystem, Operation};
use std::io::ErrorKind;

const OTHER: TorrentId = TorrentId(8);

fn read(sample: &Sample, piece: u32) -> Command {
    Command::Read { torrent: T, span: sample.spans(piece, u32::MAX)[0], ticket: 0 }
}

#[test]
fn a_file_that_is_cut_under_us_is_verified_again_and_nothing_wrong_is_served() {
    let sample = Sample::new(&[100, 300, 100], 50);
    let memory = Memory::new();
    sample.put_files(&memory);
    let mut disk = disk_on(&memory, 1);
    assert!(have(&disk.ask(sample.add())).is_full());
    memory.create(&root(), &sample.layout.files()[1].path, 0).unwrap().set_len(120).unwrap();
    let events = disk.ask(read(&sample, 6));
    assert!(matches!(events[0], Event::Read { block: Err(_), .. }), "{events:?}");
    assert!(matches!(&events[1], Event::ReadFailed { error, .. } if error.to_string().contains("t/1")));
    let mut lost: Vec<u32> = events
        .iter()
        .filter_map(|e| if let Event::PieceLost { piece, .. } = e { Some(piece.0) } else { None })
        .collect();
    lost.sort_unstable();
    // 220 bytes are there: pieces 4 to 7 are not, and those in the other files were not looked at.
    assert_eq!(lost, [4, 5, 6, 7]);
    for piece in [0, 1, 2, 3, 8, 9] {
        let events = disk.ask(read(&sample, piece));
        assert!(matches!(events[..], [Event::Read { block: Ok(_), .. }]), "{piece}: {events:?}");
    }
    for piece in lost {
        let refused = Err(Error::NotVerified { piece: PieceIndex(piece) });
        assert!(matches!(&disk.ask(read(&sample, piece))[..], [Event::Read { block, .. }] if *block == refused));
    }
    (4..8).flat_map(|piece| sample.spans(piece, 50)).for_each(|span| disk.send(sample.write(span)));
    assert_eq!(good(&disk.run()), 4);
    sample.check_files(&memory);
}

#[test]
fn a_file_that_vanished_is_lost_and_made_anew() {
    let sample = Sample::new(&[100, 100], 50);
    let memory = Memory::new();
    sample.put_files(&memory);
    let mut disk = disk_on(&memory, 1);
    // No file is open yet but what the check has read last: another torrent's files take their place.
    disk.ask(sample.add());
    let elsewhere = Sample::new(&[10; 5], 50);
    let layout = Arc::clone(&elsewhere.layout);
    let (skipped, resume) = (Vec::new(), None);
    disk.ask(Command::Add { torrent: OTHER, layout, root: "/else".into(), writable: true, skipped, resume });
    elsewhere.all_spans().into_iter().for_each(|span| {
        disk.send(Command::Write { torrent: OTHER, span, block: elsewhere.block(span) });
    });
    disk.run();
    memory.remove(&root(), &sample.layout.files()[0].path).unwrap();
    let events = disk.ask(read(&sample, 0));
    let lost = events.iter().filter(|e| matches!(e, Event::PieceLost { .. })).count();
    assert_eq!(lost, 2, "{events:?}");
    sample.all_spans().into_iter().for_each(|span| disk.send(sample.write(span)));
    assert_eq!(good(&disk.run()), 2);
    sample.check_files(&memory);
}

#[test]
fn a_block_that_cannot_be_read_fails_alone_until_too_many_do() {
    let sample = Sample::new(&[500], 50);
    let memory = Memory::new();
    sample.put_files(&memory);
    let config = Config { read_failures: 3, ..at_once() };
    let mut disk = Driver::new(Disk::new(config, &mut Rng::new(1)), Executor::new(memory.clone()), 1);
    disk.ask(sample.add());
    let fails =
        |call: crate::disk::Call<'_>| (call.operation == Operation::Reading).then_some(Fault::Error(ErrorKind::Other));
    memory.set_faults(fails);
    for _ in 0..2 {
        assert!(matches!(
            disk.ask(read(&sample, 1))[..],
            [Event::Read { block: Err(_), .. }, Event::ReadFailed { .. }]
        ));
    }
    memory.clear_faults();
    assert!(matches!(disk.ask(read(&sample, 1))[..], [Event::Read { block: Ok(_), .. }]));
    memory.set_faults(fails);
    for n in 1..6 {
        let events = disk.ask(read(&sample, 1));
        let stopped = events.iter().filter(|e| matches!(e, Event::Stopped { unreadable: true, .. })).count();
        assert_eq!(stopped, usize::from(n == 3), "{events:?}");
    }
    memory.clear_faults();
    disk.ask(Command::Retry { torrent: T });
    assert!(matches!(disk.ask(read(&sample, 1))[..], [Event::Read { block: Ok(_), .. }]));
}

#[test]
fn what_is_gone_of_a_piece_before_it_is_complete_is_fetched_again() {
    let sample = Sample::new(&[40, 60], 100);
    let memory = Memory::new();
    let mut disk = disk_on(&memory, 1);
    disk.ask(sample.add());
    // Out of order, so that it is read back when it is complete.
    disk.ask(sample.write(sample.span(0, 50, 50)));
    memory.create(&root(), &sample.layout.files()[1].path, 0).unwrap().set_len(20).unwrap();
    let events = disk.ask(sample.write(sample.span(0, 0, 50)));
    assert!(matches!(&outcomes(&events)[..], [Err(error)] if error.to_string().contains("t/1")), "{events:?}");
    assert!(events.contains(&Event::PieceLost { torrent: T, piece: PieceIndex(0) }));
    disk.ask(Command::Retry { torrent: T });
    sample.spans(0, 10).into_iter().for_each(|span| disk.send(sample.write(span)));
    assert_eq!(good(&disk.run()), 1);
    sample.check_files(&memory);
}

#[test]
fn a_device_that_hangs_leaves_job_threads_to_other_torrents() {
    let sample = Sample::new(&[2000], 100);
    let memory = Memory::new();
    let config = Config { torrent_jobs: 3, jobs: 4, ..at_once() };
    let mut disk = Driver::new(Disk::new(config, &mut Rng::new(1)), Executor::new(memory), 1);
    disk.ask(sample.add());
    let layout = Arc::clone(&sample.layout);
    let (skipped, resume) = (Vec::new(), None);
    disk.ask(Command::Add { torrent: OTHER, layout, root: "/else".into(), writable: true, skipped, resume });
    sample.all_spans().into_iter().for_each(|span| disk.send(sample.write(span)));
    disk.collect();
    // None of these ends.
    assert_eq!(disk.jobs.len(), 3);
    let hung = std::mem::take(&mut disk.jobs);
    let span = sample.all_spans()[0];
    let write = Command::Write { torrent: OTHER, span, block: sample.block(span) };
    assert_eq!(outcomes(&disk.ask(write)), [Ok(Written::PieceGood)]);
    disk.ask(Command::Remove { torrent: OTHER, files: Files::Keep });
    // When it answers after all, it goes on, and alone it takes all there is.
    disk.jobs = hung;
    disk.step();
    assert_eq!(disk.jobs.len(), 4);
    assert_eq!(good(&disk.run()), 20);
}

#[test]
fn a_torrent_with_jobs_under_way_is_gone_after_the_last_of_them_and_not_before() {
    for seed in 0..50 {
        let sample = Sample::new(&[700, 0, 1500], 100);
        let memory = Memory::new();
        let mut disk = disk_on(&memory, seed);
        disk.ask(sample.add_resuming());
        let mut rng = Rng::new(seed);
        let spans = sample.all_spans();
        spans.iter().for_each(|span| disk.send(sample.write(*span)));
        spans.iter().for_each(|_| disk.send(Command::Sync { torrent: T }));
        disk.steps(rng.below(60));
        (0..5).for_each(|piece| disk.send(read(&sample, piece)));
        disk.collect();
        disk.send(Command::Remove { torrent: T, files: Files::Keep });
        while disk.step() {
            let gone = disk.events.iter().any(|e| matches!(e, Event::Removed { .. }));
            assert!(!gone || disk.jobs.is_empty(), "seed {seed}");
        }
        assert_eq!(disk.events.last(), Some(&Event::Removed { torrent: T, error: None }), "seed {seed}");
        sample.check_files(&memory);
        disk.events.clear();
        assert!(have(&disk.ask(sample.add_resuming())).is_full(), "seed {seed}");
    }
}
