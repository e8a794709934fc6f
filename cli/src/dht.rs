//! `bip dht`: peers, values, and nodes.

pub(crate) mod args;
mod key;

use crate::output::{Failure, Output, bytes, counted, printable, time};
use crate::signal::Signals;
use args::{Command, Ending, Entry, Target, hex};
use bip::dht::{Asked, Item, LookupStats, Rejection, Router, Signed, Status};
use bip::proto::krpc::item;
use bip::session::dht::{Answer, Builder, Dht, Error, Findings, Got, Next, Stored, Testnet};
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How often signals and the time are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often a node tells how it is.
const TELL: Duration = Duration::from_secs(1);
/// How often a node that goes on is looked after.
const CHECK: Duration = Duration::from_secs(1);
/// How long a node may take to save its state and end.
const END: Duration = Duration::from_secs(2);

/// Does what is asked for.
pub(crate) fn run(args: &args::Dht, output: &Output) -> Result<(), Failure> {
    match &args.command {
        Command::Peers(args) => peers(args, output),
        Command::Announce(args) => announce(args, output),
        Command::Put(args) => put(args, output),
        Command::Get(args) => get(args, output),
        Command::Key(args) => {
            let key = hex(&key::read_or_make(&args.file)?.public());
            if output.is_json() { output.json(&json!({ "key": key })) } else { output.line(key) }
        }
        Command::Node(args) => node(args, output),
        Command::Testnet(args) => testnet(args, output),
    }
}

fn failed(error: &Error) -> Failure {
    match error {
        Error::Bind { address, error } => Failure::new(address, crate::output::reason(error)),
        Error::State { path, error } => Failure::new(path.display(), crate::output::reason(error)),
        error => Failure::new("dht", error),
    }
}

fn is_loopback(router: &Router) -> bool {
    match router {
        Router::Address(address) => address.ip().is_loopback(),
        Router::Name(name, _) => name == "localhost",
    }
}

fn builder(entry: &Entry) -> Builder {
    let local = entry.local || (!entry.bootstrap.is_empty() && entry.bootstrap.iter().all(is_loopback));
    let mut builder = Dht::builder();
    if local {
        builder = builder.local_network();
    }
    if local && entry.listen.is_empty() {
        builder = builder.bind((Ipv4Addr::LOCALHOST, 0).into());
    }
    builder = entry.listen.iter().fold(builder, |builder, address| builder.bind(*address));
    entry.bootstrap.iter().fold(builder, |builder, router| builder.router(router.clone()))
}

/// A node that only asks, for what ends by itself.
struct Client {
    dht: Dht,
    signals: Signals,
    until: Instant,
}

impl Client {
    fn new(entry: &Entry, ending: &Ending) -> Result<Self, Failure> {
        let signals = Signals::install(true)?;
        let until =
            Instant::now().checked_add(ending.timeout).unwrap_or_else(|| Instant::now() + Duration::from_secs(1 << 30));
        let dht = builder(entry).read_only().spawn().map_err(|error| failed(&error))?;
        Ok(Self { dht, signals, until })
    }

    /// Looks whether to go on.
    fn check(&self) -> Result<(), Failure> {
        if self.signals.is_asked() {
            return Err(Failure::Interrupted);
        }
        if Instant::now() < self.until {
            return Ok(());
        }
        let nobody_yet = self.dht.status().traffic.replies_in == 0;
        Err(if nobody_yet { nobody() } else { Failure::new("dht", "not done in time") })
    }

    /// Waits for all that is found, and for how it ended; and says why it was ended early, where it was.
    fn all<T, E>(
        &self,
        mut findings: Findings<T, E>,
        mut each: impl FnMut(T) -> Result<(), Failure>,
    ) -> Result<(E, Option<Failure>), Failure> {
        let mut early = None;
        loop {
            if early.is_none() {
                // What was found is not lost with that.
                early = self.check().err();
                if early.is_some() {
                    findings.cancel();
                }
            }
            match findings.next_timeout(TICK) {
                Ok(Next::Found(found)) => each(found)?,
                Ok(Next::Waiting) => {}
                Ok(Next::Ended) => break,
                Err(error) => return Err(failed(&error)),
            }
        }
        match findings.try_end() {
            Some(Ok(end)) => Ok((end, early)),
            Some(Err(error)) => Err(early.unwrap_or_else(|| failed(&error))),
            None => Err(failed(&Error::Closed)),
        }
    }

    /// The same, where an early end is a failure.
    fn end<T, E>(&self, findings: Findings<T, E>) -> Result<E, Failure> {
        match self.all(findings, |_| Ok(()))? {
            (end, None) => Ok(end),
            (_, Some(early)) => Err(early),
        }
    }

