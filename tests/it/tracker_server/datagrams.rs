//! What is answered over UDP.

use super::*;
use bip::proto::udp_tracker::{Options, encode_url_data};
use std::collections::BTreeSet;

#[test]
fn peers_of_a_torrent_are_told_of_one_another() {
    let mut host = Host::new(Config::default());
    let (head, peers) = host.announce(v4(1), announce(hash(1)));
    assert_eq!((head, peers), (AnnounceHead { interval: 1_800, leechers: 1, seeders: 0 }, vec![]));
    let (head, peers) = host.announce(v4(2), seeding(hash(1)));
    assert_eq!((head.leechers, head.seeders), (1, 1));
    assert_eq!(peers, [SocketAddr::new(v4(1).ip(), 6_881)]);
    // A seed has no use for seeds.
    let (head, peers) = host.announce(v4(3), seeding(hash(1)));
    assert_eq!((head.leechers, head.seeders, peers.len()), (1, 2, 1));
    let (_, peers) = host.announce(v4(1), announce(hash(1)));
    let peers: BTreeSet<SocketAddr> = peers.into_iter().collect();
    assert_eq!(peers, [v4(2), v4(3)].map(|peer| SocketAddr::new(peer.ip(), 6_881)).into());
    // Another torrent is another swarm.
    assert_eq!(host.announce(v4(4), announce(hash(2))).1, []);
}

#[test]
fn families_are_apart_in_answers_and_together_in_figures() {
    let mut host = Host::new(Config::default());
    host.announce(v4(1), announce(hash(1)));
    host.announce(v6(1), seeding(hash(1)));
    let (head, peers) = host.announce(v6(2), announce(hash(1)));
    assert_eq!((head.leechers, head.seeders), (2, 1));
    assert_eq!(peers, [SocketAddr::new(v6(1).ip(), 6_881)]);
    assert_eq!(host.announce(v4(2), announce(hash(1))).1, [SocketAddr::new(v4(1).ip(), 6_881)]);
    assert_eq!(host.scrape(v6(9), &[hash(1)]), [Stats { seeders: 1, completed: 0, leechers: 3 }]);
}

#[test]
fn an_ipv4_address_in_ipv6_dress_is_one_of_ipv4() {
    let mut host = Host::new(Config::default());
    host.announce(v4(1), announce(hash(1)));
    let dressed = at("[::ffff:192.0.2.7]:40000");
    let id = host.connect(dressed);
    let answer = host.ask(dressed, &encode_announce(id, announce(hash(1)))).unwrap();
    let Ok(Response::Announce { peers, ignored: 0, .. }) = Response::decode(&answer, Family::V4) else {
        panic!("not answered");
    };
    assert_eq!(peers.iter().collect::<Vec<_>>(), [SocketAddr::new(v4(1).ip(), 6_881)]);
    // It is the same peer, and the same holder of the id, without.
    let bare = at("192.0.2.7:40000");
    let answer = host.ask(bare, &encode_announce(id, announce(hash(1)))).unwrap();
    assert!(matches!(Response::decode(&answer, Family::V4), Ok(Response::Announce { head, .. }) if head.leechers == 2));
}

#[test]
fn as_many_peers_are_given_as_wanted_permitted_and_fit() {
    for (config, want, expected_v4, expected_v6) in [
        (Config::default(), None, 50, 50),
        (Config::default(), Some(0), 0, 0),
        (Config::default(), Some(7), 7, 7),
        // 1,400 bytes have room for 76 of IPv6.
        (Config::default(), Some(i32::MAX as u32), 200, 76),
        (Config { max_peers: 1_000, ..Config::default() }, Some(1_000), 230, 76),
        (Config { max_peers: 20, ..Config::default() }, None, 20, 20),
        (Config { default_peers: 3, ..Config::default() }, None, 3, 3),
        (Config { max_reply: 0, ..Config::default() }, Some(100), 16, 5),
    ] {
        let mut host = Host::new(config.clone());
        for n in 0..300 {
            host.announce(v4(n), announce(hash(1)));
            host.announce(v6(n), announce(hash(1)));
        }
        for (from, expected) in [(v4(7), expected_v4), (v6(7), expected_v6)] {
            let id = host.connect(from);
            let asked = udp_tracker::Announce { num_want: want, ..announce(hash(1)) };
            let answer = host.ask(from, &encode_announce(id, asked)).unwrap();
            assert!(answer.len() <= config.max_reply.max(120));
            let Ok(Response::Announce { peers, .. }) = Response::decode(&answer, Family::of(from.ip())) else {
                panic!("not answered");
            };
            let peers: BTreeSet<SocketAddr> = peers.iter().collect();
            assert_eq!(peers.len(), expected, "{want:?} of {from}");
            assert!(!peers.contains(&SocketAddr::new(from.ip(), 6_881)), "the asker is among them");
        }
    }
}

