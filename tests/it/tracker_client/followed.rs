//! Torrents that are followed through their life.

use super::*;
use bip::proto::announce::Event as Reason;

const A: &str = "udp://192.0.2.1:6969/announce";
const B: &str = "udp://192.0.2.2:6969/announce";
const C: &str = "udp://192.0.2.3:6969/announce";

fn follow(host: &mut Host, following: Following) {
    host.command(Command::Follow { torrent: TORRENT, following: Box::new(following) });
    assert_eq!(host.told(), [Event::Followed { torrent: TORRENT }]);
    host.wait(Duration::ZERO);
}

/// Answers the connects that are waiting, and gives the announces that follow.
fn announces(host: &mut Host) -> Vec<Sent> {
    let (connects, mut announces): (Vec<_>, Vec<_>) = host.taken().into_iter().partition(Sent::is_connect);
    connects.iter().for_each(|connect| host.connected(connect, 1));
    announces.extend(host.taken());
    announces
}

fn one(host: &mut Host) -> Sent {
    let mut all = announces(host);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn statuses(told: &[Event]) -> Vec<TrackerStatus> {
    let status = |event: &Event| match event {
        Event::Tracker { status, .. } => Some((**status).clone()),
        _ => None,
    };
    told.iter().filter_map(status).collect()
}

fn peers(told: &[Event]) -> Vec<SocketAddr> {
    let peers = |event: &Event| match event {
        Event::Peers { peers, .. } => peers.clone(),
        _ => Vec::new(),
    };
    told.iter().flat_map(peers).collect()
}

#[test]
fn a_torrent_is_announced_from_start_to_stop() {
    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&[A]]));
    let sent = one(&mut host);
    assert_eq!((sent.announce().event, sent.announce().progress.left), (Reason::Started, 1000));
    let key = sent.announce().key;
    host.announced(&sent, HEAD, &["10.0.0.1:1"]);
    let told = host.told();
    assert_eq!(peers(&told), [at("10.0.0.1:1")]);
    let status = &statuses(&told)[0];
    assert_eq!((status.state, status.seeders, status.leechers), (TrackerState::Working, Some(9), Some(4)));
    assert_eq!((status.last_ok, status.next), (Some(host.now), Some(host.now + 1800 * SECOND)));

    // Nothing before the interval is over, then without an event.
    host.wait(1799 * SECOND);
    assert!(host.taken().is_empty());
    let progress = Progress { uploaded: 5, downloaded: 6, left: 7 };
    host.command(Command::Progress { torrent: TORRENT, progress });
    host.wait(SECOND);
    let sent = one(&mut host);
    assert_eq!((sent.announce().event, sent.announce().progress, sent.announce().key), (Reason::None, progress, key));
    host.announced(&sent, HEAD, &[]);

    // Completed, at once and once.
    host.command(Command::Completed { torrent: TORRENT });
    host.command(Command::Completed { torrent: TORRENT });
    host.wait(Duration::ZERO);
    let sent = one(&mut host);
    assert_eq!((sent.announce().event, sent.announce().progress.left), (Reason::Completed, 0));
    host.announced(&sent, HEAD, &[]);
    host.command(Command::Completed { torrent: TORRENT });
    host.wait(1800 * SECOND);
    let sent = one(&mut host);
    assert_eq!(sent.announce().event, Reason::None);
    host.announced(&sent, HEAD, &[]);
    host.told();

    host.command(Command::Leave { torrent: TORRENT });
    let sent = one(&mut host);
    assert_eq!((sent.announce().event, sent.announce().num_want), (Reason::Stopped, Some(0)));
    assert_eq!(host.told(), []);
    host.announced(&sent, HEAD, &[]);
    assert_eq!(host.told(), [Event::Left { torrent: TORRENT }]);
    host.assert_free();
    host.wait(24 * HOUR);
    assert!(host.taken().is_empty() && host.told().is_empty());
}

