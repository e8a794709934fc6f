//! Virtual streams: latency, a rate, a window, and cuts at random places.

use super::SimHost;
use super::host::Ask;
use bip::machine::{CloseReason, ConnId, DialId, Input, Instant, Rng};
use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What every connection is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// One way.
    pub(crate) latency: Duration,
    /// Bytes per second, each way.
    pub(crate) rate: u64,
    /// Bytes that may be under way or unread, each way.
    pub(crate) window: usize,
    /// No read gives more than this at once.
    pub(crate) max_read: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { latency: Duration::from_millis(10), rate: 10_000_000, window: 256 * 1024, max_read: 40_000 }
    }
}

/// A machine by its host's place and its own.
type Seat = (usize, usize);

/// What a sender sees when its queue in the host is this short.
const LOW_WATERMARK: usize = 64 * 1024;

#[derive(Debug)]
struct End {
    seat: Seat,
    conn: ConnId,
    /// The other end's place in the table of ends.
    other: usize,
    reading: bool,
    /// Written by the machine, not yet under way.
    queue: VecDeque<u8>,
    /// Written since the last `Writable`.
    wrote: bool,
    /// Under way to this end.
    inbound: VecDeque<(Instant, Vec<u8>)>,
    /// When the last byte under way to this end arrives.
    arrives: Instant,
    /// Arrived and not yet read.
    unread: VecDeque<u8>,
    /// Our side will write no more once the queue is empty.
    finishing: bool,
    /// When the other side's end of stream arrives; not before what is under way.
    fin_at: Option<Instant>,
    fin_seen: bool,
    /// When a reset arrives.
    reset_at: Option<Instant>,
    closed: bool,
}

pub(super) struct Network {
    rng: Rng,
    link: Link,
    listeners: BTreeMap<SocketAddr, Seat>,
    ends: Vec<End>,
    /// The ends by host and slot: the newest tenant of each slot.
    slots: BTreeMap<(Seat, u32), usize>,
    next_slot: u32,
    dials: BTreeMap<(Instant, u64), Dial>,
    next_dial: u64,
    next_port: u16,
    /// Inputs to be given now, in order.
    news: VecDeque<(Seat, News)>,
}

struct Dial {
    seat: Seat,
    from: IpAddr,
    dial: DialId,
    to: SocketAddr,
}

enum News {
    Accepted { conn: ConnId, from: SocketAddr, local: SocketAddr },
    Connected { dial: DialId, conn: ConnId, local: SocketAddr },
    ConnectFailed { dial: DialId, error: ErrorKind },
    Stream { conn: ConnId, bytes: Vec<u8> },
    Writable { conn: ConnId, queued: usize },
    End { conn: ConnId },
    Closed { conn: ConnId, reason: CloseReason },
}

impl Network {
    pub(super) fn new(rng: Rng, link: Link) -> Self {
        Self {
            rng,
            link,
            listeners: BTreeMap::new(),
            ends: Vec::new(),
            slots: BTreeMap::new(),
            next_slot: 0,
            dials: BTreeMap::new(),
            next_dial: 0,
            next_port: 40_000,
            news: VecDeque::new(),
        }
    }

    pub(super) fn listen(&mut self, address: SocketAddr, seat: Seat) {
        self.listeners.insert(address, seat);
    }

    pub(super) fn cut(&mut self, host: usize, now: Instant) {
        self.listeners.retain(|_, seat| seat.0 != host);
        for index in 0..self.ends.len() {
            if self.ends[index].seat.0 == host && !self.ends[index].closed {
                self.ends[index].closed = true;
                let other = self.ends[index].other;
                self.ends[other].reset_at.get_or_insert(now + self.link.latency);
            }
        }
    }

    pub(super) fn next_time(&self) -> Option<Instant> {
        let dial = self.dials.first_key_value().map(|((at, _), _)| *at);
        let live = self.ends.iter().filter(|e| !e.closed);
        let end = live.flat_map(|e| {
            let bytes = e.inbound.front().map(|(at, _)| *at);
            let fin = e.fin_at.filter(|_| !e.fin_seen && e.inbound.is_empty() && e.unread.is_empty());
            bytes.into_iter().chain(fin).chain(e.reset_at)
        });
        dial.into_iter().chain(end).min()
    }

    fn find(&self, seat: Seat, conn: ConnId) -> Option<usize> {
        let index = *self.slots.get(&(seat, conn.slot))?;
        let end = &self.ends[index];
        (end.conn == conn && !end.closed).then_some(index)
    }

