//! Lookups in networks of thousands of nodes, on virtual time.

use super::graph::{Graph, Kind, Run, shared_bits};
use super::*;
use std::time::Duration;

/// Runs lookups of random targets; gives the part of the true closest that they found, in percent, and them.
fn runs(graph: &mut Graph, count: usize, rules: &Rules) -> (usize, Vec<Run>) {
    let (mut right, mut runs) = (0, Vec::new());
    for _ in 0..count {
        let (me, target) = (graph.somebody(), graph.random_id());
        let run = graph.look_up(me, target, rules.clone());
        let truth = graph.truth(target, 8, graph.nodes[me].id);
        right += run.found().iter().filter(|id| truth.contains(id)).count();
        assert!(run.lookup.stats().asked <= rules.asks);
        runs.push(run);
    }
    (right * 100 / (count * 8), runs)
}

fn mean(runs: &[Run], of: impl Fn(&Run) -> usize) -> usize {
    runs.iter().map(of).sum::<usize>() / runs.len()
}

#[test]
fn in_a_network_of_honest_nodes_the_closest_are_found_in_few_hops_and_with_few_queries() {
    for (size, hops, asks) in [(100, 3, 20), (1_000, 4, 24), (4_000, 5, 28)] {
        let mut graph = Graph::new(1, size);
        let (right, runs) = runs(&mut graph, 60, &Rules::default());
        assert_eq!(right, 100, "{size}");
        for run in runs {
            let stats = run.lookup.stats();
            assert!(stats.hops <= hops && stats.asked <= asks && run.most_waiting <= 8, "{size} {stats:?}");
            assert_eq!(stats.failed, 0);
            assert!(run.took < Duration::from_secs(1), "{:?}", run.took);
        }
    }
}

#[test]
fn on_a_fast_network_a_lookup_takes_a_few_round_trips() {
    let mut graph = Graph::new(2, 300);
    graph.rtt = 100..1_000;
    for run in runs(&mut graph, 100, &Rules::default()).1 {
        assert!(run.took < Duration::from_millis(5) && run.nearest_after < Duration::from_millis(4), "{:?}", run.took);
    }
}

#[test]
fn with_a_fifth_of_the_nodes_dead_the_closest_are_found_and_are_known_within_a_second() {
    let mut graph = Graph::new(3, 3_000);
    graph.turn(20, Kind::Dead);
    graph.noticed = 50;
    let (right, all) = runs(&mut graph, 150, &Rules::default());
    assert!(right >= 99, "{right}");
    assert!(mean(&all, |run| run.settled.0.as_millis() as usize) < 1_000);
    assert!(all.iter().all(|run| run.took < Duration::from_secs(5) && run.lookup.stats().asked < 40));
    // Nobody has noticed any of it: whom nobody names is not found.
    graph.noticed = 0;
    let (right, _) = runs(&mut graph, 150, &Rules::default());
    assert!(right >= 95, "{right}");
}

#[test]
fn slow_nodes_are_found_too_and_do_not_slow_the_others() {
    let mut graph = Graph::new(4, 3_000);
    graph.turn(20, Kind::Slow);
    let (right, runs) = runs(&mut graph, 100, &Rules::default());
    assert!(right >= 99, "{right}");
    assert!(mean(&runs, |run| run.settled.0.as_millis() as usize) < 1_000);
    assert!(runs.iter().all(|run| run.took < Duration::from_secs(4)));
}

#[test]
fn nodes_that_invent_nearer_ones_change_nothing_where_ids_must_go_with_addresses() {
    for kind in [Kind::Inventor, Kind::Ladder, Kind::Renamed] {
        let mut graph = Graph::new(5, 3_000);
        graph.turn(10, kind);
        let (right, runs) = runs(&mut graph, 100, &Rules::default());
        // Whom a liar hides by naming others is found by way of the rest.
        assert!(right >= 99, "{kind:?} {right}");
        assert!(runs.iter().all(|run| run.lookup.stats().asked < 48 && run.took < Duration::from_secs(5)), "{kind:?}");
    }
}

#[test]
fn where_any_id_goes_invented_nodes_cost_a_bounded_number_of_queries_and_the_lookup_ends() {
    for kind in [Kind::Inventor, Kind::Ladder] {
        let mut graph = Graph::new(6, 3_000);
        graph.turn(30, kind);
        let (_, runs) = runs(&mut graph, 60, &any_id());
        assert!(runs.iter().all(|run| run.lookup.inside.iter().count() <= 128), "{kind:?}");
    }
    // Everybody lies, for ever.
    let mut graph = Graph::new(7, 500);
    let (me, target) = (graph.somebody(), graph.random_id());
    graph.turn(100, Kind::Ladder);
    let run = graph.look_up(me, target, Rules { want: 100, ..any_id() });
    assert_eq!(run.lookup.stats().asked, 256);
}

#[test]
fn sybils_around_a_target_change_nothing_where_ids_must_go_with_addresses() {
    let mut graph = Graph::new(8, 3_000);
    graph.turn(10, Kind::Accomplice);
    let (mut right, mut caught) = (0, 0);
    for _ in 0..60 {
        let (me, target) = (graph.somebody(), graph.random_id());
        graph.surround(target, 64);
        let truth = graph.truth(target, 8, graph.nodes[me].id);
        let run = graph.look_up(me, target, Rules::default());
        right += run.found().iter().filter(|id| truth.contains(id)).count();
        assert!(run.lookup.stats().asked < 48);
        // Without the rule they would have it.
        let run = graph.look_up(me, target, any_id());
        caught += usize::from(run.found().iter().any(|id| shared_bits(*id, target) >= 60));
    }
    assert!(right * 100 >= 60 * 8 * 99, "{right}");
    assert!(caught > 20, "{caught}");
}
