//! How fast this build hashes: `cargo bench --bench sha1`, and again with `--features hw-hash`.
#![allow(clippy::disallowed_methods)] // a benchmark has a clock

use bip::proto::sha1::Sha1;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(300);

fn main() {
    let build = if cfg!(feature = "hw-hash") { "sha1 (hw-hash)" } else { "sha1_smol" };
    for (name, length) in [("64 B", 64), ("16 KiB", 16 << 10), ("1 MiB", 1 << 20)] {
        let bytes = vec![0x5a; length];
        let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(&bytes)).collect();
        rates.sort_by(f64::total_cmp);
        let median = rates.get(ROUNDS / 2).copied().unwrap_or_default();
        println!("{build}, {name}: {median:.3} GB/s");
    }
}

fn rate(bytes: &[u8]) -> f64 {
    let start = Instant::now();
    let mut hashed = 0u64;
    while start.elapsed() < ROUND {
        for _ in 0..(1 << 20) / bytes.len() {
            black_box(Sha1::digest(black_box(bytes)));
            hashed += bytes.len() as u64;
        }
    }
    hashed as f64 / start.elapsed().as_secs_f64() / 1e9
}
