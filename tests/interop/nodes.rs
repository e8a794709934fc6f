//! Nodes of the DHT by bip, and what nodes of all kinds can do.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Instant;

use bip::dht;
use bip::proto::id::{InfoHash, NodeId};
use bip::proto::krpc::item::SigningKey;
use bip::session::dht::{Dht, Sample};
use serde_json::Value;

use crate::process::{Failure, GLANCE, PATIENCE, Running};
use crate::tool::{self, Args};

/// A key to sign with, in hexadecimal digits, as `bip dht key` makes it.
pub(crate) struct Key {
    pub(crate) seed: String,
    pub(crate) public: String,
}

impl Key {
    /// Makes one, in a new file.
    pub(crate) fn new(file: &Path) -> Result<Key, Failure> {
        let public = tool::run(&[&"dht", &"key", &file])?.text()?.trim().to_owned();
        let seed = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?.trim().to_owned();
        Ok(Key { seed, public })
    }

    fn signer(&self) -> Result<SigningKey, Failure> {
        let digits = |at: usize| u8::from_str_radix(self.seed.get(at..at + 2)?, 16).ok();
        let seed: Option<Vec<u8>> = (0..64).step_by(2).map(digits).collect();
        let seed: Option<[u8; 32]> = seed.and_then(|seed| seed.try_into().ok());
        seed.map(|seed| SigningKey::from_seed(&seed)).ok_or_else(|| format!("{:?} is no key", self.seed))
    }
}

/// What somebody has signed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) seq: i64,
    pub(crate) text: String,
}

/// What uses the DHT. What is not found is no failure.
pub(crate) trait Speaker {
    fn name(&self) -> &'static str;
    /// The address from which it announces.
    fn host(&self) -> &str;
    /// Announces a peer. It may go on when this is over.
    fn announce(&mut self, hash: &str, port: u16) -> Result<(), Failure>;
    /// Finds peers, `address:port`.
    fn peers(&mut self, hash: &str) -> Result<Vec<String>, Failure>;
    /// Stores a text, and gives its target.
    fn put(&mut self, text: &str) -> Result<String, Failure>;
    fn get(&mut self, target: &str) -> Result<Option<String>, Failure>;
    /// Stores a text that is signed, with a sequence number that follows that of the one before.
    fn put_signed(&mut self, key: &Key, salt: &str, seq: i64, text: &str) -> Result<(), Failure>;
    /// Finds the newest.
    fn get_signed(&mut self, key: &Key, salt: &str) -> Result<Option<Signed>, Failure>;
}

/// A node of ours in this process.
pub(crate) struct Ours {
    dht: Dht,
    host: String,
}

impl Ours {
    /// Starts one on 127.0.0.1.
    pub(crate) fn start(bootstrap: &str) -> Result<Ours, Failure> {
        Ours::start_at("127.0.0.1", bootstrap)
    }

    /// Starts one at any port of an address, and waits until it has found others.
    pub(crate) fn start_at(host: &str, bootstrap: &str) -> Result<Ours, Failure> {
        let dht = Dht::builder().bind(address(&format!("{host}:0"))?).router(address(bootstrap)?).spawn();
        let dht = dht.map_err(|error| format!("a node of this process: {error}"))?;
        done(dht.bootstrapped().wait(PATIENCE)).and_then(|nodes| match nodes {
            0 => Err(format!("a node of this process has found nobody through {bootstrap}")),
            _ => Ok(Ours { dht, host: host.to_owned() }),
        })
    }

    /// Announces a peer, or a seed.
    pub(crate) fn announce_as(&self, hash: &str, port: u16, seed: bool) -> Result<(), Failure> {
        let announced = done(self.dht.announce(info_hash(hash)?, Some(port), seed).wait(PATIENCE))?;
        if announced.nodes > 0 { Ok(()) } else { Err(format!("bip's announce is taken by nobody: {announced:?}")) }
    }

