//! Joins the subsystems' machines by mail: the one place that knows all of them.
//!
//! ```text
//!                 commands                    Add, Remove, Sync
//!   program  ───────────────▶  coordinator  ────────────────────▶  disk
//!            ◀───────────────              ◀────────────────────   ▲ │
//!                 events          ▲ │         Added, Stopped      │ │ Written, Read
//!                                 │ │ AddTorrent, Pause           │ │
//!                                 │ ▼                             │ ▼
//!                                swarm ── Store, Load ────────────┘ swarm
//! ```
//!
//! The client of trackers is to the coordinator as the swarm is: it is told of torrents that come and go, and tells of peers.
//!
//! Blocks go between swarm and disk directly, by an outlet on the sender's own thread; the coordinator never sees them.
//!
//! The mail between machines takes no credits: the swarm bounds what it has asked of the disk by its disk credit, the
//! coordinator by the commands that the program may have unanswered, and every answer by what was asked.

use super::board::Board;
use super::command::{Command, Directive, Event};
use super::config::Config;
use super::machine::Coordinator;
use crate::disk::{self, Disk};
use crate::machine::{EventSink, Events, Executor, Host, Hosted, Outbox, Rng, Secret, events, mailbox};
use crate::peer::{self, Swarm};
use crate::proto::id::PeerId;
use crate::tracker::client::{self, Client};

/// Which of the hosts drives which machine, by place in the list of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The host of the coordinator.
    pub coordinator: usize,
    /// The host of the swarm: connections live here.
    pub swarm: usize,
    /// The host of the disk: its jobs run here.
    pub disk: usize,
    /// The host of the client of trackers, where there is one: its jobs run here.
    pub trackers: usize,
}

impl Placement {
    /// Puts every machine in the one host.
    pub const TOGETHER: Placement = Placement { coordinator: 0, swarm: 0, disk: 0, trackers: 0 };
    /// Puts every machine in its own of three hosts, or of four with a client of trackers.
    pub const APART: Placement = Placement { coordinator: 0, swarm: 1, disk: 2, trackers: 3 };
}

/// What a session's machines need of the world outside.
pub struct Outside {
    /// Does the disk's jobs.
    pub disk: Box<dyn Executor<disk::Job, disk::Done>>,
    /// The sockets and the jobs of the client of trackers; without it no tracker is told of anything, whatever [`Config::trackers`] says.
    pub trackers: Option<TrackerSide>,
}

/// What a client of trackers needs of the world outside.
pub struct TrackerSide {
    /// Its sockets, which are to be attached to it after [`wire`].
    pub start: client::Start,
    /// Looks up names and asks HTTP trackers; without it such trackers are refused.
    pub executor: Option<Box<dyn Executor<client::Job, client::Done>>>,
}

impl Outside {
    /// Has files alone, and no trackers.
    pub fn files(disk: Box<dyn Executor<disk::Job, disk::Done>>) -> Self {
        Self { disk, trackers: None }
    }
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("trackers", &self.trackers).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TrackerSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrackerSide").field("start", &self.start).finish_non_exhaustive()
    }
}

/// The program's ends of a wired session.
#[derive(Debug)]
pub struct Wired {
    /// Takes the program's commands.
    pub commands: Outbox<Command>,
    /// Gives the program its events.
    pub events: Events<Event>,
    /// Shows every torrent's status.
    pub board: Board,
    /// The swarm's place in its host, for opening its listeners.
    pub swarm: Hosted,
    /// The swarm's name for itself, which trackers are told with the port ([`Command::Listening`]).
    pub peer_id: PeerId,
    /// The place of the client of trackers in its host, where there is one, for attaching its sockets.
    pub trackers: Option<Hosted>,
}

