//! `bip tracker`: a tracker for others.

use crate::output::{Failure, Output, counted, reason, time};
use crate::signal::Signals;
use bip::reactor::Reactor;
use bip::session::tracker_server::{Error, TrackerServer};
use bip::tracker::server::{Access, Config, Figures, HashList, SwarmLimits};
use clap::Args;
use serde_json::json;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

/// How often it tells how it is.
const TELL: Duration = Duration::from_secs(1);
/// How often signals are looked at while it serves on this thread.
const TICK: Duration = Duration::from_millis(200);
/// How long it may take to end.
const END: Duration = Duration::from_secs(2);
/// Files that it may want to have open: 4,000 connections over HTTP, and as much again for those that come and go.
#[cfg(unix)]
const FILES: u64 = 8_192;
/// What is told where a list cannot be taken.
const STAYS: &str = "the list stays as it was";
/// The port where none is given: what trackers have by custom.
const PORT: u16 = 6969;

/// Be a tracker: tell peers of a torrent of one another, over UDP and HTTP, until Ctrl-C or SIGTERM.
///
/// Prints `listening on URL` for each address, the URLs being what a torrent has for its tracker, then, on stderr, how it is: a line that changes on a
/// terminal, else one now and then, in the end every minute. With --json it prints `{"ready":true,"udp":["ADDR:PORT"],"http":[],"metrics":[]}`, then
/// every second a line of its figures: `up_s`, `torrents`, `peers`, `seeds`, and what was answered since the start (`connects`, `announces`,
/// `scrapes`, `refused`), not answered (`invalid_ids`, `garbage`) and is open (`connections`). What it knows is in memory alone.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bip tracker
  bip tracker --udp 192.0.2.1:6969 --udp '[2001:db8::1]:6969' --workers 2
  bip tracker --http 127.0.0.1:8080 --proxy 127.0.0.1 --allow torrents.txt --metrics 127.0.0.1:9100")]
pub(crate) struct Tracker {
    /// Where to answer over UDP; may be given several times; port 0 takes any [default: all addresses, port 6969, unless --http is given]. On a host
    /// with several addresses name each: of all of them, an answer may leave from another than the one that was asked, and is lost
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) udp: Vec<SocketAddr>,

    /// Where to answer over HTTP; may be given several times; port 0 takes any [default: all addresses, port 6969, unless --udp is given]. At most 4,000
    /// connections are open at a time, 100 of each address: it may open up to 8,192 files, if the hard limit (`ulimit -Hn`) is not less
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) http: Vec<SocketAddr>,

    /// Serve the torrents in this file alone: an info hash of 40 hexadecimal digits at the start of each line; lines with # are left out. Read again on
    /// SIGHUP
    #[arg(long, value_name = "FILE")]
    pub(crate) allow: Option<PathBuf>,

    /// Serve all torrents but those in this file. Read again on SIGHUP
    #[arg(long, value_name = "FILE", conflicts_with = "allow")]
    pub(crate) deny: Option<PathBuf>,

    /// How many seconds clients are asked to wait between announces; they are forgotten half as long again after the last one
    #[arg(long, value_name = "SECS", default_value_t = 1800, value_parser = clap::value_parser!(u32).range(1..=43_200))]
    pub(crate) interval: u32,

    /// How many threads answer over UDP
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,

    /// Show the figures, for Prometheus, at http://ADDR:PORT/metrics, to anybody who can connect there
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) metrics: Vec<SocketAddr>,

    /// A proxy through which clients come over HTTP; may be given several times, for a chain of them all. From these alone, the last address in
    /// X-Forwarded-For that is none of them is the client's
    #[arg(long, value_name = "ADDR")]
    pub(crate) proxy: Vec<IpAddr>,

    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// Does what is asked for.
