//! Strangers that do not mean it well.

use super::*;

#[test]
fn a_million_datagrams_of_garbage_change_nothing() {
    let mut host = Host::new(Config::default());
    host.ask(1, "udp://192.0.2.9:6969", announce());
    let connect = host.one();
    host.connected(&connect, 1);
    let sent = host.one();
    let usage = host.client.usage();
    let mut rng = Rng::new(5);
    let mut bytes = [0; 64];
    for n in 0..1_000_000_u32 {
        let length = rng.below(65) as usize;
        bytes.iter_mut().for_each(|byte| *byte = 0);
        bytes[..8].copy_from_slice(&rng.next_u64().to_be_bytes());
        if n % 2 == 0 {
            bytes[..4].copy_from_slice(&rng.below(5).to_be_bytes());
        }
        let from = if n % 3 == 0 { sent.to } else { at("192.0.2.66:6969") };
        host.client.handle_input(host.now, Input::Datagram { socket: V4, from, bytes: &bytes[..length] });
    }
    host.drain();
    assert_eq!((host.taken().len(), host.told().len(), host.client.usage()), (0, 0, usage));
    host.announced(&sent, HEAD, &[]);
    host.reply();
    host.assert_free();
}

#[test]
fn a_tracker_that_gives_as_many_peers_as_it_can_is_cut() {
    let mut host = Host::new(Config { max_peers: 100, ..Config::default() });
    host.ask(1, "udp://192.0.2.9:6969", announce());
    let connect = host.one();
    host.connected(&connect, 1);
    let sent = host.one();
    host.announced(&sent, HEAD, &["10.0.0.1:1"; 10_000]);
    assert_eq!(host.reply().peers.len(), 100);
}

#[test]
fn a_clock_that_jumps_or_stands_still_does_no_harm() {
    let mut host = Host::new(Config::default());
    host.ask(1, "udp://192.0.2.9:6969", announce());
    for _ in 0..1000 {
        host.client.handle_timeout(host.now);
        host.client.handle_timeout(Instant::ZERO);
    }
    host.drain();
    assert_eq!(host.taken().len(), 1);
    host.now = Instant::from_micros(u64::MAX - 1);
    host.client.handle_timeout(host.now);
    host.drain();
    assert_eq!(host.error(), Error::TimedOut);
    host.ask(2, "udp://192.0.2.9:6969", announce());
    host.taken();
    host.command(Command::Cancel { request: RequestId(2) });
    assert_eq!(host.error(), Error::Cancelled);
    host.assert_free();
}

#[test]
fn a_tracker_that_refuses_every_id_is_not_asked_for_ever() {
    let mut host = Host::new(Config::default());
    host.ask(1, "udp://192.0.2.9:6969", announce());
    let mut asked = 0;
    while let Some(sent) = host.sent.pop() {
        asked += 1;
        if sent.is_connect() { host.connected(&sent, asked) } else { host.refused(&sent, "bad connection id") }
    }
    assert_eq!(asked, 4);
    assert!(matches!(host.error(), Error::Refused { .. }));
    host.assert_free();
}
