//! Reading a link.

use super::error::{Error, Warning};
use super::link::{Magnet, Topic};
use super::peer::PeerAddress;
use super::percent::{decode, decode_text};
use super::ranges::{FileRanges, parse_range};
use crate::proto::id::{InfoHash, InfoHashV2};
use std::ops::RangeInclusive;

/// How much of a link is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a link may be, in bytes, without the white space around it. Default 64 KiB.
    pub length: usize,
    /// How many trackers are kept. Default 128.
    pub trackers: usize,
    /// How many web seeds are kept, and how many of each of the other sources (`as`, `xs`). Default 64.
    pub sources: usize,
    /// How many peers are kept. Default 128.
    pub peers: usize,
    /// How many ranges of files are read. Default 4096.
    pub ranges: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { length: 64 << 10, trackers: 128, sources: 64, peers: 128, ranges: 4096 }
    }
}

const START: &[u8] = b"magnet:?";
const V1: &[u8] = b"urn:btih:";
const V2: &[u8] = b"urn:btmh:";

/// The keys that are read. A warning names a key by its place here.
const KEYS: [&str; 11] = ["xt", "dn", "xl", "tr", "ws", "x.pe", "so", "as", "xs", "kt", "mt"];

pub(super) fn parse(text: &[u8], limits: &Limits, mut warn: impl FnMut(Warning)) -> Result<Magnet, Error> {
    let leading = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let link = text.trim_ascii();
    if link.len() > limits.length {
        return Err(Error::TooLong { length: link.len(), limit: limits.length });
    }
    let body = without_prefix(link, START).ok_or(Error::NotMagnet)?;
    let mut reading = Reading { limits, warn: &mut warn, v1: None, v2: None, ranges: Vec::new(), told: Vec::new() };
    // Which torrent it is of is known at the end.
    let mut magnet = Magnet::new(Topic::V1(InfoHash([0; 20])));
    let mut at = leading + START.len();
    for field in body.split(|byte| *byte == b'&') {
        let mut halves = field.splitn(2, |byte| *byte == b'=');
        let (key, value) = (halves.next().unwrap_or_default(), halves.next());
        if let (Some(key), Some(value)) = (known(key), value) {
            reading.field(key, value, at + field.len() - value.len(), &mut magnet)?;
        }
        at += field.len() + 1;
    }
    magnet.topic = match (reading.v1, reading.v2) {
        (Some(v1), Some(v2)) => Topic::Hybrid(v1, v2),
        (Some(v1), None) => Topic::V1(v1),
        (None, Some(v2)) => Topic::V2(v2),
        (None, None) => return Err(Error::NoInfoHash),
    };
    let ranges = FileRanges::new(reading.ranges);
    magnet.select_only = (!ranges.is_empty()).then_some(ranges);
    Ok(magnet)
}

/// Gives what follows a prefix, in any case.
fn without_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Gives the key, in its own case, if it is one that is read.
fn known(key: &[u8]) -> Option<&'static str> {
    let key = without_prefix(key, b"amp;").unwrap_or(key);
    let is = |key: &[u8]| KEYS.into_iter().find(|known| known.as_bytes().eq_ignore_ascii_case(key));
    is(key).or_else(|| {
        let dot = key.iter().rposition(|byte| *byte == b'.')?;
        let (key, number) = key.split_at_checked(dot)?;
        let digits = number.get(1..).filter(|digits| !digits.is_empty())?;
        if digits.iter().all(u8::is_ascii_digit) { is(key) } else { None }
    })
}

/// What has been read.
struct Reading<'a> {
    limits: &'a Limits,
    warn: &'a mut dyn FnMut(Warning),
    v1: Option<InfoHash>,
    v2: Option<InfoHashV2>,
    ranges: Vec<RangeInclusive<u32>>,
    /// The keys of which it was told that there are too many.
    told: Vec<&'static str>,
}

