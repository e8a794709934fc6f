//! What lookups find, in networks of many sizes.

use super::figures::Figures;
use super::seat::Link;
use super::town::{HOUR, MINUTE, SECOND, Town, hash, id};
use super::{golden, with_seeds};

fn figures(seed: u64, nodes: usize, churn: u32, loss: u32) -> Figures {
    let mut town = Town::new(seed, Link { loss, ..Link::default() });
    town.grow(nodes, MINUTE.max(SECOND * u32::try_from(nodes / 16).unwrap()));
    town.run(2 * MINUTE).churn(churn);
    Figures::of(&mut town, if nodes < 10_000 { 100 } else { 300 })
}

pub(super) fn row(nodes: usize, churn: u32, loss: u32, seed: u64) {
    let figures = figures(seed, nodes, churn, loss);
    println!("{nodes:>6} {churn:>5} {loss:>4} {seed:>4} {figures}");
    assert!(figures.success() >= if churn == 0 && loss == 0 { 100.0 } else { 97.0 }, "{figures}");
    assert!(
        figures.median_end() < if loss + churn == 0 { 1000.0 } else { 1500.0 } && figures.slowest_end() < 10_000.0,
        "{figures}"
    );
    golden::compare(nodes, churn, loss, seed, &figures);
}

#[test]
fn fifty_nodes_find_what_was_announced() {
    for (churn, loss) in [(0, 0), (0, 50), (20, 0), (20, 50)] {
        with_seeds("fifty_nodes", 1, |seed| row(50, churn, loss, seed));
    }
}

#[test]
fn five_hundred_nodes_find_what_was_announced() {
    with_seeds("five_hundred_nodes_find", 1, |seed| row(500, 0, 0, seed));
}

#[test]
fn five_hundred_nodes_find_what_was_announced_while_datagrams_are_lost() {
    with_seeds("five_hundred_nodes_find_what_was_announced_while_datagrams", 1, |seed| row(500, 0, 50, seed));
}

#[test]
fn five_hundred_nodes_find_what_was_announced_while_nodes_come_and_go() {
    with_seeds("five_hundred_nodes_find_what_was_announced_while_nodes", 1, |seed| row(500, 20, 0, seed));
}

#[test]
fn five_hundred_nodes_find_what_was_announced_while_nodes_and_datagrams_go() {
    with_seeds("five_hundred_nodes_find_what_was_announced_while_nodes_and", 1, |seed| row(500, 20, 50, seed));
}

#[test]
fn a_lookup_finds_the_nearest_nodes_of_all() {
    with_seeds("a_lookup_finds_the_nearest", 4, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.net.watch.answers = true;
        town.grow(150, MINUTE).run(3 * MINUTE);
        town.net.check();
        let mut missed = 0;
        for _ in 0..40 {
            let (place, target) = (town.anybody(), id(&mut town.net.rng));
            let own = town.net.node(place).unwrap().ids().next().unwrap();
            let nearest: Vec<_> = town.nearest(target, 9).into_iter().filter(|id| *id != own).take(8).collect();
            let found: Vec<_> = town.find(place, target).0.into_iter().map(|node| node.id).collect();
            missed += nearest.iter().filter(|id| !found.contains(id)).count();
        }
        println!("seed {seed}: {missed} of 320 nodes were missed");
        assert!(missed <= 6, "{missed} of 320 nodes were missed");
    });
}

#[test]
fn every_peer_is_found_by_every_lookup_until_it_expires() {
    with_seeds("every_peer_is_found", 3, |seed| {
        let mut town = Town::new(seed, Link::default());
        town.grow(120, MINUTE).run(MINUTE);
        let hashes: Vec<_> = (0..6).map(|_| hash(&mut town.net.rng)).collect();
        let mut announced = Vec::new();
        for (n, info_hash) in (0_u16..).zip(hashes.iter().cycle().take(30)) {
            // A node keeps one port of an address.
            let (place, port) = (town.people[usize::from(n) * 3], 2000 + n);
            assert!(town.announce(place, *info_hash, port) >= 8);
            announced.push((*info_hash, town.ip(place), port));
        }
        // 45 minutes is how long a peer is kept.
        for _ in 0..4 {
            town.run(10 * MINUTE);
            for info_hash in &hashes {
                let place = town.anybody();
                let search = town.peers(place, *info_hash);
                let all = announced.iter().filter(|(hash, ..)| hash == info_hash);
                let missed: Vec<_> = all.filter(|(_, ip, port)| !search.has(*ip, *port)).collect();
                assert!(missed.is_empty(), "node {place} missed {missed:?}: {:?}", search.stats);
            }
        }
        town.run(HOUR);
        for info_hash in &hashes {
            let place = town.anybody();
            assert!(town.peers(place, *info_hash).peers.is_empty(), "what nobody announces again is forgotten");
        }
        town.net.check();
    });
}
