//! What a piece is verified with.

/// What is known of a piece's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceHash<'l> {
    /// The SHA-1 of the whole piece (version 1).
    V1(&'l [u8; 20]),
    /// The root of a hash tree (version 2).
    V2(PieceRoot<'l>),
    /// Both: a good piece has both (hybrid).
    Both(&'l [u8; 20], PieceRoot<'l>),
    /// Nothing: a piece of version 2 whose file's piece layer is not known yet.
    Unknown,
}

impl<'l> PieceHash<'l> {
    /// Gives the SHA-1, where it is known.
    pub fn v1(self) -> Option<&'l [u8; 20]> {
        match self {
            PieceHash::V1(hash) | PieceHash::Both(hash, _) => Some(hash),
            PieceHash::V2(_) | PieceHash::Unknown => None,
        }
    }

    /// Gives the root of the hash tree, where it is known.
    pub fn v2(self) -> Option<PieceRoot<'l>> {
        match self {
            PieceHash::V2(root) | PieceHash::Both(_, root) => Some(root),
            PieceHash::V1(_) | PieceHash::Unknown => None,
        }
    }
}

/// The root of the hash tree of a piece, and of which bytes (BEP 52).
///
/// With the feature `v2`, a `merkle::Hasher` that is given the first `length` bytes of the piece has this root for
/// `finish(leaves)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceRoot<'l> {
    /// The root.
    pub root: &'l [u8; 32],
    /// How many bytes of the piece belong to its file, from the piece's beginning: at least 1. What follows is padding, and no
    /// part of the tree.
    pub length: u32,
    /// How many leaves the tree has, with those that are missing: a power of two. Those of a whole piece, but for a file that is
    /// not longer than a piece: its tree is only as wide as it has to be.
    pub leaves: u64,
}
