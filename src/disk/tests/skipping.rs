//! Files that are skipped, and what lies beside them.

use super::*;
use crate::disk::{Error, Fault, Operation};

use std::io::ErrorKind;

/// Five files, of which all but the empty one share pieces of 512 bytes with their neighbours.
fn sample() -> Sample {
    Sample::new(&[700, 0, 1500, 96, 1000], 512)
}

fn add_skipping(sample: &Sample, files: &[usize]) -> Command {
    let Command::Add { torrent, layout, root, writable, resume, .. } = sample.add() else { unreachable!() };
    Command::Add { torrent, layout, root, writable, skipped: skipped(sample, files), resume }
}

fn skipped(sample: &Sample, files: &[usize]) -> Vec<bool> {
    (0..sample.layout.files().len()).map(|i| files.contains(&i)).collect()
}

fn select(sample: &Sample, files: &[usize]) -> Command {
    Command::Select { torrent: T, skipped: skipped(sample, files) }
}

/// Gives the pieces with a byte in a file that is not skipped.
fn wanted(sample: &Sample, files: &[usize]) -> Vec<u32> {
    let length = u64::from(sample.layout.geometry().piece_length());
    let pieces = 0..sample.layout.geometry().piece_count();
    let has = |piece: u32| {
        sample.layout.spans(u64::from(piece) * length, length).any(|span| !files.contains(&span.file.as_usize()))
    };
    pieces.filter(|piece| has(*piece)).collect()
}

fn parts_file(memory: &Memory) -> Option<PathBuf> {
    use crate::disk::FileSystem as _;
    let names = memory.list(&root().join("t")).unwrap_or_default().into_iter();
    let mut names = names.filter(|entry| entry.name.to_string_lossy().ends_with(".parts"));
    let first = names.next().map(|entry| root().join("t").join(entry.name));
    assert!(names.next().is_none(), "more than one");
    first
}

fn write_pieces(disk: &mut Driver<Disk>, sample: &Sample, pieces: &[u32]) {
    for piece in pieces {
        for span in sample.spans(*piece, 100) {
            disk.send(sample.write(span));
        }
        let events = disk.run();
        assert_eq!(good(&events), 1, "piece {piece}: {events:?}");
    }
}

fn read_piece(disk: &mut Driver<Disk>, sample: &Sample, piece: u32) {
    let span = sample.span(piece, 0, sample.layout.geometry().length_of(PieceIndex(piece)));
    let events = disk.ask(Command::Read { torrent: T, span, ticket: 1 });
    let read = events.iter().any(|e| matches!(e, Event::Read { block: Ok(block), .. } if *block == sample.block(span)));
    assert!(read, "piece {piece}: {events:?}");
}

fn absent(sample: &Sample, memory: &Memory, files: &[usize]) {
    for file in files {
        assert!(!exists(memory, &sample.path(*file)), "file {file} was made");
    }
}

#[test]
fn no_skipped_file_is_made_and_all_wanted_pieces_are_kept_read_found_again_and_moved() {
    let sample = sample();
    for skip in [&[0][..], &[1, 2], &[0, 3], &[2, 4], &[0, 1, 2, 3], &[1, 2, 3, 4], &[3]] {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, 1);
        assert!(have(&disk.ask(add_skipping(&sample, skip))).is_empty());
        let pieces = wanted(&sample, skip);
        write_pieces(&mut disk, &sample, &pieces);
        absent(&sample, &memory, skip);
        assert!(parts_file(&memory).is_some());
        pieces.iter().for_each(|piece| read_piece(&mut disk, &sample, *piece));
        assert_eq!(disk.ask(Command::Sync { torrent: T }), [Event::Synced { torrent: T, error: None }]);
        disk.ask(Command::Remove { torrent: T, files: Files::Keep });

        let mut disk = disk_on(&memory, 2);
        let again = have(&disk.ask(add_skipping(&sample, skip)));
        assert_eq!(again.iter().map(|p| p.0).collect::<Vec<_>>(), pieces, "skipping {skip:?}");
        absent(&sample, &memory, skip);
        pieces.iter().for_each(|piece| read_piece(&mut disk, &sample, *piece));

        // One file after the other becomes wanted.
        let mut left = skip.to_vec();
        while let Some(file) = left.pop() {
            assert_eq!(disk.ask(select(&sample, &left)), [Event::Selected { torrent: T, error: None }]);
            assert!(left.contains(&1) || exists(&memory, &sample.path(1)));
            absent(&sample, &memory, &left);
            let missing: Vec<u32> = wanted(&sample, &left);
            let missing: Vec<u32> =
                missing.into_iter().filter(|p| !wanted(&sample, &[&left[..], &[file]].concat()).contains(p)).collect();
            let missing: Vec<u32> = missing.into_iter().filter(|p| !pieces.contains(p)).collect();
            write_pieces(&mut disk, &sample, &missing);
            wanted(&sample, &left).iter().for_each(|piece| read_piece(&mut disk, &sample, *piece));
        }
        assert_eq!(parts_file(&memory), None);
        sample.check_files(&memory);
    }
}

