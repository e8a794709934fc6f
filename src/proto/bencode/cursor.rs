//! Reading without a document: once forward, and nothing is kept.

use super::error::{Error, Kind, push_key};
use super::rules::{Rules, Warning, Warnings};
use super::scan::Level;
use super::token::Limits;
use super::walk::{self, Bounds, Place};
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
    source: &'a [u8],
    /// The next byte to be read.
    at: usize,
    /// How many more tokens there may be.
    tokens: usize,
    /// How many lists and dictionaries are open, where a value that is not read yet counts as one.
    open: usize,
    bounds: Bounds,
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
        Item { cursor: self }
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
    fn here(&self) -> Here {
        Here { at: self.at, open: self.open, tokens: self.tokens, token_limit: self.bounds.tokens }
    }

    /// Takes a token that starts at the next byte.
    #[inline(always)]
    fn count(&mut self) -> Result<(), Error> {
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err(Error::TooManyTokens { at: self.at, limit: self.bounds.tokens }),
        }
    }

    #[inline(always)]
    fn note(&mut self, warning: Option<Warning>) {
        if let Some(warning) = warning {
            self.warnings = self.warnings.with(warning);
        }
    }

    /// Reads the string that starts with the next byte, a digit.
    #[inline(always)]
    fn string(&mut self, first: u8) -> Result<&'a [u8], Error> {
        self.count()?;
        let ((bytes, end), warning) = self.bounds.scan.string(self.source, self.at, first)?;
        self.note(warning);
        self.at = end;
        Ok(bytes)
    }

    /// Takes the key that starts with the next byte, a digit, after the last one.
    #[inline(always)]
    fn key(&mut self, first: u8, last: &mut Level) -> Result<&'a [u8], Error> {
        self.count()?;
        let (key, end, level, (odd, order)) = self.bounds.scan.key(self.source, self.at, first, *last)?;
        self.note(odd);
        self.note(order);
        *last = level;
        self.at = end;
        Ok(key)
    }

    /// Takes the begin of a list or dictionary, and gives how many are open with it.
    #[inline(always)]
    fn begin(&mut self, begin: u8, kind: Kind) -> Result<usize, Error> {
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
    fn end(&mut self, level: usize) -> Result<(), Error> {
        self.count()?;
        self.at += 1;
        self.open = level - 1;
        Ok(())
    }

    /// Passes over the value that starts at `at` on a level, read or not.
    #[inline(always)]
    fn pass(&mut self, at: usize, tokens: usize, level: usize) -> Result<(), Error> {
        self.at = at;
        self.tokens = tokens;
        self.open = level + 1;
        match self.source.get(at) {
            Some(&first @ b'0'..=b'9') => {
                self.string(first)?;
            }
            _ => {
                let place = Place { at, tokens, warnings: self.warnings };
                let end = walk::skip(self.source, place, self.bounds, level)?;
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

/// One element before it is read: it is read once, as what it should be, or not at all.
#[derive(Debug)]
pub struct Item<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
}

impl<'c, 'a> Item<'c, 'a> {
    /// Gives the offset in the input at which the element starts.
    #[inline(always)]
    pub fn position(&self) -> usize {
        self.cursor.at
    }

    /// Gives the element's kind, by its first byte.
    ///
    /// # Errors
    ///
    /// No element stands there.
    #[inline(always)]
    pub fn kind(&self) -> Result<Kind, Error> {
        match self.cursor.source.get(self.cursor.at) {
            Some(b'0'..=b'9') => Ok(Kind::Bytes),
            Some(b'i') => Ok(Kind::Integer),
            Some(b'l') => Ok(Kind::List),
            Some(b'd') => Ok(Kind::Dict),
            found => Err(no_value(self.cursor.here(), found.copied())),
        }
    }

    /// Reads an integer, or says where something else stands.
    #[inline(always)]
    pub fn int(self) -> Result<i64, Error> {
        let cursor = self.cursor;
        if cursor.source.get(cursor.at) != Some(&b'i') {
            return Err(wrong_kind(cursor.source, cursor.here(), Kind::Integer));
        }
        cursor.count()?;
        let ((value, end), warning) = cursor.bounds.scan.integer(cursor.source, cursor.at)?;
        cursor.note(warning);
        cursor.at = end;
        cursor.open -= 1;
        Ok(value)
    }

    /// Reads a string, or says where something else stands.
    #[inline(always)]
    pub fn bytes(self) -> Result<&'a [u8], Error> {
        let cursor = self.cursor;
        let Some(&first @ b'0'..=b'9') = cursor.source.get(cursor.at) else {
            return Err(wrong_kind(cursor.source, cursor.here(), Kind::Bytes));
        };
        let bytes = cursor.string(first)?;
        cursor.open -= 1;
        Ok(bytes)
    }

    /// Reads a string of exactly `N` bytes, such as an id, or says where something else stands.
    #[inline(always)]
    pub fn array<const N: usize>(self) -> Result<&'a [u8; N], Error> {
        let (source, at) = (self.cursor.source, self.cursor.at);
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| wrong_length(source, at, N, bytes.len()))
    }

    /// Reads a string that is UTF-8, or says where something else stands.
    #[inline(always)]
    pub fn str(self) -> Result<&'a str, Error> {
        let (source, at) = (self.cursor.source, self.cursor.at);
        std::str::from_utf8(self.bytes()?).map_err(|_| not_utf8(source, at))
    }

    /// Enters a list, or says where something else stands.
    #[inline(always)]
    pub fn list(self) -> Result<Items<'c, 'a>, Error> {
        self.enter(b'l', Kind::List).map(|level| Items { level })
    }

    /// Enters a dictionary, or says where something else stands.
    #[inline(always)]
    pub fn dict(self) -> Result<Entries<'c, 'a>, Error> {
        self.enter(b'd', Kind::Dict).map(|level| Entries { level, last: Level::DICT })
    }

    /// Gives each element of a list to a function, in order, or says where something else stands. The fastest way through a list;
    /// ends at the first error.
    ///
    /// ```
    /// use bip::proto::bencode::{self, Error, Limits};
    /// let mut ports = Vec::new();
    /// bencode::read(b"l6:\x7f\x00\x00\x01\x1a\xe1e", &Limits::default(), |values| {
    ///     values.each_item(|value| {
    ///         let [_, _, _, _, a, b] = *value.array()?;
    ///         ports.push(u16::from_be_bytes([a, b]));
    ///         Ok::<(), Error>(())
    ///     })
    /// })?;
    /// assert_eq!(ports, [6881]);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn each_item<E: From<Error>>(self, mut function: impl FnMut(Item<'_, 'a>) -> Result<(), E>) -> Result<(), E> {
        let cursor = self.cursor;
        let level = cursor.begin(b'l', Kind::List)?;
        loop {
            match cursor.source.get(cursor.at) {
                Some(b'e') => break cursor.end(level).map_err(E::from),
                Some(_) => {}
                None => break Err(no_element(cursor.at).into()),
            }
            let (value, tokens) = (cursor.at, cursor.tokens);
            cursor.open = level + 1;
            function(Item { cursor })?;
            if cursor.open > level {
                cursor.pass(value, tokens, level)?;
            }
        }
    }

    /// Gives each key of a dictionary and its value to a function, in the order of the input, or says where something else stands. The fastest
    /// way through a dictionary; ends at the first error. Values that the function does not read are checked and passed over.
    ///
    /// ```
    /// use bip::proto::bencode::{self, Error, Limits};
    /// let (mut port, mut token) = (None, None);
    /// bencode::read(b"d12:implied_porti1e4:porti6881e5:token2:abe", &Limits::default(), |arguments| {
    ///     arguments.each_entry(|key, value| {
    ///         match key {
    ///             b"port" => port = Some(value.int()?),
    ///             b"token" => token = Some(value.bytes()?),
    ///             _ => {}
    ///         }
    ///         Ok::<(), Error>(())
    ///     })
    /// })?;
    /// assert_eq!((port, token), (Some(6881), Some(&b"ab"[..])));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn each_entry<E: From<Error>>(
        self,
        mut function: impl FnMut(&'a [u8], Item<'_, 'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let cursor = self.cursor;
        let level = cursor.begin(b'd', Kind::Dict)?;
        let mut last = Level::DICT;
        loop {
            let key = match cursor.source.get(cursor.at) {
                Some(&first @ b'0'..=b'9') => cursor.key(first, &mut last)?,
                Some(b'e') => break cursor.end(level).map_err(E::from),
                found => break Err(no_key(cursor.here(), found.copied()).into()),
            };
            let (value, tokens) = (cursor.at, cursor.tokens);
            cursor.open = level + 1;
            function(key, Item { cursor })?;
            if cursor.open > level {
                cursor.pass(value, tokens, level)?;
            }
        }
    }

    /// Checks and passes over the element and gives its source bytes, exactly as they stand: what an info hash is taken of.
    ///
    /// ```
    /// use bip::proto::bencode::{self, Limits};
    /// let span = bencode::read(b"l2:abd1:bi1e1:ali2eeee", &Limits::default(), |value| {
    ///     let mut list = value.list()?;
    ///     list.next()?;
    ///     list.next()?.map_or(Ok(&b""[..]), |value| value.span())
    /// })?;
    /// assert_eq!(span, b"d1:bi1e1:ali2eee");
    /// # Ok::<(), bencode::Error>(())
    /// ```
    #[inline(always)]
    pub fn span(self) -> Result<&'a [u8], Error> {
        let cursor = self.cursor;
        let start = cursor.at;
        cursor.pass(start, cursor.tokens, cursor.open - 1)?;
        Ok(cursor.source.get(start..cursor.at).unwrap_or_default())
    }

    /// Gives the way from the root to this element, such as `info.files[3].length`; empty for the root.
    ///
    /// For messages: it costs a walk over what stands before the element. Long keys are cut.
    pub fn path(&self) -> String {
        walk::path_to(self.cursor.source, self.cursor.at)
    }

    #[inline(always)]
    fn enter(self, begin: u8, kind: Kind) -> Result<Inside<'c, 'a>, Error> {
        let cursor = self.cursor;
        let start = cursor.at;
        let level = cursor.begin(begin, kind)?;
        Ok(Inside { start, value: start + 1, tokens: cursor.tokens, level, cursor })
    }
}

