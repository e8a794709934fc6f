//! Reading without a document: once forward, and nothing is kept.

use super::error::{Error, Kind};
use super::item::{Here, Item, wrong_kind};
use super::rules::{Rules, Warning, Warnings};
use super::scan::Level;
use super::token::Limits;
use super::walk::{self, Bounds};
use std::fmt;

/// Reads the one value of an input by a function, and sees to it that the whole input is that value.
///
/// The same as a [`Cursor`] with [`Cursor::finish`] at the end, which so cannot be forgotten. Strict ([`Rules::DEFAULT`]).
///
/// ```
/// use bip::proto::bencode::{self, Limits};
///
/// let ping = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
/// let (mut id, mut method, mut transaction) = (None, None, None);
/// bencode::read(ping, &Limits::default(), |value| {
///     let mut message = value.dict()?;
///     while let Some((key, value)) = message.next()? {
///         match key {
///             b"a" => {
///                 let mut arguments = value.dict()?;
///                 while let Some((key, value)) = arguments.next()? {
///                     match key {
///                         b"id" => id = Some(value.array::<20>()?),
///                         _ => {} // What is not read is checked and skipped.
///                     }
///                 }
///             }
///             b"q" => method = Some(value.str()?),
///             b"t" => transaction = Some(value.bytes()?),
///             _ => {}
///         }
///     }
///     transaction.ok_or_else(|| message.missing("t"))
/// })?;
/// assert_eq!(id, Some(b"abcdefghij0123456789"));
/// assert_eq!((method, transaction), (Some("ping"), Some(&b"aa"[..])));
/// # Ok::<(), bencode::Error>(())
/// ```
///
/// # Errors
///
/// Whatever the function gives, else what is wrong with the input beyond what the function has read.
#[inline]
pub fn read<'a, T, E: From<Error>>(
    source: &'a [u8],
    limits: &Limits,
    function: impl FnOnce(Item<'_, 'a>) -> Result<T, E>,
) -> Result<T, E> {
    let mut cursor = Cursor::new(source, limits)?;
    let read = function(cursor.value())?;
    cursor.finish()?;
    Ok(read)
}

/// Reads the value that an input begins with by a function, and gives what follows the value too: the payload of a message that is a
/// dictionary and then bytes (BEP 9).
///
/// ```
/// use bip::proto::bencode::{self, Limits};
/// let message = b"d8:msg_typei1e5:piecei7e10:total_sizei4ee\x01\x02\x03\x04";
/// let (piece, payload) = bencode::read_prefix(message, &Limits::default(), |value| {
///     let mut dict = value.dict()?;
///     while let Some((key, value)) = dict.next()? {
///         if key == b"piece" {
///             return value.int();
///         }
///     }
///     Err(dict.missing("piece"))
/// })?;
/// assert_eq!((piece, payload), (7, &[1, 2, 3, 4][..]));
/// # Ok::<(), bencode::Error>(())
/// ```
///
/// # Errors
///
/// As [`read`], but for what follows the value.
#[inline]
pub fn read_prefix<'a, T, E: From<Error>>(
    source: &'a [u8],
    limits: &Limits,
    function: impl FnOnce(Item<'_, 'a>) -> Result<T, E>,
) -> Result<(T, &'a [u8]), E> {
    let mut cursor = Cursor::new(source, limits)?;
    let read = function(cursor.value())?;
    Ok((read, cursor.rest()?))
}

