//! A disk that is full: the tool says so, waits, and goes on when there is room again.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::Need::{self, Libtorrent, Namespace};
use crate::libtorrent::Peer;
use crate::namespace::LIBTORRENT;
use crate::process::{self, Failure, Running};
use crate::tool;
use crate::tree::BRANCHES as TREE;

const NEEDS: &[Need] = &[Namespace, Libtorrent];

crate::harness::tests! {
    a_get_onto_a_full_disk_says_so_and_goes_on_when_there_is_room: NEEDS,
    a_get_that_was_killed_on_a_full_disk_goes_on_where_it_was: NEEDS,
}

/// The disk: room for the tree, but not for the ballast too.
const DISK: &str = "size=12M";
const BALLAST: usize = 6 << 20;

/// Puts a small disk at `folder`, with ballast on it. It goes away with the test's namespaces.
fn fill(folder: &Path) -> Result<std::path::PathBuf, Failure> {
    let problem = |error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(problem)?;
    let args: [&dyn AsRef<std::ffi::OsStr>; 6] = [&"-t", &"tmpfs", &"-o", &DISK, &"tmpfs", &folder];
    process::run("mount", &args)?.expect_code(0)?;
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![0; BALLAST]).map_err(problem)?;
    Ok(ballast)
}

/// Waits until the download tells of the disk's error, which must name a file and not be the end.
fn expect_full(get: &mut Running, copy: &Path) -> Result<(), Failure> {
    let event = wait_event(get, "error")?;
    let text = event["error"].as_str().unwrap_or_default();
    let of_a_file = text.starts_with(&format!("{}/", TREE.root(copy).display()));
    if event["fatal"] != false || !of_a_file || !text.contains("No space left on device") {
        return Err(get.complain("tells of the full disk in other words"));
    }
    Ok(())
}

fn wait_event(get: &mut Running, kind: &str) -> Result<Value, Failure> {
    get.wait_line(kind, |line| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["event"] == kind).then_some(event)
    })
}

fn a_get_onto_a_full_disk_says_so_and_goes_on_when_there_is_room(folder: &Path) -> Result<(), Failure> {
    let made = tool::prepare(&TREE, folder)?;
    let ballast = fill(&made.copy)?;
    let seeder = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    let mut get = tool::start(&[&"get", &made.torrent, &"-d", &made.copy, &"--json", &"--peer", &seeder.address])?;
    expect_full(&mut get, &made.copy)?;
    fs::remove_file(&ballast).map_err(|error| format!("{}: {error}", ballast.display()))?;
    wait_event(&mut get, "recovered")?;
    get.wait()?.expect_code(0)?;
    TREE.expect_equal(&made.original, &made.copy)
}

fn a_get_that_was_killed_on_a_full_disk_goes_on_where_it_was(folder: &Path) -> Result<(), Failure> {
    let made = tool::prepare(&TREE, folder)?;
    let ballast = fill(&made.copy)?;
    let seeder = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    // What it remembers is on the full disk too.
    let state = made.copy.join("state");
    let args: tool::Args<'_> =
        &[&"get", &made.torrent, &"-d", &made.copy, &"--state", &state, &"--json", &"--peer", &seeder.address];
    let mut get = tool::start(args)?;
    expect_full(&mut get, &made.copy)?;
    get.kill()?;
    let mut get = tool::start(args)?;
    expect_full(&mut get, &made.copy)?;
    fs::remove_file(&ballast).map_err(|error| format!("{}: {error}", ballast.display()))?;
    get.wait()?.expect_code(0)?;
    TREE.expect_equal(&made.original, &made.copy)?;
    let again = seeder.stop()?;
    let most = TREE.length() + TREE.length() / 2;
    if again <= most { Ok(()) } else { Err(format!("it took {again} bytes to get {}", TREE.length())) }
}
