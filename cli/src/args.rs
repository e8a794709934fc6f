//! The command line.

use crate::files::FileList;
use crate::output::{Failure, reason};
use crate::urls::{self, Tier};
use crate::{names, size};
use bip::disk::Glob;
use bip::tracker::client::Roots;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

/// Creates, inspects, verifies, downloads and seeds torrents, asks trackers, and takes part in the DHT.
#[derive(Debug, Parser)]
#[command(
    name = "bip",
    version,
    max_term_width = 100,
    after_help = "\
Results go to stdout; progress, logs and errors to stderr.
Exit codes: 0 done, 1 failed, 2 wrong usage, 141 nobody reads stdout. Ctrl-C or SIGTERM: 0 while
seeding what is complete, else 130; a second one ends it on the spot with 130, or 143 for SIGTERM.

Examples:
  bip demo
  bip create holiday/ --tracker http://tracker.example/announce
  bip seed holiday.torrent . --listen 0.0.0.0:6881
  bip get holiday.torrent -d downloads --peer 192.0.2.7:6881"
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 900)]
    pub(crate) quiet: bool,

    /// Log more to stderr: -v what happens, -vv why peers cannot be reached and other details, -vvv everything of bip's
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 901)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Create(Create),
    Edit(Edit),
    Show(Show),
    Verify(Verify),
    Get(Get),
    Seed(Seed),
    Announce(crate::announce::args::Announce),
    Scrape(crate::announce::args::Scrape),
    Dht(crate::dht::args::Dht),
    Tracker(crate::tracker::Tracker),
}

/// Show a whole swarm at work: a seeder and leechers on loopback, in one process.
///
/// Makes a file of random bytes and its torrent in a temporary folder, seeds it, and downloads it several times over at once.
/// The leechers feed each other. Every byte is compared at the end, and the folder is removed. Ctrl-C or SIGTERM ends it with
/// code 130; removing the folder, then too, takes as long as the file system needs for many bytes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bip demo
  bip demo --size 1G --leechers 8")]
pub(crate) struct Demo {
    /// How large the file is: bytes, or with K, M, G in powers of 1024, up to 64G; every member has a copy in the temporary folder
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size::parse_demo)]
    pub(crate) size: u64,

    /// How many leechers there are
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) leechers: u16,
}

/// Make a torrent file of a file or folder.
///
/// Prints the info hash and where the torrent was written. Without its date, the same input gives the same bytes. Symbolic links
/// are followed. OUT must lie outside PATH.
///
/// In a GLOB, `*` and `?` stand for any characters but `/`, `[a-z]` and `[!a-z]` for one character, `**` for any folders, and `\` takes
/// the next character as it is. Without `/` in it it is for names at any depth, else for paths from PATH on; with `/` at its end
/// for folders alone. Quote it, for the shell's sake.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bip create film.mkv
  bip create album/ -o album.torrent --piece-length 256K --no-date
  bip create data/ --tracker udp://a.example:6969 --tracker http://b.example/,http://c.example/
  bip create site/ --hybrid --exclude '*.tmp' --exclude .git/ --web-seed http://www.example/
  bip create notes.txt -o - | bip show -")]
pub(crate) struct Create {
    /// The file or folder
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// Where to write the torrent; `-` is stdout [default: NAME.torrent in the current folder]
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,

    /// Make a torrent of version 2 (BEP 52): each file begins a piece and has a hash of its own. Older clients
    /// cannot read it, and bip does not transfer it yet
    #[arg(long, conflicts_with = "hybrid")]
    pub(crate) v2: bool,

    /// Make a torrent of versions 1 and 2 at once, for old and new clients
    #[arg(long)]
    pub(crate) hybrid: bool,

    /// Leave out the files and folders of PATH that a pattern is for; may be given several times; --help says how it is written
    #[arg(long, value_name = "GLOB", value_parser = OsStringValueParser::new().try_map(names::exclude))]
    pub(crate) exclude: Vec<Glob>,

    /// What the torrent calls PATH; others store it under this name, and so must whoever seeds it [default: its name]
    #[arg(long, value_name = "NAME", value_parser = OsStringValueParser::new().try_map(names::name))]
    pub(crate) name: Option<OsString>,

    /// The piece length, a power of two from 16K up [default: whatever gives at most 2,000 pieces, up to 16M]
    #[arg(long, value_name = "SIZE", value_parser = size::parse_piece_length)]
    pub(crate) piece_length: Option<u32>,

