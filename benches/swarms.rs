//! What a million peers in ten thousand torrents take: memory, the time of an announce, and how long the search for those who are over holds up an answer.
//!
//! `taskset -c 0 cargo bench -p bip-torrent --bench swarms`
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a benchmark has a clock

use bip::machine::{self, Rng, Secret};
use bip::proto::id::InfoHash;
use bip::tracker::server::{Announcement, Drawn, SwarmLimits, Swarms};
use std::time::{Duration, Instant};

const TORRENTS: u32 = 10_000;
const PEERS: u32 = 1_000_000;
/// How many are looked at in one call: what a server asks for.
const SLICE: usize = 2_048;

/// Memory of the process in bytes, as Linux counts it.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kib| kib * 1024.0)
}

fn asked(peer: u32, want: usize) -> Announcement {
    let mut info_hash = InfoHash([0; 20]);
    info_hash.0[..4].copy_from_slice(&(peer % TORRENTS).to_be_bytes());
    let ip = std::net::Ipv4Addr::from(0x0b00_0000 + peer / 7);
    Announcement { seed: peer % 3 == 0, want, ..Announcement::new(info_hash, (ip, (peer % 7 + 1) as u16).into()) }
}

fn main() {
    let swarms = Swarms::new(SwarmLimits::default(), &Secret::new([7; 32]));
    let (mut rng, mut drawn) = (Rng::new(1), Drawn::default());
    let mut now = machine::Instant::ZERO;
    let before = resident();

    let begin = Instant::now();
    for peer in 0..PEERS {
        swarms.announce(now, &asked(peer, 0), &mut rng, &mut drawn).unwrap();
    }
    let each = begin.elapsed() / PEERS;
    println!("{} peers in {} torrents, {each:?} each to take down", swarms.tally().peers(), swarms.tally().torrents);
    println!("{:.1} bytes a peer as counted", swarms.bytes() as f64 / f64::from(PEERS));
    if let (Some(before), Some(after)) = (before, resident()) {
        println!("{:.1} bytes a peer of the process", (after - before) / f64::from(PEERS));
    }

    // In an order that no cache foresees.
    let mut order: Vec<u32> = (0..PEERS).collect();
    rng.shuffle(&mut order);
    for want in [0, 30, 200] {
        let begin = Instant::now();
        for peer in &order {
            swarms.announce(now, &asked(*peer, want), &mut rng, &mut drawn).unwrap();
        }
        println!("{:?} to answer an announce that wants {want}", begin.elapsed() / PEERS);
    }

    // Half of them stay.
    now += Duration::from_secs(40 * 60);
    for peer in (0..PEERS).filter(|peer| peer / TORRENTS % 2 == 0) {
        swarms.announce(now, &asked(peer, 0), &mut rng, &mut drawn).unwrap();
    }
    now += Duration::from_secs(6 * 60);
    let (mut longest, mut all, mut calls) = (Duration::ZERO, Duration::ZERO, 0);
    while swarms.tally().peers() > PEERS as usize / 2 {
        let begin = Instant::now();
        swarms.sweep(now, SLICE);
        let took = begin.elapsed();
        (longest, all, calls) = (longest.max(took), all + took, calls + 1);
    }
    println!("half of them taken out in {calls} calls, {all:?} in all, {longest:?} the longest");
    now += Duration::from_secs(3_600);
    let (mut longest, mut all, mut calls) = (Duration::ZERO, Duration::ZERO, 0);
    while !swarms.is_empty() {
        let begin = Instant::now();
        swarms.sweep(now, SLICE);
        let took = begin.elapsed();
        (longest, all, calls) = (longest.max(took), all + took, calls + 1);
    }
    println!("the other half and the torrents in {calls} calls, {all:?} in all, {longest:?} the longest");
}
