//! Datagrams that are not meant well.

use super::*;

#[test]
fn who_has_no_valid_id_gets_no_answer() {
    let mut host = Host::new(Config::default());
    let id = host.connect(v4(1));
    for (from, id) in [
        // Spoofed: somebody else's, and one that was guessed.
        (v4(2), id),
        (v6(1), id),
        (v4(1), ConnectionId(id.0 ^ 1)),
        (v4(1), ConnectionId(id.0 ^ 1 << 63)),
        (v4(1), ConnectionId(0)),
        (v4(1), ConnectionId(u64::MAX)),
        (v4(1), ConnectionId(udp_tracker::PROTOCOL)),
    ] {
        assert_eq!(host.ask(from, &encode_announce(id, announce(hash(1)))), None);
        assert_eq!(host.ask(from, &encode_scrape(id, &[hash(1)])), None);
    }
    assert_eq!(host.swarms.tally(), Default::default());
    assert_eq!(host.swarms.figures().invalid_ids, 14);
    // The port may change, as routers do.
    let elsewhere = SocketAddr::new(v4(1).ip(), 1);
    assert!(host.ask(elsewhere, &encode_announce(id, announce(hash(1)))).is_some());
}

#[test]
fn an_id_ends_after_two_minutes_and_replaying_it_does_nothing() {
    let mut host = Host::new(Config::default());
    let id = host.connect(v4(1));
    let datagram = encode_announce(id, announce(hash(1)));
    host.wait(2 * MINUTE);
    assert!(host.ask(v4(1), &datagram).is_some());
    // Replayed in time, it is the same peer.
    assert!(host.ask(v4(1), &datagram).is_some());
    assert_eq!(host.swarms.tally().peers(), 1);
    for later in [SECOND, MINUTE, 65_536 * SECOND - MINUTE, 30 * DAY] {
        host.wait(later);
        assert_eq!(host.ask(v4(1), &datagram), None, "{later:?} later");
    }
}

#[test]
fn a_datagram_that_is_cut_anywhere_is_refused_or_not_answered() {
    let mut host = Host::new(Config::default());
    let id = host.connect(v4(1));
    for whole in [connect(), encode_announce(id, announce(hash(1))), encode_scrape(id, &[hash(1), hash(2)])] {
        for length in 0..whole.len() {
            let cut = &whole[..length];
            let answer = host.ask(v4(1), cut);
            // Without an id, and for an id alone: nothing.
            let spoofed = host.ask(v4(2), cut);
            assert_eq!(spoofed, None, "{length} bytes");
            match answer {
                None => assert!(length < 16, "{length} bytes"),
                // A scrape may be of any number of torrents.
                Some(answer) if whole[11] == 2 => assert!(answer.len() <= 8 + (length - 16) / 20 * 12),
                Some(answer) => assert_eq!(reason(&answer), "the request is cut short", "{length} bytes"),
            }
        }
    }
    assert_eq!(host.swarms.tally(), Default::default());
}

#[test]
fn what_is_longer_than_its_fields_is_answered_no_longer() {
    let mut host = Host::new(Config::default());
    let mut long = connect();
    long.resize(1_500, 7);
    assert_eq!(host.ask(v4(1), &long).map(|answer| answer.len()), Some(16));
}

#[test]
fn wrong_actions_protocols_and_events_change_nothing() {
    let mut host = Host::new(Config::default());
    let id = host.connect(v4(1));
    let whole = encode_announce(id, announce(hash(1)));
    for action in [0, 3, 4, 5, 255, 256, u32::MAX, 1 << 24] {
        let mut datagram = whole.clone();
        datagram[8..12].copy_from_slice(&action.to_be_bytes());
        let answer = host.ask(v4(1), &datagram).unwrap();
        assert_eq!(reason(&answer), "the action is unknown", "{action}");
        assert_eq!(host.ask(v4(2), &datagram), None);
    }
    for event in [5, 6, u32::MAX] {
        let mut datagram = whole.clone();
        datagram[80..84].copy_from_slice(&u32::to_be_bytes(event));
        assert_eq!(reason(&host.ask(v4(1), &datagram).unwrap()), "the event is unknown");
        assert_eq!(host.ask(v4(2), &datagram), None);
    }
    let mut datagram = connect();
    datagram[0] ^= 1;
    assert_eq!(host.ask(v4(1), &datagram), None, "another protocol");
    assert_eq!(host.swarms.tally(), Default::default());
}

