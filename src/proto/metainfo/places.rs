//! Where a torrent's files stand, and which of them claim the same path or the place of another's folder.

use super::path::Names;
use super::safe_path::{Folder, NONE, SafePath, Store, text_at, write_text};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// How many candidates for new names may turn out to be taken; more do only in a torrent that was made for it.
const MAX_MISSES: usize = 5_000;

/// Who has a name in a folder.
#[derive(Debug, Clone, Copy)]
enum Owner {
    File(u32),
    Folder(u32),
}

#[derive(Debug, Clone, Copy)]
struct Key {
    folder: u32,
    name: u32,
    tag: u32,
    owner: Owner,
}

/// Where a file stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) folder: u32,
    /// The name it is stored under.
    pub(super) name: u32,
}

/// There are more than the permitted number of duplicates.
#[derive(Debug)]
pub(super) struct TooMany;

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
    names: Names,
    info: &'i [u8],
    more: Vec<u8>,
    folders: Vec<Folder>,
    keys: Vec<Key>,
    /// Numbers of keys, from 1; 0 is free. Never more than half full.
    slots: Vec<u32>,
    secret: (u64, u64),
    in_order: Option<InOrder>,
    /// The files that need another name.
    losers: Vec<u32>,
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
    fn write(&mut self, text: &[u8]) -> u32 {
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

    fn text(&self, at: u32) -> &[u8] {
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
    fn find(&self, folder: u32, folded: &[u8]) -> Result<usize, (usize, u32)> {
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

    fn insert(&mut self, slot: usize, key: Key) {
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

    /// Gives new places to the files that need one, and tells each with the path that was taken. `limited` says which files count
    /// against `limit`.
    pub(super) fn rename(
        &mut self,
        places: &mut [Place],
        limited: impl Fn(u32) -> bool,
        limit: usize,
        mut tell: impl FnMut(&Self, u32, Vec<u8>, Place),
    ) -> Result<(), TooMany> {
        let losers = std::mem::take(&mut self.losers);
        if losers.iter().filter(|&&file| limited(file)).count() > limit {
            return Err(TooMany);
        }
        let of = |file: u32| places.get(file as usize).copied();
        let mut sorted: Vec<(Vec<u8>, u32)> =
            losers.into_iter().filter_map(|file| Some((self.path(of(file)?), file))).collect();
        sorted.sort_unstable_by(|a, b| compare(&a.0, &b.0).then(a.1.cmp(&b.1)));
        let (mut misses, mut number) = (0, 0);
        let mut last: Option<Vec<u8>> = None;
        for (path, file) in sorted {
            // Numbers go on within a group, or a thousand files of one name would each try them all again.
            if last.as_ref() != Some(&path) {
                number = 0;
            }
            let Some(place) = places.get_mut(file as usize) else { continue };
            let name = self.text(place.name).to_vec();
            let folder = self.folder(place.folder).map_or(place.folder, |f| f.same_as);
            loop {
                number += 1;
                let candidate = self.names.numbered(&name, number);
                if let Err((slot, tag)) = self.find(folder, &self.names.fold(&candidate)) {
                    place.name = self.write(&candidate);
                    self.insert(slot, Key { folder, name: place.name, tag, owner: Owner::File(file) });
                    break;
                }
                misses += 1;
                if misses > MAX_MISSES {
                    return Err(TooMany);
                }
            }
            tell(self, file, path.clone(), *place);
            last = Some(path);
        }
        Ok(())
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

/// Orders paths part by part, so that what is in a folder comes directly after a file of the folder's name.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.split(|&byte| byte == b'/').cmp(b.split(|&byte| byte == b'/'))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(paths: &[&str], names: Names) -> Result<Vec<String>, TooMany> {
        let mut places = Places::new(&[], names, &[7; 20], 0);
        places.set_name(b"t");
        let mut found = Vec::new();
        for (file, path) in (0..).zip(paths) {
            let (folders, name) = path.rsplit_once('/').map_or((None, *path), |(folders, name)| (Some(folders), name));
            let folders = folders.into_iter().flat_map(|folders| folders.split('/'));
            let folder = folders.fold(0, |folder, part| {
                let at = places.foreign(part.as_bytes());
                places.enter(folder, part.as_bytes(), at)
            });
            let at = places.foreign(name.as_bytes());
            found.push(places.put(file, folder, name.as_bytes(), at).0);
        }
        places.rename(&mut found, |_| true, 500, |_, _, _, _| {})?;
        Ok(found.iter().map(|place| String::from_utf8(places.path(*place)).unwrap()).collect())
    }

    fn assert_resolves(paths: &[&str], names: Names, wanted: &[&str]) {
        assert_eq!(resolve(paths, names).expect("not too many"), wanted);
    }

    #[test]
    fn of_files_with_one_path_the_first_keeps_it() {
        assert_resolves(&["a.b", "x", "a.b", "a.b"], Names::Portable, &["a.b", "x", "a.1.b", "a.2.b"]);
        assert_resolves(&["d/a", "d/a", ".rc", ".rc"], Names::Portable, &["d/a", "d/a.1", ".rc", ".rc.1"]);
    }

    #[test]
    fn a_new_name_is_one_that_no_other_file_or_folder_has() {
        assert_resolves(
            &["a", "a", "a.1", "a.2/x", "a.3", "a.3"],
            Names::Portable,
            &["a", "a.4", "a.1", "a.2/x", "a.3", "a.1.3"],
        );
        assert_resolves(&["A", "a", "a.1"], Names::Portable, &["A", "a.2", "a.1"]);
    }

    #[test]
    fn a_file_where_a_folder_must_be_is_renamed() {
        assert_resolves(&["a", "a/b", "a!"], Names::Portable, &["a.1", "a/b", "a!"]);
        assert_resolves(&["a/b/c", "a/b", "a"], Names::Portable, &["a/b/c", "a/b.1", "a.1"]);
        assert_resolves(&["a", "a", "a/b"], Names::Portable, &["a.1", "a.2", "a/b"]);
    }

    #[test]
    #[cfg(unix)]
    fn case_counts_on_a_host_where_it_does() {
        assert_resolves(&["a", "A", "ß", "SS"], Names::Host, &["a", "A", "ß", "SS"]);
        assert_resolves(&["a", "A", "ß", "SS"], Names::Portable, &["a", "A.1", "ß", "SS.1"]);
        assert_resolves(&["d", "D/x"], Names::Portable, &["d.1", "D/x"]);
        assert_resolves(&["D/a", "d/A", "d/b"], Names::Portable, &["D/a", "d/A.1", "d/b"]);
    }

    #[test]
    fn five_hundred_duplicates_are_renamed_and_one_more_is_refused() {
        let names = vec!["a"; 502];
        assert!(resolve(&names[..501], Names::Host).is_ok_and(|found| found[500] == "a.500"));
        assert!(resolve(&names, Names::Host).is_err());
    }

    #[test]
    fn many_files_and_folders_keep_their_paths() {
        let paths: Vec<String> = (0..3_000).map(|i| format!("d{}/e{}/f{i}", i % 50, i % 7)).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_resolves(&paths, Names::Host, &paths);
    }

    #[test]
    fn a_torrent_made_to_use_up_all_names_is_refused() {
        // Cut to the longest name, all of these duplicates want the same new names, and all of those are taken.
        let stem = "x".repeat(230);
        let taken: Vec<String> = (1..2000)
            .map(|i| Names::Host.numbered(format!("{stem}{}", "y".repeat(25)).as_bytes(), i))
            .map(|b| String::from_utf8(b).unwrap())
            .collect();
        let twice: Vec<String> = (0..100).map(|i| format!("{stem}{}{i:03}", "y".repeat(22))).collect();
        let paths: Vec<&str> = taken.iter().chain(&twice).chain(&twice).map(String::as_str).collect();
        assert!(resolve(&paths, Names::Host).is_err());
        assert!(resolve(&paths[..2100], Names::Host).is_ok());
    }
}
