//! Which torrents we know peers of, for whoever asks (BEP 51).

use crate::dht::draw::Draw;
use crate::dht::memory::Heap as _;
use crate::machine::{Instant, Rng};
use crate::proto::id::InfoHash;
use crate::proto::krpc::MAX_INTERVAL;
use std::time::Duration;

/// Torrents that we know peers of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sample<'a> {
    /// After how many seconds there may be others: 0 to 21,600.
    pub(crate) interval: u32,
    /// How many torrents there are.
    pub(crate) num: usize,
    /// Some of them, in no order that means anything; all where they fit.
    pub(crate) hashes: &'a [InfoHash],
}

/// What was drawn, and when.
#[derive(Debug, Default)]
pub(super) struct Samples {
    drawn: Option<Instant>,
    hashes: Vec<InfoHash>,
}

impl Samples {
    pub(super) fn heap(&self) -> usize {
        self.hashes.heap()
    }

    /// Gives the sample, drawn anew where it is time: `count` torrents of `num`, which `hash` gives by their number.
    pub(super) fn get(
        &mut self,
        now: Instant,
        (interval, count): (Duration, usize),
        num: usize,
        hash: impl Fn(usize) -> InfoHash,
        (rng, draw): (&mut Rng, &mut Draw),
    ) -> Sample<'_> {
        let interval = u32::try_from(interval.as_secs()).unwrap_or(MAX_INTERVAL).min(MAX_INTERVAL);
        let age = self.drawn.map(|at| now.since(at));
        // All of them are no secret that asking often betrays.
        if num <= count || age.is_none_or(|age| age >= Duration::from_secs(interval.into())) {
            self.drawn = (num > count).then_some(now);
            self.hashes.clear();
            draw.distinct(rng, num, count, |at| self.hashes.push(hash(at)));
        }
        Sample { interval, num, hashes: &self.hashes }
    }
}
