mod answers;
mod counting;
mod graph;
mod networks;
mod random;

use super::*;
use graph::address;

const TARGET: NodeId = NodeId([0; 20]);
const OWN: NodeId = NodeId([0xff; 20]);

/// A node at a distance from the target, at an address of its own; any id goes.
fn node(distance: u8) -> Node {
    let mut id = [0; 20];
    id[0] = distance;
    Node { id: NodeId(id), address: address(u32::from(distance)) }
}

/// Rules that take any id.
fn any_id() -> Rules {
    Rules { enforce_id: false, ..Rules::default() }
}

fn lookup(rules: Rules, nodes: impl IntoIterator<Item = u8>) -> Lookup {
    let mut lookup = Lookup::new(TARGET, OWN, rules);
    nodes.into_iter().for_each(|n| lookup.add(node(n)));
    lookup
}

/// Whom the lookup asks now.
fn asked(lookup: &mut Lookup) -> Vec<SocketAddr> {
    std::iter::from_fn(|| lookup.next()).map(|ask| ask.to).collect()
}

fn nodes(of: impl IntoIterator<Item = u8>) -> Vec<SocketAddr> {
    of.into_iter().map(|n| node(n).address).collect()
}

fn reply(lookup: &mut Lookup, from: u8, named: impl IntoIterator<Item = u8>) {
    lookup.on_reply(&node(from), Some(&[from]), named.into_iter().map(node));
}

fn closest(lookup: &Lookup) -> Vec<u8> {
    lookup.closest().map(|answered| answered.node.id.0[0]).collect()
}

// Who is asked

#[test]
fn a_lookup_in_an_empty_table_ends_at_once() {
    let mut lookup = lookup(any_id(), []);
    assert!(lookup.is_done());
    assert_eq!((lookup.next(), lookup.closest().count(), lookup.stats()), (None, 0, Stats::default()));
}

#[test]
fn the_nearest_are_asked_first_and_no_more_than_alpha_while_the_lookup_comes_nearer() {
    let mut lookup = lookup(any_id(), [90, 10, 70, 30, 50, 60]);
    assert_eq!(asked(&mut lookup), nodes([10, 30, 50, 60]));
    reply(&mut lookup, 30, [5, 20]);
    assert_eq!(asked(&mut lookup), nodes([5]));
    reply(&mut lookup, 60, [7]);
    assert_eq!(asked(&mut lookup), nodes([7]));
    assert!(!lookup.is_done());
}

#[test]
fn when_the_nearest_has_answered_all_that_matter_are_asked_at_once() {
    let mut lookup = lookup(any_id(), [10, 20, 30, 40]);
    assert_eq!(asked(&mut lookup), nodes([10, 20, 30, 40]));
    reply(&mut lookup, 10, [50, 60, 70, 80, 90, 100]);
    // Eight are wanted, so the ninth and tenth are not asked.
    assert_eq!(asked(&mut lookup), nodes([50, 60, 70, 80]));
    (2..=8).for_each(|n| reply(&mut lookup, n * 10, [90, 100]));
    assert!(lookup.is_done());
    assert_eq!((asked(&mut lookup), closest(&lookup)), (vec![], (1..=8).map(|n| n * 10).collect()));
}

#[test]
fn a_slow_node_gives_its_slot_to_another_and_its_answer_still_counts() {
    let mut lookup = lookup(Rules { want: 2, alpha: 2, ..any_id() }, [10, 20, 30]);
    assert_eq!(asked(&mut lookup), nodes([10, 20]));
    lookup.on_slow(node(10).address);
    lookup.on_slow(node(10).address);
    assert_eq!(asked(&mut lookup), nodes([30]));
    reply(&mut lookup, 20, []);
    reply(&mut lookup, 30, []);
    // The nearest may still answer: whoever does not want to wait for it has what there is.
    assert!(lookup.is_settled() && !lookup.is_done());
    assert_eq!(closest(&lookup), [20, 30]);
    reply(&mut lookup, 10, []);
    assert!(lookup.is_done());
    assert_eq!(closest(&lookup), [10, 20]);
}

#[test]
fn stragglers_that_cannot_be_among_the_closest_are_not_waited_for() {
    let mut lookup = lookup(Rules { want: 2, ..any_id() }, [200, 210, 220, 230]);
    assert_eq!(asked(&mut lookup), nodes([200, 210]));
    reply(&mut lookup, 210, [1, 2]);
    assert_eq!(asked(&mut lookup), nodes([1, 2]));
    reply(&mut lookup, 1, []);
    assert!(!lookup.is_done());
    reply(&mut lookup, 2, []);
    assert!(lookup.is_done(), "the one at 200 has not answered and does not matter");
}

