//! Who is in a network, of which families, and how it is found.

use super::{HANG, first, hash, joined, loopback, node, silent};
use bip::dht::{NodeState, Router};
use bip::session::dht::{Dht, Error, Testnet};
use std::collections::BTreeSet;
use std::net::SocketAddr;

const LOOPBACK_6: &str = "[::1]:0";

#[test]
fn the_first_node_of_a_network_knows_that_it_is_and_others_find_it() {
    let first = first();
    assert_eq!(first.bootstrapped().wait(HANG).unwrap(), 0);
    assert_eq!(first.get_peers(hash(1)).count(), 0, "a lookup of nobody ends");
    assert_eq!(first.announce(hash(1), Some(1), false).wait(HANG).unwrap().nodes, 0);
    let second = node(first.addresses()[0]).spawn().unwrap();
    assert_eq!(second.bootstrapped().wait(HANG).unwrap(), 1);
}

#[test]
fn a_node_without_routers_finds_those_that_it_is_told_of() {
    let first = first();
    let other = Dht::builder().bind(loopback()).no_routers().spawn().unwrap();
    assert_eq!(other.bootstrapped().wait(HANG).unwrap(), 0);
    other.add_node(first.addresses()[0]);
    let begin = std::time::Instant::now();
    while other.table().wait(HANG).unwrap()[0].nodes.is_empty() {
        assert!(begin.elapsed() < HANG, "{:?}", other.status());
        std::thread::yield_now();
    }
    assert_eq!(other.announce(hash(1), Some(1), false).wait(HANG).unwrap().nodes, 1);
}

#[test]
fn a_router_may_be_a_name() {
    let first = first();
    let router: Router = format!("localhost:{}", first.addresses()[0].port()).parse().unwrap();
    let dht = Dht::builder().bind(loopback()).router(router).spawn().unwrap();
    assert_eq!(dht.bootstrapped().wait(HANG).unwrap(), 1);
}

#[test]
fn a_dead_router_does_not_keep_a_node_from_finding_others() {
    let (first, (_socket, dead)) = (first(), silent());
    let dht = node(dead).router(first.addresses()[0]).spawn().unwrap();
    assert_eq!(dht.bootstrapped().wait(HANG).unwrap(), 1);
}

#[test]
fn without_anybody_who_answers_every_lookup_ends() {
    let (_socket, dead) = silent();
    let dht = node(dead).spawn().unwrap();
    assert_eq!(dht.get_peers(hash(1)).count(), 0);
    let announced = dht.announce(hash(1), Some(1), false).wait(HANG).unwrap();
    assert_eq!((announced.nodes, announced.stats.answered), (0, 0));
    dht.network_changed();
    assert_eq!(dht.get_immutable(bip::proto::id::NodeId([9; 20])).wait(HANG).unwrap().item, None);
}

#[test]
fn a_network_over_ipv6_is_as_good() {
    let first = Dht::builder().bind(LOOPBACK_6.parse().unwrap()).spawn().unwrap();
    let second = Dht::builder().bind(LOOPBACK_6.parse().unwrap()).router(first.addresses()[0]).spawn().unwrap();
    assert_eq!(second.bootstrapped().wait(HANG).unwrap(), 1);
    assert_eq!(second.announce(hash(1), Some(6881), false).wait(HANG).unwrap().nodes, 1);
    assert_eq!(second.get_peers(hash(1)).collect::<Vec<_>>(), ["[::1]:6881".parse().unwrap()]);
    assert!(second.put_immutable(b"2:v6").wait(HANG).unwrap().nodes == 1);
}

#[test]
fn a_node_of_both_families_finds_peers_of_both_and_is_announced_in_both() {
    let both = || Dht::builder().bind(loopback()).bind(LOOPBACK_6.parse().unwrap());
    let first = both().spawn().unwrap();
    // It knows the IPv4 address only; the other one it is told (BEP 32).
    let second = both().router(first.addresses()[0]).router(first.addresses()[1]).spawn().unwrap();
    assert!(second.bootstrapped().wait(HANG).unwrap() >= 1);
    let announced = second.announce(hash(1), Some(6881), false).wait(HANG).unwrap();
    assert_eq!(announced.nodes, 2);
    let peers: BTreeSet<SocketAddr> = second.get_peers(hash(1)).collect();
    assert_eq!(peers, ["127.0.0.1:6881", "[::1]:6881"].map(|peer| peer.parse().unwrap()).into());
    let families: Vec<_> = second.status().sides.iter().map(|side| side.local.is_ipv4()).collect();
    assert_eq!(families, [true, false]);
}

