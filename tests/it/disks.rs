//! Whole sessions on disks that fill up, lose their power or are filled by others: what is verified stays, and the rest comes.

use crate::sim::{Link, World};
use crate::swarm::{Content, HOUR, Node, ROOT, content, with_seeds};
use bip::disk::{Call, Checked, Fault, FileSystem as _, Memory, Operation};
use bip::machine::{Rng, TorrentId};
use bip::session::{Command, Config, Event, Placement, Spec, State};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn resuming(content: &Content) -> Command {
    let spec = Spec { resume: Some("/state/torrent".into()), ..content.spec() };
    Command::Add { torrent: TorrentId(0), spec }
}

fn again(world: &mut World, memory: Memory, content: &Content) -> Node {
    let node = Node::with_memory(world, Placement::TOGETHER, memory, &Config::default());
    node.send(resuming(content));
    node
}

/// Gives how the torrent was checked, and how many of its pieces were there.
fn added(node: &Node) -> (Checked, u32) {
    let found = node.events.iter().find_map(|event| match event {
        Event::Added { checked, pieces_done, .. } => Some((*checked, *pieces_done)),
        _ => None,
    });
    found.expect("it was added")
}

fn downloaded(node: &Node) -> u64 {
    node.session.board.status(TorrentId(0)).expect("it is there").swarm.downloaded
}

fn shut_down(world: &mut World, node: &mut Node) {
    node.send(Command::ShutDown);
    let ended = world.run_until(HOUR, |_| {
        node.read();
        node.events.contains(&Event::ShutDown)
    });
    assert!(ended, "the session did not end");
}

#[test]
fn a_full_disk_uploads_what_it_has_and_goes_on_by_itself_when_there_is_room() {
    let name = "a_full_disk_uploads_what_it_has_and_goes_on_by_itself_when_there_is_room";
    with_seeds(name, 8, |seed| {
        let mut world = World::new(seed, Link { rate: 200_000, ..Link::default() });
        let content = content(1, 16 * 1024);
        let seeder = Node::new(&mut world, Placement::TOGETHER);
        content.put(&seeder.memory);
        seeder.add(0, &content);
        let mut leecher = Node::new(&mut world, Placement::APART);
        leecher.add(0, &content);
        leecher.peer(0, &seeder);
        world.run_until(SECOND, |_| leecher.pieces(0) > 3);
        leecher.memory.set_faults(|call: Call<'_>| {
            (call.operation == Operation::Writing).then_some(Fault::Error(ErrorKind::StorageFull))
        });
        let failed = world.run_until(HOUR, |_| matches!(leecher.state(0), Some(State::Failed(_))));
        let got = leecher.pieces(0);
        assert!(failed && got > 3);
        // Another that knows only the one that is full gets all that is there.
        let other = Node::new(&mut world, Placement::TOGETHER);
        other.add(0, &content);
        other.peer(0, &leecher);
        assert!(world.run_until(HOUR, |_| other.pieces(0) >= got), "{} of {got}", other.pieces(0));
        leecher.read();
        let failures = leecher.events.iter().filter(|e| matches!(e, Event::Failed { .. })).count();
        let before = downloaded(&leecher);
        world.run_until(HOUR, |_| false);
        leecher.read();
        let later = leecher.events.iter().filter(|e| matches!(e, Event::Failed { .. })).count();
        // Twice as long each time, and then every ten minutes; and hardly anything is fetched for nothing.
        assert!((3..=14).contains(&(later - failures)), "{failures} {later}");
        assert!(downloaded(&leecher) - before < 14 * 600_000);
        assert!(matches!(leecher.state(0), Some(State::Failed(_))));
        leecher.memory.clear_faults();
        assert!(world.run_until(Duration::from_secs(700), |_| leecher.completed(0)), "{:?}", leecher.state(0));
        assert!(content.is_in(&leecher.memory));
        assert!(!leecher.events.iter().any(|e| matches!(e, Event::Paused { .. } | Event::Resumed { .. })));
    });
}

#[test]
fn a_disk_that_cannot_be_read_stops_its_torrent_and_goes_on_by_itself() {
    let name = "a_disk_that_cannot_be_read_stops_its_torrent_and_goes_on_by_itself";
    with_seeds(name, 6, |seed| {
        let mut world = World::new(seed, Link { rate: 200_000, ..Link::default() });
        let content = content(1, 16 * 1024);
        let mut config = Config::default();
        config.disk.read_failures = 2;
        let mut seeder = Node::with_memory(&mut world, Placement::APART, Memory::new(), &config);
        content.put(&seeder.memory);
        seeder.add(0, &content);
        assert!(world.run_until(HOUR, |_| seeder.completed(0)));
        let mut leecher = Node::new(&mut world, Placement::TOGETHER);
        leecher.add(0, &content);
        leecher.peer(0, &seeder);
        seeder.memory.set_faults(|call: Call<'_>| {
            (call.operation == Operation::Reading).then_some(Fault::Error(ErrorKind::Other))
        });
        assert!(world.run_until(HOUR, |_| matches!(seeder.state(0), Some(State::Failed(_)))));
        seeder.memory.clear_faults();
        assert!(world.run_until(HOUR, |_| leecher.completed(0)));
        seeder.read();
        assert!(seeder.events.iter().any(|e| matches!(e, Event::ReadFailed { .. })));
        assert_eq!(seeder.state(0), Some(State::Seeding));
    });
}

