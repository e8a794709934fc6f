//! `bip get` and `bip seed`: torrents in one session, from the first look at their files to the end.

use crate::args::{Get, Network, Seed, Share};
use crate::output::{Failure, Output, Progress, counted, rate, reason};
use crate::peers;
use crate::signal::Signals;
use crate::torrent::{self, Named};
use crate::transfer::{self, Transfer};
use bip::machine::TorrentId;
use bip::peer::{self, Limits};
use bip::session::{self, Event, Selection, Session, Spec};
use bip::tracker::client;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where peers are accepted unless the user says otherwise, and how many further ports are tried.
const PORT: u16 = 6881;
const SPARE_PORTS: u16 = 100;
/// How often signals, the time and the status are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long the peers that were named may all be out of reach before the user is told how to learn why.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon what the disk refused is tried again, and at the latest: somebody may be waiting for it.
const RETRY: Duration = Duration::from_secs(2);
const RETRY_MOST: Duration = Duration::from_secs(30);
/// How long the session may take to end, within the two seconds that Ctrl-C may take.
pub(crate) const SHUT_DOWN: Duration = Duration::from_millis(1_500);

pub(crate) fn get(args: &Get, output: &Output) -> Result<(), Failure> {
    let started = Instant::now();
    // A timeout beyond what the clock can say is none.
    let until = args.timeout.and_then(|timeout| started.checked_add(timeout));
    if args.files.is_some() && args.torrents.len() > 1 {
        return Err(Failure::usage("--files", "is for one torrent; call `bip get` once for each"));
    }
    if let [_, .., last] = args.torrents.as_slice() {
        if last.is_dir() {
            return Err(Failure::usage(last.display(), "is a folder, not a torrent file; name the folder with -d"));
        }
    }
    let torrents = torrent::read_all(&args.torrents, output)?;
    let mut selection = Selection { files: Vec::new(), sequential: args.sequential };
    if let (Some(list), [only]) = (&args.files, torrents.as_slice()) {
        let files = only.torrent.files().len();
        selection.files = list.priorities(files).map_err(|why| {
            let files = counted(files as u64, "file");
            Failure::usage("--files", format_args!("{why}: {} has {files}, which `bip show` lists", only.name))
        })?;
    }
    let asks = |named: &Named| !args.network.no_trackers && !named.torrent.trackers().is_empty();
    if args.network.peers.is_empty() && args.network.listen.is_empty() && !torrents.iter().any(asks) {
        let what = torrents.first().map_or("get", |first| &first.name);
        let why = match args.network.no_trackers {
            true => "no source of peers: name one with --peer, or let them come with --listen",
            false => "no source of peers: it has no tracker; name a peer with --peer, or let them come with --listen",
        };
        return Err(Failure::new(what, why));
    }
    let limits = limits(&args.network, &args.share, args.down);
    let goal = Goal::Get { seed: args.seed, until };
    Plan { torrents: &torrents, dir: &args.dir, selection, goal, started }.run(
        &args.network,
        limits,
        &args.share,
        output,
    )
}

pub(crate) fn seed(args: &Seed, output: &Output) -> Result<(), Failure> {
    let (dir, paths) = match args.paths.as_slice() {
        [paths @ .., dir] if !paths.is_empty() => (dir, paths),
        _ => return Err(Failure::usage("seed", "needs a TORRENT and, last, DIR: the folder that holds its name")),
    };
    let torrents = torrent::read_all(paths, output)?;
    if let Err(error) = fs::read_dir(dir) {
        let failure = Failure::new(dir.display(), reason(&error));
        return Err(if dir.is_file() { failure.and("the last argument is the folder") } else { failure });
    }
    let mut missing = torrents.iter().filter_map(|named| torrent::find(&named.torrent, dir).err());
    if let Some(mut last) = missing.next() {
        for failure in missing {
            output.fail(&std::mem::replace(&mut last, failure));
        }
        return Err(last);
    }
    let limits = limits(&args.network, &args.share, None);
    let plan =
        Plan { torrents: &torrents, dir, selection: Selection::default(), goal: Goal::Seed, started: Instant::now() };
    plan.run(&args.network, limits, &args.share, output)
}

