//! Who answers us, and how.

use super::*;
use bip::dht::{Rejection, Router};
use bip::machine::JobError;
use bip::proto::compact;
use bip::proto::id::InfoHash;
use bip::proto::krpc::Method;

const HASH: [u8; 20] = [9; 20];

fn nodes(nodes: &[(NodeId, SocketAddr)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    nodes.iter().for_each(|(id, address)| compact::Node { id: *id, address: *address }.encode(&mut bytes));
    join(&[if nodes[0].1.is_ipv4() { b"5:nodes" } else { b"6:nodes6" }, &string(&bytes)])
}

fn pong(event: Option<Event>) -> Option<NodeId> {
    let Some(Event::Pong { answer, .. }) = event else { panic!("{event:?}") };
    answer.map(|(id, _)| id)
}

/// A node that knows another, and looks for peers.
fn looking(config: Config) -> Host {
    let mut host = Host::new(config);
    assert!(host.befriend(v4(1), id(200, 1)));
    let (info_hash, request) = (InfoHash(HASH), RequestId(1));
    host.tell(Command::GetPeers { request, info_hash, no_seeds: false, scrape: false });
    host
}

#[test]
fn an_answer_counts_only_from_the_address_port_and_socket_that_were_asked_with_what_was_sent_and_once() {
    let mut host = Host::with(config(), &["10.0.0.1:6881", "10.0.0.2:6881", "[::]:6881"]);
    host.tell(Command::Ping { request: RequestId(1), address: v4(1) });
    let (socket, transaction) = host.asked(v4(1)).unwrap();
    assert_eq!((socket, transaction.len()), (0, 4));
    let right = reply(&transaction, id(200, 1), &[]);
    let mut other = transaction.clone();
    other[3] ^= 1;
    host.give(0, v4(2), &right);
    host.give(0, SocketAddr::new(v4(1).ip(), 6_882), &right);
    host.give(1, v4(1), &right);
    host.give(2, v4(1), &right);
    host.give(7, v4(1), &right);
    for other in [&other[..], &transaction[..3], &join(&[&transaction, b"x"]), b"aa"] {
        host.give(0, v4(1), &reply(other, id(200, 1), &[]));
    }
    assert_eq!(host.end(1), None);
    assert_eq!(host.table().len(), 0);
    host.give(0, v4(1), &right);
    assert_eq!(pong(host.end(1)), Some(id(200, 1)));
    let before = host.status().traffic.unsolicited;
    host.give(0, v4(1), &right);
    assert_eq!(host.status().traffic.unsolicited, before + 1);
    assert_eq!(host.end(1), None);
}

#[test]
fn transactions_cannot_be_told_from_those_before() {
    let mut host = Host::new(config());
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..100 {
        host.tell(Command::Ping { request: RequestId(n.into()), address: v4(n) });
        let (_, transaction) = host.asked(v4(n)).unwrap();
        seen.insert(u32::from_be_bytes(transaction.try_into().unwrap()));
    }
    assert_eq!(seen.len(), 100);
    let all: Vec<_> = seen.into_iter().collect();
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] > 1) && all[0] < 1 << 28 && all[99] > 0xf << 28, "{all:?}");
}

#[test]
fn nodes_that_nobody_asked_for_are_not_asked_and_do_not_enter() {
    let mut host = Host::new(config());
    let packet = reply(b"abcd", id(200, 1), &[&nodes(&[(id(200, 2), v4(2)), (id(200, 3), v4(3))])]);
    assert!(host.ask(v4(1), &packet).is_none());
    host.tell(Command::FindNode { request: RequestId(1), target: id(200, 2) });
    host.wait(MINUTE);
    assert!(host.queries.is_empty());
    let Some(Event::Found { nodes, stats, .. }) = host.end(1) else { panic!("no end") };
    assert_eq!((nodes.len(), stats.asked, host.table().len()), (0, 0, 0));
}

#[test]
fn a_reply_without_an_id_or_with_our_own_is_no_answer() {
    for local_network in [false, true] {
        let mut host = Host::new(Config { local_network, ..config() });
        let own = host.node.ids().next().unwrap();
        type Packet = fn(&[u8], NodeId) -> Vec<u8>;
        let packets: [Packet; 4] = [
            |transaction, _| join(&[b"d1:rde1:t", &string(transaction), b"1:y1:re"]),
            |transaction, _| join(&[b"d1:rd2:id19:aaaaaaaaaaaaaaaaaaae1:t", &string(transaction), b"1:y1:re"]),
            |transaction, _| join(&[b"d1:rd2:idi1ee1:t", &string(transaction), b"1:y1:re"]),
            |transaction, own| reply(transaction, own, &[]),
        ];
        for packet in packets {
            host.tell(Command::Ping { request: RequestId(1), address: v4(1) });
            let (_, transaction) = host.asked(v4(1)).unwrap();
            host.give(0, v4(1), &packet(&transaction, own));
            assert_eq!(pong(host.end(1)), None);
            assert_eq!(host.table().len(), 0);
        }
        assert_eq!(host.status().traffic.unsolicited, 0);
    }
}

