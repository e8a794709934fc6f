//! The Diffie-Hellman exchange: powers of 2 modulo a prime of 768 bits.
//!
//! Numbers are twelve limbs of 64 bits, the lowest first. A power is computed in Montgomery form by a fixed number of steps, and no
//! step's kind or length depends on a secret bit, so that the time says nothing about the exponent.

use super::error::Error;
use std::fmt;

const LIMBS: usize = 12;
type Number = [u64; LIMBS];

/// The prime, the lowest limb first.
const P: Number = [
    0x0000_0000_0009_0563,
    0xf44c_42e9_a63a_3621,
    0xe485_b576_625e_7ec6,
    0x4fe1_356d_6d51_c245,
    0x302b_0a6d_f25f_1437,
    0xef95_19b3_cd3a_431b,
    0x514a_0879_8e34_04dd,
    0x020b_bea6_3b13_9b22,
    0x2902_4e08_8a67_cc74,
    0xc4c6_628b_80dc_1cd1,
    0xc90f_daa2_2168_c234,
    0xffff_ffff_ffff_ffff,
];

/// The inverse of -p modulo 2^64.
const NEGATIVE_INVERSE: u64 = {
    // Each step doubles the number of right bits; an odd number is its own inverse modulo 8.
    let mut inverse = P[0];
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(P[0].wrapping_mul(inverse)));
        step += 1;
    }
    inverse.wrapping_neg()
};

/// 1 in Montgomery form: 2^768 modulo p.
const ONE: Number = doubled(1, LIMBS * 64);

/// What brings a number into Montgomery form: 2^1536 modulo p.
const INTO: Number = doubled(1, LIMBS * 128);

/// Gives `from` doubled so many times, modulo p.
const fn doubled(from: u64, times: usize) -> Number {
    let mut number = [0; LIMBS];
    number[0] = from;
    let mut time = 0;
    while time < times {
        let mut carry = 0;
        let mut limb = 0;
        while limb < LIMBS {
            let next = number[limb] >> 63;
            number[limb] = number[limb] << 1 | carry;
            carry = next;
            limb += 1;
        }
        number = reduced(number, carry);
        time += 1;
    }
    number
}

/// Takes p away once from a number of 768 bits and a carry, if it is not below p.
const fn reduced(number: Number, carry: u64) -> Number {
    let mut less = [0; LIMBS];
    let mut borrow = 0;
    let mut limb = 0;
    while limb < LIMBS {
        let (difference, first) = number[limb].overflowing_sub(P[limb]);
        let (difference, second) = difference.overflowing_sub(borrow);
        less[limb] = difference;
        borrow = (first | second) as u64;
        limb += 1;
    }
    // Where the carry pays for the borrow, or there is none, the difference is right.
    select(borrow & (carry ^ 1), &number, &less)
}

/// Gives the first number for 1 and the second for 0, without a branch.
const fn select(first: u64, a: &Number, b: &Number) -> Number {
    let mask = first.wrapping_neg();
    let mut out = [0; LIMBS];
    let mut limb = 0;
    while limb < LIMBS {
        out[limb] = a[limb] & mask | b[limb] & !mask;
        limb += 1;
    }
    out
}

/// Gives a * b / 2^768 modulo p, of two numbers below p.
fn product(a: &Number, b: &Number) -> Number {
    // `sum` and two limbs above it.
    let (mut sum, mut high, mut higher) = ([0; LIMBS], 0, 0);
    for factor in b {
        let mut carry = 0;
        for (limb, digit) in sum.iter_mut().zip(a) {
            (*limb, carry) = multiply_add(*digit, *factor, *limb, carry);
        }
        (high, carry) = add(high, carry);
        higher += carry;
        // A multiple of p that makes the lowest limb 0, which is then left out.
        let multiple = sum[0].wrapping_mul(NEGATIVE_INVERSE);
        let (_, mut carry) = multiply_add(multiple, P[0], sum[0], 0);
        for limb in 1..LIMBS {
            (sum[limb - 1], carry) = multiply_add(multiple, P[limb], sum[limb], carry);
        }
        (sum[LIMBS - 1], carry) = add(high, carry);
        high = higher + carry;
        higher = 0;
    }
    reduced(sum, high)
}

