//! A peer in a few bytes: 8 for IPv4, 20 for IPv6.

use super::super::sip::Sip;
use crate::proto::compact::Family;
use std::net::{IpAddr, SocketAddr};

/// A peer of one family, packed: its address, its port, and when it was last heard of.
pub(super) trait Entry: Copy {
    /// What names it among the peers of a torrent: its address and port.
    type Key: Copy + Eq;
    /// What is where nobody is.
    const NOBODY: Self;

    fn new(key: Self::Key, tick: u16) -> Self;
    fn key(&self) -> Self::Key;
    /// The low bits of the time at which it was last heard of.
    fn tick(&self) -> u16;
    /// Appends its address and port in compact form.
    fn write(&self, out: &mut Vec<u8>);
    /// Gives the network that a peer is in, of which one client may have all addresses and ports: an IPv4 address, or 64 bits of an IPv6 address.
    fn network(key: Self::Key) -> u64;

    /// Hashes the network of a peer: all peers of one network are found at one place, and so can be counted.
    fn hash(key: Self::Key, sip: Sip) -> u64 {
        sip.of_word(Self::network(key))
    }
}

/// An address, a port, a time: 32, 16 and 16 bits, so that one comparison tells whether it is somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct V4(u64);

impl Entry for V4 {
    /// Of 48 bits.
    type Key = u64;
    const NOBODY: Self = Self(0);

    fn new(key: u64, tick: u16) -> Self {
        Self(key << 16 | u64::from(tick))
    }

    #[inline]
    fn key(&self) -> u64 {
        self.0 >> 16
    }

    fn tick(&self) -> u16 {
        self.0 as u16
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let [bytes @ .., _, _] = self.0.to_be_bytes();
        out.extend_from_slice(&bytes);
    }

    #[inline]
    fn network(key: u64) -> u64 {
        key >> 16
    }
}

/// An address and a port in compact form, and a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct V6 {
    address: [u8; 18],
    tick: u16,
}

impl Entry for V6 {
    type Key = [u8; 18];
    const NOBODY: Self = Self { address: [0; 18], tick: 0 };

    fn new(key: [u8; 18], tick: u16) -> Self {
        Self { address: key, tick }
    }

    #[inline]
    fn key(&self) -> [u8; 18] {
        self.address
    }

    fn tick(&self) -> u16 {
        self.tick
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.address);
    }

    #[inline]
    fn network(key: [u8; 18]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = key;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// What names a peer, by its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    V4(u64),
    V6([u8; 18]),
}

impl Name {
    pub(super) fn family(self) -> Family {
        match self {
            Name::V4(_) => Family::V4,
            Name::V6(_) => Family::V6,
        }
    }

    /// Names who is at an address; an IPv4 address in IPv6 dress is IPv4.
    pub(super) fn of(peer: SocketAddr) -> Self {
        match peer.ip().to_canonical() {
            IpAddr::V4(ip) => Name::V4(u64::from(u32::from(ip)) << 16 | u64::from(peer.port())),
            IpAddr::V6(ip) => {
                let mut key = [0; 18];
                let (address, port) = key.split_at_mut(16);
                address.copy_from_slice(&ip.octets());
                port.copy_from_slice(&peer.port().to_be_bytes());
                Name::V6(key)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::compact;

    #[test]
    fn entries_are_small_and_written_as_compact_peers() {
        assert_eq!((size_of::<V4>(), size_of::<V6>()), (8, 20));
        for text in ["192.0.2.1:6881", "255.255.255.255:65535", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:80"] {
            let address: SocketAddr = text.parse().unwrap();
            let (mut expected, mut written) = (Vec::new(), Vec::new());
            compact::encode(address, &mut expected);
            match Name::of(address) {
                Name::V4(key) => {
                    let entry = V4::new(key, 0xabcd);
                    entry.write(&mut written);
                    assert_eq!((entry.key(), entry.tick()), (key, 0xabcd));
                }
                Name::V6(key) => {
                    let entry = V6::new(key, 0xabcd);
                    entry.write(&mut written);
                    assert_eq!((entry.key(), entry.tick()), (key, 0xabcd));
                }
            }
            assert_eq!(written, expected, "{text}");
        }
    }
}
