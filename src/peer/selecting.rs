//! Which pieces of a torrent are wanted, and what follows when that changes.

use super::connection::Connection;
use super::hub::Hub;
use super::machine::Swarm;
use super::torrent::Torrent;
use super::{Event, Refusal, Selection};
use crate::machine::{Instant, TorrentId};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::{Geometry, Span};
use crate::proto::id::PieceIndex;
use crate::proto::message::Message;
use crate::select::{Peer, Picker, Priority};

/// How much of a torrent is wanted, and how much of that is there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) pieces: u32,
    pub(super) pieces_done: u32,
    pub(super) bytes: u64,
    pub(super) bytes_done: u64,
    /// Whether it was told that all of it is there.
    told: bool,
}

impl Wanted {
    /// Counts what is wanted when all is.
    pub(super) fn all(geometry: Geometry, have: &Bitfield) -> Self {
        Self {
            pieces: geometry.piece_count(),
            pieces_done: have.count(),
            bytes: geometry.total_length(),
            bytes_done: geometry.bytes_in(have),
            told: have.is_full(),
        }
    }

    /// Counts what a picker wants.
    fn of(geometry: Geometry, picker: &Picker, told: bool) -> Self {
        let mut wanted = Self { told, ..Self::default() };
        let pieces = (0..geometry.piece_count()).map(PieceIndex);
        for piece in pieces.filter(|piece| picker.priority(*piece) != Priority::Skip) {
            let bytes = u64::from(geometry.length_of(piece));
            let done = picker.have().contains(piece);
            wanted.pieces += 1;
            wanted.pieces_done += u32::from(done);
            wanted.bytes += bytes;
            wanted.bytes_done += if done { bytes } else { 0 };
        }
        wanted
    }
}

impl Torrent {
    /// Takes a selection as in force from the start: what is there of it is no news.
    pub(super) fn begin_with(&mut self, selection: &Selection) {
        self.apply(selection);
        self.wanted.told = self.picker.is_complete();
    }

    /// Has other pieces wanted; gives the requests that are to be taken back.
    fn apply(&mut self, selection: &Selection) -> Vec<(Peer, Span)> {
        let cancelled = self.picker.set_priorities(selection.pieces.as_deref(), selection.sequential);
        self.wanted = Wanted::of(self.geometry, &self.picker, self.wanted.told && self.picker.is_complete());
        cancelled
    }

    /// Counts a piece that has become ours, and tells if it was the last that is wanted.
    pub(super) fn count_wanted(&mut self, hub: &mut Hub, now: Instant, piece: PieceIndex) {
        if self.picker.priority(piece) != Priority::Skip {
            self.wanted.pieces_done += 1;
            self.wanted.bytes_done += u64::from(self.geometry.length_of(piece));
        }
        self.tell_if_complete(hub, now);
    }

    /// Counts a piece out that is ours no more: its return is news.
    pub(super) fn count_lost(&mut self, piece: PieceIndex) {
        if self.picker.priority(piece) != Priority::Skip {
            self.wanted.pieces_done -= 1;
            self.wanted.bytes_done -= u64::from(self.geometry.length_of(piece));
            self.wanted.told = false;
        }
    }

    fn tell_if_complete(&mut self, hub: &mut Hub, now: Instant) {
        if self.picker.is_complete() && !self.wanted.told {
            self.wanted.told = true;
            // The figures first: whoever hears of the end looks at them.
            self.publish(hub, now);
            hub.events.push_back(Event::Completed { torrent: self.id });
        }
    }

    /// Tells a peer whether we are interested, if that has changed.
    pub(super) fn review_interest(&self, hub: &mut Hub, conn: &mut Connection, now: Instant) {
        let Some(link) = conn.link_mut() else { return };
        let wants = self.downloads && self.picker.wants_from(&link.has);
        if wants != link.we_want {
            link.we_want = wants;
            conn.send(hub, now, if wants { &Message::Interested } else { &Message::NotInterested });
        }
    }
}

impl Swarm {
    pub(super) fn on_select(&mut self, now: Instant, id: TorrentId, selection: &Selection) {
        let Some(place) = self.find(id) else { return };
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        let pieces = torrent.geometry.piece_count() as usize;
        if selection.pieces.as_ref().is_some_and(|wanted| wanted.len() != pieces) {
            return self.refuse(id, Refusal::WrongSelection);
        }
        let cancelled = torrent.apply(selection);
        torrent.todo.cancels.extend(cancelled);
        torrent.todo.refill = true;
        self.hub.events.push_back(Event::Selected { torrent: id });
        for key in torrent.peers.values() {
            if let Some(conn) = self.table.get_mut(*key) {
                torrent.review_interest(&mut self.hub, conn, now);
            }
        }
        torrent.tell_if_complete(&mut self.hub, now);
        torrent.publish(&mut self.hub, now);
        self.settle(now, place);
    }
}