impl Reading<'_> {
    fn field(&mut self, key: &'static str, value: &[u8], at: usize, magnet: &mut Magnet) -> Result<(), Error> {
        let Limits { trackers, sources, peers, .. } = *self.limits;
        match key {
            "xt" => self.topic(value, at)?,
            "dn" => first(&mut magnet.name, Some(decode_text(value)).filter(|name| !name.is_empty())),
            "kt" => first(&mut magnet.keywords, Some(decode_text(value)).filter(|words| !words.is_empty())),
            "xl" if magnet.length.is_none() => {
                magnet.length = decode(value).ok().and_then(|digits| number(&digits));
                if magnet.length.is_none() {
                    (self.warn)(Warning::Ignored { key, at });
                }
            }
            "tr" => self.listed(key, value, at, &mut magnet.trackers, trackers, url),
            "ws" => self.listed(key, value, at, &mut magnet.web_seeds, sources, url),
            "as" => self.listed(key, value, at, &mut magnet.acceptable_sources, sources, url),
            "xs" => self.listed(key, value, at, &mut magnet.exact_sources, sources, url),
            "x.pe" => self.listed(key, value, at, &mut magnet.peers, peers, PeerAddress::parse),
            "mt" if magnet.manifest.is_none() => {
                let mut read = Vec::new();
                self.listed(key, value, at, &mut read, 1, url);
                magnet.manifest = read.pop();
            }
            "so" => self.files(key, value, at),
            _ => {}
        }
        Ok(())
    }

    fn topic(&mut self, value: &[u8], at: usize) -> Result<(), Error> {
        let value = decode(value).map_err(|_| Error::Escape { at })?;
        if let Some(hash) = without_prefix(&value, V1) {
            let hash = InfoHash(
                match hash.len() {
                    40 => hex(hash),
                    32 => base32(hash),
                    length => {
                        return Err(Error::HashLength { at, length, expected: "40 hexadecimal or 32 base32 digits" });
                    }
                }
                .map_err(|digit| Error::HashDigit { at, digit })?,
            );
            self.second(at, self.v1.is_some_and(|first| first != hash));
            self.v1.get_or_insert(hash);
        } else if let Some(tagged) = without_prefix(&value, V2) {
            // A multihash: 0x12 is SHA-256, 0x20 its length.
            let hash = tagged.strip_prefix(b"1220").ok_or(Error::Multihash { at })?;
            if hash.len() != 64 {
                return Err(Error::HashLength { at, length: tagged.len(), expected: "68 hexadecimal digits" });
            }
            let hash = InfoHashV2(hex(hash).map_err(|digit| Error::HashDigit { at, digit: digit + 4 })?);
            self.second(at, self.v2.is_some_and(|first| first != hash));
            self.v2.get_or_insert(hash);
        }
        Ok(())
    }

    fn second(&mut self, at: usize, differs: bool) {
        if differs {
            (self.warn)(Warning::SecondHash { at });
        }
    }

    /// Adds a value to a list that has each once.
    fn listed<T: PartialEq>(
        &mut self,
        key: &'static str,
        value: &[u8],
        at: usize,
        list: &mut Vec<T>,
        limit: usize,
        read: impl FnOnce(&str) -> Option<T>,
    ) {
        if value.is_empty() {
            return;
        }
        if list.len() >= limit {
            return self.too_many(key, limit);
        }
        let decoded = decode(value).ok();
        match decoded.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(read) {
            Some(item) if !list.contains(&item) => list.push(item),
            Some(_) => {}
            None => (self.warn)(Warning::Ignored { key, at }),
        }
    }

    fn files(&mut self, key: &'static str, value: &[u8], at: usize) {
        let Ok(decoded) = decode(value) else { return (self.warn)(Warning::Ignored { key, at }) };
        let mut bad = false;
        for part in decoded.split(|byte| *byte == b',').filter(|part| !part.is_empty()) {
            if self.ranges.len() >= self.limits.ranges {
                self.too_many(key, self.limits.ranges);
                break;
            }
            match parse_range(part) {
                Some(range) => self.ranges.push(range),
                None => bad = true,
            }
        }
        if bad {
            (self.warn)(Warning::Ignored { key, at });
        }
    }

    fn too_many(&mut self, key: &'static str, limit: usize) {
        if !self.told.contains(&key) {
            self.told.push(key);
            (self.warn)(Warning::TooMany { key, limit });
        }
    }
}

/// Keeps the first value that there is.
fn first(to: &mut Option<String>, value: Option<String>) {
    if to.is_none() {
        *to = value;
    }
}

/// Takes an address that can be sent on without doing harm.
fn url(text: &str) -> Option<String> {
    let is_good = !text.is_empty() && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    is_good.then(|| text.to_owned())
}

fn number(digits: &[u8]) -> Option<u64> {
    // A number's parser takes a plus sign too.
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

/// Reads twice as many digits as there are bytes; else gives the place of the first that is none.
fn hex<const N: usize>(digits: &[u8]) -> Result<[u8; N], usize> {
    let mut out = [0; N];
    for (place, digit) in digits.iter().enumerate() {
        let value = char::from(*digit).to_digit(16).ok_or(place)?;
        if let Some(byte) = out.get_mut(place / 2) {
            *byte = *byte << 4 | value as u8;
        }
    }
    Ok(out)
}

/// Reads 32 digits of base32 (RFC 4648), in any case; else gives the place of the first that is none.
fn base32(digits: &[u8]) -> Result<[u8; 20], usize> {
    let mut out = [0; 20];
    for (group, bytes) in digits.chunks(8).zip(out.chunks_exact_mut(5)).enumerate().map(|(n, (g, b))| ((n, g), b)) {
        let mut value = 0_u64;
        for (place, digit) in group.1.iter().enumerate() {
            let digit = match digit.to_ascii_uppercase() {
                letter @ b'A'..=b'Z' => letter - b'A',
                number @ b'2'..=b'7' => number - b'2' + 26,
                _ => return Err(group.0 * 8 + place),
            };
            value = value << 5 | u64::from(digit);
        }
        bytes.copy_from_slice(&value.to_be_bytes()[3..]);
    }
    Ok(out)
}

#[cfg(test)]
#[path = "cases.rs"]
mod cases;
