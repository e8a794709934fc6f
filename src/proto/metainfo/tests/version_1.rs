use super::*;
use crate::proto::bencode;
use crate::proto::id::{FileIndex, InfoHash, PieceIndex};
use crate::proto::metainfo::{Edit, Warning};
use crate::proto::sha1::Sha1;

#[test]
fn a_single_file_is_read() {
    let metainfo = parse(&single(|_| {})).unwrap();
    assert_eq!(metainfo.name(), "n");
    assert_eq!(metainfo.raw_name(), b"n");
    assert_eq!(paths(&metainfo), ["n"]);
    assert_eq!((metainfo.total_length(), metainfo.geometry().piece_length()), (5, 3));
    assert_eq!(metainfo.layout().piece_hash(PieceIndex(1)), Some(&[7; 20]));
    assert_eq!(metainfo.layout().piece_hash(PieceIndex(2)), None);
    assert!(!metainfo.layout().is_multi_file());
    assert!(!metainfo.is_private());
    assert_eq!(metainfo.warnings(), []);
    assert!(metainfo.trackers().is_empty());
}

#[test]
fn files_in_folders_are_read_with_the_name_in_front() {
    let metainfo = parse(&multi(&[&["a"][..], &["dir", "sub", "b"]])).unwrap();
    assert_eq!(paths(&metainfo), ["t/a", "t/dir/sub/b"]);
    assert_eq!(metainfo.files().iter().map(|f| f.offset).collect::<Vec<_>>(), [0, 1]);
    assert!((0..2).all(|f| metainfo.layout().raw_path(FileIndex(f)).is_none()));
    // One file in a folder is not a single file.
    let metainfo = parse(&multi(&[&["a"]])).unwrap();
    assert_eq!(paths(&metainfo), ["t/a"]);
    assert!(metainfo.layout().is_multi_file());
}

#[test]
fn the_outer_fields_are_read() {
    let info = single(|i| i.bytes("source", "S"));
    let info = &info[7..];
    let bytes = [
        &b"d8:announce3:u:113:announce-listll3:u:13:u:2el3:u:3e0:lee7:comment2:hi10:created by3:bip"[..],
        b"13:creation datei-7e8:encoding5:UTF-84:info",
        info,
    ]
    .concat();
    let metainfo = parse(&bytes).unwrap();
    assert_eq!(metainfo.announce(), Some("u:1"));
    assert_eq!(metainfo.announce_list(), [vec!["u:1", "u:2"], vec!["u:3"]]);
    assert_eq!(metainfo.trackers(), metainfo.announce_list());
    assert_eq!(metainfo.comment(), Some("hi"));
    assert_eq!(metainfo.created_by(), Some("bip"));
    assert_eq!(metainfo.creation_date(), Some(-7));
    assert_eq!(metainfo.encoding(), Some("UTF-8"));
    assert_eq!(metainfo.source(), Some("S"));
    assert_eq!(metainfo.warnings(), []);
}

#[test]
fn announce_alone_is_the_only_tier() {
    let info = single(|_| {});
    let bytes = [&b"d8:announce3:u:113:announce-listle4:info"[..], &info[7..]].concat();
    assert_eq!(parse(&bytes).unwrap().trackers(), [vec!["u:1"]]);
}

#[test]
fn private_is_one_and_nothing_else() {
    for (value, private) in [(1, true), (0, false), (-1, false), (2, false)] {
        assert_eq!(parse(&single(|i| i.int("private", value))).unwrap().is_private(), private);
    }
    let odd = parse(&single(|i| i.bytes("private", "1"))).unwrap();
    assert!(!odd.is_private());
    assert!(matches!(odd.warnings(), [Warning::Ignored { key: "private", .. }]));
}

#[test]
fn a_field_of_the_wrong_kind_that_may_be_missing_is_left_out_with_a_warning() {
    let info = single(|_| {});
    let bytes =
        [&b"d8:announcei1e13:announce-listi2e7:commentle10:created byde13:creation date1:x"[..], &info[1..]].concat();
    let metainfo = parse(&bytes).unwrap();
    assert_eq!((metainfo.announce(), metainfo.comment(), metainfo.creation_date()), (None, None, None));
    assert_eq!(metainfo.warnings().len(), 5);
    assert_eq!(metainfo.warnings()[0].to_string(), "announce: ignored, as it is not of the right form at byte 11");
    let bytes = [&b"d13:announce-listl3:u:1li5e3:u:2ei6ee"[..], &info[1..]].concat();
    let metainfo = parse(&bytes).unwrap();
    assert_eq!(metainfo.announce_list(), [vec!["u:1"], vec!["u:2"]]);
    assert_eq!(metainfo.warnings(), [Warning::Ignored { key: "announce-list", at: 24 }]);
}

