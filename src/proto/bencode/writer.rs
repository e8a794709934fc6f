//! Writing to anything that takes bytes, with nothing kept of what has been written.

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;

/// Takes the bytes of an encoding as they come: a buffer, a hash, a stream.
pub trait Sink {
    /// What can go wrong.
    type Error;

    /// Takes the next bytes, all of them.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl Sink for Vec<u8> {
    type Error = Infallible;

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Passes bytes on to a [`std::io::Write`]. Best with a buffer in front: many of the pieces are small.
#[derive(Debug)]
pub struct Io<W>(pub W);

impl<W: std::io::Write> Sink for Io<W> {
    type Error = std::io::Error;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.write_all(bytes)
    }
}

/// Why something could not be written. What was written before is with the sink, and is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// A key is not greater than the one before it: what is written cannot be sorted any more.
    KeyOrder {
        /// The key.
        key: Vec<u8>,
    },
    /// The parts of a string are not as long together as was said.
    Length {
        /// The length that was said, and written in front.
        expected: usize,
        /// How long the parts are together; at least, if that is more.
        found: usize,
    },
    /// The sink failed.
    Sink(E),
}

impl<E: fmt::Display> fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::KeyOrder { key } => write!(f, "the key \"{}\" is out of order", key.escape_ascii()),
            WriteError::Length { expected, found } => write!(f, "expected parts of {expected} bytes, found {found}"),
            WriteError::Sink(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for WriteError<E> {}

/// Writes one dictionary to a sink as it is filled. Keys must come in ascending order.
///
/// ```
/// use bip::proto::bencode::{self, Io};
/// let mut stream = Io(Vec::new()); // Some `std::io::Write`.
/// bencode::write_dict(&mut stream, |d| {
///     d.int("length", 5)?;
///     d.list("path", |l| l.bytes("a"))?;
///     d.parts("pieces", 4, [[1, 2], [3, 4]])
/// })?;
/// assert_eq!(stream.0, b"d6:lengthi5e4:pathl1:ae6:pieces4:\x01\x02\x03\x04e");
/// let error = bencode::write_dict(&mut stream, |d| {
///     d.int("b", 1)?;
///     d.int("a", 2)
/// });
/// assert_eq!(error.unwrap_err().to_string(), "the key \"a\" is out of order");
/// # Ok::<(), bencode::WriteError<std::io::Error>>(())
/// ```
///
/// # Errors
///
/// Says which key is out of order, or what the sink or the function gave.
#[inline]
pub fn write_dict<S: Sink>(
    sink: &mut S,
    fill: impl FnOnce(&mut DictWriter<'_, S>) -> Result<(), WriteError<S::Error>>,
) -> Result<(), WriteError<S::Error>> {
    Output { sink, keys: &mut Vec::new() }.dict(fill)
}

/// Writes one list to a sink as it is filled.
///
/// # Errors
///
/// As [`write_dict`].
#[inline]
pub fn write_list<S: Sink>(
    sink: &mut S,
    fill: impl FnOnce(&mut ListWriter<'_, S>) -> Result<(), WriteError<S::Error>>,
) -> Result<(), WriteError<S::Error>> {
    Output { sink, keys: &mut Vec::new() }.list(fill)
}

struct Output<'o, S> {
    sink: &'o mut S,
    /// The last key of each dictionary that is open, one after the other.
    keys: &'o mut Vec<u8>,
}

impl<S: Sink> Output<'_, S> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError<S::Error>> {
        self.sink.write(bytes).map_err(WriteError::Sink)
    }

    fn int(&mut self, value: i64) -> Result<(), WriteError<S::Error>> {
        self.put(Number::integer(value).as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError<S::Error>> {
        self.put(Number::length(bytes.len()).as_bytes())?;
        self.put(bytes)
    }

    fn parts<P: AsRef<[u8]>>(
        &mut self,
        length: usize,
        parts: impl IntoIterator<Item = P>,
    ) -> Result<(), WriteError<S::Error>> {
        self.put(Number::length(length).as_bytes())?;
        let mut found: usize = 0;
        for part in parts {
            found = found.saturating_add(part.as_ref().len());
            if found > length {
                break;
            }
            self.put(part.as_ref())?;
        }
        if found == length { Ok(()) } else { Err(WriteError::Length { expected: length, found }) }
    }

    fn list(
        &mut self,
        fill: impl FnOnce(&mut ListWriter<'_, S>) -> Result<(), WriteError<S::Error>>,
    ) -> Result<(), WriteError<S::Error>> {
        self.put(b"l")?;
        fill(&mut ListWriter { output: Output { sink: self.sink, keys: self.keys } })?;
        self.put(b"e")
    }

    fn dict(
        &mut self,
        fill: impl FnOnce(&mut DictWriter<'_, S>) -> Result<(), WriteError<S::Error>>,
    ) -> Result<(), WriteError<S::Error>> {
        self.put(b"d")?;
        let start = self.keys.len();
        fill(&mut DictWriter { output: Output { sink: self.sink, keys: self.keys }, start, any: false })?;
        self.keys.truncate(start);
        self.put(b"e")
    }
}

/// Writes the elements of a list.
pub struct ListWriter<'o, S> {
    output: Output<'o, S>,
}

impl<S: Sink> ListWriter<'_, S> {
    /// Adds an integer.
    pub fn int(&mut self, value: i64) -> Result<(), WriteError<S::Error>> {
        self.output.int(value)
    }

    /// Adds a string.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), WriteError<S::Error>> {
        self.output.bytes(bytes.as_ref())
    }

    /// Adds a string that comes in parts, which must be as long together as is said.
    pub fn parts<P: AsRef<[u8]>>(
        &mut self,
        length: usize,
        parts: impl IntoIterator<Item = P>,
    ) -> Result<(), WriteError<S::Error>> {
        self.output.parts(length, parts)
    }

    /// Adds an element that is encoded already. It is not checked.
    pub fn encoded(&mut self, element: &[u8]) -> Result<(), WriteError<S::Error>> {
        self.output.put(element)
    }

    /// Adds a list.
    pub fn list(
        &mut self,
        fill: impl FnOnce(&mut ListWriter<'_, S>) -> Result<(), WriteError<S::Error>>,
    ) -> Result<(), WriteError<S::Error>> {
        self.output.list(fill)
    }

    /// Adds a dictionary.
    pub fn dict(
        &mut self,
        fill: impl FnOnce(&mut DictWriter<'_, S>) -> Result<(), WriteError<S::Error>>,
    ) -> Result<(), WriteError<S::Error>> {
        self.output.dict(fill)
    }
}

/// Writes the keys and values of a dictionary, in ascending order of the keys.
///
/// A key out of order is an error and nothing of it is written.
pub struct DictWriter<'o, S> {
    output: Output<'o, S>,
    /// Where the last key is kept, and whether there is one.
    start: usize,
    any: bool,
}

impl<S: Sink> DictWriter<'_, S> {
    fn key(&mut self, key: &[u8]) -> Result<(), WriteError<S::Error>> {
        if self.any && self.output.keys.get(self.start..).is_none_or(|last| last >= key) {
            return Err(WriteError::KeyOrder { key: key.to_vec() });
        }
        self.any = true;
        self.output.keys.truncate(self.start);
        self.output.keys.extend_from_slice(key);
        self.output.bytes(key)
    }

    /// Adds an integer.
    pub fn int(&mut self, key: impl AsRef<[u8]>, value: i64) -> Result<(), WriteError<S::Error>> {
        self.key(key.as_ref())?;
        self.output.int(value)
    }

    /// Adds a string.
    pub fn bytes(&mut self, key: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Result<(), WriteError<S::Error>> {
        self.key(key.as_ref())?;
        self.output.bytes(bytes.as_ref())
    }

    /// Adds a string that comes in parts, which must be as long together as is said.
    pub fn parts<P: AsRef<[u8]>>(
        &mut self,
        key: impl AsRef<[u8]>,
        length: usize,
        parts: impl IntoIterator<Item = P>,
    ) -> Result<(), WriteError<S::Error>> {
        self.key(key.as_ref())?;
        self.output.parts(length, parts)
    }

    /// Adds an element that is encoded already. It is not checked.
    pub fn encoded(&mut self, key: impl AsRef<[u8]>, element: &[u8]) -> Result<(), WriteError<S::Error>> {
        self.key(key.as_ref())?;
        self.output.put(element)
    }

    /// Adds a list.
    pub fn list(
        &mut self,
        key: impl AsRef<[u8]>,
        fill: impl FnOnce(&mut ListWriter<'_, S>) -> Result<(), WriteError<S::Error>>,
    ) -> Result<(), WriteError<S::Error>> {
        self.key(key.as_ref())?;
        self.output.list(fill)
    }

    /// Adds a dictionary.
    pub fn dict(
        &mut self,
        key: impl AsRef<[u8]>,
        fill: impl FnOnce(&mut DictWriter<'_, S>) -> Result<(), WriteError<S::Error>>,
    ) -> Result<(), WriteError<S::Error>> {
        self.key(key.as_ref())?;
        self.output.dict(fill)
    }
}

impl<S> fmt::Debug for ListWriter<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListWriter")
    }
}

impl<S> fmt::Debug for DictWriter<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.output.keys.get(self.start..).unwrap_or_default();
        write!(f, "DictWriter({})", last.escape_ascii())
    }
}

