//! The hash trees of BitTorrent v2 (BEP 52), behind the feature `v2`.
//!
//! The leaves of a file's tree are the SHA-256 of its blocks of 16 KiB, of which the last may be shorter. Leaves that are missing
//! to a power of two are zero: 32 bytes of 0, not the hash of anything. Layer 0 are the leaves; the piece layer is the one of
//! which a hash covers a piece.
//!
//! [`Hasher`] takes a piece's or a file's bytes and gives the root of its tree; [`Tree`] does the same for hashes that are known.
//! [`verify`] and [`prove`] are for `hash request` and `hashes` messages.
//!
//! ```
//! use bip::proto::merkle::{self, Hasher};
//! let mut hasher = Hasher::new();
//! hasher.update(&[0; 40_000]);
//! // Three blocks, so a tree of four leaves.
//! let root = hasher.finish(merkle::leaves(40_000));
//! let leaf = |length: usize| bip::proto::sha256::Sha256::digest(&vec![0; length]);
//! let left = merkle::parent(&leaf(16_384), &leaf(16_384));
//! assert_eq!(root, merkle::parent(&left, &merkle::parent(&leaf(40_000 - 32_768), &[0; 32])));
//! ```

use crate::proto::geometry::BLOCK_LENGTH;
use crate::proto::sha256::Sha256;

/// A hash of the tree.
pub type Hash = [u8; 32];

/// How many layers a tree can have above its leaves: more than any file needs.
const MAX_HEIGHT: u32 = 63;

/// Gives the hash above two others.
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut both = [0; 64];
    both[..32].copy_from_slice(left);
    both[32..].copy_from_slice(right);
    Sha256::digest(&both)
}

/// Gives the root of a subtree of that height of which all leaves are missing. At most 63 layers are gone up.
pub fn pad(height: u32) -> Hash {
    (0..height.min(MAX_HEIGHT)).fold([0; 32], |hash, _| parent(&hash, &hash))
}

/// Gives how many leaves the tree of so many bytes has: a power of two, at least 1.
pub fn leaves(length: u64) -> u64 {
    // Far from overflow: 2^64 bytes are 2^50 blocks.
    length.div_ceil(BLOCK_LENGTH.into()).max(1).next_power_of_two()
}

/// Gives how many layers a tree of so many leaves, a power of two, has above them.
pub fn height(leaves: u64) -> u32 {
    leaves.max(1).trailing_zeros()
}

/// Gives the number of the piece layer: the one of which a hash covers a piece of that length, a power of two from 16 KiB up.
pub fn piece_layer(piece_length: u32) -> u32 {
    (piece_length / BLOCK_LENGTH).max(1).trailing_zeros()
}

/// A tree that grows by hashes of one layer, from the left; it keeps only as many as it has layers.
#[derive(Debug, Clone)]
pub struct Tree {
    base: u32,
    count: u64,
    /// The roots of the complete subtrees, each bigger than the next: one for every bit of `count`.
    roots: Vec<Hash>,
}

impl Tree {
    /// Starts a tree of hashes of that layer.
    pub fn new(base: u32) -> Self {
        Self { base: base.min(MAX_HEIGHT), count: 0, roots: Vec::new() }
    }

    /// Adds the next hash of the layer.
    pub fn push(&mut self, hash: Hash) {
        let mut hash = hash;
        let mut rest = self.count;
        while rest & 1 == 1 {
            let Some(left) = self.roots.pop() else { break };
            hash = parent(&left, &hash);
            rest >>= 1;
        }
        self.roots.push(hash);
        self.count += 1;
    }

    /// Gives how many hashes were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Gives the root of a tree of that width: how many hashes the layer has with those that are missing, a power of two.
    ///
    /// A width that is too small is taken for the smallest that is enough.
    pub fn finish(mut self, width: u64) -> Hash {
        let width = width.max(self.count).max(1).next_power_of_two();
        let mut missing = None;
        // What is at the right end and not complete, one layer further up each time.
        let mut edge: Option<Hash> = None;
        for layer in 0..height(width) {
            let complete = if self.count >> layer & 1 == 1 { self.roots.pop() } else { None };
            let mut gap = || {
                let hash = match missing.take() {
                    Some((at, hash)) => (at..self.base + layer).fold(hash, |hash, _| parent(&hash, &hash)),
                    None => pad(self.base + layer),
                };
                missing = Some((self.base + layer, hash));
                hash
            };
            edge = match (complete, edge) {
                (Some(left), Some(right)) => Some(parent(&left, &right)),
                (Some(hash), None) | (None, Some(hash)) => Some(parent(&hash, &gap())),
                (None, None) => None,
            };
        }
        edge.or_else(|| self.roots.pop()).unwrap_or_else(|| pad(self.base + height(width)))
    }
}

