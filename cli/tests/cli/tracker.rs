//! `bip tracker`, with clients made by hand.

use crate::tool::{Folder, code, fails, finish, signal, text};
use bip::proto::compact::Family;
use bip::proto::id::{InfoHash, PeerId};
use bip::proto::udp_tracker::{Announce, Request, Response, TransactionId};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Output};
use std::time::Instant;

/// A tracker that runs until it is told to end, and its JSON lines.
struct Running {
    child: Option<Child>,
    stdout: BufReader<ChildStdout>,
    ready: Value,
}

impl Running {
    fn start(folder: &Folder, args: &[&str]) -> Self {
        let mut child = folder.start(&[&["tracker", "--json"], args].concat());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self { child: Some(child), stdout, ready: Value::Null };
        running.ready = running.next();
        assert_eq!(running.ready["ready"], true);
        running
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        match serde_json::from_str(&line) {
            Ok(value) => value,
            Err(_) => panic!("{line:?} {:?}", self.child.take().map(finish)),
        }
    }

    /// Reads on until a line that is looked for.
    fn until(&mut self, what: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + crate::tool::PATIENCE;
        loop {
            let line = self.next();
            if what(&line) {
                return line;
            }
            assert!(Instant::now() < end, "the last line is {line}");
        }
    }

    fn address(&self, kind: &str, n: usize) -> SocketAddr {
        self.ready[kind][n].as_str().unwrap().parse().unwrap()
    }

    fn hang_up(&self) {
        signal(self.child.as_ref().unwrap(), "-HUP");
    }

