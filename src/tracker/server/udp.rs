//! Datagrams (BEP 15, 41, 7).

use super::machine::Server;
use super::policy::{AnnounceRequest, Url, Verdict};
use super::swarms::{Announcement, Counts};
use crate::machine::{Instant, SocketId};
use crate::proto::compact::Family;
use crate::proto::udp_tracker::{
    Announce, AnnounceHead, ConnectionId, Error, InfoHashes, Request, Stats, TransactionId, encode_announce_response,
    encode_connect_response, encode_error_response, encode_scrape_response,
};
use std::net::SocketAddr;

/// How many bytes of an answer to an announce come before the peers.
const ANNOUNCE_HEAD: usize = 20;
/// How many bytes of an answer to a scrape come before the figures, and of a refusal before its words.
const HEAD: usize = 8;
/// How many bytes the figures of a torrent take.
const FIGURES: usize = 12;
/// How many bytes of words a refusal has at most.
const WORDS: usize = 200;

/// Where an answer goes.
#[derive(Debug, Clone, Copy)]
struct Asker {
    socket: SocketId,
    /// As the socket knows it.
    from: SocketAddr,
    /// The same, an IPv4 address in IPv6 dress without it: as policies and swarms know it.
    client: SocketAddr,
    transaction: TransactionId,
}

/// Reads the head that all requests have: a connection id or the protocol, the action, the transaction.
fn head(bytes: &[u8]) -> Option<(ConnectionId, TransactionId)> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (_, rest) = rest.split_first_chunk::<4>()?;
    let (transaction, _) = rest.split_first_chunk()?;
    Some((ConnectionId(u64::from_be_bytes(*id)), TransactionId(u32::from_be_bytes(*transaction))))
}

impl Server {
    /// Answers a datagram, or does not: who has no valid connection id gets no answer but a connection id, which is no longer than the request.
    pub(super) fn on_datagram(&mut self, now: Instant, socket: SocketId, from: SocketAddr, bytes: &[u8]) {
        self.counters.datagrams.add(1);
        let client = SocketAddr::new(from.ip().to_canonical(), from.port());
        let request = Request::decode(bytes);
        if let Ok(Request::Connect { transaction }) = request {
            return self.on_connect(now, Asker { socket, from, client, transaction });
        }
        let Some((id, transaction)) = head(bytes) else { return self.counters.garbage.add(1) };
        if !self.ids.is_valid(now, client.ip(), id) {
            // It may be anybody's address: whoever it is has not asked us anything.
            return match request {
                Ok(_) => self.counters.invalid_ids.add(1),
                Err(_) => self.counters.garbage.add(1),
            };
        }
        let asker = Asker { socket, from, client, transaction };
        match request {
            Ok(Request::Announce { announce, .. }) => self.on_announce(now, asker, &announce),
            Ok(Request::Scrape { info_hashes, .. }) => self.on_scrape(now, asker, info_hashes),
            Ok(Request::Connect { .. }) => {}
            Err(Error::Truncated { .. }) => self.refuse(asker, "the request is cut short"),
            Err(Error::UnknownEvent { .. }) => self.refuse(asker, "the event is unknown"),
            Err(_) => self.refuse(asker, "the action is unknown"),
        }
    }

    fn refuse(&mut self, asker: Asker, reason: &str) {
        self.counters.udp_refusals.add(1);
        let reason = cut(reason, WORDS.min(self.config.max_reply - HEAD));
        self.outgoing.datagram(asker.socket, asker.from, |out| {
            encode_error_response(asker.transaction, reason, out);
        });
    }

    fn on_connect(&mut self, now: Instant, asker: Asker) {
        if !self.policy.connect(now, asker.client) {
            return self.counters.ignored.add(1);
        }
        self.counters.connects.add(1);
        let id = self.ids.give(now, asker.client.ip());
        self.outgoing.datagram(asker.socket, asker.from, |out| encode_connect_response(asker.transaction, id, out));
    }

    fn on_announce(&mut self, now: Instant, asker: Asker, announce: &Announce<'_>) {
        if !self.access.permits(&announce.info_hash) {
            return self.refuse(asker, super::machine::NOT_SERVED);
        }
        let request = AnnounceRequest {
            from: asker.client,
            peer: SocketAddr::new(asker.client.ip(), announce.port),
            info_hash: announce.info_hash,
            peer_id: announce.peer_id,
            progress: announce.progress,
            event: announce.event,
            num_want: announce.num_want,
            url: Url::Options(announce.options),
        };
        match self.policy.announce(now, &request) {
            Verdict::Answer => {}
            Verdict::Refuse { reason, .. } => return self.refuse(asker, &reason),
            Verdict::Ignore => return self.counters.ignored.add(1),
        }
        let family = Family::of(asker.client.ip());
        let fit = (self.config.max_reply - ANNOUNCE_HEAD) / family.peer_len();
        let asked = Announcement {
            info_hash: announce.info_hash,
            peer: request.peer,
            seed: announce.progress.is_seed(),
            event: announce.event,
            want: self.wanted(announce.num_want).min(fit),
            both: false,
        };
        let Ok(Counts { seeders, leechers, .. }) = self.announce(now, &asked) else {
            return self.refuse(asker, super::machine::NO_ROOM);
        };
        self.counters.udp_announces.add(1);
        let head = AnnounceHead { interval: self.interval(), leechers, seeders };
        let peers = match family {
            Family::V4 => &self.drawn.v4,
            Family::V6 => &self.drawn.v6,
        };
        self.outgoing.datagram(asker.socket, asker.from, |out| {
            encode_announce_response(asker.transaction, head, family, [], out);
            // As the store has them, they are as they are sent.
            out.extend_from_slice(peers);
        });
    }

    fn on_scrape(&mut self, now: Instant, asker: Asker, info_hashes: InfoHashes<'_>) {
        self.counters.udp_scrapes.add(1);
        let most = self.config.max_scrape.min((self.config.max_reply - HEAD) / FIGURES);
        let Self { access, policy, swarms, outgoing, .. } = self;
        let stats = info_hashes.iter().take(most).map(|hash| {
            if !access.permits(&hash) || !policy.scrape(now, asker.client, &hash) {
                return Stats::default();
            }
            let Counts { seeders, completed, leechers } = swarms.scrape(&hash);
            Stats { seeders, completed, leechers }
        });
        outgoing.datagram(asker.socket, asker.from, |out| encode_scrape_response(asker.transaction, stats, out));
    }
}

/// Gives as much of a text as a refusal has room for.
pub(super) fn shortened(text: &str) -> &str {
    cut(text, WORDS)
}

/// Cuts a text to a number of bytes at most.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_between_characters() {
        assert_eq!(shortened("no"), "no");
        assert_eq!(shortened(&"x".repeat(300)).len(), 200);
        assert_eq!(shortened(&"ä".repeat(300)).len(), 200);
        assert_eq!(shortened(&format!("x{}", "ä".repeat(300))).len(), 199);
    }
}
