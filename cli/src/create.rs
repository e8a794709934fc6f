//! `bip create`.

use crate::args::Create;
use crate::output::{Failure, Output, bytes, counted, printable, reason, task_failure};
use crate::signal::Signals;
use bip::disk::create::Reason;
use bip::proto::metainfo::{Limits, Metainfo};
use bip::session::{self, CreateOptions};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many things that were left out are named.
const SKIPPED_SHOWN: usize = 20;

pub(crate) fn run(args: &Create, output: &Output) -> Result<(), Failure> {
    let signals = Signals::install(true)?;
    let name = name(&args.path)?;
    let out = Out::choose(args, &name)?;
    let mut options = CreateOptions::default();
    options.name = Some(name.as_encoded_bytes().to_vec());
    options.piece_length = args.piece_length;
    for url in &args.trackers {
        let tier = vec![url.clone()];
        if !options.trackers.contains(&tier) {
            options.trackers.push(tier);
        }
    }
    options.private = args.private;
    options.source = args.source.clone();
    options.comment = args.comment.clone();
    options.created_by = Some(concat!("bip/", env!("CARGO_PKG_VERSION")).to_owned());
    options.creation_date = if args.no_date { None } else { now() };

    let mut progress = None;
    let created = session::create(&args.path, options, crate::threads(), |news| {
        if news.total > 0 {
            progress.get_or_insert_with(|| output.progress("hashing", news.total)).set(news.done, "");
        }
        if signals.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let created = created.map_err(|error| task_failure(&args.path.display().to_string(), error))?;

    for skipped in created.skipped.iter().take(SKIPPED_SHOWN) {
        let why = match skipped.reason {
            Reason::NotAFile => "left out: neither a file nor a folder, nor a link that leads to one",
            Reason::Loop => "left out: a link to a folder that it is in",
            _ => "left out",
        };
        output.note(&skipped.path, why);
    }
    if let Some(more) = created.skipped.len().checked_sub(SKIPPED_SHOWN).filter(|&more| more > 0) {
        output.note(args.path.display(), format_args!("{more} more left out"));
    }

    let torrent = Metainfo::parse(&created.metainfo, &Limits::default());
    let torrent = torrent.map_err(|error| Failure::new(args.path.display(), error))?;
    let hash = torrent.info_hash();
    match out {
        Out::Stdout => {
            output.raw(&created.metainfo)?;
            output.note("info hash", hash);
            output.note("written to", "stdout");
        }
        Out::File { path, force } => {
            write(&path, &created.metainfo, force)?;
            output.line(format_args!("info hash   {hash}"))?;
            output.line(format_args!("written to  {}", printable(&path.to_string_lossy())))?;
            let geometry = torrent.geometry();
            output.note(
                torrent.name(),
                format_args!(
                    "{}, {}, {} of {}",
                    counted(torrent.files().len() as u64, "file"),
                    bytes(torrent.total_length()),
                    counted(geometry.piece_count().into(), "piece"),
                    bytes(geometry.piece_length().into())
                ),
            );
        }
    }
    Ok(())
}

fn now() -> Option<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// Gives the name of what is shared, also where the path does not end in it.
fn name(path: &Path) -> Result<OsString, Failure> {
    let fail = |error: &dyn std::fmt::Display| Failure::new(path.display(), error);
    if let Some(name) = path.file_name() {
        return Ok(name.to_owned());
    }
    let whole = fs::canonicalize(path).map_err(|error| fail(&reason(&error)))?;
    whole.file_name().map(ToOwned::to_owned).ok_or_else(|| fail(&"has no name that a torrent could have"))
}

/// Where the torrent goes.
enum Out {
    Stdout,
    File { path: PathBuf, force: bool },
}

impl Out {
    /// Decides before any work is done.
    fn choose(args: &Create, name: &OsString) -> Result<Self, Failure> {
        let path = match &args.output {
            Some(path) if path == Path::new("-") => return Ok(Out::Stdout),
            Some(path) => path.clone(),
            None => {
                let mut name = name.clone();
                name.push(".torrent");
                PathBuf::from(name)
            }
        };
        let fail = |why: &dyn std::fmt::Display| Failure::new(path.display(), why);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => return Err(fail(&"is a folder")),
            Ok(_) if !args.force => return Err(fail(&"exists already: --force overwrites it")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.file_name().is_none() {
                    return Err(fail(&"is no name of a file"));
                }
                if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                    return Err(fail(&"is no file but a folder, which is not there"));
                }
                let folder = folder(&path);
                match fs::metadata(folder) {
                    Ok(found) if found.is_dir() => {}
                    Ok(_) => return Err(Failure::new(folder.display(), "is not a folder")),
                    Err(error) => return Err(Failure::new(folder.display(), reason(&error))),
                }
            }
            Err(error) => return Err(fail(&reason(&error))),
        }
        if lies_inside(&path, &args.path) {
            return Err(fail(&format_args!(
                "lies inside {}: it would be part of its own torrent; choose another place with -o",
                args.path.display()
            )));
        }
        Ok(Out::File { path, force: args.force })
    }
}

/// Says whether a file, there or yet to be written, is the other path itself or below it.
fn lies_inside(out: &Path, path: &Path) -> bool {
    let place = fs::canonicalize(out).or_else(|_| {
        let folder = fs::canonicalize(folder(out))?;
        Ok::<_, io::Error>(folder.join(out.file_name().unwrap_or_default()))
    });
    match (place, fs::canonicalize(path)) {
        (Ok(place), Ok(path)) => place.starts_with(path),
        // That one of them is not there is told elsewhere.
        _ => false,
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Writes a file such that its name never stands for half of it.
fn write(path: &Path, contents: &[u8], force: bool) -> Result<(), Failure> {
    let fail = |error: io::Error| Failure::new(path.display(), reason(&error));
    // A link is followed, and what is no file (a device, a pipe) is written to rather than replaced.
    let target = if force { fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() };
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        let opened = File::options().write(true).open(&target);
        return opened.and_then(|mut file| file.write_all(contents)).map_err(fail);
    }
    let temporary = folder(&target).join(format!(".bip-{}.torrent.tmp", std::process::id()));
    let placed = File::create_new(&temporary)
        .and_then(|mut file| file.write_all(contents).and_then(|()| file.sync_all()))
        .and_then(|()| place(&temporary, &target, force));
    if placed.is_err() {
        // What went wrong first is what is told.
        let _ = fs::remove_file(&temporary);
    }
    placed.map_err(fail)
}

fn place(temporary: &Path, target: &Path, force: bool) -> io::Result<()> {
    if force {
        return fs::rename(temporary, target);
    }
    // A link fails where the name was taken while the files were hashed; renaming would overwrite.
    match fs::hard_link(temporary, target) {
        Ok(()) => fs::remove_file(temporary),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links.
        Err(_) => fs::rename(temporary, target),
    }
}
