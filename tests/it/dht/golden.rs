//! The table of figures that the repository keeps.

use super::figures::Figures;
use crate::golden::Golden;

const HEAD: &str = "\
# What lookups in simulated networks achieve. Made by the tests of `tests/it/dht`: `BIP_GOLDEN=write cargo test -p bip-torrent --test it dht::`.
# The rows of 10,000 nodes: `BIP_GOLDEN=write cargo test --release -p bip-torrent --test it dht::ten_thousand -- --ignored`.
# A change of the node changes figures: write the table anew and look at the difference before you keep it.
#
# nodes   in the network, with latencies of 10 to 130 ms from one to another
# churn   nodes that are replaced by others in a quarter of an hour, in percent
# loss    datagrams that are lost, of a thousand
# found   searches that found the peer that was announced a minute or more before by another, in percent
# first   milliseconds to the first peers, the median and the 95th percentile; end: to the end of the search
# asked   queries of a search, the mean and the 95th percentile; hops: the mean of the longest way to one of the nearest
# stored  nodes that took an announcement down, of 8, the mean
# table   nodes in a routing table, the mean; idle: datagrams that a node sends in a minute when nobody asks it for anything
# memory  KiB that a node takes, as it says, the mean, rounded up to the next 16; 48 of them count who asked how much
#
";

fn columns() -> String {
    format!(
        "{:>6} {:>5} {:>4} {:>4} {:>7} {:>6} {:>6} {:>6} {:>6} {:>6} {:>5} {:>5} {:>6} {:>6} {:>6} {:>6}",
        "nodes",
        "churn",
        "loss",
        "seed",
        "found",
        "first",
        "p95",
        "end",
        "p95",
        "asked",
        "p95",
        "hops",
        "stored",
        "table",
        "idle",
        "memory"
    )
}

/// Compares figures with the table, or writes them into it.
pub(super) fn compare(nodes: usize, churn: u32, loss: u32, seed: u64, figures: &Figures) {
    let key = format!("{nodes:>6} {churn:>5} {loss:>4} {seed:>4}");
    Golden { file: "dht/golden.txt", head: HEAD, columns: columns(), key: 22 }.compare(key, figures);
}
