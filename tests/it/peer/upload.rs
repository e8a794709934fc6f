use super::store::geometry;
use super::world::{World, seconds, span};
use bip::peer::{Config, Gone, Limits};
use bip::proto::geometry::Span;
use bip::proto::message::Message;
use std::time::Duration;

fn requests(count: usize) -> Vec<Span> {
    (0..count).map(|k| span((k / 4 % 50) as u32, (k % 4) as u32 * 16384, 16384)).collect()
}

/// A seed, and a peer of it that is unchoked and has read that.
fn served(world: &mut World, config: Config) -> (usize, usize) {
    let a = world.seed(config, geometry(60));
    let raw = world.shaken(a, 1);
    world.send(raw, &[Message::Interested]);
    world.run(seconds(1));
    assert_eq!(world.count(raw, 1), 1);
    (a, raw)
}

#[test]
fn three_thousand_requests_without_reading_stop_the_connection_and_are_all_answered_in_the_end() {
    let mut world = World::new(1);
    let (a, raw) = served(&mut world, Config::default());
    world.read(raw, false);
    for span in requests(3000) {
        world.send(raw, &[Message::Request(span)]);
    }
    world.run(seconds(5));
    assert_eq!(world.is_reading(a), [false]);
    // No more is loaded than the watermark allows, and a block on either side of it.
    let watermark = Config::default().send_watermark;
    assert!(world.nodes[a].store.loads * 16384 <= 3 * watermark, "{}", world.nodes[a].store.loads);
    // The window is in the way of nothing that was queued.
    world.read(raw, true);
    world.run(seconds(60));
    assert_eq!(world.count(raw, 7), 3000);
    assert_eq!(world.is_reading(a), [true]);
    assert_eq!(world.nodes[a].store.loads, 3000);
}

#[test]
fn a_peer_that_never_reads_is_dropped_as_silent() {
    let mut world = World::new(1);
    let (a, raw) = served(&mut world, Config::default());
    world.read(raw, false);
    for span in requests(5000) {
        world.send(raw, &[Message::Request(span)]);
    }
    world.run(seconds(590));
    assert!(world.nodes[a].gone().is_empty());
    world.run(seconds(80));
    assert_eq!(world.nodes[a].gone(), [Gone::Silent]);
}

#[test]
fn a_peer_with_a_full_queue_that_reads_a_kilobyte_a_second_is_not_silent() {
    let mut world = World::new(1);
    let (a, raw) = served(&mut world, Config::default());
    for span in requests(3000) {
        world.send(raw, &[Message::Request(span)]);
    }
    for _ in 0..20 {
        // What is on its way comes, and no more.
        world.read(raw, true);
        world.run(Duration::ZERO);
        world.read(raw, false);
        world.run(seconds(100));
        assert_eq!(world.is_reading(a), [false]);
    }
    assert!(world.nodes[a].gone().is_empty());
}

#[test]
fn exactly_as_many_requests_as_are_queued_do_not_stop_the_connection() {
    let mut world = World::new(1);
    let (a, raw) = served(&mut world, Config::default());
    world.nodes[a].store.frozen = true;
    for span in requests(2000) {
        world.send(raw, &[Message::Request(span)]);
    }
    world.run(seconds(5));
    assert_eq!(world.is_reading(a), [true]);
    // Four of them are with the store, which makes room for as many.
    for span in requests(40) {
        world.send(raw, &[Message::Request(span)]);
    }
    world.run(seconds(5));
    assert_eq!(world.is_reading(a), [false]);
    world.nodes[a].store.frozen = false;
    world.run(seconds(5));
    assert_eq!((world.is_reading(a), world.count(raw, 7)), (vec![true], 2040));
}

#[test]
fn requests_for_single_bytes_load_no_more_at_a_time_than_requests_for_blocks() {
    let mut world = World::new(1);
    let (a, raw) = served(&mut world, Config::default());
    world.nodes[a].store.frozen = true;
    for k in 0..60_000 {
        world.send(raw, &[Message::Request(span(k % 50, k / 50, 1))]);
    }
    world.run(seconds(5));
    assert_eq!((world.nodes[a].store.loads, world.is_reading(a)), (4, vec![false]));
    world.nodes[a].store.frozen = false;
    assert!(world.run_until(seconds(60), |w| w.nodes[a].store.loads == 60_000));
    assert!(!world.is_closed(raw));
}

