//! Rate limits: only that they hold, for how much less than it may use a busy machine gets is up to the machine.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::Need::{self, Libtorrent, Namespace};
use crate::libtorrent::Peer;
use crate::namespace::{BIP, LIBTORRENT, THIRD};
use crate::process::Failure;
use crate::tool;
use crate::tree::BRANCHES as TREE;

const NEEDS: &[Need] = &[Namespace, Libtorrent];

crate::harness::tests! {
    a_get_receives_no_faster_than_its_limit: NEEDS,
    a_seed_sends_no_faster_than_its_limit: NEEDS,
    two_leechers_share_the_limit_of_a_seed: NEEDS,
}

/// The limit, in bytes a second, and as the tool is told.
const RATE: u64 = 2 << 20;
const SAID: &str = "2M";

/// Fails if `bytes` came in less time than they must take, but for a burst in the beginning.
fn expect_held(bytes: u64, took: Duration) -> Result<(), Failure> {
    let took = took.as_secs_f64();
    let measured = bytes as f64 / took;
    let share = measured / RATE as f64;
    println!("{:.2} MiB/s, {:.0} % of the limit", measured / f64::from(1 << 20), share * 100.0);
    if share <= 1.25 { Ok(()) } else { Err(format!("{bytes} bytes took {took:.2} s: {share:.2} times the limit")) }
}

fn a_get_receives_no_faster_than_its_limit(folder: &Path) -> Result<(), Failure> {
    let made = tool::prepare(&TREE, folder)?;
    let seeder = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    let began = Instant::now();
    tool::run(&[&"get", &made.torrent, &"-d", &made.copy, &"--down", &SAID, &"--peer", &seeder.address])?;
    expect_held(TREE.length(), began.elapsed())?;
    TREE.expect_equal(&made.original, &made.copy)
}

/// As many leechers as `hosts` get all from one `bip seed --up`.
fn expect_shared(folder: &Path, hosts: &[&str]) -> Result<(), Failure> {
    let made = tool::prepare(&TREE, folder)?;
    let listen = format!("{BIP}:0");
    let mut seeder = tool::start(&[&"seed", &made.torrent, &made.original, &"--up", &SAID, &"--listen", &listen])?;
    let address = tool::listening(&mut seeder)?;
    let copies: Vec<_> = hosts.iter().map(|host| folder.join(format!("copy at {host}"))).collect();
    let (mut leechers, mut began) = (Vec::new(), None);
    for (host, copy) in hosts.iter().zip(&copies) {
        leechers.push(Peer::leech(&made.torrent, copy, host, &[&address])?);
        // The first one has not dialled before it was ready.
        began.get_or_insert_with(Instant::now);
    }
    for leecher in &mut leechers {
        leecher.wait_done()?;
    }
    let took = began.map_or(Duration::ZERO, |began| began.elapsed());
    expect_held(hosts.len() as u64 * TREE.length(), took)?;
    for copy in &copies {
        TREE.expect_equal(&made.original, copy)?;
    }
    seeder.stop()?.expect_code(0).map(drop)
}

fn a_seed_sends_no_faster_than_its_limit(folder: &Path) -> Result<(), Failure> {
    expect_shared(folder, &[LIBTORRENT])
}

fn two_leechers_share_the_limit_of_a_seed(folder: &Path) -> Result<(), Failure> {
    expect_shared(folder, &[LIBTORRENT, THIRD])
}
