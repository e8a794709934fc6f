//! Each crate reads the same.

use bendy::decoding::{Decoder, Object};
use bip::proto::bencode::{Document, Error, Limits, read};
use bip::proto::krpc;
use lava_torrent::bencode::BencodeElem;
use serde::Deserialize as Derive;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// What a client reads of a torrent. Strings are summed up in a way that touches them no more than it must.
#[derive(Debug, Default, PartialEq)]
pub struct Torrent {
    announce: Text,
    name: Text,
    piece_length: i64,
    pieces: Text,
    pub files: usize,
    length: i64,
    path: usize,
}

/// What a DHT node reads of a message.
#[derive(Debug, Default, PartialEq)]
pub struct Message {
    kind: Text,
    method: Text,
    transaction: Text,
    id: Text,
    info_hash: Text,
    nodes: Text,
    token: Text,
    values: usize,
    ports: usize,
}

/// A string's length and last byte.
#[derive(Debug, Default, PartialEq, Clone, Copy)]
struct Text(usize, u8);

fn text(bytes: &[u8]) -> Text {
    Text(bytes.len(), bytes.last().copied().unwrap_or_default())
}

fn port(peer: &[u8]) -> usize {
    peer.last().copied().map_or(0, usize::from)
}

type Row<T> = (&'static str, fn(&[u8]) -> T);

pub const TORRENT: &[Row<Torrent>] = &[
    ("bip", bip_torrent),
    ("bip Document", document_torrent),
    ("librqbit-bencode", |source| {
        serde_torrent(bencode::from_bytes::<SerdeTorrent<buffers::ByteBuf<'_>>>(source).ok())
    }),
    ("bt_bencode", |source| serde_torrent(bt_bencode::from_slice::<SerdeTorrent<&serde_bytes::Bytes>>(source).ok())),
    ("serde_bencode", |source| {
        serde_torrent(serde_bencode::from_bytes::<SerdeTorrent<serde_bytes::ByteBuf>>(source).ok())
    }),
    ("bendy", bendy_torrent),
    ("lava_torrent", lava_torrent),
];

pub const MESSAGE: &[Row<Message>] = &[
    ("bip", bip_message),
    ("bip krpc", krpc_message),
    ("bip Document", document_message),
    ("librqbit-bencode", |source| {
        serde_message(bencode::from_bytes::<SerdeMessage<buffers::ByteBuf<'_>>>(source).ok())
    }),
    ("bt_bencode", |source| serde_message(bt_bencode::from_slice::<SerdeMessage<&serde_bytes::Bytes>>(source).ok())),
    ("serde_bencode", |source| {
        serde_message(serde_bencode::from_bytes::<SerdeMessage<serde_bytes::ByteBuf>>(source).ok())
    }),
    ("bendy", bendy_message),
    ("lava_torrent", lava_message),
];

fn bip_torrent(source: &[u8]) -> Torrent {
    let mut out = Torrent::default();
    let ok = read(source, &Limits::default(), |root| {
        root.each_entry(|key, value| {
            match key {
                b"announce" => out.announce = text(value.bytes()?),
                b"info" => value.each_entry(|key, value| {
                    match key {
                        b"files" => value.each_item(|file| {
                            out.files += 1;
                            file.each_of(["length", "path"], |which, value| match which {
                                0 => value.int().map(|length| out.length += length),
                                _ => value.each_item(|part| part.bytes().map(|part| out.path += part.len())),
                            })
                        })?,
                        b"name" => out.name = text(value.bytes()?),
                        b"piece length" => out.piece_length = value.int()?,
                        b"pieces" => out.pieces = text(value.bytes()?),
                        _ => {}
                    }
                    Ok::<(), Error>(())
                })?,
                _ => {}
            }
            Ok::<(), Error>(())
        })
    });
    ok.expect("a sound torrent");
    out
}

fn document_torrent(source: &[u8]) -> Torrent {
    let document = Document::decode(source, &Limits::default()).expect("a sound torrent");
    let read = || {
        let root = document.root().dict()?;
        let info = root.dict("info")?;
        let mut out = Torrent {
            announce: text(root.bytes("announce")?),
            name: text(info.bytes("name")?),
            piece_length: info.int("piece length")?,
            pieces: text(info.bytes("pieces")?),
            ..Torrent::default()
        };
        for file in info.list("files")? {
            let file = file.dict()?;
            out.files += 1;
            out.length += file.int("length")?;
            for part in file.list("path")? {
                out.path += part.bytes()?.len();
            }
        }
        Ok::<Torrent, Error>(out)
    };
    read().expect("a sound torrent")
}

fn bip_message(source: &[u8]) -> Message {
    let mut out = Message::default();
    let ok = read(source, &Limits::default(), |root| {
        root.each_entry(|key, value| {
            match key {
                b"y" => out.kind = text(value.bytes()?),
                b"q" => out.method = text(value.bytes()?),
                b"t" => out.transaction = text(value.bytes()?),
                b"a" | b"r" => value.each_entry(|key, value| {
                    match key {
                        b"id" => out.id = text(value.bytes()?),
                        b"info_hash" => out.info_hash = text(value.bytes()?),
                        b"nodes" => out.nodes = text(value.bytes()?),
                        b"token" => out.token = text(value.bytes()?),
                        b"values" => value.each_item(|peer| {
                            out.values += 1;
                            out.ports += port(peer.bytes()?);
                            Ok::<(), Error>(())
                        })?,
                        _ => {}
                    }
                    Ok::<(), Error>(())
                })?,
                _ => {}
            }
            Ok::<(), Error>(())
        })
    });
    ok.expect("a sound message");
    out
}

/// What a node takes: all keys are known, and what their values must be is checked.
fn krpc_message(source: &[u8]) -> Message {
    let message = krpc::Message::decode(source).expect("a sound message");
    let out = Message { transaction: text(message.transaction), ..Message::default() };
    match &message.body {
        krpc::Body::Query(query) => Message {
            kind: text(b"q"),
            method: text(query.method.name()),
            id: text(&query.id.0),
            info_hash: query.method.target().map_or(Text::default(), |target| text(&target.0)),
            ..out
        },
        krpc::Body::Reply(reply) => Message {
            kind: text(b"r"),
            id: reply.id.map_or(Text::default(), |id| text(&id.0)),
            nodes: reply.nodes.map_or(Text::default(), |nodes| text(nodes.as_bytes())),
            token: reply.token.map_or(Text::default(), text),
            values: reply.values.map_or(0, |values| values.len()),
            ports: reply
                .values
                .into_iter()
                .flat_map(|values| values.iter())
                .map(|peer| port(&peer.port().to_be_bytes()))
                .sum(),
            ..out
        },
        krpc::Body::Error { .. } => panic!("no error is read here"),
    }
}

fn document_message(source: &[u8]) -> Message {
    let document = Document::decode(source, &Limits::default()).expect("a sound message");
    let root = document.root().as_dict().expect("a dictionary");
    let inner = root.get("a").or_else(|| root.get("r")).and_then(|value| value.as_dict()).expect("a dictionary");
    let in_root = |key: &str| root.get(key).and_then(|value| value.as_bytes()).map_or(Text::default(), text);
    let in_inner = |key: &str| inner.get(key).and_then(|value| value.as_bytes()).map_or(Text::default(), text);
    let mut out = Message {
        kind: in_root("y"),
        method: in_root("q"),
        transaction: in_root("t"),
        id: in_inner("id"),
        info_hash: in_inner("info_hash"),
        nodes: in_inner("nodes"),
        token: in_inner("token"),
        ..Message::default()
    };
    if let Some(values) = inner.get("values").and_then(|value| value.as_list()) {
        for peer in values.iter().filter_map(|peer| peer.as_bytes()) {
            out.values += 1;
            out.ports += port(peer);
        }
    }
    out
}

#[derive(Derive)]
#[serde(bound(deserialize = "B: Deserialize<'de> + AsRef<[u8]>"))]
struct SerdeTorrent<B> {
    announce: B,
    info: SerdeInfo<B>,
}

#[derive(Derive)]
#[serde(bound(deserialize = "B: Deserialize<'de> + AsRef<[u8]>"))]
struct SerdeInfo<B> {
    files: Folded<SerdeFile<B>>,
    name: B,
    #[serde(rename = "piece length")]
    piece_length: i64,
    pieces: B,
}

#[derive(Derive)]
#[serde(bound(deserialize = "B: Deserialize<'de> + AsRef<[u8]>"))]
struct SerdeFile<B> {
    length: i64,
    path: Folded<Part<B>>,
}

#[derive(Derive)]
#[serde(bound(deserialize = "B: Deserialize<'de> + AsRef<[u8]>"))]
struct SerdeMessage<B> {
    t: B,
    y: B,
    #[serde(default = "none")]
    q: Option<B>,
    #[serde(default = "none")]
    a: Option<SerdeInner<B>>,
    #[serde(default = "none")]
    r: Option<SerdeInner<B>>,
}

#[derive(Derive)]
#[serde(bound(deserialize = "B: Deserialize<'de> + AsRef<[u8]>"))]
struct SerdeInner<B> {
    id: B,
    #[serde(default = "none")]
    info_hash: Option<B>,
    #[serde(default = "none")]
    nodes: Option<B>,
    #[serde(default = "none")]
    token: Option<B>,
    #[serde(default = "none")]
    values: Option<Folded<Part<B>>>,
}

fn none<T>() -> Option<T> {
    None
}

/// A list that is summed up as it comes.
struct Folded<T>(Sum, PhantomData<T>);

#[derive(Default, Clone, Copy)]
struct Sum {
    count: usize,
    length: i64,
    bytes: usize,
    ports: usize,
}

trait Fold {
    fn fold(&self, sum: &mut Sum);
}

/// A string in a list.
struct Part<B>(B);

impl<'de, B: Deserialize<'de>> Deserialize<'de> for Part<B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        B::deserialize(deserializer).map(Part)
    }
}

impl<B: AsRef<[u8]>> Fold for Part<B> {
    fn fold(&self, sum: &mut Sum) {
        sum.bytes += self.0.as_ref().len();
        sum.ports += port(self.0.as_ref());
    }
}

impl<B> Fold for SerdeFile<B> {
    fn fold(&self, sum: &mut Sum) {
        sum.length += self.length;
        sum.bytes += self.path.0.bytes;
    }
}

impl<'de, T: Deserialize<'de> + Fold> Deserialize<'de> for Folded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

struct Elements<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Fold> Visitor<'de> for Elements<T> {
    type Value = Folded<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut sum = Sum::default();
        while let Some(element) = list.next_element::<T>()? {
            sum.count += 1;
            element.fold(&mut sum);
        }
        Ok(Folded(sum, PhantomData))
    }
}