#[test]
fn a_peer_with_a_full_queue_that_reads_now_and_then_is_not_silent() {
    let mut world = World::new(1);
    let (a, raw) = served(&mut world, Config::default());
    for span in requests(5000) {
        world.send(raw, &[Message::Request(span)]);
    }
    for _ in 0..5 {
        world.read(raw, true);
        world.run(Duration::from_millis(20));
        world.read(raw, false);
        world.run(seconds(50));
        assert_eq!(world.is_reading(a), [false]);
    }
    assert!(world.nodes[a].gone().is_empty());
}

#[test]
fn cancelled_requests_are_not_answered() {
    let mut world = World::new(1);
    let (a, raw) = served(&mut world, Config::default());
    world.nodes[a].store.frozen = true;
    for span in requests(1000) {
        world.send(raw, &[Message::Request(span)]);
    }
    // A storm of cancels: each request's own, and many for nothing.
    for span in requests(1000).into_iter().skip(3).rev() {
        world.send(raw, &[Message::Cancel(span), Message::Cancel(span), Message::Cancel(span)]);
    }
    world.run(seconds(2));
    world.nodes[a].store.frozen = false;
    world.run(seconds(5));
    assert!(!world.is_closed(raw));
    let blocks = world.count(raw, 7);
    // 200 different blocks were asked for five times each, and up to three times cancelled for each ask.
    assert!(blocks <= 3 * 5, "{blocks}");
    // What is asked for afterwards is answered.
    world.send(raw, &[Message::Request(span(7, 0, 100))]);
    world.run(seconds(2));
    assert_eq!(world.count(raw, 7), blocks + 1);
}

#[test]
fn a_choked_peers_requests_are_not_answered_and_a_free_slot_is_given_at_once() {
    let mut world = World::new(1);
    let config =
        Config { limits: Limits { upload_slots: 1, optimistic_slots: 0, ..Limits::default() }, ..Config::default() };
    let (a, first) = served(&mut world, config);
    let second = world.shaken(a, 2);
    world.send(second, &[Message::Interested, Message::Request(span(0, 0, 16384))]);
    world.run(seconds(1));
    assert_eq!((world.count(second, 1), world.count(second, 7)), (0, 0));
    world.hang_up(first);
    world.run(seconds(1));
    assert_eq!(world.count(second, 1), 1);
    world.send(second, &[Message::Request(span(0, 0, 16384))]);
    world.run(seconds(1));
    assert_eq!(world.count(second, 7), 1);
}

#[test]
fn slots_go_round_and_a_peer_that_is_choked_has_its_queue_dropped() {
    let mut world = World::new(1);
    let config =
        Config { limits: Limits { upload_slots: 1, optimistic_slots: 0, ..Limits::default() }, ..Config::default() };
    let (a, first) = served(&mut world, config);
    world.nodes[a].store.frozen = true;
    for span in requests(100) {
        world.send(first, &[Message::Request(span)]);
    }
    let second = world.shaken(a, 2);
    world.send(second, &[Message::Interested]);
    world.run(seconds(45));
    assert!(world.count(first, 0) >= 1 && world.count(second, 1) >= 1);
    world.nodes[a].store.frozen = false;
    world.run(seconds(1));
    assert_eq!(world.count(first, 7), 0);
}

#[test]
fn a_block_that_cannot_be_read_closes_the_connection() {
    let mut world = World::new(1);
    let (a, raw) = served(&mut world, Config::default());
    world.nodes[a].store.unreadable = true;
    world.send(raw, &[Message::Request(span(0, 0, 16384))]);
    world.run(seconds(1));
    assert!(matches!(world.nodes[a].gone()[..], [Gone::Failed(_)]));
}
