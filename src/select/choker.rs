//! Whom to serve.

use super::Peer;
use crate::machine::{Instant, Rng};
use std::cmp::Reverse;
use std::time::Duration;

/// How many times as likely as others a newcomer gets the next optimistic slot (BEP 3).
const NEWCOMER: u64 = 3;

/// The bounds of a [`Choker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChokerConfig {
    /// How many peers are served at the same time because of what they give us.
    pub slots: usize,
    /// How many more are served in turn, whatever they give. With 0 of both nobody is served.
    pub optimistic_slots: usize,
    /// How often [`Choker::rotate`] is called.
    pub round: Duration,
    /// How long an optimistic slot is kept; and, of a torrent that is only uploaded, any slot, if others wait.
    pub turn: Duration,
    /// How many bytes end a turn of at least a round sooner, where a torrent is only uploaded.
    pub quota: u64,
}

impl Default for ChokerConfig {
    /// 4 slots and an optimistic one, rounds of 10 s, turns of 30 s or 20 blocks.
    fn default() -> Self {
        Self {
            slots: 4,
            optimistic_slots: 1,
            round: Duration::from_secs(10),
            turn: Duration::from_secs(30),
            quota: 20 * 16 * 1024,
        }
    }
}

/// What is known of a peer that may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The peer.
    pub peer: Peer,
    /// Whether it is interested in what we have.
    pub interested: bool,
    /// Whether we serve it.
    pub unchoked: bool,
    /// When it was unchoked; of a choked peer, when it began to wait: as it became interested or was choked, whichever was later.
    pub since: Instant,
    /// Since when it has had an optimistic slot, if it has one.
    pub optimistic: Option<Instant>,
    /// Whether it was never served.
    pub newcomer: bool,
    /// Whether it owes us blocks and has sent none for long.
    pub snubs: bool,
    /// Bytes per second: that it gives us where we download, that it takes where we do not.
    pub rate: u64,
    /// Bytes that it was given since it was unchoked.
    pub given: u64,
}

/// What decides who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// What peers give us: the torrent is downloaded.
    Download,
    /// That everybody gets a share: the torrent is only uploaded.
    Upload,
}

/// Who is to be choked and who unchoked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Peers to choke, before any is unchoked.
    pub choke: Vec<Peer>,
    /// Peers to unchoke.
    pub unchoke: Vec<Peer>,
    /// All who have an optimistic slot from now on.
    pub optimistic: Vec<Peer>,
}

/// Decides whom to serve: all who are interested while slots are free, else those who give most and others in turn (BEP 3).
///
/// Always, and at once ([`fill`](Self::fill)):
///
/// - A free slot is given to whoever has waited longest; the slot of a peer that has lost interest counts as free when
///   somebody waits for it. Nobody is choked while a slot is free.
///
/// At the end of a round ([`rotate`](Self::rotate)), while the torrent is downloaded:
///
/// - The regular slots go to the interested peers that give us most. One that is served counts for a quarter more than it gives, so that
///   equal ones do not take turns. One that [`snubs`](Candidate::snubs) us comes after all others. Of several who give nothing,
///   those come first who have been served for less than a round, then those who have waited longest.
/// - An optimistic slot is kept for a turn and then drawn anew among all others who are interested; a newcomer is three times as
///   likely to get it.
///
/// At the end of a round, while the torrent is only uploaded, all slots are alike:
///
/// - Those whose turn is over make room for those who have waited longest, as many as are needed: the slowest first. A turn is over
///   after [`turn`](ChokerConfig::turn), or after a round in which the peer got its [`quota`](ChokerConfig::quota). So of `w`
///   who wait for `s` slots nobody waits for more than `w / s` (rounded up) times a turn and a round.
///
/// It keeps no state: plain data in, a decision out. Work: sorts of the candidates.
///
/// ```
/// use bip::machine::{Instant, Rng};
/// use bip::select::{Candidate, Choker, ChokerConfig, Goal, Peer};
///
/// let choker = Choker::new(ChokerConfig { slots: 1, optimistic_slots: 0, ..ChokerConfig::default() });
/// let peer = |key, unchoked, rate| Candidate {
///     peer: Peer(key),
///     interested: true,
///     unchoked,
///     since: Instant::ZERO,
///     optimistic: None,
///     newcomer: false,
///     snubs: false,
///     rate,
///     given: 0,
/// };
/// assert_eq!(choker.fill(Instant::ZERO, Goal::Download, &[peer(7, false, 0)]).unchoke, [Peer(7)]);
/// // The slot is taken: the next one waits for the round, and has it if it gives more.
/// let both = [peer(7, true, 0), peer(8, false, 5_000)];
/// assert!(choker.fill(Instant::ZERO, Goal::Download, &both).unchoke.is_empty());
/// let decision = choker.rotate(Instant::ZERO, Goal::Download, &both, &mut Rng::new(1));
/// assert_eq!((decision.choke, decision.unchoke), (vec![Peer(7)], vec![Peer(8)]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choker {
    config: ChokerConfig,
}

