use super::*;
use crate::proto::krpc::Bloom;
use std::collections::{BTreeMap, BTreeSet};

const START: Instant = Instant::from_micros(77_000_000);

fn after(seconds: u64) -> Instant {
    START + Duration::from_secs(seconds)
}

fn hash(n: u32) -> InfoHash {
    let mut hash = [0; 20];
    hash[8..12].copy_from_slice(&n.to_be_bytes());
    InfoHash(hash)
}

/// A peer on a host of its own.
fn v4(n: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::from((0x0100_0000 + n).to_be_bytes()), 6881)
}

/// A peer in a /64 of its own.
fn v6(n: u32) -> SocketAddr {
    let network = 0x2001_0db8_0000_0000 + u64::from(n);
    SocketAddr::new(IpAddr::from((u128::from(network) << 64 | 1).to_be_bytes()), 6881)
}

fn peers(limits: StoreLimits) -> Peers {
    Peers::new(limits, &mut Rng::new(1))
}

fn some(limits: StoreLimits, torrents: u32, each: u32) -> Peers {
    let mut peers = peers(limits);
    for n in 0..torrents * each {
        assert_eq!(peers.announce(START, hash(n / each), v4(n), false), Ok(()));
    }
    peers
}

fn picked(peers: &mut Peers, now: Instant, of: u32, family: Family, count: usize, no_seed: bool) -> Vec<SocketAddr> {
    let mut into = vec![v4(9)];
    peers.pick(now, &hash(of), family, count, no_seed, &mut into);
    assert_eq!(into.remove(0), v4(9));
    into.iter().for_each(|peer| assert_eq!(Family::of(peer.ip()), family));
    into
}

fn all(peers: &mut Peers, now: Instant, of: u32, family: Family) -> BTreeSet<SocketAddr> {
    let list = picked(peers, now, of, family, usize::MAX, false);
    let set: BTreeSet<_> = list.iter().copied().collect();
    assert_eq!(list.len(), set.len());
    set
}

impl Peers {
    /// Counts everything again.
    fn check(&self) {
        let limits = &self.limits;
        let (mut total, mut parties) = (0, BTreeMap::new());
        for (at, torrent) in self.torrents.iter().enumerate() {
            assert!(torrent.len() > 0);
            assert_eq!(self.places.get(&torrent.hash), Some(&(at as u32)));
            total += torrent.len();
            torrent.v4.check(limits);
            torrent.v6.check(limits);
            torrent.v4.parties().chain(torrent.v6.parties()).for_each(|party| *parties.entry(party).or_insert(0) += 1);
        }
        assert_eq!(
            (self.total, self.places.len(), self.timers.len()),
            (total, self.torrents.len(), self.torrents.len())
        );
        assert!(total <= limits.total && self.torrents.len() <= limits.hashes);
        let counted: BTreeMap<_, _> = self.parties.iter_unordered().map(|(party, count)| (*party, *count)).collect();
        assert_eq!(counted, parties);
        assert!(parties.values().all(|count| *count as usize <= limits.per_ip));
        let large = self.torrents.iter().filter(|torrent| torrent.len() >= LARGE);
        assert_eq!(self.large, large.map(|torrent| (torrent.len(), torrent.hash)).collect());
        assert!(self.scrapes.len() <= limits.scrapes);
    }
}

#[test]
fn a_peer_that_is_announced_is_picked_until_it_expires() {
    for (peer, family) in [(v4(1), Family::V4), (v6(1), Family::V6)] {
        let mut peers = peers(StoreLimits::default());
        peers.announce(START, hash(1), peer, false).unwrap();
        assert_eq!(picked(&mut peers, after(2_699), 1, family, 9, false), [peer]);
        for other in [Family::V4, Family::V6].into_iter().filter(|other| *other != family) {
            assert!(picked(&mut peers, after(1), 1, other, 9, false).is_empty());
        }
        assert!(picked(&mut peers, after(1), 2, family, 9, false).is_empty());
        assert!(picked(&mut peers, after(2_700), 1, family, 9, false).is_empty());
        assert_eq!((peers.len(), peers.torrents(), peers.next_expiry()), (0, 0, None));
    }
}

