use super::making::{create_on, failed, made, tree, verify};
use super::*;
use crate::disk::check::FileState;
use crate::disk::create::{Command as Make, Event as Told, Options};
use crate::disk::{Check, Error, Fault, check};
use crate::proto::id::FileIndex;
use crate::proto::merkle::{self, Hasher};
use crate::proto::metainfo::{Builder, Limits, Metainfo, Version};
use proptest::prelude::{
    Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest,
};
use std::io::ErrorKind;

const PIECE: u32 = 32 * 1024;
const VERSIONS: [Version; 3] = [Version::V1, Version::V2, Version::Hybrid];

fn start(version: Version) -> Make {
    let options = Options { version, piece_length: Some(PIECE), ..Options::default() };
    Make::Start { path: "/x/album".into(), options: Box::new(options) }
}

fn root_of(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish(merkle::leaves(bytes.len() as u64))
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..length).map(|_| rng.next_u64() as u8).collect()
}

/// Files of some lengths in some folders, under names of which the order differs between the versions.
fn files(lengths: &[usize]) -> Vec<(String, Vec<u8>)> {
    let name = |number: usize| match number % 4 {
        0 => format!("{number}"),
        1 => format!("f/{number}"),
        2 => format!("f-{number}"),
        _ => format!("f/g/{number}"),
    };
    lengths.iter().enumerate().map(|(number, length)| (name(number), noise(number as u64, *length))).collect()
}

fn put(files: &[(String, Vec<u8>)]) -> Memory {
    tree(&files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect::<Vec<_>>())
}

