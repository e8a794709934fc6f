use super::download::{asked, piece};
use super::store::{content, geometry};
use super::world::{TORRENT, World, seconds, span};
use bip::peer::{Command, Config, Limits, TorrentLimits};
use bip::proto::bitfield::Bitfield;
use bip::proto::message::Message;
use std::num::NonZeroU64;

fn slots(upload_slots: usize, optimistic_slots: usize) -> Limits {
    Limits { upload_slots, optimistic_slots, ..Limits::default() }
}

fn config(upload_slots: usize, optimistic_slots: usize) -> Config {
    Config { limits: slots(upload_slots, optimistic_slots), ..Config::default() }
}

fn is_served(world: &World, raw: usize) -> bool {
    world.count(raw, 1) > world.count(raw, 0)
}

#[test]
fn who_gives_is_served_and_free_riders_share_the_optimistic_slot() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        let shape = geometry(200);
        let truth = content(&shape);
        let mut have = Bitfield::full(200);
        (1..200).for_each(|piece| {
            have.remove(bip::proto::id::PieceIndex(piece));
        });
        let b = world.member(config(2, 1), shape, have);
        let riders = [11, 12, 13, 14].map(|id| world.shaken(b, id));
        let givers = [1, 2].map(|id| world.shaken(b, id));
        riders.iter().for_each(|raw| world.send(*raw, &[Message::Interested]));
        world.run(seconds(1));
        let all = Bitfield::full(200);
        for raw in givers {
            world.send(raw, &[Message::Bitfield(all.as_bytes()), Message::Unchoke, Message::Interested]);
        }
        let (mut tried, mut given) = ([0; 4], [0; 2]);
        for second in 0..300 {
            world.run(seconds(1));
            for (raw, given) in givers.iter().zip(&mut given) {
                if let Some(span) = asked(&world, *raw).get(*given) {
                    world.send(*raw, &[piece(&truth, *span)]);
                    *given += 1;
                }
            }
            riders.iter().for_each(|raw| world.send(*raw, &[Message::KeepAlive]));
            // The first round ends after 10 s, the second shows who gives.
            if second > 21 {
                assert!(givers.iter().all(|raw| is_served(&world, *raw)), "seed {seed}, {second} s");
                let served: Vec<bool> = riders.iter().map(|raw| is_served(&world, *raw)).collect();
                assert_eq!(served.iter().filter(|s| **s).count(), 1, "seed {seed}, {second} s");
                (0..4).filter(|k| served[*k]).for_each(|k| tried[k] += 1);
            }
        }
        assert!(tried.iter().filter(|n| **n >= 29).count() >= 3, "seed {seed}: {tried:?}");
        assert!(given.iter().all(|n| *n > 250), "{given:?}");
    }
}

#[test]
fn a_snubbed_peer_loses_its_slot_until_it_sends_again() {
    let mut world = World::new(1);
    let shape = geometry(8);
    let truth = content(&shape);
    let b = world.member(config(1, 0), shape, Bitfield::from_bytes(&[0x80], 8).unwrap());
    let (mute, rider) = (world.shaken(b, 1), world.shaken(b, 2));
    let all = Bitfield::full(8);
    world.send(mute, &[Message::Bitfield(all.as_bytes()), Message::Unchoke, Message::Interested]);
    world.send(rider, &[Message::Interested]);
    let mut turns = 0;
    for second in 0..200 {
        world.run(seconds(1));
        [mute, rider].iter().for_each(|raw| world.send(*raw, &[Message::KeepAlive]));
        // Neither gives anything: they take turns, until the one counts as snubbing us.
        turns += u32::from(second < 60 && is_served(&world, mute));
        assert!(second < 75 || is_served(&world, rider) && !is_served(&world, mute), "{second} s");
    }
    assert!((10..60).contains(&turns), "{turns}");
    let last = *asked(&world, mute).last().unwrap();
    world.send(mute, &[piece(&truth, last)]);
    world.run(seconds(11));
    assert!(is_served(&world, mute) && !is_served(&world, rider));
}

#[test]
fn a_seed_serves_all_in_turns_and_nobody_waits_longer_than_its_share() {
    let mut world = World::new(1);
    let a = world.seed(config(1, 1), geometry(8));
    let raws = [1, 2, 3, 4, 5].map(|id| world.shaken(a, id));
    raws.iter().for_each(|raw| world.send(*raw, &[Message::Interested]));
    let mut waited = [0; 5];
    for second in 0..600 {
        world.run(seconds(1));
        assert_eq!(raws.iter().filter(|raw| is_served(&world, **raw)).count(), 2);
        for (raw, waited) in raws.iter().zip(&mut waited) {
            world.send(*raw, &[Message::KeepAlive]);
            *waited = if is_served(&world, *raw) { 0 } else { *waited + 1 };
            // Three wait for two slots: two turns of at most 40 s.
            assert!(*waited <= 81, "{second} s");
        }
    }
    assert!(raws.iter().all(|raw| world.count(*raw, 1) >= 5));
}

#[test]
fn slots_can_be_changed_at_any_time_for_all_and_for_one_torrent() {
    let mut world = World::new(1);
    let a = world.seed(config(1, 0), geometry(8));
    let raws = [1, 2, 3].map(|id| world.shaken(a, id));
    raws.iter().for_each(|raw| world.send(*raw, &[Message::Interested]));
    world.run(seconds(1));
    let served = |world: &World| raws.iter().filter(|raw| is_served(world, **raw)).count();
    assert_eq!(served(&world), 1);
    world.command(a, Command::SetLimits { limits: slots(2, 1) });
    world.run(seconds(1));
    assert_eq!(served(&world), 3);
    let limits = TorrentLimits { upload_slots: Some(0), ..TorrentLimits::default() };
    world.command(a, Command::SetTorrentLimits { torrent: TORRENT, limits });
    world.run(seconds(1));
    assert_eq!(served(&world), 1);
    world.command(a, Command::SetLimits { limits: slots(9, 0) });
    world.run(seconds(1));
    assert_eq!(served(&world), 0);
}

#[test]
fn a_peer_that_keeps_us_from_reading_it_by_its_requests_counts_as_one_that_sends_nothing() {
    let mut world = World::new(1);
    let shape = geometry(8);
    // So slow that its queue stays full.
    let limits = Limits { upload_rate: NonZeroU64::new(16_384), ..slots(1, 0) };
    let config = Config { upload_queue: 8, limits, ..Config::default() };
    let b = world.member(config, shape, Bitfield::from_bytes(&[0x80], 8).unwrap());
    let (greedy, rider) = (world.shaken(b, 1), world.shaken(b, 2));
    let all = Bitfield::full(8);
    world.send(greedy, &[Message::Bitfield(all.as_bytes()), Message::Unchoke, Message::Interested]);
    world.send(rider, &[Message::Interested]);
    for second in 0..240 {
        world.send(greedy, &[Message::Request(span(0, 0, 16_384)); 40]);
        world.run(seconds(1));
        world.send(rider, &[Message::KeepAlive]);
        assert!(second < 120 || is_served(&world, rider) && !is_served(&world, greedy), "{second} s");
    }
    assert!(world.count(greedy, 1) > 0);
}
