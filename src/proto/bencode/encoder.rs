//! The canonical encoder.

use super::scan::Level;
use super::tree::Tree;
use super::value::Value;
use super::writer::{self, Number};
use std::ops::Range;

/// Encodes a dictionary.
///
/// ```
/// use bip::proto::bencode;
/// let bytes = bencode::encode_dict(|d| {
///     d.int("b", 1);
///     d.dict("a", |d| d.bytes("x", b"y"));
/// });
/// assert_eq!(bytes, b"d1:ad1:x1:ye1:bi1ee");
/// ```
#[inline]
pub fn encode_dict(fill: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(ROOM);
    encode_dict_into(&mut out, fill);
    out
}

/// Encodes a dictionary to the end of what is there: with a buffer that is used again, a message with its keys in ascending order is
/// written without an allocation.
///
/// ```
/// use bip::proto::bencode;
/// let mut datagram = Vec::new();
/// for transaction in [b"aa", b"ab"] {
///     datagram.clear();
///     bencode::encode_dict_into(&mut datagram, |d| {
///         d.dict("r", |d| d.bytes("id", b"abcdefghij0123456789"));
///         d.bytes("t", transaction);
///         d.bytes("y", "r");
///     });
/// }
/// assert_eq!(datagram, b"d1:rd2:id20:abcdefghij0123456789e1:t2:ab1:y1:re");
/// ```
#[inline]
pub fn encode_dict_into(out: &mut Vec<u8>, fill: impl FnOnce(&mut DictEncoder<'_>)) {
    out.push(b'd');
    let start = out.len();
    let mut dict = DictEncoder { out, start, last: 0..0, level: Level::DICT, ascending: true };
    fill(&mut dict);
    dict.finish();
}

/// Encodes a list.
///
/// ```
/// use bip::proto::bencode;
/// assert_eq!(bencode::encode_list(|l| l.int(-560)), b"li-560ee");
/// ```
#[inline]
pub fn encode_list(fill: impl FnOnce(&mut ListEncoder<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(ROOM);
    encode_list_into(&mut out, fill);
    out
}

/// Encodes a list to the end of what is there.
#[inline]
pub fn encode_list_into(out: &mut Vec<u8>, fill: impl FnOnce(&mut ListEncoder<'_>)) {
    out.push(b'l');
    fill(&mut ListEncoder { out });
    out.push(b'e');
}

/// Room for a usual message, so that it is not made in steps.
const ROOM: usize = 128;

#[inline]
fn write_int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(Number::integer(value).as_bytes());
}

#[inline]
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..10 => out.extend_from_slice(&[b'0' + length as u8, b':']),
        length @ 10..100 => out.extend_from_slice(&[b'0' + (length / 10) as u8, b'0' + (length % 10) as u8, b':']),
        length => out.extend_from_slice(Number::length(length).as_bytes()),
    }
    out.extend_from_slice(bytes);
}

/// Writes the elements of a list.
#[derive(Debug)]
pub struct ListEncoder<'o> {
    out: &'o mut Vec<u8>,
}

impl ListEncoder<'_> {
    /// Adds an integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        write_int(self.out, value);
    }

    /// Adds a string.
    #[inline]
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        write_bytes(self.out, bytes.as_ref());
    }

    /// Adds a decoded element as it stands in its source.
    #[inline]
    pub fn value(&mut self, value: Value<'_, '_>) {
        self.out.extend_from_slice(value.span());
    }

    /// Adds an element that is encoded already. It is not checked.
    #[inline]
    pub fn encoded(&mut self, element: &[u8]) {
        self.out.extend_from_slice(element);
    }

    /// Adds an element that has been built.
    #[inline]
    pub fn tree(&mut self, tree: &Tree) {
        tree.encode_into(self.out);
    }

    /// Adds a list.
    #[inline]
    pub fn list(&mut self, fill: impl FnOnce(&mut ListEncoder<'_>)) {
        encode_list_into(self.out, fill);
    }

    /// Adds a dictionary.
    #[inline]
    pub fn dict(&mut self, fill: impl FnOnce(&mut DictEncoder<'_>)) {
        encode_dict_into(self.out, fill);
    }
}

/// Writes the keys and values of a dictionary.
///
/// Keys may come in any order and are written sorted; in ascending order it costs least. A key given twice has the value given
/// last.
#[derive(Debug)]
pub struct DictEncoder<'o> {
    out: &'o mut Vec<u8>,
    /// Where the first entry starts.
    start: usize,
    /// Where the last key's bytes are.
    last: Range<usize>,
    /// The same, for a quick comparison.
    level: Level,
    ascending: bool,
}