    pub(super) fn ask(&mut self, ip: IpAddr, seat: Seat, now: Instant, ask: Ask) {
        match ask {
            Ask::Connect { dial, to } => {
                self.next_dial += 1;
                let at = now + self.link.latency * 2;
                self.dials.insert((at, self.next_dial), Dial { seat, from: ip, dial, to });
            }
            Ask::Abandon { dial } => {
                let key = self.dials.iter().find(|(_, d)| d.seat == seat && d.dial == dial).map(|(k, _)| *k);
                if let Some(key) = key {
                    self.dials.remove(&key);
                    self.news.push_back((seat, News::ConnectFailed { dial, error: ErrorKind::Interrupted }));
                }
            }
            Ask::Write { conn, bytes } => {
                if let Some(index) = self.find(seat, conn) {
                    let end = &mut self.ends[index];
                    if !end.finishing {
                        end.queue.extend(bytes);
                        end.wrote = true;
                    }
                }
            }
            Ask::Close { conn, flush } => {
                let Some(index) = self.find(seat, conn) else { return };
                if flush {
                    self.ends[index].finishing = true;
                } else {
                    self.close(index, CloseReason::Ours);
                    let other = self.ends[index].other;
                    self.ends[other].reset_at.get_or_insert(now + self.link.latency);
                }
            }
            Ask::Reading { conn, on } => {
                if let Some(index) = self.find(seat, conn) {
                    self.ends[index].reading = on;
                }
            }
        }
    }

    fn close(&mut self, index: usize, reason: CloseReason) {
        let end = &mut self.ends[index];
        if !std::mem::replace(&mut end.closed, true) {
            self.news.push_back((end.seat, News::Closed { conn: end.conn, reason }));
        }
    }

    fn open(&mut self, seat: Seat, now: Instant) -> usize {
        // Slots are used again, with a new generation, as in a real host.
        let free =
            self.slots.iter().find(|((s, _), i)| *s == seat && self.ends[**i].closed).map(|((_, slot), _)| *slot);
        let slot = free.unwrap_or_else(|| {
            self.next_slot += 1;
            self.next_slot
        });
        let generation = self.slots.get(&(seat, slot)).map_or(0, |i| self.ends[*i].conn.generation + 1);
        let index = self.ends.len();
        self.ends.push(End {
            seat,
            conn: ConnId { slot, generation },
            other: usize::MAX,
            reading: true,
            queue: VecDeque::new(),
            wrote: false,
            inbound: VecDeque::new(),
            arrives: now,
            unread: VecDeque::new(),
            finishing: false,
            fin_at: None,
            fin_seen: false,
            reset_at: None,
            closed: false,
        });
        self.slots.insert((seat, slot), index);
        index
    }

    /// Moves what can be moved at this instant; says whether anything was.
    pub(super) fn work(&mut self, now: Instant, hosts: &mut [SimHost]) -> bool {
        let mut worked = false;
        while let Some(((at, n), _)) = self.dials.first_key_value().map(|(k, v)| (*k, v.dial)) {
            if at > now {
                break;
            }
            let dial = self.dials.remove(&(at, n)).expect("it was just seen");
            self.connect(dial, now);
            worked = true;
        }
        for index in 0..self.ends.len() {
            if !self.ends[index].closed {
                worked |= self.send(index, now);
                worked |= self.receive(index, now);
            }
        }
        while let Some((seat, news)) = self.news.pop_front() {
            worked = true;
            let input = match &news {
                News::Accepted { conn, from, local } => Input::Accepted { conn: *conn, from: *from, local: *local },
                News::Connected { dial, conn, local } => Input::Connected { dial: *dial, conn: *conn, local: *local },
                News::ConnectFailed { dial, error } => Input::ConnectFailed { dial: *dial, error: *error },
                News::Stream { conn, bytes } => {
                    // Closed by the machine since it was read: no more stream bytes then.
                    if self.find(seat, *conn).is_none_or(|i| self.ends[i].finishing) {
                        continue;
                    }
                    Input::Stream { conn: *conn, bytes }
                }
                News::Writable { conn, queued } => Input::Writable { conn: *conn, queued: *queued },
                News::End { conn } => Input::End { conn: *conn },
                News::Closed { conn, reason } => Input::Closed { conn: *conn, reason: *reason },
            };
            if !matches!(news, News::Closed { .. } | News::ConnectFailed { .. }) {
                let conn = match &news {
                    News::Accepted { conn, .. }
                    | News::Connected { conn, .. }
                    | News::Stream { conn, .. }
                    | News::Writable { conn, .. }
                    | News::End { conn } => Some(*conn),
                    _ => None,
                };
                let gone = conn.is_some_and(|c| self.find(seat, c).is_none());
                let opening = matches!(news, News::Accepted { .. } | News::Connected { .. });
                if gone && !opening {
                    continue;
                }
            }
            hosts[seat.0].input(seat.0, seat.1, now, input, self);
        }
        worked
    }

