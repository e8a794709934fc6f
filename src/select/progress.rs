//! A piece that is being fetched: what became of each of its blocks.

use super::Peer;

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody was asked for it.
    Missing,
    /// A peer was asked for it.
    Asked,
    /// It came, and was given to the store.
    Arrived,
    /// The store has it.
    Stored,
}

/// The blocks of one piece.
///
/// What it tracks: a byte per block, and apart from them the peers asked, as pairs sorted by block. So a piece that waits half
/// finished for someone who has the rest costs little, and the blocks of a piece under way are found by a binary search. No
/// block below `from` is missing. Of each peer that gave a block there is one entry in `givers`.
#[derive(Debug)]
pub(super) struct Progress {
    states: Vec<State>,
    asked: Vec<(u32, Peer)>,
    missing: u32,
    from: u32,
    givers: Vec<Peer>,
}

impl Progress {
    /// Makes a piece of that many blocks, all missing.
    pub(super) fn new(blocks: u32) -> Self {
        Self {
            states: vec![State::Missing; blocks as usize],
            asked: Vec::new(),
            missing: blocks,
            from: 0,
            givers: Vec::new(),
        }
    }

    /// Gives a block's state; `None` where the piece has no such block.
    pub(super) fn state(&self, block: u32) -> Option<State> {
        self.states.get(block as usize).copied()
    }

    /// Gives how many blocks nobody was asked for.
    pub(super) fn missing(&self) -> u32 {
        self.missing
    }

    /// Says whether nothing was done for this piece.
    pub(super) fn is_untouched(&self) -> bool {
        self.missing as usize == self.states.len()
    }

    /// Says whether the store has all blocks.
    pub(super) fn is_stored(&self) -> bool {
        self.states.iter().all(|s| *s == State::Stored)
    }

    /// Gives the blocks and whom they were asked from, sorted by block.
    pub(super) fn asked(&self) -> &[(u32, Peer)] {
        &self.asked
    }

    /// Gives the peers that were asked for a block.
    pub(super) fn asked_for(&self, block: u32) -> &[(u32, Peer)] {
        let start = self.asked.partition_point(|(b, _)| *b < block);
        let rest = &self.asked[start..];
        &rest[..rest.iter().take_while(|(b, _)| *b == block).count()]
    }

    /// Marks the first missing block as asked from a peer, and gives it.
    pub(super) fn ask_next(&mut self, peer: Peer) -> Option<u32> {
        let at = self.states.iter().skip(self.from as usize).position(|s| *s == State::Missing)?;
        let block = self.from + at as u32;
        self.from = block + 1;
        self.ask(block, peer);
        Some(block)
    }

    /// Marks a block that is missing or was asked from others as asked from a peer.
    pub(super) fn ask(&mut self, block: u32, peer: Peer) {
        self.set(block, State::Asked);
        if let Err(at) = self.asked.binary_search(&(block, peer)) {
            self.asked.insert(at, (block, peer));
        }
    }

    /// Forgets that a peer was asked for a block: it is missing if nobody else was. Says whether the peer was asked.
    pub(super) fn unask(&mut self, block: u32, peer: Peer) -> bool {
        let Ok(at) = self.asked.binary_search(&(block, peer)) else { return false };
        self.asked.remove(at);
        if self.asked_for(block).is_empty() {
            self.set(block, State::Missing);
        }
        true
    }

    /// Puts a block in a state in which nobody is asked for it. Gives those who were.
    pub(super) fn settle(&mut self, block: u32, state: State) -> Vec<Peer> {
        let start = self.asked.partition_point(|(b, _)| *b < block);
        let count = self.asked_for(block).len();
        self.set(block, state);
        self.asked.drain(start..start + count).map(|(_, peer)| peer).collect()
    }

    /// Takes note that a peer gave a block.
    pub(super) fn gave(&mut self, peer: Peer) {
        // Most often the latest: a piece comes from a few.
        if !self.givers.iter().rev().any(|giver| *giver == peer) {
            self.givers.push(peer);
        }
    }

    /// Says whether nobody but this peer, if that, gave a block.
    pub(super) fn is_only_from(&self, peer: Peer) -> bool {
        self.givers.iter().all(|giver| *giver == peer)
    }

    /// Gives the peers that gave blocks.
    pub(super) fn into_givers(self) -> Vec<Peer> {
        self.givers
    }

    fn set(&mut self, block: u32, state: State) {
        let Some(old) = self.states.get_mut(block as usize) else { return };
        self.missing -= u32::from(*old == State::Missing);
        self.missing += u32::from(state == State::Missing);
        *old = state;
        if state == State::Missing {
            self.from = self.from.min(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_asked_from_two_is_missing_only_when_both_are_gone() {
        let mut piece = Progress::new(3);
        assert_eq!((piece.ask_next(Peer(1)), piece.ask_next(Peer(1))), (Some(0), Some(1)));
        piece.ask(0, Peer(2));
        assert!(piece.unask(0, Peer(1)) && !piece.unask(0, Peer(1)));
        assert_eq!((piece.state(0), piece.missing()), (Some(State::Asked), 1));
        assert!(piece.unask(0, Peer(2)));
        assert_eq!((piece.state(0), piece.missing()), (Some(State::Missing), 2));
        assert_eq!(piece.ask_next(Peer(3)), Some(0));
        assert_eq!(piece.ask_next(Peer(3)), Some(2));
        assert_eq!(piece.ask_next(Peer(3)), None);
    }

    #[test]
    fn a_block_that_came_names_all_who_were_asked() {
        let mut piece = Progress::new(2);
        piece.ask_next(Peer(7));
        piece.ask_next(Peer(7));
        piece.ask(1, Peer(3));
        assert_eq!(piece.settle(1, State::Arrived), [Peer(3), Peer(7)]);
        assert_eq!(piece.asked(), [(0, Peer(7))]);
        assert!(piece.settle(1, State::Stored).is_empty());
        assert_eq!(piece.state(2), None);
    }
}
