use super::*;
use std::collections::BTreeMap;

/// A peer behind a link, on virtual time, that answers in order; the depth is topped up after each block.
struct Link {
    pipeline: Pipeline,
    now: Instant,
    /// Time from a request to the first byte of its answer when nothing is queued.
    latency: Duration,
    /// Time that a block takes on the link.
    per_block: Duration,
    /// When the link is free again.
    free: Instant,
    arriving: VecDeque<Instant>,
    blocks: u64,
    by_depth: BTreeMap<usize, u64>,
}

impl Link {
    fn new(latency: Duration, bytes_per_second: u64) -> Self {
        Self {
            pipeline: Pipeline::new(PipelineConfig::default()),
            now: Instant::from_micros(1),
            latency,
            per_block: Duration::from_nanos(u64::from(BLOCK_LENGTH) * 1_000_000_000 / bytes_per_second),
            free: Instant::ZERO,
            arriving: VecDeque::new(),
            blocks: 0,
            by_depth: BTreeMap::new(),
        }
    }

    fn run(&mut self, time: Duration) -> u64 {
        let (end, before) = (self.now + time, self.blocks);
        while self.now < end {
            let room = self.pipeline.room();
            self.pipeline.on_sent(self.now, room);
            for _ in 0..room {
                self.free = self.free.max(self.now + self.latency) + self.per_block;
                self.arriving.push_back(self.free);
            }
            self.now = self.now.max(self.arriving.pop_front().unwrap());
            self.pipeline.on_block(self.now, BLOCK_LENGTH);
            self.blocks += 1;
            *self.by_depth.entry(self.pipeline.depth()).or_default() += 1;
        }
        (self.blocks - before) * u64::from(BLOCK_LENGTH)
    }
}

#[test]
fn a_link_of_200_ms_and_100_mbit_is_filled_within_three_seconds_and_stays_full() {
    let mut link = Link::new(Duration::from_millis(200), 12_500_000);
    link.run(Duration::from_secs(3));
    assert!(link.pipeline.depth() >= 160, "{}", link.pipeline.depth());
    let bytes = link.run(Duration::from_secs(60));
    assert!(bytes >= 60 * 12_500_000 * 99 / 100, "{bytes}");
}

#[test]
fn a_fast_loopback_link_gets_the_deepest_pipeline_at_once() {
    let mut link = Link::new(Duration::from_micros(60), 2_000_000_000);
    link.run(Duration::from_millis(50));
    assert_eq!(link.pipeline.depth(), 500);
    let bytes = link.run(Duration::from_secs(1));
    assert!(bytes > 1_900_000_000, "{bytes}");
}

#[test]
fn a_long_fast_link_is_nine_tenths_full_after_ten_round_trips() {
    let mut link = Link::new(Duration::from_millis(200), 12_500_000);
    link.run(Duration::from_secs(2));
    let bytes = link.run(Duration::from_secs(1));
    assert!(bytes >= 12_500_000 * 9 / 10, "{bytes}");
    assert!(link.pipeline.depth() <= 500);
}

#[test]
fn a_slow_peer_holds_few_blocks_and_is_kept_busy() {
    for (rate, most) in [(500, 1), (5_000, 1), (8_300, 2), (50_000, 6), (500_000, 25)] {
        let mut link = Link::new(Duration::from_millis(50), rate);
        link.run(Duration::from_secs(200));
        link.by_depth.clear();
        let bytes = link.run(Duration::from_secs(400));
        assert!(bytes + u64::from(BLOCK_LENGTH) >= rate * 400 * 95 / 100, "{bytes} of {rate}/s");
        assert!(link.by_depth.keys().all(|depth| (1..=most).contains(depth)), "{rate}: {:?}", link.by_depth);
        // What it was asked for takes four seconds, or is a single block.
        let drained = most as u64 * u64::from(BLOCK_LENGTH) / rate;
        assert!(most == 1 || drained <= 4);
    }
}

#[test]
fn an_answer_is_due_at_the_measured_rate_and_later_the_longer_a_peer_is_silent() {
    let (latency, rate) = (Duration::from_millis(100), 163_840);
    let mut link = Link::new(latency, rate);
    link.run(Duration::from_secs(20));
    let (pipeline, now) = (&link.pipeline, link.now);
    let block = pipeline.block_time().unwrap().as_millis();
    assert!((95..=105).contains(&block), "{block}");
    // What is asked for now waits for all that is open, and a round trip.
    let last = pipeline.due_in(now, pipeline.open()).as_millis();
    assert!((block * (pipeline.open() as u128 + 1) + 200).abs_diff(last) <= 20, "{last}");
    let first = |after: u64| pipeline.due_in(now + Duration::from_secs(after), 0).as_secs();
    assert_eq!((first(0), first(10), first(60)), (0, 9, 59));
    // What was given to others does not count.
    let mut idle = Pipeline::new(PipelineConfig::default());
    assert_eq!(idle.due_in(now, 0), Duration::ZERO);
    idle.on_sent(now, 1);
    idle.on_cancelled(now);
    assert_eq!(idle.due_in(now + Duration::from_secs(9), 0), Duration::ZERO);
}

