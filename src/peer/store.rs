use super::machine::Swarm;
use super::{Event, Gone};
use crate::machine::{Instant, TorrentId};
use crate::proto::geometry::Span;
use crate::proto::id::PieceIndex;
use crate::proto::message::Message;
use std::io::ErrorKind;

/// What the store has, or has no more, and whether it takes anything.
impl Swarm {
    pub(super) fn on_kept(&mut self, id: TorrentId, spans: &[Span]) {
        let torrent = self.by_id.get(&id).copied().and_then(|place| self.torrents.get_mut(place));
        if let Some(torrent) = torrent {
            spans.iter().for_each(|span| torrent.picker.on_kept(*span));
        }
    }

    pub(super) fn on_piece_lost(&mut self, now: Instant, id: TorrentId, piece: PieceIndex) {
        let Some(place) = self.by_id.get(&id).copied() else { return };
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        torrent.liars.on_lost(piece);
        let was_ours = torrent.picker.on_piece_lost(piece);
        if was_ours {
            torrent.bytes_done -= u64::from(torrent.geometry.length_of(piece));
            torrent.count_lost(piece);
        }
        torrent.touch(&mut self.hub, now);
        torrent.todo.refill = true;
        for key in torrent.peers.values() {
            let Some(conn) = self.table.get_mut(*key) else { continue };
            let Some(link) = conn.link_mut() else { continue };
            if was_ours {
                link.queue.on_lost(piece);
            }
            if !link.has.contains(piece) {
                if was_ours {
                    torrent.todo.close.push((*key, Gone::Failed(ErrorKind::InvalidData)));
                }
            } else if torrent.downloads && !link.we_want && torrent.picker.wants_from(&link.has) {
                link.we_want = true;
                conn.send(&mut self.hub, now, &Message::Interested);
            }
        }
        self.settle(now, place);
    }

    pub(super) fn on_set_download(&mut self, now: Instant, id: TorrentId, download: bool) {
        let Some(place) = self.find(id) else { return };
        let Some(torrent) = self.torrents.get_mut(place) else { return };
        torrent.downloads = download;
        self.hub.events.push_back(Event::DownloadSet { torrent: id });
        let keys: Vec<usize> = torrent.peers.values().copied().collect();
        for key in keys {
            let Some(conn) = self.table.get_mut(key) else { continue };
            let Some(link) = conn.link_mut() else { continue };
            let wants = download && torrent.picker.wants_from(&link.has);
            let turned = wants != link.we_want;
            link.we_want = wants;
            if !download {
                // What comes all the same is not wanted: the store would not take it.
                link.late.clear();
                if let Some(buf) = link.incoming.as_mut().and_then(|incoming| incoming.buf.take()) {
                    torrent.wasted += buf.bytes().len() as u64;
                }
                let (peer, asked) = (link.peer, link.asked.iter().copied().collect::<Vec<_>>());
                for span in asked {
                    torrent.picker.release_one(peer, span);
                    torrent.cancel(&mut self.hub, conn, now, span);
                }
                if let Some(link) = conn.link_mut() {
                    torrent.count_asked(&mut self.hub, link);
                }
            }
            if turned {
                conn.send(&mut self.hub, now, if wants { &Message::Interested } else { &Message::NotInterested });
            }
        }
        if download {
            // Whoever asks for it has dealt with what made the store fail.
            torrent.retry_at = Instant::ZERO;
            torrent.todo.refill = true;
        }
        self.settle(now, place);
    }
}