/// A list or dictionary that has been entered.
#[derive(Debug)]
struct Inside<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    /// Where it starts.
    start: usize,
    /// How many are open when this one is the innermost.
    level: usize,
    /// Where the value given last starts, and how many tokens were left then: from there it is passed over if it has not been read.
    value: usize,
    tokens: usize,
}

impl<'a> Inside<'_, 'a> {
    /// Goes to after the value given last. Gives whether there can be more.
    #[inline(always)]
    fn go_on(&mut self) -> Result<bool, Error> {
        if self.cursor.open > self.level {
            self.cursor.pass(self.value, self.tokens, self.level)?;
        }
        Ok(self.cursor.open == self.level)
    }

    #[inline(always)]
    fn give(&mut self) -> Item<'_, 'a> {
        self.value = self.cursor.at;
        self.tokens = self.cursor.tokens;
        self.cursor.open = self.level + 1;
        Item { cursor: self.cursor }
    }
}

/// The elements of a list, one after the other.
#[derive(Debug)]
pub struct Items<'c, 'a> {
    level: Inside<'c, 'a>,
}

impl<'a> Items<'_, 'a> {
    /// Gives the next element; none at the end of the list.
    ///
    /// # Errors
    ///
    /// Says what is wrong, also in what was not read of the element before.
    #[expect(clippy::should_implement_trait, reason = "an item borrows the list: an Iterator cannot give it")]
    #[inline(always)]
    pub fn next(&mut self) -> Result<Option<Item<'_, 'a>>, Error> {
        let inside = &mut self.level;
        if !inside.go_on()? {
            return Ok(None);
        }
        match inside.cursor.source.get(inside.cursor.at) {
            Some(b'e') => inside.cursor.end(inside.level).map(|()| None),
            Some(_) => Ok(Some(inside.give())),
            None => Err(no_element(inside.cursor.at)),
        }
    }

    /// Gives the offset in the input at which the list starts.
    pub fn position(&self) -> usize {
        self.level.start
    }
}

