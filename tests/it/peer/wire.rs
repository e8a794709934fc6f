//! What a hostile peer may send, at the widest: floods, storms, and the largest messages that are allowed.

use super::store::{content, geometry};
use super::world::{HASH, TORRENT, World, handshake, seconds, span};
use bip::machine::{ConnId, Input, Instant, Machine, Output, Rng, Secret};
use bip::peer::{Command, Config, Event, Gone, Refusal, Selection, Swarm, TorrentLimits, Violation};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::{BLOCK_LENGTH, Geometry};
use bip::proto::id::PieceIndex;
use bip::proto::message::{HashSpan, Hashes, Message};
use std::net::SocketAddr;

#[test]
fn a_message_of_four_gib_is_refused_at_its_length_however_slowly_it_comes() {
    for length in [u32::MAX, u32::MAX - 3, 1 << 31, 1 << 24, (128 << 10) + 2] {
        let mut world = World::new(u64::from(length));
        let b = world.leech(Config::default(), geometry(4));
        let raw = world.shaken(b, 1);
        let bytes = length.to_be_bytes();
        for byte in &bytes[..3] {
            world.write(raw, &[*byte]);
            world.run(seconds(30));
            assert!(!world.is_closed(raw), "{length}");
        }
        world.write(raw, &bytes[3..]);
        world.run(seconds(1));
        assert_eq!(world.nodes[b].gone(), [Gone::Violation(Violation::Malformed)], "{length}");
    }
}

#[test]
fn a_length_that_never_comes_to_its_end_is_silence() {
    let mut world = World::new(1);
    let b = world.leech(Config::default(), geometry(4));
    let raw = world.shaken(b, 1);
    world.write(raw, &[0, 0]);
    world.run(seconds(121));
    assert_eq!(world.nodes[b].gone(), [Gone::Silent]);
}

#[test]
fn piece_numbers_and_ranges_outside_the_torrent_close_the_connection_and_reach_nobody() {
    let pieces = 4;
    let truth = content(&geometry(pieces));
    let last = geometry(pieces).length_of(PieceIndex(pieces - 1));
    let outside = [
        (pieces, 0),
        (pieces + 1, 0),
        (u32::MAX, 0),
        (u32::MAX / 65536 + 1, 0),
        (0, 65536),
        (0, u32::MAX),
        (0, u32::MAX - BLOCK_LENGTH + 1),
        (pieces - 1, last),
        (pieces - 1, last - 1),
        (u32::MAX, u32::MAX),
    ];
    for (piece, begin) in outside {
        let data = &truth[..BLOCK_LENGTH as usize];
        let request = span(piece, begin, BLOCK_LENGTH);
        let messages = [
            Message::Have(PieceIndex(piece)),
            Message::Piece { piece: PieceIndex(piece), begin, data },
            Message::Request(request),
            Message::Cancel(request),
        ];
        for message in messages {
            let legal = match message {
                Message::Have(_) => piece < pieces,
                // There is nothing to take back, and no harm in it.
                Message::Cancel(_) => true,
                _ => false,
            };
            let mut world = World::new(1);
            let (a, b) =
                (world.seed(Config::default(), geometry(pieces)), world.leech(Config::default(), geometry(pieces)));
            for n in [a, b] {
                let raw = world.shaken(n, 1);
                world.send(raw, &[Message::Unchoke, Message::Interested]);
                world.run(seconds(1));
                world.send(raw, &[message]);
                world.run(seconds(1));
                assert_eq!(world.is_closed(raw), !legal, "{message:?}");
                assert_eq!((world.nodes[n].store.stores, world.nodes[n].store.loads), (0, 0), "{message:?}");
                if !legal {
                    assert_eq!(world.nodes[n].gone(), [Gone::Violation(Violation::OutOfRange)], "{message:?}");
                }
            }
            world.introduce(b, a);
            assert!(world.run_until(seconds(100), |w| w.nodes[b].is_complete()), "{message:?}");
        }
    }
}

#[test]
fn messages_of_the_fast_extension_that_we_never_offered_change_nothing_whatever_they_name() {
    let mut world = World::new(1);
    let shape = geometry(4);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    let raw = world.shaken(b, 1);
    for id in [13u8, 14, 15, 16, 17, 21, 22, 23, 255] {
        for number in [0, 4, u32::MAX] {
            let mut bytes = vec![0, 0, 0, 13, id];
            (0..3).for_each(|_| bytes.extend(u32::to_be_bytes(number)));
            world.write(raw, &bytes);
        }
    }
    world.introduce(b, a);
    assert!(world.run_until(seconds(100), |w| w.nodes[b].is_complete()));
    assert!(!world.is_closed(raw));
}

