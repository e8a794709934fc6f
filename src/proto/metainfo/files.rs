//! The files of a torrent as they are read.

use super::detail::{Detail, NO_PARTS, decode_hex};
use super::error::Error;
use super::fields::{Fields, file_length, utf8_path};
use super::flags::Flags;
use super::layout::File;
use super::limits::Limits;
use super::places::{Found, Place, Places};
use super::safe_path::{NONE, SafePath};
use super::warning::{Warning, Warnings};
use crate::proto::bencode::{Dict, Kind, List, Value};
use crate::proto::id::FileIndex;
use std::sync::Arc;

/// How many files may have to be renamed because their path is taken; padding is not counted.
const MAX_DUPLICATES: usize = 500;

#[derive(Debug, Clone, Copy)]
struct Entry {
    length: u64,
    offset: u64,
    root: u32,
    flags: Flags,
}

/// A file as version 1 lists it, to be compared with version 2.
#[derive(Clone, Copy)]
#[cfg(feature = "v2")]
pub(super) struct Listed<'a, 'd> {
    pub(super) file: u32,
    pub(super) parts: Option<List<'a, 'd>>,
}

/// Collects files.
pub(super) struct Files<'a, 'd, 'l> {
    places: Places<'a>,
    limits: &'l Limits,
    warnings: &'l mut Warnings,
    /// Where `info` starts.
    start: usize,
    name: u32,
    entries: Vec<Entry>,
    spots: Vec<Place>,
    details: Vec<Detail>,
    /// Symbolic links, to be resolved when all files are known.
    links: Vec<(u32, List<'a, 'd>)>,
    total: u64,
    /// The folder that the last path was in, as it stands in `info`.
    recent: (&'a [u8], u32),
    pads: Option<u32>,
    /// What version 1 lists and is not padding, in order, where it is to be compared.
    #[cfg(feature = "v2")]
    pub(super) listed: Option<Vec<Listed<'a, 'd>>>,
}

impl<'a, 'd, 'l> Files<'a, 'd, 'l> {
    pub(super) fn new(
        info: Value<'a, 'd>,
        name: &[u8],
        secret: &[u8; 20],
        limits: &'l Limits,
        warnings: &'l mut Warnings,
        expected: usize,
    ) -> Self {
        let expected = expected.min(limits.files);
        let mut places = Places::new(info.span(), limits.names, secret, expected);
        let name = places.set_name(name);
        Self {
            places,
            limits,
            warnings,
            start: info.position(),
            name,
            entries: Vec::with_capacity(expected),
            spots: Vec::with_capacity(expected),
            details: Vec::new(),
            links: Vec::new(),
            total: 0,
            recent: (b"", 0),
            pads: None,
            #[cfg(feature = "v2")]
            listed: None,
        }
    }

    /// Gives the place of a string in `info`.
    pub(super) fn place_of(&self, value: Value<'_, '_>) -> u32 {
        self.offset_in_info(value.position())
    }

    /// Gives the place in `info` of what stands at an offset of the torrent.
    pub(super) fn offset_in_info(&self, at: usize) -> u32 {
        // Torrents are shorter than 4 GiB.
        at.saturating_sub(self.start) as u32
    }

    /// Gives the folder that the last path was in, if it stands in these bytes.
    pub(super) fn recent_folder(&self, parts: &[u8]) -> Option<u32> {
        (self.recent.0 == parts).then_some(self.recent.1)
    }

    pub(super) fn set_recent_folder(&mut self, parts: &'a [u8], folder: u32) {
        self.recent = (parts, folder);
    }

    /// Says how long all files together are so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    #[cfg(feature = "v2")]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[cfg(feature = "v2")]
    pub(super) fn path_depth(&self) -> usize {
        self.limits.path_depth
    }

    pub(super) fn enter(&mut self, above: u32, name: &[u8], at: u32) -> u32 {
        self.places.enter(above, name, at)
    }

    #[cfg(feature = "v2")]
    pub(super) fn place_of_single(&self) -> Place {
        Place { folder: NONE, name: self.name }
    }

    /// Gives a file's length and offset.
    #[cfg(feature = "v2")]
    pub(super) fn bytes_of(&self, file: u32) -> Option<(u64, u64)> {
        self.entries.get(file as usize).map(|entry| (entry.length, entry.offset))
    }

