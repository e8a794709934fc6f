use super::*;

#[test]
fn a_new_table_has_nobody_and_nothing_to_do() {
    let mut world = World::new(strict());
    assert!(world.table.is_empty() && world.nodes().is_empty() && world.closest(&OWN, 8).is_empty());
    assert_eq!((world.table.len(), world.table.good(world.now), world.table.next_due()), (0, 0, None));
    assert_eq!(world.table.buckets(world.now).map(|bucket| bucket.nodes).collect::<Vec<_>>(), [0]);
    world.wait(minutes(60));
    let mut rng = Rng::new(1);
    assert_eq!((world.check(), world.table.next_refresh(world.now, &mut rng)), (None, None));
}

#[test]
fn nodes_that_answered_are_all_good_and_after_fifteen_minutes_all_questionable() {
    let mut world = World::new(strict());
    let nodes = world.full();
    assert!(nodes.iter().all(|node| world.state(node) == State::Good));
    assert_eq!((world.table.len(), world.table.good(world.now)), (16, 16));
    world.wait(minutes(15));
    assert!(nodes.iter().all(|node| world.state(node) == State::Questionable));
    assert_eq!((world.table.len(), world.table.good(world.now)), (16, 0));
}

#[test]
fn a_questionable_node_that_answers_is_good_again_in_its_place() {
    let mut world = World::new(strict());
    world.full();
    let before = world.nodes();
    world.wait(minutes(16));
    for node in &before {
        assert_eq!(world.answer(node), Admission::Known);
    }
    assert_eq!((world.nodes(), world.table.good(world.now)), (before, 16));
}

#[test]
fn a_query_makes_a_node_of_the_table_good_again_and_brings_nobody_in() {
    let mut world = World::new(strict());
    let nodes = world.full();
    world.wait(minutes(16));
    assert!(world.table.on_query(world.now, &nodes[3]));
    assert_eq!((world.state(&nodes[3]), world.state(&nodes[4])), (State::Good, State::Questionable));
    let stranger = world.stranger(2);
    assert!(!world.table.on_query(world.now, &stranger));
    assert_eq!(world.entry(&stranger), None);
}

#[test]
fn a_bad_node_that_asks_is_worth_a_ping_and_stays_bad_until_it_answers() {
    let mut world = World::new(strict());
    let nodes = world.full();
    assert!(!world.table.is_deserted() && world.table.knows(&nodes[3]));
    world.nodes().iter().for_each(|node| (0..2).for_each(|_| world.fail(node)));
    assert!(world.table.is_deserted());
    assert!(!world.table.on_query(world.now, &nodes[3]) && world.table.wants(world.now, &nodes[3]));
    assert_eq!(world.state(&nodes[3]), State::Bad);
    assert_eq!(world.answer(&nodes[3]), Admission::Known);
    assert!(world.table.on_query(world.now, &nodes[3]) && !world.table.wants(world.now, &nodes[3]));
    assert!(!world.table.is_deserted());
}

#[test]
fn a_good_node_is_not_displaced_however_many_come() {
    let mut world = World::new(strict());
    let nodes = world.full();
    for _ in 0..1000 {
        assert_eq!(world.join(0).1, Admission::Spare);
        world.wait(Duration::from_millis(100));
    }
    assert!(nodes.iter().all(|node| world.has(node)));
    assert_eq!(world.table.buckets(world.now).map(|bucket| bucket.spares).max(), Some(8));
}

#[test]
fn a_questionable_node_is_not_displaced_by_one_that_comes_before_it_was_asked_twice() {
    let mut world = World::new(strict());
    let nodes = world.full();
    world.wait(minutes(20));
    let newcomer = world.spare(0);
    assert!(nodes.iter().all(|node| world.has(node)));
    world.fail(&nodes[2]);
    assert!(world.has(&nodes[2]) && world.waits(&newcomer));
    world.fail(&nodes[2]);
    assert!(!world.has(&nodes[2]) && world.has(&newcomer));
}

#[test]
fn the_spare_that_was_heard_of_last_takes_the_place_of_a_bad_node_at_once() {
    let mut world = World::new(strict());
    let nodes = world.full();
    let spares: Vec<Node> = (0..4).map(|_| world.spare(0)).collect();
    world.wait(minutes(1));
    assert!(world.table.on_query(world.now, &spares[1]));
    let mut fail = |at: usize| {
        world.fail(&nodes[at]);
        world.fail(&nodes[at]);
        assert_eq!(world.entry(&nodes[at]), None);
        spares.iter().map(|spare| world.has(spare)).collect::<Vec<_>>()
    };
    assert_eq!(fail(5), [false, true, false, false]);
    assert_eq!(fail(0), [false, true, false, true]);
    assert_eq!(fail(7), [false, true, true, true]);
}

