//! Whom a swarm knows, dials and keeps.

use super::store::geometry;
use super::world::{Listener, TORRENT, World, handshake, seconds};
use bip::peer::{Command, Config, Event, Gone, Limits, Refusal, Source};
use bip::proto::message::Message;
use bip::proto::priority::priority;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

fn outside(n: u8) -> SocketAddr {
    SocketAddr::from(([20 + n, 33, n, n.wrapping_mul(7)], 6881))
}

fn name(world: &mut World, n: usize, address: SocketAddr, source: Source) {
    world.command(n, Command::AddPeer { torrent: TORRENT, address, source });
}

#[test]
fn of_more_peers_than_may_be_dialled_those_come_first_that_the_program_named_then_by_priority() {
    let mut world = World::new(1);
    let us = Ipv4Addr::new(123, 213, 32, 10);
    let limits = Limits { max_dials: 1, ..Limits::default() };
    let config = Config { limits, external_v4: Some(us), dial_timeout: seconds(1), ..Config::default() };
    let b = world.leech(config, geometry(3));
    let mut expected: Vec<SocketAddr> = (1..=20).map(outside).collect();
    // The first is dialled before there is another.
    for address in [outside(0)].iter().chain(&expected) {
        world.listeners.insert(*address, Listener::Silent);
        name(&mut world, b, *address, Source::Tracker);
    }
    world.listeners.insert(outside(99), Listener::Silent);
    name(&mut world, b, outside(99), Source::Program);
    expected.sort_by_key(|address| std::cmp::Reverse(priority(SocketAddr::from((us, 0)), *address)));
    expected.splice(0..0, [outside(0), outside(99)]);
    assert!(world.run_until(seconds(60), |w| w.nodes[b].dials.len() >= 30));
    let mut order = Vec::new();
    // What the program named is tried again between the others.
    for address in &world.nodes[b].dials {
        if !order.contains(address) {
            order.push(*address);
        }
    }
    assert_eq!(order, expected);
}

#[test]
fn an_address_that_never_answers_is_forgotten_after_as_many_tries_as_configured_unless_the_program_named_it() {
    let mut world = World::new(1);
    let b = world.leech(Config { max_failures: 3, ..Config::default() }, geometry(3));
    name(&mut world, b, outside(1), Source::PeerExchange);
    name(&mut world, b, outside(2), Source::Program);
    world.run(seconds(3600));
    let tries = |n| world.nodes[b].dials.iter().filter(|to| **to == outside(n)).count();
    assert_eq!(tries(1), 3);
    assert!(tries(2) > 9, "{}", tries(2));
    assert_eq!(world.nodes[b].status().known, 1);
}

#[test]
fn a_flood_of_named_peers_is_bounded_and_pushes_out_nobody_who_is_connected_or_was_named_by_the_program() {
    let mut world = World::new(1);
    let shape = geometry(3);
    let (seed, b) =
        (world.seed(Config::default(), shape), world.leech(Config { max_known_peers: 50, ..Config::default() }, shape));
    world.nodes[seed].store.frozen = true;
    let connected = world.nodes[seed].address;
    name(&mut world, b, connected, Source::PeerExchange);
    world.run(seconds(1));
    assert_eq!(world.nodes[b].connected(), 1);
    world.listeners.insert(outside(1), Listener::Silent);
    name(&mut world, b, outside(1), Source::Program);
    for n in 0..10_000u32 {
        let [_, x, y, z] = n.to_be_bytes();
        name(&mut world, b, SocketAddr::from(([30 + x, y, z, 1], 1)), Source::PeerExchange);
    }
    world.run(seconds(2));
    let status = world.nodes[b].status();
    assert!(status.known + status.connecting + status.peers <= 50, "{status:?}");
    world.nodes[seed].store.frozen = false;
    assert!(world.run_until(seconds(60), |w| w.nodes[b].is_complete()));
    world.nodes[b].dials.clear();
    world.run(seconds(400));
    assert!(world.nodes[b].dials.contains(&outside(1)));
}

