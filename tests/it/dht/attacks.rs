//! Those who mean harm.

use super::seat::{Link, Parcel, Script};
use super::town::{HOUR, MINUTE, SECOND, Town, config, hash, id, v4};
use super::with_seeds;
use bip::dht::{Command, Config, Event};
use bip::machine::{Instant, Rng};
use bip::proto::compact::Node as Contact;
use bip::proto::id::NodeId;
use bip::proto::krpc::{Body, Lists, Message, Method, Query, Reply, Want, node_id};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Answers every query as one of many, who name each other, whatever is asked; and says that one peer has everything.
struct Sybil {
    ids: Vec<(SocketAddr, NodeId)>,
    peer: SocketAddr,
}

impl Script for Sybil {
    fn on_datagram(&mut self, _: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8], out: &mut Vec<Parcel>) {
        let Ok(Message { body: Body::Query(query), transaction, .. }) = Message::decode(bytes) else { return };
        let Some((_, own)) = self.ids.iter().find(|(address, _)| *address == to) else { return };
        let mut all: Vec<_> = self.ids.iter().map(|(address, id)| Contact { id: *id, address: *address }).collect();
        if let Some(target) = query.method.target() {
            all.sort_by_key(|node| target.distance(&node.id));
        }
        let has_peers = matches!(query.method, Method::GetPeers { .. });
        let lists = Lists {
            nodes: Some(&all[..all.len().min(8)]),
            nodes6: None,
            samples: None,
            values: has_peers.then(|| std::iter::once(self.peer)),
        };
        let message =
            Message::reply(transaction, Reply { token: has_peers.then_some(b"sybil".as_slice()), ..Reply::new(*own) });
        let mut bytes = Vec::new();
        message.encode_with(lists, 1400, &mut bytes);
        out.push(Parcel { from: to, to: from, bytes });
    }
}

fn query(id: NodeId, method: Method<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Message::query(b"abcd", Query { id, want: Want::default(), method }).encode(&mut bytes);
    bytes
}

/// An id that shares as many first bits with another, and then differs.
fn near(rng: &mut Rng, other: NodeId, bits: usize) -> NodeId {
    let mut near = id(rng);
    for bit in 0..=bits {
        let mask = 0x80 >> (bit % 8);
        let wanted = other.0[bit / 8] & mask ^ if bit == bits { mask } else { 0 };
        near.0[bit / 8] = near.0[bit / 8] & !mask | wanted;
    }
    near
}

/// Twenty nodes around a target, in networks of their own or all in one, that ask everybody for it so as to be known.
fn besiege(town: &mut Town, target: NodeId, networks: usize, legal: bool) -> SocketAddr {
    let rng = &mut town.net.rng;
    let bases: Vec<Ipv4Addr> = (0..networks)
        .map(|_| match v4(rng).ip() {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => unreachable!("it is an IPv4 address"),
        })
        .collect();
    let peer = v4(rng);
    let mut ids = Vec::new();
    for n in 0..20 {
        let [a, b, c, _] = bases[n % networks].octets();
        let ip = Ipv4Addr::new(a, b, c, u8::try_from(n / networks + 1).unwrap());
        // Nearer to the target than any honest node; or as near as the address permits.
        let id = if legal { node_id::for_address(ip.into(), n as u8, target.0) } else { near(rng, target, 30 + n) };
        ids.push((SocketAddr::new(ip.into(), 6881), id));
    }
    let addresses: Vec<_> = ids.iter().map(|(address, _)| *address).collect();
    town.net.add_script(Sybil { ids: ids.clone(), peer }, &addresses);
    for _ in 0..5 {
        for place in town.people.clone() {
            let to = town.net.seats[place].addresses[0];
            for (address, id) in &ids {
                town.net.inject(*address, to, query(*id, Method::FindNode { target }), SECOND / 10);
            }
            town.run(SECOND / 4);
        }
        town.run(MINUTE);
    }
    peer
}

