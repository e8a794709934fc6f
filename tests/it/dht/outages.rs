//! What is not there for a time, or comes late.

use super::net::Net;
use super::seat::Link;
use super::town::{HOUR, MINUTE, ROUTER, SECOND, Town, config, hash, id, v4, v6};
use super::with_seeds;
use bip::dht::{Command, Config, Event};
use bip::machine::Instant;
use std::time::Duration;

fn bootstrapped(town: &mut Town, place: usize, limit: Duration) -> Option<usize> {
    let request = town.net.ask(place, |request| Command::Bootstrapped { request });
    match town.net.wait(place, request, limit) {
        Some(Event::Bootstrapped { nodes, .. }) => Some(nodes),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn halves_of_a_parted_network_find_each_other_again() {
    with_seeds("halves_of_a_parted", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.grow(60, MINUTE).run(2 * MINUTE);
        for place in town.people.clone() {
            town.net.seats[place].half = place % 2 == 0;
        }
        town.net.parted = true;
        town.run(HOUR);
        let there = |town: &Town, half| *town.people.iter().find(|place| town.net.seats[**place].half == half).unwrap();
        let (one, other) = (there(&town, false), there(&town, true));
        let during = hash(&mut town.net.rng);
        assert!(town.announce(one, during, 1) > 0 && town.announce(other, during, 2) > 0);
        assert!(town.peers(town.people[58], during).peers.len() == 1, "each half is a network");

        town.net.parted = false;
        town.run(40 * MINUTE);
        let after = hash(&mut town.net.rng);
        assert!(town.announce(one, after, 3) >= 8 && town.announce(other, after, 4) >= 8);
        for place in town.people.clone() {
            let (a, b) = (town.ip(one), town.ip(other));
            let search = town.peers(place, after);
            assert!(search.has(a, 3) && search.has(b, 4), "node {place}: {search:?}");
        }
        town.net.check();
    });
}

#[test]
fn without_routers_those_who_know_each_other_and_those_who_saved_go_on() {
    with_seeds("without_routers_those_who_know", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        let early = (0..3).map(|_| town.come()).collect::<Vec<_>>();
        early.iter().for_each(|place| town.net.keep_states(*place));
        for place in &early {
            town.net.start(*place);
        }
        town.grow(60, MINUTE).run(20 * MINUTE);
        for router in town.routers.clone() {
            town.net.remove(router);
        }
        town.net.kill(early[0]);
        town.run(3 * HOUR);
        // Who comes back knows whom it knew; its address may be another.
        let address = v4(&mut town.net.rng);
        town.net.move_to(early[0], &[address]);
        town.net.start(early[0]);
        assert!(bootstrapped(&mut town, early[0], MINUTE).is_some_and(|nodes| nodes > 0));
        town.run(2 * MINUTE);
        let info_hash = hash(&mut town.net.rng);
        assert!(town.announce(early[0], info_hash, 7) >= 8);
        let place = town.people[50];
        assert!(town.peers(place, info_hash).has(address.ip(), 7));
        // Who knows nobody finds nobody, says so, and does not ask without end.
        let stranger = town.come();
        town.run(2 * MINUTE);
        assert_eq!(town.known(stranger), 0);
        assert!(town.peers(stranger, info_hash).peers.is_empty());
        let calls = town.net.seats[stranger].calls;
        town.run(HOUR);
        assert!(town.net.seats[stranger].calls - calls < 800, "{}", town.net.seats[stranger].calls - calls);
        // Until it is told of one.
        let address = town.net.seats[place].addresses[0];
        town.net.command(stranger, Command::AddNode { address });
        town.run(MINUTE);
        assert!(town.known(stranger) >= 8, "{}", town.known(stranger));
        assert!(town.announce(early[0], info_hash, 7) >= 8);
        assert!(town.peers(stranger, info_hash).has(town.ip(early[0]), 7));
        town.net.check();
    });
}

#[test]
fn a_router_that_comes_late_is_found() {
    with_seeds("a_router_that_comes_late", 5, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.routers.clone().into_iter().for_each(|router| town.net.kill(router));
        town.grow(10, SECOND).run(30 * MINUTE);
        // It is hopeless, but a search does not hang.
        let (place, info_hash) = (town.people[3], hash(&mut town.net.rng));
        let began = town.net.now();
        assert!(town.peers(place, info_hash).peers.is_empty());
        assert!(town.net.now().since(began) < 10 * SECOND, "{:?}", town.net.now().since(began));
        town.routers.clone().into_iter().for_each(|router| town.net.start(router));
        town.run(7 * MINUTE);
        for place in town.people.clone() {
            assert!(town.known(place) >= 7, "node {place} knows {}", town.known(place));
        }
        assert!(town.announce(place, info_hash, 9) >= 8);
        let other = town.people[7];
        assert!(town.peers(other, info_hash).has(town.ip(place), 9));
    });
}

