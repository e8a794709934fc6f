//! The sockets of all machines, and what machines ask of them.

use super::Config;
use super::connection::{Connection, Flushed, Phase, Taken};
use super::datagram::{BindOptions, DatagramSocket, Datagrams};
use super::listener::{self, Arrival, Listener, canonical};
use super::token::Source;
use crate::machine::{Block, CloseReason, ConnId, DialId, Hosted, Input, Instant, NoJobs, SocketId, Timers};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry};
use slab::Slab;
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockRef;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// What the network waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// A closed connection has had its time to flush.
    Flush(ConnId),
    /// A listener has rested.
    Rested(usize),
}

pub(super) struct Net {
    registry: Registry,
    pub(super) config: Config,
    /// When this turn began.
    pub(super) now: Instant,
    turn: u64,
    connections: Slab<Connection>,
    /// How often each slot was given away.
    generations: Vec<u32>,
    /// Slots to be freed after the turn: until then events of this batch may name them.
    dead: Vec<usize>,
    /// Connections with something to read.
    ready: VecDeque<ConnId>,
    /// Connections with something to flush.
    dirty: Vec<ConnId>,
    /// Connections whose share of writing is used up in this turn.
    later: Vec<ConnId>,
    /// The bytes of blocks that were queued since the last flush.
    unwritten: usize,
    dials: BTreeMap<(Hosted, DialId), ConnId>,
    pub(super) listeners: Vec<Listener>,
    pub(super) datagrams: Vec<Datagrams>,
    /// The places of each machine's datagram sockets, in the order of their names.
    sockets: Vec<Vec<usize>>,
    /// The places of those that keep datagrams to be sent.
    keeping: Vec<usize>,
    timers: Timers<Alarm>,
    /// What machines must still be told.
    pub(super) notices: VecDeque<(Hosted, Input<'static, NoJobs>)>,
    /// Shutting down: nothing new is begun.
    closing: bool,
}

impl Net {
    pub(super) fn new(registry: Registry, config: Config, now: Instant) -> Self {
        Self {
            registry,
            config,
            now,
            turn: 0,
            connections: Slab::new(),
            generations: Vec::new(),
            dead: Vec::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            later: Vec::new(),
            unwritten: 0,
            dials: BTreeMap::new(),
            listeners: Vec::new(),
            datagrams: Vec::new(),
            sockets: Vec::new(),
            keeping: Vec::new(),
            timers: Timers::new(),
            notices: VecDeque::new(),
            closing: false,
        }
    }

    // ---- turns

    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.now = now;
        self.turn += 1;
        self.dirty.append(&mut self.later);
        while let Some(alarm) = self.timers.pop(now) {
            match alarm {
                Alarm::Flush(id) => self.on_flush_timeout(id),
                Alarm::Rested(place) => {
                    if let Some(listener) = self.listeners.get_mut(place) {
                        listener.on_rested();
                    }
                }
            }
        }
    }

    /// Frees the slots of connections that are gone.
    pub(super) fn end_turn(&mut self) {
        for slot in self.dead.drain(..) {
            self.connections.remove(slot);
            self.generations[slot] = self.generations[slot].wrapping_add(1);
        }
        self.arm_datagrams();
    }

