use super::{ConnectionId, Error, TransactionId, action};
use crate::proto::announce::Reason;
use crate::proto::compact::{self, Family, Peers};
use crate::proto::reader::{Reader, Truncated};
use std::fmt;
use std::net::SocketAddr;

/// What a tracker answers.
///
/// ```
/// use bip::proto::compact::Family;
/// use bip::proto::udp_tracker::{Response, TransactionId, encode_error_response};
/// let mut bytes = Vec::new();
/// encode_error_response(TransactionId(1), "not registered", &mut bytes);
/// let Response::Error { reason, .. } = Response::decode(&bytes, Family::V4)? else { panic!("another answer") };
/// assert_eq!(reason.to_string(), "not registered");
/// # Ok::<(), bip::proto::udp_tracker::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response<'a> {
    /// Gives a connection id.
    Connect {
        /// That of the request.
        transaction: TransactionId,
        /// What to show with the next requests.
        connection: ConnectionId,
    },
    /// Tells of the torrent and its peers.
    Announce {
        /// That of the request.
        transaction: TransactionId,
        /// The figures.
        head: AnnounceHead,
        /// The peers.
        peers: Peers<'a>,
        /// How many bytes follow the last whole peer: part of one, or of an extension. They are left out.
        ignored: usize,
    },
    /// Tells of torrents, in the order in which they were asked for.
    Scrape {
        /// That of the request.
        transaction: TransactionId,
        /// The figures of each.
        stats: StatsList<'a>,
    },
    /// Refuses.
    Error {
        /// That of the request.
        transaction: TransactionId,
        /// Why, for the user.
        reason: Reason<'a>,
    },
}

/// What an answer to an announce says of the torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AnnounceHead {
    /// How many seconds to wait before the next announce without an event; 0 where the tracker wrote that or a negative number.
    pub interval: u32,
    /// How many peers do not have all of it.
    pub leechers: u32,
    /// How many peers have all of it.
    pub seeders: u32,
}

impl<'a> Response<'a> {
    /// Reads a datagram that came to a client. `family` is that of the tracker's address, which says how long a peer's is.
    ///
    /// # Errors
    ///
    /// It is no response, or it ends before its last field.
    pub fn decode(bytes: &'a [u8], family: Family) -> Result<Self, Error> {
        let mut r = Reader::new(bytes);
        let action = r.u32().map_err(|truncated| Error::Truncated { action: None, truncated })?;
        if action > action::ERROR {
            return Err(Error::UnknownAction { action });
        }
        Self::read(action, &mut r, family).map_err(|truncated| Error::Truncated { action: Some(action), truncated })
    }

    fn read(action: u32, r: &mut Reader<'a>, family: Family) -> Result<Self, Truncated> {
        let transaction = TransactionId(r.u32()?);
        Ok(match action {
            action::CONNECT => Self::Connect { transaction, connection: ConnectionId(r.u64()?) },
            action::ANNOUNCE => {
                let head = AnnounceHead { interval: count(r)?, leechers: count(r)?, seeders: count(r)? };
                let (peers, ignored) = Peers::prefix(family, r.rest());
                Self::Announce { transaction, head, peers, ignored }
            }
            action::SCRAPE => Self::Scrape { transaction, stats: StatsList::new(r.rest()) },
            _ => Self::Error { transaction, reason: Reason::new(r.rest()) },
        })
    }

    /// Appends the response as it was read.
    ///
    /// A tracker that has peers and figures in a form of its own writes them with [`encode_announce_response`] and its siblings.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Connect { transaction, connection } => encode_connect_response(transaction, connection, out),
            Self::Announce { transaction, head, peers, ignored: _ } => {
                encode_announce_head(transaction, head, out);
                out.extend_from_slice(peers.as_bytes());
            }
            Self::Scrape { transaction, stats } => encode_scrape_response(transaction, stats.iter(), out),
            Self::Error { transaction, reason } => {
                encode_head(action::ERROR, transaction, out);
                out.extend_from_slice(reason.as_bytes());
            }
        }
    }

    /// Gives the transaction id: that of the request which this answers.
    pub fn transaction(&self) -> TransactionId {
        match *self {
            Self::Connect { transaction, .. }
            | Self::Announce { transaction, .. }
            | Self::Scrape { transaction, .. }
            | Self::Error { transaction, .. } => transaction,
        }
    }
}

/// What a tracker knows of one torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stats {
    /// How many peers have all of it.
    pub seeders: u32,
    /// How many times it was downloaded in full.
    pub completed: u32,
    /// How many peers do not have all of it.
    pub leechers: u32,
}

