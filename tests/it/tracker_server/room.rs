//! Room that is scarce, by accident or on purpose.

use super::*;
use bip::tracker::server::{Announcement, Counts, Drawn, Full};
use std::collections::BTreeSet;

/// Swarms, and the time.
struct Store {
    swarms: Swarms,
    rng: Rng,
    now: Instant,
}

impl Store {
    fn new(limits: SwarmLimits) -> Self {
        let swarms = Swarms::new(limits, &Secret::new([9; 32]));
        Self { swarms, rng: Rng::new(4), now: Instant::from_micros(1_000_000_000) }
    }

    /// Announces; gives the figures and whom the announcer is told of.
    fn announce(&mut self, asked: Announcement) -> (Counts, BTreeSet<SocketAddr>) {
        let mut drawn = Drawn::default();
        let counts = self.swarms.announce(self.now, &asked, &mut self.rng, &mut drawn).expect("there is room");
        let v4 = bip::proto::compact::Peers::new(Family::V4, &drawn.v4).unwrap();
        let v6 = bip::proto::compact::Peers::new(Family::V6, &drawn.v6).unwrap();
        (counts, v4.iter().chain(v6.iter()).collect())
    }

    /// Somebody announces and wants no peers.
    fn come(&mut self, info_hash: InfoHash, peer: SocketAddr) -> Counts {
        self.announce(Announcement { want: 0, ..Announcement::new(info_hash, peer) }).0
    }

    /// Says whether a peer can be drawn, by asking for all.
    fn is_drawn(&mut self, info_hash: InfoHash, peer: SocketAddr) -> bool {
        let asked =
            Announcement { want: 200_000, both: true, ..Announcement::new(info_hash, SocketAddr::new(v4(0).ip(), 0)) };
        self.announce(asked).1.contains(&peer)
    }
}

fn numbered(n: u32) -> InfoHash {
    let mut hash = InfoHash([0xee; 20]);
    hash.0[..4].copy_from_slice(&n.to_be_bytes());
    hash
}

#[test]
fn one_ipv4_address_has_so_many_ports_of_a_torrent_and_no_more() {
    for limit in [1, 2, 32, 200] {
        let mut store = Store::new(SwarmLimits { peers_per_network: limit, ..SwarmLimits::default() });
        for n in 1..=100 {
            store.come(hash(1), v4(n));
        }
        for port in 1..=u16::MAX {
            store.come(hash(1), SocketAddr::new(v4(200).ip(), port));
        }
        assert_eq!(store.swarms.tally().peers(), 100 + limit);
        // Of two torrents it has as many of each.
        store.come(hash(2), v4(200));
        assert_eq!(store.swarms.tally().peers(), 101 + limit);
        for n in 1..=101 {
            store.come(hash(1), v4(n));
            assert!(store.is_drawn(hash(1), v4(n)), "{n}");
        }
    }
}

#[test]
fn one_ipv6_network_has_so_many_peers_of_a_torrent_and_no_more() {
    let mut store = Store::new(SwarmLimits { peers_per_torrent: 5_000, ..SwarmLimits::default() });
    for n in 1..=100 {
        store.come(hash(1), v6(n));
    }
    for n in 0..100_000_u32 {
        let address = [0x2a00, 1, 2, 3, n as u16, (n >> 16) as u16, (n * 7) as u16, 4];
        store.come(hash(1), SocketAddr::from((address, n as u16 | 1)));
    }
    assert_eq!(store.swarms.tally().peers(), 132);
    assert!((1..=100).all(|n| store.is_drawn(hash(1), v6(n))));
    store.come(hash(1), v4(7));
    assert!(store.is_drawn(hash(1), v4(7)));
}