    /// Says whether there is something to do at once that no readiness will announce.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.dirty.is_empty()
            || !self.later.is_empty()
            || !self.notices.is_empty()
            || self.listeners.iter().any(Listener::is_ready)
            || self.datagrams.iter().any(Datagrams::is_ready)
    }

    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Gives the number of connections and dials.
    pub(super) fn connections(&self) -> usize {
        self.connections.len() - self.dead.len()
    }

    /// Closes everything: listeners at once, dials as failed, connections with what they have queued.
    pub(super) fn close_all(&mut self) {
        self.closing = true;
        for listener in &mut self.listeners {
            let _ = self.registry.deregister(listener.socket_mut());
        }
        self.listeners.clear();
        let all: Vec<ConnId> = self.connections.iter().map(|(slot, c)| name(slot, c)).collect();
        for id in all {
            match self.connection(id).map(|c| c.phase) {
                Some(Phase::Dialling(dial)) => self.fail_dial(id, dial, ErrorKind::ConnectionAborted),
                Some(Phase::Open) => self.begin_flush(id),
                _ => {}
            }
        }
    }

    // ---- tables

    fn connection(&mut self, id: ConnId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(id.slot as usize)?;
        (connection.generation == id.generation && connection.phase != Phase::Gone).then_some(connection)
    }

    /// Gives a connection that the machine knows as its own.
    fn owned(&mut self, owner: Hosted, id: ConnId) -> Option<&mut Connection> {
        self.connection(id).filter(|c| c.owner == owner && matches!(c.phase, Phase::Open | Phase::Closing))
    }

    fn is_full(&self) -> bool {
        self.connections.len() >= self.config.max_connections
    }

    fn insert(&mut self, mut stream: TcpStream, owner: Hosted, phase: Phase) -> io::Result<ConnId> {
        let entry = self.connections.vacant_entry();
        let slot = entry.key();
        if self.generations.len() <= slot {
            self.generations.resize(slot + 1, 0);
        }
        let generation = self.generations[slot];
        self.registry.register(&mut stream, Source::connection(slot, generation).encode(), BOTH)?;
        let id = name(slot, entry.insert(Connection::new(stream, owner, generation, phase)));
        Ok(id)
    }

    /// Takes a connection out of play; its slot is freed after the turn.
    fn bury(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else { return };
        connection.phase = Phase::Gone;
        connection.queue.clear();
        let _ = self.registry.deregister(&mut connection.stream);
        self.timers.cancel(Alarm::Flush(id));
        self.dead.push(id.slot as usize);
    }

    fn finish(&mut self, id: ConnId, reason: CloseReason) {
        let Some(owner) = self.connection(id).map(|c| c.owner) else { return };
        self.bury(id);
        self.notices.push_back((owner, Input::Closed { conn: id, reason }));
    }

    fn fail(&mut self, id: ConnId, kind: ErrorKind) {
        let Some(connection) = self.connection(id) else { return };
        // Whatever happens after everything is written does not undo our close.
        let done = connection.phase == Phase::Closing && connection.queue.is_empty();
        let reason = if done { connection.reason } else { CloseReason::Failed(kind) };
        self.finish(id, reason);
    }

    fn list(&mut self, id: ConnId) {
        let Some(connection) = self.connection(id) else { return };
        if connection.wants_read() && !connection.listed {
            connection.listed = true;
            self.ready.push_back(id);
        }
    }

    fn mark_dirty(&mut self, id: ConnId) {
        let Some(connection) = self.connection(id) else { return };
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(id);
        }
    }

    // ---- sockets

    pub(super) fn listen(
        &mut self,
        owner: Hosted,
        address: SocketAddr,
        options: BindOptions,
    ) -> io::Result<SocketAddr> {
        let mut socket = listener::open(address, options, self.config.backlog)?;
        let local = socket.local_addr()?;
        self.registry.register(&mut socket, Source::Listener(self.listeners.len()).encode(), Interest::READABLE)?;
        self.listeners.push(Listener::new(socket, owner));
        Ok(local)
    }

    /// Takes a bound socket in for a machine; gives the machine's name for it.
    pub(super) fn attach(&mut self, owner: Hosted, socket: DatagramSocket) -> io::Result<SocketId> {
        let (socket, v6) = socket.into_parts();
        let place = self.datagrams.len();
        if self.sockets.len() <= owner.0 {
            self.sockets.resize(owner.0 + 1, Vec::new());
        }
        let id = SocketId(u32::try_from(self.sockets[owner.0].len()).expect("a process has fewer sockets than 2^32"));
        let mut datagrams = Datagrams::new(socket, owner, id, v6);
        self.registry.register(datagrams.socket_mut(), Source::Datagram(place).encode(), Interest::READABLE)?;
        self.datagrams.push(datagrams);
        self.sockets[owner.0].push(place);
        Ok(id)
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    // ---- readiness

    pub(super) fn on_event(&mut self, event: &Event) {
        match Source::decode(event.token()) {
            Source::Waker => {}
            Source::Listener(place) => {
                if let Some(listener) = self.listeners.get_mut(place) {
                    listener.on_ready();
                }
            }
            Source::Datagram(place) => {
                if let Some(datagrams) = self.datagrams.get_mut(place) {
                    datagrams.on_ready();
                }
            }
            Source::Connection { slot, .. } => {
                let Some(connection) = self.connections.get_mut(slot) else { return };
                // The token tells an event for an earlier tenant of the slot.
                if Source::connection(slot, connection.generation).encode() == event.token() {
                    let id = name(slot, connection);
                    self.on_connection(id, event);
                }
            }
        }
    }

    fn on_connection(&mut self, id: ConnId, event: &Event) {
        let Some(connection) = self.connection(id) else { return };
        connection.unread |= event.is_readable() || event.is_read_closed() || event.is_error();
        connection.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        if let Phase::Dialling(dial) = connection.phase {
            return self.on_dial(id, dial);
        }
        let flush = !connection.queue.is_empty();
        let broken = event.is_error() || (event.is_read_closed() && event.is_write_closed());
        if broken && !connection.wants_read() {
            // No read will find out, because none is wanted or their half had ended in order before.
            let kind = connection.fault();
            return self.fail(id, kind);
        }
        self.list(id);
        if flush {
            self.mark_dirty(id);
        }
    }

    fn on_dial(&mut self, id: ConnId, dial: DialId) {
        let unsent = self.config.unsent_bytes;
        let Some(connection) = self.connection(id) else { return };
        if !connection.writable {
            return;
        }
        let result = match connection.stream.take_error() {
            Ok(Some(e)) | Err(e) => Err(e),
            Ok(None) => connection.stream.peer_addr().and_then(|_| connection.stream.local_addr()),
        };
        match result {
            Ok(local) => {
                tune(&connection.stream, unsent);
                connection.phase = Phase::Open;
                let owner = connection.owner;
                self.dials.remove(&(owner, dial));
                self.notices.push_back((owner, Input::Connected { dial, conn: id, local: canonical(local) }));
                self.list(id);
            }
            Err(e) if e.kind() == ErrorKind::NotConnected => connection.writable = false,
            Err(e) => self.fail_dial(id, dial, e.kind()),
        }
    }

    fn fail_dial(&mut self, id: ConnId, dial: DialId, error: ErrorKind) {
        let Some(owner) = self.connection(id).map(|c| c.owner) else { return };
        self.dials.remove(&(owner, dial));
        self.bury(id);
        self.notices.push_back((owner, Input::ConnectFailed { dial, error }));
    }

    fn on_flush_timeout(&mut self, id: ConnId) {
        self.fail(id, ErrorKind::TimedOut);
    }

    /// Accepts once; gives what the machine is to be told, and whether another may wait.
    pub(super) fn accept(&mut self, place: usize) -> (Option<(Hosted, Input<'static, NoJobs>)>, bool) {
        let Some(listener) = self.listeners.get_mut(place) else { return (None, false) };
        let owner = listener.owner;
        let (stream, from) = match listener.accept() {
            Arrival::Stream(stream, from) => (stream, from),
            Arrival::Lost => return (None, true),
            Arrival::Nothing => return (None, false),
            Arrival::Rest(e) => {
                log::warn!("accepting connections: {e}; trying again in {:?}", self.config.accept_pause);
                self.timers.set(Alarm::Rested(place), self.now + self.config.accept_pause);
                return (None, false);
            }
        };
        if self.is_full() {
            log::debug!("{from} was turned away: {} connections are enough", self.config.max_connections);
            return (None, true);
        }
        tune(&stream, self.config.unsent_bytes);
        let accepted = stream.local_addr().and_then(|local| Ok((self.insert(stream, owner, Phase::Open)?, local)));
        match accepted {
            Ok((conn, local)) => (Some((owner, Input::Accepted { conn, from, local: canonical(local) })), true),
            Err(e) => {
                log::debug!("{from} was lost: {e}");
                (None, true)
            }
        }
    }

    // ---- reading

    /// Takes the next connection that has something to read.
    pub(super) fn next_ready(&mut self) -> Option<ConnId> {
        let id = self.ready.pop_front()?;
        if let Some(connection) = self.connection(id) {
            connection.listed = false;
        }
        Some(id)
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Puts a connection back on the list if there is more to read.
    pub(super) fn read_later(&mut self, id: ConnId) {
        self.list(id);
    }

    /// Reads once, and does what concerns the network alone; the rest is the machine's.
    pub(super) fn read(&mut self, id: ConnId, buffer: &mut [u8]) -> (Hosted, Taken) {
        let Some(connection) = self.connection(id) else { return (Hosted(usize::MAX), Taken::Nothing) };
        let owner = connection.owner;
        let taken = connection.read(buffer);
        match taken {
            Taken::Failed(kind) => {
                self.fail(id, kind);
                (owner, Taken::Nothing)
            }
            Taken::End if connection.phase == Phase::Closing => {
                self.settle(id);
                (owner, Taken::Nothing)
            }
            taken => (owner, taken),
        }
    }

    // ---- writing

    /// Gives how many connections have something to flush now.
    pub(super) fn dirty(&self) -> usize {
        self.dirty.len()
    }

    pub(super) fn dirty_at(&self, place: usize) -> Option<ConnId> {
        self.dirty.get(place).copied()
    }

    /// Forgets the first of them, which have been flushed.
    pub(super) fn flushed(&mut self, count: usize) {
        self.dirty.drain(..count);
        self.unwritten = 0;
    }

    /// Writes what a connection has queued; gives its owner and the rest of the queue if the machine is to be told. The connection
    /// stays marked until it is [put down](Self::put_down).
    pub(super) fn flush(&mut self, id: ConnId) -> Option<(Hosted, usize)> {
        let (turn, share, batch) = (self.turn, self.config.bytes_per_connection_per_turn, self.config.write_batch);
        let watermark = self.config.low_watermark;
        let connection = self.connection(id)?;
        let (wrote, end) = connection.flush(turn, share, batch);
        let (owner, open, queued) = (connection.owner, connection.phase == Phase::Open, connection.queue.len());
        match end {
            Flushed::Failed(kind) => {
                self.fail(id, kind);
                return None;
            }
            Flushed::All => self.settle(id),
            Flushed::Spent | Flushed::Blocked => {}
        }
        (open && wrote > 0 && queued <= watermark).then_some((owner, queued))
    }

    /// Says whether more of what a connection has queued can be written in this turn.
    pub(super) fn may_flush(&mut self, id: ConnId) -> bool {
        let (turn, share) = (self.turn, self.config.bytes_per_connection_per_turn);
        self.connection(id).is_some_and(|c| c.may_flush(turn, share))
    }

    /// Ends the flushing of a connection; what it may not write in this turn waits for the next.
    pub(super) fn put_down(&mut self, id: ConnId) {
        // The machine may have closed it meanwhile, with nothing left to write.
        self.settle(id);
        let Some(connection) = self.connection(id) else { return };
        connection.dirty = connection.writable && !connection.queue.is_empty();
        if connection.dirty {
            let more = self.may_flush(id);
            if more { self.dirty.push(id) } else { self.later.push(id) }
        }
    }

    /// Gives how many bytes of blocks were queued since the last flush.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// Ends our half of a closing connection whose queue is empty, and the connection if theirs has ended too.
    fn settle(&mut self, id: ConnId) {
        let Some(connection) = self.connection(id) else { return };
        if connection.phase != Phase::Closing || !connection.queue.is_empty() {
            return;
        }
        let (shut, reason) = (connection.shut(), connection.reason);
        if shut.is_err() || connection.ended {
            self.finish(id, reason);
        }
    }

    // ---- what machines ask for

    pub(super) fn send(&mut self, owner: Hosted, socket: SocketId, to: SocketAddr, bytes: &[u8]) {
        let Some(place) = self.sockets.get(owner.0).and_then(|mine| mine.get(socket.0 as usize)) else { return };
        if self.datagrams[*place].send(bytes, to) {
            self.keeping.push(*place);
        }
    }

    /// Sends the datagrams that sockets keep.
    pub(super) fn send_kept(&mut self) {
        for place in self.keeping.drain(..) {
            self.datagrams[place].flush();
        }
    }

    /// Notes that a socket has many datagrams: it is read from until there is nothing, and need not be told of.
    pub(super) fn on_burst(&mut self, place: usize) {
        self.datagrams[place].disarm(&self.registry);
    }

    /// Has the system tell of all datagrams to come.
    fn arm_datagrams(&mut self) {
        for (place, datagrams) in self.datagrams.iter_mut().enumerate() {
            datagrams.arm(&self.registry, Source::Datagram(place).encode());
        }
    }

    /// Gives how many datagrams of machines were dropped here.
    pub(super) fn dropped_datagrams(&self) -> u64 {
        self.datagrams.iter().map(|d| d.dropped).sum()
    }

    pub(super) fn connect(&mut self, owner: Hosted, dial: DialId, to: SocketAddr) {
        if self.dials.contains_key(&(owner, dial)) {
            log::error!("a machine dialled twice under one name; the second dial to {to} is ignored");
            return;
        }
        let opened = if self.closing {
            Err(ErrorKind::ConnectionAborted.into())
        } else if self.is_full() {
            Err(ErrorKind::ResourceBusy.into())
        } else {
            TcpStream::connect(canonical(to)).and_then(|s| self.insert(s, owner, Phase::Dialling(dial)))
        };
        match opened {
            Ok(id) => {
                self.dials.insert((owner, dial), id);
            }
            Err(e) => self.notices.push_back((owner, Input::ConnectFailed { dial, error: e.kind() })),
        }
    }

    pub(super) fn abandon(&mut self, owner: Hosted, dial: DialId) {
        if let Some(id) = self.dials.get(&(owner, dial)).copied() {
            self.fail_dial(id, dial, ErrorKind::ConnectionAborted);
        }
    }

    pub(super) fn write_bytes(&mut self, owner: Hosted, id: ConnId, bytes: &[u8]) {
        if let Some(connection) = self.owned(owner, id).filter(|c| c.phase == Phase::Open) {
            connection.queue.push_bytes(bytes);
            self.mark_dirty(id);
        }
    }

    pub(super) fn write_block(&mut self, owner: Hosted, id: ConnId, block: Block) {
        self.unwritten += block.len();
        if let Some(connection) = self.owned(owner, id).filter(|c| c.phase == Phase::Open) {
            connection.queue.push_block(block);
            self.mark_dirty(id);
        }
    }

    pub(super) fn close(&mut self, owner: Hosted, id: ConnId, flush: bool) {
        match self.owned(owner, id).map(|c| c.phase) {
            None => {}
            Some(Phase::Open) if flush => self.begin_flush(id),
            Some(_) if flush => {}
            Some(_) => self.finish(id, CloseReason::Ours),
        }
    }

    fn begin_flush(&mut self, id: ConnId) {
        let until = self.now + self.config.flush_timeout;
        let Some(connection) = self.connection(id) else { return };
        connection.phase = Phase::Closing;
        connection.reason = if connection.ended { CloseReason::Theirs } else { CloseReason::Ours };
        // From now on reading only waits for their end. Unread bytes would turn our end into a reset, and that would take
        // what we have just written with it.
        connection.reading = true;
        self.timers.set(Alarm::Flush(id), until);
        self.mark_dirty(id);
        self.list(id);
    }

    pub(super) fn set_reading(&mut self, owner: Hosted, id: ConnId, reading: bool) {
        if let Some(connection) = self.owned(owner, id).filter(|c| c.phase == Phase::Open) {
            connection.reading = reading;
            self.list(id);
        }
    }
}

/// Sets a stream's options; it works without them too.
fn tune(stream: &TcpStream, unsent: u32) {
    // Requests are small and wanted soon; bulk goes out in large writes anyway.
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if unsent > 0 {
        let _ = SockRef::from(stream).set_tcp_notsent_lowat(unsent);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = unsent;
}

fn name(slot: usize, connection: &Connection) -> ConnId {
    ConnId { slot: u32::try_from(slot).expect("slots are below 2^24"), generation: connection.generation }
}