pub(crate) fn run(args: &Tracker, output: &Output) -> Result<(), Failure> {
    let mut signals = Signals::install(true)?;
    if args.allow.is_some() || args.deny.is_some() {
        signals.notice_hangups()?;
    }
    let access = read_access(args)?;
    raise_files();
    let (tracker, mut own) = start(args, access)?;
    tell_addresses(&tracker, output)?;
    let begin = Instant::now();
    let (mut next, mut last) = (begin + TELL, Figures::default());
    let (mut live, mut reload) = (output.live(), Reload::default());
    while !signals.is_asked() {
        if !tracker.is_alive() {
            return Err(failed(Error::Closed));
        }
        if signals.take_hangup() {
            reload.begin(args);
        }
        reload.go_on(args, &tracker, output)?;
        let now = Instant::now();
        if now >= next {
            next = now + TELL;
            let figures = tracker.figures();
            if output.is_json() {
                output.json(&json(&figures, begin.elapsed()))?;
            } else {
                let rate = figures.answers().saturating_sub(last.answers());
                live.set("tracker", || line(&figures, rate, begin.elapsed()));
            }
            last = figures;
        }
        let left = next.saturating_duration_since(Instant::now());
        match &mut own {
            // A signal ends the wait, or comes between waits.
            Some(reactor) => {
                reactor.turn(Some(left.min(TICK))).map_err(|error| Failure::new("tracker", reason(&error)))?
            }
            None => {
                signals.wait(left);
            }
        }
    }
    drop(live);
    match own {
        Some(reactor) => reactor.shutdown(END).map_err(|error| Failure::new("tracker", error)),
        None => tracker.shut_down(END).map_err(failed),
    }
}

/// Has the system permit as many open files as the connections may need: the usual 1,024 are less than a tracker's.
#[cfg(unix)]
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(FILES, |most| most.min(FILES));
    if limit.current.is_some_and(|current| current < most) {
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }) {
            log::warn!("permitting {most} open files: {error}");
        }
    }
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
fn raise_files() {}

fn failed(error: Error) -> Failure {
    match error {
        Error::Bind { address, error } => Failure::new(address, reason(&error)),
        error => Failure::new("tracker", error),
    }
}

/// Reads the list that is named on the command line.
fn read_access(args: &Tracker) -> Result<Access, Failure> {
    Ok(match (&args.allow, &args.deny) {
        (Some(path), _) => Access::Allow(read_list(path)?),
        (None, Some(path)) => Access::Deny(read_list(path)?),
        (None, None) => Access::All,
    })
}

fn read_list(path: &Path) -> Result<HashList, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::new(path.display(), reason(&error)))?;
    HashList::parse(&text).map_err(|error| Failure::new(path.display(), error))
}

/// A list that is read again, on a thread of its own: with millions of lines that takes seconds, in which clients are answered.
#[derive(Debug, Default)]
struct Reload {
    /// Where the list comes from that is being read.
    reading: Option<Receiver<Result<Access, Failure>>>,
    /// The file may have changed since it was begun to be read.
    again: bool,
    /// What has been read, and the tracker was too busy for.
    read: Option<Access>,
}

impl Reload {
    /// Begins to read the list.
    fn begin(&mut self, args: &Tracker) {
        self.again = self.reading.is_some();
        if self.again {
            return;
        }
        let (args, (send, receive)) = (args.clone(), mpsc::channel());
        // The thread is left behind when the tool ends.
        std::thread::spawn(move || send.send(read_access(&args)));
        self.reading = Some(receive);
    }

    /// Takes a list that has been read; one that cannot be read leaves the old one.
    fn go_on(&mut self, args: &Tracker, tracker: &TrackerServer, output: &Output) -> Result<(), Failure> {
        match self.reading.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => {}
            Some(result) => {
                self.reading = None;
                if self.again {
                    self.begin(args);
                }
                match result {
                    Ok(Ok(access)) => self.read = Some(access),
                    Ok(Err(failure)) => output.fail(&failure.and(STAYS)),
                    Err(_) => output.fail(&Failure::new("reading the list", "its thread ended").and(STAYS)),
                }
            }
        }
        let Some(access) = self.read.take() else { return Ok(()) };
        match tracker.set_access(access.clone()) {
            Ok(listed) if output.is_json() => output.json(&json!({ "reloaded": true, "listed": listed }))?,
            Ok(listed) => output.note("tracker", format_args!("{} listed", counted_hashes(listed))),
            // The next time.
            Err(Error::Busy) => self.read = Some(access),
            Err(error) => output.fail(&failed(error).and(STAYS)),
        }
        Ok(())
    }
}

