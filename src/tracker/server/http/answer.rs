//! Answers to HTTP requests (BEP 3, 7, 23, 24, 31, 48).

use super::super::machine::{NO_ROOM, NOT_SERVED, Server};
use super::super::policy::{self, Url, Verdict};
use super::super::swarms::{Announcement, Counts};
use super::super::udp::shortened;
use super::head::{Head, HeadError};
use super::metrics;
use crate::machine::{ConnId, Instant};
use crate::proto::compact::{Family, Peers};
use crate::proto::http_tracker::{
    self, AnnounceRequest, Failure, Host, Info, Peer, Retry, ScrapeFile, encode_announce, encode_failure,
    encode_full_announce, encode_scrape,
};
use crate::proto::id::InfoHash;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// What is asked for, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Announce,
    Scrape,
}

/// What becomes of a request.
enum Outcome {
    /// The body of the answer is there: of type `text/plain`.
    Done,
    /// There is no such thing.
    NotFound,
    /// There is no answer at all.
    Ignore,
}

/// Divides a target into its path and query.
fn split(target: &[u8]) -> (&[u8], &[u8]) {
    let at = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(at);
    (path, query.get(1..).unwrap_or_default())
}

/// Finds the service by the one part of the path that names it: `/announce`, `/announce/KEY`, `/KEY/announce`.
fn service(path: &[u8]) -> Option<Service> {
    let mut services = path.split(|byte| *byte == b'/').filter_map(|part| match part {
        b"announce" => Some(Service::Announce),
        b"scrape" => Some(Service::Scrape),
        _ => None,
    });
    services.next().filter(|_| services.next().is_none())
}

/// Says whether an address is one of this host's or of a network beside it.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

