use super::*;
use crate::proto::id::{FileIndex, PieceIndex};
use crate::proto::merkle::{self, Hasher};
use crate::proto::metainfo::{
    BuildError, Builder, Disagreement, Edit, Entry, LayerError, PieceHash, SafePath, Version, Warning,
};
use crate::proto::sha1::Sha1;
use crate::proto::sha256::Sha256;
use proptest::prelude::*;

const PIECE: u32 = 32 * 1024;

fn hash_tree(bytes: &[u8], leaves: u64) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish(leaves)
}

/// The bytes of a file, different for each number.
fn content(number: usize, length: u64) -> Vec<u8> {
    (0..length).map(|at| (at as usize * 7 + number * 13 + at as usize / 251) as u8).collect()
}

/// Hashes the files that are described, and builds the torrent.
pub(super) fn hashed(builder: Builder) -> Vec<u8> {
    let layout = builder.layout().unwrap();
    let mut bytes = Vec::new();
    for (number, file) in layout.files().iter().enumerate() {
        let content = if file.is_padding { vec![0; file.length as usize] } else { content(number, file.length) };
        bytes.extend(content);
    }
    let pieces = bytes.chunks(layout.geometry().piece_length() as usize);
    let builder =
        if layout.version().has_v1() { builder.piece_hashes(pieces.clone().map(Sha1::digest)) } else { builder };
    let roots = (0..).map(PieceIndex).zip(pieces).filter_map(|(piece, bytes)| {
        let (length, leaves) = layout.piece_tree(piece)?;
        Some(hash_tree(&bytes[..length as usize], leaves))
    });
    let roots: Vec<_> = roots.collect();
    builder.piece_roots(roots).build().unwrap()
}

fn some_files(version: Version) -> Builder {
    Builder::multi_file("t")
        .version(version)
        .piece_length(PIECE)
        .file(["b", "y"], 5)
        .file(["b", "x"], 100_000)
        .file(["a"], 40_000)
        .file(["c"], 0)
        .file(["b.c"], u64::from(PIECE))
        .file(["d", "e", "f"], u64::from(PIECE) * 4)
}

/// A hand-made `info` of version 2 around a file tree.
fn with_tree(fill: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
    torrent(|info| {
        info.bytes("name", "t");
        info.int("piece length", 16 * 1024);
        info.int("meta version", 2);
        info.dict("file tree", fill);
    })
}

fn leaf(dict: &mut DictEncoder<'_>, name: &[u8], length: i64) {
    dict.dict(name, |file| {
        file.dict("", |leaf| {
            leaf.int("length", length);
            leaf.bytes("pieces root", [7; 32]);
        });
    });
}

