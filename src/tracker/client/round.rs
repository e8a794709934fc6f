//! Rounds of a followed torrent: which tracker is asked, what is told, and when the next one is.

use super::announcer::{Announcer, End, FAMILIES, Round, Tracker, place};
use super::command::{Announce, AnnounceReply, Event};
use super::error::Error;
use super::machine::{Client, Timer};
use super::request::{Ask, Origin, Slot};
use crate::machine::{Instant, Rng, TorrentId};
use crate::proto::announce::Event as Reason;
use crate::proto::compact::Family;
use crate::proto::http_tracker::Retry;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many rounds one call begins of those that waited.
const ROUNDS_PER_CALL: usize = 256;

/// How long a round that was answered over one family waits for the other; what comes later comes in by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many rounds a family is left out of at most that is silent while the other answers, plus one, as a power of two.
const MOST_SKIPPED: u32 = 3;

/// How long a tracker that names a time (BEP 31) is left alone at most.
const LONGEST_RETRY: Duration = Duration::from_secs(24 * 3600);

impl Announcer {
    /// Gives the tracker that is to be asked now, or when there will be one.
    fn choose(&self, now: Instant) -> Result<usize, Option<Instant>> {
        let may = |at: &usize| self.trackers.get(*at).is_some_and(|tracker| !tracker.disabled && tracker.retry <= now);
        let kept = self.current.filter(|_| self.following.private).filter(|at| may(at));
        kept.or_else(|| self.tiers.iter().find(|at| may(at))).ok_or_else(|| {
            let waiting = self.trackers.iter().filter(|tracker| !tracker.disabled);
            waiting.map(|tracker| tracker.retry).min()
        })
    }

    fn announce(&self, tracker: usize, family: Family, event: Reason) -> Announce {
        let following = &self.following;
        let port = match family {
            Family::V4 => following.port,
            Family::V6 => following.port_v6.unwrap_or(following.port),
        };
        Announce {
            progress: following.progress,
            event,
            num_want: following.num_want,
            key: self.key,
            tracker_id: self.trackers.get(tracker).and_then(|tracker| tracker.id.clone()),
            ..Announce::new(following.info_hash, following.peer_id, port)
        }
    }
}

/// Says how much an error of one family tells of a tracker: that it has no such address the least.
fn weight(error: &Error) -> u8 {
    match error {
        Error::NoAddress { .. } => 0,
        Error::Busy => 1,
        _ => 2,
    }
}

/// Gives a time that is up to a quarter longer or shorter.
fn jitter(time: Duration, rng: &mut Rng) -> Duration {
    time.mul_f64(0.75 + f64::from(rng.below(1 << 16)) / f64::from(1 << 17))
}