#[test]
fn sybils_around_a_target_hide_nobody_where_ids_go_with_addresses() {
    with_seeds("sybils_around_a_target_hide", 2, |seed| {
        let strict = Config { enforce_ids: true, ..config() };
        let mut town = Town::with(seed, Link::default(), strict);
        town.grow(80, MINUTE).run(5 * MINUTE);
        let info_hash = hash(&mut town.net.rng);
        besiege(&mut town, NodeId::from(info_hash.0), 20, false);
        let (place, other) = (town.people[5], town.people[40]);
        assert!(town.announce(place, info_hash, 8) >= 7);
        let search = town.peers(other, info_hash);
        assert!(search.has(town.ip(place), 8), "{search:?}");
        // Not one of them is in a table.
        for place in town.people.clone() {
            for entry in town.net.tables(place).into_iter().flat_map(|table| table.nodes) {
                assert!(node_id::is_valid_for(&entry.node.id, entry.node.address.ip()));
            }
        }
    });
}

#[test]
fn sybils_of_few_networks_hide_nobody_though_ids_are_not_enforced() {
    with_seeds("sybils_of_few_networks", 2, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.grow(80, MINUTE).run(5 * MINUTE);
        let info_hash = hash(&mut town.net.rng);
        // Two networks: at most four of a lookup's eight.
        besiege(&mut town, NodeId::from(info_hash.0), 2, false);
        let (place, other) = (town.people[5], town.people[40]);
        assert!(town.announce(place, info_hash, 8) >= 4);
        let search = town.peers(other, info_hash);
        assert!(search.has(town.ip(place), 8), "{search:?}");
    });
}

#[test]
fn sybils_of_many_networks_take_a_target_where_ids_are_not_enforced_and_leave_the_others() {
    // What is known of the design, and why ids can be enforced.
    let mut town = Town::new(7, Link::default());
    town.grow(80, MINUTE).run(5 * MINUTE);
    let (taken, free) = (hash(&mut town.net.rng), hash(&mut town.net.rng));
    let theirs = besiege(&mut town, NodeId::from(taken.0), 20, false);
    let (place, other) = (town.people[5], town.people[40]);
    town.announce(place, taken, 8);
    assert!(town.peers(other, taken).peers.contains(&theirs));
    assert!(town.announce(place, free, 9) >= 7);
    assert!(town.peers(other, free).has(town.ip(place), 9));
}

#[test]
fn whoever_wants_all_of_a_table_gets_little_of_it() {
    with_seeds("whoever_wants_all_of_a_table", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.grow(100, MINUTE).run(5 * MINUTE);
        let victim = town.people[10];
        // Some have other ids by now than those they are known by, since they know their addresses.
        let ids: BTreeSet<_> = town.people.iter().flat_map(|place| town.net.node(*place).unwrap().ids()).collect();
        let honest = |town: &mut Town| -> Vec<_> {
            let nodes = town.net.tables(victim).remove(0).nodes.into_iter().filter(|entry| !entry.spare);
            nodes.map(|entry| entry.node).filter(|node| ids.contains(&node.id)).collect()
        };
        let before = honest(&mut town);
        let (own, to) = (town.net.node(victim).unwrap().ids().next().unwrap(), town.net.seats[victim].addresses[0]);
        // 500 addresses in 500 networks, evenly over the buckets, that ask the victim and answer it, for two hours.
        let ids: Vec<_> = (0..500).map(|n| (v4(&mut town.net.rng), near(&mut town.net.rng, own, n % 12))).collect();
        let addresses: Vec<_> = ids.iter().map(|(address, _)| *address).collect();
        let peer = v4(&mut town.net.rng);
        town.net.add_script(Sybil { ids: ids.clone(), peer }, &addresses);
        for _ in 0..120 {
            for (n, (address, id)) in ids.iter().enumerate() {
                let after = MINUTE * u32::try_from(n).unwrap() / 500;
                town.net.inject(*address, to, query(*id, Method::Ping), after);
            }
            town.run(MINUTE);
        }
        let after = honest(&mut town);
        // No honest node was displaced: they all still answer.
        let kept = before.iter().filter(|node| after.contains(node)).count();
        assert!(kept * 100 >= before.len() * 95, "{kept} of {} are left", before.len());
        let info_hash = hash(&mut town.net.rng);
        let place = town.people[60];
        assert!(town.announce(place, info_hash, 3) >= 7);
        assert!(town.peers(victim, info_hash).has(town.ip(place), 3));
    });
}

