//! The one clock.
#![allow(clippy::disallowed_methods)] // everybody else is given `now`

use crate::machine::Instant;
use std::time::Duration;

/// The time at which a clock starts, in microseconds (12.7 days): so that [`Instant::ZERO`] is "long ago" from the first turn on.
const START: Instant = Instant::from_micros(1 << 40);

/// The time as machines see it. Copies share one epoch, so that reactors with copies of a clock mean the same by an instant.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: std::time::Instant,
}

impl Clock {
    /// Starts a clock.
    pub fn new() -> Self {
        Self { epoch: std::time::Instant::now() }
    }

    /// Reads the clock. It never goes backwards.
    pub fn now(&self) -> Instant {
        START + self.epoch.elapsed()
    }

    /// Gives the time left until an instant; zero if it has passed.
    pub fn until(&self, at: Instant) -> Duration {
        at.since(self.now())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zero_of_time_is_long_ago_and_copies_agree() {
        let clock = Clock::new();
        let copy = clock;
        let a = clock.now();
        let b = copy.now();
        assert!(b >= a && a.since(Instant::ZERO) > Duration::from_secs(86_400));
        assert_eq!(clock.until(Instant::ZERO), Duration::ZERO);
    }
}
