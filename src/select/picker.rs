//! Which block to ask a peer for.

use super::availability::{Availability, CLASSES};
use super::progress::{Progress, State};
use super::suspects::Suspects;
use super::{Peer, Priority};
use crate::machine::{Map, Rng};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::{BLOCK_LENGTH, Geometry, Span};
use crate::proto::id::PieceIndex;
pub use end_game::Owned;
use open::Open;
use std::collections::{BTreeMap, VecDeque};

/// Begun pieces looked at for one that a peer can go on with, before the peer's own pieces are walked instead.
const OPEN_SCAN: usize = 256;
/// The class of normal priority: the highest has the least number.
const NORMAL: usize = 1;

/// What to do with a block that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// It goes to the store.
    Wanted {
        /// The other peers that were asked for it, and are no longer: tell them so.
        cancel: Vec<Peer>,
    },
    /// We have it, or it is none of our blocks.
    Unwanted,
}

/// Chooses what to ask whom for, and knows what became of every block of a torrent.
///
/// A block is *missing*, *asked for* (from one peer), *arrived* (in the store's hands) or *stored*. A piece is *untouched*, *begun*, or ours.
///
/// - What is begun is finished first: the piece that the peer gave blocks of before, else of all begun pieces that it has the one
///   with the fewest blocks missing. Several peers may share a piece.
/// - Peers that are [asked apart](Self::pick_apart), because they send a piece in a short time, share no piece while there are others to begin.
/// - Then the rarest piece is begun, any of the equally rare ones with the same likelihood.
/// - What has a higher priority comes before that, begun or not, and what is skipped is never asked for nor taken
///   ([`set_priorities`](Self::set_priorities)). In sequential mode the first of the begun pieces is gone on with and then the first
///   of the others is begun, whoever has how much of it.
/// - A piece that came with the wrong hash is *suspect* until it is good: one peer at a time is asked for it, its *owner*, so that
///   who spoils it does so alone. Of a suspect piece no other peer's block is taken. Peers that gave nothing of the
///   bad copy go on with it before anything else; one that did, or would only finish what another began and is asked for no more,
///   when there is nothing else to ask it for. At most 256 pieces are suspect at a time; further bad ones are fetched as any.
/// - A block that one peer is asked for is asked of no other, not even in the end game: instead the request
///   [moves](Self::move_request) to a peer that is expected to send it much sooner. Those of suspect pieces do only together: a piece is
///   [handed over](Self::hand_over) to another owner.
///
/// The caller says truthfully what peers have: what it says at [`peer_left`](Self::peer_left) is what it said at
/// [`peer_joined`](Self::peer_joined) and [`peer_has`](Self::peer_has). A peer that is not named so is asked all the same, but
/// does not count for rarity.
///
/// # Limits
///
/// Memory is 14 bytes per piece (15 with priorities), a byte per block of a begun piece, and some 30 per request. A piece is begun only by a request or
/// a block, so begun pieces are at most requests and blocks received. A call of [`pick`](Self::pick) does, per piece that it takes
/// from, at most some hundred steps, and where the peer has almost nothing that we need, a step per 64 pieces of the torrent and
/// a thousand more, for each priority in use; in sequential mode the steps per 64 pieces are made once in a call.
#[derive(Debug)]
pub struct Picker {
    geometry: Geometry,
    have: Bitfield,
    /// The pieces that are ours or skipped: of no peer's pieces are these wanted.
    settled: Bitfield,
    /// None where all are normal.
    priorities: Option<Vec<Priority>>,
    sequential: bool,
    rng: Rng,
    /// All pieces, and in its list the untouched ones.
    availability: Availability,
    begun: BTreeMap<PieceIndex, Progress>,
    /// For each class of priority.
    open: [Open; CLASSES],
    /// Pieces that came with the wrong hash; neither listed nor begun.
    suspects: Suspects,
    /// What each peer is asked for. Never walked.
    peers: Map<Peer, Asked>,
    /// How many requests there are in all.
    requests: usize,
}

