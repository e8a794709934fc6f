//! Datagrams that are kept and leave many with one system call (`sendmmsg`), or many as [one](super::segments).

use super::segments::Segments;
use mio::net::UdpSocket;
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny, recvfrom, sendmmsg, sendto};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::ops::Range;

/// How many datagrams are kept at most.
const COUNT: usize = 64;
/// No datagram is kept behind more bytes than this.
const BYTES: usize = 64 << 10;
/// A longer datagram would not be worth its copy.
const LONG: usize = 16 << 10;

/// A datagram that is kept: where it goes, and where its bytes are.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) to: SocketAddr,
    pub(super) range: Range<usize>,
}

/// What a socket has to send, in order: at most 64 datagrams and 80 KiB.
#[derive(Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    datagrams: Vec<Kept>,
    segments: Segments,
}

impl Outgoing {
    /// Keeps a datagram. Says whether it is the first that is kept.
    pub(super) fn push(&mut self, socket: &UdpSocket, bytes: &[u8], to: SocketAddr, dropped: &mut u64) -> bool {
        if bytes.len() > LONG {
            self.flush(socket, dropped);
            *dropped += send(socket, bytes, to).lost;
            return false;
        }
        if self.datagrams.len() >= COUNT || self.bytes.len() >= BYTES {
            self.flush(socket, dropped);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.datagrams.push(Kept { to, range: start..self.bytes.len() });
        self.datagrams.len() == 1
    }

    /// Sends what is kept; what cannot be sent now is dropped.
    pub(super) fn flush(&mut self, socket: &UdpSocket, dropped: &mut u64) {
        let Self { bytes, datagrams, segments } = self;
        let mut rest = datagrams.as_slice();
        while !rest.is_empty() {
            let run = segments.run(rest);
            let (now, later) = match run {
                0 => rest.split_at((1..rest.len()).find(|at| segments.run(&rest[*at..]) > 0).unwrap_or(rest.len())),
                run => rest.split_at(run),
            };
            let sent = if run > 0 { send_run(socket, bytes, now, segments) } else { send_all(socket, bytes, now) };
            rest = later;
            *dropped += sent.lost;
            if sent.full {
                // The system has no room: it is not asked again for each of those that are left.
                *dropped += rest.len() as u64;
                break;
            }
        }
        bytes.clear();
        datagrams.clear();
    }
}

/// Reads one datagram. By a call that is nothing but the system's: that of the C library can be cancelled by another thread, and sees to that each time.
pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    let (len, _, from) = recvfrom(socket, buffer, RecvFlags::empty())?;
    Ok((len, from.ok_or(Errno::AFNOSUPPORT)?.try_into()?))
}

/// What became of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sent {
    /// How many were dropped.
    lost: u64,
    /// The system had no room.
    full: bool,
}

/// Sends a datagram.
fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> Sent {
    deliver(1, |_| sendto(socket, bytes, SendFlags::empty(), &to).map(|_| 1), || {})
}

