//! Trackers that answer over one family, and late or never over the other.

use super::*;
use bip::proto::announce::Event as Reason;

fn host() -> Host {
    Host::new(Config { name_life: 24 * HOUR, ..Config::default() })
}

/// Follows a torrent, and gives the announces of its first round: over IPv4 and over IPv6.
fn follow(host: &mut Host) -> (Sent, Sent) {
    let following = following(&[&["udp://both.example:1"]]);
    host.command(Command::Follow { torrent: TORRENT, following: Box::new(following) });
    host.wait(Duration::ZERO);
    host.resolved("both.example", &["192.0.2.1", "2001:db8::1"]);
    let mut sent = announces(host);
    assert_eq!((sent.len(), sent[0].socket, sent[1].socket), (2, V4, V6));
    host.told();
    let v6 = sent.remove(1);
    (sent.remove(0), v6)
}

/// Answers the connects that wait, of either family, and gives the announces that follow.
fn announces(host: &mut Host) -> Vec<Sent> {
    let (connects, mut announces): (Vec<_>, Vec<_>) = host.taken().into_iter().partition(Sent::is_connect);
    connects.iter().for_each(|connect| host.connected(connect, 1));
    announces.extend(host.taken());
    announces.sort_by_key(|sent| sent.socket);
    announces
}

fn is_working(event: &Event) -> bool {
    matches!(event, Event::Tracker { status, .. } if status.state == TrackerState::Working && status.error.is_none())
}

#[test]
fn a_silent_family_holds_up_no_round_and_is_asked_ever_more_seldom() {
    let mut host = host();
    let (v4, _) = follow(&mut host);
    host.announced(&v4, HEAD, &[]);
    host.wait(5 * SECOND);
    assert!(matches!(&host.told()[..], [event] if is_working(event)));
    // In each of forty rounds the one family answers; the other never does.
    let mut rounds = Vec::new();
    host.wait(2 * MINUTE);
    host.taken();
    while rounds.len() < 40 {
        host.wait(SECOND);
        let sent = host.taken();
        if sent.is_empty() {
            assert!(host.now < Instant::ZERO + 24 * HOUR, "{rounds:?}");
            continue;
        }
        assert!(sent[0].is_connect() && sent[0].socket == V4, "{sent:?}");
        rounds.push(sent.len() > 1);
        host.connected(&sent[0], 1);
        let sent = host.one();
        host.announced(&sent, HEAD, &[]);
        // The other is sent again meanwhile.
        host.wait(2 * MINUTE);
        host.taken();
        assert!(host.told().iter().all(is_working));
    }
    assert_eq!(
        rounds[..14],
        [false, true, false, false, false, true, false, false, false, false, false, false, false, true]
    );
    assert!(rounds.iter().filter(|asked| **asked).count() <= 6, "{rounds:?}");
}

#[test]
fn a_late_answer_comes_in_by_itself() {
    let mut host = host();
    let (v4, v6) = follow(&mut host);
    host.announced(&v4, HEAD, &["10.0.0.1:1"]);
    host.wait(10 * SECOND);
    host.told();
    host.announced(&v6, HEAD, &["[2001:db8::2]:1"]);
    let told = host.told();
    assert!(matches!(&told[0], Event::Peers { peers, .. } if *peers == [at("[2001:db8::2]:1")]), "{told:?}");
    assert!(matches!(&told[1], Event::Tracker { status, .. } if status.peers == 2), "{told:?}");
    assert_eq!((told.len(), host.client.usage().requests), (2, 0));
    // It is no silent one.
    host.wait(1795 * SECOND);
    let sent = announces(&mut host);
    assert_eq!(sent.len(), 2);
    sent.iter().for_each(|sent| host.announced(sent, HEAD, &[]));
    host.told();
    host.command(Command::Leave { torrent: TORRENT });
    let sent = announces(&mut host);
    assert!(sent.len() == 2 && sent.iter().all(|sent| sent.announce().event == Reason::Stopped), "{sent:?}");
}

#[test]
fn completed_is_not_told_again_and_again_because_one_family_is_silent() {
    let mut host = host();
    let (v4, v6) = follow(&mut host);
    host.announced(&v4, HEAD, &[]);
    host.announced(&v6, HEAD, &[]);
    host.command(Command::Completed { torrent: TORRENT });
    host.wait(Duration::ZERO);
    let mut told = Vec::new();
    for _ in 0..100 {
        let announces = announces(&mut host).into_iter().filter(|sent| sent.socket == V4).collect::<Vec<_>>();
        announces.iter().for_each(|sent| host.announced(sent, HEAD, &[]));
        told.extend(announces.iter().map(|sent| sent.announce().event));
        host.wait(SECOND);
    }
    assert_eq!(told, [Reason::Completed]);
}

#[test]
fn a_tracker_that_answered_over_one_family_and_does_not_any_more_is_asked_over_both() {
    let mut host = host();
    let (v4, _) = follow(&mut host);
    host.announced(&v4, HEAD, &[]);
    host.wait(2 * MINUTE);
    host.taken();
    host.wait(28 * MINUTE + 5 * SECOND);
    let sent = announces(&mut host);
    assert_eq!((sent.len(), sent[0].socket), (1, V4), "the other is left out of a round");
    host.refused(&sent[0], "down");
    let status = host.told();
    let Some(Event::Tracker { status, .. }) = status.last() else { panic!("{status:?}") };
    let next = status.next.expect("it is asked again");
    host.wait(next.since(host.now));
    assert_eq!(announces(&mut host).len(), 2);
}

#[test]
fn what_is_late_ends_with_its_torrent() {
    let mut host = host();
    let (v4, v6) = follow(&mut host);
    host.announced(&v4, HEAD, &[]);
    host.wait(10 * SECOND);
    host.told();
    host.command(Command::Leave { torrent: TORRENT });
    let sent = host.taken();
    let sent = sent.last().expect("the one that answered is told");
    assert_eq!((sent.socket, sent.announce().event), (V4, Reason::Stopped));
    host.announced(sent, HEAD, &[]);
    assert_eq!(host.told(), [Event::Left { torrent: TORRENT }]);
    host.assert_free();
    host.announced(&v6, HEAD, &["[2001:db8::2]:1"]);
    assert_eq!(host.told(), []);
}