    fn one<T>(&self, mut answer: Answer<T>) -> Result<T, Failure> {
        loop {
            self.check()?;
            if let Some(answer) = answer.wait_for(TICK) {
                return answer.map_err(|error| failed(&error));
            }
        }
    }
}

fn nobody() -> Failure {
    Failure::new("dht", "no node answered; name one that is there with --bootstrap")
}

fn stats(into: &mut Map<String, Value>, stats: &LookupStats) {
    into.insert("asked".into(), stats.asked.into());
    into.insert("answered".into(), stats.answered.into());
    into.insert("hops".into(), stats.hops.into());
    into.insert("took_ms".into(), (stats.took.as_micros() as f64 / 1e3).into());
}

fn peers(args: &args::Peers, output: &Output) -> Result<(), Failure> {
    let client = Client::new(&args.entry, &args.ending)?;
    let mut count = 0u64;
    let found = client.dht.find_peers(args.info_hash, false, args.scrape);
    let (end, early) = client.all(found, |peer| {
        count += 1;
        if output.is_json() { output.json(&json!({ "peer": peer.to_string() })) } else { output.line(peer) }
    })?;
    if output.is_json() {
        let mut done = Map::new();
        done.insert("done".into(), true.into());
        done.insert("peers".into(), count.into());
        stats(&mut done, &end.stats);
        if let Some(scrape) = end.scrape {
            done.insert("seeds".into(), scrape.seeds.into());
            done.insert("others".into(), scrape.peers.into());
        }
        output.json(&done.into())?;
    }
    if let Some(early) = early {
        return Err(early);
    }
    if end.stats.answered == 0 {
        return Err(nobody());
    }
    if output.is_json() {
        return Ok(());
    }
    let nodes = counted(end.stats.answered as u64, "node");
    output.note("dht", format_args!("{} from {nodes}", counted(count, "peer")));
    if let (true, scrape) = (args.scrape, end.scrape.unwrap_or_default()) {
        output.note(
            "dht",
            format_args!("about {} and {}", counted(scrape.seeds, "seed"), counted(scrape.peers, "other")),
        );
    }
    Ok(())
}

/// Tells how many nodes have taken something.
fn taken(nodes: usize, lookup: &LookupStats, rejection: Option<&Rejection>) -> Result<(), Failure> {
    match (nodes, rejection) {
        (1.., _) => Ok(()),
        (0, _) if lookup.answered == 0 => Err(nobody()),
        (0, Some(rejection)) => Err(Failure::new("dht", format_args!("no node has taken it: {rejection}"))),
        (0, None) => Err(Failure::new("dht", "no node has taken it")),
    }
}

fn announce(args: &args::Announce, output: &Output) -> Result<(), Failure> {
    let client = Client::new(&args.entry, &args.ending)?;
    let end = client.one(client.dht.announce(args.info_hash, Some(args.port), args.seed))?;
    if output.is_json() {
        let mut done = Map::new();
        done.insert("nodes".into(), end.nodes.into());
        stats(&mut done, &end.stats);
        output.json(&done.into())?;
    }
    taken(end.nodes, &end.stats, end.rejection.as_ref())?;
    if !output.is_json() {
        output.line(format_args!("announced to {}", counted(end.nodes as u64, "node")))?;
    }
    Ok(())
}

fn put(args: &args::Put, output: &Output) -> Result<(), Failure> {
    let value = if args.bencode {
        args.text.clone().into_bytes()
    } else {
        format!("{}:{}", args.text.len(), args.text).into_bytes()
    };
    if !item::is_value(&value) {
        let why = if args.bencode {
            "must be canonical bencode of at most 1,000 bytes"
        } else {
            "must be at most 996 bytes long"
        };
        return Err(Failure::usage("TEXT", why));
    }
    let Some(file) = &args.key else {
        let client = Client::new(&args.entry, &args.ending)?;
        let end = client.one(client.dht.put_immutable(&value))?;
        return stored(&end, &end.target.to_string(), None, output);
    };
    check_salt(&args.salt)?;
    let key = key::read(file)?;
    let client = Client::new(&args.entry, &args.ending)?;
    let (public, salt) = (key.public(), args.salt.as_bytes());
    let (mut seq, mut cas) = (args.seq, None);
    if seq.is_none() {
        let found: Got = client.end(client.dht.get_mutable(public, salt, None))?;
        // Somebody else with the same key may be at it too: what was seen is what is to be replaced.
        cas = match found.item {
            Some(Item::Mutable(signed)) => Some(signed.seq),
            _ => None,
        };
        seq = Some(cas.map_or(1, |cas| cas.saturating_add(1)));
    }
    let seq = seq.unwrap_or(1);
    let signature = key.sign(salt, seq, &value);
    let signed = Signed { key: public, salt: salt.to_vec(), seq, value, signature };
    let end = client.one(client.dht.put_mutable(signed, cas))?;
    stored(&end, &hex(&public), Some(seq), output)
}