    /// Notes where the root of a file's hash tree stands.
    #[cfg(feature = "v2")]
    pub(super) fn note_root(&mut self, file: u32, place: u32) {
        if let Some(entry) = self.entries.get_mut(file as usize) {
            entry.root = place;
        }
    }

    pub(super) fn next(&self, at: usize) -> Result<u32, Error> {
        if self.entries.len() >= self.limits.files {
            return Err(Error::TooManyFiles { at, limit: self.limits.files });
        }
        Ok(self.entries.len() as u32)
    }

    pub(super) fn add(&mut self, length: u64, flags: Flags, place: Place, at: usize) -> Result<(), Error> {
        let offset = self.total;
        self.total = offset.checked_add(length).filter(|&t| t <= i64::MAX as u64).ok_or(Error::TotalOverflow { at })?;
        self.entries.push(Entry { length, offset, root: NONE, flags });
        self.spots.push(place);
        Ok(())
    }

    fn detail(&mut self, file: u32) -> &mut Detail {
        // Only the last file ever gets details while files are read.
        if self.details.last().is_none_or(|detail| detail.file != file) {
            self.details.push(Detail::new(file));
        }
        self.details.last_mut().expect("one was just put there if there was none")
    }

    /// Reads the fields that may be missing.
    pub(super) fn flags(&mut self, file: u32, fields: &Fields<'a, 'd>) -> Flags {
        let mut flags = Flags::default();
        if let Some(value) = fields.attributes {
            match value.as_bytes() {
                Some(letters) => flags = Flags::of_attributes(letters),
                None => self.warnings.ignored("attr", value.position()),
            }
        }
        if let Some(value) = fields.md5 {
            if value.as_bytes().is_some_and(|text| decode_hex(text).is_some()) {
                self.detail(file).md5 = self.place_of(value);
            } else {
                self.warnings.ignored("md5sum", value.position());
            }
        }
        if let Some(value) = fields.sha1 {
            if value.as_bytes().is_some_and(|hash| hash.len() == 20) {
                self.detail(file).sha1 = self.place_of(value);
            } else {
                self.warnings.ignored("sha1", value.position());
            }
        }
        if flags.is_symlink() {
            // Until it is resolved, a link is an empty file.
            flags.remove(Flags::SYMLINK);
            let has_bytes = fields.length.and_then(Value::as_int).is_some_and(|length| length != 0);
            match fields.link.and_then(Value::as_list) {
                Some(target) if !has_bytes => {
                    self.detail(file);
                    self.links.push((file, target));
                }
                _ => {
                    let at = fields.link.or(fields.attributes).map_or(self.start, Value::position);
                    self.warnings.ignored("symlink path", at);
                }
            }
        }
        flags
    }

    /// Takes the one file that has the torrent's name.
    pub(super) fn single(&mut self, info: Dict<'a, 'd>, length: Value<'_, '_>) -> Result<(), Error> {
        let length_value = length;
        let length = file_length(length)?;
        let mut flags = self.flags(0, &Fields::of(info));
        // The only file is not padding, whatever it says.
        flags.remove(Flags::PADDING);
        self.add(length, flags, Place { folder: NONE, name: self.name }, length_value.position())?;
        #[cfg(feature = "v2")]
        if let Some(listed) = &mut self.listed {
            listed.push(Listed { file: 0, parts: None });
        }
        Ok(())
    }

    /// Reads `files`.
    pub(super) fn list(&mut self, list: List<'a, 'd>) -> Result<(), Error> {
        let at = list.value().position();
        for entry in list {
            let file = self.next(entry.position())?;
            let dict = entry.dict()?;
            let fields = Fields::of(dict);
            let flags = self.flags(file, &fields);
            let length = match fields.length {
                Some(value) => file_length(value)?,
                // BEP 47 has links do without.
                None if fields.is_link() => 0,
                None => return Err(dict.int("length").map_or_else(Error::from, |_| Error::NoFiles { at })),
            };
            let parts = match (fields.utf8.and_then(utf8_path), fields.path) {
                (Some(parts), _) => Some(parts),
                (None, Some(path)) => Some(path.list()?),
                // And padding without a path.
                (None, None) if flags.is_padding() => None,
                (None, None) => Some(dict.list("path")?),
            };
            let place = match parts {
                Some(parts) => self.path(file, parts, flags)?,
                None => self.pad_place(file, length),
            };
            self.add(length, flags, place, fields.length.unwrap_or(entry).position())?;
            #[cfg(feature = "v2")]
            if let Some(listed) = self.listed.as_mut().filter(|_| !flags.is_padding()) {
                listed.push(Listed { file, parts });
            }
        }
        if self.entries.is_empty() { Err(Error::NoFiles { at }) } else { Ok(()) }
    }

