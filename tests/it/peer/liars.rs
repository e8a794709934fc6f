//! Peers that send bytes which are not the torrent's.

use super::store::{content, geometry};
use super::world::{TORRENT, World, seconds};
use bip::peer::{Command, Config, Event, Gone, Refusal, Source};
use bip::proto::geometry::Geometry;
use bip::proto::id::PieceIndex;
use bip::proto::message::Message;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

const SEEDS: u64 = 6;

/// Gives small pieces, each mostly from one peer, or large ones, of which each has a part.
fn shape(seed: u64) -> Geometry {
    if seed % 2 == 0 { geometry(16) } else { Geometry::new((3 << 20) - 70_000, 1 << 19).unwrap() }
}

/// Gives the addresses that a node banned because of bad pieces.
fn banned(world: &World, n: usize) -> BTreeSet<IpAddr> {
    let ip = |e: &Event| if let Event::PeerBanned { ip, .. } = e { Some(*ip) } else { None };
    let all: Vec<IpAddr> = world.nodes[n].events.iter().filter_map(ip).collect();
    let set: BTreeSet<IpAddr> = all.iter().copied().collect();
    assert_eq!(all.len(), set.len(), "banned twice: {all:?}");
    set
}

/// Has a leech download from that many honest seeds and from liars, which the function spoils; says whom it banned, by the liars' numbers,
/// and gives the world.
fn download_among(
    seed: u64,
    honest: usize,
    liars: usize,
    shape: Geometry,
    mut spoil: impl FnMut(&mut World, usize),
) -> (World, usize, Vec<usize>) {
    let mut world = World::new(seed);
    let b = world.leech(Config::default(), shape);
    let mut seeds: Vec<usize> = (0..honest).map(|_| world.seed(Config::default(), shape)).collect();
    let liars: Vec<usize> = (0..liars).map(|_| world.seed(Config::default(), shape)).collect();
    liars.iter().for_each(|n| spoil(&mut world, *n));
    seeds.extend(&liars);
    // In another order each time, and some connect to us.
    for k in 0..seeds.len() {
        let other = seeds[(k + seed as usize) % seeds.len()];
        if (k as u64 + seed) % 3 == 0 { world.introduce(other, b) } else { world.introduce(b, other) }
    }
    let done = world.run_until(seconds(600), |w| w.nodes[b].is_complete());
    assert!(done, "seed {seed}: {:?}", world.nodes[b].status());
    assert!(world.nodes[b].store.is_true(), "seed {seed}");
    // The hashes of the last piece's blocks are told after it.
    world.run(seconds(1));
    let found = banned(&world, b);
    let caught = liars.iter().copied().filter(|n| found.contains(&world.nodes[*n].address.ip())).collect::<Vec<_>>();
    assert_eq!(caught.len(), found.len(), "seed {seed}: an honest peer was banned: {found:?}");
    (world, b, caught)
}

#[test]
fn one_liar_among_five_honest_peers_is_found_and_nobody_else_suffers() {
    for seed in 0..SEEDS {
        let (world, b, caught) = download_among(seed, 5, 1, shape(seed), |world, n| {
            world.nodes[n].store.bytes.fill(0);
        });
        let bad = world.nodes[b].store.bad_pieces;
        assert_eq!((caught.len(), bad > 0), (1, true), "seed {seed}");
        // What it spoiled before it was found is what it had been asked for, and a second try of the first.
        assert!(bad <= 12, "seed {seed}: {bad} bad pieces");
        assert_eq!(world.nodes[b].status().pieces_failed as usize, bad, "seed {seed}");
        let gone: Vec<Gone> = world.nodes[b].gone().into_iter().filter(|gone| *gone == Gone::Banned).collect();
        // Where the last piece was the spoiled one, it may have left with the other seeds when the ban comes.
        assert!(gone.len() <= 1, "seed {seed}");
    }
}

