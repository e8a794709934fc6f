//! How many peers have each piece, and which piece that nobody has begun is the rarest.

use crate::machine::Rng;
use crate::proto::bitfield::Bitfield;
use crate::proto::id::PieceIndex;
use std::collections::VecDeque;

/// Pieces looked at in order of rarity before the peer's own pieces are walked instead.
const PROBES: usize = 256;
/// Pieces of a walk that are compared.
const COMPARED: usize = 1024;
/// Where more than one in so many of the listed pieces change their count, all are grouped anew.
const REGROUP: usize = 8;

const NOWHERE: u32 = u32::MAX;

/// Counts of peers per piece, and the pieces that are to be begun, grouped by that count.
///
/// What it tracks:
///
/// - `counts[piece] + shift` is the number of peers that have the piece. The sum is what counts: a peer that has most pieces
///   raises `shift` and lowers the counts of the few that it lacks, so a seed costs nothing, whether it joined as one or became
///   one. Numbers may be below zero and wrap around; only their differences mean something.
/// - `order` holds every *listed* piece (to be begun) once, rarest group first; within a group the order means nothing.
///   `place[piece]` is its position there. Group `g` is of count `base + g` and begins at `starts[g]`.
///
/// ```text
///   count   base          base+1   base+2 (empty)   base+3
///   order | 7 2 9 4     | 1 3    |                | 0 5 8 6 |
///   starts  0             4        6                6
/// ```
///
/// One peer more for a piece swaps it with the last of its group and moves the border: constant work. To list or unlist a piece
/// moves one piece per group, of which there are no more than peers.
#[derive(Debug)]
pub(super) struct Availability {
    counts: Vec<i32>,
    shift: i32,
    listed: Bitfield,
    order: Vec<u32>,
    place: Vec<u32>,
    starts: VecDeque<u32>,
    base: i32,
    #[cfg(test)]
    pub(super) work: u64,
}

impl Availability {
    /// Makes the counts of no peers, with all pieces listed that are not in `have`.
    pub(super) fn new(have: &Bitfield) -> Self {
        let order: Vec<u32> = have.iter_missing().map(|p| p.0).collect();
        let mut place = vec![NOWHERE; have.pieces() as usize];
        let mut listed = Bitfield::new(have.pieces());
        for (at, piece) in (0u32..).zip(&order) {
            place[*piece as usize] = at;
            listed.insert(PieceIndex(*piece));
        }
        Self {
            counts: vec![0; have.pieces() as usize],
            shift: 0,
            listed,
            order,
            place,
            starts: VecDeque::from([0]),
            base: 0,
            #[cfg(test)]
            work: 0,
        }
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
        if many as usize <= self.order.len() / REGROUP {
            pieces.for_each(|piece| if by > 0 { self.raise(piece) } else { self.lower(piece) });
            return;
        }
        for piece in pieces {
            if let Some(count) = self.counts.get_mut(piece.as_usize()) {
                *count = count.wrapping_add(by);
            }
        }
        self.regroup();
    }

    /// Makes the groups anew from the counts: cheaper than to move most pieces one by one.
    fn regroup(&mut self) {
        let counts = || self.counts.iter().zip(&self.place).filter(|(_, at)| **at != NOWHERE).map(|(count, _)| *count);
        // Counts are compared by their distance from one of them, so that they may wrap.
        let Some(origin) = counts().next() else { return };
        let lowest = counts().map(|c| c.wrapping_sub(origin)).min().unwrap_or(0);
        self.base = origin.wrapping_add(lowest);
        let mut sizes: Vec<u32> = Vec::new();
        for count in counts() {
            let group = self.group(count);
            if sizes.len() <= group {
                sizes.resize(group + 1, 0);
            }
            sizes[group] += 1;
        }
        let begins = sizes.iter().scan(0, |sum, size| Some(std::mem::replace(sum, *sum + size)));
        self.starts = begins.collect();
        let mut next = self.starts.clone();
        for ((piece, count), place) in (0u32..).zip(&self.counts).zip(&mut self.place).filter(|(_, at)| **at != NOWHERE)
        {
            let at = &mut next[count.wrapping_sub(self.base) as usize];
            self.order[*at as usize] = piece;
            *place = *at;
            *at += 1;
        }
    }

    /// Gives how many peers have a piece.
    pub(super) fn of(&self, piece: PieceIndex) -> u32 {
        let count = self.counts.get(piece.as_usize()).map_or(0, |c| c.wrapping_add(self.shift));
        u32::try_from(count).unwrap_or(0)
    }

    /// Says whether some peer has a listed piece.
    pub(super) fn offers_any(&self) -> bool {
        self.starts.get(self.first_offered()).is_some_and(|s| (*s as usize) < self.order.len())
    }

