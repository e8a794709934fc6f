use super::Picker;
use crate::proto::geometry::Span;
use crate::proto::id::PieceIndex;
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
            self.availability.list(piece);
        }
        was_ours
    }
}
