#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // what the machines did to real files is looked at with std

use super::*;
use crate::disk::{FileSystem, Kind, Native};
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of this test's own, removed at the end.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bip-disk-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn native(seed: u64) -> Driver<Disk> {
    let disk = Disk::new(at_once(), &mut Rng::new(seed));
    Driver::new(disk, Executor::with_open_files(Box::new(Native), 3), seed)
}

fn add(sample: &Sample, folder: &Folder) -> Command {
    Command::Add {
        torrent: T,
        layout: Arc::clone(&sample.layout),
        root: folder.0.join("new/root"),
        writable: true,
        skipped: Vec::new(),
        resume: None,
    }
}

#[test]
fn a_torrent_is_written_to_real_files_and_found_again() {
    let sample = Sample::new(&[70_000, 0, 1, 2, 3, 100_000, 65_536], 32 * 1024);
    let folder = Folder::new();
    let mut disk = native(1);
    assert_eq!(have(&disk.ask(add(&sample, &folder))).count(), 0);
    let mut spans = sample.all_spans();
    Rng::new(5).shuffle(&mut spans);
    spans.iter().for_each(|s| disk.send(sample.write(*s)));
    disk.send(Command::Sync { torrent: T });
    let events = disk.run();
    assert_eq!(good(&events) as u32, sample.layout.geometry().piece_count());
    assert!(events.contains(&Event::Synced { torrent: T, error: None }));
    assert_eq!(
        disk.ask(Command::Remove { torrent: T, files: Files::Keep }),
        [Event::Removed { torrent: T, error: None }]
    );
    for (i, file) in sample.layout.files().iter().enumerate() {
        let path = folder.0.join("new/root").join(file.path.to_path_buf());
        assert_eq!(fs::read(path).unwrap(), sample.contents(i));
    }
    assert!(have(&disk.ask(add(&sample, &folder))).is_full());
    let span = sample.span(2, 0, 32 * 1024);
    let read = disk.ask(Command::Read { torrent: T, span, ticket: 0 });
    assert!(matches!(&read[..], [Event::Read { block: Ok(b), .. }] if *b == sample.block(span)));
}

