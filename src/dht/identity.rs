//! What our address is to others, and the id that goes with it (BEP 42).

use crate::dht::martian;
use crate::dht::party::Network;
use crate::machine::{Instant, Rng};
use crate::proto::compact::Family;
use crate::proto::id::NodeId;
use crate::proto::krpc::node_id;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many votes count: the last ones.
const VOTES: usize = 32;

/// How many votes an address needs, beside two thirds of those that count.
const ENOUGH: usize = 8;

/// For how long a vote counts.
const LASTS: Duration = Duration::from_secs(3_600);

/// One network's word for our address.
#[derive(Debug)]
struct Vote {
    voter: Network,
    address: IpAddr,
    at: Instant,
}

/// Our id on one side, and our address as others see it.
///
/// Nodes tell us in their replies where our queries come from. Each network (/24 or /48) has one vote, its last, for an hour; the last 32
/// count. An address that has eight of them, and two thirds of all, is ours. So whoever wants to make us believe another one, and thereby
/// choose among eight prefixes of our id, must have been asked by us in most of the networks that we asked lately; and two
/// addresses that we have in turn do not make us change from one to the other.
#[derive(Debug)]
pub(crate) struct Identity {
    id: NodeId,
    address: Option<IpAddr>,
    /// Oldest first.
    votes: Vec<Vote>,
    rng: Rng,
}

impl Identity {
    /// Begins with an id, such as the one of the last run: it is kept as long as it goes with the address.
    pub(crate) fn new(id: NodeId, rng: &mut Rng) -> Self {
        Self { id, address: None, votes: Vec::new(), rng: rng.fork() }
    }

    /// Gives our id.
    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    /// Gives our address, when enough others have told it.
    #[cfg(test)]
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Notes that a node said in a reply to us what our address is. Gives the address if it is a new one: then [`id`](Self::id) may be
    /// another too.
    ///
    /// Addresses that nobody can have, those of local networks, and what nodes in local networks say do not count, nor does an address of
    /// the other family than the voter's.
    pub(crate) fn vote(&mut self, now: Instant, voter: IpAddr, address: IpAddr) -> Option<IpAddr> {
        let (voter, address) = (voter.to_canonical(), address.to_canonical());
        // Any port will do.
        let is_global = |ip| !node_id::is_exempt(ip) && !martian::is_martian(SocketAddr::new(ip, 1));
        if Family::of(voter) != Family::of(address) || !is_global(voter) || !is_global(address) {
            return None;
        }
        let voter = Network::of(voter);
        self.votes.retain(|vote| vote.voter != voter && now.since(vote.at) < LASTS);
        if self.votes.len() >= VOTES {
            self.votes.remove(0);
        }
        self.votes.push(Vote { voter, address, at: now });
        let count = self.votes.iter().filter(|vote| vote.address == address).count();
        if self.address == Some(address) || count < ENOUGH || count * 3 < self.votes.len() * 2 {
            return None;
        }
        self.address = Some(address);
        if !node_id::is_valid_for(&self.id, address) {
            self.id = new_id(&mut self.rng, address);
        }
        Some(address)
    }
}

/// Draws an id that goes with an address.
pub(crate) fn new_id(rng: &mut Rng, address: IpAddr) -> NodeId {
    let r = rng.next_u64() as u8;
    node_id::for_address(address, r, random_id(rng).0)
}

