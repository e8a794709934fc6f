//! Which files are wanted (BEP 53).

use crate::proto::id::FileIndex;
use std::fmt;
use std::ops::RangeInclusive;

/// Files by their numbers, as ranges that are never expanded: in order, and with a gap between any two.
///
/// Shown as in a link: `0,2,4,6-8`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct FileRanges(Vec<(u32, u32)>);

impl FileRanges {
    /// Makes the set of all files in these ranges, which may overlap; one that ends before it starts has none.
    pub fn new(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> Self {
        let mut ranges: Vec<_> =
            ranges.into_iter().filter(|range| !range.is_empty()).map(|range| (*range.start(), *range.end())).collect();
        ranges.sort_unstable();
        let mut out: Vec<(u32, u32)> = Vec::new();
        for (start, end) in ranges {
            match out.last_mut() {
                Some((_, last)) if start <= last.saturating_add(1) => *last = (*last).max(end),
                _ => out.push((start, end)),
            }
        }
        Self(out)
    }

    /// Says whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says whether a file is in the set.
    pub fn contains(&self, file: FileIndex) -> bool {
        let at = self.0.partition_point(|(_, end)| *end < file.0);
        self.0.get(at).is_some_and(|(start, _)| *start <= file.0)
    }

    /// Goes over the ranges.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = RangeInclusive<u32>> + '_ {
        self.0.iter().map(|(start, end)| *start..=*end)
    }

    /// Goes over the files of the set that a torrent of so many files has: never more than that.
    pub fn within(&self, files: u32) -> impl Iterator<Item = FileIndex> + '_ {
        // What begins beyond the last file ends the walk, so that the many ranges of a hostile link cost nothing.
        let ranges = self.0.iter().take_while(move |(start, _)| *start < files);
        ranges.flat_map(move |(start, end)| (*start..files.min(end.saturating_add(1))).map(FileIndex))
    }
}

impl fmt::Display for FileRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (start, end)) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            match start == end {
                true => write!(f, "{start}")?,
                false => write!(f, "{start}-{end}")?,
            }
        }
        Ok(())
    }
}

/// Reads a number of any length; those that are too large for a file's are all the same.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number
        .then(|| digits.iter().fold(0_u64, |n, digit| n.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// Reads `4` or `6-8`. What no torrent can have is cut off, and `None` if nothing is left.
pub(super) fn parse_range(text: &[u8]) -> Option<RangeInclusive<u32>> {
    let mut ends = text.splitn(2, |byte| *byte == b'-');
    let start = number(ends.next()?)?;
    let end = ends.next().map_or(Some(start), number)?;
    let start = u32::try_from(start).ok()?;
    let end = u32::try_from(end).unwrap_or(u32::MAX);
    (start <= end).then_some(start..=end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_range_is_read_or_refused() {
        for (text, expected) in [
            ("0", Some(0..=0)),
            ("6-8", Some(6..=8)),
            ("007-0010", Some(7..=10)),
            ("0-18446744073709551615", Some(0..=u32::MAX)),
            ("4294967295-99999999999999999999999999", Some(u32::MAX..=u32::MAX)),
            ("4294967296", None),
            ("7-4", None),
            ("-4", None),
            ("3-", None),
            ("1-2-3", None),
            ("a", None),
            ("+1", None),
            ("\"1", None),
            ("", None),
        ] {
            assert_eq!(parse_range(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_largest_range_costs_no_more_than_the_files_there_are() {
        let all = FileRanges::new([0..=u32::MAX]);
        assert_eq!(all.within(3).map(|file| file.0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(all.within(u32::MAX).nth(1_000), Some(FileIndex(1_000)));
        assert_eq!((all.within(0).count(), all.to_string()), (0, "0-4294967295".to_owned()));
        assert!(all.contains(FileIndex(u32::MAX)));
        assert_eq!(FileRanges::new([5..=u32::MAX, 0..=4]), all);
        #[allow(clippy::reversed_empty_ranges)] // what is tested
        let none = FileRanges::new([7..=4]);
        assert!(none.is_empty());
    }

    proptest! {
        #[test]
        fn a_set_of_ranges_has_the_files_of_its_ranges(
            ranges in prop::collection::vec((0..60_u32, 0..12_u32), 0..12),
            files in 0..80_u32,
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(start, length)| start..=start + length).collect();
            let expected: BTreeSet<u32> = ranges.iter().cloned().flatten().collect();
            let set = FileRanges::new(ranges);
            let within: Vec<u32> = set.within(files).map(|file| file.0).collect();
            prop_assert_eq!(within, expected.iter().copied().filter(|file| *file < files).collect::<Vec<_>>());
            for file in 0..90 {
                prop_assert_eq!(set.contains(FileIndex(file)), expected.contains(&file));
            }
            let again = set.to_string();
            let read: Vec<_> = again.split(',').filter_map(|part| parse_range(part.as_bytes())).collect();
            prop_assert_eq!(FileRanges::new(read), set);
        }
    }
}