#[test]
fn a_new_file_has_its_full_length_and_an_old_one_is_not_cut() {
    let folder = Folder::new();
    let below = SafePath::from_parts(["a", "b", "c"]).unwrap();
    let file = Native.create(&folder.0, &below, 1 << 33).unwrap();
    assert_eq!(file.len().unwrap(), 1 << 33);
    drop(file);
    assert_eq!(Native.create(&folder.0, &below, 5).unwrap().len().unwrap(), 1 << 33);
    Native.remove(&folder.0, &below).unwrap();
    assert_eq!(Native.stat(&folder.0.join("a/b/c")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(Native.stat(&folder.0.join("a/b")).unwrap().kind, Kind::Folder);
}

#[cfg(unix)]
#[test]
fn nothing_is_written_or_removed_through_a_link_below_the_root() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    let (root, outside) = (folder.0.join("root"), folder.0.join("outside"));
    fs::create_dir_all(root.join("t")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("old"), b"precious").unwrap();
    symlink(&outside, root.join("t/folder")).unwrap();
    symlink(outside.join("old"), root.join("t/file")).unwrap();
    symlink(outside.join("new"), root.join("t/dangling")).unwrap();
    for parts in [&["t", "folder", "new"][..], &["t", "folder", "old"], &["t", "file"], &["t", "dangling"]] {
        let below = SafePath::from_parts(parts).unwrap();
        assert!(Native.create(&root, &below, 10).is_err(), "{parts:?}");
    }
    assert!(Native.remove(&root, &SafePath::from_parts(["t", "folder", "old"]).unwrap()).is_err());
    assert!(Native.remove(&root, &SafePath::from_parts(["t", "file"]).unwrap()).is_err());
    assert_eq!(fs::read(outside.join("old")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    // The root may be a link: the user chose it.
    symlink(&root, folder.0.join("link")).unwrap();
    Native.create(&folder.0.join("link"), &SafePath::from_parts(["t", "f"]).unwrap(), 3).unwrap();
    assert_eq!(fs::read(root.join("t/f")).unwrap(), [0; 3]);
}

#[cfg(unix)]
#[test]
fn a_download_through_a_planted_link_stops_by_name_and_a_seed_may_read_it() {
    use std::os::unix::fs::symlink;
    let sample = Sample::new(&[100, 100], 64);
    let folder = Folder::new();
    let root = folder.0.join("new/root");
    fs::create_dir_all(root.join("t")).unwrap();
    fs::write(folder.0.join("elsewhere"), sample.contents(0)).unwrap();
    symlink(folder.0.join("elsewhere"), root.join("t/0")).unwrap();
    let mut disk = native(1);
    assert_eq!(have(&disk.ask(add(&sample, &folder))).iter().collect::<Vec<_>>(), [PieceIndex(0)]);
    let events = disk.ask(sample.write(sample.span(1, 0, 64)));
    let Some(Err(error)) = outcomes(&events).pop() else { panic!("{events:?}") };
    assert_eq!(error.to_string(), "creating t/0: a symbolic link is in the way");
    assert_eq!(fs::read(folder.0.join("elsewhere")).unwrap(), sample.contents(0));
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_never_opened() {
    let sample = Sample::new(&[100], 64);
    let folder = Folder::new();
    fs::create_dir_all(folder.0.join("new/root/t/0")).unwrap();
    let mut disk = native(1);
    let events = disk.ask(add(&sample, &folder));
    let [Event::AddFailed { error, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error.to_string(), "examining t/0: not a regular file");
    let socket = folder.0.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(Native.stat(&socket).unwrap().kind, Kind::Other);
    assert!(Native.open(&socket).is_err());
    assert!(Native.create(&folder.0, &SafePath::from_parts(["socket"]).unwrap(), 1).is_err());
}

#[test]
fn a_file_that_went_away_or_was_cut_is_an_error_with_its_name() {
    let sample = Sample::new(&[100], 100);
    let folder = Folder::new();
    let mut disk = native(1);
    disk.ask(add(&sample, &folder));
    disk.ask(sample.write(sample.span(0, 0, 100)));
    let path = folder.0.join("new/root/t/0");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(50).unwrap();
    let events = disk.ask(Command::Read { torrent: T, span: sample.span(0, 0, 100), ticket: 0 });
    let piece = PieceIndex(0);
    let [Event::Read { block: Err(error), .. }, Event::ReadFailed { .. }, Event::PieceLost { piece: lost, .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((error.to_string().as_str(), *lost), ("reading t/0: the file is too short", piece));
    // It can be fetched again, whether the file is there or not.
    assert_eq!(good(&disk.ask(sample.write(sample.span(0, 0, 100)))), 1);
    fs::remove_file(&path).unwrap();
    disk.ask(Command::Remove { torrent: T, files: Files::Keep });
    let mut disk = native(1);
    assert_eq!(have(&disk.ask(add(&sample, &folder))).count(), 0);
    assert_eq!(good(&disk.ask(sample.write(sample.span(0, 0, 100)))), 1);
    assert_eq!(fs::read(&path).unwrap(), sample.contents(0));
}

#[test]
fn a_sync_of_files_that_are_closed_or_gone_makes_no_folder_again() {
    let sample = Sample::new(&[10, 10, 10, 10, 10], 10);
    let folder = Folder::new();
    let mut disk = native(1);
    disk.ask(add(&sample, &folder));
    let spans = sample.all_spans();
    // Three files are kept open; the others are opened again to be synced.
    spans.iter().for_each(|s| disk.send(sample.write(*s)));
    disk.send(Command::Sync { torrent: T });
    assert!(disk.run().contains(&Event::Synced { torrent: T, error: None }));

    let mut disk = native(2);
    let folder = Folder::new();
    disk.ask(add(&sample, &folder));
    spans.iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()), 5);
    let root = folder.0.join("new/root");
    fs::rename(&root, folder.0.join("elsewhere")).unwrap();
    let events = disk.ask(Command::Sync { torrent: T });
    let synced = events.iter().find_map(|e| if let Event::Synced { error, .. } = e { error.as_ref() } else { None });
    let Some(error) = synced else { panic!("{events:?}") };
    // What cannot be synced is verified again, and is not there.
    assert!(events.iter().any(|e| matches!(e, Event::PieceLost { .. })));
    assert!(error.to_string().starts_with("syncing t/"), "{error}");
    assert!(!root.exists());
}

#[test]
fn a_file_is_new_only_to_the_call_that_made_it_and_its_folder_can_be_synced() {
    let folder = Folder::new();
    let below = SafePath::from_parts(["a", "b"]).unwrap();
    assert!(Native.create(&folder.0, &below, 1).unwrap().is_new());
    assert!(!Native.create(&folder.0, &below, 1).unwrap().is_new());
    assert!(!Native.open(&folder.0.join("a/b")).unwrap().is_new());
    Native.sync_folder(&folder.0.join("a")).unwrap();
    // A root without a name is the folder that the process is in.
    Native.sync_folder(Path::new("")).unwrap();
    #[cfg(unix)]
    assert_eq!(Native.sync_folder(&folder.0.join("c")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn job_threads_that_race_for_the_same_files_lose_nothing() {
    let lengths: Vec<u64> = (0..60).map(|i| (i * 7919) % 40_000).collect();
    let sample = Sample::new(&lengths, 16 * 1024);
    let folder = Folder::new();
    for seed in 0..5 {
        let folder = Folder(folder.0.join(seed.to_string()));
        let mut disk = native(seed);
        disk.ask(add(&sample, &folder));
        let mut spans: Vec<_> =
            (0..sample.layout.geometry().piece_count()).flat_map(|p| sample.spans(p, 1500)).collect();
        Rng::new(seed).shuffle(&mut spans);
        for span in &spans {
            disk.send(sample.write(*span));
        }
        disk.collect();
        while !disk.jobs.is_empty() {
            let jobs = std::mem::take(&mut disk.jobs);
            let executor = &disk.executor;
            let done: Vec<_> = std::thread::scope(|scope| {
                let run = |(id, job)| scope.spawn(move || (id, executor.run(job)));
                let threads: Vec<_> = jobs.into_iter().map(run).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            for (job, done) in done {
                disk.machine.handle_input(Instant::ZERO, Input::Done { job, done: Ok(done) });
            }
            disk.collect();
        }
        assert_eq!(good(&disk.events) as u32, sample.layout.geometry().piece_count());
        for (i, file) in sample.layout.files().iter().enumerate() {
            let path = folder.0.join("new/root").join(file.path.to_path_buf());
            assert_eq!(fs::read(path).unwrap(), sample.contents(i));
        }
    }
}

fn resume_at(folder: &Folder) -> crate::disk::ResumeFile {
    crate::disk::ResumeFile {
        path: folder.0.join("state/deep/t.resume"),
        info_hash: crate::proto::id::InfoHash([3; 20]),
    }
}

#[test]
fn resume_data_is_kept_in_a_real_file_and_a_file_that_was_touched_is_not_believed() {
    use crate::disk::Checked;
    let sample = Sample::new(&[70_000, 0, 100_000], 32 * 1024);
    let folder = Folder::new();
    let command = || {
        let Command::Add { torrent, layout, root, writable, skipped, .. } = add(&sample, &folder) else {
            panic!("it adds")
        };
        Command::Add { torrent, layout, root, writable, skipped, resume: Some(resume_at(&folder)) }
    };
    let mut disk = native(1);
    assert_eq!(checked(&disk.ask(command())), Checked::Full);
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()), 6);
    assert_eq!(
        disk.ask(Command::Remove { torrent: T, files: Files::Keep }),
        [Event::Removed { torrent: T, error: None }]
    );
    let state = folder.0.join("state/deep");
    let names: Vec<_> = fs::read_dir(&state).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["t.resume"]);

    let mut disk = native(2);
    let events = disk.ask(command());
    assert_eq!(checked(&events), Checked::Sampled);
    assert!(have(&events).is_full());
    // Nothing has changed, so nothing is written again.
    let before = fs::metadata(state.join("t.resume")).unwrap().modified().unwrap();
    disk.ask(Command::Remove { torrent: T, files: Files::Keep });
    assert_eq!(fs::metadata(state.join("t.resume")).unwrap().modified().unwrap(), before);

    let path = folder.0.join("new/root/t/2");
    let mut bytes = fs::read(&path).unwrap();
    bytes[99_999] ^= 1;
    fs::write(&path, bytes).unwrap();
    let events = native(3).ask(command());
    assert_eq!(checked(&events), Checked::Full);
    assert_eq!(have(&events).count(), 5);
}

#[cfg(unix)]
#[test]
fn resume_data_is_never_written_through_a_planted_link() {
    use std::os::unix::fs::symlink;
    let sample = Sample::new(&[100], 64);
    let folder = Folder::new();
    let file = resume_at(&folder);
    fs::create_dir_all(file.path.parent().unwrap()).unwrap();
    let precious = folder.0.join("precious");
    fs::write(&precious, b"precious").unwrap();
    symlink(&precious, &file.path).unwrap();
    symlink(&precious, folder.0.join("state/deep/t.resume.new")).unwrap();
    let Command::Add { torrent, layout, root, writable, skipped, .. } = add(&sample, &folder) else {
        panic!("it adds")
    };
    let mut disk = native(1);
    disk.ask(Command::Add { torrent, layout, root, writable, skipped, resume: Some(file.clone()) });
    sample.all_spans().iter().for_each(|s| disk.send(sample.write(*s)));
    assert_eq!(good(&disk.run()), 2);
    assert_eq!(
        disk.ask(Command::Remove { torrent: T, files: Files::Keep }),
        [Event::Removed { torrent: T, error: None }]
    );
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert!(fs::symlink_metadata(&file.path).unwrap().is_file());
}
