use super::store::geometry;
use super::world::{HASH, Listener, TORRENT, World, handshake, seconds};
use bip::machine::{Machine, TorrentId};
use bip::peer::{Command, Config, Event, Gone, Limits, Refusal, Selection, Source, TorrentLimits};
use bip::proto::bitfield::Bitfield;
use bip::proto::id::InfoHash;
use bip::proto::message::Message;
use std::net::SocketAddr;
use std::time::Duration;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 1, 1, 1], port))
}

#[test]
fn torrents_on_one_port_are_told_apart_by_their_info_hash() {
    let mut world = World::new(1);
    let shape = geometry(3);
    let a = world.seed(Config::default(), shape);
    let (other, info_hash) = (TorrentId(8), InfoHash([9; 20]));
    let have = Bitfield::new(3);
    world.command(
        a,
        Command::AddTorrent {
            torrent: other,
            info_hash,
            geometry: shape,
            have,
            download: true,
            selection: Selection::default(),
            limits: TorrentLimits::default(),
        },
    );
    let (first, second) = (world.connect(a), world.connect(a));
    world.write(first, &handshake(1));
    let mut hello = handshake(2);
    hello[28..48].fill(9);
    world.write(second, &hello);
    world.run(seconds(1));
    let connected = |id| {
        let of = |e: &&Event| matches!(e, Event::PeerConnected { torrent, .. } if *torrent == id);
        world.nodes[a].events.iter().filter(of).count()
    };
    assert_eq!((connected(TORRENT), connected(other)), (1, 1));
    // The first has a bitfield to show, the second nothing.
    assert_eq!((world.messages(first).len(), world.messages(second).len()), (1, 0));
    assert_eq!(world.raws[&second].got[28..48], [9; 20]);
}

#[test]
fn an_unknown_info_hash_is_refused_at_its_last_byte_without_an_answer() {
    let mut world = World::new(1);
    let a = world.seed(Config::default(), geometry(3));
    let raw = world.connect(a);
    let mut hello = handshake(1);
    hello[47] ^= 1;
    world.write(raw, &hello[..47]);
    world.run(seconds(1));
    assert!(!world.is_closed(raw));
    world.write(raw, &hello[47..48]);
    world.run(seconds(1));
    assert!(world.is_closed(raw));
    assert!(world.raws[&raw].got.is_empty());
    assert!(world.nodes[a].gone().is_empty());
}

#[test]
fn a_known_info_hash_is_answered_before_the_peer_id_comes() {
    let mut world = World::new(1);
    let a = world.seed(Config::default(), geometry(3));
    let raw = world.connect(a);
    world.write(raw, &handshake(1)[..48]);
    world.run(seconds(1));
    assert_eq!(world.raws[&raw].got.len(), 68);
    assert_eq!(world.nodes[a].connected(), 0);
}

#[test]
fn a_first_byte_that_cannot_start_a_handshake_closes_at_once() {
    let mut world = World::new(1);
    let a = world.seed(Config::default(), geometry(3));
    let raw = world.connect(a);
    world.write(raw, b"G");
    world.run(seconds(1));
    assert!(world.is_closed(raw));
}

#[test]
fn a_swarm_that_dials_itself_closes_and_never_dials_that_address_again() {
    for seed in 0..6 {
        let mut world = World::new(seed);
        let a = world.leech(Config::default(), geometry(3));
        world.introduce(a, a);
        world.run(seconds(3600));
        assert_eq!(world.nodes[a].dials.len(), 1, "seed {seed}");
        assert_eq!((world.nodes[a].connections(), world.nodes[a].connected()), (0, 0));
    }
}

#[test]
fn a_simultaneous_dial_keeps_exactly_one_connection_and_both_sides_the_same() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        let shape = geometry(3);
        let (a, b) = (world.leech(Config::default(), shape), world.leech(Config::default(), shape));
        world.introduce(a, b);
        if seed % 3 == 0 {
            world.run(seconds(seed));
        }
        world.introduce(b, a);
        world.run(seconds(20));
        assert_eq!((world.nodes[a].connections(), world.nodes[b].connections()), (1, 1), "seed {seed}");
        let larger = if world.nodes[a].swarm.peer_id() > world.nodes[b].swarm.peer_id() { a } else { b };
        // One that is there already is no half of a pair that crossed: the other is not even dialled.
        let larger = if seed % 3 == 0 && seed > 0 { a } else { larger };
        let latest = |n: usize| {
            let outgoing = |e: &Event| match e {
                Event::PeerConnected { outgoing, .. } => Some(*outgoing),
                _ => None,
            };
            world.nodes[n].events.iter().rev().find_map(outgoing)
        };
        assert_eq!(latest(larger), Some(true), "seed {seed}");
        assert_eq!(latest(a + b - larger), Some(false), "seed {seed}");
    }
}

