use super::connection::Connection;
use super::hub::Hub;
use super::throttle::Lane;
use super::torrent::{Load, Torrent};
use super::{Event, Gone};
use crate::machine::{Block, Instant, Map, Rng};
use crate::proto::geometry::{BLOCK_LENGTH, Span};
use crate::proto::id::PieceIndex;
use crate::proto::message::Message;
use std::collections::VecDeque;
use std::io::ErrorKind;

/// How much may be queued for a peer however slowly it reads: four blocks.
const LEAST_QUEUED: usize = 64 * 1024;

/// What one peer asked us for and has not been sent.
///
/// A request waits in `waiting` until there is room to send its block, then the store is asked for it, then it is written. A
/// cancelled request stays in `waiting` and is passed over when its turn comes: so cancelling takes no search, however many
/// are queued.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Span>,
    /// How often each span in `waiting` is to be served and to be passed over.
    counts: Map<Span, Count>,
    /// Asks that are with the store.
    loading: Vec<Loading>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    live: u32,
    cancelled: u32,
}

#[derive(Debug, Clone, Copy)]
struct Loading {
    ticket: u64,
    span: Span,
    cancelled: bool,
}

impl Queue {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { waiting: VecDeque::new(), counts: Map::new(rng), loading: Vec::new() }
    }

    /// Gives how many requests wait, cancelled ones included.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Gives how many bytes are taken to be on their way from the store: a whole block for each ask, for each is a job of the
    /// store's, however short. So asks are few, and looking through them is cheap.
    pub(super) fn reserved(&self) -> usize {
        self.loading.len().saturating_mul(BLOCK_LENGTH as usize)
    }

    pub(super) fn is_loading(&self) -> bool {
        !self.loading.is_empty()
    }

    pub(super) fn on_request(&mut self, span: Span) {
        self.counts.entry(span).or_default().live += 1;
        self.waiting.push_back(span);
    }

    /// Takes back one request: one that waits, or else one that is being loaded.
    pub(super) fn on_cancel(&mut self, span: Span) {
        if let Some(count) = self.counts.get_mut(&span).filter(|count| count.live > 0) {
            count.live -= 1;
            count.cancelled += 1;
        } else if let Some(loading) = self.loading.iter_mut().find(|l| l.span == span && !l.cancelled) {
            loading.cancelled = true;
        }
    }

    /// Takes back all requests for a piece, because it is there no more.
    pub(super) fn on_lost(&mut self, piece: PieceIndex) {
        for span in self.waiting.iter().filter(|span| span.piece == piece) {
            if let Some(count) = self.counts.get_mut(span) {
                count.cancelled += std::mem::take(&mut count.live);
            }
        }
        self.loading.iter_mut().filter(|l| l.span.piece == piece).for_each(|l| l.cancelled = true);
    }

    /// Takes the next request that is to be served.
    pub(super) fn next(&mut self) -> Option<Span> {
        while let Some(span) = self.waiting.pop_front() {
            let Some(count) = self.counts.get_mut(&span) else { continue };
            let serve = if count.cancelled > 0 {
                count.cancelled -= 1;
                false
            } else {
                count.live -= 1;
                true
            };
            if count.live == 0 && count.cancelled == 0 {
                self.counts.remove(&span);
            }
            if serve {
                return Some(span);
            }
        }
        None
    }

    pub(super) fn on_load(&mut self, ticket: u64, span: Span) {
        self.loading.push(Loading { ticket, span, cancelled: false });
    }

    /// Takes note that the store answered; gives the span unless it is no longer wanted.
    pub(super) fn on_loaded(&mut self, ticket: u64) -> Option<Span> {
        let at = self.loading.iter().position(|l| l.ticket == ticket)?;
        let loading = self.loading.remove(at);
        (!loading.cancelled).then_some(loading.span)
    }

    /// Drops everything, because the peer is choked.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.waiting.shrink_to(64);
        self.counts.clear();
        self.loading.iter_mut().for_each(|l| l.cancelled = true);
    }
}

impl Torrent {
    /// Asks the store for what a peer asked us for, as far as there is room to send it and the upload rate allows.
    pub(super) fn serve(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant) {
        if conn.link().is_none_or(|link| link.queue.len() == 0) {
            return;
        }
        let most = if self.limits(hub, Lane::Upload) { self.blocks(hub, Lane::Upload, now) } else { u64::MAX };
        self.serve_blocks(hub, conn, now, most);
    }

    /// The same for one block, where it is the peer's turn.
    pub(super) fn serve_one(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant) {
        self.serve_blocks(hub, conn, now, 1);
    }

