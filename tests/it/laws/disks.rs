//! The disk and its tasks, held to the laws over files in memory that fail and change under them.

use super::subjects::{block, content, files, geometry, info_hash, layout, span, torrent};
use super::{Ask, Call, End, Subject, Way, hold, variants};
use bip::disk::{self, Fault, Glob, Memory};
use bip::machine::{Executor, Rng, TorrentId};
use bip::proto::geometry::Span;
use bip::proto::id::PieceIndex;
use bip::proto::metainfo::Version;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

// Limits so low that the scripts reach them.
const DISK_COMMANDS: usize = 60;
const DISK_JOBS: usize = 12;
const CHECK_JOBS: usize = 4;

/// How a script goes on for a machine that has nothing but commands, jobs and time.
const WITH_JOBS: &[Way] = {
    use Way::*;
    &[Commands, Commands, Commands, Time, Timeouts, Stale, Jobs, Jobs, Jobs, Jobs, Jobs]
};

/// Makes a list of skipped files, now and then of another torrent's.
fn skipped(rng: &mut Rng) -> Vec<bool> {
    (0..2 + rng.below(8) / 7).map(|_| rng.below(2) == 0).collect()
}

/// Files in memory with the torrents' content, some of it, or none.
fn memory() -> Memory {
    let memory = Memory::new();
    let bytes = content();
    memory.put(&PathBuf::from("/store/t0/a"), &bytes[..50_000]);
    memory.put(&PathBuf::from("/store/t0/b"), &bytes[50_000..]);
    memory.put(&PathBuf::from("/store/t1/a"), &bytes[..60_000]);
    memory
}

/// Has one call in `seldom` go wrong, always the same ones of a seed.
fn fail(memory: &Memory, seed: u64, seldom: u32) {
    memory.set_faults(move |call| {
        let mut rng = Rng::new(seed ^ call.number << 20);
        let errors = [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::Other];
        match rng.below(seldom) {
            0 if rng.below(3) == 0 => Some(Fault::Short),
            0 => rng.choose(&errors).map(|error| Fault::Error(*error)),
            _ => None,
        }
    });
}

fn disk_config() -> disk::Config {
    let mut config = disk::Config::default();
    (config.commands, config.jobs, config.check_jobs, config.write_bytes) =
        (DISK_COMMANDS, DISK_JOBS, CHECK_JOBS, 200_000);
    (config.torrent_jobs, config.save_interval) = (DISK_JOBS / 2, Duration::from_secs(1));
    config
}

#[derive(Default)]
struct Disks {
    memory: Memory,
    /// For each torrent, how many blocks in a row were written lately: most writes go on there, so that pieces become complete.
    written: BTreeMap<TorrentId, u32>,
}

impl Disks {
    fn new() -> Self {
        Self { memory: memory(), ..Self::default() }
    }

    /// Gives the place of the next block.
    fn next(&mut self, torrent: TorrentId) -> Span {
        let shape = geometry();
        let blocks = |piece| (0..shape.blocks_in(piece)).filter_map(move |block| shape.block(piece, block));
        let all: Vec<Span> = (0..shape.piece_count()).map(PieceIndex).flat_map(blocks).collect();
        let written = self.written.entry(torrent).or_default();
        *written += 1;
        all[*written as usize % all.len()]
    }

    /// Changes a file under the disk: it is cut, or spoilt.
    fn meddle(&self, torrent: TorrentId, rng: &mut Rng) {
        let path = PathBuf::from(format!("/store/t{}/{}", torrent.0, rng.choose(&["a", "b"]).unwrap()));
        match (self.memory.contents(&path), rng.below(2)) {
            (Some(bytes), 0) => {
                let kept = rng.below(bytes.len() as u32 + 1) as usize;
                self.memory.put(&path, &bytes[..kept]);
            }
            (Some(_), _) => self.memory.damage(&path, u64::from(rng.below(40_000)), b"other"),
            (None, _) => {}
        }
    }
}

impl Subject for Disks {
    type Machine = disk::Disk;

    fn machine(&mut self, seed: u64) -> disk::Disk {
        // Some disks never fail.
        if seed % 3 > 0 {
            fail(&self.memory, seed, 30);
        }
        disk::Disk::new(disk_config(), &mut Rng::new(seed))
    }

