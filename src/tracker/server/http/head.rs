//! The head of an HTTP/1.1 request (RFC 9112), read strictly: what two readers could understand differently is refused.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// How many fields a head has at most.
const MAX_FIELDS: usize = 64;

/// The head of a request without a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// The path and query.
    pub(super) target: &'a [u8],
    /// Whether the connection stays open after the answer.
    pub(super) keep_alive: bool,
    /// Whether the client speaks HTTP/1.0, and has to be told that the connection stays open.
    pub(super) old: bool,
    pub(super) forwarded: Forwarded<'a>,
}

/// What proxies say of whom they speak for (`X-Forwarded-For`): each adds at the right end the address that connected to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forwarded<'a> {
    /// The fields of the head, all of which have been read once.
    fields: &'a [u8],
}

impl Forwarded<'_> {
    /// Gives the client: from the right, the first address that is no proxy of ours, for that is the last that one of ours has written. Where all are
    /// ours, the first of them is the client. `None` where there is no such field, or something before the client is no address.
    pub(super) fn client(&self, is_proxy: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let values = self.fields.rsplit(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
            // Several such fields are one, in their order (RFC 9110, 5.3).
            name.eq_ignore_ascii_case(b"x-forwarded-for").then(|| value.get(1..).unwrap_or_default())
        });
        let mut last = None;
        for text in values.flat_map(|value| value.rsplit(|byte| *byte == b',')) {
            let ip = address(trim(text))?;
            last = Some(ip);
            if !is_proxy(ip) {
                break;
            }
        }
        last
    }
}

/// Reads an address with or without a port, one of IPv6 with or without brackets: proxies write all of these.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().map(IpAddr::V6).ok();
    let ip = text.parse().ok().or_else(|| text.parse().ok().map(|at: SocketAddr| at.ip())).or_else(bare)?;
    Some(ip.to_canonical())
}

/// Why a head is refused. The connection ends with it, for nobody knows where the next request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadError {
    /// It is none.
    Malformed,
    /// It has a body, or may have one.
    Body,
    /// It has another method than GET.
    Method,
    /// It is of a version other than 1.0 and 1.1.
    Version,
    /// It is too long, or has too many fields.
    TooLong,
}

impl HeadError {
    /// Gives the status and its words.
    pub(super) fn status(self) -> &'static str {
        match self {
            HeadError::Malformed | HeadError::Body => "400 Bad Request",
            HeadError::Method => "405 Method Not Allowed",
            HeadError::Version => "505 HTTP Version Not Supported",
            HeadError::TooLong => "431 Request Header Fields Too Large",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeadError::Malformed => "the request is malformed",
            HeadError::Body => "a request with a body is not taken",
            HeadError::Method => "only GET is taken",
            HeadError::Version => "only HTTP/1.1 and 1.0 are taken",
            HeadError::TooLong => "the request is too long",
        })
    }
}

/// Takes spaces and tabs off both ends, and nothing else that is blank to some.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Finds the end of a head: the place after its empty line. `scanned` of its bytes have been searched before.
pub(super) fn end(bytes: &[u8], scanned: usize) -> Option<usize> {
    // The end may have begun within what was searched.
    let from = scanned.saturating_sub(3);
    let found = bytes.get(from..)?.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(from + found + 4)
}

/// Reads a head with its empty line.
pub(super) fn parse(head: &[u8]) -> Result<Head<'_>, HeadError> {
    let head = head.strip_suffix(b"\r\n\r\n").ok_or(HeadError::Malformed)?;
    let mut lines = Lines(Some(head));
    let first = lines.next().ok_or(HeadError::Malformed)??;
    let (target, old) = request_line(first)?;
    let forwarded = Forwarded { fields: lines.0.unwrap_or_default() };
    let mut fields = Fields::default();
    for (count, line) in lines.enumerate() {
        if count >= MAX_FIELDS {
            return Err(HeadError::TooLong);
        }
        fields.take(line?)?;
    }
    // A client of 1.1 names its host, and nobody names two (RFC 9112, 3.2).
    if fields.hosts > 1 || (fields.hosts == 0 && !old) {
        return Err(HeadError::Malformed);
    }
    let keep_alive = !fields.close && (!old || fields.keep_alive);
    Ok(Head { target, keep_alive, old, forwarded })
}

