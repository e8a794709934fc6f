//! How a reactor may end other than in order.

use std::fmt;
use std::io;

/// Why a reactor did not stop in order. Whatever it says, the machines are gone unless it is [`TimedOut`](StopError::TimedOut).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopError {
    /// A machine panicked; these are its words.
    Panicked(String),
    /// Polling the system for readiness failed.
    Poll(io::ErrorKind),
    /// The reactor's thread was still in a call of a machine, or in an inline job, at the deadline; it ends when that call does.
    TimedOut,
    /// Job threads were still in a job at the deadline; each ends when its job does.
    JobsLeft {
        /// How many.
        threads: usize,
    },
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopError::Panicked(text) => write!(f, "a machine panicked: {text}"),
            StopError::Poll(kind) => write!(f, "polling for readiness failed: {kind}"),
            StopError::TimedOut => f.write_str("the reactor's thread had not stopped at the deadline"),
            StopError::JobsLeft { threads } => write!(f, "{threads} job threads had not stopped at the deadline"),
        }
    }
}

impl std::error::Error for StopError {}
