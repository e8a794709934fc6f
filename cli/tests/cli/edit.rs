//! Torrent files edited around what they share.

use crate::tool::*;
use serde_json::{Value, json};
use std::fs;

fn made(option: &str) -> Folder {
    let folder = Folder::new();
    folder.write("data", noise(100_000, 1));
    let more =
        ["--tracker=http://a/", "--comment=old", "--web-seed=http://w/", "--node=n:1", "--private", "--source=S"];
    succeeds(folder.bip(&[&["create", "data", "-o", "t", "--piece-length", "16K"], &more[..], &[option]].concat()));
    folder
}

fn shown(folder: &Folder, torrent: &str) -> Value {
    lines(folder.bip(&["show", torrent, "--json"])).remove(0)
}

#[test]
fn what_is_around_the_files_changes_and_the_info_hash_stays() {
    for option in ["--hybrid", "--v2", "--no-date"] {
        let folder = made(option);
        let before = shown(&folder, "t");
        let original = fs::read(folder.path("t")).unwrap();
        let told = succeeds(folder.bip(&["edit", "t", "-o", "u", "--tracker=http://b/,http://c/", "--comment=new"]));
        let after = shown(&folder, "u");
        let hash = after[if option == "--v2" { "info_hash_v2" } else { "info_hash" }].as_str().unwrap();
        assert!(told.contains(hash) && told.contains("written to"), "{told}");
        assert_eq!([&after["trackers"], &after["comment"]], [&json!([["http://b/", "http://c/"]]), &json!("new")]);
        // All else is as it was.
        let mut expected = before.clone();
        expected["trackers"] = after["trackers"].clone();
        expected["comment"] = after["comment"].clone();
        assert_eq!(after, expected);
        assert!(fs::read(folder.path("t")).unwrap() == original);
        succeeds(folder.bip(&["verify", "u", "."]));

        let none = ["--no-trackers", "--no-web-seeds", "--no-nodes", "--no-comment", "--no-created-by", "--no-date"];
        succeeds(folder.bip(&[&["edit", "u", "--in-place"], &none[..]].concat()));
        let bare = shown(&folder, "u");
        for key in ["trackers", "web_seeds", "nodes"] {
            assert_eq!(bare[key], json!([]), "{key}");
        }
        for key in ["comment", "created_by", "creation_date"] {
            assert_eq!(bare[key], Value::Null, "{key}");
        }
        for key in ["info_hash", "info_hash_v2", "private", "source", "files"] {
            assert_eq!(bare[key], before[key], "{key}");
        }
        // No temporary file stays.
        assert_eq!(folder.files().len(), 3);
    }
}

#[test]
fn nothing_is_written_over_unasked_and_nothing_that_is_no_torrent_is_edited() {
    let folder = made("--no-date");
    folder.write("mine", "mine");
    folder.write("broken", text(SMALL).replace("i16384e", "i0e"));
    let before = folder.files();
    let edit = |args: &[&str]| folder.bip(&[&["edit"], args, &["--no-comment"]].concat());
    assert!(fails(edit(&["t", "-o", "mine"])).contains("--force"));
    assert!(fails(edit(&["t", "-o", "t"])).contains("--force"));
    assert!(fails(edit(&["t", "-o", "."])).contains("folder"));
    assert!(fails(edit(&["t", "-o", "none/x"])).contains("none"));
    assert!(fails(edit(&["none", "-o", "x"])).starts_with("bip: none: "));
    assert!(fails(edit(&["broken", "--in-place"])).contains("byte "));
    assert!(folder.files() == before);
    let piped = edit(&["t", "-o", "-"]);
    let bytes = piped.stdout.clone();
    succeeds(piped);
    succeeds(edit(&["t", "-o", "mine", "--force"]));
    assert!(fs::read(folder.path("mine")).unwrap() == bytes && !text(&bytes).contains("7:comment"));
    for args in [&["t", "--no-comment"][..], &["t", "--in-place"], &["t", "--in-place", "-o", "x", "--no-comment"]] {
        assert_eq!(code(&folder.bip(&[&["edit"], args].concat())), 2, "{args:?}");
    }
    let output = folder.bip(&["edit", "-", "--in-place", "--no-comment"]);
    assert_eq!((code(&output), text(&output.stderr).contains("stdin")), (2, true));
}

#[cfg(unix)]
#[test]
fn in_place_a_link_is_followed_and_who_may_read_stays() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = made("--no-date");
    fs::set_permissions(folder.path("t"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("t", folder.path("link")).unwrap();
    succeeds(folder.bip(&["edit", "link", "--in-place", "--comment", "new"]));
    assert!(fs::symlink_metadata(folder.path("link")).unwrap().is_symlink());
    assert_eq!(fs::metadata(folder.path("t")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(shown(&folder, "t")["comment"], "new");
}
