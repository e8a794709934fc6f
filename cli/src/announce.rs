//! `bip announce` and `bip scrape`: trackers, asked once.

pub(crate) mod args;

use crate::args::Authority;
use crate::output::{Failure, Output, counted, printable, time};
use crate::signal::Signals;
use crate::{magnet, torrent};
use args::{Announce, Event, Scrape};
use bip::proto::announce::{self as told, Progress};
use bip::proto::id::{InfoHash, PeerId};
use bip::proto::tracker_url::TrackerUrl;
use bip::session::tracker::{Answer, Error, Trackers};
use bip::tracker::client::{self, AnnounceReply, Trust};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often signals and the time are looked at.
const TICK: Duration = Duration::from_millis(50);

/// What is to be announced.
struct Named {
    info_hash: InfoHash,
    /// How many bytes it has.
    length: u64,
    /// In the order of their tiers.
    trackers: Vec<TrackerUrl>,
    /// Who named them.
    trust: Trust,
    /// Peers may come from one of them at a time only (BEP 27).
    private: bool,
}

/// Reads a torrent file, a magnet link or an info hash.
fn named(argument: &Path, output: &Output) -> Result<Named, Failure> {
    let (info_hash, length, urls, trust, private) = match magnet::read(argument) {
        Some(link) => {
            let magnet = link?.magnet;
            let hash = magnet.topic.v1().or_else(|| magnet.topic.v2().map(|hash| hash.truncated()));
            let hash = hash.ok_or_else(|| Failure::new(argument.display(), "the magnet link has no info hash"))?;
            // Links come from web pages.
            (hash, Progress::UNKNOWN, magnet.trackers, Trust::Stranger, false)
        }
        None => {
            let torrent = torrent::read(argument)?;
            let trackers = torrent.trackers().into_iter().flatten().collect();
            (torrent.info_hash(), torrent.total_length(), trackers, Trust::Local, torrent.is_private())
        }
    };
    let read = |url: &String| {
        let url = url.parse::<TrackerUrl>();
        url.map_err(|error| output.note(argument.display(), format_args!("a tracker is passed over: {error}"))).ok()
    };
    Ok(Named { info_hash, length, trackers: urls.iter().filter_map(read).collect(), trust, private })
}

fn start(authority: &Authority) -> Result<Trackers, Failure> {
    let config = client::Config { roots: authority.read()?, ..client::Config::default() };
    Trackers::builder().config(config).spawn().map_err(|error| Failure::new("trackers", error))
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new("random numbers", error))?;
    Ok(bytes)
}

/// Waits for an answer until a time, or until the user has enough.
fn wait<T>(mut answer: Answer<T>, until: Option<Instant>, signals: &Signals) -> Result<Result<T, Error>, Failure> {
    loop {
        if signals.is_asked() {
            return Err(Failure::Interrupted);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(answer.try_take().unwrap_or(Err(Error::Tracker(client::Error::TimedOut))));
        }
        if let Some(answer) = answer.wait_for(TICK) {
            return Ok(answer);
        }
    }
}

/// Announces a torrent once to its trackers, and tells what they answer.
pub(crate) fn announce(args: &Announce, output: &Output) -> Result<(), Failure> {
    let named = named(&args.torrent, output)?;
    let (all, trust, private) = if args.trackers.is_empty() {
        (named.trackers, named.trust, named.private)
    } else {
        (args.trackers.clone(), Trust::Local, false)
    };
    if all.is_empty() {
        return Err(Failure::new(args.torrent.display(), "has no tracker; name one with --tracker"));
    }
    let (event, left) = match args.event {
        None => (told::Event::None, named.length),
        Some(Event::Started) => (told::Event::Started, named.length),
        Some(Event::Stopped) => (told::Event::Stopped, named.length),
        Some(Event::Completed) => (told::Event::Completed, 0),
    };
    let left = if args.seed { 0 } else { left };
    let told = client::Announce {
        progress: Progress { left, ..Progress::default() },
        event,
        num_want: args.num_want,
        key: u32::from_be_bytes(random()?),
        ..client::Announce::new(named.info_hash, PeerId::from_random(random()?), args.port)
    };
    let signals = Signals::install(true)?;
    let trackers = start(&args.authority)?;
    let ask = |url| trackers.announce_by(url, trust, None, told.clone());
    let until = || Instant::now().checked_add(args.timeout);
    let mut answered = false;
    if private && args.event != Some(Event::Stopped) {
        for url in &all {
            if tell(url, wait(ask(url), until(), &signals)?, output)? {
                return Ok(());
            }
        }
    } else {
        // All at once: a slow one does not hold up the others.
        let (answers, until): (Vec<_>, _) = (all.iter().map(|url| (url, ask(url))).collect(), until());
        for (url, answer) in answers {
            answered |= tell(url, wait(answer, until, &signals)?, output)?;
        }
    }
    if answered { Ok(()) } else { Err(Failure::Known) }
}

