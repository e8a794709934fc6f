//! `bip edit`.

use crate::args::Edit as Args;
use crate::destination::{self, Destination};
use crate::output::{Failure, Output};
use crate::{create, torrent, urls};
use bip::proto::metainfo::{Edit, Limits, Metainfo};
use std::path::Path;

pub(crate) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let destination = match &args.output {
        Some(path) => Destination::choose(path.clone(), args.force)?,
        None if args.torrent == Path::new("-") => {
            return Err(Failure::usage("--in-place", "stdin is no place to write to: name another with -o"));
        }
        None => Destination::File { path: args.torrent.clone(), force: true },
    };
    let bytes = torrent::read_bytes(&args.torrent)?;
    let name = torrent::name(&args.torrent);
    let fail = |error: &dyn std::fmt::Display| Failure::new(&name, error);
    // What is no torrent is not made another one.
    let before = torrent::parse(&args.torrent, &bytes)?;
    let edited = edit(args, Edit::of(&bytes, &Limits::default()).map_err(|error| fail(&error))?).build();
    let after = Metainfo::parse(&edited, &Limits::default()).map_err(|error| fail(&error))?;
    if after.info_bytes() != before.info_bytes() {
        return Err(fail(&"what is shared would not stay as it is"));
    }
    match destination {
        Destination::Stdout => {
            output.raw(&edited)?;
            torrent::hashes(&after).iter().for_each(|(what, hash)| output.note(what, hash));
        }
        Destination::File { path, force } => {
            destination::write(&path, &edited, force)?;
            create::tell(output, &after, &path)?;
        }
    }
    Ok(())
}

fn edit<'a>(args: &Args, mut edit: Edit<'a>) -> Edit<'a> {
    if args.no_trackers || !args.trackers.is_empty() {
        edit = edit.trackers(urls::tiers(&args.trackers));
    }
    if args.no_web_seeds || !args.web_seeds.is_empty() {
        edit = edit.web_seeds(&args.web_seeds);
    }
    if args.no_nodes || !args.nodes.is_empty() {
        edit = edit.nodes(args.nodes.iter().map(|(host, port)| (host, *port)));
    }
    if args.no_comment || args.comment.is_some() {
        // Some readers prefer it where both are there.
        edit.remove("comment.utf-8");
        edit = edit.comment(args.comment.as_deref());
    }
    if args.no_created_by || args.created_by.is_some() {
        edit = edit.created_by(args.created_by.as_deref());
    }
    if args.no_date {
        edit = edit.creation_date(None);
    }
    edit
}
