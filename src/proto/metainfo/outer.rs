//! What a torrent file says outside of `info`, and what may be missing.

use super::files::lossy;
use super::warning::Warnings;
use crate::proto::bencode::{Dict, Value};
use crate::proto::id::InfoHash;

/// The fields around `info`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outer {
    pub(super) announce: Option<String>,
    pub(super) announce_list: Vec<Vec<String>>,
    pub(super) url_list: Vec<String>,
    pub(super) nodes: Vec<(String, u16)>,
    pub(super) comment: Option<String>,
    pub(super) created_by: Option<String>,
    pub(super) creation_date: Option<i64>,
    pub(super) encoding: Option<String>,
}

impl Outer {
    pub(super) fn read(root: Dict<'_, '_>, warnings: &mut Warnings) -> Self {
        Self {
            announce: optional_text(root, "announce", warnings).filter(|url| !url.is_empty()),
            announce_list: announce_list(root, warnings),
            url_list: url_list(root, warnings),
            nodes: nodes(root, warnings),
            comment: optional_text(root, "comment", warnings),
            created_by: optional_text(root, "created by", warnings),
            creation_date: optional(root, "creation date", Value::as_int, warnings),
            encoding: optional_text(root, "encoding", warnings),
        }
    }
}

/// The torrents and collections that a torrent names as having files in common (BEP 38), in `info` or around it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Relatives {
    pub(super) similar: Vec<InfoHash>,
    pub(super) collections: Vec<String>,
}

impl Relatives {
    /// Adds those of a dictionary.
    pub(super) fn read(&mut self, dict: Dict<'_, '_>, warnings: &mut Warnings) {
        let similar = |value: Value<'_, '_>| value.as_bytes()?.try_into().ok().map(InfoHash);
        each(dict, "similar", warnings, similar, |hash| self.similar.push(hash));
        let collections = |value: Value<'_, '_>| value.as_bytes().map(lossy);
        each(dict, "collections", warnings, collections, |name| self.collections.push(name));
    }

    /// Leaves out what was named before.
    pub(super) fn finish(mut self) -> Self {
        fn once<T: Ord + Clone>(list: &mut Vec<T>) {
            let mut seen = std::collections::BTreeSet::new();
            list.retain(|item| seen.insert(item.clone()));
        }
        once(&mut self.similar);
        once(&mut self.collections);
        self
    }
}

pub(super) fn optional<'a, 'd, T>(
    dict: Dict<'a, 'd>,
    key: &'static str,
    read: impl FnOnce(Value<'a, 'd>) -> Option<T>,
    warnings: &mut Warnings,
) -> Option<T> {
    let value = dict.get(key)?;
    let out = read(value);
    if out.is_none() {
        warnings.ignored(key, value.position());
    }
    out
}

pub(super) fn optional_text(dict: Dict<'_, '_>, key: &'static str, warnings: &mut Warnings) -> Option<String> {
    optional(dict, key, |v| v.as_bytes().map(lossy), warnings)
}

/// Reads a list that may be missing, leaving out what is not as it should be.
fn each<T>(
    dict: Dict<'_, '_>,
    key: &'static str,
    warnings: &mut Warnings,
    read: impl Fn(Value<'_, '_>) -> Option<T>,
    mut take: impl FnMut(T),
) {
    for item in optional(dict, key, Value::as_list, warnings).into_iter().flatten() {
        match read(item) {
            Some(item) => take(item),
            None => warnings.ignored(key, item.position()),
        }
    }
}

/// Reads the tiers, leaving out what is not a tier or not a URL, and taking a bare URL for a tier of its own.
fn announce_list(root: Dict<'_, '_>, warnings: &mut Warnings) -> Vec<Vec<String>> {
    let key = "announce-list";
    let mut out = Vec::new();
    for tier in optional(root, key, Value::as_list, warnings).into_iter().flatten() {
        let mut urls = Vec::new();
        let mut add = |url: Value<'_, '_>| match url.as_bytes() {
            Some(b"") => {}
            Some(text) => urls.push(lossy(text)),
            None => warnings.ignored(key, url.position()),
        };
        match tier.as_list() {
            Some(list) => list.iter().for_each(&mut add),
            None => add(tier),
        }
        if !urls.is_empty() {
            out.push(urls);
        }
    }
    out
}

/// Reads the web seeds (BEP 19): a list of URLs, or one.
fn url_list(root: Dict<'_, '_>, warnings: &mut Warnings) -> Vec<String> {
    let key = "url-list";
    let Some(value) = root.get(key) else { return Vec::new() };
    let mut out = Vec::new();
    match value.as_bytes() {
        Some(url) => out.push(lossy(url)),
        None => each(root, key, warnings, |url| url.as_bytes().map(lossy), |url| out.push(url)),
    }
    out.retain(|url| !url.is_empty());
    out
}

/// Reads the DHT's nodes (BEP 5): pairs of a host and a port.
fn nodes(root: Dict<'_, '_>, warnings: &mut Warnings) -> Vec<(String, u16)> {
    let mut out = Vec::new();
    let read = |node: Value<'_, '_>| {
        let mut pair = node.as_list()?.iter();
        let host = pair.next()?.as_bytes().filter(|host| !host.is_empty())?;
        let port = u16::try_from(pair.next()?.as_int()?).ok().filter(|port| *port > 0)?;
        pair.next().is_none().then(|| (lossy(host), port))
    };
    each(root, "nodes", warnings, read, |node| out.push(node));
    out
}