#[test]
fn where_all_that_is_known_was_named_by_the_program_another_is_refused() {
    let mut world = World::new(1);
    let limits = Limits { max_dials: 0, ..Limits::default() };
    let b = world.leech(Config { max_known_peers: 2, limits, ..Config::default() }, geometry(3));
    [1, 2, 3].into_iter().for_each(|n| name(&mut world, b, outside(n), Source::Program));
    let refused = Event::Refused { torrent: TORRENT, refusal: Refusal::Full };
    assert_eq!(world.nodes[b].events.iter().filter(|e| **e == refused).count(), 1);
}

#[test]
fn one_host_has_one_connection_to_a_torrent_whatever_its_ports_and_peer_ids() {
    for most in [0, 1, 3] {
        let mut world = World::new(1);
        let b = world.leech(Config { max_connections_per_ip: most, ..Config::default() }, geometry(3));
        let raws: Vec<usize> =
            (1..=9).map(|n| world.shaken_from(b, n, SocketAddr::from(([20, 1, 1, 1], 1000 + u16::from(n))))).collect();
        let other = world.shaken_from(b, 10, SocketAddr::from(([20, 1, 1, 2], 1)));
        world.run(seconds(1));
        let open = raws.iter().filter(|raw| !world.is_closed(**raw)).count();
        assert_eq!((open, world.is_closed(other)), (most.max(1), false));
        // A place that is free is given again.
        raws.iter().for_each(|raw| world.hang_up(*raw));
        world.run(seconds(1));
        let again = world.shaken_from(b, 11, SocketAddr::from(([20, 1, 1, 1], 5)));
        world.run(seconds(1));
        assert!(!world.is_closed(again));
    }
}

#[test]
fn on_loopback_any_number_of_peers_share_the_address() {
    let mut world = World::new(1);
    let b = world.leech(Config::default(), geometry(3));
    for n in 1..=9 {
        world.shaken_from(b, n, SocketAddr::from(([127, 0, 0, 1], 1000 + u16::from(n))));
    }
    world.run(seconds(1));
    assert_eq!(world.nodes[b].connections(), 9);
}

#[test]
fn whoever_repeats_a_peer_id_keeps_its_owner_out_no_longer() {
    let mut world = World::new(1);
    let b = world.leech(Config::default(), geometry(3));
    let thief = world.shaken_from(b, 7, SocketAddr::from(([20, 1, 1, 1], 1)));
    world.run(seconds(1));
    let owner = world.shaken_from(b, 7, SocketAddr::from(([20, 1, 1, 2], 1)));
    // By its other family, a peer is the same.
    let twice = world.shaken_from(b, 7, "[2001:db8::7]:1".parse().unwrap());
    world.run(seconds(1));
    assert_eq!([thief, owner, twice].map(|raw| world.is_closed(raw)), [false, false, true]);
    assert_eq!(world.nodes[b].gone(), []);
    world.hang_up(thief);
    world.run(seconds(1));
    let again = world.shaken_from(b, 7, SocketAddr::from(([20, 1, 1, 2], 9)));
    world.run(seconds(1));
    assert_eq!([owner, again].map(|raw| world.is_closed(raw)), [false, true]);
}

/// Fills a seed's places for those who come in with idle but interested peers; gives the world, the seed, and them.
fn full_seed() -> (World, usize, Vec<(SocketAddr, usize)>) {
    let mut world = World::new(1);
    let limits = Limits { max_connections: 10, ..Limits::default() };
    let config = Config { limits, inbound_percent: 100, idle_inbound: seconds(20), ..Config::default() };
    let a = world.seed(config, geometry(3));
    let peers = (1..=10).map(|n| (outside(n), world.shaken_from(a, n, outside(n)))).collect::<Vec<_>>();
    peers.iter().for_each(|(_, raw)| world.send(*raw, &[Message::Interested]));
    world.run(seconds(1));
    assert_eq!(world.nodes[a].connections(), 10);
    (world, a, peers)
}