/// Hashes the bytes of a piece or a file, in whatever portions they come.
///
/// The state may be moved to another thread between updates; a clone continues independently.
///
/// What a piece of a file has is `hasher.finish(width)` with the width that
/// [`PieceRoot::leaves`](crate::proto::metainfo::PieceRoot::leaves) gives.
#[derive(Debug, Clone)]
pub struct Hasher {
    block: Sha256,
    in_block: u32,
    tree: Tree,
}

impl Hasher {
    /// Starts a hash of nothing.
    pub fn new() -> Self {
        Self { block: Sha256::new(), in_block: 0, tree: Tree::new(0) }
    }

    /// Adds bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (BLOCK_LENGTH - self.in_block) as usize;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.block.update(now);
            // At most a block.
            self.in_block += now.len() as u32;
            if self.in_block == BLOCK_LENGTH {
                self.end_block();
            }
            bytes = rest;
        }
    }

    fn end_block(&mut self) {
        self.tree.push(std::mem::take(&mut self.block).finish());
        self.in_block = 0;
    }

    /// Ends the hash and gives the root of a tree of so many leaves, a power of two.
    ///
    /// A width that is too small is taken for the smallest that is enough.
    pub fn finish(mut self, leaves: u64) -> Hash {
        if self.in_block > 0 {
            self.end_block();
        }
        self.tree.finish(leaves)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives the root of a file's tree from its piece layer, as `piece layers` has it.
///
/// `None` where the layer is not of that file: the file is not longer than a piece, or there is another number of hashes.
///
/// ```
/// use bip::proto::merkle::{self, Hasher};
/// let bytes = vec![7; 100_000];
/// let layer: Vec<u8> = bytes
///     .chunks(32_768)
///     .flat_map(|piece| {
///         let mut hasher = Hasher::new();
///         hasher.update(piece);
///         hasher.finish(2)
///     })
///     .collect();
/// let mut whole = Hasher::new();
/// whole.update(&bytes);
/// assert_eq!(merkle::root_of_layer(&layer, 100_000, 32_768), Some(whole.finish(merkle::leaves(100_000))));
/// ```
pub fn root_of_layer(layer: &[u8], file_length: u64, piece_length: u32) -> Option<Hash> {
    let hashes = layer.chunks_exact(32);
    if piece_length == 0 || file_length <= piece_length.into() || !hashes.remainder().is_empty() {
        return None;
    }
    if hashes.len() as u64 != file_length.div_ceil(piece_length.into()) {
        return None;
    }
    let base = piece_layer(piece_length);
    let mut tree = Tree::new(base);
    hashes.for_each(|hash| tree.push(hash.try_into().expect("a chunk of 32 bytes is an array of 32 bytes")));
    Some(tree.finish(leaves(file_length) >> base))
}

/// Says whether hashes of a layer, with the uncles that lead from them to the root, belong to the tree of that root: what a
/// `hashes` message must pass.
///
/// `height` is how many layers the file's tree has above its leaves, `base` the layer that the hashes are of and `index` the
/// number of the first of them there. Refused are numbers of hashes that are not a power of two, an index that is not a multiple
/// of it or is past the layer's end, and too few or too many uncles.
pub fn verify(root: &Hash, height: u32, base: u32, index: u64, hashes: &[Hash], uncles: &[Hash]) -> bool {
    let length = hashes.len() as u64;
    if !length.is_power_of_two() || index % length != 0 || height > MAX_HEIGHT {
        return false;
    }
    let mut at = index / length;
    let layer = u64::from(base) + u64::from(length.trailing_zeros());
    if layer + uncles.len() as u64 != u64::from(height) || at >> uncles.len() != 0 {
        return false;
    }
    let mut tree = Tree::new(base);
    hashes.iter().for_each(|hash| tree.push(*hash));
    let mut hash = tree.finish(length);
    for uncle in uncles {
        hash = if at & 1 == 0 { parent(&hash, uncle) } else { parent(uncle, &hash) };
        at >>= 1;
    }
    hash == *root
}

/// Gives the hashes and uncles that answer a `hash request`, from the whole layer that is asked for (without the hashes that are
/// missing to a power of two).
///
/// `height` is how many layers the file's tree has above its leaves, `base` the number of the layer. `proof_layers` is how many
/// layers of ancestors are wanted; as BEP 52 says, those that follow from the hashes themselves are left out.
///
/// `None` where the request cannot be: a length that is less than 2 or not a power of two, an index that is not a multiple of it,
/// or a place outside the layer. The cost is in the layer's length.
pub fn prove(
    layer: &[Hash],
    height: u32,
    base: u32,
    index: u64,
    length: u64,
    proof_layers: u32,
) -> Option<(Vec<Hash>, Vec<Hash>)> {
    let width = 1_u64.checked_shl(height.checked_sub(base)?).filter(|_| height <= MAX_HEIGHT)?;
    let fits = length >= 2 && length.is_power_of_two() && length <= width && index % length == 0;
    if !fits || index.checked_add(length)? > width || layer.len() as u64 > width || index >= layer.len() as u64 {
        return None;
    }
    let of_layer = |range: std::ops::Range<u64>| {
        // Ends are cut to the layer, whose length is a `usize`.
        let end = range.end.min(layer.len() as u64) as usize;
        layer.get(range.start as usize..end).unwrap_or_default()
    };
    let mut hashes = of_layer(index..index + length).to_vec();
    let missing = pad(base);
    hashes.resize(usize::try_from(length).ok()?, missing);
    let of_hashes = length.trailing_zeros();
    let mut uncles = Vec::new();
    // The first layers of the proof lie within the hashes, all but the last of them.
    let wanted = (proof_layers + 1).saturating_sub(of_hashes).min(height - base - of_hashes);
    let (mut at, mut span) = (index / length, length);
    for _ in 0..wanted {
        let sibling = at ^ 1;
        let mut tree = Tree::new(base);
        let from = sibling * span;
        if from < layer.len() as u64 {
            of_layer(from..from + span).iter().for_each(|hash| tree.push(*hash));
        }
        uncles.push(tree.finish(span));
        at >>= 1;
        span *= 2;
    }
    Some((hashes, uncles))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(hash: Hash) -> String {
        hash.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn zeros(length: usize) -> String {
        let mut hasher = Hasher::new();
        hasher.update(&vec![0; length]);
        hex(hasher.finish(leaves(length as u64)))
    }

    #[test]
    fn the_roots_of_zeros_are_those_that_others_have() {
        for (length, root) in [
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (16_384, "4fe7b59af6de3b665b67788cc2f99892ab827efae3a467342b3bb4e3bc8e5bfe"),
            (16_385, "477e14ff3453ec4ec3855f8753cb07288aade5618a473ccc2ab1208886e460ec"),
            (32_768, "c36d0dd6a886e1fce758b6b5c531b703a1f21e8f6453785c390931cf8fa8a76d"),
            (49_152, "1cb5a249f6e721060aae623d21d3eca23056bda8c19e4e89f9a086151553713d"),
            (65_536, "60aae9c7b428f87e0713e88229e18f0adf12cd7b22a0dd8a92bb2485eb7af242"),
            (81_927, "810ff21f2d7717b2f5fff6284e8a1949821a7b0560c11d5f2cc748b651c576c8"),
        ] {
            assert_eq!(zeros(length), root, "{length}");
        }
        assert!(zeros(1 << 20).starts_with("515ea918"));
    }

    #[test]
    fn missing_subtrees_are_those_that_others_have() {
        let wanted = [
            "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b",
            "db56114e00fdd4c1f85c892bf35ac9a89289aaecb1ebd0a96cde606a748b5d71",
            "c78009fdf07fc56a11f122370658a353aaa542ed63e44c4bc15ff4cd105ab33c",
            "536d98837f2dd165a55d5eeae91485954472d56f246df256bf3cae19352a123c",
            "9efde052aa15429fae05bad4d0b1d7c64da64d03d7a1854a588c2cb8430c0d30",
            "d88ddfeed400a8755596b21942c1497e114c302e6118290f91e6772976041fa1",
        ];
        assert_eq!(pad(0), [0; 32]);
        for (height, wanted) in (1..).zip(wanted) {
            assert_eq!(hex(pad(height)), wanted);
            assert_eq!(hex(Tree::new(0).finish(1 << height)), wanted);
        }
    }

    /// The tree written out in full.
    fn layers(mut hashes: Vec<Hash>, base: u32, height: u32) -> Vec<Vec<Hash>> {
        hashes.resize(1 << (height - base), pad(base));
        let mut all = vec![hashes];
        while let Some(last) = all.last().filter(|last| last.len() > 1) {
            all.push(last.chunks(2).map(|pair| parent(&pair[0], &pair[1])).collect());
        }
        all
    }

    proptest! {
        #[test]
        fn a_tree_is_what_it_is_written_out_in_full(count in 0..70_usize, base in 0..4_u32, more in 0..3_u32) {
            let hashes: Vec<Hash> = (0..count).map(|i| Sha256::digest(&i.to_be_bytes())).collect();
            let height = base + height(count.max(1).next_power_of_two() as u64) + more;
            let mut tree = Tree::new(base);
            hashes.iter().for_each(|hash| tree.push(*hash));
            prop_assert_eq!(tree.count(), count as u64);
            prop_assert_eq!(tree.finish(1 << (height - base)), layers(hashes, base, height).pop().unwrap()[0]);
        }

        #[test]
        fn bytes_in_portions_have_the_root_of_the_whole(sizes in prop::collection::vec(1..40_000_usize, 1..6)) {
            let bytes: Vec<u8> = (0..sizes.iter().sum()).map(|i: usize| (i / 97) as u8).collect();
            let (mut parts, mut rest) = (Hasher::new(), &bytes[..]);
            for size in sizes {
                let (now, after) = rest.split_at(size);
                parts.update(now);
                rest = after;
            }
            let mut whole = Hasher::new();
            whole.update(&bytes);
            let leaf: Vec<Hash> = bytes.chunks(16 * 1024).map(Sha256::digest).collect();
            let width = leaves(bytes.len() as u64);
            prop_assert_eq!(parts.finish(width), whole.clone().finish(width));
            prop_assert_eq!(whole.finish(width), layers(leaf, 0, height(width)).pop().unwrap()[0]);
        }

        #[test]
        fn what_is_proved_is_verified_and_nothing_else(
            count in 1..70_usize, base in 0..3_u32, length_bits in 1..5_u32, at in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(),
        ) {
            let layer: Vec<Hash> = (0..count).map(|i| Sha256::digest(&i.to_be_bytes())).collect();
            let width = count.next_power_of_two().max(2) as u64;
            let (height, length) = (base + height(width), (1 << length_bits).min(width));
            let index = at.index(count) as u64 / length * length;
            let all = layers(layer.clone(), base, height);
            let root = all.last().unwrap()[0];
            let (hashes, uncles) = prove(&layer, height, base, index, length, 64).unwrap();
            prop_assert_eq!(&hashes[..], &all[0][index as usize..(index + length) as usize]);
            prop_assert!(verify(&root, height, base, index, &hashes, &uncles));
            // Any other place, length or hash is refused.
            prop_assert!(!verify(&root, height, base, index + length, &hashes, &uncles) || width == length);
            prop_assert!(!verify(&root, height, base, index + 1, &hashes, &uncles));
            prop_assert!(!verify(&root, height + 1, base, index, &hashes, &uncles));
            prop_assert!(!verify(&root, height, base, index, &hashes[1..], &uncles) || uncles.is_empty() && length == 2);
            let mut wrong = (hashes.clone(), uncles.clone());
            let which = flip.index(hashes.len() + uncles.len());
            match which.checked_sub(hashes.len()) {
                None => wrong.0[which][5] ^= 1,
                Some(uncle) => wrong.1[uncle][5] ^= 1,
            }
            prop_assert!(!verify(&root, height, base, index, &wrong.0, &wrong.1));
        }
    }

    #[test]
    fn layers_of_the_proof_within_the_hashes_are_left_out_and_counted() {
        let layer: Vec<Hash> = (0..16_u32).map(|i| Sha256::digest(&i.to_be_bytes())).collect();
        let uncles = |length, proof_layers| prove(&layer, 4, 0, 0, length, proof_layers).unwrap().1.len();
        assert_eq!([0, 1, 2, 3, 4].map(|layers| uncles(2, layers)), [0, 1, 2, 3, 3]);
        assert_eq!([0, 1, 2, 3, 4].map(|layers| uncles(4, layers)), [0, 0, 1, 2, 2]);
        assert_eq!(uncles(16, 9), 0);
    }

    #[test]
    fn a_request_that_cannot_be_has_no_answer() {
        let layer = vec![[1; 32]; 5];
        assert!(prove(&layer, 3, 0, 0, 2, 1).is_some());
        assert!(prove(&layer, 3, 0, 4, 2, 1).is_some());
        for (height, base, index, length) in [
            (3, 0, 0, 0),
            (3, 0, 0, 1),
            (3, 0, 0, 3),
            (3, 0, 1, 2),
            (3, 0, 6, 2),
            (3, 0, 8, 2),
            (3, 0, 0, 16),
            (3, 4, 0, 2),
            (2, 0, 0, 2),
            (200, 0, 0, 2),
            (3, 0, u64::MAX - 1, 2),
        ] {
            assert_eq!(prove(&layer, height, base, index, length, 9), None, "{height} {base} {index} {length}");
        }
        assert!(!verify(&[0; 32], 3, 0, 0, &[], &[]));
        assert!(!verify(&[0; 32], u32::MAX, u32::MAX, u64::MAX, &[[0; 32]], &[]));
    }

    #[test]
    fn a_layer_of_another_file_has_no_root() {
        let layer = vec![1; 64];
        assert!(root_of_layer(&layer, 20_000, 16_384).is_some());
        assert_eq!(root_of_layer(&layer, 16_384, 16_384), None);
        assert_eq!(root_of_layer(&layer, 40_000, 16_384), None);
        assert_eq!(root_of_layer(&layer[1..], 20_000, 16_384), None);
        assert_eq!(root_of_layer(&layer, 20_000, 0), None);
    }
}
