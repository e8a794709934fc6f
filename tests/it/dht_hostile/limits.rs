//! How much we do for whom, and what a local network lifts of it.

use super::*;
use bip::proto::id::InfoHash;
use bip::proto::krpc::node_id;

#[test]
fn a_reply_fits_into_a_packet_however_many_peers_there_are() {
    let mut host = Host::dual(config());
    let hash = [9; 20];
    for (n, from) in (0..2_000).flat_map(|n| [(n, v4(n)), (n, v6(n))]) {
        let token = host.token(from);
        let port = format!("4:porti{}e", 1_000 + n);
        assert!(reply_of(&host.ask(from, &announce(id(1, n), hash, &port, &token)).unwrap()).id.is_some());
    }
    assert_eq!(host.status().stored_peers, 4_000);
    for n in 0..8 {
        assert!(host.befriend(v4(5_000 + n), id(200, n)) && host.befriend(v6(5_000 + n), id(200, n)));
    }
    for (from, limit) in [(v4(9_999), 1_400), (v6(9_999), 1_024)] {
        for scrape in [&b""[..], b"6:scrapei1e"] {
            let want = b"4:wantl2:n42:n6e";
            let answer =
                host.ask(from, &query(id(1, 1), "get_peers", &[b"9:info_hash20:", &hash, want, scrape])).unwrap();
            assert!(answer.bytes.len() <= limit, "{} bytes", answer.bytes.len());
            let reply = reply_of(&answer);
            assert_eq!((reply.dropped, reply.seeds.is_some()), (0, !scrape.is_empty()));
            let peers: Vec<_> = reply.values.into_iter().flat_map(|values| values.iter()).collect();
            assert!(peers.iter().all(|peer| peer.is_ipv4() == from.is_ipv4()));
            // Where there is no room for all, it is used.
            assert!(!peers.is_empty() || !scrape.is_empty() && from.is_ipv6(), "no peers");
            assert!(reply.nodes.is_some_and(|nodes| !nodes.is_empty()) && reply.token.is_some());
        }
    }
}

#[test]
fn what_is_to_be_stored_waits_until_it_may_be_sent_and_is_not_lost() {
    let mut host = Host::new(Config { query_rate: 2, query_burst: 2, ..config() });
    for n in 0..8 {
        host.pass(30);
        assert!(host.befriend(v4(n), id(200, n)));
    }
    host.pass(60);
    let command = Command::Announce { request: RequestId(1), info_hash: InfoHash([9; 20]), port: Some(9), seed: false };
    host.tell(command);
    for _ in 0..60 {
        let before = host.status().traffic.queries_out;
        while (0..8).any(|n| host.answer(v4(n), id(200, n), &[b"5:token3:abc"])) {}
        host.wait(SECOND);
        let sent = host.status().traffic.queries_out - before;
        assert!(sent <= 4, "{sent} queries in a second");
    }
    assert!(matches!(host.end(1), Some(Event::Announced { nodes: 8, .. })));
}

#[test]
fn who_asks_too_much_is_banned_for_a_while_and_others_are_served() {
    let mut host = Host::new(config());
    let ping = query(id(1, 1), "ping", &[]);
    let served = |host: &mut Host, times: usize| {
        // From all its ports: it is one host.
        let from = |n: usize| SocketAddr::new(v4(1).ip(), 1_000 + n as u16);
        (0..times).filter(|n| host.ask(from(*n), &ping).is_some()).count()
    };
    assert_eq!(served(&mut host, 10_000), 50);
    assert_eq!(host.status().banned, 1);
    assert!(host.ask(v4(2), &ping).is_some());
    host.wait(4 * MINUTE);
    assert_eq!(served(&mut host, 1), 0);
    assert!(host.ask(v4(2), &ping).is_some());
    host.wait(2 * MINUTE);
    assert_eq!(served(&mut host, 10_000), 50);
    // A query that is malformed counts as one.
    let malformed = b"d1:ade1:q4:ping1:t2:aa1:y1:qe";
    assert_eq!((0..200).filter(|_| host.ask(v4(3), malformed).is_some()).count(), 50);

    let mut host = Host::new(local());
    assert_eq!(served(&mut host, 10_000), 10_000);
}