#[test]
fn two_sockets_of_a_family_are_two_nodes_and_both_announce() {
    let network = Testnet::spawn(3).unwrap();
    let dht = node(network.bootstrap()).bind(loopback()).spawn().unwrap();
    dht.bootstrapped().wait(HANG).unwrap();
    let tables = dht.table().wait(HANG).unwrap();
    assert!(tables.len() == 2 && tables[0].id != tables[1].id);
    assert!(dht.announce(hash(1), None, false).wait(HANG).unwrap().nodes > 0);
    let peers: BTreeSet<SocketAddr> = dht.get_peers(hash(1)).collect();
    assert_eq!(peers, dht.addresses().iter().copied().collect());
}

#[test]
fn a_node_that_only_asks_is_in_nobodys_table() {
    let network = Testnet::spawn(3).unwrap();
    assert!(network.bootstrapped(HANG));
    let dht = node(network.bootstrap()).read_only().spawn().unwrap();
    dht.bootstrapped().wait(HANG).unwrap();
    dht.announce(hash(1), Some(1), false).wait(HANG).unwrap();
    let other = node(network.bootstrap()).spawn().unwrap();
    other.bootstrapped().wait(HANG).unwrap();
    let nodes = other.find_node(dht.status().sides[0].id).wait(HANG).unwrap();
    assert!(!nodes.is_empty() && nodes.iter().all(|node| !dht.addresses().contains(&node.address)), "{nodes:?}");
    assert_eq!(other.ping(dht.addresses()[0]).wait(HANG).unwrap(), None);
}

#[test]
fn a_table_and_a_status_tell_of_the_nodes_that_are_known() {
    let (network, dht) = joined(12);
    dht.find_node(dht.status().sides[0].id).wait(HANG).unwrap();
    let table = dht.table().wait(HANG).unwrap().remove(0);
    assert_eq!((table.local, table.id), (dht.addresses()[0], dht.status().sides[0].id));
    assert!(!table.nodes.is_empty());
    for entry in &table.nodes {
        assert!(network.addresses().contains(&entry.node.address) && entry.state == NodeState::Good, "{entry:?}");
    }
    let begin = std::time::Instant::now();
    while dht.status().sides[0].nodes == 0 || dht.status().traffic.replies_in == 0 {
        assert!(begin.elapsed() < HANG, "{:?}", dht.status());
        std::thread::yield_now();
    }
}

#[test]
fn a_port_that_is_taken_is_told_with_the_address() {
    let (_socket, taken) = silent();
    let error = Dht::builder().bind(taken).spawn().unwrap_err();
    assert!(matches!(&error, Error::Bind { address, .. } if *address == taken), "{error:?}");
    assert!(error.to_string().starts_with(&format!("binding to {taken}: ")));
    let error = Testnet::spawn_at(taken, 3).unwrap_err();
    assert!(matches!(error, Error::Bind { .. }), "{error:?}");
}

#[test]
fn a_network_for_development_has_as_many_nodes_as_asked_for_and_ends_when_dropped() {
    let network = Testnet::spawn(0).unwrap();
    assert!(network.addresses().len() == 1 && network.bootstrapped(HANG) && network.is_alive());
    let network = Testnet::spawn_at(LOOPBACK_6.parse().unwrap(), 30).unwrap();
    assert!(network.bootstrapped(HANG));
    let addresses = network.addresses().to_vec();
    assert!(addresses.len() == 30 && addresses[0] == network.bootstrap());
    drop(network);
    for address in addresses {
        std::net::UdpSocket::bind(address).unwrap();
    }
}

#[test]
fn as_soon_as_a_network_is_ready_everybody_finds_what_anybody_stored() {
    for round in 0..10 {
        let network = Testnet::spawn(20).unwrap();
        assert!(network.bootstrapped(HANG));
        let caller = || {
            let dht = node(network.bootstrap()).read_only().spawn().unwrap();
            dht.bootstrapped().wait(HANG).unwrap();
            dht
        };
        for port in [1, 2] {
            assert!(caller().announce(hash(round), Some(port), false).wait(HANG).unwrap().nodes > 0);
        }
        for _ in 0..3 {
            let peers: BTreeSet<u16> = caller().get_peers(hash(round)).map(|peer| peer.port()).collect();
            assert_eq!(peers, [1, 2].into(), "round {round}");
        }
    }
}