    /// Counts one peer more for a piece.
    pub(super) fn raise(&mut self, piece: PieceIndex) {
        let Some(count) = self.counts.get_mut(piece.as_usize()) else { return };
        let old = *count;
        *count = old.wrapping_add(1);
        if self.is_listed(piece) {
            let group = self.group(old);
            let last = self.end(group) - 1;
            self.swap(self.place[piece.as_usize()], last);
            match self.starts.get_mut(group + 1) {
                Some(start) => *start = last,
                None => self.starts.push_back(last),
            }
            self.trim();
        }
    }

    /// Counts one peer less for a piece.
    pub(super) fn lower(&mut self, piece: PieceIndex) {
        let Some(count) = self.counts.get_mut(piece.as_usize()) else { return };
        let old = *count;
        *count = old.wrapping_sub(1);
        if self.is_listed(piece) {
            let group = self.group(old);
            self.swap(self.place[piece.as_usize()], self.starts[group]);
            self.starts[group] += 1;
            if group == 0 {
                self.starts.push_front(0);
                self.base = self.base.wrapping_sub(1);
            }
            self.trim();
        }
    }

    /// Says whether a piece is to be begun.
    pub(super) fn is_listed(&self, piece: PieceIndex) -> bool {
        self.listed.contains(piece)
    }

    /// Lists a piece: it is to be begun.
    pub(super) fn list(&mut self, piece: PieceIndex) {
        if !self.listed.insert(piece) {
            return;
        }
        let count = self.counts[piece.as_usize()];
        if self.order.is_empty() {
            self.starts = VecDeque::from([0]);
            self.base = count;
        }
        while count.wrapping_sub(self.base) < 0 {
            self.starts.push_front(0);
            self.base = self.base.wrapping_sub(1);
        }
        let group = self.group(count);
        while self.starts.len() <= group {
            self.starts.push_back(self.order.len() as u32);
        }
        // The room at the end travels down to the group: each later group gives its first place and takes one behind its last.
        let mut room = self.order.len() as u32;
        self.order.push(piece.0);
        for later in (group + 1..self.starts.len()).rev() {
            let first = self.starts[later];
            // An empty group has nothing to give.
            if first != room {
                self.put(self.order[first as usize], room);
            }
            self.starts[later] = first + 1;
            room = first;
        }
        self.put(piece.0, room);
    }

    /// Unlists a piece: it is begun, or not needed.
    pub(super) fn unlist(&mut self, piece: PieceIndex) {
        if !self.listed.remove(piece) {
            return;
        }
        let group = self.group(self.counts[piece.as_usize()]);
        // The gap travels up to the end: each group fills it with its last.
        let mut gap = self.place[piece.as_usize()];
        for later in group..self.starts.len() {
            let last = self.end(later) - 1;
            // An empty group, or one whose last is the gap, has nothing to give.
            if last != gap {
                self.put(self.order[last as usize], gap);
            }
            if later > group {
                self.starts[later] -= 1;
            }
            gap = last;
        }
        self.order.pop();
        self.place[piece.as_usize()] = NOWHERE;
        self.trim();
    }

    /// Gives the rarest listed piece among those that a peer has; of several, each is as likely as the others.
    ///
    /// Looks at no more than 256 pieces in order of rarity. Where the peer has none of them its own pieces are walked instead,
    /// 64 at a step, and the first 1024 that are listed, from a random one on, are compared: a peer with more of them than that
    /// may be given a piece that is not its very rarest.
    pub(super) fn rarest(&mut self, has: &Bitfield, rng: &mut Rng) -> Option<PieceIndex> {
        let mut probes = 0;
        for group in self.first_offered()..self.starts.len() {
            let end = self.end(group);
            // A shuffle that stops at the first piece that the peer has: all that it has come first equally often.
            for at in self.starts[group]..end {
                if probes == PROBES {
                    return self.walk(has, rng);
                }
                probes += 1;
                self.count_work();
                self.swap(at, at + rng.below(end - at));
                let piece = PieceIndex(self.order[at as usize]);
                if has.contains(piece) {
                    return Some(piece);
                }
            }
        }
        None
    }

