//! bip as a client of trackers that other people wrote: opentracker and bittorrent-tracker, over UDP, HTTP and HTTPS.
//!
//! Debian's opentracker answers only for torrents that are in its list, and not as root. bittorrent-tracker answers an HTTP scrape with hashes spoilt
//! that have a byte over 0x7f, and gives no peers over UDP with IPv6, so neither is asked for.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::fleet::found;
use crate::harness::Need::{self, BittorrentTracker, Namespace, Program};
use crate::namespace::is_installed;
use crate::nodes::until;
use crate::process::{Failure, Running};
use crate::tool;
use crate::tree::{self, Tree};

const WITH_OPENTRACKER: &[Need] = &[Namespace, Program("opentracker")];
const WITH_BITTORRENT_TRACKER: &[Need] = &[Namespace, BittorrentTracker];
const WITH_TLS: &[Need] = &[Namespace, BittorrentTracker, Program("openssl")];

crate::harness::tests! {
    bip_announces_and_scrapes_at_opentracker: WITH_OPENTRACKER,
    bip_announces_and_scrapes_at_bittorrent_tracker: WITH_BITTORRENT_TRACKER,
    bip_asks_over_https_whom_it_can_trust_and_nobody_else: WITH_TLS,
    peers_of_bip_find_each_other_through_opentracker: WITH_OPENTRACKER,
    peers_of_bip_find_each_other_through_bittorrent_tracker: WITH_BITTORRENT_TRACKER,
}

/// The script that runs bittorrent-tracker.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/interop/bittorrent_tracker.js");

/// Every test has the port to itself.
const PORT: &str = "6969";
const TLS_PORT: &str = "6970";

/// A torrent. None of its bytes is over 0x7f.
const HASH: &str = "0123456701234567012345670123456701234567";
/// A torrent that no tracker knows.
const UNKNOWN: &str = "7654321076543210765432107654321076543210";

const TREE: Tree = tree::FILE;

/// Says how bittorrent-tracker is run, or why it cannot be.
pub(crate) fn bittorrent_tracker() -> Result<Command, Failure> {
    if !is_installed("node") {
        return Err("`node` is not installed".to_owned());
    }
    let package = found("BIP_BITTORRENT_TRACKER", "interop-node/node_modules/bittorrent-tracker")?;
    let mut command = Command::new("node");
    command.args([SCRIPT, PORT]).env("BIP_BITTORRENT_TRACKER", package);
    Ok(command)
}

fn start_bittorrent_tracker() -> Result<Running, Failure> {
    let mut running = Running::start("bittorrent-tracker", &mut bittorrent_tracker()?)?;
    running.wait_line("ready", |line| (line == "ready").then_some(()))?;
    Ok(running)
}

/// Starts opentracker for one torrent. It is chrooted to the folder.
fn start_opentracker(folder: &Path, hash: &str) -> Result<Running, Failure> {
    fs::write(folder.join("listed"), format!("{hash}\n")).map_err(|error| error.to_string())?;
    let mut command = Command::new("opentracker");
    command.args(["-i", "127.0.0.1", "-p", PORT, "-P", PORT, "-d", ".", "-u", "nobody", "-w", "listed"]);
    let running = Running::start("opentracker", command.current_dir(folder))?;
    // It does not say when it listens.
    until("opentracker answers", || Ok(scrape(&url("udp", "127.0.0.1"), hash).is_ok()), |answers| *answers)?;
    Ok(running)
}

fn url(scheme: &str, host: &str) -> String {
    format!("{scheme}://{host}:{PORT}/announce")
}

/// The one JSON line that the tool prints.
fn line(args: tool::Args<'_>) -> Result<Value, Failure> {
    let ended = tool::run(args)?;
    let text = ended.text()?;
    serde_json::from_str(text).map_err(|error| ended.complain(&format!("did not write one line of JSON: {error}")))
}

fn announce(url: &str, port: u16, more: &[&str]) -> Result<Value, Failure> {
    let port = port.to_string();
    let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> =
        vec![&"announce", &HASH, &"--json", &"--tracker", &url, &"--port", &port];
    more.iter().for_each(|arg| args.push(arg));
    line(&args)
}