/// Lines that end in CR LF; a CR or LF elsewhere is an error.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], HeadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.take()?;
        let Some(at) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else { return Some(Ok(rest)) };
        let (line, end) = rest.split_at(at);
        let Some(next) = end.strip_prefix(b"\r\n") else { return Some(Err(HeadError::Malformed)) };
        self.0 = Some(next);
        Some(Ok(line))
    }
}

/// Reads the first line; gives the target, and whether the version is 1.0.
fn request_line(line: &[u8]) -> Result<(&[u8], bool), HeadError> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HeadError::Malformed);
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(HeadError::Malformed);
    }
    let old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(HeadError::Version),
        _ => return Err(HeadError::Malformed),
    };
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(HeadError::Malformed);
    }
    if method != b"GET" {
        return Err(HeadError::Method);
    }
    // A client that takes us for a proxy names the host here too, which a server must understand (RFC 9112, 3.2.2).
    let target = match target.strip_prefix(b"http://") {
        Some(rest) => {
            let slash = rest.iter().position(|byte| *byte == b'/').ok_or(HeadError::Malformed)?;
            rest.get(slash..).unwrap_or_default()
        }
        None => target,
    };
    if target.starts_with(b"/") { Ok((target, old)) } else { Err(HeadError::Malformed) }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What has been read of the fields.
