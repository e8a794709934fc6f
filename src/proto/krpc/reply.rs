use super::item::is_value;
use super::writer::{Out, Writer};
use super::{MAX_INTERVAL, MAX_TOKEN, field, limits};
use crate::proto::bencode::{self, Error, Item, Kind};
use crate::proto::compact::{self, Family, Node, Nodes};
use crate::proto::id::{InfoHash, NodeId};
use std::fmt;
use std::net::SocketAddr;

/// What a node answers. Which method it answers is not said in it: only who asked knows.
///
/// A value that is none (of the wrong kind or length, or beyond a limit) is left out and [counted](Self::dropped).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Reply<'a> {
    /// The sender's id. Every reply should have it.
    pub id: Option<NodeId>,
    /// Nodes with an IPv4 address, as far as they are whole.
    pub nodes: Option<Nodes<'a>>,
    /// Nodes with an IPv6 address (BEP 32), as far as they are whole.
    pub nodes6: Option<Nodes<'a>>,
    /// Peers of a torrent.
    pub values: Option<Values<'a>>,
    /// What to show with an `announce_peer` or `put`; at most [`MAX_TOKEN`] bytes.
    pub token: Option<&'a [u8]>,
    /// The filter of a torrent's seeds: `BFsd` (BEP 33); see [`Bloom`](super::Bloom).
    pub seeds: Option<&'a [u8; 256]>,
    /// The filter of a torrent's other peers: `BFpe` (BEP 33).
    pub peers: Option<&'a [u8; 256]>,
    /// Torrents that the sender knows peers of (BEP 51).
    pub samples: Option<Samples<'a>>,
    /// After how many seconds the samples will be others, at most [`MAX_INTERVAL`]; what is out of range is brought into it.
    pub interval: Option<u32>,
    /// How many torrents the sender knows peers of: `num` (BEP 51).
    pub total: Option<u64>,
    /// A stored value in bencode, canonical and of at most [`MAX_VALUE`](super::MAX_VALUE) bytes: `v` (BEP 44). Nobody has verified it.
    pub value: Option<&'a [u8]>,
    /// The public key of its owner: `k`.
    pub key: Option<&'a [u8; 32]>,
    /// Its signature: `sig`.
    pub signature: Option<&'a [u8; 64]>,
    /// Its sequence number: `seq`.
    pub seq: Option<i64>,
    /// How many values were left out when the reply was read: entries of `values`, what is left of `nodes`, and whole keys.
    pub dropped: usize,
}