#[test]
fn a_host_of_ipv6_has_a_64_and_one_ban() {
    let mut host = Host::dual(config());
    let from = |n: u16| SocketAddr::from(([0x2a00, 1, 2, 3, n, 1, 2, 3], 6881));
    let ping = query(id(1, 1), "ping", &[]);
    assert_eq!((0..500).filter(|n| host.ask(from(*n), &ping).is_some()).count(), 50);
    assert!(host.ask(v6(1), &ping).is_some());
}

#[test]
fn who_sends_garbage_is_banned_sooner_and_its_answers_still_count() {
    let ping = query(id(1, 1), "ping", &[]);
    let nonsense = reply(b"zzzz", id(1, 1), &[]);
    // An answer that nobody asked for may be one that is late: it counts as a query.
    for (garbage, count) in [(&b"garbage"[..], 11), (&nonsense, 51)] {
        let mut host = Host::new(config());
        (0..count).for_each(|_| assert!(host.ask(v4(1), garbage).is_none()));
        assert!(host.ask(v4(1), &ping).is_none() && host.ask(v4(2), &ping).is_some());
        // Whoever else sends in its name cannot keep us from asking it.
        host.tell(Command::Ping { request: RequestId(1), address: v4(1) });
        assert!(host.answer(v4(1), id(200, 1), &[]));
        assert!(matches!(host.end(1), Some(Event::Pong { answer: Some(_), .. })));

        let mut host = Host::new(local());
        (0..100).for_each(|_| assert!(host.ask(v4(1), garbage).is_none()));
        assert!(host.ask(v4(1), &ping).is_some());
    }
}

#[test]
fn a_flood_of_made_up_addresses_leaves_the_node_in_its_limits_and_serving() {
    let mut host = Host::new(config());
    for n in 0..10_000u32 {
        let packet = match n % 4 {
            0 => query(id(n as u8, n), "ping", &[]),
            1 => get_peers(id(n as u8, n), [n as u8; 20]),
            2 => reply(&n.to_be_bytes(), id(n as u8, n), &[b"5:nodes26:", &[5; 26]]),
            _ => n.to_be_bytes().repeat(100),
        };
        host.ask(v4(n), &packet);
    }
    assert_eq!(host.table().len(), 0);
    let status = host.status();
    // It does not ask them all back.
    assert!(host.queries.len() <= 8 && status.queries <= 8, "{} queries", host.queries.len());
    assert_eq!((status.stored_peers, status.stored_items), (0, 0));
    assert!(host.ask(v4(20_000), &query(id(1, 1), "ping", &[])).is_some());
}

#[test]
fn answers_in_all_have_a_rate_and_our_queries_none_of_it() {
    let mut host = Host::new(Config { reply_rate: 1_000, reply_burst: 2_000, ..config() });
    let ping = query(id(1, 1), "ping", &[]);
    let answered = |host: &mut Host| (0..1_000).filter_map(|n| host.ask(v4(n), &ping)).map(|a| a.bytes.len()).sum();
    let first: usize = answered(&mut host);
    assert!((2_000..2_200).contains(&first), "{first} bytes");
    host.tell(Command::Ping { request: RequestId(1), address: v4(2_000) });
    assert!(host.asked(v4(2_000)).is_some());
    host.wait(SECOND);
    let second: usize = answered(&mut host);
    assert!((900..1_200).contains(&second), "{second} bytes");

    // In a local network there is none.
    let mut host = Host::new(Config { reply_rate: 1_000, reply_burst: 2_000, ..local() });
    assert_eq!((0..1_000).filter(|n| host.ask(v4(*n), &ping).is_some()).count(), 1_000);
}

#[test]
fn of_those_who_ask_some_are_asked_back_in_a_second_and_in_a_local_network_more() {
    for (config, expected) in [(config(), 4), (local(), 100)] {
        let mut host = Host::new(config);
        for n in 0..1_000 {
            host.ask(v4(n), &query(id(n as u8, n), "ping", &[]));
        }
        assert_eq!(host.queries.len(), expected);
    }
}

