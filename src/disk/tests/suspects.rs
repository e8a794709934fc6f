use super::*;
use crate::disk::{Call, Fault, Operation};
use std::io::ErrorKind;

/// Gives what is told of blocks' hashes and pieces' verdicts, in order.
fn told(events: &[Event]) -> Vec<(bool, Vec<[u8; 20]>)> {
    events
        .iter()
        .filter_map(|e| match e {
            Event::BlockHashes { good, hashes, .. } => Some((*good, hashes.to_vec())),
            Event::Written { outcome: Ok(Written::PieceBad), .. } => Some((false, Vec::new())),
            Event::Written { outcome: Ok(Written::PieceGood), .. } => Some((true, Vec::new())),
            _ => None,
        })
        .collect()
}

fn spoiled(span: Span) -> Command {
    Command::Write { torrent: T, span, block: Block::from(vec![0xbd; span.length as usize]) }
}

fn hashes(sample: &Sample, spoiled: Option<usize>) -> Vec<[u8; 20]> {
    let mut bytes = sample.bytes.clone();
    if let Some(block) = spoiled {
        let at = block * BLOCK_LENGTH as usize;
        let end = bytes.len().min(at + BLOCK_LENGTH as usize);
        bytes[at..end].fill(0xbd);
    }
    bytes.chunks(BLOCK_LENGTH as usize).map(Sha1::digest).collect()
}

#[test]
fn the_blocks_of_a_bad_piece_are_hashed_before_its_answer_and_those_of_the_good_one_after() {
    // More than two jobs' worth, over two files, with a short block at the end.
    let sample = Sample::new(&[1_500_000, 900_000], 4 << 20);
    for seed in 0..20 {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, seed);
        disk.ask(sample.add());
        let spans = sample.all_spans();
        let wrong = (seed as usize * 7) % spans.len();
        for (n, span) in spans.iter().enumerate() {
            disk.send(if n == wrong { spoiled(*span) } else { sample.write(*span) });
        }
        // Blocks of the next copy that come while the verdict is being found are not written over the bad one.
        disk.steps(4);
        let events = disk.run();
        let bad = hashes(&sample, Some(wrong));
        assert_eq!(told(&events), [(false, bad), (false, vec![])], "seed {seed}");
        spans.iter().for_each(|span| disk.send(sample.write(*span)));
        let events = disk.run();
        assert_eq!(told(&events), [(true, vec![]), (true, hashes(&sample, None))], "seed {seed}");
        sample.check_files(&memory);
    }
}

#[test]
fn blocks_that_come_while_a_bad_piece_is_hashed_are_written_after_it() {
    let sample = Sample::new(&[40_000], 65_536);
    for seed in 0..20 {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, seed);
        disk.ask(sample.add());
        let spans = sample.all_spans();
        disk.send(spoiled(spans[0]));
        spans[1..].iter().for_each(|span| disk.send(sample.write(*span)));
        // As long as nothing is told, more blocks come in between any two jobs.
        let mut sent = 0;
        loop {
            for span in &spans {
                disk.send(sample.write(*span));
                sent += 1;
            }
            if !disk.step() || sent > 30 {
                break;
            }
        }
        let events = disk.run();
        let told = told(&events);
        assert_eq!(told[..2], [(false, hashes(&sample, Some(0))), (false, vec![])], "seed {seed}");
        assert_eq!(told[2..], [(true, vec![]), (true, hashes(&sample, None))], "seed {seed}");
        assert_eq!(outcomes(&events).len(), spans.len() + sent);
        sample.check_files(&memory);
    }
}

#[test]
fn a_good_piece_that_never_was_bad_is_not_hashed_again() {
    let sample = Sample::new(&[40_000], 65_536);
    let (mut disk, _) = added(&sample);
    sample.all_spans().iter().for_each(|span| disk.send(sample.write(*span)));
    assert_eq!(told(&disk.run()), [(true, vec![])]);
}

#[test]
fn a_bad_piece_that_cannot_be_read_has_no_hashes_and_its_answer_comes_all_the_same() {
    let sample = Sample::new(&[40_000], 65_536);
    let (mut disk, memory) = added(&sample);
    disk.send(spoiled(sample.all_spans()[0]));
    sample.all_spans()[1..].iter().for_each(|span| disk.send(sample.write(*span)));
    let unreadable = |call: Call<'_>| call.operation == Operation::Reading;
    memory.set_faults(move |call| unreadable(call).then_some(Fault::Error(ErrorKind::PermissionDenied)));
    let events = disk.run();
    assert_eq!(told(&events), [(false, vec![]), (false, vec![])]);
    assert!(!events.iter().any(|e| matches!(e, Event::Stopped { .. })), "{events:?}");
    memory.clear_faults();
    sample.all_spans().iter().for_each(|span| disk.send(sample.write(*span)));
    assert_eq!(told(&disk.run()).len(), 2);
    sample.check_files(&memory);
}

#[test]
fn beyond_its_limit_the_oldest_bad_piece_is_forgotten() {
    let sample = Sample::new(&[4 * 16_384], 16_384);
    let memory = Memory::new();
    let config = Config { bad_pieces: 2, ..at_once() };
    let executor = Executor::with_open_files(Box::new(memory.clone()), 2);
    let mut disk = Driver::new(Disk::new(config, &mut Rng::new(1)), executor, 1);
    disk.ask(sample.add());
    for span in sample.all_spans() {
        disk.ask(spoiled(span));
    }
    let mended = |disk: &mut Driver<Disk>, span| told(&disk.ask(sample.write(span))).len();
    let told: Vec<usize> = sample.all_spans().into_iter().map(|span| mended(&mut disk, span)).collect();
    assert_eq!(told, [1, 1, 2, 2]);
}

#[test]
fn a_torrent_is_removed_in_the_midst_of_hashing_after_its_last_answer() {
    let sample = Sample::new(&[3_000_000], 4 << 20);
    for seed in 0..30 {
        let memory = Memory::new();
        let mut disk = disk_on(&memory, seed);
        disk.ask(sample.add());
        let spans = sample.all_spans();
        disk.send(spoiled(spans[3]));
        (0..spans.len()).filter(|n| *n != 3).for_each(|n| disk.send(sample.write(spans[n])));
        disk.steps(seed as u32 % 12);
        if seed % 2 == 0 {
            disk.run();
            spans.iter().for_each(|span| disk.send(sample.write(*span)));
            disk.steps(seed as u32 % 9);
        }
        let events = disk.ask(Command::Remove { torrent: T, files: Files::Keep });
        assert!(matches!(events.last(), Some(Event::Removed { error: None, .. })), "seed {seed}: {events:?}");
        assert!(disk.jobs.is_empty());
    }
}
