use super::error::{Argument, Reason};
use super::item::{immutable_target, is_canonical, mutable_target};
use super::writer::{Out, Writer};
use super::{MAX_SALT, MAX_TOKEN, MAX_VALUE, field};
use crate::proto::bencode::{Error, Item, Kind};
use crate::proto::id::{InfoHash, NodeId};
use std::fmt;

/// What a node asks another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The sender's id.
    pub id: NodeId,
    /// Which nodes the sender wants to be told of; nothing if it does not say (BEP 32).
    pub want: Want,
    /// What is asked.
    pub method: Method<'a>,
}

/// Which nodes are wanted in a reply: `want` (BEP 32). Where nothing is wanted, those of the family that the query came by are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Want {
    /// Nodes with an IPv4 address: `n4`.
    pub v4: bool,
    /// Nodes with an IPv6 address: `n6`.
    pub v6: bool,
}

/// A method and its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method<'a> {
    /// `ping`: are you there?
    Ping,
    /// `find_node`: which nodes are near an id?
    FindNode {
        /// The id.
        target: NodeId,
    },
    /// `get_peers`: who has a torrent?
    GetPeers {
        /// The torrent.
        info_hash: InfoHash,
        /// Whether peers are wanted that are no seeds: `noseed` (BEP 33).
        no_seed: bool,
        /// Whether filters are wanted of which peers can be counted: `scrape` (BEP 33).
        scrape: bool,
    },
    /// `announce_peer`: I have a torrent.
    AnnouncePeer(AnnouncePeer<'a>),
    /// `get`: what is stored there? (BEP 44)
    Get {
        /// Where.
        target: NodeId,
        /// The value is wanted only if its sequence number is greater than this: `seq`.
        seq: Option<i64>,
    },
    /// `put`: store this (BEP 44).
    Put(Put<'a>),
    /// `sample_infohashes`: which torrents do you know peers of? (BEP 51)
    SampleInfohashes {
        /// Which nodes to tell of besides.
        target: NodeId,
    },
    /// A method that is not known here: to be answered as `find_node` if there is a target, else with
    /// [`code::METHOD_UNKNOWN`](super::code::METHOD_UNKNOWN).
    Unknown {
        /// Its name.
        method: &'a [u8],
        /// Its `target` or else its `info_hash`.
        target: Option<NodeId>,
    },
}

/// The arguments of `announce_peer`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AnnouncePeer<'a> {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The port that the sender takes connections at. It may be 0, or missing (and so 0) if it is implied.
    pub port: u16,
    /// Whether the port counts instead that the query came from: `implied_port`.
    pub implied_port: bool,
    /// Whether the sender is a seed: `seed` (BEP 33).
    pub seed: bool,
    /// What the receiver gave the sender in a reply to `get_peers`.
    pub token: &'a [u8],
}

/// The arguments of `put` (BEP 44).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Put<'a> {
    /// What the receiver gave the sender in a reply to `get`.
    pub token: &'a [u8],
    /// The value in bencode, canonical and of at most [`MAX_VALUE`] bytes.
    pub value: &'a [u8],
    /// What makes it an item that can be changed.
    pub mutable: Option<Mutable<'a>>,
}

impl Put<'_> {
    /// Gives where the item is stored.
    pub fn target(&self) -> NodeId {
        match &self.mutable {
            Some(mutable) => mutable_target(mutable.key, mutable.salt),
            None => immutable_target(self.value),
        }
    }
}

/// What a `put` has of an item that can be changed (BEP 44).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mutable<'a> {
    /// The Ed25519 public key of its owner: `k`.
    pub key: &'a [u8; 32],
    /// The signature of [`encode_signed`](super::item::encode_signed). It is not verified here.
    pub signature: &'a [u8; 64],
    /// The sequence number. A negative one is for the caller to refuse.
    pub seq: i64,
    /// What tells the items of one key apart; at most [`MAX_SALT`] bytes.
    pub salt: &'a [u8],
    /// The sequence number of the item that is to be replaced, and no other.
    pub cas: Option<i64>,
}

