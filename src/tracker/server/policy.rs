//! Rules of one's own.

use crate::machine::Instant;
use crate::proto::announce::{Event, Progress};
use crate::proto::http_tracker::Retry;
use crate::proto::id::{InfoHash, PeerId};
use crate::proto::udp_tracker::Options;
use std::borrow::Cow;
use std::net::SocketAddr;

/// Rules of one's own: who is answered, and who is refused.
///
/// It is asked on the server's own thread, before anything is taken down, and after what the server checks itself: connection ids, and the [`Access`](super::Access)
/// list. It is pure: it has no time but the one it is given, and it must not block, for everybody else waits meanwhile. What needs a database is looked up
/// elsewhere and brought in over a channel or a shared map. With several workers each has a policy of its own.
///
/// ```
/// use bip::machine::Instant;
/// use bip::tracker::server::{AnnounceRequest, Policy, Verdict};
///
/// /// Who knows the word may come in: `udp://tracker.example:6969/sesame`, `http://tracker.example/announce/sesame`.
/// struct Door;
///
/// impl Policy for Door {
///     fn announce(&mut self, _now: Instant, request: &AnnounceRequest<'_>) -> Verdict {
///         let url = request.url().unwrap_or_default();
///         let knows = url.split(|byte| matches!(byte, b'/' | b'?')).any(|part| part == b"sesame");
///         if knows { Verdict::Answer } else { Verdict::refuse("who are you?") }
///     }
/// }
/// ```
pub trait Policy: Send {
    /// Says whether who asks for a connection id over UDP is given one. Nobody knows yet whether the address is its own. Default yes.
    fn connect(&mut self, _now: Instant, _from: SocketAddr) -> bool {
        true
    }

    /// Says what becomes of an announce. Default [`Verdict::Answer`].
    fn announce(&mut self, _now: Instant, _request: &AnnounceRequest<'_>) -> Verdict {
        Verdict::Answer
    }

    /// Says whether somebody is told the figures of a torrent; it gets zeros otherwise. Default yes.
    fn scrape(&mut self, _now: Instant, _from: SocketAddr, _info_hash: &InfoHash) -> bool {
        true
    }
}

/// Answers everybody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Everybody;

impl Policy for Everybody {}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken down and answered.
    Answer,
    /// It is refused, with words for the user: at most 200 bytes of them are told.
    Refuse {
        /// The words.
        reason: Cow<'static, str>,
        /// When to ask again, which only clients over HTTP are told (BEP 31).
        retry: Option<Retry>,
    },
    /// Over UDP there is no answer, over HTTP the connection is closed.
    Ignore,
}

impl Verdict {
    /// Makes a refusal.
    pub fn refuse(reason: impl Into<Cow<'static, str>>) -> Self {
        Verdict::Refuse { reason: reason.into(), retry: None }
    }
}

/// What an announcer says, as a [`Policy`] sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnounceRequest<'a> {
    /// Who asks: over HTTP behind a proxy, the client's address as the proxy says, with port 0.
    pub from: SocketAddr,
    /// Where the announcer is to be reached.
    pub peer: SocketAddr,
    /// The torrent.
    pub info_hash: InfoHash,
    /// The client's name for itself.
    pub peer_id: PeerId,
    /// How far it is, as it says.
    pub progress: Progress,
    /// Why it announces.
    pub event: Event,
    /// How many peers it wants, if it says.
    pub num_want: Option<u32>,
    pub(super) url: Url<'a>,
}

/// Where the URL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Url<'a> {
    /// In what follows a UDP announce.
    Options(Options<'a>),
    /// Here.
    Target(&'a [u8]),
}

impl<'a> AnnounceRequest<'a> {
    /// Gives the path and query of the URL that the client knows the tracker by: over UDP as BEP 41 has it, over HTTP with the whole request in its query. `None`
    /// where the client does not say.
    pub fn url(&self) -> Option<Cow<'a, [u8]>> {
        match self.url {
            Url::Options(options) => options.url_data().ok().flatten(),
            Url::Target(target) => Some(Cow::Borrowed(target)),
        }
    }

    /// Says whether it came over HTTP.
    pub fn is_http(&self) -> bool {
        matches!(self.url, Url::Target(_))
    }
}
