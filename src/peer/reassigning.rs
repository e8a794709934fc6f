use super::connection::{Connection, Link};
use super::hub::{Hub, Timer};
use super::machine::Swarm;
use super::throttle::Lane;
use super::torrent::Torrent;
use crate::machine::Instant;
use crate::proto::geometry::{BLOCK_LENGTH, Span};
use crate::proto::message::Message;
use crate::select::{Owned, Peer, Pipeline, Reassignment};
use log::debug;
use std::cmp::Reverse;
use std::time::Duration;

/// How often it is looked for requests that are better off with others.
const INTERVAL: Duration = Duration::from_millis(250);
/// Requests that are answered within that are left alone.
const SOON: Duration = Duration::from_secs(1);
/// How long a peer is taken to need of which we know nothing.
const UNKNOWN: Duration = Duration::from_secs(1);
/// How many slow peers are looked at each time, and of each how many requests, the last first; and how many fast ones.
const SLOW: usize = 16;
const REQUESTS: usize = 16;
const FAST: usize = 16;

/// A peer that may be asked for what others are asked for.
struct Taker {
    due: Duration,
    block_time: Duration,
    idle: bool,
    peer: Peer,
    key: usize,
}

impl Taker {
    fn new(link: &Link, key: usize, now: Instant) -> Option<Self> {
        let pipeline = &link.pipeline;
        let idle = pipeline.room() > 0 && !link.waits[Lane::Ask as usize];
        let unknown = pipeline.block_time().is_none();
        let in_vain = pipeline.open() > 0 || pipeline.unanswered(now) > UNKNOWN;
        // Of one that was never measured, nothing more is expected than that it answers; but not if it has been asked in vain.
        if link.is_held_back() || pipeline.has_stalled() || unknown && in_vain {
            return None;
        }
        let due = if unknown { UNKNOWN } else { pipeline.due_in(now, pipeline.open()) };
        Some(Self { due, block_time: pipeline.block_time().unwrap_or(UNKNOWN), idle, peer: link.peer, key })
    }
}

impl Torrent {
    /// Has it looked soon whether requests are better off with other peers.
    pub(super) fn watch(&mut self, hub: &mut Hub, now: Instant) {
        if !self.watched && self.peers.len() > 1 && self.picker.requests() > 0 {
            self.watched = true;
            hub.set_timer(now, Timer::Reassign(self.id), now + INTERVAL);
        }
    }

    /// Gives when a request of a peer is due: sooner where part of the block has come.
    fn due(link: &Link, now: Instant, place: usize, span: Span) -> Duration {
        let due = link.pipeline.due_in(now, place);
        let coming = link.incoming.as_ref().filter(|incoming| incoming.span == span);
        let Some(buf) = coming.and_then(|incoming| incoming.buf.as_ref()) else { return due };
        let left = span.length.saturating_sub(u32::try_from(buf.bytes().len()).unwrap_or(u32::MAX));
        due.saturating_mul(left) / span.length.max(1)
    }
}

impl Swarm {
    /// Moves requests from peers that are expected to answer late to others that would answer much sooner.
    pub(super) fn reassign(&mut self, now: Instant, place: usize) {
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        torrent.watched = false;
        torrent.watch(&mut self.hub, now);
        if !torrent.watched || torrent.stopped_by_store {
            return;
        }
        let links = |key: usize| self.table.get(key).and_then(Connection::link);
        let last_due = |pipeline: &Pipeline| pipeline.due_in(now, pipeline.open().saturating_sub(1));
        let mut slow: Vec<(Duration, usize)> = Vec::new();
        for key in torrent.peers.values() {
            let due = links(*key)
                .filter(|link| link.pipeline.open() > 0 && !link.is_held_back())
                .map(|link| last_due(&link.pipeline));
            slow.extend(due.filter(|due| *due > SOON).map(|due| (due, *key)));
        }
        let owned: Vec<Owned> = torrent.picker.owned().collect();
        if slow.is_empty() && owned.is_empty() {
            return;
        }
        slow.sort_by_key(|(due, _)| Reverse(*due));
        slow.truncate(SLOW);
        let mut takers: Vec<Taker> = Vec::new();
        for key in torrent.peers.values() {
            let link = links(*key).filter(|link| torrent.may_ask(&self.hub, link, now));
            takers.extend(link.and_then(|link| Taker::new(link, *key, now)));
        }
        takers.sort_by_key(|taker| taker.due);
        takers.truncate(FAST);
        for suspect in owned {
            self.free_suspect(now, place, suspect, &mut takers);
        }
        for (_, key) in &slow {
            for _ in 0..REQUESTS {
                if !self.move_one(now, place, *key, &mut takers) {
                    break;
                }
            }
            let (Some(conn), Some(torrent)) = (self.table.get_mut(*key), self.torrents.get_mut(place)) else { return };
            torrent.fill(&mut self.hub, conn, now);
        }
    }