impl Stats {
    const LEN: usize = 12;
}

/// The figures of torrents, one after the other. As many as the tracker gave, whatever was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatsList<'a>(&'a [u8]);

impl<'a> StatsList<'a> {
    /// Takes the bytes of figures; a torrent's that are cut at the end are left out.
    pub fn new(bytes: &'a [u8]) -> Self {
        let whole = bytes.len() - bytes.len() % Stats::LEN;
        Self(bytes.get(..whole).unwrap_or_default())
    }

    /// Gives of how many torrents there are figures.
    pub fn len(self) -> usize {
        self.0.len() / Stats::LEN
    }

    /// Says whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Goes over the torrents' figures.
    pub fn iter(self) -> impl Iterator<Item = Stats> + Clone + use<'a> {
        self.0.chunks_exact(Stats::LEN).filter_map(|stats| {
            let mut r = Reader::new(stats);
            Some(Stats { seeders: count(&mut r).ok()?, completed: count(&mut r).ok()?, leechers: count(&mut r).ok()? })
        })
    }
}

impl fmt::Debug for StatsList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Appends the answer to a connect request.
pub fn encode_connect_response(transaction: TransactionId, connection: ConnectionId, out: &mut Vec<u8>) {
    encode_head(action::CONNECT, transaction, out);
    out.extend_from_slice(&connection.0.to_be_bytes());
}

/// Appends the answer to an announce. Peers of another family than the one given are left out: they have no form in this answer.
///
/// Nothing is allocated but what the buffer needs to grow. How many peers fit a datagram is the caller's to know.
pub fn encode_announce_response(
    transaction: TransactionId,
    head: AnnounceHead,
    family: Family,
    peers: impl IntoIterator<Item = SocketAddr>,
    out: &mut Vec<u8>,
) {
    encode_announce_head(transaction, head, out);
    for peer in peers {
        if Family::of(peer.ip()) == family {
            compact::encode(peer, out);
        }
    }
}

/// Appends the answer to a scrape: figures in the order of its torrents.
pub fn encode_scrape_response(transaction: TransactionId, stats: impl IntoIterator<Item = Stats>, out: &mut Vec<u8>) {
    encode_head(action::SCRAPE, transaction, out);
    for Stats { seeders, completed, leechers } in stats {
        encode_counts([seeders, completed, leechers], out);
    }
}

/// Appends a refusal, with words for the user.
pub fn encode_error_response(transaction: TransactionId, reason: &str, out: &mut Vec<u8>) {
    encode_head(action::ERROR, transaction, out);
    out.extend_from_slice(reason.as_bytes());
}

fn encode_head(action: u32, transaction: TransactionId, out: &mut Vec<u8>) {
    out.extend_from_slice(&action.to_be_bytes());
    out.extend_from_slice(&transaction.0.to_be_bytes());
}

fn encode_announce_head(transaction: TransactionId, head: AnnounceHead, out: &mut Vec<u8>) {
    encode_head(action::ANNOUNCE, transaction, out);
    encode_counts([head.interval, head.leechers, head.seeders], out);
}

/// Counts are signed on the wire: none is written that would be negative.
fn encode_counts(counts: [u32; 3], out: &mut Vec<u8>) {
    counts.iter().for_each(|count| out.extend_from_slice(&(*count).min(i32::MAX as u32).to_be_bytes()));
}