#[test]
fn a_peer_that_is_announced_again_is_kept_for_longer_and_takes_no_more_room() {
    let mut peers = some(StoreLimits::default(), 1, 3);
    for n in 0..3 {
        peers.announce(after(2_000), hash(0), v4(n), n == 0).unwrap();
    }
    peers.check();
    assert_eq!((peers.len(), all(&mut peers, after(4_699), 0, Family::V4).len()), (3, 3));
    assert!(all(&mut peers, after(4_700), 0, Family::V4).is_empty());
}

#[test]
fn what_has_expired_is_taken_out_in_bounded_portions_and_at_most_once_a_minute() {
    let mut peers = some(StoreLimits::default(), 100, 7);
    assert_eq!(peers.expire(after(2_699), usize::MAX), 0);
    assert_eq!(peers.next_expiry(), Some(after(2_760)));
    let mut calls = 0;
    while peers.len() > 0 {
        let gone = peers.expire(after(2_760), 20);
        assert!((1..=24).contains(&gone), "{gone}");
        peers.check();
        calls += 1;
    }
    assert_eq!((calls, peers.next_expiry()), (34, None));

    // Peers that come every second, each for the time of the expiry.
    let mut calls = BTreeSet::new();
    for second in 0..10_000 {
        peers.announce(after(second), hash(second as u32 % 10), v4(second as u32), false).unwrap();
        if peers.next_expiry().is_some_and(|at| at <= after(second)) {
            peers.expire(after(second), usize::MAX);
            assert!(calls.insert(second / 60), "twice in a minute");
        }
        assert!(peers.len() <= 2_700 + 61);
    }
    peers.check();
}

#[test]
fn a_torrent_whose_peers_expired_has_room_for_others_at_once() {
    let limits = StoreLimits { hashes: 2, total: 10, per_ip: 5, ..StoreLimits::default() };
    let mut peers = some(limits, 2, 5);
    // The store is full of what has expired.
    for n in 0..5 {
        peers.announce(after(2_700), hash(0), v4(100 + n), false).unwrap();
    }
    assert_eq!(all(&mut peers, after(2_700), 0, Family::V4), (100..105).map(v4).collect());
    peers.check();
}

#[test]
fn one_address_cannot_fill_the_store_with_torrents_or_with_ports() {
    let limits = StoreLimits::default();
    let mut peers = peers(limits.clone());
    let of_one_host = |n: u32| SocketAddr::new(v4(1).ip(), n as u16);
    let mut full = 0;
    for n in 0..20_000 {
        full += usize::from(peers.announce(START, hash(n), of_one_host(1 + n % 60_000), false).is_err());
    }
    assert_eq!((peers.len(), full), (256, 20_000 - 256));
    // In one torrent it is one peer, whatever its port: the last that it named.
    for port in 1..=65_535 {
        peers.announce(START, hash(0), of_one_host(port), false).unwrap();
    }
    assert_eq!(all(&mut peers, START, 0, Family::V4), [of_one_host(65_535)].into());
    peers.check();
    // Others have all the room that is left.
    for n in 0..5_000 {
        assert_eq!(peers.announce(START, hash(n), v4(1_000 + n), false), Ok(()));
    }
    peers.check();
}

#[test]
fn one_64_of_ipv6_addresses_is_one_host() {
    let mut peers = peers(StoreLimits::default());
    let of_one_line = |n: u32| match v6(1) {
        SocketAddr::V6(mut peer) => {
            peer.set_ip((peer.ip().to_bits() + u128::from(n)).into());
            SocketAddr::V6(peer)
        }
        peer => peer,
    };
    for n in 0..5_000 {
        peers.announce(after(n.into()), hash(0), of_one_line(n), false).unwrap();
    }
    // The last four are there, those that were not announced for longest having made room.
    assert_eq!(all(&mut peers, after(5_000), 0, Family::V6), (4_996..5_000).map(of_one_line).collect());
    let stored = (1..10_000).filter(|n| peers.announce(after(5_000), hash(*n), of_one_line(*n), false).is_ok()).count();
    assert_eq!(stored, 252);
    assert_eq!(peers.announce(after(5_000), hash(1), v6(2), false), Ok(()));
    peers.check();
}

#[test]
fn in_a_local_network_all_peers_may_have_one_address() {
    let mut peers = peers(StoreLimits::default().of_local_network());
    let local = |n: u32| SocketAddr::new([127, 0, 0, 1].into(), n as u16);
    for n in 1..=1_000 {
        peers.announce(START, hash(n), local(n), false).unwrap();
        peers.announce(START, hash(0), local(n), false).unwrap();
    }
    assert_eq!(all(&mut peers, START, 0, Family::V4).len(), 1_000);
    peers.check();
}

