use super::*;
use crate::proto::id::FileIndex;
use crate::proto::metainfo::{SafePath, Warning};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn names_that_lead_out_of_the_folder_are_repaired_visibly() {
    let metainfo =
        parse(&multi(&[&["..", "..", "x"][..], &["/etc/passwd"], &["", "a"], &[], &["a\0b"], &["."]])).unwrap();
    assert_eq!(paths(&metainfo), ["t/__/__/x", "t/_etc_passwd", "t/_/a", "t/_.1", "t/a_b", "t/_.2"]);
    assert_eq!(metainfo.layout().raw_path(FileIndex(0)).unwrap(), [&b".."[..], b"..", b"x"]);
    assert_eq!(metainfo.warnings()[0].to_string(), r#"file 0: "../../x" is stored as "__/__/x""#);
    assert_eq!(metainfo.warnings().len(), 8);
    let named = |name: &[u8]| parse(&single(|i| i.bytes("name", name)));
    for (raw, stored) in [("..", "__"), ("/abs", "_abs"), ("", "_"), ("a/../b", "a_.._b")] {
        let metainfo = named(raw.as_bytes()).unwrap();
        assert_eq!((metainfo.name(), metainfo.raw_name()), (stored.to_string(), raw.as_bytes()));
        assert_eq!(paths(&metainfo), [stored]);
        assert!(matches!(metainfo.warnings(), [Warning::NameRepaired { .. }]));
    }
    assert_eq!(message(named(&[0, 0])), "info.name: nothing but NUL bytes at byte 25");
    assert_eq!(
        message(parse(&single(|i| i.int("name", 5)))),
        "info.name: expected a string, found an integer at byte 25"
    );
}

#[test]
fn a_part_of_a_path_that_is_not_a_string_is_refused() {
    let bytes = String::from_utf8_lossy(&multi(&[&["a", "bc"]])).replacen("2:bc", "i7e", 1).into_bytes();
    assert_eq!(message(parse(&bytes)), "info.files[0].path[1]: expected a string, found an integer at byte 38");
    let bytes = String::from_utf8_lossy(&multi(&[&["a", "bc"]])).replacen("l1:a2:bce", "1:a", 1).into_bytes();
    assert_eq!(message(parse(&bytes)), "info.files[0].path: expected a list, found a string at byte 34");
}

#[test]
#[cfg(unix)]
fn a_name_that_is_not_utf8_is_kept_here_and_repaired_to_be_portable() {
    let bytes = multi(&[&[&b"\xff\x01"[..]][..], &[&b"\xc3\xa4"[..]]]);
    let metainfo = parse(&bytes).unwrap();
    assert_eq!(metainfo.files()[0].path.file_name(), b"\xff\x01");
    assert_eq!(metainfo.layout().raw_path(FileIndex(0)), None);
    assert_eq!(metainfo.warnings(), [Warning::NotUtf8 { file: Some(FileIndex(0)) }]);
    let metainfo = Metainfo::parse(&bytes, &PORTABLE).unwrap();
    assert_eq!(paths(&metainfo), ["t/\u{fffd}_", "t/ä"]);
    assert_eq!(metainfo.layout().raw_path(FileIndex(0)), Some(vec![&b"\xff\x01"[..]]));
    assert!(matches!(metainfo.warnings(), [Warning::PathRepaired { .. }]));
    let metainfo = parse(&single(|i| i.bytes("name", b"\xff"))).unwrap();
    assert_eq!((metainfo.name().as_str(), metainfo.layout().name_bytes()), ("\u{fffd}", &b"\xff"[..]));
    assert_eq!(metainfo.warnings(), [Warning::NotUtf8 { file: None }]);
}

#[test]
fn the_utf8_forms_of_names_are_preferred_where_they_are_sound() {
    let bytes = |utf8: &dyn Fn(&mut DictEncoder<'_>)| {
        torrent(|info| {
            info.bytes("name", b"old");
            info.bytes("name.utf-8", "neu");
            info.int("piece length", 1);
            info.bytes("pieces", [0; 20]);
            info.list("files", |files| {
                files.dict(|file| {
                    file.int("length", 1);
                    file.list("path", |p| p.bytes("alt"));
                    utf8(file);
                });
            });
        })
    };
    let stored = |utf8: &dyn Fn(&mut DictEncoder<'_>)| paths(&parse(&bytes(utf8)).unwrap());
    assert_eq!(stored(&|f| f.list("path.utf-8", |p| p.bytes("ü"))), ["neu/ü"]);
    assert_eq!(stored(&|f| f.list("path.utf-8", |p| p.bytes("../x"))), ["neu/.._x"]);
    assert_eq!(stored(&|f| f.list("path.utf-8", |_| {})), ["neu/alt"]);
    assert_eq!(stored(&|f| f.list("path.utf-8", |p| p.int(5))), ["neu/alt"]);
    assert_eq!(stored(&|f| f.list("path.utf-8", |p| p.bytes([0xff]))), ["neu/alt"]);
    assert_eq!(stored(&|f| f.bytes("path.utf-8", "x")), ["neu/alt"]);
    let metainfo = parse(&single(|i| i.bytes("name.utf-8", [0xff]))).unwrap();
    assert_eq!(metainfo.name(), "n");
}

#[test]
fn files_never_share_a_path_nor_stand_where_a_folder_is() {
    let metainfo = parse(&multi(&[&["a.x"][..], &["a.x"], &["d"], &["d", "e"], &["p/q"], &["p_q"]])).unwrap();
    assert_eq!(paths(&metainfo), ["t/a.x", "t/a.1.x", "t/d.1", "t/d/e", "t/p_q", "t/p_q.1"]);
    assert_eq!(metainfo.layout().raw_path(FileIndex(1)), Some(vec![&b"a.x"[..]]));
    assert_eq!(metainfo.layout().raw_path(FileIndex(4)), Some(vec![&b"p/q"[..]]));
    assert!(metainfo.warnings().iter().any(|w| w.to_string() == r#"file 2: "d" is taken, so it is stored as "d.1""#));
    let many = |n| multi(&vec![&["same"][..]; n]);
    assert!(parse(&many(501)).is_ok());
    assert_eq!(message(parse(&many(502))), "info: too many files of the same path at byte 15");
}

#[test]
fn padding_does_not_count_as_duplicate() {
    let bytes =
        String::from_utf8_lossy(&multi(&vec![&[".pad", "7"][..]; 600])).replace("6:length", "4:attr1:p6:length");
    let metainfo = parse(bytes.as_bytes()).unwrap();
    assert!(metainfo.files().iter().all(|f| f.is_padding));
    assert_eq!(metainfo.files()[599].path.to_string(), "t/.pad/7.599");
}

#[test]
fn files_and_parts_of_paths_are_limited() {
    let limits = Limits { files: 2, ..HOST };
    assert!(Metainfo::parse(&multi(&[&["a"], &["b"]]), &limits).is_ok());
    let error = Metainfo::parse(&multi(&[&["a"], &["b"], &["c"]]), &limits).unwrap_err();
    assert_eq!(error, Error::TooManyFiles { at: 64, limit: 2 });
    let deep = |parts: usize| parse(&multi(&[&vec!["d"; parts]]));
    assert_eq!(deep(99).unwrap().files()[0].path.parts().count(), 100);
    assert_eq!(message(deep(100)), "info: a path of more than 100 parts at byte 34");
}

/// What every layout promises, whatever the torrent.
fn check_layout(metainfo: &Metainfo, names: Names) {
    let layout = metainfo.layout();
    let mut offset = 0;
    let mut stored = BTreeSet::new();
    for file in layout.files() {
        assert_eq!(file.offset, offset);
        offset += file.length;
        assert!(file.path.parts().all(|part| names.keeps(part)), "{:?}", file.path);
        assert_eq!(SafePath::from_parts(file.path.parts()).as_ref(), Ok(&file.path));
        assert_eq!(file.path.parts().next(), Some(layout.name_bytes()));
        assert!(stored.insert(names.fold(&file.path.to_bytes()).into_owned()), "twice: {:?}", file.path);
    }
    assert_eq!(offset, layout.geometry().total_length());
    for file in layout.files() {
        let mut folder = file.path.parent();
        while let Some(path) = folder {
            assert!(!stored.contains(&*names.fold(&path.to_bytes())), "a file and a folder: {path:?}");
            folder = path.parent();
        }
    }
    let hashes = layout.piece_hashes().len();
    assert_eq!(hashes, layout.geometry().piece_count() as usize);
    assert_eq!(layout.spans(0, u64::MAX).map(|span| span.length).sum::<u64>(), offset);
}

proptest! {
    #[test]
    fn whatever_the_names_no_two_files_share_a_path_and_none_leaves_the_folder(
        files in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(prop::sample::select(b"aA.1/\\\0_ \xff".to_vec()), 0..4), 0..4),
            1..40,
        ),
    ) {
        let parts: Vec<&[Vec<u8>]> = files.iter().map(Vec::as_slice).collect();
        let bytes = multi(&parts);
        for limits in [HOST, PORTABLE] {
            let metainfo = Metainfo::parse(&bytes, &limits).unwrap();
            check_layout(&metainfo, limits.names);
            let layout = metainfo.layout();
            for (index, (file, raw)) in (0..).zip(layout.files().iter().zip(&files)) {
                let stored: Vec<&[u8]> = file.path.parts().skip(1).collect();
                prop_assert_eq!(&layout.raw_path(FileIndex(index)).unwrap_or(stored), raw);
            }
        }
    }

    #[test]
    fn bytes_changed_at_random_never_panic_and_never_break_a_promise(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"0123456789ilde:-\0/.a\xff".to_vec())), 1..4),
    ) {
        let mut bytes = multi(&[&["a"][..], &["b", "c"], &["b", "d"]]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for limits in [HOST, PORTABLE] {
            match Metainfo::parse(&bytes, &limits) {
                Ok(metainfo) => check_layout(&metainfo, limits.names),
                Err(error) => prop_assert!(error.to_string().contains(" at byte "), "{}", error),
            }
        }
    }
}
