//! How long queries take to be answered, and so how long it is worth to wait for one.

use std::time::Duration;

/// What is waited before anything was measured.
const UNKNOWN: Duration = Duration::from_millis(500);
/// The least that is waited: below it is a busy processor, not a slow node.
const SLOW_MIN: Duration = Duration::from_millis(50);
/// The most that is waited before a query gives its slot to another.
const SLOW_MAX: Duration = Duration::from_secs(1);
/// The least that is waited before a query has failed: answers that came this late are still worth having.
const GIVE_UP_MIN: Duration = Duration::from_secs(2);
/// The most that is waited for an answer.
const GIVE_UP_MAX: Duration = Duration::from_secs(5);
/// How many samples the averages look back, about. More than the few of RFC 6298, since each sample is of another node.
const WINDOW: u64 = 16;

/// The mean and the mean deviation of round-trip times, over all nodes of a side: Jacobson's estimate (RFC 6298) with a longer memory.
///
/// Two time-outs follow from it, as in Jimenez et al., "Sub-second lookups on a large-scale Kademlia-based overlay" (2011): after
/// the short one another node is asked as well, and only after the long one the query has failed. Every answer must be counted
/// that comes before the long one: were the slow ones left out, the short one would shrink with each round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rtt {
    /// In microseconds, as the next.
    mean: u64,
    deviation: u64,
    /// How many there were, up to `WINDOW`.
    samples: u64,
}

impl Rtt {
    /// Makes one that knows nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the time from a query to its answer.
    pub(crate) fn on_sample(&mut self, rtt: Duration) {
        // Below 5 s, so nothing here comes near an overflow.
        let rtt = u64::try_from(rtt.min(GIVE_UP_MAX).as_micros()).unwrap_or(u64::MAX);
        if self.samples == 0 {
            *self = Self { mean: rtt, deviation: rtt / 2, samples: 1 };
            return;
        }
        self.samples = (self.samples + 1).min(WINDOW);
        let weigh = |old: u64, new: u64| (old * (self.samples - 1) + new) / self.samples;
        self.deviation = weigh(self.deviation, self.mean.abs_diff(rtt));
        self.mean = weigh(self.mean, rtt);
    }

    /// Gives the time after which a query is slow and another node is asked in its place: the mean and four mean deviations,
    /// 50 ms to 1 s; 500 ms as long as nothing is known.
    pub(crate) fn slow_after(&self) -> Duration {
        match self.samples {
            0 => UNKNOWN,
            _ => Duration::from_micros(self.mean + 4 * self.deviation).clamp(SLOW_MIN, SLOW_MAX),
        }
    }

    /// Gives the time after which a query has failed: four times [`slow_after`](Self::slow_after), 2 to 5 s; 5 s as long as nothing is known,
    /// for what comes later than that says nothing, and on a slow line nothing would ever be known.
    pub(crate) fn give_up_after(&self) -> Duration {
        match self.samples {
            0 => GIVE_UP_MAX,
            _ => (4 * self.slow_after()).clamp(GIVE_UP_MIN, GIVE_UP_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Rng;
    use proptest::prelude::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn before_anything_is_known_half_a_second_is_waited() {
        assert_eq!((Rtt::new().slow_after(), Rtt::new().give_up_after()), (millis(500), millis(5000)));
    }

    #[test]
    fn a_fast_network_shortens_the_wait_and_a_slow_one_lengthens_it() {
        let mut rtt = Rtt::new();
        rtt.on_sample(millis(1));
        assert_eq!(rtt.slow_after(), millis(50));
        (0..100).for_each(|_| rtt.on_sample(millis(400)));
        assert!((millis(400)..millis(450)).contains(&rtt.slow_after()), "{rtt:?}");
        (0..100).for_each(|_| rtt.on_sample(Duration::from_secs(100_000)));
        assert_eq!((rtt.slow_after(), rtt.give_up_after()), (millis(1000), millis(4000)));
        (0..300).for_each(|_| rtt.on_sample(millis(1)));
        assert_eq!((rtt.slow_after(), rtt.give_up_after()), (millis(50), millis(2000)));
    }

    #[test]
    fn few_answers_of_a_mixed_network_come_after_the_wait() {
        // Near nodes and far ones, in no order: most answer in 30 to 150 ms, every tenth in 300.
        let (mut rng, mut rtt, mut late) = (Rng::new(1), Rtt::new(), 0);
        for n in 0..10_000 {
            let sample = if rng.below(10) == 0 { 300 } else { 30 + rng.below(120) };
            let sample = millis(u64::from(sample));
            late += u32::from(n >= 100 && sample > rtt.slow_after());
            rtt.on_sample(sample);
        }
        assert!(late < 400, "{late}");
        assert!(rtt.slow_after() < millis(600), "{rtt:?}");
    }

    proptest! {
        #[test]
        fn a_query_is_always_slow_before_it_has_failed(samples: Vec<u64>) {
            let mut rtt = Rtt::new();
            for sample in samples {
                rtt.on_sample(Duration::from_micros(sample));
                prop_assert!((millis(50)..=millis(1000)).contains(&rtt.slow_after()));
                prop_assert!((millis(2000)..=millis(5000)).contains(&rtt.give_up_after()));
                prop_assert!(rtt.slow_after() < rtt.give_up_after());
            }
        }
    }
}
