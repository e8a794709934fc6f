//! The source of what others must not guess.

use crate::proto::sha1::Sha1;
use std::fmt;

/// Thirty-two secret bytes from the host, expanded by a keyed hash (HMAC-SHA-1) into ids, tokens and keys.
///
/// Never shown: its `Debug` hides the bytes.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Takes the bytes, which must come from the system's cryptographic source.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the 20 bytes for a purpose and some data. Purposes are kept apart: they must not contain a zero byte.
    pub fn expand(&self, purpose: &str, data: &[u8]) -> [u8; 20] {
        let pad = |x: u8| {
            let mut block = [x; 64];
            block.iter_mut().zip(&self.0).for_each(|(b, k)| *b ^= k);
            block
        };
        let mut inner = Sha1::new();
        inner.update(&pad(0x36));
        inner.update(purpose.as_bytes());
        inner.update(&[0]);
        inner.update(data);
        let mut outer = Sha1::new();
        outer.update(&pad(0x5c));
        outer.update(&inner.finish());
        outer.finish()
    }

    /// Makes an independent secret for a part of the machine.
    pub fn fork(&self, purpose: &str) -> Secret {
        let mut bytes = [0; 32];
        bytes[..20].copy_from_slice(&self.expand(purpose, b"fork 1"));
        bytes[20..].copy_from_slice(&self.expand(purpose, b"fork 2")[..12]);
        Secret(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_data_and_secrets_are_kept_apart() {
        let a = Secret::new([1; 32]);
        assert_eq!(a.expand("token", b"x"), a.expand("token", b"x"));
        assert_ne!(a.expand("token", b"x"), a.expand("token", b"y"));
        assert_ne!(a.expand("token", b"x"), a.expand("id", b"x"));
        assert_ne!(a.expand("token", b"x"), Secret::new([2; 32]).expand("token", b"x"));
        assert_ne!(a.fork("a").expand("token", b"x"), a.fork("b").expand("token", b"x"));
        assert_eq!(format!("{a:?}"), "Secret(..)");
    }

    #[test]
    fn the_keyed_hash_is_hmac_sha1() {
        // RFC 2202, case 3, has a key of 20 bytes 0xaa, which zero padding makes one of 32.
        let mut key = [0; 32];
        key[..20].fill(0xaa);
        let mut data = [0xdd; 50];
        // `expand` puts the purpose and a zero byte in front, so only the form is checked here: the same bytes by hand.
        data[0] = 0;
        let direct = |bytes: &[u8]| {
            let mut inner = [0x36u8; 64];
            let mut outer = [0x5cu8; 64];
            for i in 0..32 {
                inner[i] ^= key[i];
                outer[i] ^= key[i];
            }
            let mut first = inner.to_vec();
            first.extend_from_slice(bytes);
            let mut second = outer.to_vec();
            second.extend_from_slice(&Sha1::digest(&first));
            Sha1::digest(&second)
        };
        assert_eq!(Secret::new(key).expand("", &data[1..]), direct(&data));
        let rfc: String = direct(&[0xdd; 50]).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(rfc, "125d7342b9ac11cd91a39af48aa17b4f63f175d3");
    }
}
