//! Which pieces are wanted, and in which order.

use super::*;

impl Picker {
    /// Says how much each piece is wanted (all normally where there are none; another number of priorities than of pieces is taken as
    /// none) and whether those of the same priority are fetched in their order. Can be called at any time.
    ///
    /// Gives the requests that are under way for pieces that are skipped from now on: they are forgotten here, and the caller takes
    /// them back from the peers. What came of such a piece is remembered for when it is wanted again. Work: some sweeps over all
    /// pieces, and a step per request.
    pub fn set_priorities(&mut self, priorities: Option<&[Priority]>, sequential: bool) -> Vec<(Peer, Span)> {
        let pieces = self.geometry.piece_count();
        self.sequential = sequential;
        self.priorities = priorities.filter(|p| p.len() == pieces as usize).map(<[Priority]>::to_vec);
        self.settled = self.have.clone();
        for (piece, priority) in (0u32..).map(PieceIndex).zip(self.priorities.iter().flatten()) {
            if *priority == Priority::Skip {
                self.settled.insert(piece);
            }
        }
        let mut cancelled = Vec::new();
        let asked = self.begun.keys().chain(self.suspects.keys()).copied();
        let skipped: Vec<PieceIndex> = asked.filter(|piece| self.class(*piece).is_none()).collect();
        for piece in skipped {
            let asked = self.progress(piece).map(|progress| progress.asked().to_vec()).unwrap_or_default();
            for (block, peer) in asked {
                self.forget(piece, block, &[peer]);
                self.progress_mut(piece).map(|progress| progress.unask(block, peer));
                cancelled.extend(self.geometry.block(piece, block).map(|span| (peer, span)));
            }
            self.suspects.release_one(piece);
        }
        self.begun.retain(|_, progress| !progress.is_untouched());
        self.open = [Open::new(pieces), Open::new(pieces), Open::new(pieces)];
        let begun: Vec<PieceIndex> = self.begun.keys().copied().collect();
        begun.into_iter().for_each(|piece| self.sort_in(piece));
        let (priorities, have, begun, suspects) = (&self.priorities, &self.have, &self.begun, &self.suspects);
        self.availability.list_anew(|piece| {
            let untouched = !have.contains(piece) && !begun.contains_key(&piece) && !suspects.contains(piece);
            class(priorities.as_deref(), piece).filter(|_| untouched)
        });
        cancelled
    }

    /// Gives how much a piece is wanted.
    pub fn priority(&self, piece: PieceIndex) -> Priority {
        priority(self.priorities.as_deref(), piece)
    }

    /// Gives the class of a piece; none of one that is skipped.
    pub(super) fn class(&self, piece: PieceIndex) -> Option<usize> {
        class(self.priorities.as_deref(), piece)
    }
}

fn priority(priorities: Option<&[Priority]>, piece: PieceIndex) -> Priority {
    priorities.and_then(|all| all.get(piece.as_usize())).copied().unwrap_or_default()
}

