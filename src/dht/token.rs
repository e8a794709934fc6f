//! Write tokens: whoever has one received what we sent to its address (BEP 5).

use crate::machine::{Instant, Secret};
use std::fmt;
use std::hash::Hasher;
#[allow(deprecated)]
// what it is deprecated for is maps; its algorithm, SipHash-2-4 under keys of one's own, is what is wanted
use std::hash::SipHasher;
use std::net::IpAddr;
use std::time::Duration;

/// After how long tokens are others. The ones before are still accepted, so each is good for 5 to 10 minutes, as BEP 5 has it.
const ROTATION: Duration = Duration::from_secs(5 * 60);

/// Gives tokens and knows them again, without keeping any.
///
/// A token is the hash (SipHash-2-4 under a key of 128 bits from the [`Secret`]) of the address that it is for and of the number of the
/// period of 5 minutes in which it was given. Nothing that one sees of tokens tells of the key, or of the tokens of others.
pub(crate) struct Tokens {
    key: (u64, u64),
    /// When the first period began.
    start: Instant,
}

impl Tokens {
    pub(crate) const LEN: usize = 8;

    pub(crate) fn new(secret: &Secret, now: Instant) -> Self {
        let bytes = secret.expand("dht token", b"");
        let half = |at: usize| bytes[at..at + 8].iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        Self { key: (half(0), half(8)), start: now }
    }

    /// Gives the token for an address.
    pub(crate) fn give(&self, now: Instant, ip: IpAddr) -> [u8; Self::LEN] {
        self.token(self.period(now), ip).to_le_bytes()
    }

    /// Says whether a token was given to an address in this period or the one before.
    pub(crate) fn accepts(&self, now: Instant, ip: IpAddr, token: &[u8]) -> bool {
        let Ok(token) = token.try_into().map(u64::from_le_bytes) else { return false };
        let period = self.period(now);
        let is_from = |period| self.token(period, ip) == token;
        // Whole words are compared, so how long it takes says nothing of where a wrong one differs.
        is_from(period) | period.checked_sub(1).is_some_and(is_from)
    }

    fn period(&self, now: Instant) -> u64 {
        now.since(self.start).as_secs() / ROTATION.as_secs()
    }

    #[allow(deprecated)]
    fn token(&self, period: u64, ip: IpAddr) -> u64 {
        let mut hasher = SipHasher::new_with_keys(self.key.0, self.key.1);
        hasher.write(&period.to_le_bytes());
        match ip.to_canonical() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.finish()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const START: Instant = Instant::from_micros(1_234_567_890);

    fn tokens() -> Tokens {
        Tokens::new(&Secret::new([5; 32]), START)
    }

    fn after(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    const IPS: [&str; 2] = ["1.2.3.4", "2001:db8::4"];

    #[test]
    fn a_token_is_good_for_five_minutes_whenever_it_was_given_and_for_ten_at_most() {
        let tokens = tokens();
        for ip in IPS.map(|ip| ip.parse().unwrap()) {
            for given in 0..620 {
                let token = tokens.give(after(given), ip);
                let accepted = |for_seconds| tokens.accepts(after(given + for_seconds), ip, &token);
                assert!((0..=300).all(accepted), "given at {given}");
                assert!((600..1300).all(|age| !accepted(age)), "given at {given}");
            }
        }
    }

    #[test]
    fn a_token_of_the_period_before_is_accepted_until_its_last_moment() {
        let tokens = tokens();
        for ip in IPS.map(|ip| ip.parse().unwrap()) {
            let token = tokens.give(after(0), ip);
            let moment = Duration::from_micros(1);
            assert!(tokens.accepts(after(600) - moment, ip, &token) && !tokens.accepts(after(600), ip, &token));
            let late = tokens.give(after(300) - moment, ip);
            assert!(late == token && tokens.accepts(after(300), ip, &late));
            assert_ne!(tokens.give(after(300), ip), token);
        }
    }

    #[test]
    fn after_a_long_silence_no_token_is_good() {
        let tokens = tokens();
        let ip = IPS[0].parse().unwrap();
        let given = [tokens.give(after(0), ip), tokens.give(after(400), ip)];
        for later in [after(1_000), after(86_400 * 365), Instant::NEVER] {
            assert!(given.iter().all(|token| !tokens.accepts(later, ip, token)));
            assert!(tokens.accepts(later, ip, &tokens.give(later, ip)));
        }
        // A clock that is behind is at the start.
        assert!(tokens.accepts(Instant::ZERO, ip, &given[0]) && !tokens.accepts(Instant::ZERO, ip, &given[1]));
    }

    #[test]
    fn a_token_is_for_one_address_and_of_one_secret() {
        let tokens = tokens();
        let other = Tokens::new(&Secret::new([6; 32]), START);
        let mut seen = BTreeSet::new();
        for last in 0..=255 {
            for ip in [[1, 2, 3, last], [1, 2, last, 3], [last, 2, 3, 4]].map(IpAddr::from) {
                let token = tokens.give(START, ip);
                seen.insert(token);
                assert!(tokens.accepts(START, ip, &token) && !other.accepts(START, ip, &token));
                assert!(!tokens.accepts(START, "9.9.9.9".parse().unwrap(), &token));
            }
        }
        // Three addresses come twice: 1.2.3.3 (with two of the forms), 1.2.3.4 and so on.
        assert!(seen.len() > 3 * 256 - 6);
        // An IPv4 address is one in both forms, and no IPv6 one with the same bytes.
        let v4 = tokens.give(START, "1.2.3.4".parse().unwrap());
        assert!(tokens.accepts(START, "::ffff:1.2.3.4".parse().unwrap(), &v4));
        assert!(!tokens.accepts(START, "102:304::".parse().unwrap(), &v4));
    }

    #[test]
    fn what_is_not_a_token_is_refused_whatever_its_length() {
        let tokens = tokens();
        let ip = IPS[0].parse().unwrap();
        let token = tokens.give(START, ip);
        assert!(!tokens.accepts(START, ip, b"") && !tokens.accepts(START, ip, &[0; 8]));
        assert!((0..8).all(|length| !tokens.accepts(START, ip, &token[..length])));
        assert!(!tokens.accepts(START, ip, &[&token[..], b"x"].concat()));
        for bit in 0..64 {
            let mut other = token;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!tokens.accepts(START, ip, &other));
        }
    }

    #[test]
    fn the_key_has_128_bits_of_the_secret_and_is_not_shown() {
        let (k0, k1) = tokens().key;
        assert!(k0 != 0 && k1 != 0 && k0 != k1);
        assert_eq!(format!("{:?}", tokens()), "Tokens(..)");
    }

    #[test]
    #[allow(deprecated)]
    fn the_hash_is_siphash_2_4() {
        // The example of its paper (Aumasson and Bernstein, 2012).
        let mut hasher = SipHasher::new_with_keys(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        hasher.write(&[0, 1, 2, 3, 4, 5, 6, 7]);
        hasher.write(&[8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }
}