fn info_of(torrent: &[u8]) -> Vec<u8> {
    parse(torrent).unwrap().info_bytes().to_vec()
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("there is what is to be replaced");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn a_torrent_of_version_2_has_its_files_in_the_order_of_the_tree_each_at_a_piece() {
    let torrent = parse(&hashed(some_files(Version::V2))).unwrap();
    assert_eq!(torrent.version(), Version::V2);
    assert_eq!(torrent.warnings(), []);
    let layout = torrent.layout();
    let listed = layout.files().iter().filter(|file| !file.is_implied());
    let listed: Vec<_> =
        listed.map(|file| (file.path.to_string(), file.length, file.offset / u64::from(PIECE))).collect();
    let wanted = [
        ("t/a", 40_000, 0),
        ("t/b/x", 100_000, 2),
        ("t/b/y", 5, 6),
        ("t/b.c", u64::from(PIECE), 7),
        ("t/c", 0, 8),
        ("t/d/e/f", u64::from(PIECE) * 4, 8),
    ];
    assert_eq!(listed, wanted.map(|(path, length, piece)| (path.to_owned(), length, piece)));
    assert!(layout.files().iter().all(|file| file.is_padding == file.is_implied()));
    assert_eq!(layout.geometry().piece_count(), 12);
    assert_eq!(layout.content_length(), 40_000 + 100_000 + 5 + 5 * u64::from(PIECE));
    assert_eq!(layout.piece_hashes().len(), 0);
    assert_eq!(layout.piece_hash(PieceIndex(0)), None);
    assert_eq!(torrent.info_hash_v2().unwrap().0, Sha256::digest(torrent.info_bytes()));
    assert_eq!(torrent.info_hash(), torrent.info_hash_v2().unwrap().truncated());
}

#[test]
fn every_piece_of_version_2_has_the_root_of_its_bytes() {
    for version in [Version::V2, Version::Hybrid] {
        let torrent = parse(&hashed(some_files(version))).unwrap();
        let layout = torrent.layout();
        let geometry = layout.geometry();
        assert!(layout.is_verifiable());
        for piece in (0..geometry.piece_count()).map(PieceIndex) {
            let check = layout.piece_check(piece).unwrap();
            let root = check.v2().unwrap();
            let span = layout.spans(geometry.piece_offset(piece), 1).next().unwrap();
            let bytes = content(span.file.as_usize(), layout.file(span.file).unwrap().length);
            let from = span.offset as usize;
            assert_eq!(*root.root, hash_tree(&bytes[from..from + root.length as usize], root.leaves));
            assert_eq!(layout.piece_tree(piece), Some((root.length, root.leaves)));
            assert_eq!(check.v1().is_some(), version == Version::Hybrid);
        }
        let leaves = |piece| layout.piece_check(PieceIndex(piece)).unwrap().v2().map(|root| (root.length, root.leaves));
        // The last piece of a file is as wide as all of them, a small file only as wide as it has to be.
        assert_eq!(leaves(1), Some((40_000 - PIECE, 2)));
        assert_eq!(leaves(6), Some((5, 1)));
        assert_eq!(leaves(7), Some((PIECE, 2)));
        assert_eq!(layout.piece_check(PieceIndex(12)), None);
        let root = layout.pieces_root(FileIndex(0)).unwrap();
        assert_eq!(*root, hash_tree(&content(0, 40_000), merkle::leaves(40_000)));
    }
}

#[test]
fn a_hybrid_has_the_geometry_of_its_twin_of_version_2() {
    let hybrid = parse(&hashed(some_files(Version::Hybrid))).unwrap();
    let twin = parse(&hashed(some_files(Version::V2))).unwrap();
    assert_eq!(hybrid.warnings(), []);
    assert_eq!(hybrid.version(), Version::Hybrid);
    assert_eq!(hybrid.geometry(), twin.geometry());
    let files = |torrent: &Metainfo| -> Vec<_> {
        torrent.files().iter().map(|file| (file.path.clone(), file.length, file.offset, file.is_padding)).collect()
    };
    assert_eq!(files(&hybrid), files(&twin));
    assert!(hybrid.files().iter().all(|file| !file.is_implied()));
    assert_eq!(hybrid.info_hash().0, Sha1::digest(hybrid.info_bytes()));
    assert!(matches!(hybrid.layout().piece_check(PieceIndex(3)), Some(PieceHash::Both(..))));
}

#[test]
fn one_file_of_the_torrents_name_is_a_single_file() {
    for version in [Version::V2, Version::Hybrid] {
        let single = Builder::single_file("one", 70_000).version(version).piece_length(PIECE);
        let single = parse(&hashed(single)).unwrap();
        assert_eq!(paths(&single), ["one"]);
        assert!(!single.layout().is_multi_file());
        assert_eq!(single.warnings(), []);
        let folder = Builder::multi_file("one").file(["two"], 70_000).version(version).piece_length(PIECE);
        assert_eq!(paths(&parse(&hashed(folder)).unwrap()), ["one/two"]);
    }
}

#[test]
fn layers_that_are_not_those_of_the_files_are_refused() {
    let bytes = hashed(some_files(Version::V2));
    let info = info_of(&bytes);
    let torrent = parse(&bytes).unwrap();
    let layout = torrent.layout();
    let layers: Vec<([u8; 32], Vec<u8>)> = layout.piece_layers().map(|(r, l)| (*r, l.to_vec())).collect();
    assert_eq!(layers.len(), 3);
    let with = |layers: &[([u8; 32], Vec<u8>)]| {
        let borrowed = layers.iter().map(|(root, layer)| (root, &layer[..]));
        parse(&Edit::of_info(&info, &HOST).unwrap().piece_layers(borrowed).build())
    };
    assert_eq!(with(&layers).unwrap().layout(), layout);
    let error = |layers: &[([u8; 32], Vec<u8>)]| match with(layers) {
        Err(Error::Layers { error, .. }) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(error(&layers[..2]), LayerError::Missing { file: FileIndex(8) });
    let mut changed = layers.clone();
    changed[0].1[40] ^= 1;
    assert_eq!(error(&changed), LayerError::Hash { file: FileIndex(0) });
    let mut changed = layers.clone();
    changed[0].1.extend([0; 32]);
    assert_eq!(error(&changed), LayerError::Length { file: FileIndex(0), expected: 64, found: 96 });
    changed[0].1.truncate(33);
    assert_eq!(error(&changed), LayerError::Length { file: FileIndex(0), expected: 64, found: 33 });
    let mut more = layers.clone();
    more.push(([1; 32], vec![2; 64]));
    assert!(matches!(with(&more).unwrap().warnings(), [Warning::Ignored { key: "piece layers", .. }]));
    let none = parse(&Edit::of_info(&info, &HOST).unwrap().build()).unwrap_err();
    assert_eq!(none.to_string(), format!("piece layers: none for file 0 at byte {}", info.len() + 8));
}

#[test]
fn a_bare_info_has_no_layers_until_they_are_supplied() {
    let bytes = hashed(some_files(Version::V2));
    let whole = parse(&bytes).unwrap();
    let bare = Metainfo::parse_info(whole.info_bytes(), &HOST).unwrap();
    assert!(!bare.layout().is_verifiable());
    assert_eq!(bare.layout().piece_check(PieceIndex(0)), Some(PieceHash::Unknown));
    // A file of one piece needs no layer.
    assert!(matches!(bare.layout().piece_check(PieceIndex(7)), Some(PieceHash::V2(_))));
    let layout = whole.layout();
    let mut all: Vec<_> = layout.piece_layers().collect();
    let last = all.pop().unwrap();
    let some = bare.with_piece_layers(all).unwrap();
    assert!(!some.layout().is_verifiable());
    assert_eq!(some.layout().piece_check(PieceIndex(0)), layout.piece_check(PieceIndex(0)));
    assert_eq!(some.layout().piece_check(PieceIndex(9)), Some(PieceHash::Unknown));
    let full = some.with_piece_layers([last]).unwrap();
    assert_eq!(full.layout(), layout);
    assert_eq!(
        bare.with_piece_layers([(last.0, &last.1[32..])]).unwrap_err().to_string(),
        "96 bytes for file 8, which has 128"
    );
}

#[test]
fn files_of_the_same_bytes_share_a_layer() {
    let piece = vec![0; PIECE as usize];
    let builder = Builder::multi_file("t").version(Version::V2).piece_length(PIECE);
    let builder = builder.file(["a"], 2 * u64::from(PIECE)).file(["b"], 2 * u64::from(PIECE));
    let bytes = builder.piece_roots([hash_tree(&piece, 2); 4]).build().unwrap();
    let torrent = parse(&bytes).unwrap();
    assert_eq!(torrent.layout().piece_layers().count(), 2);
    assert_eq!(torrent.layout().piece_check(PieceIndex(0)), torrent.layout().piece_check(PieceIndex(3)));
    // vectors.md: 64 KiB of zeros.
    let root: String = torrent.layout().pieces_root(FileIndex(1)).unwrap().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(root, "60aae9c7b428f87e0713e88229e18f0adf12cd7b22a0dd8a92bb2485eb7af242");
}

#[test]
fn a_file_tree_that_cannot_be_is_refused() {
    assert_eq!(message(parse(&with_tree(|_| {}))), "info: no files at byte 19");
    let root_is_file = with_tree(|tree| tree.dict("", |leaf| leaf.int("length", 1)));
    assert_eq!(message(parse(&root_is_file)), "info.file tree: a file without a name at byte 22");
    let both = with_tree(|tree| {
        tree.dict("x", |x| {
            x.dict("", |leaf| leaf.int("length", 0));
            leaf(x, b"y", 1);
        });
    });
    assert_eq!(message(parse(&both)), "info.file tree: both a file and a folder at byte 23");
    let no_root = with_tree(|tree| tree.dict("x", |x| x.dict("", |leaf| leaf.int("length", 1))));
    assert_eq!(message(parse(&no_root)), "info.file tree.x..pieces root: missing from the dictionary at byte 26");
    let short = with_tree(|tree| {
        tree.dict("x", |x| {
            x.dict("", |leaf| {
                leaf.int("length", 1);
                leaf.bytes("pieces root", [0; 31]);
            });
        });
    });
    assert_eq!(message(parse(&short)), "info.file tree: a pieces root that is not 32 bytes at byte 52");
    let no_length = with_tree(|tree| tree.dict("x", |x| x.dict("", |leaf| leaf.bytes("pieces root", [0; 32]))));
    assert_eq!(message(parse(&no_length)), "info.file tree.x..length: missing from the dictionary at byte 26");
    assert!(message(parse(&with_tree(|tree| leaf(tree, b"x", -1)))).contains("the negative length -1"));
    assert_eq!(message(parse(&with_tree(|tree| leaf(tree, b"x", 0)))), "info: a total length of 0 at byte 7");
    let huge = with_tree(|tree| {
        leaf(tree, b"x", i64::MAX);
        leaf(tree, b"y", 1);
    });
    assert!(matches!(parse(&huge), Err(Error::TotalOverflow { .. })));
    assert!(matches!(parse(&with_tree(|tree| leaf(tree, b"x", i64::MAX))), Err(Error::TooManyPieces { .. })));
    assert!(matches!(parse(&with_tree(|tree| tree.int("x", 1))), Err(Error::Bencode(_))));
    // An empty folder is nothing.
    let empty = with_tree(|tree| {
        tree.dict("a", |_| {});
        leaf(tree, b"x", 1);
    });
    assert_eq!(paths(&parse(&empty).unwrap()), ["t/x"]);
}

#[test]
fn names_in_a_file_tree_are_as_safe_as_in_a_list() {
    let bytes = with_tree(|tree| {
        tree.dict("..", |up| {
            up.dict("..", |up| leaf(up, b"etc", 1));
            leaf(up, b".", 1);
        });
        leaf(tree, b"/abs", 1);
        leaf(tree, b"__", 1);
        tree.dict("__/", |folder| leaf(folder, b"\0", 1));
        tree.dict("___", |folder| leaf(folder, b"_", 1));
    });
    let torrent = parse(&bytes).unwrap();
    let layout = torrent.layout();
    let real: Vec<_> =
        layout.files().iter().filter(|file| !file.is_padding).map(|file| file.path.to_string()).collect();
    assert_eq!(real, ["t/__/_", "t/__/__/etc", "t/_abs", "t/__.1", "t/___/_", "t/___/_.1"]);
    assert_eq!(layout.raw_path(FileIndex(2)), Some(vec![&b".."[..], b"..", b"etc"]));
    assert_eq!(layout.raw_path(FileIndex(8)), Some(vec![&b"__/"[..], b"\0"]));
    assert_eq!(layout.raw_path(FileIndex(10)), Some(vec![&b"___"[..], b"_"]));
    assert!(layout.files().iter().all(|file| SafePath::from_parts(file.path.parts()).as_ref() == Ok(&file.path)));
}

#[test]
fn a_file_tree_that_is_too_deep_is_refused() {
    let deep = |folders: usize| {
        let mut tree = b"d4:infod9:file tree".to_vec();
        (0..folders).for_each(|_| tree.extend(b"d1:a"));
        tree.extend(b"d1:fd0:d6:lengthi1e11:pieces root32:");
        tree.extend([7; 32]);
        tree.extend(b"eee");
        (0..folders).for_each(|_| tree.push(b'e'));
        tree.extend(b"12:meta versioni2e4:name1:t12:piece lengthi16384eee");
        tree
    };
    assert!(parse(&deep(59)).is_ok());
    assert_eq!(message(parse(&deep(60))), "nested deeper than the limit of 64 at byte 266");
    assert_eq!(message(parse(&deep(20_000))), "nested deeper than the limit of 64 at byte 267");
    let limits = Limits { path_depth: 10, ..HOST };
    assert!(Metainfo::parse(&deep(8), &limits).is_ok());
    assert!(matches!(Metainfo::parse(&deep(9), &limits), Err(Error::PathTooDeep { limit: 10, .. })));
}

#[test]
fn versions_that_are_not_known_are_refused_before_anything_else() {
    let of = |version: i64| torrent(|info| info.int("meta version", version));
    assert_eq!(message(parse(&of(3))), "info.meta version: 3, which is not supported, at byte 23");
    assert_eq!(message(parse(&of(0))), "info.meta version: 0, which is not supported, at byte 23");
    // One was never assigned: what else is there counts.
    let metainfo = parse(&single(|info| info.int("meta version", 1))).unwrap();
    assert_eq!(metainfo.version(), Version::V1);
    assert!(matches!(metainfo.warnings(), [Warning::Ignored { key: "meta version", .. }]));
    let text = torrent(|info| info.bytes("meta version", "2"));
    assert_eq!(message(parse(&text)), "info.meta version: expected an integer, found a string at byte 23");
}

#[test]
fn a_piece_length_that_version_2_does_not_have_is_refused() {
    for bad in [8 * 1024, 16 * 1024 + 1, 48 * 1024] {
        let bytes = replaced(&with_tree(|tree| leaf(tree, b"x", 1)), b"i16384e", format!("i{bad}e").as_bytes());
        assert!(matches!(parse(&bytes), Err(Error::PieceLengthV2 { value, .. }) if value == bad));
        let builder = Builder::single_file("x", 1).version(Version::V2).piece_length(bad);
        assert_eq!(builder.build(), Err(BuildError::PieceLengthV2 { value: bad }));
    }
}

#[test]
fn a_hybrid_whose_descriptions_disagree_is_refused() {
    let bytes = hashed(some_files(Version::Hybrid));
    let what = |from: &[u8], to: &[u8]| match parse(&replaced(&bytes, from, to)) {
        Err(Error::Disagree { path, what, .. }) => (path, what),
        other => panic!("{other:?}"),
    };
    // The tree comes first: what is replaced there is the first of its kind.
    let a = "1:ad0:d6:lengthi40000e";
    assert_eq!(
        what(a.as_bytes(), b"1:ad0:d6:lengthi40001e"),
        ("a".to_owned(), Disagreement::Length { list: 40_000, tree: 40_001 })
    );
    assert_eq!(what(b"1:ad0:", b"1:Ad0:"), ("A".to_owned(), Disagreement::Path { file: FileIndex(0) }));
    assert_eq!(what(b"4:pathl1:b1:ye", b"4:pathl1:b1:ze").0, "b/y");
    assert_eq!(
        what(b"4:pathl1:b1:ye", b"4:pathl3:b/ye"),
        ("b/y".to_owned(), Disagreement::Path { file: FileIndex(4) })
    );
    // Padding that is too short, or none.
    let pad = format!("d4:attr1:p6:lengthi{}e", 2 * PIECE - 40_000);
    let shorter = format!("d4:attr1:p6:lengthi{}e", 2 * PIECE - 40_001);
    assert_eq!(
        what(pad.as_bytes(), shorter.as_bytes()),
        ("b/x".to_owned(), Disagreement::Offset { list: 65_535, tree: 65_536 })
    );
    // A file in the list or in the tree alone.
    let empty_in_tree = b"1:cd0:d6:lengthi0eee";
    assert_eq!(what(empty_in_tree, b""), ("d/e/f".to_owned(), Disagreement::Path { file: FileIndex(7) }));
    assert_eq!(what(b"d6:lengthi0e4:pathl1:cee", b""), ("c".to_owned(), Disagreement::Path { file: FileIndex(7) }));
    let more = [&b"d6:lengthi131072e4:pathl1:d1:e1:fee"[..], b"d6:lengthi0e4:pathl1:gee"].concat();
    let (path, what_is) = what(b"d6:lengthi131072e4:pathl1:d1:e1:fee", &more);
    assert_eq!((path.as_str(), what_is), ("", Disagreement::OnlyInList { file: FileIndex(9) }));
    let with_g = b"1:gd0:d6:lengthi0eee";
    let last = b"eeee5:filesl";
    let (path, what_is) = what(last, &[&b"eee"[..], with_g, b"e5:filesl"].concat());
    assert_eq!((path.as_str(), what_is), ("g", Disagreement::OnlyInTree));
    // A whole piece of padding at the end.
    let end = format!("d6:lengthi131072e4:pathl1:d1:e1:fee{}", "d4:attr1:p6:lengthi32768e4:pathl1:pee");
    assert_eq!(
        what(b"d6:lengthi131072e4:pathl1:d1:e1:fee", end.as_bytes()),
        (String::new(), Disagreement::Pieces { list: 13, tree: 12 })
    );
    let error = parse(&replaced(&bytes, a.as_bytes(), b"1:ad0:d6:lengthi40001e")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "info: versions 1 and 2 disagree about \"a\": a length of 40000 in the list and 40001 in the tree at byte 23"
    );
}

#[test]
fn a_hybrid_may_have_padding_after_its_last_file() {
    let builder = Builder::multi_file("t").version(Version::Hybrid).piece_length(PIECE).file(["a"], 40_000);
    let bytes = hashed(builder);
    let padded = replaced(&bytes, b"4:pathl1:aee", b"4:pathl1:aeed4:attr1:p6:lengthi25536e4:pathl4:.pad5:25536ee");
    let torrent = parse(&padded).unwrap();
    assert_eq!((torrent.total_length(), torrent.layout().content_length()), (65_536, 40_000));
    let last = torrent.layout().piece_check(PieceIndex(1)).unwrap().v2().map(|root| root.length);
    assert_eq!(last, Some(40_000 - PIECE));
}

#[test]
fn links_and_marks_survive_in_every_version() {
    for version in [Version::V1, Version::V2, Version::Hybrid] {
        let builder = Builder::multi_file("t")
            .version(version)
            .piece_length(PIECE)
            .entry(Entry::new(["bin", "tool"], 5).executable())
            .entry(Entry::new(["rc"], 1).hidden())
            .entry(Entry::link(["a", "link"], ["bin", "tool"]))
            .entry(Entry::link(["to folder"], ["bin"]));
        let torrent = parse(&hashed(builder)).unwrap();
        assert_eq!(torrent.warnings(), []);
        let layout = torrent.layout();
        let of = |name: &str| {
            let at = layout.files().iter().position(|file| file.path.to_string() == format!("t/{name}")).unwrap();
            (FileIndex(at as u32), &layout.files()[at])
        };
        assert!(of("bin/tool").1.is_executable() && !of("bin/tool").1.is_hidden());
        assert!(of("rc").1.is_hidden());
        assert!(of("a/link").1.is_symlink());
        assert_eq!(layout.link_target(of("a/link").0).unwrap().to_string(), "t/bin/tool");
        assert_eq!(layout.link_target(of("to folder").0).unwrap().to_string(), "t/bin");
        assert_eq!(layout.link_target(of("rc").0), None);
        let bad = Builder::multi_file("t").file(["x"], 1).entry(Entry::link(["l"], ["y"]));
        let bad = bad.version(version).piece_length(PIECE).piece_hashes([[0; 20]]).piece_roots([[0; 32]]);
        assert_eq!(bad.build(), Err(BuildError::Link { target: "y".into() }));
    }
}

/// A tree of plain names.
fn tree() -> impl Strategy<Value = Vec<(Vec<String>, u64)>> {
    let length = prop_oneof![0..100_000_u64, Just(0), Just(u64::from(PIECE)), Just(2 * u64::from(PIECE))];
    prop::collection::btree_map(prop::collection::vec("[a-c.!]{1,2}", 1..4), length, 1..12).prop_map(|files| {
        let mut files: Vec<_> = files.into_iter().collect();
        let all: Vec<Vec<String>> = files.iter().map(|(path, _)| path.clone()).collect();
        files.retain(|(path, _)| {
            let is_folder = all.iter().any(|other| other.len() > path.len() && other.starts_with(path));
            !is_folder && !path.iter().any(|part| part == "." || part == "..")
        });
        files
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_tree_is_read_as_it_was_described(files in tree(), version in prop::sample::select(vec![Version::V2, Version::Hybrid])) {
        let total: u64 = files.iter().map(|(_, length)| length).sum();
        prop_assume!(total > 0);
        let builder = Builder::multi_file("t").version(version).piece_length(PIECE);
        let builder = files.iter().rev().fold(builder, |builder, (path, length)| builder.file(path, *length));
        let bytes = hashed(builder);
        let torrent = parse(&bytes).unwrap();
        prop_assert_eq!(torrent.warnings(), []);
        let layout = torrent.layout();
        let read: Vec<(Vec<String>, u64)> = layout.files().iter().filter(|file| !file.is_padding).map(|file| {
            let parts = file.path.parts().skip(1).map(|part| String::from_utf8(part.to_vec()).unwrap());
            (parts.collect(), file.length)
        }).collect();
        prop_assert_eq!(read, files);
        prop_assert!(layout.files().iter().filter(|f| !f.is_padding && f.length > 0).all(|f| f.offset % u64::from(PIECE) == 0));
        let checks = (0..layout.geometry().piece_count()).map(|piece| layout.piece_check(PieceIndex(piece)));
        prop_assert!(checks.into_iter().all(|check| check.is_some_and(|check| check.v2().is_some())));
        let edited = Edit::of(&bytes, &HOST).unwrap().comment(Some("new")).build();
        prop_assert_eq!(parse(&edited).unwrap().info_hash_v2(), torrent.info_hash_v2());
        prop_assert_eq!(parse(&edited).unwrap().layout(), layout);
    }

    #[test]
    fn bytes_of_a_hybrid_changed_at_random_never_panic_and_never_break_a_promise(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"0123456789ilde:-\0/.a\xff".to_vec())), 1..4),
    ) {
        let mut bytes = hashed(some_files(Version::Hybrid));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        match parse(&bytes) {
            Ok(torrent) => {
                let layout = torrent.layout();
                let pieces = layout.geometry().piece_count();
                prop_assert!((0..pieces).all(|piece| layout.piece_check(PieceIndex(piece)).is_some()));
                prop_assert!(layout.is_verifiable());
            }
            Err(error) => prop_assert!(error.to_string().contains(" at byte "), "{}", error),
        }
    }
}