#[test]
fn addresses_that_cannot_be_are_neither_answered_nor_asked() {
    let nobody = ["0.0.0.0:6881", "0.1.2.3:1", "224.0.0.1:6881", "255.255.255.255:6881", "23.0.0.1:0", "127.0.0.1:0"];
    let nobody6 = ["[::]:6881", "[ff02::1]:6881", "[2a00::1]:0", "[::ffff:23.0.0.1]:6881"];
    let somebody_here = ["127.0.0.1:9000", "169.254.1.1:6881", "192.0.2.1:6881", "240.0.0.1:6881"];
    let somebody_here6 = ["[::1]:9000", "[fe80::1]:6881", "[2001:db8::1]:6881"];
    let ping = query(id(1, 1), "ping", &[]);
    for is_local in [false, true] {
        let mut host = Host::dual(if is_local { local() } else { config() });
        for text in nobody.iter().chain(&nobody6) {
            assert!(host.ask(at(text), &ping).is_none(), "{text}");
            host.tell(Command::AddNode { address: at(text) });
            host.tell(Command::Ping { request: RequestId(1), address: at(text) });
            assert!(host.queries.is_empty(), "{text} is asked");
            assert!(host.end(1).is_some());
        }
        for text in somebody_here.iter().chain(&somebody_here6) {
            assert_eq!(host.ask(at(text), &ping).is_some(), is_local, "{text}");
            host.queries.clear();
            host.tell(Command::Ping { request: RequestId(1), address: at(text) });
            assert_eq!(host.asked(at(text)).is_some(), is_local, "{text}");
            host.tell(Command::Cancel { request: RequestId(1) });
            assert!(host.end(1).is_some());
            host.wait(SECOND);
        }
        // Private networks have nodes of their own.
        assert!(host.ask(at("192.168.1.2:6881"), &ping).is_some());
    }
}

#[test]
fn an_address_has_one_node_and_a_network_few_unless_the_network_is_local() {
    for is_local in [false, true] {
        let mut host = Host::new(if is_local { local() } else { config() });
        let own = host.node.ids().next().unwrap().0[0];
        // All far away, in one bucket.
        let far = |n: u32| id(!own, n);
        for n in 0..4 {
            host.befriend(SocketAddr::new(v4(1).ip(), 7_000 + n as u16), far(n));
        }
        let of_one_ip = host.table().len();
        for n in 0..4 {
            host.befriend(SocketAddr::from(([40, 1, 1, n as u8 + 1], 6881)), far(10 + n));
        }
        let of_one_network = host.table().len() - of_one_ip;
        assert_eq!((of_one_ip, of_one_network), if is_local { (4, 4) } else { (1, 2) });
    }
}

#[test]
fn ids_have_to_go_with_addresses_only_where_that_is_asked_for() {
    for (enforce_ids, local_network, enters) in [(false, false, true), (true, false, false), (true, true, true)] {
        let mut host = Host::new(Config { enforce_ids, local_network, ..config() });
        let good = node_id::for_address(v4(2).ip(), 3, [5; 20]);
        assert!(!node_id::is_valid_for(&id(200, 1), v4(1).ip()));
        assert!(host.befriend(v4(1), id(200, 1)) && host.befriend(v4(2), good));
        assert_eq!((host.knows(v4(1)), host.knows(v4(2))), (enters, true));
    }
}

#[test]
fn a_host_that_announces_everything_does_not_fill_the_store() {
    let mut config = config();
    config.guard.queries = u32::MAX;
    let mut host = Host::new(config);
    let token = host.token(v4(1));
    let mut refused = 0;
    for n in 0..1_000u32 {
        let hash = id(n as u8, n).0;
        let answer = host.ask(v4(1), &announce(id(1, 1), hash, "4:porti1e", &token)).unwrap();
        if let Body::Error { code, .. } = answer.message().body {
            assert_eq!(code, 202);
            refused += 1;
        }
    }
    assert_eq!((host.status().stored_peers, refused), (256, 1_000 - 256));
    let token = host.token(v4(2));
    let answer = host.ask(v4(2), &announce(id(1, 2), [9; 20], "4:porti1e", &token)).unwrap();
    assert!(reply_of(&answer).id.is_some());
}

#[test]
fn the_memory_that_a_node_tells_of_goes_with_what_it_keeps() {
    let mut host = Host::dual(config());
    let before = host.status().memory;
    assert!((20_000..200_000).contains(&before), "{before} bytes of a node that keeps nothing");
    for n in 0..2_000 {
        let token = host.token(v4(n));
        let stored = host.ask(v4(n), &announce(id(1, n), [9; 20], "4:porti7e", &token)).unwrap();
        assert!(reply_of(&stored).id.is_some());
    }
    let peers = host.status().memory - before;
    // 10 bytes each, in a list with room, and who has how many of them, in a map with room.
    assert!((2_000 * 10..2_000 * 150).contains(&peers), "{peers} bytes for 2,000 peers");
}
