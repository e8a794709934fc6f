use super::error::ReplyError;
use crate::proto::announce::Reason;
use crate::proto::bencode::{self, Dict, Document, Value};
use crate::proto::compact::{Family, Peers};
use crate::proto::id::PeerId;
use crate::proto::tracker_url;
use std::net::{IpAddr, SocketAddr};

/// How long a tracker id may be to be taken, in bytes: 256.
pub const MAX_TRACKER_ID: usize = 256;

/// How much of an answer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long an answer may be, in bytes. Default 1 MiB.
    pub length: usize,
    /// How many peers are taken, in `peers` and `peers6` each; the others are left out and counted. Default 1000.
    pub peers: usize,
    /// How many torrents of a scrape are taken; the others are left out and counted. Default 1000.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { length: 1024 * 1024, peers: 1000, files: 1000 }
    }
}

impl Limits {
    pub(super) fn bencode(&self) -> bencode::Limits {
        // A dictionary of a peer has 8 tokens and at least 30 bytes; a quarter of the bytes is more than any answer needs.
        let tokens = (self.length / 4).max(64);
        bencode::Limits { depth: 8, tokens, string_length: self.length, input_length: self.length }
    }
}

/// What a tracker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a, T> {
    /// It did what was asked.
    Success(T),
    /// It refused.
    Failure(Failure<'a>),
}

/// Why a tracker refused, and what then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Failure<'a> {
    /// Why, for the user.
    pub reason: Reason<'a>,
    /// When to ask again, if the tracker says so (BEP 31).
    pub retry: Option<Retry>,
}

/// When to ask again after a refusal (BEP 31).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Retry {
    /// In so many minutes; at least 1.
    Minutes(u32),
    /// Never: this is no tracker.
    Never,
}

/// What an answer to an announce says beside peers; what it does not say is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Info<'a> {
    /// How many seconds to wait before the next announce without an event.
    pub interval: Option<u32>,
    /// How many seconds to wait before the next announce of any kind.
    pub min_interval: Option<u32>,
    /// How many peers have all of the torrent.
    pub complete: Option<u32>,
    /// How many peers do not have all of it.
    pub incomplete: Option<u32>,
    /// How many times it was downloaded in full.
    pub downloaded: Option<u32>,
    /// What to send with the next announces, at most [`MAX_TRACKER_ID`] bytes.
    pub tracker_id: Option<&'a [u8]>,
    /// Words for the user, although the announce was taken.
    pub warning: Option<Reason<'a>>,
    /// The address that the tracker saw (BEP 24).
    pub external_ip: Option<IpAddr>,
}

/// Where a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host<'a> {
    /// At an address.
    Ip(IpAddr),
    /// At a name, of at most 253 letters, digits, `-`, `_` and dots; not one that looks like an address.
    Name(&'a str),
}

/// A peer from a dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer<'a> {
    /// Its name for itself, if the tracker gave it.
    pub id: Option<PeerId>,
    /// Where it is.
    pub host: Host<'a>,
    /// Its port; 0 where nobody can reach it.
    pub port: u16,
}

/// The peers in `peers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerList<'a> {
    /// In compact form: IPv4 addresses (BEP 23).
    Compact(Peers<'a>),
    /// As dictionaries (BEP 3).
    Full(Vec<Peer<'a>>),
}

/// What a tracker answers to an announce.
///
/// Ports and addresses are what the tracker wrote: one that nobody can be reached at is for the caller to leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceReply<'a> {
    /// All but the peers.
    pub info: Info<'a>,
    /// The peers in `peers`.
    pub peers: PeerList<'a>,
    /// The IPv6 peers in `peers6` (BEP 7).
    pub peers6: Peers<'a>,
    /// How many peers were left out: they were malformed, or over [`Limits::peers`].
    pub dropped: usize,
}

impl<'a> AnnounceReply<'a> {
    /// Goes over all peers whose addresses are known.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let (compact, full) = match &self.peers {
            PeerList::Compact(peers) => (Some(peers.iter()), &[][..]),
            PeerList::Full(peers) => (None, &peers[..]),
        };
        let full = full.iter().filter_map(|peer| match peer.host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, peer.port)),
            Host::Name(_) => None,
        });
        compact.into_iter().flatten().chain(full).chain(self.peers6.iter())
    }

    /// Goes over the peers that are known by the names of their hosts, with their ports.
    pub fn names(&self) -> impl Iterator<Item = (&'a str, u16)> + '_ {
        let peers = match &self.peers {
            PeerList::Compact(_) => &[][..],
            PeerList::Full(peers) => &peers[..],
        };
        peers.iter().filter_map(|peer| match peer.host {
            Host::Ip(_) => None,
            Host::Name(name) => Some((name, peer.port)),
        })
    }
}