#[test]
fn both_families_of_a_tracker_are_announced_to() {
    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&["udp://both.example:1"]]));
    host.resolved("both.example", &["192.0.2.1", "2001:db8::1"]);
    let sent = announces(&mut host);
    let to: Vec<_> = sent.iter().map(|sent| sent.to).collect();
    assert_eq!(to, [at("192.0.2.1:1"), at("[2001:db8::1]:1")]);
    host.announced(&sent[0], HEAD, &["10.0.0.1:1"]);
    host.announced(&sent[1], AnnounceHead { interval: 900, ..HEAD }, &["[2001:db8::2]:1"]);
    let told = host.told();
    assert_eq!(peers(&told), [at("10.0.0.1:1"), at("[2001:db8::2]:1")]);
    assert_eq!((statuses(&told).len(), statuses(&told)[0].peers), (1, 2));
    host.wait(900 * SECOND);
    assert_eq!(announces(&mut host).len(), 2, "by the shorter interval");
}

#[test]
fn each_family_is_told_its_own_port_also_at_the_end() {
    let mut host = Host::new(Config::default());
    follow(&mut host, Following { port_v6: Some(6882), ..following(&[&["udp://both.example:1"]]) });
    host.resolved("both.example", &["192.0.2.1", "2001:db8::1"]);
    let ports = |sent: &[Sent]| sent.iter().map(|sent| sent.announce().port).collect::<Vec<_>>();
    let sent = announces(&mut host);
    assert_eq!(ports(&sent), [6881, 6882]);
    sent.iter().for_each(|sent| host.announced(sent, HEAD, &[]));
    host.command(Command::Leave { torrent: TORRENT });
    assert_eq!(ports(&announces(&mut host)), [6881, 6882]);
}

#[test]
fn a_family_that_a_tracker_does_not_have_is_no_failure_and_one_that_is_silent_neither() {
    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&["udp://four.example:1"]]));
    host.resolved("four.example", &["192.0.2.1"]);
    let sent = one(&mut host);
    host.announced(&sent, HEAD, &[]);
    assert_eq!(statuses(&host.told())[0].state, TrackerState::Working);

    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&["udp://both.example:1"]]));
    host.resolved("both.example", &["192.0.2.1", "2001:db8::1"]);
    let sent = announces(&mut host);
    host.announced(&sent[0], HEAD, &[]);
    host.wait(MINUTE);
    let status = statuses(&host.told()).remove(0);
    assert_eq!((status.state, status.error), (TrackerState::Working, None));
    // Only the one that answered is told of the end.
    host.taken();
    host.command(Command::Leave { torrent: TORRENT });
    let sent = host.taken();
    assert!(sent.iter().all(|sent| sent.socket == V4), "{sent:?}");
}

#[test]
fn intervals_are_kept_within_bounds() {
    for (said, kept) in [(0, 60), (1, 60), (61, 61), (7200, 7200), (u32::MAX >> 1, 3 * 3600)] {
        let mut host = Host::new(Config::default());
        follow(&mut host, following(&[&[A]]));
        let sent = one(&mut host);
        host.announced(&sent, AnnounceHead { interval: said, ..HEAD }, &[]);
        host.wait(Duration::from_secs(kept - 1));
        assert!(host.taken().is_empty(), "{said}");
        host.wait(SECOND);
        assert!(!host.taken().is_empty(), "{said}");
    }
}

#[test]
fn more_peers_come_as_soon_as_the_tracker_permits_and_no_sooner() {
    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&[A]]));
    host.command(Command::MorePeers { torrent: TORRENT });
    let sent = one(&mut host);
    host.announced(&sent, HEAD, &[]);
    host.wait(10 * SECOND);
    (0..9).for_each(|_| host.command(Command::MorePeers { torrent: TORRENT }));
    host.wait(289 * SECOND);
    assert!(host.taken().is_empty());
    host.wait(SECOND);
    let sent = one(&mut host);
    assert_eq!(sent.announce().event, Reason::None);
    host.announced(&sent, HEAD, &[]);
    host.wait(1799 * SECOND);
    assert!(host.taken().is_empty(), "asked once, it is answered once");
}

