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
mod tests;
