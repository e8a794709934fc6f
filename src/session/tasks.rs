//! Making and verifying torrents, as calls that take as long as they take.

use crate::disk::{self, Executor, Native, check, create};
use crate::machine::{Host, Instant, Machine, Rng, mailbox};
use crate::proto::metainfo::Metainfo;
use crate::reactor::{self, Reactor, entropy};
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// How often the caller is asked whether to go on, at least.
const TICK: Duration = Duration::from_millis(50);
/// How long a task that was cancelled may take to end what it is at; a job that takes longer is left behind.
const CANCEL: Duration = Duration::from_secs(1);

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TaskProgress {
    /// Bytes hashed.
    pub done: u64,
    /// Bytes in all; 0 while that is not known.
    pub total: u64,
}

/// Why a task has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum TaskError {
    /// The disk could not do it; says which file and why, where it is a file.
    Disk(disk::Error),
    /// The system gave no event queue, thread or randomness.
    System(io::Error),
    /// The caller wanted no more of it.
    Cancelled,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Disk(error) => error.fmt(f),
            TaskError::System(error) => write!(f, "starting to work: {error}"),
            TaskError::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TaskError::Disk(error) => Some(error),
            TaskError::System(error) => Some(error),
            TaskError::Cancelled => None,
        }
    }
}

/// A torrent that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// The torrent file's bytes.
    pub metainfo: Vec<u8>,
    /// What was found in the folder and is not in the torrent.
    pub skipped: Vec<create::Skipped>,
    /// How many files and folders [`CreateOptions::exclude`](create::Options::exclude) left out, without those in such folders.
    pub excluded: u64,
}

/// Makes a torrent of a file or folder, hashing on that many threads (0: on the caller's own).
///
/// `progress` is called on the caller's thread, many times a second, and can end it all. Nothing is written. Without a creation
/// date in the options the same files always give the same bytes.
///
/// ```no_run
/// use bip::session::{create, CreateOptions};
/// use std::ops::ControlFlow;
///
/// let created = create("album".as_ref(), CreateOptions::default(), 4, |progress| {
///     println!("{} of {} bytes", progress.done, progress.total);
///     ControlFlow::Continue(())
/// })?;
/// std::fs::write("album.torrent", created.metainfo)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// A file cannot be read or changes meanwhile, a name cannot be in a torrent, there is nothing to share, version 2 is asked for without
/// the feature `v2`, `progress` said [`ControlFlow::Break`], or the system gives no thread.
pub fn create(
    path: &Path,
    options: create::Options,
    threads: usize,
    progress: impl FnMut(TaskProgress) -> ControlFlow<()>,
) -> Result<Created, TaskError> {
    let machine = disk::Create::new(disk::Config::default().for_job_threads(threads), &mut rng()?);
    let start = create::Command::Start { path: path.to_path_buf(), options: Box::new(options) };
    run(machine, [start, create::Command::Cancel], threads, progress, |event| match event {
        create::Event::Progress { done, total } => News::Progress(TaskProgress { done, total }),
        create::Event::Created { metainfo, skipped, excluded } => {
            News::End(Ok(Created { metainfo, skipped, excluded }))
        }
        create::Event::Failed { error } => News::End(Err(failure(error))),
        create::Event::Cancelled => News::End(Err(TaskError::Cancelled)),
    })
}

/// Verifies a torrent's files in `root`, the folder that holds the torrent's name, hashing on that many threads (0: on the
/// caller's own).
///
/// `progress` is called on the caller's thread, many times a second, and can end it all. Nothing is created or changed. Files that
/// are missing or cannot be read are no error but part of the report.
///
/// # Errors
///
/// `progress` said [`ControlFlow::Break`], the torrent is of version 2 and was read without its piece layers, or the system gives no
/// thread.
pub fn verify(
    metainfo: &Metainfo,
    root: &Path,
    threads: usize,
    progress: impl FnMut(TaskProgress) -> ControlFlow<()>,
) -> Result<check::Report, TaskError> {
    let machine = disk::Check::new(disk::Config::default().for_job_threads(threads), &mut rng()?);
    let start = check::Command::Start { layout: metainfo.layout(), root: root.to_path_buf() };
    let geometry = metainfo.geometry();
    run(machine, [start, check::Command::Cancel], threads, progress, |event| match event {
        check::Event::Progress { checked, .. } => {
            let total = geometry.total_length();
            let done = u64::from(checked).saturating_mul(geometry.piece_length().into()).min(total);
            News::Progress(TaskProgress { done, total })
        }
        check::Event::Checked { report } => News::End(Ok(report)),
        check::Event::Failed { error } => News::End(Err(failure(error))),
        check::Event::Cancelled => News::End(Err(TaskError::Cancelled)),
    })
}