/// Reads the body of an answer to an announce.
///
/// ```
/// use bip::proto::http_tracker::{Limits, Reply, Retry, decode_announce};
/// let body = b"d14:failure reason13:Not a tracker8:retry in5:nevere";
/// let Reply::Failure(failure) = decode_announce(body, &Limits::default())? else { panic!("not refused") };
/// assert_eq!((failure.reason.to_string(), failure.retry), ("Not a tracker".to_owned(), Some(Retry::Never)));
/// # Ok::<(), bip::proto::http_tracker::ReplyError>(())
/// ```
///
/// # Errors
///
/// See [`ReplyError`].
pub fn decode_announce<'a>(body: &'a [u8], limits: &Limits) -> Result<Reply<'a, AnnounceReply<'a>>, ReplyError> {
    let document = Document::decode_prefix(body, &limits.bencode())?;
    let root = document.root().dict()?;
    if let Some(failure) = failure(root) {
        return Ok(Reply::Failure(failure));
    }
    let (peers, peers6) = (root.get("peers"), root.get("peers6"));
    let info = read_info(root);
    if info.interval.is_none() && peers.is_none() && peers6.is_none() {
        let expected = "`interval`, `peers`, `peers6` or `failure reason`";
        return Err(ReplyError::NotAReply { expected });
    }
    let mut dropped = 0;
    let peers = match peers.and_then(|peers| peers.as_list()) {
        Some(list) => {
            let mut full = Vec::new();
            for peer in list {
                match read_peer(peer) {
                    Some(peer) if full.len() < limits.peers => full.push(peer),
                    _ => dropped += 1,
                }
            }
            PeerList::Full(full)
        }
        None => PeerList::Compact(compact(peers, Family::V4, limits, &mut dropped)),
    };
    let peers6 = compact(peers6, Family::V6, limits, &mut dropped);
    Ok(Reply::Success(AnnounceReply { info, peers, peers6, dropped }))
}

/// Reads a refusal, if this is one.
pub(super) fn failure<'a>(root: Dict<'a, '_>) -> Option<Failure<'a>> {
    let reason = root.get("failure reason")?;
    let retry = root.get("retry in").and_then(|retry| match (retry.as_bytes(), retry.as_int()) {
        (Some(b"never"), _) => Some(Retry::Never),
        // BEP 31 says a number, and shows a text.
        (Some(text), _) => {
            let text = std::str::from_utf8(text).ok()?;
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u32::MAX)).filter(|minutes| *minutes > 0).map(Retry::Minutes)
        }
        (_, Some(minutes)) => (minutes > 0).then(|| Retry::Minutes(u32::try_from(minutes).unwrap_or(u32::MAX))),
        _ => None,
    });
    Some(Failure { reason: Reason::new(reason.as_bytes().unwrap_or_default()), retry })
}

/// Reads a number that is not negative; a greater one than 32 bits hold is as great as they can say.
pub(super) fn number(dict: Dict<'_, '_>, key: &str) -> Option<u32> {
    let value = dict.get(key)?.as_int()?;
    (value >= 0).then(|| u32::try_from(value).unwrap_or(u32::MAX))
}

fn read_info<'a>(root: Dict<'a, '_>) -> Info<'a> {
    let bytes = |key: &str| root.get(key).and_then(|value| value.as_bytes());
    Info {
        interval: number(root, "interval"),
        min_interval: number(root, "min interval"),
        complete: number(root, "complete"),
        incomplete: number(root, "incomplete"),
        downloaded: number(root, "downloaded"),
        tracker_id: bytes("tracker id").filter(|id| id.len() <= MAX_TRACKER_ID),
        warning: bytes("warning message").map(Reason::new),
        external_ip: bytes("external ip").and_then(address),
    }
}

/// Reads an address of 4 or 16 bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|ip| IpAddr::from(ip).to_canonical()))
}

