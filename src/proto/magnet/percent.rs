//! Percent-encoding (RFC 3986).

use std::borrow::Cow;
use std::fmt;

/// A `%` that no two hexadecimal digits follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadEscape;

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Decodes as much as can be decoded; says whether an escape was bad, which then stands as it did.
fn decode_any(value: &[u8], plus_is_space: bool) -> (Cow<'_, [u8]>, bool) {
    if !value.iter().any(|byte| *byte == b'%' || (*byte == b'+' && plus_is_space)) {
        return (Cow::Borrowed(value), false);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut bad = false;
    let mut left = value;
    while let Some((first, rest)) = left.split_first() {
        left = rest;
        out.push(match (first, rest) {
            (b'+', _) if plus_is_space => b' ',
            (b'%', [high, low, rest @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    left = rest;
                    high << 4 | low
                }
                _ => {
                    bad = true;
                    b'%'
                }
            },
            (b'%', _) => {
                bad = true;
                b'%'
            }
            (byte, _) => *byte,
        });
    }
    (Cow::Owned(out), bad)
}

/// Decodes a value that must be right.
pub(super) fn decode(value: &[u8]) -> Result<Cow<'_, [u8]>, BadEscape> {
    match decode_any(value, false) {
        (decoded, false) => Ok(decoded),
        (_, true) => Err(BadEscape),
    }
}

/// Decodes text: `+` is a space, a bad escape stands for itself, and what is not UTF-8 is U+FFFD.
pub(super) fn decode_text(value: &[u8]) -> String {
    String::from_utf8_lossy(&decode_any(value, true).0).into_owned()
}

/// Shows a text with everything encoded that is not unreserved.
pub(super) struct Encoded<'a>(pub(super) &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => write!(f, "{}", char::from(byte)),
            byte => write!(f, "%{byte:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_decoded_and_bad_ones_are_told() {
        assert_eq!(decode(b"a%20b+%c3%A9").as_deref(), Ok("a b+é".as_bytes()));
        for bad in [&b"%"[..], b"%2", b"%%20", b"%g0", b"%0g", b"a%\xf7A80", b"%+1"] {
            assert_eq!(decode(bad), Err(BadEscape), "{}", bad.escape_ascii());
        }
        assert_eq!(decode_text(b"100%+%41%4%%42\xff%ff"), "100% A%4%B\u{fffd}\u{fffd}");
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(text in any::<String>()) {
            let encoded = Encoded(&text).to_string();
            prop_assert!(encoded.is_ascii() && !encoded.contains([' ', '&', '+', '=', '#']));
            prop_assert_eq!(decode(encoded.as_bytes()).unwrap(), text.as_bytes());
            prop_assert_eq!(decode_text(encoded.as_bytes()), text);
        }
    }
}
