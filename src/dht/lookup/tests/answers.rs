//! Answers that are not what they should be, and what is kept of those that are.

use super::graph::random_id;
use super::*;
use crate::machine::Rng;

#[test]
fn an_answer_that_nobody_was_asked_for_is_ignored_and_so_are_repeated_and_late_ones() {
    let mut lookup = lookup(any_id(), [10, 20]);
    reply(&mut lookup, 10, [1]);
    reply(&mut lookup, 99, [2]);
    assert_eq!((asked(&mut lookup), lookup.closest().count()), (nodes([10, 20]), 0));
    lookup.on_failure(node(10).address);
    reply(&mut lookup, 10, [3]);
    reply(&mut lookup, 20, []);
    reply(&mut lookup, 20, [4]);
    lookup.on_failure(node(20).address);
    lookup.on_slow(node(20).address);
    assert!(lookup.is_done());
    assert_eq!((closest(&lookup), lookup.stats().asked), (vec![20], 2));
}

#[test]
fn an_answer_by_another_id_is_a_failure_and_says_nothing() {
    let mut lookup = lookup(any_id(), [10, 20]);
    asked(&mut lookup);
    lookup.on_reply(&Node { id: NodeId([1; 20]), ..node(10) }, Some(b"x"), [node(3)].into_iter());
    assert_eq!((asked(&mut lookup), lookup.closest().count(), lookup.stats().failed), (vec![], 0, 1));
    // Whoever names it again under the same id is not believed; under its own, it is asked.
    reply(&mut lookup, 20, [10]);
    assert!(lookup.is_done());
}

#[test]
fn a_node_that_a_liar_named_under_a_false_id_is_not_lost() {
    let mut lookup = lookup(any_id(), [10, 20]);
    let (false_id, truth) = (Node { id: NodeId([0; 20]), ..node(5) }, node(5));
    asked(&mut lookup);
    lookup.on_reply(&node(10), None, [false_id].into_iter());
    assert_eq!(asked(&mut lookup), [truth.address]);
    lookup.on_reply(&truth, None, std::iter::empty());
    reply(&mut lookup, 20, [5]);
    assert_eq!(lookup.next(), Some(Ask { to: truth.address, id: Some(truth.id) }));
    reply(&mut lookup, 5, []);
    assert_eq!((lookup.is_done(), closest(&lookup)), (true, vec![5, 10, 20]));
}

#[test]
fn a_false_address_of_an_id_does_not_hide_the_true_one_and_is_not_waited_for() {
    let mut lookup = lookup(Rules { want: 4, ..any_id() }, [10, 20, 30]);
    let at = |n: u32| Node { id: node(5).id, address: address(500 + n) };
    asked(&mut lookup);
    lookup.on_reply(&node(10), None, [at(1)].into_iter());
    lookup.on_reply(&node(20), None, [node(5), at(2), at(3)].into_iter());
    assert_eq!(asked(&mut lookup), [at(1).address, node(5).address]);
    reply(&mut lookup, 5, []);
    reply(&mut lookup, 30, []);
    assert_eq!((lookup.is_done(), closest(&lookup)), (true, vec![5, 10, 20, 30]));
    // Two nodes with one id are one of the closest.
    lookup.on_reply(&at(1), None, std::iter::empty());
    assert_eq!(closest(&lookup), [5, 10, 20, 30]);
}

#[test]
fn of_an_answer_with_a_thousand_nodes_sixteen_are_looked_at() {
    let mut lookup = lookup(any_id(), [200]);
    asked(&mut lookup);
    let mut looked_at = 0;
    let named = (0..1000).map(|n| Node { id: random_id(&mut Rng::new(n)), address: address(1000 + n as u32) });
    lookup.on_reply(&node(200), None, named.inspect(|_| looked_at += 1));
    assert_eq!((looked_at, lookup.inside.iter().count()), (16, 17));
}

#[test]
fn we_and_nodes_that_cannot_be_reached_or_are_known_already_are_not_asked() {
    let mut lookup = lookup(any_id(), [10, 10]);
    asked(&mut lookup);
    let ours = Node { id: OWN, address: address(999) };
    let nowhere = Node { address: SocketAddr::new(address(998).ip(), 0), ..node(3) };
    let same_address = Node { id: NodeId([1; 20]), ..node(10) };
    lookup.on_reply(&node(10), None, [ours, nowhere, same_address, node(10), node(7), node(7)].into_iter());
    assert_eq!(asked(&mut lookup), nodes([7]));
}

#[test]
fn the_closest_are_right_in_whatever_order_they_answer_and_only_they_have_tokens() {
    let mut rng = Rng::new(1);
    for _ in 0..50 {
        let mut lookup = lookup(Rules { alpha: 40, ..any_id() }, 1..=40);
        let mut order: Vec<u8> = (1..=40).collect();
        rng.shuffle(&mut order);
        // All are asked before anybody answers, also those that do not matter.
        lookup.rules.want = 40;
        assert_eq!(asked(&mut lookup).len(), 40);
        order.iter().for_each(|n| reply(&mut lookup, *n, []));
        assert_eq!(closest(&lookup), (1..=8).collect::<Vec<_>>());
        assert!(lookup.closest().all(|a| a.token.as_ref().unwrap().as_bytes() == [a.node.id.0[0]]));
    }
}

#[test]
fn a_token_may_have_128_bytes_and_no_more() {
    let mut lookup = lookup(any_id(), [1, 2, 3]);
    asked(&mut lookup);
    lookup.on_reply(&node(1), Some(&[1; 128]), std::iter::empty());
    lookup.on_reply(&node(2), Some(&[1; 129]), std::iter::empty());
    lookup.on_reply(&node(3), None, std::iter::empty());
    let tokens: Vec<_> = lookup.closest().map(|a| a.token.as_ref().map(|t| t.as_bytes().len())).collect();
    assert_eq!(tokens, [Some(128), None, None]);
}
