//! Torrents read, from hand-made ones to hostile ones.

mod building;
mod names;
mod optional;
mod version_1;
#[cfg(feature = "v2")]
mod version_2;

use super::{Error, Limits, Metainfo, Names};
use crate::proto::bencode::{DictEncoder, encode_dict};

pub(super) const HOST: Limits = Limits {
    torrent_bytes: 32 << 20,
    pieces: 1 << 21,
    piece_length: 512 << 20,
    files: 250_000,
    path_depth: 100,
    bencode_depth: 64,
    bencode_tokens: 3_000_000,
    names: Names::Host,
};
pub(super) const PORTABLE: Limits = Limits { names: Names::Portable, ..HOST };

pub(super) fn parse(bytes: &[u8]) -> Result<Metainfo, Error> {
    Metainfo::parse(bytes, &HOST)
}

pub(super) fn torrent(fill: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
    encode_dict(|root| root.dict("info", fill))
}

/// A single file of 5 bytes, of which `change` may write fields over.
pub(super) fn single(change: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
    torrent(|info| {
        info.int("length", 5);
        info.bytes("name", "n");
        info.int("piece length", 3);
        info.bytes("pieces", [7; 40]);
        change(info);
    })
}

/// Files of one byte each, all in one piece, in the folder `t`.
pub(super) fn multi<P: AsRef<[u8]>>(paths: &[&[P]]) -> Vec<u8> {
    torrent(|info| {
        info.bytes("name", "t");
        info.int("piece length", 1 << 20);
        info.bytes("pieces", [7; 20]);
        info.list("files", |files| {
            for path in paths {
                files.dict(|file| {
                    file.int("length", 1);
                    file.list("path", |parts| path.iter().for_each(|p| parts.bytes(p)));
                });
            }
        });
    })
}

pub(super) fn paths(metainfo: &Metainfo) -> Vec<String> {
    metainfo.files().iter().map(|f| f.path.to_string()).collect()
}

pub(super) fn message(result: Result<Metainfo, Error>) -> String {
    result.expect_err("this should be refused").to_string()
}
