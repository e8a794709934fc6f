//! What a server is told, and what it answers.

use super::access::Access;
use std::fmt;

/// A program's own number for something that it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a server is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Serves other torrents from now on. Ends in [`Event::AccessSet`] or [`Event::Refused`].
    ///
    /// Peers of torrents that are not served any more are forgotten in their time.
    SetAccess {
        /// What the answer will be known by.
        request: RequestId,
        /// Those that are served.
        access: Access,
    },
    /// Looks for peers that are over from now on, as after an announce: for who announces one to the [`Swarms`](super::Swarms) itself. Ends in
    /// [`Event::Sweeping`].
    Sweep {
        /// What the answer will be known by.
        request: RequestId,
    },
}

/// What a server tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Other torrents are served.
    AccessSet {
        /// The command that this ends.
        request: RequestId,
        /// How many info hashes are on the list.
        listed: usize,
    },
    /// Peers that are over are looked for, as long as there are any.
    Sweeping {
        /// The command that this ends.
        request: RequestId,
    },
    /// A command was refused, and nothing has changed.
    Refused {
        /// The command that this ends.
        request: RequestId,
        /// Why.
        refusal: Refusal,
    },
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The list is longer than [`Config::max_listed`](super::Config::max_listed).
    TooMany {
        /// How many info hashes it may have.
        limit: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooMany { limit } => write!(f, "the list has more than {limit} info hashes"),
        }
    }
}

impl std::error::Error for Refusal {}
