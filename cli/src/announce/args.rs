//! The command lines of `bip announce` and `bip scrape`.

use crate::args::Authority;
use bip::proto::tracker_url::TrackerUrl;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Tell the trackers of a torrent of us, once, and print the peers that they know.
///
/// All trackers are told at once, by UDP, HTTP or HTTPS; those of a private torrent one after the other, in the order of their tiers, until one answers, as peers
/// may come from one of them only (`--event stopped` goes to all). The trackers of a magnet link must be on the Internet; those of a file and of
/// `--tracker` may be in a private network. Peers go to stdout, one a line; what else the trackers say to stderr. They tell others that
/// somebody at this host's address has, or wants, the torrent, until they forget it or `--event stopped` is told. With --json a line for
/// each tracker: tracker, peers, seeders, leechers, completed, interval, `min_interval`, warning, `external_ip`; or tracker and error. URLs are shown without
/// what may be secret in them.
///
/// Code 1: no tracker answered.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bip announce film.torrent --port 6881
  bip announce 0123456789abcdef0123456789abcdef01234567 --tracker udp://tracker.example:6969/announce
  bip announce film.torrent --event stopped")]
pub(crate) struct Announce {
    /// The torrent file (`-` is stdin), a magnet link, or an info hash of 40 hexadecimal digits
    #[arg(value_name = "TORRENT|HASH")]
    pub(crate) torrent: PathBuf,

    /// A tracker to tell, in place of the torrent's; may be given several times, and all are told
    #[arg(long = "tracker", value_name = "URL", value_parser = url)]
    pub(crate) trackers: Vec<TrackerUrl>,

    /// The port at which peers are accepted
    #[arg(long, value_name = "N", default_value_t = 6881, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// What has happened
    #[arg(long, value_name = "EVENT")]
    pub(crate) event: Option<Event>,

    /// All of the torrent is there
    #[arg(long)]
    pub(crate) seed: bool,

    /// How many peers are wanted [default: as many as the tracker likes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) num_want: Option<u32>,

    #[command(flatten)]
    pub(crate) authority: Authority,

    /// Wait for a tracker for at most this many seconds
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = crate::args::seconds)]
    pub(crate) timeout: Duration,

    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a tracker is told to have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Event {
    /// The torrent was started
    Started,
    /// It was stopped: the tracker forgets us
    Stopped,
    /// Its download has just ended: all of it is there
    Completed,
}

/// Ask a tracker how many peers torrents have.
///
/// Prints a line for each torrent, in the order given. With --json `{"info_hash","seeders","leechers","completed"}`, with null for what the tracker does
/// not say. Code 1: it did not answer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bip scrape --tracker udp://tracker.example:6969 0123456789abcdef0123456789abcdef01234567
  bip scrape --tracker http://tracker.example/announce film.torrent album.torrent --json")]
pub(crate) struct Scrape {
    /// The torrents: info hashes of 40 hexadecimal digits, magnet links, or torrent files
    #[arg(value_name = "HASH", required = true)]
    pub(crate) torrents: Vec<PathBuf>,

    /// The tracker's URL, as for announces
    #[arg(long, value_name = "URL", value_parser = url)]
    pub(crate) tracker: TrackerUrl,

    #[command(flatten)]
    pub(crate) authority: Authority,

    /// Give up, with code 1, after this many seconds
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = crate::args::seconds)]
    pub(crate) timeout: Duration,

    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

fn url(text: &str) -> Result<TrackerUrl, String> {
    text.parse().map_err(|error: bip::proto::tracker_url::Error| error.to_string())
}
