//! The tool as its users meet it: real processes, real files, real sockets on loopback.
#![allow(clippy::unwrap_used)] // a test that meets the unexpected ends there

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Far more than anything here takes: what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of a test's own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bip-cli-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    fn write(&self, below: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Every file below, with its contents.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut out, mut folders) = (Vec::new(), vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else {
                    let contents = fs::read(&entry).unwrap();
                    out.push((entry, contents));
                }
            }
        }
        out.sort();
        out
    }

    fn bip(&self, args: &[&str]) -> Output {
        finish(self.start(args))
    }

    fn start(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bip"));
        command.args(args).current_dir(&self.0).env("TMPDIR", &self.0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Makes a torrent of a file or folder here, in pieces of 16 KiB. Gives its path.
    fn torrent(&self, name: &str) -> String {
        succeeds(self.bip(&["create", name, "--piece-length", "16K", "-q"]));
        self.path(&format!("{name}.torrent")).to_str().unwrap().to_owned()
    }

    /// Starts a tool that listens until it is killed or signalled.
    fn listen(&self, args: &[&str]) -> Listening {
        let mut child = self.start(args);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        match line.trim().strip_prefix("listening on ") {
            Some(address) => Listening { address: address.to_owned(), child: Some(child), stdout },
            None => panic!("{args:?}: {line:?} {:?}", finish(child)),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Listening {
    address: String,
    child: Option<Child>,
    stdout: BufReader<ChildStdout>,
}

impl Listening {
    fn end(mut self, signal_name: &str) -> Output {
        let child = self.child.take().unwrap();
        signal(&child, signal_name);
        finish(child)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for a process, and kills one that hangs.
fn finish(mut child: Child) -> Output {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let out = std::thread::spawn(move || stdout.map(read_all).unwrap_or_default());
    let err = std::thread::spawn(move || stderr.map(read_all).unwrap_or_default());
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > until {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let (stdout, stderr) = (out.join().unwrap(), err.join().unwrap());
    assert!(Instant::now() < until, "hung: {} {}", text(&stdout), text(&stderr));
    assert!(!text(&stderr).contains("panicked"), "{}", text(&stderr));
    Output { status, stdout, stderr }
}

fn read_all(mut from: impl std::io::Read) -> Vec<u8> {
    let mut out = Vec::new();
    from.read_to_end(&mut out).unwrap();
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut rng = bip::machine::Rng::new(seed);
    (0..length).map(|_| rng.next_u64() as u8).collect()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

#[track_caller]
fn succeeds(output: Output) -> String {
    assert_eq!(code(&output), 0, "{} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn lines(output: Output) -> Vec<Value> {
    succeeds(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Fails with one clear line on stderr, which is given.
#[track_caller]
fn fails(output: Output) -> String {
    let stderr = text(&output.stderr);
    assert_eq!(code(&output), 1, "{} {stderr}", text(&output.stdout));
    assert!(stderr.starts_with("bip: ") && stderr.ends_with('\n') && stderr.lines().count() == 1, "{stderr:?}");
    stderr
}

/// A torrent of one file of 5 bytes.
const SMALL: &[u8] = b"d4:infod6:lengthi5e4:name5:hello12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";

/// All ways to read a torrent.
fn readers(torrent: &str) -> [Vec<&str>; 4] {
    [
        vec!["show", torrent],
        vec!["verify", torrent, "."],
        vec!["get", torrent, "--peer", "127.0.0.1:1"],
        vec!["seed", torrent, "."],
    ]
}

#[test]
fn a_bad_torrent_is_one_clear_line_that_names_the_byte_and_nothing_is_written() {
    let folder = Folder::new();
    let with = |from: &str, to: &str| text(SMALL).replace(from, to).into_bytes();
    let two = "5:filesld6:lengthi9223372036854775807e4:pathl1:aeed6:lengthi9223372036854775807e4:pathl1:beee";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("nested", b"l".repeat(20_000)),
        ("deep", [&b"d4:info"[..], &b"l".repeat(20_000), &b"e".repeat(20_001)].concat()),
        ("endless", b"d4:info18446744073709551615:x".to_vec()),
        ("longer", b"d4:info99999999999999999999999:x".to_vec()),
        ("zero", with("i16384e", "i0e")),
        ("negative", with("i16384e", "i-16384e")),
        ("mismatch", with("i5e", "i16385e")),
        ("odd", with("20:aaaaaaaaaaaaaaaaaaaa", "19:aaaaaaaaaaaaaaaaaaa")),
        ("minus", with("i5e", "i-5e")),
        ("nothing", with("i5e", "i0e")),
        ("no-name", with("4:name5:hello", "")),
        ("trailing", [SMALL, b"x"].concat()),
        ("overflow", with("6:lengthi5e", two)),
    ];
    for (name, bytes) in &cases {
        folder.write(name, bytes);
    }
    let before = folder.files();
    for (name, _) in &cases {
        for args in readers(name) {
            let line = fails(folder.bip(&args));
            assert!(line.starts_with(&format!("bip: {name}: ")) && line.contains("byte "), "{args:?}: {line}");
        }
    }
    assert!(folder.files() == before);
}

#[test]
fn a_torrent_that_ends_anywhere_too_early_is_refused() {
    let folder = Folder::new();
    for end in 0..SMALL.len() {
        folder.write("cut", &SMALL[..end]);
        let line = fails(folder.bip(&["show", "cut"]));
        assert!(line.contains("byte "), "{end}: {line}");
    }
    folder.write("cut", SMALL);
    succeeds(folder.bip(&["show", "cut"]));
}

#[test]
fn a_path_that_leads_to_no_such_file_is_named() {
    let folder = Folder::new();
    for (path, word) in [("none", "o such file"), (".", "irectory")] {
        for args in readers(path) {
            let line = fails(folder.bip(&args));
            assert!(line.starts_with(&format!("bip: {path}: ")) && line.contains(word), "{line}");
        }
    }
    let line = fails(folder.bip(&["create", "none"]));
    assert!(line.starts_with("bip: none: ") && line.contains("o such file"), "{line}");
    folder.write("empty", "");
    assert!(fails(folder.bip(&["create", "empty"])).starts_with("bip: empty: "));
    fs::File::create(folder.path("large")).unwrap().set_len(1 << 40).unwrap();
    assert!(fails(folder.bip(&["show", "large"])).contains("longer than"));
    fs::remove_file(folder.path("large")).unwrap();
    folder.write("t", SMALL);
    assert!(fails(folder.bip(&["verify", "t", "none"])).starts_with("bip: none: "));
    assert!(fails(folder.bip(&["seed", "t", "none", "--listen", "127.0.0.1:0"])).starts_with("bip: none: "));
}

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
    for args in [&["--help"][..], &["--version"], &["get", "--help"], &["help", "create"]] {
        assert!(!succeeds(folder.bip(args)).is_empty());
    }
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn show_tells_everything_and_says_null_where_there_is_nothing() {
    let folder = Folder::new();
    folder.write("t", SMALL);
    assert_eq!(
        lines(folder.bip(&["show", "t", "--json"])),
        [json!({
            "name": "hello", "info_hash": "961d86b2d565bb5cfd7d6481f22e4d3ff541c806", "piece_length": 16384, "pieces": 1,
            "total_length": 5, "private": false, "files": [{ "path": "hello", "length": 5 }], "trackers": [],
            "comment": null, "created_by": null, "creation_date": null, "source": null, "warnings": [],
        })]
    );
    // A name that would turn the writing around is the same name in JSON, and turns nothing.
    folder.write("turned", text(SMALL).replace("5:hello", "7:a\u{202e}b\u{9b}"));
    let shown = folder.bip(&["show", "turned", "--json"]);
    assert!(!text(&shown.stdout).contains(['\u{202e}', '\u{9b}']));
    assert_eq!(lines(shown)[0]["name"], "a\u{202e}b\u{9b}");
    // A name that would clear the screen.
    folder.write("evil", text(SMALL).replace("hello", "\x1b[2Jx"));
    let shown = succeeds(folder.bip(&["show", "evil"]));
    assert!(!shown.contains('\x1b') && shown.contains("[2Jx"), "{shown:?}");
}

#[test]
fn create_then_show_then_verify() {
    let folder = Folder::new();
    folder.write("tree/a", noise(40_000, 1));
    folder.write("tree/deep/größe", noise(5, 2));
    folder.write("tree/empty", []);
    let [a, b] = ["http://a.example/announce", "udp://b.example:80"];
    let trackers = ["--tracker", a, "--tracker", b, "--tracker", a];
    let options = ["create", "tree", "--piece-length", "16K", "--private", "--comment", "hi", "--source", "S"];
    let made = succeeds(folder.bip(&[&options[..], &trackers].concat()));
    let shown = &lines(folder.bip(&["show", "tree.torrent", "--json"]))[0];
    let hash = shown["info_hash"].as_str().unwrap();
    assert!(made.contains(hash) && made.contains("tree.torrent"), "{made}");
    assert_eq!(shown["trackers"], json!([["http://a.example/announce"], ["udp://b.example:80"]]));
    assert_eq!([&shown["private"], &shown["comment"], &shown["source"]], [&json!(true), &json!("hi"), &json!("S")]);
    assert!(shown["creation_date"].as_i64().unwrap() > 1_700_000_000 && shown["pieces"] == 3);
    let file = |path: &str, length: u32| json!({ "path": path, "length": length });
    assert_eq!(shown["files"], json!([file("tree/a", 40_000), file("tree/deep/größe", 5), file("tree/empty", 0)]));
    let report = &lines(folder.bip(&["verify", "tree.torrent", ".", "--json"]))[0];
    assert_eq!([&report["complete"], &report["pieces_good"]], [&json!(true), &json!(3)]);

    // One byte wrong, one file gone.
    let mut bytes = noise(40_000, 1);
    bytes[20_000] ^= 1;
    folder.write("tree/a", bytes);
    fs::remove_file(folder.path("tree/empty")).unwrap();
    let before = folder.files();
    let output = folder.bip(&["verify", "tree.torrent", "."]);
    let told = text(&output.stdout);
    assert!(told.contains("bad pieces: 1\n") && told.contains("missing     tree/empty"), "{told}");
    assert!(!told.contains("größe"), "{told}");
    fails(output);
    let output = folder.bip(&["verify", "tree.torrent", ".", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!([&report["complete"], &report["bad_pieces"]], [&json!(false), &json!([1])]);
    assert_eq!([&report["files"][0]["state"], &report["files"][2]["state"]], [&json!("bad"), &json!("missing")]);
    fails(output);
    let line = fails(folder.bip(&["seed", "tree.torrent", ".", "--listen", "127.0.0.1:0"]));
    assert!(line.contains("1 of 3 pieces"), "{line}");
    assert!(folder.files() == before);

    // A file that shares its only piece with one that is gone is not what is bad.
    folder.write("tree/a", &noise(40_000, 1)[..39_999]);
    let told = text(&folder.bip(&["verify", "tree.torrent", "."]).stdout);
    assert!(told.contains("too short   tree/a") && told.contains("unverified  tree/deep/größe"), "{told}");
}

#[test]
fn a_wrong_folder_is_answered_with_the_right_one() {
    let folder = Folder::new();
    folder.write("t", SMALL);
    folder.write("there/hello/x", "x");
    for args in [&["verify", "t"][..], &["seed", "t"]] {
        let line = fails(folder.bip(&[args, &["there/hello"]].concat()));
        assert!(line.starts_with("bip: there/hello/hello: ") && line.contains("DIR is the folder"), "{line}");
        assert!(line.trim_end().ends_with(folder.path("there").to_str().unwrap()), "{line}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_nothing_is_overwritten_unasked() {
    let folder = Folder::new();
    folder.write("data", noise(100_000, 3));
    let first = folder.bip(&["create", "data", "--no-date", "-o", "-"]);
    let made = first.stdout.clone();
    succeeds(first);
    assert!(made.starts_with(b"d") && !text(&made).contains("creation date"));
    succeeds(folder.bip(&["create", "data", "--no-date"]));
    assert!(fs::read(folder.path("data.torrent")).unwrap() == made);

    folder.write("data.torrent", "mine");
    let before = folder.files();
    assert!(fails(folder.bip(&["create", "data"])).contains("--force"));
    assert!(fails(folder.bip(&["create", "data", "-o", "."])).contains("folder"));
    assert!(fails(folder.bip(&["create", "data", "-o", "none/x.torrent"])).contains("none"));
    assert!(folder.files() == before);
    succeeds(folder.bip(&["create", "data", "--no-date", "--force"]));
    assert!(fs::read(folder.path("data.torrent")).unwrap() == made);
    // No temporary file stays.
    assert_eq!(folder.files().len(), 2);
    // A folder is named after itself, also as `.`.
    folder.write("sub/x", "x");
    let create = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bip"));
        command.args(["create", ".", "-q"]).args(args).current_dir(folder.path("sub")).output().unwrap()
    };
    succeeds(create(&["-o", "../sub.torrent"]));
    assert_eq!(lines(folder.bip(&["show", "sub.torrent", "--json"]))[0]["name"], "sub");
    // A torrent that lay in the folder would be part of itself the next time, and never verify.
    for args in [&[][..], &["--force"], &["-o", "../sub/y"]] {
        assert!(fails(create(args)).contains("inside"), "{args:?}");
    }
    // The data is not overwritten with its own torrent.
    assert!(fails(folder.bip(&["create", "data", "-o", "data", "--force"])).contains("inside"));
    assert!(fails(folder.bip(&["create", "data", "-o", "new/"])).contains("folder"));
    assert_eq!(folder.files().len(), 4);
}

#[test]
fn a_torrent_can_come_from_stdin_and_a_closed_pipe_ends_quietly() {
    let folder = Folder::new();
    let mut many = String::from("d4:infod5:filesl");
    (0..20_000).for_each(|number| many.push_str(&format!("d6:lengthi1e4:pathl6:{number:06}ee")));
    many.push_str("e4:name1:n12:piece lengthi32768e6:pieces20:aaaaaaaaaaaaaaaaaaaaee");
    let path = folder.write("t", many);
    for extra in [&[][..], &["--json"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bip"));
        command.args(["show", "-"]).args(extra).stdin(fs::File::open(&path).unwrap());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let output = finish(child);
        assert_eq!((code(&output), text(&output.stderr)), (141, String::new()));
    }
    // Help is a result as any other.
    if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bip"));
        let child = command.arg("--help").stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        assert!(fails(finish(child)).starts_with("bip: stdout: "));
    }
    // Nobody reads stderr: that changes nothing.
    let mut child = folder.start(&["show", "none"]);
    drop(child.stderr.take());
    assert_eq!(code(&finish(child)), 1);
}

#[test]
fn get_without_peers_fails_at_once() {
    let folder = Folder::new();
    folder.write("t", SMALL);
    let line = fails(folder.bip(&["get", "t"]));
    assert!(line.contains("--peer") && line.contains("--listen"), "{line}");
    let line = fails(folder.bip(&["get", "t", "--peer", "no-such-host.invalid:1"]));
    assert!(line.starts_with("bip: no-such-host.invalid:1: "), "{line}");
    assert_eq!(folder.files().len(), 1);
    // One that cannot be found is told, and the others are gone to.
    let args = ["get", "t", "--peer", "no-such-host.invalid:1", "--peer", "127.0.0.1:1", "--timeout", "2"];
    let stderr = text(&folder.bip(&args).stderr);
    let told: Vec<_> = stderr.lines().collect();
    assert!(told[0].starts_with("bip: no-such-host.invalid:1: "), "{stderr}");
    assert!(told.last().unwrap().contains("not complete in time: 0 of 1 piece is"), "{stderr}");
    let line = fails(folder.bip(&["get", "t", "--listen", "127.0.0.1:0", "--timeout", "0.2"]));
    assert!(line.contains("not complete in time"), "{line}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = fails(folder.bip(&["get", "t", "--listen", &address]));
    assert!(line.contains(&address) && line.contains("in use"), "{line}");
}

#[test]
fn a_tree_goes_from_seed_to_get_and_both_end_as_they_should() {
    let (there, here) = (Folder::new(), Folder::new());
    there.write("tree/a", noise(300_000, 4));
    there.write("tree/deep/b", noise(1, 5));
    there.write("tree/empty", []);
    succeeds(there.bip(&["create", "tree"]));
    let torrent = there.path("tree.torrent");
    let torrent = torrent.to_str().unwrap();
    let before = there.files();
    let seed = there.listen(&["seed", torrent, ".", "--listen", "127.0.0.1:0"]);

    let args = ["get", torrent, "-d", "new/folder", "--peer", &seed.address, "--listen", "127.0.0.1:0", "--json"];
    let told = lines(here.bip(&args));
    assert_eq!(told[0]["event"], "listening");
    assert!(told[0]["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(told.last().unwrap()["event"], "completed");
    for name in ["a", "deep/b", "empty"] {
        let (a, b) = (there.path("tree").join(name), here.path("new/folder/tree").join(name));
        assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{name}");
    }
    // Again: there is nothing to do.
    let again = succeeds(here.bip(&["get", torrent, "-d", "new/folder", "--peer", &seed.address]));
    assert!(again.contains("complete already"), "{again}");

    // A name is looked up; and what is complete goes on seeding, until it is told to end.
    let peer = seed.address.replace("127.0.0.1", "localhost");
    let args = ["get", torrent, "-d", "third", "--peer", &peer, "--listen", "127.0.0.1:0", "--seed"];
    let mut third = here.listen(&args);
    let mut line = String::new();
    third.stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("complete: "), "{line}");
    assert_eq!(code(&third.end("-INT")), 0);

    let asked = Instant::now();
    let ended = seed.end("-TERM");
    assert_eq!((code(&ended), text(&ended.stderr)), (0, String::new()));
    // Two seconds are promised; a loaded machine is given more.
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert!(there.files() == before);
}

#[test]
fn names_that_lead_out_are_written_inside_only() {
    let (there, here) = (Folder::new(), Folder::new());
    let contents = noise(20_000, 6);
    let pieces: Vec<u8> = contents.chunks(16_384).flat_map(bip::proto::sha1::Sha1::digest).collect();
    let files = "5:filesld6:lengthi10000e4:pathl2:..2:..1:xeed6:lengthi10000e4:pathl8:/etc/bipeee";
    let start = format!("d4:infod{files}4:name9:../../out12:piece lengthi16384e6:pieces40:");
    let torrent = there.write("t", [start.as_bytes(), &pieces, b"ee"].concat());
    let shown = &lines(there.bip(&["show", &torrent, "--json"]))[0];
    assert_eq!(shown["warnings"].as_array().unwrap().len(), 3);
    for (number, part) in contents.chunks(10_000).enumerate() {
        there.write(&format!("data/{}", shown["files"][number]["path"].as_str().unwrap()), part);
    }
    let before = there.files();

    let seed = there.listen(&["seed", &torrent, "data", "--listen", "127.0.0.1:0", "-q"]);
    succeeds(here.bip(&["get", &torrent, "-d", "deep/er/in", "--peer", &seed.address, "--timeout", "50"]));
    assert!(there.files() == before);
    let written = here.files();
    let relative = |folder: &Folder, at: &str, (path, bytes): &(PathBuf, Vec<u8>)| {
        (path.strip_prefix(folder.path(at)).unwrap().to_owned(), bytes.clone())
    };
    let written: Vec<_> = written.iter().map(|file| relative(&here, "deep/er/in", file)).collect();
    let offered = before.iter().filter(|(path, _)| path.starts_with(there.path("data")));
    assert!(written == offered.map(|file| relative(&there, "data", file)).collect::<Vec<_>>());
}

/// Runs a `get --json`, and sends a signal when so many pieces are there.
fn interrupted(here: &Folder, args: &[&str], pieces: u64, name: &str) -> Output {
    let mut child = here.start(args);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let reached = loop {
        line.clear();
        if out.read_line(&mut line).unwrap() == 0 {
            break false;
        }
        let value: Value = serde_json::from_str(&line).unwrap();
        if value["event"] == "progress" && value["pieces_done"].as_u64() >= Some(pieces) {
            signal(&child, name);
            break true;
        }
    };
    let ended = finish(child);
    assert!(reached, "ended early: {ended:?}");
    ended
}

#[test]
fn what_was_verified_survives_every_end() {
    let (there, other, here) = (Folder::new(), Folder::new(), Folder::new());
    let data = noise(64 * 16_384, 7);
    there.write("data", &data);
    succeeds(there.bip(&["create", "data", "--piece-length", "16K"]));
    let torrent = there.path("data.torrent");
    let torrent = torrent.to_str().unwrap();
    other.write("data", &data[..32 * 16_384]);
    let half = other.listen(&["get", torrent, "--listen", "127.0.0.1:0", "-q"]);
    let good = || {
        let report = here.bip(&["verify", torrent, ".", "--json"]);
        serde_json::from_slice::<Value>(&report.stdout).unwrap()["pieces_good"].as_u64().unwrap()
    };

    let args = ["get", torrent, "--peer", &half.address, "--listen", "127.0.0.1:0", "--json"];
    let ended = interrupted(&here, &args, 32, "-INT");
    assert_eq!((code(&ended), good()), (130, 32), "{}", text(&ended.stderr));
    let ended = interrupted(&here, &args, 32, "-TERM");
    assert_eq!((code(&ended), good()), (130, 32), "{}", text(&ended.stderr));
    fs::remove_file(here.path("data")).unwrap();
    let ended = interrupted(&here, &args, 32, "-KILL");
    assert_eq!((ended.status.code(), good()), (None, 32));

    // Whoever feeds it leaves for good.
    let args = ["get", torrent, "-d", "alone", "--peer", &half.address, "--listen", "127.0.0.1:0", "--json"];
    let mut left = here.start(&args);
    let mut out = BufReader::new(left.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let met = |line: String| serde_json::from_str::<Value>(&line).unwrap()["peers"] == 1;
    assert!(out.any(met), "ended early");
    drop(half);
    let mut remarks = BufReader::new(left.stderr.take().unwrap()).lines().map(|line| line.unwrap());
    assert!(remarks.any(|line| line.contains("all peers are gone")));
    signal(&left, "-INT");
    assert_eq!(code(&finish(left)), 130);

    let seed = there.listen(&["seed", torrent, ".", "--listen", "127.0.0.1:0"]);
    let told = lines(here.bip(&["get", torrent, "--peer", &seed.address, "--timeout", "50", "--json"]));
    let checked = told.iter().find(|line| line["event"] == "checked").unwrap();
    assert_eq!(checked["pieces_done"], 32);
    assert!(fs::read(here.path("data")).unwrap() == data);
}

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
        let names = here.files().into_iter().filter(|(path, _)| path.starts_with(here.path("tree")));
        let names = names.map(|(path, contents)| {
            assert!(contents == fs::read(there.path("tree").join(path.file_name().unwrap())).unwrap(), "{path:?}");
            path.file_name().unwrap().to_str().unwrap().to_owned()
        });
        names.collect::<Vec<_>>().join(",")
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
    assert!(line.starts_with("bip: u: "), "{line}");
    assert_eq!(folder.files().len(), 2);
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