#[test]
fn a_skipped_file_that_is_there_is_used_as_any() {
    let sample = sample();
    let memory = Memory::new();
    memory.put(&sample.path(0), sample.contents(0));
    let mut disk = disk_on(&memory, 1);
    // The first piece is all in it; the second is shared.
    assert_eq!(have(&disk.ask(add_skipping(&sample, &[0]))).iter().collect::<Vec<_>>(), [PieceIndex(0)]);
    write_pieces(&mut disk, &sample, &[1, 2]);
    assert_eq!(parts_file(&memory), None);
    assert_eq!(memory.contents(&sample.path(0)).as_deref(), Some(sample.contents(0)));
}

#[test]
fn a_file_that_becomes_wanted_while_a_piece_is_half_written_gets_both_halves() {
    let sample = sample();
    for seed in 0..40 {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, seed);
        disk.ask(add_skipping(&sample, &[2]));
        let mut rng = Rng::new(seed);
        let mut spans: Vec<Span> = wanted(&sample, &[2]).into_iter().flat_map(|p| sample.spans(p, 60)).collect();
        rng.shuffle(&mut spans);
        let middle = rng.below(spans.len() as u32) as usize;
        let mut events = Vec::new();
        for (at, span) in spans.iter().enumerate() {
            if at == middle {
                disk.send(select(&sample, &[]));
            } else if rng.below(20) == 0 {
                disk.send(select(&sample, if rng.below(2) == 0 { &[2] } else { &[0, 2, 3] }));
            }
            disk.send(sample.write(*span));
            disk.steps(rng.below(3));
        }
        events.extend(disk.run());
        assert_eq!(good(&events), wanted(&sample, &[2]).len(), "seed {seed}: {events:?}");
        assert!(events.iter().all(|e| !matches!(e, Event::Selected { error: Some(_), .. })));
        wanted(&sample, &[2]).iter().for_each(|piece| read_piece(&mut disk, &sample, *piece));
        disk.ask(select(&sample, &[]));
        let left: Vec<u32> = (0..7).filter(|p| !wanted(&sample, &[2]).contains(p)).collect();
        write_pieces(&mut disk, &sample, &left);
        assert_eq!(parts_file(&memory), None, "seed {seed}");
        sample.check_files(&memory);
    }
}

#[test]
fn what_takes_several_jobs_to_move_is_written_meanwhile_and_no_byte_is_passed_by() {
    let sample = Sample::new(&[1 << 20, 4 << 20], 4 << 20);
    for seed in 0..12 {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, seed);
        disk.ask(add_skipping(&sample, &[1]));
        let mut rng = Rng::new(seed);
        let mut spans = sample.spans(0, 256 << 10);
        rng.shuffle(&mut spans);
        let (before, after) = spans.split_at(4 + rng.below(8) as usize);
        before.iter().for_each(|span| disk.send(sample.write(*span)));
        disk.run();
        disk.send(select(&sample, &[]));
        disk.steps(2 + rng.below(2));
        for span in after {
            disk.send(sample.write(*span));
            disk.steps(rng.below(2));
        }
        let events = disk.run();
        assert_eq!(good(&events), 1, "seed {seed}: {events:?}");
        assert_eq!(parts_file(&memory), None, "seed {seed}");
        let mut disk = disk_on(&memory, seed);
        assert!(have(&disk.ask(sample.add())).contains(PieceIndex(0)), "seed {seed}");
    }
}

