use super::choking::Turn;
use super::hub::{Hub, Step, Timer};
use super::outbox::Outbox;
use super::throttle::Lane;
use super::upload::Queue;
use crate::machine::{Block, BlockBuf, ConnId, Instant, Map, RateMeter, Rng};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::Span;
use crate::proto::handshake::Decoder;
use crate::proto::id::PeerId;
use crate::proto::message::{Frames, Limits, Message, Spoken};
use crate::select;
use slab::Slab;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// How many requests that were given to others a connection remembers: twice as many as are open to a peer by default.
const LATE: usize = 1000;
/// How many times [`Config::silence`](super::Config::silence) a peer may take to read what we send while its queue is full.
const SLOW_READER: u32 = 5;

/// A stream to a peer.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its place in the [`Table`].
    pub(super) key: usize,
    pub(super) id: ConnId,
    pub(super) address: SocketAddr,
    /// Whether we dialled.
    pub(super) dialled: bool,
    pub(super) stage: Stage,
    pub(super) outbox: Outbox,
    /// Whether a step to write the outbox is under way.
    flushing: bool,
    pub(super) last_heard: Instant,
    last_sent: Instant,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Bytes of a handshake are coming.
    Handshaking {
        decoder: Decoder,
        /// The torrent's place: known from the start where we dialled, from the 48th byte on where we did not.
        torrent: Option<usize>,
        deadline: Instant,
    },
    /// Hands are shaken.
    Open(Box<Link>),
    /// We closed it; the host has not confirmed that.
    Closing,
}

/// What there is between us and a peer that shook hands.
#[derive(Debug)]
pub(super) struct Link {
    /// The torrent's place.
    pub(super) torrent: usize,
    /// The connection's key among the torrent's peers.
    pub(super) peer: select::Peer,
    pub(super) peer_id: PeerId,
    /// When hands were shaken.
    pub(super) opened: Instant,
    /// When bytes of a block last came or went; `None` where none has.
    pub(super) moved: Option<Instant>,
    pub(super) frames: Frames,
    pub(super) has: Bitfield,
    /// How many bitfields have come that told of no more pieces than before.
    pub(super) bitfields: u8,
    pub(super) we_choke: bool,
    pub(super) we_want: bool,
    pub(super) they_choke: bool,
    pub(super) they_want: bool,
    /// When we last choked or unchoked.
    pub(super) choked_at: Instant,
    pub(super) turn: Turn,

    /// What we asked for, oldest first.
    pub(super) asked: VecDeque<Span>,
    /// What we asked for and then gave to others because the peer choked us or was slow; it may still come. Oldest
    /// first, at most [`LATE`].
    pub(super) late: VecDeque<Span>,
    pub(super) pipeline: select::Pipeline,
    /// How many blocks it sent that it was not asked for.
    pub(super) unasked: u32,
    /// The block that is coming in.
    pub(super) incoming: Option<Incoming>,
    /// The peer's key among the torrent's givers of blocks.
    pub(super) giver: u32,
    /// When bytes of a block last came.
    pub(super) gave: Option<Instant>,

    pub(super) queue: Queue,
    /// What was read and waits for room in the queue, from `held_at` on.
    pub(super) held: Vec<u8>,
    pub(super) held_at: usize,
    /// Whether the connection is not read because the queue is full.
    pub(super) stopped_by_queue: bool,
    /// Whether the connection is not read because the store is behind.
    pub(super) stopped_by_store: bool,
    /// Whether the connection is not read because more came than the download rate allows.
    pub(super) stopped_by_rate: bool,
    /// In which of its torrent's lines it stands.
    pub(super) waits: [bool; 3],
    /// How many blocks asked of it have been counted for the download rate.
    pub(super) counted: u64,
    /// Whether the host has been told to stop reading.
    stopped: bool,

    pub(super) download: RateMeter,
    pub(super) upload: RateMeter,
}

/// A block that is coming in.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) span: Span,
    /// Where its bytes go; `None` where nobody wants them.
    pub(super) buf: Option<BlockBuf>,
}

