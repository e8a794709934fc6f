//! Names of trackers.

use super::*;

#[test]
fn a_name_is_looked_up_once_for_all_and_remembered_for_a_time() {
    let mut host = Host::new(Config::default());
    (0..10).for_each(|n| host.ask(n, &format!("udp://a.example:{}", 1 + n % 2), announce()));
    assert_eq!(host.jobs.len(), 1);
    host.resolved("a.example", &["192.0.2.1", "2001:db8::1"]);
    let sent = host.taken();
    assert_eq!(sent.len(), 2, "a connect for each port");
    assert_eq!((sent[0].to, sent[1].to), (at("192.0.2.1:1"), at("192.0.2.1:2")));
    host.wait(29 * MINUTE);
    host.taken();
    host.told();
    host.ask(20, "udp://a.example:3", announce());
    assert_eq!((host.jobs.len(), host.one().to.port()), (0, 3));
    host.wait(2 * MINUTE);
    host.ask(21, "udp://a.example:3", announce());
    assert_eq!(host.jobs.len(), 1);
}

#[test]
fn a_name_that_nobody_knows_fails_at_once_for_a_minute() {
    let mut host = Host::new(Config::default());
    host.ask(1, "udp://dead.example:1", announce());
    host.ask(
        2,
        if cfg!(feature = "http") { "http://dead.example/announce" } else { "udp://dead.example:2" },
        announce(),
    );
    host.resolved("dead.example", &[]);
    let failed = |request| Event::Failed { request, error: Error::Name { reason: "no dead.example".into() } };
    assert_eq!(host.told(), [failed(RequestId(1)), failed(RequestId(2))]);
    host.ask(3, "udp://dead.example:1", announce());
    assert_eq!(host.told(), [failed(RequestId(3))]);
    host.wait(61 * SECOND);
    host.ask(4, "udp://dead.example:1", announce());
    assert_eq!(host.jobs.len(), 1);
}

#[test]
fn a_dead_name_does_not_delay_others_and_its_request_ends_in_time() {
    let mut host = Host::new(Config::default());
    host.ask(1, "udp://dead.example:1", announce());
    host.ask(2, "udp://alive.example:1", announce());
    host.ask(3, "udp://192.0.2.3:1", announce());
    assert_eq!(host.jobs.len(), 2, "both are looked up at once");
    host.resolved("alive.example", &["192.0.2.2"]);
    let sent = host.taken();
    assert_eq!(sent.len(), 2);
    for connect in &sent {
        host.connected(connect, 1);
        let sent = host.one();
        host.announced(&sent, HEAD, &[]);
        host.reply();
    }
    host.wait(MINUTE);
    assert_eq!(host.error(), Error::TimedOut);
    assert_eq!(host.client.usage().requests, 0);
    assert_eq!(host.client.usage().lookups, 1, "the system has not given up yet");
    host.resolved("dead.example", &["192.0.2.1"]);
    host.assert_free();
}

#[test]
fn names_beyond_what_is_looked_up_at_a_time_wait_and_those_nobody_wants_any_more_are_not_looked_up() {
    let mut host = Host::new(Config { max_lookups: 2, ..Config::default() });
    (0..5).for_each(|n| host.ask(n, &format!("udp://n{n}.example:1"), announce()));
    assert_eq!(host.jobs.len(), 2);
    host.command(Command::Cancel { request: RequestId(2) });
    host.resolved("n0.example", &["192.0.2.1"]);
    assert!(matches!(&host.jobs[1].1, Job::Resolve { name } if name == "n3.example"), "{:?}", host.jobs);
    host.resolved("n1.example", &[]);
    host.resolved("n3.example", &[]);
    host.resolved("n4.example", &[]);
    assert_eq!(host.client.usage().named, 0);
}

#[test]
fn so_many_names_are_remembered_and_no_more() {
    let mut host = Host::new(Config { max_names: 3, ..Config::default() });
    for n in 0..10 {
        host.ask(n, &format!("udp://n{n}.example:1"), announce());
        host.resolved(&format!("n{n}.example"), &["192.0.2.1"]);
        host.wait(SECOND);
    }
    host.jobs.clear();
    (0..10).for_each(|n| host.ask(20 + n, &format!("udp://n{n}.example:1"), announce()));
    assert_eq!(host.client.usage().named, 7);
}

