//! Where a torrent's files stand, and which of them claim the same path or the place of another's folder.

use super::path::Names;
use super::safe_path::{Folder, NONE, SafePath, Store, text_at, write_text};
use std::borrow::Cow;
use std::sync::Arc;

/// Who has a name in a folder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    File(u32),
    Folder(u32),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) folder: u32,
    pub(super) name: u32,
    pub(super) tag: u32,
    pub(super) owner: Owner,
}

/// Where a file stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) folder: u32,
    /// The name it is stored under.
    pub(super) name: u32,
}

/// How far paths have come that are in order, part by part: so long none of them can clash.
#[derive(Debug)]
struct InOrder {
    /// The folders from the torrent's to that of the last path.
    chain: Vec<u32>,
    /// The last file, if it is directly in the last folder of the chain.
    last: Option<u32>,
    placed: Vec<(u32, Place)>,
}

impl InOrder {
    /// Gives the place in the chain of a folder, and what was put into the folder last: a folder, or the name of a file.
    fn last_in(&self, folder: u32) -> Option<(usize, Option<u32>, Option<u32>)> {
        let at = self.chain.iter().rposition(|&f| f == folder)?;
        let below = self.chain.get(at + 1).copied();
        Some((at, below, if below.is_none() { self.last } else { None }))
    }
}

/// The folders of a torrent as far as they are known, and all names that are taken in them, as this host would compare them.
///
/// Looking up is in constant time, whatever the names: the hash depends on what an author of names cannot choose. There is nothing
/// to look up while paths come in order, as they mostly do.
#[derive(Debug)]
pub(super) struct Places<'i> {
    pub(super) names: Names,
    info: &'i [u8],
    more: Vec<u8>,
    folders: Vec<Folder>,
    keys: Vec<Key>,
    /// Numbers of keys, from 1; 0 is free. Never more than half full.
    slots: Vec<u32>,
    secret: (u64, u64),
    in_order: Option<InOrder>,
    /// The files that need another name.
    pub(super) losers: Vec<u32>,
    /// Whether there are more bytes of names than can be counted in 32 bits.
    is_full: bool,
}