#[test]
fn beyond_the_limit_of_a_torrent_a_peer_drawn_by_lot_makes_room() {
    let limits = StoreLimits { per_hash: 100, ..StoreLimits::default() };
    let mut peers = some(limits, 1, 100);
    for n in 100..200 {
        peers.announce(START, hash(0), v4(n), false).unwrap();
        assert!(all(&mut peers, START, 0, Family::V4).contains(&v4(n)));
    }
    peers.check();
    let left = all(&mut peers, START, 0, Family::V4);
    let old = left.iter().filter(|peer| **peer < v4(100)).count();
    // Of each the chance to stay is 0.99^100, 37 %.
    assert!(left.len() == 100 && (20..55).contains(&old), "{old}");
    // The families have their limits apart.
    for n in 0..150 {
        peers.announce(START, hash(0), v6(n), false).unwrap();
    }
    assert_eq!((all(&mut peers, START, 0, Family::V4).len(), all(&mut peers, START, 0, Family::V6).len()), (100, 100));
}

#[test]
fn many_hosts_with_many_torrents_do_not_displace_those_that_have_peers() {
    let limits = StoreLimits { hashes: 100, ..StoreLimits::default() };
    let mut peers = some(limits, 50, 5);
    for n in 0..20_000 {
        peers.announce(START, hash(1_000 + n), v4(100_000 + n), false).unwrap();
    }
    peers.check();
    let kept = (0..50).filter(|n| peers.places.contains_key(&hash(*n))).count();
    assert!(kept >= 45, "{kept}");
    // Who comes last is there.
    assert_eq!(all(&mut peers, START, 20_999, Family::V4).len(), 1);
}

#[test]
fn beyond_the_limit_of_all_peers_large_torrents_lose_first() {
    let limits = StoreLimits { total: 1_000, ..StoreLimits::default() };
    let mut peers = some(limits.clone(), 1, 900);
    for n in 0..500 {
        peers.announce(START, hash(1 + n % 100), v4(10_000 + n), false).unwrap();
        peers.check();
    }
    assert_eq!(all(&mut peers, START, 0, Family::V4).len(), 500);
    assert!((1..=100).all(|n| all(&mut peers, START, n, Family::V4).len() == 5));
    // Where none is large they lose by lot.
    let mut peers = some(limits, 500, 2);
    for n in 0..500 {
        peers.announce(START, hash(500 + n), v4(10_000 + n), false).unwrap();
        peers.check();
    }
    let new = (500..1_000).filter(|n| peers.places.contains_key(&hash(*n))).count();
    assert!((300..450).contains(&new), "{new}");
}

#[test]
fn where_there_is_no_room_what_has_expired_goes_before_all_others() {
    let limits = StoreLimits { hashes: 100, total: 200, ..StoreLimits::default() };
    let mut peers = some(limits, 20, 2);
    for n in 100..180 {
        peers.announce(after(1_000), hash(n), v4(n), false).unwrap();
    }
    for n in 200..220 {
        peers.announce(after(2_700), hash(n), v4(n), false).unwrap();
        peers.check();
    }
    for n in (100..180).chain(200..220) {
        assert_eq!(all(&mut peers, after(2_700), n, Family::V4), [v4(n)].into());
    }
}

#[test]
fn the_least_limits_are_one_and_not_none() {
    let limits = StoreLimits {
        hashes: 0,
        per_hash: 0,
        total: 0,
        ports: 0,
        per_network: 0,
        samples: 0,
        scrapes: 0,
        ..StoreLimits::default()
    };
    let mut peers = peers(limits);
    for n in 0..100 {
        peers.announce(START, hash(n % 3), v4(n % 7), false).unwrap();
        peers.announce(START, hash(n % 3), v6(n % 5), true).unwrap();
        assert_eq!((peers.len(), peers.torrents()), (1, 1));
        assert!(peers.scrape(START, &hash(n % 3), Family::V6).is_some());
        assert_eq!(peers.sample(START), Sample { interval: 21_600, num: 1, hashes: &[] });
    }
}