#[test]
fn numbers_of_any_size_are_survived() {
    let mut host = Host::new(Config::default());
    for n in 0..20 {
        host.announce(v4(n), announce(hash(1)));
    }
    let id = host.connect(v4(1));
    let whole = encode_announce(id, announce(hash(1)));
    for number in [0, 1, -1, i64::MAX, i64::MIN, i64::MIN + 1] {
        for place in [56, 64, 72] {
            let mut datagram = whole.clone();
            datagram[place..place + 8].copy_from_slice(&number.to_be_bytes());
            let answer = host.ask(v4(1), &datagram).unwrap();
            let Ok(Response::Announce { head, .. }) = Response::decode(&answer, Family::V4) else { panic!("refused") };
            // A negative amount left is one that is not known, and no seed's.
            assert_eq!(head.seeders, u32::from(place == 64 && number == 0), "{number} at {place}");
        }
    }
    for want in [i32::MIN, -2, -1, 0, 1, 50, 100_000, i32::MAX] {
        let mut datagram = whole.clone();
        datagram[92..96].copy_from_slice(&want.to_be_bytes());
        let answer = host.ask(v4(1), &datagram).unwrap();
        let expected = if want < 0 { 19 } else { want.min(19) } as usize;
        assert_eq!(answer.len(), 20 + 6 * expected, "{want}");
    }
}

/// Garbage, and requests with a few bits changed, from anywhere; nothing is answered at greater length than it was asked, but to who shows an id.
fn garbage(datagrams: u32) {
    let mut host = Host::new(Config::default());
    let rng = &mut Rng::new(77);
    let id = host.connect(v4(0));
    let models = [
        connect(),
        encode_announce(ConnectionId(rng.next_u64()), announce(hash(1))),
        encode_scrape(ConnectionId(rng.next_u64()), &[hash(1); 74]),
        encode_announce(id, announce(hash(1))),
    ];
    let mut answered = 0;
    for n in 0..datagrams {
        let mut bytes: Vec<u8> = match rng.below(3) {
            0 => (0..rng.below(200)).map(|_| rng.next_u64() as u8).collect(),
            _ => rng.choose(&models).unwrap().clone(),
        };
        for _ in 0..rng.below(4) {
            let place = rng.below(u32::try_from(bytes.len()).unwrap()) as usize;
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << rng.below(8);
            }
        }
        if rng.below(4) == 0 {
            bytes.truncate(rng.below(120) as usize);
        }
        // Nobody of these has an id, and the one that was given is for another address.
        let from = if rng.below(2) == 0 { v4(1 + rng.below(1 << 20)) } else { v6(rng.below(1 << 20)) };
        if let Some(answer) = host.ask(from, &bytes) {
            answered += 1;
            assert!(answer.len() <= bytes.len(), "datagram {n}: {} bytes for {}", answer.len(), bytes.len());
            assert!(matches!(Response::decode(&answer, Family::V4), Ok(Response::Connect { .. })), "datagram {n}");
        }
    }
    assert!(answered > datagrams / 50, "hardly anything was a connect");
    assert_eq!(host.swarms.tally(), Default::default());
    assert_eq!(host.server.poll_timeout(), None, "there is nothing to remember");
}

#[test]
fn a_million_garbage_datagrams_are_survived() {
    garbage(1_000_000);
}
