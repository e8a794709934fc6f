//! Torrent files: made, shown, verified, and refused.

use crate::tool::*;
use serde_json::{Value, json};
use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

/// All ways to read a torrent.
fn readers(torrent: &str) -> [Vec<&str>; 4] {
    [
        vec!["show", torrent],
        vec!["verify", torrent, "."],
        vec!["get", torrent, "--peer", "127.0.0.1:1"],
        vec!["seed", torrent, "."],
    ]
}

#[test]
fn a_bad_torrent_is_one_clear_line_that_names_the_byte_and_nothing_is_written() {
    let folder = Folder::new();
    let with = |from: &str, to: &str| text(SMALL).replace(from, to).into_bytes();
    let two = "5:filesld6:lengthi9223372036854775807e4:pathl1:aeed6:lengthi9223372036854775807e4:pathl1:beee";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("nested", b"l".repeat(20_000)),
        ("deep", [&b"d4:info"[..], &b"l".repeat(20_000), &b"e".repeat(20_001)].concat()),
        ("endless", b"d4:info18446744073709551615:x".to_vec()),
        ("longer", b"d4:info99999999999999999999999:x".to_vec()),
        ("zero", with("i16384e", "i0e")),
        ("negative", with("i16384e", "i-16384e")),
        ("mismatch", with("i5e", "i16385e")),
        ("odd", with("20:aaaaaaaaaaaaaaaaaaaa", "19:aaaaaaaaaaaaaaaaaaa")),
        ("minus", with("i5e", "i-5e")),
        ("nothing", with("i5e", "i0e")),
        ("no-name", with("4:name5:hello", "")),
        ("trailing", [SMALL, b"x"].concat()),
        ("overflow", with("6:lengthi5e", two)),
    ];
    for (name, bytes) in &cases {
        folder.write(name, bytes);
    }
    let before = folder.files();
    for (name, _) in &cases {
        for args in readers(name) {
            let line = fails(folder.bip(&args));
            assert!(line.starts_with(&format!("bip: {name}: ")) && line.contains("byte "), "{args:?}: {line}");
        }
    }
    assert!(folder.files() == before);
}

#[test]
fn a_torrent_that_ends_anywhere_too_early_is_refused() {
    let folder = Folder::new();
    for end in 0..SMALL.len() {
        folder.write("cut", &SMALL[..end]);
        let line = fails(folder.bip(&["show", "cut"]));
        assert!(line.contains("byte "), "{end}: {line}");
    }
    folder.write("cut", SMALL);
    succeeds(folder.bip(&["show", "cut"]));
}

#[test]
fn a_path_that_leads_to_no_such_file_is_named() {
    let folder = Folder::new();
    for (path, word) in [("none", "o such file"), (".", "irectory")] {
        for args in readers(path) {
            let line = fails(folder.bip(&args));
            assert!(line.starts_with(&format!("bip: {path}: ")) && line.contains(word), "{line}");
        }
    }
    let line = fails(folder.bip(&["create", "none"]));
    assert!(line.starts_with("bip: none: ") && line.contains("o such file"), "{line}");
    folder.write("empty", "");
    assert!(fails(folder.bip(&["create", "empty"])).starts_with("bip: empty: "));
    fs::File::create(folder.path("large")).unwrap().set_len(1 << 40).unwrap();
    assert!(fails(folder.bip(&["show", "large"])).contains("longer than"));
    fs::remove_file(folder.path("large")).unwrap();
    folder.write("t", SMALL);
    assert!(fails(folder.bip(&["verify", "t", "none"])).starts_with("bip: none: "));
    assert!(fails(folder.bip(&["seed", "t", "none", "--listen", "127.0.0.1:0"])).starts_with("bip: none: "));
}

