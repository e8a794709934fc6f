use super::bans::Party;
use crate::machine::Instant;
use crate::proto::geometry::BLOCK_LENGTH;
use crate::proto::geometry::Span;
use crate::proto::id::PieceIndex;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The longest time that a peer is asked for nothing because of bad pieces.
const LONGEST_PAROLE: Duration = Duration::from_secs(60);
/// Behind how many bad pieces a peer is alone before it is banned.
const ALONE: u32 = 2;
/// In the place of a giver: nobody knows who gave the block.
const NOBODY: u32 = u32::MAX;

/// Who gave which block, and who spoiled a piece.
///
/// What it tracks, for one torrent: the giver of each block of an unfinished piece; of each bad copy of a piece, the givers and hashes of
/// its blocks, until the piece is good; and of each giver, what stands against it. Givers are [parties](Party), so all of it outlives
/// their connections.
///
/// - Whoever gave a block of a bad copy that is other than in the good one is guilty.
/// - Whoever gave all blocks of two bad copies is guilty without further proof.
/// - Whoever is alone behind one is on parole: asked for nothing for a while. So is whoever had a part in a bad copy where the hashes of its
///   blocks are not known; else the good copy tells soon enough who did it, and the sooner the more the innocent are asked. Parole
///   ends at once for those whose blocks turn out to be right, and outlives a connection.
#[derive(Debug, Default)]
pub(super) struct Liars {
    givers: Slab<Giver>,
    by_party: BTreeMap<Party, u32>,
    /// The giver of each block.
    senders: BTreeMap<PieceIndex, Box<[u32]>>,
    /// Oldest first.
    copies: VecDeque<BadCopy>,
    /// How many blocks these have together.
    copied: usize,
    /// Givers that are here only for what stands against them, longest first.
    remembered: BTreeSet<(u64, u32)>,
    leaves: u64,
    guilty: Vec<(Party, PieceIndex)>,
}

#[derive(Debug)]
struct Giver {
    party: Party,
    connections: u32,
    /// How many blocks in `senders` and `copies` are its.
    blocks: usize,
    /// How often it was put on parole, less the good pieces that it had a part in and the bad ones of which it turned out to be
    /// innocent.
    faults: u32,
    /// How many bad copies were all its own.
    alone: u32,
    parole_until: Instant,
    /// Its place in `remembered`.
    left: Option<u64>,
}

/// A copy of a piece that has the wrong hash: the giver and hash of each block.
#[derive(Debug)]
struct BadCopy {
    piece: PieceIndex,
    blocks: Box<[(u32, [u8; 20])]>,
}

impl Liars {
    /// Takes note of a connection; gives the key of the giver behind it.
    pub(super) fn enter(&mut self, party: Party) -> u32 {
        let key = match self.by_party.get(&party) {
            Some(key) => *key,
            None => {
                let parole_until = Instant::ZERO;
                let giver = Giver { party, connections: 0, blocks: 0, faults: 0, alone: 0, parole_until, left: None };
                let key = self.givers.insert(giver) as u32;
                self.by_party.insert(party, key);
                key
            }
        };
        if let Some(giver) = self.givers.get_mut(key as usize) {
            giver.connections += 1;
            if let Some(left) = giver.left.take() {
                self.remembered.remove(&(left, key));
            }
        }
        key
    }