    fn command(&mut self, rng: &mut Rng) -> disk::Command {
        let torrent = torrent(rng);
        if rng.below(15) == 0 {
            self.meddle(torrent, rng);
        }
        match rng.below(24) {
            0 | 1 => disk::Command::Add {
                torrent,
                layout: layout(torrent.0),
                root: PathBuf::from("/store"),
                writable: rng.below(8) != 0,
                skipped: if rng.below(2) == 0 { skipped(rng) } else { Vec::new() },
                resume: (rng.below(2) == 0).then(|| {
                    let path = PathBuf::from(format!("/state/{torrent}"));
                    disk::ResumeFile { path, info_hash: info_hash(torrent) }
                }),
            },
            2 => disk::Command::Select { torrent, skipped: skipped(rng) },
            3 if rng.below(8) == 0 => disk::Command::Delete {
                torrent,
                layout: layout(torrent.0),
                root: PathBuf::from(*rng.choose(&["/store", "/nowhere"]).unwrap()),
                writable: rng.below(8) != 0,
                resume: None,
            },
            3 if rng.below(2) == 0 => disk::Command::Remove { torrent, files: files(rng) },
            4 if rng.below(8) == 0 => disk::Command::Release { torrent },
            4 => disk::Command::Sync { torrent },
            5 | 6 => disk::Command::Retry { torrent },
            7..=10 => disk::Command::Read { torrent, span: span(rng), ticket: rng.next_u64() },
            n => {
                let span = if n < 22 { self.next(torrent) } else { span(rng) };
                disk::Command::Write { torrent, span, block: block(rng, span) }
            }
        }
    }

    fn ask(&self, command: &disk::Command) -> Option<Ask> {
        use disk::Command;
        let (torrent, kind) = match command {
            Command::Add { torrent, .. } => (torrent, "add".into()),
            Command::Remove { torrent, files } => (torrent, format!("remove and {files:?}")),
            Command::Delete { torrent, .. } => (torrent, "remove and Delete".into()),
            Command::Write { torrent, span, .. } => (torrent, format!("write {span}")),
            Command::Read { torrent, span, ticket } => (torrent, format!("read {span} for {ticket}")),
            Command::Sync { torrent } => (torrent, "sync".into()),
            Command::Release { torrent } => (torrent, "release".into()),
            Command::Select { torrent, .. } => (torrent, "select".into()),
            Command::Retry { torrent } => (torrent, "retry".into()),
            other => panic!("what does {other:?} ask?"),
        };
        Some(Ask { about: torrent.to_string(), kind })
    }

    fn end(&self, event: &disk::Event) -> Option<End> {
        use disk::Event;
        let (torrent, kind) = match event {
            Event::Added { torrent, .. } | Event::AddFailed { torrent, .. } => (torrent, "add".into()),
            Event::Removed { torrent, .. } => (torrent, "remove and Keep".into()),
            Event::Deleted { torrent, .. } => (torrent, "remove and Delete".into()),
            Event::Written { torrent, span, .. } => (torrent, format!("write {span}")),
            Event::Read { torrent, span, ticket, .. } => (torrent, format!("read {span} for {ticket}")),
            Event::Synced { torrent, .. } => (torrent, "sync".into()),
            Event::Released { torrent } => (torrent, "release".into()),
            Event::Selected { torrent, .. } => (torrent, "select".into()),
            Event::Retried { torrent, .. } => (torrent, "retry".into()),
            _ => return None,
        };
        Some(End { about: torrent.to_string(), kind: Some(kind) })
    }

    fn most(&self, _: Call) -> usize {
        // As many jobs as may be under way, and a notice each of a check's progress, of a failure, and of a piece that is lost.
        DISK_JOBS + 3
    }

    fn ways(&self) -> &'static [Way] {
        WITH_JOBS
    }

    fn source(&self) -> Option<&'static str> {
        Some(SOURCE)
    }

    fn executor(&self) -> Option<Box<dyn Executor<disk::Job, disk::Done>>> {
        Some(Box::new(disk::Executor::new(self.memory.clone())))
    }
}

const SOURCE: &str = include_str!("../../../src/disk/command.rs");

#[test]
fn the_disk_keeps_the_laws() {
    if let Some(tally) = hold("the_disk_keeps_the_laws", Disks::new, 60, 600) {
        let told = tally.told.keys().map(String::as_str).collect();
        assert_eq!(
            variants::declared(SOURCE, "Event"),
            told,
            "the scripts do not bring the disk to tell all that it can"
        );
        assert!(tally.told("BlockHashes") > 100, "pieces hardly become complete: {tally:?}");
    }
}

