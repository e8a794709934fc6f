//! Who counts as one host, and what as one network, where they are counted.

use std::net::IpAddr;

/// A host as far as limits go: an IPv4 address, or the /64 of an IPv6 address, in which one host draws as many addresses as it likes.
///
/// Hosts behind one address translator are one party, as are those on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Party(u64);

/// Stands before IPv4 addresses: as an IPv6 address it is a multicast group, which is no host.
const V4: u64 = 0xffff_ffff << 32;

impl Party {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(V4 | u64::from(ip.to_bits())),
            IpAddr::V6(ip) => Self((ip.to_bits() >> 64) as u64),
        }
    }

    /// Gives the bytes that tell parties apart.
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// A network that is likely under one hand: the /24 of an IPv4 address, the /48 of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network(u64);

impl Network {
    pub(crate) fn of(ip: IpAddr) -> Self {
        let Party(party) = Party::of(ip);
        let host = if ip.to_canonical().is_ipv4() { 8 } else { 16 };
        Self(party >> host << host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv4_address_is_a_party_in_either_form_and_an_ipv6_one_with_all_of_its_64() {
        let same = |a, b| Party::of(ip(a)) == Party::of(ip(b));
        assert!(same("1.2.3.4", "::ffff:1.2.3.4") && !same("1.2.3.4", "1.2.3.5"));
        assert!(same("2001:db8:1:2::3", "2001:db8:1:2:ffff::9") && !same("2001:db8:1:2::3", "2001:db8:1:3::3"));
        assert!(!same("1.2.3.4", "::1.2.3.4") && !same("0.0.0.0", "::"));
    }

    #[test]
    fn a_network_is_a_24_or_a_48() {
        let same = |a, b| Network::of(ip(a)) == Network::of(ip(b));
        assert!(same("1.2.3.4", "1.2.3.255") && !same("1.2.3.4", "1.2.4.4"));
        assert!(same("2001:db8:1:2::3", "2001:db8:1:ff::9") && !same("2001:db8:1:2::3", "2001:db8:2:2::3"));
    }
}
