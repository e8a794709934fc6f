use super::bans::Bans;
use super::connection::{Stage, Table};
use super::hub::{Hub, Step, Timer};
use super::ourselves::Ourselves;
use super::shaking::Dial;
use super::throttle::{Throttle, dial_bucket};
use super::torrent::Torrent;
use super::{Command, Config, Event, Gone};
use crate::machine::{
    BlockPool, ConnId, DialId, Input, Instant, Machine, Map, NoJobs, Output, Rng, Secret, Timers, TorrentId,
};
use crate::proto::geometry::Span;
use crate::proto::id::{InfoHash, PeerId};
use crate::proto::message::Message;
use log::debug;
use slab::Slab;
use std::collections::VecDeque;

/// The most timers that one call looks after.
const TIMERS_PER_CALL: usize = 64;

/// All torrents' connections to peers. The [module's page](super) says what it does.
#[derive(Debug)]
pub struct Swarm {
    pub(super) hub: Hub,
    pub(super) torrents: Slab<Torrent>,
    pub(super) by_id: Map<TorrentId, usize>,
    pub(super) by_hash: Map<InfoHash, usize>,
    pub(super) table: Table,
    /// Connections that came in, oldest first; some have shaken hands or gone since.
    pub(super) arrivals: VecDeque<ConnId>,
    pub(super) dials: Map<DialId, Dial>,
    pub(super) next_dial: u64,
    /// Torrents with addresses that are due while the swarm has no room for another dial.
    pub(super) waiting_to_dial: VecDeque<TorrentId>,
}

impl Swarm {
    /// Makes a swarm without torrents. Its peer id comes from the secret.
    pub fn new(config: Config, mut rng: Rng, secret: &Secret) -> Self {
        let random = secret.expand("peer id", &[]);
        let mut tail = [0; 12];
        tail.copy_from_slice(&random[..12]);
        let (by_id, by_hash) = (Map::new(&mut rng), Map::new(&mut rng));
        let (table, dials) = (Table::new(&mut rng), Map::new(&mut rng));
        let dials_per_second = config.limits.dials_per_second;
        let mut throttle = Throttle::default();
        throttle.set_rates(Instant::ZERO, config.limits.upload_rate, config.limits.download_rate);
        Self {
            hub: Hub {
                pool: BlockPool::new(config.pooled_blocks),
                config,
                rng,
                peer_id: PeerId::from_random(tail),
                ourselves: Ourselves::default(),
                bans: Bans::default(),
                timers: Timers::new(),
                events: VecDeque::new(),
                steps: VecDeque::new(),
                throttle,
                dial_tokens: dial_bucket(Instant::ZERO, dials_per_second),
                open: 0,
                inbound: 0,
                dialling: 0,
                arriving: 0,
                tickets: 0,
                spans: Vec::new(),
            },
            torrents: Slab::new(),
            by_id,
            by_hash,
            table,
            arrivals: VecDeque::new(),
            dials,
            next_dial: 0,
            waiting_to_dial: VecDeque::new(),
        }
    }

    /// Gives the name by which this swarm's peers know it.
    pub fn peer_id(&self) -> PeerId {
        self.hub.peer_id
    }

    fn on_stream(&mut self, now: Instant, id: ConnId, bytes: &[u8]) {
        let Some(key) = self.table.key(id) else { return };
        let Some(conn) = self.table.get_mut(key) else { return };
        conn.last_heard = now;
        let mut input = bytes;
        if matches!(conn.stage, Stage::Handshaking { .. }) && !self.shake(now, key, &mut input) {
            return;
        }
        let most = self.hub.config.held_input;
        let Some(link) = self.table.get_mut(key).and_then(|c| c.link_mut()) else { return };
        let place = link.torrent;
        if link.stopped_by_queue {
            // The host had read this before it was told to stop.
            if link.held.len() - link.held_at + input.len() > most {
                self.close(now, key, Gone::Full);
            } else {
                link.held.extend_from_slice(input);
            }
        } else {
            self.read(now, key, input);
        }
        self.settle(now, place);
    }

    /// Reads a peer's bytes and keeps those for which its queue has no room.
    fn read(&mut self, now: Instant, key: usize, mut input: &[u8]) {
        let Some(conn) = self.table.get_mut(key) else { return };
        let Some(place) = conn.link().map(|link| link.torrent) else { return };
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        match torrent.read(&mut self.hub, conn, now, &mut input) {
            Err(gone) => self.close(now, key, gone),
            Ok(()) => {
                if let Some(link) = conn.link_mut().filter(|_| !input.is_empty()) {
                    link.held = input.to_vec();
                    link.held_at = 0;
                }
                self.advance(now, key);
            }
        }
    }

