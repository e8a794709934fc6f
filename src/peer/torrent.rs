use super::book::Book;
use super::crowd::Crowd;
use super::hub::{Hub, Timer};
use super::liars::Liars;
use super::selecting::Wanted;
use super::throttle::Throttle;
use super::{Event, Gone, Limits, Status, TorrentLimits};
use crate::machine::{ConnId, Instant, RateMeter, Rng, TorrentId};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::{Geometry, Span};
use crate::proto::id::{InfoHash, PeerId, PieceIndex};
use crate::select::{Peer, Picker};
use slab::Slab;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

/// One torrent: its pieces, its peers, and what is to be done about them.
#[derive(Debug)]
pub(super) struct Torrent {
    pub(super) id: TorrentId,
    pub(super) info_hash: InfoHash,
    pub(super) geometry: Geometry,
    pub(super) picker: Picker,
    /// The places of the connections that have shaken hands, oldest first.
    pub(super) peers: BTreeMap<Peer, usize>,
    /// The key of the latest peer.
    latest_peer: Peer,
    /// How many of these came in.
    pub(super) inbound: usize,
    /// By peer id and IP address, of a global IPv6 address the first of its /64.
    pub(super) by_peer_id: BTreeMap<(PeerId, IpAddr), usize>,
    /// Whom the connections that have shaken hands are to.
    pub(super) crowd: Crowd,
    pub(super) book: Book,
    pub(super) liars: Liars,
    /// Whether what is missing is wanted.
    pub(super) downloads: bool,
    pub(super) wanted: Wanted,
    pub(super) limits: TorrentLimits,
    pub(super) throttle: Throttle,
    pub(super) paused: bool,
    /// Whether it goes once the store has answered everything.
    pub(super) removing: bool,
    /// Whether it waits for the swarm to have room for a dial.
    pub(super) waits_to_dial: bool,

    /// Asks for bytes that the store has not answered.
    pub(super) loads: Slab<Load>,
    /// Blocks that the store has not answered for.
    pub(super) stores: usize,
    /// Their bytes.
    pub(super) storing: usize,
    /// Whether its connections are not read because the store is behind.
    pub(super) stopped_by_store: bool,
    /// Until when nothing is asked for, because the store failed.
    pub(super) retry_at: Instant,

    /// What one connection's input means for the others, done when that input has been dealt with.
    pub(super) todo: Todo,

    pub(super) download: RateMeter,
    pub(super) upload: RateMeter,
    pub(super) wasted: u64,
    /// Of these, bytes of blocks that we had or had not asked for.
    pub(super) redundant: u64,
    /// Whether it is being watched for requests that are better off with other peers.
    pub(super) watched: bool,
    /// Bytes of requests that were taken from peers which may have sent them.
    pub(super) moved: u64,
    /// How often a piece had the wrong hash.
    pub(super) pieces_failed: u32,
    pub(super) bytes_done: u64,
    pub(super) seeds: u32,
    published: Status,
    published_at: Option<Instant>,
    publishing: bool,
}

/// An ask for bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) ticket: u64,
    pub(super) key: usize,
    pub(super) conn: ConnId,
    /// The bytes that it may send.
    pub(super) length: u32,
}

/// What is to be done for the connections of a torrent, apart from the one at hand.
#[derive(Debug, Default)]
pub(super) struct Todo {
    /// Requests that another peer has answered.
    pub(super) cancels: Vec<(Peer, Span)>,
    /// Pieces that are to be announced.
    pub(super) announce: Vec<PieceIndex>,
    /// Whether blocks are to be asked for of everybody who has room.
    pub(super) refill: bool,
    /// Whether upload slots may be given out.
    pub(super) rechoke: bool,
    /// Connections to be closed.
    pub(super) close: Vec<(usize, Gone)>,
}

impl Todo {
    pub(super) fn is_empty(&self) -> bool {
        self.cancels.is_empty() && self.announce.is_empty() && !self.refill && !self.rechoke && self.close.is_empty()
    }
}

