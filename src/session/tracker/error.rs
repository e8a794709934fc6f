//! What can go wrong with a client as such.

use crate::tracker::client;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a client could not be started, asked or stopped.
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
    /// The system gave no event queue, thread or randomness.
    System(io::Error),
    /// The tracker could not be asked, or did not answer what was asked.
    Tracker(client::Error),
    /// The client has stopped, or its thread panicked.
    Closed,
    /// Waiting here would wait for ever: the caller's own loop drives the client. Use what does not wait.
    WouldDeadlock,
    /// It took longer than it might.
    TimedOut,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bind { address, error } => write!(f, "binding to {address}: {error}"),
            Error::System(error) => write!(f, "starting the client: {error}"),
            Error::Tracker(error) => error.fmt(f),
            Error::Closed => f.write_str("the client has stopped"),
            Error::WouldDeadlock => {
                f.write_str("waiting would deadlock: this client is driven by the caller's own loop")
            }
            Error::TimedOut => f.write_str("it took too long"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Bind { error, .. } | Error::System(error) => Some(error),
            Error::Tracker(error) => Some(error),
            Error::Closed | Error::WouldDeadlock | Error::TimedOut => None,
        }
    }
}