fn class(priorities: Option<&[Priority]>, piece: PieceIndex) -> Option<usize> {
    match priority(priorities, piece) {
        Priority::High => Some(NORMAL - 1),
        Priority::Normal => Some(NORMAL),
        Priority::Low => Some(NORMAL + 1),
        Priority::Skip => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{High, Low, Normal, Skip};
    use std::collections::BTreeSet;

    /// A picker of pieces of two blocks and a peer that has them all.
    fn picker(pieces: u32) -> (Picker, Bitfield) {
        let geometry = Geometry::new(u64::from(pieces) * 2 * u64::from(BLOCK_LENGTH), 2 * BLOCK_LENGTH).unwrap();
        let mut picker = Picker::new(geometry, &Bitfield::new(pieces), Rng::new(3));
        let all = Bitfield::full(pieces);
        picker.peer_joined(&all);
        (picker, all)
    }

    fn pick(picker: &mut Picker, peer: u32, has: &Bitfield, count: usize) -> Vec<Span> {
        let mut out = Vec::new();
        picker.pick(Peer(peer), has, count, &mut out);
        out
    }

    fn pieces(spans: &[Span]) -> Vec<u32> {
        spans.chunk_by(|a, b| a.piece == b.piece).map(|run| run[0].piece.0).collect()
    }

    #[test]
    fn high_comes_before_normal_before_low_and_what_is_skipped_never() {
        let (mut p, all) = picker(8);
        let begun = pick(&mut p, 1, &all, 1);
        let mut wanted = [Normal, Low, Skip, High, Normal, Low, Skip, High];
        let begun = begun[0].piece.as_usize();
        wanted[begun] = Low;
        assert!(p.set_priorities(Some(&wanted), false).is_empty());
        let count = wanted.iter().filter(|p| **p != Skip).count();
        let picked = pieces(&pick(&mut p, 2, &all, 2 * count - 1));
        let order: Vec<Priority> = picked.iter().map(|i| wanted[*i as usize]).collect();
        assert!(order.windows(2).all(|two| two[0] >= two[1]), "{order:?}");
        assert_eq!(order.len(), count);
        assert!(p.is_end_game());
        assert!(!p.wants_from(&Bitfield::from_bytes(&[0b0010_0000], 8).unwrap()));
    }

    #[test]
    fn in_sequential_mode_pieces_come_in_order_and_what_is_begun_comes_first() {
        let (mut p, all) = picker(200);
        p.peer_joined(&Bitfield::from_bytes(&[&[0xff][..], &[0; 24]].concat(), 200).unwrap());
        p.set_priorities(None, true);
        assert_eq!(pieces(&pick(&mut p, 1, &all, 5)), [0, 1, 2]);
        let late = p.geometry.block(PieceIndex(150), 0).unwrap();
        p.on_block(Peer(1), late);
        assert_eq!(pieces(&pick(&mut p, 2, &all, 6)), [2, 150, 3, 4]);
        // From a peer that lacks some, those that it has.
        let even = Bitfield::from_bytes(&[0xaa; 25], 200).unwrap();
        assert_eq!(pieces(&pick(&mut p, 3, &even, 4)), [6, 8]);
    }

    #[test]
    fn requests_for_what_is_skipped_are_given_back_and_what_came_of_it_is_kept() {
        let (mut p, all) = picker(2);
        let asked = pick(&mut p, 1, &all, 4);
        let piece = asked[0].piece;
        assert!(matches!(p.on_block(Peer(1), asked[0]), Arrival::Wanted { .. }));
        p.on_stored(asked[0]);
        let mut wanted = [Normal; 2];
        wanted[piece.as_usize()] = Skip;
        assert_eq!(p.set_priorities(Some(&wanted), false), [(Peer(1), asked[1])]);
        assert_eq!((p.requests(), p.requests_to(Peer(1))), (2, 2));
        assert_eq!(p.on_block(Peer(1), asked[1]), Arrival::Unwanted);
        for span in &asked[2..] {
            p.on_block(Peer(1), *span);
        }
        p.on_piece_good(asked[2].piece);
        assert!(p.is_complete() && !p.has_all() && !p.wants_from(&all));
        assert!(p.set_priorities(None, false).is_empty());
        assert!(!p.is_complete() && p.wants_from(&all));
        assert_eq!(pick(&mut p, 1, &all, 9), [asked[1]]);
    }

    #[test]
    fn a_suspect_piece_that_is_skipped_waits_until_it_is_wanted() {
        let (mut p, all) = picker(1);
        for span in pick(&mut p, 1, &all, 2) {
            p.on_block(Peer(1), span);
            p.on_stored(span);
        }
        p.on_piece_bad(PieceIndex(0));
        let again = pick(&mut p, 2, &all, 2);
        let taken: Vec<Span> = p.set_priorities(Some(&[Skip]), true).into_iter().map(|(_, span)| span).collect();
        assert_eq!(taken, again);
        assert_eq!(pick(&mut p, 2, &all, 2), []);
        assert!(p.is_suspect(PieceIndex(0)) && p.owner(PieceIndex(0)).is_none());
        p.set_priorities(Some(&[High]), true);
        assert_eq!(pick(&mut p, 3, &all, 2), again);
    }

    #[test]
    fn two_million_pieces_of_all_priorities_cost_a_bounded_search_in_any_order() {
        const PIECES: u32 = 1 << 21;
        let geometry = Geometry::new(u64::from(PIECES) * 1024, 1024).unwrap();
        let mut p = Picker::new(geometry, &Bitfield::new(PIECES), Rng::new(7));
        let all = Bitfield::full(PIECES);
        p.peer_joined(&all);
        let mut poor = Bitfield::new(PIECES);
        poor.insert(PieceIndex(PIECES - 1));
        p.peer_joined(&poor);
        let wanted: Vec<Priority> = (0..PIECES).map(|i| [Low, Normal, High, Skip][i as usize % 4]).collect();
        for sequential in [false, true] {
            let mut wanted = wanted.clone();
            wanted[PIECES as usize - 1] = Low;
            p.set_priorities(Some(&wanted), sequential);
            p.release(Peer(1));
            p.availability.work = 0;
            assert_eq!(pick(&mut p, 1, &poor, 500).len(), 1);
            // Two searches, in each of three classes.
            assert!(p.availability.work <= 6 * (256 + u64::from(PIECES) / 64 + 1), "{}", p.availability.work);
            p.availability.work = 0;
            let picked = pick(&mut p, 2, &all, 500);
            assert!(picked.iter().all(|span| wanted[span.piece.as_usize()] == High));
            assert_eq!(picked.iter().map(|span| span.piece).collect::<BTreeSet<_>>().len(), 500);
            assert!(p.availability.work <= 1500, "{}", p.availability.work);
            p.release(Peer(2));
        }
    }
}