#[test]
fn a_fault_at_any_call_of_a_move_is_told_and_a_retry_moves_the_rest() {
    let sample = sample();
    let mut faults = 0;
    for n in 0..200 {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, n);
        disk.ask(add_skipping(&sample, &[0, 2, 3]));
        write_pieces(&mut disk, &sample, &wanted(&sample, &[0, 2, 3]));
        let first = memory.calls() + n;
        memory.set_faults(move |call| (call.number == first).then_some(Fault::Error(ErrorKind::StorageFull)));
        let events = disk.ask(select(&sample, &[]));
        if memory.calls() <= first {
            assert!(faults > 4);
            return;
        }
        let selected = |e: &&Event| matches!(e, Event::Selected { .. });
        assert_eq!(events.iter().filter(selected).count(), 1, "{events:?}");
        if events.iter().any(|e| matches!(e, Event::Stopped { .. })) {
            faults += 1;
            assert!(events.iter().any(|e| matches!(e, Event::Selected { error: Some(_), .. })), "{events:?}");
            disk.ask(Command::Retry { torrent: T });
        }
        let pieces = wanted(&sample, &[0, 2, 3]);
        pieces.iter().for_each(|piece| read_piece(&mut disk, &sample, *piece));
        let left: Vec<u32> = (0..7).filter(|p| !pieces.contains(p)).collect();
        write_pieces(&mut disk, &sample, &left);
        assert_eq!(parts_file(&memory), None, "call {n}");
        sample.check_files(&memory);
    }
    panic!("the calls never end");
}

#[test]
fn a_parts_file_that_is_torn_or_garbage_costs_pieces_and_no_wrong_byte() {
    let sample = sample();
    let memory = Memory::new();
    let mut disk = disk_on(&memory, 1);
    disk.ask(add_skipping(&sample, &[2, 3]));
    let pieces = wanted(&sample, &[2, 3]);
    write_pieces(&mut disk, &sample, &pieces);
    disk.ask(Command::Remove { torrent: T, files: Files::Keep });
    let path = parts_file(&memory).unwrap();
    let whole = memory.contents(&path).unwrap();
    let mut rng = Rng::new(3);
    for round in 0..300 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(rng.below(whole.len() as u32) as usize),
            1 => (0..4).for_each(|_| bytes[rng.below(whole.len() as u32) as usize] = rng.next_u64() as u8),
            // The table: places that overlap, lie outside, or are another's.
            _ => (0..8).for_each(|_| bytes[64 + rng.below(48) as usize] = rng.next_u64() as u8 & 0x83),
        }
        memory.put(&path, &bytes);
        let mut disk = disk_on(&memory, round);
        let there = have(&disk.ask(add_skipping(&sample, &[2, 3])));
        let missing: Vec<u32> = pieces.iter().copied().filter(|p| !there.contains(PieceIndex(*p))).collect();
        write_pieces(&mut disk, &sample, &missing);
        pieces.iter().for_each(|piece| read_piece(&mut disk, &sample, *piece));
        absent(&sample, &memory, &[2, 3]);
        disk.ask(Command::Remove { torrent: T, files: Files::Keep });
        // All is there at the next start, whatever the file was like.
        let mut disk = disk_on(&memory, round);
        assert_eq!(have(&disk.ask(add_skipping(&sample, &[2, 3]))).count() as usize, pieces.len(), "round {round}");
        disk.ask(Command::Remove { torrent: T, files: Files::Keep });
    }
}

#[test]
fn what_was_left_beside_a_file_is_moved_at_the_next_start_when_all_is_wanted() {
    let sample = sample();
    let memory = Memory::new();
    let mut disk = disk_on(&memory, 1);
    disk.ask(add_skipping(&sample, &[2, 3]));
    let pieces = wanted(&sample, &[2, 3]);
    write_pieces(&mut disk, &sample, &pieces);
    // Of one more piece only a part has come.
    disk.ask(sample.write(sample.span(2, 0, 100)));
    let mut disk = disk_on(&memory, 2);
    let there = have(&disk.ask(sample.add()));
    assert_eq!(there.iter().map(|p| p.0).collect::<Vec<_>>(), pieces);
    assert_eq!(parts_file(&memory), None);
    let left: Vec<u32> = (0..7).filter(|p| !pieces.contains(p)).collect();
    write_pieces(&mut disk, &sample, &left);
    sample.check_files(&memory);
}

