//! A value that owns what is in it, to be built, changed and encoded.

use super::error::Kind;
use super::value::Value;
use super::writer::Number;
use std::collections::{BTreeMap, btree_map};
use std::fmt;

/// An element that owns its parts, for who builds or edits a value piece by piece. To write a message, [`encode_dict`](super::encode_dict)
/// is shorter and faster.
///
/// It may be of any depth: encoding, copying and dropping it need no stack.
///
/// ```
/// use bip::proto::bencode::{Document, Limits, Tree};
/// let document = Document::decode(b"d4:infod4:name1:aee", &Limits::default())?;
/// let mut torrent = Tree::from(document.root());
/// torrent.set("announce", "udp://tracker.example:6969");
/// if let Some(info) = torrent.get_mut("info") {
///     info.set("private", 1);
///     info.set("sizes", Tree::list([1, 2, 3]));
/// }
/// assert_eq!(
///     torrent.encode(),
///     b"d8:announce26:udp://tracker.example:69694:infod4:name1:a7:privatei1e5:sizesli1ei2ei3eeee"
/// );
/// # Ok::<(), bip::proto::bencode::Error>(())
/// ```
pub enum Tree {
    /// An integer.
    Int(i64),
    /// A string.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Tree>),
    /// A dictionary.
    Dict(BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    /// Makes a list.
    pub fn list(elements: impl IntoIterator<Item = impl Into<Tree>>) -> Self {
        Tree::List(elements.into_iter().map(Into::into).collect())
    }

    /// Makes a dictionary. Of a key given twice the value given last stays.
    pub fn dict(entries: impl IntoIterator<Item = (impl Into<Vec<u8>>, impl Into<Tree>)>) -> Self {
        Tree::Dict(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// Gives the element's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Tree::Int(_) => Kind::Integer,
            Tree::Bytes(_) => Kind::Bytes,
            Tree::List(_) => Kind::List,
            Tree::Dict(_) => Kind::Dict,
        }
    }

    /// Gives an integer's value.
    pub fn as_int(&self) -> Option<i64> {
        if let Tree::Int(value) = self { Some(*value) } else { None }
    }

    /// Gives a string's bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Tree::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// Gives a list's elements.
    pub fn as_list(&self) -> Option<&[Tree]> {
        if let Tree::List(list) = self { Some(list) } else { None }
    }

    /// Gives a list's elements, to be changed.
    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Tree>> {
        if let Tree::List(list) = self { Some(list) } else { None }
    }

    /// Gives a dictionary's entries.
    pub fn as_dict(&self) -> Option<&BTreeMap<Vec<u8>, Tree>> {
        if let Tree::Dict(dict) = self { Some(dict) } else { None }
    }

    /// Gives a dictionary's entries, to be changed.
    pub fn as_dict_mut(&mut self) -> Option<&mut BTreeMap<Vec<u8>, Tree>> {
        if let Tree::Dict(dict) = self { Some(dict) } else { None }
    }

    /// Gives the value of a key; none if this is no dictionary either.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&Tree> {
        self.as_dict()?.get(key.as_ref())
    }

    /// Gives the value of a key, to be changed.
    pub fn get_mut(&mut self, key: impl AsRef<[u8]>) -> Option<&mut Tree> {
        self.as_dict_mut()?.get_mut(key.as_ref())
    }

    /// Gives a key a value and gives the one it had. What is no dictionary becomes one.
    pub fn set(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Tree>) -> Option<Tree> {
        if !matches!(self, Tree::Dict(_)) {
            *self = Tree::Dict(BTreeMap::new());
        }
        self.as_dict_mut()?.insert(key.into(), value.into())
    }

    /// Adds an element at the end of a list. What is no list becomes one.
    pub fn push(&mut self, value: impl Into<Tree>) {
        if !matches!(self, Tree::List(_)) {
            *self = Tree::List(Vec::new());
        }
        if let Tree::List(list) = self {
            list.push(value.into());
        }
    }

