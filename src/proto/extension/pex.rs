//! `ut_pex`: peers tell each other whom they are connected to (BEP 11).

use super::dict::{self, Field};
use super::{Error, Id, Limits};
use crate::proto::bencode::encode_dict;
use crate::proto::compact::{self, Family};
use crate::proto::message::encode_extended;
use std::fmt;
use std::net::SocketAddr;
use std::ops::BitOr;

/// What is said of a peer. Bits that we do not know are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// It prefers encrypted connections.
    pub const ENCRYPTION: Self = Self(0x01);
    /// It only uploads: a seed, or a partial one (BEP 21).
    pub const SEED: Self = Self(0x02);
    /// It speaks uTP.
    pub const UTP: Self = Self(0x04);
    /// It speaks `ut_holepunch` (BEP 55).
    pub const HOLEPUNCH: Self = Self(0x08);
    /// It was dialled, so that it can be reached.
    pub const OUTGOING: Self = Self(0x10);

    /// Says whether all of the other's bits are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#04x})", self.0)
    }
}

/// A peer that the sender became connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Added {
    /// Its address and port: any that may be written, also one that nobody can be reached at.
    pub address: SocketAddr,
    /// What is said of it; nothing where the sender has left its flags out.
    pub flags: Flags,
}

/// A message of `ut_pex`: who came and who went since the last one.
///
/// Peers with IPv4 addresses come before those with IPv6 addresses.
///
/// ```
/// use bip::proto::extension::{Limits, pex::{Flags, Pex}};
/// let pex = Pex::decode(b"d5:added12:\xc0\0\x02\x01\x1a\xe1\xc0\0\x02\x02\x1a\xe17:added.f2:\x12\x00e", &Limits::default())?;
/// assert_eq!(pex.added[0].address, "192.0.2.1:6881".parse()?);
/// assert!(pex.added[0].flags.contains(Flags::SEED | Flags::OUTGOING));
/// assert_eq!((pex.added.len(), pex.dropped.len()), (2, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pex {
    /// Whom the sender became connected to.
    pub added: Vec<Added>,
    /// From whom it was disconnected.
    pub dropped: Vec<SocketAddr>,
    /// How many addresses were left out: those over a limit, an incomplete one at the end of each list, and IPv4 addresses among those
    /// of IPv6. An honest message of reasonable size has none. Not written.
    pub left_out: usize,
}

impl Pex {
    /// Reads the payload.
    ///
    /// What makes no sense is left out and the rest is kept: lists that are no strings, addresses that are cut, flags without a
    /// peer. Of each list the first [`Limits::pex_peers`] are taken. Addresses may be there twice.
    ///
    /// # Errors
    ///
    /// Fails where the bytes do not begin with a dictionary.
    pub fn decode(payload: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut lists: [&[u8]; 6] = [&[]; 6];
        dict::read(payload, |entry| {
            let at = [&b"added"[..], b"added.f", b"added6", b"added6.f", b"dropped", b"dropped6"];
            let list = at.iter().position(|key| *key == entry.key).and_then(|at| lists.get_mut(at));
            if let (Some(list), Field::Bytes(bytes)) = (list, entry.value) {
                *list = bytes;
            }
        })?;
        let [added, flags, added6, flags6, dropped, dropped6] = lists;
        let mut pex = Self::default();
        for (family, peers, flags) in [(Family::V4, added, flags), (Family::V6, added6, flags6)] {
            let mut flags = flags.iter().copied();
            pex.left_out += read(family, peers, limits.pex_peers, |address| {
                let flags = Flags(flags.next().unwrap_or_default());
                pex.added.extend(address.map(|address| Added { address, flags }));
            });
        }
        for (family, peers) in [(Family::V4, dropped), (Family::V6, dropped6)] {
            pex.left_out += read(family, peers, limits.pex_peers, |address| pex.dropped.extend(address));
        }
        Ok(pex)
    }