#[test]
fn a_full_swarm_lets_a_newcomer_in_for_the_peer_of_the_lowest_priority_and_nobody_for_a_higher() {
    let (mut world, a, mut peers) = full_seed();
    let us = world.nodes[a].address;
    peers.sort_by_key(|(address, _)| priority(us, *address));
    let (lowest, highest) = (peers[0], peers[9]);
    let candidates = (11..=200).map(outside);
    let (mut better, mut worse): (Vec<_>, Vec<_>) =
        candidates.partition(|n| priority(us, *n) > priority(us, highest.0));
    worse.retain(|n| priority(us, *n) < priority(us, lowest.0));
    let (better, worse) = (better.pop().unwrap(), worse.pop().unwrap());
    // Nobody goes who has only just come.
    let early = world.shaken_from(a, 50, better);
    world.run(seconds(1));
    assert!(world.is_closed(early));
    world.run(seconds(20));
    let low = world.shaken_from(a, 51, worse);
    world.run(seconds(1));
    assert!(world.is_closed(low) && peers.iter().all(|(_, raw)| !world.is_closed(*raw)));
    let high = world.shaken_from(a, 52, better);
    world.send(high, &[Message::Interested]);
    world.run(seconds(1));
    assert_eq!((world.is_closed(high), world.is_closed(lowest.1)), (false, true));
    assert!(peers[1..].iter().all(|(_, raw)| !world.is_closed(*raw)));
    assert_eq!(world.nodes[a].gone(), [Gone::Full]);
    // It does not push out the one that took its place when it comes back.
    world.run(seconds(21));
    let back = world.shaken_from(a, 53, lowest.0);
    world.run(seconds(1));
    assert!(world.is_closed(back) && !world.is_closed(high));
}

#[test]
fn of_ten_thousand_addresses_each_is_dialled_before_any_is_again() {
    let mut world = World::new(1);
    let limits = Limits { max_dials: 200, dials_per_second: 100_000, ..Limits::default() };
    let config = Config { max_known_peers: 10_000, limits, redial_first: seconds(100), ..Config::default() };
    let b = world.leech(config, geometry(3));
    for n in 0..10_000u32 {
        let [_, _, y, z] = n.to_be_bytes();
        // Nobody listens there: each fails at once.
        name(&mut world, b, SocketAddr::from(([30, y, z, 1], 1)), Source::Tracker);
    }
    assert!(world.run_until(seconds(30), |w| w.nodes[b].dials.len() >= 10_000));
    let different: BTreeSet<_> = world.nodes[b].dials[..10_000].iter().collect();
    assert_eq!(different.len(), 10_000);
}

#[test]
fn one_line_has_a_few_connections_to_a_torrent_whatever_addresses_of_its_64_it_uses_and_an_address_has_one() {
    let mut world = World::new(1);
    let limits = Limits { max_connections_per_network: 3, ..Limits::default() };
    let b = world.leech(Config { limits, ..Config::default() }, geometry(3));
    let from = |world: &mut World, id, ip: &str| world.shaken_from(b, id, format!("[{ip}]:5000").parse().unwrap());
    let twice = [40, 41].map(|id| from(&mut world, id, "2001:db8:0:9::1"));
    let line: Vec<usize> = (1..=9).map(|n| from(&mut world, n, &format!("2001:db8:0:1:{n}::{n}"))).collect();
    // The next line, and hosts in networks that nobody reaches from outside, or behind one translator.
    let others =
        ["2001:db8:0:2::1", "fd00::1", "fd00::2", "fe80::1", "fe80::2", "64:ff9b::1.2.3.4", "64:ff9b::1.2.3.5"];
    let others: Vec<usize> = (10..).zip(others).map(|(id, ip)| from(&mut world, id, ip)).collect();
    world.run(seconds(1));
    assert_eq!(line.iter().filter(|raw| !world.is_closed(**raw)).count(), 3);
    assert!(others.iter().all(|raw| !world.is_closed(*raw)));
    assert_eq!(twice.map(|raw| world.is_closed(raw)), [false, true]);
    line.iter().for_each(|raw| world.hang_up(*raw));
    world.run(seconds(1));
    let again = from(&mut world, 30, "2001:db8:0:1::9");
    world.run(seconds(1));
    assert!(!world.is_closed(again));
}

