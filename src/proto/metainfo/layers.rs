//! The piece layers of version 2 (BEP 52).

use super::error::LayerError;
use super::layout::{Layers, Layout};
use crate::proto::id::FileIndex;
use crate::proto::merkle;
use std::collections::{BTreeMap, BTreeSet};

/// Checks layers against the roots of the files that need one, and puts them in order. Files whose layer is not given go without,
/// unless all are wanted. Gives how many of the layers given belong to a file.
pub(super) fn check<'b>(
    layout: &Layout,
    given: &BTreeMap<&'b [u8], &'b [u8]>,
    all: bool,
) -> Result<(Layers, usize), LayerError> {
    let piece_length = layout.geometry().piece_length();
    let (mut bytes, mut starts) = (Vec::new(), Vec::new());
    // Files with the same bytes have the same layer: it is checked and kept once.
    let mut known: BTreeMap<(&[u8; 32], u64), u32> = BTreeMap::new();
    let mut used = BTreeSet::new();
    for (file, entry) in layout.files_with_layers() {
        let Some(root) = layout.pieces_root(FileIndex(file)) else { continue };
        let count = entry.length.div_ceil(piece_length.into());
        if let Some(&start) = known.get(&(root, entry.length)) {
            starts.push((file, start));
            continue;
        }
        let Some(layer) = given.get(&root[..]) else {
            if all {
                return Err(LayerError::Missing { file: FileIndex(file) });
            }
            continue;
        };
        if layer.len() as u64 != count * 32 {
            return Err(LayerError::Length { file: FileIndex(file), expected: count * 32, found: layer.len() });
        }
        if merkle::root_of_layer(layer, entry.length, piece_length).as_ref() != Some(root) {
            return Err(LayerError::Hash { file: FileIndex(file) });
        }
        // Not more hashes than pieces, which are counted in 32 bits.
        let start = (bytes.len() / 32) as u32;
        bytes.extend_from_slice(layer);
        known.insert((root, entry.length), start);
        used.insert(*root);
        starts.push((file, start));
    }
    Ok((Layers { bytes: bytes.into(), starts }, used.len()))
}
