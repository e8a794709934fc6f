//! HTTP connections: requests cut from streams, in their order, and who is too slow.

mod answer;
mod head;
mod metrics;

use super::machine::Server;
use crate::machine::{ConnId, Instant, Map, Rng, Timers};
use head::HeadError;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What is kept of a connection's memory while nothing is in it.
const KEPT: usize = 1 << 10;

/// Gives memory back that what is left of the input does not need.
fn trim(input: &mut Vec<u8>, max_head: usize) {
    if input.is_empty() && input.capacity() > KEPT {
        *input = Vec::new();
    } else if input.capacity() > max_head {
        // Room for the rest of a head, unless it is to have more at once.
        input.shrink_to(max_head);
    }
}

/// Gives whose an address is: of IPv6 the first 64 bits, since who has one address has all that begin with these.
fn holder(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// What a connection waits for, and is closed if it waits too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The rest of a head, or the first one.
    Head,
    /// Another request.
    Request,
    /// The client, to read what it asked for.
    Reader,
}

/// A connection.
#[derive(Debug)]
struct Conn {
    from: IpAddr,
    /// Bytes that are no whole request yet, or wait for answers to be read.
    input: Vec<u8>,
    /// How many of them were searched for the end of a head.
    scanned: usize,
    /// An empty line before the request has been passed over: some clients end a request with one too many (RFC 9112, 2.2).
    blank: bool,
    /// How many bytes of answers the client has not read.
    unread: usize,
    /// It is not read from.
    stopped: bool,
    /// No answer is given any more.
    closing: bool,
    /// The client sends nothing more.
    ended: bool,
    wait: Wait,
}

/// The connections.
pub(super) struct Http {
    conns: Map<ConnId, Conn>,
    /// How many each address has, or each network of IPv6, but for those of proxies.
    addresses: Map<IpAddr, usize>,
    deadlines: Timers<ConnId>,
    /// Whether figures are asked for rather than peers.
    pub(super) metrics: bool,
    /// The body of the answer that is being made.
    body: Vec<u8>,
}

/// How many connections are closed for being slow in one call.
const CLOSES: usize = 256;

impl Http {
    pub(super) fn new(metrics: bool, rng: &mut Rng) -> Self {
        Self { conns: Map::new(rng), addresses: Map::new(rng), deadlines: Timers::new(), metrics, body: Vec::new() }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }
}

impl Server {
    pub(super) fn on_accepted(&mut self, now: Instant, conn: ConnId, from: SocketAddr) {
        let from = from.ip().to_canonical();
        self.counters.connections.add(1);
        let proxy = self.config.proxies.contains(&from);
        let holder = holder(from);
        let of_address = self.http.addresses.get(&holder).copied().unwrap_or(0);
        let too_many = self.http.conns.len() >= self.config.max_connections
            || (!proxy && of_address >= self.config.max_connections_per_address);
        if !proxy {
            *self.http.addresses.entry(holder).or_insert(0) += 1;
        }
        let state = Conn {
            from,
            input: Vec::new(),
            scanned: 0,
            blank: false,
            unread: 0,
            stopped: false,
            closing: false,
            ended: false,
            wait: Wait::Head,
        };
        // One too many is remembered until the host has closed it, which it does at once.
        self.http.conns.insert(conn, state);
        if too_many {
            self.counters.too_many.add(1);
            self.close(conn, false);
        } else {
            self.http.deadlines.set(conn, now + self.config.head_timeout);
        }
    }

    /// Closes a connection, once.
    fn close(&mut self, conn: ConnId, flush: bool) {
        let Some(state) = self.http.conns.get_mut(&conn).filter(|state| !state.closing) else { return };
        state.closing = true;
        state.input = Vec::new();
        self.http.deadlines.cancel(conn);
        self.counters.closed.add(1);
        self.outgoing.close(conn, flush);
    }

    pub(super) fn on_closed(&mut self, conn: ConnId) {
        let Some(state) = self.http.conns.remove(&conn) else { return };
        self.http.deadlines.cancel(conn);
        if !state.closing {
            self.counters.closed.add(1);
        }
        let holder = holder(state.from);
        if let Some(count) = self.http.addresses.get_mut(&holder) {
            *count -= 1;
            if *count == 0 {
                self.http.addresses.remove(&holder);
            }
        }
    }

    pub(super) fn on_stream(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        let Some(state) = self.http.conns.get_mut(&conn).filter(|state| !state.closing) else { return };
        state.input.extend_from_slice(bytes);
        self.serve(now, conn);
    }