impl Choker {
    /// Makes a choker.
    pub fn new(config: ChokerConfig) -> Self {
        Self { config }
    }

    /// Gives the bounds.
    pub fn config(&self) -> &ChokerConfig {
        &self.config
    }

    /// Decides after any change: a peer became interested or lost interest, came or went, or there are more or fewer slots. Of several
    /// who have waited equally long the first listed comes first.
    pub fn fill(&self, now: Instant, goal: Goal, candidates: &[Candidate]) -> Decision {
        self.decide(now, goal, candidates, |_| false)
    }

    /// Decides at the end of a round. Of several between whom nothing decides any may come first: a fixed order would favour the
    /// same peers each time.
    pub fn rotate(&self, now: Instant, goal: Goal, candidates: &[Candidate], rng: &mut Rng) -> Decision {
        let mut shuffled = candidates.to_vec();
        rng.shuffle(&mut shuffled);
        match goal {
            Goal::Download => self.reciprocate(now, shuffled, rng),
            Goal::Upload => self.decide(now, goal, &shuffled, |c| {
                let served = now.since(c.since);
                served >= self.config.turn || served >= self.config.round && c.given >= self.config.quota
            }),
        }
    }

    fn all_slots(&self) -> usize {
        self.config.slots.saturating_add(self.config.optimistic_slots)
    }

    /// Fills slots, taking those of the uninterested and of those whose turn is over where others wait.
    fn decide(
        &self,
        now: Instant,
        goal: Goal,
        candidates: &[Candidate],
        turn_is_over: impl Fn(&Candidate) -> bool,
    ) -> Decision {
        let (mut served, others): (Vec<Candidate>, Vec<Candidate>) = candidates.iter().partition(|c| c.unchoked);
        let mut waiting: Vec<Candidate> = others.into_iter().filter(|c| c.interested).collect();
        waiting.sort_by_key(|c| c.since);
        // Those who are to go come first.
        served.sort_by_key(|c| (c.interested, Reverse(c.snubs), c.rate, c.since));

        let slots = self.all_slots();
        let too_many = served.len().saturating_sub(slots);
        let mut needed = waiting.len().saturating_sub(slots.saturating_sub(served.len()));
        let mut decision = Decision::default();
        let mut kept = Vec::with_capacity(slots.min(candidates.len()));
        for (place, candidate) in served.into_iter().enumerate() {
            if place >= too_many {
                if needed == 0 || (candidate.interested && !turn_is_over(&candidate)) {
                    kept.push(candidate);
                    continue;
                }
                needed -= 1;
            }
            decision.choke.push(candidate.peer);
        }
        let free = slots - kept.len();
        waiting.truncate(free);
        decision.unchoke.extend(waiting.iter().map(|c| c.peer));
        if goal == Goal::Download {
            // Who comes in turn, and not for what it gave, has the optimistic slots, as long as its turn lasts.
            let over = |c: &Candidate| c.optimistic.is_some_and(|since| now.since(since) >= self.config.turn);
            let holders = kept.iter().filter(|c| c.interested && c.optimistic.is_some());
            let (over, fresh): (Vec<&Candidate>, Vec<&Candidate>) = holders.partition(|c| over(c));
            let holders = fresh.into_iter().chain(&waiting).chain(over);
            decision.optimistic.extend(holders.map(|c| c.peer).take(self.config.optimistic_slots));
        }
        decision
    }

