//! Reading one string or integer: the part that every byte goes through.
//!
//! What is usual is read by a few branches in line; whatever is not (and every error) is read again by a careful function out of line,
//! which alone decides. It takes and gives plain values, so that the caller's state can stay in registers.

use super::error::Error;
use super::rules::{Rules, Warning};
use std::cmp::Ordering;

/// What holds for every string and integer of an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    /// How long a string may be; at most as long as the input.
    pub(super) string_length: usize,
    pub(super) rules: Rules,
}

/// Gives the value of an integer that has been read before, by whatever rules.
pub(super) fn integer_again(span: &[u8]) -> Option<i64> {
    let scan = Scan { string_length: 0, rules: Rules::LENIENT };
    scan.integer(span, 0).ok().map(|((value, _), _)| value)
}

/// How many digits a number has at most, zeros in front included: as many as the greatest of 64 bits.
const DIGITS: usize = 20;

const IN_LENGTH: &str = "a digit or ':' in a string's length";
const IN_INTEGER: &str = "a digit or 'e' in an integer";
const FIRST_DIGIT: &str = "a digit in an integer";

/// What was odd about a key as a string, and about its place.
type Odds = (Option<Warning>, Option<Warning>);

/// A value and where it ends, and what was odd about it.
type Odd<T> = Result<((T, usize), Option<Warning>), Error>;

