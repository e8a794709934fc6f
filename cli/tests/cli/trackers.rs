//! `bip announce` and `bip scrape`, and torrents whose trackers `bip get` and `bip seed` tell.

#[path = "../../../tests/it/tracker_handle/udp.rs"]
mod udp;

use crate::tool::{Folder, PATIENCE, code, fails, lines, succeeds, text};
use bip::proto::announce::Event;
use serde_json::Value;
use std::net::UdpSocket;
use std::process::Output;
use udp::UdpTracker;

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

fn tracker() -> (UdpTracker, String) {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let url = tracker.url();
    (tracker, url)
}

/// The JSON lines of what fails.
fn failed_lines(output: &Output) -> Vec<Value> {
    assert_eq!(code(output), 1);
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn peers_that_announce_themselves_are_found_counted_and_forgotten() {
    let folder = Folder::new();
    let (tracker, url) = tracker();
    let announce = |more: &[&str]| folder.bip(&[&["announce", HASH, "--tracker", &url], more].concat());
    assert_eq!(succeeds(announce(&["--port", "7001", "--event", "started"])), "");
    let seen = tracker.seen.recv().unwrap();
    assert_eq!((seen.event, seen.url.as_deref()), (Event::Started, Some("/announce?pass=key")));
    assert_eq!(succeeds(announce(&["--port", "7002", "--seed"])), "127.0.0.1:7001\n");
    assert_eq!(tracker.seen.recv().unwrap().left, 0);
    let json = lines(announce(&["--port", "7003", "--num-want", "5", "--json"]));
    assert_eq!(json.len(), 1);
    assert_eq!((json[0]["seeders"].as_u64(), json[0]["leechers"].as_u64()), (Some(1), Some(2)));
    assert_eq!(json[0]["peers"].as_array().unwrap().len(), 2);
    assert!(!json[0].to_string().contains("key"), "{}", json[0]);

    let other = "89abcdef0123456789abcdef0123456789abcdef";
    let scrape = |more: &[&str]| folder.bip(&[&["scrape", "--tracker", &url, HASH, other], more].concat());
    let figures = lines(scrape(&["--json"]));
    assert_eq!((figures[0]["info_hash"].as_str(), figures[0]["leechers"].as_u64()), (Some(HASH), Some(2)));
    assert_eq!((figures[1]["info_hash"].as_str(), figures[1]["seeders"].as_u64()), (Some(other), Some(0)));
    let figures = succeeds(scrape(&[]));
    assert!(figures.starts_with(&format!("{HASH} 1 seeder, 2 leechers, 0 downloads\n{other} 0 seeders")), "{figures}");

    for port in ["7001", "7002", "7003"] {
        succeeds(announce(&["--port", port, "--event", "stopped"]));
    }
    assert_eq!(lines(scrape(&["--json"]))[0]["seeders"].as_u64(), Some(0));
}

#[test]
fn a_tracker_that_does_not_answer_is_a_failure_that_shows_no_passkey() {
    let folder = Folder::new();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}/5ec7e7/announce?k=5ec7e7", silent.local_addr().unwrap());
    let (_tracker, works) = tracker();
    let announce =
        |more: &[&str]| folder.bip(&[&["announce", HASH, "--timeout", "0.3", "--tracker", &url], more].concat());
    let told = announce(&[]);
    assert_eq!(code(&told), 1);
    let words = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(words.contains("does not answer") && !words.contains("5ec7e7"), "{words}");
    let json = failed_lines(&announce(&["--json"]));
    assert_eq!(json[0]["error"], "the tracker does not answer");
    // One that answers is enough.
    let both = lines(announce(&["--json", "--tracker", &works]));
    assert!(both[0]["error"].is_string() && both[1]["peers"].is_array());
    let scrape = folder.bip(&["scrape", "--timeout", "0.3", "--tracker", &url, HASH]);
    assert_eq!(code(&scrape), 1);
    assert!(fails(folder.bip(&["announce", HASH])).contains("has no tracker"));
    for wrong in [&["announce", HASH, "--tracker", "ftp://x/"][..], &["scrape", HASH]] {
        assert_eq!(code(&folder.bip(wrong)), 2);
    }
}