fn serde_torrent<B: AsRef<[u8]>>(torrent: Option<SerdeTorrent<B>>) -> Torrent {
    let SerdeTorrent { announce, info } = torrent.expect("a sound torrent");
    Torrent {
        announce: text(announce.as_ref()),
        name: text(info.name.as_ref()),
        piece_length: info.piece_length,
        pieces: text(info.pieces.as_ref()),
        files: info.files.0.count,
        length: info.files.0.length,
        path: info.files.0.bytes,
    }
}

fn serde_message<B: AsRef<[u8]>>(message: Option<SerdeMessage<B>>) -> Message {
    let message = message.expect("a sound message");
    let inner = message.a.or(message.r).expect("a query or a reply");
    let some = |bytes: &Option<B>| bytes.as_ref().map_or(Text::default(), |bytes| text(bytes.as_ref()));
    let values = inner.values.map(|values| values.0).unwrap_or_default();
    Message {
        kind: text(message.y.as_ref()),
        method: some(&message.q),
        transaction: text(message.t.as_ref()),
        id: text(inner.id.as_ref()),
        info_hash: some(&inner.info_hash),
        nodes: some(&inner.nodes),
        token: some(&inner.token),
        values: values.count,
        ports: values.ports,
    }
}

fn bendy_bytes<'a>(object: Object<'_, 'a>) -> Result<&'a [u8], bendy::decoding::Error> {
    object.try_into_bytes()
}

