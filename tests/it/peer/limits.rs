use super::store::geometry;
use super::world::{HASH, Listener, TORRENT, World, handshake, seconds, span};
use bip::machine::TorrentId;
use bip::peer::{Command, Config, Event, Gone, Limits, Selection, Source, TorrentLimits};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::Geometry;
use bip::proto::id::{InfoHash, PieceIndex};
use bip::proto::message::Message;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

const OTHER: TorrentId = TorrentId(8);
const BLOCK: u64 = 16 * 1024;

fn rate(bytes: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(bytes)
}

fn upload(bytes: u64) -> Config {
    Config { limits: Limits { upload_rate: rate(bytes), ..Limits::default() }, ..Config::default() }
}

fn download(bytes: u64) -> Config {
    Config { limits: Limits { download_rate: rate(bytes), ..Limits::default() }, ..Config::default() }
}

fn set(world: &mut World, n: usize, limits: Limits) {
    world.command(n, Command::SetLimits { limits });
    assert!(world.nodes[n].events.contains(&Event::LimitsSet));
}

fn set_torrent(world: &mut World, n: usize, torrent: TorrentId, limits: TorrentLimits) {
    world.command(n, Command::SetTorrentLimits { torrent, limits });
    assert!(world.nodes[n].events.contains(&Event::TorrentLimitsSet { torrent }));
}

/// Adds the other torrent, which has the same bytes, to a node.
fn add_other(world: &mut World, n: usize, geometry: Geometry, have: Bitfield, limits: TorrentLimits) {
    let (selection, download) = (Selection::default(), true);
    let info_hash = InfoHash([8; 20]);
    world.command(n, Command::AddTorrent { torrent: OTHER, info_hash, geometry, have, download, selection, limits });
}

/// Gives the bytes that a node stores in that time.
fn stored_in(world: &mut World, n: usize, time: Duration) -> u64 {
    let before = world.nodes[n].store.stores;
    world.run(time);
    (world.nodes[n].store.stores - before) as u64 * BLOCK
}

fn assert_near(bytes: u64, expected: u64, percent: u64, what: &str) {
    let (low, high) = (expected * (100 - percent) / 100, expected * (100 + percent) / 100);
    assert!((low..=high).contains(&bytes), "{what}: {bytes} bytes where {expected} are expected");
}

#[test]
fn a_download_limit_holds_to_five_per_cent_over_ten_seconds_and_never_stops_a_good_peer() {
    for seed in 0..3 {
        let mut world = World::new(seed);
        let shape = geometry(600);
        let b = world.leech(download(1_000_000), shape);
        for _ in 0..3 {
            let a = world.seed(Config::default(), shape);
            world.introduce(b, a);
        }
        world.run(seconds(2));
        for window in 0..3 {
            let bytes = stored_in(&mut world, b, seconds(10));
            assert_near(bytes, 10_000_000, 5, &format!("seed {seed}, window {window}"));
            assert_eq!(world.is_reading(b), [true; 3]);
        }
        assert!(world.nodes[b].gone().is_empty());
        // What was asked for is on its way for a moment only: nobody has to keep much for us.
        let asked: usize = (0..3).map(|n| world.nodes[n + 1].store.loads).sum();
        assert!(asked < world.nodes[b].store.stores + 40, "{asked}");
    }
}

#[test]
fn torrents_share_the_sessions_download_rate_evenly_however_many_peers_each_has() {
    let mut world = World::new(1);
    let shape = geometry(400);
    let b = world.leech(download(800_000), shape);
    add_other(&mut world, b, shape, Bitfield::new(shape.piece_count()), TorrentLimits::default());
    let a: Vec<usize> = (0..4).map(|_| world.seed(Config::default(), shape)).collect();
    for n in &a[..3] {
        world.introduce(b, *n);
    }
    add_other(&mut world, a[3], shape, Bitfield::full(shape.piece_count()), TorrentLimits::default());
    let address = world.nodes[a[3]].address;
    world.command(b, Command::AddPeer { torrent: OTHER, address, source: Source::Program });
    world.run(seconds(2));
    let before: Vec<usize> = a.iter().map(|n| world.nodes[*n].store.loads).collect();
    let bytes = stored_in(&mut world, b, seconds(20));
    assert_near(bytes, 16_000_000, 5, "both");
    let loads: Vec<usize> = a.iter().zip(before).map(|(n, before)| world.nodes[*n].store.loads - before).collect();
    assert_near(loads[3] as u64 * BLOCK, 8_000_000, 5, "the torrent with one peer");
    for (n, loads) in loads[..3].iter().enumerate() {
        assert_near(*loads as u64 * BLOCK, 8_000_000 / 3, 8, &format!("peer {n} of three"));
    }
}

