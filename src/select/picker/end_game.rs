//! Requests that move from one peer to another, and suspect pieces that do.

use super::{Peer, Picker, Progress, Span};
use crate::proto::id::PieceIndex;

impl Picker {
    /// Says whether all that a piece lacks is asked of one peer, and of nobody else: whether it waits for that peer alone. Work:
    /// a step for each request for the piece.
    pub fn waits_for(&self, piece: PieceIndex, peer: Peer) -> bool {
        let waits = |progress: &Progress| {
            progress.missing() == 0 && !progress.asked().is_empty() && progress.asked().iter().all(|(_, p)| *p == peer)
        };
        self.begun.get(&piece).is_some_and(waits)
    }

    /// Takes a request from one peer and gives it to another, that has the piece: the caller cancels the one and sends the other.
    /// Says whether it did: not where the first was not asked for the block, or the other is already, or the piece is
    /// [suspect](Self::is_suspect) and so the first one's alone.
    ///
    /// The first peer's answer is still wanted if it comes sooner than the other's.
    pub fn move_request(&mut self, from: Peer, to: Peer, span: Span) -> bool {
        let Some(block) = self.block_of(span).filter(|_| !self.is_suspect(span.piece)) else { return false };
        let Some(progress) = self.begun.get_mut(&span.piece) else { return false };
        let asked = |peer| progress.asked_for(block).contains(&(block, peer));
        if !asked(from) || asked(to) {
            return false;
        }
        progress.ask(block, to);
        progress.unask(block, from);
        self.forget(span.piece, block, &[from]);
        self.note_asked(to, span.piece, &[block], &mut Vec::new());
        true
    }

    /// Gives the suspect pieces that are being fetched. Work: a step for each suspect piece.
    pub fn owned(&self) -> impl Iterator<Item = Owned> {
        self.suspects.iter().filter_map(|(piece, suspect)| {
            let (owner, progress) = (suspect.owner()?, &suspect.progress);
            let asked = progress.asked().len();
            (asked > 0).then(|| Owned { piece, owner, asked, missing: progress.missing() as usize })
        })
    }

    /// Says whether a suspect piece may be taken from its owner and given to that peer: not where the peer was ever found too slow
    /// for it or gave blocks of a bad copy, unless `avoided` are accepted and few copies were bad.
    pub fn may_hand_over(&self, piece: PieceIndex, to: Peer, avoided: bool) -> bool {
        self.suspects.get(piece).is_some_and(|suspect| suspect.may_go_to(to, avoided))
    }

    /// Takes a suspect piece from its owner, which is [avoided](Self::avoid) for it from now on, and makes another peer the owner: up to
    /// `most` blocks, and at least one, that the first was asked for are asked of the other now. The rest are missing again. Gives
    /// those that were taken back, first those that the other is asked for, and how many these are.
    pub fn hand_over(&mut self, piece: PieceIndex, to: Peer, most: usize) -> (Vec<Span>, usize) {
        let Some(from) = self.owner(piece).filter(|owner| *owner != to) else { return (Vec::new(), 0) };
        let asked: Vec<u32> =
            self.progress(piece).into_iter().flat_map(Progress::asked).map(|(block, _)| *block).collect();
        let taken: Vec<Span> = asked.iter().filter_map(|block| self.geometry.block(piece, *block)).collect();
        for block in &asked {
            self.forget(piece, *block, &[from]);
            self.progress_mut(piece).map(|progress| progress.unask(*block, from));
        }
        self.suspects.avoid(from, piece);
        let moved = &asked[..asked.len().min(most.max(1))];
        if let Some(suspect) = self.suspects.own(piece, to) {
            moved.iter().for_each(|block| suspect.progress.ask(*block, to));
        }
        self.note_asked(to, piece, moved, &mut Vec::new());
        (taken, moved.len())
    }
}

/// A suspect piece that is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// The piece.
    pub piece: PieceIndex,
    /// The one peer that is asked for its blocks.
    pub owner: Peer,
    /// How many blocks it is asked for.
    pub asked: usize,
    /// How many more the piece lacks.
    pub missing: usize,
}

#[cfg(test)]
mod tests {
    use super::super::Arrival;
    use super::*;
    use crate::machine::Rng;
    use crate::proto::bitfield::Bitfield;
    use crate::proto::geometry::{BLOCK_LENGTH, Geometry};

    fn picker(pieces: u32, blocks: u32) -> (Picker, Bitfield) {
        let length = blocks * BLOCK_LENGTH;
        let geometry = Geometry::new(u64::from(pieces) * u64::from(length), length).unwrap();
        let mut picker = Picker::new(geometry, &Bitfield::new(pieces), Rng::new(3));
        let all = Bitfield::full(pieces);
        (0..3).for_each(|_| picker.peer_joined(&all));
        (picker, all)
    }

    fn pick(picker: &mut Picker, peer: u32, has: &Bitfield, count: usize) -> Vec<Span> {
        let mut out = Vec::new();
        picker.pick(Peer(peer), has, count, &mut out);
        out
    }

    #[test]
    fn what_one_peer_is_asked_for_is_asked_of_no_other_unless_it_moves() {
        let (mut p, all) = picker(2, 2);
        let slow = pick(&mut p, 1, &all, 9);
        assert_eq!((slow.len(), pick(&mut p, 2, &all, 9)), (4, vec![]));
        assert!(p.move_request(Peer(1), Peer(2), slow[3]));
        assert_eq!((p.requests_to(Peer(1)), p.requests_to(Peer(2)), p.requests()), (3, 1, 4));
        // It is no longer the first one's to give away, nor the second one's to take.
        assert!(!p.move_request(Peer(1), Peer(2), slow[3]) && !p.move_request(Peer(1), Peer(3), slow[3]));
        assert_eq!(pick(&mut p, 3, &all, 9), []);
        // The first peer is sooner after all.
        assert_eq!(p.on_block(Peer(1), slow[3]), Arrival::Wanted { cancel: vec![Peer(2)] });
        assert_eq!(p.on_block(Peer(2), slow[3]), Arrival::Unwanted);
        // Where the other one goes, what it was given is missing again.
        assert!(p.move_request(Peer(1), Peer(2), slow[0]));
        p.release(Peer(2));
        assert_eq!(pick(&mut p, 3, &all, 9), [slow[0]]);
    }

    #[test]
    fn a_piece_waits_for_a_peer_when_all_it_lacks_is_asked_of_that_one() {
        let (mut p, all) = picker(1, 4);
        let slow = pick(&mut p, 1, &all, 2);
        assert!(!p.waits_for(PieceIndex(0), Peer(1)));
        let fast = pick(&mut p, 2, &all, 2);
        assert!(!p.waits_for(PieceIndex(0), Peer(1)));
        fast.into_iter().for_each(|span| {
            p.on_block(Peer(2), span);
        });
        assert!(p.waits_for(PieceIndex(0), Peer(1)) && !p.waits_for(PieceIndex(0), Peer(2)));
        slow.into_iter().for_each(|span| {
            p.on_block(Peer(1), span);
        });
        assert!(!p.waits_for(PieceIndex(0), Peer(1)) && !p.waits_for(PieceIndex(7), Peer(1)));
    }
}
