//! `kill -9` of a download at random points, over and over: what was verified stays, and what is said to be there is there.
//! Every second download has a folder for its state.
//!
//! `BIP_KILLS` is the number of kills, and `BIP_KILL_SEED` makes the random times those of a run before.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::harness::Need::{self, Namespace};
use crate::link;
use crate::namespace::{BIP, THIRD};
use crate::process::{Ended, Failure, Running};
use crate::tool;
use crate::tree::{BRANCHES as TREE, Pieces};

const NEEDS: &[Need] = &[Namespace];

crate::harness::tests! {
    a_get_killed_at_random_points_loses_nothing_and_invents_nothing: NEEDS,
}

/// How many kills there are unless `BIP_KILLS` says otherwise.
const KILLS: u64 = 50;

/// The rate of the link, in bytes a second: a download takes some hundred milliseconds.
const RATE: u64 = 24 << 20;

/// When a download is killed at the latest, in microseconds after its start, or after it has checked what is there.
const SOON: u64 = 150_000;

/// The same for one kill in [`SELDOM`], so that progress has been told before.
const LATE: u64 = 1_500_000;

/// See [`LATE`].
const SELDOM: u64 = 10;

/// Random numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % limit
    }
}

fn number(variable: &str) -> Result<Option<u64>, Failure> {
    match env::var(variable) {
        Err(_) => Ok(None),
        Ok(text) => text.parse().map(Some).map_err(|error| format!("{variable}={text}: {error}")),
    }
}

/// A download that is killed again and again.
struct Victim<'a> {
    torrent: &'a Path,
    original: &'a Pieces,
    peer: &'a str,
    copy: PathBuf,
    /// Where it remembers what was verified, if it does.
    state: Option<PathBuf>,
    /// The pieces that were right on disk after the last kill.
    right: BTreeSet<u64>,
    /// How many pieces it told of at most.
    told: u64,
}

impl Victim<'_> {
    fn start(&self) -> Result<Running, Failure> {
        let mut args: Vec<&dyn AsRef<OsStr>> =
            vec![&"get", &self.torrent, &"-d", &self.copy, &"--json", &"--peer", &self.peer];
        if let Some(state) = &self.state {
            args.extend([&"--state" as &dyn AsRef<OsStr>, state]);
        }
        tool::start(&args)
    }

    /// Looks at what a download left behind, and compares with what it and `bip verify` say.
    fn examine(&mut self, ended: &Ended) -> Result<(), Failure> {
        let right = self.original.right_in(&TREE, &self.copy)?;
        if let Some(lost) = self.right.difference(&right).next() {
            return Err(ended.complain(&format!("spoilt piece {lost}, which was right before")));
        }
        let told = Told::read(&ended.stdout);
        if let Some(checked) = told.checked {
            // Without a memory, it checks all that is there before it goes on.
            let most = self.right.len() as u64;
            let (least, most) = (if self.state.is_some() { self.told } else { most }, most);
            if checked < least || checked > most {
                let problem =
                    format!("began with {checked} pieces, after {least} were told and with {most} right on disk");
                return Err(ended.complain(&problem));
            }
        }
        if told.most > right.len() as u64 {
            return Err(ended.complain(&format!("told of more than the {} right pieces on disk", right.len())));
        }
        let verified = verify(self.torrent, &self.copy)?;
        if let Some(piece) = verified.symmetric_difference(&right).next() {
            let truth = if right.contains(piece) { "right" } else { "wrong" };
            return Err(format!("piece {piece} is {truth}, and `bip verify` says otherwise"));
        }
        self.right = right;
        self.told = self.told.max(told.most);
        Ok(())
    }
}

/// What a download told of itself.
#[derive(Default)]
struct Told {
    /// How many pieces were there when it began.
    checked: Option<u64>,
    /// How many pieces there were at most.
    most: u64,
}

impl Told {
    fn read(stdout: &[u8]) -> Told {
        let mut told = Told::default();
        // A kill may cut the last line.
        for event in stdout.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
            if let Some(done) = event["pieces_done"].as_u64() {
                told.most = told.most.max(done);
                if event["event"] == "checked" {
                    told.checked = Some(done);
                }
            }
        }
        told
    }
}

/// The pieces that `bip verify` finds good.
fn verify(torrent: &Path, folder: &Path) -> Result<BTreeSet<u64>, Failure> {
    let ended = tool::start(&[&"verify", &torrent, &folder, &"--json"])?.wait()?;
    let report: Value =
        serde_json::from_slice(&ended.stdout).map_err(|error| ended.complain(&format!("wrote no JSON: {error}")))?;
    let mut good: BTreeSet<u64> = (0..TREE.pieces()).collect();
    for key in ["bad_pieces", "missing_pieces"] {
        for piece in report[key].as_array().ok_or_else(|| ended.complain(&format!("has no {key}")))? {
            good.remove(&piece.as_u64().ok_or_else(|| ended.complain(&format!("has {piece} in {key}")))?);
        }
    }
    if report["pieces_good"] != good.len() { Err(ended.complain("disagrees with itself")) } else { Ok(good) }
}

fn a_get_killed_at_random_points_loses_nothing_and_invents_nothing(folder: &Path) -> Result<(), Failure> {
    let wanted = number("BIP_KILLS")?.unwrap_or(KILLS);
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = number("BIP_KILL_SEED")?.unwrap_or(since_1970.as_nanos() as u64) | 1;
    let mut random = Random(seed);
    let mut totals = (0, 0);
    let outcome = kill_often(folder, wanted, &mut random, &mut totals);
    let (kills, downloads) = totals;
    let remark = format!("{kills} kills, {downloads} downloads completed, BIP_KILL_SEED={seed}");
    match outcome {
        Ok(()) => {
            println!("{remark}");
            Ok(())
        }
        Err(failure) => Err(format!("{failure}\nafter {remark}")),
    }
}

fn kill_often(folder: &Path, wanted: u64, random: &mut Random, totals: &mut (u64, u64)) -> Result<(), Failure> {
    let (original, torrent) = (folder.join("original"), folder.join("made by bip.torrent"));
    TREE.write(&original)?;
    tool::create(&TREE.root(&original), &torrent, TREE.piece_length)?;
    let mut seeder = tool::start(&[&"seed", &torrent, &original, &"--listen", &format!("{BIP}:0")])?;
    let peer = link::to(&tool::listening(&mut seeder)?, THIRD, RATE)?;
    let pieces = Pieces::of(&TREE, &original)?;
    while totals.0 < wanted {
        let copy = folder.join(format!("copy {}", totals.1));
        fs::create_dir(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
        let mut victim = Victim {
            torrent: &torrent,
            original: &pieces,
            peer: &peer,
            copy: copy.clone(),
            state: (totals.1 % 2 == 1).then(|| folder.join("state")),
            right: BTreeSet::new(),
            told: 0,
        };
        loop {
            let mut get = victim.start()?;
            // On a busy machine most kills would come before it does anything.
            if random.below(4) > 0 {
                get.wait_line("checked", |line| line.contains("\"checked\"").then_some(()))?;
            }
            let limit = if random.below(SELDOM) == 0 { LATE } else { SOON };
            let delay = Duration::from_micros(random.below(limit));
            // The last one is not disturbed.
            if totals.0 == wanted || get.ends_within(delay) {
                victim.examine(&get.wait()?.expect_code(0)?)?;
                break;
            }
            victim.examine(&get.kill()?)?;
            totals.0 += 1;
        }
        TREE.expect_equal(&original, &copy)?;
        totals.1 += 1;
        fs::remove_dir_all(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    }
    seeder.stop()?.expect_code(0).map(drop)
}
