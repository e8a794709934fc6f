//! The handshake: the first 68 bytes that each side of a connection sends (BEP 3).
//!
//! ```text
//! 0        1                     20           28          48        68
//! | 19     | BitTorrent protocol | extensions | info hash | peer id |
//! ```
//!
//! The bytes may come one at a time. A stream that cannot be a handshake is refused at its first wrong byte, and the info hash
//! can be read as soon as it is there ([`Progress::Opening`]): some clients send their peer id only after they have seen ours.
//! Nothing after the 68th byte is looked at.
//!
//! Not here: whether the info hash is one of ours, whether the peer id is the one expected or our own, and the time allowed.

use super::id::{InfoHash, PeerId};
use std::fmt;
use std::ops::{BitAnd, BitOr};

/// The length of a handshake in bytes.
pub const LEN: usize = 68;

/// How many bytes of a handshake end with its info hash.
pub const OPENING_LEN: usize = 48;

/// The first 20 bytes of every handshake: the length of the protocol's name, and the name.
pub const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// One bit of [`Extensions`], numbered from 0 at the highest bit of the first byte, as the BEPs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extension(u8);

impl Extension {
    /// The Azureus messaging protocol: bit 0 (BEP 4). Not spoken here.
    pub const AZUREUS: Self = Self(0);
    /// The location-aware protocol: bit 20 (BEP 4). Nobody is known to speak it.
    pub const LOCATION: Self = Self(20);
    /// The extension protocol (BEP 10): bit 43.
    pub const PROTOCOL: Self = Self(43);
    /// The two bits that choose between the extension protocol and that of Azureus: 46 and 47 (BEP 4). Of interest only beside
    /// [`Extension::AZUREUS`].
    pub const NEGOTIATION: [Self; 2] = [Self(46), Self(47)];
    /// The torrent has both a v1 and a v2 info hash, and this side speaks v2 too: bit 59 (BEP 52). The other side may then answer
    /// with the v2 info hash.
    pub const V2: Self = Self(59);
    /// NAT traversal: bit 60 (BEP 4). Superseded by the extension `ut_holepunch` (BEP 55).
    pub const NAT_TRAVERSAL: Self = Self(60);
    /// The fast extension (BEP 6): bit 61.
    pub const FAST: Self = Self(61);
    /// The peer exchange of XBT: bit 62 (BEP 4). Superseded by the extension `ut_pex` (BEP 11).
    pub const XBT_PEX: Self = Self(62);
    /// The DHT, and with it the `port` message (BEP 5): bit 63.
    pub const DHT: Self = Self(63);

    /// Makes the extension of a bit from 0 to 63; `None` for any other.
    pub fn new(bit: u8) -> Option<Self> {
        (bit < 64).then_some(Self(bit))
    }

    /// Gives the number of the bit, from 0 to 63.
    pub fn bit(self) -> u8 {
        self.0
    }

    fn mask(self) -> u64 {
        // Not out of range: `new` admits no bit over 63.
        1 << (63 - self.0)
    }
}

/// The eight bytes of a handshake that say what the sender can do beyond BEP 3.
///
/// Bits that we do not know are kept.
///
/// ```
/// use bip::proto::handshake::{Extension, Extensions};
/// let ours = Extensions::default().with(Extension::FAST).with(Extension::DHT);
/// let theirs = Extensions([0, 0, 0, 0, 0, 0x10, 0, 0x04]);
/// assert!(theirs.contains(Extension::PROTOCOL));
/// assert!(ours.intersection(theirs).contains(Extension::FAST));
/// assert!(!ours.intersection(theirs).contains(Extension::DHT));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Extensions(pub [u8; 8]);

impl Extensions {
    /// Says whether the extension is in the set.
    pub fn contains(self, extension: Extension) -> bool {
        self.bits() & extension.mask() != 0
    }

    /// Gives the set with the extension added.
    #[must_use]
    pub fn with(self, extension: Extension) -> Self {
        Self::from_bits(self.bits() | extension.mask())
    }

    /// Adds an extension.
    pub fn insert(&mut self, extension: Extension) {
        *self = self.with(extension);
    }

    /// Takes an extension out.
    pub fn remove(&mut self, extension: Extension) {
        *self = Self::from_bits(self.bits() & !extension.mask());
    }

    /// Gives what is in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self::from_bits(self.bits() | other.bits())
    }

    /// Gives what is in both sets: what two peers may use with each other.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::from_bits(self.bits() & other.bits())
    }

    /// Says whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.bits() == 0
    }

    fn bits(self) -> u64 {
        u64::from_be_bytes(self.0)
    }

    fn from_bits(bits: u64) -> Self {
        Self(bits.to_be_bytes())
    }
}

impl BitOr for Extensions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitAnd for Extensions {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.intersection(other)
    }
}

impl From<Extension> for Extensions {
    fn from(extension: Extension) -> Self {
        Self::default().with(extension)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extensions({:016x})", self.bits())
    }
}

