//! What may follow the fields of an announce (BEP 41).

use super::error::OptionError;
use crate::proto::reader::Reader;
use std::borrow::Cow;
use std::fmt;

/// The types of options (BEP 41).
pub mod option {
    /// The options end here. No length follows.
    pub const END: u8 = 0;
    /// Nothing. No length follows.
    pub const NOP: u8 = 1;
    /// A part of the path and query of the tracker's URL.
    pub const URL_DATA: u8 = 2;
}

/// The options of an announce, as bytes that have not been looked at.
///
/// They are of any length: a datagram bounds them.
///
/// ```
/// use bip::proto::udp_tracker::Options;
/// let options = Options::new(b"\x02\x0c/dir?a=b&c=d\x01\x01\x00");
/// assert_eq!(options.url_data()?.as_deref(), Some(&b"/dir?a=b&c=d"[..]));
/// assert_eq!(Options::NONE.url_data()?, None);
/// let error = Options::new(b"\x02\x09/dir").url_data().unwrap_err();
/// assert_eq!(error.to_string(), "option 2 at byte 0 is 9 bytes long with 4 left");
/// # Ok::<(), bip::proto::udp_tracker::OptionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// No options.
    pub const NONE: Self = Self(&[]);

    /// Takes the bytes that follow the fields of an announce.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Goes over the options that have a length: their types and data, until the end or until one that is broken.
    ///
    /// Options of unknown types are among them; a NOP is not. After an error there is nothing more.
    pub fn iter(self) -> OptionsIter<'a> {
        OptionsIter { reader: Reader::new(self.0) }
    }

    /// Gives the path and query of the tracker's URL as the client has it, its parts joined; `None` where there is no such
    /// option. It may be empty: the client knows of the option, and the URL has neither.
    ///
    /// Borrowed where it came in one part.
    ///
    /// # Errors
    ///
    /// An option is broken, be it one that is not asked for here.
    pub fn url_data(self) -> Result<Option<Cow<'a, [u8]>>, OptionError> {
        let mut joined: Option<Cow<'a, [u8]>> = None;
        for option in self {
            match (option?, &mut joined) {
                ((option::URL_DATA, part), None) => joined = Some(Cow::Borrowed(part)),
                ((option::URL_DATA, part), Some(joined)) if joined.is_empty() => *joined = Cow::Borrowed(part),
                ((option::URL_DATA, part), Some(joined)) if !part.is_empty() => joined.to_mut().extend_from_slice(part),
                _ => {}
            }
        }
        Ok(joined)
    }
}

impl<'a> IntoIterator for Options<'a> {
    type Item = Result<(u8, &'a [u8]), OptionError>;
    type IntoIter = OptionsIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Options<'_> {
    /// The bytes are not shown: a URL may hold a passkey.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({} bytes)", self.0.len())
    }
}

/// Goes over [`Options`].
#[derive(Debug, Clone)]
pub struct OptionsIter<'a> {
    reader: Reader<'a>,
}

impl<'a> OptionsIter<'a> {
    fn read(&mut self, kind: u8, at: usize) -> Result<(u8, &'a [u8]), OptionError> {
        let length = self.reader.u8().map_err(|_| OptionError::NoLength { kind, at })?;
        let data = self.reader.take(usize::from(length));
        data.map(|data| (kind, data)).map_err(|cut| OptionError::PastEnd { kind, at, length, left: cut.left })
    }
}

impl<'a> Iterator for OptionsIter<'a> {
    type Item = Result<(u8, &'a [u8]), OptionError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.reader.position();
            match self.reader.u8().ok()? {
                option::END => {
                    self.reader.rest();
                    return None;
                }
                option::NOP => {}
                kind => {
                    let option = self.read(kind, at);
                    if option.is_err() {
                        self.reader.rest();
                    }
                    return Some(option);
                }
            }
        }
    }
}

