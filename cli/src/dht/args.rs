//! The command line of `bip dht`.

use bip::dht::Router;
use bip::proto::id::InfoHash;
use bip::proto::magnet::{Limits, Magnet};
use clap::{ArgAction, Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Find and store things in the Mainline DHT, or be a node of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bip dht peers 0123456789abcdef0123456789abcdef01234567
  bip dht announce 0123456789abcdef0123456789abcdef01234567 --port 6881
  bip dht put 'Hello World!'
  bip dht get e5f96f6f38320f0f33959cb4d3d656452117aadb
  bip dht node --listen 0.0.0.0:6881 --state node.dat

To try it without the Internet, run `bip dht testnet 50 --listen 127.0.0.1:7000` in one terminal, and the
others with `--bootstrap 127.0.0.1:7000` in another.")]
pub(crate) struct Dht {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Peers(Peers),
    Announce(Announce),
    Put(Put),
    Get(Get),
    Key(Key),
    Node(Node),
    Testnet(Testnet),
}

/// How a node gets into the network.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct Entry {
    /// A node or router to ask first; several with commas, or given several times [default: five public routers]
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', value_parser = router)]
    pub(crate) bootstrap: Vec<Router>,

    /// Where to be bound; may be given several times, for IPv4 and IPv6 or several addresses; port 0 takes any [default: all addresses of
    /// both families, at any port; 127.0.0.1 in a local network]
    #[arg(long = "listen", value_name = "ADDR:PORT")]
    pub(crate) listen: Vec<SocketAddr>,

    /// It is a test network: many nodes may be at one address, on loopback too, and nobody is limited. Implied where only loopback addresses are bound to,
    /// or asked first
    #[arg(long)]
    pub(crate) local: bool,
}

/// What is common to what ends by itself.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Ending {
    /// Give up, with code 1, after this many seconds
    #[arg(long, value_name = "SECS", default_value = "60", value_parser = crate::args::seconds)]
    pub(crate) timeout: Duration,

    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// Find peers of a torrent.
///
/// Prints each as it is found, and ends by itself. With --json each is `{"peer":"ADDR:PORT"}`, and the end
/// `{"done":true,"peers","asked","answered","hops","took_ms"}`, with --scrape also `seeds` and `others`, also
/// where it was ended early. Code 1: no node answered, or it was not done in time.
#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// The torrent: its info hash or a magnet link
    #[arg(value_name = "HASH", value_parser = torrent)]
    pub(crate) info_hash: InfoHash,

    /// Count its seeds and other peers besides, as far as nodes tell (BEP 33)
    #[arg(long)]
    pub(crate) scrape: bool,

    #[command(flatten)]
    pub(crate) entry: Entry,

    #[command(flatten)]
    pub(crate) ending: Ending,
}

/// Tell the DHT that somebody at this host's address has, or wants, a torrent.
///
/// Prints how many nodes have taken it down. They forget it after half an hour or so. With --json `{"nodes","asked","answered","hops","took_ms"}`.
/// Code 1: none has.
#[derive(Debug, Args)]
pub(crate) struct Announce {
    /// The torrent: its info hash or a magnet link
    #[arg(value_name = "HASH", value_parser = torrent)]
    pub(crate) info_hash: InfoHash,

    /// The port at which peers are accepted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// All of the torrent is there (BEP 33)
    #[arg(long)]
    pub(crate) seed: bool,

    #[command(flatten)]
    pub(crate) entry: Entry,

    #[command(flatten)]
    pub(crate) ending: Ending,
}

/// Store a text, so that others find it by its hash, or by the public key of who signed it (BEP 44).
///
/// Prints what `bip dht get` takes. Nodes forget it after two hours. With --json `{"target","nodes","asked","answered","hops","took_ms"}`, with --key
/// also `key` and `seq`. Code 1: no node has taken it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bip dht put 'Hello World!'
  bip dht key my.key
  bip dht put 'the first' --key my.key
  bip dht put 'the second' --key my.key --salt news")]
pub(crate) struct Put {
    /// The text, at most 996 bytes
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: String,

    /// TEXT is bencode, to be stored as it is
    #[arg(long)]
    pub(crate) bencode: bool,

    /// Sign it with the key in this file: what is stored under the key before is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// Tells several texts of one key apart
    #[arg(long, value_name = "TEXT", requires = "key", default_value = "", hide_default_value = true)]
    pub(crate) salt: String,

    /// The sequence number [default: one more than what is found, or 1]
    #[arg(long, value_name = "N", requires = "key", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) seq: Option<i64>,

    #[command(flatten)]
    pub(crate) entry: Entry,

    #[command(flatten)]
    pub(crate) ending: Ending,
}

