//! Several torrents at once.

use crate::tool::*;
use std::fs;
use std::io::BufRead as _;

#[test]
fn several_torrents_go_both_ways_in_one_session() {
    let (there, here, last) = (Folder::new(), Folder::new(), Folder::new());
    there.write("one", noise(200_000, 21));
    there.write("two/a", noise(90_000, 22));
    there.write("two/b", noise(1, 23));
    let torrents = ["one", "two"].map(|name| there.torrent(name));
    let [one, two] = torrents.each_ref().map(String::as_str);
    let seed = there.listen(&["seed", one, "--listen", "127.0.0.1:0", two, "."]);

    // One that goes on seeding, and one that has it from there.
    let args = ["get", one, two, "--peer", &seed.address, "--listen", "127.0.0.1:0", "--seed"];
    let mut middle = here.listen(&args);
    let mut told = [String::new(), String::new()];
    for line in &mut told {
        middle.stdout.read_line(line).unwrap();
    }
    told.sort();
    assert!(told[0].starts_with("complete: ./one (") && told[1].starts_with("complete: ./two ("), "{told:?}");
    drop(seed);
    let told = lines(last.bip(&["get", one, "--peer", &middle.address, two, "--json", "--timeout", "50"]));
    for (name, pieces) in [("one", 13), ("two", 6)] {
        let of = |event: &str| {
            told.iter().filter(|line| line["event"] == event && line["torrent"]["name"] == name).collect::<Vec<_>>()
        };
        assert_eq!((of("checked").len(), of("completed").len()), (1, 1), "{told:?}");
        assert_eq!(of("completed")[0]["pieces"], pieces);
        assert_eq!(of("checked")[0]["torrent"]["info_hash"].as_str().unwrap().len(), 40);
    }
    assert_eq!(code(&middle.end("-INT")), 0);
    for name in ["one", "two/a", "two/b"] {
        let original = fs::read(there.path(name)).unwrap();
        assert!(fs::read(here.path(name)).unwrap() == original && fs::read(last.path(name)).unwrap() == original);
    }
}

#[test]
fn one_torrent_that_fails_does_not_stop_the_others() {
    let (there, here) = (Folder::new(), Folder::new());
    for (name, seed) in [("one", 24), ("two", 25), ("three", 26)] {
        there.write(&format!("{name}/file"), noise(50_000, seed));
    }
    let torrents = ["one", "two", "three"].map(|name| there.torrent(name));
    let [one, two, three] = torrents.each_ref().map(String::as_str);
    let seed = there.listen(&["seed", one, two, three, ".", "--listen", "127.0.0.1:0"]);
    // Where the second one's folder must be, there is a file.
    here.write("two", "mine");
    let output = here.bip(&["get", one, two, three, "--peer", &seed.address, "--timeout", "50", "-q"]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(code(&output), 1, "{stdout} {stderr}");
    assert!(stdout.contains("complete: ./one ") && stdout.contains("complete: ./three "), "{stdout}");
    let told: Vec<_> = stderr.lines().collect();
    assert!(told.len() == 2 && told[0].starts_with("bip: ./two/file: "), "{stderr}");
    assert_eq!(told[1], "bip: in all: 1 of 3 torrents failed");
    let contents = |name: &str| [&there, &here].map(|folder| fs::read(folder.path(name)).unwrap());
    for [a, b] in ["one/file", "three/file"].map(contents) {
        assert!(a == b);
    }
    assert_eq!(fs::read(here.path("two")).unwrap(), b"mine");

    // Out of time: those that are not complete are told, each.
    drop(seed);
    let output = here.bip(&["get", one, three, two, "-d", "new", "--peer", "127.0.0.1:1", "--timeout", "0.3", "-q"]);
    let stderr = text(&output.stderr);
    assert_eq!((code(&output), stderr.lines().count()), (1, 4), "{stderr}");
    for torrent in [one, two, three] {
        assert!(stderr.contains(&format!("bip: {torrent}: not complete in time: 0 of 4 pieces")), "{stderr}");
    }
}

#[test]
fn torrents_that_cannot_be_read_are_all_told_before_anything_begins() {
    let (folder, here) = (Folder::new(), Folder::new());
    folder.write("data", noise(50_000, 27));
    let good = folder.torrent("data");
    let again = folder.write("again", fs::read(&good).unwrap());
    let bad = folder.write("bad", "d");
    let none = folder.path("none").to_str().unwrap().to_owned();
    let get = ["get", &bad, &good, &again, &none, "--listen", "127.0.0.1:0"];
    let seed = ["seed", &bad, &good, &again, &none, folder.0.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    for args in [&get[..], &seed] {
        let output = here.bip(args);
        let stderr = text(&output.stderr);
        let told: Vec<_> = stderr.lines().collect();
        assert_eq!((code(&output), output.stdout.len(), told.len()), (1, 0, 3), "{stderr}");
        assert!(told[0].starts_with(&format!("bip: {bad}: ")) && told[0].contains("byte "), "{stderr}");
        assert_eq!(told[1], format!("bip: {again}: is the same torrent as {good}"));
        assert!(told[2].starts_with(&format!("bip: {none}: ")), "{stderr}");
        assert!(here.files().is_empty());
    }
}

#[test]
fn a_seed_of_several_offers_all_or_nothing() {
    let folder = Folder::new();
    for (name, seed) in [("one", 28), ("two", 29), ("three", 30)] {
        folder.write(name, noise(50_000, seed));
    }
    let torrents = ["one", "two", "three"].map(|name| folder.torrent(name));
    let [one, two, three] = torrents.each_ref().map(String::as_str);
    folder.write("two", noise(40_000, 29));
    folder.write("three", noise(50_000, 31));
    let before = folder.files();
    let output = folder.bip(&["seed", one, two, three, ".", "--listen", "127.0.0.1:0"]);
    let stderr = text(&output.stderr);
    assert_eq!((code(&output), text(&output.stdout)), (1, String::new()), "{stderr}");
    assert!(stderr.contains("bip: ./two: 2 of 4 pieces missing or bad"), "{stderr}");
    assert!(stderr.contains("bip: ./three: 4 of 4 pieces missing or bad"), "{stderr}");
    assert!(stderr.ends_with("bip: seed: nothing is offered: 2 of 3 torrents cannot be\n"), "{stderr}");
    fs::remove_file(folder.path("two")).unwrap();
    fs::remove_file(folder.path("three")).unwrap();
    let output = folder.bip(&["seed", one, two, three, "."]);
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("bip: ./two: does not exist") && stderr.contains("bip: ./three: does not exist"),
        "{stderr}"
    );
    assert_eq!((code(&output), stderr.lines().count()), (1, 2), "{stderr}");
    let stderr = text(&folder.bip(&["seed", one, two]).stderr);
    assert!(stderr.starts_with(&format!("bip: {two}: ")) && stderr.contains("last argument is the folder"), "{stderr}");
    assert!(folder.files().len() + 2 == before.len());
}
