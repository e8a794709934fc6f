//! Each crate writes the same, from the same values, to a buffer that is used again where the crate permits it.

use crate::input;
use bendy::encoding::{AsString, Encoder};
use bip::proto::bencode::{Document, Limits, encode_dict_into};
use lava_torrent::bencode::BencodeElem;
use serde::Serialize;
use serde_bytes::{ByteBuf, Bytes};

#[derive(Serialize)]
pub struct Torrent {
    announce: &'static str,
    #[serde(rename = "created by")]
    created_by: &'static str,
    #[serde(rename = "creation date")]
    creation_date: i64,
    info: Info,
}

#[derive(Serialize)]
struct Info {
    files: Vec<File>,
    name: &'static str,
    #[serde(rename = "piece length")]
    piece_length: i64,
    pieces: ByteBuf,
}

#[derive(Serialize)]
struct File {
    length: i64,
    path: Vec<String>,
}

impl Torrent {
    pub fn new() -> Self {
        let files =
            (0..input::FILES).map(|file| File { length: 5_242_880 + file as i64, path: input::path(file).into() });
        Self {
            announce: "udp://tracker.example.org:1337/announce",
            created_by: "bench/1",
            creation_date: 1_700_000_000,
            info: Info {
                files: files.collect(),
                name: "benchmark-torrent",
                piece_length: 1_048_576,
                pieces: ByteBuf::from(input::noise(input::PIECES * 20, 1)),
            },
        }
    }
}

#[derive(Serialize)]
pub struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<Inner<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<&'a Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<Inner<'a>>,
    t: &'a Bytes,
    v: &'a Bytes,
    y: &'a Bytes,
}

#[derive(Serialize)]
struct Inner<'a> {
    id: &'a Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    info_hash: Option<&'a Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<&'a Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a Bytes>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<&'a Bytes>,
}

impl<'a> Message<'a> {
    pub fn new(source: &'a [u8]) -> Self {
        let document = Document::decode(source, &Limits::default()).expect("a sound message");
        let root = document.root().as_dict().expect("a dictionary");
        let in_root = |key: &str| root.get(key).and_then(|value| value.as_bytes()).map(Bytes::new);
        let inner = |key: &str| {
            let inner = root.get(key)?.as_dict()?;
            let bytes = |key: &str| inner.get(key).and_then(|value| value.as_bytes()).map(Bytes::new);
            let values = inner.get("values").and_then(|value| value.as_list());
            Some(Inner {
                id: bytes("id")?,
                info_hash: bytes("info_hash"),
                nodes: bytes("nodes"),
                token: bytes("token"),
                values: values.into_iter().flatten().filter_map(|peer| peer.as_bytes()).map(Bytes::new).collect(),
            })
        };
        Self {
            a: inner("a"),
            ip: in_root("ip"),
            q: in_root("q"),
            r: inner("r"),
            t: in_root("t").expect("a transaction"),
            v: in_root("v").expect("a version"),
            y: in_root("y").expect("a kind"),
        }
    }
}

/// What lava_torrent writes is a tree; it is made before the time is taken.
pub fn lava(source: &[u8]) -> BencodeElem {
    BencodeElem::from_bytes(source).expect("a sound source").remove(0)
}