fn check_salt(salt: &str) -> Result<(), Failure> {
    let fits = salt.len() <= bip::proto::krpc::MAX_SALT;
    if fits { Ok(()) } else { Err(Failure::usage("--salt", "must be at most 64 bytes long")) }
}

fn stored(end: &Stored, name: &str, seq: Option<i64>, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        let mut done = Map::new();
        done.insert("target".into(), end.target.to_string().into());
        if let Some(seq) = seq {
            done.insert("key".into(), name.into());
            done.insert("seq".into(), seq.into());
        }
        done.insert("nodes".into(), end.nodes.into());
        stats(&mut done, &end.stats);
        output.json(&done.into())?;
    }
    taken(end.nodes, &end.stats, end.rejection.as_ref())?;
    if !output.is_json() {
        let seq = seq.map_or(String::new(), |seq| format!(", number {seq}"));
        output.note("dht", format_args!("stored at {}{seq}", counted(end.nodes as u64, "node")));
        output.line(name)?;
    }
    Ok(())
}

fn get(args: &args::Get, output: &Output) -> Result<(), Failure> {
    check_salt(&args.salt)?;
    if let (Target::Hash(_), false) = (args.target, args.salt.is_empty()) {
        return Err(Failure::usage("--salt", "goes with a public key of 64 digits"));
    }
    let client = Client::new(&args.entry, &args.ending)?;
    let got = match args.target {
        Target::Hash(hash) => client.one(client.dht.get_immutable(bip::proto::id::NodeId(hash)))?,
        Target::Key(key) => client.end(client.dht.get_mutable(key, args.salt.as_bytes(), None))?,
    };
    let Some(item) = got.item else {
        return Err(if got.stats.answered == 0 { nobody() } else { Failure::new("dht", "nothing was found") });
    };
    let text = text(item.value());
    if output.is_json() {
        let mut found = Map::new();
        let target = match &item {
            Item::Immutable(value) => item::immutable_target(value),
            Item::Mutable(signed) => item::mutable_target(&signed.key, &signed.salt),
        };
        found.insert("target".into(), target.to_string().into());
        found.insert("value".into(), hex(item.value()).into());
        if let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) {
            found.insert("text".into(), text.into());
        }
        if let Item::Mutable(signed) = &item {
            found.insert("key".into(), hex(&signed.key).into());
            found.insert("salt".into(), args.salt.clone().into());
            found.insert("seq".into(), signed.seq.into());
            found.insert("signature".into(), hex(&signed.signature).into());
        }
        stats(&mut found, &got.stats);
        return output.json(&found.into());
    }
    if let Item::Mutable(signed) = &item {
        output.note("dht", format_args!("number {}", signed.seq));
    }
    // It is somebody else's: it must not do anything to the terminal.
    output.line(printable(&String::from_utf8_lossy(text.unwrap_or(item.value()))))
}

/// Gives the bytes of a value that is a string.
fn text(value: &[u8]) -> Option<&[u8]> {
    let colon = value.iter().position(|byte| *byte == b':')?;
    value.first().filter(|byte| byte.is_ascii_digit())?;
    value.get(colon + 1..)
}

fn node(args: &args::Node, output: &Output) -> Result<(), Failure> {
    let signals = Signals::install(true)?;
    let mut builder = builder(&args.entry);
    if args.read_only {
        builder = builder.read_only();
    }
    if args.queries {
        builder = builder.report_queries();
    }
    if let Some(state) = &args.state {
        builder = builder.state_file(state);
    }
    let dht = builder.spawn().map_err(|error| failed(&error))?;
    for address in dht.addresses() {
        if output.is_json() {
            output.json(&json!({ "ready": true, "addr": address.to_string() }))?;
        } else {
            output.line(format_args!("listening on {address}"))?;
        }
    }
    let begin = Instant::now();
    let mut next = begin + TELL;
    let mut live = output.live();
    while !signals.is_asked() {
        if !dht.is_alive() {
            return Err(failed(&Error::Closed));
        }
        if args.queries {
            while let Some(queried) = dht.try_query().map_err(|error| failed(&error))? {
                tell_query(&queried, output)?;
            }
        }
        if Instant::now() >= next {
            next = Instant::now() + TELL;
            let status = dht.status();
            if output.is_json() {
                tell_status(&status, begin.elapsed(), output)?;
            } else {
                live.set("dht", || show_status(&status, begin.elapsed()));
            }
        }
        // Queries are shown as they come; otherwise there is nothing to be awake for.
        signals.wait(if args.queries { TICK } else { next.saturating_duration_since(Instant::now()).min(CHECK) });
    }
    drop(live);
    dht.shut_down(END).map_err(|error| failed(&error))
}

