//! What a link says, and how it is written.

use super::error::{Error, Warning};
use super::parse::{self, Limits};
use super::peer::PeerAddress;
use super::percent::Encoded;
use super::ranges::FileRanges;
use crate::proto::id::{InfoHash, InfoHashV2};
use std::fmt;
use std::str::FromStr;

/// Which torrent a link is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One of version 1 (BEP 3), or a hybrid of which nothing else is known.
    V1(InfoHash),
    /// One of version 2 (BEP 52), or a hybrid of which nothing else is known.
    V2(InfoHashV2),
    /// One of both versions.
    Hybrid(InfoHash, InfoHashV2),
}

impl Topic {
    /// Gives the info hash of version 1.
    pub fn v1(&self) -> Option<InfoHash> {
        match self {
            Topic::V1(v1) | Topic::Hybrid(v1, _) => Some(*v1),
            Topic::V2(_) => None,
        }
    }

    /// Gives the info hash of version 2.
    pub fn v2(&self) -> Option<InfoHashV2> {
        match self {
            Topic::V2(v2) | Topic::Hybrid(_, v2) => Some(*v2),
            Topic::V1(_) => None,
        }
    }
}

/// A magnet link.
///
/// Shown in its canonical form, which parses to the same value if the value came from a link: one that was put together may have what
/// no link can say, such as an address with a space.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Magnet {
    /// Which torrent it is of.
    pub topic: Topic,
    /// What to call it until its own name is known; never empty. Not fit for a file's name, nor to be shown as it is.
    pub name: Option<String>,
    /// How many bytes it has, as the link says.
    pub length: Option<u64>,
    /// The URLs of trackers, in the order in which they should be tried.
    pub trackers: Vec<String>,
    /// The URLs of web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// Peers.
    pub peers: Vec<PeerAddress>,
    /// The files that are wanted (BEP 53); `None` for all.
    pub select_only: Option<FileRanges>,
    /// Where the torrent can be fetched by other means: `as`.
    pub acceptable_sources: Vec<String>,
    /// Where the torrent file is: `xs`.
    pub exact_sources: Vec<String>,
    /// Words to search for: `kt`.
    pub keywords: Option<String>,
    /// Where a list of links is that this one belongs to: `mt`.
    pub manifest: Option<String>,
}

impl Magnet {
    /// Makes the link that says nothing but which torrent it is of.
    pub fn new(topic: Topic) -> Self {
        Self {
            topic,
            name: None,
            length: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            peers: Vec::new(),
            select_only: None,
            acceptable_sources: Vec::new(),
            exact_sources: Vec::new(),
            keywords: None,
            manifest: None,
        }
    }

    /// Reads a link, of text or of bytes that should be text. What is odd about it is told to `warn`.
    ///
    /// ```
    /// use bip::proto::magnet::{Limits, Magnet};
    /// let mut warnings = Vec::new();
    /// let link = "magnet:?xt=urn:btih:631a31dd0a46257d5078c0dee4e66e26f73e42ac&x.pe=nowhere";
    /// let magnet = Magnet::parse(link, &Limits::default(), |warning| warnings.push(warning.to_string()))?;
    /// assert!(magnet.peers.is_empty());
    /// assert_eq!(warnings, ["x.pe at byte 66 cannot be read and was left out"]);
    /// # Ok::<(), bip::proto::magnet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// It is no magnet link, it is too long, or it has no info hash or a wrong one.
    pub fn parse(link: impl AsRef<[u8]>, limits: &Limits, warn: impl FnMut(Warning)) -> Result<Self, Error> {
        parse::parse(link.as_ref(), limits, warn)
    }
}

impl FromStr for Magnet {
    type Err = Error;

    /// Reads a link within the default limits, and says nothing of what is odd.
    fn from_str(link: &str) -> Result<Self, Error> {
        Self::parse(link, &Limits::default(), |_| {})
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("magnet:?")?;
        match self.topic {
            Topic::V1(v1) => write!(f, "xt=urn:btih:{v1}")?,
            Topic::V2(v2) => write!(f, "xt=urn:btmh:1220{v2}")?,
            Topic::Hybrid(v1, v2) => write!(f, "xt=urn:btih:{v1}&xt=urn:btmh:1220{v2}")?,
        }
        if let Some(name) = &self.name {
            write!(f, "&dn={}", Encoded(name))?;
        }
        if let Some(length) = self.length {
            write!(f, "&xl={length}")?;
        }
        let urls = |f: &mut fmt::Formatter<'_>, key: &str, urls: &[String]| {
            urls.iter().try_for_each(|url| write!(f, "&{key}={}", Encoded(url)))
        };
        urls(f, "tr", &self.trackers)?;
        urls(f, "ws", &self.web_seeds)?;
        // Neither has a character that must be encoded, and some clients do not decode them.
        self.peers.iter().try_for_each(|peer| write!(f, "&x.pe={peer}"))?;
        if let Some(ranges) = &self.select_only {
            write!(f, "&so={ranges}")?;
        }
        urls(f, "as", &self.acceptable_sources)?;
        urls(f, "xs", &self.exact_sources)?;
        if let Some(words) = &self.keywords {
            write!(f, "&kt={}", Encoded(words))?;
        }
        urls(f, "mt", self.manifest.as_slice())
    }
}
