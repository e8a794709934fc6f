//! Names of hosts, looked up by asking the system.

use super::listener::canonical;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};

/// How many addresses of one name are given at most. Where a name has more, each family has at least half the places if it
/// has so many addresses.
pub const MOST: usize = 16;

/// How long a `HOST:PORT` may be, in bytes: a host's name has at most 253, and an address with a zone fits too.
const LONGEST: usize = 300;

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// It is not `HOST:PORT`, with an IPv6 address in brackets and a port from 1 to 65,535.
    Malformed {
        /// What was given, or its beginning.
        name: String,
    },
    /// The system could not look it up, or knows no such name.
    Failed {
        /// What was asked for.
        name: String,
        /// The system's error. What an unknown name gives differs between systems.
        kind: ErrorKind,
        /// The system's words.
        reason: String,
    },
    /// The name is known and has no address.
    Empty {
        /// What was asked for.
        name: String,
    },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::Malformed { name } => write!(f, "{name:?} is not HOST:PORT"),
            ResolveError::Failed { name, reason, .. } => write!(f, "looking up {name}: {reason}"),
            ResolveError::Empty { name } => write!(f, "{name} has no address"),
        }
    }
}

impl std::error::Error for ResolveError {}

/// Looks up the addresses of `HOST:PORT`, where the host is a name, an IPv4 address, or an IPv6 address in brackets: of both
/// families, each once, in the system's order, at most [`MOST`].
///
/// Asking for a name blocks for as long as the system takes, which may be many seconds: call it in a job, by an
/// [executor](crate::machine::Executor). An address is only read.
///
/// ```
/// use bip::machine::Executor;
/// use bip::reactor::resolve::{ResolveError, resolve};
/// use std::net::SocketAddr;
///
/// let names = |name: String| resolve(&name);
/// let executor: Box<dyn Executor<String, Result<Vec<SocketAddr>, ResolveError>>> = Box::new(names);
/// assert_eq!(executor.run("192.0.2.1:6881".to_owned()), Ok(vec!["192.0.2.1:6881".parse().unwrap()]));
/// assert_eq!(executor.run("192.0.2.1".to_owned()).unwrap_err().to_string(), "\"192.0.2.1\" is not HOST:PORT");
/// ```
pub fn resolve(name: &str) -> Result<Vec<SocketAddr>, ResolveError> {
    let malformed = || ResolveError::Malformed { name: name.chars().take(LONGEST).collect() };
    if name.len() > LONGEST {
        return Err(malformed());
    }
    if let Ok(address) = name.parse::<SocketAddr>() {
        return if address.port() == 0 { Err(malformed()) } else { Ok(vec![canonical(address)]) };
    }
    let (host, port) = name.rsplit_once(':').ok_or_else(malformed)?;
    // `u16` would take a sign too.
    let port = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse::<u16>().ok()).flatten();
    let port = port.filter(|p| *p != 0).ok_or_else(malformed)?;
    // What has these is an address that could not be read, or no name at all.
    if host.is_empty() || host.contains([':', '[', ']', '/', '\0']) || host.contains(char::is_whitespace) {
        return Err(malformed());
    }
    let failed = |e: io::Error| ResolveError::Failed { name: name.to_owned(), kind: e.kind(), reason: e.to_string() };
    let chosen = choose((host, port).to_socket_addrs().map_err(failed)?);
    if chosen.is_empty() { Err(ResolveError::Empty { name: name.to_owned() }) } else { Ok(chosen) }
}

/// Leaves out what comes again and what is too much of one family.
fn choose(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut chosen: Vec<SocketAddr> = Vec::new();
    // Of each family no more than could be given at all.
    let mut counts = [0, 0];
    for address in addresses.map(canonical) {
        let count = &mut counts[usize::from(address.is_ipv6())];
        if *count < MOST && !chosen.contains(&address) {
            *count += 1;
            chosen.push(address);
        }
    }
    let mut left = [MOST - counts[1].min(MOST / 2), MOST - counts[0].min(MOST / 2)];
    chosen.retain(|address| {
        let left = &mut left[usize::from(address.is_ipv6())];
        let keep = *left > 0;
        *left = left.saturating_sub(1);
        keep
    });
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(n: u8) -> SocketAddr {
        ([192, 0, 2, n], 80).into()
    }

    fn v6(n: u16) -> SocketAddr {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 80).into()
    }

    #[test]
    fn addresses_are_read_and_names_are_asked_for() {
        let all = |name: &str| resolve(name).unwrap();
        assert_eq!(all("192.0.2.1:80"), [v4(1)]);
        assert_eq!(all("[2001:db8::1]:80"), [v6(1)]);
        assert_eq!(all("[::ffff:192.0.2.1]:80"), [v4(1)]);
        let here = all("localhost:6881");
        assert!(!here.is_empty() && here.iter().all(|a| a.ip().is_loopback() && a.port() == 6881), "{here:?}");
        assert!((1..here.len()).all(|n| !here[..n].contains(&here[n])), "{here:?}");
    }

    #[test]
    fn what_is_no_host_and_port_is_told_with_the_name_and_never_asked_for() {
        let long = format!("{}:80", "a".repeat(300));
        for name in [
            "",
            "host",
            "host:",
            ":80",
            "host:0",
            "host:+80",
            "host:65536",
            "host:http",
            "::1:80",
            "[::1]",
            "[::1:80",
            "[::g]:80",
            "192.0.2.1:0",
            "a b:80",
            "a\0b:80",
            "udp://host:80",
            "host:80/announce",
            &long,
        ] {
            let error = resolve(name).unwrap_err();
            assert!(matches!(&error, ResolveError::Malformed { .. }), "{name}: {error}");
            let start: String = name.chars().take(LONGEST).collect();
            assert!(error.to_string().contains(&format!("{start:?}")), "{error}");
        }
    }

    #[test]
    fn a_name_that_nobody_has_is_an_error_with_the_name_in_it() {
        let error = resolve("nowhere.invalid:6881").unwrap_err();
        assert!(matches!(&error, ResolveError::Failed { .. }), "{error:?}");
        assert!(error.to_string().starts_with("looking up nowhere.invalid:6881: "), "{error}");
    }

    #[test]
    fn many_addresses_are_cut_to_16_of_both_families_in_their_order() {
        let count = |v4s: u8, v6s: u16| {
            let all = (0..v6s).map(v6).chain((0..v4s).map(v4));
            let chosen = choose(all.clone().chain(all));
            assert!(chosen.iter().eq(
                ((0..v6s).map(v6).chain((0..v4s).map(v4))).collect::<Vec<_>>().iter().filter(|a| chosen.contains(a))
            ));
            let six = chosen.iter().filter(|a| a.is_ipv6()).count();
            (chosen.len() - six, six)
        };
        assert_eq!(count(0, 0), (0, 0));
        assert_eq!(count(3, 2), (3, 2));
        assert_eq!(count(40, 0), (16, 0));
        assert_eq!(count(0, 40), (0, 16));
        assert_eq!(count(40, 40), (8, 8));
        assert_eq!(count(2, 40), (2, 14));
        assert_eq!(count(40, 5), (11, 5));
        // One address in both dresses is one.
        let dressed = "[::ffff:192.0.2.1]:80".parse().unwrap();
        assert_eq!(choose([v4(1), dressed].into_iter()), [v4(1)]);
    }
}
