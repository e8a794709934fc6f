//! Handles on decoded elements.

use super::error::{Error, Kind};
use super::token::{Document, Tag, push_key, scan_integer};
use std::fmt;
use std::ops::Range;

/// A handle on one element of a [`Document`]; copying it is cheap.
///
/// `'a` is the life of the source bytes, `'d` that of the document: what is read from the element outlives the document.
#[derive(Clone, Copy)]
pub struct Value<'a, 'd> {
    document: &'d Document<'a>,
    index: usize,
}

impl<'a, 'd> Value<'a, 'd> {
    pub(super) fn new(document: &'d Document<'a>, index: usize) -> Self {
        Self { document, index }
    }

    /// Gives the element's kind.
    pub fn kind(self) -> Kind {
        self.document.token(self.index).tag().kind()
    }

    /// Gives the offset in the input at which the element starts.
    pub fn position(self) -> usize {
        self.document.token(self.index).start()
    }

    /// Gives where in the input the element stands, from its first byte to after its last.
    pub fn range(self) -> Range<usize> {
        self.position()..self.document.token(self.document.next(self.index)).start()
    }

    /// Gives the element's source bytes, exactly as they stand: what an info hash is taken of.
    ///
    /// ```
    /// use bip::proto::bencode::{Document, Limits};
    /// let document = Document::decode(b"d1:bi1e1:ali2eee", &Limits::default())?;
    /// assert_eq!(document.root().dict()?.required("a")?.span(), b"li2ee");
    /// # Ok::<(), bip::proto::bencode::Error>(())
    /// ```
    pub fn span(self) -> &'a [u8] {
        let Range { start, end } = self.range();
        self.document.slice(start, end)
    }

    /// Gives an integer's value.
    pub fn as_int(self) -> Option<i64> {
        match self.document.token(self.index).tag() {
            // Checked when the document was decoded.
            Tag::Integer => scan_integer(self.span(), 0).ok().map(|(value, _)| value),
            _ => None,
        }
    }

    /// Gives a string's bytes.
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        (self.kind() == Kind::Bytes).then(|| self.document.text(self.index))
    }

    /// Gives a string that is UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        self.as_bytes().and_then(|b| std::str::from_utf8(b).ok())
    }

    /// Gives a list.
    pub fn as_list(self) -> Option<List<'a, 'd>> {
        (self.kind() == Kind::List).then_some(List(self))
    }

    /// Gives a dictionary.
    pub fn as_dict(self) -> Option<Dict<'a, 'd>> {
        (self.kind() == Kind::Dict).then_some(Dict(self))
    }

    /// Gives an integer's value, or says where something else stands.
    pub fn int(self) -> Result<i64, Error> {
        self.as_int().ok_or_else(|| self.wrong_kind(Kind::Integer))
    }

    /// Gives a string's bytes, or says where something else stands.
    pub fn bytes(self) -> Result<&'a [u8], Error> {
        self.as_bytes().ok_or_else(|| self.wrong_kind(Kind::Bytes))
    }

    /// Gives a string that is UTF-8, or says where something else stands.
    pub fn str(self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Error::NotUtf8 { path: self.path(), at: self.position() })
    }

    /// Gives a list, or says where something else stands.
    pub fn list(self) -> Result<List<'a, 'd>, Error> {
        self.as_list().ok_or_else(|| self.wrong_kind(Kind::List))
    }

    /// Gives a dictionary, or says where something else stands.
    pub fn dict(self) -> Result<Dict<'a, 'd>, Error> {
        self.as_dict().ok_or_else(|| self.wrong_kind(Kind::Dict))
    }

    /// Gives the way from the root to this element, such as `info.files[3].length`; empty for the root.
    ///
    /// For messages: it costs a walk over what stands before the element. Long keys are cut.
    pub fn path(self) -> String {
        self.document.path_to(self.index)
    }

    #[cold]
    fn wrong_kind(self, expected: Kind) -> Error {
        Error::WrongKind { path: self.path(), at: self.position(), expected, found: self.kind() }
    }
}

impl fmt::Debug for Value<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.span().escape_ascii())
    }
}

/// A handle on a list.
#[derive(Clone, Copy, Debug)]
pub struct List<'a, 'd>(Value<'a, 'd>);

