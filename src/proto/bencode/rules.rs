//! What is let pass though it is not canonical, and the notes of where it stands.

use std::fmt;

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

/// [`Rules`] in one byte: what is passed from function to function stays in a register, as a struct of four does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct RuleBits(u8);

impl From<Rules> for RuleBits {
    #[inline]
    fn from(rules: Rules) -> Self {
        let Rules { unsorted_keys, duplicate_keys, leading_zeros, negative_zero } = rules;
        let bits = [unsorted_keys, duplicate_keys, leading_zeros, negative_zero];
        Self(bits.into_iter().rev().fold(0, |bits, bit| bits << 1 | u8::from(bit)))
    }
}

impl From<RuleBits> for Rules {
    fn from(RuleBits(bits): RuleBits) -> Self {
        let [unsorted_keys, duplicate_keys, leading_zeros, negative_zero] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
        Self { unsorted_keys, duplicate_keys, leading_zeros, negative_zero }
    }
}

/// The first of each kind of [`Warning`] that an input gave rise to.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Warnings {
    /// Of each kind, in 32 bits, an offset plus one, or 0 for none: inputs are shorter than 2^32. One number, so that it can stay in registers.
    firsts: u128,
}

/// Where in [`Warnings`] the kinds stand, in bits.
const UNSORTED_KEY: u32 = 0;
const DUPLICATE_KEY: u32 = 32;
const LEADING_ZERO: u32 = 64;
const NEGATIVE_ZERO: u32 = 96;

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Warnings {
    fn first(self, kind: u32) -> Option<usize> {
        ((self.firsts >> kind) as u32).checked_sub(1).map(|at| at as usize)
    }

    /// Says whether there is none: then encoding the value anew gives the same bytes.
    pub fn is_empty(&self) -> bool {
        self.firsts == 0
    }

    /// Gives where the first key stands that is smaller than the key before it (BEP 3 wants them sorted as raw strings).
    pub fn unsorted_key(&self) -> Option<usize> {
        self.first(UNSORTED_KEY)
    }

    /// Goes over them: at most one of each kind, the first in the input.
    pub fn iter(&self) -> impl Iterator<Item = Warning> + use<> {
        [
            self.first(UNSORTED_KEY).map(|at| Warning::UnsortedKey { at }),
            self.first(DUPLICATE_KEY).map(|at| Warning::DuplicateKey { at }),
            self.first(LEADING_ZERO).map(|at| Warning::LeadingZero { at }),
            self.first(NEGATIVE_ZERO).map(|at| Warning::NegativeZero { at }),
        ]
        .into_iter()
        .flatten()
    }

    /// Adds a warning if it is the first of its kind. By value, so that the caller's copy can stay in registers.
    #[cold]
    #[inline(never)]
    pub(super) fn with(self, warning: Warning) -> Self {
        let (kind, at) = match warning {
            Warning::UnsortedKey { at } => (UNSORTED_KEY, at),
            Warning::DuplicateKey { at } => (DUPLICATE_KEY, at),
            Warning::LeadingZero { at } => (LEADING_ZERO, at),
            Warning::NegativeZero { at } => (NEGATIVE_ZERO, at),
        };
        if self.first(kind).is_some_and(|first| first <= at) {
            return self;
        }
        let others = self.firsts & !(u128::from(u32::MAX) << kind);
        let first = u32::try_from(at).map_or(u32::MAX, |at| at.saturating_add(1));
        Self { firsts: others | u128::from(first) << kind }
    }
}