/// Sends a run as one; where that is refused, each for itself.
fn send_run(socket: &UdpSocket, bytes: &[u8], run: &[Kept], segments: &mut Segments) -> Sent {
    match segments.send(socket, bytes, run) {
        Ok(()) => Sent::default(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Sent { lost: run.len() as u64, full: true },
        Err(error) => {
            let sent = send_all(socket, bytes, run);
            if sent.lost == 0 {
                segments.on_refused(&error);
            }
            sent
        }
    }
}

/// Sends datagrams, each for itself, with as few calls as it takes.
fn send_all(socket: &UdpSocket, bytes: &[u8], datagrams: &[Kept]) -> Sent {
    let bytes = |kept: &Kept| bytes.get(kept.range.clone()).unwrap_or_default();
    if let [one] = datagrams {
        return send(socket, bytes(one), one.to);
    }
    let places: Vec<SocketAddrAny> = datagrams.iter().map(|kept| kept.to.as_any()).collect();
    let slices: Vec<_> = datagrams.iter().map(|kept| IoSlice::new(bytes(kept))).collect();
    let mut controls: Vec<_> = datagrams.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let parts = places.iter().zip(slices.chunks(1)).zip(&mut controls);
    let mut messages: Vec<_> = parts.map(|((to, slice), control)| MMsgHdr::new_with_addr(to, slice, control)).collect();
    let send = |from: usize| sendmmsg(socket, &mut messages[from..], SendFlags::empty());
    deliver(datagrams.len(), send, || drop(socket.take_error()))
}

/// Sends so many datagrams by a call that sends those from a place on, as many as it can, and says how many it has sent. An
/// error is about the first of them, which alone is dropped; when the system has no room, all that are left are.
///
/// A call that stops in the middle leaves its error with the socket (Linux), where it would be taken for that of the next
/// datagram: `forget` takes it away. The datagram it was about meets it again.
fn deliver<E: Into<io::Error>>(
    count: usize,
    mut send: impl FnMut(usize) -> Result<usize, E>,
    mut forget: impl FnMut(),
) -> Sent {
    let (mut next, mut lost) = (0, 0);
    while next < count {
        match send(next).map_err(Into::into) {
            Ok(sent) if sent > 0 => {
                next += sent;
                if next < count {
                    forget();
                }
            }
            Ok(_) => (next, lost) = (next + 1, lost + 1),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                return Sent { lost: lost + (count - next) as u64, full: true };
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => {
                log::debug!("a datagram was dropped: {e}");
                (next, lost) = (next + 1, lost + 1);
            }
        }
    }
    Sent { lost, full: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a kernel: which datagrams it refuses, after how many it is full, and how many it takes in one call at most. Gives
    /// what it has sent, in order, and what was counted as dropped.
    fn play(count: usize, refused: &[usize], room: usize, most: usize) -> (Vec<usize>, u64) {
        let mut sent = Vec::new();
        let pending = std::cell::Cell::new(false);
        let send = |from: usize| {
            let mut taken = 0;
            for place in from..count.min(from + most) {
                let error = match place {
                    p if refused.contains(&p) => ErrorKind::NetworkUnreachable,
                    _ if pending.take() => ErrorKind::PermissionDenied,
                    _ if sent.len() >= room => ErrorKind::WouldBlock,
                    _ => {
                        sent.push(place);
                        taken += 1;
                        continue;
                    }
                };
                if taken == 0 {
                    return Err(io::Error::from(error));
                }
                // As Linux does: the error waits for the next datagram that could be sent, unless it only says that there is no room.
                pending.set(error != ErrorKind::WouldBlock);
                break;
            }
            Ok(taken)
        };
        let done = deliver(count, send, || pending.set(false));
        assert_eq!(done.full, sent.len() >= room && done.lost > refused.len() as u64);
        (sent, done.lost)
    }

    #[test]
    fn an_error_drops_the_one_datagram_that_it_is_about() {
        assert_eq!(play(5, &[], 99, 99), (vec![0, 1, 2, 3, 4], 0));
        assert_eq!(play(5, &[0], 99, 99), (vec![1, 2, 3, 4], 1));
        assert_eq!(play(5, &[2], 99, 99), (vec![0, 1, 3, 4], 1));
        assert_eq!(play(6, &[1, 2, 5], 99, 99), (vec![0, 3, 4], 3));
        assert_eq!(play(3, &[0, 1, 2], 99, 99), (vec![], 3));
    }

    #[test]
    fn a_partial_send_goes_on_and_a_full_system_drops_the_rest() {
        assert_eq!(play(7, &[3], 99, 2), (vec![0, 1, 2, 4, 5, 6], 1));
        assert_eq!(play(5, &[], 3, 99), (vec![0, 1, 2], 2));
        assert_eq!(play(5, &[0], 2, 99), (vec![1, 2], 3));
        assert_eq!(play(5, &[], 0, 99), (vec![], 5));
    }

    #[test]
    fn an_interrupted_call_is_made_again_and_one_that_does_nothing_ends() {
        let mut calls = 0;
        let interrupted = |_| {
            calls += 1;
            if calls < 3 { Err(io::Error::from(ErrorKind::Interrupted)) } else { Ok(2) }
        };
        assert_eq!(deliver(2, interrupted, || {}).lost, 0);
        assert_eq!(deliver(3, |_| Ok::<_, io::Error>(0), || {}), Sent { lost: 3, full: false });
    }
}