    fn serve_blocks(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant, mut most: u64) {
        let (key, id, queued) = (conn.key, conn.id, conn.outbox.queued());
        let Some(link) = conn.link_mut() else { return };
        // A second's worth: what is queued any longer could not be taken back by a cancel or a choke.
        let second = usize::try_from(link.upload.per_second(now)).unwrap_or(usize::MAX).max(LEAST_QUEUED);
        while queued.saturating_add(link.queue.reserved()) < hub.config.send_watermark.min(second) {
            if most == 0 {
                if link.queue.len() > 0 {
                    self.wait(hub, link, Lane::Upload, now);
                }
                break;
            }
            let Some(span) = link.queue.next() else { break };
            most -= 1;
            self.on_upload(hub, span.length);
            let entry = self.loads.vacant_entry();
            hub.tickets = hub.tickets.wrapping_add(1);
            // The place in the low half, and a number in the high half that tells it from the place's earlier tenants.
            let ticket = u64::from(hub.tickets) << 32 | entry.key() as u64 & 0xffff_ffff;
            entry.insert(Load { ticket, key, conn: id, length: span.length });
            link.queue.on_load(ticket, span);
            hub.events.push_back(Event::Load { torrent: self.id, span, ticket });
        }
    }

    /// Takes the store's answer to an ask; gives it back where it was ours, for its connection.
    pub(super) fn take_load(&mut self, ticket: u64) -> Option<Load> {
        let place = (ticket & 0xffff_ffff) as usize;
        self.loads.get(place).filter(|load| load.ticket == ticket)?;
        Some(self.loads.remove(place))
    }

    /// Sends a block that the store gave, unless it is no longer wanted.
    pub(super) fn on_loaded(
        &mut self,
        hub: &mut Hub,
        conn: &mut Connection,
        now: Instant,
        load: Load,
        block: Option<Block>,
    ) -> Result<(), Gone> {
        let Some((link, span)) = conn.link_mut().and_then(|link| {
            let span = link.queue.on_loaded(load.ticket)?;
            Some((link, span))
        }) else {
            self.on_upload_undone(hub, load.length);
            return Ok(());
        };
        let Some(block) = block.filter(|block| block.len() == span.length as usize) else {
            // BEP 3 has no way to refuse a request; the peer asks others once the connection is closed.
            return Err(Gone::Failed(ErrorKind::InvalidData));
        };
        link.moved = Some(now);
        link.upload.add(now, block.len() as u64);
        self.upload.add(now, block.len() as u64);
        conn.send_block(hub, now, span, block);
        self.touch(hub, now);
        Ok(())
    }

    /// Chokes a peer, dropping what it asked for, or unchokes it.
    pub(super) fn set_choke(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant, choke: bool) {
        let Some(link) = conn.link_mut() else { return };
        if link.we_choke == choke {
            return;
        }
        link.we_choke = choke;
        link.choked_at = now;
        if choke {
            link.queue.clear();
        } else {
            link.turn.begin(link.upload.total());
        }
        conn.send(hub, now, if choke { &Message::Choke } else { &Message::Unchoke });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::id::PieceIndex;

    fn span(begin: u32) -> Span {
        Span { piece: PieceIndex(0), begin, length: 16 }
    }

    #[test]
    fn a_cancelled_request_is_passed_over_and_the_same_asked_again_is_served() {
        let mut queue = Queue::new(&mut Rng::new(1));
        [0, 16, 0].into_iter().for_each(|begin| queue.on_request(span(begin)));
        queue.on_cancel(span(0));
        queue.on_cancel(span(99));
        queue.on_cancel(span(16));
        queue.on_request(span(16));
        assert_eq!(queue.next(), Some(span(0)));
        assert_eq!(queue.next(), Some(span(16)));
        assert_eq!(queue.next(), None);
        assert!(queue.waiting.is_empty() && queue.counts.is_empty());
        // A cancel that came too late takes nothing from a later request.
        queue.on_cancel(span(0));
        queue.on_request(span(0));
        assert_eq!(queue.next(), Some(span(0)));
    }

    #[test]
    fn of_a_piece_that_is_lost_nothing_is_served() {
        let mut queue = Queue::new(&mut Rng::new(1));
        let other = Span { piece: PieceIndex(1), ..span(0) };
        [span(0), other, span(1), span(0), span(2)].into_iter().for_each(|span| queue.on_request(span));
        queue.on_cancel(span(0));
        queue.on_load(7, span(3));
        queue.on_load(8, other);
        queue.on_lost(span(0).piece);
        assert_eq!((queue.next(), queue.next()), (Some(other), None));
        assert_eq!((queue.on_loaded(7), queue.on_loaded(8)), (None, Some(other)));
        // It may come back.
        queue.on_request(span(0));
        assert_eq!(queue.next(), Some(span(0)));
    }

    #[test]
    fn what_was_being_loaded_when_it_was_cancelled_is_not_sent() {
        let mut queue = Queue::new(&mut Rng::new(1));
        [(7, 0), (8, 16), (9, 32)].into_iter().for_each(|(ticket, begin)| queue.on_load(ticket, span(begin)));
        assert_eq!(queue.reserved(), 3 * 16384);
        queue.on_cancel(span(16));
        assert_eq!(queue.on_loaded(8), None);
        assert_eq!(queue.on_loaded(7), Some(span(0)));
        assert_eq!(queue.on_loaded(7), None);
        queue.clear();
        assert_eq!((queue.on_loaded(9), queue.reserved()), (None, 0));
    }
}