/// Answers what was never asked of it.
#[test]
fn answers_from_elsewhere_and_guessed_answers_are_nothing() {
    with_seeds("answers_from_elsewhere", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.net.watch.answers = true;
        town.grow(50, MINUTE).run(2 * MINUTE);
        let victim = town.people[20];
        let to = town.net.seats[victim].addresses[0];
        let honest: Vec<_> = town.people.iter().map(|place| town.net.seats[*place].addresses[0]).collect();
        let evil = v4(&mut town.net.rng);
        let bad = hash(&mut town.net.rng);
        let search = town.search(victim, bad);
        // Of every honest node's address, transactions that are guessed; and from an address that nobody asked, all the same.
        for n in 0..20_000_u32 {
            let from = if n % 4 == 0 { evil } else { honest[n as usize % honest.len()] };
            let transaction = (town.net.rng.next_u64() as u32).to_be_bytes();
            let nodes = [Contact { id: NodeId::from(bad.0), address: evil }];
            let reply = Reply { token: Some(b"token"), ..Reply::new(NodeId::from(bad.0)) };
            let lists = Lists { nodes: Some(&nodes), nodes6: None, samples: None, values: Some(std::iter::once(evil)) };
            let mut bytes = Vec::new();
            Message::reply(&transaction, reply).encode_with(lists, 1400, &mut bytes);
            let after = SECOND * (n % 1000) / 1000;
            town.net.inject(from, to, bytes, after);
        }
        town.net.wait(victim, search, MINUTE);
        town.run(2 * SECOND);
        let result = town.result(victim, search).unwrap();
        assert!(result.peers.is_empty(), "{result:?}");
        town.net.check();
        let traffic = town.net.status(victim).traffic;
        // What bears its own address is not even looked at.
        assert!(traffic.unsolicited >= 19_000, "{traffic:?}");
        // The honest are asked and believed as before.
        let (place, info_hash) = (town.people[30], hash(&mut town.net.rng));
        assert!(town.announce(place, info_hash, 3) >= 7);
        assert!(town.peers(victim, info_hash).has(town.ip(place), 3));
    });
}

/// Garbage, queries and forged replies of all kinds.
fn rubbish(rng: &mut Rng, n: u32) -> Vec<u8> {
    match n % 6 {
        0 => query(id(rng), Method::Ping),
        1 => query(id(rng), Method::FindNode { target: id(rng) }),
        2 => query(id(rng), Method::GetPeers { info_hash: hash(rng), no_seed: false, scrape: n % 5 == 0 }),
        3 => (0..rng.below(300)).map(|_| rng.next_u64() as u8).collect(),
        4 => {
            let mut bytes = query(id(rng), Method::SampleInfohashes { target: id(rng) });
            let at = rng.below(u32::try_from(bytes.len()).unwrap()) as usize;
            bytes[at] ^= 1 << rng.below(8);
            bytes
        }
        _ => {
            let mut bytes = Vec::new();
            Message::reply(&rng.next_u64().to_be_bytes()[..4], Reply::new(id(rng))).encode(&mut bytes);
            bytes
        }
    }
}

