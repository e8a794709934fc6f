use super::store::geometry;
use super::world::{World, seconds};
use bip::peer::{Config, Gone};

#[test]
fn a_torrent_goes_from_one_swarm_to_another() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        let shape = geometry(9);
        let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
        world.introduce(b, a);
        assert!(world.run_until(seconds(30), |w| w.nodes[b].is_complete()), "seed {seed}");
        assert!(world.nodes[b].store.is_true());
        assert_eq!(world.nodes[b].store.bad_pieces, 0);
        world.run(seconds(5));
        // Once both have everything they part, and do not come back for a while.
        assert_eq!(world.nodes[b].gone(), [Gone::Redundant], "seed {seed}");
        assert_eq!((world.nodes[a].connections(), world.nodes[b].connections()), (0, 0));
    }
}

#[test]
fn leeches_feed_each_other() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        let shape = geometry(20);
        let a = world.seed(Config::default(), shape);
        let leeches: Vec<usize> = (0..4).map(|_| world.leech(Config::default(), shape)).collect();
        for (k, b) in leeches.iter().enumerate() {
            world.introduce(*b, if k == 0 { a } else { leeches[k - 1] });
        }
        let done = world.run_until(seconds(60), |w| leeches.iter().all(|b| w.nodes[*b].is_complete()));
        assert!(done, "seed {seed}");
        assert!(leeches.iter().all(|b| world.nodes[*b].store.is_true()));
    }
}