    /// Takes a suspect piece from an owner that is expected to need much longer for it than a peer that has nothing else to do, and
    /// gives it to that one. One that gave nothing of a bad copy comes before others.
    fn free_suspect(&mut self, now: Instant, place: usize, suspect: Owned, takers: &mut [Taker]) {
        let Owned { piece, owner, asked, missing } = suspect;
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        let Some(from) = torrent.peers.get(&owner).copied() else { return };
        let links = |key: usize| self.table.get(key).and_then(Connection::link);
        let Some(link) = links(from).filter(|link| !link.is_held_back()) else { return };
        let last = link.pipeline.open().saturating_sub(1);
        // Of one that was never measured it is not known how long it takes for the piece: one block is compared with one.
        let measured = link.pipeline.block_time().is_some();
        let present = link.pipeline.due_in(now, if measured { last.saturating_add(missing) } else { last });
        let more = u32::try_from(asked + missing).unwrap_or(u32::MAX).saturating_sub(1);
        let bytes = (asked as u64).saturating_mul(u64::from(BLOCK_LENGTH));
        let at_risk = Reassignment::is_at_risk(link.pipeline.unanswered(now));
        let most = Reassignment::most_at_risk(torrent.geometry.total_length());
        if at_risk && torrent.moved.saturating_add(bytes) > most {
            return;
        }
        let find = |avoided: bool| {
            takers.iter().position(|taker| {
                let rest = if measured { taker.block_time.saturating_mul(more) } else { Duration::ZERO };
                let other = taker.due.saturating_add(rest);
                let case = Reassignment { present, other, idle: taker.idle, hostage: false };
                let has = || links(taker.key).is_some_and(|link| link.has.contains(piece));
                case.is_worthwhile() && torrent.picker.may_hand_over(piece, taker.peer, avoided) && has()
            })
        };
        let Some(at) = find(false).or_else(|| find(true)) else { return };
        let taker = &mut takers[at];
        let room = links(taker.key).map_or(0, |link| link.pipeline.room());
        let (taken, moved) = torrent.picker.hand_over(piece, taker.peer, room);
        debug!(target: "bip::peer", "{}: piece {piece}, which is suspect, is asked of another, who is sooner", torrent.id);
        if at_risk {
            // What the owner has been asked for since it was looked at goes over too.
            torrent.moved += (taken.len() as u64).saturating_mul(u64::from(BLOCK_LENGTH));
        }
        if let Some(conn) = self.table.get_mut(taker.key) {
            conn.ask(&mut self.hub, now, &taken[..moved]);
            torrent.fill(&mut self.hub, conn, now);
            if let Some(link) = conn.link_mut() {
                torrent.count_asked(&mut self.hub, link);
                taker.idle = link.pipeline.room() > 0;
                taker.due = taker.due.saturating_add(taker.block_time.saturating_mul(more));
            }
        }
        if let Some(conn) = self.table.get_mut(from) {
            for span in taken {
                if let Some(link) = conn.link_mut() {
                    link.release_one(now, span);
                    torrent.count_asked(&mut self.hub, link);
                }
                conn.send(&mut self.hub, now, &Message::Cancel(span));
            }
            torrent.fill(&mut self.hub, conn, now);
        }
    }

    /// Moves the last request of a slow peer that is worth it; says whether there was one.
    fn move_one(&mut self, now: Instant, place: usize, from: usize, takers: &mut [Taker]) -> bool {
        let Some(torrent) = self.torrents.get_mut(place) else { return false };
        let Some(link) = self.table.get(from).and_then(Connection::link) else { return false };
        let (peer, unanswered) = (link.peer, link.pipeline.unanswered(now));
        let at_risk = Reassignment::is_at_risk(unanswered);
        let most = Reassignment::most_at_risk(torrent.geometry.total_length());
        let mut found = None;
        // What is suspect is its owner's alone, and goes with the whole piece.
        let movable = link.asked.iter().enumerate().rev().filter(|(_, span)| !torrent.picker.is_suspect(span.piece));
        for (at, span) in movable.take(REQUESTS) {
            let present = Torrent::due(link, now, at, *span);
            let mut waits = None;
            let other = takers.iter().position(|taker| {
                let mut waits = || *waits.get_or_insert_with(|| torrent.picker.waits_for(span.piece, peer));
                let hostage = !taker.idle && waits();
                let case = Reassignment { present, other: taker.due, idle: taker.idle, hostage };
                let has =
                    |key| self.table.get(key).and_then(Connection::link).is_some_and(|l| l.has.contains(span.piece));
                let afford = !at_risk || torrent.moved.saturating_add(u64::from(span.length)) <= most;
                taker.peer != peer && case.is_worthwhile() && afford && has(taker.key)
            });
            found = other.map(|other| (*span, other));
            if found.is_some() {
                break;
            }
        }
        let Some((span, other)) = found else { return false };
        let taker = &mut takers[other];
        if !torrent.picker.move_request(peer, taker.peer, span) {
            return false;
        }
        debug!(target: "bip::peer", "{}: {span} is asked of another, who is sooner", torrent.id);
        if at_risk {
            torrent.moved += u64::from(span.length);
        }
        taker.due += taker.block_time;
        let to = taker.key;
        if let Some(conn) = self.table.get_mut(from) {
            if let Some(link) = conn.link_mut() {
                link.release_one(now, span);
                torrent.count_asked(&mut self.hub, link);
            }
            conn.send(&mut self.hub, now, &Message::Cancel(span));
        }
        if let Some(conn) = self.table.get_mut(to) {
            conn.ask(&mut self.hub, now, &[span]);
            if let Some(link) = conn.link_mut() {
                torrent.count_asked(&mut self.hub, link);
                taker.idle = link.pipeline.room() > 0;
            }
        }
        true
    }
}
