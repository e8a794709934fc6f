//! Local service discovery: finding peers on the local network by multicast (BEP 14).
//!
//! ```text
//! BT-SEARCH * HTTP/1.1\r\n
//! Host: 239.192.152.143:6771\r\n
//! Port: 6881\r\n
//! Infohash: 40 hexadecimal digits\r\n           for each torrent
//! cookie: what tells the sender its own\r\n     perhaps
//! \r\n
//! \r\n
//! ```
//!
//! One datagram is one message: at most [`MAX_LEN`] bytes are written, so that it is not divided on its way, and with them at
//! most as many info hashes as fit ([`encode`] says how many). [`MAX_DATAGRAM`] bytes are read. Nothing is allocated but what the
//! caller's buffer needs to grow.
//!
//! Names of headers may be in any case, lines may end without `\r`, headers that are not known are left out. A line that is no
//! header or an info hash that is none is left out and counted ([`Announce::bad_lines`]); the rest stands. Who the sender is is
//! said by the datagram's address, and by nothing in it.
//!
//! Not here: how often to send (once in 5 minutes for each torrent, at most once a minute), and that torrents marked as private
//! are never announced.
//!
//! ```
//! use bip::proto::id::InfoHash;
//! use bip::proto::lsd::{self, Announce, Group};
//!
//! let mut datagram = Vec::new();
//! let sent = lsd::encode(Group::V4, 6881, Some("3af9"), [InfoHash([0xab; 20])], &mut datagram)?;
//! assert_eq!(sent, 1);
//! let announce = Announce::decode(&datagram)?;
//! assert_eq!((announce.port, announce.cookie), (6881, Some(&b"3af9"[..])));
//! assert!(announce.info_hashes().eq([InfoHash([0xab; 20])]));
//! # Ok::<(), lsd::Error>(())
//! ```

use super::id::InfoHash;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port of both groups.
pub const PORT: u16 = 6771;

/// The group of IPv4: 239.192.152.143.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 192, 152, 143);

/// The group of IPv6: ff15::efc0:988f.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f);

/// How long a message is at most when it is written, in bytes: 1400 (BEP 14).
pub const MAX_LEN: usize = 1400;

/// How long a message may be when it is read, in bytes: 1500, what an Ethernet frame can carry.
///
/// Above the 1400 of BEP 14, which says "should".
pub const MAX_DATAGRAM: usize = 1500;

/// How long a cookie may be when it is written, in bytes: 64.
pub const MAX_COOKIE_LEN: usize = 64;

/// What a message begins with.
pub const METHOD: &str = "BT-SEARCH";

/// The groups to which messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Of IPv4, within the organisation.
    V4,
    /// Of IPv6, within the site.
    V6,
}

impl Group {
    /// Gives the group's address and port, which is also what stands in its messages.
    pub fn address(self) -> SocketAddr {
        let ip = match self {
            Self::V4 => IpAddr::V4(GROUP_V4),
            Self::V6 => IpAddr::V6(GROUP_V6),
        };
        SocketAddr::new(ip, PORT)
    }
}