    /// Gives the regular slots to those who give most, and the optimistic ones to others.
    fn reciprocate(&self, now: Instant, candidates: Vec<Candidate>, rng: &mut Rng) -> Decision {
        let (mut wanting, mut idle): (Vec<Candidate>, Vec<Candidate>) =
            candidates.into_iter().partition(|c| c.interested);
        let merit = |c: &Candidate| if c.unchoked { c.rate.saturating_add(c.rate / 4) } else { c.rate };
        wanting.sort_by_key(|c| {
            let young = c.unchoked && now.since(c.since) < self.config.round;
            // Who has waited long, or was served for a short time, comes first.
            let patience = if c.unchoked { Reverse(c.since) } else { Reverse(Instant::NEVER) };
            (c.snubs, Reverse(merit(c)), !young, patience, c.since)
        });
        let others = wanting.split_off(self.config.slots.min(wanting.len()));
        let mut decision = Decision::default();
        let on_turn = |c: &Candidate| c.optimistic.is_some_and(|since| now.since(since) < self.config.turn);
        let (mut optimistic, mut others): (Vec<Candidate>, Vec<Candidate>) = others.into_iter().partition(on_turn);
        others.extend(optimistic.drain(self.config.optimistic_slots.min(optimistic.len())..));
        while optimistic.len() < self.config.optimistic_slots && !others.is_empty() {
            optimistic.push(draw(&mut others, rng));
        }
        decision.optimistic.extend(optimistic.iter().map(|c| c.peer));

        // Those who are served without interest stay while there is room.
        idle.retain(|c| c.unchoked);
        idle.sort_by_key(|c| Reverse(c.since));
        let free = self.all_slots().saturating_sub(wanting.len() + optimistic.len());
        decision.choke.extend(idle.iter().skip(free).map(|c| c.peer));
        decision.choke.extend(others.iter().filter(|c| c.unchoked).map(|c| c.peer));
        decision.unchoke.extend(wanting.iter().chain(&optimistic).filter(|c| !c.unchoked).map(|c| c.peer));
        decision
    }
}

