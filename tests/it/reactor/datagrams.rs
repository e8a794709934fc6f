//! Datagrams: bursts, order, what is shared, what is dropped. The same with and without the feature `batched-io`.

use super::probe::{Command, Drive, HANG, Habit, Handle, Seen, host, reactor};
use bip::machine::SocketId;
use bip::reactor::{BindOptions, Config, Reactor};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

const ZERO: Option<Duration> = Some(Duration::ZERO);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn client() -> UdpSocket {
    let client = UdpSocket::bind(loopback()).unwrap();
    client.set_read_timeout(Some(HANG)).unwrap();
    client
}

/// A probe with one socket.
fn bound(reactor: &mut Reactor, habit: Habit) -> (Handle, SocketAddr) {
    let probe = host(reactor, habit, &Arc::new(()), None);
    let (socket, address) = reactor.bind(probe.hosted, loopback()).unwrap();
    assert_eq!(socket, SocketId(0));
    (probe, address)
}

/// Gives what the probe has seen so far.
fn seen(probe: &Handle) -> Vec<Seen> {
    std::iter::from_fn(|| probe.seen.try_next().ok()).collect()
}

/// Takes a datagram in as the number that it holds.
fn number(client: &UdpSocket) -> u32 {
    let mut bytes = [0; 100];
    let (len, _) = client.recv_from(&mut bytes).unwrap();
    u32::from_be_bytes(bytes[..len].try_into().unwrap())
}

#[test]
fn a_flood_of_datagrams_is_read_in_parts() {
    let mut reactor = reactor();
    let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), None);
    let (socket, address) = reactor.bind(probe.hosted, "127.0.0.1:0".parse().unwrap()).unwrap();
    assert_eq!(socket, SocketId(0));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    (0..150u8).for_each(|n| assert_eq!(client.send_to(&[n; 20], address).unwrap(), 20));
    let from = client.local_addr().unwrap();
    let mut counts = Vec::new();
    let mut next = 0..150u8;
    for _ in 0..4 {
        reactor.turn(Some(Duration::ZERO)).unwrap();
        let mut count = 0;
        while let Ok(seen) = probe.seen.try_next() {
            assert_eq!(seen, Seen::Datagram(socket, from, vec![next.next().unwrap(); 20]));
            count += 1;
        }
        counts.push(count);
        assert_eq!(reactor.next_deadline(), (counts.len() < 3).then_some(Duration::ZERO));
    }
    assert_eq!(counts, [64, 64, 22, 0]);
    client.set_read_timeout(Some(HANG)).unwrap();
    probe.tell(Command::Send(socket, from, b"answer".to_vec()));
    reactor.turn(Some(Duration::ZERO)).unwrap();
    let mut bytes = [0; 100];
    assert_eq!(client.recv_from(&mut bytes).unwrap(), (6, address));
    assert_eq!(&bytes[..6], b"answer");
}

#[test]
fn a_burst_of_ten_thousand_keeps_its_order_and_lets_others_have_their_turn() {
    const ALL: u32 = 10_000;
    let mut reactor = reactor();
    let (busy, at_busy) = bound(&mut reactor, Habit::Echo);
    let (quiet, at_quiet) = bound(&mut reactor, Habit::Tell);
    let (flood, other) = (client(), client());
    let (mut sent, mut came, mut back, mut turns) = (0, 0, 0, 0u32);
    quiet.tell(Command::WakeIn(Duration::ZERO));
    while came < ALL {
        // There is always more than a turn's share, and never more than a system holds.
        while sent < ALL && sent - came < 150 {
            flood.send_to(&u32::to_be_bytes(sent), at_busy).unwrap();
            sent += 1;
        }
        other.send_to(b"me too", at_quiet).unwrap();
        reactor.turn(ZERO).unwrap();
        turns += 1;
        let numbers = seen(&busy);
        assert!(numbers.len() <= 64, "{} in one turn", numbers.len());
        for one in numbers {
            let expected = Seen::Datagram(SocketId(0), flood.local_addr().unwrap(), came.to_be_bytes().to_vec());
            assert_eq!(one, expected);
            came += 1;
        }
        // Every answer has left by the end of the turn, in order.
        while back < came {
            assert_eq!(number(&flood), back);
            back += 1;
        }
        let served = seen(&quiet);
        assert!(served.iter().any(|s| matches!(s, Seen::Datagram(..))), "the other socket had no turn");
        assert!(turns != 2 || served.contains(&Seen::Woken), "the timer had no turn");
        if sent > came {
            assert_eq!(reactor.next_deadline(), ZERO);
        }
    }
    assert!(turns >= ALL / 64);
    assert_eq!(reactor.dropped_datagrams(), 0);
}

