//! A tracker's answers to announces. Keys are written in their order by hand, so that peers can go straight to the buffer.

use super::reply::{Failure, Host, Info, Peer, Retry};
use crate::proto::compact::{self, Family};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Appends the body of an answer to an announce with its peers in compact form: IPv4 in `peers`, IPv6 in `peers6` (BEP 23, BEP 7).
///
/// Nothing is allocated but what the buffer needs to grow. The peers are gone over thrice.
pub fn encode_announce<P>(info: &Info<'_>, peers: P, out: &mut Vec<u8>)
where
    P: IntoIterator<Item = SocketAddr>,
    P::IntoIter: Clone,
{
    let peers = peers.into_iter();
    let of = |family| peers.clone().filter(move |peer| Family::of(peer.ip()) == family);
    encode_info(info, out, |out| {
        for (key, family) in [("peers", Family::V4), ("peers6", Family::V6)] {
            let count = of(family).count();
            if count > 0 || family == Family::V4 {
                bytes(key, out);
                length(count.saturating_mul(family.peer_len()), out);
                of(family).for_each(|peer| compact::encode(peer, out));
            }
        }
    });
}

/// Appends the body of an answer to an announce with a dictionary for each peer, of either family (BEP 3).
///
/// A peer's id is written where it is given: leave it out for a client that said `no_peer_id=1`.
pub fn encode_full_announce<'p>(info: &Info<'_>, peers: impl IntoIterator<Item = Peer<'p>>, out: &mut Vec<u8>) {
    encode_info(info, out, |out| {
        bytes("peers", out);
        out.push(b'l');
        for peer in peers {
            out.push(b'd');
            bytes("ip", out);
            match peer.host {
                Host::Ip(ip) => bytes(ip.to_canonical().to_string(), out),
                Host::Name(name) => bytes(name, out),
            }
            if let Some(id) = peer.id {
                bytes("peer id", out);
                bytes(id.0, out);
            }
            int("port", Some(peer.port), out);
            out.push(b'e');
        }
        out.push(b'e');
    });
}

fn encode_info(info: &Info<'_>, out: &mut Vec<u8>, peers: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'd');
    int("complete", info.complete, out);
    int("downloaded", info.downloaded, out);
    if let Some(ip) = info.external_ip {
        bytes("external ip", out);
        match ip.to_canonical() {
            IpAddr::V4(ip) => bytes(ip.octets(), out),
            IpAddr::V6(ip) => bytes(ip.octets(), out),
        }
    }
    int("incomplete", info.incomplete, out);
    int("interval", info.interval, out);
    int("min interval", info.min_interval, out);
    peers(out);
    if let Some(id) = info.tracker_id {
        bytes("tracker id", out);
        bytes(id, out);
    }
    if let Some(warning) = info.warning {
        bytes("warning message", out);
        bytes(warning.as_bytes(), out);
    }
    out.push(b'e');
}

/// Appends the body of a refusal, of an announce or a scrape (BEP 3, BEP 31).
///
/// ```
/// use bip::proto::http_tracker::{Failure, Retry, encode_failure};
/// let mut body = Vec::new();
/// encode_failure(&Failure { reason: "Overloaded".into(), retry: Some(Retry::Minutes(5)) }, &mut body);
/// assert_eq!(body, b"d14:failure reason10:Overloaded8:retry ini5ee");
/// ```
pub fn encode_failure(failure: &Failure<'_>, out: &mut Vec<u8>) {
    out.push(b'd');
    bytes("failure reason", out);
    bytes(failure.reason.as_bytes(), out);
    match failure.retry {
        None => {}
        Some(Retry::Minutes(minutes)) => int("retry in", Some(minutes), out),
        Some(Retry::Never) => {
            bytes("retry in", out);
            bytes("never", out);
        }
    }
    out.push(b'e');
}

fn length(length: usize, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{length}:");
}

/// Appends a string, such as a key.
pub(super) fn bytes(bytes: impl AsRef<[u8]>, out: &mut Vec<u8>) {
    length(bytes.as_ref().len(), out);
    out.extend_from_slice(bytes.as_ref());
}

/// Appends a key and its number, where there is one.
pub(super) fn int(key: &str, value: Option<impl Into<u64>>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        bytes(key, out);
        let _ = write!(out, "i{}e", value.into());
    }
}
