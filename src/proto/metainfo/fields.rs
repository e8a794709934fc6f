//! What a torrent says of one file.

use super::error::Error;
use crate::proto::bencode::{Dict, Kind, List, Value};

/// What is said of a file beside its path and length, and where.
#[derive(Default, Clone, Copy)]
pub(super) struct Fields<'a, 'd> {
    pub(super) length: Option<Value<'a, 'd>>,
    pub(super) attributes: Option<Value<'a, 'd>>,
    pub(super) link: Option<Value<'a, 'd>>,
    pub(super) md5: Option<Value<'a, 'd>>,
    pub(super) sha1: Option<Value<'a, 'd>>,
    #[cfg_attr(not(feature = "v2"), allow(dead_code))]
    pub(super) root: Option<Value<'a, 'd>>,
    pub(super) path: Option<Value<'a, 'd>>,
    pub(super) utf8: Option<Value<'a, 'd>>,
}

impl<'a, 'd> Fields<'a, 'd> {
    /// One pass over the keys, as there may be very many files.
    pub(super) fn of(dict: Dict<'a, 'd>) -> Self {
        let mut out = Self::default();
        for (key, value) in dict {
            match key {
                b"length" => out.length = Some(value),
                b"path" => out.path = Some(value),
                b"path.utf-8" => out.utf8 = Some(value),
                b"attr" => out.attributes = Some(value),
                b"symlink path" => out.link = Some(value),
                b"md5sum" => out.md5 = Some(value),
                b"sha1" => out.sha1 = Some(value),
                b"pieces root" => out.root = Some(value),
                _ => {}
            }
        }
        out
    }
}

impl Fields<'_, '_> {
    /// Says whether it is a link, which may do without a length (BEP 47).
    pub(super) fn is_link(&self) -> bool {
        let has_mark = self.attributes.and_then(Value::as_bytes).is_some_and(|letters| letters.contains(&b'l'));
        has_mark && self.link.is_some_and(|target| target.kind() == Kind::List)
    }
}

/// Gives the parts of a `path.utf-8` that is as it should be.
pub(super) fn utf8_path<'a, 'd>(value: Value<'a, 'd>) -> Option<List<'a, 'd>> {
    let list = value.as_list()?;
    (!list.is_empty() && list.iter().all(|part| part.as_str().is_some())).then_some(list)
}

pub(super) fn file_length(value: Value<'_, '_>) -> Result<u64, Error> {
    let length = value.int()?;
    u64::try_from(length).map_err(|_| Error::NegativeLength { path: value.path(), at: value.position(), value: length })
}