fn tell_query(queried: &bip::dht::Queried, output: &Output) -> Result<(), Failure> {
    let from = queried.from.address;
    match &queried.ask {
        Asked::GetPeers(hash) if output.is_json() => {
            output.json(&json!({ "get_peers": hash.to_string(), "from": from.to_string() }))
        }
        Asked::GetPeers(hash) => output.line(format_args!("get_peers {hash} from {from}")),
        Asked::Announce { info_hash, peer, seed } if output.is_json() => output.json(
            &json!({ "announce": info_hash.to_string(), "peer": peer.to_string(), "seed": seed, "from": from.to_string() }),
        ),
        Asked::Announce { info_hash, peer, .. } => output.line(format_args!("announce {info_hash} of {peer}")),
        _ => Ok(()),
    }
}

/// Tells programs how a node is.
fn tell_status(status: &Status, up: Duration, output: &Output) -> Result<(), Failure> {
    let traffic = &status.traffic;
    let sides = status.sides.iter().map(|side| {
        json!({
            "addr": side.local.to_string(),
            "id": side.id.to_string(),
            "external": side.external.map(|ip| ip.to_string()),
            "nodes": side.nodes,
            "good": side.good,
            "bootstrapping": side.bootstrapping,
        })
    });
    output.json(&json!({
        "up_s": up.as_secs(),
        "nodes": nodes(status),
        "network_size": status.network_size,
        "memory": status.memory,
        "stored_peers": status.stored_peers,
        "stored_torrents": status.stored_torrents,
        "stored_items": status.stored_items,
        "queries_in": traffic.queries_in,
        "replies_out": traffic.replies_out,
        "errors_out": traffic.errors_out,
        "dropped": traffic.dropped,
        "banned": status.banned,
        "queries_out": traffic.queries_out,
        "replies_in": traffic.replies_in,
        "timeouts": traffic.timeouts,
        "malformed": traffic.malformed,
        "unsolicited": traffic.unsolicited,
        "received_bytes": traffic.received_bytes,
        "sent_bytes": traffic.sent_bytes,
        "sides": sides.collect::<Vec<_>>(),
    }))
}

fn nodes(status: &Status) -> usize {
    status.sides.iter().map(|side| side.nodes).sum()
}

/// Gives in a line how a node is.
fn show_status(status: &Status, up: Duration) -> String {
    let traffic = &status.traffic;
    let mut line = format!("{}: {}", time(up), counted(nodes(status) as u64, "node"));
    if let Some(size) = status.network_size {
        line += &format!(" of about {size}");
    }
    if nodes(status) == 0 && status.sides.iter().any(|side| side.bootstrapping) {
        line += ", looking for others";
    }
    line += &format!(
        ", {} answered, {} asked, {} in, {} out, {} and {} stored",
        traffic.replies_out,
        traffic.queries_out,
        bytes(traffic.received_bytes),
        bytes(traffic.sent_bytes),
        counted(status.stored_peers as u64, "peer"),
        counted(status.stored_items as u64, "item"),
    );
    if status.banned > 0 {
        line += &format!(", {} banned", counted(status.banned as u64, "host"));
    }
    line
}

fn testnet(args: &args::Testnet, output: &Output) -> Result<(), Failure> {
    let signals = Signals::install(true)?;
    let network = Testnet::spawn_at(args.listen, args.nodes as usize).map_err(|error| match &error {
        // Too many open files, by its number on all systems that have it.
        Error::Bind { error: system, .. } if system.raw_os_error() == Some(24) => {
            failed(&error).and("each node takes one; `ulimit -n` says how many a process may have")
        }
        error => failed(error),
    })?;
    let mut ready = false;
    while !signals.is_asked() {
        if !network.is_alive() {
            return Err(failed(&Error::Closed));
        }
        if ready {
            signals.wait(CHECK);
        } else if network.bootstrapped(TICK) {
            ready = true;
            let first: SocketAddr = network.bootstrap();
            if output.is_json() {
                output.json(&json!({ "ready": true, "addr": first.to_string(), "nodes": args.nodes }))?;
            } else {
                output.line(first)?;
            }
        }
    }
    Ok(())
}
