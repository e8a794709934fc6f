//! Runs the tests side by side, each in a process of its own, and reports as libtest does, with tests ignored at run time.

use std::env;
use std::fs;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::Kind;
use crate::libtorrent;
use crate::namespace::{self, Namespaces};
use crate::process::Failure;

/// Names the one test that a process is there for, and makes it run that.
const INSIDE: &str = "BIP_INTEROP_INSIDE";

/// Names the folder of that test.
const FOLDER: &str = "BIP_INTEROP_FOLDER";

/// How many tests run side by side. They wait more than they work: for timers of the clients' own.
const JOBS: usize = 8;

/// What a test cannot do without.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A network namespace of our own.
    Namespace,
    /// A Python that has libtorrent.
    Libtorrent,
    /// A program on the path.
    Program(&'static str),
    /// The program of `mainline/`, built.
    Mainline,
    /// The package `bittorrent-dht`, and node to run it.
    BittorrentDht,
    /// The package `bittorrent-tracker`, and node to run it.
    BittorrentTracker,
}

/// One test: a sentence, its needs, and what it does in a folder of its own.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(&Path) -> Result<(), Failure>,
}

/// Makes a [`Test`] of a function of the same name.
macro_rules! tests {
    ($($name:ident: $needs:expr,)*) => {
        pub(crate) const TESTS: &[$crate::harness::Test] =
            &[$($crate::harness::Test { name: stringify!($name), needs: $needs, run: $name }),*];
    };
}
pub(crate) use tests;

/// What the command line asks for, in libtest's words.
#[derive(Default)]
struct Request {
    filters: Vec<String>,
    skips: Vec<String>,
    exact: bool,
    list: bool,
    only_ignored: bool,
    jobs: Option<usize>,
}

impl Request {
    fn parse(args: impl Iterator<Item = String>) -> Request {
        let mut request = Request::default();
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => request.list = true,
                "--exact" => request.exact = true,
                // No test is ignored before it runs, so there is nothing for `--ignored` to pick.
                "--ignored" => request.only_ignored = true,
                "--skip" => request.skips.extend(args.next()),
                "--test-threads" => request.jobs = args.next().and_then(|number| number.parse().ok()),
                // The other options with a value. What they ask for makes no difference here.
                "--format" | "--color" | "--logfile" | "--shuffle-seed" | "-Z" => {
                    args.next();
                }
                flag if flag.starts_with('-') => {
                    if let Some(skip) = flag.strip_prefix("--skip=") {
                        request.skips.push(skip.to_owned());
                    } else if let Some(number) = flag.strip_prefix("--test-threads=") {
                        request.jobs = number.parse().ok();
                    }
                }
                _ => request.filters.push(arg),
            }
        }
        request
    }

    fn wants(&self, name: &str) -> bool {
        let matches = |pattern: &String| if self.exact { name == pattern } else { name.contains(pattern.as_str()) };
        !self.only_ignored
            && (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skips.iter().any(matches)
    }
}

/// Whether tests that lack something are ignored, or failures, or whether all are ignored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    WherePossible,
    Required,
    Off,
}

impl Policy {
    fn from_environment() -> Result<Policy, Failure> {
        match env::var("BIP_INTEROP").as_deref() {
            Err(_) | Ok("") => Ok(Policy::WherePossible),
            Ok("required") => Ok(Policy::Required),
            Ok("off") => Ok(Policy::Off),
            Ok(other) => Err(format!("BIP_INTEROP is {other:?}: neither \"required\" nor \"off\"")),
        }
    }
}

/// What is there, found out once.
#[derive(Default)]
struct Means {
    namespaces: Option<Result<Namespaces, Failure>>,
    libtorrent: Option<Result<(), Failure>>,
}

impl Means {
    fn namespaces(&mut self) -> Result<Namespaces, Failure> {
        self.namespaces.get_or_insert_with(Namespaces::find).clone()
    }

    /// Says which of the needs is not met, and why.
    fn lack(&mut self, needs: &[Need]) -> Option<Failure> {
        needs.iter().find_map(|need| match need {
            Need::Namespace => self.namespaces().err(),
            Need::Libtorrent => self.libtorrent.get_or_insert_with(libtorrent::probe).clone().err(),
            Need::Mainline => Kind::Mainline.command().err(),
            Need::BittorrentDht => Kind::BittorrentDht.command().err(),
            Need::BittorrentTracker => crate::tracker_client::bittorrent_tracker().err(),
            Need::Program(name) => (!namespace::is_installed(name)).then(|| format!("`{name}` is not installed")),
        })
    }
}

