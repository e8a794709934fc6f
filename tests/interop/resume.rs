//! What is kept when a download ends early, and how `get` ends.

use std::fs;
use std::path::Path;

use crate::harness::Need::{self, Libtorrent, Namespace};
use crate::libtorrent::{Peer, Prepared, prepare};
use crate::namespace::{BIP, LIBTORRENT};
use crate::process::{FAREWELL, Failure, Running};
use crate::tool;
use crate::tree::{FILE, FOLDER, MEDIUM};

const NEEDS: &[Need] = &[Namespace, Libtorrent];

crate::harness::tests! {
    an_interrupted_get_keeps_what_is_verified: NEEDS,
    a_killed_get_starts_again_and_completes: NEEDS,
    a_complete_download_is_not_downloaded_again: NEEDS,
    only_the_damaged_piece_is_downloaded_again: NEEDS,
    a_damaged_piece_is_found_whatever_the_state_says: NEEDS,
    ctrl_c_and_sigterm_end_a_get_that_waits: NEEDS,
    ctrl_c_and_sigterm_end_a_seed: NEEDS,
    a_get_without_a_source_of_peers_fails_at_once: NEEDS,
    a_get_whose_peer_is_not_there_fails_after_its_timeout: NEEDS,
}

/// How fast the seeder of an interrupted download is, in bytes a second.
const SLOW: u64 = 4 << 20;

/// How much it has sent when the download is interrupted.
const SENT: u64 = 8 << 20;

/// How much of that may be in flight, or in pieces that are not whole yet.
const UNFINISHED: u64 = 4 << 20;

/// Downloads the rest, and gives the number of bytes that it took.
fn get_rest(made: &Prepared) -> Result<u64, Failure> {
    get_rest_with(made, &[])
}

/// As [`get_rest`], with more options.
fn get_rest_with(made: &Prepared, more: tool::Args<'_>) -> Result<u64, Failure> {
    let seeder = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    let args: tool::Args<'_> = &[&"get", &made.torrent, &"-d", &made.copy, &"--peer", &seeder.address];
    tool::run(&[args, more].concat())?;
    seeder.stop()
}

/// Starts a download and ends it in the middle, with the seeder still there.
fn interrupt(made: &Prepared, how: impl FnOnce(Running) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut seeder = Peer::seed_slowly(&made.torrent, &made.original, LIBTORRENT, SLOW)?;
    let leecher = tool::start(&[&"get", &made.torrent, &"-d", &made.copy, &"--peer", &seeder.address])?;
    seeder.wait_sent(SENT)?;
    how(leecher)
}

fn an_interrupted_get_keeps_what_is_verified(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&MEDIUM, folder)?;
    interrupt(&made, |leecher| {
        leecher.signal("INT")?;
        leecher.wait_for(FAREWELL)?.expect_code(130).map(drop)
    })?;
    let again = get_rest(&made)?;
    MEDIUM.expect_equal(&made.original, &made.copy)?;
    let allowed = MEDIUM.length() - SENT + UNFINISHED;
    if again <= allowed { Ok(()) } else { Err(format!("the second get took {again} bytes, more than {allowed}")) }
}

fn a_killed_get_starts_again_and_completes(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&MEDIUM, folder)?;
    interrupt(&made, |leecher| leecher.kill().map(drop))?;
    get_rest(&made)?;
    MEDIUM.expect_equal(&made.original, &made.copy)
}

fn a_complete_download_is_not_downloaded_again(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FOLDER, folder)?;
    get_rest(&made)?;
    let again = get_rest(&made)?;
    FOLDER.expect_equal(&made.original, &made.copy)?;
    if again == 0 { Ok(()) } else { Err(format!("the second get took {again} bytes")) }
}

fn only_the_damaged_piece_is_downloaded_again(folder: &Path) -> Result<(), Failure> {
    damage_and_mend(folder, &[])
}

fn a_damaged_piece_is_found_whatever_the_state_says(folder: &Path) -> Result<(), Failure> {
    damage_and_mend(folder, &[&"--state", &folder.join("state")])
}

fn damage_and_mend(folder: &Path, more: tool::Args<'_>) -> Result<(), Failure> {
    let made = prepare(&FILE, folder)?;
    get_rest_with(&made, more)?;
    let copy = FILE.root(&made.copy);
    let problem = |error| format!("{}: {error}", copy.display());
    let mut bytes = fs::read(&copy).map_err(problem)?;
    bytes[500_000] ^= 0x80;
    fs::write(&copy, bytes).map_err(problem)?;
    let again = get_rest_with(&made, more)?;
    FILE.expect_equal(&made.original, &made.copy)?;
    if again == FILE.piece_length { Ok(()) } else { Err(format!("mending one piece took {again} bytes")) }
}

/// Starts the tool, and once it listens sends it `signal`, upon which it must end with `code`.
fn expect_farewell(args: tool::Args<'_>, signal: &str, code: i32) -> Result<(), Failure> {
    let mut bip = tool::start(args)?;
    tool::listening(&mut bip)?;
    bip.signal(signal)?;
    bip.wait_for(FAREWELL)?.expect_code(code).map(drop)
}

fn ctrl_c_and_sigterm_end_a_get_that_waits(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FILE, folder)?;
    for signal in ["INT", "TERM"] {
        expect_farewell(&[&"get", &made.torrent, &"-d", &made.copy, &"--listen", &format!("{BIP}:0")], signal, 130)?;
    }
    Ok(())
}

fn ctrl_c_and_sigterm_end_a_seed(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FILE, folder)?;
    for signal in ["INT", "TERM"] {
        expect_farewell(&[&"seed", &made.torrent, &made.original, &"--listen", &format!("{BIP}:0")], signal, 0)?;
    }
    Ok(())
}

fn a_get_without_a_source_of_peers_fails_at_once(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FILE, folder)?;
    tool::fails(&[&"get", &made.torrent, &"-d", &made.copy]).map(drop)
}

fn a_get_whose_peer_is_not_there_fails_after_its_timeout(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FILE, folder)?;
    let nobody = format!("{LIBTORRENT}:9");
    tool::fails(&[&"get", &made.torrent, &"-d", &made.copy, &"--timeout", &"3", &"--peer", &nobody]).map(drop)
}
