use super::download::{asked, piece};
use super::store::{content, geometry};
use super::world::{World, seconds, span};
use bip::peer::{Config, Event, Limits};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::BLOCK_LENGTH;
use bip::proto::message::Message;
use std::num::NonZeroU64;
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

/// Makes a leech whose only piece a liar spoiled; the liar is asked for nothing for long.
fn leech_of_a_suspect_piece(world: &mut World) -> usize {
    let shape = geometry(1);
    let b = world.leech(Config { parole: seconds(600), ..Config::default() }, shape);
    let liar = world.shaken(b, 1);
    world.send(liar, &[Message::Bitfield(Bitfield::full(1).as_bytes()), Message::Unchoke]);
    let mut served = 0;
    for _ in 0..20 {
        answer(world, liar, &vec![0; 65536], &mut served, 9);
        world.run(Duration::from_millis(100));
    }
    assert_eq!(world.nodes[b].store.bad_pieces, 1);
    b
}

#[test]
fn a_slow_owner_of_a_suspect_piece_gives_it_up_to_one_that_has_nothing_to_do() {
    let mut world = World::new(1);
    let truth = content(&geometry(1));
    let b = leech_of_a_suspect_piece(&mut world);
    let [slow, fast] = [2, 3].map(|id| world.shaken(b, id));
    let all = Bitfield::full(1);
    let mut served = [0; 2];
    // It answers one request, and then takes its time.
    world.send(slow, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    answer(&mut world, slow, &truth, &mut served[0], 1);
    world.run(seconds(1));
    world.send(fast, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    for _ in 0..150 {
        answer(&mut world, fast, &truth, &mut served[1], 9);
        world.run(Duration::from_millis(100));
    }
    assert!(world.nodes[b].is_complete() && world.nodes[b].store.is_true());
    // What the one had sent is not fetched again, and its other requests were taken back, once.
    assert_eq!((served, world.count(slow, 6), world.count(slow, 8)), ([1, 2], 3, 2));
    assert_eq!((world.nodes[b].store.bad_pieces, world.nodes[b].status().redundant), (1, 0));
}

#[test]
fn a_slow_owner_that_gave_its_piece_up_finishes_it_where_it_is_the_only_one_left() {
    let mut world = World::new(1);
    let truth = content(&geometry(1));
    let b = leech_of_a_suspect_piece(&mut world);
    let [slow, idle] = [2, 3].map(|id| world.shaken(b, id));
    let all = Bitfield::full(1);
    world.send(slow, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    world.send(idle, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(seconds(8));
    // All of it is the other one's, which gives nothing either: the first is not asked beside it, nor again before it is gone.
    assert_eq!((world.count(slow, 6), world.count(slow, 8), world.count(idle, 6)), (3, 3, 3));
    world.run(seconds(8));
    assert_eq!((world.count(slow, 6), world.count(idle, 8)), (3, 0));
    world.hang_up(idle);
    world.run(seconds(1));
    let again = asked(&world, slow).split_off(3);
    assert_eq!(again.len(), 3);
    again.into_iter().for_each(|span| world.send(slow, &[piece(&truth, span)]));
    world.run(seconds(1));
    assert!(world.nodes[b].is_complete() && world.nodes[b].store.is_true());
}

#[test]
fn a_liar_takes_a_suspect_piece_from_a_slow_honest_owner_a_few_times_and_no_more() {
    let mut world = World::new(1);
    let shape = geometry(1);
    let truth = content(&shape);
    // Nobody can be banned: all that helps is not to ask the liar.
    let b = world.leech(Config { max_bans: 0, ..Config::default() }, shape);
    let [slow, liar] = [1, 2].map(|id| world.shaken(b, id));
    for raw in [slow, liar] {
        world.send(raw, &[Message::Bitfield(Bitfield::full(1).as_bytes()), Message::Unchoke]);
    }
    let (mut served, mut lied) = (0, 0);
    for tenth in 0..6_000 {
        answer(&mut world, liar, &vec![0; 65536], &mut lied, 9);
        if tenth % 80 == 79 {
            answer(&mut world, slow, &truth, &mut served, 1);
        }
        world.run(Duration::from_millis(100));
    }
    assert!(world.nodes[b].is_complete(), "{} bad", world.nodes[b].store.bad_pieces);
    assert!(world.nodes[b].store.bad_pieces > 0 && world.nodes[b].store.is_true());
}

#[test]
fn what_a_peer_holds_that_is_not_read_because_of_its_own_requests_is_fetched_elsewhere() {
    // It takes what we send or not; we send as fast as may be, or at a low rate.
    for (reads, rate) in [(false, None), (true, NonZeroU64::new(16_384)), (false, NonZeroU64::new(16_384))] {
        let mut world = World::new(1);
        let shape = geometry(4);
        let truth = content(&shape);
        let limits = Limits { upload_rate: rate, ..Limits::default() };
        let config = Config { upload_queue: 8, limits, close_redundant: false, ..Config::default() };
        let b = world.member(config, shape, Bitfield::from_bytes(&[0x80], 4).unwrap());
        let greedy = world.shaken(b, 1);
        let all = Bitfield::full(4);
        world.send(greedy, &[Message::Bitfield(all.as_bytes()), Message::Unchoke, Message::Interested]);
        world.run(seconds(1));
        assert_eq!((world.count(greedy, 1), world.count(greedy, 6)), (1, 4));
        world.read(greedy, reads);
        world.send(greedy, &[Message::Request(span(0, 0, BLOCK_LENGTH)); 2_000]);
        world.run(seconds(1));
        assert_eq!(world.is_reading(b), [false], "{reads}, {rate:?}");
        let fast = world.shaken(b, 2);
        world.send(fast, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
        let mut served = 0;
        for _ in 0..200 {
            answer(&mut world, fast, &truth, &mut served, 9);
            world.run(Duration::from_millis(100));
        }
        assert!(world.nodes[b].is_complete(), "{reads}, {rate:?}: {served}");
        assert!(world.nodes[b].store.is_true() && !world.is_closed(greedy));
    }
}
