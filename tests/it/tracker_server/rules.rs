//! Lists and rules of one's own.

use super::*;
use bip::proto::http_tracker::Retry;
use bip::proto::udp_tracker::Options;
use bip::tracker::server::{self, Access, AnnounceRequest, Command, HashList, Refusal, RequestId, Verdict};

fn list(hashes: &[InfoHash]) -> HashList {
    hashes.iter().copied().collect()
}

fn listed(access: Access) -> Host {
    let start = Start { access, ..Start::default() };
    Host::with(Config { max_listed: 3, ..Config::default() }, SwarmLimits::default(), start, Box::new(Everybody))
}

fn is_served(host: &mut Host, info_hash: InfoHash) -> bool {
    let id = host.connect(v4(1));
    let answer = host.ask(v4(1), &encode_announce(id, announce(info_hash))).expect("answered or refused");
    let served = matches!(Response::decode(&answer, Family::V4), Ok(Response::Announce { .. }));
    assert!(served || reason(&answer) == "this tracker does not serve this torrent");
    let http = host.get(v4(1), &get(&target(info_hash, "")));
    assert_eq!(served, !http.contains("14:failure reason40:this tracker does not serve this torrent"), "{http}");
    assert_eq!(host.scrape(v4(1), &[info_hash])[0].leechers, u32::from(served), "its figures are not told either");
    served
}

#[test]
fn a_list_says_which_torrents_are_served() {
    let mut host = listed(Access::Allow(list(&[hash(1), hash(2)])));
    assert!(is_served(&mut host, hash(1)) && is_served(&mut host, hash(2)) && !is_served(&mut host, hash(3)));
    let mut host = listed(Access::Deny(list(&[hash(1), hash(2)])));
    assert!(!is_served(&mut host, hash(1)) && is_served(&mut host, hash(3)));
    let mut host = listed(Access::Allow(list(&[])));
    assert!(!is_served(&mut host, hash(1)));
}

#[test]
fn a_list_is_replaced_while_the_server_runs() {
    let mut host = listed(Access::All);
    assert!(is_served(&mut host, hash(1)));
    let set = |host: &mut Host, request, access| {
        host.server.handle_command(host.now, Command::SetAccess { request: RequestId(request), access });
        let event = host.server.poll_event().expect("every command is answered");
        assert_eq!(host.server.poll_event(), None);
        event
    };
    let event = set(&mut host, 1, Access::Deny(list(&[hash(1), hash(1)])));
    assert_eq!(event, server::Event::AccessSet { request: RequestId(1), listed: 1 });
    assert!(!is_served(&mut host, hash(1)) && is_served(&mut host, hash(2)));
    // One that is too long changes nothing.
    let event = set(&mut host, 2, Access::Allow((0..4).map(hash).collect()));
    let refusal = Refusal::TooMany { limit: 3 };
    assert_eq!(event, server::Event::Refused { request: RequestId(2), refusal });
    assert_eq!(refusal.to_string(), "the list has more than 3 info hashes");
    assert!(!is_served(&mut host, hash(1)));
    set(&mut host, 3, Access::All);
    assert!(is_served(&mut host, hash(1)));
}

/// Refuses, ignores, and looks at what it is shown.
struct Rules;

impl Policy for Rules {
    fn connect(&mut self, _: Instant, from: SocketAddr) -> bool {
        from.ip() != v4(66).ip()
    }

    fn announce(&mut self, now: Instant, request: &AnnounceRequest<'_>) -> Verdict {
        assert!(now > Instant::ZERO && request.peer.ip() == request.from.ip());
        assert_eq!((request.peer.port(), request.progress.left), (6_881, 1));
        match request.info_hash.0[0] {
            1 if request.url().as_deref().is_some_and(|url| url.ends_with(b"key")) => Verdict::Answer,
            1 => Verdict::refuse("which key?"),
            2 => Verdict::Refuse { reason: "é".repeat(150).into(), retry: Some(Retry::Minutes(7)) },
            3 => Verdict::Ignore,
            4 => Verdict::Refuse { reason: "gone".into(), retry: Some(Retry::Never) },
            _ => Verdict::Answer,
        }
    }

    fn scrape(&mut self, _: Instant, _: SocketAddr, info_hash: &InfoHash) -> bool {
        info_hash.0[0] != 5
    }
}