#[test]
fn a_spare_that_answers_every_query_comes_before_one_that_does_not() {
    let mut world = World::new(strict());
    let nodes = world.full();
    let (first, last) = (world.spare(0), world.spare(0));
    world.fail(&last);
    world.table.remove(nodes[0].address);
    assert!(world.has(&first) && world.waits(&last));
}

#[test]
fn a_spare_that_leaves_two_queries_unanswered_is_dropped() {
    let mut world = World::new(strict());
    world.full();
    let spare = world.spare(0);
    world.fail(&spare);
    assert!(world.waits(&spare));
    world.fail(&spare);
    assert_eq!(world.entry(&spare), None);
    assert_eq!(world.table.diversity.len(), 16);
}

#[test]
fn the_spare_heard_of_longest_ago_makes_place_for_a_fresher_one() {
    let mut world = World::new(strict());
    world.full();
    let spares: Vec<Node> = (0..8).map(|_| world.spare(0)).collect();
    assert_eq!(world.answer(&spares[0]), Admission::Known);
    world.spare(0);
    let there: Vec<bool> = spares.iter().map(|spare| world.waits(spare)).collect();
    assert_eq!(there, [true, false, true, true, true, true, true, true]);
}

#[test]
fn without_places_for_spares_who_comes_too_late_is_refused() {
    let mut world = World::new(Rules { spares: 0, ..strict() });
    world.full();
    let stranger = world.stranger(0);
    assert!(!world.table.wants(world.now, &stranger));
    assert_eq!(world.answer(&stranger), Admission::Refused);
}

#[test]
fn a_bad_node_for_which_nobody_waits_is_told_to_nobody_and_makes_place_for_who_comes() {
    let mut world = World::new(strict());
    let nodes = world.full();
    world.fail(&nodes[4]);
    world.fail(&nodes[4]);
    assert_eq!(world.state(&nodes[4]), State::Bad);
    assert!(!world.closest(&nodes[4].id, 100).contains(&nodes[4]));
    assert_eq!(world.closest(&nodes[4].id, 100).len(), 15);
    let newcomer = world.stranger(0);
    assert!(world.table.wants(world.now, &newcomer));
    assert_eq!(world.answer(&newcomer), Admission::Added);
    assert_eq!(world.entry(&nodes[4]), None);
}

#[test]
fn a_bad_node_that_answers_is_good_again() {
    let mut world = World::new(strict());
    let nodes = world.full();
    world.fail(&nodes[4]);
    world.fail(&nodes[4]);
    assert!(!world.table.on_query(world.now, &nodes[4]));
    assert_eq!(world.state(&nodes[4]), State::Bad);
    assert_eq!(world.answer(&nodes[4]), Admission::Known);
    assert_eq!(world.state(&nodes[4]), State::Good);
}

#[test]
fn unanswered_queries_count_only_in_a_row() {
    let mut world = World::new(strict());
    let nodes = world.full();
    for _ in 0..5 {
        world.fail(&nodes[0]);
        world.answer(&nodes[0]);
    }
    assert_eq!(world.state(&nodes[0]), State::Good);
}

#[test]
fn only_the_bucket_that_our_own_id_is_in_is_split() {
    let mut world = World::new(strict());
    for _ in 0..8 {
        assert_eq!(world.join(0).1, Admission::Added);
    }
    assert_eq!(world.table.buckets(world.now).count(), 1);
    // A ninth splits it, though it has to wait: the others all are in the half that is not ours.
    assert_eq!(world.join(0).1, Admission::Spare);
    assert_eq!(world.table.buckets(world.now).count(), 2);
    for _ in 0..50 {
        world.join(0);
    }
    let fill = |world: &World| world.table.buckets(world.now).map(|b| (b.depth, b.nodes, b.good)).collect::<Vec<_>>();
    assert_eq!(fill(&world), [(0, 8, 8), (1, 0, 0)]);
    (1..=3).for_each(|depth| drop(world.fill(depth)));
    assert_eq!(fill(&world), [(0, 8, 8), (1, 8, 8), (2, 8, 8), (3, 8, 8)]);
}

