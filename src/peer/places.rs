use super::bans::Party;
use super::connection::Link;
use super::machine::Swarm;
use super::torrent::Torrent;
use crate::machine::Instant;
use crate::proto::id::PeerId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Who may have a place among a torrent's peers.
impl Torrent {
    /// Gives the connection to the same peer: the same id on the same IP address (of global IPv6 addresses, in the same /64, for a
    /// host has several there), or on one of the other family, by which a peer with both reaches us too. The same id on another address
    /// of the family is taken for another peer: an id is no secret, and whoever repeats it is to keep nobody out.
    pub(super) fn twin(&self, peer_id: PeerId, address: SocketAddr) -> Option<usize> {
        let ip = Party::of(address).ip;
        let (first, last) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::from([0xff; 16])));
        let mut same_id = self.by_peer_id.range((peer_id, first)..=(peer_id, last));
        same_id.find(|((_, other), _)| *other == ip || other.is_ipv4() != ip.is_ipv4()).map(|(_, key)| *key)
    }

    /// Takes note that a peer that had shaken hands is gone.
    pub(super) fn on_peer_gone(&mut self, key: usize, link: &Link, address: SocketAddr, most_suspects: usize) {
        let name = (link.peer_id, Party::of(address).ip);
        if self.by_peer_id.get(&name) == Some(&key) {
            self.by_peer_id.remove(&name);
        }
        self.liars.leave(link.giver, most_suspects);
        self.crowd.leave(address);
        self.book.on_place_free(address);
    }
}

impl Swarm {
    /// Gives the peer that came in, of a torrent or of any, that is to go for a newcomer with a higher priority (BEP 40): of those that
    /// have been here for a while and give us nothing, the one with the lowest. And its torrent's place.
    ///
    /// So a swarm whose peers are all full still lets a newcomer in, and one host after another at the door drives out only those who
    /// come after them in an order that nobody chooses.
    pub(super) fn lesser_inbound(
        &self,
        now: Instant,
        newcomer: SocketAddr,
        of: Option<usize>,
    ) -> Option<(usize, usize)> {
        let (config, ourselves) = (&self.hub.config, &self.hub.ourselves);
        let torrents = self.torrents.iter().filter(|(place, _)| of.is_none_or(|of| of == *place));
        let peers = torrents.flat_map(|(place, torrent)| torrent.peers.values().map(move |key| (*key, place)));
        let others = peers.filter_map(|(key, place)| {
            let conn = self.table.get(key).filter(|c| !c.dialled)?;
            let link = conn.link()?;
            let since = link.gave.unwrap_or(link.opened);
            (since + config.idle_inbound <= now).then(|| (ourselves.priority_of(conn.address, config), key, place))
        });
        let (priority, key, place) = others.min()?;
        (priority < ourselves.priority_of(newcomer, config)).then_some((key, place))
    }
}