    fn end(mut self, name: &str) -> Output {
        let child = self.child.take().unwrap();
        signal(&child, name);
        finish(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn hash(n: u8) -> InfoHash {
    InfoHash([n; 20])
}

/// Announces over UDP; gives how many peers and leeches there are, or why it is refused.
fn announce(tracker: SocketAddr, info_hash: InfoHash, port: u16) -> Result<(usize, u32), String> {
    let loopback = if tracker.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(loopback).unwrap();
    socket.set_read_timeout(Some(crate::tool::PATIENCE)).unwrap();
    let mut buffer = [0; 2_000];
    let mut exchange = |request: Request<'_>| {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        socket.send_to(&bytes, tracker).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    };
    let (transaction, family) = (TransactionId(1), Family::of(tracker.ip()));
    let answer = exchange(Request::Connect { transaction });
    let Ok(Response::Connect { connection, .. }) = Response::decode(&answer, family) else { panic!("no id") };
    let mut announce = Announce { port, ..Announce::new(info_hash, PeerId([1; 20])) };
    announce.progress.left = 1;
    let answer = exchange(Request::Announce { connection, transaction, announce });
    match Response::decode(&answer, family).unwrap() {
        Response::Announce { head, peers, .. } => Ok((peers.len(), head.leechers)),
        Response::Error { reason, .. } => Err(reason.to_string()),
        other => panic!("{other:?}"),
    }
}

fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(crate::tool::PATIENCE)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    text(&answer)
}

#[test]
fn peers_find_one_another_over_udp_and_http() {
    let folder = Folder::new();
    let args = ["--udp", "127.0.0.1:0", "--udp", "[::1]:0", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
    let mut tracker = Running::start(&folder, &[&args[..], &["--workers", "2", "--interval", "77"]].concat());
    let (v4, v6) = (tracker.address("udp", 0), tracker.address("udp", 1));
    assert_eq!(announce(v4, hash(1), 1), Ok((0, 1)));
    assert_eq!(announce(v4, hash(1), 2), Ok((1, 2)));
    assert_eq!(announce(v6, hash(1), 3), Ok((0, 3)));
    let query = format!("info_hash={}&peer_id={}&port=4&left=1", "%01".repeat(20), "p".repeat(20));
    let answer = get(tracker.address("http", 0), &format!("/announce?{query}"));
    assert!(answer.contains("10:incompletei4e8:intervali77e") && answer.contains("6:peers618:"), "{answer}");
    let answer = get(tracker.address("metrics", 0), "/metrics");
    assert!(answer.contains("\nbip_tracker_torrents 1\n"), "{answer}");
    let figures = tracker.until(|line| line["announces"] == 4);
    assert_eq!((&figures["peers"], &figures["torrents"], &figures["connects"]), (&4.into(), &1.into(), &3.into()));
    for key in ["up_s", "seeds", "peers_v6", "scrapes", "refused", "invalid_ids", "garbage", "connections"] {
        assert!(figures[key].is_number(), "{key}: {figures}");
    }
    assert_eq!(code(&tracker.end("-TERM")), 0);
}

#[test]
fn a_list_is_read_again_on_sighup() {
    let folder = Folder::new();
    let list = folder.write("list", format!("# ours\n{} holiday\n", hash(1)));
    let mut tracker = Running::start(&folder, &["--udp", "127.0.0.1:0", "--allow", &list]);
    let address = tracker.address("udp", 0);
    let refused = Err("this tracker does not serve this torrent".to_owned());
    assert_eq!((announce(address, hash(1), 1), announce(address, hash(2), 1)), (Ok((0, 1)), refused.clone()));
    folder.write("list", format!("{}\n{}\n", hash(2), hash(3)));
    tracker.hang_up();
    assert_eq!(tracker.until(|line| line["reloaded"] == true)["listed"], 2);
    // The list is on its way to the worker: at once, but not before.
    let end = Instant::now() + crate::tool::PATIENCE;
    while announce(address, hash(1), 1) != refused {
        assert!(Instant::now() < end, "the new list does not come");
    }
    assert_eq!(announce(address, hash(2), 1), Ok((0, 1)));
    // One that cannot be read changes nothing, and is told of.
    folder.write("list", "nonsense\n");
    tracker.hang_up();
    tracker.until(|line| line["refused"].as_u64() >= Some(2));
    tracker.until(|line| line["refused"].is_number());
    assert_eq!(announce(address, hash(2), 1), Ok((0, 1)));
    let end = tracker.end("-INT");
    let told = text(&end.stderr);
    assert!(
        told.contains("line 1: expected an info hash of 40 hexadecimal digits; the list stays as it was"),
        "{told}"
    );
    assert_eq!(code(&end), 0);

    let tracker =
        Running::start(&folder, &["--udp", "127.0.0.1:0", "--deny", &folder.write("no", hash(1).to_string())]);
    let address = tracker.address("udp", 0);
    assert_eq!((announce(address, hash(1), 1), announce(address, hash(2), 1)), (refused, Ok((0, 1))));
}

#[test]
fn clients_are_answered_while_a_list_is_read_again() {
    let folder = Folder::new();
    let list = folder.write("list", format!("{}\n", hash(1)));
    let mut tracker = Running::start(&folder, &["--udp", "127.0.0.1:0", "--deny", &list]);
    let address = tracker.address("udp", 0);
    // In place of the file there is something from which nothing comes until it is written to.
    std::fs::remove_file(&list).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&list).status().unwrap().success());
    tracker.hang_up();
    // Opening it waits until the tracker has opened it.
    let mut slow = std::fs::OpenOptions::new().write(true).open(&list).unwrap();
    for n in 0..20 {
        assert_eq!(announce(address, hash(2), 1), Ok((0, 1)), "{n}");
    }
    // A signal meanwhile has it read once more.
    tracker.hang_up();
    tracker.until(|line| line["up_s"].is_number());
    slow.write_all(hash(2).to_string().as_bytes()).unwrap();
    drop(slow);
    assert_eq!(tracker.until(|line| line["reloaded"] == true)["listed"], 1);
    let mut slow = std::fs::OpenOptions::new().write(true).open(&list).unwrap();
    slow.write_all(format!("{}\n{}\n", hash(2), hash(3)).as_bytes()).unwrap();
    drop(slow);
    assert_eq!(tracker.until(|line| line["reloaded"] == true)["listed"], 2);
    assert_eq!(code(&tracker.end("-TERM")), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn it_may_open_as_many_files_as_its_connections_need() {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -Sn 100; exec \"$0\" tracker --http 127.0.0.1:0", env!("CARGO_BIN_EXE_bip")]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    signal(&child, "-TERM");
    assert_eq!(code(&finish(child)), 0);
    let limits = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limits: Vec<u64> = limits.split_whitespace().map_while(|word| word.parse().ok()).collect();
    // The hard limit may be `unlimited`.
    assert_eq!(limits[0], limits.get(1).map_or(8_192, |hard| 8_192.min(*hard)), "{line}");
}

#[test]
fn it_says_where_it_listens() {
    let folder = Folder::new();
    let mut child =
        folder.start(&["tracker", "--udp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let mut next = || lines.next().unwrap();
    let (udp, http, metrics) = (next(), next(), next());
    signal(&child, "-TERM");
    let end = finish(child);
    assert_eq!(code(&end), 0);
    assert!(udp.starts_with("listening on udp://127.0.0.1:"), "{udp}");
    assert!(http.starts_with("listening on http://127.0.0.1:") && http.ends_with("/announce"), "{http}");
    assert!(metrics.starts_with("figures on http://127.0.0.1:") && metrics.ends_with("/metrics"), "{metrics}");
}

#[test]
fn what_cannot_be_is_told_in_a_line() {
    let folder = Folder::new();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = fails(folder.bip(&["tracker", "--udp", &address]));
    assert!(told.starts_with(&format!("bip: {address}: ")), "{told}");
    let told = fails(folder.bip(&["tracker", "--udp", "127.0.0.1:0", "--allow", "missing"]));
    assert!(told.starts_with("bip: missing: "), "{told}");
    folder.write("list", "# fine\nnot a hash\n");
    let told = fails(folder.bip(&["tracker", "--udp", "127.0.0.1:0", "--deny", "list"]));
    assert_eq!(told, "bip: list: line 2: expected an info hash of 40 hexadecimal digits\n");
    for args in [
        &["--allow", "a", "--deny", "b"][..],
        &["--udp", "6969"],
        &["--workers", "0"],
        &["--interval", "0"],
        &["--proxy", "localhost"],
    ] {
        assert_eq!(code(&folder.bip(&[&["tracker"], args].concat())), 2, "{args:?}");
    }
}
