//! Clients that take their time, and those that take places.

use super::*;

#[test]
fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let mut host = Host::new(Config::default());
    let slow = host.accept(v4(1));
    let silent = host.accept(v4(2));
    let request = get(&target(hash(1), ""));
    for byte in request.as_bytes().chunks(1).take(9) {
        host.send(slow, byte, 1);
        host.wait(SECOND);
        assert_eq!(host.client(slow).closed, None);
    }
    host.wait(SECOND);
    // Each byte would have been in time: the head is not.
    assert_eq!((host.client(slow).closed, host.client(silent).closed), (Some(false), Some(false)));
    assert_eq!(host.swarms.figures().too_slow, 2);
    // What comes before the host has closed it is not looked at.
    host.send(slow, request.as_bytes(), 1);
    host.gone(slow);
    host.gone(silent);
    assert_eq!((host.swarms.figures().open(), host.server.poll_timeout()), (0, None));
}

#[test]
fn a_second_head_has_its_time_from_its_first_byte_on() {
    let mut host = Host::new(Config::default());
    let conn = host.accept(v4(1));
    host.send(conn, get("/scrape").as_bytes(), usize::MAX);
    assert!(!host.read(conn, 0).is_empty());
    host.wait(29 * SECOND);
    assert_eq!(host.client(conn).closed, None, "between requests it may wait longer");
    host.send(conn, b"G", 1);
    host.wait(9 * SECOND);
    assert_eq!(host.client(conn).closed, None);
    host.wait(SECOND);
    assert_eq!(host.client(conn).closed, Some(false));
}

#[test]
fn a_connection_without_requests_is_closed() {
    let mut host = Host::new(Config::default());
    let conn = host.accept(v4(1));
    for _ in 0..5 {
        host.wait(9 * SECOND);
        host.send(conn, get("/scrape").as_bytes(), 5);
        assert!(!host.read(conn, 0).is_empty());
    }
    host.wait(30 * SECOND);
    assert_eq!(host.client(conn).closed, Some(true));
    assert_eq!(host.swarms.figures().too_slow, 0, "that is no fault");
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    let mut host = Host::new(Config::default());
    let conn = host.accept(v4(1));
    host.send(conn, get("/scrape").as_bytes(), usize::MAX);
    // The host says that nothing has left.
    host.server.handle_input(host.now, Input::Writable { conn, queued: 1_000 });
    for _ in 0..29 {
        host.wait(SECOND);
        host.send(conn, b"G", 1);
    }
    assert_eq!(host.client(conn).closed, None);
    host.wait(SECOND);
    assert_eq!(host.client(conn).closed, Some(false));
    assert_eq!(host.swarms.figures().too_slow, 1);
}

#[test]
fn who_asks_and_does_not_read_is_served_so_far_and_no_further() {
    let mut host = Host::new(Config { max_unread: 4_000, ..Config::default() });
    let conn = host.accept(v4(1));
    let request = get("/scrape");
    let mut sent = 0;
    while !host.client(conn).stopped {
        host.send(conn, request.as_bytes(), usize::MAX);
        sent += 1;
        assert!(sent < 100);
    }
    // A few more, which the host had read already, wait.
    let before = host.client(conn).read.len();
    assert!((4_000..4_400).contains(&before), "{before}");
    (0..5).for_each(|_| host.send(conn, request.as_bytes(), usize::MAX));
    assert_eq!(host.client(conn).read.len(), before);
    // It reads: it is served on, and read on.
    let answers = host.read(conn, 0);
    assert_eq!(String::from_utf8_lossy(&answers).matches("200 OK").count(), sent + 5);
    assert!(!host.client(conn).stopped);
    // It sends and sends, more than a host reads before it does as it is asked: that is the end.
    while host.client(conn).closed.is_none() {
        host.send(conn, request.as_bytes(), usize::MAX);
        sent += 1;
        assert!(sent < 600);
    }
    assert_eq!(host.client(conn).closed, Some(false));
    assert!(host.client(conn).read.len() < 4_400);
}

#[test]
fn who_sends_many_requests_at_once_and_reads_is_given_all_answers() {
    let mut host = Host::new(Config::default());
    for n in 0..100 {
        host.announce(v4(n), announce(hash(1)));
    }
    let request = get(&target(hash(1), "&numwant=100"));
    let count = (64 << 10) / request.len();
    let bytes = request.repeat(count);
    let conn = host.accept(v4(1));
    let mut pieces = bytes.as_bytes().chunks(8 << 10);
    let (mut answers, mut stops, mut rounds) = (0, 0, 0);
    while answers < count {
        rounds += 1;
        assert!(rounds < 1_000, "{answers} of {count}");
        // The host reads on as long as it may; then the client reads.
        while !host.client(conn).stopped {
            let Some(piece) = pieces.next() else { break };
            host.send(conn, piece, usize::MAX);
        }
        stops += usize::from(host.client(conn).stopped);
        assert_eq!(host.client(conn).closed, None);
        answers += String::from_utf8_lossy(&host.read(conn, 0)).matches("200 OK").count();
    }
    assert!(stops > 1 && pieces.next().is_none());
}