    /// Serves and asks a peer, and reads on what it sent before, as far as there is room.
    pub(super) fn advance(&mut self, now: Instant, key: usize) {
        loop {
            let Some(conn) = self.table.get_mut(key) else { return };
            let Some(place) = conn.link().map(|link| link.torrent) else { return };
            let Some(torrent) = self.torrents.get_mut(place) else { return };
            torrent.serve(&mut self.hub, conn, now);
            let Some(link) = conn.link_mut() else { return };
            if !link.stopped_by_queue || link.queue.len() > self.hub.config.upload_queue / 4 * 3 {
                break;
            }
            link.stopped_by_queue = false;
            // The time in which we did not read is not the peer's silence. But it may well be found slow, or to stall.
            conn.last_heard = now;
            let Some(link) = conn.link_mut() else { return };
            let (held, at) = (std::mem::take(&mut link.held), std::mem::take(&mut link.held_at));
            let mut input = held.get(at..).unwrap_or_default();
            let before = input.len();
            let result = torrent.read(&mut self.hub, conn, now, &mut input);
            if let Err(gone) = result {
                self.close(now, key, gone);
                return;
            }
            let left = input.len();
            let Some(link) = conn.link_mut() else { return };
            if left > 0 {
                link.held_at = held.len() - left;
                link.held = held;
            }
            if !link.stopped_by_queue || left == before {
                break;
            }
        }
        let Some(conn) = self.table.get_mut(key) else { return };
        if conn.outbox.queued() > self.hub.config.send_limit {
            self.close(now, key, Gone::Full);
            return;
        }
        conn.set_reading(&mut self.hub);
        let Some(place) = conn.link().map(|link| link.torrent) else { return };
        if let Some(torrent) = self.torrents.get_mut(place) {
            torrent.fill(&mut self.hub, conn, now);
        }
    }

    /// Does for a torrent's other connections what one connection's input calls for.
    pub(super) fn settle(&mut self, now: Instant, place: usize) {
        // Closing a connection gives its requests to others, which asks them: each round has fewer connections.
        while let Some(torrent) = self.torrents.get_mut(place) {
            let hub = &mut self.hub;
            let todo = std::mem::take(&mut torrent.todo);
            for (peer, span) in todo.cancels {
                let key = torrent.peers.get(&peer).copied();
                if let Some(conn) = key.and_then(|key| self.table.get_mut(key)) {
                    torrent.cancel(hub, conn, now, span);
                    // It has room now, and in the end game nothing else may come that has it asked.
                    torrent.fill(hub, conn, now);
                }
            }
            let most = hub.config.send_limit;
            for piece in &todo.announce {
                for key in torrent.peers.values() {
                    let Some(conn) = self.table.get_mut(*key) else { continue };
                    torrent.announce(hub, conn, now, *piece);
                    if conn.outbox.queued() > most {
                        torrent.todo.close.push((*key, Gone::Full));
                    }
                }
            }
            if !todo.announce.is_empty() && torrent.picker.has_all() && hub.config.close_redundant {
                let full = |key: &usize| self.table.get(*key).and_then(|c| c.link()).is_some_and(|l| l.has.is_full());
                let full = torrent.peers.values().copied().filter(full);
                torrent.todo.close.extend(full.map(|key| (key, Gone::Redundant)));
            }
            for (key, gone) in todo.close.into_iter().chain(std::mem::take(&mut torrent.todo.close)) {
                self.close(now, key, gone);
            }
            if todo.rechoke {
                self.rechoke(now, place, false);
            }
            self.set_store_stop(now, place);
            if todo.refill {
                self.refill(now, place);
            }
            if self.torrents.get(place).is_none_or(|torrent| torrent.todo.is_empty()) {
                break;
            }
        }
    }

    /// Asks every peer of a torrent that has room.
    pub(super) fn refill(&mut self, now: Instant, place: usize) {
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        let mut keys: Vec<usize> = torrent.peers.values().copied().collect();
        // A peer that stalls is asked for one block at a time, and for none that another can be asked for.
        let stalls = |key: usize| self.table.get(key).and_then(|c| c.link()).is_some_and(|l| l.pipeline.depth() <= 1);
        keys.sort_by_key(|key| stalls(*key));
        for key in keys {
            if let Some(conn) = self.table.get_mut(key) {
                torrent.fill(&mut self.hub, conn, now);
            }
        }
    }

