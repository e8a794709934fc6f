//! The one place where extensions read and write bencode.

use crate::proto::bencode::{self, DictEncoder, Document};

/// What stands at a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    List,
    Dict,
}

/// A key, what stands there, and its source bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Field<'a>,
    pub(super) raw: &'a [u8],
}

/// No dictionary of an extension is big: long texts in it are addresses, and what is nested deep is nonsense.
fn limits() -> bencode::Limits {
    let most = 2 << 20;
    bencode::Limits { depth: 8, tokens: 500, string_length: most, input_length: most }
}

/// Goes over the keys of the dictionary that the bytes begin with, and gives what follows it.
pub(super) fn read<'a>(bytes: &'a [u8], mut take: impl FnMut(Entry<'a>)) -> Result<&'a [u8], bencode::Error> {
    let document = Document::decode_prefix(bytes, &limits())?;
    for (key, value) in document.root().dict()? {
        let field = match (value.as_int(), value.as_bytes(), value.as_list()) {
            (Some(int), _, _) => Field::Int(int),
            (_, Some(bytes), _) => Field::Bytes(bytes),
            (_, _, Some(_)) => Field::List,
            _ => Field::Dict,
        };
        take(Entry { key, value: field, raw: value.span() });
    }
    Ok(document.rest())
}

/// Says whether the bytes are one value that may stand in a dictionary.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    let limits = limits();
    Document::decode(bytes, &bencode::Limits { depth: limits.depth - 1, ..limits }).is_ok()
}

/// Writes a value as it stands; nothing where the bytes are not one.
pub(super) fn write_raw(out: &mut DictEncoder<'_>, key: &[u8], raw: &[u8]) {
    if let Ok(document) = Document::decode(raw, &limits()) {
        out.value(key, document.root());
    }
}
