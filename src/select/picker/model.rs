//! The picker against a model that keeps everything in plain lists and looks through all of them.

use super::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Free,
    Asked(BTreeSet<Peer>),
    Arrived,
    Stored,
}

/// A swarm as the picker should see it.
struct Model {
    picker: Picker,
    rng: Rng,
    geometry: Geometry,
    blocks: Vec<Vec<Block>>,
    ours: Vec<bool>,
    /// Whether each piece came with the wrong hash.
    suspect: Vec<bool>,
    peers: BTreeMap<Peer, Bitfield>,
    next_peer: u32,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let piece_length = BLOCK_LENGTH * (1 + rng.below(4)) - rng.below(2) * rng.below(BLOCK_LENGTH);
        let pieces = 1 + rng.below(24);
        let total = u64::from(piece_length) * u64::from(pieces) - u64::from(rng.below(piece_length));
        let geometry = Geometry::new(total, piece_length).unwrap();
        let mut have = Bitfield::new(pieces);
        (0..rng.below(pieces)).for_each(|_| {
            have.insert(PieceIndex(rng.below(pieces)));
        });
        Self {
            picker: Picker::new(geometry, &have, rng.fork()),
            blocks: (0..pieces).map(|p| vec![Block::Free; geometry.blocks_in(PieceIndex(p)) as usize]).collect(),
            ours: (0..pieces).map(|p| have.contains(PieceIndex(p))).collect(),
            suspect: vec![false; pieces as usize],
            rng,
            geometry,
            peers: BTreeMap::new(),
            next_peer: 0,
        }
    }

    fn pieces(&self) -> u32 {
        self.geometry.piece_count()
    }

    fn block(&mut self, span: Span) -> &mut Block {
        &mut self.blocks[span.piece.as_usize()][(span.begin / BLOCK_LENGTH) as usize]
    }

    fn spans(&self, which: impl Fn(&Block) -> bool) -> Vec<Span> {
        let mut spans = Vec::new();
        for (piece, blocks) in (0u32..).map(PieceIndex).zip(&self.blocks) {
            for (number, block) in (0u32..).zip(blocks) {
                if !self.ours[piece.as_usize()] && which(block) {
                    spans.push(self.geometry.block(piece, number).unwrap());
                }
            }
        }
        spans
    }

    fn any_peer(&mut self) -> Option<Peer> {
        let peers: Vec<Peer> = self.peers.keys().copied().collect();
        self.rng.choose(&peers).copied()
    }

    fn holders(&self, piece: PieceIndex) -> usize {
        self.peers.values().filter(|has| has.contains(piece)).count()
    }

    fn is_untouched(&self, piece: PieceIndex) -> bool {
        !self.ours[piece.as_usize()] && self.blocks[piece.as_usize()].iter().all(|b| *b == Block::Free)
    }

    fn join(&mut self, has: Bitfield) {
        self.picker.peer_joined(&has);
        self.peers.insert(Peer(self.next_peer), has);
        self.next_peer += 1;
    }

    fn release(&mut self, peer: Peer) {
        self.picker.release(peer);
        for block in self.blocks.iter_mut().flatten() {
            if let Block::Asked(askers) = block {
                askers.remove(&peer);
                if askers.is_empty() {
                    *block = Block::Free;
                }
            }
        }
    }

    fn pick(&mut self, peer: Peer) {
        let has = self.peers[&peer].clone();
        let count = self.rng.below(12) as usize;
        let mut out = Vec::new();
        self.picker.pick(peer, &has, count, &mut out);
        assert!(out.len() <= count);
        for span in &out {
            let piece = span.piece;
            assert!(
                has.contains(piece) && !self.ours[piece.as_usize()],
                "asked for {span}, which the peer lacks or we have"
            );
            if self.suspect[piece.as_usize()] {
                assert_eq!(self.picker.owner(piece), Some(peer));
                assert_eq!(self.asked_for(piece), Vec::from_iter(self.asked_for(piece).first().map(|_| peer)));
            } else if self.is_untouched(piece) {
                let open = self.spans(|b| *b == Block::Free).into_iter();
                let open = open.filter(|s| has.contains(s.piece) && !self.suspect[s.piece.as_usize()]);
                let begun = open.clone().find(|s| !self.is_untouched(s.piece));
                assert_eq!(begun, None, "{span} was begun before that was finished");
                let rarest = open.map(|s| self.holders(s.piece)).min();
                assert_eq!(Some(self.holders(piece)), rarest, "{span} is not the rarest");
            }
            match self.block(*span).clone() {
                Block::Free => *self.block(*span) = Block::Asked(BTreeSet::from([peer])),
                other => panic!("{span} was asked for although it is {other:?}"),
            }
        }
        if out.len() < count {
            let left = self.spans(|b| *b == Block::Free);
            let held =
                |piece| self.suspect[piece as usize] && self.asked_for(PieceIndex(piece)).iter().any(|p| *p != peer);
            assert!(
                left.iter().all(|s| !has.contains(s.piece) || held(s.piece.0)),
                "the peer could have been asked for more"
            );
        }
    }

    /// Gives the peers that are asked for a piece's blocks.
    fn asked_for(&self, piece: PieceIndex) -> Vec<Peer> {
        let askers = self.blocks[piece.as_usize()].iter().filter_map(|block| match block {
            Block::Asked(askers) => Some(askers.iter().copied()),
            _ => None,
        });
        askers.flatten().collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn arrive(&mut self, peer: Peer, span: Span) {
        let takes = self.picker.suspects.get(span.piece).is_none_or(|s| s.takes_from(peer));
        let arrival = self.picker.on_block(peer, span);
        if !takes {
            assert_eq!(arrival, Arrival::Unwanted);
            assert!(!self.asked_for(span.piece).contains(&peer));
            return;
        }
        let fits = self.geometry.contains(span) && self.picker.block_of(span).is_some();
        if !fits || self.ours[span.piece.as_usize()] {
            assert_eq!(arrival, Arrival::Unwanted);
            return;
        }
        let expected = match self.block(span).clone() {
            Block::Free => Arrival::Wanted { cancel: vec![] },
            Block::Asked(askers) => Arrival::Wanted { cancel: askers.into_iter().filter(|p| *p != peer).collect() },
            Block::Arrived | Block::Stored => Arrival::Unwanted,
        };
        assert_eq!(arrival, expected);
        if arrival != Arrival::Unwanted {
            *self.block(span) = Block::Arrived;
        }
    }

    fn store(&mut self, span: Span) {
        if self.rng.below(8) == 0 {
            self.picker.on_store_failed(span);
            *self.block(span) = Block::Free;
            return;
        }
        self.picker.on_stored(span);
        *self.block(span) = Block::Stored;
        let blocks = &mut self.blocks[span.piece.as_usize()];
        let whole = blocks.iter().all(|b| *b == Block::Stored);
        assert_eq!(self.picker.is_stored(span.piece), whole);
        if whole && self.rng.below(4) == 0 {
            blocks.fill(Block::Free);
            self.suspect[span.piece.as_usize()] = true;
            self.picker.on_piece_bad(span.piece);
        } else if whole {
            self.ours[span.piece.as_usize()] = true;
            self.suspect[span.piece.as_usize()] = false;
            self.picker.on_piece_good(span.piece);
        }
    }

    fn step(&mut self) {
        let pieces = self.pieces();
        let asked = self.spans(|b| matches!(b, Block::Asked(_)));
        match self.rng.below(20) {
            0 if self.peers.len() < 8 => {
                let odds = self.rng.below(11);
                let mut has = Bitfield::new(pieces);
                for piece in (0..pieces).map(PieceIndex) {
                    if self.rng.below(10) < odds {
                        has.insert(piece);
                    }
                }
                self.join(has);
            }
            1 => {
                if let Some(peer) = self.any_peer().filter(|_| self.rng.below(3) == 0) {
                    self.release(peer);
                    let has = self.peers.remove(&peer).unwrap();
                    self.picker.peer_left(&has);
                }
            }
            2 => {
                if let Some(peer) = self.any_peer() {
                    self.release(peer);
                }
            }
            3 => {
                if let (Some(peer), Some(span)) = (self.any_peer(), self.rng.choose(&asked).copied()) {
                    self.picker.release_one(peer, span);
                    if let Block::Asked(askers) = self.block(span) {
                        askers.remove(&peer);
                        if askers.is_empty() {
                            *self.block(span) = Block::Free;
                        }
                    }
                }
            }
            4 => {
                let piece = PieceIndex(self.rng.below(pieces));
                if let Some(peer) = self.any_peer() {
                    if self.peers.get_mut(&peer).is_some_and(|has| has.insert(piece)) {
                        self.picker.peer_has(piece);
                    }
                }
            }
            5 => {
                // Whatever a peer may send.
                let begin = self.rng.below(5) * BLOCK_LENGTH + self.rng.below(4) / 3;
                let length = BLOCK_LENGTH - self.rng.below(4) / 3;
                let span = Span { piece: PieceIndex(self.rng.below(pieces + 1)), begin, length };
                self.arrive(Peer(self.next_peer + 1), span);
            }
            6..10 => {
                if let Some(peer) = self.any_peer() {
                    self.pick(peer);
                }
            }
            10..15 => {
                if let Some(span) = self.rng.choose(&asked).copied() {
                    let Block::Asked(askers) = self.block(span).clone() else { unreachable!() };
                    let askers: Vec<Peer> = askers.into_iter().collect();
                    let peer = *self.rng.choose(&askers).unwrap();
                    self.arrive(peer, span);
                }
            }
            _ => {
                let arrived = self.spans(|b| *b == Block::Arrived);
                if let Some(span) = self.rng.choose(&arrived).copied() {
                    self.store(span);
                }
            }
        }
    }

    fn check(&self) {
        let p = &self.picker;
        let mut by_peer: BTreeMap<Peer, BTreeSet<(PieceIndex, u32)>> = BTreeMap::new();
        for piece in (0..self.pieces()).map(PieceIndex) {
            let ours = self.ours[piece.as_usize()];
            assert_eq!(p.have().contains(piece), ours);
            assert_eq!(p.availability(piece) as usize, self.holders(piece));
            let suspect = self.suspect[piece.as_usize()];
            assert_eq!(p.is_suspect(piece), suspect, "piece {piece}");
            assert_eq!(p.availability.is_listed(piece), self.is_untouched(piece) && !suspect, "piece {piece}");
            assert_eq!(p.begun.contains_key(&piece), !ours && !self.is_untouched(piece) && !suspect, "piece {piece}");
            let blocks = &self.blocks[piece.as_usize()];
            let open = !ours && !suspect && !self.is_untouched(piece) && blocks.contains(&Block::Free);
            assert_eq!(p.open.set.contains(piece), open);
            assert_eq!(p.open.list.contains(&piece), open);
            let Some(progress) = p.progress(piece) else { continue };
            for (number, block) in (0u32..).zip(blocks) {
                let askers: BTreeSet<Peer> = progress.asked_for(number).iter().map(|(_, peer)| *peer).collect();
                let seen = match progress.state(number).unwrap() {
                    State::Missing => Block::Free,
                    State::Asked => Block::Asked(askers.clone()),
                    State::Arrived => Block::Arrived,
                    State::Stored => Block::Stored,
                };
                assert_eq!(&seen, block, "block {number} of piece {piece}");
                askers.iter().for_each(|peer| {
                    by_peer.entry(*peer).or_default().insert((piece, number));
                });
            }
        }
        assert_eq!(p.requests(), by_peer.values().map(BTreeSet::len).sum::<usize>());
        for (peer, has) in &self.peers {
            let listed = p.peers.get(peer).map(|asked| asked.blocks.iter().copied().collect::<BTreeSet<_>>());
            assert_eq!(listed.unwrap_or_default(), by_peer.remove(peer).unwrap_or_default());
            assert_eq!(p.wants_from(has), has.iter().any(|piece| !self.ours[piece.as_usize()]));
        }
        assert!(by_peer.is_empty(), "peers that are gone are asked: {by_peer:?}");
    }

    /// Lets the peers that are there, and one that has everything, send what they are asked for until all is there.
    fn finish(&mut self) {
        self.join(Bitfield::full(self.pieces()));
        for _ in 0..100_000 {
            if self.picker.is_complete() {
                assert!(self.ours.iter().all(|o| *o) && self.picker.begun.is_empty());
                assert!(!self.suspect.contains(&true) && self.picker.requests() == 0);
                return;
            }
            for peer in self.peers.keys().copied().collect::<Vec<_>>() {
                self.pick(peer);
            }
            let asked = self.spans(|b| matches!(b, Block::Asked(_)));
            for span in asked {
                if let Block::Asked(askers) = self.block(span).clone() {
                    self.arrive(*askers.first().unwrap(), span);
                }
            }
            for span in self.spans(|b| *b == Block::Arrived) {
                self.store(span);
            }
            self.check();
        }
        panic!("the download does not end");
    }
}

