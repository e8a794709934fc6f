//! What is answered over HTTP.

use super::*;
use bip::proto::http_tracker::{Limits, PeerList, Reply, decode_announce, decode_scrape};
use std::net::IpAddr;

/// Announces; gives the peers as they are written, and the body.
fn ask(host: &mut Host, from: SocketAddr, target: &str) -> Vec<u8> {
    let conn = host.accept(from);
    host.send(conn, get(target).as_bytes(), usize::MAX);
    let answer = host.read(conn, 0);
    host.gone(conn);
    let (head, body) = parts(&answer);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"), "{head}");
    body
}

fn peers(body: &[u8]) -> Vec<SocketAddr> {
    match decode_announce(body, &Limits::default()) {
        Ok(Reply::Success(reply)) => reply.addresses().collect(),
        other => panic!("refused: {other:?}"),
    }
}

#[test]
fn an_announce_is_answered_with_peers_of_both_families() {
    let mut host = Host::new(Config::default());
    host.announce(v4(1), announce(hash(1)));
    host.announce(v6(1), seeding(hash(1)));
    let body = ask(&mut host, v4(2), &target(hash(1), "&compact=1&event=started"));
    assert_eq!(peers(&body), [SocketAddr::new(v4(1).ip(), 6_881), SocketAddr::new(v6(1).ip(), 6_881)]);
    let Ok(Reply::Success(reply)) = decode_announce(&body, &Limits::default()) else { panic!("refused") };
    let info = reply.info;
    assert_eq!(
        (info.interval, info.min_interval, info.complete, info.incomplete),
        (Some(1_800), Some(60), Some(1), Some(2))
    );
    assert_eq!((info.external_ip, info.downloaded), (Some(v4(2).ip()), Some(0)));
    // Over UDP it is there too.
    assert_eq!(host.announce(v4(3), announce(hash(1))).1.len(), 2);
    assert!(ask(&mut host, v4(2), &target(hash(1), "&event=stopped")).ends_with(b"5:peers0:e"));
    assert_eq!(host.scrape(v4(1), &[hash(1)])[0].leechers, 2);
}

#[test]
fn peers_are_compact_unless_dictionaries_are_wanted() {
    let mut host = Host::new(Config::default());
    host.announce(v4(1), announce(hash(1)));
    host.announce(v6(1), announce(hash(1)));
    for (more, full) in [("", false), ("&compact=1", false), ("&compact=0", true), ("&compact=0&no_peer_id=1", true)] {
        let body = ask(&mut host, v4(2), &target(hash(1), more));
        let Ok(Reply::Success(reply)) = decode_announce(&body, &Limits::default()) else { panic!("refused") };
        assert_eq!(matches!(reply.peers, PeerList::Full(_)), full, "{more}");
        assert_eq!(reply.addresses().count(), 2, "{more}");
    }
}

#[test]
fn numwant_is_heeded_within_the_limit() {
    let mut host = Host::new(Config { max_peers: 60, ..Config::default() });
    for n in 0..100 {
        host.announce(v4(n), announce(hash(1)));
        host.announce(v6(n), announce(hash(1)));
    }
    for (more, expected) in
        [("&numwant=10", 10), ("", 50), ("&numwant=0", 0), ("&numwant=99999999999", 60), ("&numwant=-1", 50)]
    {
        let peers = peers(&ask(&mut host, v4(500), &target(hash(1), more)));
        assert_eq!(peers.len(), expected, "{more}");
        let v6 = peers.iter().filter(|peer| peer.is_ipv6()).count();
        assert!(v6.abs_diff(expected / 2) <= 1, "half of them are of either family: {v6}");
    }
}

#[test]
fn every_byte_is_understood_in_an_info_hash() {
    let mut host = Host::new(Config::default());
    for byte in 0..=255_u8 {
        let mut info_hash = hash(byte);
        info_hash.0[0] = !byte;
        // Escaped whole, in capitals, and only where it must be.
        let capitals = escaped(&info_hash.0).to_uppercase();
        let mut least = String::new();
        bip::proto::http_tracker::escape(&info_hash.0, &mut least);
        for (n, text) in [escaped(&info_hash.0), capitals, least].into_iter().enumerate() {
            let target =
                format!("/announce?info_hash={text}&peer_id=-XX0000-abcdefghijkl&port={}&left=1&compact=1", n + 1);
            assert_eq!(peers(&ask(&mut host, v4(1), &target)).len(), n, "{text}");
            let body = ask(&mut host, v4(1), &format!("/scrape?info_hash={text}"));
            let Ok(Reply::Success(reply)) = decode_scrape(&body, &Limits::default()) else { panic!("{text}") };
            assert_eq!((reply.files[0].info_hash, reply.files[0].incomplete), (info_hash, Some(n as u32 + 1)));
        }
    }
    assert_eq!(host.swarms.tally().torrents, 256);
}