#[test]
fn what_is_malformed_in_a_reply_is_left_out_and_the_rest_counts() {
    let mut host = looking(config());
    let good = |last: u8| string(&[31, 1, 1, last, 0x1a, 0xe1]);
    let values = join(&[
        b"6:valuesl",
        &good(1),
        b"0:5:aaaaa7:aaaaaaai6e",
        &string(&[1; 17]),
        &string(&[1; 19]),
        b"l6:aaaaaaed1:x0:e",
        &good(2),
        // At no port.
        &string(&[31, 1, 1, 3, 0, 0]),
        &good(1),
        &string(&[1; 26]),
        &good(4),
        b"e",
    ]);
    // A node and a half.
    let mut both = Vec::new();
    compact::Node { id: id(9, 2), address: v4(2) }.encode(&mut both);
    both.extend([1; 13]);
    let nodes = join(&[b"5:nodes", &string(&both), b"6:nodes6i7e5:token", &string(&[1; 129])]);
    assert!(host.answer(v4(1), id(200, 1), &[&nodes, &values]));
    let Some(Event::Peers { peers, .. }) = host.events.iter().find(|event| matches!(event, Event::Peers { .. })) else {
        panic!("no peers")
    };
    assert_eq!(peers[..], [at("31.1.1.1:6881"), at("31.1.1.2:6881"), at("31.1.1.4:6881")]);
    assert!(host.answer(v4(2), id(9, 2), &[]), "the node that was whole is not asked");
    let Some(Event::PeersDone { stats, .. }) = host.end(1) else { panic!("no end") };
    assert_eq!((stats.asked, stats.answered), (2, 2));
}

#[test]
fn peers_that_cannot_be_are_not_told_of_unless_the_network_is_local() {
    for is_local in [false, true] {
        let mut host = looking(if is_local { local() } else { config() });
        let mut values = b"6:valuesl".to_vec();
        for peer in ["127.0.0.1:6881", "0.0.0.0:6881", "255.255.255.255:9", "224.0.0.1:9", "31.1.1.1:0", "31.1.1.1:9"] {
            let mut bytes = Vec::new();
            compact::encode(at(peer), &mut bytes);
            values.extend(string(&bytes));
        }
        assert!(host.answer(v4(1), id(200, 1), &[&values, b"e"]));
        let peers = |event: &Event| if let Event::Peers { peers, .. } = event { Some(peers.clone()) } else { None };
        let told: Vec<_> = host.events.iter().filter_map(peers).collect();
        let expected = if is_local { vec![at("127.0.0.1:6881"), at("31.1.1.1:9")] } else { vec![at("31.1.1.1:9")] };
        assert_eq!(told.concat(), expected);
    }
}

#[test]
fn nobody_on_the_internet_sends_us_around_in_a_private_network() {
    // Who is in it may.
    for (who, may) in [(v4(1), false), (at("192.168.1.1:6881"), true)] {
        let mut host = Host::dual(config());
        host.tell(Command::AddNode { address: who });
        let (private, private6) = (at("192.168.1.2:6881"), at("[fd00::2]:6881"));
        let mut named6 = Vec::new();
        compact::Node { id: id(9, 2), address: private6 }.encode(&mut named6);
        let mut peer = Vec::new();
        compact::encode(at("10.1.2.3:9"), &mut peer);
        let values = join(&[b"6:valuesl", &string(&peer), b"e"]);
        let all = join(&[&nodes(&[(id(9, 1), private)]), b"6:nodes6", &string(&named6)]);
        // It is asked whether it is there, and then who is near us, both families.
        assert!(host.answer(who, id(200, 1), &[]) && host.answer(who, id(200, 1), &[&all]));
        let (info_hash, request) = (InfoHash(HASH), RequestId(1));
        host.tell(Command::GetPeers { request, info_hash, no_seeds: false, scrape: false });
        for _ in 0..8 {
            while host.answer(who, id(200, 1), &[&nodes(&[(id(9, 1), private)]), &values]) {}
            host.wait(SECOND);
        }
        let asked = |to| host.queries.iter().any(|query| query.to == to);
        assert_eq!((asked(private), asked(private6)), (may, may), "{who}");
        let told = host.events.iter().any(|event| matches!(event, Event::Peers { .. }));
        assert_eq!(told, may, "{who}");
    }
}

