//! The places of HTTP requests: dead servers hold up neither the others nor a farewell.

use super::*;
use bip::proto::announce::Event as Reason;

const LIVE: &str = "http://192.0.2.99/announce";
const ANSWER: &[u8] = b"d8:intervali1800e5:peers0:e";

fn dead(n: u64) -> String {
    format!("http://192.0.2.{}/announce", 1 + n)
}

fn follow(host: &mut Host, torrent: u32, tracker: &str) {
    let following = Following { info_hash: hash(torrent as u8), ..following(&[&[tracker]]) };
    host.command(Command::Follow { torrent: TorrentId(torrent), following: Box::new(following) });
    host.wait(Duration::ZERO);
}

fn is_to(job: &Job, server: &str) -> bool {
    matches!(job, Job::Fetch(fetch) if fetch.url.starts_with(server))
}

/// Has the live tracker answer what it is asked, and takes the requests to the dead ones, which end when their time is over.
fn serve(host: &mut Host, held: &mut Vec<(JobId, Instant)>) -> usize {
    let mut answered = 0;
    loop {
        let over: Vec<_> = held.iter().filter(|(_, until)| *until <= host.now).map(|(job, _)| *job).collect();
        held.retain(|(_, until)| *until > host.now);
        let jobs = std::mem::take(&mut host.jobs);
        if over.is_empty() && jobs.is_empty() {
            return answered;
        }
        over.into_iter().for_each(|job| host.done(job, Done::Fetched(Err(Error::TimedOut))));
        for (id, job) in jobs {
            match job {
                job if is_to(&job, LIVE) => {
                    answered += 1;
                    host.fetched(id, ANSWER);
                }
                Job::Fetch(fetch) => held.push((id, host.now + fetch.timeout)),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn dead_servers_do_not_keep_a_live_one_from_being_asked() {
    let mut host = Host::with_sockets(Config { max_fetches: 4, ..Config::default() }, &["0.0.0.0:1"]);
    let mut held = Vec::new();
    // As many dead ones as there are places, each asked as often, and the live one last.
    (0..16).for_each(|n| host.ask(n, &dead(n % 4), announce()));
    host.ask(100, LIVE, announce());
    for _ in 0..240 {
        serve(&mut host, &mut held);
        host.wait(SECOND / 2);
    }
    let told = host.told();
    let announced = |event: &Event| matches!(event, Event::Announced { request: RequestId(100), .. });
    let dead_ones = |event: &&Event| matches!(event, Event::Failed { error: Error::TimedOut | Error::Busy, .. });
    assert!(told.iter().any(announced), "{told:?}");
    assert_eq!(told.iter().filter(dead_ones).count(), 16, "{told:?}");
    host.assert_free();
    // By now they are known.
    (0..16).for_each(|n| host.ask(n, &dead(n % 4), announce()));
    host.ask(100, LIVE, announce());
    serve(&mut host, &mut held);
    assert!(host.told().iter().any(announced));
}

#[test]
fn a_torrent_at_a_live_tracker_is_announced_in_time_among_many_at_dead_ones() {
    let mut host = Host::with_sockets(Config { max_fetches: 4, ..Config::default() }, &["0.0.0.0:1"]);
    let mut held = Vec::new();
    (0..40).for_each(|n| follow(&mut host, n, &dead(n.into())));
    follow(&mut host, 99, LIVE);
    let mut answered = 0;
    for _ in 0..4 * 3600 {
        answered += serve(&mut host, &mut held);
        host.wait(SECOND);
    }
    assert!((7..=9).contains(&answered), "{answered} times in four hours, of 30 minutes");
    for event in host.told() {
        let Event::Tracker { torrent, status } = event else { continue };
        assert!(torrent != TorrentId(99) || status.state != TrackerState::Failing, "{status:?}");
    }
}

#[test]
fn one_server_has_two_places_of_eight() {
    let mut host = Host::new(Config::default());
    (0..10).for_each(|n| host.ask(n, LIVE, announce()));
    assert_eq!(host.jobs.len(), 2);
    host.ask(10, &dead(1), announce());
    assert_eq!(host.jobs.len(), 3);
    let mut answered = 0;
    while let Some(at) = host.jobs.iter().position(|(_, job)| is_to(job, LIVE)) {
        let (job, _) = host.jobs.remove(at);
        host.fetched(job, ANSWER);
        answered += 1;
    }
    assert_eq!((answered, host.told().len()), (10, 10));
}

#[test]
fn who_was_not_even_asked_has_not_failed() {
    let mut host = Host::with_sockets(Config { max_fetches: 1, ..Config::default() }, &["0.0.0.0:1"]);
    host.ask(1, &dead(1), announce());
    host.ask(2, &dead(2), announce());
    follow(&mut host, 3, LIVE);
    host.told();
    let (hangs, _) = host.fetch();
    host.wait(MINUTE);
    let told = host.told();
    let failed = |request, error| Event::Failed { request: RequestId(request), error };
    assert!(told.contains(&failed(1, Error::TimedOut)) && told.contains(&failed(2, Error::Busy)), "{told:?}");
    let Some(Event::Tracker { status, .. }) = told.last() else { panic!("{told:?}") };
    assert_eq!((status.state, &status.error), (TrackerState::Idle, &None));
    // The thread comes back.
    host.done(hangs, Done::Fetched(Err(Error::TimedOut)));
    host.wait(MINUTE);
    let (job, fetch) = host.fetch();
    assert!(fetch.url.starts_with(LIVE) && fetch.url.contains("event=started"));
    host.fetched(job, ANSWER);
    assert!(matches!(&host.told()[..], [Event::Tracker { status, .. }] if status.state == TrackerState::Working));
}

#[test]
fn the_time_of_a_request_begins_when_it_is_fetched() {
    let mut host = Host::new(Config { max_fetches: 1, ..Config::default() });
    host.ask(1, &dead(1), announce());
    host.ask(2, LIVE, announce());
    let (hangs, _) = host.fetch();
    host.wait(59 * SECOND);
    host.told();
    host.done(hangs, Done::Fetched(Err(Error::TimedOut)));
    let (job, fetch) = host.fetch();
    assert!(fetch.timeout >= 30 * SECOND && fetch.connect_timeout < fetch.timeout, "{fetch:?}");
    host.wait(29 * SECOND);
    host.fetched(job, ANSWER);
    host.reply();
}

#[test]
fn what_is_given_up_waits_for_no_place() {
    let mut host = Host::new(Config { max_fetches: 1, ..Config::default() });
    host.ask(0, &dead(1), announce());
    for n in 1..1000 {
        host.ask(n, &dead(n % 7), announce());
        host.command(Command::Cancel { request: RequestId(n) });
    }
    host.ask(1000, LIVE, announce());
    let (hangs, _) = host.fetch();
    host.fetched(hangs, ANSWER);
    let (job, fetch) = host.fetch();
    assert!(fetch.url.starts_with(LIVE));
    host.fetched(job, ANSWER);
    host.assert_free();
}

/// A torrent at the live tracker, while dead ones hold all places that there are.
fn among_the_dead() -> Host {
    let mut host = Host::with_sockets(Config { max_fetches: 2, ..Config::default() }, &["0.0.0.0:1"]);
    follow(&mut host, 3, LIVE);
    let (job, _) = host.fetch();
    host.fetched(job, ANSWER);
    (0..10).for_each(|n| host.ask(n, &dead(n), announce()));
    assert_eq!(std::mem::take(&mut host.jobs).len(), 2);
    host.told();
    host
}

#[test]
fn stopped_waits_neither_for_what_is_fetched_nor_for_what_nobody_waits_for_any_more() {
    for given_up in [false, true] {
        let mut host = among_the_dead();
        if given_up {
            (0..10).for_each(|n| host.command(Command::Cancel { request: RequestId(n) }));
            assert_eq!((host.client.usage().fetches, host.told().len()), (2, 10));
        }
        host.command(Command::Leave { torrent: TorrentId(3) });
        let (job, fetch) = host.fetch();
        assert!(fetch.url.starts_with(LIVE) && fetch.url.contains("event=stopped"));
        host.fetched(job, ANSWER);
        assert_eq!(host.told(), [Event::Left { torrent: TorrentId(3) }]);
    }
}

#[test]
fn completed_that_waits_for_a_place_is_told_before_the_end() {
    let mut host = among_the_dead();
    host.command(Command::Completed { torrent: TorrentId(3) });
    host.wait(Duration::ZERO);
    assert!(host.jobs.is_empty());
    host.command(Command::Leave { torrent: TorrentId(3) });
    for event in ["event=completed", "event=stopped"] {
        let (job, fetch) = host.fetch();
        assert!(fetch.url.contains(event), "{event}");
        host.fetched(job, ANSWER);
    }
    assert_eq!(host.told(), [Event::Left { torrent: TorrentId(3) }]);
}

#[test]
fn farewells_to_a_dead_tracker_leave_places_to_those_to_a_live_one() {
    let mut host = Host::with_sockets(Config::default(), &["0.0.0.0:1"]);
    for torrent in 0..50 {
        follow(&mut host, torrent, if torrent == 49 { LIVE } else { "http://192.0.2.1/announce" });
        let (job, _) = host.fetch();
        host.fetched(job, ANSWER);
    }
    host.told();
    host.command(Command::ShutDown);
    assert!(host.jobs.iter().any(|(_, job)| is_to(job, LIVE)), "{:?}", host.jobs);
    assert!(host.client.usage().fetches <= 12);
    host.wait(SECOND);
    assert_eq!(host.told().last(), Some(&Event::ShutDown));
}

#[test]
fn stopped_needs_no_look_up_of_a_name_that_was_known() {
    let mut host = Host::with_sockets(Config { max_lookups: 1, ..Config::default() }, &["0.0.0.0:1"]);
    follow(&mut host, 3, "http://a.example/announce");
    host.resolved("a.example", &["192.0.2.99"]);
    let (job, _) = host.fetch();
    host.fetched(job, b"d8:intervali9000e5:peers0:e");
    host.wait(2 * HOUR);
    host.ask(1, "udp://dead.example:1", announce());
    host.told();
    host.command(Command::Leave { torrent: TorrentId(3) });
    let (_, fetch) = host.fetch();
    assert_eq!(fetch.addresses, [at("192.0.2.99:80")]);
    assert!(fetch.url.contains("event=stopped"));
}

#[test]
fn a_program_may_say_stopped_itself_without_waiting() {
    let mut host = among_the_dead();
    host.ask(50, LIVE, Announce { event: Reason::Stopped, ..announce() });
    let (job, _) = host.fetch();
    host.fetched(job, ANSWER);
    host.reply();
}