fn limits(network: &Network, share: &Share, down: Option<NonZeroU64>) -> Limits {
    let mut limits = Limits { upload_rate: share.up, download_rate: down, ..Limits::default() };
    if let Some(slots) = share.upload_slots {
        limits.upload_slots = slots.into();
    }
    if let Some(peers) = network.max_peers {
        limits.max_connections = peers.into();
        // One torrent may have them all.
        limits.max_connections_per_torrent = peers.into();
    }
    limits
}

/// What the user is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Get { seed: bool, until: Option<Instant> },
    Seed,
}

impl Goal {
    /// Says whether there is nothing more to do once all is there.
    pub(crate) fn ends_when_complete(self) -> bool {
        matches!(self, Goal::Get { seed: false, .. })
    }

    fn until(self) -> Option<Instant> {
        if let Goal::Get { until, .. } = self { until } else { None }
    }
}

/// Why it all ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Nothing is left to do.
    Settled,
    Signal,
    OutOfTime,
}

/// What is to be done with which torrents, and where.
pub(crate) struct Plan<'a> {
    pub(crate) torrents: &'a [Named],
    /// The folder that holds the torrents' names.
    pub(crate) dir: &'a Path,
    /// Of the only torrent where it names files.
    pub(crate) selection: Selection,
    pub(crate) goal: Goal,
    pub(crate) started: Instant,
}

