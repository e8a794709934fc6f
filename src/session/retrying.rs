//! What a torrent does when its files fail: it stops downloading, tells why, and tries again.

use super::command::{Directive, Event};
use super::coordinator::{Asked, Coordinator, Phase, Torrent};
use crate::disk;
use crate::machine::{Instant, TorrentId};
use crate::peer;
use crate::proto::id::PieceIndex;
use std::time::Duration;

/// What is the matter with a torrent's files.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: disk::Error,
    /// Whether they cannot be read either: then the swarm is left alone.
    unreadable: bool,
}

/// How often a torrent has failed.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Failures since the last piece was verified.
    failures: u32,
    /// Whether the program was told since it had a hand in it.
    told: bool,
}

impl Tries {
    /// Takes note that the program wants it tried again.
    pub(super) fn begin_anew(&mut self) {
        *self = Self::default();
    }
}

impl Torrent {
    /// Says what the swarm is to do for the files' sake: stop, or stop downloading.
    fn restriction(&self, id: TorrentId) -> Option<peer::Command> {
        let failure = self.failed.as_ref()?;
        Some(if failure.unreadable {
            peer::Command::Pause { torrent: id }
        } else {
            peer::Command::SetDownload { torrent: id, download: false }
        })
    }
}

impl Coordinator {
    pub(super) fn on_failed(&mut self, now: Instant, id: TorrentId, error: disk::Error, unreadable: bool) {
        let (first, most) = (self.config.retry_after, self.config.retry_most);
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        if torrent.failed.as_ref().is_some_and(|failure| failure.unreadable || !unreadable) {
            return;
        }
        let again = torrent.failed.replace(Failure { error: error.clone(), unreadable }).is_some();
        let told = std::mem::replace(&mut torrent.tries.told, true);
        if !again {
            let wait = first.saturating_mul(1u32.checked_shl(torrent.tries.failures).unwrap_or(u32::MAX));
            torrent.tries.failures = torrent.tries.failures.saturating_add(1).min(31);
            self.retries.set(id, now + wait.clamp(Duration::from_millis(1), most.max(first)));
        }
        self.restrict(id);
        let event = Event::Failed { torrent: id, error };
        self.push(if told { Directive::Notice(event) } else { Directive::Milestone(event) });
        self.publish(id);
    }

    /// Has the swarm do what the state of the files calls for.
    pub(super) fn restrict(&mut self, id: TorrentId) {
        let Some(torrent) = self.torrents.get_mut(&id).filter(|t| t.phase == Phase::Joined) else { return };
        let Some(command) = torrent.restriction(id) else { return };
        if matches!(command, peer::Command::Pause { .. }) {
            torrent.asked.push_back(Asked::Ourselves);
        }
        self.push(Directive::ToPeer(command));
    }

    /// Lets a torrent that failed be written again; says whether the swarm was stopped for it.
    pub(super) fn lift_failure(&mut self, id: TorrentId) -> bool {
        self.retries.cancel(id);
        let Some(torrent) = self.torrents.get_mut(&id) else { return false };
        let Some(failure) = torrent.failed.take() else { return false };
        let download = torrent.spec.writable;
        self.push(Directive::ToDisk(disk::Command::Retry { torrent: id }));
        self.push(Directive::ToPeer(peer::Command::SetDownload { torrent: id, download }));
        failure.unreadable
    }

    /// Tries a torrent again whose time has come.
    pub(super) fn on_retry_timer(&mut self, id: TorrentId) {
        let Some(torrent) = self.torrents.get(&id).filter(|t| t.phase == Phase::Joined) else { return };
        // What was paused waits for the program.
        if torrent.paused || torrent.failed.is_none() {
            return;
        }
        let stopped = self.lift_failure(id);
        if stopped {
            if let Some(torrent) = self.torrents.get_mut(&id) {
                torrent.asked.push_back(Asked::Ourselves);
            }
            self.push(Directive::ToPeer(peer::Command::Resume { torrent: id }));
        } else {
            self.finish(id);
        }
        self.publish(id);
    }

    /// Takes note that a piece was verified: what failed before is over.
    pub(super) fn on_piece_done(&mut self, id: TorrentId) {
        if let Some(torrent) = self.torrents.get_mut(&id) {
            torrent.tries.failures = 0;
        }
    }

    pub(super) fn on_piece_lost(&mut self, id: TorrentId, piece: PieceIndex) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        torrent.on_lost();
        if torrent.phase == Phase::Joined {
            self.push(Directive::ToPeer(peer::Command::PieceLost { torrent: id, piece }));
            self.push(Directive::Notice(Event::PieceLost { torrent: id, piece }));
        }
    }
}
