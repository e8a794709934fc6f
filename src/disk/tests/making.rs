#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // trees are made with std

use super::native::Folder;
use super::*;
use crate::disk::create::{Command, Create, Event, Options, Reason};
use crate::disk::{Check, Error, Fault, FileSystem, Glob, Native, Operation, check};
use crate::proto::metainfo::{Limits, Metainfo, Warning};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::fs;

pub(super) fn create_on(files: impl FileSystem, seed: u64) -> Driver<Create> {
    Driver::new(Create::new(Config::default(), &mut Rng::new(seed)), Executor::new(files), seed)
}

fn start(path: &Path) -> Command {
    let options = Options { piece_length: Some(16 * 1024), ..Options::default() };
    Command::Start { path: path.to_path_buf(), options: Box::new(options) }
}

pub(super) fn made(events: &[Event]) -> Metainfo {
    match events.last() {
        Some(Event::Created { metainfo, .. }) => Metainfo::parse(metainfo, &Limits::default()).unwrap(),
        other => panic!("a torrent, instead of {other:?}"),
    }
}

pub(super) fn failed(events: &[Event]) -> Error {
    match events.last() {
        Some(Event::Failed { error }) => error.clone(),
        other => panic!("a failure, instead of {other:?}"),
    }
}

pub(super) fn verify(files: impl FileSystem, torrent: &Metainfo, root: &Path) -> check::Report {
    let mut check = Driver::new(Check::new(Config::default(), &mut Rng::new(1)), Executor::new(files), 1);
    let layout = torrent.layout();
    match check.ask(check::Command::Start { layout, root: root.to_path_buf() }).pop() {
        Some(check::Event::Checked { report }) => report,
        other => panic!("a report, instead of {other:?}"),
    }
}

pub(super) fn tree(files: &[(&str, &[u8])]) -> Memory {
    let memory = Memory::new();
    files.iter().for_each(|(name, bytes)| memory.put(&Path::new("/x/album").join(name), bytes));
    memory
}

#[test]
fn a_tree_becomes_a_torrent_in_the_order_of_its_bytes_whatever_the_order_of_jobs() {
    let memory = tree(&[("b", b"bb"), ("a/z", b"zzz"), ("a-", b"-"), ("a/empty", b""), ("\u{e9}", &[7; 40_000])]);
    let mut torrents = Vec::new();
    for seed in 0..10 {
        let events = create_on(memory.clone(), seed).ask(start(Path::new("/x/album")));
        let Some(Event::Created { metainfo, skipped, .. }) = events.last() else { panic!("{events:?}") };
        assert!(skipped.is_empty());
        torrents.push(metainfo.clone());
        let progress: Vec<_> = events
            .iter()
            .filter_map(|e| match e {
                Event::Progress { done, total: 40_006 } => Some(*done),
                _ => None,
            })
            .collect();
        assert!(progress.windows(2).all(|w| w[0] < w[1]) && progress.ends_with(&[40_006]), "{progress:?}");
    }
    assert!(torrents.windows(2).all(|w| w[0] == w[1]));
    let torrent = Metainfo::parse(&torrents[0], &Limits::default()).unwrap();
    let paths: Vec<_> = torrent.files().iter().map(|f| f.path.to_string()).collect();
    assert_eq!(paths, ["album/a-", "album/a/empty", "album/a/z", "album/b", "album/\u{e9}"]);
    assert!(verify(memory, &torrent, Path::new("/x")).is_complete());
}