    /// Encodes the element.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Encodes the element to the end of what is there.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        self.steps(|step| match step {
            Step::Key(bytes) | Step::Bytes(bytes) => {
                out.extend_from_slice(Number::length(bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
            }
            Step::Int(value) => out.extend_from_slice(Number::integer(value).as_bytes()),
            Step::Begin { dict } => out.push(if dict { b'd' } else { b'l' }),
            Step::End => out.push(b'e'),
        });
    }

    /// Goes over the element and all that is in it.
    fn steps(&self, mut on: impl FnMut(Step<'_>)) {
        let mut open = Vec::new();
        let mut next = Some(self);
        loop {
            match next {
                Some(Tree::Int(value)) => on(Step::Int(*value)),
                Some(Tree::Bytes(bytes)) => on(Step::Bytes(bytes)),
                Some(Tree::List(list)) => {
                    on(Step::Begin { dict: false });
                    open.push(Left::List(list.iter()));
                }
                Some(Tree::Dict(dict)) => {
                    on(Step::Begin { dict: true });
                    open.push(Left::Dict(dict.iter()));
                }
                None => {
                    on(Step::End);
                    open.pop();
                }
            }
            next = match open.last_mut() {
                None => return,
                Some(Left::List(list)) => list.next(),
                Some(Left::Dict(dict)) => dict.next().map(|(key, value)| {
                    on(Step::Key(key));
                    value
                }),
            };
        }
    }

    /// Takes the elements out of a list or dictionary.
    fn take(&mut self, into: &mut Vec<Tree>) {
        match self {
            Tree::List(list) => into.append(list),
            Tree::Dict(dict) => into.extend(std::mem::take(dict).into_values()),
            Tree::Int(_) | Tree::Bytes(_) => {}
        }
    }
}

/// What is left of a list or dictionary.
enum Left<'t> {
    List(std::slice::Iter<'t, Tree>),
    Dict(btree_map::Iter<'t, Vec<u8>, Tree>),
}

/// One step on the way through an element.
pub(super) enum Step<'t> {
    /// The value comes next.
    Key(&'t [u8]),
    Int(i64),
    Bytes(&'t [u8]),
    Begin {
        dict: bool,
    },
    End,
}

/// Makes a tree of steps.
#[derive(Default)]
struct Builder {
    /// Lists and dictionaries that have not ended, each with the key that it stands at.
    open: Vec<(Vec<u8>, Tree)>,
    key: Vec<u8>,
    done: Option<Tree>,
}

impl Builder {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Key(key) => self.key = key.to_vec(),
            Step::Int(value) => self.add(Tree::Int(value)),
            Step::Bytes(bytes) => self.add(Tree::Bytes(bytes.to_vec())),
            Step::Begin { dict } => {
                let empty = if dict { Tree::Dict(BTreeMap::new()) } else { Tree::List(Vec::new()) };
                self.open.push((std::mem::take(&mut self.key), empty));
            }
            Step::End => {
                if let Some((key, tree)) = self.open.pop() {
                    self.key = key;
                    self.add(tree);
                }
            }
        }
    }

    fn add(&mut self, tree: Tree) {
        match self.open.last_mut() {
            Some((_, Tree::List(list))) => list.push(tree),
            // As a look-up: of a key that the input has twice, the first counts.
            Some((_, Tree::Dict(dict))) => {
                dict.entry(std::mem::take(&mut self.key)).or_insert(tree);
            }
            _ => self.done = Some(tree),
        }
    }

    fn done(self) -> Tree {
        // There is always one: the steps are those of one element.
        self.done.unwrap_or(Tree::Int(0))
    }
}

impl Clone for Tree {
    fn clone(&self) -> Self {
        let mut builder = Builder::default();
        self.steps(|step| builder.step(step));
        builder.done()
    }
}

impl From<Value<'_, '_>> for Tree {
    fn from(value: Value<'_, '_>) -> Self {
        let mut builder = Builder::default();
        value.steps(|step| builder.step(step));
        builder.done()
    }
}

/// Two elements are equal if their encodings are.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}

impl Eq for Tree {}

