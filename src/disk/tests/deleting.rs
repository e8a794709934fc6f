//! Torrents that are removed with their files.

use super::*;
use crate::disk::{Error, Fault, FileSystem as _, Operation};
use std::io::ErrorKind;
use std::sync::Mutex;

const OTHER: TorrentId = TorrentId(8);

/// Files in folders within folders, one of them without bytes.
fn tree() -> Sample {
    let mut sample = Sample::new(&[700, 0, 1500, 96, 1000], 512);
    let paths: [&[&str]; 5] =
        [&["t", "a", "0"], &["t", "a", "b", "1"], &["t", "a", "b", "2"], &["t", "3"], &["t", "c", "4"]];
    let hashes: Vec<_> = sample.layout.piece_hashes().copied().collect();
    let files = sample.layout.files().iter().zip(paths);
    let files = files.map(|(file, path)| (SafePath::from_parts(path).unwrap(), file.length)).collect();
    sample.layout = Arc::new(Layout::new(files, 512, &hashes).unwrap());
    sample
}

fn removal(files: Files) -> Command {
    Command::Remove { torrent: T, files }
}

/// Gives a disk with the whole sample written and its resume data saved.
fn downloaded(sample: &Sample, memory: &Memory, seed: u64) -> Driver<Disk> {
    let mut disk = disk_on(memory, seed);
    disk.ask(sample.add_resuming());
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()) as u32, sample.layout.geometry().piece_count());
    disk.ask(Command::Sync { torrent: T });
    assert!(exists(memory, &state()));
    disk
}

