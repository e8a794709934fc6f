//! How the tool is called, and what it says where.

use crate::tool::*;
use std::fs;
use std::io::{BufRead as _, BufReader};

#[test]
fn wrong_usage_is_code_2_and_help_is_code_0() {
    let folder = Folder::new();
    folder.write("t", SMALL);
    for args in [
        &[][..],
        &["dance"],
        &["show"],
        &["show", "t", "--peer", "x:1"],
        &["create", "t", "--piece-length", "17K"],
        &["create", "t", "--piece-length", "8K"],
        &["create", "t", "--piece-length", "0"],
        &["create", "t", "--tracker", "nowhere"],
        &["create", "t", "--tracker", "http://a/,ftp://b/"],
        &["create", "t", "--web-seed", "udp://a:1"],
        &["create", "t", "--node", "a"],
        &["create", "t", "--exclude", "["],
        &["create", "t", "--exclude", ""],
        &["create", "t", "--name", "a/b"],
        &["create", "t", "--v2", "--hybrid"],
        &["edit", "t", "--comment", "x", "--no-comment", "-o", "u"],
        &["edit", "t", "--tracker", "http://a", "--no-trackers", "-o", "u"],
        &["get", "t", "--peer", "host"],
        &["get", "t", "--peer", "::1:6881"],
        &["get", "t", "--listen", "here"],
        &["get", "t", "--timeout", "0"],
        &["create", "t", "--tracker", "http://:80"],
        &["demo", "--size", "0"],
        &["demo", "--size", "100000T"],
        &["demo", "--size", "many"],
        &["demo", "--leechers", "0"],
        &["show", "t", "-q", "-v"],
    ] {
        let output = folder.bip(args);
        assert_eq!((code(&output), text(&output.stdout)), (2, String::new()), "{args:?}");
        assert!(args.is_empty() || text(&output.stderr).starts_with("bip: "), "{args:?}: {}", text(&output.stderr));
    }
    assert!(text(&folder.bip(&["get", "t", "--listen", "6881"]).stderr).contains("[::]:6881"));
    for args in [&["--help"][..], &["--version"], &["get", "--help"], &["help", "create"], &["edit", "--help"]] {
        assert!(!succeeds(folder.bip(args)).is_empty());
    }
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn what_an_option_cannot_mean_is_said_with_code_2() {
    let folder = Folder::new();
    folder.write("t", SMALL);
    folder.write("u", text(SMALL).replace("hello", "world"));
    let get = |extra: &[&str]| [&["get", "t", "--listen", "127.0.0.1:0"][..], extra].concat().join(" ");
    let seed = |extra: &[&str]| [&["seed", "t", ".", "--listen", "127.0.0.1:0"][..], extra].concat().join(" ");
    for (args, what) in [
        (get(&["--up", "0"]), "--up <RATE>': must be more than 0"),
        (get(&["--down", "0K"]), "--down <RATE>': must be more than 0"),
        (get(&["--up", "fast"]), "--up <RATE>': "),
        (get(&["--down", "1X"]), "'X' is no unit"),
        (seed(&["--up", "-1"]), "-1"),
        (seed(&["--up", "99999999T"]), "too large"),
        (seed(&["--down", "1M"]), "--down"),
        (seed(&["--files", "1"]), "--files"),
        (get(&["--upload-slots", "0"]), "--upload-slots <N>': 0 is not in 1..="),
        (seed(&["--upload-slots", "many"]), "--upload-slots <N>': "),
        (get(&["--max-peers", "0"]), "--max-peers <N>': 0 is not in 1..="),
        (seed(&["--max-peers", "65536"]), "--max-peers <N>': 65536 is not in 1..=65535"),
        (get(&["--files", "0"]), "--files <LIST>': '0' at character 1"),
        (get(&["--files", "1,x"]), "--files <LIST>': 'x' at character 3"),
        (get(&["--files", "1,2-1"]), "--files <LIST>': '2-1' at character 3"),
        (get(&["--files", "1,2"]), "bip: --files: there is no file 2 (at character 3 of the list): t has 1 file"),
        (get(&["u", "--files", "1"]), "bip: --files: is for one torrent"),
        ("get t . --peer 127.0.0.1:1".to_owned(), "bip: .: is a folder, not a torrent file; name the folder with -d"),
        ("get - - --listen 127.0.0.1:0".to_owned(), "stdin can be read only once"),
        ("seed t".to_owned(), "needs a TORRENT and, last, DIR"),
    ] {
        let output = folder.bip(&args.split(' ').collect::<Vec<_>>());
        let stderr = text(&output.stderr);
        assert_eq!((code(&output), text(&output.stdout)), (2, String::new()), "{args}: {stderr}");
        assert!(stderr.starts_with("bip: ") && stderr.contains(what), "{args}: {stderr}");
    }
    // A folder for the state that cannot be one.
    let line = fails(folder.bip(&["get", "t", "--listen", "127.0.0.1:0", "--state", "u"]));
    assert!(line.starts_with("bip: u: ") && line.contains("--state names a folder"), "{line}");
    assert_eq!(folder.files().len(), 2);
}

#[test]
fn the_demo_moves_every_byte_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let told = succeeds(folder.bip(&["demo", "--size", "2M", "--leechers", "2"]));
    assert!(told.contains("seeder") && told.contains("leecher 2") && told.contains("Every byte"), "{told}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let folder = Folder::new();
    let mut child = folder.start(&["demo", "--size", "64G"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    signal(&child, "-INT");
    assert_eq!(code(&finish(child)), 130);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn results_are_on_stdout_alone_and_quiet_is_quiet() {
    let folder = Folder::new();
    folder.write("data", "x");
    assert_eq!(succeeds(folder.bip(&["create", "data", "-vv"])).lines().count(), 2);
    let quiet = folder.bip(&["create", "data", "-q", "--force"]);
    assert_eq!(text(&quiet.stderr), "");
    succeeds(quiet);
}
