use super::connection::{Connection, Incoming, Link};
use super::hub::{Hub, Timer};
use super::throttle::Lane;
use super::torrent::Torrent;
use super::{Event, Gone, Stored, Violation};
use crate::machine::Instant;
use crate::proto::geometry::Span;
use crate::proto::id::PieceIndex;
use crate::proto::message::Message;
use crate::select::Arrival;
use log::{debug, info};

/// How many times its queue of requests a piece may be for a peer that is asked for whole ones.
const FAST: usize = 8;

impl Torrent {
    /// Says whether a peer may be asked for blocks at all.
    pub(super) fn may_ask(&self, hub: &Hub, link: &Link, now: Instant) -> bool {
        !link.they_choke
            && link.we_want
            // What it sends would wait behind its own requests.
            && !link.stopped_by_queue
            && self.is_running()
            && self.storing < hub.config.store_credit
            && now >= self.retry_at.max(self.liars.parole_until(link.giver))
    }

    /// Says whether a peer would send a piece in a short time: its queue of requests holds half a second's worth or more.
    fn is_fast(&self, link: &Link) -> bool {
        let blocks = self.geometry.blocks_in(PieceIndex(0)) as usize;
        link.pipeline.depth().saturating_mul(FAST) >= blocks
    }

    /// Asks a peer for as many blocks as should be asked of it and the download rate allows.
    pub(super) fn fill(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant) {
        self.ask(hub, conn, now, None);
    }

    /// Asks a peer for one block, where it is the peer's turn.
    pub(super) fn ask_one(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant) {
        self.ask(hub, conn, now, Some(1));
    }

    fn ask(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant, turn: Option<u64>) {
        let Some(link) = conn.link_mut() else { return };
        self.count_asked(hub, link);
        let room = link.pipeline.room();
        if room == 0 || !self.may_ask(hub, link, now) {
            return;
        }
        let (wanted, mut room) = (room, room);
        if self.limits(hub, Lane::Ask) {
            let most = turn.unwrap_or_else(|| self.blocks(hub, Lane::Ask, now));
            room = room.min(usize::try_from(most).unwrap_or(usize::MAX));
            if room == 0 {
                return self.wait(hub, link, Lane::Ask, now);
            }
        }
        let mut spans = std::mem::take(&mut hub.spans);
        if self.is_fast(link) {
            self.picker.pick_apart(link.peer, &link.has, room, &mut spans);
        } else {
            self.picker.pick(link.peer, &link.has, room, &mut spans);
        }
        if spans.len() == room && room < wanted {
            self.wait(hub, link, Lane::Ask, now);
        }
        conn.ask(hub, now, &spans);
        spans.clear();
        if let Some(link) = conn.link_mut() {
            self.count_asked(hub, link);
        }
        hub.spans = spans;
        self.watch(hub, now);
    }

    pub(super) fn on_block_begin(&mut self, hub: &mut Hub, conn: &mut Connection, span: Span) -> Result<(), Gone> {
        if !self.geometry.contains(span) {
            debug!(target: "bip::peer", "{}: {}: sends {span}, which is not there", self.id, conn.address);
            return Err(Gone::Violation(Violation::OutOfRange));
        }
        let Some(link) = conn.link_mut() else { return Ok(()) };
        let wanted = link.asked.contains(&span) || link.late.contains(&span);
        let buf = wanted.then(|| hub.pool.take(span.length as usize));
        link.unasked += u32::from(!wanted);
        if link.unasked > hub.config.max_unasked {
            debug!(target: "bip::peer", "{}: {}: sends too many blocks unasked", self.id, conn.address);
            return Err(Gone::Violation(Violation::Unasked));
        }
        link.incoming = Some(Incoming { span, buf });
        Ok(())
    }

    pub(super) fn on_block_data(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant, data: &[u8]) {
        let Some(link) = conn.link_mut() else { return };
        link.moved = Some(now);
        link.gave = Some(now);
        link.download.add(now, data.len() as u64);
        self.download.add(now, data.len() as u64);
        self.on_download(hub, link, now, data.len());
        match &mut link.incoming {
            Some(Incoming { buf: Some(buf), .. }) => {
                buf.bytes_mut().extend_from_slice(data);
                link.pipeline.on_alive(now);
            }
            _ => {
                self.wasted += data.len() as u64;
                self.redundant += data.len() as u64;
            }
        }
        self.touch(hub, now);
    }

    pub(super) fn on_block_end(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant) {
        let Some(link) = conn.link_mut() else { return };
        // A block that nobody wanted has been counted as it came.
        let Some(Incoming { span, buf: Some(buf) }) = link.incoming.take() else { return };
        if let Some(at) = link.asked.iter().position(|s| *s == span) {
            link.asked.remove(at);
            link.pipeline.on_block(now, span.length);
        } else {
            link.late.retain(|s| *s != span);
            link.pipeline.on_late_block(now, span.length);
        }
        match self.picker.on_block(link.peer, span) {
            Arrival::Unwanted => {
                self.wasted += u64::from(span.length);
                self.redundant += u64::from(span.length);
            }
            Arrival::Wanted { cancel } => {
                link.turn.gave.add(now, u64::from(span.length));
                self.liars.on_block(link.giver, span, self.geometry.blocks_in(span.piece));
                self.todo.cancels.extend(cancel.into_iter().map(|peer| (peer, span)));
                self.stores += 1;
                self.storing += span.length as usize;
                hub.events.push_back(Event::Store { torrent: self.id, span, block: buf.freeze() });
            }
        }
    }

    /// Takes back a request because another peer answered it.
    pub(super) fn cancel(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant, span: Span) {
        let Some(link) = conn.link_mut() else { return };
        let Some(at) = link.asked.iter().position(|s| *s == span) else { return };
        link.asked.remove(at);
        link.pipeline.on_cancelled(now);
        conn.send(hub, now, &Message::Cancel(span));
    }

    /// Takes the store's answer for a block. Who is found guilty by it is to be banned by the caller.
    pub(super) fn on_stored(&mut self, hub: &mut Hub, now: Instant, span: Span, outcome: Stored) {
        if self.stores == 0 || !self.geometry.contains(span) {
            return;
        }
        self.stores -= 1;
        let short = self.storing >= hub.config.store_credit;
        self.storing = self.storing.saturating_sub(span.length as usize);
        match outcome {
            Stored::Kept => self.picker.on_stored(span),
            Stored::Known => {
                self.wasted += u64::from(span.length);
                self.redundant += u64::from(span.length);
                self.liars.on_good(span.piece);
                self.on_piece_good(hub, now, span.piece);
            }
            Stored::PieceGood => {
                self.liars.on_good(span.piece);
                self.on_piece_good(hub, now, span.piece);
            }
            Stored::PieceBad => {
                info!(target: "bip::peer", "{}: piece {} has the wrong hash and is fetched again", self.id, span.piece);
                self.picker.on_piece_bad(span.piece);
                self.pieces_failed = self.pieces_failed.saturating_add(1);
                if let Some(at) = self.liars.on_bad(now, span.piece, hub.config.parole) {
                    hub.set_timer_by(now, Timer::Refill(self.id), at);
                }
                self.wasted += u64::from(self.geometry.length_of(span.piece));
                self.todo.refill = true;
            }
            Stored::Failed => {
                self.picker.on_store_failed(span);
                self.retry_at = now + hub.config.store_retry;
                hub.set_timer_by(now, Timer::Refill(self.id), self.retry_at);
            }
        }
        if short && self.storing < hub.config.store_credit {
            self.todo.refill = true;
        }
        self.touch(hub, now);
    }
}