    /// Finds the place of a file by the parts of its path.
    fn path(&mut self, file: u32, parts: List<'a, 'd>, flags: Flags) -> Result<Place, Error> {
        let mut last = None;
        let mut count = 1;
        for part in parts {
            if part.kind() != Kind::Bytes {
                part.bytes()?;
            }
            count += 1;
            last = Some(part);
        }
        if count > self.limits.path_depth {
            return Err(Error::PathTooDeep { at: parts.value().position(), limit: self.limits.path_depth });
        }
        let Some(last) = last else {
            let at = self.places.foreign(b"_");
            let (place, _) = self.places.put(file, 0, b"_", at);
            self.detail(file).raw = NO_PARTS;
            self.tell_repaired(file, place);
            return Ok(place);
        };
        // Paths of one folder often follow each other.
        let whole = parts.value().span();
        let folder_bytes = whole.get(1..last.position() - parts.value().position()).unwrap_or_default();
        let folder = if folder_bytes == self.recent.0 {
            self.recent.1
        } else {
            let mut folder = 0;
            for part in parts.iter().take_while(|part| part.position() < last.position()) {
                let at = self.place_of(part);
                folder = self.places.enter(folder, part.bytes()?, at);
            }
            self.recent = (folder_bytes, folder);
            folder
        };
        let at = self.place_of(last);
        Ok(self.put(file, folder, last.bytes()?, at, flags))
    }

    /// Puts a file into a folder, and tells what is odd about its path.
    pub(super) fn put(&mut self, file: u32, folder: u32, name: &[u8], at: u32, flags: Flags) -> Place {
        let (place, odd) = self.places.put(file, folder, name, at);
        let (is_repaired, is_odd) = self.places.folder(folder).map_or((false, false), |f| (f.is_repaired, f.is_odd));
        if odd || is_odd {
            self.warnings.push_path(0, || Warning::NotUtf8 { file: Some(FileIndex(file)) });
        }
        if place.name != at {
            self.detail(file).raw = at;
        }
        // What padding is called is nothing to anybody.
        if (is_repaired || place.name != at) && !flags.is_padding() {
            self.tell_repaired(file, place);
        }
        place
    }

    fn tell_repaired(&mut self, file: u32, place: Place) {
        let raw = match self.details.last().filter(|detail| detail.file == file).map(|detail| detail.raw) {
            None | Some(NONE) => place.name,
            Some(NO_PARTS) => NONE,
            Some(raw) => raw,
        };
        let (raw, stored) = (lossy(&self.places.raw_path(place.folder, raw)), lossy(&self.places.path(place)));
        let bytes = raw.len() + stored.len();
        self.warnings.push_path(bytes, || Warning::PathRepaired { file: FileIndex(file), raw, stored });
    }

    /// Gives padding a place of its own: as BEP 47 recommends, but for what is there already.
    fn pad_place(&mut self, file: u32, length: u64) -> Place {
        let folder = match self.pads {
            Some(folder) => folder,
            None => {
                let at = self.places.foreign(b".pad");
                let folder = self.places.enter(0, b".pad", at);
                self.pads = Some(folder);
                folder
            }
        };
        let name = length.to_string();
        let at = self.places.foreign(name.as_bytes());
        self.places.put(file, folder, name.as_bytes(), at).0
    }

    /// Gives all files their final places. `at` is where they are listed.
    pub(super) fn finish(mut self, at: usize, info: Arc<[u8]>) -> Result<(Vec<File>, Vec<Detail>), Error> {
        let implied = std::mem::take(&mut self.entries);
        for (file, entry) in (0..).zip(&implied) {
            if entry.flags.is_implied() {
                let place = self.pad_place(file, entry.length);
                if let Some(spot) = self.spots.get_mut(file as usize) {
                    *spot = place;
                }
            }
        }
        self.entries = implied;
        self.resolve_links();
        self.resolve_duplicates(at)?;
        if self.places.is_full() {
            return Err(Error::NamesTooLong { at });
        }
        let store = self.places.finish(info);
        let file = |(entry, place): (&Entry, &Place)| {
            let path = SafePath::of(Arc::clone(&store), place.folder, place.name);
            File::new(path, entry.length, entry.offset, entry.flags, entry.root)
        };
        let files = self.entries.iter().zip(&self.spots).map(file).collect();
        self.details.shrink_to_fit();
        Ok((files, self.details))
    }

