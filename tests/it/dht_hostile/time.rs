//! Clocks that jump, hosts that call too early and too late, and the end.

use super::*;
use bip::dht::Refusal;
use bip::proto::id::InfoHash;

/// One call at a later moment, and no timers before.
fn jump(host: &mut Host, time: Duration) {
    host.now += time;
    host.settle();
}

/// A node with friends, requests of each kind, a peer and an item that are stored.
fn busy() -> (Host, Vec<u8>) {
    let mut host = Host::dual(config());
    for n in 0..10 {
        assert!(host.befriend(v4(n), id(20 * n as u8, n)) && host.befriend(v6(n), id(20 * n as u8, n)));
    }
    let token = host.token(v4(50));
    host.ask(v4(50), &announce(id(1, 1), [9; 20], "4:porti9e", &token)).unwrap();
    host.ask(v4(50), &query(id(1, 1), "put", &[b"1:vi7e5:token", &string(&token)])).unwrap();
    assert_eq!((host.status().stored_peers, host.status().stored_items), (1, 1));
    let info_hash = InfoHash([9; 20]);
    host.tell(Command::GetPeers { request: RequestId(1), info_hash, no_seeds: false, scrape: true });
    host.tell(Command::Announce { request: RequestId(2), info_hash, port: None, seed: true });
    host.tell(Command::PutImmutable { request: RequestId(3), value: b"i7e".to_vec() });
    host.tell(Command::Ping { request: RequestId(4), address: v4(60) });
    host.tell(Command::Sample { request: RequestId(5), target: id(1, 1) });
    host.tell(Command::FindNode { request: RequestId(6), target: id(1, 1) });
    (host, token)
}

#[test]
fn a_clock_that_jumps_by_a_year_ends_what_was_under_way_and_the_node_goes_on() {
    let (mut host, token) = busy();
    jump(&mut host, YEAR);
    // Whom they ask in turn is asked at that time.
    host.wait(MINUTE);
    for request in 1..=6 {
        assert!(host.end(request).is_some(), "request {request} does not end");
    }
    let answer = host.ask(v4(50), &announce(id(1, 1), [9; 20], "4:porti9e", &token)).unwrap();
    assert_eq!(code(&answer), 203);
    assert_eq!(reply_of(&host.ask(v4(51), &get_peers(id(1, 1), [9; 20])).unwrap()).values, None);
    host.wait(5 * MINUTE);
    assert_eq!((host.status().stored_peers, host.status().stored_items), (0, 0));
    // Somebody who is back is believed.
    assert!(host.befriend(v4(1), id(20, 1)) && host.knows(v4(1)));
}

#[test]
fn time_at_its_end_is_no_loop() {
    let (mut host, _) = busy();
    host.now = Instant::from_micros(u64::MAX - 1);
    host.settle();
    assert!(host.ask(v4(50), &query(id(1, 1), "ping", &[])).is_some());
}

#[test]
fn calls_that_come_early_or_twice_change_nothing() {
    let run = |meddle: bool| {
        let (mut host, _) = busy();
        let mut log = Vec::new();
        for n in 0..200 {
            if meddle {
                for _ in 0..1 + n % 2 {
                    host.node.handle_timeout(host.now);
                    host.drain();
                }
            }
            host.wait(Duration::from_millis(250));
            log.push((host.queries.len(), host.events.len(), host.node.poll_timeout()));
        }
        let queries: Vec<_> = host.queries.iter().map(|query| (query.to, query.bytes.clone())).collect();
        (log, queries, host.events)
    };
    assert!(run(false) == run(true));
}

#[test]
fn calls_that_come_late_end_what_is_late() {
    let (mut host, _) = busy();
    for _ in 0..20 {
        jump(&mut host, 7 * SECOND);
    }
    for request in 1..=6 {
        assert!(host.end(request).is_some(), "request {request} does not end");
    }
}

#[test]
fn a_clock_that_stands_still_or_goes_back_does_no_harm() {
    let (mut host, _) = busy();
    let now = host.now;
    host.now = Instant::from_micros(1);
    let ping = query(id(1, 1), "ping", &[]);
    assert!(host.ask(v4(70), &ping).is_some());
    host.tell(Command::Ping { request: RequestId(9), address: v4(71) });
    assert!(host.answer(v4(71), id(1, 71), &[]));
    assert!(host.end(9).is_some());
    host.now = now;
    host.settle();
    assert!(host.ask(v4(70), &ping).is_some());
}

#[test]
fn how_the_node_is_is_told_when_something_changed_and_once_a_second_at_most() {
    let mut host = Host::new(config());
    let told = |host: &mut Host| {
        let before = host.events.len();
        host.events.retain(|event| !matches!(event, Event::Status(_)));
        before - host.events.len()
    };
    host.wait(10 * SECOND);
    told(&mut host);
    for n in 0..100 {
        host.ask(v4(n), &query(id(n as u8, n), "ping", &[]));
        host.wait(SECOND / 10);
    }
    host.wait(SECOND);
    let times = told(&mut host);
    assert!((9..=12).contains(&times), "{times} times");
    // What was asked of those has been given up by now.
    host.wait(MINUTE);
    told(&mut host);
    host.wait(MINUTE);
    assert_eq!(told(&mut host), 0);
}

#[test]
fn after_its_end_a_node_does_nothing_any_more() {
    let (mut host, _) = busy();
    let queries = host.queries.len();
    host.tell(Command::ShutDown);
    for request in 1..=6 {
        assert!(host.end(request).is_some(), "request {request} does not end");
    }
    assert!(host.events.contains(&Event::ShutDown));
    host.events.clear();
    host.tell(Command::AddNode { address: v4(1) });
    host.tell(Command::NetworkChanged);
    host.tell(Command::Cancel { request: RequestId(1) });
    assert!(host.ask(v4(1), &query(id(1, 1), "ping", &[])).is_none());
    host.tell(Command::Ping { request: RequestId(7), address: v4(1) });
    assert!(matches!(host.end(7), Some(Event::Refused { refusal: Refusal::ShutDown, .. })));
    assert_eq!(host.node.poll_timeout(), None);
    host.wait(YEAR);
    assert_eq!((host.queries.len(), host.events.len()), (queries, 0));
}
