//! Files that claim the same path, or the place of another's folder.

use super::path::Names;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How many candidates for new names are tried for one torrent; more are needed only by one that was made to need them.
const MAX_TRIES: usize = 50_000;

/// Orders paths part by part, so that what is in a folder comes directly after a file of the folder's name.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    // No path has a NUL, so `/` can take its place below all other bytes.
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    match a.iter().zip(b).find(|(x, y)| x != y) {
        Some((&x, &y)) => rank(x).cmp(&rank(y)),
        None => a.len().cmp(&b.len()),
    }
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// All paths of a torrent in order, as this host would compare them.
pub(super) struct Paths<'a> {
    names: Names,
    /// What is compared and the number of the file, ordered by [`compare`] and then by number.
    sorted: Vec<(Cow<'a, [u8]>, usize)>,
}

/// There are more than the permitted number of duplicates.
pub(super) struct TooMany;

impl<'a> Paths<'a> {
    pub(super) fn new(paths: impl Iterator<Item = &'a [u8]>, names: Names) -> Self {
        let fold = |path: &'a [u8]| names.fold(path).map_or(Cow::Borrowed(path), Cow::Owned);
        let mut sorted: Vec<_> = paths.enumerate().map(|(i, path)| (fold(path), i)).collect();
        sorted.sort_by(|a, b| compare(&a.0, &b.0).then(a.1.cmp(&b.1)));
        Self { names, sorted }
    }

    /// Gives the files that need another name, in the order of their paths: all but the first of those with one path, and all
    /// that have the path of a folder.
    pub(super) fn clashes(&self) -> Vec<usize> {
        let mut out = Vec::new();
        for group in self.sorted.chunk_by(|a, b| a.0 == b.0) {
            let first_stays = !group.first().is_some_and(|(path, _)| self.is_folder(path));
            out.extend(group.iter().skip(usize::from(first_stays)).map(|(_, file)| *file));
        }
        out
    }

    /// Where in the order a path stands or would stand.
    fn place(&self, path: &[u8]) -> usize {
        self.sorted.partition_point(|(p, _)| compare(p, path).is_lt())
    }

    fn is_folder(&self, path: &[u8]) -> bool {
        let after = self.sorted.partition_point(|(p, _)| compare(p, path).is_le());
        self.sorted.get(after).is_some_and(|(p, _)| is_below(p, path))
    }

    fn is_taken(&self, path: &[u8]) -> bool {
        self.sorted.get(self.place(path)).is_some_and(|(p, _)| **p == *path || is_below(p, path))
    }

    /// Gives new paths for the files that clash. `limited` says which files count against `limit`.
    pub(super) fn rename(
        &self,
        clashes: &[usize],
        path_of: impl Fn(usize) -> &'a [u8],
        limited: impl Fn(usize) -> bool,
        limit: usize,
    ) -> Result<Vec<(usize, Vec<u8>)>, TooMany> {
        if clashes.iter().filter(|&&file| limited(file)).count() > limit {
            return Err(TooMany);
        }
        let mut out: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut given = BTreeSet::new();
        let mut tries = 0;
        let mut number = 0;
        let mut last: &[u8] = b"";
        for &file in clashes {
            let path = path_of(file);
            // Numbers go on within a group, or a thousand files of one name would each try them all again.
            if path != last {
                number = 0;
                last = path;
            }
            let start = path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
            let (folder, name) = path.split_at(start);
            let free = loop {
                number += 1;
                tries += 1;
                if tries > MAX_TRIES {
                    return Err(TooMany);
                }
                let candidate = [folder, &self.names.numbered(name, number)].concat();
                let folded = self.names.fold(&candidate).unwrap_or_else(|| candidate.clone());
                if !self.is_taken(&folded) && given.insert(folded) {
                    break candidate;
                }
            };
            out.push((file, free));
        }
        Ok(out)
    }
}