    fn resolve_duplicates(&mut self, at: usize) -> Result<(), Error> {
        if self.places.losers().is_empty() {
            return Ok(());
        }
        let (entries, warnings) = (&self.entries, &mut *self.warnings);
        let is_padding = |file: u32| entries.get(file as usize).is_some_and(|entry| entry.flags.is_padding());
        let before = self.spots.clone();
        let mut renamed = Vec::new();
        let limited = |file: u32| !is_padding(file);
        let tell = |places: &Places<'_>, file: u32, taken: Vec<u8>, place: Place| {
            renamed.push(file);
            if !is_padding(file) {
                let (taken, stored) = (lossy(&taken), lossy(&places.path(place)));
                let file = FileIndex(file);
                warnings.push_path(taken.len() + stored.len(), || Warning::PathRenamed { file, taken, stored });
            }
        };
        self.places
            .rename(&mut self.spots, limited, MAX_DUPLICATES, tell)
            .map_err(|_| Error::TooManyDuplicates { at })?;
        let mut more = Vec::new();
        for file in renamed {
            let raw = before.get(file as usize).map_or(NONE, |place| place.name);
            match self.details.binary_search_by_key(&file, |detail| detail.file) {
                Ok(at) if self.details[at].raw == NONE => self.details[at].raw = raw,
                Ok(_) => {}
                Err(_) => more.push(Detail { raw, ..Detail::new(file) }),
            }
        }
        self.details.append(&mut more);
        self.details.sort_unstable_by_key(|detail| detail.file);
        Ok(())
    }

    /// Makes links of those that lead to another file or folder of the torrent.
    fn resolve_links(&mut self) {
        let links = std::mem::take(&mut self.links);
        if !links.is_empty() {
            self.places.index();
        }
        let mut targets: Vec<(u32, Option<Found>)> = Vec::with_capacity(links.len());
        for (file, target) in &links {
            let parts = || target.iter().map(|part| part.as_bytes().unwrap_or_default());
            let is_plain = |part: &[u8]| {
                !part.is_empty() && part != b"." && part != b".." && !part.iter().any(|b| matches!(b, b'/' | 0))
            };
            let is_near = target.iter().nth(self.limits.path_depth).is_none();
            let found = (is_near && !target.is_empty() && parts().all(is_plain)).then(|| self.places.look_up(parts()));
            targets.push((*file, found.flatten()));
        }
        let target_of = |file: u32| {
            let at = targets.binary_search_by_key(&file, |(link, _)| *link).ok()?;
            targets.get(at).map(|(_, found)| *found)
        };
        for (file, target) in &links {
            // A link may lead to a link, but not for ever, and not to a folder that it is in itself.
            let mut found = target_of(*file).flatten();
            let mut steps = 0;
            while let Some(Found::File(next)) = found {
                match target_of(next) {
                    None => break,
                    Some(further) if steps < 40 => found = further,
                    Some(_) => found = None,
                }
                steps += 1;
            }
            let spot = self.spots.get(*file as usize).copied();
            let is_fine = match (found, spot) {
                (Some(Found::File(target)), _) => target != *file,
                (Some(Found::Folder(folder)), Some(spot)) => !self.places.is_in(spot.folder, folder),
                _ => false,
            };
            if !is_fine {
                let parts: Vec<&[u8]> = target.iter().take(20).filter_map(Value::as_bytes).collect();
                let target = lossy(&parts.join(&b'/'));
                let bytes = target.len();
                self.warnings.push_path(bytes, || Warning::LinkDropped { file: FileIndex(*file), target });
                continue;
            }
            let link = match target_of(*file).flatten() {
                Some(Found::File(target)) => self.spots.get(target as usize).map(|place| (place.folder, place.name)),
                Some(Found::Folder(folder)) => self.places.folder(folder).map(|f| (f.parent, f.name)),
                None => None,
            };
            if let Some(entry) = self.entries.get_mut(*file as usize) {
                entry.flags.insert(Flags::SYMLINK);
            }
            // Each has got details when it was read.
            if let Ok(at) = self.details.binary_search_by_key(file, |detail| detail.file) {
                self.details[at].link = link;
            }
        }
    }
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
