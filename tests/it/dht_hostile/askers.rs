//! Who asks us, and how.

use super::*;
use bip::proto::compact::Family;
use bip::proto::id::InfoHash;

const HASH: [u8; 20] = [9; 20];

#[test]
fn a_method_that_is_unknown_gets_an_error_and_one_with_a_target_gets_nodes() {
    let mut host = Host::new(config());
    assert!(host.befriend(v4(1), id(200, 1)));
    let answer = host.ask(v4(2), &query(id(1, 2), "vote", &[])).unwrap();
    assert_eq!(code(&answer), 204);
    for argument in [&b"6:target20:"[..], b"9:info_hash20:"] {
        let answer = host.ask(v4(2), &query(id(1, 2), "vote", &[argument, &HASH])).unwrap();
        assert_eq!(reply_of(&answer).nodes.map(|nodes| nodes.len()), Some(1));
    }
}

#[test]
fn a_query_that_lacks_something_or_has_it_in_another_length_gets_203() {
    let mut host = Host::new(config());
    let token = host.token(v4(1));
    let short = string(&[1; 19]);
    let target = join(&[b"6:target20:", &HASH]);
    let hash = join(&[b"9:info_hash20:", &HASH]);
    let token = join(&[b"5:token", &string(&token)]);
    let long = join(&[b"5:token", &string(&[1; 129])]);
    let raw = |arguments: &[u8]| join(&[b"d1:ad", arguments, b"e1:q4:ping1:t2:aa1:y1:qe"]);
    for (n, packet) in [
        raw(b""),
        raw(&join(&[b"2:id", &short])),
        raw(b"2:idi7e"),
        b"d1:q4:ping1:t2:aa1:y1:qe".to_vec(),
        b"d1:ali1ee1:q4:ping1:t2:aa1:y1:qe".to_vec(),
        b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:t2:aa1:y1:qe".to_vec(),
        query(id(1, 1), "find_node", &[]),
        query(id(1, 1), "find_node", &[b"6:target", &short]),
        query(id(1, 1), "get_peers", &[b"9:info_hash", &short]),
        query(id(1, 1), "get", &[b"6:target", &short]),
        query(id(1, 1), "sample_infohashes", &[]),
        query(id(1, 1), "announce_peer", &[&hash, b"4:porti1e"]),
        query(id(1, 1), "announce_peer", &[&hash, b"4:porti1e", &long]),
        query(id(1, 1), "announce_peer", &[&hash, &token]),
        query(id(1, 1), "announce_peer", &[&hash, b"4:porti65536e", &token]),
        query(id(1, 1), "announce_peer", &[&hash, b"4:porti-1e", &token]),
        query(id(1, 1), "announce_peer", &[b"4:porti1e", &token]),
        query(id(1, 1), "put", &[&token]),
        query(id(1, 1), "put", &[&token, b"1:vd1:bi0e1:ai0ee"]),
    ]
    .iter()
    .enumerate()
    {
        // Each of somebody else: too many of one are not answered.
        let answer = host.ask(v4(100 + n as u32), packet).unwrap_or_else(|| panic!("no answer to {n}"));
        assert_eq!(code(&answer), 203, "{n}");
        assert_eq!(answer.message().transaction, b"aa");
    }
    // What another method needs is not looked at.
    let answer = host.ask(v4(1), &query(id(1, 1), "ping", &[b"4:porti-1e", &target[..8], &short])).unwrap();
    assert_eq!(reply_of(&answer).id, host.node.ids().next());
    assert_eq!(host.status().stored_peers, 0);
}