    /// A tracker's URL; may be given several times, and each is tried after those before it. Several with commas between them are a
    /// tier, tried in any order. The same one counts once
    #[arg(long = "tracker", value_name = "URL[,URL]", value_parser = Tier::parse)]
    pub(crate) trackers: Vec<Tier>,

    /// Where the files can be fetched over HTTP (BEP 19); may be given several times
    #[arg(long = "web-seed", value_name = "URL", value_parser = urls::web_seed)]
    pub(crate) web_seeds: Vec<String>,

    /// A node of the DHT to begin with (BEP 5); may be given several times
    #[arg(long = "node", value_name = "HOST:PORT", value_parser = urls::node)]
    pub(crate) nodes: Vec<(String, u16)>,

    /// Let peers come from the trackers only (BEP 27)
    #[arg(long)]
    pub(crate) private: bool,

    /// A remark
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,

    /// A tracker's mark, which changes the info hash
    #[arg(long, value_name = "TEXT")]
    pub(crate) source: Option<String>,

    /// Leave out when the torrent was made
    #[arg(long)]
    pub(crate) no_date: bool,

    /// Overwrite OUT
    #[arg(long)]
    pub(crate) force: bool,
}

/// Change what a torrent file says around its files: trackers, web seeds, remarks.
///
/// The files, their hashes, the private flag and the source stay as they are, byte for byte, and with them the info hash: it is the
/// same torrent. So does all that is not named here. An option that gives values replaces all that were there.
///
/// Prints the info hash and where the torrent was written. It is written whole or not at all.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("change").required(true).multiple(true),
    group = ArgGroup::new("to").required(true),
    after_help = "\
Examples:
  bip edit album.torrent --tracker http://new.example/announce -o new.torrent
  bip edit album.torrent --no-trackers --no-comment --in-place"
)]
pub(crate) struct Edit {
    /// The torrent file; `-` is stdin
    #[arg(value_name = "TORRENT")]
    pub(crate) torrent: PathBuf,

    /// Where to write the edited torrent; `-` is stdout
    #[arg(short, long, value_name = "OUT", group = "to")]
    pub(crate) output: Option<PathBuf>,

    /// Write it over TORRENT
    #[arg(long, group = "to")]
    pub(crate) in_place: bool,

    /// Overwrite OUT
    #[arg(long)]
    pub(crate) force: bool,

    /// A tracker's URL; may be given several times, and each is tried after those before it. Several with commas between them are a
    /// tier, tried in any order
    #[arg(long = "tracker", value_name = "URL[,URL]", value_parser = Tier::parse, group = "change")]
    pub(crate) trackers: Vec<Tier>,

    /// Remove the trackers
    #[arg(long, conflicts_with = "trackers", group = "change")]
    pub(crate) no_trackers: bool,

    /// Where the files can be fetched over HTTP (BEP 19); may be given several times
    #[arg(long = "web-seed", value_name = "URL", value_parser = urls::web_seed, group = "change")]
    pub(crate) web_seeds: Vec<String>,

    /// Remove the web seeds
    #[arg(long, conflicts_with = "web_seeds", group = "change")]
    pub(crate) no_web_seeds: bool,

    /// A node of the DHT to begin with (BEP 5); may be given several times
    #[arg(long = "node", value_name = "HOST:PORT", value_parser = urls::node, group = "change")]
    pub(crate) nodes: Vec<(String, u16)>,

    /// Remove the nodes
    #[arg(long, conflicts_with = "nodes", group = "change")]
    pub(crate) no_nodes: bool,

    /// The remark
    #[arg(long, value_name = "TEXT", group = "change")]
    pub(crate) comment: Option<String>,

    /// Remove the remark
    #[arg(long, conflicts_with = "comment", group = "change")]
    pub(crate) no_comment: bool,

    /// The program that made the torrent
    #[arg(long, value_name = "TEXT", group = "change")]
    pub(crate) created_by: Option<String>,

    /// Remove the program that made the torrent
    #[arg(long, conflicts_with = "created_by", group = "change")]
    pub(crate) no_created_by: bool,

    /// Remove when the torrent was made
    #[arg(long, group = "change")]
    pub(crate) no_date: bool,
}