impl Method<'_> {
    /// Gives the name of the method.
    pub fn name(&self) -> &[u8] {
        match self {
            Self::Ping => b"ping",
            Self::FindNode { .. } => b"find_node",
            Self::GetPeers { .. } => b"get_peers",
            Self::AnnouncePeer(_) => b"announce_peer",
            Self::Get { .. } => b"get",
            Self::Put(_) => b"put",
            Self::SampleInfohashes { .. } => b"sample_infohashes",
            Self::Unknown { method, .. } => method,
        }
    }

    /// Gives the id that the query is about: the target, or the info hash.
    pub fn target(&self) -> Option<NodeId> {
        match *self {
            Self::Ping | Self::Put(_) => None,
            Self::FindNode { target } | Self::Get { target, .. } | Self::SampleInfohashes { target } => Some(target),
            Self::GetPeers { info_hash, .. } => Some(info_hash.into()),
            Self::AnnouncePeer(announce) => Some(announce.info_hash.into()),
            Self::Unknown { target, .. } => target,
        }
    }
}

/// What stands at the keys of a query's arguments, whatever its method, which comes after them.
#[derive(Default)]
pub(super) struct Arguments<'a> {
    id: Option<&'a [u8; 20]>,
    target: Option<&'a [u8; 20]>,
    info_hash: Option<&'a [u8; 20]>,
    key: Option<&'a [u8; 32]>,
    signature: Option<&'a [u8; 64]>,
    token: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    salt: Option<&'a [u8]>,
    seq: Option<i64>,
    cas: Option<i64>,
    port: Option<u16>,
    want: Want,
    implied_port: bool,
    seed: bool,
    no_seed: bool,
    scrape: bool,
    /// The arguments that are there and cannot be used, by the bits of their numbers.
    malformed: u16,
}

impl<'a> Arguments<'a> {
    #[inline(always)]
    pub(super) fn read(value: Item<'_, 'a>, arguments: &mut Option<Self>) -> Result<(), Error> {
        if value.kind()? == Kind::Dict && arguments.is_none() {
            let arguments = arguments.insert(Self::default());
            value.each_entry(|key, value| arguments.take(key, value))?;
        }
        Ok(())
    }

    #[inline(always)]
    fn take(&mut self, key: &[u8], value: Item<'_, 'a>) -> Result<(), Error> {
        let malformed = &mut self.malformed;
        match key {
            b"id" => keep(&mut self.id, field::array(value)?, Argument::Id, malformed),
            b"info_hash" => keep(&mut self.info_hash, field::array(value)?, Argument::InfoHash, malformed),
            b"target" => keep(&mut self.target, field::array(value)?, Argument::Target, malformed),
            b"token" => keep(&mut self.token, field::bytes(value)?, Argument::Token, malformed),
            b"port" => {
                let port = field::int(value)?.and_then(|port| u16::try_from(port).ok());
                keep(&mut self.port, port, Argument::Port, malformed);
            }
            b"implied_port" => self.implied_port = field::int(value)?.is_some_and(|int| int != 0),
            b"want" => self.want = Want::read(value)?,
            b"seed" => self.seed = field::int(value)? == Some(1),
            b"noseed" => self.no_seed = field::int(value)? == Some(1),
            b"scrape" => self.scrape = field::int(value)? == Some(1),
            _ => self.take_of_item(key, value)?,
        }
        Ok(())
    }

    /// Takes what only `get` and `put` have: out of the way of what every query has.
    #[inline(never)]
    fn take_of_item(&mut self, key: &[u8], value: Item<'_, 'a>) -> Result<(), Error> {
        let malformed = &mut self.malformed;
        match key {
            b"v" => keep(&mut self.value, Some(value.span()?), Argument::Value, malformed),
            b"k" => keep(&mut self.key, field::array(value)?, Argument::PublicKey, malformed),
            b"sig" => keep(&mut self.signature, field::array(value)?, Argument::Signature, malformed),
            b"seq" => keep(&mut self.seq, field::int(value)?, Argument::Sequence, malformed),
            b"salt" => keep(&mut self.salt, field::bytes(value)?, Argument::Salt, malformed),
            b"cas" => keep(&mut self.cas, field::int(value)?, Argument::Cas, malformed),
            _ => {}
        }
        Ok(())
    }

