//! What a cursor gives: elements that are read once, and the lists and dictionaries that they stand in.

use super::cursor::Cursor;
use super::error::{Error, Kind, push_key};
use super::scan::Level;
use super::walk;

/// One element before it is read: it is read once, as what it should be, or not at all.
#[derive(Debug)]
pub struct Item<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
}

impl<'c, 'a> Item<'c, 'a> {
    #[inline(always)]
    pub(super) fn new(cursor: &'c mut Cursor<'a>) -> Self {
        Self { cursor }
    }

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
        let value = cursor.integer()?;
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
    pub fn each_item<E: From<Error>>(self, function: impl FnMut(Item<'_, 'a>) -> Result<(), E>) -> Result<(), E> {
        self.each_item_within(function).map(drop)
    }

    /// The same, and gives the source bytes of the list in the end.
    #[inline(always)]
    pub(crate) fn each_item_within<E: From<Error>>(
        self,
        mut function: impl FnMut(Item<'_, 'a>) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let cursor = self.cursor;
        let start = cursor.at;
        let level = cursor.begin(b'l', Kind::List)?;
        loop {
            match cursor.source.get(cursor.at) {
                Some(b'e') => {
                    cursor.end(level)?;
                    break Ok(cursor.source.get(start..cursor.at).unwrap_or_default());
                }
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

    /// Gives the values of some keys of a dictionary to a function, each with its key's place among them, in the order of the input, or says
    /// where something else stands. The fastest way through a dictionary of which the keys are known; ends at the first error. Values of other
    /// keys, and those that the function does not read, are checked and passed over.
    ///
    /// The keys may stand in any order and be of any length; those of up to nine bytes, sorted, are found the fastest.
    ///
    /// ```
    /// use bip::proto::bencode::{self, Error, Limits};
    /// let (mut length, mut parts) = (0, 0);
    /// bencode::read(b"d4:attr1:x6:lengthi42e4:pathl3:dir4:fileee", &Limits::default(), |file| {
    ///     file.each_of(["length", "path"], |which, value| match which {
    ///         0 => value.int().map(|n| length = n),
    ///         _ => value.each_item(|part| part.str().map(|_| parts += 1)),
    ///     })
    /// })?;
    /// assert_eq!((length, parts), (42, 2));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn each_of<const N: usize, E: From<Error>>(
        self,
        keys: [&str; N],
        mut function: impl FnMut(usize, Item<'_, 'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let cursor = self.cursor;
        let level = cursor.begin(b'd', Kind::Dict)?;
        let mut last = Level::DICT;
        loop {
            let which = match cursor.known_key(&keys, &mut last) {
                Some(which) => Some(which),
                None => match cursor.source.get(cursor.at) {
                    Some(&first @ b'0'..=b'9') => {
                        let key = cursor.key(first, &mut last)?;
                        keys.iter().position(|known| known.as_bytes() == key)
                    }
                    Some(b'e') => break cursor.end(level).map_err(E::from),
                    found => break Err(no_key(cursor.here(), found.copied()).into()),
                },
            };
            let (value, tokens) = (cursor.at, cursor.tokens);
            cursor.open = level + 1;
            if let Some(which) = which {
                function(which, Item { cursor })?;
            }
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
pub(super) struct Here {
    pub(super) at: usize,
    pub(super) open: usize,
    pub(super) tokens: usize,
    pub(super) token_limit: usize,
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
pub(super) fn wrong_kind(source: &[u8], here: Here, expected: Kind) -> Error {
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
