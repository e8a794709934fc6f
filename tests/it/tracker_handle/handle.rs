//! The handle.

use super::udp::UdpTracker;
use super::*;
use bip::proto::announce::{Event, Progress};
use bip::session::tracker::{Error, News};
use bip::tracker::client::{self, Following, TrackerState, Trust};
use std::net::UdpSocket;

#[test]
fn peers_find_each_other_and_are_counted() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        // A host may have no IPv6.
        let Ok(tracker) = UdpTracker::start(at) else { continue };
        let trackers = Trackers::builder().bind(at.parse().unwrap()).spawn().unwrap();
        let to = url(tracker.url());
        let first = trackers.announce(&to, announce(7001)).wait(HANG).unwrap();
        assert_eq!((first.peers, first.seeders, first.interval), (vec![], Some(1), Duration::from_secs(1800)));
        assert_eq!(tracker.seen.recv().unwrap().url.as_deref(), Some("/announce?pass=key"));
        let progress = Progress { left: 5, ..Progress::default() };
        let second = trackers.announce(&to, Announce { progress, ..announce(7002) }).wait(HANG).unwrap();
        assert_eq!(second.peers, [SocketAddr::new(tracker.address.ip(), 7001)]);
        let hashes: Vec<_> = (0..100).map(hash).collect();
        let files = trackers.scrape(&to, hashes).wait(HANG).unwrap();
        let known: Vec<_> = files.iter().filter(|file| file.incomplete != Some(0)).collect();
        assert_eq!((files.len(), known.len(), known[0].info_hash), (100, 1, hash(1)));
        assert_eq!((known[0].complete, known[0].incomplete), (Some(1), Some(1)));
        trackers.shut_down(HANG).unwrap();
    }
}

#[test]
fn a_name_is_asked_by_the_family_that_is_bound() {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let to = url(format!("udp://localhost:{}", tracker.address.port()));
    trackers().announce(&to, announce(7001)).wait(HANG).unwrap();
    let error = trackers().announce(&url("udp://no-such-name.invalid:1"), announce(1)).wait(HANG).unwrap_err();
    assert!(matches!(error, Error::Tracker(client::Error::Name { .. })), "{error:?}");
}

#[test]
fn many_are_asked_at_once_from_several_threads() {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let (trackers, to) = (trackers(), url(tracker.url()));
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (trackers, to) = (&trackers, &to);
            scope.spawn(move || {
                let answers: Vec<_> = (0..50).map(|m| trackers.announce(to, announce(1000 + 100 * n + m))).collect();
                answers.into_iter().for_each(|answer| drop(answer.wait(HANG).unwrap()));
            });
        }
    });
    let files = trackers.scrape(&to, vec![hash(1)]).wait(HANG).unwrap();
    assert_eq!(files[0].complete, Some(200));
}

#[test]
fn a_torrent_is_followed_until_it_is_dropped() {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let (trackers, to) = (trackers(), url(tracker.url()));
    trackers.announce(&to, announce(7001)).wait(HANG).unwrap();
    tracker.seen.recv().unwrap();
    let progress = Progress { left: 9, ..Progress::default() };
    let followed = trackers
        .follow(Following { progress, ..Following::new(hash(1), PeerId([7; 20]), 7002, vec![vec![to.clone()]]) });
    let seen = tracker.seen.recv().unwrap();
    assert_eq!((seen.event, seen.left), (Event::Started, 9));
    let peers = vec![SocketAddr::from(([127, 0, 0, 1], 7001))];
    assert_eq!(followed.next(HANG).unwrap(), Some(News::Peers { url: to, peers }));
    let Some(News::Tracker(status)) = followed.next(HANG).unwrap() else { panic!("no status") };
    assert_eq!(status.state, TrackerState::Working);
    followed.completed();
    assert_eq!(tracker.seen.recv().unwrap().event, Event::Completed);
    drop(followed);
    assert_eq!(tracker.seen.recv().unwrap().event, Event::Stopped);
}

