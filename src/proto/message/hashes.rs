use byteorder::{BigEndian, ByteOrder};
use std::fmt;

/// How many bytes say which hashes are meant.
pub const HASH_SPAN_LEN: usize = 48;

/// The most hashes of one layer that BEP 52 lets a request ask for.
const MOST_HASHES: u32 = 512;

/// A run of hashes in one layer of a file's tree, and the hashes that prove them: what the three hash messages name (BEP 52).
///
/// Its values are what the peer wrote; [`HashSpan::check`] and [`HashSpan::check_in`] say whether they make sense.
///
/// ```
/// use bip::proto::message::{HashSpan, HashSpanError};
/// let root = [7; 32];
/// let span = HashSpan { root: &root, base_layer: 0, index: 8, length: 4, proof_layers: 3 };
/// assert_eq!(span.check(), Ok(()));
/// // Twelve blocks make a tree of 16 leaves. Of its three further layers the first comes out of the four hashes.
/// assert_eq!(span.check_in(12), Ok(()));
/// assert_eq!(span.hash_count(), 4 + 2);
/// assert_eq!(HashSpan { index: 6, ..span }.check(), Err(HashSpanError::Index { index: 6, length: 4 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashSpan<'a> {
    /// The root of the file's tree: the file's name.
    pub root: &'a [u8; 32],
    /// How many layers above the leaves the run is; 0 for the hashes of blocks.
    pub base_layer: u32,
    /// Which hash of its layer is the run's first.
    pub index: u32,
    /// How many hashes of the layer are in the run.
    pub length: u32,
    /// How many layers above the run are to be proved.
    pub proof_layers: u32,
}

impl<'a> HashSpan<'a> {
    /// Reads the fields.
    pub fn from_bytes(bytes: &'a [u8; HASH_SPAN_LEN]) -> Self {
        // Both parts are within the 48 bytes, whatever is in them.
        let (root, numbers) = bytes.split_first_chunk().expect("48 is more than 32");
        let mut words = [0; 4];
        BigEndian::read_u32_into(numbers, &mut words);
        let [base_layer, index, length, proof_layers] = words;
        Self { root, base_layer, index, length, proof_layers }
    }

    /// Gives the bytes.
    pub fn to_bytes(self) -> [u8; HASH_SPAN_LEN] {
        let mut bytes = [0; HASH_SPAN_LEN];
        bytes[..32].copy_from_slice(self.root);
        let words = [self.base_layer, self.index, self.length, self.proof_layers];
        BigEndian::write_u32_into(&words, &mut bytes[32..]);
        bytes
    }

    /// Gives how many hashes answer a request for this: the run, and one for each layer to be proved that does not come out of
    /// the run itself.
    pub fn hash_count(&self) -> u32 {
        // The first log2(length) - 1 proof layers are left out, but counted (BEP 52).
        let within = self.length.checked_ilog2().unwrap_or(0).saturating_sub(1);
        self.length.saturating_add(self.proof_layers.saturating_sub(within))
    }

    /// Checks what BEP 52 demands of every request, whatever the file.
    ///
    /// # Errors
    ///
    /// Says which rule is broken. More than 512 hashes, which a request "should not" ask for, are refused too.
    pub fn check(&self) -> Result<(), HashSpanError> {
        let Self { index, length, base_layer, proof_layers, .. } = *self;
        if length < 2 || !length.is_power_of_two() || length > MOST_HASHES {
            return Err(HashSpanError::Length { length });
        }
        if index % length != 0 {
            return Err(HashSpanError::Index { index, length });
        }
        // 2^63 blocks are more than any file has.
        match base_layer.checked_add(proof_layers) {
            Some(top) if top < 64 => Ok(()),
            _ => Err(HashSpanError::Layer { base_layer, proof_layers, height: 64 }),
        }
    }

    /// Checks also that the run and its proof lie in the tree of a file of so many blocks of 16 KiB.
    ///
    /// The tree's bottom layer counts as filled up to a power of two, as BEP 52 does.
    ///
    /// # Errors
    ///
    /// Says which rule is broken.
    pub fn check_in(&self, blocks: u64) -> Result<(), HashSpanError> {
        self.check()?;
        let Self { index, length, base_layer, proof_layers, .. } = *self;
        // How many layers are above the leaves.
        let height = blocks.max(1).checked_next_power_of_two().map_or(64, u64::ilog2);
        if base_layer.saturating_add(proof_layers) > height {
            return Err(HashSpanError::Layer { base_layer, proof_layers, height });
        }
        // Neither shift nor sum is out of range: the height is 64 at most, and what is over 32 bits wide holds every index.
        let width = 1u64.checked_shl(height - base_layer).unwrap_or(u64::MAX);
        if u64::from(index) + u64::from(length) > width {
            return Err(HashSpanError::PastEnd { index, length, width });
        }
        Ok(())
    }
}

/// Why no file has the hashes that were asked for, or why nobody may ask for them at once. The fault is the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashSpanError {
    /// The number of hashes is not a power of two from 2 to 512.
    Length {
        /// How many were asked for.
        length: u32,
    },
    /// The first hash is not at a multiple of their number.
    Index {
        /// Which hash is the first.
        index: u32,
        /// How many were asked for.
        length: u32,
    },
    /// The tree is not that high.
    Layer {
        /// The layer of the hashes.
        base_layer: u32,
        /// How many layers above it were to be proved.
        proof_layers: u32,
        /// How many layers the tree has above its leaves.
        height: u32,
    },
    /// The layer has fewer hashes.
    PastEnd {
        /// Which hash is the first.
        index: u32,
        /// How many were asked for.
        length: u32,
        /// How many the layer has.
        width: u64,
    },
}