#[derive(Debug, Default)]
struct Fields {
    hosts: usize,
    lengths: usize,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    fn take(&mut self, line: &[u8]) -> Result<(), HeadError> {
        // A line that begins with a blank would go on with the one before; a blank before the colon is part of the name to some.
        let colon = line.iter().position(|byte| *byte == b':').ok_or(HeadError::Malformed)?;
        let (name, value) = line.split_at(colon);
        let value = trim(value.get(1..).unwrap_or_default());
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(HeadError::Malformed);
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(HeadError::Malformed);
        }
        let is = |expected: &str| name.eq_ignore_ascii_case(expected.as_bytes());
        if is("host") {
            self.hosts += 1;
            if value.is_empty() || value.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
                return Err(HeadError::Malformed);
            }
        } else if is("transfer-encoding") {
            return Err(HeadError::Body);
        } else if is("content-length") {
            self.lengths += 1;
            if self.lengths > 1 || value != b"0" {
                return Err(HeadError::Body);
            }
        } else if is("connection") {
            for option in value.split(|byte| *byte == b',').map(trim) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /announce?a=b HTTP/1.1\r\nHost: t\r\n\r\n";

    #[test]
    fn a_head_ends_where_it_ends_however_it_is_cut() {
        let two = [GOOD, GOOD].concat();
        for cut in 0..GOOD.len() {
            assert_eq!(end(&two.as_bytes()[..cut], 0), None);
            assert_eq!(end(two.as_bytes(), cut), Some(GOOD.len()), "{cut}");
        }
    }

    #[test]
    fn what_clients_send_is_understood() {
        let head = parse(GOOD.as_bytes()).unwrap();
        let forwarded = Forwarded { fields: b"Host: t" };
        assert_eq!(head, Head { target: b"/announce?a=b", keep_alive: true, old: false, forwarded });
        let parse = |text: &str| parse(text.as_bytes()).map(|head| (head.keep_alive, head.forwarded.client(|_| false)));
        let ip = |text: &str| Some(text.parse().unwrap());
        for (fields, expected) in [
            ("Connection: close\r\n", (false, None)),
            ("connection: TE, Close\r\n", (false, None)),
            ("Connection: keep-alive\r\nContent-Length: 0\r\n", (true, None)),
            ("X-Forwarded-For: 192.0.2.1, 2001:db8::1\r\n", (true, ip("2001:db8::1"))),
            ("x-forwarded-for: 192.0.2.1\r\nX-Forwarded-For:\t192.0.2.2 \r\n", (true, ip("192.0.2.2"))),
            ("X-Forwarded-For: unknown\r\n", (true, None)),
            ("User-Agent: qBittorrent/4.6 (\u{e9})\r\nAccept-Encoding: gzip\r\nEmpty:\r\n", (true, None)),
        ] {
            assert_eq!(parse(&format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n")), Ok(expected), "{fields:?}");
        }
        assert_eq!(parse("GET / HTTP/1.0\r\n\r\n"), Ok((false, None)));
        assert_eq!(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), Ok((true, None)));
        assert_eq!(parse("GET http://t:80/scrape HTTP/1.1\r\nHost: t\r\n\r\n"), Ok((true, None)));
    }

    #[test]
    fn the_client_is_the_last_that_a_proxy_of_ours_has_written() {
        let ours: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "fd00::2".parse().unwrap()];
        for (fields, expected) in [
            ("X-Forwarded-For: 192.0.2.1, 192.0.2.2, fd00::2, ::ffff:10.0.0.1\r\n", Some("192.0.2.2")),
            ("X-Forwarded-For: 192.0.2.1, nonsense, 192.0.2.2, 10.0.0.1\r\n", Some("192.0.2.2")),
            ("X-Forwarded-For: 192.0.2.2\r\nA: b\r\nx-forwarded-for: fd00::2,10.0.0.1\r\n", Some("192.0.2.2")),
            ("X-Forwarded-For: 192.0.2.2:4000, [fd00::2]:80, 10.0.0.1:5\r\n", Some("192.0.2.2")),
            ("X-Forwarded-For: [2001:db8::1]:4000\r\n", Some("2001:db8::1")),
            ("X-Forwarded-For: [2001:db8::1], [fd00::2]\r\n", Some("2001:db8::1")),
            ("X-Forwarded-For: fd00::2, 10.0.0.1\r\n", Some("fd00::2")),
            ("X-Forwarded-For: nonsense, 10.0.0.1\r\n", None),
            ("X-Forwarded-For: 192.0.2.1, , 10.0.0.1\r\n", None),
            ("X-Forwarded-For: 192.0.2.1:70000\r\n", None),
            ("X-Forwarded-For: 2001:db8::1]:80\r\n", None),
            ("X-Forwarded-For: [192.0.2.1]\r\n", None),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
            let client = parse(text.as_bytes()).unwrap().forwarded.client(|ip| ours.contains(&ip));
            assert_eq!(client, expected.map(|ip| ip.parse().unwrap()), "{fields}");
        }
    }

    #[test]
    fn what_could_be_understood_in_two_ways_is_refused() {
        use HeadError::{Body, Malformed, Method, Version};
        for (text, error) in [
            ("GET / HTTP/1.1\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\n\tfolded: b\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: \x0ca\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\x0b\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\x0c\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close,\x0c\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: \t \r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Malformed),
            ("GET / HTTP/1.0\r\nHost: a\tb\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", Malformed),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET / a HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET /\r\nHost: a\r\n\r\n", Malformed),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Malformed),
            ("G\u{1}T / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Version),
            ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Version),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", Body),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", Body),
            ("GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 0, 0\r\n\r\n", Body),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n", Body),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Body),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tidentity\r\nContent-Length: 0\r\n\r\n", Body),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error), "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(64));
        assert_eq!(parse(many.as_bytes()), Err(HeadError::TooLong));
    }

    #[test]
    fn no_byte_makes_it_panic() {
        let good = b"GET http://a/b HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 1.2.3.4,::1\r\nConnection: a,b\r\n\r\n";
        for place in 0..good.len() {
            for byte in 0..=255 {
                let mut bytes = *good;
                bytes[place] = byte;
                let _ = parse(&bytes).map(|head| head.forwarded.client(|ip| ip.is_loopback()));
            }
            let _ = parse(&good[..place]);
        }
    }
}