    /// Stops reading a torrent's connections when the store is far behind, and resumes when it has caught up.
    fn set_store_stop(&mut self, now: Instant, place: usize) {
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        let credit = self.hub.config.store_credit;
        let mark = if torrent.stopped_by_store { credit } else { credit.saturating_mul(2) };
        let stop = torrent.storing >= mark.max(1);
        if stop == torrent.stopped_by_store {
            return;
        }
        torrent.stopped_by_store = stop;
        for key in torrent.peers.values() {
            let Some(conn) = self.table.get_mut(*key) else { continue };
            if let Some(link) = conn.link_mut() {
                link.stopped_by_store = stop;
                link.pipeline.on_resumed(now);
            }
            // The time in which we did not read is not the peer's silence.
            conn.last_heard = now;
            conn.set_reading(&mut self.hub);
        }
    }

    fn on_writable(&mut self, now: Instant, id: ConnId, queued: usize) {
        let Some(key) = self.table.key(id) else { return };
        let Some(conn) = self.table.get_mut(key) else { return };
        conn.outbox.on_writable(queued);
        let Some(link) = conn.link() else { return };
        let place = link.torrent;
        if link.stopped_by_queue {
            // It is not read, so its reading is its sign of life.
            conn.last_heard = now;
        }
        self.advance(now, key);
        self.settle(now, place);
    }

    fn on_connection_timer(&mut self, now: Instant, id: ConnId) {
        let Some(key) = self.table.key(id) else { return };
        let Some(conn) = self.table.get_mut(key) else { return };
        if let Stage::Handshaking { deadline, .. } = &conn.stage {
            if *deadline <= now {
                self.close(now, key, Gone::Silent);
            } else {
                conn.set_timer(&mut self.hub, now);
            }
            return;
        }
        let Some(link) = conn.link() else { return };
        let place = link.torrent;
        if link.may_be_silent() {
            conn.last_heard = now;
        } else if conn.silent_at(&self.hub) <= now {
            self.close(now, key, Gone::Silent);
            self.settle(now, place);
            return;
        }
        if conn.is_keep_alive_due(&self.hub, now) {
            conn.send(&mut self.hub, now, &Message::KeepAlive);
        }
        if let (Some(link), Some(torrent)) = (conn.link_mut(), self.torrents.get_mut(place)) {
            if link.is_held_back() {
                link.pipeline.on_resumed(now);
            }
            if link.pipeline.is_stalled(now) {
                debug!(target: "bip::peer", "{}: {}: stalls", torrent.id, id.slot);
                link.pipeline.on_stalled(now);
                let asked: Vec<Span> = link.asked.iter().copied().collect();
                torrent.release(link);
                // What others are asked for now is not to come from here as well.
                for span in asked {
                    conn.send(&mut self.hub, now, &Message::Cancel(span));
                }
            }
        }
        if let Some(conn) = self.table.get(key) {
            conn.set_timer(&mut self.hub, now);
        }
        self.settle(now, place);
    }

    fn on_timer(&mut self, now: Instant, timer: Timer) {
        let place = |id| self.by_id.get(&id).copied();
        match timer {
            Timer::Connection(id) => self.on_connection_timer(now, id),
            Timer::Abandon(dial) => {
                if self.dials.contains_key(&dial) {
                    self.hub.steps.push_back(Step::Abandon(dial));
                }
            }
            Timer::Dial(id) => {
                if let Some(place) = place(id) {
                    self.dial(now, place);
                }
            }
            Timer::Choke(id) => {
                if let Some(place) = place(id) {
                    self.rechoke(now, place, true);
                    self.settle(now, place);
                }
            }
            Timer::Refill(id) => {
                if let Some(place) = place(id) {
                    self.refill(now, place);
                    self.settle(now, place);
                    self.set_refill_timer(now, place);
                }
            }
            Timer::Reassign(id) => {
                if let Some(place) = place(id) {
                    self.reassign(now, place);
                    self.settle(now, place);
                }
            }
            Timer::Status(id) => {
                if let Some(torrent) = place(id).and_then(|place| self.torrents.get_mut(place)) {
                    torrent.on_status_timer(&mut self.hub, now);
                }
            }
            Timer::Turns(lane) => self.on_turns(now, lane),
            Timer::TorrentTurns(lane, id) => {
                if let Some(place) = place(id) {
                    self.on_torrent_turns(now, lane, place);
                }
            }
            Timer::DialRate => self.use_dial_room(now),
        }
    }