#[test]
fn a_tier_is_left_when_all_in_it_have_failed_and_who_answered_comes_first_in_its_tier() {
    let mut firsts = [0; 2];
    for seed in 0..20 {
        let start = Start { sockets: vec![at("0.0.0.0:1")] };
        let client = Client::new(Config::default(), start, Rng::new(seed), &Secret::new([9; 32]));
        let mut host = Host { client, ..Host::new(Config::default()) };
        follow(&mut host, following(&[&[A, B], &[C]]));
        // The first is silent.
        let first = host.taken()[0].to;
        firsts[usize::from(first == at("192.0.2.2:6969"))] += 1;
        host.wait(MINUTE);
        let second = host.taken().into_iter().find(|sent| sent.to != first).expect("the second is asked at once");
        assert_ne!(second.to, at("192.0.2.3:6969"), "the second tier has its turn later");
        host.connected(&second, 1);
        let sent = host.one();
        assert_eq!(sent.announce().event, Reason::Started);
        host.announced(&sent, HEAD, &[]);
        assert_eq!(statuses(&host.told()).last().unwrap().state, TrackerState::Working);
        // It is asked first from now on.
        host.wait(1800 * SECOND);
        assert_eq!(host.taken()[0].to, second.to);
    }
    assert!(firsts.iter().all(|count| *count > 3), "{firsts:?}");
}

#[test]
fn the_last_tier_is_asked_at_once_when_those_before_refuse() {
    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&[A], &[B], &[C]]));
    for n in 1..=2 {
        let sent = one(&mut host);
        assert_eq!(sent.to, at(&format!("192.0.2.{n}:6969")));
        host.refused(&sent, "no");
        host.wait(Duration::ZERO);
    }
    let sent = one(&mut host);
    assert_eq!(sent.to, at("192.0.2.3:6969"));
    host.announced(&sent, HEAD, &["10.0.0.1:1"]);
    let told = host.told();
    let states: Vec<_> = statuses(&told).iter().map(|status| (status.tier, status.state)).collect();
    let (failing, working) = (TrackerState::Failing, TrackerState::Working);
    assert_eq!(states, [(0, failing), (1, failing), (2, working)]);
}

#[test]
fn a_tracker_that_fails_is_asked_after_longer_and_longer_waits() {
    let mut host = Host::with_sockets(Config::default(), &["0.0.0.0:1"]);
    follow(&mut host, following(&[&[A]]));
    let mut last = host.now;
    let mut waits = Vec::new();
    for _ in 0..12 {
        let sent = one(&mut host);
        waits.push(sent.at.since(last).as_secs_f64());
        last = sent.at;
        host.refused(&sent, "down");
        let next = statuses(&host.told())[0].next.unwrap();
        host.wait(next.since(host.now));
    }
    for (n, wait) in (0..).zip(&waits[1..]) {
        let middle = (30.0 * f64::from(1 << n)).min(1800.0);
        assert!((middle * 0.75..=middle * 1.25).contains(wait), "{n}: {wait}");
    }
    let jittered = waits[1..].iter().filter(|wait| wait.fract() > 0.001).count();
    assert!(jittered > 5, "{waits:?}");
}

#[test]
fn a_torrent_that_is_complete_from_the_start_is_never_told_to_be_completed() {
    let mut host = Host::new(Config::default());
    follow(&mut host, Following { progress: Progress::default(), ..following(&[&[A]]) });
    let sent = one(&mut host);
    assert_eq!((sent.announce().event, sent.announce().progress.left), (Reason::Started, 0));
    host.announced(&sent, HEAD, &[]);
    host.command(Command::Completed { torrent: TORRENT });
    host.wait(MINUTE);
    assert!(host.taken().is_empty());
}

#[test]
fn one_that_completes_while_it_is_announced_is_told_to_be_so_next() {
    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&[A]]));
    let sent = one(&mut host);
    host.command(Command::Completed { torrent: TORRENT });
    host.announced(&sent, HEAD, &[]);
    host.wait(Duration::ZERO);
    assert_eq!(one(&mut host).announce().event, Reason::Completed);
}

