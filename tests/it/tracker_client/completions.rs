//! What trackers are told of a completion, and times of any length.

use super::*;
use bip::proto::announce::Event as Reason;

fn follow(host: &mut Host, tracker: &str) {
    host.command(Command::Follow { torrent: TORRENT, following: Box::new(following(&[&[tracker]])) });
    host.wait(Duration::ZERO);
    host.told();
}

/// Waits for the next announce, answers it, and gives what it tells.
fn next(host: &mut Host) -> (Reason, u64) {
    for _ in 0..4000 {
        for sent in host.taken() {
            if sent.is_connect() {
                host.connected(&sent, 1);
            } else {
                let announce = sent.announce();
                host.announced(&sent, HEAD, &[]);
                return (announce.event, announce.progress.left);
            }
        }
        if host.sent.is_empty() {
            host.wait(SECOND);
        }
    }
    panic!("nothing is announced");
}

#[test]
fn who_refused_the_start_is_told_of_another_one_and_of_no_completion() {
    let mut host = Host::with_sockets(Config::default(), &["0.0.0.0:1"]);
    follow(&mut host, "udp://192.0.2.1:1");
    let connect = host.one();
    host.connected(&connect, 1);
    let sent = host.one();
    host.command(Command::Completed { torrent: TORRENT });
    host.refused(&sent, "down");
    assert_eq!(next(&mut host), (Reason::Started, 0));
    assert_eq!(next(&mut host), (Reason::None, 0));
}

#[test]
fn who_may_have_taken_the_start_is_told_of_the_completion_after_the_next_one() {
    let mut host = Host::with_sockets(Config::default(), &["0.0.0.0:1"]);
    follow(&mut host, "udp://192.0.2.1:1");
    host.one();
    host.command(Command::Completed { torrent: TORRENT });
    host.wait(MINUTE);
    host.taken();
    assert_eq!(next(&mut host), (Reason::Started, 0));
    assert_eq!(next(&mut host), (Reason::Completed, 0));
    assert_eq!(next(&mut host), (Reason::None, 0));
}

#[test]
fn the_longest_of_times_are_times_of_a_day() {
    let longest = Duration::MAX;
    let config = Config {
        timeout: longest,
        retransmit: longest,
        connection_life: longest,
        name_life: longest,
        name_failure_life: longest,
        fetch_timeout: longest,
        connect_timeout: longest,
        least_interval: longest,
        most_interval: longest,
        min_interval: longest,
        retry_after: longest,
        retry_most: longest,
        stop_timeout: longest,
        ..Config::default()
    };
    let mut host = Host::with_sockets(config, &["0.0.0.0:1"]);
    follow(&mut host, "udp://192.0.2.1:1");
    host.ask(1, "http://192.0.2.1/announce", announce());
    let connect = host.one();
    host.connected(&connect, 1);
    let sent = host.one();
    host.told();
    host.refused(&sent, "down");
    let Event::Tracker { status, .. } = host.answer() else { panic!("no status") };
    let wait = status.next.expect("it is asked again").since(host.now);
    assert!((18 * HOUR..=30 * HOUR).contains(&wait), "{wait:?}");
    host.wait(31 * HOUR);
    host.command(Command::ShutDown);
}
