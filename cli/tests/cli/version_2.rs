//! Torrents of version 2 and hybrids: made, shown and verified; and what is left out of any.

use crate::tool::*;
use serde_json::{Value, json};
use std::fs;

fn tree() -> Folder {
    let folder = Folder::new();
    folder.write("tree/a-", noise(70_000, 1));
    folder.write("tree/a/x", noise(16_384, 2));
    folder.write("tree/b", "b");
    folder.write("tree/empty", "");
    folder
}

/// What `show --json` says of the files: numbers, paths and whether there is a root.
fn files(shown: &Value) -> Vec<(u64, &str, bool)> {
    let files = shown["files"].as_array().unwrap().iter();
    files.map(|f| (f["number"].as_u64().unwrap(), f["path"].as_str().unwrap(), f["pieces_root"].is_string())).collect()
}

#[test]
fn torrents_of_each_version_are_made_shown_and_verified() {
    let folder = tree();
    for (option, versions, total) in [("--v2", json!([2]), 86_385), ("--hybrid", json!([1, 2]), 86_385)] {
        let made = succeeds(folder.bip(&["create", "tree", "--piece-length", "32K", "--force", option]));
        let shown = &lines(folder.bip(&["show", "tree.torrent", "--json"]))[0];
        assert_eq!(
            [&shown["versions"], &shown["total_length"], &shown["pieces"]],
            [&versions, &json!(total), &json!(5)]
        );
        // In the order of the tree, and padding has numbers of its own.
        assert_eq!(
            files(shown),
            [(1, "tree/a/x", true), (3, "tree/a-", true), (5, "tree/b", true), (6, "tree/empty", false)]
        );
        let text = succeeds(folder.bip(&["show", "tree.torrent"]));
        for (key, name) in [("info_hash", "info hash     "), ("info_hash_v2", "info hash v2  ")] {
            let there = key == "info_hash_v2" || option == "--hybrid";
            assert_eq!(shown[key].is_string(), there);
            let hash = shown[key].as_str().unwrap_or_default();
            assert_eq!(text.contains(name) && made.contains(name) && made.contains(hash), there, "{text} {made}");
        }
        assert!(!text.contains(".pad") && text.contains("files         4"), "{text}");
        assert!(
            text.contains(if option == "--v2" { "version       2\n" } else { "version       1 and 2\n" }),
            "{text}"
        );

        let report = &lines(folder.bip(&["verify", "tree.torrent", ".", "--json"]))[0];
        assert_eq!([&report["complete"], &report["pieces_good"]], [&json!(true), &json!(5)]);
        assert_eq!([&report["info_hash"], &report["info_hash_v2"]], [&shown["info_hash"], &shown["info_hash_v2"]]);
        assert_eq!(report["files"].as_array().unwrap().len(), 4);

        // A wrong byte is in one piece and one file.
        let mut bytes = noise(70_000, 1);
        bytes[69_999] ^= 1;
        folder.write("tree/a-", &bytes);
        let output = folder.bip(&["verify", "tree.torrent", "."]);
        let told = text_of(&output);
        assert!(
            told.contains("bad pieces: 3\n") && told.contains("bad         tree/a-  (1 of its 3 pieces)"),
            "{told}"
        );
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(fails(output).contains("1 of 5 pieces and 1 of 4 files bad or missing"));
        folder.write("tree/a-", noise(70_000, 1));
    }
}

fn text_of(output: &std::process::Output) -> String {
    text(&output.stdout)
}

