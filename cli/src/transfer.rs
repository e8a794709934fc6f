//! `bip get` and `bip seed`.

use crate::args::{Get, Network, Seed};
use crate::output::{Failure, Output, Progress, bytes, counted, files_failure, percent, printable, rate, reason, time};
use crate::signal::Signals;
use crate::torrent;
use bip::disk::Oddity;
use bip::machine::TorrentId;
use bip::proto::metainfo::Metainfo;
use bip::session::{self, AddError, Event, Session, State, Status};
use serde_json::json;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Where peers are accepted unless the user says otherwise, and how many further ports are tried.
const PORT: u16 = 6881;
const SPARE_PORTS: u16 = 100;
/// How often signals, the time and the status are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long the peers that were named may all be out of reach before the user is told how to learn why.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often `--json` tells of progress at most.
const JSON_INTERVAL: Duration = Duration::from_secs(1);
/// How long the session may take to end, within the two seconds that Ctrl-C may take.
pub(crate) const SHUT_DOWN: Duration = Duration::from_millis(1_500);

pub(crate) fn get(args: &Get, output: &Output) -> Result<(), Failure> {
    // A timeout beyond what the clock can say is none.
    let until = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let torrent = torrent::read(&args.torrent)?;
    if args.network.peers.is_empty() && args.network.listen.is_empty() {
        return Err(Failure::new(
            torrent::name(&args.torrent),
            "no source of peers: name one with --peer, or let them come with --listen",
        ));
    }
    let goal = Goal::Get { seed: args.seed, until };
    run(&torrent, &args.torrent, &args.dir, &args.network, goal, output)
}

pub(crate) fn seed(args: &Seed, output: &Output) -> Result<(), Failure> {
    let torrent = torrent::read(&args.torrent)?;
    if let Err(error) = std::fs::read_dir(&args.dir) {
        return Err(Failure::new(args.dir.display(), reason(&error)));
    }
    torrent::find(&torrent, &args.dir)?;
    run(&torrent, &args.torrent, &args.dir, &args.network, Goal::Seed, output)
}

/// What the user is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Get { seed: bool, until: Option<Instant> },
    Seed,
}

/// Why a transfer ended without anything going wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    Signal,
    OutOfTime,
}

fn run(
    torrent: &Metainfo,
    path: &Path,
    dir: &Path,
    network: &Network,
    goal: Goal,
    output: &Output,
) -> Result<(), Failure> {
    let signals = Signals::install(true)?;
    torrent::tell_warnings(output, path, torrent);
    let until = if let Goal::Get { until, .. } = goal { until } else { None };
    // Without any peer to go to, somebody must be able to come.
    let may_wait = goal == Goal::Seed || !network.listen.is_empty();
    let peers = resolve(&network.peers, may_wait, &signals, until, output)?;
    let session = open(&network.listen)?;
    let added = if goal == Goal::Seed { session.add_read_only(torrent, dir) } else { session.add(torrent, dir) };
    let id = added.map_err(session_failure)?;
    for peer in peers {
        session.add_peer(id, peer).map_err(session_failure)?;
    }
    let mut transfer = Transfer {
        output,
        torrent,
        name: torrent::name(path),
        dir,
        goal,
        session: &session,
        id,
        started: Instant::now(),
        progress: output.progress("checking", torrent.total_length()),
        checked: None,
        came: 0,
        complete: false,
        alone: !network.peers.is_empty(),
        met: Met::Nobody,
        told: None,
    };
    let result = transfer.drive(&signals, until);
    let complete = transfer.complete;
    let verified = transfer.verified();
    drop(transfer);
    // Also after a failure: what came in is written, and peers are told goodbye.
    let ended = session.shut_down(SHUT_DOWN);
    match result? {
        Ending::Complete => ended.map_err(session_failure),
        Ending::Signal if goal == Goal::Seed || complete => Ok(()),
        Ending::Signal => {
            output.note("interrupted", &verified);
            Err(Failure::Interrupted)
        }
        Ending::OutOfTime if complete => Ok(()),
        Ending::OutOfTime => Err(Failure::new(torrent::name(path), format_args!("not complete in time: {verified}"))),
    }
}

