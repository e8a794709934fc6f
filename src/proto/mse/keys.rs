//! The hashes that both sides make of the secret and the torrent.

use super::dh::Secret;
use crate::proto::id::InfoHash;
use crate::proto::sha1::Sha1;
use std::fmt;

fn hash(parts: &[&[u8]]) -> [u8; 20] {
    let mut hasher = Sha1::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// A torrent as an initiator names it, `HASH(req2, info hash)`: only who knows the torrent knows which it is.
///
/// A responder computes it once for each of its torrents ([`obfuscate`]), and finds in its table the one that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obfuscated(pub [u8; 20]);

/// Gives the name of a torrent that only those know who know the torrent.
pub fn obfuscate(info_hash: InfoHash) -> Obfuscated {
    Obfuscated(hash(&[b"req2", &info_hash.0]))
}

/// Gives `HASH(req1, S)`, the mark after the initiator's first pad.
pub fn req1(secret: &Secret) -> [u8; 20] {
    hash(&[b"req1", &secret.0])
}

/// Hides a torrent's name from others than the two sides, or shows it again: the exclusive or with `HASH(req3, S)`.
pub fn topic_mask(secret: &Secret, topic: Obfuscated) -> Obfuscated {
    let mut out = hash(&[b"req3", &secret.0]);
    out.iter_mut().zip(topic.0).for_each(|(byte, other)| *byte ^= other);
    Obfuscated(out)
}

/// The keys of the two directions.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKeys {
    /// Of what the initiator sends: `HASH(keyA, S, info hash)`.
    pub initiator: [u8; 20],
    /// Of what the responder sends: `HASH(keyB, S, info hash)`.
    pub responder: [u8; 20],
}

impl fmt::Debug for StreamKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKeys")
    }
}

/// Gives the keys of the two directions.
pub fn stream_keys(secret: &Secret, info_hash: InfoHash) -> StreamKeys {
    StreamKeys {
        initiator: hash(&[b"keyA", &secret.0, &info_hash.0]),
        responder: hash(&[b"keyB", &secret.0, &info_hash.0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::mse::{KeyPair, PrivateKey, Rc4};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hashes_keys_and_streams_are_those_of_an_independent_computation() {
        let a = PrivateKey(std::array::from_fn(|i| 1 + i as u8));
        let b = KeyPair::new(PrivateKey(std::array::from_fn(|i| 101 + i as u8)));
        let (secret, torrent) = (a.secret(b.public()), InfoHash([0xaa; 20]));
        assert_eq!(hex(&req1(&secret)), "78fffb0f23055a793ff7609f359e04e383ec3505");
        let masked = topic_mask(&secret, obfuscate(torrent));
        assert_eq!(hex(&masked.0), "f2f74cb293cbfc230fbc6707cd5dca1d7ea0e6fd");
        assert_eq!(topic_mask(&secret, masked), obfuscate(torrent));
        let keys = stream_keys(&secret, torrent);
        assert_eq!(hex(&keys.initiator), "f96b90ee5ebae8fd746504f39ca99f9fa0211df3");
        assert_eq!(hex(&keys.responder), "d8fe0e34073e9cb07e0c6fcd29d12fdb0d19b851");
        for (key, stream) in [
            (&keys.initiator, "e50e282022084479e72308e7a3a4e880675d22935528b4ece2fc260e94717df3"),
            (&keys.responder, "943d5a81d0106aa03a3f5991e0bb8b9c6a625a3de350fe2241fdfac8cfe383c3"),
        ] {
            let mut bytes = [0; 32];
            Rc4::after_discard(key).apply(&mut bytes);
            assert_eq!(hex(&bytes), stream);
        }
    }
}
