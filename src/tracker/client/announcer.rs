//! A torrent that is announced for as long as the program wants it.

use super::command::{Event, Following, TrackerState, TrackerStatus};
use super::error::Error;
use super::machine::{Client, Timer};
use super::request::Slot;
use super::tiers::Tiers;
use crate::machine::{Instant, TorrentId};
use crate::proto::announce::{Event as Reason, Progress};
use crate::proto::compact::Family;
use crate::proto::tracker_url::TrackerUrl;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What a tracker knows of us over one family.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End {
    /// It has taken `started`.
    pub(super) started: bool,
    /// It answered last.
    pub(super) ok: bool,
    /// It is to be told `completed`.
    pub(super) owed_completed: bool,
    /// It has no address of the family.
    pub(super) absent: bool,
    /// How often in a row it was silent while the other family answered.
    pub(super) silent: u32,
    /// How many rounds it is left out of for that.
    pub(super) skip: u32,
}

/// One of a torrent's trackers.
#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) url: TrackerUrl,
    pub(super) tier: usize,
    /// IPv4 and IPv6.
    pub(super) ends: [End; 2],
    pub(super) failures: u32,
    /// It failed, and is not asked before.
    pub(super) retry: Instant,
    pub(super) disabled: bool,
    /// It answered, and wants no announce without an event before.
    pub(super) earliest: Instant,
    pub(super) next: Option<Instant>,
    pub(super) last_ok: Option<Instant>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) seeders: Option<u32>,
    pub(super) leechers: Option<u32>,
    pub(super) peers: usize,
    pub(super) error: Option<Error>,
    pub(super) warning: Option<String>,
    pub(super) external_ip: Option<IpAddr>,
}

pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

pub(super) fn place(family: Family) -> usize {
    match family {
        Family::V4 => 0,
        Family::V6 => 1,
    }
}

impl Tracker {
    fn new(url: TrackerUrl, tier: usize) -> Self {
        Self {
            url,
            tier,
            ends: [End::default(); 2],
            failures: 0,
            retry: Instant::ZERO,
            disabled: false,
            earliest: Instant::ZERO,
            next: None,
            last_ok: None,
            id: None,
            seeders: None,
            leechers: None,
            peers: 0,
            error: None,
            warning: None,
            external_ip: None,
        }
    }

    pub(super) fn status(&self) -> TrackerStatus {
        let state = match () {
            () if self.disabled => TrackerState::Disabled,
            () if self.error.is_some() => TrackerState::Failing,
            () if self.last_ok.is_some() => TrackerState::Working,
            () => TrackerState::Idle,
        };
        TrackerStatus {
            url: self.url.clone(),
            tier: self.tier,
            state,
            last_ok: self.last_ok,
            next: self.next,
            seeders: self.seeders,
            leechers: self.leechers,
            peers: self.peers,
            error: self.error.clone(),
            warning: self.warning.clone(),
            external_ip: self.external_ip,
        }
    }
}

/// One tracker being asked, over each family.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) tracker: usize,
    pub(super) open: BTreeMap<Slot, Reason>,
    pub(super) answered: bool,
    /// The shortest interval, and the longest of the shortest, of what was answered.
    pub(super) interval: Duration,
    pub(super) min_interval: Option<Duration>,
    pub(super) error: Option<Error>,
}

/// The farewell to the trackers.
#[derive(Debug)]
pub(super) struct Leaving {
    /// What is being told; `true`: that it is complete, and the end after that.
    pub(super) open: BTreeMap<Slot, bool>,
    pub(super) until: Instant,
    /// How many [`Command::Leave`](super::Command::Leave)s wait for its end.
    pub(super) asked: u32,
}

/// A torrent that is announced.
#[derive(Debug)]
pub(super) struct Announcer {
    /// Without its trackers, which are below.
    pub(super) following: Following,
    pub(super) key: u32,
    pub(super) trackers: Vec<Tracker>,
    pub(super) tiers: Tiers,
    /// The tracker that answered last.
    pub(super) current: Option<usize>,
    pub(super) round: Option<Round>,
    /// What the last round did not wait for: until the next one.
    pub(super) late: BTreeMap<Slot, Reason>,
    /// When there is to be another.
    pub(super) next: Instant,
    /// Its turn, while it waits for others' announces to end.
    pub(super) turn: Option<u64>,
    /// It was complete from the start, or its trackers were told.
    pub(super) completed: bool,
    pub(super) leaving: Option<Leaving>,
}

impl Client {
    pub(super) fn on_follow(&mut self, now: Instant, torrent: TorrentId, mut following: Following) {
        let error = if self.ending {
            Error::ShutDown
        } else if self.torrents.contains_key(&torrent) {
            Error::Duplicate
        } else if self.torrents.len() >= self.config.max_torrents {
            Error::Busy
        } else {
            let (mut trackers, mut sizes) = (Vec::<Tracker>::new(), Vec::new());
            for (tier, urls) in std::mem::take(&mut following.tiers).into_iter().enumerate() {
                let before = trackers.len();
                for url in urls {
                    let known = trackers.iter().any(|tracker| tracker.url == url);
                    if !known && trackers.len() < self.config.max_trackers {
                        trackers.push(Tracker::new(url, tier));
                    }
                }
                sizes.push(trackers.len() - before);
            }
            let key = self.secret.expand("key", &following.info_hash.0);
            let announcer = Announcer {
                key: u32::from_be_bytes([key[0], key[1], key[2], key[3]]),
                completed: following.progress.is_seed(),
                following,
                trackers,
                tiers: Tiers::new(sizes, &mut self.rng),
                current: None,
                round: None,
                late: BTreeMap::new(),
                next: now,
                turn: None,
                leaving: None,
            };
            self.torrents.insert(torrent, announcer);
            self.timers.set(Timer::Torrent(torrent), now);
            return self.tell(Event::Followed { torrent });
        };
        self.tell(Event::FollowRefused { torrent, error });
    }

