//! How many peers have each piece, and which piece that nobody has begun is the rarest.

use super::order::{NOWHERE, Order};
use crate::machine::Rng;
use crate::proto::bitfield::Bitfield;
use crate::proto::id::PieceIndex;

/// Pieces looked at in order of rarity before the peer's own pieces are walked instead.
const PROBES: usize = 256;
/// Pieces of a walk that are compared.
const COMPARED: usize = 1024;
/// Where more than one in so many of the listed pieces change their count, all are grouped anew.
const REGROUP: usize = 8;

/// How many priorities there are that a wanted piece may have.
pub(super) const CLASSES: usize = 3;

/// Counts of peers per piece, and the pieces that are to be begun, grouped by that count within each class of priority.
///
/// What it tracks:
///
/// - `counts[piece] + shift` is the number of peers that have the piece. The sum is what counts: a peer that has most pieces
///   raises `shift` and lowers the counts of the few that it lacks, so a seed costs nothing, whether it joined as one or became
///   one. Numbers may be below zero and wrap around; only their differences mean something.
/// - Every *listed* piece (to be begun) is in the [`Order`] of one class, at position `place[piece]`.
///
/// One peer more for a piece swaps it with the last of its group and moves the border: constant work. To list or unlist a piece
/// moves one piece per group, of which there are no more than peers.
#[derive(Debug)]
pub(super) struct Availability {
    counts: Vec<i32>,
    shift: i32,
    place: Vec<u32>,
    classes: [Order; CLASSES],
    #[cfg(test)]
    pub(super) work: u64,
}

impl Availability {
    /// Makes the counts of no peers, with all pieces listed in a class that are not in `have`.
    pub(super) fn new(have: &Bitfield, class: usize) -> Self {
        let order = || Order::new(have.pieces());
        let mut new = Self {
            counts: vec![0; have.pieces() as usize],
            shift: 0,
            place: vec![NOWHERE; have.pieces() as usize],
            classes: [order(), order(), order()],
            #[cfg(test)]
            work: 0,
        };
        new.list_anew(|piece| (!have.contains(piece)).then_some(class));
        new
    }

    /// Lists every piece in the class that is given for it, or not at all. Work: some sweeps over all pieces.
    pub(super) fn list_anew(&mut self, class: impl Fn(PieceIndex) -> Option<usize>) {
        let pieces = self.counts.len() as u32;
        self.classes.iter_mut().for_each(|order| *order = Order::new(pieces));
        for (piece, place) in (0u32..).zip(&mut self.place) {
            *place = NOWHERE;
            if let Some(order) = class(PieceIndex(piece)).and_then(|class| self.classes.get_mut(class)) {
                *place = order.order.len() as u32;
                order.order.push(piece);
                order.listed.insert(PieceIndex(piece));
            }
        }
        self.classes.iter_mut().for_each(|order| order.regroup(&self.counts, &mut self.place));
    }

    /// Counts a peer in.
    pub(super) fn add(&mut self, has: &Bitfield) {
        self.count(has, 1);
    }

    /// Counts a peer out.
    pub(super) fn subtract(&mut self, has: &Bitfield) {
        self.count(has, -1);
    }

    /// Changes the counts of a set of pieces by one, up or down: of the set, or of all pieces and back for those outside it.
    fn count(&mut self, set: &Bitfield, by: i32) {
        if set.count() <= set.pieces() / 2 {
            self.count_each(set.iter(), set.count(), by);
        } else {
            self.shift = self.shift.wrapping_add(by);
            if !set.is_full() {
                self.count_each(set.iter_missing(), set.pieces() - set.count(), -by);
            }
        }
    }

    fn count_each(&mut self, pieces: impl Iterator<Item = PieceIndex>, many: u32, by: i32) {
        let listed: usize = self.classes.iter().map(|order| order.order.len()).sum();
        if many as usize <= listed / REGROUP {
            pieces.for_each(|piece| if by > 0 { self.raise(piece) } else { self.lower(piece) });
            return;
        }
        for piece in pieces {
            if let Some(count) = self.counts.get_mut(piece.as_usize()) {
                *count = count.wrapping_add(by);
            }
        }
        self.classes.iter_mut().for_each(|order| order.regroup(&self.counts, &mut self.place));
    }

