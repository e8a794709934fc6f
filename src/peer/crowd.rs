use super::Config;
use super::bans::Party;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How many connections hosts have, and networks where hosts are in one. Loopback addresses, which all peers on this host share, are
/// not counted.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    counts: BTreeMap<Party, usize>,
}

/// Whether there is room for another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// The host has as many as it may have; its network may have more.
    HostFull,
    /// The network has as many as it may have, whoever of it they are to. So has a host that is in none.
    NetworkFull,
}

impl Crowd {
    pub(super) fn enter(&mut self, address: SocketAddr) {
        for party in parties(address).into_iter().flatten() {
            *self.counts.entry(party).or_default() += 1;
        }
    }

    pub(super) fn leave(&mut self, address: SocketAddr) {
        for party in parties(address).into_iter().flatten() {
            if let Some(count) = self.counts.get_mut(&party) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&party);
                }
            }
        }
    }

    fn count(&self, party: Party) -> usize {
        self.counts.get(&party).copied().unwrap_or(0)
    }

    /// Says whether there is room at an address beside the connections of several crowds.
    pub(super) fn room(crowds: &[&Self], address: SocketAddr, config: &Config) -> Room {
        let count = |party| crowds.iter().map(|crowd| crowd.count(party)).sum::<usize>();
        let most = config.max_connections_per_ip.max(1);
        match parties(address) {
            [_, Some(network)] if count(network) >= config.limits.max_connections_per_network.max(most) => {
                Room::NetworkFull
            }
            [Some(host), Some(_)] if count(host) >= most => Room::HostFull,
            [Some(host), None] if count(host) >= most => Room::NetworkFull,
            _ => Room::Free,
        }
    }
}

/// Gives the host at an address, and the network that it is in.
fn parties(address: SocketAddr) -> [Option<Party>; 2] {
    let (host, party) = (Party::whole(address.ip()), Party::of(address));
    if host.ip.is_loopback() {
        return [None, None];
    }
    [Some(host), (party != host).then_some(party)]
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;

    #[test]
    fn a_host_has_its_places_and_a_network_of_ipv6_has_more_and_who_leaves_makes_room() {
        let limits = Limits { max_connections_per_network: 3, ..Limits::default() };
        let config = Config { limits, ..Config::default() };
        let at = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
        let mut crowd = Crowd::default();
        let mut enters = |ip: &str, port| {
            let room = Crowd::room(&[&crowd], at(ip, port), &config);
            if room == Room::Free {
                crowd.enter(at(ip, port));
            }
            room
        };
        assert_eq!([1, 2].map(|port| enters("20.1.1.1", port)), [Room::Free, Room::NetworkFull]);
        assert_eq!(enters("::ffff:20.1.1.1", 3), Room::NetworkFull);
        assert_eq!([1, 2].map(|port| enters("2001:db8::1", port)), [Room::Free, Room::HostFull]);
        let others = ["2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8:0:1::4"];
        let rooms = others.map(|ip| enters(ip, 1));
        assert_eq!(rooms, [Room::Free, Room::Free, Room::NetworkFull, Room::Free]);
        assert_eq!([1, 2].map(|port| enters("127.0.0.1", port)), [Room::Free; 2]);
        crowd.leave(at("2001:db8::2", 1));
        assert_eq!(Crowd::room(&[&crowd], at("2001:db8::4", 1), &config), Room::Free);
        assert_eq!(Crowd::room(&[&crowd, &crowd], at("2001:db8::4", 1), &config), Room::NetworkFull);
        assert_eq!(Crowd::room(&[&crowd], at("2001:db8::3", 9), &config), Room::HostFull);
        for ip in ["20.1.1.1", "2001:db8::1", "2001:db8::3", "2001:db8:0:1::4", "127.0.0.1"] {
            crowd.leave(at(ip, 1));
        }
        assert!(crowd.counts.is_empty());
    }
}