#[test]
fn one_file_is_of_any_version_and_the_same_input_gives_the_same_bytes() {
    let folder = tree();
    let create = |option: &str| {
        let output = folder.bip(&["create", "tree/a-", "--no-date", "-o", "-", option]);
        let made = output.stdout.clone();
        succeeds(output);
        made
    };
    for option in ["--v2", "--hybrid"] {
        let made = create(option);
        assert!(made == create(option));
        folder.write("t", &made);
        succeeds(folder.bip(&["verify", "t", "tree"]));
        assert_eq!(lines(folder.bip(&["show", "t", "--json"]))[0]["files"][0]["path"], "a-");
    }
    // What is not transferred yet says so.
    folder.write("t", create("--v2"));
    for args in [&["get", "t", "--peer", "127.0.0.1:1"][..], &["seed", "t", "tree", "--listen", "127.0.0.1:0"]] {
        let line = fails(folder.bip(args));
        assert!(line.contains("version 2 alone are not transferred yet"), "{line}");
    }
}

#[test]
fn all_that_a_torrent_can_say_is_written_and_shown() {
    let folder = tree();
    let options = [
        "--tracker=http://a/,udp://b:1,http://a/",
        "--tracker=http://c/",
        "--tracker=udp://b:1",
        "--web-seed=http://w/x",
        "--web-seed=ftp://w/y",
        "--node=n.example:7",
        "--node=[2001:db8::1]:8",
        "--private",
        "--source=S",
        "--comment=C",
        "--name=other",
        "--no-date",
    ];
    succeeds(folder.bip(&[&["create", "tree", "--hybrid"], &options[..]].concat()));
    let shown = &lines(folder.bip(&["show", "other.torrent", "--json"]))[0];
    assert_eq!(shown["trackers"], json!([["http://a/", "udp://b:1"], ["http://c/"]]));
    assert_eq!(shown["web_seeds"], json!(["http://w/x", "ftp://w/y"]));
    assert_eq!(shown["nodes"], json!(["n.example:7", "[2001:db8::1]:8"]));
    assert_eq!([&shown["private"], &shown["source"], &shown["comment"]], [&json!(true), &json!("S"), &json!("C")]);
    assert_eq!([&shown["name"], &shown["files"][0]["path"]], [&json!("other"), &json!("other/a/x")]);
    let text = succeeds(folder.bip(&["show", "other.torrent"]));
    for line in
        ["tracker 1     udp://b:1", "web seed      ftp://w/y", "node          [2001:db8::1]:8", "padding       "]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn what_a_pattern_is_for_is_left_out() {
    let folder = tree();
    let paths = |args: &[&str]| {
        succeeds(folder.bip(&[&["create", "tree", "--force"], args].concat()));
        let shown = lines(folder.bip(&["show", "tree.torrent", "--json"])).remove(0);
        files(&shown).iter().map(|(_, path, _)| (*path).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&["--exclude", "a*"]), ["tree/b", "tree/empty"]);
    assert_eq!(paths(&["--exclude", "a/", "--exclude", "empty", "--hybrid"]), ["tree/a-", "tree/b"]);
    assert_eq!(paths(&["--exclude", "/x", "--exclude", "*/x"]), ["tree/a-", "tree/b", "tree/empty"]);
    let output = folder.bip(&["create", "tree", "--force", "--exclude", "nothing"]);
    assert!(text(&output.stderr).contains("--exclude: 0 left out"), "{}", text(&output.stderr));
    succeeds(output);
    let before = fs::read(folder.path("tree.torrent")).unwrap();
    assert!(
        fails(folder.bip(&["create", "tree", "--force", "-q", "--exclude", "*"])).contains("holds no bytes to share")
    );
    assert!(fs::read(folder.path("tree.torrent")).unwrap() == before);
}

#[test]
fn a_folder_that_version_2_cannot_tell_from_its_file_is_refused() {
    let folder = Folder::new();
    folder.write("same/same", "x");
    let line = fails(folder.bip(&["create", "same", "--v2"]));
    assert!(line.starts_with("bip: same: ") && line.contains("cannot be told"), "{line}");
    assert_eq!(folder.files().len(), 1);
    succeeds(folder.bip(&["create", "same", "--hybrid"]));
    succeeds(folder.bip(&["verify", "same.torrent", "."]));
}
