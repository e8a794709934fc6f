//! How many requests to keep open to one peer, and when it is too slow to answer.

use crate::machine::Instant;
use crate::proto::geometry::BLOCK_LENGTH;
use std::collections::VecDeque;
use std::time::Duration;

/// The shortest time over which a rate is measured.
const SHORTEST_ROUND: Duration = Duration::from_millis(20);
/// Rounds whose best rate counts.
const ROUNDS: usize = 4;
/// The longest time that a peer should be busy with what it was asked for; but a slower one has a request all the same.
const LONGEST_QUEUE: Duration = Duration::from_secs(4);
/// How many times [`stall_after`](PipelineConfig::stall_after) a block may take from a peer that sends a little of it now and then.
const SLOWEST_BLOCK: u32 = 12;

/// The bounds of a [`Pipeline`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineConfig {
    /// The fewest requests open to a peer that answers. At least 1.
    pub min: usize,
    /// How many requests a new peer gets, and one that had stalled.
    pub first: usize,
    /// The most requests open to a peer: clients drop or punish more than they announce (500 is what most take unannounced).
    pub max: usize,
    /// How long the peer should be busy with what it was asked for, on top of two latencies. A peer whose answers take longer
    /// than that although it has bandwidth to spare is not filled.
    pub queue_time: Duration,
    /// How long requests may be open without a byte of a block before the peer counts as stalled, and a twelfth of how long they
    /// may be open without a whole block: one that trickles is not to hold what others could send.
    pub stall_after: Duration,
}

impl Default for PipelineConfig {
    /// From 1 to 500 requests, 4 at first, half a second queued, stalled after 20 s without a byte or 4 min without a block.
    ///
    /// 500 requests fill 100 Mbit/s at a round trip of 600 ms, or 1 Gbit/s at 60 ms.
    fn default() -> Self {
        Self {
            min: 1,
            first: 4,
            max: 500,
            queue_time: Duration::from_millis(500),
            stall_after: Duration::from_secs(20),
        }
    }
}

/// Measures how a peer answers, and says how many requests should be open to it.
///
/// What it tracks: when the open requests were sent, oldest first, and the blocks that come, in *rounds*: the time until the
/// request that was sent last as the round began is answered, at least 20 ms. A round gives a rate. Requests and blocks are paired in order; a peer
/// that answers in another order is measured right on average.
///
/// The depth begins at [`first`](PipelineConfig::first) and grows by one with each block, which doubles it with each latency, for as
/// long as rounds bring a quarter more than the one before. From then on it is what the peer sends, at the best rate of four rounds, in the
/// least latency seen, twice, plus [`queue_time`](PipelineConfig::queue_time); but no more than it sends in 4 s, so that a slow peer
/// holds a block or two. Rounds in which we ran out of requests show our own
/// limits and not the peer's; they can raise the rate but not lower it.
///
/// ```
/// use bip::machine::Instant;
/// use bip::select::{Pipeline, PipelineConfig};
/// use std::time::Duration;
///
/// let mut pipeline = Pipeline::new(PipelineConfig::default());
/// let mut now = Instant::ZERO;
/// assert_eq!(pipeline.room(), 4);
/// pipeline.on_sent(now, 4);
/// assert_eq!(pipeline.room(), 0);
/// now += Duration::from_millis(30);
/// assert_eq!(pipeline.due_in(now, 0), Duration::from_millis(30));
/// pipeline.on_block(now, 16 * 1024);
/// assert_eq!((pipeline.depth(), pipeline.room()), (5, 2));
/// now += Duration::from_secs(20);
/// assert!(pipeline.is_stalled(now));
/// ```
#[derive(Debug, Clone)]
pub struct Pipeline {
    config: PipelineConfig,
    /// When open requests were sent, and how many at that time.
    sent: VecDeque<(Instant, usize)>,
    open: usize,
    depth: usize,
    /// Whether the depth still doubles.
    opening: bool,
    least_latency: Option<Duration>,
    round: Round,
    /// Bytes per second of the last rounds.
    rates: VecDeque<u64>,
    /// When the peer last showed that it works, or began to have something to do.
    active: Instant,
    /// The same for whole blocks.
    whole: Instant,
    /// Since when the peer has been asked and has sent no whole block.
    unanswered: Option<Instant>,
    /// Since when no request is open although none was answered: for that long the peer is not to blame.
    unasked: Option<Instant>,
    stalled: bool,
}

/// A measurement under way.
#[derive(Debug, Clone, Copy)]
struct Round {
    began: Instant,
    /// Blocks until the request that was sent last as the round began is answered.
    until: usize,
    bytes: u64,
    /// Whether all requests were answered at some time: the peer had to wait for us.
    starved: bool,
}

