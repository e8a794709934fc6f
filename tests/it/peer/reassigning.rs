use super::download::{asked, piece};
use super::store::{content, geometry};
use super::world::{World, seconds};
use bip::peer::{Config, Event};
use bip::proto::bitfield::Bitfield;
use bip::proto::message::Message;
use std::time::Duration;

/// Has a peer that the test plays answer everything, or no more than some requests a call.
fn answer(world: &mut World, raw: usize, truth: &[u8], served: &mut usize, most: usize) {
    for span in asked(world, raw).into_iter().skip(*served).take(most) {
        world.send(raw, &[piece(truth, span)]);
        *served += 1;
    }
}

#[test]
fn peers_of_unequal_speed_finish_together_and_send_almost_nothing_twice() {
    // Bytes per second and milliseconds; the last ones are slow to the point of uselessness.
    let all: &[&[(u64, u64)]] = &[
        &[(2_000_000, 5), (500_000, 100), (50_000, 20), (5_000, 200), (1_000, 50)],
        &[(2_000_000, 5), (2_000_000, 5), (2_000_000, 5)],
    ];
    for (case, peers) in all.iter().enumerate() {
        for seed in 0..1 {
            let mut world = World::new(seed);
            world.window = 1 << 20;
            let shape = geometry(300);
            let config = Config { close_redundant: false, ..Config::default() };
            let b = world.leech(config.clone(), shape);
            for (up, delay) in peers.iter() {
                let a = world.seed(config.clone(), shape);
                (world.nodes[a].up, world.nodes[a].delay) = (Some(*up), Duration::from_millis(*delay));
                world.introduce(b, a);
            }
            let rate: u64 = peers.iter().map(|(up, _)| *up).sum();
            let fluid = Duration::from_millis(shape.total_length() * 1000 / rate);
            let start = world.now;
            let done = world.run_until(fluid * 2 + seconds(60), |w| w.nodes[b].is_complete());
            assert!(done && world.nodes[b].store.is_true(), "case {case}, seed {seed}");
            let took = world.now.since(start);
            // Whatever was on its way comes.
            world.run(seconds(30));
            let status = world.nodes[b].status();
            let share = 10_000 * status.redundant / status.downloaded;
            println!("case {case}, seed {seed}: {took:?} of {fluid:?}, {share} parts in 10,000 redundant");
            assert!(share < 100, "case {case}, seed {seed}: {} of {}", status.redundant, status.downloaded);
            assert!(took <= fluid * 2, "case {case}, seed {seed}: {took:?} of {fluid:?}");
        }
    }
}

#[test]
fn in_the_end_game_what_a_silent_peer_holds_is_fetched_elsewhere_within_seconds() {
    let mut world = World::new(1);
    let shape = geometry(8);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    let [fast, mute] = [1, 2].map(|id| world.shaken(b, id));
    let all = Bitfield::full(8);
    [mute, fast].iter().for_each(|raw| world.send(*raw, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]));
    let mut served = 0;
    for _ in 0..40 {
        answer(&mut world, fast, &truth, &mut served, 9);
        world.run(Duration::from_millis(100));
    }
    assert!(world.nodes[b].is_complete() && world.nodes[b].store.is_true());
    assert_eq!((served, world.count(mute, 6), world.count(mute, 8)), (31, 4, 4));
    assert_eq!(world.nodes[b].status().redundant, 0);
}

#[test]
fn a_peer_of_which_nothing_is_known_is_tried_where_another_is_silent() {
    let mut world = World::new(1);
    let b = world.leech(Config::default(), geometry(1));
    let [mute, idle] = [1, 2].map(|id| world.shaken(b, id));
    let all = Bitfield::full(1);
    world.send(mute, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    world.send(idle, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(seconds(2));
    assert_eq!((world.count(mute, 6), world.count(idle, 6)), (3, 0));
    world.run(seconds(2));
    // It is tried with one request, and gets no more before it has answered.
    assert_eq!((world.count(mute, 8), world.count(idle, 6)), (1, 1));
    world.run(seconds(5));
    assert_eq!((world.count(mute, 8), world.count(idle, 6)), (1, 1));
}

#[test]
fn a_silent_peer_holds_no_piece_hostage_in_the_midst_of_a_download() {
    let mut world = World::new(1);
    let shape = geometry(200);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    let [fast, mute] = [1, 2].map(|id| world.shaken(b, id));
    let all = Bitfield::full(200);
    world.send(mute, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(Duration::from_millis(50));
    let held = asked(&world, mute)[0];
    world.send(fast, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    let mut served = 0;
    for _ in 0..120 {
        answer(&mut world, fast, &truth, &mut served, 2);
        world.run(Duration::from_millis(100));
    }
    let done = |e: &Event| matches!(e, Event::PieceDone { piece, .. } if *piece == held.piece);
    assert!(world.nodes[b].events.iter().any(done) && !world.nodes[b].is_complete());
    // It comes after all, and is of no use.
    world.send(mute, &[piece(&truth, held)]);
    world.run(seconds(2));
    assert_eq!(world.nodes[b].status().redundant, 16_384);
}

#[test]
fn a_long_fast_link_is_filled_within_some_round_trips() {
    let mut world = World::new(1);
    (world.latency, world.window) = (Duration::from_millis(100), 8 << 20);
    let shape = geometry(480);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    world.nodes[a].up = Some(12_500_000);
    world.introduce(b, a);
    world.run(Duration::from_millis(2_600));
    let before = world.nodes[b].store.stores;
    world.run(seconds(1));
    let bytes = (world.nodes[b].store.stores - before) * 16_384;
    assert!(bytes >= 12_500_000 * 9 / 10, "{bytes} bytes in a second");
}

#[test]
fn a_slow_owner_of_a_suspect_piece_gives_it_up_to_one_that_has_nothing_to_do() {
    let mut world = World::new(1);
    let shape = geometry(1);
    let (truth, lies) = (content(&shape), vec![0; 65536]);
    let b = world.leech(Config { parole: seconds(600), ..Config::default() }, shape);
    let [liar, slow, fast] = [1, 2, 3].map(|id| world.shaken(b, id));
    let all = Bitfield::full(1);
    let mut served = [0; 3];
    world.send(liar, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    for _ in 0..20 {
        answer(&mut world, liar, &lies, &mut served[0], 9);
        world.run(Duration::from_millis(100));
    }
    assert_eq!(world.nodes[b].store.bad_pieces, 1);
    // It answers one request, and then takes its time.
    world.send(slow, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    answer(&mut world, slow, &truth, &mut served[1], 1);
    world.run(seconds(1));
    world.send(fast, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    for _ in 0..150 {
        answer(&mut world, fast, &truth, &mut served[2], 9);
        world.run(Duration::from_millis(100));
    }
    assert!(world.nodes[b].is_complete() && world.nodes[b].store.is_true());
    assert_eq!((served[1], world.nodes[b].store.bad_pieces), (1, 1));
}
