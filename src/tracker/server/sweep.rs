//! Looking for those who are over, a slice at a time.

use super::swarms::Swarms;
use crate::machine::Instant;
use std::sync::Arc;
use std::time::Duration;

/// How long one portion of the work lasts.
const PORTION: Duration = Duration::from_secs(1);
/// How many are looked at in one call: for well under a millisecond.
const SLICE: usize = 2_048;
/// How long others are served before the next call.
const PAUSE: Duration = Duration::from_millis(2);

/// One machine's part of the work. It is divided among all that have one of these.
#[derive(Debug)]
pub(super) struct Sweep {
    swarms: Arc<Swarms>,
    /// When the next slice is, and the next portion.
    at: Instant,
    next: Instant,
    /// How many of this portion are still to be looked at.
    left: usize,
}

impl Sweep {
    pub(super) fn new(now: Instant, swarms: Arc<Swarms>) -> Self {
        swarms.join_sweep();
        Self { swarms, at: now + PORTION, next: now + PORTION, left: 0 }
    }

    /// Gives when the next slice is.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Looks at a slice. Says whether there is anything left that could be over some time.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        if self.left == 0 {
            if self.swarms.is_empty() {
                return false;
            }
            self.left = self.swarms.portion();
            // From when it was due, so that a little lateness does not add up.
            let begun = if now.since(self.at) < PORTION { self.at } else { now };
            self.next = begun + PORTION;
        }
        let seen = self.swarms.sweep(now, self.left.min(SLICE));
        // When all have been seen there is no need to go on.
        self.left = if seen == 0 { 0 } else { self.left.saturating_sub(seen) };
        let soon = now + PAUSE;
        self.at = if self.left > 0 { soon } else { self.next.max(soon) };
        true
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.swarms.leave_sweep();
    }
}