impl Server {
    /// Answers a request.
    pub(super) fn answer(&mut self, now: Instant, conn: ConnId, head: Result<Head<'_>, HeadError>) {
        self.http.body.clear();
        let not_get = matches!(head, Err(HeadError::Method));
        let (status, keep_alive, old) = match head {
            Err(error) => {
                self.counters.http_errors.add(1);
                // Writing to a vector does not fail.
                let _ = writeln!(self.http.body, "{error}");
                (error.status(), false, false)
            }
            Ok(head) => match self.serve_target(now, conn, &head) {
                Outcome::Done => ("200 OK", head.keep_alive, head.old),
                Outcome::NotFound => {
                    self.counters.http_errors.add(1);
                    self.http.body.extend_from_slice(b"there is nothing here\n");
                    ("404 Not Found", head.keep_alive, head.old)
                }
                Outcome::Ignore => {
                    self.counters.ignored.add(1);
                    return self.close(conn, true);
                }
            },
        };
        let Some(state) = self.http.conns.get_mut(&conn) else { return };
        let body = &self.http.body;
        state.unread += self.outgoing.write(conn, |out| {
            let _ = write!(out, "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n", body.len());
            match (keep_alive, old) {
                (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
                (true, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
                (true, false) => {}
            }
            if not_get {
                // With that status it must be said (RFC 9110, 15.5.6).
                out.extend_from_slice(b"Allow: GET\r\n");
            }
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(body);
        });
        if !keep_alive {
            self.close(conn, true);
        }
    }

    fn serve_target(&mut self, now: Instant, conn: ConnId, head: &Head<'_>) -> Outcome {
        let Some(state) = self.http.conns.get(&conn) else { return Outcome::Ignore };
        let (path, query) = split(head.target);
        if self.http.metrics {
            if path != b"/metrics" {
                return Outcome::NotFound;
            }
            metrics::encode(&self.swarms.figures(), &mut self.http.body);
            return Outcome::Done;
        }
        let Some(service) = service(path) else { return Outcome::NotFound };
        let client = if self.config.proxies.contains(&state.from) {
            match head.forwarded.client(|ip| self.config.proxies.contains(&ip)) {
                Some(ip) => ip,
                None => {
                    self.fail("the proxy does not say whose request it is", None);
                    return Outcome::Done;
                }
            }
        } else {
            state.from
        };
        match service {
            Service::Announce => self.on_http_announce(now, client, head.target, query),
            Service::Scrape => {
                self.on_http_scrape(now, client, query);
                Outcome::Done
            }
        }
    }

    /// Refuses, in the way of trackers: with status 200 and a reason.
    fn fail(&mut self, reason: &str, retry: Option<Retry>) {
        self.counters.http_refusals.add(1);
        encode_failure(&Failure { reason: shortened(reason).into(), retry }, &mut self.http.body);
    }

    fn on_http_announce(&mut self, now: Instant, client: IpAddr, target: &[u8], query: &[u8]) -> Outcome {
        let request = match AnnounceRequest::parse(query) {
            Ok(request) => request,
            Err(error) => {
                self.fail(&error.to_string(), None);
                return Outcome::Done;
            }
        };
        if !self.access.permits(&request.info_hash) {
            self.fail(NOT_SERVED, None);
            return Outcome::Done;
        }
        let named = request.ip.filter(|_| self.config.named_addresses && is_local(client));
        let peer = SocketAddr::new(named.map_or(client, |ip| ip.to_canonical()), request.port);
        let asked = policy::AnnounceRequest {
            from: SocketAddr::new(client, 0),
            peer,
            info_hash: request.info_hash,
            peer_id: request.peer_id,
            progress: request.progress,
            event: request.event,
            num_want: request.num_want,
            url: Url::Target(target),
        };
        match self.policy.announce(now, &asked) {
            Verdict::Answer => {}
            Verdict::Ignore => return Outcome::Ignore,
            Verdict::Refuse { reason, retry } => {
                self.fail(&reason, retry);
                return Outcome::Done;
            }
        }
        let announcement = Announcement {
            info_hash: request.info_hash,
            peer,
            seed: request.progress.is_seed(),
            event: request.event,
            want: self.wanted(request.num_want),
            both: true,
        };
        let Ok(Counts { seeders, leechers, completed }) = self.announce(now, &announcement) else {
            let minutes = self.interval().div_ceil(60);
            self.fail(NO_ROOM, Some(Retry::Minutes(minutes)));
            return Outcome::Done;
        };
        self.counters.http_announces.add(1);
        let info = Info {
            interval: Some(self.interval()),
            min_interval: u32::try_from(self.config.min_interval.as_secs()).ok().filter(|seconds| *seconds > 0),
            complete: Some(seeders),
            incomplete: Some(leechers),
            downloaded: Some(completed),
            external_ip: Some(client),
            ..Info::default()
        };
        let (v4, _) = Peers::prefix(Family::V4, &self.drawn.v4);
        let (v6, _) = Peers::prefix(Family::V6, &self.drawn.v6);
        let peers = v4.iter().chain(v6.iter());
        let body = &mut self.http.body;
        if request.compact == Some(false) {
            // Who a peer says it is is not kept: nobody can check it, and it would take more than all else that is known of it.
            let peers = peers.map(|peer| Peer { id: None, host: Host::Ip(peer.ip()), port: peer.port() });
            encode_full_announce(&info, peers, body);
        } else {
            encode_announce(&info, peers, body);
        }
        Outcome::Done
    }

    fn on_http_scrape(&mut self, now: Instant, client: IpAddr, query: &[u8]) {
        let hashes = match http_tracker::parse_scrape(query) {
            Ok(hashes) => hashes,
            Err(error) => return self.fail(&error.to_string(), None),
        };
        if hashes.is_empty() {
            return self.fail("name the torrents whose figures are wanted", None);
        }
        self.counters.http_scrapes.add(1);
        let (most, from) = (self.config.max_scrape, SocketAddr::new(client, 0));
        let Self { access, policy, swarms, http, .. } = self;
        let files = hashes.into_iter().take(most).map(|info_hash: InfoHash| {
            let shown = access.permits(&info_hash) && policy.scrape(now, from, &info_hash);
            let counts = if shown { swarms.scrape(&info_hash) } else { Counts::default() };
            ScrapeFile {
                complete: Some(counts.seeders),
                downloaded: Some(counts.completed),
                incomplete: Some(counts.leechers),
                ..ScrapeFile::new(info_hash)
            }
        });
        encode_scrape(files, None, &mut http.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_service() {
        for path in ["/announce", "/announce/", "/announce/key", "/key/announce", "/a/b/announce"] {
            assert_eq!(service(path.as_bytes()), Some(Service::Announce), "{path}");
        }
        assert_eq!(service(b"/scrape/key"), Some(Service::Scrape));
        for path in ["/", "", "/announced", "/announce/scrape", "/Announce", "/%61nnounce", "/announce.php"] {
            assert_eq!(service(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn a_target_is_a_path_and_a_query() {
        assert_eq!(split(b"/a?b?c"), (&b"/a"[..], &b"b?c"[..]));
        assert_eq!(split(b"/a"), (&b"/a"[..], &b""[..]));
    }
}