impl<'a> Reply<'a> {
    /// Makes a reply that says nothing but the sender's id.
    pub fn new(id: NodeId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    #[inline(never)]
    pub(super) fn read(value: Item<'_, 'a>, reply: &mut Option<Self>) -> Result<(), Error> {
        if value.kind()? == Kind::Dict && reply.is_none() {
            let reply = reply.insert(Self::default());
            value.each_entry(|key, value| reply.take(key, value))?;
        }
        Ok(())
    }

    #[inline(always)]
    fn take(&mut self, key: &[u8], value: Item<'_, 'a>) -> Result<(), Error> {
        let dropped = &mut self.dropped;
        match key {
            b"id" => keep(&mut self.id, field::array(value)?.map(|id| NodeId(*id)), dropped),
            b"nodes" => keep(&mut self.nodes, nodes(Family::V4, value, dropped)?, dropped),
            b"nodes6" => keep(&mut self.nodes6, nodes(Family::V6, value, dropped)?, dropped),
            b"values" => keep(&mut self.values, Values::read(value, dropped)?, dropped),
            b"token" => keep(&mut self.token, field::bytes(value)?.filter(|token| token.len() <= MAX_TOKEN), dropped),
            b"BFsd" => keep(&mut self.seeds, field::array(value)?, dropped),
            b"BFpe" => keep(&mut self.peers, field::array(value)?, dropped),
            b"samples" => {
                let samples = field::bytes(value)?.map(Samples::prefix);
                *dropped += samples.map_or(0, |(_, left)| usize::from(left > 0));
                keep(&mut self.samples, samples.map(|(samples, _)| samples), dropped);
            }
            b"interval" => {
                let clamp = |int: i64| int.clamp(0, MAX_INTERVAL.into()) as u32;
                keep(&mut self.interval, field::int(value)?.map(clamp), dropped);
            }
            b"num" => keep(&mut self.total, field::int(value)?.and_then(|int| int.try_into().ok()), dropped),
            b"v" => keep(&mut self.value, Some(value.span()?).filter(|value| is_value(value)), dropped),
            b"k" => keep(&mut self.key, field::array(value)?, dropped),
            b"sig" => keep(&mut self.signature, field::array(value)?, dropped),
            b"seq" => keep(&mut self.seq, field::int(value)?, dropped),
            _ => {}
        }
        Ok(())
    }

    /// Writes the dictionary, with lists in place of its own as far as they fit into `room` bytes.
    pub(super) fn write<O: Out, V: Iterator<Item = SocketAddr>>(
        &self,
        out: &mut Writer<'_, O>,
        lists: Lists<'_, V>,
        mut room: usize,
    ) -> Written {
        let mut written = Written::default();
        out.raw(b"d");
        if let Some(filter) = self.peers {
            out.bytes(b"4:BFpe", filter);
        }
        if let Some(filter) = self.seeds {
            out.bytes(b"4:BFsd", filter);
        }
        if let Some(id) = self.id {
            out.bytes(b"2:id", &id.0);
        }
        if let Some(interval) = self.interval {
            out.int(b"8:interval", interval.into());
        }
        if let Some(key) = self.key {
            out.bytes(b"1:k", key);
        }
        match lists.nodes {
            Some(nodes) => written.nodes = write_nodes(out, b"5:nodes", Family::V4, nodes, &mut room),
            None => write_run(out, b"5:nodes", self.nodes.map(Nodes::as_bytes)),
        }
        match lists.nodes6 {
            Some(nodes) => written.nodes6 = write_nodes(out, b"6:nodes6", Family::V6, nodes, &mut room),
            None => write_run(out, b"6:nodes6", self.nodes6.map(Nodes::as_bytes)),
        }
        if let Some(total) = self.total {
            out.int(b"3:num", total.try_into().unwrap_or(i64::MAX));
        }
        match lists.samples {
            Some(samples) => {
                let key = b"7:samples";
                let count = fit(samples.len(), key, InfoHash::LEN, &mut room);
                if let Some(samples) = count.and_then(|count| samples.get(..count)) {
                    out.raw(key);
                    out.length(samples.len() * InfoHash::LEN);
                    samples.iter().for_each(|hash| out.raw(&hash.0));
                    written.samples = samples.len();
                }
            }
            None => write_run(out, b"7:samples", self.samples.map(|samples| samples.0)),
        }
        if let Some(seq) = self.seq {
            out.int(b"3:seq", seq);
        }
        if let Some(signature) = self.signature {
            out.bytes(b"3:sig", signature);
        }
        if let Some(token) = self.token {
            out.bytes(b"5:token", token);
        }
        if let Some(value) = self.value {
            out.raw(b"1:v");
            out.raw(value);
        }
        match (lists.values, self.values) {
            (Some(values), _) => written.values = write_values(out, values, room),
            (None, Some(values)) => {
                out.raw(b"6:valuesl");
                values.iter().for_each(|peer| out.peer(peer));
                out.raw(b"e");
            }
            (None, None) => {}
        }
        out.raw(b"e");
        written
    }
}

/// Lists to be written into a reply instead of its own, as many of each as there is room for, in this order: nodes, samples, peers.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a, V> {
    /// Nodes with an IPv4 address. Others are left out.
    pub nodes: Option<&'a [Node]>,
    /// Nodes with an IPv6 address. Others are left out.
    pub nodes6: Option<&'a [Node]>,
    /// Torrents that we know peers of.
    pub samples: Option<&'a [InfoHash]>,
    /// Peers of the torrent. Where there is none, or no room, the reply has no `values` at all.
    pub values: Option<V>,
}

impl Lists<'_, std::iter::Empty<SocketAddr>> {
    /// No lists.
    pub const NONE: Self = Self { nodes: None, nodes6: None, samples: None, values: None };
}

impl<V> Lists<'_, V> {
    pub(super) fn is_none(&self) -> bool {
        self.nodes.is_none() && self.nodes6.is_none() && self.samples.is_none() && self.values.is_none()
    }
}

/// How many elements of each list there was room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Nodes with an IPv4 address.
    pub nodes: usize,
    /// Nodes with an IPv6 address.
    pub nodes6: usize,
    /// Torrents.
    pub samples: usize,
    /// Peers.
    pub values: usize,
}

/// Says how many elements of a length fit into the room as one string at a key, and takes that from the room; `None` if not even
/// an empty string fits.
fn fit(count: usize, key: &[u8], each: usize, room: &mut usize) -> Option<usize> {
    // A packet is at most so long that its length has five digits.
    let left = room.checked_sub(key.len() + b"65507:".len())?;
    let count = count.min(left / each);
    *room = left - count * each;
    Some(count)
}

fn write_nodes<O: Out>(out: &mut Writer<'_, O>, key: &[u8], family: Family, nodes: &[Node], room: &mut usize) -> usize {
    let nodes = nodes.iter().filter(|node| Family::of(node.address.ip()) == family);
    let Some(count) = fit(nodes.clone().count(), key, family.node_len(), room) else { return 0 };
    out.raw(key);
    out.length(count * family.node_len());
    for node in nodes.take(count) {
        out.raw(&node.id.0);
        out.address(node.address);
    }
    count
}

fn write_run<O: Out>(out: &mut Writer<'_, O>, key: &[u8], bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        out.bytes(key, bytes);
    }
}