#[test]
fn when_nodes_fail_the_next_ones_take_their_places() {
    let mut lookup = lookup(Rules { want: 2, alpha: 2, ..any_id() }, [10, 20, 30, 40]);
    asked(&mut lookup);
    lookup.on_failure(node(10).address);
    lookup.on_failure(node(10).address);
    assert_eq!(asked(&mut lookup), nodes([30]));
    reply(&mut lookup, 20, []);
    lookup.on_failure(node(30).address);
    assert_eq!(asked(&mut lookup), nodes([40]));
    reply(&mut lookup, 40, [10, 30]);
    assert_eq!((lookup.is_done(), asked(&mut lookup), closest(&lookup)), (true, vec![], vec![20, 40]));
    assert_eq!(lookup.stats(), Stats { asked: 4, answered: 2, failed: 2, hops: 0 });
}

#[test]
fn a_lookup_that_nobody_answers_ends() {
    let mut lookup = lookup(any_id(), 1..100);
    let mut count = 0;
    while !lookup.is_done() {
        let now = asked(&mut lookup);
        assert!(!now.is_empty());
        count += now.len();
        now.into_iter().for_each(|to| lookup.on_failure(to));
    }
    assert_eq!((count, lookup.closest().count()), (99, 0));
}

#[test]
fn answers_without_nodes_end_a_lookup_with_no_round_to_everybody() {
    // What has peers for us and names nobody, as libtorrent's nodes may.
    let mut lookup = lookup(any_id(), 1..60);
    let mut count = 0;
    while !lookup.is_done() {
        for to in asked(&mut lookup) {
            count += 1;
            let from = (1..60).map(node).find(|node| node.address == to).unwrap();
            lookup.on_reply(&from, None, std::iter::empty());
        }
    }
    assert_eq!((count, closest(&lookup)), (8, (1..=8).collect()));
}

#[test]
fn a_router_that_is_a_node_as_well_is_asked_once() {
    let mut lookup = lookup(any_id(), [1, 2]);
    lookup.add_router(node(1).address);
    assert_eq!(asked(&mut lookup), nodes([1, 2]));
    lookup.add_router(node(2).address);
    lookup.on_reply(&node(1), None, [node(1), node(2)].into_iter());
    reply(&mut lookup, 2, []);
    assert_eq!((asked(&mut lookup), lookup.is_done(), closest(&lookup)), (vec![], true, vec![2]));
}

// Routers

#[test]
fn routers_are_asked_before_all_others_and_are_never_among_the_closest() {
    let mut lookup = lookup(any_id(), [50]);
    let router = "8.8.8.8:6881".parse().unwrap();
    lookup.add_router(router);
    lookup.add_router(router);
    assert_eq!(lookup.next(), Some(Ask { to: router, id: None }));
    assert_eq!(asked(&mut lookup), nodes([50]));
    let named = [node(3), Node { id: NodeId([2; 20]), address: router }];
    lookup.on_reply(&Node { id: TARGET, address: router }, Some(b"x"), named.into_iter());
    assert_eq!(asked(&mut lookup), nodes([3]));
    reply(&mut lookup, 3, []);
    reply(&mut lookup, 50, []);
    assert!(lookup.is_done());
    assert_eq!((closest(&lookup), lookup.stats().hops), (vec![3, 50], 1));
}

#[test]
fn routers_that_do_not_answer_hold_nobody_up_and_the_lookup_ends() {
    let mut lookup = lookup(any_id(), [1, 2, 3, 4]);
    (0..100).for_each(|n| lookup.add_router(address(1000 + n)));
    // As many at a time as nodes, beside them.
    assert_eq!(asked(&mut lookup).len(), 8);
    (1..5).for_each(|n| reply(&mut lookup, n, []));
    let mut failed = 0;
    while !lookup.is_done() {
        asked(&mut lookup);
        lookup.on_failure(address(1000 + failed));
        failed += 1;
    }
    assert_eq!((failed, lookup.stats().asked), (16, 20));
}

#[test]
fn routers_are_spared_when_nodes_enough_have_answered() {
    let mut lookup = lookup(Rules { want: 1, alpha: 1, ..any_id() }, [1]);
    (0..3).for_each(|n| lookup.add_router(address(1000 + n)));
    assert_eq!(asked(&mut lookup), [address(1000), node(1).address]);
    reply(&mut lookup, 1, []);
    assert_eq!((lookup.is_done(), asked(&mut lookup)), (true, vec![]));
}
