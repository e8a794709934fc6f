//! Both families of addresses, several addresses, other addresses, and nodes that cannot be reached.

use super::seat::Link;
use super::town::{HOUR, MINUTE, SECOND, Town, config, hash, v4, v6};
use super::with_seeds;
use bip::dht::{Command, Config, Event};
use bip::proto::compact::Family;
use bip::proto::krpc::node_id;
use std::net::SocketAddr;

fn at(town: &Town, place: usize, family: Family) -> SocketAddr {
    let addresses = &town.net.seats[place].addresses;
    *addresses.iter().find(|address| Family::of(address.ip()) == family).unwrap()
}

#[test]
fn nodes_of_both_families_are_in_both_networks_and_announce_in_both() {
    with_seeds("nodes_of_both_families_are", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.net.watch.answers = true;
        // The routers have IPv4 alone: the other network is found by way of those who are in both (BEP 32), also when it comes late.
        town.dual = true;
        town.grow(40, MINUTE);
        town.dual = false;
        town.grow(20, MINUTE).run(20 * MINUTE);
        assert!((0..40).all(|n| town.net.tables(town.people[n])[1].nodes.is_empty()));
        let (one, address) = (town.people[0], at(&town, town.people[1], Family::V6));
        town.net.command(one, Command::AddNode { address });
        town.run(2 * HOUR);
        let both = town.people[..40].to_vec();
        for place in both {
            let tables = town.net.tables(place);
            for table in &tables {
                assert!(table.nodes.len() >= 8, "node {place} at {} knows {}", table.local, table.nodes.len());
                let family = Family::of(table.local.ip());
                assert!(table.nodes.iter().all(|entry| Family::of(entry.node.address.ip()) == family));
                // Both have ids that go with their addresses.
                let address = at(&town, place, family);
                assert!(node_id::is_valid_for(&table.id, address.ip()), "{} at {address}", table.id);
            }
        }
        let (place, other, v4_only) = (town.people[3], town.people[30], town.people[50]);
        let info_hash = hash(&mut town.net.rng);
        assert!(town.announce(place, info_hash, 7) >= 14);
        let search = town.peers(other, info_hash);
        assert!(search.has(at(&town, place, Family::V4).ip(), 7) && search.has(at(&town, place, Family::V6).ip(), 7));
        let search = town.peers(v4_only, info_hash);
        assert!(search.peers.len() == 1 && search.has(at(&town, place, Family::V4).ip(), 7), "{search:?}");
        town.net.check();
    });
}

#[test]
fn a_node_of_several_addresses_is_several_nodes_that_keep_apart() {
    with_seeds("a_node_of_several_addresses", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.net.watch.answers = true;
        town.grow(50, MINUTE).run(MINUTE);
        let addresses = [v4(&mut town.net.rng), v4(&mut town.net.rng), v4(&mut town.net.rng)];
        let place = town.net.add(config(), &addresses);
        town.run(5 * MINUTE);
        let tables = town.net.tables(place);
        assert_eq!(tables.len(), 3);
        for (table, address) in tables.iter().zip(addresses) {
            assert!(table.nodes.len() >= 8 && node_id::is_valid_for(&table.id, address.ip()), "{address}");
        }
        // Each announces itself.
        let info_hash = hash(&mut town.net.rng);
        assert!(town.announce(place, info_hash, 7) >= 22);
        let other = town.people[30];
        let search = town.peers(other, info_hash);
        assert!(addresses.iter().all(|address| search.has(address.ip(), 7)), "{search:?}");
        // And each is known to others by its own id.
        let mut known = [0; 3];
        for other in town.people.clone() {
            for entry in town.net.tables(other).into_iter().flat_map(|table| table.nodes) {
                if let Some(n) = addresses.iter().position(|address| *address == entry.node.address) {
                    // Some know it yet by the id that it had before it knew its address.
                    known[n] += u32::from(entry.node.id == tables[n].id);
                    assert!(tables.iter().enumerate().all(|(m, table)| m == n || entry.node.id != table.id));
                }
            }
        }
        assert!(known.iter().all(|known| *known >= 5), "{known:?}");
        town.net.check();
    });
}

