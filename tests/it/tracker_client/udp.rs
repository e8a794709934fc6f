//! Announces over UDP.

use super::*;
use bip::proto::announce::Event as Reason;

const TRACKER: &str = "udp://192.0.2.9:6969/announce";

#[test]
fn an_announce_has_all_that_is_told_and_its_answer_all_that_comes() {
    let mut host = Host::new(Config::default());
    let progress = Progress { uploaded: 1, downloaded: 2, left: 3 };
    let told = Announce { progress, event: Reason::Started, num_want: Some(50), key: 77, ..announce() };
    host.ask(1, TRACKER, told);
    let connect = host.one();
    assert!(connect.is_connect() && connect.to == at("192.0.2.9:6969") && connect.socket == V4);
    host.connected(&connect, 42);
    let sent = host.one();
    assert_eq!(sent.connection(), ConnectionId(42));
    assert_ne!(sent.transaction(), connect.transaction());
    let asked = sent.announce();
    assert_eq!((asked.info_hash, asked.peer_id, asked.port), (hash(1), PeerId([2; 20]), 6881));
    assert_eq!((asked.progress, asked.event, asked.num_want, asked.key), (progress, Reason::Started, Some(50), 77));
    assert_eq!(asked.options.url_data().unwrap().as_deref(), Some(&b"/announce"[..]));
    let useless = ["0.0.0.0:1", "1.2.3.4:0", "224.0.0.1:5"];
    host.announced(&sent, HEAD, &[&["10.0.0.1:1", "10.0.0.2:2"][..], &useless].concat());
    let reply = host.reply();
    assert_eq!((reply.seeders, reply.leechers, reply.interval), (Some(9), Some(4), 1800 * SECOND));
    assert_eq!(reply.peers, [at("10.0.0.1:1"), at("10.0.0.2:2")]);
    host.assert_free();
}

#[test]
fn over_ipv6_it_is_action_1_with_peers_of_18_bytes() {
    let mut host = Host::new(Config::default());
    host.ask(1, "udp://[2001:db8::9]:6969", announce());
    let connect = host.one();
    assert_eq!((connect.socket, connect.to), (V6, at("[2001:db8::9]:6969")));
    host.connected(&connect, 1);
    let sent = host.one();
    assert_eq!(sent.bytes[8..12], [0, 0, 0, 1]);
    assert_eq!((sent.announce().options.as_bytes(), sent.bytes.len()), (&b""[..], 98));
    let mut answer = vec![0, 0, 0, 1];
    answer.extend(sent.transaction().0.to_be_bytes());
    answer.extend([0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
    answer.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0x1a, 0xe1]);
    // A peer that is cut does not spoil the others.
    answer.extend([1; 7]);
    host.datagram(V6, sent.to, &answer);
    assert_eq!(host.reply().peers, [at("[2001:db8::7]:6881")]);
    host.assert_free();
}

#[test]
fn the_url_is_told_whatever_its_length() {
    for length in [1, 254, 255, 256, 1000, 4000] {
        let mut host = Host::new(Config::default());
        let path = format!("/{}?k=v", "x".repeat(length));
        host.ask(1, &format!("udp://192.0.2.9:6969{path}"), announce());
        let connect = host.one();
        host.connected(&connect, 1);
        assert_eq!(host.one().announce().options.url_data().unwrap().as_deref(), Some(path.as_bytes()), "{length}");
    }
}