#[test]
fn of_the_ports_of_an_address_the_oldest_goes() {
    // In a swarm without an index, and in one with it.
    for others in [0, 1_000] {
        let mut store = Store::new(SwarmLimits { peers_per_network: 3, ..SwarmLimits::default() });
        for n in 1..=others {
            store.come(hash(1), v4(n));
        }
        let port = |port| SocketAddr::new(v4(5_000).ip(), port);
        for n in 1..=9 {
            store.now += MINUTE;
            store.come(hash(1), port(n));
            // The first is heard of all the time.
            store.come(hash(1), port(1));
        }
        let left: Vec<u16> = (1..=9).filter(|n| store.is_drawn(hash(1), port(*n))).collect();
        assert_eq!(left, [1, 8, 9]);
        assert_eq!(store.swarms.tally().peers(), 3 + others as usize);
    }
}

#[test]
fn a_torrent_that_is_full_takes_who_is_new_for_one_of_the_oldest() {
    let limit = 1_000;
    let mut store = Store::new(SwarmLimits { peers_per_torrent: limit, ..SwarmLimits::default() });
    for n in 0..10_000 {
        store.now += SECOND / 10;
        store.come(hash(1), v4(n));
        assert!(store.swarms.tally().peers() <= limit);
    }
    // Of a family that has none there, and of the other.
    for newcomer in [v6(1), v6(2), v4(20_001)] {
        assert!(store.come(hash(1), newcomer).leechers as usize == limit);
        assert!(store.is_drawn(hash(1), newcomer));
    }
    // Who came last is there, but for one or two; who came first is not.
    let there =
        |store: &mut Store, range: std::ops::Range<u32>| range.filter(|n| store.is_drawn(hash(1), v4(*n))).count();
    let last = there(&mut store, 9_900..10_000);
    assert!(last > 90, "{last}");
    assert_eq!(there(&mut store, 0..100), 0);
    assert_eq!(store.swarms.tally().peers(), limit);
}

#[test]
fn a_flood_of_torrents_keeps_no_torrent_out_and_pushes_out_none_that_is_shared() {
    let limit = 2_000;
    let mut store = Store::new(SwarmLimits { torrents: limit, ..SwarmLimits::default() });
    for peer in 1..=3 {
        store.come(hash(1), v4(peer));
    }
    for n in 0..100_000 {
        store.now += SECOND / 100;
        store.come(numbered(n), v4(77));
        assert!(store.swarms.tally().torrents <= limit);
    }
    assert_eq!(store.swarms.scrape(&hash(1)).leechers, 3);
    store.come(hash(2), v4(1));
    store.come(hash(2), v6(1));
    assert!(store.is_drawn(hash(2), v4(1)) && store.is_drawn(hash(2), v6(1)));
    // The flood goes on.
    for n in 100_000..150_000 {
        store.now += SECOND / 100;
        store.come(numbered(n), v4(77));
    }
    assert!(store.is_drawn(hash(2), v4(1)) && store.is_drawn(hash(2), v6(1)));
    assert_eq!(store.swarms.scrape(&hash(1)).leechers, 3);
}

#[test]
fn where_every_torrent_is_shared_the_one_that_nobody_announces_goes() {
    let mut store = Store::new(SwarmLimits { torrents: 500, ..SwarmLimits::default() });
    for n in 0..5_000 {
        store.now += SECOND;
        store.come(hash(1), v4(1));
        store.come(hash(1), v4(2));
        store.come(numbered(n), v4(77));
        store.come(numbered(n), v4(78));
    }
    assert_eq!(store.swarms.scrape(&hash(1)).leechers, 2);
    assert_eq!(store.swarms.scrape(&numbered(4_999)).leechers, 2);
    assert_eq!(store.swarms.scrape(&numbered(0)).leechers, 0);
    assert_eq!(store.swarms.tally().torrents, 500);
}

#[test]
fn where_all_torrents_together_are_full_an_old_peer_of_some_torrent_goes() {
    let limit = 3_000;
    let mut store = Store::new(SwarmLimits { peers: limit, ..SwarmLimits::default() });
    // As many of each torrent as an address may have, and of as many torrents as it takes.
    for n in 0..30_000 {
        store.now += SECOND / 100;
        store.come(numbered(n / 20), SocketAddr::new(v4(77).ip(), 1 + n as u16));
        assert!(store.swarms.tally().peers() <= limit);
    }
    for newcomer in [v4(1), v6(1), v4(2)] {
        store.come(hash(1), newcomer);
        assert!(store.is_drawn(hash(1), newcomer));
    }
    assert_eq!(store.swarms.scrape(&hash(1)).leechers, 3);
    store.now += DAY;
    while store.swarms.sweep(store.now, 1_000) > 0 {}
    assert_eq!((store.swarms.tally(), store.swarms.size()), (Default::default(), 0));
}

