//! Time that passes, and time that jumps.

use super::*;
use bip::tracker::server::Announcement;
use bip::tracker::server::Drawn;

#[test]
fn who_is_not_heard_of_is_forgotten_and_who_is_stays() {
    let mut host = Host::new(Config::default());
    for n in 0..100 {
        host.announce(v4(n), announce(hash(1)));
        host.announce(v6(n), seeding(hash(1)));
    }
    for _ in 0..3 {
        host.wait(30 * MINUTE);
        host.announce(v4(7), announce(hash(1)));
        host.announce(v6(7), seeding(hash(1)));
    }
    assert_eq!(host.scrape(v4(9), &[hash(1)]), [Stats { seeders: 1, completed: 0, leechers: 1 }]);
    // Three quarters of an hour, and a minute to be found.
    host.wait(45 * MINUTE);
    assert_eq!(host.swarms.tally().peers(), 2);
    host.wait(MINUTE);
    assert_eq!(host.swarms.tally(), Default::default());
    host.wait(MINUTE);
    assert_eq!(host.server.poll_timeout(), None, "nothing is left to wait for");
}

#[test]
fn a_jump_of_any_length_forgets_all_and_harms_nobody() {
    for jump in [DAY, 6 * DAY, 7 * DAY, 524_288 * SECOND, 524_296 * SECOND, 365 * DAY, 300_000 * 365 * DAY] {
        let mut host = Host::new(Config::default());
        for n in 0..200 {
            host.announce(v4(n), announce(hash(1)));
            host.announce(v4(n), announce(hash(2)));
        }
        let id = host.connect(v4(1));
        // No timer has run when somebody comes.
        host.now += jump;
        assert_eq!(host.ask(v4(1), &encode_announce(id, announce(hash(1)))), None, "{jump:?}");
        let (head, peers) = host.announce(v4(1), announce(hash(1)));
        assert_eq!((head.leechers, peers.len()), (1, 0), "{jump:?}");
        host.wait(2 * MINUTE);
        assert_eq!(host.swarms.tally().peers(), 1, "{jump:?}");
    }
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut host = Host::new(Config::default());
    host.wait(10 * DAY);
    for n in 0..200 {
        host.announce(v4(n), announce(hash(1)));
    }
    let id = host.connect(v4(1));
    for back in [SECOND, 3 * SECOND, MINUTE, DAY, 9 * DAY] {
        host.now = host.now - back;
        host.server.handle_timeout(host.now);
        assert_eq!(host.drain(), []);
        let answer = host.ask(v4(1), &encode_announce(id, announce(hash(1))));
        assert_eq!(answer.is_some(), back == SECOND, "{back:?}");
        assert_eq!(host.announce(v4(1), announce(hash(1))).0.leechers, 200);
    }
    // It has been where it was.
    host.wait(11 * DAY);
    assert_eq!(host.swarms.tally(), Default::default());
}

#[test]
fn a_million_peers_are_swept_a_slice_at_a_time() {
    let mut host = Host::new(Config::default());
    let (mut rng, mut drawn) = (Rng::new(1), Drawn::default());
    let peers = 200_000_u32;
    for n in 0..peers {
        let mut info_hash = hash(0);
        info_hash.0[..4].copy_from_slice(&(n / 2_000).to_be_bytes());
        let asked = Announcement { want: 0, ..Announcement::new(info_hash, v4(n)) };
        host.swarms.announce(host.now, &asked, &mut rng, &mut drawn).unwrap();
    }
    // The server has its timer from its own first announce on.
    host.announce(v4(peers), announce(hash(77)));
    host.wait(46 * MINUTE);
    let (mut calls, mut most) = (0, 0);
    while let Some(at) = host.server.poll_timeout() {
        let before = host.swarms.tally().peers();
        host.now = at;
        host.server.handle_timeout(at);
        let gone = before - host.swarms.tally().peers();
        (calls, most) = (calls + 1, most.max(gone));
    }
    assert_eq!(host.swarms.tally(), Default::default());
    assert!(most <= 2_048 + 2_000, "{most} in one call of {calls}");
}

