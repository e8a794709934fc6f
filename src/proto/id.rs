//! Names of things on the wire: info hashes, peer ids, piece and file indices.

use std::fmt;
use std::str::FromStr;

/// The text given was not an id in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseIdError {
    /// How many characters were given; an id has 40.
    pub length: usize,
    /// The offset of the first character that is not a hexadecimal digit, where the length was right.
    pub bad_digit_at: Option<usize>,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bad_digit_at {
            Some(at) => write!(f, "not a hexadecimal digit at character {at}"),
            None => write!(f, "expected 40 hexadecimal digits, found {} characters", self.length),
        }
    }
}

impl std::error::Error for ParseIdError {}

fn parse_hex(text: &str) -> Result<[u8; 20], ParseIdError> {
    let digits = text.as_bytes();
    if digits.len() != 40 {
        return Err(ParseIdError { length: text.chars().count(), bad_digit_at: None });
    }
    let mut out = [0; 20];
    for (i, pair) in digits.chunks_exact(2).enumerate() {
        let nibble = |k: usize| {
            (pair[k] as char)
                .to_digit(16)
                .map(|d| d as u8)
                .ok_or(ParseIdError { length: 40, bad_digit_at: Some(2 * i + k) })
        };
        out[i] = nibble(0)? << 4 | nibble(1)?;
    }
    Ok(out)
}

macro_rules! id20 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 20]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = 20;

            /// Gives the bytes.
            pub fn as_bytes(&self) -> &[u8; 20] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }

        impl From<[u8; 20]> for $name {
            fn from(bytes: [u8; 20]) -> Self {
                Self(bytes)
            }
        }
    };
}

id20! {
    /// The SHA-1 of a torrent's `info` dictionary as it stands in the file: a v1 torrent's name (BEP 3).
    ///
    /// Shown and parsed as 40 hexadecimal digits.
    InfoHash
}

id20! {
    /// A client's name for itself in one run, sent in the handshake (BEP 3, BEP 20).
    ///
    /// Shown and parsed as 40 hexadecimal digits.
    PeerId
}

impl PeerId {
    /// Makes a peer id in the Azureus style of BEP 20: `-bp0100-` (client and version) and 12 random bytes.
    pub fn from_random(random: [u8; 12]) -> Self {
        let mut id = [0; 20];
        id[..8].copy_from_slice(b"-bp0100-");
        id[8..].copy_from_slice(&random);
        Self(id)
    }
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// Gives the index as a `usize`, for looking into a list.
            pub fn as_usize(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

index! {
    /// The number of a piece in its torrent, from 0.
    PieceIndex
}

index! {
    /// The number of a file in its torrent, from 0, in the order of the metainfo.
    FileIndex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_own_text() {
        let id = InfoHash([0xa5; 20]);
        assert_eq!(id.to_string().parse::<InfoHash>(), Ok(id));
        assert_eq!("A5".repeat(20).parse::<InfoHash>(), Ok(id));
    }

    #[test]
    fn a_wrong_id_says_where() {
        assert_eq!("zz".repeat(20).parse::<InfoHash>().unwrap_err().bad_digit_at, Some(0));
        assert_eq!("+f".repeat(20).parse::<InfoHash>().unwrap_err().bad_digit_at, Some(0));
        assert_eq!("ab".parse::<InfoHash>().unwrap_err().length, 2);
        assert!("é".repeat(20).parse::<InfoHash>().is_err());
    }
}
