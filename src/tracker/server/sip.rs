//! A keyed hash of a few bytes that takes a few nanoseconds: SipHash-2-4 (Aumasson and Bernstein, 2012).
//!
//! It is made for what a tracker needs: whoever does not know the key can neither tell the hash of an input from a random number nor choose
//! inputs that collide. HMAC with SHA-1 would do as well and take as long as all the rest of an answer.

use crate::machine::Secret;
use std::fmt;

/// The key, ready for use.
#[derive(Clone, Copy)]
pub(super) struct Sip {
    k0: u64,
    k1: u64,
}

impl Sip {
    /// Makes the key for a purpose.
    pub(super) fn new(secret: &Secret, purpose: &str) -> Self {
        let bytes = secret.expand(purpose, b"");
        let word =
            |from: usize| bytes.iter().skip(from).take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self { k0: word(0), k1: word(8) }
    }

    /// Hashes words, with what is left over (less than a word) in `tail`, of which the length in bytes of all goes to the top byte.
    fn words<const N: usize>(self, words: [u64; N], tail: u64) -> u64 {
        let mut v = [
            self.k0 ^ 0x736f_6d65_7073_6575,
            self.k1 ^ 0x646f_7261_6e64_6f6d,
            self.k0 ^ 0x6c79_6765_6e65_7261,
            self.k1 ^ 0x7465_6462_7974_6573,
        ];
        for word in words {
            absorb(&mut v, word);
        }
        absorb(&mut v, tail);
        v[2] ^= 0xff;
        for _ in 0..4 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }

    /// Hashes 8 bytes.
    #[inline]
    pub(super) fn of_word(self, word: u64) -> u64 {
        self.words([word], 8 << 56)
    }

    /// Hashes 16 bytes.
    #[inline]
    pub(super) fn of_two(self, first: u64, second: u64) -> u64 {
        self.words([first, second], 16 << 56)
    }

    /// Hashes 24 bytes.
    #[inline]
    pub(super) fn of_three(self, first: u64, second: u64, third: u64) -> u64 {
        self.words([first, second, third], 24 << 56)
    }

    /// Hashes an info hash.
    #[inline]
    pub(super) fn of_hash(self, hash: &[u8; 20]) -> u64 {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = *hash;
        let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let second = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
        self.words([first, second], 20 << 56 | u64::from(u32::from_le_bytes([q, r, s, t])))
    }
}

#[inline]
fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

#[inline]
fn round(v: &mut [u64; 4]) {
    let [a, b, c, d] = v;
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

impl fmt::Debug for Sip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sip(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the paper's test vectors: bytes 0 to 15.
    const KEY: Sip = Sip { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 };

    #[test]
    fn the_hashes_are_those_of_the_paper() {
        // Inputs are the bytes 0, 1, 2, …
        assert_eq!(KEY.of_word(0x0706_0504_0302_0100), 0x93f5_f579_9a93_2462);
        assert_eq!(KEY.of_two(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908), 0x3f2a_cc7f_57c2_9bdb);
        // The paper's own example has 15 bytes.
        assert_eq!(KEY.words([0x0706_0504_0302_0100], 15 << 56 | 0x000e_0d0c_0b0a_0908), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn an_info_hash_is_hashed_whole() {
        let mut hash = [7; 20];
        let first = KEY.of_hash(&hash);
        for place in 0..20 {
            hash[place] ^= 1;
            assert_ne!(KEY.of_hash(&hash), first, "byte {place}");
            hash[place] ^= 1;
        }
        assert_ne!(
            Sip::new(&Secret::new([1; 32]), "a").of_hash(&hash),
            Sip::new(&Secret::new([1; 32]), "b").of_hash(&hash)
        );
    }
}