/// The requests to one peer, oldest first, and the piece of the latest.
#[derive(Debug)]
struct Asked {
    latest: PieceIndex,
    blocks: VecDeque<(PieceIndex, u32)>,
}

impl Picker {
    /// Makes a picker for a torrent of which the pieces in `have` are there. A `have` of another number of pieces counts as empty.
    pub fn new(geometry: Geometry, have: &Bitfield, mut rng: Rng) -> Self {
        let pieces = geometry.piece_count();
        let have = if have.pieces() == pieces { have.clone() } else { Bitfield::new(pieces) };
        Self {
            geometry,
            availability: Availability::new(&have, NORMAL),
            settled: have.clone(),
            have,
            priorities: None,
            sequential: false,
            begun: BTreeMap::new(),
            open: [Open::new(pieces), Open::new(pieces), Open::new(pieces)],
            suspects: Suspects::default(),
            peers: Map::new(&mut rng),
            requests: 0,
            rng,
        }
    }

    /// Gives the pieces that are ours.
    pub fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Says whether all pieces that are wanted are ours.
    pub fn is_complete(&self) -> bool {
        self.settled.is_full()
    }

    /// Says whether all pieces are ours.
    pub fn has_all(&self) -> bool {
        self.have.is_full()
    }

    /// Says whether the store has all blocks of a piece that is not verified yet.
    pub fn is_stored(&self, piece: PieceIndex) -> bool {
        self.progress(piece).is_some_and(Progress::is_stored)
    }

    /// Says whether a piece came with the wrong hash and is fetched again from one peer at a time.
    pub fn is_suspect(&self, piece: PieceIndex) -> bool {
        self.suspects.contains(piece)
    }

    /// Gives the one peer that a suspect piece is being fetched from.
    pub fn owner(&self, piece: PieceIndex) -> Option<Peer> {
        self.suspects.owner(piece)
    }

    /// Has a peer asked for a suspect piece only when there is nothing else to ask it for. Those that gave blocks of a bad copy are
    /// so already.
    pub fn avoid(&mut self, peer: Peer, piece: PieceIndex) {
        self.suspects.avoid(peer, piece);
    }

    /// Gives how many peers have a piece.
    pub fn availability(&self, piece: PieceIndex) -> u32 {
        self.availability.of(piece)
    }

    /// Gives how many requests there are.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Gives how many requests there are to a peer.
    pub fn requests_to(&self, peer: Peer) -> usize {
        self.peers.get(&peer).map_or(0, |asked| asked.blocks.len())
    }

    /// Says whether every missing block that some peer has is asked for.
    pub fn is_end_game(&self) -> bool {
        // Begun pieces that nobody has are few. Were they many and one of them had come back, we would only ask twice too early.
        self.requests > 0
            && !self.availability.offers_any()
            && self.open.iter().flat_map(|open| open.list.iter().take(OPEN_SCAN)).all(|p| self.availability.of(*p) == 0)
    }

    /// Counts in what a peer has. Work: none for a seed; else a step for each piece that it has, or for each that it lacks,
    /// whichever are fewer, and where these are many three sweeps over all pieces.
    pub fn peer_joined(&mut self, has: &Bitfield) {
        self.availability.add(has);
    }

    /// Counts out what a peer has by now. Its requests are another matter: see [`release`](Self::release).
    pub fn peer_left(&mut self, has: &Bitfield) {
        self.availability.subtract(has);
    }

    /// Counts in a piece that a peer did not have before.
    pub fn peer_has(&mut self, piece: PieceIndex) {
        self.availability.raise(piece);
    }

    /// Says whether a piece is wanted and not ours.
    pub fn wants(&self, piece: PieceIndex) -> bool {
        piece.0 < self.geometry.piece_count() && !self.settled.contains(piece)
    }

    /// Says whether a peer has a piece that is wanted and not ours: whether we are interested.
    pub fn wants_from(&self, has: &Bitfield) -> bool {
        !has.is_empty() && self.settled.lacks_any_of(has)
    }