#[test]
fn a_liar_that_spoils_one_block_of_each_piece_is_found_by_the_blocks() {
    for seed in 0..SEEDS {
        let (world, b, caught) = download_among(seed, 5, 1, shape(seed), |world, n| {
            world.nodes[n].store.spoil_a_block_of_each_piece();
        });
        // It may be that what it was asked for was right.
        let bad = world.nodes[b].store.bad_pieces;
        assert_eq!(caught.is_empty(), bad == 0, "seed {seed}");
        assert!(bad <= 12, "seed {seed}: {bad} bad pieces");
    }
}

#[test]
fn a_liar_that_lies_now_and_then_is_found_as_soon_as_it_does() {
    let mut found = 0;
    for seed in 0..SEEDS {
        let (world, b, caught) = download_among(seed, 5, 1, shape(seed), |world, n| {
            world.nodes[n].store.lies = 100;
        });
        assert_eq!(caught.is_empty(), world.nodes[b].store.bad_pieces == 0, "seed {seed}");
        found += caught.len();
    }
    assert!(found > 0, "{found}");
}

#[test]
fn half_of_the_peers_may_lie_and_the_download_completes() {
    for seed in 0..SEEDS {
        let (world, b, caught) = download_among(seed, 3, 3, shape(seed), |world, n| match n % 3 {
            0 => world.nodes[n].store.bytes.fill(0),
            1 => world.nodes[n].store.spoil_a_block_of_each_piece(),
            _ => world.nodes[n].store.lies = 300,
        });
        let bad = world.nodes[b].store.bad_pieces;
        assert!(!caught.is_empty() && bad <= 30, "seed {seed}: {caught:?}, {bad} bad pieces");
    }
}

#[test]
fn a_liar_that_comes_back_with_another_peer_id_and_port_stays_banned() {
    for seed in 0..5 {
        let mut world = World::new(seed);
        let shape = geometry(4);
        let b = world.leech(Config::default(), shape);
        // The same host under ever new names.
        for n in 0..6 {
            let liar = world.seed(Config::default(), shape);
            world.nodes[liar].store.bytes.fill(0);
            world.nodes[liar].address = SocketAddr::from(([10, 0, 0, 99], 7000 + n));
            world.introduce(liar, b);
            world.introduce(b, liar);
            world.run(seconds(40));
        }
        let ip = IpAddr::from([10, 0, 0, 99]);
        assert_eq!(banned(&world, b), [ip].into(), "seed {seed}");
        // A third may be on its way when the second is found bad.
        let bad = world.nodes[b].store.bad_pieces;
        assert!((2..=4).contains(&bad), "seed {seed}: {bad}");
        assert_eq!(world.nodes[b].connections(), 0, "seed {seed}");
        // It is refused by name as well.
        world.nodes[b].events.clear();
        world.add_peer(b, SocketAddr::new(ip, 9999));
        let refused = Event::Refused { torrent: TORRENT, refusal: Refusal::Banned };
        assert!(world.nodes[b].events.contains(&refused), "seed {seed}: {:?}", world.nodes[b].events);
        let honest = world.seed(Config::default(), shape);
        world.introduce(b, honest);
        assert!(world.run_until(seconds(100), |w| w.nodes[b].is_complete()), "seed {seed}");
    }
}

/// Sends all that a raw peer was asked for and has not sent, with the bytes of the blocks that the test says.
fn answer(world: &mut World, raw: usize, sent: &mut usize, bytes: &[u8]) {
    let word = |m: &[u8], at: usize| u32::from_be_bytes(m[at..at + 4].try_into().unwrap());
    let requests: Vec<_> = world.messages(raw).into_iter().filter(|m| m.first() == Some(&6)).collect();
    for m in &requests[*sent..] {
        let (piece, begin, length) = (PieceIndex(word(m, 1)), word(m, 5), word(m, 9));
        let at = piece.as_usize() * 65536 + begin as usize;
        world.send(raw, &[Message::Piece { piece, begin, data: &bytes[at..at + length as usize] }]);
    }
    *sent = requests.len();
}

