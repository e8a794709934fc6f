//! Calls in any order.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Add(u8, u8),
    Router(u8),
    Next,
    Slow(u8),
    Fail(u8),
    Reply(u8, u8, u8, Vec<(u8, u8)>),
}

fn step() -> impl Strategy<Value = Step> {
    let (id, at) = (0_u8..32, 0_u8..32);
    let named = prop::collection::vec((id.clone(), at.clone()), 0..20);
    prop_oneof![
        (id.clone(), at.clone()).prop_map(|(id, at)| Step::Add(id, at)),
        at.clone().prop_map(Step::Router),
        Just(Step::Next),
        Just(Step::Next),
        at.clone().prop_map(Step::Slow),
        at.clone().prop_map(Step::Fail),
        (id, at, 0_u8..140, named).prop_map(|(id, at, token, named)| Step::Reply(id, at, token, named)),
    ]
}

proptest! {
    #[test]
    fn whatever_is_called_in_whatever_order_limits_hold_and_the_lookup_ends(
        steps in prop::collection::vec(step(), 0..200), want in 0_usize..6, alpha in 0_usize..4, candidates in 0_usize..12,
        asks in 0_usize..30, rule: bool, per_subnet in 0_usize..4, enforce_id: bool,
    ) {
        let rules = Rules { want, alpha, candidates, asks, one_per_ip: rule, per_subnet, enforce_id };
        // Four hosts in two networks; some ids go with their addresses, since there are local ones.
        let at = |n: u8| SocketAddr::new([if n & 16 == 0 { 10 } else { 20 }, 1, n & 1, n & 2].into(), u16::from(n));
        let node = |id: u8, n: u8| Node { id: NodeId([id; 20]), address: at(n) };
        let mut lookup = Lookup::new(NodeId([7; 20]), NodeId([3; 20]), rules);
        let check = |lookup: &Lookup| {
            let distances: Vec<_> = lookup.closest().map(|a| a.node.id.distance(&lookup.target())).collect();
            assert!(distances.windows(2).all(|pair| pair[0] < pair[1]) && distances.len() <= want.max(1));
            assert!(lookup.closest().all(|a| a.node.id != NodeId([3; 20]) && a.node.address.port() != 0));
            assert!(lookup.inside.iter().count() <= candidates.max(want.max(1)));
            assert!(lookup.outside.iter().count() <= 2 * want.max(1));
            let stats = lookup.stats();
            assert!(stats.asked <= asks.max(1) && stats.answered + stats.failed <= stats.asked);
            assert!(lookup.asks.waiting <= alpha.max(1).max(want) && lookup.asks.waiting_routers <= alpha.max(1));
            assert_eq!(lookup.asks.in_flight(true), stats.asked - stats.answered - stats.failed);
            assert!(!lookup.is_done() || lookup.is_settled());
        };
        for step in steps {
            match step {
                Step::Add(id, n) => lookup.add(node(id, n)),
                Step::Router(n) => lookup.add_router(at(n)),
                Step::Next => drop(lookup.next()),
                Step::Slow(n) => lookup.on_slow(at(n)),
                Step::Fail(n) => lookup.on_failure(at(n)),
                Step::Reply(id, n, token, named) => {
                    let token = vec![0; usize::from(token)];
                    lookup.on_reply(&node(id, n), Some(&token), named.iter().map(|(id, n)| node(*id, *n)));
                }
            }
            check(&lookup);
        }
        // Whatever is in flight fails, and what is asked after it: then it has ended.
        for _ in 0..asks.max(1) + 2 {
            (0..32).for_each(|n| lookup.on_failure(at(n)));
            while lookup.next().is_some() {}
            check(&lookup);
        }
        prop_assert!(lookup.is_done(), "{lookup:?}");
    }
}