    /// Chooses up to `count` blocks to ask a peer for, appends them to `out`, and marks them as asked from it.
    ///
    /// Fewer than `count` are all that the peer can be asked for now. There may be more when it has another piece, when blocks become
    /// missing again (a release, a failed store, a bad piece).
    pub fn pick(&mut self, peer: Peer, has: &Bitfield, count: usize, out: &mut Vec<Span>) {
        self.pick_as(peer, has, count, false, out);
    }

    /// As [`pick`](Self::pick), for a peer that sends a piece in a short time: it rather begins one of its own than share what others
    /// are asked for, as long as fewer pieces have missing blocks than one and a half for each peer.
    ///
    /// Peers with long queues that share pieces send the blocks of each in any order, and of all that they were asked for at once: then
    /// a store cannot hash a piece as it comes, and reads it back.
    pub fn pick_apart(&mut self, peer: Peer, has: &Bitfield, count: usize, out: &mut Vec<Span>) {
        self.pick_as(peer, has, count, true, out);
    }

    fn pick_as(&mut self, peer: Peer, has: &Bitfield, count: usize, apart: bool, out: &mut Vec<Span>) {
        let goal = out.len().saturating_add(count);
        let mut from = [0; CLASSES];
        while out.len() < goal {
            let Some(piece) = self.choose(peer, has, apart, &mut from) else { break };
            let progress = match self.suspects.own(piece, peer) {
                Some(suspect) => &mut suspect.progress,
                None => self.begin(piece),
            };
            let most = goal - out.len();
            let mut taken = Vec::with_capacity(most.min(progress.missing() as usize));
            while taken.len() < most {
                let Some(block) = progress.ask_next(peer) else { break };
                taken.push(block);
            }
            self.note_asked(peer, piece, &taken, out);
            self.sort_in(piece);
        }
    }

    /// Takes note of a whole block that came from a peer, asked for or not.
    ///
    /// Any block that we lack is wanted, also one that the peer was not asked for, or no longer is: it may have been on its way
    /// when the peer choked us. Of a suspect piece only its owner's are, and none of a skipped one. A span that is none of the torrent's blocks is unwanted.
    pub fn on_block(&mut self, peer: Peer, span: Span) -> Arrival {
        let Some(block) = self.block_of(span) else { return Arrival::Unwanted };
        if self.settled.contains(span.piece) {
            return Arrival::Unwanted;
        }
        let progress = match self.suspects.get_mut(span.piece) {
            Some(suspect) if !suspect.takes_from(peer) => return Arrival::Unwanted,
            Some(suspect) => &mut suspect.progress,
            None => self.begin(span.piece),
        };
        if !matches!(progress.state(block), Some(State::Missing | State::Asked)) {
            return Arrival::Unwanted;
        }
        progress.gave(peer);
        let mut cancel = progress.settle(block, State::Arrived);
        self.forget(span.piece, block, &cancel);
        self.sort_in(span.piece);
        cancel.retain(|other| *other != peer);
        Arrival::Wanted { cancel }
    }

    /// Takes note that the store has a block.
    pub fn on_stored(&mut self, span: Span) {
        self.store_answered(span, State::Stored);
    }

    /// Takes note that the store could not keep a block: it is missing again.
    pub fn on_store_failed(&mut self, span: Span) {
        self.store_answered(span, State::Missing);
    }

    /// Takes note that a piece is verified: it is ours. Whatever of it is still asked for is so no longer.
    pub fn on_piece_good(&mut self, piece: PieceIndex) {
        self.drop_progress(piece);
        self.availability.unlist(piece);
        self.have.insert(piece);
        self.settled.insert(piece);
    }

    /// Takes note that a piece has the wrong hash: all of it is missing again, and it is suspect until it is good. A piece that is
    /// ours stays ours.
    pub fn on_piece_bad(&mut self, piece: PieceIndex) {
        let blocks = self.geometry.blocks_in(piece);
        if self.suspects.contains(piece) {
            self.forget_asked(piece);
            self.suspects.restart(piece, blocks);
        } else if let Some(progress) = self.drop_progress(piece) {
            if !self.suspects.insert(piece, blocks, progress.into_givers()) {
                self.list(piece);
            }
        }
    }