/// A whole handshake.
///
/// ```
/// use bip::proto::handshake::{self, Extensions, Handshake, Progress};
/// use bip::proto::id::{InfoHash, PeerId};
/// let ours = Handshake {
///     extensions: Extensions::default(),
///     info_hash: InfoHash([1; 20]),
///     peer_id: PeerId::from_random([2; 12]),
/// };
/// assert_eq!(handshake::decode(&ours.encode()), Ok(Progress::Complete(ours)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handshake {
    /// What the sender can do beyond BEP 3.
    pub extensions: Extensions,
    /// The torrent that the connection is for.
    pub info_hash: InfoHash,
    /// The sender's name for itself.
    pub peer_id: PeerId,
}

impl Handshake {
    /// Gives the bytes.
    pub fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.extensions.0);
        bytes[28..48].copy_from_slice(&self.info_hash.0);
        bytes[48..].copy_from_slice(&self.peer_id.0);
        bytes
    }

    /// Gives the part of the handshake that comes before the peer id.
    pub fn opening(&self) -> Opening {
        Opening { extensions: self.extensions, info_hash: self.info_hash }
    }
}

/// The first [`OPENING_LEN`] bytes of a handshake: enough for an acceptor to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Opening {
    /// What the sender can do beyond BEP 3.
    pub extensions: Extensions,
    /// The torrent that the connection is for.
    pub info_hash: InfoHash,
}

/// How much of a handshake has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Too little to know the torrent; what there is may be the start of a handshake.
    Start,
    /// All but the whole peer id.
    Opening(Opening),
    /// All of it: [`LEN`] bytes, whatever follows them.
    Complete(Handshake),
}

