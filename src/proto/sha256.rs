//! SHA-256, the hash of BitTorrent v2 (BEP 52), behind the feature `v2`.
//!
//! RustCrypto's `sha2`, which takes the CPU's SHA instructions where there are any.

use sha2::Digest as _;

/// Hashes a stream of bytes with SHA-256.
///
/// The state may be moved to another thread between updates; a clone continues independently.
///
/// ```
/// use bip::proto::sha256::Sha256;
/// let mut hasher = Sha256::new();
/// hasher.update(b"hello ");
/// hasher.update(b"world");
/// assert_eq!(hasher.finish(), Sha256::digest(b"hello world"));
/// ```
#[derive(Clone, Default)]
pub struct Sha256 {
    inner: sha2::Sha256,
}

impl Sha256 {
    /// Starts a hash of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes to the hash.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// Ends the hash and gives its 32 bytes.
    pub fn finish(self) -> [u8; 32] {
        self.inner.finalize().into()
    }

    /// Hashes one slice.
    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_the_standards() {
        let hex: String = Sha256::digest(b"abc").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