fn flood(seed: u64, datagrams: u32) {
    let mut town = Town::new(seed, Link::default());
    town.grow(40, MINUTE).run(2 * MINUTE);
    let (victim, neighbour, place) = (town.people[3], town.people[4], town.people[30]);
    let to = town.net.seats[victim].addresses[0];
    let crowd: Vec<_> = (0..500).map(|_| v4(&mut town.net.rng)).collect();
    let mut found = 0;
    let info_hash = hash(&mut town.net.rng);
    assert!(town.announce(place, info_hash, 6) >= 8);
    // As fast as 20,000 a second, from few addresses, from hundreds, and from a new one each time.
    let rounds = datagrams / 10_000;
    for round in 0..rounds {
        for n in 0..10_000 {
            let bytes = rubbish(&mut town.net.rng, n);
            let from = match n % 3 {
                0 => crowd[n as usize % 4],
                1 => crowd[n as usize % crowd.len()],
                _ => v4(&mut town.net.rng),
            };
            town.net.inject(from, to, bytes, SECOND * n / 20_000);
        }
        let search = town.search(if round % 2 == 0 { neighbour } else { victim }, info_hash);
        town.run(SECOND / 2);
        let who = if round % 2 == 0 { neighbour } else { victim };
        town.net.wait(who, search, 10 * SECOND);
        found += u32::from(town.result(who, search).is_some_and(|result| result.has(town.ip(place), 6)));
    }
    assert_eq!(found, rounds);
    let status = town.net.status(victim);
    assert!(status.traffic.received >= u64::from(datagrams), "{status:?}");
    assert!(status.stored_peers <= 10 && status.queries < 200, "{status:?}");
    // Its table is as it was: nobody in it who did not answer.
    town.run(20 * MINUTE);
    town.net.check();
    let queries = town.net.watch.queries;
    town.run(HOUR / 4);
    assert!(town.net.watch.queries - queries < 40 * 15 * 20, "it is over, and quiet");
}

#[test]
fn a_flood_of_a_million_datagrams_stops_neither_a_neighbour_nor_the_flooded_one() {
    with_seeds("a_flood_of_a_million", 1, |seed| flood(seed, 1_000_000));
}

#[test]
fn whoever_names_nodes_that_are_not_there_makes_nobody_forget_those_that_are_or_search_without_end() {
    with_seeds("whoever_names_nodes", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.grow(40, MINUTE).run(20 * MINUTE);
        let victim = town.people[3];
        let to = town.net.seats[victim].addresses[0];
        let known = town.known(victim);
        let queries = town.net.status(victim).traffic.queries_out;
        // Queries from addresses at which nobody is, for ten minutes: each is worth a ping, as far as it goes.
        for n in 0..20_u32 * 600 {
            let (from, sender) = (v4(&mut town.net.rng), id(&mut town.net.rng));
            town.net.inject(from, to, query(sender, Method::Ping), SECOND * n / 20);
        }
        town.run(10 * MINUTE);
        let asked = town.net.status(victim).traffic.queries_out - queries;
        assert!(asked < 4 * 600 + 500, "{asked} queries in ten minutes");
        assert!(town.known(victim) >= known);
        // A node that goes meanwhile is noticed all the same.
        let gone = town.people[9];
        let address = town.net.seats[gone].addresses[0];
        town.net.kill(gone);
        for n in 0..20_u32 * 60 * 60 {
            let (from, sender) = (v4(&mut town.net.rng), id(&mut town.net.rng));
            town.net.inject(from, to, query(sender, Method::Ping), SECOND * n / 20);
        }
        town.run(HOUR);
        let tables = town.net.tables(victim);
        let left = tables[0].nodes.iter().find(|entry| entry.node.address == address);
        assert!(left.is_none_or(|entry| entry.state != bip::dht::NodeState::Good), "{left:?}");
    });
}

#[test]
fn what_is_put_at_a_wrong_token_or_another_address_is_not_kept() {
    let mut town = Town::new(5, Link::default());
    town.grow(20, MINUTE).run(MINUTE);
    let (victim, info_hash) = (town.people[3], hash(&mut town.net.rng));
    let to = town.net.seats[victim].addresses[0];
    for n in 0..40 {
        let announce =
            bip::proto::krpc::AnnouncePeer { info_hash, port: 5, implied_port: false, seed: false, token: &[n; 8] };
        let sender = v4(&mut town.net.rng);
        let bytes = query(id(&mut town.net.rng), Method::AnnouncePeer(announce));
        town.net.inject(sender, to, bytes, SECOND * n.into());
    }
    town.run(MINUTE);
    let status = town.net.status(victim);
    assert_eq!((status.stored_peers, status.traffic.errors_out), (0, 40));
    let request =
        town.net.ask(victim, |request| Command::GetPeers { request, info_hash, no_seeds: false, scrape: true });
    assert!(matches!(town.net.wait(victim, request, MINUTE), Some(Event::PeersDone { .. })));
}