#[test]
fn after_a_burst_of_any_length_what_comes_next_wakes_the_reactor() {
    let mut reactor = reactor();
    let (probe, address) = bound(&mut reactor, Habit::Tell);
    let client = client();
    for burst in (1..20).chain([63, 64, 65, 100, 128, 150]) {
        for _ in 0..burst {
            client.send_to(b"burst", address).unwrap();
        }
        let mut came = 0;
        while came < burst {
            reactor.turn(Some(HANG)).unwrap();
            came += seen(&probe).len();
        }
        // A turn that finds nothing more, and the end of its work.
        while reactor.next_deadline() == ZERO {
            reactor.turn(ZERO).unwrap();
        }
        // A loop of the caller's own waits for the reactor's descriptor, which is where the reactor itself waits.
        client.send_to(b"next", address).unwrap();
        reactor.turn(Some(HANG)).unwrap();
        assert_eq!(seen(&probe).len(), 1, "after {burst}");
    }
}

#[test]
fn a_share_of_one_datagram_a_turn_answers_one_a_turn() {
    let mut reactor = Reactor::new(Config { job_threads: 0, datagrams_per_turn: 1, ..Config::default() }).unwrap();
    let (probe, address) = bound(&mut reactor, Habit::Echo);
    let client = client();
    (0..3).for_each(|n| assert_eq!(client.send_to(&u32::to_be_bytes(n), address).unwrap(), 4));
    for n in 0..3 {
        reactor.turn(ZERO).unwrap();
        assert_eq!(seen(&probe).len(), 1);
        assert_eq!(number(&client), n);
    }
}

#[test]
fn more_than_one_batch_from_one_call_leaves_in_order() {
    for length in [4, 1200, 9000, 20_000] {
        let mut reactor = reactor();
        let (probe, _) = bound(&mut reactor, Habit::Tell);
        let client = client();
        let to = client.local_addr().unwrap();
        // 90 commands are one batch of mail, and so one gathering.
        for n in 0..90u32 {
            let mut bytes = vec![n as u8; length];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            probe.tell(Command::Send(SocketId(0), to, bytes));
        }
        // What this side has no room for is lost on the way, as anywhere: the order is of those that come.
        reactor.turn(ZERO).unwrap();
        client.set_nonblocking(true).unwrap();
        let (mut buffer, mut last) = (vec![0; 65_536], None);
        let mut count = 0;
        while let Ok((len, _)) = client.recv_from(&mut buffer) {
            let n = u32::from_be_bytes(buffer[..4].try_into().unwrap());
            assert!(Some(n) > last, "{n} after {last:?}");
            assert!(
                len == length && buffer[4..len].iter().all(|b| *b == n as u8),
                "number {n} of {length} is another's"
            );
            (last, count) = (Some(n), count + 1);
        }
        assert!(count == 90 || (count >= 5 && length > 1000), "{count} of {length} bytes");
    }
}

#[test]
fn datagrams_of_one_length_to_one_place_come_as_they_were_sent_whatever_is_between_them() {
    // Of each run: which of three clients it goes to, how many datagrams it has, and their length.
    let runs = [
        (0, 3, 100),
        (0, 1, 60),
        (0, 2, 60),
        (1, 1, 60),
        (0, 1, 60),
        (1, 70, 33),
        (1, 1, 34),
        (0, 2, 0),
        (0, 2, 1),
        (2, 9, 1472),
    ];
    let more = [(2, 1, 1473), (2, 2, 1473), (2, 3, 1472), (2, 1, 5), (1, 30, 5), (1, 1, 0), (1, 2, 5), (0, 1, 3)];
    let here = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"];
    for address in ["127.0.0.1:0", "[::]:0"] {
        let mut reactor = reactor();
        let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), None);
        let (socket, own) = reactor.bind(probe.hosted, address.parse().unwrap()).unwrap();
        let clients = here.map(|at| UdpSocket::bind(at).unwrap());
        let mut expected = [const { Vec::new() }; 3];
        let mut sent = 0u8;
        for (client, count, length) in runs.into_iter().chain(more) {
            // From an IPv4 socket nothing goes to the third.
            let client = if own.is_ipv4() { client % 2 } else { client };
            for _ in 0..count {
                sent = sent.wrapping_add(1);
                let bytes = vec![sent; length];
                probe.tell(Command::Send(socket, clients[client].local_addr().unwrap(), bytes.clone()));
                expected[client].push(bytes);
            }
        }
        while reactor.next_deadline() == ZERO {
            reactor.turn(ZERO).unwrap();
        }
        for (client, expected) in clients.iter().zip(expected) {
            client.set_read_timeout(Some(HANG)).unwrap();
            let mut buffer = vec![0; 65_536];
            for bytes in expected {
                let len = client.recv(&mut buffer).unwrap();
                assert!(buffer[..len] == bytes, "from {address}: {} bytes for {}", len, bytes.len());
            }
            client.set_nonblocking(true).unwrap();
            assert!(client.recv(&mut buffer).is_err(), "one too many");
        }
        assert_eq!(reactor.dropped_datagrams(), 0);
    }
}

