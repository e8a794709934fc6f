use super::*;
use crate::disk::{Error, Oddity};
use crate::proto::id::FileIndex;
use crate::proto::metainfo::{Limits, Metainfo};

fn remove(disk: &mut Driver<Disk>) {
    assert_eq!(
        disk.ask(Command::Remove { torrent: T, files: Files::Keep }),
        [Event::Removed { torrent: T, error: None }]
    );
}

#[test]
fn adding_makes_empty_files_and_touches_nothing_else() {
    let sample = Sample::new(&[50, 2000, 0], 1024);
    let (_, memory) = added(&sample);
    assert!(!exists(&memory, &sample.path(0)) && !exists(&memory, &sample.path(1)));
    assert_eq!(memory.contents(&sample.path(2)).as_deref(), Some(&[][..]));

    let memory = Memory::new();
    let mut disk = disk_on(&memory, 1);
    let add = Command::Add {
        torrent: T,
        layout: Arc::clone(&sample.layout),
        root: root(),
        writable: false,
        skipped: Vec::new(),
        resume: None,
    };
    disk.ask(add);
    assert!(!exists(&memory, &sample.path(2)));
    assert_eq!(outcomes(&disk.ask(sample.write(sample.span(0, 0, 10)))), [Err(Error::ReadOnly)]);
}

#[test]
fn what_is_there_is_found_and_the_rest_completes() {
    let sample = Sample::new(&[1023, 2000], 1024);
    let (mut disk, memory) = added(&sample);
    disk.ask(sample.write(sample.span(0, 0, 1024)));
    remove(&mut disk);
    assert_eq!(outcomes(&disk.ask(sample.write(sample.span(1, 0, 10)))), [Err(Error::UnknownTorrent)]);
    assert_eq!(have(&disk.ask(sample.add())).iter().collect::<Vec<_>>(), [PieceIndex(0)]);
    for span in [1, 2].into_iter().flat_map(|p| sample.spans(p, 500)) {
        disk.send(sample.write(span));
    }
    assert_eq!(good(&disk.run()), 2);
    sample.check_files(&memory);
}

#[test]
fn a_kill_at_any_step_loses_nothing_that_was_verified() {
    let sample = Sample::new(&[1000, 0, 3000, 96], 1024);
    for steps in 0.. {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, steps);
        disk.ask(sample.add());
        let mut spans: Vec<_> = (0..4).flat_map(|p| sample.spans(p, 100)).collect();
        spans.rotate_left(steps as usize * 7 % 40);
        spans.iter().for_each(|s| disk.send(sample.write(*s)));
        let killed = (0..steps).all(|_| disk.step());
        let verified = good(&disk.events);
        drop(disk);
        let mut disk = disk_on(&memory, steps);
        let have = have(&disk.ask(sample.add()));
        assert!(have.count() as usize >= verified, "after {steps} steps");
        spans.iter().for_each(|s| disk.send(sample.write(*s)));
        assert_eq!(good(&disk.run()) as u32, 4 - have.count());
        sample.check_files(&memory);
        if !killed {
            assert!(steps > 4);
            break;
        }
    }
}

