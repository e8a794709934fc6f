//! Patterns for names, to leave files and folders out of a torrent.

use super::error::{Error, shown};
use std::fmt;

/// The longest pattern, in bytes.
const MOST: usize = 4096;
/// Added to a byte that is not UTF-8, so that it is no character.
const BYTE: u32 = 1 << 24;

/// A pattern for the paths of files and folders below a tree's root.
///
/// | | stands for |
/// |---|---|
/// | `*` | any characters but `/`, or none |
/// | `?` | one character but `/` |
/// | `[abc]`, `[a-z]`, `[!a-z]` | one character of these, or one that is none of them; a `]` comes first, a `-` first or last |
/// | `**` as a part of a path | any number of folders |
/// | `\` | takes the next character as it is |
///
/// A pattern without `/` is for names at any depth. One with `/` in it or before it is for paths from the tree's root on. With a `/` at its end
/// it is for folders alone. A byte that is not UTF-8 is a character of its own. Upper and lower case are different.
///
/// Matching takes at most the length of the pattern times that of the path.
///
/// ```
/// use bip::disk::Glob;
/// let is = |glob: &str, path: &str| Glob::parse(glob).unwrap().matches(path.split('/'), false);
/// assert!(is("*.tmp", "a/b/x.tmp") && !is("*.tmp", "x.tmp.txt"));
/// assert!(is("a/*.txt", "a/x.txt") && !is("a/*.txt", "b/a/x.txt") && !is("a/*.txt", "a/b/x.txt"));
/// assert!(is("a/**/x", "a/x") && is("a/**/x", "a/b/c/x") && !is("cache/", "cache"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: Vec<u8>,
    parts: Vec<Part>,
    folders_alone: bool,
}

/// A part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    AnyFolders,
    Name(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(u32),
    Any,
    AnyRun,
    Class { ranges: Vec<(u32, u32)>, is_negated: bool },
}

impl Token {
    fn is(&self, character: u32) -> bool {
        match self {
            Token::One(one) => *one == character,
            Token::Any | Token::AnyRun => true,
            Token::Class { ranges, is_negated } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != *is_negated
            }
        }
    }
}

/// Reads bytes as characters, each with where it begins.
fn characters(bytes: &[u8]) -> Vec<(usize, u32)> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        out.extend(chunk.valid().char_indices().map(|(offset, c)| (at + offset, u32::from(c))));
        at += chunk.valid().len();
        out.extend(chunk.invalid().iter().enumerate().map(|(offset, b)| (at + offset, BYTE + u32::from(*b))));
        at += chunk.invalid().len();
    }
    out
}

impl Glob {
    /// Reads a pattern, of at most 4,096 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Glob`] where it is no pattern: it is empty or too long, a part of it is empty or `.` or `..`, a `[` is not closed, a range
    /// is the wrong way round, or nothing follows a `\`.
    pub fn parse(pattern: impl AsRef<[u8]>) -> Result<Self, Error> {
        let text = pattern.as_ref();
        let fail = |at, problem| Error::Glob { glob: shown(text), at, problem };
        if text.len() > MOST {
            return Err(fail(MOST, "more than 4096 bytes"));
        }
        let mut parser = Parser { characters: &characters(text), at: 0, end: text.len() };
        let mut parts = Vec::new();
        let is_rooted = parser.take('/');
        let mut folders_alone = false;
        loop {
            let start = parser.place();
            let part = parser.part().map_err(|(at, problem)| fail(at, problem))?;
            match text.get(start..parser.place()) {
                Some(b"") => return Err(fail(start, "a name is missing")),
                Some(b"." | b"..") => return Err(fail(start, "not the name of a file or folder")),
                Some(b"**") => parts.push(Part::AnyFolders),
                _ => parts.push(Part::Name(part)),
            }
            if !parser.take('/') {
                break;
            }
            if parser.is_over() {
                folders_alone = true;
                break;
            }
        }
        // What is below a folder is not the folder itself, nor a file of its name.
        if parts.len() > 1 && parts.last() == Some(&Part::AnyFolders) {
            parts.push(Part::Name(vec![Token::AnyRun]));
        }
        if parts.len() == 1 && !is_rooted {
            parts.insert(0, Part::AnyFolders);
        }
        Ok(Self { text: text.to_vec(), parts, folders_alone })
    }

