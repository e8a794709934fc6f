//! Interop: the `bip` tool against BitTorrent software that other people wrote.
//!
//! libtorrent (through its Python package) seeds, leeches, checks, creates and inspects; transmission-create,
//! transmission-show and mktorrent make and read torrents; libtorrent, the `mainline` crate and bittorrent-dht are nodes
//! of the DHT; opentracker and bittorrent-tracker are trackers. All meet in a network namespace that the run makes for itself, so nothing reaches the machine's network and no port can be taken.
//!
//! This target has its own harness, because libtest cannot say *ignored* at run time: a test whose programs are not
//! installed is shown as ignored with the reason. `BIP_INTEROP=required` makes that a failure, and `BIP_INTEROP=off`
//! ignores everything. CONTRIBUTING.md says what to install.

#[cfg(target_os = "linux")]
mod aria2;
#[cfg(target_os = "linux")]
mod dht;
#[cfg(target_os = "linux")]
mod fleet;
#[cfg(target_os = "linux")]
mod harness;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod kill;
#[cfg(target_os = "linux")]
mod liars;
#[cfg(target_os = "linux")]
mod libtorrent;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod meeting;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod nodes;
#[cfg(target_os = "linux")]
mod others;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod resume;
#[cfg(target_os = "linux")]
mod room;
#[cfg(target_os = "linux")]
mod selection;
#[cfg(target_os = "linux")]
mod swarm;
#[cfg(target_os = "linux")]
mod tool;
#[cfg(target_os = "linux")]
mod torrents;
#[cfg(target_os = "linux")]
mod tracker;
#[cfg(target_os = "linux")]
mod tracker_client;
#[cfg(target_os = "linux")]
mod transfer;
#[cfg(target_os = "linux")]
mod transmission;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod versions;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    // Those that wait for timers first, so that the others run beside them.
    harness::run(
        [
            kill::TESTS,
            dht::TESTS,
            tracker_client::TESTS,
            hostile::TESTS,
            swarm::TESTS,
            others::TESTS,
            meeting::TESTS,
            liars::TESTS,
            limits::TESTS,
            room::TESTS,
            selection::TESTS,
            resume::TESTS,
            transfer::TESTS,
            torrents::TESTS,
            versions::TESTS,
        ]
        .concat(),
    )
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("test interop ... ignored, the tests need Linux network namespaces");
}