/// Gives a * b + c + d as its lower and upper limb; it never has more.
fn multiply_add(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let whole = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (whole as u64, (whole >> 64) as u64)
}

fn add(a: u64, b: u64) -> (u64, u64) {
    let (sum, carry) = a.overflowing_add(b);
    (sum, u64::from(carry))
}

/// Gives base^exponent modulo p, of a base below p.
fn power(base: &Number, exponent: &[u8; PrivateKey::LEN]) -> Number {
    let base = product(base, &INTO);
    let mut result = ONE;
    for byte in exponent {
        for bit in (0..8).rev() {
            result = product(&result, &result);
            let with = product(&result, &base);
            result = select(u64::from(byte >> bit & 1), &with, &result);
        }
    }
    let mut one = [0; LIMBS];
    one[0] = 1;
    product(&result, &one)
}

fn to_bytes(number: &Number) -> [u8; PublicKey::LEN] {
    let mut bytes = [0; PublicKey::LEN];
    for (to, limb) in bytes.rchunks_exact_mut(8).zip(number) {
        to.copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

fn from_bytes(bytes: &[u8; PublicKey::LEN]) -> Number {
    let mut number = [0; LIMBS];
    for (limb, from) in number.iter_mut().zip(bytes.rchunks_exact(8)) {
        let mut be = [0; 8];
        be.copy_from_slice(from);
        *limb = u64::from_be_bytes(be);
    }
    number
}

/// The exponent that a side keeps to itself: 20 random bytes, as the protocol suggests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PrivateKey(pub [u8; 20]);

impl PrivateKey {
    /// Length in bytes.
    pub const LEN: usize = 20;

    /// Computes the secret that is shared with the owner of a public key.
    pub fn secret(&self, theirs: &PublicKey) -> Secret {
        Secret(to_bytes(&power(&from_bytes(&theirs.0), &self.0)))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

/// A public key: a number from 2 to p - 2, in 96 bytes with the highest first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 96]);

impl PublicKey {
    /// Length in bytes.
    pub const LEN: usize = 96;

    /// Reads a public key.
    ///
    /// # Errors
    ///
    /// The number is 0, 1, p - 1 or more: every secret made with one of these is known to all.
    pub fn decode(bytes: &[u8; 96]) -> Result<Self, Error> {
        let number = from_bytes(bytes);
        let mut last = P;
        last[0] -= 1;
        // They are not secret: branches do no harm.
        let above = number.iter().rev().ge(last.iter().rev());
        let below = number[1..].iter().all(|limb| *limb == 0) && number[0] < 2;
        if above || below { Err(Error::PublicKey) } else { Ok(Self(*bytes)) }
    }

    /// Gives the bytes.
    pub fn as_bytes(&self) -> &[u8; 96] {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

/// A private key and what the other side gets to see of it.
///
/// It takes a power to make. It may be used for several connections, which then have the same first 96 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    private: PrivateKey,
    public: PublicKey,
}

impl KeyPair {
    /// Makes the pair of a private key.
    pub fn new(private: PrivateKey) -> Self {
        let mut two = [0; LIMBS];
        two[0] = 2;
        Self { private, public: PublicKey(to_bytes(&power(&two, &private.0))) }
    }

    /// Gives the private key.
    pub fn private(&self) -> &PrivateKey {
        &self.private
    }

    /// Gives the public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// What both sides know after the exchange, and nobody else: `S`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 96]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The prime as the protocol's description writes it.
    const PRIME: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd\
        ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563";

    const YA: &str = "96e112dab29e8c5272accb9b17b26887ce54a144a4e3b697c7d159b7a817e556b0918db2b4c658e02a87f7e5fb14b18a\
        553e084cbf3dad2d30f16596ccb982d406258c61b30c5c1dae2ddc60bdbd48d79896312aad63238c39e1a633821eb693";
    const YB: &str = "d32ae8cedd0de9ca4fe67e35626bb8c7cdb0966727d899f6a62fdb2b68817f9ddc4b684e3eb34030b8dba4e028b7cff3\
        264020340cb4eab61923cdc4e4216ba873368d83f0a38e497f1f6b4e3d2012eb91a3ee6056f966f9eae732089b6fa46e";
    const S: &str = "d05ed96a95215a89b44073afe5d0b1626289ac01cff7849392948b2470b346547e944d7562a897ae86976bc389999083\
        ec09572dbdc8ed7f6a0a86a1aa42a3ca04209b72d8239890360435640643b76479ed7836f1857963fcc7cb72084c3ab4";

    fn near_prime(less: u64) -> [u8; 96] {
        let mut number = P;
        number[0] -= less;
        to_bytes(&number)
    }

    #[test]
    fn the_prime_is_the_protocols() {
        assert_eq!(hex(&near_prime(0)), PRIME);
        assert_eq!(P[0].wrapping_mul(NEGATIVE_INVERSE), u64::MAX);
    }

    #[test]
    fn keys_and_secret_are_those_of_an_independent_computation() {
        let a = KeyPair::new(PrivateKey(std::array::from_fn(|i| 1 + i as u8)));
        let b = KeyPair::new(PrivateKey(std::array::from_fn(|i| 101 + i as u8)));
        assert_eq!(hex(a.public().as_bytes()), YA);
        assert_eq!(hex(b.public().as_bytes()), YB);
        assert_eq!(hex(&a.private().secret(b.public()).0), S);
        assert_eq!(hex(&b.private().secret(a.public()).0), S);
    }

    #[test]
    fn small_powers_of_two_are_exact() {
        for shift in 1..=160_u32 {
            // 2^shift: below p, so nothing is taken away.
            let mut exponent = [0; 20];
            exponent[19] = shift as u8;
            let public = *KeyPair::new(PrivateKey(exponent)).public().as_bytes();
            let mut expected = [0; 96];
            expected[95 - shift as usize / 8] = 1 << (shift % 8);
            assert_eq!(public, expected, "2^{shift}");
        }
        // 2^768 is p + the rest, which is more than p is from 2^768.
        let mut exponent = [0; 20];
        exponent[18..].copy_from_slice(&768_u16.to_be_bytes());
        assert_eq!(*KeyPair::new(PrivateKey(exponent)).public().as_bytes(), to_bytes(&ONE));
    }

    #[test]
    fn keys_that_make_the_secret_known_are_refused() {
        let small = |last: u8| {
            let mut bytes = [0; 96];
            bytes[95] = last;
            bytes
        };
        for bytes in [small(0), small(1), near_prime(1), near_prime(0), [0xff; 96]] {
            assert_eq!(PublicKey::decode(&bytes), Err(Error::PublicKey), "{}", hex(&bytes));
        }
        let mut above = near_prime(1);
        above[95] += 2;
        assert_eq!(PublicKey::decode(&above), Err(Error::PublicKey));
        for bytes in [small(2), near_prime(2)] {
            assert_eq!(PublicKey::decode(&bytes).map(|key| *key.as_bytes()), Ok(bytes));
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let keys = KeyPair::new(PrivateKey([0xab; 20]));
        let text = format!("{keys:?} {:?}", keys.private().secret(keys.public()));
        assert!(
            text.starts_with("KeyPair { private: PrivateKey, public: PublicKey(") && text.ends_with(") } Secret"),
            "{text}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn both_sides_come_to_the_same_secret(a in any::<[u8; 20]>(), b in any::<[u8; 20]>()) {
            let (a, b) = (KeyPair::new(PrivateKey(a)), KeyPair::new(PrivateKey(b)));
            prop_assert_eq!(a.private().secret(b.public()), b.private().secret(a.public()));
        }
    }
}