#[test]
fn a_torrents_own_rate_leaves_the_rest_of_the_sessions_to_others() {
    let mut world = World::new(1);
    let shape = geometry(400);
    let b = world.leech(download(800_000), shape);
    let own = TorrentLimits { download_rate: rate(100_000), ..TorrentLimits::default() };
    add_other(&mut world, b, shape, Bitfield::new(shape.piece_count()), own);
    let (a, c) = (world.seed(Config::default(), shape), world.node(Config::default(), shape, &Bitfield::full(400)));
    world.introduce(b, a);
    add_other(&mut world, c, shape, Bitfield::full(shape.piece_count()), TorrentLimits::default());
    let address = world.nodes[c].address;
    world.command(b, Command::AddPeer { torrent: OTHER, address, source: Source::Program });
    world.run(seconds(2));
    let before = (world.nodes[a].store.loads, world.nodes[c].store.loads);
    world.run(seconds(20));
    assert_near((world.nodes[a].store.loads - before.0) as u64 * BLOCK, 14_000_000, 5, "without a rate of its own");
    assert_near((world.nodes[c].store.loads - before.1) as u64 * BLOCK, 2_000_000, 5, "with a rate of its own");
}

#[test]
fn an_upload_limit_holds_and_leeches_share_it_evenly() {
    for seed in 0..3 {
        let mut world = World::new(seed);
        let shape = geometry(600);
        let a = world.seed(upload(600_000), shape);
        let peers: Vec<usize> = (0..3).map(|_| world.leech(Config::default(), shape)).collect();
        for b in &peers {
            world.introduce(*b, a);
            world.nodes[*b].listens = false;
        }
        world.run(seconds(2));
        let before: Vec<usize> = peers.iter().map(|b| world.nodes[*b].store.stores).collect();
        world.run(seconds(10));
        let bytes: Vec<u64> =
            peers.iter().zip(before).map(|(b, n)| (world.nodes[*b].store.stores - n) as u64 * BLOCK).collect();
        assert_near(bytes.iter().sum(), 6_000_000, 5, &format!("seed {seed}"));
        for bytes in bytes {
            assert_near(bytes, 2_000_000, 8, &format!("one of three, seed {seed}"));
        }
    }
}

#[test]
fn a_peer_with_two_thousand_requests_gets_no_more_than_one_with_ten() {
    let mut world = World::new(1);
    let a = world.seed(upload(500_000), geometry(60));
    let (greedy, modest) = (world.shaken(a, 1), world.shaken(a, 2));
    for raw in [greedy, modest] {
        world.send(raw, &[Message::Interested]);
    }
    world.run(seconds(1));
    for k in 0..2000 {
        world.send(greedy, &[Message::Request(span(k / 4 % 50, k % 4 * 16384, 16384))]);
    }
    let mut asked = 0;
    while asked < 300 {
        while asked < world.count(modest, 7) + 10 {
            world.send(modest, &[Message::Request(span(asked as u32 / 4 % 50, asked as u32 % 4 * 16384, 16384))]);
            asked += 1;
        }
        world.run(Duration::from_millis(50));
    }
    let (greedy, modest) = (world.count(greedy, 7), world.count(modest, 7));
    assert!(modest >= 280 && greedy.abs_diff(modest) <= modest / 10, "{greedy} and {modest}");
}

