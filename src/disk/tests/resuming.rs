use super::*;
use crate::disk::{Fault, FileSystem, Operation};
use crate::proto::geometry::Geometry;
use crate::proto::resume::{Limits, Resume};
use std::io::{ErrorKind, IoSlice};
use std::sync::Mutex;

const MINUTE: Duration = Duration::from_secs(60);

/// A torrent of pieces of two blocks, with files across them and one without bytes.
fn sample() -> Sample {
    Sample::new(&[50_000, 0, 70_000, 900], 32 * 1024)
}

fn saved(memory: &Memory) -> Option<Resume> {
    memory.contents(&state()).map(|bytes| Resume::decode(&bytes, &Limits::default()).unwrap())
}

/// Writes these, then removes the torrent, so that its resume data is saved.
fn leave(sample: &Sample, memory: &Memory, spans: &[Span]) {
    let mut disk = disk_on(memory, 1);
    disk.ask(sample.add_resuming());
    spans.iter().for_each(|span| disk.send(sample.write(*span)));
    disk.run();
    assert_eq!(
        disk.ask(Command::Remove { torrent: T, files: Files::Keep }),
        [Event::Removed { torrent: T, error: None }]
    );
}

fn reads(memory: &Memory) -> Arc<Mutex<Vec<PathBuf>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&log);
    memory.set_faults(move |call| {
        if call.operation == Operation::Reading {
            kept.lock().unwrap().push(call.path.to_path_buf());
        }
        None
    });
    log
}

#[test]
fn a_torrent_that_was_removed_is_believed_after_a_sample_of_it() {
    let (sample, memory) = (sample(), Memory::new());
    leave(&sample, &memory, &sample.all_spans());
    let log = reads(&memory);
    let config = Config { sample_pieces: 0, ..at_once() };
    let mut disk = Driver::new(Disk::new(config, &mut Rng::new(1)), Executor::new(memory.clone()), 1);
    let events = disk.ask(sample.add_resuming());
    assert_eq!(checked(&events), Checked::Sampled);
    assert!(have(&events).is_full() && stored(&events).is_empty());
    // The resume data, and of each file a piece, which may lie across two of them.
    let log = std::mem::take(&mut *log.lock().unwrap());
    assert!(log.contains(&state()) && (0..4).all(|i| i == 1 || log.contains(&sample.path(i))), "{log:?}");
    // Nothing has changed, so nothing is saved.
    let calls = memory.calls();
    disk.wait(MINUTE);
    disk.run();
    assert_eq!(memory.calls(), calls);
}

#[test]
fn a_large_file_is_believed_without_being_read() {
    let sample = Sample::new(&[1 << 20], 16 * 1024);
    let memory = Memory::new();
    leave(&sample, &memory, &sample.all_spans());
    let log = reads(&memory);
    let config = Config { sample_pieces: 3, ..at_once() };
    let mut disk = Driver::new(Disk::new(config, &mut Rng::new(1)), Executor::new(memory.clone()), 1);
    assert!(have(&disk.ask(sample.add_resuming())).is_full());
    let count = log.lock().unwrap().len();
    assert!((2..=5).contains(&count), "{count} reads");
}

#[test]
fn a_piece_goes_on_where_it_was_and_is_read_back_in_full_when_it_is_complete() {
    let sample = sample();
    for damaged in [false, true] {
        let memory = Memory::new();
        let spans = sample.all_spans();
        // A piece, one block of another, and a part of a block of a third.
        leave(&sample, &memory, &[spans[0], spans[1], spans[3], sample.span(2, 5, 100)]);
        let claims = saved(&memory).unwrap();
        assert_eq!(claims.have.iter().collect::<Vec<_>>(), [PieceIndex(0)]);
        assert_eq!(claims.partials.iter().map(|p| p.piece.0).collect::<Vec<_>>(), [1, 2]);
        let mut disk = disk_on(&memory, 1);
        let events = disk.ask(sample.add_resuming());
        assert_eq!((checked(&events), stored(&events)), (Checked::Sampled, vec![spans[3]]));
        if damaged {
            // The block lies in the third file.
            memory.damage(&sample.path(2), 5_000, b"damage");
        }
        let outcome = if damaged { Written::PieceBad } else { Written::PieceGood };
        assert_eq!(outcomes(&disk.ask(sample.write(spans[2]))), [Ok(outcome)]);
        spans[2..].iter().for_each(|span| disk.send(sample.write(*span)));
        disk.run();
        sample.check_files(&memory);
        disk.ask(Command::Remove { torrent: T, files: Files::Keep });
        assert!(have(&disk_on(&memory, 1).ask(sample.add_resuming())).is_full());
    }
}

