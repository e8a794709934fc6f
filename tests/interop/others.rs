//! Contents go between bip and transmission-daemon and aria2, in both directions. A tracker of ours brings them together.

use std::path::Path;

use crate::aria2;
use crate::harness::Need::{self, Namespace, Program};
use crate::namespace::{ARIA2, TRANSMISSION};
use crate::process::{Failure, Running};
use crate::tool;
use crate::tracker::{self, Tracker};
use crate::transmission;
use crate::tree::{BRANCHES, CRUMBS, FILE, FOLDER, Tree};

const WITH_TRANSMISSION: &[Need] = &[Namespace, Program("python3"), Program("transmission-daemon")];
const WITH_ARIA2: &[Need] = &[Namespace, Program("python3"), Program("aria2c")];

crate::harness::tests! {
    transmission_gets_a_file_from_bip: WITH_TRANSMISSION,
    transmission_gets_a_folder_from_bip: WITH_TRANSMISSION,
    transmission_gets_many_small_files_from_bip: WITH_TRANSMISSION,
    bip_gets_a_file_from_transmission: WITH_TRANSMISSION,
    bip_gets_a_folder_from_transmission: WITH_TRANSMISSION,
    bip_gets_many_small_files_from_transmission: WITH_TRANSMISSION,
    bip_gets_from_a_transmission_that_dials_it: WITH_TRANSMISSION,
    aria2_gets_a_file_from_bip: WITH_ARIA2,
    aria2_gets_a_folder_from_bip: WITH_ARIA2,
    aria2_gets_many_small_files_from_bip: WITH_ARIA2,
    aria2_gets_many_pieces_from_bip: WITH_ARIA2,
    bip_gets_a_file_from_aria2: WITH_ARIA2,
    bip_gets_a_folder_from_aria2: WITH_ARIA2,
    bip_gets_many_small_files_from_aria2: WITH_ARIA2,
}

/// Where bip listens, which the tracker is told before bip is there.
const OURS: &str = "10.77.0.1:6881";

#[derive(Clone, Copy)]
enum Client {
    Transmission,
    Aria2,
}

impl Client {
    fn start(self, torrent: &Path, contents: &Path, folder: &Path) -> Result<Running, Failure> {
        match self {
            Client::Transmission => transmission::start(torrent, contents, &folder.join("transmission")),
            Client::Aria2 => aria2::start(torrent, contents),
        }
    }

    /// Where it is, without and with the port.
    fn place(self) -> (&'static str, String) {
        match self {
            Client::Transmission => (TRANSMISSION, transmission::address()),
            Client::Aria2 => (ARIA2, aria2::address()),
        }
    }
}

/// Waits, and on failure tells of `client` what it wrote.
fn wait_with(client: &Running, wait: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    wait().map_err(|failure| format!("{failure}\n{}", client.complain("was waited for")))
}

/// The client downloads from `bip seed`, of which the tracker tells it.
fn gets_from_bip(client: Client, tree: &Tree, folder: &Path) -> Result<(), Failure> {
    let (original, copy, torrent) = (folder.join("original"), folder.join("copy"), folder.join("made by bip.torrent"));
    tree.write(&original)?;
    tool::create_with_tracker(&tree.root(&original), &torrent, tree.piece_length, tracker::URL)?;
    let mut tracker = Tracker::start(&[OURS])?;
    let mut seeder = tool::start(&[&"seed", &torrent, &original, &"--listen", &OURS])?;
    tool::listening(&mut seeder)?;
    let leecher = client.start(&torrent, &copy, folder)?;
    wait_with(&leecher, || tracker.wait_complete(client.place().0))?;
    // Its end brings all that it has to the disk.
    leecher.stop()?.expect_code(0)?;
    match client {
        Client::Transmission => tree.expect_equal_but_for_empty_files(&original, &copy)?,
        Client::Aria2 => tree.expect_equal(&original, &copy)?,
    }
    seeder.stop()?.expect_code(0).map(drop)
}

