use super::Picker;
use crate::proto::geometry::Span;
use crate::proto::id::PieceIndex;
use crate::select::Priority;
use crate::select::progress::State;

/// What the store has without our asking, and what it has no more.
impl Picker {
    /// Takes note of a block that the store has from an earlier run. What is no block of the torrent, is ours or has come already is
    /// passed over.
    pub fn on_kept(&mut self, span: Span) {
        let Some(block) = self.block_of(span) else { return };
        if self.have.contains(span.piece) || self.is_suspect(span.piece) {
            return;
        }
        let progress = self.begin(span.piece);
        if progress.state(block) == Some(State::Missing) {
            progress.settle(block, State::Stored);
        }
        self.sort_in(span.piece);
    }

    /// Takes note that a piece, or what there was of it, is in the store no more: all of it is missing again. Says whether it
    /// was ours.
    pub fn on_piece_lost(&mut self, piece: PieceIndex) -> bool {
        let was_ours = self.have.remove(piece);
        let begun = self.drop_progress(piece).is_some();
        if was_ours || begun {
            if self.priority(piece) != Priority::Skip {
                self.settled.remove(piece);
            }
            self.list(piece);
        }
        was_ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Rng;
    use crate::proto::bitfield::Bitfield;
    use crate::proto::geometry::{BLOCK_LENGTH, Geometry};
    use crate::select::Peer;

    fn pick(picker: &mut Picker, has: &Bitfield) -> Vec<Span> {
        let mut out = Vec::new();
        picker.pick(Peer(1), has, 99, &mut out);
        out.sort_unstable();
        out
    }

    #[test]
    fn what_the_store_has_is_not_picked_and_what_it_lost_is() {
        let geometry = Geometry::new(u64::from(BLOCK_LENGTH) * 6, BLOCK_LENGTH * 2).unwrap();
        let mut have = Bitfield::new(3);
        have.insert(PieceIndex(0));
        let mut picker = Picker::new(geometry, &have, Rng::new(1));
        let all = Bitfield::full(3);
        picker.peer_joined(&all);
        let block = |piece, block| geometry.block(PieceIndex(piece), block).unwrap();
        // Of a piece that is ours nothing is taken, nor what is no block.
        [block(0, 0), block(1, 1), Span { length: 1, ..block(2, 0) }].into_iter().for_each(|s| picker.on_kept(s));
        assert_eq!(pick(&mut picker, &all), [block(1, 0), block(2, 0), block(2, 1)]);
        // Blocks that are asked for stay so, and a block that comes later is the store's already.
        picker.on_kept(block(2, 0));
        assert_eq!(picker.requests(), 3);
        assert!(picker.on_piece_lost(PieceIndex(0)) && !picker.on_piece_lost(PieceIndex(0)));
        assert!(!picker.on_piece_lost(PieceIndex(1)) && !picker.on_piece_lost(PieceIndex(7)));
        assert_eq!(pick(&mut picker, &all), [block(0, 0), block(0, 1), block(1, 0), block(1, 1)]);
        assert!(picker.have().is_empty());
    }
}
