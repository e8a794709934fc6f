//! How long it takes to read a big torrent file, and how much memory is kept: `cargo bench --bench metainfo`, and again with
//! `--features hw-hash`.
#![allow(clippy::disallowed_methods)] // a benchmark has a clock, and reads what the system says of memory

use bip::proto::metainfo::{Builder, Limits, Metainfo, Names};
use bip::proto::sha1::Sha1;
use std::hint::black_box;
use std::time::{Duration, Instant};

const PIECES: u64 = 100_000;
const FILES: u64 = 20_000;
const PIECE_LENGTH: u32 = 1 << 20;
const ROUND: Duration = Duration::from_secs(2);

fn main() {
    let torrent = torrent();
    let megabytes = torrent.len() as f64 / 1e6;
    println!("{PIECES} pieces, {FILES} files, {megabytes:.2} MB");
    let kept = memory(|| Metainfo::parse(&torrent, &Limits::default()));
    println!("memory kept: {:.2} MB, {:.2} of the file", kept / 1e6, kept / torrent.len() as f64);
    let (median, least) = times(|| {
        black_box(Sha1::digest(black_box(&torrent)));
    });
    println!("SHA-1 of as many bytes, which is part of it: {median:.3} ms, at best {least:.3} ms");
    for (name, names) in [("host", Names::Host), ("portable", Names::Portable)] {
        let limits = Limits { names, ..Limits::default() };
        let (median, least) = times(|| drop(black_box(Metainfo::parse(black_box(&torrent), &limits))));
        println!("names {name}: {median:.3} ms, at best {least:.3} ms");
    }
}

fn torrent() -> Vec<u8> {
    let mut builder = Builder::multi_file("a torrent of many files").piece_length(PIECE_LENGTH);
    let length = PIECES * u64::from(PIECE_LENGTH) / FILES;
    for file in 0..FILES {
        let folder = format!("folder {:03}", file / 100);
        builder = builder.file([folder, format!("file number {file:05}.dat")], length);
    }
    let hash = |piece: u64| std::array::from_fn(|byte| (piece.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> byte) as u8);
    builder.piece_hashes((0..PIECES).map(hash)).build().expect("a sound description")
}

/// Gives the median and the least of many runs, in milliseconds.
fn times(mut run: impl FnMut()) -> (f64, f64) {
    let end = Instant::now() + ROUND;
    let mut all = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        run();
        all.push(start.elapsed().as_secs_f64() * 1e3);
    }
    all.sort_by(f64::total_cmp);
    (all.get(all.len() / 2).copied().unwrap_or_default(), all.first().copied().unwrap_or_default())
}

/// Gives how many bytes more the process has in memory for each of many results that are kept.
fn memory<T>(make: impl Fn() -> T) -> f64 {
    const KEPT: usize = 20;
    // What was allocated and given back before is there again for the next.
    drop(black_box(make()));
    let before = resident();
    let kept: Vec<T> = (0..KEPT).map(|_| make()).collect();
    let after = resident();
    drop(black_box(kept));
    (after - before) / KEPT as f64
}

/// Gives the memory of this process in bytes; 0 where the system does not say.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).map_or(0.0, |pages| pages * 4096.0)
}
