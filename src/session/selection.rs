//! From files that are wanted to pieces that are.

use super::command::Selection;
use crate::peer;
use crate::proto::bitfield::Bitfield;
use crate::proto::id::PieceIndex;
use crate::proto::metainfo::Layout;
use crate::select::Priority;
use std::collections::VecDeque;
use std::sync::Arc;

impl Selection {
    /// Says whether there is a priority for each file, or none at all.
    pub(super) fn fits(&self, layout: &Layout) -> bool {
        self.files.is_empty() || self.files.len() == layout.files().len()
    }

    /// Gives the files that are skipped, as the disk wants to know it.
    pub(super) fn skipped(&self) -> Vec<bool> {
        if self.files.contains(&Priority::Skip) {
            self.files.iter().map(|priority| *priority == Priority::Skip).collect()
        } else {
            Vec::new()
        }
    }

    /// Gives what is wanted of the pieces: each as much as the file with a byte in it that is wanted most. Padding has no say, but in a
    /// piece of nothing else.
    pub(super) fn of_pieces(&self, layout: &Layout) -> peer::Selection {
        let sequential = self.sequential;
        if self.files.iter().all(|priority| *priority == Priority::Normal) {
            return peer::Selection { pieces: None, sequential };
        }
        let geometry = layout.geometry();
        let mut pieces = vec![None; geometry.piece_count() as usize];
        for padding in [false, true] {
            for (file, priority) in layout.files().iter().zip(&self.files) {
                if file.is_padding != padding || file.length == 0 {
                    continue;
                }
                let piece = |at: u64| (at / u64::from(geometry.piece_length())) as usize;
                let touched = pieces.get_mut(piece(file.offset)..=piece(file.offset + file.length - 1));
                for wanted in touched.unwrap_or_default() {
                    // Padding comes last, and finds what files have said.
                    if !padding || wanted.is_none() {
                        *wanted = (*wanted).max(Some(*priority));
                    }
                }
            }
        }
        let pieces: Vec<Priority> = pieces.into_iter().map(Option::unwrap_or_default).collect();
        peer::Selection { pieces: Some(pieces.into()), sequential }
    }
}

/// Gives the figures of a torrent of which these pieces are there and wanted.
pub(super) fn figures(layout: &Layout, have: &Bitfield, wanted: Option<&Arc<[Priority]>>) -> peer::Status {
    let geometry = layout.geometry();
    let mut figures = peer::Status {
        pieces: geometry.piece_count(),
        pieces_done: have.count(),
        bytes_done: geometry.bytes_in(have),
        ..peer::Status::default()
    };
    let skipped = |piece: &PieceIndex| wanted.and_then(|all| all.get(piece.as_usize())) == Some(&Priority::Skip);
    for piece in (0..geometry.piece_count()).map(PieceIndex).filter(|piece| !skipped(piece)) {
        let bytes = u64::from(geometry.length_of(piece));
        figures.pieces_wanted += 1;
        figures.bytes_wanted += bytes;
        if have.contains(piece) {
            figures.pieces_wanted_done += 1;
            figures.bytes_wanted_done += bytes;
        }
    }
    figures
}

/// Says whether all that is wanted is there.
pub(super) fn is_complete(figures: &peer::Status) -> bool {
    figures.pieces_wanted_done == figures.pieces_wanted
}

/// Selections on their way: the disk takes them first, so that a file is made only where it is wanted.
#[derive(Debug, Default)]
pub(super) struct Selecting {
    /// Those that the disk has not answered, in order.
    waiting: VecDeque<Selection>,
}

impl Selecting {
    pub(super) fn push(&mut self, selection: Selection) {
        self.waiting.push_back(selection);
    }

    /// Gives the one that the disk has taken.
    pub(super) fn pop(&mut self) -> Option<Selection> {
        self.waiting.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// How far the program has been told that all that is wanted is there and on the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Completion {
    /// It is not so, or was not told.
    #[default]
    Missing,
    /// It is being brought to the medium, and then told.
    Syncing,
    /// The same, and more was selected meanwhile.
    SyncingFirst,
    /// The same, and what was selected has come as well.
    SyncingBoth,
    /// It was told.
    Told,
}

impl Completion {
    /// Takes note that the program has selected, and may be told once more.
    pub(super) fn on_selected(&mut self) {
        *self = match *self {
            Completion::Told => Completion::Missing,
            Completion::Syncing => Completion::SyncingFirst,
            other => other,
        };
    }