fn counted_hashes(count: usize) -> String {
    if count == 1 { "1 info hash".to_owned() } else { format!("{count} info hashes") }
}

/// Starts it. One worker needs no thread but this one: where a process has a single thread, the system has less to do for each datagram.
fn start(args: &Tracker, access: Access) -> Result<(TrackerServer, Option<Reactor>), Failure> {
    let interval = Duration::from_secs(args.interval.into());
    let make = |udp: &[SocketAddr], http: &[SocketAddr]| {
        let config = Config { interval, proxies: args.proxy.clone(), ..Config::default() };
        let limits = SwarmLimits { peer_timeout: interval + interval / 2, ..SwarmLimits::default() };
        let mut builder = TrackerServer::builder().config(config).swarms(limits).access(access.clone());
        builder = builder.workers(args.workers.into());
        builder = udp.iter().fold(builder, |builder, address| builder.udp(*address));
        builder = http.iter().fold(builder, |builder, address| builder.http(*address));
        let builder = args.metrics.iter().fold(builder, |builder, address| builder.metrics(*address));
        if args.workers > 1 {
            return builder.spawn().map(|tracker| (tracker, None));
        }
        builder.in_caller().map(|(tracker, reactor)| (tracker, Some(reactor)))
    };
    if !args.udp.is_empty() || !args.http.is_empty() {
        return make(&args.udp, &args.http).map_err(failed);
    }
    let any_v6 = [SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT))];
    match make(&any_v6, &any_v6) {
        // A host without IPv6.
        Err(Error::Bind { error, .. }) if is_no_family(&error) => {
            let any_v4 = [SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))];
            make(&any_v4, &any_v4).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Says whether the system has no addresses of a family.
fn is_no_family(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(97)
}

fn tell_addresses(tracker: &TrackerServer, output: &Output) -> Result<(), Failure> {
    let (udp, http, metrics) = (tracker.udp(), tracker.http(), tracker.metrics());
    if output.is_json() {
        let texts = |addresses: &[SocketAddr]| addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>();
        return output
            .json(&json!({ "ready": true, "udp": texts(udp), "http": texts(http), "metrics": texts(metrics) }));
    }
    udp.iter().try_for_each(|address| output.line(format_args!("listening on udp://{address}")))?;
    http.iter().try_for_each(|address| output.line(format_args!("listening on http://{address}/announce")))?;
    metrics.iter().try_for_each(|address| output.line(format_args!("figures on http://{address}/metrics")))
}

/// Gives the figures for programs.
fn json(figures: &Figures, up: Duration) -> serde_json::Value {
    let swarms = &figures.swarms;
    json!({
        "up_s": up.as_secs(),
        "torrents": swarms.torrents,
        "peers": swarms.peers(),
        "seeds": swarms.seeds_v4 + swarms.seeds_v6,
        "peers_v6": swarms.seeds_v6 + swarms.leeches_v6,
        "connects": figures.connects,
        "announces": figures.announces(),
        "scrapes": figures.scrapes(),
        "refused": figures.udp_refusals + figures.http_refusals,
        "invalid_ids": figures.invalid_ids,
        "garbage": figures.garbage,
        "http_errors": figures.http_errors,
        "connections": figures.open(),
        "peers_given": figures.peers_given,
    })
}

/// Gives in a line how it is.
fn line(figures: &Figures, rate: u64, up: Duration) -> String {
    let swarms = &figures.swarms;
    let seeds = (swarms.seeds_v4 + swarms.seeds_v6) as u64;
    format!(
        "{}: {}, {}, {} of them, {rate} answers/s, {} and {} in all",
        time(up),
        counted(swarms.torrents as u64, "torrent"),
        counted(swarms.peers() as u64, "peer"),
        counted(seeds, "seed"),
        counted(figures.announces(), "announce"),
        counted(figures.scrapes(), "scrape"),
    )
}
