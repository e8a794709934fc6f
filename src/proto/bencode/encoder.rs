//! The canonical encoder.

use super::value::Value;
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
pub fn encode_dict(fill: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write_dict(&mut out, fill);
    out
}

/// Encodes a list.
///
/// ```
/// use bip::proto::bencode;
/// assert_eq!(bencode::encode_list(|l| l.int(-560)), b"li-560ee");
/// ```
pub fn encode_list(fill: impl FnOnce(&mut ListEncoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write_list(&mut out, fill);
    out
}

fn write_decimal(out: &mut Vec<u8>, negative: bool, mut magnitude: u64) {
    let mut digits = [0; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (magnitude % 10) as u8;
        magnitude /= 10;
        used += 1;
        if magnitude == 0 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[digits.len() - used..]);
}

fn write_int(out: &mut Vec<u8>, value: i64) {
    out.push(b'i');
    write_decimal(out, value < 0, value.unsigned_abs());
    out.push(b'e');
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_decimal(out, false, bytes.len() as u64);
    out.push(b':');
    out.extend_from_slice(bytes);
}

fn write_list(out: &mut Vec<u8>, fill: impl FnOnce(&mut ListEncoder<'_>)) {
    out.push(b'l');
    fill(&mut ListEncoder { out });
    out.push(b'e');
}

fn write_dict(out: &mut Vec<u8>, fill: impl FnOnce(&mut DictEncoder<'_>)) {
    out.push(b'd');
    let start = out.len();
    let mut dict = DictEncoder { out, start, entries: Vec::new(), ascending: true };
    fill(&mut dict);
    dict.finish();
}

/// Writes the elements of a list.
#[derive(Debug)]
pub struct ListEncoder<'o> {
    out: &'o mut Vec<u8>,
}

impl ListEncoder<'_> {
    /// Adds an integer.
    pub fn int(&mut self, value: i64) {
        write_int(self.out, value);
    }

    /// Adds a string.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        write_bytes(self.out, bytes.as_ref());
    }

    /// Adds a decoded element as it stands in its source.
    pub fn value(&mut self, value: Value<'_, '_>) {
        self.out.extend_from_slice(value.span());
    }

    /// Adds a list.
    pub fn list(&mut self, fill: impl FnOnce(&mut ListEncoder<'_>)) {
        write_list(self.out, fill);
    }

    /// Adds a dictionary.
    pub fn dict(&mut self, fill: impl FnOnce(&mut DictEncoder<'_>)) {
        write_dict(self.out, fill);
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
    /// Where each key starts and ends; an entry ends where the next one's length prefix starts.
    entries: Vec<Entry>,
    ascending: bool,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    key: Range<usize>,
}

impl DictEncoder<'_> {
    fn key(&mut self, key: &[u8]) {
        let start = self.out.len();
        write_bytes(self.out, key);
        let end = self.out.len();
        if let Some(last) = self.entries.last() {
            self.ascending &= self.out[last.key.clone()] < *key;
        }
        self.entries.push(Entry { start, key: end - key.len()..end });
    }

    /// Adds an integer.
    pub fn int(&mut self, key: impl AsRef<[u8]>, value: i64) {
        self.key(key.as_ref());
        write_int(self.out, value);
    }

    /// Adds a string.
    pub fn bytes(&mut self, key: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) {
        self.key(key.as_ref());
        write_bytes(self.out, bytes.as_ref());
    }

    /// Adds a decoded element as it stands in its source.
    pub fn value(&mut self, key: impl AsRef<[u8]>, value: Value<'_, '_>) {
        self.key(key.as_ref());
        self.out.extend_from_slice(value.span());
    }

    /// Adds a list.
    pub fn list(&mut self, key: impl AsRef<[u8]>, fill: impl FnOnce(&mut ListEncoder<'_>)) {
        self.key(key.as_ref());
        write_list(self.out, fill);
    }

    /// Adds a dictionary.
    pub fn dict(&mut self, key: impl AsRef<[u8]>, fill: impl FnOnce(&mut DictEncoder<'_>)) {
        self.key(key.as_ref());
        write_dict(self.out, fill);
    }

    fn finish(self) {
        let Self { out, start, entries, ascending } = self;
        if !ascending {
            let unsorted = out.split_off(start);
            // Relative to `unsorted` from here on.
            let ends = entries.iter().skip(1).map(|e| e.start - start).chain([unsorted.len()]);
            let mut sorted: Vec<(&[u8], &[u8])> = entries
                .iter()
                .zip(ends)
                .map(|(e, end)| (&unsorted[e.key.start - start..e.key.end - start], &unsorted[e.start - start..end]))
                .collect();
            // Stable: of equal keys the last one given stays last, and is the one kept.
            sorted.sort_by_key(|(key, _)| *key);
            for (i, (key, entry)) in sorted.iter().enumerate() {
                if sorted.get(i + 1).is_none_or(|(next, _)| next != key) {
                    out.extend_from_slice(entry);
                }
            }
        }
        out.push(b'e');
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
}
