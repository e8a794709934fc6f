use super::encode_signed;
use crate::proto::krpc::{MAX_SALT, MAX_VALUE};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Sha512, Signature, VerifyingKey};
use std::fmt;

/// The key with which the owner of items signs them (Ed25519, feature `mutable-items`).
///
/// It is cleared from memory when it is dropped, and its `Debug` shows the public key alone.
///
/// ```
/// use bip::proto::krpc::item::{self, SigningKey};
/// let key = SigningKey::from_seed(&[7; 32]);
/// let signature = key.sign(b"salt", 1, b"12:Hello World!");
/// assert!(item::verify(&key.public(), b"salt", 1, b"12:Hello World!", &signature));
/// assert!(!item::verify(&key.public(), b"salt", 2, b"12:Hello World!", &signature));
/// ```
pub struct SigningKey {
    secret: ExpandedSecretKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// Makes the key of a seed: 32 bytes that must come from a cryptographic source, and that are all there is to keep.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::new(ExpandedSecretKey::from(seed))
    }

    /// Takes a key that is expanded already: the hash (SHA-512) of a seed, as libtorrent keeps its keys and as the keys in BEP 44 are.
    ///
    /// It must come from a seed: 64 bytes of which anybody knows one half betray the other with the first signature.
    pub fn from_expanded(bytes: &[u8; 64]) -> Self {
        Self::new(ExpandedSecretKey::from_bytes(bytes))
    }

    fn new(secret: ExpandedSecretKey) -> Self {
        let public = VerifyingKey::from(&secret);
        Self { secret, public }
    }

    /// Gives the public key: what the items of this key are looked up and verified by.
    pub fn public(&self) -> [u8; 32] {
        self.public.to_bytes()
    }

    /// Signs a value under a salt, which may be empty, and a sequence number. The same signature each time: nothing in it is random.
    ///
    /// That the value [may be stored](super::is_value), the salt has at most [`MAX_SALT`] bytes and the number is not negative is for the
    /// caller to see to.
    pub fn sign(&self, salt: &[u8], seq: i64, value: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&self.secret, &signed(salt, seq, value), &self.public).to_bytes()
    }
}

/// Says whether a signature is the one of a key's owner over a salt, which may be empty, a sequence number and a bencoded value (Ed25519,
/// feature `mutable-items`).
///
/// It is strict: keys and signatures of small order, which would sign anything, are refused, and so is a second form of a signature that
/// is right.
pub fn verify(key: &[u8; 32], salt: &[u8], seq: i64, value: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else { return false };
    key.verify_strict(&signed(salt, seq, value), &Signature::from_bytes(signature)).is_ok()
}

fn signed(salt: &[u8], seq: i64, value: &[u8]) -> Vec<u8> {
    // With keys and numbers: what is within the limits fits without growing.
    let mut signed = Vec::with_capacity((salt.len() + value.len()).min(MAX_SALT + MAX_VALUE) + 64);
    encode_signed(salt, seq, value, &mut signed);
    signed
}

