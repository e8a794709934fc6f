//! Pieces that came with the wrong hash, and are fetched again from one peer at a time.

use super::Peer;
use super::progress::Progress;
use crate::proto::bitfield::Bitfield;
use crate::proto::id::PieceIndex;
use std::collections::BTreeMap;

/// How many pieces are suspect at a time. Whoever wants more of them has to send as many whole pieces of garbage unpunished; further
/// ones are fetched as if nothing had been.
pub(super) const SUSPECTS: usize = 256;
/// How many peers are avoided for a piece; the latest to come to us are.
const AVOIDED: usize = 256;
/// After how many bad copies a piece is handed over to no peer that gave any of one, however much sooner that peer would be: whoever
/// spoils it is not to take it again and again from an honest one that is slow.
const HANDED_TO_ANY: u32 = 4;

/// A piece that came with the wrong hash.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) progress: Progress,
    /// The one peer that is asked for its blocks.
    owner: Option<Peer>,
    /// Peers that gave blocks of a bad copy or were too slow, and are here, sorted.
    avoided: Vec<Peer>,
    /// How many copies were bad.
    copies: u32,
}

impl Suspect {
    /// Says whether a block that a peer sent unasked is taken: not where it would mix the blocks of two.
    pub(super) fn takes_from(&self, peer: Peer) -> bool {
        self.owner.map_or_else(|| self.progress.is_only_from(peer), |owner| owner == peer)
    }

    /// Says whether a peer should begin or go on with it: it is its own, or nobody's, and the peer gave nothing of a bad copy, and
    /// nobody else anything of this one.
    fn suits(&self, peer: Peer) -> bool {
        self.takes_from(peer) && (self.owner.is_some() || !self.avoids(peer))
    }

    /// Says whether it may be taken from its owner and given to a peer that would be much sooner.
    pub(super) fn may_go_to(&self, peer: Peer, avoided: bool) -> bool {
        let suits = !self.avoids(peer) || avoided && self.copies < HANDED_TO_ANY;
        self.owner.is_some_and(|owner| owner != peer) && suits
    }

    /// Gives the one peer that is asked for its blocks.
    pub(super) fn owner(&self) -> Option<Peer> {
        self.owner
    }

    /// Says whether a peer is asked for it only when there is nothing else to ask that one for.
    fn avoids(&self, peer: Peer) -> bool {
        self.avoided.binary_search(&peer).is_ok()
    }

    /// Says whether nobody is asked for a block of it.
    fn is_free(&self) -> bool {
        self.progress.asked().is_empty()
    }
}

/// The suspect pieces: at most [`SUSPECTS`].
#[derive(Debug, Default)]
pub(super) struct Suspects {
    pieces: BTreeMap<PieceIndex, Suspect>,
}

impl Suspects {
    pub(super) fn contains(&self, piece: PieceIndex) -> bool {
        self.pieces.contains_key(&piece)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &PieceIndex> {
        self.pieces.keys()
    }

    pub(super) fn get(&self, piece: PieceIndex) -> Option<&Suspect> {
        self.pieces.get(&piece)
    }

    pub(super) fn get_mut(&mut self, piece: PieceIndex) -> Option<&mut Suspect> {
        self.pieces.get_mut(&piece)
    }

    pub(super) fn remove(&mut self, piece: PieceIndex) -> Option<Suspect> {
        self.pieces.remove(&piece)
    }

    pub(super) fn owner(&self, piece: PieceIndex) -> Option<Peer> {
        self.pieces.get(&piece)?.owner
    }

    /// Takes a piece in whose latest copy was bad, with the peers that gave it. Says whether there was room for it.
    pub(super) fn insert(&mut self, piece: PieceIndex, blocks: u32, givers: Vec<Peer>) -> bool {
        if self.pieces.len() >= SUSPECTS {
            return false;
        }
        let mut avoided = givers;
        avoided.sort_unstable();
        avoided.dedup();
        avoided.drain(..avoided.len().saturating_sub(AVOIDED));
        self.pieces.insert(piece, Suspect { progress: Progress::new(blocks), owner: None, avoided, copies: 1 });
        true
    }

    /// Has all blocks of a suspect piece fetched again: this copy was bad as well.
    pub(super) fn restart(&mut self, piece: PieceIndex, blocks: u32) {
        if let Some(suspect) = self.pieces.get_mut(&piece) {
            let copy = std::mem::replace(&mut suspect.progress, Progress::new(blocks));
            suspect.owner = None;
            suspect.copies = suspect.copies.saturating_add(1);
            copy.into_givers().into_iter().for_each(|peer| self.avoid(peer, piece));
        }
    }

    /// Has a peer asked for a suspect piece only when there is nothing else to ask it for.
    pub(super) fn avoid(&mut self, peer: Peer, piece: PieceIndex) {
        if let Some(suspect) = self.pieces.get_mut(&piece) {
            if let Err(at) = suspect.avoided.binary_search(&peer) {
                suspect.avoided.insert(at, peer);
                suspect.avoided.drain(..suspect.avoided.len().saturating_sub(AVOIDED));
            }
        }
    }

    /// Forgets a peer that is gone.
    pub(super) fn forget_peer(&mut self, peer: Peer) {
        for suspect in self.pieces.values_mut() {
            if let Ok(at) = suspect.avoided.binary_search(&peer) {
                suspect.avoided.remove(at);
            }
        }
    }

    /// Gives the pieces and what is known of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PieceIndex, &Suspect)> {
        self.pieces.iter().map(|(piece, suspect)| (*piece, suspect))
    }

    /// Makes a peer the owner of a piece of which it is about to be asked for blocks.
    pub(super) fn own(&mut self, piece: PieceIndex, peer: Peer) -> Option<&mut Suspect> {
        let suspect = self.pieces.get_mut(&piece)?;
        suspect.owner = Some(peer);
        Some(suspect)
    }

    /// Gives free what a peer owns.
    pub(super) fn release(&mut self, peer: Peer) {
        self.pieces.values_mut().filter(|s| s.owner == Some(peer)).for_each(|s| s.owner = None);
    }

    /// Gives a piece free if nothing is asked of its owner any more.
    pub(super) fn release_one(&mut self, piece: PieceIndex) {
        if let Some(suspect) = self.pieces.get_mut(&piece).filter(|s| s.is_free()) {
            suspect.owner = None;
        }
    }

    /// Gives a piece that a peer should be asked for, among those that the test accepts: one of its own first.
    pub(super) fn first_for(
        &self,
        peer: Peer,
        has: &Bitfield,
        test: impl Fn(PieceIndex) -> bool,
    ) -> Option<PieceIndex> {
        let fit = |(piece, suspect): &(&PieceIndex, &Suspect)| {
            suspect.progress.missing() > 0 && suspect.suits(peer) && has.contains(**piece) && test(**piece)
        };
        let fit = self.pieces.iter().filter(fit);
        fit.min_by_key(|(_, suspect)| suspect.owner.is_none()).map(|(piece, _)| *piece)
    }

    /// Gives a piece that a peer may be asked for where there is nothing else to ask it for: it gave blocks of a bad copy, or others
    /// gave blocks of this one and are asked for no more.
    pub(super) fn last_for(&self, has: &Bitfield, test: impl Fn(PieceIndex) -> bool) -> Option<PieceIndex> {
        let fit = |(piece, suspect): &(&PieceIndex, &Suspect)| {
            suspect.progress.missing() > 0 && suspect.is_free() && has.contains(**piece) && test(**piece)
        };
        self.pieces.iter().find(fit).map(|(piece, _)| *piece)
    }
}
