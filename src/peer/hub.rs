use super::throttle::{Lane, Throttle};
use super::{Config, Event};
use crate::machine::{BlockPool, ConnId, DialId, Instant, Rng, Timers, TokenBucket, TorrentId};
use crate::proto::geometry::Span;
use crate::proto::id::PeerId;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// What all torrents and connections of a swarm share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) peer_id: PeerId,
    pub(super) pool: BlockPool,
    pub(super) timers: Timers<Timer>,
    pub(super) events: VecDeque<Event>,
    pub(super) steps: VecDeque<Step>,
    pub(super) throttle: Throttle,
    /// The dials that may begin.
    pub(super) dial_tokens: TokenBucket,
    /// How many connections have shaken hands.
    pub(super) open: usize,
    /// How many of these came in.
    pub(super) inbound: usize,
    /// How many dials and dialled connections have not.
    pub(super) dialling: usize,
    /// How many connections that came in have not.
    pub(super) arriving: usize,
    /// How many asks for bytes there have been.
    pub(super) tickets: u32,
    /// An empty list with room, for requests on their way.
    pub(super) spans: Vec<Span>,
}

impl Hub {
    pub(super) fn connect(&mut self, dial: DialId, to: SocketAddr) {
        self.steps.push_back(Step::Connect(dial, to));
    }

    /// Closes a connection at once, whatever was to be written.
    pub(super) fn abort(&mut self, conn: ConnId) {
        self.steps.push_back(Step::Close(conn, false));
    }

    /// Sets a timer, never for the present: so that the past is always left in a bounded number of calls.
    pub(super) fn set_timer(&mut self, now: Instant, timer: Timer, at: Instant) {
        let at = at.max(now + Duration::from_millis(1));
        if at < Instant::NEVER {
            self.timers.set(timer, at);
        }
    }

    /// Sets a timer unless it runs already for an earlier time.
    pub(super) fn set_timer_by(&mut self, now: Instant, timer: Timer, at: Instant) {
        let at = at.max(now + Duration::from_millis(1));
        if at < Instant::NEVER {
            self.timers.set_by(timer, at);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A connection's next deadline, whichever it is.
    Connection(ConnId),
    /// A dial takes too long.
    Abandon(DialId),
    /// A torrent may dial.
    Dial(TorrentId),
    /// A torrent's upload slots are given out anew.
    Choke(TorrentId),
    /// A torrent may ask its peers for more.
    Refill(TorrentId),
    /// A torrent's requests may be better off with other peers.
    Reassign(TorrentId),
    /// A torrent's figures may be published.
    Status(TorrentId),
    /// The swarm's rates may have room for those who wait.
    Turns(Lane),
    /// The same for a torrent's rates.
    TorrentTurns(Lane, TorrentId),
    /// Another dial may begin.
    DialRate,
}

/// Something for the host to do, in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Connect(DialId, SocketAddr),
    Abandon(DialId),
    /// Write what the connection's outbox holds; the place in the table is given beside the name.
    Flush(usize, ConnId),
    Close(ConnId, bool),
    StopReading(ConnId),
    ResumeReading(ConnId),
}
