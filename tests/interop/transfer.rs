//! Contents go from libtorrent to `bip get`, and from `bip seed` to libtorrent.

use std::fs;
use std::path::Path;

use crate::harness::Need::{self, Libtorrent, Namespace};
use crate::libtorrent::{self, Peer, prepare};
use crate::namespace::{BIP, LIBTORRENT, THIRD};
use crate::process::Failure;
use crate::tool;
use crate::tree::{CRUMBS, FILE, FOLDER, LARGE, Tree};

const NEEDS: &[Need] = &[Namespace, Libtorrent];

crate::harness::tests! {
    bip_gets_a_file_from_libtorrent: NEEDS,
    bip_gets_a_folder_from_libtorrent: NEEDS,
    bip_gets_many_small_files_from_libtorrent: NEEDS,
    bip_gets_256_mib_from_libtorrent: NEEDS,
    libtorrent_gets_a_file_from_bip: NEEDS,
    libtorrent_gets_a_folder_from_bip: NEEDS,
    libtorrent_gets_many_small_files_from_bip: NEEDS,
    libtorrent_gets_256_mib_from_bip: NEEDS,
    bip_gets_from_a_seeder_that_dials_it: NEEDS,
    bip_seeds_to_a_leecher_that_it_dials: NEEDS,
    bip_and_libtorrent_may_dial_each_other_at_once: NEEDS,
    bip_gets_from_two_seeders: NEEDS,
    bip_hands_on_what_it_got: NEEDS,
    bip_gets_two_torrents_at_once: NEEDS,
    bip_seeds_two_torrents_at_once: NEEDS,
    bip_listens_on_port_6881_or_the_next_free_one: NEEDS,
}

fn bip_gets(tree: &Tree, folder: &Path) -> Result<(), Failure> {
    let made = prepare(tree, folder)?;
    let seeder = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    tool::run(&[&"get", &made.torrent, &"-d", &made.copy, &"--peer", &seeder.address])?;
    tree.expect_equal(&made.original, &made.copy)
}

fn bip_gets_a_file_from_libtorrent(folder: &Path) -> Result<(), Failure> {
    bip_gets(&FILE, folder)
}

fn bip_gets_a_folder_from_libtorrent(folder: &Path) -> Result<(), Failure> {
    bip_gets(&FOLDER, folder)
}

fn bip_gets_many_small_files_from_libtorrent(folder: &Path) -> Result<(), Failure> {
    bip_gets(&CRUMBS, folder)
}

fn bip_gets_256_mib_from_libtorrent(folder: &Path) -> Result<(), Failure> {
    bip_gets(&LARGE, folder)
}

/// With a torrent of bip's own making.
fn libtorrent_gets(tree: &Tree, folder: &Path) -> Result<(), Failure> {
    let (original, copy, torrent) = (folder.join("original"), folder.join("copy"), folder.join("made by bip.torrent"));
    tree.write(&original)?;
    tool::create(&tree.root(&original), &torrent, tree.piece_length)?;
    let mut seeder = tool::start(&[&"seed", &torrent, &original, &"--listen", &format!("{BIP}:0")])?;
    let address = tool::listening(&mut seeder)?;
    let mut leecher = Peer::leech(&torrent, &copy, LIBTORRENT, &[&address])?;
    leecher.wait_done()?;
    tree.expect_equal(&original, &copy)?;
    seeder.stop()?.expect_code(0).map(drop)
}

fn libtorrent_gets_a_file_from_bip(folder: &Path) -> Result<(), Failure> {
    libtorrent_gets(&FILE, folder)
}

fn libtorrent_gets_a_folder_from_bip(folder: &Path) -> Result<(), Failure> {
    libtorrent_gets(&FOLDER, folder)
}

fn libtorrent_gets_many_small_files_from_bip(folder: &Path) -> Result<(), Failure> {
    libtorrent_gets(&CRUMBS, folder)
}

fn libtorrent_gets_256_mib_from_bip(folder: &Path) -> Result<(), Failure> {
    libtorrent_gets(&LARGE, folder)
}

fn bip_gets_from_a_seeder_that_dials_it(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FOLDER, folder)?;
    let listen = format!("{BIP}:0");
    let mut leecher = tool::start(&[&"get", &made.torrent, &"-d", &made.copy, &"--listen", &listen])?;
    let address = tool::listening(&mut leecher)?;
    let _seeder = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[&address])?;
    leecher.wait()?.expect_code(0)?;
    FOLDER.expect_equal(&made.original, &made.copy)
}

fn bip_seeds_to_a_leecher_that_it_dials(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FOLDER, folder)?;
    let mut leecher = Peer::leech(&made.torrent, &made.copy, LIBTORRENT, &[])?;
    let listen = format!("{BIP}:0");
    let args: tool::Args<'_> =
        &[&"seed", &made.torrent, &made.original, &"--listen", &listen, &"--peer", &leecher.address];
    let seeder = tool::start(args)?;
    leecher.wait_done()?;
    FOLDER.expect_equal(&made.original, &made.copy)?;
    seeder.stop()?.expect_code(0).map(drop)
}