impl Scan {
    /// Gives the bytes of the string that starts at `at`, with the digit `first`, and where they end.
    #[inline(always)]
    pub(super) fn string<'a>(&self, source: &'a [u8], at: usize, first: u8) -> Odd<&'a [u8]> {
        let mut length = u64::from(first.wrapping_sub(b'0'));
        let mut end = at + 1;
        while let Some(&byte) = source.get(end) {
            if byte == b':' {
                // Not more digits than cannot overflow, none of them a zero in front, and a string that is all there. (With the
                // limit, which is at most the length of the input, the sum cannot overflow either.)
                let (text, digits) = (end + 1, end - at);
                let plain = digits == 1 || digits < DIGITS && first != b'0';
                if !plain || length > self.string_length as u64 {
                    break;
                }
                let end = text + length as usize;
                let Some(bytes) = source.get(text..end) else { break };
                return Ok(((bytes, end), None));
            }
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            length = length.wrapping_mul(10).wrapping_add(u64::from(digit));
            end += 1;
        }
        self.odd_string(source, at)
    }

    #[cold]
    #[inline(never)]
    fn odd_string(self, source: &[u8], at: usize) -> Odd<&[u8]> {
        let mut length: u64 = 0;
        let mut end = at;
        let mut warning = None;
        loop {
            match source.get(end) {
                Some(&digit @ b'0'..=b'9') => {
                    if end > at && length == 0 {
                        if !self.rules.leading_zeros {
                            return Err(Error::LeadingZero { at });
                        }
                        warning = Some(Warning::LeadingZero { at });
                    }
                    if end - at >= DIGITS {
                        return Err(Error::LengthOverflow { at });
                    }
                    length = length
                        .checked_mul(10)
                        .and_then(|l| l.checked_add(u64::from(digit - b'0')))
                        .ok_or(Error::LengthOverflow { at })?;
                    end += 1;
                }
                Some(b':') => break,
                Some(&byte) => return Err(Error::UnexpectedByte { at: end, byte, expected: IN_LENGTH }),
                None => return Err(Error::UnexpectedEnd { at: end, expected: IN_LENGTH }),
            }
        }
        let text = end + 1;
        let left = source.len() - text;
        if length > left as u64 {
            return Err(Error::StringPastEnd { at, length, left });
        }
        if length > self.string_length as u64 {
            return Err(Error::StringTooLong { at, length, limit: self.string_length });
        }
        let end = text + length as usize;
        Ok(((source.get(text..end).unwrap_or_default(), end), warning))
    }

    /// Gives the value of the integer whose `i` stands at `at`, and where it ends.
    #[inline(always)]
    pub(super) fn integer(&self, source: &[u8], at: usize) -> Odd<i64> {
        let negative = source.get(at + 1) == Some(&b'-');
        let first = at + 1 + usize::from(negative);
        let mut end = first;
        let mut magnitude: u64 = 0;
        while let Some(&byte) = source.get(end) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                let digits = end - first;
                // Up to 18 digits fit whatever they are. A number with a zero in front is less than its digits allow.
                let plain = digits == 1 && (magnitude != 0 || !negative)
                    || (2..=18).contains(&digits) && source.get(first) != Some(&b'0');
                if byte == b'e' && plain {
                    let value = magnitude as i64;
                    return Ok(((if negative { -value } else { value }, end + 1), None));
                }
                break;
            }
            magnitude = magnitude.wrapping_mul(10).wrapping_add(u64::from(digit));
            end += 1;
        }
        self.odd_integer(source, at)
    }

    #[cold]
    #[inline(never)]
    fn odd_integer(self, source: &[u8], at: usize) -> Odd<i64> {
        let mut end = at + 1;
        let negative = source.get(end) == Some(&b'-');
        if negative {
            end += 1;
        }
        let first = end;
        let mut magnitude: u64 = 0;
        let mut warning = None;
        loop {
            match source.get(end) {
                Some(&digit @ b'0'..=b'9') => {
                    if end > first && magnitude == 0 {
                        if !self.rules.leading_zeros {
                            return Err(Error::LeadingZero { at: first });
                        }
                        warning = Some(Warning::LeadingZero { at: first });
                    }
                    if end - first >= DIGITS {
                        return Err(Error::IntegerOverflow { at });
                    }
                    magnitude = magnitude
                        .checked_mul(10)
                        .and_then(|m| m.checked_add(u64::from(digit - b'0')))
                        .ok_or(Error::IntegerOverflow { at })?;
                    end += 1;
                }
                Some(b'e') if end > first => break,
                found => {
                    let expected = if end > first { IN_INTEGER } else { FIRST_DIGIT };
                    return Err(match found {
                        Some(&byte) => Error::UnexpectedByte { at: end, byte, expected },
                        None => Error::UnexpectedEnd { at: end, expected },
                    });
                }
            }
        }
        let value = match (negative, magnitude) {
            (true, 0) if self.rules.negative_zero => {
                warning = warning.or(Some(Warning::NegativeZero { at: at + 1 }));
                Some(0)
            }
            (true, 0) => return Err(Error::NegativeZero { at: at + 1 }),
            (true, m) => 0_i64.checked_sub_unsigned(m),
            (false, m) => i64::try_from(m).ok(),
        };
        Ok(((value.ok_or(Error::IntegerOverflow { at })?, end + 1), warning))
    }

    /// Gives the key that starts at `at`, with the digit `first`, where its bytes end, and the level with it; compares it with the one
    /// before it in its dictionary.
    #[inline(always)]
    pub(super) fn key<'a>(
        &self,
        source: &'a [u8],
        at: usize,
        first: u8,
        last: Level,
    ) -> Result<(&'a [u8], usize, Level, Odds), Error> {
        let ((key, end), warning) = self.string(source, at, first)?;
        let level = Level::dict(at, key);
        if level.is_after(last) {
            return Ok((key, end, level, (warning, None)));
        }
        let order = self.order(source, last.key as usize, key, at)?;
        Ok((key, end, level, (warning, order)))
    }

    /// Compares two keys of which the first bytes did not say enough: fine, or worth a warning, or an error.
    #[cold]
    #[inline(never)]
    fn order(self, source: &[u8], last: usize, key: &[u8], at: usize) -> Result<Option<Warning>, Error> {
        let lenient = Scan { string_length: source.len(), rules: Rules::LENIENT };
        let ((last, _), _) = lenient.odd_string(source, last)?;
        Ok(Some(match last.cmp(key) {
            Ordering::Less => return Ok(None),
            Ordering::Equal if self.rules.duplicate_keys => Warning::DuplicateKey { at },
            Ordering::Equal => return Err(Error::DuplicateKey { at }),
            Ordering::Greater if self.rules.unsorted_keys => Warning::UnsortedKey { at },
            Ordering::Greater => return Err(Error::UnsortedKey { at }),
        }))
    }
}

/// The list or dictionary that something is in; of a dictionary its last key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// The last key's first two bytes, plus one: a key of a higher rank is a greater key. 0 before the first key.
    rank: u32,
    /// Where the last key starts.
    key: u32,
}

impl Level {
    pub(super) const LIST: Self = Self { rank: u32::MAX, key: 0 };
    /// A dictionary before its first key.
    pub(super) const DICT: Self = Self { rank: 0, key: 0 };

    /// A dictionary of which the last key is `bytes` and starts at `key`.
    #[inline(always)]
    pub(super) fn dict(key: usize, bytes: &[u8]) -> Self {
        let rank = match bytes {
            [a, b, ..] => 1 + (u32::from(*a) << 8 | u32::from(*b)),
            [a] => 1 + (u32::from(*a) << 8),
            [] => 1,
        };
        // Inputs are shorter than 2^32.
        Self { rank, key: key as u32 }
    }

    /// Whether the last key of this level is greater than that of another, as far as two bytes say it for sure.
    #[inline(always)]
    pub(super) fn is_after(self, other: Self) -> bool {
        self.rank > other.rank
    }

    #[inline(always)]
    pub(super) fn is_dict(self) -> bool {
        self.rank != u32::MAX
    }
}
