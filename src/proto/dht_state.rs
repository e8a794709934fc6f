//! The saved state of a DHT node: what it knew when it stopped, kept in a file from one run to the next. The format is ours.
//!
//! It is a bencoded dictionary:
//!
//! | key | value |
//! |---|---|
//! | `bip dht` | the version, 1 |
//! | `id`, `id6` | the node's own ids on its IPv4 and its IPv6 side, 20 bytes each; without one where there was no such side |
//! | `nodes`, `nodes6` | nodes with IPv4 and IPv6 addresses, 26 and 38 bytes each, as in a message (BEP 5, 32), those first that should be asked first |
//! | `saved` | when it was saved, in seconds since 1970 |
//!
//! Keys that are not known are passed over, so that a later version can add to them. What is malformed is left out and counted, and the
//! rest stands: a node that has lost one of its acquaintances knows the others still.
//!
//! Which of the nodes may be talked to (a state that came from elsewhere may name any) is for the caller to say.

use super::bencode::{self, Document};
use super::compact::{Family, Node, Nodes};
use super::id::NodeId;
use std::fmt;

/// The version that is written, and the only one that is read.
const VERSION: i64 = 1;

/// What is read at most.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in all. Default 1 MiB.
    pub length: usize,
    /// Nodes of each family: further ones are left out. Default 2,000.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { length: 1 << 20, nodes: 2_000 }
    }
}

/// The saved state of a DHT node.
///
/// ```
/// use bip::proto::compact::Node;
/// use bip::proto::dht_state::{DhtState, Limits};
/// use bip::proto::id::NodeId;
///
/// let state = DhtState {
///     id: Some(NodeId([7; 20])),
///     nodes: vec![Node { id: NodeId([8; 20]), address: "192.0.2.1:6881".parse()? }],
///     saved: Some(1_000_000_000),
///     ..DhtState::default()
/// };
/// let bytes = state.encode();
/// assert_eq!(DhtState::decode(&bytes, &Limits::default())?, state);
///
/// // A byte of the node is lost: the id is not.
/// let torn = b"d7:bip dhti1e2:id20:aaaaaaaaaaaaaaaaaaaa5:nodes25:bbbbbbbbbbbbbbbbbbbbbbbbbe";
/// let state = DhtState::decode(torn, &Limits::default())?;
/// assert_eq!((state.id, state.nodes.len(), state.dropped), (Some(NodeId([b'a'; 20])), 0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DhtState {
    /// The node's own id on its IPv4 side.
    pub id: Option<NodeId>,
    /// The node's own id on its IPv6 side.
    pub id6: Option<NodeId>,
    /// Nodes with IPv4 addresses, those first that should be asked first.
    pub nodes: Vec<Node>,
    /// Nodes with IPv6 addresses, likewise.
    pub nodes6: Vec<Node>,
    /// When it was saved, in seconds since 1970.
    pub saved: Option<u64>,
    /// How many values were left out when it was read: nodes that are cut, that nobody can be reached at (without a port or an address) or
    /// that are of the other family or beyond the limit; and whole keys.
    pub dropped: usize,
}

/// Why bytes are no saved state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// They are not a bencoded dictionary, too many, or lack the version (malformed).
    Bencode(bencode::Error),
    /// They are of another version (unsupported).
    Version {
        /// The version.
        found: i64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bencode(error) => error.fmt(f),
            Error::Version { found } => write!(f, "saved state of version {found}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Error::Bencode(error) = self { Some(error) } else { None }
    }
}

impl From<bencode::Error> for Error {
    fn from(error: bencode::Error) -> Self {
        Error::Bencode(error)
    }
}

/// Says whether a node can be kept in a list of a family.
fn belongs(node: &Node, family: Family) -> bool {
    let ip = node.address.ip();
    Family::of(ip) == family && !ip.to_canonical().is_unspecified() && node.address.port() != 0
}

impl DhtState {
    /// Writes it as the bytes of a file. Nodes that would not be read again are left out.
    pub fn encode(&self) -> Vec<u8> {
        let list = |nodes: &[Node], family: Family| {
            let mut bytes = Vec::with_capacity(nodes.len() * family.node_len());
            nodes.iter().filter(|node| belongs(node, family)).for_each(|node| node.encode(&mut bytes));
            bytes
        };
        bencode::encode_dict(|dict| {
            dict.int("bip dht", VERSION);
            self.id.iter().for_each(|id| dict.bytes("id", id.0));
            self.id6.iter().for_each(|id| dict.bytes("id6", id.0));
            dict.bytes("nodes", list(&self.nodes, Family::V4));
            dict.bytes("nodes6", list(&self.nodes6, Family::V6));
            // A time after 2^63 seconds is none.
            self.saved.and_then(|at| i64::try_from(at).ok()).into_iter().for_each(|at| dict.int("saved", at));
        })
    }