#[test]
fn stopped_is_told_only_to_those_that_answered_last() {
    let mut host = Host::new(Config::default());
    // Never answered.
    follow(&mut host, following(&[&[A]]));
    host.taken();
    host.command(Command::Leave { torrent: TORRENT });
    assert_eq!((host.told(), host.taken().len()), (vec![Event::Left { torrent: TORRENT }], 0));
    host.assert_free();
    // Answered, but not last.
    follow(&mut host, following(&[&[A]]));
    let sent = one(&mut host);
    host.announced(&sent, HEAD, &[]);
    host.wait(1800 * SECOND);
    let sent = one(&mut host);
    host.refused(&sent, "down");
    host.told();
    host.command(Command::Leave { torrent: TORRENT });
    assert_eq!((host.told(), host.taken().len()), (vec![Event::Left { torrent: TORRENT }], 0));
    host.assert_free();
}

#[test]
fn the_end_waits_for_stopped_until_its_deadline_and_no_longer() {
    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&[A]]));
    let sent = one(&mut host);
    host.announced(&sent, HEAD, &[]);
    host.told();
    host.command(Command::ShutDown);
    let sent = host.one();
    assert_eq!(sent.announce().event, Reason::Stopped);
    host.wait(Duration::from_millis(999));
    assert_eq!(host.told(), []);
    host.wait(Duration::from_millis(1));
    assert_eq!(host.told(), [Event::ShutDown]);
    host.assert_free();
    host.command(Command::ShutDown);
    assert_eq!(host.told(), [Event::ShutDown]);
    host.command(Command::Follow { torrent: TORRENT, following: Box::new(following(&[&[A]])) });
    assert_eq!(host.told(), [Event::FollowRefused { torrent: TORRENT, error: Error::ShutDown }]);
    host.command(Command::Leave { torrent: TORRENT });
    assert_eq!(host.told(), [Event::Left { torrent: TORRENT }]);
}

#[test]
fn who_has_to_end_by_a_time_waits_for_stopped_no_longer() {
    for under_way in [false, true] {
        let mut host = Host::new(Config { stop_timeout: MINUTE, ..Config::default() });
        follow(&mut host, following(&[&[A]]));
        let sent = one(&mut host);
        host.announced(&sent, HEAD, &[]);
        host.told();
        if under_way {
            host.command(Command::ShutDown);
        }
        host.command(Command::StopWithin { time: SECOND / 2 });
        if !under_way {
            host.command(Command::ShutDown);
        }
        host.wait(Duration::from_millis(499));
        assert_eq!(host.told(), []);
        host.wait(Duration::from_millis(1));
        assert_eq!(host.told(), [Event::ShutDown]);
        host.assert_free();
    }
}

#[test]
fn one_that_is_left_as_soon_as_it_is_complete_is_told_to_be_both() {
    for under_way in [false, true] {
        let mut host = Host::new(Config::default());
        follow(&mut host, following(&[&[A]]));
        let sent = one(&mut host);
        host.announced(&sent, HEAD, &[]);
        host.told();
        host.command(Command::Completed { torrent: TORRENT });
        if under_way {
            host.wait(Duration::ZERO);
        }
        host.command(Command::Leave { torrent: TORRENT });
        let sent = one(&mut host);
        assert_eq!(sent.announce().event, Reason::Completed);
        assert_eq!(host.told(), []);
        host.announced(&sent, HEAD, &[]);
        let sent = one(&mut host);
        assert_eq!(sent.announce().event, Reason::Stopped);
        host.announced(&sent, HEAD, &[]);
        assert_eq!(host.told(), [Event::Left { torrent: TORRENT }]);
        host.assert_free();
    }
}

#[test]
fn a_torrent_that_is_left_twice_is_answered_twice() {
    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&[A]]));
    let sent = one(&mut host);
    host.announced(&sent, HEAD, &[]);
    host.told();
    (0..2).for_each(|_| host.command(Command::Leave { torrent: TORRENT }));
    host.command(Command::Follow { torrent: TORRENT, following: Box::new(following(&[&[A]])) });
    assert_eq!(host.told(), [Event::FollowRefused { torrent: TORRENT, error: Error::Duplicate }]);
    host.wait(2 * SECOND);
    let left = Event::Left { torrent: TORRENT };
    assert_eq!(host.told(), [left.clone(), left]);
}

