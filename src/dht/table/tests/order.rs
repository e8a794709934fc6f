use super::*;

/// Nodes at random: most of them far, some very near.
fn random_table(seed: u64) -> World {
    let mut world = World::new(Rules { bucket: 1 + seed as usize % 20, ..strict() });
    world.rng = Rng::new(seed);
    for _ in 0..world.rng.below(400) {
        let depth = match world.rng.below(4) {
            0 => world.rng.below(160),
            1 => 60 + world.rng.below(10),
            _ => (world.rng.next_u64() | 1 << 63).trailing_zeros(),
        };
        let (node, _) = world.join(depth as usize);
        if world.rng.below(10) == 0 {
            world.fail(&node);
            world.fail(&node);
        }
    }
    world
}

#[test]
fn the_closest_are_those_of_a_naive_sort_by_distance() {
    for seed in 0..150 {
        let mut world = random_table(seed);
        for _ in 0..40 {
            let depth = world.rng.below(160) as usize;
            let any = prefix::random(&OWN, 0, false, &mut world.rng);
            let near = prefix::random(&OWN, depth, true, &mut world.rng);
            for target in [any, near, OWN] {
                let count = world.rng.below(40) as usize;
                assert_eq!(world.closest(&target, count), world.naive(&target, count), "seed {seed}, target {target}");
            }
        }
        assert_eq!(world.closest(&OWN, usize::MAX), world.naive(&OWN, usize::MAX), "seed {seed}");
    }
}

#[test]
fn nodes_of_the_first_bucket_and_of_the_last_come_nearest_first() {
    let mut world = World::new(strict());
    (0..3).for_each(|depth| drop(world.fill(depth)));
    for depth in 0..3 {
        let target = id_at(depth, false);
        let nearest = world.closest(&target, 8);
        assert!(nearest.iter().all(|node| prefix::shared(&OWN, &node.id) == depth));
        assert!(nearest.is_sorted_by_key(|node| node.id.distance(&target)));
    }
}

#[test]
fn empty_buckets_are_passed_over() {
    let mut world = World::new(strict());
    let (far, near) = (world.fill(0), world.fill(40));
    assert_eq!(world.join(42).1, Admission::Added);
    assert!(world.table.buckets(world.now).any(|bucket| bucket.nodes == 0));
    for target in [OWN, id_at(0, true), id_at(20, true), id_at(41, false)] {
        assert_eq!(world.closest(&target, 17), world.naive(&target, 17));
    }
    assert!(far.contains(&world.closest(&id_at(0, false), 1)[0]));
    assert!(near.contains(&world.closest(&id_at(40, false), 1)[0]));
}

#[test]
fn what_was_in_the_list_stays_there() {
    let mut world = World::new(strict());
    let nodes = world.full();
    let mut list = vec![nodes[0]];
    world.table.closest(&nodes[1].id, 2, &mut list);
    assert_eq!((list[0], list[1], list.len()), (nodes[0], nodes[1], 3));
    world.table.closest(&nodes[1].id, 0, &mut list);
    assert_eq!(list.len(), 3);
}

#[test]
fn spares_are_told_to_nobody() {
    let mut world = World::new(strict());
    world.full();
    let spare = world.spare(0);
    assert!(!world.closest(&spare.id, 100).contains(&spare));
}