    fn set_refill_timer(&mut self, now: Instant, place: usize) {
        let Some(torrent) = self.torrents.get(place) else { return };
        let links = torrent.peers.values().filter_map(|key| self.table.get(*key)?.link());
        let later = links
            .map(|link| torrent.liars.parole_until(link.giver))
            .chain([torrent.retry_at])
            .filter(|at| *at > now)
            .min();
        if let Some(at) = later {
            self.hub.set_timer(now, Timer::Refill(torrent.id), at);
        }
    }
}

impl Machine for Swarm {
    type Command = Command;
    type Event = Event;
    type Job = NoJobs;
    type Done = ();

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::AddTorrent { torrent, info_hash, geometry, have, download, selection, limits } => {
                self.on_add_torrent(now, torrent, info_hash, geometry, &have, download, selection, limits);
            }
            Command::SetLimits { limits } => self.on_set_limits(now, limits),
            Command::SetTorrentLimits { torrent, limits } => self.on_set_torrent_limits(now, torrent, limits),
            Command::Select { torrent, selection } => self.on_select(now, torrent, &selection),
            Command::SetDownload { torrent, download } => self.on_set_download(now, torrent, download),
            Command::Ban { ip, banned } => self.on_ban(now, ip, banned),
            Command::BlockHashes { torrent, piece, good, hashes } => {
                self.on_block_hashes(now, torrent, piece, good, &hashes);
            }
            Command::RemoveTorrent { torrent } => self.on_remove_torrent(now, torrent),
            Command::Pause { torrent } => self.on_pause(now, torrent),
            Command::Resume { torrent } => self.on_resume(now, torrent),
            Command::AddPeer { torrent, address, source } => self.on_add_peer(now, torrent, address, source),
            Command::FoundPeers { torrent, peers, source } => self.on_found_peers(now, torrent, &peers, source),
            Command::DropPeers { torrent } => self.on_drop_peers(now, torrent),
            Command::Kept { torrent, spans } => self.on_kept(torrent, &spans),
            Command::PieceLost { torrent, piece } => self.on_piece_lost(now, torrent, piece),
            Command::Stored { torrent, span, outcome } => self.on_stored(now, torrent, span, outcome),
            Command::Loaded { torrent, ticket, block } => self.on_loaded(now, torrent, ticket, block),
        }
    }

    fn handle_input(&mut self, now: Instant, input: Input<'_, ()>) {
        match input {
            Input::Accepted { conn, from, local } => {
                self.hub.ourselves.on_local(local, true);
                self.on_accepted(now, conn, from);
            }
            Input::Connected { dial, conn, local } => {
                self.hub.ourselves.on_local(local, false);
                self.on_connected(now, dial, conn);
            }
            Input::ConnectFailed { dial, error } => self.on_connect_failed(now, dial, error),
            Input::Stream { conn, bytes } => self.on_stream(now, conn, bytes),
            Input::Writable { conn, queued } => self.on_writable(now, conn, queued),
            Input::End { conn } => {
                if let Some(key) = self.table.key(conn) {
                    let place = self.table.get(key).and_then(|c| c.link()).map(|link| link.torrent);
                    self.close(now, key, Gone::Left);
                    if let Some(place) = place {
                        self.settle(now, place);
                    }
                }
            }
            Input::Closed { conn, reason } => self.on_closed(now, conn, reason),
            // The swarm has no datagram sockets and issues no jobs.
            Input::Datagram { .. } | Input::Done { .. } => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMERS_PER_CALL {
            let Some(timer) = self.hub.timers.pop(now) else { break };
            self.on_timer(now, timer);
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.hub.events.pop_front()
    }

    fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output<NoJobs>> {
        loop {
            match *self.hub.steps.front()? {
                Step::Flush(key, id) => {
                    if let Some(conn) = self.table.get_mut(key).filter(|c| c.id == id) {
                        if let Some(part) = conn.outbox.next(buf) {
                            return Some(Output::Write { conn: id, part });
                        }
                        conn.on_flushed();
                    }
                    self.hub.steps.pop_front();
                }
                step => {
                    self.hub.steps.pop_front();
                    return Some(match step {
                        Step::Connect(dial, to) => Output::Connect { dial, to },
                        Step::Abandon(dial) => Output::Abandon { dial },
                        Step::Close(conn, flush) => Output::Close { conn, flush },
                        Step::StopReading(conn) => Output::StopReading { conn },
                        Step::ResumeReading(conn) => Output::ResumeReading { conn },
                        Step::Flush(..) => continue,
                    });
                }
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.hub.timers.next()
    }
}