/// Find what was stored with `put` (BEP 44).
///
/// Prints the text, or the bencode of what is none. With --json: `target`, `value` (hexadecimal bencode), `text` where it is one, and of
/// what is signed `key`, `salt`, `seq`, `signature`. Code 1: nothing was found.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Its hash, of 40 hexadecimal digits, or the public key of who signed it, of 64
    #[arg(value_name = "TARGET", value_parser = target)]
    pub(crate) target: Target,

    /// Tells several texts of one key apart
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) salt: String,

    #[command(flatten)]
    pub(crate) entry: Entry,

    #[command(flatten)]
    pub(crate) ending: Ending,
}

/// Make a key to sign with, in a new file that only you can read, and print its public key.
#[derive(Debug, Args)]
pub(crate) struct Key {
    /// The file; with one that exists, its public key is printed
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Print JSON: `{"key":"…"}`
    #[arg(long)]
    pub(crate) json: bool,
}

/// Be a node: answer others, until Ctrl-C or SIGTERM.
///
/// Prints `listening on ADDR:PORT` for each address, then, on stderr, how it is: a line that changes on a terminal, else one now and then,
/// in the end every minute. With --json it prints `{"ready":true,"addr":"ADDR:PORT"}` for each address, then every second a line of
/// its status: `up_s`, `nodes`, `network_size`, `memory` in bytes, what is stored (`stored_peers`, `stored_torrents`, `stored_items`), traffic, and `sides`, one
/// for each address (`addr`, `id`, `external`, `nodes`, `good`, `bootstrapping`). With --queries also `{"get_peers":"HASH","from"}` and
/// `{"announce":"HASH","peer","seed","from"}`.
#[derive(Debug, Args)]
pub(crate) struct Node {
    /// Remember in this file whom the node knows, and begin with them next time
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Answer nobody (BEP 43)
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Print what others look for and announce, a line each
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) queries: bool,

    /// Print JSON lines
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) entry: Entry,
}

/// Run a network of nodes on this host, for development, until Ctrl-C or SIGTERM.
///
/// Prints the address of one of them, to be given to others with --bootstrap, once they have found each other; with --json
/// `{"ready":true,"addr":"ADDR:PORT","nodes":N}`.
#[derive(Debug, Args)]
pub(crate) struct Testnet {
    /// How many nodes
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) nodes: u32,

    /// Where the first node is bound, on loopback
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0", value_parser = loopback)]
    pub(crate) listen: SocketAddr,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `get` finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The hash of a value.
    Hash([u8; 20]),
    /// The public key of who signed it.
    Key([u8; 32]),
}

impl Dht {
    /// Says whether stdout is for programs.
    pub(crate) fn is_json(&self) -> bool {
        match &self.command {
            Command::Peers(args) => args.ending.json,
            Command::Announce(args) => args.ending.json,
            Command::Put(args) => args.ending.json,
            Command::Get(args) => args.ending.json,
            Command::Node(args) => args.json,
            Command::Testnet(args) => args.json,
            Command::Key(args) => args.json,
        }
    }
}

fn router(text: &str) -> Result<Router, String> {
    text.parse().map_err(|_| "write HOST:PORT, such as router.example:6881".to_owned())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write ADDR:PORT, such as 127.0.0.1:7000".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("must be a loopback address".to_owned()) }
}

fn torrent(text: &str) -> Result<InfoHash, String> {
    if let Ok(hash) = text.parse() {
        return Ok(hash);
    }
    let magnet = Magnet::parse(text.as_bytes(), &Limits::default(), |_| {});
    let magnet = magnet.map_err(|_| "write an info hash of 40 hexadecimal digits, or a magnet link".to_owned())?;
    let hash = magnet.topic.v1().or_else(|| magnet.topic.v2().map(|hash| hash.truncated()));
    hash.ok_or_else(|| "the magnet link has no info hash".to_owned())
}

fn target(text: &str) -> Result<Target, String> {
    let error = || "write a hash of 40 hexadecimal digits, or a public key of 64".to_owned();
    let bytes = unhex(text).ok_or_else(error)?;
    match bytes.len() {
        20 => Ok(Target::Hash(bytes.try_into().map_err(|_| error())?)),
        32 => Ok(Target::Key(bytes.try_into().map_err(|_| error())?)),
        _ => Err(error()),
    }
}

/// Reads hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

/// Writes hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_hash_or_a_key() {
        let (hash, key) = ("0f".repeat(20), "F0".repeat(32));
        assert_eq!(target(&hash), Ok(Target::Hash([0x0f; 20])));
        assert_eq!(target(&key), Ok(Target::Key([0xf0; 32])));
        for bad in ["", "0f", &hash[1..], &format!("{hash}0"), &hash.replace('f', "g"), &"é".repeat(20)] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_torrent_is_a_hash_or_a_link() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(torrent(hash).map(|hash| hash.to_string()), Ok(hash.to_owned()));
        assert_eq!(torrent(&format!("magnet:?xt=urn:btih:{hash}")).map(|hash| hash.to_string()), Ok(hash.to_owned()));
        assert!(torrent("x").is_err() && torrent("magnet:?dn=x").is_err());
    }
}
