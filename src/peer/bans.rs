use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Whom a ban, a parole or a limit is about: an IP address, whatever the port and the peer id, which cost nothing to change.
///
/// Peers behind one address translator are one party, then: they are let in or kept out together. Loopback addresses, which
/// all peers on this host share, are told apart by their ports: there nobody comes from outside, and whoever is banned may come back
/// by another port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Party {
    pub(super) ip: IpAddr,
    /// 0 but on loopback addresses.
    port: u16,
}

impl Party {
    pub(super) fn of(address: SocketAddr) -> Self {
        let whole = Self::whole(address.ip());
        Self { port: if whole.ip.is_loopback() { address.port() } else { 0 }, ..whole }
    }

    /// Gives all ports of an address.
    pub(super) fn whole(ip: IpAddr) -> Self {
        Self { ip: ip.to_canonical(), port: 0 }
    }
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
        !self.kept.is_empty() && self.is_banned(Party::of(address))
    }

    pub(super) fn is_banned(&self, party: Party) -> bool {
        self.kept.contains_key(&party) || self.kept.contains_key(&Party::whole(party.ip))
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

    /// Bans an address because the program says so. Says whether it is banned now.
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

    /// Lets an address in again, on all its ports.
    pub(super) fn lift(&mut self, ip: IpAddr) {
        let first = Party::whole(ip);
        let banned: Vec<Party> = self.kept.range(first..=Party { port: u16::MAX, ..first }).map(|(p, _)| *p).collect();
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
