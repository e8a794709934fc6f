//! Reading one string or integer: the part that every byte goes through.
//!
//! What is usual is read by a few branches in line; whatever is not (and every error) is read again by an `odd_` function out of line,
//! which alone decides. It takes and gives plain values, so that the caller's state can stay in registers, and the caller takes its
//! result on the side, so that what is usual has nothing to look at.

use super::error::Error;
use super::rules::{RuleBits, Rules, Warning};
use std::cmp::Ordering;

/// What holds for every string and integer of an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    /// How long a string may be; at most as long as the input.
    string_length: usize,
    rules: RuleBits,
}

/// Gives the value of an integer that has been read before, by whatever rules.
pub(super) fn integer_again(span: &[u8]) -> Option<i64> {
    let scan = Scan::new(0, Rules::LENIENT);
    let odd = || scan.odd_integer(span, 0).ok().map(|(read, _)| read);
    scan.integer(span, 0).or_else(odd).map(|(value, _)| value)
}

/// How many digits a number has at most, zeros in front included: as many as the greatest of 64 bits.
const DIGITS: usize = 20;

/// Eight bytes `0`.
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
/// What makes the high bit of each byte of 10 and more.
const ZEROS_TO_BIT: u64 = u64::from_le_bytes([0x80 - 10; 8]);
const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);

/// Gives the number of eight digits, of which the first is in the lowest byte.
#[inline(always)]
fn eight_digits(digits: u64) -> i64 {
    // Two digits each, then four, then all.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let front = (pairs & 0xff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let back = (pairs >> 16 & 0xff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    (front.wrapping_add(back) >> 32) as i64
}

const IN_LENGTH: &str = "a digit or ':' in a string's length";
const IN_INTEGER: &str = "a digit or 'e' in an integer";
const FIRST_DIGIT: &str = "a digit in an integer";

/// A value and where it ends, and what was odd about it.
type Odd<T> = Result<((T, usize), Option<Warning>), Error>;

impl Scan {
    #[inline]
    pub(super) fn new(string_length: usize, rules: Rules) -> Self {
        Self { string_length, rules: rules.into() }
    }

    /// Says whether a string may be of this length.
    #[inline(always)]
    pub(super) fn permits(self, length: usize) -> bool {
        length <= self.string_length
    }

    pub(super) fn rules(self) -> Rules {
        self.rules.into()
    }

    /// Gives the bytes of the string that starts at `at`, with the digit `first`, and where they end, if it is a usual one.
    #[inline(always)]
    pub(super) fn string<'a>(&self, source: &'a [u8], at: usize, first: u8) -> Option<(&'a [u8], usize)> {
        let mut length = u64::from(first.wrapping_sub(b'0'));
        let mut colon = at + 1;
        let mut byte = *source.get(colon)?;
        if byte != b':' {
            if first == b'0' {
                return None;
            }
            while byte != b':' {
                let digit = byte.wrapping_sub(b'0');
                if digit > 9 {
                    return None;
                }
                length = length.wrapping_mul(10).wrapping_add(u64::from(digit));
                colon += 1;
                byte = *source.get(colon)?;
            }
            // More digits could have overflowed.
            if colon - at >= DIGITS {
                return None;
            }
        }
        if length > self.string_length as u64 {
            return None;
        }
        let text = colon + 1;
        let bytes = source.get(text..)?.get(..length as usize)?;
        Some((bytes, text + length as usize))
    }

    /// The same for any string: gives it, and what is odd about it, or says what is wrong.
    #[cold]
    #[inline(never)]
    pub(super) fn odd_string(self, source: &[u8], at: usize) -> Odd<&[u8]> {
        let mut length: u64 = 0;
        let mut end = at;
        let mut warning = None;
        loop {
            match source.get(end) {
                Some(&digit @ b'0'..=b'9') => {
                    if end > at && length == 0 {
                        if !self.rules().leading_zeros {
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

    /// Gives the value of the integer whose `i` stands at `at`, and where it ends, if it is a usual one.
    #[inline(always)]
    pub(super) fn integer(&self, source: &[u8], at: usize) -> Option<(i64, usize)> {
        // One of up to seven digits and its `e` are eight bytes, which are read at once.
        if let Some(word) = source.get(at + 1..).and_then(|rest| rest.first_chunk()) {
            let digits = u64::from_le_bytes(*word) ^ ZEROS;
            // The high bit of each byte that is no digit; of the bytes after the first such one it may be wrong.
            let others = (digits.wrapping_add(ZEROS_TO_BIT) | digits) & HIGH_BITS;
            let bit = others.trailing_zeros();
            // After one digit it is bit 15, after seven bit 63. With a zero in front it may be odd.
            if (15..64).contains(&bit) && (digits >> (bit - 7)) as u8 == b'e' ^ b'0' && digits as u8 != 0 {
                return Some((eight_digits(digits << (71 - bit)), at + 2 + bit as usize / 8));
            }
        }
        Self::long_integer(source, at)
    }

    /// The same for one that is not positive and of up to seven digits.
    #[inline(never)]
    fn long_integer(source: &[u8], at: usize) -> Option<(i64, usize)> {
        let negative = *source.get(at + 1)? == b'-';
        let first = at + 1 + usize::from(negative);
        let leading = *source.get(first)?;
        let mut end = first;
        let mut magnitude: u64 = 0;
        let mut byte = leading;
        while byte != b'e' {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            magnitude = magnitude.wrapping_mul(10).wrapping_add(u64::from(digit));
            end += 1;
            byte = *source.get(end)?;
        }
        // Up to 18 digits fit whatever they are. A zero stands alone and without a minus.
        let digits = end - first;
        let plain = if leading == b'0' { digits == 1 && !negative } else { (1..=18).contains(&digits) };
        let value = magnitude as i64;
        plain.then_some((if negative { value.wrapping_neg() } else { value }, end + 1))
    }

    /// The same for any integer: gives it, and what is odd about it, or says what is wrong.
    #[cold]
    #[inline(never)]
    pub(super) fn odd_integer(self, source: &[u8], at: usize) -> Odd<i64> {
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
                        if !self.rules().leading_zeros {
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
            (true, 0) if self.rules().negative_zero => {
                warning = warning.or(Some(Warning::NegativeZero { at: at + 1 }));
                Some(0)
            }
            (true, 0) => return Err(Error::NegativeZero { at: at + 1 }),
            (true, m) => 0_i64.checked_sub_unsigned(m),
            (false, m) => i64::try_from(m).ok(),
        };
        Ok(((value.ok_or(Error::IntegerOverflow { at })?, end + 1), warning))
    }

    /// Compares two keys of which the first bytes did not say enough: fine, or worth a warning, or an error.
    #[cold]
    #[inline(never)]
    pub(super) fn order(self, source: &[u8], last: Level, key: &[u8], at: usize) -> Result<Option<Warning>, Error> {
        let rules = self.rules();
        let lenient = Scan::new(source.len(), Rules::LENIENT);
        let ((last, _), _) = lenient.odd_string(source, last.key as usize)?;
        Ok(Some(match last.cmp(key) {
            Ordering::Less => return Ok(None),
            Ordering::Equal if rules.duplicate_keys => Warning::DuplicateKey { at },
            Ordering::Equal => return Err(Error::DuplicateKey { at }),
            Ordering::Greater if rules.unsorted_keys => Warning::UnsortedKey { at },
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
