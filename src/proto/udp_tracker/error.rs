use super::action;
use crate::proto::reader::Truncated;
use std::fmt;

/// Why a datagram is not a message of the protocol. The fault is the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The datagram ends within a field that must be there.
    Truncated {
        /// The action of the message, where that is known.
        action: Option<u32>,
        /// Where it ends.
        truncated: Truncated,
    },
    /// The action is none that the sender's side has.
    UnknownAction {
        /// The action found.
        action: u32,
    },
    /// A connect request does not begin with [`PROTOCOL`](super::PROTOCOL).
    WrongProtocol {
        /// What it begins with.
        found: u64,
    },
    /// An announce has an event that nobody defined.
    UnknownEvent {
        /// The event found.
        event: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { action, truncated } => {
                let name = match *action {
                    Some(action::CONNECT) => "connect message",
                    Some(action::ANNOUNCE) => "announce message",
                    Some(action::SCRAPE) => "scrape message",
                    Some(action::ERROR) => "error message",
                    _ => "tracker message",
                };
                write!(f, "{name}: {truncated}")
            }
            Self::UnknownAction { action } => write!(f, "a tracker message of the unknown action {action}"),
            Self::WrongProtocol { found } => write!(f, "a connect request of the unknown protocol 0x{found:x}"),
            Self::UnknownEvent { event } => write!(f, "an announce of the unknown event {event}"),
        }
    }
}

impl std::error::Error for Error {}

/// Why the options of an announce cannot be read to their end. The fault is the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionError {
    /// An option that must have a length ends before it.
    NoLength {
        /// The option's type.
        kind: u8,
        /// Its offset among the options.
        at: usize,
    },
    /// An option says that it is longer than what is left.
    PastEnd {
        /// The option's type.
        kind: u8,
        /// Its offset among the options.
        at: usize,
        /// The length that it says.
        length: u8,
        /// How many bytes are left for it.
        left: usize,
    },
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLength { kind, at } => write!(f, "option {kind} at byte {at} ends before its length"),
            Self::PastEnd { kind, at, length, left } => {
                write!(f, "option {kind} at byte {at} is {length} bytes long with {left} left")
            }
        }
    }
}

impl std::error::Error for OptionError {}