#[test]
fn the_end_tells_stopped() {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let trackers = trackers();
    let tiers = vec![vec![url(tracker.url())]];
    let followed = trackers.follow(Following::new(hash(1), PeerId([7; 20]), 7002, tiers));
    assert_eq!(tracker.seen.recv().unwrap().event, Event::Started);
    while !matches!(followed.next(HANG).unwrap(), Some(News::Tracker(_))) {}
    trackers.shut_down(HANG).unwrap();
    assert_eq!(tracker.seen.recv().unwrap().event, Event::Stopped);
    assert!(matches!(followed.next(HANG), Err(Error::Closed)));
}

#[test]
fn the_end_is_in_time_although_a_tracker_does_not_take_stopped() {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let config = client::Config { stop_timeout: 2 * HANG, ..client::Config::default() };
    let trackers = Trackers::builder().bind(loopback()).config(config).spawn().unwrap();
    let tiers = vec![vec![url(tracker.url())]];
    let followed = trackers.follow(Following::new(hash(1), PeerId([7; 20]), 7002, tiers));
    while !matches!(followed.next(HANG).unwrap(), Some(News::Tracker(_))) {}
    // It listens no more.
    drop(tracker);
    trackers.shut_down(Duration::from_secs(4)).unwrap();
}

#[test]
fn dropping_a_client_ends_all_waiting_and_gives_back_its_socket() {
    let dead = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = url(format!("udp://{}", dead.local_addr().unwrap()));
    let trackers = trackers();
    let address = trackers.addresses()[0];
    let mut answer = trackers.announce(&to, announce(1));
    assert!(answer.try_take().is_none() && trackers.is_alive());
    drop(trackers);
    UdpSocket::bind(address).unwrap();
    assert!(matches!(answer.try_take(), Some(Err(Error::Tracker(client::Error::ShutDown) | Error::Closed))));
    assert!(answer.try_take().is_none());
}

#[test]
fn in_a_loop_of_the_callers_nothing_waits_and_names_are_refused() {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let (trackers, mut reactor) = Trackers::builder().bind(loopback()).in_caller().unwrap();
    let mut answer = trackers.announce(&url(tracker.url()), announce(1));
    assert!(matches!(answer.wait_for(HANG), Some(Err(Error::WouldDeadlock))));
    let reply = loop {
        reactor.turn(Some(HANG)).unwrap();
        if let Some(reply) = answer.try_take() {
            break reply.unwrap();
        }
    };
    assert_eq!(reply.seeders, Some(1));
    let mut named = trackers.announce(&url("udp://localhost:1"), announce(1));
    let error = loop {
        reactor.turn(Some(HANG)).unwrap();
        if let Some(reply) = named.try_take() {
            break reply.unwrap_err();
        }
    };
    assert!(matches!(error, Error::Tracker(client::Error::NoJobs)), "{error:?}");
    let followed = trackers.follow(Following::new(hash(1), PeerId([7; 20]), 1, Vec::new()));
    assert!(matches!(followed.next(HANG), Err(Error::WouldDeadlock)));
    trackers.try_shut_down();
    while trackers.is_alive() {
        reactor.turn(Some(HANG)).unwrap();
    }
    assert!(matches!(trackers.shut_down(HANG), Err(Error::WouldDeadlock)));
}

#[test]
fn a_stranger_sends_nobody_to_what_listens_here() {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let answer = trackers().announce_by(&url(tracker.url()), Trust::Stranger, None, announce(1)).wait(HANG);
    assert!(matches!(answer, Err(Error::Tracker(client::Error::Forbidden))));
    assert!(tracker.seen.try_recv().is_err());
}

#[test]
fn an_address_that_cannot_be_bound_to_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Trackers::builder().bind(address).spawn().unwrap_err();
    assert!(error.to_string().starts_with(&format!("binding to {address}: ")), "{error}");
}