#[test]
fn show_tells_everything_and_says_null_where_there_is_nothing() {
    let folder = Folder::new();
    folder.write("t", SMALL);
    assert_eq!(
        lines(folder.bip(&["show", "t", "--json"])),
        [json!({
            "name": "hello", "info_hash": "961d86b2d565bb5cfd7d6481f22e4d3ff541c806", "piece_length": 16384, "pieces": 1,
            "total_length": 5, "private": false, "trackers": [], "comment": null, "created_by": null, "creation_date": null,
            "source": null, "warnings": [], "versions": [1], "info_hash_v2": null, "web_seeds": [], "nodes": [], "similar": [],
            "collections": [], "encoding": null, "files": [{
                "number": 1, "path": "hello", "length": 5, "executable": false, "hidden": false, "link_target": null,
                "pieces_root": null, "sha1": null, "md5": null,
            }],
        })]
    );
    // A name that would turn the writing around is the same name in JSON, and turns nothing.
    folder.write("turned", text(SMALL).replace("5:hello", "7:a\u{202e}b\u{9b}"));
    let shown = folder.bip(&["show", "turned", "--json"]);
    assert!(!text(&shown.stdout).contains(['\u{202e}', '\u{9b}']));
    assert_eq!(lines(shown)[0]["name"], "a\u{202e}b\u{9b}");
    // A name that would clear the screen.
    folder.write("evil", text(SMALL).replace("hello", "\x1b[2Jx"));
    let shown = succeeds(folder.bip(&["show", "evil"]));
    assert!(!shown.contains('\x1b') && shown.contains("[2Jx"), "{shown:?}");
}

