use super::{Limits, Metainfo, Names};
use crate::proto::id::FileIndex;
use crate::proto::metainfo::{BuildError, Builder};
use proptest::prelude::*;

fn parse(bytes: &[u8]) -> Metainfo {
    Metainfo::parse(bytes, &Limits::default()).unwrap()
}

#[test]
fn every_field_survives() {
    let builder = Builder::single_file("n", 5)
        .piece_length(3)
        .piece_hashes([[1; 20], [2; 20]])
        .private(true)
        .source("S")
        .tracker_tier(["u:1", "u:2"])
        .tracker_tier(Vec::<String>::new())
        .tracker_tier(["u:3"])
        .comment("ü")
        .created_by("bip")
        .creation_date(1_700_000_000);
    let bytes = builder.build().unwrap();
    assert_eq!(bytes, builder.clone().build().unwrap());
    let metainfo = parse(&bytes);
    assert!(metainfo.is_private());
    assert_eq!(metainfo.source(), Some("S"));
    assert_eq!(metainfo.announce(), Some("u:1"));
    assert_eq!(metainfo.trackers(), [vec!["u:1", "u:2"], vec!["u:3"]]);
    assert_eq!(metainfo.comment(), Some("ü"));
    assert_eq!(metainfo.created_by(), Some("bip"));
    assert_eq!(metainfo.creation_date(), Some(1_700_000_000));
    assert_eq!(metainfo.layout().piece_hashes().collect::<Vec<_>>(), [&[1; 20], &[2; 20]]);
    assert_eq!(metainfo.warnings(), []);
}

#[test]
fn the_bytes_are_as_other_programs_write_them() {
    let bytes = Builder::multi_file("t")
        .file(["d", "a"], 1)
        .file(["b"], 0)
        .piece_hashes([*b"01234567890123456789"])
        .tracker_tier(["u:1"])
        .private(false)
        .build()
        .unwrap();
    let wanted = "d8:announce3:u:14:infod5:filesld6:lengthi1e4:pathl1:d1:aeed6:lengthi0e4:pathl1:beee\
                  4:name1:t12:piece lengthi16384e6:pieces20:01234567890123456789ee";
    assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
}

#[test]
fn what_could_not_be_read_again_is_refused() {
    let one = |builder: Builder| builder.piece_length(1).piece_hashes([[0; 20]]).build().unwrap_err();
    let file = |parts: &[&str]| one(Builder::multi_file("t").file(["a"], 1).file(parts, 0));
    assert_eq!(one(Builder::multi_file("t")), BuildError::NoFiles);
    assert_eq!(one(Builder::single_file("n", 0)), BuildError::Empty);
    assert_eq!(one(Builder::single_file("n", u64::MAX)), BuildError::TooLong);
    assert_eq!(one(Builder::multi_file("n").file(["a"], u64::MAX).file(["b"], 1)), BuildError::TooLong);
    assert!(matches!(one(Builder::single_file("n", 2)), BuildError::PieceCount { expected: 2, found: 1 }));
    assert!(matches!(one(Builder::single_file("n", 1 << 22)), BuildError::TooManyPieces { .. }));
    for bad in ["", "..", "a/b", "\0"] {
        assert!(matches!(one(Builder::single_file(bad, 1)), BuildError::Path(_)), "{bad:?}");
        assert!(matches!(file(&["x", bad]), BuildError::Path(_)), "{bad:?}");
    }
    assert!(matches!(file(&[]), BuildError::Path(_)));
    assert!(matches!(file(&["a"]), BuildError::Clash { .. }));
    assert!(matches!(file(&["a", "b"]), BuildError::Clash { .. }));
    assert!(matches!(file(&vec!["d"; 100]), BuildError::PathTooDeep { limit: 100, .. }));
    let long = Builder::single_file("n", 1).piece_length(u32::MAX).piece_hashes([[0; 20]]).build();
    assert!(matches!(long, Err(BuildError::PieceLength { .. })));
    let long = Builder::single_file("n", 1).piece_hashes([[0; 20]]).comment("x".repeat(32 << 20)).build();
    assert!(matches!(long, Err(BuildError::TorrentTooLong { .. })));
}

/// A tree such as this host may hold: no two siblings of one name, and names of any bytes that it permits.
fn tree() -> impl Strategy<Value = Vec<(Vec<Vec<u8>>, u64)>> {
    let part = if cfg!(unix) && !Names::default().is_portable() {
        prop::collection::vec((1..=255_u8).prop_filter("a separator", |b| *b != b'/'), 1..=255).boxed()
    } else {
        "[a-z]{1,20}".prop_map(String::into_bytes).boxed()
    };
    let part = part.prop_filter("not a name", |p| p != b"." && p != b"..");
    let path = prop::collection::vec(part, 1..5);
    prop::collection::btree_map(path, 0..100_000_u64, 1..8).prop_map(|files| {
        let mut files: Vec<_> = files.into_iter().collect();
        let folders: Vec<Vec<Vec<u8>>> = files.iter().map(|(path, _)| path.clone()).collect();
        files.retain(|(path, _)| !folders.iter().any(|f| f.len() > path.len() && f.starts_with(path)));
        files
    })
}

proptest! {
    #[test]
    fn every_tree_this_host_can_hold_is_read_as_it_was_described(files in tree(), piece_length in 1..50_000_u32) {
        let mut builder = files.iter().fold(Builder::multi_file("t"), |b, (path, length)| b.file(path, *length));
        let total: u64 = files.iter().map(|(_, length)| length).sum();
        if total == 0 {
            prop_assert_eq!(builder.build(), Err(BuildError::Empty));
            return Ok(());
        }
        builder = builder.piece_length(piece_length);
        let hashes: Vec<[u8; 20]> = (0..builder.geometry().unwrap().piece_count()).map(|i| [i as u8; 20]).collect();
        let bytes = builder.piece_hashes(hashes.clone()).build().unwrap();
        let metainfo = parse(&bytes);
        prop_assert!(metainfo.layout().piece_hashes().eq(&hashes));
        prop_assert_eq!(metainfo.total_length(), total);
        let read: Vec<(Vec<Vec<u8>>, u64)> = metainfo
            .files()
            .iter()
            .map(|f| (f.path.parts().skip(1).map(<[u8]>::to_vec).collect(), f.length))
            .collect();
        prop_assert_eq!(read, files);
        let raw = (0..metainfo.files().len() as u32).filter_map(|f| metainfo.layout().raw_path(FileIndex(f)).map(|_| f));
        prop_assert_eq!(raw.count(), 0);
    }
}