#[test]
fn every_peer_is_picked_as_often_as_any_other() {
    for (no_seed, peers_of_torrent) in [(false, 40), (true, 60)] {
        let mut peers = peers(StoreLimits::default());
        for n in 0..60 {
            if no_seed || n < 40 {
                peers.announce(START, hash(0), v4(n), n >= 40).unwrap();
            }
        }
        assert_eq!(peers.len(), peers_of_torrent);
        let mut times = BTreeMap::new();
        let mut first = BTreeMap::new();
        for _ in 0..4_000 {
            let list = picked(&mut peers, START, 0, Family::V4, 10, no_seed);
            assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), 10);
            *first.entry(list[0]).or_insert(0) += 1;
            list.into_iter().for_each(|peer| *times.entry(peer).or_insert(0) += 1);
        }
        assert_eq!((times.len(), first.len()), (40, 40));
        // 1,000 times with a standard deviation of 27, and first 100 times with one of 10.
        assert!(times.values().all(|times| (865..1_135).contains(times)), "{times:?}");
        assert!(first.values().all(|times| (55..150).contains(times)), "{first:?}");
    }
}

#[test]
fn who_wants_no_seeds_gets_none_and_all_others() {
    let mut peers = peers(StoreLimits::default());
    for n in 0..20 {
        peers.announce(START, hash(0), v4(n), n < 15).unwrap();
    }
    let others = |peers: &mut Peers, count| picked(peers, START, 0, Family::V4, count, true);
    assert_eq!(others(&mut peers, 99).into_iter().collect::<BTreeSet<_>>(), (15..20).map(v4).collect());
    assert_eq!(others(&mut peers, 3).len(), 3);
    // Who has become a seed is one, and who has ceased to be is none.
    peers.announce(START, hash(0), v4(19), true).unwrap();
    peers.announce(START, hash(0), v4(0), false).unwrap();
    let now: BTreeSet<_> = others(&mut peers, 99).into_iter().collect();
    assert!(!now.contains(&v4(19)) && now.contains(&v4(0)) && now.len() == 5);
    peers.check();
}

#[test]
fn peers_are_counted_by_family_as_seeds_or_not() {
    let mut peers = peers(StoreLimits::default());
    assert_eq!(peers.scrape(START, &hash(0), Family::V4), None);
    let mut expected = Scrape::default();
    for n in 0..300 {
        peers.announce(START, hash(0), v4(n), n % 3 == 0).unwrap();
        let filter = if n % 3 == 0 { &mut expected.seeds } else { &mut expected.peers };
        filter.insert(v4(n).ip());
    }
    assert_eq!(peers.scrape(START, &hash(0), Family::V6), None);
    assert_eq!(peers.scrape(START, &hash(0), Family::V4), Some(&expected));
    let estimate = |bloom: &Bloom| bloom.estimate();
    assert!((90.0..110.0).contains(&estimate(&expected.seeds)) && (185.0..215.0).contains(&estimate(&expected.peers)));
    peers.announce(START, hash(0), v6(7), false).unwrap();
    assert!(peers.scrape(START, &hash(0), Family::V6).unwrap().peers.may_contain(v6(7).ip()));
}

#[test]
fn filters_are_made_once_a_minute_however_often_they_are_asked_for() {
    let mut peers = some(StoreLimits::default(), 1, 5);
    let before = *peers.scrape(START, &hash(0), Family::V4).unwrap();
    peers.announce(START, hash(0), v4(99), false).unwrap();
    assert_eq!(peers.scrape(after(59), &hash(0), Family::V4), Some(&before));
    let fresh = *peers.scrape(after(60), &hash(0), Family::V4).unwrap();
    assert!(fresh.peers.may_contain(v4(99).ip()) && fresh != before);
    // Those of many torrents do not pile up, and are right all the same.
    let mut peers = some(StoreLimits::default(), 100, 1);
    for n in 0..300 {
        let scrape = *peers.scrape(after(n / 10), &hash(n as u32 % 100), Family::V4).unwrap();
        assert!(scrape.peers.may_contain(v4(n as u32 % 100).ip()) && scrape.seeds.is_empty());
        peers.check();
    }
    // What is gone is not counted from memory.
    assert_eq!(peers.scrape(after(2_700), &hash(99), Family::V4), None);
}

