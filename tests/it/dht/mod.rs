//! Networks of DHT nodes on virtual time: hundreds in the ordinary tests, ten thousand in the ignored one.
//!
//! The nodes are the real ones (`net.rs` hosts them in their seats, `town.rs` has them come and go, announce and search). What must hold whatever
//! happens is watched at every datagram (`watch.rs`): budgets of queries and of bytes of answers, the length of replies; and now and then of
//! all nodes: tables have nobody in them who did not answer, nor the node itself, and queries under way stay below their limit.
//!
//! What lookups achieve, by size of the network, churn and loss, is compared with `golden.txt`, which says how to read it. After a change
//! that is meant, `BIP_GOLDEN=write cargo test -p bip-torrent --test it dht::` writes it anew.
//!
//! Each scenario runs with several seeds; a failure prints the command that replays it. More: `BIP_SEEDS=100`, which stands for the number of
//! each. Ten thousand nodes: `cargo test --release -p bip-torrent --test it dht::ten_thousand -- --ignored --nocapture`.

mod attacks;
mod families;
mod figures;
mod golden;
mod lookups;
mod net;
mod outages;
mod seat;
mod town;
mod watch;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Plays a scenario with some seeds, or with the one that `BIP_SEED` names.
fn with_seeds(test: &str, seeds: u64, play: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let seeds = number("BIP_SEEDS").unwrap_or(seeds);
    for seed in number("BIP_SEED").map_or(0..seeds, |seed| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| play(seed));
        assert!(run.is_ok(), "replay with: BIP_SEED={seed} cargo test -p bip-torrent --test it {test}");
    }
}

#[test]
#[ignore = "two minutes in the release profile: see the front page"]
fn ten_thousand_nodes_find_what_was_announced() {
    let began = std::time::Instant::now();
    let before = memory();
    lookups::row(10_000, 0, 0, 0);
    println!(
        "in {:.0} s; {} KiB for a node and what is on its way to it",
        began.elapsed().as_secs_f64(),
        (peak() - before) / 10_000
    );
}

/// KiB of memory that this process has, of which other tests run beside may have a part.
fn memory() -> u64 {
    status("VmRSS:")
}

/// The most that it had.
fn peak() -> u64 {
    status("VmHWM:")
}

fn status(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
