//! Addresses of peers and nodes in their compact form: the bytes of the IP address, then the port (BEP 5, 7, 23, 32).
//!
//! ```text
//!  peer   | address 4 or 16 | port 2 |                 6 or 18 bytes
//!  node   | id 20 | address 4 or 16 | port 2 |         26 or 38 bytes
//! ```
//!
//! Which of the two families a run of addresses is of is said by the key or the socket that it came by, never by the bytes.
//!
//! What is decoded may be any address and any port: one that nobody can be reached at (port 0, a broadcast) is for the caller to
//! leave out.
//!
//! ```
//! use bip::proto::compact::{self, Family, Peers};
//! use std::net::SocketAddr;
//!
//! let mut bytes = Vec::new();
//! for address in ["192.0.2.1:6881", "192.0.2.2:51413"] {
//!     compact::encode(address.parse()?, &mut bytes);
//! }
//! assert_eq!(bytes, [192, 0, 2, 1, 0x1a, 0xe1, 192, 0, 2, 2, 0xc8, 0xd5]);
//! let peers: Vec<SocketAddr> = Peers::new(Family::V4, &bytes)?.iter().collect();
//! assert_eq!(peers, ["192.0.2.1:6881".parse()?, "192.0.2.2:51413".parse()?]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::id::NodeId;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A family of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Gives the family of an address; an IPv4 address in an IPv6 form is IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Gives the length in bytes of an address with its port: 6 or 18.
    pub const fn peer_len(self) -> usize {
        match self {
            Family::V4 => 6,
            Family::V6 => 18,
        }
    }

    /// Gives the length in bytes of a node id, address and port: 26 or 38.
    pub const fn node_len(self) -> usize {
        NodeId::LEN + self.peer_len()
    }
}

/// A run of bytes that is not a whole number of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongLength {
    /// How many bytes there are.
    pub length: usize,
    /// How many each address takes.
    pub unit: usize,
}

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of compact addresses of {} bytes each", self.length, self.unit)
    }
}

impl std::error::Error for WrongLength {}

/// Appends an address with its port: 6 bytes, or 18 for IPv6. An IPv4 address in an IPv6 form is written as IPv4.
pub fn encode(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&address.port().to_be_bytes());
}

/// Reads one address with its port, of 6 or 18 bytes; `None` of any other length. An IPv4 address in an IPv6 form is given as IPv4.
///
/// ```
/// use bip::proto::compact;
/// assert_eq!(compact::decode(b"axje.u"), Some("97.120.106.101:11893".parse().unwrap()));
/// assert_eq!(compact::decode(b"axje."), None);
/// ```
#[inline]
pub fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    let ip = match ip.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

/// Addresses of peers, one after the other in their compact form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Peers<'a> {
    family: Family,
    bytes: &'a [u8],
}

impl<'a> Peers<'a> {
    /// Takes bytes as addresses of a family.
    ///
    /// # Errors
    ///
    /// They are not a whole number of addresses.
    pub fn new(family: Family, bytes: &'a [u8]) -> Result<Self, WrongLength> {
        whole(bytes, family.peer_len()).map(|()| Self { family, bytes })
    }

    /// Takes the addresses of a family that bytes begin with, as far as they are whole, and says how many bytes are left over.
    ///
    /// ```
    /// use bip::proto::compact::{Family, Peers};
    /// let (peers, left) = Peers::prefix(Family::V4, b"axje.uidht");
    /// assert_eq!((peers.len(), left), (1, 4));
    /// ```
    pub fn prefix(family: Family, bytes: &'a [u8]) -> (Self, usize) {
        let left = bytes.len() % family.peer_len();
        let whole = bytes.get(..bytes.len() - left).unwrap_or_default();
        (Self { family, bytes: whole }, left)
    }

    /// Gives the first addresses, at most as many as given.
    #[must_use]
    pub fn first(self, count: usize) -> Self {
        let length = count.saturating_mul(self.family.peer_len());
        Self { bytes: self.bytes.get(..length).unwrap_or(self.bytes), ..self }
    }

    /// Gives the family.
    pub fn family(self) -> Family {
        self.family
    }

    /// Gives the bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Gives how many addresses there are.
    pub fn len(self) -> usize {
        self.bytes.len() / self.family.peer_len()
    }

    /// Says whether there is none.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Goes over the addresses.
    pub fn iter(self) -> impl ExactSizeIterator<Item = SocketAddr> + DoubleEndedIterator + Clone + use<'a> {
        let unspecified = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        // Each has the length of its family.
        self.bytes.chunks_exact(self.family.peer_len()).map(move |peer| decode(peer).unwrap_or(unspecified))
    }
}

impl fmt::Debug for Peers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A node of the DHT: its id and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its address and port.
    pub address: SocketAddr,
}

impl Node {
    /// Appends the node: 26 bytes, or 38 for IPv6.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        encode(self.address, out);
    }

    /// Reads one node, of 26 or 38 bytes; `None` of any other length.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, address) = bytes.split_first_chunk()?;
        Some(Self { id: NodeId(*id), address: decode(address)? })
    }
}

/// Nodes of the DHT, one after the other in their compact form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nodes<'a> {
    family: Family,
    bytes: &'a [u8],
}

impl<'a> Nodes<'a> {
    /// Takes bytes as nodes with addresses of a family.
    ///
    /// # Errors
    ///
    /// They are not a whole number of nodes.
    pub fn new(family: Family, bytes: &'a [u8]) -> Result<Self, WrongLength> {
        whole(bytes, family.node_len()).map(|()| Self { family, bytes })
    }