#[test]
fn what_is_not_answered_is_sent_again_after_15_times_2_to_the_n_seconds() {
    let hours = Config { timeout: 24 * HOUR, ..Config::default() };
    let mut host = Host::new(hours.clone());
    host.ask(1, TRACKER, announce());
    host.wait(24 * HOUR);
    let sent = host.taken();
    assert!(sent.iter().all(|sent| sent.is_connect()));
    assert_eq!(seconds(&sent), [0, 15, 45, 105, 225, 465, 945, 1905, 3825]);
    assert_eq!(host.error(), Error::TimedOut);
    host.assert_free();

    // The announce itself, with connects in between, for ids are good for a minute.
    host.ask(2, TRACKER, announce());
    for _ in 0..200 {
        let now = host.now;
        for connect in host.sent.clone().iter().filter(|sent| sent.is_connect() && sent.at == now) {
            host.connected(connect, now.as_micros());
        }
        host.wait(MINUTE.mul_f64(0.25));
    }
    host.wait(24 * HOUR);
    let sent = host.taken();
    let (connects, announces): (Vec<_>, Vec<_>) = sent.into_iter().partition(Sent::is_connect);
    assert_eq!(seconds(&announces)[..3], [0, 15, 45]);
    assert!(announces.len() > 5, "{}", announces.len());
    assert!(announces.iter().all(|one| one.transaction() == announces[0].transaction()), "any of them may be answered");
    for sent in &announces {
        let id = sent.connection().0;
        assert!(sent.at.as_micros() - id <= 60_000_000, "an id older than a minute");
    }
    assert!(connects.len() >= announces.len() - 2);
    assert_eq!(host.error(), Error::TimedOut);
    host.assert_free();
}

#[test]
fn by_default_a_request_ends_after_a_minute() {
    let mut host = Host::new(Config::default());
    host.ask(1, TRACKER, announce());
    host.wait(MINUTE - SECOND);
    assert_eq!(seconds(&host.taken()), [0, 15, 45]);
    assert_eq!(host.told(), []);
    host.wait(SECOND);
    assert_eq!(host.error(), Error::TimedOut);
    host.assert_free();
}

#[test]
fn a_connection_id_is_used_for_a_minute_by_all_and_then_asked_for_anew() {
    let mut host = Host::new(Config::default());
    for n in 0..100 {
        host.ask(n, TRACKER, Announce { info_hash: hash(n as u8), ..announce() });
    }
    let connect = host.one();
    host.connected(&connect, 5);
    let sent = host.taken();
    assert_eq!(sent.len(), 100);
    let mut transactions: Vec<_> = sent.iter().map(Sent::transaction).collect();
    transactions.sort();
    transactions.dedup();
    assert_eq!(transactions.len(), 100);
    sent.iter().for_each(|sent| host.announced(sent, HEAD, &[]));
    assert_eq!(host.told().len(), 100);
    host.assert_free();

    host.wait(59 * SECOND);
    host.ask(200, TRACKER, announce());
    let sent = host.one();
    assert_eq!(sent.connection(), ConnectionId(5));
    host.announced(&sent, HEAD, &[]);
    host.wait(SECOND);
    host.ask(201, TRACKER, announce());
    let connect = host.one();
    assert!(connect.is_connect());
    host.connected(&connect, 6);
    assert_eq!(host.one().connection(), ConnectionId(6));
}

#[test]
fn a_spoofed_answer_changes_nothing_and_the_right_one_still_counts() {
    let mut host = Host::new(Config::default());
    host.ask(1, TRACKER, announce());
    let connect = host.one();
    let usage = host.client.usage();
    let mut answer = Vec::new();
    encode_connect_response(connect.transaction(), ConnectionId(666), &mut answer);
    let stranger = at("192.0.2.10:6969");
    host.datagram(V4, stranger, &answer);
    host.datagram(V4, at("192.0.2.9:6970"), &answer);
    host.datagram(V6, connect.to, &answer);
    host.datagram(SocketId(9), connect.to, &answer);
    let mut error = Vec::new();
    encode_error_response(connect.transaction(), "go away", &mut error);
    host.datagram(V4, stranger, &error);
    // The right address, and another transaction or another action.
    for wrong in [connect.transaction().0 ^ 1, 0, u32::MAX] {
        let mut answer = Vec::new();
        encode_connect_response(TransactionId(wrong), ConnectionId(666), &mut answer);
        host.datagram(V4, connect.to, &answer);
    }
    let mut other = Vec::new();
    encode_announce_response(connect.transaction(), HEAD, Family::V4, [stranger], &mut other);
    host.datagram(V4, connect.to, &other);
    for length in 0..answer.len() {
        host.datagram(V4, connect.to, &answer[..length]);
    }
    assert_eq!((host.taken().len(), host.told().len(), host.client.usage()), (0, 0, usage));

    host.connected(&connect, 7);
    let sent = host.one();
    assert_eq!(sent.connection(), ConnectionId(7));
    let usage = host.client.usage();
    let mut answer = Vec::new();
    encode_announce_response(sent.transaction(), HEAD, Family::V4, [stranger], &mut answer);
    host.datagram(V4, stranger, &answer);
    host.datagram(V6, sent.to, &answer);
    host.connected(&sent, 8);
    host.scraped(&sent, &[Stats::default()]);
    let mut late = Vec::new();
    encode_connect_response(connect.transaction(), ConnectionId(666), &mut late);
    host.datagram(V4, connect.to, &late);
    for length in 0..20 {
        host.datagram(V4, sent.to, &answer[..length]);
    }
    assert_eq!((host.taken().len(), host.told().len(), host.client.usage()), (0, 0, usage));
    host.announced(&sent, HEAD, &["10.0.0.1:1"]);
    assert_eq!(host.reply().peers, [at("10.0.0.1:1")]);
    host.announced(&sent, HEAD, &["10.0.0.2:1"]);
    assert_eq!(host.told(), [], "it comes twice");
    host.assert_free();
}

