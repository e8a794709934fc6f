use super::error::{Error, Reason};
use super::query::{Arguments, Query};
use super::reply::{Lists, Reply, Written};
use super::writer::{Count, Out, Writer};
use super::{MAX_TRANSACTION, MAX_VERSION, field, limits};
use crate::proto::bencode::{self, Item, Kind};
use crate::proto::compact;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One message: one datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// What the sender of a query knows the answer by: 1 to [`MAX_TRANSACTION`] bytes. Ours are [`TRANSACTION`](super::TRANSACTION)
    /// bytes long.
    pub transaction: &'a [u8],
    /// The sender's program and its version, usually 2 and 2 bytes: `v`. One of more than [`MAX_VERSION`] bytes is left out.
    pub version: Option<&'a [u8]>,
    /// Whether the sender answers no queries and wants to be in nobody's table: `ro` (BEP 43).
    pub read_only: bool,
    /// The receiver's address as the sender sees it (BEP 42). The port is 0 where it is not said.
    pub ip: Option<SocketAddr>,
    /// What kind of message it is, and the rest.
    pub body: Body<'a>,
}

/// The three kinds of messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// A node asks.
    Query(Query<'a>),
    /// A node answers.
    Reply(Reply<'a>),
    /// A node says why it does not answer.
    Error {
        /// One of [`code`](super::code), or another; 0 where it is not said.
        code: i64,
        /// Why, for people to read. It should be UTF-8; empty where it is not said.
        text: &'a [u8],
    },
}

/// What stands at the keys of a message, until it is known which kind it is.
#[derive(Default)]
struct Top<'a> {
    transaction: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    method: Option<&'a [u8]>,
    ip: Option<SocketAddr>,
    read_only: bool,
    arguments: Option<Arguments<'a>>,
    reply: Option<Reply<'a>>,
    error: Option<(i64, &'a [u8])>,
}

impl<'a> Message<'a> {
    /// Makes a query.
    pub fn query(transaction: &'a [u8], query: Query<'a>) -> Self {
        Self::new(transaction, Body::Query(query))
    }

    /// Makes a reply to a query with a transaction id.
    pub fn reply(transaction: &'a [u8], reply: Reply<'a>) -> Self {
        Self::new(transaction, Body::Reply(reply))
    }

    /// Makes an error in answer to a query with a transaction id.
    pub fn error(transaction: &'a [u8], code: i64, text: &'a str) -> Self {
        Self::new(transaction, Body::Error { code, text: text.as_bytes() })
    }

    fn new(transaction: &'a [u8], body: Body<'a>) -> Self {
        Self { transaction, version: None, read_only: false, ip: None, body }
    }

    /// Reads a datagram.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and [what to answer](Error::answer), if anything.
    pub fn decode(packet: &'a [u8]) -> Result<Self, Error<'a>> {
        let mut top = Top::default();
        let read = bencode::read(packet, &limits(), |value| value.each_entry(|key, value| top.take(key, value)));
        match read {
            Ok(()) => top.message(),
            Err(error) => Err(Error { transaction: None, reason: Reason::Bencode(error) }),
        }
    }

    /// Appends the message. Nothing is checked: lengths over the limits make a message that is not taken.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.write(out, Lists::NONE, 0);
    }

    /// Gives how many bytes [`Message::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        let mut count = Count(0);
        self.write(&mut count, Lists::NONE, 0);
        count.0
    }

    /// Appends the message, where it is a reply with lists in place of its own, of as many elements as do not make it longer than `limit`
    /// bytes. It is longer only if it is so without any.
    ///
    /// ```
    /// use bip::proto::id::NodeId;
    /// use bip::proto::krpc::{Body, Lists, MAX_REPLY, Message, Reply};
    /// use std::net::SocketAddr;
    ///
    /// let peers = (1..1000).map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
    /// let reply = Message::reply(b"abcd", Reply { token: Some(b"secret"), ..Reply::new(NodeId([7; 20])) });
    /// let mut packet = Vec::new();
    /// let lists = Lists { nodes: None, nodes6: None, samples: None, values: Some(peers) };
    /// let written = reply.encode_with(lists, MAX_REPLY, &mut packet);
    /// assert!(packet.len() <= MAX_REPLY && packet.len() + 8 > MAX_REPLY);
    ///
    /// let Body::Reply(reply) = Message::decode(&packet).unwrap().body else { panic!("another kind") };
    /// assert_eq!(reply.values.map(|peers| peers.len()), Some(written.values));
    /// ```
    pub fn encode_with<V>(&self, lists: Lists<'_, V>, limit: usize, out: &mut Vec<u8>) -> Written
    where
        V: Iterator<Item = SocketAddr>,
    {
        if lists.is_none() {
            // As most answers are: a look at how long it is would take as long as to write it.
            return self.write(out, lists, 0);
        }
        let mut message = *self;
        if let Body::Reply(reply) = &mut message.body {
            reply.nodes = reply.nodes.filter(|_| lists.nodes.is_none());
            reply.nodes6 = reply.nodes6.filter(|_| lists.nodes6.is_none());
            reply.samples = reply.samples.filter(|_| lists.samples.is_none());
            reply.values = reply.values.filter(|_| lists.values.is_none());
        }
        let room = limit.saturating_sub(message.encoded_len());
        message.write(out, lists, room)
    }

    fn write<O: Out, V: Iterator<Item = SocketAddr>>(&self, out: &mut O, lists: Lists<'_, V>, room: usize) -> Written {
        let mut out = Writer(out);
        let mut written = Written::default();
        out.raw(b"d");
        match &self.body {
            Body::Query(query) => {
                out.raw(b"1:a");
                query.write_arguments(&mut out);
            }
            Body::Error { code, text } => {
                out.int(b"1:el", *code);
                out.bytes(b"", text);
                out.raw(b"e");
            }
            Body::Reply(_) => {}
        }
        if let Some(ip) = self.ip {
            out.raw(b"2:ip");
            out.peer(ip);
        }
        match &self.body {
            Body::Query(query) => out.bytes(b"1:q", query.method.name()),
            Body::Reply(reply) => {
                out.raw(b"1:r");
                written = reply.write(&mut out, lists, room);
            }
            Body::Error { .. } => {}
        }
        out.flag(b"2:ro", self.read_only);
        out.bytes(b"1:t", self.transaction);
        if let Some(version) = self.version {
            out.bytes(b"1:v", version);
        }
        out.raw(match self.body {
            Body::Query(_) => b"1:y1:qe",
            Body::Reply(_) => b"1:y1:re",
            Body::Error { .. } => b"1:y1:ee",
        });
        written
    }
}

impl<'a> Top<'a> {
    #[inline(always)]
    fn take(&mut self, key: &[u8], value: Item<'_, 'a>) -> Result<(), bencode::Error> {
        match key {
            b"a" => Arguments::read(value, &mut self.arguments)?,
            b"e" => keep(&mut self.error, read_error(value)?),
            b"ip" => keep(&mut self.ip, field::bytes(value)?.and_then(address)),
            b"q" => keep(&mut self.method, field::bytes(value)?),
            b"r" => Reply::read(value, &mut self.reply)?,
            b"ro" => self.read_only = field::int(value)?.is_some_and(|int| int != 0),
            b"t" => keep(&mut self.transaction, field::bytes(value)?),
            b"v" => keep(&mut self.version, field::bytes(value)?.filter(|version| version.len() <= MAX_VERSION)),
            b"y" => keep(&mut self.kind, field::bytes(value)?),
            _ => {}
        }
        Ok(())
    }

    /// Makes the message, in place: it is large, because a reply is.
    #[inline(always)]
    fn message(&self) -> Result<Message<'a>, Error<'a>> {
        let length = self.transaction.map(<[u8]>::len);
        let Some(transaction) = self.transaction.filter(|id| (1..=MAX_TRANSACTION).contains(&id.len())) else {
            return Err(Error { transaction: None, reason: Reason::Transaction { length } });
        };
        let (version, read_only, ip) = (self.version, self.read_only, self.ip);
        let reason = match (self.kind, self.method, &self.arguments, &self.reply) {
            (Some(b"q"), Some(method), Some(arguments), _) => match arguments.query(method) {
                Ok(query) => return Ok(Message { transaction, version, read_only, ip, body: Body::Query(query) }),
                Err(reason) => reason,
            },
            (Some(b"q"), None, ..) => Reason::NoMethod,
            (Some(b"q"), _, None, _) => Reason::NoArguments,
            (Some(b"r"), .., Some(reply)) => {
                return Ok(Message { transaction, version, read_only, ip, body: Body::Reply(*reply) });
            }
            (Some(b"r"), ..) => Reason::NoValues,
            (Some(b"e"), ..) => {
                let (code, text) = self.error.unwrap_or_default();
                return Ok(Message { transaction, version, read_only, ip, body: Body::Error { code, text } });
            }
            _ => Reason::UnknownKind,
        };
        Err(Error { transaction: Some(transaction), reason })
    }
}

/// Keeps what stands at a key for the first time.
#[inline(always)]
fn keep<T>(slot: &mut Option<T>, found: Option<T>) {
    if slot.is_none() {
        *slot = found;
    }
}

/// A code and a text; what is not there is 0 or empty.
#[inline(never)]
fn read_error<'a>(value: Item<'_, 'a>) -> Result<Option<(i64, &'a [u8])>, bencode::Error> {
    if value.kind()? != Kind::List {
        return Ok(None);
    }
    let (mut code, mut text) = (None, None);
    value.each_item(|value| {
        match value.kind()? {
            Kind::Integer => keep(&mut code, Some(value.int()?)),
            Kind::Bytes => keep(&mut text, Some(value.bytes()?)),
            Kind::List | Kind::Dict => {}
        }
        Ok::<(), bencode::Error>(())
    })?;
    Ok(Some((code.unwrap_or_default(), text.unwrap_or_default())))
}

/// An address, with a port or (as some send it) without.
#[inline(never)]
fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let ip: IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
        16 => <[u8; 16]>::try_from(bytes).ok()?.into(),
        _ => return compact::decode(bytes),
    };
    Some(SocketAddr::new(ip.to_canonical(), 0))
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, ", self.transaction.escape_ascii())?;
        if let Some(version) = self.version {
            write!(f, "version {}, ", version.escape_ascii())?;
        }
        if self.read_only {
            f.write_str("read-only, ")?;
        }
        if let Some(ip) = self.ip {
            write!(f, "ip {ip}, ")?;
        }
        write!(f, "{:?})", self.body)
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(query) => query.fmt(f),
            Self::Reply(reply) => reply.fmt(f),
            Self::Error { code, text } => write!(f, "Error({code}, {})", text.escape_ascii()),
        }
    }
}