#[test]
fn a_sample_has_all_torrents_where_they_fit_and_else_the_same_ones_until_the_interval_is_over() {
    let mut peers = peers(StoreLimits::default());
    assert_eq!(peers.sample(START), Sample { interval: 21_600, num: 0, hashes: &[] });
    for n in 0..50 {
        peers.announce(START, hash(n), v4(n), false).unwrap();
        let sample = peers.sample(START);
        let hashes: BTreeSet<_> = sample.hashes.iter().copied().collect();
        assert_eq!((sample.num, hashes), (n as usize + 1, (0..=n).map(hash).collect()));
    }
    for n in 50..500 {
        peers.announce(START, hash(n), v4(n), false).unwrap();
    }
    let set = |peers: &mut Peers, now| {
        let sample = peers.sample(now);
        assert_eq!(sample.hashes.len(), 50);
        sample.hashes.iter().copied().collect::<BTreeSet<_>>()
    };
    let first = set(&mut peers, START);
    assert_eq!(first.len(), 50);
    assert_eq!(set(&mut peers, after(21_599)), first);
    assert_ne!(set(&mut peers, after(21_600)), first);
}

#[test]
fn in_the_long_run_every_torrent_is_in_a_sample_as_often_as_any_other() {
    let limits = StoreLimits {
        samples: 10,
        sample_interval: Duration::from_secs(1),
        expiry: Duration::from_secs(1_000_000),
        ..StoreLimits::default()
    };
    let mut peers = some(limits, 40, 1);
    let mut times = BTreeMap::new();
    for second in 0..4_000 {
        let sample = peers.sample(after(second));
        assert_eq!((sample.interval, sample.num), (1, 40));
        sample.hashes.iter().for_each(|hash| *times.entry(*hash).or_insert(0) += 1);
    }
    assert!(times.len() == 40 && times.values().all(|times| (865..1_135).contains(times)), "{times:?}");
}

/// What the store should have, kept in the plainest way.
#[derive(Default)]
struct Model {
    peers: BTreeMap<(InfoHash, SocketAddr), (u64, bool)>,
}

#[test]
fn with_room_enough_the_store_is_as_a_plain_map() {
    for seed in 0..8 {
        let mut rng = Rng::new(seed);
        let limits = StoreLimits { expiry: Duration::from_secs(100), ports: 3, ..StoreLimits::default() };
        let (mut peers, mut model) = (peers(limits), Model::default());
        let mut second = 0;
        for _ in 0..2_000 {
            second += u64::from(rng.below(4) * rng.below(4) * rng.below(2));
            let (of, n, port) = (rng.below(8), rng.below(30), 1 + rng.below(3) as u16);
            let mut peer = if rng.below(3) == 0 { v6(n) } else { v4(n) };
            peer.set_port(port);
            model.peers.retain(|_, (at, _)| *at + 100 > second);
            match rng.below(8) {
                0..5 => {
                    let is_seed = rng.below(2) == 0;
                    peers.announce(after(second), hash(of), peer, is_seed).unwrap();
                    model.peers.insert((hash(of), peer), (second, is_seed));
                }
                5 => {
                    peers.expire(after(second), usize::MAX);
                    assert_eq!(peers.len(), model.peers.len());
                    let torrents: BTreeSet<_> = model.peers.keys().map(|(hash, _)| *hash).collect();
                    let sample = peers.sample(after(second));
                    assert_eq!(sample.hashes.iter().copied().collect::<BTreeSet<_>>(), torrents);
                }
                _ => {
                    let no_seed = rng.below(2) == 0;
                    let family = Family::of(peer.ip());
                    let expected: BTreeSet<_> = model
                        .peers
                        .iter()
                        .filter(|((its, peer), (_, is_seed))| {
                            *its == hash(of) && Family::of(peer.ip()) == family && !(no_seed && *is_seed)
                        })
                        .map(|((_, peer), _)| *peer)
                        .collect();
                    let count = rng.below(20) as usize;
                    let list = picked(&mut peers, after(second), of, family, count, no_seed);
                    let set: BTreeSet<_> = list.iter().copied().collect();
                    assert_eq!((list.len(), set.len()), (count.min(expected.len()), list.len()));
                    assert!(set.is_subset(&expected));
                }
            }
            peers.check();
        }
    }
}