impl<'a, 'd> List<'a, 'd> {
    /// Gives the element that is the list.
    pub fn value(self) -> Value<'a, 'd> {
        self.0
    }

    /// Goes over the elements in order.
    pub fn iter(self) -> ListIter<'a, 'd> {
        let Value { document, index } = self.0;
        ListIter { document, next: index + 1, end: document.next(index) - 1 }
    }

    /// Gives an element by number; the cost is in the number.
    pub fn get(self, index: usize) -> Option<Value<'a, 'd>> {
        self.iter().nth(index)
    }

    /// Says whether there is no element.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a, 'd> IntoIterator for List<'a, 'd> {
    type Item = Value<'a, 'd>;
    type IntoIter = ListIter<'a, 'd>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Goes over the elements of a [`List`].
#[derive(Clone, Debug)]
pub struct ListIter<'a, 'd> {
    document: &'d Document<'a>,
    next: usize,
    end: usize,
}

impl<'a, 'd> Iterator for ListIter<'a, 'd> {
    type Item = Value<'a, 'd>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.next < self.end).then(|| {
            let value = Value::new(self.document, self.next);
            self.next = self.document.next(self.next);
            value
        })
    }
}

/// A handle on a dictionary.
///
/// Looking up a key costs a walk over the dictionary's own keys (not over what is in its values).
#[derive(Clone, Copy, Debug)]
pub struct Dict<'a, 'd>(Value<'a, 'd>);

impl<'a, 'd> Dict<'a, 'd> {
    /// Gives the element that is the dictionary.
    pub fn value(self) -> Value<'a, 'd> {
        self.0
    }

    /// Goes over the keys and values in the order of the input.
    pub fn iter(self) -> DictIter<'a, 'd> {
        let Value { document, index } = self.0;
        DictIter { document, next: index + 1, end: document.next(index) - 1 }
    }

    /// Says whether there is no key.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// Gives the value of a key.
    pub fn get(self, key: impl AsRef<[u8]>) -> Option<Value<'a, 'd>> {
        let key = key.as_ref();
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// Gives the value of a key that must be there.
    pub fn required(self, key: impl AsRef<[u8]>) -> Result<Value<'a, 'd>, Error> {
        let key = key.as_ref();
        self.get(key).ok_or_else(|| self.missing(key))
    }

    /// Gives the integer of a key that must be there.
    pub fn int(self, key: impl AsRef<[u8]>) -> Result<i64, Error> {
        self.required(key)?.int()
    }

    /// Gives the string of a key that must be there.
    pub fn bytes(self, key: impl AsRef<[u8]>) -> Result<&'a [u8], Error> {
        self.required(key)?.bytes()
    }

    /// Gives the UTF-8 string of a key that must be there.
    pub fn str(self, key: impl AsRef<[u8]>) -> Result<&'a str, Error> {
        self.required(key)?.str()
    }

    /// Gives the list of a key that must be there.
    pub fn list(self, key: impl AsRef<[u8]>) -> Result<List<'a, 'd>, Error> {
        self.required(key)?.list()
    }

    /// Gives the dictionary of a key that must be there.
    pub fn dict(self, key: impl AsRef<[u8]>) -> Result<Dict<'a, 'd>, Error> {
        self.required(key)?.dict()
    }

    #[cold]
    fn missing(self, key: &[u8]) -> Error {
        let mut path = self.0.path();
        push_key(&mut path, key);
        Error::MissingKey { path, at: self.0.position() }
    }
}

impl<'a, 'd> IntoIterator for Dict<'a, 'd> {
    type Item = (&'a [u8], Value<'a, 'd>);
    type IntoIter = DictIter<'a, 'd>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Goes over the keys and values of a [`Dict`].
#[derive(Clone, Debug)]
pub struct DictIter<'a, 'd> {
    document: &'d Document<'a>,
    next: usize,
    end: usize,
}

impl<'a, 'd> Iterator for DictIter<'a, 'd> {
    type Item = (&'a [u8], Value<'a, 'd>);

    fn next(&mut self) -> Option<Self::Item> {
        (self.next < self.end).then(|| {
            let key = self.document.text(self.next);
            let value = Value::new(self.document, self.next + 1);
            self.next = self.document.next(self.next + 1);
            (key, value)
        })
    }
}
