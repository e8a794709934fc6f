//! Child processes that cannot be lost, and whose output cannot block them.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The reason why a test failed.
pub(crate) type Failure = String;

/// How long anything may take before a test calls it hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a program may take to end when asked to. The tool promises two seconds; a busy machine gets more.
pub(crate) const FAREWELL: Duration = Duration::from_secs(6);

/// How often a condition that nothing announces is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(10);

/// How much of an output a failure shows.
const SHOWN: usize = 4000;

/// What a child has written so far to one of its outputs.
#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    ended: bool,
}

/// One output of a child: a thread of its own reads it to the end, whatever the test does.
struct Output {
    shared: Arc<(Mutex<Captured>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn of(source: Option<impl Read + Send + 'static>) -> Output {
        let shared = Arc::new((Mutex::new(Captured::default()), Condvar::new()));
        let filled = Arc::clone(&shared);
        let reader = source.map(|mut source| {
            thread::spawn(move || {
                let mut chunk = [0; 64 * 1024];
                loop {
                    let got = source.read(&mut chunk).unwrap_or(0);
                    let (captured, news) = &*filled;
                    let mut captured = captured.lock().unwrap_or_else(PoisonError::into_inner);
                    captured.bytes.extend_from_slice(&chunk[..got]);
                    captured.ended = got == 0;
                    news.notify_all();
                    if got == 0 {
                        return;
                    }
                }
            })
        });
        Output { shared, reader }
    }

    fn captured(&self) -> MutexGuard<'_, Captured> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything there will be: only for a child that has ended.
    fn into_bytes(mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        std::mem::take(&mut self.captured().bytes)
    }
}

/// A program that runs beside the test, and is killed when the test lets go of it.
pub(crate) struct Running {
    what: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Output,
    stderr: Output,
    /// Where in stdout the next line begins that the test has not seen.
    seen: usize,
}

/// How a program ended, and all that it said.
pub(crate) struct Ended {
    what: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Running {
    /// Starts `command`, called `what` in failures.
    pub(crate) fn start(what: &str, command: &mut Command) -> Result<Running, Failure> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{what} does not start: {error}"))?;
        let stdin = child.stdin.take();
        let (stdout, stderr) = (Output::of(child.stdout.take()), Output::of(child.stderr.take()));
        Ok(Running { what: what.to_owned(), child, stdin, stdout, stderr, seen: 0 })
    }

    /// The next line of stdout that `wanted` makes something of. Other lines are passed over.
    pub(crate) fn wait_line<T>(&mut self, name: &str, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<T, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut captured = self.stdout.captured();
        loop {
            while let Some(length) = captured.bytes[self.seen..].iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&captured.bytes[self.seen..self.seen + length]).into_owned();
                self.seen += length + 1;
                if let Some(found) = wanted(&line) {
                    return Ok(found);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let why = match (captured.ended, left.is_zero()) {
                (true, _) => "ended",
                (_, true) => "took too long",
                _ => {
                    captured =
                        self.stdout.shared.1.wait_timeout(captured, left).unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
            };
            drop(captured);
            return Err(self.complain(&format!("{why} before it said {name:?}")));
        }
    }

    /// Writes a line to its stdin.
    pub(crate) fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let wrote = self.stdin.as_mut().is_some_and(|stdin| writeln!(stdin, "{line}").is_ok());
        if wrote { Ok(()) } else { Err(self.complain("reads nothing any more")) }
    }

    /// Sends a signal by its name, as in `TERM`.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Failure> {
        // std can only kill. The child is not waited for yet, so its id is still its own.
        let script = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &script]).status().map_err(|error| format!("sh: {error}"))?;
        if status.success() { Ok(()) } else { Err(self.complain(&format!("was gone before SIG{name}"))) }
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(self) -> Result<Ended, Failure> {
        self.wait_for(PATIENCE)
    }

    /// Waits for it to end, and fails when it has not after `limit`.
    pub(crate) fn wait_for(mut self, limit: Duration) -> Result<Ended, Failure> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(self.into_ended(status)),
                Ok(None) if Instant::now() < deadline => thread::sleep(GLANCE),
                Ok(None) => return Err(self.complain(&format!("has not ended after {limit:?}"))),
                Err(error) => return Err(format!("{}: wait: {error}", self.what)),
            }
        }
    }

    /// Sends SIGTERM and waits.
    pub(crate) fn stop(self) -> Result<Ended, Failure> {
        self.signal("TERM")?;
        self.wait_for(FAREWELL)
    }

    /// Sends SIGKILL and waits.
    pub(crate) fn kill(mut self) -> Result<Ended, Failure> {
        self.child.kill().map_err(|error| format!("{}: kill: {error}", self.what))?;
        self.wait_for(FAREWELL)
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for it to end by itself, but not longer than `limit`. Says whether it has.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.is_running() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::sleep(left.min(GLANCE));
        }
        true
    }

    /// A failure of this program, with what it wrote.
    pub(crate) fn complain(&self, problem: &str) -> Failure {
        let mut failure = format!("{} {problem}", self.what);
        show(&mut failure, "stdout", &self.stdout.captured().bytes);
        show(&mut failure, "stderr", &self.stderr.captured().bytes);
        failure
    }

    fn into_ended(mut self, status: ExitStatus) -> Ended {
        self.stdin = None;
        let nothing = || Output::of(None::<std::io::Empty>);
        let stdout = std::mem::replace(&mut self.stdout, nothing()).into_bytes();
        let stderr = std::mem::replace(&mut self.stderr, nothing()).into_bytes();
        Ended { what: self.what.clone(), status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Fails unless the exit code is `code`.
    pub(crate) fn expect_code(self, code: i32) -> Result<Ended, Failure> {
        if self.status.code() == Some(code) {
            return Ok(self);
        }
        Err(self.complain(&format!("ended with {}, not with exit code {code}", self.status)))
    }

    /// A failure of this program, with what it wrote.
    pub(crate) fn complain(&self, problem: &str) -> Failure {
        let mut failure = format!("{} {problem}", self.what);
        show(&mut failure, "stdout", &self.stdout);
        show(&mut failure, "stderr", self.stderr.as_bytes());
        failure
    }

    /// Stdout as text.
    pub(crate) fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.stdout).map_err(|error| self.complain(&format!("wrote no UTF-8: {error}")))
    }
}

/// Gives a program of others a UTF-8 locale: in the locale `C` libtorrent finds no file with a name beyond ASCII.
pub(crate) fn in_utf8(command: &mut Command) -> &mut Command {
    command.env("LC_ALL", "C.UTF-8")
}

/// Runs a program of others to its end.
pub(crate) fn run<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: &[A]) -> Result<Ended, Failure> {
    let mut what = program.as_ref().to_string_lossy().into_owned();
    for arg in args {
        let _ = write!(what, " {}", arg.as_ref().to_string_lossy());
    }
    Running::start(&what, in_utf8(Command::new(program).args(args)))?.wait()
}

/// Appends the end of an output to a failure.
fn show(failure: &mut String, name: &str, bytes: &[u8]) {
    if !bytes.is_empty() {
        let tail = &bytes[bytes.len().saturating_sub(SHOWN)..];
        let _ = write!(failure, "\n  {name}:\n{}", String::from_utf8_lossy(tail).trim_end());
    }
}
