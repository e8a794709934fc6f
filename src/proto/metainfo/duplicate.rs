//! Files that claim the same path, or the place of another's folder.

use super::path::Names;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How many candidates for new names may turn out to be taken; more do only in a torrent that was made for it.
const MAX_MISSES: usize = 5_000;

/// Orders paths part by part, so that what is in a folder comes directly after a file of the folder's name.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    // No path has a NUL, so `/` can take its place below all other bytes.
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    // Paths of one folder begin alike: what is equal is passed over in big steps.
    let alike = a.chunks(32).zip(b.chunks(32)).take_while(|(x, y)| x == y).count() * 32;
    let (a, b) = (a.get(alike..).unwrap_or_default(), b.get(alike..).unwrap_or_default());
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
        let mut sorted: Vec<_> = paths.enumerate().map(|(i, path)| (names.fold(path), i)).collect();
        sorted.sort_by(|a, b| compare(&a.0, &b.0).then(a.1.cmp(&b.1)));
        Self { names, sorted }
    }

    /// Gives the files that need another name, in the order of their paths: all but the first of those with one path, and all
    /// that have the path of a folder.
    pub(super) fn clashes(&self) -> Vec<usize> {
        let mut out = Vec::new();
        let mut groups = self.sorted.chunk_by(|a, b| a.0 == b.0).peekable();
        while let Some(group) = groups.next() {
            let path = group.first().map_or(&b""[..], |(path, _)| path);
            let next = groups.peek().and_then(|group| group.first());
            let first_stays = !next.is_some_and(|(next, _)| is_below(next, path));
            out.extend(group.iter().skip(usize::from(first_stays)).map(|(_, file)| *file));
        }
        out
    }

    /// Where in the order a path stands or would stand.
    fn place(&self, path: &[u8]) -> usize {
        self.sorted.partition_point(|(p, _)| compare(p, path).is_lt())
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
        let mut misses = 0;
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
                let candidate = [folder, &self.names.numbered(name, number)].concat();
                let folded = self.names.fold(&candidate).into_owned();
                if !self.is_taken(&folded) && given.insert(folded) {
                    break candidate;
                }
                misses += 1;
                if misses > MAX_MISSES {
                    return Err(TooMany);
                }
            };
            out.push((file, free));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(paths: &[&str], names: Names) -> Result<Vec<String>, TooMany> {
        let sorted = Paths::new(paths.iter().map(|p| p.as_bytes()), names);
        let renamed = sorted.rename(&sorted.clashes(), |i| paths[i].as_bytes(), |_| true, 500)?;
        let mut out: Vec<String> = paths.iter().map(|p| p.to_string()).collect();
        for (file, path) in renamed {
            out[file] = String::from_utf8(path).unwrap();
        }
        Ok(out)
    }

    fn assert_resolves(paths: &[&str], names: Names, wanted: &[&str]) {
        match resolve(paths, names) {
            Ok(found) => assert_eq!(found, wanted),
            Err(TooMany) => panic!("too many"),
        }
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
    }

    #[test]
    fn five_hundred_duplicates_are_renamed_and_one_more_is_refused() {
        let names = vec!["a"; 502];
        assert!(resolve(&names[..501], Names::Host).is_ok_and(|found| found[500] == "a.500"));
        assert!(resolve(&names, Names::Host).is_err());
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
