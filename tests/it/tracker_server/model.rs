//! The swarms against a naive second of them.

use super::*;
use bip::proto::compact::Peers;
use bip::tracker::server::{Announcement, Drawn, Tally};
use std::collections::BTreeSet;

/// What the swarms should know: each peer with whether it is a seed and when it was heard of.
#[derive(Default)]
struct Naive {
    torrents: BTreeMap<InfoHash, BTreeMap<SocketAddr, (bool, Instant)>>,
    completed: BTreeMap<InfoHash, u32>,
}

impl Naive {
    fn announce(&mut self, now: Instant, asked: &Announcement) {
        let peers = self.torrents.entry(asked.info_hash).or_default();
        if asked.event == Event::Stopped {
            peers.remove(&asked.peer);
            return;
        }
        let was = peers.insert(asked.peer, (asked.seed, now));
        if asked.event == Event::Completed && asked.seed && was.is_none_or(|(seed, _)| !seed) {
            *self.completed.entry(asked.info_hash).or_default() += 1;
        }
    }

    fn expire(&mut self, now: Instant, after: Duration) {
        let completed = &mut self.completed;
        self.torrents.retain(|hash, peers| {
            peers.retain(|_, (_, heard)| now.since(*heard) <= after);
            if peers.is_empty() {
                completed.remove(hash);
            }
            !peers.is_empty()
        });
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally { torrents: self.torrents.len(), ..Tally::default() };
        for (peer, (seed, _)) in self.torrents.values().flatten() {
            *match (peer.is_ipv4(), *seed) {
                (true, true) => &mut tally.seeds_v4,
                (true, false) => &mut tally.leeches_v4,
                (false, true) => &mut tally.seeds_v6,
                (false, false) => &mut tally.leeches_v6,
            } += 1;
        }
        tally
    }
}

/// Checks what was drawn: those who may be told of, each once, as many as there can be.
fn check(drawn: &Drawn, asked: &Announcement, peers: &BTreeMap<SocketAddr, (bool, Instant)>, context: &str) {
    let v4 = Peers::new(Family::V4, &drawn.v4).unwrap();
    let v6 = Peers::new(Family::V6, &drawn.v6).unwrap();
    let all: Vec<SocketAddr> = v4.iter().chain(v6.iter()).collect();
    let different: BTreeSet<SocketAddr> = all.iter().copied().collect();
    assert_eq!(different.len(), all.len(), "{context}: somebody twice");
    let may = |peer: &SocketAddr| {
        let own = asked.both || peer.is_ipv4() == asked.peer.is_ipv4();
        own && *peer != asked.peer && peers.get(peer).is_some_and(|(seed, _)| !(asked.seed && *seed))
    };
    assert!(different.iter().all(may), "{context}: {different:?}");
    let possible = peers.keys().filter(|peer| may(peer)).count();
    assert_eq!(all.len(), possible.min(asked.want), "{context}: of {possible}");
    // In proportion, rounded in favour of IPv6, if there are too many.
    if asked.both && possible > asked.want {
        let of_v6 = peers.keys().filter(|peer| may(peer) && peer.is_ipv6()).count();
        assert_eq!(v6.iter().count(), (asked.want * of_v6).div_ceil(possible), "{context}: {of_v6} of {possible}");
    }
}

fn play(seed: u64, steps: u32, torrents: u32, addresses: u32) {
    let timeout = Duration::from_secs(2_400);
    let limits = SwarmLimits { peer_timeout: timeout, ..SwarmLimits::default() };
    let swarms = Swarms::new(limits, &Secret::new([seed as u8; 32]));
    let (mut naive, mut rng, mut choices) = (Naive::default(), Rng::new(seed), Rng::new(!seed));
    let (mut now, mut drawn) = (Instant::from_micros(rng.next_u64() >> 20), Drawn::default());
    for step in 0..steps {
        let context = format!("seed {seed}, step {step}");
        if rng.below(200) == 0 {
            // Far from what decides, since times are kept in steps of 8 s: a peer is 40 min old at most, or far older.
            now += Duration::from_secs(if rng.below(3) == 0 { 5_000 } else { 8 });
            // All are swept, in slices.
            for _ in 0..10_000 {
                let before = (swarms.size(), swarms.sweep(now, 1 + rng.below(300) as usize));
                if before.1 == 0 {
                    break;
                }
            }
            for _ in 0..64 {
                swarms.sweep(now, 1 << 20);
            }
            naive.expire(now, timeout + Duration::from_secs(8));
            let empty = |peers: &BTreeMap<_, _>| peers.is_empty();
            naive.torrents.retain(|_, peers| !empty(peers));
            // A torrent without peers is remembered until its time has come too.
            let mut tally = swarms.tally();
            tally.torrents = naive.torrents.len().min(tally.torrents);
            assert_eq!(tally, naive.tally(), "{context}");
            continue;
        }
        let n = rng.below(addresses);
        let from = if rng.below(3) == 0 { v6(n) } else { v4(n) };
        let info_hash = InfoHash([rng.below(torrents) as u8; 20]);
        let event = *rng.choose(&[Event::None, Event::Started, Event::Completed, Event::Stopped]).unwrap();
        let asked = Announcement {
            seed: rng.below(3) == 0,
            event: if event == Event::Stopped && rng.below(3) > 0 { Event::None } else { event },
            want: rng.below(80) as usize,
            both: rng.below(2) == 0,
            ..Announcement::new(info_hash, SocketAddr::new(from.ip(), 1 + rng.below(2) as u16))
        };
        let counts = swarms.announce(now, &asked, &mut choices, &mut drawn).expect("there is room");
        naive.announce(now, &asked);
        let peers = &naive.torrents[&info_hash];
        let seeds = peers.values().filter(|(seed, _)| *seed).count();
        assert_eq!((counts.seeders as usize, counts.leechers as usize), (seeds, peers.len() - seeds), "{context}");
        assert_eq!(counts, swarms.scrape(&info_hash), "{context}");
        if asked.event == Event::Stopped {
            assert_eq!(drawn, Drawn::default(), "{context}");
        } else {
            check(&drawn, &asked, peers, &context);
        }
    }
    now += DAY;
    while swarms.sweep(now, 1_000) > 0 {}
    assert_eq!((swarms.tally(), swarms.size(), swarms.is_empty()), (Tally::default(), 0, true));
}

#[test]
fn the_swarms_know_what_a_naive_second_knows() {
    for seed in 0..60 {
        play(seed, 1_500, 5, 40);
    }
}

#[test]
fn big_swarms_do_too() {
    for seed in 100..106 {
        play(seed, 12_000, 2, 1_500);
    }
}

#[test]
fn a_peer_takes_less_than_twenty_bytes_in_swarms_of_a_hundred() {
    let swarms = Swarms::new(SwarmLimits::default(), &Secret::new([1; 32]));
    let (mut rng, mut drawn) = (Rng::new(1), Drawn::default());
    for peer in 0..100_000 {
        let mut info_hash = InfoHash([0; 20]);
        info_hash.0[..4].copy_from_slice(&u32::to_be_bytes(peer % 1_000));
        let asked = Announcement { want: 0, ..Announcement::new(info_hash, v4(peer)) };
        swarms.announce(Instant::ZERO, &asked, &mut rng, &mut drawn).unwrap();
    }
    assert_eq!(swarms.tally().peers(), 100_000);
    let each = swarms.bytes() as f64 / 100_000.0;
    println!("{each} bytes");
    assert!(each < 14.0, "{each} bytes");
}
