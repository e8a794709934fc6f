//! Faults and losses of power at every call in turn: what is claimed is right, what was promised is there, and all of it can be
//! had in the end.

use super::*;
use crate::disk::{Call, Error, Fault, Operation};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};

fn sample() -> Sample {
    Sample::new(&[50_000, 0, 70_000, 900], 32 * 1024)
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mishap {
    /// The call goes wrong, once.
    Once(Fault),
    /// From then on nothing is written, until there is room again.
    Full(ErrorKind),
    Panic,
    /// The power is lost.
    PowerLoss,
}

/// Somebody who fetches a torrent, and knows what he has been promised.
struct Client<'s> {
    sample: &'s Sample,
    memory: Memory,
    disk: Driver<Disk>,
    /// Whether the power is gone.
    dark: Arc<AtomicBool>,
    /// Pieces that the disk says are right.
    have: Bitfield,
    /// Blocks of others that it says are kept.
    kept: BTreeSet<Span>,
    /// Pieces that were right when a sync was answered: they are on the medium.
    synced: Bitfield,
    /// How often it was told that a piece is lost.
    lost: usize,
    /// Whether kept blocks may be wrong, because of a power loss. Their piece's hash tells.
    torn: bool,
    /// Files that are skipped, if any ever were: then not all that is there is in its file.
    skipping: Option<Vec<bool>>,
    rng: Rng,
}

impl<'s> Client<'s> {
    fn new(sample: &'s Sample, memory: Memory, dark: Arc<AtomicBool>, seed: u64) -> Self {
        let pieces = sample.layout.geometry().piece_count();
        Self {
            sample,
            disk: disk_on(&memory, seed),
            memory,
            dark,
            have: Bitfield::new(pieces),
            kept: BTreeSet::new(),
            synced: Bitfield::new(pieces),
            lost: 0,
            torn: false,
            skipping: None,
            rng: Rng::new(seed),
        }
    }

    fn is_dark(&self) -> bool {
        self.dark.load(Ordering::SeqCst)
    }

    /// Does what there is to do, up to the loss of power.
    fn work(&mut self, steps: u32) {
        for _ in 0..steps {
            let more = self.disk.step();
            self.listen();
            if !more || self.is_dark() {
                break;
            }
        }
    }

    fn listen(&mut self) {
        for event in std::mem::take(&mut self.disk.events) {
            // What is said after the power is gone is not heard.
            if self.is_dark() {
                continue;
            }
            match event {
                Event::Added { have, stored, .. } => {
                    for piece in have.iter() {
                        self.check(piece);
                    }
                    let lost = self.synced.iter().find(|piece| !have.contains(*piece));
                    assert_eq!(lost, None, "it was on the medium");
                    self.kept = stored.into_iter().collect();
                    self.have = have;
                }
                Event::Written { span, outcome: Ok(Written::Kept), .. } => drop(self.kept.insert(span)),
                Event::Written { span, outcome: Ok(Written::PieceGood), .. } => {
                    self.check(span.piece);
                    assert!(self.have.insert(span.piece), "piece {} was fetched twice", span.piece);
                }
                Event::Written { span, outcome: Ok(Written::PieceBad), .. } => {
                    assert!(std::mem::take(&mut self.torn), "only right blocks are sent");
                    self.kept.retain(|kept| kept.piece != span.piece);
                }
                Event::Written { outcome: Err(error), .. } => Self::names(&error),
                Event::PieceLost { piece, .. } => {
                    self.lost += 1;
                    self.have.remove(piece);
                    self.synced.remove(piece);
                    self.kept.retain(|kept| kept.piece != piece);
                }
                Event::Read { span, block: Ok(block), .. } => {
                    assert!(block == self.sample.block(span), "{span:?} is wrong");
                }
                Event::Read { span, block: Err(error), .. } => panic!("{span:?}: {error}"),
                Event::Synced { error: None, .. } => self.synced = self.have.clone(),
                Event::Stopped { error, .. } | Event::SaveFailed { error, .. } => Self::names(&error),
                _ => {}
            }
        }
    }

    fn names(error: &Error) {
        let named = matches!(error, Error::Io { file, .. } if file.starts_with("t/") || file.starts_with("/state/"));
        assert!(named || matches!(error, Error::Job(_)), "{error:?}");
    }

    /// Makes sure that a piece that is said to be right is.
    fn check(&self, piece: PieceIndex) {
        if self.skipping.is_some() {
            // It is read through the disk, which knows where it is.
            return;
        }
        let geometry = self.sample.layout.geometry();
        for span in self.sample.layout.spans(geometry.piece_offset(piece), geometry.length_of(piece).into()) {
            let index = span.file.as_usize();
            let there = self.memory.contents(&self.sample.path(index)).expect("a file of a piece that is there");
            let range = span.offset as usize..(span.offset + span.length) as usize;
            assert!(there.get(range.clone()) == self.sample.contents(index).get(range), "piece {piece} is wrong");
        }
    }