    /// What nodes near a hash tell of what they know peers of.
    pub(crate) fn samples(&self, hash: &str) -> Result<Vec<Sample>, Failure> {
        Ok(self.dht.sample(NodeId(info_hash(hash)?.0)).collect())
    }
}

fn done<T>(answer: Result<T, impl std::fmt::Display>) -> Result<T, Failure> {
    answer.map_err(|error| format!("a node of this process: {error}"))
}

fn address(text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

fn info_hash(text: &str) -> Result<InfoHash, Failure> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

/// The bencode of a text, and back.
fn bencode(text: &str) -> Vec<u8> {
    format!("{}:{text}", text.len()).into_bytes()
}

fn text(item: &dht::Item) -> Option<String> {
    let text = String::from_utf8(item.value().to_vec()).ok()?;
    text.split_once(':').map(|(_, text)| text.to_owned())
}

impl Speaker for Ours {
    fn name(&self) -> &'static str {
        "bip"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn announce(&mut self, hash: &str, port: u16) -> Result<(), Failure> {
        self.announce_as(hash, port, false)
    }

    fn peers(&mut self, hash: &str) -> Result<Vec<String>, Failure> {
        Ok(self.dht.get_peers(info_hash(hash)?).map(|peer| peer.to_string()).collect())
    }

    fn put(&mut self, text: &str) -> Result<String, Failure> {
        let stored = done(self.dht.put_immutable(&bencode(text)).wait(PATIENCE))?;
        if stored.nodes == 0 {
            return Err(format!("bip's item is taken by nobody: {stored:?}"));
        }
        Ok(stored.target.to_string())
    }

    fn get(&mut self, target: &str) -> Result<Option<String>, Failure> {
        let got = done(self.dht.get_immutable(NodeId(info_hash(target)?.0)).wait(PATIENCE))?;
        Ok(got.item.as_ref().and_then(text))
    }

    fn put_signed(&mut self, key: &Key, salt: &str, seq: i64, text: &str) -> Result<(), Failure> {
        let (signer, salt, value) = (key.signer()?, salt.as_bytes(), bencode(text));
        let signature = signer.sign(salt, seq, &value);
        let signed = dht::Signed { key: signer.public(), salt: salt.to_vec(), seq, value, signature };
        // What is replaced is the one before, and no other.
        let stored = done(self.dht.put_mutable(signed, (seq > 1).then_some(seq - 1)).wait(PATIENCE))?;
        match (stored.nodes, &stored.rejection) {
            (1.., None) => Ok(()),
            _ => Err(format!("bip's number {seq} is not taken by all: {stored:?}")),
        }
    }

    fn get_signed(&mut self, key: &Key, salt: &str) -> Result<Option<Signed>, Failure> {
        let found = self.dht.get_mutable(key.signer()?.public(), salt.as_bytes(), None);
        let newest = found.last();
        Ok(newest.and_then(|item| match &item {
            dht::Item::Mutable(signed) => Some(Signed { seq: signed.seq, text: text(&item)? }),
            _ => None,
        }))
    }
}

/// `bip dht peers` and `bip dht get`, each a node of its own that only asks, and is gone.
pub(crate) struct Tool {
    /// Where they are.
    pub(crate) host: String,
    /// Whom they ask first.
    pub(crate) bootstrap: String,
}

impl Tool {
    /// One on 127.0.0.1.
    pub(crate) fn new(bootstrap: &str) -> Tool {
        Tool { host: "127.0.0.1".to_owned(), bootstrap: bootstrap.to_owned() }
    }

    fn run(&self, args: Args<'_>) -> Result<Vec<Value>, Failure> {
        let listen = format!("{}:0", self.host);
        let more: Args<'_> = &[&"--json", &"--listen", &listen, &"--bootstrap", &self.bootstrap];
        let ended = tool::run(&[&[&"dht" as &dyn AsRef<std::ffi::OsStr>], args, more].concat())?;
        let lines = ended.text()?.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        lines.map_err(|error| ended.complain(&format!("wrote no JSON: {error}")))
    }

    /// Finds peers, `address:port`.
    pub(crate) fn peers(&self, hash: &str) -> Result<Vec<String>, Failure> {
        let lines = self.run(&[&"peers", &hash])?;
        Ok(lines.iter().filter_map(|line| line["peer"].as_str()).map(str::to_owned).collect())
    }

    /// Counts the seeds and the other peers.
    pub(crate) fn scrape(&self, hash: &str) -> Result<(u64, u64), Failure> {
        let lines = self.run(&[&"peers", &hash, &"--scrape"])?;
        let last = lines.last().unwrap_or(&Value::Null);
        let counts = last["seeds"].as_u64().zip(last["others"].as_u64());
        counts.ok_or_else(|| format!("bip dht peers --scrape says {last}"))
    }

    /// Gets an item: of a target, or of a key.
    pub(crate) fn get(&self, target: &str, salt: &str) -> Result<Value, Failure> {
        let mut lines = self.run(&[&"get", &target, &"--salt", &salt])?;
        lines.pop().ok_or_else(|| "bip dht get says nothing".to_owned())
    }
}

/// A `bip dht node`.
pub(crate) struct Node {
    running: Running,
    pub(crate) address: String,
}

impl Node {
    /// Starts one on 127.0.0.1, the first of its network where it has nobody to ask.
    pub(crate) fn start(bootstrap: &[&str]) -> Result<Node, Failure> {
        Node::start_at("127.0.0.1:0", bootstrap)
    }

    /// Starts one at an address.
    pub(crate) fn start_at(listen: &str, bootstrap: &[&str]) -> Result<Node, Failure> {
        let bootstrap = bootstrap.join(",");
        let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"dht", &"node", &"--json", &"--listen", &listen];
        if !bootstrap.is_empty() {
            args.extend([&"--bootstrap" as &dyn AsRef<std::ffi::OsStr>, &bootstrap]);
        }
        let mut running = tool::start(&args)?;
        let address = running.wait_line("ready", |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["ready"].as_bool()?.then(|| line["addr"].as_str().map(str::to_owned))?
        })?;
        Ok(Node { running, address })
    }

    /// Starts `count` of them, which ask the first.
    pub(crate) fn start_many(count: usize) -> Result<Vec<Node>, Failure> {
        let mut nodes: Vec<Node> = Vec::new();
        for _ in 0..count {
            let first: Vec<&str> = nodes.first().map(|node| node.address.as_str()).into_iter().collect();
            nodes.push(Node::start(&first)?);
        }
        Ok(nodes)
    }

    /// Waits for a status that is `wanted`.
    pub(crate) fn wait_status(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<(), Failure> {
        self.running.wait_line(what, |line| {
            let status: Value = serde_json::from_str(line).ok()?;
            (status["nodes"].is_u64() && wanted(&status)).then_some(())
        })
    }

    /// Gives its id.
    pub(crate) fn id(&mut self) -> Result<String, Failure> {
        self.running.wait_line("its id", |line| {
            let status: Value = serde_json::from_str(line).ok()?;
            status["sides"][0]["id"].as_str().map(str::to_owned)
        })
    }

    /// Waits until it has so many nodes in its table.
    pub(crate) fn wait_nodes(&mut self, count: u64) -> Result<(), Failure> {
        self.wait_status(&format!("{count} nodes"), |status| status["nodes"].as_u64() >= Some(count))
    }
}

/// Asks again and again, until the answer is the one that is waited for.
pub(crate) fn until<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl FnMut() -> Result<T, Failure>,
    wanted: impl Fn(&T) -> bool,
) -> Result<T, Failure> {
    let deadline = Instant::now() + PATIENCE / 2;
    loop {
        let answer = ask()?;
        if wanted(&answer) {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(format!("{what}: {answer:?} is all that there is"));
        }
        thread::sleep(GLANCE);
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The strings in a list.
pub(crate) fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