impl Pipeline {
    /// Makes the pipeline of a peer that was asked for nothing yet.
    pub fn new(config: PipelineConfig) -> Self {
        let min = config.min.max(1);
        let max = config.max.max(min);
        let config = PipelineConfig { min, max, first: config.first.clamp(min, max), ..config };
        Self {
            config,
            sent: VecDeque::new(),
            open: 0,
            depth: config.first,
            opening: true,
            least_latency: None,
            round: Round { began: Instant::ZERO, until: 0, bytes: 0, starved: true },
            rates: VecDeque::new(),
            active: Instant::ZERO,
            whole: Instant::ZERO,
            unanswered: None,
            unasked: None,
            stalled: false,
        }
    }

    /// Gives how many requests should be open: 1 while the peer stalls.
    pub fn depth(&self) -> usize {
        if self.stalled { 1 } else { self.depth }
    }

    /// Gives how many requests are open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Gives how many requests should be sent now.
    pub fn room(&self) -> usize {
        self.depth().saturating_sub(self.open)
    }

    /// Gives the bytes per second that the peer can send, as measured; 0 before the first measurement.
    pub fn rate(&self) -> u64 {
        self.rates.iter().copied().max().unwrap_or(0)
    }

    /// Takes note of requests sent.
    pub fn on_sent(&mut self, now: Instant, count: usize) {
        if count == 0 {
            return;
        }
        if self.open == 0 {
            match (self.unasked.take(), self.unanswered) {
                (Some(at), Some(unanswered)) => {
                    let pause = now.since(at);
                    self.unanswered = Some(unanswered + pause);
                    (self.active, self.whole) = (self.active + pause, self.whole + pause);
                }
                _ => (self.active, self.whole, self.unanswered) = (now, now, Some(now)),
            }
            self.round = Round { began: now, until: count, bytes: 0, starved: false };
        }
        self.open += count;
        match self.sent.back_mut() {
            Some((at, many)) if *at == now => *many += count,
            _ => self.sent.push_back((now, count)),
        }
    }

    /// Takes note that the peer works, however slowly: a part of a wanted block came. A whole block has to come all the same.
    pub fn on_alive(&mut self, now: Instant) {
        self.active = now;
    }

    /// Takes note of a whole block that had been asked for and given to others since: the peer works, but no open request is
    /// answered.
    pub fn on_late_block(&mut self, now: Instant, bytes: u32) {
        (self.active, self.whole, self.unasked) = (now, now, None);
        self.unanswered = (self.open > 0).then_some(now);
        self.stalled = false;
        self.round.bytes += u64::from(bytes);
    }

    /// Takes note of a block that came, asked for or not.
    pub fn on_block(&mut self, now: Instant, bytes: u32) {
        self.on_late_block(now, bytes);
        self.round.until = self.round.until.saturating_sub(1);
        let mut waited = Duration::ZERO;
        if let Some((at, many)) = self.sent.front_mut() {
            let latency = now.since(*at);
            waited = latency;
            self.least_latency = Some(self.least_latency.map_or(latency, |least| least.min(latency)));
            *many -= 1;
            if *many == 0 {
                self.sent.pop_front();
            }
            self.open -= 1;
        }
        if self.open == 0 {
            self.round.starved = true;
            self.unanswered = None;
        }
        if self.round.until == 0 && now.since(self.round.began) >= SHORTEST_ROUND {
            self.end_round(now);
        }
        self.depth = match self.opening {
            // It is slow, however long it may take until that is measured.
            true if waited > LONGEST_QUEUE => (self.depth - 1).max(self.config.min),
            true => (self.depth + 1).min(self.config.max),
            false => (self.depth + 1).min(self.target()),
        };
    }

    /// Takes note that a request was cancelled or refused: it will not be answered.
    pub fn on_cancelled(&mut self, now: Instant) {
        if let Some((_, many)) = self.sent.back_mut() {
            *many -= 1;
            if *many == 0 {
                self.sent.pop_back();
            }
            self.open -= 1;
            self.round.until = self.round.until.min(self.open);
        }
        self.round.starved |= self.open == 0;
        if self.open == 0 {
            self.unasked.get_or_insert(now);
        }
    }

    /// Takes note that no open request will be answered: the peer choked us.
    pub fn on_cleared(&mut self) {
        self.sent.clear();
        self.open = 0;
        self.round.starved = true;
        (self.unanswered, self.unasked) = (None, None);
    }