#[test]
fn a_session_that_ended_in_order_starts_again_where_it_was_and_fetches_nothing_twice() {
    let name = "a_session_that_ended_in_order_starts_again_where_it_was_and_fetches_nothing_twice";
    with_seeds(name, 12, |seed| {
        let mut world = World::new(seed, Link { rate: 100_000, ..Link::default() });
        let content = content(1, 64 * 1024);
        let seeder = Node::new(&mut world, Placement::TOGETHER);
        content.put(&seeder.memory);
        seeder.add(0, &content);
        let memory = Memory::losing_power();
        let mut fetched = BTreeSet::new();
        for round in 0..4 {
            let mut leecher = again(&mut world, memory.clone(), &content);
            leecher.peer(0, &seeder);
            if round < 3 {
                world.run_until(SECOND * (1 + seed as u32 % 3), |_| false);
            } else {
                assert!(world.run_until(HOUR, |_| leecher.completed(0)));
            }
            leecher.read();
            let expected = if round == 0 { Checked::Full } else { Checked::Sampled };
            assert_eq!(added(&leecher).0, expected, "round {round}");
            shut_down(&mut world, &mut leecher);
            for event in &leecher.events {
                if let Event::PieceDone { piece, .. } = event {
                    assert!(fetched.insert(*piece), "round {round}: piece {piece} is fetched again");
                }
            }
            world.cut(leecher.host);
        }
        assert!(content.is_in(&memory));
        assert_eq!(fetched.len() as u32, content.layout.geometry().piece_count());
        let mut last = again(&mut world, memory.lose_power(&mut Rng::new(seed)), &content);
        assert!(world.run_until(HOUR, |_| last.completed(0)));
        assert_eq!(added(&last), (Checked::Sampled, content.layout.geometry().piece_count()));
    });
}

#[test]
fn a_loss_of_power_at_any_time_costs_a_check_and_never_a_wrong_byte() {
    let name = "a_loss_of_power_at_any_time_costs_a_check_and_never_a_wrong_byte";
    with_seeds(name, 30, |seed| {
        let mut world = World::new(seed, Link { rate: 60_000, ..Link::default() });
        let content = content(1, 32 * 1024);
        let seeder = Node::new(&mut world, Placement::TOGETHER);
        content.put(&seeder.memory);
        seeder.add(0, &content);
        let mut memory = Memory::losing_power();
        let mut config = Config::default();
        config.disk.save_interval = Duration::from_millis(300);
        for _ in 0..4 {
            let mut leecher = Node::with_memory(&mut world, Placement::TOGETHER, memory.clone(), &config);
            leecher.send(resuming(&content));
            leecher.peer(0, &seeder);
            let life = Duration::from_millis(u64::from(world.rng().below(3_000)));
            world.run_until(life, |_| false);
            leecher.read();
            world.cut(leecher.host);
            world.hosts[leecher.host].crash();
            memory = memory.lose_power(world.rng());
        }
        let mut leecher = again(&mut world, memory.clone(), &content);
        leecher.peer(0, &seeder);
        assert!(world.run_until(HOUR, |_| leecher.completed(0)), "{:?}", leecher.state(0));
        assert!(content.is_in(&memory));
    });
}

#[test]
fn a_file_that_is_cut_while_it_is_seeded_is_fetched_again_from_others() {
    let name = "a_file_that_is_cut_while_it_is_seeded_is_fetched_again_from_others";
    with_seeds(name, 6, |seed| {
        let mut world = World::new(seed, Link { rate: 200_000, ..Link::default() });
        let content = content(1, 16 * 1024);
        let mut nodes: Vec<Node> = (0..3).map(|_| Node::new(&mut world, Placement::TOGETHER)).collect();
        for node in &nodes[..2] {
            content.put(&node.memory);
        }
        nodes.iter().for_each(|node| node.add(0, &content));
        world.run_until(SECOND, |_| false);
        let long = &content.layout.files()[2].path;
        nodes[0].memory.create(Path::new(ROOT), long, 0).unwrap().set_len(50_000).unwrap();
        nodes[2].peer(0, &nodes[0]);
        world.run_until(HOUR, |_| false);
        nodes[0].read();
        let lost = nodes[0].events.iter().filter(|e| matches!(e, Event::PieceLost { .. })).count();
        assert!(
            lost > 8 && nodes[2].pieces(0) as usize + lost == content.layout.geometry().piece_count() as usize,
            "{lost}"
        );
        for (from, to) in [(0, 1), (2, 1)] {
            nodes[from].peer(0, &nodes[to]);
        }
        assert!(world.run_until(HOUR, |_| nodes[2].completed(0) && nodes[0].state(0) == Some(State::Seeding)));
        assert!(content.is_in(&nodes[0].memory) && content.is_in(&nodes[2].memory));
    });
}