#[test]
fn a_tracker_without_an_address_of_the_family_says_so() {
    let mut host = Host::with_sockets(Config::default(), &["0.0.0.0:1"]);
    host.ask(1, "udp://[2001:db8::1]:1", announce());
    assert_eq!(host.error(), Error::NoAddress { family: None });
    host.ask(2, "udp://six.example:1", announce());
    host.resolved("six.example", &["2001:db8::1"]);
    assert_eq!(host.error(), Error::NoAddress { family: None });
    let mut host = Host::new(Config::default());
    host.command(Command::Announce {
        request: RequestId(1),
        url: url("udp://both.example:1"),
        trust: Trust::Local,
        family: Some(Family::V6),
        announce: announce(),
    });
    host.resolved("both.example", &["192.0.2.1", "2001:db8::1"]);
    assert_eq!(host.one().to, at("[2001:db8::1]:1"));
}

#[test]
fn a_strangers_tracker_is_not_asked_in_private_networks() {
    let mut host = Host::new(Config::default());
    // Without the feature, HTTP is not asked anywhere.
    let http: &[&str] = if cfg!(feature = "http") { &["http://192.168.0.1/announce"] } else { &[] };
    for (n, to) in ["udp://127.0.0.1:53", "udp://10.0.0.1:1/announce"].iter().chain(http).enumerate() {
        let request = RequestId(n as u64);
        let (url, announce) = (url(to), announce());
        host.command(Command::Announce { request, url, trust: Trust::Stranger, family: None, announce });
        assert_eq!(host.error(), Error::Forbidden, "{to}");
    }
    if cfg!(feature = "http") {
        host.ask(9, "http://10.0.0.1/cgi-bin/reboot", announce());
        assert_eq!(host.error(), Error::Forbidden);
    }
    assert!(host.jobs.is_empty() && host.sent.is_empty());
}

#[test]
fn a_host_without_jobs_is_an_error_that_says_so() {
    let mut host = Host::new(Config::default());
    host.ask(1, "udp://a.example:1", announce());
    let (job, _) = host.jobs.remove(0);
    let refused = Input::Done { job, done: Err(bip::machine::JobError::Refused) };
    host.client.handle_input(host.now, refused);
    host.drain();
    assert!(host.error().to_string().contains("job threads"));
    host.assert_free();
}

#[test]
fn names_that_were_not_found_last_leave_places_to_others_and_are_asked_for_less_and_less_often() {
    let mut host = Host::new(Config { max_lookups: 4, ..Config::default() });
    let ask_all = |host: &mut Host, from: u64| {
        (0..8).for_each(|n| host.ask(from + n, &format!("udp://dead{n}.example:1"), announce()));
    };
    host.ask(0, "udp://found.example:1", announce());
    host.resolved("found.example", &["192.0.2.1"]);
    ask_all(&mut host, 100);
    assert_eq!(host.jobs.len(), 3, "one place is for those that were found");
    (0..8).for_each(|n| host.resolved(&format!("dead{n}.example"), &[]));
    host.wait(31 * MINUTE);
    ask_all(&mut host, 200);
    assert_eq!(host.jobs.len(), 2);
    host.ask(1, "udp://new.example:1", announce());
    host.ask(2, "udp://found.example:1", announce());
    let names: Vec<String> = host.jobs.iter().map(|(_, job)| format!("{job:?}")).collect();
    assert!(names[2].contains("new.example") && names[3].contains("found.example"), "{names:?}");
    (0..8).for_each(|n| host.resolved(&format!("dead{n}.example"), &[]));
    host.jobs.clear();
    host.wait(119 * SECOND);
    ask_all(&mut host, 300);
    assert!(host.jobs.is_empty(), "{:?}", host.jobs);
    host.wait(SECOND);
    ask_all(&mut host, 400);
    // The two from before are still being looked up.
    assert_eq!(host.jobs.len(), 2, "{:?}", host.jobs);
}
