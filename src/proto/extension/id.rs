use std::fmt;
use std::num::NonZeroU8;

/// The number of an extension's messages, chosen by who receives them: 1 to 255. 0 is the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(NonZeroU8);

impl Id {
    /// Makes an id; `None` of 0.
    pub const fn new(id: u8) -> Option<Self> {
        match NonZeroU8::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// Gives the number.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