#[test]
fn a_file_or_resume_data_that_does_not_agree_has_everything_verified() {
    let sample = sample();
    type Spoil = fn(&Sample, &Memory);
    let spoil: [(&str, Spoil); 9] = [
        ("a file that is gone", |s, m| {
            m.remove(&root(), &s.layout.files()[2].path).unwrap();
        }),
        ("an empty file that is gone", |s, m| {
            m.remove(&root(), &s.layout.files()[1].path).unwrap();
        }),
        ("a file that was cut", |s, m| {
            m.create(&root(), &s.layout.files()[2].path, 0).unwrap().set_len(60_000).unwrap();
        }),
        ("a file that grew", |s, m| {
            m.create(&root(), &s.layout.files()[3].path, 0).unwrap().set_len(901).unwrap();
        }),
        ("a file that was written to", |s, m| {
            let file = m.create(&root(), &s.layout.files()[0].path, 0).unwrap();
            file.write_at(20_000, &[IoSlice::new(b"other")]).unwrap();
        }),
        ("no resume data", |_, m| {
            m.remove(Path::new("/state"), &SafePath::from_parts(["t.resume"]).unwrap()).unwrap();
        }),
        ("torn resume data", |_, m| {
            let bytes = m.contents(&state()).unwrap();
            m.put(&state(), &bytes[..bytes.len() - 1]);
        }),
        ("resume data of another torrent", |_, m| {
            let other = Resume { info_hash: InfoHash([8; 20]), ..saved(m).unwrap() };
            m.put(&state(), &other.encode());
        }),
        ("resume data of other pieces", |_, m| {
            let other = saved(m).unwrap();
            let geometry = Geometry::new(other.geometry.total_length() - 1, 32 * 1024).unwrap();
            m.put(&state(), &Resume { geometry, ..other }.encode());
        }),
    ];
    for (what, spoil) in spoil {
        let memory = Memory::new();
        leave(&sample, &memory, &sample.all_spans());
        spoil(&sample, &memory);
        let events = disk_on(&memory, 1).ask(sample.add_resuming());
        assert_eq!(checked(&events), Checked::Full, "{what}");
        let mut plain = disk_on(&memory, 1);
        assert_eq!(have(&events), have(&plain.ask(sample.add())), "{what}");
    }
}

#[test]
fn a_sampled_piece_that_is_wrong_has_everything_verified() {
    let sample = sample();
    let (memory, config) = (Memory::new(), Config { sample_pieces: 500, ..at_once() });
    leave(&sample, &memory, &sample.all_spans());
    memory.damage(&sample.path(2), 20_000, b"damage");
    let mut disk = Driver::new(Disk::new(config, &mut Rng::new(1)), Executor::new(memory.clone()), 1);
    let events = disk.ask(sample.add_resuming());
    assert_eq!(checked(&events), Checked::Full);
    let lacks = Geometry::new(120_900, 32 * 1024).unwrap().piece_count() - 1;
    assert_eq!((have(&events).count(), have(&events).contains(PieceIndex(2))), (lacks, false));
    // Progress is told from the beginning again, and never more than there is.
    for event in events {
        if let Event::Checking { checked, pieces, .. } = event {
            assert!(checked <= pieces);
        }
    }
}

#[test]
fn what_is_saved_is_on_the_medium_before_and_the_old_is_whole_until_the_new_is() {
    let (sample, memory) = (sample(), Memory::new());
    let mut disk = disk_on(&memory, 1);
    disk.ask(sample.add_resuming());
    let log = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&log);
    memory.set_faults(move |call| {
        kept.lock().unwrap().push((call.operation, call.path.to_path_buf()));
        None
    });
    disk.send(sample.write(sample.all_spans()[0]));
    disk.run();
    disk.wait(MINUTE - Duration::from_secs(1));
    disk.run();
    assert!(saved(&memory).is_none());
    log.lock().unwrap().clear();
    disk.wait(Duration::from_secs(1));
    disk.run();
    assert_eq!(saved(&memory).unwrap().partials.len(), 1);
    let new = PathBuf::from("/state/t.resume.new");
    let log = std::mem::take(&mut *log.lock().unwrap());
    let at = |operation, path: &Path| {
        let found = log.iter().position(|call| *call == (operation, path.to_path_buf()));
        found.unwrap_or_else(|| panic!("{operation:?} {path:?}: {log:?}"))
    };
    let order = [
        at(Operation::Syncing, &sample.path(0)),
        at(Operation::Examining, &sample.path(0)),
        at(Operation::Creating, &new),
        at(Operation::Writing, &new),
        at(Operation::Syncing, &new),
        at(Operation::Renaming, &new),
        at(Operation::Syncing, Path::new("/state")),
        at(Operation::Syncing, Path::new("/")),
    ];
    // The root is below the same folder, and is brought to the medium before.
    assert!(order[..7].is_sorted(), "{log:?}");
    assert!(at(Operation::Syncing, &root()) < order[2]);
    // The file without bytes was made when the torrent was added: it is not forgotten.
    at(Operation::Syncing, &sample.path(1));
}

