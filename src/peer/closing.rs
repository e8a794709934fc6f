use super::book::Outcome;
use super::connection::Stage;
use super::hub::{Step, Timer};
use super::machine::Swarm;
use super::{Event, Gone};
use crate::machine::{CloseReason, ConnId, Instant};
use log::{debug, info};

/// The end of a connection, and what follows from it.
impl Swarm {
    /// Closes a connection.
    pub(super) fn close(&mut self, now: Instant, key: usize, gone: Gone) {
        let Some(conn) = self.table.get_mut(key) else { return };
        if matches!(conn.stage, Stage::Closing) {
            return;
        }
        let id = conn.id;
        // What we said last matters only where the peer has done nothing wrong.
        let flush = matches!(gone, Gone::Duplicate | Gone::Redundant | Gone::Left);
        if !flush {
            conn.outbox.clear();
        }
        self.hub.steps.push_back(Step::Close(id, flush));
        self.forget(now, key, gone);
    }

    /// Ends all that a connection was part of.
    fn forget(&mut self, now: Instant, key: usize, gone: Gone) {
        let Some(conn) = self.table.get_mut(key) else { return };
        let (address, dialled) = (conn.address, conn.dialled);
        self.hub.timers.cancel(Timer::Connection(conn.id));
        match std::mem::replace(&mut conn.stage, Stage::Closing) {
            Stage::Closing => {}
            Stage::Handshaking { torrent, .. } => {
                // Whoever we dialled was named to us; strangers that come in may be many.
                if dialled {
                    info!(target: "bip::peer", "{address}: closed while shaking hands: {gone}");
                } else {
                    debug!(target: "bip::peer", "{address}: closed while shaking hands: {gone}");
                    self.hub.arriving = self.hub.arriving.saturating_sub(1);
                    return;
                }
                if let Some(torrent) = torrent.and_then(|place| self.torrents.get_mut(place)) {
                    let outcome = match gone {
                        _ if !torrent.is_running() => Outcome::Stopped,
                        Gone::Duplicate | Gone::Full => Outcome::Needless,
                        _ => Outcome::Useless,
                    };
                    torrent.book.on_ended(now, address, outcome, &self.hub.config, &mut self.hub.rng);
                    self.hub.set_timer_by(now, Timer::Dial(torrent.id), now);
                }
                self.on_dial_ended(now);
            }
            Stage::Open(mut link) => {
                self.hub.open = self.hub.open.saturating_sub(1);
                self.hub.inbound = self.hub.inbound.saturating_sub(usize::from(!dialled));
                let Some(torrent) = self.torrents.get_mut(link.torrent) else { return };
                torrent.inbound = torrent.inbound.saturating_sub(usize::from(!dialled));
                info!(target: "bip::peer", "{}: {address}: gone: {gone}", torrent.id);
                torrent.release(&mut link);
                torrent.leave_lines(&mut self.hub, &mut link);
                torrent.picker.peer_left(&link.has);
                torrent.seeds = torrent.seeds.saturating_sub(u32::from(link.has.is_full()));
                torrent.peers.remove(&link.peer);
                torrent.picker.forget_peer(link.peer);
                torrent.on_peer_gone(key, &link, address, self.hub.config.max_suspects);
                if let Some(buf) = link.incoming.take().and_then(|incoming| incoming.buf) {
                    // The part of a block that came is of no use.
                    torrent.wasted += buf.bytes().len() as u64;
                }
                let (config, rng) = (&self.hub.config, &mut self.hub.rng);
                if dialled {
                    let outcome = match gone {
                        _ if !torrent.is_running() => Outcome::Stopped,
                        // That there was no room is no fault of the peer's.
                        Gone::Duplicate | Gone::Redundant | Gone::Full => Outcome::Needless,
                        _ if link.download.total() + link.upload.total() > 0 => Outcome::Useful,
                        _ => Outcome::Useless,
                    };
                    torrent.book.on_ended(now, address, outcome, config, rng);
                    if gone == Gone::Banned {
                        torrent.book.forget(address);
                    }
                }
                if !matches!(gone, Gone::Duplicate | Gone::Redundant) {
                    torrent.book.on_peer_gone(now, address, link.peer_id, config, rng);
                }
                torrent.todo.rechoke = true;
                torrent.touch(&mut self.hub, now);
                self.hub.set_timer_by(now, Timer::Dial(torrent.id), now);
                self.hub.events.push_back(Event::PeerGone { torrent: torrent.id, address, reason: gone });
            }
        }
    }

    pub(super) fn on_closed(&mut self, now: Instant, id: ConnId, reason: CloseReason) {
        let Some(key) = self.table.key(id) else { return };
        let place = self.table.get(key).and_then(|c| c.link()).map(|link| link.torrent);
        let gone = match reason {
            CloseReason::Failed(error) => Gone::Failed(error),
            CloseReason::Ours | CloseReason::Theirs => Gone::Left,
        };
        self.forget(now, key, gone);
        self.table.remove(id);
        if let Some(place) = place {
            self.settle(now, place);
        }
    }
}