    /// Gives an argument that must be there.
    #[inline(always)]
    fn need<T>(&self, value: Option<T>, argument: Argument) -> Result<T, Reason> {
        match value {
            Some(value) => Ok(value),
            None => self.may_be(value, argument)?.ok_or(Reason::Missing(argument)),
        }
    }

    /// Gives an argument that need not be there, but if so must be one.
    #[inline(always)]
    fn may_be<T>(&self, value: Option<T>, argument: Argument) -> Result<Option<T>, Reason> {
        match value {
            None if self.malformed >> argument as u16 & 1 == 1 => Err(Reason::Malformed(argument)),
            _ => Ok(value),
        }
    }

    /// Gives the query by the name of its method.
    #[inline(always)]
    pub(super) fn query(&self, method: &'a [u8]) -> Result<Query<'a>, Reason> {
        let id = NodeId(*self.need(self.id, Argument::Id)?);
        let target = || self.need(self.target, Argument::Target).map(|target| NodeId(*target));
        let method = match method {
            b"ping" => Method::Ping,
            b"find_node" => Method::FindNode { target: target()? },
            b"get_peers" => {
                Method::GetPeers { info_hash: self.info_hash()?, no_seed: self.no_seed, scrape: self.scrape }
            }
            b"announce_peer" => Method::AnnouncePeer(self.announce_peer()?),
            b"get" => Method::Get { target: target()?, seq: self.may_be(self.seq, Argument::Sequence)? },
            b"put" => Method::Put(self.put()?),
            b"sample_infohashes" => Method::SampleInfohashes { target: target()? },
            _ => Method::Unknown { method, target: self.target.or(self.info_hash).map(|target| NodeId(*target)) },
        };
        Ok(Query { id, want: self.want, method })
    }

    #[inline(always)]
    fn info_hash(&self) -> Result<InfoHash, Reason> {
        self.need(self.info_hash, Argument::InfoHash).map(|hash| InfoHash(*hash))
    }

    fn token(&self) -> Result<&'a [u8], Reason> {
        short(self.need(self.token, Argument::Token)?, MAX_TOKEN, Argument::Token)
    }

    fn announce_peer(&self) -> Result<AnnouncePeer<'a>, Reason> {
        let port = match self.implied_port {
            true => self.port.unwrap_or(0),
            false => self.need(self.port, Argument::Port)?,
        };
        Ok(AnnouncePeer {
            info_hash: self.info_hash()?,
            port,
            implied_port: self.implied_port,
            seed: self.seed,
            token: self.token()?,
        })
    }

    #[inline(never)]
    fn put(&self) -> Result<Put<'a>, Reason> {
        let token = self.token()?;
        let value = short(self.need(self.value, Argument::Value)?, MAX_VALUE, Argument::Value)?;
        if !is_canonical(value) {
            return Err(Reason::Malformed(Argument::Value));
        }
        let Some(key) = self.may_be(self.key, Argument::PublicKey)? else {
            return Ok(Put { token, value, mutable: None });
        };
        let salt = self.may_be(self.salt, Argument::Salt)?.unwrap_or_default();
        let mutable = Mutable {
            key,
            signature: self.need(self.signature, Argument::Signature)?,
            seq: self.need(self.seq, Argument::Sequence)?,
            salt: short(salt, MAX_SALT, Argument::Salt)?,
            cas: self.may_be(self.cas, Argument::Cas)?,
        };
        Ok(Put { token, value, mutable: Some(mutable) })
    }
}

