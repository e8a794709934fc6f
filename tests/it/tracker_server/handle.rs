//! The handle, on real sockets.

use super::*;
use bip::session::tracker_server::{Error, TrackerServer};
use bip::tracker::server::{Access, Announcement, HashList, Verdict};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::{Mutex, mpsc};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn socket(tracker: SocketAddr) -> UdpSocket {
    let own = if tracker.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(own).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(SocketAddr::new(at(own).ip(), tracker.port())).unwrap();
    socket
}

fn exchange(socket: &UdpSocket, request: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 2_000];
    socket.send(request).unwrap();
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// Gives what fails a test that waits for something that does not come.
fn patience() -> impl Fn() {
    let begin = std::time::Instant::now();
    move || assert!(begin.elapsed() < PATIENCE, "it does not come")
}

/// Announces over UDP from a socket of its own.
fn announce_at(tracker: SocketAddr, asked: udp_tracker::Announce<'_>) -> Vec<u8> {
    let socket = socket(tracker);
    let answer = exchange(&socket, &connect());
    let Ok(Response::Connect { connection, .. }) = Response::decode(&answer, Family::V4) else { panic!("no id") };
    exchange(&socket, &encode_announce(connection, asked))
}

fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn two_workers_share_a_swarm_over_both_families() {
    let builder = TrackerServer::builder().udp(at("127.0.0.1:0")).udp(at("[::1]:0")).http(at("127.0.0.1:0"));
    let tracker = builder.metrics(at("127.0.0.1:0")).workers(2).spawn().unwrap();
    assert_eq!((tracker.udp().len(), tracker.http().len(), tracker.metrics().len()), (2, 1, 1));
    // From many ports, so that both workers have some of them.
    for n in 0..40 {
        let asked = udp_tracker::Announce { port: 1_000 + n, num_want: Some(100), ..announce(hash(1)) };
        let answer = announce_at(tracker.udp()[usize::from(n % 2)], asked);
        let family = if n % 2 == 0 { Family::V4 } else { Family::V6 };
        let Ok(Response::Announce { head, peers, .. }) = Response::decode(&answer, family) else { panic!("refused") };
        assert_eq!((head.leechers, peers.len()), (u32::from(n) + 1, usize::from(n / 2)));
    }
    let answer = http(tracker.http()[0], &get(&target(hash(1), "&numwant=200")));
    assert!(answer.contains("5:peers120:") && answer.contains("6:peers6360:"), "{answer}");
    let figures = http(tracker.metrics()[0], &get("/metrics"));
    assert!(figures.contains("\nbip_tracker_peers{family=\"6\",kind=\"leech\"} 20\n"), "{figures}");
    let figures = tracker.figures();
    assert_eq!((figures.connects, figures.announces(), figures.swarms.peers()), (40, 41, 41));
    assert!(tracker.is_alive());
    tracker.shut_down(PATIENCE).unwrap();
}

#[test]
fn one_socket_takes_both_families() {
    let tracker = TrackerServer::builder().udp(at("[::]:0")).http(at("[::]:0")).spawn().unwrap();
    let (udp, port) = (tracker.udp()[0], tracker.http()[0].port());
    let v4 = SocketAddr::new(at("127.0.0.1:0").ip(), udp.port());
    announce_at(udp, announce(hash(1)));
    let answer = announce_at(v4, announce(hash(1)));
    let Ok(Response::Announce { head, ignored: 0, .. }) = Response::decode(&answer, Family::V4) else {
        panic!("refused");
    };
    assert_eq!(head.leechers, 2);
    for ip in ["127.0.0.1:0", "[::1]:0"] {
        let answer = http(SocketAddr::new(at(ip).ip(), port), &get(&target(hash(1), "&port2=1")));
        assert!(answer.contains("10:incompletei2e"), "{answer}");
    }
}

