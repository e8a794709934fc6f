//! Files of a torrent by their numbers, as people write them.

use bip::select::Priority;

/// Numbers of files from 1 on, as `bip show` lists them: `1,3-5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileList {
    /// The first and the last number of each part, and where the part begins in the text, in characters from 1 on.
    parts: Vec<(u32, u32, usize)>,
}

impl FileList {
    /// Reads a list.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut place = 1;
        for part in text.split(',') {
            let number = |text: &str| -> Result<u32, String> {
                let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                match text.parse() {
                    Ok(0) => Err(format!("'{part}' at character {place}: files are numbered from 1 on")),
                    Ok(number) if is_number => Ok(number),
                    Err(_) if is_number => Err(format!("'{part}' at character {place}: no torrent has so many files")),
                    _ => Err(format!("'{part}' at character {place} is neither a number nor a range such as 3-5")),
                }
            };
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(format!("'{part}' at character {place} ends before it begins"));
            }
            parts.push((first, last, place));
            place += part.chars().count() + 1;
        }
        Ok(Self { parts })
    }

    /// Gives a priority for each of a torrent's files: normal for those of the list.
    pub(crate) fn priorities(&self, files: usize) -> Result<Vec<Priority>, String> {
        let mut out = vec![Priority::Skip; files];
        for &(first, last, place) in &self.parts {
            // A number that is none of an address's is beyond every list.
            let range = usize::try_from(first - 1).unwrap_or(usize::MAX)..usize::try_from(last).unwrap_or(usize::MAX);
            let missing = if first as usize > files { first } else { last };
            let Some(part) = out.get_mut(range) else {
                return Err(format!("there is no file {missing} (at character {place} of the list)"));
            };
            part.fill(Priority::Normal);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_of_numbers_and_ranges() {
        let wanted = |text: &str, files| {
            let priorities = FileList::parse(text).and_then(|list| list.priorities(files)).unwrap();
            priorities.iter().map(|p| if *p == Priority::Skip { '.' } else { 'x' }).collect::<String>()
        };
        assert_eq!(wanted("1", 1), "x");
        assert_eq!(wanted("1,3-5", 6), "x.xxx.");
        assert_eq!(wanted("3-3,2,2-4", 4), ".xxx");
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_place() {
        for (text, place) in [
            ("", 1),
            ("0", 1),
            ("1,", 3),
            (",1", 1),
            ("1,,2", 3),
            ("1,x", 3),
            ("ä,1", 1),
            ("1,ä", 3),
            ("2-1", 1),
            ("1-", 1),
            ("-1", 1),
            ("1-2-3", 1),
            ("1, 2", 3),
            ("+1", 1),
            ("12,4294967296", 4),
            ("12,1-4294967296", 4),
        ] {
            let error = FileList::parse(text).expect_err(text);
            assert!(error.contains(&format!("at character {place}")), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_and_costs_nothing() {
        for (text, number, place) in [("4", 4, 1), ("1,2-4", 4, 3), ("1-4294967295", u32::MAX, 1), ("7-9", 7, 1)] {
            let error = FileList::parse(text).unwrap().priorities(3).expect_err(text);
            assert!(error.contains(&format!("no file {number} (at character {place} ")), "{text}: {error}");
        }
    }
}