#[test]
fn a_save_that_fails_is_told_and_tried_again_and_stops_nothing() {
    let (sample, memory) = (sample(), Memory::new());
    let mut disk = disk_on(&memory, 1);
    disk.ask(sample.add_resuming());
    memory.set_faults(|call| {
        let fails = call.path.starts_with("/state") && call.operation != Operation::Reading;
        fails.then_some(Fault::Error(ErrorKind::StorageFull))
    });
    sample.all_spans().iter().for_each(|span| disk.send(sample.write(*span)));
    assert_eq!(good(&disk.run()), 4);
    let events = disk.ask(Command::Sync { torrent: T });
    let [Event::Synced { error: None, .. }, Event::SaveFailed { error, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(error.to_string(), "creating /state/t.resume: no storage space");
    memory.clear_faults();
    disk.wait(MINUTE);
    assert_eq!(disk.run(), []);
    assert!(saved(&memory).unwrap().have.is_full());
}

#[test]
fn nothing_is_claimed_after_a_sync_that_failed_and_what_it_was_to_bring_is_verified_again() {
    let (sample, memory) = (sample(), Memory::new());
    let mut disk = disk_on(&memory, 1);
    disk.ask(sample.add_resuming());
    let spans = sample.all_spans();
    spans[..5].iter().for_each(|span| disk.send(sample.write(*span)));
    assert_eq!(good(&disk.run()), 2);
    let path = sample.path(0);
    memory.set_faults(move |call| {
        let fails = call.operation == Operation::Syncing && call.path == path;
        fails.then_some(Fault::Error(ErrorKind::Other))
    });
    // What the system could not write it has dropped from its memory.
    memory.damage(&sample.path(0), 0, b"dropped");
    let events = disk.ask(Command::Sync { torrent: T });
    let lost = Event::PieceLost { torrent: T, piece: PieceIndex(0) };
    assert!(events.contains(&lost), "{events:?}");
    assert!(matches!(events.last(), Some(Event::Synced { error: Some(_), .. } | Event::PieceLost { .. })));
    memory.clear_faults();
    disk.ask(Command::Retry { torrent: T });
    let read = |span| Command::Read { torrent: T, span, ticket: 0 };
    assert!(matches!(disk.ask(read(spans[0]))[..], [Event::Read { block: Err(_), .. }]));
    // The other piece was read again and is right.
    assert!(matches!(disk.ask(read(spans[2]))[..], [Event::Read { block: Ok(_), .. }]));
    spans.iter().for_each(|span| disk.send(sample.write(*span)));
    assert_eq!(good(&disk.run()), 3);
    assert_eq!(disk.ask(Command::Sync { torrent: T }), [Event::Synced { torrent: T, error: None }]);
    disk.wait(MINUTE);
    assert_eq!(
        disk.ask(Command::Remove { torrent: T, files: Files::Keep }),
        [Event::Removed { torrent: T, error: None }]
    );
    assert!(saved(&memory).is_none());
    sample.check_files(&memory);
}

#[test]
fn a_seed_that_is_only_read_is_believed_the_next_time() {
    let (sample, memory) = (sample(), Memory::new());
    sample.put_files(&memory);
    let add = || {
        let Command::Add { torrent, layout, root, skipped, resume, .. } = sample.add_resuming() else {
            panic!("it adds")
        };
        Command::Add { torrent, layout, root, writable: false, skipped, resume }
    };
    let mut disk = disk_on(&memory, 1);
    assert_eq!(checked(&disk.ask(add())), Checked::Full);
    disk.ask(Command::Sync { torrent: T });
    // Killed, not removed.
    let events = disk_on(&memory, 2).ask(add());
    assert_eq!(checked(&events), Checked::Sampled);
    assert!(have(&events).is_full());
}

#[test]
fn two_saves_of_a_torrent_are_never_under_way_at_the_same_time() {
    let (sample, memory) = (sample(), Memory::new());
    let mut disk = disk_on(&memory, 3);
    disk.ask(sample.add_resuming());
    for span in sample.all_spans() {
        disk.send(sample.write(span));
        disk.send(Command::Sync { torrent: T });
        loop {
            disk.collect();
            let saves = disk.jobs.iter().filter(|(_, job)| matches!(job.work, Work::Save { .. })).count();
            assert!(saves <= 1);
            // A save is the last to be done.
            let Some(at) = disk.jobs.iter().position(|(_, job)| !matches!(job.work, Work::Save { .. })) else { break };
            let (job, work) = disk.jobs.swap_remove(at);
            let done = Ok(disk.executor.run(work));
            disk.machine.handle_input(disk.now, Input::Done { job, done });
        }
    }
    disk.ask(Command::Remove { torrent: T, files: Files::Keep });
    assert!(saved(&memory).unwrap().have.is_full());
}