    /// Gives how many peers have a piece.
    pub(super) fn of(&self, piece: PieceIndex) -> u32 {
        let count = self.counts.get(piece.as_usize()).map_or(0, |c| c.wrapping_add(self.shift));
        u32::try_from(count).unwrap_or(0)
    }

    /// Says whether some peer has a listed piece.
    pub(super) fn offers_any(&self) -> bool {
        self.classes.iter().any(|order| {
            order.starts.get(order.first_offered(self.shift)).is_some_and(|s| (*s as usize) < order.order.len())
        })
    }

    /// Counts one peer more for a piece.
    pub(super) fn raise(&mut self, piece: PieceIndex) {
        let Some(count) = self.counts.get_mut(piece.as_usize()) else { return };
        let old = *count;
        *count = old.wrapping_add(1);
        if let Some(order) = self.classes.iter_mut().find(|order| order.listed.contains(piece)) {
            order.raise(&mut self.place, piece, old);
        }
    }

    /// Counts one peer less for a piece.
    pub(super) fn lower(&mut self, piece: PieceIndex) {
        let Some(count) = self.counts.get_mut(piece.as_usize()) else { return };
        let old = *count;
        *count = old.wrapping_sub(1);
        if let Some(order) = self.classes.iter_mut().find(|order| order.listed.contains(piece)) {
            order.lower(&mut self.place, piece, old);
        }
    }

    /// Says whether a piece is to be begun.
    #[cfg(test)]
    pub(super) fn is_listed(&self, piece: PieceIndex) -> bool {
        self.classes.iter().any(|order| order.listed.contains(piece))
    }

    /// Lists a piece in a class, if it is in none: it is to be begun.
    pub(super) fn list(&mut self, piece: PieceIndex, class: usize) {
        if self.classes.iter().any(|order| order.listed.contains(piece)) {
            return;
        }
        if let (Some(order), Some(count)) = (self.classes.get_mut(class), self.counts.get(piece.as_usize())) {
            order.list(&mut self.place, piece, *count);
        }
    }

    /// Unlists a piece: it is begun, or not needed.
    pub(super) fn unlist(&mut self, piece: PieceIndex) {
        let Some(count) = self.counts.get(piece.as_usize()) else { return };
        if let Some(order) = self.classes.iter_mut().find(|order| order.listed.contains(piece)) {
            order.unlist(&mut self.place, piece, *count);
        }
    }

    /// Gives the rarest listed piece of a class among those that a peer has; of several, each is as likely as the others.
    ///
    /// Looks at no more than 256 pieces in order of rarity. Where the peer has none of them its own pieces are walked instead,
    /// 64 at a step, and the first 1024 that are listed, from a random one on, are compared: a peer with more of them than that
    /// may be given a piece that is not its very rarest.
    pub(super) fn rarest(&mut self, class: usize, has: &Bitfield, rng: &mut Rng) -> Option<PieceIndex> {
        let mut probes = 0;
        let order = self.classes.get(class)?;
        for group in order.first_offered(self.shift)..order.starts.len() {
            let (start, end) = (self.classes[class].starts[group], self.classes[class].end(group));
            // A shuffle that stops at the first piece that the peer has: all that it has come first equally often.
            for at in start..end {
                if probes == PROBES {
                    return self.walk(class, has, rng);
                }
                probes += 1;
                self.count_work();
                let order = &mut self.classes[class];
                order.swap(&mut self.place, at, at + rng.below(end - at));
                let piece = PieceIndex(order.order[at as usize]);
                if has.contains(piece) {
                    return Some(piece);
                }
            }
        }
        None
    }