#[test]
fn torrents_share_the_sessions_upload_rate_and_keep_within_their_own() {
    let mut world = World::new(1);
    let shape = geometry(400);
    let a = world.seed(upload(400_000), shape);
    add_other(&mut world, a, shape, Bitfield::full(shape.piece_count()), TorrentLimits::default());
    let peers: Vec<usize> = (0..4).map(|_| world.leech(Config::default(), shape)).collect();
    for b in &peers[..3] {
        world.introduce(*b, a);
        world.nodes[*b].listens = false;
    }
    let c = world.node(Config::default(), shape, &Bitfield::new(shape.piece_count()));
    add_other(&mut world, c, shape, Bitfield::new(shape.piece_count()), TorrentLimits::default());
    let address = world.nodes[a].address;
    world.command(c, Command::AddPeer { torrent: OTHER, address, source: Source::Program });
    world.run(seconds(3));
    assert_near(stored_in(&mut world, c, seconds(20)), 4_000_000, 5, "one peer of one torrent");
    set_torrent(&mut world, a, OTHER, TorrentLimits { upload_rate: rate(50_000), ..TorrentLimits::default() });
    world.run(seconds(3));
    let before: usize = peers.iter().map(|b| world.nodes[*b].store.stores).sum();
    assert_near(stored_in(&mut world, c, seconds(20)), 1_000_000, 5, "with a rate of its own");
    let after: usize = peers.iter().map(|b| world.nodes[*b].store.stores).sum();
    assert_near((after - before) as u64 * BLOCK, 7_000_000, 5, "the rest");
}

#[test]
fn a_limit_that_changes_holds_at_once_also_for_what_was_asked_for_before() {
    for seed in 0..3 {
        let mut world = World::new(seed);
        let shape = geometry(1500);
        let b = world.leech(Config::default(), shape);
        for _ in 0..2 {
            let a = world.seed(Config::default(), shape);
            world.introduce(b, a);
        }
        let fast = stored_in(&mut world, b, Duration::from_millis(100));
        assert!(fast > 4_000_000, "{fast}");
        set(&mut world, b, Limits { download_rate: rate(400_000), ..Limits::default() });
        let what = format!("seed {seed}: a limit where there was none");
        // What the host has read by now it gives all the same.
        world.run(seconds(1));
        assert_near(stored_in(&mut world, b, seconds(10)), 4_000_000, 5, &what);
        set(&mut world, b, Limits { download_rate: rate(100_000), ..Limits::default() });
        // What was asked for at the old rate counts against the new one.
        world.run(seconds(5));
        assert_near(stored_in(&mut world, b, seconds(10)), 1_000_000, 7, &format!("seed {seed}: a lower one"));
        set(&mut world, b, Limits { download_rate: rate(1_000_000), ..Limits::default() });
        assert_near(stored_in(&mut world, b, seconds(10)), 10_000_000, 5, &format!("seed {seed}: a higher one"));
        assert!(world.nodes[b].gone().is_empty());
        set(&mut world, b, Limits::default());
        assert!(world.run_until(seconds(3), |w| w.nodes[b].is_complete()), "seed {seed}: none again");
        assert!(world.nodes[b].store.is_true());
    }
}

#[test]
fn a_kilobyte_a_second_is_a_kilobyte_a_second_and_costs_no_connection() {
    for way in ["up", "down"] {
        let mut world = World::new(1);
        let shape = geometry(30);
        let (ours, theirs) =
            if way == "up" { (upload(1_000), Config::default()) } else { (Config::default(), download(1_000)) };
        let (a, b) = (world.seed(ours, shape), world.leech(theirs.clone(), shape));
        let c = if way == "up" { world.leech(theirs, shape) } else { world.seed(Config::default(), shape) };
        world.introduce(b, a);
        if way == "up" {
            world.introduce(c, a);
            world.nodes[b].listens = false;
        } else {
            world.introduce(b, c);
        }
        // What had gathered is used up.
        world.run(seconds(100));
        let before = world.nodes[b].store.stores + world.nodes[c].store.stores;
        world.run(seconds(1_000));
        let bytes = (world.nodes[b].store.stores + world.nodes[c].store.stores - before) as u64 * BLOCK;
        assert_near(bytes, 1_000_000, 5, way);
        for n in [a, b, c] {
            assert!(world.nodes[n].gone().is_empty(), "{way}: {:?}", world.nodes[n].gone());
        }
    }
}

