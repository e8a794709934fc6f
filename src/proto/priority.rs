//! Canonical peer priority (BEP 40): an order of peers on which both ends of a connection agree.

use super::crc32c::Crc32c;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Gives the priority of a connection between two addresses: the same from either end. Higher comes first.
///
/// An IPv4 address in an IPv6 form counts as IPv4. Two of different families have no common priority; the first then counts as
/// unspecified.
///
/// ```
/// use bip::proto::priority::priority;
/// let (ours, theirs) = ("123.213.32.10:6881".parse().unwrap(), "98.76.54.32:6881".parse().unwrap());
/// assert_eq!(priority(ours, theirs), 0xec2d7224);
/// ```
pub fn priority(ours: SocketAddr, theirs: SocketAddr) -> u32 {
    let ip = theirs.ip().to_canonical();
    match (ours.ip().to_canonical(), ip) {
        (our_ip, _) if our_ip == ip => {
            let mut ports = [ours.port(), theirs.port()];
            ports.sort_unstable();
            ports.iter().fold(Crc32c::default(), |crc, port| crc.update(&port.to_be_bytes())).finish()
        }
        (IpAddr::V4(a), IpAddr::V4(b)) => of_bytes(a.octets(), b.octets(), 2),
        (IpAddr::V6(a), IpAddr::V6(b)) => of_bytes(a.octets(), b.octets(), 6),
        (_, IpAddr::V4(b)) => of_bytes(Ipv4Addr::UNSPECIFIED.octets(), b.octets(), 2),
        (_, IpAddr::V6(b)) => of_bytes(Ipv6Addr::UNSPECIFIED.octets(), b.octets(), 6),
    }
}

/// At least `whole` bytes count whole, or one more than both addresses begin with; of the others every second bit.
fn of_bytes<const N: usize>(a: [u8; N], b: [u8; N], whole: usize) -> u32 {
    let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let whole = if common >= whole { common + 1 } else { whole };
    let masked = |bytes: [u8; N]| {
        let mut masked = bytes;
        masked.iter_mut().skip(whole).for_each(|byte| *byte &= 0x55);
        masked
    };
    let mut both = [masked(a), masked(b)];
    both.sort_unstable();
    both.iter().fold(Crc32c::default(), |crc, bytes| crc.update(bytes)).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &str, b: &str) -> u32 {
        let (a, b): (IpAddr, IpAddr) = (a.parse().unwrap(), b.parse().unwrap());
        let (a, b) = (SocketAddr::new(a, 1), SocketAddr::new(b, 2));
        assert_eq!(priority(a, b), priority(b, a));
        priority(a, b)
    }

    fn crc(hex: &str) -> u32 {
        let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        Crc32c::of(&(0..hex.len()).step_by(2).map(digit).collect::<Vec<_>>())
    }

    #[test]
    fn the_examples_of_bep_40_come_out() {
        assert_eq!(of("123.213.32.10", "98.76.54.32"), 0xec2d_7224);
        assert_eq!(of("123.213.32.10", "123.213.32.234"), 0x9956_8189);
    }

    #[test]
    fn the_nearer_two_addresses_are_the_more_of_them_counts() {
        assert_eq!(of("255.255.255.255", "1.255.255.255"), crc("01ff5555ffff5555"));
        assert_eq!(of("1.2.255.255", "1.2.1.255"), crc("010201550102ff55"));
        assert_eq!(of("1.2.3.255", "1.2.3.1"), crc("01020301010203ff"));
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let cases = [
            ("1::", "ffffffffffff55555555555555555555"),
            ("ffff:ffff:ffff:1::", "ffffffffffffff555555555555555555"),
            ("ffff:ffff:ffff:ff01::", "ffffffffffffffff5555555555555555"),
            ("ffff:ffff:ffff:ffff:1::", "ffffffffffffffffff55555555555555"),
        ];
        for (other, masked) in cases {
            let octets = other.parse::<Ipv6Addr>().unwrap().octets();
            let mask: Vec<u8> = (0..16).map(|i| u8::from_str_radix(&masked[2 * i..2 * i + 2], 16).unwrap()).collect();
            let first: String = octets.iter().zip(&mask).map(|(byte, mask)| format!("{:02x}", byte & mask)).collect();
            assert_eq!(of(all, other), crc(&format!("{first}{masked}")), "{other}");
        }
    }

    #[test]
    fn peers_on_one_address_are_told_apart_by_their_ports() {
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert_eq!(priority(at(1234), at(300)), crc("012c04d2"));
        assert_eq!(priority(at(300), at(1234)), crc("012c04d2"));
    }

    #[test]
    fn addresses_of_two_families_are_compared_as_well_as_may_be() {
        assert_eq!(of("::ffff:98.76.54.32", "123.213.32.10"), 0xec2d_7224);
        let (v4, v6) = ("1.2.3.4:5".parse().unwrap(), "[2001:db8::1]:5".parse().unwrap());
        assert_eq!(priority(v4, v6), priority("[::]:0".parse().unwrap(), v6));
        assert_eq!(priority(v6, v4), priority("0.0.0.0:0".parse().unwrap(), v4));
    }
}