/// Runs what the command line asks for of `tests`, or the one test that this process was started for.
pub(crate) fn run(tests: Vec<Test>) -> ExitCode {
    if let (Some(name), Some(folder)) = (env::var_os(INSIDE), env::var_os(FOLDER)) {
        let test = tests.iter().find(|test| name == test.name);
        return run_inside(test.expect("a process is started for a test that exists"), Path::new(&folder));
    }
    let request = Request::parse(env::args().skip(1));
    let total = tests.len();
    let wanted: Vec<Test> = tests.into_iter().filter(|test| request.wants(test.name)).collect();
    if request.list {
        for test in &wanted {
            println!("{}: test", test.name);
        }
        return ExitCode::SUCCESS;
    }
    let policy = match Policy::from_environment() {
        Ok(policy) => policy,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };

    let began = Instant::now();
    println!("\nrunning {} test{}", wanted.len(), if wanted.len() == 1 { "" } else { "s" });
    let (mut means, mut tasks) = (Means::default(), Vec::new());
    let (mut passed, mut ignored, mut failures) = (0, 0, Vec::new());
    for test in wanted.iter().copied() {
        let lack = if policy == Policy::Off { Some("BIP_INTEROP=off".to_owned()) } else { means.lack(test.needs) };
        match lack {
            Some(reason) if policy != Policy::Required => {
                println!("test {} ... ignored, {reason}", test.name);
                ignored += 1;
            }
            Some(reason) => {
                println!("test {} ... FAILED", test.name);
                failures.push((test.name, format!("BIP_INTEROP=required, but {reason}")));
            }
            None => {
                let namespaces = if test.needs.contains(&Need::Namespace) { means.namespaces().ok() } else { None };
                tasks.push(Task { test, namespaces });
            }
        }
    }
    run_side_by_side(tasks, request.jobs.unwrap_or(JOBS), |test, outcome, took| {
        let took = took.as_secs_f64();
        match outcome {
            Ok(notes) => {
                println!("test {} ... ok <{took:.1}s>", test.name);
                notes.lines().for_each(|note| println!("    {note}"));
                passed += 1;
            }
            Err(failure) => {
                println!("test {} ... FAILED <{took:.1}s>", test.name);
                failures.push((test.name, failure));
            }
        }
    });
    if !failures.is_empty() {
        println!("\nfailures:");
        for (name, failure) in &failures {
            println!("\n---- {name} ----\n{failure}");
        }
        println!("\nfailures:");
        for (name, _) in &failures {
            println!("    {name}");
        }
    }
    println!(
        "\ntest result: {}. {passed} passed; {} failed; {ignored} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        failures.len(),
        total - wanted.len(),
        began.elapsed().as_secs_f64(),
    );
    // libtest's own code for failed tests.
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// A test that can run, and where.
struct Task {
    test: Test,
    namespaces: Option<Namespaces>,
}

/// Runs `tasks`, at most `jobs` at a time, begun in their order, and reports each as it ends.
fn run_side_by_side(tasks: Vec<Task>, jobs: usize, mut report: impl FnMut(Test, Result<String, Failure>, Duration)) {
    let parent = Folder::new(&format!("interop-{}", std::process::id()));
    let workers = jobs.clamp(1, tasks.len().max(1));
    let queue = Mutex::new(tasks.into_iter());
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (queue, parent, sender) = (&queue, &parent, sender.clone());
            scope.spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(task) = next else { break };
                    let began = Instant::now();
                    let outcome = run_outside(&task, parent);
                    if sender.send((task.test, outcome, began.elapsed())).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (test, outcome, took) in results {
            report(test, outcome, took);
        }
    });
}

/// Runs one test in a process of its own and an empty folder, which goes away with it. Gives what it remarks.
fn run_outside(task: &Task, parent: &Folder) -> Result<String, Failure> {
    let folder = parent.child(task.test.name);
    fs::create_dir_all(&folder.path).map_err(|error| format!("{}: {error}", folder.path.display()))?;
    let this = env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
    let mut command = task.namespaces.map_or_else(|| Command::new(&this), |namespaces| namespaces.command(&this));
    let mut child = command
        .env(INSIDE, task.test.name)
        .env(FOLDER, &folder.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    // Held, not closed: its end would be that of the test.
    let lifeline = child.stdin.take();
    let output = child.wait_with_output().map_err(|error| format!("{command:?}: {error}"))?;
    drop(lifeline);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let more = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}\n{}", said.trim_end(), more.trim_end()).trim().to_owned())
}

/// Runs the one test that this process is there for.
fn run_inside(test: &Test, folder: &Path) -> ExitCode {
    // Nothing goes on when the run is gone: this is the first process of its namespace, and takes the others with it.
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let furnished = if test.needs.contains(&Need::Namespace) { namespace::furnish() } else { Ok(()) };
    let outcome = furnished.and_then(|()| {
        catch_unwind(AssertUnwindSafe(|| (test.run)(folder))).unwrap_or_else(|_| Err("panicked".to_owned()))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// A folder that is removed when it is let go of, unless `BIP_INTEROP_KEEP` is set.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(name: &str) -> Folder {
        Folder { path: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name) }
    }

    fn child(&self, name: &str) -> Folder {
        Folder { path: self.path.join(name) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if env::var_os("BIP_INTEROP_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