/// Goes once forward through one value without allocating anything, and checks all that it goes over as a
/// [`Document`](super::Document) does.
///
/// For messages, of which a few keys are wanted; [`read`] is the short form. [`Cursor::value`] gives the value as an [`Item`], which is read as
/// what it should be, once. What is not read, or left in the middle, is checked and skipped when the next item is asked for or the cursor is
/// finished: there is nothing to close, and no item can be taken for another. An element of the wrong kind
/// is an error that gives the path to it, and can be passed over by going on.
///
/// # How it differs from a document
///
/// - Nothing is known of what the cursor has not come to: only [`Cursor::finish`] or [`Cursor::rest`] says that the value is sound.
/// - A key that is given twice is refused (as [`Rules`] say) if it comes twice in a row, which is always so where keys are sorted. In a
///   dictionary whose keys are out of order ([`Warnings::unsorted_key`]) the user sees both, and should keep the first.
/// - Lists and dictionaries nest at most [`Cursor::MAX_DEPTH`] deep, if [`Limits::depth`] permits more.
///
/// # Cost
///
/// Each byte that is read or skipped is visited once. A list or dictionary that is left early is walked again from its start, so
/// a byte may be visited once more for each level that is left early around it. Only errors allocate (the path).
#[derive(Clone)]
pub struct Cursor<'a> {
    pub(super) source: &'a [u8],
    /// The next byte to be read.
    pub(super) at: usize,
    /// How many more tokens there may be.
    pub(super) tokens: usize,
    /// How many lists and dictionaries are open, where a value that is not read yet counts as one.
    pub(super) open: usize,
    pub(super) bounds: Bounds,
    warnings: Warnings,
}

impl<'a> Cursor<'a> {
    /// How deep lists and dictionaries may nest at most.
    pub const MAX_DEPTH: usize = walk::MAX_DEPTH;

    /// Starts before the value of an input, with [`Rules::DEFAULT`].
    ///
    /// # Errors
    ///
    /// [`Error::InputTooLong`], and no other.
    #[inline(always)]
    pub fn new(source: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        Self::with_rules(source, limits, Rules::DEFAULT)
    }

    /// Starts before the value of an input that is read by other rules.
    ///
    /// # Errors
    ///
    /// [`Error::InputTooLong`], and no other.
    #[inline(always)]
    pub fn with_rules(source: &'a [u8], limits: &Limits, rules: Rules) -> Result<Self, Error> {
        let bounds = limits.bounds(source, rules)?;
        let bounds = Bounds { depth: bounds.depth.min(Self::MAX_DEPTH), ..bounds };
        Ok(Self { source, at: 0, tokens: bounds.tokens, open: 1, bounds, warnings: Warnings::default() })
    }

    /// Gives the value. Asked for again, it begins again.
    #[inline(always)]
    pub fn value(&mut self) -> Item<'_, 'a> {
        self.at = 0;
        self.tokens = self.bounds.tokens;
        self.open = 1;
        Item::new(self)
    }

    /// Goes to the end of the value and gives its length in bytes.
    ///
    /// # Errors
    ///
    /// Says what is wrong with what has not been read.
    #[inline(always)]
    pub fn encoded_length(&mut self) -> Result<usize, Error> {
        if self.open != 0 {
            self.pass(0, self.bounds.tokens, 0)?;
        }
        Ok(self.at)
    }

    /// Goes to the end of the value and sees to it that there the input ends.
    ///
    /// # Errors
    ///
    /// Says what is wrong with what has not been read, or [`Error::TrailingBytes`].
    #[inline(always)]
    pub fn finish(&mut self) -> Result<(), Error> {
        match self.encoded_length()? {
            at if at < self.source.len() => Err(Error::TrailingBytes { at }),
            _ => Ok(()),
        }
    }