#[test]
fn only_the_time_in_which_a_peer_is_asked_counts_as_unanswered() {
    let mut pipeline = Pipeline::new(PipelineConfig::default());
    let at = |s| Instant::ZERO + Duration::from_secs(s);
    assert_eq!(pipeline.unanswered(at(1_000)), Duration::ZERO);
    pipeline.on_sent(at(1_000), 2);
    pipeline.on_cancelled(at(1_005));
    pipeline.on_cancelled(at(1_008));
    // Asked for eight seconds, for nothing for a hundred, then again.
    assert_eq!(pipeline.unanswered(at(1_050)), Duration::from_secs(8));
    pipeline.on_sent(at(1_108), 1);
    assert_eq!(pipeline.unanswered(at(1_110)), Duration::from_secs(10));
    assert_eq!((pipeline.is_stalled(at(1_119)), pipeline.is_stalled(at(1_120))), (false, true));
    pipeline.on_stalled(at(1_120));
    // What it is tried with has all of the time again, and it has still not answered.
    pipeline.on_sent(at(1_121), 1);
    assert_eq!(pipeline.stalls_at(), Some(at(1_141)));
    assert_eq!(pipeline.unanswered(at(1_131)), Duration::from_secs(30));
    pipeline.on_block(at(1_132), BLOCK_LENGTH);
    assert_eq!(pipeline.unanswered(at(2_000)), Duration::ZERO);
    // A choke takes all back.
    pipeline.on_sent(at(2_000), 1);
    pipeline.on_cleared();
    assert_eq!(pipeline.unanswered(at(3_000)), Duration::ZERO);
    pipeline.on_sent(at(3_000), 1);
    assert_eq!(pipeline.unanswered(at(3_001)), Duration::from_secs(1));
}

#[test]
fn a_link_that_becomes_faster_is_filled_again_and_one_that_becomes_slower_is_drained() {
    let mut link = Link::new(Duration::from_millis(100), 200_000);
    link.run(Duration::from_secs(20));
    assert!(link.pipeline.depth() < 20, "{}", link.pipeline.depth());
    link.per_block = Duration::from_micros(1638);
    link.run(Duration::from_secs(20));
    let bytes = link.run(Duration::from_secs(10));
    assert!(bytes > 99_000_000, "{bytes}");
    link.per_block = Duration::from_micros(81_900);
    link.run(Duration::from_secs(200));
    assert!(link.pipeline.depth() < 20, "{}", link.pipeline.depth());
}

#[test]
fn a_wait_of_our_own_does_not_make_the_peer_look_slow() {
    let mut link = Link::new(Duration::from_millis(20), 10_000_000);
    link.run(Duration::from_secs(5));
    let before = link.pipeline.depth();
    for _ in 0..50 {
        // Answered to the last, then a second in which there was nothing to ask for.
        while link.pipeline.open() > 0 {
            link.now += link.per_block;
            link.pipeline.on_block(link.now, BLOCK_LENGTH);
        }
        link.now += Duration::from_secs(1);
        link.pipeline.on_sent(link.now, 1);
        link.now += Duration::from_millis(30);
        link.pipeline.on_block(link.now, BLOCK_LENGTH);
    }
    assert!(link.pipeline.depth() >= before * 3 / 4, "{before} became {}", link.pipeline.depth());
}

#[test]
fn a_silent_peer_stalls_and_is_tried_with_one_block_until_it_answers() {
    let mut pipeline = Pipeline::new(PipelineConfig::default());
    let at = |s| Instant::ZERO + Duration::from_secs(s);
    assert!(!pipeline.is_stalled(at(1_000)) && pipeline.stalls_at().is_none());
    pipeline.on_sent(at(1_000), 4);
    pipeline.on_block(at(1_010), BLOCK_LENGTH);
    assert!(!pipeline.is_stalled(at(1_029)));
    assert!(pipeline.is_stalled(at(1_030)));
    pipeline.on_stalled(at(1_030));
    assert_eq!((pipeline.open(), pipeline.room(), pipeline.stalls_at()), (0, 1, None));
    pipeline.on_sent(at(1_031), 1);
    assert_eq!(pipeline.room(), 0);
    // A block that comes at last frees it.
    pipeline.on_block(at(1_034), BLOCK_LENGTH);
    assert!(pipeline.room() >= 4);
}

#[test]
fn a_trickle_keeps_a_peer_from_stalling_for_twelve_times_as_long_and_no_longer() {
    let mut pipeline = Pipeline::new(PipelineConfig::default());
    let at = |s| Instant::ZERO + Duration::from_secs(s);
    pipeline.on_sent(at(1_000), 4);
    for s in (1_019..1_240).step_by(19) {
        assert!(!pipeline.is_stalled(at(s)), "{s}");
        pipeline.on_alive(at(s));
    }
    assert!(pipeline.is_stalled(at(1_240)));
    pipeline.on_stalled(at(1_240));
    pipeline.on_sent(at(1_241), 1);
    // Only a whole block makes up for it.
    pipeline.on_alive(at(1_242));
    assert_eq!(pipeline.room(), 0);
    pipeline.on_late_block(at(1_243), BLOCK_LENGTH);
    assert_eq!((pipeline.open(), pipeline.room()), (1, 3));
}

#[test]
fn blocks_and_cancels_beyond_what_was_asked_for_do_no_harm() {
    let mut pipeline = Pipeline::new(PipelineConfig { min: 0, max: 0, ..PipelineConfig::default() });
    pipeline.on_block(Instant::ZERO, BLOCK_LENGTH);
    pipeline.on_cancelled(Instant::ZERO);
    pipeline.on_sent(Instant::ZERO, 0);
    pipeline.on_sent(Instant::ZERO, 3);
    pipeline.on_cancelled(Instant::ZERO);
    assert_eq!((pipeline.open(), pipeline.room()), (2, 0));
    pipeline.on_cleared();
    pipeline.on_block(Instant::NEVER, u32::MAX);
    assert_eq!((pipeline.open(), pipeline.depth()), (0, 1));
}