/// The text of an integer, or of what stands in front of a string.
pub(crate) struct Number {
    text: [u8; 24],
    used: Range<usize>,
}

impl Number {
    /// `i…e`
    #[inline]
    pub(crate) fn integer(value: i64) -> Self {
        let mut number = Self::new(value.unsigned_abs(), b'e');
        if value < 0 {
            number.push(b'-');
        }
        number.push(b'i');
        number
    }

    /// `…:`
    #[inline]
    pub(crate) fn length(length: usize) -> Self {
        Self::new(length as u64, b':')
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.get(self.used.clone()).unwrap_or_default()
    }

    /// Writes from the end to the front, as the digits come.
    #[inline]
    fn new(mut magnitude: u64, last: u8) -> Self {
        let mut number = Self { text: [last; 24], used: 23..24 };
        loop {
            number.push(b'0' + (magnitude % 10) as u8);
            magnitude /= 10;
            if magnitude == 0 {
                return number;
            }
        }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        // 20 digits, a minus, an `i` and an `e` are 23 bytes.
        self.used.start -= 1;
        self.text[self.used.start] = byte;
    }
}

/// Gives the bytes of the string that our own output has at its front, and how long it is, prefix included.
pub(crate) fn text(output: &[u8]) -> (&[u8], usize) {
    let mut length: usize = 0;
    for (at, byte) in output.iter().enumerate() {
        if !byte.is_ascii_digit() {
            let end = (at + 1).saturating_add(length).min(output.len());
            return (output.get(at + 1..end).unwrap_or_default(), end);
        }
        length = length.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
    }
    (&[], output.len())
}