#[test]
fn transactions_cannot_be_foretold_from_the_seed() {
    let transaction = |secret: u8| {
        let start = Start { sockets: vec![at("0.0.0.0:1")] };
        let mut client = Client::new(Config::default(), start, Rng::new(7), &Secret::new([secret; 32]));
        let (request, url) = (RequestId(1), url(TRACKER));
        let ask = Command::Announce { request, url, trust: Trust::Local, family: None, announce: announce() };
        client.handle_command(Instant::ZERO, ask);
        let mut buf = Vec::new();
        client.poll_output(&mut buf);
        Request::decode(&buf).unwrap().transaction()
    };
    assert_eq!(transaction(1), transaction(1));
    assert_ne!(transaction(1), transaction(2));
}

#[test]
fn the_places_of_a_request_are_free_again_however_it_ends() {
    let mut host = Host::new(Config::default());
    type Way = fn(&mut Host, &Sent);
    let ends: [(&str, Way); 6] = [
        ("answered", |host, sent| {
            host.connected(sent, 1);
            let sent = host.one();
            host.announced(&sent, HEAD, &[]);
        }),
        ("the connect is refused", |host, sent| host.refused(sent, "full")),
        ("the announce is refused", |host, sent| {
            host.connected(sent, 1);
            let sent = host.one();
            host.refused(&sent, "unknown torrent");
        }),
        ("no answer to the connect", |host, _| host.wait(MINUTE)),
        ("no answer to the announce", |host, sent| {
            host.connected(sent, 1);
            host.wait(MINUTE);
        }),
        ("cancelled", |host, _| host.command(Command::Cancel { request: RequestId(1) })),
    ];
    for (way, end) in ends {
        host.wait(10 * MINUTE);
        host.taken();
        host.ask(1, TRACKER, announce());
        let sent = host.one();
        end(&mut host, &sent);
        assert_eq!(host.told().len(), 1, "{way}");
        host.assert_free();
    }
    host.wait(10 * MINUTE);
    host.taken();
    host.ask(1, TRACKER, announce());
    host.ask(2, "udp://nowhere.example:1", announce());
    host.ask(3, "udp://192.0.2.9:6969", announce());
    host.command(Command::ShutDown);
    assert_eq!(host.told().len(), 4);
    let (job, _) = host.jobs.remove(0);
    host.done(job, Done::Resolved(Ok(vec![at("192.0.2.1:1")])));
    host.assert_free();
    host.ask(4, TRACKER, announce());
    assert_eq!(host.error(), Error::ShutDown);
}

#[test]
fn who_cancels_does_not_take_the_connect_from_the_others() {
    let mut host = Host::new(Config::default());
    host.ask(1, TRACKER, announce());
    host.ask(2, TRACKER, announce());
    let connect = host.one();
    host.command(Command::Cancel { request: RequestId(1) });
    assert_eq!(host.error(), Error::Cancelled);
    host.connected(&connect, 1);
    let sent = host.one();
    host.announced(&sent, HEAD, &[]);
    host.reply();
    host.assert_free();
}