fn rng() -> Result<Rng, TaskError> {
    entropy::rng().map_err(TaskError::System)
}

fn failure(error: disk::Error) -> TaskError {
    match error {
        disk::Error::Cancelled => TaskError::Cancelled,
        error => TaskError::Disk(error),
    }
}

enum News<T> {
    Progress(TaskProgress),
    End(Result<T, TaskError>),
}

/// Turns a reactor with one machine until the machine's command is answered.
fn run<M, T>(
    machine: M,
    [start, cancel]: [M::Command; 2],
    threads: usize,
    mut progress: impl FnMut(TaskProgress) -> ControlFlow<()>,
    mut read: impl FnMut(M::Event) -> News<T>,
) -> Result<T, TaskError>
where
    M: Machine<Job = disk::Job, Done = disk::Done> + Send + 'static,
{
    // No socket is ever read.
    let config = reactor::Config { job_threads: threads, receive_buffer: 0, ..reactor::Config::default() };
    let mut reactor = Reactor::new(config).map_err(TaskError::System)?;
    let (commands, inbox) = mailbox(0, reactor.doorbell());
    // Emptied after each turn, and a turn is bounded.
    let (tell, told) = crossbeam_channel::unbounded();
    let outlet = move |event| drop(tell.send(event));
    reactor.host(machine, inbox, Box::new(outlet), Some(Box::new(Executor::new(Native))));
    // The reactor is here, so the mailbox is open: `post` fails only when it is closed.
    drop(commands.post(start));
    let mut last = TaskProgress::default();
    let mut until: Option<Instant> = None;
    loop {
        let now = reactor.clock().now();
        if until.is_some_and(|until| until <= now) {
            if let Err(error) = reactor.shutdown(Duration::ZERO) {
                log::debug!(target: "bip::session", "cancelling: {error}");
            }
            return Err(TaskError::Cancelled);
        }
        reactor.turn(Some(TICK)).map_err(TaskError::System)?;
        for event in told.try_iter() {
            match read(event) {
                News::Progress(news) => last = news,
                News::End(result) => return result,
            }
        }
        if until.is_none() && progress(last).is_break() {
            until = Some(now + CANCEL);
            drop(commands.post(cancel.clone()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // tests make their own files
mod tests {
    use super::*;
    use crate::proto::metainfo::Limits;
    use std::fs;

    fn folder(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("bip-tasks-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("tree/deep")).unwrap();
        fs::write(path.join("tree/deep/a"), vec![7; 100_000]).unwrap();
        fs::write(path.join("tree/b"), vec![8; 50_000]).unwrap();
        fs::write(path.join("tree/empty"), []).unwrap();
        path
    }

    #[test]
    fn what_was_made_of_a_tree_verifies_in_place_on_any_number_of_threads() {
        let root = folder("round");
        let mut all = Vec::new();
        for threads in [0, 1, 3] {
            let created =
                create(&root.join("tree"), create::Options::default(), threads, |_| ControlFlow::Continue(())).unwrap();
            let torrent = Metainfo::parse(&created.metainfo, &Limits::default()).unwrap();
            let report = verify(&torrent, &root, threads, |_| ControlFlow::Continue(())).unwrap();
            assert!(report.is_complete());
            all.push(created.metainfo);
        }
        assert!(all.iter().all(|bytes| *bytes == all[0]));
        let torrent = Metainfo::parse(&all[0], &Limits::default()).unwrap();
        fs::remove_file(root.join("tree/empty")).unwrap();
        let report = verify(&torrent, &root, 1, |_| ControlFlow::Continue(())).unwrap();
        assert!(report.have.is_full() && !report.is_complete());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_caller_can_end_it_and_a_missing_path_is_named() {
        let root = folder("cancel");
        let ended = create(&root.join("tree"), create::Options::default(), 1, |_| ControlFlow::Break(()));
        // A tree as small as this may be through before it is asked for the first time.
        assert!(matches!(ended, Err(TaskError::Cancelled) | Ok(_)), "{ended:?}");
        let missing = create(&root.join("none"), create::Options::default(), 1, |_| ControlFlow::Continue(()));
        assert!(missing.is_err_and(|error| error.to_string().contains("none")));
        fs::remove_dir_all(&root).unwrap();
    }
}
