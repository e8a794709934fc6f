//! Datagrams of one length to one place, which leave as one that the system cuts into them again (`UDP_SEGMENT`).

use super::batched::Kept;
use mio::net::UdpSocket;
use rustix::io::Errno;
use socket2::{MsgHdr, SockAddr, SockRef};
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;

/// How many datagrams the system cuts at most.
const COUNT: usize = 64;
/// How many bytes they have together at most: what fits into an IP packet, whose length is a number of 16 bits.
const TOGETHER: usize = 65_000;
/// How many datagrams are worth a call of their own.
const WORTH: usize = 4;
/// How long each is at most, over IPv4 and IPv6: as long as one that Ethernet takes whole, for none of them is cut into fragments.
const EACH: (usize, usize) = (1_472, 1_452);
/// How often the system may refuse in a row before it is not asked any more. A single place may be reached over a way that is narrower than Ethernet.
const REFUSALS: u32 = 16;
/// The level and the type of the message that says how long each is: `SOL_UDP` and `UDP_SEGMENT` of Linux, on all processors.
const SEGMENT: (i32, i32) = (17, 103);
/// The first version of Linux that does it. Those before send the whole as one and do not say so.
const SINCE: (u32, u32) = (4, 18);

/// Whether a socket sends so, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segments {
    on: bool,
    /// How often it was refused since it last went well.
    refused: u32,
}

impl Default for Segments {
    fn default() -> Self {
        let release = rustix::system::uname();
        Self { on: version(release.release().to_bytes()).is_some_and(|version| version >= SINCE), refused: 0 }
    }
}

impl Segments {
    /// Gives how many of the first datagrams should leave as one: of one length, but for the last, which may be shorter, to one place. 0: none.
    pub(super) fn run(self, datagrams: &[Kept]) -> usize {
        let fits = |kept: &&Kept| (1..=if kept.to.is_ipv4() { EACH.0 } else { EACH.1 }).contains(&kept.range.len());
        let Some(first) = datagrams.first().filter(|first| self.on && fits(first)) else { return 0 };
        let (each, mut run) = (first.range.len(), 1);
        for next in datagrams.iter().skip(1) {
            let len = next.range.len();
            let has_room = run < COUNT && next.range.end - first.range.start <= TOGETHER;
            if !has_room || len > each || len == 0 || next.to != first.to {
                break;
            }
            run += 1;
            if len < each {
                break;
            }
        }
        if run < WORTH { 0 } else { run }
    }

    /// Sends a run. In an error none of it has left, as good as always, and each is to be sent for itself.
    pub(super) fn send(&mut self, socket: &UdpSocket, bytes: &[u8], run: &[Kept]) -> io::Result<()> {
        let ([first, ..], Some(last)) = (run, run.last()) else { return Ok(()) };
        let whole = bytes.get(first.range.start..last.range.end).unwrap_or_default();
        let (to, control) = (SockAddr::from(first.to), Control::new(first.range.len()));
        let (bufs, socket) = ([IoSlice::new(whole)], SockRef::from(socket));
        let message = MsgHdr::new().with_addr(&to).with_buffers(&bufs).with_control(control.bytes());
        loop {
            match socket.sendmsg(&message, 0) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                result => {
                    self.refused = if result.is_ok() { 0 } else { self.refused };
                    return result.map(drop);
                }
            }
        }
    }

    /// Takes note of an error of a run whose datagrams have all left, each for itself: the system, or what it sends through, may be one that does not
    /// know this way of sending, or the way to that place is narrow. Other errors are about the moment.
    pub(super) fn on_refused(&mut self, error: &io::Error) {
        if matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::IO | Errno::OPNOTSUPP)) {
            self.refused += 1;
            if self.refused >= REFUSALS {
                log::debug!("datagrams leave one by one from now on: {error}");
                self.on = false;
            }
        }
    }
}

/// The control message, as the system reads it: its length, level and type, and the length of a datagram.
struct Control {
    bytes: [u8; 24],
    /// With what fills it up to a whole word.
    space: Range<usize>,
}

impl Control {
    fn new(each: usize) -> Self {
        let each = u16::try_from(each).unwrap_or(u16::MAX);
        let head = size_of::<usize>() + 8;
        let mut bytes = [0; 24];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(&(head + 2).to_ne_bytes());
        put(&SEGMENT.0.to_ne_bytes());
        put(&SEGMENT.1.to_ne_bytes());
        put(&each.to_ne_bytes());
        Self { bytes, space: 0..head + size_of::<usize>() }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(self.space.clone()).unwrap_or_default()
    }
}