#[test]
fn names_that_are_not_resolved_yet_are_asked_for_again() {
    let mut town = Town::new(1, Link::default());
    town.grow(20, MINUTE);
    let known = town.net.names.remove(ROUTER).unwrap();
    let place = town.come();
    assert_eq!(bootstrapped(&mut town, place, MINUTE), None);
    town.net.names.insert(ROUTER.into(), known);
    assert!(bootstrapped(&mut town, place, 3 * MINUTE).is_some_and(|nodes| nodes > 0));
}

#[test]
fn two_nodes_that_have_only_each_other_find_each_other_again() {
    with_seeds("two_nodes_that_have_only", 10, |seed| {
        for gap in [MINUTE, 30 * MINUTE, 20 * HOUR] {
            let mut net = Net::new(seed, Link { loss: 10 * (seed % 3) as u32, ..Link::default() });
            let addresses = [v4(&mut net.rng), v4(&mut net.rng)];
            let alone = Config { routers: Vec::new(), ..Config::default() };
            let first = net.add(alone.clone(), &addresses[..1]);
            let second = net.add(Config { routers: vec![addresses[0].into()], ..alone }, &addresses[1..]);
            net.run(MINUTE);
            let mut town = Town::of(net, vec![first, second]);
            assert_eq!((town.known(first), town.known(second)), (1, 1));
            // Nobody is told that there is no network.
            town.net.seats[second].half = true;
            town.net.parted = true;
            town.run(gap);
            town.peers(first, hash(&mut town.net.rng.clone()));
            town.peers(first, hash(&mut town.net.rng.clone()));
            town.net.parted = false;
            town.run(7 * MINUTE);
            let info_hash = hash(&mut town.net.rng);
            // One datagram in a hundred may be lost.
            let stored = (0..3).map(|_| town.announce(first, info_hash, 5)).max();
            assert_eq!(stored, Some(1), "after {gap:?}");
            let found = (0..3).any(|_| {
                town.peers(second, info_hash).peers.len() == 1 || {
                    // It keeps the peer itself, and does not ask itself: the first has it from nobody.
                    town.net.status(second).stored_peers == 1
                }
            });
            assert!(found, "after {gap:?}");
            town.net.check();
        }
    });
}

#[test]
fn whoever_lost_most_of_its_nodes_at_once_goes_on() {
    with_seeds("whoever_lost_most", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.grow(100, MINUTE).run(2 * MINUTE);
        for _ in 0..70 {
            let place = town.people.remove(0);
            town.net.remove(place);
        }
        let info_hash = hash(&mut town.net.rng);
        let place = town.people[0];
        town.announce(place, info_hash, 3);
        town.run(HOUR);
        let place = town.people[1];
        assert!(town.announce(place, info_hash, 4) >= 8);
        for other in town.people.clone() {
            assert!(town.peers(other, info_hash).has(town.ip(place), 4));
        }
        town.net.check();
    });
}

#[test]
fn a_clock_that_jumps_does_no_harm() {
    with_seeds("a_clock_that_jumps", 4, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.net.watch.answers = true;
        town.grow(40, MINUTE).run(2 * MINUTE);
        for by in [6 * SECOND, 20 * MINUTE, 5 * HOUR, 72 * HOUR, 400 * 24 * HOUR] {
            let place = town.anybody();
            let info_hash = hash(&mut town.net.rng);
            let search = town.search(place, info_hash);
            town.net.run(SECOND / 20);
            // In the middle of a search.
            town.net.put_forward(place, by);
            let ended = town.net.wait(place, search, MINUTE);
            assert!(ended.is_some(), "a search ends whatever the clock does");
            town.run(2 * MINUTE);
            assert!(town.announce(place, info_hash, 5) >= 8, "after {by:?}");
            let other = town.people[0];
            let search = town.peers(other, info_hash);
            assert!(search.has(town.ip(place), 5), "after {by:?}: {search:?}");
        }
        town.net.check();
    });
}