#[test]
fn parole_is_not_over_for_having_gone_and_come_back() {
    let mut world = World::new(1);
    let shape = geometry(1);
    let b = world.leech(Config { parole: seconds(30), ..Config::default() }, shape);
    let wrong = vec![0; shape.total_length() as usize];
    let ip = IpAddr::from([10, 7, 7, 7]);
    let hello = [Message::Bitfield(&[0x80]), Message::Unchoke];
    let raw = world.shaken_from(b, 1, SocketAddr::new(ip, 1));
    world.send(raw, &hello);
    world.run(seconds(1));
    answer(&mut world, raw, &mut 0, &wrong);
    assert!(world.run_until(seconds(5), |w| w.nodes[b].store.bad_pieces == 1));
    world.hang_up(raw);
    world.run(seconds(2));
    let again = world.shaken_from(b, 2, SocketAddr::new(ip, 2));
    world.send(again, &hello);
    world.run(seconds(10));
    assert_eq!((world.is_closed(again), world.count(again, 6)), (false, 0));
    world.run(seconds(30));
    assert_eq!(world.count(again, 6), 3);
    // Its second bad piece is one too many, whatever it calls itself.
    answer(&mut world, again, &mut 0, &wrong);
    world.run(seconds(5));
    assert_eq!((world.is_closed(again), banned(&world, b)), (true, [ip].into()));
}

#[test]
fn honest_peers_with_a_part_in_every_bad_piece_lose_no_time() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        // Pieces so large that all have a part in each.
        let shape = Geometry::new(3 << 20, 1 << 20).unwrap();
        // Who is put on parole waits for a minute.
        let config = Config { parole: seconds(60), ..Config::default() };
        let b = world.leech(config, shape);
        let seeds: Vec<usize> = (0..5).map(|_| world.seed(Config::default(), shape)).collect();
        world.nodes[seeds[seed as usize % 5]].store.spoil_a_block_of_each_piece();
        world.nodes[seeds[seed as usize % 5]].store.lies = 500;
        seeds.iter().for_each(|n| world.introduce(b, *n));
        assert!(
            world.run_until(seconds(30), |w| w.nodes[b].is_complete()),
            "seed {seed}: {:?}",
            world.nodes[b].status()
        );
        let liar = world.nodes[seeds[seed as usize % 5]].address.ip();
        assert_eq!(banned(&world, b), [liar].into(), "seed {seed}");
    }
}

#[test]
fn the_program_bans_an_address_in_all_torrents_and_lets_it_in_again() {
    let mut world = World::new(1);
    let shape = geometry(40);
    let (a, b) = (world.seed(Config::default(), shape), world.seed(Config::default(), shape));
    let leech = world.leech(Config { max_bans: 1, ..Config::default() }, shape);
    world.introduce(leech, a);
    world.run(std::time::Duration::from_millis(5));
    let ip = world.nodes[a].address.ip();
    let mapped = match ip {
        IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
        v6 => v6,
    };
    assert_eq!(world.nodes[leech].connections(), 1);
    world.command(leech, Command::Ban { ip: mapped, banned: true });
    assert!(world.nodes[leech].events.contains(&Event::BanSet { ip: mapped }));
    world.run(seconds(1));
    assert_eq!((world.nodes[leech].connections(), world.nodes[leech].gone()), (0, vec![Gone::Banned]));
    // Neither comes in nor is dialled, however long we wait.
    world.introduce(a, leech);
    world.run(seconds(900));
    assert_eq!((world.nodes[leech].connected(), world.nodes[leech].dials.len()), (1, 1));
    let other = world.nodes[b].address.ip();
    world.command(leech, Command::Ban { ip: other, banned: true });
    assert_eq!(world.nodes[leech].events.last(), Some(&Event::BanRefused { ip: other }));
    world.command(leech, Command::Ban { ip, banned: false });
    world.introduce(leech, a);
    assert!(world.run_until(seconds(10), |w| w.nodes[leech].is_complete()));
}

#[test]
fn a_dial_that_is_under_way_when_its_address_is_banned_comes_to_nothing() {
    let mut world = World::new(1);
    let shape = geometry(3);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    let address = world.nodes[a].address;
    world.introduce(b, a);
    world.command(b, Command::Ban { ip: address.ip(), banned: true });
    world.run(seconds(900));
    assert_eq!((world.nodes[b].connected(), world.nodes[b].connections(), world.nodes[b].dials.len()), (0, 0, 1));
}