#[test]
fn a_single_file_becomes_a_single_file_torrent_with_all_its_options() {
    let memory = tree(&[("song", &[1; 5 << 20])]);
    let mut create = create_on(memory.clone(), 1);
    let options = Options {
        piece_length: Some(4 << 20),
        web_seeds: vec!["http://w/".into()],
        nodes: vec![("n".into(), 7)],
        trackers: vec![vec!["http://a/".into(), "http://b/".into()], vec!["http://c/".into()]],
        private: true,
        source: Some("S".into()),
        comment: Some("C".into()),
        created_by: Some("P".into()),
        creation_date: Some(5),
        ..Options::default()
    };
    let torrent =
        made(&create.ask(Command::Start { path: "/x/album/song".into(), options: Box::new(options.clone()) }));
    assert!(!torrent.layout().is_multi_file() && torrent.is_private());
    assert_eq!((torrent.web_seeds(), torrent.nodes()), (&options.web_seeds[..], &options.nodes[..]));
    assert_eq!((torrent.trackers(), torrent.source()), (options.trackers.clone(), Some("S")));
    assert_eq!((torrent.comment(), torrent.created_by(), torrent.creation_date()), (Some("C"), Some("P"), Some(5)));
    assert_eq!(torrent.layout().geometry().piece_count(), 2);
    assert!(verify(memory, &torrent, Path::new("/x/album")).is_complete());
    let options = Box::new(Options { name: Some(b"other".to_vec()), ..options });
    let named = made(&create.ask(Command::Start { path: "/x/album/song".into(), options }));
    assert_eq!(named.layout().name(), "other");
}

#[test]
fn what_holds_no_bytes_or_no_name_is_refused_in_clear_words() {
    let memory = tree(&[("empty/a", b""), ("b", b"1")]);
    let mut create = create_on(memory, 1);
    let mut text = |path: &str| failed(&create.ask(start(Path::new(path)))).to_string();
    assert_eq!(text("/x/album/empty"), "/x/album/empty holds no bytes to share");
    assert_eq!(text("/x/album/empty/a"), "/x/album/empty/a holds no bytes to share");
    assert!(text("/x/none").starts_with("examining /x/none: "));
    assert_eq!(text("/"), "/ does not end in a name");
}

#[test]
fn a_fault_at_any_call_ends_it_and_names_the_file() {
    for fault in [Fault::Error(std::io::ErrorKind::PermissionDenied), Fault::Error(std::io::ErrorKind::Interrupted)] {
        for n in 0.. {
            let memory = tree(&[("a/b", &[1; 30_000]), ("c", &[2; 10_000]), ("d", b"")]);
            memory.set_faults(move |call| (call.number == n).then_some(fault));
            let mut create = create_on(memory.clone(), n);
            let events = create.ask(start(Path::new("/x/album")));
            if memory.calls() <= n || fault == Fault::Error(std::io::ErrorKind::Interrupted) {
                made(&events);
            } else {
                assert!(matches!(failed(&events), Error::Io { file, .. } if file.starts_with("/x/album")));
                made(&create.ask(start(Path::new("/x/album"))));
            }
            if memory.calls() <= n {
                assert!(n > 8);
                break;
            }
        }
    }
}

#[test]
fn a_file_that_changes_its_length_meanwhile_ends_it() {
    for contents in [&b"longer than before"[..], b"-", b""] {
        let memory = tree(&[("a", &[1; 30_000]), ("b", b"length 8")]);
        let (other, changed) = (memory.clone(), contents.to_vec());
        let once = std::sync::Once::new();
        memory.set_faults(move |call| {
            if call.operation == Operation::Reading {
                once.call_once(|| other.put(Path::new("/x/album/b"), &changed));
            }
            None
        });
        let error = failed(&create_on(memory, 1).ask(start(Path::new("/x/album")))).to_string();
        assert!(error.contains("/x/album/b"), "{error}");
    }
}

#[test]
fn it_can_be_cancelled_at_any_step_and_started_again() {
    let memory = tree(&[("a/b/c", &[1; 90_000]), ("d", &[2; 10_000]), ("e/f", b"")]);
    for steps in 0.. {
        let mut create = create_on(memory.clone(), steps);
        create.send(start(Path::new("/x/album")));
        create.send(start(Path::new("/x/album")));
        assert_eq!(create.machine.poll_event(), Some(Event::Failed { error: Error::Busy }));
        if !(0..steps).all(|_| create.step()) {
            assert!(steps > 10);
            break;
        }
        if matches!(create.events.last(), Some(Event::Created { .. })) {
            continue;
        }
        create.send(Command::Cancel);
        let events = create.run();
        assert!(events.ends_with(&[Event::Failed { error: Error::Cancelled }, Event::Cancelled]), "{events:?}");
        made(&create.ask(start(Path::new("/x/album"))));
    }
}

