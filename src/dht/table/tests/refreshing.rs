use super::*;

fn refresh(world: &mut World) -> Option<NodeId> {
    let mut rng = world.rng.fork();
    world.table.next_refresh(world.now, &mut rng)
}

/// The depths that are refreshed now.
fn depths(world: &mut World) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::new();
    while let Some(id) = refresh(world) {
        depths.push(world.table.depth_of(&id));
    }
    depths.sort_unstable();
    depths
}

#[test]
fn each_bucket_that_nothing_changed_in_for_fifteen_minutes_is_refreshed_once() {
    let mut world = World::new(strict());
    (0..4).for_each(|depth| drop(world.fill(depth)));
    assert_eq!(depths(&mut world), [0; 0]);
    world.wait(minutes(15));
    assert_eq!(depths(&mut world), [0, 1, 2, 3]);
    assert_eq!(depths(&mut world), [0; 0]);
    world.wait(minutes(14));
    assert_eq!(depths(&mut world), [0; 0]);
    world.wait(minutes(1));
    assert_eq!(depths(&mut world), [0, 1, 2, 3]);
}

#[test]
fn an_answer_of_one_of_its_nodes_puts_a_refresh_off_and_a_query_does_not() {
    let mut world = World::new(strict());
    let (far, near) = (world.fill(0), world.fill(1));
    world.wait(minutes(10));
    world.answer(&far[0]);
    world.table.on_query(world.now, &near[0]);
    world.wait(minutes(5));
    assert_eq!(depths(&mut world), [1]);
    world.wait(minutes(10));
    assert_eq!(depths(&mut world), [0]);
}

#[test]
fn a_newcomer_and_a_replacement_put_a_refresh_off() {
    let mut world = World::new(strict());
    let nodes = world.full();
    world.spare(0);
    world.wait(minutes(10));
    world.fail(&nodes[0]);
    world.fail(&nodes[0]);
    world.wait(minutes(5));
    assert_eq!(depths(&mut world), [1]);
    world.wait(minutes(5));
    world.table.remove(nodes[1].address);
    assert_eq!(world.join(0).1, Admission::Added);
    assert_eq!(depths(&mut world), [0; 0]);
}

#[test]
fn a_refresh_is_due_fifteen_minutes_after_the_first_node_came() {
    let mut world = World::new(strict());
    world.wait(minutes(500));
    let node = world.stranger(3);
    world.answer(&node);
    assert_eq!(world.table.next_due(), Some(world.now + minutes(15)));
    world.table.remove(node.address);
    assert_eq!(world.table.next_due(), None);
}

#[test]
fn a_new_id_of_ours_counts_as_a_refresh_of_all() {
    let mut world = World::new(strict());
    (0..4).for_each(|depth| drop(world.fill(depth)));
    world.wait(minutes(15));
    world.table.set_own(world.now, id_at(2, true));
    assert_eq!(world.table.next_due(), Some(world.now + minutes(15)));
    assert_eq!(depths(&mut world), [0; 0]);
}

#[test]
fn a_year_of_idling_costs_four_refreshes_an_hour_and_bucket() {
    let mut world = World::new(strict());
    (0..4).for_each(|depth| drop(world.fill(depth)));
    let end = world.now + minutes(60 * 24 * 365);
    let (mut refreshes, mut wakes) = (0, 0);
    loop {
        world.now = world.table.next_due().unwrap();
        if world.now > end {
            break;
        }
        wakes += 1;
        assert_eq!(world.check(), None);
        while refresh(&mut world).is_some() {
            refreshes += 1;
        }
    }
    assert!((4 * 35_000..=4 * 35_040).contains(&refreshes), "{refreshes}");
    assert!(wakes <= 2 * refreshes, "{wakes}");
}