    fn is_wanted(&self, piece: PieceIndex) -> bool {
        let Some(skipped) = self.skipping.as_ref().filter(|skipped| !skipped.is_empty()) else { return true };
        let geometry = self.sample.layout.geometry();
        let mut spans = self.sample.layout.spans(geometry.piece_offset(piece), geometry.length_of(piece).into());
        spans.any(|span| !skipped[span.file.as_usize()])
    }

    /// Opens the torrent; a check that fails is tried again.
    fn open(&mut self) {
        for _ in 0..4 {
            let before = self.have.clone();
            let mut add = self.sample.add_resuming();
            if let (Command::Add { skipped, .. }, Some(files)) = (&mut add, &self.skipping) {
                skipped.clone_from(files);
            }
            self.disk.send(add);
            self.work(u32::MAX);
            let open = self.disk.machine_has_torrent();
            if open || self.is_dark() {
                // Without a loss of power nothing that was right is missing.
                assert!(self.is_dark() || self.torn || before.iter().all(|piece| self.have.contains(piece)));
                return;
            }
            self.have = before;
        }
        panic!("it cannot be added");
    }

    /// Fetches up to so many blocks of those that are missing; what failed is missing still.
    fn fetch(&mut self, most: usize) {
        let mut spans = self.sample.all_spans();
        spans.retain(|span| self.is_wanted(span.piece) && !self.have.contains(span.piece) && !self.kept.contains(span));
        self.rng.shuffle(&mut spans);
        for span in spans.into_iter().take(most) {
            self.disk.send(self.sample.write(span));
            let steps = self.rng.below(3);
            self.work(steps);
            if self.is_dark() {
                return;
            }
        }
        self.work(u32::MAX);
    }

    fn ask(&mut self, command: Command) {
        if !self.is_dark() {
            self.disk.send(command);
            self.work(u32::MAX);
        }
    }

    /// Fetches a part, with a sync and saves in between, leaves, and comes again for the rest.
    fn live(&mut self) {
        self.open();
        for round in 0..3 {
            if self.is_dark() {
                return;
            }
            self.fetch(3);
            match round {
                0 => self.ask(Command::Sync { torrent: T }),
                _ => self.disk.wait(Duration::from_secs(60)),
            }
            self.ask(Command::Retry { torrent: T });
        }
        self.ask(Command::Remove { torrent: T, files: Files::Keep });
        if !self.is_dark() {
            self.open();
        }
    }

    fn select(&mut self, skipped: &[bool]) {
        self.skipping = Some(skipped.to_vec());
        self.ask(Command::Select { torrent: T, skipped: skipped.to_vec() });
    }

    /// Reads all that is said to be there.
    fn read_all(&mut self) {
        for span in self.sample.all_spans() {
            if self.have.contains(span.piece) {
                self.ask(Command::Read { torrent: T, span, ticket: 0 });
            }
        }
    }

    /// Fetches what is wanted while a file is skipped, has it saved, and then wants the file, too.
    fn live_skipping(&mut self, file: usize) {
        let skipped: Vec<bool> = (0..self.sample.layout.files().len()).map(|index| index == file).collect();
        self.skipping = Some(skipped.clone());
        self.open();
        self.fetch(5);
        self.ask(Command::Sync { torrent: T });
        self.disk.wait(Duration::from_secs(60));
        // Saved while a part is being moved, and after.
        self.skipping = Some(Vec::new());
        if !self.is_dark() {
            self.disk.send(Command::Select { torrent: T, skipped: Vec::new() });
            let steps = self.rng.below(5);
            self.work(steps);
            self.disk.wait(Duration::from_secs(60));
            self.work(u32::MAX);
        }
        self.select(&skipped);
        self.fetch(2);
        self.disk.wait(Duration::from_secs(60));
        self.select(&[]);
        self.ask(Command::Remove { torrent: T, files: Files::Keep });
    }

    /// Fetches the rest when everything goes well again.
    fn finish(&mut self) {
        self.ask(Command::Retry { torrent: T });
        for _ in 0..4 {
            self.fetch(usize::MAX);
        }
        assert!(self.have.is_full(), "{:?} and {} blocks, {:?}", self.have, self.kept.len(), self.disk.machine);
        self.sample.check_files(&self.memory);
        self.ask(Command::Sync { torrent: T });
        assert!(self.synced.is_full());
        self.ask(Command::Remove { torrent: T, files: Files::Keep });
        self.open();
        assert!(self.have.is_full());
    }
}

impl Driver<Disk> {
    /// Says whether the torrent is open, by asking it.
    fn machine_has_torrent(&mut self) -> bool {
        self.machine.handle_command(self.now, Command::Retry { torrent: T });
        let found = std::iter::from_fn(|| self.machine.poll_event()).last();
        found == Some(Event::Retried { torrent: T, found: true })
    }
}

