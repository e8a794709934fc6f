//! The nearest nodes that answered a lookup: its result.

use crate::dht::memory::Heap as _;
use crate::proto::compact::Node;
use crate::proto::id::NodeId;

/// What a node gave us to show when we store something with it (BEP 5): at most 128 bytes, as in every message that we take.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Box<[u8]>);

impl Token {
    /// The most bytes that a token may have.
    pub(crate) const MAX_LEN: usize = 128;

    /// Takes bytes as a token; `None` of too many.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= Self::MAX_LEN).then(|| Self(bytes.into()))
    }

    /// Gives the bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.0.escape_ascii())
    }
}

/// A node that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Which.
    pub(crate) node: Node,
    /// Its token, if it gave one: without it nothing can be stored there.
    pub(crate) token: Option<Token>,
    /// How many answers of others led to it: 0 for a node that we knew.
    pub(crate) hops: u16,
}

/// The nearest that answered, each id once, in the order of distance.
#[derive(Debug)]
pub(super) struct Closest {
    target: NodeId,
    list: Vec<Answered>,
    want: usize,
}

impl Closest {
    pub(super) fn new(target: NodeId, want: usize) -> Self {
        Self { target, list: Vec::new(), want }
    }

    pub(super) fn heap(&self) -> usize {
        let token = |answered: &Answered| answered.token.as_ref().map_or(0, |token| token.as_bytes().len());
        self.list.heap() + self.list.iter().map(token).sum::<usize>()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Answered> {
        self.list.iter()
    }

    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= self.want
    }

    pub(super) fn add(&mut self, node: Node, token: Option<&[u8]>, hops: u16) {
        let distance = self.target.distance(&node.id);
        let at = self.list.partition_point(|other| self.target.distance(&other.node.id) < distance);
        if at >= self.want || self.list.get(at).is_some_and(|other| other.node.id == node.id) {
            return;
        }
        // Only now is the token worth a copy.
        self.list.insert(at, Answered { node, token: token.and_then(Token::new), hops });
        self.list.truncate(self.want);
    }
}