    fn walk(&mut self, class: usize, has: &Bitfield, rng: &mut Rng) -> Option<PieceIndex> {
        let words = has.as_bytes().len().div_ceil(8);
        let start = rng.below(words as u32) as usize;
        let mut best: Option<(u32, PieceIndex)> = None;
        let (mut compared, mut ties) = (0, 1);
        for word in (start..words).chain(0..start) {
            self.count_work();
            for piece in common(&self.classes[class].listed, has, word) {
                self.count_work();
                let peers = self.of(piece);
                if best.is_none_or(|(least, _)| peers < least) {
                    (best, ties) = (Some((peers, piece)), 1);
                } else if best.is_some_and(|(least, _)| peers == least) {
                    ties += 1;
                    if rng.below(ties) == 0 {
                        best = Some((peers, piece));
                    }
                }
                compared += 1;
            }
            if compared >= COMPARED {
                break;
            }
        }
        best.map(|(_, piece)| piece)
    }

    /// Gives the first listed piece of a class, in order, that a peer has, and is not before the 64 that begin with `64 * from`; and
    /// moves `from` there. Looks at 64 pieces in a step.
    pub(super) fn first(&mut self, class: usize, has: &Bitfield, from: &mut usize) -> Option<PieceIndex> {
        let words = has.as_bytes().len().div_ceil(8);
        let order = self.classes.get_mut(class)?;
        if order.order.is_empty() {
            return None;
        }
        order.skip_empty(words);
        *from = order.from.max(*from);
        while *from < words {
            self.count_work();
            if let Some(piece) = common(&self.classes[class].listed, has, *from).next() {
                return Some(piece);
            }
            *from += 1;
        }
        None
    }

    fn count_work(&mut self) {
        #[cfg(test)]
        {
            self.work += 1;
        }
    }
}