impl Client {
    pub(super) fn on_torrent_timer(&mut self, now: Instant, torrent: TorrentId) {
        let Some(announcer) = self.torrents.get_mut(&torrent) else { return };
        if let Some(round) = announcer.round.as_mut().filter(|round| round.answered) {
            announcer.late = std::mem::take(&mut round.open);
            let late: Vec<_> = announcer.late.keys().filter_map(|slot| self.requests.get(slot)?.origin.end()).collect();
            for (at, family) in late {
                if let Some(tracker) = announcer.trackers.get_mut(at) {
                    tracker.ends[place(family)].ok = false;
                }
            }
            return self.end_round(now, torrent);
        }
        let Some(tracker) = self.may_begin(now, torrent) else { return };
        if self.announces < self.config.max_announces && self.due.is_empty() {
            return self.begin_round(now, torrent, tracker);
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        self.due.insert(turn, torrent);
        if let Some(announcer) = self.torrents.get_mut(&torrent) {
            announcer.turn = Some(turn);
        }
    }

    /// Gives the tracker that a torrent asks now, if it is to ask one; otherwise the torrent is planned for when it is.
    fn may_begin(&mut self, now: Instant, torrent: TorrentId) -> Option<usize> {
        let announcer = self.torrents.get(&torrent)?;
        if announcer.leaving.is_some() || announcer.round.is_some() || announcer.turn.is_some() {
            return None;
        }
        if announcer.next > now {
            self.timers.set(Timer::Torrent(torrent), announcer.next);
            return None;
        }
        match announcer.choose(now) {
            Ok(tracker) => Some(tracker),
            Err(at) => {
                // Without a time none of them is asked again.
                at.into_iter().for_each(|at| self.plan(now, torrent, at));
                None
            }
        }
    }

    /// Has the torrents begin their rounds that wait for that, as far as there may be more announces. One that begins none takes nobody's turn.
    pub(super) fn pump_rounds(&mut self, now: Instant) {
        for _ in 0..ROUNDS_PER_CALL {
            if self.announces >= self.config.max_announces {
                return;
            }
            let Some((_, torrent)) = self.due.pop_first() else { return };
            if let Some(announcer) = self.torrents.get_mut(&torrent) {
                announcer.turn = None;
            }
            if let Some(tracker) = self.may_begin(now, torrent) {
                self.begin_round(now, torrent, tracker);
            }
        }
        if !self.due.is_empty() {
            self.timers.set_by(Timer::Pump, now);
        }
    }

    fn begin_round(&mut self, now: Instant, torrent: TorrentId, at: usize) {
        let Some(announcer) = self.torrents.get_mut(&torrent) else { return };
        for slot in std::mem::take(&mut announcer.late).into_keys() {
            self.drop_request(slot);
            self.announces -= 1;
        }
        let Some(announcer) = self.torrents.get_mut(&torrent) else { return };
        let Some(tracker) = announcer.trackers.get_mut(at) else { return };
        let own = tracker.url.ip().map(Family::of);
        let all = FAMILIES.into_iter().filter(|f| self.udp.socket(*f).is_some() && own.is_none_or(|own| own == *f));
        let mut families: Vec<Family> = all.clone().filter(|family| !tracker.ends[place(*family)].absent).collect();
        if families.is_empty() {
            // What was not there may be there by now.
            families = all.collect();
        }
        if families.iter().any(|family| tracker.ends[place(*family)].skip == 0) {
            families.retain(|family| {
                let end = &mut tracker.ends[place(*family)];
                let is_asked = end.skip == 0;
                end.skip = end.skip.saturating_sub(1);
                is_asked
            });
        }
        let (url, trust) = (tracker.url.clone(), announcer.following.trust);
        let mut open = BTreeMap::new();
        for family in families {
            let Some(announcer) = self.torrents.get(&torrent) else { return };
            let end = announcer.trackers.get(at).map(|tracker| tracker.ends[place(family)]).unwrap_or_default();
            let reason = match () {
                () if !end.started => Reason::Started,
                () if end.owed_completed => Reason::Completed,
                () => Reason::None,
            };
            let ask = Ask::Announce(announcer.announce(at, family, reason));
            let origin = Origin::Torrent { torrent, tracker: at, family };
            let slot = self.begin(now, origin, url.clone(), trust, Some(family), ask, self.config.timeout);
            self.announces += 1;
            open.insert(slot, reason);
        }
        let slots: Vec<Slot> = open.keys().copied().collect();
        let interval = self.config.most_interval;
        let round = Round { tracker: at, open, answered: false, interval, min_interval: None, error: None };
        if let Some(announcer) = self.torrents.get_mut(&torrent) {
            announcer.round = Some(round);
        }
        if slots.is_empty() {
            return self.end_round(now, torrent);
        }
        slots.into_iter().for_each(|slot| self.go(now, slot));
    }

    /// Takes what became of one announce of a torrent's.
    pub(super) fn on_torrent_answer(
        &mut self,
        now: Instant,
        torrent: TorrentId,
        at: usize,
        family: Family,
        slot: Slot,
        result: Result<AnnounceReply, Error>,
    ) {
        let Some(announcer) = self.torrents.get_mut(&torrent) else { return };
        if let Some(leaving) = &mut announcer.leaving {
            let (then, until) = (leaving.open.remove(&slot) == Some(true), leaving.until);
            if then && result.is_ok() && until > now {
                let announce = announcer.announce(at, family, Reason::Stopped);
                self.tell_end(now, torrent, at, family, announce, until);
            }
            return self.finish_leaving(torrent);
        }
        let in_time = announcer.round.as_mut().and_then(|round| round.open.remove(&slot));
        let Some(reason) = in_time.or_else(|| announcer.late.remove(&slot)) else { return };
        match result {
            Ok(reply) => self.on_reply(now, torrent, at, family, reason, reply),
            Err(error) => {
                let other = FAMILIES.into_iter().find(|other| *other != family).unwrap_or(family);
                let ends = announcer.trackers.get_mut(at).map(|tracker| &mut tracker.ends);
                let answers = ends.as_ref().is_some_and(|ends| ends[place(other)].ok);
                let mut end = ends.map(|ends| &mut ends[place(family)]);
                let may_be_taken = matches!(error, Error::TimedOut | Error::Malformed(_) | Error::TooLong);
                // Who was not told of the start is not told that it is complete: it is told of another start, with all there.
                if let Some(end) = &mut end {
                    end.owed_completed &= end.started || may_be_taken;
                }
                // Who was not even asked has not failed.
                if let Some(end) = end.filter(|_| error != Error::Busy) {
                    (end.ok, end.absent) = (false, matches!(error, Error::NoAddress { .. }));
                    if error == Error::TimedOut && answers {
                        end.silent = end.silent.saturating_add(1);
                        end.skip = (1 << end.silent.min(MOST_SKIPPED)) - 1;
                    }
                }
                if let Some(round) = announcer.round.as_mut().filter(|_| in_time.is_some()) {
                    if round.error.as_ref().is_none_or(|other| weight(other) <= weight(&error)) {
                        round.error = Some(error);
                    }
                }
            }
        }
        self.announces -= 1;
        let round = self.torrents.get(&torrent).and_then(|announcer| announcer.round.as_ref());
        if round.is_some_and(|round| round.open.is_empty()) {
            self.end_round(now, torrent);
        }
    }

    fn on_reply(
        &mut self,
        now: Instant,
        torrent: TorrentId,
        at: usize,
        family: Family,
        reason: Reason,
        reply: AnnounceReply,
    ) {
        let Some(announcer) = self.torrents.get_mut(&torrent) else { return };
        let Some(tracker) = announcer.trackers.get_mut(at) else { return };
        let end = &mut tracker.ends[place(family)];
        *end = End { started: true, ok: true, owed_completed: end.owed_completed, ..End::default() };
        if reason == Reason::Completed {
            end.owed_completed = false;
        }
        let is_owed = end.owed_completed;
        if let Some(round) = &mut announcer.round {
            if !std::mem::replace(&mut round.answered, true) {
                (tracker.peers, tracker.warning) = (0, None);
                self.timers.set(Timer::Torrent(torrent), now + PATIENCE);
            }
            round.interval = round.interval.min(reply.interval);
            round.min_interval = round.min_interval.max(reply.min_interval);
        } else if let Some(min) = reply.min_interval {
            let min = min.clamp(self.config.least_interval, self.config.most_interval);
            tracker.earliest = tracker.earliest.max(now + min);
        }
        tracker.last_ok = Some(now);
        tracker.peers += reply.peers.len();
        tracker.id = reply.tracker_id.or(tracker.id.take());
        tracker.warning = reply.warning.or(tracker.warning.take());
        tracker.seeders = reply.seeders.or(tracker.seeders);
        tracker.leechers = reply.leechers.or(tracker.leechers);
        tracker.external_ip = reply.external_ip.or(tracker.external_ip);
        let url = tracker.url.clone();
        let late = announcer.round.is_none().then(|| Box::new(tracker.status()));
        let left = announcer.current.filter(|current| announcer.following.private && *current != at);
        announcer.current = Some(at);
        if let Some(left) = left {
            let slots = self.farewell(now, torrent, left, false);
            slots.into_iter().for_each(|(slot, _)| self.go(now, slot));
            self.tell(Event::Switched { torrent });
        }
        if !reply.peers.is_empty() {
            self.tell(Event::Peers { torrent, url, peers: reply.peers });
        }
        if let Some(status) = late {
            self.tell(Event::Tracker { torrent, status });
            if is_owed {
                self.plan(now, torrent, now);
            }
        }
    }

    fn end_round(&mut self, now: Instant, torrent: TorrentId) {
        let (config, rng) = (&self.config, &mut self.rng);
        let Some(announcer) = self.torrents.get_mut(&torrent) else { return };
        let Some(round) = announcer.round.take() else { return };
        let Some(tracker) = announcer.trackers.get_mut(round.tracker) else { return };
        let mut next = now;
        if round.answered {
            let clamped = |time: Duration| time.clamp(config.least_interval, config.most_interval);
            let interval = clamped(round.interval.max(round.min_interval.unwrap_or_default()));
            let min = round.min_interval.map_or(config.min_interval.min(interval), clamped);
            (tracker.failures, tracker.error, tracker.retry) = (0, None, now);
            tracker.earliest = now + min;
            tracker.next = Some(now + interval);
            let owed = tracker.ends.iter().any(|end| end.ok && end.owed_completed);
            next = if owed { now } else { now + interval };
            announcer.tiers.promote(round.tracker);
        } else if round.error == Some(Error::Busy) {
            // It has not failed, and a private torrent is not to leave it for that.
            tracker.retry = now + jitter(config.retry_after, rng);
            tracker.next = Some(tracker.retry);
            if announcer.following.private && announcer.current == Some(round.tracker) {
                next = tracker.retry;
            }
        } else {
            // Neither family answers: next time both are asked.
            tracker.ends.iter_mut().for_each(|end| end.skip = 0);
            on_failure(now, tracker, round.error.unwrap_or(Error::NoAddress { family: None }), config, rng);
        }
        let status = Box::new(tracker.status());
        self.tell(Event::Tracker { torrent, status });
        self.plan(now, torrent, next);
    }

    /// Tells a tracker of the end that was just told of the completion.
    fn tell_end(
        &mut self,
        now: Instant,
        torrent: TorrentId,
        at: usize,
        family: Family,
        told: Announce,
        until: Instant,
    ) {
        let Some(announcer) = self.torrents.get(&torrent) else { return };
        let Some(url) = announcer.trackers.get(at).map(|tracker| tracker.url.clone()) else { return };
        let (origin, trust) = (Origin::Torrent { torrent, tracker: at, family }, announcer.following.trust);
        let slot = self.begin(now, origin, url, trust, Some(family), Ask::Announce(told), until.since(now));
        if let Some(leaving) = self.torrents.get_mut(&torrent).and_then(|announcer| announcer.leaving.as_mut()) {
            leaving.open.insert(slot, false);
        }
        self.go(now, slot);
    }

    /// Makes requests that tell a tracker of the end, as far as it was told of the start; they are still to be set going. Where the torrent waits for
    /// them, only whoever answered last is told, and first of the completion if that is owed (`true`).
    pub(super) fn farewell(&mut self, now: Instant, torrent: TorrentId, at: usize, waits: bool) -> Vec<(Slot, bool)> {
        let mut slots = Vec::new();
        for family in FAMILIES {
            let Some(announcer) = self.torrents.get_mut(&torrent) else { break };
            let trust = announcer.following.trust;
            let Some(tracker) = announcer.trackers.get_mut(at) else { break };
            let end = std::mem::take(&mut tracker.ends[place(family)]);
            if !end.started || (waits && !end.ok) {
                continue;
            }
            let owed = waits && end.owed_completed;
            let announce = announcer.announce(at, family, if owed { Reason::Completed } else { Reason::Stopped });
            let Some(tracker) = announcer.trackers.get_mut(at) else { break };
            let url = tracker.url.clone();
            let (origin, timeout) = if waits {
                (Origin::Torrent { torrent, tracker: at, family }, self.config.stop_timeout)
            } else {
                (Origin::Nobody, self.config.timeout)
            };
            let slot = self.begin(now, origin, url, trust, Some(family), Ask::Announce(announce), timeout);
            if let Some(request) = self.requests.get_mut(&slot) {
                request.farewell = true;
            }
            slots.push((slot, owed));
        }
        slots
    }
}

fn on_failure(now: Instant, tracker: &mut Tracker, error: Error, config: &super::Config, rng: &mut Rng) {
    tracker.failures = tracker.failures.saturating_add(1);
    tracker.disabled = error.is_final();
    let doubled = config.retry_after.saturating_mul(1 << (tracker.failures - 1).min(16));
    let wait = match error {
        Error::Refused { retry: Some(Retry::Minutes(minutes)), .. } => {
            Duration::from_secs(60 * u64::from(minutes)).min(LONGEST_RETRY)
        }
        _ => jitter(doubled.min(config.retry_most), rng),
    };
    tracker.retry = now + wait;
    tracker.next = Some(tracker.retry).filter(|_| !tracker.disabled);
    tracker.error = Some(error);
}