#[test]
fn what_is_no_query_is_not_answered_whatever_it_is() {
    let mut host = Host::new(config());
    let nested = |open: &str| [open.repeat(20_000), "e".repeat(20_000)].concat().into_bytes();
    let inside =
        |packet: Vec<u8>| join(&[b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa1:x", &packet, b"e1:q4:ping1:t2:aa1:y1:qe"]);
    let many = format!("d1:ad2:id20:{}1:xl{}ee1:q4:ping1:t2:aa1:y1:qe", "a".repeat(20), "0:".repeat(600));
    let big = join(&[b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa1:x", &string(&[b'x'; 65_480]), b"e1:q4:ping1:t2:aa1:y1:qe"]);
    assert!(big.len() > 65_507);
    let transaction = |length| {
        let transaction = string(&vec![b't'; length]);
        join(&[b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t", &transaction, b"1:y1:qe"])
    };
    let packets = [
        b"".to_vec(),
        b"d".to_vec(),
        b"de".to_vec(),
        b"le".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 1_500],
        nested("l"),
        nested("d0:"),
        inside(nested("l")),
        many.into_bytes(),
        big,
        b"d18446744073709551615:".to_vec(),
        b"d1:ai9223372036854775808ee".to_vec(),
        transaction(0),
        transaction(33),
        b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:y1:qe".to_vec(),
        b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aae".to_vec(),
        b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:xe".to_vec(),
        b"d1:t2:aa1:y1:re".to_vec(),
        // Trailing bytes.
        join(&[&query(id(1, 1), "ping", &[]), b"e"]),
        // Answers, to nobody's question.
        b"d1:t2:aa1:y1:ee".to_vec(),
        b"d1:eli204e7:unknowne1:t2:aa1:y1:ee".to_vec(),
        b"d1:ei5e1:t2:aa1:y1:ee".to_vec(),
        reply(b"aa", id(1, 1), &[]),
        reply(b"aaaa", id(1, 1), &[b"5:token4:abcd"]),
        b"d1:rde1:t2:aa1:y1:re".to_vec(),
    ];
    for (n, packet) in packets.iter().enumerate() {
        assert!(host.ask(v4(n as u32), packet).is_none(), "{n} is answered");
        assert!(host.queries.is_empty(), "{n} makes us ask");
    }
    let traffic = host.status().traffic;
    assert_eq!((traffic.received, traffic.sent), (packets.len() as u64, 0));
    assert_eq!(traffic.malformed + traffic.unsolicited, packets.len() as u64);
    // It is there as before.
    assert!(host.ask(v4(100), &query(id(1, 1), "ping", &[])).is_some());
    // The longest transaction is given back.
    let answer = host.ask(v4(100), &transaction(32)).unwrap();
    assert_eq!(answer.message().transaction, [b't'; 32]);
}

#[test]
fn two_nodes_that_send_each_other_answers_fall_silent() {
    let mut host = Host::new(config());
    assert!(host.befriend(v4(1), id(200, 1)));
    let answers = [
        host.ask(v4(1), &query(id(200, 1), "ping", &[])).unwrap(),
        host.ask(v4(1), &query(id(200, 1), "vote", &[])).unwrap(),
        host.ask(v4(1), &get_peers(id(200, 1), HASH)).unwrap(),
    ];
    for answer in answers {
        assert!(host.ask(v4(1), &answer.bytes).is_none());
    }
}

#[test]
fn an_announcement_counts_only_with_a_token_that_its_address_was_given_lately() {
    let mut host = Host::new(config());
    let (token, other) = (host.token(v4(1)), host.token(v4(2)));
    let refused = |host: &mut Host, token: &[u8]| {
        let answer = host.ask(v4(1), &announce(id(1, 1), HASH, "4:porti7000e", token)).unwrap();
        assert_eq!(code(&answer), 203);
        assert_eq!(host.status().stored_peers, 0);
    };
    for forged in [&b""[..], b"x", &[0; 8], &token[1..], &join(&[&token, b"x"]), &[b'x'; 128], &other] {
        refused(&mut host, forged);
    }
    host.wait(11 * MINUTE);
    refused(&mut host, &token);
    let token = host.token(v4(1));
    host.wait(4 * MINUTE);
    // It is for the address, whatever the port.
    let elsewhere = SocketAddr::new(v4(1).ip(), 9);
    let answer = host.ask(elsewhere, &announce(id(1, 1), HASH, "4:porti7000e", &token)).unwrap();
    assert_eq!(reply_of(&answer).id, host.node.ids().next());
    let answer = host.ask(v4(3), &get_peers(id(1, 3), HASH)).unwrap();
    let peers: Vec<_> = reply_of(&answer).values.unwrap().iter().collect();
    assert_eq!(peers, [SocketAddr::new(v4(1).ip(), 7000)]);
}

#[test]
fn a_peer_without_a_port_is_not_taken_down_and_an_implied_port_is_the_one_it_sends_from() {
    let mut host = Host::new(config());
    let token = host.token(v4(1));
    let answer = host.ask(v4(1), &announce(id(1, 1), HASH, "4:porti0e", &token)).unwrap();
    assert_eq!((code(&answer), host.status().stored_peers), (203, 0));
    let answer = host.ask(v4(1), &announce(id(1, 1), HASH, "12:implied_porti0e4:porti0e", &token)).unwrap();
    assert_eq!((code(&answer), host.status().stored_peers), (203, 0));
    for port in ["12:implied_porti1e", "12:implied_porti1e4:porti0e", "12:implied_porti1e4:porti9e"] {
        host.ask(v4(1), &announce(id(1, 1), HASH, port, &token)).unwrap();
        let answer = host.ask(v4(3), &get_peers(id(1, 3), HASH)).unwrap();
        let peers: Vec<_> = reply_of(&answer).values.unwrap().iter().collect();
        assert_eq!(peers, [v4(1)]);
    }
}

#[test]
fn a_reply_has_our_version_and_the_askers_address() {
    let mut host = Host::dual(Config { version: b"XY12".to_vec(), ..config() });
    for from in [v4(1), v6(1)] {
        for packet in
            [query(id(1, 1), "ping", &[]), query(id(1, 1), "vote", &[]), b"d1:ade1:q1:x1:t1:a1:y1:qe".to_vec()]
        {
            let answer = host.ask(from, &packet).unwrap();
            let message = answer.message();
            assert_eq!((message.version, message.ip, message.read_only), (Some(&b"XY12"[..]), Some(from), false));
        }
    }
    let mut silent = Host::new(Config { version: Vec::new(), ..config() });
    assert_eq!(silent.ask(v4(1), &query(id(1, 1), "ping", &[])).unwrap().message().version, None);
}

#[test]
fn nodes_are_of_the_families_that_are_wanted_or_else_of_the_one_the_query_came_by() {
    let mut host = Host::dual(config());
    assert!(host.befriend(v4(1), id(200, 1)) && host.befriend(v6(1), id(200, 2)));
    let wants: [(&[u8], _, _); 6] = [
        (b"", None, None),
        (b"4:wantle", None, None),
        (b"4:wantl2:n4e", Some(1), None),
        (b"4:wantl2:n6e", None, Some(1)),
        (b"4:wantl2:n62:n4e", Some(1), Some(1)),
        (b"4:wantl2:n92:n4i7ee", Some(1), None),
    ];
    for (want, nodes, nodes6) in wants {
        for from in [v4(9), v6(9)] {
            let (mut nodes, mut nodes6) = (nodes, nodes6);
            if (nodes, nodes6) == (None, None) {
                *(if from.is_ipv4() { &mut nodes } else { &mut nodes6 }) = Some(1);
            }
            for packet in [
                query(id(1, 9), "find_node", &[b"6:target20:", &HASH, want]),
                query(id(1, 9), "get_peers", &[b"9:info_hash20:", &HASH, want]),
                query(id(1, 9), "get", &[b"6:target20:", &HASH, want]),
                query(id(1, 9), "sample_infohashes", &[b"6:target20:", &HASH, want]),
            ] {
                let answer = host.ask(from, &packet).unwrap();
                let reply = reply_of(&answer);
                assert_eq!(reply.nodes.map(|nodes| nodes.len()), nodes);
                assert_eq!(reply.nodes6.map(|nodes| nodes.len()), nodes6);
                assert!(reply.nodes6.is_none_or(|nodes| nodes.family() == Family::V6));
            }
        }
        host.wait(MINUTE);
    }
}

#[test]
fn a_node_that_only_asks_answers_nothing_and_says_so() {
    let mut host = Host::new(Config { read_only: true, ..config() });
    for packet in [query(id(1, 1), "ping", &[]), query(id(1, 1), "vote", &[]), b"d1:ade1:q1:x1:t1:a1:y1:qe".to_vec()] {
        assert!(host.ask(v4(1), &packet).is_none());
    }
    assert!(host.queries.is_empty());
    host.tell(Command::Ping { request: RequestId(1), address: v4(2) });
    assert!(host.queries[0].message().read_only);
    assert!(host.answer(v4(2), id(200, 2), &[]) && host.knows(v4(2)));

    let mut host = Host::new(config());
    host.tell(Command::Ping { request: RequestId(1), address: v4(2) });
    assert!(!host.queries[0].message().read_only);
}

#[test]
fn who_only_asks_is_answered_and_left_out_of_the_table() {
    let mut host = Host::new(config());
    let packet = join(&[b"d1:ad2:id20:", &id(200, 1).0, b"e1:q4:ping2:roi1e1:t2:aa1:y1:qe"]);
    assert!(host.ask(v4(1), &packet).is_some());
    assert!(host.queries.is_empty());
}

#[test]
fn who_asks_enters_the_table_only_when_it_answers_and_with_the_id_that_it_answers_with() {
    let mut host = Host::new(config());
    assert!(host.ask(v4(1), &query(id(200, 1), "ping", &[])).is_some());
    assert!(host.ask(v4(2), &query(id(200, 2), "ping", &[])).is_some());
    assert_eq!(host.table().len(), 0);
    // One says the truth, one does not, and our own id is nobody's but ours.
    assert!(host.answer(v4(1), id(200, 1), &[]) && host.answer(v4(2), id(200, 77), &[]));
    let own = host.node.ids().next().unwrap();
    assert!(host.ask(v4(3), &query(own, "ping", &[])).is_some());
    assert!(!host.answer(v4(3), own, &[]), "it is asked");
    let mut nodes: Vec<_> = host.table().iter().map(|entry| (entry.node.address, entry.node.id)).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, [(v4(1), id(200, 1)), (v4(2), id(200, 77))]);
}

#[test]
fn of_two_sockets_of_a_family_the_one_that_was_asked_asks_in_turn() {
    let mut host = Host::with(config(), &["10.0.0.1:6881", "10.0.0.2:6881"]);
    host.give(1, v4(1), &query(id(200, 1), "ping", &[]));
    assert_eq!(host.asked(v4(1)).map(|(socket, _)| socket), Some(1));
    host.give(0, v4(2), &query(id(200, 2), "ping", &[]));
    assert_eq!(host.asked(v4(2)).map(|(socket, _)| socket), Some(0));
}

#[test]
fn a_sample_says_how_many_there_are_and_when_there_will_be_others() {
    let mut host = Host::new(config());
    for n in 0..60u8 {
        // As many as a packet has no room for, of several announcers.
        let from = v4(u32::from(n) / 10);
        let token = host.token(from);
        host.ask(from, &announce(id(1, 1), [n; 20], "4:porti7000e", &token)).unwrap();
    }
    let sample = |host: &mut Host| {
        let answer = host.ask(v4(99), &query(id(1, 1), "sample_infohashes", &[b"6:target20:", &HASH])).unwrap();
        assert!(answer.bytes.len() <= 1_400);
        let reply = reply_of(&answer);
        assert_eq!(reply.total, Some(60));
        let samples: Vec<InfoHash> = reply.samples.unwrap().iter().collect();
        (reply.interval, samples)
    };
    let (interval, samples) = sample(&mut host);
    assert_eq!((interval, samples.len()), (Some(21_600), 50));
    // Asking again tells nothing more.
    assert_eq!(sample(&mut host).1, samples);
}

#[test]
fn nodes_of_our_own_network_are_not_told_to_the_internet() {
    let mut host = Host::new(config());
    assert!(host.befriend(at("192.168.1.2:6881"), id(200, 1)) && host.befriend(v4(1), id(200, 2)));
    let mut told = |from: SocketAddr, method: &str, target: &[u8]| {
        let answer = host.ask(from, &query(id(1, 1), method, &[target, &[200; 20]])).unwrap();
        let nodes = reply_of(&answer).nodes.unwrap();
        nodes.iter().map(|node| node.address).collect::<Vec<_>>()
    };
    for (method, target) in [("find_node", &b"6:target20:"[..]), ("get_peers", b"9:info_hash20:")] {
        assert_eq!(told(v4(5), method, target), [v4(1)]);
        let mut inside = told(at("192.168.1.3:6881"), method, target);
        inside.sort();
        assert_eq!(inside, [v4(1), at("192.168.1.2:6881")], "somebody of that network is told");
    }
}
