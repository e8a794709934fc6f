//! Reading a torrent file.

use crate::output::{Failure, Output, reason};
use bip::proto::metainfo::{Limits, Metainfo};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Reads a torrent file, or stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<Metainfo, Failure> {
    parse(path, &read_bytes(path)?)
}

/// Parses what was read from there.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Metainfo, Failure> {
    Metainfo::parse(bytes, &Limits::default()).map_err(|error| Failure::new(name(path), error))
}

/// Reads the bytes of a torrent file, or stdin for `-`.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
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
        return Err(fail(&"no torrent at byte 0: the file is empty"));
    }
    Ok(bytes)
}

/// Gives the torrent's info hashes, each with what it is called.
pub(crate) fn hashes(torrent: &Metainfo) -> Vec<(&'static str, String)> {
    let v1 = torrent.version().has_v1().then(|| ("info hash", torrent.info_hash().to_string()));
    let v2 = torrent.info_hash_v2().map(|hash| ("info hash v2", hash.to_string()));
    v1.into_iter().chain(v2).collect()
}

/// Gives the info hashes as JSON has them: version 1 and version 2, each null where there is none.
pub(crate) fn json_hashes(torrent: &Metainfo) -> [Option<String>; 2] {
    let v1 = torrent.version().has_v1().then(|| torrent.info_hash().to_string());
    [v1, torrent.info_hash_v2().map(|hash| hash.to_string())]
}

/// Gives how many files there are, padding not counted.
pub(crate) fn file_count(torrent: &Metainfo) -> usize {
    torrent.files().iter().filter(|file| !file.is_padding).count()
}

/// A torrent, and what to call it in messages: the path of its file, as the user gave it.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) torrent: Metainfo,
}

/// Reads torrents. Each that cannot be read, or is there twice, is told; only all of them are a success.
pub(crate) fn read_all(paths: &[PathBuf], output: &Output) -> Result<Vec<Named>, Failure> {
    if paths.iter().filter(|path| *path == Path::new("-")).count() > 1 {
        return Err(Failure::usage("-", "stdin can be read only once"));
    }
    let mut out: Vec<Named> = Vec::new();
    // The last one, which is told by whoever gets it.
    let mut failed: Option<Failure> = None;
    for path in paths {
        let read = read(path).and_then(|torrent| {
            match out.iter().find(|other| other.torrent.info_hash() == torrent.info_hash()) {
                Some(other) => Err(Failure::new(name(path), format_args!("is the same torrent as {}", other.name))),
                None => Ok(Named { name: name(path), torrent }),
            }
        });
        match read {
            Ok(named) => out.push(named),
            Err(failure) => {
                if let Some(failure) = failed.replace(failure) {
                    output.fail(&failure);
                }
            }
        }
    }
    failed.map_or(Ok(out), Err)
}

/// Makes sure that a torrent's file or folder is there; if not, says where it was looked for.
pub(crate) fn find(torrent: &Metainfo, dir: &Path) -> Result<(), Failure> {
    let name = torrent.layout().name();
    let place = dir.join(&name);
    match std::fs::symlink_metadata(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // What else is wrong is found when it is read.
        _ => return Ok(()),
    }
    let failure = Failure::new(place.display(), "does not exist; DIR is the folder that holds the torrent's name");
    let whole = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    Err(match whole.parent() {
        Some(parent) if whole.file_name().is_some_and(|last| last == std::ffi::OsStr::new(&name)) => {
            failure.and(format_args!("try {}", parent.display()))
        }
        _ => failure,
    })
}

/// Names a torrent file in messages.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

/// Tells what is odd about a torrent that is about to be used.
pub(crate) fn tell_warnings(output: &Output, name: &str, torrent: &Metainfo) {
    const MOST: usize = 10;
    let warnings = torrent.warnings();
    for warning in warnings.iter().take(MOST) {
        output.note(name, warning);
    }
    if let Some(more) = warnings.len().checked_sub(MOST).filter(|&more| more > 0) {
        output.note(name, format_args!("{more} more such warnings: `bip show` has them all"));
    }
}