    /// Takes note that the peer was found stalled and its requests were given to others: until its next block it is asked for
    /// one block at a time.
    pub fn on_stalled(&mut self, now: Instant) {
        let unanswered = self.unanswered;
        self.on_cleared();
        // It has still not answered, and what it is tried with next has as much time as this had.
        (self.unanswered, self.unasked) = (unanswered, Some(now));
        (self.active, self.whole) = (now, now);
        self.stalled = true;
        self.depth = self.config.first;
        self.rates.clear();
    }

    /// Says whether requests are open and nothing of a block, or no whole one, has come for too long.
    pub fn is_stalled(&self, now: Instant) -> bool {
        self.stalls_at().is_some_and(|at| at <= now)
    }

    /// Gives when the peer counts as stalled unless something comes; `None` where no request is open.
    pub fn stalls_at(&self) -> Option<Instant> {
        let stall_after = self.config.stall_after;
        let at = (self.active + stall_after).min(self.whole + stall_after.saturating_mul(SLOWEST_BLOCK));
        (self.open > 0).then_some(at)
    }

    /// Gives for how long the peer has been asked without sending a whole block, not counting the time in which it was asked for
    /// nothing.
    pub fn unanswered(&self, now: Instant) -> Duration {
        self.unanswered.map_or(Duration::ZERO, |since| self.unasked.unwrap_or(now).since(since))
    }

    /// Gives how long it should take until the request is answered before which `place` others are open; with as many as are
    /// [`open`](Self::open), of one that is sent now.
    ///
    /// It is reckoned that a peer sends at the measured rate, once it has been silent for as long again as it has been silent too long by
    /// now: so one that gives nothing looks worse the longer that lasts. A peer that was never measured is judged by what it has
    /// sent so far, and one that has sent nothing by its silence alone.
    pub fn due_in(&self, now: Instant, place: usize) -> Duration {
        let (block_time, latency) = (self.block_time_by(now), self.least_latency.unwrap_or_default());
        let silence = if self.open > 0 { now.since(self.whole) } else { Duration::ZERO };
        let blocks = u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1);
        // What is asked for now has a latency before it; what is open has most of that behind it.
        let ahead = if place >= self.open { latency } else { Duration::ZERO };
        silence.saturating_sub(block_time.max(latency)).saturating_add(block_time.saturating_mul(blocks)) + ahead
    }

    /// Gives how long the peer takes for a block at the measured rate, if there is one.
    pub fn block_time(&self) -> Option<Duration> {
        let rate = self.rate();
        (rate > 0).then(|| Duration::from_micros(u64::from(BLOCK_LENGTH) * 1_000_000 / rate))
    }

    /// The same, by what has come of the first round where none is over.
    fn block_time_by(&self, now: Instant) -> Duration {
        let of_round = || {
            let blocks = u32::try_from(self.round.bytes / u64::from(BLOCK_LENGTH)).unwrap_or(u32::MAX);
            now.since(self.round.began).checked_div(blocks).unwrap_or_default()
        };
        self.block_time().unwrap_or_else(of_round)
    }

    /// Says whether the peer was found stalled and has sent no block since.
    pub fn has_stalled(&self) -> bool {
        self.stalled
    }

    /// Takes note that the peer could not be read from, at our own wish: the time until now does not count as its silence.
    pub fn on_resumed(&mut self, now: Instant) {
        (self.active, self.whole) = (now, now);
        self.unanswered = self.unanswered.map(|_| now);
        self.round.starved = true;
    }

    fn end_round(&mut self, now: Instant) {
        let micros = now.since(self.round.began).as_micros().max(1);
        let rate = u64::try_from(u128::from(self.round.bytes) * 1_000_000 / micros).unwrap_or(u64::MAX);
        let best = self.rate();
        if !self.round.starved || rate > best {
            if self.opening && !self.round.starved && rate < best.saturating_add(best / 4) {
                self.opening = false;
            }
            self.rates.push_back(rate);
            if self.rates.len() > ROUNDS {
                self.rates.pop_front();
            }
        }
        self.round = Round { began: now, until: self.open.max(1), bytes: 0, starved: self.open == 0 };
    }

    /// Gives the depth that the measurements call for.
    fn target(&self) -> usize {
        let ahead = self.config.queue_time + self.least_latency.unwrap_or_default() * 2;
        let bytes = u128::from(self.rate()) * ahead.as_micros() / 1_000_000;
        let most = u128::from(self.rate()) * LONGEST_QUEUE.as_micros() / 1_000_000;
        let blocks = usize::try_from(bytes.min(most) / u128::from(BLOCK_LENGTH)).unwrap_or(usize::MAX);
        blocks.clamp(self.config.min, self.config.max)
    }
}

#[cfg(test)]
mod tests;
