use super::connection::{Connection, Link};
use super::hub::{Hub, Timer};
use super::machine::Swarm;
use super::torrent::Torrent;
use crate::machine::{Instant, TokenBucket};
use crate::proto::geometry::BLOCK_LENGTH;
use crate::select::Peer;
use std::collections::VecDeque;
use std::num::NonZeroU64;

/// The most turns that one call gives.
const TURNS_PER_CALL: usize = 64;
const BLOCK: u64 = BLOCK_LENGTH as u64;

/// What peers wait for while a rate is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// To be served a block.
    Upload,
    /// To be asked for a block.
    Ask,
    /// To be read again: more has come than was asked for at the present rate.
    Read,
}

impl Lane {
    pub(super) const ALL: [Lane; 3] = [Lane::Upload, Lane::Ask, Lane::Read];
}

/// The rates of a session or of one torrent, and who waits because of them.
///
/// What it tracks: a bucket for each direction that is limited; the blocks that are asked for and have not come; and for each lane a
/// line of those who wait. A session's line has torrents, each at most once, and a torrent's line has peers, each at most once; who
/// is first gets one block and stands behind the others again. So torrents share a session's rate evenly, and peers a torrent's,
/// however much each of them wants.
///
/// What comes is taken from the download bucket as it comes. A block is asked for only where there are tokens for it and for all that
/// is asked for already: so what others send at our wish never empties the bucket, and only what they send unasked, or were asked for
/// before the limit was as low as it is, stops us from reading.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    upload: Option<TokenBucket>,
    download: Option<TokenBucket>,
    /// Blocks that are asked for.
    asked: u64,
    lines: [VecDeque<usize>; 3],
    /// Of a torrent: in which lines of the session it stands.
    queued: [bool; 3],
}

/// The most that gathers while nothing moves: a quarter of a second's worth, and at least two blocks.
fn burst(rate: NonZeroU64) -> u64 {
    (rate.get() / 4).max(2 * BLOCK)
}

fn set_rate(bucket: &mut Option<TokenBucket>, now: Instant, rate: Option<NonZeroU64>) {
    match (bucket.as_mut(), rate) {
        (_, None) => *bucket = None,
        (None, Some(rate)) => *bucket = Some(TokenBucket::empty(now, rate, burst(rate))),
        (Some(old), Some(rate)) if old.rate() != rate => old.set_rate(now, rate, burst(rate)),
        _ => {}
    }
}

impl Throttle {
    /// Changes the rates; those that stay the same go on as they were.
    pub(super) fn set_rates(&mut self, now: Instant, upload: Option<NonZeroU64>, download: Option<NonZeroU64>) {
        set_rate(&mut self.upload, now, upload);
        set_rate(&mut self.download, now, download);
    }

    fn limits(&self, lane: Lane) -> bool {
        if lane == Lane::Upload { self.upload.is_some() } else { self.download.is_some() }
    }

    /// Gives the blocks that may go now. For reading: the connections that may be read at once.
    fn blocks(&mut self, lane: Lane, now: Instant) -> u64 {
        let held = self.asked.saturating_mul(BLOCK);
        let whole = |bytes: i64| u64::try_from(bytes).unwrap_or(0) / BLOCK;
        match lane {
            Lane::Upload => self.upload.as_mut().map_or(u64::MAX, |bucket| whole(bucket.level(now))),
            Lane::Ask => self.download.as_mut().map_or(u64::MAX, |bucket| {
                let held_now = i64::try_from(held).unwrap_or(i64::MAX);
                whole(bucket.level_holding(now, held).saturating_sub(held_now))
            }),
            Lane::Read => self.download.as_mut().map_or(u64::MAX, |bucket| match bucket.level_holding(now, held) {
                ..0 => 0,
                level => whole(level).max(1),
            }),
        }
    }

    /// Gives when a turn can be given that cannot be given now. A few blocks are let gather, so that it is not woken for each.
    fn ready_at(&mut self, lane: Lane, now: Instant) -> Instant {
        let some = |bucket: &TokenBucket| (bucket.rate().get() / 100).clamp(BLOCK, bucket.burst());
        let held = self.asked.saturating_mul(BLOCK);
        let bucket = if lane == Lane::Upload { &mut self.upload } else { &mut self.download };
        let Some(bucket) = bucket else { return now };
        match lane {
            Lane::Upload => bucket.reaches(now, some(bucket)),
            Lane::Ask => bucket.reaches_holding(now, some(bucket), held),
            Lane::Read => {
                bucket.level_holding(now, held);
                bucket.reaches(now, 0)
            }
        }
    }

    fn leave(&mut self, lane: Lane, who: usize) {
        self.lines[lane as usize].retain(|other| *other != who);
    }
}

