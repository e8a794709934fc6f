//! What the options of `get` and `seed` do.

use crate::tool::*;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn only_the_files_that_were_asked_for_are_made() {
    let (there, here) = (Folder::new(), Folder::new());
    // No file ends where a piece does.
    for (number, length) in [(1, 50_000), (2, 60_000), (3, 10), (4, 70_000), (5, 20_000)] {
        there.write(&format!("tree/{number}"), noise(length, 30 + number));
    }
    let torrent = there.torrent("tree");
    let seed = there.listen(&["seed", &torrent, ".", "--listen", "127.0.0.1:0"]);
    let shown = succeeds(there.bip(&["show", &torrent]));
    assert!(shown.lines().any(|line| line == format!("4  {:>14}  tree/4", 70_000)), "{shown}");

    let get = |files: &[&str]| {
        let args = ["get", &torrent, "--peer", &seed.address, "--timeout", "50"];
        here.bip(&[&args[..], files].concat())
    };
    let has = || {
        let mut names = Vec::new();
        for (path, contents) in here.files() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            // What of the wanted pieces lies in skipped files.
            if !name.starts_with(".bip-") {
                assert!(contents == fs::read(there.path("tree").join(&name)).unwrap(), "{path:?}");
                names.push(name);
            }
        }
        names.join(",")
    };
    let told = succeeds(get(&["--files", "2,5"]));
    assert!(told.contains("complete: ./tree (2 of 5 files, 78.12 KiB of 195.32 KiB in "), "{told}");
    assert_eq!(has(), "2,5");
    let told = lines(get(&["--files", "5,2-3", "--json"]));
    let done = told.last().unwrap();
    assert_eq!(has(), "2,3,5");
    assert_eq!(
        [&done["files"], &done["files_wanted"], &done["length_wanted"]],
        [5, 3, 80_010].map(|n| json!(n)).each_ref()
    );
    // What is left comes without the option.
    succeeds(get(&[]));
    assert_eq!(has(), "1,2,3,4,5");
    assert_eq!(here.files().len(), 5);
    let told = succeeds(get(&["--files", "1"]));
    assert!(told.contains("complete already: ./tree (1 of 5 files, 48.83 KiB of "), "{told}");
}

#[test]
fn pieces_come_in_their_order_when_that_is_asked_for() {
    let (there, here) = (Folder::new(), Folder::new());
    let data = noise(64 * 16_384, 41);
    there.write("data", &data);
    let torrent = there.torrent("data");
    let seed = there.listen(&["seed", &torrent, ".", "--listen", "127.0.0.1:0", "--up", "256K"]);
    let args = ["get", &torrent, "--peer", &seed.address, "--listen", "127.0.0.1:0", "--sequential", "--json"];
    let ended = interrupted(&here, &args, 20, "-INT");
    assert_eq!(code(&ended), 130);
    let written = fs::read(here.path("data")).unwrap();
    let good = |at: usize| written.get(at * 16_384..(at + 1) * 16_384) == data.get(at * 16_384..(at + 1) * 16_384);
    // A few may still have been on their way.
    let first = (0..64).take_while(|&at| good(at)).count();
    let all = (0..64).filter(|&at| good(at)).count();
    assert!(first >= 16 && all - first <= 8, "the first {first}, {all} in all");
}

#[test]
fn rates_are_not_exceeded() {
    let (there, here) = (Folder::new(), Folder::new());
    there.write("data", noise(3 << 20, 42));
    let torrent = there.torrent("data");
    // A second's worth may go at once, before the limit bites.
    let least = Duration::from_secs(1);
    for (number, (up, down)) in [(&["--up", "1M"][..], &[][..]), (&[], &["--down", "1M"])].into_iter().enumerate() {
        let seed = there.listen(&[&["seed", &torrent, ".", "--listen", "127.0.0.1:0"][..], up].concat());
        let folder = number.to_string();
        let started = Instant::now();
        let args = ["get", &torrent, "-d", &folder, "--peer", &seed.address, "--timeout", "50"];
        succeeds(here.bip(&[&args[..], down].concat()));
        assert!(started.elapsed() >= least, "{up:?} {down:?}: {:?}", started.elapsed());
    }
}