/// Keeps what stands at a key for the first time.
#[inline(always)]
fn keep<T>(slot: &mut Option<T>, found: Option<T>, argument: Argument, malformed: &mut u16) {
    match found {
        None => *malformed |= 1 << argument as u16,
        Some(_) if slot.is_some() => {}
        Some(_) => *slot = found,
    }
}

fn short(bytes: &[u8], limit: usize, argument: Argument) -> Result<&[u8], Reason> {
    if bytes.len() <= limit { Ok(bytes) } else { Err(Reason::TooLong(argument)) }
}

impl Want {
    #[inline(never)]
    fn read(value: Item<'_, '_>) -> Result<Self, Error> {
        let mut want = Self::default();
        if value.kind()? == Kind::List {
            value.each_item(|value| {
                match field::bytes(value)? {
                    Some(b"n4") => want.v4 = true,
                    Some(b"n6") => want.v6 = true,
                    _ => {}
                }
                Ok::<(), Error>(())
            })?;
        }
        Ok(want)
    }

    fn write<O: Out>(self, out: &mut Writer<'_, O>) {
        out.raw(match (self.v4, self.v6) {
            (false, false) => b"",
            (true, false) => b"4:wantl2:n4e",
            (false, true) => b"4:wantl2:n6e",
            (true, true) => b"4:wantl2:n42:n6e",
        });
    }
}

impl Query<'_> {
    pub(super) fn write_arguments<O: Out>(&self, out: &mut Writer<'_, O>) {
        out.raw(b"d");
        if let Method::Put(Put { mutable: Some(Mutable { cas: Some(cas), .. }), .. }) = self.method {
            out.int(b"3:cas", cas);
        }
        out.bytes(b"2:id", &self.id.0);
        match &self.method {
            Method::Ping => {}
            Method::FindNode { target } | Method::SampleInfohashes { target } => out.bytes(b"6:target", &target.0),
            Method::GetPeers { info_hash, no_seed, scrape } => {
                out.bytes(b"9:info_hash", &info_hash.0);
                out.flag(b"6:noseed", *no_seed);
                out.flag(b"6:scrape", *scrape);
            }
            Method::AnnouncePeer(announce) => {
                out.flag(b"12:implied_port", announce.implied_port);
                out.bytes(b"9:info_hash", &announce.info_hash.0);
                out.int(b"4:port", announce.port.into());
                out.flag(b"4:seed", announce.seed);
                out.bytes(b"5:token", announce.token);
            }
            Method::Get { target, seq } => {
                if let Some(seq) = seq {
                    out.int(b"3:seq", *seq);
                }
                out.bytes(b"6:target", &target.0);
            }
            Method::Put(put) => {
                if let Some(mutable) = &put.mutable {
                    out.bytes(b"1:k", mutable.key);
                    if !mutable.salt.is_empty() {
                        out.bytes(b"4:salt", mutable.salt);
                    }
                    out.int(b"3:seq", mutable.seq);
                    out.bytes(b"3:sig", mutable.signature);
                }
                // BEP 44 has no target here, but nodes of the `mainline` crate answer nobody who leaves it out.
                out.bytes(b"6:target", &put.target().0);
                out.bytes(b"5:token", put.token);
                out.raw(b"1:v");
                out.raw(put.value);
            }
            Method::Unknown { target, .. } => {
                if let Some(target) = target {
                    out.bytes(b"6:target", &target.0);
                }
            }
        }
        self.want.write(out);
        out.raw(b"e");
    }
}

impl fmt::Debug for AnnouncePeer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port: &dyn fmt::Debug = if self.implied_port { &"implied" } else { &self.port };
        f.debug_struct("AnnouncePeer")
            .field("info_hash", &self.info_hash)
            .field("port", port)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Put<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Put({}, {:?})", self.value.escape_ascii(), self.mutable)
    }
}

impl fmt::Debug for Mutable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutable(")?;
        self.key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, ", salt \"{}\", seq {}, cas {:?})", self.salt.escape_ascii(), self.seq, self.cas)
    }
}