    /// Takes note that all that is wanted is there. Says whether a sync is to be asked for.
    pub(super) fn on_complete(&mut self) -> bool {
        let before = *self;
        *self = match before {
            Completion::Missing => Completion::Syncing,
            Completion::SyncingFirst => Completion::SyncingBoth,
            other => other,
        };
        before == Completion::Missing
    }

    pub(super) fn is_syncing(self) -> bool {
        !matches!(self, Completion::Missing | Completion::Told)
    }

    /// Takes note of a sync's end. Says whether the program is to be told, and whether another sync is to be asked for.
    pub(super) fn on_synced(&mut self, good: bool) -> (bool, bool) {
        let before = *self;
        *self = match (before, good) {
            (Completion::Syncing, true) => Completion::Told,
            (Completion::SyncingBoth, true) => Completion::Syncing,
            (Completion::Told, _) => Completion::Told,
            _ => Completion::Missing,
        };
        (before.is_syncing() && good, before == Completion::SyncingBoth && good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::metainfo::SafePath;
    use Priority::{High, Low, Normal, Skip};

    fn layout(lengths: &[u64]) -> Layout {
        let path = |i: usize| SafePath::from_parts(["t", &i.to_string()]).unwrap();
        let files = lengths.iter().enumerate().map(|(i, length)| (path(i), *length)).collect();
        let pieces = lengths.iter().sum::<u64>().div_ceil(10) as usize;
        Layout::new(files, 10, &vec![[0; 20]; pieces]).unwrap()
    }

    fn pieces(lengths: &[u64], files: &[Priority]) -> Option<Vec<Priority>> {
        let selection = Selection { files: files.to_vec(), sequential: false };
        selection.of_pieces(&layout(lengths)).pieces.map(|pieces| pieces.to_vec())
    }

    #[test]
    fn a_piece_is_wanted_as_much_as_the_file_in_it_that_is_wanted_most() {
        assert_eq!(pieces(&[15, 10, 5], &[Skip, Low, High]), Some(vec![Skip, Low, High]));
        assert_eq!(pieces(&[15, 1, 14], &[Low, High, Skip]), Some(vec![Low, High, Skip]));
        assert_eq!(pieces(&[10, 0, 10], &[Skip, High, Skip]), Some(vec![Skip, Skip]));
        assert_eq!(pieces(&[10, 10], &[Normal, Normal]), None);
        assert_eq!(pieces(&[10, 10], &[]), None);
    }

    #[test]
    fn a_selection_of_another_torrent_does_not_fit() {
        let two = layout(&[10, 10]);
        let of = |files: &[Priority]| Selection { files: files.to_vec(), sequential: false };
        assert!(of(&[]).fits(&two) && of(&[Skip, Low]).fits(&two));
        assert!(!of(&[Skip]).fits(&two) && !of(&[Skip; 3]).fits(&two));
    }

    #[test]
    fn figures_count_what_is_wanted_apart() {
        let layout = layout(&[15, 10, 3]);
        let selection = Selection { files: vec![Normal, Skip, Skip], sequential: false };
        let wanted = selection.of_pieces(&layout).pieces;
        let have = Bitfield::from_bytes(&[0b1010_0000], 3).unwrap();
        let figures = figures(&layout, &have, wanted.as_ref());
        assert_eq!((figures.pieces, figures.pieces_done, figures.bytes_done), (3, 2, 18));
        assert_eq!((figures.pieces_wanted, figures.bytes_wanted), (2, 20));
        assert_eq!((figures.pieces_wanted_done, figures.bytes_wanted_done), (1, 10));
        assert!(!is_complete(&figures));
    }

    #[test]
    fn completion_is_told_once_for_each_selection_whatever_the_disk_is_doing() {
        let mut c = Completion::default();
        assert!(c.on_complete() && !c.on_complete());
        c.on_selected();
        assert!(!c.on_complete() && !c.on_complete());
        assert_eq!(c.on_synced(true), (true, true));
        assert_eq!(c.on_synced(true), (true, false));
        assert_eq!(c.on_synced(true), (false, false));
        assert!(!c.on_complete());
        c.on_selected();
        assert!(c.on_complete());
        assert_eq!(c.on_synced(false), (false, false));
        assert!(c.on_complete());
    }
}
