//! Sessions that find each other through a tracker.

use super::udp::{Seen, UdpTracker};
use super::*;
use bip::disk::Memory;
use bip::proto::announce::Event as Reason;
use bip::proto::metainfo::{Layout, SafePath};
use bip::proto::sha1::Sha1;
use bip::session::{Event, Hosting, Session, Spec, Status};
use bip::tracker::client::{self, TrackerState};
use std::path::Path;
use std::sync::Arc;

const CONTENT: &[u8] = &[7; 100_000];

fn spec(tracker: &UdpTracker) -> Spec {
    let path = SafePath::from_parts(["file"]).unwrap();
    let hashes: Vec<_> = CONTENT.chunks(16 << 10).map(Sha1::digest).collect();
    let layout = Arc::new(Layout::new(vec![(path, CONTENT.len() as u64)], 16 << 10, &hashes).unwrap());
    Spec { trackers: vec![vec![url(tracker.url())]], ..Spec::new(hash(5), layout, "/d") }
}

fn session(hosting: Hosting, content: Option<&[u8]>) -> Session {
    let memory = Memory::new();
    if let Some(content) = content {
        memory.put(Path::new("/d/file"), content);
    }
    Session::builder().listen(loopback()).hosting(hosting).file_system(Box::new(memory)).spawn().unwrap()
}

fn wait_for(session: &Session, is_it: impl Fn(&Event) -> bool) {
    loop {
        let event = session.next_event(HANG).unwrap().expect("nothing happens");
        if is_it(&event) {
            return;
        }
    }
}

fn next(tracker: &UdpTracker) -> Seen {
    tracker.seen.recv_timeout(HANG).expect("the tracker is told something")
}

#[test]
fn two_sessions_find_each_other_through_a_tracker_and_tell_it_of_their_whole_life() {
    for hosting in [Hosting::Apart, Hosting::Together] {
        let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
        let seeder = session(hosting, Some(CONTENT));
        seeder.add_with(spec(&tracker)).unwrap();
        let seen = next(&tracker);
        assert_eq!((seen.event, seen.left), (Reason::Started, 0));
        wait_for(
            &seeder,
            |event| matches!(event, Event::Tracker { status, .. } if status.state == TrackerState::Working),
        );

        let leecher = session(hosting, None);
        let torrent = leecher.add_with(spec(&tracker)).unwrap();
        let seen = next(&tracker);
        assert_eq!((seen.event, seen.left), (Reason::Started, 100_000));
        wait_for(&leecher, |event| matches!(event, Event::Completed { .. }));
        let seen = next(&tracker);
        assert_eq!((seen.event, seen.left), (Reason::Completed, 0));
        let status = leecher.status(torrent).unwrap();
        assert_eq!((status.trackers.len(), status.trackers[0].state), (1, TrackerState::Working));

        leecher.pause(torrent).unwrap();
        assert_eq!(next(&tracker).event, Reason::Stopped);
        leecher.resume(torrent).unwrap();
        assert_eq!(next(&tracker).event, Reason::Started);
        leecher.remove(torrent).unwrap();
        let mut seen = next(&tracker);
        assert_eq!(seen.event, Reason::Stopped);
        leecher.shut_down(HANG).unwrap();
        seeder.shut_down(HANG).unwrap();
        seen = next(&tracker);
        assert_eq!((seen.event, seen.left), (Reason::Stopped, 0));
    }
}

#[test]
fn a_session_that_listens_twice_tells_each_family_its_own_port() {
    // A host may have no IPv6.
    let Ok(six) = UdpTracker::start("[::1]:0") else { return };
    let four = UdpTracker::start("127.0.0.1:0").unwrap();
    let memory = Memory::new();
    memory.put(Path::new("/d/file"), CONTENT);
    let builder = Session::builder().listen(loopback()).listen("[::1]:0".parse().unwrap());
    let session = builder.file_system(Box::new(memory)).spawn().unwrap();
    for tracker in [&four, &six] {
        let torrent = session.add_with(spec(tracker)).unwrap();
        let address = session.listen_addresses().iter().find(|own| own.is_ipv4() == tracker.address.is_ipv4());
        assert_eq!(next(tracker).port, address.unwrap().port());
        session.remove(torrent).unwrap();
        wait_for(&session, |event| matches!(event, Event::Removed { .. }));
    }
    session.shut_down(HANG).unwrap();
}

#[test]
fn a_session_without_trackers_tells_nobody() {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let memory = Memory::new();
    memory.put(Path::new("/d/file"), CONTENT);
    let session = Session::builder().trackers(false).listen(loopback()).file_system(Box::new(memory)).spawn().unwrap();
    let torrent = session.add_with(spec(&tracker)).unwrap();
    wait_for(&session, |event| matches!(event, Event::Completed { .. }));
    assert!(session.status(torrent).unwrap().trackers.is_empty());
    session.shut_down(HANG).unwrap();
    assert!(tracker.seen.try_recv().is_err());
}

#[test]
fn in_a_loop_of_the_callers_trackers_are_told_too() {
    let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
    let memory = Memory::new();
    memory.put(Path::new("/d/file"), CONTENT);
    let builder = Session::builder().listen(loopback()).file_system(Box::new(memory));
    let (session, mut reactor) = builder.in_caller().unwrap();
    session.add_with(spec(&tracker)).unwrap();
    while !matches!(session.try_event().unwrap(), Some(Event::Tracker { .. })) {
        reactor.turn(Some(HANG)).unwrap();
    }
    assert_eq!(next(&tracker).event, Reason::Started);
    session.try_shut_down().unwrap();
    while !matches!(session.try_event().unwrap(), Some(Event::ShutDown)) {
        reactor.turn(Some(HANG)).unwrap();
    }
    assert_eq!(next(&tracker).event, Reason::Stopped);
}

#[test]
fn the_end_of_a_session_is_in_time_although_a_tracker_does_not_take_stopped() {
    for hosting in [Hosting::Together, Hosting::Apart] {
        let tracker = UdpTracker::start("127.0.0.1:0").unwrap();
        let trackers = client::Config { stop_timeout: 2 * HANG, ..client::Config::default() };
        let config = bip::session::Config { trackers: Some(trackers), ..bip::session::Config::default() };
        let session = Session::builder().config(config).listen(loopback()).hosting(hosting);
        let session = session.file_system(Box::new(Memory::new())).spawn().unwrap();
        let torrent = session.add_with(spec(&tracker)).unwrap();
        assert_eq!(next(&tracker).event, Reason::Started);
        let works = |status: &Arc<Status>| status.trackers.iter().any(|tracker| tracker.state == TrackerState::Working);
        let begin = std::time::Instant::now();
        while !session.status(torrent).as_ref().is_some_and(works) {
            assert!(begin.elapsed() < HANG, "{:?}", session.status(torrent));
            std::thread::yield_now();
        }
        // It listens no more.
        drop(tracker);
        session.shut_down(Duration::from_secs(6)).unwrap();
    }
}
