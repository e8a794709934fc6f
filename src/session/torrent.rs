//! One torrent of a session: where it is in its life, and what the program still waits for.

use super::command::{AddError, Spec, State, Status};
use super::retrying::{Failure, Tries};
use super::selection::{self, Completion, Selecting};
use crate::disk::{Checked, Files, Oddity};
use crate::machine::TorrentId;
use crate::peer::{self, Source};
use crate::proto::geometry::Span;
use crate::proto::id::InfoHash;
use crate::proto::tracker_url::TrackerUrl;
use crate::tracker::client::TrackerStatus;
use std::collections::VecDeque;
use std::net::SocketAddr;

#[derive(Debug)]
pub(super) struct Torrent {
    pub(super) info_hash: InfoHash,
    pub(super) spec: Spec,
    pub(super) phase: Phase,
    /// The program's wish: whether the swarm should be left alone.
    pub(super) paused: bool,
    /// Why the files cannot be used, until they are tried again.
    pub(super) failed: Option<Failure>,
    pub(super) tries: Tries,
    /// Whether a piece was lost since the program was told that the torrent is complete.
    pub(super) lost: bool,
    /// Blocks of incomplete pieces that the disk has, for the swarm.
    pub(super) stored: Vec<Span>,
    /// Whether the program was told that the torrent is complete.
    pub(super) completion: Completion,
    /// Peers named before the swarm knew the torrent; each still owes the program an answer.
    pub(super) early_peers: Vec<(SocketAddr, Source)>,
    /// Whether limits came while the swarm was taking the torrent in; the program waits for the answer.
    pub(super) early_limits: bool,
    /// Whether the program still waits for the answer to its add, and what it will be if the torrent never joins.
    pub(super) add_unanswered: Option<AddError>,
    /// Whether the program asked for the removal, and so gets an answer.
    pub(super) removal_asked: bool,
    /// What becomes of its files when it is removed.
    pub(super) files: Files,
    pub(super) selecting: Selecting,
    /// Pauses and resumes that the swarm has not answered yet, in order.
    pub(super) asked: VecDeque<Asked>,
    pub(super) figures: peer::Status,
    pub(super) announcing: Announcing,
    /// Its trackers, as far as they were asked.
    pub(super) trackers: Vec<TrackerStatus>,
    /// The one that its peers come from, of a private torrent.
    pub(super) peers_from: Option<TrackerUrl>,
    /// The swarm wants more peers than it knows.
    pub(super) out_of_peers: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Phase {
    /// The disk is checking what is there. `cancelled` when the torrent was removed meanwhile.
    Checking { checked: u32, cancelled: bool },
    /// The disk is done; the swarm is taking the torrent in.
    Joining { oddities: Vec<Oddity>, checked: Checked },
    /// In the swarm.
    Joined,
    /// The swarm is letting it go.
    Leaving,
    /// The disk is closing its files.
    Closing,
}

/// Whether a torrent's trackers are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announcing {
    /// They are not.
    No,
    /// They are.
    Yes,
    /// They are being told of its end; `again`: and of its start after that.
    Leaving { again: bool },
}

/// Who wanted a pause or a resume of the swarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Asked {
    /// The program, which gets an answer.
    Program,
    /// The session itself.
    Ourselves,
}

impl Torrent {
    /// Makes a torrent that the disk is to check.
    pub(super) fn new(spec: Spec, figures: peer::Status) -> Self {
        Self {
            info_hash: spec.info_hash,
            spec,
            phase: Phase::Checking { checked: 0, cancelled: false },
            paused: false,
            failed: None,
            tries: Tries::default(),
            lost: false,
            stored: Vec::new(),
            completion: Completion::default(),
            early_peers: Vec::new(),
            early_limits: false,
            add_unanswered: Some(AddError::Removed),
            removal_asked: false,
            files: Files::Keep,
            selecting: Selecting::default(),
            asked: VecDeque::new(),
            figures,
            announcing: Announcing::No,
            trackers: Vec::new(),
            peers_from: None,
            out_of_peers: false,
        }
    }

    /// Makes one that the disk is to delete.
    pub(super) fn to_delete(spec: Spec) -> Self {
        let figures = peer::Status::default();
        Self {
            phase: Phase::Closing,
            add_unanswered: None,
            removal_asked: true,
            files: Files::Delete,
            ..Self::new(spec, figures)
        }
    }

    pub(super) fn status(&self, torrent: TorrentId) -> Status {
        let state = match &self.phase {
            Phase::Checking { checked, .. } => State::Checking { checked: *checked },
            Phase::Joining { .. } => State::Checking { checked: self.figures.pieces },
            Phase::Leaving | Phase::Closing => State::Removing,
            Phase::Joined => match &self.failed {
                Some(failure) => State::Failed(failure.error.clone()),
                None if self.paused => State::Paused,
                None if selection::is_complete(&self.figures) => State::Seeding,
                None => State::Downloading,
            },
        };
        Status {
            torrent,
            info_hash: self.info_hash,
            state,
            swarm: self.figures.clone(),
            trackers: self.trackers.clone(),
        }
    }

    /// Says whether the disk was told to close its files.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing | Phase::Checking { cancelled: true, .. })
    }

    /// Takes note that a piece is there no more: it is not complete.
    pub(super) fn on_lost(&mut self) {
        self.completion = Completion::Missing;
        self.lost = true;
    }
}
