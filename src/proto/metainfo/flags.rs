//! The attributes of files (BEP 47).

/// The attributes of a file (BEP 47), and what else is yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const PADDING: Self = Self(1);
    pub(super) const EXECUTABLE: Self = Self(2);
    pub(super) const HIDDEN: Self = Self(4);
    pub(super) const SYMLINK: Self = Self(8);
    /// Padding that the torrent does not list.
    pub(super) const IMPLIED: Self = Self(16);

    /// Reads `attr`; unknown letters are passed over.
    pub(super) fn of_attributes(letters: &[u8]) -> Self {
        letters.iter().fold(Self::default(), |flags, letter| match letter {
            b'p' => flags | Self::PADDING,
            b'x' => flags | Self::EXECUTABLE,
            b'h' => flags | Self::HIDDEN,
            b'l' => flags | Self::SYMLINK,
            _ => flags,
        })
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    pub(super) fn is_padding(self) -> bool {
        self.has(Self::PADDING)
    }

    pub(super) fn is_symlink(self) -> bool {
        self.has(Self::SYMLINK)
    }

    pub(super) fn is_implied(self) -> bool {
        self.has(Self::IMPLIED)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
