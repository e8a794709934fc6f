use super::*;
use crate::disk::Operation;
use std::sync::Mutex;

const KIB: u32 = 1024;
const BLOCK: u32 = BLOCK_LENGTH;

/// Writes down every read and write from now on.
fn log(memory: &Memory) -> Arc<Mutex<Vec<Operation>>> {
    let calls = Arc::<Mutex<Vec<Operation>>>::default();
    let log = Arc::clone(&calls);
    memory.set_faults(move |call| {
        if matches!(call.operation, Operation::Reading | Operation::Writing) {
            log.lock().unwrap().push(call.operation);
        }
        None
    });
    calls
}

fn holding(sample: &Sample, hold_bytes: usize) -> (Driver<Disk>, Memory) {
    let memory = Memory::new();
    let disk = Disk::new(Config { hold_bytes, ..Config::default() }, &mut Rng::new(1));
    let mut disk = Driver::new(disk, Executor::new(memory.clone()), 1);
    assert_eq!(have(&disk.ask(sample.add())).count(), 0);
    (disk, memory)
}

#[test]
fn a_piece_whose_blocks_come_in_any_order_is_written_once_and_never_read_back() {
    let sample = Sample::new(&[2 * 200 * u64::from(KIB)], 200 * KIB);
    let (mut disk, memory) = holding(&sample, 1 << 20);
    let calls = log(&memory);
    let mut spans = sample.all_spans();
    Rng::new(3).shuffle(&mut spans);
    let events: Vec<Event> = spans.iter().flat_map(|span| disk.ask(sample.write(*span))).collect();
    assert_eq!((outcomes(&events).len(), good(&events)), (spans.len(), 2));
    sample.check_files(&memory);
    assert_eq!(*calls.lock().unwrap(), [Operation::Writing; 2]);
}

#[test]
fn of_a_large_piece_a_run_is_written_at_once_and_what_lies_behind_a_gap_waits() {
    let sample = Sample::new(&[u64::from(1024 * KIB)], 1024 * KIB);
    let (mut disk, memory) = holding(&sample, 1 << 20);
    let calls = log(&memory);
    let spans = sample.all_spans();
    // The last blocks first, then the run from the start but for its second block.
    for span in spans[40..].iter().chain(&spans[..1]).chain(&spans[2..16]) {
        assert_eq!(outcomes(&disk.ask(sample.write(*span))), []);
    }
    assert_eq!(outcomes(&disk.ask(sample.write(spans[1]))), vec![Ok(Written::Kept); 16]);
    assert_eq!(*calls.lock().unwrap(), [Operation::Writing]);
    let behind = memory.contents(&sample.path(0)).unwrap().split_off((256 * KIB) as usize);
    assert!(behind.iter().all(|byte| *byte == 0));
    let rest: Vec<Event> = spans[16..40].iter().flat_map(|span| disk.ask(sample.write(*span))).collect();
    assert_eq!((outcomes(&rest).len(), good(&rest)), (48, 1));
    sample.check_files(&memory);
    assert!(!calls.lock().unwrap().contains(&Operation::Reading));
}

#[test]
fn once_more_is_held_than_may_be_what_was_held_longest_goes() {
    let sample = Sample::new(&[4 * 4 * u64::from(BLOCK)], 4 * BLOCK);
    let (mut disk, _memory) = holding(&sample, 3 * BLOCK as usize);
    let first = |piece| sample.span(piece, BLOCK, BLOCK);
    assert_eq!(disk.ask(sample.write(first(2))), []);
    assert_eq!(disk.ask(sample.write(first(0))), []);
    let kept = |piece| Event::Written { torrent: T, span: first(piece), outcome: Ok(Written::Kept) };
    assert_eq!(disk.ask(sample.write(first(3))), [kept(2)]);
    assert_eq!(disk.ask(sample.write(first(1))), [kept(0)]);
    // A block that is written is held no more, and the piece goes on as any other.
    let more = [sample.span(2, 0, BLOCK), sample.span(2, 2 * BLOCK, 2 * BLOCK)];
    let events: Vec<Event> = more.iter().flat_map(|span| disk.ask(sample.write(*span))).collect();
    assert_eq!(good(&events), 1);
}

