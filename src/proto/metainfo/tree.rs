//! The file tree of version 2 (BEP 52).

use super::error::{Disagreement, Error};
use super::fields::{Fields, file_length};
use super::files::{Files, Listed, lossy};
use super::flags::Flags;
use super::places::Place;
use super::safe_path::NONE;
use crate::proto::bencode::{Dict, DictIter, Value};
use crate::proto::id::FileIndex;

/// A file of the tree.
struct Leaf<'a, 'd> {
    key: &'a [u8],
    /// What the key stands for.
    value: Value<'a, 'd>,
    fields: Fields<'a, 'd>,
    length: u64,
    root: Option<Value<'a, 'd>>,
}

/// Goes through the tree without recursion, in the order of the keys.
struct Walk<'a, 'd> {
    open: Vec<DictIter<'a, 'd>>,
    /// The names of the folders that are open, but for the torrent's.
    names: Vec<&'a [u8]>,
    path_depth: usize,
}

enum Step<'a, 'd> {
    Enter(&'a [u8], Value<'a, 'd>),
    Leave,
    File(Leaf<'a, 'd>),
}

impl<'a, 'd> Walk<'a, 'd> {
    fn new(tree: Dict<'a, 'd>, path_depth: usize) -> Result<Self, Error> {
        if let Some(value) = tree.get("") {
            return Err(Error::TreeIsFile { at: value.position() });
        }
        Ok(Self { open: vec![tree.iter()], names: Vec::new(), path_depth })
    }

    fn next(&mut self) -> Result<Option<Step<'a, 'd>>, Error> {
        let Some(dict) = self.open.last_mut() else { return Ok(None) };
        let Some((key, value)) = dict.next() else {
            self.open.pop();
            self.names.pop();
            return Ok(Some(Step::Leave));
        };
        // With the torrent's name.
        if self.names.len() + 2 > self.path_depth {
            return Err(Error::PathTooDeep { at: value.position(), limit: self.path_depth });
        }
        let below = value.dict()?;
        let Some(file) = below.get("") else {
            self.open.push(below.iter());
            self.names.push(key);
            return Ok(Some(Step::Enter(key, value)));
        };
        if below.iter().nth(1).is_some() {
            return Err(Error::FileAndFolder { at: value.position() });
        }
        let dict = file.dict()?;
        let fields = Fields::of(dict);
        let length = match fields.length {
            Some(length) => file_length(length)?,
            None if fields.is_link() => 0,
            None => return Err(dict.required("length").map_or_else(Error::from, |_| Error::NoFiles { at: 0 })),
        };
        let root = match fields.root {
            _ if length == 0 => None,
            Some(root) if root.bytes()?.len() == 32 => Some(root),
            Some(root) => return Err(Error::PiecesRoot { at: root.position() }),
            None => return Err(dict.required("pieces root").map_or_else(Error::from, |_| Error::NoFiles { at: 0 })),
        };
        Ok(Some(Step::File(Leaf { key, value, fields, length, root })))
    }
}

impl<'a, 'd> Files<'a, 'd, '_> {
    /// Gives the place in `info` of the key of a value.
    fn place_of_key(&self, key: &[u8], value: Value<'_, '_>) -> u32 {
        let digits = key.len().checked_ilog10().unwrap_or(0) + 1;
        self.place_of(value) - key.len() as u32 - 1 - digits
    }

