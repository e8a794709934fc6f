use super::store::geometry;
use super::world::{TORRENT, World, handshake, seconds};
use bip::machine::{Machine, Output, Part, TorrentId};
use bip::peer::{Command, Config, Event, Gone, Selection, TorrentLimits};
use bip::proto::bitfield::Bitfield;
use bip::proto::id::{InfoHash, PieceIndex};
use bip::proto::message::Message;
use bip::select::PipelineConfig;
use std::time::Duration;

#[test]
fn a_store_that_stops_answering_stops_requests_then_reading_and_nothing_is_lost() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        let shape = geometry(64);
        // Enough is asked for at first to go far over the credit.
        let pipeline = PipelineConfig { min: 64, ..PipelineConfig::default() };
        let config = Config { store_credit: 256 << 10, pipeline, ..Config::default() };
        let (a, b) = (world.seed(Config::default(), shape), world.leech(config.clone(), shape));
        world.introduce(b, a);
        world.nodes[b].store.frozen = true;
        // A peer of another torrent, which the store's trouble is not to touch.
        let (torrent, info_hash) = (TorrentId(8), InfoHash([8; 20]));
        let have = Bitfield::new(shape.piece_count());
        world.command(
            b,
            Command::AddTorrent {
                torrent,
                info_hash,
                geometry: shape,
                have,
                download: true,
                selection: Selection::default(),
                limits: TorrentLimits::default(),
            },
        );
        let other = world.connect(b);
        let mut hello = handshake(1);
        hello[28..48].fill(8);
        world.write(other, &hello);
        for _ in 0..5 {
            world.run(seconds(100));
            world.send(other, &[Message::KeepAlive]);
        }
        world.run(seconds(1));
        let mut reading = world.is_reading(b);
        reading.sort();
        assert_eq!(reading, [false, true], "seed {seed}");
        let stored = world.nodes[b].store.stores * 16384;
        // Reading stops at twice the credit; what the host had read by then is still taken.
        assert!(stored >= 2 * config.store_credit, "seed {seed}: {stored}");
        assert!(stored <= 3 * config.store_credit, "seed {seed}: {stored}");
        // The peer kept the connection alive, but we did not read it: our own stop is not its silence.
        assert!(world.nodes[b].gone().is_empty(), "seed {seed}: {:?}", world.nodes[b].gone());
        world.nodes[b].store.frozen = false;
        assert!(world.run_until(seconds(60), |w| w.nodes[b].is_complete()), "seed {seed}");
        assert!(world.nodes[b].store.is_true());
    }
}

#[test]
fn a_slow_store_with_little_credit_completes_all_the_same() {
    let mut world = World::new(1);
    let shape = geometry(20);
    let config = Config { store_credit: 64 << 10, ..Config::default() };
    let (a, b) = (world.seed(Config::default(), shape), world.leech(config, shape));
    world.nodes[b].store.delay = Duration::from_millis(300);
    world.nodes[a].store.delay = Duration::from_millis(50);
    world.introduce(b, a);
    assert!(world.run_until(seconds(300), |w| w.nodes[b].is_complete()));
    assert!(world.nodes[b].store.is_true());
    assert_eq!(world.nodes[b].store.stores, 79);
}

#[test]
fn a_store_that_fails_is_given_the_block_again_but_not_at_once() {
    let mut world = World::new(1);
    let shape = geometry(3);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    world.nodes[b].store.failing = 30;
    world.introduce(b, a);
    world.run(seconds(4));
    assert!(world.nodes[b].store.stores <= 12, "{}", world.nodes[b].store.stores);
    assert!(world.run_until(seconds(60), |w| w.nodes[b].is_complete()));
    assert!(world.nodes[b].store.is_true());
}

