//! Whom to serve.

use super::Peer;
use crate::machine::{Instant, Rng};
use std::time::Duration;

/// The bounds of a [`Choker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChokerConfig {
    /// How many peers are served at the same time: unchoked, interested or not. With 0 nobody is.
    pub slots: usize,
    /// How often [`Choker::rotate`] is called, and how long a peer is served at least while it is interested.
    pub round: Duration,
}

impl Default for ChokerConfig {
    /// 8 slots, rounds of 10 s.
    fn default() -> Self {
        Self { slots: 8, round: Duration::from_secs(10) }
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
}

/// Who is to be choked and who unchoked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Peers to choke, before any is unchoked.
    pub choke: Vec<Peer>,
    /// Peers to unchoke.
    pub unchoke: Vec<Peer>,
}

/// Decides whom to serve: all who are interested while slots are free, else in turns.
///
/// - A free slot is given at once, to whoever has waited longest; the slot of a peer that has lost interest counts as free when
///   somebody waits for it. Nobody is choked while a slot is free.
/// - When all slots are taken, a round takes half of them (rounded up) from those who were served longest, one round at least, and gives
///   them to those who have waited longest. So with `w` waiting, nobody waits for more than `w / half` rounds (rounded up) and one.
///
/// It keeps no state: plain data in, a decision out. Work: a sort of the candidates.
///
/// ```
/// use bip::machine::{Instant, Rng};
/// use bip::select::{Candidate, Choker, ChokerConfig, Peer};
///
/// let choker = Choker::new(ChokerConfig { slots: 1, ..ChokerConfig::default() });
/// let peer = |key, unchoked| Candidate { peer: Peer(key), interested: true, unchoked, since: Instant::ZERO };
/// assert_eq!(choker.fill(&[peer(7, false)]).unchoke, [Peer(7)]);
/// // The slot is taken: the next one waits for the round.
/// assert!(choker.fill(&[peer(7, true), peer(8, false)]).unchoke.is_empty());
/// let round = Instant::from_micros(10_000_000);
/// let decision = choker.rotate(round, &[peer(7, true), peer(8, false)], &mut Rng::new(1));
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

    /// Decides after any change: a peer became interested or lost interest, came or went. Of several who have waited equally long
    /// the first listed comes first.
    pub fn fill(&self, candidates: &[Candidate]) -> Decision {
        self.decide(candidates, |_| false, 0)
    }

    /// Decides at the end of a round. Of several who were served or have waited equally long any may come first: a fixed order
    /// would give the same peers the shorter turn each time.
    pub fn rotate(&self, now: Instant, candidates: &[Candidate], rng: &mut Rng) -> Decision {
        let served_enough = |c: &Candidate| now.since(c.since) >= self.config.round;
        let mut shuffled = candidates.to_vec();
        rng.shuffle(&mut shuffled);
        self.decide(&shuffled, served_enough, self.config.slots.div_ceil(2))
    }

    /// Fills slots, taking those of the uninterested and up to `turns` of those who were served enough where others wait.
    fn decide(&self, candidates: &[Candidate], served_enough: impl Fn(&Candidate) -> bool, turns: usize) -> Decision {
        let (mut served, others): (Vec<Candidate>, Vec<Candidate>) = candidates.iter().partition(|c| c.unchoked);
        let mut waiting: Vec<Candidate> = others.into_iter().filter(|c| c.interested).collect();
        waiting.sort_by_key(|c| c.since);
        // Those who are to go come first.
        served.sort_by_key(|c| (c.interested, c.since));

        let slots = self.config.slots;
        let too_many = served.len().saturating_sub(slots);
        let mut needed = waiting.len().saturating_sub(slots.saturating_sub(served.len()));
        let mut turns = turns;
        let mut decision = Decision::default();
        for (place, candidate) in served.iter().enumerate() {
            if place >= too_many {
                let in_turn = candidate.interested && turns > 0 && served_enough(candidate);
                if needed == 0 || (candidate.interested && !in_turn) {
                    continue;
                }
                needed -= 1;
                turns -= usize::from(in_turn);
            }
            decision.choke.push(candidate.peer);
        }
        let free = slots.saturating_sub(served.len() - decision.choke.len());
        decision.unchoke.extend(waiting.iter().take(free).map(|c| c.peer));
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(candidates: &mut [Candidate], now: Instant, decision: &Decision) {
        for c in candidates {
            let (choke, unchoke) = (decision.choke.contains(&c.peer), decision.unchoke.contains(&c.peer));
            assert!(!choke || c.unchoked, "choked twice");
            assert!(!unchoke || (c.interested && !c.unchoked), "unchoked twice, or in vain");
            if choke || unchoke {
                (c.unchoked, c.since) = (unchoke, now);
            }
        }
    }

    fn peer(key: u32, interested: bool, unchoked: bool, since: u64) -> Candidate {
        Candidate { peer: Peer(key), interested, unchoked, since: Instant::from_micros(since) }
    }

    #[test]
    fn a_free_slot_goes_at_once_to_who_waited_longest() {
        let choker = Choker::new(ChokerConfig { slots: 2, ..ChokerConfig::default() });
        let mut all = [peer(1, true, false, 30), peer(2, true, false, 10), peer(3, true, false, 20)];
        let decision = choker.fill(&all);
        assert_eq!(decision.unchoke, [Peer(2), Peer(3)]);
        apply(&mut all, Instant::from_micros(40), &decision);
        assert_eq!(choker.fill(&all), Decision::default());
        // One of them has all that it needs: its slot goes to the one who waits.
        all[1].interested = false;
        let decision = choker.fill(&all);
        assert_eq!((decision.choke, decision.unchoke), (vec![Peer(2)], vec![Peer(1)]));
    }

    #[test]
    fn nobody_is_choked_while_slots_are_free_and_slots_are_never_exceeded() {
        let mut rng = Rng::new(9);
        for _ in 0..2_000 {
            let slots = rng.below(6) as usize;
            let choker = Choker::new(ChokerConfig { slots, ..ChokerConfig::default() });
            let mut all: Vec<Candidate> = (0..rng.below(12))
                .map(|k| peer(k, rng.below(2) == 0, rng.below(2) == 0, u64::from(rng.below(9))))
                .collect();
            let now = Instant::from_micros(u64::from(rng.below(2)) * 20_000_000);
            let before = all.iter().filter(|c| c.unchoked).count();
            let decision = if rng.below(2) == 0 { choker.fill(&all) } else { choker.rotate(now, &all, &mut rng) };
            let waiting = all.iter().filter(|c| c.interested && !c.unchoked).count();
            if before + waiting <= slots {
                assert!(decision.choke.is_empty(), "{all:?}");
            }
            apply(&mut all, now, &decision);
            let after = all.iter().filter(|c| c.unchoked).count();
            assert!(after <= slots);
            // Every choke of a peer within the slots made room for another.
            assert!(after >= before.min(slots), "{all:?}");
            let waits = all.iter().any(|c| c.interested && !c.unchoked && !decision.choke.contains(&c.peer));
            assert!(!waits || after == slots);
            assert!(!waits || all.iter().all(|c| c.interested || !c.unchoked));
        }
    }

    #[test]
    fn turns_starve_nobody_and_cut_nobody_short() {
        let config = ChokerConfig { slots: 3, ..ChokerConfig::default() };
        let choker = Choker::new(config);
        let mut all: Vec<Candidate> = (0..20).map(|k| peer(k, true, false, u64::from(k))).collect();
        let mut now = Instant::from_micros(100);
        let mut served = [0u32; 20];
        let mut rng = Rng::new(4);
        let decision = choker.fill(&all);
        apply(&mut all, now, &decision);
        for _ in 0..200 {
            now += config.round;
            let decision = choker.rotate(now, &all, &mut rng);
            for gone in &decision.choke {
                assert!(all.iter().any(|c| c.peer == *gone && now.since(c.since) >= config.round));
            }
            apply(&mut all, now, &decision);
            all.iter().filter(|c| c.unchoked).for_each(|c| served[c.peer.0 as usize] += 1);
            // 17 wait, two are served in each round: at most nine rounds.
            assert!(all.iter().all(|c| now.since(c.since) <= config.round * 10));
        }
        // 600 turns in 200 rounds for 20 peers; of two who come together one stays for a second round.
        assert!(served.iter().all(|n| (24..=36).contains(n)), "{served:?}");
    }

    #[test]
    fn fewer_slots_than_before_choke_who_was_served_longest() {
        let choker = Choker::new(ChokerConfig { slots: 1, ..ChokerConfig::default() });
        let all = [peer(1, true, true, 5), peer(2, true, true, 9), peer(3, false, true, 10), peer(4, true, false, 0)];
        let decision = choker.fill(&all);
        assert_eq!((decision.choke, decision.unchoke), (vec![Peer(3), Peer(1)], vec![]));
    }
}