#[test]
fn of_a_pair_that_crossed_by_two_addresses_of_a_64_both_sides_keep_the_same() {
    for (id, keeps_ours) in [(1, true), (0xff, false)] {
        let mut world = World::new(1);
        let b = world.leech(Config::default(), geometry(3));
        let address = "[2001:db8:0:1::1]:6881".parse().unwrap();
        world.listeners.insert(address, Listener::Raw);
        name(&mut world, b, address, Source::Tracker);
        world.run(seconds(1));
        let ours = *world.raws.keys().next_back().unwrap();
        let theirs = world.connect_from(b, "[2001:db8:0:1:dead::2]:5000".parse().unwrap());
        [ours, theirs].iter().for_each(|raw| world.write(*raw, &handshake(id)));
        world.run(seconds(1));
        assert_eq!((world.is_closed(ours), world.is_closed(theirs)), (!keeps_ours, keeps_ours), "{id}");
    }
}

#[test]
fn an_address_whose_host_or_network_is_full_is_dialled_when_it_is_not_and_never_in_vain() {
    let hosts = [["20.1.1.1:1", "20.1.1.1:2"], ["[2001:db8::1]:1", "[2001:db8::2]:1"]];
    for addresses in hosts.map(|pair| pair.map(|address| address.parse::<SocketAddr>().unwrap())) {
        let mut world = World::new(1);
        let limits = Limits { max_connections_per_network: 1, ..Limits::default() };
        let b = world.leech(Config { limits, ..Config::default() }, geometry(3));
        world.listeners.extend(addresses.map(|address| (address, Listener::Raw)));
        name(&mut world, b, addresses[0], Source::Tracker);
        world.run(seconds(1));
        let first = *world.raws.keys().next_back().unwrap();
        name(&mut world, b, addresses[1], Source::Tracker);
        world.run(seconds(1));
        world.write(first, &handshake(1));
        world.run(seconds(1));
        // For longer than any pause; the peer keeps its connection alive.
        for _ in 0..8 {
            world.run(seconds(60));
            world.send(first, &[Message::KeepAlive]);
        }
        assert_eq!((world.nodes[b].dials.len(), world.nodes[b].connected()), (1, 1));
        world.hang_up(first);
        world.run(seconds(1));
        assert_eq!(world.nodes[b].dials[1..], [addresses[1]]);
    }
}

#[test]
fn a_higher_limit_of_a_network_lets_those_be_dialled_that_waited() {
    let mut world = World::new(1);
    let set = |most| Limits { max_connections_per_network: most, ..Limits::default() };
    let b = world.leech(Config { limits: set(0), ..Config::default() }, geometry(3));
    for n in 1..=9 {
        let address = format!("[2001:db8::{n}]:1").parse().unwrap();
        world.listeners.insert(address, Listener::Raw);
        name(&mut world, b, address, Source::Tracker);
        world.run(seconds(1) / 10);
    }
    assert_eq!(world.nodes[b].dials.len(), 1);
    world.command(b, Command::SetLimits { limits: set(5) });
    world.run(seconds(1));
    assert!(world.nodes[b].dials.len() >= 5);
}

#[test]
fn who_was_dialled_while_another_of_its_host_took_the_place_waits_for_it_and_not_for_a_pause() {
    let mut world = World::new(1);
    let b = world.leech(Config::default(), geometry(3));
    let addresses = [1, 2].map(|port| SocketAddr::from(([20, 1, 1, 1], port)));
    for address in addresses {
        world.listeners.insert(address, Listener::Raw);
        name(&mut world, b, address, Source::Tracker);
    }
    world.run(seconds(1));
    assert_eq!(world.nodes[b].dials, addresses);
    let raws: Vec<usize> = world.raws.keys().copied().collect();
    (1..).zip(&raws).for_each(|(id, raw)| world.write(*raw, &handshake(id)));
    world.run(seconds(1));
    let (closed, open): (Vec<usize>, Vec<usize>) = raws.into_iter().partition(|raw| world.is_closed(*raw));
    assert_eq!((closed.len(), open.len()), (1, 1));
    // The other one is dialled again after a second at the soonest.
    world.hang_up(open[0]);
    world.run(seconds(1) / 2);
    assert_eq!(world.nodes[b].dials.len(), 3);
}