/// Why bytes are not a handshake. The fault is the peer's, or it speaks another protocol (perhaps encrypted).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A byte differs from [`PROTOCOL`].
    Protocol {
        /// The offset of the first byte that differs, from 0 to 19.
        at: usize,
        /// The byte found there.
        found: u8,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol { at, found } => {
                write!(f, "not a BitTorrent handshake: byte {at} is 0x{found:02x}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Reads as much of a handshake as has come, from its first byte on.
///
/// Bytes after the first [`LEN`] are not looked at.
///
/// # Errors
///
/// Fails as soon as any byte differs from [`PROTOCOL`], however few there are.
pub fn decode(bytes: &[u8]) -> Result<Progress, Error> {
    let wrong = bytes.iter().zip(PROTOCOL).position(|(found, expected)| found != expected);
    if let Some((at, &found)) = wrong.and_then(|at| Some((at, bytes.get(at)?))) {
        return Err(Error::Protocol { at, found });
    }
    let Some((opening, rest)) = bytes.split_first_chunk::<OPENING_LEN>().and_then(|(head, rest)| {
        let (_, fields) = head.split_first_chunk::<20>()?;
        let (&extensions, fields) = fields.split_first_chunk()?;
        let (&info_hash, _) = fields.split_first_chunk()?;
        Some((Opening { extensions: Extensions(extensions), info_hash: InfoHash(info_hash) }, rest))
    }) else {
        return Ok(Progress::Start);
    };
    Ok(match rest.first_chunk() {
        None => Progress::Opening(opening),
        Some(&peer_id) => Progress::Complete(Handshake {
            extensions: opening.extensions,
            info_hash: opening.info_hash,
            peer_id: PeerId(peer_id),
        }),
    })
}

/// Reads a handshake from a stream that arrives in parts, and no byte beyond it.
///
/// It holds at most [`LEN`] bytes and allocates nothing.
///
/// ```
/// use bip::proto::handshake::{Decoder, Error, Progress};
/// let mut decoder = Decoder::default();
/// assert_eq!(decoder.decode(&mut &b"\x13Bit"[..]), Ok(Progress::Start));
/// assert_eq!(decoder.decode(&mut &b"Thorrent"[..]), Err(Error::Protocol { at: 5, found: b'h' }));
/// ```
#[derive(Debug, Clone)]
pub struct Decoder {
    bytes: [u8; LEN],
    length: usize,
}

impl Decoder {
    /// Takes from the front of the input what belongs to the handshake and says how much of it is there now.
    ///
    /// What comes after the handshake stays in `input`. Once complete, it takes nothing and says the same again.
    ///
    /// # Errors
    ///
    /// Fails at the first byte that is wrong, and again in every later call.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Progress, Error> {
        let free = &mut self.bytes[self.length..];
        let (taken, rest) = input.split_at(input.len().min(free.len()));
        free[..taken.len()].copy_from_slice(taken);
        self.length += taken.len();
        *input = rest;
        decode(&self.bytes[..self.length])
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self { bytes: [0; LEN], length: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Handshake {
        Handshake {
            extensions: Extensions([0, 0, 0, 0, 0, 0x10, 0, 5]),
            info_hash: InfoHash(std::array::from_fn(|i| i as u8)),
            peer_id: PeerId(std::array::from_fn(|i| 100 + i as u8)),
        }
    }

    #[test]
    fn the_bytes_are_those_of_bep_3() {
        let mut expected = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x05".to_vec();
        expected.extend(0..20);
        expected.extend(100..120);
        assert_eq!(example().encode().to_vec(), expected);
    }

    #[test]
    fn each_part_is_known_as_soon_as_it_is_there() {
        let bytes = example().encode();
        for length in 0..=LEN {
            let expected = match length {
                0..48 => Progress::Start,
                48..68 => Progress::Opening(example().opening()),
                _ => Progress::Complete(example()),
            };
            assert_eq!(decode(&bytes[..length]), Ok(expected), "after {length} bytes");
        }
    }

    #[test]
    fn a_wrong_byte_is_refused_when_it_comes() {
        for at in 0..20 {
            let mut bytes = example().encode();
            bytes[at] ^= 0x20;
            let error = Error::Protocol { at, found: bytes[at] };
            assert_eq!(decode(&bytes[..at]), Ok(Progress::Start));
            assert_eq!(decode(&bytes[..at + 1]), Err(error));
            assert_eq!(decode(&bytes), Err(error));
        }
    }

    #[test]
    fn another_protocol_is_refused_at_its_first_byte() {
        for first in (0..=255).filter(|b| *b != 19) {
            assert_eq!(decode(&[first]), Err(Error::Protocol { at: 0, found: first }));
        }
        assert!(decode(b"GET / HTTP/1.1\r\n").is_err());
        assert!(decode(b"\0").is_err());
    }

    #[test]
    fn bytes_after_the_handshake_are_left_unread() {
        for trailing in [0, 1, 3, 100] {
            let mut stream = example().encode().to_vec();
            stream.extend(std::iter::repeat_n(0xee, trailing));
            let mut input = &stream[..];
            let mut decoder = Decoder::default();
            for _ in 0..2 {
                assert_eq!(decoder.decode(&mut input), Ok(Progress::Complete(example())));
                assert_eq!(input, vec![0xee; trailing]);
            }
        }
    }

    #[test]
    fn a_handshake_may_come_in_any_two_parts_or_byte_by_byte() {
        let bytes = example().encode();
        for at in 0..=LEN {
            let mut decoder = Decoder::default();
            let (mut first, mut second) = bytes.split_at(at);
            assert_eq!(decoder.decode(&mut first), decode(&bytes[..at]));
            assert_eq!(decoder.decode(&mut second), Ok(Progress::Complete(example())));
        }
        let mut decoder = Decoder::default();
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(decoder.decode(&mut std::slice::from_ref(byte)), decode(&bytes[..=at]));
        }
    }

    #[test]
    fn a_refused_stream_stays_refused() {
        let mut decoder = Decoder::default();
        let error = Err(Error::Protocol { at: 0, found: b'x' });
        assert_eq!(decoder.decode(&mut &b"x"[..]), error);
        assert_eq!(decoder.decode(&mut &example().encode()[..]), error);
    }

    #[test]
    fn extension_bits_are_where_their_beps_put_them() {
        assert_eq!(Extensions::from(Extension::PROTOCOL).0, [0, 0, 0, 0, 0, 0x10, 0, 0]);
        assert_eq!(Extensions::from(Extension::FAST).0, [0, 0, 0, 0, 0, 0, 0, 4]);
        assert_eq!(Extensions::from(Extension::DHT).0, [0, 0, 0, 0, 0, 0, 0, 1]);
        for (extension, byte, bit) in [
            (Extension::AZUREUS, 0, 0x80),
            (Extension::LOCATION, 2, 0x08),
            (Extension::NEGOTIATION[0], 5, 0x02),
            (Extension::NEGOTIATION[1], 5, 0x01),
            (Extension::V2, 7, 0x10),
            (Extension::NAT_TRAVERSAL, 7, 0x08),
            (Extension::XBT_PEX, 7, 0x02),
        ] {
            let mut expected = [0; 8];
            expected[byte] = bit;
            assert_eq!(Extensions::from(extension).0, expected);
        }
        assert_eq!(Extension::new(0).map(Extensions::from), Some(Extensions([0x80, 0, 0, 0, 0, 0, 0, 0])));
        assert_eq!(Extension::new(64), None);
    }

    #[test]
    fn extensions_are_added_removed_and_combined() {
        let mut set = Extensions([0xff; 8]);
        set.remove(Extension::DHT);
        assert!(!set.contains(Extension::DHT) && set.contains(Extension::FAST));
        set.insert(Extension::DHT);
        assert_eq!(set, Extensions([0xff; 8]));
        let (fast, dht) = (Extensions::from(Extension::FAST), Extensions::from(Extension::DHT));
        assert_eq!((fast | dht).0[7], 5);
        assert_eq!((fast | dht) & dht, dht);
        assert!((fast & dht).is_empty());
    }
}