fn start_without(patterns: &[&str]) -> Command {
    let exclude = patterns.iter().map(|pattern| Glob::parse(pattern).unwrap()).collect();
    let options = Options { exclude, ..Options::default() };
    Command::Start { path: "/x/album".into(), options: Box::new(options) }
}

#[test]
fn what_a_pattern_is_for_is_left_out_and_a_folder_is_not_even_listed() {
    let names = ["a.flac", "a.log", "b/a.log", "b/c.flac", "b/secret/x", "logs/d/e.flac", "logs.txt"];
    let memory = tree(&names.map(|name| (name, name.as_bytes())));
    memory.set_faults(|call| {
        let shut = call.operation == Operation::Listing && call.path.ends_with("secret");
        shut.then_some(Fault::Error(std::io::ErrorKind::PermissionDenied))
    });
    for (patterns, left, count) in [
        (&["secret", "*.log"][..], &["a.flac", "b/c.flac", "logs.txt", "logs/d/e.flac"][..], 3),
        (&["b", "logs/"], &["a.flac", "a.log", "logs.txt"], 2),
        (&["/*.log", "b/secret", "logs/**/e*"], &["a.flac", "b/a.log", "b/c.flac", "logs.txt"], 3),
        (&["/secret", "b/[!ac]*"], &["a.flac", "a.log", "b/a.log", "b/c.flac", "logs.txt", "logs/d/e.flac"], 1),
    ] {
        let events = create_on(memory.clone(), 1).ask(start_without(patterns));
        let paths: Vec<_> = made(&events).files().iter().map(|f| f.path.to_string()).collect();
        assert_eq!(paths, left.iter().map(|name| format!("album/{name}")).collect::<Vec<_>>(), "{patterns:?}");
        assert!(matches!(events.last(), Some(Event::Created { excluded, .. }) if *excluded == count), "{events:?}");
    }
    let listing = failed(&create_on(memory.clone(), 1).ask(start_without(&["*.log"])));
    assert!(listing.to_string().starts_with("listing /x/album/b/secret: "), "{listing}");
    let nothing = failed(&create_on(memory, 1).ask(start_without(&["*"])));
    assert_eq!(nothing.to_string(), "/x/album holds no bytes to share");
}

#[cfg(not(feature = "v2"))]
#[test]
fn version_2_is_refused_without_its_feature() {
    use crate::proto::metainfo::Version;
    let memory = tree(&[("a", b"1")]);
    for version in [Version::V2, Version::Hybrid] {
        let options = Options { version, ..Options::default() };
        let command = Command::Start { path: "/x/album".into(), options: Box::new(options) };
        let error = failed(&create_on(memory.clone(), 1).ask(command));
        assert!(error.to_string().contains("needs the feature `v2`"), "{error}");
        assert_eq!(memory.calls(), 0);
    }
}