/// Tells what became of one announce; says whether it was answered.
fn tell(url: &TrackerUrl, answer: Result<AnnounceReply, Error>, output: &Output) -> Result<bool, Failure> {
    match answer {
        Ok(reply) => {
            tell_reply(url, &reply, output)?;
            return Ok(true);
        }
        Err(error) if output.is_json() => {
            output.json(&json!({ "tracker": url.to_string(), "error": error.to_string() }))?;
        }
        Err(error) => output.fail(&Failure::new(url, printable(&error.to_string()))),
    }
    Ok(false)
}

fn tell_reply(url: &TrackerUrl, reply: &AnnounceReply, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        let peers: Vec<String> = reply.peers.iter().map(ToString::to_string).collect();
        return output.json(&json!({
            "tracker": url.to_string(),
            "peers": peers,
            "seeders": reply.seeders,
            "leechers": reply.leechers,
            "completed": reply.completed,
            "interval": reply.interval.as_secs(),
            "min_interval": reply.min_interval.map(|interval| interval.as_secs()),
            "warning": reply.warning,
            "external_ip": reply.external_ip.map(|ip| ip.to_string()),
        }));
    }
    for peer in &reply.peers {
        output.line(peer)?;
    }
    let counts = [(reply.seeders, "seeder"), (reply.leechers, "leecher")];
    let counts = counts.into_iter().filter_map(|(count, what)| Some(counted(count?.into(), what)));
    let mut words: Vec<String> = [counted(reply.peers.len() as u64, "peer")].into_iter().chain(counts).collect();
    words.push(format!("again in {}", time(reply.interval)));
    output.note(url, words.join(", "));
    if let Some(warning) = &reply.warning {
        output.note(url, format_args!("says: {warning}"));
    }
    Ok(())
}

/// Asks a tracker for the figures of torrents.
pub(crate) fn scrape(args: &Scrape, output: &Output) -> Result<(), Failure> {
    let hashes = args.torrents.iter().map(|torrent| named(torrent, output).map(|named| named.info_hash));
    let hashes: Vec<InfoHash> = hashes.collect::<Result<_, _>>()?;
    let signals = Signals::install(true)?;
    let until = Instant::now().checked_add(args.timeout);
    let trackers = start(&args.authority)?;
    let answer = wait(trackers.scrape(&args.tracker, hashes), until, &signals)?;
    let files = answer.map_err(|error| Failure::new(&args.tracker, printable(&error.to_string())))?;
    for file in files {
        let hash = file.info_hash.to_string();
        if output.is_json() {
            let (seeders, leechers) = (file.complete, file.incomplete);
            let figures: Value =
                json!({ "info_hash": hash, "seeders": seeders, "leechers": leechers, "completed": file.downloaded });
            output.json(&figures)?;
            continue;
        }
        let counts = [(file.complete, "seeder"), (file.incomplete, "leecher"), (file.downloaded, "download")];
        let words: Vec<String> =
            counts.iter().filter_map(|(count, what)| Some(counted((*count)?.into(), what))).collect();
        let words = if words.is_empty() { "not known to the tracker".to_owned() } else { words.join(", ") };
        output.line(format_args!("{hash} {words}"))?;
    }
    Ok(())
}