/// Show what is in a torrent file or magnet link.
///
/// Nobody is asked: of a magnet link it shows what stands in it. Quote the link, for the shell's sake.
///
/// The files have the numbers that `bip get --files` takes. Padding between files has numbers too, and is not shown. --json also has
/// what is said of each file: the root of its hash tree (of version 2), SHA-1, MD5.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bip show film.torrent
  bip show film.torrent --json | jq -r '.info_hash, .info_hash_v2'
  bip show 'magnet:?xt=urn:btih:631a31dd0a46257d5078c0dee4e66e26f73e42ac&dn=film'")]
pub(crate) struct Show {
    /// The torrent file (`-` is stdin), a magnet link, or an info hash alone: 40 hexadecimal digits, 64 of version 2
    #[arg(value_name = "TORRENT")]
    pub(crate) torrent: PathBuf,

    /// Print one JSON object; what the torrent or link does not say is null
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check files against a torrent.
///
/// Exits with 0 only if everything is there and right. Otherwise it says which pieces and files are bad or missing. Nothing is
/// changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bip verify album.torrent downloads      checks downloads/album/...
  bip verify film.torrent . --json")]
pub(crate) struct Verify {
    /// The torrent file; `-` is stdin
    #[arg(value_name = "TORRENT")]
    pub(crate) torrent: PathBuf,

    /// The folder that holds the torrent's name
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const GET_EXAMPLES: &str = "\
Examples:
  bip get film.torrent -d downloads --peer 192.0.2.7:6881
  bip get film.torrent album.torrent --peer seedbox.example:51413 --timeout 600
  bip get album.torrent --peer [2001:db8::7]:6881 --files 1,3-5 --down 2M
  bip get film.torrent --listen 0.0.0.0:6881 --seed --up 500K --state ~/.bip";

const GET_JSON: &str = "\
JSON lines, by \"event\"; all but the first have \"torrent\": {info_hash, name}
  listening  address
  checked    pieces_done, pieces, check (full; sampled: remembered by --state)
  progress   once a second for each torrent:
             state (checking, downloading, seeding, waiting), error (or null),
             pieces_checked (null but while checking),
             pieces_done, pieces, pieces_wanted_done, pieces_wanted,
             bytes_done, total_length, bytes_wanted_done, bytes_wanted,
             downloaded, uploaded (bytes, since the start),
             download_rate, upload_rate (bytes per second),
             peers, seeds (peers that have everything), seconds_left (or null)
  error      error, fatal (true: the torrent is given up; false: it waits)
  recovered  nothing more: the error has passed
  tracker    a tracker failed, or has words for the user; the same once:
             url, tier (from 0), state (working, failing, disabled),
             error (or null), warning (or null)
  completed  path, pieces, total_length, already, seconds,
             files, files_wanted, length_wanted (bytes of the wanted files)
What fails before the torrents are taken in is told on stderr alone.";

/// Download torrents.
///
/// What is in DIR already is checked first and kept. Peers are those that the torrent's trackers tell of, those named with --peer, and those
/// that come to an address named with --listen; without any of these it fails at once. DHT and other sources are not asked in this version.
///
/// Several torrents share one session: the peers, the addresses and the limits are for all of them. Each goes on to its own end,
/// whatever becomes of the others; what is complete is seeded until the last one is. One that cannot be read is told before
/// anything begins.
///
/// Without --seed it leaves as soon as all is complete, also where others still download from it: two that feed each other both
/// need --seed, or a seeder that stays.
///
/// A full disk, or another error that may pass, is told; the torrent waits and goes on by itself when there is room again. What
/// waiting does not cure, such as a folder that may not be written, fails that torrent at once.
///
/// Prints `listening on ADDR:PORT` when what was there is checked. Ctrl-C or SIGTERM ends it with code 130 (1 where the disk
/// failed), and with 0 once all is complete and seeding; what was verified stays.
#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES, after_long_help = format!("{GET_EXAMPLES}\n\n{GET_JSON}"))]
pub(crate) struct Get {
    /// The torrent files; `-` is stdin
    #[arg(value_name = "TORRENT", required = true)]
    pub(crate) torrents: Vec<PathBuf>,

    /// The folder that holds, or will hold, the torrents' names
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,

    /// Only these files, by their numbers in `bip show`, such as 1,3-5; the others are not made. For one torrent only
    #[arg(long, value_name = "LIST", value_parser = FileList::parse)]
    pub(crate) files: Option<FileList>,