impl Torrent {
    pub(super) fn new(id: TorrentId, info_hash: InfoHash, geometry: Geometry, have: &Bitfield, rng: &mut Rng) -> Self {
        Self {
            id,
            info_hash,
            geometry,
            picker: Picker::new(geometry, have, rng.fork()),
            peers: BTreeMap::new(),
            latest_peer: Peer(0),
            inbound: 0,
            by_peer_id: BTreeMap::new(),
            crowd: Crowd::default(),
            book: Book::new(rng),
            liars: Liars::default(),
            downloads: true,
            wanted: Wanted::all(geometry, have),
            limits: TorrentLimits::default(),
            throttle: Throttle::default(),
            paused: false,
            removing: false,
            waits_to_dial: false,
            loads: Slab::new(),
            stores: 0,
            storing: 0,
            stopped_by_store: false,
            retry_at: Instant::ZERO,
            todo: Todo::default(),
            download: RateMeter::new(),
            upload: RateMeter::new(),
            wasted: 0,
            redundant: 0,
            watched: false,
            moved: 0,
            pieces_failed: 0,
            bytes_done: geometry.bytes_in(have),
            seeds: 0,
            published: Status::default(),
            published_at: None,
            publishing: false,
        }
    }

    /// Gives the most peers that may have shaken hands.
    pub(super) fn max_connections(&self, all: &Limits) -> usize {
        self.limits.max_connections.unwrap_or(all.max_connections_per_torrent)
    }

    /// Gives the most peers that are served because of what they give.
    pub(super) fn upload_slots(&self, all: &Limits) -> usize {
        self.limits.upload_slots.unwrap_or(all.upload_slots)
    }

    /// Takes in a connection that has shaken hands; gives the key of the peer behind it.
    ///
    /// A key is not used again, or a newcomer would answer for what the picker knows of an earlier peer. There are enough for a
    /// hundred connections a second for a year; then they begin anew, but for those in use.
    pub(super) fn enter(&mut self, key: usize) -> Peer {
        loop {
            self.latest_peer = Peer(self.latest_peer.0.wrapping_add(1));
            if let Entry::Vacant(entry) = self.peers.entry(self.latest_peer) {
                entry.insert(key);
                return self.latest_peer;
            }
        }
    }

    /// Says whether connections are made and taken.
    pub(super) fn is_running(&self) -> bool {
        !self.paused && !self.removing
    }

    /// Takes a piece as verified: it is to be announced.
    pub(super) fn on_piece_good(&mut self, hub: &mut Hub, now: Instant, piece: PieceIndex) {
        if self.picker.have().contains(piece) {
            return;
        }
        self.picker.on_piece_good(piece);
        self.bytes_done += u64::from(self.geometry.length_of(piece));
        self.todo.announce.push(piece);
        hub.events.push_back(Event::PieceDone { torrent: self.id, piece });
        self.count_wanted(hub, now, piece);
    }

    /// Takes note that the figures change: they are published when the interval has passed.
    pub(super) fn touch(&mut self, hub: &mut Hub, now: Instant) {
        if !self.publishing && !self.removing {
            self.publishing = true;
            let at = self.published_at.map_or(now, |at| at + hub.config.status_interval);
            hub.set_timer(now, Timer::Status(self.id), at);
        }
    }

    /// Publishes the figures if they have changed, and again as long as they do.
    pub(super) fn on_status_timer(&mut self, hub: &mut Hub, now: Instant) {
        self.publishing = false;
        self.publish(hub, now);
    }

    pub(super) fn publish(&mut self, hub: &mut Hub, now: Instant) {
        let status = self.status(now);
        if status != self.published {
            self.published = status.clone();
            self.published_at = Some(now);
            let moving = status.download_rate > 0 || status.upload_rate > 0;
            hub.events.push_back(Event::Status { torrent: self.id, status });
            if moving {
                // Rates fall by themselves.
                self.touch(hub, now);
            }
        }
    }

    fn status(&mut self, now: Instant) -> Status {
        let download_rate = self.download.per_second(now);
        let left = self.wanted.bytes.saturating_sub(self.wanted.bytes_done);
        let time_left = (left > 0 && download_rate > 0).then(|| Duration::from_secs(left.div_ceil(download_rate)));
        Status {
            pieces_done: self.picker.have().count(),
            pieces: self.geometry.piece_count(),
            bytes_done: self.bytes_done,
            pieces_wanted: self.wanted.pieces,
            pieces_wanted_done: self.wanted.pieces_done,
            bytes_wanted: self.wanted.bytes,
            bytes_wanted_done: self.wanted.bytes_done,
            download_rate,
            upload_rate: self.upload.per_second(now),
            downloaded: self.download.total(),
            uploaded: self.upload.total(),
            wasted: self.wasted,
            redundant: self.redundant,
            pieces_failed: self.pieces_failed,
            peers: u32::try_from(self.peers.len()).unwrap_or(u32::MAX),
            seeds: self.seeds,
            connecting: u32::try_from(self.book.connecting()).unwrap_or(u32::MAX),
            known: u32::try_from(self.book.idle()).unwrap_or(u32::MAX),
            paused: self.paused,
            time_left,
        }
    }
}
