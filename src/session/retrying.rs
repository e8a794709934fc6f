//! What a torrent does when its files fail: it stops downloading, tells why, and tries again.

use super::command::{Directive, Event};
use super::machine::Coordinator;
use super::torrent::{Asked, Phase, Torrent};
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
    pub(super) fn on_retry_timer(&mut self, now: Instant, id: TorrentId) {
        let Some(torrent) = self.torrents.get(&id) else { return };
        if matches!(torrent.phase, Phase::Joining { .. }) {
            // The swarm is still taking it in.
            return self.retries.set(id, now + Duration::from_secs(1));
        }
        if torrent.phase != Phase::Joined {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::super::command::{Command, Spec};
    use super::super::config::Config;
    use super::*;
    use crate::disk::Checked;
    use crate::machine::Machine;
    use crate::proto::bitfield::Bitfield;
    use crate::proto::id::InfoHash;
    use crate::proto::metainfo::{Layout, SafePath};
    use crate::proto::sha1::Sha1;
    use std::sync::Arc;

    const TORRENT: TorrentId = TorrentId(0);

    fn ask(coordinator: &mut Coordinator, now: Instant, command: Command) -> Vec<Directive> {
        coordinator.handle_command(now, command);
        std::iter::from_fn(|| coordinator.poll_event()).collect()
    }

    fn joined() -> Coordinator {
        let path = SafePath::from_parts(["a"]).unwrap();
        let layout = Arc::new(Layout::new(vec![(path, 5)], 16 * 1024, &[Sha1::digest(b"hello")]).unwrap());
        let mut coordinator = Coordinator::new(Config::default());
        let (have, stored, checked, oddities) = (Bitfield::new(1), Vec::new(), Checked::Full, Vec::new());
        for command in [
            Command::Add { torrent: TORRENT, spec: Spec::new(InfoHash([1; 20]), layout, "/folder") },
            Command::FromDisk(disk::Event::Added { torrent: TORRENT, have, stored, checked, oddities }),
            Command::FromPeer(peer::Event::TorrentAdded { torrent: TORRENT }),
        ] {
            ask(&mut coordinator, Instant::ZERO, command);
        }
        coordinator
    }

    fn stopped(unreadable: bool) -> Command {
        Command::FromDisk(disk::Event::Stopped { torrent: TORRENT, error: disk::Error::Busy, unreadable })
    }

    fn is_download(directive: &Directive, on: bool) -> bool {
        *directive == Directive::ToPeer(peer::Command::SetDownload { torrent: TORRENT, download: on })
    }

    #[test]
    fn a_torrent_is_tried_again_after_pauses_that_double_until_a_piece_is_verified() {
        let mut coordinator = joined();
        let mut now = Instant::ZERO;
        let mut waits = Vec::new();
        for round in 0..10 {
            let told = ask(&mut coordinator, now, stopped(false));
            assert!(told.iter().any(|d| is_download(d, false)), "{told:?}");
            let failed = Event::Failed { torrent: TORRENT, error: disk::Error::Busy };
            let (milestone, notice) = (Directive::Milestone(failed.clone()), Directive::Notice(failed));
            assert_eq!((told.contains(&milestone), told.contains(&notice)), (round == 0, round > 0));
            let at = coordinator.poll_timeout().unwrap();
            waits.push(at.since(now).as_secs());
            // Too early, nothing happens.
            coordinator.handle_timeout(now);
            assert_eq!(coordinator.poll_event(), None);
            now = at;
            coordinator.handle_timeout(now);
            let told: Vec<Directive> = std::iter::from_fn(|| coordinator.poll_event()).collect();
            assert!(told.contains(&Directive::ToDisk(disk::Command::Retry { torrent: TORRENT })));
            assert!(told.iter().any(|d| is_download(d, true)));
            assert!(!told.iter().any(|d| matches!(d, Directive::Answer(_))), "nobody asked: {told:?}");
            assert_eq!(coordinator.poll_timeout(), None);
            if round == 8 {
                let piece = PieceIndex(0);
                ask(&mut coordinator, now, Command::FromPeer(peer::Event::PieceDone { torrent: TORRENT, piece }));
            }
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600, 600, 10]);
    }

    #[test]
    fn files_that_cannot_be_read_stop_the_swarm_and_the_retry_is_no_answer_to_the_program() {
        let mut coordinator = joined();
        ask(&mut coordinator, Instant::ZERO, stopped(false));
        let told = ask(&mut coordinator, Instant::ZERO, stopped(true));
        assert!(told.contains(&Directive::ToPeer(peer::Command::Pause { torrent: TORRENT })), "{told:?}");
        assert!(
            !ask(&mut coordinator, Instant::ZERO, stopped(false)).iter().any(|d| matches!(d, Directive::ToPeer(_)))
        );
        coordinator.handle_timeout(coordinator.poll_timeout().unwrap());
        let told: Vec<Directive> = std::iter::from_fn(|| coordinator.poll_event()).collect();
        assert!(told.contains(&Directive::ToPeer(peer::Command::Resume { torrent: TORRENT })), "{told:?}");
        for event in [peer::Event::Paused { torrent: TORRENT }, peer::Event::Resumed { torrent: TORRENT }] {
            let told = ask(&mut coordinator, Instant::ZERO, Command::FromPeer(event));
            assert!(!told.iter().any(|d| matches!(d, Directive::Answer(_))), "{told:?}");
        }
    }

    #[test]
    fn a_torrent_that_the_program_paused_is_not_tried_again_by_itself() {
        let mut coordinator = joined();
        ask(&mut coordinator, Instant::ZERO, stopped(false));
        ask(&mut coordinator, Instant::ZERO, Command::Pause { torrent: TORRENT });
        ask(&mut coordinator, Instant::ZERO, Command::FromPeer(peer::Event::Paused { torrent: TORRENT }));
        coordinator.handle_timeout(Instant::NEVER);
        assert_eq!(coordinator.poll_event(), None);
        let told = ask(&mut coordinator, Instant::ZERO, Command::Resume { torrent: TORRENT });
        assert!(told.contains(&Directive::ToDisk(disk::Command::Retry { torrent: TORRENT })), "{told:?}");
        assert!(told.iter().any(|d| is_download(d, true)));
    }

    #[test]
    fn a_torrent_of_which_a_piece_was_lost_is_complete_again_only_when_it_is_back() {
        let mut coordinator = joined();
        let completed = || Command::FromPeer(peer::Event::Completed { torrent: TORRENT });
        let synced = || Command::FromDisk(disk::Event::Synced { torrent: TORRENT, error: None });
        let done = |told: Vec<Directive>| {
            let event = Event::Completed { torrent: TORRENT };
            (told.contains(&Directive::Milestone(event.clone())), told.contains(&Directive::Notice(event)))
        };
        ask(&mut coordinator, Instant::ZERO, completed());
        let lost = disk::Event::PieceLost { torrent: TORRENT, piece: PieceIndex(0) };
        let told = ask(&mut coordinator, Instant::ZERO, Command::FromDisk(lost));
        let piece = PieceIndex(0);
        assert!(told.contains(&Directive::ToPeer(peer::Command::PieceLost { torrent: TORRENT, piece })), "{told:?}");
        assert_eq!(done(ask(&mut coordinator, Instant::ZERO, synced())), (false, false));
        ask(&mut coordinator, Instant::ZERO, completed());
        assert_eq!(done(ask(&mut coordinator, Instant::ZERO, synced())), (false, true));
    }
}
