//! Measures lookups in a DHT: how long until the first peers, until the end, and until an announce is stored.
//!
//! `dht_lookups --bootstrap IP:PORT,... [--count N] [--port N]` prints one line of JSON with milliseconds.
#![allow(clippy::disallowed_methods)] // a measurement needs a clock

use bip::proto::id::InfoHash;
use bip::session::dht::Dht;
use std::error::Error;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let (mut bootstrap, mut count, mut port) = (String::new(), 50u32, 0u16);
    let mut arguments = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        match name.as_str() {
            "--bootstrap" => bootstrap = value,
            "--count" => count = value.parse()?,
            "--port" => port = value.parse()?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let begin = Instant::now();
    let mut builder = Dht::builder().bind(([127, 0, 0, 1], port).into());
    for router in bootstrap.split(',').filter(|router| !router.is_empty()) {
        builder = builder.router(router.parse::<bip::dht::Router>()?);
    }
    let dht = builder.spawn()?;
    dht.bootstrapped().wait(PATIENCE)?;
    let bootstrapped = begin.elapsed();
    // The far buckets fill meanwhile.
    std::thread::sleep(Duration::from_secs(1));

    let (mut first, mut end, mut announce) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..count {
        let begin = Instant::now();
        let mut peers = dht.get_peers(hash(n, 1));
        if peers.next().is_some() {
            first.push(begin.elapsed());
        }
        peers.by_ref().for_each(drop);
        end.push(begin.elapsed());

        let begin = Instant::now();
        if dht.announce(hash(n, 2), Some(7000), false).wait(PATIENCE)?.nodes > 0 {
            announce.push(begin.elapsed());
        }
    }
    println!(
        "{{\"client_bootstrap_ms\":{:.1},\"get_peers_first\":{},\"get_peers_end\":{},\"announce\":{}}}",
        bootstrapped.as_secs_f64() * 1e3,
        summary(first),
        summary(end),
        summary(announce)
    );
    Ok(())
}

/// Gives a hash that nobody else asks for.
fn hash(n: u32, salt: u8) -> InfoHash {
    let mut seed = n.to_be_bytes().to_vec();
    seed.push(salt);
    InfoHash(bip::proto::sha1::Sha1::digest(&seed))
}

fn summary(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let ms = |place: usize| {
        times.get(place).map_or_else(|| "null".into(), |time| format!("{:.3}", time.as_secs_f64() * 1e3))
    };
    let n = times.len();
    let last = n.saturating_sub(1);
    format!(
        "{{\"n\":{n},\"median_ms\":{},\"p90_ms\":{},\"min_ms\":{},\"max_ms\":{}}}",
        ms(n / 2),
        ms((n * 9 / 10).min(last)),
        ms(0),
        ms(last)
    )
}