#[test]
fn the_info_hash_is_of_the_source_bytes_unknown_keys_and_order_and_all() {
    let info = b"d4:name1:n6:lengthi5e1:Xd1:z0:1:ali1eee12:piece lengthi3e6:pieces40:0123456789012345678901234567890123456789e";
    let bytes = [&b"d1:Ali1ee4:info"[..], info, b"1:Zi0ee"].concat();
    let metainfo = parse(&bytes).unwrap();
    assert_eq!(metainfo.info_hash(), InfoHash(Sha1::digest(info)));
    assert_eq!(metainfo.info_bytes(), info);
    assert_eq!(metainfo.warnings(), [Warning::UnsortedKeys { at: 25 }]);
    assert_eq!(metainfo.layout().piece_hash(PieceIndex(1)), Some(b"01234567890123456789"));
    let bare = Metainfo::parse_info(info, &HOST).unwrap();
    assert_eq!(bare.info_hash(), metainfo.info_hash());
    assert_eq!(bare.layout(), metainfo.layout());
}

#[test]
fn a_torrent_cut_anywhere_is_one_error_with_its_byte() {
    let whole = [&b"d8:announce3:u:17:commenti5e"[..], &multi(&[&["a"][..], &["b", "c"]])[1..]].concat();
    assert!(parse(&whole).is_ok());
    for cut in 0..whole.len() {
        let Err(Error::Bencode(error)) = parse(&whole[..cut]) else { panic!("cut at {cut}") };
        assert!(error.position() <= cut);
        assert!(error.to_string().ends_with(&format!("at byte {}", error.position())), "{error}");
    }
    assert_eq!(message(parse(b"")), "expected a value, found the end at byte 0");
    assert_eq!(message(parse(b"le")), "expected a dictionary, found a list at byte 0");
    assert_eq!(message(parse(b"de")), "info: missing from the dictionary at byte 0");
    assert_eq!(message(parse(b"d4:info0:e")), "info: expected a dictionary, found a string at byte 7");
}

#[test]
fn hostile_bencode_is_one_error_with_its_byte() {
    let nested = [&b"d1:x"[..], &vec![b'l'; 20_000], &vec![b'e'; 20_001]].concat();
    assert_eq!(message(parse(&nested)), "nested deeper than the limit of 64 at byte 67");
    // Wherever it stands, closed or not: beside info, in it, in a file of it, and in what is read and in what is not.
    for start in [
        "l",
        "d1:x",
        "d7:comment",
        "d13:announce-list",
        "d5:nodes",
        "d8:url-list",
        "d12:piece layers",
        "d4:info",
        "d4:infod1:x",
        "d4:infod4:name",
        "d4:infod5:files",
        "d4:infod5:filesl",
        "d4:infod5:filesld1:x",
        "d4:infod5:filesld4:path",
        "d4:infod9:file tree",
        "d4:infod9:file treed0:",
        "d4:infod6:pieces",
    ] {
        for (open, depth) in [("l", 20_000), ("d1:x", 20_000), ("d0:", 20_000)] {
            let open = open.repeat(depth);
            for close in ["", &"e".repeat(depth + 4)] {
                let bytes = [start, &open, close].concat().into_bytes();
                let refused = |error| {
                    assert!(
                        matches!(error, Error::Bencode(bencode::Error::TooDeep { limit: 64, .. })),
                        "{start}: {error}"
                    )
                };
                refused(parse(&bytes).unwrap_err());
                refused(Edit::of(&bytes, &HOST).unwrap_err());
                // As `info` by itself, as it comes from peers.
                if let Some(info) = bytes.strip_prefix(b"d4:info") {
                    refused(Metainfo::parse_info(info, &HOST).unwrap_err());
                }
            }
        }
    }
    assert_eq!(
        message(parse(b"d4:info18446744073709551615:x")),
        "a string of 18446744073709551615 bytes with 1 left at byte 7"
    );
    let limits = Limits { torrent_bytes: 10, ..HOST };
    assert_eq!(message(Metainfo::parse(&[b'd'; 11], &limits)), "a torrent of 11 bytes, over the limit of 10");
}