    fn walk(&mut self, has: &Bitfield, rng: &mut Rng) -> Option<PieceIndex> {
        let words = self.listed.as_bytes().len().div_ceil(8);
        let start = rng.below(words as u32) as usize;
        let mut best: Option<(u32, PieceIndex)> = None;
        let (mut compared, mut ties) = (0, 1);
        for word in (start..words).chain(0..start) {
            self.count_work();
            for piece in common(&self.listed, has, word) {
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

    /// Gives the first group of pieces that at least one peer has.
    fn first_offered(&self) -> usize {
        usize::try_from(1i32.wrapping_sub(self.base.wrapping_add(self.shift))).unwrap_or(0)
    }

    fn group(&self, count: i32) -> usize {
        usize::try_from(count.wrapping_sub(self.base)).expect("no listed piece is below the first group")
    }

    fn end(&self, group: usize) -> u32 {
        self.starts.get(group + 1).copied().unwrap_or(self.order.len() as u32)
    }

    fn put(&mut self, piece: u32, at: u32) {
        self.order[at as usize] = piece;
        self.place[piece as usize] = at;
    }

    fn swap(&mut self, a: u32, b: u32) {
        let (at_a, at_b) = (self.order[a as usize], self.order[b as usize]);
        self.put(at_a, b);
        self.put(at_b, a);
    }

    /// Lets go of empty groups at both ends.
    fn trim(&mut self) {
        while self.starts.len() > 1 && self.starts[1] == 0 {
            self.starts.pop_front();
            self.base = self.base.wrapping_add(1);
        }
        while self.starts.len() > 1 && self.starts.back().is_some_and(|s| *s as usize == self.order.len()) {
            self.starts.pop_back();
        }
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
        assert_eq!(a.order.len() as u32, a.listed.count());
        for (at, piece) in a.order.iter().enumerate() {
            assert_eq!(a.place[*piece as usize] as usize, at);
            assert!(a.is_listed(PieceIndex(*piece)));
            let group = a.group(a.counts[*piece as usize]);
            assert!((a.starts[group]..a.end(group)).contains(&(at as u32)), "piece {piece} is not in its group: {a:?}");
        }
    }

    #[test]
    fn counts_and_groups_agree_with_a_plain_list_of_peers_whatever_happens() {
        for seed in 0..30 {
            let mut rng = Rng::new(seed);
            let pieces = 1 + rng.below(100);
            let mut a = Availability::new(&Bitfield::new(pieces));
            let mut peers: Vec<Bitfield> = Vec::new();
            for _ in 0..400 {
                let piece = PieceIndex(rng.below(pieces));
                match rng.below(7) {
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
                    2 => a.list(piece),
                    3 => a.unlist(piece),
                    _ if !peers.is_empty() => {
                        let which = rng.below(peers.len() as u32) as usize;
                        if peers[which].insert(piece) {
                            a.raise(piece);
                        }
                    }
                    _ => {}
                }
                check(&a);
                assert!(a.starts.len() <= peers.len() + 1, "more groups than peers");
                for p in (0..pieces).map(PieceIndex) {
                    assert_eq!(a.of(p) as usize, peers.iter().filter(|has| has.contains(p)).count());
                }
                assert_eq!(a.offers_any(), peers.iter().any(|has| has.iter().any(|p| a.is_listed(p))));
                if let Some(has) = peers.first() {
                    let least = has.iter().filter(|p| a.is_listed(*p)).map(|p| a.of(p)).min();
                    let found = a.rarest(has, &mut rng);
                    assert_eq!(found.map(|p| a.of(p)), least);
                    assert!(found.is_none_or(|p| has.contains(p) && a.is_listed(p)));
                    check(&a);
                }
            }
        }
    }

    #[test]
    fn equally_rare_pieces_are_equally_likely_also_for_a_peer_that_lacks_some() {
        let has = set(1000, (0..1000).filter(|p| p % 3 == 0 && *p < 300));
        let mut a = Availability::new(&Bitfield::new(1000));
        a.add(&Bitfield::full(1000));
        a.add(&has);
        // A hundred pieces of this peer are held by two peers, 900 by one; make them all of one group.
        a.subtract(&has);
        let mut rng = Rng::new(11);
        let mut seen = [0u32; 1000];
        for _ in 0..100_000 {
            seen[a.rarest(&has, &mut rng).unwrap().as_usize()] += 1;
        }
        let square: f64 = seen.iter().filter(|n| **n > 0).map(|n| (f64::from(*n) - 1000.0).powi(2) / 1000.0).sum();
        assert_eq!(seen.iter().filter(|n| **n > 0).count(), 100);
        // 99 degrees of freedom: mean 99, deviation 14.
        assert!(square < 99.0 + 6.0 * 14.1, "{square}");
    }

    #[test]
    fn two_million_pieces_cost_a_poor_peer_a_bounded_search() {
        const PIECES: u32 = 1 << 21;
        let mut a = Availability::new(&Bitfield::new(PIECES));
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
            assert_eq!(a.rarest(has, &mut rng).is_some(), !has.is_empty());
            assert!(a.work <= most, "{has:?}: {} steps", a.work);
        }
    }
}
