//! The network between hosts: dials, streams, and whose turn it is at an uplink.

use super::SimHost;
use super::access::{Link, Node, time_of};
use super::agenda::{Agenda, Task};
use super::datagrams::Sockets;
use super::host::Ask;
use super::stream::{End, Packet};
use super::tap::{EndId, Tap};
use bip::machine::{CloseReason, ConnId, DialId, Input, Instant, Rng, SocketId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A machine by its host's place and its own.
pub(crate) type Seat = (usize, usize);

/// What a sender sees when its queue in the host is this short.
const LOW_WATERMARK: usize = 64 * 1024;
/// How long a dial that nobody answers takes to fail.
const DIAL_TIMEOUT: Duration = Duration::from_secs(127);

pub(super) struct Network {
    pub(super) rng: Rng,
    /// What nodes have that were given nothing else.
    link: Link,
    pub(super) agenda: Agenda,
    nodes: Vec<Node>,
    by_ip: BTreeMap<IpAddr, usize>,
    listeners: BTreeMap<SocketAddr, Seat>,
    pub(super) sockets: Sockets,
    ends: Vec<End>,
    /// By host and machine.
    slots: Vec<Vec<Slots>>,
    dials: BTreeSet<(Seat, DialId)>,
    next_port: u16,
    /// Inputs to be given now, in order.
    news: VecDeque<(Seat, News)>,
    tap: Option<Box<dyn Tap>>,
}

/// A machine's connections by slot: the newest tenant of each.
#[derive(Default)]
struct Slots {
    ends: Vec<usize>,
    free: Vec<u32>,
}

enum News {
    Accepted { conn: ConnId, from: SocketAddr, local: SocketAddr },
    Connected { dial: DialId, conn: ConnId, local: SocketAddr },
    ConnectFailed { dial: DialId, error: ErrorKind },
    Readable { end: usize },
    Writable { conn: ConnId, queued: usize },
    End { conn: ConnId },
    Closed { conn: ConnId, reason: CloseReason },
    Datagram { socket: SocketId, from: SocketAddr, bytes: Vec<u8> },
}

impl Network {
    pub(super) fn new(rng: Rng, link: Link) -> Self {
        Self {
            rng,
            link,
            agenda: Agenda::default(),
            nodes: Vec::new(),
            by_ip: BTreeMap::new(),
            listeners: BTreeMap::new(),
            sockets: Sockets::default(),
            ends: Vec::new(),
            slots: Vec::new(),
            dials: BTreeSet::new(),
            next_port: 40_000,
            news: VecDeque::new(),
            tap: None,
        }
    }

    pub(super) fn link(&self) -> Link {
        self.link
    }

    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn add_node(&mut self, ip: IpAddr, link: Link) -> usize {
        self.by_ip.insert(ip, self.nodes.len());
        self.nodes.push(Node::new(ip, link));
        self.nodes.len() - 1
    }

    pub(super) fn ip(&self, node: usize) -> IpAddr {
        self.nodes[node].ip
    }

    pub(super) fn node_of(&self, ip: IpAddr) -> Option<usize> {
        self.by_ip.get(&ip).copied()
    }

    pub(super) fn link_of(&self, node: usize) -> Link {
        self.nodes[node].link
    }

    pub(super) fn latency(&self, one: usize, other: usize) -> Duration {
        (self.nodes[one].link.latency + self.nodes[other].link.latency) / 2
    }

    pub(super) fn set_tap(&mut self, tap: Box<dyn Tap>) {
        self.tap = Some(tap);
    }

    pub(super) fn listen(&mut self, address: SocketAddr, seat: Seat) {
        self.listeners.insert(address, seat);
    }

    pub(super) fn on_drained(&mut self, now: Instant, seat: Seat) {
        if let Some(tap) = &mut self.tap {
            tap.drained(now, seat);
        }
    }

    pub(super) fn cut(&mut self, host: usize, now: Instant, silently: bool) {
        self.listeners.retain(|_, seat| seat.0 != host);
        self.sockets.cut(host);
        self.news.retain(|(seat, _)| seat.0 != host);
        let gone: Vec<(Seat, DialId)> = self.dials.iter().filter(|(seat, _)| seat.0 == host).copied().collect();
        for (seat, dial) in gone {
            self.end_dial(seat, dial);
        }
        for index in 0..self.ends.len() {
            if self.ends[index].seat.0 == host && !self.ends[index].closed {
                self.ends[index].vanished = silently;
                self.discard(index);
                if !silently {
                    self.reset_other(index, now);
                }
            }
        }
    }

    fn end_dial(&mut self, seat: Seat, dial: DialId) -> bool {
        let there = self.dials.remove(&(seat, dial));
        if let Some(tap) = self.tap.as_mut().filter(|_| there) {
            tap.dial_ended(seat);
        }
        there
    }

    fn find(&self, seat: Seat, conn: ConnId) -> Option<usize> {
        let index = *self.slots.get(seat.0)?.get(seat.1)?.ends.get(conn.slot as usize)?;
        let end = &self.ends[index];
        (end.conn == conn && !end.closed).then_some(index)
    }

    pub(super) fn ask(&mut self, node: usize, seat: Seat, now: Instant, ask: Ask) {
        match ask {
            Ask::Connect { dial, to } => self.on_connect(node, seat, now, dial, to),
            Ask::Abandon { dial } => {
                if self.end_dial(seat, dial) {
                    self.news.push_back((seat, News::ConnectFailed { dial, error: ErrorKind::Interrupted }));
                }
            }
            Ask::Write { conn, bytes } => {
                let Some(index) = self.find(seat, conn).filter(|i| !self.ends[*i].finishing) else { return };
                if let Some(tap) = &mut self.tap {
                    tap.wrote(now, EndId(index), &bytes);
                }
                if !bytes.is_empty() {
                    self.ends[index].write(bytes);
                    self.take_turn(index, now);
                }
            }
            Ask::Close { conn, flush } => {
                let Some(index) = self.find(seat, conn).filter(|i| !self.ends[*i].finishing) else { return };
                if flush {
                    self.ends[index].finishing = true;
                    if let Some(tap) = &mut self.tap {
                        tap.closed(EndId(index));
                    }
                    // What comes is read by nobody, but the other side may go on writing.
                    self.told_to_read(index);
                    self.take_turn(index, now);
                } else {
                    self.close(index, CloseReason::Ours);
                    self.reset_other(index, now);
                }
            }
            Ask::Reading { conn, on } => {
                if let Some(index) = self.find(seat, conn) {
                    self.ends[index].reading = on;
                    self.told_to_read(index);
                }
            }
            Ask::Datagram { socket, to, bytes } => self.send_datagram(now, seat, node, socket, to, bytes),
        }
    }

    fn on_connect(&mut self, node: usize, seat: Seat, now: Instant, dial: DialId, to: SocketAddr) {
        self.dials.insert((seat, dial));
        if let Some(tap) = &mut self.tap {
            tap.dialled(now, seat);
        }
        let answers = self.node_of(to.ip()).filter(|other| !self.nodes[*other].link.firewalled);
        let takes = answers.map_or(DIAL_TIMEOUT, |other| self.latency(node, other) * 2);
        self.agenda.add(now + takes, Task::Dial { seat, node, dial, to });
    }

    fn told_to_read(&mut self, index: usize) {
        let end = &mut self.ends[index];
        let something = end.unread_bytes > 0 && (end.reading || end.finishing) || end.fin && !end.fin_told;
        if something && !end.closed && !end.told_to_read {
            end.told_to_read = true;
            self.news.push_back((end.seat, News::Readable { end: index }));
        }
    }

    /// Closes an end and tells its machine.
    fn close(&mut self, index: usize, reason: CloseReason) {
        let (seat, conn) = (self.ends[index].seat, self.ends[index].conn);
        if self.discard(index) {
            self.news.push_back((seat, News::Closed { conn, reason }));
        }
    }

    /// Closes an end; says whether it was open.
    fn discard(&mut self, index: usize) -> bool {
        let end = &mut self.ends[index];
        if std::mem::replace(&mut end.closed, true) {
            return false;
        }
        end.drop_queue();
        let (other, unread) = (end.other, end.drop_unread());
        let (seat, slot) = (end.seat, end.conn.slot);
        self.ends[other].lost += unread as u64;
        self.slots_of(seat).free.push(slot);
        if let Some(tap) = &mut self.tap {
            tap.closed(EndId(index));
        }
        true
    }

    /// Has the other end learn that this one is no more.
    fn reset_other(&mut self, index: usize, now: Instant) {
        let (node, other) = (self.ends[index].node, self.ends[index].other);
        let at = now + self.latency(node, self.ends[other].node);
        if !self.ends[other].closed && !std::mem::replace(&mut self.ends[other].reset_on_its_way, true) {
            self.agenda.add(at, Task::Reset { end: other });
        }
    }

    fn slots_of(&mut self, seat: Seat) -> &mut Slots {
        while self.slots.len() <= seat.0 {
            self.slots.push(Vec::new());
        }
        let machines = &mut self.slots[seat.0];
        while machines.len() <= seat.1 {
            machines.push(Slots::default());
        }
        &mut machines[seat.1]
    }

    fn open(&mut self, seat: Seat, node: usize) -> usize {
        let index = self.ends.len();
        let slots = self.slots_of(seat);
        // Slots are used again, with a new generation, as in a real host.
        let conn = match slots.free.pop() {
            Some(slot) => {
                let old = std::mem::replace(&mut slots.ends[slot as usize], index);
                ConnId { slot, generation: self.ends[old].conn.generation + 1 }
            }
            None => {
                slots.ends.push(index);
                ConnId { slot: u32::try_from(slots.ends.len() - 1).unwrap(), generation: 0 }
            }
        };
        self.ends.push(End::new(seat, node, conn));
        index
    }

    /// Gives the next piece of news to its machine; says false where there is none.
    pub(super) fn tell_next(&mut self, now: Instant, hosts: &mut [SimHost]) -> bool {
        let Some((seat, news)) = self.news.pop_front() else { return false };
        let conn = match &news {
            News::Writable { conn, .. } | News::End { conn } => Some(*conn),
            _ => None,
        };
        if conn.is_some_and(|conn| self.find(seat, conn).is_none()) {
            return true;
        }
        let part;
        let input = match &news {
            News::Accepted { conn, from, local } => Input::Accepted { conn: *conn, from: *from, local: *local },
            News::Connected { dial, conn, local } => Input::Connected { dial: *dial, conn: *conn, local: *local },
            News::ConnectFailed { dial, error } => Input::ConnectFailed { dial: *dial, error: *error },
            News::Readable { end } => {
                part = self.read(*end, now);
                if part.is_empty() {
                    return true;
                }
                Input::Stream { conn: self.ends[*end].conn, bytes: &part }
            }
            News::Writable { conn, queued } => Input::Writable { conn: *conn, queued: *queued },
            News::End { conn } => Input::End { conn: *conn },
            News::Closed { conn, reason } => Input::Closed { conn: *conn, reason: *reason },
            News::Datagram { socket, from, bytes } => Input::Datagram { socket: *socket, from: *from, bytes },
        };
        hosts[seat.0].input(seat.1, now, input, self);
        true
    }

    /// Takes what a machine is to read next, and puts it on the list for what is left.
    fn read(&mut self, index: usize, now: Instant) -> Vec<u8> {
        let end = &mut self.ends[index];
        end.told_to_read = false;
        if end.closed {
            return Vec::new();
        }
        let other = end.other;
        if end.finishing {
            let unread = end.drop_unread();
            self.ends[other].lost += unread as u64;
            self.ends[other].under_way -= unread;
            self.take_turn(other, now);
        }
        let end = &mut self.ends[index];
        let mut bytes = Vec::new();
        if end.reading && end.unread_bytes > 0 {
            let link = &self.nodes[end.node].link;
            let most = u32::try_from(end.unread_bytes).unwrap().min(link.max_read);
            let size = link.split.then(|| 1 + self.rng.below(most) as usize);
            bytes = end.take_unread(size);
            self.ends[other].under_way -= bytes.len();
            self.take_turn(other, now);
            if let Some(tap) = &mut self.tap {
                tap.read(now, EndId(index), &bytes);
            }
        }
        let end = &mut self.ends[index];
        if end.fin && end.unread_bytes == 0 && !end.fin_told {
            end.fin_told = true;
            self.news.push_back((end.seat, News::End { conn: end.conn }));
        }
        self.told_to_read(index);
        bytes
    }

    pub(super) fn work(&mut self, now: Instant, task: Task) {
        match task {
            Task::Host(_) => unreachable!("the world drives its hosts"),
            Task::Uplink(node) => {
                self.nodes[node].busy = false;
                self.send(node, now);
            }
            Task::Arrive { end, packet } => {
                let at = self.nodes[self.ends[end].node].receive(now, packet.bytes.len());
                self.agenda.add(at, Task::Deliver { end, packet });
            }
            Task::Deliver { end, packet } => self.deliver(end, packet, now),
            Task::Reset { end } => self.close(end, CloseReason::Failed(ErrorKind::ConnectionReset)),
            Task::Dial { seat, node, dial, to } => self.connect(seat, node, dial, to),
            Task::Datagram { seat, socket, from, bytes } => {
                self.news.push_back((seat, News::Datagram { socket, from, bytes }));
            }
        }
    }

    fn connect(&mut self, seat: Seat, dialler: usize, dial: DialId, to: SocketAddr) {
        if !self.end_dial(seat, dial) {
            return;
        }
        let node = self.node_of(to.ip());
        let listener = self.listeners.get(&to).copied();
        let open = node.filter(|node| !self.nodes[*node].link.firewalled);
        let (Some(node), Some(listener)) = (open, listener) else {
            let error = if open.is_some() { ErrorKind::ConnectionRefused } else { ErrorKind::TimedOut };
            self.news.push_back((seat, News::ConnectFailed { dial, error }));
            return;
        };
        self.next_port = self.next_port.wrapping_add(1).max(40_000);
        let from = SocketAddr::new(self.nodes[dialler].ip, self.next_port);
        let ours = self.open(seat, dialler);
        let theirs = self.open(listener, node);
        self.ends[ours].other = theirs;
        self.ends[theirs].other = ours;
        if let Some(tap) = &mut self.tap {
            tap.opened((seat, EndId(ours)), (listener, EndId(theirs)));
        }
        let (a, b) = (self.ends[ours].conn, self.ends[theirs].conn);
        self.news.push_back((seat, News::Connected { dial, conn: a, local: from }));
        self.news.push_back((listener, News::Accepted { conn: b, from, local: to }));
    }

    /// Has an end wait for its turn at the uplink, if it has something to send.
    fn take_turn(&mut self, index: usize, now: Instant) {
        let end = &mut self.ends[index];
        let node = end.node;
        if !end.in_turn && end.can_send(self.nodes[node].link.window) {
            end.in_turn = true;
            self.nodes[node].fresh.push_back(index);
            self.send(node, now);
        }
    }

    /// Puts the next packet of a node under way, unless one is being sent.
    fn send(&mut self, node: usize, now: Instant) {
        while !self.nodes[node].busy {
            let up = &mut self.nodes[node];
            let Some(index) = up.fresh.pop_front().or_else(|| up.going_on.pop_front()) else { return };
            let link = up.link;
            let end = &mut self.ends[index];
            if !end.can_send(link.window) {
                end.in_turn = false;
                continue;
            }
            let most = (link.window - end.under_way.min(link.window)).min(end.queued).min(link.packet());
            let size = match u32::try_from(most).unwrap() {
                most if link.split && most > 0 => 1 + self.rng.below(most) as usize,
                most => most as usize,
            };
            let bytes = end.take(size);
            end.on_agenda += size as u64;
            if end.wrote && end.queued <= LOW_WATERMARK && !end.finishing {
                end.wrote = false;
                self.news.push_back((end.seat, News::Writable { conn: end.conn, queued: end.queued }));
            }
            let (other, fin) = (end.other, end.finishing && end.queued == 0);
            let taken = time_of(size, link.rate);
            let at = now + taken + self.latency(node, self.ends[other].node);
            self.agenda.add(at, Task::Arrive { end: other, packet: Packet { bytes, fin } });
            if taken > Duration::ZERO {
                self.nodes[node].busy = true;
                self.agenda.add(now + taken, Task::Uplink(node));
            }
            let end = &mut self.ends[index];
            if fin {
                end.in_turn = false;
                let reason = if end.fin_told { CloseReason::Theirs } else { CloseReason::Ours };
                self.close(index, reason);
            } else if end.can_send(link.window) {
                self.nodes[node].going_on.push_back(index);
            } else {
                end.in_turn = false;
            }
        }
    }

    fn deliver(&mut self, index: usize, packet: Packet, now: Instant) {
        let other = self.ends[index].other;
        let size = packet.bytes.len();
        self.ends[other].on_agenda -= size as u64;
        let end = &mut self.ends[index];
        if end.closed {
            self.ends[other].lost += size as u64;
            // What is written to a side that has closed both ways is answered by a reset.
            if !self.ends[index].vanished && size > 0 {
                self.reset_other(index, now);
            }
            return;
        }
        end.put_unread(packet.bytes);
        end.fin |= packet.fin;
        self.told_to_read(index);
    }

    /// Compares what was written with what was read, what is under way and what was lost, for every stream.
    pub(super) fn check_bytes(&self) {
        for end in &self.ends {
            let other = &self.ends[end.other];
            let there = other.read + other.unread_bytes as u64 + end.queued as u64 + end.on_agenda + end.lost;
            assert_eq!(end.written, there, "bytes of a stream from {:?} to {:?}", end.seat, other.seat);
        }
    }
}
