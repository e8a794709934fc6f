//! transmission-daemon, which takes torrents from a folder that it watches, and its peers from a tracker.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::namespace::TRANSMISSION;
use crate::process::{Failure, Running, in_utf8};

/// Where it listens for peers.
const PORT: u16 = 51413;

/// Starts a daemon of its own that has, or gets, a torrent's contents in `folder`. It checks what is there first.
///
/// `state` is a new folder for what it keeps besides. It announces itself to the torrent's tracker.
pub(crate) fn start(torrent: &Path, folder: &Path, state: &Path) -> Result<Running, Failure> {
    start_at(torrent, folder, state, [TRANSMISSION, "::1"])
}

/// The same at addresses of both families. It asks a tracker from the first one, whatever the tracker's family, unless that is any address.
pub(crate) fn start_at(torrent: &Path, folder: &Path, state: &Path, hosts: [&str; 2]) -> Result<Running, Failure> {
    let watched = state.join("watched");
    for path in [&watched, folder] {
        fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let settings = json!({
        "bind-address-ipv4": hosts[0],
        "bind-address-ipv6": hosts[1],
        "peer-port": PORT,
        "peer-port-random-on-start": false,
        "port-forwarding-enabled": false,
        "dht-enabled": false,
        "lpd-enabled": false,
        "pex-enabled": false,
        "utp-enabled": false,
        // Plain where the other side is.
        "encryption": 0,
        "rpc-enabled": false,
        "blocklist-enabled": false,
        "download-dir": folder,
        "incomplete-dir-enabled": false,
        "rename-partial-files": false,
        "start-added-torrents": true,
        "trash-original-torrent-files": false,
        "watch-dir": &watched,
        "watch-dir-enabled": true,
        "ratio-limit-enabled": false,
        "idle-seeding-limit-enabled": false,
        "speed-limit-up-enabled": false,
        "speed-limit-down-enabled": false,
        "download-queue-enabled": false,
        "seed-queue-enabled": false,
        "message-level": 3,
    });
    let path = state.join("settings.json");
    fs::write(&path, settings.to_string()).map_err(|error| format!("{}: {error}", path.display()))?;
    let added = watched.join("added.torrent");
    fs::copy(torrent, &added).map_err(|error| format!("{}: {error}", added.display()))?;
    let mut command = Command::new("transmission-daemon");
    Running::start("transmission-daemon", in_utf8(command.arg("--foreground").arg("--config-dir").arg(state)))
}

/// Its address for others.
pub(crate) fn address() -> String {
    format!("{TRANSMISSION}:{PORT}")
}