impl Hub {
    /// Forgets a torrent's place, which may be another's soon.
    pub(super) fn leave_lines(&mut self, place: usize) {
        Lane::ALL.into_iter().for_each(|lane| self.throttle.leave(lane, place));
    }
}

impl Torrent {
    /// Says whether a lane is limited, for all or for this torrent.
    pub(super) fn limits(&self, hub: &Hub, lane: Lane) -> bool {
        hub.throttle.limits(lane) || self.throttle.limits(lane)
    }

    /// Gives the blocks that may go now, where nobody has waited for longer.
    pub(super) fn blocks(&mut self, hub: &mut Hub, lane: Lane, now: Instant) -> u64 {
        if !self.throttle.lines[lane as usize].is_empty() || !hub.throttle.lines[lane as usize].is_empty() {
            return 0;
        }
        hub.throttle.blocks(lane, now).min(self.throttle.blocks(lane, now))
    }

    /// Has a peer wait for its turn.
    pub(super) fn wait(&mut self, hub: &mut Hub, link: &mut Link, lane: Lane, now: Instant) {
        let at = lane as usize;
        if !std::mem::replace(&mut link.waits[at], true) {
            self.throttle.lines[at].push_back(link.peer.0 as usize);
        }
        let ready = self.throttle.ready_at(lane, now);
        if self.throttle.queued[at] || ready <= now {
            self.queue(hub, link.torrent, lane, now);
        } else {
            hub.set_timer_by(now, Timer::TorrentTurns(lane, self.id), ready);
        }
    }

    /// Has the torrent wait for its turn.
    fn queue(&mut self, hub: &mut Hub, place: usize, lane: Lane, now: Instant) {
        let at = lane as usize;
        if !std::mem::replace(&mut self.throttle.queued[at], true) {
            hub.throttle.lines[at].push_back(place);
        }
        let ready = hub.throttle.ready_at(lane, now);
        hub.set_timer_by(now, Timer::Turns(lane), ready);
    }

    /// Takes a peer that is gone out of all lines; what it was asked for must have been released.
    pub(super) fn leave_lines(&mut self, hub: &mut Hub, link: &mut Link) {
        self.count_asked(hub, link);
        for lane in Lane::ALL {
            if std::mem::take(&mut link.waits[lane as usize]) {
                self.throttle.leave(lane, link.peer.0 as usize);
            }
        }
    }

    /// Takes note of how many blocks a peer is asked for.
    pub(super) fn count_asked(&mut self, hub: &mut Hub, link: &mut Link) {
        let now = link.asked.len() as u64;
        let before = std::mem::replace(&mut link.counted, now);
        for throttle in [&mut hub.throttle, &mut self.throttle] {
            throttle.asked = throttle.asked.saturating_sub(before).saturating_add(now);
        }
    }

    /// Takes note that a block is about to be sent.
    pub(super) fn on_upload(&mut self, hub: &mut Hub, bytes: u32) {
        for bucket in [&mut hub.throttle.upload, &mut self.throttle.upload].into_iter().flatten() {
            bucket.take(u64::from(bytes));
        }
    }

    /// Takes note that a block was not sent after all.
    pub(super) fn on_upload_undone(&mut self, hub: &mut Hub, bytes: u32) {
        for bucket in [&mut hub.throttle.upload, &mut self.throttle.upload].into_iter().flatten() {
            bucket.put_back(u64::from(bytes));
        }
    }

    /// Takes note of bytes that came, and stops reading the connection where they are too many.
    pub(super) fn on_download(&mut self, hub: &mut Hub, link: &mut Link, now: Instant, bytes: usize) {
        if !self.limits(hub, Lane::Read) {
            return;
        }
        let mut over = false;
        for throttle in [&mut hub.throttle, &mut self.throttle] {
            if let Some(bucket) = &mut throttle.download {
                bucket.take(bytes as u64);
            }
            over |= throttle.blocks(Lane::Read, now) == 0;
        }
        if over && !link.stopped_by_rate {
            link.stopped_by_rate = true;
            self.wait(hub, link, Lane::Read, now);
        }
    }
}

impl Swarm {
    /// Sets the rates of all torrents and of each as the limits say, and looks after those who wait.
    pub(super) fn apply_rates(&mut self, now: Instant) {
        let limits = &self.hub.config.limits;
        self.hub.throttle.set_rates(now, limits.upload_rate, limits.download_rate);
        for lane in Lane::ALL {
            self.hub.set_timer(now, Timer::Turns(lane), now);
        }
    }

    /// The same for one torrent.
    pub(super) fn apply_torrent_rates(&mut self, now: Instant, place: usize) {
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        torrent.throttle.set_rates(now, torrent.limits.upload_rate, torrent.limits.download_rate);
        for lane in Lane::ALL {
            self.hub.set_timer(now, Timer::TorrentTurns(lane, torrent.id), now);
        }
    }

