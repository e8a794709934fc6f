use super::connection::{Connection, Link};
use super::hub::{Hub, Timer};
use super::torrent::Torrent;
use super::{Gone, Violation};
use crate::machine::Instant;
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::{BLOCK_LENGTH, Span};
use crate::proto::id::PieceIndex;
use crate::proto::message::{self, Frames, Item, Limits, Message};
use log::debug;

/// How many bitfields that tell of no more pieces than before a peer may send on a connection: each may cost a sweep over all
/// pieces. Those that tell of more end by themselves. aria2 sends one whenever it is shorter than the haves that it stands for.
const MOST_BITFIELDS: u8 = 4;

impl Torrent {
    /// Takes bytes of a peer's stream, until they end or its queue of requests is full; what is left stays in `input`.
    pub(super) fn read(
        &mut self,
        hub: &mut Hub,
        conn: &mut Connection,
        now: Instant,
        input: &mut &[u8],
    ) -> Result<(), Gone> {
        let Some(link) = conn.link_mut() else { return Ok(()) };
        // Messages borrow from the frames; the link is changed meanwhile.
        let mut frames = std::mem::replace(&mut link.frames, Frames::new(Limits::default()));
        let result = loop {
            let Some(link) = conn.link_mut() else { break Ok(()) };
            if link.queue.len() >= hub.config.upload_queue.max(1) {
                // Where nothing is left to read, the peer may have asked for no more than there is room for.
                if !input.is_empty() {
                    link.stopped_by_queue = true;
                }
                break Ok(());
            }
            let over = link.bitfields >= MOST_BITFIELDS;
            if over && frames.limits().bitfield > 0 {
                frames.set_limits(Limits { bitfield: 0, ..*frames.limits() });
            }
            match frames.next(input) {
                Ok(None) => break Ok(()),
                Ok(Some(item)) => {
                    if let Err(gone) = self.on_item(hub, conn, now, item) {
                        break Err(gone);
                    }
                }
                Err(error) => {
                    debug!(target: "bip::peer", "{}: {}: {error}", self.id, conn.address);
                    break Err(Gone::Violation(violation(error)));
                }
            }
        };
        if let Some(link) = conn.link_mut() {
            link.frames = frames;
        }
        result
    }

    fn on_item(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant, item: Item<'_>) -> Result<(), Gone> {
        match item {
            Item::Message(message) => self.on_message(hub, conn, now, message),
            Item::Piece(span) => self.on_block_begin(hub, conn, span),
            Item::Data(data) => {
                self.on_block_data(hub, conn, now, data);
                Ok(())
            }
            Item::PieceEnd => {
                self.on_block_end(hub, conn, now);
                Ok(())
            }
        }
    }