/// Why bytes are not a message, or a message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The datagram is longer than [`MAX_DATAGRAM`].
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The datagram does not begin with [`METHOD`]: it is of another protocol.
    NotASearch,
    /// The datagram ends before the empty line.
    NoEnd {
        /// Its length in bytes.
        at: usize,
    },
    /// No header says the port.
    NoPort,
    /// The port is not a number from 1 to 65535, or it is given twice.
    BadPort {
        /// The offset of its line in bytes.
        at: usize,
    },
    /// The cookie to be written is longer than [`MAX_COOKIE_LEN`], or holds something else than visible ASCII.
    BadCookie,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => {
                write!(f, "a local discovery message of {length} bytes; the limit is {MAX_DATAGRAM}")
            }
            Self::NotASearch => write!(f, "not a local discovery message: it does not begin with {METHOD}"),
            Self::NoEnd { at } => write!(f, "a local discovery message ends at byte {at} without an empty line"),
            Self::NoPort => write!(f, "a local discovery message without a port"),
            Self::BadPort { at } => {
                write!(f, "expected one port from 1 to 65535 in the line at byte {at} of a local discovery message")
            }
            Self::BadCookie => {
                write!(f, "the cookie of a local discovery message is not at most {MAX_COOKIE_LEN} visible characters")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Appends a message of at most [`MAX_LEN`] bytes, with as many of the info hashes as fit, and says how many those are.
///
/// # Errors
///
/// [`Error::BadCookie`] and [`Error::BadPort`] where these could not be read back. Nothing is appended then.
pub fn encode(
    group: Group,
    port: u16,
    cookie: Option<&str>,
    info_hashes: impl IntoIterator<Item = InfoHash>,
    out: &mut Vec<u8>,
) -> Result<usize, Error> {
    let is_cookie =
        |text: &str| (1..=MAX_COOKIE_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if cookie.is_some_and(|cookie| !is_cookie(cookie)) {
        return Err(Error::BadCookie);
    }
    if port == 0 {
        return Err(Error::BadPort { at: 0 });
    }
    let start = out.len();
    // Writing to a vector does not fail.
    let _ = write!(out, "{METHOD} * HTTP/1.1\r\nHost: {}\r\nPort: {port}\r\n", group.address());
    let end = cookie.map_or(0, |cookie| "cookie: \r\n".len() + cookie.len()) + "\r\n\r\n".len();
    let line = "Infohash: \r\n".len() + 2 * InfoHash::LEN;
    let room = MAX_LEN.saturating_sub(out.len() - start + end) / line;
    let mut written = 0;
    for hash in info_hashes.into_iter().take(room) {
        let _ = write!(out, "Infohash: {hash}\r\n");
        written += 1;
    }
    if let Some(cookie) = cookie {
        let _ = write!(out, "cookie: {cookie}\r\n");
    }
    out.extend_from_slice(b"\r\n\r\n");
    Ok(written)
}

/// A message, borrowed from its datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Announce<'a> {
    /// The port at which the sender can be reached.
    pub port: u16,
    /// What the sender knows its own messages by, without the spaces around it.
    pub cookie: Option<&'a [u8]>,
    /// How many lines are no header, or an info hash that is none. They are left out.
    pub bad_lines: usize,
    /// All lines from the first header on.
    lines: Lines<'a>,
}

impl<'a> Announce<'a> {
    /// Reads a datagram.
    ///
    /// Bytes after the empty line are not looked at. A message without info hashes is one: it says nothing.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Error> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Error::TooLong { length: datagram.len() });
        }
        let mut lines = Lines { left: datagram, at: 0 };
        let method = datagram.split(|b| matches!(b, b' ' | b'\r' | b'\n')).next().unwrap_or_default();
        if !method.eq_ignore_ascii_case(METHOD.as_bytes()) {
            return Err(Error::NotASearch);
        }
        lines.next();
        let first = lines;
        let (mut port, mut cookie, mut bad_lines) = (None, None, 0);
        loop {
            let Some((at, line)) = lines.next() else { return Err(Error::NoEnd { at: datagram.len() }) };
            if line.is_empty() {
                break;
            }
            match header(line) {
                Header::Port(value) if port.is_none() => port = Some(value.ok_or(Error::BadPort { at })?),
                Header::Port(_) => return Err(Error::BadPort { at }),
                Header::Cookie(value) => cookie = cookie.or(Some(value)),
                Header::InfoHash(Some(_)) | Header::Other => {}
                Header::InfoHash(None) | Header::None => bad_lines += 1,
            }
        }
        Ok(Self { port: port.ok_or(Error::NoPort)?, cookie, bad_lines, lines: first })
    }

    /// Goes over the torrents that the sender has, in its order. There are no more than fit the datagram: fewer than 40.
    pub fn info_hashes(&self) -> impl Iterator<Item = InfoHash> + Clone + use<'a> {
        let lines = self.lines.take_while(|(_, line)| !line.is_empty());
        lines.filter_map(|(_, line)| match header(line) {
            Header::InfoHash(hash) => hash,
            _ => None,
        })
    }
}

impl fmt::Debug for Announce<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announce")
            .field("port", &self.port)
            .field("cookie", &self.cookie.map(|cookie| cookie.escape_ascii().to_string()))
            .field("info_hashes", &self.info_hashes().collect::<Vec<_>>())
            .field("bad_lines", &self.bad_lines)
            .finish()
    }
}