/// Gives how long the element is that our own output has at its front. There are no limits: it was not checked, and what is no element is
/// taken for all that is left.
pub(crate) fn element_length(output: &[u8]) -> usize {
    let mut depth: usize = 0;
    let mut at = 0;
    while let Some(&byte) = output.get(at) {
        at += match byte {
            b'l' | b'd' => {
                depth += 1;
                1
            }
            b'e' => {
                depth = depth.saturating_sub(1);
                1
            }
            b'i' => output.iter().skip(at).take_while(|byte| **byte != b'e').count() + 1,
            _ => text(output.get(at..).unwrap_or_default()).1,
        };
        if depth == 0 {
            return at.min(output.len());
        }
    }
    output.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bencode::encode_dict;

    #[test]
    fn a_stream_gets_what_the_encoder_gives() {
        let mut out = Vec::new();
        write_dict(&mut out, |d| {
            d.int("", i64::MIN)?;
            d.dict("a", |d| {
                d.bytes("z", [0; 12])?;
                d.dict("zz", |_| Ok(()))
            })?;
            d.encoded("aa", b"i0e")?;
            d.list("b", |l| {
                l.list(|l| l.dict(|d| d.int("a", 1)))?;
                l.parts(3, ["ab", "", "c"])?;
                l.encoded(b"le")?;
                l.bytes("")
            })
        })
        .unwrap();
        let whole = encode_dict(|d| {
            d.int("", i64::MIN);
            d.dict("a", |d| {
                d.bytes("z", [0; 12]);
                d.dict("zz", |_| {});
            });
            d.int("aa", 0);
            d.list("b", |l| {
                l.list(|l| l.dict(|d| d.int("a", 1)));
                l.bytes("abc");
                l.list(|_| {});
                l.bytes("");
            });
        });
        assert_eq!(out, whole);
    }

    #[test]
    fn a_key_that_cannot_be_sorted_in_any_more_is_refused() {
        for key in ["a", "b", ""] {
            let mut out = Vec::new();
            let error = write_dict(&mut out, |d| {
                d.int("a", 1)?;
                // The keys within are keys of their own.
                d.dict("b", |d| d.int("z", 1))?;
                d.int(key, 2)
            });
            assert_eq!(error, Err(WriteError::KeyOrder { key: key.into() }));
            assert_eq!(out, b"d1:ai1e1:bd1:zi1ee");
        }
        // An empty key is a key.
        let twice = write_dict(&mut Vec::new(), |d| {
            d.int("", 1)?;
            d.int("", 1)
        });
        assert_eq!(twice, Err(WriteError::KeyOrder { key: Vec::new() }));
    }

    #[test]
    fn parts_are_as_long_as_was_said() {
        for (parts, found) in [(&["abc"][..], 3), (&["ab", "c", "de", "f"], 5), (&[], 0)] {
            let error = write_list(&mut Vec::new(), |l| l.parts(4, parts));
            assert_eq!(error, Err(WriteError::Length { expected: 4, found }));
        }
    }

    #[test]
    fn a_sink_that_fails_ends_the_writing() {
        let mut room = [0; 8];
        let mut sink = Io(&mut room[..]);
        let error = write_list(&mut sink, |l| (0..100).try_for_each(|i| l.int(i))).unwrap_err();
        assert!(matches!(error, WriteError::Sink(_)));
        assert_eq!(&room, b"li0ei1ei");
    }
}
