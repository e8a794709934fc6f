//! What is known of few files.

use super::safe_path::{NONE, SafePath, Store};
use std::sync::Arc;

/// The raw name of a file whose path has no parts.
pub(super) const NO_PARTS: u32 = NONE - 1;

/// What few files have. Places are those of strings in `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Detail {
    pub(super) file: u32,
    /// The file's name as given, where it is stored under another.
    pub(super) raw: u32,
    pub(super) md5: u32,
    pub(super) sha1: u32,
    pub(super) link: Option<(u32, u32)>,
}

impl Detail {
    pub(super) fn new(file: u32) -> Self {
        Self { file, raw: NONE, md5: NONE, sha1: NONE, link: None }
    }

    /// Gives the parts of the path as given, where the path is stored under another.
    pub(super) fn raw_path<'s>(detail: Option<&Self>, path: &SafePath, store: &'s Store) -> Option<Vec<&'s [u8]>> {
        match detail.map(|detail| detail.raw).filter(|raw| *raw != NONE) {
            Some(NO_PARTS) => Some(Vec::new()),
            Some(raw) => Some(store.raw(path.folder(), raw)),
            None => path.is_folder_repaired().then(|| store.raw(path.folder(), path.name_place())),
        }
    }

    pub(super) fn md5(&self, store: &Store) -> Option<[u8; 16]> {
        (self.md5 != NONE).then(|| decode_hex(store.text(self.md5))).flatten()
    }

    pub(super) fn sha1(&self, store: &Store) -> Option<[u8; 20]> {
        (self.sha1 != NONE).then(|| store.text(self.sha1).try_into().ok()).flatten()
    }

    pub(super) fn link(&self, store: &Arc<Store>) -> Option<SafePath> {
        self.link.map(|(folder, name)| SafePath::of(Arc::clone(store), folder, name))
    }
}

pub(super) fn decode_hex(text: &[u8]) -> Option<[u8; 16]> {
    let mut out = [0; 16];
    if text.len() != 32 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: usize| pair.get(at).and_then(|&b| (b as char).to_digit(16));
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(out)
}