impl DictEncoder<'_> {
    #[inline]
    fn key(&mut self, key: &[u8]) {
        let level = Level::dict(0, key);
        if !level.is_after(self.level) {
            self.ascending &= self.out.get(self.last.clone()).is_some_and(|last| last < key);
        }
        self.level = level;
        write_bytes(self.out, key);
        let end = self.out.len();
        self.last = end - key.len()..end;
    }

    /// Adds an integer.
    #[inline]
    pub fn int(&mut self, key: impl AsRef<[u8]>, value: i64) {
        self.key(key.as_ref());
        write_int(self.out, value);
    }

    /// Adds a string.
    #[inline]
    pub fn bytes(&mut self, key: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) {
        self.key(key.as_ref());
        write_bytes(self.out, bytes.as_ref());
    }

    /// Adds a decoded element as it stands in its source.
    #[inline]
    pub fn value(&mut self, key: impl AsRef<[u8]>, value: Value<'_, '_>) {
        self.key(key.as_ref());
        self.out.extend_from_slice(value.span());
    }

    /// Adds an element that is encoded already. It is not checked.
    #[inline]
    pub fn encoded(&mut self, key: impl AsRef<[u8]>, element: &[u8]) {
        self.key(key.as_ref());
        self.out.extend_from_slice(element);
    }

    /// Adds an element that has been built.
    #[inline]
    pub fn tree(&mut self, key: impl AsRef<[u8]>, tree: &Tree) {
        self.key(key.as_ref());
        tree.encode_into(self.out);
    }

    /// Adds a list.
    #[inline]
    pub fn list(&mut self, key: impl AsRef<[u8]>, fill: impl FnOnce(&mut ListEncoder<'_>)) {
        self.key(key.as_ref());
        encode_list_into(self.out, fill);
    }

    /// Adds a dictionary.
    #[inline]
    pub fn dict(&mut self, key: impl AsRef<[u8]>, fill: impl FnOnce(&mut DictEncoder<'_>)) {
        self.key(key.as_ref());
        encode_dict_into(self.out, fill);
    }

    #[inline]
    fn finish(self) {
        if !self.ascending {
            sort(self.out, self.start);
        }
        self.out.push(b'e');
    }
}

/// Sorts the entries of the dictionary that begins at `start` and has not ended.
#[cold]
#[inline(never)]
fn sort(out: &mut Vec<u8>, start: usize) {
    let unsorted = out.split_off(start);
    let mut entries: Vec<(&[u8], &[u8])> = Vec::new();
    let mut left = &unsorted[..];
    while !left.is_empty() {
        let (key, length) = writer::text(left);
        let end = length + writer::element_length(left.get(length..).unwrap_or_default());
        let (entry, next) = left.split_at_checked(end).unwrap_or((left, &[]));
        entries.push((key, entry));
        left = next;
    }
    // Stable: of equal keys the last one given stays last, and is the one kept.
    entries.sort_by_key(|(key, _)| *key);
    for (i, (key, entry)) in entries.iter().enumerate() {
        if entries.get(i + 1).is_none_or(|(next, _)| next != key) {
            out.extend_from_slice(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_written_in_full() {
        let bytes = encode_list(|l| [0, -560, i64::MAX, i64::MIN].into_iter().for_each(|i| l.int(i)));
        assert_eq!(bytes, b"li0ei-560ei9223372036854775807ei-9223372036854775808ee");
    }

    #[test]
    fn empty_and_nested_containers_are_written() {
        assert_eq!(encode_list(|_| {}), b"le");
        assert_eq!(encode_dict(|_| {}), b"de");
        let bytes = encode_list(|l| {
            l.list(|l| l.bytes(""));
            l.dict(|d| d.list("", |l| l.dict(|_| {})));
        });
        assert_eq!(bytes, b"ll0:ed0:ldeeee");
    }

    #[test]
    fn keys_are_sorted_as_raw_bytes_at_every_level() {
        let bytes = encode_list(|l| {
            l.dict(|d| {
                d.int("b", 1);
                d.dict("aa", |d| {
                    d.int("z", 1);
                    d.int([0xff], 2);
                    d.int("Z", 3);
                });
                d.int("a", 2);
                d.bytes("", "x");
            });
        });
        assert_eq!(bytes, b"ld0:1:x1:ai2e2:aad1:Zi3e1:zi1e1:\xffi2ee1:bi1eee");
    }

    #[test]
    fn of_a_key_given_twice_the_last_value_stays() {
        let bytes = encode_dict(|d| {
            d.int("a", 1);
            d.int("b", 2);
            d.int("a", 3);
            d.int("b", 4);
        });
        assert_eq!(bytes, b"d1:ai3e1:bi4ee");
    }

    #[test]
    fn sorting_moves_whole_entries_whatever_is_in_them() {
        let deep = [vec![b'l'; 5000], vec![b'e'; 5000]].concat();
        let bytes = encode_dict(|d| {
            d.bytes("c", "0:0:e");
            d.encoded("b", &deep);
            d.encoded("a", b"i-03e");
            d.list("B", |l| l.bytes(""));
        });
        assert_eq!(bytes, [b"d1:Bl0:e1:ai-03e1:b", &deep[..], b"1:c5:0:0:ee"].concat());
        // What is not an element after all spoils the dictionary that it is put into, and nothing else.
        for broken in [&b""[..], b"e", b"5:a", b"l", b"99999999999999999999:", b"x"] {
            let bytes = encode_dict(|d| {
                d.int("b", 1);
                d.encoded("a", broken);
            });
            assert!(bytes.starts_with(b"d") && bytes.ends_with(b"e"));
        }
    }

    #[test]
    fn what_is_appended_leaves_alone_what_was_there() {
        let mut out = b"header".to_vec();
        encode_dict_into(&mut out, |d| {
            d.int("b", 1);
            d.int("a", 2);
        });
        encode_list_into(&mut out, |l| l.encoded(b"i7e"));
        assert_eq!(out, b"headerd1:ai2e1:bi1eeli7ee");
    }
}
