//! Hosts and ports.

use super::MAX_HOST_LEN;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Divides at the colon before the port, which is none within brackets.
pub(super) fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if !text.starts_with('[') {
        return Some(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))));
    }
    let (host, rest) = text.split_at(text.find(']')? + 1);
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => rest.is_empty().then_some((host, None)),
    }
}

/// Takes digits alone: Rust's own parser takes a `+` too.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

/// Gives the host as it is kept; `None` where it is none.
pub(super) fn normal_host(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let ip: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{ip}]"));
    }
    match text.parse::<Ipv4Addr>() {
        Ok(ip) => Some(ip.to_string()),
        Err(_) => is_name(text).then(|| text.to_ascii_lowercase()),
    }
}

/// Says whether a text is the name of a host, and nothing that a resolver could take for an address.
pub(in crate::proto) fn is_name(text: &str) -> bool {
    // A dot at the end says that the name is whole; two are no name.
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.len() > MAX_HOST_LEN || !text.bytes().all(is_host) || name.split('.').any(str::is_empty) {
        return false;
    }
    // Resolvers take `0x7f.1` and `2130706433` for addresses: nothing that ends in a number is a name.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|b| b.is_ascii_digit())
        || last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"))
            && last.bytes().skip(2).all(|b| b.is_ascii_hexdigit());
    !is_number
}