#[test]
fn who_stops_is_gone_and_nobody_else() {
    let mut host = Host::new(Config::default());
    for n in 0..5 {
        host.announce(v4(n), announce(hash(1)));
    }
    let (head, peers) = host.announce(v4(2), stopping(hash(1)));
    assert_eq!((head.leechers, peers.len()), (4, 0), "who leaves needs no peers");
    // Again, by who was never there, and of a torrent that was never there: nothing.
    for (from, torrent) in [(v4(2), 1), (v4(77), 1), (v6(2), 1), (v4(2), 9)] {
        host.announce(from, stopping(hash(torrent)));
    }
    let others = udp_tracker::Announce { port: 6_882, ..stopping(hash(1)) };
    host.announce(v4(3), others);
    let named = udp_tracker::Announce { address: Some([23, 0, 0, 4].into()), ..stopping(hash(1)) };
    host.announce(v4(78), named);
    assert_eq!(host.scrape(v4(9), &[hash(1)])[0].leechers, 4);
    assert_eq!(host.swarms.tally().torrents, 1);
}

#[test]
fn a_leech_becomes_a_seed_and_is_counted_once() {
    let mut host = Host::new(Config::default());
    let completed = udp_tracker::Announce { event: Event::Completed, ..seeding(hash(1)) };
    host.announce(v4(1), announce(hash(1)));
    host.announce(v4(1), completed);
    host.announce(v4(1), completed);
    assert_eq!(host.scrape(v4(9), &[hash(1)]), [Stats { seeders: 1, completed: 1, leechers: 0 }]);
    // Who lacks something has not completed it, whatever it says.
    host.announce(v4(2), udp_tracker::Announce { event: Event::Completed, ..announce(hash(1)) });
    assert_eq!(host.scrape(v4(9), &[hash(1)]), [Stats { seeders: 1, completed: 1, leechers: 1 }]);
    // A partial seed lacks something (BEP 21).
    host.announce(v4(1), udp_tracker::Announce { event: Event::Paused, ..announce(hash(1)) });
    assert_eq!(host.scrape(v4(9), &[hash(1)]), [Stats { seeders: 0, completed: 1, leechers: 2 }]);
}

#[test]
fn a_scrape_is_answered_for_74_torrents_and_zeros_for_those_unknown() {
    let mut host = Host::new(Config::default());
    host.announce(v4(1), announce(hash(3)));
    let hashes: Vec<InfoHash> = (0..80).map(hash).collect();
    let stats = host.scrape(v4(2), &hashes);
    assert_eq!(stats.len(), 74);
    for (n, stats) in stats.into_iter().enumerate() {
        assert_eq!(stats, Stats { leechers: u32::from(n == 3), ..Stats::default() });
    }
    assert_eq!(host.scrape(v4(2), &[]), []);
    assert_eq!(host.swarms.tally().torrents, 1, "who asks makes no torrent");
}

#[test]
fn options_are_tolerated_whatever_they_are() {
    let mut host = Host::new(Config::default());
    let mut long = Vec::new();
    encode_url_data(&vec![b'/'; 900], &mut long);
    for options in
        [&b"\x02\x0c/dir?a=b&c=d"[..], b"\x00", b"\x01\x01\x01", b"\x02", b"\x02\xff/", b"\xff\x03abc", &long]
    {
        let asked = udp_tracker::Announce { options: Options::new(options), ..announce(hash(1)) };
        assert_eq!(host.announce(v4(1), asked).0.leechers, 1);
    }
}

#[test]
fn who_names_port_0_is_answered_and_not_taken_down() {
    let mut host = Host::new(Config::default());
    host.announce(v4(1), announce(hash(1)));
    let unreachable = udp_tracker::Announce { port: 0, ..announce(hash(1)) };
    let (head, peers) = host.announce(v4(2), unreachable);
    assert_eq!((head.leechers, peers.len()), (1, 1));
    let elsewhere = udp_tracker::Announce { port: 0, ..announce(hash(2)) };
    assert_eq!(host.announce(v4(2), elsewhere).0, AnnounceHead { interval: 1_800, ..AnnounceHead::default() });
    assert_eq!(host.swarms.tally().torrents, 1);
}

#[test]
fn an_address_that_is_named_counts_for_nothing() {
    let mut host = Host::new(Config { named_addresses: true, ..Config::default() });
    let asked = udp_tracker::Announce { address: Some([9, 9, 9, 9].into()), ..announce(hash(1)) };
    host.announce(at("127.0.0.1:5000"), asked);
    assert_eq!(host.announce(v4(2), announce(hash(1))).1, [at("127.0.0.1:6881")]);
}

#[test]
fn several_servers_share_swarms_and_ids() {
    let secret = Secret::new([8; 32]);
    let mut host = Host::new(Config::default());
    let other = |host: &Host, secret: &Secret| {
        Server::new(
            Config::default(),
            Start::default(),
            Arc::clone(&host.swarms),
            Box::new(Everybody),
            Rng::new(2),
            secret,
        )
    };
    host.server = other(&host, &secret);
    let id = host.connect(v4(1));
    host.server = other(&host, &secret);
    assert!(host.ask(v4(1), &encode_announce(id, announce(hash(1)))).is_some());
    host.server = other(&host, &Secret::new([9; 32]));
    assert!(host.ask(v4(1), &encode_announce(id, announce(hash(1)))).is_none(), "its ids are others");
    assert_eq!(host.announce(v4(2), announce(hash(1))).1.len(), 1);
    let figures = host.swarms.figures();
    assert_eq!((figures.connects, figures.udp_announces, figures.invalid_ids, figures.datagrams), (2, 2, 1, 5));
    assert_eq!((figures.swarms.peers(), figures.peers_given), (2, 1));
}