#[test]
fn thousands_are_under_way_at_a_time_and_one_more_is_refused() {
    let mut host = Host::new(Config { max_requests: 3000, ..Config::default() });
    (0..3000).for_each(|n| host.ask(n, TRACKER, announce()));
    host.ask(3000, TRACKER, announce());
    assert_eq!(host.error(), Error::Busy);
    host.ask(5, TRACKER, announce());
    assert_eq!(host.error(), Error::Duplicate);
    let connect = host.one();
    host.connected(&connect, 1);
    assert_eq!(host.sent.len(), 256, "a call is bounded work");
    host.wait(Duration::ZERO);
    let sent = host.taken();
    assert_eq!(sent.len(), 3000);
    sent.iter().rev().for_each(|sent| host.announced(sent, HEAD, &[]));
    assert_eq!(host.told().len(), 3000);
    host.assert_free();
}

#[test]
fn a_tracker_that_was_started_again_and_says_nothing_is_asked_for_a_new_id() {
    let mut host = Host::new(Config::default());
    host.ask(1, TRACKER, announce());
    let connect = host.one();
    host.connected(&connect, 1);
    let sent = host.one();
    host.announced(&sent, HEAD, &[]);
    host.told();
    host.wait(SECOND);
    host.ask(2, TRACKER, announce());
    assert_eq!(host.one().connection(), ConnectionId(1));
    host.wait(15 * SECOND);
    let connect = host.one();
    assert!(connect.is_connect());
    host.connected(&connect, 2);
    let sent = host.one();
    assert_eq!(sent.connection(), ConnectionId(2));
    host.announced(&sent, HEAD, &[]);
    host.reply();
    host.assert_free();
}

#[test]
fn an_id_that_is_refused_is_asked_for_anew_once() {
    let mut host = Host::new(Config::default());
    host.ask(1, TRACKER, announce());
    let connect = host.one();
    host.connected(&connect, 1);
    let sent = host.one();
    host.refused(&sent, "Connection ID missmatch.");
    let connect = host.one();
    assert!(connect.is_connect() && host.told().is_empty());
    host.connected(&connect, 2);
    let sent = host.one();
    assert_eq!(sent.connection(), ConnectionId(2));
    host.refused(&sent, "Connection ID missmatch.");
    assert_eq!(host.error(), Error::Refused { reason: "Connection ID missmatch.".into(), retry: None });
    host.assert_free();
}

#[test]
fn connection_ids_of_at_most_so_many_trackers_are_kept() {
    let mut host = Host::new(Config { max_connections: 3, ..Config::default() });
    let tracker = |n: u64| format!("udp://192.0.2.{n}:6969");
    for n in 1..=9 {
        host.ask(n, &tracker(n), announce());
        let connect = host.one();
        host.connected(&connect, n);
        let sent = host.one();
        host.announced(&sent, HEAD, &[]);
    }
    let known = (1..=9).filter(|n| {
        host.ask(100 + n, &tracker(*n), announce());
        !host.one().is_connect()
    });
    assert!(known.count() <= 3);
}

#[test]
fn the_words_of_a_tracker_are_nothing_that_a_terminal_obeys() {
    let mut host = Host::new(Config::default());
    host.ask(1, TRACKER, announce());
    let connect = host.one();
    host.refused(&connect, "\u{1b}[31mred\u{7}");
    assert_eq!(host.error().to_string(), "the tracker refuses: \\u{1b}[31mred\\u{7}");
}

#[test]
fn the_second_address_of_a_tracker_is_asked_when_the_first_was_silent() {
    let mut host = Host::new(Config::default());
    host.ask(1, "udp://two.example:6969", announce());
    host.resolved("two.example", &["192.0.2.1", "192.0.2.2"]);
    assert_eq!(host.taken()[0].to, at("192.0.2.1:6969"));
    host.wait(MINUTE);
    assert_eq!(host.error(), Error::TimedOut);
    host.taken();
    host.ask(2, "udp://two.example:6969", announce());
    assert_eq!(host.one().to, at("192.0.2.2:6969"));
}
