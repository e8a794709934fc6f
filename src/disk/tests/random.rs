use super::*;
use crate::disk::{Error, Fault, Operation};
use crate::machine::JobError;
use std::io::ErrorKind;
use std::sync::Mutex;

const TORRENTS: u32 = 3;
const COMMANDS: usize = 40;

/// What a command is answered with: the kind, the torrent, and what tells it from others of the kind.
type Answer = (u8, TorrentId, Option<Span>, u64);

fn expected(command: &Command) -> Answer {
    match command {
        Command::Add { torrent, .. } => (0, *torrent, None, 0),
        Command::Remove { torrent, files } => (1, *torrent, None, u64::from(*files == Files::Delete)),
        Command::Delete { torrent, .. } => (1, *torrent, None, 1),
        Command::Write { torrent, span, .. } => (2, *torrent, Some(*span), 0),
        Command::Read { torrent, span, ticket } => (3, *torrent, Some(*span), *ticket),
        Command::Sync { torrent } => (4, *torrent, None, 0),
        Command::Release { torrent } => (9, *torrent, None, 0),
        Command::Retry { torrent } => (5, *torrent, None, 0),
        Command::Select { torrent, .. } => (6, *torrent, None, 0),
    }
}

fn answer(event: &Event) -> Option<(Answer, Option<&Error>)> {
    Some(match event {
        Event::Added { torrent, .. } => ((0, *torrent, None, 0), None),
        Event::AddFailed { torrent, error } => ((0, *torrent, None, 0), Some(error)),
        Event::Removed { torrent, error } => ((1, *torrent, None, 0), error.as_ref()),
        Event::Deleted { torrent, deletion } => ((1, *torrent, None, 1), deletion.error.as_ref()),
        Event::Written { torrent, span, outcome } => ((2, *torrent, Some(*span), 0), outcome.as_ref().err()),
        Event::Read { torrent, span, ticket, block } => ((3, *torrent, Some(*span), *ticket), block.as_ref().err()),
        Event::Synced { torrent, error } => ((4, *torrent, None, 0), error.as_ref()),
        Event::Released { torrent } => ((9, *torrent, None, 0), None),
        Event::Retried { torrent, .. } => ((5, *torrent, None, 0), None),
        Event::Selected { torrent, error } => ((6, *torrent, None, 0), error.as_ref()),
        Event::Checking { .. }
        | Event::Stopped { .. }
        | Event::BlockHashes { .. }
        | Event::ReadFailed { .. }
        | Event::PieceLost { .. }
        | Event::SaveFailed { .. } => return None,
    })
}

fn command(rng: &mut Rng, sample: &Sample) -> Command {
    let torrent = TorrentId(rng.below(TORRENTS));
    let piece = rng.below(5);
    let length = sample.layout.geometry().length_of(PieceIndex(piece));
    let begin = rng.below(length);
    let span = sample.span(piece, begin, 1 + rng.below(length - begin));
    match rng.below(100) {
        0..10 => {
            let root = root().join(torrent.0.to_string());
            Command::Add {
                torrent,
                layout: Arc::clone(&sample.layout),
                root,
                writable: rng.below(10) > 0,
                skipped: Vec::new(),
                resume: None,
            }
        }
        10 if rng.below(4) == 0 => {
            let (layout, root) = (Arc::clone(&sample.layout), root().join(torrent.0.to_string()));
            Command::Delete { torrent, layout, root, writable: rng.below(10) > 0, resume: None }
        }
        10..12 => {
            let files = if rng.below(3) == 0 { Files::Delete } else { Files::Keep };
            Command::Remove { torrent, files }
        }
        12..80 => {
            let block =
                if rng.below(50) == 0 { Block::from(vec![0; span.length as usize]) } else { sample.block(span) };
            Command::Write { torrent, span, block }
        }
        80..90 => Command::Read { torrent, span, ticket: rng.next_u64() },
        90..94 => Command::Sync { torrent },
        94 => Command::Release { torrent },
        _ => Command::Retry { torrent },
    }
}

