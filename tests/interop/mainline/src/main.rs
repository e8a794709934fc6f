//! Nodes of the DHT by the `mainline` crate, for an interop test.
//!
//! ```text
//! mainline-node --listen ADDR:PORT,... [--bootstrap ADDR:PORT,...]
//! ```
//!
//! What it prints and reads is as with `lt_dht.py`, without `seed` and `sample`. On loopback and in private networks it has no rules about
//! addresses and ids; it must be told to be a server, for it takes itself to be behind a firewall there.

// What does not need an async runtime is deprecated, and this is to be small.
#![allow(deprecated)]

use mainline::{Dht, Id, MutableItem, SigningKey};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddrV4;
use std::str::FromStr as _;
use std::time::Duration;

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_millis(500);

type Outcome = Result<String, Box<dyn Error>>;

fn option(name: &str) -> Vec<String> {
    let value = std::env::args().skip_while(|arg| arg != name).nth(1).unwrap_or_default();
    value.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

fn unhex_salt(text: &str) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
    if text == "-" { Ok(None) } else { unhex(text).map(Some) }
}

fn list<T: ToString>(name: &str, items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("\"{}\"", item.to_string())).collect();
    format!("{{\"{name}\":[{}]}}", items.join(","))
}

fn key(text: &str) -> Result<[u8; 32], Box<dyn Error>> {
    unhex(text)?.try_into().map_err(|_| "a key of another length".into())
}

fn obey(dht: &Dht, words: &[&str]) -> Outcome {
    match words {
        ["known"] => {
            // It looks for others when it starts, and then not for a long while.
            dht.bootstrapped();
            Ok(list("known", dht.to_bootstrap()))
        }
        ["announce", hash, port] => {
            dht.announce_peer(Id::from_str(hash)?, Some(port.parse()?))?;
            Ok("{}".into())
        }
        ["peers", hash] => Ok(list("peers", dht.get_peers(Id::from_str(hash)?).flatten())),
        ["put", value] => Ok(format!("{{\"target\":\"{}\"}}", dht.put_immutable(&unhex(value)?)?)),
        ["get", target] => Ok(match dht.get_immutable(Id::from_str(target)?) {
            Some(value) => format!("{{\"value\":\"{}\"}}", hex(&value)),
            None => "{\"value\":null}".into(),
        }),
        ["put-signed", seed, _, salt, seq, value] => {
            let signer = SigningKey::from_bytes(&key(seed)?);
            let item = MutableItem::new(signer, &unhex(value)?, seq.parse()?, unhex_salt(salt)?.as_deref());
            dht.put_mutable(item, None)?;
            Ok(format!("{{\"seq\":{seq}}}"))
        }
        ["get-signed", public, salt] => {
            Ok(match dht.get_mutable_most_recent(&key(public)?, unhex_salt(salt)?.as_deref()) {
                Some(item) => format!("{{\"value\":\"{}\",\"seq\":{}}}", hex(item.value()), item.seq()),
                None => "{\"value\":null,\"seq\":null}".into(),
            })
        }
        _ => Err("no such command".into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let bootstrap = option("--bootstrap");
    let (mut nodes, mut addresses) = (Vec::new(), Vec::<SocketAddrV4>::new());
    for listen in option("--listen") {
        let listen: SocketAddrV4 = listen.parse()?;
        let mut builder = Dht::builder();
        builder.server_mode().bind_address(*listen.ip()).port(listen.port()).request_timeout(TIMEOUT);
        match (bootstrap.is_empty(), addresses.first()) {
            (false, _) => builder.bootstrap(&bootstrap),
            (true, Some(first)) => builder.bootstrap(&[first]),
            (true, None) => builder.no_bootstrap(),
        };
        let dht = builder.build()?;
        addresses.push(dht.info().local_addr());
        nodes.push(dht);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{}", list("nodes", &addresses))?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words.split_first() {
            Some((node, words)) => obey(&nodes[node.parse::<usize>()?], words),
            None => Err("an empty line".into()),
        };
        // What goes wrong is told in plain English words, which are quoted alike in JSON.
        writeln!(out, "{}", answer.unwrap_or_else(|error| format!("{{\"error\":{:?}}}", error.to_string())))?;
        out.flush()?;
    }
    Ok(())
}
