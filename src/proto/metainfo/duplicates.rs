//! New names for files whose path is taken.

use super::places::{Key, Owner, Place, Places};
use std::cmp::Ordering;

/// How many candidates for new names may turn out to be taken; more do only in a torrent that was made for it.
const MAX_MISSES: usize = 5_000;

/// There are more than the permitted number of duplicates.
#[derive(Debug)]
pub(super) struct TooMany;

impl Places<'_> {
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
}

/// Orders paths part by part, so that what is in a folder comes directly after a file of the folder's name.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.split(|&byte| byte == b'/').cmp(b.split(|&byte| byte == b'/'))
}

#[cfg(test)]
mod tests {
    use super::super::path::Names;
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