#[test]
fn a_limit_far_above_the_links_rate_changes_nothing() {
    let time = |limits: Limits| {
        let mut world = World::new(3);
        let shape = geometry(300);
        let config = Config { limits, ..Config::default() };
        let (a, b) = (world.seed(config.clone(), shape), world.leech(config, shape));
        world.introduce(b, a);
        let began = world.now;
        assert!(world.run_until(seconds(60), |w| w.nodes[b].is_complete()));
        world.now.since(began)
    };
    let high = 20_000_000_000;
    let limits = Limits { upload_rate: rate(high), download_rate: rate(high), ..Limits::default() };
    assert_eq!(time(limits), time(Limits::default()));
}

#[test]
fn blocks_that_nobody_asked_for_count_and_stop_the_reading_of_who_sends_them_only() {
    let mut world = World::new(1);
    let b = world.leech(download(100_000), geometry(60));
    let (flood, quiet) = (world.shaken(b, 1), world.shaken(b, 2));
    let data = [7; 16384];
    for k in 0..400 {
        world.send(flood, &[Message::Piece { piece: PieceIndex(k / 4), begin: k % 4 * 16384, data: &data }]);
        if k / 4 == 58 {
            break;
        }
    }
    let sent = 59 * 4 * BLOCK;
    world.run(seconds(10));
    let came = world.nodes[b].status().wasted;
    // The host may read what lies in the stream's window before it is told to stop.
    assert!((900_000..=1_300_000).contains(&came) && came < sent, "{came}");
    let mut reading = world.is_reading(b);
    reading.sort();
    assert_eq!(reading, [false, true]);
    // The flood stands in its window for minutes, and that is our doing.
    world.send(quiet, &[Message::KeepAlive]);
    set(&mut world, b, Limits { download_rate: rate(1_000), ..Limits::default() });
    world.run(seconds(115));
    world.send(quiet, &[Message::KeepAlive]);
    world.run(seconds(110));
    assert!(world.nodes[b].gone().is_empty(), "{:?}", world.nodes[b].gone());
    set(&mut world, b, Limits::default());
    world.run(seconds(10));
    assert!(world.is_reading(b).iter().all(|reads| *reads));
}

#[test]
fn messages_are_never_delayed_by_a_rate_and_a_waiting_peer_is_not_silent() {
    let mut world = World::new(1);
    let limits = Limits { upload_rate: rate(100), upload_slots: 1, optimistic_slots: 0, ..Limits::default() };
    let a = world.seed(Config { limits, ..Config::default() }, geometry(60));
    let raw = world.shaken(a, 1);
    world.send(raw, &[Message::Interested]);
    world.run(seconds(1));
    for k in 0..3000 {
        world.send(raw, &[Message::Request(span(k / 4 % 50, k % 4 * 16384, 16384))]);
    }
    // The queue is full and is not read, for longer than any silence may last.
    world.run(seconds(2_000));
    assert_eq!(world.is_reading(a), [false]);
    assert!(world.nodes[a].gone().is_empty());
    let blocks = world.count(raw, 7);
    assert!((10..=14).contains(&blocks), "{blocks}");
    // Keep-alives went out all the time.
    assert!(world.raws[&raw].got.len() > blocks * 16384 + 30 * 4);
    // The slot goes to another at the end of a round, and both hear of it at once.
    let second = world.shaken(a, 2);
    world.send(second, &[Message::Interested]);
    world.run(seconds(45));
    assert!(world.count(raw, 0) >= 1 && world.count(second, 1) >= 1);
}

#[test]
fn a_torrent_that_goes_or_pauses_with_peers_in_line_leaves_the_others_their_turn() {
    let mut world = World::new(1);
    let shape = geometry(200);
    let a = world.seed(upload(200_000), shape);
    add_other(&mut world, a, shape, Bitfield::full(shape.piece_count()), TorrentLimits::default());
    let b = world.leech(Config::default(), shape);
    world.introduce(b, a);
    let c = world.node(Config::default(), shape, &Bitfield::new(shape.piece_count()));
    add_other(&mut world, c, shape, Bitfield::new(shape.piece_count()), TorrentLimits::default());
    let address = world.nodes[a].address;
    world.command(c, Command::AddPeer { torrent: OTHER, address, source: Source::Program });
    world.run(seconds(2));
    world.command(a, Command::Pause { torrent: TORRENT });
    assert_near(stored_in(&mut world, c, seconds(10)), 2_000_000, 7, "alone while the other pauses");
    world.command(a, Command::Resume { torrent: TORRENT });
    world.introduce(b, a);
    world.run(seconds(10));
    assert_near(stored_in(&mut world, c, seconds(10)), 1_000_000, 7, "both again");
    world.command(a, Command::RemoveTorrent { torrent: OTHER });
    assert_near(stored_in(&mut world, b, seconds(10)), 2_000_000, 7, "alone when the other has gone");
}