#[test]
fn whatever_is_announced_whenever_the_counts_stay_right_and_the_limits_hold() {
    for seed in 0..8 {
        let mut rng = Rng::new(seed);
        let limits = StoreLimits {
            hashes: 6,
            per_hash: 9,
            total: 25,
            per_ip: 4,
            ports: 2,
            per_network: 2,
            expiry: Duration::from_secs(300),
            scrapes: 3,
            samples: 4,
            ..StoreLimits::default()
        };
        let mut peers = peers(limits);
        let mut second = 0;
        for _ in 0..3_000 {
            match rng.below(60) {
                // A clock that goes back, and one that leaps.
                0 => second -= second.min(50),
                1 => second += 1_000,
                2 => second += 3 << 31,
                _ => second += u64::from(rng.below(5)),
            }
            let (of, n) = (rng.below(20), rng.below(12));
            let mut peer = if rng.below(2) == 0 { v6(n) } else { v4(n) };
            peer.set_port(1 + rng.below(4) as u16);
            if let SocketAddr::V6(peer) = &mut peer {
                peer.set_ip((peer.ip().to_bits() | u128::from(rng.below(4))).into());
            }
            let now = after(second);
            match rng.below(6) {
                0..3 => {
                    let stored = peers.announce(now, hash(of), peer, rng.below(2) == 0).is_ok();
                    assert!(!stored || all(&mut peers, now, of, Family::of(peer.ip())).contains(&peer));
                }
                3 => assert!(picked(&mut peers, now, of, Family::V4, 3, rng.below(2) == 0).len() <= 3),
                4 => {
                    assert!(peers.scrape(now, &hash(of), Family::V6).is_none_or(|scrape| *scrape != Scrape::default()))
                }
                _ => {
                    let before = peers.len();
                    let budget = rng.below(10) as usize;
                    // The torrent that is begun with is gone through, whatever it has.
                    assert!(peers.expire(now, budget) <= budget + 18 && peers.len() <= before);
                    assert!(peers.sample(now).hashes.len() <= 4);
                }
            }
            peers.check();
        }
    }
}

#[test]
fn the_extremes_of_time_are_survived() {
    let mut peers = peers(StoreLimits::default());
    for now in [Instant::NEVER, Instant::ZERO, START, Instant::NEVER, Instant::from_micros(u64::MAX - 1), Instant::ZERO]
    {
        peers.announce(now, hash(0), v4(1), false).unwrap();
        peers.announce(now, hash(1), v6(1), false).unwrap();
        peers.expire(now, 1_000);
        peers.check();
        assert_eq!(all(&mut peers, now, 0, Family::V4).len(), 1);
    }
}

#[test]
fn a_full_store_takes_what_its_limits_promise() {
    assert!(size_of::<Torrent>() <= 96, "{}", size_of::<Torrent>());
    let one = |peer| {
        let mut peers = peers(StoreLimits::default());
        peers.announce(START, hash(0), peer, false).unwrap();
        (peers.torrents[0].v4.capacity_in_bytes() + peers.torrents[0].v6.capacity_in_bytes()) / 4
    };
    // The first four get room together.
    assert_eq!((one(v4(1)), one(v6(1))), (10, 22));

    let limits = StoreLimits::default();
    let (hashes, total) = (limits.hashes, limits.total);
    let mut peers = peers(limits);
    for n in 0..total as u32 {
        peers.announce(START, hash(n % hashes as u32), v4(n), false).unwrap();
    }
    assert_eq!((peers.len(), peers.torrents()), (total, hashes));
    let entries: usize = peers.torrents.iter().map(|torrent| torrent.v4.capacity_in_bytes()).sum();
    let torrents = peers.torrents.capacity() * size_of::<Torrent>();
    // A map has room for 8/7 of its entries, rounded up to a power of two, with a byte for each; a set in order is at least half full.
    let map = |entries: usize, each: usize| (entries * 8 / 7).next_power_of_two() * (each + 1);
    let maps = map(total, size_of::<(Party, u32)>()) + map(hashes, size_of::<(InfoHash, u32)>());
    let timers = 2 * 2 * hashes * size_of::<(Instant, InfoHash)>();
    let large = 2 * total / LARGE * size_of::<(usize, InfoHash)>();
    let bytes = entries + torrents + maps + timers + large;
    assert!(bytes < 16 << 20 && bytes / total <= 130, "{bytes} bytes");
    // All but what belongs to the torrents: the peers, and the counts by host.
    let of_peers = (entries + map(total, size_of::<(Party, u32)>())) / total;
    assert!(of_peers <= 60, "{of_peers} bytes a peer");
}