#[test]
fn on_loopback_a_liar_is_banned_alone_though_all_share_the_address() {
    let mut found = 0;
    for seed in 0..5 {
        let mut world = World::new(seed);
        let shape = geometry(8);
        let b = world.leech(Config::default(), shape);
        let others: Vec<usize> = (0..4).map(|_| world.seed(Config::default(), shape)).collect();
        for (n, port) in others.iter().zip(7000..) {
            world.nodes[*n].address = SocketAddr::from(([127, 0, 0, 1], port));
        }
        world.nodes[others[0]].store.bytes.fill(0);
        others.iter().for_each(|n| world.introduce(b, *n));
        assert!(world.run_until(seconds(300), |w| w.nodes[b].is_complete()), "seed {seed}");
        let gone = world.nodes[b].gone();
        let closed = gone.iter().filter(|gone| **gone == Gone::Banned).count();
        // It may be that nothing was asked of it.
        let spoiled = usize::from(world.nodes[b].store.bad_pieces > 0);
        assert_eq!(banned(&world, b).len(), spoiled, "seed {seed}: {gone:?}");
        // Found by the last piece of all, it is gone already.
        assert!(closed <= spoiled, "seed {seed}: {gone:?}");
        found += closed;
    }
    assert!(found > 0);
}

#[test]
fn a_bad_piece_whose_blocks_cannot_be_hashed_blames_nobody_and_is_fetched_again() {
    let mut world = World::new(3);
    let shape = geometry(2);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    let [first, second] = [1, 2].map(|id| world.shaken(b, id));
    for raw in [first, second] {
        world.send(raw, &[Message::Bitfield(&[0xc0]), Message::Unchoke]);
    }
    let none: std::sync::Arc<[[u8; 20]]> = std::sync::Arc::default();
    for good in [false, true] {
        for piece in [0, 1, 2, u32::MAX].map(PieceIndex) {
            let hashes = std::sync::Arc::clone(&none);
            world.command(b, Command::BlockHashes { torrent: TORRENT, piece, good, hashes });
            let hashes = vec![[1; 20]; 3].into();
            world.command(b, Command::BlockHashes { torrent: TORRENT, piece, good, hashes });
        }
    }
    let (mut one, mut two) = (0, 0);
    for _ in 0..50 {
        world.run(seconds(1));
        answer(&mut world, first, &mut one, &truth);
        answer(&mut world, second, &mut two, &truth);
    }
    assert!(world.nodes[b].is_complete() && banned(&world, b).is_empty());
}

#[test]
fn bans_by_liars_are_bounded_and_a_limit_of_none_lets_the_download_complete_all_the_same() {
    for max_bans in [0, 1] {
        let mut world = World::new(9);
        let shape = geometry(8);
        let b = world.leech(Config { max_bans, suspect_blocks: 0, max_suspects: 0, ..Config::default() }, shape);
        let others: Vec<usize> = (0..5).map(|_| world.seed(Config::default(), shape)).collect();
        others[..2].iter().for_each(|n| world.nodes[*n].store.bytes.fill(0));
        others.iter().for_each(|n| world.introduce(b, *n));
        assert!(world.run_until(seconds(900), |w| w.nodes[b].is_complete()), "{max_bans}");
    }
}

#[test]
fn the_source_of_a_peer_makes_no_difference_to_a_ban() {
    let mut world = World::new(1);
    let b = world.leech(Config::default(), geometry(1));
    let ip = IpAddr::from([10, 3, 3, 3]);
    world.command(b, Command::Ban { ip, banned: true });
    for source in [Source::Program, Source::Tracker, Source::Dht, Source::PeerExchange, Source::Resume] {
        world.nodes[b].events.clear();
        world.command(b, Command::AddPeer { torrent: TORRENT, address: SocketAddr::new(ip, 1), source });
        assert_eq!(world.nodes[b].events, [Event::Refused { torrent: TORRENT, refusal: Refusal::Banned }]);
    }
}

