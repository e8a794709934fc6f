//! The RC4 stream cipher.

use std::fmt;

/// How many bytes of a stream are left out at its start.
const DISCARDED: usize = 1024;

/// An RC4 stream: the same operation encrypts and decrypts.
///
/// ```
/// use bip::proto::mse::Rc4;
/// let mut bytes = *b"Plaintext";
/// Rc4::new(b"Key").apply(&mut bytes);
/// assert_eq!(bytes, [0xbb, 0xf3, 0x16, 0xe8, 0xd9, 0x40, 0xaf, 0x0a, 0xd3]);
/// ```
#[derive(Clone)]
pub struct Rc4 {
    state: [u8; 256],
    i: u8,
    j: u8,
}

impl Rc4 {
    /// Starts the stream of a key, at its first byte. Only the first 256 bytes of a key count; an empty key is as one of zeros.
    pub fn new(key: &[u8]) -> Self {
        let mut state: [u8; 256] = std::array::from_fn(|i| i as u8);
        let mut j = 0_u8;
        let mut bytes = key.iter().cycle();
        for i in 0..=255_u8 {
            j = j.wrapping_add(state[usize::from(i)]).wrapping_add(bytes.next().copied().unwrap_or(0));
            state.swap(usize::from(i), usize::from(j));
        }
        Self { state, i: 0, j: 0 }
    }

    /// Starts the stream of a key where message stream encryption does: after 1024 bytes.
    pub fn after_discard(key: &[u8; 20]) -> Self {
        let mut stream = Self::new(key);
        stream.skip(DISCARDED);
        stream
    }

    /// Leaves out bytes of the stream.
    pub fn skip(&mut self, count: usize) {
        (0..count).for_each(|_| {
            self.next();
        });
    }

    /// Encrypts or decrypts in place.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte ^= self.next());
    }

    fn next(&mut self) -> u8 {
        self.i = self.i.wrapping_add(1);
        let a = self.state[usize::from(self.i)];
        self.j = self.j.wrapping_add(a);
        let b = self.state[usize::from(self.j)];
        self.state[usize::from(self.i)] = b;
        self.state[usize::from(self.j)] = a;
        self.state[usize::from(a.wrapping_add(b))]
    }
}

impl fmt::Debug for Rc4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rc4")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(key: &[u8], from: usize) -> u128 {
        let mut cipher = Rc4::new(key);
        cipher.skip(from);
        let mut bytes = [0; 16];
        cipher.apply(&mut bytes);
        u128::from_be_bytes(bytes)
    }

    #[test]
    fn the_streams_are_those_of_rfc_6229() {
        let key: Vec<u8> = (1..=32).collect();
        for (length, from, expected) in [
            (5, 0, 0xb239_6305_f03d_c027_ccc3_524a_0a11_18a8),
            (5, 16, 0x6982_944f_18fc_82d5_89c4_03a4_7a0d_0919),
            (5, 1024, 0x30ab_bcc7_c20b_0160_9f23_ee2d_5f6b_b7df),
            (16, 0, 0x9ac7_cc9a_609d_1ef7_b293_2899_cde4_1b97),
            (16, 1024, 0xbdf0_324e_6083_dcc6_d3ce_dd3c_a8c5_3c16),
            (32, 0, 0xeaa6_bd25_880b_f93d_3f5d_1e4c_a261_1d91),
            (32, 1024, 0x7fec_5bfd_9f9b_89ce_6548_3090_92d7_e958_u128),
        ] {
            assert_eq!(stream(&key[..length], from), expected, "{length} bytes of key, offset {from}");
        }
    }

    #[test]
    fn parts_are_as_the_whole() {
        let (mut whole, mut parts) = (Rc4::after_discard(&[9; 20]), Rc4::after_discard(&[9; 20]));
        let (mut a, mut b) = ([0; 300], [0; 300]);
        whole.apply(&mut a);
        b.chunks_mut(7).for_each(|part| parts.apply(part));
        assert_eq!(a, b);
    }

    #[test]
    fn no_key_is_no_panic() {
        assert_eq!(stream(&[], 0), stream(&[0], 0));
        assert_eq!(stream(&[3; 300], 0), stream(&[3; 256], 0));
    }
}
