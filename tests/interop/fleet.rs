//! Nodes of the DHT that other people wrote: several of one kind in one process, which does what it reads on its standard input.
//!
//! The programs are `lt_dht.py`, which says what they read and print, `bittorrent_dht.js` and `mainline/`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::libtorrent;
use crate::namespace::is_installed;
use crate::nodes::{Key, Signed, Speaker, hex, strings, until};
use crate::process::{Failure, Running, in_utf8};

/// What a node is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// libtorrent, through its Python package.
    Libtorrent,
    /// The `mainline` crate.
    Mainline,
    /// bittorrent-dht, of WebTorrent.
    BittorrentDht,
}

/// Where the tests lie.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/interop");

/// What lies beside the folder of the tests' own in the target folder, or where a variable says.
pub(crate) fn found(variable: &str, beside: &str) -> Result<PathBuf, Failure> {
    let path = env::var_os(variable)
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name(beside), PathBuf::from);
    if path.exists() {
        return Ok(path);
    }
    Err(format!("{} is not there, and {variable} names no other", path.display()))
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Libtorrent, Kind::BittorrentDht, Kind::Mainline];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Libtorrent => "libtorrent",
            Kind::Mainline => "mainline",
            Kind::BittorrentDht => "bittorrent-dht",
        }
    }

    /// What runs its nodes, or why it cannot be run.
    pub(crate) fn command(self) -> Result<Command, Failure> {
        Ok(match self {
            Kind::Libtorrent => {
                let mut command = Command::new(libtorrent::python()?);
                command.arg("-u").arg(Path::new(FOLDER).join("lt_dht.py"));
                command
            }
            Kind::Mainline => Command::new(found("BIP_MAINLINE_NODE", "interop-mainline/debug/mainline-node")?),
            Kind::BittorrentDht => {
                if !is_installed("node") {
                    return Err("`node` is not installed".to_owned());
                }
                let package = found("BIP_BITTORRENT_DHT", "interop-node/node_modules/bittorrent-dht")?;
                let mut command = Command::new("node");
                command.arg(Path::new(FOLDER).join("bittorrent_dht.js")).env("BIP_BITTORRENT_DHT", package);
                command
            }
        })
    }
}

/// What holds for the nodes of a network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// They are all on one host, and no rule is to keep them apart.
    Local,
    /// What holds on the Internet, by default.
    Usual,
}

/// Nodes of one kind. As a [`Speaker`], the first stores, and the last finds.
pub(crate) struct Fleet {
    pub(crate) kind: Kind,
    running: Running,
    pub(crate) addresses: Vec<String>,
}

impl Fleet {
    /// Starts `count` nodes on 127.0.0.1. They ask `bootstrap`, or the first of them where that is empty.
    pub(crate) fn start(kind: Kind, count: usize, bootstrap: &[&str]) -> Result<Fleet, Failure> {
        Fleet::start_at(kind, &vec!["127.0.0.1:0"; count], bootstrap, Rules::Local)
    }

    /// Starts a node at each of the addresses.
    pub(crate) fn start_at(kind: Kind, listen: &[&str], bootstrap: &[&str], rules: Rules) -> Result<Fleet, Failure> {
        let mut command = kind.command()?;
        command.args(["--listen", &listen.join(",")]).args(["--bootstrap", &bootstrap.join(",")]);
        if rules == Rules::Local && kind == Kind::Libtorrent {
            command.arg("--local");
        }
        let running = Running::start(&format!("{}'s nodes", kind.name()), in_utf8(&mut command))?;
        let mut fleet = Fleet { kind, running, addresses: Vec::new() };
        fleet.addresses = strings(&fleet.answer("nodes")?["nodes"]);
        if fleet.addresses.len() != listen.len() {
            return Err(fleet.running.complain("lacks nodes"));
        }
        fleet.wait_joined()?;
        Ok(fleet)
    }

    /// Waits until the first, which is to store, has as many in its table as there are others, or as a bucket has, whoever they are.
    fn wait_joined(&mut self) -> Result<(), Failure> {
        let (what, count) = (format!("{} finds others", self.kind.name()), (self.addresses.len() - 1).min(8));
        until(&what, || self.known(0), |known| known.len() >= count).map(drop)
    }

    /// Waits until a node has these in its table.
    pub(crate) fn wait_known(&mut self, node: usize, nodes: &[&str]) -> Result<(), Failure> {
        let what = format!("a node of {} knows {nodes:?}", self.kind.name());
        let knows_all = |known: &Vec<String>| nodes.iter().all(|node| known.iter().any(|known| known == node));
        until(&what, || self.known(node), knows_all).map(drop)
    }

    /// The next line that it prints.
    fn answer(&mut self, to: &str) -> Result<Value, Failure> {
        let answer: Value = self.running.wait_line(to, |line| serde_json::from_str(line).ok())?;
        match answer["error"].as_str() {
            Some(error) => Err(self.running.complain(&format!("answers to {to:?}: {error}"))),
            None => Ok(answer),
        }
    }

    /// Has a node do something.
    pub(crate) fn ask(&mut self, node: usize, words: &str) -> Result<Value, Failure> {
        self.running.tell(&format!("{node} {words}"))?;
        self.answer(words)
    }

    fn ask_last(&mut self, words: &str) -> Result<Value, Failure> {
        self.ask(self.addresses.len() - 1, words)
    }

    /// The nodes that one of them has in its table.
    pub(crate) fn known(&mut self, node: usize) -> Result<Vec<String>, Failure> {
        Ok(strings(&self.ask(node, "known")?["known"]))
    }
}

/// A salt as the programs read it.
fn word(salt: &str) -> String {
    if salt.is_empty() { "-".to_owned() } else { hex(salt.as_bytes()) }
}

/// The text that an answer has.
fn value(answer: &Value) -> Option<String> {
    let digits = answer["value"].as_str()?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

impl Speaker for Fleet {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn host(&self) -> &str {
        self.addresses[0].rsplit_once(':').map_or("", |(host, _)| host)
    }

    fn announce(&mut self, hash: &str, port: u16) -> Result<(), Failure> {
        self.ask(0, &format!("announce {hash} {port}")).map(drop)
    }

    fn peers(&mut self, hash: &str) -> Result<Vec<String>, Failure> {
        Ok(strings(&self.ask_last(&format!("peers {hash}"))?["peers"]))
    }

    fn put(&mut self, text: &str) -> Result<String, Failure> {
        let answer = self.ask(0, &format!("put {}", hex(text.as_bytes())))?;
        answer["target"].as_str().map(str::to_owned).ok_or_else(|| self.running.complain("has stored nothing"))
    }

    fn get(&mut self, target: &str) -> Result<Option<String>, Failure> {
        Ok(value(&self.ask_last(&format!("get {target}"))?))
    }

    fn put_signed(&mut self, key: &Key, salt: &str, seq: i64, text: &str) -> Result<(), Failure> {
        let (salt, text) = (word(salt), hex(text.as_bytes()));
        let answer = self.ask(0, &format!("put-signed {} {} {salt} {seq} {text}", key.seed, key.public))?;
        if answer["seq"] == seq { Ok(()) } else { Err(self.running.complain(&format!("has not stored number {seq}"))) }
    }

    fn get_signed(&mut self, key: &Key, salt: &str) -> Result<Option<Signed>, Failure> {
        let answer = self.ask_last(&format!("get-signed {} {}", key.public, word(salt)))?;
        Ok(value(&answer).zip(answer["seq"].as_i64()).map(|(text, seq)| Signed { seq, text }))
    }
}
