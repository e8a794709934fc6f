//! The figures as text that Prometheus reads (exposition format 0.0.4).

use super::super::figures::Figures;
use std::io::Write as _;

/// Appends the figures.
pub(super) fn encode(figures: &Figures, out: &mut Vec<u8>) {
    let swarms = figures.swarms;
    let n = |count: usize| count as u64;
    family(out, "torrents", "gauge", "Torrents that are known", &[("", n(swarms.torrents))]);
    let peers = [
        ("{family=\"4\",kind=\"seed\"}", n(swarms.seeds_v4)),
        ("{family=\"4\",kind=\"leech\"}", n(swarms.leeches_v4)),
        ("{family=\"6\",kind=\"seed\"}", n(swarms.seeds_v6)),
        ("{family=\"6\",kind=\"leech\"}", n(swarms.leeches_v6)),
    ];
    family(out, "peers", "gauge", "Peers that are known", &peers);
    let requests = [
        ("{protocol=\"udp\",request=\"connect\"}", figures.connects),
        ("{protocol=\"udp\",request=\"announce\"}", figures.udp_announces),
        ("{protocol=\"udp\",request=\"scrape\"}", figures.udp_scrapes),
        ("{protocol=\"http\",request=\"announce\"}", figures.http_announces),
        ("{protocol=\"http\",request=\"scrape\"}", figures.http_scrapes),
    ];
    family(out, "requests_total", "counter", "Requests answered", &requests);
    let refused = [("{protocol=\"udp\"}", figures.udp_refusals), ("{protocol=\"http\"}", figures.http_refusals)];
    family(out, "refusals_total", "counter", "Requests refused with a reason", &refused);
    let dropped = [
        ("{reason=\"connection_id\"}", figures.invalid_ids),
        ("{reason=\"garbage\"}", figures.garbage),
        ("{reason=\"policy\"}", figures.ignored),
    ];
    family(out, "unanswered_total", "counter", "Requests not answered", &dropped);
    family(out, "datagrams_total", "counter", "Datagrams received", &[("", figures.datagrams)]);
    family(out, "peers_given_total", "counter", "Peers given to announcers", &[("", figures.peers_given)]);
    family(out, "connections", "gauge", "HTTP connections open", &[("", figures.open())]);
    family(out, "connections_total", "counter", "HTTP connections accepted", &[("", figures.connections)]);
    let closed = [("{reason=\"too_many\"}", figures.too_many), ("{reason=\"too_slow\"}", figures.too_slow)];
    family(out, "connections_dropped_total", "counter", "HTTP connections closed for what they cost", &closed);
    family(out, "http_errors_total", "counter", "HTTP requests that are none", &[("", figures.http_errors)]);
}

fn family(out: &mut Vec<u8>, name: &str, kind: &str, help: &str, values: &[(&str, u64)]) {
    // Writing to a vector does not fail.
    let _ = writeln!(out, "# HELP bip_tracker_{name} {help}.\n# TYPE bip_tracker_{name} {kind}");
    for (labels, value) in values {
        let _ = writeln!(out, "bip_tracker_{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_a_name_and_a_number() {
        let mut out = Vec::new();
        encode(&Figures { connects: 7, ..Figures::default() }, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("bip_tracker_requests_total{protocol=\"udp\",request=\"connect\"} 7\n"), "{text}");
        assert!(text.ends_with('\n'));
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("bip_tracker_") && value.parse::<u64>().is_ok(), "{line}");
        }
    }
}
