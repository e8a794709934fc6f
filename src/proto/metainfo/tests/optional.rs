use super::*;
use crate::proto::id::{FileIndex, InfoHash};
use crate::proto::metainfo::{Edit, Warning};

/// A torrent of one file, with fields around its `info`.
fn around(fill: impl FnOnce(&mut DictEncoder<'_>), info: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
    encode_dict(|root| {
        root.dict("info", |dict| {
            dict.int("length", 5);
            dict.bytes("name", "n");
            dict.int("piece length", 5);
            dict.bytes("pieces", [7; 20]);
            info(dict);
        });
        fill(root);
    })
}

/// Files of one byte each in one piece, of which `change` may write fields over by number.
fn files(names: &[&str], change: impl Fn(&str, &mut DictEncoder<'_>)) -> Vec<u8> {
    torrent(|info| {
        info.bytes("name", "t");
        info.int("piece length", 1 << 20);
        info.bytes("pieces", [7; 20]);
        info.list("files", |files| {
            for name in names {
                files.dict(|file| {
                    file.int("length", 1);
                    file.list("path", |parts| name.split('/').for_each(|part| parts.bytes(part)));
                    change(name, file);
                });
            }
        });
    })
}

fn link(file: &mut DictEncoder<'_>, target: &str) {
    file.int("length", 0);
    file.bytes("attr", "l");
    file.list("symlink path", |parts| target.split('/').for_each(|part| parts.bytes(part)));
}

#[test]
fn web_seeds_are_a_list_or_one() {
    let seeds = |fill: &dyn Fn(&mut DictEncoder<'_>)| parse(&around(fill, |_| {})).unwrap();
    assert_eq!(seeds(&|root| root.bytes("url-list", "http://a/")).web_seeds(), ["http://a/"]);
    assert!(seeds(&|root| root.bytes("url-list", "")).web_seeds().is_empty());
    let list = seeds(&|root| {
        root.list("url-list", |urls| {
            urls.bytes("http://a/");
            urls.bytes("");
            urls.int(5);
            urls.bytes("http://b/");
        });
    });
    assert_eq!(list.web_seeds(), ["http://a/", "http://b/"]);
    assert!(matches!(list.warnings(), [Warning::Ignored { key: "url-list", .. }]));
    assert!(matches!(seeds(&|root| root.int("url-list", 1)).warnings(), [Warning::Ignored { key: "url-list", .. }]));
}

#[test]
fn nodes_are_pairs_of_host_and_port() {
    let bytes = around(
        |root| {
            root.list("nodes", |nodes| {
                for (host, port) in
                    [("router.example", 6881), ("::1", 1), ("", 5), ("zero", 0), ("big", 65_536), ("x", -1)]
                {
                    nodes.list(|node| {
                        node.bytes(host);
                        node.int(port);
                    });
                }
                nodes.list(|node| node.bytes("alone"));
                nodes.bytes("no list");
                nodes.list(|node| {
                    node.bytes("three");
                    node.int(1);
                    node.int(2);
                });
            });
        },
        |_| {},
    );
    let torrent = parse(&bytes).unwrap();
    assert_eq!(torrent.nodes(), [("router.example".to_owned(), 6881), ("::1".to_owned(), 1)]);
    // Once, however many there are.
    assert!(matches!(torrent.warnings(), [Warning::Ignored { key: "nodes", .. }]));
}

#[test]
fn relatives_are_of_info_and_around_it_each_once() {
    let list = |hashes: &[u8]| {
        let hashes = hashes.to_vec();
        move |dict: &mut DictEncoder<'_>| {
            dict.list("similar", |list| hashes.iter().for_each(|hash| list.bytes([*hash; 20])));
            dict.list("collections", |list| hashes.iter().for_each(|hash| list.bytes(hash.to_string())));
        }
    };
    let torrent = parse(&around(list(&[1, 2]), list(&[2, 3, 3]))).unwrap();
    assert_eq!(torrent.similar(), [2, 3, 1].map(|hash| InfoHash([hash; 20])));
    assert_eq!(torrent.collections(), ["2", "3", "1"]);
    assert_eq!(torrent.warnings(), []);
    let odd = parse(&around(|root| root.list("similar", |list| list.bytes("short")), |_| {})).unwrap();
    assert!(odd.similar().is_empty() && odd.warnings().len() == 1);
}

#[test]
fn what_is_said_of_a_file_is_read_or_left_out_with_a_warning() {
    let bytes = files(&["a", "b", "c"], |name, file| match name {
        "a" => {
            file.bytes("md5sum", "0123456789abcdefABCDEF0123456789");
            file.bytes("sha1", [5; 20]);
            file.bytes("attr", "xh?");
        }
        "b" => {
            file.bytes("md5sum", "0123456789abcdefABCDEF012345678g");
            file.bytes("sha1", [5; 19]);
            file.int("attr", 1);
        }
        _ => file.bytes("md5sum", "short"),
    });
    let torrent = parse(&bytes).unwrap();
    let layout = torrent.layout();
    let md5 = layout.md5(FileIndex(0)).unwrap();
    assert_eq!(md5[..8], [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    assert_eq!(layout.sha1(FileIndex(0)), Some([5; 20]));
    assert!(layout.files()[0].is_executable() && layout.files()[0].is_hidden());
    assert_eq!((layout.md5(FileIndex(1)), layout.sha1(FileIndex(1)), layout.md5(FileIndex(2))), (None, None, None));
    assert!(!layout.files()[1].is_executable());
    let keys = torrent.warnings().iter().map(|warning| match warning {
        Warning::Ignored { key, .. } => *key,
        other => panic!("{other:?}"),
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["attr", "md5sum", "sha1"]);
    let single = parse(&around(
        |_| {},
        |info| {
            info.bytes("md5sum", "0123456789abcdefabcdef0123456789");
            info.bytes("attr", "px");
        },
    ))
    .unwrap();
    assert!(single.layout().md5(FileIndex(0)).is_some());
    assert!(single.files()[0].is_executable() && !single.files()[0].is_padding);
}

#[test]
fn padding_needs_no_path_and_links_no_length() {
    let bytes = torrent(|info| {
        info.bytes("name", "t");
        info.int("piece length", 1 << 20);
        info.bytes("pieces", [7; 20]);
        info.list("files", |files| {
            for name in ["a", "b"] {
                files.dict(|file| {
                    file.int("length", 1);
                    file.list("path", |path| path.bytes(name));
                });
                files.dict(|file| {
                    file.bytes("attr", "p");
                    file.int("length", 9);
                });
            }
            files.dict(|file| {
                file.bytes("attr", "l");
                file.list("path", |path| path.bytes("l"));
                file.list("symlink path", |path| path.bytes("a"));
            });
        });
    });
    let torrent = parse(&bytes).unwrap();
    assert_eq!(paths(&torrent), ["t/a", "t/.pad/9", "t/b", "t/.pad/9.1", "t/l"]);
    assert!(torrent.files()[4].is_symlink());
    assert_eq!(torrent.warnings(), []);
}

#[test]
fn links_that_leave_the_torrent_or_lead_nowhere_are_empty_files() {
    let targets = [
        ("good", "d/file"),
        ("folder", "d"),
        ("chain", "good"),
        ("d/up", "good"),
        ("absolute", "/etc/passwd"),
        ("parent", "../x"),
        ("inner parent", "d/../d/file"),
        ("dot", "./d"),
        ("nul", "d\0"),
        ("nothing", "missing"),
        ("through a file", "d/file/x"),
        ("through a link", "folder/file"),
        ("itself", "itself"),
        ("loop a", "loop b"),
        ("loop b", "loop a"),
        ("d/own folder", "d"),
        ("empty", ""),
        ("to dropped", "nothing"),
    ];
    let names: Vec<&str> = ["d/file"].into_iter().chain(targets.iter().map(|(name, _)| *name)).collect();
    let bytes = files(&names, |name, file| {
        if let Some((_, target)) = targets.iter().find(|(link, _)| *link == name) {
            link(file, target);
        }
    });
    let torrent = parse(&bytes).unwrap();
    let layout = torrent.layout();
    let links: Vec<String> = (0..names.len() as u32)
        .filter_map(|file| Some(format!("{} -> {}", names[file as usize], layout.link_target(FileIndex(file))?)))
        .collect();
    assert_eq!(links, ["good -> t/d/file", "folder -> t/d", "chain -> t/good", "d/up -> t/good"]);
    let dropped = torrent.warnings().iter().filter(|warning| matches!(warning, Warning::LinkDropped { .. }));
    assert_eq!(dropped.count(), targets.len() - 4);
    assert_eq!(layout.files().iter().filter(|file| file.is_symlink()).count(), 4);
    assert!(layout.files()[1..].iter().all(|file| file.length == 0));
}

#[test]
fn a_link_with_bytes_of_its_own_is_a_file() {
    let bytes = files(&["a", "b"], |name, file| {
        if name == "b" {
            link(file, "a");
            file.int("length", 3);
        }
    });
    let torrent = parse(&bytes).unwrap();
    assert!(!torrent.files()[1].is_symlink());
    assert!(matches!(torrent.warnings(), [Warning::Ignored { key: "symlink path", .. }]));
}

#[test]
fn a_link_leads_to_the_name_that_its_target_is_stored_under() {
    let bytes = files(&["a:b/c", "l"], |name, file| {
        if name == "l" {
            link(file, "a:b/c");
        }
    });
    let torrent = Metainfo::parse(&bytes, &PORTABLE).unwrap();
    assert_eq!(torrent.layout().link_target(FileIndex(1)).unwrap().to_string(), "t/a_b/c");
}

#[test]
fn two_million_pieces_are_within_the_limits_and_one_more_is_not() {
    let of = |pieces: usize| {
        torrent(|info| {
            info.int("length", pieces as i64);
            info.bytes("name", "n");
            info.int("piece length", 1);
            info.bytes("pieces", vec![7; 20 * pieces]);
        })
    };
    let limits = Limits { torrent_bytes: 64 << 20, ..HOST };
    assert_eq!(Metainfo::parse(&of(1 << 21), &limits).unwrap().geometry().piece_count(), 1 << 21);
    assert!(matches!(Metainfo::parse(&of((1 << 21) + 1), &limits), Err(Error::TooManyPieces { count: 2_097_153, .. })));
}

#[test]
fn integers_and_strings_at_the_ends_of_what_can_be_counted_are_refused() {
    for (text, what) in [
        ("d4:infod6:lengthi9223372036854775808eee", "an integer"),
        ("d4:infod6:length18446744073709551616:eee", "a string"),
        ("d4:infod18446744073709551615:eee", "a string"),
    ] {
        let error = message(parse(text.as_bytes()));
        assert!(error.contains(" at byte "), "{what}: {error}");
    }
}

#[test]
fn warnings_about_paths_are_limited_in_what_they_keep() {
    let long = "x".repeat(200);
    let names: Vec<String> = (0..20_000).map(|n| format!("{long}{n}\0")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let torrent = parse(&files(&names, |_, _| {})).unwrap();
    let Some(Warning::MorePaths { count }) = torrent.warnings().last() else { panic!("all were kept") };
    assert_eq!(torrent.warnings().len() + count, 20_001);
    assert!(torrent.warnings().len() < 5_000);
}

#[test]
fn an_edit_changes_what_it_says_and_nothing_else() {
    let bytes = [
        &b"d7:UNKNOWNli1ee8:announce3:u:113:announce-listll3:u:1el3:u:2ee7:comment3:old"[..],
        b"10:created by1:x13:creation datei5e9:httpseedsl1:he4:info",
        b"d1:Zi0e6:lengthi5e4:name1:n12:piece lengthi5e6:pieces20:01234567890123456789e",
        b"5:nodesll1:ri1eee8:url-list1:we",
    ]
    .concat();
    let before = parse(&bytes).unwrap();
    let same = Edit::of(&bytes, &HOST).unwrap();
    assert_eq!(same.build(), bytes);
    let mut edit = same
        .clone()
        .trackers([vec!["u:9"], vec![""], vec![]])
        .comment(Some("new"))
        .created_by(None)
        .creation_date(Some(-7))
        .web_seeds(["w1", "w2"])
        .nodes([("host", 1), ("", 2), ("none", 0)])
        .similar([InfoHash([4; 20])])
        .collections(["c"]);
    assert!(edit.remove("httpseeds") && !edit.remove("httpseeds") && !edit.remove("info"));
    let edited = edit.build();
    let after = parse(&edited).unwrap();
    assert_eq!(after.info_bytes(), before.info_bytes());
    assert_eq!(after.info_hash(), before.info_hash());
    assert_eq!((after.announce(), after.announce_list().len()), (Some("u:9"), 0));
    assert_eq!((after.comment(), after.created_by(), after.creation_date()), (Some("new"), None, Some(-7)));
    assert_eq!(after.web_seeds(), ["w1", "w2"]);
    assert_eq!(after.nodes(), [("host".to_owned(), 1)]);
    assert_eq!((after.similar(), after.collections()), (&[InfoHash([4; 20])][..], &["c".to_owned()][..]));
    assert!(edit.keys().any(|key| key == b"UNKNOWN") && !edit.keys().any(|key| key == b"httpseeds"));
    let bare = same.trackers(Vec::<Vec<&str>>::new()).web_seeds(Vec::<&str>::new()).comment(None).build();
    let bare = parse(&bare).unwrap();
    assert!(bare.trackers().is_empty() && bare.web_seeds().is_empty() && bare.comment().is_none());
    assert_eq!(
        message(Edit::of(b"d1:xi1ee", &HOST).map(|_| before.clone())),
        "info: missing from the dictionary at byte 0"
    );
    assert!(Edit::of(b"d4:infoi5ee", &HOST).is_err() && Edit::of_info(b"i5e", &HOST).is_err());
    let made = Edit::of_info(before.info_bytes(), &HOST).unwrap().comment(Some("from peers")).build();
    assert_eq!(parse(&made).unwrap().info_hash(), before.info_hash());
}

#[test]
fn an_edit_sorts_the_keys_around_info_and_not_those_in_it() {
    let info = b"d4:name1:n6:lengthi5e12:piece lengthi5e6:pieces20:01234567890123456789e";
    let bytes = [&b"d4:info"[..], info, b"7:comment1:ce"].concat();
    let edited = Edit::of(&bytes, &HOST).unwrap().build();
    assert_eq!(edited, [&b"d7:comment1:c4:info"[..], info, b"e"].concat());
}