#[test]
fn a_torrent_is_removed_after_the_last_answer_of_its_store_and_nothing_follows() {
    let mut world = World::new(1);
    let shape = geometry(20);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    world.introduce(b, a);
    world.run_until(seconds(5), |w| w.nodes[b].store.stores > 10);
    world.nodes[a].store.frozen = true;
    world.nodes[b].store.frozen = true;
    world.run(Duration::from_millis(20));
    for n in [a, b] {
        assert!(world.nodes[n].store.has_pending(), "node {n}");
        world.command(n, Command::RemoveTorrent { torrent: TORRENT });
        assert_eq!(world.nodes[n].gone().last(), Some(if n == a { &Gone::TorrentStopped } else { &Gone::Left }));
        let removed = Event::TorrentRemoved { torrent: TORRENT };
        world.run(seconds(30));
        assert!(!world.nodes[n].events.contains(&removed));
        world.nodes[n].store.frozen = false;
        world.run(seconds(30));
        assert_eq!(world.nodes[n].events.last(), Some(&removed), "node {n}");
        assert_eq!(world.nodes[n].connections(), 0);
    }
}

#[test]
fn pieces_are_announced_to_those_who_lack_them_and_figures_are_published_while_they_change() {
    let mut world = World::new(1);
    let shape = geometry(20);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Have(PieceIndex(3))]);
    world.introduce(b, a);
    assert!(world.run_until(seconds(20), |w| w.nodes[b].is_complete()));
    world.run(seconds(30));
    assert_eq!(world.count(raw, 4), 19);
    // Interested while piece 3 was missing, and not after.
    assert_eq!((world.count(raw, 2), world.count(raw, 3)), (1, 1));
    let status = world.nodes[b].status();
    assert_eq!((status.pieces_done, status.bytes_done), (20, shape.total_length()));
    assert_eq!((status.download_rate, status.time_left, status.peers), (0, None, 1));
    let before = world.nodes[b].events.len();
    world.run(seconds(50));
    assert_eq!(world.nodes[b].events.len(), before);
}

#[test]
fn the_same_seed_and_calls_give_the_same_outputs() {
    let run = |seed| {
        let mut world = World::new(seed);
        let shape = geometry(12);
        let nodes: Vec<usize> = (0..3).map(|_| world.leech(Config::default(), shape)).collect();
        let a = world.seed(Config::default(), shape);
        for n in &nodes {
            world.nodes[*n].keep_outputs = true;
            world.introduce(*n, a);
            world.introduce(*n, nodes[0]);
        }
        world.run(seconds(20));
        assert!(nodes.iter().all(|n| world.nodes[*n].is_complete()));
        let outputs: Vec<_> = nodes.iter().map(|n| std::mem::take(&mut world.nodes[*n].outputs)).collect();
        let events: Vec<_> = nodes.iter().map(|n| std::mem::take(&mut world.nodes[*n].events)).collect();
        (outputs, events)
    };
    assert!(run(5) == run(5));
    assert!(run(5).0 != run(6).0);
}

#[test]
fn pieces_that_are_verified_together_are_announced_in_one_write() {
    let mut world = World::new(1);
    let shape = geometry(20);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    world.shaken(b, 1);
    world.run(seconds(1));
    world.introduce(b, a);
    world.nodes[b].store.frozen = true;
    world.run_until(seconds(5), |w| w.nodes[b].store.stores > 60);
    let now = world.now;
    let node = &mut world.nodes[b];
    for (_, answer) in std::mem::take(&mut node.store.pending) {
        node.swarm.handle_command(now, answer);
    }
    let (mut buf, mut writes) = (Vec::new(), Vec::new());
    while let Some(output) = node.swarm.poll_output(&mut buf) {
        match output {
            Output::Write { conn, part: Part::Bytes(range) } => writes.push((conn, buf[range].to_vec())),
            other => panic!("{other:?}"),
        }
    }
    let mut conns: Vec<_> = writes.iter().map(|(conn, _)| *conn).collect();
    conns.sort();
    conns.dedup();
    assert_eq!(conns.len(), writes.len());
    let haves = |bytes: &Vec<u8>| bytes.chunks(9).all(|m| m.starts_with(&[0, 0, 0, 5, 4])) && bytes.len() > 9;
    assert_eq!(writes.iter().filter(|(_, bytes)| haves(bytes)).count(), 1, "{writes:?}");
}