impl Link {
    pub(super) fn new(
        now: Instant,
        torrent: usize,
        peer: select::Peer,
        peer_id: PeerId,
        pieces: u32,
        giver: u32,
        hub: &mut Hub,
    ) -> Self {
        // Our handshake offers nothing beyond BEP 3.
        let limits = Limits { other: hub.config.longest_message, spoken: Spoken::NONE, ..Limits::of_torrent(pieces) };
        Self {
            torrent,
            peer,
            peer_id,
            opened: now,
            moved: None,
            frames: Frames::new(limits),
            has: Bitfield::new(pieces),
            bitfields: 0,
            we_choke: true,
            we_want: false,
            they_choke: true,
            they_want: false,
            choked_at: now,
            turn: Turn::default(),
            asked: VecDeque::new(),
            late: VecDeque::new(),
            pipeline: select::Pipeline::new(hub.config.pipeline),
            unasked: 0,
            incoming: None,
            giver,
            gave: None,
            queue: Queue::new(&mut hub.rng),
            held: Vec::new(),
            held_at: 0,
            stopped_by_queue: false,
            stopped_by_store: false,
            stopped_by_rate: false,
            waits: [false; 3],
            counted: 0,
            stopped: false,
            download: RateMeter::new(),
            upload: RateMeter::new(),
        }
    }

    /// Says whether we do not read the peer because of limits of ours: then it cannot be said to owe us anything.
    ///
    /// That its queue of requests is full is its own doing, however slowly we may serve it: or whoever asks for enough would keep
    /// for ever what it was asked for.
    pub(super) fn is_held_back(&self) -> bool {
        self.stopped_by_store || self.stopped_by_rate
    }

    /// Says whether the peer may be silent because of us: we do not read it, or not before we have served it.
    pub(super) fn may_be_silent(&self) -> bool {
        let serving = self.queue.is_loading() || self.waits[Lane::Upload as usize];
        self.is_held_back() || self.stopped_by_queue && serving
    }

    /// Says whether the peer owes us blocks and has sent none for that long; or has stalled, and keeps us from reading it by more
    /// requests than we queue.
    pub(super) fn snubs(&self, now: Instant, after: Duration) -> bool {
        let asked_in_vain =
            self.pipeline.unanswered(now) >= after || self.stopped_by_queue && self.pipeline.has_stalled();
        !self.they_choke && self.we_want && !self.is_held_back() && asked_in_vain
    }

    /// Takes what is asked for as given to others: it may still come.
    pub(super) fn release(&mut self) {
        self.late.extend(self.asked.drain(..));
        self.late.drain(..self.late.len().saturating_sub(LATE));
    }

    /// Takes one request as given to another: it may still come.
    pub(super) fn release_one(&mut self, now: Instant, span: Span) {
        let Some(at) = self.asked.iter().position(|s| *s == span) else { return };
        self.late.extend(self.asked.remove(at));
        self.late.drain(..self.late.len().saturating_sub(LATE));
        self.pipeline.on_cancelled(now);
    }
}

impl Connection {
    fn new(now: Instant, key: usize, id: ConnId, address: SocketAddr, dialled: bool, stage: Stage) -> Self {
        Self {
            key,
            id,
            address,
            dialled,
            stage,
            outbox: Outbox::default(),
            flushing: false,
            last_heard: now,
            last_sent: now,
        }
    }