/// Connects a peer that the test plays, with an id of its own.
fn member(world: &mut World, n: usize, id: u8, hash: InfoHash) -> usize {
    let raw = world.connect(n);
    let mut hello = handshake(id);
    hello[28..48].copy_from_slice(&hash.0);
    world.write(raw, &hello);
    world.run(seconds(1));
    raw
}

#[test]
fn a_lower_limit_on_connections_closes_the_least_useful_at_once() {
    let mut world = World::new(1);
    let config = Config { idle_inbound: seconds(60), ..Config::default() };
    let a = world.seed(config, geometry(20));
    // Two that want nothing, two that want and take nothing, two that take.
    let raws: Vec<usize> = (1..=6).map(|id| member(&mut world, a, id, HASH)).collect();
    for raw in &raws[2..] {
        world.send(*raw, &[Message::Interested]);
    }
    world.run(seconds(70));
    let closed = |world: &World| raws.iter().map(|raw| world.is_closed(*raw)).collect::<Vec<_>>();
    for raw in &raws[4..] {
        // Whether it has a slot or not, it takes something once it has one.
        for _ in 0..20 {
            world.send(*raw, &[Message::Interested, Message::Request(span(0, 0, 16384))]);
            world.run(seconds(10));
            if world.count(*raw, 7) > 0 {
                break;
            }
        }
        assert!(world.count(*raw, 7) > 0);
        world.send(raws[0], &[Message::KeepAlive]);
        raws.iter().for_each(|raw| world.send(*raw, &[Message::KeepAlive]));
    }
    world.run(seconds(1));
    let limits = |most| Limits { max_connections: most, ..Limits::default() };
    set(&mut world, a, limits(5));
    world.run(Duration::from_millis(50));
    // The newest of those without interest.
    assert_eq!(closed(&world), [false, true, false, false, false, false]);
    set(&mut world, a, limits(3));
    world.run(Duration::from_millis(50));
    assert_eq!(closed(&world), [true, true, false, true, false, false]);
    set_torrent(&mut world, a, TORRENT, TorrentLimits { max_connections: Some(2), ..TorrentLimits::default() });
    world.run(Duration::from_millis(50));
    assert_eq!(closed(&world), [true, true, true, true, false, false]);
    set_torrent(&mut world, a, TORRENT, TorrentLimits { max_connections: Some(0), ..TorrentLimits::default() });
    world.run(Duration::from_millis(50));
    assert_eq!(closed(&world), [true; 6]);
    assert_eq!(world.nodes[a].gone(), [Gone::Full; 6]);
}

#[test]
fn a_limit_per_torrent_closes_in_each_torrent_and_one_for_all_among_all() {
    let mut world = World::new(1);
    let shape = geometry(20);
    let a = world.seed(Config::default(), shape);
    add_other(&mut world, a, shape, Bitfield::full(shape.piece_count()), TorrentLimits::default());
    let first: Vec<usize> = (1..=4).map(|id| member(&mut world, a, id, HASH)).collect();
    let second: Vec<usize> = (1..=3).map(|id| member(&mut world, a, id, InfoHash([8; 20]))).collect();
    let open = |world: &World, raws: &[usize]| raws.iter().filter(|raw| !world.is_closed(**raw)).count();
    set(&mut world, a, Limits { max_connections_per_torrent: 3, ..Limits::default() });
    world.run(seconds(1));
    assert_eq!((open(&world, &first), open(&world, &second)), (3, 3));
    // A torrent's own limit stands in place of that.
    set_torrent(&mut world, a, OTHER, TorrentLimits { max_connections: Some(5), ..TorrentLimits::default() });
    set(&mut world, a, Limits { max_connections_per_torrent: 2, ..Limits::default() });
    world.run(seconds(1));
    assert_eq!((open(&world, &first), open(&world, &second)), (2, 3));
    set(&mut world, a, Limits { max_connections: 1, ..Limits::default() });
    world.run(seconds(1));
    assert_eq!(open(&world, &first) + open(&world, &second), 1);
}

