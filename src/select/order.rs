//! The pieces that are to be begun, rarest first.

use super::availability::common;
use crate::proto::bitfield::Bitfield;
use crate::proto::id::PieceIndex;
use std::collections::VecDeque;

/// The place of a piece that is not listed.
pub(super) const NOWHERE: u32 = u32::MAX;

/// The listed pieces of one class.
///
/// What it tracks: `order` holds each of them once, rarest group first; within a group the order means nothing. Group `g` is of count
/// `base + g` and begins at `starts[g]`. No word of `listed` (64 pieces) before `from` has any.
///
/// ```text
///   count   base          base+1   base+2 (empty)   base+3
///   order | 7 2 9 4     | 1 3    |                | 0 5 8 6 |
///   starts  0             4        6                6
/// ```
#[derive(Debug)]
pub(super) struct Order {
    pub(super) listed: Bitfield,
    pub(super) order: Vec<u32>,
    pub(super) starts: VecDeque<u32>,
    base: i32,
    pub(super) from: usize,
}

impl Order {
    pub(super) fn new(pieces: u32) -> Self {
        Self { listed: Bitfield::new(pieces), order: Vec::new(), starts: VecDeque::from([0]), base: 0, from: 0 }
    }

    /// Makes the groups anew from the counts: cheaper than to move most pieces one by one.
    pub(super) fn regroup(&mut self, counts: &[i32], place: &mut [u32]) {
        let old = std::mem::take(&mut self.order);
        let count_of = |piece: &u32| counts[*piece as usize];
        // Counts are compared by their distance from one of them, so that they may wrap.
        let Some(origin) = old.first().map(count_of) else { return };
        let lowest = old.iter().map(|piece| count_of(piece).wrapping_sub(origin)).min().unwrap_or(0);
        self.base = origin.wrapping_add(lowest);
        let mut sizes: Vec<u32> = Vec::new();
        for piece in &old {
            let group = self.group(count_of(piece));
            if sizes.len() <= group {
                sizes.resize(group + 1, 0);
            }
            sizes[group] += 1;
        }
        let begins = sizes.iter().scan(0, |sum, size| Some(std::mem::replace(sum, *sum + size)));
        self.starts = begins.collect();
        let mut next = self.starts.clone();
        self.order = vec![0; old.len()];
        for piece in old {
            let at = &mut next[self.group(counts[piece as usize])];
            self.order[*at as usize] = piece;
            place[piece as usize] = *at;
            *at += 1;
        }
    }

    pub(super) fn raise(&mut self, place: &mut [u32], piece: PieceIndex, old: i32) {
        let group = self.group(old);
        let last = self.end(group) - 1;
        self.swap(place, place[piece.as_usize()], last);
        match self.starts.get_mut(group + 1) {
            Some(start) => *start = last,
            None => self.starts.push_back(last),
        }
        self.trim();
    }

    pub(super) fn lower(&mut self, place: &mut [u32], piece: PieceIndex, old: i32) {
        let group = self.group(old);
        self.swap(place, place[piece.as_usize()], self.starts[group]);
        self.starts[group] += 1;
        if group == 0 {
            self.starts.push_front(0);
            self.base = self.base.wrapping_sub(1);
        }
        self.trim();
    }

    pub(super) fn list(&mut self, place: &mut [u32], piece: PieceIndex, count: i32) {
        self.listed.insert(piece);
        self.from = self.from.min(piece.as_usize() / 64);
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
                self.put(place, self.order[first as usize], room);
            }
            self.starts[later] = first + 1;
            room = first;
        }
        self.put(place, piece.0, room);
    }

    pub(super) fn unlist(&mut self, place: &mut [u32], piece: PieceIndex, count: i32) {
        self.listed.remove(piece);
        let group = self.group(count);
        // The gap travels up to the end: each group fills it with its last.
        let mut gap = place[piece.as_usize()];
        for later in group..self.starts.len() {
            let last = self.end(later) - 1;
            // An empty group, or one whose last is the gap, has nothing to give.
            if last != gap {
                self.put(place, self.order[last as usize], gap);
            }
            if later > group {
                self.starts[later] -= 1;
            }
            gap = last;
        }
        self.order.pop();
        place[piece.as_usize()] = NOWHERE;
        self.trim();
    }

    /// Gives the first group of pieces that at least one peer has.
    pub(super) fn first_offered(&self, shift: i32) -> usize {
        usize::try_from(1i32.wrapping_sub(self.base.wrapping_add(shift))).unwrap_or(0)
    }

    pub(super) fn group(&self, count: i32) -> usize {
        usize::try_from(count.wrapping_sub(self.base)).expect("no listed piece is below the first group")
    }

    pub(super) fn end(&self, group: usize) -> u32 {
        self.starts.get(group + 1).copied().unwrap_or(self.order.len() as u32)
    }

    fn put(&mut self, place: &mut [u32], piece: u32, at: u32) {
        self.order[at as usize] = piece;
        place[piece as usize] = at;
    }

    pub(super) fn swap(&mut self, place: &mut [u32], a: u32, b: u32) {
        let (at_a, at_b) = (self.order[a as usize], self.order[b as usize]);
        self.put(place, at_a, b);
        self.put(place, at_b, a);
    }

    /// Moves `from` on to the first word that has a listed piece.
    pub(super) fn skip_empty(&mut self, words: usize) {
        while self.from < words && common(&self.listed, &self.listed, self.from).next().is_none() {
            self.from += 1;
        }
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
}