/// Appends the path and query of a tracker's URL as options, in parts of at most 255 bytes.
///
/// An empty one is one empty option. No end is written: it is not needed.
///
/// ```
/// use bip::proto::udp_tracker::encode_url_data;
/// let mut options = Vec::new();
/// encode_url_data(b"/dir?a=b&c=d", &mut options);
/// assert_eq!(options, b"\x02\x0c/dir?a=b&c=d");
/// ```
pub fn encode_url_data(path_and_query: &[u8], out: &mut Vec<u8>) {
    let empty: &[u8] = &[];
    let parts = path_and_query.chunks(usize::from(u8::MAX)).chain(path_and_query.is_empty().then_some(empty));
    for part in parts {
        // Not cut: no part is longer than 255.
        out.extend_from_slice(&[option::URL_DATA, part.len() as u8]);
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(bytes: &[u8]) -> Result<Option<Vec<u8>>, OptionError> {
        Options::new(bytes).url_data().map(|url| url.map(Cow::into_owned))
    }

    fn encoded(url: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_url_data(url, &mut out);
        out
    }

    #[test]
    fn no_options_a_nop_and_an_end_are_no_url() {
        for bytes in [&b""[..], b"\x01", b"\0", b"\x01\x01\0", b"\0\x02\x01a"] {
            assert_eq!(url(bytes), Ok(None), "{bytes:?}");
        }
    }

    #[test]
    fn the_vectors_of_bep_41_are_read() {
        let expected = Ok(Some(b"/dir?a=b&c=d".to_vec()));
        assert_eq!(url(b"\x02\x0c/dir?a=b&c=d"), expected);
        assert_eq!(url(b"\x02\x0c/dir?a=b&c=d\x01\x01\0"), expected);
        assert_eq!(url(b"\x02\0"), Ok(Some(Vec::new())));
    }

    #[test]
    fn a_url_ends_with_the_bytes_with_an_end_or_with_nops_before_either() {
        for end in [&b""[..], b"\0", b"\x01", b"\x01\0", b"\0garbage"] {
            assert_eq!(url(&[b"\x02\x01a", end].concat()), Ok(Some(b"a".to_vec())), "{end:?}");
        }
    }

    #[test]
    fn parts_are_joined_whatever_lies_between() {
        let a = [&[2, 255][..], &[b'a'; 255]].concat();
        assert_eq!(url(&a), Ok(Some(vec![b'a'; 255])));
        assert_eq!(url(&[&a[..], &a[..]].concat()), Ok(Some(vec![b'a'; 510])));
        assert_eq!(url(&[&a[..], b"\x02\x01a"].concat()), Ok(Some(vec![b'a'; 256])));
        assert_eq!(url(b"\x02\x01a\x01\x07\x02xy\x02\x00\x02\x01b\x01\x00"), Ok(Some(b"ab".to_vec())));
    }

    #[test]
    fn an_option_of_an_unknown_type_is_passed_over() {
        assert_eq!(url(b"\xff\x03abc\x03\x00\x02\x01a"), Ok(Some(b"a".to_vec())));
        let options: Vec<_> = Options::new(b"\xff\x03abc\x01\x02\x01a").iter().collect();
        assert_eq!(options, [Ok((255, &b"abc"[..])), Ok((2, b"a"))]);
    }

    #[test]
    fn an_option_cut_in_its_data_or_before_its_length_is_an_error_and_the_last_thing_read() {
        assert_eq!(url(b"\x02\x05abcd"), Err(OptionError::PastEnd { kind: 2, at: 0, length: 5, left: 4 }));
        assert_eq!(url(b"\x01\x02"), Err(OptionError::NoLength { kind: 2, at: 1 }));
        assert_eq!(url(b"\x02\x01a\x09"), Err(OptionError::NoLength { kind: 9, at: 3 }));
        let mut options = Options::new(b"\x02\x05ab").iter();
        assert!(options.next().is_some_and(|option| option.is_err()));
        assert_eq!(options.next(), None);
        let error = OptionError::NoLength { kind: 9, at: 3 };
        assert_eq!(error.to_string(), "option 9 at byte 3 ends before its length");
    }

    #[test]
    fn options_cut_at_any_length_give_a_part_or_an_error_and_never_panic() {
        let whole = [&encoded(&[b'x'; 300])[..], b"\x01\x07\x03abc\0"].concat();
        for length in 0..whole.len() {
            let cut = url(&whole[..length]);
            assert!(cut.is_err() || cut.is_ok_and(|url| url.is_none_or(|url| url.len() == 255 || url.len() == 300)));
        }
    }

    #[test]
    fn a_url_is_written_in_parts_of_255_bytes() {
        assert_eq!(encoded(b""), [2, 0]);
        assert_eq!(encoded(b"/a"), b"\x02\x02/a");
        assert_eq!(encoded(&[b'a'; 255]), [&[2, 255][..], &[b'a'; 255]].concat());
        assert_eq!(encoded(&[b'a'; 256]), [&[2, 255][..], &[b'a'; 255], b"\x02\x01a"].concat());
        // What is in the buffer stays, also where it has no room left.
        let mut out = Vec::with_capacity(0);
        encode_url_data(b"/a", &mut out);
        encode_url_data(b"/b", &mut out);
        assert_eq!(out, b"\x02\x02/a\x02\x02/b");
    }

    #[test]
    fn a_passkey_is_not_shown() {
        assert_eq!(format!("{:?}", Options::new(b"\x02\x07/secret")), "Options(9 bytes)");
    }

    proptest! {
        #[test]
        fn a_url_of_any_length_is_read_back(path in prop::collection::vec(any::<u8>(), 0..1200)) {
            prop_assert_eq!(url(&encoded(&path)), Ok(Some(path)));
        }
    }
}