#[test]
fn a_year_alone_costs_little() {
    // Nobody ever answers; nobody is there; and the first of its network.
    let mut net = Net::new(1, Link::default());
    let addresses = [v4(&mut net.rng), v4(&mut net.rng), v4(&mut net.rng)];
    net.names.insert(ROUTER.into(), vec![v4(&mut net.rng)]);
    let dead = net.add(config(), &addresses[..1]);
    let lone = net.add(Config { routers: Vec::new(), ..Config::default() }, &addresses[1..2]);
    net.run(365 * 24 * HOUR);
    assert!(net.seats[lone].calls <= 3, "{}", net.seats[lone].calls);
    // An attempt each five minutes at least: 105,120, each of which asks, waits twice, and tells of it.
    assert!(net.seats[dead].calls < 8 * 106_000, "{}", net.seats[dead].calls);
    assert!(net.watch.queries < 106_000, "{}", net.watch.queries);
    assert!(net.seats[dead].events.is_empty());
}

#[test]
fn a_month_of_a_small_network_costs_little_and_all_are_there() {
    let mut town = Town::new(2, Link { loss: 10, ..Link::default() });
    town.grow(6, MINUTE).run(MINUTE);
    let calls = |town: &Town| town.people.iter().map(|place| town.net.seats[*place].calls).sum::<u64>();
    let (before, sent) = (calls(&town), town.net.watch.queries);
    town.run(30 * 24 * HOUR);
    let minutes = 30 * 24 * 60 * 6;
    let (calls, sent) =
        ((calls(&town) - before) as f64 / minutes as f64, (town.net.watch.queries - sent) as f64 / minutes as f64);
    println!("a node of six is called {calls:.2} times a minute, and {sent:.2} queries a minute are sent for each");
    assert!(sent < 4.0 && calls < 20.0);
    for place in town.people.clone() {
        assert!(town.known(place) >= 5, "{}", town.known(place));
    }
    town.net.check();
}

#[test]
fn a_node_with_both_families_in_a_network_of_one_does_not_wait_for_the_other() {
    with_seeds("a_node_with_both_families_in", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.grow(40, MINUTE).run(2 * MINUTE);
        town.dual = true;
        let place = town.come();
        let began = town.net.now();
        assert!(bootstrapped(&mut town, place, MINUTE).is_some());
        assert!(town.net.now().since(began) < 10 * SECOND);
        for pause in [SECOND, 20 * SECOND, 10 * MINUTE] {
            town.run(pause);
            let (info_hash, began) = (hash(&mut town.net.rng), town.net.now());
            assert!(town.announce(place, info_hash, 2) >= 8);
            assert!(town.net.now().since(began) < 10 * SECOND, "{:?}", town.net.now().since(began));
        }
    });
}

#[test]
fn requests_before_the_first_nodes_are_found_wait_for_them() {
    with_seeds("requests_before_the_first_nodes", 5, |seed| {
        // A slow line: an answer takes up to a second and a half.
        let delay = (Duration::from_millis(300), Duration::from_millis(700));
        let mut town = Town::new(seed, Link { delay, ..Link::default() });
        town.grow(40, MINUTE).run(2 * MINUTE);
        let (first, info_hash) = (town.people[0], hash(&mut town.net.rng));
        assert!(town.announce(first, info_hash, 2) >= 6);
        let place = town.come();
        let search = town.peers(place, info_hash);
        assert!(search.has(town.ip(first), 2), "{search:?}");
        let target = id(&mut town.net.rng);
        assert!(town.find(place, target).0.len() >= 8);
    });
}

#[test]
fn every_request_is_answered_when_the_node_is_shut_down() {
    let mut town = Town::new(3, Link::default());
    town.grow(20, MINUTE);
    let place = town.people[0];
    town.net.keep_states(place);
    town.net.start(place);
    let waits = town.net.ask(place, |request| Command::Bootstrapped { request });
    let held = town.search(place, hash(&mut town.net.rng.clone()));
    town.net.run(SECOND / 50);
    let runs = town.search(place, hash(&mut town.net.rng.clone()));
    town.net.command(place, Command::ShutDown);
    town.net.run(SECOND);
    for request in [waits, held, runs] {
        let answers = town.net.seats[place].events.iter();
        let answers = answers.filter(|(_, event)| event.is_terminal() && event.request() == Some(request)).count();
        assert_eq!(answers, 1);
    }
    assert_eq!(town.net.seats[place].events.last().map(|(_, event)| event.clone()), Some(Event::ShutDown));
    let calls = town.net.seats[place].wakes;
    town.run(HOUR);
    assert_eq!(town.net.seats[place].wakes, calls, "it is over");
    assert!(town.net.now() > Instant::ZERO && v6(&mut town.net.rng).is_ipv6());
}