#[test]
fn nodes_that_cannot_be_are_not_asked_nor_we_ourselves_nor_more_than_some_of_a_reply() {
    let mut config = config();
    config.external_addresses = vec![at("44.4.4.4:1").ip()];
    let mut host = looking(config);
    let own = host.node.ids().next().unwrap();
    let mut named = vec![
        (id(9, 1), at("127.0.0.1:6881")),
        (id(9, 2), at("224.0.0.1:6881")),
        (id(9, 3), at("31.1.1.1:0")),
        (own, at("31.1.2.1:6881")),
        (id(9, 5), at("44.4.4.4:6881")),
        // Twice at one address, and an id twice.
        (id(9, 6), at("31.1.3.1:6881")),
        (id(9, 7), at("31.1.3.1:6881")),
        (id(9, 6), at("31.1.4.1:6881")),
    ];
    named.extend((10..1_000).map(|n| (id(9, n), v4(n))));
    let times = named.iter().filter(|(of, _)| *of == own).count();
    assert_eq!(times, 1);
    assert!(host.answer(v4(1), id(200, 1), &[&nodes(&named)]));
    host.wait(MINUTE);
    let asked: Vec<_> = host.queries.iter().map(|query| query.to).collect();
    for (_, nobody) in &named[..5] {
        assert!(!asked.contains(nobody), "{nobody} is asked");
    }
    assert!(asked.iter().filter(|to| **to == at("31.1.3.1:6881")).count() <= 1);
    assert!((1..=16).contains(&asked.len()), "{} are asked", asked.len());
    assert!(matches!(host.end(1), Some(Event::PeersDone { .. })));
}

#[test]
fn liars_that_name_ever_nearer_nodes_do_not_keep_a_request_from_its_end() {
    let mut host = looking(config());
    let mut next = 10;
    for _ in 0..5_000 {
        let Some(query) = host.queries.first().cloned() else { break };
        let named: Vec<_> = (0..8)
            .map(|n| {
                let mut near = HASH;
                near[8..12].copy_from_slice(&(u32::MAX - next - n).to_be_bytes());
                near[12..16].copy_from_slice(&(next + n).to_be_bytes());
                (NodeId(near), v4(next + n))
            })
            .collect();
        next += 8;
        let by = if query.to == v4(1) { id(200, 1) } else { NodeId([query.to.ip().is_ipv4().into(); 20]) };
        host.answer(query.to, by, &[&nodes(&named)]);
    }
    host.wait(MINUTE);
    let Some(Event::PeersDone { stats, .. }) = host.end(1) else { panic!("no end") };
    assert!(stats.asked <= 256);
}

#[test]
fn the_first_node_of_a_young_network_looks_again_when_another_has_come_and_not_once_there_are_enough() {
    let mut host = Host::new(config());
    let own = host.status().sides[0].id;
    let looks = |host: &Host| {
        let for_itself = |query: &&Sent| {
            let Body::Query(query) = query.message().body else { return false };
            matches!(query.method, Method::FindNode { target } if target == own)
        };
        host.queries.iter().filter(for_itself).count()
    };
    for n in 1..=9 {
        host.pass(60);
        host.queries.clear();
        host.tell(Command::AddNode { address: v4(n) });
        assert!(host.answer(v4(n), id(25 * n as u8, n), &[]));
        host.friends.push((v4(n), id(25 * n as u8, n)));
        host.wait(11 * SECOND);
        assert_eq!(looks(&host) > 0, n < 8, "{n} nodes");
    }
}

#[test]
fn who_answers_with_another_id_each_time_is_not_in_the_table_twice() {
    let mut host = Host::new(config());
    for n in 0..20 {
        host.wait(SECOND);
        host.tell(Command::Ping { request: RequestId(n.into()), address: v4(1) });
        assert!(host.answer(v4(1), id(n as u8 * 10, n), &[]));
        assert!(host.table().len() <= 1);
    }
}

#[test]
fn an_error_in_answer_to_an_announcement_is_told_with_a_text_that_is_short() {
    let mut host = Host::new(config());
    assert!(host.befriend(v4(1), id(200, 1)));
    host.tell(Command::Announce { request: RequestId(1), info_hash: InfoHash(HASH), port: Some(9), seed: false });
    assert!(host.answer(v4(1), id(200, 1), &[b"5:token3:abc"]));
    let (_, transaction) = host.asked(v4(1)).expect("it is given something to store");
    let text = string(&join(&[&[0xff; 10], "ü".repeat(1_000).as_bytes()]));
    host.give(0, v4(1), &join(&[b"d1:eli203e", &text, b"e1:t", &string(&transaction), b"1:y1:ee"]));
    let Some(Event::Announced { nodes: 0, rejection: Some(Rejection { code: 203, text }), .. }) = host.end(1) else {
        panic!("no end")
    };
    assert_eq!(text.chars().count(), 200);
}