/// Reads a count; a negative one says nothing.
fn count(r: &mut Reader<'_>) -> Result<u32, Truncated> {
    r.u32().map(|count| if count > i32::MAX as u32 { 0 } else { count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRANSACTION: TransactionId = TransactionId(0x0a0b_0c0d);
    const HEAD: AnnounceHead = AnnounceHead { interval: 1800, leechers: 5, seeders: 7 };

    fn of(family: Family, peers: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_announce_response(TRANSACTION, HEAD, family, peers.iter().map(|p| p.parse().unwrap()), &mut out);
        out
    }

    fn peers_of(bytes: &[u8], family: Family) -> (Vec<String>, usize) {
        match Response::decode(bytes, family).unwrap() {
            Response::Announce { transaction: TRANSACTION, head: HEAD, peers, ignored } => {
                (peers.iter().map(|peer| peer.to_string()).collect(), ignored)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_connect_response_gives_the_connection_id() {
        let mut bytes = Vec::new();
        encode_connect_response(TRANSACTION, ConnectionId(0x0102_0304_0506_0708), &mut bytes);
        assert_eq!(bytes, b"\0\0\0\0\x0a\x0b\x0c\x0d\x01\x02\x03\x04\x05\x06\x07\x08");
        let expected = Response::Connect { transaction: TRANSACTION, connection: ConnectionId(0x0102_0304_0506_0708) };
        assert_eq!(Response::decode(&bytes, Family::V4), Ok(expected));
        bytes.extend_from_slice(b"more");
        assert_eq!(Response::decode(&bytes, Family::V6), Ok(expected));
    }

    #[test]
    fn an_announce_response_has_no_peers_one_or_many_of_ipv4() {
        let all = ["127.0.0.1:6969", "192.0.2.1:1", "255.255.255.255:65535"];
        for count in 0..=all.len() {
            let bytes = of(Family::V4, &all[..count]);
            assert_eq!(bytes.len(), 20 + 6 * count);
            assert_eq!(peers_of(&bytes, Family::V4), (all[..count].iter().map(|p| p.to_string()).collect(), 0));
        }
        let bytes = of(Family::V4, &all[..1]);
        assert_eq!(bytes, b"\0\0\0\x01\x0a\x0b\x0c\x0d\0\0\x07\x08\0\0\0\x05\0\0\0\x07\x7f\0\0\x01\x1b\x39");
    }

    #[test]
    fn over_ipv6_the_action_is_the_same_and_a_peer_has_18_bytes() {
        let all = ["[::1]:6969", "[2001:db8::7]:1", "[ffff::]:65535"];
        for count in 0..=all.len() {
            let bytes = of(Family::V6, &all[..count]);
            assert_eq!((&bytes[..4], bytes.len()), (&[0, 0, 0, 1][..], 20 + 18 * count));
            assert_eq!(peers_of(&bytes, Family::V6), (all[..count].iter().map(|p| p.to_string()).collect(), 0));
        }
    }

    #[test]
    fn a_peer_of_the_other_family_is_not_written() {
        let mixed = ["[::1]:1", "1.2.3.4:2", "[::ffff:5.6.7.8]:3"];
        assert_eq!(peers_of(&of(Family::V4, &mixed), Family::V4).0, ["1.2.3.4:2", "5.6.7.8:3"]);
        assert_eq!(peers_of(&of(Family::V6, &mixed), Family::V6).0, ["[::1]:1"]);
    }

    #[test]
    fn a_peer_that_is_cut_is_left_out_and_noted() {
        for (family, peers) in [(Family::V4, ["1.2.3.4:5", "6.7.8.9:10"]), (Family::V6, ["[::1]:5", "[::2]:6"])] {
            let bytes = of(family, &peers);
            for length in 20..bytes.len() {
                let (read, ignored) = peers_of(&bytes[..length], family);
                let whole = (length - 20) / family.peer_len();
                assert_eq!(read, peers[..whole]);
                assert_eq!(ignored, (length - 20) % family.peer_len());
            }
        }
    }

    #[test]
    fn negative_figures_say_nothing_and_none_are_written() {
        let mut bytes = of(Family::V4, &[]);
        bytes[8..20].copy_from_slice(&[0xff; 12]);
        let Ok(Response::Announce { head, .. }) = Response::decode(&bytes, Family::V4) else { panic!("not read") };
        assert_eq!(head, AnnounceHead::default());
        let mut bytes = Vec::new();
        let huge = Stats { seeders: u32::MAX, completed: 1 << 31, leechers: i32::MAX as u32 };
        encode_scrape_response(TRANSACTION, [huge], &mut bytes);
        let Ok(Response::Scrape { stats, .. }) = Response::decode(&bytes, Family::V4) else { panic!("not read") };
        let most = i32::MAX as u32;
        assert!(stats.iter().eq([Stats { seeders: most, completed: most, leechers: most }]));
        bytes[8..].copy_from_slice(&[0x80; 12]);
        let Ok(Response::Scrape { stats, .. }) = Response::decode(&bytes, Family::V4) else { panic!("not read") };
        assert!(stats.iter().eq([Stats::default()]));
    }

    #[test]
    fn a_scrape_response_has_the_figures_of_no_torrent_of_one_or_of_many() {
        for count in [0, 1, 2, 74] {
            let all: Vec<_> = (0..count).map(|i| Stats { seeders: i, completed: 1000 + i, leechers: 2 * i }).collect();
            let mut bytes = Vec::new();
            encode_scrape_response(TRANSACTION, all.iter().copied(), &mut bytes);
            assert_eq!(bytes[..8], *b"\0\0\0\x02\x0a\x0b\x0c\x0d");
            assert_eq!(bytes.len(), 8 + 12 * all.len());
            let Ok(Response::Scrape { stats, .. }) = Response::decode(&bytes, Family::V4) else { panic!("not read") };
            assert_eq!((stats.len(), stats.is_empty()), (all.len(), count == 0));
            assert_eq!(stats.iter().collect::<Vec<_>>(), all);
            for cut in 8..bytes.len() {
                let Ok(Response::Scrape { stats, .. }) = Response::decode(&bytes[..cut], Family::V4) else {
                    panic!("cut at {cut}")
                };
                assert_eq!(stats.len(), (cut - 8) / 12);
            }
        }
        let mut bytes = Vec::new();
        encode_scrape_response(TRANSACTION, [Stats { seeders: 1, completed: 2, leechers: 3 }], &mut bytes);
        assert_eq!(bytes[8..], [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    }

    #[test]
    fn an_error_says_why_in_any_bytes_or_none() {
        for reason in ["", "no such torrent", "ünregistered"] {
            let mut bytes = Vec::new();
            encode_error_response(TRANSACTION, reason, &mut bytes);
            assert_eq!(bytes[..8], *b"\0\0\0\x03\x0a\x0b\x0c\x0d");
            let expected = Response::Error { transaction: TRANSACTION, reason: reason.into() };
            assert_eq!(Response::decode(&bytes, Family::V6), Ok(expected));
        }
        let bytes = b"\0\0\0\x03\x0a\x0b\x0c\x0d\xff\x1b[2J";
        let Ok(Response::Error { reason, .. }) = Response::decode(bytes, Family::V4) else { panic!("not read") };
        assert_eq!(reason.to_string(), "\u{fffd}\\u{1b}[2J");
    }

    #[test]
    fn a_response_cut_within_a_field_says_which_and_where() {
        let (announce, mut connect) = (of(Family::V4, &[]), Vec::new());
        encode_connect_response(TRANSACTION, ConnectionId(1), &mut connect);
        for (bytes, action) in [(&announce[..], 1), (&connect[..], 0), (b"\0\0\0\x02abcd", 2), (b"\0\0\0\x03abcd", 3)] {
            for length in 0..bytes.len() {
                let error = Response::decode(&bytes[..length], Family::V4).unwrap_err();
                let Error::Truncated { action: found, truncated } = error else { panic!("{error}") };
                assert_eq!(found, (length >= 4).then_some(action));
                assert_eq!(truncated.left, length - truncated.at);
            }
            assert!(Response::decode(bytes, Family::V4).is_ok());
        }
        let error = Response::decode(&announce[..18], Family::V4).unwrap_err();
        assert_eq!(error.to_string(), "announce message: expected 4 bytes at byte 16, found 2");
    }

    #[test]
    fn an_unknown_action_is_refused() {
        for action in [4, 5, u32::MAX] {
            let bytes = [&action.to_be_bytes()[..], &[0; 60]].concat();
            let error = Response::decode(&bytes, Family::V6);
            assert_eq!(error, Err(Error::UnknownAction { action }));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_response_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            action in 0_u8..5,
            v6 in any::<bool>(),
        ) {
            let family = if v6 { Family::V6 } else { Family::V4 };
            let bytes = [&[0, 0, 0, action], &bytes[..]].concat();
            if let Ok(response) = Response::decode(&bytes, family) {
                let mut out = Vec::new();
                response.encode(&mut out);
                let again = Response::decode(&out, family);
                prop_assert_eq!(again.map(|r| r.transaction()), Ok(response.transaction()));
                let mut twice = Vec::new();
                again.unwrap().encode(&mut twice);
                prop_assert_eq!(out, twice);
            }
        }

        #[test]
        fn any_peers_are_read_back(peers in prop::collection::vec(any::<([u8; 4], u16)>(), 0..80), head in any::<[u32; 3]>()) {
            let peers: Vec<SocketAddr> = peers.into_iter().map(SocketAddr::from).collect();
            let [interval, leechers, seeders] = head.map(|count| count >> 1);
            let expected = AnnounceHead { interval, leechers, seeders };
            let mut bytes = Vec::new();
            encode_announce_response(TRANSACTION, expected, Family::V4, peers.iter().copied(), &mut bytes);
            let Ok(Response::Announce { head, peers: read, ignored: 0, .. }) = Response::decode(&bytes, Family::V4) else {
                panic!("not read")
            };
            prop_assert_eq!(head, expected);
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), peers);
        }
    }
}