    /// Reads a file tree where there is nothing else, and gives each file the padding that makes the next start with a piece.
    pub(super) fn tree(&mut self, tree: Dict<'a, 'd>, raw_name: &[u8], piece_length: u32) -> Result<(), Error> {
        let at = tree.value().position();
        let mut entries = tree.iter();
        let is_single = match (entries.next(), entries.next()) {
            // A file of the torrent's name, and nothing beside it.
            (Some((key, value)), None) => key == raw_name && value.as_dict().is_some_and(|dict| dict.get("").is_some()),
            _ => false,
        };
        let mut folders = vec![0];
        let mut walk = Walk::new(tree, self.path_depth())?;
        while let Some(step) = walk.next()? {
            let above = folders.last().copied().unwrap_or(0);
            match step {
                Step::Enter(key, value) => {
                    let at = self.place_of_key(key, value);
                    folders.push(self.enter(above, key, at));
                }
                Step::Leave => {
                    folders.pop();
                }
                Step::File(leaf) => {
                    let at = leaf.value.position();
                    let gap = self.total() % u64::from(piece_length);
                    if leaf.length > 0 && gap > 0 {
                        self.next(at)?;
                        let nowhere = Place { folder: 0, name: 0 };
                        self.add(u64::from(piece_length) - gap, Flags::PADDING | Flags::IMPLIED, nowhere, at)?;
                    }
                    let file = self.next(at)?;
                    let mut flags = self.flags(file, &leaf.fields);
                    // There is no padding in a tree.
                    flags.remove(Flags::PADDING);
                    let place = if is_single {
                        self.place_of_single()
                    } else {
                        let key_at = self.place_of_key(leaf.key, leaf.value);
                        self.put(file, above, leaf.key, key_at, flags)
                    };
                    self.add(leaf.length, flags, place, at)?;
                    self.set_root(file, leaf.root);
                }
            }
        }
        if self.is_empty() { Err(Error::NoFiles { at }) } else { Ok(()) }
    }

    /// Compares a file tree with what version 1 lists, and notes the roots of the hash trees.
    pub(super) fn compare(
        &mut self,
        listed: &[Listed<'a, 'd>],
        tree: Dict<'a, 'd>,
        raw_name: &[u8],
        piece_length: u32,
    ) -> Result<(), Error> {
        let at = tree.value().position();
        let mut listed = listed.iter();
        let mut end = 0_u64;
        let mut walk = Walk::new(tree, self.path_depth())?;
        while let Some(step) = walk.next()? {
            let Step::File(leaf) = step else { continue };
            let path = || {
                let parts: Vec<&[u8]> = walk.names.iter().copied().chain([leaf.key]).collect();
                lossy(&parts.join(&b'/'))
            };
            let disagree = |what| Err(Error::Disagree { at: leaf.value.position(), path: path(), what });
            let Some(other) = listed.next() else { return disagree(Disagreement::OnlyInTree) };
            let is_same = match other.parts {
                Some(parts) => {
                    let names = walk.names.iter().chain([&leaf.key]).map(|name| Some(*name));
                    parts.iter().map(Value::as_bytes).eq(names)
                }
                None => walk.names.is_empty() && leaf.key == raw_name,
            };
            if !is_same {
                return disagree(Disagreement::Path { file: FileIndex(other.file) });
            }
            let Some((length, offset)) = self.bytes_of(other.file) else { continue };
            if length != leaf.length {
                return disagree(Disagreement::Length { list: length, tree: leaf.length });
            }
            if length > 0 {
                let start = end.checked_next_multiple_of(piece_length.into());
                let start = start.ok_or(Error::TotalOverflow { at: leaf.value.position() })?;
                if offset != start {
                    return disagree(Disagreement::Offset { list: offset, tree: start });
                }
                end = start.checked_add(length).ok_or(Error::TotalOverflow { at: leaf.value.position() })?;
            }
            self.set_root(other.file, leaf.root);
        }
        if let Some(other) = listed.next() {
            let what = Disagreement::OnlyInList { file: FileIndex(other.file) };
            return Err(Error::Disagree { at, path: String::new(), what });
        }
        let pieces = |length: u64| length.div_ceil(piece_length.into());
        if pieces(end) != pieces(self.total()) {
            let what = Disagreement::Pieces { list: pieces(self.total()), tree: pieces(end) };
            return Err(Error::Disagree { at, path: String::new(), what });
        }
        Ok(())
    }

    fn set_root(&mut self, file: u32, root: Option<Value<'_, '_>>) {
        let place = root.map_or(NONE, |root| self.place_of(root));
        self.note_root(file, place);
    }
}