fn deletion(events: &[Event]) -> Deletion {
    let found = events.iter().rev().find_map(|e| match e {
        Event::Deleted { torrent: T, deletion } => Some(deletion.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("deleted, instead of {events:?}"))
}

fn is_folder(memory: &Memory, path: &str) -> bool {
    memory.stat(&root().join(path)).is_ok_and(|stat| stat.kind == crate::disk::Kind::Folder)
}

fn names(memory: &Memory, folder: &Path) -> usize {
    memory.list(folder).unwrap_or_default().len()
}

#[test]
fn a_torrents_files_and_empty_folders_go_and_what_others_put_there_stays() {
    let sample = tree();
    for foreign in [None, Some("t/a/foreign")] {
        let memory = Memory::new();
        let mut disk = downloaded(&sample, &memory, 1);
        let syncs = Arc::new(Mutex::new(0));
        let count = Arc::clone(&syncs);
        memory.set_faults(move |call| {
            *count.lock().unwrap() += usize::from(call.operation == Operation::Syncing);
            None
        });
        foreign.iter().for_each(|path| memory.put(&root().join(path), b"precious"));
        memory.put(&root().join("t.other/file"), b"next door");
        let events = disk.ask(removal(Files::Delete));
        assert!(matches!(events[..], [Event::Deleted { .. }]), "{events:?}");
        // Five files and the resume data.
        let folders = if foreign.is_some() { 2 } else { 4 };
        assert_eq!(deletion(&events), Deletion { files: 6, folders, failed: 0, error: None });
        for path in (0..5).map(|i| sample.path(i)).chain([state()]) {
            assert!(!exists(&memory, &path), "{path:?}");
        }
        let left = ["t", "t/a", "t/a/b", "t/c"].map(|folder| is_folder(&memory, folder));
        assert_eq!(left, [foreign.is_some(), foreign.is_some(), false, false]);
        assert!(foreign.iter().all(|path| memory.contents(&root().join(path)).is_some_and(|b| b == b"precious")));
        assert!(exists(&memory, &root().join("t.other/file")) && is_folder(&memory, ""));
        assert!(memory.stat(state().parent().unwrap()).is_ok(), "the folder of resume data is the program's");
        assert_eq!(*syncs.lock().unwrap(), 0, "what is to go need not reach the medium");
        // The torrent is gone, and can come back.
        assert_eq!(
            deletion(&disk.ask(removal(Files::Delete))),
            Deletion { error: Some(Error::UnknownTorrent), ..Deletion::default() }
        );
        let events = disk.ask(sample.add_resuming());
        assert!(have(&events).is_empty() && checked(&events) == Checked::Full);
    }
}

#[test]
fn what_was_never_made_is_no_error_and_neither_is_what_lies_beside_skipped_files() {
    let sample = tree();
    let memory = Memory::new();
    let mut disk = disk_on(&memory, 1);
    let Command::Add { torrent, layout, root: at, writable, resume, .. } = sample.add_resuming() else {
        unreachable!()
    };
    let skipped = vec![false, false, false, true, false];
    disk.ask(Command::Add { torrent, layout, root: at, writable, skipped, resume });
    // The fifth piece has bytes of the third, the fourth and the last file, of which the fourth is skipped.
    sample.spans(4, 100).iter().for_each(|s| disk.send(sample.write(*s)));
    disk.run();
    assert_eq!(names(&memory, &root().join("t")), 3, "the parts file, and the folders a and c");
    let deletion = deletion(&disk.ask(removal(Files::Delete)));
    // The empty file, the third, the last, and the parts file.
    assert_eq!(deletion, Deletion { files: 4, folders: 4, failed: 0, error: None });
    assert_eq!(names(&memory, &root()), 0);

    // Also where nothing was made: but the root is there.
    let memory = Memory::new();
    memory.put(&root().join("other"), b"precious");
    let mut disk = disk_on(&memory, 2);
    disk.ask(Sample::new(&[100], 64).add());
    assert_eq!(self::deletion(&disk.ask(removal(Files::Delete))), Deletion::default());
}

#[test]
fn of_a_torrent_that_is_only_read_nothing_goes_but_its_resume_data() {
    let sample = tree();
    let memory = Memory::new();
    sample.put_files(&memory);
    let mut disk = disk_on(&memory, 1);
    let Command::Add { torrent, layout, root, skipped, resume, .. } = sample.add_resuming() else { unreachable!() };
    disk.ask(Command::Add { torrent, layout, root, writable: false, skipped, resume });
    disk.ask(Command::Sync { torrent: T });
    assert!(exists(&memory, &state()));
    let deletion = deletion(&disk.ask(removal(Files::Delete)));
    assert_eq!(deletion, Deletion { files: 1, folders: 0, failed: 0, error: Some(Error::ReadOnly) });
    assert!(!exists(&memory, &state()));
    sample.check_files(&memory);
}

#[test]
fn a_fault_at_any_call_keeps_one_file_and_names_it_and_all_others_go() {
    let sample = tree();
    for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::Interrupted] {
        let mut failures = 0;
        for n in 0.. {
            let memory = Memory::new();
            let mut disk = downloaded(&sample, &memory, n);
            let calls = Mutex::new(0);
            let reached = Arc::new(Mutex::new(None));
            let note = Arc::clone(&reached);
            memory.set_faults(move |call| {
                let mut calls = calls.lock().unwrap();
                *calls += 1;
                (*calls - 1 == n).then(|| {
                    *note.lock().unwrap() = Some(call.path.to_path_buf());
                    Fault::Error(kind)
                })
            });
            let deletion = deletion(&disk.ask(removal(Files::Delete)));
            memory.clear_faults();
            let Some(path) = reached.lock().unwrap().take() else { break };
            let failed = u32::from(exists(&memory, &path));
            let files = (0..5).map(|i| sample.path(i)).chain([state()]).filter(|path| exists(&memory, path)).count();
            assert_eq!(files as u32, failed, "{kind}, call {n}, {path:?}");
            assert_eq!(deletion.files, 6 - failed);
            // A folder that could not be removed at its last try is there; one that was tried too early is not.
            assert!(deletion.failed <= 1 && deletion.failed >= failed);
            failures += deletion.failed;
            match deletion.error {
                Some(Error::Io { operation: Operation::Deleting, file, kind: told, .. }) => {
                    assert!(told == kind && path.ends_with(file.trim_start_matches('/')), "{file} for {path:?}");
                }
                None if deletion.failed == 0 => {}
                other => panic!("{other:?} for {path:?}"),
            }
        }
        assert_eq!(failures > 6, kind != ErrorKind::Interrupted, "{failures}");
    }
}

#[test]
fn a_kill_or_a_loss_of_power_at_any_step_leaves_what_a_check_finds() {
    let sample = tree();
    for seed in 0..60 {
        let memory = if seed % 2 == 0 { Memory::new() } else { Memory::losing_power() };
        let mut disk = downloaded(&sample, &memory, seed);
        // Some was on the medium for long, some was not.
        disk.send(removal(Files::Delete));
        disk.steps(seed as u32 / 2 % 6);
        let after = if seed % 2 == 0 { memory } else { memory.lose_power(&mut Rng::new(seed)) };
        let mut disk = disk_on(&after, seed);
        let events = disk.ask(sample.add_resuming());
        for piece in have(&events).iter() {
            let span = sample.span(piece.0, 0, sample.layout.geometry().length_of(piece));
            let read = disk.ask(Command::Read { torrent: T, span, ticket: 0 });
            assert!(
                matches!(&read[..], [Event::Read { block: Ok(b), .. }] if *b == sample.block(span)),
                "seed {seed}, {piece:?}: {read:?}"
            );
        }
        let again = deletion(&disk.ask(removal(Files::Delete)));
        assert_eq!((again.failed, again.error), (0, None), "seed {seed}");
        assert_eq!(names(&after, &root()), 0, "seed {seed}");
    }
}

#[test]
fn a_torrent_of_many_files_is_deleted_with_many_bounded_jobs_one_after_the_other() {
    let sample = Sample::new(&[1; 1000], 64);
    let memory = Memory::new();
    sample.put_files(&memory);
    let mut disk = disk_on(&memory, 1);
    disk.ask(sample.add());
    disk.send(removal(Files::Delete));
    let mut ranges = Vec::new();
    loop {
        disk.collect();
        assert!(disk.jobs.len() <= 1);
        match disk.jobs.first() {
            Some((_, Job { work: Work::Delete { remains, .. } })) => ranges.push(format!("{remains:?}")),
            Some(_) => assert!(ranges.is_empty(), "nothing else once that has begun"),
            None => break,
        }
        disk.step();
    }
    let files = |range| format!("Files({range})");
    assert_eq!(ranges[0], "Parts");
    assert_eq!(ranges[1..], ["0..256", "256..512", "512..768", "768..1000"].map(files));
    let told = deletion(&std::mem::take(&mut disk.events));
    assert_eq!(told, Deletion { files: 1000, folders: 1, failed: 0, error: None });
}

#[test]
fn every_asker_is_answered_in_kind_and_one_that_deletes_prevails_at_any_step() {
    let sample = tree();
    for steps in 0..12 {
        for order in [[Files::Keep, Files::Delete], [Files::Delete, Files::Keep]] {
            let memory = Memory::new();
            let mut disk = downloaded(&sample, &memory, steps);
            // Something is left to be written out.
            memory.put(&sample.path(0), &[0; 700]);
            disk.ask(removal(Files::Keep));
            disk.send(sample.add_resuming());
            disk.steps(steps as u32);
            disk.send(removal(order[0]));
            disk.steps(2);
            disk.events.clear();
            disk.send(removal(order[1]));
            let events = disk.run();
            let removed = events.iter().filter(|e| matches!(e, Event::Removed { torrent: T, .. })).count();
            let told = deletion(&events);
            // The first may have been over before the second came.
            if told.error == Some(Error::UnknownTorrent) {
                assert!(order[0] == Files::Keep && removed == 0);
            } else {
                assert_eq!((told.failed, told.error, removed), (0, None, 1), "{order:?} after {steps}: {events:?}");
                assert_eq!(names(&memory, &root()), 0);
            }
        }
    }
}

#[test]
fn blocks_that_wait_are_answered_first_and_other_torrents_go_on() {
    let sample = tree();
    let (mut disk, memory) = added(&sample);
    let layout = Arc::clone(&sample.layout);
    let (root, skipped) = (PathBuf::from("/elsewhere"), Vec::new());
    disk.ask(Command::Add { torrent: OTHER, layout, root, writable: true, skipped, resume: None });
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    disk.send(Command::Sync { torrent: T });
    disk.send(removal(Files::Delete));
    for span in sample.all_spans() {
        disk.send(Command::Write { torrent: OTHER, span, block: sample.block(span) });
    }
    let events = disk.run();
    assert_eq!(good(&events) as u32, 2 * sample.layout.geometry().piece_count());
    let of = |event: &Event| match event {
        Event::Written { torrent, .. } | Event::Synced { torrent, .. } | Event::Deleted { torrent, .. } => *torrent,
        other => panic!("{other:?}"),
    };
    let last = events.iter().rfind(|e| of(e) == T);
    assert!(matches!(last, Some(Event::Deleted { .. })), "{last:?}");
    let withdrawn = Event::Synced { torrent: T, error: Some(Error::Removing) };
    assert_eq!(events.iter().filter(|e| **e == withdrawn).count(), 1);
    assert_eq!(names(&memory, &super::root()), 0);
    assert!(memory.contents(Path::new("/elsewhere/t/3")).is_some_and(|bytes| bytes == sample.contents(3)));
}

#[test]
fn a_sync_that_was_asked_for_is_withdrawn_and_nothing_more_goes_to_the_medium() {
    let sample = tree();
    for begun in [false, true] {
        let (mut disk, memory) = added(&sample);
        sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
        disk.run();
        disk.send(Command::Sync { torrent: T });
        disk.send(Command::Sync { torrent: T });
        disk.steps(u32::from(begun));
        disk.send(removal(Files::Delete));
        // One may be under way.
        let mut syncs = Vec::new();
        loop {
            disk.collect();
            let under_way = disk.jobs.iter().filter(|(_, job)| matches!(job.work, Work::Sync { .. }));
            syncs.extend(under_way.map(|(id, _)| *id));
            if !disk.step() {
                break;
            }
        }
        syncs.dedup();
        assert!(syncs.len() <= usize::from(begun), "{begun}: {syncs:?}");
        let events = std::mem::take(&mut disk.events);
        let withdrawn = Event::Synced { torrent: T, error: Some(Error::Removing) };
        assert_eq!(events[..2], [withdrawn.clone(), withdrawn]);
        assert!(matches!(events[2..], [Event::Deleted { .. }]), "{events:?}");
        assert_eq!(names(&memory, &root()), 0);
    }
}

fn delete(sample: &Sample, writable: bool) -> Command {
    let resume = Some(ResumeFile { path: state(), info_hash: InfoHash([7; 20]) });
    Command::Delete { torrent: T, layout: Arc::clone(&sample.layout), root: root(), writable, resume }
}

#[test]
fn a_root_that_is_not_there_is_told_and_what_was_in_it_can_be_deleted_when_it_is_back() {
    let sample = tree();
    let memory = Memory::new();
    let mut disk = downloaded(&sample, &memory, 1);
    // The disk was taken out.
    memory.set_faults(|call| call.path.starts_with(root()).then_some(Fault::Error(ErrorKind::NotFound)));
    let no_root = Some(Error::NoRoot { root: "/downloads".into() });
    let expected = Deletion { files: 1, failed: 5, error: no_root.clone(), ..Deletion::default() };
    assert_eq!(deletion(&disk.ask(removal(Files::Delete))), expected);
    assert_eq!(deletion(&disk.ask(delete(&sample, true))), Deletion { files: 0, ..expected });
    memory.clear_faults();
    sample.check_files(&memory);
    let told = deletion(&disk.ask(delete(&sample, true)));
    assert_eq!(told, Deletion { files: 5, folders: 4, failed: 0, error: None });
    assert_eq!(names(&memory, &root()), 0);
    // Once more there is nothing to do.
    assert_eq!(deletion(&disk.ask(delete(&sample, true))), Deletion::default());

    let memory = Memory::new();
    memory.put(&root(), b"a file");
    assert_eq!(deletion(&disk_on(&memory, 1).ask(delete(&sample, true))).error, no_root);
    assert!(memory.contents(&root()).is_some());
}

#[test]
fn what_a_torrent_left_that_cannot_be_added_is_deleted_and_nothing_else() {
    let sample = tree();
    let memory = Memory::new();
    drop(downloaded(&sample, &memory, 1));
    // Somebody's folder is in the way of a file.
    memory.discard(&sample.path(3)).unwrap();
    let foreign = sample.path(3).join("foreign");
    memory.put(&foreign, b"precious");
    let mut disk = disk_on(&memory, 2);
    let events = disk.ask(sample.add_resuming());
    assert!(matches!(events[..], [Event::AddFailed { .. }]), "{events:?}");
    assert_eq!(deletion(&disk.ask(removal(Files::Delete))).error, Some(Error::UnknownTorrent));
    let told = deletion(&disk.ask(delete(&sample, true)));
    assert_eq!((told.files, told.failed), (5, 1), "four files and the resume data: {told:?}");
    assert!(matches!(told.error, Some(Error::Io { operation: Operation::Deleting, .. })), "{told:?}");
    assert!(memory.contents(&foreign).is_some_and(|bytes| bytes == b"precious"));
    assert_eq!(names(&memory, &root().join("t")), 1);
}

#[test]
fn what_is_open_is_deleted_by_its_removal_alone_and_what_is_only_read_not_at_all() {
    let sample = tree();
    let memory = Memory::new();
    let mut disk = downloaded(&sample, &memory, 1);
    let refused = deletion(&disk.ask(delete(&sample, true)));
    assert_eq!(refused, Deletion { error: Some(Error::TorrentExists), ..Deletion::default() });
    disk.ask(removal(Files::Keep));
    let told = deletion(&disk.ask(delete(&sample, false)));
    assert_eq!(told, Deletion { files: 1, error: Some(Error::ReadOnly), ..Deletion::default() });
    sample.check_files(&memory);
}

#[test]
fn a_job_that_panics_is_told_and_the_rest_goes_nonetheless() {
    let sample = tree();
    let memory = Memory::new();
    let mut disk = downloaded(&sample, &memory, 1);
    memory.set_faults(|call| {
        assert!(call.operation != Operation::Deleting || !call.path.ends_with("t.resume"), "as it was made to");
        None
    });
    let told = deletion(&disk.ask(removal(Files::Delete)));
    assert_eq!((told.files, told.folders, told.failed), (5, 4, 1));
    assert_eq!(told.error, Some(Error::Job(JobError::Panicked)));
}