#[test]
fn limits_of_almost_nothing_are_kept_and_keep_nobody_out() {
    let mut rng = Rng::new(1);
    for (torrents, peers, each) in [(1, 1, 1), (2, 5, 2), (3, 8, 4), (5, 1, 9), (1, 9, 3)] {
        let limits = SwarmLimits { torrents, peers, peers_per_torrent: each, ..SwarmLimits::default() };
        let mut store = Store::new(limits);
        for n in 0..3_000 {
            let torrent = numbered(rng.below(9));
            let peer = if n % 3 == 0 { v6(rng.below(30)) } else { v4(rng.below(30)) };
            store.now += SECOND;
            let asked = Announcement {
                seed: n % 5 == 0,
                event: *rng.choose(&[Event::None, Event::Stopped]).unwrap(),
                ..Announcement::new(torrent, peer)
            };
            let (counts, _) = store.announce(asked);
            let tally = store.swarms.tally();
            assert!(tally.torrents <= torrents && tally.peers() <= peers, "{tally:?}");
            assert!((counts.seeders + counts.leechers) as usize <= each);
            assert!(asked.event == Event::Stopped || store.is_drawn(torrent, peer), "{n}: {tally:?}");
            assert_eq!(store.swarms.size(), store.swarms.tally().torrents + store.swarms.tally().peers());
        }
        store.now += DAY;
        while store.swarms.sweep(store.now, 1_000) > 0 {}
        assert_eq!((store.swarms.tally(), store.swarms.size()), (Default::default(), 0));
    }
}

#[test]
fn limits_of_nothing_are_kept_too() {
    let none = SwarmLimits { torrents: 0, ..SwarmLimits::default() };
    let swarms = Swarms::new(none, &Secret::new([9; 32]));
    let asked = Announcement::new(hash(1), v4(1));
    assert_eq!(swarms.announce(Instant::ZERO, &asked, &mut Rng::new(1), &mut Drawn::default()), Err(Full));
    for limits in [
        SwarmLimits { peers: 0, ..SwarmLimits::default() },
        SwarmLimits { peers_per_torrent: 0, ..SwarmLimits::default() },
    ] {
        let mut store = Store::new(limits);
        assert_eq!(store.come(hash(1), v4(1)), Counts::default());
        assert_eq!(store.come(hash(1), v6(1)), Counts::default());
        assert_eq!(store.swarms.tally().peers(), 0);
    }
}

#[test]
fn a_server_without_room_for_torrents_says_so() {
    let limits = SwarmLimits { torrents: 0, ..SwarmLimits::default() };
    let mut host = Host::with(Config::default(), limits, Start::default(), Box::new(Everybody));
    let id = host.connect(v4(1));
    let answer = host.ask(v4(1), &encode_announce(id, announce(hash(3)))).unwrap();
    assert_eq!(reason(&answer), "this tracker has no room for another torrent");
}

#[test]
fn who_comes_to_a_full_server_is_told_to_the_next() {
    let limits = SwarmLimits { torrents: 3, peers: 8, peers_per_torrent: 4, ..SwarmLimits::default() };
    let mut host = Host::with(Config::default(), limits, Start::default(), Box::new(Everybody));
    for torrent in 0..9 {
        for n in 0..20 {
            host.announce(v4(n), announce(hash(torrent)));
        }
    }
    for torrent in [20, 21] {
        host.announce(v4(100), announce(hash(torrent)));
        assert_eq!(host.announce(v4(101), announce(hash(torrent))).1, [SocketAddr::new(v4(100).ip(), 6_881)]);
    }
    host.wait(DAY);
    assert_eq!(host.swarms.tally(), Default::default());
    host.announce(v4(1), announce(hash(3)));
    assert_eq!(host.swarms.tally().peers(), 1);
}
