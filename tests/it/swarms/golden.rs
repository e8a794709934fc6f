//! The table of figures that the repository keeps.

use super::figures::Figures;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

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

/// Tests run side by side and write the same file.
static FILE: Mutex<()> = Mutex::new(());

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/swarms/golden.txt")
}

fn columns() -> String {
    format!(
        "{:<24} {:>4} {:>8} {:>6} {:>6} {:>6} {:>9} {:>7} {:>6} {:>6} {:>6} {:>9}",
        "scenario", "seed", "bound", "mean", "p95", "max", "redundant", "wasted", "reread", "jain", "riders", "bans"
    )
}

fn read() -> BTreeMap<String, String> {
    let text = fs::read_to_string(path()).unwrap_or_default();
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("scenario "));
    rows.filter_map(|row| Some((row.get(..29)?.to_owned(), row.to_owned()))).collect()
}

/// Compares a scenario's figures with the table, or writes them into it.
pub(super) fn compare(name: &str, seed: u64, figures: &Figures) {
    let key = format!("{name:<24} {seed:>4}");
    let row = format!("{key} {figures}");
    let _one = FILE.lock().unwrap_or_else(|broken| broken.into_inner());
    let mut rows = read();
    let known = rows.insert(key, row.clone());
    if std::env::var("BIP_GOLDEN").is_ok_and(|mode| mode == "write") {
        let rows: String = rows.values().map(|row| format!("{row}\n")).collect();
        fs::write(path(), format!("{HEAD}{}\n{rows}", columns())).unwrap();
        return;
    }
    assert!(
        known.as_ref() == Some(&row),
        "the figures have changed; if that is meant, write the table with BIP_GOLDEN=write\n{}\nwas {}\nis  {row}",
        columns(),
        known.unwrap_or_default()
    );
}