#[test]
fn a_magnet_link_sends_nobody_to_what_listens_here_and_the_user_may() {
    let folder = Folder::new();
    let (tracker, url) = tracker();
    let link = format!("magnet:?xt=urn:btih:{HASH}&tr={}", url.replace('?', "%3F").replace('=', "%3D"));
    let words = fails(folder.bip(&["announce", &link]));
    assert!(words.contains("not of the Internet"), "{words}");
    assert!(tracker.seen.try_recv().is_err(), "it was asked all the same");
    succeeds(folder.bip(&["announce", &link, "--tracker", &url]));
    assert_eq!(tracker.seen.recv().unwrap().event, Event::None);
}

#[test]
fn the_trackers_of_a_private_torrent_are_told_in_turn_until_one_answers() {
    let folder = Folder::new();
    folder.write("data", vec![7; 100_000]);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dead = format!("udp://{}", silent.local_addr().unwrap());
    let ((second, second_url), (third, third_url)) = (tracker(), tracker());
    let urls = ["--tracker", &dead, "--tracker", &second_url, "--tracker", &third_url];
    succeeds(folder.bip(&[&["create", "data", "--private", "-q"], &urls[..]].concat()));
    let announce =
        |more: &[&str]| folder.bip(&[&["announce", "data.torrent", "--timeout", "2", "--json"], more].concat());
    let told = lines(announce(&[]));
    assert!(told.len() == 2 && told[0]["error"].is_string() && told[1]["peers"].is_array(), "{told:?}");
    assert_eq!(second.seen.recv().unwrap().event, Event::None);
    assert!(third.seen.try_recv().is_err(), "the third was told too");
    assert_eq!(lines(announce(&urls)).len(), 3);
    second.seen.recv().unwrap();
    third.seen.recv().unwrap();
    assert_eq!(lines(announce(&["--event", "stopped"])).len(), 3);
    assert_eq!(second.seen.recv().unwrap().event, Event::Stopped);
    assert_eq!(third.seen.recv().unwrap().event, Event::Stopped);
}

#[test]
fn a_torrent_is_fetched_from_whom_its_tracker_knows() {
    let folder = Folder::new();
    let (tracker, url) = tracker();
    folder.write("data", vec![7; 100_000]);
    succeeds(folder.bip(&["create", "data", "--tracker", &url, "-q"]));
    let seeder = folder.listen(&["seed", "data.torrent", ".", "--listen", "127.0.0.1:0"]);
    let seen = tracker.seen.recv_timeout(PATIENCE).unwrap();
    assert_eq!((seen.event, seen.left), (Event::Started, 0));
    let alone = ["get", "data.torrent", "-d", "none", "--no-trackers"];
    assert!(fails(folder.bip(&alone)).contains("no source of peers"));
    assert!(tracker.seen.try_recv().is_err(), "the tracker was told all the same");

    succeeds(folder.bip(&["get", "data.torrent", "-d", "copy", "--timeout", "60"]));
    assert_eq!(std::fs::read(folder.path("copy/data")).unwrap(), vec![7; 100_000]);
    let events: Vec<Event> = (0..3).map(|_| tracker.seen.recv_timeout(PATIENCE).unwrap().event).collect();
    assert_eq!(events, [Event::Started, Event::Completed, Event::Stopped]);
    seeder.end("-TERM");
    assert_eq!(tracker.seen.recv_timeout(PATIENCE).unwrap().event, Event::Stopped);
}

#[test]
fn a_tracker_that_fails_is_told_once_in_words_and_in_json() {
    let folder = Folder::new();
    folder.write("data", vec![7; 100_000]);
    // In a private network, and not the path of a tracker.
    let url = "http://127.0.0.1:9/5ec7e7/x";
    succeeds(folder.bip(&["create", "data", "--tracker", url, "-q"]));
    let get = ["get", "data.torrent", "-d", "copy", "--timeout", "1", "--listen", "127.0.0.1:0"];
    let told = folder.bip(&get);
    let words = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(words.matches("not of the Internet").count(), 1, "{words}");
    let json = failed_lines(&folder.bip(&[&get[..], &["--json"]].concat()));
    let trackers: Vec<_> = json.iter().filter(|line| line["event"] == "tracker").collect();
    assert_eq!(trackers.len(), 1, "{json:?}");
    assert_eq!((&trackers[0]["url"], &trackers[0]["state"]), (&"http://127.0.0.1:9/…".into(), &"disabled".into()));
}
