use super::*;

/// A full bucket of questionable nodes, one spare waiting.
fn doubtful() -> (World, Vec<Node>, Node) {
    let mut world = World::new(strict());
    let nodes = world.full();
    world.wait(minutes(16));
    let spare = world.spare(0);
    (world, nodes, spare)
}

#[test]
fn the_questionable_node_heard_of_longest_ago_is_checked_first() {
    let (mut world, nodes, _) = doubtful();
    assert!(world.table.on_query(world.now - minutes(15), &nodes[0]));
    assert_eq!(world.check(), Some(nodes[1]));
}

#[test]
fn one_node_of_a_bucket_is_checked_at_a_time_and_the_next_when_it_has_answered() {
    let (mut world, nodes, spare) = doubtful();
    for node in &nodes {
        assert_eq!(world.check(), Some(*node));
        assert_eq!(world.check(), None);
        world.answer(node);
    }
    assert_eq!(world.check(), None);
    assert!(nodes.iter().all(|node| world.has(node)) && world.waits(&spare));
}

#[test]
fn a_node_is_checked_twice_with_some_time_between_before_a_spare_replaces_it() {
    let (mut world, nodes, spare) = doubtful();
    assert_eq!(world.check(), Some(nodes[0]));
    world.wait(Duration::from_secs(3));
    world.fail(&nodes[0]);
    assert_eq!(world.check(), None);
    assert!(world.has(&nodes[0]));
    world.wait(CHECK_AGAIN);
    assert_eq!(world.check(), Some(nodes[0]));
    assert!(world.has(&nodes[0]));
    world.fail(&nodes[0]);
    assert!(!world.has(&nodes[0]) && world.has(&spare));
    // Nobody waits any more.
    assert_eq!(world.check(), None);
}

#[test]
fn a_check_of_which_nothing_is_heard_is_made_again() {
    let (mut world, nodes, _) = doubtful();
    assert_eq!(world.check(), Some(nodes[0]));
    world.wait(CHECK_AGAIN - Duration::from_micros(1));
    assert_eq!(world.check(), None);
    world.wait(Duration::from_micros(1));
    assert_eq!(world.check(), Some(nodes[0]));
}

#[test]
fn nobody_is_checked_where_nobody_waits() {
    let mut world = World::new(strict());
    let nodes = world.full();
    world.wait(minutes(60));
    assert_eq!(world.check(), None);
    world.fail(&nodes[0]);
    world.wait(minutes(1));
    assert_eq!(world.check(), None);
}

#[test]
fn a_good_node_that_left_a_query_unanswered_is_checked_while_others_wait() {
    let mut world = World::new(strict());
    let nodes = world.full();
    world.spare(0);
    assert_eq!(world.check(), None);
    world.fail(&nodes[6]);
    assert_eq!(world.state(&nodes[6]), State::Good);
    assert_eq!(world.check(), None);
    world.wait(CHECK_AGAIN);
    assert_eq!(world.check(), Some(nodes[6]));
}

#[test]
fn each_bucket_has_its_own_check() {
    let mut world = World::new(strict());
    let (near, far) = (world.fill(1), world.fill(0));
    world.wait(minutes(16));
    world.spare(0);
    world.spare(1);
    assert_eq!((world.check(), world.check(), world.check()), (Some(far[0]), Some(near[0]), None));
}

#[test]
fn queries_that_the_network_lost_are_forgiven() {
    let mut world = World::new(strict());
    let nodes = world.full();
    nodes.iter().for_each(|node| world.fail(node));
    world.table.forgive();
    nodes.iter().for_each(|node| world.fail(node));
    assert_eq!(world.table.good(world.now), 16);
    nodes.iter().for_each(|node| world.fail(node));
    assert_eq!(world.table.good(world.now), 8);
    world.table.forgive();
    assert_eq!(world.table.good(world.now), 16);
}

#[test]
fn the_next_check_is_due_when_a_node_that_others_wait_for_becomes_questionable() {
    let mut world = World::new(strict());
    let first = world.now + Duration::from_secs(1);
    world.full();
    world.wait(minutes(2));
    world.spare(1);
    let due = world.table.next_due().unwrap();
    assert!(due <= first + minutes(15));
    // Early at times, so it is asked again.
    world.now = due;
    while world.table.next_due().unwrap() <= world.now {
        if world.check().is_some() {
            break;
        }
        world.table.next_refresh(world.now, &mut Rng::new(1));
        world.now = world.table.next_due().unwrap().max(world.now);
    }
    assert!(world.now <= first + minutes(15));
}

#[test]
fn at_the_end_of_time_nothing_is_due() {
    let (mut world, ..) = doubtful();
    world.now = Instant::NEVER;
    let mut rng = Rng::new(1);
    let mut calls = 0;
    while world.check().is_some() || world.table.next_refresh(world.now, &mut rng).is_some() {
        calls += 1;
        assert!(calls < 10);
    }
}