#[test]
fn families_are_side_by_side_on_one_port() {
    // Ports that are free for both: the next server has them.
    let any = || TrackerServer::builder().udp(at("[::]:0")).http(at("[::]:0")).metrics(at("[::]:0"));
    let first = any().spawn().unwrap();
    let ports = [first.udp()[0], first.http()[0], first.metrics()[0]].map(|address| address.port());
    first.shut_down(PATIENCE).unwrap();
    let mut builder = TrackerServer::builder();
    for ip in ["0.0.0.0:0", "[::]:0"].map(|any| at(any).ip()) {
        let [udp, http, metrics] = ports.map(|port| SocketAddr::new(ip, port));
        builder = builder.udp(udp).http(http).metrics(metrics);
    }
    let _tracker = builder.spawn().unwrap();
    for ip in ["127.0.0.1:0", "[::1]:0"].map(|loopback| at(loopback).ip()) {
        let [udp, at_http, metrics] = ports.map(|port| SocketAddr::new(ip, port));
        announce_at(udp, announce(hash(1)));
        assert!(http(at_http, &get(&target(hash(2), ""))).contains("8:interval"));
        assert!(http(metrics, &get("/metrics")).contains("bip_tracker_torrents 2"));
    }
}

#[test]
fn who_sends_64_kib_of_requests_at_once_and_reads_is_given_all_answers() {
    let tracker = TrackerServer::builder().http(at("127.0.0.1:0")).spawn().unwrap();
    for n in 0..100 {
        http(tracker.http()[0], &get(&target(hash(1), "").replace("6881", &format!("{}", 1_000 + n))));
    }
    let request = get(&target(hash(1), "&numwant=100"));
    let count = (64 << 10) / request.len();
    let mut stream = TcpStream::connect(tracker.http()[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut reader, mut answers) = (stream.try_clone().unwrap(), Vec::new());
    let reading = std::thread::spawn(move || reader.read_to_end(&mut answers).map(|_| answers));
    stream.write_all(request.repeat(count).as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answers = reading.join().unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&answers).matches("200 OK").count(), count);
}

#[test]
fn figures_are_read_also_when_there_are_as_many_connections_as_may_be() {
    let config = Config { max_connections: 2, ..Config::default() };
    let builder = TrackerServer::builder().config(config).http(at("127.0.0.1:0")).metrics(at("127.0.0.1:0"));
    let tracker = builder.spawn().unwrap();
    let mut taken: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(tracker.http()[0]).unwrap()).collect();
    // Both are there once they are answered.
    for stream in &mut taken {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(get("/").as_bytes()).unwrap();
        assert_eq!(stream.read(&mut [0; 9]).unwrap(), 9);
    }
    let figures: Vec<String> = (0..3).map(|_| http(tracker.metrics()[0], &get("/metrics"))).collect();
    for figures in figures {
        assert!(figures.contains("\nbip_tracker_connections 2\n"), "{figures}");
        assert!(figures.contains("\nbip_tracker_http_errors_total 2\n"), "{figures}");
    }
}

#[test]
fn lists_and_rules_go_to_every_worker() {
    struct Rule(usize);
    impl Policy for Rule {
        fn announce(&mut self, _: Instant, request: &bip::tracker::server::AnnounceRequest<'_>) -> Verdict {
            assert!(self.0 < 3);
            if request.info_hash == hash(2) { Verdict::refuse("not two") } else { Verdict::Answer }
        }
    }
    let list: HashList = [hash(1), hash(2)].into_iter().collect();
    let builder = TrackerServer::builder().udp(at("127.0.0.1:0")).access(Access::Allow(list));
    let tracker = builder.workers(3).policy(|n| Box::new(Rule(n))).spawn().unwrap();
    let refusal = |n| {
        let answer = announce_at(tracker.udp()[0], announce(hash(n)));
        matches!(Response::decode(&answer, Family::V4), Ok(Response::Error { .. })).then(|| reason(&answer))
    };
    for _ in 0..10 {
        assert_eq!(refusal(1), None);
        assert_eq!(refusal(2).as_deref(), Some("not two"));
        assert!(refusal(3).unwrap().contains("does not serve"));
    }
    // Once all have it, which is soon.
    assert_eq!(tracker.set_access(Access::All).unwrap(), 0);
    let (mut served, patience) = (0, patience());
    while served < 20 {
        patience();
        served = if refusal(3).is_none() { served + 1 } else { 0 };
    }
}

