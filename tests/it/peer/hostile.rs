use super::store::geometry;
use super::world::{World, seconds, span};
use bip::machine::{CloseReason, ConnId, DialId, Input, Instant, Machine, Rng, TorrentId};
use bip::peer::{Command, Config, Gone, Limits, Source, Stored, Violation};
use bip::proto::bitfield::Bitfield;
use bip::proto::id::PieceIndex;
use bip::proto::message::{HashSpan, Message};
use std::io::ErrorKind;

/// Has a peer send those bytes to a leech that also knows a seed, and gives why it was dropped.
fn dropped_for(bytes: &[u8]) -> Option<Gone> {
    let mut world = World::new(bytes.len() as u64);
    let shape = geometry(4);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    let raw = world.shaken(b, 1);
    world.write(raw, bytes);
    world.run(seconds(1));
    let gone = world.nodes[b].gone().first().copied();
    assert_eq!(gone.is_some(), world.is_closed(raw));
    world.introduce(b, a);
    assert!(world.run_until(seconds(150), |w| w.nodes[b].is_complete()));
    assert!(world.nodes[b].store.is_true());
    gone
}

fn encoded(messages: &[Message<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages.iter().for_each(|m| m.encode(&mut bytes));
    bytes
}

#[test]
fn what_breaks_the_protocol_is_dropped_with_its_reason_and_the_honest_peer_completes() {
    let far = PieceIndex(u32::MAX);
    let all = Bitfield::full(4);
    let malformed = Some(Gone::Violation(Violation::Malformed));
    let out_of_range = Some(Gone::Violation(Violation::OutOfRange));
    let bitfield = Some(Gone::Violation(Violation::Bitfield));
    let length = Some(Gone::Violation(Violation::RequestLength));
    let hashes = HashSpan { root: &[7; 32], base_layer: 0, index: 0, length: u32::MAX, proof_layers: u32::MAX };
    let cases: &[(&[u8], Option<Gone>)] = &[
        (&[0xff; 4], malformed),
        (b"GET / HTTP/1.1\r\n\r\n", malformed),
        (&[0, 0, 0, 2, 0, 0], malformed),
        // A block of 16 KiB and a byte, and a byte more than any message may be.
        (&[0, 0, 0x40, 10, 7], malformed),
        (&[0, 2, 0, 2], malformed),
        (&encoded(&[Message::Have(far)]), out_of_range),
        (&encoded(&[Message::Have(PieceIndex(4))]), out_of_range),
        (&encoded(&[Message::Request(span(u32::MAX, u32::MAX, 16384))]), out_of_range),
        (&encoded(&[Message::Request(span(3, 16384 * 3, 16384))]), out_of_range),
        // We have nothing yet.
        (&encoded(&[Message::Request(span(0, 0, 16384))]), out_of_range),
        (&encoded(&[Message::Request(span(0, 0, 16385))]), length),
        (&encoded(&[Message::Request(span(0, 0, 0))]), length),
        (&encoded(&[Message::Piece { piece: far, begin: 0, data: &[1; 9] }]), out_of_range),
        (&encoded(&[Message::Piece { piece: PieceIndex(0), begin: u32::MAX, data: &[1; 9] }]), out_of_range),
        (&encoded(&[Message::Piece { piece: PieceIndex(0), begin: 0, data: &[] }]), out_of_range),
        (&encoded(&[Message::Bitfield(&[0xf8])]), bitfield),
        (&encoded(&[Message::Bitfield(&[0xf0, 0])]), bitfield),
        (&encoded(&[Message::Bitfield(&[])]), bitfield),
        // The first one tells of more than before.
        (&encoded(&[Message::Bitfield(all.as_bytes()); 6]), bitfield),
        (&encoded(&[Message::Bitfield(all.as_bytes()); 5]), None),
        // As aria2 sends them instead of haves.
        (&encoded(&[[0x00], [0x80], [0xc0], [0xe0], [0xf0]].each_ref().map(|b| Message::Bitfield(b))), None),
        (&encoded(&[Message::Have(PieceIndex(0)), Message::Bitfield(all.as_bytes())]), None),
        (&encoded(&[Message::Cancel(span(u32::MAX, 0, u32::MAX))]), None),
        (&encoded(&[Message::Port(6881), Message::Unknown { id: 20, payload: b"de" }, Message::KeepAlive]), None),
        (&encoded(&[Message::Unknown { id: 20, payload: b"\0de" }, Message::Bitfield(all.as_bytes())]), None),
        // What was not negotiated is passed over, whatever piece it names.
        (&encoded(&[Message::HaveAll, Message::Suggest(far), Message::AllowedFast(far)]), None),
        (
            &encoded(&[Message::HaveNone, Message::Reject(span(u32::MAX, 0, u32::MAX)), Message::HashRequest(hashes)]),
            None,
        ),
        (&encoded(&[Message::HashReject(hashes), Message::Extended { id: 0, payload: b"not bencode" }]), None),
        // It has everything, unchokes, and then says nothing at all.
        (&encoded(&[Message::Bitfield(all.as_bytes()), Message::Unchoke]), None),
        (&[], None),
    ];
    for (bytes, reason) in cases {
        assert_eq!(dropped_for(bytes), *reason, "{bytes:?}");
    }
}

#[test]
fn a_length_of_four_gib_that_trickles_closes_at_its_fourth_byte() {
    let mut world = World::new(1);
    let b = world.leech(Config::default(), geometry(4));
    let raw = world.shaken(b, 1);
    world.write(raw, &[0xff; 3]);
    world.run(seconds(1));
    assert!(!world.is_closed(raw));
    world.write(raw, &[0xff]);
    world.run(seconds(1));
    assert!(world.is_closed(raw));
}

#[test]
fn blocks_that_nobody_asked_for_are_counted_and_dropped() {
    let mut world = World::new(1);
    let b = world.leech(Config::default(), geometry(4));
    let raw = world.shaken(b, 1);
    for _ in 0..10 {
        world.send(raw, &[Message::Piece { piece: PieceIndex(0), begin: 0, data: &[1; 16384] }]);
    }
    world.run(seconds(3));
    assert_eq!(world.nodes[b].store.stores, 0);
    assert!(!world.is_closed(raw));
    let status = world.nodes[b].status();
    assert_eq!((status.downloaded, status.wasted), (163_840, 163_840));
}

#[test]
fn who_floods_us_with_blocks_that_nobody_asked_for_is_dropped() {
    let mut world = World::new(1);
    let b = world.leech(Config { max_unasked: 20, ..Config::default() }, geometry(4));
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Piece { piece: PieceIndex(0), begin: 0, data: &[1; 16384] }; 20]);
    world.run(seconds(3));
    assert!(!world.is_closed(raw));
    world.send(raw, &[Message::Piece { piece: PieceIndex(0), begin: 0, data: &[1; 16384] }]);
    world.run(seconds(3));
    assert_eq!(world.nodes[b].gone(), [Gone::Violation(Violation::Unasked)]);
}