    fn on_message(
        &mut self,
        hub: &mut Hub,
        conn: &mut Connection,
        now: Instant,
        message: Message<'_>,
    ) -> Result<(), Gone> {
        let address = conn.address;
        let Some(link) = conn.link_mut() else { return Ok(()) };
        match message {
            Message::Choke => {
                if !link.they_choke {
                    link.they_choke = true;
                    link.pipeline.on_cleared();
                    self.release(link);
                }
            }
            Message::Unchoke => link.they_choke = false,
            Message::Interested => {
                if !link.they_want {
                    link.they_want = true;
                    if link.we_choke {
                        link.choked_at = link.choked_at.max(now);
                    }
                    self.todo.rechoke = true;
                    hub.set_timer_by(now, Timer::Choke(self.id), now + hub.config.choke_interval);
                }
            }
            Message::NotInterested => {
                link.they_want = false;
                self.todo.rechoke = true;
            }
            Message::Have(piece) => {
                if piece.0 >= self.geometry.piece_count() {
                    debug!(target: "bip::peer", "{}: {address}: has piece {piece}, which is not there", self.id);
                    return Err(Gone::Violation(Violation::OutOfRange));
                }
                if link.has.insert(piece) {
                    self.picker.peer_has(piece);
                    if link.has.is_full() {
                        self.seeds += 1;
                    }
                    if self.downloads && !link.we_want && self.picker.wants(piece) {
                        link.we_want = true;
                        conn.send(hub, now, &Message::Interested);
                    }
                    self.touch(hub, now);
                    return self.check_use(hub, conn);
                }
            }
            Message::Bitfield(bytes) => {
                let has = Bitfield::from_bytes(bytes, self.geometry.piece_count());
                let Some(has) = has.filter(|_| link.bitfields < MOST_BITFIELDS) else {
                    debug!(target: "bip::peer", "{}: {address}: a bitfield of {} bytes that is wrong", self.id, bytes.len());
                    return Err(Gone::Violation(Violation::Bitfield));
                };
                if has.count() <= link.has.count() {
                    link.bitfields += 1;
                }
                self.on_bitfield(hub, conn, now, has);
                return self.check_use(hub, conn);
            }
            Message::Request(span) => {
                self.check_request(span).inspect_err(|_| {
                    debug!(target: "bip::peer", "{}: {address}: asks for {span}, which it may not", self.id);
                })?;
                // A request while we choke crossed our choke, or is idle: it is not answered (BEP 3).
                if !link.we_choke {
                    link.queue.on_request(span);
                }
            }
            Message::Cancel(span) => link.queue.on_cancel(span),
            // The frames give blocks as their own items.
            Message::Piece { .. } => {}
            // Not spoken: our handshake sets no bit for them, and the frames give none.
            Message::Suggest(_)
            | Message::HaveAll
            | Message::HaveNone
            | Message::Reject(_)
            | Message::AllowedFast(_)
            | Message::Extended { .. }
            | Message::HashRequest(_)
            | Message::Hashes(_)
            | Message::HashReject(_) => {}
            Message::KeepAlive | Message::Port(_) | Message::Unknown { .. } => {}
        }
        Ok(())
    }

    /// Takes what a peer says to have instead of what it said before.
    fn on_bitfield(&mut self, hub: &mut Hub, conn: &mut Connection, now: Instant, has: Bitfield) {
        let Some(link) = conn.link_mut() else { return };
        let old = std::mem::replace(&mut link.has, has);
        self.picker.peer_left(&old);
        self.picker.peer_joined(&link.has);
        self.seeds = self.seeds.saturating_sub(u32::from(old.is_full())) + u32::from(link.has.is_full());
        self.touch(hub, now);
        let peer = link.peer;
        // What it has no more, it will not send.
        let lost: Vec<Span> = link.asked.iter().filter(|span| !link.has.contains(span.piece)).copied().collect();
        for span in lost {
            self.picker.release_one(peer, span);
            self.cancel(hub, conn, now, span);
            self.todo.refill = true;
        }
        self.review_interest(hub, conn, now);
    }

    fn check_request(&self, span: Span) -> Result<(), Gone> {
        if span.length == 0 || span.length > BLOCK_LENGTH {
            return Err(Gone::Violation(Violation::RequestLength));
        }
        if !self.geometry.contains(span) || !self.picker.have().contains(span.piece) {
            return Err(Gone::Violation(Violation::OutOfRange));
        }
        Ok(())
    }

    /// Says that a connection is of no use where both sides have everything.
    fn check_use(&self, hub: &Hub, conn: &Connection) -> Result<(), Gone> {
        let full = conn.link().is_some_and(|link| link.has.is_full());
        if full && hub.config.close_redundant && self.picker.has_all() {
            return Err(Gone::Redundant);
        }
        Ok(())
    }

    /// Gives a peer's requests free for others.
    pub(super) fn release(&mut self, link: &mut Link) {
        self.picker.release(link.peer);
        link.release();
        self.todo.refill = true;
    }

    /// Announces a piece to a peer, and tells it if we want nothing of it any more.
    pub(super) fn announce(&self, hub: &mut Hub, conn: &mut Connection, now: Instant, piece: PieceIndex) {
        let Some(link) = conn.link_mut() else { return };
        let has = link.has.contains(piece);
        let unwant = has && link.we_want && !self.picker.wants_from(&link.has);
        if unwant {
            link.we_want = false;
        }
        if !has {
            conn.send(hub, now, &Message::Have(piece));
        }
        if unwant {
            conn.send(hub, now, &Message::NotInterested);
        }
    }
}

fn violation(error: message::Error) -> Violation {
    match error {
        message::Error::TooLong { id: message::id::BITFIELD, .. } => Violation::Bitfield,
        _ => Violation::Malformed,
    }
}