#[test]
fn two_connections_become_one_also_where_the_sides_disagree_which_of_them_is_young() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        world.latency = Duration::from_millis(100);
        let shape = geometry(3);
        let (a, b) = (world.leech(Config::default(), shape), world.leech(Config::default(), shape));
        world.introduce(a, b);
        world.run(Duration::from_millis(9_700 + 10 * seed));
        world.introduce(b, a);
        world.run(seconds(20));
        assert_eq!((world.nodes[a].connections(), world.nodes[b].connections()), (1, 1), "seed {seed}");
    }
}

#[test]
fn whoever_repeats_a_peer_id_does_not_take_over_a_connection_on_which_blocks_move() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        let shape = geometry(60);
        let config = Config { store_credit: 64 << 10, max_connections_per_ip: 9, ..Config::default() };
        let (a, b) = (world.seed(Config::default(), shape), world.leech(config, shape));
        world.nodes[b].store.delay = seconds(1);
        world.introduce(b, a);
        world.run(seconds(5));
        assert!(world.nodes[b].store.stores > 0 && !world.nodes[b].is_complete());
        // By the same address, or it would be another peer.
        let address = world.nodes[a].address;
        let raw = world.connect_from(b, std::net::SocketAddr::new(address.ip(), 5));
        let mut hello = handshake(1);
        hello[48..].copy_from_slice(&world.nodes[a].swarm.peer_id().0);
        world.write(raw, &hello);
        world.run(seconds(1));
        assert!(world.is_closed(raw) && world.nodes[b].gone().is_empty(), "seed {seed}");
    }
}

#[test]
fn strangers_leave_room_for_a_peer_that_was_named() {
    let mut world = World::new(1);
    let shape = geometry(4);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    let raws: Vec<usize> = (1..=100).map(|id| world.shaken(b, id)).collect();
    world.run(seconds(1));
    assert_eq!(raws.iter().filter(|raw| !world.is_closed(**raw)).count(), 75);
    world.introduce(b, a);
    assert!(world.run_until(seconds(10), |w| w.nodes[b].is_complete()));
}

#[test]
fn a_newcomer_takes_the_place_of_the_peer_that_has_been_idle_for_longest() {
    let limits = [
        Config { limits: Limits { max_connections: 4, ..Limits::default() }, ..Config::default() },
        Config { limits: Limits { max_connections_per_torrent: 4, ..Limits::default() }, ..Config::default() },
    ];
    for config in limits {
        let mut world = World::new(1);
        let a = world.leech(config, geometry(3));
        let [useful, idle, later] = [1, 2, 3].map(|id| {
            let raw = world.shaken(a, id);
            world.run(seconds(1));
            raw
        });
        world.send(useful, &[Message::Interested]);
        world.run(seconds(30));
        let early = world.shaken(a, 4);
        world.run(seconds(1));
        assert!(world.is_closed(early));
        world.run(seconds(30));
        let newcomer = world.shaken(a, 5);
        world.run(seconds(1));
        assert_eq!([useful, idle, later, newcomer].map(|raw| world.is_closed(raw)), [false, true, false, false]);
        assert_eq!(world.nodes[a].gone(), [Gone::Full]);
    }
}