impl Clone for SigningKey {
    fn clone(&self) -> Self {
        let secret = ExpandedSecretKey { scalar: self.secret.scalar, hash_prefix: self.secret.hash_prefix };
        Self { secret, public: self.public }
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

impl Eq for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(public ")?;
        self.public().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::id::InfoHash;
    use crate::proto::krpc::item::{mutable_target, torrent, torrent_of};

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        assert_eq!(text.len(), 2 * N);
        std::array::from_fn(byte)
    }

    const VALUE: &[u8] = b"12:Hello World!";

    /// The key of BEP 44.
    fn key() -> SigningKey {
        SigningKey::from_expanded(&hex(concat!(
            "e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d",
            "b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d"
        )))
    }

    /// Its salts and signatures, all with sequence number 1.
    fn vectors() -> [(&'static [u8], [u8; 64]); 2] {
        let plain = concat!(
            "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff",
            "1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01"
        );
        let salted = concat!(
            "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d",
            "df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08"
        );
        [(b"", hex(plain)), (b"foobar", hex(salted))]
    }

    #[test]
    fn the_signatures_of_bep_44_come_out_and_are_verified() {
        let public = hex("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548");
        assert_eq!(key().public(), public);
        for (salt, signature) in vectors() {
            assert_eq!(key().sign(salt, 1, VALUE), signature);
            assert!(verify(&public, salt, 1, VALUE, &signature));
        }
    }

    #[test]
    fn a_signature_is_of_its_key_salt_number_and_value_alone() {
        let public = key().public();
        for (salt, signature) in vectors() {
            for bit in 0..512 {
                let mut other = signature;
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&public, salt, 1, VALUE, &other), "bit {bit}");
            }
            for bit in 0..256 {
                let mut other = public;
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&other, salt, 1, VALUE, &signature), "bit {bit}");
            }
            for seq in [0, 2, -1, 11, i64::MIN, i64::MAX] {
                assert!(!verify(&public, salt, seq, VALUE, &signature));
            }
            for salt in [&b"x"[..], b"fooba", b"foobar\0"] {
                assert!(!verify(&public, salt, 1, VALUE, &signature));
            }
            assert!(!verify(&public, salt, 1, b"12:Hello World?", &signature));
            assert!(!verify(&public, salt, 1, b"", &signature));
        }
        let [(_, plain), (_, salted)] = vectors();
        assert!(!verify(&public, b"foobar", 1, VALUE, &plain) && !verify(&public, b"", 1, VALUE, &salted));
    }

    #[test]
    fn a_number_cannot_be_moved_into_the_value() {
        // Without the form of BEP 44 these would be the same bytes.
        let key = key();
        let signature = key.sign(b"", 1, b"i5e");
        assert!(!verify(&key.public(), b"", 1, b"i5ee", &signature));
        let salted = key.sign(b"3:seqi1e", 2, b"i5e");
        assert!(!verify(&key.public(), b"", 1, b"i5e", &salted));
    }

    #[test]
    fn a_key_that_would_sign_anything_signs_nothing() {
        // Points of small order: with one of them as R and S = 0, a plain verification takes many a message, or all.
        let small = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        ];
        for key in small {
            for r in small {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&hex::<32>(r));
                for n in 0..16u8 {
                    assert!(!verify(&hex(key), b"", 1, &[b'0' + n / 10, b':', n], &signature));
                }
            }
        }
        // No point at all.
        let none = hex("efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
        assert!(!verify(&none, b"", 1, VALUE, &[0xff; 64]));
    }

    #[test]
    fn a_second_form_of_a_signature_is_refused() {
        // S + L signs the same as S, L being the order of the group.
        let order: [u8; 32] = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        for (salt, signature) in vectors() {
            let mut other = signature;
            let mut carry = 0;
            for (byte, add) in other[32..].iter_mut().zip(order) {
                carry += u16::from(*byte) + u16::from(add);
                *byte = carry as u8;
                carry >>= 8;
            }
            assert_eq!(carry, 0);
            assert!(verify(&key().public(), salt, 1, VALUE, &signature));
            assert!(!verify(&key().public(), salt, 1, VALUE, &other));
        }
    }

    #[test]
    fn the_key_of_a_seed_is_that_of_rfc_8032() {
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public: [u8; 32] = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let key = SigningKey::from_seed(&seed);
        assert_eq!(key.public(), public);
        assert!(verify(&public, b"", 5, VALUE, &key.sign(b"", 5, VALUE)));
        assert_eq!((key.clone() == key, SigningKey::from_seed(&[1; 32]) == key), (true, false));
        let shown = format!("{key:?}");
        assert_eq!(shown, "SigningKey(public d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a)");
    }

    #[test]
    fn a_torrent_is_published_under_a_key_as_bep_46_says() {
        let key = SigningKey::from_seed(&[3; 32]);
        let value = torrent(InfoHash([9; 20]));
        let signature = key.sign(b"n", 7, &value);
        assert!(verify(&key.public(), b"n", 7, &value, &signature));
        assert_eq!(torrent_of(&value), Some(InfoHash([9; 20])));
        // The targets of BEP 46.
        let public = hex("8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e");
        assert_eq!(mutable_target(&public, b"").to_string(), "cc3f9d90b572172053626f9980ce261a850d050b");
        assert_eq!(mutable_target(&public, b"n").to_string(), "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f");
    }
}
