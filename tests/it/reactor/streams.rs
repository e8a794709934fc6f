//! Connections, and what they share with datagrams.

use super::probe::{Command, Drive, HANG, Habit, Handle, Probe, Seen, host, listening, reactor};
use bip::machine::{Block, CloseReason, ConnId, DialId, Events, Host, events, mailbox};
use bip::reactor::{Config, Reactor};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.set_write_timeout(Some(HANG)).unwrap();
    stream
}

/// Ends a connection by a reset.
fn reset(stream: TcpStream) {
    socket2::Socket::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn an_echo_comes_back_whole_in_both_hostings() {
    for hosting in Drive::both() {
        let mut reactor = reactor();
        let (echo, address) = listening(&mut reactor, Habit::Echo);
        let mut drive = hosting(reactor);
        let client = thread::spawn(move || {
            let mut stream = dial(address);
            let sent: Vec<u8> = (0..300_000u32).map(|i| (i * 7) as u8).collect();
            let mut write = stream.try_clone().unwrap();
            let copy = sent.clone();
            let writer = thread::spawn(move || {
                write.write_all(&copy).unwrap();
                write.shutdown(Shutdown::Write).unwrap();
            });
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            writer.join().unwrap();
            assert_eq!(back, sent);
        });
        drive.until(|| client.is_finished().then_some(()));
        client.join().unwrap();
        assert_eq!(drive.closed(&echo).1, CloseReason::Theirs);
    }
}

#[test]
fn sixty_four_mib_each_way_arrive_whole_and_in_order_in_both_hostings() {
    const SIZE: u64 = 64 << 20;
    for hosting in Drive::both() {
        let mut reactor = reactor();
        let (here, address) = listening(&mut reactor, Habit::Pump(SIZE));
        let there = host(&mut reactor, Habit::Pump(SIZE), &Arc::new(()), None);
        there.tell(Command::Connect(DialId(1), address));
        let mut drive = hosting(reactor);
        for handle in [&here, &there] {
            let pumped = drive.see(handle, |s| match s {
                Seen::Pumped { bytes, good, .. } => Some((*bytes, *good)),
                _ => None,
            });
            assert_eq!(pumped, (SIZE, true));
        }
    }
}

#[test]
fn a_connection_that_is_not_read_stops_its_sender_and_goes_on_when_told() {
    const SIZE: usize = 64 << 20;
    let mut reactor = reactor();
    let (waiter, address) = listening(&mut reactor, Habit::Wait);
    let mut drive = Drive::Turned(Box::new(reactor));
    let mut client = dial(address);
    client.set_nonblocking(true).unwrap();
    let conn = drive.accepted(&waiter);
    let chunk = vec![9u8; 1 << 20];
    let mut sent = 0;
    let mut blocked = 0;
    while blocked < 2000 {
        drive.step();
        match client.write(&chunk[..chunk.len().min(SIZE - sent)]) {
            Ok(n) => {
                blocked = 0;
                sent += n;
            }
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::WouldBlock);
                blocked += 1;
            }
        }
        assert!(sent < SIZE, "nothing stopped the sender");
    }
    assert_eq!(drive.settle(&waiter), []);
    waiter.tell(Command::ResumeReading(conn));
    let mut received = 0;
    while received < SIZE {
        if sent < SIZE {
            match client.write(&chunk[..chunk.len().min(SIZE - sent)]) {
                Ok(n) => sent += n,
                Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
            }
        }
        drive.step();
        while let Ok(seen) = waiter.seen.try_next() {
            match seen {
                Seen::Stream(c, bytes) if c == conn => received += bytes.len(),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(received, SIZE);
}

/// Counts how often each connection was closed among all that a probe sees until things settle.
fn closes(drive: &mut Drive, handle: &Handle) -> BTreeMap<ConnId, Vec<CloseReason>> {
    let mut closes: BTreeMap<ConnId, Vec<CloseReason>> = BTreeMap::new();
    for seen in drive.settle(handle) {
        match seen {
            Seen::Closed(conn, reason) => closes.entry(conn).or_default().push(reason),
            Seen::Stream(conn, _) | Seen::End(conn) | Seen::Writable(conn, _) => {
                assert!(!closes.contains_key(&conn), "something follows a close: {seen:?}");
            }
            _ => {}
        }
    }
    closes
}

#[test]
fn a_connection_is_closed_exactly_once_however_it_ends() {
    type Ending = fn(&Handle, ConnId, TcpStream) -> Option<TcpStream>;
    let endings: [(&str, Ending, CloseReason); 8] = [
        (
            "ours, in order",
            |h, c, mut s| {
                h.tell(Command::Close(c, true));
                // Ends when it sees our end.
                thread::spawn(move || s.read_to_end(&mut Vec::new()));
                None
            },
            CloseReason::Ours,
        ),
        (
            "ours, at once",
            |h, c, s| {
                h.tell(Command::Close(c, false));
                Some(s)
            },
            CloseReason::Ours,
        ),
        (
            "ours, twice",
            |h, c, s| {
                h.tell(Command::Close(c, true));
                h.tell(Command::Close(c, false));
                h.tell(Command::Close(c, true));
                Some(s)
            },
            CloseReason::Ours,
        ),
        (
            "ours, and they never end",
            |h, c, s| {
                h.tell(Command::Close(c, true));
                Some(s)
            },
            CloseReason::Ours,
        ),
        (
            "ours, with words that nobody reads",
            |h, c, s| {
                h.tell(Command::Write(c, vec![0; 32 << 20]));
                h.tell(Command::Close(c, true));
                Some(s)
            },
            CloseReason::Failed(ErrorKind::TimedOut),
        ),
        (
            "theirs by a reset",
            |_, _, s| {
                reset(s);
                None
            },
            CloseReason::Failed(ErrorKind::ConnectionReset),
        ),
        (
            "theirs by a reset while not read",
            |h, c, s| {
                h.tell(Command::StopReading(c));
                reset(s);
                None
            },
            CloseReason::Failed(ErrorKind::ConnectionReset),
        ),
        (
            "both at once",
            |h, c, s| {
                s.shutdown(Shutdown::Write).unwrap();
                h.tell(Command::Close(c, true));
                Some(s)
            },
            CloseReason::Ours,
        ),
    ];
    for (what, ending, expected) in endings {
        let mut reactor =
            Reactor::new(Config { job_threads: 0, flush_timeout: Duration::from_millis(20), ..Config::default() })
                .unwrap();
        let (probe, address) = listening(&mut reactor, Habit::Tell);
        let mut drive = Drive::Turned(Box::new(reactor));
        let client = dial(address);
        let conn = drive.accepted(&probe);
        let kept = ending(&probe, conn, client);
        let closes = closes(&mut drive, &probe);
        let reasons = closes.get(&conn).unwrap_or_else(|| panic!("{what}: not closed"));
        // Where both end at once, either may be seen first.
        let either = what == "both at once" && reasons == &[CloseReason::Theirs];
        assert!(either || reasons == &[expected], "{what}: {reasons:?}");
        // Outputs for what is gone are ignored.
        for command in [Command::Write(conn, vec![1]), Command::Close(conn, true), Command::ResumeReading(conn)] {
            probe.tell(command);
        }
        assert_eq!(drive.settle(&probe), [], "{what}");
        drop(kept);
    }
}

#[test]
fn after_their_end_a_connection_can_still_be_written_and_their_reset_is_still_noticed() {
    let mut reactor = reactor();
    let (probe, address) = listening(&mut reactor, Habit::Tell);
    let mut drive = Drive::Turned(Box::new(reactor));
    let mut client = dial(address);
    let conn = drive.accepted(&probe);
    client.shutdown(Shutdown::Write).unwrap();
    drive.see(&probe, |s| (*s == Seen::End(conn)).then_some(()));
    probe.tell(Command::Write(conn, b"still here".to_vec()));
    drive.see(&probe, |s| (*s == Seen::Writable(conn, 0)).then_some(()));
    let mut words = [0; 10];
    client.read_exact(&mut words).unwrap();
    assert_eq!(&words, b"still here");
    reset(client);
    let (closed, reason) = drive.closed(&probe);
    assert!(closed == conn && matches!(reason, CloseReason::Failed(_)), "{reason:?}");
    assert_eq!(drive.settle(&probe), []);
}

#[test]
fn what_was_written_before_a_flushing_close_arrives_even_if_the_other_side_is_still_sending() {
    // Whoever relies on the time-out hangs.
    let mut reactor = Reactor::new(Config { job_threads: 0, flush_timeout: 10 * HANG, ..Config::default() }).unwrap();
    let (probe, address) = listening(&mut reactor, Habit::Wait);
    let mut drive = Drive::spawned(reactor);
    let mut client = dial(address);
    // Bytes that the probe never reads: closing over them would reset the connection.
    client.write_all(&[1; 100_000]).unwrap();
    let conn = drive.accepted(&probe);
    probe.tell(Command::Write(conn, vec![2; 150_000]));
    probe.tell(Command::WriteBlock(conn, Block::from(vec![3; 150_000])));
    probe.tell(Command::Close(conn, true));
    let seen = drive.settle(&probe);
    assert!(seen.iter().all(|s| matches!(s, Seen::Writable(..))), "{seen:?}");
    client.write_all(&[1; 100_000]).unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert!(all.len() == 300_000 && all[149_999..150_001] == [2, 3]);
    drop(client);
    assert_eq!(drive.closed(&probe), (conn, CloseReason::Ours));
    // Dropping the reactor stops it with nothing to wait for.
}

#[test]
fn a_dial_ends_exactly_once_refused_abandoned_or_one_too_many() {
    let mut reactor = Reactor::new(Config { max_connections: 1, job_threads: 0, ..Config::default() }).unwrap();
    let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), None);
    let mut drive = Drive::Turned(Box::new(reactor));
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let failed = |dial, error| Seen::ConnectFailed { dial: DialId(dial), error };
    probe.tell(Command::Connect(DialId(1), nobody));
    assert_eq!(drive.settle(&probe), [failed(1, ErrorKind::ConnectionRefused)]);

    probe.tell(Command::Connect(DialId(2), nobody));
    probe.tell(Command::Abandon(DialId(2)));
    probe.tell(Command::Abandon(DialId(2)));
    let seen = drive.settle(&probe);
    assert!(matches!(seen[..], [Seen::ConnectFailed { dial: DialId(2), .. }]), "{seen:?}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.tell(Command::Connect(DialId(3), listener.local_addr().unwrap()));
    probe.tell(Command::Connect(DialId(4), listener.local_addr().unwrap()));
    let seen = drive.settle(&probe);
    assert!(seen.contains(&failed(4, ErrorKind::ResourceBusy)), "{seen:?}");
    let connected = seen.iter().find_map(|s| match s {
        Seen::Connected { dial: DialId(3), local, .. } => Some(*local),
        _ => None,
    });
    let (_kept, from) = listener.accept().unwrap();
    assert_eq!(connected, Some(from));
    assert_eq!(seen.len(), 2, "{seen:?}");
    // A dial that has succeeded cannot be abandoned.
    probe.tell(Command::Abandon(DialId(3)));
    assert_eq!(drive.settle(&probe), []);
}

#[test]
fn an_old_name_does_nothing_to_the_next_tenant_of_its_place() {
    let mut reactor = reactor();
    let (probe, address) = listening(&mut reactor, Habit::Tell);
    let other = host(&mut reactor, Habit::Tell, &Arc::new(()), None);
    let mut drive = Drive::Turned(Box::new(reactor));
    let first = dial(address);
    let old = drive.accepted(&probe);
    drop(first);
    probe.tell(Command::Close(old, true));
    drive.closed(&probe);
    let mut second = dial(address);
    let new = drive.accepted(&probe);
    assert!(new.slot == old.slot && new.generation != old.generation);
    for command in [Command::Write(old, b"lost".to_vec()), Command::StopReading(old), Command::Close(old, false)] {
        probe.tell(command);
    }
    // Nor can a machine touch what belongs to another.
    for command in [Command::Write(new, b"alien".to_vec()), Command::StopReading(new), Command::Close(new, false)] {
        other.tell(command);
    }
    drive.settle(&other);
    probe.tell(Command::Write(new, b"right".to_vec()));
    second.write_all(b"hello").unwrap();
    drive.see(&probe, |s| (*s == Seen::Stream(new, b"hello".to_vec())).then_some(()));
    let mut words = [0; 5];
    second.read_exact(&mut words).unwrap();
    assert_eq!(&words, b"right");
}

#[test]
fn connections_over_the_limit_are_dropped_and_the_rest_go_on() {
    let mut reactor = Reactor::new(Config { max_connections: 2, job_threads: 0, ..Config::default() }).unwrap();
    let (probe, address) = listening(&mut reactor, Habit::Tell);
    let mut drive = Drive::Turned(Box::new(reactor));
    let (first, second) = (dial(address), dial(address));
    let conn = drive.accepted(&probe);
    drive.accepted(&probe);
    let mut third = dial(address);
    assert_eq!(drive.settle(&probe), []);
    assert!(matches!(third.read(&mut [0]), Ok(0) | Err(_)));
    if let Drive::Turned(reactor) = &drive {
        assert_ne!(reactor.next_deadline(), Some(Duration::ZERO), "it spins");
    }
    drop(first);
    probe.tell(Command::Close(conn, false));
    drive.closed(&probe);
    let fourth = dial(address);
    drive.accepted(&probe);
    drop((second, fourth));
}

#[test]
fn a_budget_leaves_work_that_the_deadline_speaks_of() {
    let mut reactor = Reactor::new(Config {
        bytes_per_connection_per_turn: 4096,
        bytes_per_turn: 4096,
        job_threads: 0,
        ..Config::default()
    })
    .unwrap();
    let (probe, address) = listening(&mut reactor, Habit::Tell);
    assert_eq!(reactor.next_deadline(), None);
    let mut client = dial(address);
    client.write_all(&[5; 20_000]).unwrap();
    let (mut received, mut turns) = (0, 0);
    while received < 20_000 {
        reactor.turn(Some(HANG)).unwrap();
        let mut now = 0;
        while let Ok(seen) = probe.seen.try_next() {
            if let Seen::Stream(_, bytes) = seen {
                now += bytes.len();
            }
        }
        assert!(now <= 4096);
        received += now;
        turns += 1;
        if now > 0 && received < 20_000 {
            assert_eq!(reactor.next_deadline(), Some(Duration::ZERO));
        }
    }
    assert!(turns >= 5);
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(reactor.next_deadline(), None);
}

/// A probe whose events go to `outlet` with its own mailbox.
fn answering(
    reactor: &mut Reactor,
    answer: impl Fn(&Seen) -> Option<Command> + Send + 'static,
) -> (Events<Seen>, SocketAddr) {
    let (commands, inbox) = mailbox(100, reactor.doorbell());
    let (sink, seen) = events(&commands, usize::MAX);
    let outlet = move |event| {
        if let Some(command) = answer(&event) {
            commands.post(command).unwrap();
        }
        sink.notice(event);
    };
    let hosted = reactor.host(Probe::new(Habit::Tell, Arc::new(())), inbox, Box::new(outlet), None);
    (seen, reactor.listen(hosted, "127.0.0.1:0".parse().unwrap()).unwrap())
}

#[test]
fn what_one_connection_asked_for_is_written_before_the_next_is_read() {
    let block = Block::from(vec![7; 128 << 10]);
    let mut reactor = reactor();
    let (seen, address) = answering(&mut reactor, move |seen| match seen {
        Seen::Stream(conn, _) => Some(Command::WriteBlock(*conn, block.clone())),
        _ => None,
    });
    let mut clients: Vec<TcpStream> = (0..3).map(|_| dial(address)).collect();
    let mut accepted = 0;
    while accepted < clients.len() {
        reactor.turn(Some(HANG)).unwrap();
        while seen.try_next().is_ok() {
            accepted += 1;
        }
    }
    clients.iter_mut().for_each(|client| client.write_all(b"a block, please").unwrap());
    let mut order = Vec::new();
    while order.len() < 2 * clients.len() {
        reactor.turn(Some(HANG)).unwrap();
        while let Ok(event) = seen.try_next() {
            match event {
                Seen::Stream(conn, _) => order.push(("asks", conn)),
                Seen::Writable(conn, _) => order.push(("is served", conn)),
                other => panic!("{other:?}"),
            }
        }
    }
    for pair in order.chunks(2) {
        assert_eq!((pair[0].0, pair[1].0, pair[0].1), ("asks", "is served", pair[1].1), "{order:?}");
    }
}

#[test]
fn a_close_that_comes_with_room_for_writing_ends_the_connection_at_once() {
    let mut reactor = Reactor::new(Config { flush_timeout: HANG * 10, job_threads: 0, ..Config::default() }).unwrap();
    let (seen, address) = answering(&mut reactor, |seen| match seen {
        Seen::Accepted { conn, .. } => Some(Command::Write(*conn, b"farewell".to_vec())),
        Seen::Writable(conn, 0) => Some(Command::Close(*conn, true)),
        _ => None,
    });
    let mut client = dial(address);
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        all
    });
    loop {
        reactor.turn(Some(HANG)).unwrap();
        while let Ok(event) = seen.try_next() {
            if let Seen::Closed(_, reason) = event {
                assert_eq!((reader.join().unwrap(), reason), (b"farewell".to_vec(), CloseReason::Ours));
                return;
            }
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_peer_has_no_room_for_stays_with_the_machine() {
    let mut reactor = reactor();
    let (seen, address) = answering(&mut reactor, |seen| match seen {
        Seen::Accepted { conn, .. } | Seen::Writable(conn, 0) => {
            Some(Command::WriteBlock(*conn, Block::from(vec![7; 64 << 10])))
        }
        _ => None,
    });
    let client = dial(address);
    let mut taken = 0;
    for _ in 0..200 {
        reactor.turn(Some(Duration::ZERO)).unwrap();
        while let Ok(event) = seen.try_next() {
            taken += usize::from(matches!(event, Seen::Writable(_, 0)));
        }
    }
    drop(client);
    // Its system makes room for some, and ours takes a little more; by itself ours would take megabytes.
    assert!((1..16).contains(&taken), "{taken} blocks of 64 KiB");
}

#[test]
fn a_thousand_idle_connections_and_a_flooding_one_delay_nobody() {
    let mut reactor = Reactor::new(Config { job_threads: 0, backlog: 2048, ..Config::default() }).unwrap();
    let (echo, address) = listening(&mut reactor, Habit::Echo);
    let mut drive = Drive::Turned(Box::new(reactor));
    let mut idle = Vec::new();
    while idle.len() < 1000 {
        for _ in 0..50 {
            idle.push(dial(address));
        }
        for _ in 0..50 {
            drive.accepted(&echo);
        }
    }
    // One that always has more to read, and never reads what comes back.
    let mut flood = dial(address);
    flood.set_nonblocking(true).unwrap();
    let mut busy = dial(address);
    busy.set_nonblocking(true).unwrap();
    for round in 0..20u8 {
        let mut answer = [0; 1];
        busy.write_all(&[round]).unwrap();
        drive.until(|| {
            let _ = flood.write(&[0; 65_536]);
            busy.read(&mut answer).is_ok().then_some(())
        });
        assert_eq!(answer, [round]);
    }
    // And the idle ones are alive.
    for stream in idle.iter_mut().step_by(100) {
        stream.set_nonblocking(true).unwrap();
        stream.write_all(b"!").unwrap();
        let mut answer = [0; 1];
        drive.until(|| stream.read(&mut answer).is_ok().then_some(()));
        assert_eq!(&answer, b"!");
    }
}

/// Runs under a limit of open files: see the next test.
#[cfg(unix)]
#[test]
#[ignore = "run by `a_listener_outlives_the_lack_of_file_descriptors` in a process with few descriptors"]
fn accepting_with_few_descriptors() {
    let mut reactor =
        Reactor::new(Config { job_threads: 0, accept_pause: Duration::from_millis(20), ..Config::default() }).unwrap();
    let (echo, address) = listening(&mut reactor, Habit::Echo);
    let mut drive = Drive::Turned(Box::new(reactor));
    let mut waiting = dial(address);
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    for _ in 0..100 {
        drive.step();
    }
    assert_eq!(echo.seen.try_next().ok(), None, "the limit did not bite");
    if let Drive::Turned(reactor) = &drive {
        assert_ne!(reactor.next_deadline(), Some(Duration::ZERO), "it spins");
    }
    drop(hoard);
    // Nobody else connects: only the timer brings the listener back.
    drive.accepted(&echo);
    waiting.write_all(b"!").unwrap();
    waiting.shutdown(Shutdown::Write).unwrap();
    drive.closed(&echo);
    let mut answer = Vec::new();
    waiting.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"!");
}

#[cfg(unix)]
#[test]
fn a_listener_outlives_the_lack_of_file_descriptors() {
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\" --exact reactor::streams::accepting_with_few_descriptors --ignored"])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_socket_for_both_families_shows_ipv4_addresses_as_ipv4() {
    let mut reactor = reactor();
    let probe = host(&mut reactor, Habit::Tell, &Arc::new(()), None);
    let tcp = reactor.listen(probe.hosted, "[::]:0".parse().unwrap()).unwrap();
    let (socket, udp) = reactor.bind(probe.hosted, "[::]:0".parse().unwrap()).unwrap();
    let mut drive = Drive::Turned(Box::new(reactor));
    for host in ["127.0.0.1", "::1"] {
        let ip: std::net::IpAddr = host.parse().unwrap();
        let client = dial(SocketAddr::new(ip, tcp.port()));
        let seen = drive.see(&probe, |s| match s {
            Seen::Accepted { from, local, .. } => Some((*from, *local)),
            _ => None,
        });
        assert_eq!(seen, (client.local_addr().unwrap(), SocketAddr::new(ip, tcp.port())));
        let client = UdpSocket::bind((ip, 0)).unwrap();
        client.set_read_timeout(Some(HANG)).unwrap();
        client.send_to(b"ping", (ip, udp.port())).unwrap();
        let from = drive.see(&probe, |s| match s {
            Seen::Datagram(_, from, _) => Some(*from),
            _ => None,
        });
        assert_eq!(from, client.local_addr().unwrap());
        probe.tell(Command::Send(socket, from, b"pong".to_vec()));
        drive.settle(&probe);
        let mut bytes = [0; 10];
        assert_eq!(client.recv_from(&mut bytes).unwrap(), (4, SocketAddr::new(ip, udp.port())));
    }
}