/// A server beside another, with the same swarms.
fn beside(host: &Host) -> Host {
    let (secret, swarms) = (Secret::new([5; 32]), Arc::clone(&host.swarms));
    let server = Server::new(
        Config::default(),
        Start::default(),
        Arc::clone(&swarms),
        Box::new(Everybody),
        Rng::new(2),
        &secret,
    );
    Host { server, swarms, now: host.now, conns: BTreeMap::new(), next: 0 }
}

/// So many peers are announced, as many to each torrent.
fn fill(host: &Host, peers: u32, each: u32) {
    let (mut rng, mut drawn) = (Rng::new(1), Drawn::default());
    for n in 0..peers {
        let mut info_hash = hash(0);
        info_hash.0[..4].copy_from_slice(&(n / each).to_be_bytes());
        let asked = Announcement { want: 0, ..Announcement::new(info_hash, if n % 7 == 0 { v6(n) } else { v4(n) }) };
        host.swarms.announce(host.now, &asked, &mut rng, &mut drawn).unwrap();
    }
}

#[test]
fn all_are_gone_within_a_minute_however_many_are_over_at_once() {
    for (peers, each) in [(30_000, 1), (60_000, 20), (60_000, 60_000)] {
        let mut host = Host::new(Config::default());
        fill(&host, peers, each);
        host.announce(v4(peers), announce(hash(77)));
        host.wait(45 * MINUTE);
        assert_eq!(host.swarms.tally().peers(), peers as usize + 1, "{each} each");
        // Some are heard of again, so that no torrent is over as a whole.
        fill(&host, peers / 10, each);
        host.wait(MINUTE);
        let (tally, renewed) = (host.swarms.tally(), (peers / 10) as usize);
        assert_eq!((tally.peers(), tally.torrents), (renewed, renewed.div_ceil(each as usize)), "{each} each");
    }
}

#[test]
fn servers_with_the_same_swarms_share_the_search() {
    let mut first = Host::new(Config::default());
    fill(&first, 240_000, 1_000);
    let mut others = [beside(&first), beside(&first), beside(&first)];
    // A slice is 2,048 peers: with 40 portions of 6,000, one server takes three of each.
    let slices = |host: &mut Host, time: Duration| {
        let (mut slices, end) = (0, host.now + time);
        while let Some(at) = host.server.poll_timeout().filter(|at| *at <= end) {
            host.now = at;
            host.server.handle_timeout(at);
            slices += 1;
        }
        host.now = end;
        slices
    };
    first.announce(v4(1), announce(hash(9)));
    let alone = slices(&mut first, 60 * SECOND);
    assert!((177..=180).contains(&alone), "{alone}");
    for (n, host) in others.iter_mut().enumerate() {
        host.now = first.now;
        host.announce(v4(n as u32), announce(hash(9)));
    }
    for host in others.iter_mut().chain([&mut first]) {
        let shared = slices(host, 60 * SECOND);
        assert!((58..=62).contains(&shared), "{shared}");
    }
    // Who is gone leaves its part to the others.
    drop(others);
    let alone = slices(&mut first, 60 * SECOND);
    assert!((176..=180).contains(&alone), "{alone}");
}

#[test]
fn a_search_that_is_a_little_late_each_time_is_no_slower() {
    let mut host = Host::new(Config::default());
    fill(&host, 100, 10);
    host.announce(v4(1), announce(hash(9)));
    let (mut times, end) = (0, host.now + MINUTE);
    while let Some(at) = host.server.poll_timeout() {
        host.now = at + SECOND / 5;
        if host.now > end {
            break;
        }
        host.server.handle_timeout(host.now);
        times += 1;
    }
    assert_eq!(times, 59);
}