fn ruled() -> Host {
    Host::with(Config::default(), SwarmLimits::default(), Start::default(), Box::new(Rules))
}

#[test]
fn a_policy_answers_refuses_and_ignores_over_udp() {
    let mut host = ruled();
    assert_eq!(host.ask(v4(66), &connect()), None);
    let id = host.connect(v4(1));
    let mut ask = |n, options| {
        let asked = udp_tracker::Announce { options: Options::new(options), ..announce(hash(n)) };
        host.ask(v4(1), &encode_announce(id, asked))
    };
    assert_eq!(ask(1, b"").map(|answer| reason(&answer)).as_deref(), Some("which key?"));
    assert_eq!(ask(1, b"\x02\x04/key").map(|answer| answer.len()), Some(20));
    assert_eq!(ask(2, b"").map(|answer| answer.len()), Some(8 + 200));
    assert_eq!(ask(3, b""), None);
    assert_eq!(host.swarms.figures().ignored, 2);
    assert_eq!(host.swarms.tally().peers(), 1, "who is refused is not taken down");
    host.announce(v4(1), announce(hash(5)));
    host.announce(v4(1), announce(hash(6)));
    let leechers: Vec<u32> = host.scrape(v4(2), &[hash(5), hash(6)]).iter().map(|stats| stats.leechers).collect();
    assert_eq!(leechers, [0, 1]);
}

#[test]
fn a_policy_answers_refuses_and_ignores_over_http() {
    let mut host = ruled();
    let mut ask = |n, more| host.get(v4(1), &get(&target(hash(n), more)));
    assert!(ask(1, "").ends_with("d14:failure reason10:which key?e"));
    assert!(ask(1, "&pass=key").contains("8:intervali1800e"));
    assert!(ask(2, "").ends_with("8:retry ini7ee"));
    assert!(ask(4, "").ends_with("d14:failure reason4:gone8:retry in5:nevere"));
    assert_eq!(ask(3, ""), "");
    let figures = host.swarms.figures();
    assert_eq!((figures.http_announces, figures.http_refusals, figures.ignored), (1, 3, 1));
}

#[test]
fn no_answer_is_longer_than_a_datagram_may_be() {
    for (max_reply, scraped, words) in [(0, 9, 112), (120, 9, 112), (150, 11, 142), (900, 74, 200), (1_400, 74, 200)] {
        let config = Config { max_reply, ..Config::default() };
        let mut host = Host::with(config, SwarmLimits::default(), Start::default(), Box::new(Rules));
        let id = host.connect(v4(1));
        let answer = host.ask(v4(1), &encode_scrape(id, &[hash(9); 74])).unwrap();
        assert_eq!(answer.len(), 8 + 12 * scraped, "{max_reply}");
        let refused = host.ask(v4(1), &encode_announce(id, announce(hash(2)))).unwrap();
        assert_eq!(refused.len(), 8 + words, "{max_reply}");
        assert!(answer.len().max(refused.len()) <= max_reply.max(120));
    }
}

/// Whom it was asked about.
#[derive(Default)]
struct Witness(Arc<std::sync::Mutex<Vec<SocketAddr>>>);

impl Policy for Witness {
    fn connect(&mut self, _: Instant, from: SocketAddr) -> bool {
        self.0.lock().unwrap().push(from);
        true
    }

    fn announce(&mut self, _: Instant, request: &AnnounceRequest<'_>) -> Verdict {
        self.0.lock().unwrap().push(request.from);
        Verdict::Answer
    }

    fn scrape(&mut self, _: Instant, from: SocketAddr, _: &InfoHash) -> bool {
        self.0.lock().unwrap().push(from);
        true
    }
}

#[test]
fn a_policy_sees_an_ipv4_address_as_such_whatever_its_dress() {
    let seen = Arc::default();
    let policy = Box::new(Witness(Arc::clone(&seen)));
    let mut host = Host::with(Config::default(), SwarmLimits::default(), Start::default(), policy);
    let dressed = at("[::ffff:192.0.2.7]:40000");
    let id = host.connect(dressed);
    host.ask(dressed, &encode_announce(id, announce(hash(1)))).unwrap();
    host.ask(dressed, &encode_scrape(id, &[hash(1)])).unwrap();
    assert_eq!(*seen.lock().unwrap(), [at("192.0.2.7:40000"); 3]);
}
