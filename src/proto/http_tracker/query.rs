//! Queries: keys and values with escapes (RFC 3986).

use super::error::{RequestError, UrlError};
use crate::proto::tracker_url::{Scheme, TrackerUrl};
use std::borrow::Cow;

/// Appends bytes as a value of a query: letters, digits and `-._~` as they are, all else as `%` and two digits.
///
/// ```
/// let mut query = String::from("info_hash=");
/// bip::proto::http_tracker::escape(b"\x12a+ ~", &mut query);
/// assert_eq!(query, "info_hash=%12a%2B%20~");
/// ```
pub fn escape(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            // Not out of range: a half of a byte is below 16.
            out.extend([byte >> 4, byte & 15].map(|half| char::from(DIGITS[usize::from(half)])));
        }
    }
}

/// A value as it stands in a query, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) key: &'static str,
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Raw<'a> {
    /// Gives the bytes that are meant, one by one.
    fn bytes(self) -> impl Iterator<Item = Result<u8, RequestError>> + use<'a> {
        let mut left = self.text;
        std::iter::from_fn(move || {
            let (&first, rest) = left.split_first()?;
            if first != b'%' {
                left = rest;
                return Some(Ok(first));
            }
            let at = self.at + (self.text.len() - left.len());
            match rest.split_first_chunk::<2>().and_then(|(digits, rest)| Some((hex(*digits)?, rest))) {
                Some((byte, rest)) => {
                    left = rest;
                    Some(Ok(byte))
                }
                None => {
                    left = &[];
                    Some(Err(RequestError::BadEscape { key: self.key, at }))
                }
            }
        })
    }

    /// Gives the bytes that are meant; borrowed where nothing is escaped.
    pub(super) fn unescape(self) -> Result<Cow<'a, [u8]>, RequestError> {
        if !self.text.contains(&b'%') {
            return Ok(Cow::Borrowed(self.text));
        }
        self.bytes().collect::<Result<Vec<u8>, _>>().map(Cow::Owned)
    }

    /// Gives an info hash or a peer id.
    pub(super) fn id(self) -> Result<[u8; 20], RequestError> {
        let mut id = [0; 20];
        let mut length = 0;
        for byte in self.bytes() {
            let byte = byte?;
            if let Some(place) = id.get_mut(length) {
                *place = byte;
            }
            length += 1;
        }
        let error = RequestError::WrongLength { key: self.key, at: self.at, length };
        if length == id.len() { Ok(id) } else { Err(error) }
    }

    /// Gives a number, as large or as small as an `i64` can be.
    pub(super) fn number(self) -> Result<i64, RequestError> {
        let text = self.unescape()?;
        let (negative, digits) = match text.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, &text[..]),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(RequestError::BadNumber { key: self.key, at: self.at });
        }
        let magnitude = digits.iter().fold(0_i64, |sum, digit| {
            // Saturated once, it stays so: no product of ten is less.
            sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
        });
        Ok(if negative { -magnitude } else { magnitude })
    }
}

fn hex(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    Some(high? << 4 | low?)
}

/// Gives the keys and values of a query, and where each value begins. Keys are without escapes, where these are whole.
pub(super) fn pairs(query: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, &[u8], usize)> {
    let mut at = 0;
    query.split(|b| *b == b'&').map(move |pair| {
        let start = at;
        at += pair.len() + 1;
        let length = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(length);
        let value = value.strip_prefix(b"=").unwrap_or(value);
        let key = Raw { key: "", text: key, at: start };
        (key.unescape().unwrap_or(Cow::Borrowed(key.text)), value, start + pair.len() - value.len())
    })
}

/// The keys of an announce that no URL of a tracker has reason to hold, as libtorrent has them.
const RESERVED: [&str; 9] =
    ["info_hash", "peer_id", "port", "uploaded", "downloaded", "left", "corrupt", "event", "key"];