    /// Says whether nobody came and nobody went.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty()
    }

    /// Appends the whole message, numbered as its receiver wants it. `added` and its flags are always there.
    ///
    /// BEP 11 wants at most 50 peers of each list, each once, and none in both.
    pub fn encode(&self, id: Id, out: &mut Vec<u8>) {
        encode_extended(id.get(), out, |out| out.extend_from_slice(&self.payload()));
    }

    fn payload(&self) -> Vec<u8> {
        let is_v4 = |address: &SocketAddr| Family::of(address.ip()) == Family::V4;
        let (mut v4, mut v6) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for Added { address, flags } in &self.added {
            let (addresses, all_flags) = if is_v4(address) { &mut v4 } else { &mut v6 };
            compact::encode(*address, addresses);
            all_flags.push(flags.0);
        }
        let (mut dropped, mut dropped6) = (Vec::new(), Vec::new());
        for address in &self.dropped {
            compact::encode(*address, if is_v4(address) { &mut dropped } else { &mut dropped6 });
        }
        encode_dict(|d| {
            d.bytes("added", &v4.0);
            d.bytes("added.f", &v4.1);
            if !v6.0.is_empty() {
                d.bytes("added6", &v6.0);
                d.bytes("added6.f", &v6.1);
            }
            if !dropped.is_empty() {
                d.bytes("dropped", &dropped);
            }
            if !dropped6.is_empty() {
                d.bytes("dropped6", &dropped6);
            }
        })
    }
}