#[test]
fn a_private_torrent_is_at_one_tracker_and_says_when_it_is_at_another() {
    let mut host = Host::new(Config::default());
    follow(&mut host, Following { private: true, ..following(&[&[A], &[B]]) });
    let first = one(&mut host);
    host.announced(&first, HEAD, &["10.0.0.1:1"]);
    assert!(!host.told().contains(&Event::Switched { torrent: TORRENT }));
    host.wait(1800 * SECOND);
    let sent = one(&mut host);
    assert_eq!(sent.to, first.to);
    host.refused(&sent, "down");
    host.wait(Duration::ZERO);
    host.told();
    let second = one(&mut host);
    assert_eq!((second.to, second.announce().event), (at("192.0.2.2:6969"), Reason::Started));
    host.announced(&second, HEAD, &["10.0.0.2:1"]);
    let told = host.told();
    let place = |event: &Event| told.iter().position(|told| told == event);
    let peers = Event::Peers { torrent: TORRENT, url: url(B), peers: vec![at("10.0.0.2:1")] };
    assert!(place(&Event::Switched { torrent: TORRENT }) < place(&peers), "{told:?}");
    // The first is told that we are gone.
    let stopped = announces(&mut host);
    assert_eq!((stopped[0].to, stopped[0].announce().event), (first.to, Reason::Stopped));
    host.announced(&stopped[0], HEAD, &["10.0.0.3:1"]);
    assert_eq!(host.told(), [], "whatever it says to that");
    // The second is kept although the first may be asked again.
    host.wait(1800 * SECOND);
    let sent = one(&mut host);
    assert_eq!((sent.to, sent.announce().event), (second.to, Reason::None));
}

#[test]
fn a_public_torrent_goes_back_to_its_first_tier() {
    let mut host = Host::new(Config::default());
    follow(&mut host, following(&[&[A], &[B]]));
    let sent = one(&mut host);
    host.refused(&sent, "down");
    host.wait(Duration::ZERO);
    let sent = one(&mut host);
    host.announced(&sent, HEAD, &[]);
    host.wait(1800 * SECOND);
    let sent = one(&mut host);
    assert_eq!((sent.to, sent.announce().event), (at("192.0.2.1:6969"), Reason::Started));
    assert!(!host.told().contains(&Event::Switched { torrent: TORRENT }));
}

#[test]
fn announces_of_many_torrents_wait_for_each_other_and_all_have_their_turn() {
    let mut host = Host::with_sockets(Config { max_announces: 10, ..Config::default() }, &["0.0.0.0:1"]);
    for n in 0..100 {
        let following = Following { info_hash: hash(n as u8), ..following(&[&[A]]) };
        host.command(Command::Follow { torrent: TorrentId(n), following: Box::new(following) });
    }
    host.wait(Duration::ZERO);
    let mut seen = 0;
    loop {
        let sent = announces(&mut host);
        if sent.is_empty() {
            break;
        }
        assert!(sent.len() <= 10);
        seen += sent.len();
        sent.iter().for_each(|sent| host.announced(sent, HEAD, &[]));
        host.wait(Duration::ZERO);
    }
    assert_eq!(seen, 100);
    assert_eq!(host.client.usage().requests, 0);
}

#[test]
fn a_torrent_without_trackers_and_one_whose_trackers_cannot_be_asked_are_left_in_peace() {
    let mut host = Host::new(Config { max_torrents: 2, ..Config::default() });
    follow(&mut host, following(&[]));
    let strangers = Following { trust: Trust::Stranger, ..following(&[&["udp://127.0.0.1:1", "udp://10.0.0.1:1"]]) };
    host.command(Command::Follow { torrent: TorrentId(9), following: Box::new(strangers) });
    host.wait(24 * HOUR);
    let told = host.told();
    assert_eq!(statuses(&told).iter().filter(|status| status.state == TrackerState::Disabled).count(), 2, "{told:?}");
    assert!(host.taken().is_empty());
    host.command(Command::Follow { torrent: TorrentId(10), following: Box::new(following(&[])) });
    assert_eq!(host.told(), [Event::FollowRefused { torrent: TorrentId(10), error: Error::Busy }]);
    host.command(Command::MorePeers { torrent: TORRENT });
    host.command(Command::ShutDown);
    assert_eq!(host.told(), [Event::ShutDown]);
    host.assert_free();
}
