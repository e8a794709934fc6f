//! A swarm of everybody: two of ours, two libtorrents, transmission-daemon and aria2.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::aria2;
use crate::harness::Need::{self, Libtorrent, Namespace, Program};
use crate::libtorrent::Peer;
use crate::namespace::{ARIA2, BIP, LIBTORRENT, SECOND_BIP, THIRD, TRANSMISSION};
use crate::process::{Failure, Running};
use crate::tool;
use crate::tracker::{self, Tracker};
use crate::transmission;
use crate::tree::{FOLDER, Tree};

const NEEDS: &[Need] = &[Namespace, Libtorrent, Program("python3"), Program("transmission-daemon"), Program("aria2c")];

crate::harness::tests! {
    six_that_each_have_another_part_end_with_everything: NEEDS,
}

const TREE: Tree = FOLDER;

/// The others; ours come after them.
const OTHERS: [&str; 4] = [LIBTORRENT, THIRD, TRANSMISSION, ARIA2];

/// Who has which part: of `members`, one has every piece with a number of its own modulo their number.
struct Parts {
    members: u64,
}

impl Parts {
    fn write(&self, member: u64, folder: &Path) -> Result<(), Failure> {
        TREE.write_some(folder, |piece| piece % self.members == member)
    }

    fn pieces(&self, member: u64) -> u64 {
        (0..TREE.pieces()).filter(|piece| piece % self.members == member).count() as u64
    }

    /// What a member lacks, in bytes.
    fn lacks(&self, member: u64) -> u64 {
        (0..TREE.pieces()).filter(|piece| piece % self.members != member).map(|piece| TREE.length_of(piece)).sum()
    }
}

/// The others, at work.
struct Others {
    tracker: Tracker,
    libtorrents: [Peer; 2],
    daemons: [Running; 2],
}

impl Others {
    fn start(torrent: &Path, folders: &[PathBuf], state: &Path, ours: &[&str]) -> Result<Others, Failure> {
        let (transmission, aria2) = (transmission::address(), aria2::address());
        let tracker = Tracker::start(&[ours, &[transmission.as_str(), aria2.as_str()]].concat())?;
        let libtorrents = [
            Peer::leech_announced(torrent, &folders[0], LIBTORRENT)?,
            Peer::leech_announced(torrent, &folders[1], THIRD)?,
        ];
        let daemons = [transmission::start(torrent, &folders[2], state)?, aria2::start(torrent, &folders[3])?];
        Ok(Others { tracker, libtorrents, daemons })
    }

    /// Waits until all have everything, each having begun with its part.
    fn wait_complete(&mut self, parts: &Parts) -> Result<(), Failure> {
        for (member, host) in (0..).zip(OTHERS) {
            let (lacked, expected) = (self.tracker.wait_first(host)?, parts.lacks(member));
            if lacked != expected {
                return Err(format!("{host} began without {lacked} bytes, not without {expected}"));
            }
        }
        for peer in &mut self.libtorrents {
            peer.wait_done()?;
        }
        for host in [TRANSMISSION, ARIA2] {
            self.tracker.wait_complete(host)?;
        }
        Ok(())
    }

    /// What the two that say little by themselves have written.
    fn complain(&self) -> String {
        self.daemons.each_ref().map(|daemon| daemon.complain("was in the swarm")).join("\n")
    }

    /// Ends them, which brings all that they have to the disk.
    fn stop(self) -> Result<(), Failure> {
        for peer in self.libtorrents {
            peer.stop()?;
        }
        for daemon in self.daemons {
            daemon.stop()?.expect_code(0)?;
        }
        Ok(())
    }
}

/// Waits for an event of a tool with `--json`.
fn wait_event(bip: &mut Running, kind: &str) -> Result<Value, Failure> {
    bip.wait_line(kind, |line| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["event"] == kind).then_some(event)
    })
}

/// Makes the folders of as many members, the torrent, and the original.
fn prepare(folder: &Path, parts: &Parts) -> Result<(PathBuf, PathBuf, Vec<PathBuf>), Failure> {
    let (original, torrent) = (folder.join("original"), folder.join("swarm.torrent"));
    TREE.write(&original)?;
    tool::create_with_tracker(&TREE.root(&original), &torrent, TREE.piece_length, tracker::URL)?;
    let folders: Vec<PathBuf> = (0..parts.members).map(|member| folder.join(format!("member {member}"))).collect();
    for (member, folder) in (0..).zip(&folders) {
        parts.write(member, folder)?;
    }
    Ok((original, torrent, folders))
}

fn six_that_each_have_another_part_end_with_everything(folder: &Path) -> Result<(), Failure> {
    let parts = Parts { members: 6 };
    let (original, torrent, folders) = prepare(folder, &parts)?;
    let ours = [BIP, SECOND_BIP].map(|host| format!("{host}:6881"));
    let mut others = Others::start(&torrent, &folders, &folder.join("state"), &[&ours[0], &ours[1]])?;
    let mut peers: Vec<String> = vec![transmission::address(), aria2::address()];
    peers.extend(others.libtorrents.iter().map(|peer| peer.address.clone()));
    peers.extend(ours.clone());
    let mut bips = Vec::new();
    for (member, listen) in (4..).zip(&ours) {
        let copy = &folders[member as usize];
        let mut args: Vec<&dyn AsRef<OsStr>> =
            vec![&"get", &torrent, &"-d", copy, &"--json", &"--seed", &"-vv", &"--listen", listen];
        for peer in peers.iter().filter(|peer| *peer != listen) {
            args.extend([&"--peer" as &dyn AsRef<OsStr>, peer]);
        }
        let mut bip = tool::start(&args)?;
        let checked = wait_event(&mut bip, "checked")?;
        if checked["pieces_done"] != parts.pieces(member) {
            return Err(bip.complain(&format!("did not begin with its {} pieces", parts.pieces(member))));
        }
        bips.push(bip);
    }
    for bip in &mut bips {
        wait_event(bip, "completed").map_err(|failure| format!("{failure}\n{}", others.complain()))?;
    }
    let waited = others.wait_complete(&parts);
    waited.map_err(|failure| format!("{failure}\n{}\n{}", others.complain(), bips[0].complain("was there too")))?;
    others.stop()?;
    for bip in bips {
        bip.stop()?.expect_code(0)?;
    }
    for (member, copy) in folders.iter().enumerate() {
        // transmission leaves out files without a byte, but here they were there.
        TREE.expect_equal(&original, copy).map_err(|failure| format!("member {member}: {failure}"))?;
    }
    Ok(())
}