type Row<T> = (&'static str, fn(&T, &BencodeElem, &mut Vec<u8>));

pub const TORRENT: &[Row<Torrent>] = &[
    ("bip", |torrent, _, out| bip_torrent(torrent, out)),
    ("librqbit-bencode", |torrent, _, out| {
        bencode::bencode_serialize_to_writer(torrent, out).expect("a Vec takes all")
    }),
    ("bt_bencode", |torrent, _, out| bt_bencode::to_writer(out, torrent).expect("a Vec takes all")),
    ("serde_bencode", |torrent, _, out| *out = serde_bencode::to_bytes(torrent).expect("a Vec takes all")),
    ("bendy", |torrent, _, out| *out = bendy_torrent(torrent).expect("sorted keys")),
    ("lava_torrent", |_, tree, out| tree.write_into(out).expect("a Vec takes all")),
];

/// The lifetimes of what a row is given do not fit in a constant's type.
type MessageRow = (&'static str, for<'a> fn(&Message<'a>, &BencodeElem, &mut Vec<u8>));

pub const MESSAGE: &[MessageRow] = &[
    ("bip", |message, _, out| bip_message(message, out)),
    ("librqbit-bencode", |message, _, out| {
        bencode::bencode_serialize_to_writer(message, out).expect("a Vec takes all")
    }),
    ("bt_bencode", |message, _, out| bt_bencode::to_writer(out, message).expect("a Vec takes all")),
    ("serde_bencode", |message, _, out| *out = serde_bencode::to_bytes(message).expect("a Vec takes all")),
    ("bendy", |message, _, out| *out = bendy_message(message).expect("sorted keys")),
    ("lava_torrent", |_, tree, out| tree.write_into(out).expect("a Vec takes all")),
];

fn bip_torrent(torrent: &Torrent, out: &mut Vec<u8>) {
    encode_dict_into(out, |d| {
        d.bytes("announce", torrent.announce);
        d.bytes("created by", torrent.created_by);
        d.int("creation date", torrent.creation_date);
        d.dict("info", |d| {
            d.list("files", |l| {
                for file in &torrent.info.files {
                    l.dict(|d| {
                        d.int("length", file.length);
                        d.list("path", |l| file.path.iter().for_each(|part| l.bytes(part)));
                    });
                }
            });
            d.bytes("name", torrent.info.name);
            d.int("piece length", torrent.info.piece_length);
            d.bytes("pieces", &torrent.info.pieces);
        });
    });
}

fn bip_message(message: &Message<'_>, out: &mut Vec<u8>) {
    let inner = |d: &mut bip::proto::bencode::DictEncoder<'_>, inner: &Inner<'_>| {
        d.bytes("id", inner.id);
        if let Some(bytes) = inner.info_hash {
            d.bytes("info_hash", bytes);
        }
        if let Some(bytes) = inner.nodes {
            d.bytes("nodes", bytes);
        }
        if let Some(bytes) = inner.token {
            d.bytes("token", bytes);
        }
        if !inner.values.is_empty() {
            d.list("values", |l| inner.values.iter().for_each(|peer| l.bytes(peer)));
        }
    };
    encode_dict_into(out, |d| {
        if let Some(a) = &message.a {
            d.dict("a", |d| inner(d, a));
        }
        if let Some(ip) = message.ip {
            d.bytes("ip", ip);
        }
        if let Some(q) = message.q {
            d.bytes("q", q);
        }
        if let Some(r) = &message.r {
            d.dict("r", |d| inner(d, r));
        }
        d.bytes("t", message.t);
        d.bytes("v", message.v);
        d.bytes("y", message.y);
    });
}

fn bendy_torrent(torrent: &Torrent) -> Result<Vec<u8>, bendy::encoding::Error> {
    let mut encoder = Encoder::new().with_max_depth(8);
    encoder.emit_dict(|mut d| {
        d.emit_pair(b"announce", torrent.announce)?;
        d.emit_pair(b"created by", torrent.created_by)?;
        d.emit_pair(b"creation date", torrent.creation_date)?;
        d.emit_pair_with(b"info", |e| {
            e.emit_dict(|mut d| {
                d.emit_pair_with(b"files", |e| {
                    e.emit_list(|e| {
                        for file in &torrent.info.files {
                            e.emit_dict(|mut d| {
                                d.emit_pair(b"length", file.length)?;
                                d.emit_pair_with(b"path", |e| {
                                    e.emit_list(|e| file.path.iter().try_for_each(|part| e.emit_str(part)))
                                })
                            })?;
                        }
                        Ok(())
                    })
                })?;
                d.emit_pair(b"name", torrent.info.name)?;
                d.emit_pair(b"piece length", torrent.info.piece_length)?;
                d.emit_pair(b"pieces", AsString(&torrent.info.pieces))
            })
        })
    })?;
    encoder.get_output()
}

fn bendy_message(message: &Message<'_>) -> Result<Vec<u8>, bendy::encoding::Error> {
    let inner = |e: bendy::encoding::SingleItemEncoder<'_>, inner: &Inner<'_>| {
        e.emit_dict(|mut d| {
            d.emit_pair(b"id", AsString(inner.id))?;
            if let Some(bytes) = inner.info_hash {
                d.emit_pair(b"info_hash", AsString(bytes))?;
            }
            if let Some(bytes) = inner.nodes {
                d.emit_pair(b"nodes", AsString(bytes))?;
            }
            if let Some(bytes) = inner.token {
                d.emit_pair(b"token", AsString(bytes))?;
            }
            if !inner.values.is_empty() {
                d.emit_pair_with(b"values", |e| {
                    e.emit_list(|e| inner.values.iter().try_for_each(|peer| e.emit_bytes(peer)))
                })?;
            }
            Ok(())
        })
    };
    let mut encoder = Encoder::new().with_max_depth(8);
    encoder.emit_dict(|mut d| {
        if let Some(a) = &message.a {
            d.emit_pair_with(b"a", |e| inner(e, a))?;
        }
        if let Some(ip) = message.ip {
            d.emit_pair(b"ip", AsString(ip))?;
        }
        if let Some(q) = message.q {
            d.emit_pair(b"q", AsString(q))?;
        }
        if let Some(r) = &message.r {
            d.emit_pair_with(b"r", |e| inner(e, r))?;
        }
        d.emit_pair(b"t", AsString(message.t))?;
        d.emit_pair(b"v", AsString(message.v))?;
        d.emit_pair(b"y", AsString(message.y))
    })?;
    encoder.get_output()
}