#[test]
fn json_tells_every_second_how_it_stands_and_has_the_keys_of_the_help() {
    let (there, here) = (Folder::new(), Folder::new());
    there.write("data", noise(100_000, 43));
    let torrent = there.torrent("data");
    // Nobody comes, so nothing changes.
    let args = ["get", &torrent, "--listen", "127.0.0.1:0", "--json", "--timeout", "3.5"];
    let output = here.bip(&args);
    assert_eq!(code(&output), 1);
    let told: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let progress: Vec<_> = told.iter().filter(|line| line["event"] == "progress").collect();
    // At once, and after one, two and three seconds; a loaded machine may be late for one.
    assert!((3..=4).contains(&progress.len()), "{told:?}");
    assert!(progress.windows(2).all(|pair| pair[0] == pair[1]), "{progress:?}");
    let last = told.last().unwrap();
    assert!(last["event"] == "error" && last["fatal"] == true, "{last}");
    assert!(last["error"].as_str().unwrap().contains("not complete in time"), "{last}");

    let seed = there.listen(&["seed", &torrent, ".", "--listen", "127.0.0.1:0", "--up", "50K"]);
    let args = ["get", &torrent, "--listen", "127.0.0.1:0", "--json", "--peer", &seed.address];
    let told = lines(here.bip(&args));
    let help = succeeds(here.bip(&["get", "--help"]));
    let documented = |event: &str, key: &str| {
        let (_, table) = help.split_once("JSON lines, by \"event\"").unwrap();
        let mut entry = table.lines().skip_while(|line| !line.starts_with(&format!("  {event} ")));
        let first = entry.next().unwrap_or_default().trim_start().trim_start_matches(event).to_owned();
        let rest = entry.take_while(|line| line.starts_with("             "));
        let words = std::iter::once(first).chain(rest.map(ToOwned::to_owned)).collect::<Vec<_>>().join(" ");
        words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == key)
    };
    for line in &told {
        let event = line["event"].as_str().unwrap();
        for key in line.as_object().unwrap().keys().filter(|key| *key != "event" && *key != "torrent") {
            assert!(documented(event, key), "{event} {key}\n{help}");
        }
        assert_eq!(line["torrent"]["name"] == "data", event != "listening", "{line}");
    }
    let keys = [
        ("state", json!("downloading")),
        ("pieces_checked", Value::Null),
        ("pieces", json!(7)),
        ("pieces_wanted", json!(7)),
        ("total_length", json!(100_000)),
        ("bytes_wanted", json!(100_000)),
        ("peers", json!(1)),
        ("seeds", json!(1)),
        ("error", Value::Null),
    ];
    let busy = told.iter().filter(|line| line["event"] == "progress").find(|line| line["seeds"] == 1);
    let busy = busy.unwrap_or_else(|| panic!("{told:?}"));
    for (key, value) in keys {
        assert_eq!(busy[key], value, "{key}: {busy}");
    }
}

#[test]
fn the_figures_of_a_line_of_json_are_of_one_moment() {
    const PIECE: u64 = 16_384;
    let (there, here) = (Folder::new(), Folder::new());
    there.write("data", noise(400_000, 46));
    let torrent = there.torrent("data");
    // It takes some seconds, and begins with some of it.
    here.write("data", noise(400_000, 46).get(..100_000).unwrap());
    let seed = there.listen(&["seed", &torrent, ".", "--listen", "127.0.0.1:0", "--up", "100K"]);
    let told = lines(here.bip(&["get", &torrent, "--listen", "127.0.0.1:0", "--json", "--peer", &seed.address]));
    let progress: Vec<_> = told.iter().filter(|line| line["event"] == "progress").collect();
    let number = |line: &Value, key: &str| line[key].as_u64().unwrap_or_else(|| panic!("{key}: {line}"));
    let (mut before, mut moved) = (6, 0);
    for line in progress.iter().filter(|line| line["state"] != "checking") {
        let (pieces, bytes) = (number(line, "pieces_done"), number(line, "bytes_done"));
        // The last piece is shorter than the others.
        let least = (pieces * PIECE).saturating_sub(PIECE - 400_000 % PIECE);
        assert!((least..=pieces * PIECE).contains(&bytes) && (pieces == 25) == (bytes == 400_000), "{line}");
        assert_eq!(
            [&line["pieces_wanted_done"], &line["bytes_wanted_done"]],
            [pieces, bytes].map(Value::from).each_ref()
        );
        assert!(pieces >= before && bytes <= number(line, "total_length"), "{line}");
        // What came in is what was not there; no more of it is verified than came.
        assert!(bytes <= 6 * PIECE + number(line, "downloaded"), "{line}");
        let (rate, left) = (number(line, "download_rate"), line["seconds_left"].as_u64());
        // As long as the rest takes at the rate that the line has.
        let expected = (rate > 0 && bytes < 400_000).then(|| (400_000 - bytes).div_ceil(rate));
        assert_eq!(left, expected, "{line}");
        moved += u32::from(pieces > before);
        before = pieces;
    }
    assert!(moved > 0, "nothing was told on the way: {told:?}");
    let last = told.last().unwrap();
    assert_eq!([&last["event"], &last["already"]], [&json!("completed"), &json!(false)]);
    assert_eq!([&last["total_length"], &last["length_wanted"]], [&json!(400_000); 2]);
}
