//! Names of things on the wire: info hashes, peer ids, piece and file indices.

use std::fmt;
use std::str::FromStr;

/// The text given was not an id in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseIdError {
    /// How many characters were given.
    pub length: usize,
    /// How many the id has: 40, or 64.
    pub expected: usize,
    /// The offset of the first character that is not a hexadecimal digit, where the length was right.
    pub bad_digit_at: Option<usize>,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bad_digit_at {
            Some(at) => write!(f, "not a hexadecimal digit at character {at}"),
            None => write!(f, "expected {} hexadecimal digits, found {} characters", self.expected, self.length),
        }
    }
}

impl std::error::Error for ParseIdError {}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let digits = text.as_bytes();
    let error = |bad_digit_at| ParseIdError { length: text.chars().count(), expected: 2 * N, bad_digit_at };
    if digits.len() != 2 * N {
        return Err(error(None));
    }
    let mut out = [0; N];
    for (i, pair) in digits.chunks_exact(2).enumerate() {
        let nibble = |k: usize| (pair[k] as char).to_digit(16).map(|d| d as u8).ok_or_else(|| error(Some(2 * i + k)));
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
    /// A client's name for itself in one run, sent in the handshake (BEP 3, BEP 20). What is in it: [`peer_id`](super::peer_id).
    ///
    /// Shown and parsed as 40 hexadecimal digits.
    PeerId
}

id20! {
    /// A node's name in the DHT, in the same space as the info hashes (BEP 5).
    ///
    /// Shown and parsed as 40 hexadecimal digits.
    NodeId
}

impl NodeId {
    /// Gives the distance to another id, or to an info hash: the bits in which they differ, compared as a number (BEP 5).
    ///
    /// ```
    /// use bip::proto::id::NodeId;
    /// let (a, b, c) = (NodeId([0; 20]), NodeId([1; 20]), NodeId([2; 20]));
    /// assert!(a.distance(&b) < a.distance(&c));
    /// ```
    pub fn distance(&self, to: &NodeId) -> [u8; 20] {
        let mut distance = self.0;
        distance.iter_mut().zip(&to.0).for_each(|(a, b)| *a ^= b);
        distance
    }
}

impl From<InfoHash> for NodeId {
    fn from(hash: InfoHash) -> Self {
        Self(hash.0)
    }
}

/// The SHA-256 of a torrent's `info` dictionary as it stands in the file: a v2 torrent's name (BEP 52).
///
/// Shown and parsed as 64 hexadecimal digits. Where 20 bytes are wanted (handshakes, trackers, the DHT) it is
/// [cut short](Self::truncated).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHashV2(pub [u8; 32]);

impl InfoHashV2 {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Gives the bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Gives the first 20 bytes: its form on the wire where a v1 info hash would stand.
    pub fn truncated(&self) -> InfoHash {
        let mut short = [0; 20];
        short.copy_from_slice(&self.0[..20]);
        InfoHash(short)
    }
}

impl fmt::Display for InfoHashV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for InfoHashV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHashV2({self})")
    }
}

impl FromStr for InfoHashV2 {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_hex(text).map(Self)
    }
}

impl From<[u8; 32]> for InfoHashV2 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
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
    fn a_v2_info_hash_is_cut_to_twenty_bytes_on_the_wire() {
        let text = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";
        let hash: InfoHashV2 = text.parse().unwrap();
        assert_eq!(hash.to_string(), text);
        assert_eq!(hash.truncated().to_string(), text[..40]);
        assert_eq!(
            text[..40].parse::<InfoHashV2>().unwrap_err().to_string(),
            "expected 64 hexadecimal digits, found 40 characters"
        );
    }

    #[test]
    fn a_wrong_id_says_where() {
        assert_eq!("zz".repeat(20).parse::<InfoHash>().unwrap_err().bad_digit_at, Some(0));
        assert_eq!("+f".repeat(20).parse::<InfoHash>().unwrap_err().bad_digit_at, Some(0));
        assert_eq!("ab".parse::<InfoHash>().unwrap_err().length, 2);
        assert!("é".repeat(20).parse::<InfoHash>().is_err());
    }
}
