//! A request on its way: from a URL to an address, from there to an answer.

use super::command::{Announce, RequestId, Trust};
use crate::machine::{Instant, JobId, SocketId, TorrentId};
use crate::proto::compact::Family;
use crate::proto::http_tracker::ScrapeFile;
use crate::proto::id::InfoHash;
use crate::proto::tracker_url::TrackerUrl;
use std::net::SocketAddr;
use std::time::Duration;

/// A request's place. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u64);

/// Who wants the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The program.
    Program(RequestId),
    /// A followed torrent: which of its trackers, over which family.
    Torrent { torrent: TorrentId, tracker: usize, family: Family },
    /// Nobody any more: a private torrent's farewell to a tracker that it has left.
    Nobody,
}

impl Origin {
    /// Gives the tracker and family of a followed torrent that this is about.
    pub(super) fn end(self) -> Option<(usize, Family)> {
        match self {
            Origin::Torrent { tracker, family, .. } => Some((tracker, family)),
            _ => None,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ask {
    Announce(Announce),
    /// What is known so far is of the first torrents.
    Scrape {
        info_hashes: Vec<InfoHash>,
        files: Vec<ScrapeFile>,
    },
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// The name is being looked up.
    Resolving,
    /// Over UDP.
    Udp(Exchange),
    /// Waits for its turn among the HTTP requests.
    Queued,
    /// Is being fetched.
    Fetching(JobId),
}

/// A request over UDP.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exchange {
    pub(super) socket: SocketId,
    pub(super) to: SocketAddr,
    pub(super) stage: Stage,
    /// What the answer is known by, once it was sent.
    pub(super) transaction: Option<u32>,
    /// How often it was sent.
    pub(super) sent: u32,
    /// When it was first ready to be sent: a connection id from before may be one that the tracker has forgotten.
    pub(super) since: Instant,
    /// When it was sent last.
    pub(super) asked: Instant,
    /// Whether the tracker has refused the connection id once.
    pub(super) refused: bool,
}

/// How far a request over UDP is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for a connection id.
    Waiting,
    /// May be sent.
    Ready,
    /// Was sent.
    Asked,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) origin: Origin,
    pub(super) url: TrackerUrl,
    pub(super) trust: Trust,
    pub(super) family: Option<Family>,
    pub(super) ask: Ask,
    /// When it ends without an answer: until it is its turn to be asked, when it has waited for too long.
    pub(super) deadline: Instant,
    /// It tells of an end and has little time: it waits for no other, and its deadline stays.
    pub(super) farewell: bool,
    /// How long it may yet be fetched: of HTTP only.
    pub(super) budget: Duration,
    pub(super) step: Step,
    /// The addresses of the tracker that may be asked: of HTTP only.
    pub(super) addresses: Vec<SocketAddr>,
}

impl Request {
    /// Gives the exchange over UDP, to change it.
    pub(super) fn exchange(&mut self) -> Option<&mut Exchange> {
        match &mut self.step {
            Step::Udp(exchange) => Some(exchange),
            _ => None,
        }
    }

    /// Names the server of an HTTP tracker.
    pub(super) fn server(&self) -> String {
        format!("{}:{}", self.url.host(), self.url.port())
    }

    /// Gives the torrents of the next part of a scrape.
    pub(super) fn part(&self, most: usize) -> &[InfoHash] {
        match &self.ask {
            Ask::Scrape { info_hashes, files } => {
                let rest = info_hashes.get(files.len()..).unwrap_or_default();
                rest.get(..most).unwrap_or(rest)
            }
            Ask::Announce(_) => &[],
        }
    }
}