#[test]
fn a_torrent_that_waits_to_dial_is_dialled_behind_others_that_were_paused_meanwhile() {
    let mut world = World::new(1);
    let shape = geometry(3);
    let a = world.leech(Config { limits: Limits { max_dials: 1, ..Limits::default() }, ..Config::default() }, shape);
    let ids = [TORRENT, TorrentId(8), TorrentId(9)];
    for (torrent, byte) in [(ids[1], 8), (ids[2], 9)] {
        let (info_hash, have) = (InfoHash([byte; 20]), Bitfield::new(3));
        world.command(
            a,
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
    }
    for (torrent, port) in ids.into_iter().zip(1..) {
        world.listeners.insert(address(port), Listener::Silent);
        world.command(a, Command::AddPeer { torrent, address: address(port), source: Source::Program });
    }
    world.run(seconds(1));
    world.command(a, Command::Pause { torrent: ids[1] });
    world.command(a, Command::Pause { torrent: ids[0] });
    world.run(seconds(1));
    assert_eq!(world.nodes[a].dials, [address(1), address(3)]);
}

#[test]
fn two_peers_behind_one_address_are_two_and_one_peer_id_twice_is_one() {
    let mut world = World::new(1);
    let a = world.leech(Config { max_connections_per_ip: 9, ..Config::default() }, geometry(3));
    let [one, two, again] =
        [(1, 5001), (2, 5002), (1, 5003)].map(|(id, port)| world.shaken_from(a, id, ([20, 1, 1, 1], port).into()));
    world.run(seconds(1));
    let closed = [one, two, again].map(|raw| world.is_closed(raw));
    assert_eq!(closed.iter().filter(|closed| **closed).count(), 1);
    assert!(!closed[1]);
}

#[test]
fn a_handshake_that_trickles_is_cut_off_after_ten_seconds() {
    let mut world = World::new(1);
    let a = world.seed(Config::default(), geometry(3));
    let raw = world.connect(a);
    for byte in &handshake(1)[..9] {
        world.write(raw, &[*byte]);
        world.run(seconds(1));
        assert!(!world.is_closed(raw));
    }
    world.write(raw, &handshake(1)[9..10]);
    world.run(seconds(2));
    assert!(world.is_closed(raw));
}

#[test]
fn a_thousand_silent_connections_delay_nobody_and_time_out() {
    let mut world = World::new(1);
    let shape = geometry(3);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    let silent: Vec<usize> = (0..1000).map(|_| world.connect(a)).collect();
    world.introduce(b, a);
    assert!(world.run_until(seconds(3), |w| w.nodes[b].is_complete()));
    assert!(world.nodes[a].connections() <= Config::default().max_incoming_handshakes + 1);
    world.run(seconds(12));
    assert!(silent.iter().all(|raw| world.is_closed(*raw)));
}

#[test]
fn connections_over_the_limit_are_closed_and_dials_wait_for_their_turn() {
    let mut world = World::new(1);
    let config =
        Config { limits: Limits { max_connections: 3, max_dials: 2, ..Limits::default() }, ..Config::default() };
    let a = world.leech(config, geometry(3));
    for id in 1..=4 {
        world.shaken(a, id);
    }
    world.run(seconds(1));
    assert_eq!(world.nodes[a].connections(), 3);

    let config = Config { limits: Limits { max_connections_per_torrent: 2, ..Limits::default() }, ..Config::default() };
    let b = world.leech(config, geometry(3));
    for id in 1..=4 {
        world.shaken(b, id);
    }
    world.run(seconds(1));
    assert_eq!(world.nodes[b].connections(), 2);

    let config = Config { limits: Limits { max_dials: 2, ..Limits::default() }, ..Config::default() };
    let b = world.leech(config, geometry(3));
    for port in 1..=5 {
        world.listeners.insert(address(port), Listener::Silent);
        world.add_peer(b, address(port));
    }
    world.run(seconds(1));
    assert_eq!(world.nodes[b].dials.len(), 2);
    // Dials that hang are given up, which makes room for the others.
    world.run(seconds(50));
    let mut dials = world.nodes[b].dials.clone();
    dials.sort();
    dials.dedup();
    assert_eq!(dials.len(), 5);
}

#[test]
fn a_named_peer_is_dialled_again_with_growing_pauses_until_its_torrent_goes() {
    let mut world = World::new(1);
    let a = world.leech(Config::default(), geometry(3));
    world.add_peer(a, address(1));
    world.run(seconds(20));
    // After 1, 2, 4 and 8 s, each up to a quarter longer.
    assert!((4..=5).contains(&world.nodes[a].dials.len()), "{}", world.nodes[a].dials.len());
    world.command(a, Command::Pause { torrent: TORRENT });
    let before = world.nodes[a].dials.len();
    world.run(seconds(1000));
    assert_eq!(world.nodes[a].dials.len(), before);
    world.command(a, Command::Resume { torrent: TORRENT });
    world.run(seconds(400));
    let before = world.nodes[a].dials.len();
    world.run(seconds(400));
    assert!(world.nodes[a].dials.len() > before);
    world.command(a, Command::RemoveTorrent { torrent: TORRENT });
    assert!(world.nodes[a].events.contains(&Event::TorrentRemoved { torrent: TORRENT }));
    let before = world.nodes[a].dials.len();
    world.run(seconds(1000));
    assert_eq!(world.nodes[a].dials.len(), before);
    assert_eq!(world.nodes[a].swarm.poll_timeout(), None);
}

#[test]
fn a_peer_that_came_in_is_not_dialled() {
    let mut world = World::new(1);
    let a = world.leech(Config::default(), geometry(3));
    let raw = world.shaken(a, 1);
    world.run(seconds(1));
    world.hang_up(raw);
    world.run(seconds(600));
    assert_eq!(world.nodes[a].gone(), [Gone::Left]);
    assert!(world.nodes[a].dials.is_empty());
}

#[test]
fn an_idle_connection_gets_a_keep_alive_each_minute_and_a_silent_one_is_dropped() {
    let mut world = World::new(1);
    let a = world.leech(Config::default(), geometry(3));
    let (speaks, silent) = (world.shaken(a, 1), world.shaken(a, 2));
    for _ in 0..5 {
        world.run(seconds(59));
        world.send(speaks, &[Message::KeepAlive]);
    }
    assert!(world.is_closed(silent) && !world.is_closed(speaks));
    assert_eq!(world.nodes[a].gone(), [Gone::Silent]);
    let keep_alives = world.messages(speaks).iter().filter(|m| m.is_empty()).count();
    assert_eq!(keep_alives, 4);
    assert_eq!(world.messages(silent).len(), 1);
}

#[test]
fn pausing_closes_connections_and_refuses_new_ones_until_it_is_undone() {
    let mut world = World::new(1);
    let shape = geometry(6);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    world.introduce(b, a);
    world.run_until(seconds(5), |w| w.nodes[b].store.stores > 5);
    world.command(b, Command::Pause { torrent: TORRENT });
    assert_eq!(world.nodes[b].gone(), [Gone::TorrentStopped]);
    let raw = world.shaken(b, 1);
    world.run(seconds(100));
    assert!(world.is_closed(raw));
    assert!(!world.nodes[b].is_complete());
    world.command(b, Command::Resume { torrent: TORRENT });
    assert!(world.run_until(seconds(5), |w| w.nodes[b].is_complete()));
    assert!(world.nodes[b].store.is_true());
}

#[test]
fn commands_that_cannot_be_carried_out_are_refused() {
    let mut world = World::new(1);
    let shape = geometry(3);
    let config = Config { max_torrents: 2, max_known_peers: 1, ..Config::default() };
    let a = world.leech(config, shape);
    let add = |torrent, hash, pieces| Command::AddTorrent {
        torrent: TorrentId(torrent),
        info_hash: InfoHash([hash; 20]),
        geometry: shape,
        have: Bitfield::new(pieces),
        download: true,
        selection: Selection::default(),
        limits: TorrentLimits::default(),
    };
    let gone = TorrentId(99);
    let commands = [
        (add(7, 1, 3), Refusal::DuplicateTorrent),
        (add(8, HASH.0[0], 3), Refusal::DuplicateTorrent),
        (add(8, 1, 4), Refusal::WrongBitfield),
        (Command::Pause { torrent: gone }, Refusal::UnknownTorrent),
        (Command::Resume { torrent: gone }, Refusal::UnknownTorrent),
        (Command::RemoveTorrent { torrent: gone }, Refusal::UnknownTorrent),
        (Command::AddPeer { torrent: gone, address: address(1), source: Source::Program }, Refusal::UnknownTorrent),
    ];
    for (command, expected) in commands {
        world.nodes[a].events.clear();
        world.command(a, command.clone());
        let events = &world.nodes[a].events;
        assert!(
            matches!(events[..], [Event::Refused { refusal, .. }] if refusal == expected),
            "{command:?}: {events:?}"
        );
    }
    world.add_peer(a, address(1));
    world.nodes[a].events.clear();
    world.add_peer(a, address(2));
    assert!(matches!(world.nodes[a].events[..], [Event::Refused { refusal: Refusal::Full, .. }]));
    world.command(a, add(8, 1, 3));
    world.nodes[a].events.clear();
    world.command(a, add(9, 2, 3));
    assert!(matches!(world.nodes[a].events[..], [Event::Refused { refusal: Refusal::Full, .. }]));
}

#[test]
fn a_dialled_peer_that_shakes_hands_for_another_torrent_is_closed_and_tried_later() {
    let mut world = World::new(1);
    let a = world.leech(Config::default(), geometry(3));
    world.listeners.insert(address(1), Listener::Raw);
    world.add_peer(a, address(1));
    world.run(seconds(0));
    let raw = *world.raws.keys().next().unwrap();
    let mut hello = handshake(1);
    hello[30] ^= 1;
    world.write(raw, &hello);
    world.run(seconds(1));
    // We spoke first, and only so far.
    assert!(world.raws[&raw].got.starts_with(&handshake(1)[..48]));
    assert!(world.is_closed(raw));
    assert!(world.nodes[a].gone().is_empty());
    world.run(seconds(2));
    assert_eq!(world.nodes[a].dials.len(), 2);
}

#[test]
fn two_seeds_stay_connected_where_that_is_asked_for() {
    let mut world = World::new(1);
    let config = Config { close_redundant: false, ..Config::default() };
    let (a, b) = (world.seed(config.clone(), geometry(3)), world.seed(config, geometry(3)));
    world.introduce(a, b);
    world.run(seconds(500));
    assert_eq!((world.nodes[a].connections(), world.nodes[b].connections()), (1, 1));
    assert_eq!((world.nodes[a].connected(), world.nodes[a].status().seeds), (1, 1));
}

#[test]
fn two_seeds_part_and_do_not_meet_again_soon() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        let (a, b) = (world.seed(Config::default(), geometry(3)), world.seed(Config::default(), geometry(3)));
        world.introduce(a, b);
        world.run(seconds(250));
        assert_eq!(world.nodes[a].connections(), 0);
        assert_eq!(world.nodes[a].dials.len(), 1, "seed {seed}");
    }
}
