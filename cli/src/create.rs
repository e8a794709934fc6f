//! `bip create`.

use crate::args::Create;
use crate::destination::{self, Destination};
use crate::output::{Failure, Output, bytes, counted, printable, reason, task_failure};
use crate::signal::Signals;
use crate::{torrent, urls};
use bip::disk::create::Reason;
use bip::proto::metainfo::{Limits, Metainfo, Version};
use bip::session::{self, CreateOptions};
use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many things that were left out are named.
const SKIPPED_SHOWN: usize = 20;

pub(crate) fn run(args: &Create, output: &Output) -> Result<(), Failure> {
    let signals = Signals::install(true)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name(&args.path)?,
    };
    let place = args.output.clone().unwrap_or_else(|| {
        let mut name = name.clone();
        name.push(".torrent");
        PathBuf::from(name)
    });
    let destination = Destination::choose(place, args.force)?.outside(&args.path)?;
    let created = session::create(&args.path, options(args, &name), crate::threads(), progress(output, &signals));
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
    if !args.exclude.is_empty() {
        output.note("--exclude", format_args!("{} left out", created.excluded));
    }

    let torrent = Metainfo::parse(&created.metainfo, &Limits::default());
    let torrent = torrent.map_err(|error| Failure::new(args.path.display(), error))?;
    match destination {
        Destination::Stdout => {
            output.raw(&created.metainfo)?;
            torrent::hashes(&torrent).iter().for_each(|(what, hash)| output.note(what, hash));
            output.note("written to", "stdout");
        }
        Destination::File { path, force } => {
            destination::write(&path, &created.metainfo, force)?;
            tell(output, &torrent, &path)?;
            let geometry = torrent.geometry();
            output.note(
                torrent.name(),
                format_args!(
                    "{}, {}, {} of {}",
                    counted(torrent::file_count(&torrent) as u64, "file"),
                    bytes(torrent.layout().content_length()),
                    counted(geometry.piece_count().into(), "piece"),
                    bytes(geometry.piece_length().into())
                ),
            );
        }
    }
    Ok(())
}

/// Tells which torrent was written where.
pub(crate) fn tell(output: &Output, torrent: &Metainfo, path: &Path) -> Result<(), Failure> {
    let hashes = torrent::hashes(torrent);
    let width = if torrent.version().has_v2() { 14 } else { 12 };
    for (what, hash) in hashes {
        output.line(format_args!("{what:<width$}{hash}"))?;
    }
    output.line(format_args!("{:<width$}{}", "written to", printable(&path.to_string_lossy())))
}

/// Shows how far it has come, and ends it when the user wants that.
fn progress(output: &Output, signals: &Signals) -> impl FnMut(session::TaskProgress) -> ControlFlow<()> {
    let (output, signals) = (output.clone(), signals.clone());
    let mut progress = None;
    move |news| {
        if news.total > 0 {
            progress.get_or_insert_with(|| output.progress("hashing", news.total)).set(news.done, "");
        }
        if signals.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn options(args: &Create, name: &OsString) -> CreateOptions {
    let mut options = CreateOptions::default();
    options.version = match (args.v2, args.hybrid) {
        (true, _) => Version::V2,
        (_, true) => Version::Hybrid,
        _ => Version::V1,
    };
    options.name = Some(name.as_encoded_bytes().to_vec());
    options.exclude = args.exclude.clone();
    options.piece_length = args.piece_length;
    options.trackers = urls::tiers(&args.trackers);
    options.web_seeds = args.web_seeds.clone();
    options.nodes = args.nodes.clone();
    options.private = args.private;
    options.source = args.source.clone();
    options.comment = args.comment.clone();
    options.created_by = Some(concat!("bip/", env!("CARGO_PKG_VERSION")).to_owned());
    options.creation_date = if args.no_date { None } else { now() };
    options
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
