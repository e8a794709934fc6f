//! A node as the table keeps it.

use crate::machine::Instant;
use crate::proto::compact::{Family, Node};
use crate::proto::id::NodeId;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// How long a node is good after we heard of it (BEP 5).
pub(super) const FRESH: Duration = Duration::from_secs(15 * 60);
/// How many unanswered queries in a row make a node bad.
const PATIENCE: u8 = 2;

/// What a node is worth (BEP 5), the best greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// It left two queries in a row unanswered.
    Bad,
    /// It was silent for 15 minutes.
    Questionable,
    /// It answered us or, having answered before, sent us a query, less than 15 minutes ago.
    Good,
}

/// An address in less room than [`SocketAddr`] takes: 24 bytes. An IPv4 address in an IPv6 form is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    /// Of IPv4 the first four bytes.
    ip: [u8; 16],
    /// The interface of a link-local IPv6 address, which is no address without it.
    scope: u32,
    port: u16,
    pub(super) family: Family,
}

impl Address {
    pub(super) fn of(address: SocketAddr) -> Self {
        let port = address.port();
        match address.ip().to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                Self { ip: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], scope: 0, port, family: Family::V4 }
            }
            IpAddr::V6(v6) => {
                let scope = if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 };
                Self { ip: v6.octets(), scope, port, family: Family::V6 }
            }
        }
    }

    pub(super) fn to_socket(self) -> SocketAddr {
        match self.family {
            Family::V4 => {
                let [a, b, c, d, ..] = self.ip;
                SocketAddr::new([a, b, c, d].into(), self.port)
            }
            Family::V6 => SocketAddrV6::new(Ipv6Addr::from(self.ip), self.port, 0, self.scope).into(),
        }
    }

    pub(super) fn port(self) -> u16 {
        self.port
    }

    /// Gives the network that one party is thought to have, a /24 or a /64, and the rest of the IP address.
    pub(super) fn network_and_host(self) -> (u64, u64) {
        let bits = u128::from_be_bytes(self.ip);
        match self.family {
            Family::V4 => ((bits >> 104) as u64, (bits >> 96) as u64 & 0xff),
            Family::V6 => ((bits >> 64) as u64, bits as u64),
        }
    }
}

/// A node that answered us at least once: 56 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contact {
    pub(super) id: NodeId,
    pub(super) address: Address,
    /// In tenths of a millisecond: up to 6.5 s.
    rtt: u16,
    /// Queries since its last answer that it did not answer.
    pub(super) failures: u8,
    /// Its last answer or query, whichever came later. Since it answered at least once, either makes it good.
    pub(super) seen: Instant,
}

impl Contact {
    pub(super) fn new(now: Instant, id: NodeId, address: Address, rtt: Duration) -> Self {
        let mut contact = Self { id, address, rtt: 0, failures: 0, seen: now };
        contact.on_reply(now, rtt);
        contact
    }

    pub(super) fn on_reply(&mut self, now: Instant, rtt: Duration) {
        self.rtt = u16::try_from(rtt.as_micros() / 100).unwrap_or(u16::MAX);
        self.failures = 0;
        self.seen = self.seen.max(now);
    }

    /// A query shows that the node is there, but not that it answers: what it left unanswered still counts.
    pub(super) fn on_query(&mut self, now: Instant) {
        self.seen = self.seen.max(now);
    }

    pub(super) fn is_bad(&self) -> bool {
        self.failures >= PATIENCE
    }

    pub(super) fn state(&self, now: Instant) -> State {
        if self.is_bad() {
            State::Bad
        } else if is_due(self.seen + FRESH, now) {
            State::Questionable
        } else {
            State::Good
        }
    }

    pub(super) fn is_good(&self, now: Instant) -> bool {
        self.state(now) == State::Good
    }

    pub(super) fn is(&self, id: &NodeId, address: &Address) -> bool {
        self.address == *address && self.id == *id
    }

    pub(super) fn node(&self) -> Node {
        Node { id: self.id, address: self.address.to_socket() }
    }

    pub(super) fn rtt(&self) -> Duration {
        Duration::from_micros(u64::from(self.rtt) * 100)
    }
}