    /// Reads the bytes of a file, as far as they make sense: see [`dropped`](Self::dropped).
    ///
    /// # Errors
    ///
    /// They are not a bencoded dictionary with the version 1, or longer than the limit.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        // A later version may have more keys, but not lists of what can be a string.
        let allowed =
            bencode::Limits { depth: 8, tokens: 1_000, string_length: limits.length, input_length: limits.length };
        let document = Document::decode(bytes, &allowed)?;
        let dict = document.root().dict()?;
        let found = dict.int("bip dht")?;
        if found != VERSION {
            return Err(Error::Version { found });
        }
        let mut dropped = 0;
        let mut keep = |kept: bool| dropped += usize::from(!kept);
        let mut id = |key| {
            let value = dict.get(key)?;
            let id = value.as_bytes().and_then(|bytes| bytes.try_into().ok()).map(NodeId);
            keep(id.is_some());
            id
        };
        let (id, id6) = (id("id"), id("id6"));
        let saved = dict.get("saved").and_then(|value| {
            let saved = value.as_int().and_then(|int| u64::try_from(int).ok());
            keep(saved.is_some());
            saved
        });
        let mut nodes = |key, family| {
            let Some(value) = dict.get(key) else { return Vec::new() };
            let Some(bytes) = value.as_bytes() else {
                dropped += 1;
                return Vec::new();
            };
            let (all, left) = Nodes::prefix(family, bytes);
            let good = all.iter().filter(|node| belongs(node, family)).take(limits.nodes);
            let nodes: Vec<Node> = good.collect();
            dropped += all.len() - nodes.len() + usize::from(left > 0);
            nodes
        };
        let (nodes, nodes6) = (nodes("nodes", Family::V4), nodes("nodes6", Family::V6));
        Ok(Self { id, id6, nodes, nodes6, saved, dropped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, SocketAddr};

    fn node(n: u8, address: &str) -> Node {
        Node { id: NodeId([n; 20]), address: address.parse().unwrap() }
    }

    fn sample() -> DhtState {
        DhtState {
            id: Some(NodeId(*b"abcdefghij0123456789")),
            id6: Some(NodeId(*b"mnopqrstuvwxyz123456")),
            nodes: vec![node(1, "192.0.2.1:6881"), node(2, "198.51.100.7:1")],
            nodes6: vec![node(3, "[2001:db8::1]:65535")],
            saved: Some(1_700_000_000),
            dropped: 0,
        }
    }

    fn decode(bytes: &[u8]) -> DhtState {
        DhtState::decode(bytes, &Limits::default()).unwrap()
    }

    #[test]
    fn the_file_is_what_the_table_says() {
        let state = DhtState {
            id6: None,
            nodes: vec![Node { id: NodeId([b'x'; 20]), address: "97.120.106.101:11893".parse().unwrap() }],
            nodes6: Vec::new(),
            ..sample()
        };
        let bytes = b"d7:bip dhti1e2:id20:abcdefghij01234567895:nodes26:xxxxxxxxxxxxxxxxxxxxaxje.u6:nodes60:\
            5:savedi1700000000ee";
        assert_eq!(state.encode().escape_ascii().to_string(), bytes.escape_ascii().to_string());
        assert_eq!(decode(bytes), state);
    }

    #[test]
    fn a_state_that_is_cut_anywhere_is_none() {
        let bytes = sample().encode();
        for length in 0..bytes.len() {
            assert!(DhtState::decode(&bytes[..length], &Limits::default()).is_err(), "{length}");
        }
    }

    #[test]
    fn another_version_is_refused_and_keys_of_a_later_one_are_passed_over() {
        let read = |bytes: &[u8]| DhtState::decode(bytes, &Limits::default());
        assert_eq!(read(b"d7:bip dhti2ee"), Err(Error::Version { found: 2 }));
        assert_eq!(read(b"d7:bip dhti1ee"), Ok(DhtState::default()));
        assert_eq!(read(b"d7:bip dhti1e3:id7i5e5:zebrald1:ai1eeee"), Ok(DhtState::default()));
        for none in [&b"de"[..], b"le", b"i1e", b"d7:bip dht1:1e", b"d2:id20:aaaaaaaaaaaaaaaaaaaae", b""] {
            assert!(matches!(read(none), Err(Error::Bencode(_))), "{}", none.escape_ascii());
        }
    }

    #[test]
    fn what_is_malformed_is_left_out_and_counted_and_the_rest_stands() {
        let cases: [(&[u8], usize, usize); 9] = [
            (b"2:id19:aaaaaaaaaaaaaaaaaaa", 0, 1),
            (b"2:idi5e3:id6le", 0, 2),
            (b"5:nodesle6:nodes6i5e", 0, 2),
            (b"5:nodes27:xxxxxxxxxxxxxxxxxxxxaxje.uy", 1, 1),
            (b"5:nodes52:xxxxxxxxxxxxxxxxxxxxaxje\0\0xxxxxxxxxxxxxxxxxxxxaxje.u", 1, 1),
            (b"5:nodes52:xxxxxxxxxxxxxxxxxxxx\0\0\0\0.uxxxxxxxxxxxxxxxxxxxxaxje.u", 1, 1),
            (b"6:nodes638:xxxxxxxxxxxxxxxxxxxx\0\0\0\0\0\0\0\0\0\0\xff\xffaxje.u", 0, 1),
            (b"6:nodes638:xxxxxxxxxxxxxxxxxxxx\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0.u", 0, 1),
            (b"5:saved1:5", 0, 1),
        ];
        for (entry, nodes, dropped) in cases {
            let bytes = [b"d7:bip dhti1e", entry, b"e"].concat();
            let state = decode(&bytes);
            assert_eq!((state.nodes.len(), state.dropped), (nodes, dropped), "{}", bytes.escape_ascii());
            assert_eq!((state.id, state.nodes6.len(), state.saved), (None, 0, None));
        }
        assert_eq!(decode(b"d7:bip dhti1e5:savedi-1ee").dropped, 1);
    }

    #[test]
    fn more_than_the_limits_is_left_out_or_refused() {
        let many = DhtState { nodes: vec![node(1, "192.0.2.1:6881"); 2_007], ..sample() };
        let bytes = many.encode();
        let state = decode(&bytes);
        assert_eq!((state.nodes.len(), state.nodes6.len(), state.dropped), (2_000, 1, 7));
        let limits = Limits { length: bytes.len() - 1, ..Limits::default() };
        assert!(matches!(DhtState::decode(&bytes, &limits), Err(Error::Bencode(_))));
        let nested = [&b"d7:bip dhti1e5:nodes"[..], &[b'l'; 50_000], &[b'e'; 50_001]].concat();
        assert!(DhtState::decode(&nested, &Limits::default()).is_err());
        let entries = [&b"d7:bip dhti1e5:nodesl"[..], &b"2:xx".repeat(2_000), b"ee"].concat();
        assert!(DhtState::decode(&entries, &Limits::default()).is_err());
    }

    #[test]
    fn nodes_that_would_not_be_read_are_not_written() {
        let odd = ["0.0.0.0:5", "192.0.2.1:0", "[2001:db8::1]:5", "[::ffff:192.0.2.9]:5"];
        let nodes = odd.map(|address| node(1, address)).to_vec();
        let state = decode(&DhtState { nodes: nodes.clone(), nodes6: nodes, ..sample() }.encode());
        assert_eq!((state.nodes, state.dropped), (vec![node(1, "192.0.2.9:5")], 0));
        assert_eq!(state.nodes6, [node(1, "[2001:db8::1]:5")]);
        assert_eq!(decode(&DhtState { saved: Some(u64::MAX), ..sample() }.encode()).saved, None);
    }

    fn nodes(family: Family) -> impl Strategy<Value = Vec<Node>> {
        let node = (any::<[u8; 20]>(), any::<[u8; 16]>(), 1..=u16::MAX).prop_map(move |(id, ip, port)| {
            let ip = match family {
                Family::V4 => IpAddr::from([ip[0] | 1, ip[1], ip[2], ip[3]]),
                Family::V6 => IpAddr::from([&[0x20][..], &ip[1..]].concat().try_into().map(|ip: [u8; 16]| ip).unwrap()),
            };
            Node { id: NodeId(id), address: SocketAddr::new(ip, port) }
        });
        proptest::collection::vec(node, 0..20)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again_and_is_canonical(
            ids in any::<[Option<[u8; 20]>; 2]>(),
            nodes in nodes(Family::V4),
            nodes6 in nodes(Family::V6),
            saved in proptest::option::of(0..=i64::MAX as u64),
        ) {
            let [id, id6] = ids.map(|id| id.map(NodeId));
            let state = DhtState { id, id6, nodes, nodes6, saved, dropped: 0 };
            let bytes = state.encode();
            prop_assert_eq!(decode(&bytes), state);
            let document = Document::decode(&bytes, &bencode::Limits::default()).unwrap();
            prop_assert!(document.is_canonical());
        }
    }
}