fn compact<'a>(value: Option<Value<'a, '_>>, family: Family, limits: &Limits, dropped: &mut usize) -> Peers<'a> {
    let bytes = value.map(|value| value.as_bytes());
    // Something else than a string is one peer that is malformed: how many it stands for is not known.
    let (all, left) = Peers::prefix(family, bytes.flatten().unwrap_or_default());
    let peers = all.first(limits.peers);
    *dropped += all.len() - peers.len() + usize::from(left > 0 || bytes == Some(None));
    peers
}

fn read_peer<'a>(value: Value<'a, '_>) -> Option<Peer<'a>> {
    let dict = value.as_dict()?;
    let host = dict.get("ip")?.as_str()?;
    let host = match host.parse::<IpAddr>() {
        Ok(ip) => Host::Ip(ip.to_canonical()),
        Err(_) => tracker_url::is_name(host).then_some(Host::Name(host))?,
    };
    let id = dict.get("peer id").and_then(|id| id.as_bytes()?.try_into().ok()).map(PeerId);
    Some(Peer { id, host, port: u16::try_from(dict.get("port")?.as_int()?).ok()? })
}

#[cfg(test)]
mod tests {
    use super::super::{encode_announce, encode_failure, encode_full_announce};
    use super::*;
    use proptest::prelude::*;

