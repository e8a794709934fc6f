//! Reading a torrent file.

use crate::output::{Failure, Output, reason};
use bip::proto::metainfo::{Limits, Metainfo};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a torrent file, or stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<Metainfo, Failure> {
    let limits = Limits::default();
    let fail = |why: &dyn std::fmt::Display| Failure::new(name(path), why);
    let io_fail = |error: io::Error| fail(&reason(&error));
    let mut bytes = Vec::new();
    // One byte over the limit is enough to know that the file is too long.
    let most = limits.torrent_bytes as u64 + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(io_fail)?;
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(io_fail)?;
    }
    if bytes.len() > limits.torrent_bytes {
        return Err(fail(&format_args!("longer than a torrent file may be ({} MiB)", limits.torrent_bytes >> 20)));
    }
    if bytes.is_empty() {
        return Err(fail(&"empty: no torrent at byte 0"));
    }
    Metainfo::parse(&bytes, &limits).map_err(|error| fail(&error))
}

/// Names a torrent file in messages.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

/// Tells what is odd about a torrent that is about to be used.
pub(crate) fn tell_warnings(output: &Output, path: &Path, torrent: &Metainfo) {
    const MOST: usize = 10;
    let warnings = torrent.warnings();
    for warning in warnings.iter().take(MOST) {
        output.note(name(path), warning);
    }
    if let Some(more) = warnings.len().checked_sub(MOST).filter(|&more| more > 0) {
        output.note(name(path), format_args!("{more} more such warnings: `bip show` has them all"));
    }
}
