//! SHA-1, the hash of BitTorrent v1 (BEP 3).
//!
//! The default build uses `sha1_smol` (portable, no dependencies); the feature `hw-hash` uses RustCrypto's `sha1`, which takes
//! the CPU's SHA instructions where there are any. Both give the same digests.

#[cfg(feature = "hw-hash")]
use ::sha1::Digest as _;

/// Hashes a stream of bytes with SHA-1.
///
/// The state may be moved to another thread between updates; a clone continues independently.
///
/// ```
/// use bip::proto::sha1::Sha1;
/// let mut hasher = Sha1::new();
/// hasher.update(b"hello ");
/// hasher.update(b"world");
/// assert_eq!(hasher.finish(), Sha1::digest(b"hello world"));
/// ```
#[derive(Clone)]
pub struct Sha1 {
    #[cfg(feature = "hw-hash")]
    inner: ::sha1::Sha1,
    #[cfg(not(feature = "hw-hash"))]
    inner: sha1_smol::Sha1,
}

impl Sha1 {
    /// Starts a hash of nothing.
    pub fn new() -> Self {
        #[cfg(feature = "hw-hash")]
        let inner = ::sha1::Sha1::new();
        #[cfg(not(feature = "hw-hash"))]
        let inner = sha1_smol::Sha1::new();
        Self { inner }
    }

    /// Adds bytes to the hash.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// Ends the hash and gives its 20 bytes.
    pub fn finish(self) -> [u8; 20] {
        #[cfg(feature = "hw-hash")]
        return self.inner.finalize().into();
        #[cfg(not(feature = "hw-hash"))]
        return self.inner.digest().bytes();
    }

    /// Hashes one slice.
    pub fn digest(bytes: &[u8]) -> [u8; 20] {
        let mut hasher = Self::new();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl Default for Sha1 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_the_standards() {
        let hex: String = Sha1::digest(b"abc").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn a_cloned_state_continues_independently() {
        let mut a = Sha1::new();
        a.update(b"ab");
        let mut b = a.clone();
        a.update(b"c");
        b.update(b"d");
        assert_eq!(a.finish(), Sha1::digest(b"abc"));
        assert_eq!(b.finish(), Sha1::digest(b"abd"));
    }
}