/// Gives the pieces that both sets have, of the 64 from `64 * word` on.
pub(super) fn common(a: &Bitfield, b: &Bitfield, word: usize) -> impl Iterator<Item = PieceIndex> + use<> {
    let bits = |set: &Bitfield| {
        let bytes = set.as_bytes().get(word * 8..).unwrap_or_default();
        let mut eight = [0; 8];
        eight.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        u64::from_be_bytes(eight)
    };
    let mut rest = bits(a) & bits(b);
    std::iter::from_fn(move || {
        let bit = rest.leading_zeros();
        (bit < 64).then(|| {
            rest &= !(1 << (63 - bit));
            PieceIndex(word as u32 * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pieces: u32, members: impl IntoIterator<Item = u32>) -> Bitfield {
        let mut set = Bitfield::new(pieces);
        members.into_iter().for_each(|p| {
            set.insert(PieceIndex(p));
        });
        set
    }

    /// Checks that the groups are what the counts say.
    fn check(a: &Availability) {
        for o in &a.classes {
            assert_eq!(o.order.len() as u32, o.listed.count());
            assert!(o.listed.iter().all(|p| p.as_usize() / 64 >= o.from));
            for (at, piece) in o.order.iter().enumerate() {
                assert_eq!(a.place[*piece as usize] as usize, at);
                assert!(o.listed.contains(PieceIndex(*piece)));
                let group = o.group(a.counts[*piece as usize]);
                let places = o.starts[group]..o.end(group);
                assert!(places.contains(&(at as u32)), "piece {piece} is not in its group: {a:?}");
            }
        }
    }

    #[test]
    fn counts_and_groups_agree_with_a_plain_list_of_peers_whatever_happens() {
        for seed in 0..30 {
            let mut rng = Rng::new(seed);
            let pieces = 1 + rng.below(100);
            let mut a = Availability::new(&Bitfield::new(pieces), 1);
            let mut peers: Vec<Bitfield> = Vec::new();
            for _ in 0..400 {
                let piece = PieceIndex(rng.below(pieces));
                match rng.below(8) {
                    0 => {
                        let odds = rng.below(11);
                        let has = set(pieces, (0..pieces).filter(|_| rng.below(10) < odds).collect::<Vec<_>>());
                        a.add(&has);
                        peers.push(has);
                    }
                    1 if !peers.is_empty() => {
                        let gone = peers.swap_remove(rng.below(peers.len() as u32) as usize);
                        a.subtract(&gone);
                    }
                    2 => a.list(piece, rng.below(3) as usize),
                    3 => a.unlist(piece),
                    4 if rng.below(10) == 0 => {
                        let classes: Vec<_> = (0..pieces).map(|_| rng.below(4).checked_sub(1)).collect();
                        a.list_anew(|p| classes[p.as_usize()].map(|class| class as usize));
                    }
                    _ if !peers.is_empty() => {
                        let which = rng.below(peers.len() as u32) as usize;
                        if peers[which].insert(piece) {
                            a.raise(piece);
                        }
                    }
                    _ => {}
                }
                check(&a);
                assert!(a.classes.iter().all(|o| o.starts.len() <= peers.len() + 1), "more groups than peers");
                for p in (0..pieces).map(PieceIndex) {
                    assert_eq!(a.of(p) as usize, peers.iter().filter(|has| has.contains(p)).count());
                }
                assert_eq!(a.offers_any(), peers.iter().any(|has| has.iter().any(|p| a.is_listed(p))));
                if let Some(has) = peers.first() {
                    let class = rng.below(3) as usize;
                    let listed = a.classes[class].listed.clone();
                    let least = has.iter().filter(|p| listed.contains(*p)).map(|p| a.of(p)).min();
                    let found = a.rarest(class, has, &mut rng);
                    assert_eq!(found.map(|p| a.of(p)), least);
                    assert!(found.is_none_or(|p| has.contains(p) && listed.contains(p)));
                    assert_eq!(a.first(class, has, &mut 0), has.iter().find(|p| listed.contains(*p)));
                    check(&a);
                }
            }
        }
    }

    #[test]
    fn equally_rare_pieces_are_equally_likely_also_for_a_peer_that_lacks_some() {
        let has = set(1000, (0..1000).filter(|p| p % 3 == 0 && *p < 300));
        let mut a = Availability::new(&Bitfield::new(1000), 1);
        a.add(&Bitfield::full(1000));
        a.add(&has);
        // A hundred pieces of this peer are held by two peers, 900 by one; make them all of one group.
        a.subtract(&has);
        let mut rng = Rng::new(11);
        let mut seen = [0u32; 1000];
        for _ in 0..100_000 {
            seen[a.rarest(1, &has, &mut rng).unwrap().as_usize()] += 1;
        }
        let square: f64 = seen.iter().filter(|n| **n > 0).map(|n| (f64::from(*n) - 1000.0).powi(2) / 1000.0).sum();
        assert_eq!(seen.iter().filter(|n| **n > 0).count(), 100);
        // 99 degrees of freedom: mean 99, deviation 14.
        assert!(square < 99.0 + 6.0 * 14.1, "{square}");
    }

    #[test]
    fn two_million_pieces_cost_a_poor_peer_a_bounded_search() {
        const PIECES: u32 = 1 << 21;
        let mut a = Availability::new(&Bitfield::new(PIECES), 1);
        let mut rng = Rng::new(5);
        a.add(&Bitfield::full(PIECES));
        let poor = set(PIECES, [PIECES - 1]);
        a.add(&poor);
        let random: Vec<u8> = (0..PIECES / 8).map(|_| rng.next_u64() as u8).collect();
        let half = Bitfield::from_bytes(&random, PIECES).unwrap();
        a.add(&half);
        for (has, most) in [
            (&poor, PROBES as u64 + u64::from(PIECES) / 64 + 1),
            // The million pieces that it lacks are the rarest.
            (&half, (PROBES + 1 + COMPARED + 64 + COMPARED) as u64),
            (&Bitfield::full(PIECES), 1),
            (&Bitfield::new(PIECES), PROBES as u64 + u64::from(PIECES) / 64),
        ] {
            a.work = 0;
            assert_eq!(a.rarest(1, has, &mut rng).is_some(), !has.is_empty());
            assert!(a.work <= most, "{has:?}: {} steps", a.work);
            // In order: one sweep for all that a peer is asked for at a time.
            (a.work, a.classes[1].from) = (0, 0);
            let mut from = 0;
            for _ in 0..500 {
                if let Some(piece) = a.first(1, has, &mut from) {
                    a.unlist(piece);
                }
            }
            assert!(a.work <= 500 + u64::from(PIECES) / 64, "{has:?}: {} steps in order", a.work);
            a.list_anew(|_| Some(1));
        }
    }
}