/// Appends the URL up to where the keys of a request begin.
pub(super) fn write_base(url: &TrackerUrl, out: &mut String) -> Result<(), UrlError> {
    if url.scheme() == Scheme::Udp {
        return Err(UrlError::NotHttp);
    }
    let query = url.query().unwrap_or_default();
    for (found, ..) in pairs(query.as_bytes()) {
        if let Some(key) = RESERVED.into_iter().find(|key| *found == *key.as_bytes()) {
            return Err(UrlError::ReservedKey { key });
        }
    }
    out.push_str(url.as_str());
    match url.query() {
        None => out.push('?'),
        Some(query) if query.is_empty() || query.ends_with('&') => {}
        Some(_) => out.push('&'),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(text: &[u8]) -> Raw<'_> {
        Raw { key: "key", text, at: 100 }
    }

    #[test]
    fn every_byte_is_escaped_where_it_must_be_and_read_back() {
        for byte in 0..=255_u8 {
            let mut text = String::new();
            escape(&[byte], &mut text);
            let unreserved = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~".contains(&byte);
            let expected = if unreserved { char::from(byte).to_string() } else { format!("%{byte:02X}") };
            assert_eq!(text, expected);
            assert_eq!(raw(text.as_bytes()).unescape().unwrap(), &[byte][..]);
            // Whoever escapes more, or in lower case, means the same.
            for text in [format!("%{byte:02x}"), format!("%{byte:02X}")] {
                assert_eq!(raw(text.as_bytes()).unescape().unwrap(), &[byte][..]);
            }
        }
    }

    #[test]
    fn a_byte_that_need_not_be_escaped_is_itself_and_a_plus_is_a_plus() {
        for byte in (0..=255_u8).filter(|byte| *byte != b'%') {
            assert_eq!(raw(&[byte]).unescape().unwrap(), &[byte][..]);
        }
        assert_eq!(raw(b"a+b").unescape().unwrap(), &b"a+b"[..]);
        assert!(matches!(raw(b"plain").unescape(), Ok(Cow::Borrowed(b"plain"))));
    }

    #[test]
    fn an_escape_that_is_cut_or_no_hexadecimal_is_an_error_where_it_stands() {
        for (text, at) in
            [("%", 100), ("a%4", 101), ("%41%zz", 103), ("%%41", 100), ("% 1", 100), ("%+1", 100), ("ab%é", 102)]
        {
            let expected = RequestError::BadEscape { key: "key", at };
            assert_eq!(raw(text.as_bytes()).unescape(), Err(expected), "{text}");
            assert_eq!(raw(text.as_bytes()).id(), Err(expected), "{text}");
        }
    }

    #[test]
    fn numbers_end_at_the_ends_of_their_range() {
        for (text, number) in [
            ("0", 0),
            ("007", 7),
            ("-1", -1),
            ("%31%30", 10),
            ("9223372036854775807", i64::MAX),
            ("9223372036854775808", i64::MAX),
            ("18446744073709551615", i64::MAX),
            ("-9223372036854775809", -i64::MAX),
            ("99999999999999999999999999999999999999999999", i64::MAX),
        ] {
            assert_eq!(raw(text.as_bytes()).number(), Ok(number), "{text}");
        }
        for text in ["", "-", "+1", "1.5", "0x1", "1 ", "--1", "1e3"] {
            let expected = RequestError::BadNumber { key: "key", at: 100 };
            assert_eq!(raw(text.as_bytes()).number(), Err(expected), "{text}");
        }
    }

    #[test]
    fn keys_and_values_are_divided_where_they_should_be() {
        let found: Vec<_> =
            pairs(b"a=1&b&=2&%63=&d=x=y&&%=%").map(|(key, value, at)| (key.into_owned(), value, at)).collect();
        let expected: Vec<(&[u8], &[u8], usize)> = vec![
            (b"a", b"1", 2),
            (b"b", b"", 5),
            (b"", b"2", 7),
            (b"c", b"", 13),
            (b"d", b"x=y", 16),
            (b"", b"", 20),
            (b"%", b"%", 23),
        ];
        assert_eq!(found, expected.into_iter().map(|(k, v, at)| (k.to_vec(), v, at)).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn any_id_is_read_back(id in any::<[u8; 20]>()) {
            let mut text = String::new();
            escape(&id, &mut text);
            prop_assert_eq!(raw(text.as_bytes()).id(), Ok(id));
        }
    }
}