fn play(mishap: Mishap, n: u64, seed: u64) -> bool {
    let sample = sample();
    let memory = Memory::losing_power();
    let dark = Arc::new(AtomicBool::new(false));
    let lights = Arc::clone(&dark);
    memory.set_faults(move |call: Call<'_>| {
        if lights.load(Ordering::SeqCst) {
            return Some(Fault::Error(ErrorKind::Other));
        }
        let writes = !matches!(call.operation, Operation::Reading | Operation::Examining | Operation::Opening);
        match mishap {
            Mishap::Once(fault) => (call.number == n).then_some(fault),
            Mishap::Full(kind) => (call.number >= n && writes).then_some(Fault::Error(kind)),
            Mishap::Panic if call.number == n => panic!("a job that panics"),
            Mishap::PowerLoss if call.number == n => {
                lights.store(true, Ordering::SeqCst);
                Some(Fault::Error(ErrorKind::Other))
            }
            _ => None,
        }
    });
    let mut client = Client::new(&sample, memory, dark, seed);
    if let Mishap::Full(_) = mishap {
        // A torrent that cannot even be added is another matter.
        client.memory.clear_faults();
        client.open();
        let plan = move |call: Call<'_>| {
            let writes = !matches!(call.operation, Operation::Reading | Operation::Examining | Operation::Opening);
            (call.number >= n && writes).then_some(Fault::Error(match mishap {
                Mishap::Full(kind) => kind,
                _ => ErrorKind::Other,
            }))
        };
        client.memory.set_faults(plan);
        client.fetch(6);
        client.ask(Command::Sync { torrent: T });
    } else {
        client.live();
    }
    let over = client.memory.calls() <= n;
    if client.is_dark() {
        let memory = client.memory.lose_power(&mut Rng::new(seed ^ n));
        let synced = client.synced.clone();
        client = Client::new(&sample, memory, Arc::default(), seed);
        (client.synced, client.torn) = (synced, true);
        client.open();
    }
    client.memory.clear_faults();
    client.finish();
    over
}

fn at_every_call(mishap: Mishap, seeds: u64) {
    for seed in 0..seeds {
        for n in 0.. {
            let run = std::panic::catch_unwind(|| play(mishap, n, seed));
            let Ok(over) = run else { panic!("{mishap:?} at call {n} with seed {seed}") };
            if over {
                assert!(n > 60, "only {n} calls");
                break;
            }
        }
    }
}

#[test]
fn an_error_at_any_call_costs_no_verified_piece_and_the_rest_comes_after() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::Interrupted] {
        at_every_call(Mishap::Once(Fault::Error(kind)), 1);
    }
}

#[test]
fn a_short_read_or_write_at_any_call_costs_no_verified_piece_and_the_rest_comes_after() {
    at_every_call(Mishap::Once(Fault::Short), 1);
}

#[test]
fn a_panic_at_any_call_costs_no_verified_piece_and_the_rest_comes_after() {
    at_every_call(Mishap::Panic, 1);
}

#[test]
fn a_disk_that_is_full_or_read_only_from_any_call_on_goes_on_when_there_is_room() {
    for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem] {
        for n in 0..90 {
            play(Mishap::Full(kind), n, n);
        }
    }
}

#[test]
fn a_loss_of_power_at_any_call_takes_nothing_that_was_synced_and_nothing_wrong_is_claimed() {
    at_every_call(Mishap::PowerLoss, 4);
}

#[test]
fn a_loss_of_power_at_any_call_of_a_download_with_a_skipped_file_takes_nothing_that_was_synced() {
    let play = |n: u64, seed: u64| {
        let sample = sample();
        let memory = Memory::losing_power();
        let dark = Arc::new(AtomicBool::new(false));
        let lights = Arc::clone(&dark);
        memory.set_faults(move |call: Call<'_>| {
            if call.number == n {
                lights.store(true, Ordering::SeqCst);
            }
            lights.load(Ordering::SeqCst).then_some(Fault::Error(ErrorKind::Other))
        });
        let mut client = Client::new(&sample, memory, dark, seed);
        client.live_skipping([0, 2, 3][(seed % 3) as usize]);
        let over = client.memory.calls() <= n;
        let memory = client.memory.lose_power(&mut Rng::new(seed ^ n));
        let (synced, skipping) = (client.synced.clone(), client.skipping.clone());
        client = Client::new(&sample, memory, Arc::default(), seed);
        (client.synced, client.torn, client.skipping) = (synced, true, skipping);
        client.open();
        client.read_all();
        client.select(&[]);
        client.finish();
        over
    };
    for seed in 0..12 {
        for n in 0.. {
            let run = std::panic::catch_unwind(|| play(n, seed));
            let Ok(over) = run else { panic!("at call {n} with seed {seed}") };
            if over {
                assert!(n > 60, "only {n} calls");
                break;
            }
        }
    }
}