pub(crate) fn session_failure(error: session::Error) -> Failure {
    match &error {
        session::Error::Listen { address, error } => {
            Failure::new(format_args!("listening on {address}"), reason(error))
        }
        other => Failure::new("session", other),
    }
}

/// Looks up the peers that are given by name, without making a signal wait for it. Those that cannot be found are told; that it
/// is all of them is a failure unless the tool `may_wait` for others.
fn resolve(
    peers: &[String],
    may_wait: bool,
    signals: &Signals,
    until: Option<Instant>,
    output: &Output,
) -> Result<Vec<SocketAddr>, Failure> {
    let mut out = Vec::new();
    // The last one that was not found: it is a remark or the failure, which is known at the end.
    let mut lost: Option<(String, String)> = None;
    let tell = |lost: Option<(String, String)>| {
        if let Some((name, why)) = lost {
            output.note(name, why);
        }
    };
    let (send, receive) = mpsc::channel();
    let names = peers.to_vec();
    // The thread is left behind when a signal or the time ends the wait: the tool ends then.
    std::thread::spawn(move || {
        for name in names {
            let found = match name.parse::<SocketAddr>() {
                Ok(address) => Ok(vec![address]),
                Err(_) => name.to_socket_addrs().map(Vec::from_iter),
            };
            if send.send((name, found)).is_err() {
                return;
            }
        }
    });
    loop {
        if signals.is_asked() {
            return Err(Failure::Interrupted);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(Failure::new("looking up the peers", "not done in time"));
        }
        match receive.recv_timeout(TICK) {
            Ok((name, Ok(found))) if found.is_empty() => {
                tell(lost.replace((name, "the name has no address".to_owned())));
            }
            Ok((_, Ok(found))) => {
                for address in found {
                    if !out.contains(&address) {
                        out.push(address);
                    }
                }
            }
            Ok((name, Err(error))) => tell(lost.replace((name, reason(&error)))),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return match lost {
                    Some((name, why)) if out.is_empty() && !may_wait => Err(Failure::new(name, why)),
                    lost => {
                        tell(lost);
                        Ok(out)
                    }
                };
            }
        }
    }
}

fn open(listen: &[SocketAddr]) -> Result<Session, Failure> {
    let opened = if listen.is_empty() {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
        match Session::builder().listen_or_next(both, SPARE_PORTS).spawn() {
            Err(session::Error::Listen { error, .. }) if error.kind() != io::ErrorKind::AddrInUse => {
                // This host has no IPv6.
                let old = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
                Session::builder().listen_or_next(old, SPARE_PORTS).spawn()
            }
            opened => opened,
        }
    } else {
        listen.iter().fold(Session::builder(), |builder, &address| builder.listen(address)).spawn()
    };
    opened.map_err(session_failure)
}

/// Whether there are peers, as far as the user needs to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Nobody,
    Somebody,
    /// That all are gone was told.
    Told,
}

struct Transfer<'a> {
    output: &'a Output,
    torrent: &'a Metainfo,
    name: String,
    dir: &'a Path,
    goal: Goal,
    session: &'a Session,
    id: TorrentId,
    started: Instant,
    progress: Progress,
    /// Pieces that were there, once that is known.
    checked: Option<u32>,
    /// Pieces that came since, as far as this was told.
    came: u32,
    complete: bool,
    /// Whether peers were named and none has been met, which is still to be told.
    alone: bool,
    met: Met,
    /// When JSON last told of progress, and what.
    told: Option<(Instant, serde_json::Value)>,
}

