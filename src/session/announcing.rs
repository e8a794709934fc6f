//! What a torrent's trackers are told of it: its start when it joins its swarm or is resumed, its end when it is paused or goes.

use super::command::{Directive, Event};
use super::machine::Coordinator;
use super::torrent::{Announcing, Phase, Torrent};
use crate::machine::TorrentId;
use crate::peer::{self, Source};
use crate::proto::announce::Progress;
use crate::proto::id::PeerId;
use crate::proto::tracker_url::TrackerUrl;
use crate::tracker::client::{Command, Event as Told, Following, TrackerState};

/// The port that is told where nobody reaches us: trackers refuse 0.
const NO_PORT: u16 = 1;

/// How many peers are enough.
const ENOUGH_PEERS: u32 = 30;

/// What trackers are told of us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ourselves {
    pub(super) peer_id: PeerId,
    /// Where we listen.
    pub(super) port_v4: Option<u16>,
    pub(super) port_v6: Option<u16>,
}

impl Torrent {
    /// Says whether it has fewer peers than it wants, and nobody left to dial.
    fn is_out_of_peers(&self) -> bool {
        let peer::Status { known, connecting, peers, pieces_wanted, pieces_wanted_done, .. } = self.figures;
        let wants = self.phase == Phase::Joined && !self.paused && pieces_wanted_done < pieces_wanted;
        wants && known == 0 && connecting == 0 && peers < ENOUGH_PEERS
    }

    fn progress(&self) -> Progress {
        let total = self.spec.layout.geometry().total_length();
        let peer::Status { uploaded, downloaded, bytes_done, .. } = self.figures;
        Progress { uploaded, downloaded, left: total.saturating_sub(bytes_done) }
    }
}

impl Coordinator {
    /// Has a torrent announced that is in its swarm and not paused.
    pub(super) fn announce(&mut self, id: TorrentId) {
        let (Some(ourselves), Some(_)) = (self.ourselves, &self.config.trackers) else { return };
        let Ourselves { peer_id, port_v4, port_v6 } = ourselves;
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        if torrent.phase != Phase::Joined || torrent.paused || torrent.spec.trackers.is_empty() {
            return;
        }
        match &mut torrent.announcing {
            Announcing::Yes => return,
            Announcing::Leaving { again } => return *again = true,
            Announcing::No => torrent.announcing = Announcing::Yes,
        }
        let port = port_v4.or(port_v6).unwrap_or(NO_PORT);
        let following = Following {
            port_v6,
            trust: torrent.spec.trust,
            private: torrent.spec.private,
            progress: torrent.progress(),
            ..Following::new(torrent.info_hash, peer_id, port, torrent.spec.trackers.clone())
        };
        self.push(Directive::ToTracker(Command::Follow { torrent: id, following: Box::new(following) }));
    }

    /// Has a torrent's trackers told that it is gone.
    pub(super) fn stop_announcing(&mut self, id: TorrentId) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        match &mut torrent.announcing {
            Announcing::No => {}
            Announcing::Leaving { again } => *again = false,
            Announcing::Yes => {
                torrent.announcing = Announcing::Leaving { again: false };
                self.push(Directive::ToTracker(Command::Leave { torrent: id }));
            }
        }
    }

    pub(super) fn announce_progress(&mut self, id: TorrentId) {
        let Some(torrent) = self.torrents.get(&id).filter(|t| t.announcing == Announcing::Yes) else { return };
        let progress = torrent.progress();
        self.push(Directive::ToTracker(Command::Progress { torrent: id, progress }));
    }

    /// Asks a torrent's tracker for more peers when the swarm has come to the end of those that it knows; once, until it knows of others again:
    /// where there are no more, it is no use to ask time and again.
    pub(super) fn ask_for_peers(&mut self, id: TorrentId) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        let (was_out, is_out) = (torrent.out_of_peers, torrent.is_out_of_peers());
        torrent.out_of_peers = is_out;
        if is_out && !was_out && torrent.announcing == Announcing::Yes {
            self.push(Directive::ToTracker(Command::MorePeers { torrent: id }));
        }
    }

    /// Tells a torrent's trackers that all of it is there, not only what was wanted.
    pub(super) fn announce_completed(&mut self, id: TorrentId) {
        let all = |t: &&Torrent| t.announcing == Announcing::Yes && t.figures.pieces_done >= t.figures.pieces;
        if self.torrents.get(&id).filter(all).is_some() {
            self.push(Directive::ToTracker(Command::Completed { torrent: id }));
        }
    }

    pub(super) fn on_tracker(&mut self, event: Told) {
        match event {
            Told::Peers { torrent: id, peers, url } => {
                log::debug!(target: "bip::tracker", "{url}: {} peers", peers.len());
                if self.torrents.get(&id).is_some_and(|t| t.phase == Phase::Joined && t.announcing == Announcing::Yes) {
                    self.on_answer_of(id, &url);
                    let source = Source::Tracker;
                    self.push(Directive::ToPeer(peer::Command::FoundPeers { torrent: id, peers, source }));
                }
            }
            Told::Switched { torrent: id } => self.drop_peers(id),
            Told::Tracker { torrent: id, status } => {
                if status.state == TrackerState::Working {
                    // Also where it knows of no peers.
                    self.on_answer_of(id, &status.url);
                }
                let Some(torrent) = self.torrents.get_mut(&id) else { return };
                match torrent.trackers.iter_mut().find(|known| known.url == status.url) {
                    Some(known) => known.clone_from(&status),
                    // The client has as many trackers of a torrent as it may.
                    None => torrent.trackers.push((*status).clone()),
                }
                self.push(Directive::Notice(Event::Tracker { torrent: id, status }));
                self.publish(id);
            }
            Told::FollowRefused { torrent: id, error } => {
                log::warn!(target: "bip::tracker", "{id} is not announced: {error}");
                // One that is being left is answered for that too.
                if let Some(torrent) = self.torrents.get_mut(&id).filter(|t| t.announcing == Announcing::Yes) {
                    torrent.announcing = Announcing::No;
                }
            }
            Told::Left { torrent } => self.on_left(torrent),
            // Nothing else is asked.
            _ => {}
        }
    }

    /// Notes that a torrent is at this tracker. If a private one was at another before it was paused, which the client of trackers does not remember, the
    /// peers from there go (BEP 27).
    fn on_answer_of(&mut self, id: TorrentId, url: &TrackerUrl) {
        let Some(torrent) = self.torrents.get_mut(&id).filter(|torrent| torrent.spec.private) else { return };
        if torrent.peers_from.as_ref() == Some(url) {
            return;
        }
        let was_elsewhere = torrent.peers_from.replace(url.clone()).is_some();
        if was_elsewhere && torrent.phase == Phase::Joined {
            self.push(Directive::ToPeer(peer::Command::DropPeers { torrent: id }));
        }
    }

    /// Drops the peers of the tracker that a private torrent was at.
    fn drop_peers(&mut self, id: TorrentId) {
        let Some(torrent) = self.torrents.get_mut(&id).filter(|torrent| torrent.phase == Phase::Joined) else { return };
        torrent.peers_from = None;
        self.push(Directive::ToPeer(peer::Command::DropPeers { torrent: id }));
    }

    fn on_left(&mut self, id: TorrentId) {
        if self.farewells.remove(&id) {
            return self.answer_shut_down();
        }
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        let again = torrent.announcing == Announcing::Leaving { again: true };
        torrent.announcing = Announcing::No;
        if again {
            self.announce(id);
        }
    }
}