/// The torrent's bytes, padding included.
fn bytes_of(torrent: &Metainfo, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let layout = torrent.layout();
    let bytes = |file: &crate::proto::metainfo::File| {
        let path = file.path.to_string();
        let found = files.iter().find(|(name, _)| path.strip_prefix("album/") == Some(name));
        found.map_or_else(|| vec![0; file.length as usize], |(_, bytes)| bytes.clone())
    };
    layout.files().iter().flat_map(bytes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_has_the_right_hashes_and_a_wrong_byte_is_found_where_it_is(
        lengths in prop::collection::vec(prop_oneof![Just(0), 1..40_000usize, Just(32_768), 60_000..150_000usize], 1..8),
        seed in any::<u64>(),
        place in any::<prop::sample::Index>(),
    ) {
        let files = files(&lengths);
        let total: usize = lengths.iter().sum();
        prop_assume!(total > 0);
        for version in VERSIONS {
            let memory = put(&files);
            let events = create_on(memory.clone(), seed).ask(start(version));
            let torrent = made(&events);
            let layout = torrent.layout();
            prop_assert_eq!((layout.version(), torrent.warnings()), (version, &[][..]));
            // As many times as there are pieces, for the driver always looks.
            let told = events.iter().filter(|event| matches!(event, Told::Progress { .. })).count();
            prop_assert_eq!(told, layout.geometry().piece_count() as usize);
            let whole_way = Told::Progress { done: total as u64, total: total as u64 };
            prop_assert!(events.contains(&whole_way));
            let whole = bytes_of(&torrent, &files);
            prop_assert_eq!(whole.len() as u64, torrent.total_length());
            if version.has_v1() {
                let hashes: Vec<_> = whole.chunks(PIECE as usize).map(Sha1::digest).collect();
                prop_assert!(layout.piece_hashes().eq(&hashes));
            }
            for (number, file) in layout.files().iter().enumerate().filter(|_| version.has_v2()) {
                let bytes = &whole[file.offset as usize..][..file.length as usize];
                let wanted = (!file.is_padding && file.length > 0).then(|| root_of(bytes));
                prop_assert_eq!(layout.pieces_root(FileIndex(number as u32)), wanted.as_ref());
            }
            prop_assert!(verify(memory.clone(), &torrent, Path::new("/x")).is_complete());

            // One byte is wrong.
            let mut at = place.index(total);
            let (name, bytes) = files
                .iter()
                .find(|(_, bytes)| {
                    let here = at < bytes.len();
                    at -= if here { 0 } else { bytes.len() };
                    here
                })
                .unwrap();
            memory.damage(&Path::new("/x/album").join(name), at as u64, &[!bytes[at]]);
            let report = verify(memory, &torrent, Path::new("/x"));
            let path = format!("album/{name}");
            let number = layout.files().iter().position(|file| file.path.to_string() == path).unwrap();
            let piece = (layout.files()[number].offset + at as u64) / u64::from(PIECE);
            let bad: Vec<u64> = report.have.iter_missing().map(|piece| u64::from(piece.0)).collect();
            prop_assert_eq!(bad, [piece]);
            for (other, found) in report.files.iter().enumerate() {
                let wanted = if other == number { FileState::Bad } else { FileState::Complete };
                // Of version 1 alone the neighbours in the same piece cannot be told from it.
                prop_assert!(found.state() == wanted || (version == Version::V1 && found.state() == FileState::Bad));
            }
        }
    }
}

#[test]
fn a_fault_at_any_call_ends_it_and_names_the_file() {
    for version in [Version::V2, Version::Hybrid] {
        for n in 0.. {
            let memory = tree(&[("a/b", &[1; 50_000]), ("c", &[2; 10_000]), ("d", b""), ("e", &[3; 40_000])]);
            memory.set_faults(move |call| {
                (call.number == n).then_some(Fault::Error(std::io::ErrorKind::PermissionDenied))
            });
            let mut create = create_on(memory.clone(), n);
            let events = create.ask(start(version));
            if memory.calls() <= n {
                made(&events);
                assert!(n > 10);
                break;
            }
            assert!(matches!(failed(&events), Error::Io { file, .. } if file.starts_with("/x/album")));
            made(&create.ask(start(version)));
        }
    }
}

#[test]
fn a_file_that_changes_its_length_meanwhile_ends_it() {
    for (version, contents) in VERSIONS.into_iter().flat_map(|v| [(v, &b"longer than before"[..]), (v, b"-"), (v, b"")])
    {
        let memory = tree(&[("a", &[1; 50_000]), ("b", b"length 8")]);
        let (other, once) = (memory.clone(), std::sync::Once::new());
        memory.set_faults(move |call| {
            if call.operation == crate::disk::Operation::Reading {
                once.call_once(|| other.put(Path::new("/x/album/b"), contents));
            }
            None
        });
        let error = failed(&create_on(memory, 1).ask(start(version))).to_string();
        assert!(error.contains("/x/album/b"), "{error}");
    }
}

#[test]
fn it_can_be_cancelled_at_any_step_and_started_again() {
    let memory = tree(&[("a/b/c", &[1; 90_000]), ("d", &[2; 10_000]), ("e/f", b"")]);
    for steps in 0.. {
        let mut create = create_on(memory.clone(), steps);
        create.send(start(Version::Hybrid));
        if !(0..steps).all(|_| create.step()) {
            assert!(steps > 8);
            break;
        }
        if matches!(create.events.last(), Some(Told::Created { .. })) {
            continue;
        }
        create.send(Make::Cancel);
        let events = create.run();
        assert!(events.ends_with(&[Told::Failed { error: Error::Cancelled }, Told::Cancelled]), "{events:?}");
        made(&create.ask(start(Version::Hybrid)));
    }
}

#[test]
fn what_version_2_cannot_have_is_refused_before_a_file_is_read() {
    let memory = tree(&[("album", b"1")]);
    memory.set_faults(|call| {
        (call.operation == crate::disk::Operation::Reading).then_some(Fault::Error(ErrorKind::PermissionDenied))
    });
    let text = |options: Options| {
        let command = Make::Start { path: "/x/album".into(), options: Box::new(options) };
        failed(&create_on(memory.clone(), 1).ask(command)).to_string()
    };
    let odd = |bytes| Options { version: Version::V2, piece_length: Some(bytes), ..Options::default() };
    assert!(text(odd(20_000)).contains("not a power of two"));
    assert!(text(odd(8192)).contains("not a power of two"));
    // As a file tree it is the file `album`.
    let same = text(Options { version: Version::V2, ..Options::default() });
    assert!(same.contains("cannot be told"), "{same}");
    memory.clear_faults();
    let torrent = made(&create_on(memory.clone(), 1).ask(start(Version::Hybrid)));
    assert!(verify(memory, &torrent, Path::new("/x")).is_complete());
}

#[test]
fn padding_of_version_2_alone_costs_nothing_and_large_pieces_go_job_by_job() {
    let memory = tree(&[("a", b"1"), ("b", b"2"), ("c", &[3; (5 << 20) + 1])]);
    let options = Options { version: Version::V2, piece_length: Some(4 << 20), ..Options::default() };
    let mut create = create_on(memory.clone(), 1);
    let torrent = made(&create.ask(Make::Start { path: "/x/album".into(), options: Box::new(options) }));
    assert_eq!(torrent.geometry().piece_count(), 4);
    // The root, its list, two small pieces, one of four mebibytes, one of one and a byte, the files, close.
    assert_eq!(create.jobs_done, 2 + 2 + 4 + 2 + 2);
    let mut check = Driver::new(Check::new(Config::default(), &mut Rng::new(1)), Executor::new(memory), 1);
    let told = check.ask(check::Command::Start { layout: torrent.layout(), root: "/x".into() });
    assert!(matches!(told.last(), Some(check::Event::Checked { report }) if report.is_complete()));
    // What lies beside the files, the files, the same pieces, close.
    assert_eq!(check.jobs_done, 1 + 1 + 2 + 4 + 2 + 1);
}

/// A torrent of one file of two pieces with these bytes, of which one of the two kinds of hashes is of others.
fn two_faced(version: Version, sha1_of: &[u8], roots_of: &[u8]) -> Metainfo {
    let builder = Builder::single_file("t", sha1_of.len() as u64).version(version).piece_length(PIECE);
    let root = |piece: &[u8]| {
        let mut hasher = Hasher::new();
        hasher.update(piece);
        hasher.finish(2)
    };
    let builder = builder.piece_hashes(sha1_of.chunks(PIECE as usize).map(Sha1::digest));
    let bytes = builder.piece_roots(roots_of.chunks(PIECE as usize).map(root)).build().unwrap();
    Metainfo::parse(&bytes, &Limits::default()).unwrap()
}

#[test]
fn a_piece_of_a_hybrid_is_right_when_both_hashes_are() {
    let (right, mut wrong) = (noise(1, 60_000), noise(1, 60_000));
    wrong[40_000] ^= 1;
    for (sha1_of, roots_of, bad) in [(&right, &right, vec![]), (&wrong, &right, vec![1]), (&right, &wrong, vec![1])] {
        let torrent = two_faced(Version::Hybrid, sha1_of, roots_of);
        let memory = Memory::new();
        memory.put(&root().join("t"), &right);
        let report = verify(memory.clone(), &torrent, &root());
        assert_eq!(report.have.iter_missing().map(|piece| piece.0).collect::<Vec<_>>(), bad);

        // And so it is when it is downloaded, and when the torrent is added again.
        let sample = Sample { layout: torrent.layout(), bytes: right.clone() };
        let (mut disk, memory) = added(&sample);
        sample.all_spans().iter().for_each(|span| disk.send(sample.write(*span)));
        let events = disk.run();
        // Nobody sent a wrong byte, so no piece is called bad for it: the torrent stops.
        assert_eq!(good(&events), 2 - bad.len());
        assert!(!outcomes(&events).contains(&Ok(Written::PieceBad)));
        let contradiction = Error::Contradiction { piece: PieceIndex(1) };
        let stops = events.iter().filter(|e| matches!(e, Event::Stopped { error, .. } if *error == contradiction));
        assert_eq!((stops.count(), outcomes(&events).contains(&Err(contradiction))), (bad.len(), !bad.is_empty()));
        disk.ask(Command::Remove { torrent: T, files: Files::Keep });
        assert_eq!(have(&disk_on(&memory, 2).ask(sample.add())).count() as usize, 2 - bad.len());
    }
}

#[test]
fn pieces_of_version_2_are_kept_in_any_order_and_a_spoiled_one_is_found() {
    let files = files(&[70_000, 10, 0, 32_768, 1]);
    for version in VERSIONS {
        let torrent = made(&create_on(put(&files), 1).ask(start(version)));
        let sample = Sample { layout: torrent.layout(), bytes: bytes_of(&torrent, &files) };
        let mut rng = Rng::new(5);
        let (mut disk, memory) = added(&sample);
        let mut spans = sample.all_spans();
        for at in (1..spans.len()).rev() {
            spans.swap(at, rng.below(at as u32 + 1) as usize);
        }
        let evil = Command::Write { torrent: T, span: spans[0], block: Block::from(vec![9; spans[0].length as usize]) };
        disk.send(evil);
        spans[1..].iter().for_each(|span| disk.send(sample.write(*span)));
        let pieces = sample.layout.geometry().piece_count() as usize;
        assert_eq!(good(&disk.run()), pieces - 1);
        let again = sample.spans(spans[0].piece.0, BLOCK_LENGTH);
        again.iter().for_each(|span| disk.send(sample.write(*span)));
        assert_eq!(good(&disk.run()), 1);
        for (number, file) in sample.layout.files().iter().enumerate() {
            // Padding is nowhere.
            let wanted = (!file.is_padding).then(|| sample.contents(number));
            assert_eq!(memory.contents(&sample.path(number)).as_deref(), wanted);
        }
    }
}

#[test]
fn without_piece_layers_nothing_is_called_wrong() {
    let memory = put(&files(&[70_000]));
    let torrent = made(&create_on(memory.clone(), 1).ask(start(Version::V2)));
    let bare = Metainfo::parse_info(torrent.info_bytes(), &Limits::default()).unwrap();
    let mut check = Driver::new(Check::new(Config::default(), &mut Rng::new(1)), Executor::new(memory.clone()), 1);
    let sample = |torrent: &Metainfo| Sample { layout: torrent.layout(), bytes: Vec::new() };
    let refused = Event::AddFailed { torrent: T, error: Error::NoPieceLayers };
    assert_eq!(disk_on(&memory, 1).ask(sample(&bare).add()), [refused]);
    let mut start =
        |torrent: &Metainfo| check.ask(check::Command::Start { layout: torrent.layout(), root: "/x".into() });
    assert_eq!(start(&bare), [check::Event::Failed { error: Error::NoPieceLayers }]);
    let layers: Vec<_> = torrent.layout().piece_layers().map(|(root, layer)| (*root, layer.to_vec())).collect();
    let whole = bare.with_piece_layers(layers.iter().map(|(root, layer)| (root, &layer[..]))).unwrap();
    assert!(matches!(&start(&whole)[..], [.., check::Event::Checked { report }] if report.is_complete()));
}
