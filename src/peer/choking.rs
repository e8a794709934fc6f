use super::connection::{Connection, Link};
use super::hub::Timer;
use super::machine::Swarm;
use super::torrent::Torrent;
use crate::machine::{Instant, RateMeter};
use crate::select::{Candidate, Choker, ChokerConfig, Goal};
use std::time::Duration;

/// Over how long it is measured what a peer gives us (BEP 3's neighbours do the same).
const MEASURED: Duration = Duration::from_secs(20);

/// What the choker has to know of a peer.
#[derive(Debug)]
pub(super) struct Turn {
    /// Bytes of blocks that it gave us and we wanted.
    pub(super) gave: RateMeter,
    /// Since when it has had an optimistic slot, if it has one.
    optimistic: Option<Instant>,
    /// Whether it was ever unchoked.
    served: bool,
    /// What it had taken in all when it was unchoked.
    taken_before: u64,
}

impl Default for Turn {
    fn default() -> Self {
        Self { gave: RateMeter::over(MEASURED), optimistic: None, served: false, taken_before: 0 }
    }
}

impl Turn {
    /// Takes note that the peer is unchoked.
    pub(super) fn begin(&mut self, taken: u64) {
        self.served = true;
        self.taken_before = taken;
    }
}

impl Link {
    fn candidate(&mut self, now: Instant, goal: Goal, snub_after: Duration) -> Candidate {
        Candidate {
            peer: self.peer,
            interested: self.they_want,
            unchoked: !self.we_choke,
            since: self.choked_at,
            optimistic: self.turn.optimistic,
            newcomer: !self.turn.served,
            snubs: self.snubs(now, snub_after),
            rate: match goal {
                Goal::Download => self.turn.gave.per_second(now),
                Goal::Upload => self.upload.per_second(now),
            },
            given: self.upload.total().saturating_sub(self.turn.taken_before),
        }
    }
}

impl Torrent {
    fn goal(&self) -> Goal {
        if self.downloads && !self.picker.is_complete() { Goal::Download } else { Goal::Upload }
    }
}

impl Swarm {
    /// Gives out upload slots: free ones, and at the end of a round those that others have a better claim to.
    pub(super) fn rechoke(&mut self, now: Instant, place: usize, round: bool) {
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        let config = &self.hub.config;
        let choker = Choker::new(ChokerConfig {
            slots: torrent.upload_slots(&config.limits),
            optimistic_slots: config.limits.optimistic_slots,
            round: config.choke_interval,
            turn: config.optimistic_interval,
            quota: config.upload_quota,
        });
        let (goal, snub_after) = (torrent.goal(), config.snub_after);
        let mut candidates = Vec::with_capacity(torrent.peers.len());
        for key in torrent.peers.values() {
            let link = self.table.get_mut(*key).and_then(Connection::link_mut);
            candidates.extend(link.map(|link| link.candidate(now, goal, snub_after)));
        }
        if round && candidates.iter().any(|c| c.interested) {
            self.hub.set_timer(now, Timer::Choke(torrent.id), now + self.hub.config.choke_interval);
        }
        let decision = if round {
            choker.rotate(now, goal, &candidates, &mut self.hub.rng)
        } else {
            choker.fill(now, goal, &candidates)
        };
        for key in torrent.peers.values() {
            if let Some(link) = self.table.get_mut(*key).and_then(Connection::link_mut) {
                let optimistic = decision.optimistic.contains(&link.peer);
                link.turn.optimistic = optimistic.then(|| link.turn.optimistic.unwrap_or(now));
            }
        }
        let changes =
            decision.choke.into_iter().map(|p| (p, true)).chain(decision.unchoke.into_iter().map(|p| (p, false)));
        for (peer, choke) in changes {
            let Some(torrent) = self.torrents.get_mut(place) else { return };
            let Some(key) = torrent.peers.get(&peer).copied() else { continue };
            if let Some(conn) = self.table.get_mut(key) {
                torrent.set_choke(&mut self.hub, conn, now, choke);
                // What it sent before may be read on, now that its queue is empty.
                self.advance(now, key);
            }
        }
    }

    /// Gives out the slots of all torrents, whose number may have changed.
    pub(super) fn rechoke_all(&mut self, now: Instant) {
        let places: Vec<usize> = self.torrents.iter().map(|(place, _)| place).collect();
        for place in places {
            self.rechoke(now, place, false);
            self.settle(now, place);
        }
    }
}
