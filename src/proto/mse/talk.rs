//! Tests of the two sides talking, with each other and with what is hostile.

use super::*;
use crate::proto::id::InfoHash;
use proptest::prelude::*;

const TORRENT: InfoHash = InfoHash([0xaa; 20]);

fn keys(first: u8) -> KeyPair {
    KeyPair::new(PrivateKey(std::array::from_fn(|i| first + i as u8)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn find(wanted: &Obfuscated) -> Option<InfoHash> {
    [InfoHash([1; 20]), TORRENT].into_iter().find(|torrent| obfuscate(*torrent) == *wanted)
}

fn policy(allowed: u32, preferred: Method) -> Policy {
    Policy { allowed: Methods(allowed), preferred, ..Policy::default() }
}

/// All that an initiator sends before it has an answer to its methods; and what it is talked to with.
fn opening(pad: &[u8], payload: &[u8]) -> (Vec<u8>, Initiator) {
    let mut sent = Vec::new();
    let mut side = Initiator::new(&keys(1), TORRENT, Policy::default(), pad, payload, &mut sent).unwrap();
    let progress = side.receive(&mut &keys(101).public().as_bytes()[..], &mut sent).unwrap();
    assert_eq!(progress.needed(), Some(8));
    (sent, side)
}

fn responder() -> Responder {
    Responder::new(keys(101), Policy::default(), &[]).unwrap()
}

/// What a responder makes of a whole stream.
fn respond(stream: &[u8]) -> Result<Progress, Error> {
    responder().receive(&mut &stream[..], find, &mut Vec::new())
}

/// An opening whose encrypted part is this.
fn encrypted(clear: &[u8]) -> Vec<u8> {
    let (mut sent, _) = opening(&[], &[]);
    sent.truncate(96 + 40);
    let secret = keys(1).private().secret(keys(101).public());
    let mut part = clear.to_vec();
    Rc4::after_discard(&stream_keys(&secret, TORRENT).initiator).apply(&mut part);
    [sent, part].concat()
}

/// What a responder with such a choice would send.
fn answer(pad: &[u8], clear: &[u8]) -> Vec<u8> {
    let secret = keys(1).private().secret(keys(101).public());
    let mut part = clear.to_vec();
    Rc4::after_discard(&stream_keys(&secret, TORRENT).responder).apply(&mut part);
    [keys(101).public().as_bytes(), pad, &part].concat()
}

fn initiate(stream: &[u8]) -> Result<Progress, Error> {
    let mut side = Initiator::new(&keys(1), TORRENT, Policy::default(), &[], &[], &mut Vec::new()).unwrap();
    side.receive(&mut &stream[..], &mut Vec::new())
}

#[test]
fn the_bytes_are_those_of_an_independent_computation() {
    let (sent, mut side) = opening(&[], &[]);
    assert_eq!(hex(&sent[96..116]), "78fffb0f23055a793ff7609f359e04e383ec3505");
    assert_eq!(hex(&sent[116..136]), "f2f74cb293cbfc230fbc6707cd5dca1d7ea0e6fd");
    assert_eq!(hex(&sent[136..]), "e50e282022084479e72308e4a3a4e880");
    let mut answered = Vec::new();
    let progress = responder().receive(&mut &sent[..], find, &mut answered).unwrap();
    assert!(matches!(&progress, Progress::Done(done) if done.info_hash == TORRENT && done.method == Method::Rc4));
    assert_eq!(&answered[..96], keys(101).public().as_bytes());
    assert_eq!(hex(&answered[96..]), "943d5a81d0106aa03a3f5993e0bb");
    assert!(matches!(side.receive(&mut &answered[96..], &mut Vec::new()), Ok(Progress::Done(_))));
}

#[test]
fn each_method_is_agreed_on_as_both_sides_want() {
    for (theirs, ours, preferred, expected) in [
        (3, 3, Method::Rc4, Ok(Method::Rc4)),
        (3, 3, Method::Plain, Ok(Method::Plain)),
        (1, 3, Method::Rc4, Ok(Method::Plain)),
        (3, 2, Method::Plain, Ok(Method::Rc4)),
        (1, 2, Method::Rc4, Err(Error::NoCommonMethod { offered: Methods(1) })),
        (2, 1, Method::Plain, Err(Error::NoCommonMethod { offered: Methods(2) })),
    ] {
        let outcome =
            converse(&[1000], &[1000], policy(theirs, Method::Rc4), policy(ours, preferred), (5, 9), b"hello");
        match (outcome, expected) {
            (Ok((a, b)), Ok(method)) => assert_eq!((a.method, b.method), (method, method)),
            (Err(error), Err(expected)) => assert_eq!(error, expected),
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }
}

/// Lets two sides talk, in parts of such sizes, until both are there; then each sends the other something.
fn converse(
    to_responder: &[usize],
    to_initiator: &[usize],
    initiators: Policy,
    responders: Policy,
    pads: (usize, usize),
    payload: &[u8],
) -> Result<(Established, Established), Error> {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut a = Initiator::new(&keys(3), TORRENT, initiators, &vec![0; pads.0], payload, &mut up)?;
    let mut b = Responder::new(keys(40), responders, &vec![0; pads.1])?;
    let (mut a_done, mut b_done) = (None, None);
    let (mut a_sizes, mut b_sizes) = (to_initiator.iter().cycle(), to_responder.iter().cycle());
    for _ in 0..10_000 {
        let mut part: Vec<u8> = up.drain(..up.len().min(*b_sizes.next().unwrap())).collect();
        let mut input = &part[..];
        if b_done.is_none() {
            if let Progress::Done(done) = b.receive(&mut input, find, &mut down)? {
                b_done = Some(*done);
            }
        }
        assert!(input.is_empty(), "the initiator sends nothing more before it has an answer");
        part = down.drain(..down.len().min(*a_sizes.next().unwrap())).collect();
        let mut input = &part[..];
        if let Progress::Done(done) = a.receive(&mut input, &mut up)? {
            assert!(input.is_empty());
            a_done = Some(*done);
        }
        if let (Some(a), Some(b)) = (&mut a_done, &mut b_done) {
            for (from, to) in [(&mut a.outgoing, &mut b.incoming), (&mut b.outgoing, &mut a.incoming)] {
                let mut bytes = *b"a stream of bytes";
                from.apply(&mut bytes);
                assert_eq!(&bytes == b"a stream of bytes", a.method == Method::Plain);
                to.apply(&mut bytes);
                assert_eq!(&bytes, b"a stream of bytes");
            }
            assert_eq!((a.info_hash, b.info_hash, &b.initial_payload[..]), (TORRENT, TORRENT, payload));
            return Ok((a_done.unwrap(), b_done.unwrap()));
        }
    }
    panic!("they never came to an end");
}

#[test]
fn bytes_of_the_stream_are_left_in_the_input() {
    let (mut sent, mut side) = opening(&[9; 512], b"payload");
    sent.extend_from_slice(b"stream");
    let mut input = &sent[..];
    let mut answered = Vec::new();
    assert!(matches!(responder().receive(&mut input, find, &mut answered), Ok(Progress::Done(_))));
    assert_eq!(input, b"stream");
    answered.extend_from_slice(b"back");
    let mut input = &answered[96..];
    assert!(matches!(side.receive(&mut input, &mut Vec::new()), Ok(Progress::Done(_))));
    assert_eq!(input, b"back");
    // It is done once.
    assert!(matches!(side.receive(&mut input, &mut Vec::new()), Ok(Progress::Needs(1))));
    assert_eq!(input, b"back");
}

#[test]
fn pads_c_and_d_are_read_over() {
    for pad in [1, 511, 512_u16] {
        let mut clear = [&[0; 8][..], &[0, 0, 0, 3], &pad.to_be_bytes(), &vec![0xcc; pad.into()], &[0, 5]].concat();
        clear.extend_from_slice(b"hello");
        let Progress::Done(done) = respond(&encrypted(&clear)).unwrap() else { panic!("{pad}") };
        assert_eq!(done.initial_payload, b"hello");

        let clear = [&[0; 8][..], &[0, 0, 0, 2], &pad.to_be_bytes(), &vec![0xdd; pad.into()], b"hello"].concat();
        let stream = answer(&vec![0xbb; pad.into()], &clear);
        let mut input = &stream[..];
        let mut side = Initiator::new(&keys(1), TORRENT, Policy::default(), &[], &[], &mut Vec::new()).unwrap();
        let Progress::Done(mut done) = side.receive(&mut input, &mut Vec::new()).unwrap() else { panic!("{pad}") };
        let mut left = input.to_vec();
        done.incoming.apply(&mut left);
        assert_eq!(left, b"hello");
    }
}

#[test]
fn an_opening_that_ends_anywhere_needs_more_and_says_how_much_at_least() {
    let (whole, _) = opening(&[7; 30], b"payload");
    for end in 0..whole.len() {
        let needed = respond(&whole[..end]).unwrap().needed().unwrap();
        assert!(needed > 0 && end + needed <= whole.len(), "{end} {needed}");
    }
    let clear = [&[0; 8][..], &[0, 0, 0, 1, 0, 3], b"pad"].concat();
    let whole = answer(&[7; 30], &clear);
    for end in 0..whole.len() {
        let needed = initiate(&whole[..end]).unwrap().needed().unwrap();
        assert!(needed > 0 && end + needed <= whole.len(), "{end} {needed}");
    }
    assert!(matches!(initiate(&whole), Ok(Progress::Done(done)) if done.method == Method::Plain));
}

#[test]
fn what_an_initiator_may_not_send_is_refused() {
    let clear = |methods: u32, pad: u16, payload: u16| {
        [&[0; 8][..], &methods.to_be_bytes(), &pad.to_be_bytes(), &vec![0; pad.into()], &payload.to_be_bytes()].concat()
    };
    let (good, _) = opening(&[], &[]);
    let mut other_torrent = good.clone();
    other_torrent[120] ^= 1;
    let far = [&good[..96], &[1; 513], &good[96..]].concat();
    for (stream, expected) in [
        (vec![0; 96], Error::PublicKey),
        (vec![0xff; 96], Error::PublicKey),
        (other_torrent, Error::UnknownTorrent),
        (far, Error::NoMark),
        ([&good[..96], &[0; 2000]].concat(), Error::NoMark),
        (encrypted(&[&[0; 7][..], &[1], &[0; 6]].concat()), Error::Verification),
        (encrypted(&clear(3, 513, 0)), Error::PadTooLong { length: 513 }),
        (encrypted(&clear(3, 0xffff, 0)), Error::PadTooLong { length: 0xffff }),
        (encrypted(&clear(0, 0, 0)), Error::NoCommonMethod { offered: Methods(0) }),
        (encrypted(&clear(0xffff_fffc, 0, 0)), Error::NoCommonMethod { offered: Methods(0xffff_fffc) }),
        (encrypted(&clear(3, 7, 1025)), Error::PayloadTooLong { length: 1025, limit: 1024 }),
    ] {
        let mut side = responder();
        assert_eq!(side.receive(&mut &stream[..], find, &mut Vec::new()).unwrap_err(), expected);
        // It stays so, whatever comes.
        assert_eq!(side.receive(&mut &good[..], find, &mut Vec::new()).unwrap_err(), expected);
    }
    assert!(respond(&[&good[..96], &[1; 512], &good[96..]].concat()).is_ok());
    assert!(matches!(respond(&encrypted(&clear(3, 512, 1024))), Ok(Progress::Needs(1024))));
}

#[test]
fn what_a_responder_may_not_send_is_refused() {
    let clear = |methods: u32, pad: u16| [&[0; 8][..], &methods.to_be_bytes(), &pad.to_be_bytes()].concat();
    let chose = |bits| Error::Selection { selected: Methods(bits) };
    for (stream, expected) in [
        (vec![0; 96], Error::PublicKey),
        (answer(&[0; 513], &clear(2, 0)), Error::NoMark),
        ([keys(101).public().as_bytes(), &[0; 2000][..]].concat(), Error::NoMark),
        (answer(&[], &clear(0, 0)), chose(0)),
        (answer(&[], &clear(3, 0)), chose(3)),
        (answer(&[], &clear(4, 0)), chose(4)),
        (answer(&[], &clear(2, 513)), Error::PadTooLong { length: 513 }),
    ] {
        assert_eq!(initiate(&stream).unwrap_err(), expected);
    }
    let mut side = Initiator::new(&keys(1), TORRENT, policy(2, Method::Rc4), &[], &[], &mut Vec::new()).unwrap();
    assert_eq!(side.receive(&mut &answer(&[], &clear(1, 0))[..], &mut Vec::new()).unwrap_err(), chose(1));
}

#[test]
fn a_side_of_ours_that_cannot_be_is_refused_at_once() {
    let initiator = |allowed, pad: usize, payload: usize| {
        let policy = policy(allowed, Method::Rc4);
        Initiator::new(&keys(1), TORRENT, policy, &vec![0; pad], &vec![0; payload], &mut Vec::new()).map(|_| ())
    };
    assert_eq!(initiator(3, 513, 0), Err(Error::Ours { length: 513 }));
    assert_eq!(initiator(3, 0, 65_536), Err(Error::Ours { length: 65_536 }));
    assert_eq!(initiator(4, 0, 0), Err(Error::NoMethod));
    assert_eq!(initiator(3, 512, 65_535), Ok(()));
    assert!(matches!(Responder::new(keys(1), Policy::default(), &[0; 513]), Err(Error::Ours { length: 513 })));
    assert!(matches!(Responder::new(keys(1), policy(0, Method::Rc4), &[]), Err(Error::NoMethod)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn two_sides_come_together_however_their_bytes_are_divided(
        up in prop::collection::vec(1..200_usize, 1..20),
        down in prop::collection::vec(1..200_usize, 1..20),
        pads in (0..=MAX_PAD, 0..=MAX_PAD),
        payload in prop::collection::vec(any::<u8>(), 0..300),
        method in prop_oneof![Just(Method::Plain), Just(Method::Rc4)],
    ) {
        let (a, b) = converse(&up, &down, Policy::default(), policy(3, method), pads, &payload).unwrap();
        prop_assert_eq!((a.method, b.method), (method, method));
    }

    #[test]
    fn noise_is_never_a_connection(noise in prop::collection::vec(any::<u8>(), 0..1500)) {
        let mut answered = Vec::new();
        let mut side = responder();
        let progress = side.receive(&mut &noise[..], find, &mut answered);
        prop_assert!(matches!(progress, Ok(Progress::Needs(_)) | Err(Error::NoMark | Error::PublicKey)));
        prop_assert!(answered.len() <= 96);
        prop_assert!(!matches!(initiate(&noise), Ok(Progress::Done(_))));
    }
}