/// What one line says.
enum Header<'a> {
    /// A port; `None` where it is none.
    Port(Option<u16>),
    /// An info hash; `None` where it is none.
    InfoHash(Option<InfoHash>),
    Cookie(&'a [u8]),
    /// A header that we need not know.
    Other,
    /// Not a header.
    None,
}

fn header(line: &[u8]) -> Header<'_> {
    let Some(colon) = line.iter().position(|b| *b == b':') else { return Header::None };
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let text = std::str::from_utf8(value).ok();
    if name.eq_ignore_ascii_case(b"port") {
        // Rust's own parser takes a `+` too.
        let digits = text.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        Header::Port(digits.and_then(|text| text.parse().ok()).filter(|port| *port != 0))
    } else if name.eq_ignore_ascii_case(b"infohash") {
        Header::InfoHash(text.and_then(|text| text.parse().ok()))
    } else if name.eq_ignore_ascii_case(b"cookie") {
        Header::Cookie(value)
    } else if name.is_empty() {
        Header::None
    } else {
        Header::Other
    }
}

/// Goes over lines that end, and where they begin.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lines<'a> {
    left: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.left.iter().position(|b| *b == b'\n')?;
        let (line, rest) = self.left.split_at(end + 1);
        let at = self.at;
        (self.left, self.at) = (rest, at + line.len());
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some((at, line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(headers: &str) -> Vec<u8> {
        format!("BT-SEARCH * HTTP/1.1\r\n{headers}\r\n").into_bytes()
    }

    fn hashes(count: u8) -> Vec<InfoHash> {
        (0..count).map(|i| InfoHash([i; 20])).collect()
    }

    #[test]
    fn a_message_is_written_as_bep_14_has_it() {
        let mut out = b"kept".to_vec();
        encode(Group::V4, 6881, Some("c0de"), hashes(2), &mut out).unwrap();
        let expected = "keptBT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n\
            Infohash: 0000000000000000000000000000000000000000\r\n\
            Infohash: 0101010101010101010101010101010101010101\r\n\
            cookie: c0de\r\n\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        encode(Group::V6, 1, None, [], &mut out).unwrap();
        assert_eq!(out, b"BT-SEARCH * HTTP/1.1\r\nHost: [ff15::efc0:988f]:6771\r\nPort: 1\r\n\r\n\r\n");
        assert!(GROUP_V4.is_multicast() && GROUP_V6.is_multicast());
    }

    #[test]
    fn a_message_is_never_longer_than_1400_bytes_and_says_what_is_left() {
        let longest = "c".repeat(MAX_COOKIE_LEN);
        for cookie in [None, Some("c"), Some(&longest)] {
            for count in [0, 1, 24, 25, 26, 200] {
                let mut out = Vec::new();
                let written = encode(Group::V6, 65535, cookie, hashes(count), &mut out).unwrap();
                assert!(out.len() <= MAX_LEN, "{} bytes", out.len());
                assert!(written == usize::from(count) || out.len() + 52 > MAX_LEN, "there was room for more");
                assert!(Announce::decode(&out).unwrap().info_hashes().eq(hashes(count).into_iter().take(written)));
            }
        }
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let mut out = Vec::new();
        for cookie in ["", "a b", "a\r\nPort: 1", "é", &"x".repeat(65)] {
            assert_eq!(encode(Group::V4, 1, Some(cookie), [], &mut out), Err(Error::BadCookie), "{cookie:?}");
        }
        assert_eq!(encode(Group::V4, 0, None, [], &mut out), Err(Error::BadPort { at: 0 }));
        assert_eq!(out, b"");
    }

    #[test]
    fn headers_may_be_in_any_case_and_order_and_others_are_left_out() {
        let hash = "AB".repeat(20);
        for text in [
            format!("port:80\r\nINFOHASH:{hash}\r\n"),
            format!("Host: whatever\r\nInfohash: {hash}\r\nX-New: Port: 5\r\nPORT:\t 80 \r\n"),
            format!("Port: 80\nInfohash:   {}\n", hash.to_lowercase()),
        ] {
            let bytes = message(&text);
            let announce = Announce::decode(&bytes).unwrap();
            assert_eq!((announce.port, announce.cookie, announce.bad_lines), (80, None, 0), "{text}");
            assert!(announce.info_hashes().eq([InfoHash([0xab; 20])]));
        }
        assert!(
            Announce::decode(b"bt-search * http/1.0\n\nPort: 1\n").is_err(),
            "what follows the empty line is not read"
        );
        assert!(Announce::decode(b"bt-search\nPort: 1\n\n").is_ok());
    }

    #[test]
    fn a_bad_line_is_left_out_and_counted() {
        let bytes = message(&format!(
            "Port: 80\r\nInfohash: 12\r\nnonsense\r\n: x\r\nInfohash: {}\r\nInfohash: {}\r\nInfohash:\r\n",
            "0".repeat(40),
            "g".repeat(40)
        ));
        let announce = Announce::decode(&bytes).unwrap();
        assert_eq!(announce.bad_lines, 5);
        assert!(announce.info_hashes().eq([InfoHash([0; 20])]));
    }

    #[test]
    fn a_port_that_is_missing_none_or_given_twice_is_an_error() {
        assert_eq!(Announce::decode(&message("Host: x\r\n")), Err(Error::NoPort));
        for port in ["0", "65536", "-1", "+1", "", "x", "1 2"] {
            let error = Announce::decode(&message(&format!("Host: x\r\nPort: {port}\r\n"))).unwrap_err();
            assert_eq!(error, Error::BadPort { at: 31 }, "{port:?}");
        }
        assert_eq!(Announce::decode(&message("Port: 1\r\nPort: 1\r\n")), Err(Error::BadPort { at: 31 }));
    }

    #[test]
    fn another_protocol_is_refused() {
        for bytes in [
            &b""[..],
            b"\r\n\r\n",
            b"M-SEARCH * HTTP/1.1\r\nPort: 1\r\n\r\n",
            b"BT-SEARCHX * HTTP/1.1\r\nPort: 1\r\n\r\n",
        ] {
            assert_eq!(Announce::decode(bytes), Err(Error::NotASearch));
        }
    }

    #[test]
    fn a_message_cut_anywhere_before_its_empty_line_is_refused() {
        let mut whole = Vec::new();
        encode(Group::V4, 6881, Some("c"), hashes(2), &mut whole).unwrap();
        // The first of the two empty lines is enough.
        for length in 0..whole.len() - 2 {
            let expected = if length < METHOD.len() { Error::NotASearch } else { Error::NoEnd { at: length } };
            assert_eq!(Announce::decode(&whole[..length]), Err(expected), "at {length}");
        }
        assert!(Announce::decode(&whole[..whole.len() - 2]).is_ok());
    }

    #[test]
    fn a_datagram_over_the_limit_is_refused() {
        let mut bytes = message("Port: 1\r\n");
        bytes.resize(MAX_DATAGRAM, b'x');
        assert!(Announce::decode(&bytes).is_ok());
        bytes.push(b'x');
        assert_eq!(Announce::decode(&bytes), Err(Error::TooLong { length: 1501 }));
        // As many info hashes as one datagram can hold.
        let line = format!("Infohash:{}\n", "1".repeat(40));
        let bytes = [b"BT-SEARCH\nPort:1\n", line.repeat(29).as_bytes(), b"\n"].concat();
        assert_eq!(Announce::decode(&bytes).unwrap().info_hashes().count(), 29);
    }

    proptest! {
        #[test]
        fn any_message_is_read_back(port in 1_u16.., cookie in prop::option::of("[!-~]{1,64}"), count in 0_u8..20, v6 in any::<bool>()) {
            let group = if v6 { Group::V6 } else { Group::V4 };
            let mut out = Vec::new();
            let written = encode(group, port, cookie.as_deref(), hashes(count), &mut out).unwrap();
            prop_assert_eq!(written, usize::from(count));
            let announce = Announce::decode(&out).unwrap();
            prop_assert_eq!((announce.port, announce.cookie, announce.bad_lines), (port, cookie.as_deref().map(str::as_bytes), 0));
            prop_assert!(announce.info_hashes().eq(hashes(count)));
        }
    }
}
