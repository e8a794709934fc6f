use super::connection::Stage;
use super::machine::Swarm;
use super::{Event, Gone};
use crate::machine::{Instant, TorrentId};
use crate::proto::id::PieceIndex;
use log::warn;
use std::net::{IpAddr, SocketAddr};

/// Bans, and what follows from them.
impl Swarm {
    /// Takes the program's word on an address.
    pub(super) fn on_ban(&mut self, now: Instant, ip: IpAddr, banned: bool) {
        if !banned {
            self.hub.bans.lift(ip);
        } else if !self.hub.bans.ban(ip, self.hub.config.max_bans) {
            self.hub.events.push_back(Event::BanRefused { ip });
            return;
        }
        self.hub.events.push_back(Event::BanSet { ip });
        if banned {
            self.close_banned(now);
        }
    }

    /// Takes the store's word on the blocks of a piece.
    pub(super) fn on_block_hashes(
        &mut self,
        now: Instant,
        id: TorrentId,
        piece: PieceIndex,
        good: bool,
        hashes: &[[u8; 20]],
    ) {
        let Some(place) = self.by_id.get(&id).copied() else { return };
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        if good {
            torrent.liars.on_good_hashes(piece, hashes);
            // Whoever turned out to be innocent is asked again.
            torrent.todo.refill = true;
            self.sentence(now, place);
            self.settle(now, place);
        } else {
            torrent.liars.on_bad_hashes(piece, hashes, self.hub.config.suspect_blocks);
        }
    }

    /// Bans those who were found guilty in a torrent.
    pub(super) fn sentence(&mut self, now: Instant, place: usize) {
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        let (id, guilty) = (torrent.id, torrent.liars.take_guilty());
        let most = self.hub.config.max_bans;
        for (party, piece) in guilty {
            let before = self.hub.bans.is_banned(party);
            if !before && self.hub.bans.ban_liar(party, most) {
                warn!(target: "bip::peer", "{id}: {}: banned: it spoiled piece {piece}", party.ip);
                self.hub.events.push_back(Event::PeerBanned { torrent: id, ip: party.ip, piece });
                self.close_banned(now);
            }
        }
    }

    /// Closes all connections that are banned.
    fn close_banned(&mut self, now: Instant) {
        let bans = &self.hub.bans;
        let banned = self.table.find(|conn| !matches!(conn.stage, Stage::Closing) && bans.contains(conn.address));
        for key in banned {
            let place = self.table.get(key).and_then(|c| c.link()).map(|link| link.torrent);
            self.close(now, key, Gone::Banned);
            if let Some(place) = place {
                self.settle(now, place);
            }
        }
    }

    /// Forgets an address that a torrent dialled if it was banned meanwhile; says so.
    pub(super) fn forget_banned(&mut self, place: usize, address: SocketAddr) -> bool {
        let banned = self.hub.bans.contains(address);
        if let Some(torrent) = self.torrents.get_mut(place).filter(|_| banned) {
            torrent.book.forget(address);
        }
        banned
    }
}