    fn decode(body: &[u8]) -> AnnounceReply<'_> {
        match decode_announce(body, &Limits::default()) {
            Ok(Reply::Success(reply)) => reply,
            other => panic!("{}: {other:?}", body.escape_ascii()),
        }
    }

    fn refused(body: &[u8]) -> Failure<'_> {
        match decode_announce(body, &Limits::default()) {
            Ok(Reply::Failure(failure)) => failure,
            other => panic!("{}: {other:?}", body.escape_ascii()),
        }
    }

    fn addresses(reply: &AnnounceReply<'_>) -> Vec<String> {
        reply.addresses().map(|address| address.to_string()).collect()
    }

    #[test]
    fn the_example_of_bep_7_is_read_and_written() {
        let body = b"d8:intervali1800e5:peers6:iiiipp6:peers618:iiiiiiiiiiiiiiiippe";
        let reply = decode(body);
        let expected = ["105.105.105.105:28784", "[6969:6969:6969:6969:6969:6969:6969:6969]:28784"];
        assert_eq!((addresses(&reply), reply.dropped), (expected.map(String::from).to_vec(), 0));
        let mut out = Vec::new();
        encode_announce(&reply.info, reply.addresses().collect::<Vec<_>>(), &mut out);
        assert_eq!(out, body);
    }

    #[test]
    fn peers_as_dictionaries_are_read_with_and_without_ids() {
        let body = b"d8:intervali9e5:peersld2:ip9:192.0.2.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881ee\
            d2:ip11:2001:db8::14:porti1eed2:ip12:peer.example7:peer id3:abc4:porti2eeee";
        let reply = decode(body);
        let PeerList::Full(peers) = &reply.peers else { panic!("{reply:?}") };
        assert_eq!(peers[0].id, Some(PeerId([b'a'; 20])));
        assert_eq!(peers[1].id, None);
        assert_eq!(addresses(&reply), ["192.0.2.1:6881", "[2001:db8::1]:1"]);
        assert_eq!(reply.names().collect::<Vec<_>>(), [("peer.example", 2)]);
        assert_eq!(reply.dropped, 0);
        let mut out = Vec::new();
        encode_full_announce(&reply.info, peers.iter().copied(), &mut out);
        assert_eq!(decode(&out), reply);
        assert_eq!(out[..80], body[..80]);
    }

    #[test]
    fn a_peer_that_is_malformed_is_left_out_and_counted() {
        let good = "d2:ip7:1.2.3.44:porti5ee";
        for bad in [
            "i1e",
            "le",
            "de",
            "d2:ip7:1.2.3.4e",
            "d4:porti5ee",
            "d2:ip7:1.2.3.44:porti65536ee",
            "d2:ip7:1.2.3.44:porti-1ee",
            "d2:ip7:1.2.3.44:port1:5e",
            "d2:ip0:4:porti5ee",
            "d2:ip5:127.14:porti5ee",
            "d2:ip3:a b4:porti5ee",
            "d2:ip4:a\n:b4:porti5ee",
            "d2:ip2:\u{e9}4:porti5ee",
            "d2:ipi5e4:porti5ee",
        ] {
            let body = format!("d5:peersl{good}{bad}{good}ee");
            let reply = decode(body.as_bytes());
            assert_eq!((addresses(&reply), reply.dropped), (vec!["1.2.3.4:5".to_owned(); 2], 1), "{bad}");
        }
        let cut = decode(b"d5:peers13:abcdefghijklm6:peers617:abcdefghijklmnopqe");
        assert_eq!((cut.addresses().count(), cut.dropped), (2, 2));
        let wrong = decode(b"d5:peersi1e6:peers6lee");
        assert_eq!((wrong.addresses().count(), wrong.dropped), (0, 2));
    }

    #[test]
    fn peers_over_the_limit_are_left_out_and_counted() {
        let limits = Limits { peers: 2, ..Limits::default() };
        let peers: Vec<SocketAddr> = (1..=5).map(|port| SocketAddr::from(([1, 2, 3, 4], port))).collect();
        let (mut compact, mut full) = (Vec::new(), Vec::new());
        encode_announce(&Info::default(), peers.iter().copied(), &mut compact);
        let dictionaries = peers.iter().map(|peer| Peer { id: None, host: Host::Ip(peer.ip()), port: peer.port() });
        encode_full_announce(&Info::default(), dictionaries, &mut full);
        for body in [compact, full] {
            let Ok(Reply::Success(reply)) = decode_announce(&body, &limits) else { panic!("not read") };
            assert!(reply.addresses().eq(peers[..2].iter().copied()));
            assert_eq!(reply.dropped, 3);
        }
        let long = vec![b' '; 1024 * 1024 + 1];
        let error = decode_announce(&long, &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), "a tracker's answer: 1048577 bytes of input, over the limit of 1048576");
    }

    #[test]
    fn everything_that_an_answer_can_say_is_read_and_written() {
        for ip in ["192.0.2.9", "2001:db8::9"] {
            let info = Info {
                interval: Some(1800),
                min_interval: Some(60),
                complete: Some(1),
                incomplete: Some(2),
                downloaded: Some(3),
                tracker_id: Some(b"\0id"),
                warning: Some(Reason::from("slow down")),
                external_ip: ip.parse().ok(),
            };
            let mut body = Vec::new();
            encode_announce(&info, [], &mut body);
            assert!(Document::decode(&body, &Limits::default().bencode()).unwrap().is_canonical());
            let reply = decode(&body);
            assert_eq!((reply.info, reply.addresses().count(), reply.dropped), (info, 0, 0));
        }
    }

    #[test]
    fn what_makes_no_sense_is_as_what_is_missing() {
        let reply = decode(
            b"d8:completei-1e10:downloaded1:x11:external ip3:abc10:incompletei99999999999e8:intervali-5e\
              12:min intervalle5:peers0:10:tracker idi1e15:warning messagei1ee",
        );
        assert_eq!(reply.info, Info { incomplete: Some(u32::MAX), ..Info::default() });
        let long = format!("d8:intervali1e10:tracker id257:{}e", "x".repeat(257));
        assert_eq!(decode(long.as_bytes()).info.tracker_id, None);
        let long = format!("d8:intervali1e10:tracker id256:{}e", "x".repeat(256));
        assert_eq!(decode(long.as_bytes()).info.tracker_id.map(<[u8]>::len), Some(256));
    }

    #[test]
    fn a_refusal_says_why_and_when_to_come_back() {
        for (retry, expected) in [
            ("", None),
            ("8:retry ini5e", Some(Retry::Minutes(5))),
            ("8:retry in1:5", Some(Retry::Minutes(5))),
            ("8:retry in5:never", Some(Retry::Never)),
            ("8:retry ini0e", None),
            ("8:retry ini-1e", None),
            ("8:retry in1:0", None),
            ("8:retry in0:", None),
            ("8:retry in2:-5", None),
            ("8:retry in2:+5", None),
            ("8:retry in5:Never", None),
            ("8:retry inle", None),
            ("8:retry ini99999999999e", Some(Retry::Minutes(u32::MAX))),
            ("8:retry in11:99999999999", Some(Retry::Minutes(u32::MAX))),
        ] {
            let body = format!("d14:failure reason10:Overloaded{retry}e");
            let failure = refused(body.as_bytes());
            assert_eq!(failure, Failure { reason: "Overloaded".into(), retry: expected }, "{retry}");
            let mut out = Vec::new();
            encode_failure(&failure, &mut out);
            assert_eq!(refused(&out), failure);
        }
        // Whatever else is in it.
        assert_eq!(refused(b"d14:failure reason2:no8:intervali5e5:peers0:e").reason, Reason::from("no"));
        assert_eq!(refused(b"d14:failure reasoni5ee").reason, Reason::default());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for body in [&b""[..], b"<html>404</html>", b"i5e", b"le", b"5:peers", b"d5:peers6:abc", b"\x1f\x8b\x08"] {
            assert!(matches!(decode_announce(body, &Limits::default()), Err(ReplyError::Bencode(_))));
        }
        let error = decode_announce(b"d5:filesdee", &Limits::default()).unwrap_err();
        assert!(matches!(error, ReplyError::NotAReply { .. }));
        assert!(error.to_string().starts_with("a tracker's answer: expected `interval`"), "{error}");
        // A line feed after it is met with.
        assert_eq!(decode(b"d8:intervali5ee\n").info.interval, Some(5));
    }

    #[test]
    fn nesting_in_an_answer_costs_no_stack() {
        for open in ["l", "d1:a"] {
            for start in ["", "d5:peers", "d5:peersl", "d1:x", "d14:failure reason"] {
                let body = [start.as_bytes(), &open.as_bytes().repeat(20_000)].concat();
                let error = decode_announce(&body, &Limits::default()).unwrap_err();
                assert!(
                    matches!(error, ReplyError::Bencode(bencode::Error::TooDeep { limit: 8, .. })),
                    "{start}: {error}"
                );
            }
        }
        let whole = [vec![b'l'; 20_000], vec![b'e'; 20_000]].concat();
        let body = [b"d8:intervali1e1:x", &whole[..], b"e"].concat();
        assert!(decode_announce(&body, &Limits::default()).is_err());
    }

    #[test]
    fn an_answer_of_small_things_does_not_cost_more_than_its_length() {
        let body = [&b"d5:peersl"[..], &b"0:".repeat(500_000), b"ee"].concat();
        let error = decode_announce(&body, &Limits::default()).unwrap_err();
        assert!(matches!(error, ReplyError::Bencode(bencode::Error::TooManyTokens { .. })), "{error}");
        // The smallest peers there can be, as many as fit.
        let body = [&b"d5:peersl"[..], &b"d2:ip3:::14:porti1ee".repeat(20_000), b"ee"].concat();
        assert_eq!(decode(&body).dropped, 19_000);
    }

    #[test]
    fn an_answer_cut_anywhere_is_an_error() {
        let body = b"d8:completei1e8:intervali1800e5:peersld2:ip7:1.2.3.44:porti5eee6:peers618:iiiiiiiiiiiiiiiippe";
        assert!(decode_announce(body, &Limits::default()).is_ok());
        for length in 0..body.len() {
            assert!(decode_announce(&body[..length], &Limits::default()).is_err(), "at {length}");
        }
    }

    proptest! {
        #[test]
        fn any_peers_are_read_back(
            v4 in prop::collection::vec(any::<([u8; 4], u16)>(), 0..60),
            v6 in prop::collection::vec(any::<([u16; 8], u16)>(), 0..60),
            counts in any::<[Option<u32>; 5]>(),
        ) {
            let mut peers: Vec<SocketAddr> = v6.into_iter().map(SocketAddr::from).collect();
            peers.extend(v4.into_iter().map(SocketAddr::from));
            let [interval, min_interval, complete, incomplete, downloaded] = counts;
            let info = Info { interval, min_interval, complete, incomplete, downloaded, ..Info::default() };
            let (mut compact, mut full) = (Vec::new(), Vec::new());
            encode_announce(&info, peers.iter().copied(), &mut compact);
            let dictionaries = peers.iter().map(|peer| Peer { id: None, host: Host::Ip(peer.ip()), port: peer.port() });
            encode_full_announce(&info, dictionaries, &mut full);
            for body in [compact, full] {
                prop_assert!(Document::decode(&body, &Limits::default().bencode()).unwrap().is_canonical());
                let reply = decode(&body);
                prop_assert_eq!((reply.info, reply.dropped), (info, 0));
                let mut read: Vec<_> = reply.addresses().collect();
                read.sort();
                peers.sort();
                prop_assert_eq!(&read, &peers);
            }
        }
    }
}
