use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Whom a ban or a parole is about: an IP address, whatever the port and the peer id, which cost nothing to change.
///
/// So are the last 64 bits of a global IPv6 address: most lines have at least a /64 to themselves, and their hosts draw new addresses as
/// they like. There the /64 is the party. (Some hosting companies put many customers into one: these are one party, too, but may have
/// several connections; see [`Crowd`](super::crowd::Crowd).) All other IPv6 addresses are parties of their own: link-local and unique local ones, whose /64 is a
/// network with many hosts that nobody reaches from outside; and those of translators, which have others' hosts in one /64.
///
/// Peers behind one address translator are one party, as are those on one line: they are let in or kept out together. Loopback
/// addresses, which all peers on this host share, are told apart by their ports: there nobody comes from outside, and whoever is
/// banned may come back by another port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Party {
    /// Of a /64, the first address.
    pub(super) ip: IpAddr,
    /// Whether it is all of a /64.
    network: bool,
    /// 0 but on loopback addresses.
    port: u16,
}

impl Party {
    pub(super) fn of(address: SocketAddr) -> Self {
        let whole = Self::whole(address.ip());
        match whole.ip {
            IpAddr::V6(ip) if is_of_a_line(ip) => {
                let first = Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64);
                Self { ip: first.into(), network: true, port: 0 }
            }
            ip => Self { port: if ip.is_loopback() { address.port() } else { 0 }, ..whole },
        }
    }

    /// Gives one address, on all its ports.
    pub(super) fn whole(ip: IpAddr) -> Self {
        Self { ip: ip.to_canonical(), network: false, port: 0 }
    }
}

/// Says whether an address is one of a /64 that is one line's: global unicast (2000::/3), but not Teredo (2001::/32), which has the
/// address of its server where others have the line's.
fn is_of_a_line(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    first >> 13 == 1 && (first, second) != (0x2001, 0)
}

/// Who may not connect, in any torrent.
#[derive(Debug, Default)]
pub(super) struct Bans {
    /// With the number of the ban; `None` of one that the program asked for.
    kept: BTreeMap<Party, Option<u64>>,
    /// The bans that nobody asked for, oldest first.
    of_liars: BTreeMap<u64, Party>,
    numbers: u64,
}

