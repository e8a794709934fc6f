//! What can go wrong with a server as such.

use crate::tracker::server::Refusal;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a server could not be started, told something or stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No address was given to listen at.
    NoAddress,
    /// An address cannot be bound to.
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system gave no event queue, thread or randomness.
    System(io::Error),
    /// What was asked for is over a limit.
    Refused(Refusal),
    /// There is no room for another torrent.
    NoRoom,
    /// Too much was asked for that is not done yet.
    Busy,
    /// The server has stopped, or one of its threads panicked.
    Closed,
    /// Waiting here would wait for ever: the caller's own loop drives the server.
    WouldDeadlock,
    /// It took longer than it might.
    TimedOut,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoAddress => f.write_str("no address to listen at was given"),
            Error::Bind { address, error } => write!(f, "binding to {address}: {error}"),
            Error::System(error) => write!(f, "starting the tracker: {error}"),
            Error::Refused(refusal) => refusal.fmt(f),
            Error::NoRoom => crate::tracker::server::Full.fmt(f),
            Error::Busy => f.write_str("the tracker is not done with what it was asked before"),
            Error::Closed => f.write_str("the tracker has stopped"),
            Error::WouldDeadlock => {
                f.write_str("waiting would deadlock: this tracker is driven by the caller's own loop")
            }
            Error::TimedOut => f.write_str("it took too long"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Bind { error, .. } | Error::System(error) => Some(error),
            Error::Refused(refusal) => Some(refusal),
            Error::NoAddress | Error::NoRoom | Error::Busy | Error::Closed | Error::WouldDeadlock | Error::TimedOut => {
                None
            }
        }
    }
}
