//! A token bucket: so much per second, and no more than a little at once.

use super::Instant;
use std::num::NonZeroU64;

/// Parts of a token that are counted: one comes with each microsecond for every token per second, so that nothing is ever rounded.
const PARTS: i128 = 1_000_000;

/// Holds tokens that come at a steady rate and are taken as something is used: bytes, dials.
///
/// What it tracks: the tokens that are there, in millionths, and the time up to which they have been counted. No more than the burst
/// gathers while nothing is taken. More may be taken than is there; the bucket is then in debt, and pays first. All arithmetic is
/// in integers and saturates; a clock that goes back adds nothing.
///
/// ```
/// use bip::machine::{Instant, TokenBucket};
/// use std::{num::NonZeroU64, time::Duration};
///
/// let mut now = Instant::ZERO;
/// let mut bucket = TokenBucket::empty(now, NonZeroU64::new(1_000).unwrap(), 250);
/// now += Duration::from_millis(100);
/// assert_eq!(bucket.level(now), 100);
/// bucket.take(180);
/// assert_eq!(bucket.level(now), -80);
/// assert_eq!(bucket.reaches(now, 20).since(now), Duration::from_millis(100));
/// now += Duration::from_secs(60);
/// assert_eq!(bucket.level(now), 250);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBucket {
    rate: NonZeroU64,
    burst: u64,
    /// In millionths of a token.
    parts: i128,
    /// Up to when tokens have come.
    counted: Instant,
}

impl TokenBucket {
    /// Makes a bucket without a token, which gets `rate` of them per second and gathers at most `burst`.
    pub fn empty(now: Instant, rate: NonZeroU64, burst: u64) -> Self {
        Self { rate, burst, parts: 0, counted: now }
    }

    /// The same with as many tokens as it gathers.
    pub fn full(now: Instant, rate: NonZeroU64, burst: u64) -> Self {
        Self { parts: i128::from(burst) * PARTS, ..Self::empty(now, rate, burst) }
    }

    /// Gives the tokens that come per second.
    pub fn rate(&self) -> NonZeroU64 {
        self.rate
    }

    /// Gives the most tokens that gather.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// Gives the whole tokens that are there; less than 0 in debt.
    pub fn level(&mut self, now: Instant) -> i64 {
        self.level_holding(now, 0)
    }

    /// The same where `held` tokens are set aside for what is on its way: as many gather beside the burst.
    pub fn level_holding(&mut self, now: Instant, held: u64) -> i64 {
        let micros = now.since(self.counted).as_micros();
        self.counted = self.counted.max(now);
        let come = i128::try_from(micros).unwrap_or(i128::MAX).saturating_mul(i128::from(self.rate.get()));
        let most = (i128::from(self.burst) + i128::from(held)) * PARTS;
        self.parts = self.parts.saturating_add(come).min(most);
        let whole = self.parts.div_euclid(PARTS);
        i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
    }

    /// Takes tokens, whether they are there or not.
    pub fn take(&mut self, tokens: u64) {
        self.parts = self.parts.saturating_sub(i128::from(tokens) * PARTS);
    }

    /// Puts back tokens that were taken and not used.
    pub fn put_back(&mut self, tokens: u64) {
        self.parts = self.parts.saturating_add(i128::from(tokens) * PARTS);
    }

    /// Gives when there will be so many tokens if none is taken before: `now` where there are. More than it gathers is never reached,
    /// whatever this says.
    pub fn reaches(&mut self, now: Instant, tokens: u64) -> Instant {
        self.reaches_holding(now, tokens, 0)
    }