/// Gives each address of a list, or `None` where one is of the other family, and says how many were left out.
fn read(family: Family, bytes: &[u8], most: usize, mut take: impl FnMut(Option<SocketAddr>)) -> usize {
    let mut left_out = bytes.len().div_ceil(family.peer_len());
    for peer in bytes.chunks_exact(family.peer_len()).take(most) {
        let address = compact::decode(peer).filter(|address| Family::of(address.ip()) == family);
        left_out -= usize::from(address.is_some());
        take(address);
    }
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bencode;
    use proptest::prelude::*;

    fn read(payload: &[u8]) -> Pex {
        Pex::decode(payload, &Limits::default()).unwrap()
    }

    fn lists(lists: &[(&str, &[u8])]) -> Vec<u8> {
        encode_dict(|d| lists.iter().for_each(|(key, bytes)| d.bytes(key, bytes)))
    }

    fn peers(family: Family, count: usize) -> Vec<u8> {
        (0..count).flat_map(|at| vec![at as u8 + 1; family.peer_len()]).collect()
    }

    #[test]
    fn peers_of_both_families_come_and_go() {
        let (v4, v6) = (peers(Family::V4, 3), peers(Family::V6, 2));
        let payload = lists(&[
            ("added", &v4),
            ("added.f", &[0, 1, 0xff]),
            ("added6", &v6),
            ("added6.f", &[2, 4]),
            ("dropped", &v4[..6]),
            ("dropped6", &v6[..18]),
        ]);
        let pex = read(&payload);
        assert_eq!(pex.added.iter().map(|added| added.flags.0).collect::<Vec<_>>(), [0, 1, 0xff, 2, 4]);
        assert_eq!(pex.added.iter().filter(|added| added.address.is_ipv6()).count(), 2);
        assert_eq!(pex.dropped, [pex.added[0].address, pex.added[3].address]);
        assert_eq!(pex.left_out, 0);
        assert_eq!(pex.payload(), payload);
    }

    #[test]
    fn flags_that_are_missing_are_none_and_flags_too_many_are_nobodys() {
        let v4 = peers(Family::V4, 3);
        for (flags, expected) in [(&[][..], [0; 3]), (&[7], [7, 0, 0]), (&[1, 2, 3, 4, 5], [1, 2, 3])] {
            let pex = read(&lists(&[("added", &v4), ("added.f", flags)]));
            assert_eq!(pex.added.iter().map(|added| added.flags.0).collect::<Vec<_>>(), expected);
        }
        assert!(read(&lists(&[("added.f", &[1, 2])])).is_empty());
        assert_eq!(read(b"d5:added6:ABCDEF7:added.fi1ee").added.len(), 1);
    }

    #[test]
    fn of_a_list_that_is_cut_the_whole_addresses_are_kept() {
        for (family, key) in
            [(Family::V4, "added"), (Family::V6, "added6"), (Family::V4, "dropped"), (Family::V6, "dropped6")]
        {
            let all = peers(family, 3);
            for length in 0..=all.len() {
                let pex = read(&lists(&[(key, &all[..length])]));
                assert_eq!(pex.added.len() + pex.dropped.len(), length / family.peer_len());
                assert_eq!(pex.left_out, usize::from(length % family.peer_len() > 0));
            }
        }
    }

    #[test]
    fn a_list_that_is_no_string_leaves_the_others() {
        let pex = read(b"d5:addedi1e6:added6le7:dropped6:ABCDEF8:dropped6dee");
        assert_eq!((pex.added.len(), pex.dropped.len()), (0, 1));
        assert!(read(b"de").is_empty());
        for payload in [&b""[..], b"le", b"d5:added6:ABCDEe", b"d5:added6:ABCDEF"] {
            assert!(Pex::decode(payload, &Limits::default()).is_err());
        }
    }

    #[test]
    fn lists_are_bounded() {
        let (v4, v6) = (peers(Family::V4, 200), peers(Family::V6, 200));
        let payload = lists(&[("added", &v4), ("added6", &v6), ("dropped", &v4), ("dropped6", &v6)]);
        let pex = read(&payload);
        assert_eq!((pex.added.len(), pex.dropped.len(), pex.left_out), (100, 100, 600));
        let none = Pex::decode(&payload, &Limits { pex_peers: 0, ..Limits::default() }).unwrap();
        assert_eq!((none.is_empty(), none.left_out), (true, 800));
    }

    #[test]
    fn an_ipv4_address_among_those_of_ipv6_is_left_out_with_its_flags() {
        let mapped = [[0; 10].as_slice(), &[0xff, 0xff, 1, 2, 3, 4, 0, 5]].concat();
        let both = [&mapped[..], &peers(Family::V6, 1)].concat();
        let pex = read(&lists(&[("added6", &both), ("added6.f", &[1, 2]), ("dropped6", &mapped)]));
        assert_eq!((pex.added.len(), pex.added[0].flags, pex.dropped.len(), pex.left_out), (1, Flags(2), 0, 2));
    }

    #[test]
    fn nesting_in_a_message_costs_no_stack() {
        for start in ["", "d1:x", "d5:added", "d5:added0:7:added.f"] {
            for open in ["l", "d1:a"] {
                let deep = [start.as_bytes(), &open.as_bytes().repeat(20_000)].concat();
                let closed = [&deep[..], &vec![b'e'; 20_001]].concat();
                for payload in [deep, closed] {
                    let Err(Error::Bencode(error)) = Pex::decode(&payload, &Limits::default()) else {
                        panic!("{start} {open}")
                    };
                    assert!(matches!(error, bencode::Error::TooDeep { limit: 8, .. }), "{start} {open}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_message_has_one_list_at_least() {
        assert_eq!(Pex::default().payload(), b"d5:added0:7:added.f0:e");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            v4 in prop::collection::vec((any::<[u8; 4]>(), any::<u16>(), any::<u8>()), 0..12),
            v6 in prop::collection::vec((any::<[u8; 16]>(), any::<u16>(), any::<u8>()), 0..12),
            dropped in 0..12usize,
        ) {
            let v4 = v4.into_iter().map(|(ip, port, flags)| (SocketAddr::new(ip.into(), port), flags));
            let v6 = v6.into_iter().map(|(ip, port, flags)| (SocketAddr::new(ip.into(), port), flags));
            let added: Vec<_> = v4.chain(v6).map(|(address, flags)| Added { address, flags: Flags(flags) }).collect();
            let dropped = added.iter().take(dropped).map(|added| added.address).collect();
            let pex = Pex { added, dropped, left_out: 0 };
            let mut out = Vec::new();
            pex.encode(Id::new(1).unwrap(), &mut out);
            prop_assert_eq!(read(&out[6..]), pex);
        }
    }
}