fn write_values<O: Out>(out: &mut Writer<'_, O>, values: impl Iterator<Item = SocketAddr>, room: usize) -> usize {
    let Some(mut room) = room.checked_sub(b"6:valuesle".len()) else { return 0 };
    let mut count = 0;
    for peer in values {
        let length = if peer.ip().to_canonical().is_ipv4() { b"6:".len() + 6 } else { b"18:".len() + 18 };
        match room.checked_sub(length) {
            Some(left) => room = left,
            None => break,
        }
        if count == 0 {
            out.raw(b"6:valuesl");
        }
        out.peer(peer);
        count += 1;
    }
    if count > 0 {
        out.raw(b"e");
    }
    count
}

/// Keeps what stands at a key for the first time.
#[inline(always)]
fn keep<T>(slot: &mut Option<T>, found: Option<T>, dropped: &mut usize) {
    if found.is_none() || slot.is_some() {
        *dropped += 1;
    } else {
        *slot = found;
    }
}

#[inline(always)]
fn nodes<'a>(family: Family, value: Item<'_, 'a>, dropped: &mut usize) -> Result<Option<Nodes<'a>>, Error> {
    Ok(field::bytes(value)?.map(|bytes| {
        let (nodes, left) = Nodes::prefix(family, bytes);
        *dropped += usize::from(left > 0);
        nodes
    }))
}

/// The peers in a reply to `get_peers`, of both families in any order (BEP 32). Their ports may be 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Values<'a> {
    /// What stands in the list: bencode that has been read before.
    elements: &'a [u8],
    count: usize,
}

impl<'a> Values<'a> {
    fn read(value: Item<'_, 'a>, dropped: &mut usize) -> Result<Option<Self>, Error> {
        if value.kind()? != Kind::List {
            return Ok(None);
        }
        let (mut all, mut count) = (0, 0);
        let span = value.each_item_within(|element| {
            all += 1;
            let is_peer = |bytes: &[u8]| [Family::V4, Family::V6].iter().any(|family| family.peer_len() == bytes.len());
            count += usize::from(field::bytes(element)?.is_some_and(is_peer));
            Ok::<(), Error>(())
        })?;
        *dropped += all - count;
        Ok(Some(Self { elements: span.get(1..span.len() - 1).unwrap_or_default(), count }))
    }

    /// Gives how many peers there are.
    pub fn len(self) -> usize {
        self.count
    }

    /// Says whether there is none.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Goes over the peers.
    pub fn iter(self) -> impl Iterator<Item = SocketAddr> + Clone + use<'a> {
        let mut rest = self.elements;
        std::iter::from_fn(move || {
            loop {
                let (element, next) = first(rest)?;
                rest = next;
                if let Some(peer) = element.and_then(compact::decode) {
                    return Some(peer);
                }
            }
        })
    }
}

/// Takes an element off those of a list, which have been read before: its bytes, if it is a string.
#[inline]
fn first(elements: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = match elements {
        [] => return None,
        [b'6', b':', rest @ ..] => (6, rest),
        [b'1', b'8', b':', rest @ ..] => (18, rest),
        _ => return bencode::read_prefix(elements, &limits(), field::bytes).ok(),
    };
    rest.split_at_checked(length).map(|(bytes, rest)| (Some(bytes), rest))
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The torrents in a reply to `sample_infohashes` (BEP 51).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Samples<'a>(&'a [u8]);

impl<'a> Samples<'a> {
    /// Takes the info hashes that bytes begin with, as far as they are whole, and says how many bytes are left over.
    pub fn prefix(bytes: &'a [u8]) -> (Self, usize) {
        let left = bytes.len() % InfoHash::LEN;
        (Self(bytes.get(..bytes.len() - left).unwrap_or_default()), left)
    }

    /// Gives how many there are.
    pub fn len(self) -> usize {
        self.0.len() / InfoHash::LEN
    }

    /// Says whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Goes over the info hashes.
    pub fn iter(self) -> impl ExactSizeIterator<Item = InfoHash> + Clone + use<'a> {
        let hash = |bytes: &[u8]| InfoHash(bytes.try_into().unwrap_or([0; InfoHash::LEN]));
        self.0.chunks_exact(InfoHash::LEN).map(hash)
    }
}

impl fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Reply");
        macro_rules! show {
            ($($name:ident = $shown:expr,)*) => { $(if let Some(value) = $shown { out.field(stringify!($name), &value); })* };
        }
        let text = |bytes: &'_ [u8]| bytes.escape_ascii().to_string();
        show! {
            id = self.id,
            nodes = self.nodes,
            nodes6 = self.nodes6,
            values = self.values,
            token = self.token.map(text),
            seeds = self.seeds.map(super::Bloom::from),
            peers = self.peers.map(super::Bloom::from),
            samples = self.samples,
            interval = self.interval,
            total = self.total,
            value = self.value.map(text),
            key = self.key.map(|key| text(key)),
            seq = self.seq,
            dropped = Some(self.dropped).filter(|dropped| *dropped > 0),
        }
        out.finish_non_exhaustive()
    }
}