#[test]
fn long_and_short_datagrams_on_one_socket_keep_their_order() {
    let mut reactor = reactor();
    let (probe, _) = bound(&mut reactor, Habit::Tell);
    let client = client();
    let lengths = [10, 20_000, 0, 60_000, 1, 2, 16_384, 16_385, 3];
    for length in lengths {
        probe.tell(Command::Send(SocketId(0), client.local_addr().unwrap(), vec![1; length]));
    }
    reactor.turn(ZERO).unwrap();
    let mut buffer = vec![0; 65_536];
    assert_eq!(lengths.map(|_| client.recv_from(&mut buffer).unwrap().0), lengths);
}

#[test]
fn the_longest_datagram_comes_whole_into_the_smallest_buffer() {
    let mut reactor = Reactor::new(Config { job_threads: 0, receive_buffer: 0, ..Config::default() }).unwrap();
    let (probe, address) = bound(&mut reactor, Habit::Tell);
    let client = client();
    for length in [65_507, 0, 1] {
        client.send_to(&vec![7; length], address).unwrap();
        reactor.turn(ZERO).unwrap();
        assert_eq!(seen(&probe), [Seen::Datagram(SocketId(0), client.local_addr().unwrap(), vec![7; length])]);
    }
}

#[test]
fn one_machine_sends_from_all_its_sockets_and_from_none_of_anothers() {
    let mut reactor = reactor();
    let (probe, first) = bound(&mut reactor, Habit::Tell);
    let (neighbour, _) = bound(&mut reactor, Habit::Tell);
    let (second_id, second) = reactor.bind(probe.hosted, loopback()).unwrap();
    assert_eq!(second_id, SocketId(1));
    let client = client();
    let to = client.local_addr().unwrap();
    neighbour.tell(Command::Send(SocketId(1), to, vec![9]));
    for n in 0..10 {
        probe.tell(Command::Send(SocketId(n % 3), to, vec![n as u8]));
    }
    reactor.turn(ZERO).unwrap();
    client.set_nonblocking(true).unwrap();
    let (mut bytes, mut came) = ([0; 9], Vec::new());
    while let Ok((_, from)) = client.recv_from(&mut bytes) {
        came.push((from, bytes[0]));
    }
    let of = |socket| came.iter().filter(|c| c.0 == socket).map(|c| c.1).collect::<Vec<_>>();
    assert_eq!((of(first), of(second), came.len()), (vec![0, 3, 6, 9], vec![1, 4, 7], 7));
}

#[test]
fn a_destination_that_cannot_be_reached_costs_its_own_datagram_alone() {
    for hosting in Drive::both() {
        let mut reactor = reactor();
        let (probe, address) = bound(&mut reactor, Habit::Echo);
        let client = client();
        let to = client.local_addr().unwrap();
        let nobody = {
            let gone = UdpSocket::bind(loopback()).unwrap();
            gone.local_addr().unwrap()
        };
        // Nobody is there; no route, or no permission, whatever this system says; too long for a datagram; no such family.
        let bad: [(SocketAddr, usize); 5] = [
            (nobody, 1),
            ("255.255.255.255:9".parse().unwrap(), 1),
            (to, 65_530),
            ("[2001:db8::1]:9".parse().unwrap(), 1),
            ("127.0.0.1:0".parse().unwrap(), 1),
        ];
        let mut drive = hosting(reactor);
        let mut expected = 0;
        for round in 0..3 {
            for (place, (destination, length)) in bad.into_iter().enumerate() {
                for _ in 0..=(place + round) % 3 {
                    probe.tell(Command::Send(SocketId(0), to, u32::to_be_bytes(expected).to_vec()));
                    expected += 1;
                }
                probe.tell(Command::Send(SocketId(0), destination, vec![0; length]));
                if place % 2 == 0 {
                    probe.tell(Command::Send(SocketId(0), destination, vec![0; length]));
                }
            }
            drive.settle(&probe);
        }
        for n in 0..expected {
            assert_eq!(number(&client), n);
        }
        // And it still hears and answers.
        client.send_to(&u32::to_be_bytes(77), address).unwrap();
        drive.settle(&probe);
        assert_eq!(number(&client), 77);
        if let Drive::Turned(reactor) = drive {
            // What the system refuses is counted, three times: one or two of each but the first, which it takes. It may send broadcasts.
            let dropped = reactor.dropped_datagrams();
            assert!((15..=18).contains(&dropped), "{dropped}");
        }
    }
}

