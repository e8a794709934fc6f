//! What a client is asked, and what it tells.

use super::error::Error;
use crate::machine::{Instant, TorrentId};
use crate::proto::announce::{Event as Reason, Progress};
use crate::proto::compact::Family;
use crate::proto::http_tracker::ScrapeFile;
use crate::proto::id::{InfoHash, PeerId};
use crate::proto::tracker_url::TrackerUrl;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The program's own name for a request. Not used again while it is unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Who named a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Trust {
    /// The user, or a torrent file of his: the tracker may be in a private network.
    #[default]
    Local,
    /// Somebody else, as in a magnet link from a web page: it must be on the Internet.
    Stranger,
}

/// What a client is asked. Each with a `request` is answered by exactly one terminal event with the same; so are
/// [`Follow`](Self::Follow), [`Leave`](Self::Leave) and [`ShutDown`](Self::ShutDown).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Announces once. Answered by [`Event::Announced`] or [`Event::Failed`].
    Announce {
        /// The program's name for it.
        request: RequestId,
        /// The tracker.
        url: TrackerUrl,
        /// Who named it.
        trust: Trust,
        /// Over which family; `None`: by the first address that the name has and that can be reached from here.
        family: Option<Family>,
        /// What is told.
        announce: Announce,
    },
    /// Asks for the figures of torrents (BEP 15, BEP 48). Answered by [`Event::Scraped`] or [`Event::Failed`].
    Scrape {
        /// The program's name for it.
        request: RequestId,
        /// The tracker's URL, as for announces.
        url: TrackerUrl,
        /// Who named it.
        trust: Trust,
        /// The torrents, at least one.
        info_hashes: Vec<InfoHash>,
    },
    /// Ends a request now: it is answered by [`Error::Cancelled`]. No answer of its own.
    Cancel {
        /// The request.
        request: RequestId,
    },
    /// Announces a torrent at its trackers from now on. Answered by [`Event::Followed`] or [`Event::FollowRefused`].
    Follow {
        /// The torrent.
        torrent: TorrentId,
        /// What it is.
        following: Box<Following>,
    },
    /// Says how far a followed torrent is: what the next announces tell. No answer.
    Progress {
        /// The torrent.
        torrent: TorrentId,
        /// How far it is.
        progress: Progress,
    },
    /// Says that a followed torrent is complete now, which its trackers are told once. No answer.
    Completed {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Asks for more peers of a followed torrent: it is announced again as soon as its tracker permits. No answer.
    MorePeers {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Announces a torrent no more; those of its trackers that answered last are told `stopped`. Answered by [`Event::Left`], within
    /// [`Config::stop_timeout`](super::Config::stop_timeout); also if it is not followed.
    Leave {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Has no farewell take longer from now on than this, also where [`Config::stop_timeout`](super::Config::stop_timeout) is longer; those under way
    /// included. For who has to end by a time. No answer.
    StopWithin {
        /// How long.
        time: Duration,
    },
    /// Ends everything: requests are answered by [`Error::ShutDown`], torrents are left. Answered by [`Event::ShutDown`] within
    /// [`Config::stop_timeout`](super::Config::stop_timeout), after which nothing happens any more.
    ShutDown,
}

/// What a tracker is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Announce {
    /// The torrent; of a v2 torrent the first 20 bytes.
    pub info_hash: InfoHash,
    /// Our name as a peer.
    pub peer_id: PeerId,
    /// The port at which peers reach us.
    pub port: u16,
    /// How far we are.
    pub progress: Progress,
    /// Why it is told.
    pub event: Reason,
    /// How many peers are wanted; `None` leaves it to the tracker.
    pub num_want: Option<u32>,
    /// What we are known by when our address changes: secret, and the same for all announces of a torrent.
    pub key: u32,
    /// What the tracker said to send with further announces ([`AnnounceReply::tracker_id`]).
    pub tracker_id: Option<Vec<u8>>,
}

impl Announce {
    /// Makes an announce of a torrent and a peer, all else being 0 or none.
    pub fn new(info_hash: InfoHash, peer_id: PeerId, port: u16) -> Self {
        Self {
            info_hash,
            peer_id,
            port,
            progress: Progress::default(),
            event: Reason::None,
            num_want: None,
            key: 0,
            tracker_id: None,
        }
    }
}

impl fmt::Debug for Announce {
    /// The key is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announce")
            .field("info_hash", &self.info_hash)
            .field("port", &self.port)
            .field("progress", &self.progress)
            .field("event", &self.event)
            .field("num_want", &self.num_want)
            .finish_non_exhaustive()
    }
}

/// What a tracker answers to an announce.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnnounceReply {
    /// After how long to announce again, as the tracker says.
    pub interval: Duration,
    /// After how long to announce at the earliest, if it says so (HTTP).
    pub min_interval: Option<Duration>,
    /// How many peers have all of the torrent.
    pub seeders: Option<u32>,
    /// How many peers do not have all of it.
    pub leechers: Option<u32>,
    /// How many times it was downloaded in full (HTTP).
    pub completed: Option<u32>,
    /// Peers: at most [`Config::max_peers`](super::Config::max_peers), none that nobody can be.
    pub peers: Vec<SocketAddr>,
    /// What to send with further announces (HTTP).
    pub tracker_id: Option<Vec<u8>>,
    /// Words for the user, although the announce was taken, without what a terminal would obey (HTTP).
    pub warning: Option<String>,
    /// The address that the tracker saw (BEP 24).
    pub external_ip: Option<IpAddr>,
}