impl fmt::Display for HashSpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { length } => write!(f, "{length} hashes; it must be a power of two from 2 to {MOST_HASHES}"),
            Self::Index { index, length } => write!(f, "{length} hashes from {index}; it must be a multiple"),
            Self::Layer { base_layer, proof_layers, height } => {
                write!(f, "hashes of layer {base_layer} and proof of {proof_layers} more; the tree has {height}")
            }
            Self::PastEnd { index, length, width } => {
                write!(f, "{length} hashes from {index} of a layer that has {width}")
            }
        }
    }
}

impl std::error::Error for HashSpanError {}

/// Hashes as they stand in a message (BEP 52): which they are, the run itself from left to right, then the proof from the bottom up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hashes<'a> {
    // As bytes, so that a message is no bigger than one with a block.
    span: &'a [u8; HASH_SPAN_LEN],
    hashes: &'a [u8],
}

impl<'a> Hashes<'a> {
    /// Takes the fields ([`HashSpan::to_bytes`]) and the hashes, one after the other; `None` where the last is cut.
    pub fn new(span: &'a [u8; HASH_SPAN_LEN], hashes: &'a [u8]) -> Option<Self> {
        (hashes.len() % 32 == 0).then_some(Self { span, hashes })
    }

    /// Gives what was asked for.
    pub fn span(self) -> HashSpan<'a> {
        HashSpan::from_bytes(self.span)
    }

    /// Gives the bytes of all hashes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.hashes
    }

    /// Gives how many hashes there are.
    pub fn len(self) -> usize {
        self.hashes.len() / 32
    }

    /// Says whether there is none.
    pub fn is_empty(self) -> bool {
        self.hashes.is_empty()
    }

    /// Goes over the hashes.
    pub fn iter(self) -> impl ExactSizeIterator<Item = [u8; 32]> + DoubleEndedIterator + Clone + use<'a> {
        self.hashes.chunks_exact(32).map(|hash| {
            let mut copy = [0; 32];
            copy.copy_from_slice(hash);
            copy
        })
    }

    /// Says whether there are as many hashes as what they answer asks for.
    pub fn is_whole(self) -> bool {
        u32::try_from(self.len()) == Ok(self.span().hash_count())
    }

    pub(super) fn span_bytes(self) -> &'a [u8; HASH_SPAN_LEN] {
        self.span
    }
}

impl fmt::Debug for Hashes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashes").field("span", &self.span()).field("count", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: HashSpan<'static> = HashSpan { root: &[1; 32], base_layer: 0, index: 0, length: 2, proof_layers: 0 };

    #[test]
    fn a_length_is_a_power_of_two_within_bounds() {
        for length in (0..2000).chain([u32::MAX, 1 << 31]) {
            let right = [2, 4, 8, 16, 32, 64, 128, 256, 512].contains(&length);
            assert_eq!(HashSpan { length, ..SPAN }.check().is_ok(), right, "{length}");
        }
    }

    #[test]
    fn an_index_is_a_multiple_of_the_length() {
        for (index, length, right) in [(0, 512, true), (512, 512, true), (256, 512, false), (3, 2, false), (6, 2, true)]
        {
            assert_eq!(HashSpan { index, length, ..SPAN }.check().is_ok(), right);
        }
    }

    #[test]
    fn the_run_and_its_proof_lie_in_the_tree() {
        let at = |base_layer, index, length, proof_layers| HashSpan { base_layer, index, length, proof_layers, ..SPAN };
        for (span, blocks, right) in [
            (at(0, 0, 2, 0), 2, true),
            (at(0, 0, 2, 1), 2, true),
            (at(0, 0, 2, 2), 2, false),
            (at(0, 2, 2, 0), 2, false),
            // Filled up from three.
            (at(0, 2, 2, 2), 3, true),
            (at(1, 0, 2, 1), 3, true),
            (at(1, 2, 2, 0), 3, false),
            (at(2, 0, 2, 0), 3, false),
            // A file of one block has no layers that one could ask for.
            (at(0, 0, 2, 0), 1, false),
            (at(0, 0, 2, 0), 0, false),
            (at(0, u32::MAX - 1, 2, 0), u64::MAX, true),
            (at(60, 0, 2, 3), u64::MAX, true),
            (at(60, 0, 2, 4), u64::MAX, false),
            (at(63, 0, 2, 0), u64::MAX, true),
            (at(u32::MAX, 0, 2, u32::MAX), u64::MAX, false),
        ] {
            assert_eq!(span.check_in(blocks).is_ok(), right, "{span:?} of {blocks}");
        }
    }

    #[test]
    fn proof_layers_within_the_run_need_no_hash() {
        // Four hashes give the layer above them, and that one the next: two further layers have one hash each to add.
        for (length, proof_layers, hashes) in [(2, 0, 2), (2, 1, 3), (4, 1, 4), (4, 2, 5), (512, 8, 512), (512, 9, 513)]
        {
            let span = HashSpan { length, proof_layers, ..SPAN };
            assert_eq!(span.hash_count(), hashes, "{length} and {proof_layers}");
            let (fields, bytes) = (span.to_bytes(), vec![0; hashes as usize * 32]);
            assert!(Hashes::new(&fields, &bytes).unwrap().is_whole());
            assert!(!Hashes::new(&fields, &bytes[32..]).unwrap().is_whole());
        }
        let most = HashSpan { length: u32::MAX, proof_layers: u32::MAX, ..SPAN };
        assert_eq!(most.hash_count(), u32::MAX);
        assert_eq!(HashSpan { length: 0, ..SPAN }.hash_count(), 0);
    }
}
