//! Reading the query of an announce, key by key.

use super::error::RequestError;
use super::query::{Raw, pairs};
use super::request::{AnnounceRequest, Crypto, MAX_QUERY};
use crate::proto::announce::{Event, Progress};
use crate::proto::id::{InfoHash, PeerId};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

const KEYS: [&str; 17] = [
    "info_hash",
    "peer_id",
    "port",
    "uploaded",
    "downloaded",
    "left",
    "event",
    "numwant",
    "key",
    "trackerid",
    "compact",
    "no_peer_id",
    "supportcrypto",
    "requirecrypto",
    "ip",
    "ipv4",
    "ipv6",
];

/// Calls for each value whose key is one of those given.
pub(super) fn each_pair<'a>(
    query: &'a [u8],
    keys: &[&'static str],
    mut call: impl FnMut(Raw<'a>) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    if query.len() > MAX_QUERY {
        return Err(RequestError::TooLong { length: query.len() });
    }
    for (name, text, at) in pairs(query) {
        if let Some(key) = keys.iter().find(|key| *name == *key.as_bytes()) {
            call(Raw { key, text, at })?;
        }
    }
    Ok(())
}

/// What has been read of a request. The first of each key counts.
#[derive(Default)]
pub(super) struct Found<'a> {
    info_hash: Option<InfoHash>,
    peer_id: Option<PeerId>,
    port: Option<u16>,
    uploaded: Option<u64>,
    downloaded: Option<u64>,
    left: Option<u64>,
    event: Option<Event>,
    num_want: Option<Option<u32>>,
    key: Option<Cow<'a, [u8]>>,
    tracker_id: Option<Cow<'a, [u8]>>,
    compact: Option<bool>,
    no_peer_id: Option<bool>,
    supports: Option<bool>,
    requires: Option<bool>,
    ip: Option<IpAddr>,
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
}

impl<'a> Found<'a> {
    /// Reads all of a query.
    pub(super) fn read(query: &'a [u8]) -> Result<Self, RequestError> {
        let mut found = Self::default();
        each_pair(query, &KEYS, |raw| found.take(raw))?;
        Ok(found)
    }

    fn take(&mut self, raw: Raw<'a>) -> Result<(), RequestError> {
        match raw.key {
            "info_hash" => once(&mut self.info_hash, raw, raw.id().map(InfoHash)),
            "peer_id" => once(&mut self.peer_id, raw, raw.id().map(PeerId)),
            "port" => {
                let bad = RequestError::BadNumber { key: raw.key, at: raw.at };
                once(&mut self.port, raw, raw.number().and_then(|port| u16::try_from(port).map_err(|_| bad)))
            }
            "uploaded" => first(&mut self.uploaded, || amount(raw, 0)),
            "downloaded" => first(&mut self.downloaded, || amount(raw, 0)),
            "left" => first(&mut self.left, || amount(raw, Progress::UNKNOWN)),
            "event" => first(&mut self.event, || {
                let event = Event::from_name(&raw.unescape()?);
                event.map(Some).ok_or(RequestError::UnknownEvent { at: raw.at })
            }),
            "numwant" => first(&mut self.num_want, || {
                if raw.text.is_empty() {
                    return Ok(None);
                }
                let most = i32::MAX as u32;
                raw.number()
                    .map(|wanted| Some((wanted >= 0).then(|| u32::try_from(wanted).map_or(most, |w| w.min(most)))))
            }),
            "key" => first(&mut self.key, || raw.unescape().map(Some)),
            "trackerid" => first(&mut self.tracker_id, || raw.unescape().map(Some)),
            "compact" => first(&mut self.compact, || flag(raw)),
            "no_peer_id" => first(&mut self.no_peer_id, || flag(raw)),
            "supportcrypto" => first(&mut self.supports, || flag(raw)),
            "requirecrypto" => first(&mut self.requires, || flag(raw)),
            "ip" => first(&mut self.ip, || text(raw, |text| text.parse().ok())),
            "ipv4" => first(&mut self.ipv4, || {
                // BEP 7 once had a port with it.
                text(raw, |text| text.parse().ok().or_else(|| text.parse().ok().map(|end: SocketAddrV4| *end.ip())))
            }),
            "ipv6" => first(&mut self.ipv6, || {
                text(raw, |text| text.parse().ok().or_else(|| text.parse().ok().map(|end: SocketAddrV6| *end.ip())))
            }),
            _ => Ok(()),
        }
    }

    /// Makes the request, if all is there that must be.
    pub(super) fn finish(self) -> Result<AnnounceRequest<'a>, RequestError> {
        let missing = |key| RequestError::Missing { key };
        let info_hash = self.info_hash.ok_or(missing("info_hash"))?;
        let peer_id = self.peer_id.ok_or(missing("peer_id"))?;
        let port = self.port.ok_or(missing("port"))?;
        let progress = Progress {
            uploaded: self.uploaded.unwrap_or(0),
            downloaded: self.downloaded.unwrap_or(0),
            left: self.left.ok_or(missing("left"))?,
        };
        let crypto = match (self.requires, self.supports) {
            (Some(true), _) => Crypto::Required,
            (_, Some(true)) => Crypto::Supported,
            _ => Crypto::Unsaid,
        };
        Ok(AnnounceRequest {
            progress,
            event: self.event.unwrap_or_default(),
            num_want: self.num_want.flatten(),
            key: self.key,
            tracker_id: self.tracker_id,
            compact: self.compact,
            no_peer_id: self.no_peer_id.unwrap_or(false),
            crypto,
            ip: self.ip,
            ipv4: self.ipv4,
            ipv6: self.ipv6,
            ..AnnounceRequest::bare(info_hash, peer_id, port)
        })
    }
}

/// Takes what may come once.
fn once<T>(place: &mut Option<T>, raw: Raw<'_>, value: Result<T, RequestError>) -> Result<(), RequestError> {
    if place.is_some() {
        return Err(RequestError::Repeated { key: raw.key, at: raw.at });
    }
    *place = Some(value?);
    Ok(())
}

/// Takes what has not come yet.
fn first<T>(place: &mut Option<T>, read: impl FnOnce() -> Result<Option<T>, RequestError>) -> Result<(), RequestError> {
    if place.is_none() {
        *place = read()?;
    }
    Ok(())
}

fn amount(raw: Raw<'_>, negative: u64) -> Result<Option<u64>, RequestError> {
    raw.number().map(|amount| Some(u64::try_from(amount).unwrap_or(negative)))
}

/// Reads 1 or 0; anything else says nothing.
fn flag(raw: Raw<'_>) -> Result<Option<bool>, RequestError> {
    Ok(match &*raw.unescape()? {
        b"1" => Some(true),
        b"0" => Some(false),
        _ => None,
    })
}

/// Reads an address; anything else says nothing.
fn text<T>(raw: Raw<'_>, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, RequestError> {
    Ok(std::str::from_utf8(&raw.unescape()?).ok().and_then(parse))
}
