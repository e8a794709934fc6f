//! The table of figures that the repository keeps.

use super::figures::Figures;
use crate::golden::Golden;

const HEAD: &str = "\
# What simulated swarms achieve. Made by the tests of `tests/it/swarms`: `BIP_GOLDEN=write cargo test -p bip-torrent --test it swarms`.
# A change of the machines changes figures: write the table anew and look at the difference before you keep it.
#
# bound   the least time in seconds in which all leechers can be done if all came at once: max(F/us, F/dmin, L*F/(us+sum ui))
# mean, p95, max   the times of those who contribute, over the bound: 1 is perfect, and a mean below 1.5 is good
# redundant   blocks that were there already when they came, in percent of all that came
# wasted      what else came in vain (of pieces with a wrong hash, or cut off in the middle), in percent
# reread      blocks that came before an earlier one of their piece, in percent: a store reads them back to hash the piece
# jain    Jain's index of download rate over the own uplink's rate, of those who contribute: 1 is even
# riders  the mean time of free riders over that of those who contribute: above 1 they come last
# bans    liars that were banned / members that took a wrong block of a liar, counted in pairs
#
";

fn columns() -> String {
    format!(
        "{:<24} {:>4} {:>8} {:>6} {:>6} {:>6} {:>9} {:>7} {:>6} {:>6} {:>6} {:>9}",
        "scenario", "seed", "bound", "mean", "p95", "max", "redundant", "wasted", "reread", "jain", "riders", "bans"
    )
}

/// Compares a scenario's figures with the table, or writes them into it.
pub(super) fn compare(name: &str, seed: u64, figures: &Figures) {
    let key = format!("{name:<24} {seed:>4}");
    Golden { file: "swarms/golden.txt", head: HEAD, columns: columns(), key: 29 }.compare(key, figures);
}
