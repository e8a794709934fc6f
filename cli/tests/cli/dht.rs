//! `bip dht`, on networks of its own on loopback.

use crate::tool::{Folder, code, fails, finish, lines, signal, succeeds, text};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::{Child, ChildStdout, Output};

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
/// The hash of the text `Hello World!`, as BEP 44 has it.
const HELLO: &str = "e5f96f6f38320f0f33959cb4d3d656452117aadb";

/// A tool that runs until it is told to end, and its JSON lines.
struct Running {
    child: Option<Child>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(folder: &Folder, args: &[&str]) -> Self {
        let mut child = folder.start(&[&["dht"], args, &["--json"]].concat());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child: Some(child), stdout }
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
        loop {
            let line = self.next();
            if what(&line) {
                return line;
            }
        }
    }

    fn address(&mut self) -> String {
        self.until(|line| line["ready"] == true)["addr"].as_str().unwrap().to_owned()
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

/// A network for development, and where to begin.
fn network(folder: &Folder, nodes: &str) -> (Running, String) {
    let mut network = Running::start(folder, &["testnet", nodes]);
    let address = network.address();
    (network, address)
}

/// An address at which nobody answers.
fn silent() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

fn dht(folder: &Folder, bootstrap: &str, args: &[&str]) -> Output {
    folder.bip(&[&["dht"], args, &["--bootstrap", bootstrap]].concat())
}

#[test]
fn who_is_announced_is_found() {
    let folder = Folder::new();
    let (network, at) = network(&folder, "20");
    assert_eq!(succeeds(dht(&folder, &at, &["peers", HASH])), "", "nobody yet");
    let told = succeeds(dht(&folder, &at, &["announce", HASH, "--port", "6881"]));
    assert!(told.starts_with("announced to ") && told.ends_with(" nodes\n"), "{told}");
    let announced = lines(dht(&folder, &at, &["announce", HASH, "--port", "6882", "--seed", "--json"])).remove(0);
    assert!(announced["nodes"].as_u64() > Some(0) && announced["took_ms"].is_f64(), "{announced}");

    let found = dht(&folder, &at, &["peers", &HASH.to_uppercase()]);
    let note = text(&found.stderr);
    assert!(note.starts_with("bip: dht: 2 peers from ") && note.lines().count() == 1, "{note}");
    let mut peers: Vec<_> = succeeds(found).lines().map(str::to_owned).collect();
    peers.sort();
    assert_eq!(peers, ["127.0.0.1:6881", "127.0.0.1:6882"]);

    let link = format!("magnet:?xt=urn:btih:{HASH}&dn=x");
    let found = lines(dht(&folder, &at, &["peers", &link, "--scrape", "--json"]));
    let (done, peers) = found.split_last().unwrap();
    assert!(peers.len() == 2 && peers.iter().all(|line| line["peer"].is_string()), "{found:?}");
    assert_eq!((&done["done"], &done["peers"]), (&Value::from(true), &Value::from(2)));
    // Both are at one address, which the filters count once.
    assert_eq!((&done["seeds"], &done["others"]), (&Value::from(1), &Value::from(1)));
    for key in ["asked", "answered", "hops", "took_ms"] {
        assert!(done[key].is_number(), "{key}: {done}");
    }
    let counted = dht(&folder, &at, &["peers", HASH, "--scrape"]);
    assert!(text(&counted.stderr).contains("about 1 seed and 1 other\n"), "{}", text(&counted.stderr));
    let quiet = dht(&folder, &at, &["peers", HASH, "-q"]);
    assert_eq!((text(&quiet.stdout).lines().count(), text(&quiet.stderr)), (2, String::new()));
    assert_eq!(code(&network.end("-INT")), 0);
}

#[test]
fn a_text_is_found_by_its_hash() {
    let folder = Folder::new();
    let (_network, at) = network(&folder, "10");
    assert_eq!(fails(dht(&folder, &at, &["get", HELLO])), "bip: dht: nothing was found\n");
    assert_eq!(succeeds(dht(&folder, &at, &["put", "Hello World!"])), format!("{HELLO}\n"));
    assert_eq!(succeeds(dht(&folder, &at, &["get", HELLO])), "Hello World!\n");
    let found = lines(dht(&folder, &at, &["get", HELLO, "--json"])).remove(0);
    assert_eq!((&found["target"], &found["text"]), (&Value::from(HELLO), &Value::from("Hello World!")));
    assert_eq!(found["value"], "31323a48656c6c6f20576f726c6421");
    assert!(found["seq"].is_null(), "{found}");

    let stored = lines(dht(&folder, &at, &["put", "d1:ai1ee", "--bencode", "--json"])).remove(0);
    let target = stored["target"].as_str().unwrap();
    assert!(stored["nodes"].as_u64() > Some(0) && stored["key"].is_null(), "{stored}");
    assert_eq!(succeeds(dht(&folder, &at, &["get", target])), "d1:ai1ee\n");
    let found = lines(dht(&folder, &at, &["get", target, "--json"])).remove(0);
    assert!(found["text"].is_null() && found["value"] == "64313a6169316565", "{found}");

    // The longest that there is, and what looks like an option.
    for value in [&"x".repeat(996), "-1", "--help", ""] {
        let target = succeeds(folder.bip(&["dht", "put", "--bootstrap", &at, "--", value]));
        assert_eq!(succeeds(dht(&folder, &at, &["get", target.trim()])), format!("{value}\n"));
    }
    assert_eq!(succeeds(dht(&folder, &at, &["put", "-1"])).len(), 41);
}

#[test]
fn what_others_have_stored_does_nothing_to_the_terminal() {
    let folder = Folder::new();
    let (_network, at) = network(&folder, "4");
    let hostile = "\u{1b}[2J\u{202e}x\ny";
    let target = succeeds(dht(&folder, &at, &["put", hostile]));
    assert_eq!(succeeds(dht(&folder, &at, &["get", target.trim()])), "\\u{1b}[2J\\u{202e}x\\u{a}y\n");
    let output = dht(&folder, &at, &["get", target.trim(), "--json"]);
    assert!(text(&output.stdout).contains("\\u001b[2J\\u202ex\\ny"), "{}", text(&output.stdout));
    assert_eq!(lines(output)[0]["text"], hostile);
}

#[test]
fn a_signed_text_is_replaced_by_who_has_the_key() {
    let folder = Folder::new();
    let (_network, at) = network(&folder, "10");
    let public = succeeds(folder.bip(&["dht", "key", "my.key"]));
    let public = public.trim();
    assert_eq!(public.len(), 64);
    assert_eq!(lines(folder.bip(&["dht", "key", "my.key", "--json"]))[0]["key"], public, "it is made once");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(folder.path("my.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fails(dht(&folder, &at, &["get", public])), "bip: dht: nothing was found\n");
    for (n, value) in ["one", "two", "three"].into_iter().enumerate() {
        let output = dht(&folder, &at, &["put", value, "--key", "my.key", "--salt", "news"]);
        assert!(text(&output.stderr).contains(&format!(", number {}\n", n + 1)), "{}", text(&output.stderr));
        assert_eq!(succeeds(output).trim(), public);
        let output = dht(&folder, &at, &["get", public, "--salt", "news"]);
        assert_eq!(text(&output.stderr), format!("bip: dht: number {}\n", n + 1));
        assert_eq!(succeeds(output), format!("{value}\n"));
    }
    let found = lines(dht(&folder, &at, &["get", public, "--salt", "news", "--json"])).remove(0);
    assert_eq!((&found["seq"], &found["text"], &found["salt"]), (&3.into(), &"three".into(), &"news".into()));
    assert_eq!((&found["key"], found["signature"].as_str().map(str::len)), (&public.into(), Some(128)));
    assert!(fails(dht(&folder, &at, &["get", public])).contains("nothing was found"), "another salt");

    let old = dht(&folder, &at, &["put", "old", "--key", "my.key", "--salt", "news", "--seq", "2"]);
    assert!(fails(old).starts_with("bip: dht: no node has taken it: error 302: "));
    let stored = dht(&folder, &at, &["put", "ten", "--key", "my.key", "--salt", "news", "--seq", "10", "--json"]);
    let stored = lines(stored).remove(0);
    assert_eq!((&stored["seq"], &stored["key"]), (&10.into(), &public.into()));
}

#[test]
fn a_key_that_is_none_is_told_and_left_alone() {
    let folder = Folder::new();
    let (_socket, at) = silent();
    let missing = fails(dht(&folder, &at, &["put", "x", "--key", "no.key"]));
    assert!(missing.starts_with("bip: no.key: ") && missing.contains("`bip dht key FILE` makes one"), "{missing}");
    for garbage in ["", "xyz", &"0".repeat(63), &"g".repeat(64), &"0".repeat(2000)] {
        folder.write("bad.key", garbage);
        for args in [&["dht", "key", "bad.key"][..], &["dht", "put", "x", "--key", "bad.key", "--bootstrap", &at]] {
            let told = fails(folder.bip(args));
            assert!(told.starts_with("bip: bad.key: is no key: "), "{told}");
        }
        assert_eq!(fs::read(folder.path("bad.key")).unwrap(), garbage.as_bytes());
    }
    folder.write("binary.key", b"\xff\xfe");
    assert!(fails(folder.bip(&["dht", "key", "binary.key"])).starts_with("bip: binary.key: "));
    assert!(fails(folder.bip(&["dht", "key", "no/folder/key"])).starts_with("bip: no/folder/key: "));
    // What an editor may have put around it does not matter.
    folder.write("good.key", format!("  {}\r\n", "0".repeat(64)));
    assert!(
        succeeds(folder.bip(&["dht", "key", "good.key"]))
            .starts_with("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29")
    );
}

#[test]
fn where_nobody_answers_that_is_told() {
    let folder = Folder::new();
    let (_socket, at) = silent();
    let nobody = "bip: dht: no node answered; name one that is there with --bootstrap\n";
    // All at once: each waits for somebody for ten seconds.
    std::thread::scope(|scope| {
        for args in [
            &["peers", HASH][..],
            &["announce", HASH, "--port", "1"],
            &["put", "x"],
            &["get", HELLO],
            &["get", HELLO, "--timeout", "0.2"],
        ] {
            let (folder, at) = (&folder, &at);
            scope.spawn(move || assert_eq!(fails(dht(folder, at, args)), nobody, "{args:?}"));
        }
        let output = dht(&folder, &at, &["peers", HASH, "--json"]);
        let done: Value = serde_json::from_str(text(&output.stdout).trim()).unwrap();
        assert_eq!((code(&output), &done["done"], &done["answered"]), (1, &true.into(), &0.into()));
    });
}

#[test]
fn a_command_line_that_makes_no_sense_is_told_with_code_2() {
    let folder = Folder::new();
    let long = "x".repeat(997);
    for (args, what) in [
        (&["peers", "xyz"][..], "write an info hash of 40 hexadecimal digits, or a magnet link"),
        (&["peers", "magnet:?dn=x"], "magnet link"),
        (&["peers", HASH, "--bootstrap", "nowhere"], "write HOST:PORT"),
        (&["peers", HASH, "--bootstrap", "a b:1"], "write HOST:PORT"),
        (&["peers", HASH, "--listen", "localhost:1"], "--listen"),
        (&["peers", HASH, "--timeout", "0"], "--timeout"),
        (&["announce", HASH], "--port"),
        (&["announce", HASH, "--port", "0"], "--port"),
        (&["announce", HASH, "--port", "65536"], "--port"),
        (&["put", &long], "bip: TEXT: must be at most 996 bytes long"),
        (&["put", "d1:b0:1:a0:e", "--bencode"], "bip: TEXT: must be canonical bencode"),
        (&["put", "x", "--salt", "y"], "--key"),
        (&["put", "x", "--seq", "1"], "--key"),
        (&["put", "x", "--key", "k", "--seq", "-1"], "-1 is not in 0.."),
        (&["put", "x", "--key", "k", "--salt", &"s".repeat(65)], "bip: --salt: must be at most 64 bytes long"),
        (&["get", &HELLO[1..]], "write a hash of 40 hexadecimal digits, or a public key of 64"),
        (&["get", HELLO, "--salt", "x"], "bip: --salt: goes with a public key"),
        (&["get", &"0".repeat(64), "--salt", &"s".repeat(65)], "bip: --salt: must be at most 64 bytes long"),
        (&["node", "--read-only", "--queries"], "--queries"),
        (&["node", "--listen", "6881"], "--listen"),
        (&["testnet", "0"], "0 is not in 1..="),
        (&["testnet", "3", "--listen", "0.0.0.0:0"], "must be a loopback address"),
        (&["testnet", "3", "--listen", "192.0.2.1:0"], "must be a loopback address"),
        (&["testnet"], "<N>"),
        (&["walk"], "walk"),
    ] {
        let output = folder.bip(&[&["dht"], args].concat());
        let told = text(&output.stderr);
        assert_eq!((code(&output), text(&output.stdout)), (2, String::new()), "{args:?}: {told}");
        assert!(told.starts_with("bip: ") && told.contains(what), "{args:?}: {told}");
    }
    for command in ["peers", "announce", "put", "get", "key", "node", "testnet"] {
        let help = succeeds(folder.bip(&["dht", command, "--help"]));
        assert!(help.contains("--json"), "{help}");
    }
    assert!(succeeds(folder.bip(&["dht", "--help"])).contains("bip dht testnet 50 --listen 127.0.0.1:7000"));
    assert_eq!(folder.files(), []);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let folder = Folder::new();
    let (_socket, taken) = silent();
    for args in [&["node", "--listen", &taken][..], &["testnet", "2", "--listen", &taken]] {
        let told = fails(folder.bip(&[&["dht"], args].concat()));
        assert!(told.starts_with(&format!("bip: {taken}: ")) && told.to_lowercase().contains("in use"), "{told}");
    }
}

#[test]
fn a_node_answers_tells_how_it_is_and_ends_with_code_0() {
    let folder = Folder::new();
    let mut node = Running::start(&folder, &["node", "--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--queries"]);
    let (at, at6) = (node.address(), node.address());
    assert!(at.starts_with("127.0.0.1:") && at6.starts_with("[::1]:"), "{at} {at6}");
    let both = format!("{at},{at6}");
    assert!(succeeds(dht(&folder, &both, &["announce", HASH, "--port", "1"])).starts_with("announced to "));
    assert_eq!(node.until(|line| line["get_peers"].is_string())["get_peers"], HASH);
    let announced = node.until(|line| line["announce"].is_string());
    assert_eq!((&announced["announce"], &announced["peer"]), (&HASH.into(), &"127.0.0.1:1".into()));
    assert_eq!(announced["seed"], false);
    let status = node.until(|line| line["stored_peers"].as_u64() > Some(0));
    assert!(status["queries_in"].as_u64() > Some(1) && status["replies_out"].as_u64() > Some(1), "{status}");
    assert!(status["sent_bytes"].as_u64() > Some(0) && status["stored_torrents"] == 1, "{status}");
    let sides: Vec<_> = status["sides"].as_array().unwrap().iter().map(|side| side["addr"].clone()).collect();
    assert_eq!(sides, [Value::from(at), Value::from(at6)]);
    assert!(status["sides"][0]["id"].as_str().map(str::len) == Some(40) && status["sides"][0]["good"].is_u64());
    let ended = node.end("-INT");
    assert_eq!((code(&ended), text(&ended.stderr)), (0, String::new()));
}

#[test]
fn a_node_tells_people_how_it_is_on_stderr() {
    let folder = Folder::new();
    let (_network, at) = network(&folder, "4");
    let mut child = folder.start(&["dht", "node", "--bootstrap", &at]);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("bip: dht: ") && line.contains(" nodes") && line.contains(" answered, "), "{line}");
    signal(&child, "-TERM");
    let ended = finish(child);
    assert_eq!(code(&ended), 0);
    assert!(text(&ended.stdout).starts_with("listening on 127.0.0.1:"), "{}", text(&ended.stdout));
}

#[test]
fn a_node_knows_after_a_restart_whom_it_knew() {
    let folder = Folder::new();
    let (network, at) = network(&folder, "8");
    let args = |router: &str| ["node", "--state", "var/node.dat", "--bootstrap", router].map(str::to_owned);
    let start = |router: &str| Running::start(&folder, &args(router).each_ref().map(String::as_str));
    let mut node = start(&at);
    let status = node.until(|line| line["nodes"].as_u64() > Some(3));
    assert_eq!(code(&node.end("-TERM")), 0);
    assert!(folder.path("var/node.dat").is_file());

    let (_socket, dead) = silent();
    let mut again = start(&dead);
    let restarted = again.until(|line| line["nodes"].as_u64() > Some(3));
    assert_eq!(status["sides"][0]["id"], restarted["sides"][0]["id"], "it is who it was");
    assert_eq!(code(&again.end("-INT")), 0);
    assert_eq!(code(&network.end("-TERM")), 0);

    folder.write("file", "x");
    let told = fails(folder.bip(&["dht", "node", "--listen", "127.0.0.1:0", "--state", "file/node.dat"]));
    assert!(told.starts_with("bip: file/node.dat: "), "{told}");
    let told = fails(folder.bip(&["dht", "node", "--listen", "127.0.0.1:0", "--state", "var"]));
    assert!(told.starts_with("bip: var: "), "{told}");
}

#[test]
fn nobody_reading_ends_the_tool() {
    let folder = Folder::new();
    let mut node = Running::start(&folder, &["node", "--listen", "127.0.0.1:0"]);
    node.address();
    let child = node.child.take().unwrap();
    drop(node);
    assert_eq!(code(&finish(child)), 141);
}

#[test]
fn a_lookup_that_is_interrupted_ends_with_code_130() {
    let folder = Folder::new();
    let (socket, at) = silent();
    let child = folder.start(&["dht", "peers", HASH, "--bootstrap", &at]);
    // Once it asks, it listens to signals too.
    socket.recv_from(&mut [0; 2048]).unwrap();
    signal(&child, "-INT");
    let ended = finish(child);
    assert_eq!((code(&ended), text(&ended.stdout), text(&ended.stderr)), (130, String::new(), String::new()));
}

#[test]
fn a_node_and_a_network_are_where_they_were_asked_for() {
    let folder = Folder::new();
    let (socket, at) = silent();
    drop(socket);
    let node = folder.listen(&["dht", "node", "--listen", &at]);
    assert_eq!(node.address, at);
    assert_eq!(code(&node.end("-INT")), 0);
    let mut network = Running::start(&folder, &["testnet", "3", "--listen", &at]);
    let ready = network.next();
    assert_eq!((&ready["addr"], &ready["nodes"]), (&at.into(), &3.into()));
    assert_eq!(code(&network.end("-TERM")), 0);
}
