//! CRC-32C (Castagnoli), which peer priorities (BEP 40) and node ids (BEP 42) are made of.

/// A checksum that is being made, bit by bit: it is fed a few bytes per peer or node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crc32c(u32);

impl Default for Crc32c {
    fn default() -> Self {
        Self(!0)
    }
}

impl Crc32c {
    pub(crate) fn of(bytes: &[u8]) -> u32 {
        Self::default().update(bytes).finish()
    }

    pub(crate) fn update(self, bytes: &[u8]) -> Self {
        let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        Self(bytes.iter().fold(self.0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step)))
    }

    pub(crate) fn finish(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(Crc32c::of(b"123456789"), 0xe306_9283);
        assert_eq!(Crc32c::of(&[0; 32]), 0x8a91_36aa);
        assert_eq!(Crc32c::of(&[0xff; 32]), 0x62a8_ab43);
    }
}