#[test]
fn a_liar_comes_back_by_no_other_address_of_its_64_until_the_ban_is_lifted_by_any_of_them() {
    let mut world = World::new(1);
    let shape = geometry(1);
    let b = world.leech(Config::default(), shape);
    let wrong = vec![0; shape.total_length() as usize];
    let at = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 7, 0, 0, n, n], 5000));
    // Alone behind two bad copies, by two addresses.
    for n in 1..=2 {
        let raw = world.shaken_from(b, n as u8, at(n));
        world.send(raw, &[Message::Bitfield(&[0x80]), Message::Unchoke]);
        world.run(seconds(5));
        answer(&mut world, raw, &mut 0, &wrong);
        world.run(seconds(5));
        world.hang_up(raw);
        world.run(seconds(1));
    }
    let first: IpAddr = "2001:db8:0:7::".parse().unwrap();
    assert_eq!(banned(&world, b), [first].into());
    let come = |world: &mut World, address| {
        let raw = world.shaken_from(b, 9, address);
        world.run(seconds(1));
        !world.is_closed(raw)
    };
    assert!(!come(&mut world, at(3)));
    assert!(come(&mut world, SocketAddr::from(([0x2001, 0xdb8, 0, 8, 0, 0, 3, 3], 5000))));
    world.add_peer(b, at(4));
    let refused = Event::Refused { torrent: TORRENT, refusal: Refusal::Banned };
    assert_eq!(world.nodes[b].events.last(), Some(&refused));
    world.command(b, Command::Ban { ip: at(5).ip(), banned: false });
    assert!(come(&mut world, at(3)));
}

#[test]
fn nobody_answers_for_blocks_that_the_store_lost_and_found_again() {
    let mut world = World::new(1);
    let shape = geometry(1);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    let [early, late] = [1, 2].map(|id| world.shaken(b, id));
    let hello = [Message::Bitfield(&[0x80]), Message::Unchoke];
    world.send(early, &hello);
    world.run(seconds(1));
    let span = super::download::asked(&world, early)[0];
    world.send(early, &[super::download::piece(&truth, span), Message::Choke]);
    world.run(seconds(1));
    assert_eq!(world.nodes[b].store.stores, 1);
    // The block is gone, and another is in its place that nobody sent.
    world.command(b, Command::PieceLost { torrent: TORRENT, piece: PieceIndex(0) });
    world.nodes[b].store.spoil(span);
    world.command(b, Command::Kept { torrent: TORRENT, spans: vec![span] });
    world.send(late, &hello);
    let mut sent = 0;
    for _ in 0..20 {
        world.run(seconds(1));
        answer(&mut world, late, &mut sent, &truth);
    }
    assert!(world.nodes[b].is_complete() && world.nodes[b].store.is_true());
    assert_eq!((world.nodes[b].store.bad_pieces, banned(&world, b).len()), (1, 0));
}

#[test]
fn a_newcomer_answers_for_nothing_that_an_earlier_peer_did() {
    let mut world = World::new(1);
    let shape = geometry(2);
    let truth = content(&shape);
    let b = world.leech(Config { parole: seconds(600), ..Config::default() }, shape);
    let liar = world.shaken(b, 1);
    world.send(liar, &[Message::Bitfield(&[0x80]), Message::Unchoke]);
    world.run(seconds(1));
    answer(&mut world, liar, &mut 0, &vec![0; truth.len()]);
    assert!(world.run_until(seconds(5), |w| w.nodes[b].store.bad_pieces == 1));
    world.hang_up(liar);
    world.run(seconds(1));
    let all = [Message::Bitfield(&[0xc0]), Message::Unchoke];
    // The first that comes in its place is asked for the bad piece before all else, as whoever gave nothing of it.
    let second = world.shaken(b, 2);
    world.send(second, &all);
    world.run(seconds(1));
    let asked = super::download::asked(&world, second);
    assert!(!asked.is_empty() && asked.iter().all(|span| span.piece == PieceIndex(0)), "{asked:?}");
    // The next is not, for it would be mixed with what this one gave of it.
    world.send(second, &[super::download::piece(&truth, asked[0])]);
    world.run(seconds(1));
    world.hang_up(second);
    world.run(seconds(1));
    let third = world.shaken(b, 3);
    world.send(third, &all);
    world.run(seconds(1));
    assert_eq!(super::download::asked(&world, third)[0].piece, PieceIndex(1));
}
