//! Addresses at which there is no node.

use crate::proto::krpc::node_id;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Says whether an address is none that a node or a peer of the public network can have, or is reached at from here:
///
/// - port 0, and what [`is_nobody`] says;
/// - loopback and link-local addresses, which are others for everybody;
/// - those of documentation, benchmarks and the protocols themselves, and those that are reserved;
/// - an IPv4 address in an IPv6 form, of whichever kind (mapped, compatible, 6to4, Teredo, NAT64): it belongs to the other side, where the
///   rules of IPv4 hold;
/// - of IPv6 all that is neither global (2000::/3) nor unique local.
///
/// Private addresses (10.0.0.0/8 and so on, those of carriers in 100.64.0.0/10, unique local ones in IPv6) are not among them: nodes in
/// one's own network are nodes, as for other implementations. Whoever takes addresses from strangers should know that they may
/// name such ones too.
pub(crate) fn is_martian(address: SocketAddr) -> bool {
    is_nobody(address)
        || match address.ip() {
            IpAddr::V4(ip) => is_martian_v4(ip),
            IpAddr::V6(ip) => is_martian_v6(ip),
        }
}

/// Says whether somebody may tell us of an address: one at which somebody can be; and in a private network, only if he is in one too, so that
/// nobody on the Internet sends us around in ours.
pub(crate) fn may_name(by: IpAddr, address: SocketAddr, local_network: bool) -> bool {
    if local_network {
        return !is_nobody(address);
    }
    !is_martian(address) && (node_id::is_exempt(by) || !node_id::is_exempt(address.ip()))
}

/// Says whether there is nobody at an address even in a local network: port 0, unspecified addresses, groups, broadcasts.
pub(crate) fn is_nobody(address: SocketAddr) -> bool {
    address.port() == 0
        || match address.ip().to_canonical() {
            // 0.0.0.0/8 is this network, 224.0.0.0/4 are groups.
            IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
        }
}

fn is_martian_v4(ip: Ipv4Addr) -> bool {
    ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || match ip.octets() {
            // Protocol assignments, the relays of 6to4, benchmarks, reserved.
            [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => true,
            _ => false,
        }
}

fn is_martian_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // Teredo, benchmarks, two generations of ORCHID: 2001::/32, 2001:2::/48, 2001:10::/28, 2001:20::/28.
        [0x2001, 0 | 2 | 0x10..=0x2f, ..] => true,
        // Documentation, and 6to4.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2002, ..] => true,
        [first, ..] => !(0x2000..0x4000).contains(&first) && !ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 6881)
    }

    #[test]
    fn addresses_of_nodes_are_no_martians() {
        for ip in [
            "1.0.0.1",
            "8.8.8.8",
            "11.0.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "172.15.0.1",
            "191.255.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            // Private ones.
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd00::1",
            "2001:470::1",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "2003::1",
            "3fff:1000::1",
        ] {
            assert!(!is_martian(at(ip)) && !is_nobody(at(ip)), "{ip}");
        }
    }

    #[test]
    fn at_no_port_there_is_nobody() {
        for ip in ["8.8.8.8", "2a00::1", "127.0.0.1", "::1"] {
            let address = SocketAddr::new(ip.parse().unwrap(), 0);
            assert!(is_martian(address) && is_nobody(address), "{ip}");
        }
    }

    #[test]
    fn addresses_that_nobody_has_are_martians_even_in_a_local_network() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.192.152.143",
            "255.255.255.255",
            "::",
            "ff02::1",
            "ff15::efc0:988f",
            "::ffff:0.0.0.0",
            "::ffff:224.0.0.1",
        ] {
            assert!(is_martian(at(ip)) && is_nobody(at(ip)), "{ip}");
        }
    }

    #[test]
    fn addresses_that_are_others_for_everybody_are_martians_but_somebody_here() {
        for ip in [
            "127.0.0.1",
            "127.255.0.1",
            "169.254.1.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "240.0.0.1",
            "255.255.255.254",
            "::1",
            "::1.2.3.4",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "100::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:2f::1",
            "2001:db8::1",
            "2002:808:808::1",
            "3fff:fff::1",
            "4000::1",
            "1fff::1",
        ] {
            assert!(is_martian(at(ip)), "{ip}");
            assert!(!is_nobody(at(ip)), "{ip}");
        }
    }
}