#[test]
fn a_peer_that_chokes_or_goes_or_stalls_has_its_requests_given_to_others_at_once() {
    for case in ["chokes", "goes", "stalls"] {
        let mut world = World::new(1);
        let b = world.leech(Config::default(), geometry(2));
        let [first, second, third] = [1, 2, 3].map(|id| world.shaken(b, id));
        // The third keeps the end game away: it has a piece that nobody can be asked for.
        world.send(third, &[Message::Have(PieceIndex(1))]);
        world.send(first, &[Message::Have(PieceIndex(0)), Message::Unchoke]);
        world.run(seconds(1));
        assert_eq!(world.count(first, 6), 4);
        world.send(second, &[Message::Have(PieceIndex(0)), Message::Unchoke]);
        world.run(seconds(1));
        assert_eq!(world.count(second, 6), 0);
        match case {
            "chokes" => world.send(first, &[Message::Choke]),
            "goes" => world.hang_up(first),
            _ => world.run(seconds(19)),
        }
        world.run(seconds(1));
        assert_eq!(world.count(second, 6), 4, "{case}");
    }
}

#[test]
fn the_end_game_cancels_what_another_peer_has_sent() {
    let mut world = World::new(1);
    let shape = geometry(2);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Bitfield(Bitfield::full(2).as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    let asked = world.count(raw, 6);
    assert!(asked > 0);
    world.introduce(b, a);
    assert!(world.run_until(seconds(10), |w| w.nodes[b].is_complete()));
    world.run(seconds(1));
    assert_eq!(world.count(raw, 8), asked);
}

#[test]
fn a_liar_alone_is_banned_after_its_second_bad_piece_and_an_honest_peer_completes() {
    let mut world = World::new(1);
    let shape = geometry(1);
    let (a, b) = (
        world.seed(
            Config {
                limits: Limits { upload_slots: 1, optimistic_slots: 0, ..Limits::default() },
                ..Config::default()
            },
            shape,
        ),
        world.leech(Config::default(), shape),
    );
    // The seed's own disk lies.
    world.nodes[a].store.bytes.fill(0);
    world.introduce(b, a);
    world.run(seconds(100));
    assert_eq!((world.nodes[b].store.bad_pieces, world.nodes[b].gone()), (2, vec![Gone::Banned]));
    let status = world.nodes[b].status();
    assert!(status.wasted > 0 && status.pieces_failed == 2, "{status:?}");
    let honest = world.seed(Config::default(), shape);
    world.introduce(b, honest);
    assert!(world.run_until(seconds(100), |w| w.nodes[b].is_complete()));
    assert!(world.nodes[b].store.is_true());
}

#[test]
fn no_input_in_any_order_makes_it_panic_or_spin() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed);
        let shape = geometry(4);
        let config = Config {
            upload_queue: 5,
            store_credit: 40_000,
            limits: Limits { max_dials: 2, max_connections: 4, ..Limits::default() },
            max_incoming_handshakes: 3,
            ..Config::default()
        };
        let n = world.member(config, shape, Bitfield::from_bytes(&[0x50], 4).unwrap());
        for _ in 0..200 {
            let conn = ConnId { slot: rng.below(6), generation: rng.below(2) };
            let dial = DialId(u64::from(rng.below(8)));
            let from = std::net::SocketAddr::from(([10, 0, 0, 9], rng.below(5) as u16));
            let torrent = TorrentId(7 + rng.below(10) / 9);
            let place = span(rng.below(5), rng.below(5) * 16384, [16384, 12_768, 5][rng.below(3) as usize]);
            let bytes: Vec<u8> = match rng.below(3) {
                0 => super::world::handshake(rng.below(4) as u8),
                1 => (0..rng.below(40)).map(|_| rng.next_u64() as u8).collect(),
                _ => {
                    let all: &[Message<'_>] = &[
                        Message::Bitfield(&[0xf0]),
                        Message::Unchoke,
                        Message::Interested,
                        Message::Request(place),
                        Message::Cancel(place),
                        Message::Have(place.piece),
                        Message::Piece {
                            piece: place.piece,
                            begin: place.begin,
                            data: &vec![1; place.length as usize],
                        },
                        Message::Choke,
                    ];
                    (0..rng.below(12)).flat_map(|_| encoded(&[*rng.choose(all).unwrap()])).collect()
                }
            };
            match rng.below(16) {
                0 => world.input(n, Input::Accepted { conn, from, local: from }),
                1 => world.input(n, Input::Connected { dial, conn, local: from }),
                2 => world.input(n, Input::ConnectFailed { dial, error: ErrorKind::TimedOut }),
                3 => world.input(n, Input::Closed { conn, reason: CloseReason::Failed(ErrorKind::ConnectionReset) }),
                4 if rng.below(4) == 0 => world.input(n, Input::End { conn }),
                5 => world.input(n, Input::Writable { conn, queued: rng.below(1_000_000) as usize }),
                6 => world.command(n, Command::AddPeer { torrent, address: from, source: Source::Program }),
                7 if rng.below(9) == 0 => world.command(n, Command::Pause { torrent }),
                7 => world.command(n, Command::Resume { torrent }),
                8 => {
                    let outcomes = [Stored::Kept, Stored::Known, Stored::PieceGood, Stored::PieceBad, Stored::Failed];
                    let outcome = *rng.choose(&outcomes).unwrap();
                    world.command(n, Command::Stored { torrent, span: place, outcome });
                }
                9 => world.command(n, Command::Loaded { torrent, ticket: rng.next_u64(), block: None }),
                10 => {
                    world.now += seconds(u64::from(rng.below(30)));
                    let mut calls = 0;
                    while world.nodes[n].swarm.poll_timeout().is_some_and(|at| at <= world.now) {
                        let now = world.now;
                        world.nodes[n].swarm.handle_timeout(now);
                        world.run(std::time::Duration::ZERO);
                        calls += 1;
                        assert!(calls < 1000, "seed {seed}: the timers do not end");
                    }
                }
                11 if rng.below(40) == 0 => world.nodes[n].swarm.handle_timeout(Instant::NEVER),
                _ if !bytes.is_empty() => world.input(n, Input::Stream { conn, bytes: &bytes }),
                _ => {}
            }
        }
    }
}