    /// Goes to the end of the value and gives what follows it in the input.
    ///
    /// # Errors
    ///
    /// Says what is wrong with what has not been read.
    #[inline(always)]
    pub fn rest(&mut self) -> Result<&'a [u8], Error> {
        let end = self.encoded_length()?;
        Ok(self.source.get(end..).unwrap_or_default())
    }

    /// Gives the offset of the next byte to be read.
    #[inline(always)]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Gives what was accepted so far though it is not canonical.
    pub fn warnings(&self) -> Warnings {
        self.warnings
    }

    #[inline(always)]
    pub(super) fn here(&self) -> Here {
        Here { at: self.at, open: self.open, tokens: self.tokens, token_limit: self.bounds.tokens }
    }

    /// Takes a token that starts at the next byte.
    #[inline(always)]
    pub(super) fn count(&mut self) -> Result<(), Error> {
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err(Error::TooManyTokens { at: self.at, limit: self.bounds.tokens }),
        }
    }

    #[inline(always)]
    fn noted<T>(&mut self, (read, warning): (T, Option<Warning>)) -> T {
        if let Some(warning) = warning {
            self.warnings = self.warnings.with(warning);
        }
        read
    }

    /// Takes the integer that starts with the next byte, an `i`.
    #[inline(always)]
    pub(super) fn integer(&mut self) -> Result<i64, Error> {
        self.count()?;
        let scan = self.bounds.scan;
        let (value, end) = match scan.integer(self.source, self.at) {
            Some(read) => read,
            None => self.noted(scan.odd_integer(self.source, self.at)?),
        };
        self.at = end;
        Ok(value)
    }

    /// Takes the string that starts with the next byte, the digit `first`.
    #[inline(always)]
    pub(super) fn string(&mut self, first: u8) -> Result<&'a [u8], Error> {
        self.count()?;
        let scan = self.bounds.scan;
        let (bytes, end) = match scan.string(self.source, self.at, first) {
            Some(read) => read,
            None => self.noted(scan.odd_string(self.source, self.at)?),
        };
        self.at = end;
        Ok(bytes)
    }

    /// Takes the key that starts with the next byte, the digit `first`, after the last one.
    #[inline(always)]
    pub(super) fn key(&mut self, first: u8, last: &mut Level) -> Result<&'a [u8], Error> {
        let at = self.at;
        let key = self.string(first)?;
        let level = Level::dict(at, key);
        if !level.is_after(*last) {
            let order = self.bounds.scan.order(self.source, *last, key, at)?;
            self.noted(((), order));
        }
        *last = level;
        Ok(key)
    }

    /// Takes the key that starts with the next byte if it is one of some, comes in order, and breaks no limit: gives which.
    #[inline(always)]
    pub(super) fn known_key<const N: usize>(&mut self, keys: &[&str; N], last: &mut Level) -> Option<usize> {
        let (prefix, text) = self.source.get(self.at..)?.split_first_chunk::<2>()?;
        for (which, key) in keys.iter().enumerate() {
            let key = key.as_bytes();
            // Where the caller's keys are constants, so is all of this: where the key ends is known as soon as its bytes have been
            // guessed right, before they have come from memory.
            if key.len() < 10 && *prefix == [b'0' + key.len() as u8, b':'] && text.starts_with(key) {
                let level = Level::dict(self.at, key);
                if self.tokens == 0 || !level.is_after(*last) || !self.bounds.scan.permits(key.len()) {
                    return None;
                }
                *last = level;
                self.tokens -= 1;
                self.at += 2 + key.len();
                return Some(which);
            }
        }
        None
    }

    /// Takes the begin of a list or dictionary, and gives how many are open with it.
    #[inline(always)]
    pub(super) fn begin(&mut self, begin: u8, kind: Kind) -> Result<usize, Error> {
        if self.source.get(self.at) != Some(&begin) {
            return Err(wrong_kind(self.source, self.here(), kind));
        }
        self.count()?;
        if self.open > self.bounds.depth {
            return Err(Error::TooDeep { at: self.at, limit: self.bounds.depth });
        }
        self.at += 1;
        Ok(self.open)
    }

    /// Takes the end of the list or dictionary that is innermost with `level` open.
    #[inline(always)]
    pub(super) fn end(&mut self, level: usize) -> Result<(), Error> {
        self.count()?;
        self.at += 1;
        self.open = level - 1;
        Ok(())
    }

    /// Passes over the value that starts at `at` on a level, read or not.
    #[inline(always)]
    pub(super) fn pass(&mut self, at: usize, tokens: usize, level: usize) -> Result<(), Error> {
        self.at = at;
        self.tokens = tokens;
        self.open = level + 1;
        match self.source.get(at) {
            Some(&first @ b'0'..=b'9') => {
                self.string(first)?;
            }
            _ => {
                let Bounds { scan, depth, tokens: limit } = self.bounds;
                let end = walk::skip(self.source, at, tokens, self.warnings, scan, (depth, limit), level)?;
                self.at = end.at;
                self.tokens = end.tokens;
                self.warnings = end.warnings;
            }
        }
        self.open = level;
        Ok(())
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.source.get(self.at..).unwrap_or_default();
        write!(f, "Cursor({}: {})", self.at, left.escape_ascii())
    }
}