#[test]
fn a_list_goes_to_all_workers_or_to_none() {
    // A worker that is not done with the announce of a torrent until it is told so.
    struct Held(mpsc::Sender<usize>, Arc<Mutex<mpsc::Receiver<()>>>, usize);
    impl Policy for Held {
        fn announce(&mut self, _: Instant, request: &bip::tracker::server::AnnounceRequest<'_>) -> Verdict {
            if request.info_hash == hash(9) {
                self.0.send(self.2).unwrap();
                let _ = self.1.lock().unwrap().recv_timeout(PATIENCE);
            }
            Verdict::refuse(format!("by {}", self.2))
        }
    }
    let (held, holding) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Arc::new(Mutex::new(released));
    let make = move |n| -> Box<dyn Policy> { Box::new(Held(held.clone(), Arc::clone(&released), n)) };
    let tracker = TrackerServer::builder().udp(at("127.0.0.1:0")).workers(2).policy(make).spawn().unwrap();
    let refusal = |n| reason(&announce_at(tracker.udp()[0], announce(hash(n))));
    // It is the second of them, for the first to be told before it.
    let patience = patience();
    let socket = loop {
        patience();
        let socket = socket(tracker.udp()[0]);
        let answer = exchange(&socket, &connect());
        let Ok(Response::Connect { connection, .. }) = Response::decode(&answer, Family::V4) else { panic!("no id") };
        socket.send(&encode_announce(connection, announce(hash(9)))).unwrap();
        if holding.recv_timeout(PATIENCE).unwrap() == 1 {
            break socket;
        }
        release.send(()).unwrap();
        socket.recv(&mut [0; 200]).unwrap();
    };
    // The last that is taken serves hash 1, and the one that is not would.
    for _ in 0..15 {
        tracker.set_access(Access::All).unwrap();
    }
    tracker.set_access(Access::Deny([hash(1)].into_iter().collect())).unwrap();
    for _ in 0..3 {
        assert!(matches!(tracker.set_access(Access::Deny([hash(2)].into_iter().collect())), Err(Error::Busy)));
    }
    // The other has the list that this one will have.
    let served = |n| {
        let socket = self::socket(tracker.udp()[0]);
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        socket.send(&connect()).unwrap();
        let mut buffer = [0; 2_000];
        // From a port that is the held worker's there is no answer.
        socket.recv(&mut buffer).is_ok().then(|| {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let Ok(Response::Connect { connection, .. }) = Response::decode(&buffer[..16], Family::V4) else {
                panic!("no id");
            };
            reason(&exchange(&socket, &encode_announce(connection, announce(hash(n)))))
        })
    };
    let of_other = |n| loop {
        patience();
        if let Some(answer) = served(n) {
            break answer;
        }
    };
    assert_eq!(of_other(2), "by 0");
    assert!(of_other(1).contains("does not serve"));
    release.send(()).unwrap();
    socket.recv(&mut [0; 200]).unwrap();
    // It takes its mail after what it has read already.
    while (0..20).any(|_| !refusal(1).contains("does not serve")) {
        patience();
    }
    assert!((0..20).all(|_| refusal(2).starts_with("by ")));
    tracker.set_access(Access::All).unwrap();
}

#[test]
fn a_program_announces_a_peer_of_its_own_which_is_forgotten_in_its_time() {
    let limits = SwarmLimits { torrents: 1, ..SwarmLimits::default() };
    let (tracker, mut reactor) = TrackerServer::builder().udp(at("127.0.0.1:0")).swarms(limits).in_caller().unwrap();
    assert_eq!(reactor.next_deadline(), None);
    let peer =
        |n: u16| Announcement { seed: true, ..Announcement::new(hash(1), at(&format!("[::ffff:192.0.2.1]:{n}"))) };
    for n in 1..=30 {
        let (counts, _) = tracker.announce(&peer(n)).unwrap();
        assert_eq!(counts.seeders, u32::from(n));
    }
    let (counts, drawn) = tracker.announce(&Announcement::new(hash(1), at("192.0.2.2:1"))).unwrap();
    assert_eq!((counts.seeders, counts.leechers, drawn.v4.len()), (30, 1, 30 * 6));
    // The tracker wakes to look for those who are over, though nobody has sent it anything.
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert!(reactor.next_deadline().is_some_and(|left| left <= SECOND), "{:?}", reactor.next_deadline());
    tracker.announce(&peer(1)).unwrap();
    // Its lists are taken as before.
    for _ in 0..16 {
        tracker.set_access(Access::All).unwrap();
    }
    assert!(matches!(tracker.set_access(Access::All), Err(Error::Busy)));
    tracker.announce(&peer(2)).unwrap();
    drop(reactor);
    assert!(matches!(tracker.announce(&peer(3)), Err(Error::Closed)));
}