/// Says whether a time has come. "Never" does not come, so that what is put off from there is put off for good.
pub(super) fn is_due(at: Instant, now: Instant) -> bool {
    at <= now && at != Instant::NEVER
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(30);

    fn contact(now: Instant) -> Contact {
        Contact::new(now, NodeId([1; 20]), Address::of("192.0.2.1:6881".parse().unwrap()), RTT)
    }

    fn minutes(count: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(60 * count)
    }

    #[test]
    fn a_node_that_answered_is_good_for_fifteen_minutes_and_questionable_from_then_on() {
        let contact = contact(minutes(5));
        assert_eq!(contact.state(minutes(5)), State::Good);
        assert_eq!(contact.state(minutes(20) - Duration::from_micros(1)), State::Good);
        assert_eq!(contact.state(minutes(20)), State::Questionable);
        assert_eq!(contact.state(minutes(1_000_000)), State::Questionable);
    }

    #[test]
    fn an_answer_makes_a_questionable_node_good_again() {
        let mut contact = contact(minutes(0));
        contact.on_reply(minutes(15), RTT);
        assert_eq!(contact.state(minutes(29)), State::Good);
        assert_eq!(contact.state(minutes(30)), State::Questionable);
    }

    #[test]
    fn a_query_makes_a_node_that_answered_once_good_again() {
        let mut contact = contact(minutes(0));
        contact.on_query(minutes(100));
        assert_eq!(contact.state(minutes(114)), State::Good);
        assert_eq!(contact.state(minutes(115)), State::Questionable);
    }

    #[test]
    fn two_unanswered_queries_make_a_node_bad_and_one_does_not() {
        let mut contact = contact(minutes(0));
        contact.failures += 1;
        assert_eq!(contact.state(minutes(1)), State::Good);
        assert_eq!(contact.state(minutes(16)), State::Questionable);
        contact.failures += 1;
        assert_eq!(contact.state(minutes(1)), State::Bad);
    }

    #[test]
    fn a_bad_node_is_good_when_it_answers_and_not_when_it_only_asks() {
        let mut contact = contact(minutes(0));
        contact.failures = 2;
        contact.on_query(minutes(1));
        assert_eq!(contact.state(minutes(1)), State::Bad);
        contact.on_reply(minutes(2), RTT);
        assert_eq!(contact.state(minutes(2)), State::Good);
    }

    #[test]
    fn good_is_better_than_questionable_and_that_than_bad() {
        assert!(State::Good > State::Questionable && State::Good > State::Bad && State::Questionable > State::Bad);
    }

    #[test]
    fn a_clock_that_jumps_makes_nothing_older_than_it_is() {
        let mut contact = contact(minutes(50));
        contact.on_reply(minutes(1), RTT);
        assert_eq!(contact.state(minutes(1)), State::Good);
        assert_eq!(contact.state(minutes(64)), State::Good);
        contact.on_query(Instant::NEVER);
        assert_eq!(contact.state(Instant::NEVER), State::Good);
    }

    #[test]
    fn an_address_survives_its_compact_form() {
        for text in ["192.0.2.1:6881", "[2001:db8::7]:1", "255.255.255.255:65535", "[fe80::1%7]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Address::of(address).to_socket(), address, "{text}");
        }
        let mapped = Address::of("[::ffff:192.0.2.1]:6881".parse().unwrap());
        assert_eq!(mapped, Address::of("192.0.2.1:6881".parse().unwrap()));
    }

    #[test]
    fn a_contact_is_small() {
        assert_eq!((size_of::<Contact>(), size_of::<Address>()), (56, 24));
    }

    #[test]
    fn the_round_trip_is_kept_to_a_tenth_of_a_millisecond_and_bounded() {
        let kept = |rtt| Contact::new(minutes(0), NodeId([1; 20]), contact(minutes(0)).address, rtt).rtt();
        assert_eq!(kept(Duration::from_micros(1_234)), Duration::from_micros(1_200));
        assert_eq!(kept(Duration::MAX), Duration::from_micros(6_553_500));
    }
}