#[test]
fn a_higher_limit_dials_more() {
    let mut world = World::new(1);
    let limits = Limits { max_connections: 2, ..Limits::default() };
    let b = world.leech(Config { limits, ..Config::default() }, geometry(3));
    for port in 1..=5 {
        let address = SocketAddr::from(([10, 7, 0, 1], port));
        world.listeners.insert(address, Listener::Raw);
    }
    for id in 1..=2 {
        world.shaken(b, id);
    }
    world.run(seconds(1));
    set(&mut world, b, Limits { max_connections: 1, ..Limits::default() });
    for port in 1..=5 {
        world.add_peer(b, SocketAddr::from(([10, 7, 0, 1], port)));
    }
    world.run(seconds(30));
    assert_eq!(world.nodes[b].dials, []);
    set(&mut world, b, Limits { max_connections: 10, ..Limits::default() });
    world.run(Duration::from_millis(100));
    assert_eq!(world.nodes[b].dials.len(), 5);
}

#[test]
fn dials_begin_no_faster_than_the_limit_and_torrents_take_turns() {
    let mut world = World::new(1);
    let shape = geometry(3);
    let limits = Limits { dials_per_second: 10, max_dials: 1000, ..Limits::default() };
    let b = world.leech(Config { limits, dial_timeout: seconds(1000), ..Config::default() }, shape);
    add_other(&mut world, b, shape, Bitfield::new(3), TorrentLimits::default());
    for port in 1..=300 {
        let address = SocketAddr::from(([10, 7, (port > 200) as u8, 1], port));
        world.listeners.insert(address, Listener::Silent);
        let torrent = if port > 200 { OTHER } else { TORRENT };
        world.command(b, Command::AddPeer { torrent, address, source: Source::Tracker });
    }
    // A quarter of a second's worth at once.
    assert_eq!(world.nodes[b].dials.len(), 2);
    world.run(seconds(10));
    let dials = &world.nodes[b].dials;
    assert!((100..=102).contains(&dials.len()), "{}", dials.len());
    let others = dials.iter().filter(|address| address.port() > 200).count();
    assert!((49..=51).contains(&others), "{others}");
    set(&mut world, b, Limits { dials_per_second: 100, max_dials: 160, ..Limits::default() });
    world.run(seconds(1));
    assert_eq!(world.nodes[b].dials.len(), 160);
    set(&mut world, b, Limits { dials_per_second: 0, max_dials: 1000, ..Limits::default() });
    let before = world.nodes[b].dials.len();
    world.run(seconds(10));
    let more = world.nodes[b].dials.len() - before;
    assert!((9..=11).contains(&more), "{more}");
}

#[test]
fn slots_follow_the_limits_of_all_and_of_the_torrent() {
    let mut world = World::new(1);
    let limits = |slots| Limits { upload_slots: slots, optimistic_slots: 0, ..Limits::default() };
    let a = world.seed(Config { limits: limits(1), ..Config::default() }, geometry(20));
    let raws: Vec<usize> = (1..=4).map(|id| world.shaken(a, id)).collect();
    for raw in &raws {
        world.send(*raw, &[Message::Interested]);
    }
    world.run(seconds(1));
    let unchoked = |world: &World| raws.iter().filter(|raw| world.count(**raw, 1) > world.count(**raw, 0)).count();
    assert_eq!(unchoked(&world), 1);
    set(&mut world, a, limits(3));
    world.run(Duration::from_millis(100));
    assert_eq!(unchoked(&world), 3);
    let own = TorrentLimits { upload_slots: Some(4), ..TorrentLimits::default() };
    set_torrent(&mut world, a, TORRENT, own);
    world.run(Duration::from_millis(100));
    assert_eq!(unchoked(&world), 4);
    let own = TorrentLimits { upload_slots: Some(2), ..TorrentLimits::default() };
    set_torrent(&mut world, a, TORRENT, own);
    world.run(Duration::from_millis(100));
    assert_eq!(unchoked(&world), 2);
}
