//! Changing what a torrent file says around `info`.

use super::error::Error;
use super::limits::Limits;
use super::torrent::decode;
use crate::proto::bencode::{ListEncoder, encode_dict, encode_list};
use crate::proto::id::InfoHash;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Changes a torrent file around its `info`: trackers, remarks and the like. `info` stays byte for byte as it is, and with it the
/// info hash; so do piece layers and keys that are not known here.
///
/// ```
/// use bip::proto::metainfo::{Builder, Edit, Limits, Metainfo};
/// let bytes = Builder::single_file("hello.txt", 5).piece_hashes([[7; 20]]).comment("old").build()?;
/// let edited = Edit::of(&bytes, &Limits::default())?
///     .trackers([["http://a.example/announce"], ["http://b.example/announce"]])
///     .comment(None)
///     .build();
/// let (before, after) = (Metainfo::parse(&bytes, &Limits::default())?, Metainfo::parse(&edited, &Limits::default())?);
/// assert_eq!(after.info_hash(), before.info_hash());
/// assert_eq!((after.trackers().len(), after.comment()), (2, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit<'a> {
    /// Keys and encoded values.
    fields: BTreeMap<Cow<'a, [u8]>, Cow<'a, [u8]>>,
}

impl<'a> Edit<'a> {
    /// Starts from a torrent file. It need not be one that [`Metainfo::parse`](super::Metainfo::parse) accepts.
    ///
    /// # Errors
    ///
    /// It is not bencode or over the limits, or has no `info`.
    pub fn of(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        let document = decode(bytes, limits)?;
        let root = document.root().dict()?;
        root.dict("info")?;
        Ok(Self { fields: root.iter().map(|(key, value)| (key.into(), value.span().into())).collect() })
    }

    /// Starts from a bare `info` dictionary, to make a torrent file of what was fetched from peers.
    ///
    /// # Errors
    ///
    /// It is not a bencoded dictionary or over the limits.
    pub fn of_info(info: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        decode(info, limits)?.root().dict()?;
        Ok(Self { fields: BTreeMap::from([(b"info"[..].into(), info.into())]) })
    }

    /// Sets or removes the encoded value of a key.
    fn set(mut self, key: &'static str, value: Option<Vec<u8>>) -> Self {
        match value {
            Some(value) => self.fields.insert(key.as_bytes().into(), value.into()),
            None => self.fields.remove(key.as_bytes()),
        };
        self
    }

    fn set_list<T>(self, key: &'static str, items: &[T], write: impl Fn(&mut ListEncoder<'_>, &T)) -> Self {
        let list = || encode_list(|list| items.iter().for_each(|item| write(list, item)));
        self.set(key, (!items.is_empty()).then(list))
    }

    fn set_text(self, key: &'static str, text: Option<&str>) -> Self {
        let value = text.map(|text| encode_list(|list| list.bytes(text)));
        // What is within the list.
        self.set(key, value.map(|list| list.get(1..list.len() - 1).unwrap_or_default().to_vec()))
    }

    /// Sets the tiers of trackers, or removes them all (BEP 12). Tiers without trackers are left out.
    pub fn trackers<U: AsRef<str>>(self, tiers: impl IntoIterator<Item = impl IntoIterator<Item = U>>) -> Self {
        let urls = |tier: Vec<String>| tier.into_iter().filter(|url| !url.is_empty()).collect::<Vec<_>>();
        let owned = |tier: Vec<U>| tier.iter().map(|url| url.as_ref().to_owned()).collect();
        let tiers: Vec<Vec<String>> = tiers
            .into_iter()
            .map(|tier| urls(owned(tier.into_iter().collect())))
            .filter(|tier| !tier.is_empty())
            .collect();
        let first = tiers.first().and_then(|tier| tier.first()).cloned();
        // One tracker needs no list.
        let listed = if tiers.iter().map(Vec::len).sum::<usize>() > 1 { &tiers[..] } else { &[] };
        self.set_text("announce", first.as_deref()).set_list("announce-list", listed, |list, tier| {
            list.list(|urls| tier.iter().for_each(|url| urls.bytes(url)))
        })
    }

    /// Sets or removes the author's remark.
    pub fn comment(self, comment: Option<&str>) -> Self {
        self.set_text("comment", comment)
    }

    /// Sets or removes the program that made the torrent.
    pub fn created_by(self, program: Option<&str>) -> Self {
        self.set_text("created by", program)
    }

    /// Sets or removes when the torrent was made, in seconds from 1970.
    pub fn creation_date(self, seconds: Option<i64>) -> Self {
        self.set("creation date", seconds.map(|seconds| format!("i{seconds}e").into_bytes()))
    }

    /// Sets the web seeds, or removes them all (BEP 19).
    pub fn web_seeds<U: AsRef<str>>(self, urls: impl IntoIterator<Item = U>) -> Self {
        let urls: Vec<U> = urls.into_iter().filter(|url| !url.as_ref().is_empty()).collect();
        self.set_list("url-list", &urls, |list, url| list.bytes(url.as_ref()))
    }

    /// Sets the nodes of the DHT to begin with, as hosts and ports, or removes them all (BEP 5).
    pub fn nodes<H: AsRef<str>>(self, nodes: impl IntoIterator<Item = (H, u16)>) -> Self {
        let nodes: Vec<(H, u16)> =
            nodes.into_iter().filter(|(host, port)| !host.as_ref().is_empty() && *port > 0).collect();
        self.set_list("nodes", &nodes, |list, (host, port)| {
            list.list(|node| {
                node.bytes(host.as_ref());
                node.int((*port).into());
            });
        })
    }

    /// Sets the torrents that have files in common with this one, or removes them all (BEP 38). Those in `info` stay.
    pub fn similar(self, torrents: impl IntoIterator<Item = InfoHash>) -> Self {
        let torrents: Vec<InfoHash> = torrents.into_iter().collect();
        self.set_list("similar", &torrents, |list, hash| list.bytes(hash.as_bytes()))
    }

    /// Sets the collections that the torrent belongs to, or removes them all (BEP 38). Those in `info` stay.
    pub fn collections<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<N> = names.into_iter().collect();
        self.set_list("collections", &names, |list, name| list.bytes(name.as_ref()))
    }

    /// Sets the piece layers, each with the root of the hash tree that it belongs to (BEP 52): for a torrent file that is made of
    /// what was fetched from peers.
    pub fn piece_layers<'b>(self, layers: impl IntoIterator<Item = (&'b [u8; 32], &'b [u8])>) -> Self {
        let layers: Vec<_> = layers.into_iter().collect();
        self.set(
            "piece layers",
            Some(encode_dict(|dict| layers.iter().for_each(|(root, layer)| dict.bytes(root, layer)))),
        )
    }

    /// Removes any key but `info`, which stays. Says whether it was there.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> bool {
        key.as_ref() != b"info" && self.fields.remove(key.as_ref()).is_some()
    }

    /// Goes over the keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.keys().map(|key| &**key)
    }

    /// Writes the torrent file, with the keys around `info` sorted.
    pub fn build(&self) -> Vec<u8> {
        let length: usize = self.fields.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        let mut out = Vec::with_capacity(length + 2);
        out.push(b'd');
        for (key, value) in &self.fields {
            out.extend_from_slice(key.len().to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(key);
            out.extend_from_slice(value);
        }
        out.push(b'e');
        out
    }
}