    /// Says whether a path, given by its parts below the tree's root, is one that the pattern is for.
    pub fn matches<P: AsRef<[u8]>>(&self, path: impl IntoIterator<Item = P>, is_folder: bool) -> bool {
        if self.folders_alone && !is_folder {
            return false;
        }
        let names: Vec<Vec<u32>> =
            path.into_iter().map(|name| characters(name.as_ref()).into_iter().map(|(_, c)| c).collect()).collect();
        matches(
            &self.parts,
            &names,
            |part| *part == Part::AnyFolders,
            |part, name| match part {
                Part::AnyFolders => true,
                Part::Name(tokens) => {
                    matches(tokens, name, |token| *token == Token::AnyRun, |token, character| token.is(*character))
                }
            },
        )
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.text))
    }
}

/// Says whether items are those of a pattern, of which some stand for any run of items.
///
/// Of two such runs the earlier is as short as it can be: whatever follows the later one can then begin wherever it could otherwise.
fn matches<P, T>(pattern: &[P], items: &[T], is_run: impl Fn(&P) -> bool, is: impl Fn(&P, &T) -> bool) -> bool {
    let (mut at, mut item) = (0, 0);
    // Where to go on when what follows the latest run does not match: behind it, with one item more in it.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(found) = items.get(item) {
        match pattern.get(at) {
            Some(run) if is_run(run) => {
                retry = Some((at + 1, item));
                at += 1;
            }
            Some(one) if is(one, found) => {
                at += 1;
                item += 1;
            }
            _ => {
                let Some((after, from)) = &mut retry else { return false };
                *from += 1;
                (at, item) = (*after, *from);
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(is_run))
}

/// Reads a pattern's characters in order.
struct Parser<'p> {
    characters: &'p [(usize, u32)],
    at: usize,
    /// The length of the pattern in bytes.
    end: usize,
}