#[test]
fn nodes_next_to_us_split_buckets_to_full_depth() {
    let mut world = World::new(strict());
    for last in 1..=9 {
        let mut id = OWN;
        id.0[19] ^= last;
        let node = Node { id, address: world.address() };
        assert_eq!(world.answer(&node), Admission::Added);
    }
    let fill: Vec<usize> = world.table.buckets(world.now).map(|bucket| bucket.nodes).collect();
    assert_eq!((fill.len(), &fill[156..]), (158, &[2, 7][..]));
    let mut world = World::new(Rules { bucket: 1, ..strict() });
    for depth in (0..160).rev() {
        assert_eq!(world.join(depth).1, Admission::Added, "{depth}");
    }
    let fill: Vec<usize> = world.table.buckets(world.now).map(|bucket| bucket.nodes).collect();
    assert_eq!(fill, [1; 160]);
    assert_eq!(world.join(0).1, Admission::Spare);
}

#[test]
fn all_buckets_can_be_full_and_whoever_is_asked_for_is_found() {
    let mut world = World::new(strict());
    for depth in 0..160 {
        // Of the deepest there are not eight ids.
        let most = 1 << (159 - depth).min(3);
        let mut ids = Vec::new();
        while ids.len() < most {
            let id = prefix::random(&OWN, depth, true, &mut world.rng);
            if !ids.contains(&id) {
                ids.push(id);
                let node = Node { id, address: world.address() };
                assert_eq!(world.answer(&node), Admission::Added);
            }
        }
    }
    assert_eq!(world.table.len(), 157 * 8 + 4 + 2 + 1);
    for node in world.nodes() {
        assert_eq!(world.closest(&node.id, 1), [node]);
    }
    for depth in 0..160 {
        let target = prefix::random(&OWN, depth, true, &mut world.rng);
        assert_eq!(world.closest(&target, 20), world.naive(&target, 20));
    }
}

#[test]
fn our_own_id_never_enters() {
    let mut world = World::new(strict());
    let ourselves = Node { id: OWN, address: world.address() };
    assert!(!world.table.wants(world.now, &ourselves));
    assert_eq!(world.answer(&ourselves), Admission::Refused);
    assert!(world.table.is_empty());
    assert_eq!(world.table.diversity.len(), 0);
}

#[test]
fn a_full_bucket_with_good_spares_wants_nobody_until_one_is_questionable() {
    let mut world = World::new(strict());
    world.full();
    let stranger = world.stranger(0);
    assert!(world.table.wants(world.now, &stranger));
    for _ in 0..8 {
        world.spare(0);
    }
    assert!(!world.table.wants(world.now, &stranger));
    world.wait(minutes(15));
    assert!(world.table.wants(world.now, &stranger));
    let known = world.nodes()[0];
    assert!(!world.table.wants(world.now, &known));
}

#[test]
fn a_removed_node_makes_place_for_a_spare() {
    let mut world = World::new(strict());
    let nodes = world.full();
    let spare = world.spare(0);
    world.table.remove(nodes[0].address);
    assert!(world.has(&spare) && world.entry(&nodes[0]).is_none());
    world.table.remove(spare.address);
    world.table.remove("203.0.113.9:1".parse().unwrap());
    assert_eq!(world.table.len(), 15);
}

#[test]
fn a_new_id_of_ours_sorts_all_anew_and_keeps_what_fits() {
    let mut world = World::new(strict());
    (0..6).for_each(|depth| drop(world.fill(depth)));
    let before = world.nodes();
    // Near those that were at depth 2.
    let mut own = before[2 * 8].id;
    own.0[19] ^= 1;
    world.table.set_own(world.now, own);
    assert_eq!(world.table.own(), own);
    let after = world.nodes();
    assert!(after.iter().all(|node| before.contains(node)));
    // What was beyond 2 shares one bucket now; what was there fills several.
    let of = |old: usize| after.iter().filter(|node| prefix::shared(&OWN, &node.id) == old).count();
    assert_eq!((of(0), of(1), of(2)), (8, 8, 8));
    assert_eq!((3..6).map(of).sum::<usize>(), 8);
    for (depth, bucket) in world.table.buckets.iter().enumerate() {
        for contact in bucket.contacts() {
            assert_eq!(prefix::shared(&own, &contact.id).min(world.table.buckets.len() - 1), depth);
        }
    }
    assert_eq!(world.closest(&own, 100), world.naive(&own, 100));
    // Whoever has our new id cannot stay.
    let twin = before[0].id;
    world.table.set_own(world.now, twin);
    assert!(!world.has(&before[0]));
}
