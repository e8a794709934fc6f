//! The tool as a process, and the folders it works in.

use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Far more than anything here takes: what takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of a test's own, gone with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bip-cli-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    pub(crate) fn write(&self, below: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Every file below, with its contents.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
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

    pub(crate) fn bip(&self, args: &[&str]) -> Output {
        finish(self.start(args))
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bip"));
        command.args(args).current_dir(&self.0).env("TMPDIR", &self.0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Makes a torrent of a file or folder here, in pieces of 16 KiB. Gives its path.
    pub(crate) fn torrent(&self, name: &str) -> String {
        succeeds(self.bip(&["create", name, "--piece-length", "16K", "-q"]));
        self.path(&format!("{name}.torrent")).to_str().unwrap().to_owned()
    }

    /// Starts a tool that listens until it is killed or signalled.
    pub(crate) fn listen(&self, args: &[&str]) -> Listening {
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

pub(crate) struct Listening {
    pub(crate) address: String,
    child: Option<Child>,
    pub(crate) stdout: BufReader<ChildStdout>,
}

impl Listening {
    pub(crate) fn end(mut self, signal_name: &str) -> Output {
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
pub(crate) fn finish(mut child: Child) -> Output {
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

pub(crate) fn read_all(mut from: impl std::io::Read) -> Vec<u8> {
    let mut out = Vec::new();
    from.read_to_end(&mut out).unwrap();
    out
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut rng = bip::machine::Rng::new(seed);
    (0..length).map(|_| rng.next_u64() as u8).collect()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

#[track_caller]
pub(crate) fn succeeds(output: Output) -> String {
    assert_eq!(code(&output), 0, "{} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
pub(crate) fn lines(output: Output) -> Vec<Value> {
    succeeds(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Fails with one clear line on stderr, which is given.
#[track_caller]
pub(crate) fn fails(output: Output) -> String {
    let stderr = text(&output.stderr);
    assert_eq!(code(&output), 1, "{} {stderr}", text(&output.stdout));
    assert!(stderr.starts_with("bip: ") && stderr.ends_with('\n') && stderr.lines().count() == 1, "{stderr:?}");
    stderr
}

/// A torrent of one file of 5 bytes.
pub(crate) const SMALL: &[u8] =
    b"d4:infod6:lengthi5e4:name5:hello12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";

/// Runs a `get --json`, and sends a signal when so many pieces are there.
pub(crate) fn interrupted(here: &Folder, args: &[&str], pieces: u64, name: &str) -> Output {
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
