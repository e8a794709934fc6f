use super::connection::Stage;
use super::hub::{Step, Timer};
use super::machine::Swarm;
use super::throttle::Lane;
use super::torrent::Torrent;
use super::{Event, Gone, Limits, Refusal, Selection, Source, Stored, TorrentLimits};
use crate::machine::{Block, Instant, TorrentId};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::{Geometry, Span};
use crate::proto::id::InfoHash;
use std::net::SocketAddr;

/// What is asked of the swarm about its torrents, and what the store answers.
impl Swarm {
    #[allow(clippy::too_many_arguments)] // one for each field of the command
    pub(super) fn on_add_torrent(
        &mut self,
        now: Instant,
        id: TorrentId,
        info_hash: InfoHash,
        geometry: Geometry,
        have: &Bitfield,
        download: bool,
        selection: Selection,
        limits: TorrentLimits,
    ) {
        let config = &self.hub.config;
        let pieces = geometry.piece_count();
        if self.by_id.contains_key(&id) || self.by_hash.contains_key(&info_hash) {
            self.refuse(id, Refusal::DuplicateTorrent);
        } else if self.torrents.len() >= config.max_torrents || pieces > config.max_pieces {
            self.refuse(id, Refusal::Full);
        } else if have.pieces() != pieces {
            self.refuse(id, Refusal::WrongBitfield);
        } else if selection.pieces.as_ref().is_some_and(|wanted| wanted.len() != pieces as usize) {
            self.refuse(id, Refusal::WrongSelection);
        } else {
            let mut torrent = Torrent::new(id, info_hash, geometry, have, &mut self.hub.rng);
            torrent.downloads = download;
            torrent.begin_with(&selection);
            torrent.limits = limits;
            torrent.throttle.set_rates(now, torrent.limits.upload_rate, torrent.limits.download_rate);
            self.hub.events.push_back(Event::TorrentAdded { torrent: id });
            torrent.touch(&mut self.hub, now);
            let key = self.torrents.insert(torrent);
            self.by_id.insert(id, key);
            self.by_hash.insert(info_hash, key);
        }
    }

    pub(super) fn refuse(&mut self, torrent: TorrentId, refusal: Refusal) {
        self.hub.events.push_back(Event::Refused { torrent, refusal });
    }

    /// Gives the place of a torrent that is not being removed; refuses the command where there is none.
    pub(super) fn find(&mut self, id: TorrentId) -> Option<usize> {
        let place = self.by_id.get(&id).copied();
        let place = place.filter(|place| self.torrents.get(*place).is_some_and(|t| !t.removing));
        if place.is_none() {
            self.refuse(id, Refusal::UnknownTorrent);
        }
        place
    }

    pub(super) fn on_remove_torrent(&mut self, now: Instant, id: TorrentId) {
        let Some(place) = self.find(id) else { return };
        if let Some(torrent) = self.torrents.get_mut(place) {
            torrent.removing = true;
        }
        self.stop(now, place);
        for timer in [Timer::Dial(id), Timer::Choke(id), Timer::Refill(id), Timer::Reassign(id), Timer::Status(id)] {
            self.hub.timers.cancel(timer);
        }
        for lane in Lane::ALL {
            self.hub.timers.cancel(Timer::TorrentTurns(lane, id));
        }
        self.finish_removal(place);
    }

    /// Forgets a torrent that is being removed once the store has answered everything.
    fn finish_removal(&mut self, place: usize) {
        let done = |t: &Torrent| t.removing && t.stores == 0 && t.loads.is_empty();
        if self.torrents.get(place).is_some_and(done) {
            let torrent = self.torrents.remove(place);
            self.by_id.remove(&torrent.id);
            self.by_hash.remove(&torrent.info_hash);
            self.waiting_to_dial.retain(|id| *id != torrent.id);
            self.hub.leave_lines(place);
            self.hub.events.push_back(Event::TorrentRemoved { torrent: torrent.id });
        }
    }

    /// Closes a torrent's connections and dials.
    fn stop(&mut self, now: Instant, place: usize) {
        let of_torrent = |stage: &Stage| match stage {
            Stage::Handshaking { torrent, .. } => *torrent == Some(place),
            Stage::Open(link) => link.torrent == place,
            Stage::Closing => false,
        };
        for key in self.table.find(|conn| of_torrent(&conn.stage)) {
            self.close(now, key, Gone::TorrentStopped);
        }
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        for dial in torrent.book.abandon(now) {
            self.hub.steps.push_back(Step::Abandon(dial));
        }
        self.settle(now, place);
    }