#[test]
fn a_piece_length_that_cannot_be_is_refused() {
    for bad in [0, -1, i64::MIN, (512 << 20) + 1, 1 << 32, i64::MAX] {
        assert_eq!(
            message(parse(&single(|i| i.int("piece length", bad)))),
            format!("info.piece length: {bad}, not from 1 to 536870912, at byte 43")
        );
    }
    assert_eq!(
        message(parse(&single(|i| i.bytes("piece length", "3")))),
        "info.piece length: expected an integer, found a string at byte 43"
    );
}

#[test]
fn pieces_that_do_not_fit_the_lengths_are_refused() {
    let refused = |pieces: &[u8]| message(parse(&single(|i| i.bytes("pieces", pieces))));
    assert_eq!(refused(&[0; 39]), "info.pieces: 39 bytes, not a multiple of 20, at byte 54");
    assert_eq!(refused(&[0; 20]), "info.pieces: 1 pieces where the lengths call for 2 at byte 54");
    assert_eq!(refused(&[0; 60]), "info.pieces: 3 pieces where the lengths call for 2 at byte 54");
    assert_eq!(refused(&[]), "info.pieces: 0 pieces where the lengths call for 2 at byte 54");
    let huge = parse(&single(|i| i.int("length", i64::MAX)));
    assert!(matches!(huge, Err(Error::PieceCount { expected: 3_074_457_345_618_258_603, found: 2, .. })));
    let limits = Limits { pieces: 1, ..HOST };
    let error = Metainfo::parse(&single(|_| {}), &limits).unwrap_err();
    assert_eq!(error, Error::TooManyPieces { at: 54, count: 2, limit: 1 });
}

#[test]
fn missing_fields_are_named() {
    let without = |key: &str| {
        torrent(|info| {
            for (k, v) in [("length", 5), ("piece length", 3)] {
                if k != key {
                    info.int(k, v);
                }
            }
            for (k, v) in [("name", &b"n"[..]), ("pieces", &[0; 40])] {
                if k != key {
                    info.bytes(k, v);
                }
            }
        })
    };
    assert!(parse(&without("")).is_ok());
    assert_eq!(message(parse(&without("name"))), "info.name: missing from the dictionary at byte 7");
    assert_eq!(message(parse(&without("pieces"))), "info.pieces: missing from the dictionary at byte 7");
    assert_eq!(message(parse(&without("piece length"))), "info.piece length: missing from the dictionary at byte 7");
    assert_eq!(message(parse(&without("length"))), "info: neither length nor files at byte 7");
    assert_eq!(message(parse(&single(|i| i.list("files", |_| {})))), "info: both length and files at byte 7");
    let v2 = torrent(|i| i.dict("file tree", |_| {}));
    assert!(matches!(parse(&v2), Err(Error::NoMetaVersion { at: 7 })));
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    assert_eq!(message(parse(&single(|i| i.int("length", -1)))), "info.length: the negative length -1 at byte 16");
    assert_eq!(message(parse(&single(|i| i.int("length", 0)))), "info: a total length of 0 at byte 7");
    let files = |lengths: &[i64]| {
        single(|i| {
            i.list("files", |l| {
                for (n, length) in lengths.iter().enumerate() {
                    l.dict(|d| {
                        d.int("length", *length);
                        d.list("path", |p| p.bytes(n.to_string()));
                    });
                }
            });
        })
    };
    let files = |lengths: &[i64]| String::from_utf8_lossy(&files(lengths)).replacen("6:lengthi5e", "", 1).into_bytes();
    assert_eq!(message(parse(&files(&[]))), "info: no files at byte 15");
    assert_eq!(message(parse(&files(&[0, 0]))), "info: a total length of 0 at byte 7");
    assert_eq!(message(parse(&files(&[1, -2]))), "info.files[1].length: the negative length -2 at byte 49");
    assert_eq!(message(parse(&files(&[i64::MAX, 1]))), "info: a total length of 2^63 bytes or more at byte 67");
    assert!(parse(&files(&[0, 4, 1, 0])).is_ok());
}
