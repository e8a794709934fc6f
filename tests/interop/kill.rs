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
const LATE: u64 = 2_000_000;

/// See [`LATE`].
const SELDOM: u64 = 10;

/// Two of four downloads have a link so slow that they take seconds, and are mostly killed late: they tell of their progress,
/// which must be true.
const SLOW: u64 = 2;

/// The rate of that link.
const SLOW_RATE: u64 = 3 << 20;

/// One in so many ends of a download with a memory is an order to end: what it remembers is on disk then, and the next kill makes it stale.
const ORDERLY: u64 = 3;

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
    counts: &'a mut Counts,
}

/// What the kills met: without these, all that is asserted might be true of nothing.
#[derive(Clone, Copy, Default)]
struct Counts {
    kills: u64,
    /// Downloads that came to their end.
    downloads: u64,
    /// Of the kills, those of a download that had checked what was there and had not all.
    running: u64,
    /// Those of one that had written at least one more right piece.
    moved: u64,
    /// Those of one that had told of pieces beyond those that it began with.
    told: u64,
    /// Downloads that began with pieces that one before it had left.
    went_on: u64,
    /// Of these, those that took them from memory.
    remembered: u64,
}

impl Counts {
    /// Fails unless the kills met what they are there for.
    fn expect_enough(&self, wanted: u64) -> Result<(), Failure> {
        let least = [
            ("hit a running download", self.running, wanted / 2),
            ("came after more had been written", self.moved, wanted / 4),
            ("came after progress had been told", self.told, wanted / 50),
            ("were followed by a download that went on", self.went_on, wanted / 3),
            ("were followed by one that went on from memory", self.remembered, wanted / 50),
            ("were between downloads that came to an end", self.downloads, wanted / 50),
        ];
        match least.iter().find(|(_, count, least)| count < least) {
            Some((what, count, least)) => Err(format!("only {count} of {wanted} kills {what}, not {least}")),
            None => Ok(()),
        }
    }
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
    fn examine(&mut self, ended: &Ended, killed: bool) -> Result<(), Failure> {
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
        if killed {
            self.counts.kills += 1;
            self.counts.running += u64::from(told.checked.is_some() && (right.len() as u64) < TREE.pieces());
            self.counts.moved += u64::from(right.len() > self.right.len());
            self.counts.told += u64::from(told.checked.is_some_and(|checked| told.most > checked));
        }
        let went_on = told.checked.is_some_and(|checked| checked > 0);
        self.counts.went_on += u64::from(went_on);
        self.counts.remembered += u64::from(went_on && told.sampled);
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
    /// Whether it remembered them.
    sampled: bool,
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
                    told.sampled = event["check"] == "sampled";
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
    let mut counts = Counts::default();
    let outcome = kill_often(folder, wanted, &mut random, &mut counts);
    let Counts { kills, downloads, running, moved, told, went_on, remembered } = counts;
    let remark = format!(
        "{kills} kills, {running} of a running download, {moved} after more was written, {told} after more was told; {downloads} downloads \
         completed; {went_on} went on, {remembered} from memory; BIP_KILL_SEED={seed}"
    );
    match outcome.and_then(|()| counts.expect_enough(wanted)) {
        Ok(()) => {
            println!("{remark}");
            Ok(())
        }
        Err(failure) => Err(format!("{failure}\nafter {remark}")),
    }
}

fn kill_often(folder: &Path, wanted: u64, random: &mut Random, counts: &mut Counts) -> Result<(), Failure> {
    let (original, torrent) = (folder.join("original"), folder.join("made by bip.torrent"));
    TREE.write(&original)?;
    tool::create(&TREE.root(&original), &torrent, TREE.piece_length)?;
    let mut seeder = tool::start(&[&"seed", &torrent, &original, &"--listen", &format!("{BIP}:0")])?;
    let address = tool::listening(&mut seeder)?;
    let (fast, slow) = (link::to(&address, THIRD, RATE)?, link::to(&address, THIRD, SLOW_RATE)?);
    let pieces = Pieces::of(&TREE, &original)?;
    while counts.kills < wanted {
        let number = counts.downloads;
        let copy = folder.join(format!("copy {number}"));
        fs::create_dir(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
        // Some are slow, with and without a memory.
        let is_slow = number / 2 % SLOW == 0;
        let mut victim = Victim {
            torrent: &torrent,
            original: &pieces,
            peer: if is_slow { &slow } else { &fast },
            copy: copy.clone(),
            state: (number % 2 == 1).then(|| folder.join("state")),
            right: BTreeSet::new(),
            told: 0,
            counts: &mut *counts,
        };
        loop {
            let mut get = victim.start()?;
            // On a busy machine most kills would come before it does anything.
            if random.below(4) > 0 {
                get.wait_line("checked", |line| line.contains("\"checked\"").then_some(()))?;
            }
            let is_late = if is_slow { random.below(4) > 0 } else { random.below(SELDOM) == 0 };
            let limit = if is_late { LATE } else { SOON };
            let delay = Duration::from_micros(random.below(limit));
            // The last one is not disturbed.
            if victim.counts.kills == wanted || get.ends_within(delay) {
                victim.examine(&get.wait()?.expect_code(0)?, false)?;
                break;
            }
            if victim.state.is_some() && random.below(ORDERLY) == 0 {
                victim.examine(&get.stop()?, false)?;
            } else {
                victim.examine(&get.kill()?, true)?;
            }
        }
        counts.downloads += 1;
        TREE.expect_equal(&original, &copy)?;
        fs::remove_dir_all(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    }
    seeder.stop()?.expect_code(0).map(drop)
}