#[test]
fn a_late_answer_to_a_request_that_has_ended_is_not_taken_for_one_to_another_with_its_name() {
    let mut host = Host::new(config());
    let (request, address) = (RequestId(1), v4(1));
    host.tell(Command::Ping { request, address });
    let (_, first) = host.asked(v4(1)).unwrap();
    host.tell(Command::Cancel { request });
    assert_eq!(pong(host.end(1)), None);
    // Another question by the same name.
    host.tell(Command::Ping { request, address: v4(2) });
    host.give(0, v4(1), &reply(&first, id(200, 1), &[]));
    assert_eq!(host.end(1), None);
    assert!(host.answer(v4(2), id(200, 2), &[]));
    assert_eq!(pong(host.end(1)), Some(id(200, 2)));

    // And something to be stored.
    host.tell(Command::AddNode { address: v4(1) });
    for _ in 0..10 {
        while host.answer(v4(1), id(200, 1), &[]) || host.answer(v4(2), id(200, 2), &[]) {}
        host.wait(SECOND);
    }
    let announce = Command::Announce { request, info_hash: InfoHash(HASH), port: None, seed: false };
    host.tell(announce.clone());
    for n in 1..=2 {
        assert!(host.answer(v4(n), id(200, n), &[b"5:token3:abc"]));
    }
    let late = [host.asked(v4(1)).unwrap().1, host.asked(v4(2)).unwrap().1];
    host.tell(Command::Cancel { request });
    assert!(host.end(1).is_some());
    host.tell(announce);
    for n in 1..=2 {
        assert!(host.answer(v4(n), id(200, n), &[b"5:token3:abc"]));
    }
    for (n, late) in (1..).zip(&late) {
        host.give(0, v4(n), &reply(late, id(200, n), &[]));
    }
    assert_eq!(host.end(1), None, "it ends by what others answered");
    for n in 1..=2 {
        assert!(host.answer(v4(n), id(200, n), &[]));
    }
    assert!(matches!(host.end(1), Some(Event::Announced { nodes: 2, .. })));
}

#[test]
fn names_that_are_not_found_are_asked_for_again_with_pauses() {
    let routers = vec![Router::Name("a.example".into(), 1), Router::Name("b.example".into(), 1)];
    let mut host = Host::new(Config { routers, ..config() });
    let mut asked = 0;
    for _ in 0..600 {
        // The host has no answer, at once.
        for _ in 0..10 {
            for (job, _) in std::mem::take(&mut host.jobs) {
                asked += 1;
                host.node.handle_input(host.now, Input::Done { job, done: Err(JobError::Refused) });
                host.settle();
            }
        }
        assert!(host.jobs.is_empty(), "it goes on and on");
        host.wait(SECOND);
    }
    // 5, 10, 20, ... seconds apart.
    assert!((8..=16).contains(&asked), "{asked} times in ten minutes");
}

#[test]
fn one_liar_does_not_tell_us_where_we_are_and_a_local_network_not_at_all() {
    let vote = |transaction: &[u8], by: NodeId| {
        join(&[b"d2:ip6:\x09\x08\x07\x06\x1a\xe11:rd2:id20:", &by.0, b"e1:t", &string(transaction), b"1:y1:re"])
    };
    let after = |config: Config, voters: fn(u32) -> SocketAddr, votes: u32| {
        let mut host = Host::new(config);
        let before = host.node.ids().next();
        for n in 0..votes {
            host.tell(Command::Ping { request: RequestId(1), address: voters(n) });
            let (_, transaction) = host.asked(voters(n)).unwrap();
            host.give(0, voters(n), &vote(&transaction, id(200, n)));
            assert!(host.end(1).is_some());
        }
        let own = host.node.ids().next();
        assert!(host.table().iter().all(|entry| Some(entry.node.id) != own));
        (own != before, host.status().sides[0].external)
    };
    let one = |n: u32| SocketAddr::new(v4(1).ip(), 1_000 + n as u16);
    let we = "9.8.7.6".parse().ok();
    assert_eq!(after(config(), one, 100), (false, None));
    assert_eq!(after(config(), v4, 20), (true, we));
    assert_eq!(after(local(), v4, 20), (false, None));
    // An id that the program chose stays.
    assert_eq!(after(Config { node_id: Some(id(1, 1)), ..config() }, v4, 20), (false, we));
}