/// Reads the first two numbers of a version.
fn version(text: &[u8]) -> Option<(u32, u32)> {
    let mut numbers = std::str::from_utf8(text).ok()?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    const ON: Segments = Segments { on: true, refused: 0 };

    /// Datagrams of these lengths to these ports, one behind the other.
    fn kept(datagrams: &[(usize, u16)]) -> Vec<Kept> {
        let mut end = 0;
        let place = |&(len, port): &(usize, u16)| {
            end += len;
            Kept { to: SocketAddr::from(([127, 0, 0, 1], port)), range: end - len..end }
        };
        datagrams.iter().map(place).collect()
    }

    fn run(datagrams: &[(usize, u16)]) -> usize {
        ON.run(&kept(datagrams))
    }

    #[test]
    fn a_run_is_of_one_length_to_one_place_and_worth_a_call() {
        assert_eq!([run(&[]), run(&[(5, 1)]), run(&[(5, 1); 3]), run(&[(5, 1); 4])], [0, 0, 0, 4]);
        assert_eq!(run(&[(5, 1), (5, 1), (5, 2), (5, 1), (5, 1)]), 0);
        assert_eq!(run(&[(5, 1), (5, 1), (5, 1), (5, 1), (6, 1)]), 4, "a longer one would be cut");
    }

    #[test]
    fn the_last_of_a_run_may_be_shorter() {
        assert_eq!(run(&[(5, 1), (5, 1), (5, 1), (4, 1), (4, 1)]), 4);
        assert_eq!(run(&[(5, 1), (5, 1), (5, 1), (0, 1)]), 0, "of an empty one nothing would be left");
        assert_eq!(run(&[(0, 1); 4]), 0);
    }

    #[test]
    fn a_run_has_no_more_than_the_system_takes() {
        assert_eq!(run(&[(5, 1); 100]), COUNT);
        assert_eq!(run(&[(EACH.0, 1); 100]), TOGETHER / EACH.0);
        assert_eq!(run(&[(EACH.0 + 1, 1); 4]), 0);
        let mut six = kept(&[(EACH.1 + 1, 1); 4]);
        six.iter_mut().for_each(|kept| kept.to = "[::1]:1".parse().unwrap());
        assert_eq!(ON.run(&six), 0);
        assert_eq!(Segments { on: false, refused: 0 }.run(&kept(&[(5, 1); 100])), 0);
    }

    #[test]
    fn a_run_leaves_as_one_and_comes_as_it_was() {
        let here = || UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (from, to) = (here(), here());
        let mut run = kept(&[(5, 1), (5, 1), (5, 1), (3, 1)]);
        run.iter_mut().for_each(|kept| kept.to = to.local_addr().unwrap());
        let mut segments = Segments::default();
        assert!(segments.on, "this system is too old for this test");
        segments.send(&from, b"aaaaabbbbbcccccddd", &run).unwrap();
        let mut buffer = [0; 64];
        let mut receive = || loop {
            match to.recv(&mut buffer) {
                Ok(len) => return buffer[..len].to_vec(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        };
        let came: Vec<_> = (0..4).map(|_| receive()).collect();
        assert_eq!(came, [&b"aaaaa"[..], b"bbbbb", b"ccccc", b"ddd"]);
    }

    #[test]
    fn a_system_that_always_refuses_is_not_asked_for_ever_and_one_place_says_nothing_of_others() {
        let mut segments = ON;
        for errno in [Errno::WOULDBLOCK, Errno::NETUNREACH, Errno::PERM, Errno::MSGSIZE] {
            (0..100).for_each(|_| segments.on_refused(&errno.into()));
            assert_eq!(segments, ON);
        }
        for errno in [Errno::INVAL, Errno::IO, Errno::OPNOTSUPP] {
            let mut segments = ON;
            (1..REFUSALS).for_each(|_| segments.on_refused(&errno.into()));
            assert!(segments.on);
            segments.on_refused(&errno.into());
            assert!(!segments.on);
        }
    }

    #[test]
    fn the_control_message_is_as_long_as_it_says_and_whole_words() {
        let control = Control::new(0x1234);
        let word = size_of::<usize>();
        let (length, rest) = control.bytes().split_at(word);
        assert_eq!(usize::from_ne_bytes(length.try_into().unwrap()), word + 10);
        assert_eq!(rest[8..10], 0x1234u16.to_ne_bytes());
        assert_eq!(control.bytes().len() % word, 0);
    }

    #[test]
    fn versions_are_read_whatever_follows() {
        assert_eq!(version(b"4.18.0-553.el8.x86_64"), Some((4, 18)));
        assert_eq!(version(b"6.1"), Some((6, 1)));
        assert_eq!(version(b"5.10-rc1+"), Some((5, 10)));
        assert_eq!([version(b""), version(b"6"), version(b"x.1"), version(b"\xff.1")], [None; 4]);
        assert!((4, 4) < SINCE && (4, 18) >= SINCE && (5, 0) >= SINCE);
    }
}
