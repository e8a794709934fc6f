//! A meter of bytes per second.

use super::Instant;

use std::time::Duration;

const SLOTS: usize = 10;

/// Measures a rate over the last seconds, five unless said otherwise, in steps of a tenth of that.
///
/// Until that time has passed it measures since the first bytes.
#[derive(Debug, Clone)]
pub struct RateMeter {
    slots: [u64; SLOTS],
    slot_micros: u64,
    /// The number, since the epoch, of the slot that is being filled.
    current: u64,
    /// When the first bytes came; the rate is 0 before.
    since: Option<Instant>,
    total: u64,
}

impl RateMeter {
    /// Makes a meter that has seen nothing.
    pub fn new() -> Self {
        Self::over(Duration::from_secs(5))
    }

    /// Makes a meter that has seen nothing and measures over that long.
    pub fn over(window: Duration) -> Self {
        let slot_micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX) / SLOTS as u64;
        Self { slots: [0; SLOTS], slot_micros: slot_micros.max(1), current: 0, since: None, total: 0 }
    }

    /// Counts bytes.
    pub fn add(&mut self, now: Instant, bytes: u64) {
        self.turn_to(now);
        self.since.get_or_insert(now);
        self.total = self.total.saturating_add(bytes);
        let slot = &mut self.slots[(self.current % SLOTS as u64) as usize];
        *slot = slot.saturating_add(bytes);
    }

    /// Gives the rate in bytes per second.
    pub fn per_second(&mut self, now: Instant) -> u64 {
        self.turn_to(now);
        let Some(since) = self.since else { return 0 };
        let sum = self.slots.iter().fold(0u64, |a, b| a.saturating_add(*b));
        // The slot being filled is part of the window by as much as has passed of it.
        let slot = self.slot_micros;
        let window = (SLOTS as u64 - 1).saturating_mul(slot).saturating_add(now.as_micros() % slot);
        let micros = now.since(since).as_micros().clamp(u128::from(slot), u128::from(window.max(slot)));
        u64::try_from(u128::from(sum) * 1_000_000 / micros).unwrap_or(u64::MAX)
    }

    /// Gives all bytes ever counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    fn turn_to(&mut self, now: Instant) {
        let slot = now.as_micros() / self.slot_micros;
        // A clock that went back changes nothing: the bytes count for the newest slot.
        for step in 1..=slot.saturating_sub(self.current).min(SLOTS as u64) {
            self.slots[((self.current + step) % SLOTS as u64) as usize] = 0;
        }
        self.current = self.current.max(slot);
    }
}

impl Default for RateMeter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_steady_rate_is_measured_and_forgotten() {
        let mut meter = RateMeter::new();
        let mut now = Instant::from_micros(123_456_789);
        for _ in 0..100 {
            now += Duration::from_millis(100);
            meter.add(now, 1_000);
        }
        let rate = meter.per_second(now);
        assert!((9_500..10_700).contains(&rate), "{rate}");
        assert_eq!(meter.total(), 100_000);
        assert_eq!(meter.per_second(now + Duration::from_secs(6)), 0);
    }

    #[test]
    fn a_longer_window_forgets_later() {
        let mut meter = RateMeter::over(Duration::from_secs(20));
        let start = Instant::from_micros(1_000_000_000);
        (0..40).for_each(|k| meter.add(start + Duration::from_millis(500) * k, 5_000));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!((9_500..11_500).contains(&meter.per_second(at(20))));
        assert!((4_000..6_000).contains(&meter.per_second(at(30))));
        assert_eq!(meter.per_second(at(41)), 0);
    }

    #[test]
    fn a_clock_that_goes_back_or_far_ahead_is_harmless() {
        let mut meter = RateMeter::new();
        meter.add(Instant::from_micros(10_000_000), 5);
        meter.add(Instant::ZERO, 5);
        assert!(meter.per_second(Instant::ZERO) > 0);
        assert_eq!(meter.per_second(Instant::NEVER), 0);
    }
}