    pub(super) fn on_progress(&mut self, torrent: TorrentId, progress: Progress) {
        if let Some(announcer) = self.torrents.get_mut(&torrent) {
            announcer.following.progress = progress;
        }
    }

    pub(super) fn on_completed(&mut self, now: Instant, torrent: TorrentId) {
        let Some(announcer) = self.torrents.get_mut(&torrent) else { return };
        announcer.following.progress.left = 0;
        if std::mem::replace(&mut announcer.completed, true) {
            return;
        }
        // A tracker that is being told of the start now is told of the end next.
        let open = announcer.round.iter().flat_map(|round| round.open.keys()).chain(announcer.late.keys());
        let asked: Vec<_> = open.filter_map(|slot| self.requests.get(slot)?.origin.end()).collect();
        for (at, tracker) in announcer.trackers.iter_mut().enumerate() {
            for family in FAMILIES {
                let end = &mut tracker.ends[place(family)];
                end.owed_completed = end.started || asked.contains(&(at, family));
            }
        }
        let owed = |tracker: &Tracker| tracker.ends.iter().any(|end| end.owed_completed && end.ok);
        if announcer.current.and_then(|at| announcer.trackers.get(at)).is_some_and(owed) {
            self.plan(now, torrent, now);
        }
    }

    pub(super) fn on_more_peers(&mut self, now: Instant, torrent: TorrentId) {
        let Some(announcer) = self.torrents.get(&torrent) else { return };
        let Some(current) = announcer.current.and_then(|at| announcer.trackers.get(at)) else { return };
        let at = current.earliest.max(now).min(announcer.next);
        self.plan(now, torrent, at);
    }

    /// Has the next round at a time.
    pub(super) fn plan(&mut self, now: Instant, torrent: TorrentId, at: Instant) {
        let Some(announcer) = self.torrents.get_mut(&torrent) else { return };
        announcer.next = at;
        if announcer.leaving.is_none() && announcer.round.is_none() && announcer.turn.is_none() {
            self.timers.set(Timer::Torrent(torrent), at.max(now));
        }
    }

    pub(super) fn on_leave(&mut self, now: Instant, torrent: TorrentId) {
        if !self.torrents.contains_key(&torrent) {
            return self.tell(Event::Left { torrent });
        }
        self.start_leaving(now, torrent, 1);
    }

    /// Leaves a torrent because all ends.
    pub(super) fn leave(&mut self, now: Instant, torrent: TorrentId) {
        self.start_leaving(now, torrent, 0);
    }

    fn start_leaving(&mut self, now: Instant, torrent: TorrentId, asked: u32) {
        let Some(announcer) = self.torrents.get_mut(&torrent) else { return };
        if let Some(leaving) = &mut announcer.leaving {
            leaving.asked += asked;
            return;
        }
        let until = now + self.config.stop_timeout;
        announcer.leaving = Some(Leaving { open: BTreeMap::new(), until, asked });
        announcer.turn.take().and_then(|turn| self.due.remove(&turn));
        self.timers.cancel(Timer::Torrent(torrent));
        let mut kept = Vec::new();
        let open = announcer.round.take().map(|round| round.open).unwrap_or_default();
        for (slot, reason) in open.into_iter().chain(std::mem::take(&mut announcer.late)) {
            // That it is complete is not to be lost.
            if reason == Reason::Completed {
                kept.push(slot);
            } else {
                self.drop_request(slot);
            }
            self.announces -= 1;
        }
        let mut open: BTreeMap<Slot, bool> = kept.iter().map(|slot| (*slot, true)).collect();
        for slot in kept {
            self.hurry(slot, until);
            if let Some((at, family)) = self.requests.get(&slot).and_then(|request| request.origin.end()) {
                if let Some(announcer) = self.torrents.get_mut(&torrent) {
                    if let Some(tracker) = announcer.trackers.get_mut(at) {
                        tracker.ends[place(family)] = End::default();
                    }
                }
            }
        }
        let begun = open.len();
        for tracker in 0..self.torrents.get(&torrent).map_or(0, |announcer| announcer.trackers.len()) {
            open.extend(self.farewell(now, torrent, tracker, true));
        }
        let new: Vec<Slot> = open.keys().skip(begun).copied().collect();
        if let Some(leaving) = self.torrents.get_mut(&torrent).and_then(|announcer| announcer.leaving.as_mut()) {
            leaving.open = open;
        }
        new.into_iter().for_each(|slot| self.go(now, slot));
        self.finish_leaving(torrent);
    }

    /// Has farewells take no longer than this.
    pub(super) fn stop_within(&mut self, now: Instant, time: Duration) {
        self.config.stop_timeout = self.config.stop_timeout.min(time);
        let until = now + self.config.stop_timeout;
        let mut open = Vec::new();
        for leaving in self.torrents.values_mut().filter_map(|announcer| announcer.leaving.as_mut()) {
            leaving.until = leaving.until.min(until);
            open.extend(leaving.open.keys().copied());
        }
        open.into_iter().for_each(|slot| self.hurry(slot, until));
    }

    pub(super) fn finish_leaving(&mut self, torrent: TorrentId) {
        let leaving = self.torrents.get(&torrent).and_then(|announcer| announcer.leaving.as_ref());
        if let Some(asked) = leaving.filter(|leaving| leaving.open.is_empty()).map(|leaving| leaving.asked) {
            self.torrents.remove(&torrent);
            (0..asked).for_each(|_| self.tell(Event::Left { torrent }));
        }
    }
}