/// Takes out one by lot: a newcomer with [`NEWCOMER`] times the likelihood, and one whose turn has just ended only where there is
/// nobody else.
fn draw(others: &mut Vec<Candidate>, rng: &mut Rng) -> Candidate {
    let weight = |c: &Candidate, desperate: bool| match c {
        Candidate { optimistic: Some(_), .. } if !desperate => 0,
        Candidate { newcomer: true, .. } => NEWCOMER,
        _ => 1,
    };
    let desperate = others.iter().all(|c| weight(c, false) == 0);
    let sum: u64 = others.iter().map(|c| weight(c, desperate)).sum();
    let mut lot = u64::from(rng.below(u32::try_from(sum).unwrap_or(u32::MAX)));
    let drawn = others.iter().position(|c| {
        let weight = weight(c, desperate);
        let hit = lot < weight;
        lot = lot.saturating_sub(weight);
        hit
    });
    others.swap_remove(drawn.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_secs(10);

    fn config(slots: usize, optimistic_slots: usize) -> ChokerConfig {
        ChokerConfig { slots, optimistic_slots, ..ChokerConfig::default() }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn peer(key: u32, interested: bool, unchoked: bool, since: u64) -> Candidate {
        Candidate {
            peer: Peer(key),
            interested,
            unchoked,
            since: Instant::from_micros(since),
            optimistic: None,
            newcomer: false,
            snubs: false,
            rate: 0,
            given: 0,
        }
    }

    fn apply(candidates: &mut [Candidate], now: Instant, decision: &Decision) {
        for c in candidates {
            let (choke, unchoke) = (decision.choke.contains(&c.peer), decision.unchoke.contains(&c.peer));
            assert!(!choke || c.unchoked, "choked twice");
            assert!(!unchoke || (c.interested && !c.unchoked), "unchoked twice, or in vain");
            if choke || unchoke {
                (c.unchoked, c.since, c.given) = (unchoke, now, 0);
                c.newcomer &= !unchoke;
            }
            let optimistic = decision.optimistic.contains(&c.peer);
            assert!(!optimistic || (c.unchoked && c.interested), "an optimistic slot for one that is not served");
            c.optimistic = optimistic.then(|| c.optimistic.unwrap_or(now));
        }
    }

    fn served(candidates: &[Candidate]) -> Vec<u32> {
        candidates.iter().filter(|c| c.unchoked).map(|c| c.peer.0).collect()
    }

    #[test]
    fn a_free_slot_goes_at_once_to_who_waited_longest() {
        for goal in [Goal::Download, Goal::Upload] {
            let choker = Choker::new(config(1, 1));
            let mut all = [peer(1, true, false, 30), peer(2, true, false, 10), peer(3, true, false, 20)];
            let decision = choker.fill(at(0), goal, &all);
            assert_eq!(decision.unchoke, [Peer(2), Peer(3)]);
            apply(&mut all, Instant::from_micros(40), &decision);
            let decision = choker.fill(at(0), goal, &all);
            assert!(decision.choke.is_empty() && decision.unchoke.is_empty());
            // One of them has all that it needs: its slot goes to the one who waits.
            all[1].interested = false;
            let decision = choker.fill(at(0), goal, &all);
            assert_eq!((decision.choke, decision.unchoke), (vec![Peer(2)], vec![Peer(1)]));
        }
    }

    #[test]
    fn nobody_is_choked_while_slots_are_free_and_slots_are_never_exceeded() {
        let mut rng = Rng::new(9);
        for _ in 0..4_000 {
            let config = config(rng.below(5) as usize, rng.below(3) as usize);
            let slots = config.slots + config.optimistic_slots;
            let (choker, goal) = (Choker::new(config), [Goal::Download, Goal::Upload][rng.below(2) as usize]);
            let mut all: Vec<Candidate> = (0..rng.below(12))
                .map(|k| {
                    let unchoked = rng.below(2) == 0;
                    let optimistic = (unchoked && rng.below(4) == 0).then(|| at(u64::from(rng.below(40))));
                    Candidate {
                        optimistic,
                        newcomer: rng.below(3) == 0,
                        snubs: rng.below(4) == 0,
                        rate: u64::from(rng.below(4)),
                        given: u64::from(rng.below(2)) * 1_000_000,
                        ..peer(k, rng.below(2) == 0, unchoked, u64::from(rng.below(9)))
                    }
                })
                .collect();
            let now = at(u64::from(rng.below(4)) * 20);
            let before = served(&all).len();
            let decision =
                if rng.below(2) == 0 { choker.fill(now, goal, &all) } else { choker.rotate(now, goal, &all, &mut rng) };
            let waiting = all.iter().filter(|c| c.interested && !c.unchoked).count();
            if before + waiting <= slots {
                assert!(decision.choke.is_empty(), "{all:?}");
            }
            apply(&mut all, now, &decision);
            let after = served(&all).len();
            assert!(after <= slots && decision.optimistic.len() <= config.optimistic_slots);
            // Every choke of a peer within the slots made room for another.
            assert!(after >= before.min(slots), "{all:?}");
            let waits = all.iter().any(|c| c.interested && !c.unchoked && !decision.choke.contains(&c.peer));
            assert!(!waits || after == slots);
            assert!(!waits || all.iter().all(|c| c.interested || !c.unchoked));
        }
    }

    #[test]
    fn slots_go_to_those_who_give_most_and_a_free_rider_gets_an_optimistic_one_at_most() {
        let choker = Choker::new(config(4, 1));
        let mut rng = Rng::new(3);
        // Peers 0 to 5 give ever less, 6 to 9 nothing.
        let mut all: Vec<Candidate> = (0..10).map(|k| peer(k, true, false, u64::from(10 - k))).collect();
        (0..6).for_each(|k| all[k].rate = 60_000 - 10_000 * k as u64);
        let mut turns = [0u32; 10];
        for round in 0..3_000 {
            let now = at(10 * round);
            let decision = choker.rotate(now, Goal::Download, &all, &mut rng);
            apply(&mut all, now, &decision);
            if round > 0 {
                assert_eq!(served(&all)[..4], [0, 1, 2, 3], "round {round}");
            }
            served(&all).into_iter().for_each(|k| turns[k as usize] += 1);
        }
        // The six who are not among the best share one slot evenly, in turns of three rounds.
        assert!(turns[4..].iter().all(|n| (350..650).contains(n)), "{turns:?}");
    }

    #[test]
    fn two_equal_peers_keep_their_slots() {
        let choker = Choker::new(config(2, 0));
        let mut rng = Rng::new(3);
        let mut all: Vec<Candidate> = (0..3).map(|k| peer(k, true, k < 2, 0)).collect();
        for round in 1..100 {
            // Rates are measured, so they are never quite the same.
            all.iter_mut().for_each(|c| c.rate = 100_000 + u64::from(rng.below(10_000)));
            let decision = choker.rotate(at(10 * round), Goal::Download, &all, &mut rng);
            assert!(decision.choke.is_empty(), "round {round}");
        }
        // Half as much again is worth a change.
        all[2].rate = 165_000;
        assert_eq!(choker.rotate(at(2000), Goal::Download, &all, &mut rng).unchoke, [Peer(2)]);
    }

    #[test]
    fn one_that_snubs_us_comes_after_those_who_give_nothing() {
        let choker = Choker::new(config(1, 1));
        let mut rng = Rng::new(3);
        let mut all = vec![peer(0, true, true, 0), peer(1, true, true, 0)];
        (all[0].snubs, all[0].rate, all[1].optimistic) = (true, 9_000, Some(at(100)));
        // Nobody else wants its slot.
        assert!(choker.rotate(at(100), Goal::Download, &all, &mut rng).choke.is_empty());
        all.push(peer(2, true, false, 0));
        let decision = choker.rotate(at(100), Goal::Download, &all, &mut rng);
        assert_eq!((decision.choke, decision.unchoke), (vec![Peer(0)], vec![Peer(2)]));
        // It can have the optimistic slot.
        all[0].unchoked = false;
        all[1].optimistic = Some(at(0));
        all[2].unchoked = true;
        all[2].rate = 1;
        let decision = choker.rotate(at(100), Goal::Download, &all, &mut rng);
        assert_eq!((decision.choke, decision.optimistic), (vec![Peer(1)], vec![Peer(0)]));
    }

    #[test]
    fn a_newcomer_is_three_times_as_likely_to_be_tried() {
        let choker = Choker::new(config(1, 1));
        let mut rng = Rng::new(5);
        let mut all: Vec<Candidate> = (0..6).map(|k| peer(k, true, k < 2, 0)).collect();
        (all[0].rate, all[1].optimistic, all[5].newcomer) = (1_000, Some(at(0)), true);
        let mut drawn = [0u32; 6];
        for _ in 0..6_000 {
            let decision = choker.rotate(at(30), Goal::Download, &all, &mut rng);
            assert_eq!((decision.choke.len(), decision.optimistic.len()), (1, 1));
            drawn[decision.optimistic[0].0 as usize] += 1;
        }
        // 3 : 1 : 1 : 1, and never the one whose turn is over.
        assert_eq!(drawn[..2], [0, 0]);
        assert!((2_800..3_200).contains(&drawn[5]), "{drawn:?}");
        // Before its turn is over it stays.
        assert!(choker.rotate(at(29), Goal::Download, &all, &mut rng).choke.is_empty());
    }

    #[test]
    fn while_nobody_gives_anything_all_are_tried_in_turn() {
        let choker = Choker::new(config(3, 1));
        let mut rng = Rng::new(5);
        let mut all: Vec<Candidate> = (0..20).map(|k| peer(k, true, false, 0)).collect();
        let mut turns = [0u32; 20];
        for round in 0..1_000 {
            let decision = choker.rotate(at(10 * round), Goal::Download, &all, &mut rng);
            apply(&mut all, at(10 * round), &decision);
            served(&all).into_iter().for_each(|k| turns[k as usize] += 1);
        }
        assert!(turns.iter().all(|n| (150..250).contains(n)), "{turns:?}");
    }

    /// Seeds for `w + s` leechers that take at random rates, and gives the longest wait and how many turns each one had.
    fn seeded(slots: usize, optimistic_slots: usize, leechers: u32, seed: u64) -> (Duration, Vec<u32>) {
        let choker = Choker::new(config(slots, optimistic_slots));
        let mut rng = Rng::new(seed);
        let mut all: Vec<Candidate> = (0..leechers).map(|k| peer(k, true, false, u64::from(k))).collect();
        let rates: Vec<u64> = (0..leechers).map(|_| 1 << rng.below(24)).collect();
        let (mut longest, mut turns) = (Duration::ZERO, vec![0; leechers as usize]);
        let decision = choker.fill(at(1), Goal::Upload, &all);
        decision.unchoke.iter().for_each(|p| turns[p.0 as usize] += 1);
        apply(&mut all, at(1), &decision);
        for round in 1..2_000 {
            let now = at(10 * round);
            for c in all.iter_mut().filter(|c| c.unchoked) {
                c.rate = rates[c.peer.0 as usize];
                c.given += c.rate * 10;
            }
            let decision = choker.rotate(now, Goal::Upload, &all, &mut rng);
            for gone in &decision.choke {
                let c = all.iter().find(|c| c.peer == *gone).unwrap();
                assert!(now.since(c.since) >= ROUND - Duration::from_secs(1), "its turn was cut short");
            }
            let waits = all.iter().filter(|c| decision.unchoke.contains(&c.peer)).map(|c| now.since(c.since));
            longest = longest.max(waits.max().unwrap_or_default());
            decision.unchoke.iter().for_each(|p| turns[p.0 as usize] += 1);
            apply(&mut all, now, &decision);
            assert!(decision.optimistic.is_empty());
        }
        (longest, turns)
    }

    #[test]
    fn of_many_leechers_that_a_seed_has_none_waits_longer_than_its_share_of_turns() {
        for seed in 0..20 {
            for (slots, optimistic_slots, leechers) in [(4, 1, 6), (4, 1, 25), (1, 0, 8), (3, 2, 100)] {
                let (longest, turns) = seeded(slots, optimistic_slots, leechers, seed);
                let slots = (slots + optimistic_slots) as u32;
                // A turn is of 30 s, and ends with a round of 10 s.
                let most = Duration::from_secs(40) * (leechers - slots).div_ceil(slots);
                assert!(longest <= most, "seed {seed}, {leechers} leechers: {longest:?} of {most:?}");
                assert!(turns.iter().all(|n| *n > 0));
            }
        }
    }

    #[test]
    fn a_seed_lets_those_go_on_who_take_fastest_and_makes_room_for_no_more_than_wait() {
        let choker = Choker::new(config(3, 0));
        let mut rng = Rng::new(1);
        let mut all: Vec<Candidate> = (0..4).map(|k| peer(k, true, k < 3, 0)).collect();
        (0..3).for_each(|k| (all[k].rate, all[k].given) = ([9_000, 1_000, 50_000][k], 400_000));
        let decision = choker.rotate(at(10), Goal::Upload, &all, &mut rng);
        assert_eq!((decision.choke, decision.unchoke), (vec![Peer(1)], vec![Peer(3)]));
        // Who has got less than its quota goes on until its turn is over.
        all[1].given = 300_000;
        assert_eq!(choker.rotate(at(10), Goal::Upload, &all, &mut rng).choke, [Peer(0)]);
        assert_eq!(choker.rotate(at(30), Goal::Upload, &all, &mut rng).choke, [Peer(1)]);
        assert!(choker.rotate(at(9), Goal::Upload, &all, &mut rng).choke.is_empty());
    }

    #[test]
    fn fewer_slots_than_before_choke_the_uninterested_first_and_then_who_gives_least() {
        let choker = Choker::new(config(1, 0));
        let mut all =
            [peer(1, true, true, 5), peer(2, true, true, 9), peer(3, false, true, 10), peer(4, true, false, 0)];
        all[0].rate = 7;
        for goal in [Goal::Download, Goal::Upload] {
            let decision = choker.fill(at(1), goal, &all);
            assert_eq!((decision.choke, decision.unchoke), (vec![Peer(3), Peer(2)], vec![]));
        }
    }
}