#[test]
fn a_scrape_has_figures_for_each_and_zeros_for_those_unknown() {
    let mut host = Host::new(Config::default());
    host.announce(v4(1), announce(hash(1)));
    host.announce(v4(2), udp_tracker::Announce { event: Event::Completed, ..seeding(hash(1)) });
    let query: Vec<String> = [1, 2].iter().map(|n| format!("info_hash={}", escaped(&[*n; 20]))).collect();
    let body = ask(&mut host, v4(9), &format!("/scrape?{}", query.join("&")));
    let Ok(Reply::Success(reply)) = decode_scrape(&body, &Limits::default()) else { panic!("refused") };
    let figures = |n: usize| (reply.files[n].complete, reply.files[n].downloaded, reply.files[n].incomplete);
    assert_eq!(figures(0), (Some(1), Some(1), Some(1)));
    assert_eq!(figures(1), (Some(0), Some(0), Some(0)));
    // All torrents at once are too much to ask.
    assert!(ask(&mut host, v4(9), "/scrape").starts_with(b"d14:failure reason"));
    let many = vec![query[0].as_str(); 75].join("&");
    assert!(ask(&mut host, v4(9), &format!("/scrape?{many}")).starts_with(b"d14:failure reason"));
}

#[test]
fn what_is_wrong_in_a_query_is_told() {
    let mut host = Host::new(Config::default());
    for target in [
        "/announce".to_owned(),
        "/announce?info_hash=short&peer_id=-XX0000-abcdefghijkl&port=1&left=0".to_owned(),
        target(hash(1), "&info_hash=x"),
        target(hash(1), "&numwant=many"),
        target(hash(1), "").replace("port=6881", "port=68810"),
        target(hash(1), "").replace("%01", "%0"),
        "/scrape?info_hash=%zz".to_owned(),
    ] {
        let body = ask(&mut host, v4(1), &target);
        assert!(body.starts_with(b"d14:failure reason"), "{target}: {}", String::from_utf8_lossy(&body));
    }
    assert_eq!(host.swarms.tally(), Default::default());
    assert_eq!(host.swarms.figures().http_refusals, 7);
}

#[test]
fn paths_with_keys_are_served_and_others_are_not_there() {
    let mut host = Host::new(Config::default());
    let announce = target(hash(1), "");
    for path in ["/announce/key?", "/key/announce?", "/a/b/announce/?"] {
        assert_eq!(peers(&ask(&mut host, v4(1), &announce.replace("/announce?", path))), []);
    }
    for path in ["/", "/metrics", "/announced", "/scrape/announce"] {
        let answer = host.get(v4(1), &get(path));
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    }
}

#[test]
fn requests_behind_one_another_are_answered_in_order_however_they_are_cut() {
    let requests: String = (1..=40).map(|n| get(&target(hash(n), ""))).collect();
    let mut whole = None;
    for piece in [usize::MAX, 1, 2, 7, 300] {
        let mut host = Host::new(Config::default());
        // One peer in the first torrent, two in the second, and so on.
        for n in 1..=40 {
            (0..u32::from(n)).for_each(|peer| _ = host.announce(v4(1_000 + peer), announce(hash(n))));
        }
        let conn = host.accept(v4(1));
        host.send(conn, requests.as_bytes(), piece);
        let answers = host.read(conn, 0);
        assert_eq!(host.client(conn).closed, None, "it stays open");
        let counts: Vec<usize> = String::from_utf8_lossy(&answers)
            .split("10:incompletei")
            .skip(1)
            .map(|rest| rest.split('e').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(counts, (2..=41).collect::<Vec<_>>());
        assert_eq!(whole.get_or_insert(answers.len()), &answers.len());
    }
}

#[test]
fn a_connection_ends_when_the_client_wants_it_to() {
    let mut host = Host::new(Config::default());
    for (request, open) in [
        (get("/scrape"), true),
        ("GET /scrape HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".to_owned(), false),
        ("GET /scrape HTTP/1.0\r\n\r\n".to_owned(), false),
        ("GET /scrape HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(), true),
    ] {
        let conn = host.accept(v4(1));
        // What follows a close is not looked at.
        host.send(conn, format!("{request}{request}").as_bytes(), usize::MAX);
        assert_eq!(host.client(conn).closed, (!open).then_some(true), "{request}");
        let answers = String::from_utf8(host.read(conn, 0)).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), if open { 2 } else { 1 }, "{request}");
        assert_eq!(answers.contains("Connection: close"), !open);
        assert_eq!(answers.contains("Connection: keep-alive"), request.contains("keep-alive"));
        host.gone(conn);
    }
    // Whose half is closed has got its answers.
    let conn = host.accept(v4(1));
    host.send(conn, get("/scrape").as_bytes(), 9);
    host.server.handle_input(host.now, Input::End { conn });
    host.drain();
    assert_eq!(host.client(conn).closed, Some(true));
}