#[test]
fn a_file_that_is_too_long_is_left_as_it_is_and_reported() {
    let sample = Sample::new(&[100, 0, 100], 64);
    let memory = Memory::new();
    sample.put_files(&memory);
    let longer = [sample.contents(0), b"more"].concat();
    memory.put(&sample.path(0), &longer);
    memory.put(&sample.path(1), b"x");
    let mut disk = disk_on(&memory, 1);
    let events = disk.ask(sample.add());
    assert!(have(&events).is_full());
    let odd = |file, found, expected| Oddity::TooLong { file: FileIndex(file), found, expected };
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Added { oddities, .. } if *oddities == [odd(0, 104, 100), odd(1, 1, 0)]))
    );
    assert_eq!(memory.contents(&sample.path(0)), Some(longer));
    assert_eq!(memory.contents(&sample.path(1)).as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_file_that_is_too_short_keeps_its_whole_pieces_and_is_extended() {
    let sample = Sample::new(&[100, 100], 64);
    let memory = Memory::new();
    sample.put_files(&memory);
    memory.put(&sample.path(0), &sample.contents(0)[..70]);
    let mut disk = disk_on(&memory, 1);
    assert_eq!(have(&disk.ask(sample.add())).iter().map(|p| p.0).collect::<Vec<_>>(), [0, 2, 3]);
    assert_eq!(outcomes(&disk.ask(sample.write(sample.span(1, 0, 64)))), [Ok(Written::PieceGood)]);
    sample.check_files(&memory);
}

#[test]
fn a_fresh_torrent_of_a_hundred_thousand_pieces_costs_two_jobs_and_reads_nothing() {
    let length = 100_000 * 16_384;
    let files =
        vec![(SafePath::from_parts(["t", "a"]).unwrap(), length - 5), (SafePath::from_parts(["t", "b"]).unwrap(), 5)];
    let layout = Arc::new(Layout::new(files, 16_384, &vec![[0; 20]; 100_000]).unwrap());
    let memory = Memory::new();
    let mut disk = disk_on(&memory, 1);
    let events =
        disk.ask(Command::Add { torrent: T, layout, root: root(), writable: true, skipped: Vec::new(), resume: None });
    assert_eq!(have(&events).count(), 0);
    assert!(disk.jobs_done <= 2 && memory.calls() <= 3, "{} jobs, {} calls", disk.jobs_done, memory.calls());
}

#[test]
fn the_check_tells_how_far_it_is_about_a_hundred_times() {
    let sample = Sample::new(&[100_000], 100);
    let memory = Memory::new();
    sample.put_files(&memory);
    let mut disk = disk_on(&memory, 1);
    let events = disk.ask(sample.add());
    let told: Vec<_> = events
        .iter()
        .filter_map(|e| match e {
            Event::Checking { checked, good, pieces: 1000, .. } => Some((*checked, *good)),
            _ => None,
        })
        .collect();
    assert!((90..=100).contains(&told.len()));
    assert!(told.windows(2).all(|w| w[0].0 < w[1].0) && told.iter().all(|t| t.0 == t.1));
    assert!(have(&events).is_full());
}

#[test]
fn two_checks_take_turns() {
    let sample = Sample::new(&[100_000], 100);
    let memory = Memory::new();
    sample.put_files(&memory);
    let mut disk = disk_on(&memory, 3);
    for id in 0..2 {
        let layout = Arc::clone(&sample.layout);
        disk.send(Command::Add {
            torrent: TorrentId(id),
            layout,
            root: root(),
            writable: true,
            skipped: Vec::new(),
            resume: None,
        });
    }
    (0..1000).for_each(|_| assert!(disk.step()));
    let checked = |id| {
        disk.events.iter().rev().find_map(|e| match e {
            Event::Checking { torrent, checked, .. } if *torrent == TorrentId(id) => Some(*checked),
            _ => None,
        })
    };
    let (a, b) = (checked(0).unwrap(), checked(1).unwrap());
    assert!(a.abs_diff(b) < 100, "{a} and {b} of 1000");
}

#[test]
fn a_torrent_is_removed_in_the_middle_of_its_check_after_its_last_job() {
    let sample = Sample::new(&[10_000], 100);
    let memory = Memory::new();
    sample.put_files(&memory);
    for steps in 0..20 {
        let mut disk = disk_on(&memory, steps);
        disk.send(sample.add());
        (0..steps).for_each(|_| assert!(disk.step()));
        disk.events.clear();
        disk.send(Command::Remove { torrent: T, files: Files::Keep });
        disk.send(Command::Remove { torrent: T, files: Files::Keep });
        disk.collect();
        let waiting = disk.jobs.len();
        let events = disk.run();
        let removed = Event::Removed { torrent: T, error: None };
        let failed = Event::AddFailed { torrent: T, error: Error::Removing };
        assert!(events.ends_with(&[failed, removed.clone(), removed]), "{events:?}");
        assert!(steps == 0 || waiting > 0);
        assert!(disk.machine.poll_output(&mut Vec::new()).is_none());
        assert!(have(&disk.ask(sample.add())).is_full());
    }
}

#[test]
fn writes_that_wait_are_written_before_the_torrent_is_gone() {
    let sample = Sample::new(&[64 * 1024, 5], 32 * 1024);
    let (mut disk, memory) = added(&sample);
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    disk.send(Command::Remove { torrent: T, files: Files::Keep });
    disk.send(sample.write(sample.span(0, 0, 1)));
    let events = disk.run();
    assert_eq!(good(&events), 3);
    assert!(outcomes(&events).contains(&Err(Error::Removing)));
    assert_eq!(events.last(), Some(&Event::Removed { torrent: T, error: None }));
    sample.check_files(&memory);
}

#[test]
fn a_torrent_is_there_once() {
    let sample = Sample::new(&[100], 64);
    let (mut disk, _) = added(&sample);
    assert_eq!(disk.ask(sample.add()), [Event::AddFailed { torrent: T, error: Error::TorrentExists }]);
    let gone = TorrentId(100);
    let removed = disk.ask(Command::Remove { torrent: gone, files: Files::Keep });
    assert_eq!(removed, [Event::Removed { torrent: gone, error: Some(Error::UnknownTorrent) }]);
    assert_eq!(disk.ask(Command::Retry { torrent: gone }), [Event::Retried { torrent: gone, found: false }]);
    let synced = disk.ask(Command::Sync { torrent: gone });
    assert_eq!(synced, [Event::Synced { torrent: gone, error: Some(Error::UnknownTorrent) }]);
}

#[test]
fn padding_is_never_stored_and_reads_as_zeros() {
    let contents = [vec![1; 20], vec![0; 12], vec![2; 20]].concat();
    let hashes: Vec<u8> = contents.chunks(32).flat_map(Sha1::digest).collect();
    let mut torrent = b"d4:infod5:filesl\
        d6:lengthi20e4:pathl1:aee\
        d4:attr1:p6:lengthi12e4:pathl4:.pad2:12ee\
        d6:lengthi20e4:pathl1:beee4:name1:t12:piece lengthi32e6:pieces40:"
        .to_vec();
    torrent.extend(hashes);
    torrent.extend(b"ee");
    let torrent = Metainfo::parse(&torrent, &Limits::default()).unwrap();
    assert!(torrent.files()[1].is_padding);
    let sample = Sample { layout: torrent.layout(), bytes: contents };
    let (mut disk, memory) = added(&sample);
    disk.send(sample.write(sample.span(0, 0, 25)));
    disk.send(sample.write(sample.span(0, 25, 7)));
    disk.send(sample.write(sample.span(1, 0, 20)));
    assert_eq!(good(&disk.run()), 2);
    assert!(!exists(&memory, &sample.path(1)));
    let span = sample.span(0, 10, 20);
    let read = disk.ask(Command::Read { torrent: T, span, ticket: 0 });
    assert!(matches!(&read[..], [Event::Read { block: Ok(b), .. }] if *b == sample.block(span)));
    disk.ask(Command::Sync { torrent: T });
    remove(&mut disk);
    assert!(have(&disk.ask(sample.add())).is_full());
    assert!(!exists(&memory, &sample.path(1)));
}

#[test]
fn no_more_files_are_open_than_allowed_and_none_of_a_removed_torrent() {
    let sample = Sample::new(&[10; 50], 64);
    let (mut disk, memory) = added(&sample);
    for span in sample.all_spans() {
        disk.send(sample.write(span));
    }
    assert_eq!(good(&disk.run()), 8);
    assert_eq!(format!("{:?}", disk.executor), "Executor(2 of 2 files open)");
    remove(&mut disk);
    assert_eq!(format!("{:?}", disk.executor), "Executor(0 of 2 files open)");
    sample.check_files(&memory);
}

#[test]
fn limits_of_zero_still_let_one_job_through() {
    let sample = Sample::new(&[100], 64);
    let memory = Memory::new();
    sample.put_files(&memory);
    let config = Config { jobs: 0, check_jobs: 0, ..at_once() };
    let mut disk = Driver::new(Disk::new(config, &mut Rng::new(1)), Executor::with_open_files(Box::new(memory), 0), 1);
    assert!(have(&disk.ask(sample.add())).is_full());
}

#[test]
fn a_disk_that_seeks_is_checked_piece_by_piece_and_another_with_as_many_jobs_as_allowed() {
    let sample = Sample::new(&[0, 10_000, 3 << 20], 2 << 20);
    for (seeks, most) in [(true, 1), (false, 2), (true, 1)] {
        let memory = Memory::new();
        sample.put_files(&memory);
        memory.set_seeks(seeks);
        let config = Config { check_jobs: 2, ..at_once() };
        let mut disk = Driver::new(Disk::new(config, &mut Rng::new(1)), Executor::new(memory), 1);
        disk.send(sample.add());
        assert_eq!(disk.most_hashed_at_a_time(), most);
        assert!(have(&disk.events).is_full());
    }
}