    fn connect(&mut self, dial: Dial, now: Instant) {
        let Some(listener) = self.listeners.get(&dial.to).copied() else {
            let news = News::ConnectFailed { dial: dial.dial, error: ErrorKind::ConnectionRefused };
            self.news.push_back((dial.seat, news));
            return;
        };
        self.next_port = self.next_port.wrapping_add(1).max(40_000);
        let from = SocketAddr::new(dial.from, self.next_port);
        let ours = self.open(dial.seat, now);
        let theirs = self.open(listener, now);
        self.ends[ours].other = theirs;
        self.ends[theirs].other = ours;
        let (a, b) = (self.ends[ours].conn, self.ends[theirs].conn);
        self.news.push_back((dial.seat, News::Connected { dial: dial.dial, conn: a, local: from }));
        self.news.push_back((listener, News::Accepted { conn: b, from, local: dial.to }));
    }

    /// Puts under way what the window allows.
    fn send(&mut self, index: usize, now: Instant) -> bool {
        let other = self.ends[index].other;
        let mut worked = false;
        loop {
            let reader = &self.ends[other];
            let under_way = reader.unread.len() + reader.inbound.iter().map(|(_, b)| b.len()).sum::<usize>();
            let room = self.link.window.saturating_sub(under_way);
            let queued = self.ends[index].queue.len();
            if room == 0 || queued == 0 {
                break;
            }
            let most = room.min(queued).min(64 * 1024);
            let size = 1 + self.rng.below(u32::try_from(most).unwrap()) as usize;
            let bytes: Vec<u8> = self.ends[index].queue.drain(..size).collect();
            let taken = Duration::from_micros(size as u64 * 1_000_000 / self.link.rate);
            let at = (now + self.link.latency).max(self.ends[other].arrives + taken);
            self.ends[other].arrives = at;
            if self.ends[other].closed {
                // The other side has closed both ways: what is written to it is answered by a reset.
                let back = now + self.link.latency * 2;
                self.ends[index].reset_at.get_or_insert(back);
            } else {
                self.ends[other].inbound.push_back((at, bytes));
            }
            worked = true;
        }
        let end = &mut self.ends[index];
        if worked && end.wrote && end.queue.len() <= LOW_WATERMARK && !end.finishing {
            end.wrote = false;
            self.news.push_back((end.seat, News::Writable { conn: end.conn, queued: end.queue.len() }));
        }
        let end = &self.ends[index];
        if end.finishing && end.queue.is_empty() {
            let at = self.ends[other].arrives.max(now + self.link.latency);
            self.ends[other].fin_at = Some(at);
            let reason = if self.ends[index].fin_seen { CloseReason::Theirs } else { CloseReason::Ours };
            self.close(index, reason);
            worked = true;
        }
        worked
    }

    fn receive(&mut self, index: usize, now: Instant) -> bool {
        let mut worked = false;
        if self.ends[index].reset_at.is_some_and(|at| at <= now) {
            self.close(index, CloseReason::Failed(ErrorKind::ConnectionReset));
            return true;
        }
        while self.ends[index].inbound.front().is_some_and(|(at, _)| *at <= now) {
            let (_, bytes) = self.ends[index].inbound.pop_front().expect("it was just seen");
            self.ends[index].unread.extend(bytes);
            worked = true;
        }
        let end = &mut self.ends[index];
        if end.reading && !end.unread.is_empty() && !end.finishing {
            let most = u32::try_from(end.unread.len()).unwrap().min(self.link.max_read);
            let size = 1 + self.rng.below(most) as usize;
            let bytes = end.unread.drain(..size).collect();
            self.news.push_back((end.seat, News::Stream { conn: end.conn, bytes }));
            return true;
        }
        let drained = end.inbound.is_empty() && end.unread.is_empty();
        if drained && !end.fin_seen && end.fin_at.is_some_and(|at| at <= now) {
            end.fin_seen = true;
            self.news.push_back((end.seat, News::End { conn: end.conn }));
            return true;
        }
        worked
    }
}