/// Makes a session's machines, joins them, and hosts them.
///
/// `seed` and `secret` are the two sources of randomness. A clone of `guard` lives in every machine's outlet and is dropped with
/// it, so that the end of one host can end the others.
///
/// # Panics
///
/// Where `placement` names a host that is not there.
pub fn wire<H: Host, G: Clone + Send + 'static>(
    hosts: &mut [H],
    placement: Placement,
    config: &Config,
    seed: u64,
    secret: &Secret,
    outside: Outside,
    guard: &G,
) -> Wired {
    let mut rng = Rng::new(seed);
    let bell = |hosts: &[H], place: usize| hosts[place].doorbell();
    let (commands, coordinator_in) = mailbox(config.max_commands, bell(hosts, placement.coordinator));
    let (swarm_out, swarm_in) = mailbox(0, bell(hosts, placement.swarm));
    let (disk_out, disk_in) = mailbox(0, bell(hosts, placement.disk));
    let (sink, events) = events(&commands, config.max_notices);
    let board = Board::default();

    let settings = config.trackers.clone().filter(|_| outside.trackers.is_some());
    let (tracker_out, tracker_in) = match settings {
        Some(_) => Some(mailbox(0, bell(hosts, placement.trackers))).unzip(),
        None => (None, None),
    };
    let coordinator = Coordinator::new(Config { trackers: settings.clone(), ..config.clone() });
    let outlets = Subsystems { swarm: swarm_out.clone(), disk: disk_out.clone(), trackers: tracker_out };
    let outlet = coordinator_outlet(sink, board.clone(), outlets, guard.clone());
    hosts[placement.coordinator].host(coordinator, coordinator_in, Box::new(outlet), None);

    let swarm = Swarm::new(config.peer.clone(), rng.fork(), &secret.fork("swarm"));
    let peer_id = swarm.peer_id();
    let outlet = swarm_outlet(commands.clone(), disk_out, guard.clone());
    let swarm = hosts[placement.swarm].host(swarm, swarm_in, Box::new(outlet), None);

    let mut limits = config.disk.clone();
    // What is held back may not use up the swarm's credit: it would wait for the timer before it asks for more.
    limits.hold_bytes = limits.hold_bytes.min(config.peer.store_credit / 2);
    let disk = Disk::new(limits, &mut rng.fork());
    let outlet = disk_outlet(commands.clone(), swarm_out, guard.clone());
    hosts[placement.disk].host(disk, disk_in, Box::new(outlet), Some(outside.disk));

    let trackers = match (settings, outside.trackers, tracker_in) {
        (Some(settings), Some(side), Some(inbox)) => {
            let client = Client::new(settings, side.start, rng.fork(), &secret.fork("trackers"));
            let outlet = tracker_outlet(commands.clone(), guard.clone());
            Some(hosts[placement.trackers].host(client, inbox, Box::new(outlet), side.executor))
        }
        _ => None,
    };
    Wired { commands, events, board, swarm, peer_id, trackers }
}

// A machine whose mailbox is closed has stopped; what is told to it then is of no use to anybody. Each outlet therefore ignores
// `SendError::Closed`, the only error of `post`.

/// The mailboxes of those that the coordinator asks.
struct Subsystems {
    swarm: Outbox<peer::Command>,
    disk: Outbox<disk::Command>,
    trackers: Option<Outbox<client::Command>>,
}

fn tracker_outlet<G: Send + 'static>(
    coordinator: Outbox<Command>,
    guard: G,
) -> impl FnMut(client::Event) + Send + 'static {
    move |event| {
        let _alive = &guard;
        drop(coordinator.post(Command::FromTracker(event)));
    }
}

fn coordinator_outlet<G: Send + 'static>(
    sink: EventSink<Event>,
    board: Board,
    to: Subsystems,
    guard: G,
) -> impl FnMut(Directive) + Send + 'static {
    move |directive| {
        let _alive = &guard;
        match directive {
            Directive::Answer(event) => sink.terminal(event),
            Directive::Notice(event) => sink.notice(event),
            Directive::Milestone(event) => sink.milestone(event),
            Directive::Publish(status) => board.publish(status),
            Directive::Withdraw(torrent) => board.withdraw(torrent),
            Directive::ToPeer(command) => drop(to.swarm.post(command)),
            Directive::ToDisk(command) => drop(to.disk.post(command)),
            Directive::ToTracker(command) => {
                // Where there is no client the coordinator has nothing for it.
                if let Some(trackers) = &to.trackers {
                    drop(trackers.post(command));
                }
            }
        }
    }
}

fn swarm_outlet<G: Send + 'static>(
    coordinator: Outbox<Command>,
    disk: Outbox<disk::Command>,
    guard: G,
) -> impl FnMut(peer::Event) + Send + 'static {
    move |event| {
        let _alive = &guard;
        match event {
            peer::Event::Store { torrent, span, block } => {
                drop(disk.post(disk::Command::Write { torrent, span, block }));
            }
            peer::Event::Load { torrent, span, ticket } => {
                drop(disk.post(disk::Command::Read { torrent, span, ticket }));
            }
            other => drop(coordinator.post(Command::FromPeer(other))),
        }
    }
}

fn disk_outlet<G: Send + 'static>(
    coordinator: Outbox<Command>,
    swarm: Outbox<peer::Command>,
    guard: G,
) -> impl FnMut(disk::Event) + Send + 'static {
    move |event| {
        let _alive = &guard;
        match event {
            disk::Event::Written { torrent, span, outcome } => {
                let outcome = match outcome {
                    Ok(disk::Written::Kept) => peer::Stored::Kept,
                    Ok(disk::Written::Known) => peer::Stored::Known,
                    Ok(disk::Written::PieceGood) => peer::Stored::PieceGood,
                    Ok(disk::Written::PieceBad) => peer::Stored::PieceBad,
                    // The disk told the coordinator why, in `Stopped`.
                    Err(_) => peer::Stored::Failed,
                };
                drop(swarm.post(peer::Command::Stored { torrent, span, outcome }));
            }
            disk::Event::Read { torrent, ticket, block, span } => {
                if let Err(error) = &block {
                    log::warn!(target: "bip::disk", "{torrent}: block {span} cannot be read: {error}");
                }
                drop(swarm.post(peer::Command::Loaded { torrent, ticket, block: block.ok() }));
            }
            disk::Event::BlockHashes { torrent, piece, good, hashes } => {
                drop(swarm.post(peer::Command::BlockHashes { torrent, piece, good, hashes }));
            }
            other => drop(coordinator.post(Command::FromDisk(other))),
        }
    }
}