/// Draws any id.
pub(crate) fn random_id(rng: &mut Rng) -> NodeId {
    let mut id = [0; 20];
    id.chunks_mut(8).for_each(|part| part.copy_from_slice(&rng.next_u64().to_le_bytes()[..part.len()]));
    NodeId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(5_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A node in a network of its own.
    fn voter(n: u32) -> IpAddr {
        IpAddr::from((0x0500_0001 + (n << 8)).to_be_bytes())
    }

    fn identity() -> Identity {
        Identity::new(NodeId([0; 20]), &mut Rng::new(1))
    }

    /// Lets so many networks vote, beginning with one; gives what came out last.
    fn votes(identity: &mut Identity, now: Instant, voters: std::ops::Range<u32>, address: &str) -> Option<IpAddr> {
        voters.filter_map(|n| identity.vote(now, voter(n), ip(address))).last()
    }

    #[test]
    fn eight_networks_that_say_the_same_give_us_our_address_and_an_id_that_goes_with_it() {
        let mut identity = identity();
        assert_eq!(votes(&mut identity, START, 0..7, "9.8.7.6"), None);
        assert_eq!((identity.id(), identity.address()), (NodeId([0; 20]), None));
        assert_eq!(identity.vote(START, voter(7), ip("9.8.7.6")), Some(ip("9.8.7.6")));
        assert!(node_id::is_valid_for(&identity.id(), ip("9.8.7.6")) && identity.address() == Some(ip("9.8.7.6")));
        // It is told once.
        let id = identity.id();
        assert_eq!(votes(&mut identity, START, 0..100, "9.8.7.6"), None);
        assert_eq!(identity.id(), id);
        assert_ne!(id.0[3..19], [0; 16], "the rest is random");
    }

    #[test]
    fn an_id_that_goes_with_the_address_is_kept() {
        let id = new_id(&mut Rng::new(5), ip("9.8.7.6"));
        let mut identity = Identity::new(id, &mut Rng::new(1));
        assert_eq!(votes(&mut identity, START, 0..8, "9.8.7.6"), Some(ip("9.8.7.6")));
        assert_eq!(identity.id(), id);
    }

    #[test]
    fn a_network_has_one_vote_however_many_addresses_vote() {
        let mut identity = identity();
        for n in 0..10_000u32 {
            let host = IpAddr::from((0x0500_0000 + n % 256).to_be_bytes());
            assert_eq!(identity.vote(START, host, ip("9.8.7.6")), None);
        }
        let mut identity = self::identity();
        for n in 0..10_000u128 {
            let host = IpAddr::from((0x2a00_0001_u128 << 96 | n << 64 | 1).to_be_bytes());
            assert_eq!(identity.vote(START, host, ip("2a00:2::1")), None);
        }
        assert_eq!(identity.votes.len(), 1);
    }

    #[test]
    fn a_third_of_liars_changes_nothing_and_hides_nothing() {
        let mut identity = identity();
        for n in 0..1_000 {
            let address = if n % 4 == 0 { "6.6.6.6" } else { "9.8.7.6" };
            identity.vote(START, voter(n), ip(address));
            assert_ne!(identity.address(), Some(ip("6.6.6.6")));
        }
        assert_eq!(identity.address(), Some(ip("9.8.7.6")));
        assert!(identity.votes.len() <= VOTES);
    }

    #[test]
    fn liars_that_agree_on_nothing_do_not_hide_our_address_for_long() {
        let mut identity = identity();
        for n in 0..32 {
            let nonsense = format!("7.7.7.{}", n % 8);
            assert_eq!(identity.vote(START, voter(n), ip(&nonsense)), None);
        }
        assert_eq!(votes(&mut identity, START, 100..132, "9.8.7.6"), Some(ip("9.8.7.6")));
    }

    #[test]
    fn a_new_address_is_taken_when_two_thirds_say_so() {
        let mut identity = identity();
        votes(&mut identity, START, 0..40, "9.8.7.6");
        let before = identity.id();
        assert_eq!(votes(&mut identity, START, 40..61, "9.8.7.5"), None);
        assert_eq!(votes(&mut identity, START, 61..62, "9.8.7.5"), Some(ip("9.8.7.5")));
        assert!(identity.id() != before && node_id::is_valid_for(&identity.id(), ip("9.8.7.5")));
        // After an hour the old votes are in nobody's way.
        let later = START + Duration::from_secs(3_600);
        assert_eq!(votes(&mut identity, later, 100..108, "9.8.7.4"), Some(ip("9.8.7.4")));
    }

    #[test]
    fn two_addresses_in_turn_do_not_make_us_change_again_and_again() {
        let mut identity = identity();
        votes(&mut identity, START, 0..32, "9.8.7.6");
        for n in 100..1_000 {
            let address = if n % 2 == 0 { "9.8.7.6" } else { "9.8.7.5" };
            assert_eq!(identity.vote(START, voter(n), ip(address)), None);
        }
    }

    #[test]
    fn what_cannot_be_our_address_or_a_voters_does_not_count() {
        let mut identity = identity();
        let none =
            ["10.0.0.1", "192.168.1.1", "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "2a00::1", "::1"];
        for address in none {
            assert_eq!(votes(&mut identity, START, 0..50, address), None);
        }
        for n in 0..200 {
            assert_eq!(identity.vote(START, IpAddr::from([10, n, 0, 1]), ip("9.8.7.6")), None);
            assert_eq!(identity.vote(START, ip(&format!("fc00:0:{n}::1")), ip("2a00::1")), None);
        }
        assert!(identity.votes.is_empty());
        // In an IPv6 form they are the same.
        assert_eq!(votes(&mut identity, START, 0..8, "::ffff:9.8.7.6"), Some(ip("9.8.7.6")));
    }

    #[test]
    fn ids_are_not_alike() {
        let mut rng = Rng::new(1);
        let ids: std::collections::BTreeSet<_> = (0..1_000).map(|_| random_id(&mut rng)).collect();
        assert_eq!(ids.len(), 1_000);
        let prefixes: std::collections::BTreeSet<_> =
            (0..200).map(|_| new_id(&mut rng, ip("9.8.7.6")).0[..2].to_vec()).collect();
        assert_eq!(prefixes.len(), 8, "an address permits eight");
    }
}