    /// Forgets all requests to a peer, which choked us, stalls or is gone: others can be asked at once.
    pub fn release(&mut self, peer: Peer) {
        let Some(asked) = self.peers.remove(&peer) else { return };
        self.suspects.release(peer);
        let mut piece_before = None;
        for (piece, block) in asked.blocks {
            let freed = self.progress_mut(piece).is_some_and(|progress| progress.unask(block, peer));
            self.requests -= usize::from(freed);
            if let Some(before) = piece_before.filter(|before| *before != piece) {
                self.sort_in(before);
            }
            piece_before = Some(piece);
        }
        if let Some(before) = piece_before {
            self.sort_in(before);
        }
    }

    /// Forgets a peer that is gone and whose key no other will have: also what was held against it.
    pub fn forget_peer(&mut self, peer: Peer) {
        self.release(peer);
        self.suspects.forget_peer(peer);
    }

    /// Forgets one request to a peer, which refused it or lost it.
    pub fn release_one(&mut self, peer: Peer, span: Span) {
        let Some(block) = self.block_of(span) else { return };
        if self.progress_mut(span.piece).is_some_and(|progress| progress.unask(block, peer)) {
            self.forget(span.piece, block, &[peer]);
            self.suspects.release_one(span.piece);
            self.sort_in(span.piece);
        }
    }

    /// Chooses a piece with a missing block. `from` is as in [`Availability::first`], for each class.
    fn choose(&mut self, peer: Peer, has: &Bitfield, apart: bool, from: &mut [usize; CLASSES]) -> Option<PieceIndex> {
        let first = (0..CLASSES).zip(from).find_map(|(class, from)| {
            let suspect = self.suspects.first_for(peer, has, |piece| self.class(piece) == Some(class));
            suspect.or_else(|| self.choose_unsuspected(peer, has, class, apart, from))
        });
        first.or_else(|| {
            (0..CLASSES).find_map(|class| self.suspects.last_for(has, |piece| self.class(piece) == Some(class)))
        })
    }

    fn choose_unsuspected(
        &mut self,
        peer: Peer,
        has: &Bitfield,
        class: usize,
        apart: bool,
        from: &mut usize,
    ) -> Option<PieceIndex> {
        let peers = self.peers.len() + usize::from(!self.peers.contains_key(&peer));
        if apart && !self.sequential && self.open[class].list.len() < peers.saturating_mul(3).div_ceil(2) {
            let own = self.choose_begun(peer, has, class, true);
            let own = own.or_else(|| self.availability.rarest(class, has, &mut self.rng));
            if own.is_some() {
                return own;
            }
        }
        let begun =
            if self.sequential { self.open[class].first(has) } else { self.choose_begun(peer, has, class, false) };
        begun.or_else(|| match self.sequential {
            true => self.availability.first(class, has, from),
            false => self.availability.rarest(class, has, &mut self.rng),
        })
    }

    /// Chooses a begun piece with a missing block; if it is to be apart, the one that the peer is asked for already, or else one of which
    /// nobody is.
    fn choose_begun(&mut self, peer: Peer, has: &Bitfield, class: usize, apart: bool) -> Option<PieceIndex> {
        let open = &self.open[class];
        let latest = self.peers.get(&peer).map(|asked| asked.latest);
        if let Some(piece) = latest.filter(|p| open.set.contains(*p) && has.contains(*p)) {
            return Some(piece);
        }
        let count = open.list.len();
        let start = if count <= OPEN_SCAN { 0 } else { self.rng.below(count as u32) as usize };
        let (tail, head) = (&open.list[start..], &open.list[..start]);
        let left = |piece| !apart || self.begun.get(piece).is_some_and(|progress| progress.asked().is_empty());
        let looked_at = tail.iter().chain(head).take(OPEN_SCAN).filter(|p| has.contains(**p) && left(*p));
        let best = looked_at.min_by_key(|p| self.begun.get(p).map_or(0, Progress::missing)).copied();
        if best.is_none() && count > OPEN_SCAN && !apart { open.search(has) } else { best }
    }

