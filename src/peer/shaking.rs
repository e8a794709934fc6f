use super::bans::Party;
use super::connection::{Connection, Link, Stage};
use super::crowd::{Crowd, Room};
use super::hub::Timer;
use super::machine::Swarm;
use super::{Event, Gone};
use crate::machine::{ConnId, DialId, Instant, TorrentId};
use crate::proto::bitfield::Bitfield;
use crate::proto::handshake::{Decoder, Extensions, Handshake, Progress};
use crate::proto::id::PeerId;
use crate::proto::message::Message;
use log::debug;
use std::io::ErrorKind;
use std::net::SocketAddr;

/// A dial under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dial {
    pub(super) torrent: TorrentId,
    pub(super) address: SocketAddr,
}

impl Swarm {
    pub(super) fn on_accepted(&mut self, now: Instant, id: ConnId, from: SocketAddr) {
        if self.hub.bans.contains(from) {
            if self.table.insert(now, id, from, false, Stage::Closing).is_some() {
                self.hub.abort(id);
            }
            return;
        }
        let deadline = now + self.hub.config.handshake_timeout;
        let stage = Stage::Handshaking { decoder: Decoder::default(), torrent: None, deadline };
        let Some(conn) = self.table.insert(now, id, from, false, stage) else { return };
        conn.set_timer(&mut self.hub, now);
        self.hub.arriving += 1;
        self.arrivals.push_back(id);
        while self.hub.arriving > self.hub.config.max_incoming_handshakes {
            let Some(oldest) = self.arrivals.pop_front() else { break };
            if let Some(key) = self.arriving(oldest) {
                self.close(now, key, Gone::Full);
            }
        }
        if self.arrivals.len() > 2 * self.hub.arriving + 16 {
            let table = &self.table;
            self.arrivals.retain(|id| is_arriving(table.key(*id).and_then(|key| table.get(key))));
        }
    }

    fn arriving(&self, id: ConnId) -> Option<usize> {
        self.table.key(id).filter(|key| is_arriving(self.table.get(*key)))
    }

    pub(super) fn on_connected(&mut self, now: Instant, dial: DialId, id: ConnId) {
        let Some(Dial { torrent, address }) = self.dials.remove(&dial) else { return };
        self.hub.timers.cancel(Timer::Abandon(dial));
        let key = self.by_id.get(&torrent).copied();
        let key = key.filter(|key| {
            let torrent = self.torrents.get_mut(*key);
            torrent.is_some_and(|t| t.is_running() && t.book.on_connected(address, dial))
        });
        let key = key.filter(|key| !self.forget_banned(*key, address));
        let deadline = now + self.hub.config.handshake_timeout;
        let stage = match key {
            Some(_) => Stage::Handshaking { decoder: Decoder::default(), torrent: key, deadline },
            // The torrent has been paused or removed meanwhile, or the address banned.
            None => Stage::Closing,
        };
        let Some(conn) = self.table.insert(now, id, address, true, stage) else {
            self.hub.dialling = self.hub.dialling.saturating_sub(1);
            return;
        };
        match key.and_then(|key| self.torrents.get(key)) {
            Some(torrent) => {
                let ours = Handshake {
                    extensions: Extensions::default(),
                    info_hash: torrent.info_hash,
                    peer_id: self.hub.peer_id,
                };
                conn.send_raw(&mut self.hub, now, &ours.encode());
                conn.set_timer(&mut self.hub, now);
            }
            None => {
                self.hub.abort(id);
                // Another address of its network may be dialled in its place.
                self.hub.set_timer_by(now, Timer::Dial(torrent), now);
                self.on_dial_ended(now);
            }
        }
    }

    pub(super) fn on_connect_failed(&mut self, now: Instant, dial: DialId, error: ErrorKind) {
        let Some(Dial { torrent, address }) = self.dials.remove(&dial) else { return };
        self.hub.timers.cancel(Timer::Abandon(dial));
        debug!(target: "bip::peer", "{torrent}: {address}: cannot connect: {error}");
        if let Some(key) = self.by_id.get(&torrent).copied() {
            if let Some(torrent) = self.torrents.get_mut(key) {
                torrent.book.on_failed(now, address, dial, &self.hub.config, &mut self.hub.rng);
                torrent.touch(&mut self.hub, now);
            }
            self.on_dial_ended(now);
            self.dial(now, key);
        } else {
            self.on_dial_ended(now);
        }
    }

