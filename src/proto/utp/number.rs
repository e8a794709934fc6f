//! Numbers that begin again after their last.

use std::fmt;

/// The number of a packet of one direction of a connection, which begins again after 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNr(pub u16);

impl SeqNr {
    /// Gives the number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// Gives the number so many after this one.
    #[must_use]
    pub fn plus(self, count: u16) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// Gives how many numbers this one is after another, going up from there: 0 to 65535.
    pub fn since(self, other: Self) -> u16 {
        self.0.wrapping_sub(other.0)
    }

    /// Says whether this number comes after another: by less than half of all numbers. Of two that are just half of them apart, neither
    /// comes after the other.
    ///
    /// ```
    /// use bip::proto::utp::SeqNr;
    /// assert!(SeqNr(0).is_after(SeqNr(65_535)));
    /// assert!(!SeqNr(65_535).is_after(SeqNr(0)) && !SeqNr(7).is_after(SeqNr(7)));
    /// ```
    pub fn is_after(self, other: Self) -> bool {
        (1..0x8000).contains(&self.since(other))
    }

    /// Gives how far this number is from another: positive where it comes after it. Half of all numbers is -32768.
    pub fn distance(self, other: Self) -> i16 {
        self.since(other) as i16
    }
}

impl fmt::Display for SeqNr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time in microseconds of the sender's own clock, which begins again after 71 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Timestamp(pub u32);

impl Timestamp {
    /// Gives the microseconds from another time to this one, going up from there.
    ///
    /// Between two clocks it means nothing by itself; how it changes is the change of the delay.
    pub fn since(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0)
    }

    /// Says whether this time comes after another: by less than half of all times.
    pub fn is_after(self, other: Self) -> bool {
        (1..0x8000_0000).contains(&self.since(other))
    }
}

/// Names a connection between two addresses, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u16);

impl ConnectionId {
    /// Gives the id of the other direction, of the id that the first packet came with: one more, and 0 after 65535.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_compared_across_their_end() {
        for (a, b, after, distance) in [
            (1, 0, true, 1),
            (0, 65_535, true, 1),
            (65_535, 0, false, -1),
            (5, 5, false, 0),
            (0x7fff, 0, true, 0x7fff),
            (0x8000, 0, false, i16::MIN),
            (0, 0x8000, false, i16::MIN),
            (0x8001, 0, false, -0x7fff),
        ] {
            assert_eq!((SeqNr(a).is_after(SeqNr(b)), SeqNr(a).distance(SeqNr(b))), (after, distance), "{a} {b}");
        }
        assert_eq!((SeqNr(65_535).next(), ConnectionId(65_535).next()), (SeqNr(0), ConnectionId(0)));
        for (a, b, after) in
            [(1, 0, true), (0, u32::MAX, true), (u32::MAX, 0, false), (0x8000_0000, 0, false), (3, 3, false)]
        {
            assert_eq!(Timestamp(a).is_after(Timestamp(b)), after, "{a} {b}");
        }
        assert_eq!(Timestamp(5).since(Timestamp(u32::MAX)), 6);
    }

    proptest! {
        #[test]
        fn one_of_two_numbers_comes_after_the_other(a in any::<u16>(), b in any::<u16>()) {
            let (a, b) = (SeqNr(a), SeqNr(b));
            prop_assert_eq!(a.is_after(b), a.distance(b) > 0);
            prop_assert!(a == b || a.since(b) == 0x8000 || a.is_after(b) != b.is_after(a));
            prop_assert_eq!(b.plus(a.since(b)), a);
        }
    }
}