#[test]
fn a_tree_beyond_the_limits_is_refused() {
    let memory = tree(&[("a/b/c", b"1"), ("d", b"2"), ("e", b"3")]);
    for (config, text) in [
        (Config { files: 2, ..Config::default() }, "more than 2 files"),
        (Config { depth: 1, ..Config::default() }, "more than 1 folders within each other"),
    ] {
        let machine = Create::new(config, &mut Rng::new(1));
        let mut create = Driver::new(machine, Executor::new(memory.clone()), 1);
        assert_eq!(failed(&create.ask(start(Path::new("/x/album")))).to_string(), text);
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles_and_what_is_skipped_is_told() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    let root = folder.0.join("t");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::create_dir_all(folder.0.join("far")).unwrap();
    fs::write(folder.0.join("far/file"), b"far").unwrap();
    fs::write(root.join("a/file"), b"near").unwrap();
    symlink(folder.0.join("far"), root.join("far")).unwrap();
    symlink(root.join("a/file"), root.join("link")).unwrap();
    symlink("../..", root.join("a/b/loop")).unwrap();
    symlink("self", root.join("self")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let events = create_on(Native, 1).ask(start(&root));
    let torrent = made(&events);
    let paths: Vec<_> = torrent.files().iter().map(|f| f.path.to_string()).collect();
    assert_eq!(paths, ["t/a/file", "t/far/file", "t/link"]);
    let Some(Event::Created { skipped, .. }) = events.last() else { panic!("{events:?}") };
    let skipped: Vec<_> = skipped.iter().map(|s| (s.path.rsplit('/').next().unwrap(), s.reason)).collect();
    let odd = |name| (name, Reason::NotAFile);
    assert_eq!(skipped, [("loop", Reason::Loop), odd("dangling"), odd("self"), odd("socket")]);
    assert!(verify(Native, &torrent, &folder.0).is_complete());
}

#[cfg(unix)]
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = (1u8..=255).prop_map(|b| if b == b'/' { b'\\' } else { b });
    let odd = prop::sample::select(vec![
        &b"..."[..],
        b"a.",
        b"a ",
        b" ",
        b"\\",
        b"..\\x",
        b"C:",
        b"aux",
        b"AUX.txt",
        b"\x01\x1b[2J",
        b"\xff\xfe",
        b"\xe2\x80\xae",
        b"~",
        b"A",
        b"a",
        "e\u{301}".as_bytes(),
        "\u{e9}".as_bytes(),
    ]);
    prop_oneof![
        3 => prop::collection::vec(byte.clone(), 1..12),
        3 => odd.prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(byte, 255..=255),
    ]
    .prop_filter("the host's own names", |name| name != b"." && name != b"..")
}

#[cfg(unix)]
proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_that_this_host_can_hold_verifies_in_place(
        root in name(),
        files in prop::collection::vec((prop::collection::vec(name(), 1..5), 0usize..40_000), 1..12),
        single in any::<bool>(),
    ) {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let folder = Folder::new();
        let root = folder.0.join(OsStr::from_bytes(&root));
        let mut total = 0;
        for (parts, length) in &files {
            let path = if single { root.clone() } else { parts.iter().fold(root.clone(), |p, n| p.join(OsStr::from_bytes(n))) };
            // What the host does not take (a file where a folder is) is no tree that it can hold.
            if path.parent().is_some_and(|p| fs::create_dir_all(p).is_ok()) && !path.exists() {
                let bytes: Vec<u8> = (0..*length).map(|i| (i * length) as u8).collect();
                if fs::write(&path, bytes).is_ok() {
                    total += length;
                }
            }
        }
        let events = create_on(Native, total as u64).ask(start(&root));
        if total == 0 {
            let refused = matches!(failed(&events), Error::NothingToShare { .. });
            prop_assert!(refused);
        } else {
            let torrent = made(&events);
            prop_assert_eq!(torrent.layout().geometry().total_length(), total as u64);
            let kept = torrent.warnings().iter().all(|w| matches!(w, Warning::NotUtf8 { .. }));
            prop_assert!(kept, "{:?}", torrent.warnings());
            prop_assert!(verify(Native, &torrent, &folder.0).is_complete());
        }
    }
}

#[test]
fn a_disk_that_seeks_is_hashed_piece_by_piece_and_another_with_as_many_jobs_as_allowed() {
    let memory = tree(&[("a", &[1; 300_000]), ("b/c", &[2; 300_000]), ("b/d", b"")]);
    let mut torrents = Vec::new();
    for (seeks, most) in [(true, 1), (false, Config::default().check_jobs)] {
        memory.set_seeks(seeks);
        let mut create = create_on(memory.clone(), 1);
        create.send(start(Path::new("/x/album")));
        assert_eq!(create.most_hashed_at_a_time(), most);
        torrents.push(made(&create.run()).layout());
    }
    assert_eq!(torrents[0].geometry().piece_count(), 37);
}
