//! Clients that other people wrote meet through `bip tracker`: they know of nothing else.

use std::path::Path;

use serde_json::Value;

use crate::aria2;
use crate::harness::Need::{self, Libtorrent, Namespace, Program};
use crate::libtorrent::Peer;
use crate::namespace::{self, LIBTORRENT, THIRD, TRACKER};
use crate::process::{Failure, Running};
use crate::tool;
use crate::transmission;
use crate::tree::{FOLDER, Tree};

const ALL: &[Need] = &[Namespace, Libtorrent, Program("transmission-daemon"), Program("aria2c")];
const OVER_IPV6: &[Need] = &[Namespace, Libtorrent, Program("transmission-daemon")];

crate::harness::tests! {
    libtorrent_transmission_and_aria2_meet_through_a_bip_tracker_over_udp: ALL,
    libtorrent_transmission_and_aria2_meet_through_a_bip_tracker_over_http: ALL,
    those_of_libtorrent_meet_through_a_bip_tracker_over_udp_and_ipv6: &[Namespace, Libtorrent],
    libtorrent_and_transmission_meet_through_a_bip_tracker_over_http_and_ipv6: OVER_IPV6,
}

/// What all of them share.
const TREE: &Tree = &FOLDER;

/// A `bip tracker` that runs beside the test.
struct Tracker {
    running: Running,
    url: String,
}

impl Tracker {
    /// Starts one that answers over UDP, or else over HTTP.
    fn start(host: &str, udp: bool) -> Result<Tracker, Failure> {
        let address = format!("{host}:6969");
        let over = if udp { "--udp" } else { "--http" };
        let mut running = tool::start(&[&"tracker", &over, &address, &"--json"])?;
        running.wait_line("ready", |line| line.contains("\"ready\"").then_some(()))?;
        let url = if udp { format!("udp://{address}/announce") } else { format!("http://{address}/announce") };
        Ok(Tracker { running, url })
    }

    /// Waits until so many are in the swarm, of which so many have everything.
    fn wait(&mut self, peers: u64, seeds: u64) -> Result<(), Failure> {
        self.running.wait_line(&format!("{peers} peers, {seeds} of them seeds"), |line| {
            let figures: Value = serde_json::from_str(line).ok()?;
            (figures["peers"] == peers && figures["seeds"] == seeds).then_some(())
        })
    }

    fn end(self) -> Result<(), Failure> {
        self.running.stop()?.expect_code(0).map(drop)
    }
}

/// One of libtorrent seeds; the others have nothing but the torrent, and its tracker.
fn meet(tracker: &mut Tracker, hosts: [&str; 2], others: &[Other], folder: &Path) -> Result<(), Failure> {
    let (original, torrent) = (folder.join("original"), folder.join("with a tracker.torrent"));
    TREE.write(&original)?;
    tool::create_with_tracker(&TREE.root(&original), &torrent, TREE.piece_length, &tracker.url)?;
    let seeder = Peer::seed_announced(&torrent, &original, hosts[0])?;
    tracker.wait(1, 1)?;
    let mut leecher = Peer::leech_announced(&torrent, &folder.join("copy"), hosts[1])?;
    let mut daemons = Vec::new();
    for other in others {
        daemons.push((other, other.start(&torrent, folder)?));
    }
    leecher.wait_done()?;
    let all = 2 + others.len() as u64;
    tracker.wait(all, all).map_err(|failure| {
        let said: Vec<_> = daemons.iter().map(|(_, daemon)| daemon.complain("was waited for")).collect();
        format!("{failure}\n{}", said.join("\n"))
    })?;
    for (other, daemon) in daemons {
        daemon.stop()?.expect_code(0)?;
        match other {
            Other::Aria2 | Other::Aria2OverUdp => TREE.expect_equal(&original, &folder.join(other.copy()))?,
            Other::Transmission | Other::TransmissionAt(_) => {
                TREE.expect_equal_but_for_empty_files(&original, &folder.join(other.copy()))?;
            }
        }
    }
    leecher.stop()?;
    TREE.expect_equal(&original, &folder.join("copy"))?;
    seeder.stop()?;
    // Those of libtorrent tell the tracker over HTTP that they leave; the others do not when they have just been there.
    if tracker.url.starts_with("http") { tracker.wait(all - 2, all - 2) } else { Ok(()) }
}

/// Who else leeches.
enum Other {
    Transmission,
    /// With an IPv6 address to be reached at.
    TransmissionAt(&'static str),
    Aria2,
    Aria2OverUdp,
}

impl Other {
    /// Where it puts what it gets.
    fn copy(&self) -> &'static str {
        match self {
            Other::Transmission | Other::TransmissionAt(_) => "transmission's copy",
            Other::Aria2 | Other::Aria2OverUdp => "aria2's copy",
        }
    }

    fn start(&self, torrent: &Path, folder: &Path) -> Result<Running, Failure> {
        let (copy, state) = (folder.join(self.copy()), folder.join("state"));
        match self {
            Other::Transmission => transmission::start(torrent, &copy, &state),
            Other::TransmissionAt(host) => transmission::start_at(torrent, &copy, &state, ["0.0.0.0", host]),
            Other::Aria2 => aria2::start(torrent, &copy),
            Other::Aria2OverUdp => aria2::start_over_udp(torrent, &copy, folder),
        }
    }
}

fn meet_over_ipv4(udp: bool, folder: &Path) -> Result<(), Failure> {
    let mut tracker = Tracker::start(TRACKER, udp)?;
    let aria2 = if udp { Other::Aria2OverUdp } else { Other::Aria2 };
    meet(&mut tracker, [LIBTORRENT, THIRD], &[Other::Transmission, aria2], folder)?;
    tracker.end()
}

fn meet_over_ipv6(udp: bool, folder: &Path) -> Result<(), Failure> {
    let hosts = ["fd77::2", "fd77::3", "fd77::5", "fd77::7"];
    namespace::add(&hosts)?;
    let mut tracker = Tracker::start("[fd77::7]", udp)?;
    // transmission 3.00 does not ask a tracker over UDP whose URL has an IPv6 address.
    let others: &[Other] = if udp { &[] } else { &[Other::TransmissionAt("fd77::5")] };
    meet(&mut tracker, ["[fd77::2]", "[fd77::3]"], others, folder)?;
    tracker.end()
}

fn libtorrent_transmission_and_aria2_meet_through_a_bip_tracker_over_udp(folder: &Path) -> Result<(), Failure> {
    meet_over_ipv4(true, folder)
}

fn libtorrent_transmission_and_aria2_meet_through_a_bip_tracker_over_http(folder: &Path) -> Result<(), Failure> {
    meet_over_ipv4(false, folder)
}

fn those_of_libtorrent_meet_through_a_bip_tracker_over_udp_and_ipv6(folder: &Path) -> Result<(), Failure> {
    meet_over_ipv6(true, folder)
}

fn libtorrent_and_transmission_meet_through_a_bip_tracker_over_http_and_ipv6(folder: &Path) -> Result<(), Failure> {
    meet_over_ipv6(false, folder)
}
