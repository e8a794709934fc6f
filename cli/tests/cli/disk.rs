//! A disk that refuses.

use crate::tool::*;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Command;

#[test]
fn a_disk_that_refuses_is_named() {
    let (there, here) = (Folder::new(), Folder::new());
    there.write("tree/a", noise(1_000, 8));
    there.write("tree/b", noise(1_000, 9));
    succeeds(there.bip(&["create", "tree"]));
    let torrent = there.path("tree.torrent");
    let torrent = torrent.to_str().unwrap();
    // A file stands where the torrent's folder must be.
    here.write("tree", "mine");
    let seed = there.listen(&["seed", torrent, ".", "--listen", "127.0.0.1:0"]);
    for dir in [".", here.0.to_str().unwrap()] {
        let line = fails(here.bip(&["get", torrent, "-d", dir, "--peer", &seed.address, "--timeout", "50", "-q"]));
        assert!(["a", "b"].iter().any(|n| line.starts_with(&format!("bip: {dir}/tree/{n}: "))), "{line}");
    }
    assert_eq!(fs::read(here.path("tree")).unwrap(), b"mine");
}

/// A tiny file system in memory, gone with this; none where this user may not mount one.
struct Tiny<'a>(&'a str);

impl<'a> Tiny<'a> {
    fn mount(path: &'a str, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs", path]).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Tiny<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", self.0]).status();
    }
}

#[test]
fn a_full_disk_is_told_and_the_download_goes_on_when_there_is_room() {
    let (there, here) = (Folder::new(), Folder::new());
    there.write("data", noise(2 << 20, 44));
    let torrent = there.torrent("data");
    let tiny = here.path("tiny").to_str().unwrap().to_owned();
    let Some(_mounted) = Tiny::mount(&tiny, "3M") else {
        eprintln!("skipped: this user cannot mount a tmpfs");
        return;
    };
    here.write("tiny/ballast", noise(2 << 20, 45));
    let seed = there.listen(&["seed", &torrent, ".", "--listen", "127.0.0.1:0"]);
    let args = ["get", &torrent, "-d", &tiny, "--peer", &seed.address, "--json"];
    let mut child = here.start(&args);
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = |event: &str| -> Value {
        let mut all = told.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        all.find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event}"))
    };
    let error = next("error");
    assert_eq!(error["fatal"], false, "{error}");
    let text_of = |line: &Value| line["error"].as_str().unwrap_or_default().to_owned();
    assert!(text_of(&error).starts_with(&format!("{tiny}/data: ")), "{error}");
    let progress = next("progress");
    assert_eq!([&progress["state"], &progress["error"]], [&json!("waiting"), &error["error"]]);
    fs::remove_file(here.path("tiny/ballast")).unwrap();
    next("recovered");
    next("completed");
    let output = finish(child);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(fs::read(here.path("tiny/data")).unwrap() == fs::read(there.path("data")).unwrap());

    // Whoever does not wait for room is told why, with code 1.
    fs::remove_file(here.path("tiny/data")).unwrap();
    here.write("tiny/ballast", noise(2 << 20, 45));
    let args = ["get", &torrent, "-d", &tiny, "--peer", &seed.address, "--timeout", "3", "-q"];
    let output = here.bip(&args);
    let stderr = text(&output.stderr);
    assert_eq!(code(&output), 1, "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with(&format!("bip: {torrent}: not complete in time: {tiny}/data: writing: ")), "{stderr}");
}

/// What a `get --json` says of its check, and of what it fetched.
fn check_of(told: &[Value]) -> (String, u64) {
    let checked = told.iter().find(|line| line["event"] == "checked").unwrap_or_else(|| panic!("{told:?}"));
    (checked["check"].as_str().unwrap().to_owned(), checked["pieces_done"].as_u64().unwrap())
}

#[test]
fn what_is_remembered_is_not_read_again_and_a_stale_memory_is_not_believed() {
    let (there, here) = (Folder::new(), Folder::new());
    let data = noise(64 * 16_384, 46);
    there.write("data", &data);
    let torrent = there.torrent("data");
    let seed = there.listen(&["seed", &torrent, ".", "--listen", "127.0.0.1:0", "--state", "state"]);
    let get = || lines(here.bip(&["get", &torrent, "--peer", &seed.address, "--json", "--state", "deep/state"]));
    assert_eq!(check_of(&get()), ("full".to_owned(), 0));
    assert_eq!(check_of(&get()), ("sampled".to_owned(), 64));
    // A file that was changed since is read in full, and made right again.
    let mut wrong = data.clone();
    wrong[20 * 16_384] ^= 1;
    here.write("data", &wrong[..60 * 16_384]);
    assert_eq!(check_of(&get()), ("full".to_owned(), 59));
    assert!(fs::read(here.path("data")).unwrap() == data);
    // A memory that is no such thing costs a check, and nothing else.
    for (path, _) in here.files().into_iter().filter(|(path, _)| path.starts_with(here.path("deep/state"))) {
        fs::write(path, "d4:infoi0ee").unwrap();
    }
    assert_eq!(check_of(&get()), ("full".to_owned(), 64));
    // A seed remembers too.
    assert_eq!(code(&seed.end("-INT")), 0);
    let remembered = there.files().into_iter().filter(|(path, _)| path.starts_with(there.path("state"))).count();
    assert_eq!(remembered, 1);
    assert_eq!(
        code(&there.listen(&["seed", &torrent, ".", "--listen", "127.0.0.1:0", "--state", "state"]).end("-INT")),
        0
    );
}

#[test]
fn what_is_remembered_survives_a_kill() {
    let (there, here) = (Folder::new(), Folder::new());
    let data = noise(128 * 16_384, 47);
    there.write("data", &data);
    let torrent = there.torrent("data");
    let seed = there.listen(&["seed", &torrent, ".", "--listen", "127.0.0.1:0", "--up", "512K"]);
    let args = ["get", &torrent, "--peer", &seed.address, "--listen", "127.0.0.1:0", "--json", "--state", "state"];
    let ended = interrupted(&here, &args, 40, "-KILL");
    assert_eq!(ended.status.code(), None);
    drop(seed);
    let report = here.bip(&["verify", &torrent, ".", "--json"]);
    let good = serde_json::from_slice::<Value>(&report.stdout).unwrap()["pieces_good"].as_u64().unwrap();
    assert!(good >= 40, "{good}");
    let seed = there.listen(&["seed", &torrent, ".", "--listen", "127.0.0.1:0"]);
    let told = lines(here.bip(&["get", &torrent, "--peer", &seed.address, "--json", "--state", "state"]));
    // What was written after the memory was saved is found by reading it, or fetched again; never is it taken for what it is not.
    assert!(check_of(&told).1 <= good, "{told:?}");
    assert!(fs::read(here.path("data")).unwrap() == data);
    let told = lines(here.bip(&["get", &torrent, "--peer", &seed.address, "--json", "--state", "state"]));
    assert_eq!(check_of(&told), ("sampled".to_owned(), 128));
}