struct Checks;

impl Subject for Checks {
    type Machine = disk::check::Check;

    fn machine(&mut self, seed: u64) -> disk::check::Check {
        disk::check::Check::new(disk_config(), &mut Rng::new(seed))
    }

    fn command(&mut self, rng: &mut Rng) -> disk::check::Command {
        match rng.below(4) {
            0 => disk::check::Command::Cancel,
            _ => disk::check::Command::Start { layout: layout(rng.below(3)), root: PathBuf::from("/store") },
        }
    }

    fn ask(&self, command: &disk::check::Command) -> Option<Ask> {
        let kind = match command {
            disk::check::Command::Start { .. } => "start",
            disk::check::Command::Cancel => "cancel",
            other => panic!("what does {other:?} ask?"),
        };
        Some(Ask { about: String::new(), kind: kind.into() })
    }

    fn end(&self, event: &disk::check::Event) -> Option<End> {
        let kind = match event {
            disk::check::Event::Checked { .. } | disk::check::Event::Failed { .. } => "start",
            disk::check::Event::Cancelled => "cancel",
            _ => return None,
        };
        Some(End { about: String::new(), kind: Some(kind.into()) })
    }

    fn most(&self, _: Call) -> usize {
        // As many jobs as may be under way, the closing of the files, and a notice of progress.
        CHECK_JOBS + 2
    }

    fn ways(&self) -> &'static [Way] {
        WITH_JOBS
    }

    fn source(&self) -> Option<&'static str> {
        Some(include_str!("../../../src/disk/check.rs"))
    }

    fn executor(&self) -> Option<Box<dyn Executor<disk::Job, disk::Done>>> {
        Some(Box::new(disk::Executor::new(memory())))
    }
}

#[test]
fn a_check_keeps_the_laws() {
    hold("a_check_keeps_the_laws", || Checks, 20, 300);
}

struct Creates;

impl Subject for Creates {
    type Machine = disk::create::Create;

    fn machine(&mut self, seed: u64) -> disk::create::Create {
        disk::create::Create::new(disk_config(), &mut Rng::new(seed))
    }

    fn command(&mut self, rng: &mut Rng) -> disk::create::Command {
        let mut options = disk::create::Options::default();
        options.piece_length = (rng.below(2) == 0).then(|| (16 * 1024) << rng.below(3));
        options.version = [Version::V1, Version::V2, Version::Hybrid][rng.below(3) as usize];
        options.exclude = (0..rng.below(3)).filter_map(|_| Glob::parse(rng.choose(&["a", "*", "/b"])?).ok()).collect();
        match rng.below(4) {
            0 => disk::create::Command::Cancel,
            n => disk::create::Command::Start {
                path: PathBuf::from(["", "/store/t0", "/store/t1/a", "/nowhere"][n as usize]),
                options: Box::new(options),
            },
        }
    }

    fn ask(&self, command: &disk::create::Command) -> Option<Ask> {
        let kind = match command {
            disk::create::Command::Start { .. } => "start",
            disk::create::Command::Cancel => "cancel",
            other => panic!("what does {other:?} ask?"),
        };
        Some(Ask { about: String::new(), kind: kind.into() })
    }

    fn end(&self, event: &disk::create::Event) -> Option<End> {
        let kind = match event {
            disk::create::Event::Created { .. } | disk::create::Event::Failed { .. } => "start",
            disk::create::Event::Cancelled => "cancel",
            _ => return None,
        };
        Some(End { about: String::new(), kind: Some(kind.into()) })
    }

    fn most(&self, _: Call) -> usize {
        // As many jobs as may be under way, the closing of the files, and a notice of progress.
        CHECK_JOBS + 2
    }

    fn ways(&self) -> &'static [Way] {
        WITH_JOBS
    }

    fn source(&self) -> Option<&'static str> {
        Some(include_str!("../../../src/disk/create.rs"))
    }

    fn executor(&self) -> Option<Box<dyn Executor<disk::Job, disk::Done>>> {
        Some(Box::new(disk::Executor::new(memory())))
    }
}

#[test]
fn a_creation_keeps_the_laws() {
    hold("a_creation_keeps_the_laws", || Creates, 20, 300);
}