fn bendy_int(object: Object<'_, '_>) -> Result<i64, bendy::decoding::Error> {
    object.try_into_integer().map(|digits| digits.parse().expect("an integer of 64 bits"))
}

fn bendy_torrent(source: &[u8]) -> Torrent {
    let mut out = Torrent::default();
    let mut read = || {
        let mut decoder = Decoder::new(source).with_max_depth(64);
        let mut root = decoder.next_object()?.expect("a value").try_into_dictionary()?;
        while let Some((key, value)) = root.next_pair()? {
            match key {
                b"announce" => out.announce = text(bendy_bytes(value)?),
                b"info" => {
                    let mut info = value.try_into_dictionary()?;
                    while let Some((key, value)) = info.next_pair()? {
                        match key {
                            b"files" => {
                                let mut files = value.try_into_list()?;
                                while let Some(file) = files.next_object()? {
                                    out.files += 1;
                                    let mut file = file.try_into_dictionary()?;
                                    while let Some((key, value)) = file.next_pair()? {
                                        match key {
                                            b"length" => out.length += bendy_int(value)?,
                                            b"path" => {
                                                let mut path = value.try_into_list()?;
                                                while let Some(part) = path.next_object()? {
                                                    out.path += bendy_bytes(part)?.len();
                                                }
                                            }
                                            _ => {}
                                        }
                                    }
                                }
                            }
                            b"name" => out.name = text(bendy_bytes(value)?),
                            b"piece length" => out.piece_length = bendy_int(value)?,
                            b"pieces" => out.pieces = text(bendy_bytes(value)?),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok::<(), bendy::decoding::Error>(())
    };
    read().expect("a sound torrent");
    out
}

fn bendy_message(source: &[u8]) -> Message {
    let mut out = Message::default();
    let mut read = || {
        let mut decoder = Decoder::new(source).with_max_depth(64);
        let mut root = decoder.next_object()?.expect("a value").try_into_dictionary()?;
        while let Some((key, value)) = root.next_pair()? {
            match key {
                b"y" => out.kind = text(bendy_bytes(value)?),
                b"q" => out.method = text(bendy_bytes(value)?),
                b"t" => out.transaction = text(bendy_bytes(value)?),
                b"a" | b"r" => {
                    let mut inner = value.try_into_dictionary()?;
                    while let Some((key, value)) = inner.next_pair()? {
                        match key {
                            b"id" => out.id = text(bendy_bytes(value)?),
                            b"info_hash" => out.info_hash = text(bendy_bytes(value)?),
                            b"nodes" => out.nodes = text(bendy_bytes(value)?),
                            b"token" => out.token = text(bendy_bytes(value)?),
                            b"values" => {
                                let mut values = value.try_into_list()?;
                                while let Some(peer) = values.next_object()? {
                                    out.values += 1;
                                    out.ports += port(bendy_bytes(peer)?);
                                }
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok::<(), bendy::decoding::Error>(())
    };
    read().expect("a sound message");
    out
}

fn lava_bytes(element: Option<&BencodeElem>) -> &[u8] {
    match element {
        Some(BencodeElem::String(string)) => string.as_bytes(),
        Some(BencodeElem::Bytes(bytes)) => bytes,
        _ => &[],
    }
}

fn lava_int(element: Option<&BencodeElem>) -> i64 {
    if let Some(BencodeElem::Integer(value)) = element { *value } else { 0 }
}

fn lava_list(element: Option<&BencodeElem>) -> &[BencodeElem] {
    if let Some(BencodeElem::List(list)) = element { list } else { &[] }
}

fn lava_get<'e>(element: Option<&'e BencodeElem>, key: &str) -> Option<&'e BencodeElem> {
    if let Some(BencodeElem::Dictionary(dict)) = element { dict.get(key) } else { None }
}

fn lava_torrent(source: &[u8]) -> Torrent {
    let elements = BencodeElem::from_bytes(source).expect("a sound torrent");
    let root = elements.first();
    let info = lava_get(root, "info");
    let mut out = Torrent {
        announce: text(lava_bytes(lava_get(root, "announce"))),
        name: text(lava_bytes(lava_get(info, "name"))),
        piece_length: lava_int(lava_get(info, "piece length")),
        pieces: text(lava_bytes(lava_get(info, "pieces"))),
        ..Torrent::default()
    };
    for file in lava_list(lava_get(info, "files")) {
        out.files += 1;
        out.length += lava_int(lava_get(Some(file), "length"));
        out.path +=
            lava_list(lava_get(Some(file), "path")).iter().map(|part| lava_bytes(Some(part)).len()).sum::<usize>();
    }
    out
}

fn lava_message(source: &[u8]) -> Message {
    let elements = BencodeElem::from_bytes(source).expect("a sound message");
    let root = elements.first();
    let inner = lava_get(root, "a").or_else(|| lava_get(root, "r"));
    let field = |of, key: &str| text(lava_bytes(lava_get(of, key)));
    let values = lava_list(lava_get(inner, "values"));
    Message {
        kind: field(root, "y"),
        method: field(root, "q"),
        transaction: field(root, "t"),
        id: field(inner, "id"),
        info_hash: field(inner, "info_hash"),
        nodes: field(inner, "nodes"),
        token: field(inner, "token"),
        values: values.len(),
        ports: values.iter().map(|peer| port(lava_bytes(Some(peer)))).sum(),
    }
}