#[test]
fn a_death_between_any_two_calls_loses_pieces_at_most() {
    let sample = sample();
    let skip = [2, 3];
    for n in 0.. {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, n);
        // From some call on nothing reaches the files: the process is gone.
        memory.set_faults(move |call| (call.number >= n).then_some(Fault::Error(ErrorKind::Other)));
        disk.ask(add_skipping(&sample, &skip));
        for piece in wanted(&sample, &skip) {
            sample.spans(piece, 200).into_iter().for_each(|span| disk.send(sample.write(span)));
            disk.run();
        }
        disk.ask(select(&sample, &[2]));
        disk.ask(select(&sample, &[]));
        memory.clear_faults();
        let over = memory.calls() < n;
        drop(disk);
        let mut disk = disk_on(&memory, n);
        let there = have(&disk.ask(add_skipping(&sample, if n % 2 == 0 { &skip } else { &[] })));
        there.iter().for_each(|piece| read_piece(&mut disk, &sample, piece.0));
        disk.ask(select(&sample, &[]));
        let left: Vec<u32> = (0..7).filter(|p| !there.contains(PieceIndex(*p))).collect();
        write_pieces(&mut disk, &sample, &left);
        assert_eq!(parts_file(&memory), None, "call {n}");
        sample.check_files(&memory);
        if over {
            assert!(n > 25, "{n} calls");
            break;
        }
    }
}

#[test]
fn selections_that_make_no_sense_are_refused() {
    let sample = sample();
    let (mut disk, _) = added(&sample);
    let error = |events: Vec<Event>| match &events[..] {
        [Event::Selected { error, .. }] => error.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(error(disk.ask(Command::Select { torrent: T, skipped: vec![true] })), Some(Error::WrongSelection));
    let other = Command::Select { torrent: TorrentId(99), skipped: vec![] };
    assert_eq!(error(disk.ask(other)), Some(Error::UnknownTorrent));
    disk.send(select(&sample, &[0]));
    disk.send(Command::Remove { torrent: T, files: Files::Keep });
    let events = disk.run();
    let selected = events.iter().filter(|e| matches!(e, Event::Selected { .. })).count();
    assert!(selected == 1 && matches!(events.last(), Some(Event::Removed { error: None, .. })), "{events:?}");
    let Command::Add { layout, root, .. } = sample.add() else { unreachable!() };
    let wrong = Command::Add { torrent: T, layout, root, writable: true, skipped: vec![true, false], resume: None };
    assert_eq!(disk.ask(wrong), [Event::AddFailed { torrent: T, error: Error::WrongSelection }]);
}

#[test]
fn a_folder_that_holds_skipped_files_is_seeded_also_when_it_may_not_be_written() {
    let sample = sample();
    let memory = Memory::new();
    let mut disk = disk_on(&memory, 1);
    disk.ask(add_skipping(&sample, &[0]));
    let pieces = wanted(&sample, &[0]);
    write_pieces(&mut disk, &sample, &pieces);
    disk.ask(Command::Remove { torrent: T, files: Files::Keep });
    let writes = |operation| matches!(operation, Operation::Writing | Operation::Creating | Operation::Syncing);
    memory.set_faults(move |call| writes(call.operation).then_some(Fault::Error(ErrorKind::ReadOnlyFilesystem)));
    let mut disk = disk_on(&memory, 2);
    let Command::Add { layout, root, skipped, .. } = sample.add() else { unreachable!() };
    let read_only = Command::Add { torrent: T, layout, root, writable: false, skipped, resume: None };
    let there = have(&disk.ask(read_only));
    assert_eq!(there.count() as usize, pieces.len());
    pieces.iter().for_each(|piece| read_piece(&mut disk, &sample, *piece));
    assert_eq!(disk.ask(select(&sample, &[])), [Event::Selected { torrent: T, error: None }]);
}

#[test]
fn bytes_beside_files_that_changed_since_are_never_believed() {
    let sample = Sample::new(&[700, 0, 1500, 96, 1000, 60_000], 512);
    for seed in 0..10 {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, seed);
        let mut add = add_skipping(&sample, &[4]);
        let Command::Add { resume, .. } = &mut add else { unreachable!() };
        *resume = Some(ResumeFile { path: state(), info_hash: InfoHash([7; 20]) });
        disk.ask(add.clone());
        write_pieces(&mut disk, &sample, &wanted(&sample, &[4]));
        disk.ask(Command::Sync { torrent: T });
        disk.wait(Duration::from_secs(60));
        disk.ask(Command::Remove { torrent: T, files: Files::Keep });
        let path = parts_file(&memory).unwrap();
        let mut bytes = memory.contents(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        memory.put(&path, &bytes);
        let mut disk = disk_on(&memory, seed);
        let events = disk.ask(add);
        assert_eq!(checked(&events), Checked::Full, "seed {seed}");
        assert_eq!(have(&events).count() as usize, wanted(&sample, &[4]).len() - 1);
    }
}
