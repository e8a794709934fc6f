//! HTTP and HTTPS: does [`Job::Fetch`](super::Job::Fetch), blocking, for an [executor](crate::machine::Executor).
//!
//! Connections are made to the addresses of the job alone, so that a name cannot stand for another address by then. Redirects are followed here, a
//! few: not from an address of the Internet to one that is not, not from `https` to `http`, and to no other scheme. Nothing of a request but what the
//! redirect itself says goes with it. No proxy is used, no cookie kept, and no connection used again.

use super::address::{is_global, may_ask};
use super::error::Error;
use super::job::{Fetch, Fetched};
use crate::proto::compact::Family;
use crate::proto::tracker_url::{Scheme, TrackerUrl};
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Looks up the addresses of a host's name, each with a port; or says why there are none.
pub type Resolve = dyn Fn(&str, u16) -> Result<Vec<SocketAddr>, String>;

/// Fetches something. `resolve` looks up the names that redirects lead to: a host and a port.
///
/// # Errors
///
/// [`Error::Connection`], [`Error::TimedOut`], [`Error::TooLong`], [`Error::TooManyRedirects`], [`Error::Forbidden`], [`Error::NoFeature`],
/// [`Error::Name`]. A status that is no success is none.
#[allow(clippy::disallowed_methods)] // A blocking call measures how long it has blocked.
pub fn fetch(fetch: &Fetch, resolve: &Resolve) -> Result<Fetched, Error> {
    let begin = Instant::now();
    let (mut url, mut addresses) = (fetch.url.clone(), fetch.addresses.clone());
    for _ in 0..=fetch.max_redirects {
        let left = fetch.timeout.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Err(Error::TimedOut);
        }
        match get(&url, &addresses, fetch, left)? {
            Got::Answer(fetched) => return Ok(fetched),
            Got::Redirect(location) => (url, addresses) = follow(&url, &location, &addresses, fetch, resolve)?,
        }
    }
    Err(Error::TooManyRedirects)
}

enum Got {
    Answer(Fetched),
    Redirect(String),
}

fn get(url: &str, addresses: &[SocketAddr], fetch: &Fetch, left: Duration) -> Result<Got, Error> {
    let config = Agent::config_builder();
    #[cfg(feature = "https")]
    let config = match &fetch.roots {
        Some(roots) if url.starts_with("https:") => config.tls_config(roots.tls()),
        _ => config,
    };
    let config = config
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .user_agent(&fetch.user_agent)
        .timeout_global(Some(left))
        .timeout_connect(Some(fetch.connect_timeout))
        .build();
    let agent = Agent::with_parts(config, DefaultConnector::default(), Pinned(addresses.to_vec()));
    let mut response = agent.get(url).call().map_err(failure)?;
    let code = response.status().as_u16();
    if matches!(code, 301 | 302 | 303 | 307 | 308) {
        let location = response.headers().get("location").and_then(|location| location.to_str().ok());
        return Ok(Got::Redirect(location.ok_or(Error::Status { code })?.to_owned()));
    }
    // One more than may be, to see whether there is more.
    let limit = fetch.max_reply.saturating_add(1);
    let body = response.body_mut().with_config().limit(limit as u64).read_to_vec().map_err(failure)?;
    if body.len() > fetch.max_reply { Err(Error::TooLong) } else { Ok(Got::Answer(Fetched { code, body })) }
}

/// Gives where a redirect leads, if it may be followed.
fn follow(
    from: &str,
    location: &str,
    addresses: &[SocketAddr],
    fetch: &Fetch,
    resolve: &Resolve,
) -> Result<(String, Vec<SocketAddr>), Error> {
    let to: TrackerUrl = join(from, location).parse().map_err(|_| Error::Forbidden)?;
    let downgrade = from.starts_with("https:") && to.scheme() == Scheme::Http;
    if to.scheme() == Scheme::Udp || downgrade {
        return Err(Error::Forbidden);
    }
    if to.scheme() == Scheme::Https && !cfg!(feature = "https") {
        return Err(Error::NoFeature { scheme: Scheme::Https });
    }
    let found = match to.ip() {
        Some(ip) => vec![SocketAddr::new(ip, to.port())],
        None => resolve(to.host(), to.port()).map_err(|reason| Error::Name { reason })?,
    };
    let of_family = |address: &SocketAddr| fetch.family.is_none_or(|family| Family::of(address.ip()) == family);
    let found: Vec<SocketAddr> = found.into_iter().filter(of_family).collect();
    if found.is_empty() {
        return Err(Error::NoAddress { family: fetch.family });
    }
    let from_here = addresses.iter().all(|address| !is_global(address.ip()));
    let may = |address: &SocketAddr| is_global(address.ip()) || (from_here && may_ask(&to, fetch.trust, address.ip()));
    let found: Vec<SocketAddr> = found.into_iter().filter(may).collect();
    if found.is_empty() {
        return Err(Error::Forbidden);
    }
    log::debug!(target: "bip::tracker", "redirected to {to}");
    Ok((to.as_str().to_owned(), found))
}