    /// The same where `held` tokens, which are not counted, are set aside.
    pub fn reaches_holding(&mut self, now: Instant, tokens: u64, held: u64) -> Instant {
        self.level_holding(now, held);
        let wanted = (i128::from(tokens) + i128::from(held)) * PARTS;
        let missing = u128::try_from(wanted.saturating_sub(self.parts)).unwrap_or(0);
        let micros = missing.div_ceil(u128::from(self.rate.get()));
        // Never early where the clock has gone back.
        let from = if micros > 0 { self.counted.max(now) } else { now };
        Instant::from_micros(from.as_micros().saturating_add(u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    /// Changes the rate and the burst from now on. At a lower rate all that is there is lost, for it came at the higher one.
    pub fn set_rate(&mut self, now: Instant, rate: NonZeroU64, burst: u64) {
        self.level_holding(now, u64::MAX);
        if rate < self.rate {
            self.parts = self.parts.min(0);
        }
        (self.rate, self.burst) = (rate, burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Rng;
    use std::time::Duration;

    fn rate(n: u64) -> NonZeroU64 {
        NonZeroU64::new(n).unwrap()
    }

    #[test]
    fn no_part_of_a_token_is_lost_however_often_it_is_asked() {
        for (per_second, step) in [(1, 1), (3, 7), (999_983, 1), (7, 333_331)] {
            let mut bucket = TokenBucket::empty(Instant::ZERO, rate(per_second), u64::MAX);
            let mut now = Instant::ZERO;
            for _ in 0..300_000 {
                now += Duration::from_micros(step);
                bucket.level(now);
            }
            let expected = now.as_micros() * per_second / 1_000_000;
            assert_eq!(bucket.level(now), expected as i64, "{per_second} a second, every {step} us");
        }
    }

    #[test]
    fn what_is_taken_whenever_it_is_there_is_the_rate_to_the_token() {
        let mut rng = Rng::new(1);
        for per_second in [1_000, 65_536, 1_234_567, 3_000_000_000] {
            let mut now = Instant::from_micros(5);
            let mut bucket = TokenBucket::empty(now, rate(per_second), per_second.max(20_000));
            let mut taken = 0;
            for _ in 0..50_000 {
                let wanted = u64::from(1 + rng.below(16_384));
                let at = bucket.reaches(now, wanted);
                // It is not there a moment before.
                assert!(bucket.clone().level(at - Duration::from_micros(1)) < wanted as i64 || at == now);
                now = at;
                assert!(bucket.level(now) >= wanted as i64);
                bucket.take(wanted);
                taken += wanted;
            }
            // No time passed in which it was full.
            let come = u128::from(per_second) * u128::from(now.as_micros() - 5) / 1_000_000;
            let left = come - u128::from(taken);
            assert!(left <= u128::from(per_second / 1_000_000 + 1), "{left} of {come} were not there");
        }
    }

    #[test]
    fn a_long_pause_gives_the_burst_and_what_is_held_and_no_more() {
        let mut bucket = TokenBucket::empty(Instant::ZERO, rate(1_000), 250);
        let late = Instant::ZERO + Duration::from_secs(3_600);
        assert_eq!(bucket.clone().level(late), 250);
        assert_eq!(bucket.clone().level_holding(late, 9_000), 9_250);
        bucket.level_holding(late, 9_000);
        // What is no longer held is gone.
        assert_eq!(bucket.level_holding(late, 100), 350);
    }

    #[test]
    fn debt_is_paid_first_and_what_is_put_back_counts() {
        let mut bucket = TokenBucket::full(Instant::ZERO, rate(1_000), 500);
        bucket.take(2_500);
        assert_eq!(bucket.level(Instant::ZERO), -2_000);
        assert_eq!(bucket.reaches(Instant::ZERO, 0), Instant::from_micros(2_000_000));
        bucket.put_back(1_000);
        assert_eq!(bucket.reaches(Instant::ZERO, 1), Instant::from_micros(1_001_000));
        bucket.put_back(1_000_000);
        assert_eq!(bucket.level(Instant::ZERO), 500);
    }

    #[test]
    fn a_rate_that_changes_counts_from_then_on_and_a_lower_one_starts_with_nothing() {
        let mut bucket = TokenBucket::empty(Instant::ZERO, rate(1_000), 10_000);
        let mut now = Instant::from_micros(1_000_000);
        bucket.set_rate(now, rate(2_000), 10_000);
        now += Duration::from_secs(1);
        assert_eq!(bucket.level(now), 3_000);
        bucket.set_rate(now, rate(500), 10_000);
        assert_eq!(bucket.level(now), 0);
        bucket.take(700);
        now += Duration::from_secs(1);
        // A debt stays, at whatever rate.
        bucket.set_rate(now, rate(100), 10_000);
        assert_eq!(bucket.level(now), -200);
        bucket.set_rate(now, rate(1_000_000), 300);
        assert_eq!(bucket.level(now + Duration::from_secs(1)), 300);
    }

    #[test]
    fn the_extremes_saturate() {
        let values = [1, 2, u64::MAX / 2, u64::MAX];
        for per_second in values {
            for burst in values {
                let mut bucket = TokenBucket::full(Instant::ZERO, rate(per_second), burst);
                for _ in 0..4 {
                    bucket.take(u64::MAX);
                }
                assert!(bucket.level(Instant::ZERO) < 0);
                assert!(bucket.reaches(Instant::ZERO, u64::MAX) > Instant::ZERO);
                bucket.level_holding(Instant::NEVER, u64::MAX);
                for _ in 0..4 {
                    bucket.put_back(u64::MAX);
                }
                assert_eq!(bucket.level(Instant::NEVER), i64::try_from(burst).unwrap_or(i64::MAX));
                assert_eq!(bucket.reaches(Instant::NEVER, burst), Instant::NEVER);
                bucket.set_rate(Instant::ZERO, rate(u64::MAX), u64::MAX);
                bucket.set_rate(Instant::NEVER, rate(1), 0);
                assert!(bucket.level(Instant::ZERO) <= 0);
            }
        }
        let mut slow = TokenBucket::empty(Instant::ZERO, rate(1), u64::MAX);
        assert_eq!(slow.reaches(Instant::ZERO, u64::MAX), Instant::NEVER);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_twice() {
        let at = Instant::from_micros;
        let mut bucket = TokenBucket::empty(at(0), rate(1_000_000), 1_000);
        assert_eq!(bucket.level(at(500)), 500);
        assert_eq!(bucket.level(at(100)), 500);
        assert_eq!(bucket.reaches(at(100), 600), at(600));
        assert_eq!(bucket.level(at(500)), 500);
    }
}