fn bip_and_libtorrent_may_dial_each_other_at_once(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FOLDER, folder)?;
    let address = format!("{BIP}:6999");
    let seeder = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[&address])?;
    let args: tool::Args<'_> =
        &[&"get", &made.torrent, &"-d", &made.copy, &"--listen", &address, &"--peer", &seeder.address];
    tool::run(args)?;
    FOLDER.expect_equal(&made.original, &made.copy)
}

fn bip_gets_from_two_seeders(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FOLDER, folder)?;
    let one = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    let other = Peer::seed(&made.torrent, &made.original, THIRD, &[])?;
    tool::run(&[&"get", &made.torrent, &"-d", &made.copy, &"--peer", &one.address, &"--peer", &other.address])?;
    FOLDER.expect_equal(&made.original, &made.copy)
}

/// libtorrent to bip, to a second bip, to libtorrent.
fn bip_hands_on_what_it_got(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FOLDER, folder)?;
    let first = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    let mut addresses = vec![first.address.clone()];
    let mut between = Vec::new();
    for name in ["second", "third"] {
        let args: tool::Args<'_> = &[
            &"get",
            &made.torrent,
            &"-d",
            &folder.join(name),
            &"--listen",
            &format!("{BIP}:0"),
            &"--peer",
            &addresses[addresses.len() - 1],
            &"--seed",
        ];
        let mut bip = tool::start(args)?;
        addresses.push(tool::listening(&mut bip)?);
        between.push(bip);
    }
    let mut last = Peer::leech(&made.torrent, &made.copy, THIRD, &[&addresses[2]])?;
    last.wait_done()?;
    FOLDER.expect_equal(&made.original, &made.copy)?;
    for mut bip in between {
        if !bip.is_running() {
            return Err(bip.complain("ended although it should seed"));
        }
        bip.stop()?;
    }
    Ok(())
}

fn bip_gets_two_torrents_at_once(folder: &Path) -> Result<(), Failure> {
    let [one, other] = [prepare(&FOLDER, &folder.join("one"))?, prepare(&CRUMBS, &folder.join("other"))?];
    let first = Peer::seed(&one.torrent, &one.original, LIBTORRENT, &[])?;
    let second = Peer::seed(&other.torrent, &other.original, THIRD, &[])?;
    // Both peers are tried for both torrents, and each has one.
    let copy = folder.join("copy");
    let args: tool::Args<'_> =
        &[&"get", &one.torrent, &other.torrent, &"-d", &copy, &"--peer", &first.address, &"--peer", &second.address];
    tool::run(args)?;
    FOLDER.expect_equal(&one.original, &copy)?;
    CRUMBS.expect_equal(&other.original, &copy)
}

fn bip_seeds_two_torrents_at_once(folder: &Path) -> Result<(), Failure> {
    let original = folder.join("original");
    let torrents = ["one.torrent", "other.torrent"].map(|name| folder.join(name));
    for (tree, torrent) in [&FOLDER, &CRUMBS].into_iter().zip(&torrents) {
        tree.write(&original)?;
        tool::create(&tree.root(&original), torrent, tree.piece_length)?;
    }
    let listen = format!("{BIP}:0");
    let mut seeder = tool::start(&[&"seed", &torrents[0], &torrents[1], &original, &"--listen", &listen])?;
    let address = tool::listening(&mut seeder)?;
    let copy = folder.join("copy");
    let mut leechers = [
        Peer::leech(&torrents[0], &copy, LIBTORRENT, &[&address])?,
        Peer::leech(&torrents[1], &copy, THIRD, &[&address])?,
    ];
    for leecher in &mut leechers {
        leecher.wait_done()?;
    }
    FOLDER.expect_equal(&original, &copy)?;
    CRUMBS.expect_equal(&original, &copy)?;
    seeder.stop()?.expect_code(0).map(drop)
}

fn bip_listens_on_port_6881_or_the_next_free_one(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FILE, folder)?;
    let mut seeders = Vec::new();
    for port in [6881, 6882] {
        let mut seeder = tool::start(&[&"seed", &made.torrent, &made.original])?;
        let address = tool::listening(&mut seeder)?;
        if !address.ends_with(&format!(":{port}")) {
            return Err(seeder.complain(&format!("listens on {address}, not on port {port}")));
        }
        seeders.push(seeder);
        // Whatever family the listener is of, IPv4 reaches it.
        let copy = folder.join(format!("copy from {port}"));
        let mut leecher = Peer::leech(&made.torrent, &copy, LIBTORRENT, &[&format!("{BIP}:{port}")])?;
        leecher.wait_done()?;
        FILE.expect_equal(&made.original, &copy)?;
        fs::remove_dir_all(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    }
    libtorrent::expect_complete(&made.torrent, &made.original)
}
