//! What can go wrong with a session as such.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a session could not be started, asked or stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be listened on.
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system gave no event queue, thread or randomness.
    System(io::Error),
    /// Too many commands are unanswered: read events, then try again.
    Busy,
    /// The session has stopped, or one of its threads panicked.
    Closed,
    /// Waiting here would wait for ever: the caller's own loop drives this session. Use the `try_` form and the events.
    WouldDeadlock,
    /// The session did not end in time; it was stopped where it was.
    TimedOut,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Listen { address, error } => write!(f, "listening on {address}: {error}"),
            Error::System(error) => write!(f, "starting the session: {error}"),
            Error::Busy => f.write_str("too many unanswered commands"),
            Error::Closed => f.write_str("the session has stopped"),
            Error::WouldDeadlock => {
                f.write_str("waiting would deadlock: this session is driven by the caller's own loop")
            }
            Error::TimedOut => f.write_str("the session did not end in time and was stopped"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Listen { error, .. } | Error::System(error) => Some(error),
            _ => None,
        }
    }
}