    fn note_asked(&mut self, peer: Peer, piece: PieceIndex, blocks: &[u32], out: &mut Vec<Span>) {
        let asked =
            self.peers.entry(peer).or_insert_with(|| Asked { latest: piece, blocks: VecDeque::with_capacity(16) });
        asked.latest = piece;
        self.requests += blocks.len();
        for block in blocks {
            asked.blocks.push_back((piece, *block));
            out.push(self.geometry.block(piece, *block).expect("a piece's blocks are the geometry's"));
        }
    }

    /// Strikes a block from the lists of peers that were asked for it.
    fn forget(&mut self, piece: PieceIndex, block: u32, peers: &[Peer]) {
        for peer in peers {
            if let Some(asked) = self.peers.get_mut(peer) {
                // Blocks come about as they were asked for, so the place is near the front.
                if let Some(at) = asked.blocks.iter().position(|b| *b == (piece, block)) {
                    asked.blocks.remove(at);
                    self.requests -= 1;
                }
            }
        }
    }

    fn store_answered(&mut self, span: Span, state: State) {
        let Some(block) = self.block_of(span) else { return };
        let Some(progress) = self.progress_mut(span.piece) else { return };
        if progress.state(block) == Some(State::Arrived) {
            progress.settle(block, state);
            self.sort_in(span.piece);
        }
    }

    fn progress(&self, piece: PieceIndex) -> Option<&Progress> {
        self.begun.get(&piece).or_else(|| self.suspects.get(piece).map(|suspect| &suspect.progress))
    }

    fn progress_mut(&mut self, piece: PieceIndex) -> Option<&mut Progress> {
        match self.begun.get_mut(&piece) {
            None => self.suspects.get_mut(piece).map(|suspect| &mut suspect.progress),
            found => found,
        }
    }

    /// Has a piece among the begun ones.
    fn begin(&mut self, piece: PieceIndex) -> &mut Progress {
        let blocks = self.geometry.blocks_in(piece);
        self.availability.unlist(piece);
        self.begun.entry(piece).or_insert_with(|| Progress::new(blocks))
    }

    /// Strikes what is asked for of a piece from the peers' lists.
    fn forget_asked(&mut self, piece: PieceIndex) {
        let asked = self.progress(piece).map(|progress| progress.asked().to_vec());
        for (block, peer) in asked.unwrap_or_default() {
            self.forget(piece, block, &[peer]);
        }
    }

    /// Forgets what became of a piece's blocks, and that it is suspect.
    fn drop_progress(&mut self, piece: PieceIndex) -> Option<Progress> {
        self.forget_asked(piece);
        self.set_open(piece, false);
        let suspect = self.suspects.remove(piece).map(|suspect| suspect.progress);
        self.begun.remove(&piece).or(suspect)
    }

    /// Lists a piece as untouched, unless it is skipped.
    fn list(&mut self, piece: PieceIndex) {
        if let Some(class) = self.class(piece) {
            self.availability.list(piece, class);
        }
    }

    fn set_open(&mut self, piece: PieceIndex, open: bool) {
        if let Some(class) = self.class(piece) {
            self.open[class].set(piece, open);
        }
    }

    /// Puts a piece whose blocks have changed where it belongs: among the untouched, the open, or the fully asked for.
    fn sort_in(&mut self, piece: PieceIndex) {
        let Some(progress) = self.begun.get(&piece) else { return };
        if progress.is_untouched() {
            self.begun.remove(&piece);
            self.set_open(piece, false);
            self.list(piece);
        } else {
            let open = progress.missing() > 0;
            self.set_open(piece, open);
        }
    }

    /// Gives a span's number in its piece, if it is one of the torrent's blocks.
    fn block_of(&self, span: Span) -> Option<u32> {
        let block = span.begin / BLOCK_LENGTH;
        (self.geometry.block(span.piece, block) == Some(span)).then_some(block)
    }
}

mod store;

mod end_game;
mod open;
mod priorities;

#[cfg(test)]
mod model;
#[cfg(test)]
mod suspicion;

#[cfg(test)]
mod tests;