/// A torrent that is to be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Following {
    /// Its name on the wire.
    pub info_hash: InfoHash,
    /// Our name as a peer.
    pub peer_id: PeerId,
    /// The port at which peers reach us; over IPv6 only if [`port_v6`](Self::port_v6) names none.
    pub port: u16,
    /// The port at which peers reach us over IPv6, where it is another one.
    pub port_v6: Option<u16>,
    /// Its trackers, in tiers (BEP 12): those of a tier are asked in random order, the next tier when all of one have failed. One that comes
    /// again is left out.
    pub tiers: Vec<Vec<TrackerUrl>>,
    /// Who named them.
    pub trust: Trust,
    /// Whether peers may come from one tracker at a time only (BEP 27).
    pub private: bool,
    /// How far it is.
    pub progress: Progress,
    /// How many peers are wanted; `None` leaves it to the tracker.
    pub num_want: Option<u32>,
}

impl Following {
    /// Describes a public torrent of which nothing is known.
    pub fn new(info_hash: InfoHash, peer_id: PeerId, port: u16, tiers: Vec<Vec<TrackerUrl>>) -> Self {
        Self {
            info_hash,
            peer_id,
            port,
            port_v6: None,
            tiers,
            trust: Trust::Local,
            private: false,
            progress: Progress { left: Progress::UNKNOWN, ..Progress::default() },
            num_want: None,
        }
    }
}

/// What a tracker of a followed torrent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackerState {
    /// It was not asked yet.
    Idle,
    /// It answered last.
    Working,
    /// It did not, and is asked again later.
    Failing,
    /// It is not asked again: it said so, or cannot be asked.
    Disabled,
}

impl fmt::Display for TrackerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrackerState::Idle => "idle",
            TrackerState::Working => "working",
            TrackerState::Failing => "failing",
            TrackerState::Disabled => "disabled",
        })
    }
}

/// How a tracker of a followed torrent is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackerStatus {
    /// The tracker.
    pub url: TrackerUrl,
    /// Its tier, from 0.
    pub tier: usize,
    /// What it is doing.
    pub state: TrackerState,
    /// When it last answered.
    pub last_ok: Option<Instant>,
    /// When it is asked again, at the earliest.
    pub next: Option<Instant>,
    /// How many peers have all of the torrent, as it said.
    pub seeders: Option<u32>,
    /// How many peers do not have all of it.
    pub leechers: Option<u32>,
    /// How many peers its last answer gave.
    pub peers: usize,
    /// Why it failed last; none once it answered.
    pub error: Option<Error>,
    /// Words of its last answer for the user, without what a terminal would obey.
    pub warning: Option<String>,
    /// Our address as it saw it (BEP 24), in the last answer that had one. Nobody else vouches for it.
    pub external_ip: Option<IpAddr>,
}

/// What a client tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Answer: the tracker took the announce.
    Announced {
        /// The request.
        request: RequestId,
        /// What it says.
        reply: AnnounceReply,
    },
    /// Answer: the figures, one for each torrent that was asked for, in that order; what the tracker does not know is `None`.
    Scraped {
        /// The request.
        request: RequestId,
        /// The figures.
        files: Vec<ScrapeFile>,
    },
    /// Answer: there is none.
    Failed {
        /// The request.
        request: RequestId,
        /// Why.
        error: Error,
    },
    /// Answer: the torrent is announced from now on.
    Followed {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Answer: the torrent is not announced.
    FollowRefused {
        /// The torrent.
        torrent: TorrentId,
        /// Why: [`Error::Busy`], [`Error::Duplicate`] or [`Error::ShutDown`].
        error: Error,
    },
    /// Answer: the torrent is announced no more, and nothing more is told of it.
    Left {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Answer: all has ended.
    ShutDown,
    /// News: a tracker told of peers.
    Peers {
        /// The torrent.
        torrent: TorrentId,
        /// The tracker.
        url: TrackerUrl,
        /// The peers, at least one.
        peers: Vec<SocketAddr>,
    },
    /// News: a private torrent is at another tracker now, and the peers that came from the one before are to be dropped (BEP 27). What
    /// the new one tells comes after this.
    Switched {
        /// The torrent.
        torrent: TorrentId,
    },
    /// News: a tracker is not as it was.
    Tracker {
        /// The torrent.
        torrent: TorrentId,
        /// How it is.
        status: Box<TrackerStatus>,
    },
}

impl Event {
    /// The request that this is about, if it is about one.
    pub fn request(&self) -> Option<RequestId> {
        match *self {
            Self::Announced { request, .. } | Self::Scraped { request, .. } | Self::Failed { request, .. } => {
                Some(request)
            }
            _ => None,
        }
    }
}
