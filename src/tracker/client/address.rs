//! Where a tracker may be, and where a peer.

use super::command::Trust;
use crate::proto::tracker_url::{Scheme, TrackerUrl};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Endings of names that the DNS of the Internet does not have: for this host and for private networks (RFC 6761, 6762, 8375, and by custom).
const LOCAL_ENDINGS: [&str; 8] =
    [".localhost", ".local", ".lan", ".home", ".home.arpa", ".internal", ".intranet", ".localdomain"];

/// Says whether a tracker with this URL may be asked at this address.
pub(super) fn may_ask(url: &TrackerUrl, trust: Trust, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return false;
    }
    if is_global(ip) {
        return true;
    }
    // What listens here and in private networks takes requests from nobody else: nobody else is to make them through us.
    trust == Trust::Local
        && (url.scheme() == Scheme::Udp || is_tracker_path(url.path()))
        && (!is_here(ip) || url.ip().is_some() || is_local_name(url.host()))
}

/// Says whether a path is one of a tracker, and stands for nothing else wherever a server takes it apart: no dot segments, nothing escaped, no
/// other separators.
fn is_tracker_path(path: &str) -> bool {
    let rest = ["/announce", "/scrape"].iter().find_map(|start| path.strip_prefix(start));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
        && !path.contains(['%', '\\', ';'])
        && !path.split('/').any(|part| part == "." || part == "..")
}

/// Says whether a name is one that is given in private networks alone. Whoever owns another one has it stand for whatever he likes.
fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    !name.contains('.') || LOCAL_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Says whether an address is of this host alone, or of its link.
fn is_here(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.segments()[0] & 0xffc0 == 0xfe80 || embedded(ip).is_some_and(|ip| is_here(ip.into()))
        }
    }
}

/// Gives the address of IPv4 for which one of IPv6 stands: by 6to4, NAT64, or, as it was once, by 96 zeros.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0x2002, a, b, ..] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0, 0, 0, 0, 0, 0, a, b] => {
            let [a, b] = [a.to_be_bytes(), b.to_be_bytes()];
            Some(Ipv4Addr::new(a[0], a[1], b[0], b[1]))
        }
        _ => None,
    }
}

/// Says whether an address is one of the Internet, at which anybody may be.
pub(super) fn is_global(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match (a, b) {
        // This network, loopback, reserved and broadcast; carriers' networks; benchmarks.
        (0 | 127 | 240..=255, _) | (100, 64..=127) | (198, 18..=19) => true,
        // Protocol assignments.
        (192, 0) => c == 0,
        _ => false,
    };
    !(special || ip.is_private() || ip.is_link_local() || ip.is_documentation() || ip.is_multicast())
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        [0x2002, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(ip).is_some_and(is_global_v4),
        // Protocol assignments, among them Teredo; documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Says whether a peer can be at an address.
pub(super) fn may_be_peer(address: SocketAddr) -> bool {
    address.port() != 0
        && match address.ip() {
            IpAddr::V4(ip) => ip.octets()[0] != 0 && !ip.is_multicast() && !ip.is_broadcast(),
            IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_global() {
        for global in ["1.1.1.1", "100.63.0.1", "192.0.1.1", "2a00::1", "::ffff:8.8.8.8", "2002:808:808::1"] {
            assert!(is_global(global.parse().unwrap()), "{global}");
        }
        for other in [
            "0.1.2.3",
            "10.1.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "::ffff:127.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::a00:1",
        ] {
            assert!(!is_global(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn a_tracker_in_a_private_network_is_asked_only_for_what_trackers_do_and_never_for_strangers() {
        let url = |text: &str| text.parse::<TrackerUrl>().unwrap();
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(may_ask(&url("http://a/announce?x"), Trust::Local, here));
        assert!(may_ask(&url("http://a/scrape.php"), Trust::Local, here));
        assert!(may_ask(&url("udp://a:1"), Trust::Local, here));
        assert!(!may_ask(&url("http://a/admin/announce"), Trust::Local, here));
        assert!(!may_ask(&url("http://a/announce"), Trust::Stranger, here));
        assert!(!may_ask(&url("udp://a:1/announce"), Trust::Stranger, here));
        assert!(may_ask(&url("http://a/x"), Trust::Stranger, "8.8.8.8".parse().unwrap()));
        assert!(!may_ask(&url("udp://a:1"), Trust::Local, "255.255.255.255".parse().unwrap()));
    }

    #[test]
    fn a_path_that_only_begins_like_one_of_a_tracker_is_not_asked_in_a_private_network() {
        let may = |path: &str| {
            let url: TrackerUrl = format!("http://10.0.0.1{path}").parse().unwrap();
            may_ask(&url, Trust::Local, url.ip().unwrap())
        };
        for path in
            ["/announce", "/announce/", "/announce.php?x=/../y%2f", "/announce/5ec7e7", "/scrape", "/announce/.x/..y"]
        {
            assert!(may(path), "{path}");
        }
        for path in [
            "/announcements",
            "/announce-x",
            "/scraper",
            "/Announce",
            "//announce",
            "/announce/../cgi-bin/reboot",
            "/announce/..",
            "/announce/./x",
            "/announce/%2e%2e/admin",
            "/announce/.%2E/admin",
            "/announce%2f..%2fadmin",
            "/announce/%252e%252e/admin",
            "/announce/..%5cadmin",
            "/announce/..\\admin",
            "/announce/..;/admin",
            "/announce%00/../admin",
        ] {
            assert!(!may(path), "{path}");
        }
    }

    #[test]
    fn a_name_of_the_internet_does_not_lead_to_this_host_or_its_link() {
        let may = |host: &str, ip: &str| {
            let schemes = ["udp", "http"].map(|scheme| {
                let url: TrackerUrl = format!("{scheme}://{host}:81/announce").parse().unwrap();
                may_ask(&url, Trust::Local, ip.parse().unwrap())
            });
            assert_eq!(schemes[0], schemes[1]);
            schemes[0]
        };
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "0.0.0.1",
            "::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "::7f00:2",
        ] {
            for host in ["tracker.example", "localhost.example", "lan", "a.lan.", "nothome.example"] {
                assert_eq!(may(host, ip), host.starts_with("lan") || host == "a.lan.", "{host} {ip}");
            }
            for host in ["localhost", "a.localhost", "nas.local", "nas.home.arpa", "127.0.0.1", "[::1]"] {
                assert!(may(host, ip), "{host} {ip}");
            }
        }
        // Companies have names of the Internet for what is inside.
        assert!(may("tracker.example", "10.0.0.1"));
    }
}