#[test]
fn hashes_and_requests_for_them_mean_nothing_in_a_torrent_of_version_1() {
    let shape = geometry(4);
    let root = [0xab; 32];
    let ask =
        |base_layer, index, length, proof_layers| HashSpan { root: &root, base_layer, index, length, proof_layers };
    let spans = [ask(0, 0, 2, 0), ask(0, 0, 512, 10), ask(1, 512, 2, 9), ask(u32::MAX, u32::MAX, u32::MAX, u32::MAX)];
    let most = vec![[1; 32]; 1024].concat();
    let mut world = World::new(1);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    let raws = [a, b].map(|n| {
        let raw = world.shaken(n, 1);
        world.send(raw, &[Message::Interested, Message::Unchoke]);
        world.run(seconds(1));
        let before = world.messages(raw).len();
        for span in spans {
            let fields = span.to_bytes();
            // Unasked for: none, one, as many as were never asked for; and neither a request nor a reject is answered.
            for hashes in [&most[..0], &most[..32], &most] {
                world.send(raw, &[Message::Hashes(Hashes::new(&fields, hashes).unwrap())]);
            }
            world.send(raw, &[Message::HashRequest(span), Message::HashReject(span)]);
        }
        world.run(seconds(1));
        assert!(!world.is_closed(raw), "{:?}", world.nodes[n].gone());
        assert_eq!(world.messages(raw).len(), before, "something was answered");
        assert_eq!(world.nodes[n].store.stores, 0);
        raw
    });
    // The connection is what it was: it is served, and the torrent comes from another.
    world.send(raws[0], &[Message::Request(span(0, 0, 100))]);
    world.introduce(b, a);
    assert!(world.run_until(seconds(100), |w| w.nodes[b].is_complete()));
    assert_eq!(world.count(raws[0], 7), 1);
    assert!(raws.iter().all(|raw| !world.is_closed(*raw)));
}

#[test]
fn more_hashes_than_a_message_may_have_close_the_connection_before_they_come() {
    let config = Config::default();
    let longest = config.longest_message;
    for (length, legal) in [(longest + 1, true), (longest + 2, false)] {
        let mut world = World::new(1);
        let b = world.leech(config.clone(), geometry(4));
        let raw = world.shaken(b, 1);
        world.write(raw, &[&length.to_be_bytes()[..], &[22]].concat());
        world.run(seconds(1));
        assert_eq!(world.is_closed(raw), !legal, "{length}");
        let gone = if legal { vec![] } else { vec![Gone::Violation(Violation::Malformed)] };
        assert_eq!(world.nodes[b].gone(), gone, "{length}");
    }
}

#[test]
fn a_flood_of_the_same_request_from_a_peer_that_does_not_read_is_bounded_and_delays_nobody() {
    let mut world = World::new(1);
    let shape = geometry(4);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    let raw = world.shaken(a, 1);
    world.send(raw, &[Message::Interested]);
    world.run(seconds(1));
    world.read(raw, false);
    let request = span(0, 0, BLOCK_LENGTH);
    for _ in 0..10 {
        world.send(raw, &[Message::Request(request); 1000]);
    }
    world.run(seconds(5));
    // What was asked of the store is what may wait to be sent to one peer, and what the stream has taken.
    let loads = world.nodes[a].store.loads;
    assert!(loads <= 50, "{loads}");
    assert_eq!(world.is_reading(a), [false]);
    world.introduce(b, a);
    assert!(world.run_until(seconds(20), |w| w.nodes[b].is_complete()));
    // Once it reads, it is served, request by request.
    world.read(raw, true);
    assert!(world.run_until(seconds(100), |w| w.raws[&raw].got.len() >= 300 * 16384));
    assert_eq!(world.nodes[a].gone().iter().filter(|gone| matches!(gone, Gone::Violation(_))).count(), 0);
}

#[test]
fn a_storm_of_requests_and_cancels_is_taken_in_and_costs_the_store_little() {
    for seed in 0..5 {
        let mut world = World::new(seed);
        let mut rng = Rng::new(seed);
        let a = world.seed(Config::default(), geometry(4));
        let raw = world.shaken(a, 1);
        world.send(raw, &[Message::Interested]);
        world.run(seconds(1));
        world.nodes[a].store.frozen = true;
        for _ in 0..20 {
            let mut messages = Vec::new();
            for _ in 0..500 {
                let request = span(rng.below(3), rng.below(4) * BLOCK_LENGTH, BLOCK_LENGTH);
                // Cancels of what was asked for, of what was not, twice, and before.
                let storm = [
                    Message::Request(request),
                    Message::Cancel(request),
                    Message::Cancel(span(rng.below(9), rng.below(99), rng.below(99))),
                    Message::Cancel(request),
                ];
                messages.extend_from_slice(&storm[..1 + rng.below(4) as usize]);
            }
            world.send(raw, &messages);
            world.run(seconds(1));
        }
        assert!(!world.is_closed(raw), "seed {seed}: {:?}", world.nodes[a].gone());
        // What was taken back counts until its turn comes: the storm is as bounded as a flood.
        assert_eq!(world.is_reading(a), [false], "seed {seed}");
        let loads = world.nodes[a].store.loads;
        assert!(loads <= 32, "seed {seed}: {loads}");
        // After all that, a last request is answered.
        world.nodes[a].store.frozen = false;
        world.run(seconds(60));
        let before = world.count(raw, 7);
        world.send(raw, &[Message::Request(span(3, 0, 100))]);
        world.run(seconds(60));
        assert_eq!(world.count(raw, 7), before + 1, "seed {seed}");
    }
}