impl<'i> Places<'i> {
    /// Starts with nothing but the torrent's folder, which is number 0. `secret` is something that an author of names cannot
    /// choose freely, such as the info hash.
    pub(super) fn new(info: &'i [u8], names: Names, secret: &[u8; 20], files: usize) -> Self {
        let word =
            |at: usize| secret.get(at..).and_then(|s| s.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word));
        let mut out = Self {
            names,
            info,
            more: Vec::new(),
            folders: Vec::new(),
            keys: Vec::new(),
            slots: vec![0; 16],
            secret: (word(0), word(8) | 1),
            // Where case does not count, the order of names says little.
            in_order: (!names.is_portable()).then(|| InOrder {
                chain: vec![0],
                last: None,
                placed: Vec::with_capacity(files),
            }),
            losers: Vec::new(),
            is_full: false,
        };
        out.folders.push(Folder {
            parent: NONE,
            name: 0,
            raw: 0,
            same_as: 0,
            depth: 1,
            is_repaired: false,
            is_odd: false,
        });
        out
    }

    /// Sets the torrent's own name, and gives its place.
    pub(super) fn set_name(&mut self, name: &[u8]) -> u32 {
        let at = self.write(name);
        if let Some(root) = self.folders.first_mut() {
            (root.name, root.raw) = (at, at);
        }
        at
    }

    pub(super) fn folder(&self, folder: u32) -> Option<&Folder> {
        self.folders.get(folder as usize)
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Puts a string beyond the end of `info`, and gives its place.
    pub(super) fn write(&mut self, text: &[u8]) -> u32 {
        let at = self.info.len() + self.more.len();
        self.is_full |= at + text.len() >= (NONE - 32) as usize;
        if self.is_full {
            return 0;
        }
        write_text(&mut self.more, text);
        at as u32
    }

    /// Puts a string that is not in `info` where it can be named.
    pub(super) fn foreign(&mut self, text: &[u8]) -> u32 {
        self.write(text)
    }

    pub(super) fn text(&self, at: u32) -> &[u8] {
        text_at(self.info, &self.more, at)
    }

    fn hash(&self, folder: u32, name: &[u8]) -> u64 {
        let mix = |hash: u64, word: u64| {
            let wide = u128::from(hash ^ word) * u128::from(self.secret.1 ^ 0x9e37_79b9_7f4a_7c15);
            (wide as u64) ^ (wide >> 64) as u64
        };
        let mut hash = mix(self.secret.0, u64::from(folder) << 32 | name.len() as u64);
        let words = name.chunks_exact(8);
        let rest = words.remainder();
        for word in words {
            hash = mix(hash, u64::from_le_bytes(word.try_into().expect("a chunk of 8 bytes is an array of 8 bytes")));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        mix(mix(hash, u64::from_le_bytes(last)), self.secret.0)
    }

    /// Finds who has a name in a folder. Otherwise gives the slot that is free for it, and its tag.
    pub(super) fn find(&self, folder: u32, folded: &[u8]) -> Result<usize, (usize, u32)> {
        let hash = self.hash(folder, folded);
        let (mask, tag) = (self.slots.len() - 1, (hash >> 32) as u32);
        let mut slot = hash as usize & mask;
        loop {
            let number = self.slots[slot];
            let Some(key) = number.checked_sub(1).and_then(|number| self.keys.get(number as usize)) else {
                return Err((slot, tag));
            };
            if key.tag == tag && key.folder == folder && *self.names.fold(self.text(key.name)) == *folded {
                return Ok(number as usize - 1);
            }
            slot = (slot + 1) & mask;
        }
    }

    pub(super) fn insert(&mut self, slot: usize, key: Key) {
        self.keys.push(key);
        // Fewer than 2^32: each has a place of its own, counted in 32 bits.
        self.slots[slot] = self.keys.len() as u32;
        if self.keys.len() * 2 > self.slots.len() {
            let mut slots = vec![0; self.slots.len() * 2];
            let mask = slots.len() - 1;
            for (number, key) in (1..).zip(&self.keys) {
                let mut slot = self.hash(key.folder, &self.names.fold(self.text(key.name))) as usize & mask;
                while slots[slot] != 0 {
                    slot = (slot + 1) & mask;
                }
                slots[slot] = number;
            }
            self.slots = slots;
        }
    }

    /// Makes it possible to look names up.
    pub(super) fn index(&mut self) {
        let Some(InOrder { placed, .. }) = self.in_order.take() else { return };
        let count = placed.len() + self.folders.len();
        self.keys.reserve(count);
        self.slots = vec![0; (2 * count).max(16).next_power_of_two()];
        let folders = (0..).zip(&self.folders).skip(1).map(|(number, f)| (f.parent, f.name, Owner::Folder(number)));
        let files = placed.into_iter().map(|(file, place)| (place.folder, place.name, Owner::File(file)));
        let all: Vec<_> = folders.chain(files).collect();
        for (folder, name, owner) in all {
            let free = self.find(folder, &self.names.fold(self.text(name)));
            if let Err((slot, tag)) = free {
                self.insert(slot, Key { folder, name, tag, owner });
            }
        }
    }

    /// Finds or makes a folder while all is in order: `None` where that is over.
    fn enter_in_order(&mut self, parent: u32, name: &[u8], raw: &[u8]) -> Option<Result<u32, ()>> {
        let (at, below, last) = self.in_order.as_ref()?.last_in(parent)?;
        if let Some(folder) = below {
            let there = self.folder(folder)?;
            if self.text(there.raw) == raw {
                return Some(Ok(folder));
            }
            if self.text(there.name) >= name {
                return None;
            }
        } else if last.is_some_and(|last| self.text(last) >= name) {
            return None;
        }
        let next = self.folders.len() as u32;
        let order = self.in_order.as_mut()?;
        order.chain.truncate(at + 1);
        order.chain.push(next);
        order.last = None;
        Some(Err(()))
    }

    /// Takes a file while all is in order: says whether it still is.
    fn put_in_order(&mut self, file: u32, place: Place) -> Option<()> {
        let (at, below, last) = self.in_order.as_ref()?.last_in(place.folder)?;
        let before = match below {
            Some(folder) => Some(self.folder(folder)?.name),
            None => last,
        };
        if before.is_some_and(|before| self.text(before) >= self.text(place.name)) {
            return None;
        }
        let order = self.in_order.as_mut()?;
        order.chain.truncate(at + 1);
        order.last = Some(place.name);
        order.placed.push((file, place));
        Some(())
    }

    /// Gives a name in the form in which it is stored, and its place.
    fn stored<'t>(&mut self, text: &'t [u8], raw: u32) -> (Cow<'t, [u8]>, u32) {
        if self.names.keeps(text) {
            return (Cow::Borrowed(text), raw);
        }
        let name = self.names.repair(text);
        let at = self.write(&name);
        (Cow::Owned(name), at)
    }

    fn is_odd(&self, name: &[u8]) -> bool {
        !name.is_ascii() && !self.names.is_portable() && std::str::from_utf8(name).is_err()
    }

    /// Finds or makes a folder in another one by the name that stands at a place of `info`.
    pub(super) fn enter(&mut self, parent: u32, text: &[u8], raw: u32) -> u32 {
        let Some(&above) = self.folder(parent) else { return parent };
        let (stored, name) = self.stored(text, raw);
        let next = self.folders.len() as u32;
        let in_order = self.enter_in_order(parent, &stored, text);
        if let Some(Ok(folder)) = in_order {
            return folder;
        }
        if in_order.is_none() {
            self.index();
        }
        let folded = self.names.fold(&stored);
        let same_as = match self.in_order.is_none().then(|| self.find(above.same_as, &folded)) {
            None => next,
            Some(Ok(key)) => match self.keys[key].owner {
                Owner::Folder(folder) => {
                    let is_it = self.folder(folder).is_some_and(|f| f.parent == parent && self.text(f.raw) == text);
                    if is_it {
                        return folder;
                    }
                    folder
                }
                Owner::File(file) => {
                    self.losers.push(file);
                    self.keys[key].owner = Owner::Folder(next);
                    next
                }
            },
            Some(Err((slot, tag))) => {
                self.insert(slot, Key { folder: above.same_as, name, tag, owner: Owner::Folder(next) });
                next
            }
        };
        self.folders.push(Folder {
            parent,
            name,
            raw,
            same_as,
            depth: above.depth.saturating_add(1),
            is_repaired: above.is_repaired || name != raw,
            is_odd: above.is_odd || self.is_odd(&stored),
        });
        next
    }

    /// Gives a file its place in a folder by the name that stands at a place of `info`. Says whether the name is not UTF-8.
    pub(super) fn put(&mut self, file: u32, folder: u32, text: &[u8], raw: u32) -> (Place, bool) {
        let (stored, name) = self.stored(text, raw);
        let odd = self.is_odd(&stored);
        if self.in_order.is_some() {
            if self.put_in_order(file, Place { folder, name }).is_some() {
                return (Place { folder, name }, odd);
            }
            self.index();
        }
        let same_as = self.folder(folder).map_or(folder, |f| f.same_as);
        let folded = self.names.fold(&stored);
        match self.find(same_as, &folded) {
            Ok(_) => self.losers.push(file),
            Err((slot, tag)) => self.insert(slot, Key { folder: same_as, name, tag, owner: Owner::File(file) }),
        }
        (Place { folder, name }, odd)
    }

    /// Finds what has a path below the torrent's folder, by raw names: a file, or a folder. [`index`](Self::index) comes before.
    pub(super) fn look_up<'p>(&self, parts: impl Iterator<Item = &'p [u8]>) -> Option<Found> {
        let mut at = Found::Folder(0);
        for part in parts {
            let Found::Folder(folder) = at else { return None };
            let stored = if self.names.keeps(part) { Cow::Borrowed(part) } else { Cow::Owned(self.names.repair(part)) };
            let key = self.find(self.folder(folder)?.same_as, &self.names.fold(&stored)).ok()?;
            at = match self.keys.get(key)?.owner {
                Owner::File(file) => Found::File(file),
                Owner::Folder(folder) => Found::Folder(folder),
            };
        }
        Some(at)
    }

    /// Gives the path of a place, without the torrent's name.
    pub(super) fn path(&self, place: Place) -> Vec<u8> {
        self.join(place.folder, place.name, |folder| folder.name)
    }

    /// Gives a path as the torrent has it, without the torrent's name.
    pub(super) fn raw_path(&self, folder: u32, raw_name: u32) -> Vec<u8> {
        self.join(folder, raw_name, |folder| folder.raw)
    }

    fn join(&self, folder: u32, name: u32, of: impl Fn(&Folder) -> u32) -> Vec<u8> {
        let up = std::iter::successors(self.folder(folder), |folder| self.folder(folder.parent));
        let folders = up.filter(|folder| folder.parent != NONE).map(|folder| self.text(of(folder)));
        let mut parts: Vec<&[u8]> = (name != NONE).then(|| self.text(name)).into_iter().chain(folders).collect();
        parts.reverse();
        parts.join(&b'/')
    }

    /// Says whether a folder is another one, or somewhere in it.
    pub(super) fn is_in(&self, folder: u32, other: u32) -> bool {
        let same = |folder: &Folder| folder.same_as;
        let other = self.folder(other).map(same);
        std::iter::successors(self.folder(folder), |folder| self.folder(folder.parent)).any(|f| Some(same(f)) == other)
    }

    /// Gives the files that need another name: all but the first of those with one path, and all that have the path of a folder.
    pub(super) fn losers(&self) -> &[u32] {
        &self.losers
    }

    /// Ends the collecting of names; `info` is to be the bytes that it was made for.
    pub(super) fn finish(mut self, info: Arc<[u8]>) -> Arc<Store> {
        self.more.shrink_to_fit();
        self.folders.shrink_to_fit();
        Arc::new(Store { info, more: self.more, folders: self.folders })
    }
}

/// What has a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    File(u32),
    Folder(u32),
}

/// Finds a path that cannot stand beside the others on this host: it is that of another file, or of a folder.
pub(super) fn clash<'p>(paths: impl Iterator<Item = &'p SafePath> + Clone, names: Names) -> Option<SafePath> {
    let mut places = Places::new(&[], names, &[0x5a; 20], paths.clone().count());
    for (file, path) in (0..).zip(paths.clone()) {
        let mut folder = 0;
        let mut parts = path.parts().peekable();
        while let Some(part) = parts.next() {
            // The parts are plain, but perhaps not portable: what is compared is what would be stored.
            if parts.peek().is_some() {
                let raw = places.write(part);
                folder = places.enter(folder, part, raw);
            } else {
                let raw = places.write(part);
                places.put(file, folder, part, raw);
            }
        }
    }
    places.losers().first().and_then(|&file| paths.clone().nth(file as usize)).cloned()
}
