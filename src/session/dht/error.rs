//! What can go wrong with a node as such.

use crate::dht::Refusal;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a node could not be started, asked or stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be bound to.
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The state that an earlier node saved cannot be read.
    State {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The system gave no event queue, thread or randomness.
    System(io::Error),
    /// The node does not take the request.
    Refused(Refusal),
    /// The node has stopped, or its thread panicked.
    Closed,
    /// Waiting here would wait for ever: the caller's own loop drives the node. Use what does not wait.
    WouldDeadlock,
    /// It took longer than it might.
    TimedOut,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bind { address, error } => write!(f, "binding to {address}: {error}"),
            Error::State { path, error } => write!(f, "reading {}: {error}", path.display()),
            Error::System(error) => write!(f, "starting the node: {error}"),
            Error::Refused(refusal) => refusal.fmt(f),
            Error::Closed => f.write_str("the node has stopped"),
            Error::WouldDeadlock => f.write_str("waiting would deadlock: this node is driven by the caller's own loop"),
            Error::TimedOut => f.write_str("it took too long"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Bind { error, .. } | Error::State { error, .. } | Error::System(error) => Some(error),
            Error::Refused(refusal) => Some(refusal),
            Error::Closed | Error::WouldDeadlock | Error::TimedOut => None,
        }
    }
}