/// Gives the URL that a location stands for, seen from another URL (RFC 3986, without dot segments).
fn join(from: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let (scheme, rest) = from.split_once("://").unwrap_or(("http", from));
    if let Some(host) = location.strip_prefix("//") {
        return format!("{scheme}://{host}");
    }
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // Credentials are for this request alone.
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path = path.split('?').next().unwrap_or_default();
    match location.chars().next() {
        Some('/') => format!("{scheme}://{host}{location}"),
        Some('?') => format!("{scheme}://{host}{path}{location}"),
        _ => {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{host}{folder}/{location}")
        }
    }
}

/// Says what went wrong, without the URL.
fn failure(error: ureq::Error) -> Error {
    match error {
        ureq::Error::Timeout(_) => Error::TimedOut,
        ureq::Error::BodyExceedsLimit(_) => Error::TooLong,
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Error::Connection { reason: "not a URL".to_owned() },
        other => Error::Connection { reason: other.to_string() },
    }
}

/// Gives the addresses that it was given.
#[derive(Clone)]
struct Pinned(Vec<SocketAddr>);

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({} addresses)", self.0.len())
    }
}

impl Resolver for Pinned {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut all = self.empty();
        // It has room for 16.
        self.0.iter().take(16).for_each(|address| all.push(*address));
        if self.0.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_seen_from_where_it_came() {
        for (location, expected) in [
            ("https://b.example/x", "https://b.example/x"),
            ("//b.example/x", "http://b.example/x"),
            ("/x?y", "http://a.example:1/x?y"),
            ("?y", "http://a.example:1/t/announce?y"),
            ("x", "http://a.example:1/t/x"),
            ("", "http://a.example:1/t/"),
        ] {
            assert_eq!(join("http://me:secret@a.example:1/t/announce?passkey=1/2", location), expected, "{location}");
        }
        assert_eq!(join("http://a?k=v", "x"), "http://a/x");
    }

    #[test]
    fn redirects_lead_only_where_they_may() {
        let request = |trust| Fetch {
            url: String::new(),
            addresses: Vec::new(),
            family: Some(Family::V4),
            trust,
            timeout: Duration::ZERO,
            connect_timeout: Duration::from_secs(1),
            max_reply: 0,
            max_redirects: 0,
            user_agent: String::new(),
            #[cfg(feature = "https")]
            roots: None,
        };
        let names = |host: &str, port| match host {
            "inside" => Ok(vec![SocketAddr::from(([10, 0, 0, 1], port))]),
            "both" => Ok(vec![SocketAddr::from(([10, 0, 0, 1], port)), SocketAddr::from(([9, 9, 9, 9], port))]),
            "six" => Ok(vec!["[2a00::1]:80".parse().unwrap()]),
            "outside" => Ok(vec![SocketAddr::from(([8, 8, 8, 8], port))]),
            other => Err(format!("no {other}")),
        };
        let (outside, inside): (SocketAddr, SocketAddr) =
            ("1.1.1.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let lead = |from: &str, by: SocketAddr, to: &str, trust| {
            follow(from, to, &[by], &request(trust), &names).map(|(_, a)| a)
        };
        let local = super::super::Trust::Local;
        let http = "http://t/announce";
        assert!(lead(http, outside, "http://outside/x", local).is_ok());
        assert_eq!(lead(http, outside, "http://both/x", local).unwrap(), ["9.9.9.9:80".parse().unwrap()]);
        for to in
            ["http://inside/announce", "http://127.0.0.1/announce", "http://[::1]/announce", "http://169.254.169.254/"]
        {
            let error = lead(http, outside, to, local).unwrap_err();
            assert!(matches!(error, Error::Forbidden | Error::NoAddress { .. }), "{to}: {error}");
        }
        assert!(lead(http, inside, "http://inside/announce?x", local).is_ok());
        assert!(lead(http, inside, "http://inside/admin", local).is_err());
        assert!(lead(http, inside, "http://inside/announce", super::super::Trust::Stranger).is_err());
        for to in [
            "udp://outside/announce",
            "ftp://outside/",
            "file:///etc/passwd",
            "http://out side/",
            "http://outside/\r\nX: y",
        ] {
            assert_eq!(lead(http, outside, to, local), Err(Error::Forbidden), "{to}");
        }
        assert_eq!(lead("https://t/announce", outside, "http://outside/announce", local), Err(Error::Forbidden));
        assert_eq!(lead(http, outside, "http://six/", local), Err(Error::NoAddress { family: Some(Family::V4) }));
        assert_eq!(lead(http, outside, "http://none/", local), Err(Error::Name { reason: "no none".into() }));
    }
}