#[test]
fn what_was_asked_before_the_end_is_answered_once_there_is_room() {
    let mut host = Host::new(Config { max_unread: 100, ..Config::default() });
    let conn = host.accept(v4(1));
    host.send(conn, get("/scrape").repeat(5).as_bytes(), usize::MAX);
    host.server.handle_input(host.now, Input::End { conn });
    host.drain();
    let mut answers = 0;
    while host.client(conn).closed.is_none() {
        let read = host.read(conn, 0);
        answers += String::from_utf8_lossy(&read).matches("200 OK").count();
    }
    answers += String::from_utf8_lossy(&host.read(conn, 0)).matches("200 OK").count();
    assert_eq!((answers, host.client(conn).closed), (5, Some(true)));
}

#[test]
fn there_are_only_so_many_connections_of_all_and_of_each_address() {
    let config = Config { max_connections: 10, max_connections_per_address: 3, ..Config::default() };
    let mut host = Host::new(Config { proxies: vec![v4(9).ip()], ..config });
    let conns: Vec<ConnId> = (0..4).map(|_| host.accept(v4(1))).collect();
    let open = |host: &Host, conns: &[ConnId]| conns.iter().filter(|conn| host.client(**conn).closed.is_none()).count();
    assert_eq!((open(&host, &conns), host.client(conns[3]).closed), (3, Some(false)));
    host.gone(conns[3]);
    // A proxy is as many clients as it likes.
    let proxied: Vec<ConnId> = (0..9).map(|_| host.accept(v4(9))).collect();
    assert_eq!(open(&host, &proxied), 7);
    assert_eq!(host.swarms.figures().too_many, 3);
    // Every place is free again on every path.
    let all: Vec<ConnId> = host.conns.keys().copied().collect();
    all.into_iter().for_each(|conn| host.gone(conn));
    let again: Vec<ConnId> = (0..3).map(|_| host.accept(v4(1))).collect();
    assert_eq!(open(&host, &again), 3);
}

#[test]
fn a_network_of_ipv6_has_as_many_connections_as_an_address_of_ipv4() {
    let mut host = Host::new(Config { max_connections_per_address: 3, ..Config::default() });
    let from = |network: u16, n: u16| SocketAddr::from(([0x2a00, 0, 0, network, 9, 9, 9, n], 4_000));
    let conns: Vec<ConnId> = (0..4).map(|n| host.accept(from(1, n))).collect();
    let closed: Vec<bool> = conns.iter().map(|conn| host.client(*conn).closed.is_some()).collect();
    assert_eq!(closed, [false, false, false, true]);
    let other = host.accept(from(2, 1));
    assert_eq!(host.client(other).closed, None);
    conns.into_iter().for_each(|conn| host.gone(conn));
    let again = host.accept(from(1, 7));
    assert_eq!(host.client(again).closed, None);
}

#[test]
fn slots_are_free_again_however_connections_end() {
    let mut host = Host::new(Config { max_connections: 4, ..Config::default() });
    for round in 0..200 {
        let conn = host.accept(v4(round));
        assert_eq!(host.client(conn).closed, None, "round {round}");
        match round % 5 {
            0 => {}
            1 => host.send(conn, b"GET /", 1),
            2 => host.send(conn, b"nonsense\r\n\r\n", 3),
            3 => host.send(conn, get("/scrape").as_bytes(), 7),
            _ => host.wait(11 * SECOND),
        }
        host.gone(conn);
        // A stale word about it does nothing.
        host.server.handle_input(host.now, Input::Stream { conn, bytes: b"GET / HTTP/1.1\r\nHost: t\r\n\r\n" });
        host.server.handle_input(host.now, Input::Writable { conn, queued: 0 });
        host.server.handle_input(host.now, Input::End { conn });
        host.server.handle_input(host.now, Input::Closed { conn, reason: CloseReason::Ours });
        assert_eq!(host.drain(), []);
    }
    let figures = host.swarms.figures();
    assert_eq!((figures.open(), figures.too_many, host.server.poll_timeout()), (0, 0, None));
}