impl Drop for Tree {
    fn drop(&mut self) {
        let mut open = Vec::new();
        self.take(&mut open);
        while let Some(mut tree) = open.pop() {
            tree.take(&mut open);
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({})", self.encode().escape_ascii())
    }
}

impl From<i64> for Tree {
    fn from(value: i64) -> Self {
        Tree::Int(value)
    }
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Tree::Bytes(text.into())
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Self {
        Tree::Bytes(text.into())
    }
}

impl From<&[u8]> for Tree {
    fn from(bytes: &[u8]) -> Self {
        Tree::Bytes(bytes.into())
    }
}

impl<const N: usize> From<&[u8; N]> for Tree {
    fn from(bytes: &[u8; N]) -> Self {
        Tree::Bytes(bytes.into())
    }
}

impl From<Vec<u8>> for Tree {
    fn from(bytes: Vec<u8>) -> Self {
        Tree::Bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bencode::{Document, Limits, Rules};

    #[test]
    fn a_tree_is_built_edited_and_encoded() {
        let mut tree = Tree::dict([("b", Tree::from(-560)), ("a", Tree::list(["x", "y"]))]);
        assert_eq!(tree.encode(), b"d1:al1:x1:ye1:bi-560ee");
        assert_eq!(tree.get("b").and_then(Tree::as_int), Some(-560));
        assert_eq!(tree.get("a").and_then(Tree::as_list).map(<[Tree]>::len), Some(2));
        assert_eq!(tree.set("b", &[0xff]), Some(Tree::Int(-560)));
        tree.get_mut("a").unwrap().push(Tree::Dict(BTreeMap::new()));
        tree.as_dict_mut().unwrap().entry(b"c".to_vec()).or_insert_with(|| Tree::from(1));
        tree.as_dict_mut().unwrap().remove(&b"c"[..]);
        assert_eq!(tree.encode(), b"d1:al1:x1:ydee1:b1:\xffe");
        assert_eq!(tree.get_mut("a").unwrap().as_list_mut().unwrap().remove(0).as_bytes(), Some(&b"x"[..]));
        assert_eq!(tree.get("no"), None);
        assert_eq!(tree.get("a").unwrap().get("not a dictionary"), None);
        assert_eq!(tree.kind(), Kind::Dict);
        tree.push(0);
        assert_eq!(tree.encode(), b"li0ee");
        tree.set("", "");
        assert_eq!(tree.encode(), b"d0:0:e");
    }

    #[test]
    fn a_decoded_element_becomes_a_tree() {
        for source in [&b"i-1e"[..], b"0:", b"le", b"de", b"d0:lld1:a0:ei0eee1:bdee", b"lllee0:e"] {
            let document = Document::decode(source, &Limits::default()).unwrap();
            assert_eq!(Tree::from(document.root()).encode(), source);
        }
        let document = Document::decode(b"ld1:al1:bi1eee0:e", &Limits::default()).unwrap();
        let inner = document.root().list().unwrap().get(0).unwrap();
        assert_eq!(Tree::from(inner).encode(), b"d1:al1:bi1eee");
        // What is not canonical becomes so; of two keys the first stays, as for who looks it up.
        let document = Document::decode_by(b"d1:bi1e1:ai02e1:bi-0ee", &Limits::default(), Rules::LENIENT).unwrap();
        assert_eq!(Tree::from(document.root()).encode(), b"d1:ai2e1:bi1ee");
        assert_eq!(document.root().dict().unwrap().int("b"), Ok(1));
    }

    #[test]
    fn a_tree_of_any_depth_needs_no_stack() {
        let mut tree = Tree::Int(0);
        for level in 0..200_000 {
            tree = if level % 2 == 0 { Tree::List(vec![tree]) } else { Tree::dict([("k", tree)]) };
        }
        let bytes = tree.encode();
        let copy = tree.clone();
        assert!(copy == tree);
        drop(tree);
        let document = Document::decode(&bytes, &Limits { depth: usize::MAX, ..Limits::default() }).unwrap();
        assert!(Tree::from(document.root()) == copy);
    }
}