    /// Takes bytes of a handshake from the input. Says whether hands are shaken, so that the rest may be read.
    pub(super) fn shake(&mut self, now: Instant, key: usize, input: &mut &[u8]) -> bool {
        let Some(conn) = self.table.get_mut(key) else { return false };
        let (dialled, address) = (conn.dialled, conn.address);
        let Stage::Handshaking { decoder, torrent, .. } = &mut conn.stage else { return false };
        let progress = match decoder.decode(input) {
            Ok(progress) => progress,
            Err(error) => {
                debug!(target: "bip::peer", "{address}: {error}");
                self.close(now, key, Gone::Violation(super::Violation::Malformed));
                return false;
            }
        };
        let (info_hash, peer_id) = match progress {
            Progress::Start => return false,
            Progress::Opening(opening) => (opening.info_hash, None),
            Progress::Complete(whole) => (whole.info_hash, Some(whole.peer_id)),
        };
        let known = self.by_hash.get(&info_hash).copied();
        let known = known.filter(|key| self.torrents.get(*key).is_some_and(|t| t.is_running()));
        let Some(place) = known.filter(|place| torrent.is_none_or(|ours| ours == *place)) else {
            debug!(target: "bip::peer", "{address}: wants torrent {info_hash}, which is not here");
            self.close(now, key, Gone::WrongTorrent);
            return false;
        };
        if torrent.is_none() {
            *torrent = Some(place);
            let ours = Handshake { extensions: Extensions::default(), info_hash, peer_id: self.hub.peer_id };
            conn.send_raw(&mut self.hub, now, &ours.encode());
        }
        let Some(peer_id) = peer_id else { return false };
        if peer_id == self.hub.peer_id {
            debug!(target: "bip::peer", "{address}: is ourselves");
            if let Some(torrent) = self.torrents.get_mut(place).filter(|_| dialled) {
                torrent.book.on_ourselves(address);
            }
            self.close(now, key, Gone::Duplicate);
            return false;
        }
        match self.refusal(now, key, place, peer_id) {
            Some(gone) => {
                if let Some(torrent) = self.torrents.get_mut(place).filter(|_| dialled) {
                    torrent.book.on_shaken(address, peer_id);
                }
                let twin = self.torrents.get(place).and_then(|torrent| torrent.twin(peer_id, address));
                self.close(now, key, gone);
                if let Some(torrent) = self.torrents.get_mut(place).filter(|_| dialled && twin.is_none()) {
                    if Crowd::room(&[&torrent.crowd], address, &self.hub.config) != Room::Free {
                        torrent.book.on_crowded(address);
                    }
                }
                false
            }
            None => {
                self.open(now, key, place, peer_id);
                true
            }
        }
    }

    /// Says why a connection that shook hands cannot stay. Closes another that must go instead of it.
    fn refusal(&mut self, now: Instant, key: usize, place: usize, peer_id: PeerId) -> Option<Gone> {
        let torrent = self.torrents.get(place)?;
        let dialled = self.table.get(key)?.dialled;
        let config = &self.hub.config;
        let address = self.table.get(key)?.address;
        if let Some(other) = torrent.twin(peer_id, address) {
            let older = self.table.get(other)?;
            // Whoever repeats a peer id that it has seen takes no connection over that has proved its worth.
            let window = config.pair_window;
            let young = older.link().is_some_and(|link| link.moved.is_none() && now < link.opened + window);
            // Of two, the one that the larger peer id dialled stays: the other side comes to the same.
            let keep_dialled = self.hub.peer_id > peer_id;
            if !young || dialled == older.dialled || dialled != keep_dialled {
                return Some(Gone::Duplicate);
            }
            self.close(now, other, Gone::Duplicate);
            return None;
        }
        if Crowd::room(&[&torrent.crowd], address, config) != Room::Free {
            return Some(Gone::Duplicate);
        }
        let (most, most_here) = (config.limits.max_connections, torrent.max_connections(&config.limits));
        let (mut full, mut full_here) = (self.hub.open >= most, torrent.peers.len() >= most_here);
        if !dialled {
            let share = |most: usize| most.saturating_mul(usize::from(config.inbound_percent)).div_ceil(100);
            full |= self.hub.inbound >= share(most);
            full_here |= torrent.inbound >= share(most_here);
        }
        if !full && !full_here {
            return None;
        }
        let of = full_here.then_some(place);
        let idle =
            if dialled { None } else { self.idle_inbound(now, of).or_else(|| self.lesser_inbound(now, address, of)) };
        let Some((idle, its_place)) = idle else { return Some(Gone::Full) };
        self.close(now, idle, Gone::Full);
        if its_place != place {
            self.settle(now, its_place);
        }
        None
    }

    /// Gives the peer that came in, of a torrent or of any, that has been connected for longest of those that are of no use to
    /// either side; and its torrent's place.
    fn idle_inbound(&self, now: Instant, of: Option<usize>) -> Option<(usize, usize)> {
        let torrents = self.torrents.iter().filter(|(place, _)| of.is_none_or(|of| of == *place));
        let peers = torrents.flat_map(|(place, torrent)| torrent.peers.values().map(move |key| (*key, place)));
        let open = peers.filter_map(|(key, place)| {
            let conn = self.table.get(key).filter(|c| !c.dialled)?;
            Some((conn.link()?, key, place))
        });
        let idle = open.filter(|(link, ..)| {
            let since = link.moved.unwrap_or(link.opened);
            !link.we_want && !link.they_want && since + self.hub.config.idle_inbound <= now
        });
        idle.min_by_key(|(link, ..)| link.opened).map(|(_, key, place)| (key, place))
    }

