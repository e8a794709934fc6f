//! Which nodes count: few of a host or a network, and those whose ids go with their addresses.

use super::graph::{id_near, random_address, random_id};
use super::*;
use crate::machine::Rng;

#[test]
fn one_node_of_an_address_and_two_of_a_network_are_candidates() {
    let at = |n: u8, address: &str| Node { address: address.parse().unwrap(), ..node(n) };
    let public = [
        at(1, "9.1.1.1:1"),
        at(2, "9.1.1.1:2"),
        at(3, "9.1.1.2:1"),
        at(4, "9.1.1.3:1"),
        at(5, "[2a00:1:2:3::1]:1"),
        at(6, "[2a00:1:2:3:4::1]:1"),
        at(7, "[2a00:1:2:3:5::1]:1"),
        at(8, "[2a00:1:2:4::1]:1"),
    ];
    let local = (1..=8).map(|n| at(n, &format!("127.0.0.1:{n}")));
    let count = |nodes: &mut dyn Iterator<Item = Node>, rules: Rules| {
        let mut lookup = Lookup::new(TARGET, OWN, Rules { alpha: 100, ..rules });
        nodes.for_each(|node| lookup.add(node));
        asked(&mut lookup).len()
    };
    assert_eq!(count(&mut public.into_iter(), any_id()), 5);
    assert_eq!(count(&mut local.into_iter(), any_id()), 8);
    let free = Rules { one_per_ip: false, per_subnet: usize::MAX, ..any_id() };
    assert_eq!(count(&mut public.into_iter(), free), 8);
}

#[test]
fn the_place_of_one_that_failed_is_free_for_another_of_its_network() {
    let at = |n: u8, port: u16| Node { address: SocketAddr::new([9, 1, 1, 1].into(), port), ..node(n) };
    let mut lookup = lookup(any_id(), [200]);
    lookup.add(at(1, 1));
    asked(&mut lookup);
    lookup.on_failure(at(1, 1).address);
    lookup.on_reply(&node(200), None, [at(1, 1), at(2, 2)].into_iter());
    assert_eq!(asked(&mut lookup), [at(2, 2).address]);
}

/// A node whose id goes with its address, at some distance; and one whose id does not.
fn with_id(rng: &mut Rng) -> Node {
    let address = random_address(rng);
    Node { id: node_id::for_address(address.ip(), 1, random_id(rng).0), address }
}

#[test]
fn nodes_with_ids_that_do_not_go_with_their_addresses_are_asked_last_and_neither_waited_for_nor_stored_with() {
    let mut rng = Rng::new(3);
    let good: Vec<Node> = (0..4).map(|_| with_id(&mut rng)).collect();
    let target = good[0].id;
    let mut lookup = Lookup::new(target, OWN, Rules { want: 2, ..Rules::default() });
    let near = |rng: &mut Rng| Node { id: id_near(target, 40, rng), address: random_address(rng) };
    let bad: Vec<Node> = (0..50).map(|_| near(&mut rng)).collect();
    bad.iter().for_each(|node| lookup.add(*node));
    lookup.add(good[1]);
    lookup.add(good[2]);
    let first = asked(&mut lookup);
    let good_first = first.iter().take(2).all(|to| good.iter().any(|node| node.address == *to));
    assert!(good_first && first.len() == 4, "{first:?}");
    // One of them knows the nearest of all; its word is taken for that.
    let teller = bad.iter().find(|node| node.address == first[2]).unwrap();
    lookup.on_reply(teller, Some(b"x"), [good[0]].into_iter());
    assert_eq!(asked(&mut lookup).first(), Some(&good[0].address));
    for node in &good[..3] {
        lookup.on_reply(node, Some(b"x"), std::iter::empty());
    }
    assert!(lookup.is_done());
    assert!(lookup.closest().all(|answered| good.contains(&answered.node)) && lookup.closest().count() == 2);
    // Where they are all there is, few are asked, and the lookup ends with nothing.
    let mut lookup = Lookup::new(target, OWN, Rules { want: 2, ..Rules::default() });
    bad.iter().for_each(|node| lookup.add(*node));
    while let Some(ask) = lookup.next() {
        let from = Node { id: ask.id.unwrap(), address: ask.to };
        lookup.on_reply(&from, None, bad.iter().copied());
    }
    assert_eq!((lookup.is_done(), lookup.closest().count(), lookup.stats().asked), (true, 0, 4));
}

#[test]
fn a_node_whose_id_does_not_go_with_its_address_and_that_is_far_away_is_not_asked() {
    let mut rng = Rng::new(4);
    let good: Vec<Node> = (0..2).map(|_| with_id(&mut rng)).collect();
    let target = good[0].id;
    let far = |bits, rng: &mut Rng| Node { id: id_near(target, bits, rng), address: random_address(rng) };
    let mut lookup = Lookup::new(target, OWN, Rules { want: 1, ..Rules::default() });
    [good[0], good[1], far(3, &mut rng)].into_iter().for_each(|node| lookup.add(node));
    assert_eq!(asked(&mut lookup), [good[0].address]);
    lookup.on_failure(good[0].address);
    // Until nothing better is left.
    assert_eq!(asked(&mut lookup).first(), Some(&good[1].address));
    lookup.on_failure(good[1].address);
    asked(&mut lookup);
    assert_eq!((lookup.stats().asked, lookup.is_done()), (3, false));
}