impl Plan<'_> {
    /// How many torrents are shown one by one; more are shown as one.
    pub(crate) const MOST_BARS: usize = 8;

    fn run(&self, network: &Network, limits: Limits, share: &Share, output: &Output) -> Result<(), Failure> {
        let signals = Signals::install(true)?;
        for named in self.torrents {
            torrent::tell_warnings(output, &named.name, &named.torrent);
        }
        if let Some(state) = &share.state {
            fs::create_dir_all(state).map_err(|error| {
                let failure = Failure::new(state.display(), reason(&error));
                if state.is_file() { failure.and("--state names a folder") } else { failure }
            })?;
        }
        // Without any peer to go to, somebody must be able to come.
        let told = !network.no_trackers && self.torrents.iter().any(|named| !named.torrent.trackers().is_empty());
        let may_wait = self.goal == Goal::Seed || !network.listen.is_empty() || told;
        let peers = peers::resolve(&network.peers, may_wait, &signals, self.goal.until(), output)?;
        let session = open(network, &limits, share.state.as_ref())?;
        let mut transfers = Vec::new();
        let mut introductions = VecDeque::new();
        for named in self.torrents {
            let spec = Spec {
                writable: self.goal != Goal::Seed,
                selection: self.selection.clone(),
                ..Spec::of(&named.torrent, self.dir)
            };
            let id = session.add_with(spec).map_err(session_failure)?;
            introductions.extend(peers.iter().map(|&peer| (id, peer)));
            transfers.push((id, Transfer::new(self, named, &session, id, output)));
        }
        let many = transfers.len() > Plan::MOST_BARS;
        let total = transfers.iter().map(|(_, transfer)| transfer.length()).sum();
        let mut batch = Batch {
            plan: self,
            output,
            session: &session,
            transfers,
            introductions,
            welcomed: false,
            alone: !network.peers.is_empty(),
            progress: many.then(|| output.progress(&counted(self.torrents.len() as u64, "torrent"), total)),
        };
        let ending = batch.drive(&signals).and_then(|ending| batch.end(ending));
        drop(batch);
        // Also after a failure: what came in is written, and peers are told goodbye.
        let ended = session.shut_down(SHUT_DOWN);
        match ending? {
            Ending::Settled => ended.map_err(session_failure),
            Ending::Signal | Ending::OutOfTime => Ok(()),
        }
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

fn open(network: &Network, limits: &Limits, state: Option<&PathBuf>) -> Result<Session, Failure> {
    let roots = network.authority.read()?;
    let builder = || {
        let trackers =
            session::Config::default().trackers.map(|trackers| client::Config { roots: roots.clone(), ..trackers });
        let peer = peer::Config { limits: limits.clone(), ..peer::Config::default() };
        let config = session::Config {
            peer,
            trackers,
            retry_after: RETRY,
            retry_most: RETRY_MOST,
            ..session::Config::default()
        };
        let builder = Session::builder().config(config).hosting(session::Hosting::Together);
        let builder = if network.no_trackers { builder.trackers(false) } else { builder };
        state.into_iter().fold(builder, |builder, folder| builder.state_folder(folder))
    };
    let opened = if network.listen.is_empty() {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
        match builder().listen_or_next(both, SPARE_PORTS).spawn() {
            Err(session::Error::Listen { error, .. }) if error.kind() != io::ErrorKind::AddrInUse => {
                // This host has no IPv6.
                let old = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
                builder().listen_or_next(old, SPARE_PORTS).spawn()
            }
            opened => opened,
        }
    } else {
        network.listen.iter().fold(builder(), |builder, &address| builder.listen(address)).spawn()
    };
    opened.map_err(session_failure)
}

/// The torrents on their way.
struct Batch<'a> {
    plan: &'a Plan<'a>,
    output: &'a Output,
    session: &'a Session,
    /// In the order of their ids.
    transfers: Vec<(TorrentId, Transfer<'a>)>,
    /// Peers that are still to be named to the session.
    introductions: VecDeque<(TorrentId, SocketAddr)>,
    /// Whether the user was told where peers can come.
    welcomed: bool,
    /// Whether peers were named and none has been met, which is still to be told.
    alone: bool,
    /// Of all together, where there are many.
    progress: Option<Progress>,
}

impl Batch<'_> {
    fn drive(&mut self, signals: &Signals) -> Result<Ending, Failure> {
        loop {
            if signals.is_asked() {
                return Ok(Ending::Signal);
            }
            if self.plan.goal.until().is_some_and(|until| Instant::now() >= until) {
                return Ok(Ending::OutOfTime);
            }
            self.introduce()?;
            let mut event = self.session.next_event(TICK).map_err(session_failure)?;
            // All that has come, so that a busy swarm does not redraw the bars for every piece.
            for _ in 0..1_000 {
                let Some(now) = event else { break };
                self.on_event(now)?;
                if self.is_settled() {
                    return Ok(Ending::Settled);
                }
                event = self.session.try_event().map_err(session_failure)?;
            }
            self.show()?;
        }
    }

    /// Names the peers, as far as the session takes them now.
    fn introduce(&mut self) -> Result<(), Failure> {
        while let Some(&(torrent, peer)) = self.introductions.front() {
            match self.session.add_peer(torrent, peer) {
                Err(session::Error::Busy) => break,
                other => other.map_err(session_failure)?,
            }
            self.introductions.pop_front();
        }
        Ok(())
    }

    fn on_event(&mut self, event: Event) -> Result<(), Failure> {
        if let Event::PeerConnected { .. } = event {
            self.alone = false;
        }
        let Some(id) = torrent_of(&event) else { return Ok(()) };
        let Ok(at) = self.transfers.binary_search_by_key(&id, |(id, _)| *id) else { return Ok(()) };
        let (_, transfer) = &mut self.transfers[at];
        let waited = !transfer.is_checked();
        transfer.on_event(event)?;
        if waited && transfer.is_checked() {
            self.on_one_checked()?;
            self.transfers[at].1.tell_checked()?;
        }
        Ok(())
    }

    /// Tells where peers can come once nobody who comes is sent away because his torrent is still being checked.
    fn on_one_checked(&mut self) -> Result<(), Failure> {
        let transfers = || self.transfers.iter().map(|(_, transfer)| transfer);
        let unfit = self.plan.goal == Goal::Seed && transfers().any(Transfer::is_failed);
        if self.welcomed || unfit || !transfers().all(Transfer::is_checked) || !transfers().any(Transfer::welcomes) {
            return Ok(());
        }
        self.welcomed = true;
        for address in self.session.listen_addresses() {
            if self.output.is_json() {
                self.output.json(&serde_json::json!({ "event": "listening", "address": address.to_string() }))?;
            } else {
                self.output.line(format_args!("listening on {address}"))?;
            }
        }
        Ok(())
    }

    /// Says whether nothing is left to do.
    fn is_settled(&self) -> bool {
        let mut transfers = self.transfers.iter().map(|(_, transfer)| transfer);
        match self.plan.goal {
            // Nothing is seeded unless all is complete.
            Goal::Seed if !self.welcomed => {
                transfers.clone().all(Transfer::is_checked) && transfers.any(Transfer::is_failed)
            }
            Goal::Get { seed: false, .. } => transfers.all(Transfer::is_settled),
            Goal::Seed | Goal::Get { .. } => transfers.all(Transfer::is_failed),
        }
    }

    fn show(&mut self) -> Result<(), Failure> {
        if self.alone && self.plan.started.elapsed() >= PATIENCE {
            self.alone = false;
            let what = if let [(_, only)] = self.transfers.as_slice() { only.name() } else { "peers" };
            self.output.note(what, "no peer has been reached yet; run it with -vv to see why");
        }
        let (mut done, mut down, mut up, mut peers) = (0_u64, 0_u64, 0_u64, 0_u32);
        for (_, transfer) in &mut self.transfers {
            let Some(status) = transfer.status() else { continue };
            done = done.saturating_add(transfer.show(&status)?);
            down = down.saturating_add(status.swarm.download_rate);
            up = up.saturating_add(status.swarm.upload_rate);
            peers = peers.saturating_add(status.swarm.peers);
        }
        if let Some(progress) = &mut self.progress {
            let complete = self.transfers.iter().filter(|(_, transfer)| transfer.is_complete()).count();
            let peers = transfer::peers(peers);
            progress.set(done, &format!("{complete} complete, {} down, {} up, {peers}", rate(down), rate(up)));
        }
        Ok(())
    }

    /// Tells what became of the torrents.
    fn end(&mut self, ending: Ending) -> Result<Ending, Failure> {
        self.progress = None;
        let late = ending == Ending::OutOfTime;
        let goal = self.plan.goal;
        let mut interrupted = false;
        for (_, transfer) in &mut self.transfers {
            if transfer.is_settled() || ending == Ending::Settled {
                continue;
            }
            let trouble = transfer.trouble().map(ToOwned::to_owned);
            let verified = transfer.verified();
            match trouble {
                Some(trouble) => {
                    let why = if late { "not complete in time" } else { "interrupted" };
                    let failure = Failure::new(transfer.name(), format_args!("{why}: {trouble}; {verified}"));
                    transfer.give_up(failure)?;
                }
                None if late => {
                    let failure = Failure::new(transfer.name(), format_args!("not complete in time: {verified}"));
                    transfer.give_up(failure)?;
                }
                None if goal == Goal::Seed => {}
                None => {
                    let what = if self.plan.torrents.len() == 1 { "interrupted" } else { transfer.name() };
                    self.output.note(what, verified);
                    interrupted = true;
                }
            }
        }
        let (all, failed) = (self.transfers.len(), self.transfers.iter().filter(|(_, t)| t.is_failed()).count());
        match failed {
            0 if interrupted => Err(Failure::Interrupted),
            0 => Ok(ending),
            _ if all == 1 => Err(Failure::Known),
            _ if goal == Goal::Seed && !self.welcomed => {
                Err(Failure::new("seed", format_args!("nothing is offered: {failed} of {all} torrents cannot be")))
            }
            _ => Err(Failure::new("in all", format_args!("{failed} of {all} torrents failed"))),
        }
    }
}

/// Gives the torrent that an event is about.
fn torrent_of(event: &Event) -> Option<TorrentId> {
    match event {
        Event::Added { torrent, .. }
        | Event::AddFailed { torrent, .. }
        | Event::Refused { torrent, .. }
        | Event::Checking { torrent, .. }
        | Event::PeerConnected { torrent, .. }
        | Event::PeerBanned { torrent, .. }
        | Event::PieceDone { torrent, .. }
        | Event::Tracker { torrent, .. }
        | Event::PieceLost { torrent, .. }
        | Event::ReadFailed { torrent, .. }
        | Event::ResumeNotSaved { torrent, .. }
        | Event::Completed { torrent, .. }
        | Event::Failed { torrent, .. } => Some(*torrent),
        _ => None,
    }
}