    pub(super) fn link(&self) -> Option<&Link> {
        if let Stage::Open(link) = &self.stage { Some(link) } else { None }
    }

    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        if let Stage::Open(link) = &mut self.stage { Some(link) } else { None }
    }

    pub(super) fn send(&mut self, hub: &mut Hub, now: Instant, message: &Message<'_>) {
        self.outbox.message(message);
        self.flush(hub, now);
    }

    /// Asks for blocks.
    pub(super) fn ask(&mut self, hub: &mut Hub, now: Instant, spans: &[Span]) {
        let id = self.id;
        let Some(link) = self.link_mut() else { return };
        link.asked.extend(spans);
        let idle = link.pipeline.open() == 0;
        link.pipeline.on_sent(now, spans.len());
        if let Some(at) = link.pipeline.stalls_at().filter(|_| idle) {
            hub.set_timer_by(now, Timer::Connection(id), at);
        }
        for span in spans {
            self.send(hub, now, &Message::Request(*span));
        }
    }

    pub(super) fn send_raw(&mut self, hub: &mut Hub, now: Instant, bytes: &[u8]) {
        self.outbox.raw(bytes);
        self.flush(hub, now);
    }

    pub(super) fn send_block(&mut self, hub: &mut Hub, now: Instant, span: Span, block: Block) {
        self.outbox.block(span, block);
        self.flush(hub, now);
    }

    fn flush(&mut self, hub: &mut Hub, now: Instant) {
        self.last_sent = now;
        if !self.flushing {
            self.flushing = true;
            hub.steps.push_back(Step::Flush(self.key, self.id));
        }
    }

    /// Takes note that the host has been given all of the outbox.
    pub(super) fn on_flushed(&mut self) {
        self.flushing = false;
    }

    /// Has the host read or not, as the link says.
    pub(super) fn set_reading(&mut self, hub: &mut Hub) {
        let id = self.id;
        let Some(link) = self.link_mut() else { return };
        let stop = link.stopped_by_queue || link.is_held_back();
        if stop != link.stopped {
            link.stopped = stop;
            hub.steps.push_back(if stop { Step::StopReading(id) } else { Step::ResumeReading(id) });
        }
    }

    /// Gives the time at which something is due if nothing happens before, and sets the timer for it.
    pub(super) fn set_timer(&self, hub: &mut Hub, now: Instant) {
        let config = &hub.config;
        let at = match &self.stage {
            Stage::Handshaking { deadline, .. } => *deadline,
            Stage::Closing => return,
            Stage::Open(link) => {
                let mut at = self.silent_at(hub).min(self.last_sent + config.keep_alive);
                if let Some(stalls_at) = link.pipeline.stalls_at() {
                    at = at.min(stalls_at);
                }
                at
            }
        };
        hub.set_timer(now, Timer::Connection(self.id), at);
    }

    /// Gives when the peer counts as silent unless something comes.
    ///
    /// One that is not read because its queue is full shows that it lives only by reading what we send, and the host tells of that
    /// only when little of it is left.
    pub(super) fn silent_at(&self, hub: &Hub) -> Instant {
        let reads_slowly = self.link().is_some_and(|link| link.stopped_by_queue);
        self.last_heard + hub.config.silence.saturating_mul(if reads_slowly { SLOW_READER } else { 1 })
    }

    pub(super) fn is_keep_alive_due(&self, hub: &Hub, now: Instant) -> bool {
        self.last_sent + hub.config.keep_alive <= now
    }
}

/// All connections, by place and by name.
#[derive(Debug)]
pub(super) struct Table {
    places: Slab<Connection>,
    by_id: Map<ConnId, usize>,
}

impl Table {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { places: Slab::new(), by_id: Map::new(rng) }
    }

    /// Puts a connection in; `None` where its name is in use.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        id: ConnId,
        address: SocketAddr,
        dialled: bool,
        stage: Stage,
    ) -> Option<&mut Connection> {
        if self.by_id.contains_key(&id) {
            return None;
        }
        let entry = self.places.vacant_entry();
        self.by_id.insert(id, entry.key());
        let key = entry.key();
        Some(entry.insert(Connection::new(now, key, id, address, dialled, stage)))
    }

    pub(super) fn key(&self, id: ConnId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn get(&self, key: usize) -> Option<&Connection> {
        self.places.get(key)
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Connection> {
        self.places.get_mut(key)
    }

    pub(super) fn remove(&mut self, id: ConnId) {
        if let Some(key) = self.by_id.remove(&id) {
            self.places.remove(key);
        }
    }

    /// Gives the places of the connections that the test accepts.
    pub(super) fn find(&self, test: impl Fn(&Connection) -> bool) -> Vec<usize> {
        self.places.iter().filter(|(_, c)| test(c)).map(|(key, _)| key).collect()
    }
}