/// The keys and values of a dictionary, one after the other in the order of the input.
#[derive(Debug)]
pub struct Entries<'c, 'a> {
    level: Inside<'c, 'a>,
    /// With the last key.
    last: Level,
}

impl<'a> Entries<'_, 'a> {
    /// Gives the next key and its value; none at the end of the dictionary.
    ///
    /// # Errors
    ///
    /// Says what is wrong, also in what was not read of the value before.
    #[expect(clippy::should_implement_trait, reason = "an item borrows the dictionary: an Iterator cannot give it")]
    #[expect(clippy::type_complexity, reason = "a key and an item, as every use of it takes apart at once")]
    #[inline(always)]
    pub fn next(&mut self) -> Result<Option<(&'a [u8], Item<'_, 'a>)>, Error> {
        let inside = &mut self.level;
        if !inside.go_on()? {
            return Ok(None);
        }
        match inside.cursor.source.get(inside.cursor.at) {
            Some(&first @ b'0'..=b'9') => {
                let key = inside.cursor.key(first, &mut self.last)?;
                Ok(Some((key, inside.give())))
            }
            Some(b'e') => inside.cursor.end(inside.level).map(|()| None),
            found => Err(no_key(inside.cursor.here(), found.copied())),
        }
    }

    /// Gives the offset in the input at which the dictionary starts.
    pub fn position(&self) -> usize {
        self.level.start
    }

    /// Makes the error for a key that should have come.
    #[cold]
    #[inline(never)]
    pub fn missing(&self, key: impl AsRef<[u8]>) -> Error {
        let mut path = walk::path_to(self.level.cursor.source, self.level.start);
        push_key(&mut path, key.as_ref());
        Error::MissingKey { path, at: self.level.start }
    }
}