    /// Lets a torrent wait for its turn whose own rate made its peers wait.
    pub(super) fn on_torrent_turns(&mut self, now: Instant, lane: Lane, place: usize) {
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        if !torrent.throttle.lines[lane as usize].is_empty() {
            torrent.queue(&mut self.hub, place, lane, now);
        }
    }

    /// Gives turns to those who wait, as far as the rates allow.
    pub(super) fn on_turns(&mut self, now: Instant, lane: Lane) {
        let at = lane as usize;
        // Reading takes its tokens only when something comes: so many are read, and then it is seen what has come.
        let mut most = TURNS_PER_CALL;
        if lane == Lane::Read {
            most = usize::try_from(self.hub.throttle.blocks(lane, now)).unwrap_or(usize::MAX).min(most);
        }
        for _ in 0..most {
            if self.hub.throttle.blocks(lane, now) == 0 {
                break;
            }
            let Some(place) = self.hub.throttle.lines[at].pop_front() else { return };
            let Some(torrent) = self.torrents.get_mut(place) else { continue };
            torrent.throttle.queued[at] = false;
            if torrent.throttle.lines[at].is_empty() {
                continue;
            }
            if torrent.throttle.blocks(lane, now) == 0 {
                let ready = torrent.throttle.ready_at(lane, now);
                self.hub.set_timer_by(now, Timer::TorrentTurns(lane, torrent.id), ready);
                continue;
            }
            let peer = torrent.throttle.lines[at].pop_front();
            let key = peer.and_then(|peer| torrent.peers.get(&Peer(peer as u32)).copied());
            // It stands in the line again before its peer may, so that others of the session come first.
            if !torrent.throttle.lines[at].is_empty() {
                if lane == Lane::Read && torrent.throttle.limits(lane) {
                    self.hub.set_timer_by(now, Timer::TorrentTurns(lane, torrent.id), now);
                } else {
                    torrent.queue(&mut self.hub, place, lane, now);
                }
            }
            if let Some(key) = key {
                self.give_turn(now, lane, key);
                self.settle(now, place);
            }
        }
        if !self.hub.throttle.lines[at].is_empty() {
            let ready = self.hub.throttle.ready_at(lane, now);
            self.hub.set_timer_by(now, Timer::Turns(lane), ready);
        }
    }

    fn give_turn(&mut self, now: Instant, lane: Lane, key: usize) {
        let Some(conn) = self.table.get_mut(key) else { return };
        let Some(link) = conn.link_mut() else { return };
        link.waits[lane as usize] = false;
        let Some(torrent) = self.torrents.get_mut(link.torrent) else { return };
        match lane {
            Lane::Upload => {
                torrent.serve_one(&mut self.hub, conn, now);
                self.advance(now, key);
            }
            Lane::Ask => torrent.ask_one(&mut self.hub, conn, now),
            Lane::Read => {
                conn.read_again(now);
                conn.set_reading(&mut self.hub);
            }
        }
    }
}

impl Connection {
    /// Takes note that it is read again after our own limit had stopped that: the time since is neither silence nor slowness.
    fn read_again(&mut self, now: Instant) {
        self.last_heard = now;
        if let Some(link) = self.link_mut() {
            link.stopped_by_rate = false;
            link.pipeline.on_resumed(now);
        }
    }
}

/// How many dials may begin at once after a pause: a quarter of a second's worth, and at least one.
pub(super) fn dial_bucket(now: Instant, per_second: u32) -> TokenBucket {
    let rate = dial_rate(per_second);
    TokenBucket::full(now, rate, dial_burst(rate))
}

fn dial_rate(per_second: u32) -> NonZeroU64 {
    NonZeroU64::new(u64::from(per_second)).unwrap_or(NonZeroU64::MIN)
}

fn dial_burst(rate: NonZeroU64) -> u64 {
    (rate.get() / 4).max(1)
}

impl Hub {
    /// Changes how many dials may begin in a second.
    pub(super) fn set_dial_rate(&mut self, now: Instant, per_second: u32) {
        let rate = dial_rate(per_second);
        if rate != self.dial_tokens.rate() {
            self.dial_tokens.set_rate(now, rate, dial_burst(rate));
        }
    }

    /// Says whether another dial may begin now.
    pub(super) fn may_dial(&mut self, now: Instant) -> bool {
        self.dialling < self.config.limits.max_dials && self.dial_tokens.level(now) > 0
    }

    /// Has the next dial be made when it may, where only the rate is in its way.
    pub(super) fn wait_to_dial(&mut self, now: Instant) {
        if self.dialling < self.config.limits.max_dials {
            let at = self.dial_tokens.reaches(now, 1);
            self.set_timer_by(now, Timer::DialRate, at);
        }
    }
}
