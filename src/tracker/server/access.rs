//! Which torrents are served.

use crate::proto::id::InfoHash;
use std::fmt;
use std::sync::Arc;

/// Which torrents a server serves.
///
/// ```
/// use bip::tracker::server::{Access, HashList};
/// let list = HashList::parse(b"# Ours\n0123456789abcdef0123456789abcdef01234567 holiday\n\n")?;
/// let ours = "0123456789abcdef0123456789abcdef01234567".parse()?;
/// assert!(Access::Allow(list.clone()).permits(&ours) && !Access::Deny(list).permits(&ours));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// All.
    #[default]
    All,
    /// Those on the list.
    Allow(HashList),
    /// Those that are not on the list.
    Deny(HashList),
}

impl Access {
    /// Says whether a torrent is served.
    #[inline]
    pub fn permits(&self, info_hash: &InfoHash) -> bool {
        match self {
            Access::All => true,
            Access::Allow(list) => list.contains(info_hash),
            Access::Deny(list) => !list.contains(info_hash),
        }
    }

    /// Gives how many info hashes are listed.
    pub fn listed(&self) -> usize {
        match self {
            Access::All => 0,
            Access::Allow(list) | Access::Deny(list) => list.len(),
        }
    }
}

/// Info hashes, sorted; copies share them.
#[derive(Clone, PartialEq, Eq)]
pub struct HashList(Arc<[InfoHash]>);

impl HashList {
    /// Reads a list: a hash of 40 hexadecimal digits at the start of each line, after which anything may follow a blank. Empty lines, and those that begin
    /// with `#`, are left out; so are blanks around each.
    ///
    /// # Errors
    ///
    /// The first line that is none of these.
    pub fn parse(text: &[u8]) -> Result<Self, ParseListError> {
        let mut hashes = Vec::new();
        for (line, bytes) in text.split(|byte| *byte == b'\n').enumerate() {
            let bytes = bytes.trim_ascii();
            if bytes.is_empty() || bytes.starts_with(b"#") {
                continue;
            }
            let word = bytes.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            let hash = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
            hashes.push(hash.ok_or(ParseListError { line: line + 1 })?);
        }
        Ok(hashes.into_iter().collect())
    }

    /// Says whether a hash is on the list.
    pub fn contains(&self, info_hash: &InfoHash) -> bool {
        self.0.binary_search(info_hash).is_ok()
    }

    /// Gives how many there are, each counted once.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<InfoHash> for HashList {
    fn from_iter<I: IntoIterator<Item = InfoHash>>(hashes: I) -> Self {
        let mut hashes: Vec<InfoHash> = hashes.into_iter().collect();
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes.into())
    }
}

impl fmt::Debug for HashList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashList({} hashes)", self.len())
    }
}

/// Why a text is no list of info hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseListError {
    /// The line that does not begin with a hash, from 1 on.
    pub line: usize,
}

impl fmt::Display for ParseListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: expected an info hash of 40 hexadecimal digits", self.line)
    }
}

impl std::error::Error for ParseListError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_people_write_it() {
        let (a, b) = ("0".repeat(40), "F".repeat(40));
        let text = format!("\u{20}{b}\r\n# {a} not this\n\n\t{a}\tname of it\n{b}");
        let list = HashList::parse(text.as_bytes()).unwrap();
        assert_eq!(list.len(), 2);
        assert!(list.contains(&InfoHash([0; 20])) && list.contains(&InfoHash([255; 20])));
        assert!(!list.contains(&InfoHash([1; 20])));
        assert!(HashList::parse(b"").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_hash_is_named_by_its_line() {
        let good = "0".repeat(40);
        for bad in ["0", "x".repeat(40).as_str(), "0".repeat(41).as_str(), "é"] {
            let error = HashList::parse(format!("{good}\n#\n{bad}\n").as_bytes()).unwrap_err();
            assert_eq!(error.line, 3, "{bad}");
        }
        assert_eq!(
            HashList::parse(b"\xff").unwrap_err().to_string(),
            "line 1: expected an info hash of 40 hexadecimal digits"
        );
    }
}
