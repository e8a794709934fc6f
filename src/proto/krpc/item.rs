//! Items that are stored in the DHT: where they are stored, and what of them is signed (BEP 44, 46).
//!
//! Signing and verifying (Ed25519) need the feature `mutable-items`.

use super::{MAX_VALUE, limits};
use crate::proto::bencode::{self, Cursor, Rules};
use crate::proto::id::{InfoHash, NodeId};
use crate::proto::sha1::Sha1;

#[cfg(feature = "mutable-items")]
mod signing;

#[cfg(feature = "mutable-items")]
pub use signing::{SigningKey, verify};

/// Gives where an item is stored that never changes: the hash of its bencoded value.
///
/// ```
/// use bip::proto::krpc::item;
/// assert_eq!(item::immutable_target(b"12:Hello World!").to_string(), "e5f96f6f38320f0f33959cb4d3d656452117aadb");
/// ```
pub fn immutable_target(value: &[u8]) -> NodeId {
    NodeId(Sha1::digest(value))
}

/// Gives where an item is stored that the owner of a key can change. A salt that is empty is none.
pub fn mutable_target(key: &[u8; 32], salt: &[u8]) -> NodeId {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(salt);
    NodeId(hash.finish())
}

/// Appends what the signature of an item is of: the salt, where it is not empty, the sequence number and the bencoded value.
///
/// ```
/// use bip::proto::krpc::item;
/// let mut signed = Vec::new();
/// item::encode_signed(b"foobar", 1, b"12:Hello World!", &mut signed);
/// assert_eq!(signed, b"4:salt6:foobar3:seqi1e1:v12:Hello World!");
/// ```
pub fn encode_signed(salt: &[u8], seq: i64, value: &[u8], out: &mut Vec<u8>) {
    use super::writer::Writer;
    let mut writer = Writer(out);
    if !salt.is_empty() {
        writer.bytes(b"4:salt", salt);
    }
    writer.int(b"3:seq", seq);
    writer.raw(b"1:v");
    writer.raw(value);
}

/// Says whether bytes are a value that may be stored: one bencoded element in its canonical form, of at most [`MAX_VALUE`] bytes.
pub fn is_value(value: &[u8]) -> bool {
    value.len() <= MAX_VALUE && is_canonical(value)
}

pub(super) fn is_canonical(value: &[u8]) -> bool {
    // In a message it stands in two dictionaries.
    let limits = limits();
    let limits = bencode::Limits { depth: limits.depth - 2, ..limits };
    Cursor::with_rules(value, &limits, Rules::CANONICAL).is_ok_and(|mut cursor| cursor.finish().is_ok())
}

/// Makes the value that says which torrent a key stands for at present (BEP 46).
///
/// ```
/// use bip::proto::id::InfoHash;
/// use bip::proto::krpc::item;
/// let value = item::torrent(InfoHash(*b"mnopqrstuvwxyz123456"));
/// assert_eq!(&value, b"d2:ih20:mnopqrstuvwxyz123456e");
/// assert_eq!(item::torrent_of(&value), Some(InfoHash(*b"mnopqrstuvwxyz123456")));
/// ```
pub fn torrent(info_hash: InfoHash) -> [u8; 29] {
    let mut value = *b"d2:ih20:....................e";
    value[8..28].copy_from_slice(&info_hash.0);
    value
}

/// Reads which torrent a value says that its key stands for (BEP 46). Other keys in it are passed over.
pub fn torrent_of(value: &[u8]) -> Option<InfoHash> {
    let mut found = None;
    let read = bencode::read(value, &limits(), |value| {
        value.each_entry(|key, value| {
            if key == b"ih" {
                found = Some(InfoHash(*value.array()?));
            }
            Ok::<(), bencode::Error>(())
        })
    });
    found.filter(|_| read.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hex: &str) -> [u8; 32] {
        hex.parse::<crate::proto::id::InfoHashV2>().unwrap().0
    }

    const BEP_44: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";
    const BEP_46: &str = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";

    #[test]
    fn targets_are_those_of_the_beps() {
        let target = |hex, salt: &[u8]| mutable_target(&key(hex), salt).to_string();
        assert_eq!(target(BEP_44, b""), "4a533d47ec9c7d95b1ad75f576cffc641853b750");
        assert_eq!(target(BEP_44, b"foobar"), "411eba73b6f087ca51a3795d9c8c938d365e32c1");
        assert_eq!(target(BEP_46, b""), "cc3f9d90b572172053626f9980ce261a850d050b");
        assert_eq!(target(BEP_46, b"\x6e"), "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f");
        assert_eq!(immutable_target(b"12:Hello World!").to_string(), "e5f96f6f38320f0f33959cb4d3d656452117aadb");
    }

    #[test]
    fn what_is_signed_is_what_bep_44_shows() {
        let signed = |salt: &[u8], seq| {
            let mut out = Vec::new();
            encode_signed(salt, seq, b"12:Hello World!", &mut out);
            out
        };
        assert_eq!(signed(b"", 1), b"3:seqi1e1:v12:Hello World!");
        assert_eq!(signed(b"foobar", 1), b"4:salt6:foobar3:seqi1e1:v12:Hello World!");
        assert_eq!(signed(b"", i64::MIN), b"3:seqi-9223372036854775808e1:v12:Hello World!");
    }

    #[test]
    fn a_value_is_one_canonical_element_of_a_thousand_bytes() {
        let string = |length: usize| [format!("{length}:").as_bytes(), &vec![7; length]].concat();
        assert!(is_value(&string(996)) && !is_value(&string(997)));
        for value in [&b"i0e"[..], b"0:", b"le", b"d1:ai1e1:bi2ee"] {
            assert!(is_value(value), "{}", value.escape_ascii());
        }
        for value in [&b""[..], b"x", b"i0ei0e", b"i00e", b"d1:bi1e1:ai2ee", b"d1:ai1e1:ai2ee", b"l"] {
            assert!(!is_value(value), "{}", value.escape_ascii());
        }
        let nested = |depth| ["l".repeat(depth), "e".repeat(depth)].concat();
        assert!(is_value(nested(8).as_bytes()) && !is_value(nested(9).as_bytes()));
    }

    #[test]
    fn what_names_no_torrent_is_refused() {
        for value in [&b"de"[..], b"d2:ih3:abce", b"i1e", b"d2:ihi1ee", b"d2:ih20:mnopqrstuvwxyz123456", b""] {
            assert_eq!(torrent_of(value), None, "{}", value.escape_ascii());
        }
        let more = b"d1:ai1e2:ih20:mnopqrstuvwxyz1234561:zlee";
        assert_eq!(torrent_of(more), Some(InfoHash(*b"mnopqrstuvwxyz123456")));
    }
}
