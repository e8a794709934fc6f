//! What a program asks of a session, and what the session tells.

use crate::disk::{self, Checked, Deletion, Files, Oddity};
use crate::machine::TorrentId;
use crate::peer::{self, Gone, Limits, Refusal, Source, TorrentLimits};
use crate::proto::id::{InfoHash, PeerId, PieceIndex};
use crate::proto::metainfo::{Layout, Metainfo};
use crate::proto::tracker_url::TrackerUrl;
use crate::select::Priority;
use crate::tracker::client::{self, TrackerStatus, Trust};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A torrent to take in, as plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Its name on the wire.
    pub info_hash: InfoHash,
    /// Its files, pieces and hashes.
    pub layout: Arc<Layout>,
    /// The folder that holds the torrent's name.
    pub root: PathBuf,
    /// Whether files may be created and written. A torrent that is only read can be seeded, and never downloads what is
    /// missing.
    pub writable: bool,
    /// Which files are wanted, and in which order.
    pub selection: Selection,
    /// What it may use.
    pub limits: TorrentLimits,
    /// Where its resume data is kept: a file that is read when the torrent is added, and written now and then and when it is
    /// removed. `None` keeps none: what is on disk is then verified in full each time.
    pub resume: Option<PathBuf>,
    /// Peers known from an earlier run, or from elsewhere.
    pub peers: Vec<(SocketAddr, Source)>,
    /// Its trackers, in tiers (BEP 12). They are told of the torrent while it is in its swarm and not paused, where the session
    /// [has a client for them](super::Config::trackers).
    pub trackers: Vec<Vec<TrackerUrl>>,
    /// Who named them.
    pub trust: Trust,
    /// Whether peers may come from one tracker at a time only (BEP 27).
    pub private: bool,
}

impl Spec {
    /// Describes a torrent of which everything is wanted, without resume data, limits of its own, or known peers.
    pub fn new(info_hash: InfoHash, layout: Arc<Layout>, root: impl Into<PathBuf>) -> Self {
        Self {
            info_hash,
            layout,
            root: root.into(),
            writable: true,
            selection: Selection::default(),
            limits: TorrentLimits::default(),
            resume: None,
            peers: Vec::new(),
            trackers: Vec::new(),
            trust: Trust::Local,
            private: false,
        }
    }

    /// The same for what a torrent file says, its trackers included. Those whose URLs cannot be read, or have another scheme than `udp`, `http` and
    /// `https`, are left out, with a word in the log.
    pub fn of(metainfo: &Metainfo, root: impl Into<PathBuf>) -> Self {
        Self {
            trackers: tiers(metainfo),
            private: metainfo.is_private(),
            ..Self::new(metainfo.info_hash(), metainfo.layout(), root)
        }
    }
}

/// Gives the tiers of a torrent file's trackers, as far as they can be read.
fn tiers(metainfo: &Metainfo) -> Vec<Vec<TrackerUrl>> {
    let read = |url: &String| {
        let url = url.trim().parse::<TrackerUrl>();
        url.map_err(|error| log::info!(target: "bip::tracker", "a tracker of the torrent is left out: {error}")).ok()
    };
    let tiers = metainfo.trackers();
    let tiers = tiers.iter().map(|tier| tier.iter().filter_map(read).collect::<Vec<_>>());
    tiers.filter(|tier| !tier.is_empty()).collect()
}

/// Which files are wanted, and in which order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// A priority for each file, in the torrent's order; empty where all are [`Priority::Normal`]. Another number of them than of files
    /// is [`Refusal::WrongSelection`].
    ///
    /// A piece has the highest priority of the files that have a byte in it; padding has no say. What of it lies in a file that is skipped is kept
    /// beside the files, so that such a file is not made.
    pub files: Vec<Priority>,
    /// Whether pieces of the same priority are fetched in their order instead of the rarest first.
    pub sequential: bool,
}