fn scrape(url: &str, hash: &str) -> Result<Value, Failure> {
    line(&[&"scrape", &"--json", &"--timeout", &"2", &"--tracker", &url, &hash])
}

fn expect(what: &str, found: &Value, expected: &Value) -> Result<(), Failure> {
    if found == expected { Ok(()) } else { Err(format!("{what}: expected {expected}, found {found}")) }
}

/// A leech and a seed come, find each other, are counted, and go.
fn expect_swarm(url: &str, host: &str) -> Result<(), Failure> {
    announce(url, 7001, &["--event", "started"])?;
    let reply = announce(url, 7002, &["--event", "started", "--seed"])?;
    let peer = format!("{host}:7001");
    if !reply["peers"].as_array().is_some_and(|peers| peers.contains(&peer.clone().into())) {
        return Err(format!("{url}: {peer} is not among the peers of {reply}"));
    }
    if reply["interval"].as_u64().is_none_or(|interval| interval < 60) {
        return Err(format!("{url}: no interval in {reply}"));
    }
    let figures = scrape(url, HASH)?;
    expect("seeders", &figures["seeders"], &1.into())?;
    expect("leechers", &figures["leechers"], &1.into())?;
    let unknown = scrape(url, UNKNOWN)?;
    if unknown["seeders"].as_u64().is_some_and(|seeders| seeders > 0) {
        return Err(format!("{url}: nobody has {unknown}"));
    }
    announce(url, 7001, &["--event", "stopped"])?;
    announce(url, 7002, &["--event", "stopped"])?;
    let figures = scrape(url, HASH)?;
    if figures["seeders"].as_u64().unwrap_or(0) + figures["leechers"].as_u64().unwrap_or(0) > 0 {
        return Err(format!("{url}: all are gone, but {figures}"));
    }
    Ok(())
}

fn bip_announces_and_scrapes_at_opentracker(folder: &Path) -> Result<(), Failure> {
    let _tracker = start_opentracker(folder, HASH)?;
    for scheme in ["udp", "http"] {
        expect_swarm(&url(scheme, "127.0.0.1"), "127.0.0.1")?;
    }
    // What is not listed is refused in words.
    let refused = tool::fails(&[&"announce", &UNKNOWN, &"--tracker", &url("http", "127.0.0.1")])?;
    if !refused.stderr.contains("not authorized") {
        return Err(refused.complain("does not say what opentracker says"));
    }
    Ok(())
}

fn bip_announces_and_scrapes_at_bittorrent_tracker(_: &Path) -> Result<(), Failure> {
    let _tracker = start_bittorrent_tracker()?;
    for (scheme, host) in [("udp", "127.0.0.1"), ("http", "127.0.0.1"), ("http", "[::1]")] {
        expect_swarm(&url(scheme, host), host)?;
    }
    Ok(())
}

/// Makes a certificate authority, and a key and certificate of its for an address.
fn certify(folder: &Path, address: &str) -> Result<(), Failure> {
    let make = |name: &str, more: &[&str]| {
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        command.args([
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ]);
        let made = command.args(more).current_dir(folder).output().map_err(|error| format!("openssl: {error}"))?;
        let said = String::from_utf8_lossy(&made.stderr);
        if made.status.success() { Ok(()) } else { Err(format!("openssl makes no certificate: {said}")) }
    };
    make("authority", &[])?;
    let name = format!("subjectAltName=IP:{address}");
    let issuer = ["-CA", "authority.pem", "-CAkey", "authority.key"];
    make("tracker", &[&issuer[..], &["-addext", &name, "-addext", "basicConstraints=critical,CA:FALSE"]].concat())?;
    make("stranger", &[])
}