    pub(super) fn on_pause(&mut self, now: Instant, id: TorrentId) {
        let Some(place) = self.find(id) else { return };
        if let Some(torrent) = self.torrents.get_mut(place) {
            torrent.paused = true;
            torrent.touch(&mut self.hub, now);
        }
        self.stop(now, place);
        self.hub.events.push_back(Event::Paused { torrent: id });
    }

    pub(super) fn on_resume(&mut self, now: Instant, id: TorrentId) {
        let Some(place) = self.find(id) else { return };
        if let Some(torrent) = self.torrents.get_mut(place) {
            torrent.paused = false;
            // Whoever resumes has dealt with what made the store fail.
            torrent.retry_at = Instant::ZERO;
            torrent.touch(&mut self.hub, now);
        }
        self.hub.events.push_back(Event::Resumed { torrent: id });
        self.dial(now, place);
    }

    pub(super) fn on_add_peer(&mut self, now: Instant, id: TorrentId, address: SocketAddr, source: Source) {
        let Some(place) = self.find(id) else { return };
        if self.hub.bans.contains(address) {
            return self.refuse(id, Refusal::Banned);
        }
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        let priority = self.hub.ourselves.priority_of(address, &self.hub.config);
        if !torrent.book.add(now, address, source, priority, &self.hub.config) {
            return self.refuse(id, Refusal::Full);
        }
        torrent.touch(&mut self.hub, now);
        self.hub.events.push_back(Event::PeerAdded { torrent: id, address });
        self.dial(now, place);
    }

    /// Gives the place of a torrent that is not being removed, for what is not answered.
    fn place_of(&self, id: TorrentId) -> Option<usize> {
        let place = self.by_id.get(&id).copied()?;
        self.torrents.get(place).is_some_and(|t| !t.removing).then_some(place)
    }

    pub(super) fn on_found_peers(&mut self, now: Instant, id: TorrentId, peers: &[SocketAddr], source: Source) {
        let Some(place) = self.place_of(id) else { return };
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        for address in peers {
            if !self.hub.bans.contains(*address) {
                let priority = self.hub.ourselves.priority_of(*address, &self.hub.config);
                torrent.book.add(now, *address, source, priority, &self.hub.config);
            }
        }
        torrent.touch(&mut self.hub, now);
        self.dial(now, place);
    }

    pub(super) fn on_drop_peers(&mut self, now: Instant, id: TorrentId) {
        let Some(place) = self.place_of(id) else { return };
        self.stop(now, place);
        if let Some(torrent) = self.torrents.get_mut(place) {
            torrent.book.forget_all(Source::Tracker);
            torrent.touch(&mut self.hub, now);
        }
        self.dial(now, place);
    }

    pub(super) fn on_set_limits(&mut self, now: Instant, limits: Limits) {
        self.hub.config.limits = limits;
        self.apply_limits(now);
        self.rechoke_all(now);
        self.hub.events.push_back(Event::LimitsSet);
    }

    pub(super) fn on_set_torrent_limits(&mut self, now: Instant, id: TorrentId, limits: TorrentLimits) {
        let Some(place) = self.find(id) else { return };
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        torrent.limits = limits;
        self.apply_torrent_limits(now, place);
        self.hub.events.push_back(Event::TorrentLimitsSet { torrent: id });
        self.rechoke(now, place, false);
        self.settle(now, place);
    }

    pub(super) fn on_stored(&mut self, now: Instant, id: TorrentId, span: Span, outcome: Stored) {
        let Some(place) = self.by_id.get(&id).copied() else { return };
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        torrent.on_stored(&mut self.hub, now, span, outcome);
        self.sentence(now, place);
        self.settle(now, place);
        self.finish_removal(place);
    }

    pub(super) fn on_loaded(&mut self, now: Instant, id: TorrentId, ticket: u64, block: Option<Block>) {
        let Some(place) = self.by_id.get(&id).copied() else { return };
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        let Some(load) = torrent.take_load(ticket) else { return };
        if let Some(conn) = self.table.get_mut(load.key).filter(|c| c.id == load.conn) {
            match torrent.on_loaded(&mut self.hub, conn, now, load, block) {
                Ok(()) => self.advance(now, load.key),
                Err(gone) => self.close(now, load.key, gone),
            }
            self.settle(now, place);
        } else {
            torrent.on_upload_undone(&mut self.hub, load.length);
        }
        self.finish_removal(place);
    }
}