#[test]
fn create_then_show_then_verify() {
    let folder = Folder::new();
    folder.write("tree/a", noise(40_000, 1));
    folder.write("tree/deep/größe", noise(5, 2));
    folder.write("tree/empty", []);
    let [a, b] = ["http://a.example/announce", "udp://b.example:80"];
    let trackers = ["--tracker", a, "--tracker", b, "--tracker", a];
    let options = ["create", "tree", "--piece-length", "16K", "--private", "--comment", "hi", "--source", "S"];
    let made = succeeds(folder.bip(&[&options[..], &trackers].concat()));
    let shown = &lines(folder.bip(&["show", "tree.torrent", "--json"]))[0];
    let hash = shown["info_hash"].as_str().unwrap();
    assert!(made.contains(hash) && made.contains("tree.torrent"), "{made}");
    assert_eq!(shown["trackers"], json!([["http://a.example/announce"], ["udp://b.example:80"]]));
    assert_eq!([&shown["private"], &shown["comment"], &shown["source"]], [&json!(true), &json!("hi"), &json!("S")]);
    assert!(shown["creation_date"].as_i64().unwrap() > 1_700_000_000 && shown["pieces"] == 3);
    let files = shown["files"].as_array().unwrap().iter().map(|file| (file["path"].as_str().unwrap(), &file["length"]));
    assert!(files.eq([("tree/a", &json!(40_000)), ("tree/deep/größe", &json!(5)), ("tree/empty", &json!(0))]));
    let report = &lines(folder.bip(&["verify", "tree.torrent", ".", "--json"]))[0];
    assert_eq!([&report["complete"], &report["pieces_good"]], [&json!(true), &json!(3)]);

    // One byte wrong, one file gone.
    let mut bytes = noise(40_000, 1);
    bytes[20_000] ^= 1;
    folder.write("tree/a", bytes);
    fs::remove_file(folder.path("tree/empty")).unwrap();
    let before = folder.files();
    let output = folder.bip(&["verify", "tree.torrent", "."]);
    let told = text(&output.stdout);
    assert!(told.contains("bad pieces: 1\n") && told.contains("missing     tree/empty"), "{told}");
    assert!(!told.contains("größe"), "{told}");
    fails(output);
    let output = folder.bip(&["verify", "tree.torrent", ".", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!([&report["complete"], &report["bad_pieces"]], [&json!(false), &json!([1])]);
    assert_eq!([&report["files"][0]["state"], &report["files"][2]["state"]], [&json!("bad"), &json!("missing")]);
    fails(output);
    let line = fails(folder.bip(&["seed", "tree.torrent", ".", "--listen", "127.0.0.1:0"]));
    assert!(line.contains("1 of 3 pieces"), "{line}");
    assert!(folder.files() == before);

    // A file that shares its only piece with one that is gone is not what is bad.
    folder.write("tree/a", &noise(40_000, 1)[..39_999]);
    let told = text(&folder.bip(&["verify", "tree.torrent", "."]).stdout);
    assert!(told.contains("too short   tree/a") && told.contains("unverified  tree/deep/größe"), "{told}");
}

#[test]
fn a_wrong_folder_is_answered_with_the_right_one() {
    let folder = Folder::new();
    folder.write("t", SMALL);
    folder.write("there/hello/x", "x");
    for args in [&["verify", "t"][..], &["seed", "t"]] {
        let line = fails(folder.bip(&[args, &["there/hello"]].concat()));
        assert!(line.starts_with("bip: there/hello/hello: ") && line.contains("DIR is the folder"), "{line}");
        assert!(line.trim_end().ends_with(folder.path("there").to_str().unwrap()), "{line}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_nothing_is_overwritten_unasked() {
    let folder = Folder::new();
    folder.write("data", noise(100_000, 3));
    let first = folder.bip(&["create", "data", "--no-date", "-o", "-"]);
    let made = first.stdout.clone();
    succeeds(first);
    assert!(made.starts_with(b"d") && !text(&made).contains("creation date"));
    succeeds(folder.bip(&["create", "data", "--no-date"]));
    assert!(fs::read(folder.path("data.torrent")).unwrap() == made);

    folder.write("data.torrent", "mine");
    let before = folder.files();
    assert!(fails(folder.bip(&["create", "data"])).contains("--force"));
    assert!(fails(folder.bip(&["create", "data", "-o", "."])).contains("folder"));
    assert!(fails(folder.bip(&["create", "data", "-o", "none/x.torrent"])).contains("none"));
    assert!(folder.files() == before);
    succeeds(folder.bip(&["create", "data", "--no-date", "--force"]));
    assert!(fs::read(folder.path("data.torrent")).unwrap() == made);
    // No temporary file stays.
    assert_eq!(folder.files().len(), 2);
    // A folder is named after itself, also as `.`.
    folder.write("sub/x", "x");
    let create = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bip"));
        command.args(["create", ".", "-q"]).args(args).current_dir(folder.path("sub")).output().unwrap()
    };
    succeeds(create(&["-o", "../sub.torrent"]));
    assert_eq!(lines(folder.bip(&["show", "sub.torrent", "--json"]))[0]["name"], "sub");
    // A torrent that lay in the folder would be part of itself the next time, and never verify.
    for args in [&[][..], &["--force"], &["-o", "../sub/y"]] {
        assert!(fails(create(args)).contains("inside"), "{args:?}");
    }
    // The data is not overwritten with its own torrent.
    assert!(fails(folder.bip(&["create", "data", "-o", "data", "--force"])).contains("inside"));
    assert!(fails(folder.bip(&["create", "data", "-o", "new/"])).contains("folder"));
    assert_eq!(folder.files().len(), 4);
}

#[test]
fn a_torrent_can_come_from_stdin_and_a_closed_pipe_ends_quietly() {
    let folder = Folder::new();
    let mut many = String::from("d4:infod5:filesl");
    (0..20_000).for_each(|number| many.push_str(&format!("d6:lengthi1e4:pathl6:{number:06}ee")));
    many.push_str("e4:name1:n12:piece lengthi32768e6:pieces20:aaaaaaaaaaaaaaaaaaaaee");
    let path = folder.write("t", many);
    for extra in [&[][..], &["--json"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bip"));
        command.args(["show", "-"]).args(extra).stdin(fs::File::open(&path).unwrap());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let output = finish(child);
        assert_eq!((code(&output), text(&output.stderr)), (141, String::new()));
    }
    // Help is a result as any other.
    if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bip"));
        let child = command.arg("--help").stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        assert!(fails(finish(child)).starts_with("bip: stdout: "));
    }
    // Nobody reads stderr: that changes nothing.
    let mut child = folder.start(&["show", "none"]);
    drop(child.stderr.take());
    assert_eq!(code(&finish(child)), 1);
}