impl Transfer<'_> {
    fn drive(&mut self, signals: &Signals, until: Option<Instant>) -> Result<Ending, Failure> {
        loop {
            if signals.is_asked() {
                return Ok(Ending::Signal);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Ending::OutOfTime);
            }
            let mut event = self.session.next_event(TICK).map_err(session_failure)?;
            // All that has come, so that a busy swarm does not redraw the bar for every piece.
            for _ in 0..1_000 {
                let Some(now) = event else { break };
                if self.on_event(now)? {
                    return Ok(Ending::Complete);
                }
                event = self.session.try_event().map_err(session_failure)?;
            }
            self.show()?;
        }
    }

    /// Takes an event; says whether all is done.
    fn on_event(&mut self, event: Event) -> Result<bool, Failure> {
        match event {
            Event::Checking { checked, pieces, .. } => {
                let done = u64::from(checked) * self.torrent.total_length() / u64::from(pieces.max(1));
                self.progress.set(done, "");
            }
            Event::Added { pieces_done, pieces, oddities, .. } => {
                oddities.iter().for_each(|oddity| self.tell_oddity(oddity));
                return self.on_checked(pieces_done, pieces);
            }
            Event::AddFailed { error: AddError::Disk(error), .. } => {
                return Err(files_failure(&self.name, self.dir, &error));
            }
            Event::AddFailed { error, .. } => return Err(Failure::new(&self.name, error)),
            Event::Completed { .. } => return self.on_complete(),
            Event::Failed { error, .. } => {
                let failure = files_failure(&self.name, self.dir, &error);
                return Err(if self.checked.is_some() { failure.and(self.verified()) } else { failure });
            }
            Event::Refused { refusal, .. } if self.checked.is_some() => self.output.note(&self.name, refusal),
            // A peer named to a torrent that could not be added, which is told next.
            Event::Refused { refusal, .. } => log::debug!(target: "bip::get", "{refusal}"),
            Event::PeerConnected { address, .. } => {
                self.alone = false;
                log::info!(target: "bip::peer", "{address} is connected");
            }
            Event::PieceDone { .. } => self.came += 1,
            _ => {}
        }
        Ok(false)
    }

    fn tell_oddity(&self, oddity: &Oddity) {
        match oddity {
            Oddity::TooLong { file, found, expected } => {
                let file = self.torrent.layout().file(*file).map(|f| f.path.to_string()).unwrap_or_default();
                let what =
                    format_args!("{found} bytes, longer than the torrent's {expected}; the rest is left as it is");
                self.output.note(file, what);
            }
            other => self.output.note(&self.name, format_args!("{other:?}")),
        }
    }

    fn on_checked(&mut self, pieces_done: u32, pieces: u32) -> Result<bool, Failure> {
        self.checked = Some(pieces_done);
        let missing = pieces - pieces_done;
        let shown = self.dir.display();
        match self.goal {
            Goal::Seed if missing > 0 => {
                let there = percent(pieces_done.into(), pieces.into());
                let pieces = counted(pieces.into(), "piece");
                let why = format!(
                    "{missing} of {pieces} missing or bad, {there}% is there: \
                     `bip verify` says which, `bip get` downloads them"
                );
                return Err(Failure::new(shown, why));
            }
            // It ends before anybody could come.
            Goal::Get { seed: false, .. } if missing == 0 => {}
            _ => self.tell_listening()?,
        }
        if self.output.is_json() {
            self.output.json(&json!({ "event": "checked", "pieces_done": pieces_done, "pieces": pieces }))?;
        } else if pieces_done > 0 && missing > 0 {
            self.output
                .note(&self.name, format_args!("{pieces_done} of {} there already", counted(pieces.into(), "piece")));
        }
        let what = if missing > 0 { "downloading" } else { "seeding" };
        self.progress = self.output.progress(what, self.torrent.total_length());
        Ok(false)
    }

    fn tell_listening(&self) -> Result<(), Failure> {
        for address in self.session.listen_addresses() {
            if self.output.is_json() {
                self.output.json(&json!({ "event": "listening", "address": address.to_string() }))?;
            } else {
                self.output.line(format_args!("listening on {address}"))?;
            }
        }
        Ok(())
    }

    fn on_complete(&mut self) -> Result<bool, Failure> {
        if std::mem::replace(&mut self.complete, true) {
            return Ok(false);
        }
        let Goal::Get { seed, .. } = self.goal else { return Ok(false) };
        let pieces = self.torrent.geometry().piece_count();
        let already = self.checked == Some(pieces);
        let took = self.started.elapsed();
        let place = self.dir.join(self.torrent.layout().name());
        if self.output.is_json() {
            self.output.json(&json!({
                "event": "completed",
                "path": place.to_string_lossy(),
                "pieces": pieces,
                "total_length": self.torrent.total_length(),
                "already": already,
                "seconds": took.as_secs_f64(),
            }))?;
        } else {
            let place = printable(&place.to_string_lossy());
            let total = bytes(self.torrent.total_length());
            if already {
                self.output.line(format_args!("complete already: {place} ({total})"))?;
            } else {
                self.output.line(format_args!("complete: {place} ({total} in {:.1} s)", took.as_secs_f64()))?;
            }
        }
        self.progress = self.output.progress("seeding", self.torrent.total_length());
        Ok(!seed)
    }

    fn status(&self) -> Option<std::sync::Arc<Status>> {
        self.session.status(self.id)
    }

    /// Gives the pieces that are verified. The status is up to a second old, and notices can be missed: whichever knows more.
    fn pieces_done(&self) -> u32 {
        let pieces = self.torrent.geometry().piece_count();
        let published = self.status().map_or(0, |status| status.swarm.pieces_done);
        let told = self.checked.map_or(0, |checked| checked.saturating_add(self.came));
        if self.complete { pieces } else { published.max(told).min(pieces) }
    }

    fn verified(&self) -> String {
        let count = self.torrent.geometry().piece_count();
        let pieces = counted(count.into(), "piece");
        let done = self.pieces_done();
        let verbs = if done == 1 || count == 1 { "is verified and stays" } else { "are verified and stay" };
        format!("{done} of {pieces} {verbs}")
    }

    fn show(&mut self) -> Result<(), Failure> {
        let Some(status) = self.status().filter(|_| self.checked.is_some()) else { return Ok(()) };
        let figures = &status.swarm;
        if self.alone && self.started.elapsed() >= PATIENCE {
            self.alone = false;
            self.output.note(&self.name, "no peer has been reached yet; run it with -vv to see why");
        }
        self.met = match (self.met, figures.peers) {
            (Met::Nobody, 1..) => Met::Somebody,
            (Met::Somebody, 0) if status.state == State::Downloading && !self.complete => {
                self.output.note(&self.name, "all peers are gone; waiting for one to come back");
                Met::Told
            }
            (met, _) => met,
        };
        let peers = match figures.peers {
            0 => "no peers".to_owned(),
            more => counted(more.into(), "peer"),
        };
        let seeding = self.complete || status.state == State::Seeding;
        let remark = if seeding {
            format!("{} up, {} sent, {peers}", rate(figures.upload_rate), bytes(figures.uploaded))
        } else {
            let left = figures.time_left.map(|left| format!(", {} left", time(left)));
            format!("{}{}, {peers}", rate(figures.download_rate), left.unwrap_or_default())
        };
        let total = self.torrent.total_length();
        // The last piece may be shorter than the others.
        let pieces_done = self.pieces_done();
        let counted = u64::from(pieces_done).saturating_mul(self.torrent.geometry().piece_length().into()).min(total);
        let bytes_done = if pieces_done == figures.pieces_done { figures.bytes_done } else { counted };
        self.progress.set(if seeding { total } else { bytes_done }, &remark);
        let due = self.told.as_ref().is_none_or(|(at, _)| at.elapsed() >= JSON_INTERVAL);
        if self.output.is_json() && due {
            let line = json!({
                "event": "progress",
                "pieces_done": pieces_done,
                "pieces": figures.pieces,
                "bytes_done": bytes_done,
                "total_length": total,
                "downloaded": figures.downloaded,
                "uploaded": figures.uploaded,
                "download_rate": figures.download_rate,
                "upload_rate": figures.upload_rate,
                "peers": figures.peers,
                "seconds_left": figures.time_left.map(|time| time.as_secs()),
            });
            let news = self.told.as_ref().is_none_or(|(_, last)| *last != line);
            if news {
                self.output.json(&line)?;
            }
            self.told = Some((Instant::now(), line));
        }
        Ok(())
    }
}
