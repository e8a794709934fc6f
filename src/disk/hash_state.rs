//! The hashes of a piece, on their way through its bytes.

use crate::proto::id::PieceIndex;
#[cfg(feature = "v2")]
use crate::proto::merkle::Hasher;
use crate::proto::metainfo::{Layout, PieceHash};
use crate::proto::sha1::Sha1;

/// What a piece is hashed with: SHA-1 of all of it, the hash tree of what belongs to its file, or both. It travels in jobs.
#[derive(Debug, Clone)]
pub(crate) struct HashState {
    sha1: Option<Sha1>,
    #[cfg(feature = "v2")]
    tree: Option<Box<Tree>>,
    /// The bytes before it are in the hashes.
    at: u32,
    /// Where the last byte that counts ends.
    end: u32,
}

/// The hash tree of a piece: of its first bytes alone, without the padding after them.
#[cfg(feature = "v2")]
#[derive(Debug, Clone)]
struct Tree {
    hasher: Hasher,
    length: u32,
    leaves: u64,
}

/// What the bytes of a piece came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) sha1: Option<[u8; 20]>,
    pub(crate) root: Option<[u8; 32]>,
}

/// What the hashes say of a piece's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All hashes that the torrent has of them are right.
    Good,
    Bad,
    /// Of a hybrid's two one is right and one is not: no bytes can be good.
    Contradiction,
}

impl HashState {
    /// Begins a piece of version 1.
    pub(crate) fn version_1(length: u32) -> Self {
        Self {
            sha1: Some(Sha1::new()),
            #[cfg(feature = "v2")]
            tree: None,
            at: 0,
            end: length,
        }
    }

    /// Begins a piece of a torrent with all hashes that its version has.
    pub(crate) fn of(layout: &Layout, piece: PieceIndex) -> Self {
        let state = Self::version_1(layout.geometry().length_of(piece));
        #[cfg(feature = "v2")]
        if let Some((length, leaves)) = layout.piece_tree(piece) {
            let tree = Some(Box::new(Tree { hasher: Hasher::new(), length, leaves }));
            let state = Self { tree, ..state };
            // Of version 2 alone the padding is no part of anything.
            return if layout.version().has_v1() { state } else { Self { sha1: None, end: length, ..state } };
        }
        state
    }

    /// Begins again.
    pub(crate) fn restart(&mut self) {
        self.at = 0;
        self.sha1 = self.sha1.as_ref().map(|_| Sha1::new());
        #[cfg(feature = "v2")]
        if let Some(tree) = &mut self.tree {
            tree.hasher = Hasher::new();
        }
    }

    /// Gives how many bytes are in the hashes.
    pub(crate) fn at(&self) -> u32 {
        self.at
    }

    /// Gives where the last byte that counts ends.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// Says whether all bytes that count are in the hashes.
    pub(crate) fn is_through(&self) -> bool {
        self.at >= self.end
    }

    /// Adds the next bytes of the piece, no more than up to its end.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        #[cfg(feature = "v2")]
        if let Some(tree) = &mut self.tree {
            let room = tree.length.saturating_sub(self.at) as usize;
            tree.hasher.update(bytes.get(..room).unwrap_or(bytes));
        }
        // Pieces are counted in 32 bits.
        self.at += bytes.len() as u32;
    }

    pub(crate) fn finish(self) -> Digests {
        #[cfg(feature = "v2")]
        let root = self.tree.map(|tree| tree.hasher.finish(tree.leaves));
        #[cfg(not(feature = "v2"))]
        let root = None;
        Digests { sha1: self.sha1.map(Sha1::finish), root }
    }

    /// Says whether the bytes are those of the piece.
    pub(crate) fn verdict(self, layout: &Layout, piece: PieceIndex) -> Verdict {
        let found = self.finish();
        let (first, second) = match layout.piece_check(piece) {
            Some(PieceHash::V1(hash)) => (found.sha1 == Some(*hash), None),
            Some(PieceHash::V2(root)) => (found.root == Some(*root.root), None),
            Some(PieceHash::Both(hash, root)) => (found.sha1 == Some(*hash), Some(found.root == Some(*root.root))),
            Some(PieceHash::Unknown) | None => (false, None),
        };
        match (first, second) {
            (true, None | Some(true)) => Verdict::Good,
            (false, None | Some(false)) => Verdict::Bad,
            (true, Some(false)) | (false, Some(true)) => Verdict::Contradiction,
        }
    }
}