fn bip_asks_over_https_whom_it_can_trust_and_nobody_else(folder: &Path) -> Result<(), Failure> {
    certify(folder, "127.0.0.1")?;
    let mut tracker = bittorrent_tracker()?;
    tracker.arg(TLS_PORT).args(["tracker.key", "tracker.pem"].map(|name| folder.join(name)));
    let mut running = Running::start("bittorrent-tracker", &mut tracker)?;
    running.wait_line("ready", |line| (line == "ready").then_some(()))?;

    let url = format!("https://127.0.0.1:{TLS_PORT}/announce");
    let authority = folder.join("authority.pem").display().to_string();
    announce(&url, 7001, &["--event", "started", "--tracker-ca", &authority])?;
    let reply = announce(&url, 7002, &["--event", "started", "--tracker-ca", &authority])?;
    if !reply["peers"].as_array().is_some_and(|peers| peers.contains(&"127.0.0.1:7001".into())) {
        return Err(format!("the first is not among the peers of {reply}"));
    }
    let scraped =
        [&"scrape" as &dyn AsRef<std::ffi::OsStr>, &"--json", &"--tracker-ca", &authority, &"--tracker", &url, &HASH];
    expect("leechers", &line(&scraped)?["leechers"], &2.into())?;

    // Neither an authority that nobody knows is believed, nor the known ones for another address.
    let stranger = folder.join("stranger.pem");
    let elsewhere = format!("https://localhost:{TLS_PORT}/announce");
    let cases: [&[&dyn AsRef<std::ffi::OsStr>]; 3] =
        [&[&url], &[&url, &"--tracker-ca", &stranger], &[&elsewhere, &"--tracker-ca", &authority]];
    for case in cases {
        let asked = [&[&"announce" as &dyn AsRef<std::ffi::OsStr>, &HASH, &"--tracker"], case].concat();
        let refused = tool::fails(&asked)?;
        if !refused.stderr.contains("certificate") {
            return Err(refused.complain("does not say that it is the certificate"));
        }
    }
    let nothing = tool::fails(&[&"announce", &HASH, &"--tracker", &url, &"--tracker-ca", &folder.join("tracker.key")])?;
    if !nothing.stderr.contains("there is no certificate in it") {
        return Err(nothing.complain("does not say that there is no certificate"));
    }
    Ok(())
}

/// Makes the torrent with a tracker; gives its path and its info hash.
fn prepare(folder: &Path, url: &str) -> Result<(std::path::PathBuf, String), Failure> {
    let torrent = folder.join("tracked.torrent");
    tool::create_with_tracker(&TREE.root(&folder.join("original")), &torrent, TREE.piece_length, url)?;
    let hash = tool::show(&torrent)?["info_hash"].as_str().unwrap_or_default().to_owned();
    Ok((torrent, hash))
}

/// One seeds, one gets; neither is told of the other but by the tracker.
fn expect_transfer(folder: &Path, torrent: &Path, copy: &str) -> Result<(), Failure> {
    let (original, copy) = (folder.join("original"), folder.join(copy));
    let mut seeder = tool::start(&[&"seed", &torrent, &original, &"--listen", &"127.0.0.1:0"])?;
    tool::listening(&mut seeder)?;
    tool::run(&[&"get", &torrent, &"-d", &copy, &"--listen", &"127.0.0.1:0", &"--timeout", &"50"])?;
    TREE.expect_equal(&original, &copy)?;
    seeder.stop()?.expect_code(0).map(drop)
}

fn peers_of_bip_find_each_other_through_opentracker(folder: &Path) -> Result<(), Failure> {
    TREE.write(&folder.join("original"))?;
    let (torrent, hash) = prepare(folder, &url("udp", "127.0.0.1"))?;
    let _tracker = start_opentracker(folder, &hash)?;
    expect_transfer(folder, &torrent, "by udp")?;
    fs::remove_file(&torrent).map_err(|error| error.to_string())?;
    let (torrent, _) = prepare(folder, &url("http", "127.0.0.1"))?;
    expect_transfer(folder, &torrent, "by http")
}

fn peers_of_bip_find_each_other_through_bittorrent_tracker(folder: &Path) -> Result<(), Failure> {
    TREE.write(&folder.join("original"))?;
    let _tracker = start_bittorrent_tracker()?;
    for scheme in ["udp", "http"] {
        let (torrent, _) = prepare(folder, &url(scheme, "127.0.0.1"))?;
        expect_transfer(folder, &torrent, scheme)?;
        fs::remove_file(&torrent).map_err(|error| error.to_string())?;
    }
    Ok(())
}