#[test]
fn what_a_host_goes_on_to_give_of_a_peer_whose_queue_is_full_is_bounded_too() {
    const MOST: usize = 100_000;
    let mut world = World::new(1);
    let a = world.seed(Config { upload_queue: 10, held_input: MOST, ..Config::default() }, geometry(4));
    let raw = world.shaken(a, 1);
    world.send(raw, &[Message::Interested]);
    world.run(seconds(1));
    world.nodes[a].store.frozen = true;
    let mut requests = Vec::new();
    (0..100).for_each(|_| Message::Request(span(0, 0, BLOCK_LENGTH)).encode(&mut requests));
    let conn = ConnId { slot: 0, generation: 0 };
    let mut given = 0;
    while world.nodes[a].gone().is_empty() {
        assert!(given <= MOST + 2 * requests.len(), "{given} bytes");
        world.input(a, Input::Stream { conn, bytes: &requests });
        given += requests.len();
    }
    assert!(given > MOST, "{given} bytes");
    assert_eq!(world.nodes[a].gone(), [Gone::Full]);
    // Nothing of it is left: what the store gives at last is for nobody.
    world.nodes[a].store.frozen = false;
    world.run(seconds(5));
    assert_eq!((world.nodes[a].connections(), world.count(raw, 7)), (0, 0));
}

/// A swarm with a torrent of that many pieces of 16 KiB, of which we have none.
fn swarm_of(pieces: u32) -> (Swarm, Vec<Event>) {
    let mut swarm = Swarm::new(Config::default(), Rng::new(1), &Secret::new([7; 32]));
    let geometry = Geometry::new(u64::from(pieces) * u64::from(BLOCK_LENGTH), BLOCK_LENGTH).unwrap();
    let command = Command::AddTorrent {
        torrent: TORRENT,
        info_hash: HASH,
        geometry,
        have: Bitfield::new(pieces),
        download: true,
        selection: Selection::default(),
        limits: TorrentLimits::default(),
    };
    swarm.handle_command(Instant::ZERO, command);
    let events = drain(&mut swarm).0;
    (swarm, events)
}

/// Takes events and outputs; gives the events and how often a connection was closed.
fn drain(swarm: &mut Swarm) -> (Vec<Event>, usize) {
    let mut closed = 0;
    while let Some(output) = swarm.poll_output(&mut Vec::new()) {
        closed += usize::from(matches!(output, Output::Close { .. }));
    }
    (std::iter::from_fn(|| swarm.poll_event()).collect(), closed)
}

#[test]
fn a_bitfield_of_two_million_pieces_is_taken_and_one_a_byte_longer_is_not() {
    const MOST: u32 = 1 << 21;
    let (mut swarm, _) = swarm_of(MOST);
    let local = SocketAddr::from(([10, 0, 0, 1], 6881));
    let all = Bitfield::full(MOST);
    let mut whole = Vec::new();
    Message::Bitfield(all.as_bytes()).encode(&mut whole);
    Message::Unchoke.encode(&mut whole);
    assert_eq!(whole.len(), 5 + 262_144 + 5);
    let mut longer = Vec::new();
    Message::Bitfield(&[0xff; 262_145]).encode(&mut longer);
    for (slot, (bytes, chunk)) in (0..).zip([(&whole, 65_536), (&whole, 1_000), (&longer, 65_536)]) {
        let conn = ConnId { slot, generation: 0 };
        let from = SocketAddr::from(([10, 0, 1, slot as u8], 1));
        let now = Instant::ZERO;
        swarm.handle_input(now, Input::Accepted { conn, from, local });
        swarm.handle_input(now, Input::Stream { conn, bytes: &handshake(slot as u8 + 1) });
        assert_eq!(drain(&mut swarm).1, 0);
        for chunk in bytes.chunks(chunk) {
            swarm.handle_input(now, Input::Stream { conn, bytes: chunk });
        }
        let (events, closed) = drain(&mut swarm);
        let violation =
            Event::PeerGone { torrent: TORRENT, address: from, reason: Gone::Violation(Violation::Malformed) };
        assert_eq!((closed, events.contains(&violation)), (usize::from(slot == 2), slot == 2), "{slot}");
    }
    let now = Instant::ZERO + seconds(2);
    swarm.handle_timeout(now);
    let events = drain(&mut swarm).0;
    let status =
        |e: &Event| if let Event::Status { status, .. } = e { Some((status.peers, status.seeds)) } else { None };
    assert_eq!(events.iter().filter_map(status).next_back(), Some((2, 2)));
}

#[test]
fn a_torrent_of_more_than_two_million_pieces_is_refused() {
    let (_, events) = swarm_of((1 << 21) + 1);
    assert_eq!(events, [Event::Refused { torrent: TORRENT, refusal: Refusal::Full }]);
}