type Problem = (usize, &'static str);

impl Parser<'_> {
    fn peek(&self) -> Option<u32> {
        self.characters.get(self.at).map(|(_, character)| *character)
    }

    fn next(&mut self) -> Option<u32> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted.into());
        self.at += usize::from(is_there);
        is_there
    }

    fn is_over(&self) -> bool {
        self.peek().is_none()
    }

    /// Gives the place in bytes.
    fn place(&self) -> usize {
        self.characters.get(self.at).map_or(self.end, |(place, _)| *place)
    }

    fn part(&mut self) -> Result<Vec<Token>, Problem> {
        let mut tokens = Vec::new();
        while self.peek().is_some_and(|c| c != u32::from('/')) {
            let token = if self.take('*') {
                while self.take('*') {}
                Token::AnyRun
            } else if self.take('?') {
                Token::Any
            } else if self.peek() == Some('['.into()) {
                self.class()?
            } else {
                Token::One(self.one()?)
            };
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// Reads a character that stands for itself.
    fn one(&mut self) -> Result<u32, Problem> {
        let start = self.place();
        let is_escaped = self.take('\\');
        match self.next() {
            Some(character) if character != u32::from('/') => Ok(character),
            _ if is_escaped => Err((start, "nothing that a \\ could be for")),
            _ => Err((start, "a name is missing")),
        }
    }

    fn class(&mut self) -> Result<Token, Problem> {
        let start = self.place();
        let unclosed = (start, "a [ without its ]");
        self.at += 1;
        let is_negated = self.take('!') || self.take('^');
        let mut ranges = Vec::new();
        // A bracket that comes first is one of the characters.
        while ranges.is_empty() || !self.take(']') {
            let place = self.place();
            let first = self.one().map_err(|_| unclosed)?;
            let is_range = self.peek() == Some('-'.into())
                && self.characters.get(self.at + 1).is_some_and(|(_, c)| *c != u32::from(']'));
            let last = if is_range {
                self.at += 1;
                self.one().map_err(|_| unclosed)?
            } else {
                first
            };
            if last < first {
                return Err((place, "a range that ends before it begins"));
            }
            ranges.push((first, last));
        }
        Ok(Token::Class { ranges, is_negated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is(glob: &str, path: &str) -> bool {
        Glob::parse(glob).unwrap().matches(path.split('/'), false)
    }

    #[test]
    fn a_pattern_is_for_what_its_characters_say() {
        for (glob, path) in [
            ("a", "a"),
            ("a", "x/y/a"),
            ("*", "x/y"),
            ("*.nfo", "x/.nfo"),
            ("*a*b*", "xxaxxbaxb"),
            ("?", "ä"),
            ("[a-cx]?[!0-9]", "x5a"),
            ("[]-]", "x/]"),
            ("[]-]", "-"),
            ("[!]]", "a"),
            ("\\*\\[\\\\", "*[\\"),
            ("/a", "a"),
            ("a/b", "a/b"),
            ("a/*", "a/b"),
            ("**/b", "b"),
            ("**/b", "a/a/b"),
            ("a/**/b/**/c", "a/x/b/b/y/c"),
            ("a/**", "a/b/c"),
            ("a/**", "a/b"),
            ("a**b", "axb"),
            ("größe", "x/größe"),
            ("a{b", "a{b"),
        ] {
            assert!(is(glob, path), "{glob} {path}");
        }
        for (glob, path) in [
            ("a", "b"),
            ("a", "A"),
            ("a", "a/b"),
            ("*.nfo", "x.nfo/y"),
            ("?", ""),
            ("?", "ab"),
            ("*a*b*", "ba"),
            ("[!a]", "a"),
            ("[a-c]", "d"),
            ("/a", "x/a"),
            ("a/b", "x/a/b"),
            ("a/*", "a/b/c"),
            ("a**b", "a/b"),
            ("a/**/b", "a/c"),
            ("a/**", "a"),
            ("a/**/b", "x/a/b"),
        ] {
            assert!(!is(glob, path), "{glob} {path}");
        }
    }

    #[test]
    fn a_slash_at_the_end_is_for_folders_alone() {
        let glob = Glob::parse("cache/").unwrap();
        assert!(glob.matches(["x", "cache"], true) && !glob.matches(["x", "cache"], false));
        assert!(Glob::parse("/cache/").unwrap().matches(["cache"], true));
        assert!(!Glob::parse("/cache/").unwrap().matches(["x", "cache"], true));
        assert!(Glob::parse("cache").unwrap().matches(["cache"], true));
    }

    #[test]
    fn bytes_that_are_no_text_are_characters_too() {
        let glob = Glob::parse(b"a\xff?[\xf0-\xff]").unwrap();
        assert!(glob.matches([b"a\xff\xfe\xf5"], false));
        assert!(!glob.matches([b"a\xfe\xfe\xf5"], false) && !glob.matches(["aÿþõ"], false));
        assert_eq!(glob.to_string(), "a\u{fffd}?[\u{fffd}-\u{fffd}]");
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_place() {
        let long = "x".repeat(MOST + 1);
        for (glob, place) in [
            ("", 0),
            ("/", 1),
            ("a//b", 2),
            ("..", 0),
            ("a/./b", 2),
            ("ä[b", 2),
            ("[", 0),
            ("[]", 0),
            ("[a/b]", 0),
            ("[z-a]", 1),
            ("ä\\", 2),
            ("a\\/b", 1),
            (&long, MOST),
        ] {
            match Glob::parse(glob) {
                Err(Error::Glob { at, .. }) => assert_eq!(at, place, "{glob}"),
                other => panic!("{glob}: {other:?}"),
            }
        }
        assert!(Glob::parse(&long[1..]).is_ok());
    }

    /// The same by trying everything.
    fn tried(pattern: &[Token], name: &[u32]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((Token::AnyRun, rest)), _) => (0..=name.len()).any(|n| tried(rest, &name[n..])),
            (Some((token, rest)), Some((character, after))) => token.is(*character) && tried(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_trying_everything_finds(glob in "/[ab*?]{1,8}", name in "[ab]{0,10}") {
            let glob = Glob::parse(glob).unwrap();
            let characters: Vec<u32> = name.chars().map(u32::from).collect();
            let wanted = match &glob.parts[..] {
                [Part::Name(tokens)] => tried(tokens, &characters),
                _ => true,
            };
            prop_assert_eq!(glob.matches([&name], false), wanted);
        }

        #[test]
        fn any_bytes_are_a_pattern_or_refused(glob in prop::collection::vec(any::<u8>(), 0..20), name in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(glob) = Glob::parse(glob) {
                let _ = glob.matches(name.split(|b| *b == b'/'), true);
            }
        }
    }
}
