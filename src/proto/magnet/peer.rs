//! Where a peer is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

/// Where a peer can be found: an IP address, or a name that has to be looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, in small letters.
    Name(String),
}

/// A peer's host and port, as a link has it: `192.0.2.7:6881`, `[2001:db8::7]:6881`, `seedbox.example:51413`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: NonZeroU16,
}

impl PeerAddress {
    /// Reads an address; `None` if it is none, or its port is 0. An IPv4 address in an IPv6 form is IPv4. A name has letters, digits,
    /// `-`, `_` and dots.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        // A number's parser takes a plus sign too.
        let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
        let host = match host.strip_prefix('[') {
            Some(rest) => Host::Ip(rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.to_canonical()),
            None => match host.parse::<Ipv4Addr>() {
                Ok(ip) => Host::Ip(ip.into()),
                Err(_) if is_name(host) => Host::Name(host.to_ascii_lowercase()),
                Err(_) => return None,
            },
        };
        Some(Self { host, port })
    }
}

fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        inside && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    // What ends in a number is a wrong IPv4 address.
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_read_and_shown() {
        for (text, shown) in [
            ("127.0.0.1:43", "127.0.0.1:43"),
            ("[::1]:45", "[::1]:45"),
            ("[2001:0DB8::0:7]:65535", "[2001:db8::7]:65535"),
            ("[::ffff:192.0.2.1]:5", "192.0.2.1:5"),
            ("SeedBox.example:51413", "seedbox.example:51413"),
            ("a_b-c.d:00080", "a_b-c.d:80"),
            ("localhost:1", "localhost:1"),
        ] {
            let address = PeerAddress::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(PeerAddress::parse(shown), Some(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}.example:1", "a".repeat(64));
        let longer = format!("{}example:1", "abcdefg.".repeat(31));
        for text in [
            "",
            ":",
            ":1",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:-1",
            "host:+1",
            "host: 1",
            "<invalid2>:100",
            "::1:45",
            "[::1]",
            "[::1:45",
            "[fe80::1%eth0]:1",
            "[host]:1",
            "1.2.3:4",
            "256.1.1.1:4",
            "1.2.3.4.5:6",
            "127.1:1",
            "0x7f.0.0.1.9:1",
            "a..b:1",
            ".a:1",
            "a.:1",
            "-a.b:1",
            "a-.b:1",
            "a b:1",
            "é.example:1",
            "a\0:1",
            "a/b:1",
            "user@host:1",
            &long,
            &longer,
        ] {
            assert_eq!(PeerAddress::parse(text), None, "{text:?}");
        }
    }
}