    /// Takes the nodes of a family that bytes begin with, as far as they are whole, and says how many bytes are left over.
    ///
    /// ```
    /// use bip::proto::compact::{Family, Nodes};
    /// let (nodes, left) = Nodes::prefix(Family::V4, &[7; 60]);
    /// assert_eq!((nodes.len(), left), (2, 8));
    /// ```
    pub fn prefix(family: Family, bytes: &'a [u8]) -> (Self, usize) {
        let left = bytes.len() % family.node_len();
        let whole = bytes.get(..bytes.len() - left).unwrap_or_default();
        (Self { family, bytes: whole }, left)
    }

    /// Gives the family.
    pub fn family(self) -> Family {
        self.family
    }

    /// Gives the bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Gives how many nodes there are.
    pub fn len(self) -> usize {
        self.bytes.len() / self.family.node_len()
    }

    /// Says whether there is none.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Goes over the nodes.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Node> + DoubleEndedIterator + Clone + use<'a> {
        let nobody = Node { id: NodeId([0; 20]), address: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0) };
        // Each has the length of its family.
        self.bytes.chunks_exact(self.family.node_len()).map(move |node| Node::decode(node).unwrap_or(nobody))
    }
}

impl fmt::Debug for Nodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn whole(bytes: &[u8], unit: usize) -> Result<(), WrongLength> {
    if bytes.len() % unit == 0 { Ok(()) } else { Err(WrongLength { length: bytes.len(), unit }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_of_both_families_are_read_and_written() {
        for (text, length) in [("1.2.3.4:5", 6), ("[2001:db8::1]:6881", 18), ("0.0.0.0:0", 6), ("[::]:65535", 18)] {
            let address: SocketAddr = text.parse().unwrap();
            let mut bytes = b"before".to_vec();
            encode(address, &mut bytes);
            assert_eq!((decode(&bytes[6..]), bytes.len()), (Some(address), 6 + length), "{text}");
        }
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_form_is_ipv4() {
        let mut bytes = Vec::new();
        encode("[::ffff:1.2.3.4]:5".parse().unwrap(), &mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4, 0, 5]);
        let mapped = [[0; 10].as_slice(), &[0xff, 0xff, 1, 2, 3, 4, 0, 5]].concat();
        assert_eq!(decode(&mapped), Some("1.2.3.4:5".parse().unwrap()));
        assert_eq!(Family::of("::ffff:1.2.3.4".parse().unwrap()), Family::V4);
    }

    #[test]
    fn no_other_length_is_an_address() {
        for length in (0..64).filter(|l| ![6, 18].contains(l)) {
            assert_eq!(decode(&vec![1; length]), None, "{length}");
        }
        for length in (0..64).filter(|l| ![26, 38].contains(l)) {
            assert_eq!(Node::decode(&vec![1; length]), None, "{length}");
        }
    }

    #[test]
    fn runs_of_none_of_one_and_of_two_are_read_byte_for_byte_and_written_again() {
        let id = |byte| [byte; 20];
        let v4: [(&str, &[u8]); 2] =
            [("127.0.0.1:1443", b"\x7f\0\0\x01\x05\xa3"), ("192.0.2.1:6881", b"\xc0\0\x02\x01\x1a\xe1")];
        let v6: [(&str, &[u8]); 2] = [
            ("[2001:db8::7]:1443", b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x05\xa3"),
            ("[::1]:6881", b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1"),
        ];
        for (family, all) in [(Family::V4, v4), (Family::V6, v6)] {
            for count in 0..=all.len() {
                let addresses: Vec<SocketAddr> = all[..count].iter().map(|(text, _)| text.parse().unwrap()).collect();
                let peers: Vec<u8> = all[..count].iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
                let read = Peers::new(family, &peers).unwrap();
                assert_eq!((read.len(), read.iter().collect::<Vec<_>>()), (count, addresses.clone()));
                let mut again = Vec::new();
                read.iter().for_each(|address| encode(address, &mut again));
                assert_eq!(again, peers);

                let nodes: Vec<u8> =
                    (0..).zip(&all[..count]).flat_map(|(at, (_, bytes))| [&id(at)[..], bytes].concat()).collect();
                let read = Nodes::new(family, &nodes).unwrap();
                let expected =
                    (0..).zip(&addresses).map(|(at, address)| Node { id: NodeId(id(at)), address: *address });
                assert_eq!((read.len(), read.iter().collect::<Vec<_>>()), (count, expected.collect()));
                let mut again = Vec::new();
                read.iter().for_each(|node| node.encode(&mut again));
                assert_eq!(again, nodes);
            }
        }
    }

    #[test]
    fn a_run_that_is_cut_is_refused_and_says_so() {
        let error = Peers::new(Family::V6, &[0; 37]).unwrap_err();
        assert_eq!(error.to_string(), "37 bytes of compact addresses of 18 bytes each");
        // The nodes in the example of BEP 5's find_node are nine bytes.
        assert_eq!(Nodes::new(Family::V4, b"def456..."), Err(WrongLength { length: 9, unit: 26 }));
        assert!(Peers::new(Family::V4, &[]).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn runs_of_nodes_give_back_what_they_are_made_of(
            nodes in prop::collection::vec((any::<[u8; 20]>(), any::<[u8; 4]>(), any::<u16>()), 0..20),
        ) {
            let nodes: Vec<Node> = nodes
                .into_iter()
                .map(|(id, ip, port)| Node { id: NodeId(id), address: SocketAddr::new(ip.into(), port) })
                .collect();
            let mut bytes = Vec::new();
            nodes.iter().for_each(|node| node.encode(&mut bytes));
            let read = Nodes::new(Family::V4, &bytes).unwrap();
            prop_assert_eq!(read.len(), nodes.len());
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), nodes);
        }
    }
}