#[test]
fn a_proxy_is_believed_where_it_is_configured() {
    let proxy = at("10.0.0.1:4000");
    let forwarded =
        |list: &str| get(&target(hash(1), "")).replace("\r\n\r\n", &format!("\r\nX-Forwarded-For: {list}\r\n\r\n"));
    let known = |host: &mut Host| host.announce(v4(9), udp_tracker::Announce { port: 0, ..announce(hash(1)) }).1;
    let config = || Config { proxies: vec!["::ffff:10.0.0.1".parse().unwrap()], ..Config::default() };
    for (list, expected) in
        [("203.0.113.7", "203.0.113.7"), ("1.2.3.4, 203.0.113.8", "203.0.113.8"), ("::ffff:203.0.113.9", "203.0.113.9")]
    {
        let mut host = Host::new(config());
        host.get(proxy, &forwarded(list));
        let expected: IpAddr = expected.parse().unwrap();
        assert_eq!(known(&mut host), [SocketAddr::new(expected, 6_881)], "{list}");
        // From anybody else it means nothing.
        let mut host = Host::new(config());
        host.get(v4(1), &forwarded(list));
        assert_eq!(known(&mut host), [SocketAddr::new(v4(1).ip(), 6_881)], "{list}");
    }
    // Through two of them the last is not the client, but the proxy in front.
    let mut host = Host::new(Config { proxies: vec![proxy.ip(), at("10.0.0.2:0").ip()], ..Config::default() });
    for n in [7, 8] {
        host.get(proxy, &forwarded(&format!("1.2.3.4, 203.0.113.{n}:4000, 10.0.0.2:9")));
    }
    let clients: std::collections::BTreeSet<_> = known(&mut host).into_iter().collect();
    assert_eq!(clients, [at("203.0.113.7:6881"), at("203.0.113.8:6881")].into());
    // One that does not say is no peer.
    for list in ["", "unknown", "203.0.113.7, "] {
        let mut host = Host::new(config());
        assert!(host.get(proxy, &forwarded(list)).contains("the proxy does not say"), "{list}");
        assert!(host.get(proxy, &get(&target(hash(1), ""))).contains("the proxy does not say"));
        assert_eq!(known(&mut host), []);
    }
}

#[test]
fn an_address_that_is_named_counts_where_it_may() {
    for (named_addresses, from, counts) in [
        (false, "127.0.0.1:1", false),
        (true, "127.0.0.1:1", true),
        (true, "192.168.1.2:1", true),
        (true, "[fd00::1]:1", true),
        (true, "23.0.0.1:1", false),
        (true, "[2a00::1]:1", false),
    ] {
        let mut host = Host::new(Config { named_addresses, ..Config::default() });
        host.get(at(from), &get(&target(hash(1), "&ip=203.0.113.7&ipv4=203.0.113.8")));
        let expected = if counts { "203.0.113.7".parse().unwrap() } else { at(from).ip() };
        let body = ask(&mut host, v4(9), &target(hash(1), ""));
        assert_eq!(peers(&body), [SocketAddr::new(expected, 6_881)], "{from}");
    }
}

#[test]
fn the_figures_are_shown_where_they_are_to_be() {
    let start = Start { metrics: true, ..Start::default() };
    let mut host = Host::with(Config::default(), SwarmLimits::default(), start, Box::new(Everybody));
    let answer = host.get(v4(1), &get("/metrics"));
    // Who reads them is no client of the tracker.
    assert!(
        answer.contains("\nbip_tracker_torrents 0\n") && answer.contains("\nbip_tracker_connections 0\n"),
        "{answer}"
    );
    for target in ["/", "/announce", &target(hash(1), "")] {
        assert!(host.get(v4(1), &get(target)).starts_with("HTTP/1.1 404"));
    }
    assert_eq!(host.ask(v4(1), &connect()), None, "it has no datagrams");
    assert_eq!(host.swarms.figures(), Default::default());
}