#[test]
fn what_is_held_goes_with_time() {
    let sample = Sample::new(&[4 * 4 * u64::from(BLOCK)], 4 * BLOCK);
    let (mut disk, memory) = holding(&sample, 1 << 20);
    let hold = Config::default().hold_time;
    assert_eq!(disk.machine.poll_timeout().map(|at| at > disk.now + hold), None);
    assert_eq!(disk.ask(sample.write(sample.span(0, 0, BLOCK))), []);
    assert_eq!(disk.machine.poll_timeout(), Some(disk.now + hold));
    disk.wait(hold / 2);
    assert_eq!(disk.ask(sample.write(sample.span(1, 0, BLOCK))), []);
    let mut told = Vec::new();
    for _ in 0..4 {
        disk.wait(hold / 2);
        told.push(outcomes(&disk.run()).len());
    }
    assert_eq!(told.iter().sum::<usize>(), 2, "{told:?}");
    assert_eq!(&memory.contents(&sample.path(0)).unwrap()[..BLOCK as usize], &sample.bytes[..BLOCK as usize]);
    // A timer for nothing would wake the machine for ever.
    disk.wait(hold);
    disk.run();
    let saves = Config::default().save_interval;
    assert!(disk.machine.poll_timeout().is_none_or(|at| at > disk.now + saves / 2));
}

#[test]
fn a_removed_torrent_loses_nothing_that_was_held() {
    let sample = Sample::new(&[4 * 4 * u64::from(BLOCK)], 4 * BLOCK);
    let (mut disk, memory) = holding(&sample, 1 << 20);
    for piece in 0..4 {
        assert_eq!(disk.ask(sample.write(sample.span(piece, BLOCK, BLOCK))), []);
    }
    let events = disk.ask(Command::Remove { torrent: T, files: Files::Keep });
    assert_eq!(outcomes(&events), vec![Ok(Written::Kept); 4]);
    assert_eq!(events.last(), Some(&Event::Removed { torrent: T, error: None }));
    let at = BLOCK as usize..2 * BLOCK as usize;
    assert_eq!(memory.contents(&sample.path(0)).unwrap()[at.clone()], sample.bytes[at]);
}

#[test]
fn what_is_held_fails_with_the_disk_and_can_be_sent_again() {
    let sample = Sample::new(&[2 * 4 * u64::from(BLOCK)], 4 * BLOCK);
    let (mut disk, memory) = holding(&sample, 1 << 20);
    memory.set_faults(|call| {
        let full = std::io::ErrorKind::StorageFull;
        (call.operation == Operation::Writing).then_some(crate::disk::Fault::Error(full))
    });
    assert_eq!(disk.ask(sample.write(sample.span(1, 0, BLOCK))), []);
    let spans = sample.spans(0, BLOCK);
    let events: Vec<Event> = spans.iter().flat_map(|span| disk.ask(sample.write(*span))).collect();
    assert!(outcomes(&events).len() == 5 && outcomes(&events).iter().all(Result::is_err), "{events:?}");
    memory.set_faults(|_| None);
    disk.ask(Command::Retry { torrent: T });
    let again: Vec<Event> = sample.all_spans().iter().flat_map(|span| disk.ask(sample.write(*span))).collect();
    assert_eq!(good(&again), 2);
    sample.check_files(&memory);
}

#[test]
fn after_a_release_nothing_is_held_any_more() {
    let sample = Sample::new(&[4 * 4 * u64::from(BLOCK)], 4 * BLOCK);
    let (mut disk, _memory) = holding(&sample, 1 << 20);
    assert_eq!(disk.ask(sample.write(sample.span(0, BLOCK, BLOCK))), []);
    let events = disk.ask(Command::Release { torrent: T });
    assert!(events.contains(&Event::Released { torrent: T }) && outcomes(&events) == [Ok(Written::Kept)], "{events:?}");
    assert_eq!(outcomes(&disk.ask(sample.write(sample.span(1, BLOCK, BLOCK)))), [Ok(Written::Kept)]);
    let unknown = TorrentId(99);
    assert_eq!(disk.ask(Command::Release { torrent: unknown }), [Event::Released { torrent: unknown }]);
}

#[test]
fn torrents_that_hold_something_share_what_may_be_held() {
    let sample = Sample::new(&[4 * 4 * u64::from(BLOCK)], 4 * BLOCK);
    let (mut disk, _memory) = holding(&sample, 4 * BLOCK as usize);
    let other = TorrentId(8);
    let Command::Add { layout, writable, skipped, resume, .. } = sample.add() else { panic!("an add") };
    disk.ask(Command::Add { torrent: other, layout, root: "/elsewhere".into(), writable, skipped, resume });
    let write = |torrent, piece| {
        let span = sample.span(piece, BLOCK, BLOCK);
        Command::Write { torrent, span, block: sample.block(span) }
    };
    // Alone it may hold three blocks, beside another that holds something one.
    for piece in 0..3 {
        assert_eq!(disk.ask(write(T, piece)), []);
    }
    assert_eq!(disk.ask(write(other, 0)), []);
    assert_eq!(outcomes(&disk.ask(write(other, 1))).len(), 1);
}
