//! aria2, which takes its peers from a tracker.

use std::path::Path;
use std::process::Command;

use crate::namespace::ARIA2;
use crate::process::{Failure, Running, in_utf8};

/// Where it listens for peers.
const PORT: u16 = 6890;

/// What it must not do here: read the user's settings, talk to anybody but the tracker and peers, encrypt.
const PLAIN: [&str; 8] = [
    "--no-conf=true",
    "--async-dns=false",
    "--disable-ipv6=true",
    "--bt-enable-lpd=false",
    "--enable-peer-exchange=false",
    "--bt-require-crypto=false",
    "--bt-min-crypto-level=plain",
    "--file-allocation=none",
];

/// Starts an aria2 that has, or gets, a torrent's contents in `folder`, and then seeds. It checks what is there first.
///
/// It announces itself to the torrent's tracker.
pub(crate) fn start(torrent: &Path, folder: &Path) -> Result<Running, Failure> {
    start_with(torrent, folder, &["--enable-dht=false".to_owned()])
}

/// The same, for a tracker over UDP: it asks such a one from the socket of its DHT alone, of which nobody tells it here.
pub(crate) fn start_over_udp(torrent: &Path, folder: &Path, state: &Path) -> Result<Running, Failure> {
    let kept = format!("--dht-file-path={}", state.join("aria2's DHT").display());
    start_with(torrent, folder, &["--enable-dht=true".to_owned(), format!("--dht-listen-port={PORT}"), kept])
}

fn start_with(torrent: &Path, folder: &Path, more: &[String]) -> Result<Running, Failure> {
    let mut command = Command::new("aria2c");
    command.args(more);
    command.args(PLAIN).args(["--check-integrity=true", "--seed-ratio=0.0", "--bt-max-peers=0"]);
    // On the disk at once.
    command.args(["--disk-cache=0", "--show-console-readout=false", "--log=-", "--log-level=info"]);
    command.arg(format!("--interface={ARIA2}")).arg(format!("--listen-port={PORT}"));
    command.arg("--dir").arg(folder).arg(torrent);
    Running::start("aria2c", in_utf8(&mut command))
}

/// Its address for others.
pub(crate) fn address() -> String {
    format!("{ARIA2}:{PORT}")
}