#[test]
fn two_sockets_of_both_families_share_one_port() {
    let mut reactor = reactor();
    let probe = host(&mut reactor, Habit::Echo, &Arc::new(()), None);
    let only_v6 = BindOptions { only_v6: true, ..BindOptions::default() };
    let (four, address) = reactor.bind(probe.hosted, "0.0.0.0:0".parse().unwrap()).unwrap();
    let beside = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
    assert!(reactor.bind(probe.hosted, beside).is_err(), "one for both families took a port that is in use");
    let (six, address) = reactor.bind_with(probe.hosted, beside, only_v6).unwrap();
    assert_eq!((four, six, address), (SocketId(0), SocketId(1), beside));
    // On an IPv4 address the option means nothing.
    reactor.bind_with(probe.hosted, loopback(), only_v6).unwrap();
    let mut drive = Drive::Turned(Box::new(reactor));
    for (host, socket) in [("127.0.0.1", four), ("::1", six)] {
        let ip: IpAddr = host.parse().unwrap();
        let client = UdpSocket::bind((ip, 0)).unwrap();
        client.set_read_timeout(Some(HANG)).unwrap();
        client.send_to(b"ping", (ip, address.port())).unwrap();
        let came = drive.see(&probe, |s| match s {
            Seen::Datagram(socket, from, _) => Some((*socket, *from)),
            _ => None,
        });
        assert_eq!(came, (socket, client.local_addr().unwrap()));
        drive.settle(&probe);
        assert_eq!(client.recv_from(&mut [0; 9]).unwrap(), (4, SocketAddr::new(ip, address.port())));
    }
    // The socket of IPv6 alone sends nothing to IPv4, and lives on.
    let client = client();
    probe.tell(Command::Send(six, client.local_addr().unwrap(), vec![6]));
    probe.tell(Command::Send(four, client.local_addr().unwrap(), vec![4]));
    drive.settle(&probe);
    let mut bytes = [0];
    assert_eq!(client.recv_from(&mut bytes).unwrap().1.port(), address.port());
    assert_eq!(bytes, [4]);
}

#[cfg(target_os = "linux")]
#[test]
fn workers_share_a_port_if_all_of_them_ask_for_it() {
    let shared = BindOptions { reuse_port: true, ..BindOptions::default() };
    let mut reactors = [reactor(), reactor()];
    let mut address = loopback();
    let workers: Vec<_> = reactors
        .iter_mut()
        .map(|reactor| {
            let probe = host(reactor, Habit::Echo, &Arc::new(()), None);
            address = reactor.bind_with(probe.hosted, address, shared).unwrap().1;
            assert!(reactor.bind(probe.hosted, address).is_err(), "who did not ask for it shares the port");
            probe
        })
        .collect();
    // The system chooses by the sender's address: 64 of them leave one worker without any once in 2^63 runs.
    let clients: Vec<_> = (0..64).map(|_| client()).collect();
    for (client, n) in clients.iter().zip(0u32..) {
        client.send_to(&n.to_be_bytes(), address).unwrap();
    }
    for reactor in &mut reactors {
        reactor.turn(ZERO).unwrap();
    }
    let counts: Vec<_> = workers.iter().map(|w| seen(w).len()).collect();
    assert!(counts.iter().sum::<usize>() == 64 && !counts.contains(&0), "{counts:?}");
    for (client, n) in clients.iter().zip(0u32..) {
        assert_eq!(number(client), n);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_receive_buffer_is_as_large_as_it_was_asked_for() {
    // How many small datagrams wait for a reactor that does not turn.
    let held = |datagram_receive_buffer| {
        let config = Config { job_threads: 0, datagram_receive_buffer, ..Config::default() };
        let mut reactor = Reactor::new(config).unwrap();
        let (probe, address) = bound(&mut reactor, Habit::Tell);
        let client = client();
        (0..2000u32).for_each(|n| assert_eq!(client.send_to(&n.to_be_bytes(), address).unwrap(), 4));
        (0..=2000 / 64).for_each(|_| reactor.turn(ZERO).unwrap());
        seen(&probe).len()
    };
    let (small, usual) = (held(8 << 10), held(0));
    assert!(small * 4 < usual, "{small} and {usual}");
}
