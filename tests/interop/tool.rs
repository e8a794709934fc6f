//! The `bip` tool, as its users meet it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::libtorrent::Prepared;
use crate::process::{Ended, Failure, Running};
use crate::tree::Tree;

/// Arguments of any kind side by side.
pub(crate) type Args<'a> = &'a [&'a dyn AsRef<OsStr>];

/// The tool that is tested: the one built with this test, or the one that `BIP_INTEROP_TOOL` names.
fn path() -> PathBuf {
    std::env::var_os("BIP_INTEROP_TOOL").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_bip")), PathBuf::from)
}

/// Starts `bip` with `args`.
pub(crate) fn start(args: Args<'_>) -> Result<Running, Failure> {
    start_in(Path::new("."), args)
}

/// Starts `bip` with `args` in the folder `folder`.
pub(crate) fn start_in(folder: &Path, args: Args<'_>) -> Result<Running, Failure> {
    let mut what = "bip".to_owned();
    for arg in args {
        let _ = write!(what, " {}", arg.as_ref().to_string_lossy());
    }
    Running::start(&what, Command::new(path()).args(args).current_dir(folder))
}

/// Runs `bip` with `args` to its end, which must be a good one.
pub(crate) fn run(args: Args<'_>) -> Result<Ended, Failure> {
    start(args)?.wait()?.expect_code(0)
}

/// Runs `bip` with `args`, which must fail with exit code 1 and say why.
pub(crate) fn fails(args: Args<'_>) -> Result<Ended, Failure> {
    start(args)?.wait().and_then(expect_failed)
}

/// Fails unless the tool failed with exit code 1 and said why.
pub(crate) fn expect_failed(ended: Ended) -> Result<Ended, Failure> {
    let ended = ended.expect_code(1)?;
    if ended.stderr.lines().any(|line| line.starts_with("bip: ")) {
        Ok(ended)
    } else {
        Err(ended.complain("failed without a line that begins with \"bip: \""))
    }
}

/// The address that a `get` or `seed` says it listens on.
pub(crate) fn listening(bip: &mut Running) -> Result<String, Failure> {
    bip.wait_line("listening on", |line| line.strip_prefix("listening on ").map(|rest| rest.trim().to_owned()))
}

/// What `bip show --json` says about a torrent.
pub(crate) fn show(torrent: &Path) -> Result<Value, Failure> {
    let ended = run(&[&"show", &torrent, &"--json"])?;
    serde_json::from_str(ended.text()?).map_err(|error| ended.complain(&format!("wrote no JSON: {error}")))
}

/// Makes a torrent of `path`, as `out`, in pieces of `piece_length` bytes.
pub(crate) fn create(path: &Path, out: &Path, piece_length: u64) -> Result<(), Failure> {
    run(&[&"create", &path, &"-o", &out, &"--piece-length", &piece_length.to_string()]).map(drop)
}

/// Writes `tree` into `folder`/original and makes its torrent, in which the files are sorted.
pub(crate) fn prepare(tree: &Tree, folder: &Path) -> Result<Prepared, Failure> {
    let (original, torrent) = (folder.join("original"), folder.join("made by bip.torrent"));
    tree.write(&original)?;
    create(&tree.root(&original), &torrent, tree.piece_length)?;
    let shown = show(&torrent)?;
    let info_hash = shown["info_hash"].as_str().unwrap_or_default().to_owned();
    Ok(Prepared { original, torrent, info_hash, copy: folder.join("copy") })
}

/// As [`create`], with a tracker.
pub(crate) fn create_with_tracker(path: &Path, out: &Path, piece_length: u64, url: &str) -> Result<(), Failure> {
    let piece_length = piece_length.to_string();
    run(&[&"create", &path, &"-o", &out, &"--piece-length", &piece_length, &"--tracker", &url]).map(drop)
}