#[test]
fn a_new_address_gives_a_new_id_and_the_node_is_found_again() {
    with_seeds("a_new_address_gives", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.grow(60, MINUTE).run(20 * MINUTE);
        let place = town.people[10];
        let before = town.net.node(place).unwrap().ids().next().unwrap();
        assert!(node_id::is_valid_for(&before, town.ip(place)));
        let address = v4(&mut town.net.rng);
        town.net.move_to(place, &[address]);
        // It asks as ever, and is told where it is seen; searches of the program make that sooner.
        for _ in 0..6 {
            let info_hash = hash(&mut town.net.rng);
            town.peers(place, info_hash);
            town.run(5 * MINUTE);
        }
        town.run(HOUR / 2);
        let status = town.net.status(place);
        let side = &status.sides[0];
        assert_eq!(side.external, Some(address.ip()));
        assert!(side.id != before && node_id::is_valid_for(&side.id, address.ip()));
        assert!(side.nodes >= 20, "{}", side.nodes);
        let id = side.id;
        // Whoever looks for the new id finds it, and nobody is told of the old one.
        let other = town.people[40];
        let (found, _) = town.find(other, id);
        assert!(found.iter().any(|node| node.id == id && node.address == address), "{found:?}");
        let (found, _) = town.find(other, before);
        assert!(found.iter().all(|node| node.id != before));
        let info_hash = hash(&mut town.net.rng);
        assert!(town.announce(place, info_hash, 4) >= 8);
        assert!(town.peers(other, info_hash).has(address.ip(), 4));
        town.net.check();
    });
}

#[test]
fn read_only_nodes_find_and_announce_and_are_in_nobodys_table() {
    with_seeds("read_only_nodes_find", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.grow(40, MINUTE);
        let quiet: Vec<_> = (0..10)
            .map(|_| {
                let address = v4(&mut town.net.rng);
                town.net.add(Config { read_only: true, ..config() }, &[address])
            })
            .collect();
        town.run(20 * MINUTE);
        let info_hash = hash(&mut town.net.rng);
        assert!(town.announce(quiet[0], info_hash, 3) >= 8);
        assert!(town.peers(quiet[1], info_hash).has(town.ip(quiet[0]), 3));
        town.run(HOUR / 2);
        let addresses: Vec<_> = quiet.iter().map(|place| town.net.seats[*place].addresses[0]).collect();
        for place in town.people.clone().into_iter().chain(quiet.clone()) {
            for entry in town.net.tables(place).into_iter().flat_map(|table| table.nodes) {
                assert!(!addresses.contains(&entry.node.address), "{place} has a read-only node");
            }
        }
        for place in quiet {
            let traffic = town.net.status(place).traffic;
            assert_eq!((traffic.replies_out, traffic.errors_out), (0, 0));
        }
    });
}

#[test]
fn nodes_behind_translators_find_and_announce_and_others_do_without_them() {
    with_seeds("nodes_behind_translators", 2, |seed| {
        let mut town = Town::new(seed, Link::default());
        for n in 0..60 {
            let place = town.come();
            if n % 2 == 1 {
                town.net.translate(place);
            }
            town.run(SECOND);
        }
        town.run(20 * MINUTE);
        let (hidden, open) = (town.people[21], town.people[22]);
        let info_hash = hash(&mut town.net.rng);
        // Some of the nearest that others know of cannot be reached.
        let stored = (town.announce(hidden, info_hash, 3), town.announce(open, info_hash, 4));
        println!("seed {seed}: stored {stored:?}");
        assert!(stored.0 >= 4 && stored.1 >= 4, "{stored:?}");
        let others = town.people.clone();
        for place in others.into_iter().step_by(7) {
            let search = town.peers(place, info_hash);
            assert!(search.has(town.ip(hidden), 3) && search.has(town.ip(open), 4), "node {place}: {search:?}");
            let took = search.stats.took;
            assert!(took < 5 * SECOND, "{took:?}");
        }
        town.net.check();
    });
}

#[test]
fn on_one_host_a_local_network_has_as_many_nodes_as_ports() {
    with_seeds("on_one_host", 2, |seed| {
        let mut net = super::net::Net::new(seed, Link::default());
        net.watch.answers = true;
        let address = |n: u16| SocketAddr::from(([127, 0, 0, 1], 20_000 + n));
        let local = Config { local_network: true, routers: vec![address(0).into()], ..Config::default() };
        let people: Vec<_> = (0..60)
            .map(|n| {
                let place = net.add(local.clone(), &[address(n)]);
                net.run(SECOND / 4);
                place
            })
            .collect();
        net.run(MINUTE);
        let mut town = Town::of(net, people);
        let info_hash = hash(&mut town.net.rng);
        let (place, other) = (town.people[9], town.people[50]);
        assert!(town.announce(place, info_hash, 3) >= 8);
        assert!(town.peers(other, info_hash).has(town.ip(place), 3));
        let request = town.net.ask(place, |request| Command::Ping { request, address: address(30) });
        assert!(matches!(town.net.wait(place, request, MINUTE), Some(Event::Pong { answer: Some(_), .. })));
        town.net.check();
        assert!(v6(&mut town.net.rng).is_ipv6());
    });
}