/// Plays random commands against a failing disk; gives a transcript of everything that the machine asked and told.
fn play(seed: u64) -> String {
    let sample = Sample::new(&[70, 0, 130, 1, 49], 60);
    let memory = Memory::new();
    let dice = Mutex::new(Rng::new(seed ^ 0xd1ce));
    let rate = [0, 0, 200, 30][seed as usize % 4];
    memory.set_faults(move |call| {
        let mut dice = dice.lock().unwrap();
        let fails = rate > 0 && dice.below(rate) == 0 && call.operation != Operation::Listing;
        fails.then(|| if dice.below(2) == 0 { Fault::Short } else { Fault::Error(ErrorKind::StorageFull) })
    });
    // Half of them hold back a little, which goes when it is more, or with time.
    let hold_bytes = [0, 150][seed as usize / 4 % 2];
    let limits = Config { commands: COMMANDS, jobs: 5, check_jobs: 2, ..Config::default() };
    let config = Config { write_bytes: 500, hold_bytes, ..limits };
    let mut disk = Driver::new(
        Disk::new(config, &mut Rng::new(seed)),
        Executor::with_open_files(Box::new(memory.clone()), 3),
        seed,
    );
    let mut rng = Rng::new(seed);
    let mut outstanding: Vec<Answer> = Vec::new();
    let mut transcript = String::new();
    let mut verified: Vec<(TorrentId, Span)> = Vec::new();
    let mut read_through = 0;
    for round in 0..400 {
        let most = if rng.below(20) == 0 { 100 } else { 8 };
        for _ in 0..rng.below(most) {
            let command = command(&mut rng, &sample);
            outstanding.push(expected(&command));
            disk.send(command);
        }
        if round < 399 {
            disk.steps(rng.below(8));
            disk.collect();
            if hold_bytes > 0 && rng.below(4) == 0 {
                disk.wait(Config::default().hold_time);
            }
            if rng.below(40) == 0 {
                if let Some((job, _)) = disk.jobs.pop() {
                    let done = Err(JobError::Panicked);
                    disk.machine.handle_input(disk.now, Input::Done { job, done });
                }
            }
        } else {
            let mut events = disk.run();
            for _ in 0..2 {
                disk.wait(Config::default().hold_time);
                events.extend(disk.run());
            }
            disk.events = events;
        }
        transcript.push_str(&format!("{:?}\n{:?}\n", disk.jobs, disk.events));
        let events = std::mem::take(&mut disk.events);
        for event in &events {
            if let Some((answer, error)) = answer(event) {
                let at = outstanding.iter().position(|o| *o == answer);
                let at = at.unwrap_or_else(|| panic!("seed {seed}: nobody asked for {event:?}"));
                assert!(error != Some(&Error::Busy) || outstanding.len() > 15, "seed {seed}: {event:?}");
                outstanding.swap_remove(at);
            }
            match event {
                Event::Added { torrent, have, .. } => {
                    assert!(rate > 0 || verified.iter().all(|(t, span)| t != torrent || have.contains(span.piece)));
                    // What could not be read when it was added is no longer promised.
                    verified.retain(|(t, span)| t != torrent || have.contains(span.piece));
                }
                Event::Deleted {
                    deletion: Deletion { error: Some(Error::ReadOnly | Error::UnknownTorrent), .. },
                    ..
                } => {}
                Event::Deleted { torrent, .. } => verified.retain(|(t, _)| t != torrent),
                Event::Written { torrent, span, outcome: Ok(Written::PieceGood) } => verified.push((*torrent, *span)),
                Event::Read { torrent: _, span, block: Ok(block), .. } => {
                    assert_eq!(*block, sample.block(*span), "seed {seed}");
                    read_through += 1;
                }
                _ => {}
            }
        }
    }
    assert_eq!(outstanding, [], "seed {seed}: without an answer");
    // What was ever told to be good is on disk, whatever came after.
    memory.clear_faults();
    for (torrent, span) in verified {
        let whole = sample.spans(span.piece.0, u32::MAX)[0];
        for part in sample.layout.spans(sample.layout.geometry().offset_of(whole), whole.length.into()) {
            let path = root().join(torrent.0.to_string());
            let path = path.join(sample.layout.file(part.file).unwrap().path.to_path_buf());
            let range = part.offset as usize..(part.offset + part.length) as usize;
            let contents = memory.contents(&path).unwrap();
            assert_eq!(contents[range.clone()], sample.contents(part.file.as_usize())[range], "seed {seed}");
        }
    }
    assert!(read_through > 0 || rate > 0);
    transcript
}

#[test]
fn every_command_has_one_answer_and_what_is_good_stays_good() {
    for seed in 0..80 {
        play(seed);
    }
}

#[test]
fn the_same_seed_and_calls_give_the_same_outputs() {
    for seed in 0..8 {
        assert!(play(seed) == play(seed), "seed {seed}");
    }
}