#[test]
fn the_picker_does_what_a_plain_model_does_and_every_download_ends() {
    for seed in 0..60 {
        let outcome = std::panic::catch_unwind(|| {
            let mut model = Model::new(seed);
            for _ in 0..400 {
                model.step();
                model.check();
            }
            model.finish();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn without_faults_every_block_is_asked_for_once_before_the_end_game() {
    let geometry = Geometry::new(3_000_000, 100_000).unwrap();
    let mut picker = Picker::new(geometry, &Bitfield::new(30), Rng::new(8));
    let all = Bitfield::full(30);
    (0..4).for_each(|_| picker.peer_joined(&all));
    let mut asked = BTreeSet::new();
    let mut out = Vec::new();
    while !picker.is_end_game() {
        for peer in 0..4 {
            out.clear();
            // No more than is left: what exceeds it would be the end game's.
            if !picker.is_end_game() {
                picker.pick(Peer(peer), &all, 3.min(210 - asked.len()), &mut out);
            }
            assert!(out.iter().all(|span| asked.insert(*span)), "a block was asked for twice");
        }
    }
    assert_eq!(asked.iter().map(|s| u64::from(s.length)).sum::<u64>(), geometry.total_length());
}

#[test]
fn the_same_seed_and_calls_give_the_same_choices() {
    let run = || {
        let geometry = Geometry::new(10 << 20, 1 << 18).unwrap();
        let mut picker = Picker::new(geometry, &Bitfield::new(40), Rng::new(21));
        let all = Bitfield::full(40);
        let mut out = Vec::new();
        (0..6).for_each(|peer| {
            picker.peer_joined(&all);
            picker.pick(Peer(peer), &all, 70 + peer as usize, &mut out);
            picker.release(Peer(peer / 2));
        });
        (0..6).for_each(|peer| picker.pick(Peer(peer), &all, 200, &mut out));
        out
    };
    assert_eq!(run(), run());
}