    fn open(&mut self, now: Instant, key: usize, place: usize, peer_id: PeerId) {
        let (Some(conn), Some(torrent)) = (self.table.get_mut(key), self.torrents.get_mut(place)) else { return };
        let (address, outgoing) = (conn.address, conn.dialled);
        let peer = torrent.enter(key);
        let party = Party::of(address);
        torrent.by_peer_id.insert((peer_id, party.ip), key);
        torrent.crowd.enter(address);
        let giver = torrent.liars.enter(party);
        let pieces = torrent.geometry.piece_count();
        let mut link = Link::new(now, place, peer, peer_id, pieces, giver, &mut self.hub);
        link.stopped_by_store = torrent.stopped_by_store;
        conn.stage = Stage::Open(Box::new(link));
        if torrent.stopped_by_store {
            conn.set_reading(&mut self.hub);
        }
        self.hub.open += 1;
        self.hub.inbound += usize::from(!outgoing);
        torrent.inbound += usize::from(!outgoing);
        if outgoing {
            torrent.book.on_shaken(address, peer_id);
            self.hub.dialling = self.hub.dialling.saturating_sub(1);
        } else {
            self.hub.arriving = self.hub.arriving.saturating_sub(1);
        }
        let have = torrent.picker.have();
        if !have.is_empty() {
            conn.send(&mut self.hub, now, &Message::Bitfield(Bitfield::as_bytes(have)));
        }
        conn.set_timer(&mut self.hub, now);
        torrent.touch(&mut self.hub, now);
        self.hub.events.push_back(Event::PeerConnected { torrent: torrent.id, address, peer_id, outgoing });
        if outgoing {
            self.use_dial_room(now);
        }
    }

    /// Has a torrent dial as many addresses as are due and as there is room for; none while other torrents wait for that room.
    pub(super) fn dial(&mut self, now: Instant, key: usize) {
        let most = if self.waiting_to_dial.is_empty() { usize::MAX } else { 0 };
        self.dial_some(now, key, most);
    }

    fn dial_some(&mut self, now: Instant, key: usize, mut most: usize) {
        let Some(torrent) = self.torrents.get_mut(key).filter(|t| t.is_running()) else { return };
        let config = &self.hub.config;
        let limits = &config.limits;
        let full = self.hub.open >= limits.max_connections || torrent.peers.len() >= torrent.max_connections(limits);
        let mut useless = full;
        while !useless && most > 0 && self.hub.may_dial(now) {
            let dial = DialId(self.next_dial);
            let crowd = &torrent.crowd;
            let room = |address, shaking: &Crowd| Crowd::room(&[crowd, shaking], address, &self.hub.config);
            let Some(address) = torrent.book.dial(now, dial, room) else {
                useless = true;
                break;
            };
            if self.hub.bans.contains(address) {
                torrent.book.forget(address);
                continue;
            }
            most -= 1;
            self.next_dial += 1;
            self.hub.dialling += 1;
            self.hub.dial_tokens.take(1);
            self.dials.insert(dial, Dial { torrent: torrent.id, address });
            self.hub.connect(dial, address);
            let deadline = now + self.hub.config.dial_timeout;
            self.hub.set_timer(now, Timer::Abandon(dial), deadline);
        }
        let Some(due) = torrent.book.next_due() else { return };
        if due > now {
            self.hub.set_timer(now, Timer::Dial(torrent.id), due);
        } else if useless {
            // A place among the peers may be free by then.
            let at = now + self.hub.config.handshake_timeout;
            self.hub.set_timer(now, Timer::Dial(torrent.id), at);
        } else if !torrent.waits_to_dial {
            torrent.waits_to_dial = true;
            self.waiting_to_dial.push_back(torrent.id);
            self.hub.wait_to_dial(now);
        }
    }

    /// Takes note that there is room for another dial.
    pub(super) fn on_dial_ended(&mut self, now: Instant) {
        self.hub.dialling = self.hub.dialling.saturating_sub(1);
        self.use_dial_room(now);
    }

    /// Has torrents that wait dial in turn until there is no room: the first may have been paused meanwhile, or have nothing due.
    pub(super) fn use_dial_room(&mut self, now: Instant) {
        while self.hub.may_dial(now) {
            let Some(id) = self.waiting_to_dial.pop_front() else { return };
            let Some(key) = self.by_id.get(&id).copied() else { continue };
            if let Some(torrent) = self.torrents.get_mut(key) {
                torrent.waits_to_dial = false;
            }
            self.dial_some(now, key, 1);
        }
        if !self.waiting_to_dial.is_empty() {
            self.hub.wait_to_dial(now);
        }
    }
}

fn is_arriving(conn: Option<&Connection>) -> bool {
    conn.is_some_and(|c| !c.dialled && matches!(c.stage, Stage::Handshaking { .. }))
}
