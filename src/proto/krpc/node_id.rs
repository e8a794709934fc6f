//! Ids of nodes that go with their addresses (BEP 42), so that nobody can choose ids near a torrent at will.

use crate::proto::crc32c::Crc32c;
use crate::proto::id::NodeId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Makes an id for a node at an address. `r` should be drawn at random, of which the lowest three bits choose one of the eight
/// prefixes that the address permits and the rest is the id's last byte; all that is free is taken from `rand`.
///
/// An IPv4 address in an IPv6 form counts as IPv4. Of an IPv6 address only the upper 64 bits count.
///
/// ```
/// use bip::proto::krpc::node_id;
/// let ip = "124.31.75.21".parse().unwrap();
/// let id = node_id::for_address(ip, 1, [0xff; 20]);
/// assert_eq!(id.to_string(), "5fbfbfffffffffffffffffffffffffffffffff01");
/// assert!(node_id::is_valid_for(&id, ip));
/// ```
pub fn for_address(ip: IpAddr, r: u8, rand: [u8; 20]) -> NodeId {
    let [a, b, c, _] = prefix(ip, r).to_be_bytes();
    let mut id = rand;
    id[0] = a;
    id[1] = b;
    id[2] = c & 0xf8 | rand[2] & 7;
    id[19] = r;
    NodeId(id)
}

/// Says whether a node at an address may have an id: the id goes with the address, or the address is [exempt](is_exempt).
pub fn is_valid_for(id: &NodeId, ip: IpAddr) -> bool {
    let [a, b, c, .., r] = id.0;
    let [x, y, z, _] = prefix(ip, r).to_be_bytes();
    ([a, b, c & 0xf8] == [x, y, z & 0xf8]) || is_exempt(ip)
}

/// Says whether nodes at an address may have any id, since it is of a local network: the ranges of the BEP, and what is the same in
/// IPv6 (loopback, link-local and unique local addresses).
pub fn is_exempt(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local(),
    }
}

/// The checksum of which the first 21 bits are the id's.
fn prefix(ip: IpAddr, r: u8) -> u32 {
    let r = r & 7;
    match ip.to_canonical() {
        IpAddr::V4(ip) => of_v4(ip, r),
        IpAddr::V6(ip) => of_v6(ip, r),
    }
}

fn of_v4(ip: Ipv4Addr, r: u8) -> u32 {
    Crc32c::of(&(ip.to_bits() & 0x030f_3fff | u32::from(r) << 29).to_be_bytes())
}

fn of_v6(ip: Ipv6Addr, r: u8) -> u32 {
    let upper = (ip.to_bits() >> 64) as u64;
    Crc32c::of(&(upper & 0x0103_070f_1f3f_7fff | u64::from(r) << 61).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The vectors of BEP 42.
    const VECTORS: [(&str, u8, &str); 5] = [
        ("124.31.75.21", 1, "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"),
        ("21.75.31.124", 86, "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"),
        ("65.23.51.170", 22, "a5d43220bc8f112a3d426c84764f8c2a1150e616"),
        ("84.124.73.14", 65, "1b0321dd1bb1fe518101ceef99462b947a01ff41"),
        ("43.213.53.83", 90, "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"),
    ];

    #[test]
    fn the_ids_of_bep_42_are_made_and_valid() {
        for (ip, r, text) in VECTORS {
            let (ip, id): (IpAddr, NodeId) = (ip.parse().unwrap(), text.parse().unwrap());
            assert_eq!(for_address(ip, r, id.0), id, "{ip}");
            assert!(is_valid_for(&id, ip), "{ip}");
        }
    }

    #[test]
    fn the_checksums_are_those_of_the_vectors() {
        let crc = |ip: &str, r| prefix(ip.parse().unwrap(), r);
        assert_eq!(crc("124.31.75.21", 1), 0x5fbf_bdb2);
        assert_eq!(crc("21.75.31.124", 86), 0x5a3c_e9b0);
        assert_eq!(crc("65.23.51.170", 22), 0xa5d4_344a);
        assert_eq!(crc("84.124.73.14", 65), 0x1b03_217b);
        assert_eq!(crc("43.213.53.83", 90), 0xe56f_6972);
        assert_eq!(crc("2001:db8:85a3::8a2e:370:7334", 1), 0xdc84_0c08);
    }

    #[test]
    fn an_id_is_not_valid_for_another_address_or_with_another_prefix_or_last_byte() {
        for (ip, _, text) in VECTORS {
            let (ip, id): (IpAddr, NodeId) = (ip.parse().unwrap(), text.parse().unwrap());
            assert!(!is_valid_for(&id, "8.8.8.8".parse().unwrap()));
            for bit in 0..21 {
                let mut other = id;
                other.0[bit / 8] ^= 0x80 >> (bit % 8);
                assert!(!is_valid_for(&other, ip), "{ip}, bit {bit}");
            }
            let mut other = id;
            other.0[19] ^= 1;
            assert!(!is_valid_for(&other, ip), "{ip}");
        }
    }

    #[test]
    fn local_addresses_may_have_any_id() {
        for ip in
            ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1", "127.0.0.1", "::1", "fe80::1"]
        {
            assert!(is_valid_for(&NodeId([9; 20]), ip.parse().unwrap()), "{ip}");
        }
        for ip in ["11.0.0.1", "172.32.0.1", "192.169.1.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_valid_for(&NodeId([9; 20]), ip.parse().unwrap()), "{ip}");
        }
        assert!(is_exempt("::ffff:10.0.0.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn what_is_made_is_valid_and_keeps_what_is_free(ip: IpAddr, r: u8, rand: [u8; 20]) {
            let id = for_address(ip, r, rand);
            prop_assert!(is_valid_for(&id, ip));
            prop_assert_eq!((id.0[19], &id.0[3..19], id.0[2] & 7), (r, &rand[3..19], rand[2] & 7));
        }
    }
}
