//! What is let pass though it is not canonical, and the notes of where it stands.

/// Says which deviations from the one canonical form are accepted; what is accepted is noted ([`Warnings`]).
///
/// Everything else that is wrong with an input is refused whatever the rules: see the table at [`bencode`](super).
///
/// ```
/// use bip::proto::bencode::{Document, Limits, Rules, Warning};
/// let source = b"d1:bi03e1:ai2ee";
/// assert!(Document::decode(source, &Limits::default()).is_err());
/// let document = Document::decode_by(source, &Limits::default(), Rules::LENIENT)?;
/// assert_eq!(document.root().dict()?.int("b")?, 3);
/// let warnings: Vec<Warning> = document.warnings().iter().collect();
/// assert_eq!(warnings, [Warning::UnsortedKey { at: 8 }, Warning::LeadingZero { at: 5 }]);
/// # Ok::<(), bip::proto::bencode::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether the keys of a dictionary may come in any order.
    pub unsorted_keys: bool,
    /// Whether a key may come twice in a dictionary. The first one counts: it is what a look-up gives.
    pub duplicate_keys: bool,
    /// Whether integers and string lengths may begin with zeros (with at most 20 digits in all).
    pub leading_zeros: bool,
    /// Whether `i-0e` is a zero.
    pub negative_zero: bool,
}

impl Rules {
    /// Accepts nothing that is not canonical.
    pub const CANONICAL: Self =
        Self { unsorted_keys: false, duplicate_keys: false, leading_zeros: false, negative_zero: false };

    /// Accepts keys in any order and nothing else: the default, for messages. There are DHT nodes and clients that do not sort.
    pub const DEFAULT: Self = Self { unsorted_keys: true, ..Self::CANONICAL };

    /// Accepts all four: for torrent files, which stay as they were made once and have an info hash as they are.
    pub const LENIENT: Self =
        Self { unsorted_keys: true, duplicate_keys: true, leading_zeros: true, negative_zero: true };
}

impl Default for Rules {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Something that was accepted though it is not canonical, and where it stands, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// A key that is smaller than the one before it.
    UnsortedKey {
        /// Where the key stands.
        at: usize,
    },
    /// A key that its dictionary has already had.
    DuplicateKey {
        /// Where the key stands again.
        at: usize,
    },
    /// An integer or a string length with a zero too many in front.
    LeadingZero {
        /// Where the zero stands.
        at: usize,
    },
    /// The integer `-0`.
    NegativeZero {
        /// Where the minus stands.
        at: usize,
    },
}

/// The first of each kind of [`Warning`] that an input gave rise to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Warnings {
    unsorted_key: First,
    duplicate_key: First,
    leading_zero: First,
    negative_zero: First,
}

/// An offset plus one, or 0 for none: inputs are shorter than 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct First(u32);

impl First {
    fn at(self) -> Option<usize> {
        self.0.checked_sub(1).map(|at| at as usize)
    }
}

impl Warnings {
    /// Says whether there is none: then encoding the value anew gives the same bytes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Gives where the first key stands that is smaller than the key before it (BEP 3 wants them sorted as raw strings).
    pub fn unsorted_key(&self) -> Option<usize> {
        self.unsorted_key.at()
    }

    /// Goes over them: at most one of each kind, the first in the input.
    pub fn iter(&self) -> impl Iterator<Item = Warning> + use<> {
        [
            self.unsorted_key.at().map(|at| Warning::UnsortedKey { at }),
            self.duplicate_key.at().map(|at| Warning::DuplicateKey { at }),
            self.leading_zero.at().map(|at| Warning::LeadingZero { at }),
            self.negative_zero.at().map(|at| Warning::NegativeZero { at }),
        ]
        .into_iter()
        .flatten()
    }

    /// Adds a warning if it is the first of its kind. By value, so that the caller's copy can stay in registers.
    #[cold]
    #[inline(never)]
    pub(super) fn with(mut self, warning: Warning) -> Self {
        let (kept, at) = match warning {
            Warning::UnsortedKey { at } => (&mut self.unsorted_key, at),
            Warning::DuplicateKey { at } => (&mut self.duplicate_key, at),
            Warning::LeadingZero { at } => (&mut self.leading_zero, at),
            Warning::NegativeZero { at } => (&mut self.negative_zero, at),
        };
        if kept.at().is_none_or(|first| at < first) {
            kept.0 = u32::try_from(at).map_or(u32::MAX, |at| at.saturating_add(1));
        }
        self
    }
}
