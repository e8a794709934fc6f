//! Connection ids: that a sender's address is its own, without remembering it.

use super::sip::Sip;
use crate::machine::{Instant, Secret};
use crate::proto::udp_tracker::ConnectionId;
use std::net::IpAddr;

/// For how many seconds after it was given an id is accepted (BEP 15: two minutes).
const ACCEPTED: u64 = 120;
/// How many seconds the clocks of two workers may be apart: an id of one comes to another, whose turn began earlier.
const APART: u64 = 2;
/// How many bits of the time are in an id: more than the seconds in which ids are accepted, by far.
const TIME_BITS: u32 = 16;

/// Makes and checks connection ids.
///
/// An id is the low 16 bits of the second in which it was given and 48 bits of a keyed hash of that second, all of it, and of the IP address that it was given
/// to. So nothing is remembered for it, ids of all workers with the same secret are good with all of them, and one from the same second of another day is
/// not accepted. The port is not in it: BEP 15 says that it is for an address, and routers change ports.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionIds {
    sip: Sip,
}

fn second(now: Instant) -> u64 {
    now.as_micros() / 1_000_000
}

impl ConnectionIds {
    pub(super) fn new(secret: &Secret) -> Self {
        Self { sip: Sip::new(secret, "tracker connection ids") }
    }

    fn make(self, second: u64, ip: IpAddr) -> u64 {
        let hash = match ip.to_canonical() {
            IpAddr::V4(ip) => self.sip.of_two(second, u64::from(u32::from(ip))),
            IpAddr::V6(ip) => {
                let bits = u128::from(ip);
                self.sip.of_three(second, (bits >> 64) as u64, bits as u64)
            }
        };
        second << (64 - TIME_BITS) | hash >> TIME_BITS
    }

    /// Gives an id to an address.
    #[inline]
    pub(super) fn give(self, now: Instant, to: IpAddr) -> ConnectionId {
        ConnectionId(self.make(second(now), to))
    }

    /// Says whether an id was given to an address in the last two minutes. How long it takes does not depend on how much of it is right.
    #[inline]
    pub(super) fn is_valid(self, now: Instant, from: IpAddr, id: ConnectionId) -> bool {
        let latest = second(now) + APART;
        let age = (latest.wrapping_sub(id.0 >> (64 - TIME_BITS))) & ((1 << TIME_BITS) - 1);
        // Of a second before there were any there can be no id.
        let Some(given) = latest.checked_sub(age) else { return false };
        // Both are one word each, compared as one.
        age <= ACCEPTED + APART && self.make(given, from) ^ id.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: Instant = Instant::from_micros(5_000_000_000_000);

    fn ids() -> ConnectionIds {
        ConnectionIds::new(&Secret::new([9; 32]))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_id_is_good_for_two_minutes_and_for_its_address_alone() {
        for address in ["192.0.2.1", "2001:db8::1"] {
            let id = ids().give(START, ip(address));
            for after in [0, 1, 60, 120] {
                assert!(ids().is_valid(START + Duration::from_secs(after), ip(address), id), "{after} s");
            }
            // Also after whole turns of the bits that are in it.
            for after in [121, 122, 200, 3_600, 65_536, 65_536 + 60, 2 * 65_536, 31_536_000] {
                assert!(!ids().is_valid(START + Duration::from_secs(after), ip(address), id), "{after} s");
            }
            for other in ["192.0.2.2", "2001:db8::2", "0.0.0.0", "::"] {
                assert!(!ids().is_valid(START, ip(other), id));
            }
            let others = ConnectionIds::new(&Secret::new([8; 32]));
            assert!(!others.is_valid(START, ip(address), id));
        }
    }

    #[test]
    fn an_address_in_ipv6_dress_is_the_same() {
        let id = ids().give(START, ip("::ffff:192.0.2.1"));
        assert!(ids().is_valid(START, ip("192.0.2.1"), id));
    }

    #[test]
    fn no_bit_of_it_may_be_another() {
        let id = ids().give(START, ip("192.0.2.1"));
        for bit in 0..64 {
            assert!(!ids().is_valid(START, ip("192.0.2.1"), ConnectionId(id.0 ^ 1 << bit)), "bit {bit}");
        }
    }

    #[test]
    fn a_worker_that_is_a_little_behind_accepts_it_and_one_that_is_far_behind_does_not() {
        let id = ids().give(START, ip("192.0.2.1"));
        assert!(ids().is_valid(START - Duration::from_secs(2), ip("192.0.2.1"), id));
        assert!(!ids().is_valid(START - Duration::from_secs(3), ip("192.0.2.1"), id));
        assert!(!ids().is_valid(START - Duration::from_secs(3_600), ip("192.0.2.1"), id));
    }

    #[test]
    fn the_first_and_the_last_instant_have_ids_too() {
        for now in [Instant::ZERO, Instant::from_micros(1), Instant::NEVER] {
            let id = ids().give(now, ip("192.0.2.1"));
            assert!(ids().is_valid(now, ip("192.0.2.1"), id));
            assert!(!ids().is_valid(now, ip("192.0.2.1"), ConnectionId(0)));
            assert!(!ids().is_valid(now, ip("192.0.2.1"), ConnectionId(u64::MAX)));
        }
    }
}