    pub(super) fn on_writable(&mut self, now: Instant, conn: ConnId, queued: usize) {
        let Some(state) = self.http.conns.get_mut(&conn).filter(|state| !state.closing) else { return };
        state.unread = queued.min(state.unread);
        self.serve(now, conn);
    }

    pub(super) fn on_end(&mut self, conn: ConnId) {
        let Some(state) = self.http.conns.get_mut(&conn) else { return };
        state.ended = true;
        // What it asked for before is still answered, once there is room.
        if !state.stopped {
            self.close(conn, true);
        }
    }

    /// Answers the requests that are there, as far as there is room for answers.
    fn serve(&mut self, now: Instant, conn: ConnId) {
        let mut served = false;
        let mut input = match self.http.conns.get_mut(&conn) {
            Some(state) => std::mem::take(&mut state.input),
            None => return,
        };
        let mut start = 0;
        loop {
            let Some(state) = self.http.conns.get_mut(&conn).filter(|state| !state.closing) else { return };
            let mut rest = input.get(start..).unwrap_or_default();
            if !state.blank && rest.starts_with(b"\r\n") {
                state.blank = true;
                (start, rest, state.scanned) = (start + 2, rest.get(2..).unwrap_or_default(), 0);
            }
            let full = state.unread > self.config.max_unread;
            if full || rest.is_empty() {
                break;
            }
            let Some(length) = head::end(rest, state.scanned) else {
                state.scanned = rest.len();
                break;
            };
            state.scanned = 0;
            state.blank = false;
            served = true;
            let head = rest.get(..length.min(self.config.max_head)).unwrap_or_default();
            let parsed = if length > self.config.max_head { Err(HeadError::TooLong) } else { head::parse(head) };
            start += length;
            self.answer(now, conn, parsed);
        }
        input.drain(..start.min(input.len()));
        trim(&mut input, self.config.max_head);
        let (left, max_head) = (input.len(), self.config.max_head);
        let most = max_head + self.config.piece();
        let Some(state) = self.http.conns.get_mut(&conn) else { return };
        state.input = input;
        let full = state.unread > self.config.max_unread;
        if left > max_head && !full {
            return self.answer(now, conn, Err(HeadError::TooLong));
        }
        if left > most {
            // It sends and sends and does not read. What had come before the host was asked to read no more is less than this.
            self.counters.too_slow.add(1);
            return self.close(conn, false);
        }
        if full != state.stopped {
            state.stopped = full;
            let ended = state.ended;
            if !ended {
                self.outgoing.set_reading(conn, !full);
            } else if !full {
                return self.close(conn, true);
            }
        }
        self.watch(now, conn, served);
    }

    /// Sets by when something must happen on a connection; `anew` where what is waited for began anew though it is the same.
    fn watch(&mut self, now: Instant, conn: ConnId, anew: bool) {
        let Some(state) = self.http.conns.get_mut(&conn) else { return };
        let wait = if state.unread > 0 {
            Wait::Reader
        } else if !state.input.is_empty() || (state.wait == Wait::Head && !anew) {
            Wait::Head
        } else {
            Wait::Request
        };
        let again = anew && wait == Wait::Head;
        if wait != state.wait || again {
            state.wait = wait;
            let timeout = match wait {
                Wait::Head => self.config.head_timeout,
                Wait::Request => self.config.idle_timeout,
                Wait::Reader => self.config.write_timeout,
            };
            self.http.deadlines.set(conn, now + timeout);
        }
    }

    /// Closes connections that are too slow.
    pub(super) fn on_late(&mut self, now: Instant) {
        for _ in 0..CLOSES {
            let Some(conn) = self.http.deadlines.pop(now) else { return };
            let Some(state) = self.http.conns.get(&conn) else { continue };
            let idle = state.wait == Wait::Request;
            if !idle {
                self.counters.too_slow.add(1);
            }
            self.close(conn, idle);
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({} connections)", self.conns.len())
    }
}

#[cfg(test)]
mod tests {
    use super::trim;

    #[test]
    fn what_is_left_of_a_long_input_takes_no_more_memory_than_a_head() {
        let mut input = vec![b'x'; 64 << 10];
        input.drain(..(64 << 10) - 5);
        trim(&mut input, 8 << 10);
        assert!(input == b"xxxxx" && input.capacity() <= 8 << 10, "{}", input.capacity());
        input.clear();
        trim(&mut input, 8 << 10);
        assert_eq!(input.capacity(), 0);
    }
}