#[cold]
#[inline(never)]
fn no_element(at: usize) -> Error {
    Error::UnexpectedEnd { at, expected: "a value or the end of the list" }
}

#[cold]
#[inline(never)]
fn no_key(here: Here, found: Option<u8>) -> Error {
    let at = here.at;
    match found {
        None => Error::UnexpectedEnd { at, expected: "a key or the end of the dictionary" },
        Some(_) if here.tokens == 0 => Error::TooManyTokens { at, limit: here.token_limit },
        Some(_) => Error::KeyNotString { at },
    }
}

/// Where a cursor is, for who makes an error of it: passed by value, so that the cursor itself can stay in registers.
struct Here {
    at: usize,
    open: usize,
    tokens: usize,
    token_limit: usize,
}

#[cold]
#[inline(never)]
fn no_value(here: Here, found: Option<u8>) -> Error {
    let at = here.at;
    match found {
        None => Error::UnexpectedEnd { at, expected: "a value" },
        Some(_) if here.tokens == 0 => Error::TooManyTokens { at, limit: here.token_limit },
        // In a list it is the end of the list.
        Some(b'e') if here.open > 1 => Error::MissingValue { at },
        Some(byte) => Error::UnexpectedByte { at, byte, expected: "a value" },
    }
}

#[cold]
#[inline(never)]
fn wrong_kind(source: &[u8], here: Here, expected: Kind) -> Error {
    let at = here.at;
    let found = match source.get(at).copied() {
        Some(b'0'..=b'9') => Kind::Bytes,
        Some(b'i') => Kind::Integer,
        Some(b'l') => Kind::List,
        Some(b'd') => Kind::Dict,
        found => return no_value(here, found),
    };
    Error::WrongKind { path: walk::path_to(source, at), at, expected, found }
}

#[cold]
#[inline(never)]
fn wrong_length(source: &[u8], at: usize, expected: usize, found: usize) -> Error {
    Error::WrongLength { path: walk::path_to(source, at), at, expected, found }
}

#[cold]
#[inline(never)]
fn not_utf8(source: &[u8], at: usize) -> Error {
    Error::NotUtf8 { path: walk::path_to(source, at), at }
}
