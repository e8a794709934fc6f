use bip::proto::id::InfoHash;
use bip::proto::mse::{
    Error, Initiator, KeyPair, MAX_PAD, Method, Methods, Obfuscated, Policy, PrivateKey, Progress, Rc4, Responder,
    obfuscate, req1, stream_keys, topic_mask,
};
use std::sync::LazyLock;

const TORRENT: InfoHash = InfoHash([0xaa; 20]);

/// Both sides' keys: a power takes too long to compute one for each input.
static KEYS: LazyLock<[KeyPair; 2]> = LazyLock::new(|| [1, 2].map(|byte| KeyPair::new(PrivateKey([byte; 20]))));

/// The first byte chooses who is talked to and from where on the bytes are the fuzzer's: from the first on, after the key, or what
/// is encrypted in earnest. The second says in what parts they come, the third is the policy.
///
/// A side takes nothing beyond the handshake, gives the same however the stream is divided, needs at least a byte until it is
/// done, sends no more than it has, and stays failed when it failed.
pub fn mse(data: &[u8]) {
    let [choice, size, policy, rest @ ..] = data else { return };
    let policy = Policy {
        allowed: [Methods::BOTH, Methods::from(Method::Rc4), Methods::from(Method::Plain)][usize::from(policy % 3)],
        preferred: if policy & 4 == 0 { Method::Rc4 } else { Method::Plain },
        initial_payload: 100,
    };
    let responds = choice & 1 == 0;
    let stream = stream(responds, choice >> 1 & 3, rest);
    let whole = talk(responds, &policy, &stream, &mut std::iter::once(&stream[..]));
    let parts = talk(responds, &policy, &stream, &mut crate::parts(&stream, std::slice::from_ref(size)));
    assert_eq!(whole, parts);
}

/// Makes what the other side sends.
fn stream(to_responder: bool, depth: u8, rest: &[u8]) -> Vec<u8> {
    let [initiator, responder] = &*KEYS;
    let theirs = if to_responder { initiator } else { responder };
    let key = theirs.public().as_bytes();
    if depth == 0 {
        return rest.to_vec();
    }
    if depth == 1 {
        return [key, rest].concat();
    }
    let secret = initiator.private().secret(responder.public());
    let keys = stream_keys(&secret, TORRENT);
    let (pad, rest) = rest.split_at(rest.len().min(if depth == 2 { 0 } else { 3 }));
    let mut encrypted = [&[0; 8][..], rest].concat();
    Rc4::after_discard(if to_responder { &keys.initiator } else { &keys.responder }).apply(&mut encrypted);
    let mut stream = [key, pad].concat();
    if to_responder {
        stream.extend_from_slice(&req1(&secret));
        stream.extend_from_slice(&topic_mask(&secret, obfuscate(TORRENT)).0);
    }
    [stream, encrypted].concat()
}

/// What became of a side: what it sent, how much it took, and how it ended.
type Outcome = (Vec<u8>, usize, Result<Option<(Method, Vec<u8>, [u8; 4], [u8; 4])>, Error>);

fn talk(responds: bool, policy: &Policy, stream: &[u8], parts: &mut dyn Iterator<Item = &[u8]>) -> Outcome {
    let [initiator, responder] = &*KEYS;
    let find = |wanted: &Obfuscated| (*wanted == obfuscate(TORRENT)).then_some(TORRENT);
    let mut sent = Vec::new();
    enum Side {
        Initiator(Initiator),
        Responder(Responder),
    }
    let mut side = if responds {
        Side::Responder(Responder::new(responder.clone(), policy.clone(), &[5; 9]).expect("the pad is short"))
    } else {
        let made = Initiator::new(initiator, TORRENT, policy.clone(), &[6; 9], b"payload", &mut sent);
        Side::Initiator(made.expect("the pad is short"))
    };
    let mut receive = |input: &mut &[u8], sent: &mut Vec<u8>| match &mut side {
        Side::Initiator(side) => side.receive(input, sent),
        Side::Responder(side) => side.receive(input, find, sent),
    };
    let mut taken = 0;
    for mut part in parts {
        let length = part.len();
        let progress = receive(&mut part, &mut sent);
        taken += length - part.len();
        assert!(sent.len() <= 96 + MAX_PAD + 40 + 16 + 7);
        match progress {
            Ok(Progress::Needs(bytes)) => assert!(bytes > 0 && part.is_empty(), "bytes were left, or none are needed"),
            Ok(Progress::Done(mut done)) => {
                assert!(policy.allowed.contains(done.method) && done.info_hash == TORRENT);
                assert!(done.initial_payload.len() <= policy.initial_payload);
                let (mut incoming, mut outgoing) = ([0; 4], [0; 4]);
                done.incoming.apply(&mut incoming);
                done.outgoing.apply(&mut outgoing);
                let mut after = &b"more"[..];
                assert!(matches!(receive(&mut after, &mut sent), Ok(Progress::Needs(1))) && after == b"more");
                return (sent, taken, Ok(Some((done.method, done.initial_payload, incoming, outgoing))));
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(receive(&mut &stream[..], &mut sent).is_err_and(|again| again == error));
                // How much was taken when it failed depends on the parts.
                return (sent, 0, Err(error));
            }
        }
    }
    (sent, taken, Ok(None))
}
