//! Handles on decoded elements.

use super::error::{Error, Kind, push_key};
use super::scan::integer_again;
use super::token::{Document, Tag};
use super::tree::Step;
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
            Tag::Integer => integer_again(self.span()),
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

    /// Goes over the element and all that is in it.
    pub(super) fn steps(self, mut on: impl FnMut(Step<'a>)) {
        let end = self.document.next(self.index);
        // Whether a key comes next, of each level that is open.
        let mut open: Vec<Option<bool>> = Vec::new();
        for index in self.index..end {
            let token = self.document.token(index);
            let key = match open.last_mut() {
                Some(Some(key)) if token.tag() != Tag::End => std::mem::replace(key, !*key),
                _ => false,
            };
            match token.tag() {
                Tag::Bytes if key => on(Step::Key(self.document.text(index))),
                Tag::Bytes => on(Step::Bytes(self.document.text(index))),
                Tag::Integer => on(Step::Int(Value::new(self.document, index).as_int().unwrap_or_default())),
                Tag::List | Tag::Dict | Tag::Unsorted => {
                    let dict = token.tag() != Tag::List;
                    open.push(dict.then_some(true));
                    on(Step::Begin { dict });
                }
                Tag::End => {
                    open.pop();
                    on(Step::End);
                }
            }
        }
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
/// Looking up a key costs a walk over the dictionary's own keys (not over what is in its values), and ends early where they are sorted.
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

    /// Gives the value of a key; the first, where [`Rules`](super::Rules) permit several.
    pub fn get(self, key: impl AsRef<[u8]>) -> Option<Value<'a, 'd>> {
        let key = key.as_ref();
        let sorted = self.0.document.token(self.0.index).tag() == Tag::Dict;
        for (found, value) in self.iter() {
            if found == key {
                return Some(value);
            }
            // Past the place where it would stand. Most keys differ in their first byte.
            if sorted && found.first() > key.first() {
                return None;
            }
        }
        None
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bencode::{DictEncoder, Limits, ListEncoder, encode_list};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq)]
    enum Tree {
        Int(i64),
        Bytes(Vec<u8>),
        List(Vec<Tree>),
        Dict(BTreeMap<Vec<u8>, Tree>),
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..12);
        let leaf = prop_oneof![any::<i64>().prop_map(Tree::Int), bytes().prop_map(Tree::Bytes)];
        leaf.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
                prop::collection::btree_map(bytes(), inner, 0..6).prop_map(Tree::Dict),
            ]
        })
    }

    fn write(list: &mut ListEncoder<'_>, tree: &Tree) {
        match tree {
            Tree::Int(i) => list.int(*i),
            Tree::Bytes(b) => list.bytes(b),
            Tree::List(l) => list.list(|out| l.iter().for_each(|t| write(out, t))),
            Tree::Dict(d) => list.dict(|out| write_entries(out, d)),
        }
    }

    /// In descending order, so that the encoder has to sort.
    fn write_entries(out: &mut DictEncoder<'_>, entries: &BTreeMap<Vec<u8>, Tree>) {
        for (key, tree) in entries.iter().rev() {
            match tree {
                Tree::Int(i) => out.int(key, *i),
                Tree::Bytes(b) => out.bytes(key, b),
                Tree::List(l) => out.list(key, |out| l.iter().for_each(|t| write(out, t))),
                Tree::Dict(d) => out.dict(key, |out| write_entries(out, d)),
            }
        }
    }

    fn read(value: Value<'_, '_>) -> Tree {
        match value.kind() {
            Kind::Integer => Tree::Int(value.int().unwrap()),
            Kind::Bytes => Tree::Bytes(value.bytes().unwrap().to_vec()),
            Kind::List => Tree::List(value.list().unwrap().iter().map(read).collect()),
            Kind::Dict => Tree::Dict(value.dict().unwrap().iter().map(|(k, v)| (k.to_vec(), read(v))).collect()),
        }
    }

    /// Every element's span, decoded by itself, is that element.
    fn check_spans(value: Value<'_, '_>) {
        let alone = Document::decode(value.span(), &Limits::default()).unwrap();
        assert_eq!(read(alone.root()), read(value));
        value.as_list().into_iter().flatten().for_each(check_spans);
        value.as_dict().into_iter().flatten().for_each(|(_, v)| check_spans(v));
    }

    fn encode(tree: &Tree) -> Vec<u8> {
        encode_list(|list| write(list, tree))
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(tree in tree()) {
            let bytes = encode(&tree);
            let document = Document::decode(&bytes, &Limits::default()).unwrap();
            prop_assert!(document.is_canonical());
            let value = document.root().list().unwrap().get(0).unwrap();
            prop_assert_eq!(read(value), tree);
            check_spans(value);
        }

        #[test]
        fn what_decodes_encodes_to_the_same_if_it_is_canonical(
            // Letters that are likely to make something.
            source in prop::collection::vec(prop::sample::select(b"lldieee0112:-a".to_vec()), 0..24),
        ) {
            if let Ok(document) = Document::decode(&source, &Limits::default()) {
                let again = encode(&read(document.root()));
                let again = &again[1..again.len() - 1];
                prop_assert_eq!(again == source, document.is_canonical());
            }
        }

        #[test]
        fn one_changed_byte_never_panics_nor_leads_outside(tree in tree(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = encode(&tree);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            match Document::decode(&bytes, &Limits::default()) {
                Ok(document) => check_spans(document.root()),
                Err(error) => prop_assert!(error.position() <= bytes.len()),
            }
        }
    }

    const NESTED: &[u8] = b"d4:dictd4:dictd1:xi1ee3:inti5e4:listli9ee3:str3:abce4:listld0:0:ei3eli4ee2:xyee";

    #[test]
    fn every_element_gives_its_exact_source_bytes() {
        let document = Document::decode(NESTED, &Limits::default()).unwrap();
        let root = document.root().dict().unwrap();
        let dict = root.dict("dict").unwrap();
        assert_eq!(dict.required("dict").unwrap().span(), b"d1:xi1ee");
        assert_eq!(dict.required("int").unwrap().span(), b"i5e");
        assert_eq!(dict.required("list").unwrap().span(), b"li9ee");
        assert_eq!(dict.required("str").unwrap().span(), b"3:abc");
        let spans: Vec<&[u8]> = root.list("list").unwrap().iter().map(Value::span).collect();
        assert_eq!(spans, [&b"d0:0:e"[..], b"i3e", b"li4ee", b"2:xy"]);
        let outlives = root.value().span();
        drop(document);
        assert_eq!(outlives, NESTED);
    }

    #[test]
    fn an_error_gives_the_path_and_the_byte() {
        let source = b"d4:infod5:filesld6:lengthi1eed6:lengthi2eed6:lengthi3eed6:length1:xeee3:n\"\n2:\xff\xfee";
        let document = Document::decode(source, &Limits::default()).unwrap();
        let root = document.root().dict().unwrap();
        let file = root.dict("info").unwrap().list("files").unwrap().get(3).unwrap().dict().unwrap();
        let error = |e: Result<i64, Error>| e.unwrap_err().to_string();
        assert_eq!(error(file.int("length")), "info.files[3].length: expected an integer, found a string at byte 64");
        assert_eq!(error(file.int("path")), "info.files[3].path: missing from the dictionary at byte 55");
        assert_eq!(error(document.root().int()), "expected an integer, found a dictionary at byte 0");
        let odd = root.str("n\"\n").unwrap_err();
        assert_eq!(odd.to_string(), "n\\\"\\n: expected UTF-8 text, found other bytes at byte 75");
        assert_eq!(source[75..77], *b"2:");
    }

    #[test]
    fn only_the_right_kind_is_given() {
        let document = Document::decode(NESTED, &Limits::default()).unwrap();
        let root = document.root();
        assert_eq!((root.as_int(), root.as_bytes(), root.as_str()), (None, None, None));
        assert!(root.as_list().is_none());
        assert!(root.as_dict().is_some_and(|d| d.get("no").is_none() && !d.is_empty()));
        let document = Document::decode(b"ld0:i5ee2:\xc3\xa41:\xffe", &Limits::default()).unwrap();
        let list = document.root().list().unwrap();
        assert_eq!(list.get(0).unwrap().dict().unwrap().int(""), Ok(5));
        assert_eq!(list.get(1).unwrap().as_str(), Some("ä"));
        assert_eq!(list.get(2).unwrap().as_str(), None);
        assert!(list.get(3).is_none());
    }
}