    /// Takes note that a connection is gone. At most `most` givers are remembered only for what stands against them.
    pub(super) fn leave(&mut self, key: u32, most: usize) {
        if let Some(giver) = self.givers.get_mut(key as usize) {
            giver.connections = giver.connections.saturating_sub(1);
        }
        self.tidy(key);
        while self.remembered.len() > most {
            let Some((_, oldest)) = self.remembered.pop_first() else { break };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, key: u32) {
        if let Some(giver) = self.givers.try_remove(key as usize) {
            self.by_party.remove(&giver.party);
        }
    }

    /// Forgets a giver of which there is nothing to know.
    fn tidy(&mut self, key: u32) {
        let Some(giver) = self.givers.get_mut(key as usize) else { return };
        if giver.connections > 0 || giver.blocks > 0 {
            return;
        }
        if giver.faults == 0 && giver.alone == 0 {
            if let Some(left) = giver.left {
                self.remembered.remove(&(left, key));
            }
            self.remove(key);
        } else if giver.left.is_none() {
            self.leaves += 1;
            giver.left = Some(self.leaves);
            self.remembered.insert((self.leaves, key));
        }
    }

    /// Gives how many connections a party has.
    #[cfg(test)]
    pub(super) fn connections(&self, party: Party) -> usize {
        let giver = self.by_party.get(&party).and_then(|key| self.givers.get(*key as usize));
        giver.map_or(0, |giver| giver.connections as usize)
    }

    /// Gives until when a giver is asked for nothing.
    pub(super) fn parole_until(&self, key: u32) -> Instant {
        self.givers.get(key as usize).map_or(Instant::ZERO, |giver| giver.parole_until)
    }

    fn hold(&mut self, key: u32) {
        if let Some(giver) = self.givers.get_mut(key as usize) {
            giver.blocks += 1;
        }
    }

    /// Gives up what points to a giver; gives the key back where it still is one.
    fn drop_blocks(&mut self, keys: impl Iterator<Item = u32>) {
        for key in keys {
            if let Some(giver) = self.givers.get_mut(key as usize) {
                giver.blocks = giver.blocks.saturating_sub(1);
                if giver.blocks == 0 {
                    self.tidy(key);
                }
            }
        }
    }

    /// Takes note that a giver sent a block, of a piece of `blocks` blocks, that goes to the store.
    pub(super) fn on_block(&mut self, key: u32, span: Span, blocks: u32) {
        let senders =
            self.senders.entry(span.piece).or_insert_with(|| vec![NOBODY; blocks as usize].into_boxed_slice());
        let Some(sender) = senders.get_mut((span.begin / BLOCK_LENGTH) as usize) else { return };
        let before = std::mem::replace(sender, key);
        self.hold(key);
        self.drop_blocks(std::iter::once(before));
    }

    /// Takes the hashes of a bad copy's blocks. Of at most `most` blocks these are remembered, but always of the latest copy.
    pub(super) fn on_bad_hashes(&mut self, piece: PieceIndex, hashes: &[[u8; 20]], most: usize) {
        let Some(senders) = self.senders.get(&piece).filter(|s| s.len() == hashes.len()) else { return };
        let blocks: Box<[_]> = senders.iter().copied().zip(hashes.iter().copied()).collect();
        blocks.iter().for_each(|(key, _)| self.hold(*key));
        self.copied += blocks.len();
        self.copies.push_back(BadCopy { piece, blocks });
        while self.copied > most && self.copies.len() > 1 {
            self.drop_copy(0);
        }
    }

    fn drop_copy(&mut self, at: usize) {
        if let Some(copy) = self.copies.remove(at) {
            self.copied -= copy.blocks.len();
            self.drop_blocks(copy.blocks.iter().map(|(key, _)| *key));
        }
    }

    /// Takes note that a piece is bad. Puts on parole whoever is to be, for `parole` at first and each time twice as long. Gives when
    /// the first parole ends.
    pub(super) fn on_bad(&mut self, now: Instant, piece: PieceIndex, parole: Duration) -> Option<Instant> {
        let senders = self.senders.remove(&piece)?;
        let givers: BTreeSet<u32> = senders.iter().copied().collect();
        let provable = self.copies.iter().any(|copy| copy.piece == piece);
        let mut first = None;
        for key in &givers {
            if provable && givers.len() > 1 {
                break;
            }
            let Some(giver) = self.givers.get_mut(*key as usize) else { continue };
            let pause = parole.saturating_mul(1 << giver.faults.min(16)).min(LONGEST_PAROLE);
            giver.faults = giver.faults.saturating_add(1);
            giver.parole_until = now + pause;
            first = Some(first.map_or(giver.parole_until, |at: Instant| at.min(giver.parole_until)));
            if givers.len() == 1 {
                giver.alone += 1;
                if giver.alone >= ALONE {
                    self.guilty.push((giver.party, piece));
                }
            }
        }
        self.drop_blocks(senders.iter().copied());
        first
    }

    /// Takes note that a piece is good.
    pub(super) fn on_good(&mut self, piece: PieceIndex) {
        let Some(senders) = self.senders.remove(&piece) else { return };
        let givers: BTreeSet<u32> = senders.iter().copied().collect();
        for key in givers {
            if let Some(giver) = self.givers.get_mut(key as usize) {
                giver.faults = giver.faults.saturating_sub(1);
            }
        }
        self.drop_blocks(senders.iter().copied());
    }

    /// Takes note that what there was of a piece is gone from the store: nobody is to answer for what comes in its place.
    pub(super) fn on_lost(&mut self, piece: PieceIndex) {
        if let Some(senders) = self.senders.remove(&piece) {
            self.drop_blocks(senders.iter().copied());
        }
    }

    /// Takes the hashes of a good piece's blocks: finds the guilty and the innocent of its bad copies.
    pub(super) fn on_good_hashes(&mut self, piece: PieceIndex, hashes: &[[u8; 20]]) {
        while let Some(at) = self.copies.iter().position(|copy| copy.piece == piece) {
            self.judge(at, hashes);
            self.drop_copy(at);
        }
    }

    fn judge(&mut self, at: usize, hashes: &[[u8; 20]]) {
        let Some(copy) = self.copies.get(at).filter(|copy| copy.blocks.len() == hashes.len()) else { return };
        let givers: BTreeSet<u32> = copy.blocks.iter().map(|(key, _)| *key).collect();
        let differing = copy.blocks.iter().zip(hashes).filter(|((_, bad), good)| bad != *good);
        let wrong: BTreeSet<u32> = differing.map(|((key, _), _)| *key).collect();
        for key in &givers {
            let Some(giver) = self.givers.get_mut(*key as usize) else { continue };
            if wrong.contains(key) {
                self.guilty.push((giver.party, copy.piece));
                continue;
            }
            giver.faults = giver.faults.saturating_sub(1);
            if givers.len() == 1 {
                giver.alone = giver.alone.saturating_sub(1);
            }
            if giver.faults == 0 {
                giver.parole_until = Instant::ZERO;
            }
        }
    }

    /// Takes the parties found guilty since, each with a piece that it spoiled.
    pub(super) fn take_guilty(&mut self) -> Vec<(Party, PieceIndex)> {
        std::mem::take(&mut self.guilty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Rng;

    const PAROLE: Duration = Duration::from_secs(1);
    const MOST: usize = 100;

    fn party(n: u8) -> Party {
        Party::whole([10, 0, 0, n].into())
    }

    fn give(liars: &mut Liars, givers: &[u32]) {
        for (block, key) in (0..).zip(givers) {
            let span = Span { piece: PieceIndex(0), begin: block * BLOCK_LENGTH, length: BLOCK_LENGTH };
            liars.on_block(*key, span, givers.len() as u32);
        }
    }

    fn bad(liars: &mut Liars, now: Instant, hashes: &[u8]) {
        let hashes: Vec<_> = hashes.iter().map(|byte| [*byte; 20]).collect();
        liars.on_bad_hashes(PieceIndex(0), &hashes, MOST);
        liars.on_bad(now, PieceIndex(0), PAROLE);
    }

    fn good(liars: &mut Liars, hashes: &[u8]) -> Vec<Party> {
        let hashes: Vec<_> = hashes.iter().map(|byte| [*byte; 20]).collect();
        liars.on_good(PieceIndex(0));
        liars.on_good_hashes(PieceIndex(0), &hashes);
        liars.take_guilty().into_iter().map(|(party, _)| party).collect()
    }

    fn is_blank(liars: &Liars) -> bool {
        liars.givers.is_empty()
            && liars.by_party.is_empty()
            && liars.senders.is_empty()
            && liars.copies.is_empty()
            && liars.copied == 0
            && liars.remembered.is_empty()
    }

    #[test]
    fn whoever_sent_what_differs_is_guilty_also_when_gone_and_the_others_are_free() {
        let mut liars = Liars::default();
        let keys: Vec<u32> = (1..=3).map(|n| liars.enter(party(n))).collect();
        give(&mut liars, &[keys[0], keys[1], keys[2], keys[0]]);
        bad(&mut liars, Instant::ZERO, &[1, 2, 3, 4]);
        assert!(keys.iter().all(|key| liars.parole_until(*key) == Instant::ZERO));
        liars.leave(keys[1], 9);
        give(&mut liars, &[keys[0]; 4]);
        assert_eq!(good(&mut liars, &[1, 9, 3, 4]), [party(2)]);
        liars.leave(keys[0], 9);
        liars.leave(keys[2], 9);
        assert!(is_blank(&liars));
    }

    #[test]
    fn parole_is_for_whoever_is_alone_or_where_there_will_be_no_proof_and_ends_with_innocence() {
        let mut liars = Liars::default();
        let keys: Vec<u32> = (1..=3).map(|n| liars.enter(party(n))).collect();
        let mut now = Instant::ZERO;
        // No hashes are known.
        for parole in [PAROLE, PAROLE * 2, PAROLE * 4] {
            now += Duration::from_secs(100);
            give(&mut liars, &keys[..2]);
            assert_eq!(liars.on_bad(now, PieceIndex(0), PAROLE), Some(now + parole));
            assert!(keys[..2].iter().all(|key| liars.parole_until(*key) == now + parole));
        }
        give(&mut liars, &[keys[2]; 2]);
        bad(&mut liars, now, &[1, 2]);
        assert_eq!(liars.parole_until(keys[2]), now + PAROLE);
        // It was not the blocks: something else was wrong.
        assert_eq!(good(&mut liars, &[1, 2]), []);
        assert_eq!(liars.parole_until(keys[2]), Instant::ZERO);
        give(&mut liars, &[keys[2]; 2]);
        bad(&mut liars, now, &[1, 2]);
        assert_eq!(liars.take_guilty(), []);
    }

    #[test]
    fn whoever_is_alone_behind_two_bad_copies_is_guilty_at_once_and_parole_outlives_the_connection() {
        let mut liars = Liars::default();
        let key = liars.enter(party(1));
        give(&mut liars, &[key; 2]);
        bad(&mut liars, Instant::ZERO, &[1, 2]);
        assert!(liars.take_guilty().is_empty());
        liars.leave(key, 9);
        let key = liars.enter(party(1));
        assert_eq!((liars.parole_until(key), liars.connections(party(1))), (Instant::ZERO + PAROLE, 1));
        give(&mut liars, &[key; 2]);
        bad(&mut liars, Instant::ZERO, &[1, 2]);
        assert_eq!(liars.take_guilty(), [(party(1), PieceIndex(0))]);
        assert_eq!(liars.parole_until(key), Instant::ZERO + PAROLE * 2);
    }

    #[test]
    fn a_block_that_nobody_is_known_to_have_given_makes_nobody_guilty() {
        let mut liars = Liars::default();
        let key = liars.enter(party(1));
        for _ in 0..5 {
            // The first block is from an earlier run.
            let span = Span { piece: PieceIndex(0), begin: BLOCK_LENGTH, length: BLOCK_LENGTH };
            liars.on_block(key, span, 2);
            bad(&mut liars, Instant::ZERO, &[1, 2]);
        }
        assert_eq!(good(&mut liars, &[9, 2]), []);
        liars.leave(key, 9);
        assert!(is_blank(&liars));
    }

    #[test]
    fn nobody_answers_for_what_the_store_lost() {
        let mut liars = Liars::default();
        let key = liars.enter(party(1));
        give(&mut liars, &[key; 2]);
        liars.on_lost(PieceIndex(0));
        bad(&mut liars, Instant::ZERO, &[1, 2]);
        assert_eq!((good(&mut liars, &[9, 2]), liars.parole_until(key)), (vec![], Instant::ZERO));
        liars.leave(key, 9);
        assert!(is_blank(&liars));
    }

    #[test]
    fn beyond_its_limits_the_oldest_copies_and_givers_are_forgotten() {
        let mut liars = Liars::default();
        for n in 0..10 {
            let key = liars.enter(party(n));
            let piece = PieceIndex(u32::from(n));
            for begin in [0, BLOCK_LENGTH] {
                liars.on_block(key, Span { piece, begin, length: BLOCK_LENGTH }, 2);
            }
            liars.on_bad_hashes(piece, &[[n; 20]; 2], 6);
            liars.on_bad(Instant::ZERO, piece, PAROLE);
            liars.leave(key, 4);
        }
        assert_eq!((liars.copies.len(), liars.copied), (3, 6));
        // Three that copies point to, and four of those before.
        assert_eq!((liars.givers.len(), liars.remembered.len()), (7, 4));
        // A single copy is kept however large.
        let key = liars.enter(party(99));
        give(&mut liars, &[key; 50]);
        liars.on_bad_hashes(PieceIndex(0), &[[0; 20]; 50], 6);
        assert_eq!((liars.copies.len(), liars.copied), (1, 50));
    }

    #[test]
    fn nothing_is_kept_of_what_is_over_whatever_the_order() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut liars = Liars::default();
            let mut open: Vec<u32> = Vec::new();
            for _ in 0..200 {
                let piece = PieceIndex(rng.below(3));
                let hashes = [[rng.below(2) as u8; 20], [0; 20]];
                match rng.below(9) {
                    0 => open.push(liars.enter(party(rng.below(5) as u8))),
                    1 if !open.is_empty() => {
                        let at = rng.below(open.len() as u32) as usize;
                        liars.leave(open.swap_remove(at), 2);
                    }
                    2 => liars.on_bad_hashes(piece, &hashes, 8),
                    3 => drop(liars.on_bad(Instant::ZERO, piece, PAROLE)),
                    4 => liars.on_good(piece),
                    5 => liars.on_good_hashes(piece, &hashes),
                    6 => liars.on_lost(piece),
                    _ => {
                        if let Some(key) = rng.choose(&open).copied() {
                            let span = Span { piece, begin: rng.below(2) * BLOCK_LENGTH, length: BLOCK_LENGTH };
                            liars.on_block(key, span, 2);
                        }
                    }
                }
                assert!(liars.copied <= 8 && liars.remembered.len() <= 12, "seed {seed}");
            }
            for piece in (0..3).map(PieceIndex) {
                liars.on_good(piece);
                liars.on_good_hashes(piece, &[[0; 20]; 2]);
            }
            open.push(liars.enter(party(99)));
            open.into_iter().for_each(|key| liars.leave(key, 0));
            assert!(is_blank(&liars), "seed {seed}: {liars:?}");
        }
    }
}