/// `bip get` downloads from the client, which it dials if told to, and which otherwise learns of it from the tracker.
fn bip_gets_from(client: Client, dial: bool, tree: &Tree, folder: &Path) -> Result<(), Failure> {
    let (original, copy, torrent) = (folder.join("original"), folder.join("copy"), folder.join("made by bip.torrent"));
    tree.write(&original)?;
    tool::create_with_tracker(&tree.root(&original), &torrent, tree.piece_length, tracker::URL)?;
    let mut tracker = Tracker::start(if dial { &[] } else { &[OURS] })?;
    let (host, address) = client.place();
    let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"get", &torrent, &"-d", &copy, &"--listen", &OURS];
    let leecher = if dial {
        args.extend([&"--peer" as &dyn AsRef<std::ffi::OsStr>, &address]);
        None
    } else {
        Some(tool::start(&args)?)
    };
    let seeder = client.start(&torrent, &original, folder)?;
    wait_with(&seeder, || tracker.wait_complete(host))?;
    let leecher = leecher.map_or_else(|| tool::start(&args), Ok)?;
    let ended = leecher.wait().and_then(|ended| ended.expect_code(0));
    wait_with(&seeder, || ended.map(drop))?;
    tree.expect_equal(&original, &copy)?;
    seeder.stop()?.expect_code(0).map(drop)
}

fn transmission_gets_a_file_from_bip(folder: &Path) -> Result<(), Failure> {
    gets_from_bip(Client::Transmission, &FILE, folder)
}

fn transmission_gets_a_folder_from_bip(folder: &Path) -> Result<(), Failure> {
    gets_from_bip(Client::Transmission, &FOLDER, folder)
}

fn transmission_gets_many_small_files_from_bip(folder: &Path) -> Result<(), Failure> {
    gets_from_bip(Client::Transmission, &CRUMBS, folder)
}

fn bip_gets_a_file_from_transmission(folder: &Path) -> Result<(), Failure> {
    bip_gets_from(Client::Transmission, true, &FILE, folder)
}

fn bip_gets_a_folder_from_transmission(folder: &Path) -> Result<(), Failure> {
    bip_gets_from(Client::Transmission, true, &FOLDER, folder)
}

fn bip_gets_many_small_files_from_transmission(folder: &Path) -> Result<(), Failure> {
    bip_gets_from(Client::Transmission, true, &CRUMBS, folder)
}

fn bip_gets_from_a_transmission_that_dials_it(folder: &Path) -> Result<(), Failure> {
    bip_gets_from(Client::Transmission, false, &FOLDER, folder)
}

fn aria2_gets_a_file_from_bip(folder: &Path) -> Result<(), Failure> {
    gets_from_bip(Client::Aria2, &FILE, folder)
}

fn aria2_gets_a_folder_from_bip(folder: &Path) -> Result<(), Failure> {
    gets_from_bip(Client::Aria2, &FOLDER, folder)
}

fn aria2_gets_many_small_files_from_bip(folder: &Path) -> Result<(), Failure> {
    gets_from_bip(Client::Aria2, &CRUMBS, folder)
}

fn aria2_gets_many_pieces_from_bip(folder: &Path) -> Result<(), Failure> {
    // It sends a bitfield, again and again, where that is shorter than its haves.
    gets_from_bip(Client::Aria2, &BRANCHES, folder)
}

fn bip_gets_a_file_from_aria2(folder: &Path) -> Result<(), Failure> {
    bip_gets_from(Client::Aria2, true, &FILE, folder)
}

fn bip_gets_a_folder_from_aria2(folder: &Path) -> Result<(), Failure> {
    bip_gets_from(Client::Aria2, true, &FOLDER, folder)
}

fn bip_gets_many_small_files_from_aria2(folder: &Path) -> Result<(), Failure> {
    bip_gets_from(Client::Aria2, true, &CRUMBS, folder)
}
