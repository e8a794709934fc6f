//! Runs the tests one after another and reports as libtest does, with tests ignored at run time.

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use crate::libtorrent;
use crate::namespace;
use crate::process::Failure;

/// What a test cannot do without.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A network namespace of our own.
    Namespace,
    /// A Python that has libtorrent.
    Libtorrent,
    /// A program on the path.
    Program(&'static str),
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
                // The other options with a value. What they ask for makes no difference here.
                "--test-threads" | "--format" | "--color" | "--logfile" | "--shuffle-seed" | "-Z" => {
                    args.next();
                }
                flag if flag.starts_with('-') => {
                    if let Some(skip) = flag.strip_prefix("--skip=") {
                        request.skips.push(skip.to_owned());
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
    namespace: Option<Result<(), Failure>>,
    libtorrent: Option<Result<(), Failure>>,
}

impl Means {
    /// Says which of the needs is not met, and why.
    fn lack(&mut self, needs: &[Need]) -> Option<Failure> {
        needs.iter().find_map(|need| match need {
            Need::Namespace => self.namespace.get_or_insert_with(namespace::enter).clone().err(),
            Need::Libtorrent => self.libtorrent.get_or_insert_with(libtorrent::probe).clone().err(),
            Need::Program(name) => (!namespace::is_installed(name)).then(|| format!("`{name}` is not installed")),
        })
    }
}

/// Runs what the command line asks for of `tests`.
pub(crate) fn run(tests: Vec<Test>) -> ExitCode {
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
    let mut means = Means::default();
    if policy != Policy::Off && wanted.iter().any(|test| test.needs.contains(&Need::Namespace)) {
        // Starts this program over inside a namespace, so it comes before anything is printed.
        let _ = means.lack(&[Need::Namespace]);
    }

    let began = Instant::now();
    let folder = Folder::new(&format!("interop-{}", std::process::id()));
    println!("\nrunning {} test{}", wanted.len(), if wanted.len() == 1 { "" } else { "s" });
    let (mut passed, mut ignored, mut failures) = (0, 0, Vec::new());
    for test in &wanted {
        let lack = if policy == Policy::Off { Some("BIP_INTEROP=off".to_owned()) } else { means.lack(test.needs) };
        let outcome = match lack {
            Some(reason) if policy != Policy::Required => {
                println!("test {} ... ignored, {reason}", test.name);
                ignored += 1;
                continue;
            }
            Some(reason) => Err(format!("BIP_INTEROP=required, but {reason}")),
            None => attempt(test, &folder),
        };
        match outcome {
            Ok(()) => {
                println!("test {} ... ok", test.name);
                passed += 1;
            }
            Err(failure) => {
                println!("test {} ... FAILED", test.name);
                failures.push((test.name, failure));
            }
        }
    }
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

/// Runs one test in an empty folder, which goes away with it.
fn attempt(test: &Test, parent: &Folder) -> Result<(), Failure> {
    let folder = parent.child(test.name);
    fs::create_dir_all(&folder.path).map_err(|error| format!("{}: {error}", folder.path.display()))?;
    catch_unwind(AssertUnwindSafe(|| (test.run)(&folder.path))).unwrap_or_else(|_| Err("panicked".to_owned()))
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