#[test]
fn peers_are_known_for_longer_than_they_are_asked_to_wait() {
    let config = Config { interval: 2 * DAY, ..Config::default() };
    let (tracker, mut reactor) = TrackerServer::builder().http(at("127.0.0.1:0")).config(config).in_caller().unwrap();
    let later = Instant::from_micros(1 << 41);
    let (mut rng, mut drawn) = (Rng::new(1), Default::default());
    let swarms = Arc::clone(tracker.swarms());
    swarms.announce(later, &Announcement::new(hash(1), at("192.0.2.1:1")), &mut rng, &mut drawn).unwrap();
    let sweep = |hours: u32| {
        for _ in 0..200 {
            swarms.sweep(later + 60 * MINUTE * hours, 1_000);
        }
        swarms.tally().peers()
    };
    assert_eq!((sweep(16), sweep(23), sweep(25)), (1, 1, 0));
    // What clients are told is no more than 16 hours.
    let mut stream = TcpStream::connect(tracker.http()[0]).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    stream.write_all(get(&target(hash(1), "")).as_bytes()).unwrap();
    let (mut answer, mut buffer, patience) = (Vec::new(), [0; 1_000], patience());
    while !answer.windows(16).any(|window| window == b"8:intervali57600") {
        patience();
        reactor.turn(Some(Duration::from_millis(1))).unwrap();
        let length = stream.read(&mut buffer).unwrap_or_default();
        answer.extend_from_slice(&buffer[..length]);
    }
}

#[test]
fn a_tracker_lives_in_the_callers_loop() {
    let (tracker, mut reactor) = TrackerServer::builder().udp(at("127.0.0.1:0")).in_caller().unwrap();
    let socket = socket(tracker.udp()[0]);
    socket.send(&connect()).unwrap();
    let patience = patience();
    while tracker.figures().connects == 0 {
        patience();
        reactor.turn(Some(Duration::from_millis(100))).unwrap();
    }
    let mut buffer = [0; 100];
    assert_eq!(socket.recv(&mut buffer).unwrap(), 16);
    assert_eq!(tracker.set_access(Access::Deny([hash(1)].into_iter().collect())).unwrap(), 1);
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert!(tracker.is_alive());
    drop(reactor);
    assert!(!tracker.is_alive());
    assert!(matches!(tracker.set_access(Access::All), Err(Error::Closed)));
    assert!(matches!(tracker.shut_down(PATIENCE), Err(Error::WouldDeadlock)));
}

#[test]
fn a_port_that_workers_share_is_not_shared_with_another_server() {
    let builder = || TrackerServer::builder().workers(2);
    let tracker = builder().udp(at("127.0.0.1:0")).spawn().unwrap();
    let taken = tracker.udp()[0];
    let error = builder().udp(at("127.0.0.1:0")).udp(taken).spawn().unwrap_err();
    assert!(matches!(error, Error::Bind { address, .. } if address == taken), "{error}");
    assert!(builder().udp(taken).udp(taken).spawn().is_err());
    tracker.shut_down(PATIENCE).unwrap();
    let tracker = builder().udp(taken).spawn().unwrap();
    assert_eq!(tracker.udp(), [taken]);
}

#[test]
fn what_cannot_be_is_told_clearly() {
    assert!(matches!(TrackerServer::builder().spawn(), Err(Error::NoAddress)));
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = UdpSocket::bind(taken).unwrap();
    let error = TrackerServer::builder().udp(holder.local_addr().unwrap()).spawn().unwrap_err();
    assert!(matches!(error, Error::Bind { address, .. } if address == taken), "{error}");
    assert!(error.to_string().starts_with(&format!("binding to {taken}: ")));
    let config = Config { max_listed: 1, ..Config::default() };
    let list: HashList = [hash(1), hash(2)].into_iter().collect();
    let builder = || TrackerServer::builder().udp(at("127.0.0.1:0")).config(config.clone());
    let error = builder().access(Access::Allow(list.clone())).spawn().unwrap_err();
    assert_eq!(error.to_string(), "the list has more than 1 info hashes");
    let tracker = builder().spawn().unwrap();
    assert!(matches!(tracker.set_access(Access::Deny(list)), Err(Error::Refused(_))));
}