    /// Fetch the pieces in their order, to read a file while it comes; slower, and less useful to the other peers
    #[arg(long)]
    pub(crate) sequential: bool,

    /// Go on seeding when complete
    #[arg(long)]
    pub(crate) seed: bool,

    /// Give up, with code 1, if not all is complete after this many seconds; with --seed, also ends the seeding
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,

    /// Print JSON lines, one a second for each torrent and one for what happens; --help has their keys
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) network: Network,

    /// Receive at most this many bytes per second, over all torrents; written as for --up [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = size::parse_rate, help_heading = "Limits")]
    pub(crate) down: Option<NonZeroU64>,

    #[command(flatten)]
    pub(crate) share: Share,
}

/// Offer complete torrents to others.
///
/// The files are checked first; if anything of any torrent is missing or wrong, it fails and offers nothing. Nothing is ever
/// written, but for --state.
///
/// Prints `listening on ADDR:PORT` when all is checked, and goes on until Ctrl-C or SIGTERM, which end it with code 0.
#[derive(Debug, Args)]
#[command(
    override_usage = "bip seed [OPTIONS] <TORRENT>... <DIR>",
    after_help = "\
Examples:
  bip seed album.torrent downloads      offers downloads/album/...
  bip seed album.torrent film.torrent downloads --up 500K
  bip seed film.torrent . --listen 0.0.0.0:51413 --listen [::1]:51413"
)]
pub(crate) struct Seed {
    /// The torrent files (`-` is stdin), and last DIR, the folder that holds the torrents' names
    #[arg(value_name = "TORRENT|DIR", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) network: Network,

    #[command(flatten)]
    pub(crate) share: Share,
}

/// Whom to believe who a tracker is.
#[derive(Debug, Args)]
pub(crate) struct Authority {
    /// Trust only the certificate authorities in this file (PEM) to say who an HTTPS tracker is [default: those that Mozilla trusts]
    #[arg(long, value_name = "FILE")]
    pub(crate) tracker_ca: Option<PathBuf>,
}

impl Authority {
    /// Reads the certificates.
    pub(crate) fn read(&self) -> Result<Option<Roots>, Failure> {
        let Some(path) = &self.tracker_ca else { return Ok(None) };
        let failed = |error: &dyn std::fmt::Display| Failure::new(path.display(), error);
        let mut pem = Vec::new();
        // One more than may be, to see whether there is more.
        let file = File::open(path).map_err(|error| failed(&reason(&error)))?;
        file.take(Roots::MAX_PEM as u64 + 1).read_to_end(&mut pem).map_err(|error| failed(&reason(&error)))?;
        Roots::from_pem(&pem).map(Some).map_err(|error| failed(&error))
    }
}

/// Who to talk to, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Peers")]
pub(crate) struct Network {
    /// A peer; may be given several times; one whose name cannot be looked up is told and passed over
    #[arg(long = "peer", value_name = "HOST:PORT", value_parser = urls::place)]
    pub(crate) peers: Vec<String>,

    /// Tell no tracker of the torrents, and ask none for peers
    #[arg(long)]
    pub(crate) no_trackers: bool,

    #[command(flatten)]
    pub(crate) authority: Authority,

    /// Where to accept peers; may be given several times; port 0 takes any [default: [::]:6881, IPv4 included, or the next
    /// free port]
    #[arg(long = "listen", value_name = "ADDR:PORT", value_parser = listen)]
    pub(crate) listen: Vec<SocketAddr>,

    /// Talk to at most N peers at a time, over all torrents [default: 200, of them 100 in one torrent]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_peers: Option<u16>,
}

/// What may be used, and what is remembered.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Share {
    /// Send at most this many bytes per second, over all torrents: a number, or with K, M, G in powers of 1024, such as 500K
    /// [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = size::parse_rate)]
    pub(crate) up: Option<NonZeroU64>,

    /// Send to N peers of a torrent at a time, those that give (or, when seeding, take) most, and to one more in turn [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) upload_slots: Option<u16>,

    /// Remember in this folder what was verified, so that the next start does not read it all again
    #[arg(long, value_name = "DIR", help_heading = "State")]
    pub(crate) state: Option<PathBuf>,
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write ADDR:PORT, such as 0.0.0.0:6881 or [::]:6881".to_owned())
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(number) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be more than 0, and a time that somebody could wait for".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_timeout_is_a_time_to_wait() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for bad in ["", "0", "-1", "NaN", "inf", "1e300", "x"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