/// What a program asks of a session, and what the subsystems answer it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Takes a torrent in: checks what is on disk, then joins its swarm. Ends in [`Event::Added`] or [`Event::AddFailed`].
    Add {
        /// The program's name for it; never used twice.
        torrent: TorrentId,
        /// The torrent.
        spec: Spec,
    },
    /// Leaves a torrent's swarm and closes its files, which stay or go. Ends in [`Event::Removed`] or [`Event::Deleted`], as was asked, or
    /// in [`Event::Refused`]. A torrent on its way out, be it only by a [`ShutDown`](Self::ShutDown), may be past deleting anything: that is
    /// [`Refusal::NotReady`].
    Remove {
        /// The torrent.
        torrent: TorrentId,
        /// What becomes of its files.
        files: Files,
    },
    /// Deletes what a torrent that is not in the session left, its own files and no others ([`Files::Delete`]): for instance after it
    /// could not be added, or after a deletion that did not reach all of it. Ends in [`Event::Deleted`], or in [`Event::Refused`] where
    /// the torrent, or another with the same files, is in the session.
    Delete {
        /// The program's name for it; never used twice.
        torrent: TorrentId,
        /// The torrent.
        spec: Spec,
    },
    /// Closes a torrent's connections and makes no more. Ends in [`Event::Paused`] or [`Event::Refused`].
    Pause {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Undoes a pause, or lets a torrent that failed try again. Ends in [`Event::Resumed`] or [`Event::Refused`].
    Resume {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Names a peer. Before the torrent's check is over it is kept for later. Ends in [`Event::PeerAdded`] or
    /// [`Event::Refused`].
    AddPeer {
        /// The torrent.
        torrent: TorrentId,
        /// Where the peer listens.
        address: SocketAddr,
        /// Who named it.
        source: Source,
    },
    /// Changes the limits of all torrents together. Ends in [`Event::LimitsSet`].
    SetLimits {
        /// The new limits.
        limits: Limits,
    },
    /// Changes a torrent's own limits; before its check is over, those that it joins its swarm with. Ends in
    /// [`Event::TorrentLimitsSet`] or [`Event::Refused`].
    SetTorrentLimits {
        /// The torrent.
        torrent: TorrentId,
        /// The new limits.
        limits: TorrentLimits,
    },
    /// Changes which files are wanted, and in which order. Ends in [`Event::Selected`] or [`Event::Refused`].
    Select {
        /// The torrent.
        torrent: TorrentId,
        /// The files.
        selection: Selection,
    },
    /// Closes connections to an IP address and makes and takes no more, in any torrent; or lets it in again, also where a liar's ban has
    /// all of its /64. What is banned is that one address, also of IPv6. Ends in [`Event::BanSet`] or [`Event::BanRefused`].
    Ban {
        /// The address.
        ip: IpAddr,
        /// Whether it is banned from now on.
        banned: bool,
    },
    /// Has trackers that do not take a farewell kept waiting for no longer than this from now on, also where
    /// [`client::Config::stop_timeout`] is longer. No answer.
    StopWithin {
        /// How long.
        time: Duration,
    },
    /// Removes every torrent. Ends in [`Event::ShutDown`].
    ShutDown,
    /// News from the swarm.
    FromPeer(peer::Event),
    /// News from the disk.
    FromDisk(disk::Event),
    /// News from the client of trackers.
    FromTracker(client::Event),
    /// Says, for the trackers, by which name our peers know us, and at which ports they reach us. Over a family that we do not listen for, trackers are
    /// told the other's port, at which a socket of IPv6 may take IPv4 too; where nobody reaches us, 1. No answer.
    Listening {
        /// The swarm's name for itself.
        peer_id: PeerId,
        /// The port over IPv4; `None` where nobody reaches us so.
        port_v4: Option<u16>,
        /// The port over IPv6; `None` where nobody reaches us so.
        port_v6: Option<u16>,
    },
}

/// What a session's machine gives its host: something for the program, or something for a subsystem.
#[derive(Debug, Clone, PartialEq)]
pub enum Directive {
    /// The answer to a command of the program.
    Answer(Event),
    /// News for the program, which it may miss when it reads slowly.
    Notice(Event),
    /// News for the program that it never misses: [`Event::Completed`] and the first [`Event::Failed`], at most once each for every time
    /// that a torrent is added, resumed or selected from.
    Milestone(Event),
    /// A torrent's state, for whoever asks for its status.
    Publish(Status),
    /// The torrent is gone: it has no status any more.
    Withdraw(TorrentId),
    /// Something asked of the swarm.
    ToPeer(peer::Command),
    /// Something asked of the disk.
    ToDisk(disk::Command),
    /// Something asked of the client of trackers.
    ToTracker(client::Command),
}

/// What a session tells the program.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Answer: the torrent is checked and in its swarm.
    Added {
        /// The torrent.
        torrent: TorrentId,
        /// Pieces that were on disk, complete and right.
        pieces_done: u32,
        /// Pieces in all.
        pieces: u32,
        /// How that was found out.
        checked: Checked,
        /// Files found other than expected; nothing was done to them.
        oddities: Vec<Oddity>,
    },
    /// Answer: the torrent could not be taken in and is forgotten.
    AddFailed {
        /// The torrent.
        torrent: TorrentId,
        /// Why.
        error: AddError,
    },
    /// Answer: the torrent is forgotten; its files stay.
    Removed {
        /// The torrent.
        torrent: TorrentId,
        /// A last write that failed, if one did.
        error: Option<disk::Error>,
    },
    /// Answer: the torrent is forgotten, and its files are deleted as far as that went.
    Deleted {
        /// The torrent.
        torrent: TorrentId,
        /// What was deleted, and what could not be.
        deletion: Deletion,
    },
    /// Answer: the torrent is paused.
    Paused {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Answer: the torrent goes on.
    Resumed {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Answer: the peer is known.
    PeerAdded {
        /// The torrent.
        torrent: TorrentId,
        /// The peer.
        address: SocketAddr,
    },
    /// Answer: the limits are in force.
    LimitsSet,
    /// Answer: the torrent's limits are in force.
    TorrentLimitsSet {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Answer: the selection is in force.
    Selected {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Answer: the ban is in force, or lifted.
    BanSet {
        /// The address.
        ip: IpAddr,
    },
    /// Answer: the ban was not taken, because [`peer::Config::max_bans`] that the program asked for are kept.
    BanRefused {
        /// The address.
        ip: IpAddr,
    },
    /// Answer: the command was not carried out.
    Refused {
        /// The torrent that it named.
        torrent: TorrentId,
        /// Why.
        refusal: Refusal,
    },
    /// Answer: every torrent is removed.
    ShutDown,
    /// Notice: how far the check of what is on disk has come.
    Checking {
        /// The torrent.
        torrent: TorrentId,
        /// Pieces looked at.
        checked: u32,
        /// Of these, complete and right.
        good: u32,
        /// Pieces in all.
        pieces: u32,
    },
    /// Notice: a peer shook hands.
    PeerConnected {
        /// The torrent.
        torrent: TorrentId,
        /// Its address on the connection.
        address: SocketAddr,
        /// Its name for itself.
        peer_id: PeerId,
        /// Whether we dialled.
        outgoing: bool,
    },
    /// Notice: a peer is gone.
    PeerGone {
        /// The torrent.
        torrent: TorrentId,
        /// Its address on the connection.
        address: SocketAddr,
        /// Why.
        reason: Gone,
    },
    /// Notice: a peer sent bytes that were not the torrent's; its address (of a global IPv6 address, all of its /64) is banned, in all torrents.
    PeerBanned {
        /// The torrent.
        torrent: TorrentId,
        /// The peer's IP address; of a global IPv6 address, the first of its /64.
        ip: IpAddr,
        /// The piece that it spoiled.
        piece: PieceIndex,
    },
    /// Notice: a piece is downloaded and verified.
    PieceDone {
        /// The torrent.
        torrent: TorrentId,
        /// The piece.
        piece: PieceIndex,
    },
    /// Notice, never dropped: all of the torrent that is wanted is verified and has been brought to the medium. Also told once of a
    /// torrent of which that was so when it was added, and again after [`Command::Select`] has asked for more.
    Completed {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Notice: the torrent's files cannot be written, or not even read. It downloads nothing until it is tried again: by
    /// [`Command::Resume`], or by itself after [`Config::retry_after`](super::Config::retry_after) and longer and longer pauses. What is
    /// verified is still uploaded, unless it cannot be read. Other torrents go on.
    ///
    /// The first one after a torrent was added or resumed is never dropped.
    Failed {
        /// The torrent.
        torrent: TorrentId,
        /// Which file and why.
        error: disk::Error,
    },
    /// Notice: bytes of a verified piece could not be read. Where a file was cut or is gone, what it held is verified again, and fetched
    /// again where it is lost.
    ReadFailed {
        /// The torrent.
        torrent: TorrentId,
        /// Which file and why.
        error: disk::Error,
    },
    /// Notice: a piece that was there is there no more, and is fetched again.
    PieceLost {
        /// The torrent.
        torrent: TorrentId,
        /// The piece.
        piece: PieceIndex,
    },
    /// Notice: a tracker has answered, or failed: it is not as it was. All are in [`Status::trackers`].
    Tracker {
        /// The torrent.
        torrent: TorrentId,
        /// How it is.
        status: Box<TrackerStatus>,
    },
    /// Notice: the resume data could not be written. It is tried again; without it the next start verifies everything.
    ResumeNotSaved {
        /// The torrent.
        torrent: TorrentId,
        /// Why.
        error: disk::Error,
    },
}

/// Why a torrent could not be taken in.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AddError {
    /// Its files could not be opened or read.
    Disk(disk::Error),
    /// It is here already, or a limit is reached.
    Refused(Refusal),
    /// It was removed before it was checked.
    Removed,
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddError::Disk(error) => error.fmt(f),
            AddError::Refused(refusal) => refusal.fmt(f),
            AddError::Removed => f.write_str("it was removed before it was checked"),
        }
    }
}

impl std::error::Error for AddError {}

/// A torrent's state.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// What is on disk is being verified.
    Checking {
        /// Pieces looked at.
        checked: u32,
    },
    /// In its swarm, with pieces missing that are wanted.
    Downloading,
    /// In its swarm, with all that is wanted; of what is not, pieces may be missing.
    Seeding,
    /// Paused by the program.
    Paused,
    /// Not downloading because its files cannot be written, or stopped because they cannot be read. It is tried again by itself.
    Failed(disk::Error),
    /// On its way out.
    Removing,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Checking { .. } => "checking",
            State::Downloading => "downloading",
            State::Seeding => "seeding",
            State::Paused => "paused",
            State::Failed(_) => "failed",
            State::Removing => "removing",
        })
    }
}

/// A torrent as it was when its status was last published.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The torrent.
    pub torrent: TorrentId,
    /// Its name on the wire.
    pub info_hash: InfoHash,
    /// What it is doing.
    pub state: State,
    /// Its figures in the swarm.
    pub swarm: peer::Status,
    /// Its trackers, as far as they were asked, in the order in which they were asked first.
    pub trackers: Vec<TrackerStatus>,
}