impl Bans {
    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        // Most of the time there are none.
        !self.kept.is_empty()
            && (self.is_banned(Party::of(address)) || self.kept.contains_key(&Party::whole(address.ip())))
    }

    /// Says whether all of a party is banned.
    pub(super) fn is_banned(&self, party: Party) -> bool {
        self.kept.contains_key(&party) || !party.network && self.kept.contains_key(&Party::whole(party.ip))
    }

    /// Bans a liar. Says whether it is banned now: not where the program's own bans take all the room.
    pub(super) fn ban_liar(&mut self, party: Party, most: usize) -> bool {
        if self.kept.contains_key(&party) {
            return true;
        }
        if !self.make_room(most) {
            return false;
        }
        self.numbers += 1;
        self.kept.insert(party, Some(self.numbers));
        self.of_liars.insert(self.numbers, party);
        true
    }

    /// Bans one address because the program says so. Says whether it is banned now.
    pub(super) fn ban(&mut self, ip: IpAddr, most: usize) -> bool {
        let party = Party::whole(ip);
        match self.kept.get_mut(&party) {
            Some(number) => {
                if let Some(number) = number.take() {
                    self.of_liars.remove(&number);
                }
                true
            }
            None => self.make_room(most) && self.kept.insert(party, None).is_none(),
        }
    }

    /// Has room for one more, if need be in the place of the oldest ban of a liar.
    fn make_room(&mut self, most: usize) -> bool {
        if self.kept.len() >= most && most > 0 {
            if let Some((_, oldest)) = self.of_liars.pop_first() {
                self.kept.remove(&oldest);
            }
        }
        self.kept.len() < most
    }

    /// Lets an address in again, on all its ports: also where a liar's ban has all of its /64, which ends.
    pub(super) fn lift(&mut self, ip: IpAddr) {
        let first = Party::whole(ip);
        let banned = self.kept.range(first..=Party { port: u16::MAX, ..first }).map(|(party, _)| *party);
        let banned: Vec<Party> = banned.chain([Party::of(SocketAddr::new(ip, 0))]).collect();
        for party in banned {
            if let Some(Some(number)) = self.kept.remove(&party) {
                self.of_liars.remove(&number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str, port: u16) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), port)
    }

    #[test]
    fn a_ban_counts_for_all_ports_and_both_forms_of_an_address_until_it_is_lifted() {
        let mut bans = Bans::default();
        assert!(bans.ban("::ffff:1.2.3.4".parse().unwrap(), 9));
        assert!(bans.contains(at("1.2.3.4", 5)) && bans.contains(at("::ffff:1.2.3.4", 6)));
        assert!(!bans.contains(at("1.2.3.5", 5)) && !bans.contains(at("::1.2.3.4", 5)));
        bans.lift("1.2.3.4".parse().unwrap());
        assert!(!bans.contains(at("1.2.3.4", 5)));
    }

    #[test]
    fn on_loopback_a_liar_is_one_port_and_the_program_means_them_all() {
        let mut bans = Bans::default();
        assert!(bans.ban_liar(Party::of(at("127.0.0.1", 7)), 9));
        assert!(bans.contains(at("127.0.0.1", 7)) && !bans.contains(at("127.0.0.1", 8)));
        assert!(bans.ban("127.0.0.1".parse().unwrap(), 9));
        assert!(bans.contains(at("127.0.0.1", 8)));
        bans.lift("127.0.0.1".parse().unwrap());
        assert!(!bans.contains(at("127.0.0.1", 7)) && !bans.contains(at("127.0.0.1", 8)));
        assert!(bans.of_liars.is_empty());
    }

    #[test]
    fn a_liar_on_a_global_ipv6_address_is_all_of_its_64_and_no_other_address_is_more_than_itself() {
        let cases = [
            ("2001:db8:1:2::3", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::3", "2001:db8:1:3::3", false),
            ("3fff:ffff:ffff:ffff::1", "3fff:ffff:ffff:ffff::2", true),
            // Teredo, by one server; all of IPv4 behind a translator; one network card; unique local; link-local.
            ("2001:0:102:304::1", "2001:0:102:304::2", false),
            ("64:ff9b::1.2.3.4", "64:ff9b::1.2.3.5", false),
            ("fd00:1:2:3::4", "fd00:1:2:3::5", false),
            ("fe80::1", "fe80::2", false),
            ("4000::1", "4000::2", false),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.5", false),
            ("::1", "::2", false),
        ];
        for (liar, other, both) in cases {
            let mut bans = Bans::default();
            assert!(bans.ban_liar(Party::of(at(liar, 7)), 9));
            assert!(bans.contains(at(liar, 7)));
            assert_eq!(bans.contains(at(other, 7)), both, "{liar}, {other}");
            // Lifted by any address of the party, and by the one that the event names.
            bans.lift(if both { other } else { liar }.parse().unwrap());
            assert!(!bans.contains(at(liar, 7)) && bans.kept.is_empty() && bans.of_liars.is_empty(), "{liar}");
            assert!(bans.ban_liar(Party::of(at(liar, 7)), 9));
            bans.lift(Party::of(at(liar, 7)).ip);
            assert!(bans.kept.is_empty() && bans.of_liars.is_empty(), "{liar}");
        }
    }

    #[test]
    fn the_programs_ban_of_a_global_ipv6_address_is_of_that_address_alone() {
        let mut bans = Bans::default();
        let ips = ["2001:db8:1:2::", "2001:db8:1:2::3"];
        for ip in ips {
            assert!(bans.ban(ip.parse().unwrap(), 9));
            assert!(bans.contains(at(ip, 5)));
        }
        assert!(!bans.contains(at("2001:db8:1:2::4", 5)));
        // A liar's neighbour that the program bans stays banned when the liar's ban makes room, and is no reason not to ban the liar.
        let liar = Party::of(at("2001:db8:1:2::5", 1));
        assert!(!bans.is_banned(liar) && bans.ban_liar(liar, 3) && bans.is_banned(liar));
        assert!(bans.contains(at("2001:db8:1:2::4", 5)));
        assert!(bans.ban("1.0.0.1".parse().unwrap(), 3));
        assert_eq!(ips.map(|ip| bans.contains(at(ip, 5))), [true, true]);
        assert!(!bans.contains(at("2001:db8:1:2::4", 5)));
        bans.lift(ips[1].parse().unwrap());
        assert_eq!(ips.map(|ip| bans.contains(at(ip, 5))), [true, false]);
    }

    #[test]
    fn beyond_the_limit_the_oldest_liar_goes_and_the_programs_bans_stay() {
        let mut bans = Bans::default();
        assert!(bans.ban("1.0.0.1".parse().unwrap(), 3));
        for n in 2..=9 {
            assert!(bans.ban_liar(Party::of(at(&format!("1.0.0.{n}"), 1)), 3));
        }
        let banned = |bans: &Bans| (1..=12).filter(|n| bans.contains(at(&format!("1.0.0.{n}"), 2))).collect::<Vec<_>>();
        assert_eq!(banned(&bans), [1, 8, 9]);
        assert!(bans.ban("1.0.0.9".parse().unwrap(), 3) && bans.ban("1.0.0.10".parse().unwrap(), 3));
        assert_eq!(banned(&bans), [1, 9, 10]);
        assert!(!bans.ban("1.0.0.11".parse().unwrap(), 3));
        assert!(!bans.ban_liar(Party::of(at("1.0.0.12", 1)), 3));
        assert_eq!((banned(&bans), bans.of_liars.len()), (vec![1, 9, 10], 0));
        assert!(!Bans::default().ban("1.0.0.1".parse().unwrap(), 0));
    }
}
